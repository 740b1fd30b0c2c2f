"""Sessions that stay when their connection breaks, and connections that go on with them by their token."""
import json
import os
import random
import shutil
import signal
import tempfile
import threading
import time
import unittest

import janus_test
from crash_test import CrashTest
from janus_test import Closed, raise_nofile, wait_until
from programs import OTHER_BUILD, Program
from test_history import HistoryTest
from web_clients import TEXT, Lines, Packet, Sse, WebSocket, frame, request

JSON = [("Content-Type", "application/json")]
NOBODY = "0" * 24 + "%08x"


class SessionTest(HistoryTest):
    workers = 2
    options = ()

    def parked(self):
        return sum(w["parked"] for w in self.janus.stats()["slots"])

    def wait_parked(self, count):
        wait_until(lambda: self.parked() == count, what="%d sessions without a connection" % count)

    def cut(self, client, how="fin"):
        """The client's connection breaks, without a word. (Its session is counted as one that stays: it may be over before that is looked at.)"""
        before = self.janus.count("parked")
        if how == "rst":
            client.reset()
        else:
            client.close()
        wait_until(lambda: self.janus.count("parked") == before + 1, what="a session without a connection")

    def token_of(self, client):
        if isinstance(client, Packet) and client.greeting is None:
            client.greet()
        token = client.greeting["token"] if isinstance(client.greeting, dict) else bytes(json.loads(client.greeting)["token"]).decode()
        self.assertRegex(token, "^[0-9a-f]{32}$")
        return token

    def attached(self, kind, token, since=None):
        """A new connection that goes on with the session; and what it was told."""
        more = {} if since is None else {"since": since.text}
        if kind == "websocket":
            client = self.websocket()
            client.action("attach", token=token, **more)
        elif kind == "packet":
            client = self.packet()
            client.op("attach", token=token, **more)
        elif kind == "flash":
            client = self.flash()
            client.action("attach", data=token)
            client.expect(b"ACK")
            return client, None
        else:
            client = (self.lines if kind == "lines" else self.sse)("/sub?token=%s%s%s" % (token, "" if since is None else "&since=" + since.text,
                                                                                              "" if kind == "lines" else "&envelope=json"))
            told = {k.lower(): client.head.get("Janus-" + k) for k in ("Token", "Recovered", "Position")}
            self.assertEqual(told["token"], token)
            return client, told
        told = client.message()
        self.assertTrue(told["ok"], told)
        self.assertEqual(told["token"], token)
        return client, told

    def home_of(self, token):
        return int(token[24:], 16) >> 26

    def subscriber(self, kind, *topics):
        client = {"websocket": self.websocket, "packet": self.packet, "flash": self.flash}[kind]()
        token = self.token_of(client)
        return client.subscribe(*topics), token


