"""The stream's subjects follow the rules of history: nodes give it those that it lacks, and take none away."""
import os
import threading
import unittest

from janus_test import wait_until
from nodes_test import CrashNodesTest, steadily
from test_nodes_stream import STREAM, StreamTest

MORE = "more.*: 1000 messages"
INBOXES = "@*: 10 messages"
NEWS = "news.*: 1000 messages"


class SubjectsTest(StreamTest):
    number = 0

    def config(self, name, *rules):
        return "".join(line + "\n" for line in (
            "workers = 2", "listen = flash://127.0.0.1:0", "listen = http://127.0.0.1:0", "listen = packet://127.0.0.1:0", "session_linger = 0", "node = " + name, "nats = " + self.nats.url,
            "nats_stream = " + STREAM, "history = " + "; ".join(rules)))

    def with_rules(self, name, *rules):
        node = self.node(name, config=self.config(name, *rules), connected=False)
        self.wait_stream(node)
        return node

    def change(self, node, *rules):
        node.janus.configure(self.config(node.name, *rules))
        status, _, err = node.janus.reload()
        self.assertEqual(status, 0, err)

    @property
    def asker(self):
        if not hasattr(self, "_asker"):
            self._asker = self.nats_client()
        return self._asker

    def make(self, name, *subjects, **more):
        self.ask_stream(self.asker, "STREAM.CREATE." + name, dict({"name": name, "subjects": list(subjects)}, **more))

    def info(self):
        return self.ask_stream(self.asker, "STREAM.INFO." + STREAM, {})["config"]

    def wait_subjects(self, *parts, more=()):
        wanted = {"janus." + part for part in parts} | set(more)
        wait_until(lambda: set(self.info()["subjects"]) == wanted, 15, "the stream to have the subjects %r, not %r" % (wanted, self.info()["subjects"]))

    def deny(self, subject):
        """NATS permits nobody to publish there from now on."""
        self.nats.kill()
        self.nats.more = 'authorization { users: [ { user: u, password: p, permissions: { publish: { deny: ["%s"] } } } ] }\nno_auth_user: u' % subject
        self.nats.start()

    def pub(self, node, topic, data="x"):
        return node.ask("POST", "/pub/" + topic, str(data).encode())


