"""Clients that nobody here wrote: curl; and, in `make clients` (JANUS_CLIENTS=1), ws and eventsource of npm, Python's websockets and msgpack,
and Chromium. What is missing then is a failure."""
import base64
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import browser
from janus_test import ROOT, Beside, free_port, run, wait_until
from web_clients import WebTest

ALL = os.environ.get("JANUS_CLIENTS") == "1"
SCRIPTS = os.path.join(ROOT, "tests", "clients")
MODULES = os.path.join(ROOT, "build", "clients", "node_modules")


@functools.lru_cache(None)
def distribution_python():
    """A Python that has websockets and msgpack: this one, or the distribution's."""
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python) and subprocess.run([python, "-c", "import websockets, msgpack"], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    raise AssertionError("no Python has websockets and msgpack")


class ClientTest(WebTest):
    def url(self, path, scheme="http"):
        return "%s://%s%s" % (scheme, self.origin, path)

    def beside(self, *command, **more):
        client = Beside(*command, **more)
        self.addCleanup(client.kill)
        return client

    def subscribers(self, topic, count):
        """Waits until so many subscribe a topic. Each of them is sent "ready" some times."""
        wait_until(lambda: self.post("/pub/" + topic, "ready")["subscribers"] == count, what="%d subscribers" % count)


@unittest.skipUnless(shutil.which("curl"), "no curl here")
class Curl(ClientTest):
    def curl(self, *arguments, status=0):
        """Runs it to its end: its output."""
        got, out, err = run("curl", "-sS", *arguments)
        self.assertEqual(got, status, (out, err))
        return out

    def begin(self, *arguments):
        return self.beside("curl", "-sSN", *arguments)

    def test_page(self):
        for version in ("--http1.1", "--http1.0"):
            out = self.curl(version, "-i", self.url("/"))
            self.assertRegex(out, r"\AHTTP/1\.1 200 |\AHTTP/1\.0 200 ")
            self.assertRegex(out, r"(?i)\r\ncontent-type: text/html")
        self.assertRegex(self.curl("-I", self.url("/")), r"\AHTTP/1\.1 200 ")
        self.assertEqual(self.curl("-o", os.devnull, "-w", "%{http_code} %{content_type}", self.url("/nothing")), "404 application/json")
        self.curl("-f", self.url("/nothing"), status=22)

    def test_post(self):
        reader = self.lines("/sub/a")
        cases = ((("-d", "text"), "text"), (("--data-binary", "line\r\nother žluť"), "line\r\nother žluť"),
                 (("-H", "Content-Type: application/json", "-d", '{"x": [1, "ž"]}'), {"x": [1, "ž"]}), (("-d", ""), ""),
                 (("-H", "Transfer-Encoding: chunked", "-d", "in chunks"), "in chunks"), (("-H", "Expect: 100-continue", "-d", "expected"), "expected"),
                 (("--http1.0", "-d", "old"), "old"))
        for arguments, data in cases:
            with self.subTest(arguments=arguments):
                answer = json.loads(self.curl(*arguments, self.url("/pub/a")))
                message = reader.message()
                self.assertEqual(answer, {"id": message["id"], "subscribers": 1})
                self.assertEqual(message["data"], data)
        out = self.curl("-H", "Content-Type: application/json", "-d", '[{"topic":"a","n":1},{"topic":"nobody"}]', self.url("/pub"))
        self.assertEqual(json.loads(out), [{"id": reader.message()["id"], "subscribers": 1}, {"id": None, "subscribers": 0}])
        self.curl("-d", "x", self.url("/pub/a?event=e"))
        self.assertEqual(reader.message()["event"], "e")

    def test_post_binary(self):
        reader = self.packet().subscribe("a")
        data = os.urandom(100000)
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            for more in ((), ("-H", "Content-Type: application/octet-stream"), ("-H", "Transfer-Encoding: chunked")):
                self.curl("--data-binary", "@" + file.name, *more, self.url("/pub/a"))
                self.assertEqual(reader.message()["data"], data)
        self.assertRegex(self.curl("-w", "%{http_code}", "-H", "Expect:", "-d", "x", "-X", "PUT", self.url("/pub/a")), "405")

    def test_many_on_one_connection(self):
        """Keep-alive: curl says how often it connected."""
        reader = self.lines("/sub/a")
        arguments = []
        for n in range(20):
            arguments += ["--next"] if n else []
            arguments += ["-sS", "-o", os.devnull, "-w", "%{http_code} %{num_connects}\n", "-d", str(n), self.url("/pub/a")]
        self.assertEqual(self.curl(*arguments).split("\n"), ["200 1"] + ["200 0"] * 19 + [""])
        self.assertEqual([reader.message()["data"] for _ in range(20)], [str(n) for n in range(20)])

    def test_chunked_stream(self):
        for version in ("--http1.1", "--http1.0"):
            with self.subTest(version):
                stream = self.begin(version, self.url("/sub/%s,b" % version[2:]))
                self.subscribers(version[2:], 1)
                self.published("/pub/b", {"n": 1})
                line = {}
                while line.get("topic") != "b":
                    line = stream.next()
                self.assertEqual(line["data"], {"n": 1})

    def test_event_stream(self):
        for version in ("--http1.1", "--http1.0"):
            with self.subTest(version):
                stream = self.begin(version, "-H", "Accept: text/event-stream", self.url("/sub?topic=" + version[2:]))
                self.subscribers(version[2:], 1)
                number = self.published("/pub/%s?event=e" % version[2:], "first\nsecond")
                while stream.line() != "id: %d" % number:
                    pass
                self.assertEqual([stream.line() for _ in range(4)], ["event: e", "data: first", "data: second", ""])

    def test_inbox_and_test(self):
        inbox, page = self.begin(self.url("/inbox/bob")), self.begin(self.url("/test/bob"))
        wait_until(lambda: json.loads(self.curl("-d", "hi", self.url("/send/bob")))["subscribers"] == 2, what="both logins")
        message = inbox.next()
        self.assertEqual((message["to"], message["data"]), ("bob", "hi"))
        found = None
        while not found:
            found = re.search("Recvd msg #1: 'hi'<br>", page.line())

    def test_head_and_options(self):
        self.assertRegex(self.curl("-I", self.url("/sub/a")), r"(?i)\AHTTP/1\.1 200 [^$]*content-type: application/x-ndjson")
        self.assertRegex(self.curl("-I", "-H", "Accept: text/event-stream", self.url("/sub/a")), r"(?i)content-type: text/event-stream")
        self.assertRegex(self.curl("-i", "-X", "OPTIONS", self.url("/pub/a")), r"\AHTTP/1\.1 204 ")

    def test_server_that_stops(self):
        """A stream that the server ends is whole for curl."""
        stream = self.begin(self.url("/sub/a"))
        self.subscribers("a", 1)
        self.janus.stop()
        status, _ = stream.end()
        self.assertEqual((status, stream.complaint()), (0, ""))

    def test_worker_killed(self):
        self.serve(workers=1)
        stream = self.begin(self.url("/sub/a"))
        self.subscribers("a", 1)
        for n in range(10):
            self.janus.kill_worker(0)
            self.assertEqual(json.loads(self.curl("-d", str(n), self.url("/pub/a")))["subscribers"], 1)
            line = {"data": "ready"}
            while line["data"] == "ready":
                line = stream.next()
            self.assertEqual(line["data"], str(n))


class WebSockets(ClientTest):
    """What each WebSocket client must be able to; client(url, headers) starts one."""

    def client(self, path, headers=None):
        return self.beside(*self.command(), self.url(path, "ws"), json.dumps(headers or {}), env=dict(os.environ, NODE_PATH=MODULES))

    def opened(self, path, headers=None):
        client = self.client(path, headers)
        got = client.next(30)
        self.assertIn("open", got)
        self.assertFalse(got.get("extensions"))
        return client

    def act(self, client, **action):
        """An action's answer."""
        client.tell(send=json.dumps(action))
        return self.text(client)

    def text(self, client):
        """The next text that is no heartbeat's."""
        got = client.next()
        while "ping" in got:
            got = client.next()
        return json.loads(got["text"])

    def test_actions(self):
        client, reader = self.opened("/ws"), self.lines("/sub/a")
        self.assertEqual(self.act(client, action="subscribe", data="a", id=1), {"ok": True, "id": 1})
        self.published("/pub/a", "žluť 😀")
        self.assertEqual(self.text(client)["data"], "žluť 😀")
        reader.message()
        client.tell(send=json.dumps({"action": "publish", "topic": "a", "data": [1], "id": "x"}))
        got = sorted((self.text(client) for _ in range(2)), key=lambda m: "ok" in m)
        self.assertEqual(got[0]["data"], [1])
        self.assertEqual(got[1], {"ok": True, "id": "x", "message": got[0]["id"], "subscribers": 2})
        self.assertEqual(reader.message()["id"], got[0]["id"])
        self.assertFalse(self.act(client, action="nonsense")["ok"])
        self.assertEqual(self.act(client, action="login", data="bob"), {"ok": True})
        self.published("/send/bob", "hi")
        self.assertEqual(self.text(client)["to"], "bob")
        client.tell(close=[1000, "bye"])
        self.assertEqual(client.next()["close"], 1000)
        self.assertEqual(client.end()[0], 0)

    def test_sizes(self):
        client = self.opened("/ws")
        self.act(client, action="subscribe", data="a")
        for size in (1, 100, 126, 1000, 65000, 66000, 250000):
            client.tell(send=json.dumps({"action": "publish", "topic": "a", "data": "x" * size}))
            self.assertEqual(len(self.text(client)["data"]), size)

    def test_fragments_and_ping(self):
        client = self.opened("/ws")
        text = json.dumps({"action": "subscribe", "data": "žluť", "id": 1}, ensure_ascii=False)
        client.tell(parts=[text[:5], text[5:20], text[20:]])
        self.assertEqual(self.text(client), {"ok": True, "id": 1})
        client.tell(ping="are you there")
        self.assertEqual(client.next(), {"pong": "are you there"})

    def test_binary(self):
        client = self.opened("/sub/a")
        data = os.urandom(70000)
        self.packet().op("publish", topic="a", data=data)
        self.assertEqual(base64.b64decode(client.next()["binary"]), data)
        self.published("/pub/a", "text")
        self.assertEqual(self.text(client)["data"], "text")

    def test_refused(self):
        for path, headers, status in (("/nothing", None, 404), ("/sub/", None, 400), ("/ws", {"Origin": "https://foreign.example"}, 403)):
            client = self.client(path, headers)
            self.assertEqual(client.next(30)["refused"], status)

    def test_server_that_stops(self):
        client = self.opened("/ws")
        self.act(client, action="subscribe", data="a")
        self.janus.stop()
        self.assertEqual(client.next()["close"], 1001)
        client.end()

    def test_worker_killed(self):
        self.serve(workers=1)
        client = self.opened("/ws")
        self.act(client, action="subscribe", data="a")
        for n in range(10):
            self.janus.kill_worker(0)
            client.tell(send=json.dumps({"action": "publish", "topic": "a", "n": n}))
            self.assertEqual(self.text(client)["n"], n)

    def test_too_long(self):
        client = self.opened("/ws")
        client.tell(send="x" * (256 * 1024 + 1))
        got = client.next()
        while "close" not in got:
            got = client.next()
        self.assertEqual(got["close"], 1009)


class NodeWs(WebSockets):
    """npm's ws."""

    def command(self):
        return "node", os.path.join(SCRIPTS, "ws.js")


class PythonWebsockets(WebSockets):
    """Python's websockets."""

    def command(self):
        return distribution_python(), os.path.join(SCRIPTS, "websockets_client.py")


class NodeEventSource(ClientTest):
    """npm's eventsource."""

    def source(self, path, *events):
        client = self.beside("node", os.path.join(SCRIPTS, "eventsource.js"), self.url(path), *events, env=dict(os.environ, NODE_PATH=MODULES))
        self.assertEqual(client.next(30), {"open": True})
        return client

    def test_events(self):
        client = self.source("/sub/a,b", "e")
        for target, data, wanted in (("/pub/a", "plain", ("message", "plain")), ("/pub/b?event=e", "two\nlines", ("e", "two\nlines")),
                                     ("/pub/a", {"x": ["ž"]}, ("message", {"x": ["ž"]})), ("/pub/a", "", ("message", "")),
                                     ("/pub/a", "y" * 200000, ("message", "y" * 200000))):
            with self.subTest(data=str(data)[:20]):
                number = self.published(target, data)
                got = client.next()
                self.assertEqual((got["event"], json.loads(got["data"]) if isinstance(data, dict) else got["data"]), wanted)
                self.assertEqual(got["id"], str(number))

    def test_reconnects(self):
        """Comes back after the server did, and is served on."""
        port = free_port()
        listen = ("http://127.0.0.1:%d" % port,)
        self.serve(listen=listen)
        client = self.source("/sub/a")
        self.published("/pub/a", "one")
        self.assertEqual(client.next()["data"], "one")
        self.janus.stop()
        self.assertIn("error", client.next())
        self.serve(listen=listen)
        got = client.next(30)
        while "open" not in got:
            got = client.next(30)
        self.published("/pub/a", "two")
        self.assertEqual(client.next()["data"], "two")

    def test_refused(self):
        client = self.beside("node", os.path.join(SCRIPTS, "eventsource.js"), self.url("/sub/"), env=dict(os.environ, NODE_PATH=MODULES))
        got = client.next(30)
        self.assertEqual((got["error"], got["state"]), (400, 2))


class PythonMsgpack(ClientTest):
    """Python's msgpack."""

    def start(self):
        host, port = self.addresses["packet"]
        return self.beside(distribution_python(), os.path.join(SCRIPTS, "msgpack_client.py"), host, str(port))

    def test_packets(self):
        client, reader = self.start(), self.lines("/sub/a")
        client.tell(op="subscribe", topic="a", seq=1)
        self.assertEqual(client.next(), {"ok": True, "seq": 1})
        values = [None, True, 1.5, -7, 2 ** 63, "žluť 😀", [1, [2]], {"x": {"y": None}}, "x" * 70000, list(range(1000))]
        for value in values:
            client.tell(op="publish", topic="a", data=value, event="e")
            message = client.next()
            self.assertEqual((message["data"], message["event"], message["topic"]), (value, "e", "a"))
            self.assertEqual(reader.message()["data"], value)
        data = base64.b64encode(os.urandom(50000)).decode()
        client.tell(op="publish", topic="a", data={"base64": data}, receipt=True, seq=2)
        got = sorted((client.next() for _ in range(2)), key=lambda m: "ok" in m)
        self.assertEqual(got[0]["data"], {"base64": data})
        self.assertEqual(got[1], {"ok": True, "seq": 2, "id": got[0]["id"], "subscribers": 2})
        self.assertEqual(reader.message()["data"], data)
        client.tell(op="login", id="bob")
        self.assertEqual(client.next(), {"ok": True})
        self.published("/send/bob", {"n": 2.5})
        self.assertEqual(client.next()["data"], {"n": 2.5})
        client.tell(op="nonsense")
        self.assertEqual(client.next()["ok"], False)


class Chromium(ClientTest):
    """A browser."""

    limit = 120

    def setUp(self):
        super().setUp()
        self.assertTrue(browser.find(), "no Chromium here")
        self.browser = browser.Browser()
        self.addCleanup(self.browser.close)

    def other_origin(self):
        """Serves tests/clients/page.html; its origin."""
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *arguments):
                pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SCRIPTS))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return "http://127.0.0.1:%d" % server.server_port

    def script(self):
        """The functions of page.html, for a page of the server's own."""
        with open(os.path.join(SCRIPTS, "page.html")) as f:
            return re.search("<script>(.*)</script>", f.read(), re.DOTALL).group(1).replace("const seen", "window.seen").replace("let source", "var source")

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
        b.wait("seen.sockets.length === 1 && seen.sockets[0].open")
        b.evaluate("socket.send('{\"action\":\"subscribe\",\"data\":\"a\",\"id\":1}')")
        self.assertEqual(json.loads(b.wait("seen.sockets[1]")["text"]), {"ok": True, "id": 1})
        answer = b.evaluate("post(%s, 'application/json', '{\"x\":[1]}')" % json.dumps("http://%s/pub/a?event=e" % origin))
        self.assertEqual((answer["status"], answer["body"]["subscribers"]), (200, 2))
        event = b.wait("seen.events[1]")
        self.assertEqual((event["type"], json.loads(event["data"]), event["id"]), ("e", {"x": [1]}, str(answer["body"]["id"])))
        message = json.loads(b.wait("seen.sockets[2]")["text"])
        self.assertEqual((message["data"], message["event"], message["id"]), ({"x": [1]}, "e", answer["body"]["id"]))
        self.published("/pub/b", "two\nlines žluť")
        self.assertEqual(b.wait("seen.events[2]")["data"], "two\nlines žluť")
        b.evaluate("socket.close(1000)")
        self.assertEqual(b.wait("seen.sockets[3]"), {"close": 1000, "clean": True})

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
        self.browser.wait("$('#result').textContent === 'not connected'")
        self.serve(**more)
        self.browser.wait("janus.publish('events', {data: 1}).then(m => m.ok, () => false)", 5)
        self.browser.wait("$('#state').textContent === 'connected' && $('#result').textContent === ''")
        self.published("/pub/events", "back")
        self.first("back")

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

    def test_binary(self):
        self.browser.open(self.url("/"))
        self.browser.wait("document.readyState === 'complete'")
        self.browser.evaluate(self.script())
        self.browser.evaluate("connect(%s)" % json.dumps(self.url("/sub/a", "ws")))
        self.browser.wait("seen.sockets.length === 1")
        self.packet().op("publish", topic="a", data=b"\x00\xff\x0a")
        self.assertEqual(self.browser.wait("seen.sockets[1]"), {"binary": [0, 255, 10]})

    def test_worker_killed(self):
        """A browser does not notice."""
        self.serve(workers=1)
        self.browser.open(self.url("/"))
        self.browser.wait("document.readyState === 'complete'")
        self.browser.evaluate(self.script())
        self.browser.evaluate("listen(%s, [])" % json.dumps(self.url("/sub/a")))
        self.browser.evaluate("connect(%s)" % json.dumps(self.url("/sub/a", "ws")))
        self.browser.wait("seen.events.length === 1 && seen.sockets.length === 1")
        for n in range(1, 11):
            self.janus.kill_worker(0)
            self.assertEqual(self.post("/pub/a", str(n))["subscribers"], 2)
            self.assertEqual(self.browser.wait("seen.events[%d]" % n)["data"], str(n))
            self.assertEqual(json.loads(self.browser.wait("seen.sockets[%d]" % n)["text"])["data"], str(n))

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


def load_tests(loader, tests, pattern):
    cases = (Curl, NodeWs, NodeEventSource, PythonWebsockets, PythonMsgpack, Chromium) if ALL else (Curl,)
    return unittest.TestSuite(map(loader.loadTestsFromTestCase, cases))


if __name__ == "__main__":
    unittest.main()
