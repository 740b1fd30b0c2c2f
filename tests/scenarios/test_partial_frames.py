"""Frames that are kept for those in the middle of them: one for all, sent on by any worker, forgotten when nobody needs them."""
import unittest

from crash_test import CRASH_BUILD, CrashTest
from janus_test import SLOWNESS, Client, JanusTest, raise_nofile, scheduled, wait_until
from stopped_readers import SIZE, Stopped
from test_memory import buffered
from web_clients import WebTest

RING = ("ring_bytes=4M", "ring_messages=1024", "slow=skip")


def data_of(n, size=SIZE):
    return ("%d " % n).ljust(size, "x")


class Shared(JanusTest):
    def stop_reading(self, janus, count, messages=60):
        """So many readers that stop, and messages that go round the ring until no record is there any more that they are in the middle of."""
        readers = [c.subscribe("a") for c in self.clients(janus, count, rcvbuf=4096)]
        witness, publisher = self.client(janus).subscribe("a"), self.client(janus)
        for n in range(messages):
            publisher.publish("a", n=n, data=data_of(n))
            witness.expect_message("a", n=n)
        wait_until(lambda: janus.behind() == count, what="all of them behind")
        return readers, witness, publisher

    def test_one_for_all(self):
        """60 messages of 250 kB, 40 readers that stopped: not a frame each."""
        janus = self.server(*RING, workers=2)
        readers, _, _ = self.stop_reading(janus, 40)
        self.assertGreater(janus.count("frames_kept"), 0)
        self.assertLess(buffered(janus), 12 * SIZE)
        for reader in readers:
            last = -1
            while last < 59:
                message = reader.message()
                self.assertGreater(message["n"], last)
                self.assertEqual(message["data"], data_of(message["n"]))
                last = message["n"]
        wait_until(lambda: janus.behind() == 0 and buffered(janus) == 0, what="nothing kept")
        self.assertEqual(janus.count("closed_slow"), 0)

    def test_forgotten_with_their_readers(self):
        janus = self.server(*RING, workers=2)
        readers, _, _ = self.stop_reading(janus, 10)
        self.assertGreater(buffered(janus), 0)
        for n, reader in enumerate(readers):
            (reader.close if n % 2 else reader.reset)()
        wait_until(lambda: buffered(janus) == 0, what="nothing kept")

    def test_beyond_the_limit(self):
        """Each stops at another message. Those in the middle of the oldest go, are counted, and nobody else is touched."""
        janus = self.server(*RING, "max_buffered=2M", "max_frame=64K", workers=1)
        readers, size = [], 60000
        witness, publisher = self.client(janus).subscribe("a"), self.client(janus)
        for n in range(600):
            if n % 6 == 0:
                readers.append(self.client(janus, rcvbuf=4096).subscribe("a"))
            publisher.publish("a", n=n, data=data_of(n, size))
            witness.expect_message("a", n=n)
        wait_until(lambda: janus.count("closed_memory") > 0, what="somebody disconnected")
        self.assertLessEqual(buffered(janus), 2 << 20)
        publisher.publish("a", n=600, data="last")
        witness.expect_message("a", n=600)
        self.assertEqual((janus.count("closed_uncertain"), janus.count("no_buffer")), (0, 0))


class LineBreaks(WebTest):
    options = ("max_frame=1M", "send_buffer=16K")
    workers = 1

    def test_many_line_breaks(self):
        """Such a message grows most on SSE: its frame is made once, not once for each piece and reader."""
        readers = [self.sse("/sub/a", rcvbuf=4096) for _ in range(10)]
        publisher = self.connect(Client, "flash")
        publisher.publish("a", data="\n" * 30000)
        wait_until(lambda: self.janus.behind() == 10, what="all behind")
        for reader in readers:
            self.assertIn("\n" * 1000, reader.event().data)
        self.assertIn(self.janus.count("frames_kept"), (1, 2))


