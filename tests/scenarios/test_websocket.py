"""WebSockets: the handshake, frames on the wire and closes."""
import base64
import json
import struct
import unittest

from janus_test import wait_until
from web_clients import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, WebSocket, WebTest, accept_of, close_payload, frame, head_of,
                         new_key, upgrade_fields)

ACTION = b'{"action":"publish","topic":"t","data":0,"ref":1}'
ANSWER = {"ok": True, "ref": 1, "id": None, "subscribers": 0}


class Handshake(WebTest):
    def answer(self, target="/ws", method="GET", version="1.1", host="janus.example", key=None, **fields):
        client = self.http()
        answer = client.ask(method, target, fields=upgrade_fields(key or new_key(), **fields), version=version, host=host)
        client.close()
        return answer

    def test_accepted(self):
        """The example of RFC 6455, and spellings of the fields that are as good."""
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        self.assertEqual(accept_of(key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        for target in ("/ws", "/ws?", "/sub/a", "/inbox/a"):
            answer = self.answer(target, key=key)
            self.assertEqual((answer.status, answer.get("Sec-WebSocket-Accept")), (101, accept_of(key)))
        for fields in ({"Upgrade": "WebSocket"}, {"Connection": "keep-alive, Upgrade"}, {"Connection": "upgrade"}, {"Upgrade": "h2c, websocket"},
                       {"Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits"}):
            with self.subTest(fields=fields):
                self.websocket(**fields).close()

    def test_subprotocol(self):
        """A browser that offers some ends the connection if none is taken, and if one is that it did not offer."""
        for offered, taken in ((None, None), ("chat", "chat"), ("chat, superchat", "chat"), ("chat, janus", "janus"), ("a b, c", "c"), (",", None)):
            for target in ("/ws", "/sub/a"):
                with self.subTest(offered=offered, target=target):
                    answer = self.answer(target, Sec_WebSocket_Protocol=offered)
                    self.assertEqual((answer.status, answer.get("Sec-WebSocket-Protocol")), (101, taken))

    def test_refused(self):
        for status, more in ((426, {"Upgrade": None}), (426, {"Connection": None}), (426, {"Connection": "keep-alive"}), (426, {"Upgrade": "h2c"}),
                             (426, {"Sec_WebSocket_Version": "8"}), (426, {"Sec_WebSocket_Version": None}), (400, {"Sec_WebSocket_Key": None}),
                             (400, {"Sec_WebSocket_Key": "short"}), (400, {"Sec_WebSocket_Key": base64.b64encode(b"x" * 15).decode()}),
                             (400, {"Sec_WebSocket_Key": base64.b64encode(b"x" * 17).decode()}), (400, {"Sec_WebSocket_Key": "!" * 22 + "=="}),
                             (403, {"Origin": "https://foreign.example"})):
            with self.subTest(more=more):
                answer = self.answer(**more)
                self.assertEqual(answer.status, status, answer)
                self.assertIn("error", answer.json())
                if status == 426:
                    self.assertEqual(answer.tokens("Upgrade"), ["websocket"])
                if "Sec_WebSocket_Version" in more:
                    self.assertEqual(answer.tokens("Sec-WebSocket-Version"), ["13"])
        self.assertEqual(self.answer(method="PUT").status, 405)
        self.assertIn(self.answer(version="1.0").status, (400, 426))
        self.assertEqual(self.answer(host=None).status, 400)
        self.assertEqual(self.answer("/nothing").status, 404)
        self.assertEqual(self.answer("/sub/").status, 400)
        self.assertEqual(self.answer("/sub/a", Sec_WebSocket_Version="8").status, 426)
        self.assertEqual(self.answer("/sub/a", Sec_WebSocket_Key="short").status, 400)

    def test_head_with_upgrade(self):
        """Only GET becomes a WebSocket: HEAD is refused, whatever its key, and costs nobody else anything."""
        witness = self.lines("/sub/a")
        for target in ("/ws", "/sub/a", "/inbox/a"):
            for key in (new_key(), None):
                with self.subTest(target=target, key=key):
                    client = self.http()
                    self.assertEqual(client.ask("HEAD", target, fields=upgrade_fields(key)).status, 405)
                    self.assertEqual(client.ask("OPTIONS", "/").status, 204)
        # The fewest fields that ask for it.
        self.assertEqual(self.ask("HEAD", "/sub/a", fields=[("Connection", "Upgrade"), ("Upgrade", "websocket")]).status, 405)
        self.published("/pub/a", "x")
        self.assertEqual(witness.message()["data"], "x")
        self.assertEqual(self.janus.subscriptions(), 1)

    def test_refused_keeps_the_connection(self):
        """The end of such a request is certain."""
        client = self.connect(WebSocket, "http")
        self.assertEqual(client.ask("GET", "/ws").status, 426)
        self.assertEqual(client.ask("GET", "/ws", fields=upgrade_fields(new_key(), Sec_WebSocket_Version="8")).status, 426)
        client.upgrade().subscribe("a")

    def test_origins(self):
        """Listed, of the same origin, or none: others are refused. test_http_origins.py has the rest."""
        self.serve("hosts=janus.example")
        self.assertEqual(self.answer(Origin="http://janus.example").status, 101)
        self.assertEqual(self.answer(Origin="http://janus.example:8080", host="janus.example:8080").status, 101)
        self.assertEqual(self.answer(Origin="null").status, 403)

    def test_together(self):
        """Frames in one piece with the handshake, and behind other requests."""
        client = self.connect(WebSocket, "http")
        client.send(head_of("OPTIONS", "/"))
        self.assertEqual(client.answer().status, 204)
        client.upgrade(more=frame(TEXT, '{"action":"subscribe","topic":"a","ref":1}') + frame(PING, b"x"))
        client.expect({"ok": True, "ref": 1})
        self.assertEqual(client.next_frame(), (True, PONG, b"x"))

    def test_byte_by_byte(self):
        key = new_key()
        client = self.connect(WebSocket, "http")
        client.send_pieces(head_of("GET", "/ws", upgrade_fields(key)) + frame(TEXT, ACTION) + frame(PING, b"abc"))
        answer = client.answer()
        self.assertEqual((answer.status, answer.get("Sec-WebSocket-Accept")), (101, accept_of(key)))
        self.assertIn("janus", client.message())
        client.expect(ANSWER)
        self.assertEqual(client.next_frame(), (True, PONG, b"abc"))


class Frames(WebTest):
    def test_examples(self):
        """The bytes of PROTOCOL.md."""
        client = self.websocket()
        client.send(bytes.fromhex("8980 37fa213d"))
        self.assertEqual(client.raw(2), b"\x8a\x00")
        for data in ("8185 37fa213d 7f9f4d5158", "0183 37fa213d 7f9f4d 8082 37fa213d 5b95"):
            client.send(bytes.fromhex(data))
            client.expect_error()       # "Hello" is no action, but a message
        client.send(bytes.fromhex("8882 37fa213d 3412"))
        self.assertEqual(client.raw(4), bytes.fromhex("8802 03e8"))
        client.expect_close()

    def test_lengths(self):
        """Payloads around the three forms of the length, both ways."""
        client = self.websocket().subscribe("t")
        head = b'{"action":"publish","topic":"t","data":"'
        for size in (60, 124, 125, 126, 127, 65534, 65535, 65536, 65537, 262144):
            with self.subTest(size=size):
                text = head + b"x" * (size - len(head) - 2) + b'"}'
                self.assertEqual(len(text), size)
                client.frame(TEXT, text)
                self.assertEqual(len(client.message()["data"]), size - len(head) - 2)

    def test_masks(self):
        client = self.websocket()
        for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x02\x03\x04", b"\0\0\0\x80"):
            for more in range(5):       # every alignment of the end
                client.frame(TEXT, ACTION + b" " * more, mask=mask)
                client.expect(ANSWER)

    def test_fragments(self):
        client = self.websocket()
        for size in (1, 2, 5, 38, 1000):
            parts = [ACTION[i:i + size] for i in range(0, len(ACTION), size)]
            for i, part in enumerate(parts):
                client.frame(TEXT if i == 0 else CONTINUATION, part, fin=i == len(parts) - 1)
            client.expect(ANSWER)
        client.frame(TEXT, b"", fin=False)
        client.frame(CONTINUATION, b"", fin=False)
        client.frame(CONTINUATION, ACTION, fin=False)
        client.frame(CONTINUATION, b"")
        client.expect(ANSWER)
        # A character cut in two is one all the same.
        text = '{"action":"publish","topic":"ž","data":0,"ref":1}'.encode()
        at = text.index("ž".encode()) + 1
        client.frame(TEXT, text[:at], fin=False)
        client.frame(CONTINUATION, text[at:])
        client.expect(ANSWER)

    def test_every_split(self):
        """A message in fragments with a ping between, cut in two at each byte of the wire."""
        text = (frame(TEXT, ACTION[:10], fin=False) + frame(PING, b"p") + frame(CONTINUATION, ACTION[10:20], fin=False) +
                frame(CONTINUATION, ACTION[20:]) + frame(PING, b"end"))
        client = self.websocket()
        for cut in range(1, len(text)):
            had = self.janus.count("bytes_in") if cut % 8 == 0 else None
            client.send(text[:cut])
            if had is not None:
                wait_until(lambda: self.janus.count("bytes_in") >= had + cut, what="the first part's arrival")
            client.send(text[cut:])
            self.assertEqual(client.next_frame(), (True, PONG, b"p"), cut)
            self.assertEqual(json.loads(client.next_frame()[2]), ANSWER, cut)
            self.assertEqual(client.next_frame(), (True, PONG, b"end"), cut)

    def test_control_frames_between_fragments(self):
        """Answered at once, before the message is whole."""
        client = self.websocket()
        client.frame(TEXT, ACTION[:5], fin=False)
        for n in range(20):
            client.frame(PING, b"%d" % n)
            self.assertEqual(client.next_frame(), (True, PONG, b"%d" % n))
            client.frame(PONG, b"unasked")
            client.frame(CONTINUATION, ACTION[5 + n:6 + n], fin=False)
        client.frame(CONTINUATION, ACTION[25:])
        client.expect(ANSWER)
        client.frame(TEXT, ACTION[:5], fin=False)
        client.frame(CLOSE, close_payload(1000))
        client.expect_close_frame(1000)

    def test_many_pings_between_fragments(self):
        """All in one piece: more than are answered in one turn."""
        client = self.websocket()
        client.send(frame(TEXT, ACTION[:5], fin=False) + b"".join(frame(PING, b"%d" % n) for n in range(200)) + frame(CONTINUATION, ACTION[5:]))
        for n in range(200):
            self.assertEqual(client.next_frame(), (True, PONG, b"%d" % n))
        client.expect(ANSWER)

    def test_ping_pong(self):
        client = self.websocket()
        for text in (b"", b"x", b"\xff\x00" * 60, b"y" * 125):
            client.frame(PING, text)
            self.assertEqual(client.next_frame(), (True, PONG, text))
        client.frame(PONG, b"nobody asked")
        client.send(b"".join(frame(PING, b"%d" % n) for n in range(500)))
        for n in range(500):
            self.assertEqual(client.next_frame(), (True, PONG, b"%d" % n))

    def test_many_in_one_piece(self):
        client = self.websocket().subscribe("t")
        client.send(b"".join(frame(TEXT, b'{"action":"publish","topic":"t","data":%d}' % n) for n in range(5000)))
        for n in range(5000):
            self.assertEqual(client.message()["data"], n)

    def test_heartbeat(self):
        self.serve("heartbeat=1s")
        client = self.websocket()
        client.pongs = False        # the server does not wait for it
        for _ in range(3):
            fin, opcode, payload = client.next_frame()
            self.assertEqual((fin, opcode), (True, PING))
        client.frame(PONG, payload)
        client.subscribe("a")


class Closes(WebTest):
    """Every close of PROTOCOL.md's table."""

    def closed(self, code, *parts, target="/ws"):
        client = self.websocket(target)
        for part in parts:
            client.send(part)
        reason = client.expect_close_frame(code)
        client.close()
        return reason

    def test_answered(self):
        """A client's close is repeated: its code, or none; then the end."""
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
            with self.subTest(code=code):
                self.closed(code, frame(CLOSE, close_payload(code)))
        self.closed(1000, frame(CLOSE, close_payload(1000, "bye žluť")))
        self.closed(1000, frame(CLOSE, close_payload(1000, "y" * 123)))
        self.closed(None, frame(CLOSE))
        self.closed(1000, frame(CLOSE, close_payload(1000)), target="/sub/a")

    def test_nothing_after(self):
        """What a client sends behind its close is not looked at."""
        client, witness = self.websocket(), self.lines("/sub/t")
        client.send(frame(CLOSE, close_payload(1000)) + frame(TEXT, ACTION) + b"rubbish" * 10000)
        client.expect_close_frame(1000)
        self.published("/pub/t", "fence")
        self.assertEqual(witness.message()["data"], "fence")
        self.assertEqual(self.janus.count("bad_input"), 0)

    def test_end_within_a_frame(self):
        """A client whose side of the connection ends there is told so, as it is by every transport that has frames."""
        for target in ("/ws", "/sub/a"):
            client = self.websocket(target)
            client.send(frame(TEXT, ACTION)[:-1])
            client.half_close()
            self.assertIn("within a frame", client.expect_close_frame(1008))

    def test_before_the_close_counts(self):
        client, witness = self.websocket(), self.lines("/sub/t")
        client.send(frame(TEXT, ACTION) + frame(CLOSE, close_payload(1000)))
        self.assertEqual(witness.message()["topic"], "t")
        answer = client.message()
        self.assertEqual((answer["ok"], answer["subscribers"]), (True, 1))
        client.expect_close_frame(1000)

    def test_protocol_errors(self):
        """1002"""
        cases = {
            "no mask": frame(TEXT, ACTION, mask=None), "no mask, ping": frame(PING, mask=None), "no mask, close": frame(CLOSE, mask=None),
            "long for 16 bits": frame(TEXT, b"x" * 125, length=2), "long for 64 bits": frame(TEXT, b"x" * 65535, length=8),
            "ping in 16 bits": frame(PING, b"x", length=2), "ping of 126": frame(PING, b"x" * 126), "close of 126": frame(CLOSE, close_payload(1000, "x" * 124)),
            "pong of 64 KiB": frame(PONG, b"x" * 65536), "fragmented ping": frame(PING, fin=False), "fragmented close": frame(CLOSE, fin=False),
            "continuation of nothing": frame(CONTINUATION, b"x"), "continuation behind a whole message": frame(CONTINUATION, b"", fin=False),
            "new message within one": frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"),
            "binary within text": frame(TEXT, b"x", fin=False) + frame(BINARY, b"y"), "close of one byte": frame(CLOSE, b"\x03"),
        }
        cases.update({"reserved bit %d" % bit: frame(TEXT, ACTION, reserved=bit) for bit in (1, 2, 4, 7)})
        cases["reserved bit in a ping"] = frame(PING, reserved=4)
        cases.update({"opcode %d" % opcode: frame(opcode, b"x") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)})
        cases.update({"close %d" % code: frame(CLOSE, close_payload(code))
                      for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)})
        for name, data in cases.items():
            with self.subTest(name):
                self.closed(1002, data)
        self.assertEqual(self.janus.count("bad_input"), len(cases))

    def test_not_utf8(self):
        """1007"""
        for data in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b'{"action":"publish","topic":"t","data":"\xe2\x82"}', b"\xc3"):
            with self.subTest(data=data):
                self.closed(1007, frame(TEXT, data))
                self.closed(1007, frame(TEXT, data[:1], fin=False), frame(CONTINUATION, data[1:]))
                self.closed(1007, frame(CLOSE, close_payload(1000, data)))

    def test_small_fragments(self):
        """1008: headers of fragments and pings between them beyond 8 KiB."""
        self.closed(1008, frame(TEXT, b"", fin=False), frame(CONTINUATION, b"", fin=False) * 2000)
        self.closed(1008, frame(TEXT, b" ", fin=False), frame(CONTINUATION, b" ", fin=False) * 2000)
        client = self.websocket()
        client.send(frame(TEXT, b" ", fin=False) + (frame(PONG, b"x" * 125)) * 100)
        client.expect_close_frame(1008)
        # So many are allowed.
        client = self.websocket()
        client.send(frame(TEXT, b"", fin=False) + frame(CONTINUATION, b" ", fin=False) * 1000 + frame(CONTINUATION, ACTION))
        client.expect(ANSWER)

    def test_too_long(self):
        """1009, as soon as a header says so."""
        self.serve("max_frame=10000")
        head, tail = b'{"action":"publish","topic":"t","ref":1,"data":"', b'"}'
        client = self.websocket()
        client.frame(TEXT, head + b"x" * (10000 - len(head) - 2) + tail)
        client.expect(ANSWER)
        for name, parts in {"whole": [frame(TEXT, b"x" * 10001)], "header only": [frame(TEXT, b"x" * 10001)[:4]], "binary": [frame(BINARY, b"x" * 10001)],
                            "64 bits": [frame(TEXT, b"x" * 70000)[:14]], "in fragments": [frame(TEXT, b"x" * 9000, fin=False), frame(CONTINUATION, b"x" * 1001)],
                            "huge": [struct.pack(">BBQ", 0x81, 0xff, 2 ** 40)]}.items():
            with self.subTest(name):
                self.closed(1009, *parts)
        client.frame(TEXT, ACTION)
        client.expect(ANSWER)

    def test_message_in_pieces(self):
        """Fragments of 64 and 128 bytes are legal (and what test suites send), however long the message."""
        client, head, tail = self.websocket(), b'{"action":"publish","topic":"t","ref":1,"data":"', b'"}'
        for size in (128, 64):
            text = head + b"x" * (256 * 1024 - len(head) - len(tail)) + tail
            parts = [text[i:i + size] for i in range(0, len(text), size)]
            client.send(b"".join(frame(CONTINUATION if i else TEXT, part, fin=i == len(parts) - 1) for i, part in enumerate(parts)))
            client.expect(ANSWER)

    def test_default_longest(self):
        self.closed(1009, frame(TEXT, b"x" * (256 * 1024 + 1)))

    def test_close_is_readable_after_more_input(self):
        """What was sent behind the bad frame must not turn the close into a reset."""
        for more in (frame(TEXT, ACTION) * 100, b"y" * 200000):
            self.closed(1002, frame(TEXT, ACTION, mask=None) + more)

    def test_server_stops(self):
        """1001"""
        clients = [self.websocket(), self.websocket().subscribe("a"), self.websocket("/sub/a")]
        clients[0].frame(TEXT, ACTION[:5], fin=False)
        self.published("/pub/a", "last")
        self.janus.stop()
        for client in clients[1:]:
            self.assertEqual(client.message()["data"], "last")
        for client in clients:
            client.expect_close_frame(1001)

    def test_gone_without_close(self):
        """FIN and RST instead of a close frame leave nothing behind."""
        for end in ("close", "reset", "half_close"):
            clients = [self.websocket().subscribe("a") for _ in range(5)]
            clients[0].frame(TEXT, ACTION[:5], fin=False)
            self.assertEqual(self.post("/pub/a", "x")["subscribers"], 5)
            for client in clients:
                getattr(client, end)()
            wait_until(lambda: self.post("/pub/a", "x")["subscribers"] == 0, what="their end")
        wait_until(lambda: self.janus.connections() == 0)


if __name__ == "__main__":
    unittest.main()
