"""Nodes with one history, in a stream of JetStream: one order, one id, on all of them."""
import glob
import json
import os
import re
import shutil
import signal
import tempfile
import unittest

from janus_test import ROOT, wait_until
from nodes_test import CrashNodesTest, NodesTest, steadily
from programs import OTHER_BUILD, Program

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

    def ask_stream(self, nats, what, question):
        if not self.number:
            nats.subscribe("answers.>")
        self.number += 1
        nats.publish("$JS.API." + what, json.dumps(question), reply="answers.%d" % self.number)
        answer = json.loads(nats.message(10).data)
        self.assertNotIn("error", answer)
        return answer


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


    def test_strange_headers(self):
        """A message is one, also if its publisher gave it a header that the server's own words have."""
        a = self.stream_node("a")
        client = self.nats_client()
        client.publish("janus.topic.news.1", "one", headers={"Status": "100"})
        client.publish("janus.topic.news.1", "two")
        client.flush()
        self.wait_last(2, a)
        self.assertEqual([data for _, data in self.history(a, "news.1")], ["one", "two"])

    def test_description(self):
        """Who changes a stream's description does not make another one of it."""
        a = self.stream_node("a")
        reader = a.packet().subscribe("news.1")
        self.put("news.1", "one")
        self.assertEqual(reader.message()["data"], "one")
        client, self.number = self.nats_client(), 0
        config = dict(self.ask_stream(client, "STREAM.INFO." + STREAM, {})["config"], description="events")
        self.ask_stream(client, "STREAM.UPDATE." + STREAM, config)
        epoch = self.stream(a)["epoch"]
        a.kill_bridge()
        a.wait_connected()
        self.put("news.1", "two")
        self.assertEqual(reader.message()["data"], "two")
        self.assertEqual(self.stream(a)["epoch"], epoch)


class Publishes(StreamTest):
    def test_one_order(self):
        """Publishers on three nodes: all have one order, and one id for each message."""
        nodes = [self.stream_node(name) for name in "abc"]
        readers = [node.packet().subscribe("news.1") for node in nodes]
        publishers = [node.packet() for node in nodes]
        for n in range(100):
            for publisher, node in zip(publishers, nodes):
                publisher.op("publish", topic="news.1", data="%s%d" % (node.name, n))
        came = [[reader.message(20)["data"] for _ in range(300)] for reader in readers]
        self.assertEqual(came[0], came[1])
        self.assertEqual(came[0], came[2])
        for node in nodes:
            self.assertEqual([data for data in came[0] if data.startswith(node.name)], ["%s%d" % (node.name, n) for n in range(100)])
        for reader in readers:
            reader.expect_nothing()
        self.wait_last(300, *nodes)
        self.assertEqual([data for _, data in self.history(nodes[0], "news.1")], came[0])
        for node in nodes[1:]:
            self.assertEqual(self.history(node, "news.1"), self.history(nodes[0], "news.1"))
        for node in nodes:
            wait_until(lambda: node.janus.count("nodes_stream_out") == 100, 10, "all answers")

    def test_since_elsewhere(self):
        """A position of one node means the same on another one, on one that came later, and when all have begun anew."""
        a, b = self.stream_node("a"), self.stream_node("b")
        for n in range(20):
            (a, b)[n % 2].post("/pub/news.1", n)
        self.wait_last(20, a, b)
        ids = [id for id, _ in self.history(a, "news.1")]
        want = [data for _, data in self.history(a, "news.1")][10:]

        def missed(node):
            answer = node.ask("GET", "/history/news.1?limit=1000&since=" + ids[9]).json()
            return answer["recovered"], [m["data"] for m in answer["messages"]]
        self.assertEqual(missed(b), (True, want))
        c = self.stream_node("c")
        self.assertEqual(missed(c), (True, want))
        for node in (a, b, c):
            node.janus.stop()
        d = self.stream_node("a")
        self.assertEqual(missed(d), (True, want))


    def test_key(self):
        """Of two publishes with one key, on two nodes, one counts."""
        a, b = self.stream_node("a"), self.stream_node("b")
        for node in (a, b, a):
            node.post("/pub/news.1", "once", fields=[("Idempotency-Key", "k 1")])
            node.post("/pub/news.2", "elsewhere", fields=[("Idempotency-Key", "k 1")])
        a.post("/pub/news.1", "last")
        self.wait_last(3, a, b)
        for node in (a, b):
            self.assertEqual([data for _, data in self.history(node, "news.1")], ["once", "last"])
            self.assertEqual([data for _, data in self.history(node, "news.2")], ["elsewhere"])

    def test_cluster(self):
        """Nodes on three servers of NATS, of which each has the stream."""
        cluster = self.cluster(streams=True)
        nodes = [self.node(name, "nats_stream=" + STREAM, RULES, nats=server, connected=False) for name, server in zip("abc", cluster)]
        self.wait_stream(*nodes)
        flow = Flow(nodes, nodes)
        flow.publish(20)
        flow.come()
        client = self.nats_client(cluster[0])
        self.number = 0
        self.assertEqual(self.ask_stream(client, "STREAM.INFO." + STREAM, {})["config"]["num_replicas"], 3)


    def test_not_covered(self):
        """What a stream has no subject for, and does not take, is refused; the rest goes on."""
        client, self.number = self.nats_client(), 0
        self.ask_stream(client, "STREAM.CREATE." + STREAM, {"name": STREAM, "subjects": ["janus.topic.news.1"]})
        self.ask_stream(client, "STREAM.CREATE.other", {"name": "other", "subjects": ["janus.topic.news.3"]})
        a = self.stream_node("a")
        self.assertIn("subject", self.stream(a)["error"])
        reader = a.packet().subscribe("news.1")
        for n in range(3):
            self.assertEqual(a.ask("POST", "/pub/news.2", b"x").status, 503)
            a.post("/pub/news.1", n)
        self.assertEqual([reader.message()["data"] for _ in range(3)], [0, 1, 2])
        self.assertEqual(self.stream(a)["state"], "here")

    def test_not_covered_and_away(self):
        """What a stream does have a subject for is not refused because there is another one: it comes when the stream is back."""
        client, self.number = self.nats_client(), 0
        self.ask_stream(client, "STREAM.CREATE." + STREAM, {"name": STREAM, "subjects": ["janus.topic.news.>"]})
        self.ask_stream(client, "STREAM.CREATE.other", {"name": "other", "subjects": ["janus.inbox.bob"]})
        a = self.stream_node("a")
        self.assertIn("subject", self.stream(a)["error"])
        self.ask_stream(client, "STREAM.DELETE.other", {})
        self.ask_stream(client, "STREAM.DELETE." + STREAM, {})
        a.post("/pub/news.1", "x")
        self.wait_stream(a)
        self.assertEqual([data for _, data in self.history(a, "news.1")], ["x"])


