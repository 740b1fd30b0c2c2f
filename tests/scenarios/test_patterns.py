"""Patterns in subscriptions: a.*.c and a.>, on every way to subscribe."""
import json
import os
import random
import re
import signal
import unittest

import janus_test
from crash_test import CRASH_BUILD, CrashTest
from janus_test import Server, wait_until
from programs import OTHER_BUILD, Program
from test_history import KINDS, SMALL, HistoryTest
from web_clients import WEB, Lines, WebSocket, parse_url

FITS = {        # pattern: topics that it fits, and that it does not
    "*": (("a", "*a", "a*"), ("a.b", "a.", ".")),
    "a.*": (("a.b", "a.", "a.*b", "a.>>"), ("a", "a.b.c", "b.a", "aa.b", "a..")),
    "a.*.c": (("a.b.c", "a..c", "a.c.c"), ("a.b", "a.b.c.d", "a.b.b", "b.b.c")),
    "*.b.*": (("a.b.c", ".b."), ("a.b", "b.b", "a.c.c")),
    ">": (("a", "a.b", ".", "a.b.c.d.e.f"), ()),
    "a.>": (("a.b", "a.b.c", "a.", "a..b"), ("a", "b.a", "aa.b")),
    "*.*.>": (("a.b.c", "a.b.c.d", ".."), ("a.b", "a")),
    "a*": (("a*",), ("ab", "a")),       # this and what follows are topics, as no part is a wildcard
    ">>.b": ((">>.b",), ("a.b",)),
    "ž.*": (("ž.b",), ("z.b",)),
}


def escaped(name):
    return "".join(c if re.match(r"[\w.*-]", c, re.A) else "".join("%%%02X" % b for b in c.encode()) for c in name)


def fits(pattern, topic):
    """NATS' rules, as one would write them down."""
    p, t = pattern.split("."), topic.split(".")
    if p[-1] == ">":
        return len(t) >= len(p) and all(a in ("*", b) for a, b in zip(p[:-1], t))
    return len(p) == len(t) and all(a in ("*", b) for a, b in zip(p, t))


class PatternTest(HistoryTest):
    options = ()

    def subscriber(self, kind, names):
        """One of KINDS, or flash, that has subscribed these."""
        if kind == "flash":
            return self.flash().subscribe(*names)
        return self.resumed(kind, [escaped(n) for n in names] if kind not in ("websocket", "packet") else list(names))[0]

    def message(self, client, kind):
        got = self.message_of(client)
        return got["topic"], got["n"] if kind == "flash" else got["data"]

    def publish_n(self, topic, n):
        answer = self.post("/pub/" + escaped(topic), n)
        return answer["id"], answer["subscribers"]

    def counters(self, *names):
        return [self.janus.count(name) for name in names]