class Attach(SessionTest):
    def test_each_by_each(self):
        """What came while a session had no connection is sent to the next one, of whatever kind, on whatever worker."""
        number = 0
        for first in ("websocket", "packet", "flash"):
            for then in ("websocket", "packet", "flash", "lines", "sse"):
                client, token = self.subscriber(first, "a", "b")
                self.publish("a", number)
                self.assertEqual(client.message()["data"], number)
                self.cut(client)
                self.publish("b", number + 1)
                self.publish("a", number + 2)
                client, told = self.attached(then, token)
                self.publish("b", number + 3)
                self.assertEqual(self.numbers(client, 3), [number + 1, number + 2, number + 3])
                self.cut(client)
                number += 4
        wait_until(lambda: self.janus.count("attached") == 15)

    def test_from_each_worker(self):
        """A connection goes to the worker that has its session, with the request and what follows it."""
        client, token = self.subscriber("websocket", "a")
        for slot in (0, 1, 0, 1):
            self.cut(client)
            self.publish("a", slot)
            client = self.on_worker(slot, WebSocket).upgrade()
            client.send(b"".join(self.frames({"action": "attach", "token": token}, {"action": "publish", "topic": "a", "data": "behind it", "ref": 1})))
            self.assertEqual(client.message()["token"], token)
            got = [client.message() for _ in range(3)]
            self.assertEqual([m.get("data") for m in got if "data" in m], [slot, "behind it"])
            workers = self.janus.status()["workers"]
            self.assertEqual([w["connections"] for w in workers][self.home_of(token)] >= 1, True)

    def frames(self, *actions):
        return [frame(TEXT, json.dumps(a)) for a in actions]

    def test_since(self):
        """The client knows best what it has: of what was on its way when its connection broke, nothing is lost or sent twice."""
        for kind in ("websocket", "packet", "lines", "sse"):
            client, token = self.subscriber("websocket", "a", "b")
            ids = self.publish("a", *range(10))
            self.assertEqual(self.numbers(client, 10), list(range(10)))
            self.cut(client, "rst")
            self.publish("b", 10)
            client, told = self.attached(kind, token, since=ids[4])
            self.assertIn(told["recovered"], (True, "true"))
            self.assertEqual(self.numbers(client, 6), list(range(5, 11)))
            self.publish("a", 11)
            self.assertEqual(self.numbers(client, 1), [11])
            client.close()

    def test_topic_that_nobody_else_hears(self):
        """It goes on for the session's sake, and what it has is all there; though no subscriber is counted."""
        self.assertIsNone(self.post("/pub/lonely", 0)["id"])
        client, token = self.subscriber("websocket", "lonely")
        (last,) = self.publish("lonely", 1)
        self.assertEqual(client.message()["data"], 1)
        self.cut(client)
        answer = self.post("/pub/lonely", 2)
        self.assertEqual(answer["subscribers"], 0)
        self.assertIsNotNone(answer["id"])
        client, told = self.attached("websocket", token, since=last)
        self.assertIs(told["recovered"], True)
        self.assertEqual(self.numbers(client, 1), [2])

    def test_inbox_and_broadcast(self):
        """Names that it is logged in under stay, too, and what goes to everybody comes once."""
        self.serve("broadcast=on")
        client = self.websocket()
        token = self.token_of(client)
        client.login("bob", "eve")
        self.cut(client)
        self.post("/send/bob", 1)
        self.post("/broadcast", 2)
        self.post("/send/eve", 3)
        client, _ = self.attached("packet", token)
        self.post("/broadcast", 4)
        got = [client.message() for _ in range(4)]
        self.assertEqual([m["data"] for m in got], [1, 2, 3, 4])
        self.assertEqual([m.get("user") for m in got], ["bob", None, "eve", None])
        client.expect_nothing()

    def test_overtaken(self):
        """What the ring has no more is known to be missing."""
        self.serve("ring_bytes=1M", "ring_messages=1024", "max_frame=64K")
        client, token = self.subscriber("websocket", "a")
        (last,) = self.publish("a", 1)
        self.assertEqual(client.message()["data"], 1)
        self.cut(client)
        other = self.websocket().subscribe("a")
        for n in range(30):
            self.post("/pub", [{"topic": "a", "data": n}] * 100)
        client, told = self.attached("websocket", token, since=last)
        self.assertIs(told["recovered"], False)
        self.assertGreater(told["missing"], 0)
        got = self.numbers(client, 800)
        self.assertEqual(got, sorted(got * 1, key=lambda n: (n, 0)))
        other.close()

    def test_second_attach(self):
        """The session has one connection: the first one is told, and ends."""
        client, token = self.subscriber("websocket", "a")
        second, _ = self.attached("websocket", token)
        self.assertIn("another connection has attached", client.expect_close_frame(1008))
        self.publish("a", 1)
        self.assertEqual(self.numbers(second, 1), [1])
        third, _ = self.attached("packet", token)
        self.assertIn("another connection has attached", second.expect_close_frame(1008))
        flash, _ = self.attached("flash", token)
        self.assertIn("another connection has attached", third.message()["error"])
        third.expect_close()
        self.publish("a", 2)
        self.assertEqual(self.numbers(flash, 1), [2])
        wait_until(lambda: (self.parked(), self.janus.connections()) == (0, 1))         # (who has published has just gone)

    def test_many_topics(self):
        """With a thousand topics; and the session goes on to be one that topics come to and leave."""
        client, token = self.subscriber("websocket", "own")
        client.action("subscribe", topic=["t%d" % n for n in range(999)])
        self.assertTrue(client.message()["ok"])
        self.cut(client)
        for n in (0, 500, 998):
            self.publish("t%d" % n, n)
        client, _ = self.attached("packet", token)
        self.assertEqual(self.numbers(client, 3), [0, 500, 998])
        client.op("unsubscribe", topic="t0")
        client.expect({"ok": True})
        client.subscribe("new")
        self.publish("t0", -1)
        self.publish("new", 1)
        self.publish("own", 2)
        self.assertEqual(self.numbers(client, 2), [1, 2])
        client.expect_nothing()
        self.assertEqual(self.janus.subscriptions(), 1000)


    def test_patterns(self):
        """A message that a topic and two patterns of the session bring comes once: to who attaches, and to who polls."""
        client, token = self.subscriber("websocket", "a.b", "a.*", "*.b")
        ids = self.publish("a.b", 0, 1, 2)
        self.assertEqual(self.numbers(client, 3), [0, 1, 2])
        self.cut(client)
        for n in range(3, 9):
            self.publish(("a.b", "a.c", "x.b")[n % 3], n)
        polled = self.ask("GET", "/session/%s/messages?since=%s" % (token, ids[0].text)).json()
        self.assertEqual(([m["data"] for m in polled["messages"]], polled["recovered"]), (list(range(1, 9)), True))
        client, told = self.attached("packet", token, since=ids[0])
        self.assertIs(told["recovered"], True)
        self.publish("a.b", 9)
        self.assertEqual(self.numbers(client, 9), list(range(1, 10)))
        client.expect_nothing()
        self.cut(client)
        self.publish("a.b", 10)
        client, _ = self.attached("lines", token)
        self.publish("a.z", 11)
        self.assertEqual(self.numbers(client, 2), [10, 11])

    def test_behind_other_input(self):
        """The request that moves is not the first one of what has come: other requests, messages and blank frames are before it, and others behind."""
        client, token = self.subscriber("flash", "a")
        witness = self.websocket().subscribe("w")
        for n, slot in enumerate((0, 1, 1, 0)):
            self.cut(client)
            self.publish("a", n)
            while True:
                before = self.janus.status()["workers"][slot]["connections"]
                client = self.flash()
                wait_until(lambda: sum(w["connections"] for w in self.janus.status()["workers"]) >= 2)
                if self.janus.status()["workers"][slot]["connections"] > before:
                    break
                client.close()
            client.send(b"\0\0" + b"".join(json.dumps(m).encode() + b"\0" + b"\0" for m in (
                {"action": "publish", "topic": "w", "data": [n, 0]}, {"action": "attach", "data": token}, {"action": "publish", "topic": "w", "data": [n, 1]})))
            client.expect(b"ACK")
            self.assertEqual(client.message()["data"], n)
            self.assertEqual([witness.message()["data"] for _ in range(2)], [[n, 0], [n, 1]])

    def test_of_one_that_is_over(self):
        """The session's connection breaks and another one attaches to it in one turn of the loop."""
        self.serve("hang_limit=0", workers=1)
        for n in range(4):
            client, token = self.subscriber("websocket", "a")
            second, third = self.websocket(), self.websocket()
            worker = self.janus.workers()[0]
            os.kill(worker, signal.SIGSTOP)
            try:
                if n % 2:
                    client.reset()
                second.action("attach", token=token)
                if not n % 2:       # (libev deals with what came last first)
                    client.reset()
                late = self.http()
                late.send(request("GET", "/version"))
            finally:
                os.kill(worker, signal.SIGCONT)
            self.assertTrue(second.message()["ok"])
            self.assertEqual(late.answer().status, 200)
            self.publish("a", n)
            self.assertEqual(self.numbers(second, 1), [n])
            third.expect_nothing()
            self.assertEqual(self.parked(), 0)
            second.frame(8, b"\x03\xe8")
            second.expect_close_frame(1000)
            second.close()

    def test_flood(self):
        """Who moves from worker to worker does not begin anew to count."""
        self.serve("flood_messages=12")
        client = self.websocket()
        with self.assertRaises(Closed):
            for n in range(500):
                client.action("attach", token=NOBODY % ((n % 2) << 26 | 7), ref=n)
                client.expect_error("no such session", ref=n)
        self.assertEqual(self.janus.count("closed_flood"), 1)

    def test_told_of_a_loss(self):
        """Without `since` nothing is promised, but what is known to be missing is said."""
        self.serve("ring_bytes=1M", "ring_messages=1024", "max_frame=64K")
        client, token = self.subscriber("websocket", "a")
        self.cut(client)
        self.publish("a", 0)
        client, told = self.attached("websocket", token)
        self.assertNotIn("recovered", told)
        self.assertEqual(self.numbers(client, 1), [0])
        self.cut(client)
        for _ in range(30):
            self.post("/pub", [{"topic": "a", "data": 0}] * 100)
        client, told = self.attached("packet", token)
        self.assertEqual((told["recovered"], told["missing"] > 0), (False, True))


