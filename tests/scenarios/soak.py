#!/usr/bin/env python3
"""
The memory graph of "A Million-user Comet Application with Mochiweb" (Richard Jones, 2008), made again: 10,000 connections, each logged in under an id of its
own (its floodtest), and 1,000 messages a second to ids at random (its msggen), for as long as one likes.

    tests/scenarios/soak.py --seconds 600 --svg build/soak.svg

The connections are streams at /inbox/ID, of JSON lines in chunks, as in the article, server-sent events and WebSockets by turns; the messages are sent by one
connection at /ws, and each is answered. Checked of each message: it has one subscriber; it comes there once, in order, whole. Sampled: the anonymous memory
of the server's processes, its shared segments, which are memfds (their blocks, whoever has touched them), its part of programs and libraries (Pss), the
kernel's socket buffers, and CPU.

Memory must be flat: of the first two, as how programs and libraries are divided depends on who else runs. What is of a fixed size is filled before the first
sample (the publish ring and what workers have for frames take their memory when they are first used), so what remains is buffers, which go up and down by
pages as the machine is busy. So GROWTH is allowed: a straight line through the last two thirds of the samples may not rise by more, and the largest
sample may not be further above the first third's median. In ten minutes that finds what leaks three bytes a message; in hours, less than one.
"""
import argparse
import collections
import json
import os
import random
import re
import select
import statistics
import sys
import time
import unittest

import never_read
from janus_test import Deadline, JanusTest, raise_nofile, wait_until
from memory_chart import draw
from web_clients import Http, Lines, Sse, WebSocket

LISTEN = "http://127.0.0.1:0",
RING = 128 << 10, 64 << 20      # messages, bytes: the defaults
GROWTH = 1 << 20                # bytes, within which memory is flat
TICK = 0.01                     # seconds between two bursts of messages
TEXT = "Lorem ipsum dolor sit amet, consectetur adipisicing elit."
BATCH = 256                     # messages of a POST that fills the ring
BLOB = 10 << 10                 # bytes of a large one


# When; bytes of the processes' own, of the segments, of programs and libraries, of the machine's TCP buffers; seconds of CPU.
Sample = collections.namedtuple("Sample", "at own segments files sockets cpu")


class Memory:
    """What a server's processes and segments take, found through /proc."""

    def __init__(self, server):
        self.pids = server.processes()
        # Keepers share the segments' descriptors with workers, who have thousands of others: they are looked for once.
        segments = {}
        for pid in [server.master] + server.keepers():
            folder = "/proc/%d/fd" % pid
            for name in os.listdir(folder):
                path = os.path.join(folder, name)
                if os.readlink(path).startswith("/memfd:"):
                    segments.setdefault(os.stat(path).st_ino, path)
        self.segments = list(segments.values())

    def sample(self):
        own = files = 0
        for pid in self.pids:
            with open("/proc/%d/smaps_rollup" % pid) as f:
                found = dict(re.findall(r"(?m)^(Pss_Anon|Pss_File): +(\d+) kB", f.read()))
            own += 1024 * int(found["Pss_Anon"])
            files += 1024 * int(found["Pss_File"])
        with open("/proc/net/sockstat") as f:
            sockets = 4096 * int(re.search(r"TCP: .* mem (\d+)", f.read()).group(1))
        return Sample(time.monotonic(), own, sum(512 * os.stat(path).st_blocks for path in self.segments), files, sockets, self.cpu())

    def cpu(self):
        used = 0
        for pid in self.pids:
            with open("/proc/%d/schedstat" % pid) as f:
                used += int(f.read().split()[0])
        return used / 1e9


class Reader:
    """One connection, and the number that its next message must have."""

    def __init__(self, client):
        self.client, self.next = client, 0

    def receive(self):
        """The messages that have come; of each when it was sent."""
        client = self.client
        client.receive()
        for message in iter(client.take, None):
            data = message.json() if isinstance(client, Sse) else message["data"]
            if data["n"] != self.next or data["text"] != TEXT:
                raise AssertionError("%r came to %s where message %d was due" % (data, type(client).__name__, self.next))
            self.next += 1
            yield data["at"]


