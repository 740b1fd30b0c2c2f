#!/usr/bin/env python3
"""Subscribers break off and come back while workers are killed, the server reloaded and its program replaced.

    tests/scenarios/reconnect.py [--subscribers N] [--seconds S] [--rate N] [--every S] [--away S] [--attach PERCENT] [--kills N] [--reloads N] [--upgrades N] ...

janusbench --reconnect: each subscriber drops its connection every few seconds, by FIN, by RST or in silence, and goes on with a new one behind the last
id that it had: with since on a stream by WebSocket, at /ws, in packets and on JSON lines, with Last-Event-ID on event streams. Half of them (--attach) go on with
their session, by its token (attach at /ws and in packets, ?token= on streams), whichever worker they come to, and those who broke off in silence while their
last connection still stands; the others subscribe anew. Most of them have one topic; a second janusbench has some with several. The ring holds a few seconds
only, so that who was away longer gets what history has; that covers all.

The run is good if every subscriber got every message once and was always told `recovered`, or, with --may-miss, was told of all that it did not get; if no
connection was ended by the server. Of a hundred sessions that somebody came back to one may be gone: who then subscribes anew misses nothing either. Upgrades go
back and forth between two builds whose layouts of shared memory differ ($JANUS_BUILD, $JANUS_OTHER_BUILD).
"""
import argparse
import json
import os
import random
import sys
import threading

import chaos
import janus_test
from janus_test import Bench, Server, parse_url, raise_nofile
from programs import OTHER_BUILD, Configuration, Program
from troubles import Troubles

SPEAK = "ws,actions,sse,json-lines,packet"
LOSSES = ("closed_blamed", "closed_slot", "closed_slow", "closed_uncertain", "closed_damaged", "dropped_overtaken", "dropped_unencodable", "no_buffer",
          "history_missed", "history_short")
SEVERAL = 5         # topics of those who have several, a fifth of all


class Setbacks(Troubles):
    """Those during which every address can be connected to."""

    def upgrade(self, rng):
        self.program.put(OTHER_BUILD if self.program.source != OTHER_BUILD else janus_test.BUILD)
        self.done["upgrades"] += 1
        self.note("the program of " + self.program.source)
        self.reload()


