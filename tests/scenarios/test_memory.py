"""What peers can make the server keep: buffers, unfinished frames, subscriptions, the kernel's memory; and what is left of it when they go."""
import contextlib
import json
import os
import re
import struct
import time
import unittest

import janus_test
from crash_test import CrashTest
from janus_test import Closed, JanusTest, SLOWNESS, USER, raise_nofile, run, wait_until
from web_clients import TEXT, WebSocket, WebTest, frame, packet, request

BEGUN = b'{"action":"publish","topic":"a","data":"'


def buffered(janus):
    return sum(s["buffered"] for s in janus.stats()["slots"])


def backed(janus):
    """Bytes of the slots' segments that have memory."""
    total = 0
    for keeper in janus.keepers():
        for fd in janus_test.descriptors(keeper):
            path = "/proc/%d/fd/%d" % (keeper, fd)
            with contextlib.suppress(FileNotFoundError):        # (a connection that has just been closed)
                if "janus-slot" in os.readlink(path):
                    total += os.stat(path).st_blocks * 512
    return total


def told(clients):
    """How many have read that there is no memory for more."""
    count = 0
    for client in clients:
        with contextlib.suppress(OSError):
            count += janus_test.readable(client.socket, 0) and b"max_buffered" in client.socket.recv(1000)
    return count


class Budget(JanusTest):
    def begin(self, *options, workers=2):
        raise_nofile(4096)
        return self.server("max_buffered=8M", "frame_timeout=1h", *options, workers=workers)

    def hold(self, janus, count, size=100000):
        """Connections with a frame each that does not end."""
        holders = self.clients(janus, count)
        for holder in holders:
            holder.send(BEGUN + size * b"x")
        return holders

    def test_default(self):
        janus = self.server(workers=1)
        with open("/proc/meminfo") as f:
            there_is = 1024 * int(re.search(r"MemTotal: *(\d+)", f.read()).group(1))
        self.assertGreater(janus.stats()["buffered_max"], 4000000)
        self.assertLess(janus.stats()["buffered_max"], there_is / 4)
        self.assertEqual(janus.status()["buffered_max"], janus.stats()["buffered_max"])

    def test_account(self):
        """It is what is held, also after deaths, and nothing when all have gone."""
        janus = self.begin()
        self.assertEqual((buffered(janus), janus.stats()["buffered_max"]), (0, 8 << 20))
        holders = self.hold(janus, 20)
        wait_until(lambda: janus.count("bytes_in") == 20 * (len(BEGUN) + 100000), what="all of the frames")
        had = buffered(janus)
        self.assertTrue(20 * 100000 <= had <= 20 * 112000, had)
        for slot in (0, 1):
            janus.kill_worker(slot)
        self.assertEqual(buffered(janus), had)
        self.assertEqual(janus.status()["buffered"], had)
        for i, holder in enumerate(holders):
            (holder.close if i % 2 else holder.reset)()
        wait_until(lambda: buffered(janus) == 0, what="nothing kept")

    def test_the_largest_go(self):
        """More frames that do not end than there is room for: those go, are told, and nobody else notices."""
        janus = self.begin()
        bystanders = [c.subscribe("b") for c in self.on_each_worker(janus, 2)]
        small = self.client(janus)
        small.send(BEGUN)
        holders = self.hold(janus, 120)
        wait_until(lambda: janus.count("closed_memory") >= 40, 20, "connections closed for memory")
        self.assertLessEqual(buffered(janus), 8 << 20)
        for n, publisher in enumerate(bystanders):
            publisher.publish("b", n=n, data=60000 * "y")
            for reader in bystanders:
                reader.expect_message("b", n=n)
        small.send(b'"}\0')
        small.subscribe("c")
        self.assertGreater(told(holders), 30)
        self.assertEqual(janus.count("no_buffer"), 0)
        self.assertLess(janus.count("closed_memory"), 120)

    def test_the_largest_is_the_one_that_comes(self):
        """It is told as well, rather than that many small ones go."""
        janus = self.begin(workers=1)
        holders = self.hold(janus, 1500, 3000)
        wait_until(lambda: buffered(janus) >= 1500 * 4096, 20, "the frames in buffers")
        large = [self.client(janus) for _ in range(10)]
        for client in large:
            client.send(BEGUN + 240000 * b"x")
        wait_until(lambda: janus.count("closed_memory") > 0, 20, "one that is closed")
        for holder in holders:
            holder.send(b'"}\0')
        for holder in holders:
            holder.subscribe("c")
        self.assertGreaterEqual(told(large), 1)
        self.assertEqual(janus.count("no_buffer"), 0)

    def test_dribbling_does_not_help(self):
        """A frame's age is since it was begun, whatever comes of it: those that grow by a byte now and then go before smaller ones."""
        janus = self.begin(workers=1)
        dribblers, small = self.hold(janus, 40), self.hold(janus, 10, 45000)
        until = time.monotonic() + 4
        while time.monotonic() < until:
            for dribbler in dribblers:
                dribbler.send(b"x")
            time.sleep(0.1)
        self.hold(janus, 40)
        wait_until(lambda: janus.count("closed_memory") > 0, 20, "connections closed for memory")
        for client in small:
            client.send(b'"}\0')
            client.subscribe("c")
        self.assertGreater(told(dribblers), 0)

    def test_readers_who_stopped(self):
        """Those with rests of frames in buffers, whatever `slow` says."""
        janus = self.begin("ring_bytes=4M", "slow=skip", workers=1)
        slow = [c.subscribe("a") for c in self.clients(janus, 60, rcvbuf=4096)]
        reader = self.client(janus).subscribe("a")
        publisher = self.client(janus)
        for n in range(60):
            publisher.publish("a", n=n, data=240000 * "x")
            reader.expect_message("a", n=n)
            self.assertLessEqual(buffered(janus), 8 << 20)
        self.assertEqual(janus.count("no_buffer"), 0)
        del slow

    def test_given_back(self):
        """A storm leaves nothing behind."""
        janus = self.begin()
        client = self.client(janus)
        before = backed(janus)
        holders = self.hold(janus, 40)
        wait_until(lambda: buffered(janus) > 40 * 100000, what="the frames in buffers")
        self.assertGreater(backed(janus), before + 4000000)
        for holder in holders:
            holder.close()
        wait_until(lambda: backed(janus) < before + 65536, 20, "memory given back")
        client.subscribe("a")