class Matching(PatternTest):
    def test_rules(self):
        """What fits comes, and what does not does not, on a connection for each pattern; and it says which topic it was."""
        clients = {pattern: self.packet().subscribe(pattern) for pattern in FITS}
        topics = sorted({topic for some in FITS.values() for part in some for topic in part})
        for pattern, (good, bad) in FITS.items():
            self.assertEqual(([fits(pattern, t) for t in good], [fits(pattern, t) for t in bad]), ([True] * len(good), [False] * len(bad)), pattern)
        for n, topic in enumerate(topics):
            subscribers = sum(fits(pattern, topic) for pattern in FITS)
            self.assertEqual(self.publish_n(topic, n)[1], subscribers, topic)
        for pattern, client in clients.items():
            with self.subTest(pattern=pattern):
                for n, topic in enumerate(topics):
                    if fits(pattern, topic):
                        got = client.message()
                        self.assertEqual((got["topic"], got["data"]), (topic, n))
                client.expect_nothing()

    def test_all_transports(self):
        """Each message once, though it fits three of the names; with the same id for all, and in one order."""
        names = ["a.b.c", "a.*.c", "a.>", "other", "x.*"]
        clients = [(kind, self.subscriber(kind, names)) for kind in (*KINDS, "flash")]
        plain = self.packet().subscribe("a.b.c")
        ids, flash = [], self.flash()
        for n, topic in enumerate(("a.b.c", "x.y", "other", "a.z.c", "b.b.c", "a.b.c.d", "x.y.z", "a.b.c", "other")):
            if n == 2:
                flash.publish(topic, n=n, data=n)
                wait_until(lambda: self.janus.count("published") == 3)
                continue
            ids.append(self.publish_n(topic, n)[0])
            if n in (4, 6):
                self.assertIsNone(ids.pop())
        want = [("a.b.c", 0), ("x.y", 1), ("other", 2), ("a.z.c", 3), ("a.b.c.d", 5), ("a.b.c", 7), ("other", 8)]
        for kind, client in clients:
            with self.subTest(kind=kind):
                for topic, n in want:
                    if kind == "flash" and n != 2:
                        got = client.message()
                        self.assertEqual((got["topic"], got["data"]), (topic, n))
                        continue
                    got = self.message_of(client)
                    self.assertEqual((got["topic"], got["data"]), (topic, n))
                    if kind != "flash" and n != 2:
                        self.assertIn(got["id"], ids)
        self.assertEqual([plain.message()["data"] for _ in range(2)], [0, 7])
        self.assertEqual(len(set(ids)), 6)
        self.assertEqual(self.counters("published_unheard", "published_matched"), [2, 5])

    def test_topics_that_come_later(self):
        """No subscriber of the topic itself, and none before: what the pattern fits is stored, and delivered."""
        client = self.websocket().subscribe("new.*")
        for n in range(50):
            self.assertEqual(self.publish_n("new.%d" % n, n)[1], 1)
        self.assertEqual([client.message()["topic"] for _ in range(50)], ["new.%d" % n for n in range(50)])
        late = self.packet().subscribe("new.7")
        self.assertEqual(self.publish_n("new.7", 1)[1], 2)
        self.assertEqual((client.message()["id"], late.message()["topic"]), (self.publish_n("new.8", 2)[0] - 2, "new.7"))

    def test_unsubscribe(self):
        client, flash = self.websocket().subscribe("a.*", "*.b", "a.b"), self.flash().subscribe("a.>")
        self.assertEqual(self.publish_n("a.b", 1)[1], 4)
        for n, name in enumerate(("a.*", "a.b", "*.b")):
            self.assertEqual(client.message()["data"], n + 1)
            client.action("unsubscribe", topic=[name, "never.*"])
            client.expect({"ok": True})
            self.assertEqual(self.publish_n("a.b", n + 2)[1], 3 - n)
        client.expect_nothing()
        self.assertEqual([flash.message()["topic"] for _ in range(4)], ["a.b"] * 4)
        flash.unsubscribe("a.>")
        flash.subscribe("fence")
        self.assertEqual(self.publish_n("a.b", 9), (None, 0))
        self.assertEqual(self.janus.subscriptions(), 1)

    def test_users_and_broadcasts_fit_nothing(self):
        self.serve("broadcast=on")
        client = self.packet().subscribe(">", "*", "*.>", "*.*")
        other = self.packet()
        other.op("login", user="a.b")
        self.assertTrue(other.message()["ok"])
        self.assertEqual(self.post("/send/a.b", 1)["subscribers"], 1)
        self.assertEqual(other.message()["user"], "a.b")
        self.post("/broadcast", 2)
        self.assertTrue(client.message()["broadcast"])
        self.publish_n("a.b", 3)
        self.assertEqual(client.message()["data"], 3)
        client.expect_nothing()

    def test_unencoded_addresses(self):
        """* and > as people type them, and with a comma between several."""
        client = self.lines("/sub/a.*,b.>")
        self.published("/pub/a.x", 1)
        self.published("/pub/b.x.y", 2)
        self.assertEqual([client.message()["data"] for _ in range(2)], [1, 2])
        client = self.lines("/sub?topic=a.*&topic=b.%3E")
        self.published("/pub/b.x.y", 3)
        self.assertEqual(client.message()["data"], 3)


