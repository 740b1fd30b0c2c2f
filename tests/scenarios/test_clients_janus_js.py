"""packaging/janus.js in Node, by WebSocket and by event streams: what it does when connections end, and that nothing is lost then or comes twice."""
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import unittest
import urllib.parse

import proxy
from client_test import ROOT, SCRIPTS, ClientTest
from janus_test import free_port, wait_until

TOKEN = re.compile(rb'("token":"|Janus-Token: )([0-9a-f]{32})')
FAST = {"minDelay": 50, "maxDelay": 400}


@functools.lru_cache(None)
def node(websocket):
    """The command; None: there is none, or it has no WebSocket."""
    if not shutil.which("node"):
        return None
    major = int(re.match(r"v(\d+)", subprocess.run(["node", "--version"], capture_output=True, text=True).stdout).group(1))
    if major < 18 or (websocket and major < 20):
        return None
    return ["node", "--experimental-websocket"] if websocket and major < 22 else ["node"]


class Agent:
    """A Janus of janus.js. What it says is kept by kind, and waited for."""

    def __init__(self, test, websocket):
        self.test = test
        self.program = test.beside(*node(websocket), os.path.join(SCRIPTS, "janus_js.mjs"))
        self.said = []

    def tell(self, **what):
        self.program.tell(**what)
        return self

    def take(self, fits, seconds=15):
        """The first thing said that fits, in order; others are left."""
        while True:
            for i, what in enumerate(self.said):
                if fits(what):
                    return self.said.pop(i)
            self.said.append(self.program.next(seconds))

    def event(self, name, seconds=15, **detail):
        return self.take(lambda w: w.get("event") == name and all(w["detail"].get(k) == v for k, v in detail.items()), seconds)["detail"]

    def state(self, name, seconds=15):
        return self.event("state", seconds, state=name)

    def ready(self, as_):
        what = self.take(lambda w: w.get("as") == as_ and ("ready" in w or "refused" in w))
        if "ready" not in what:
            raise AssertionError(what)
        return what["ready"]

    def refused(self, as_):
        return self.take(lambda w: w.get("as") == as_ and "refused" in w)["refused"]

    def subscribe(self, as_, *names, kind="subscribe", **more):
        """Subscribed: what it was answered."""
        self.tell(**{kind: list(names), "as": as_}, **more)
        return self.ready(as_)

    def message(self, as_=None):
        return self.take(lambda w: "message" in w and as_ in (None, w["as"]))["message"]

    def data(self, count, as_=None):
        return [self.message(as_)["data"] for _ in range(count)]

    def answer(self, as_):
        what = self.take(lambda w: w.get("as") == as_ and ("answer" in w or "failed" in w))
        return what.get("answer") or what["failed"]

    def nothing_more(self, topic="fence"):
        """Nothing has come that was not waited for: a fence goes through, by way of the same connection."""
        self.subscribe("fence", topic)
        self.tell(publish=topic, data="fence")
        self.message("fence")
        rest = [w for w in self.said if "message" in w]
        self.test.assertEqual(rest, [])