class Deaths(CrashTest):
    def test_before_it_is_told(self):
        """The worker dies when a session has given up all it had, and was not told yet: it gets nothing more, and nobody else notices."""
        raise_nofile(4096)
        self.serve_crash_build("max_buffered=8M", "frame_timeout=1h", workers=1)
        bystander, publisher = self.flash().subscribe("b"), self.flash()
        holders = [self.flash().subscribe("s") for _ in range(100)]
        self.arm("memory-forfeited")
        for holder in holders:
            holder.send(BEGUN + 100000 * b"x")
        self.janus.wait_log(r"keeper 0: worker (\d+) died of signal 9")
        self.janus.forgive_deaths(9)
        publisher.publish("s", data="after")
        publisher.publish("b", data="after")
        bystander.expect_message("b", data="after")
        open_still = 0
        for holder in holders:
            got = self.all_of(holder)
            self.assertLessEqual(len(got), 1, got)      # the message, or why it ends, or nothing any more
            self.assertTrue(all(json.loads(one) for one in got))
            open_still += bool(got) and b"after" in got[0]
        self.assertGreater(open_still, 50)
        self.assertEqual(self.janus.count("closed_uncertain"), 0)

    def all_of(self, client):
        """What it gets until there is a message, or the end."""
        found = []
        with contextlib.suppress(Closed):
            while not found or b"after" not in found[-1]:
                found.append(client.frame(10))
        return found


class Unfinished(WebTest):
    def test_flash(self):
        janus = self.server("frame_timeout=1s", workers=1)
        late, idle = self.clients(janus, 2)
        late.send(BEGUN)

        def dribble():
            """A byte now and then does not help."""
            with contextlib.suppress(OSError):
                late.send(b"x")
            return janus.count("closed_unfinished") == 1
        wait_until(dribble, 15, "the end of a frame that is not finished", pause=0.2)
        late.expect_error("frame_timeout")
        late.expect_close()
        self.assertEqual(janus.count("closed_unfinished"), 1)
        idle.subscribe("b")

    def test_packet(self):
        janus = self.server("frame_timeout=1s", workers=1, listen=("packet://127.0.0.1:0",))
        late = janus_test.Client(janus, greeting=False)
        self.addCleanup(late.close)
        late.send(struct.pack(">I", 100) + b"x")
        self.assertIn(b"frame_timeout", late.rest(10))
        self.assertEqual(janus.count("closed_unfinished"), 1)

    def test_websocket(self):
        """A message in fragments is one unit: pings in between do not begin it anew."""
        janus = self.server("frame_timeout=1s", workers=1, listen=("http://127.0.0.1:0",))
        late = WebSocket(janus)
        self.addCleanup(late.close)
        late.upgrade("/ws")
        late.frame(1, "x", fin=False)

        def dribble():
            with contextlib.suppress(OSError):
                late.frame(9, "")
            return janus.count("closed_unfinished") == 1
        wait_until(dribble, 15, "the end of a message that is not finished", pause=0.2)

    def test_always_one_begun(self):
        """A publisher of whom the server has half a frame at any time is not late: each of them became whole in time."""
        limit = 1 + 2 * SLOWNESS    # seconds, in which each of them is to come
        self.serve("frame_timeout=%ds" % limit, "http_timeout=%ds" % limit, workers=1)
        one = b'{"action":"publish","topic":"a","data":"x"}\0'
        flash, websocket, packets, http = self.flash(), self.websocket(), self.packet(), self.http()
        pieces = (
            (flash, one),
            (websocket, frame(TEXT, one[:-1])),
            (packets, packet({"op": "publish", "topic": "a", "data": "x"})),
            (http, request("POST", "/pub/a", b"x")),
        )
        reader = self.client(self.janus).subscribe("a")
        for client, piece in pieces:
            client.send(piece[:10])
        until = time.monotonic() + 3 * limit
        while time.monotonic() < until:
            for client, piece in pieces:
                client.send(piece[10:] + piece[:10])
                self.assertEqual(reader.message()["topic"], "a")
            time.sleep(0.05)
        self.assertEqual(self.janus.count("closed_unfinished"), 0)
        for client, piece in pieces:
            client.send(piece[10:])
            reader.message()