class Refused(PatternTest):
    bad = (("a.>.b", "not the last part"), (">.>", "not the last part"), (".".join("*" * 33), "32 parts"), ("a.*@", "reserved"))

    def test_patterns_that_are_none(self):
        ws, packet = self.websocket(), self.packet()
        for name, why in self.bad:
            with self.subTest(name=name):
                for action in ("subscribe", "unsubscribe"):
                    ws.action(action, topic=["x", name], ref=1)
                    ws.expect_error(why, ref=1)
                    packet.op(action, topic=name, ref=1)
                    packet.expect_error(why, ref=1)
                self.assertRegex(self.ask("GET", "/sub/x," + escaped(name)).json()["error"], why)
                if "@" not in name:
                    flash = self.flash()
                    flash.action("subscribe", data=name)
                    self.assertRegex(flash.message()["error"], why)
                    flash.expect_close()
        self.assertEqual(self.janus.subscriptions(), 0)
        ws.subscribe(".".join("*" * 32) + ".>")
        self.assertEqual(self.publish_n(".".join("x" * 100), 1)[1], 1)
        self.assertEqual(ws.message()["data"], 1)

    def test_publishing(self):
        """A message goes to one topic, wherever it is published."""
        listener, why = self.packet().subscribe(">"), "reserved for subscriptions"
        ws, packet = self.websocket(), self.packet()
        for name in ("*", ">", "a.*", "a.>.b"):
            with self.subTest(name=name):
                ws.action("publish", topic=name, data=1)
                ws.expect_error(why)
                packet.op("publish", topic=name, data=1)
                packet.expect_error(why)
                self.assertRegex(self.post("/pub/" + escaped(name), 1, status=400)["error"], why)
                self.assertRegex(self.post("/pub", [{"topic": "a", "data": 1}, {"topic": name, "data": 1}], status=400)["error"], why)
                for flash in (self.flash(), self.flash()):
                    if name == "*":
                        flash.send(b'PUBLISH\0{"topic":"*","data":1}\0')
                    else:
                        flash.publish(name, data=1)
                    self.assertRegex(flash.message()["error"], why)
                    flash.expect_close()
        listener.expect_nothing()

    def test_past(self):
        """A pattern has no past that is kept: last, /history and /poll are for topics."""
        self.serve("history=*: 100 messages; a.*: 100 messages")
        ws, packet = self.websocket(), self.packet()
        ws.action("subscribe", topic=["a.b", "a.*"], last=1, ref=1)
        ws.expect_error("last is for topics", ref=1)
        packet.op("subscribe", topic="a.>", last=1, ref=1)
        packet.expect_error("last is for topics", ref=1)
        for target in ("/sub/a.b,a.*?last=1", "/history/a.*", "/poll/a.*?wait=0"):
            self.assertEqual(self.ask("GET", target).status, 400, target)
        self.assertEqual(self.janus.subscriptions(), 0)
        ws.subscribe("a.*")
        self.publish("a.b", 1)
        self.assertEqual((self.janus.stats()["history"]["topics"], self.kept("a.b")), (1, [1]))

    def test_limits(self):
        self.serve("max_patterns=3", "max_patterns_total=5", "max_pattern_shapes=2", "max_topics=16")
        a, b = self.websocket(), self.packet()
        a.subscribe("a.*", "b.*", "c.>", "plain", "plainer")
        a.action("subscribe", topic="d.*", ref=1)
        a.expect_error("max_patterns\\)", ref=1)
        b.subscribe("a.*", "e.*")       # the first one is there already
        b.op("subscribe", topic="*.x", ref=1)
        b.expect_error("max_pattern_shapes", ref=1)
        b.subscribe("f.*")
        c = self.websocket()
        c.action("subscribe", topic="g.*", ref=1)
        c.expect_error("max_patterns_total", ref=1)
        self.assertEqual(self.ask("GET", "/sub/g.*").status, 503)
        c.subscribe("f.*", "another")
        self.assertEqual(self.counters("refused_patterns"), [4])
        a.action("unsubscribe", topic=["a.*", "c.>"])
        a.expect({"ok": True})
        c.subscribe("*.x")              # c.> had its shape for itself
        a.subscribe("b.*", "f.*")
        self.assertEqual((self.publish_n("f.x", 1)[1], self.publish_n("c.d.e", 2)[1]), (4, 0))
        for client in (a, b):
            self.assertEqual(client.message()["topic"], "f.x")
        self.assertEqual(c.message()["topic"], "f.x")
        c.expect_nothing()
        self.serve("max_patterns=0")
        a = self.websocket()
        a.action("subscribe", topic="d.*", ref=1)
        a.expect_error("max_patterns", ref=1)


