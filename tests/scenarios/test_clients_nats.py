"""A client of NATS that nobody here wrote, npm's `nats`, beside a node: in `make clients` alone."""
import json
import os
import unittest

from client_test import ALL, MODULES, SCRIPTS
from janus_test import Beside
from nodes_test import NodesTest


@unittest.skipUnless(ALL, "in `make clients`")
class Npm(NodesTest):
    def beside(self, *subjects):
        client = Beside("node", os.path.join(SCRIPTS, "nats.js"), self.nats.url, *subjects, env=dict(os.environ, NODE_PATH=MODULES))
        self.addCleanup(client.kill)
        self.assertEqual(client.next(), {"subscribed": list(subjects)})
        return client

    def test_to_and_fro(self):
        a = self.node("a")
        events, inbox = a.sse("/sub/events"), a.websocket().login("b.ob")
        self.wait_interest("janus.topic.events")
        self.wait_interest("janus.inbox.b%2Eob")
        client = self.beside("janus.topic.>", "janus.inbox.*")
        a.post("/pub/events?event=price&message_id=m1", {"eur": 7.5})
        got = client.next()
        self.assertEqual((got["subject"], json.loads(got["data"]), got["headers"]["Content-Type"]), ("janus.topic.events", {"eur": 7.5}, "application/json"))
        self.assertEqual((got["headers"]["Janus-Event"], got["headers"]["Janus-Message-Id"]), ("price", "m1"))
        self.assertEqual(events.event().type, "price")
        a.post("/send/b.ob", "\u017elu\u0165")
        got = client.next()
        self.assertEqual((got["subject"], got["data"]), ("janus.inbox.b%2Eob", "\u017elu\u0165"))
        self.assertEqual(inbox.message()["data"], "\u017elu\u0165")
        client.tell(subject="janus.topic.events", data="hi")
        event = events.event()
        self.assertEqual((event.type, event.data), ("message", "hi"))
        client.tell(subject="janus.topic.events", data='{"n":1}', headers={"Content-Type": "application/json", "Janus-Event": "count"})
        event = events.event()
        self.assertEqual((event.type, event.json()), ("count", {"n": 1}))
        client.tell(subject="janus.inbox.b%2Eob", data="x")
        self.assertEqual(inbox.message()["data"], "x")


if __name__ == "__main__":
    unittest.main()
