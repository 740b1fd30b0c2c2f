"""Positions: where streams and subscriptions begin, and what is said of that."""
import json
import threading
import unittest

from janus_test import Deadline
from positions import Position
from web_clients import TEXT, EventStream, Http, Lines, WebTest

FIRST = r'\A\{"ok":true,"position":"[0-9a-z]{8,}-%d"\}\Z'


class Positions(WebTest):
    def test_streams_begin_with_theirs(self):
        """In their own words, and in the head."""
        keeper = self.lines("/sub/a")
        self.assertEqual(keeper.position, 0)
        last = self.published("/pub/a", "before")
        for version in ("1.1", "1.0"):
            for target in ("/sub/a", "/sub?topic=b&topic=a", "/inbox/bob"):
                with self.subTest(version=version, target=target):
                    lines = self.stream(Lines, target, version=version).begin()
                    self.assertEqual((lines.start, lines.head.get("Janus-Position")), ({"ok": True, "position": last.text}, last.text))
                    events = self.sse(target, version=version)
                    stream = EventStream()
                    while not stream.last_id:
                        stream.feed(events.chunk(5))
                        self.assertIsNone(stream.take())        # it dispatches nothing
                    self.assertEqual((stream.last_id, events.head.get("Janus-Position")), (last.text, last.text))
                    for client in (lines, events):
                        self.assertIsNone(client.head.get("Janus-Recovered"))
                        client.close()
        for target in ("/sub/a", "/inbox/bob"):
            socket = self.websocket(target)
            self.assertRegex(socket.start, FIRST % last)
            self.assertEqual(socket.position.text, last.text)

    def test_where_nothing_is_said(self):
        """Pages, and the flash socket, whose messages have no ids; a WebSocket's head."""
        page = self.stream(Http, "/test/bob")
        self.assertIsNone(page.head.get("Janus-Position"))
        self.assertNotIn(b"position", page.chunk())
        flash = self.flash()
        flash.subscribe("a")                        # ACK, as ever
        self.post("/pub/a", "x")
        self.assertNotIn(b'"id"', flash.message_text())
        client = self.http()
        client.send(b"GET /sub/a HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        self.assertIsNone(client.answer().get("Janus-Position"))
        self.assertIsNone(self.ask("GET", "/version").get("Janus-Position"))

    def test_head(self):
        """HEAD subscribes nothing, and says where a stream would begin now."""
        keeper = self.lines("/sub/a")
        last = self.published("/pub/a", "x")
        self.assertEqual(self.ask("HEAD", "/sub/b").get("Janus-Position"), last.text)
        self.assertEqual(self.ask("HEAD", "/sub/b", fields=[("Accept", "text/event-stream")]).get("Janus-Position"), last.text)
        self.assertIsNone(self.ask("HEAD", "/test/b").get("Janus-Position"))
        self.assertEqual(keeper.message()["id"], last)
        self.assertEqual(self.janus.subscriptions(), 1)

    def test_pages_of_other_origins(self):
        """Who may read the answer may read the position."""
        self.serve("origins=https://app.example")
        for kind, fields in ((Lines, []), (Http, [("Accept", "text/event-stream")])):
            mine = self.stream(kind, "/sub/a", fields + [("Origin", "https://app.example")]).head
            self.assertEqual(set(mine.tokens("Access-Control-Expose-Headers")), {"janus-position", "janus-recovered", "janus-token"})
            self.assertIsNone(self.stream(kind, "/sub/a", fields + [("Origin", "https://other.example")]).head.get("Access-Control-Expose-Headers"))
            self.assertIsNone(self.stream(kind, "/sub/a", fields).head.get("Access-Control-Expose-Headers"))

    def test_answers(self):
        """To subscribe and login, behind the ref; to nothing else."""
        keeper = self.lines("/sub/a")
        socket, packets = self.websocket(), self.packet().greet()

        def act(**members):
            socket.frame(TEXT, json.dumps(members))
            return socket.raw_message()

        def op(op, **keys):
            packets.op(op, **keys)
            return packets.until(packets.take_packet)
        for n in range(3):
            for action, member in (("subscribe", "topic"), ("login", "user")):
                with self.subTest(n=n, action=action):
                    at = keeper.position.text
                    self.assertEqual(act(action=action, ref="x", **{member: ["a%d" % n, "b%d" % n]}), '{"ok":true,"ref":"x","position":"%s"}' % at)
                    self.assertEqual(list(op(action, ref=3, **{member: ["a%d" % n, "b%d" % n]}).items()), [("ok", True), ("ref", 3), ("position", at)])
                    self.assertEqual(act(action=action, **{member: "b%d" % n}), '{"ok":true,"position":"%s"}' % at)      # once more
            self.published("/pub/a", "x")
            keeper.position = keeper.message()["id"]
        for action, member in (("unsubscribe", {"topic": "b"}), ("logout", {"user": "b"}), ("ping", {})):
            self.assertEqual(act(action=action, **member), '{"ok":true}')
            self.assertEqual(op(action, **member), {"ok": True})
        self.assertEqual(set(json.loads(act(action="subscribe", topic="a@b"))), {"ok", "error"})
        self.assertEqual(set(op("subscribe", topic="a@b")), {"ok", "error"})

    def test_the_very_moment(self):
        """Where everything goes to one topic, a stream's first message is the one behind its position, whatever is published meanwhile."""
        self.serve(workers=2)
        keeper, publisher = self.lines("/sub/a"), self.flash()
        over = threading.Event()

        def publish():
            n, limit = 0, Deadline(60)      # a bound in time: a count is used up before a slow run has subscribed often enough
            while not over.is_set() and not limit.over():
                publisher.send(b'{"action":"publish","topic":"a","data":%d}\0' % n)
                n += 1
        thread = threading.Thread(target=publish)
        thread.start()
        try:
            deadline = Deadline(5)
            count = 0
            while count < 20 or (count < 200 and not deadline.over()):
                client = (lambda: self.lines("/sub/a"), lambda: self.websocket("/sub/a"), lambda: self.sse("/sub/a"), lambda: self.packet().subscribe("a"),
                          lambda: self.websocket().subscribe("a"), lambda: self.lines("/sub/b,a,c"))[count % 6]()
                begin = Position(client.head.get("Janus-Position")) if not hasattr(client, "position") else client.position
                first = client.message()
                number = first["id"] if isinstance(first, dict) else first.id
                # (of several topics the position is that of the first one's join)
                self.assertTrue(number == begin + 1 if count % 6 != 5 else number > begin, (count % 6, begin, number))
                client.close()
                count += 1
        finally:
            over.set()
            thread.join()
        keeper.close()


if __name__ == "__main__":
    unittest.main()
