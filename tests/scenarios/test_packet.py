"""Packets: framing, ops, receipts, data of all types, what is refused, limits."""
import base64
import json
import math
import os
import struct
import time
import unittest

from janus_test import SLOWNESS, Closed, wait_until
from web_clients import Raw, WebTest, pack, pack_str, packet, unpack

MAX = 256 * 1024


class Ops(WebTest):
    def test_examples(self):
        """The bytes of PROTOCOL.md."""
        client = self.packet().greet()
        client.send(bytes.fromhex("0000001b 82 a26f70 a9737562736372696265 a5746f706963 a66576656e7473"))
        self.assertEqual(client.raw(9 + 10), bytes.fromhex("00000019 82 a26f6b c3 a8706f736974696f6e aa"))
        self.assertRegex(client.raw(10), rb"\A[0-9a-z]{8}-0\Z")
        client.op("publish", topic="events", data=b"\x00\xff", receipt=True, ref=5)
        reply, message = self.both(client)
        self.assertEqual((reply["ok"], reply["ref"], reply["subscribers"]), (True, 5, 1))
        self.assertEqual(set(message), {"id", "timestamp", "topic", "data"})
        self.assertEqual((message["id"], message["topic"], message["data"]), (reply["id"], "events", b"\x00\xff"))
        self.assertLess(abs(message["timestamp"] / 1e6 - time.time()), 60)
        client.op("nonsense", ref=6)
        client.expect_error("unknown op", ref=6)

    def both(self, client):
        """A receipt and a message, in whatever order."""
        got = sorted((client.message() for _ in range(2)), key=lambda m: "ok" not in m)
        self.assertIn("ok", got[0])
        self.assertNotIn("ok", got[1])
        return got

    def test_ping_and_ref(self):
        client = self.packet()
        for ref in (0, 1, 127, 128, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 2 ** 63, 2 ** 64 - 1):
            client.op("ping", ref=ref)
            client.expect({"ok": True, "ref": ref})
        for ref in (b"\xd0\x05", b"\xd1\x00\x05", b"\xd3" + struct.pack(">q", 5), b"\xcf" + struct.pack(">Q", 5)):     # 5, at length
            client.op("ping", ref=Raw(ref))
            client.expect({"ok": True, "ref": 5})
        for ref in (-1, -2 ** 63, 1.0, "1", None, True, [1]):
            with self.subTest(ref=ref):
                client.op("ping", ref=ref)
                client.expect_error("ref")

    def test_subscribe_and_unsubscribe(self):
        client, publisher = self.packet(), self.flash()
        client.op("subscribe", topic="a", ref=1)
        client.expect({"ok": True, "ref": 1})
        client.subscribe("a", "b")
        self.assertEqual(self.janus.subscriptions(), 2)
        publisher.publish("a", event="e", data=1)
        message = client.message()
        self.assertEqual({k: v for k, v in message.items() if k not in ("id", "timestamp")}, {"topic": "a", "event": "e", "data": 1})
        client.op("unsubscribe", topic="a")
        client.expect({"ok": True})
        client.op("unsubscribe", topic="never")
        client.expect({"ok": True})
        publisher.publish("a")
        publisher.publish("b", data="fence")
        self.assertEqual(client.message()["data"], "fence")

    def test_publish(self):
        """Answered only with a receipt, or if it fails."""
        client, witness = self.packet(), self.lines("/sub/a")
        client.op("publish", topic="a", data=1)
        client.op("publish", topic="a", data=2, receipt=False, ref=7)
        client.op("publish", topic="a", event="e", data="three", receipt=True)
        reply = client.message()
        messages = [witness.message() for _ in range(3)]
        self.assertEqual([m["data"] for m in messages], [1, 2, "three"])
        self.assertEqual(messages[2]["event"], "e")
        self.assertEqual(reply, {"ok": True, "id": messages[2]["id"], "subscribers": 1})
        client.op("publish", topic="nobody", data=1, receipt=True, ref=8)
        client.expect({"ok": True, "ref": 8, "subscribers": 0})
        client.expect_nothing()

    def test_record(self):
        """What flash subscribers are sent, byte for byte."""
        client, flash = self.packet(), self.flash().subscribe("a")
        client.op("publish", topic="a", data={"x": [1, None, "ž"], "y": 1.5})
        self.assertTrue(flash.message_text().endswith('],"topic":"a","data":{"x":[1,null,"ž"],"y":1.5}}'.encode()))
        client.op("publish", event="e", data="x", topic="a")
        self.assertTrue(flash.message_text().endswith(b'],"topic":"a","event":"e","data":"x"}'))

    def test_login_and_send(self):
        client, other = self.packet(), self.packet()
        client.op("login", user="bob", ref=1)
        client.expect({"ok": True, "ref": 1})
        other.op("send", user="bob", data="hi", event="e", receipt=True, ref=2)
        reply, message = other.message(), client.message()
        self.assertEqual(reply, {"ok": True, "ref": 2, "id": message["id"], "subscribers": 1})
        self.assertEqual({k: v for k, v in message.items() if k not in ("id", "timestamp")}, {"user": "bob", "event": "e", "data": "hi"})
        client.op("logout", user="bob")
        client.expect({"ok": True})
        other.op("send", user="bob", data="hi", receipt=True)
        other.expect({"ok": True, "subscribers": 0})

    def test_order_of_replies(self):
        client = self.packet()
        client.send(b"".join(packet({"op": ("subscribe", "publish", "nonsense", "ping")[n % 4], "topic": "t%d" % n, "data": n, "receipt": True, "ref": n})
                             for n in range(400)))
        self.assertEqual([client.message()["ref"] for _ in range(400)], list(range(400)))

    def test_stream_of_publishes(self):
        client, witness = self.packet(), self.packet().subscribe("a")
        client.send(b"".join(packet({"op": "publish", "topic": "a", "data": n}) for n in range(10000)))
        last = 0
        for n in range(10000):
            message = witness.message()
            self.assertEqual(message["data"], n)
            self.assertGreater(message["id"], last)
            last = message["id"]

    def test_heartbeat(self):
        self.serve("heartbeat=1s")
        client = self.packet().greet()
        for _ in range(2):
            got = client.until(client.take_packet)
            self.assertEqual((list(got), got["ok"]), (["ok", "ping"], True))
            self.assertLess(abs(got["ping"] / 1e6 - time.time()), 60)
        client.op("ping", ref=1)
        client.expect({"ok": True, "ref": 1})

    def test_from_json(self):
        """What stands in PROTOCOL.md of numbers and of depth."""
        client = self.packet().subscribe("a")
        publish = lambda text: self.ask("POST", "/pub/a", text.encode(), [("Content-Type", "application/json")])
        for text, value in (("1e400", math.inf), ("-1e400", -math.inf), ("18446744073709551615", 2 ** 64 - 1), ("18446744073709551616", 2.0 ** 64),
                            ("-9223372036854775808", -2 ** 63), ("-9223372036854775809", -2.0 ** 63), ("1e2", 100.0), ("1" * 501, "1" * 501)):
            with self.subTest(text=text):
                self.assertEqual(publish(text).status, 200)
                got = client.message()["data"]
                self.assertEqual((got, type(got)), (value, type(value)))
        self.assertEqual(publish("[" * 128 + "]" * 128).status, 200)
        got, depth = client.message()["data"], 1
        while got:
            got, depth = got[0], depth + 1
        self.assertEqual(depth, 128)
        self.assertEqual(publish("[" * 129 + "]" * 129).status, 400)

    def test_going(self):
        for end in ("close", "reset", "half_close"):
            clients = [self.packet().subscribe("a").login("bob") for _ in range(5)]
            clients[0].send(packet({"op": "ping"})[:-1])
            for client in clients:
                getattr(client, end)()
            wait_until(lambda: self.post("/pub/a", "x")["subscribers"] == 0 and self.post("/send/bob", "x")["subscribers"] == 0, what="their end")
        wait_until(lambda: self.janus.connections() == 0)

    def test_partial_input_survives(self):
        """A packet of which the dead worker had read a part."""
        self.serve(workers=1)
        client, witness = self.packet(), self.lines("/sub/a")
        for size in (10, 5000, 200000):
            wire = packet({"op": "publish", "topic": "a", "data": "x" * size, "receipt": True})
            for cut in (3, 5, len(wire) // 2, len(wire) - 1):
                had = self.janus.count("bytes_in")
                client.send(wire[:cut])
                wait_until(lambda: self.janus.count("bytes_in") >= had + cut, what="the first part's arrival")
                self.janus.kill_worker(0)
                client.send(wire[cut:])
                self.assertEqual(client.message()["subscribers"], 1)
                self.assertEqual(len(witness.message()["data"]), size)


class Framing(WebTest):
    def test_byte_by_byte(self):
        client = self.packet()
        client.send_pieces(packet({"op": "subscribe", "topic": "a"}) + packet({"op": "publish", "topic": "a", "data": 1}))
        client.expect({"ok": True})
        self.assertEqual(client.message()["data"], 1)

    def test_every_split(self):
        text = packet({"op": "publish", "topic": "a", "data": b"\x00\xff", "receipt": True}) + packet({"op": "ping", "ref": 9})
        client = self.packet()
        for cut in range(1, len(text)):
            had = self.janus.count("bytes_in") if cut % 8 == 0 else None
            client.send(text[:cut])
            if had is not None:
                wait_until(lambda: self.janus.count("bytes_in") >= had + cut, what="the first part's arrival")
            client.send(text[cut:])
            client.expect({"ok": True, "subscribers": 0})
            client.expect({"ok": True, "ref": 9})

    def test_sizes(self):
        """Around those of the server's buffers, up to the largest packet."""
        client, witness = self.packet(), self.packet().subscribe("a")
        least = len(pack({"op": "publish", "topic": "a", "data": Raw(b"\xc6\0\0\0\0")}))
        for size in (400, 512, 4000, 4096, 16384, 65000, 65536, 70000, MAX - 1, MAX):
            with self.subTest(size=size):
                data = os.urandom(size - least)
                value = Raw(b"\xc6" + struct.pack(">I", len(data)) + data)
                wire = packet({"op": "publish", "topic": "a", "data": value})
                self.assertEqual(len(wire), 4 + size)
                client.send_pieces(wire, 50000)
                self.assertEqual(witness.message()["data"], data)

    def test_forms_of_maps_and_strings(self):
        """Longer heads than needed are as good."""
        client = self.packet()
        pairs = pack("op") + pack("ping")
        for text in (b"\x81" + pairs, b"\xde\x00\x01" + pairs, b"\xdf\x00\x00\x00\x01" + pairs, b"\x81\xd9\x02op\xd9\x04ping",
                     b"\x81\xda\x00\x02op\xda\x00\x04ping", b"\x81\xdb\x00\x00\x00\x02op\xdb\x00\x00\x00\x04ping"):
            client.send(packet(Raw(text)))
            client.expect({"ok": True})

    def test_unknown_keys(self):
        """Named, and nothing is done."""
        client = self.packet().subscribe("a")
        for key, pattern in (("x", '"x"'), ("seq", '"seq"'), ("to", '"to"'), ("user", '"user"'), ("id", '"id"'), ("é" * 100, r'"é{24}\.\.\."'),
                             ("\n", r'"\\u000a"'), (7, "a key")):
            with self.subTest(key=key):
                client.send(packet({"op": "publish", "topic": "a", "data": 1, "ref": 2, key: 3}))
                client.expect_error(pattern, ref=2)
        for keys in ({"op": "ping", "data": 1}, {"op": "subscribe", "topic": "a", "event": "e"}, {"op": "subscribe", "topic": "a", "receipt": True},
                     {"op": "login", "user": "a", "topic": "a"}):
            with self.subTest(keys=keys):
                client.send(packet(keys))
                client.expect_error("unknown member")
        client.op("ping", ref=3)
        client.expect({"ok": True, "ref": 3})

    def bad(self, data, pattern=""):
        """Answered, and closed."""
        client = self.packet()
        client.send(data)
        client.expect_error(pattern)
        client.expect_close()
        client.close()

    def test_bad_packets(self):
        nested = {"op": "ping", "x": Raw(b"\x91" * 101 + b"\xc0")}
        cases = [b"\0\0\0\0", packet([]), packet("text"), packet(None), packet(7), packet(Raw(b"\xc1")), packet(Raw(b"\x81")), packet(Raw(b"\x81\xa2op")),
                 packet(Raw(b"\x81\xa2op\xa9ping")), packet(Raw(pack({"op": "ping"}) + b"\xc0")), packet(Raw(b"\x82" + pack("op") + pack("ping"))),
                 packet(Raw(b"\x81\xa2op\xc1")), packet(Raw(b"\xdf\xff\xff\xff\xff")), packet(Raw(b"\xc6\xff\xff\xff\xff")), packet(nested),
                 packet({"op": "ping", "x": Raw(b"\xdd\xff\xff\xff\xff")}), packet({"op": "ping", "x": Raw(b"\x91" * 100000 + b"\xc0")}),
                 packet(Raw(b"\xd4\x01\x00")), b"GET / HTTP/1.1\r\n\r\n"]
        for data in cases:
            with self.subTest(data=data[:40]):
                self.bad(data)
        self.assertEqual(self.janus.count("bad_input"), len(cases))

    def test_deep(self):
        """Nesting of 100 is taken."""
        client, witness = self.packet(), self.lines("/sub/a")
        client.op("publish", topic="a", data=Raw(b"\x91" * 98 + b"\xc0"))
        self.assertEqual(json.dumps(witness.message()["data"]), "[" * 98 + "null" + "]" * 98)

    def test_too_long(self):
        """An error and a close, as soon as the length says so."""
        self.bad(struct.pack(">I", MAX + 1))
        self.bad(b"\xff\xff\xff\xff")
        self.bad(packet({"op": "publish", "topic": "a", "data": b"x" * MAX}))

    def test_error_is_readable_after_more_input(self):
        for more in (packet({"op": "ping"}) * 100, b"y" * 200000):
            self.bad(b"\0\0\0\1\xc0" + more)


class Refused(WebTest):
    """Answered with an error, and the connection goes on."""

    def setUp(self):
        super().setUp()
        self.client = self.packet()

    def refused(self, keys, pattern="", ref=True):
        if ref:
            keys = dict(keys, ref=77)
        self.client.send(packet(keys))
        if ref:
            self.client.expect_error(pattern, ref=77)
        else:
            self.client.expect_error(pattern)
        self.client.op("ping", ref=1)
        self.client.expect({"ok": True, "ref": 1})

    def test_ops(self):
        for keys in ({}, {"op": ""}, {"op": "nonsense"}, {"op": "PING"}, {"op": 1}, {"op": None}, {"op": b"ping"}, {"op": "x" * 1000}, {"op": "ping\0"}):
            with self.subTest(keys=keys):
                self.refused(keys)
        self.refused({"op": "n"}, "unknown op", ref=False)

    def test_topics_and_ids(self):
        for op, key in (("subscribe", "topic"), ("unsubscribe", "topic"), ("publish", "topic"), ("login", "user"), ("logout", "user"), ("send", "user")):
            data = {"data": 1} if op in ("publish", "send") else {}
            with self.subTest(op=op, key=None):
                self.refused(dict({"op": op}, **data))
            for value in ("", "a" * 256, "a\n", "\x7f", "\u0085", 7, None, [], ["a", 7], b"a", Raw(pack_str(b"\xff")), Raw(pack_str(b"\xed\xa0\x80"))):
                with self.subTest(op=op, value=value):
                    self.refused(dict({"op": op, key: value}, **data))
        self.refused({"op": "publish", "topic": "a"}, "data")
        self.refused({"op": "send", "user": "a"}, "data")

    def test_event_and_receipt(self):
        for more in ({"event": 1}, {"event": None}, {"event": b"e"}, {"receipt": 1}, {"receipt": "true"}, {"receipt": None}):
            with self.subTest(more=more):
                self.refused(dict({"op": "publish", "topic": "a", "data": 1}, **more))

    def test_keys_twice(self):
        for key in ("op", "topic", "data", "event", "receipt", "ref"):
            with self.subTest(key=key):
                keys = {"op": "publish", "topic": "a", "data": 1, "event": "e", "receipt": True, "ref": 1}
                body = b"".join(pack(k) + pack(v) for k, v in keys.items()) + pack(key) + pack(keys[key])
                self.client.send(packet(Raw(bytes([0x80 | len(keys) + 1]) + body)))
                got = self.client.message()
                self.assertEqual(got["ok"], False)
                self.client.op("ping", ref=9)
                self.client.expect({"ok": True, "ref": 9})

    def test_data(self):
        """What JSON can't say, within an array or a map."""
        witness = self.lines("/sub/a")
        ext = Raw(b"\xd4\x05\x00")
        for data in ([b"bin"], {"x": b"bin"}, [[{"x": [b""]}]], [ext], {"x": ext}, ext, math.inf, -math.inf, math.nan, [math.nan], {"x": math.inf},
                     Raw(b"\xca\x7f\x80\x00\x00"), {1: 2}, {"x": {None: 1}}, {b"k": 1}, [Raw(pack_str(b"\xff"))], {"x": Raw(pack_str(b"\xff"))},
                     Raw(b"\x81" + pack_str(b"\xff") + b"\x01")):
            with self.subTest(data=data):
                self.refused({"op": "publish", "topic": "a", "data": data})
                self.refused({"op": "send", "id": "a", "data": data})
        self.client.op("publish", topic="a", data="fence")
        self.assertEqual(witness.message()["data"], "fence")

    def test_no_room(self):
        self.serve("max_subscriptions=3")
        self.client = self.packet().subscribe("a", "b").login("c")
        self.refused({"op": "subscribe", "topic": "d"}, "max_subscriptions")
        self.refused({"op": "login", "user": "d"}, "max_subscriptions")


class Data(WebTest):
    def setUp(self):
        super().setUp()
        self.client, self.packets = self.packet(), self.packet().subscribe("a")
        self.flash_client, self.json = self.flash().subscribe("a"), self.lines("/sub/a")

    def published(self, data):
        """What packets, and readers of JSON, get."""
        self.client.op("publish", topic="a", data=data)
        got = self.packets.message()
        text = self.json.message()
        flash = self.flash_client.message()
        self.assertEqual((text["data"], text.get("encoding")), (flash["data"], flash.get("encoding")))
        self.assertEqual((got["id"], got["topic"]), (text["id"], "a"))
        return got["data"], text

    def test_values(self):
        values = [None, True, False, 0, 1, 127, 128, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 1, -1, -32, -33, -128, -129,
                  -32768, -32769, -2 ** 31, -2 ** 31 - 1, -2 ** 63, 0.0, 1.5, -0.1, 1e300, 5e-324, 0.1 + 0.2, "", "text", "žluť 😀", "\0\x01\"\\/\n", "x" * 31, "x" * 32,
                  "x" * 255, "x" * 256, "x" * 70000, [], [1, [2, []]], list(range(16)), list(range(70000)), {}, {"a": {"b": None}, "ž": [True]},
                  {str(n): n for n in range(1000)}]
        for value in values:
            with self.subTest(value=repr(value)[:60]):
                got, text = self.published(value)
                self.assertEqual((type(got), got), (type(value), value))
                self.assertEqual((type(text["data"]), text["data"]), (type(value), value))
                self.assertNotIn("encoding", text)

    def test_float32(self):
        got, text = self.published(Raw(b"\xca" + struct.pack(">f", 1.5)))
        self.assertEqual((got, text["data"]), (1.5, 1.5))

    def test_binary(self):
        for data in (b"", b"\x00\xff\x0a", b"text", bytes(range(256)), b"x" * 65536, os.urandom(100000)):
            with self.subTest(data=data[:10]):
                got, text = self.published(data)
                self.assertEqual((type(got), got), (bytes, data))
                self.assertEqual((base64.b64decode(text["data"], validate=True), text["encoding"]), (data, "base64"))

    def test_str_that_is_not_utf8(self):
        """Is binary."""
        for data in (b"\xff", b"abc\xed\xa0\x80", b"\xc0\x80"):
            got, text = self.published(Raw(pack_str(data)))
            self.assertEqual(got, data)
            self.assertEqual(text["encoding"], "base64")

    def test_from_json(self):
        """A JSON publisher's members, all but id, timestamp and ok."""
        self.flash_client.publish("a", data={"x": [1, 2.5, None, "ž"]}, event="e", n=2 ** 53, id=1, ok=True, timestamp=2, big=12345678901234567890)
        got = self.packets.message()
        self.assertIsInstance(got.pop("id"), int)
        self.assertGreater(got.pop("timestamp"), 10 ** 15)
        self.assertEqual(got, {"topic": "a", "data": {"x": [1, 2.5, None, "ž"]}, "event": "e", "n": 2 ** 53, "big": 12345678901234567890})

    def test_escapes(self):
        self.flash_client.send(b'{"action":"publish","t\\u006fpic":"\\u0061","d\\u0061ta":"\\ud83d\\ude00\\n"}\0')
        self.assertEqual(self.packets.message()["data"], "😀\n")


class Limits(WebTest):
    def flooded(self, client, most):
        """Replies to so many, then an error and the end."""
        replies = 0
        while True:
            got = client.message()
            if not got["ok"]:
                break
            replies += 1
        client.expect_close()
        self.assertLessEqual(replies, most)
        return replies

    def test_flood_messages(self):
        self.serve("flood_messages=100")
        calm, client = self.packet(), self.packet()
        client.send(packet({"op": "ping"}) * 1000)
        self.assertGreaterEqual(self.flooded(client, 300), 50)
        self.wait_count(self.janus, "closed_flood", 1)
        end = time.monotonic() + 3
        while time.monotonic() < end:       # 20 a second
            calm.op("ping")
            calm.expect({"ok": True})
            calm.silent(0.05)
        self.assertEqual(self.janus.count("closed_flood"), 1)

    def test_flood_bytes(self):
        self.serve("flood_bytes=100000")
        calm, client = self.packet(), self.packet()
        calm.send(packet({"op": "ping", "x": "y" * 50000}))
        calm.expect_error("unknown")
        client.send(packet({"op": "publish", "topic": "a", "data": "y" * 30000, "receipt": True}) * 20)
        self.flooded(client, 10)
        self.wait_count(self.janus, "closed_flood", 1)
        calm.op("ping")
        calm.expect({"ok": True})

    def test_flood_of_flash(self):
        self.serve("flood_messages=100")
        calm, client = self.flash(), self.flash()
        client.send(b'{"action":"publish","topic":"a"}\0' * 1000)
        client.expect_error()
        client.expect_close()
        self.wait_count(self.janus, "closed_flood", 1)
        calm.subscribe("a")

    def test_no_limit(self):
        """0 is off."""
        self.serve("flood_messages=0", "flood_bytes=0", "idle_limit=0")
        client = self.packet()
        client.send(packet({"op": "ping"}) * 20000)
        for _ in range(20000):
            client.message()

    def test_idle(self):
        """A packet or flash connection that sends nothing is closed, whatever it is sent."""
        limit = round(1 + 2 * SLOWNESS)     # seconds, in each of which the others must come to say something
        self.serve("idle_limit=%ds" % limit, "heartbeat=1s")
        idle = [self.packet().subscribe("a"), self.flash().subscribe("a"), self.packet()]
        lively, flash = self.packet().subscribe("a"), self.flash().subscribe("a")
        began = time.monotonic()
        while time.monotonic() - began < 2 * limit + 2:
            lively.op("publish", topic="a", data=1)
            flash.send(b"PING\0")
            lively.message()
            flash.message()
            lively.silent(0.2)
        self.wait_count(self.janus, "closed_idle", 3)
        for client in idle:
            with self.assertRaises(Closed):
                while True:
                    client.message()
        lively.op("ping")
        lively.expect({"ok": True})
        flash.subscribe("b")


class Own(unittest.TestCase):
    """The tests' own msgpack, against examples of the specification."""

    def test_examples(self):
        for value, text in ((None, "c0"), (True, "c3"), (0, "00"), (127, "7f"), (128, "cc80"), (256, "cd0100"), (65536, "ce00010000"),
                            (2 ** 32, "cf0000000100000000"), (-1, "ff"), (-32, "e0"), (-33, "d0df"), (-129, "d1ff7f"), (-32769, "d2ffff7fff"),
                            (1.5, "cb3ff8000000000000"), ("a", "a161"), (b"a", "c40161"), ([1], "9101"), ({"a": 1}, "81a16101"),
                            ("x" * 32, "d920" + "78" * 32), ([0] * 16, "dc0010" + "00" * 16)):
            self.assertEqual(pack(value).hex(), text)
            self.assertEqual(unpack(bytes.fromhex(text)), value)


if __name__ == "__main__":
    unittest.main()
