"""History: messages that are kept beyond the ring, and subscribers that get what they missed."""
import json
import threading
import time
import unittest

from crash_test import CrashTest
from janus_test import program, run, wait_until
from positions import settled
from web_clients import Http, WebTest, request

EVERY = "history=*: 10000 messages"
SMALL = "ring_bytes=1M", "ring_messages=1024", "max_frame=64K"
KINDS = "websocket", "packet", "lines", "sse", "stream"


class HistoryTest(WebTest):
    options = (EVERY,)

    def publish(self, topic, *numbers):
        """Positions of messages that say these numbers. Nobody need hear them."""
        client = self.http()
        ids = [client.ask("POST", "/pub/" + topic, b"%d" % n, [("Content-Type", "application/json")]).json()["id"] for n in numbers]
        client.close()
        return ids

    def history(self, topic, **query):
        answer = self.ask("GET", "/history/" + topic + "".join("%s%s=%s" % ("&?"[not i], k, v) for i, (k, v) in enumerate(query.items())))
        self.assertEqual(answer.status, 200, answer)
        found = answer.json()
        settled(found["messages"])
        return found

    def kept(self, topic, **query):
        return [m["data"] for m in self.history(topic, **query)["messages"]]

    def resumed(self, kind, topics, **query):
        """A subscriber of this kind that asks for the past; and what it was told: True, or how many are known to be missing, or None."""
        if kind == "websocket":
            client = self.websocket()
            client.action("subscribe", topic=topics, **query)
            told = client.message()
        elif kind == "packet":
            client = self.packet()
            client.op("subscribe", topic=topics, **query)
            told = client.message()
        else:
            target = "/sub?" + "&".join(["topic=%s" % t for t in topics] + ["%s=%s" % one for one in query.items()])
            if kind == "stream":
                client = self.websocket(target)
                told = json.loads(client.start)
            elif kind == "lines":
                client = self.lines(target)
                told = client.start
            else:
                client = self.sse(target + "&envelope=json")
                recovered = client.head.get("Janus-Recovered")
                return client, None if recovered is None else recovered == "true" or int(recovered.partition("missing=")[2])
        self.assertIs(told["ok"], True, told)
        return client, None if "recovered" not in told else told["recovered"] or told["missing"]

    def on_worker(self, slot, kind=Http, **more):
        """A client that this slot's worker has accepted."""
        others = []
        try:
            while True:
                self.assertLess(len(others), 100, "connections do not spread over the workers")
                before = self.janus.status()["workers"][slot]["connections"]
                client = self.connect(kind, "http", **more)
                self.assertEqual(client.ask("GET", "/version").status, 200)
                if self.janus.status()["workers"][slot]["connections"] > before:
                    return client
                others.append(client)
        finally:
            for client in others:
                client.close()

    def alone(self):
        """Waits until nobody subscribes anything."""
        wait_until(lambda: self.janus.subscriptions() == 0, what="no subscriptions")

    def message_of(self, client):
        if hasattr(client, "event"):
            return client.event().json()
        return client.message()

    def numbers(self, client, count):
        got = []
        for _ in range(count):
            try:
                got.append(self.message_of(client)["data"])
            except AssertionError as e:
                raise AssertionError("%d of %d: %r" % (len(got), count, got[-5:])) from e
        return got


