"""HTTP: routes and statuses."""
import contextlib
import os
import shutil
import tempfile
import time
import unittest

from janus_test import ROOT, descriptors, wait_until
from web_clients import Lines, WebTest, error_text, head_of, new_key, request, upgrade_fields


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
        for method, target in (("GET", "/inbox/me?user=victim"), ("GET", "/sub/public?topic=secret"), ("GET", "/test/me?user=victim"),
                               ("POST", "/pub/public?topic=secret"), ("POST", "/send/me?event=y&user=victim"), ("POST", "/pub/a?topic="),
                               ("POST", "/pub?topic=a&topic=b"), ("POST", "/send?user=a&user=b"), ("POST", "/send"), ("POST", "/send?user=")):
            with self.subTest(target=target):
                self.check(method, target, 400, b"x" if method == "POST" else None)
        topics, ids = self.lines("/sub?topic=a%2Fb&topic=c,d"), self.lines("/inbox?user=a%2Fb")
        for target, stream, name in (("/pub?topic=a%2Fb", topics, "a/b"), ("/pub?topic=c%2Cd&event=e", topics, "c,d"), ("/pub?topic=c,d", topics, "c,d"),
                                     ("/pub/a%2Fb", topics, "a/b"), ("/send?user=a%2Fb", ids, "a/b")):
            with self.subTest(target=target):
                self.published(target, target)
                message = stream.message()
                self.assertEqual((message.get("topic", message.get("user")), message["data"]), (name, target))
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
                 ("/sub/%20", [" "]), ("/sub?topic=a&topic=b&topic=c", ["a", "b", "c"]), ("/sub?topic=a&&topic=b", ["a", "b"]),
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
        self.check("GET", "/?", 200)

    def test_janus_js(self):
        """The client that the package has, also without the page; a browser that has it is told so. The answer fits whatever is small."""
        with open(os.path.join(ROOT, "packaging", "janus.js", "janus.js"), "rb") as f:
            source = f.read()
        self.serve("page=off", "max_frame=1024", "ring_bytes=1M", "origins=https://app.example")
        answer = self.check("GET", "/janus.js", 200)
        self.assertEqual((answer.get("Content-Type"), answer.body), ("text/javascript; charset=utf-8", source))
        self.assertEqual(answer.get("Cache-Control"), "no-cache")
        tag = answer.get("ETag")
        self.assertRegex(tag, '^"[0-9a-f]{16}"$')
        for had in (tag, "W/" + tag, '"x", ' + tag, "*"):
            answer = self.check("GET", "/janus.js", 304, fields=[("If-None-Match", had)])
            self.assertEqual((answer.get("ETag"), answer.get("Content-Type"), answer.body), (tag, None, b""))
        self.assertEqual(self.check("GET", "/janus.js", 200, fields=[("If-None-Match", '"0123456789abcdef"')]).body, source)
        self.assertEqual(self.check("GET", "/janus.js", 200, fields=[("Origin", "https://app.example")]).get("Access-Control-Allow-Origin"), "https://app.example")
        self.assertEqual(self.check("HEAD", "/janus.js", 200).get("Content-Length"), str(len(source)))
        self.check("POST", "/janus.js", 405, b"x")
        self.check("GET", "/janus.js/x", 404)
        self.check("GET", "/janus.js?x", 400)

    def test_version(self):
        answer = self.check("GET", "/version", 200)
        self.assertEqual((answer.type, list(answer.json())), ("application/json", ["name", "version", "features"]))
        self.assertEqual(answer.json()["name"], "janus")
        self.assertLessEqual({"subscribe-many", "envelope"}, set(answer.json()["features"]))
        self.assertEqual(self.check("HEAD", "/version", 200).get("Content-Length"), str(len(answer.body)))
        self.check("POST", "/version", 405, b"x")
        self.check("GET", "/version/1", 404)

    def test_unknown_parameters(self):
        """On every route."""
        for target, name in (("/?x=y", "x"), ("/version?x", "x"), ("/sub/a?event=e", "event"), ("/sub?topic=a&Topic=b", "Topic"), ("/inbox/a?topic=b", "topic"), ("/inbox?id=a", "id"),
                             ("/test/a?user=b", "user"), ("/sub/a?%74opic=b", "%74opic"), ("/sub/a?=b", "")):
            with self.subTest(target=target):
                self.assertEqual(error_text(self.check("GET", target, 400)).split(";")[0], 'unknown parameter "%s"' % name)
                self.check("HEAD", target, 400)
        answer = self.check("GET", "/ws?token=1", 400, fields=upgrade_fields(new_key()))
        self.assertEqual(error_text(answer), 'unknown parameter "token"; none is known here')
        self.serve("broadcast=on")
        self.assertEqual(error_text(self.check("POST", "/broadcast?topic=a", 400, b"x")), 'unknown parameter "topic"; known here: event, message_id, nodes')

    def test_reserved_topics(self):
        """In paths and queries; users may be called so. Patterns are for subscriptions alone."""
        for name in ("*", ">", "foo.*", "a.*.b", "foo.%3E", "a@b", "%40"):
            with self.subTest(name=name):
                targets = [("POST", "/pub/" + name), ("POST", "/pub?topic=" + name), ("GET", "/history/" + name), ("GET", "/poll?topic=" + name)]
                if "@" in name or "%40" in name:
                    targets += [("GET", "/sub/" + name), ("GET", "/sub?topic=x&topic=" + name)]
                for method, target in targets:
                    self.assertIn("reserved", error_text(self.check(method, target, 400, b"x" if method == "POST" else None)))
                self.lines("/inbox/" + name).close()
                self.assertEqual(self.ask("POST", "/send?user=" + name, b"x").status, 200)

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
        client.expect_nothing()

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
        began = time.monotonic()
        clients = [self.http() for _ in range(12)]
        wait_until(lambda: self.janus.count("refused") == 12, what="their refusal")
        for client in clients[:10]:
            client.send(head_of("POST", "/pub/a", [origin, ("Content-Length", "100000")]))
        late = time.monotonic() - began > 1         # (then a request was not waited for any more, which would have said who asks)
        for client in clients[:8]:
            answer = client.answer()
            self.assertEqual((answer.status, answer.get("Retry-After")), (503, "5"))
            self.assertIn(answer.get("Access-Control-Allow-Origin"), [origin[1]] + [None] * late)
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


if __name__ == "__main__":
    unittest.main()
