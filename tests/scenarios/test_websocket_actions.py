"""The actions of /ws, and its limits."""
import json
import os
import re
import signal
import unittest

from janus_test import SLOWNESS, Closed, Deadline, wait_until
from test_websocket import ACTION, ANSWER
from web_clients import BINARY, CONTINUATION, PING, TEXT, WebTest, frame


class Actions(WebTest):
    def act(self, client, text):
        """The answer to an action, as text, but for a position."""
        client.frame(TEXT, text if isinstance(text, bytes) else text.encode())
        return re.sub(r',"position":"[0-9a-z]{8,}-\d+"\}$', "}", client.raw_message())

    def test_subscribe_and_unsubscribe(self):
        client = self.websocket()
        self.assertEqual(self.act(client, '{"action":"subscribe","data":"a"}'), '{"ok":true}')        # as it was spelled once
        self.assertEqual(self.act(client, '{"action":"subscribe","topic":"a","ref":5}'), '{"ok":true,"ref":5}')
        self.assertEqual(self.post("/pub/a", "one")["subscribers"], 1)
        self.assertEqual(client.message()["data"], "one")
        self.assertEqual(self.act(client, '{"ref":"x","topic":"a","action":"unsubscribe"}'), '{"ok":true,"ref":"x"}')
        self.assertEqual(self.post("/pub/a", "two"), {"id": None, "subscribers": 0})
        self.assertEqual(self.act(client, '{"action":"unsubscribe","topic":"never"}'), '{"ok":true}')

    def test_ping(self):
        """For clients whose library does not let them send a ping frame: browsers."""
        client = self.websocket()
        self.assertEqual(self.act(client, '{"action":"ping"}'), '{"ok":true}')
        self.assertEqual(self.act(client, '{"action":"ping","ref":"p"}'), '{"ok":true,"ref":"p"}')
        client.action("pong")
        client.expect_error("ping are known")

    def test_message(self):
        client, publisher = self.websocket().subscribe("events"), self.flash()
        publisher.publish("events", event="test_event", message_id="", data="test")
        self.assertRegex(client.raw_message(),
                         r'\A\{"id":"[0-9a-z]{8,}-\d+","timestamp":\d{16},"topic":"events","event":"test_event","message_id":"","data":"test"\}\Z')

    def test_publish(self):
        """As flash has it; `action` and `ref` are not passed on."""
        client, flash = self.websocket(), self.flash().subscribe("a")
        client.text('{"ref":9,"action":"publish","message_id":[1],"topic":"a","data":{"x": [1]}}')
        self.assertTrue(flash.message_text().endswith(b'],"message_id":[1],"topic":"a","data":{"x": [1]}}'))
        answer = client.message()
        self.assertEqual((list(answer), answer["ref"], answer["subscribers"]), (["ok", "ref", "id", "subscribers"], 9, 1))
        lines = self.lines("/sub/a")
        client.text('{"ref":10,"action":"publish","topic":"a","data":""}')
        answer = client.message()
        self.assertEqual((answer["id"], answer["subscribers"]), (lines.message()["id"], 2))

    def test_publish_without_ref_is_not_answered(self):
        client, witness = self.websocket(), self.lines("/sub/a")
        for n in range(100):
            client.action("publish", topic="a", data=n)
            client.action("publish", topic="nobody", data=n)
        client.action("subscribe", topic="b", ref="fence")
        client.expect({"ok": True, "ref": "fence"})
        self.assertEqual([witness.message()["data"] for _ in range(100)], list(range(100)))

    def test_publish_to_nobody(self):
        client = self.websocket()
        self.assertEqual(self.act(client, '{"action":"publish","topic":"a","data":1,"ref":5}'), '{"ok":true,"ref":5,"id":null,"subscribers":0}')

    def test_own_messages(self):
        client = self.websocket().subscribe("a")
        for n in range(50):
            client.action("publish", topic="a", ref=n, data=n)
        answers, messages = {}, []
        while len(answers) < 50 or len(messages) < 50:
            got = client.message()
            if "ok" in got:
                self.assertEqual(got["subscribers"], 1)
                answers[got["ref"]] = got["id"]
            else:
                messages.append((got["data"], got["id"]))
        self.assertEqual(messages, list(answers.items()))

    def test_many_names(self):
        """In one request, each way of saying them. A bad one is refused before anything is done."""
        client = self.websocket()
        for members in ({"topic": ["a", "b", "a"]}, {"data": ["b", "c"]}, {"topic": "d"}):
            client.action("subscribe", ref=1, **members)
            client.expect({"ok": True, "ref": 1})
        client.action("login", user=["bob", "a"])
        client.expect({"ok": True})
        self.assertEqual(self.janus.subscriptions(), 6)
        for action, members in (("subscribe", {"topic": []}), ("subscribe", {"topic": ["x", ""]}), ("login", {"user": ["x", 7]}),
                                ("subscribe", {"topic": ["x", "y@z"]}), ("login", {"user": ["x"] * 1025})):
            with self.subTest(action=action, members=list(members.values())[0][:3]):
                client.action(action, ref=2, **members)
                client.expect_error("topic|user|names", ref=2)
        self.assertEqual(self.janus.subscriptions(), 6)
        for target in ("/pub/a", "/pub/b", "/pub/c", "/pub/d", "/send/bob", "/send/a"):
            self.assertEqual(self.post(target, target)["subscribers"], 1)
            self.assertEqual(client.message()["data"], target)
        client.action("unsubscribe", topic=["d", "never", "a"])
        client.expect({"ok": True})
        client.action("logout", user=["a"])
        client.expect({"ok": True})
        self.assertEqual([self.post(target, "x")["subscribers"] for target in ("/pub/a", "/pub/b", "/pub/d", "/send/a", "/send/bob")], [0, 1, 0, 0, 1])

    def test_many_names_and_no_room(self):
        """Those before the first that there is no room for are subscribed."""
        self.serve("max_subscriptions=3")
        client = self.websocket()
        client.action("subscribe", topic=list("abcde"), ref=1)
        client.expect_error("max_subscriptions", ref=1)
        self.assertEqual([self.post("/pub/" + topic, "x")["subscribers"] for topic in "abcde"], [1, 1, 1, 0, 0])
        self.assertEqual([client.message()["topic"] for _ in range(3)], list("abc"))

    def test_many_names_while_messages_come(self):
        """A connection that has a topic already takes more in one request, and misses none and gets none twice."""
        client, publisher = self.websocket().subscribe("t0"), self.flash()
        topics = ["t%d" % n for n in range(100)]
        for n in range(200):
            publisher.publish("t0", n=n)
            if n % 10 == 0:
                client.action("subscribe", topic=topics[:n // 2 + 1])
                client.action("unsubscribe", topic=topics[1:n // 4])
        got = []
        while len(got) < 200:
            message = client.message()
            if "ok" not in message:
                got.append(message["n"])
        self.assertEqual(got, list(range(200)))

    def test_unknown_members(self):
        """Named, and nothing is done."""
        client, lines = self.websocket(), self.lines("/sub/a")
        for action, more in (("publish", {"foo": 1}), ("publish", {"id": 1}), ("publish", {"timestamp": 1}), ("publish", {"user": "b"}), ("publish", {"to": "b"}),
                             ("publish", {"ok": True}), ("publish", {"é\"\n": 1}), ("ping", {"data": 1}), ("subscribe", {"event": "x"}), ("login", {"topic": "x"}),
                             ("unsubscribe", {"id": 1}), ("send", {"topic": "a"})):
            name = json.dumps(list(more)[0], ensure_ascii=False).replace("\\n", "\\u000a")
            with self.subTest(action=action, name=name):
                members = {"publish": {"topic": "a", "data": 1}, "send": {"user": "a", "data": 1}, "login": {"user": "a"}, "ping": {}}.get(action, {"topic": "a"})
                client.action(action, ref=3, **members, **more)
                client.expect({"ok": False, "ref": 3, "error": "unknown member " + name})
        self.post("/pub/a", "a fence")
        self.assertEqual(lines.message()["data"], "a fence")

    def test_refs(self):
        """Strings and numbers, repeated byte for byte."""
        client = self.websocket()
        for id in ("0", "-1", "1.50", "1e3", "123456789012345678901234567890", '"text"', '""', '"\\u0041\\/"', '"žluť 😀"', '"%s"' % ("x" * 253), "9" * 255):
            with self.subTest(id=id):
                self.assertEqual(self.act(client, '{"action":"subscribe","topic":"a","ref":%s}' % id), '{"ok":true,"ref":%s}' % id)
                answer = self.act(client, '{"ref": %s ,"action":"nonsense"}' % id)
                self.assertTrue(answer.startswith('{"ok":false,"ref":%s,"error":"' % id), answer)

    def test_bad_refs(self):
        client = self.websocket()
        for id in ("null", "true", "[]", "{}", '"%s"' % ("x" * 254), "9" * 256):
            with self.subTest(id=id):
                client.text('{"action":"subscribe","topic":"refused","ref":%s}' % id)
                client.expect_error("ref")
        self.assertEqual(self.post("/pub/refused", "x")["subscribers"], 0)

    def test_errors(self):
        """Each is answered, and the connection goes on."""
        client = self.websocket().subscribe("a")
        bad = ["", "x", "[]", '"a"', "null", "7", "{", "{}", '{"data":"a"}', '{"action":1}', '{"action":null}', '{"action":"nonsense"}', '{"action":""}',
               '{"action":"Subscribe","data":"a"}', '{"action":"subscribe"}', '{"action":"subscribe","data":""}', '{"action":"subscribe","data":1}',
               '{"action":"subscribe","topic":["a",7]}', '{"action":"publish","topic":"a"}', '{"action":"send","user":"a"}', '{"action":"subscribe","data":"%s"}' % ("a" * 256), '{"action":"subscribe","data":"\\n"}',
               '{"action":"subscribe","data":"a\\u0085"}', '{"action":"unsubscribe"}', '{"action":"publish"}', '{"action":"publish","topic":""}',
               '{"action":"publish","topic":7}', '{"action":"publish","topic":"a","topic":"a","data":1}', '{"action":"publish","topic":"a","data":1,}',
               '{"action":"publish","topic":"a","data":1} x', '{"action":"publish","topic":"a","data":' + "[" * 129 + "]" * 129 + "}", '{"action":"login"}',
               '{"action":"login","data":""}', '{"action":"login","data":5}', '{"action":"logout"}', '{"action":"send","data":"x"}',
               '{"action":"send","user":"","data":1}', '{"action":"send","user":1,"data":1}', '{"action":"send","to":"b","data":1}', '{"action":"send","user":"%s","data":1}' % ("b" * 256), "PING", "<regular-socket/>"]
        for text in bad:
            with self.subTest(text=text):
                client.text(text)
                client.expect_error()
        for text in bad:
            if text.startswith('{"action":"') and text.endswith("}"):
                with self.subTest(text=text):
                    client.text(text[:-1] + ',"ref":77}')
                    self.assertEqual(client.message()["ok"], False)
        client.action("subscribe", topic="", ref=5)
        client.expect_error(ref=5)
        client.action("publish", topic="a", data=1)
        self.assertEqual(client.message()["data"], 1)
        self.assertEqual(self.janus.count("bad_input"), 0)

    def test_binary_action(self):
        """As good as text, if it is UTF-8."""
        client = self.websocket()
        client.frame(BINARY, '{"action":"subscribe","topic":"ž","ref":1}')
        client.expect({"ok": True, "ref": 1})
        client.frame(BINARY, b'{"action":"subscribe","topic":"\xff","ref":2}')
        client.expect_error()
        client.action("publish", topic="ž", data=1)
        self.assertEqual(client.message()["data"], 1)

    def test_binary_data(self):
        """Base64 in the JSON object."""
        client, packets = self.websocket().subscribe("a").login("bob"), self.packet()
        packets.op("publish", topic="a", event="e", data=b"\x00\xff\x0a")
        self.assertRegex(client.raw_message(), r'\A\{"id":"[0-9a-z]{8,}-\d+","timestamp":\d{16},"topic":"a","event":"e","data":"AP8K","encoding":"base64"\}\Z')
        packets.op("send", user="bob", data=b"\xff")
        self.assertRegex(client.raw_message(), r'\A\{"id":"[0-9a-z]{8,}-\d+","timestamp":\d{16},"user":"bob","data":"/w==","encoding":"base64"\}\Z')

    def test_many_topics(self):
        client, publisher = self.websocket(), self.flash()
        topics = ["topic %d" % n for n in range(1000)]
        client.send(b"".join(frame(TEXT, json.dumps({"action": "subscribe", "topic": topic, "ref": n})) for n, topic in enumerate(topics)))
        for n in range(len(topics)):
            client.expect({"ok": True, "ref": n})
        for n, topic in enumerate(reversed(topics)):
            publisher.publish(topic, n=n)
        for n, topic in enumerate(reversed(topics)):
            message = client.message()
            self.assertEqual((message["topic"], message["n"]), (topic, n))
        for n in range(0, 1000, 2):
            client.action("unsubscribe", topic=topics[n])
            client.expect({"ok": True})
        for topic in topics:
            publisher.publish(topic)
        self.assertEqual([client.message()["topic"] for _ in range(500)], topics[1::2])

    def test_no_room(self):
        self.serve("max_subscriptions=5")
        client = self.websocket().subscribe(*"abcde")
        client.action("subscribe", topic="f", ref=1)
        client.expect_error("max_subscriptions", ref=1)
        client.subscribe("a")
        client.action("unsubscribe", topic="a")
        client.expect({"ok": True})
        client.subscribe("f")

    def test_order_of_answers(self):
        client = self.websocket()
        client.send(b"".join(frame(TEXT, '{"action":"%s","data":"t%d","ref":%d%s}' % (("subscribe", "publish", "nonsense")[n % 3], n, n, ',"topic":"t"' * (n % 3 == 1)))
                             for n in range(300)))
        self.assertEqual([client.message()["ref"] for _ in range(300)], list(range(300)))

    def test_partial_input_survives(self):
        """A message, in fragments, of which the dead worker had read a part."""
        self.serve(workers=1)
        client, witness = self.websocket(), self.lines("/sub/a")
        for size in (10, 5000, 200000):
            text = b'{"action":"publish","topic":"a","ref":1,"data":"%s"}' % (b"x" * size)
            wire = frame(TEXT, text[:size // 2], fin=False) + frame(CONTINUATION, text[size // 2:])
            for cut in (3, len(wire) // 3, len(wire) - 1):
                had = self.janus.count("bytes_in")
                client.send(wire[:cut])
                wait_until(lambda: self.janus.count("bytes_in") >= had + cut, what="the first part's arrival")
                self.janus.kill_worker(0)
                client.send(wire[cut:])
                self.assertEqual(client.message()["subscribers"], 1)
                self.assertEqual(len(witness.message()["data"]), size)


class Limits(WebTest):
    def test_flood_messages(self):
        """More messages in a second than allowed: an error, a close, and a count."""
        self.serve("flood_messages=100")
        calm, client = self.websocket(), self.websocket()
        for n in range(50):
            calm.frame(TEXT, ACTION)
            calm.expect(ANSWER)
        client.send(frame(TEXT, ACTION) * 1000)
        with self.assertRaisesRegex(Closed, "close frame"):
            for n in range(1000):
                got = client.message()
                if not got["ok"]:
                    self.assertNotEqual(got["error"], "")
        self.assertGreaterEqual(n, 50)
        self.assertLess(n, 300)
        self.wait_count(self.janus, "closed_flood", 1)
        calm.frame(TEXT, ACTION)
        calm.expect(ANSWER)

    def test_flood_bytes(self):
        self.serve("flood_bytes=100000")
        client = self.websocket()
        client.frame(TEXT, ACTION + b" " * 50000)
        client.expect(ANSWER)
        client.frame(TEXT, ACTION + b" " * 200000)
        with self.assertRaisesRegex(Closed, "close frame"):
            while True:
                client.message()
        self.wait_count(self.janus, "closed_flood", 1)

    def test_reset_with_many_answers_to_come(self):
        """More is to be sent than its input may go on for: nobody reads from it, and still it is found broken."""
        self.serve(workers=1)
        client = self.websocket()
        worker = self.janus.workers()[0]
        client.subscribe("a")
        os.kill(worker, signal.SIGSTOP)
        try:
            client.send(frame(PING, b"x" * 125) * 130)
            client.reset()
        finally:
            os.kill(worker, signal.SIGCONT)
        wait_until(lambda: self.janus.connections() == 0)

    def test_idle(self):
        """A /ws connection that sends nothing is closed, whatever it is sent; one that sends is not, nor are streams."""
        # Long enough for a busy machine, on which this test may not come to sending anything for seconds.
        self.serve("idle_limit=%ds" % (5 * SLOWNESS), "heartbeat=2s")
        idle, lively, stream = self.websocket().subscribe("a"), self.websocket().subscribe("a"), self.websocket("/sub/a")
        sse = self.sse("/sub/a")
        deadline = Deadline(15)
        while self.janus.count("closed_idle") == 0 and not deadline.over():
            lively.frame(PING)
            self.published("/pub/a", "x")
            lively.silent(0.2)
        with self.assertRaisesRegex(Closed, "close frame"):
            while True:
                idle.message()
        for client in (lively, stream, sse):
            client.message()
        self.assertEqual(self.janus.count("closed_idle"), 1)


if __name__ == "__main__":
    unittest.main()