class Figures(JanusTest):
    def test_oom_order(self):
        """The kernel is to take a worker before its keeper before the master; successors too."""
        def score(pid):
            with open("/proc/%d/oom_score_adj" % pid) as f:
                return int(f.read())
        janus = self.server(workers=2)
        janus.kill_worker(0)
        janus.kill_keeper(1)
        master = score(janus.master)
        for slot in (0, 1):
            s = janus.slot(slot)
            self.assertEqual((score(s["keeper"]), score(s["worker"])), (min(1000, master + 100), min(1000, master + 300)))
        self.assertEqual(janus.reload()[0], 0)
        self.assertEqual(score(janus.slot(0)["worker"]), min(1000, master + 300))

    def test_no_core(self):
        """Segments are not dumped: what was a hole would not be one any more."""
        janus = self.server(workers=1)
        for pid in janus.processes():
            with open("/proc/%d/smaps" % pid) as f:
                areas = re.findall(r"memfd:janus-(?:hub|slot)[\s\S]*?VmFlags:(.*)", f.read())
            self.assertTrue(areas)
            for flags in areas:
                self.assertIn(" dd", flags)

    def test_mapped(self):
        """As much as can be in use, not as much as there might be."""
        janus = self.server("max_buffered=256M", "max_frame=16M", "ring_bytes=256M", workers=1)
        with open("/proc/%d/status" % janus.workers()[0]) as f:
            kilobytes = int(re.search(r"VmSize:\s*(\d+)", f.read()).group(1))
        if "asan" not in janus_test.BUILD:
            self.assertLess(kilobytes, 32 << 20)

    def test_what_can_not_be_mapped(self):
        janus = os.path.join(janus_test.BUILD, "janus")
        for options, word in ((("max_buffered=16T",), "max_buffered"), (("max_buffered=64K",), "max_frame")):
            arguments = [a for o in options for a in ("-o", o)]
            status, out, error = run(janus, "-t", "-o", "listen=flash://127.0.0.1:0", *arguments, seconds=30)
            self.assertEqual((status, out), (1, ""))
            self.assertIn(word, error)
        status, out, error = run(janus, "-t", "-o", "listen=flash://127.0.0.1:0", "-o", "user=" + USER, seconds=30)
        self.assertEqual((status, error), (0, ""))


class Subscriptions(JanusTest):
    def test_share(self):
        """Greedy connections can't take what others may have."""
        janus = self.server("max_subscriptions_total=2000", "max_subscriptions=1000", workers=1)
        greedy = self.clients(janus, 3)
        for i, client in enumerate(greedy):
            for k in range(900):
                client.action("subscribe", data="%d-%d" % (i, k))
            answers = [client.message_text() for _ in range(900)]
            refused = [a for a in answers if a != b"ACK"]
            self.assertTrue(all(b"max_subscriptions_total" in a for a in refused))
            self.assertEqual(bool(refused), i == 2)
        self.assertLess(janus.subscriptions(), 2100)
        for client in self.clients(janus, 30):
            client.subscribe(*("mine-%d" % k for k in range(32)))
        greedy[0].close()
        wait_until(lambda: janus.subscriptions() < 2500, what="the end of its subscriptions")

    def test_many(self):
        janus = self.server("max_subscriptions=200000", workers=1)
        client = self.client(janus)
        client.subscribe(*("t%d" % k for k in range(3000)))
        self.assertEqual(janus.subscriptions(), 3000)
        self.assertGreaterEqual(janus.stats()["subscriptions_max"], 1 << 20)


if __name__ == "__main__":
    unittest.main()
