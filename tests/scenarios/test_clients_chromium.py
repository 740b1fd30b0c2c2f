"""Chromium, in `make clients` (JANUS_CLIENTS=1). That there is none is a failure then."""
import http.client
import json
import os
import re
import threading
import time
import unittest

import browser
from client_test import ALL, SCRIPTS, ClientTest
from janus_test import free_port, wait_until
from positions import without_position
from test_data import DataTest
from web_clients import WEB

LONG = "history=*: 100000 messages"


class BrowserTest(ClientTest):
    """A browser, and a page in it."""

    def setUp(self):
        super().setUp()
        self.assertTrue(browser.find(), "no Chromium here")
        self.browser = browser.Browser()
        self.addCleanup(lambda: self.browser.close())

    def other_origin(self):
        """Serves tests/clients/page.html; its origin."""
        return browser.serve_folder(self, SCRIPTS)

    def script(self):
        """The functions of page.html, for a page of the server's own."""
        with open(os.path.join(SCRIPTS, "page.html")) as f:
            return re.search("<script>(.*)</script>", f.read(), re.DOTALL).group(1).replace("const seen", "window.seen").replace("let source", "var source")

    def tab(self, *topics, transport="auto"):
        """One more, whose `came` is what it gets of them, and `told` are some events."""
        session = self.browser.new_tab()
        self.browser.open(self.url("/version"))
        self.browser.wait("document.readyState === 'complete'")
        self.browser.evaluate("""import("/janus.js").then(async ({Janus}) => {
            window.came = [], window.told = [], window.janus = new Janus("/", {minDelay: 50, transport: %s});
            for (const event of ["recovered", "close", "error"])
                janus.on(event, detail => told.push([event, detail.recovered, detail.message]));
            await janus.subscribe(%s, m => came.push(m.data)).ready;
        })""" % (json.dumps(transport), json.dumps(topics)))
        return session

    def kept(self, topic, *data):
        for one in data:
            self.post("/pub/" + topic, one)

    def came(self, session, *data):
        """All of it, once and in order."""
        self.browser.session = session
        wanted = json.dumps(data, separators=(",", ":"))
        try:
            self.browser.wait("came.length >= %d" % len(data))
        finally:
            self.assertEqual(self.browser.evaluate("JSON.stringify(came)"), wanted)


