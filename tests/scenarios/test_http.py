"""HTTP: routes and statuses, what a request may look like and how it may arrive, limits, origins, publishing by POST."""
import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import tempfile
import threading
import time
import unittest

from janus_test import SLOWNESS, cpu_seconds, descriptors, wait_until
from web_clients import Http, Lines, WebTest, chunked, head_of, new_key, request, upgrade_fields

MAX = 256 * 1024        # max_frame


def error_text(answer):
    return answer.json()["error"]


class Routes(WebTest):
    def check(self, method, target, status, body=None, fields=(), keeps=True, **more):
        """The answer has this status, and the connection goes on (or not)."""
        client = self.http()
        answer = client.ask(method, target, body, fields, **more)
        self.assertEqual(answer.status, status, (method, target, answer))
        if status >= 400 and method != "HEAD":
            error_text(answer)
        if keeps:
            self.assertFalse(answer.closes, answer)
            self.assertEqual(client.ask("OPTIONS", "/").status, 204)
        else:
            self.assertTrue(answer.closes, answer)
            client.expect_close()
        client.close()
        return answer

    def test_unknown_paths(self):
        for target in ("/nothing", "/index.html", "//", "/Sub/a", "/sub/a/b", "/pub/a/b", "/sub/a/b/c/d/e/f", "/ws/a", "/subs/a", "/%2f"):
            with self.subTest(target=target):
                self.check("GET", target, 404)
        self.check("POST", "/nothing", 404, b"abc")
        self.check("DELETE", "/nothing", 404)

    def test_wrong_methods(self):
        cases = [("POST", "/", "GET"), ("PUT", "/", "GET"), ("DELETE", "/sub/a", "GET"), ("POST", "/sub/a", "GET"), ("POST", "/ws", "GET"),
                 ("GET", "/pub/a", "POST"), ("HEAD", "/pub/a", "POST"), ("PUT", "/pub/a", "POST"), ("GET", "/pub", "POST"),
                 ("PATCH", "/send/a", "POST"), ("POST", "/inbox/a", "GET"), ("POST", "/test/a", "GET"), ("GET", "/broadcast", "POST"),
                 ("BREW", "/pub/a", "POST"), ("get", "/", "GET")]
        for method, target, allowed in cases:
            with self.subTest(method=method, target=target):
                answer = self.check(method, target, 405, b"x" if method in ("POST", "PUT", "PATCH") else None)
                allow = [m.upper() for m in answer.tokens("Allow")]
                self.assertIn(allowed, allow)
                self.assertNotIn(method, allow)
                if allowed == "GET" and target != "/ws":
                    self.assertIn("HEAD", allow)
                self.assertEqual(self.ask("OPTIONS", target).tokens("Allow"), answer.tokens("Allow"))
        self.assertEqual(self.check("HEAD", "/ws", 405).tokens("Allow"), ["get", "options"])
        self.assertLessEqual({"get", "head", "post", "options"}, set(self.ask("OPTIONS", "*").tokens("Allow")))

    def test_path_or_query(self):
        """What a proxy lets pass by its path may name nothing in the query; either alone is good for any name."""
        for method, target in (("GET", "/inbox/me?id=victim"), ("GET", "/sub/public?topic=secret"), ("GET", "/test/me?id=victim"),
                               ("POST", "/pub/public?topic=secret"), ("POST", "/send/me?x=y&id=victim"), ("POST", "/pub/a?topic="),
                               ("POST", "/pub?topic=a&topic=b"), ("POST", "/send?id=a&id=b"), ("POST", "/send"), ("POST", "/send?id=")):
            with self.subTest(target=target):
                self.check(method, target, 400, b"x" if method == "POST" else None)
        topics, ids = self.lines("/sub?topic=a%2Fb&topic=c,d"), self.lines("/inbox?id=a%2Fb")
        for target, stream, name in (("/pub?topic=a%2Fb", topics, "a/b"), ("/pub?topic=c%2Cd&event=e", topics, "c,d"), ("/pub?topic=c,d", topics, "c,d"),
                                     ("/pub/a%2Fb", topics, "a/b"), ("/send?id=a%2Fb", ids, "a/b")):
            with self.subTest(target=target):
                self.published(target, target)
                message = stream.message()
                self.assertEqual((message.get("topic", message.get("to")), message["data"]), (name, target))
        self.assertIn("%2F", error_text(self.ask("GET", "/sub/a/b")))

    def test_encoded_body(self):
        """A body that is not what it looks like goes to nobody."""
        stream, client = self.lines("/sub/a"), self.http()
        for target in ("/pub/a", "/pub", "/send/a"):
            for coding in ("gzip", "identity, gzip", "br"):
                answer = client.ask("POST", target, b"\x1f\x8b", {"Content-Encoding": coding})
                self.assertEqual((answer.status, answer.get("Accept-Encoding")), (415, "identity"))
                error_text(answer)
        self.assertEqual(client.ask("POST", "/pub/a", b"plain", {"Content-Encoding": "identity"}).status, 200)
        self.assertEqual(stream.message()["data"], "plain")

    def test_opened_in_a_browser(self):
        """It shows lines as they come, and does not save them; who asks for events by name gets those."""
        browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
        for method in ("HEAD", "GET"):
            client = self.connect(Lines, "http")
            answer = client.ask(method, "/sub/a,b", fields=browser)
            self.assertEqual((answer.status, answer.get("Content-Type")), (200, "text/plain; charset=utf-8"))
            self.assertEqual(answer.get("X-Content-Type-Options"), "nosniff")
            self.assertEqual(answer.tokens("Cache-Control"), ["no-store", "no-transform"])
        self.published("/pub/b", "shown")
        self.assertEqual(client.message()["data"], "shown")
        self.assertEqual(self.ask("HEAD", "/sub/a", fields={"Accept": "text/html, text/event-stream"}).type, "text/event-stream")
        self.assertEqual(self.ask("HEAD", "/sub/a", fields={"Accept": "text/html;q=0, */*"}).type, "application/x-ndjson")

    def test_upgrade_elsewhere(self):
        for target in ("/", "/test/bob", "/pub/a", "/nothing"):
            answer = self.check("GET", target, 404, fields=upgrade_fields(new_key()))
            self.assertIn("/ws", error_text(answer))

    def test_bad_topics(self):
        long = "a" * 256
        for path in ("/sub/%s", "/pub/%s", "/inbox/%s", "/send/%s", "/test/%s"):
            method = "POST" if path.startswith(("/pub", "/send")) else "GET"
            for name in ("", long, "%00", "a%0Ab", "%7f", "%C2%85", "%ff", "%C0%AF", "%ED%A0%80", "%", "%2", "%zz", "a%", "%C3"):
                with self.subTest(path=path, name=name):
                    self.check(method, path % name, 400, b"x" if method == "POST" else None)
        for target in ("/sub", "/sub?", "/sub?x=a", "/sub?topic=", "/sub?topic=%ff", "/sub/a,", "/sub/,a", "/sub/a,,b", "/sub/a?topic="):
            with self.subTest(target=target):
                self.check("GET", target, 400)
        for method, target in (("GET", "/inbox"), ("GET", "/test"), ("POST", "/send")):      # no id, or no such path
            self.assertIn(self.ask(method, target, b"" if method == "POST" else None).status, (400, 404))
        for path in ("/pub/a,b", "/send/a,b"):
            self.check("POST", path, 400, b"x")
        self.assertEqual(self.janus.subscriptions(), 0)

    def test_topics_in_paths(self):
        """Lists are divided before %XX is resolved; queries know +, paths don't."""
        cases = [("/sub/a%2Cb,c", ["a,b", "c"]), ("/sub/a+b", ["a+b"]), ("/sub?topic=a+b", ["a b"]), ("/sub?topic=a%2Bb", ["a+b"]),
                 ("/sub/caf%C3%A9", ["café"]), ("/sub/café", ["café"]), ("/sub?topic=caf%c3%a9", ["café"]), ("/sub/x%2Fy", ["x/y"]),
                 ("/sub/%20", [" "]), ("/sub?topic=a&topic=b&topic=c", ["a", "b", "c"]), ("/sub?topic=a&&x=y&topic=b", ["a", "b"]),
                 ("/sub/" + "a" * 255, ["a" * 255]), ("/sub/%F0%9F%98%80", ["😀"]), ("/sub?topic=a,b", ["a,b"]), ("/sub/a%25", ["a%"]),
                 ("http://janus.example/sub/abs", ["abs"])]
        publisher = self.flash()
        for target, topics in cases:
            with self.subTest(target=target):
                stream = self.lines(target)
                for topic in topics:
                    publisher.publish(topic, of=target)
                    message = stream.message()
                    self.assertEqual((message["topic"], message["of"]), (topic, target))
                stream.close()

    def test_topic_named_twice(self):
        stream = self.lines("/sub/a,a,%61")
        self.assertEqual(self.post("/pub/a", "one")["subscribers"], 1)
        self.post("/pub/a", "two")
        self.assertEqual([stream.message()["data"] for _ in range(2)], ["one", "two"])

    def test_page(self):
        answer = self.check("GET", "/", 200)
        self.assertEqual(answer.type, "text/html")
        self.assertIn(b"<", answer.body)
        head = self.check("HEAD", "/", 200)
        self.assertEqual(head.type, "text/html")
        self.assertEqual(head.get("Content-Length"), str(len(answer.body)))
        self.check("GET", "/?x=y", 200)

    def test_page_off(self):
        self.serve("page=off")
        self.check("GET", "/", 404)
        self.check("HEAD", "/", 404)

    def test_head(self):
        """The head of what GET would answer, and nothing else: no subscription, and the connection goes on."""
        client = self.http()
        for target, accept, type in (("/sub/a", "text/event-stream", "text/event-stream"), ("/sub/a", "*/*", "application/x-ndjson"),
                                     ("/inbox/a", "text/event-stream", "text/event-stream"), ("/test/a", "*/*", "text/html")):
            with self.subTest(target=target, accept=accept):
                answer = client.ask("HEAD", target, fields=[("Accept", accept)])
                self.assertEqual((answer.status, answer.type), (200, type))
                self.assertEqual(self.janus.subscriptions(), 0)
        self.assertEqual(client.ask("HEAD", "/nothing").status, 404)
        self.assertEqual(client.ask("HEAD", "/sub/").status, 400)
        self.assertEqual(client.ask("POST", "/pub/a", b"x").json(), {"id": None, "subscribers": 0})
        self.assertEqual(client.ask("POST", "/send/a", b"x").json(), {"id": None, "subscribers": 0})
        self.assertTrue(client.quiet())

    def test_ws_without_upgrade(self):
        answer = self.check("GET", "/ws", 426)
        self.assertEqual(answer.tokens("Upgrade"), ["websocket"])
        self.assertIn("upgrade", answer.tokens("Connection"))

    def test_no_room(self):
        self.serve("max_subscriptions=3", "max_topics=16")
        stream = self.lines("/sub/a,b,c")
        self.assertEqual(self.ask("GET", "/sub/a,b,c,d").status, 503)
        self.assertEqual(self.ask("GET", "/inbox/a,b,c,d").get("Retry-After"), "5")
        others = [self.lines("/sub/%d,%d,%d" % (n, n + 1, n + 2)) for n in (10, 13, 16, 19)]
        self.assertEqual(self.ask("GET", "/sub/30,31").status, 503)
        key = new_key()
        self.assertEqual(self.ask("GET", "/sub/30,31", fields=upgrade_fields(key)).status, 503)
        # What was refused holds nothing.
        wait_until(lambda: self.janus.subscriptions() == 15, what="the refused ones' end")
        others.append(self.lines("/sub/30"))
        self.assertEqual(self.ask("GET", "/sub/31").status, 503)
        self.published("/pub/a", "x")
        self.assertEqual(stream.message()["data"], "x")
        self.published("/pub/30", "y")
        self.assertEqual(others[-1].message()["data"], "y")

    def test_full(self):
        """A connection that the server has no room for is told so, in its own protocol."""
        self.serve("max_connections=2", workers=1)
        self.flash()
        kept = self.http()
        self.assertEqual(kept.ask("OPTIONS", "/").status, 204)
        extra = self.http()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            extra.send(request("GET", "/"))
        answer = extra.answer()
        self.assertEqual(answer.status, 503)
        self.assertTrue(answer.closes)
        packets = self.packet()
        packets.expect_error("full")
        packets.expect_close()
        self.assertEqual(kept.ask("OPTIONS", "/").status, 204)

    def test_full_can_be_read(self):
        """Whenever the request comes, and whatever of it still does: the answer is not taken away by a reset. A page may know."""
        origin = ("Origin", "https://app.example")
        self.serve("max_connections=2", "origins=https://app.example", workers=1)
        self.flash()
        kept = self.http()
        self.assertEqual(kept.ask("OPTIONS", "/").status, 204)
        fds = len(descriptors(self.janus.workers()[0]))
        clients = [self.http() for _ in range(12)]
        wait_until(lambda: self.janus.count("refused") == 12, what="their refusal")
        for client in clients[:10]:
            client.send(head_of("POST", "/pub/a", [origin, ("Content-Length", "100000")]))
        for client in clients[:8]:
            answer = client.answer()
            self.assertEqual((answer.status, answer.get("Access-Control-Allow-Origin"), answer.get("Retry-After")), (503, origin[1], "5"))
            self.assertTrue(answer.closes)
            client.send(b"x" * 100000)          # is still taken
            client.expect_close()
            client.close()
        for client in clients[8:10]:            # reads later than it sends
            client.send(b"x" * 50000)
            client.send(b"x" * 50000)
            self.assertEqual(client.answer().status, 503)
        for client in clients[10:]:             # sends nothing
            self.assertEqual(client.answer().status, 503)
            client.expect_close()
        wait_until(lambda: len(descriptors(self.janus.workers()[0])) == fds, what="all descriptors being closed")
        self.assertEqual(self.janus.count("accepted"), 2)

    def test_full_and_killed(self):
        """A successor neither keeps nor serves those that were refused."""
        self.serve("max_connections=2", workers=1)
        self.flash()
        kept = self.http()
        self.assertEqual(kept.ask("OPTIONS", "/").status, 204)
        fds = len(descriptors(self.janus.workers()[0]))
        told, untold = [self.http() for _ in range(4)], [self.http() for _ in range(4)]
        wait_until(lambda: self.janus.count("refused") == 8, what="their refusal")
        for client in told:
            client.send(head_of("POST", "/pub/a", [("Content-Length", "100000")]))
            self.assertEqual(client.answer().status, 503)
        self.janus.kill_worker(0)
        for client in untold:
            self.assertEqual(client.answer().status, 503)
        self.assertEqual(kept.ask("OPTIONS", "/").status, 204)
        wait_until(lambda: len(descriptors(self.janus.workers()[0])) == fds, what="all descriptors being closed")
        self.assertEqual(self.janus.connections(), 2)

    def test_unix(self):
        """HTTP on a socket in the file system."""
        folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, folder, True)
        path = os.path.join(folder, "http")
        self.serve(listen=("http+unix:" + path, "flash://127.0.0.1:0"))
        self.assertEqual(self.addresses["http"], path)
        stream = self.lines("/sub/a")
        answer = self.ask("POST", "/pub/a", b"by a file")
        self.assertEqual(answer.json()["subscribers"], 1)
        self.assertEqual(stream.message()["data"], "by a file")
        self.flash().publish("a", data="by TCP")
        self.assertEqual(stream.message()["data"], "by TCP")


