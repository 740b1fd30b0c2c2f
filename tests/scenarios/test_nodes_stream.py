"""Nodes with one history, in a stream of JetStream: one order, one id, on all of them."""
import unittest

from janus_test import wait_until
from nodes_test import NodesTest

STREAM = "events"
RULES = "history=news.*: 1000 messages; @*: 10 messages"


class StreamTest(NodesTest):
    def setUp(self):
        super().setUp()
        self._nats = self.nats_server("nats", streams=True)

    def stream_node(self, name, *options, here=True, **more):
        node = self.node(name, "nats_stream=" + STREAM, RULES, *options, connected=False, **more)
        if here:
            self.wait_stream(node)
        return node

    def stream(self, node):
        return node.nodes().get("stream") or {"state": None}

    def wait_stream(self, *nodes, state="here"):
        for node in nodes:
            wait_until(lambda: self.stream(node)["state"] == state, 15, "%s to have the stream %s: %r" % (node.name, state, node.nodes()))

    def wait_last(self, sequence, *nodes):
        for node in nodes:
            wait_until(lambda: self.stream(node)["last"] >= sequence, 15, "%s to have the stream up to %d" % (node.name, sequence))

    def history(self, node, topic):
        """What of a topic is here: (id, data)."""
        answer = node.ask("GET", "/history/%s?limit=1000" % topic)
        self.assertEqual(answer.status, 200, answer)
        return [(m["id"], m["data"]) for m in answer.json()["messages"]]

    def put(self, topic, *data):
        """Another client of NATS publishes."""
        client = self.nats_client()
        for one in data:
            client.publish("janus.topic." + topic, str(one))
        client.flush()


class Incoming(StreamTest):
    def test_of_others(self):
        """What a client of NATS publishes there comes once, in order, to all, and is history; also of a node that comes later."""
        a, b = self.stream_node("a"), self.stream_node("b")
        reader = a.packet().subscribe("news.1")
        self.put("news.1", *("m%d" % n for n in range(50)))
        self.assertEqual([reader.message()["data"] for _ in range(50)], ["m%d" % n for n in range(50)])
        reader.expect_nothing()
        self.wait_last(50, a, b)
        c = self.stream_node("c")
        self.assertEqual(len(self.history(a, "news.1")), 50)
        for node in (b, c):
            self.assertEqual(self.history(node, "news.1"), self.history(a, "news.1"), node.name)


if __name__ == "__main__":
    unittest.main()