class Query(HistoryTest):
    def test_nobody_hears(self):
        """A topic that has history keeps what nobody hears, under a position of its own."""
        ids = self.publish("news", 1, 2, 3)
        self.assertEqual(ids, sorted(set(ids)))
        answer = self.history("news")
        self.assertEqual([m["data"] for m in answer["messages"]], [1, 2, 3])
        self.assertEqual([m["id"].text for m in answer["messages"]], [i.text for i in ids])
        self.assertEqual((answer["position"].text, answer["more"]), (ids[-1].text, False))
        self.assertEqual(set(answer["messages"][0]), {"id", "timestamp", "topic", "data"})
        self.assertEqual(self.kept("other"), [])

    def test_ranges(self):
        ids = self.publish("news", *range(20))
        self.publish("else", *range(20))
        self.assertEqual(self.kept("news", limit=3), [17, 18, 19])
        self.assertEqual(self.kept("news", limit=3, before=ids[10].text), [7, 8, 9])
        self.assertEqual(self.kept("news", limit=3, since=ids[10].text), [11, 12, 13])
        self.assertEqual(self.kept("news", since=ids[10].text, before=ids[13].text), [11, 12])
        self.assertEqual(self.kept("news", since=ids[19].text), [])
        self.assertEqual(self.kept("news", before=ids[0].text), [])
        answer = self.history("news", limit=3, since=ids[10].text)
        self.assertEqual((answer["more"], answer["recovered"]), (True, True))
        self.assertEqual(self.kept("news", since=answer["position"].text), list(range(14, 20)))
        before_all = ids[0].text.partition("-")[0] + "-0"
        self.assertEqual(self.kept("news", since=before_all), list(range(20)))
        self.assertEqual(self.kept("news", before=before_all), [])
        self.assertEqual(self.history("news", before=before_all)["position"], 0)

    def test_pages_of_an_answer(self):
        """Any number of messages of any size is had piece by piece."""
        ids = [self.post("/pub/big", {"n": n, "fill": "x" * (n * 1000)})["id"] for n in range(60)]
        got, since, answers = [], ids[0].text.partition("-")[0] + "-0", 0
        while not answers or answer["more"]:
            answer = self.history("big", limit=1000, since=since)
            got += [m["data"]["n"] for m in answer["messages"]]
            since = answer["position"].text
            answers += 1
        self.assertEqual(got, list(range(60)))
        self.assertGreater(answers, 4)

    def test_errors(self):
        for target, pattern in (("/history", "no topic"), ("/history/a,b", "one topic"), ("/history/a?limit=0", "limit"), ("/history/a?limit=1001", "limit"),
                                ("/history/a?limit=x", "limit"), ("/history/a?since=7", "since"), ("/history/a?before=x", "before"),
                                ("/history/a?last=3", "unknown parameter"), ("/history/a?topic=b", "path or query")):
            with self.subTest(target=target):
                answer = self.ask("GET", target)
                self.assertEqual(answer.status, 400, answer)
                self.assertIn(pattern, answer.json()["error"])
        self.assertEqual(self.ask("POST", "/history/a", b"x").status, 405)
        self.assertEqual(self.ask("HEAD", "/history/a").status, 200)

    def test_users_are_no_topics(self):
        self.post("/send/bob", "secret")
        self.assertEqual(self.kept("bob"), [])

    def test_without_history(self):
        """What the ring has of a topic that somebody subscribes."""
        self.serve("history=")
        self.assertIsNone(self.post("/pub/a", "1")["id"])
        self.assertEqual(self.kept("a"), [])
        subscriber = self.websocket().subscribe("a")
        self.published("/pub/a", b"2", "application/json")
        self.assertEqual(self.kept("a"), [2])
        subscriber.message()