class Faults(StreamTest):
    def test_bridges_killed(self):
        """The publishers' and the others', under way: each message comes once, each publisher's in order, in one order on all nodes."""
        a, b = self.stream_node("a"), self.stream_node("b")
        flow = Flow([a, b], [a, b])
        end = flow.flowing()
        for _ in range(3):
            for node in (a, b):
                node.kill_bridge()
        end()
        flow.come()

    def test_nats_killed(self):
        """What is published meanwhile is in the stream when it is back."""
        a, b = self.stream_node("a"), self.stream_node("b")
        flow = Flow([a, b], [a, b])
        flow.publish(50)
        flow.come()
        self.nats.kill()
        flow.publish(50)
        self.nats.start()
        flow.publish(50)
        flow.come()
        self.wait_stream(a, b)
        self.assertEqual([node.janus.count("nodes_lost") for node in (a, b)], [0, 0])

    def test_pruned(self):
        """What the stream has no more when it is asked for is missed, counted, and told."""
        a, b = self.stream_node("a"), self.stream_node("b")
        b.post("/pub/news.1", "first")
        self.wait_last(1, a, b)
        nats, self.number = self.nats_client(), 0
        os.kill(a.bridge(), signal.SIGSTOP)
        self.put("news.1", *range(20))
        self.wait_last(21, b)
        self.ask_stream(nats, "STREAM.PURGE." + STREAM, {"keep": 5})
        a.kill_bridge()
        self.put("news.1", "last")
        self.wait_last(22, a, b)
        self.assertGreater(a.janus.count("nodes_stream_missed"), 0)
        self.assertEqual([data for _, data in self.history(a, "news.1")][-1], "last")

    def recovered(self, node, topic, id):
        return node.ask("GET", "/history/%s?since=%s" % (topic, id)).json()["recovered"]

    def test_holes(self):
        """Messages that went from the middle of the stream before a node has read it: nothing that they might belong to is said to be whole."""
        nats, self.number = self.nats_client(), 0
        self.ask_stream(nats, "STREAM.CREATE." + STREAM, {"name": STREAM, "subjects": ["janus.topic.news.>", "janus.inbox.>"], "max_msgs_per_subject": 1})
        self.put("news.other", "first")
        a = self.stream_node("a")
        for n in range(3):
            self.put("news.1", n)
            self.wait_last(n + 2, a)        # (before the next one takes its place)
        ids = [id for id, _ in self.history(a, "news.1")]
        b = self.stream_node("b")
        self.put("news.other", "last")
        self.wait_last(5, a, b)
        self.assertEqual([data for _, data in self.history(b, "news.1")], ["2"])
        self.assertEqual([(self.recovered(a, "news.1", id), self.recovered(b, "news.1", id)) for id in ids], [(True, False), (True, True), (True, True)])
        self.assertEqual([node.janus.count("nodes_stream_missed") for node in (a, b)], [0, 0])

    def test_deleted(self):
        """While a bridge is away, messages go from the middle of the stream, and its last one: that they did not come is counted, and said."""
        a, b = self.stream_node("a"), self.stream_node("b")
        nats, self.number = self.nats_client(), 0
        self.put("news.1", "first")
        self.wait_last(1, a, b)
        for deleted, last, missed in ((2, 3, 1), (4, 4, 2)):
            with self.subTest(deleted=deleted):
                since = self.history(b, "news.1")[-1][0]
                os.kill(a.bridge(), signal.SIGSTOP)
                self.put("news.1", *range(last - self.stream(b)["last"]))
                self.wait_last(last, b)
                self.ask_stream(nats, "STREAM.MSG.DELETE." + STREAM, {"seq": deleted})
                a.kill_bridge()
                self.wait_last(last, a)
                self.assertEqual([self.recovered(node, "news.1", since) for node in (a, b)], [False, True])
                self.assertEqual([node.janus.count("nodes_stream_missed") for node in (a, b)], [missed, 0])

    def test_made_anew(self):
        """A stream of the same name that begins anew: what is in it comes, under its own ids."""
        a, b = self.stream_node("a"), self.stream_node("b")
        nats, self.number = self.nats_client(), 0
        b.post("/pub/news.1", "old")
        self.wait_last(1, a, b)
        old = self.stream(a)["epoch"]
        self.ask_stream(nats, "STREAM.DELETE." + STREAM, {})
        for node in (a, b):
            wait_until(lambda: self.stream(node)["epoch"] != old, 30, "another stream")
        self.wait_stream(a, b)
        a.post("/pub/news.1", "new")
        self.wait_last(1, a, b)
        for node in (a, b):
            wait_until(lambda: [data for _, data in self.history(node, "news.1")] == ["old", "new"], 10, "both")

    def test_upgrade(self):
        """Programs of another layout follow one another under load: positions, and what the stream has not answered, go along."""
        a = self.stream_node("a", here=False, start=False)
        folder = tempfile.mkdtemp(prefix="janus-program-")
        self.addCleanup(shutil.rmtree, folder)
        program = Program(a.janus.build, os.path.join(folder, "bin"))
        here, a.janus.build = a.janus.build, program.folder
        a.janus.start()
        a.find_addresses()
        b = self.stream_node("b")
        self.wait_stream(a)
        flow = Flow([a, b], [a, b])
        end = flow.flowing()
        for build in (OTHER_BUILD, here):
            program.put(build)
            status, out, err = a.janus.reload()
            self.assertEqual(status, 0, err)
            self.wait_stream(a)
        end()
        flow.come()
        self.assertEqual(self.history(a, flow.topic)[-100:], self.history(b, flow.topic)[-100:])

    def config(self, *lines):
        """Of a node that is to have another one."""
        return "".join(line + "\n" for line in (
            "workers = 2", "listen = flash://127.0.0.1:0", "listen = http://127.0.0.1:0", "listen = packet://127.0.0.1:0", "session_linger = 0", "node = a",
            "nats = " + self.nats.url, RULES.replace("=", " = ", 1), *lines))

    def test_switched_off(self):
        """By a reload, while the stream is away: what it has not answered is lost, counted, and told; what it has answered is not."""
        a = self.node("a", config=self.config("nats_stream = " + STREAM))
        self.wait_stream(a)
        a.post("/pub/news.1", "there")
        self.wait_last(1, a)
        self.nats.kill()
        publisher, before = a.packet(), a.janus.count("published")
        for n in range(3):
            publisher.op("publish", topic="news.1", data=n)
        wait_until(lambda: a.janus.count("published") == before + 3, 10, "all of them")
        a.janus.configure(self.config())
        self.assertEqual(a.janus.reload()[0], 0)
        wait_until(lambda: self.stream(a)["state"] is None, 10, "the stream to be off")
        a.janus.wait_log("up to 3 messages are lost that it has not answered")
        self.assertEqual(a.janus.count("nodes_lost"), 3)

    def test_switched_on(self):
        """By a reload: who is there gets what is newer; history of before stays the node's own."""
        text = self.config()
        b = self.stream_node("b")
        b.post("/pub/news.1", "before")
        a = self.node("a", config=text)
        a.wait_connected()
        reader = a.packet().subscribe("news.1")
        a.janus.configure(text + "nats_stream = %s\n" % STREAM)
        self.assertEqual(a.janus.reload()[0], 0)
        self.wait_stream(a)
        b.post("/pub/news.1", "behind")
        a.post("/pub/news.1", "at last")
        self.assertEqual([reader.message()["data"] for _ in range(2)], ["behind", "at last"])
        a.janus.configure(text)
        self.assertEqual(a.janus.reload()[0], 0)
        wait_until(lambda: self.stream(a)["state"] is None, 10, "the stream to be off")
        a.post("/pub/news.1", "own")
        self.assertEqual(reader.message()["data"], "own")


