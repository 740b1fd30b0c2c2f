#!/usr/bin/env python3
"""
Readers that stop while large messages are published, and the bystanders who must not notice: one who publishes and reads small messages of
another topic. Prints what the bystanders' messages took, in milliseconds, for each size of the ring.

    tests/scenarios/stopped_readers.py --readers 5000 --seconds 60
"""
import argparse
import os
import socket
import sys
import threading
import time
import unittest

from janus_test import JanusTest, raise_nofile, readable

RINGS = ("ring_bytes=4M ring_messages=1024", "ring_bytes=64M ring_messages=65536", "ring_bytes=1G ring_messages=1M")
SIZE = 250000
PACE = 0.01         # seconds between two messages of the bystander


class Publisher(threading.Thread):
    """Publishes large messages as fast as they are taken."""

    def __init__(self, client, data):
        super().__init__(daemon=True)
        self.client, self.data, self.count, self.ended = client, data, 0, threading.Event()

    def run(self):
        self.client.socket.settimeout(0.2)
        message = b'{"action":"publish","topic":"large","data":"' + self.data + b'"}\0'
        at = 0
        while not self.ended.is_set() or at:
            try:
                at += self.client.socket.send(message[at:])
            except socket.timeout:
                continue
            if at == len(message):
                at, self.count = 0, self.count + 1
            if self.count % 20 == 0 and at == 0:
                time.sleep(0.001)       # (Python's: or its other thread would wait)


class Stopped:
    """What a run found: `took`, milliseconds of each of the bystanders' messages, sorted; and how many large ones were published."""

    def __init__(self, test, janus, readers, seconds, data=b"x" * SIZE, speak=None):
        raise_nofile(readers + 200)
        test.addCleanup(lambda: [r.close() for r in self.readers])
        self.readers = []
        for n in range(readers):
            self.readers.append((speak or self.flash)(test, janus, 4096 * (1 + n % 97)))     # so they stop at different messages
        publisher = Publisher(test.client(janus), data)
        # One on each of two connections, which may be two workers' or one's
        bystander, other = test.client(janus).subscribe("small"), test.client(janus)
        publisher.start()
        # Paced by the clock, not by what comes back: a stall of a second is a hundred late messages, not one.
        self.took, due, end = [], [], time.monotonic() + seconds
        at = time.monotonic()
        while at < end or due:
            now = time.monotonic()
            if at <= now and at < end:
                other.publish("small", n=len(self.took) + len(due))
                due.append(at)
                at += PACE
            while due and (bystander.buffer or readable(bystander.socket, 0)):
                bystander.expect_message("small", n=len(self.took))
                self.took.append(1000 * (time.monotonic() - due.pop(0)))
            readable(bystander.socket, max(0, min(at, end) - time.monotonic()))
        publisher.ended.set()
        publisher.join(30)
        test.assertFalse(publisher.is_alive(), "the publisher's last message is not taken")
        self.published = publisher.count
        self.took.sort()

    @staticmethod
    def flash(test, janus, rcvbuf):
        return test.client(janus, rcvbuf=rcvbuf).subscribe("large")

    def quantile(self, q):
        return self.took[min(len(self.took) - 1, int(q * len(self.took)))]

    def __str__(self):
        return "%d messages published; bystanders' %d took %.1f ms (median), %.1f (p99), %.1f (most)" % (
            self.published, len(self.took), self.quantile(0.5), self.quantile(0.99), self.took[-1])


class Figures(JanusTest):
    limit = 3600

    def runTest(self):
        for ring in options.ring or RINGS:
            janus = self.server(*ring.split(), workers=options.workers)
            found = Stopped(self, janus, options.readers, options.seconds)
            counters = janus.stats()["counters"]
            print("%-50s %s; restarts %d, buffered %d MB, closed_memory %d, closed_slow %d, kept %d" % (
                ring, found, sum(w["restarts"] for w in janus.status()["workers"]), sum(s["buffered"] for s in janus.stats()["slots"]) >> 20,
                counters["closed_memory"], counters["closed_slow"], counters["frames_kept"]), flush=True)
            for reader in found.readers:
                reader.close()
            janus.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ring", action="append", help="settings of a ring: %s" % RINGS[0])
    options = parser.parse_args()
    sys.exit(not unittest.TextTestRunner(verbosity=0, stream=sys.stderr).run(Figures()).wasSuccessful())