class Deaths(CrashTest):
    def begin(self):
        janus = self.server(*RING, workers=1, build=CRASH_BUILD)
        return janus

    def check(self, janus, readers, last):
        for reader in readers:
            at = -1
            while at < last:
                message = reader.message(20)
                self.assertGreater(message["n"], at)
                self.assertEqual(message["data"], data_of(message["n"]))
                at = message["n"]
        wait_until(lambda: janus.behind() == 0 and buffered(janus) == 0, what="nothing kept")
        self.assertEqual(sum(janus.count(c) for c in ("closed", "closed_slow", "closed_uncertain", "closed_damaged")), 0)

    def test_at_each_point(self):
        """A worker dies as a frame is filled, linked, begun with, unlinked: each of several readers gets whole frames, in order."""
        for point, passing in (("partial-filled", 1), ("partial-linked", 1), ("partial-filled", 2), ("partial-begun", 1), ("partial-begun", 3),
                               ("partial-unlinked", 1), ("partial-unlinked", 2)):
            with self.subTest(point=point, passing=passing):
                janus = self.begin()
                readers = [self.client(janus, rcvbuf=4096 * k).subscribe("a") for k in (1, 30, 60, 90)]
                witness, publisher = self.client(janus).subscribe("b"), self.client(janus)
                self.arm(point, passing)
                for n in range(40):
                    publisher.publish("a", n=n, data=data_of(n))
                    publisher.publish("b", n=n)
                    witness.expect_message("b", n=n)
                self.check(janus, readers, 39)
                self.assertTrue(self.disarm(point) or point == "partial-unlinked")
                janus.forgive_deaths()
                janus.stop()

    def test_one_of_several_is_forgotten(self):
        """Of frames that are kept, the middle one goes; then the worker. The others are still there."""
        janus = self.begin()
        publisher, witness = self.client(janus), self.client(janus).subscribe("b")
        readers = []
        for n in range(60):
            if n in (0, 12, 24):
                readers.append(self.client(janus, rcvbuf=4096).subscribe("a"))
            publisher.publish("a", n=n, data=data_of(n))
            publisher.publish("b", n=n)
            witness.expect_message("b", n=n)
        wait_until(lambda: janus.behind() == 3, what="three behind")
        readers.pop(1).reset()
        wait_until(lambda: janus.connections() == 4, what="one gone")
        readers.append(self.client(janus, rcvbuf=4096).subscribe("a"))      # whose frame takes the place of the one that is gone
        for n in range(60, 100):
            publisher.publish("a", n=n, data=data_of(n))
            publisher.publish("b", n=n)
            witness.expect_message("b", n=n)
        wait_until(lambda: janus.behind() == 3, what="another behind")
        janus.kill_worker(0)
        self.assertEqual(janus.behind(), 3)
        for reader in readers:
            at = -1
            while at < 99:
                message = reader.message(20)
                self.assertGreater(message["n"], at)
                self.assertEqual(message["data"], data_of(message["n"]))
                at = message["n"]
        wait_until(lambda: buffered(janus) == 0, what="nothing kept")


class Turns(JanusTest):
    def test_bystander(self):
        """500 readers stop while large messages are published: who has nothing to do with it hardly notices. (The rest of what is promised:
        stopped_readers.py.)"""
        raise_nofile(1500)
        for ring in ("ring_bytes=4M ring_messages=1024", "ring_bytes=256M ring_messages=1M"):
            with self.subTest(ring=ring):
                janus = self.server(*ring.split(), "hang_limit=5s", workers=2)
                found = Stopped(self, janus, 500, 4)
                ran, waited = map(sum, zip(*map(scheduled, janus.workers())))
                slower = (ran + waited) / ran       # by others who use the machine
                self.assertGreater(found.published, 40 / slower)
                self.assertLess(found.quantile(0.9), 200 * SLOWNESS * slower, "%s, all is slower by %.1f" % (found, slower))
                self.assertNotRegex(janus.log(), "hang")

    def test_overtaken_in_a_large_ring(self):
        """Readers that the ring has overtaken begin to read: where a topic's records begin is found once, not once for each of them."""
        raise_nofile(1500)
        janus = self.server("ring_bytes=64M", "ring_messages=256K", "max_frame=64K", "slow=skip", "hang_limit=2s", workers=1)
        readers = [self.client(janus, rcvbuf=4096).subscribe("a") for _ in range(200)]
        witness, publisher = self.client(janus).subscribe("b"), self.client(janus)
        block = 20 * (b'{"action":"publish","topic":"a","data":"' + 20000 * b"y" + b'"}\0')
        wait_until(lambda: publisher.send(block) or janus.behind() == 200, 60, "all behind")
        small = 1000 * b'{"action":"publish","topic":"a","data":1}\0'
        for n in range(300):
            publisher.send(small)
        publisher.publish("b", n=1)
        witness.message(60)
        for reader in readers:
            self.assertEqual(reader.message(30)["topic"], "a")
        publisher.publish("b", n=2)
        witness.message(20)
        self.assertNotRegex(janus.log(), "hang")


if __name__ == "__main__":
    unittest.main()