class Soak:
    """All of it, done when it is made; `samples` are what was found. It lasts for `seconds`, or `rounds`, (how many, messages in each)."""

    def __init__(self, test, connections, rate, seconds=None, rounds=None, workers=2, ring=RING):
        raise_nofile(connections + 300)
        self.connections, self.rate, self.seconds = connections, rate, seconds
        self.every = max(1, (seconds or 0) / 300)
        self.janus = test.server("ring_messages=%d" % ring[0], "ring_bytes=%d" % ring[1], listen=LISTEN, workers=workers)
        self.address = self.janus.address("http")
        self.random = test.random()
        self.readers, self.samples, self.took = [], [], collections.Counter()
        self.sent = self.answered = self.arrived = 0
        for n in range(connections):
            client = (self.lines, self.sse, self.websocket)[n % 3]("/inbox/%d" % n)
            test.addCleanup(client.close)
            self.readers.append(Reader(client))
        self.by_socket = {reader.client.socket.fileno(): reader for reader in self.readers}
        sample = Memory(self.janus).sample()
        self.connected = sample.own + sample.segments       # bytes, with the connections and without a message
        self.fill(*ring)
        self.sender = WebSocket(self.janus, address=self.address).upgrade("/ws")
        test.addCleanup(self.sender.close)
        self.poll = select.epoll()
        test.addCleanup(self.poll.close)
        for fd in [*self.by_socket, self.sender.socket.fileno()]:
            self.poll.register(fd, select.EPOLLIN)
        self.counts = [0] * connections         # messages that each id was sent
        self.memory = Memory(self.janus)
        self.began = time.monotonic()
        if rounds:
            self.run_rounds(*rounds)
        else:
            self.run()
        self.seconds = time.monotonic() - self.began
        test.assertEqual((self.answered, self.arrived), (self.sent, self.sent))
        test.assertEqual(self.janus.connections(), connections + 1)

    # floodtest

    def lines(self, target):
        client = Lines(self.janus, address=self.address)
        client.ask("GET", target)
        return client.begin()

    def sse(self, target):
        client = Sse(self.janus, address=self.address)
        client.ask("GET", target, fields=[("Accept", "text/event-stream")])
        return client

    def websocket(self, target):
        return WebSocket(self.janus, address=self.address).upgrade(target)

    def fill(self, messages, size):
        """Goes once around the ring, and around what each worker has for frames, with messages to readers on all workers, who go away then."""
        readers, publisher, published = [], Http(self.janus, address=self.address), 0
        before, frames = self.subscriptions(), size // 8 + (4 << 20)        # more than a worker has for frames
        while any(now <= then for now, then in zip(self.subscriptions(), before)):
            readers.append(never_read.Lines(self.address, "fill").begun())
        large, small = ["x" * BLOB] * 16, ["x"] * BATCH
        for batch in [large] * ((size + frames) // (16 * BLOB) + 1) + [small] * (messages // BATCH + 2):
            body = json.dumps([{"topic": "fill", "data": data} for data in batch]).encode()
            self.post(publisher, "/pub", body)
            published += len(batch)
            for reader in readers:
                while reader.came < published:
                    reader.receive()
        for reader in readers:
            reader.socket.close()
        publisher.close()
        wait_until(lambda: self.subscriptions() == before, what="the readers' end")

    def subscriptions(self):
        return [slot["subscriptions"] for slot in self.janus.stats()["slots"]]

    @staticmethod
    def post(publisher, target, body):
        answer = publisher.ask("POST", target, body)
        if answer.status != 200:
            raise AssertionError("%r" % answer)

    # msggen

    def run(self):
        now = sampled = self.began
        while now < self.began + self.seconds:
            self.send(int((now - self.began) * self.rate))
            if now >= sampled:
                self.samples.append(self.memory.sample())
                sampled = max(sampled + self.every, now)
            self.receive()
            now = time.monotonic()
        self.receive_all()

    def run_rounds(self, rounds, messages):
        """By messages instead of time, for machines of any speed: samples are of moments in which all has come."""
        for _ in range(rounds):
            self.send(self.sent + messages)
            self.receive_all()
            self.samples.append(self.memory.sample())

    def receive_all(self):
        stop = Deadline(60)
        while self.arrived < self.sent or self.answered < self.sent:
            if stop.over():
                raise AssertionError("of %d messages %d were answered, and %d came" % (self.sent, self.answered, self.arrived))
            self.receive()

    def receive(self):
        for fd, _ in self.poll.poll(TICK):
            reader = self.by_socket.get(fd)
            if reader:
                for at in reader.receive():
                    self.arrived += 1
                    self.took[int((time.monotonic() - at) * 1000)] += 1
            else:
                self.hear()

    def send(self, due):
        """Sends what is due, a second's worth at most."""
        for _ in range(min(due - self.sent, int(self.rate))):
            n = self.random.randrange(self.connections)
            self.sender.action("send", user=str(n), data={"n": self.counts[n], "at": time.monotonic(), "text": TEXT}, ref=self.sent)
            self.counts[n] += 1
            self.sent += 1

    def hear(self):
        self.sender.receive()
        for answer in iter(self.sender.take, None):
            if answer.get("ok") is not True or answer["ref"] != self.answered or answer["subscribers"] != 1:
                raise AssertionError("message %d is answered with %r" % (self.answered, answer))
            self.answered += 1

    # what was found

    def values(self):
        """What must be flat, in each sample."""
        return [s.own + s.segments for s in self.samples]

    def slope(self):
        """Bytes by which a straight line rises over the last two thirds of the samples: the median of all slopes between two of them, so peaks are none."""
        rest = len(self.samples) // 3
        points = list(zip([s.at for s in self.samples], self.values()))[rest:]
        slopes = [(v2 - v1) / (t2 - t1) for n, (t1, v1) in enumerate(points) for t2, v2 in points[n + 1:]]
        return statistics.median(slopes) * (points[-1][0] - points[0][0])

    def rise(self):
        """Bytes that the largest sample is above the median of the first third."""
        values = self.values()
        return max(values) - statistics.median(values[:max(1, len(values) // 3)])

    def quantile(self, part):
        """Milliseconds in which this part of the messages came."""
        left = part * self.arrived
        for ms in sorted(self.took):
            left -= self.took[ms]
            if left <= 0:
                return ms + 1
        return 0

    def report(self):
        values, sockets = self.values(), [s.sockets for s in self.samples]
        first, last = self.samples[0], self.samples[-1]
        own, segments, files = (statistics.median(getattr(s, name) for s in self.samples) for name in ("own", "segments", "files"))
        return "\n".join([
            "%d connections (JSON lines, SSE, WebSocket); %d messages in %.0f s, %.0f a second, each of them answered and come once" % (
                self.connections, self.sent, self.seconds, self.sent / self.seconds),
            "memory of the server: %.2f to %.2f MB: processes %.2f, shared segments %.2f (with %d connections and nothing else: %.2f); programs and libraries %.2f MB" % (
                min(values) / 1e6, max(values) / 1e6, own / 1e6, segments / 1e6, self.connections, self.connected / 1e6, files / 1e6),
            "rise over the last two thirds: %+.0f bytes; largest above the first third's median: %.0f bytes" % (self.slope(), self.rise()),
            "the kernel's TCP buffers, of the whole machine: %.1f to %.1f MB" % (min(sockets) / 1e6, max(sockets) / 1e6),
            "CPU of the server: %.1f %% of a processor; a message comes within %d ms (median), %d ms (99 %%), with this client's own time" % (
                100 * (last.cpu - first.cpu) / (last.at - first.at), self.quantile(0.5), self.quantile(0.99))])

    def svg(self, path):
        draw(path, "{:,} connections, {:,.0f} messages a second to ids at random: memory".format(self.connections, self.rate),
             "blue: the server, processes and shared segments; green: shared segments alone; grey: the kernel's TCP buffers, of the whole machine",
             [s.at - self.began for s in self.samples],
             {"server": self.values(), "shared": [s.segments for s in self.samples], "kernel": [s.sockets for s in self.samples]})


class Figures(JanusTest):
    limit = 1 << 30

    def runTest(self):
        found = Soak(self, options.connections, options.rate, options.seconds, workers=options.workers)
        print(found.report(), flush=True)
        if options.svg:
            found.svg(options.svg)
        self.assertLess(found.slope(), GROWTH)
        self.assertLess(found.rise(), GROWTH)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--rate", type=float, default=1000, help="messages a second")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--svg", help="a chart of the memory")
    options = parser.parse_args()
    sys.exit(not unittest.TextTestRunner(verbosity=0, stream=sys.stderr).run(Figures()).wasSuccessful())
