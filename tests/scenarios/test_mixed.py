"""All kinds of connections at once: the same messages in the same order, once, also while workers are killed and replaced."""
import contextlib
import json
import signal
import threading
import unittest

from janus_test import SLOWNESS, Client, timestamp, wait_until
from web_clients import Packet, Sse, WebTest, collect
from web_publishers import Publisher

KINDS = ("flash", "ws", "sub-ws", "sse", "lines", "lines-1.0", "packet")
EACH = 12 if SLOWNESS <= 1 else 6       # of each kind
FENCE = ["fence"]                       # the data of the last message


class Seen:
    """A message as its reader saw it: what it does not say is None."""

    def __init__(self, client, message):
        if isinstance(client, Sse):
            self.id, self.time, self.topic, self.data = int(message.id), None, None, json.loads(message.data)
        elif isinstance(client, Packet):
            self.id, self.time, self.topic, self.data = message["id"], message["timestamp"], message["topic"], message["data"]
        elif isinstance(client, Client):
            self.id, self.time, self.topic, self.data = None, timestamp(message), message["topic"], message["data"]
        else:
            self.id, self.time, self.topic, self.data = message["id"], timestamp(message), message["topic"], message["data"]


class FlashReader(Client):
    """Takes messages, without heartbeats."""

    def take(self):
        while True:
            text = super().take()
            if text is None:
                return None
            if text != b"PING" and b'"token":' not in text and text != b"ACK":
                return json.loads(text)


