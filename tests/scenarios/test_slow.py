"""Subscribers that do not read: what they get when they do again, what they lose, and that others do not notice."""
import contextlib
import itertools
import json
import os
import select
import signal
import threading
import unittest

from crash_test import CrashTest
import janus_test
from janus_test import SLOWNESS, Closed, Deadline, JanusTest, Server, cpu_seconds, free_port, parse_url, raise_nofile, wait_until
from programs import OTHER_BUILD, Program
from web_clients import TEXT, WEB, Http, Sse, WebSocket, WebTest, frame, packet, request

SMALL = ("ring_bytes=1M", "ring_messages=1024", "max_frame=64K")


class Slow(JanusTest):
    def publish(self, publisher, readers, numbers, size=4000, topics="a"):
        """Publishes messages with these numbers, read at once by the readers: so that all of them went through the ring."""
        data = "x" * size
        numbers = list(numbers)
        step = max(1, 200000 // size)       # much less than the ring
        for i in range(0, len(numbers), step):
            part = numbers[i:i + step]
            publisher.send(b"".join(b'{"action":"publish","topic":"%c","n":%d,"data":"%s"}\0' %
                                    (topics[n % len(topics)].encode(), n, data.encode()) for n in part))
            for reader in readers:
                for n in part:
                    message = reader.message()
                    self.assertEqual((message["n"], len(message["data"])), (n, size))

    def read_to(self, client, last, size=4000):
        """What it gets, up to the message with that number: whole frames, in order. The numbers."""
        got = []
        while not got or got[-1] != last:
            message = client.message()
            self.assertEqual(len(message["data"]), size)
            got.append(message["n"])
        self.assertEqual(got, sorted(set(got)), "in order, once")
        return got

    def check_suffix(self, got, count):
        """A beginning that was on its way, a gap, an end that the ring still had: no second gap."""
        gaps = [(a, b) for a, b in zip([-1] + got, got) if b != a + 1]
        self.assertLessEqual(len(gaps), 1, gaps)
        return count - len(got)

    def test_skip(self):
        janus = self.server("slow=skip", *SMALL, workers=2)
        slow = self.client(janus, rcvbuf=4096).subscribe("a")
        other, publisher = self.client(janus).subscribe("a"), self.client(janus)
        self.publish(publisher, [other], range(4000))
        self.assertEqual(janus.behind(), 1)
        got = self.read_to(slow, 3999)
        missing = self.check_suffix(got, 4000)
        self.assertGreater(missing, 0)
        self.assertEqual(janus.count("dropped_overtaken"), missing)
        self.assertEqual(janus.count("delivered"), 4000 + len(got))
        # It is one like any other again.
        wait_until(lambda: janus.behind() == 0)
        self.publish(publisher, [other, slow], range(4000, 4100))
        self.assertEqual(janus.count("dropped_overtaken"), missing)

    def test_skip_more_than_once(self):
        """It stops again and again; every loss is counted once."""
        janus = self.server("slow=skip", *SMALL, workers=2)
        slow = self.client(janus, rcvbuf=4096).subscribe("a")
        other, publisher = self.client(janus).subscribe("a"), self.client(janus)
        got = []
        for part in range(3):
            self.publish(publisher, [other], range(part * 3000, part * 3000 + 3000))
            got += self.read_to(slow, part * 3000 + 2999)
        self.assertEqual(got, sorted(set(got)))
        wait_until(lambda: janus.behind() == 0)
        self.assertEqual(janus.count("dropped_overtaken"), 9000 - len(got))

    def test_skip_while_reading_a_little(self):
        """One that reads, but too slowly: still whole frames in order, and what is lost is counted."""
        janus = self.server("slow=skip", *SMALL, workers=2)
        slow = self.client(janus, rcvbuf=4096).subscribe("a")
        other, publisher = self.client(janus).subscribe("a"), self.client(janus)
        got = []
        for part in range(40):
            self.publish(publisher, [other], range(part * 200, part * 200 + 200))
            got += [slow.message()["n"] for _ in range(20)]
        got += self.read_to(slow, 7999)
        self.assertEqual(got, sorted(set(got)))
        wait_until(lambda: janus.behind() == 0)
        self.assertEqual(janus.count("dropped_overtaken"), 8000 - len(got))

    def test_skip_with_several_topics(self):
        janus = self.server("slow=skip", *SMALL, workers=2)
        slow = self.client(janus, rcvbuf=4096).subscribe(*"abc")
        other, publisher = self.client(janus).subscribe(*"abcd"), self.client(janus)
        self.publish(publisher, [other], range(4000), topics="abcd")
        publisher.publish("a", n=4000, data="x" * 4000)
        got = self.read_to(slow, 4000)
        self.assertNotIn(3, [n % 4 for n in got])
        missing = 3001 - len(got)
        self.assertGreater(missing, 0)
        self.assertEqual(janus.count("dropped_overtaken"), missing)

    def test_skip_on_all_workers(self):
        """Slow ones of each worker, beside live ones."""
        janus = self.server("slow=skip", *SMALL, workers=4)
        self.on_each_worker(janus)
        slow = [c.subscribe("a") for c in self.clients(janus, 12, rcvbuf=4096)]
        other, publisher = self.client(janus).subscribe("a"), self.client(janus)
        self.publish(publisher, [other], range(3000))
        missing = sum(self.check_suffix(self.read_to(client, 2999), 3000) for client in slow)
        self.assertGreater(missing, 0)
        self.assertEqual(janus.count("dropped_overtaken"), missing)

    def test_skip_after_a_crash(self):
        """The worker is killed while the slow one is behind, before and after the ring has overtaken it."""
        janus = self.server("slow=skip", *SMALL, workers=1)
        slow = self.client(janus, rcvbuf=4096).subscribe("a")
        other, publisher = self.client(janus).subscribe("a"), self.client(janus)
        self.publish(publisher, [other], range(2000))
        wait_until(lambda: janus.behind() == 1)
        janus.kill_worker(0)
        self.publish(publisher, [other], range(2000, 4000))
        janus.kill_worker(0)
        got = self.read_to(slow, 3999)
        missing = self.check_suffix(got, 4000)
        self.assertGreater(missing, 0)
        self.assertEqual(janus.count("dropped_overtaken"), missing)
        self.publish(publisher, [other, slow], range(4000, 4010))

    def test_disconnect(self):
        janus = self.server("slow=disconnect", *SMALL, workers=2)
        slow = self.client(janus, rcvbuf=4096).subscribe("a")
        other, publisher = self.client(janus).subscribe("a"), self.client(janus)
        self.publish(publisher, [other], range(4000))
        got = []
        with self.assertRaises(Closed) as closed:
            while True:
                message = slow.message()
                self.assertEqual(len(message["data"]), 4000)
                got.append(message["n"])
        self.assertIn("with b''", str(closed.exception), "a frame was cut")
        self.assertEqual(got, list(range(len(got))))
        wait_until(lambda: janus.count("closed_slow") == 1)
        self.assertEqual(janus.count("closed_slow"), 1)
        self.assertEqual(janus.connections(), 2)
        self.assertEqual(janus.subscriptions(), 1)
        self.assertEqual(janus.behind(), 0)
        self.publish(publisher, [other], range(10))

    def test_disconnect_of_one_that_never_reads(self):
        """It is never writable again, and goes all the same, when nothing could be sent for a heartbeat."""
        janus = self.server("slow=disconnect", "heartbeat=1s", *SMALL, workers=1)
        self.client(janus, rcvbuf=4096).subscribe("a")
        other, publisher = self.client(janus).subscribe("a"), self.client(janus)
        self.publish(publisher, [other], range(4000))
        wait_until(lambda: janus.count("closed_slow") == 1)
        self.assertEqual(janus.connections(), 2)
        self.publish(publisher, [other], range(10))

    def overtake_all(self, slow_setting):
        """
        All that the slow one is owed is overwritten, and there is a new message that its worker has not looked at when it finds it
        writable: what happened last is dealt with first. (server, slow, number of that message)
        """
        janus = self.server("slow=" + slow_setting, *SMALL, workers=1)
        slow = self.client(janus, rcvbuf=4096).subscribe("a")
        other, publisher = self.client(janus).subscribe("a", "z"), self.client(janus)
        n = 0
        while not janus.behind():
            self.publish(publisher, [other], range(n, n + 50))
            n += 50
        self.publish(publisher, [other], range(n, n + 20))
        n += 20
        # What was cut is whole in a buffer of its own after this: nothing of "a" is in the ring any more.
        self.publish(publisher, [other], range(3000), topics="z")
        worker = janus.slot(0)["worker"]
        os.kill(worker, signal.SIGSTOP)
        try:
            while select.select([slow.socket], [], [], 0.1)[0]:
                slow.buffer += slow.socket.recv(1 << 20)
            # The frame whose rest was put aside is not delivered yet.
            self.assertEqual(janus.count("delivered"), n + 3000 + slow.buffer.count(b"\1"))
            publisher.publish("a", n=n, data="x" * 4000)
        finally:
            os.kill(worker, signal.SIGCONT)
        other.expect_message("a", n=n)
        return janus, slow, n

    def test_skip_all_that_was_owed(self):
        janus, slow, last = self.overtake_all("skip")
        got = self.read_to(slow, last)
        missing = self.check_suffix(got, last + 1)
        self.assertGreater(missing, 0)
        wait_until(lambda: janus.behind() == 0)
        self.assertEqual(janus.count("dropped_overtaken"), missing)
        self.assertEqual(janus.count("delivered"), last + 1 + 3000 + len(got))

    def test_disconnect_as_all_that_was_owed_is_gone(self):
        janus, slow, last = self.overtake_all("disconnect")
        got = []
        with self.assertRaises(Closed):
            while True:
                got.append(slow.message()["n"])
        self.assertEqual(got, list(range(len(got))), "no gap")
        wait_until(lambda: janus.count("closed_slow") == 1)
        self.assertEqual(janus.count("dropped_overtaken"), last - len(got))

    def test_late_but_within_the_ring(self):
        """Less than a ring: it gets everything, with either setting."""
        for slow_setting in ("skip", "disconnect"):
            with self.subTest(slow=slow_setting):
                janus = self.server("slow=" + slow_setting, workers=2)
                slow = self.client(janus, rcvbuf=4096).subscribe("a")
                several = self.client(janus, rcvbuf=4096).subscribe("a", "b")
                other, publisher = self.client(janus).subscribe("a"), self.client(janus)
                self.publish(publisher, [other], range(3000))
                self.assertEqual(janus.behind(), 2)
                for client in (slow, several):
                    self.assertEqual(self.read_to(client, 2999), list(range(3000)))
                wait_until(lambda: janus.behind() == 0)
                self.assertEqual(janus.count("dropped_overtaken"), 0)
                self.assertEqual(janus.count("closed_slow"), 0)
                self.assertEqual(janus.count("delivered"), 9000)

    def test_large_frames(self):
        """Blocked in the middle of frames larger than any socket buffer's rest; within the ring, nothing is lost."""
        janus = self.server(workers=2)
        size = 200 * 1024
        slow = self.client(janus, rcvbuf=4096).subscribe("a")
        other, publisher = self.client(janus).subscribe("a"), self.client(janus)
        self.publish(publisher, [other], range(150), size)
        self.assertEqual(janus.behind(), 1)
        self.assertEqual(self.read_to(slow, 149, size), list(range(150)))
        self.assertEqual(janus.count("dropped_overtaken"), 0)

    def test_large_frames_overtaken(self):
        janus = self.server("slow=skip", "ring_bytes=4M", "ring_messages=1024", workers=2)
        size = 200 * 1024
        slow = self.client(janus, rcvbuf=4096).subscribe("a")
        other, publisher = self.client(janus).subscribe("a"), self.client(janus)
        self.publish(publisher, [other], range(150), size)
        got = self.read_to(slow, 149, size)
        missing = self.check_suffix(got, 150)
        self.assertGreater(missing, 0)
        self.assertEqual(janus.count("dropped_overtaken"), missing)

    def test_answers_of_one_behind(self):
        """What it asks for while it is behind is answered when it reads: between frames."""
        janus = self.server(workers=1)
        slow = self.client(janus, rcvbuf=4096).subscribe("a")
        other, publisher = self.client(janus).subscribe("a"), self.client(janus)
        self.publish(publisher, [other], range(3000))
        slow.action("subscribe", data="b")
        slow.action("nonsense")
        slow.unsubscribe("never")
        answers, got = [], []
        while not got or got[-1] != 2999:
            frame = slow.message_text()
            if frame == b"ACK" or b'"error"' in frame[:60]:
                answers.append(frame[:3])
            else:
                got.append(json.loads(frame)["n"])
        self.assertEqual(got, list(range(3000)))
        while len(answers) < 2:
            answers.append(slow.message_text()[:3])
        self.assertEqual(answers, [b"ACK", b'{"t'])
        publisher.publish("b", n=1)
        slow.expect_message("b", n=1)

    def test_unsubscribes_while_behind(self):
        janus = self.server(workers=1)
        slow = self.client(janus, rcvbuf=4096).subscribe("a")
        other, publisher = self.client(janus).subscribe("a"), self.client(janus)
        self.publish(publisher, [other], range(3000))
        slow.unsubscribe("a")
        wait_until(lambda: janus.subscriptions() == 1)
        slow.action("subscribe", data="b")
        wait_until(lambda: janus.subscriptions() == 2)
        publisher.publish("a", n=3000)
        publisher.publish("b", n=3001)
        got = []
        while not got or got[-1] != 3001:
            frame = slow.message_text()
            if frame != b"ACK":
                got.append(json.loads(frame)["n"])
        self.assertEqual(got[:-1], list(range(len(got) - 1)), "no hole, nothing after the unsubscribe")
        self.assertLess(len(got), 3000)

    def test_bench_slow(self):
        """janusbench's slow ones, among many: all of it comes, late."""
        janus = self.server(workers=4)
        figures = self.bench(janus, "-n", 200, "-m", 2000, "-s", 1000, "-p", 4, "--slow", 10, "--slow-s", 1).finish()
        self.assertEqual(figures["fault_sum"], 0)
        self.assertEqual(figures["deliveries"], 400000)

    def test_batches_of_several_topics(self):
        """Batches of those with several topics fill up while some of their sockets are full: everybody gets its own messages only."""
        janus = self.server(workers=1)
        count = 60
        slow = self.clients(janus, count, rcvbuf=4096)
        quick = self.clients(janus, count)
        for i, client in enumerate(slow):
            client.subscribe("secret %02d" % i, "common")
        for i, client in enumerate(quick):
            client.subscribe("common", "own %02d" % i)
        publisher = self.client(janus)
        data = "x" * 850
        number = itertools.count()
        deadline = Deadline(2)
        while not deadline.over():
            part = [next(number) for _ in range(50)]
            publisher.send(b"".join(b'{"action":"publish","topic":"common","n":%d,"data":"%s"}\0' % (n, data.encode()) for n in part) +
                           b"".join(b'{"action":"publish","topic":"secret %02d","data":"%s"}\0' % (n % count, data.encode()) for n in part))
            for client in quick:
                for n in part:
                    client.expect_message("common", n=n, data=data)
            if janus.behind() == count:
                for client in slow:
                    with contextlib.suppress(BlockingIOError):
                        client.socket.setblocking(False)
                        while client.socket.recv(1 << 20):
                            pass
        self.assertEqual(janus.count("dropped_overtaken"), 0)


class SlowTold(WebTest):
    """Who loses messages is told how many, by topic, where its protocol can; and what it gets and what it is told are what was published."""

    workers = 2
    KINDS = "flash", "packet", "ws", "ws-stream", "lines", "lines-1.0", "sse", "sse-1.0", "sse-json"

    def reader(self, kind, topic="a"):
        if kind in ("flash", "packet"):
            return getattr(self, kind)(rcvbuf=4096).subscribe(topic)
        if kind.startswith("ws"):
            client = self.connect(WebSocket, "http", rcvbuf=4096).upgrade("/ws" if kind == "ws" else "/sub/" + topic)
            return client.subscribe(topic) if kind == "ws" else client
        version = kind[-3:] if kind.endswith("1.0") else "1.1"
        if kind.startswith("lines"):
            return self.lines("/sub/" + topic, version, rcvbuf=4096)
        return self.sse("/sub/" + topic + ("?envelope=json" if "json" in kind else ""), version, rcvbuf=4096)

    @staticmethod
    def number(kind, message):
        if kind == "sse":
            return int(message.data.split()[0])
        if kind == "sse-1.0":
            return int(message.data.split()[0])
        if kind == "sse-json":
            return int(message.json()["data"].split()[0])
        return int(message["data"].split()[0])

    def publish(self, numbers, topics=("a",), size=4000):
        """Read at once by one who keeps up, so all of it goes through the ring."""
        if not hasattr(self, "publisher"):
            self.publisher = self.flash()
            self.keeps_up = self.flash().subscribe(*topics)
        numbers = list(numbers)
        for i in range(0, len(numbers), 50):
            for n in numbers[i:i + 50]:
                self.publisher.publish(topics[n % len(topics)], data="%d %s" % (n, "x" * size))
            for n in numbers[i:i + 50]:
                self.assertEqual(int(self.keeps_up.message()["data"].split()[0]), n)

    def read_to(self, kind, client, last):
        got = []
        while not got or got[-1] != last:
            got.append(self.number(kind, client.message()))
        self.assertEqual(got, sorted(set(got)))
        return got

    def test_skip_is_told(self):
        self.serve("slow=skip", *SMALL)
        readers = [(kind, self.reader(kind)) for kind in self.KINDS]
        missing = 0
        for part in range(2):
            self.publish(range(part * 3000, part * 3000 + 3000))
            for kind, client in readers:
                with self.subTest(kind=kind):
                    before = getattr(client, "missed", ())
                    got = self.read_to(kind, client, part * 3000 + 2999)
                    lost = 3000 - len(got)
                    self.assertGreater(lost, 0)
                    missing += lost
                    told = getattr(client, "missed", ())[len(before):]
                    if kind != "flash":
                        self.assertEqual({t[:2] for t in told}, {("topic", "a")})
                        self.assertEqual(sum(n for _, _, n in told), lost)
                    else:
                        self.assertEqual(told, ())
        wait_until(lambda: self.janus.behind() == 0)
        self.assertEqual(self.janus.count("dropped_overtaken"), missing)
        self.assertEqual(self.janus.count("dropped_latest"), 0)

    def test_notice_stands_before_the_next_message(self):
        self.serve("slow=skip", *SMALL)
        slow = self.reader("lines")
        self.publish(range(3000))
        due = 0
        while due < 3000:
            known = slow.missed_messages()
            n = self.number("lines", slow.message())
            self.assertEqual(n, due + slow.missed_messages() - known)
            due = n + 1

    def test_latest(self):
        """Of its topic the newest alone comes, when it was overtaken; others in the same stream are as their rules say."""
        self.serve("slow=t*: latest; @*: disconnect; *: skip", *SMALL)
        slow = self.connect(WebSocket, "http", rcvbuf=4096).upgrade("/ws").subscribe("news", "ticker")
        self.publish(range(6000), topics=("ticker", "news"))
        got = {"ticker": [], "news": []}
        while not got["news"] or got["news"][-1] != 5999:
            message = slow.message()
            got[message["topic"]].append(self.number("ws", message))
        self.assertEqual(got["ticker"][-1], 5998)
        # In the middle of a beginning that was on its way and the newest, there is nothing.
        gaps = [(a, b) for a, b in zip(got["ticker"], got["ticker"][1:]) if b != a + 2]
        self.assertEqual([b for _, b in gaps], [5998])
        told = {topic: sum(n for _, name, n in slow.missed if name == topic) for topic in got}
        self.assertEqual(told, {topic: 3000 - len(got[topic]) for topic in got})
        self.assertEqual(self.janus.count("dropped_latest"), told["ticker"])
        self.assertEqual(self.janus.count("dropped_overtaken"), told["news"])
        wait_until(lambda: self.janus.behind() == 0)
        self.publish(range(6000, 6010), topics=("ticker", "news"))
        for n in range(6000, 6010):
            self.assertEqual(self.number("ws", slow.message()), n)
        self.assertEqual(self.janus.count("closed_slow"), 0)

    def test_disconnect_by_prefix(self):
        """Also of one that never reads, which the sweep finds; others stay."""
        self.serve("slow=orders.*: disconnect", "heartbeat=1s", *SMALL)
        gone, stays = self.reader("lines", "orders.1"), self.reader("lines", "news")
        both = self.connect(WebSocket, "http", rcvbuf=4096).upgrade("/ws").subscribe("news", "orders.1")
        self.publish(range(6000), topics=("news", "orders.1"))
        wait_until(lambda: self.janus.count("closed_slow") == 2)
        got = self.read_to("lines", stays, 5998)
        self.assertEqual(len(got) + stays.missed_messages(), 3000)
        for client in gone, both:
            with self.assertRaises((Closed, ConnectionResetError)):
                while True:
                    client.message()
            self.assertEqual(client.missed, ())

    def flooded(self, *options, kills=0, count=30000):
        """One publishes as fast as it can; some read on, too slowly, and workers may be killed: what each got and was told is what was published."""
        self.serve("restart_limit=100", *SMALL, *options)
        readers = [(self.reader(kind), "a", kind) for kind in ("lines", "sse-json", "packet")]
        readers.append((self.connect(WebSocket, "http", rcvbuf=4096).upgrade("/ws").subscribe("a", "b"), "ab", "ws"))
        publisher = self.packet()

        def publish():
            for begin in range(0, count, 100):
                publisher.send(b"".join(packet({"op": "publish", "topic": "ab"[n % 2], "data": "%d %s" % (n, "x" * 200)}) for n in range(begin, begin + 100)))
        thread = threading.Thread(target=publish)
        thread.start()
        got = [[] for _ in readers]
        for turn in itertools.count():
            if not thread.is_alive():
                break
            for numbers, (client, _, kind) in zip(got, readers):
                numbers += [self.number(kind, client.message()) for _ in range(20)]
            if turn < kills:
                self.janus.kill_worker(turn % 2)
        thread.join()
        for numbers, (client, topics, kind) in zip(got, readers):
            while not numbers or numbers[-1] != count - (1 if "b" in topics else 2):
                numbers.append(self.number(kind, client.message()))
            self.assertEqual(numbers, sorted(set(numbers)))
            for topic in topics:
                mine = [n for n in numbers if "ab"[n % 2] == topic]
                self.assertEqual(len(mine) + sum(n for _, name, n in client.missed if name == topic), count // 2, kind)

    def test_flooded(self):
        self.flooded("history=b: 30 messages")

    def test_flooded_latest(self):
        self.flooded("slow=a: latest", "history=*: 50 messages")

    def test_flooded_and_killed(self):
        self.flooded("slow=b: latest", "history=a: 50 messages", kills=8)

    def test_users_and_reload(self):
        """Of a user's messages; another rule counts from the reload on, for connections that were there, too."""
        config = "".join(option.replace("=", " = ") + "\n" for option in SMALL) + "listen = http://127.0.0.1:%d\n" % free_port()
        config += "listen = flash://127.0.0.1:%d\nlisten = packet://127.0.0.1:%d\nworkers = 2\n" % (free_port(), free_port())
        self.serve(config=config + "slow = @bob: latest\n", workers=None, listen=None)
        slow = self.connect(WebSocket, "http", rcvbuf=4096).upgrade("/ws").login("bob")
        other, publisher = self.flash(), self.packet()
        other.action("login", data="bob")
        other.expect(b"ACK")
        wait_until(lambda: self.janus.subscriptions() == 2)

        def send(count):
            for begin in range(0, count, 50):
                for n in range(begin, begin + 50):
                    publisher.op("send", user="bob", data="%d %s" % (n, "x" * 4000))
                for n in range(begin, begin + 50):
                    self.assertEqual(int(other.message()["data"].split()[0]), n)
        send(3000)
        got = self.read_to("ws", slow, 2999)
        self.assertEqual({t[:2] for t in slow.missed}, {("user", "bob")})
        self.assertEqual(slow.missed_messages(), 3000 - len(got))
        self.assertEqual(self.janus.count("dropped_latest"), 3000 - len(got))
        self.janus.configure(config + "slow = a*: latest; b*: drop\n")
        status, _, err = self.janus.reload()
        self.assertNotEqual(status, 0)
        self.assertRegex(err, r":8: slow: `drop` is not one of: skip latest disconnect")
        self.janus.configure(config + "slow = a*: latest\nslow = @*: disconnect\n")
        self.assertEqual(self.janus.reload()[0], 0)
        send(3000)
        with self.assertRaises((Closed, ConnectionResetError)):
            self.read_to("ws", slow, -1)
        self.assertEqual(self.janus.count("closed_slow"), 1)


class Listened(WebTest):
    """Listeners with words of their own: flash, packets, three of HTTP."""

    number, read_to, publish = staticmethod(SlowTold.number), SlowTold.read_to, SlowTold.publish
    WORDS = {"http": "", "latest": " slow=latest", "disconnect": " slow=disconnect"}

    def find_listeners(self):
        urls = self.janus.status()["listen"]
        self._addresses = dict(zip(("flash", "packet", *self.WORDS), map(parse_url, urls)))

    def config(self, *lines, words=WORDS):
        """One for all times: its ports are the same each time."""
        if not hasattr(self, "ports"):
            self.ports = [free_port() for _ in range(5)]
        schemes = zip(["flash", "packet"] + ["http"] * 3, self.ports, ["", "", *words.values()])
        options = [option.replace("=", " = ") for option in SMALL]
        return "\n".join(["listen = %s://127.0.0.1:%d%s" % s for s in schemes] + options + ["workers = 2", "heartbeat = 1s", *lines]) + "\n"

    def begin(self, *lines, build=None):
        """A server whose program and configuration can be replaced."""
        server = Server(config=self.config(*lines))
        self.addCleanup(self._end, server)
        self.program = Program(build or janus_test.BUILD, os.path.join(server.folder, "bin"))
        server.build = self.program.folder
        server.start()
        self._janus = server
        self.find_listeners()

    def reader(self, listener, topic="a"):
        return self.connect(WebSocket, listener, rcvbuf=4096).upgrade("/ws").subscribe(topic)

    def reload(self):
        status, _, err = self.janus.reload()
        self.assertEqual(status, 0, err)

    def check(self, client, word, last, total, step=1):
        """What becomes of one of whose messages `total` were published, the last one being `last`. How many it lost and was told of."""
        if word == "disconnect":
            with self.assertRaises((Closed, ConnectionResetError)):
                self.read_to("ws", client, -1)
            self.assertEqual(client.missed, ())
            return 0
        got = self.read_to("ws", client, last)
        lost = client.missed_messages()
        self.assertGreater(lost, 0)
        self.assertEqual(len(got) + lost, total)
        gaps = [b for a, b in zip(got, got[1:]) if b != a + step]
        if word == "latest":
            self.assertEqual(gaps, [last])
        else:
            self.assertNotEqual(gaps, [last])
        return lost


class SlowByListener(Listened):
    """A listener's word for its connections, beside rules by topic."""

    def test_two_listeners_one_topic(self):
        """As its listener says; where a rule names the topic, as that says, on all listeners."""
        self.begin("slow = named*: skip; *: skip")
        every = [(listener, topic, self.reader(listener, topic)) for listener in self.WORDS for topic in ("a", "named")]
        self.publish(range(6000), topics=("a", "named"))
        wait_until(lambda: self.janus.count("closed_slow") == 1)
        lost = {"skip": 0, "latest": 0, "disconnect": 0}
        for listener, topic, client in every:
            with self.subTest(listener=listener, topic=topic):
                word = "skip" if topic == "named" or listener == "http" else listener
                lost[word] += self.check(client, word, 5998 + (topic == "named"), 3000, step=2)
        wait_until(lambda: self.janus.behind() == 0)
        self.assertEqual(self.janus.count("dropped_latest"), lost["latest"])
        self.assertGreater(self.janus.count("dropped_overtaken"), lost["skip"])     # what was lost of the one that was disconnected counts, too
        self.assertEqual(self.janus.count("closed_slow"), 1)

    def test_stands_before_a_word_for_all(self):
        self.begin("slow = disconnect")
        stays, goes = self.reader("latest"), self.reader("http")
        self.publish(range(3000))
        self.check(stays, "latest", 2999, 3000)
        self.check(goes, "disconnect", 2999, 3000)

    def test_survives(self):
        """A connection keeps its listener's word, as it was when it came: over kills, a reload that has other words, and programs with another layout."""
        self.begin()
        old = [(word, self.reader(word)) for word in self.WORDS for _ in range(2)]
        for slot in range(2):
            self.janus.kill_worker(slot)
        swapped = dict(zip(self.WORDS, (" slow=disconnect", "", " slow=latest")))
        self.janus.configure(self.config(words=swapped))
        self.reload()
        new = [(swapped[word].rpartition("=")[2] or "http", self.reader(word)) for word in self.WORDS]
        for build in OTHER_BUILD, janus_test.BUILD:
            self.program.put(build)
            self.reload()
            self.janus.kill_worker(1)
        self.janus.configure(self.config("slow = a: drop", words={**self.WORDS, "latest": " slow=last"}))
        status, _, err = self.janus.reload()
        self.assertNotEqual(status, 0)
        self.assertRegex(err, ":4: listen: slow=last is not one of: slow=skip slow=latest slow=disconnect")
        self.publish(range(3000))
        wait_until(lambda: self.janus.count("closed_slow") == 3)
        lost = sum(self.check(client, word, 2999, 3000) for word, client in old + new if word == "latest")
        for word, client in old + new:
            if word != "latest":
                self.check(client, word, 2999, 3000)
        self.assertEqual(self.janus.count("dropped_latest"), lost)

    def test_attached(self):
        """Whoever goes on with a session has the word of its own listener, whichever worker it was moved to."""
        self.begin()
        expected = []
        for first, second in ("http", "latest"), ("latest", "http"), ("disconnect", "latest"), ("http", "disconnect"):
            for moved in False, True:
                session = self.reader(first)
                token = session.greeting["token"]
                client = None
                while client is None or (client.greeting["token"][24:26] != token[24:26]) != moved:
                    client = self.connect(WebSocket, second, rcvbuf=4096).upgrade("/ws")
                client.action("attach", token=token)
                self.assertEqual(client.message()["token"], token)
                expected.append((second, client))
        self.publish(range(3000))
        wait_until(lambda: self.janus.count("closed_slow") == 2)
        for word, client in expected:
            self.check(client, word, 2999, 3000)

    def test_never_reads(self):
        """The sweep finds those who are to go, though nothing else says disconnect; and others stay."""
        self.begin()
        readers = [self.reader("disconnect"), self.reader("http")]
        self.publish(range(3000))
        wait_until(lambda: self.janus.count("closed_slow") == 1)
        self.check(readers[1], "skip", 2999, 3000)

    def test_time_limits(self):
        """What is said of slow readers is no state: connections that are idle, or say nothing, end in time."""
        self.begin("keep_alive = 1s", "idle_limit = 2s")
        idle = self.connect(Http, "latest")
        self.assertEqual(idle.ask("GET", "/version").status, 200)
        self.connect(WebSocket, "latest").upgrade("/ws")
        wait_until(lambda: self.janus.count("closed_idle") == 1, 8)
        with self.assertRaises(Closed):
            idle.ask("GET", "/version")


class SlowDeaths(CrashTest):
    """A worker dies while it passes over what was lost: that is told once, whatever was committed."""

    number = staticmethod(SlowTold.number)
    reader, publish, read_to = SlowTold.reader, SlowTold.publish, SlowTold.read_to

    def die_at(self, point, rule):
        self.serve_crash_build("slow=" + rule, *SMALL, workers=1)
        self.__dict__.pop("publisher", None)
        slow = self.connect(WebSocket, "http", rcvbuf=4096).upgrade("/ws").subscribe("news", "ticker")
        self.publish(range(6000), topics=("ticker", "news"))
        self.arm(point)
        got = {"ticker": [], "news": []}
        while not (got["news"] and got["ticker"] and got["news"][-1] == 5999 and got["ticker"][-1] == 5998):
            message = slow.message()
            got[message["topic"]].append(self.number("ws", message))
        self.assertFalse(self.armed(point), "nobody came by")
        told = {topic: sum(n for _, name, n in slow.missed if name == topic) for topic in got}
        self.assertEqual(told, {topic: 3000 - len(got[topic]) for topic in got})
        for numbers in got.values():
            self.assertEqual(numbers, sorted(set(numbers)))
        wait_until(lambda: self.janus.behind() == 0)
        counted = self.janus.count("dropped_overtaken") + self.janus.count("dropped_latest")
        if point != "pass-uncounted":
            self.assertLessEqual(counted, sum(told.values()))
            self.assertIn(sum(told.values()) - counted, {0, *told.values()})
        self.assertEqual(self.janus.count("closed_uncertain"), 0)
        self.janus.forgive_deaths(9)

    def test_adopted(self):
        """A connection that was accepted, and made a session by the next worker, has its listener's word."""
        self.serve_crash_build(*SMALL, workers=1, listen=(*WEB, "http://localhost:0 slow=latest"))
        self._addresses["latest"] = parse_url(self.janus.status()["listen"][-1])
        self.arm("accept-accepted")
        slow = self.connect(WebSocket, "latest", rcvbuf=4096).upgrade("/ws").subscribe("a")
        self.assertFalse(self.armed("accept-accepted"))
        self.assertEqual(self.janus.count("adopted"), 1)
        self.publish(range(3000))
        Listened.check(self, slow, "latest", 2999, 3000)
        self.janus.forgive_deaths()

    def test_deaths(self):
        for point in "pass-staged", "pass-half", "pass-copied", "pass-uncounted", "pass-told":
            for rule in "skip", "ticker: latest":
                with self.subTest(point=point, rule=rule):
                    self.die_at(point, rule)

    def test_kills(self):
        """Killed again and again while slow ones of all kinds read, and are overtaken."""
        self.serve("slow=skip", *SMALL, workers=2)
        readers = [(kind, self.reader(kind)) for kind in SlowTold.KINDS]
        got = {kind: [] for kind, _ in readers}
        for part in range(4):
            self.publish(range(part * 2000, part * 2000 + 2000))
            for kind, client in readers:
                for _ in range(5):
                    got[kind].append(self.number(kind, client.message()))
                self.janus.kill_worker(part % 2)
        for kind, client in readers:
            with self.subTest(kind=kind):
                while got[kind][-1] != 7999:
                    got[kind].append(self.number(kind, client.message()))
                self.assertEqual(got[kind], sorted(set(got[kind])))
                if kind != "flash":
                    self.assertEqual(len(got[kind]) + client.missed_messages(), 8000)


class SlowWeb(WebTest):
    workers = 1

    def test_never_reads(self):
        """Clients that read nothing go: of HTTP after keep_alive, others when they are to end and have had time for it."""
        self.serve("keep_alive=1s", "idle_limit=2s", "heartbeat=1s")
        answers, stream = self.http(rcvbuf=4096), self.connect(WebSocket, "http", rcvbuf=4096).upgrade("/ws")
        stream.action("subscribe", data="big")
        answers.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                answers.socket.send(request("GET", "/") * 100)
        publisher = self.flash()
        wait_until(lambda: self.janus.subscriptions() == 1)
        # All but the publisher. (Where all is slow, the one of HTTP may have gone already.)
        while self.janus.behind() < self.janus.connections() - 1:
            for _ in range(100):        # more than any buffer holds, before idle_limit comes to one that is not behind
                publisher.publish("big", data="y" * 60000)
        publisher.close()
        wait_until(lambda: self.janus.connections() == 1, 6, "the end of the one of HTTP")
        # The other one has so long to read that it is to go: LAST_WORDS.
        wait_until(lambda: self.janus.connections() == 0, 16, "the end of the one of /ws")
        self.assertEqual(self.janus.count("closed_idle"), 1)

    def test_input_goes_on_while_behind(self):
        """Its answers are more than are kept; as it reads them, what it has sent is dealt with, though it never catches up."""
        self.serve("ring_bytes=16M", "ring_messages=16384")
        client = self.connect(WebSocket, "http", rcvbuf=65536).upgrade("/ws").subscribe("big")
        publisher = self.flash()
        while not self.janus.behind():
            publisher.publish("big", data="y" * 60000)
        wanted = 121
        client.send(b"".join(frame(TEXT, '{"action":"subscribe","topic":"t%d","ref":"%s"}' % (i % 100, "i" * 200)) for i in range(wanted - 1)) +
                    frame(TEXT, b'{"action":"unsubscribe","topic":"big","ref":"end"}'))
        answers = 0
        deadline = Deadline(15)
        while answers < wanted:
            self.assertFalse(deadline.over(), "%d of %d answers" % (answers, wanted))
            found = client.take()
            if found is None:
                # For each piece that it reads as much is published, so that it stays behind.
                publisher.publish("big", data="y" * 60000)
                client.buffer += client.socket.recv(60000)
            elif "ok" in found:
                self.assertTrue(found["ok"])
                answers += 1
        self.assertEqual(found["ref"], "end")

    def test_large_cut_frames_are_kept(self):
        """What is left of a frame when the ring overtakes it is kept, also where it is six times what was published."""
        self.serve("slow=skip", "ring_bytes=16M")
        size = 200000
        slow = self.lines("/sub/a", rcvbuf=4096)
        for _ in range(4):
            self.published("/pub/a", b"\1" * size)
        wait_until(lambda: self.janus.behind() == 1)
        publisher, other = self.flash(), self.flash().subscribe("b")
        for n in range(400):
            publisher.publish("b", n=n, data="x" * 60000)
            other.expect_message("b", n=n)
        self.published("/pub/a", b"the end")
        got = [slow.message()["data"]]
        while got[-1] != "the end":
            got.append(slow.message()["data"])
        self.assertGreater(len(got), 1)
        self.assertEqual(set(got[:-1]), {"\1" * size})
        counters = self.janus.stats()["counters"]
        self.assertEqual((counters["dropped_overtaken"], counters["closed_slow"], counters["no_buffer"]), (5 - len(got), 0, 0))

    def test_lines_grow_most(self):
        """The rest of a frame that is much larger than its message is kept for one who does not read."""
        self.serve("ring_bytes=33554432", workers=1)
        slow = self.connect(Sse, "http", rcvbuf=4096)
        slow.ask("GET", "/sub/a", fields=[("Accept", "text/event-stream")])
        while not self.janus.behind():
            self.published("/pub/a", b"x" * 100000)
        publisher = self.packet()
        publisher.op("publish", topic="a", data="\n" * 262000, receipt=True, ref=5)
        self.assertTrue(publisher.message(5)["ok"])
        for _ in range(80):
            self.published("/pub/a", b"x" * 100000)
        self.published("/pub/a", b"end")
        got = [slow.event().data]
        while got[-1] != "end":
            got.append(slow.event().data)
        self.assertIn("\n" * 262000, got)
        counters = self.janus.stats()["counters"]
        self.assertEqual([counters[name] for name in ("no_buffer", "closed_slow", "dropped_overtaken", "closed_uncertain")], [0, 0, 0, 0])

    def test_many_pages_and_a_large_message(self):
        """Each page has frames of its own; a bystander does not wait until all are made."""
        raise_nofile(3000)
        pages = [self.http() for _ in range(900)]
        for page in pages:
            page.send(request("GET", "/test/bob"))
        for page in pages:
            self.assertEqual(page.answer().status, 200)
        publisher, bystander = self.http(), self.http()
        bystander.ask("OPTIONS", "/")
        publisher.send(request("POST", "/send/bob", b"'" * 200000))
        self.assertEqual(publisher.answer().json()["subscribers"], 900)
        worker, worst = self.janus.workers()[0], 0
        for _ in range(20):
            before = cpu_seconds(worker)        # (time goes by on a busy machine, whatever the worker does)
            self.assertEqual(bystander.ask("OPTIONS", "/").status, 204)
            worst = max(worst, cpu_seconds(worker) - before)
        self.assertLess(worst, 0.3 * SLOWNESS)


if __name__ == "__main__":
    unittest.main()
