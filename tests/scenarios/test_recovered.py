"""What a subscriber is told about its past: `recovered` is true only if nothing can be missing.

It counts what is known to have been lost, and who is told that nothing is missing believes it: where the server can't know, it says no.
"""
import os
import signal
import threading
import unittest

from janus_test import is_alive, wait_until
from test_history import HistoryTest
from web_clients import WEB, WebSocket

JSON = [("Content-Type", "application/json")]


class Recovered(HistoryTest):
    workers = 1
    options = ("history=a: 10000 messages; b: 10 messages; never: 10 messages", "session_linger=0")

    def position(self):
        """Where the server is now."""
        client = self.websocket().subscribe("z")
        client.close()
        self.alone()
        return client.position.text

    def told(self, *topics, since):
        client, told = self.resumed("websocket", list(topics), since=since)
        client.close()
        return told

    def test_lost_while_nobody_else_publishes(self):
        """What nobody hears and no rule keeps has no sequence, so the tail does not move: it is missing all the same."""
        self.serve("history=", "session_linger=0")
        client = self.websocket().subscribe("a")
        last = self.publish("a", 1)[0]
        self.assertEqual(client.message()["data"], 1)
        client.close()
        self.alone()
        self.assertIsNone(self.post("/pub/a", "lost")["id"])
        self.assertIsNot(self.told("a", since=last.text), True)

    def test_lost_before_a_rule_came(self):
        """A rule does not vouch for the time before it."""
        config = "".join("listen = %s\n" % url for url in WEB) + "workers = 1\nsession_linger = 0\n"
        self.serve(config=config)
        client = self.websocket().subscribe("a")
        last = self.publish("a", 1)[0]
        client.close()
        self.alone()
        self.assertIsNone(self.post("/pub/a", "lost")["id"])
        self.janus.configure(config + "history = *: 10 messages\n")
        self.assertEqual(self.janus.reload()[0], 0)
        self.assertIsNot(self.told("a", since=last.text), True)

    def test_too_old_by_now(self):
        """The topic's last message has gone for its age, and the topic with it."""
        self.serve("history=a: 1s; b: 10 messages", "session_linger=0")
        position = self.position()
        self.publish("a", 1)
        wait_until(lambda: self.janus.stats()["history"]["topics"] == 0, 20, "the message to go")
        self.assertIsNot(self.told("a", since=position), True)

    def test_named_twice(self):
        """A name that stands twice in a request is no topic that was subscribed before."""
        ids = self.publish("a", 1, 2, 3)
        client, told = self.resumed("websocket", ["a", "a"], since=ids[0].text)
        self.assertEqual(self.numbers(client, 2), [2, 3])
        self.assertIs(told, True)

    def test_had_before(self):
        """But of a topic that the session has, nothing of the past is sent again, and nothing is promised."""
        ids = self.publish("a", 1, 2, 3)
        client = self.websocket().subscribe("a")
        client.action("subscribe", topic="a", since=ids[0].text)
        told = client.message()
        self.assertEqual((told["ok"], told["recovered"]), (True, False))
        self.publish("a", 4)
        self.assertEqual(client.message()["data"], 4)

    def test_topic_that_never_was(self):
        """Of a topic with a rule that nobody ever published, nothing can be missing."""
        position = self.position()
        self.publish("b", 1)
        self.assertIs(self.history("never", since=position)["recovered"], True)
        self.assertIs(self.told("never", since=position), True)
        self.assertIs(self.history("no.rule", since=position)["recovered"], False)

    def test_no_place_in_the_index(self):
        """What should have been kept, and there was no room for its topic, is missing."""
        self.serve("history=a: 100 messages", "max_topics=16")
        position = self.position()
        before = self.janus.count("history_missed")
        filler = self.websocket()
        for i in range(16):
            filler.subscribe("fill%d" % i)
        self.assertIsNone(self.post("/pub/a", 1)["id"])
        wait_until(lambda: self.janus.count("history_missed") == before + 1)
        filler.close()
        self.alone()
        self.assertIsNot(self.told("a", since=position), True)


class Rules(HistoryTest):
    """Rules come and go with a reload, which comes to one worker after the other."""

    def config(self, workers):
        return "".join("listen = %s\n" % url for url in WEB) + "workers = %d\nmax_topics = 16\nhang_limit = 0\nsession_linger = 0\n" % workers

    def test_one_keeps_and_another_does_not(self):
        """What one worker would keep is lost by another that has no rule yet: the first one does not vouch for it."""
        self.serve(config=self.config(2))
        first, second, publisher = self.on_worker(0, WebSocket), self.on_worker(0, WebSocket), self.on_worker(1)
        self.janus.configure(self.config(2) + "history = a: 10 messages\n")
        keeper, worker, status = self.janus.keepers()[1], self.janus.workers()[0], []
        reload = threading.Thread(target=lambda: status.append(self.janus.reload()[0]))
        os.kill(keeper, signal.SIGSTOP)
        reload.start()
        try:
            wait_until(lambda: not is_alive(worker), what="slot 0's worker with the new rules")
            first.upgrade().subscribe("b")
            position = [publisher.ask("POST", "/pub/b", b"0", JSON).json()["id"] for _ in range(3)][-1].text
            lost = publisher.ask("POST", "/pub/a", b"1", JSON).json()
            second.upgrade().action("subscribe", topic=["a"], since=position)
            told = second.message()
        finally:
            os.kill(keeper, signal.SIGCONT)
            reload.join()
        self.assertEqual(status, [0])
        self.assertIsNone(lost["id"])
        self.assertIsNot(told["recovered"], True)

    def test_rule_taken_away(self):
        """With the rules goes what they have kept in the index, also for a worker that publishes before it has swept."""
        self.serve(config=self.config(1) + "history = *: 10 messages\n")
        subscriber = self.websocket().subscribe("a")
        self.post("/pub/a", 1)
        publisher, stop, answers = self.http(), threading.Event(), []

        def pour():
            while not stop.is_set():
                answers.append(publisher.ask("POST", "/pub/a", b"2", JSON).status)
        self.janus.configure(self.config(1))
        thread = threading.Thread(target=pour)
        thread.start()
        try:
            self.assertEqual(self.janus.reload()[0], 0)
        finally:
            stop.set()
            thread.join()
        self.assertEqual(set(answers), {200})
        subscriber.close()
        self.alone()
        wait_until(lambda: self.janus.stats()["history"]["topics"] == 0, what="no history")
        wait_until(lambda: self.post("/pub/a", 3)["id"] is None, what="the topic to go")


if __name__ == "__main__":
    unittest.main()
