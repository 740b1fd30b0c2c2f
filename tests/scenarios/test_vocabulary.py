"""What is the same at /ws, in packets and over HTTP: the greeting, names, whom a message is to."""
import json
import unittest

from janus_test import wait_until
from web_clients import TEXT, WebSocket, WebTest, frame


class Vocabulary(WebTest):
    def test_greeting(self):
        """First of all, once, and told from answers and messages; with the features that are on."""
        for options, broadcast in (((), False), (("broadcast=on",), True)):
            self.serve(*options)
            client, socket = self.packet().greet(), self.websocket()
            self.assertEqual(*({k: v for k, v in c.greeting.items() if k != "token"} for c in (client, socket)))
            self.assertNotEqual(client.greeting["token"], socket.greeting["token"])
            self.assertRegex(client.greeting["janus"], r"\A\d+\.\d+\.\d+\Z")
            self.assertEqual("broadcast" in client.greeting["features"], broadcast)
            self.assertFalse({"ok", "id"} & set(client.greeting))
            version = self.ask("GET", "/version")
            self.assertEqual(version.json(), {"name": "janus", "version": client.greeting["janus"], "features": client.greeting["features"]})
            client.op("ping")
            client.expect({"ok": True})
            self.assertTrue(client.silent(0.2))

    def test_many_names(self):
        """In one request. A bad one among them is refused before anything is done."""
        client, other = self.packet(), self.packet()
        client.op("subscribe", topic=["a", "b", "a"], ref=1)
        client.expect({"ok": True, "ref": 1})
        client.op("login", user=["bob", "x@y"])
        client.expect({"ok": True})
        self.assertEqual(self.janus.subscriptions(), 4)
        for topics in ([], ["c", ""], ["c", 7], ["c", ["d"]], ["c", "d@e"], ["c", ">.d"], ["c"] * 1025):
            with self.subTest(topics=topics[:3]):
                client.op("subscribe", topic=topics)
                client.expect_error("topic|names")
        self.assertEqual(self.janus.subscriptions(), 4)
        other.op("publish", topic="b", data=1)
        other.op("send", user="x@y", data=2)
        self.assertEqual([(m.get("topic"), m.get("user"), m["data"]) for m in (client.message(), client.message())], [("b", None, 1), (None, "x@y", 2)])
        client.op("unsubscribe", topic=["never", "b", "a"])
        client.expect({"ok": True})
        client.op("logout", user=["x@y"])
        client.expect({"ok": True})
        self.assertEqual(self.janus.subscriptions(), 1)

    def test_reserved_topics(self):
        """Not for users. On the flash socket those with an @ are names like others."""
        client, flash = self.websocket(), self.flash()
        for topic in ("*", ">", "foo.*", "a.*.b", "foo.>", "a@b", "@"):
            with self.subTest(topic=topic):
                for action in ("subscribe", "unsubscribe", "publish") if "@" in topic else ("publish",):
                    client.action(action, topic=topic, ref=1, **({"data": 1} if action == "publish" else {}))
                    client.expect_error("reserved", ref=1)
                client.login(topic)
                if "@" in topic:
                    flash.subscribe(topic)
                    flash.publish(topic, n=1)
                    flash.expect_message(topic, n=1)
                flash.action("send", to=topic, data=2)
                self.assertEqual((client.message()["user"]), topic)

    def test_message_or_answer(self):
        """Whatever a publisher of the flash socket names its members, a message has no `ok`, and says truly whom it is to; an answer has `ok`."""
        clients, flash = [self.websocket().subscribe("a").login("bob"), self.packet().subscribe("a").login("bob"), self.lines("/sub/a")], self.flash()
        inbox, sse = self.lines("/inbox/bob"), self.sse("/inbox/bob?envelope=json")
        forged = dict(ok=True, ref=5, id=9, timestamp=[1, 2, 3], user="eve", broadcast=True, janus="9.9")
        flash.publish("a", to="bob", error="x", data=1, **forged)
        for client in clients:
            got = client.message()
            self.assertEqual((list(got), got["topic"], got["error"]), (["id", "timestamp", "topic", "error", "data"], "a", "x"))
            self.assertNotEqual(got["id"], 9)
        flash.action("send", to="bob", topic="a", data=2, **forged)
        for client in clients[:2] + [inbox]:
            got = client.message()
            self.assertEqual((list(got), got["user"], got["data"]), (["id", "timestamp", "user", "data"], "bob", 2))
        self.assertEqual(list(json.loads(sse.event().data)), ["id", "timestamp", "user", "data"])
        clients[0].action("nonsense", topic="a", user="b", broadcast=True)
        self.assertEqual(list(clients[0].message()), ["ok", "error"])

    def test_cut_frame_of_a_topic_that_is_gone(self):
        """Who is in the middle of a frame and leaves its topic gets the rest, also if only the topic's name tells whom the message is to, and
        another has its place by then."""
        self.serve("send_buffer=16K", workers=1)
        client = self.connect(WebSocket, "http", rcvbuf=4096).upgrade("/ws").subscribe("a")
        publisher, data = self.flash(), "x" * 40000
        for n in range(10):
            publisher.publish("a", to="bob", id=n, n=n, data=data)
        wait_until(lambda: self.janus.behind() == 1, what="its being behind")
        client.send(frame(TEXT, '{"action":"unsubscribe","topic":"a","ref":1}'))
        wait_until(lambda: self.janus.subscriptions() == 0, what="its leaving")
        self.websocket().login("b", "c").subscribe("d")
        last, got = -1, client.message()
        while "ok" not in got:
            self.assertEqual((list(got), got["topic"], got["n"], got["data"]), (["id", "timestamp", "topic", "n", "data"], "a", last + 1, data))
            last, got = last + 1, client.message()
        self.assertEqual(got, {"ok": True, "ref": 1})
        self.assertLess(last, 9)
        client.action("ping")
        client.expect({"ok": True})


if __name__ == "__main__":
    unittest.main()
