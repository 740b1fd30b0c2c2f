"""What the scenario tests stand on: servers in folders of their own, clients with deadlines, nothing left behind.

Every wait has a deadline, and nothing waits longer than it must. Time limits are multiplied by JANUS_TEST_SLOWNESS (1; sanitizers want
4). The programs are those of JANUS_BUILD (build, in the repository's root).

A test fails too when its server's log has a sanitizer's report, or the death of a process that the test did not kill. Processes belong
to a test by a mark in their environment: only those are looked at, and killed by their ids. Should Python itself be killed, the
kernel kills the servers.
"""
import json
import os
import random
import signal
import subprocess
import tempfile
import unittest

# Tests import all of these from here.
from flash_clients import Client, Connection, fence, timestamp
from processes import (BUILD, PR_SET_PDEATHSIG, ROOT, SLOWNESS, USER, Beside, Closed, Deadline, _ends_with_parent, _others, cpu_seconds, descriptors,
                       free_port, has_ipv6, is_alive, program, raise_nofile, readable, run, scheduled, wait_until)
from servers import Server, _clean_up_all, parse_url

# ---- the load client ----

class Bench:
    """A janusbench beside the test. `address` is (host, port); or {protocol: (host, port)}, for what --speak names; or a list of these, of nodes. `hold`: when it
    is ready it waits for release()."""

    def __init__(self, address, *arguments, pid=None, hold=False):
        def target(host, port):
            return "[%s]:%d" % (host, port) if ":" in host else "%s:%d" % (host, port)
        targets = []
        for each in address if isinstance(address, list) else [address]:
            targets += ["%s://%s" % (p, target(*a)) for p, a in each.items()] if isinstance(each, dict) else [target(*each)]
        command = [program("janusbench"), "--json", "-q"] + ["--hold"] * hold
        if pid:
            command += ["--server-pid", str(pid)]
        self.output = tempfile.TemporaryFile()
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command + [str(a) for a in arguments] + targets, stdin=subprocess.PIPE if hold else subprocess.DEVNULL,
                                        stdout=self.output, stderr=self.errors, preexec_fn=_ends_with_parent())
        _others.add(self.process)

    def running(self):
        return self.process.poll() is None

    def said(self):
        """What it wrote to standard error."""
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def wait_ready(self, seconds=60):
        """With `hold`: all have subscribed."""
        def ready():
            if not self.running():
                raise AssertionError("janusbench has ended with status %d: %s" % (self.process.returncode, self.said()))
            return "ready\n" in self.said()
        wait_until(ready, seconds, "janusbench to be ready", pause=0.02)
        return self

    def release(self):
        self.process.stdin.close()

    def finish(self, seconds=60, status=0):
        """Its figures; it must have ended with this status (None: with any)."""
        try:
            got = self.process.wait(seconds * SLOWNESS)
        except subprocess.TimeoutExpired:
            raise AssertionError("janusbench does not end within %g s" % (seconds * SLOWNESS)) from None
        finally:
            self.kill()
        self.output.seek(0)
        out, err = self.output.read().decode(), self.said()
        if got != status and status is not None:
            raise AssertionError("janusbench: status %d\n%s%s" % (got, out, err))
        return json.loads(out) if out.strip() else None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        _others.discard(self.process)


# ---- the tests' class ----

class Overdue(AssertionError):
    pass


def all_may(options):
    """The option that lets everybody do everything, where these do not say who may do what: a server behind proxies must be told."""
    return () if any(o.startswith(("anonymous=", "api_key=", "token_keys=")) for o in options) else ("anonymous=all",)


def _overdue(signum, frame):
    raise Overdue("the test takes too long")


class JanusTest(unittest.TestCase):
    limit = 300         # seconds for one test, whatever it waits for: its end, if it is stuck, also on a machine that is busy with other things
    maxDiff = 2000
    longMessage = True

    def run(self, result=None):
        result = self.defaultTestResult() if result is None else result
        before = len(result.failures), len(result.errors)
        self._logs = []
        old = signal.signal(signal.SIGALRM, _overdue)
        # Again and again: a subtest that is ended so must not be followed by others that wait as long.
        signal.setitimer(signal.ITIMER_REAL, self.limit * SLOWNESS, 0.5)
        try:
            super().run(result)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        for found, had in zip((result.failures, result.errors), before):
            for i in range(had, len(found)):
                found[i] = (found[i][0], found[i][1] + "".join(self._logs))
                self._logs = []
        return result

    def random(self):
        """For what happens at random. A test that fails says the seed; JANUS_TEST_SEED has it once more."""
        seed = int(os.environ.get("JANUS_TEST_SEED") or random.randrange(1 << 32))
        self._logs.append("\n---- JANUS_TEST_SEED=%d" % seed)
        return random.Random(seed)

    def server(self, *options, start=True, **more):
        """A server that ends with the test, which checks that it ends well."""
        server = Server(*options, **more)
        self.addCleanup(self._end, server)
        if start:
            server.start()
        return server

    def _end(self, server):
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            if server.running():
                server.stop()
            complaints = server.complaints()
            if complaints:
                raise AssertionError("in the server's log:\n" + "\n".join(complaints))
        finally:
            self._logs.append("\n---- log of %s %s\n%s" % (os.path.join(server.build, "janus"), " ".join(server.arguments),
                                                          shortened(server.log())))
            server.destroy()

    def client(self, server, *arguments, **more):
        client = Client(server, *arguments, **more)
        self.addCleanup(client.close)
        return client

    def clients(self, server, count, **more):
        address = server.address()
        return [self.client(server, address=address, **more) for _ in range(count)]

    def on_each_worker(self, server, per_worker=1, spread=400):
        """Clients, at least so many on each worker: made until the server says that all have as many. [client...]"""
        found = []
        address = server.address()
        while min(w["connections"] for w in server.status()["workers"]) < per_worker:
            self.assertLess(len(found), spread, "connections do not spread over the workers")
            found += [self.client(server, address=address) for _ in range(8)]
        return found

    def bench(self, server, *arguments, place=0):
        bench = Bench(server.address(place), *arguments, pid=server.master)
        self.addCleanup(bench.kill)
        return bench

    def wait_count(self, server, name, value, seconds=10):
        """Waits for a counter to have this value."""
        wait_until(lambda: server.count(name) >= value, seconds, "counter %s at %d" % (name, value))
        self.assertEqual(server.count(name), value, "counter " + name)


def shortened(log, most=20000):
    if len(log) <= most:
        return log
    return log[:most // 2] + "\n[...]\n" + log[-most // 2:]