class Poll(HistoryTest):
    def poll(self, topic, client=None, **query):
        client = client or self.http()
        client.send(request("GET", "/poll/" + topic + "".join("%s%s=%s" % ("&?"[not i], k, v) for i, (k, v) in enumerate(query.items()))))
        return client

    def polled(self, client, seconds=None):
        answer = client.answer(seconds=seconds)
        self.assertEqual(answer.status, 200, answer)
        found = answer.json()
        settled(found["messages"])
        return found

    def test_what_is_there(self):
        ids = self.publish("a", *range(5))
        found = self.polled(self.poll("a", since=ids[2].text))
        self.assertEqual(([m["data"] for m in found["messages"]], found["recovered"]), ([3, 4], True))
        found = self.polled(self.poll("a", since="1-1", limit=2))
        self.assertEqual(([m["data"] for m in found["messages"]], found["recovered"], found["more"]), ([0, 1], False, True))

    def test_what_comes(self):
        clients = [self.poll("a") for _ in range(10)]
        wait_until(lambda: self.janus.subscriptions() == 10)
        self.assertEqual(self.post("/pub/a", b"1", "application/json")["subscribers"], 10)
        found = [self.polled(client) for client in clients]
        self.assertEqual([[m["data"] for m in f["messages"]] for f in found], [[1]] * 10)
        wait_until(lambda: self.janus.subscriptions() == 0)
        for n in range(2, 6):       # on the same connections, from where they are
            for client, f in zip(clients, found):
                self.poll("a", client, since=f["position"].text)
            wait_until(lambda: self.janus.subscriptions() == 10)
            self.publish("a", n)
            found = [self.polled(client) for client in clients]
            self.assertEqual([[m["data"] for m in f["messages"]] for f in found], [[n]] * 10)

    def test_nothing_comes(self):
        client = self.poll("a", wait=1)
        found = self.polled(client, 10)
        self.assertEqual((found["messages"], found["more"]), ([], False))
        self.assertEqual(self.polled(self.poll("a", client, wait=0))["messages"], [])
        self.assertEqual(self.janus.subscriptions(), 0)

    def test_requests_behind_it(self):
        client = self.poll("a")
        client.send(request("GET", "/version") + request("POST", "/pub/b", b"x"))
        wait_until(lambda: self.janus.subscriptions() == 1)
        self.publish("a", 1)
        self.assertEqual([m["data"] for m in self.polled(client)["messages"]], [1])
        self.assertEqual(client.answer().json()["name"], "janus")
        self.assertEqual(client.answer().status, 200)

    def test_who_goes_away(self):
        clients = [self.poll("a") for _ in range(5)]
        wait_until(lambda: self.janus.subscriptions() == 5)
        for client in clients:
            client.close()
        wait_until(lambda: self.janus.subscriptions() == 0)

    def test_slow_requests_are_not_late(self):
        self.serve(EVERY, "http_timeout=1s")
        client = self.poll("a", wait=20)
        time.sleep(2.5)
        self.publish("a", 1)
        self.assertEqual([m["data"] for m in self.polled(client)["messages"]], [1])

    def test_deaths_and_reloads(self):
        self.serve(EVERY)
        clients = [self.poll("a") for _ in range(8)]
        for n in range(4):
            wait_until(lambda: self.janus.subscriptions() == 8)
            self.janus.kill_worker(n % 2)
            if n == 2:
                self.janus.reload()
        wait_until(lambda: self.janus.subscriptions() == 8)
        self.publish("a", 1)
        for client in clients:
            self.assertEqual([m["data"] for m in self.polled(client)["messages"]], [1])

    def test_errors(self):
        for target in ("/poll", "/poll/a,b", "/poll/a?wait=x", "/poll/a?wait=301", "/poll/a?since=x", "/poll/a?last=1"):
            self.assertEqual(self.ask("GET", target).status, 400, target)
        self.assertEqual(self.ask("HEAD", "/poll/a").status, 405)

    def test_without_history(self):
        self.serve("history=")
        client = self.poll("a")
        wait_until(lambda: self.janus.subscriptions() == 1)
        self.publish("a", 1)
        found = self.polled(client)
        self.assertEqual([m["data"] for m in found["messages"]], [1])
        self.post("/pub/a", "lost")
        found = self.polled(self.poll("a", client, since=found["position"].text))
        self.assertEqual((found["messages"], found["recovered"]), ([], False))


class Limits(HistoryTest):
    def test_messages(self):
        self.serve("history=few.*: 10 messages; *: 0 messages", *SMALL)
        ids = self.publish("few.a", *range(1000))
        kept = self.kept("few.a", limit=1000)
        self.assertEqual(kept[-10:], list(range(990, 1000)))
        self.assertLess(len(kept), 400)     # whole pages go
        self.assertIsNone(self.post("/pub/other", "1")["id"])
        other = self.websocket().subscribe("other")
        self.publish("other", *range(1100))     # now the ring has nothing else
        client, told = self.resumed("websocket", ["few.a"], since=ids[5].text)
        self.assertIsNot(told, True)
        self.assertGreaterEqual(told, 1)

    def test_age(self):
        self.serve("history=*: 1s")
        self.publish("a", 1)
        wait_until(lambda: not self.kept("a"), 20)
        wait_until(lambda: self.janus.stats()["history"]["topics"] == 0, 20)

    def test_a_busy_topic_does_not_push_out_a_quiet_one(self):
        self.serve("history=quiet.*: 20 messages; *: 1000000 messages", "history_bytes=1M", *SMALL)
        quiet = ["quiet.%d" % n for n in range(5)]
        for topic in quiet:
            self.publish(topic, *range(20))
        body = json.dumps([{"topic": "busy", "data": "x" * 400} for _ in range(100)]).encode()
        client = self.http()
        for _ in range(120):    # 5 MB
            self.assertEqual(client.ask("POST", "/pub", body).status, 200)
        for topic in quiet:
            self.assertEqual(self.kept(topic), list(range(20)), topic)
        self.assertGreater(len(self.kept("busy", limit=1000)), 300)      # as many as an answer has
        self.assertGreater(self.janus.count("history_short"), 0)

    def test_bad_settings(self):
        for text in ("news", "news: ", "news: 10 apples", "a*b: 1 message", ": 1 message", "a: 1 message, 2 messages"):
            with self.subTest(text=text):
                status, _, error = run(program("janus"), "-t", "-o", "history=" + text)
                self.assertNotEqual(status, 0)
                self.assertIn("history", error)

    def test_reload(self):
        self.serve(EVERY)
        self.publish("a", *range(5))
        self.janus.kill_worker(0)
        self.janus.reload()
        self.assertEqual(self.kept("a"), list(range(5)))