class Ends(SessionTest):
    def test_goodbye(self):
        """Who says goodbye, or has subscribed nothing, leaves nothing."""
        client, token = self.subscriber("websocket", "a")
        client.frame(8, b"\x03\xe8")
        client.expect_close_frame(1000)
        client.close()
        self.websocket().close()
        flash, _ = self.subscriber("flash", "a")
        flash.unsubscribe("a")
        flash.action("login", data="x")
        flash.expect(b"ACK")
        flash.action("logout", data="x")
        flash.action("nonsense")
        flash.message()
        flash.close()
        stream = self.lines("/sub/a")       # nobody has told it a token
        stream.close()
        wait_until(lambda: self.janus.connections() == 0)
        self.assertEqual(self.janus.count("parked"), 0)
        self.assertEqual(self.ask("GET", "/session/" + token).status, 404)

    def test_cut_within_a_frame(self):
        client, token = self.subscriber("packet", "a")
        client.send(b"\0\0\1\0half")
        self.cut(client)
        self.publish("a", 1)
        client, _ = self.attached("packet", token)
        self.assertEqual(self.numbers(client, 1), [1])

    def test_reset_within_a_frame(self):
        """And its worker dies before it sees that: the session stays, and nothing is uncertain."""
        self.serve(workers=1)
        client, token = self.subscriber("packet", "a")
        client.send(b"\0\0\1\0half")
        wait_until(lambda: self.janus.stats()["slots"][0]["buffered"] > 0)
        worker = self.janus.slot(0)["worker"]
        os.kill(worker, signal.SIGSTOP)
        client.reset()
        self.janus.kill_worker(0)
        self.wait_parked(1)
        self.publish("a", 1)
        client, _ = self.attached("packet", token)
        self.assertEqual(self.numbers(client, 1), [1])
        self.assertEqual(self.janus.count("closed_uncertain"), 0)

    def test_time(self):
        self.serve("session_linger=1s")
        client, token = self.subscriber("packet", "a")
        self.cut(client)
        wait_until(lambda: self.parked() == 0, 10)
        self.assertEqual(self.janus.count("parked_ended"), 1)
        late = self.websocket()
        late.action("attach", token=token, ref=1)
        late.expect_error("no such session", ref=1)
        late.action("subscribe", topic="a")
        told = late.message()
        self.assertEqual("token" in told, self.home_of(token) != self.home_of(late.greeting["token"]))      # its connection has moved, then
        self.assertIsNotNone(self.post("/pub/a", 1)["id"])

    def test_not_before_its_time(self):
        """Whenever in a second it is that the connection breaks."""
        self.serve("session_linger=1s")
        there, lived = {}, []
        for n in range(3):
            client, token = self.subscriber("packet", "a")
            there[token] = time.monotonic()
            client.close()
            time.sleep(0.33)            # (the moment)
        while there:
            for token in [t for t in there if self.ask("GET", "/session/" + t).status == 404]:
                lived.append(time.monotonic() - there.pop(token))
            time.sleep(0.02)
        self.assertGreaterEqual(min(lived), 1)
        self.assertEqual(self.janus.count("parked_ended"), 3)

    def test_off(self):
        self.serve("session_linger=0")
        client = self.websocket().subscribe("a")
        self.assertNotIn("token", client.greeting)
        self.assertNotIn("sessions", client.greeting["features"])
        client.close()
        wait_until(lambda: self.janus.connections() == 0)
        self.assertEqual(self.janus.count("parked"), 0)

    def test_number(self):
        """The oldest go first."""
        self.serve("max_parked=3", workers=1)
        tokens = []
        for n in range(5):
            client, token = self.subscriber("websocket", "a%d" % n)
            tokens.append(token)
            client.close()
            wait_until(lambda: self.janus.count("parked") == n + 1)
        wait_until(lambda: self.parked() == 3)
        self.assertEqual(self.janus.count("parked_evicted"), 2)
        self.assertEqual([self.ask("GET", "/session/" + t).status for t in tokens], [404, 404, 200, 200, 200])

    def test_descriptors(self):
        """A connection that comes has its descriptor from the oldest of them."""
        raise_nofile(1024)
        self.serve(workers=1, nofile=(600, 600))
        most = self.janus.status()["connections_max"]
        for n in range(most + 10):
            client = self.packet().subscribe("a")
            client.close()
        wait_until(lambda: self.janus.count("parked") == most + 10)
        clients = [self.packet().subscribe("a") for _ in range(most)]
        clients[0].op("publish", topic="a", data=1)
        for client in clients:
            self.assertEqual(client.message()["data"], 1)
        self.assertEqual(self.parked(), 0)

    def test_errors(self):
        client, token = self.subscriber("websocket", "a")
        for members, pattern in (({}, "no token"), ({"token": 7}, "not a string"), ({"token": "x"}, "32 digits"), ({"token": "x" * 32}, "32 digits"),
                                 ({"token": token, "last": 3}, "unknown member \"last\""), ({"token": token, "topic": "a"}, "unknown member \"topic\""),
                                 ({"token": token, "since": "x"}, "since"), ({"token": token}, "comes before anything")):
            client.action("attach", ref=1, **members)
            client.expect_error(pattern, ref=1)
        fresh = self.websocket()
        fresh.action("attach", token=self.token_of(fresh), ref=2)
        fresh.expect_error("no such session|that session already", ref=2)
        for slot in (0, 1, 5, 63):
            fresh.action("attach", token=NOBODY % (slot << 26), ref=3)
            fresh.expect_error("no such session", ref=3)
        packet = self.packet()
        packet.op("attach", ref=1)
        packet.expect_error("no token", ref=1)
        packet.op("attach", token=b"x" * 32, ref=1)
        packet.expect_error("32 digits", ref=1)
        flash = self.flash()
        flash.action("attach", data=NOBODY % 0)
        self.assertIn("no such session", flash.message()["error"])
        self.assertEqual(self.ask("GET", "/sub?token=" + NOBODY % 7).status, 404)
        self.assertEqual(self.ask("GET", "/sub?token=abc").status, 400)
        client.expect_nothing()


