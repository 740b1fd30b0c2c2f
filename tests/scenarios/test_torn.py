"""Frames of which the kernel took only a part when the worker died, and then has room for more: nobody gets half a frame and another.

Runs against a build with crash points (JANUS_CRASH_BUILD). The subscribers have small receive buffers and read all the time, so that their
sockets have room again when the next worker starts: what it takes for owed goes out at once.
"""
import itertools
import json
import threading
import unittest

from crash_test import CrashTest
from janus_test import SLOWNESS, Client
from web_clients import Packet, Sse, WebSocket, collect

SMALL = 16384       # of a receive buffer


def text_of(client, found):
    """What was published, of a message as its client has taken it; None: it is none."""
    if isinstance(client, Sse):
        return found.data
    if isinstance(client, Client):
        if found in (b"PING", b"ACK"):
            return None
        found = json.loads(found)
    return found.get("data")


def told(text):
    """A short form of a message's text that says whether it is whole."""
    return text[:text.index(" ") + 1], len(text), text.count("x")


class Torn(CrashTest):
    workers = 1

    def setUp(self):
        super().setUp()
        self.numbers = itertools.count(1)

    def begin(self, *options, each=1):
        self.serve_crash_build("max_frame=8M", "ring_bytes=128M", *options)
        self.readers = []
        for _ in range(each):
            self.readers.append(self.flash(rcvbuf=SMALL).subscribe("a"))
            self.readers.append(self.lines("/sub/a", rcvbuf=SMALL))
            self.readers.append(self.sse("/sub/a", rcvbuf=SMALL))
            self.readers.append(self.connect(WebSocket, "http", rcvbuf=SMALL).upgrade("/ws").subscribe("a", "b"))
            self.readers.append(self.connect(Packet, "packet", rcvbuf=SMALL).subscribe("a"))
        self.publisher = self.flash()

    def publish(self, sizes):
        """In the background: who reads must not wait for it. The texts, and the thread."""
        texts = ["%d " % next(self.numbers) + "x" * size for size in sizes]

        def run():
            for text in texts:
                self.publisher.send(b'{"action":"publish","topic":"a","data":"%s"}\0' % text.encode())
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return [told(text) for text in texts], thread

    def die_at(self, point, passing, sizes):
        """All get each message once, whole and in order, though the worker dies in between."""
        pid = self.janus.workers()[0]
        self.arm(point, passing)
        texts, thread = self.publish(sizes)
        got = collect(self.readers, lambda lists: all(len(l) >= len(texts) for l in lists), 40)
        thread.join(10 * SLOWNESS)
        for client, messages in zip(self.readers, got):
            self.assertEqual([told(t) for t in (text_of(client, m) for m in messages) if t is not None], texts, type(client).__name__)
        if not self.disarm(point):
            return False
        self.janus.killed[pid] = "worker"
        self.janus.wait_worker(0, pid)
        return True

    def check(self, cases, *options):
        self.begin(*options)
        died = 0
        for point, passing, sizes in cases:
            with self.subTest(point=point, passing=passing, sizes=sizes[0]):
                died += self.die_at(point, passing, sizes)
        self.assertGreater(died, 0, "nobody has died: nothing is tried")
        counters = self.janus.stats()["counters"]
        for name in ("closed", "closed_uncertain", "closed_slow", "dropped_overtaken", "no_buffer"):
            self.assertEqual(counters[name], 0, name)

    # Which passing it is that leaves a frame cut depends on sizes and buffers: several are tried.

    def test_frames_larger_than_sockets(self):
        self.check([("batch-sent", passing, [5000000, 10, 1000000]) for passing in (1, 2)])

    def test_frames_larger_than_sockets_by_send(self):
        self.check([("batch-sent", passing, [5000000, 10]) for passing in (1, 2)], "io=send")

    def test_between_records(self):
        """The outcome of some is written down, that of others is not, that of one is half."""
        self.check([("batch-half-recorded", 1, [4000000, 10])] +
                   [(point, passing, [4000000, 10]) for point in ("commit-staged", "commit-copied") for passing in (3, 5)])

    def test_while_catching_up(self):
        self.check([(point, passing, [6000000] * 3) for point in ("catchup-sent", "send-sent") for passing in (1, 4)])

    def test_many_small_frames(self):
        """A send of many records, of which the kernel takes some and a part."""
        self.check([("batch-sent", passing, [size] * (4000000 // size)) for passing in (2, 6) for size in (2000, 200000)])


if __name__ == "__main__":
    unittest.main()
