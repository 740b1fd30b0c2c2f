"""HTTP: what a request may look like and how it may arrive, and limits."""
import contextlib
import json
import os
import select
import signal
import time
import unittest

from janus_test import SLOWNESS, cpu_seconds, wait_until
from web_clients import Lines, WebTest, chunked, error_text, head_of, request

MAX = 256 * 1024        # max_frame


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
        clients = {name: self.http() for name in cases}
        began = time.monotonic()
        for name, (first, _) in cases.items():
            clients[name].send(b"".join(first))
        answered = {}
        while len(answered) < len(cases) and time.monotonic() - began < 5 * SLOWNESS:
            for name in cases.keys() - answered.keys():
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    clients[name].send(cases[name][1])
                if not clients[name].silent(0.04):
                    answered[name] = time.monotonic() - began
        for name, client in clients.items():
            with self.subTest(name):
                answer = client.answer()
                self.assertEqual(answer.status, 408)
                self.assertTrue(answer.closes)
                error_text(answer)
                client.expect_close()
                self.assertGreater(answered[name], 0.5)
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
        began = time.monotonic()
        fresh, used, stream = self.http(), self.http(), self.lines("/sub/a")
        self.assertEqual(used.ask("GET", "/").status, 200)
        fresh.expect_close()
        self.assertGreater(time.monotonic() - began, 1.5)
        used.expect_close()
        self.published("/pub/a", "still there")
        self.assertEqual(stream.message()["data"], "still there")


if __name__ == "__main__":
    unittest.main()