class Owners(SessionTest):
    """Whose are ended when there are too many."""

    def test_who_makes_many(self):
        """Who makes many pushes out his own: strangers not a user's, of whom they are more, nor an address another one's. Also what a worker took over."""
        keys = os.path.join(tempfile.mkdtemp(), "keys")
        self.addCleanup(shutil.rmtree, os.path.dirname(keys))
        with open(keys, "w") as f:
            f.write("0123456789abcdef0123 * bob\n")
        self.serve("max_parked=4", "anonymous=all", "api_key=" + keys, "trusted_proxies=127.0.0.1", workers=1)

        def parks(*field):
            client = self.connect(Lines, "http")
            token = client.ask("GET", "/sub/a?token=", fields=field).get("Janus-Token")
            self.cut(client)
            return token
        bobs = parks(("Authorization", "Bearer 0123456789abcdef0123"), ("X-Forwarded-For", "203.0.113.9"))
        alone = parks(("X-Forwarded-For", "203.0.113.1"))
        self.janus.kill_worker(0)
        many = [parks(("X-Forwarded-For", "203.0.113.9")) for _ in range(6)]
        held = lambda *tokens: [self.ask("GET", "/session/" + t).status for t in tokens]
        self.assertEqual(held(bobs, alone, *many), 2 * [200] + 4 * [404] + 2 * [200])
        parks(("X-Forwarded-For", "203.0.113.2"))
        self.assertEqual(held(bobs, alone, *many[4:]), [200, 200, 404, 200])
        # one of each: who has not shown who he is goes first
        parks(("X-Forwarded-For", "203.0.113.3"))
        self.assertEqual(held(bobs, alone, many[5]), [200, 404, 200])

    def test_many(self):
        """Each of them is counted alone, however many there are: of those who have one each the oldest goes."""
        count, more = 100, 3
        self.serve("max_parked=%d" % count, "anonymous=all", "trusted_proxies=127.0.0.1", workers=1)
        clients = [self.connect(Lines, "http") for _ in range(count + more)]
        tokens = [client.ask("GET", "/sub/a?token=", fields=[("X-Forwarded-For", "203.0.113.%d" % n)]).get("Janus-Token")
                  for n, client in enumerate(clients)]
        for n, client in enumerate(clients):
            client.close()
            if n < more or n + 1 >= count:          # (the others may come in any order)
                wait_until(lambda: self.janus.count("parked") == n + 1)
        self.assertEqual([self.ask("GET", "/session/" + t).status for t in tokens[:more]], more * [404])
        self.assertEqual(self.parked(), count)


