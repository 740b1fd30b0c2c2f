"""How many subscribers a message has on all nodes (`nodes=all`): the answer waits for the others; the message is published at once, and once."""
import os
import shutil
import signal
import socket
import tempfile
import unittest

from janus_test import wait_until
from nodes_test import CrashNodesTest, NodesTest
from programs import OTHER_BUILD, Program
from web_clients import WebTest, request


def counted(answer):
    return tuple(answer[name] for name in ("subscribers", "nodes", "nodes_known"))


class CountTest(NodesTest):
    def pub(self, node, target):
        return counted(node.post(target, "x"))

    @staticmethod
    def wait_counted(ask, wanted):
        """Whoever does not answer within a quarter of a second is not counted; on a busy machine it is asked again. How often it was."""
        got = []

        def as_wanted():
            got.append(ask())
            return got[-1] == wanted
        try:
            wait_until(as_wanted, 15)
        except AssertionError:
            raise AssertionError("%r is counted, not %r" % (got[-5:], wanted)) from None
        return len(got)

    def topic(self, node, topic, nodes="?nodes=all"):
        return node.ask("GET", "/topics/" + topic + nodes).json()

    def hold(self, node):
        """Stops its bridge, so that it says nothing."""
        pid = node.bridge()
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.go_on, pid)
        return pid

    @staticmethod
    def go_on(pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def reader(self, node, topic, count=2):
        """A subscriber, of whom all nodes know."""
        reader = node.packet().subscribe(topic)
        self.wait_interest("janus.topic." + topic, count)
        return reader

    @staticmethod
    def expect_once(*readers):
        for reader in readers:
            assert reader.message()["data"] == "x"
            reader.expect_nothing()


class Counts(CountTest):
    def test_sum(self):
        """Subscriptions of the name and of patterns that fit, on every node, whatever asks."""
        a, b, c = self.nodes("a", "b", "c", options=("broadcast=on",))
        self.wait_counted(lambda: self.pub(a, "/pub/a.b?nodes=all"), (0, 3, 3))
        readers = [a.packet().subscribe("a.b"), b.packet().subscribe("a.b", "a.*"), c.websocket().subscribe(">"), c.packet().login("b.o b")]
        for node in (a, b, c):
            self.wait_counted(lambda: self.pub(node, "/pub/a.b?nodes=all&event=e"), (4, 3, 3))
        self.wait_counted(lambda: self.pub(a, "/send/b.o%20b?nodes=all"), (1, 3, 3))
        everybody = [node.post("/broadcast", "x")["subscribers"] for node in (a, b, c)]
        self.wait_counted(lambda: self.pub(b, "/broadcast?nodes=all"), (sum(everybody), 3, 3))
        self.assertGreater(sum(everybody), max(everybody))
        actions = b.websocket()
        for n, (action, to, count) in enumerate((("publish", {"topic": "a.b"}, 4), ("send", {"user": "b.o b"}, 1))):
            def ask():
                actions.action(action, data=1, nodes="all", ref=n, **to)
                answer = wait_until(lambda: next((m for m in [actions.message()] if "ok" in m), None), 10, "an answer")
                self.assertEqual((answer["ok"], answer["ref"]), (True, n))
                return counted(answer)
            self.wait_counted(ask, (count, 3, 3))
        # who does not ask is answered as ever, and at once
        self.assertEqual(set(a.post("/pub/a.b", 1)), {"id", "subscribers"})
        readers[1].close()
        wait_until(lambda: self.pub(a, "/pub/a.b?nodes=all") == (2, 3, 3), 10, "a subscriber to go")

    def test_packets(self):
        a, b = self.nodes("a", "b")
        reader, packet = self.reader(b, "t", 1), a.packet()

        def publish():
            packet.op("publish", topic="t", data="x", receipt=True, nodes="all", ref=1)
            answer = packet.message()
            self.expect_once(reader)
            self.assertEqual((answer["ok"], answer["ref"]), (True, 1))
            return counted(answer)

        def send():
            packet.op("send", user="t", data="x", receipt=True, nodes="all")
            return counted(packet.message())
        self.wait_counted(publish, (1, 2, 2))
        self.wait_counted(send, (0, 2, 2))
        # (without a receipt nobody is answered)
        packet.op("publish", topic="t", data="x", nodes="all")
        packet.op("ping", ref=2)
        self.assertEqual(packet.message(), {"ok": True, "ref": 2})
        self.expect_once(reader)

    def test_topic(self):
        """Who holds a topic or a pattern, on all nodes: those of patterns that fit it are theirs."""
        a, b, c = self.nodes("a", "b", "c", options=("topics=on",))
        held = {"a.b": 3, "a.*": 1, "a.b@presence": 1, "%25%20%2C%2A": 1}
        readers = [a.packet().subscribe("a.b"), b.packet().subscribe("a.b", "a.*"), b.websocket().subscribe("a.b"), c.websocket().subscribe("a.b@presence"), c.websocket().subscribe("% ,*")]
        for topic, count in held.items():
            for node in (a, b, c):
                self.wait_counted(lambda: counted(self.topic(node, topic)), (count, 3, 3))
        found = self.topic(b, "a.b")
        self.assertEqual(list(found), ["topic", "subscribers", "nodes", "nodes_known", "transports", "rate", "published", "last"])
        self.assertEqual(found["transports"], {"packet": 1, "websocket": 1})
        self.assertEqual(self.topic(b, "a.b", ""), {"topic": "a.b", "subscribers": 2, "transports": {"packet": 1, "websocket": 1}, "rate": 0, "published": 0, "last": None})
        # of what is not here the rest is nothing, and it is no error that it is not
        self.wait_counted(lambda: self.topic(c, "a.b"), {"topic": "a.b", "subscribers": 3, "nodes": 3, "nodes_known": 3, "transports": {}, "rate": 0, "published": 0, "last": None})
        self.assertEqual(c.ask("GET", "/topics/a.b").status, 404)
        self.wait_counted(lambda: counted(self.topic(a, "none")), (0, 3, 3))
        self.wait_counted(lambda: counted(c.ask("GET", "/topics?topic=a.b&nodes=all").json()), (3, 3, 3))
        # what follows on the connection is answered after it
        client = c.http()
        client.send(b"".join(request("GET", "/topics/a.b" + "?nodes=all" * (n % 2)) for n in range(6)))
        self.assertEqual([client.answer().status for _ in range(6)], [404, 200] * 3)
        for node in (a, b, c):
            self.assertEqual(node.janus.stats()["counters"].get("nodes_refused", 0), 0)
        for reader in readers:
            reader.close()

    def test_many(self):
        """More requests at a time than have notes, and each is counted by itself."""
        a, b = self.nodes("a", "b")
        readers = [b.packet().subscribe(*["t.%d" % n for n in range(200) if n % (k + 1) == 0]) for k in range(4)]
        askers = [a.http() for _ in range(200)]
        for n, asker in enumerate(askers):
            asker.send(request("POST", "/pub/t.%d?nodes=all" % n, b"x"))
        asked = ["t.%d" % n for n in range(200)]
        for n, asker in enumerate(askers):
            answer, wanted = counted(asker.answer().json()), (sum(n % (k + 1) == 0 for k in range(4)), 2, 2)
            if answer != wanted:
                self.assertEqual(answer, (0, 1, 2), n)
                asked += ["t.%d" % n] * self.wait_counted(lambda: counted(asker.ask("POST", "/pub/t.%d?nodes=all" % n, b"x").json()), wanted)
        for k, reader in enumerate(readers):
            mine = sorted(topic for topic in asked if int(topic[2:]) % (k + 1) == 0)
            self.assertEqual(sorted(reader.message()["topic"] for _ in mine), mine)
            reader.expect_nothing()

    def test_pipelined(self):
        """What follows such a request on its connection is answered after it, each once; also when the client sends no more."""
        a, b = self.nodes("a", "b")
        reader = self.reader(b, "t", 1)

        def ask():
            client = a.http()
            client.send(b"".join(request("POST", "/pub/t" + "?nodes=all" * (n % 2), b"%d" % n) for n in range(10)))
            client.socket.shutdown(socket.SHUT_WR)
            answers = [client.answer().json() for _ in range(10)]
            self.assertEqual([reader.message()["data"] for _ in range(10)], [str(n) for n in range(10)])
            return [(answer["subscribers"], answer.get("nodes")) for answer in answers]
        self.wait_counted(ask, [(0, None), (1, 2)] * 5)
        actions = a.websocket()
        for n in range(10):
            actions.action("publish", topic="t", data=n, ref=n, **({"nodes": "all"} if n % 2 else {}))
        actions.action("ping", ref="end")
        for n in range(10):
            self.assertEqual(actions.message()["ref"], n)
        self.assertEqual(actions.message()["ref"], "end")
        self.assertEqual([reader.message()["data"] for _ in range(10)], list(range(10)))

    def test_key(self):
        """What is repeated is published once, and counted again."""
        a, b = self.nodes("a", "b")
        reader = self.reader(b, "t", 1)
        key, ids, replayed = [("Idempotency-Key", '"k"')], [], []

        def ask():
            answer = a.ask("POST", "/pub/t?nodes=all", b"x", key)
            ids.append(answer.json()["id"])
            replayed.append(answer.get("Idempotent-Replayed"))
            return counted(answer.json())
        for _ in range(2):
            self.wait_counted(ask, (1, 2, 2))
        self.assertEqual(replayed, [None] + ["true"] * (len(replayed) - 1))
        self.assertEqual(ids, ids[:1] * len(ids))
        self.assertEqual(a.ask("POST", "/pub/t?nodes=all", b"y", key).status, 422)
        self.expect_once(reader)

    def test_silent(self):
        """Who says nothing is not counted, and holds nobody up for long: neither the message nor, for more than a moment, the answer."""
        a, b, c = self.nodes("a", "b", "c", options=("topics=on",))
        readers = [self.reader(node, "t", n + 1) for n, node in enumerate((a, b, c))]
        self.hold(b)
        client = a.http()

        def ask():
            client.send(request("POST", "/pub/t?nodes=all", b"x"))
            self.expect_once(readers[0], readers[2])
            return counted(client.answer().json())
        self.wait_counted(ask, (2, 2, 3))
        self.wait_counted(lambda: counted(self.topic(c, "t")), (2, 2, 3))

    def test_away(self):
        """Without NATS this node alone is counted, at once."""
        a, b = self.nodes("a", "b", options=("topics=on",))
        reader = self.reader(a, "t", 1)
        self.nats.kill()
        wait_until(lambda: a.nodes()["state"] == "away", 10, "NATS to be away")
        self.assertEqual(self.pub(a, "/pub/t?nodes=all"), (1, 1, 2))
        self.assertEqual(counted(self.topic(a, "t")), (1, 1, 2))
        self.expect_once(reader)
        self.nats.start()
        for node in (a, b):
            node.wait_connected()
        wait_until(lambda: self.pub(a, "/pub/u?nodes=all") == (0, 2, 2), 10, "the other one to answer")


class Deaths(CountTest, CrashNodesTest):
    """Whoever dies: the request is answered on its connection, and its message comes once."""

    def waiting(self, b, *options, **more):
        """A request on a, which has one worker, that waits for b, which says nothing: (a, b, its client, a subscriber on a). It is published."""
        a = self.node("a", *options, workers=1, **more)
        self.wait_joined(a, b)
        reader = self.reader(a, "t", 1)
        self.hold(b)
        client = a.http()
        client.send(request("POST", "/pub/t?nodes=all", b"x"))
        self.assertEqual(reader.message()["data"], "x")
        return a, client, reader

    def test_worker_killed(self):
        b = self.node("b")
        a, client, reader = self.waiting(b, "topics=on")
        looker = a.http()
        looker.send(request("GET", "/topics/t?nodes=all"))
        a.janus.kill_worker()
        self.assertEqual(counted(client.answer().json()), (1, 1, 2))
        self.assertEqual(counted(looker.answer().json()), (1, 1, 2))
        reader.expect_nothing()

    def test_reload(self):
        b = self.node("b")
        a, client, reader = self.waiting(b)
        self.assertEqual(a.janus.reload()[0], 0)
        self.assertEqual(counted(client.answer().json())[:2], (1, 1))
        reader.expect_nothing()

    def test_stop(self):
        """It is answered before the server is gone."""
        b = self.node("b")
        a, client, _ = self.waiting(b)
        a.janus.kill(a.janus.master, "master", signal.SIGTERM)
        self.assertEqual(counted(client.answer().json())[:2], (1, 1))

    def test_other_layout(self):
        """Before an upgrade to another layout of shared memory it is answered with what is known."""
        b = self.node("b")
        folder = tempfile.mkdtemp(prefix="janus-program-")
        self.addCleanup(shutil.rmtree, folder)
        program = Program(b.janus.build, os.path.join(folder, "bin"))
        a, client, reader = self.waiting(b, "topics=on", build=program.folder)
        looker = a.http()
        looker.send(request("GET", "/topics/t?nodes=all"))
        program.put(OTHER_BUILD)
        status, _, err = a.janus.reload()
        self.assertEqual(status, 0, err)
        self.assertEqual(counted(client.answer().json())[:2], (1, 1))
        self.assertEqual(counted(looker.answer().json())[:2], (1, 1))
        reader.expect_nothing()
        a.wait_connected()

    def test_worker_at_each_point(self):
        a, b = self.crash_node("a", "topics=on", workers=1), self.node("b")
        self.wait_joined(a, b)
        reader, there = self.reader(a, "t", 1), self.reader(b, "t", 2)
        for point in ("waiting-noted", "publish-intended", "publish-unlocked", "answer-unwritten", "waiting-published", "answer-written"):
            with self.subTest(point=point):
                client, actions = a.http(), a.websocket()

                def ask():
                    armed = self.arm(a.crash_folder, point)
                    client.send(request("POST", "/pub/t?nodes=all", b"x"))
                    answer = counted(client.answer().json())
                    self.expect_once(reader, there)
                    self.assertFalse(os.path.exists(armed), "nobody came by")
                    return answer

                def act():
                    self.arm(a.crash_folder, point)
                    actions.action("publish", topic="t", data="x", nodes="all", ref=1)
                    answer = counted(actions.message())
                    self.expect_once(reader, there)
                    return answer
                self.wait_counted(ask, (2, 2, 2))
                self.wait_counted(act, (2, 2, 2))

        def look():
            armed = self.arm(a.crash_folder, "waiting-noted")
            answer = counted(self.topic(a, "t"))
            self.assertFalse(os.path.exists(armed), "nobody came by")
            return answer
        self.wait_counted(look, (2, 2, 2))
        packet = a.packet()

        def pack():
            armed = self.arm(a.crash_folder, "waiting-published")
            packet.op("publish", topic="t", data="x", receipt=True, nodes="all")
            answer = counted(packet.message())
            self.expect_once(reader, there)
            self.assertFalse(os.path.exists(armed), "nobody came by")
            return answer
        self.wait_counted(pack, (2, 2, 2))
        a.janus.forgive_deaths()

    def test_bridge_at_each_point(self):
        """That asks, or that is asked: within its time the next one says it, or it is not counted."""
        a, b = self.crash_node("a"), self.crash_node("b")
        self.wait_joined(a, b)
        reader = self.reader(b, "t", 1)
        for point in ("bridge-counting", "bridge-counted"):
            with self.subTest(point=point):
                armed = self.arm(a.crash_folder, point)
                answer = a.post("/pub/t?nodes=all", "x")
                self.assertIn(counted(answer), ((1, 2, 2), (0, 1, 2)))
                self.assertFalse(os.path.exists(armed), "nobody came by")
                self.expect_once(reader)
                self.wait_joined(a, b)
                wait_until(lambda: self.pub(a, "/pub/none?nodes=all") == (0, 2, 2), 10, "the other one to answer")
        for node in (a, b):
            node.janus.forgive_deaths()


class Alone(WebTest):
    options = ("topics=on",)

    def test_alone(self):
        """A server that is joined with none is all there is."""
        reader = self.packet().subscribe("t")
        self.assertEqual(counted(self.post("/pub/t?nodes=all", "x")), (1, 1, 1))
        actions = self.websocket()
        actions.action("publish", topic="t", data="y", nodes="all", ref=1)
        self.assertEqual(counted(actions.message()), (1, 1, 1))
        # (without a ref nobody is answered)
        actions.action("publish", topic="t", data="z", nodes="all")
        self.assertEqual(counted(self.ask("GET", "/topics/t?nodes=all").json()), (1, 1, 1))
        self.assertEqual(counted(self.ask("GET", "/topics/none?nodes=all").json()), (0, 1, 1))
        self.assertEqual([reader.message()["data"] for _ in range(3)], ["x", "y", "z"])

    def test_refused(self):
        """There is one word, for one message."""
        for target in ("/pub/t?nodes=some", "/pub/t?nodes=", "/pub/t?nodes=all&nodes=all", "/send/bob?nodes=3"):
            self.assertEqual(self.ask("POST", target, b"x").status, 400, target)
        self.assertEqual(self.ask("POST", "/pub?nodes=all", b"[]", [("Content-Type", "application/json")]).status, 400)
        for target in ("/sub/t?nodes=all", "/topics?nodes=all", "/topics?prefix=t&nodes=all", "/topics/t?nodes=some", "/topics/t?nodes="):
            self.assertEqual(self.ask("GET", target).status, 400, target)
        actions = self.websocket()
        for members in ({"nodes": "some"}, {"nodes": 1}, {"nodes": None}):
            actions.action("publish", topic="t", data="y", ref=1, **members)
            actions.expect_error("nodes is none that is known: all", ref=1)
        actions.action("subscribe", topic="t", nodes="all", ref=1)
        actions.expect_error("nodes", ref=1)
        packet = self.packet()
        for nodes in ("some", 1, None):
            packet.op("publish", topic="t", data="y", receipt=True, nodes=nodes, ref=1)
            packet.expect_error("nodes is none that is known: all", ref=1)


if __name__ == "__main__":
    unittest.main()
