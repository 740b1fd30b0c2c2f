"""Clients that nobody here wrote: curl; and, in `make clients` (JANUS_CLIENTS=1), ws and eventsource of npm, Python's websockets and msgpack.
What is missing then is a failure."""
import base64
import json
import os
import re
import shutil
import tempfile
import unittest

from client_test import ALL, MODULES, SCRIPTS, ClientTest, distribution_python
from janus_test import free_port, run, wait_until
from positions import GREETINGS, loads, start_of, without_position


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
                 (("-H", "Content-Type: application/json", "-d", '{"x": [1, "ž"]}'), {"x": [1, "ž"]}), (("-H", "Content-Type: application/json", "-d", '""'), ""),
                 (("-H", "Transfer-Encoding: chunked", "-d", "in chunks"), "in chunks"), (("-H", "Expect: 100-continue", "-d", "expected"), "expected"),
                 (("--http1.0", "-d", "old"), "old"))
        for arguments, data in cases:
            with self.subTest(arguments=arguments):
                answer = loads(self.curl(*arguments, self.url("/pub/a")))
                message = reader.message()
                self.assertEqual(answer, {"id": message["id"], "subscribers": 1})
                self.assertEqual(message["data"], data)
        out = self.curl("-H", "Content-Type: application/json", "-d", '[{"topic":"a","data":1},{"topic":"nobody","data":2}]', self.url("/pub"))
        self.assertEqual(loads(out), [{"id": reader.message()["id"], "subscribers": 1}, {"id": None, "subscribers": 0}])
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
                while stream.line() != "id: " + number.text:
                    pass
                self.assertEqual([stream.line() for _ in range(4)], ["event: e", "data: first", "data: second", ""])

    def test_inbox_and_test(self):
        inbox, page = self.begin(self.url("/inbox/bob")), self.begin(self.url("/test/bob"))
        wait_until(lambda: json.loads(self.curl("-d", "hi", self.url("/send/bob")))["subscribers"] == 2, what="both logins")
        self.assertIs(inbox.next()["ok"], True)
        message = inbox.next()
        self.assertEqual((message["user"], message["data"]), ("bob", "hi"))
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
        self.assertIs(stream.next()["ok"], True)
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
        if path == "/ws":
            self.assertIn(list(self.text(client)), GREETINGS)
        else:
            self.assertIsNotNone(start_of(self.text(client)))
        return client

    def act(self, client, **action):
        """An action's answer; a position only where it begins something, and it is taken away."""
        client.tell(send=json.dumps(action))
        answer = self.text(client)
        return without_position(answer) if answer["ok"] and action["action"] in ("subscribe", "login") else answer

    def text(self, client):
        """The next text that is no heartbeat's."""
        got = client.next()
        while "ping" in got:
            got = client.next()
        return loads(got["text"])

    def test_actions(self):
        client, reader = self.opened("/ws"), self.lines("/sub/a")
        self.assertEqual(self.act(client, action="subscribe", topic="a", ref=1), {"ok": True, "ref": 1})
        self.published("/pub/a", "žluť 😀")
        self.assertEqual(self.text(client)["data"], "žluť 😀")
        reader.message()
        client.tell(send=json.dumps({"action": "publish", "topic": "a", "data": [1], "ref": "x"}))
        got = sorted((self.text(client) for _ in range(2)), key=lambda m: "ok" in m)
        self.assertEqual(got[0]["data"], [1])
        self.assertEqual(got[1], {"ok": True, "ref": "x", "id": got[0]["id"], "subscribers": 2})
        self.assertEqual(reader.message()["id"], got[0]["id"])
        self.assertFalse(self.act(client, action="nonsense")["ok"])
        self.assertEqual(self.act(client, action="login", user="bob"), {"ok": True})
        self.published("/send/bob", "hi")
        self.assertEqual(self.text(client)["user"], "bob")
        client.tell(close=[1000, "bye"])
        self.assertEqual(client.next()["close"], 1000)
        self.assertEqual(client.end()[0], 0)

    def test_sizes(self):
        client = self.opened("/ws")
        self.act(client, action="subscribe", topic="a")
        for size in (1, 100, 126, 1000, 65000, 66000, 250000):
            client.tell(send=json.dumps({"action": "publish", "topic": "a", "data": "x" * size}))
            self.assertEqual(len(self.text(client)["data"]), size)

    def test_fragments_and_ping(self):
        client = self.opened("/ws")
        text = json.dumps({"action": "subscribe", "topic": "žluť", "ref": 1}, ensure_ascii=False)
        client.tell(parts=[text[:5], text[5:20], text[20:]])
        self.assertEqual(without_position(self.text(client)), {"ok": True, "ref": 1})
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
        self.act(client, action="subscribe", topic="a")
        self.janus.stop()
        self.assertEqual(client.next()["close"], 1001)
        client.end()

    def test_worker_killed(self):
        self.serve(workers=1)
        client = self.opened("/ws")
        self.act(client, action="subscribe", topic="a")
        for n in range(10):
            self.janus.kill_worker(0)
            client.tell(send=json.dumps({"action": "publish", "topic": "a", "data": n}))
            self.assertEqual(self.text(client)["data"], n)

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
                                     ("/pub/a", {"x": ["ž"]}, ("message", {"x": ["ž"]})), ("/pub/a", b"", ("message", "")),
                                     ("/pub/a", "y" * 200000, ("message", "y" * 200000))):
            with self.subTest(data=str(data)[:20]):
                number = self.published(target, data) if data else self.published(target, '""', "application/json")
                got = client.next()
                self.assertEqual((got["event"], json.loads(got["data"]) if isinstance(data, dict) else got["data"]), wanted)
                self.assertEqual(got["id"], number.text)

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
        self.assertIn(list(client.next()), GREETINGS)
        client.tell(op="subscribe", topic="a", ref=1)
        self.assertEqual(without_position(client.next()), {"ok": True, "ref": 1})
        values = [None, True, 1.5, -7, 2 ** 63, "žluť 😀", [1, [2]], {"x": {"y": None}}, "x" * 70000, list(range(1000))]
        for value in values:
            client.tell(op="publish", topic="a", data=value, event="e")
            message = client.next()
            self.assertEqual((message["data"], message["event"], message["topic"]), (value, "e", "a"))
            self.assertEqual(reader.message()["data"], value)
        data = base64.b64encode(os.urandom(50000)).decode()
        client.tell(op="publish", topic="a", data={"base64": data}, receipt=True, ref=2)
        got = sorted((client.next() for _ in range(2)), key=lambda m: "ok" in m)
        self.assertEqual(got[0]["data"], {"base64": data})
        self.assertEqual(got[1], {"ok": True, "ref": 2, "id": got[0]["id"], "subscribers": 2})
        self.assertEqual(reader.message()["data"], data)
        client.tell(op="login", user="bob")
        self.assertEqual(without_position(client.next()), {"ok": True})
        self.published("/send/bob", {"n": 2.5})
        self.assertEqual(client.next()["data"], {"n": 2.5})
        client.tell(op="nonsense")
        self.assertEqual(client.next()["ok"], False)


def load_tests(loader, tests, pattern):
    cases = (Curl, NodeWs, NodeEventSource, PythonWebsockets, PythonMsgpack) if ALL else (Curl,)
    return unittest.TestSuite(map(loader.loadTestsFromTestCase, cases))


if __name__ == "__main__":
    unittest.main()
