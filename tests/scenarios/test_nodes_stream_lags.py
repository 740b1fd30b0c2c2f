"""What a server of NATS' cluster says of a stream of which it has not all yet. Here a server that says so at will: it speaks of NATS and JetStream what a bridge needs."""
import json
import socket
import threading
import time

from janus_test import wait_until
from nodes_test import NodesTest
from test_nodes_stream import RULES, STREAM


class SlowStream(threading.Thread):
    """A stream of `total` messages, whose consumers are of a server that has the first `has` of them so far."""

    def __init__(self, total, has):
        super().__init__(daemon=True)
        self.total, self.has = total, has
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "nats://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.consumer = None        # (sid, the next sequence, the next ordinal)
        self.heartbeats = 0
        self.answers = True
        self.infos = 0              # questions for it that were answered
        self.client = None

    def close(self):
        self.listener.close()
        if self.client:
            self.client.close()

    def run(self):
        while True:
            try:
                self.client = self.listener.accept()[0]
                self.serve(self.client.makefile("rb"))
            except (OSError, ValueError):
                if self.listener.fileno() < 0:
                    return

    def serve(self, lines):
        self.sids, self.consumer = {}, None
        self.client.sendall(b'INFO {"server_id":"x","server_name":"x","version":"2.9.10","proto":1,"headers":true,"max_payload":1048576}\r\n')
        for line in lines:
            words = line.split()
            what = words[0].upper() if words else b""
            if what == b"PING":
                self.client.sendall(b"PONG\r\n")
            elif what == b"SUB":
                self.sids[words[1].decode()] = words[-1]
            elif what in (b"PUB", b"HPUB"):
                head = int(words[-2]) if what == b"HPUB" else 0
                body = lines.read(int(words[-1]) + 2)[head:-2]
                if len(words) == (4 if what == b"PUB" else 5):
                    with self.lock:
                        self.asked(words[1].decode(), words[2].decode(), body)

    def send(self, sid, subject, body, reply="", headers=None):
        subject = ("%s %s %s" % (subject, sid.decode(), reply)).rstrip()
        if headers is None:
            self.client.sendall(("MSG %s %d\r\n" % (subject, len(body))).encode() + body + b"\r\n")
        else:
            self.client.sendall(("HMSG %s %d %d\r\n" % (subject, len(headers), len(headers) + len(body))).encode() + headers + body + b"\r\n")

    def asked(self, subject, reply, body):
        if not self.answers:
            return
        if subject == "$JS.API.STREAM.INFO." + STREAM:
            self.infos += 1
            answer = {"config": {"name": STREAM, "subjects": ["janus.topic.news.>", "janus.inbox.*"]}, "created": "2026-01-02T03:04:05Z",
                      "state": {"messages": self.total, "bytes": 100 * self.total, "first_seq": 1, "last_seq": self.total}}
        elif subject.startswith("$JS.API.CONSUMER.CREATE."):
            config = json.loads(body)["config"]
            self.consumer = [self.sids[config["deliver_subject"]], min(config["opt_start_seq"], self.has + 1), 1]
            answer = {"config": config, "delivered": {"consumer_seq": 0, "stream_seq": self.consumer[1] - 1}, "num_pending": max(0, self.has + 1 - self.consumer[1])}
        else:
            return
        own = next(name for name in self.sids if name.endswith(">") and reply.startswith(name[:-1]))
        self.send(self.sids[own], reply, json.dumps(answer).encode())
        self.deliver()

    def deliver(self):
        """What it has by now; and a heartbeat."""
        if not self.consumer:
            return
        sid, seq, ordinal = self.consumer
        while seq <= self.has:
            self.send(sid, "janus.topic.news.1", b"%d" % seq, "$JS.ACK.%s.c.1.%d.%d.0.%d" % (STREAM, seq, ordinal, self.has - seq))
            seq, ordinal = seq + 1, ordinal + 1
        self.consumer = [sid, seq, ordinal]
        self.send(sid, "heartbeat", b"", headers=b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: %d\r\nNats-Last-Stream: %d\r\n\r\n" % (ordinal - 1, seq - 1))
        self.heartbeats += 1

    def goes_on(self, has):
        with self.lock:
            self.has = has
            self.deliver()


class Lags(NodesTest):
    def stream_node(self, **more):
        stream = SlowStream(**more)
        self.addCleanup(stream.close)
        stream.start()
        return stream, self.node("a", "nats_stream=" + STREAM, RULES, nats=stream, connected=False)

    def node_told_less(self):
        """It has had nine messages, and hears that there are five."""
        stream, node = self.stream_node(total=9, has=9)
        wait_until(lambda: self.state(node)["state"] == "here", 15, "the stream")
        stream.total = stream.has = 5
        node.kill_bridge()
        wait_until(lambda: "less far" in (self.state(node)["error"] or ""), 15, "it to be seen")
        return stream, node

    @staticmethod
    def state(node):
        return node.nodes().get("stream") or {"state": None, "last": 0}

    def expect_whole(self, node, last):
        answer = node.ask("GET", "/history/news.1?limit=100")
        self.assertEqual([m["data"] for m in answer.json()["messages"]], [str(n) for n in range(1, last + 1)])
        self.assertEqual(node.janus.stats()["counters"].get("nodes_stream_missed", 0), 0)

    def test_leader(self):
        """Nor is the stream's end taken for lost, which a server does not know yet that has just begun to lead."""
        stream, node = self.node_told_less()
        reader = node.packet().subscribe("news.1")
        stream.total = stream.has = 12
        wait_until(lambda: self.state(node)["last"] == 12, 15, "the rest")
        self.assertEqual([reader.message()["data"] for _ in range(3)], ["10", "11", "12"])
        self.expect_whole(node, 12)

    def test_leader_again(self):
        """That it is seen once more, long after, by another connection, is no reason to believe it."""
        stream, node = self.node_told_less()
        seen = time.monotonic()
        stream.answers = False
        wait_until(lambda: time.monotonic() - seen > 12, 20, "more time than it is asked for")
        less = stream.infos
        stream.answers = True
        wait_until(lambda: stream.infos >= less + 2, 20, "another look")
        stream.total = stream.has = 12
        wait_until(lambda: self.state(node)["last"] == 12, 15, "the rest")
        self.expect_whole(node, 12)

    def test_replica(self):
        """What the stream has and the consumer's server has not yet is waited for, and not taken for gone."""
        stream, node = self.stream_node(total=9, has=4)
        wait_until(lambda: self.state(node)["last"] == 4, 15, "what it has")
        for has in (4, 6):
            before = stream.heartbeats
            stream.goes_on(has)
            wait_until(lambda: self.state(node)["last"] == has, 15, "%d messages" % has)
            self.assertNotEqual(self.state(node)["state"], "here")
            self.assertGreater(stream.heartbeats, before)
        stream.goes_on(9)
        wait_until(lambda: self.state(node)["state"] == "here", 15, "all of it")
        self.expect_whole(node, 9)


if __name__ == "__main__":
    import unittest
    unittest.main()
