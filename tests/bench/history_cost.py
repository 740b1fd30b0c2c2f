#!/usr/bin/env python3
"""What history costs a publish: CPU of the workers for messages to topics that have a rule in `history`, beside the same to topics that have none.

    tests/bench/history_cost.py [--build build] [--rounds N] [--messages N] [--size BYTES] [--publishers N] [--topics N] [--keep RULE] [--json FILE] [CASE...]

One server, two sets of topics, rounds by turns (kept, plain, plain, kept, kept, ...), so that what else the machine does falls on both alike. A round's cost is what
/proc/PID/schedstat says of the workers, in ns, until all has arrived; a pair of rounds is a ratio. Printed are the median of the ratios, the
middle half of them, and the median cost of either kind. History is full before the first round: each message that is kept has an old one given up.

  flood       each connection publishes as fast as it is taken (a worker takes many at a time), one subscriber
  flood-none  the same without a subscriber: what is not kept is not even stored then
  single      one message after the other, each sent when the one before it has come to the subscriber
  post        the same, by POST with an answer each
"""
import argparse
import json
import os
import select
import socket
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenarios"))
KINDS = "kept", "plain"


def cpu_ns(pids):
    """CPU time, exact for who sleeps."""
    total = 0
    for pid in pids:
        with open("/proc/%d/schedstat" % pid) as f:
            total += int(f.read().split()[0])
    return total


class Load:
    """The connections to one server."""

    def __init__(self, server, options):
        self.server, self.options = server, options
        self.workers = server.workers()
        data = "x" * options.size
        self.names = {kind: ["%s-%d" % (kind, i) for i in range(options.topics)] for kind in KINDS}
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

    def flood(self, kind, messages):
        """Each connection sends its share, the subscriber reads."""
        frames, share = self.frames[kind], messages // len(self.publishers)
        block = b"".join(frames[i % len(frames)] for i in range(share))
        left = {s.fileno(): (s, memoryview(block)) for s in self.publishers}
        due = share * len(left) if self.subscriber else 0
        reader = self.subscriber.fileno() if self.subscriber else -1
        poll = select.poll()
        for fd in left:
            poll.register(fd, select.POLLOUT)
        if due:
            poll.register(reader, select.POLLIN)
        while left or due > 0:
            for fd, _ in poll.poll(20000) or sys.exit("nothing goes on any more"):
                if fd == reader:
                    due -= self.subscriber.recv(1 << 20).count(b"\1")
                    continue
                s, rest = left[fd]
                n = s.send(rest[:65536], socket.MSG_DONTWAIT)
                if n < len(rest):
                    left[fd] = s, rest[n:]
                else:
                    del left[fd]
                    poll.unregister(fd)
        return share * len(self.publishers)

    def fence(self):
        """All that was published is dealt with: an answer that comes behind it."""
        for s in self.publishers:
            s.sendall(b'{"action":"subscribe","data":"fence"}\0{"action":"unsubscribe","data":"fence"}\0')
        for s in self.publishers:
            self.until(s, b"\1", 1)

    def flood_none(self, kind, messages):
        count = self.flood(kind, messages)
        self.fence()
        return count

    def one_by_one(self, senders, frames, messages, mark):
        for i in range(messages):
            s = senders[i % len(senders)]
            s.sendall(frames[i % len(frames)])
            self.until(self.subscriber, b"\1", 1)
            if mark:
                self.until(s, mark, 1)
        return messages

    def single(self, kind, messages):
        return self.one_by_one(self.publishers, self.frames[kind], messages // 10, None)

    def post(self, kind, messages):
        return self.one_by_one(self.posters, self.posts[kind], messages // 10, b"}\n")

    def round(self, way, kind):
        """ns of the workers' CPU for one message."""
        time.sleep(0.005)               # workers sleep now, and have been charged for what they did
        before = cpu_ns(self.workers)
        count = way(kind, self.options.messages)
        time.sleep(0.005)
        return (cpu_ns(self.workers) - before) / count


def quartiles(values):
    return statistics.quantiles(values, n=4, method="inclusive")


def measure(load, case, rounds):
    way = getattr(load, case.replace("-", "_"))
    if case != "flood-none":
        load.subscribe()
    for kind in KINDS:
        load.round(way, kind)
    costs = {kind: [] for kind in KINDS}
    for n in range(rounds):
        for kind in KINDS if n % 2 == 0 else KINDS[::-1]:
            costs[kind].append(load.round(way, kind))
    if case != "flood-none":
        load.unsubscribe()
    ratios = [kept / plain for kept, plain in zip(costs["kept"], costs["plain"])]
    low, middle, high = quartiles(ratios)
    found = {"case": case, "ratio": middle, "ratio_low": low, "ratio_high": high, **{k + "_ns": statistics.median(v) for k, v in costs.items()}}
    print("%-11s kept / plain: %.3f (middle half %.3f to %.3f); %.0f and %.0f ns of the workers' CPU a message; %d pairs of rounds" % (
        case, middle, low, high, found["kept_ns"], found["plain_ns"], rounds), flush=True)
    return found


CASES = "flood", "flood-none", "single", "post"


def parse(arguments=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("--rounds", type=int, default=40, help="pairs")
    p.add_argument("--messages", type=int, default=40000, help="in a round; a tenth of that one by one")
    p.add_argument("--size", type=int, default=200, help="bytes of data")
    p.add_argument("--publishers", type=int, default=4, help="connections")
    p.add_argument("--topics", type=int, default=10)
    p.add_argument("--workers", type=int, default=2)
    p.add_argument("--keep", default="100 messages", help="of each topic")
    p.add_argument("--json", help="what was found, as JSON")
    p.add_argument("case", nargs="*", help="some of " + " ".join(CASES))
    options = p.parse_args(arguments)
    for case in options.case:
        if case not in CASES:
            p.error("no such case: " + case)
    return options


def run(options):
    """What was found, by case."""
    os.environ["JANUS_BUILD"] = os.path.abspath(options.build)
    from janus_test import Server
    server = Server("history=kept-*: " + options.keep, workers=options.workers, listen=("flash://127.0.0.1:0", "http://127.0.0.1:0")).start()
    try:
        load = Load(server, options)
        return [measure(load, case, options.rounds) for case in options.case or CASES]
    finally:
        if server.running():
            server.stop()
        server.destroy()


def main():
    options = parse()
    found = run(options)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(found, f, indent=1)


if __name__ == "__main__":
    main()
