"""What a publish to a topic of the stream is answered: the stream's id, when the stream has it; and that it has it once, whoever dies."""
import os
import threading
import time
import unittest

from janus_test import SLOWNESS, wait_until
from nodes_test import CrashNodesTest
from test_nodes_stream import StreamTest
from web_clients import request


class AnswersTest(StreamTest):
    def ids(self, node, topic):
        return [i for i, _ in self.history(node, topic)]

    def history_is(self, topic, wanted, *nodes):
        """On all of these, with one id each, which are returned."""
        for node in nodes:
            wait_until(lambda: len(self.history(node, topic)) >= len(wanted), 15, "%d messages of %s" % (len(wanted), topic))
            self.assertEqual([data for _, data in self.history(node, topic)], wanted, node.name)
            self.assertEqual(self.ids(node, topic), self.ids(nodes[0], topic))
        return self.ids(nodes[0], topic)


class Answers(AnswersTest):
    def test_ids(self):
        """The id in the answer is the message's on all nodes, whatever is spoken."""
        a, b = self.stream_node("a"), self.stream_node("b")
        reader, own = b.packet().subscribe("news.1"), a.packet().subscribe("news.1")
        told = [a.post("/pub/news.1", "0"), b.post("/pub/news.1", "1")]
        actions, packet = a.websocket(), a.packet()
        actions.action("publish", topic="news.1", data="2", ref=7)
        told.append(actions.message())
        self.assertEqual((told[-1]["ok"], told[-1]["ref"]), (True, 7))
        packet.op("publish", topic="news.1", data="3", receipt=True)
        told.append(packet.message())
        told += a.post("/pub", [{"topic": "news.1", "data": "4"}, {"topic": "news.1", "data": "5"}])
        ids = self.history_is("news.1", [str(n) for n in range(6)], a, b)
        self.assertEqual([t["id"].text for t in told], ids)
        self.assertEqual({t["subscribers"] for t in told}, {1})
        for client in (reader, own):
            self.assertEqual([client.message()["id"].text for _ in range(6)], ids)
            client.expect_nothing()

    def test_beside_others(self):
        """Of a request with messages for it and others, each has its own id; with a key that is refused."""
        a = self.stream_node("a")
        a.packet().subscribe("plain")
        array = [{"topic": "news.1", "data": "x"}, {"topic": "plain", "data": "y"}, {"topic": "nobody", "data": "z"}, {"topic": "news.2", "data": "x"}]
        told = a.post("/pub", array)
        self.assertEqual([(t["id"] is None, t["subscribers"]) for t in told], [(False, 0), (False, 1), (True, 0), (False, 0)])
        self.wait_last(2, a)
        self.assertEqual([t["id"].text for t in told[::3]], self.ids(a, "news.1") + self.ids(a, "news.2"))
        a.post("/pub", array, fields=[("Idempotency-Key", "k")], status=400)

    def test_all_nodes(self):
        """With `nodes=all` too, the answer waits for both."""
        a, b = self.stream_node("a"), self.stream_node("b")
        self.wait_joined(a, b)
        b.packet().subscribe("news.1")
        told = []

        def ask():
            told.append(a.post("/pub/news.1?nodes=all", "x"))
            return told[-1]["subscribers"], told[-1]["nodes"], told[-1]["nodes_known"]
        wait_until(lambda: ask() == (1, 2, 2), 15, "all nodes to answer in time")
        self.assertEqual([t["id"].text for t in told], self.history_is("news.1", ["x"] * len(told), a, b))

    def test_keys(self):
        """What is repeated with its key is there once, and answered with the same id, on whatever node."""
        a, b = self.stream_node("a"), self.stream_node("b")
        key = [("Idempotency-Key", '"k"')]
        answers = [node.ask("POST", "/pub/news.1", b"x", key) for node in (a, a, b)]
        self.assertEqual([answer.get("Idempotent-Replayed") for answer in answers], [None, "true", "true"])
        array = [[{"topic": "news.1", "data": n} for n in range(2)], key + [("Content-Type", "application/json")]]
        many = [node.post("/pub", array[0], fields=key) for node in (a, b)]
        ids = self.history_is("news.1", ["x", 0, 1], a, b)
        self.assertEqual({answer.json()["id"].text for answer in answers}, {ids[0]})
        self.assertEqual([[t["id"].text for t in told] for told in many], [ids[1:]] * 2)

    def test_crowd(self):
        """More at a time than have notes; on one connection, one behind the other."""
        a, b = self.stream_node("a"), self.stream_node("b")
        clients = [a.http() for _ in range(150)]
        for n, client in enumerate(clients):
            client.send(b"".join(request("POST", "/pub/news.%d" % (n % 3), b"%d" % n) for _ in range(2)))
        told = {topic: [] for topic in range(3)}
        for n, client in enumerate(clients):
            for _ in range(2):
                told[n % 3].append((client.answer().json()["id"].text, str(n)))
        for topic in told:
            name = "news.%d" % topic
            for node in (a, b):
                wait_until(lambda: len(self.history(node, name)) == 100, 15, "all of %s" % name)
                self.assertEqual(sorted(self.history(node, name)), sorted(told[topic]))

    def test_silent(self):
        """While the stream says nothing, who waits is told so after some time; what was published is there when it is back, once."""
        a = self.stream_node("a", "nats_stream_timeout=%dms" % (600 * SLOWNESS))     # (it has as long for the last one)
        self.nats.kill()
        actions, fire = a.websocket(), a.websocket()
        fire.action("publish", topic="news.1", data="1")
        wait_until(lambda: a.janus.count("published") == 1, 10, "it to be published")
        begun = time.monotonic()
        answer = a.ask("POST", "/pub/news.1", b"2")
        self.assertGreater(time.monotonic() - begun, 0.5)
        self.assertEqual(answer.status, 503, answer)
        self.assertIn("not said in time", answer.json()["error"])
        actions.action("publish", topic="news.1", data="3", ref=1)
        actions.expect_error("not said in time", ref=1)
        self.nats.start()
        self.wait_stream(a)
        self.history_is("news.1", ["1", "2", "3"], a)
        self.assertEqual(a.post("/pub/news.1", "4")["id"].text, wait_until(lambda: self.ids(a, "news.1")[3:], 10, "the next one")[0])

    def test_silent_crowd(self):
        """Of many who would wait, those for whom there is no room are told so at once, and are not published."""
        a = self.stream_node("a", "nats_stream_timeout=%ds" % SLOWNESS, workers=1)
        self.nats.kill()
        self.wait_stream(a, state="away")
        clients = [a.http() for _ in range(100)]
        for n, client in enumerate(clients):
            client.send(request("POST", "/pub/news.1", b"%d" % n))
        errors = []
        for client in clients:
            answer = client.answer()
            self.assertEqual((answer.status, answer.get("Retry-After")), (503, "5"))
            errors.append(answer.json()["error"])
        waited = [str(n) for n, error in enumerate(errors) if "not said in time" in error]
        self.assertEqual((len(waited), sum("was not published" in error for error in errors)), (64, 36))
        self.nats.start()
        self.wait_stream(a)
        wait_until(lambda: len(self.history(a, "news.1")) >= 64, 15, "what was published")
        self.assertEqual(sorted(data for _, data in self.history(a, "news.1")), sorted(waited))

    def test_given_again(self):
        """What a bridge has to give to the stream once more, as it died, nobody has repeated."""
        a = self.stream_node("a", workers=1)
        for n in range(3):
            client = a.http()
            client.send(request("POST", "/pub/news.1", b"%d" % n))
            a.kill_bridge()
            answer = client.answer()
            self.assertEqual((answer.status, answer.get("Idempotent-Replayed")), (200, None))


