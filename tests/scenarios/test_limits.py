"""Topics, subscriptions, connections, descriptors, messages a second: where they end, and what is free again afterwards."""
import contextlib
import json
import os
import resource
import select
import signal
import time
import unittest

from janus_test import Client, Closed, JanusTest, SLOWNESS, cpu_seconds, raise_nofile, wait_until
from web_clients import TEXT, WebTest, frame, packet, request


class Topics(JanusTest):
    def test_subscribers_that_go(self):
        """However a subscriber goes, its subscriptions go with it, if its session is not to stay."""
        janus = self.server("session_linger=0", workers=2)
        stays = self.client(janus).subscribe("a", "b")
        for end in ("close", "reset", "half_close"):
            with self.subTest(end=end):
                gone = [c.subscribe("a", "b", "c") for c in self.clients(janus, 10)]
                self.assertEqual(janus.subscriptions(), 32)
                for client in gone:
                    getattr(client, end)()
                wait_until(lambda: janus.subscriptions() == 2 and janus.connections() == 1, what="the connections' end")
                stays.publish("c")
                stays.publish("b", end=end)
                stays.expect_message("b", end=end)
        stays.close()
        wait_until(lambda: janus.subscriptions() == 0 and janus.connections() == 0)
        counters = janus.stats()["counters"]
        self.assertEqual(counters["accepted"], counters["closed"])
        self.assertEqual(counters["published_unheard"], 3)

    def test_topics_are_reclaimed(self):
        """More different topics than there is room for, a few at a time."""
        janus = self.server("max_topics=16", workers=2)
        client, publisher = self.clients(janus, 2)
        for i in range(500):
            topics = ["t%d" % (3 * i + j) for j in range(3)]
            client.subscribe(*topics)
            for topic in topics:
                publisher.publish(topic, i=i)
            self.assertEqual(sorted(client.message()["topic"] for _ in topics), sorted(topics))
            for topic in topics:
                client.unsubscribe(topic)

    def test_topics_are_reclaimed_from_the_dead(self):
        janus = self.server("max_topics=16", "session_linger=0", workers=2)
        for i in range(20):
            clients = self.clients(janus, 4)
            for j, client in enumerate(clients):
                client.subscribe(*("t%d-%d-%d" % (i, j, k) for k in range(4)))
                client.publish("t%d-%d-2" % (i, j), n=j)
                client.expect_message("t%d-%d-2" % (i, j), n=j)
                (client.close if i % 2 else client.reset)()
            wait_until(lambda: janus.subscriptions() == 0, what="the subscriptions' end")

    def test_max_topics(self):
        janus = self.server("max_topics=16", workers=2)
        first, second = self.clients(janus, 2)
        first.subscribe(*("t%d" % i for i in range(16)))
        for client in (first, second):
            client.action("subscribe", data="one more")
            client.expect_error("max_topics")
            client.subscribe("t3")
        second.publish("one more")
        second.publish("t3", n=1)
        first.expect_message("t3", n=1)
        second.expect_message("t3", n=1)
        first.unsubscribe("t5")
        first.subscribe("one more")
        second.publish("one more", n=2)
        first.expect_message("one more", n=2)
        self.assertEqual(janus.count("bad_input"), 0)

    def test_max_subscriptions(self):
        janus = self.server("max_subscriptions=5", workers=1)
        client, other = self.clients(janus, 2)
        client.subscribe(*"abcde")
        client.action("subscribe", data="f")
        client.expect_error("max_subscriptions")
        client.subscribe("a")           # has it already
        other.subscribe("f")
        client.unsubscribe("c")
        client.subscribe("f")
        for topic in "abcdef":
            other.publish(topic)
        for topic in "abdef":
            client.expect_message(topic)
        other.expect_message("f")

    def test_many_subscriptions_of_one(self):
        """As many as it may have by default, and a message of each."""
        janus = self.server(workers=1)
        client, publisher = self.clients(janus, 2)
        names = ["topic %d" % i for i in range(1024)]
        client.send(b"".join(b'{"action":"subscribe","data":"%s"}\0' % n.encode() for n in names))
        for _ in names:
            client.expect(b"ACK")
        client.action("subscribe", data="one more")
        client.expect_error("max_subscriptions")
        publisher.send(b"".join(b'{"action":"publish","topic":"%s"}\0' % n.encode() for n in reversed(names)))
        for name in reversed(names):
            client.expect_message(name)