class Since(PatternTest):
    workers = 1
    options = "session_linger=0",

    def test_recovered(self):
        """What the ring has of a pattern, while somebody subscribes it."""
        self.packet().subscribe("a.*")
        first = self.websocket().subscribe("a.*", "a.b")
        ids = [self.publish_n(topic, n)[0] for n, topic in enumerate(("a.b", "a.c", "a.b", "z", "a.d"))]
        self.assertIsNone(ids.pop(3))
        self.assertEqual([first.message()["id"] for _ in range(4)], ids)
        first.close()
        for kind in KINDS:
            with self.subTest(kind=kind):
                for had in range(4):
                    client, told = self.resumed(kind, ["a.*"], since=ids[had].text)
                    self.assertIs(told, True)
                    self.assertEqual([self.message_of(client)["id"] for _ in range(3 - had)], ids[had + 1:])
                    client.close()
        client, told = self.resumed("packet", ["a.*", "a.b"], since=ids[0].text)
        self.assertIsNot(told, True, "a.b had no subscriber meanwhile")
        self.assertEqual([client.message()["id"] for _ in range(3)], ids[1:])
        client.expect_nothing()

    def test_not_recovered(self):
        """Without a subscriber meanwhile, nothing is there of it, and nobody is told that nothing is missing; also by a browser that comes back."""
        client = self.websocket().subscribe("a.*")
        position = self.publish_n("a.b", 1)[0]
        client.close()
        self.alone()
        self.assertEqual(self.publish_n("a.b", 2), (None, 0))
        for kind in KINDS:
            client, told = self.resumed(kind, ["a.*"], since=position.text)
            self.assertIsNot(told, True)
            client.close()
            self.alone()
        client = self.sse("/sub/a.*", fields=[("Last-Event-ID", position.text)])
        self.assertEqual(client.head.get("Janus-Recovered"), "false; missing=0")
        self.publish_n("a.b", 3)
        self.assertEqual(client.event().data, "3")

    def test_other_subscriptions_stay_where_they_are(self):
        """A pattern that comes with a past brings it; what the session has had by another subscription before is not made to come twice by that one."""
        self.packet().subscribe("a.*")
        client = self.websocket().subscribe("a.b", "*.b")
        ids = [self.publish_n(topic, n)[0] for n, topic in enumerate(("a.b", "a.c", "a.b"))]
        self.assertEqual([client.message()["data"] for _ in range(2)], [0, 2])
        client.action("subscribe", topic="a.*", since=ids[1].text)
        self.assertTrue(client.message()["recovered"])
        self.publish_n("a.b", 3)
        self.assertEqual([client.message()["data"] for _ in range(2)], [2, 3])
        client.expect_nothing()


class Listed(PatternTest):
    options = ("topics=on",)

    def test_topics(self):
        self.packet().subscribe("a.*", "a.b")
        self.publish_n("a.b", 1)
        position = self.publish_n("a.c", 2)[0]
        one = self.ask("GET", "/topics/a.*").json()
        self.assertEqual((one["topic"], one["subscribers"], one["published"], one["last"]), ("a.*", 1, 2, position.text))
        self.assertEqual(sorted(t["topic"] for t in self.ask("GET", "/topics").json()["topics"]), ["a.*", "a.b"])
        self.assertEqual(self.ask("GET", "/topics/a.c").status, 404)


