"""Ids of the stream that nodes share: who was on one node goes on on another, whatever he speaks; and nothing is torn when workers die."""
import json
import unittest

from janus_test import wait_until
from positions import Position
from test_nodes_stream import StreamTest
from web_clients import TEXT

BIG = 60000


def big(n):
    return ("%d " % n).ljust(BIG, "x")


class Elsewhere(StreamTest):
    def test_whatever_is_spoken(self):
        """Ten messages on one node, and what is behind each of them on the other."""
        a, b = self.stream_node("a"), self.stream_node("b", "topics=on")
        reader = a.lines("/sub/news.1")
        start = reader.start["position"]
        self.put("news.1", *range(10))
        had = [reader.message() for _ in range(10)]
        self.assertEqual([m["data"] for m in had], [str(n) for n in range(10)])
        self.assertEqual(len({m["id"].epoch for m in had} | {Position(start).epoch}), 1)
        self.wait_last(10, a, b)
        ids = [start] + [m["id"].text for m in had]
        for n in (0, 4, 9):
            want = [(m["id"].text, m["data"]) for m in had[n:]]
            with self.subTest(n=n):
                lines = b.lines("/sub/news.1?since=" + ids[n])
                self.assertEqual((lines.start["position"], lines.start["recovered"]), (ids[n], True))
                self.assertEqual([(m["id"].text, m["data"]) for m in (lines.message() for _ in want)], want)
                events = b.sse("/sub/news.1", fields=[("Last-Event-ID", ids[n])])
                self.assertEqual((events.head.get("Janus-Position"), events.head.get("Janus-Recovered")), (ids[n], "true"))
                self.assertEqual([(m.id.text, m.data) for m in (events.message() for _ in want)], want)
                socket = b.websocket()
                socket.frame(TEXT, json.dumps({"action": "subscribe", "topic": "news.1", "since": ids[n]}))
                self.assertEqual(json.loads(socket.raw_message()), {"ok": True, "position": ids[n], "recovered": True})
                self.assertEqual([(m["id"].text, m["data"]) for m in (socket.message() for _ in want)], want)
                packets = b.packet().greet()
                packets.op("subscribe", topic="news.1", since=ids[n])
                answer = packets.until(packets.take_packet)
                self.assertEqual((answer["position"], answer["recovered"]), (ids[n], True))
                self.assertEqual([(m["id"].text, m["data"]) for m in (packets.message() for _ in want)], want)
                polled = b.ask("GET", "/poll/news.1?since=" + ids[n]).json()
                self.assertEqual((polled["recovered"], [(m["id"], m["data"]) for m in polled["messages"]]), (True, want))
                for client in (lines, events, socket, packets):
                    client.close()
        self.assertEqual(b.ask("GET", "/topics/news.1").json()["last"], ids[10])

    def test_polls_go_round(self):
        """One poll on each node, in turns, each from where the last one was: nothing twice, nothing left out."""
        nodes = self.stream_node("a"), self.stream_node("b")
        at = nodes[0].ask("GET", "/history/news.1").json()["position"].text
        had = []
        for n in range(10):
            self.put("news.1", *range(3 * n, 3 * n + 3))
            while len(had) < 3 * n + 3:
                answer = nodes[n % 2].ask("GET", "/poll/news.1?limit=2&since=" + at).json()
                self.assertTrue(answer["recovered"])
                had += [m["data"] for m in answer["messages"]]
                at = answer["position"].text
        self.assertEqual(had, [str(n) for n in range(30)])

    def test_topics_of_both_kinds(self):
        """A session with both that is attached to loses nothing; on another node, the other kind goes on with what comes."""
        a, b = self.stream_node("a", "session_linger=60s"), self.stream_node("b")
        socket = a.websocket()
        token = socket.greeting["token"]
        socket.subscribe("news.1", "plain")
        self.put("news.1", "s1")
        last = socket.message()["id"].text
        socket.reset()
        wait_until(lambda: a.janus.count("parked") == 1 or a.janus.status()["parked"] == 1, 10, "the session to be parked")
        a.post("/pub/plain", "p1", status=200)
        self.put("news.1", "s2")
        self.wait_last(2, a, b)
        again = a.websocket()
        again.frame(TEXT, json.dumps({"action": "attach", "token": token, "since": last}))
        self.assertTrue(json.loads(again.raw_message())["recovered"])
        self.assertEqual(sorted(again.message()["data"] for _ in range(2)), ["p1", "s2"])
        other = b.lines("/sub?topic=news.1&topic=plain&since=" + last)
        self.assertFalse(other.start["recovered"])
        self.assertEqual(other.message()["data"], "s2")


class Deaths(StreamTest):
    def data_of(self, reader):
        message = reader.message(20)
        return json.loads(message.data)["data"] if hasattr(message, "data") else message["data"]

    def test_in_the_middle_of_frames(self):
        """Readers that stop in the middle of large messages; their workers die again and again. What they read then is whole, and each once."""
        a = self.stream_node("a", "ring_bytes=8M", "ring_messages=1024")
        readers = [a.sse("/sub/news.1?envelope=json", rcvbuf=4096), a.lines("/sub/news.1", rcvbuf=4096), a.packet(rcvbuf=4096).subscribe("news.1"),
                   a.flash(rcvbuf=4096).subscribe("news.1")]
        count = 20
        self.put("news.1", *(big(n) for n in range(count)))
        self.wait_last(count, a)
        wait_until(lambda: a.janus.behind() == len(readers), 10, "all of them to be behind")
        for n in range(count):
            if n % 5 == 2:
                for slot in range(2):
                    a.janus.kill_worker(slot)
            for reader in readers:
                self.assertEqual(self.data_of(reader), big(n))
        self.put("news.1", "end")
        for reader in readers:
            self.assertEqual(self.data_of(reader), "end")
        self.assertEqual((a.janus.count("closed_uncertain"), a.janus.count("closed_slow")), (0, 0))


class FirstReading(StreamTest):
    def test_never_reached(self):
        """A node that has never had the stream says so to whoever asks for its topics, and to nobody else, until it has."""
        self.nats.kill()
        a = self.stream_node("a", here=False)
        for method, target, body in (("GET", "/sub/news.1", None), ("GET", "/sub/news.*", None), ("GET", "/history/news.1", None), ("GET", "/poll/news.1?wait=0", None),
                                     ("POST", "/pub/news.1", b"x"), ("GET", "/readyz", None), ("GET", "/inbox/bob", None)):
            answer = a.ask(method, target, body)
            self.assertEqual((answer.status, answer.get("Retry-After")), (503, "5"), target)
            self.assertIn("nats_stream", answer.json()["error"])
        socket, packets = a.websocket(), a.packet().greet()
        for action, member in (("subscribe", {"topic": "news.1"}), ("login", {"user": "bob"}), ("publish", {"topic": "news.1", "data": 1, "ref": 1})):
            socket.frame(TEXT, json.dumps(dict(member, action=action)))
            self.assertFalse(json.loads(socket.raw_message())["ok"], action)
            packets.op(action, **dict(member, ref=1))
            self.assertFalse(packets.until(packets.take_packet)["ok"], action)
        socket.subscribe("plain")
        self.assertEqual(a.ask("GET", "/healthz").status, 200)
        self.nats.start()
        self.wait_stream(a)
        self.assertEqual(a.ask("GET", "/readyz").status, 200)
        socket.subscribe("news.1")
        self.put("news.1", "hi")
        self.assertEqual(socket.message()["data"], "hi")


if __name__ == "__main__":
    unittest.main()