class Replay(HistoryTest):
    def test_since(self):
        ids = self.publish("a", *range(10))
        for kind in KINDS:
            with self.subTest(kind=kind):
                client, told = self.resumed(kind, ["a"], since=ids[3].text)
                self.assertIs(told, True)
                self.assertEqual(self.numbers(client, 6), list(range(4, 10)))
                live = self.publish("a", 10)
                self.assertEqual(self.numbers(client, 1), [10])
                client.close()
                client, told = self.resumed(kind, ["a"], since=live[0].text)
                self.assertIs(told, True)
                self.publish("a", 11)
                self.assertEqual(self.numbers(client, 1), [11])
                client.close()

    def test_last(self):
        self.publish("a", *range(10))
        for kind in KINDS:
            with self.subTest(kind=kind):
                client, told = self.resumed(kind, ["a", "none"], last=2)
                self.assertIsNone(told)
                self.publish("a", 10)
                self.assertEqual(self.numbers(client, 3)[-1], 10)
                client.close()
        client, _ = self.resumed("websocket", ["a"], last=1000)
        self.assertEqual(self.numbers(client, 10), list(range(10)))

    def test_position_of_the_start(self):
        """A client that breaks before its first message resumes from where its stream started."""
        self.publish("a", 1, 2)
        client = self.websocket().subscribe("a")
        client.close()
        self.publish("a", 3, 4)
        again, told = self.resumed("websocket", ["a"], since=client.position.text)
        self.assertIs(told, True)
        position = again.position
        self.assertEqual(self.numbers(again, 2), [3, 4])
        again, told = self.resumed("lines", ["a"], since=position.text)
        self.assertEqual(self.numbers(again, 2), [3, 4])

    def test_last_event_id(self):
        ids = self.publish("a", *range(6))
        for fields, query, first in (([("Last-Event-ID", ids[2].text)], "", 3), ([], "?lastEventId=" + ids[2].text, 3),
                                     ([("Last-Event-ID", ids[3].text)], "?last=5", 4), ([("Last-Event-ID", "")], "?last=1", 5)):
            with self.subTest(fields=fields, query=query):
                client = self.sse("/sub/a" + query, fields=fields)
                self.assertEqual([int(client.event().data) for _ in range(6 - first)], list(range(first, 6)))
                client.close()
        client = self.sse("/sub/a", fields=[("Last-Event-ID", "of another server")])
        self.assertTrue(client.head.get("Janus-Recovered").startswith("false"))

    def test_not_recovered(self):
        ids = self.publish("a", *range(4))
        epoch, _, seq = ids[-1].text.partition("-")
        for since, all_of_it in (("1-1", True), (epoch + "-999999", False)):
            for kind in KINDS:
                with self.subTest(since=since, kind=kind):
                    client, told = self.resumed(kind, ["a"], since=since)
                    self.assertEqual(told, 0)
                    if all_of_it:       # it came later than anything of another epoch
                        self.assertEqual(self.numbers(client, 4), list(range(4)))
                    self.publish("b", 1)
                    client.close()

    def test_topic_that_was_not_there(self):
        """Nobody counted what was published to it."""
        self.serve("history=")
        self.post("/pub/a", "lost")
        position = self.websocket().subscribe("b")
        self.post("/pub/a", "lost")
        self.publish("b", 1)
        client, told = self.resumed("websocket", ["a"], since=position.position.text)
        self.assertEqual(told, 0)

    def test_from_the_ring(self):
        """Without history, while somebody else subscribes the topic."""
        self.serve("history=")
        other = self.websocket().subscribe("a")
        ids = self.publish("a", *range(10))
        for kind in KINDS:
            client, told = self.resumed(kind, ["a"], since=ids[6].text)
            self.assertIs(told, True, kind)
            self.assertEqual(self.numbers(client, 3), [7, 8, 9])
            client.close()
        client, _ = self.resumed("websocket", ["a"], last=3)
        self.assertEqual(self.numbers(client, 3), [7, 8, 9])
        self.assertEqual(self.numbers(other, 10), list(range(10)))

    def test_what_the_ring_is_about_to_overwrite(self):
        """It is taken from history: it goes out together, and no frame is kept for it. A pattern besides has it in the ring alone."""
        self.serve(EVERY, *SMALL)
        other = self.websocket().subscribe("a.*")
        ids = self.publish("a.b", *range(300))      # two records each: as far behind as 600 of 1,024
        self.assertEqual(self.numbers(other, 300), list(range(300)))
        for kind in KINDS:
            with self.subTest(kind=kind):
                sends = self.janus.count("sends")
                client, told = self.resumed(kind, ["a.b"], since=ids[9].text)
                self.assertIs(told, True)
                self.assertEqual(self.numbers(client, 290), list(range(10, 300)))
                self.assertLess(self.janus.count("sends") - sends, 15)
                client.close()
        self.assertEqual(self.janus.count("frames_kept"), 0)
        both, told = self.resumed("websocket", ["a.b", "a.*"], since=ids[9].text)
        self.assertIs(told, True)
        self.publish("a.b", 300)
        self.assertEqual(self.numbers(both, 291), list(range(10, 301)))

    def test_what_the_ring_has_longer_than_history(self):
        """It is about to overwrite it, and history has the newest ones alone."""
        self.serve("history=*: 20 messages", *SMALL)
        other = self.websocket().subscribe("a")
        ids = self.publish("a", *range(400))
        self.assertEqual(self.numbers(other, 400), list(range(400)))
        for kind in KINDS:
            with self.subTest(kind=kind):
                client, told = self.resumed(kind, ["a"], since=ids[9].text)
                self.assertIs(told, True)
                self.assertEqual(self.numbers(client, 390), list(range(10, 400)))
                client.close()

    def test_other_topics_go_on(self):
        """A topic with a past joins others: they go on where they are, nothing twice."""
        ids = self.publish("a", *range(5))
        client = self.websocket().subscribe("b").subscribe("c")
        self.publish("b", 100, 101)
        self.publish("c", 200)
        self.assertEqual(self.numbers(client, 3), [100, 101, 200])
        client.action("subscribe", topic="a", since=ids[1].text)
        client.expect({"ok": True, "recovered": True})
        self.publish("b", 102)
        self.assertEqual(self.numbers(client, 4), [2, 3, 4, 102])
        client.action("subscribe", topic=["a", "d"], last=3)
        client.expect({"ok": True})
        self.publish("d", 300)
        self.publish("a", 5)
        self.assertEqual(self.numbers(client, 2), [300, 5])

    def test_several_with_different_pasts(self):
        for n in range(10):
            self.publish("ab"[n % 2], n)
        ids = [m["id"] for m in self.history("a")["messages"]]
        client, told = self.resumed("websocket", ["a", "b", "c"], since=ids[1].text)
        self.assertIs(told, True)
        self.assertEqual(self.numbers(client, 7), list(range(3, 10)))

    def test_users(self):
        self.serve("history=@*: 100 messages")
        for n in range(5):
            self.post("/send/bob", n)
        self.post("/send/eve", 9)
        client = self.websocket()
        client.action("login", user="bob", last=2)
        client.expect({"ok": True})
        got = [client.message() for _ in range(2)]
        self.assertEqual([(m["user"], m["data"]) for m in got], [("bob", 3), ("bob", 4)])
        stream = self.lines("/inbox/bob?since=" + got[0]["id"].text)
        self.assertEqual(stream.message()["data"], 4)

    def test_errors(self):
        client, packet = self.websocket(), self.packet()
        for members, pattern in (({"since": "x"}, "since"), ({"since": 7}, "since"), ({"last": 0}, "last"), ({"last": 1001}, "last"), ({"last": "3"}, "last"),
                                 ({"since": "a-1", "last": 1}, "one of them")):
            client.action("subscribe", topic="a", **members)
            client.expect_error(pattern)
            packet.op("subscribe", topic="a", **members)
            packet.expect_error(pattern)
        client.action("unsubscribe", topic="a", last=1)
        client.expect_error("unknown member")
        for query in ("since=x", "last=0", "last=1001", "last=x", "last=1&since=a-1", "last=1&last=2"):
            self.assertEqual(self.ask("GET", "/sub/a?" + query).status, 400, query)

    def test_large(self):
        for n in range(12):
            self.post("/pub/a", {"n": n, "fill": "x" * 200000})
        for kind in KINDS:
            client, _ = self.resumed(kind, ["a"], last=10)
            self.assertEqual([self.message_of(client)["data"]["n"] for _ in range(10)], list(range(2, 12)), kind)
            client.close()

    def test_reader_that_stops(self):
        """Replays are cut anywhere when the socket is full, while history goes on losing its oldest."""
        self.serve("history=*: 3000 messages", "history_bytes=1M", *SMALL, "send_buffer=16K")
        body = json.dumps([{"topic": "a", "data": "x" * 300} for _ in range(100)]).encode()
        publisher = self.http()
        for _ in range(20):
            publisher.ask("POST", "/pub", body)
        clients = [self.websocket() for _ in range(4)]
        for client in clients:
            client.action("subscribe", topic="a", last=1000)
        for _ in range(80):
            publisher.ask("POST", "/pub", body)
        publisher.ask("POST", "/pub/a", b"end")
        for client in clients:
            ids = []
            while True:
                message = client.message(30)
                if "ok" in message:
                    continue
                self.assertEqual(set(message), {"id", "timestamp", "topic", "data"})
                ids.append(message["id"])
                if message["data"] == "end":
                    break
                self.assertEqual(message["data"], "x" * 300)
            self.assertEqual(ids, sorted(set(ids)))

    def test_resume_in_the_middle_of_a_frame(self):
        """A session that is in the middle of a frame goes back when that is sent, also behind a long backlog."""
        self.serve(EVERY, "send_buffer=16K")
        ids = self.publish("old", *range(5))
        client = self.websocket().subscribe("busy")
        for n in range(400):
            self.published("/pub/busy", {"n": n, "fill": "x" * 30000})
        client.action("subscribe", topic="old", since=ids[1].text)
        old, busy, told = [], [], False
        while len(old) < 3 or len(busy) < 400:
            message = client.message(30)
            if "ok" in message:
                self.assertEqual(message, {"ok": True, "recovered": True})
                told = True
            elif message["topic"] == "old":
                self.assertTrue(told)
                old.append(message["data"])
            else:
                busy.append(message["data"]["n"])
        self.assertEqual((old, busy), ([2, 3, 4], list(range(400))))


