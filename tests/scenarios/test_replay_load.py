"""Slow readers that resume again and again, and chains of polls, while publishes pour in and workers are killed: no gap, nothing twice."""
import json
import random
import threading
import time
import unittest

from test_history import SMALL, HistoryTest
from web_clients import Packet, WebSocket, request

TOPICS = ["a%d" % n for n in range(4)]


class Readers:
    """Some readers in threads of their own, until they are told to stop; errors has what is wrong."""

    def __init__(self, work, count):
        self.stop, self.errors = threading.Event(), []
        self.threads = [threading.Thread(target=self.run, args=(work, i)) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, work, i):
        try:
            work(i, self.stop)
        except Exception as e:
            self.errors.append((i, repr(e)))

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


class Resumes(HistoryTest):
    def pour(self, stop, seed):
        """Numbers from 0 on in each topic, in messages of all sizes."""
        rng, client, next_of = random.Random(seed), self.http(), dict.fromkeys(TOPICS, 0)
        while not stop.is_set():
            items = []
            for _ in range(rng.randrange(1, 40)):
                topic = rng.choice(TOPICS)
                items.append({"topic": topic, "data": {"n": next_of[topic], "fill": "x" * rng.choice((1, 10, 300, 3000))}})
                next_of[topic] += 1
            self.assertEqual(client.ask("POST", "/pub", json.dumps(items).encode()).status, 200)
            time.sleep(0.002)

    def subscriber(self, i, rng, position):
        """It resumes from there."""
        members = {"topic": rng.sample(TOPICS, len(TOPICS)), **({"since": position} if position else {})}
        rcvbuf = rng.choice((4096, 20000, 200000))
        if i % 2:
            client = self.connect(Packet, "packet", rcvbuf=rcvbuf)
            client.op("subscribe", **members)
        else:
            client = self.connect(WebSocket, "http", rcvbuf=rcvbuf).upgrade()
            client.action("subscribe", **members)
        return client

    def reader(self, i, stop, seed, may_miss):
        """Some reading, with pauses, then a connection anew from the last position. Each topic's numbers follow one another, over all of them."""
        rng, seen, position, rounds = random.Random(seed + i), {}, None, 0
        while not stop.is_set() or rounds < 2:
            client = self.subscriber(i, rng, position)
            answered, end = False, time.monotonic() + rng.uniform(0.2, 1.5)
            while not answered or (time.monotonic() < end and not stop.is_set()):
                message = client.message(20)
                if "ok" in message:
                    self.assertIs(message["ok"], True)
                    answered = True
                    continue
                topic, n = message["topic"], message["data"]["n"]
                due = seen.get(topic, n - 1) + 1
                self.assertTrue(n == due or (may_miss and n > due), "round %d: %r has %d, %d was due" % (rounds, topic, n, due))
                seen[topic] = n
                position = message["id"].text
                if rng.random() < 0.02:
                    time.sleep(rng.uniform(0, 0.2))
            client.close()
            rounds += 1

    def go(self, seconds, kills, may_miss):
        seed = self.random().randrange(1 << 30)
        pouring = Readers(lambda i, stop: self.pour(stop, seed), 1)
        readers = Readers(lambda i, stop: self.reader(i, stop, seed, may_miss), 8)
        end = time.monotonic() + seconds
        n = 0
        try:
            while time.monotonic() < end and not readers.errors and not pouring.errors:
                time.sleep(0.25)
                if kills:
                    self.janus.kill_worker(n % 2)
                    n += 1
        finally:
            readers.end()       # while there is something to read
            pouring.end()
        self.assertEqual(readers.errors + pouring.errors, [])

    def test_all_is_kept(self):
        self.serve("history=*: 1000000 messages", "history_bytes=512M", *SMALL, "send_buffer=8K")
        self.go(4, True, False)

    def test_given_up(self):
        """History has no room for all: something is missing then, and nothing else is wrong."""
        self.serve("history=*: 1000000 messages", "history_bytes=1M", *SMALL, "send_buffer=8K")
        self.go(3, False, True)

    def test_given_up_with_kills(self):
        self.serve("history=*: 1000000 messages", "history_bytes=1M", *SMALL, "send_buffer=8K")
        self.go(4, True, True)


class Polls(HistoryTest):
    """Each poll goes on where the one before it ended: none loses anything, none hangs."""

    def chain(self, i, stop, position):
        client, due = self.http(), 0
        while not stop.is_set():
            client.send(request("GET", "/poll/p?wait=2&limit=%d&since=%s" % (1 + i * 7, position)))
            answer = client.answer(seconds=12).json()
            self.assertIs(answer["recovered"], True, position)
            got = [m["data"] for m in answer["messages"]]
            self.assertEqual(got, list(range(due, due + len(got))))
            due += len(got)
            position = answer["position"].text

    def test_chain(self):
        self.serve("history=p: 1000000 messages", *SMALL)
        position = self.websocket().subscribe("z").position.text
        chains, publisher, n, kills = Readers(lambda i, stop: self.chain(i, stop, position), 6), self.http(), 0, 0
        end = time.monotonic() + 4
        try:
            while time.monotonic() < end and not chains.errors:
                for _ in range(30):
                    items = [{"topic": "p", "data": n + i} for i in range(5)] + [{"topic": "z", "data": 0}] * 20
                    self.assertEqual(publisher.ask("POST", "/pub", json.dumps(items).encode()).status, 200)
                    n += 5
                    time.sleep(0.003)
                self.janus.kill_worker(kills % 2)
                kills += 1
        finally:
            chains.end()
        self.assertEqual(chains.errors, [])


if __name__ == "__main__":
    unittest.main()
