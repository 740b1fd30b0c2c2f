#!/usr/bin/env python3
"""Chaos: subscribers and publishers go on while workers, keepers, spares and masters are killed, processes stopped, the server reloaded and its program replaced.

    tests/scenarios/chaos.py [--seed N] [--seconds S] [--subscribers N] [--large N] [--workers N] [--kills N] [--keepers N] [--spares N] [--masters N]
                             [--bursts N] [--stops N] [--reloads N] [--pairs N] [--upgrades N] [--broken N] [--io auto|uring|send] ...

Four janusbench check every byte: two with many subscribers and small messages, two with messages up to 200,000 bytes, small receive buffers and
readers who pause again and again; of each pair one speaks TLS. Beside them, witnesses (witnesses.py) publish in all ways that are answered, and some of them subscribe and
unsubscribe all the time; every second one of them speaks TLS. What is done to the server meanwhile is in troubles.py: also reloads in pairs, other ports and numbers of workers,
upgrades back and forth between two builds whose layouts of shared memory differ ($JANUS_BUILD, $JANUS_OTHER_BUILD; without the latter to
the same program anew), configurations and programs that are broken, processes that are stopped for up to 3 s. Settings are the
defaults, restart_limit with them, but for how long a client may take.

The run is good if no connection and no message was lost, doubled, reordered or torn, each message that is to be answered was answered
once and truly, each reload did what it should, and the server's counters agree. Exit status 0 then. --seed has the same things done
again; not to the microsecond, of course.
"""
import argparse
import json
import os
import random
import re
import signal
import statistics
import sys
import threading

import janus_test
from janus_test import Bench, Server, parse_url, wait_until
from programs import Configuration, Program
from tls_test import Certificates
from troubles import Troubles
from witnesses import WITHIN_TLS, Witnesses

LOSSES = ("closed_blamed", "closed_slot", "closed_slow", "closed_uncertain", "dropped_overtaken", "no_buffer", "bad_input")
OTHER_LOSSES = ("dropped_unencodable", "closed_damaged")        # counted only by some versions

# Connections that are idle must live as long as the run: their being closed would be a loss. And on a slow machine the set-up takes a while: hundreds of
# handshakes at once, all by one client; and witnesses that answer no ping before all the others are there.
PATIENT = ("keep_alive = 24h", "tls_handshake_timeout = 10m", "http_timeout = 10m", "peer_timeout = 10m")


