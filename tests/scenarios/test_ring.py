"""The smallest rings: a reader in the middle of a frame keeps it, whatever goes through the ring while its worker does not get its turn."""
import os
import signal
import unittest

from janus_test import wait_until
from web_clients import Packet, Sse, WebSocket, WebTest, collect


class SmallRings(WebTest):
    workers = 2

    def on_slot(self, number, connect):
        """A client of the worker of this slot."""
        for _ in range(100):
            before = self.janus.slot(number)["connections"]
            client = connect()
            if self.janus.slot(number)["connections"] > before:
                return client
            client.close()
        return self.fail("no connection comes to slot %d" % number)

    def begin(self, *options):
        self.serve("slow=skip", *options)
        small = {"rcvbuf": 16384}
        self.slow = [self.on_slot(0, connect) for connect in (
            lambda: self.flash(**small).subscribe("a"),
            lambda: self.sse("/sub/a", **small),
            lambda: self.connect(WebSocket, "http", **small).upgrade("/ws").subscribe("a", "c"),
            lambda: self.connect(Packet, "packet", **small).subscribe("a"))]
        self.quick = [self.on_slot(slot, lambda: self.flash().subscribe("b")) for slot in (0, 1)]
        self.publisher = self.on_slot(1, self.flash)

    def publish(self, topic, size, count):
        self.publisher.send(b'{"action":"publish","topic":"%s","data":"%s"}\0' % (topic, b"x" * size) * count)

    def fill(self, size):
        """Until nobody of the slow ones can take more: each in the middle of a frame, or nearly each."""
        while self.janus.behind() < len(self.slow):
            self.publish(b"a", size, max(1, 60000 // size))
        # what is on its way becomes a frame that is cut
        self.publish(b"a", size, 1)

    def move(self, size, count):
        """So many go through the ring, and everybody sees them."""
        self.publish(b"b", size, count)
        collect(self.quick, lambda lists: all(len(l) >= count for l in lists))

    def drain(self, size):
        """What the slow ones get: whole frames, or the clients complain."""
        self.publish(b"a", 7, 1)

        def data(client, found):
            return len(found.data if isinstance(client, Sse) else client_data(found))

        def client_data(found):
            return found.get("data") or "" if isinstance(found, dict) else found.partition(b'"data":"')[2][:-2]
        got = collect(self.slow, lambda lists: all(l and data(c, l[-1]) == 7 for c, l in zip(self.slow, lists)))
        for client, found in zip(self.slow, got):
            self.assertLessEqual({data(client, f) for f in found}, {0, 7, size}, type(client).__name__)
        wait_until(lambda: self.janus.behind() == 0, what="nobody that is behind")

    def stop_and_publish(self, size, burst):
        """The readers' worker stands still while another one publishes all that it may."""
        worker = self.janus.slot(0)["worker"]
        deferred = self.janus.count("publish_deferred")
        os.kill(worker, signal.SIGSTOP)
        try:
            self.publish(b"b", size, burst)
            wait_until(lambda: self.janus.count("publish_deferred") > deferred, 8, "publishing to wait for the one that stands still")
        finally:
            os.kill(worker, signal.SIGCONT)
        collect(self.quick, lambda lists: all(len(l) >= burst for l in lists))

    def check(self, ring, large, small, burst, *options):
        """`ring`: how many small messages it holds."""
        self.begin(*options)
        for parts in (100, 250, 310):
            with self.subTest(parts=parts):
                self.fill(large)
                self.move(small, max(1, ring * parts // 1024))
                self.stop_and_publish(small, burst)
                self.drain(large)
        counters = self.janus.stats()["counters"]
        for name in ("closed_slow", "closed_uncertain", "no_buffer", "bad_input"):
            self.assertEqual(counters[name], 0, name)

    def test_1024_messages(self):
        self.check(1024, 60000, 20, 1500, "ring_messages=1024", "ring_bytes=16M")

    def test_2048_messages(self):
        self.check(2048, 60000, 20, 3000, "ring_messages=2048", "ring_bytes=16M")

    def test_least_of_all(self):
        self.check(1024, 900, 20, 1500, "ring_messages=1024", "ring_bytes=1M", "max_frame=1K")

    def test_least_bytes_and_large_messages(self):
        self.check(16, 30000, 64000, 24, "ring_bytes=1M", "max_frame=64K")


if __name__ == "__main__":
    unittest.main()
