#!/usr/bin/env python3
"""
Subscribers that never read, and a flood of messages to them: the server's memory, what others notice of it, and whether what was dropped adds up.

    tests/scenarios/never_read.py --readers 10000 --seconds 60 --svg build/never_read.svg

Two servers side by side, by turns for some seconds each: one has so many subscribers that never read, the other has none of them, else they are the same. On each,
publishers send as fast as they are taken, to two topics with other rules for slow subscribers (skip, latest); a subscriber of each reads all, and a
bystander publishes and reads small messages of its own. Compared is what these notice; sampled is the memory of the server with the crowd.

At the end the crowd reads: of each of them, the messages that came and those that it was told were missed are as many as were published; and those told are as many
as the server has counted (dropped_overtaken, dropped_latest).
"""
import argparse
import re
import select
import socket
import statistics
import sys
import time
import unittest

from janus_test import Closed, Deadline, JanusTest, raise_nofile, wait_until
from memory_chart import draw
from web_clients import request

TOPICS = "skip", "latest"
RULES = "slow=latest: latest; *: skip", "max_connections=100000"
RING = "ring_messages=131072", "ring_bytes=64M"              # the defaults; who skips gets as much of it at the end
SMALL_RING = "ring_messages=1024", "ring_bytes=4M"
LISTEN = "flash://127.0.0.1:0", "http://127.0.0.1:0"
BLOCK = 200                 # messages that a publisher sends at a time, half of them to each topic
PACE = 0.005                # seconds between two messages of the bystander
RCVBUF = 4096               # of those who never read
GROWTH = 1 << 20            # bytes, within which the server's memory is flat: of 10,000 sessions a hundred each
AT_ONCE = 500               # of the crowd, reading at the end
MISSED = re.compile(rb'"missed":\{"topic":"[a-z]+","messages":(\d+)\}')


class Lines:
    """A stream of JSON lines of which only is counted what came, and what it says was missed."""

    def __init__(self, address, topic, rcvbuf=None):
        self.socket = socket.socket()
        if rcvbuf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.socket.connect(address)
        self.socket.sendall(request("GET", "/sub/" + topic))
        self.topic, self.came, self.missed, self.rest = topic, 0, 0, b""

    def begun(self):
        """Waits for the stream's first words."""
        while b'"position"' not in self.rest:
            self.rest += self.socket.recv(4096)
        self.rest = b""
        return self

    def receive(self):
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed("a connection was closed")
        lines, _, rest = (self.rest + data).rpartition(b"\n")
        self.rest = rest if len(rest) < 100000 else rest[-100000:]
        self.came += lines.count(b'{"id":"')
        for n in MISSED.findall(lines):
            self.missed += int(n)

    @property
    def accounted(self):
        return self.came + self.missed


def spent(server):
    """Nanoseconds of CPU that its workers have used."""
    total = 0
    for pid in server.workers():
        with open("/proc/%d/schedstat" % pid) as f:
            total += int(f.read().split()[0])
    return total


