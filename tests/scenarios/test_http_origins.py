"""HTTP: origins, of requests and of a server's names."""
import unittest

from test_http import MAX
from web_clients import WebTest, error_text, head_of, new_key, upgrade_fields


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


if __name__ == "__main__":
    unittest.main()
