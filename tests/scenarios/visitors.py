"""Visitors: witnesses that subscribe and unsubscribe all the time, on the same connection or on a new one each time.

A visit is from one ACK to another. In it a visitor publishes a first and a last message itself, and what lies between these in the ring is
its due: each message once, in the ring's order. What that order is, readers that stay know (Readers.ids).
"""
import random
import threading

from janus_test import SLOWNESS, Client
from web_clients import Packet

KINDS = ("flash", "ws", "packet", "flash-new", "flash-new")
TOPIC = "b"


class Visitor(threading.Thread):
    def __init__(self, world, kind, name, pause):
        super().__init__(daemon=True)
        self.world, self.kind, self.label, self.pause = world, kind, name, pause
        self.own = "of %s alone" % name
        self.count = 0              # published
        self.ids = {}               # nothing of it is answered
        self.visits = []            # what each saw: [(label, number)...]
        self.error = None
        self.over = threading.Event()
        self.client = None if kind == "flash-new" else self.connect()

    def connect(self):
        return {"flash": self.world.flash_reader, "flash-new": self.world.flash_reader, "ws": self.world.websocket,
                "packet": self.world.packet}[self.kind]()

    def run(self):
        try:
            while not self.over.is_set():
                self.visit()
                self.over.wait(self.pause * random.random())
        except BaseException as e:
            self.error = e

    def publish(self):
        """A message without an answer. What it is known by."""
        known = [self.label, self.count]
        if isinstance(self.client, Packet):
            self.client.op("publish", topic=TOPIC, data=known)
        else:
            self.client.action("publish", topic=TOPIC, data=known)
        self.count += 1
        return tuple(known)

    def subscribe(self):
        self.client.subscribe(TOPIC)

    def leave(self):
        """Up to the ACK; what still comes before it is of no interest."""
        if isinstance(self.client, Client):         # there, the ACK of something behind it tells
            self.client.unsubscribe(TOPIC)
            self.client.action("subscribe", data=self.own)
            ack = b"ACK"
        elif isinstance(self.client, Packet):
            self.client.op("unsubscribe", topic=TOPIC)
            ack = {"ok": True}
        else:
            self.client.action("unsubscribe", data=TOPIC)
            ack = {"ok": True}
        while (got := self.next()) != ack:
            self.known(got)
        # Nothing comes behind it.
        if isinstance(self.client, Client):
            self.client.publish(self.own, data="a fence")
            if (got := self.next()) == b"ACK" or got.get("data") != "a fence":
                raise AssertionError("something came behind the ACK that ended the visit: %.300r" % (got,))
            self.client.unsubscribe(self.own)
        else:
            self.client.expect_nothing()

    def next(self):
        return self.client.until(self.client.take, 60)

    def known(self, message):
        if not isinstance(message, dict) or "data" not in message:
            raise AssertionError("%.300r is no message" % message)
        return tuple(message["data"][:2])

    def visit(self):
        if self.kind == "flash-new":
            self.client = self.connect()
        self.subscribe()
        first = self.publish()
        until = self.world.clock() + self.pause * random.random() * 4
        seen = []
        while self.world.clock() < until and not self.over.is_set():
            if not self.client.silent(0.05):
                seen += [self.known(message) for message in self.there()]
        last = self.publish()
        while last not in seen[-1:]:
            seen.append(self.known(self.next()))
        if first not in seen:
            raise AssertionError("its own first message never came")
        self.visits.append(seen[seen.index(first):])
        if self.kind == "flash-new":
            self.world.forget(self.client)
        else:
            self.leave()

    def there(self):
        """The messages that have come; waits for one that is whole."""
        return [self.next()] + list(iter(self.client.take, None))

    def stop(self):
        self.over.set()
        self.join(90 * SLOWNESS)
        if self.error:
            raise AssertionError("the visitor %s failed: %s: %s" % (self.label, type(self.error).__name__, self.error)) from self.error
        if self.is_alive():
            raise AssertionError("the visitor %s does not end" % self.label)

    def check(self, order):
        """`order`: all messages of the topic as the ring had them, and the place of each. What was wrong, a line each."""
        order, place = order
        wrong = []
        for n, seen in enumerate(self.visits):
            due = order[place[seen[0]]:place[seen[-1]] + 1]
            if seen != due:
                wrong.append("%s: visit %d: lost %r, saw without being due or twice %r" % (
                    self.label, n, [m for m in due if m not in seen][:5], [m for m in seen if m not in due or seen.count(m) > 1][:5]))
        return wrong[:5]
