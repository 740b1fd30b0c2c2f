"""Streams of messages over HTTP: server-sent events, lines of JSON, and WebSockets that only listen."""
import base64
import json
import time
import unittest

from janus_test import Closed, timestamp, wait_until
from positions import loads
from web_clients import BINARY, CLOSE, PING, TEXT, EventStream, Http, Sse, WebSocket, WebTest, close_payload, collect, error_text, frame

EVENT = {"event": "test_event", "message_id": "", "data": "test"}


class Chunked(WebTest):
    def test_head(self):
        stream = self.lines("/sub/events")
        head = stream.head
        self.assertEqual((head.version, head.get("Transfer-Encoding"), head.get("Content-Length")), ("1.1", "chunked", None))
        self.assertEqual(head.get("Cache-Control"), "no-store, no-transform")
        self.assertEqual(head.get("X-Accel-Buffering"), "no")

    def test_message(self):
        """One object, one line, one chunk; the publisher's members as they came."""
        stream, publisher = self.lines("/sub/events"), self.flash()
        publisher.publish("events", **EVENT)
        chunk = stream.chunk()
        self.assertRegex(chunk, rb'\A\{"id":"[0-9a-z]{8,}-\d+","timestamp":\d{16},"topic":"events","event":"test_event","message_id":"","data":"test"\}\n\Z')
        flash = self.flash().subscribe("events")
        publisher.publish("events", n=2)
        message = loads(stream.chunk())
        self.assertEqual(timestamp(message), timestamp(flash.message()))
        self.assertGreater(message["id"], loads(chunk)["id"])

    def test_id_of_the_publisher(self):
        """It is left out: the server's own stands there."""
        stream, flash = self.lines("/sub/a"), self.flash().subscribe("a")
        flash.send(b'{"action":"publish","id":"mine","topic":"a","x":{"id":1},"\\u0069d":2}\0')
        text = stream.chunk()
        self.assertRegex(text, rb'\A\{"id":"[0-9a-z]{8,}-\d+","timestamp":\d{16},"topic":"a","x":\{"id":1\}\}\n\Z')
        self.assertTrue(flash.message_text().endswith(b'"id":"mine","topic":"a","x":{"id":1},"\\u0069d":2}'))

    def test_line_ends_within(self):
        """CR and LF between a nested value's tokens become spaces; those in strings are escapes anyway."""
        stream, publisher = self.lines("/sub/a"), self.flash()
        publisher.send(b'{"action":"publish","topic":"a","v":[1,\n{"b":\r\n"c\\n"}\r]}\0')
        self.assertTrue(stream.chunk().endswith(b'"topic":"a","v":[1, {"b":  "c\\n"} ]}\n'))

    def test_http_1_0(self):
        """Without chunks, to the connection's end."""
        for keep in ((), [("Connection", "keep-alive")]):
            stream = self.lines("/sub/a", version="1.0", fields=keep)
            self.assertIsNone(stream.head.get("Transfer-Encoding"))
            self.assertTrue(stream.head.closes)
            for n in range(10):
                self.published("/pub/a", str(n))
                self.assertEqual(stream.message()["data"], str(n))
            stream.close()

    def test_several_topics(self):
        stream, publishers = self.lines("/sub?topic=a&topic=b&topic=c"), [self.flash() for _ in range(4)]
        for n in range(400):
            publishers[n % 4].publish("abcd"[n // 4 % 4], n=n)
        got = [stream.message() for _ in range(300)]
        self.assertEqual(sorted(m["n"] for m in got), [n for n in range(400) if n // 4 % 4 != 3])
        self.assertEqual([m["id"] for m in got], sorted({m["id"] for m in got}))
        stamps = [timestamp(m) for m in got]
        self.assertEqual(stamps, sorted(set(stamps)))
        for p in range(4):
            numbers = [m["n"] for m in got if m["n"] % 4 == p]
            self.assertEqual(numbers, sorted(numbers))

    def test_large_messages(self):
        stream, sse, socket = self.lines("/sub/a"), self.sse("/sub/a"), self.websocket("/sub/a")
        for size in (1, 125, 126, 4000, 16383, 65000, 65535, 65536, 131072, 250000):
            with self.subTest(size=size):
                self.published("/pub/a", "x" * size)
                self.assertEqual(stream.message()["data"], "x" * size)
                self.assertEqual(sse.event().data, "x" * size)
                self.assertEqual(socket.message()["data"], "x" * size)

    def test_binary(self):
        stream, packets = self.lines("/sub/a"), self.packet()
        packets.op("publish", topic="a", data=b"\x00\xff\x0a")
        self.assertTrue(stream.chunk().endswith(b'"topic":"a","data":"AP8K","encoding":"base64"}\n'))
        packets.op("publish", topic="a", event="e", data=b"")
        self.assertTrue(stream.chunk().endswith(b'"topic":"a","event":"e","data":"","encoding":"base64"}\n'))

    def test_heartbeat(self):
        """White space in front of the next object: no line that a parser would refuse."""
        self.serve("heartbeat=1s")
        stream, old = self.lines("/sub/a"), self.lines("/sub/a", version="1.0")
        for _ in range(2):
            self.assertEqual(stream.chunk(), b" ")
        self.assertEqual(old.raw(2), b"  ")
        self.published("/pub/a", "x")
        self.assertEqual(stream.message()["data"], "x")
        wait_until(lambda: self.janus.count("heartbeats") >= 4)

    def test_input_is_ignored(self):
        """What a client sends behind its request is nobody's business."""
        stream = self.lines("/sub/a")
        for data in (b"x", b"rubbish\r\n\r\n" * 100, b"POST /pub/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", b"y" * 300000):
            stream.send(data)
            self.published("/pub/a", "still")
            self.assertEqual(stream.message()["data"], "still")

    def test_stop(self):
        """A server that stops ends its streams in order: messages, last chunk, end."""
        stream, sse = self.lines("/sub/a"), self.sse("/sub/a")
        self.published("/pub/a", "last")
        self.janus.stop()
        self.assertEqual(stream.message()["data"], "last")
        self.assertEqual(sse.event().data, "last")
        for client in (stream, sse):
            with self.assertRaises(Closed):
                client.message()


class Events(WebTest):
    def test_head(self):
        stream = self.sse("/sub/events")
        head = stream.head
        self.assertEqual((head.version, head.get("Transfer-Encoding")), ("1.1", "chunked"))
        self.assertEqual(head.get("Cache-Control"), "no-store, no-transform")
        self.assertEqual(head.get("X-Accel-Buffering"), "no")
        self.published("/pub/events", "x")
        stream.event()
        self.assertIn(stream.stream.retry, range(1000, 3001))

    def test_accept(self):
        """By name, with other ranges and parameters around; not by a star, nor with q=0."""
        for accept, wanted in (("text/event-stream", True), ("Text/Event-Stream", True), ("text/html, text/event-stream;q=0.5", True),
                               ("*/*", False), ("text/*", False), ("text/event-stream;q=0", False), ("application/json", False), ("", False)):
            with self.subTest(accept=accept):
                client = self.stream(Http, "/sub/a", [("Accept", accept)])
                self.assertEqual(client.head.type, "text/event-stream" if wanted else "application/x-ndjson")
                client.close()

    def test_envelope(self):
        """?envelope=json: of several topics and users each event says whom it is to; the data is what a WebSocket is sent."""
        for target, version in (("/sub/a,b", "1.1"), ("/sub?topic=a&topic=b", "1.0"), ("/inbox/a,b", "1.1")):
            with self.subTest(target=target, version=version):
                stream = self.sse(target + ("&" if "?" in target else "?") + "envelope=json", version)
                lines, post = self.lines(target), "/send/" if "inbox" in target else "/pub/"
                for name, data, type in (("a", "one\ntwo", None), ("b", '[1,\n2]', "application/json"), ("a", b"\xff", None)):
                    number = self.post(post + name + "?event=e", data, type)["id"]
                    event, message = stream.event(), lines.message()
                    self.assertEqual((event.id, event.type, event.json()), (number, "e", message))
                    self.assertEqual(message["user" if "inbox" in target else "topic"], name)
                stream.close()
                lines.close()

    def test_envelope_elsewhere(self):
        """Accepted where the object is sent anyway; other envelopes are not."""
        lines, socket = self.lines("/sub/a?envelope=json"), self.websocket("/sub/a?envelope=json")
        self.published("/pub/a", "x")
        self.assertEqual(lines.message(), socket.message())
        for target in ("/sub/a?envelope=xml", "/sub/a?envelope", "/inbox/a?envelope=json&envelope=json", "/inbox/a?envelope=JSON"):
            self.assertIn("envelope", error_text(self.ask("GET", target)))
        self.assertEqual(self.ask("GET", "/test/a?envelope=json").status, 400)

    def test_envelope_survives(self):
        """A death, as any transport: the session is still one with envelopes."""
        self.serve(workers=1)
        stream = self.sse("/sub/a,b?envelope=json")
        for topic in "ab":
            self.published("/pub/" + topic, "x")
            self.assertEqual(json.loads(stream.event().data)["topic"], topic)
            self.janus.kill_worker(0)
        self.published("/pub/a", "y")
        self.assertEqual(json.loads(stream.event().data)["topic"], "a")

    def test_bytes(self):
        """The retry and the position at the start; then a chunk a message."""
        stream, publisher = self.sse("/sub/events"), self.flash()
        publisher.publish("events", **EVENT)
        self.assertRegex(stream.chunk(), rb"\Aretry: \d+\nid: [0-9a-z]{8,}-\d+\n\n\Z")
        self.assertRegex(stream.chunk(), rb"\Aid: [0-9a-z]{8,}-\d+\nevent: test_event\ndata: test\n\n\Z")
        number = self.published("/pub/events?event=test_event", "first line\nsecond")
        self.assertEqual(stream.chunk(), b"id: %s\nevent: test_event\ndata: first line\ndata: second\n\n" % number.text.encode())

    def next_of(self, stream, **members):
        """What becomes of a message with these members."""
        self.publisher.publish("a", **members)
        return stream.event()

    def test_event_and_data(self):
        self.publisher = self.flash()
        stream = self.sse("/sub/a")
        for text in ("test", "", " leading", "trailing ", "a\nb", "a\r\nb", "a\rb", "a\n\nb", "\n", "a\n", "\na", "a\r\n\r\nb\n", "a\n\rb", "id: 7", ": x",
                     "data: x\n\nid: 9", "\ufeff", "žluťoučký 😀 \u2028", "\x00\x01", "\r", "a\r\n", "retry: 1"):
            with self.subTest(data=text):
                event = self.next_of(stream, data=text)
                self.assertEqual(event.data, text.replace("\r\n", "\n").replace("\r", "\n"))
                self.assertEqual(event.type, "message")
        for value in (None, True, 0, 1.5, [], {}, [1, {"a": "b"}], {"x": "y\nz"}):
            with self.subTest(data=value):
                self.assertEqual(json.loads(self.next_of(stream, data=value).data), value)
        for name, type in (("e", "e"), ("žluť", "žluť"), ("a b", "a b"), (" a", " a"), ("", "message"), ("a\nb", "message"), ("a\rb", "message"),
                           ("a\0b", "message"), (7, "message"), (None, "message"), (["e"], "message"), ("data: x", "data: x")):
            with self.subTest(event=name):
                event = self.next_of(stream, event=name, data="x")
                self.assertEqual((event.type, event.data), (type, "x"))
        self.assertIn(stream.stream.retry, range(1000, 3001))
        self.assertEqual(stream.stream.comments, 0)

    def test_without_data(self):
        """The whole object."""
        self.publisher = self.flash()
        stream, lines = self.sse("/sub/a"), self.lines("/sub/a")
        event = self.next_of(stream, event="e", n=[1, 2])
        self.assertEqual(event.type, "e")
        self.assertEqual(event.json(), lines.message())

    def test_nested_data_in_one_line(self):
        self.publisher = self.flash()
        stream = self.sse("/sub/a")
        self.publisher.send(b'{"action":"publish","topic":"a","data":[1,\n{"b":\r\n2}\r]}\0')
        event = stream.event()
        self.assertEqual((json.loads(event.data), "\n" in event.data), ([1, {"b": 2}], False))

    def test_last_member_counts(self):
        publisher, stream = self.flash(), self.sse("/sub/a")
        publisher.send(b'{"action":"publish","topic":"a","event":"x","data":"first","event":"y","d\\u0061ta":"last"}\0')
        event = stream.event()
        self.assertEqual((event.type, event.data), ("y", "last"))

    def test_binary(self):
        packets, stream = self.packet(), self.sse("/sub/a")
        for data in (b"\x00\xff\x0a", b"x" * 10000):
            packets.op("publish", topic="a", event="e", data=data)
            event = stream.event()
            self.assertEqual((event.type, base64.b64decode(event.data, validate=True)), ("e", data))

    def test_ids(self):
        """Those of POST's answers, rising over all topics."""
        stream = self.sse("/sub/a,b")
        ids = [self.published("/pub/" + "ab"[n % 2], str(n)) for n in range(50)]
        events = [stream.event() for _ in ids]
        self.assertEqual([int(e.id) for e in events], ids)
        self.assertEqual([e.data for e in events], [str(n) for n in range(50)])

    def test_http_1_0(self):
        stream = self.sse("/sub/a", version="1.0")
        self.assertIsNone(stream.head.get("Transfer-Encoding"))
        for n in range(10):
            self.published("/pub/a", str(n))
            self.assertEqual(stream.event().data, str(n))
        self.assertIn(stream.stream.retry, range(1000, 3001))

    def test_retry(self):
        """Those who lost their streams in the same moment do not all come back in the same moment."""
        self.serve("retry=10s")
        told = [int(self.sse("/sub/a").chunk().split()[1]) for _ in range(30)]
        self.assertTrue(all(5000 <= ms <= 15000 for ms in told), told)
        self.assertGreater(max(told) - min(told), 2000)
        self.assertGreater(len(set(told)), 20)

    def test_no_empty_event(self):
        """An empty line ends a message, or the start, and nothing else: there are clients to whom every one of them is an event."""
        self.serve("heartbeat=1s")
        stream, old = self.sse("/sub/a"), self.sse("/sub/a", version="1.0")
        wait_until(lambda: self.janus.count("heartbeats") >= 4, what="heartbeats")
        for n in range(3):
            self.published("/pub/a", str(n))
        for client in (stream, old):
            text = bytearray()
            while text.count(b"data: ") < 3 or not text.endswith(b"\n\n"):
                text += client.chunk()
            self.assertIn(b"\n:\n", text)
            self.assertEqual(text.count(b"\n\n"), 4)
            for block in text.split(b"\n\n")[1:4]:
                self.assertIn(b"data: ", block)

    def test_heartbeat(self):
        """A comment, which is no event."""
        self.serve("heartbeat=1s")
        stream = self.sse("/sub/a")
        wait_until(lambda: self.janus.count("heartbeats") >= 2, what="two heartbeats")
        self.published("/pub/a", "x")
        self.assertEqual(stream.event().data, "x")
        self.assertGreaterEqual(stream.stream.comments, 2)

    def test_no_heartbeat_while_messages_flow(self):
        self.serve("heartbeat=2s")
        stream = self.sse("/sub/a")
        last = time.monotonic()
        end, comments = last + 5, 0
        while time.monotonic() < end:
            before, last = last, time.monotonic()
            self.published("/pub/a", "x")
            stream.event()
            if stream.stream.comments > comments:
                self.assertGreater(time.monotonic() - before, 1)        # (on a machine so busy that messages did not flow)
            comments = stream.stream.comments
            stream.silent(0.2)

    def test_reconnect(self):
        """Last-Event-ID is no error: a browser that comes back sends it."""
        stream = self.sse("/sub/a", fields=[("Last-Event-ID", "7")])
        self.published("/pub/a", "x")
        self.assertEqual(stream.event().data, "x")


class Leaving(WebTest):
    def test_streams_that_go(self):
        """However a client goes, its subscriptions go with it."""
        stays = self.lines("/sub/a")
        opens = (lambda: self.lines("/sub/a,b"), lambda: self.sse("/sub/a,b"), lambda: self.websocket("/sub/a,b"),
                 lambda: self.lines("/sub/a,b", version="1.0"), lambda: self.lines("/inbox/a,b"))
        for end in ("close", "reset", "half_close"):
            with self.subTest(end=end):
                gone = [open() for open in opens for _ in range(4)]
                self.assertEqual(self.post("/pub/b", "x")["subscribers"], 16)
                self.assertEqual(self.post("/send/b", "x")["subscribers"], 4)
                for client in gone:
                    getattr(client, end)()
                wait_until(lambda: self.post("/pub/b", "x")["subscribers"] == 0, what="their end")
                wait_until(lambda: self.post("/send/b", "x")["subscribers"] == 0, what="their end")
                self.assertEqual(self.post("/pub/a", end)["subscribers"], 1)
                self.assertEqual(stays.message()["data"], end)
        stays.close()
        wait_until(lambda: self.janus.connections() == 0 and self.janus.subscriptions() == 0, what="the connections' end")
        counters = self.janus.stats()["counters"]
        self.assertEqual(counters["accepted"], counters["closed"])
        for name in ("bad_input", "closed_uncertain", "dropped_overtaken"):
            self.assertEqual(counters[name], 0, name)

    def test_slow_reader(self):
        """One that reads late gets all of it; others don't wait for it."""
        slow = [self.lines("/sub/a", rcvbuf=4096), self.sse("/sub/a", rcvbuf=4096)]
        quick = self.lines("/sub/a")
        for n in range(200):
            self.published("/pub/a", "%d " % n + "x" * 20000)
            self.assertEqual(quick.message()["data"].split()[0], str(n))
        for n in range(200):
            self.assertEqual(slow[0].message()["data"].split()[0], str(n))
            self.assertEqual(slow[1].event().data.split()[0], str(n))

    def test_overtaken(self):
        """Overtaken by the ring, a stream leaves whole messages out: ids rise, lines and events stay whole."""
        self.serve("ring_bytes=1M", "ring_messages=1024", "max_frame=64K")
        slow = [self.lines("/sub/a", rcvbuf=4096), self.sse("/sub/a", rcvbuf=4096),
                self.connect(WebSocket, "http", rcvbuf=4096).upgrade("/sub/a")]
        quick, publisher = self.lines("/sub/a"), self.flash()
        total = 4000
        for n in range(0, total, 40):
            for i in range(n, n + 40):
                publisher.publish("a", data="%d " % i + "x" * 4000)
            for i in range(n, n + 40):
                self.assertEqual(quick.message()["data"].split()[0], str(i))
        for client in slow:
            numbers = []
            while not numbers or numbers[-1] != total - 1:
                message = client.message()
                data = message.data if isinstance(client, Sse) else message["data"]
                self.assertRegex(data, r"\A\d+ x{4000}\Z")
                numbers.append(int(data.split()[0]))
            self.assertEqual(numbers, sorted(set(numbers)))
            self.assertLess(len(numbers), total, "nothing was left out: the test is too mild")


class ReadOnlyWebSocket(WebTest):
    def test_messages(self):
        client, publisher = self.websocket("/sub?topic=a&topic=b&topic=c"), self.flash()
        for n, topic in enumerate("abcdabcd"):
            publisher.publish(topic, n=n)
        for n, topic in enumerate("abcdabcd"):
            if topic != "d":
                message = client.message()
                self.assertEqual(list(message), ["id", "timestamp", "topic", "n"])
                self.assertEqual((message["topic"], message["n"]), (topic, n))

    def test_frame(self):
        """One text frame, the object of the chunked stream."""
        client, lines, publisher = self.websocket("/sub/events"), self.lines("/sub/events"), self.flash()
        publisher.publish("events", **EVENT)
        fin, opcode, payload = client.next_frame()
        self.assertEqual((fin, opcode), (True, TEXT))
        self.assertEqual(payload + b"\n", lines.chunk())

    def test_binary(self):
        """Data alone in a binary frame."""
        for target in ("/sub/a", "/inbox/a"):
            client, packets = self.websocket(target), self.packet()
            for data in (b"\x00\xff\x0a", b"", b"text", bytes(70000)):
                with self.subTest(target=target, data=data[:10]):
                    # (What is for the others would come to the next of them, if it were late.)
                    packets.op(*("publish",) if target == "/sub/a" else ("send",), **{"topic" if target == "/sub/a" else "user": "a", "data": data})
                    self.assertEqual(client.next_frame(), (True, BINARY, data))
            client.close()

    def test_what_it_sends_is_ignored(self):
        client = self.websocket("/sub/a")
        client.text('{"action":"subscribe","topic":"b","ref":1}')
        client.text("rubbish")
        client.frame(BINARY, b"\xff" * 1000)
        client.frame(TEXT, "a", fin=False)
        client.frame(PING, b"between")
        self.assertEqual(client.next_frame(), (True, 10, b"between"))
        client.frame(0, "b")
        self.assertEqual(self.post("/pub/b", "x")["subscribers"], 0)
        self.published("/pub/a", "x")
        self.assertEqual(client.message()["data"], "x")
        client.frame(CLOSE, close_payload(1000))
        client.expect_close_frame(1000)

    def test_heartbeat(self):
        self.serve("heartbeat=1s")
        client = self.websocket("/sub/a")
        for _ in range(2):
            fin, opcode, _ = client.next_frame()
            self.assertEqual((fin, opcode), (True, PING))

    def test_together(self):
        """Frames that come with the handshake in one piece are for the WebSocket."""
        client = self.connect(WebSocket, "http").upgrade("/sub/a", more=frame(PING, b"early"))
        self.assertEqual(client.next_frame(), (True, 10, b"early"))


class Order(WebTest):
    workers = 4

    def test_one_order(self):
        """All streams, on all workers, see one order; those of several topics the same order of all."""
        opens = (lambda t: self.lines("/sub/" + t), lambda t: self.sse("/sub/" + t), lambda t: self.websocket("/sub/" + t))
        clients = [(open(topics), topics) for topics in ("a", "a,b", "b") for open in opens for _ in range(4)]
        publishers = [self.flash() for _ in range(8)]
        for n in range(50):
            for p, publisher in enumerate(publishers):
                publisher.publish("ab"[n % 2], data=[p, n])
        counts = {"a": 200, "b": 200, "a,b": 400}
        got = collect([c for c, _ in clients], lambda lists: all(len(g) >= counts[t] for g, (_, t) in zip(lists, clients)), 30)
        orders = {}
        for (client, topics), messages in zip(clients, got):
            if isinstance(client, Sse):
                order = [(int(e.id), json.loads(e.data)) for e in messages]
            else:
                order = [(m["id"], m["data"]) for m in messages]
            self.assertEqual([number for number, _ in order], sorted({number for number, _ in order}))
            self.assertEqual(orders.setdefault(topics, order), order)
        self.assertEqual(orders["a,b"], sorted(orders["a"] + orders["b"]))


class Parser(unittest.TestCase):
    """The tests' own reader of event streams, against the examples of the standard (WHATWG HTML, 9.2.6)."""

    def events(self, *parts):
        stream = EventStream()
        found = []
        for part in parts:
            stream.feed(part)
            found += list(iter(stream.take, None))
        return [(e.type, e.data, e.id) for e in found], stream

    def test_examples(self):
        self.assertEqual(self.events(b"data: YHOO\ndata: +2\ndata: 10\n\n")[0], [("message", "YHOO\n+2\n10", "")])
        text = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
        found, stream = self.events(text)
        self.assertEqual(found, [("message", "first event", "1"), ("message", "second event", ""), ("message", " third event", "")])
        self.assertEqual(stream.comments, 1)
        self.assertEqual(self.events(b"data\n\ndata\ndata\n\ndata:")[0], [("message", "", ""), ("message", "\n", "")])
        self.assertEqual(self.events(b"data:test\n\ndata: test\n\n")[0], [("message", "test", "")] * 2)

    def test_pieces_and_line_ends(self):
        text = b"\xef\xbb\xbfevent: e\r\ndata: a\rdata: b\nid: 7\r\n\r\nretry: 5\r\rdata: c\r\n\r\nx"
        wanted = [("e", "a\nb", "7"), ("message", "c", "7")]
        self.assertEqual(self.events(text)[0], wanted)
        self.assertEqual(self.events(*[text[i:i + 1] for i in range(len(text))])[0], wanted)
        self.assertEqual(self.events(text)[1].retry, 5)


if __name__ == "__main__":
    unittest.main()
