"""What is kept of topics beyond the ring, as janusctl tells it: over deaths, reloads and upgrades."""
import os
import unittest

import janus_test
from janus_test import JanusTest, Server, wait_until
from programs import OTHER_BUILD, Program


class HistoryKept(JanusTest):
    def use(self):
        return self.janus.stats()["history"]

    def publish(self, topic, count):
        before = self.janus.count("published")
        client = self.client(self.janus)
        for n in range(count):
            client.publish(topic, n=n, data="x" * 500)
        wait_until(lambda: self.janus.count("published") == before + count, 10, "all published")
        client.close()

    def test_kept_and_given_up(self):
        """Messages that nobody hears are kept, by their topic's rule, until they are too old."""
        self.janus = self.server("history=none: 0 messages; many: 1000 messages; *: 5 messages, 1s", "history_bytes=1M")
        self.publish("none", 10)
        self.assertEqual(self.use(), {"messages": 0, "topics": 0, "bytes": 0, "pages": 0, "pages_max": 256})
        self.publish("many", 100)
        self.publish("few", 100)
        use = self.use()
        self.assertEqual(use["topics"], 2)
        self.assertTrue(105 <= use["messages"] <= 120, use)
        self.assertEqual(self.janus.count("history_kept"), 200)
        self.assertEqual(self.janus.count("published_unheard"), 210)
        wait_until(lambda: self.use()["topics"] == 1, 10, "the old ones to go")
        self.assertEqual(self.use()["messages"], 100)
        self.assertIn("history: 100 messages of 1 topics", self.janus.ctl("stats")[1])

    def test_outlives_workers_and_reloads(self):
        self.janus = self.server("history=*: 1000 messages")
        self.publish("a", 50)
        self.publish("b", 50)
        before = self.use()
        self.janus.kill_worker(0)
        self.janus.kill_worker(1)
        self.assertEqual(self.janus.reload()[0], 0)
        self.assertEqual(self.use(), before)
        self.publish("a", 50)
        self.assertEqual(self.use()["messages"], 150)
        self.janus.forgive_deaths(9)

    def test_another_layout(self):
        server = Server("history=*: 1000 messages")
        self.addCleanup(self._end, server)
        program = Program(janus_test.BUILD, os.path.join(server.folder, "bin"))
        server.build = program.folder
        server.start()
        self.janus = server
        self.publish("a", 50)
        self.publish("b", 50)
        before = self.use()
        for build in OTHER_BUILD, janus_test.BUILD:
            program.put(build)
            self.assertEqual(server.reload()[0], 0)
        self.assertEqual(self.use(), before)
        self.publish("a", 50)
        self.assertEqual(self.use()["messages"], 150)

    def test_no_rules_any_more(self):
        self.janus = self.server(config="history = *: 1000 messages\n")
        self.publish("a", 50)
        self.assertEqual(self.use()["messages"], 50)
        self.janus.configure("history = *: 10 apples\n")
        status, _, err = self.janus.reload()
        self.assertNotEqual(status, 0)
        self.assertIn(":1: history: `10 apples` is no limit", err)
        self.janus.configure("history =\n")
        self.assertEqual(self.janus.reload()[0], 0)
        wait_until(lambda: self.use()["messages"] == 0, 10, "no history")


if __name__ == "__main__":
    unittest.main()
