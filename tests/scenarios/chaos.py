#!/usr/bin/env python3
"""Chaos: subscribers and publishers go on while workers are killed, the server is reloaded and its program replaced.

    tests/scenarios/chaos.py [--subscribers N] [--speak LIST] [--workers N] [--seconds S] [--kills N] [--reloads N] [--upgrades N]
                             [--io auto|uring|send]

janusbench checks every byte: the run is good if no connection and no message was lost, doubled, reordered or torn. Its subscribers speak all
transports, and some stop reading for a while. Beside it, witnesses (witnesses.py) publish in all ways that are answered: the run is good if
each of their messages was answered once and seen once. Upgrades go back and forth between two builds whose layouts of shared memory differ, if both are there ($JANUS_BUILD,
$JANUS_OTHER_BUILD); else to the same program put there anew. Exit status 0 if all is well.
"""
import argparse
import json
import os
import random
import re
import shutil
import signal
import statistics
import sys
import threading
import time

import janus_test
from janus_test import ROOT, Bench, Server, wait_until
from web_clients import WEB
from witnesses import Witnesses

OTHER_BUILD = os.path.join(ROOT, os.environ.get("JANUS_OTHER_BUILD", "build/layout98"))


class Program:
    """A folder of its own with the program, which can be replaced as a package manager does it: by a rename."""

    def __init__(self, build, folder):
        self.folder = folder
        os.mkdir(folder)
        self.put(build)

    def put(self, build):
        for name in ("janusctl", "janus"):
            new = os.path.join(self.folder, name + ".new")
            shutil.copy(os.path.join(build, name), new)
            os.rename(new, os.path.join(self.folder, name))
        self.source = build


class Chaos:
    def __init__(self, options, build=None):
        self.options = options
        self.random = random.Random(options.seed)
        # Connections that are idle must live as long as the run: their being closed would be a loss.
        self.server = Server("restart_limit=1000000", "keep_alive=24h", "io=" + options.io, *options.o, workers=options.workers, listen=WEB)
        self.witnesses = None
        self.program = Program(build or janus_test.BUILD, os.path.join(self.server.folder, "bin"))
        self.server.build = self.program.folder
        self.done = {"kills": 0, "reloads": 0, "upgrades": 0}
        self.failures = []

    # what happens

    def kill(self):
        """A random worker, as found in the kernel: janusctl may be behind."""
        workers = []
        for keeper in self.keepers:
            try:
                with open("/proc/%d/task/%d/children" % (keeper, keeper)) as f:
                    workers += [int(pid) for pid in f.read().split()]
            except OSError:
                pass
        if workers:
            pid = self.random.choice(workers)
            try:
                self.server.kill(pid, "worker")
                self.done["kills"] += 1
            except ProcessLookupError:
                pass

    def reload(self, what="reloads"):
        status, _, err = self.server.reload()
        self.done[what] += 1
        if status != 0:
            self.failures.append("reload: status %d: %s" % (status, err.strip()))

    def upgrade(self):
        other = OTHER_BUILD if os.path.exists(os.path.join(OTHER_BUILD, "janus")) else janus_test.BUILD
        self.program.put(other if self.program.source != other else janus_test.BUILD)
        self.reload("upgrades")

    def spread(self, action, count, start, seconds):
        """`count` times at random moments; those that take long are caught up with."""
        for moment in sorted(self.random.random() * seconds for _ in range(count)):
            left = start + moment - time.monotonic()
            if left > 0 and self.over.wait(left):
                return
            action()

    def replace(self, start, seconds):
        """Reloads and upgrades in turn: one at a time, as janusctl refuses two."""
        actions = [self.reload] * self.options.reloads + [self.upgrade] * self.options.upgrades
        self.random.shuffle(actions)
        actions = iter(actions)
        self.spread(lambda: next(actions)(), self.options.reloads + self.options.upgrades, start, seconds)

    # the run

    def run(self):
        o = self.options
        self.server.start()
        self.keepers = self.server.keepers()
        self.over = threading.Event()
        addresses = {protocol: self.server.address(protocol) for protocol in ("flash", "http", "packet")}
        self.witnesses = Witnesses(addresses, o.pause)
        bench = Bench(addresses, "-n", o.subscribers, "-T", o.topics, "--speak", o.speak, "-p", o.publishers, "--rate", o.rate,
                      "--while-running", o.seconds, "--slow", o.slow, "--slow-s", min(5, o.seconds / 4), "--timeout", 120,
                      pid=self.server.master)
        try:
            wait_until(lambda: self.server.connections() >= o.subscribers + self.witnesses.connections, 120, "all subscribers")
            self.witnesses.start()
            start = time.monotonic()
            seconds = o.seconds - 1
            threads = [threading.Thread(target=self.spread, args=(self.kill, o.kills, start, seconds)),
                       threading.Thread(target=self.replace, args=(start, seconds))]
            for thread in threads:
                thread.start()
            status, figures = self.wait(bench, o.seconds + 180)
            self.over.set()
            for thread in threads:
                thread.join()
            self.failures += self.witnesses.stop()
            return status, figures
        finally:
            self.over.set()
            bench.kill()

    @staticmethod
    def wait(bench, seconds):
        status = bench.process.wait(seconds * janus_test.SLOWNESS)
        bench.kill()
        bench.output.seek(0)
        bench.errors.seek(0)
        out, bench.said = bench.output.read().decode(), bench.errors.read().decode()
        return status, (json.loads(out) if out.strip() else None, bench.said)

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


def parse(arguments=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--subscribers", type=int, default=2000)
    p.add_argument("--speak", default="flash,ws,sse,comet,packet")
    p.add_argument("--topics", type=int, default=4)
    p.add_argument("--workers", type=int, default=4)
    p.add_argument("--publishers", type=int, default=4)
    p.add_argument("--rate", type=int, default=300)
    p.add_argument("--seconds", type=int, default=15)
    p.add_argument("--kills", type=int, default=60)
    p.add_argument("--reloads", type=int, default=5)
    p.add_argument("--upgrades", type=int, default=2)
    p.add_argument("--slow", type=int, default=10)
    p.add_argument("--pause", type=float, default=0.25, help="seconds between a witness's messages")
    p.add_argument("--io", default="auto")
    p.add_argument("--seed", type=int, default=None)
    p.add_argument("-o", action="append", default=[])
    return p.parse_args(arguments)


def run(options, build=None):
    """(good, report)"""
    chaos = Chaos(options, build)
    try:
        status, (figures, said) = chaos.run()
        pauses = sorted(chaos.pauses())
    finally:
        chaos.end()
    lines = ["%(kills)d kills, %(reloads)d reloads, %(upgrades)d upgrades" % chaos.done]
    if pauses:
        lines.append("a slot without a worker: %d times, median %.1f ms, p99 %.1f ms, max %.1f ms" % (
            len(pauses), statistics.median(pauses), pauses[int(len(pauses) * 0.99)], pauses[-1]))
    if figures:
        lines.append("janusbench: " + json.dumps({k: figures[k] for k in figures if k in ("delivered", "faults", "pauses", "slow")}))
    lines.append("witnesses: %d messages, %d answers" % (chaos.witnesses.published(), chaos.witnesses.answered()))
    lines += chaos.failures
    if status != 0:
        lines += [said]
    return status == 0 and not chaos.failures, "\n".join(lines)


def main():
    good, report = run(parse())
    print(report)
    print("chaos: " + ("nothing was lost" if good else "FAILED"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