class Pouring(HistoryTest):
    """Replays while publishes pour in, and workers die: every number once, in order, from the one asked for on."""

    def pour(self, topic, stop, ids):
        client = self.http()
        n = 0
        while not stop.is_set():
            ids.append(client.ask("POST", "/pub/" + topic, b"%d" % n, [("Content-Type", "application/json")]).json()["id"])
            n += 1
        client.close()

    def follow(self, rounds, disturb):
        stop, ids = threading.Event(), []
        thread = threading.Thread(target=self.pour, args=("a", stop, ids))
        thread.start()
        try:
            wait_until(lambda: len(ids) > 50)
            for round_ in range(rounds):
                clients = []
                for i, kind in enumerate(KINDS):
                    n = max(0, len(ids) - 1 - 37 * i)
                    client, told = self.resumed(kind, ["a", "idle"], since=ids[n].text)
                    self.assertIs(told, True, (round_, kind, n))
                    clients.append((client, n + 1))
                disturb(round_)
                end = len(ids) + 30
                for client, n in clients:
                    self.assertEqual(self.numbers(client, end - n), list(range(n, end)))
                    client.close()
        finally:
            stop.set()
            thread.join()

    def test_quietly(self):
        self.serve(EVERY, "ring_messages=1024")
        self.follow(8, lambda round_: None)

    def test_with_kills(self):
        self.serve(EVERY, "ring_messages=1024")
        self.follow(8, lambda round_: self.janus.kill_worker(round_ % 2))

    def test_with_reloads(self):
        self.serve(EVERY)
        self.follow(4, lambda round_: self.janus.reload())