class Connections(JanusTest):
    def test_max_connections(self):
        janus = self.server("max_connections=10", workers=3)
        clients = self.clients(janus, 10)
        self.assertEqual(janus.status()["connections_max"], 10)
        for n in range(1, 6):
            extra = self.client(janus, greeting=False)
            extra.expect_error("full")
            extra.expect_close()
            extra.close()
            self.assertEqual(janus.count("refused"), n)
        clients[0].subscribe("a")
        for client in clients[7:]:
            client.close()
        wait_until(lambda: janus.connections() == 7, what="three connections' end")
        for client in self.clients(janus, 3):
            client.publish("a")
            clients[0].expect_message("a")
        extra = self.client(janus, greeting=False)
        extra.expect_error("full")
        self.assertEqual(janus.count("accepted"), 13)
        self.assertEqual(janus.count("refused"), 6)

    def test_refused_publisher_reads_why(self):
        """One that has sent its message before it was refused."""
        janus = self.server("max_connections=1", workers=1)
        self.client(janus)
        for _ in range(20):
            extra = self.client(janus, greeting=False)
            extra.send(b'PUBLISH\0{"topic":"a"}')
            extra.expect_error("full")
            extra.close()

    def test_max_connections_in_a_rush(self):
        """Many at once on many workers: no more than allowed, and each gets one answer or the other."""
        janus = self.server("max_connections=20", workers=4)
        clients = self.clients(janus, 200, greeting=False)
        answers = [client.frame() for client in clients]
        greeted = [c for c, a in zip(clients, answers) if b"token" in a]
        for client, answer in zip(clients, answers):
            if client not in greeted:
                self.assertIn(b"full", answer)
        self.assertEqual(janus.count("refused"), 200 - len(greeted))
        self.assertEqual(janus.connections(), len(greeted))
        self.assertEqual(len(greeted), 20)

    def fill(self, janus):
        """Connections until one is refused."""
        address = janus.address()
        clients = []
        while True:
            client = self.client(janus, address=address, greeting=False)
            frame = client.frame()
            if b"token" not in frame:
                self.assertIn(b"full", frame)
                client.close()
                return clients
            clients.append(client)

    def test_few_descriptors(self):
        """RLIMIT_NOFILE is what ends it: cleanly, without spinning, and not for ever."""
        raise_nofile(3000)
        janus = self.server(workers=2, nofile=(600, 600))
        room = int(janus.wait_log(r"room for (\d+) connections").group(1))
        self.assertEqual(janus.status()["connections_max"], room)
        self.assertGreater(room, 600)
        self.assertLess(room, 1200)
        clients = self.fill(janus)
        self.assertEqual(len(clients), room)
        self.assertEqual(janus.connections(), room)

        # Full and idle: no processor time to speak of. Nobody waits here for anything but time.
        workers = janus.workers()
        before = sum(map(cpu_seconds, workers))
        select.select([clients[0].socket], [], [], 1.5)
        self.assertLess(sum(map(cpu_seconds, workers)) - before, 0.3 * SLOWNESS)

        # Full, and still serving, while others knock.
        clients[0].subscribe("a")
        clients[-1].subscribe("a")
        for n in range(50):
            extra = self.client(janus, greeting=False)
            extra.expect_error("full")
            extra.close()
            clients[n + 1].publish("a", n=n)
            clients[0].expect_message("a", n=n)
            clients[-1].expect_message("a", n=n)
        self.assertEqual(janus.count("refused"), 51)

        for client in clients[100:300]:
            client.close()
        wait_until(lambda: janus.connections() == room - 200, what="200 connections' end")
        self.assertEqual(len(self.fill(janus)), 200)
        self.assertEqual(janus.connections(), room)

    def test_worker_killed_while_full(self):
        raise_nofile(3000)
        janus = self.server(workers=2, nofile=(600, 600))
        clients = self.fill(janus)
        for client in clients[::100]:
            client.subscribe("a")
        for n, slot in enumerate((0, 1, 0, 1)):
            janus.kill_worker(slot)
            self.assertEqual(janus.connections(), len(clients))
            clients[n].publish("a", n=n)
            for client in clients[::100]:
                client.expect_message("a", n=n)
        extra = self.client(janus, greeting=False)
        extra.expect_error("full")

    def crowd(self, janus, slot):
        """One connection at least in each of two slots, and many more in this one: the other one's worker is stopped meanwhile."""
        clients = self.on_each_worker(janus)
        other = janus.slot(1 - slot)["worker"]
        os.kill(other, signal.SIGSTOP)
        try:
            clients += self.served_at_once(janus, 100)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(other, signal.SIGCONT)
        return clients

    def served_at_once(self, janus, count):
        """New connections, one after the other, of which none has to wait for a worker that does not accept."""
        began = time.monotonic()
        clients = self.clients(janus, count)
        self.assertLess(time.monotonic() - began, 10 * SLOWNESS)
        return clients

    def test_nobody_waits_for_a_worker_that_hangs(self):
        self.crowd(self.server(workers=2), 0)

    def test_nobody_waits_for_a_worker_that_drains(self):
        janus = self.server(config="workers = 2\nlisten = flash://127.0.0.1:0\n")
        self.crowd(janus, 0)
        janus.configure("workers = 1\nlisten = flash://127.0.0.1:0\n")
        self.assertEqual(janus.reload()[0], 0)
        self.served_at_once(janus, 5)

    def test_full_while_another_one_drains(self):
        """The slot that drains has room, but not for new ones: they are told so, and don't wait for it."""
        janus = self.server(config="workers = 2\nlisten = flash://127.0.0.1:0\n", nofile=(512, 512))
        self.on_each_worker(janus)
        janus.configure("workers = 1\nlisten = flash://127.0.0.1:0\n")
        self.assertEqual(janus.reload()[0], 0)
        address = janus.address()
        for _ in range(512):
            client = self.client(janus, address=address)
            if b"full" in client.greeting:
                break
        else:
            self.fail("never full")
        client.expect_close()

    def test_too_few_descriptors(self):
        janus = self.server(start=False, nofile=(256, 256))
        janus.launch()
        janus.wait_exit(1)
        self.assertRegex(janus.log(), "256 descriptors are too few")

    def test_soft_limit_is_raised(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        hard = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
        if hard < 1024:
            self.skipTest("RLIMIT_NOFILE is %d" % hard)
        janus = self.server(workers=1, nofile=(300, hard))
        self.assertGreater(janus.status()["connections_max"], 600)

    def test_spread_over_workers(self):
        """No worker has much more than its share."""
        raise_nofile(3000)
        janus = self.server(workers=4)
        self.clients(janus, 1000)
        shares = [w["connections"] for w in janus.status()["workers"]]
        self.assertEqual(sum(shares), 1000)
        self.assertGreater(min(shares), 100, shares)


class Floods(WebTest):
    """What counts for flood_messages. How floods end is told in test_packet.py and test_websocket.py."""

    options = ("flood_messages=10",)
    workers = 1

    def test_next_on_the_descriptor(self):
        """A connection starts from nothing, also where another one had its descriptor in the same second."""
        for _ in range(10):
            client = self.flash()
            client.send(b'{"action":"publish","topic":"a"}\0' * 6)
            client.close()
            wait_until(lambda: self.janus.connections() == 0, what="its end")
        self.wait_count(self.janus, "published_unheard", 60)
        self.assertEqual(self.janus.count("closed_flood"), 0)

    def test_what_means_nothing(self):
        """Only what is dealt with counts."""
        client = self.flash()
        client.send(b'<regular-socket/>\0{"action":"publish","topic":"a"}\0' * 6)
        client.subscribe("a")
        self.assertEqual(self.janus.count("closed_flood"), 0)
        self.assertEqual(self.janus.count("published_unheard"), 6)

    def test_messages_of_one_request(self):
        """Each counts, and all or none are published."""
        listener, client = self.lines("/sub/a"), self.http()
        messages = lambda count: json.dumps([{"topic": "a", "data": n} for n in range(count)]).encode()
        self.assertEqual(self.ask("POST", "/pub", messages(8)).status, 200)
        client.send(request("POST", "/pub", messages(11)) + request("POST", "/pub/a", b"never"))
        answer = client.answer()
        self.assertEqual((answer.status, answer.get("Retry-After")), (429, "1"))
        client.expect_close()
        self.wait_count(self.janus, "closed_flood", 1)
        self.assertEqual(len(self.ask("POST", "/pub", messages(10)).json()), 10)
        self.assertEqual([listener.message()["data"] for _ in range(18)], [*range(8), *range(10)])

    def test_what_is_too_much_is_not_done(self):
        """What is answered well is published, and nothing else is; the answer to the first that is too much says so, and is the last."""
        listener = self.lines("/sub/a")
        web, packets, socket, flash = self.http(), self.packet(), self.websocket(), self.flash()
        web.send(request("POST", "/pub/a", b"x") * 11)
        done = 0
        while (answer := web.answer()).status == 200:
            done += 1
        self.assertEqual((answer.status, answer.closes), (429, True))
        web.expect_close()
        packets.send(packet({"op": "publish", "topic": "a", "data": "x", "receipt": True, "ref": 1}) * 11)
        while (reply := packets.message())["ok"]:
            done += 1
        self.assertEqual(reply["ref"], 1)
        packets.expect_close()
        socket.send(frame(TEXT, '{"action":"publish","topic":"a","data":0,"ref":1}') * 11)
        with self.assertRaisesRegex(Closed, "close frame"):
            while socket.message()["ok"]:
                done += 1
        flash.send(b'{"action":"publish","topic":"a"}\0' * 11)
        flash.expect_error("too much")
        flash.expect_close()
        self.wait_count(self.janus, "closed_flood", 4)
        self.assertIn(done, (29, 30))                           # the upgrade is one, if it was in the same second
        self.assertEqual(self.janus.count("published"), done + 10)
        for _ in range(done + 10):
            listener.message()
        self.published("/pub/a", "the end")
        self.assertEqual(listener.message()["data"], "the end")


if __name__ == "__main__":
    unittest.main()
