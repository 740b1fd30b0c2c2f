"""Several servers, joined by a nats-server: what is published on one reaches the subscribers of all, once, as it was; and NATS' own clients."""
import unittest

from janus_test import wait_until
from nodes_test import NodesTest
from web_clients import Event, collect

OWN = ("id", "timestamp")       # members that are each node's own


def without_own(message):
    """A message as all nodes must have it: an object as pairs, in their order."""
    if isinstance(message, bytes):      # of a WebSocket's stream
        return message
    if isinstance(message, Event):
        return message.type, without_own(message.json()) if message.data.startswith('{"id"') else message.data
    return [(key, value) for key, value in message.items() if key not in OWN]


class Readers:
    """A subscriber of each kind on a node."""

    def __init__(self, node, *topics, users=()):
        names = ",".join(topics)
        self.clients = {"flash": node.flash().subscribe(*topics), "packet": node.packet().subscribe(*topics), "actions": node.websocket().subscribe(*topics),
                        "websocket": node.websocket("/sub/" + names), "lines": node.lines("/sub/" + names), "sse": node.sse("/sub/" + names),
                        "envelope": node.sse("/sub/" + names + "?envelope=json")}

    def messages(self):
        """The next one of each."""
        return {kind: without_own(client.message()) for kind, client in self.clients.items()}


