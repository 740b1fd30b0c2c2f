#!/usr/bin/env python3
"""What history costs a publish: CPU of the workers for messages to topics that have a rule in `history`, beside the same to topics that have none,
and to a server without any rule.

    tests/bench/history_cost.py [--build build] [--rounds N] [--messages N] [--size BYTES] [--publishers N] [--topics N] [--keep RULE] [--json FILE] [CASE...]

Short rounds by turns (kept, plain, bare, bare, plain, kept, ...), so that what else the machine does falls on all alike: kept and plain are topics of one
server, bare are those of a second one, whose `history` is empty. A round's cost is what /proc/PID/schedstat says of the workers, in ns, from when they sleep
until they sleep again; two rounds of one turn are a ratio. Printed are the median of the ratios and the middle half of them, and the median costs. A
round is bursts, and each burst begins when the one before it has come to the subscriber, so that workers take the same in the same pieces every time.
History is full before the first round: each message that is kept has an old one given up.

  single      bursts of one message, on one connection
  burst       each connection sends 16 at once
  batch       each connection sends 64 at once, which is one batch of a worker
  none        the same without a subscriber: what is not kept is not even stored then
  post        one message after the other, by POST with an answer each
"""
import argparse
import json
import os
import socket
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenarios"))
KINDS = "kept", "plain", "bare"
OPTIONS = "keep_alive=24h", "heartbeat=24h"         # nothing else comes meanwhile


def cpu_ns(pids):
    """CPU time, exact for who sleeps."""
    total = 0
    for pid in pids:
        with open("/proc/%d/schedstat" % pid) as f:
            total += int(f.read().split()[0])
    return total