class Reconnect:
    def __init__(self, options, build=None):
        self.options = o = options
        self.over = threading.Event()
        self.server = Server(config="")
        self.program = Program(build or janus_test.BUILD, os.path.join(self.server.folder, "bin"))
        self.server.build = self.program.folder
        self.configuration = Configuration(self.server, o.workers, [
            "history = " + o.history, "history_bytes = 512M", "ring_messages = %d" % o.ring, "ring_bytes = 4M",
            "max_parked = 50000"])     # each who subscribes anew leaves one
        self.troubles = Setbacks(self.server, self.program, self.configuration, o.seed, self.over)
        self.failures, self.found = [], []

    def bench(self, addresses, part, topics, *arguments):
        o = self.options
        return Bench(addresses, "--speak", SPEAK, "-n", max(1, int(o.subscribers * part)), "-T", topics, "--rate", max(1, o.rate * part), "--while-running", o.seconds,
                     "--reconnect", o.every, "--away", o.away, "--attach", o.attach, "-p", 3, "--timeout", o.timeout, *arguments, pid=self.server.master)

    def run(self):
        o = self.options
        raise_nofile(1000)
        self.server.start()
        addresses = {protocol: parse_url(url) for protocol, url in zip(("flash", "http", "packet"), self.configuration.urls())}
        benches = [self.bench(addresses, 0.8, o.topics, "--publish", "packet"),
                   self.bench(addresses, 0.2, max(1, o.topics // 5), "--publish", "ws", "--topic", "several", "--topics-per-subscriber", SEVERAL)]
        try:
            rng = random.Random(o.seed)
            self.troubles.run(o.seconds, [lambda rng: self.troubles.reload()] * o.reloads + [self.troubles.reload_workers] * o.resizes +
                              [self.troubles.upgrade] * o.upgrades, kills=o.kills, bursts=o.bursts)
            self.found = [chaos.Chaos.wait(bench, o.seconds + o.timeout + 60) for bench in benches]
            self.over.set()
            self.troubles.wait()
            if not self.server.running():
                raise AssertionError("the server has ended with status %d" % self.server.process.returncode)
            self.troubles.settle()
            self.check()
        finally:
            self.over.set()
            for bench in benches:
                bench.kill()

    def check(self):
        counters = self.server.stats()["counters"]
        lost = {name: counters[name] for name in LOSSES if counters.get(name)}
        if lost and not self.options.may_miss:
            self.failures.append("janusctl counts losses: %s" % lost)
            self.failures += [line for line in self.server.log().splitlines() if "closing it" in line or "it is closed" in line]
        for status, figures, said in self.found:
            if status != 0 or figures["late"]:
                self.failures.append("janusbench: status %d%s" % (status, ", and not all came" if figures and figures["late"] else ""))
            elif figures["reconnects"]["not_recovered"] and not self.options.may_miss:
                self.failures.append("%d were told that something is missing, and all is kept" % figures["reconnects"]["not_recovered"])
        gone, attached = (sum(figures["reconnects"][name] for _, figures, _ in self.found if figures) for name in ("gone", "attached"))
        if gone * 100 > attached:
            self.failures.append("%d came back to their session, and it was gone; %s" % (
                gone, {name: counters[name] for name in counters if "park" in name or name == "attached"}))

    def end(self):
        try:
            if self.server.running():
                self.server.stop()
            self.failures += self.server.complaints()
        except AssertionError as e:
            self.failures.append(str(e))
        finally:
            self.server.destroy()

    def figures(self):
        """What the janusbenches counted, summed up."""
        found = [figures for _, figures, _ in self.found if figures]
        sums = {name: sum(f["reconnects"][name] for f in found) for name in found[0]["reconnects"] if name != "answered_ms"} if found else {}
        return {"published": sum(f["published"] for f in found), "deliveries": sum(f["deliveries"] for f in found),
                "connections_lost": sum(f["faults"]["connections_lost"] for f in found), **sums}

    def report(self):
        t = self.troubles
        lines = ["seed %d: %d kills, %d reloads, %d upgrades" % (self.options.seed, t.done["kills"], t.done["reloads"], t.done["upgrades"])]
        lines.append("janusbench: " + json.dumps(self.figures()))
        lines += ["answered after, ms: " + json.dumps(f["reconnects"]["answered_ms"]) for _, f, _ in self.found if f]
        return lines


def parse(arguments=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1000000))
    p.add_argument("--subscribers", type=int, default=300)
    p.add_argument("--topics", type=int, default=20)
    p.add_argument("--rate", type=int, default=300, help="messages a second")
    p.add_argument("--seconds", type=int, default=8)
    p.add_argument("--every", type=float, default=1, help="seconds that a connection is kept, about")
    p.add_argument("--away", type=float, default=2, help="seconds until half of them come back; the others do at once")
    p.add_argument("--attach", type=int, default=50, help="so many of a hundred come back by their session's token")
    p.add_argument("--workers", type=int, default=3, help="at first; --resizes make them 1 to 6")
    p.add_argument("--kills", type=int, default=20)
    p.add_argument("--bursts", type=int, default=1, help="each is 10 kills of one slot's worker, 0.1 s apart")
    p.add_argument("--reloads", type=int, default=1)
    p.add_argument("--resizes", type=int, default=1, help="reloads with another number of workers")
    p.add_argument("--upgrades", type=int, default=2)
    p.add_argument("--history", default="*: 1000000 messages")
    p.add_argument("--ring", type=int, default=1024, help="messages in the ring")
    p.add_argument("--may-miss", action="store_true", help="history does not cover it all: what is missing must be told")
    p.add_argument("--timeout", type=int, default=60, help="seconds that a janusbench waits for what is missing")
    return p.parse_args(arguments)


def run(options, build=None):
    """(good, report, figures)"""
    r = Reconnect(options, build)
    try:
        r.run()
    except Exception as e:
        r.failures.append("%s: %s" % (type(e).__name__, e))
    log = r.server.log()
    r.end()
    failures = r.troubles.failures + r.failures
    lines = r.report() + failures
    if failures:
        lines += [said for _, _, said in r.found if said.strip()] + ["the log's end:"] + log.splitlines()[-60:] + ["what was done:"] + r.troubles.history[-60:]
    return not failures, "\n".join(lines), r.figures()


def main():
    options = parse()
    print("reconnect: seed %d" % options.seed, flush=True)
    good, said, _ = run(options)
    print(said)
    print("reconnect: " + ("nothing was lost, nothing came twice" if good else "FAILED"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