class Requests(WebTest):
    """What a request looks like, and how it arrives."""

    def setUp(self):
        super().setUp()
        self.witness = self.lines("/sub/a")
        self.count = 0

    def heard(self, *datas):
        """The topic's next messages have this data, and nothing has come between."""
        for data in datas:
            self.assertEqual(self.witness.message()["data"], data)

    def fence(self):
        self.count += 1
        self.published("/pub/a", "fence %d" % self.count)
        self.heard("fence %d" % self.count)

    def test_keep_alive(self):
        client = self.http()
        for n in range(20):
            answer = client.ask("POST", "/pub/a", b"%d" % n)
            self.assertEqual((answer.status, answer.version, answer.closes), (200, "1.1", False))
            self.heard(str(n))
            self.assertEqual(client.ask("GET", "/").status, 200)
        answer = client.ask("POST", "/pub/a", b"last", {"Connection": "close"})
        self.assertTrue(answer.closes)
        client.expect_close()
        self.heard("last")

    def test_http_1_0(self):
        client = self.http()
        answer = client.ask("POST", "/pub/a", b"one", version="1.0", host=None)
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.closes)
        client.expect_close()
        client = self.http()
        for n in range(3):
            answer = client.ask("POST", "/pub/a", b"%d" % n, {"Connection": "keep-alive"}, version="1.0", host=None)
            self.assertEqual(answer.tokens("Connection"), ["keep-alive"])
        answer = client.ask("GET", "/", version="1.0", host=None)
        self.assertIsNotNone(answer.get("Content-Length"))
        client.expect_close()
        self.heard("one", "0", "1", "2")

    def test_pipelining(self):
        """Answers come in the order of the requests, whatever they are."""
        client = self.http()
        parts, wanted = [], []
        for n in range(60):
            kind = n % 6
            parts.append([request("POST", "/pub/a", b"%d" % n), request("GET", "/nothing"), request("HEAD", "/"),
                          request("POST", "/pub", json.dumps([{"topic": "a", "data": n}]).encode()), request("OPTIONS", "/pub/a"),
                          head_of("POST", "/pub/a", {"Transfer-Encoding": "chunked"}) + chunked(b"%d" % n, 1)][kind])
            wanted.append(("GET POST POST POST POST POST".split()[kind], [200, 404, 200, 200, 204, 200][kind]))
        client.send(b"".join(parts))
        ids = []
        for n, (_, status) in enumerate(wanted):
            answer = client.answer("HEAD" if n % 6 == 2 else "GET")
            self.assertEqual(answer.status, status, n)
            if n % 6 in (0, 3, 5):
                found = answer.json()
                ids.append(found["id"] if isinstance(found, dict) else found[0]["id"])
        self.assertEqual(ids, sorted(set(ids)))
        for n in range(60):
            if n % 6 in (0, 3, 5):
                message = self.witness.message()
                self.assertEqual((message["data"], message["id"]), (n if n % 6 == 3 else str(n), ids.pop(0)))

    def test_pipelined_behind_a_close(self):
        """What follows a request that ends the connection is not acted upon."""
        client = self.http()
        client.send(request("POST", "/pub/a", b"1", {"Connection": "close"}) + request("POST", "/pub/a", b"2"))
        self.assertEqual(client.answer().status, 200)
        client.expect_close()
        self.heard("1")
        self.fence()

    def test_pipelined_behind_a_stream(self):
        """A stream is the connection's last answer."""
        client = self.connect(Lines, "http")
        client.send(request("GET", "/sub/a") + request("POST", "/pub/a", b"never"))
        self.assertEqual(client.answer().status, 200)
        self.fence()
        self.assertEqual(client.message()["data"], "fence 1")

    def test_byte_by_byte(self):
        client = self.http()
        for n in range(3):
            client.send_pieces(request("POST", "/pub/a", b"%d" % n))
            self.assertEqual(client.answer().status, 200)
        client.send_pieces(head_of("POST", "/pub/a", {"Transfer-Encoding": "chunked"}) + chunked(b"in chunks", 2))
        self.assertEqual(client.answer().status, 200)
        self.heard("0", "1", "2", "in chunks")

    def test_every_split(self):
        """Two requests, cut in two at each place; the server has had the first part when the second is sent."""
        text = (head_of("POST", "/pub/a?event=e", {"Transfer-Encoding": "chunked"}) + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n" +
                request("POST", "/pub/a", b"second", {"Connection": "close"}))
        for cut in range(1, len(text)):
            client = self.http()
            had = self.janus.count("bytes_in") if cut % 8 == 0 else None
            client.send(text[:cut])
            if had is not None:
                wait_until(lambda: self.janus.count("bytes_in") >= had + cut, what="the first part's arrival")
            client.send(text[cut:])
            self.assertEqual([client.answer().status for _ in range(2)], [200, 200], cut)
            client.expect_close()
            client.close()
            self.heard("abcde", "second")

    def test_empty_line_ahead(self):
        client = self.http()
        client.send(b"\r\n" + request("POST", "/pub/a", b"1") + b"\r\n" + request("POST", "/pub/a", b"2"))
        self.assertEqual([client.answer().status for _ in range(2)], [200, 200])
        self.heard("1", "2")

    def test_chunked_body(self):
        client = self.http()
        fields = {"Transfer-Encoding": "chunked"}
        body = bytes(97 + i % 26 for i in range(70000))
        for size in (70000, 1000, 4096):
            client.send(head_of("POST", "/pub/a", fields) + chunked(body, size))
            self.assertEqual(client.answer().status, 200)
            self.heard(body.decode())
        client.send(head_of("POST", "/pub/a", fields) + b"00003 \r\nabc\r\n0\r\n\r\n")
        self.assertEqual(client.answer().status, 400)
        client.expect_close()
        client = self.http()
        client.send(head_of("POST", "/pub/a", fields) + b'a;x="y"\r\n0123456789\r\n0A\r\nabcdefghij\r\n000\r\nTrailer: t\r\nX-Y: z\r\n\r\n' +
                    request("POST", "/pub/a", b"next"))
        self.assertEqual([client.answer().status for _ in range(2)], [200, 200])
        self.heard("0123456789abcdefghij", "next")

    def test_expect(self):
        """100 Continue when the body is not there yet."""
        client = self.http()
        head = head_of("POST", "/pub/a", {"Content-Length": "4", "Expect": "100-continue"})
        client.send(head)
        self.assertEqual(client.answer().status, 100)
        client.send(b"body")
        self.assertEqual(client.answer().status, 200)
        client.send(head + b"more")
        answer = client.answer()
        if answer.status == 100:        # the body came with the head: not needed, and not forbidden
            answer = client.answer()
        self.assertEqual(answer.status, 200)
        client.send(head_of("POST", "/pub/a", {"Transfer-Encoding": "chunked", "Expect": "100-Continue"}))
        self.assertEqual(client.answer().status, 100)
        client.send(chunked(b"chunks", 3))
        self.assertEqual(client.answer().status, 200)
        self.heard("body", "more", "chunks")
        # Nobody is asked for a body that is refused.
        client.send(head_of("POST", "/pub/a", {"Content-Length": str(MAX + 1), "Expect": "100-continue"}))
        self.assertEqual(client.answer().status, 413)
        client.expect_close()
        for target, status, more in (("/nothing", 404, {}), ("/pub/a,b", 400, {}), ("/pub/a?event=a&event=b", 400, {}), ("/send", 400, {}), ("/sub/a", 405, {}),
                                     ("/broadcast", 403, {}), ("/pub/a", 415, {"Content-Encoding": "gzip"}),
                                     ("/pub/a", 403, {"Origin": "https://foreign.example"}), ("/pub", 403, {"Origin": "http://janus.example"})):
            with self.subTest(target=target, status=status):
                client = self.http()
                client.send(head_of("POST", target, dict({"Content-Length": "4", "Expect": "100-continue"}, **more)))
                answer = client.answer()
                self.assertEqual((answer.status, answer.closes), (status, True))
                client.expect_close()
        client = self.http()
        client.send(head_of("POST", "/pub/a", {"Content-Length": "4", "Expect": "miracles"}))
        self.assertEqual(client.answer().status, 417)
        client.expect_close()

    def test_http_1_0_expects_nothing(self):
        client = self.http()
        client.send(head_of("POST", "/pub/a", {"Content-Length": "4", "Expect": "100-continue"}, version="1.0"))
        self.assertTrue(client.silent(0.3))
        client.send(b"body")
        self.assertEqual(client.answer().status, 200)
        self.heard("body")

    def test_client_that_half_closes(self):
        """A request whose sender will send no more is answered all the same."""
        client = self.http()
        client.send(request("POST", "/pub/a", b"1"))
        client.half_close()
        self.assertEqual(client.answer().status, 200)
        client.expect_close()
        self.heard("1")

    def test_half_close_behind_many_requests(self):
        """All are answered, though they are more than is kept of answers that nobody reads yet."""
        for target, count in (("/", 300), ("/nothing", 5000)):
            for later in (False, True):
                with self.subTest(target=target, later=later):
                    client = self.http(rcvbuf=65536)
                    client.send(request("GET", target) * count)
                    if later:
                        client.answer()     # they have arrived, and are being answered
                    client.half_close()
                    for _ in range(count - later):
                        self.assertEqual(client.answer().status, 200 if target == "/" else 404)
                    client.expect_close()

    def test_reset_behind_many_requests(self):
        """The requests and the reset are there at the same time: it is closed, and costs no time from then on."""
        self.serve(workers=1)
        worker = self.janus.workers()[0]
        clients = [self.http() for _ in range(20)]
        for client in clients:
            client.ask("OPTIONS", "/")
        self.stopped(worker, lambda: [(client.send(request("GET", "/") * 3), client.reset()) for client in clients])
        wait_until(lambda: self.janus.connections() == 0, what="their end")
        before, kept = cpu_seconds(worker), self.http()
        self.assertTrue(kept.silent(1))
        self.assertLess(cpu_seconds(worker) - before, 0.3 * SLOWNESS)

    def stopped(self, worker, act):
        """Does something while the worker stands still."""
        os.kill(worker, signal.SIGSTOP)
        try:
            act()
        finally:
            os.kill(worker, signal.SIGCONT)

    def test_client_that_goes(self):
        """One that sends a whole request and closes without the answer has published."""
        for end in ("close", "reset"):
            client = self.http()
            client.send(request("POST", "/pub/a", end.encode()))
            if end == "reset":
                client.answer()
            getattr(client, end)()
            self.heard(end)
        # Half a request is none.
        for part in (b"POST /pub/a HT", head_of("POST", "/pub/a", {"Content-Length": "5"}) + b"half"):
            client = self.http()
            client.send(part)
            client.close()
        self.fence()

    def refused(self, status, data, close=True):
        client = self.http()
        client.send(data)
        answer = client.answer()
        self.assertEqual(answer.status, status, (data[:300], answer))
        error_text(answer)
        self.assertTrue(answer.closes, answer)
        client.expect_close()
        client.close()

    def test_refused(self):
        """Every row of the table of requests that are refused with 400, 501 and 505."""
        line = "POST /pub/a HTTP/1.1\r\n"
        length = "Content-Length: 1\r\n"
        cases = [
            (400, "rubbish\r\n\r\n"), (400, "GET /\r\n\r\n"), (400, "GET  HTTP/1.1\r\nHost: a\r\n\r\n"), (400, "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n"),
            (400, "GET / http/1.1\r\nHost: a\r\n\r\n"), (400, "GET / HTTP/1.1\nHost: a\n\n"), (400, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
            (400, line + "Host: a\r\n" + length.replace(":", " :") + "\r\nx"), (400, line + "Host: a\r\nX: y\r\n z\r\n" + length + "\r\nx"),
            (400, line + "Host: a\r\nX: a\x01b\r\n" + length + "\r\nx"), (400, line + "Host: a\r\nX: a\x00b\r\n" + length + "\r\nx"),
            (400, line + "Host: a\r\nX: a\rb\r\n" + length + "\r\nx"), (400, line + length + "\r\nx"),
            (400, line + "Host: a\r\nHost: a\r\n" + length + "\r\nx"), (400, line + "Host: a\r\n" + length * 2 + "\r\nx"),
            (400, line + "Host: a\r\nContent-Length: 1, 1\r\n\r\nx"), (400, line + "Host: a\r\nContent-Length: -1\r\n\r\nx"),
            (400, line + "Host: a\r\nContent-Length: 0x1\r\n\r\nx"), (400, line + "Host: a\r\nContent-Length: \r\n\r\nx"),
            (400, line + "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
            (400, line + "Host: a\r\n" + "Transfer-Encoding: chunked\r\n" * 2 + "\r\n1\r\nx\r\n0\r\n\r\n"),
            (400, line.replace("1.1", "1.0") + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
            (400, "GET sub/a HTTP/1.1\r\nHost: a\r\n\r\n"), (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "GET ftp://x/sub/a HTTP/1.1\r\nHost: a\r\n\r\n"), (400, "GET /sub/a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
            (400, "G@T / HTTP/1.1\r\nHost: a\r\n\r\n"), (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), (400, "GET / HTTP/1.1\r\nno colon\r\nHost: a\r\n\r\n"),
            (400, line + "Host: a\r\nTransfer-Encoding: gzip\r\n\r\nx"), (400, line + "Host: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\nx"),
            (411, line + "Host: a\r\n\r\nx"), (411, line.replace("1.1", "1.0") + "\r\nx"), (400, line + "Host: a:b\r\n" + length + "\r\nx"),
            (400, line + "Host: a:80:80\r\n" + length + "\r\nx"), (400, line + "Host: [::1\r\n" + length + "\r\nx"),
            (400, "GET http://me@a/sub/a HTTP/1.1\r\nHost: a\r\n\r\n"), (501, line + "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"), (505, "GET / HTTP/0.9\r\nHost: a\r\n\r\n"), (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ]
        chunks = ["x\r\n", "\r\n", "-1\r\n", "1x\r\na\r\n", "1\nx\r\n0\r\n\r\n", "1\r\nxy\r\n0\r\n\r\n", "1\r\nx\n0\r\n\r\n", " 1\r\nx\r\n0\r\n\r\n",
                  "0x1\r\nx\r\n0\r\n\r\n", "1;\r\nx\r\n0\r\n\r\n", "1;a b\r\nx\r\n0\r\n\r\n", '1;a="\r\nx\r\n0\r\n\r\n', "1\r\nx\r\n0\r\nbad trailer\r\n\r\n", "1\r\nx\r\n0\r\nX: y\n\r\n"]
        cases += [(400, line + "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n" + c) for c in chunks]
        for status, text in cases:
            with self.subTest(text=text):
                self.refused(status, text.encode("latin-1"))
        self.fence()
        self.assertEqual(self.janus.count("bad_input"), len(cases))

    def test_unknown_http_1_x(self):
        """1.2 is spoken to as 1.1."""
        self.assertEqual(self.ask("GET", "/", version="1.2").status, 200)

    def test_error_is_readable_after_more_input(self):
        """What was sent behind a bad request must not turn the error into a reset."""
        for more in (b"x" * 100000, request("POST", "/pub/a", b"never") * 3000):
            self.refused(400, b"rubbish\r\n\r\n" + more)
            self.refused(413, head_of("POST", "/pub/a", {"Content-Length": str(10 ** 9)}) + more)
        self.fence()

    def test_error_is_readable_on_a_slow_line(self):
        """A client that sends on for longer than others have to close finds the connection open, and the answer there."""
        client = self.http()
        client.send(head_of("POST", "/pub/a", {"Content-Length": str(10 ** 9)}))
        self.assertEqual(client.answer().status, 413)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            client.send(b"x" * 100)             # a reset would end this
            select.select([], [], [], 0.2)
        client.half_close()
        client.expect_close()

    def test_many_connections_in_pieces(self):
        """Requests of many connections, interleaved piece by piece, do not get into each other's way."""
        clients = [self.http() for _ in range(40)]
        texts = [request("POST", "/pub/a", b"body of %d" % n) for n in range(40)]
        for at in range(0, max(map(len, texts)), 7):
            for client, text in zip(clients, texts):
                client.send(text[at:at + 7])
        answers = [client.answer().json() for client in clients]
        got = {}
        for _ in clients:
            message = self.witness.message()
            got[message["data"]] = message["id"]
        self.assertEqual(got, {"body of %d" % n: answer["id"] for n, answer in enumerate(answers)})


class Limits(WebTest):
    options = ("max_head=4K", "max_fields=20", "max_frame=32K", "http_timeout=1s", "keep_alive=3s")

    def refused(self, status, *parts):
        client = self.http()
        for part in parts:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.send(part)
        answer = client.answer()
        self.assertEqual(answer.status, status, answer)
        error_text(answer)
        client.expect_close()
        client.close()

    def test_head(self):
        fields = lambda size: [("X-%d" % i, "y" * (size // 10 - 12)) for i in range(10)]
        self.assertEqual(self.ask("GET", "/", fields=fields(3900)).status, 200)
        self.refused(431, request("GET", "/", fields=fields(4300)))
        self.refused(431, request("GET", "/", fields=[("X", "y" * 100000)]))
        self.refused(431, b"GET / HTTP/1.1\r\nX: " + b"y" * 5000)       # no end in sight

    def test_fields(self):
        self.assertEqual(self.ask("GET", "/", fields=[("X", "y")] * 19).status, 200)
        self.refused(431, request("GET", "/", fields=[("X", "y")] * 20))
        self.refused(431, request("GET", "/", fields=[("X", "y")] * 200))

    def test_line(self):
        self.refused(414, request("GET", "/sub/" + "a" * 5000))
        self.refused(414, b"GET /" + b"a" * 5000)
        self.refused(414, b"GET /", *[b"a" * 500] * 20)

    def test_default_line_and_head(self):
        """Without settings: 8,000 bytes of line, as RFC 9112 recommends, 16 KiB of head, 100 fields."""
        self.serve()
        topics = ["topic-%04d" % n for n in range(700)]
        target = "/sub/" + ",".join(topics)
        self.assertGreater(len(target), 7500)
        stream = self.lines(target)
        self.published("/pub/" + topics[-1], "x")
        self.assertEqual(stream.message()["topic"], topics[-1])
        self.refused(414, request("GET", "/sub/" + "a" * 20000))
        self.assertEqual(self.ask("GET", "/", fields=[("X", "y" * 140)] * 99).status, 200)
        self.refused(431, request("GET", "/", fields=[("X", "y" * 200)] * 90))
        self.refused(431, request("GET", "/", fields=[("X", "y")] * 101))

    def test_body(self):
        most = 32 * 1024
        stream = self.lines("/sub/a")
        self.published("/pub/a", "x" * most)
        self.assertEqual(len(stream.message()["data"]), most)
        self.refused(413, request("POST", "/pub/a", b"x" * (most + 1)))
        self.refused(413, head_of("POST", "/pub/a", {"Content-Length": str(most + 1)}))
        self.refused(413, head_of("POST", "/pub/a", {"Content-Length": "9" * 40}))
        self.refused(413, request("POST", "/pub", b"[" + b" " * most + b"]"))
        client = self.http()
        client.send(head_of("POST", "/pub/a", {"Transfer-Encoding": "chunked"}) + chunked(b"y" * most, 8192))
        self.assertEqual(client.answer().status, 200)
        self.assertEqual(stream.message()["data"], "y" * most)
        self.refused(413, head_of("POST", "/pub/a", {"Transfer-Encoding": "chunked"}) + chunked(b"x" * (most + 1), 8192))
        self.refused(413, head_of("POST", "/pub/a", {"Transfer-Encoding": "chunked"}) + b"fffffffffffffffff\r\n")
        self.refused(413, head_of("POST", "/pub/a", {"Transfer-Encoding": "chunked"}) + chunked(b"x" * 12000, 1))
        self.refused(431, head_of("POST", "/pub/a", {"Transfer-Encoding": "chunked"}) + b"0\r\n" + b"X: y\r\n" * 2000 + b"\r\n")
        self.published("/pub/a", "fence")
        self.assertEqual(stream.message()["data"], "fence")

    def test_largest_of_all(self):
        """A head of max_head and a body of max_frame in as many small chunks as may be: there is room for both."""
        self.serve("max_head=65535", "max_fields=1000")
        fields = [("X-%d" % n, "v" * 600) for n in range(103)] + [("Transfer-Encoding", "chunked")]
        head = head_of("POST", "/pub/a", fields)
        self.assertTrue(60000 < len(head) < 65535, len(head))
        client, stream = self.http(), self.lines("/sub/a")
        client.send(head + chunked(b"x" * MAX, 160))
        self.assertEqual(client.answer().status, 200)
        self.assertEqual(stream.message()["data"], "x" * MAX)

    def test_body_that_grows(self):
        """Text whose JSON is six times as long: taken or refused as a whole, and what is taken arrives."""
        stream = self.lines("/sub/a")
        answer = self.ask("POST", "/pub/a", b"\x01" * 32768)
        self.assertIn(answer.status, (200, 413))
        if answer.status == 200:
            self.assertEqual(stream.message()["data"], "\x01" * 32768)
        self.published("/pub/a", "fence")
        self.assertEqual(stream.message()["data"], "fence")

    def test_slow_loris(self):
        """A request that is not whole after http_timeout is answered with 408, however it trickles in."""
        cases = {"fields": ([b"GET / HTTP/1.1\r\n"], b"X: y\r\n"), "bytes": ([b"GET /"], b"a"), "silence": ([b"GET /"], b""),
                 "body": ([head_of("POST", "/pub/a", {"Content-Length": "1000"})], b"x"),
                 "chunks": ([head_of("POST", "/pub/a", {"Transfer-Encoding": "chunked"})], b"1\r\nx\r\n")}
        for name, (first, more) in cases.items():
            with self.subTest(name):
                client = self.http()
                began = time.monotonic()
                for piece in itertools.chain(first, itertools.repeat(more)):
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        client.send(piece)
                    if not client.silent(0.2) or time.monotonic() - began > 5 * SLOWNESS:
                        break
                answer = client.answer()
                self.assertEqual(answer.status, 408)
                self.assertTrue(answer.closes)
                error_text(answer)
                client.expect_close()
                self.assertGreater(time.monotonic() - began, 0.5)
        self.assertEqual(self.ask("GET", "/").status, 200)

    def test_slow_second_request(self):
        """The time runs for each request, not for the connection."""
        client = self.http()
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            self.assertEqual(client.ask("POST", "/pub/a", b"x").status, 200)
            self.assertTrue(client.silent(0.2))
        client.send(b"POST /pub/a HTTP/1.1\r\n")
        self.assertEqual(client.answer().status, 408)
        client.expect_close()

    def test_keep_alive_ends(self):
        """A connection without request is closed, without a word; streams are not."""
        fresh, used, stream = self.http(), self.http(), self.lines("/sub/a")
        self.assertEqual(used.ask("GET", "/").status, 200)
        began = time.monotonic()
        fresh.expect_close()
        self.assertGreater(time.monotonic() - began, 1.5)
        used.expect_close()
        self.assertLess(time.monotonic() - began, 8 * SLOWNESS)
        self.published("/pub/a", "still there")
        self.assertEqual(stream.message()["data"], "still there")


class Origins(WebTest):
    APP = "https://app.example"
    options = ("hosts=janus.example h host target",)

    def cors(self, answer):
        return answer.get("Access-Control-Allow-Origin")

    def everywhere(self, origin, host=None):
        """What requests with this origin are answered: (statuses of a POST, a WebSocket and a GET, the GET's CORS field)."""
        more = {"host": host} if host else {}
        fields = [("Origin", origin)]
        post = self.ask("POST", "/pub/a", b"x", fields, **more)
        array = self.ask("POST", "/pub", b"[]", fields, **more)
        send = self.ask("POST", "/send/a", b"x", fields, **more)
        self.assertEqual(post.status, array.status)
        self.assertEqual(post.status, send.status)
        sockets = [self.ask("GET", target, fields=fields + list(upgrade_fields(new_key()).items()), **more).status
                   for target in ("/ws", "/sub/a", "/inbox/a")]
        self.assertEqual(len(set(sockets)), 1, sockets)
        gets = [self.ask("GET", "/", fields=fields, **more), self.ask("HEAD", "/sub/a", fields=fields, **more)]
        self.assertEqual(self.cors(gets[0]), self.cors(gets[1]))
        return post.status, sockets[0], gets[0].status, self.cors(gets[0])

    def test_none_listed(self):
        self.assertEqual(self.everywhere(self.APP), (403, 403, 200, None))
        self.assertEqual(self.everywhere("null"), (403, 403, 200, None))
        # Of the same origin: what Host says. Whether CORS fields stand there is all the same to a browser.
        self.assertEqual(self.everywhere("http://" + self.origin, self.origin)[:3], (200, 101, 200))
        self.assertEqual(self.everywhere("https://janus.example", "janus.example")[:3], (200, 101, 200))
        self.assertEqual(self.everywhere("http://janus.example:81", "janus.example:82")[:3], (403, 403, 200))
        self.assertEqual(self.everywhere("http://janus.example.evil", "janus.example")[:3], (403, 403, 200))
        self.assertEqual(self.everywhere("http://evil.janus.example", "janus.example")[:3], (403, 403, 200))
        # No Origin: no browser.
        self.assertEqual(self.ask("POST", "/pub/a", b"x").status, 200)

    def test_what_an_origin_means(self):
        """Not how it is written: ports that are the scheme's, a WebSocket's scheme, the target's authority ahead of Host."""
        for origin, host in (("https://h", "h:443"), ("https://h:443", "h"), ("http://h:80", "h"), ("ws://" + self.origin, self.origin),
                             ("wss://h", "h:443"), ("http://H.", "h"), ("", "h")):
            with self.subTest(origin=origin, host=host):
                self.assertEqual(self.everywhere(origin, host)[:3], (200, 101, 200))
        for origin, host in (("https://h", "h:80"), ("http://h", "h:443"), ("ftp://h", "h"), ("http://h/", "h")):
            with self.subTest(origin=origin, host=host):
                self.assertEqual(self.everywhere(origin, host), (403, 403, 200, None))
        for origin, status in (("http://target:81", 200), ("http://host", 403)):
            self.assertEqual(self.ask("POST", "http://target:81/pub/a", b"x", {"Origin": origin}, host="host").status, status)

    REBOUND = "evil.example:8080"

    def statuses(self, host, fields=(), own=True):
        """What requests for this host are answered: a POST, a WebSocket, a GET, and a stream's HEAD; with the host's own Origin, or none."""
        fields = list(fields) + ([("Origin", "http://" + host)] if own else [])
        upgrade = list(upgrade_fields(new_key()).items())
        answers = [self.ask("POST", "/pub/a", b"x", fields, host=host), self.ask("GET", "/ws", fields=fields + upgrade, host=host),
                   self.ask("GET", "/", fields=fields, host=host), self.ask("HEAD", "/sub/a", fields=fields, host=host)]
        for answer in answers[:3]:
            if answer.status == 403:
                self.assertIn("hosts", error_text(answer))
                self.assertIsNone(self.cors(answer))
        return [answer.status for answer in answers]

    def test_names_of_strangers(self):
        """A page whose own name was made to mean this server is not one of the server's."""
        self.serve()
        allowed, refused = [200, 101, 200, 200], [403] * 4
        self.assertEqual(self.statuses(self.REBOUND), refused)
        self.assertEqual(self.ask("GET", "http://%s/" % self.REBOUND, fields={"Origin": "http://" + self.REBOUND}).status, 403)
        for host in (self.origin, "localhost:1", "a.localhost", "[::1]:8080", "192.0.2.1"):
            self.assertEqual(self.statuses(host), allowed, host)
        # Without Origin: browsers only.
        self.assertEqual(self.statuses(self.REBOUND, own=False), allowed)
        self.assertEqual(self.statuses(self.REBOUND, [("Accept-Language", "*"), ("Sec-Fetch-Mode", "cors")], own=False), allowed)
        for fields in ([("Accept-Language", "de")], [("Accept-Language", "")], [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")]):
            with self.subTest(fields=fields):
                self.assertEqual(self.statuses(self.REBOUND, fields, own=False), refused)
                self.assertEqual(self.statuses(self.origin, fields, own=False), allowed)
        # Of another's page it is all the same what the server is called: it can't read this.
        self.assertEqual(self.ask("GET", "/", fields={"Origin": self.APP, "Accept-Language": "de"}, host=self.REBOUND).status, 200)

    def test_names_of_ours(self):
        """Those listed, and those of pages that `origins` lists."""
        browser = [("Accept-Language", "de")]
        for option in ("hosts=janus.example *.evil.example,evil.example", "hosts=*", "origins=http://evil.example:8080", "origins=*"):
            with self.subTest(option=option):
                self.serve(option)
                self.assertEqual(self.statuses("EVIL.example:8080"), [200, 101, 200, 200])
                self.assertEqual(self.statuses(self.REBOUND, browser, own=False), [200, 101, 200, 200])
        self.serve("hosts=janus.example", "origins=" + self.APP)
        self.assertEqual(self.statuses(self.REBOUND), [403] * 4)
        self.assertEqual(self.statuses("app.example", browser, own=False), [200, 101, 200, 200])

    def test_patterns(self):
        self.serve("origins=https://app.example:443 https://*.example.com null")
        for origin in ("https://app.example", "https://a.example.com", "https://a.b.example.com:443", "null"):
            with self.subTest(origin=origin):
                self.assertEqual(self.everywhere(origin), (200, 101, 200, origin))
        for origin in ("https://example.com", "http://a.example.com", "https://a.example.com:444", "https://a.example.com.evil"):
            with self.subTest(origin=origin):
                self.assertEqual(self.everywhere(origin), (403, 403, 200, None))
        credentials = lambda origin: self.ask("GET", "/", fields={"Origin": origin}, host="h").get("Access-Control-Allow-Credentials")
        self.assertEqual([credentials(o) for o in ("https://a.example.com", "null", "http://h", "https://foreign.example")], ["true", None, None, None])

    def test_refusals_can_be_read(self):
        """A page that may use the server reads why its request was bad, whatever was wrong with it."""
        self.serve("origins=" + self.APP, "max_frame=32K", "max_fields=20")
        origin, foreign = [("Origin", self.APP)], [("Origin", "https://foreign.example")]
        for status, more in ((413, [("Content-Length", str(MAX))]), (417, [("Expect", "miracles"), ("Content-Length", "1")]), (411, []),
                             (431, [("X", "y")] * 40), (501, [("Transfer-Encoding", "gzip, chunked")]), (400, [("Content-Length", "x")])):
            for fields, cors in ((origin, self.APP), (foreign, None), (origin * 2, None)):
                with self.subTest(status=status, fields=fields):
                    client = self.http()
                    client.send(head_of("POST", "/pub/a", fields + more))
                    answer = client.answer()
                    self.assertIn(answer.status, (status, 400))
                    self.assertEqual((self.cors(answer), answer.get("Access-Control-Allow-Credentials")), (cors, cors and "true"))

    def test_refusals_without_a_request(self):
        """Of one that is not whole, or too much: as on other refusals, by what is there of it."""
        self.serve("origins=" + self.APP, "http_timeout=1s", "flood_bytes=20000", "flood_messages=5")
        origin, foreign = [("Origin", self.APP)], [("Origin", "https://foreign.example")]
        late = [(self.http(), fields, cors) for fields, cors in ((origin, self.APP), (foreign, None))]
        for client, fields, cors in late:
            client.send(head_of("POST", "/pub/a", fields + [("Content-Length", "10")]))
        for fields, cors in ((origin, self.APP), (foreign, None)):
            for request_ in (head_of("POST", "/pub/a", fields + [("Content-Length", "30000")]) + b"x" * 30000,
                             head_of("GET", "/nothing", fields) * 6):
                client = self.http()
                client.send(request_)
                while (answer := client.answer()).status == 404:
                    pass
                self.assertEqual((answer.status, self.cors(answer), answer.get("Retry-After")), (429, cors, "1"))
                self.assertTrue(answer.closes)
        for client, fields, cors in late:
            answer = client.answer()
            self.assertEqual((answer.status, self.cors(answer)), (408, cors))

    def test_refused_post_does_nothing(self):
        stream = self.lines("/sub/a")
        client = self.http()
        answer = client.ask("POST", "/pub/a", b"foreign", {"Origin": self.APP})
        self.assertEqual(answer.status, 403)
        error_text(answer)
        self.assertEqual(client.ask("POST", "/pub/a", b"own").status, 200)
        self.assertEqual(stream.message()["data"], "own")

    def test_listed(self):
        for text in ("https://app.example http://127.0.0.1:8000", "https://other.example, https://app.example"):
            self.serve("origins=" + text)
            for origin in text.replace(",", " ").split():
                with self.subTest(text=text, origin=origin):
                    self.assertEqual(self.everywhere(origin), (200, 101, 200, origin))
            for origin in ("https://app.example.evil", "http://app.example", "https://app.example:444", "https://app", "null", "*"):
                with self.subTest(text=text, origin=origin):
                    self.assertEqual(self.everywhere(origin), (403, 403, 200, None))
            answer = self.ask("GET", "/", fields={"Origin": self.APP})
            self.assertIn("origin", answer.tokens("Vary"))

    def test_star(self):
        self.serve("origins=*")
        for origin in (self.APP, "null"):
            self.assertEqual(self.everywhere(origin), (200, 101, 200, "*"))

    def test_streams_of_allowed_origins(self):
        self.serve("origins=" + self.APP)
        for open in (self.sse, self.lines):
            stream = open("/sub/a", fields=[("Origin", self.APP)])
            self.assertEqual(self.cors(stream.head), self.APP)
            stream = open("/sub/a", fields=[("Origin", "https://foreign.example")])
            self.assertIsNone(self.cors(stream.head))
            self.published("/pub/a", "x")
            stream.message()
        # Errors can be read too.
        self.assertEqual(self.cors(self.ask("GET", "/nothing", fields={"Origin": self.APP})), self.APP)
        self.assertEqual(self.cors(self.ask("POST", "/pub/a,b", b"x", {"Origin": self.APP})), self.APP)

    def preflight(self, target, origin, headers="content-type"):
        fields = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        if headers:
            fields["Access-Control-Request-Headers"] = headers
        client = self.http()
        answer = client.ask("OPTIONS", target, fields=fields)
        self.assertEqual(answer.status, 204)
        self.assertEqual(client.ask("OPTIONS", target).status, 204)     # it goes on
        client.close()
        return answer

    def test_preflight(self):
        self.serve("origins=" + self.APP)
        for target in ("/pub/events", "/pub", "/send/bob", "/sub/a", "/broadcast", "/nothing"):
            with self.subTest(target=target):
                answer = self.preflight(target, self.APP)
                self.assertEqual(self.cors(answer), self.APP)
                self.assertIn("origin", answer.tokens("Vary"))
                self.assertLessEqual({"get", "post"}, set(answer.tokens("Access-Control-Allow-Methods")))
                self.assertEqual(answer.tokens("Access-Control-Allow-Headers"), ["content-type"])
                self.assertEqual(answer.get("Access-Control-Max-Age"), "86400")
        self.assertEqual(self.preflight("/pub/a", self.APP, "x-a, x-b").tokens("Access-Control-Allow-Headers"), ["x-a", "x-b"])
        self.assertIsNone(self.preflight("/pub/a", self.APP, None).get("Access-Control-Allow-Headers"))
        foreign = self.preflight("/pub/a", "https://foreign.example")
        self.assertIsNone(self.cors(foreign))
        self.assertIsNone(foreign.get("Access-Control-Allow-Methods"))
        self.assertEqual(self.ask("OPTIONS", "*").status, 204)

    def test_preflight_star(self):
        self.serve("origins=*")
        self.assertEqual(self.cors(self.preflight("/pub/a", self.APP)), "*")


class Publish(WebTest):
    def setUp(self):
        super().setUp()
        self.reader = self.lines("/sub/events")
        self.packets = self.packet().subscribe("events")
        self.subscriber = self.flash().subscribe("events")

    def heard(self, number, **members):
        """Who reads JSON gets exactly these members beside the topic. The flash frame."""
        message = self.reader.message()
        self.assertEqual(message.pop("id"), number)
        self.assertIsInstance(message.pop("timestamp"), list)
        self.assertEqual(message, dict({"topic": "events"}, **members))
        frame = self.subscriber.message_text()
        flash = json.loads(frame)
        del flash["timestamp"]
        self.assertEqual(flash, dict({"topic": "events"}, **members))
        return frame

    def test_text(self):
        for text in ("hi", "", " \n\t", "\"quoted\" \\ / <b>&", "žluťoučký 😀", "line\r\nother\nthird\rfourth", "\u2028\x7f\x00\x01", '{"a":1}', "\ufeffx"):
            for type in (None, "text/plain", "text/plain; charset=utf-8", "application/x-www-form-urlencoded"):
                with self.subTest(text=text, type=type):
                    self.heard(self.published("/pub/events", text, type), data=text)
                    self.assertEqual(self.packets.message()["data"], text)

    def test_record(self):
        """What flash subscribers are sent, byte for byte."""
        self.assertRegex(self.heard(self.published("/pub/events", "hi"), data="hi"), rb'\A\{"timestamp":\[[0-9,]+\],"topic":"events","data":"hi"\}\Z')
        self.assertRegex(self.heard(self.published("/pub/events?event=NAME", "hi"), event="NAME", data="hi"),
                         rb'\A\{"timestamp":\[[0-9,]+\],"topic":"events","event":"NAME","data":"hi"\}\Z')

    def test_event(self):
        for raw, event in (("test_event", "test_event"), ("a+b%20c", "a b c"), ("caf%C3%A9", "café"), ('a"b%5C', 'a"b\\')):
            with self.subTest(raw=raw):
                number = self.published("/pub/events?event=" + raw.replace('"', "%22"), "x")
                self.heard(number, event=event, data="x")
                message = self.packets.message()
                self.assertEqual((message["event"], message["id"]), (event, number))
        self.assertEqual(self.ask("POST", "/pub/events?event=%ff", b"x").status, 400)
        for target in ("/pub/events?event=a&event=b", "/pub?event=a&topic=events&event=", "/send/events?event=&event=a"):
            self.assertIn("event", error_text(self.ask("POST", target, b"x")))

    def test_json(self):
        values = [{"a": [1, 2, {"b": None}]}, [], {}, "text", "", 0, -1.5e10, True, None, "žluťoučký 😀", [[[]]]]
        for type in ("application/json", "application/json; charset=utf-8", "Application/JSON", "application/ld+json", "application/vnd.api+json"):
            for value in values:
                with self.subTest(type=type, value=value):
                    self.heard(self.published("/pub/events", json.dumps(value), type), data=value)
                    self.assertEqual(self.packets.message()["data"], value)
        self.heard(self.published("/pub/events?event=e", ' {"a" : 1}\r\n', "application/json"), event="e", data={"a": 1})

    def test_json_byte_for_byte(self):
        for value in ("1e400", "-0", "0.10", "123456789012345678901234567890", '"\\u0041\\/"', '{"a":1,"a":2}'):
            with self.subTest(value=value):
                self.published("/pub/events", value, "application/json")
                self.assertTrue(self.subscriber.message_text().endswith(b'"topic":"events","data":' + value.encode() + b"}"))

    def test_bad_json(self):
        client = self.http()
        for text in ("", "{", "{'a':1}", "[1,]", "nul", "1 2", "NaN", '"\t"', '"\\ud800"', "[" * 129 + "]" * 129, "// no\n1"):
            with self.subTest(text=text):
                answer = client.ask("POST", "/pub/events", text.encode(), {"Content-Type": "application/json"})
                self.assertEqual(answer.status, 400)
                error_text(answer)
        self.assertEqual(client.ask("POST", "/pub/events", b'"\xff"', {"Content-Type": "application/json"}).status, 400)
        self.heard(self.published("/pub/events", "fence"), data="fence")

    def test_binary(self):
        for data, type in ((b"\xff\x00\n", None), (b"\xff\x00\n", "application/octet-stream"), (b"plain text", "application/octet-stream"),
                           (bytes(range(256)), "text/plain"), (b"\xed\xa0\x80", None),
                           (os.urandom(50000), "application/octet-stream")):
            with self.subTest(data=data[:20], type=type):
                number = self.published("/pub/events", data, type)
                self.heard(number, data=base64.b64encode(data).decode(), encoding="base64")
                message = self.packets.message()
                self.assertEqual((message["data"], message["id"]), (data, number))
        number = self.published("/pub/events?event=e", b"\xff")
        self.heard(number, event="e", data="/w==", encoding="base64")

    def test_subscribers(self):
        """All of the topic's, over all workers and kinds of connection; nobody: no id, and nothing is published."""
        self.assertEqual(self.post("/pub/nobody", "x"), {"id": None, "subscribers": 0})
        self.assertEqual(self.post("/pub/events", "x")["subscribers"], 3)
        kinds = [lambda: self.sse("/sub/many"), lambda: self.lines("/sub/many,other"), lambda: self.flash().subscribe("many"),
                 lambda: self.packet().subscribe("many"), lambda: self.websocket().subscribe("many", "other"),
                 lambda: self.websocket("/sub/many")]
        there = []
        for n in range(30):
            there.append(kinds[n % 6]())
            self.assertEqual(self.post("/pub/many", "x")["subscribers"], n + 1)
        self.assertEqual(self.post("/pub/other", "x")["subscribers"], 10)
        self.assertGreater(min(w["connections"] for w in self.janus.status()["workers"]), 0)
        for n, client in enumerate(there):
            client.close()
            wait_until(lambda: self.post("/pub/many", "x")["subscribers"] == 29 - n, what="one subscriber less")
        self.assertEqual(self.post("/pub/many", "x"), {"id": None, "subscribers": 0})

    def test_ids(self):
        """Rising, and those that subscribers see."""
        ids = [self.published("/pub/events", str(n)) for n in range(50)]
        self.assertEqual(ids, sorted(set(ids)))
        messages = [self.reader.message() for _ in ids]
        self.assertEqual([m["id"] for m in messages], ids)
        self.assertEqual([m["data"] for m in messages], [str(n) for n in range(50)])
        self.assertEqual([self.packets.message()["id"] for _ in ids], ids)

    # arrays

    def test_array(self):
        answer = self.post("/pub", [{"topic": "events", "event": "e", "message_id": "", "data": "one"}, {"topic": "nobody", "data": 2},
                                    {"n": 3, "topic": "events"}, {"topic": "events", "data": {"a": [4]}, "timestamp": 0, "id": "mine"}])
        self.assertEqual([a["subscribers"] for a in answer], [3, 0, 3, 3])
        self.assertIsNone(answer[1]["id"])
        ids = [answer[i]["id"] for i in (0, 2, 3)]
        self.assertEqual(ids, [ids[0], ids[0] + 1, ids[0] + 2])
        first = self.reader.message()
        self.assertEqual({k: v for k, v in first.items() if k != "timestamp"},
                         {"id": ids[0], "topic": "events", "event": "e", "message_id": "", "data": "one"})
        self.assertEqual((self.reader.message()["n"], self.reader.message()["data"]), (3, {"a": [4]}))
        # Flash, where no id of the server's stands, passes on the publisher's.
        frames = [self.subscriber.message_text() for _ in range(3)]
        self.assertTrue(frames[1].endswith(b'],"n":3,"topic":"events"}'), frames[1])
        self.assertTrue(frames[2].endswith(b'],"topic":"events","data":{"a": [4]},"id":"mine"}'), frames[2])

    def test_empty_array(self):
        self.assertEqual(self.post("/pub", []), [])
        self.assertEqual(self.post("/pub", b" [ ] ", "application/json"), [])

    def test_largest_array(self):
        answer = self.post("/pub", [{"topic": "events", "n": n} for n in range(512)])
        self.assertEqual([a["id"] for a in answer], list(range(answer[0]["id"], answer[0]["id"] + 512)))
        self.assertEqual([self.reader.message()["n"] for _ in range(512)], list(range(512)))
        self.assertIn(self.ask("POST", "/pub", json.dumps([{"topic": "events"}] * 513).encode()).status, (400, 413))
        self.assertTrue(self.reader.quiet())

    def test_array_all_or_none(self):
        """The first bad one is named, and nobody gets anything."""
        good = {"topic": "events", "data": "never"}
        client = self.http()
        for bad in ({}, {"data": "x"}, {"topic": ""}, {"topic": 1}, {"topic": None}, {"topic": "a" * 256}, {"topic": "a\n"}, 7, "text", None, [], [good]):
            for place in (1, 3, 4):
                array = [good, good, good, good]
                array[place - 1] = bad
                with self.subTest(bad=bad, place=place):
                    answer = client.ask("POST", "/pub", json.dumps(array + [{}]).encode(), {"Content-Type": "application/json"})
                    self.assertEqual(answer.status, 400)
                    self.assertRegex(error_text(answer), r"\bmessage %d\b" % place)
        twice = b'[{"topic":"events"},{"topic":"events","topic":"events"}]'
        self.assertRegex(error_text(client.ask("POST", "/pub", twice, {"Content-Type": "application/json"})), r"\bmessage 2\b")
        for text in (b"", b"{}", b'"a"', b"7", b"[", b"[{}", b'[{"topic":"events"},]', b'[{"topic":"events"}] x', b'{"topic":"events"}', b"\xff",
                     b'[{"topic":"events","x":"\xff"}]'):
            with self.subTest(text=text):
                self.assertEqual(client.ask("POST", "/pub", text, {"Content-Type": "application/json"}).status, 400)
        self.heard(self.published("/pub/events", "fence"), data="fence")

    def test_arrays_are_not_torn(self):
        """Nobody's message stands between those of one array."""
        parts, size, rounds = 4, 25, 20
        failures = []

        def publish(part):
            client = Http(self.janus, address=self.addresses["http"])
            try:
                for turn in range(rounds):
                    answer = client.ask("POST", "/pub", json.dumps([{"topic": "events", "part": part, "turn": turn, "n": n}
                                                                    for n in range(size)]).encode())
                    ids = [a["id"] for a in answer.json()]
                    if ids != list(range(ids[0], ids[0] + size)):
                        failures.append(ids)
            except BaseException as e:
                failures.append(e)
            finally:
                client.close()
        threads = [threading.Thread(target=publish, args=(part,)) for part in range(parts)]
        noise = self.flash()
        for thread in threads:
            thread.start()
        for n in range(200):
            noise.publish("events", noise=n)
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        run, turns = [], {}
        for _ in range(parts * rounds * size + 200):
            message = self.reader.message()
            if "noise" in message:
                self.assertEqual(run, [], "a message within an array")
                continue
            if run:
                self.assertEqual((message["part"], message["turn"], message["n"]), (run[0]["part"], run[0]["turn"], len(run)))
            run.append(message)
            if len(run) == size:
                turns.setdefault(run[0]["part"], []).append(run[0]["turn"])
                run = []
        self.assertEqual(turns, {part: list(range(rounds)) for part in range(parts)})


if __name__ == "__main__":
    unittest.main()