class Deaths(AnswersTest, CrashNodesTest):
    def crash_stream_node(self, name, *options, **more):
        node = self.crash_node(name, "nats_stream=events", "history=news.*: 1000 messages", *options, connected=False, **more)
        self.wait_stream(node)
        return node

    def test_worker_at_each_point(self):
        a = self.crash_stream_node("a", workers=1)
        told = []
        for n, point in enumerate(("waiting-noted", "publish-intended", "publish-committed", "publish-unlocked", "answer-unwritten", "waiting-published", "answer-written")):
            with self.subTest(point=point):
                armed = self.arm(a.crash_folder, point)
                told.append(a.post("/pub/news.1", str(2 * n))["id"].text)
                self.assertFalse(os.path.exists(armed), "nobody came by")
                self.arm(a.crash_folder, point)
                actions = a.websocket()
                actions.action("publish", topic="news.1", data=str(2 * n + 1), ref=1)
                told.append(actions.message()["id"].text)
        self.assertEqual(told, self.history_is("news.1", [str(n) for n in range(14)], a))
        a.janus.forgive_deaths()

    def test_bridge_at_each_point(self):
        """Whatever it has done of it, the stream has it once, and it is answered."""
        a = self.crash_stream_node("a")
        told = []
        for n, point in enumerate(("bridge-published", "bridge-sent", "bridge-stream-acked", "bridge-came", "bridge-put")):
            with self.subTest(point=point):
                self.arm(a.crash_folder, point)
                told.append(a.post("/pub/news.1", str(n))["id"].text)
                wait_until(lambda: self.stream(a)["state"] == "here", 15, "the stream to be here again")
        self.assertEqual(told, self.history_is("news.1", [str(n) for n in range(5)], a))
        a.janus.forgive_deaths()

    def test_killed_under_way(self):
        """Workers and the bridge, while many publish: each has the id of its message, which is there once."""
        a, b = self.stream_node("a"), self.stream_node("b")
        told, over = [], threading.Event()

        def publish(name):
            client, n = a.http(), 0
            while not over.is_set():
                told.append((client.ask("POST", "/pub/news.%d" % name, b"%d.%d" % (name, n)).json()["id"].text, "%d.%d" % (name, n)))
                n += 1
        threads = [threading.Thread(target=publish, args=(name,), daemon=True) for name in range(4)]
        for thread in threads:
            thread.start()
        for slot in (0, 1):
            a.janus.kill_worker(slot)
            a.kill_bridge()
        self.wait_stream(a)
        over.set()
        for thread in threads:
            thread.join(30 * SLOWNESS)
        self.assertGreater(len(told), 8)
        for node in (a, b):
            for name in range(4):
                mine = [(i, data) for i, data in told if data.startswith("%d." % name)]
                wait_until(lambda: len(self.history(node, "news.%d" % name)) >= len(mine), 15, "all of news.%d" % name)
                self.assertEqual(self.history(node, "news.%d" % name), mine[-1000:])


if __name__ == "__main__":
    unittest.main()
