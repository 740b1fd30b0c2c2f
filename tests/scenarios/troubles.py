"""What chaos does to a server: kills, stops, reloads, other programs and configurations, good ones and broken ones."""
import contextlib
import datetime
import os
import random
import re
import shutil
import signal
import threading
import time

import janus_test
from janus_test import ROOT, Deadline, free_port, wait_until

OTHER_BUILD = os.path.join(ROOT, os.environ.get("JANUS_OTHER_BUILD", "build/layout98"))
WORKERS = range(1, 7)
STOP_MOST = 3               # seconds that a process is stopped at most
LATER = r"under way|being replaced|again later"         # why janusctl's reload is refused just now, and not for good


class Program:
    """A folder of its own with the program, which can be replaced as a package manager does it: by a rename."""

    def __init__(self, build, folder):
        self.folder = folder
        os.mkdir(folder)
        self.put(build)

    @property
    def path(self):
        return os.path.join(self.folder, "janus")

    def put(self, build):
        for name in ("janusctl", "janus"):
            self.put_file(os.path.join(build, name), name)
        self.source = build

    def put_file(self, source, name="janus"):
        """Another file in the program's place."""
        new = os.path.join(self.folder, name + ".new")
        shutil.copy(source, new)
        os.rename(new, os.path.join(self.folder, name))

    def put_text(self, text, mode=0o755):
        new = self.path + ".new"
        with open(new, "w" if isinstance(text, str) else "wb") as f:
            f.write(text)
        os.chmod(new, mode)
        os.rename(new, self.path)

    def put_script(self, text):
        self.put_text("#!/bin/sh\n" + text + "\n")

    # what no server can go on as

    def put_truncated(self, part=0.1):
        """(What is at the end is for debuggers: without it the program would still run.)"""
        with open(os.path.join(self.source, "janus"), "rb") as f:
            data = f.read()
        self.put_text(data[:int(len(data) * part)])

    def put_true(self):
        self.put_file(shutil.which("true"))

    def remove(self):
        os.unlink(self.path)

    def put_broken(self, kind):
        {
            "truncated": self.put_truncated,
            "a few bytes": lambda: self.put_truncated(0.001),
            "empty": lambda: self.put_text(""),
            "removed": self.remove,
            "/bin/true": self.put_true,
            "a script that says yes": lambda: self.put_script("exit 0"),
            "a script that wants a snapshot": lambda: self.put_script("exit 10"),
            "a script that fails": lambda: self.put_script("exit 1"),
            "text": lambda: self.put_text("not a program\n"),
            "not executable": lambda: self.put_text("not a program\n", 0o644),
        }[kind]()

    BROKEN = ("truncated", "a few bytes", "empty", "removed", "/bin/true", "a script that says yes", "a script that wants a snapshot",
              "a script that fails", "text", "not executable")


class Configuration:
    """The server's, which changes: its file is replaced as a whole, as a reload may read it at any moment."""

    BROKEN = ("workers = none\n", "no such key = 1\n", "[section]\n", "listen = nowhere\n", "ring_bytes\n", "workers = 100000\n")

    def __init__(self, server, workers, more):
        """`more`: lines that are always there."""
        self.server = server
        self.workers = workers
        self.more = more
        self.ports = {protocol: free_port() for protocol in ("flash", "http", "packet")}
        self.without = set()            # protocols that nobody listens for just now; never flash, which newcomers use
        self.extra = []                 # further addresses
        self.write()

    def urls(self):
        return ["%s://127.0.0.1:%d" % item for item in self.ports.items() if item[0] not in self.without] + self.extra

    def text(self):
        return "".join(line + "\n" for line in ["workers = %d" % self.workers] + self.more + ["listen = " + url for url in self.urls()])

    def write(self, text=None):
        new = self.server.config_file + ".new"
        with open(new, "w") as f:
            f.write(text or self.text())
        os.rename(new, self.server.config_file)

    def change_ports(self, rng):
        """Others in addition, and some of the first no more; who is connected there is not concerned."""
        protocols = ("flash", "http", "packet")
        self.extra = ["%s://127.0.0.1:%d" % (rng.choice(protocols), free_port()) for _ in range(rng.randrange(3))]
        self.without = {protocol for protocol in ("http", "packet") if rng.random() < 0.3}

    def change_workers(self, rng):
        self.workers = rng.choice([n for n in WORKERS if n != self.workers])