class Chaos:
    def __init__(self, options, build=None):
        self.options = o = options
        self.over = threading.Event()
        self.server = Server(config="")
        self.program = Program(build or janus_test.BUILD, os.path.join(self.server.folder, "bin"))
        self.server.build = self.program.folder
        self.certificates = Certificates()
        self.configuration = Configuration(self.server, o.workers, ["io = " + o.io, *PATIENT, "tls_certificate = " + self.certificates.make("localhost")] +
                                           [s.replace("=", " = ", 1) for s in o.o], WITHIN_TLS.values())
        self.troubles = Troubles(self.server, self.program, self.configuration, o.seed, self.over)
        self.witnesses = None
        self.failures = []
        self.found = []         # of each janusbench: exit status, figures, what it said

    def replacements(self):
        t, o = self.troubles, self.options
        rng = random.Random(o.seed)
        return ([rng.choice((lambda rng: t.reload(), t.reload_ports, t.reload_workers)) for _ in range(o.reloads)] + [t.pair] * o.pairs +
                [t.upgrade] * o.upgrades + [rng.choice((t.broken_program, t.broken_program, t.broken_configuration)) for _ in range(o.broken)])

    def benches(self, addresses):
        """Without TLS, and within it."""
        plain = {protocol: addresses[protocol] for protocol in WITHIN_TLS}
        within = {protocol: addresses[protocol] for protocol in WITHIN_TLS.values()}
        return self.pair(plain, "") + self.pair(within, "-tls", "--ca", self.certificates.path("ca.pem"))

    def pair(self, addresses, suffix, *more):
        """Each has a half of the load."""
        o = self.options
        common = ["--speak", o.speak, "-p", max(1, o.publishers // 2), "--while-running", o.seconds, "--timeout", o.timeout, *more]
        many = Bench(addresses, "-n", o.subscribers // 2, "-T", o.topics, "--topic", "many" + suffix, "--rate", o.rate / 2, "--slow", o.slow // 2,
                     "--slow-s", min(5, o.seconds / 4), *common, pid=self.server.master, hold=True)
        if not o.large:
            return [many]
        n = o.large // 2
        return [many, Bench(addresses, "-n", n, "-T", o.large_topics, "--topic", "large" + suffix, "--rate", o.large_rate / 2, "--size", o.large_least, "--size-max", 200000,
                            "--publish", random.Random(o.seed).choice(("flash", "ws", "packet", "http")), "--small", n // 2,
                            "--slow", n // 5, "--slow-again", "--slow-s", 1, *common, pid=self.server.master, hold=True)]

    def run(self):
        o = self.options
        self.server.start()
        addresses = {url.partition("://")[0]: parse_url(url) for url in self.configuration.urls()}
        self.witnesses = Witnesses(addresses, o.pause, visitors=True, tls=self.certificates.client())
        self.witnesses.moves = True
        benches = self.benches(addresses)
        try:
            for bench in benches:
                bench.wait_ready(120)       # (those without TLS are ready long before the others, on a busy machine)
            wait_until(lambda: self.server.connections() >= o.subscribers + o.large + self.witnesses.connections, 120, "all subscribers", pause=0.1)
            for bench in benches:
                bench.release()
            self.witnesses.start()
            self.troubles.run(o.seconds - 1, self.replacements(), o.kills, o.keepers, o.spares, o.masters, o.bursts, o.stops)
            self.found = [self.wait(bench, o.seconds + 180) for bench in benches]
            self.over.set()
            self.troubles.wait()
            if not self.server.running():
                raise AssertionError("the server has ended with status %d" % self.server.process.returncode)
            self.troubles.settle()
            self.failures += self.witnesses.stop(o.patience)
            self.check_counters()
        finally:
            self.over.set()
            for bench in benches:
                bench.kill()

    @staticmethod
    def wait(bench, seconds):
        status = bench.process.wait(seconds * janus_test.SLOWNESS)
        bench.kill()
        bench.output.seek(0)
        bench.errors.seek(0)
        out, said = bench.output.read().decode(), bench.errors.read().decode(errors="replace")
        return status, json.loads(out) if out.strip() else None, said

    def check_counters(self):
        counters = self.server.stats()["counters"]
        lost = {name: counters.get(name, 0) for name in LOSSES + OTHER_LOSSES if counters.get(name, 0)}
        if lost:
            self.failures.append("janusctl counts losses: %s" % lost)

    def pauses(self):
        """Milliseconds in which a slot had no worker, from the log."""
        return [float(ms) for ms in re.findall(r"took over \d+ connections in ([0-9.]+) ms", self.server.log())]

    def end(self):
        if self.witnesses:
            self.witnesses.close()
        try:
            if self.server.running():
                self.server.stop(signal.SIGTERM, 20)
            self.failures += self.server.complaints()
        except AssertionError as e:
            self.failures.append(str(e))
        finally:
            self.server.destroy()
            self.troubles.ended.set()
            self.certificates.remove()


def parse(arguments=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1000000))
    p.add_argument("--subscribers", type=int, default=1000, help="of the small messages")
    p.add_argument("--speak", default="flash,ws,sse,json-lines,packet")
    p.add_argument("--topics", type=int, default=4)
    p.add_argument("--workers", type=int, default=4, help="at first; reloads make them 1 to 6")
    p.add_argument("--publishers", type=int, default=4)
    p.add_argument("--rate", type=int, default=200)
    p.add_argument("--large", type=int, default=500, help="subscribers of the large messages")
    p.add_argument("--large-topics", type=int, default=1)
    p.add_argument("--large-least", type=int, default=40, help="bytes")
    p.add_argument("--large-rate", type=int, default=10)
    p.add_argument("--seconds", type=int, default=15)
    p.add_argument("--kills", type=int, default=60, help="of workers")
    p.add_argument("--keepers", type=int, default=20, help="kills of keepers")
    p.add_argument("--spares", type=int, default=8, help="kills of spares")
    p.add_argument("--masters", type=int, default=20, help="kills of masters, which are started anew")
    p.add_argument("--bursts", type=int, default=1, help="each is 10 kills of one slot's worker, 0.1 s apart")
    p.add_argument("--stops", type=int, default=6)
    p.add_argument("--reloads", type=int, default=4)
    p.add_argument("--pairs", type=int, default=2, help="of SIGHUPs, 10 to 30 ms apart")
    p.add_argument("--upgrades", type=int, default=3)
    p.add_argument("--broken", type=int, default=3, help="configurations and programs")
    p.add_argument("--slow", type=int, default=10)
    p.add_argument("--pause", type=float, default=0.25, help="seconds between a witness's messages")
    p.add_argument("--timeout", type=int, default=90, help="seconds that a janusbench waits for what is missing")
    p.add_argument("--patience", type=int, default=60, help="the same of the witnesses")
    p.add_argument("--log", help="a file for the server's whole log, and what was done")
    p.add_argument("--io", default="auto")
    p.add_argument("-o", action="append", default=[])
    return p.parse_args(arguments)


def run(options, build=None):
    """(good, report)"""
    chaos = Chaos(options, build)
    try:
        chaos.run()
    except Exception as e:
        chaos.failures.append("%s: %s" % (type(e).__name__, e))
    finally:
        pauses = sorted(chaos.pauses())
        log = chaos.server.log()
        if options.log:
            keep(options.log, log.splitlines() + chaos.troubles.history)
        chaos.end()
    return report(chaos, pauses, log)


def keep(path, lines):
    """By time, which both begin with."""
    with open(path, "w") as f:
        f.writelines(line + "\n" for line in sorted(lines))


def report(chaos, pauses, log):
    found = chaos.found
    failures = chaos.troubles.failures + chaos.failures
    lines = ["seed %d: " % chaos.options.seed + ", ".join("%d %s" % (n, name) for name, n in chaos.troubles.done.items()) +
             "; %d times a reload had to wait" % chaos.troubles.refused_later]
    lines += ["%-20s %3d times, median %.1f s, p90 %.1f s" % (name, len(took), statistics.median(took), sorted(took)[int(len(took) * 0.9)])
              for name, took in sorted(chaos.troubles.took.items())]
    if pauses:
        lines.append("a slot without a worker: %d times, median %.1f ms, p99 %.1f ms, max %.1f ms" % (
            len(pauses), statistics.median(pauses), pauses[int(len(pauses) * 0.99)], pauses[-1]))
    for _, figures, _ in found:
        if figures:
            lines.append("janusbench: " + json.dumps({k: figures[k] for k in figures if k in ("deliveries", "faults", "good", "slow_caught_up")}))
    if chaos.witnesses:
        lines.append("witnesses: %d messages, %d answers, %d visits" % (
            chaos.witnesses.published(), chaos.witnesses.answered(), chaos.witnesses.visits()))
    lines += failures
    good = bool(found) and not failures and all(status == 0 for status, _, _ in found)
    if not good:
        lines += [said for _, _, said in found if said.strip()]
        lines += ["the log, but for what is always there:"]
        lines += [line for line in log.splitlines() if not re.search(r"took over|room for|signal 9", line)][-100:]
        lines += ["what was done, but for kills:"] + chaos.troubles.history[-100:]
    return good, "\n".join(lines)


def main():
    options = parse()
    print("chaos: seed %d" % options.seed, flush=True)
    good, said = run(options)
    print(said)
    print("chaos: " + ("nothing was lost" if good else "FAILED"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