class CrashPoints(StreamTest, CrashNodesTest):
    @staticmethod
    def points():
        """Those of the bridge that have to do with a stream, and those within what it publishes."""
        found = []
        for path in glob.glob(os.path.join(ROOT, "master", "bridge", "*.c")) + [os.path.join(ROOT, "shm", "nodes.c")]:
            with open(path) as f:
                found += re.findall(r'CRASH_POINT\("(bridge-[a-z-]+)"\)', f.read())
        return sorted(name for name in set(found) if name.startswith("bridge-stream-") and name not in ("bridge-stream-make", "bridge-stream-extend")) + ["bridge-came", "bridge-put", "bridge-noted", "bridge-published", "bridge-sent"]

    def test_each(self):
        """The bridge dies at a point, on both nodes: each message comes once, in one order."""
        points = self.points()
        a, b = (self.crash_node(name, "nats_stream=" + STREAM, RULES, connected=False) for name in "ab")
        self.wait_stream(a, b)
        flow = Flow([a, b], [a, b])
        for point in points:
            with self.subTest(point=point):
                armed = [self.arm(node.crash_folder, point, 2) for node in (a, b)]
                for _ in range(10):
                    if point == "bridge-stream-again":
                        self.unanswered(a, flow)
                    flow.publish(20)
                    flow.come()
                    if not all(os.path.exists(path) for path in armed):
                        break
                self.assertFalse(all(os.path.exists(path) for path in armed), "nobody came by")
                for path in armed:
                    if os.path.exists(path):
                        os.remove(path)
        flow.publish(20)
        flow.come()

    def unanswered(self, node, flow):
        """Its bridge is killed when NATS was given messages, and the stream has not answered."""
        for _ in range(10):
            before = node.janus.count("nodes_out")
            self.nats.kill(signal.SIGSTOP)
            try:
                flow.publish(20)
                wait_until(lambda: node.janus.count("nodes_out") >= before + 20, 2)
                return node.kill_bridge(wait=False)
            except AssertionError:
                pass            # its bridge has died just before, and the next one can't begin now
            finally:
                self.nats.kill(signal.SIGCONT)
            flow.come()
        return self.fail("no messages are given to NATS")

    def test_made(self):
        """It dies before the stream is made: the next one makes it. (Until NATS has streams, there is none.)"""
        self.nats.kill()
        self.nats.streams = False
        self.nats.start()
        a = self.crash_node("a", "nats_stream=" + STREAM, RULES)
        wait_until(lambda: "JetStream" in self.stream(a)["error"], 10, "no JetStream")
        path = self.arm(a.crash_folder, "bridge-stream-make")
        self.nats.kill()
        self.nats.streams = True
        self.nats.start()
        self.wait_stream(a)
        self.assertFalse(os.path.exists(path))


class Flow:
    """Messages with numbers, of publishers on some nodes, to readers on some: each must have all, each publisher's in order, and all readers the same order."""

    def __init__(self, publishers, readers, topic="news.flow"):
        self.topic, self.sent = topic, 0
        self.publishers = [node.packet() for node in publishers]
        self.readers = [node.packet().subscribe(topic) for node in readers]
        self.had = [[] for _ in readers]

    def publish(self, count):
        for _ in range(count):
            for number, publisher in enumerate(self.publishers):
                publisher.op("publish", topic=self.topic, data=[number, self.sent])
            self.sent += 1

    def flowing(self):
        return steadily(lambda: self.publish(3), 0.005)

    def come(self, seconds=40):
        for reader, had in zip(self.readers, self.had):
            while len(had) < self.sent * len(self.publishers):
                had.append(tuple(reader.message(seconds)["data"]))
            reader.expect_nothing()
            for number in range(len(self.publishers)):
                mine = [n for of, n in had if of == number]
                if mine != list(range(self.sent)):
                    raise AssertionError("publisher %d: not in order, or not all: %r" % (number, mine))
        if any(had != self.had[0] for had in self.had):
            raise AssertionError("not one order")


if __name__ == "__main__":
    unittest.main()