class Chromium(BrowserTest):
    def test_page(self):
        """/ loads, shows something, and nothing in it fails."""
        self.browser.open(self.url("/"))
        self.browser.wait("document.readyState === 'complete'")
        self.assertGreater(len(self.browser.evaluate("document.body.innerText").strip()), 10)
        self.assertEqual(self.browser.evaluate("document.contentType"), "text/html")
        self.assertEqual([c for c in self.browser.complaints if "favicon" not in c], [])

    def test_test_page(self):
        """/test/1 grows in the window."""
        self.browser.open(self.url("/test/1"))
        wait_until(lambda: self.post("/send/1", "ready")["subscribers"] == 1, what="the page's login")
        for text in ("hello", "<b>bold</b> & 'so'", "žluť 😀"):
            self.published("/send/1", text)
            self.browser.wait("document.body && document.body.innerText.includes(%s)" % json.dumps(text))
        lines = self.browser.evaluate("document.body.innerText").strip().split("\n")
        lines = [line.strip() for line in lines if line.startswith("Recvd msg")]
        self.assertEqual(lines, ["Recvd msg #1: 'ready'", "Recvd msg #2: 'hello'", "Recvd msg #3: '<b>bold</b> & 'so''", "Recvd msg #4: 'žluť 😀'"])
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('b').length"), 0)

    def converse(self, origin):
        """EventSource, WebSocket and fetch of the page that is open, with the server at `origin`."""
        b = self.browser
        b.evaluate("listen(%s, ['e'])" % json.dumps("http://%s/sub/a,b" % origin))
        b.wait("seen.events.length === 1 && seen.events[0].open")
        b.evaluate("connect(%s)" % json.dumps("ws://%s/ws" % origin))
        b.wait("seen.sockets.length === 2 && seen.sockets[0].open")
        self.assertIn("janus", json.loads(b.evaluate("seen.sockets[1]")["text"]))
        b.evaluate("socket.send('{\"action\":\"subscribe\",\"topic\":[\"a\"],\"ref\":1}')")
        self.assertEqual(without_position(json.loads(b.wait("seen.sockets[2]")["text"])), {"ok": True, "ref": 1})
        answer = b.evaluate("post(%s, 'application/json', '{\"x\":[1]}')" % json.dumps("http://%s/pub/a?event=e" % origin))
        self.assertEqual((answer["status"], answer["body"]["subscribers"]), (200, 2))
        event = b.wait("seen.events[1]")
        self.assertEqual((event["type"], json.loads(event["data"]), event["id"]), ("e", {"x": [1]}, answer["body"]["id"]))
        message = json.loads(b.wait("seen.sockets[3]")["text"])
        self.assertEqual((message["data"], message["event"], message["id"]), ({"x": [1]}, "e", answer["body"]["id"]))
        self.published("/pub/b", "two\nlines žluť")
        self.assertEqual(b.wait("seen.events[2]")["data"], "two\nlines žluť")
        b.evaluate("socket.close(1000)")
        self.assertEqual(b.wait("seen.sockets[4]"), {"close": 1000, "clean": True})

    def test_same_origin(self):
        """From a page of the server's own, with no origins listed."""
        self.browser.open(self.url("/"))
        self.browser.wait("document.readyState === 'complete'")
        self.browser.evaluate(self.script())
        self.converse(self.origin)

    def test_other_origin(self):
        """From a page that is served elsewhere, whose origin is listed: with a preflight for JSON."""
        page = self.other_origin()
        self.serve("origins=" + page)
        self.browser.open(page + "/page.html")
        self.browser.wait("document.readyState === 'complete'")
        self.converse(self.origin)

    def test_any_origin(self):
        page = self.other_origin()
        self.serve("origins=*")
        self.browser.open(page + "/page.html")
        self.browser.wait("document.readyState === 'complete'")
        self.converse(self.origin)

    def test_credentials(self):
        """A page that is listed may come with cookies and the like, and read the answer; one of `*` may not."""
        page = self.other_origin()
        for origins, granted in ((page, True), ("*", False)):
            self.serve("origins=" + origins)
            self.browser.open(page + "/page.html")
            self.browser.wait("document.readyState === 'complete'")
            self.assertEqual(self.browser.evaluate("fetch(%s, {method: 'POST', body: 'x', credentials: 'include'}).then(r => r.ok, () => false)" % json.dumps(self.url("/pub/a"))), granted)
            self.assertEqual(self.browser.evaluate("""new Promise(resolve => {
                const source = new EventSource(%s, {withCredentials: true});
                source.onopen = () => resolve(true), source.onerror = () => resolve(false);
            })""" % json.dumps(self.url("/sub/a"))), granted)

    def test_subprotocols(self):
        """A browser that offers some connects, whether one is the server's or none is: it would not if none were answered."""
        self.browser.open(self.url("/version"))
        self.browser.wait("document.readyState === 'complete'")
        for offered, taken in ("[]", ""), ("['janus']", "janus"), ("['chat', 'janus']", "janus"), ("['graphql-ws', 'chat']", "graphql-ws"):
            for path in ("/ws", "/sub/a"):
                self.assertEqual(self.browser.evaluate("""new Promise(resolve => {
                    const socket = new WebSocket(%s, %s);
                    socket.onopen = () => resolve(socket.protocol), socket.onerror = () => resolve(null);
                })""" % (json.dumps(self.url(path, "ws")), offered)), taken)

    def test_foreign_origin(self):
        """From a page whose origin is not listed nothing is to be had."""
        page = self.other_origin()
        witness = self.lines("/sub/a")
        self.browser.open(page + "/page.html")
        self.browser.wait("document.readyState === 'complete'")
        self.browser.evaluate("listen(%s, [])" % json.dumps(self.url("/sub/a")))
        self.assertIn("error", self.browser.wait("seen.events[0]"))
        self.browser.evaluate("connect(%s)" % json.dumps(self.url("/ws", "ws")))
        self.assertIn("error", self.browser.wait("seen.sockets[0]"))
        for type in ("application/json", "text/plain"):
            self.assertIn("error", self.browser.evaluate("post(%s, %s, '1')" % (json.dumps(self.url("/pub/a")), json.dumps(type))))
        self.published("/pub/a", "fence")
        self.assertEqual(witness.message()["data"], "fence")

    def open_page(self):
        self.browser.open(self.url("/"))
        self.browser.wait("document.readyState === 'complete' && janus.connected")
        wait_until(lambda: self.post("/pub/events", "ready")["subscribers"] == 1, what="the page's subscription")
        self.browser.wait("$('ol').innerText.includes('ready')")

    def first(self, text):
        """What is shown of the newest message, once it has this text."""
        return self.browser.wait("$('ol li').innerText.includes(%s) && $('ol li').innerText" % json.dumps(text))

    def test_page_shows_what_came(self):
        """Objects as event, numbers that JavaScript can't hold, and of long messages the beginning."""
        self.open_page()
        publisher, witness = self.flash(), self.lines("/sub/events")
        publisher.send(b'{"action":"publish","topic":"events","event":{"a":[1]},"data":[12345678901234567890,1e400,1.50,7,"x"],"big":-9007199254740993}\0')
        text = "".join(self.first("12345678901234567890").split())
        self.assertIn('{"a":[1]}', text)
        self.assertIn('[12345678901234567890,1e400,1.50,7,"x"]', text)
        self.assertIn('{"big":-9007199254740993}', text)
        publisher.publish("events", data="y" * 200000)
        self.assertLess(len(self.first("200000 characters")), 500)
        self.browser.evaluate("$('ol li summary').click()")
        self.browser.wait("$('ol li').innerText.length > 200000")
        publisher.publish("events", data=list(range(30000)))
        self.assertLess(len(self.first("0, 1, 2, 3")), 500)
        for _ in range(3):
            witness.message()
        self.browser.evaluate("form.json.checked = true; form.data.value = '{\"n\": 12345678901234567890}'; form.requestSubmit()")
        self.assertIn(b'"data":{"n": 12345678901234567890}', witness.chunk())

    def test_page_of_a_server_that_stops(self):
        """It says why the server has closed, and what is published when there is no connection makes it look for one."""
        port = free_port()
        more = dict(listen=("http://127.0.0.1:%d" % port, "flash://127.0.0.1:0"))
        self.serve(**more)
        self.open_page()
        self.janus.stop()
        self.browser.wait("$('ol').innerText.includes('closed by the server: the server stops (1001)')")
        self.browser.evaluate("form.requestSubmit()")
        self.browser.wait("$('#result').textContent === 'waits for a connection'")
        self.serve(**more)
        self.browser.wait("janus.publish('events', 1).then(m => m.subscribers === 1)", 20)
        # (By event streams, which it takes by turns while nothing gets through, a POST may be quicker than its own stream.)
        self.browser.wait("$('#state').textContent === 'connected' && /subscriber|nobody/.test($('#result').textContent)")
        self.published("/pub/events", "back")
        self.first("back")

    def test_page_with_event_streams(self):
        """Whatever it is by, a message says whom it is to, when it came, and of which event it is, whatever its name. And back to a WebSocket."""
        self.open_page()
        self.browser.evaluate("watching.sse.click()")
        self.browser.evaluate("watch('login', 'bob')")
        transports = lambda: {name: n for name, n in self.janus.status()["by_transport"].items() if n}
        streams = lambda *names: set(names) <= set(transports()) <= {*names, "http"} and self.janus.subscriptions() == 2
        wait_until(lambda: streams("sse") and self.post("/send/bob", "by name")["subscribers"] == 1, what="its streams, and no WebSocket")
        self.assertIn("to bob", self.first("by name"))
        for event, shown in (("test_event", "test_event"), ("price", "price"), ("eur%2Fusd%20now", "eur/usd now"), ("message", "message")):
            self.published("/pub/events?event=" + event, '{"x":["%s"]}' % event, "application/json")
            self.assertRegex(self.first('{"x":["%s"]}' % event), r"events\s+%s\s+\w+-\d+ at \d\d:" % shown)
        self.browser.evaluate("watching.sse.click()")
        wait_until(lambda: streams("websocket"), what="a WebSocket, and no stream")
        self.published("/pub/events?event=price", "by a WebSocket again")
        self.assertIn("price", self.first("by a WebSocket again"))

    def test_page_counts_down(self):
        """To the next try, while there is no server."""
        self.serve(listen=("http://127.0.0.1:%d" % free_port(), "flash://127.0.0.1:0"))
        self.open_page()
        self.browser.evaluate("window.seen = new Set(), new MutationObserver(() => seen.add($('#next').textContent)).observe($('#next'), {childList: true}), 0")
        self.janus.stop()
        self.browser.wait("$('#state').textContent === 'no connection' && [...seen].filter(text => /^next try in \\d+ s$/.test(text)).length >= 3", 30)

    def test_page_with_a_pattern(self):
        """A message that a topic and patterns bring is shown once, and counted for each of them."""
        self.open_page()
        for pattern in ("*", ">"):
            self.browser.evaluate("watch('subscribe', %s)" % json.dumps(pattern))
        wait_until(lambda: self.post("/pub/other", "ready, too")["subscribers"] == 2, what="the page's patterns")
        self.published("/pub/events", "by three")
        self.first("by three")
        self.assertEqual(self.browser.evaluate("[...document.querySelectorAll('ol li')].filter(li => li.innerText.includes('by three')).length"), 1)
        self.published("/pub/a.b", "by one")
        self.assertIn("a.b", self.first("by one"))

    def test_page_under_load(self):
        """1,000 messages a second: what nobody can read is not made."""
        self.open_page()
        self.browser.evaluate("window.made = 0; new MutationObserver(list => list.forEach(m => made += m.addedNodes.length)).observe($('ol'), {childList: true})")
        publisher, began = self.flash(), time.monotonic()
        for _ in range(40):
            publisher.send(b"".join(b'{"action":"publish","topic":"events","data":{"x":%d}}\0' % n for n in range(100)))
            publisher.silent(0.1)
        self.browser.wait("$('#rate').textContent.endsWith('4001 in all')")
        self.first('"x":99')
        self.assertLess(self.browser.evaluate("made"), 41 * (1 + (time.monotonic() - began) / 0.25))
        self.assertLessEqual(self.browser.evaluate("$('ol').children.length"), 200)

    # ---- the server's figures ----

    def open_figures(self):
        """The page of an admin listener, and `value` and `note` of what it shows there."""
        self.serve(listen=WEB + ("admin://127.0.0.1:0",))
        self.browser.open("http://%s:%d/" % self.addresses["admin"])
        self.browser.wait("document.readyState === 'complete' && janus.connected")
        self.browser.evaluate("""Object.assign(window, {
            value: id => Number($(`#${id} b`).textContent.replaceAll(",", "") || NaN),
            note: id => $(`#${id} .dim`).textContent,
            asked: () => performance.getEntriesByType("resource").filter(e => e.name.endsWith("/metrics")).length,
        }), 0""")
        self.browser.wait("value('published') === 0 && value('delivered') === 0")

    def test_figures_move(self):
        """Publishes, deliveries, topics, restarts, and who is connected by what."""
        self.open_figures()
        self.assertEqual(self.browser.evaluate("$('header').nextElementSibling.id"), "figures")
        streams = [self.sse("/sub/events,other") for _ in range(3)]
        self.browser.wait("note('connections').includes('sse 3') && value('topics') === 2 && value('restarts') === 0")
        self.assertEqual(self.browser.evaluate("note('connections').match(/\\d+/g).reduce((sum, n) => sum + Number(n), 0) === value('connections')"), True)
        publisher = self.flash()

        def publish():      # so few that streams which nobody reads have room for all. (What is counted by now of the last ones is not the same of both.)
            publisher.send(b'{"action":"publish","topic":"events","data":1}\0' * 10)
            publisher.silent(0.2)
            return self.browser.evaluate("Math.abs(value('delivered') / value('published') - %d) < 0.5" % (len(streams) + 1))    # the page, too
        wait_until(publish, 20, "so many deliveries of each publish")
        self.browser.wait("value('published') === 0 && note('published').startsWith('peak ') && note('published') !== 'peak 0'", 20)
        self.assertGreater(self.browser.evaluate("new Set($('#published polyline').getAttribute('points').split(' ').map(p => p.split(',')[1])).size"), 1)
        self.janus.kill_worker(0)
        self.browser.wait("value('restarts') === 1", 20)
        self.assertEqual(self.browser.complaints, [])

    def test_figures_rest(self):
        """Nothing is asked while nobody sees it. (The page waits to be seen again only when it has stopped asking.)"""
        self.open_figures()
        self.browser.evaluate("""window.hide = hidden => {
            Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        };
        const listen = document.addEventListener;
        document.addEventListener = function (name, ...more) {
            window.rests ||= name === "visibilitychange" && asked();
            return listen.call(this, name, ...more);
        };
        hide(true)""")
        self.browser.wait("window.rests", 20)
        self.assertEqual(self.browser.evaluate("asked() - rests"), 0)
        self.browser.evaluate("hide(false)")
        self.browser.wait("asked() > rests", 20)

    def test_figures_of_a_server_that_is_gone(self):
        """No number is shown that is not known; and a server that is started anew counts from 0."""
        port = free_port()
        more = dict(listen=WEB + ("admin://127.0.0.1:%d" % port,))
        self.serve(**more)
        self.browser.open("http://127.0.0.1:%d/" % port)
        shown = "[...document.querySelectorAll('#figures b')].map(b => b.textContent).join(' ')"
        self.browser.wait(shown + r".match(/^0 \S+ 1 0 \d+$/)")
        self.janus.stop()
        self.browser.wait(shown + " === '– – – – –'", 20)
        self.serve(**more)
        self.browser.wait(shown + r".match(/^\d\S* \S+ 1 0 \d+$/)", 20)
        self.assertNotIn("-", self.browser.evaluate(shown))

    def test_no_figures(self):
        """On an ordinary listener nothing of it is there, and nothing fails."""
        self.open_page()
        self.assertEqual(self.browser.evaluate("$('#figures')"), None)
        self.assertEqual(self.browser.evaluate("performance.getEntriesByType('resource').map(e => new URL(e.name).pathname).join(' ')"), "/janus.js")
        self.assertEqual([c for c in self.browser.complaints if "favicon" not in c], [])

    # ---- janus.js, one connection for all tabs ----

    def connections(self):
        return self.post("/pub/a", "count")["subscribers"]

    def test_tabs_share(self):
        """Two tabs, one connection; each gets what it subscribed, and publishes."""
        self.serve("history=*: 1000 messages")
        first = self.tab("a", "b")
        second = self.tab("a", "c")
        self.assertEqual(self.connections(), 1)
        self.assertEqual(self.browser.evaluate("janus.publish('a', 1).then(m => m.subscribers)"), 1)
        self.kept("b", "2")
        self.kept("c", "3")
        self.came(first, "count", 1, "2")
        self.came(second, "count", 1, "3")
        self.assertEqual(self.browser.evaluate("janus.subscribe('b', m => came.push(m.data), {last: 1}).ready.then(r => r.position.length > 0)"), True)
        self.came(second, "count", 1, "3", "2")
        self.assertIn("reserved", self.browser.evaluate("janus.subscribe('a@b', () => 0).ready.catch(error => error.message)"))
        self.browser.close_tab(second)
        self.browser.session = first
        wait_until(lambda: self.post("/pub/c", "nobody")["subscribers"] == 0, what="the end of what the second one had")
        self.assertEqual(self.connections(), 1)
        self.came(first, "count", 1, "2", "count")

    def test_tab_with_the_connection_closes(self):
        self.tabs_that_close("auto")

    def test_tab_with_the_event_streams_closes(self):
        self.tabs_that_close("sse")

    def tabs_that_close(self, transport):
        """While messages are published: another takes over, nothing is lost and nothing comes twice. So again when that one goes elsewhere."""
        self.serve("history=*: 1000 messages")
        holder, second, third = (self.tab(*topics, transport=transport) for topics in (("a",), ("a", "b"), ("b",)))
        sent = {"a": [], "b": []}

        def publish(count):
            for n in range(count):
                for topic in sent:
                    sent[topic].append("%s%d" % (topic, len(sent[topic])))
                    self.kept(topic, sent[topic][-1])
        publish(30)
        self.browser.close_tab(holder)
        publish(60)
        self.browser.session = third
        self.browser.wait("told.length > 0")
        self.assertEqual(self.browser.evaluate("JSON.stringify(told)"), '[["recovered",true,null]]')
        publish(10)
        self.browser.wait("came.length === 100")
        self.came(third, *sent["b"])
        self.browser.session = second
        self.browser.wait("came.length === 200")
        came = json.loads(self.browser.evaluate("JSON.stringify(came)"))
        for topic in sent:
            self.assertEqual([d for d in came if d.startswith(topic)], sent[topic])
        wait_until(lambda: self.connections() == 1, what="one connection")      # (a stream in place of another begins before that ends)
        self.browser.open("about:blank")        # (it may be kept for the way back)
        publish(20)
        self.browser.session = third
        self.browser.wait("came.length === 120")
        self.came(third, *sent["b"])

    def test_tabs_with_patterns(self):
        self.patterns_of_tabs("auto")

    def test_tabs_with_patterns_by_event_streams(self):
        self.patterns_of_tabs("sse")

    def patterns_of_tabs(self, transport):
        """By one connection each tab gets what fits its own, once. Another one takes over, and nothing is missing where somebody else has the pattern."""
        self.serve("history=")
        witness = self.websocket().subscribe("news.*", "news.>", "*.uk", "news.uk")
        holder, second, third = (self.tab(*topics, transport=transport) for topics in (("news.*",), ("news.uk", "news.>", "*.uk"), ("news.>",)))
        sent = []

        def publish(count):
            for _ in range(count):
                topic = ("news.uk", "news.uk.sport", "x.uk", "news.%d" % len(sent))[len(sent) % 4]
                sent.append((topic, str(len(sent))))
                self.assertIsNotNone(self.post("/pub/" + topic, sent[-1][1])["id"])
        publish(20)
        self.came(holder, *[d for t, d in sent if t.startswith("news") and t.count(".") == 1])
        self.came(second, *[d for _, d in sent]) if transport == "auto" else self.came_by_streams(second, sent)
        self.browser.close_tab(holder)
        publish(40)
        self.browser.session = second
        self.browser.wait("told.length === 3")
        self.assertEqual(self.browser.evaluate("JSON.stringify(told)"), json.dumps([["recovered", True, None]] * 3, separators=(",", ":")))
        publish(20)
        self.came_by_streams(second, sent)
        self.came_by_streams(third, [(t, d) for t, d in sent if t.startswith("news")])
        self.assertEqual(self.browser.evaluate("JSON.stringify(told)"), '[["recovered",true,null]]')
        for _, data in sent:
            self.assertEqual(witness.message()["data"], data)

    def came_by_streams(self, session, sent):
        """All of it, once, and of each topic in order."""
        self.browser.session = session
        self.browser.wait("came.length >= %d" % len(sent))
        came = json.loads(self.browser.evaluate("JSON.stringify(came)"))
        for topic in {t for t, _ in sent}:
            wanted = [d for t, d in sent if t == topic]
            self.assertEqual([d for d in came if d in wanted], wanted)
        self.assertEqual(len(came), len(sent))

    def test_publishes_of_tabs(self):
        """What was asked of a tab that goes, and not answered: what can be repeated is, the rest fails."""
        self.serve("history=*: 1000 messages")
        holder, second = self.tab("a"), self.tab("a")
        once = "publish-once" in self.ask("GET", "/version").json()["features"]
        self.browser.session = holder
        self.browser.evaluate("WebSocket.prototype.send = function () {}")      # nothing of it gets through any more
        self.browser.session = second
        self.browser.evaluate("""window.ends = [];
            janus.publish('a', 'lost').then(() => ends.push('done'), error => ends.push(error.name));
            janus.publish('a', 'again', {once: true}).then(m => ends.push(m.subscribers), error => ends.push(error.name)); 0""")
        self.browser.close_tab(holder)
        self.browser.session = second
        self.browser.wait("ends.length === 2")
        self.assertEqual(self.browser.evaluate("JSON.stringify(ends)"), '["LostError",1]' if once else '["LostError","LostError"]')
        self.came(second, *["again"] * once)

    def test_refusal_is_for_all_tabs(self):
        """A 4xx ends it for those that are there; one that comes later begins anew."""
        first, second = self.tab("a", transport="sse"), self.tab("a", transport="sse")
        for session in (first, second):
            self.browser.session = session
            self.browser.evaluate("""window.real = window.fetch, window.fetch = () => Promise.resolve(new Response('{"error":"go away"}', {status: 403})),
                window.late = new janus.constructor("/", {transport: "sse", share: "late"}), late.on("error", () => 0), 0""")
            self.browser.wait("late.state.state === 'closed' && late.state.status === 403")
            self.assertEqual(self.browser.evaluate("late.publish('a', 1).catch(error => error.message)"), "go away")
        self.browser.evaluate("window.fetch = real, window.anew = new janus.constructor('/', {transport: 'sse', share: 'late'}), 0")
        self.assertEqual(self.browser.evaluate("anew.publish('a', 'by another').then(m => m.subscribers)"), 1)
        self.came(first, "by another")
        self.came(second, "by another")

    def test_import_from_elsewhere(self):
        """A page of another origin takes it from the server, and talks with it, either way."""
        page = self.other_origin()
        self.serve("origins=" + page)
        self.browser.open(page + "/page.html")
        self.browser.wait("document.readyState === 'complete'")
        for transport in ("websocket", "sse"):
            got = self.browser.evaluate("""import(%s).then(async ({Janus}) => {
                const janus = new Janus({transport: %s, share: false, token: %s});
                const came = new Promise(resolve => janus.subscribe("a", resolve).ready.then(() => janus.publish("a", {x: 1}, {messageId: %s})));
                const {data, message_id} = await came;
                janus.close();
                return [data.x, message_id];
            })""" % (json.dumps(self.url("/janus.js")), json.dumps(transport), "() => 'secret'" if transport == "sse" else "undefined", json.dumps(transport)))
            self.assertEqual(got, [1, transport])

    def test_shared_connection_ends(self):
        """A server that starts anew: every tab is told, and goes on."""
        more = dict(listen=("http://127.0.0.1:%d" % free_port(),))
        self.serve("history=*: 1000 messages", **more)
        first, second = self.tab("a"), self.tab("a")
        self.kept("a", "1")
        self.came(first, "1")
        self.janus.stop()
        self.browser.wait("janus.state.state === 'waiting'")
        self.serve("history=*: 1000 messages", **more)
        for session in (first, second):
            self.browser.session = session
            self.browser.wait("told.length === 2")
            self.assertEqual([t[:2] for t in json.loads(self.browser.evaluate("JSON.stringify(told)"))], [["close", None], ["recovered", False]])
        self.kept("a", "2")
        self.came(first, "1", "2")
        self.came(second, "1", "2")

    def test_binary(self):
        self.browser.open(self.url("/"))
        self.browser.wait("document.readyState === 'complete'")
        self.browser.evaluate(self.script())
        self.browser.evaluate("connect(%s)" % json.dumps(self.url("/sub/a", "ws")))
        self.browser.wait("seen.sockets.length === 2")      # open, and where it begins
        self.packet().op("publish", topic="a", data=b"\x00\xff\x0a")
        self.assertEqual(self.browser.wait("seen.sockets[2]"), {"binary": [0, 255, 10]})

    def test_worker_killed(self):
        """A browser does not notice."""
        self.serve(workers=1)
        self.browser.open(self.url("/"))
        self.browser.wait("document.readyState === 'complete'")
        self.browser.evaluate(self.script())
        self.browser.evaluate("listen(%s, [])" % json.dumps(self.url("/sub/a")))
        self.browser.evaluate("connect(%s)" % json.dumps(self.url("/sub/a", "ws")))
        self.browser.wait("seen.events.length === 1 && seen.sockets.length === 2")
        for n in range(1, 11):
            self.janus.kill_worker(0)
            self.assertEqual(self.post("/pub/a", str(n))["subscribers"], 2)
            self.assertEqual(self.browser.wait("seen.events[%d]" % n)["data"], str(n))
            self.assertEqual(json.loads(self.browser.wait("seen.sockets[%d]" % (n + 1))["text"])["data"], str(n))

    def test_reconnects(self):
        """An EventSource comes back after the server did, and is served on."""
        page, port = self.other_origin(), free_port()
        more = dict(listen=("http://127.0.0.1:%d" % port,))
        self.serve("origins=*", **more)
        self.browser.open(page + "/page.html")
        self.browser.wait("document.readyState === 'complete'")
        self.browser.evaluate("listen(%s, [])" % json.dumps(self.url("/sub/a")))
        self.browser.wait("seen.events.length === 1")
        self.published("/pub/a", "one")
        self.assertEqual(self.browser.wait("seen.events[1]")["data"], "one")
        self.janus.stop()
        self.browser.wait("seen.events.some((e) => e.error === 0)")
        self.serve("origins=*", **more)
        self.browser.wait("seen.events.filter((e) => e.open).length === 2", 30)
        self.published("/pub/a", "two")
        self.browser.wait("seen.events.some((e) => e.data === 'two')")


