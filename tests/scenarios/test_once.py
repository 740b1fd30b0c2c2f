"""Publish once: what is repeated with its key is published once, whatever happened to the first one."""
import json
import os
import unittest

import janus_test
from crash_test import CrashTest
from janus_test import Server, wait_until
from programs import OTHER_BUILD, Program
from servers import parse_url
from web_clients import TEXT, WEB, WebTest, error_text, frame, packet, request

USED = "this %s was used with another message"


class OnceTest(WebTest):
    def keyed(self, target, body, key, client=None, fields=()):
        """A POST with a key. Status, answer, and whether it says that it is the first one's."""
        fields = [("Idempotency-Key", key)] + list(fields)
        answer = client.ask("POST", target, body, fields) if client else self.ask("POST", target, body, fields)
        replayed = answer.get("Idempotent-Replayed")
        self.assertIn(replayed, (None, "true"))
        return answer.status, answer.json(), replayed == "true"

    def heard(self, *datas):
        """These messages have come, and no others."""
        for data in datas:
            self.assertEqual(self.reader.message(20)["data"], data)
        self.reader.expect_nothing()

    def listen(self, *topics):
        self.reader = self.websocket()
        self.reader.subscribe(*topics)
        self.reader.login("bob")


class Once(OnceTest):
    workers = 3

    def test_http(self):
        """On the same connection, and on many others of all workers."""
        self.listen("events")
        client = self.http()
        status, answer, replayed = self.keyed("/pub/events", b"hi", "k", client)
        self.assertEqual((status, answer["subscribers"], replayed), (200, 1, False))
        self.heard("hi")
        self.reader.subscribe("other")
        more = self.lines("/sub/events")
        for again in [client] * 2 + [None] * 12:
            self.assertEqual(self.keyed("/pub/events", b"hi", "k", again), (200, answer, True))
        self.heard()
        # as a string of structured fields; elsewhere, and with another key, it is another message
        self.assertEqual(self.keyed("/pub/events", b"hi", '"k"'), (200, answer, True))
        self.assertEqual(self.keyed("/pub/events", b"hi", '"\\"k\\\\"')[::2], (200, False))
        self.assertEqual(self.keyed("/pub/events", b"hi", '"k\\\\')[0], 400)
        self.assertEqual(self.keyed("/pub?topic=other", b"hi", "k")[::2], (200, False))
        self.assertEqual(self.keyed("/pub/events", b"hi", "K")[::2], (200, False))
        self.assertEqual(self.keyed("/send/bob", b"hi", "k")[::2], (200, False))
        self.assertEqual(self.keyed("/send/bob", b"hi", "k")[::2], (200, True))
        self.heard(*["hi"] * 4)
        for _ in range(2):
            self.assertEqual(more.message()["data"], "hi")
        self.assertEqual(self.janus.count("once_repeated"), 16)
        self.assertEqual(self.janus.count("once_evicted"), 0)

    def test_without_key(self):
        self.listen("events")
        for _ in range(2):
            self.assertIsNone(self.ask("POST", "/pub/events?message_id=1", b"hi").get("Idempotent-Replayed"))
        self.flash().send(b'{"action":"publish","topic":"events","message_id":"1","data":"hi"}\0' * 2)
        self.heard(*["hi"] * 4)

    def test_another_message(self):
        self.listen("events")
        self.assertEqual(self.keyed("/pub/events", b"hi", "k")[0], 200)
        client = self.http()
        for target, body, fields in (("/pub/events", b"ho", ()), ("/pub/events?event=x", b"hi", ()), ("/pub/events", b'"x"', [("Content-Type", "application/json")])):
            self.assertEqual(self.keyed(target, body, "k", client, fields), (422, {"error": USED % "Idempotency-Key"}, False))
        self.assertEqual(self.keyed("/pub/events", b"hi", "k", client)[::2], (200, True))
        self.heard("hi")

    def test_nobody_subscribes(self):
        """There is no number to remember, but that it was published."""
        self.assertEqual(self.keyed("/pub/events", b"hi", "k"), (200, {"id": None, "subscribers": 0}, False))
        self.listen("events")
        self.assertEqual(self.keyed("/pub/events", b"hi", "k"), (200, {"id": None, "subscribers": 0}, True))
        self.assertEqual(self.keyed("/pub/events", b"ho", "k")[0], 422)
        self.heard()

    def test_many(self):
        self.listen("a", "b")
        body = json.dumps([{"topic": topic, "data": n} for n, topic in enumerate("axba" * 30)]).encode()
        status, answer, replayed = self.keyed("/pub", body, "k")
        self.assertEqual((status, replayed, len(answer)), (200, False, 120))
        self.assertEqual(self.keyed("/pub", body, "k"), (200, answer, True))
        self.heard(*[n for n in range(120) if n % 4 != 1])
        self.assertEqual(self.keyed("/pub", body.replace(b"119", b"120"), "k")[0], 422)
        self.assertEqual(self.keyed("/pub", b'[{"topic":"a","data":0}]', "k")[0], 422)
        self.assertEqual(self.keyed("/pub/a", b"x", "k")[::2], (200, False))
        most = json.dumps([{"topic": "a", "data": n} for n in range(512)]).encode()
        status, answer, replayed = self.keyed("/pub", most, "most")
        self.assertEqual((status, replayed), (200, False))
        self.assertEqual(self.keyed("/pub", most, "most"), (200, answer, True))
        self.heard("x", *range(512))
        self.assertEqual(self.keyed("/pub", b"[]", "none"), (200, [], False))
        self.assertEqual(self.keyed("/pub", b"[]", "none"), (200, [], False))

    def test_websocket(self):
        self.listen("events")
        answers = []
        for n in range(4):
            client = self.websocket()
            for ref in range(2):
                client.action("publish", topic="events", data="hi", message_id="k", ref=ref)
                answer = client.message()
                self.assertEqual((answer["ok"], answer.pop("ref")), (True, ref))
                answers.append(answer)
            client.action("publish", topic="events", data="hi", message_id="k")
        self.assertEqual(answers[1:], answers[:-1])
        self.heard("hi")
        # not answered, but its errors are
        client.action("publish", topic="events", data="ho", message_id="k")
        client.expect({"ok": False, "error": USED % "message_id"})
        for again in range(2):
            for id in ("first", 5, 5.5, "a\u00e9\U0001f600"):
                client.action("send", user="bob", data=id, message_id=id)
        self.heard("first", 5, 5.5, "a\u00e9\U0001f600")
        # no keys
        for again in range(2):
            for id in ("", None, True, [], {}):
                client.action("send", user="bob", data="no", message_id=id, ref=1)
                self.assertTrue(client.message()["ok"])
        self.heard(*["no"] * 10)
        client.action("send", user="bob", data="x", message_id="y" * 256)
        client.expect_error("255 bytes")
        client.action("send", user="bob", data="x", message_id="y" * 255, ref=1)
        self.assertTrue(client.message()["ok"])
        self.heard("x")

    def test_packets(self):
        self.listen("events")
        answers = []
        for n in range(4):
            client = self.packet()
            for ref in range(2):
                client.op("publish", topic="events", data="hi", message_id="k", receipt=True)
                answers.append(client.message())
            client.op("publish", topic="events", data="hi", message_id="k")
        self.assertEqual(answers[1:], answers[:-1])
        self.heard("hi")
        client.op("publish", topic="events", data="ho", message_id="k", ref=7)
        client.expect_error("was used with another message", ref=7)
        for again in range(2):
            client.op("send", user="bob", data="b", message_id="k")
            client.op("send", user="bob", data="no", message_id="")
        self.heard("b", "no", "no")
        client.op("send", user="bob", data="x", message_id="y" * 256, ref=8)
        client.expect_error("255 bytes", ref=8)
        client.expect_nothing()

    def test_in_one_piece(self):
        """Repeats among others that are not answered keep their order."""
        self.listen("events")
        client = self.websocket()
        actions = [dict(data="a"), dict(data="b", message_id="1"), dict(data="c"), dict(data="b", message_id="1"), dict(data="d")]
        client.send(b"".join(frame(TEXT, json.dumps(dict(members, action="publish", topic="events")).encode()) for members in actions * 2))
        self.heard("a", "b", "c", "d", "a", "c", "d")
        self.packet().send(b"".join(packet(dict(members, op="publish", topic="events")) for members in actions * 2) + packet({"op": "ping"}))
        # (the same key: the first was published on /ws)
        for data in "acdacd":
            self.assertEqual(self.reader.message()["data"], data)

    def test_bad_keys(self):
        for key in ("", '""', '"', '"abc', '"abc"x', '"abc";a=1', '"a\\b"', '"\u00e9"', "x" * 256, '"%s"' % ("x" * 256)):
            with self.subTest(key=key):
                for target in ("/pub/events", "/pub", "/send/bob"):
                    answer = self.ask("POST", target, b"[]", [("Idempotency-Key", key)])
                    self.assertEqual(answer.status, 400)
                    self.assertIn("Idempotency-Key", error_text(answer))
        for key in ("x" * 255, '"%s"' % ("x" * 255), "two words", "\u00e9"):
            self.assertEqual(self.keyed("/pub/events", b"hi", key)[0], 200)
        twice = [("Idempotency-Key", "a"), ("idempotency-key", "a")]
        self.assertEqual(self.ask("POST", "/pub/events", b"hi", twice).status, 400)
        # told before the body comes
        client = self.http()
        client.send(b"POST /pub/events HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\nIdempotency-Key: \"\r\n\r\n")
        self.assertEqual(client.answer("POST").status, 400)

    def test_page_may_read_it(self):
        self.serve("origins=https://app.example")
        origin = [("Origin", "https://app.example"), ("Idempotency-Key", "k")]
        self.assertIsNone(self.ask("POST", "/pub/events", b"hi", origin).get("Access-Control-Expose-Headers"))
        self.assertEqual(self.ask("POST", "/pub/events", b"hi", origin).get("Access-Control-Expose-Headers"), "Idempotent-Replayed")

    def test_broadcast(self):
        self.serve("broadcast=on")
        self.listen()
        self.assertEqual(self.keyed("/broadcast", b"hi", "k")[::2], (200, False))
        self.assertEqual(self.keyed("/broadcast", b"hi", "k")[::2], (200, True))
        self.heard("hi")

    def test_limits(self):
        """The oldest are forgotten, and so is what is older than once_time."""
        self.serve("once_keys=128", "once_time=1h")
        self.listen("events")
        client = self.http()
        for n in range(129):
            self.assertEqual(self.keyed("/pub/events", b"%d" % n, str(n), client)[0], 200)
        self.assertEqual(self.keyed("/pub/events", b"1", "1", client)[::2], (200, True))
        self.assertEqual(self.janus.count("once_evicted"), 1)
        self.assertEqual(self.keyed("/pub/events", b"0", "0", client)[::2], (200, False))
        self.heard(*[str(n) for n in range(129)], "0")

    def test_time(self):
        self.serve("once_time=1")
        self.listen("events")
        self.assertEqual(self.keyed("/pub/events", b"hi", "k")[::2], (200, False))
        wait_until(lambda: not self.keyed("/pub/events", b"hi", "k")[2], 10, "a key that is too old")
        self.assertEqual(self.janus.count("published"), 2)
        self.assertEqual(self.janus.count("once_evicted"), 0)

    def test_off(self):
        self.serve("once_keys=0")
        self.listen("events")
        for _ in range(2):
            self.assertEqual(self.keyed("/pub/events", b"hi", "k")[::2], (200, False))
        self.assertNotIn("publish-once", self.ask("GET", "/version").json()["features"])
        self.heard("hi", "hi")

    def test_feature(self):
        self.assertIn("publish-once", self.ask("GET", "/version").json()["features"])


