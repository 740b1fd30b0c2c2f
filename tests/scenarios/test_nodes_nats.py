"""Nodes and NATS' own clients: subjects, payloads, headers; what is refused."""
import json
import os
import shutil
import tempfile
import unittest

from janus_test import wait_until
from nodes_test import NodesTest

# How topics are subjects, by hand.
SUBJECTS = {
    "events": "janus.topic.events",
    "a.b.c": "janus.topic.a.b.c",
    "a b": "janus.topic.a%20b",
    "100%": "janus.topic.100%25",
    "x*y": "janus.topic.x%2Ay",
    "a>": "janus.topic.a%3E",
    "\u017elu\u0165.\u00e9": "janus.topic.\u017elu\u0165.\u00e9",
    ".": "janus.topic.%.%",
    ".a": "janus.topic.%.a",
    "a.": "janus.topic.a.%",
    "a..b": "janus.topic.a.%.b",
    "$SYS": "janus.topic.$SYS",
}
JSON = {"Content-Type": "application/json"}


class Nats(NodesTest):
    def test_subjects(self):
        """A topic has one subject: what is published here goes there, and what comes from there is of this topic."""
        a = self.node("a")
        nats = self.nats_client()
        nats.subscribe("janus.topic.>")
        for topic, subject in SUBJECTS.items():
            with self.subTest(topic=topic):
                reader = a.websocket().subscribe(topic)
                self.wait_interest(subject, 2)
                packet = a.packet()
                packet.op("publish", topic=topic, data="out")
                got = nats.message()
                self.assertEqual((got.subject, got.data), (subject, b"out"))
                self.assertEqual(reader.message()["data"], "out")
                nats.publish(subject, "in")
                got = reader.message()
                self.assertEqual((got["topic"], got["data"]), (topic, "in"))
                self.assertEqual(nats.message().data, b"in")       # its own
                reader.close()
                packet.close()
                self.wait_interest(subject, 1)
        nats.expect_nothing()

    def test_event_source(self):
        """`nats pub` reaches a browser; curl reaches `nats sub`."""
        a = self.node("a")
        events = a.sse("/sub/events")
        self.wait_interest("janus.topic.events")
        nats = self.nats_client()
        nats.publish("janus.topic.events", "hi")
        event = events.event()
        self.assertEqual((event.type, event.data), ("message", "hi"))
        nats.subscribe("janus.topic.>", "janus.inbox.*", "janus.broadcast")
        a.post("/pub/events?event=price&message_id=m", {"eur": 7.5})
        got = nats.message()
        self.assertEqual((got.subject, json.loads(got.data)), ("janus.topic.events", {"eur": 7.5}))
        self.assertIn(("Content-Type", "application/json"), got.headers)
        self.assertIn("price", dict(got.headers).values())
        a.post("/pub/nobody", b"\0\xff")
        got = nats.message()
        self.assertEqual((got.subject, got.data), ("janus.topic.nobody", b"\0\xff"))
        a.post("/send/b.ob", "x")
        self.assertEqual(nats.message().subject, "janus.inbox.b%2Eob")
        nats.expect_nothing()

    def test_payloads(self):
        a = self.node("a")
        reader, binary = a.websocket().subscribe("t"), a.packet().subscribe("t")
        self.wait_interest("janus.topic.t")
        nats = self.nats_client()
        for payload, headers, data in ((b"text \xc5\xbe\n\"", {}, "text \u017e\n\""), (b"", {}, ""), (b"5", {}, "5"), (b"5", JSON, 5), (b'{"x": [1]}', JSON, {"x": [1]}),
                                       (b"\xff\0", {}, b"\xff\0"), (b"x", {"Other": "y"}, "x"), (b"\0", {}, "\0")):
            with self.subTest(payload=payload, headers=headers):
                nats.publish("janus.topic.t", payload, headers)
                self.assertEqual(binary.message()["data"], data)
                got = reader.message()
                if isinstance(data, bytes):
                    self.assertEqual(got["encoding"], "base64")
                else:
                    self.assertEqual([(k, v) for k, v in got.items() if k not in ("id", "timestamp")], [("topic", "t"), ("data", data)])

    def test_inbox_and_broadcast(self):
        a = self.node("a", "broadcast=on")
        bob, other = a.websocket().login("b.ob"), a.websocket()
        self.wait_interest("janus.inbox.b%2Eob")
        nats = self.nats_client()
        nats.publish("janus.inbox.b%2Eob", "x")
        got = bob.message()
        self.assertEqual((got["user"], got["data"]), ("b.ob", "x"))
        nats.publish("janus.broadcast", "y")
        for client in (bob, other):
            got = client.message()
            self.assertEqual((got["broadcast"], got["data"]), (True, "y"))

    def test_prefix(self):
        a, b = self.node("a", "nats_prefix=x.y"), self.node("b")
        self.nats_client()
        reader = a.websocket().subscribe("t")
        self.wait_interest("x.y.topic.t")
        b.post("/pub/t", "of another prefix")
        nats = self.nats_client()
        nats.publish("x.y.topic.t", "hi")
        self.assertEqual(reader.message()["data"], "hi")
        self.assertEqual(a.here(), set())

    def wait_refused(self, node, count, what=None):
        node.janus.wait_log(what or "refused")
        wait_until(lambda: node.janus.count("nodes_refused") == count, 10, "%d refusals, not %d" % (count, node.janus.count("nodes_refused")))

    def test_refused(self):
        """What is no message of Janus', or can't be one, is counted and told; what comes behind it comes."""
        a = self.node("a", "max_frame=64K")
        everything, bob = a.websocket().subscribe(">"), a.websocket().login("bob")
        self.wait_interest("janus.topic.x")
        self.wait_interest("janus.inbox.bob")
        nats = self.nats_client()
        wrong = [("janus.topic.a%zz", b"x", {}), ("janus.topic.a%", b"x", {}), ("janus.topic.a%41", b"x", {}), ("janus.topic.x@presence", b"x", {}), ("janus.topic.\x01", b"x", {}),
                 ("janus.topic." + "x" * 256, b"x", {}), ("janus.topic.big", b"x" * 100000, {}), ("janus.topic.t", b"x", {"Janus": "rubbish"}),
                 ("janus.topic.t", b"x", {"Janus": "a 1 2 3"}), ("janus.inbox.bob", b"x" * 70000, {}), ("janus.topic.t", b"{", JSON)]
        for n, (subject, data, headers) in enumerate(wrong, 1):
            with self.subTest(subject=subject[:40], headers=headers):
                nats.publish(subject, data, headers)
                nats.publish("janus.topic.x", str(n))
                self.assertEqual(everything.message()["data"], str(n))
                self.wait_refused(a, n)
        self.assertLess(len([line for line in a.janus.log().splitlines() if "refused" in line]), 2 * len(wrong))
        bob.expect_nothing()
        everything.expect_nothing()

    def test_refusals_are_logged_at_a_bounded_rate(self):
        a = self.node("a")
        everything = a.websocket().subscribe(">")
        self.wait_interest("janus.topic.x")
        nats = self.nats_client()
        for _ in range(2000):
            nats.publish("janus.topic.a%", b"x")
        nats.publish("janus.topic.x", "end")
        self.assertEqual(everything.message()["data"], "end")
        self.wait_refused(a, 2000)
        self.assertLess(len([line for line in a.janus.log().splitlines() if "refused" in line]), 100)

    def test_same_name(self):
        """Another node that calls itself so, as one of another cluster: neither takes the other's messages, and both say why."""
        a, other = self.node("a"), self.node("a")
        c = self.node("c")
        readers = [node.lines("/sub/t") for node in (a, other)]
        self.wait_interest("janus.topic.t", 2)
        for node in (a, other):
            node.post("/pub/t", node.janus.folder)
        for node, reader in zip((a, other), readers):
            self.assertEqual(reader.message()["data"], node.janus.folder)
        for node in (a, other):
            node.janus.wait_log("(?i)same name|the name|another node")
            wait_until(lambda: node.janus.count("nodes_refused") > 0, 10, "the refusal")
        c.post("/pub/t", "of c")
        for reader in readers:
            self.assertEqual(reader.message()["data"], "of c")

    def test_account(self):
        """User and password, a token, and what is wrong; no secret is logged."""
        secret = "s3cr3t-of-the-test"
        password = os.path.join(self.secrets(), "password")
        with open(password, "w") as f:
            f.write(secret + "\n")
        for authorization, good in (("user: joe, password: " + secret, ("nats_user=joe", "nats_password_file=" + password)), ("token: " + secret, ("nats_token_file=" + password,))):
            nats = self.nats_server(more="authorization { %s }" % authorization)
            a = self.node("a", *good, nats=nats)
            b = self.node("b", nats=nats, connected=False)
            b.janus.wait_log("(?i)authoriz|authenticat")
            self.assertIn(b.nodes()["state"], ("connecting", "away"))
            b.post("/pub/t", "local service goes on")
            for node in (a, b):
                self.assertNotIn(secret, node.janus.log())
                self.assertNotIn(secret, node.ctl("config"))

    def secrets(self):
        folder = tempfile.mkdtemp(prefix="janus-secrets-")
        self.addCleanup(shutil.rmtree, folder)
        return folder


if __name__ == "__main__":
    unittest.main()