class Streams(SessionTest):
    def test_told(self):
        """A stream that asks for it is told its token: in the head, and in the stream, as browsers show no head."""
        lines = self.lines("/sub/a?token=")
        token = lines.head.get("Janus-Token")
        self.assertRegex(token, "^[0-9a-f]{32}$")
        self.assertEqual(lines.start["token"], token)
        self.cut(lines)
        self.publish("a", 1)
        again = self.lines("/sub/a?token=" + token)
        self.assertEqual(again.head.get("Janus-Token"), token)
        self.assertEqual(self.numbers(again, 1), [1])
        self.cut(again)
        self.publish("a", 2)
        client, _ = self.attached("websocket", token)
        self.assertEqual(self.numbers(client, 1), [2])
        self.assertIsNone(self.lines("/sub/a").head.get("Janus-Token"))

    def test_event_source(self):
        """The same address again and again, as an EventSource asks: with the session, and when it has ended."""
        self.serve("session_linger=%ds" % (1 + janus_test.SLOWNESS), "history=a: 100 messages")
        sse = self.connect(Sse, "http")
        head = sse.ask("GET", "/sub/a?token=", fields=[("Accept", "text/event-stream")])
        token = head.get("Janus-Token")
        target = "/sub/a?token=" + token
        (last,) = self.publish("a", 1)
        self.cut(sse)
        self.publish("a", 2)
        sse = self.sse(target + "&envelope=json", fields=[("Last-Event-ID", last.text)])
        self.assertEqual(sse.head.get("Janus-Recovered"), "true")
        self.assertEqual(self.numbers(sse, 1), [2])
        self.cut(sse)
        wait_until(lambda: self.parked() == 0, 10)
        self.publish("a", 3)
        sse = self.sse(target + "&envelope=json", fields=[("Last-Event-ID", last.text)])
        self.assertNotEqual(sse.head.get("Janus-Token"), token)
        self.assertEqual(sse.head.get("Janus-Recovered"), "true")
        self.assertEqual(self.numbers(sse, 2), [2, 3])

    def test_find(self):
        """GET /session/TOKEN, from whichever worker."""
        client, token = self.subscriber("websocket", "a", "b")
        for n in range(2):
            asker = self.on_worker(n)
            for _ in range(3):
                found = asker.ask("GET", "/session/" + token)
                self.assertEqual(found.status, 200, found)
                self.assertEqual({k: found.json()[k] for k in ("attached", "transport", "subscriptions")},
                                 {"attached": True, "transport": "websocket", "subscriptions": 2})
            asker.close()
        self.cut(client)
        found = self.ask("GET", "/session/" + token).json()
        self.assertEqual((found["attached"], found["subscriptions"]), (False, 2))
        self.assertTrue(50 < found["expires"] <= 60, found)
        self.assertEqual(self.ask("GET", "/session/" + NOBODY % 0).status, 404)
        self.assertEqual(self.ask("GET", "/session/xyz").status, 400)
        self.assertEqual(self.ask("GET", "/session").status, 404)
        self.assertEqual(self.ask("GET", "/session/%s/nonsense" % token).status, 404)