class Troubles:
    """Each kind of trouble is a method; `failures` is what the server did wrong, a line each, `done` how often what was done."""

    def __init__(self, server, program, configuration, seed, over):
        self.server, self.program, self.configuration, self.seed, self.over = server, program, configuration, seed, over
        self.failures = []
        self.history = []           # what was done when, a line each
        self.done = dict.fromkeys(("kills", "stops", "reloads", "pairs", "upgrades", "broken"), 0)
        self.refused_later = 0
        self.stopped_until = 0
        self.stopped = None

    def random(self, what):
        """Each thread has its own, so that a seed means the same whatever the others do."""
        return random.Random("%s-%s" % (self.seed, what))

    def fail(self, text):
        self.failures.append("%.1f s: %s" % (time.monotonic() - self.start, text))

    def note(self, text):
        """With the time of the log's."""
        self.history.append("%s %s" % (datetime.datetime.now(datetime.timezone.utc).strftime("%H:%M:%S.%f")[:-3], text))

    def spread(self, rng, actions, seconds):
        """Each at a random moment; those that take long are caught up with."""
        moments = sorted(rng.random() * seconds for _ in actions)
        for moment, action in zip(moments, actions):
            left = self.start + moment - time.monotonic()
            if self.over.wait(max(0, left)) or time.monotonic() - self.start > seconds:
                return
            try:
                action(rng)
            except Exception as e:
                self.fail("%s: %s: %s" % (action.__name__, type(e).__name__, e))

    # processes

    def workers(self):
        """[(keeper, worker)...] as found in the kernel: janusctl may be behind."""
        found = []
        master = self.server.master
        for keeper in children(master):
            found += [(keeper, worker) for worker in children(keeper)]
        return found

    def kill(self, rng):
        found = self.workers()
        if found:
            self.kill_worker(rng.choice(found)[1])

    def kill_worker(self, pid):
        with contextlib.suppress(ProcessLookupError):
            self.server.kill(pid, "worker")
            self.done["kills"] += 1

    def burst(self, rng, count=10, pause=0.1):
        """The workers of one slot, one behind the other; each as soon as it is live."""
        found = self.workers()
        if not found:
            return
        keeper = rng.choice(found)[0]
        for _ in range(count):
            last = time.monotonic()
            for worker in children(keeper):
                if self.took_over(worker):
                    self.kill_worker(worker)
            self.over.wait(max(0, pause - (time.monotonic() - last)))

    def took_over(self, worker):
        """Whether it has said that it is live."""
        return re.search(r"janus\w*\[%d\].*took over" % worker, self.log_end()) is not None

    def log_end(self, most=200000):
        with open(self.server.log_file, "rb") as f:
            f.seek(0, os.SEEK_END)
            f.seek(max(0, f.tell() - most))
            return f.read().decode(errors="replace")

    def stop(self, rng):
        """SIGSTOP for any of the server's processes, and SIGCONT a while later."""
        pid = rng.choice(self.server.processes() or [self.server.master])
        seconds = rng.choice((0.05, 0.5, 1, STOP_MOST)) * rng.random()
        self.stopped_until = time.monotonic() + seconds + 2
        with contextlib.suppress(ProcessLookupError):
            self.stopped = pid
            self.note("stop %d for %.2f s" % (pid, seconds))
            os.kill(pid, signal.SIGSTOP)
            self.done["stops"] += 1
            try:
                self.over.wait(seconds)
            finally:
                os.kill(pid, signal.SIGCONT)
        self.stopped = None

    # reloads, each with what must become of it

    def reload(self, rng=None):
        """janusctl reload. What it refuses for the moment is asked again."""
        self.done["reloads"] += 1
        deadline = Deadline(90)
        while True:
            status, _, err = self.server.reload()
            self.note("janusctl reload: %d %s" % (status, err.strip()))
            if status == 0:
                return
            if not re.search(LATER, err) and time.monotonic() > self.stopped_until:
                self.fail("reload: status %d: %s" % (status, err.strip()))
                return
            if deadline.over():
                self.fail("reload: refused for a long time: " + err.strip())
                return
            self.refused_later += 1
            self.over.wait(0.2)

    def expect_refusal(self, what):
        """janusctl reload must say no, for good."""
        deadline = Deadline(90)
        while True:
            status, _, err = self.server.reload()
            self.note("janusctl reload, with %s: %d %s" % (what, status, err.strip()))
            if status == 0:
                self.fail("reload: %s was taken" % what)
            elif re.search(LATER, err) and not deadline.over():
                self.over.wait(0.2)
                continue
            return

    def reload_ports(self, rng):
        self.configuration.change_ports(rng)
        self.configuration.write()
        self.reload()
        self.expect_listeners()

    def reload_workers(self, rng):
        """Slots drain, or drain no more, or are made. (Those with connections that stay are not gone as long as these live.)"""
        self.configuration.change_workers(rng)
        self.configuration.write()
        self.reload()

    def upgrade(self, rng):
        other = OTHER_BUILD if os.path.exists(os.path.join(OTHER_BUILD, "janus")) else janus_test.BUILD
        self.program.put(other if self.program.source != other else janus_test.BUILD)
        self.done["upgrades"] += 1
        self.note("the program of " + self.program.source)
        if rng.random() < 0.3:
            self.pair(rng)
        else:
            self.reload()

    def pair(self, rng):
        """Two SIGHUPs, with another configuration for the second one, and sometimes janusctl's in between: the last one counts."""
        self.done["pairs"] += 1
        for _ in range(2):
            self.configuration.change_ports(rng)
            if rng.random() < 0.5:
                self.configuration.change_workers(rng)
            self.configuration.write()
            self.note("SIGHUP for %d workers, %s" % (self.configuration.workers, " ".join(self.configuration.urls())))
            os.kill(self.server.master, signal.SIGHUP)
            self.over.wait(rng.uniform(0.010, 0.030))
        if rng.random() < 0.5:
            self.note("janusctl reload after a pair: %s" % self.server.reload()[0])         # whatever it says
        self.expect_listeners()

    def listeners(self):
        status, out, _ = self.server.ctl("status", "--json")
        return sorted(re.findall(r'"((?:flash|http|packet)://[^"]*)"', out)) if status == 0 else None

    def expect_listeners(self):
        """Those of the configuration, without further orders."""
        wanted = sorted(self.configuration.urls())
        try:
            wait_until(lambda: self.listeners() == wanted, 30, "", pause=0.05)
        except AssertionError:
            self.fail("the server listens on %s, the configuration says %s" % (self.listeners(), wanted))
            self.reload()

    def broken_configuration(self, rng):
        self.done["broken"] += 1
        self.configuration.write(self.configuration.text() + rng.choice(Configuration.BROKEN))
        try:
            self.expect_refusal("a broken configuration")
        finally:
            self.configuration.write()

    def broken_program(self, rng):
        self.done["broken"] += 1
        kind = rng.choice(Program.BROKEN)
        self.program.put_broken(kind)
        try:
            if rng.random() < 0.5:
                self.kill(rng)          # a worker of what runs, while its program is not there
            self.expect_refusal("a program that is none (%s)" % kind)
        finally:
            self.program.put(self.program.source)

    # the end

    def settle(self):
        """All is well again, and stays so."""
        if self.stopped:
            os.kill(self.stopped, signal.SIGCONT)
        self.stopped_until = 0
        self.reload()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: all(w["state"] in ("live", "draining") for w in self.server.status()["workers"]), 20)
            return
        self.fail("not all workers are live: %s" % self.server.status()["workers"])

    def run(self, kills, bursts, stops, replacements, seconds):
        """The threads that bring it all about, started."""
        self.start = time.monotonic()
        threads = [("kill", [self.kill] * kills + [self.burst] * bursts), ("stop", [self.stop] * stops), ("replace", replacements)]
        started = []
        for name, actions in threads:
            rng = self.random(name)
            rng.shuffle(actions)
            started.append(threading.Thread(target=self.spread, args=(rng, actions, seconds), daemon=True))
            started[-1].start()
        return started


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(child) for child in f.read().split()]
    except OSError:
        return []