class JanusJs(ClientTest):
    """What both transports must do."""

    transport = None
    options = ("history=@*: 1000 messages; *: 1000 messages",)

    def agent(self, url=None, **options):
        agent = Agent(self, self.transport != "sse")
        tokens = options.pop("tokens", False)
        agent.tell(connect=url or self.url("/"), options=dict(FAST, transport=self.transport, **options), tokens=tokens)
        return agent

    def proxy(self):
        host, port = self.addresses["http"]
        through = proxy.Proxy((host, port))
        self.addCleanup(through.close)
        return through

    def kept(self, target, data):
        """Published, whoever is there: its id."""
        answer = self.ask("POST", target, data.encode())
        self.assertEqual(answer.status, 200, answer)
        return json.loads(answer.body)["id"]

    def opened(self, url=None, **options):
        agent = self.agent(url, **options)
        self.assertEqual(agent.event("open")["transport"], self.transport)
        return agent

    def test_conversation(self):
        agent = self.opened()
        agent.subscribe(1, "a", "b")
        agent.subscribe(2, "bob", kind="login")
        agent.tell(publish="a", data={"x": ["žluť", None]}, options={"event": "e"}, **{"as": 3})
        answer, message = agent.answer(3), agent.message(1)
        self.assertEqual(answer, {"id": message["id"], "subscribers": 1})
        self.assertEqual((message["topic"], message["event"], message["data"]), ("a", "e", {"x": ["žluť", None]}))
        self.published("/pub/b", "two\nlines")
        self.assertEqual(agent.message(1)["data"], "two\nlines")
        agent.tell(send="bob", data="hi", **{"as": 4})
        self.assertEqual((agent.answer(4)["subscribers"], agent.message(2)["user"]), (1, "bob"))
        agent.tell(publish="nobody", data=1, **{"as": 5})
        self.assertEqual(agent.answer(5)["subscribers"], 0)
        agent.tell(publish="a", data="12345678901234567890", options={"json": True}, **{"as": 6})
        agent.answer(6)
        self.assertEqual(float(agent.message(1)["data"]), 12345678901234567890.0)
        agent.tell(subscribe=["foo@bar"], **{"as": 7})
        self.assertIn("reserved", agent.refused(7)["error"])
        agent.tell(subscribe=["x", "a.>.b"], **{"as": 9})
        self.assertIn("not the last part", agent.refused(9)["error"])
        agent.tell(publish="a@b", data=1, **{"as": 8})
        self.assertIn("reserved", agent.answer(8)["error"])
        agent.nothing_more()
        agent.tell(close=True)
        agent.state("closed")
        self.assertEqual(agent.program.end()[0], 0)

    def test_unsubscribe(self):
        agent = self.opened()
        agent.subscribe(1, "a", "b")
        agent.subscribe(2, "b")
        agent.tell(unsubscribe=1)
        wait_until(lambda: self.post("/pub/a", "x")["subscribers"] == 0, what="the end of one")
        agent.take(lambda w: "message" in w) if any("message" in w for w in agent.said) else None
        self.published("/pub/b", "to 2")
        self.assertEqual(agent.message(2)["data"], "to 2")
        agent.tell(unsubscribe=2)
        wait_until(lambda: self.janus.subscriptions() == 0, what="the end of all")

    def test_past(self):
        """Of one who comes new, and of one more who comes to what is subscribed."""
        ids = [self.kept("/pub/a", str(n)) for n in range(20)]
        agent = self.opened()
        agent.subscribe(1, "a", last=3)
        self.assertEqual(agent.data(3, 1), ["17", "18", "19"])
        self.assertEqual(agent.subscribe(2, "a", last=5)["position"], ids[19])
        self.assertEqual(agent.data(5, 2), ["15", "16", "17", "18", "19"])
        self.assertEqual(agent.subscribe(3, "a", since=ids[9])["recovered"], True)
        self.assertEqual(agent.data(10, 3), [str(n) for n in range(10, 20)])
        agent.subscribe(4, "a")
        ids.append(self.kept("/pub/a", "live"))
        self.assertEqual([agent.message(n)["data"] for n in (1, 2, 3, 4)], ["live"] * 4)
        self.assertEqual(agent.subscribe(5, "a", since=ids[20]), {"position": ids[20], "recovered": True})
        self.assertEqual(agent.subscribe(6, "a", since="1-1")["recovered"], False)
        self.assertEqual(agent.data(21, 6), [str(n) for n in range(20)] + ["live"])
        agent.nothing_more()

    def test_worker_killed(self):
        """It does not notice."""
        self.serve(*self.options, workers=1)
        agent = self.opened()
        agent.subscribe(1, "a")
        for n in range(5):
            self.janus.kill_worker(0)
            self.published("/pub/a", str(n))
            self.assertEqual(agent.data(1), [str(n)])
        self.assertFalse([w for w in agent.said if w.get("event") == "close"])

    def test_cut(self):
        """Again and again, while messages are published: all come, once, in order."""
        through = self.proxy()
        agent = self.opened(through.url)
        agent.subscribe(1, "a", "b")
        agent.subscribe(2, "bob", kind="login")
        for n in range(60):
            self.kept("/pub/" + "ab"[n % 2], str(n))
            self.kept("/send/bob", str(n))
            if n % 12 == 5:
                through.cut()
                agent.event("recovered", topic="a", recovered=True)
        self.assertEqual(agent.data(60, 1), [str(n) for n in range(60)])
        self.assertEqual(agent.data(60, 2), [str(n) for n in range(60)])
        agent.nothing_more()

    def test_cut_in_the_past(self):
        """While what was missed comes, the connection is cut again and again: all of two topics comes, once, in order."""
        through = self.proxy()
        agent = self.opened(through.url, minDelay=20, maxDelay=50)
        agent.subscribe(1, "a", "b")
        self.kept("/pub/a", "first")
        agent.data(1)
        through.refuse = lambda head: b""
        through.cut()
        agent.state("waiting")
        for n in range(300):
            self.kept("/pub/" + "aab"[n % 3], str(n))
        through.most = 5000
        through.refuse = lambda head: None
        self.assertEqual(agent.data(300), [str(n) for n in range(300)])
        self.assertGreater(len([w for w in agent.said if w.get("event") == "close"]), 3)
        through.most = None
        through.cut()
        agent.nothing_more()

    def test_all_at_once(self):
        """Cuts, dead workers, reloads, subscriptions that come and go, while messages are published: of each topic all come, once, in order; by a pattern, too."""
        random = self.random()
        through = self.proxy()
        agent = self.opened(through.url, minDelay=10, maxDelay=50)
        topics = ["t.%d" % n for n in range(4)]
        agent.subscribe(1, *topics[:2])
        agent.subscribe(2, topics[2])
        agent.subscribe(3, topics[3])
        agent.subscribe(4, "bob", kind="login")
        agent.subscribe(5, "t.*")
        counts = dict.fromkeys(topics + ["bob"], 0)
        for n in range(400):
            name = random.choice(list(counts))
            self.kept(("/send/" if name == "bob" else "/pub/") + name, str(counts[name]))
            counts[name] += 1
            what = random.randrange(60)
            if what == 0:
                through.cut()
            elif what == 1:
                self.janus.kill_worker(random.randrange(2))
            elif what == 2:
                self.janus.reload()
            elif what < 6:
                agent.tell(subscribe=["x%d" % n], **{"as": "x%d" % n})
            elif what == 6 and n > 100:
                agent.tell(subscribe=[topics[0]], last=1, **{"as": "again"})
                agent.tell(unsubscribe="again")
        for by in (1, 2, 3, 4), (5,):
            got = {name: [] for name in counts if by != (5,) or name != "bob"}
            while sum(len(g) for g in got.values()) < sum(counts[name] for name in got):
                message = agent.take(lambda w: "message" in w and w["as"] in by)["message"]
                got[message.get("topic", message.get("user"))].append(message["data"])
            self.assertEqual(got, {name: [str(n) for n in range(counts[name])] for name in got})
        self.assertEqual([w for w in agent.said if w.get("event") == "recovered" and w["detail"]["recovered"] is False and "x" not in w["detail"].get("topic", "")], [])

    # ---- patterns ----

    def test_patterns(self):
        """Whatever fits comes, with its own topic, and once to each handler, however many of its names fit it."""
        agent = self.opened()
        agent.subscribe(1, "news.*")
        agent.subscribe(2, "*.uk", "news.uk", "news.>", "plain")
        agent.subscribe(3, ">")
        for topic, for1, for2 in (("news.uk", 1, 1), ("news.", 1, 1), ("news", 0, 0), ("news.uk.sport", 0, 1), ("x.uk", 0, 1), ("x.uk.", 0, 0), ("plain", 0, 1),
                                  ("news+uk", 0, 0), ("news.(u|k)", 1, 1), ("žluť.uk", 0, 1)):
            data = "to " + topic
            self.kept("/pub?" + urllib.parse.urlencode({"topic": topic}), data)
            for as_ in [1] * for1 + [2] * for2 + [3]:
                message = agent.message(as_)
                self.assertEqual((message["topic"], message["data"]), (topic, data))
        self.assertEqual([w for w in agent.said if "message" in w], [])
        agent.tell(unsubscribe=3)
        agent.tell(unsubscribe=1)
        wait_until(lambda: [self.post("/pub/" + t, "x")["subscribers"] for t in ("elsewhere", "news.uk")] == [0, 3], what="the end of two")
        self.published("/pub/news.uk", "last")
        while agent.message(2)["data"] != "last":
            pass
        self.assertEqual([w["message"]["topic"] for w in agent.said if "message" in w and w["message"]["data"] == "last"], [])
        agent.said = []
        agent.tell(subscribe=["a.*"], last=3, **{"as": 4})
        self.assertIn("pattern", agent.refused(4)["error"])
        agent.tell(subscribe=["news.>"], last=3, **{"as": 5})
        self.assertIn("pattern", agent.refused(5)["error"])
        agent.nothing_more()

    def test_pattern_and_its_past(self):
        """`since`, where somebody else had the pattern; and one more for what is subscribed is told that it has nothing of the past."""
        witness = self.websocket().subscribe("a.>")
        first = self.kept("/pub/a.x", "0")
        for n in range(1, 6):
            self.kept("/pub/a." + "xy"[n % 2], str(n))
        agent = self.opened()
        agent.subscribe(1, "a.y")
        self.assertEqual(agent.subscribe(2, "a.>", "a.x", since=first)["recovered"], True)
        self.assertEqual(agent.data(5, 2), ["1", "2", "3", "4", "5"])
        self.assertEqual(agent.subscribe(3, "a.>", since=first)["recovered"], False)
        agent.subscribe(4, "a.>", "a.y", "a.*")     # (by event streams it comes by several of them)
        for n in range(6, 10):
            self.kept("/pub/a.y", str(n))
            self.assertEqual([agent.message(as_)["data"] for as_ in (1, 2, 3, 4)], [str(n)] * 4)
        self.assertEqual([witness.message()["data"] for _ in range(10)], [str(n) for n in range(10)])
        agent.nothing_more()

    def test_past_of_a_pattern_that_comes_late(self):
        """New messages of a topic that fits come before it, by another stream: what is older is not taken for had."""
        witness, count = self.websocket().subscribe("a.>"), 200
        first = self.kept("/pub/a.x", "-1")
        self.post("/pub", [{"topic": "a.%d" % (n % 3), "data": str(n)} for n in range(count)])
        through = self.proxy()
        agent = self.opened(through.url)
        agent.subscribe(1, "a.0", "a.1", "a.2")
        if self.transport == "sse":         # (by a WebSocket, what is new comes behind)
            through.hold = lambda request, passed: b"a.%3E" in request and passed > 5000
        agent.subscribe(2, "a.>", since=first)
        for n in range(count, count + 20):
            self.kept("/pub/a.%d" % (n % 3), str(n))
        self.assertEqual(agent.data(20, 1), [str(n) for n in range(count, count + 20)])
        through.hold = None
        self.assertEqual(agent.data(count + 20, 2), [str(n) for n in range(count + 20)])
        self.assertEqual([witness.message()["data"] for _ in range(count + 21)], [str(n) for n in range(-1, count + 20)])
        agent.nothing_more()

    def test_patterns_cut(self):
        """Again and again, while topics come that nobody has used: none has history, and all come, once, in order. What is unsubscribed meanwhile comes no more."""
        self.serve()
        through = self.proxy()
        agent = self.opened(through.url)
        agent.subscribe(1, "a.>", "b", "*.*.z")
        agent.subscribe(2, "a.*")
        agent.subscribe(3, "a.gone.*", "a.gone.too")
        count = 80
        for n in range(count):
            self.kept("/pub/" + ("a.n%d" % n, "b", "x.y.z", "a.n%d.z" % n)[n % 4], str(n))
            if n % 16 == 5:
                through.refuse = lambda head: b""
                through.cut()
                agent.state("waiting")
                if n == 5:
                    agent.tell(unsubscribe=3)
            if n % 16 == 10:
                through.refuse = lambda head: None
                agent.event("recovered", topic="a.>", recovered=True)
        self.assertEqual(agent.data(count, 1), [str(n) for n in range(count)])
        self.assertEqual(agent.data(count // 4, 2), [str(n) for n in range(0, count, 4)])
        told = [w["detail"] for w in agent.said if w.get("event") == "recovered"]
        self.assertEqual([d for d in told if not d["recovered"]], [])
        self.assertEqual(self.post("/pub/a.gone.too", "x")["subscribers"], 1)
        self.assertEqual(agent.data(1, 1), ["x"])
        agent.nothing_more()

    # ---- the session that a connection leaves ----

    def hang_up(self, through, sessions=1):
        """The agent's connections break, and no other gets through until let_in(): so many sessions are left."""
        parked = self.janus.count("parked")
        through.refuse = lambda head: b""
        through.cut()
        wait_until(lambda: self.janus.count("parked") >= parked + sessions, what="sessions without a connection")

    def let_in(self, through):
        through.refuse = lambda head: None

    def test_presence(self):
        """Lists have no id: they go to who has subscribed, also when they come again, and changes follow them."""
        through = self.proxy()
        bob = self.websocket().login("bob").subscribe("news")
        agent = self.opened(through.url)
        agent.subscribe(1, "news@presence", "other")
        told = agent.message(1)
        self.assertEqual((told["event"], told["data"], "id" in told), ("members", {"users": ["bob"], "more": 0}, False))
        ann = self.websocket().login("ann").subscribe("news")
        told = agent.message(1)
        self.assertEqual((told["event"], told["data"]), ("subscribed", {"user": "ann"}))
        agent.tell(subscribe=["news@presence"], **{"as": 2})    # no list for one more, but what comes
        agent.ready(2)
        bob.action("unsubscribe", topic="news")
        for number in (1, 2):
            told = agent.message(number)
            self.assertEqual((told["event"], told["data"]), ("unsubscribed", {"user": "bob"}))
        through.cut()
        agent.event("recovered", topic="news@presence", recovered=True)
        ann.action("unsubscribe", topic="news")
        seen = []
        while not seen or seen[-1] != {"user": "ann"}:
            seen.append(agent.message(1)["data"])
        self.assertIn(seen[:-1], ([], [{"users": ["ann"], "more": 0}]))     # a list comes again, but where the session went on
        self.published("/pub/other", "x")
        self.assertEqual(agent.message(1)["data"], "x")

    def test_attach(self):
        """Nothing has history, and nobody else subscribes it: what came while it was away is all there, also if workers die then."""
        self.serve()
        through = self.proxy()
        agent = self.opened(through.url)
        agent.subscribe(1, "a", "b.*")
        agent.subscribe(2, "bob", kind="login")
        agent.subscribe(3, "gone")
        if self.transport == "sse":
            wait_until(lambda: self.janus.connections() >= 3, what="its streams")
        sent = 0
        for round in range(4):
            self.hang_up(through, 3 if self.transport == "sse" else 1)
            agent.state("waiting")
            before = self.janus.count("attached")
            for n in range(sent, sent + 6):
                self.kept(("/pub/a", "/pub/b.%d" % n, "/send/bob")[n % 3], str(n))
            if round == 1:
                agent.tell(unsubscribe=3)
                self.kept("/pub/gone", "unwanted")
                agent.tell(subscribe=["new"], **{"as": 4})
            if round > 1:
                self.janus.kill_worker(round % 2)
            sent += 6
            self.let_in(through)
            agent.event("recovered", topic="a", recovered=True)
            agent.event("recovered", topic="b.*", recovered=True)
            agent.event("recovered", user="bob", recovered=True)
            self.assertGreater(self.janus.count("attached"), before)
            if round == 1:
                agent.ready(4)
                self.published("/pub/new", "new")
                agent.data(1, 4)
                wait_until(lambda: self.post("/pub/gone", "x")["subscribers"] == 0, what="the end of what was unsubscribed")
        self.assertEqual(agent.data(sent // 3 * 2, 1), [str(n) for n in range(sent) if n % 3 != 2])
        self.assertEqual(agent.data(sent // 3, 2), [str(n) for n in range(sent) if n % 3 == 2])
        self.assertEqual([w for w in agent.said if w.get("event") == "recovered" and not w["detail"]["recovered"]], [])
        agent.nothing_more()

    def test_broadcasts(self):
        """Once, also where several streams bring them, and those of the time away with the session."""
        self.serve("broadcast=on")
        through = self.proxy()
        agent = self.opened(through.url)
        agent.subscribe(1, "a")
        agent.subscribe(2, "bob", kind="login")
        for n in range(3):
            self.post("/broadcast", "here %d" % n)
        self.assertEqual([agent.event("broadcast")["data"] for _ in range(3)], ["here %d" % n for n in range(3)])
        self.hang_up(through, 2 if self.transport == "sse" else 1)
        for n in range(3):
            self.post("/broadcast", "away %d" % n)
        self.let_in(through)
        self.assertEqual([agent.event("broadcast")["data"] for _ in range(3)], ["away %d" % n for n in range(3)])
        agent.event("recovered", topic="a", recovered=True)
        agent.event("recovered", user="bob", recovered=True)
        agent.nothing_more()
        self.assertEqual([w for w in agent.said if w.get("event") == "broadcast"], [])

    def test_asked_for_when_it_breaks(self):
        """The server has subscribed it, and the answer has not come: the past that was asked for comes, once, and what was had before goes on."""
        ids = [self.kept("/pub/p", str(n)) for n in range(5)]
        through = self.proxy()
        agent = self.opened(through.url)
        agent.subscribe(1, "a")
        through.mute = True
        held = self.janus.subscriptions()
        agent.tell(subscribe=["p", "q"], since=ids[1], **{"as": 2})
        wait_until(lambda: self.janus.subscriptions() == held + 2, what="what the client does not know of")
        self.kept("/pub/p", "5")
        self.kept("/pub/a", "0")
        self.hang_up(through)
        through.mute = False
        self.kept("/pub/p", "6")
        self.kept("/pub/a", "1")
        self.let_in(through)
        self.assertEqual(agent.ready(2)["recovered"], True)
        self.kept("/pub/p", "7")
        self.assertEqual(agent.data(6, 2), ["2", "3", "4", "5", "6", "7"])
        self.assertEqual(agent.data(2, 1), ["0", "1"])
        agent.nothing_more()

    def test_away_for_too_long(self):
        """Its session has ended: what has history comes all the same, and of what has none it is told."""
        self.serve("session_linger=1s", "history=kept: 100 messages")
        through = self.proxy()
        agent = self.opened(through.url)
        agent.subscribe(1, "kept")
        agent.subscribe(2, "lost.*")
        self.kept("/pub/kept", "0")
        agent.data(1, 1)
        self.hang_up(through, 2 if self.transport == "sse" else 1)
        wait_until(lambda: self.janus.count("parked_ended") == self.janus.count("parked"), what="the end of its sessions")
        for n in range(1, 4):
            self.kept("/pub/kept", str(n))
            self.assertIsNone(json.loads(self.ask("POST", "/pub/lost.0", b"x").body)["id"])
        self.let_in(through)
        agent.event("recovered", topic="kept", recovered=True)
        agent.event("recovered", topic="lost.*", recovered=False)
        self.kept("/pub/lost.1", "again")
        self.assertEqual((agent.data(3, 1), agent.data(1, 2)), (["1", "2", "3"], ["again"]))
        self.assertEqual(self.janus.count("attached"), 0)
        agent.nothing_more()

    def owner(self):
        """An agent, and its session's token. It has it for a while, as it is by seconds that the server tells who has come later."""
        through = self.proxy()
        through.said = bytearray()
        agent = self.opened(through.url)
        agent.subscribe(1, "a", "b.>")
        token = TOKEN.search(through.said).group(2).decode()
        if self.transport == "sse":
            wait_until(lambda: self.ask("GET", "/session/" + token).json()["since"] >= 5, what="a connection that has been there for a while", pause=0.05)
        return agent, token

    def told_of_another(self, agent):
        text = "another connection has attached to this session"
        if self.transport == "websocket":
            self.assertEqual({k: v for k, v in agent.event("close").items() if k in ("code", "reason")}, {"code": 1008, "reason": text})
        else:
            self.assertEqual(agent.event("error")["error"], text)

    def test_taken_over(self):
        """By somebody who has its token: it says so, leaves the session to him, and goes on with one of its own. Nobody fights."""
        agent, token = self.owner()
        thief = self.websocket()
        thief.action("attach", token=token, ref=1)
        self.assertTrue(thief.message()["ok"])
        self.told_of_another(agent)
        agent.event("recovered", topic="a")
        for n in range(10):
            self.published("/pub/a", str(n))
        self.assertEqual(agent.data(10), [str(n) for n in range(10)])
        self.assertEqual([thief.message()["data"] for _ in range(10)], [str(n) for n in range(10)])
        self.assertEqual(self.janus.count("attached"), 1)
        self.assertTrue(self.ask("GET", "/session/" + token).json()["attached"])
        agent.nothing_more()

    def test_two_with_one_token(self):
        """Both of them this client: one has the session, the other makes another one, and both get all."""
        agent, token = self.owner()
        through = self.proxy()
        through.rewrite = lambda data: TOKEN.sub(lambda found: found.group(1) + token.encode(), data)
        other = self.opened(through.url)
        other.subscribe(1, "a")
        through.cut()
        other.event("recovered", topic="a", recovered=True)
        self.told_of_another(agent)
        agent.event("recovered", topic="a", recovered=True)
        for n in range(10):
            self.published("/pub/a", str(n))
        for one in agent, other:
            self.assertEqual(one.data(10), [str(n) for n in range(10)])
            one.nothing_more()
        self.assertEqual(self.janus.count("attached"), 1)

    def test_several_positions(self):
        """Each topic goes on from where it was: one had its last message long ago, one never any, one is unsubscribed, one is new."""
        through = self.proxy()
        agent = self.opened(through.url)
        for n, topic in enumerate(("old", "never", "gone", "busy", "other")):
            agent.subscribe(n, topic)
        self.published("/pub/old", "1")
        agent.message(0)
        for n in range(50):
            self.published("/pub/busy", str(n))
        agent.data(50, 3)
        agent.tell(unsubscribe=2)
        wait_until(lambda: self.janus.subscriptions() == 4, what="the end of one")
        through.refuse = lambda head: b""
        through.cut()
        agent.state("waiting")
        for topic in ("old", "never", "gone", "busy", "other", "new"):
            self.kept("/pub/" + topic, "while away")
        agent.tell(subscribe=["new"], **{"as": 9})
        through.refuse = lambda head: None
        agent.ready(9)
        for n in (0, 1, 3, 4):
            self.assertEqual(agent.message(n)["data"], "while away")
        for topic in ("old", "busy"):
            agent.event("recovered", topic=topic, recovered=True)
        agent.nothing_more()

    def test_server_that_starts_anew(self):
        """What it knew is gone: that is said, and it goes on."""
        listen = ("http://127.0.0.1:%d" % free_port(),)
        self.serve(*self.options, listen=listen)
        agent = self.opened()
        agent.subscribe(1, "a")
        self.published("/pub/a", "one")
        self.assertEqual(agent.data(1), ["one"])
        self.janus.stop()
        agent.event("close")
        self.serve(*self.options, listen=listen)
        self.kept("/pub/a", "two")
        got = agent.event("recovered", topic="a")
        self.assertEqual(got["recovered"], False)
        self.published("/pub/a", "three")
        self.assertIn(agent.data(1), (["two"], ["three"]))

    def test_too_slow(self):
        """What it has lost is told, before what comes next."""
        self.serve("slow=skip", "ring_bytes=1M", "ring_messages=1024", "max_frame=64K")
        agent = self.opened()
        agent.subscribe(1, "a")
        publisher, count = self.flash(), 6000
        other = self.flash().subscribe("a")
        os.kill(agent.program.process.pid, signal.SIGSTOP)
        try:
            for begin in range(0, count, 50):
                for n in range(begin, begin + 50):
                    publisher.publish("a", data="%d %s" % (n, "x" * 4000))
                for n in range(begin, begin + 50):
                    other.message()
        finally:
            os.kill(agent.program.process.pid, signal.SIGCONT)
        due, missed = 0, 0
        while due < count:
            what = agent.take(lambda w: "message" in w or w.get("event") == "missed")
            if "message" in what:
                self.assertEqual(int(what["message"]["data"].split()[0]), due)
                due += 1
            else:
                self.assertEqual((what["detail"]["topic"], list(what["detail"])), ("a", ["topic", "messages"]))
                due += what["detail"]["messages"]
                missed += what["detail"]["messages"]
        self.assertGreater(missed, 0)
        self.assertEqual(self.janus.count("dropped_overtaken"), missed)

    def test_publishes_wait(self):
        """For a connection, so many; those that have been sent and have no answer fail."""
        through = self.proxy()
        through.refuse = lambda head: b""
        agent = self.agent(through.url, queue=5, socketTries=1000)
        for n in range(7):
            agent.tell(publish="a", data=n, **{"as": n})
        for n in (5, 6):
            self.assertEqual(agent.answer(n)["name"], "QueueError")
        reader = self.lines("/sub/a")
        through.refuse = lambda head: None
        for n in range(5):
            self.assertEqual(agent.answer(n)["subscribers"], 1)
        self.assertEqual([reader.message()["data"] for _ in range(5)], list(range(5)))

    def test_publish_once(self):
        """Its answer does not come: it is repeated by the next connection, and published once."""
        if "publish-once" not in self.ask("GET", "/version").json()["features"]:
            self.skipTest("the server does not know what is repeated")
        through = self.proxy()
        agent = self.opened(through.url)
        reader = self.lines("/sub/a")
        for n in range(3):
            through.mute = True
            agent.tell(publish="a", data=n, options={"once": True}, **{"as": n})
            message = reader.message()
            self.assertEqual(message["data"], n)
            agent.tell(publish="a", data="lost", **{"as": "lost"}) if n == 2 and self.transport == "websocket" else None
            if n == 2 and self.transport == "websocket":
                self.assertEqual(reader.message()["data"], "lost")
            through.cut()
            through.mute = False
            self.assertEqual(agent.answer(n)["id"].split("-")[1], str(message["id"]).split("-")[-1])
        if self.transport == "websocket":
            self.assertEqual(agent.answer("lost")["name"], "LostError")
        self.published("/pub/a", "fence")
        self.assertEqual(reader.message()["data"], "fence")

    def test_backoff(self):
        """Each delay is twice the last one, up to the most, and half as long or half as long again."""
        through = self.proxy()
        through.refuse = lambda head: b""
        agent = self.agent(through.url, minDelay=20, maxDelay=100, socketTries=1000)
        retries = [agent.state("waiting")["retry"] for _ in range(12)]
        for delay, retry in zip([20, 40, 80] + [100] * 9, retries):
            self.assertLessEqual(0.5 * delay, retry)
            self.assertLess(retry, 1.5 * delay)
        self.assertGreater(len(set(retries[3:])), 3)

    def test_silence(self):
        """A connection that nothing comes by any more is left; what is published meanwhile comes by the next."""
        through = self.proxy()
        agent = self.opened(through.url, silence=400, patience=300)
        agent.subscribe(1, "a")
        through.silent = True
        self.kept("/pub/a", "unheard")
        agent.event("close")
        through.cut()
        through.silent = False
        self.assertEqual(agent.data(1), ["unheard"])
        agent.event("recovered", recovered=True)

    def test_silence_of_the_server(self):
        """What the client says gets through, and nothing comes back: it says no goodbye, which would end the session that it comes back to."""
        self.serve()
        through = self.proxy()
        agent = self.opened(through.url, silence=400, patience=300)
        agent.subscribe(1, "a", "b.*")
        through.mute = True
        self.kept("/pub/a", "unheard")
        self.kept("/pub/b.1", "unheard, too")
        agent.event("close")
        through.mute = False
        agent.event("recovered", topic="a", recovered=True)
        agent.event("recovered", topic="b.*", recovered=True)
        self.assertEqual(agent.data(2), ["unheard", "unheard, too"])
        agent.nothing_more()

    def test_token(self):
        """It is asked for with each connection; without one there is nothing of it in the addresses."""
        through = self.proxy()
        seen = []

        def strip(head):
            token = re.search(rb"protocol: janus, ?bearer\.(\w+)|authorization: Bearer (\w+)", head, re.IGNORECASE)
            seen.append(token and (token.group(1) or token.group(2)).decode())
            return proxy.answer(401)
        through.refuse = strip
        agent = self.agent(through.url, tokens=True, socketTries=1)
        wait_until(lambda: len(seen) >= 2, what="two tries")
        self.assertEqual(seen[:2], ["token1", "token2"])
        agent.tell(close=True)
        through.refuse = lambda head: proxy.answer(401) if b" /pub" in head and b"Bearer token1" in head else None
        if self.transport == "sse":
            agent = self.opened(through.url, tokens=True)
            agent.tell(publish="a", data="by the second", **{"as": 1})
            self.assertEqual(agent.answer(1)["subscribers"], 0)


class WebSocketJanusJs(JanusJs):
    """By WebSocket."""

    transport = "websocket"

    def test_goodbye(self):
        """A server that stops says so, and is looked for again."""
        agent = self.opened()
        agent.subscribe(1, "a")
        self.janus.stop()
        got = agent.event("close")
        self.assertEqual((got["code"], got["reason"]), (1001, "the server stops"))
        self.assertEqual(len([agent.state("waiting") for _ in range(3)]), 3)

    def test_too_long(self):
        """What the server closes for is not sent again."""
        agent = self.opened()
        agent.tell(publish="a", data="x" * 300000, options={"once": True}, **{"as": 1})
        self.assertEqual(agent.answer(1)["name"], "LostError")
        self.assertEqual(agent.event("close")["code"], 1009)
        agent.event("open")
        agent.tell(publish="a", data="short", **{"as": 2})
        self.assertIn("id", agent.answer(2))


class EventStreamJanusJs(JanusJs):
    """By event streams and POSTs."""

    transport = "sse"

    def test_server_that_has_no_room(self):
        """503 is tried again, and not before the server wants it."""
        through = self.proxy()
        through.refuse = lambda head: proxy.answer(503, "Retry-After: 1")
        agent = self.agent(through.url)
        waiting = agent.state("waiting")
        self.assertEqual(waiting["status"], 503)
        self.assertGreaterEqual(waiting["retry"], 1000)
        through.refuse = lambda head: None
        agent.event("open")
        through.refuse = lambda head: proxy.answer(502) if b" /sub?" in head else None
        through.cut()       # what is kept alive
        agent.tell(subscribe=["a"], **{"as": 1})
        self.assertEqual(agent.event("close")["status"], 502)
        through.refuse = lambda head: None
        agent.ready(1)

    def test_refused(self):
        """What is refused is not tried again."""
        through = self.proxy()
        through.refuse = lambda head: proxy.answer(403)
        agent = self.agent(through.url)
        agent.tell(subscribe=["a"], **{"as": 1})
        self.assertEqual(agent.refused(1), {"error": "by the proxy", "name": "Error", "status": 403})
        self.assertEqual(agent.event("error")["status"], 403)
        self.assertEqual(agent.state("closed")["status"], 403)
        self.assertEqual(len(through.requests), 1)

    def test_streams_are_few(self):
        """However many subscriptions there are, one after the other."""
        agent = self.opened()
        for n in range(12):
            agent.subscribe(n, "t%d" % n)
        wait_until(lambda: self.janus.connections() <= 6, what="few connections")
        for n in range(12):
            self.published("/pub/t%d" % n, str(n))
        self.assertEqual([agent.message(n)["data"] for n in range(12)], [str(n) for n in range(12)])
        agent.nothing_more()


class AutoJanusJs(ClientTest):
    """A WebSocket that does not get through."""

    transport = "auto"
    agent, proxy, kept, options = JanusJs.agent, JanusJs.proxy, JanusJs.kept, JanusJs.options

    def test_fallback(self):
        """Event streams take its place, until it gets through; nothing is lost then and nothing comes twice."""
        through = self.proxy()
        through.refuse = lambda head: proxy.answer(403) if b"GET /ws" in head else None
        agent = self.agent(through.url, socketTries=2, socketAgain=300)
        self.assertEqual(agent.event("open")["transport"], "sse")
        self.assertEqual([r.split()[1] for r in through.requests[:3]], ["/ws", "/ws", "/version"])
        agent.subscribe(1, "a")
        for n in range(10):
            self.published("/pub/a", str(n))
        through.refuse = lambda head: None
        for n in range(10, 200):
            self.kept("/pub/a", str(n))
        self.assertEqual(agent.event("open")["transport"], "websocket")
        for n in range(200, 210):
            self.kept("/pub/a", str(n))
        self.assertEqual(agent.data(210), [str(n) for n in range(210)])
        agent.nothing_more()

    def test_neither(self):
        """By turns, when neither gets through."""
        through = self.proxy()
        through.refuse = lambda head: b""
        agent = self.agent(through.url, socketTries=2)
        wait_until(lambda: len(through.requests) >= 6, what="tries")
        self.assertEqual([r.split()[1] for r in through.requests[:6]], ["/ws", "/ws", "/version", "/ws", "/version", "/ws"])
        through.refuse = lambda head: None
        agent.event("open")


class Package(unittest.TestCase):
    """packaging/janus.js as npm has it."""

    def test_version(self):
        """It is the server's."""
        with open(os.path.join(ROOT, "Makefile")) as f:
            version = re.search(r"(?m)^VERSION\s*:=\s*(\S+)", f.read()).group(1)
        for name, pattern in (("package.json", '"version": "%s"'), ("janus.js", 'VERSION = "%s"')):
            with open(os.path.join(ROOT, "packaging", "janus.js", name)) as f:
                self.assertIn(pattern % version, f.read(), name)


def load_tests(loader, tests, pattern):
    cases = [Package] + [EventStreamJanusJs] * (node(False) is not None) + [WebSocketJanusJs, AutoJanusJs] * (node(True) is not None)
    return unittest.TestSuite(map(loader.loadTestsFromTestCase, cases))


if __name__ == "__main__":
    unittest.main()