class Polled(SessionTest):
    """GET /session/TOKEN/messages: a session's messages for a client that has nothing but requests."""

    options = "broadcast=on",

    def messages(self, client, token, status=200, **query):
        answer = client.ask("GET", "/session/%s/messages%s" % (token, "".join("%s%s=%s" % ("&?"[not i], k, v) for i, (k, v) in enumerate(query.items()))))
        self.assertEqual(answer.status, status, answer)
        return answer.json()

    def test_messages(self):
        client = self.websocket()
        token = self.token_of(client)
        client.subscribe("a", "b").login("bob")
        (first,) = self.publish("a", 0)
        client.message()
        self.assertIn("has a connection", self.messages(self.http(), token, 409)["error"])
        self.cut(client)
        for n in range(1, 7):
            self.post(("/pub/a", "/pub/b", "/send/bob", "/broadcast")[n % 4], n)
        for slot in (0, 1):
            asker = self.on_worker(slot)
            got = self.messages(asker, token, since=first.text)
            self.assertEqual([m["data"] for m in got["messages"]], [1, 2, 3, 4, 5, 6])
            self.assertEqual([m.get("user") for m in got["messages"]], [None, "bob", None, None, None, "bob"])
            self.assertEqual((got["recovered"], got["more"]), (True, False))
            two = self.messages(asker, token, since=first.text, limit=2)
            self.assertEqual(([m["data"] for m in two["messages"]], two["more"]), ([1, 2], True))
            rest = self.messages(asker, token, since=two["position"].text)
            self.assertEqual([m["data"] for m in rest["messages"]], [3, 4, 5, 6])
            self.assertEqual([m["data"] for m in self.messages(asker, token)["messages"]], [1, 2, 3, 4, 5, 6])
            self.assertEqual(self.messages(asker, token, since=rest["position"].text)["messages"], [])
            asker.close()
        again, _ = self.attached("packet", token)
        self.assertEqual(self.numbers(again, 6), [1, 2, 3, 4, 5, 6])

    def test_wait(self):
        """A poll waits until something comes, over the death of the worker, too; or until its time is up, or the session is not there any more."""
        client, token = self.subscriber("websocket", "a", "b")
        self.cut(client)
        home = self.home_of(token)
        asker, fence = self.on_worker(home), self.on_worker(home)
        for n, topic in enumerate("abab"):
            asker.send(request("GET", "/session/%s/messages?wait=60%s" % (token, "" if n == 0 else "&since=" + last)))
            fence.ask("GET", "/version")        # the poll was read before that
            if n == 2:
                self.janus.kill_worker(home)
            (last,) = self.publish(topic, n)
            last = last.text
            self.assertEqual([m["data"] for m in asker.answer().json()["messages"]], [n])
        got = asker.ask("GET", "/session/%s/messages?wait=1&since=%s" % (token, last))
        self.assertEqual((got.status, got.json()["messages"]), (200, []))
        asker.send(request("GET", "/session/%s/messages?wait=60&since=%s" % (token, last)))
        fence.ask("GET", "/version")
        self.attached("packet", token)
        self.assertEqual(asker.answer().status, 409)

    def test_who_is_gone(self):
        """A poll whose client has gone, and whose place another request has meanwhile."""
        self.serve(workers=1)
        client, token = self.subscriber("websocket", "a")
        self.cut(client)
        poster = self.http()
        for n in range(3):
            asker = self.http()
            asker.send(request("GET", "/session/%s/messages?wait=60%s" % (token, "" if n == 0 else "&since=" + last)) +
                       b"POST /pub/x")
            poster.ask("GET", "/version")
            before = self.janus.connections()
            asker.close()
            wait_until(lambda: self.janus.connections() == before - 1)
            last = poster.ask("POST", "/pub/a", b"1", JSON).json()["id"].text
        late = self.http()
        late.send(b"POST /pub/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n1")
        poster.ask("POST", "/pub/a", b"1", JSON)
        late.send(b"23")
        self.assertEqual(late.answer().status, 200)

    def test_two_who_poll(self):
        """The later one waits, the first one is answered with nothing."""
        client, token = self.subscriber("websocket", "a")
        self.cut(client)
        first, second = self.on_worker(self.home_of(token)), self.on_worker(1 - self.home_of(token))
        first.send(request("GET", "/session/%s/messages?wait=60" % token))
        self.on_worker(self.home_of(token)).ask("GET", "/version")      # the first one was read before that
        second.send(request("GET", "/session/%s/messages?wait=60" % token))
        self.assertEqual(first.answer().json()["messages"], [])
        self.publish("a", 1)
        self.assertEqual([m["data"] for m in second.answer().json()["messages"]], [1])

    def test_stays_as_long_as_it_is_polled(self):
        linger = round(1 + janus_test.SLOWNESS)
        self.serve("session_linger=%ds" % linger)
        client, token = self.subscriber("websocket", "a")
        self.cut(client)
        asker = self.http()
        self.assertEqual(self.messages(asker, token, wait=linger + 2)["messages"], [])
        self.assertEqual(self.parked(), 1)
        wait_until(lambda: self.parked() == 0, 10)
        self.messages(asker, token, 404)

    def test_stays_as_long_as_it_is_asked_for(self):
        linger = round(1 + janus_test.SLOWNESS)
        self.serve("session_linger=%ds" % linger)
        client, token = self.subscriber("websocket", "a")
        self.cut(client)
        asker = self.http()
        for _ in range(2 * linger + 1):
            asker.ask("GET", "/session/%s/messages?wait=1" % token)
        self.assertEqual(self.parked(), 1)
        wait_until(lambda: self.parked() == 0, 10)
        self.messages(asker, token, 404)

    def test_overtaken(self):
        self.serve("ring_bytes=1M", "ring_messages=1024", "max_frame=64K")
        client, token = self.subscriber("websocket", "a")
        (first,) = self.publish("a", -1)
        client.message()
        self.cut(client)
        for n in range(30):
            self.post("/pub", [{"topic": "a", "data": n}] * 100)
        got = self.messages(self.http(), token, since=first.text)
        self.assertIs(got["recovered"], False)
        self.assertGreater(got["missing"], 0)
        self.assertEqual(len(got["messages"]), 100)

    def test_errors(self):
        client, token = self.subscriber("websocket", "a")
        self.cut(client)
        for query, pattern in (({"limit": 0}, "limit"), ({"since": "x"}, "since"), ({"wait": 301}, "wait"), ({"last": 1}, "last")):
            self.assertIn(pattern, self.messages(self.http(), token, 400, **query)["error"])
        self.messages(self.http(), NOBODY % 0, 404)


