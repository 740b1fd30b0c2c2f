"""A worker dies at each named point (CRASH_POINT() in the sources), and nobody may notice.

Runs against a build with crash points (JANUS_CRASH_BUILD). While subscribers of all kinds are connected, one point is armed, and the same round
of activity is gone through until a worker has died there; what the clients of that round see must be the same as ever, and at the end
every subscriber must have had every message once, in order.
"""
import os
import re
import shutil
import signal
import tempfile
import unittest

import janus_test
from janus_test import ROOT, Client, JanusTest, wait_until

CRASH_BUILD = os.path.join(ROOT, os.environ.get("JANUS_CRASH_BUILD", "build/crash"))
BIG = "x" * 60000
KINDS = ("a",), ("a", "b", "visit"), ("b", "c", "a", "classic"), ("classic",), ("visit",)


def points():
    """All that the sources name."""
    found = []
    for folder in ("shm", "worker"):
        for name in sorted(os.listdir(os.path.join(ROOT, folder))):
            if name.endswith((".c", ".h")) and not name.startswith("crash"):
                with open(os.path.join(ROOT, folder, name)) as f:
                    found += re.findall(r'CRASH_POINT\("([^"]+)"\)', f.read())
    return sorted(set(found))


class Subscriber:
    """Wants the numbers of its topics from where it starts, without gap or repeat."""

    def __init__(self, client, topics, numbers):
        self.client = client
        client.subscribe(*topics)
        self.next = {topic: numbers[topic] + 1 for topic in topics}

    def catch_up(self, numbers):
        while any(self.next[topic] <= numbers[topic] for topic in self.next):
            message = self.client.message(20)
            topic, n = message["topic"], message["n"]
            if n != self.next[topic]:
                raise AssertionError("message %d of %r came where %d was due" % (n, topic, self.next[topic]))
            self.next[topic] += 1