class Publisher:
    """Publishes 0, 1, 2... to the topic `a` as soon as it can, each once: `answered` are those that the server has taken."""

    def __init__(self, host, port):
        self.address = host, port
        self.answered = []
        self.number = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.ended.is_set():
            connection = http.client.HTTPConnection(*self.address, timeout=10)
            try:
                while not self.ended.wait(0.003):
                    self.number += 1
                    number = self.number - 1
                    connection.request("POST", "/pub/a", str(number))
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status == 200:
                        self.answered.append(number)
            except (OSError, http.client.HTTPException):
                self.ended.wait(0.01)
            finally:
                connection.close()

    def more(self, count=50):
        """Waits until so many more are answered."""
        goal = len(self.answered) + count
        wait_until(lambda: len(self.answered) >= goal, 20, "publishes", pause=0.01)

    def end(self):
        self.ended.set()
        self.thread.join()


class Restart(BrowserTest, DataTest):
    """A server with `data` that goes and comes again, while a publisher goes on: an EventSource, and janus.js by WebSocket and by event streams."""

    CLIENTS = "source", "websocket", "sse"

    def setUp(self):
        super().setUp()
        self.serve(LONG, "retry=200ms", listen=("http://127.0.0.1:%d" % free_port(),))
        self.browser.open(self.url("/version"))
        self.browser.wait("document.readyState === 'complete'")
        self.browser.evaluate("""import("/janus.js").then(async ({Janus}) => {
            window.came = {source: [], websocket: [], sse: []}, window.told = {websocket: [], sse: []};
            window.source = new EventSource("/sub/a");
            source.onmessage = e => came.source.push(e.data);
            await new Promise(resolve => source.onopen = resolve);
            const client = transport => {
                // (Slow to come back: else a worker that has not been told yet that the server stops may take the connection, which breaks once more.)
                const janus = new Janus("/", {minDelay: 800, maxDelay: 1600, share: false, transport});
                janus.on("recovered", ({topic, recovered, missing}) => told[transport].push([topic, recovered, missing]));
                return janus;
            };
            for (const transport in told) {
                await client(transport).subscribe("a", m => came[transport].push(m.data)).ready;
                // (With a connection of its own: what comes to `a` would bring it up to the end, and if it is back first it has missed nothing.)
                await client(transport).subscribe("p.>", () => 0).ready;
            }
        })""")
        self.publisher = Publisher(*self.addresses["http"])
        self.addCleanup(self.publisher.end)

    def restarted(self):
        """The server is there again, and so are its clients."""
        self.again()
        self.publisher.more()
        self.browser.wait("Object.values(came).every(c => c.length && +c.at(-1) >= %d)" % self.publisher.answered[-1], 30)

    def came_all(self):
        """By each client, what it got up to a last message: in order, nothing twice."""
        self.publisher.end()
        self.post("/pub/a", str(self.publisher.number))
        self.browser.wait("Object.values(came).every(c => c.at(-1) === '%d')" % self.publisher.number, 30)
        came = {name: [int(n) for n in c] for name, c in json.loads(self.browser.evaluate("JSON.stringify(came)")).items()}
        for name in self.CLIENTS:
            self.assertEqual(came[name], sorted(set(came[name])), name)
        return came

    def told(self, topic, times):
        """What each was told, so many times or more."""
        self.browser.wait("Object.values(told).every(all => all.filter(t => t[0] === '%s').length >= %d)" % (topic, times), 30)
        return {name: [t[1:] for t in told if t[0] == topic] for name, told in json.loads(self.browser.evaluate("JSON.stringify(told)")).items()}

    def test_stopped(self):
        """In order: what was answered comes, and what has history is told to be whole. A pattern has none."""
        self.publisher.more()
        for times in (1, 2):
            self.janus.stop()
            self.restarted()
            self.told("p.>", times)
        for name, came in self.came_all().items():
            self.assertEqual(sorted(set(self.publisher.answered) - set(came)), [], name)
        self.assertEqual(self.told("a", 2), dict.fromkeys(("websocket", "sse"), [[True, None]] * 2))
        self.assertEqual(self.told("p.>", 2), dict.fromkeys(("websocket", "sse"), [[False, 0]] * 2))

    def test_killed(self):
        """All of it at once: what nobody wrote down is gone, which is told; all else comes, and nothing twice."""
        self.publisher.more()
        self.kill_all()
        dead = self.publisher.number
        self.restarted()
        came = self.came_all()
        history, more = [], {"position": None, "more": True}
        while more["more"]:
            more = self.ask("GET", "/history/a?limit=1000" + ("&since=" + more["position"] if more["position"] else "&since=1-0")).json()
            history += [int(m["data"]) for m in more["messages"]]
        answered = {n for n in self.publisher.answered if n >= dead} | set(history)
        self.assertGreater(len([n for n in history if n < dead]), 0)
        for name in self.CLIENTS:
            self.assertEqual(sorted(answered - set(came[name])), [], name)
        self.assertEqual(self.told("a", 1), dict.fromkeys(("websocket", "sse"), [[False, 0]]))


def load_tests(loader, tests, pattern):
    return unittest.TestSuite(map(loader.loadTestsFromTestCase, [Chromium, Restart] if ALL else []))


if __name__ == "__main__":
    unittest.main()
