"""What topics there are, and how many subscribe them: GET /topics, and janusctl topics."""
import collections
import json
import os
import re
import signal
import unittest
import urllib.parse

from janus_test import wait_until
from web_clients import WebTest

ON = "topics=on"


class TopicsTest(WebTest):
    options = (ON,)

    def page(self, status=200, **query):
        answer = self.ask("GET", "/topics" + ("?" + urllib.parse.urlencode(query) if query else ""))
        self.assertEqual(answer.status, status, answer)
        return answer.json()

    def every(self, **query):
        """All topics, by name, page by page."""
        found, page = {}, self.page(**query)
        while True:
            for topic in page["topics"]:
                self.assertNotIn(topic["topic"], found, "it comes twice")
                found[topic["topic"]] = topic
            self.assertEqual("cursor" in page, page["more"])
            if not page["more"]:
                return found
            page = self.page(cursor=page["cursor"], **query)

    def counts(self, wanted, **query):
        def said():
            return {name: topic["subscribers"] for name, topic in self.every(**query).items()}
        wait_until(lambda: said() == wanted, what="%r, not %r" % (wanted, said()))

    def one(self, topic, status=200):
        answer = self.ask("GET", "/topics/" + topic)
        self.assertEqual(answer.status, status, answer)
        return answer.json()

    def ctl(self, *arguments):
        status, out, err = self.janus.ctl("topics", *arguments)
        self.assertEqual(status, 0, err)
        return out


class Counts(TopicsTest):
    def test_all_workers(self):
        """Over workers, their deaths and reloads."""
        self.counts({})
        others = len([c.subscribe("news") for c in self.on_each_worker(self.janus)])
        clients = [self.websocket().subscribe("news") for _ in range(12)] + [self.lines("/sub/news,else") for _ in range(5)]
        wanted = {"news": others + 17, "else": 5}
        self.counts(wanted)
        for slot in range(self.workers):
            self.janus.kill_worker(slot)
            self.counts(wanted)
        self.assertEqual(self.janus.reload()[0], 0)
        self.counts(wanted)
        clients[0].action("unsubscribe", topic="news", ref=1)
        self.assertIs(clients[0].message()["ok"], True)
        self.counts({"news": others + 16, "else": 5})
        for client in clients[12:]:
            client.close()
        self.counts({"news": others + 11})
        self.assertEqual(self.one("news")["subscribers"], others + 11)
        self.assertEqual(self.one("news")["transports"], {"flash": others, "websocket": 11})
        self.one("else", status=404)

    def test_transports(self):
        """What subscribers speak, as they come, become something else and go, over a death and a reload; users of names count as their connections do."""
        self.serve(ON, "session_linger=0")
        clients = [("websocket", self.websocket().subscribe("a")), ("packet", self.packet().subscribe("a")), ("flash", self.flash().subscribe("a")),
                   ("sse", self.sse("/sub/a")), ("json_lines", self.lines("/sub/a,b")), ("websocket", self.websocket("/sub/a")),
                   ("sse", self.sse("/sub/a,b"))]
        def wanted():
            return collections.Counter(kind for kind, _ in clients)
        def check():
            wait_until(lambda: self.one("a")["transports"] == wanted(), what="%r, not %r" % (wanted(), self.one("a")))
        check()
        self.janus.kill_worker(0)
        self.assertEqual(self.janus.reload()[0], 0)
        check()
        self.assertEqual(self.one("b")["transports"], {"json_lines": 1, "sse": 1})
        self.assertEqual(json.loads(self.ctl("--json", "b"))["topics"][0]["transports"], {"json_lines": 1, "sse": 1})
        while len(clients) > 1:
            clients.pop(0)[1].close()
            check()

    def test_messages(self):
        client = self.websocket().subscribe("news")
        self.assertEqual(self.one("news"), {"topic": "news", "subscribers": 1, "transports": {"websocket": 1}, "rate": 0, "published": 0, "last": None})
        ids = [self.post("/pub/news", str(n))["id"] for n in range(3)]
        for _ in range(3):
            client.message()
        topic = self.one("news")
        self.assertEqual(topic["published"], 3)
        self.assertEqual(topic["last"], ids[-1].text)
        self.assertGreater(topic["rate"], 0)
        self.assertLess(topic["rate"], 3)
        self.assertEqual(self.every()["news"]["published"], 3)

    def test_history(self):
        self.serve(ON, "history=kept.*: 2 messages")
        for n in range(3):
            self.post("/pub/kept.a", "12345")
        self.assertEqual(self.one("kept.a")["subscribers"], 0)
        history = self.one("kept.a")["history"]
        self.assertGreaterEqual(history["messages"], 2)
        self.assertGreater(history["bytes"], 10)
        self.websocket().subscribe("other")
        self.assertNotIn("history", self.one("other"))

    def test_users_are_no_topics(self):
        self.lines("/inbox/bob")
        client = self.websocket().subscribe("alice")
        self.counts({"alice": 1})
        self.assertEqual(self.page(status=400, prefix="\1")["error"], "the address has a control character in it")
        self.one("bob", status=404)
        self.one("%01bob", status=400)
        self.assertEqual(re.findall(r"\S+$", self.ctl(), re.M), ["TOPIC", "alice"])
        client.close()


