"""A worker dies at each named point (CRASH_POINT() in the sources), and nobody may notice.

Runs against a build with crash points (JANUS_CRASH_BUILD). While subscribers of all kinds are connected, one point is armed, and the same round
of activity is gone through until a worker has died there; what the clients of that round see must be the same as ever, and at the end
every subscriber must have had every message once, in order.
"""
import json
import os
import re
import signal
import unittest

import janus_test
from crash_test import CrashTest
from janus_test import ROOT, Client, wait_until
from positions import Position
from web_clients import TEXT, WEB, Lines, WebSocket, frame, packet, request

BIG = "x" * 6000000     # more than a socket takes
SLOW_POINTS = ("before", "batch-", "send-", "catchup-", "commit-", "recover-")      # come by while somebody is behind
WEB_TOPICS = ("a", "answered"), ("c",), ("answered", "b", "c"), ("b", "visit"), ("a", "answered")
PATTERNS = ("m.*",), ("m.x", "*.x", "m.>"), ("b", "*.x.>", "m.*")      # of these, the last but one has what it gets by three subscriptions
KINDS = ("a",), ("a", "b", "visit", "local"), ("b", "c", "a", "classic"), ("classic",), ("visit",)


# Have tests of their own (test_recovery.py, test_partial_frames.py, test_memory.py, test_slow.py, test_sessions.py, test_presence.py, test_kick.py, test_rights.py, test_proxied.py, test_watch.py, test_move_sessions.py; those of the journal: test_data.py; of keepers: test_keeper_death.py; of TLS: test_tls_deaths.py; of the bridge: test_nodes_faults.py; of requests that wait: test_nodes_count.py): nobody comes by every day.
OWN = "fanout-left", "catchup-cut", "partial-filled", "partial-linked", "partial-begun", "partial-unlinked", "memory-forfeited", \
    "pass-staged", "pass-half", "pass-copied", "pass-uncounted", "pass-told", "park-committed", "park-closed", "park-freed", \
    "move-noted", "move-sent", "move-freed", "move-received", "move-opened", "move-taken", "leave-noted", "leave-announced", "leave-sent", "leave-freed", "departed-left", "arrive-filled", "arrive-opened", "arrived-settled", \
    "attach-noted", "attach-committed", "attach-taken", "attach-unparked", \
    "change-staged", "change-committed", "presence-set", "presence-counted", "presence-listed", \
    "order-begun", "order-done", "kick-told", "kick-counted", "rights-written", "rights-put", "proxy-header", "watch-made", "watch-noted", \
    "waiting-noted", "waiting-published", "lock-inherited", "nodes-ending", "slot-clearing", "slot-left"


