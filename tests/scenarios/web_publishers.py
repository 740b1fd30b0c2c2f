"""Publishers that check every answer: each message is answered once, with an id that is what its subscribers see."""
import json
import random
import threading

from processes import SLOWNESS
from web_clients import CONTINUATION, PING, TEXT, chunked, frame, head_of, packet, request

JSON = {"Content-Type": "application/json"}
DIGITS = "digits"       # the publisher whose messages are one digit
PAD_MOST = 200000
PAD_EVERY = 10          # one of so many messages is padded, if any is
FAR = 1000              # messages that a reader may be behind: on a machine so busy that its tests read slower than they publish, publishers wait


def padding(label, n):
    """What makes a message longer: as often to some hundred bytes as to some ten thousand."""
    return chr(ord("a") + n % 26) * int(PAD_MOST ** random.Random("%s %d" % (label, n)).random())


class Publisher(threading.Thread):
    """Publishes numbered messages on a connection of its own, until it is told to stop. `ids` are those that were answered, by number.

    `world` has what makes a client (flash(), http(), websocket(), packet()), how many `subscribers` each of the topics a and b has, and how far the slowest is behind().
    If it has visitors (visitors.py), b may have more, and some messages are large. The kinds split-* send each message in two or more
    pieces, and wait in between.
    """

    def __init__(self, world, kind, name, pause):
        super().__init__(daemon=True)
        self.kind, self.label, self.pause = kind, name, pause
        self.world = world
        self.count = 0
        self.ids = {}
        self.error = None
        self.over = threading.Event()
        speaks = kind.rpartition("-")[2]
        self.client = {"flash": world.flash, DIGITS: world.flash, "ws": world.websocket, "packet": world.packet}.get(speaks, world.http)()

    def run(self):
        try:
            while not self.over.is_set():
                self.turn()
                self.over.wait(self.pause)
                while self.world.behind() > FAR and not self.over.is_set():
                    self.over.wait(self.pause)
        except BaseException as e:
            self.error = e

    def next(self):
        """(topic, data) of the next message."""
        data = [self.label, self.count]
        self.count += 1
        if self.world.visitors and self.count % PAD_EVERY == 0:
            data.append(padding(*data))
        return self.topic(self.count), data

    @staticmethod
    def topic(count):
        return "ab"[count % 2]

    def note(self, data, number, subscribers):
        if data[1] in self.ids:
            raise AssertionError("%.300r was answered twice" % data)
        if not isinstance(number, int):
            raise AssertionError("%.300r: the answer has no id" % data)
        most = self.world.subscribers + (10 * len(self.world.visitors) if self.topic(data[1] + 1) == "b" else 0)
        least = self.world.subscribers
        most *= 2 if self.world.moves else 1
        if not least <= subscribers <= most:
            raise AssertionError("%.300r: %d subscribers, not %d to %d" % (data, subscribers, least, most))
        self.ids[data[1]] = number

    def send_split(self, data, cuts):
        """In pieces, with time between them in which much can happen."""
        places = sorted(random.sample(range(1, len(data)), cuts))
        for begin, end in zip([0] + places, places + [len(data)]):
            self.client.send(data[begin:end])
            if end < len(data):
                self.over.wait(self.pause * random.random())

    def turn(self):
        getattr(self, "turn_" + self.kind.replace("-", "_"))()

    def turn_flash(self):
        for _ in range(5):
            topic, data = self.next()
            self.client.publish(topic, data=data)

    def turn_digits(self):
        for _ in range(5):
            self.client.publish("d", data=self.count % 10)
            self.count += 1

    def answer(self, data):
        answer = self.client.answer(seconds=60)
        if answer.status != 200:
            raise AssertionError("%.300r: %r" % (data, answer))
        self.note(data, answer.json()["id"], answer.json()["subscribers"])

    def post(self, count):
        """So many requests at once, then their answers."""
        asked = [self.next() for _ in range(count)]
        self.client.send(b"".join(request("POST", "/pub/" + topic, json.dumps(data).encode(), JSON) for topic, data in asked))
        for _, data in asked:
            self.answer(data)

    def turn_post(self):
        self.post(1)

    def turn_pipeline(self):
        self.post(10)

    def turn_idle(self):
        """Now and then."""
        self.post(1)
        self.over.wait(5 * random.random())

    def turn_split_post(self):
        topic, data = self.next()
        self.send_split(request("POST", "/pub/" + topic, json.dumps(data).encode(), JSON), 2)
        self.answer(data)

    def turn_split_chunked(self):
        topic, data = self.next()
        body = chunked(json.dumps(data).encode(), 3 if len(data) == 2 else 1000)
        self.send_split(head_of("POST", "/pub/" + topic, dict(JSON, **{"Transfer-Encoding": "chunked"})) + body, 3)
        self.answer(data)

    def turn_array(self):
        asked = [self.next() for _ in range(7)]
        answer = self.client.ask("POST", "/pub", json.dumps([{"topic": topic, "data": data} for topic, data in asked]).encode())
        if answer.status != 200 or len(answer.json()) != len(asked):
            raise AssertionError("%r" % answer)
        for (_, data), found in zip(asked, answer.json()):
            self.note(data, found["id"], found["subscribers"])

    def answer_ws(self, data):
        answer = self.client.message(60)
        if answer["ok"] is not True or answer["ref"] != data[1]:
            raise AssertionError("%r to %.300r" % (answer, data))
        self.note(data, answer["id"], answer["subscribers"])

    def turn_ws(self):
        asked = [self.next() for _ in range(4)]
        self.client.send(b"".join(frame(TEXT, json.dumps({"action": "publish", "topic": topic, "data": data, "ref": data[1]})) for topic, data in asked))
        for _, data in asked:
            self.answer_ws(data)

    def turn_split_ws(self):
        """In fragments, with a ping between them."""
        topic, data = self.next()
        text = json.dumps({"action": "publish", "topic": topic, "data": data, "ref": data[1]})
        at = random.randrange(len(text))
        self.send_split(frame(TEXT, text[:at], fin=False) + frame(PING, b"?") + frame(CONTINUATION, text[at:]), 2)
        self.answer_ws(data)

    def answer_packet(self, data):
        answer = self.client.message(60)
        if answer["ok"] is not True or answer["ref"] != data[1]:
            raise AssertionError("%r to %.300r" % (answer, data))
        self.note(data, answer["id"], answer["subscribers"])

    def turn_packet(self):
        asked = [self.next() for _ in range(4)]
        self.client.send(b"".join(packet({"op": "publish", "topic": topic, "data": data, "receipt": True, "ref": data[1]}) for topic, data in asked))
        for _, data in asked:
            self.answer_packet(data)

    def turn_split_packet(self):
        topic, data = self.next()
        self.send_split(packet({"op": "publish", "topic": topic, "data": data, "receipt": True, "ref": data[1]}), 2)
        self.answer_packet(data)

    def stop(self):
        """All was answered, and no more than was asked."""
        self.over.set()
        self.join(90 * SLOWNESS)
        if self.error:
            raise AssertionError("the publisher %s (%s) failed: %s" % (self.label, self.kind, self.error)) from self.error
        if self.is_alive():
            raise AssertionError("the publisher %s does not end" % self.label)
        if self.kind in ("flash", DIGITS):
            # Nothing is answered: but what is, behind all that was published, says that this was dealt with.
            self.client.subscribe("end of " + self.label)
            self.client.unsubscribe("end of " + self.label)
            return
        self.client.expect_nothing()
        if sorted(self.ids) != list(range(self.count)):
            raise AssertionError("%s: %d of %d were answered" % (self.label, len(self.ids), self.count))