class Deaths(OnceTest):
    """Keys outlive workers, reloads and programs."""

    def begin(self, build=None):
        server = Server(workers=2, listen=WEB)
        self.addCleanup(self._end, server)
        self.program = Program(build or janus_test.BUILD, os.path.join(server.folder, "bin"))
        server.build = self.program.folder
        server.start()
        self._janus = server
        self._addresses = {url.split(":")[0]: parse_url(url) for url in server.status()["listen"]}
        return server

    def test_reloads_and_upgrades(self):
        server = self.begin()
        self.listen("events")
        client, socket = self.http(), self.websocket()
        many = json.dumps([{"topic": t, "data": t} for t in ("events", "x")]).encode()
        first = self.keyed("/pub/events", b"hi", "k", client)[1], self.keyed("/pub", many, "k", client)[1]
        socket.action("publish", topic="events", data="ws", message_id="1", ref=1)
        answer = socket.message()
        for build in (None, OTHER_BUILD, janus_test.BUILD):
            if build:
                self.program.put(build)
            self.assertEqual(server.reload()[0], 0)
            for again in (client, None):
                self.assertEqual(self.keyed("/pub/events", b"hi", "k", again), (200, first[0], True))
                self.assertEqual(self.keyed("/pub", many, "k", again), (200, first[1], True))
                self.assertEqual(self.keyed("/pub/events", b"ho", "k", again)[0], 422)
            socket.action("publish", topic="events", data="ws", message_id="1", ref=1)
            self.assertEqual(socket.message(), answer)
        for slot in range(2):
            server.kill_worker(slot)
        self.assertEqual(self.keyed("/pub/events", b"hi", "k"), (200, first[0], True))
        self.heard("hi", "events", "ws")
        server.forgive_deaths(9)


