"""What a slot segment says is wrong, or names a record that nobody can encode: that costs one connection, or one message.

The segment is written to from outside, at offsets of shm/session_shm.h.
"""
import mmap
import os
import signal
import struct
import unittest

from janus_test import descriptors, wait_until
from web_clients import WebTest, collect

FLASH = 0                       # enum transport
SKIPS, SKIP = 368, 376          # struct slot_shm
SESSIONS_AT, SUBSCRIPTIONS_AT, FD_END = 32, 40, 192
SESSION_SIZE, SUBSCRIPTION_SIZE = 96, 24
FIRST_SUBSCRIPTION, STATE_IN, STATE_OUT, STATE_TRANSPORT = 4, 40 + 24, 40 + 28, 40 + 52


class Segment:
    """A slot's, mapped."""

    def __init__(self, pid):
        fd = next(fd for fd, name in descriptors(pid).items() if "janus-slot" in name)
        with open("/proc/%d/fd/%d" % (pid, fd), "r+b") as f:
            self.map = mmap.mmap(f.fileno(), os.fstat(f.fileno()).st_size)

    def get(self, at, kind="I"):
        return struct.unpack_from("=" + kind, self.map, at)[0]

    def put(self, at, value, kind="I"):
        struct.pack_into("=" + kind, self.map, at, value)

    def sessions(self):
        """Where those that are open are."""
        begin = self.get(SESSIONS_AT, "Q")
        places = (begin + SESSION_SIZE * fd for fd in range(self.get(FD_END)))
        return [at for at in places if self.get(at) == 1]

    def subscription(self, session):
        return self.get(SUBSCRIPTIONS_AT, "Q") + SUBSCRIPTION_SIZE * self.get(session + FIRST_SUBSCRIPTION)