class Side:
    """A server, its publishers, those who read and its bystander."""

    def __init__(self, test, workers, send_buffer, ring, publishers, size):
        self.janus = test.server(*RULES, "send_buffer=" + send_buffer, *ring, listen=LISTEN, workers=workers)
        self.address = self.janus.address("http")
        block = b"".join(b'{"action":"publish","topic":"%s","data":"%s"}\0' % (TOPICS[n % 2].encode(), b"x" * size) for n in range(BLOCK))
        self.block = memoryview(block)
        self.publishers = {}
        for _ in range(publishers):
            client = test.client(self.janus)
            client.socket.setblocking(False)
            self.publishers[client.socket.fileno()] = [client.socket, self.block[:0]]
        self.readers = {}
        for topic in TOPICS:
            reader = Lines(self.address, topic).begun()
            self.readers[reader.socket.fileno()] = reader
        self.bystander, self.other = test.client(self.janus).subscribe("small"), test.client(self.janus)
        self.published = 0                  # to each topic
        self.took = []                      # milliseconds of the bystander's messages
        self.rates, self.costs = [], []     # of each turn: messages a second; ns of the workers' CPU a message
        self.crowd = []

    def gather(self, count, skipping):
        """The crowd that never reads; one in so many has the topic that skips."""
        for n in range(count):
            self.crowd.append(Lines(self.address, TOPICS[n % skipping > 0], RCVBUF))
        wait_until(lambda: self.janus.subscriptions() >= count + 3, 60, "the crowd's subscriptions", pause=0.1)

    def turn(self, seconds, sample=None):
        """Floods for so long, then waits until those who read have all."""
        poll, fds = select.poll(), {}
        for fd in self.publishers:
            poll.register(fd, select.POLLOUT)
        for fd in list(self.readers) + [self.bystander.socket.fileno()]:
            poll.register(fd, select.POLLIN)
        began = now = time.monotonic()
        end, at, due, sampled = began + seconds, began, [], began
        before, used, stop = self.published, spent(self.janus), Deadline(seconds + 60)
        active = dict(self.publishers)
        while active or due or any(r.accounted < self.published for r in self.readers.values()):
            if stop.over():
                raise AssertionError("those who read do not get all: %d published, they have %s" % (self.published, [r.accounted for r in self.readers.values()]))
            while at <= now and now < end:
                self.other.publish("small", n=len(self.took) + len(due))
                due.append(time.monotonic())
                at += PACE
            for fd, _ in poll.poll(max(1, 1000 * min(at - now, PACE))):
                if fd in active:
                    self.send(poll, active, fd, now < end)
                elif fd in self.readers:
                    self.readers[fd].receive()
                else:
                    self.hear(due)
            now = time.monotonic()
            if sample and now >= sampled:
                sample()
                sampled += 1
        self.rates.append((self.published - before) * 2 / (now - began))
        self.costs.append((spent(self.janus) - used) / ((self.published - before) * 2))

    def send(self, poll, active, fd, go_on):
        s, rest = active[fd]
        if not rest:
            if not go_on:
                del active[fd]
                poll.unregister(fd)
                return
            rest = self.block
            self.published += BLOCK // 2
        active[fd][1] = rest[s.send(rest):]

    def hear(self, due):
        self.bystander.buffer += self.bystander.socket.recv(1 << 16)
        while due and b"\1" in self.bystander.buffer:
            frame, _, rest = bytes(self.bystander.buffer).partition(b"\1")
            self.bystander.buffer[:] = rest
            if frame != b"PING":
                self.took.append(1000 * (time.monotonic() - due.pop(0)))

    def closed(self):
        return {name: n for name, n in self.janus.stats()["counters"].items() if name.startswith("closed") and n}

    def audit(self, test):
        """The crowd reads."""
        for begin in range(0, len(self.crowd), AT_ONCE):
            group = {r.socket.fileno(): r for r in self.crowd[begin:begin + AT_ONCE]}
            poll, deadline = select.poll(), Deadline(120)
            for fd in group:
                poll.register(fd, select.POLLIN)
            while group and not deadline.over():
                for fd, _ in poll.poll(1000):
                    reader = group[fd]
                    try:
                        reader.receive()
                    except Closed:
                        test.fail("one of the crowd was closed as it read, and had %d and missed %d of %d: %s" % (
                            reader.came, reader.missed, self.published, self.closed()))
                    if reader.accounted >= self.published:
                        poll.unregister(fd)
                        del group[fd]
            test.assertEqual([(r.topic, r.came, r.missed) for r in group.values()][:3], [], "of %d published they have not all" % self.published)
        for reader in self.crowd:
            test.assertEqual(reader.accounted, self.published, "%s: %d came, %d missed" % (reader.topic, reader.came, reader.missed))


