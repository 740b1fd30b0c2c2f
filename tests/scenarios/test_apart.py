"""Sessions with several topics: served in ring order, window by window (worker/delivery/multi_topic.c), while they come, go, and change their topics.

In the build with crash points a window is small, and a worker can be stopped between two turns of its loop, in the middle of one.
"""
import itertools
import json
import os
import random
import signal
import threading
import unittest

from crash_test import CRASH_BUILD, CrashTest
from http_clients import request
from janus_test import SLOWNESS, fence, timestamp, wait_until
from processes import is_stopped

LARGE = "x" * 200000        # 20 of these are a turn's share
WINDOW = 50                 # notes of one, in this build


class Apart(CrashTest):
    workers = 1

    def begin(self, *options):
        self.serve_crash_build(*options)

    def stop_in_the_middle(self, publish):
        """The worker stops when the turn that `publish` gives work to leaves some of it. It goes on with go_on()."""
        self.arm("fanout-left.stop")
        publish()
        self.stopped = self.janus.workers()[0]
        wait_until(lambda: is_stopped(self.stopped), 15, "the worker's stop")

    def go_on(self):
        os.kill(self.stopped, signal.SIGCONT)

    def check_nothing_went_wrong(self):
        counters = self.janus.stats()["counters"]
        for name in ("closed_uncertain", "closed_slow", "dropped_overtaken", "no_buffer", "bad_input"):
            self.assertEqual(counters[name], 0, name)
        wait_until(lambda: self.janus.behind() == 0, what="nobody's being behind")

    def test_leaving_in_the_middle_of_a_window(self):
        """Found to be owed a message, and then gone, or without that topic: nobody gets what it is not owed, and all others get it."""
        self.begin("send_buffer=4M", "session_linger=0")      # a socket takes all of a large message
        clients = [self.flash().subscribe("a", "b") for _ in range(WINDOW + 10)]
        publisher = self.flash()
        self.stop_in_the_middle(lambda: publisher.send(b'{"action":"publish","topic":"a","n":1,"data":"%s"}\0'
                                                       b'{"action":"publish","topic":"b","n":2}\0' % LARGE.encode()))
        gives_up, goes, comes_back, gives_up_too = clients[40:44]
        gives_up.unsubscribe("a")
        gives_up_too.unsubscribe("b")
        comes_back.unsubscribe("a")
        comes_back.action("subscribe", data="a")
        goes.close()
        wait_until(lambda: goes.socket.fileno() < 0)
        self.go_on()
        new = self.flash().subscribe("a", "b")
        gives_up.expect_message("b", n=2)
        gives_up_too.expect_message("a", n=1)
        comes_back.expect(b"ACK")
        comes_back.expect_message("b", n=2)
        others = [c for c in clients if c not in (gives_up, goes, comes_back, gives_up_too)]
        for client in others:
            client.expect_message("a", n=1)
            client.expect_message("b", n=2)
        publisher.publish("a", n=3)
        for client in [new, comes_back, gives_up_too] + others:
            client.expect_message("a", n=3)
        fence(publisher, "a", new, comes_back, gives_up_too, *others)
        fence(publisher, "b", gives_up, new, comes_back, *others)
        self.check_nothing_went_wrong()
        self.assertEqual(self.janus.count("behind"), 0)

    def test_leaves_after_a_death(self):
        """Topics are given up from anywhere in the list, which a dead worker made; the others stay in it, for the next."""
        self.begin()
        client, publisher = self.flash(), self.flash()
        topics = ["t%d" % i for i in range(8)]
        client.subscribe(*topics)
        self.janus.kill_worker(0)
        for left in 7, 5, 3, 0:
            client.unsubscribe(topics.pop(left if left < len(topics) else -1))
            wait_until(lambda: self.janus.subscriptions() == len(topics), what="an unsubscribe")
        self.janus.kill_worker(0)
        self.assertEqual(self.janus.subscriptions(), len(topics))
        for n, topic in enumerate("t%d" % i for i in range(8)):
            publisher.publish(topic, n=n)
        for topic in topics:
            client.expect_message(topic, n=int(topic[1:]))
        fence(publisher, topics[0], client)

    def test_more_than_one_send(self):
        """What is noted for a session is more than goes into one send: it comes in several, and all of it."""
        self.begin()
        clients = [self.flash().subscribe("a", "b") for _ in range(WINDOW // 2)]
        publisher = self.flash()
        self.stop_in_the_middle(lambda: publisher.publish("a", n=0, data=LARGE))
        # In one request: both come into the ring, and so into a window, together.
        messages = [{"topic": "ab"[n % 2], "data": [n, LARGE[:60000]]} for n in (1, 2)]
        self.http().send(request("POST", "/pub", json.dumps(messages).encode()))
        self.go_on()
        for client in clients:
            client.expect_message("a", n=0)
            for message in messages:
                client.expect_message(message["topic"], data=message["data"])
        fence(publisher, "a", *clients)
        self.check_nothing_went_wrong()

    def test_second_topic_of_one_behind(self):
        """It is owed that topic from its subscribe on, though what it is sent next is older."""
        self.begin()
        client, other, publisher = self.flash(rcvbuf=4096).subscribe("a"), self.flash().subscribe("b"), self.flash()
        sent = 0
        while not self.janus.behind():
            for _ in range(10):
                publisher.publish("a", n=sent, data=LARGE)
                sent += 1
            wait_until(lambda: self.janus.count("published") >= sent)
        publisher.publish("b", n=1)
        other.expect_message("b", n=1)
        client.action("subscribe", data="b")
        wait_until(lambda: self.janus.subscriptions() == 3)
        publisher.publish("b", n=2)
        other.expect_message("b", n=2)
        ack = False
        for n in range(sent):
            frame = client.message_text()
            if frame == b"ACK":
                ack, frame = True, client.message_text()
            self.assertEqual(json.loads(frame)["n"], n)
        if not ack:
            client.expect(b"ACK")
        client.expect_message("b", n=2)
        fence(publisher, "b", client)
        self.check_nothing_went_wrong()

    def test_second_topic_in_the_middle_of_a_pass(self):
        """Not served yet among those with one topic, and now one of those with several."""
        self.begin("fanout_slice=64")
        clients = [c.subscribe("a") for c in self.clients(self.janus, 400)]
        publisher = self.flash()
        self.stop_in_the_middle(lambda: publisher.publish("a", n=1))
        early, late = clients[3], clients[390]
        for client in early, late:
            client.action("subscribe", data="b")
        self.go_on()
        late.expect(b"ACK")
        for client in clients:
            client.expect_message("a", n=1)
        early.expect(b"ACK")
        for n, topic in enumerate("ab", 2):
            publisher.publish(topic, n=n)
            for client in clients if topic == "a" else (early, late):
                client.expect_message(topic, n=n)
        fence(publisher, "a", *clients)
        self.check_nothing_went_wrong()

    def test_more_subscribers_than_a_window(self):
        """Of all transports: each gets all, once and in order."""
        self.begin()
        readers = []
        for _ in range(WINDOW // 2 + 1):
            readers += [self.flash().subscribe("a", "b"), self.websocket().subscribe("b", "a"), self.packet().subscribe("a", "b"),
                        self.sse("/sub/a,b")]
        publisher = self.flash()
        for n in range(20):
            publisher.publish("ab"[n % 2], data=n)
        for reader in readers:
            got = [reader.message() for _ in range(20)]
            self.assertEqual([int(m.data) if hasattr(m, "data") else m["data"] for m in got], list(range(20)), type(reader).__name__)
        fence(publisher, "a", *readers)
        self.check_nothing_went_wrong()
        self.assertEqual(self.janus.count("behind"), 0)

    def test_the_ring_went_round(self):
        """What can't be found record by record any more is found topic by topic."""
        self.begin()
        several, one = self.flash().subscribe("a", "b"), self.flash().subscribe("a")
        publisher = self.flash()
        self.arm("poll-overtaken")
        self.arm("window-overtaken")
        for n in range(3):
            publisher.publish("ab"[n % 2], n=n)
        for n in range(3):
            several.expect_message("ab"[n % 2], n=n)
        for n in 0, 2:
            one.expect_message("a", n=n)
        self.assertTrue(self.disarm("poll-overtaken") and self.disarm("window-overtaken"))
        publisher.publish("b", n=3)
        several.expect_message("b", n=3)
        fence(publisher, "a", several, one)

    def test_back_to_one_topic(self):
        """And then dead: its successor finds it with one topic, and goes on where it was."""
        self.begin()
        client, publisher = self.flash().subscribe("a", "b"), self.flash()
        for n in range(3):
            publisher.publish("ab"[n % 2], n=n)
            client.expect_message("ab"[n % 2], n=n)
        client.unsubscribe("a")
        wait_until(lambda: self.janus.subscriptions() == 1)
        for n in range(3, 6):
            publisher.publish("ab"[n % 2], n=n)
        client.expect_message("b", n=3)
        client.expect_message("b", n=5)
        self.janus.kill_worker(0)
        publisher.publish("b", n=6)
        client.expect_message("b", n=6)
        client.subscribe("a")
        publisher.publish("a", n=7)
        client.expect_message("a", n=7)
        fence(publisher, "a", client)


class Walker:
    """Takes topics and gives them up, while messages pour in, and publishes on the same connection: what it sent before it subscribed it
    must not see, what it sent afterwards it must. Of the pourer's, it gets those of a topic without a gap, and all in ring order."""

    def __init__(self, client, number):
        self.client, self.number = client, number
        self.topics = {}            # subscribed: what the pourer's next one is, None: any
        self.count = itertools.count()
        self.time = 0
        client.subscribe("walker-%d" % number)

    def send(self, topic):
        n = next(self.count)
        self.client.publish(topic, who=self.number, n=n)
        return n

    def read_until(self, last, wanted):
        """All up to the own message `last`; of one's own there are just these."""
        got = []
        while last not in got:
            frame = self.client.message_text(20)
            if frame == b"ACK":
                continue
            message = json.loads(frame)
            time = timestamp(message)
            assert time > self.time, "an older message came behind a newer one"
            self.time = time
            if message["who"] == self.number:
                got.append(message["n"])
            elif message["who"] == "pourer":
                self.check(message)
        assert got == wanted, "%r came, not %r" % (got, wanted)

    def check(self, message):
        topic, n = message["topic"], message["n"]
        assert topic in self.topics, "%r is not subscribed" % topic
        due = self.topics[topic]
        assert due is None or n == due, "%d of %r came where %d was due" % (n, topic, due)
        self.topics[topic] = n + 1

    def take_topic(self, topic):
        self.send(topic)
        self.topics[topic] = None
        self.client.action("subscribe", data=topic)
        seen = [self.send(topic), self.send("walker-%d" % self.number)]
        self.read_until(seen[-1], seen)

    def give_topic_up(self, topic):
        self.client.unsubscribe(topic)
        self.send(topic)
        last = self.send("walker-%d" % self.number)
        self.read_until(last, [last])
        del self.topics[topic]

    def walk(self, topics, random_):
        topic = random_.choice(topics)
        if topic in self.topics:
            self.give_topic_up(topic)
        else:
            self.take_topic(topic)


class ComingAndGoing(CrashTest):
    def go(self, *options, kills=0):
        self.serve(*options, build=CRASH_BUILD)
        topics, over = ["t%d" % i for i in range(6)], threading.Event()
        walkers = []
        for n in range(12):
            walkers.append(Walker(self.flash(), n))
        pourer = self.flash()

        def pour():
            numbers, random_ = dict.fromkeys(topics, 0), random.Random(1)
            while not over.is_set():
                for _ in range(20):
                    topic = random_.choice(topics)
                    pourer.publish(topic, who="pourer", n=numbers[topic])
                    numbers[topic] += 1
                over.wait(0.002)
        thread = threading.Thread(target=pour, daemon=True)
        thread.start()
        random_ = random.Random(2)
        steps = 240 // int(SLOWNESS)
        try:
            for step in range(steps):
                random_.choice(walkers).walk(topics, random_)
                if kills and step % (steps // kills) == steps // kills - 1:
                    self.janus.kill_worker(random_.randrange(2))
        finally:
            over.set()
            thread.join(20 * SLOWNESS)
        counters = self.janus.stats()["counters"]
        for name in ("closed", "closed_uncertain", "dropped_overtaken", "bad_input"):
            self.assertEqual(counters[name], 0, name)

    def test_topics_come_and_go(self):
        self.go()

    def test_topics_come_and_go_and_workers_die(self):
        self.go(kills=8)

    def test_topics_come_and_go_by_send(self):
        self.go("io=send")


if __name__ == "__main__":
    unittest.main()