class Damage(WebTest):
    workers = 1

    def test_damaged_sessions(self):
        """Each is closed alone."""
        self.serve("hang_limit=0")
        readers = [self.flash().subscribe("a") for _ in range(12)]
        pid = self.janus.workers()[0]
        os.kill(pid, signal.SIGSTOP)
        segment = Segment(pid)
        sessions = segment.sessions()
        self.assertEqual(len(sessions), len(readers))
        segment.put(sessions[0] + STATE_TRANSPORT, 99)
        segment.put(sessions[1] + FIRST_SUBSCRIPTION, 0x7fffffff)
        segment.put(segment.subscription(sessions[2]) + 4, segment.get(sessions[2] + FIRST_SUBSCRIPTION))       # a cycle
        segment.put(segment.subscription(sessions[3]), 4711)                                                    # a topic that is none
        segment.put(sessions[4] + STATE_IN, 0x3fffffff)
        segment.put(sessions[5] + STATE_OUT, 0x3fffffff)
        segment.put(sessions[6] + FIRST_SUBSCRIPTION, segment.get(sessions[11] + FIRST_SUBSCRIPTION))           # of two sessions: the second one
        self.janus.kill_worker(0)
        counters = self.janus.stats()["counters"]
        self.assertEqual(counters["closed_damaged"], 7)
        self.assertEqual(counters["closed"], 7)
        self.assertEqual(self.janus.connections(), 5)
        self.assertEqual(self.janus.subscriptions(), 5)
        publisher = self.flash()
        publisher.publish("a", n=1)
        whole = 0
        wait_until(lambda: len([r for r in readers if not r.silent(0)]) == len(readers))
        for reader in readers:
            try:
                reader.expect_message("a", n=1)
                whole += 1
            except AssertionError:
                pass
        self.assertEqual(whole, 5)
        self.janus.kill_worker(0)
        publisher.publish("a", n=2)
        wait_until(lambda: self.janus.count("delivered") == 10)

    def test_records_that_nobody_can_encode(self):
        """Subscribers of that transport do without, live, with several topics and behind; others get it."""
        self.serve()
        flash = [self.flash().subscribe("a"), self.flash().subscribe("a"), self.flash().subscribe("a", "b")]
        slow = self.flash(rcvbuf=4096).subscribe("a")
        sse = self.sse("/sub/a")
        last = self.published("/pub/a", b"1")
        while not self.janus.behind():
            last = self.published("/pub/a", b"x" * 100000)
        segment = Segment(self.janus.workers()[0])
        segment.put(SKIP, (last + 1) << 8 | FLASH, "Q")
        segment.put(SKIPS, 1)
        self.assertEqual(self.published("/pub/a", b"bad"), last + 1)
        self.published("/pub/a", b"good")
        clients = flash + [slow, sse]
        got = collect(clients, lambda lists: all(l and b"good" in (l[-1].data.encode() if c is sse else l[-1]) for c, l in zip(clients, lists)))
        for messages in got[:4]:
            self.assertFalse(any(b'"bad"' in m for m in messages))
        self.assertEqual([e.data for e in got[4]][-2:], ["bad", "good"])
        wait_until(lambda: self.janus.behind() == 0)
        self.assertEqual(self.janus.count("dropped_unencodable"), 4)
        self.assertEqual(self.janus.count("dropped_overtaken"), 0)
        self.assertEqual(self.janus.log().count("died of encoding it"), 1)
        # The next one passes it over, too, and by itself it is nothing to wait for.
        self.janus.kill_worker(0)
        segment.put(SKIP + 8, (last + 3) << 8 | FLASH, "Q")
        self.assertEqual(self.published("/pub/a", b"bad"), last + 3)
        self.published("/pub/a", b"end")
        collect(flash + [slow], lambda lists: all(l and b'"end"' in l[-1] and not any(b'"bad"' in m for m in l) for l in lists))
        self.assertEqual(self.janus.count("dropped_unencodable"), 8)

    def test_last_record_of_a_pass_that_nobody_can_encode(self):
        """One who has subscribed in front of it has had all that the pass has frames for."""
        self.serve()
        a, b = self.flash().subscribe("a"), self.flash()
        last = self.published("/pub/a", b"1")
        a.message()
        segment = Segment(self.janus.workers()[0])
        segment.put(SKIP, (last + 2) << 8 | FLASH, "Q")
        segment.put(SKIPS, 1)
        b.send(b'{"action":"publish","topic":"a","data":"good"}\0{"action":"subscribe","data":"a"}\0{"action":"publish","topic":"a","data":"bad"}\0')
        b.expect(b"ACK")
        a.expect_message("a", data="good")
        wait_until(lambda: self.janus.count("dropped_unencodable") == 2)
        self.published("/pub/a", b"end")
        for client in a, b:
            client.expect_message("a", data="end")
        self.assertEqual((self.janus.count("delivered"), self.janus.count("dropped_unencodable")), (4, 2))

    def skipped_and_overtaken(self, slow, ahead):
        self.serve("slow=" + slow)
        reader = self.flash(rcvbuf=4096).subscribe("b").subscribe("a")
        last = self.published("/pub/a", b"1")
        while not self.janus.behind():
            last = self.published("/pub/a", b"x" * 100000)
        segment = Segment(self.janus.workers()[0])
        segment.put(SKIP, (last + ahead + 1) << 8 | FLASH, "Q")
        segment.put(SKIPS, 1)
        for _ in range(ahead):
            self.published("/pub/a", b"x" * 66000)      # large enough to be begun with by itself, and to be taken in one send
        self.published("/pub/b", b"bad")
        for _ in range(10):
            self.published("/pub/a", b"x" * 100000)
        self.published("/pub/b", b"good")
        self.published("/pub/a", b"end")
        while reader.message()["data"] != "end":
            pass
        wait_until(lambda: self.janus.behind() == 0)
        self.assertEqual((self.janus.count("dropped_unencodable"), self.janus.count("dropped_overtaken"), self.janus.count("closed_slow")), (1, 0, 0))

    def test_what_is_skipped_is_not_lost(self):
        """A record that one who is behind does without counts once, and does not cost it the connection."""
        for slow, ahead in ("skip", 0), ("disconnect", 0), ("skip", 20):
            with self.subTest(slow=slow, ahead=ahead):
                self.skipped_and_overtaken(slow, ahead)


if __name__ == "__main__":
    unittest.main()
