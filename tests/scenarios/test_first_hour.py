"""What somebody is told who meets the server: at the wrong address, with the wrong words, or with something left out."""
import unittest

from web_clients import WebTest, error_text, new_key, pack, upgrade_fields

TLS_HELLO = bytes.fromhex("16030102000100 01fc0303".replace(" ", ""))
ACTION = b'{"action":"subscribe","data":"events"}'


class Told(WebTest):
    """By one connection to each protocol's address, whose answer says what to do."""

    workers = 1

    def said(self, kind, data):
        """All that comes before the server closes, behind the greeting; data in one piece, and byte by byte, gets the same."""
        answers = []
        for pieces in ([data], [data[i:i + 1] for i in range(len(data))]):
            client = {"flash": self.flash, "packet": self.packet, "http": self.http}[kind]()
            if kind == "packet":
                client.greet()
            try:
                for piece in pieces:
                    client.send(piece)
            except (ConnectionResetError, BrokenPipeError):
                pass            # it was answered by the first bytes
            answers.append(self.read(kind, client))
            client.close()
        self.assertEqual(*answers)
        return answers[0]

    def read(self, kind, client):
        if kind == "http":
            answer = client.answer("GET")
            client.expect_close()
            return answer.status, error_text(answer)
        text = client.expect_error()
        client.expect_close()
        return text

    def test_wrong_address(self):
        """Each protocol at the others' addresses."""
        for kind, data, says in (
                ("http", TLS_HELLO, "looks like TLS"), ("http", ACTION + b"\0", "flash://"), ("http", b"<regular-socket/>\0" + ACTION + b"\0", "flash://"),
                ("http", b"PUBLISH\0{}", "flash://"), ("http", b"\0\0\0\x1b\x82\xa2op", "packet://"), ("http", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1"),
                ("flash", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "http://"), ("flash", b"POST /pub/a HTTP/1.1\r\n\r\n", "http://"), ("flash", TLS_HELLO, "looks like TLS"),
                ("flash", b"\0\0\0\x1b\x82\xa2op", "unknown frame"),
                ("packet", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "length 0x47455420: this looks like HTTP: speak HTTP at the http:// address"), ("packet", TLS_HELLO, "looks like TLS"),
                ("packet", ACTION + b"\0", "looks like JSON"), ("packet", b"PING\0", "flash://"),
                ("packet", b"\x1b\0\0\0\x82\xa2op", "262144 bytes at most (max_frame); little-endian it would be 27"),
                ("packet", pack({"op": "ping"}), "without the 4 bytes of its length"), ("packet", b"\0\0\0\0", "length 0")):
            with self.subTest(at=kind, data=data):
                said = self.said(kind, data)
                if kind == "http":
                    self.assertEqual(said[0], 505 if data.startswith(b"PRI") else 400)
                    said = said[1]
                self.assertIn(says, said)

    def test_publishing(self):
        """A POST to /pub, with what a newcomer sends."""
        for target, body, says in (("/pub", b"hello", "/pub/TOPIC"), ("/pub", b'{"topic":"events","data":1}', "/pub/TOPIC"), ("/pub", b"", "/pub/TOPIC"),
                                   ("/pub", b'[{"topic":"events","data":1},]', "at byte 29 (line 1, column 30)"), ("/pub/events", b"", "no data")):
            with self.subTest(target=target, body=body):
                answer = self.ask("POST", target, body)
                self.assertEqual(answer.status, 400, answer)
                self.assertIn(says, error_text(answer))
        self.assertNotIn("/pub/TOPIC", error_text(self.ask("POST", "/pub", b"[1,")))
        self.assertEqual(self.post("/pub?topic=events", "hello"), {"id": None, "subscribers": 0})
        self.assertIn("curl -d", error_text(self.ask("POST", "/pub/events")))
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            answer = self.ask(method, "/pub/events")
            self.assertEqual(answer.status, 405)
            self.assertIn("not with %s: use POST" % method, error_text(answer))
        self.assertIn("not with POST: use GET", error_text(self.ask("POST", "/sub/events", b"x")))

    def test_websocket_without_a_path(self):
        for target in ("/", "/events", "/pub/events", "/socket.io/"):
            with self.subTest(target=target):
                answer = self.ask("GET", target, fields=upgrade_fields(new_key()))
                self.assertEqual(answer.status, 404)
                for words in ("no WebSocket here", "/ws", "/sub/TOPIC", "/inbox/USER"):
                    self.assertIn(words, error_text(answer))

    def test_what_is_typed_into_a_websocket(self):
        """It says how an action looks, and goes on."""
        socket = self.websocket()
        for text in ("hello", "", "[]", '"subscribe events"'):
            socket.text(text)
            self.assertIn('{"action":"subscribe","topic":"events"}', socket.expect_error("JSON object")["error"])
        socket.text('{"action":"subscribe","topic":"events"}')
        self.assertEqual(socket.message()["ok"], True)

    def test_where_json_is_wrong(self):
        """By HTTP, /ws and the flash socket."""
        where = ", at byte %d (line %d, column %d)"
        answer = self.ask("POST", "/pub/events", b'{"a":\n 1,}', [("Content-Type", "application/json")])
        self.assertEqual(error_text(answer), "bad JSON: a member's name was expected" + where % (9, 2, 4))
        socket = self.websocket()
        socket.text('{"action":"ping" "ref":1}')
        socket.expect({"ok": False, "error": "bad JSON: a comma or a closing bracket was expected" + where % (17, 1, 18)})
        socket.text('{"action":"ping"')
        socket.expect({"ok": False, "error": "bad JSON: a comma or a closing bracket was expected, at its end (byte 16)"})
        self.assertEqual(self.said("flash", b'{"action":"subscribe","data":"a\tb"}\0'), "bad JSON: a control character in a string" + where % (31, 1, 32))

    def test_parameters(self):
        """One that is not known is named, with those that are; the one that keeps caches away is passed over."""
        for method, target, says in (("GET", "/sub?topc=a", 'unknown parameter "topc"; known here: topic, envelope, since, last, lastEventId, token'),
                                     ("GET", "/sub/a?t=1", '"t"; known here'), ("POST", "/pub/a?topics=b", '"topics"; known here: topic, event, message_id'),
                                     ("GET", "/version?x", 'unknown parameter "x"; none is known here'), ("GET", "/sub/a?__=1", '"__"; known')):
            answer = self.ask(method, target, b"x" if method == "POST" else None)
            self.assertEqual(answer.status, 400)
            self.assertIn(says, error_text(answer))
        self.assertEqual(self.ask("GET", "/version?_=1795800974").status, 200)
        reader = self.lines("/sub/a?_=1&last=1&_=2")
        self.assertEqual(self.post("/pub/a?_=3", "x")["subscribers"], 1)
        self.assertEqual(reader.message()["data"], "x")


class LineFeeds(WebTest):
    """A client of the flash socket that ends its frames in line feeds is told after a moment, once; what it sends counts all the same."""

    workers = 1

    def hint(self, client):
        self.assertIn("NUL", client.expect_error("line feed"))

    def test_after_a_word(self):
        client = self.flash()
        client.send(b"PING\n")
        client.expect_error("NUL")
        client.expect_close()

    def test_told_and_goes_on(self):
        client = self.flash()
        client.send(ACTION + b"\n")
        self.hint(client)
        client.send(b"\0")
        client.expect(b"ACK")
        client.send(b"\r\n " + ACTION.replace(b"events", b"news") + b" \r\n" + ACTION + b"\r\n")
        self.hint(client)
        client.send(b"\0")
        client.expect_error("bad JSON: something stands behind the value")
        client.expect_close()

    def test_once(self):
        """More of the same is not told again, and the frame's time runs out as ever."""
        self.serve("frame_timeout=7s")
        client = self.flash()
        client.send(ACTION + b"\n")
        self.hint(client)
        client.expect_error("frame_timeout")
        client.expect_close()

    def test_newlines_within(self):
        """JSON of many lines that comes slowly is no such thing."""
        client = self.flash()
        for piece in (b'{\n"action":\n', b'"subscribe"\n,\n', b'"data":"events"\n', b"}"):
            client.send(piece)
            self.assertTrue(client.silent(1.2))
        client.send(b"\0")
        client.expect(b"ACK")
        client.publish("events", data="}\n")
        client.expect_message("events", data="}\n")


if __name__ == "__main__":
    unittest.main()