NAMES = ("a.b", "a.c", "d", "a.*", "*.b", "a.>", ">", "*", "*.*", "a.b.>", "*.*.c")
TOPICS = ("a.b", "a.c", "d", "a.b.c", "e.b", "a", "x.y.c", "nobody's.at.all.or.perhaps")


class Reader:
    """
    A connection that subscribes and unsubscribes, and what it is due: what fits a name that it has had from before until all has come, once. What
    fitted one that it gave up may have come before.
    """

    def __init__(self, client):
        self.client, self.names, self.round = client, {}, 0
        self.due, self.got, self.answers = [], [], 0

    def change(self, action, names):
        self.client.action(action, topic=names, ref=7)
        while (got := self.client.message(20)).get("ok") is None:
            self.got.append(got)
        if not got["ok"]:
            raise AssertionError("%r: %r" % (names, got))
        for name in names:
            if action == "subscribe":
                self.names.setdefault(name, object())
            else:
                self.names.pop(name, None)

    def published(self, topic, id):
        subscriptions = [s for name, s in self.names.items() if fits(name, topic)]
        if subscriptions:
            self.due.append((id, subscriptions))

    def check(self, fence):
        """The fence is a message that comes last, whatever it has."""
        while not (self.got and self.got[-1]["data"] == fence):
            self.got.append(self.client.message(20))
        ids = [m["id"] for m in self.got]
        there = set(map(id, self.names.values()))
        must = [i for i, subscriptions in self.due if there & set(map(id, subscriptions))]
        may = {i for i, _ in self.due}
        if ids != sorted(set(ids)) or not set(must) <= set(ids) or not set(ids) <= may:
            raise AssertionError("has %r: lost %r, not due %r, twice %r" % (
                sorted(self.names), [i for i in must if i not in ids], [i for i in ids if i not in may], [i for i in ids if ids.count(i) > 1]))
        self.due, self.got = [], []


class Survives(PatternTest):
    """Whatever happens to the workers, each message comes once to whoever has a name that fits it."""

    def walk(self, rounds, disturb, readers=6, names=0):
        rng = self.random()
        readers = [Reader(self.websocket()) for _ in range(readers)]
        for reader in readers:
            reader.change("subscribe", ["fence"] + rng.sample(NAMES, names))
        count = 0
        for round in range(rounds):
            for _ in range(25):
                what = rng.random()
                if what < 0.35:
                    reader = rng.choice(readers)
                    reader.change(rng.choice(("subscribe", "subscribe", "unsubscribe")), rng.sample(NAMES, rng.randint(1, 3)))
                elif what < 0.45:
                    disturb(rng)
                else:
                    items = [{"topic": rng.choice(TOPICS), "data": count + i} for i in range(rng.randint(1, 6))]
                    count += len(items)
                    answers = self.post("/pub", items)
                    for item, answer in zip(items, answers):
                        subscribers = sum(fits(name, item["topic"]) for reader in readers for name in reader.names)
                        self.assertEqual((answer["subscribers"], answer["id"] is None), (subscribers, subscribers == 0), item)
                        for reader in readers:
                            reader.published(item["topic"], answer["id"])
            fence = self.post("/pub/fence", "fence %d" % round)
            for reader in readers:
                reader.published("fence", fence["id"])
                reader.check("fence %d" % round)
        for reader in readers:
            reader.change("unsubscribe", sorted(reader.names))
        self.alone()
        client = self.websocket().subscribe(">")
        self.assertEqual(self.publish_n("a.b", 1)[1], 1)
        self.assertEqual(client.message()["data"], 1)

    def test_undisturbed(self):
        self.walk(20, lambda rng: None)

    def test_deaths(self):
        self.walk(12, lambda rng: self.janus.kill_worker(rng.randrange(2)))
        self.janus.forgive_deaths()

    def test_windows(self):
        """So many that a message's records do not go into one window (multi_topic.h), which holds few in this build."""
        self.serve("io=send", build=CRASH_BUILD)
        self.walk(4, lambda rng: self.janus.kill_worker(rng.randrange(2)), readers=40, names=5)
        self.janus.forgive_deaths()

    def test_reload(self):
        self.walk(2, lambda rng: self.assertEqual(self.janus.reload()[0], 0))