class Deaths(CrashTest, HistoryTest):
    """A worker dies while it takes over history, links what resumes, or sends what history alone has."""

    def around(self, point, passing=1):
        self.serve_crash_build("history=*: 3000 messages", *SMALL, "send_buffer=16K", workers=1)
        self.addCleanup(self.janus.forgive_deaths)
        ids = self.publish("old", *range(40))
        client = self.websocket().subscribe("live", "more")
        self.publish("more", 7)
        client.message()
        busy = json.dumps([{"topic": "noise", "data": "x" * 300} for _ in range(100)]).encode()
        http = self.http()
        for _ in range(16):
            http.ask("POST", "/pub", busy)      # the ring has nothing of `old` any more
        self.arm(point, passing)
        client.action("subscribe", topic=["old", "noise2"], since=ids[9].text)
        http.ask("POST", "/pub/live", b"1", [("Content-Type", "application/json")])
        http.ask("POST", "/pub/noise2", b"2", [("Content-Type", "application/json")])
        got = [client.message() for _ in range(33)]
        answer = got.index({"ok": True, "recovered": True})
        self.assertNotIn("old", [m.get("topic") for m in got[:answer]])
        del got[answer]
        self.assertEqual([m["data"] for m in got if m["topic"] == "old"], list(range(10, 40)))
        self.assertEqual([m["data"] for m in got if m["topic"] != "old"], [1, 2])
        wait_until(lambda: not self.armed(point), what="a death at " + point)     # (what was sent may come before it)
        http.ask("POST", "/pub/old", b"40", [("Content-Type", "application/json")])
        self.assertEqual(client.message()["data"], 40)
        self.assertEqual(self.kept("old"), list(range(41)))

    def test_points(self):
        for point in ("replay-begun", "subscribe-joined", "subscribe-filled", "subscribe-linked", "replay-committed", "catchup-sent", "history-followed",
                      "publish-committed"):
            with self.subTest(point=point):
                self.around(point)
        for passing in (1, 2):
            with self.subTest(passing=passing):
                self.around("subscribe-linked", passing)

    def test_cut(self):
        """In the middle of a frame that history alone has."""
        for point in ("catchup-sent", "catchup-cut", "partial-filled", "partial-linked"):
            with self.subTest(point=point):
                self.serve_crash_build("history=*: 3000 messages", "history_bytes=4M", *SMALL, "send_buffer=4K", workers=1)
                self.addCleanup(self.janus.forgive_deaths)
                http = self.http()
                for n in range(200):
                    http.ask("POST", "/pub/old", json.dumps({"n": n, "fill": "x" * 20000 if n % 2 else "y"}).encode(), [("Content-Type", "application/json")])
                client = self.websocket()
                self.arm(point, 2 if point == "catchup-sent" else 1)
                client.action("subscribe", topic="old", last=150)
                wait_until(lambda: not self.armed(point), 20, what="a death at " + point)
                # What it is in the middle of goes from history meanwhile.
                for n in range(200, 500):
                    http.ask("POST", "/pub/old", json.dumps({"n": n, "fill": "z" * 20000}).encode(), [("Content-Type", "application/json")])
                numbers = []
                client.expect({"ok": True})
                while not numbers or numbers[-1] < 499:
                    numbers.append(client.message(30)["data"]["n"])
                self.assertEqual(numbers, sorted(set(numbers)))


if __name__ == "__main__":
    unittest.main()