def points():
    """All that the sources name; or those that begin with $JANUS_CRASH_POINTS."""
    wanted = os.environ.get("JANUS_CRASH_POINTS", "")
    found = []
    for top in ("shm", "worker"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if not name.endswith((".c", ".h")) or name.startswith("crash"):
                    continue
                with open(os.path.join(folder, name)) as f:
                    found += re.findall(r'CRASH_POINT\("([^"]+)"\)', f.read())
    return sorted(name for name in set(found) if name not in OWN and not name.startswith(("bridge-", "keeper-", "journal-", "tls-", "land-tls-")) and name.startswith(wanted))


class Subscriber:
    """Wants the numbers of its topics from where it starts, without gap or repeat."""

    def __init__(self, client, topics, numbers, message=None, subscriptions=None):
        """With `message`, which returns the next one, it has subscribed, to as many names as `subscriptions` says."""
        self.client = client
        self.subscriptions = len(topics) if subscriptions is None else subscriptions
        if not message:
            client.subscribe(*topics)
        self.message = message or client.message
        self.next = {topic: numbers[topic] + 1 for topic in topics}

    def catch_up(self, numbers):
        while any(self.next[topic] <= numbers[topic] for topic in self.next):
            try:
                message = self.message(20)
            except AssertionError as e:
                raise AssertionError("due: %r; published: %r" % (self.next, numbers)) from e
            topic, n = message["topic"], message["n"] if "n" in message else message["data"]["n"]
            if n != self.next[topic]:
                raise AssertionError("message %d of %r came where %d was due" % (n, topic, self.next[topic]))
            self.next[topic] += 1


class CrashPoints(CrashTest):
    limit = 400

    def setUp(self):
        super().setUp()
        # a topic has one publisher at a time: only then its numbers are in order
        self.numbers = {"a": 0, "b": 0, "c": 0, "big": 0, "classic": 0, "visit": 0, "answered": 0, "local": 0, "m.x": 0}

    # the world

    def begin(self, *options):
        path = os.path.join(self.folder, "socket")
        self.serve_crash_build("max_frame=8M", "ring_bytes=128M", "heartbeat=1h", "session_linger=1s", "history=nobody's: 0 messages; *: 20 messages, 1s", *options, listen=tuple(WEB) + ("flash+unix:" + path,))
        self._addresses["flash"] = self.janus.address(0)
        clients = self.on_each_worker(self.janus, 5)
        self.subscribers = []
        for i, client in enumerate(clients):
            self.subscribers.append(Subscriber(client, KINDS[i % len(KINDS)], self.numbers))
        self.publisher = self.client(self.janus)
        self.slow = [
            Subscriber(self.client(self.janus, rcvbuf=32768), ("big", "c"), self.numbers),
            self.slow_on_web(WebSocket, "/sub/big"),
            self.slow_on_web(Lines, "/sub/big"),
        ]
        for kind, topics in zip((self.web_sse, self.web_lines, self.web_socket, self.web_socket_stream, self.web_packet), WEB_TOPICS):
            client, message = kind(topics)
            self.subscribers.append(Subscriber(client, topics, self.numbers, message))
        for kind, names in zip((self.web_packet, self.web_socket, self.web_lines), PATTERNS):
            client, message = kind(names)
            topics = ("m.x", *(name for name in names if name == "b"))
            self.subscribers.append(Subscriber(client, topics, self.numbers, message, len(names)))
        self.asking, self.socket, self.packets = self.http(), self.websocket(), self.packet()
        self.local, self.local_rest = self.client(self.janus, address=path), b""
        self.here = len(clients) + 1 + len(self.slow) + len(WEB_TOPICS) + len(PATTERNS) + 3 + 1

    def slow_on_web(self, kind, path):
        client = self.connect(kind, "http", rcvbuf=32768)
        if kind is WebSocket:
            client.upgrade(path)
        else:
            self.assertEqual(client.ask("GET", path).status, 200)
        return Subscriber(client, path[len("/sub/"):].split(","), self.numbers, client.message)

    def web_sse(self, topics):
        client = self.sse("/sub/" + ",".join(topics))
        # an event with data tells nothing else
        return client, lambda seconds: {"topic": "answered", **client.event(seconds).json()}

    def web_lines(self, topics):
        client = self.lines("/sub/" + ",".join(topics))
        return client, client.message

    def web_socket(self, topics):
        client = self.websocket()
        client.subscribe(*topics)
        return client, client.message

    def web_socket_stream(self, topics):
        client = self.websocket("/sub/" + ",".join(topics))
        return client, client.message

    def web_packet(self, topics):
        client = self.packet()
        client.subscribe(*topics)
        return client, client.message

    def publish(self, topic, client=None, **members):
        self.numbers[topic] += 1
        (client or self.publisher).publish(topic, n=self.numbers[topic], **members)

    # what is done, round after round, until somebody has died of it

    def publish_some(self):
        for topic in ("a", "b", "c", "m.x", "a", "m.x"):
            self.publish(topic)
        # a burst in one send, and half a frame
        self.publisher.send(b"".join(
            b'{"action":"publish","topic":"b","n":%d}\0' % (self.numbers["b"] + 1 + i) for i in range(5)))
        self.numbers["b"] += 5
        self.numbers["c"] += 1
        frame = b'{"action":"publish","topic":"c","n":%d,"data":"%s"}\0' % (self.numbers["c"], b"y" * 300)
        self.publisher.send(frame[:100])
        self.publisher.send(frame[100:])

    def publish_local(self):
        """On a Unix socket, of whose input the server has half a frame all the time."""
        first = self.numbers["local"] + (1 if not self.local_rest else 2)
        frames = [b'{"action":"publish","topic":"local","n":%d,"data":"%s"}\0' % (n, b"z" * 300) for n in range(first, first + 3)]
        self.local.send(self.local_rest + b"".join(frames)[:-100])
        self.local_rest = frames[2][-100:]
        self.numbers["local"] = first + 1       # the last one is to come

    def publish_classic(self):
        client = Client(self.janus)
        self.numbers["classic"] += 1
        client.send(b'<regular-socket/>\0PUBLISH\0{"topic":"classic","n":%d}' % self.numbers["classic"])
        client.expect_close()
        client.close()

    def next_answered(self):
        self.numbers["answered"] += 1
        return self.numbers["answered"]

    def ask_http(self):
        answer = self.asking.ask("POST", "/pub", json.dumps([{"topic": "answered", "data": {"n": self.next_answered()}}, {"topic": "nobody's", "data": 0},
                                                             {"topic": "answered", "data": {"n": self.next_answered()}}]).encode(),
                                 [("Idempotency-Key", "k%d" % self.numbers["answered"])]).json()
        self.assertEqual([type(one["id"]) for one in answer], [Position, type(None), Position])
        self.assertEqual(answer[2]["id"], answer[0]["id"] + 1)
        return answer[2]["id"]

    def ask_without_key(self):
        """Nothing but the intent keeps it from being published twice."""
        answer = self.asking.ask("POST", "/pub/answered", json.dumps({"n": self.next_answered()}).encode(), [("Content-Type", "application/json")]).json()
        return answer["id"]

    def ask_socket(self):
        self.socket.action("publish", topic="answered", data={"n": self.next_answered()}, message_id=self.numbers["answered"], ref="x")
        got = self.socket.message()
        self.assertEqual((got["ok"], got["ref"]), (True, "x"))
        return got["id"]

    def ask_packet(self):
        self.packets.op("publish", topic="answered", data={"n": self.next_answered()}, message_id=str(self.numbers["answered"]), receipt=True, ref=5)
        got = self.packets.message()
        self.assertEqual((got["ok"], got["ref"]), (True, 5))
        return got["id"]

    def publish_answered(self):
        """Each is answered once, and published once."""
        ids = [self.ask_http(), self.ask_socket(), self.ask_packet()]
        self.assertEqual(ids, sorted(ids))

    def publish_answered_in_pairs(self):
        """Two in one piece: the second one is in the buffer already when the first one's answer is lost."""
        first = self.numbers["answered"] + 1
        pair = lambda: (self.next_answered() for _ in range(2))
        self.asking.send(b"".join(request("POST", "/pub", json.dumps([{"topic": "answered", "data": {"n": n}}]).encode()) for n in pair()))
        ids = [self.asking.answer().json()[0]["id"] for _ in range(2)]
        self.socket.send(b"".join(frame(TEXT, json.dumps({"action": "publish", "topic": "answered", "data": {"n": n}, "ref": n})) for n in pair()))
        for n in (first + 2, first + 3):
            got = self.socket.message()
            self.assertEqual((got["ok"], got["ref"]), (True, n))
            ids.append(got["id"])
        self.packets.send(b"".join(packet({"op": "publish", "topic": "answered", "data": {"n": n}, "receipt": True, "ref": n}) for n in pair()))
        for n in (first + 4, first + 5):
            got = self.packets.message()
            self.assertEqual((got["ok"], got["ref"]), (True, n))
            ids.append(got["id"])
        self.assertEqual([type(id) for id in ids], [Position] * 6)
        self.assertEqual(ids, sorted(set(ids)))

    def stream_comes_and_goes(self):
        client = self.lines("/sub/visit,b")
        self.publish("visit")
        while (message := client.message(20))["topic"] != "visit":
            pass
        self.assertEqual(message["n"], self.numbers["visit"])
        client.close()

    def resume_and_poll(self):
        """A stream with a past, and a poll that waits for what comes."""
        client = self.lines("/sub/visit?last=2")
        self.publish("visit")
        while client.message(20)["n"] != self.numbers["visit"]:
            pass
        client.close()
        wait_until(lambda: self.janus.subscriptions() == self.wanted(), 10, "the stream's end")
        position = self.asking.ask("GET", "/poll/visit?wait=0").json()["position"].text
        self.asking.send(request("GET", "/poll/visit?since=" + position))
        wait_until(lambda: self.janus.subscriptions() == self.wanted() + 1, 10, "a poll that waits")
        self.publish("visit")
        self.assertEqual([m["n"] for m in self.asking.answer().json()["messages"]], [self.numbers["visit"]])

    def come_and_go(self):
        client = Client(self.janus)
        client.subscribe("visit", "fresh", "b")
        client.unsubscribe("fresh")
        client.unsubscribe("b")
        self.publish("visit", client)
        message = client.message(20)
        while message["topic"] == "b":      # (published before, and not answered: it may have come in between)
            message = client.message(20)
        self.assertEqual((message["topic"], message["n"]), ("visit", self.numbers["visit"]))
        client.close()

    def fall_behind(self):
        """The slow ones do not read until the server says that they are behind, in the middle of a frame; then one by one."""
        self.publish("big", data=BIG)
        wait_until(lambda: self.janus.behind() == len(self.slow), 10, "%d that are behind" % len(self.slow))
        self.publish("c")

    def catch_up(self):
        for subscriber in self.subscribers + self.slow:
            subscriber.catch_up(self.numbers)

    def one_round(self, point):
        if point.startswith("recover-"):
            pid = self.janus.workers()[0]
            self.janus.killed[pid] = "worker"
            os.kill(pid, signal.SIGKILL)
        self.publish_some()
        self.publish_local()
        self.publish_classic()
        self.come_and_go()
        self.publish_answered_in_pairs()
        self.publish_answered()
        self.stream_comes_and_goes()
        self.resume_and_poll()
        if point.startswith(SLOW_POINTS):
            self.fall_behind()
        self.catch_up()

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
        wait_until(lambda: self.janus.subscriptions() == self.wanted(), 10, "%d subscriptions after %s" % (self.wanted(), point))

    def wanted(self):
        """How many subscriptions there are."""
        return sum(s.subscriptions for s in self.subscribers + self.slow)

    def descriptors(self):
        """Of keeper and worker together: they share them. (When sessions without a connection have gone.)"""
        wait_until(lambda: not any(s["parked"] for s in self.janus.stats()["slots"]), 10, "no session to stay")
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
        self.janus.forgive_deaths(9)
        wait_until(lambda: self.descriptors() == before, 10, "%d descriptors" % before)
        lost = {name: n for name, n in self.janus.stats()["counters"].items()
                if name in ("closed_uncertain", "closed_slot", "closed_slow", "dropped_overtaken", "no_buffer", "bad_input")}
        self.assertEqual(set(lost.values()), {0}, lost)

    def test_io_uring(self):
        self.go_through("io=auto")

    def test_send(self):
        self.go_through("io=send")

    def test_answered_publishes(self):
        """The points of publishing once more, each with a publish that is answered."""
        self.begin()
        self.one_round("before")
        last = 0
        for point in points():
            if not point.startswith(("publish-", "answer-")) or point.endswith("marked") or point == "publish-echoing":
                continue        # (what is answered is not marked by itself; and no pattern fits its topic: test_patterns.py)
            for ask in (self.ask_without_key, self.ask_http, self.ask_socket, self.ask_packet):    # (what comes twice is noticed by the next one)
                if ask == self.ask_without_key and point in ("publish-staged", "publish-remembered"):
                    continue        # (of keys)
                with self.subTest(point=point, ask=ask.__name__):
                    deaths = self.janus.log().count("died of signal 9")
                    self.arm(point)
                    number = ask()
                    self.assertFalse(self.armed(point), "the worker did not come by")
                    self.assertGreater(number, last)
                    last = number
                    wait_until(lambda: self.janus.log().count("died of signal 9") > deaths, 10, "the death in the log")
                    wait_until(self.live, 10, "all workers live")
                    self.catch_up()
                    for client in (self.asking, self.socket, self.packets):
                        client.expect_nothing()
        self.janus.forgive_deaths(9)

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
        self.janus.forgive_deaths()
        self.one_round("after")
        self.check_counts("the crash")
        self.assertEqual(self.janus.count("closed_blamed"), before + 1)

    def test_no_such_frame_in_production(self):
        janus = self.server()
        client = self.client(janus)
        client.action("crash")
        client.expect_error("unknown action")
        client.subscribe("a")


class Heartbeats(CrashTest):
    def test_deaths_among_heartbeats_that_are_sent_together(self):
        """Each client gets each once, and whole."""
        self.serve_crash_build("heartbeat=1s", "session_linger=0", workers=1)
        self.die_among_heartbeats([self.client(self.janus) for _ in range(12)], "batch-listed", "batch-half-recorded")


if __name__ == "__main__":
    unittest.main()