class Mixed(WebTest):
    visitors = ()                # as Witnesses have, and the next
    moves = False
    options = "keep_alive=10m", "peer_timeout=10m"       # readers have much to read: publishers wait for them, and pings stand behind it
    topics = "a,b"

    def subscriber(self, kind):
        if kind == "flash":
            return self.connect(FlashReader, "flash", greeting=False)
        return {"ws": lambda: self.websocket().subscribe(*self.topics.split(",")), "sub-ws": lambda: self.websocket("/sub/" + self.topics),
                "sse": lambda: self.sse("/sub/" + self.topics), "lines": lambda: self.lines("/sub/" + self.topics),
                "lines-1.0": lambda: self.lines("/sub/" + self.topics, version="1.0"), "packet": lambda: self.packet().subscribe(*self.topics.split(","))}[kind]()

    def subscribe_all(self, each):
        self.clients = [self.subscriber(kind) for kind in KINDS for _ in range(each)]
        for client in self.clients:
            if isinstance(client, FlashReader):
                for topic in self.topics.split(","):
                    client.action("subscribe", data=topic)
        while min(w["connections"] for w in self.janus.status()["workers"]) == 0 and len(self.clients) < 100:
            self.clients.append(self.subscriber("lines"))
        self.subscribers = len(self.clients)
        wait_until(lambda: self.janus.subscriptions() == 2 * self.subscribers, what="all subscriptions")
        self.assertGreater(min(w["connections"] for w in self.janus.status()["workers"]), 0, "one worker has all connections")

    def go(self, kinds, meanwhile, pause=0.01, seconds=200):
        """Publishes by these kinds while meanwhile() runs, and checks what everybody saw. The messages, as the first of them saw them."""
        publishers = [Publisher(self, kind, "%s-%d" % (kind, n), pause) for n, kind in enumerate(kinds)]
        failures = []

        def act():
            try:
                meanwhile()
                for publisher in publishers:
                    publisher.stop()
                self.published("/pub/a", FENCE)
            except BaseException as e:
                failures.append(e)
                for publisher in publishers:
                    publisher.over.set()
        for publisher in publishers:
            publisher.start()
        actor = threading.Thread(target=act)
        actor.start()
        try:
            got = collect(self.clients, lambda lists: failures or all(g and is_fence(g[-1]) for g in lists), seconds)
        finally:
            for publisher in publishers:
                publisher.over.set()
            actor.join(60 * SLOWNESS)
        if failures:
            raise failures[0]
        self.check(publishers, [[Seen(client, m) for m in messages] for client, messages in zip(self.clients, got)])

    def check(self, publishers, seen):
        order = [m.data for m in seen[0]]
        self.assertEqual(len(order), 1 + sum(p.count for p in publishers))
        ids, times = {}, {}
        for client, messages in zip(self.clients, seen):
            kind = type(client).__name__
            self.assertEqual([m.data for m in messages], order, kind)
            for m in messages:
                key = str(m.data)
                if m.id is not None:
                    self.assertEqual(ids.setdefault(key, m.id), m.id, kind)
                if m.time is not None:
                    self.assertEqual(times.setdefault(key, m.time), m.time, kind)
                if m.topic is not None and m.data != FENCE:
                    self.assertEqual(m.topic, "ba"[m.data[1] % 2])
        for found in (ids, times):
            in_order = [found[str(data)] for data in order]
            self.assertEqual(in_order, sorted(set(in_order)))
        for p in publishers:
            self.assertEqual([data[1] for data in order if data[0] == p.label], list(range(p.count)), p.label)
            for n, number in p.ids.items():
                self.assertEqual(ids[str([p.label, n])], number, "the answer's id")
        counters = self.janus.stats()["counters"]
        for name in ("closed_uncertain", "closed_blamed", "closed_slot", "dropped_overtaken", "bad_input"):
            self.assertEqual(counters[name], 0, name)

    @staticmethod
    def behind():
        """Nobody is waited for: who reads is slow here."""
        return 0

    def pause(self, seconds):
        threading.Event().wait(seconds)

    def test_same_messages(self):
        self.subscribe_all(EACH)
        self.go(("flash", "ws", "post", "array", "packet", "pipeline"), lambda: self.pause(2))

    def kill(self, kills, reloads=0):
        """Kills workers at random moments, and reloads."""
        rng = self.random()
        steps = ["kill"] * kills + ["reload"] * reloads
        rng.shuffle(steps)
        for step in steps:
            if step == "kill":
                self.janus.kill_worker(rng.randrange(self.workers))
            elif rng.random() < 0.5:
                status, _, err = self.janus.reload()
                self.assertEqual(status, 0, err)
            else:
                done = self.janus.log().count("reloaded")
                self.janus.process.send_signal(signal.SIGHUP)
                wait_until(lambda: self.janus.log().count("reloaded") > done, 20, "the reload")
            self.pause(rng.random() * 0.1)

    def test_workers_killed(self):
        self.subscribe_all(EACH)
        self.go(("flash", "ws", "post", "array", "packet", "pipeline"), lambda: self.kill(40), 0.02)
        wait_until(lambda: self.janus.connections() == self.subscribers + 6, what="nobody but those who were there")       # (the fence's publisher has just gone)

    def test_workers_killed_and_reloads(self):
        self.subscribe_all(EACH)
        self.go(("flash", "ws", "post", "array", "packet", "pipeline"), lambda: self.kill(30, 4), 0.02)

    def test_workers_killed_sending_without_uring(self):
        self.serve(*self.options, "io=send")
        self.subscribe_all(EACH)
        self.go(("flash", "post", "packet", "ws"), lambda: self.kill(30), 0.02)

    def test_posts_answered_and_published_once(self):
        """Whatever happens to the worker, a POST is answered once and published once."""
        self.subscribe_all(1)
        self.go(("post",) * 6 + ("pipeline",) * 3 + ("array",) * 3, lambda: self.kill(40), 0.005)

    def test_answered_publishes_once(self):
        """The same of publishes with a ref on /ws, and of packets with a receipt."""
        self.subscribe_all(1)
        self.go(("ws",) * 5 + ("packet",) * 5, lambda: self.kill(40), 0.005)

    def test_coming_and_going(self):
        """Others subscribe and leave in every way meanwhile: the ones that stay don't notice."""
        self.subscribe_all(max(2, EACH // 4))

        def come_and_go():
            rng = self.random()
            for n in range(150 // int(SLOWNESS)):
                kind = rng.choice(KINDS)
                if kind in ("ws", "packet"):        # without a wait for the answer, which stands among messages
                    client = self.websocket() if kind == "ws" else self.packet()
                    (client.action if kind == "ws" else client.op)("subscribe", **{"data" if kind == "ws" else "topic": "a"})
                else:
                    client = self.subscriber(kind)
                with contextlib.suppress(ConnectionError):
                    getattr(client, rng.choice(("close", "reset", "half_close")))()
                if n % 25 == 24:
                    self.janus.kill_worker(rng.randrange(2))
        self.go(("flash", "flash"), come_and_go)
        wait_until(lambda: self.janus.subscriptions() == 2 * len(self.clients), what="the others' end")


def is_fence(message):
    """Whatever kind of message it is."""
    return (message["data"] if isinstance(message, dict) else message.json()) == FENCE


if __name__ == "__main__":
    unittest.main()