class Deaths(CrashTest, PatternTest):
    points = ("subscribe-joined", "subscribe-filled", "subscribe-linked", "unsubscribe-unlinked", "unsubscribe-left", "replay-begun", "replay-committed",
              "publish-locked", "publish-echoing", "publish-written", "publish-intended", "publish-staged", "publish-committed", "publish-remembered",
              "publish-owing", "publish-unlocked", "answer-unwritten", "answer-written", "batch-listed", "batch-sent", "batch-half-recorded", "batch-recorded")

    def live(self):
        return all(w["state"] == "live" and janus_test.is_alive(w["worker"]) for w in self.janus.status()["workers"])

    def test_at_each_point(self):
        """One session has what it gets by three names; another one comes and goes with a pattern that is there for it alone."""
        self.serve_crash_build("once_keys=128")
        readers = [self.websocket().subscribe("a.b", "a.*", "*.b") for _ in range(2)] + [self.packet().subscribe("a.>"), self.packet().subscribe("a.b")]
        n, ids = 0, []
        for point in self.points:
            with self.subTest(point=point):
                self.arm(point, 2 if point == "publish-echoing" else 1)
                for attempt in range(5):
                    n += 1
                    client = self.websocket()
                    client.action("subscribe", topic=["only.*", "only.*.>", "a.c"], **({"since": ids[-1].text} if ids else {}))
                    self.assertTrue(client.message(20)["ok"])
                    wait_until(self.live)       # (until a worker is live, its subscribers count as those of the one before it)
                    answer = self.post("/pub/a.b", n, fields=[("Idempotency-Key", "k%d" % n)])
                    self.assertEqual(answer["subscribers"], 8)
                    ids.append(answer["id"])
                    self.assertEqual(self.post("/pub/a.b", n, fields=[("Idempotency-Key", "k%d" % n)]), answer)
                    self.assertEqual(self.post("/pub/only.x", n)["subscribers"], 1)
                    self.assertEqual(client.message(20)["data"], n)
                    client.action("unsubscribe", topic=["only.*", "only.*.>", "a.c"])
                    self.assertEqual(client.message(20), {"ok": True})
                    client.close()
                    wait_until(self.live)
                    self.assertEqual(self.post("/pub/only.x", n)["subscribers"], 0)
                    for reader in readers:
                        got = reader.message(20)
                        self.assertEqual((got["data"], got["id"]), (n, answer["id"]))
                    if not self.armed(point):
                        break
                else:
                    self.fail("nobody came by")
        for reader in readers:
            reader.expect_nothing()
        self.assertEqual(self.janus.subscriptions(), 8)
        self.janus.forgive_deaths()


