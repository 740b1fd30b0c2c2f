"""Another layout of shared memory while sessions are in the middle of what history alone has, and a poll waits."""
import json
import os
import unittest

import janus_test
from janus_test import Server, wait_until
from programs import OTHER_BUILD, Program
from test_history import SMALL, HistoryTest
from web_clients import WEB, Packet, WebSocket, request


class Upgrade(HistoryTest):
    def begin(self, *options):
        """A server whose program can be replaced."""
        server = Server(*options, workers=2, listen=WEB)
        self.addCleanup(self._end, server)
        self.program = Program(janus_test.BUILD, os.path.join(server.folder, "bin"))
        server.build = self.program.folder
        server.start()
        self._janus = server
        self.find_addresses()

    def publish_more(self, count):
        """Numbers that go on, in three topics by turns."""
        items = [{"topic": "a%d" % (n % 3), "data": {"n": n, "fill": "x" * 900}} for n in range(self.published_count, self.published_count + count)]
        self.published_count += count
        answer = self.ask("POST", "/pub", json.dumps(items).encode())
        self.assertEqual(answer.status, 200)
        return answer.json()[0]["id"]

    def resume(self, kind, topics, since):
        if kind == "packet":
            client = self.connect(Packet, "packet", rcvbuf=4096)
            client.op("subscribe", topic=topics, **({"since": since} if since else {}))
        else:
            client = self.connect(WebSocket, "http", rcvbuf=4096).upgrade()
            client.action("subscribe", topic=topics, since=since)
        return client

    def test_behind(self):
        self.begin("history=*: 100000 messages", *SMALL, "send_buffer=8K")
        self.published_count = 0
        since = self.publish_more(50).text.partition("-")[0] + "-0"
        for _ in range(59):
            self.publish_more(50)       # the ring has the last third of it
        clients = [self.resume(kind, ["a0", "a1", "a2"], since) for kind in ("packet", "websocket") * 2]
        poll = self.http()
        poll.send(request("GET", "/poll/p"))
        wait_until(lambda: self.janus.behind() == len(clients) and self.janus.subscriptions() == 3 * len(clients) + 1)
        for build in (OTHER_BUILD, janus_test.BUILD):
            self.program.put(build)
            status, _, err = self.janus.reload()
            self.assertEqual(status, 0, err)
            self.publish_more(50)
        self.publish("p", 5)
        self.assertEqual([m["data"] for m in poll.answer().json()["messages"]], [5])
        for client in clients:
            told = client.message(20)
            self.assertEqual((told["ok"], told["recovered"]), (True, True))
            self.assertEqual([client.message(20)["data"]["n"] for _ in range(self.published_count)], list(range(self.published_count)))
        answer = self.history("a0", since=since, limit=1000)
        self.assertIs(answer["recovered"], True)
        self.assertEqual([m["data"]["n"] for m in answer["messages"]], list(range(0, self.published_count, 3))[:len(answer["messages"])])
        self.assertGreater(len(answer["messages"]), 100)


    def test_nothing_was_missed(self):
        """A topic's first message in the new ring: who has all before it is told so, though those are in no ring any more."""
        self.begin("history=a*: 100000 messages", *SMALL, "send_buffer=8K")
        held = self.resume("packet", ["b"], None)
        held.message(20)
        had = self.ask("POST", "/pub/a", b"1").json()["id"].text
        unheard = self.websocket()
        unheard.action("subscribe", topic="c")
        unheard.message(20)
        only = self.ask("POST", "/pub/c", b"1").json()["id"].text
        while not self.janus.behind():
            self.ask("POST", "/pub", json.dumps([{"topic": "b", "data": "x" * 2000}] * 20).encode())
        self.ask("POST", "/pub", json.dumps([{"topic": "b", "data": "x" * 2000}] * 20 + [{"topic": t, "data": 2} for t in "ac"]).encode())
        self.program.put(OTHER_BUILD)
        status, _, err = self.janus.reload()
        self.assertEqual(status, 0, err)
        for topic, since in (("a", had), ("c", only)):
            client = self.resume("websocket", [topic], since)
            told = client.message(20)
            self.assertEqual((told["ok"], told["recovered"]), (True, True), topic)
            self.assertEqual(client.message(20)["data"], 2)


if __name__ == "__main__":
    unittest.main()