class CrashPoints(JanusTest):
    limit = 300

    def setUp(self):
        if not os.path.exists(os.path.join(CRASH_BUILD, "janus")):
            self.fail("no build with crash points: make CRASH=1 programs")
        self.folder = tempfile.mkdtemp(prefix="janus-crash-")
        os.environ["JANUS_CRASH_DIR"] = self.folder
        self.addCleanup(shutil.rmtree, self.folder)
        self.addCleanup(os.environ.pop, "JANUS_CRASH_DIR")
        # a topic has one publisher at a time: only then its numbers are in order
        self.numbers = {"a": 0, "b": 0, "c": 0, "big": 0, "classic": 0, "visit": 0}

    # the world

    def begin(self, *options):
        self.janus = self.server("restart_limit=1000000", *options, build=CRASH_BUILD)
        clients = self.on_each_worker(self.janus, 5)
        self.subscribers = []
        for i, client in enumerate(clients):
            self.subscribers.append(Subscriber(client, KINDS[i % len(KINDS)], self.numbers))
        self.publisher = self.client(self.janus)
        self.slow = self.client(self.janus, rcvbuf=4096)
        self.slow_subscriber = Subscriber(self.slow, ("big", "c"), self.numbers)
        self.here = len(clients) + 2

    def publish(self, topic, client=None, **members):
        self.numbers[topic] += 1
        (client or self.publisher).publish(topic, n=self.numbers[topic], **members)

    def armed(self, point):
        return os.path.exists(os.path.join(self.folder, point))

    def arm(self, point):
        open(os.path.join(self.folder, point), "w").close()

    def forgive_deaths(self):
        for pid in re.findall(r"worker (\d+) died of signal 9", self.janus.log()):
            self.janus.killed[int(pid)] = "worker"

    # what is done, round after round, until somebody has died of it

    def publish_some(self):
        for topic in "abca":
            self.publish(topic)
        # a burst in one send, and half a frame
        self.publisher.send(b"".join(
            b'{"action":"publish","topic":"b","n":%d}\0' % (self.numbers["b"] + 1 + i) for i in range(5)))
        self.numbers["b"] += 5
        self.numbers["c"] += 1
        frame = b'{"action":"publish","topic":"c","n":%d,"data":"%s"}\0' % (self.numbers["c"], b"y" * 300)
        self.publisher.send(frame[:100])
        self.publisher.send(frame[100:])

    def publish_classic(self):
        client = Client(self.janus)
        self.numbers["classic"] += 1
        client.send(b'<regular-socket/>\0PUBLISH\0{"topic":"classic","n":%d}' % self.numbers["classic"])
        client.expect_close()
        client.close()

    def come_and_go(self):
        client = Client(self.janus)
        client.subscribe("visit", "fresh", "b")
        client.unsubscribe("fresh")
        client.unsubscribe("b")
        self.publish("visit", client)
        client.expect_message("visit", n=self.numbers["visit"])
        client.close()

    def fall_behind(self):
        """The slow one does not read until the server says that it is behind."""
        for _ in range(20):
            for _ in range(8):
                self.publish("big", data=BIG)
            if self.janus.behind():
                break
        self.publish("c")
        self.catch_up()

    def catch_up(self):
        for subscriber in self.subscribers + [self.slow_subscriber]:
            subscriber.catch_up(self.numbers)

    def one_round(self, point):
        if point.startswith("recover-"):
            pid = self.janus.workers()[0]
            self.janus.killed[pid] = "worker"
            os.kill(pid, signal.SIGKILL)
        self.publish_some()
        self.publish_classic()
        self.come_and_go()
        self.fall_behind()

    def live(self):
        workers = self.janus.status()["workers"]
        return all(w["state"] == "live" and janus_test.is_alive(w["worker"]) for w in workers)

    def die_at(self, point):
        deaths = self.janus.log().count("died of signal 9")
        self.arm(point)
        for _ in range(20):
            self.one_round(point)
            if not self.armed(point):
                break
        else:
            self.fail("no worker came by %s" % point)
        wait_until(lambda: self.janus.log().count("died of signal 9") > deaths, 10, "the death in the log")
        wait_until(self.live, 10, "all workers live")
        self.one_round("after")
        self.check_counts(point)

    def check_counts(self, point):
        """What janusctl says is the truth."""
        wait_until(lambda: self.janus.connections() == self.here, 10, "%d connections after %s" % (self.here, point))
        wanted = sum(len(s.next) for s in self.subscribers) + 2
        wait_until(lambda: self.janus.subscriptions() == wanted, 10, "%d subscriptions after %s" % (wanted, point))

    def descriptors(self):
        """Of keeper and worker together: they share them."""
        return sum(len(janus_test.descriptors(pid)) for pid in self.janus.keepers())

    def go_through(self, *options):
        self.begin(*options)
        self.one_round("before")
        self.check_counts("the start")
        before = self.descriptors()
        for point in points():
            with self.subTest(point=point):
                self.die_at(point)
                self.catch_up()
        self.forgive_deaths()
        wait_until(lambda: self.descriptors() == before, 10, "%d descriptors" % before)
        lost = {name: n for name, n in self.janus.stats()["counters"].items()
                if name in ("closed_uncertain", "closed_slot", "closed_slow", "dropped_overtaken", "no_buffer", "bad_input")}
        self.assertEqual(set(lost.values()), {0}, lost)

    def test_io_uring(self):
        self.go_through("io=auto")

    def test_send(self):
        self.go_through("io=send")

    def test_own_fault_costs_one_connection(self):
        """A frame makes the worker crash: the connection that sent it is closed, no other."""
        self.begin()
        self.one_round("before")
        before = self.janus.count("closed_blamed")
        culprit = self.client(self.janus)
        culprit.send(b'PING\0{"action":"crash"}\0{"action":"subscribe","data":"a"}\0')
        with self.assertRaises(janus_test.Closed):
            culprit.frame()
        wait_until(self.live, 10, "all workers live")
        for pid in re.findall(r"worker (\d+) died of signal", self.janus.log()):
            self.janus.killed[int(pid)] = "worker"
        self.one_round("after")
        self.check_counts("the crash")
        self.assertEqual(self.janus.count("closed_blamed"), before + 1)

    def test_no_such_frame_in_production(self):
        janus = self.server()
        client = self.client(janus)
        client.action("crash")
        client.expect_error("unknown action")
        client.subscribe("a")


if __name__ == "__main__":
    unittest.main()