class Pages(TopicsTest):
    def test_prefix_and_limit(self):
        client = self.websocket()
        for name in ("a", "a.b", "a.c", "b.a", "ä\"x"):
            client.subscribe(name)
        self.counts({"a.b": 1, "a.c": 1}, prefix="a.")
        self.counts({"a.b": 1, "a.c": 1}, prefix="a.", limit=1)
        self.counts({"ä\"x": 1}, prefix="ä")
        self.counts({}, prefix="c")
        page = self.page(limit=2)
        self.assertEqual((len(page["topics"]), page["more"]), (2, True))
        self.assertEqual(self.page(limit=1, cursor="99999"), {"topics": [], "more": False})

    def test_thousands_while_others_come_and_go(self):
        """Those that are there all the time come once."""
        stay = ["stays.%d" % n for n in range(5000)]
        clients = [self.websocket() for _ in range(5)]
        passing = self.websocket()
        for n, client in enumerate(clients):
            client.action("subscribe", topic=stay[1000 * n:1000 * n + 1000])
            passing.action("subscribe", topic=["goes.%d.%d" % (n, i) for i in range(100)])
            self.assertIs(passing.message()["ok"], True)
            self.assertIs(client.message()["ok"], True)
        for prefix, limit in (("", 97), ("stays.", 1000), ("stays.4", 50)):
            with self.subTest(prefix=prefix, limit=limit):
                seen, cursor, pages = [], {}, 0
                while True:
                    page = self.page(prefix=prefix, limit=limit, **cursor)
                    self.assertLessEqual(len(page["topics"]), limit)
                    seen += [t["topic"] for t in page["topics"]]
                    if not page["more"]:
                        break
                    cursor = {"cursor": page["cursor"]}
                    if pages < 20:
                        passing.action("unsubscribe", topic=["goes.%d.%d" % (pages % 5, i) for i in range(100)])
                        self.assertIs(passing.message()["ok"], True)
                        passing.action("subscribe", topic=["comes.%d.%d" % (pages % 5, i) for i in range(50)])
                        self.assertIs(passing.message()["ok"], True)
                    pages += 1
                    self.assertLess(pages, 500)
                self.assertEqual(sorted(t for t in seen if t.startswith("stays.")), sorted(t for t in stay if t.startswith(prefix)))

    def test_bounded(self):
        """An answer comes after so many topics, also if none fits."""
        self.serve(ON, "max_subscriptions=20000", "max_frame=1M")
        client = self.websocket()
        for n in range(20):
            client.action("subscribe", topic=["some.%d.%d" % (n, i) for i in range(1000)])
            self.assertIs(client.message(seconds=30)["ok"], True)
        page = self.page(prefix="none")
        self.assertEqual((page["topics"], page["more"]), ([], True))
        self.assertEqual(self.every(prefix="none"), {})
        self.assertEqual(len(self.every(limit=1000)), 20000)

    def test_long_names(self):
        """An answer has so many bytes and no more."""
        names = ["%04d" % n + "\u00e4" * 125 for n in range(1000)]
        client = self.websocket()
        client.action("subscribe", topic=names[:500])
        self.assertIs(client.message()["ok"], True)
        client.action("subscribe", topic=names[500:])
        self.assertIs(client.message()["ok"], True)
        self.assertTrue(self.page(limit=1000)["more"])
        self.assertEqual(set(self.every(limit=1000)), set(names))

    def test_small_frames(self):
        self.serve(ON, "max_frame=1K")
        client = self.websocket()
        for n in range(300):
            client.subscribe("topic.%d" % n)
        self.assertEqual(len(self.every(limit=1000)), 300)

    def test_errors(self):
        for target, pattern in (("?limit=0", "limit"), ("?limit=1001", "limit"), ("?limit=x", "limit"), ("?cursor=0", "cursor"), ("?cursor=x", "cursor"),
                                ("?cursor=4294967296", "cursor"), ("?after=a", "unknown parameter"), ("/a,b", "one topic"), ("/", "the topic is empty"), ("?topic=", "the topic is empty"),
                                ("/a?limit=1", "one topic"), ("/a?topic=b", "path or query"), ("?prefix=a&prefix=b", "twice"), ("?limit=&topic=a", "one topic")):
            with self.subTest(target=target):
                answer = self.ask("GET", "/topics" + target)
                self.assertEqual(answer.status, 400, answer)
                self.assertIn(pattern, answer.json()["error"])
        self.assertEqual(self.ask("POST", "/topics", b"x").status, 405)
        self.assertEqual(self.ask("HEAD", "/topics").status, 200)
        self.websocket().subscribe("a,b")
        self.assertEqual(self.ask("GET", "/topics?topic=a,b").json()["subscribers"], 1)