class Survive(SessionTest):
    def test_kills_and_reloads(self):
        """Sessions without a connection are there after the death of any worker, and a reload; those that were attached to have their token still."""
        sessions = [self.subscriber(kind, "a", "t%d" % n) for n, kind in enumerate(("websocket", "packet", "flash") * 4)]
        for client, token in sessions[:6]:
            self.cut(client)
        sessions[:6] = [self.attached("packet", token)[:1] + (token,) for _, token in sessions[:6]]
        for client, _ in sessions:
            self.cut(client)
        (last,) = self.publish("a", 1)
        for slot in (0, 1):
            self.janus.kill_worker(slot)
        self.assertEqual(self.parked(), len(sessions))
        self.publish("a", 2)
        self.assertEqual(self.janus.reload()[0], 0)
        self.assertEqual(self.parked(), len(sessions))
        self.publish("a", 3)
        for n, (_, token) in enumerate(sessions):
            client, _ = self.attached(("packet", "websocket", "lines")[n % 3], token)
            self.publish("t%d" % n, 4)
            self.assertEqual(self.numbers(client, 4), [1, 2, 3, 4])
        wait_until(lambda: (self.parked(), self.janus.connections()) == (0, len(sessions)), what="no others")

    def test_other_layout(self):
        folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, folder)
        program = Program(janus_test.BUILD, os.path.join(folder, "bin"))
        self.serve(workers=2, build=program.folder)
        sessions = [self.subscriber("websocket", "a", "t%d" % n) for n in range(6)]
        for client, _ in sessions[1:]:
            self.cut(client)
        for build in (OTHER_BUILD, janus_test.BUILD):
            self.publish("a", 1)
            program.put(build)
            status, _, err = self.janus.reload()
            self.assertEqual(status, 0, err)
            self.assertEqual(self.parked(), 5)
        for n, (_, token) in enumerate(sessions[1:]):
            client, _ = self.attached(("packet", "websocket")[n % 2], token)
            self.assertEqual(self.numbers(client, 2), [1, 1])
        self.assertEqual(self.numbers(sessions[0][0], 2), [1, 1])

    def test_while_all_comes(self):
        """Connections that are cut and come back, with publishes and kills meanwhile: each message once, in order."""
        stop, published = threading.Event(), []

        def publish():
            client, n = self.http(), 0
            while not stop.is_set():
                if client.ask("POST", "/pub/a", b"%d" % n, JSON).status == 200:
                    published.append(n)
                n += 1

        publisher = threading.Thread(target=publish)
        client, token = self.subscriber("websocket", "a", "b")
        publisher.start()
        try:
            got, last = [], None
            for turn in range(40):
                for _ in range(20):
                    m = client.message()
                    got.append(m["data"])
                    last = m["id"]
                client.reset() if turn % 2 else client.close()
                if turn % 8 == 7:
                    self.janus.kill_worker(turn // 8 % 2)
                client, told = self.attached(("websocket", "packet")[turn % 2], token, since=last)
                self.assertIs(told["recovered"], True)
        finally:
            stop.set()
            publisher.join()
        while got[-1] < published[-1]:
            got.append(client.message()["data"])
        self.assertEqual(got, list(range(got[0], published[-1] + 1)))


class Crowd(SessionTest):
    """
    Subscribers who drop their connections all the time (FIN, RST, silence) and come back by their token, on whatever worker they meet, while workers are
    killed and the server reloads: each gets each message once, in order.
    """
    options = "hang_limit=0",

    def one(self, n):
        """A subscriber: comes, goes and comes back, until the last message."""
        rng = self.randoms[n]
        kind = ("websocket", "packet", "lines")[n % 3]
        client, token = self.subscriber("packet", "a", "b")
        abandoned, got, last = [], [], None
        self.there.release()
        while not got or got[-1] != self.end:
            stop = len(got) + rng.randrange(1, 60)
            while len(got) < stop and (not got or got[-1] != self.end):
                m = client.message(60)
                got.append(m["data"])
                last = m["id"]
            how = rng.choice(("fin", "rst", "silence"))
            if how == "silence":
                abandoned.append(client)        # its socket stays, and nobody reads it
            else:
                client.close() if how == "fin" else client.reset()
            client, told = self.attached(kind, token, since=last)
            if told["recovered"] not in (True, "true"):
                raise AssertionError("subscriber %d at %s: %r" % (n, last.text, told))
            self.comings[n] += 1
        if got != list(range(got[0], self.end + 1)):
            raise AssertionError("subscriber %d got %r" % (n, got))

    def run_one(self, n):
        try:
            self.one(n)
        except BaseException as e:
            self.errors.append(e)
            self.there.release()

    def test_crowd(self):
        count, self.end, self.errors, self.there, rng = 24, 1500, [], threading.Semaphore(0), self.random()
        self.comings, self.randoms = [0] * count, [random.Random(rng.random()) for _ in range(count)]
        self.janus
        threads = [threading.Thread(target=self.run_one, args=(n,), daemon=True) for n in range(count)]
        for t in threads:
            t.start()
        for _ in threads:
            self.there.acquire()
        publisher = self.http()
        for n in range(self.end + 1):
            answer = publisher.ask("POST", "/pub/" + "ab"[n % 2], b"%d" % n, JSON)
            self.assertEqual(answer.status, 200, answer)
            if n % 300 == 150:
                self.janus.kill_worker(n // 300 % 2)
            if n == 700:
                self.assertEqual(self.janus.reload()[0], 0)
        for t in threads:
            t.join(60 * janus_test.SLOWNESS)
        self.assertEqual(self.errors, [])
        self.assertFalse(any(t.is_alive() for t in threads))
        self.assertGreater(min(self.comings), 10)


class Points(CrashTest, SessionTest):
    """A worker dies at each point of a session's parking, moving and being attached to."""

    def at_home(self, slot):
        """A client whose session is this slot's."""
        while True:
            client = self.on_worker(slot, WebSocket).upgrade()
            token = self.token_of(client)
            if self.home_of(token) == slot:
                return client, token

    def check(self, point, slot_of_asker=0):
        self.serve_crash_build()
        client, token = self.at_home(1)
        client.subscribe("a", "b")
        self.publish("a", 1)
        self.assertEqual(client.message()["data"], 1)
        if point.startswith("park"):
            self.arm(point)
        client.close()
        wait_until(lambda: self.parked() == 1)
        self.publish("b", 2)
        if not point.startswith("park"):
            self.arm(point)
        asker = self.on_worker(slot_of_asker, WebSocket).upgrade()
        asker.action("attach", token=token, ref=1)
        told = asker.message(30)
        wait_until(lambda: sum(w["restarts"] for w in self.janus.status()["workers"]) == 1, what="somebody to die at " + point)
        self.assertEqual((told["ok"], told["token"]), (True, token))
        self.publish("a", 3)
        self.assertEqual(self.numbers(asker, 2), [2, 3])
        asker.expect_nothing()
        wait_until(lambda: (self.parked(), self.janus.connections()) == (0, 1))
        self.cut(asker)
        self.publish("a", 4)
        again, _ = self.attached("packet", token)
        self.assertEqual(self.numbers(again, 1), [4])
        again.expect_nothing()
        self.janus.forgive_deaths()

    def test_moved_again(self):
        """A connection that was given away just before the death, and is over when the next worker gives it away again."""
        self.serve_crash_build()
        reader = self.websocket().subscribe("p")
        client, token = self.at_home(1)
        client.subscribe("a")
        asker = self.on_worker(0)
        keeper = self.janus.keepers()[0]
        self.arm("move-sent")
        os.kill(keeper, signal.SIGSTOP)
        try:
            asker.send(request("GET", "/session/" + token) + request("POST", "/pub/p", b"5", JSON + [("Connection", "close")]))
            self.assertEqual(asker.answer().status, 200)
            self.assertEqual(asker.answer().status, 200)
            asker.close()
            wait_until(lambda: not self.armed("move-sent"))
        finally:
            os.kill(keeper, signal.SIGCONT)
        wait_until(lambda: sum(w["restarts"] for w in self.janus.status()["workers"]) == 1 and all(w["state"] == "live" for w in self.janus.status()["workers"]))
        self.publish("p", 6)
        self.assertEqual(self.numbers(reader, 2), [5, 6])
        reader.expect_nothing()
        self.janus.forgive_deaths()

    def test_moved_and_opened(self):
        """What a connection that was given to another worker has asked for is done once, though that worker dies before it has taken the message away."""
        self.serve_crash_build()
        reader = self.websocket().subscribe("p")
        client, token = self.at_home(1)
        client.subscribe("a")
        asker = self.on_worker(0)
        self.arm("move-opened")
        asker.send(request("GET", "/session/" + token) + request("POST", "/pub/p", b"5", JSON) + request("GET", "/session/" + token))
        for _ in range(3):
            self.assertEqual(asker.answer().status, 200)
        self.assertFalse(self.armed("move-opened"))
        self.assertEqual(asker.ask("GET", "/version").status, 200)
        self.publish("p", 6)
        self.assertEqual(self.numbers(reader, 2), [5, 6])
        reader.expect_nothing()
        self.janus.forgive_deaths()

    def test_parking(self):
        for point in ("park-committed", "park-closed"):
            with self.subTest(point):
                self.check(point)

    def test_taken_over(self):
        """The first connection ends, though the worker dies before it has closed it."""
        for point in ("park-committed", "park-closed"):
            with self.subTest(point):
                self.serve_crash_build(workers=1)
                client, token = self.subscriber("packet", "a")
                self.arm(point)
                second, _ = self.attached("websocket", token)
                self.publish("a", 1)
                self.assertEqual(self.numbers(second, 1), [1])
                if point == "park-closed":
                    self.assertIn("another connection", client.message()["error"])
                client.expect_close()
                wait_until(lambda: (self.parked(), self.janus.connections()) == (0, 1))
                self.janus.forgive_deaths()

    def test_attaching(self):
        for point in ("replay-begun", "attach-noted", "attach-committed", "attach-taken", "park-freed", "attach-unparked", "replay-committed"):
            with self.subTest(point):
                self.check(point, 1)

    def test_moving(self):
        for point in ("move-noted", "move-sent", "move-freed", "move-received", "move-opened", "move-taken"):
            with self.subTest(point):
                self.check(point)


if __name__ == "__main__":
    unittest.main()