class Behind(PatternTest):
    """Subscribers that do not read for a while, with names that fit the same messages."""

    def slow(self, names, kind=WebSocket):
        client = self.connect(kind, "http", rcvbuf=4096)
        if kind is WebSocket:
            return client.upgrade().subscribe(*names)
        self.assertEqual(client.ask("GET", "/sub/" + ",".join(names)).status, 200)
        return client.begin()

    def fill(self, first, count, topics=("a.b", "a.c", "z")):
        for at in range(first, first + count, 20):
            items = [{"topic": topics[n % len(topics)], "data": {"n": n, "fill": "x" * 900}} for n in range(at, at + 20)]
            self.assertEqual(self.ask("POST", "/pub", json.dumps(items).encode()).status, 200)

    def read(self, client, last):
        """Up to this message: the numbers that came; and how many were missed, by name."""
        got = []
        while not got or got[-1] != last:
            got.append(client.message(20)["data"]["n"])
        self.assertEqual(got, sorted(set(got)))
        missed = {}
        for _, name, n in client.missed:
            missed[name] = missed.get(name, 0) + n
        return got, missed

    def test_all_comes_once(self):
        """From the ring, and of a topic with history from there, while workers die."""
        for options in (("ring_bytes=8M",), (*SMALL, "history=a.b: 100000 messages")):
            with self.subTest(options=options):
                self.serve("send_buffer=8K", *options)
                clients = [self.slow(("a.b", "a.*", "*.b")), self.slow(("a.>",), Lines), self.slow(("z", ">"))]
                self.fill(0, 200)
                wait_until(lambda: self.janus.behind() == 3)
                kept = len(options) > 1
                if kept:
                    self.fill(200, 2000, ("a.b",))
                for slot in (0, 1, 0):
                    self.janus.kill_worker(slot)
                self.fill(5000, 40)
                wants = [lambda n: n >= 200 or n % 3 != 2, lambda n: n >= 200 or n % 3 != 2, lambda n: True]
                numbers = [*range(200), *(range(200, 2200) if kept else ()), *range(5000, 5040)]
                for number, (client, wants) in enumerate(zip(clients, wants)):
                    due = [n for n in numbers if (n % 3 != 2 if n < 200 or n >= 5000 else True) or number == 2]
                    got, missed = self.read(client, due[-1])
                    if not kept:
                        self.assertEqual((got, missed), (due, {}))
                    elif number == 0:
                        self.assertEqual([n for n in got if n % 3 == 0 or 200 <= n < 2200], [n for n in due if n % 3 == 0 or 200 <= n < 2200])
                        self.assertNotIn("a.b", missed)
                    elif number == 1:
                        self.assertEqual((len(got) + missed["a.>"], set(missed)), (len(due), {"a.>"}))
                self.janus.forgive_deaths()

    def test_losses(self):
        """What comes and what is told to be missing is what was published, for each name that has none in common with others."""
        self.serve("send_buffer=8K", "slow=a.*: latest; *: skip", *SMALL)
        clients = [self.slow(("a.*",)), self.slow(("*.c", "z"))]
        self.fill(0, 3000)
        for client, due in zip(clients, ([n for n in range(3000) if n % 3 != 2], [n for n in range(3000) if n % 3 != 0])):
            got, missed = self.read(client, due[-1])
            self.assertLessEqual(set(missed), {"a.*", "*.c", "z"})
            self.assertGreater(sum(missed.values()), 0)
            self.assertEqual(len(got) + sum(missed.values()), len(due))
        self.assertGreater(self.janus.count("dropped_latest"), 0)

    def test_other_layout(self):
        """An upgrade there and back, with sessions in the middle of frames that they have by several names."""
        server = Server("send_buffer=8K", "ring_bytes=8M", "max_patterns_total=10", workers=2, listen=WEB)
        self.addCleanup(self._end, server)
        program = Program(janus_test.BUILD, os.path.join(server.folder, "bin"))
        server.build = program.folder
        server.start()
        self._janus = server
        self._addresses = {re.match("[a-z]+", url).group(): parse_url(url) for url in server.status()["listen"]}
        clients = [self.slow(("a.b", "a.*", "*.b")), self.slow(("a.>",)), self.slow(("*.c",), Lines)]
        idle, count = self.packet().subscribe("i.*", "i.i", "*.i"), 0
        self.fill(0, 300)
        wait_until(lambda: self.janus.behind() == 3)
        for build in (OTHER_BUILD, janus_test.BUILD):
            program.put(build)
            status, _, err = self.janus.reload()
            self.assertEqual(status, 0, err)
            count += 1
            self.assertEqual(self.publish_n("i.i", count)[1], 3)
            self.assertEqual(idle.message()["data"], count)
            self.fill(300 * count, 300)
        idle.expect_nothing()
        for client, wants in zip(clients, (lambda n: n % 3 != 2, lambda n: n % 3 != 2, lambda n: n % 3 == 1)):
            due = [n for n in range(900) if wants(n)]
            self.assertEqual(self.read(client, due[-1]), (due, {}))
        for n, name in enumerate(("1.*", "2.*", "3.*", "4.*", "5.*")):
            idle.subscribe(name) if n < 4 else idle.op("subscribe", topic=name)
        idle.expect_error("max_patterns_total")


if __name__ == "__main__":
    unittest.main()
