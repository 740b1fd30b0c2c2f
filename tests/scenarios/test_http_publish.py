"""HTTP: publishing by POST."""
import base64
import json
import os
import threading
import unittest

from janus_test import wait_until
from web_clients import Http, WebTest, error_text


class Publish(WebTest):
    def setUp(self):
        super().setUp()
        self.reader = self.lines("/sub/events")
        self.packets = self.packet().subscribe("events")
        self.subscriber = self.flash().subscribe("events")

    def heard(self, number, **members):
        """Who reads JSON gets exactly these members beside the topic. The flash frame."""
        message = self.reader.message()
        self.assertEqual(message.pop("id"), number)
        self.assertIsInstance(message.pop("timestamp"), int)
        self.assertEqual(message, dict({"topic": "events"}, **members))
        frame = self.subscriber.message_text()
        flash = json.loads(frame)
        del flash["timestamp"]
        self.assertEqual(flash, dict({"topic": "events"}, **members))
        return frame

    def test_text(self):
        for text in ("hi", " \n\t", "\"quoted\" \\ / <b>&", "žluťoučký 😀", "line\r\nother\nthird\rfourth", "\u2028\x7f\x00\x01", '{"a":1}', "\ufeffx"):
            for type in (None, "text/plain", "text/plain; charset=utf-8", "application/x-www-form-urlencoded"):
                with self.subTest(text=text, type=type):
                    self.heard(self.published("/pub/events", text, type), data=text)
                    self.assertEqual(self.packets.message()["data"], text)

    def test_record(self):
        """What flash subscribers are sent, byte for byte."""
        self.assertRegex(self.heard(self.published("/pub/events", "hi"), data="hi"), rb'\A\{"timestamp":\[[0-9,]+\],"topic":"events","data":"hi"\}\Z')
        self.assertRegex(self.heard(self.published("/pub/events?event=NAME", "hi"), event="NAME", data="hi"),
                         rb'\A\{"timestamp":\[[0-9,]+\],"topic":"events","event":"NAME","data":"hi"\}\Z')

    def test_event(self):
        for raw, event in (("test_event", "test_event"), ("a+b%20c", "a b c"), ("caf%C3%A9", "café"), ('a"b%5C', 'a"b\\')):
            with self.subTest(raw=raw):
                number = self.published("/pub/events?event=" + raw.replace('"', "%22"), "x")
                self.heard(number, event=event, data="x")
                message = self.packets.message()
                self.assertEqual((message["event"], message["id"]), (event, number))
        self.assertEqual(self.ask("POST", "/pub/events?event=%ff", b"x").status, 400)
        for target in ("/pub/events?event=a&event=b", "/pub?event=a&topic=events&event=", "/send/events?event=&event=a"):
            self.assertIn("event", error_text(self.ask("POST", target, b"x")))

    def test_json(self):
        values = [{"a": [1, 2, {"b": None}]}, [], {}, "text", "", 0, -1.5e10, True, None, "žluťoučký 😀", [[[]]]]
        for type in ("application/json", "application/json; charset=utf-8", "Application/JSON", "application/ld+json", "application/vnd.api+json"):
            for value in values:
                with self.subTest(type=type, value=value):
                    self.heard(self.published("/pub/events", json.dumps(value), type), data=value)
                    self.assertEqual(self.packets.message()["data"], value)
        self.heard(self.published("/pub/events?event=e", ' {"a" : 1}\r\n', "application/json"), event="e", data={"a": 1})

    def test_json_byte_for_byte(self):
        for value in ("1e400", "-0", "0.10", "123456789012345678901234567890", '"\\u0041\\/"', '{"a":1,"a":2}'):
            with self.subTest(value=value):
                self.published("/pub/events", value, "application/json")
                self.assertTrue(self.subscriber.message_text().endswith(b'"topic":"events","data":' + value.encode() + b"}"))

    def test_bad_json(self):
        client = self.http()
        for text in ("", "{", "{'a':1}", "[1,]", "nul", "1 2", "NaN", '"\t"', '"\\ud800"', "[" * 129 + "]" * 129, "// no\n1"):
            with self.subTest(text=text):
                answer = client.ask("POST", "/pub/events", text.encode(), {"Content-Type": "application/json"})
                self.assertEqual(answer.status, 400)
                error_text(answer)
        self.assertEqual(client.ask("POST", "/pub/events", b'"\xff"', {"Content-Type": "application/json"}).status, 400)
        self.heard(self.published("/pub/events", "fence"), data="fence")

    def test_binary(self):
        for data, type in ((b"\xff\x00\n", None), (b"\xff\x00\n", "application/octet-stream"), (b"plain text", "application/octet-stream"),
                           (bytes(range(256)), "text/plain"), (b"\xed\xa0\x80", None),
                           (os.urandom(50000), "application/octet-stream")):
            with self.subTest(data=data[:20], type=type):
                number = self.published("/pub/events", data, type)
                self.heard(number, data=base64.b64encode(data).decode(), encoding="base64")
                message = self.packets.message()
                self.assertEqual((message["data"], message["id"]), (data, number))
        number = self.published("/pub/events?event=e", b"\xff")
        self.heard(number, event="e", data="/w==", encoding="base64")

    def test_subscribers(self):
        """All of the topic's, over all workers and kinds of connection; nobody: no id, and nothing is published."""
        self.assertEqual(self.post("/pub/nobody", "x"), {"id": None, "subscribers": 0})
        self.assertEqual(self.post("/pub/events", "x")["subscribers"], 3)
        kinds = [lambda: self.sse("/sub/many"), lambda: self.lines("/sub/many,other"), lambda: self.flash().subscribe("many"),
                 lambda: self.packet().subscribe("many"), lambda: self.websocket().subscribe("many", "other"),
                 lambda: self.websocket("/sub/many")]
        there = []
        for n in range(30):
            there.append(kinds[n % 6]())
            self.assertEqual(self.post("/pub/many", "x")["subscribers"], n + 1)
        self.assertEqual(self.post("/pub/other", "x")["subscribers"], 10)
        self.assertGreater(min(w["connections"] for w in self.janus.status()["workers"]), 0)
        for n, client in enumerate(there):
            client.close()
            wait_until(lambda: self.post("/pub/many", "x")["subscribers"] == 29 - n, what="one subscriber less")
        # What they may come back for has an id, though nobody is there.
        self.assertEqual(self.post("/pub/many", "x")["subscribers"], 0)

    def test_ids(self):
        """Rising, and those that subscribers see."""
        ids = [self.published("/pub/events", str(n)) for n in range(50)]
        self.assertEqual(ids, sorted(set(ids)))
        messages = [self.reader.message() for _ in ids]
        self.assertEqual([m["id"] for m in messages], ids)
        self.assertEqual([m["data"] for m in messages], [str(n) for n in range(50)])
        self.assertEqual([self.packets.message()["id"] for _ in ids], ids)

    def test_message_id(self):
        number = self.published("/pub/events?message_id=a%20b&event=e", "x")
        self.heard(number, event="e", message_id="a b", data="x")
        self.assertEqual(self.packets.message()["message_id"], "a b")
        self.heard(self.published("/pub/events?message_id=", "x"), message_id="", data="x")
        self.assertIn("message_id", error_text(self.ask("POST", "/pub/events?message_id=a&message_id=b", b"x")))

    def test_no_data(self):
        """Refused everywhere alike; an empty string is data."""
        for target in ("/pub/events", "/pub?topic=events", "/send/bob"):
            for type in (None, "text/plain", "application/json", "application/octet-stream"):
                with self.subTest(target=target, type=type):
                    self.assertIn("no data", error_text(self.ask("POST", target, b"", {"Content-Type": type} if type else {})))
        self.assertIn("message 1: no data", error_text(self.ask("POST", "/pub", b'[{"topic":"events"}]')))
        client = self.websocket()
        client.action("publish", topic="events", ref=1)
        client.expect({"ok": False, "ref": 1, "error": "no data"})
        self.heard(self.published("/pub/events", '""', "application/json"), data="")
        self.heard(self.post("/pub", [{"topic": "events", "data": ""}])[0]["id"], data="")
        client.action("publish", topic="events", data="")
        self.assertEqual(self.reader.message()["data"], "")

    def test_unknown_parameters(self):
        """Named, also those of an array; and nobody gets anything."""
        for target, name in (("/pub/events?evnt=e", "evnt"), ("/pub/events?user=bob", "user"), ("/pub?event=e", "event"), ("/pub?x", "x"), ("/send/a?topic=b", "topic"),
                             ("/pub/events?id=1", "id"), ("/pub/events?envelope=json", "envelope"), ("/send?user=a&ref=1", "ref"), ("/pub/events?" + "y" * 60, "y" * 48 + "..."),
                             ("/pub/events?%22=1", "%22"), ("/send?id=a", "id")):
            with self.subTest(target=target):
                answer = self.ask("POST", target, b"[]")
                self.assertEqual((answer.status, error_text(answer).split(";")[0]), (400, 'unknown parameter "%s"' % name))
        self.assertEqual(self.ask("POST", "/pub/events?event=e&&message_id=m", b"x").status, 200)

    # arrays

    def test_array(self):
        answer = self.post("/pub", [{"topic": "events", "event": "e", "message_id": "", "data": "one"}, {"topic": "nobody", "data": 2},
                                    {"data": 3, "topic": "events"}, {"topic": "events", "data": {"a": [4]}, "message_id": "mine"}])
        self.assertEqual([a["subscribers"] for a in answer], [3, 0, 3, 3])
        self.assertIsNone(answer[1]["id"])
        ids = [answer[i]["id"] for i in (0, 2, 3)]
        self.assertEqual(ids, [ids[0], ids[0] + 1, ids[0] + 2])
        first = self.reader.message()
        self.assertEqual({k: v for k, v in first.items() if k != "timestamp"},
                         {"id": ids[0], "topic": "events", "event": "e", "message_id": "", "data": "one"})
        self.assertEqual((self.reader.message()["data"], self.reader.message()["data"]), (3, {"a": [4]}))
        frames = [self.subscriber.message_text() for _ in range(3)]
        self.assertTrue(frames[1].endswith(b'],"data":3,"topic":"events"}'), frames[1])
        self.assertTrue(frames[2].endswith(b'],"topic":"events","data":{"a": [4]},"message_id":"mine"}'), frames[2])

    def test_empty_array(self):
        self.assertEqual(self.post("/pub", []), [])
        self.assertEqual(self.post("/pub", b" [ ] ", "application/json"), [])

    def test_largest_array(self):
        answer = self.post("/pub", [{"topic": "events", "data": n} for n in range(512)])
        self.assertEqual([a["id"] for a in answer], list(range(answer[0]["id"], answer[0]["id"] + 512)))
        self.assertEqual([self.reader.message()["data"] for _ in range(512)], list(range(512)))
        self.assertIn(self.ask("POST", "/pub", json.dumps([{"topic": "events", "data": 0}] * 513).encode()).status, (400, 413))
        self.post("/pub/events", "a fence")
        self.assertEqual(self.reader.message()["data"], "a fence")

    def test_array_all_or_none(self):
        """The first bad one is named, and nobody gets anything."""
        good = {"topic": "events", "data": "never"}
        client = self.http()
        for bad in ({}, {"data": "x"}, {"topic": "events"}, {"topic": "", "data": 0}, {"topic": 1, "data": 0}, {"topic": None, "data": 0}, {"topic": "a" * 256, "data": 0},
                    {"topic": "a\n", "data": 0}, {"topic": "a.*", "data": 0}, {"topic": "a@b", "data": 0}, dict(good, x=1), dict(good, ref=1), dict(good, action="publish"), 7, "text", None, [], [good]):
            for place in (1, 3, 4):
                array = [good, good, good, good]
                array[place - 1] = bad
                with self.subTest(bad=bad, place=place):
                    answer = client.ask("POST", "/pub", json.dumps(array + [{}]).encode(), {"Content-Type": "application/json"})
                    self.assertEqual(answer.status, 400)
                    self.assertRegex(error_text(answer), r"\bmessage %d\b" % place)
        twice = b'[{"topic":"events","data":0},{"topic":"events","topic":"events","data":0}]'
        self.assertRegex(error_text(client.ask("POST", "/pub", twice, {"Content-Type": "application/json"})), r"\bmessage 2\b")
        for text in (b"", b"{}", b'"a"', b"7", b"[", b"[{}", b'[{"topic":"events","data":0},]', b'[{"topic":"events","data":0}] x', b'{"topic":"events","data":0}', b"\xff",
                     b'[{"topic":"events","data":"\xff"}]'):
            with self.subTest(text=text):
                self.assertEqual(client.ask("POST", "/pub", text, {"Content-Type": "application/json"}).status, 400)
        self.heard(self.published("/pub/events", "fence"), data="fence")

    def test_arrays_are_not_torn(self):
        """Nobody's message stands between those of one array."""
        parts, size, rounds = 4, 25, 20
        failures = []

        def publish(part):
            client = Http(self.janus, address=self.addresses["http"])
            try:
                for turn in range(rounds):
                    answer = client.ask("POST", "/pub", json.dumps([{"topic": "events", "data": {"part": part, "turn": turn, "n": n}}
                                                                    for n in range(size)]).encode())
                    ids = [a["id"] for a in answer.json()]
                    if ids != list(range(ids[0], ids[0] + size)):
                        failures.append(ids)
            except BaseException as e:
                failures.append(e)
            finally:
                client.close()
        threads = [threading.Thread(target=publish, args=(part,)) for part in range(parts)]
        noise = self.flash()
        for thread in threads:
            thread.start()
        for n in range(200):
            noise.publish("events", noise=n)
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        run, turns = [], {}
        for _ in range(parts * rounds * size + 200):
            message = self.reader.message()
            if "noise" in message:
                self.assertEqual(run, [], "a message within an array")
                continue
            message = message["data"]
            if run:
                self.assertEqual((message["part"], message["turn"], message["n"]), (run[0]["part"], run[0]["turn"], len(run)))
            run.append(message)
            if len(run) == size:
                turns.setdefault(run[0]["part"], []).append(run[0]["turn"])
                run = []
        self.assertEqual(turns, {part: list(range(rounds)) for part in range(parts)})


if __name__ == "__main__":
    unittest.main()