class Load:
    """The connections to one server."""

    def __init__(self, server, options, kinds):
        self.server, self.options = server, options
        self.workers = server.workers()
        data = "x" * options.size
        self.names = {kind: ["%s-%d" % (kind, i) for i in range(options.topics)] for kind in kinds}
        self.frames = {kind: [('{"action":"publish","topic":"%s","event":"price","data":"%s"}\0' % (name, data)).encode() for name in names]
                       for kind, names in self.names.items()}
        self.posts = {kind: [("POST /pub/%s?event=price HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (name, len(data), data)).encode()
                             for name in names] for kind, names in self.names.items()}
        self.publishers = [self.connect("flash") for _ in range(options.publishers)]
        self.posters = [self.connect("http") for _ in range(options.publishers)]
        self.subscriber = None

    def connect(self, protocol):
        s = socket.create_connection(self.server.address(protocol), 10)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if protocol == "flash":
            self.until(s, b"\1", 1)         # the greeting
        return s

    @staticmethod
    def until(s, mark, count):
        while count > 0:
            data = s.recv(1 << 20)
            if not data:
                raise SystemExit("the server has closed a connection")
            count -= data.count(mark)

    def subscribe(self):
        self.subscriber = self.connect("flash")
        for names in self.names.values():
            for name in names:
                self.subscriber.sendall(('{"action":"subscribe","data":"%s"}\0' % name).encode())
        self.until(self.subscriber, b"\1", sum(len(names) for names in self.names.values()))

    def unsubscribe(self):
        self.subscriber.close()
        self.subscriber = None
        deadline = time.monotonic() + 10
        while self.server.subscriptions():
            if time.monotonic() > deadline:
                raise SystemExit("the subscriber's end is not noticed")
            time.sleep(0.01)

    def bursts(self, kind, messages, size, senders):
        """So many frames of each sender at once, again and again."""
        frames = self.frames[kind]
        blocks = [b"".join(frames[(i + n * size) % len(frames)] for n in range(size)) for i in range(len(senders))]
        count = 0
        while count < messages:
            for s, block in zip(senders, blocks):
                s.sendall(block)
            count += size * len(senders)
            if self.subscriber:
                self.until(self.subscriber, b"\1", size * len(senders))
            else:
                self.fence(senders)
        return count

    def fence(self, senders):
        """All that was published is dealt with: an answer that comes behind it."""
        for s in senders:
            s.sendall(b'{"action":"subscribe","data":"fence"}\0{"action":"unsubscribe","data":"fence"}\0')
        for s in senders:
            self.until(s, b"\1", 1)

    def single(self, kind, messages):
        return self.bursts(kind, messages // 10, 1, self.publishers[:1])

    def burst(self, kind, messages):
        return self.bursts(kind, messages, 16, self.publishers)

    def batch(self, kind, messages):
        return self.bursts(kind, messages, 64, self.publishers)

    none = batch

    def post(self, kind, messages):
        posts = self.posts[kind]
        for i in range(messages // 10):
            s = self.posters[i % len(self.posters)]
            s.sendall(posts[i % len(posts)])
            self.until(self.subscriber, b"\1", 1)
            self.until(s, b"}\n", 1)
        return messages // 10

    def round(self, way, kind):
        """ns of the workers' CPU for one message."""
        time.sleep(0.003)               # workers sleep now, and have been charged for what they did
        before = cpu_ns(self.workers)
        count = way(kind, self.options.messages)
        time.sleep(0.003)
        return (cpu_ns(self.workers) - before) / count


def quartiles(values):
    return statistics.quantiles(values, n=4, method="inclusive")


def compare(costs, other):
    """The ratios of kept to another kind, in words."""
    low, middle, high = quartiles([kept / than for kept, than in zip(costs["kept"], costs[other])])
    return {"ratio": middle, "low": low, "high": high}, "kept / %s %.3f (middle half %.3f to %.3f)" % (other, middle, low, high)


def measure(loads, case, rounds, say):
    """`loads`: by kind."""
    for load in set(loads.values()):
        if case != "none":
            load.subscribe()
    for kind in KINDS * 5:
        loads[kind].round(getattr(loads[kind], case), kind)
    costs = {kind: [] for kind in KINDS}
    for n in range(rounds):
        for kind in KINDS if n % 2 == 0 else KINDS[::-1]:
            costs[kind].append(loads[kind].round(getattr(loads[kind], case), kind))
    for load in set(loads.values()):
        if case != "none":
            load.unsubscribe()
    plain, said = compare(costs, "plain")
    bare, more = compare(costs, "bare")
    say("%-7s %s; %s; %s ns of the workers' CPU a message" % (case, said, more, ", ".join("%.0f" % statistics.median(costs[kind]) for kind in KINDS)))
    return {"case": case, "plain": plain, "bare": bare, **{kind + "_ns": statistics.median(costs[kind]) for kind in KINDS}}


CASES = "single", "burst", "batch", "none", "post"


def parse(arguments=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("--rounds", type=int, default=200, help="turns")
    p.add_argument("--messages", type=int, default=2560, help="in a round; a tenth of that one by one")
    p.add_argument("--size", type=int, default=200, help="bytes of data")
    p.add_argument("--publishers", type=int, default=4, help="connections")
    p.add_argument("--topics", type=int, default=10)
    p.add_argument("--workers", type=int, default=1, help="with more than one, what a publish costs depends on which of them has which connection")
    p.add_argument("--keep", default="100 messages", help="of each topic")
    p.add_argument("--json", help="what was found, as JSON")
    p.add_argument("case", nargs="*", help="some of " + " ".join(CASES))
    options = p.parse_args(arguments)
    for case in options.case:
        if case not in CASES:
            p.error("no such case: " + case)
    return options


def run(options, say=print):
    """What was found, a dict for each case; `say`: a line for each."""
    from janus_test import Server
    listen = "flash://127.0.0.1:0", "http://127.0.0.1:0"
    servers = [Server(*OPTIONS, *history, workers=options.workers, listen=listen) for history in (["history=kept-*: " + options.keep], [])]
    try:
        keeping, bare = (Load(server.start(), options, kinds) for server, kinds in zip(servers, (KINDS[:2], KINDS[2:])))
        return [measure(dict(zip(KINDS, (keeping, keeping, bare))), case, options.rounds, say) for case in options.case or CASES]
    finally:
        for server in servers:
            if server.running():
                server.stop()
            server.destroy()


def main():
    options = parse()
    os.environ["JANUS_BUILD"] = os.path.abspath(options.build)
    found = run(options, lambda line: print(line, flush=True))
    if options.json:
        with open(options.json, "w") as f:
            json.dump(found, f, indent=1)


if __name__ == "__main__":
    main()