def memory(server):
    """Bytes: of the server's processes, those shared divided among them; and of the kernel's socket buffers, of the whole machine."""
    total = 0
    for pid in server.processes():
        try:
            with open("/proc/%d/smaps_rollup" % pid) as f:
                total += next(1024 * int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except (OSError, StopIteration):
            pass
    with open("/proc/net/sockstat") as f:
        pages = int(re.search(r"TCP: .* mem (\d+)", f.read()).group(1))
    return total, pages * 4096


class Found:
    """`samples`: (second of the flood, bytes of the server's, of the kernel's sockets); `calm`, `crowded`: the two Sides."""

    def __init__(self, test, readers, seconds, turn=3, workers=1, send_buffer="128K", ring=RING, skipping=100, publishers=3, size=100):
        raise_nofile(readers + 300)
        self.calm, self.crowded = (Side(test, workers, send_buffer, ring, publishers, size) for _ in range(2))
        self.samples = []
        self.crowded.gather(readers, skipping)
        for side in (self.calm, self.crowded):
            side.turn(min(2, turn))         # buffers and ring are full then
            side.rates.clear()
            side.costs.clear()
            side.took.clear()
        flooded = 0.0
        while flooded < seconds:
            for side in (self.calm, self.crowded) if int(flooded / turn) % 2 == 0 else (self.crowded, self.calm):
                began = time.monotonic()
                side.turn(turn, lambda: self.sample(side, flooded + time.monotonic() - began))
            flooded += turn
        test.assertEqual(self.crowded.closed(), {})
        self.crowded.audit(test)
        self.told = sum(r.missed for r in self.crowded.crowd)
        self.came = sum(r.came for r in self.crowded.crowd)
        counters = self.crowded.janus.stats()["counters"]
        self.counted = counters["dropped_overtaken"] + counters["dropped_latest"] - sum(r.missed for r in self.crowded.readers.values())

    def sample(self, side, second):
        """(Of both, as looking takes its time; only the crowd's is kept.)"""
        found = memory(side.janus)
        if side is self.crowded:
            self.samples.append((second, *found))

    def growth(self):
        """Bytes of memory that the server has more in the last quarter than in the first one."""
        quarter = max(1, len(self.samples) // 4)
        first, last = (statistics.median(s[1] for s in part) for part in (self.samples[:quarter], self.samples[-quarter:]))
        return last - first

    def slower(self):
        """(throughput, CPU, latency): with the crowd, in parts of what it is without; of the first two the median of the turns, as they follow each other."""
        def ratio(with_it, without):
            return statistics.median(a / b for a, b in zip(with_it, without))
        return (ratio(self.crowded.rates, self.calm.rates), ratio(self.crowded.costs, self.calm.costs),
                statistics.median(self.crowded.took) / statistics.median(self.calm.took))

    def report(self):
        def ms(side):
            took = sorted(side.took)
            return "%.2f ms (median), %.1f (p99)" % (statistics.median(took), took[int(len(took) * 0.99)])
        rate, cost, latency = self.slower()
        server = [s[1] for s in self.samples]
        return "\n".join([
            "%d who never read; %d messages published to each topic, in turns" % (len(self.crowded.crowd), self.crowded.published),
            "memory of the server: %.1f to %.1f MB, from the first quarter to the last %+.1f MB; the kernel's socket buffers: up to %d MB" % (
                min(server) / 1e6, max(server) / 1e6, self.growth() / 1e6, max(s[2] for s in self.samples) >> 20),
            "flood: %.0f messages a second, without the crowd %.0f: %.3f" % (
                statistics.median(self.crowded.rates), statistics.median(self.calm.rates), rate),
            "CPU of the workers: %.0f ns a message, without the crowd %.0f: %.3f" % (
                statistics.median(self.crowded.costs), statistics.median(self.calm.costs), cost),
            "a bystander's message takes %s, without the crowd %s: %.3f" % (ms(self.crowded), ms(self.calm), latency),
            "they read at last: %d came and %d were told as missed; the server counts %d" % (self.came, self.told, self.counted)])


def svg(found, path):
    seconds, server, kernel = zip(*found.samples)
    draw(path, "{:,} subscribers that never read, while messages are published as fast as they are taken: memory".format(len(found.crowded.crowd)),
         "blue: the server's processes, grey: the kernel's socket buffers", seconds, {"server": server, "kernel": kernel})


class Figures(JanusTest):
    limit = 3600

    def runTest(self):
        found = Found(self, options.readers, options.seconds, options.turn, options.workers, options.send_buffer)
        print(found.report(), flush=True)
        if options.svg:
            svg(found, options.svg)
        self.assertEqual(found.told, found.counted)
        self.assertLess(found.growth(), GROWTH)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--turn", type=float, default=3, help="seconds of flood on one server, before it is the other's turn")
    parser.add_argument("--workers", type=int, default=1, help="with more, what is compared depends on which of them has which connection")
    parser.add_argument("--send-buffer", default="128K", help="the setting: what the kernel takes for each (net.ipv4.tcp_mem is what it takes for all)")
    parser.add_argument("--svg", help="a chart of the memory")
    options = parser.parse_args()
    sys.exit(not unittest.TextTestRunner(verbosity=0, stream=sys.stderr).run(Figures()).wasSuccessful())