class Off(TopicsTest):
    options = ()

    def test_off_by_default(self):
        """Names may be secret. A reload is enough to have them shown."""
        self.websocket().subscribe("secret")
        for target in ("/topics", "/topics/secret", "/topics/none", "/topics?prefix=s"):
            answer = self.ask("GET", target)
            self.assertEqual(answer.status, 403, answer)
            self.assertIn("(topics)", answer.json()["error"])
        self.assertIn("secret", self.ctl())


class Ctl(TopicsTest):
    def test_sorted(self):
        clients = [self.websocket() for _ in range(5)]
        for n, client in enumerate(clients):
            client.action("subscribe", topic=["t.%d" % i for i in range(n + 1)] + ["x"])
            self.assertIs(client.message()["ok"], True)
        lines = self.ctl("t.", "--top", "3").splitlines()
        self.assertEqual(lines[0].split(), ["SUBSCRIBERS", "PUBLISHED", "A", "SECOND", "HISTORY", "TOPIC"])
        self.assertEqual([(line.split()[0], line.split()[-1]) for line in lines[1:4]], [("5", "t.0"), ("4", "t.1"), ("3", "t.2")])
        self.assertEqual(lines[4:], ["the first 3 of 5 topics"])
        found = json.loads(self.ctl("--json", "--top=2"))
        self.assertEqual([(t["topic"], t["subscribers"]) for t in found["topics"]], [("t.0", 5), ("x", 5)])
        self.assertEqual(found["of"], 6)
        self.assertEqual(json.loads(self.ctl("--json", "none")), {"topics": [], "of": 0})
        self.assertEqual(self.ctl("none"), "no topics\n")

    def test_usage(self):
        for arguments in (("topics", "a", "b"), ("topics", "--top", "0"), ("topics", "--top=x"), ("stats", "--top=1"), ("stats", "a"), ("topics", "--top=")):
            with self.subTest(arguments=arguments):
                self.assertEqual(self.janus.ctl(*arguments)[0], 2)

    def test_master_is_stopped(self):
        """It reads the segment, and needs nobody for it."""
        self.websocket().subscribe("news")
        self.counts({"news": 1})
        master = self.janus.master
        os.kill(master, signal.SIGSTOP)
        try:
            found = json.loads(self.ctl("--json"))
            status, _, err = self.janus.ctl("stats")
        finally:
            os.kill(master, signal.SIGCONT)
        self.assertEqual([(t["topic"], t["subscribers"]) for t in found["topics"]], [("news", 1)])
        self.assertEqual(status, 0, err)

    def test_no_server(self):
        self.counts({})
        self.janus.stop()
        self.assertEqual(self.janus.ctl("topics")[0], 3)


if __name__ == "__main__":
    unittest.main()