class Subjects(SubjectsTest):
    def test_more_rules(self):
        """What a reload keeps beside is the stream's from then on; what it keeps no longer stays there. Ids go on."""
        a, b = (self.with_rules(name, NEWS, INBOXES) for name in "ab")
        before = self.info()
        first = a.post("/pub/news.1", "x")["id"]
        self.change(a, NEWS, MORE)
        self.wait_stream(a)
        self.wait_subjects("topic.news.>", "inbox.*", "topic.more.>")
        after = self.info()
        self.assertEqual({name: value for name, value in after.items() if name != "subjects"}, {name: value for name, value in before.items() if name != "subjects"})
        answer = self.pub(a, "more.1")
        self.assertEqual((answer.status, answer.json()["id"].text.split("-")[0]), (200, first.text.split("-")[0]))
        self.change(b, NEWS, MORE)
        self.wait_stream(b)
        self.assertEqual(self.pub(b, "more.1", "y").status, 200)
        self.wait_last(3, a, b)
        self.assertEqual([data for _, data in self.history(a, "more.1")], ["x", "y"])
        self.assertEqual(self.history(a, "news.1"), self.history(b, "news.1"))
        self.assertEqual(self.info(), after)
        for node in (a, b):
            self.assertEqual((self.stream(node)["error"] or "", node.janus.stats()["counters"].get("nodes_refused", 0)), ("", 0))

    def test_wider(self):
        """What an administrator has made wider is left as it is; what he has made narrower becomes as wide as a rule."""
        self.make(STREAM, "janus.topic.>", "janus.inbox.>", max_msgs=5000)
        wide = self.info()
        a = self.with_rules("a", NEWS, INBOXES)
        self.change(a, NEWS, MORE, INBOXES)
        self.wait_stream(a)
        self.assertEqual(self.pub(a, "more.1").status, 200)
        self.assertEqual(self.info(), wide)
        self.ask_stream(self.asker, "STREAM.UPDATE." + STREAM, dict(wide, subjects=["other.topic", "janus.topic.news.1", "janus.topic.more.>"]))
        a.kill_bridge()
        self.wait_stream(a)
        self.wait_subjects("topic.news.>", "topic.more.>", "inbox.*", more=["other.topic"])
        self.assertEqual(self.info()["max_msgs"], 5000)

    def test_at_once(self):
        """Two nodes give it different subjects at the same time: it has both in the end."""
        a, b = (self.with_rules(name, NEWS) for name in "ab")
        for n in range(3):
            threads = [threading.Thread(target=self.change, args=(node, NEWS, "%s%d.*: 10 messages" % (node.name, n))) for node in (a, b)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.wait_stream(a, b)
            wait_until(lambda: {"janus.topic.a%d.>" % n, "janus.topic.b%d.>" % n} <= set(self.info()["subjects"]), 15, "both subjects")
        self.assertEqual(len(self.info()["subjects"]), 7)

    def test_undone(self):
        """Another node that changed it at the same time did not know of our change: it is looked at once more, also if nothing is published there."""
        a = self.with_rules("a", NEWS)
        before = self.info()
        self.change(a, NEWS, MORE)
        self.wait_subjects("topic.news.>", "topic.more.>")
        self.ask_stream(self.asker, "STREAM.UPDATE." + STREAM, before)
        self.wait_subjects("topic.news.>", "topic.more.>")
        self.wait_stream(a)
        self.assertEqual(self.pub(a, "more.1").status, 200)

    def test_another_has_it(self):
        """The log and janusctl say so, and what to do; the rest goes on; when it is mended, it is taken."""
        a = self.with_rules("a", NEWS)
        self.make("other", "janus.topic.more.2")
        reader = a.packet().subscribe("news.1")
        self.change(a, NEWS, MORE)
        self.wait_stream(a)
        wait_until(lambda: "janus.topic.more.>" in (self.stream(a)["error"] or ""), 10, "the error")
        self.assertIn("another stream has it", self.stream(a)["error"])
        a.janus.wait_log("nats stream edit")
        self.assertEqual(self.pub(a, "more.1").status, 503)
        for n in range(3):
            self.assertEqual(self.pub(a, "news.1", n).status, 200)
        self.assertEqual([reader.message()["data"] for _ in range(3)], ["0", "1", "2"])
        self.assertEqual(self.info()["subjects"], ["janus.topic.news.>"])
        self.ask_stream(self.asker, "STREAM.DELETE.other", {})
        a.kill_bridge()
        self.wait_subjects("topic.news.>", "topic.more.>")
        self.wait_stream(a)
        self.assertEqual(self.pub(a, "more.1").status, 200)
        self.assertEqual(self.stream(a)["error"] or "", "")

    def test_not_permitted(self):
        """Who may not change the stream gets no answer, and reads it as it is."""
        self.make(STREAM, "janus.topic.news.>")
        self.deny("$JS.API.STREAM.UPDATE.>")
        a = self.node("a", config=self.config("a", NEWS, MORE), connected=False)
        wait_until(lambda: self.stream(a)["state"] == "here", 30, "the stream")
        self.assertIn("does NATS permit $JS.API.STREAM.UPDATE?", self.stream(a)["error"])
        self.assertEqual(self.pub(a, "news.1").status, 200)
        self.assertEqual(self.pub(a, "more.1").status, 503)

    def test_silent(self):
        """Who hears nothing of the stream at all goes on with all else."""
        self.deny("$JS.API.STREAM.INFO.>")
        a, b = (self.node(name, config=self.config(name, NEWS), connected=False) for name in "ab")
        self.wait_joined(a, b)
        reader = b.packet().subscribe("plain")
        self.wait_interest("janus.topic.plain", 1)
        for n in range(3):
            self.assertEqual(self.pub(a, "plain", n).status, 200)
        self.assertEqual([reader.message(20)["data"] for _ in range(3)], ["0", "1", "2"])

    def test_one_after_another(self):
        """Three nodes get a rule more, one after another, while all publish what it keeps: every publish is answered, everybody has each message once, and when all have the rule, in one order, with one id."""
        nodes = [self.with_rules(name, NEWS) for name in "abc"]
        readers = [node.packet().subscribe("more.1") for node in nodes]
        for node in nodes:
            self.wait_interest("janus.topic.more.1", 3)
        sent, failed, last = [0] * 3, [], []

        def publish(n):
            answer = self.pub(nodes[n], "more.1", "%s%d" % (nodes[n].name, sent[n]))
            sent[n] += 1
            if answer.status != 200:
                failed.append((nodes[n].name, answer))
        ends = [steadily(lambda n=n: publish(n), 0.01) for n in range(3)]
        for node in nodes:
            self.change(node, NEWS, MORE)
            self.wait_stream(node)
            self.wait_joined(*nodes)      # (who is behind another one has to hear of it still what was published before)
        for end in ends:
            end()
        self.assertEqual(failed, [])
        for n in range(3):
            self.assertEqual(self.pub(nodes[n], "more.1", "the end of " + nodes[n].name).status, 200)
        for reader, name in zip(readers, "abc"):
            messages = []
            while {"the end of " + name for name in "abc"} - {m["data"] for m in messages}:
                messages.append(reader.message(20))
            reader.expect_nothing()
            for node, count in zip(nodes, sent):
                self.assertEqual([m["data"] for m in messages if m["data"][0] == node.name], ["%s%d" % (node.name, n) for n in range(count)], "of %s, at %s" % (node.name, name))
            last.append([(m["id"], m["data"]) for m in messages[-3:]])
        self.assertEqual(last[0], last[1])
        self.assertEqual(last[0], last[2])


class Deaths(SubjectsTest, CrashNodesTest):
    def test_extended(self):
        """The bridge dies before it asks: the next one does."""
        a = self.crash_node("a", config=self.config("a", NEWS), connected=False)
        self.wait_stream(a)
        path = self.arm(a.crash_folder, "bridge-stream-extend")
        self.change(a, NEWS, MORE)
        self.wait_subjects("topic.news.>", "topic.more.>")
        self.assertFalse(os.path.exists(path))
        self.wait_stream(a)
        self.assertEqual(self.pub(a, "more.1").status, 200)
        a.janus.forgive_deaths()


if __name__ == "__main__":
    unittest.main()