POINTS = ("publish-locked", "publish-written", "publish-intended", "publish-staged", "publish-committed", "publish-remembered", "publish-owing",
          "publish-unlocked", "answer-unwritten", "answer-written")


class CrashPoints(CrashTest, OnceTest):
    """A worker dies while it publishes. The client that waits gets the first answer; who tries again, on another connection, gets the same."""

    def setUp(self):
        super().setUp()
        self.serve_crash_build()
        self.listen("events")
        self.number = 0

    def die_at(self, point, ask):
        deaths = self.janus.log().count("died of signal 9")
        self.arm(point)
        got = ask()
        wait_until(lambda: not self.armed(point), 10, "a worker at " + point)
        wait_until(lambda: self.janus.log().count("died of signal 9") > deaths, 10, "the death in the log")
        self.janus.forgive_deaths(9)
        return got

    def each(self):
        for point in POINTS:
            for topic in ("events", "nobody"):
                self.number += 1
                with self.subTest(point=point, topic=topic):
                    yield point, topic, str(self.number)
                    self.heard(*[self.number] if topic == "events" else [])

    def test_who_waits(self):
        client, repeated = self.http(), 0
        for point, topic, n in self.each():
            status, answer, replayed = self.die_at(point, lambda: self.keyed("/pub/" + topic, n.encode(), n, client, [("Content-Type", "application/json")]))
            self.assertEqual((status, replayed, answer["subscribers"]), (200, False, int(topic == "events")))
            for again in (client, None):
                self.assertEqual(self.keyed("/pub/" + topic, n.encode(), n, again, [("Content-Type", "application/json")]), (200, answer, True))

    def test_who_comes_again(self):
        for point, topic, n in self.each():
            post = request("POST", "/pub/" + topic, n.encode(), [("Idempotency-Key", n), ("Content-Type", "application/json")])
            first = self.http()
            self.die_at(point, lambda: first.send(post))
            first.close()
            again = self.keyed("/pub/" + topic, n.encode(), n, None, [("Content-Type", "application/json")])
            self.assertEqual(again[0], 200)
            self.assertEqual(again[1]["subscribers"], int(topic == "events"))

    def test_many(self):
        client = self.http()
        for point, topic, n in self.each():
            many = json.dumps([{"topic": "x", "data": 0}, {"topic": topic, "data": int(n)}, {"topic": "y", "data": 0}]).encode()
            status, answer, replayed = self.die_at(point, lambda: self.keyed("/pub", many, n, client))
            self.assertEqual((status, replayed, len(answer)), (200, False, 3))
            self.assertEqual(self.keyed("/pub", many, n), (200, answer, True))

    def test_not_answered(self):
        """On /ws and in packets: sent, and sent again on another connection while the first is dealt with."""
        for connect in (self.websocket, self.packet):
            send = (lambda client, **members: client.action("publish", **members)) if connect == self.websocket else (lambda client, **members: client.op("publish", **members))
            client = connect()
            for point, topic, n in self.each():
                self.die_at(point, lambda: send(client, topic=topic, data=int(n), message_id=n))
                send(client, topic=topic, data=int(n), message_id=n)
                send(connect(), topic=topic, data=int(n), message_id=n)
                client.expect_nothing()


if __name__ == "__main__":
    unittest.main()