class Topics(NodesTest):
    def test_every_protocol(self):
        """A subscriber elsewhere gets what one here gets, whatever they speak and the publisher spoke."""
        a, b = self.nodes("a", "b")
        here, there = Readers(a, "news"), Readers(b, "news")
        self.wait_interest("janus.topic.news", 2)
        flash, packet, websocket = a.flash(), a.packet(), a.websocket()
        publishes = [
            lambda: a.post("/pub/news", "a text, \u017elu\u0165 \"quoted\" \\ \n\t"),
            lambda: a.post("/pub/news", ""'""', type="application/json"),
            lambda: a.post("/pub/news?event=price&message_id=m1", {"eur": 7.5, "x": [None, True, "\u017e"]}),
            lambda: a.post("/pub/news", b'{"big": 12345678901234567890, "e": 1e400,  "space" : 1}', type="application/json"),
            lambda: a.post("/pub/news", b'"\\u0041\\/"', type="application/json"),
            lambda: a.post("/pub/news", bytes(range(256))),
            lambda: a.post("/pub/news", "5"),
            lambda: a.post("/pub/news", "5", type="application/json"),
            lambda: a.post("/pub", [{"topic": "news", "data": n, "event": "e"} for n in range(3)]),
            lambda: flash.publish("news", event="test_event", message_id="", data="test"),
            lambda: flash.publish("news", more={"a": [1, 2]}, data={"x": 1}, to="bob", ok=True, n=None),
            lambda: flash.publish("news", event="no data"),
            lambda: packet.op("publish", topic="news", data=b"\0\xff", event="binary"),
            lambda: packet.op("publish", topic="news", data={"a": 1.5, "b": ["x"]}, message_id="p1"),
            lambda: websocket.action("publish", topic="news", data="hi", event="\u017e\u0065\u0301", message_id="w1"),
        ]
        for n, publish in enumerate(publishes):
            publish()
            for _ in range(3 if n == 8 else 1):
                with self.subTest(publish=n):
                    self.assertEqual(there.messages(), here.messages())
        for node in (a, b):
            self.assertEqual(node.janus.count("nodes_refused"), 0)

    def test_to_and_fro(self):
        """All nodes publish and subscribe: each has each message once, each publisher's in order."""
        nodes = self.nodes("a", "b", "c")
        readers = [node.lines("/sub/t") for node in nodes]
        self.wait_interest("janus.topic.t", 3)
        publishers = [node.packet() for node in nodes]
        for n in range(100):
            for name, publisher in enumerate(publishers):
                publisher.op("publish", topic="t", data=[name, n])
        for reader in readers:
            got = [reader.message()["data"] for _ in range(300)]
            for name in range(3):
                self.assertEqual([n for who, n in got if who == name], list(range(100)))
        for name, node in enumerate(nodes):
            node.post("/pub/t", "end of %d" % name)
        for reader in readers:
            self.assertEqual(sorted(reader.message()["data"] for _ in nodes), ["end of %d" % name for name in range(3)])

    def test_inbox(self):
        """An id that is logged in on two nodes gets what it is sent on both; whatever the id is."""
        a, b = self.nodes("a", "b")
        for user, subject in (("bob", "bob"), ("b.o.b", "b%2Eo%2Eb"), ("bob@example.org", "bob@example%2Eorg"), ("*", "%2A"), (">", "%3E"), (".", "%2E"), ("a b%", "a%20b%25"),
                              ("\u017elu\u0165", "\u017elu\u0165"), ("x" * 254, "x" * 254)):
            with self.subTest(user=user):
                subject = "janus.inbox." + subject
                here, there = a.websocket().login(user), b.packet().login(user)
                self.wait_interest(subject, 2)
                for node in (a, b):
                    sender = node.packet()
                    sender.op("send", user=user, data="hi")
                    for client in (here, there):
                        got = client.message()
                        self.assertEqual((got["user"], got["data"]), (user, "hi"))
                    sender.close()
                here.close()
                there.close()

    def test_ids_at_random(self):
        """A router on three machines: each id is logged in somewhere, every third on two nodes, and is sent to from anywhere."""
        nodes, rng = self.nodes("a", "b", "c"), self.random()
        homes = {"id.%d" % n: [n % 3] + [(n + 1) % 3] * (n % 9 == 0) for n in range(180)}
        clients = [(user, nodes[home].packet().login(user)) for user, at in homes.items() for home in at]
        for user, at in homes.items():
            self.wait_interest("janus.inbox." + user.replace(".", "%2E"), len(at))
        publishers = [node.packet() for node in nodes]
        sent = {}
        for n in range(1500):
            user, publisher = rng.choice(list(homes)), rng.randrange(3)
            publishers[publisher].op("send", user=user, data=[publisher, n])
            sent.setdefault(user, []).append([publisher, n])
        got = collect([client for _, client in clients], lambda lists: sum(map(len, lists)) >= sum(len(sent.get(user, ())) for user, _ in clients))
        for (user, _), messages in zip(clients, got):
            for publisher in range(3):
                self.assertEqual([m["data"] for m in messages if m["data"][0] == publisher], [d for d in sent.get(user, ()) if d[0] == publisher])
            self.assertTrue(all(m["user"] == user for m in messages))

    def test_broadcast(self):
        a, b = self.nodes("a", "b", options=("broadcast=on",))
        clients = [node.websocket() for node in (a, b)]
        a.post("/broadcast?event=e", {"x": 1})
        got = [without_own(client.message()) for client in clients]
        self.assertEqual(got[0], got[1])
        self.assertEqual(dict(got[0]), {"broadcast": True, "event": "e", "data": {"x": 1}})

    def test_broadcast_is_off(self):
        """Here, not there."""
        a, b = self.node("a", "broadcast=on"), self.node("b")
        client = b.websocket().subscribe("t")
        self.wait_interest("janus.topic.t")
        a.post("/broadcast", "x")
        a.post("/pub/t", "y")
        self.assertEqual(client.message()["data"], "y")

    def test_patterns(self):
        a, b = self.nodes("a", "b")
        clients = {pattern: b.websocket().subscribe(pattern) for pattern in ("news.*", "news.>", "*.uk", ">", "*.*.*")}
        for pattern in clients:
            wanted = "janus.topic." + pattern
            self.wait_subscribed(wanted)
        fits = {"news.uk": ("news.*", "news.>", "*.uk", ">"), "news.uk.sport": ("news.>", ">", "*.*.*"), "news": (">",), "news.": ("news.*", "news.>", ">"),
                "a..b": (">", "*.*.*"), ".uk": ("*.uk", ">")}
        for topic, patterns in fits.items():
            with self.subTest(topic=topic):
                a.post("/pub?topic=" + topic, topic)
                for pattern in patterns:
                    got = clients[pattern].message()
                    self.assertEqual((got["topic"], got["data"]), (topic, topic))
        for client in clients.values():
            client.expect_nothing()

    def wait_subscribed(self, subject):
        wait_until(lambda: subject in self.nats.subscriptions(), 10, "%s to be subscribed" % subject)

    def test_each_once(self):
        """However many of its subscriptions, and of others here, a message fits: also one of another client of NATS."""
        a, b = self.nodes("a", "b")
        both = b.websocket().subscribe("x.y", "x.*", "x.>", ">")
        alone = {name: b.websocket().subscribe(name) for name in ("x.y", "x.*", "x.>", "*.y")}
        for name in (*alone, ">"):
            self.wait_subscribed("janus.topic." + name)
        nats = self.nats_client()
        for n in range(20):
            a.post("/pub/x.y", n)
            nats.publish("janus.topic.x.y", str(n), {"Content-Type": "application/json"})
        for client in (both, *alone.values()):
            got = [client.message()["data"] for _ in range(40)]
            self.assertEqual(sorted(got), sorted(list(range(20)) * 2))
            client.expect_nothing()
        # one of them goes: the others have all as before, from both
        alone.pop("x.y").close()
        both.action("unsubscribe", topic="x.y")
        both.expect({"ok": True})
        for n in range(100, 150):
            a.post("/pub/x.y", n)
            nats.publish("janus.topic.x.y", str(n), {"Content-Type": "application/json"})
        for client in (both, *alone.values()):
            got = [client.message()["data"] for _ in range(100)]
            self.assertEqual(sorted(got), sorted(list(range(100, 150)) * 2))
            client.expect_nothing()

    def test_history(self):
        """What a rule keeps is kept of all nodes' messages, whether somebody subscribes it or not."""
        a, b = self.node("a"), self.node("b", "history=news.*: 100 messages, 1h; exact: 10 messages")
        self.wait_subscribed("janus.topic.news.>")
        for topic in ("news.uk", "news.", "exact", "other"):
            a.post("/pub/" + topic, topic)
        for topic in ("news.uk", "news.", "exact"):
            self.kept(b, topic, [topic])
        self.kept(b, "other", [])

    def kept(self, node, topic, wanted):
        wait_until(lambda: [m["data"] for m in node.ask("GET", "/history/" + topic).json()["messages"]] == wanted, 10, "%s to keep %r" % (topic, wanted))

    def test_published_once(self):
        """What is repeated with its key goes out once."""
        a, b = self.nodes("a", "b")
        reader = b.lines("/sub/t")
        self.wait_interest("janus.topic.t")
        for _ in range(3):
            a.post("/pub/t", "x", fields=[("Idempotency-Key", "k")])
        a.post("/pub/t", "end")
        self.assertEqual([reader.message()["data"] for _ in range(2)], ["x", "end"])

    def test_presence_stays_here(self):
        """Who is on a topic is told by each node of its own."""
        a, b = self.nodes("a", "b")
        watcher = b.websocket().subscribe("t@presence")
        watcher.message()
        there = b.websocket().subscribe("t")
        self.wait_interest("janus.topic.t")
        nats = self.nats_client()
        nats.subscribe(">")
        member = a.websocket().login("bob").subscribe("t", "t@presence")
        a.post("/pub/t", "x")
        self.assertEqual(there.message()["data"], "x")
        watcher.expect_nothing()
        member.close()


if __name__ == "__main__":
    unittest.main()
