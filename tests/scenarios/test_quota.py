"""What one client may have: connections, new ones a second, subscriptions and publishes a second; by address and by user, over all workers."""
import json
import os
import socket
import time
import unittest

from janus_test import SLOWNESS, all_may, wait_until
from web_clients import WEB, WebTest
from test_rights import KEYS, bearer

FILE = """{right} * bob
{other} * eve
""".format(**KEYS)


class QuotaTest(WebTest):
    workers = 2

    def limited(self, *options, **more):
        self.serve("session_linger=0", "trusted_proxies=127.0.0.1", *all_may(options), *options,
                   **dict({"listen": ("http://127.0.0.1:0 proxy", "packet://127.0.0.1:0", "flash://127.0.0.1:0 proxy")}, **more))

    def arrive(self, client=None, place=0):
        """A connection of this client's behind the proxy that the tests are."""
        s = socket.create_connection(self.janus.address(place))
        s.settimeout(20 * SLOWNESS)
        self.addCleanup(s.close)
        s.sendall(("PROXY TCP%d %s %s 5 80\r\n" % (6 if ":" in client else 4, client, "::1" if ":" in client else "127.0.0.1")).encode() if client else b"PROXY UNKNOWN\r\n")
        return s

    @staticmethod
    def ask(s, request="GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        """The answer's status."""
        s.sendall(request.encode())
        got = b""
        while b"\r\n\r\n" not in got:
            data = s.recv(65536)
            if not data:
                break
            got += data
        return int(got.split(b" ")[1]), got

    def stream(self, client=None, shown=None, fields=""):
        s = self.arrive(client)
        fields += "".join("%s: %s\r\n" % field for field in bearer(shown))
        return s, self.ask(s, "GET /sub/a HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s\r\n" % fields)[0]

    def holds(self, count, client):
        """Exactly so many streams of this client's; what is more is told why."""
        streams = []
        for _ in range(count):
            s, status = self.stream(client)
            self.assertEqual(status, 200)
            streams.append(s)
        self.is_full(client)
        return streams

    def is_full(self, client):
        for _ in range(3):
            before = self.janus.count("refused_address")
            status, answer = self.ask(self.arrive(client))
            self.assertEqual(status, 429)
            self.assertIn(b"Retry-After:", answer)
            self.assertIn(b"max_connections_address", answer)
            wait_until(lambda: self.janus.count("refused_address") == before + 1)


class Connections(QuotaTest):
    def test_address(self):
        self.limited("max_connections_address=5")
        streams = self.holds(5, "203.0.113.9")
        self.holds(5, "203.0.113.10")
        six = self.holds(5, "2001:db8::1")
        self.is_full("2001:db8::2")         # of the same network
        self.assertEqual(self.stream("2001:db8:0:1::2")[1], 200)
        # the proxy's own are not limited, nor are those of who runs the server
        self.assertEqual([self.stream()[1] for _ in range(8)], 8 * [200])
        # flash sockets count, too
        flash = self.arrive("203.0.113.9", 2)
        self.assertIn(b"max_connections_address", flash.recv(4096))
        streams.pop().close()
        wait_until(lambda: self.stream("203.0.113.9")[1] == 200)
        self.is_full("203.0.113.9")
        self.assertIn("203.0.113.9 is refused", self.janus.log())
        # over deaths, and a reload
        for slot in (0, 1, 0):
            self.janus.kill_worker(slot)
            self.is_full("203.0.113.10")
            self.is_full("2001:db8::3")
        self.assertEqual(self.janus.reload()[0], 0)
        self.is_full("203.0.113.10")
        six.pop().close()
        wait_until(lambda: self.stream("2001:db8::77")[1] == 200)
        self.is_full("2001:db8::1")

    def test_reload_changes_it(self):
        base = "session_linger = 0\nworkers = 2\ntrusted_proxies = 127.0.0.1\nanonymous = all\nlisten = http://127.0.0.1:%d proxy\n"
        from janus_test import free_port
        base %= free_port()
        self._janus = self.server(config=base)
        for _ in range(4):
            self.assertEqual(self.stream("203.0.113.9")[1], 200)
        self.janus.configure(base + "max_connections_address = 6\n")
        self.assertEqual(self.janus.reload()[0], 0)
        self.holds(2, "203.0.113.9")

    def test_new_ones(self):
        self.limited("connect_rate_address=10")
        began = time.monotonic()
        statuses = [self.ask(self.arrive("203.0.113.9"))[0] for _ in range(30)]
        took = time.monotonic() - began
        taken = statuses.count(200)
        self.assertGreaterEqual(taken, 10)
        self.assertLessEqual(taken, 10 + 10 * took + 1)
        self.assertEqual(taken + statuses.count(429), 30)
        self.assertEqual(self.janus.count("refused_connects"), 30 - taken)
        self.assertEqual(self.ask(self.arrive("203.0.113.10"))[0], 200)
        wait_until(lambda: self.ask(self.arrive("203.0.113.9"))[0] == 200)

    def test_forwarded(self):
        """By whom a request names, once it is a stream."""
        self.limited("max_connections_address=3", listen=("http://127.0.0.1:0", "admin://127.0.0.1:0"))
        answers = []
        for n in range(6):
            s = socket.create_connection(self.janus.address(0))
            self.addCleanup(s.close)
            s.settimeout(20 * SLOWNESS)
            answers.append(self.ask(s, "GET /sub/a HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n")[0])
        self.assertEqual(answers, 3 * [200] + 3 * [429])
        self.janus.kill_worker(0)
        self.assertEqual(self.ask(s, "GET /sub/a HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n")[0], 429)

    def key_file(self):
        import shutil
        import tempfile
        folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        path = os.path.join(folder, "keys")
        with open(path, "w") as file:
            file.write(FILE)
        os.chmod(path, 0o600)
        return path

    def test_sub(self):
        self.limited("max_connections_sub=4", "api_key=" + self.key_file())
        streams = [self.stream(shown="right") for _ in range(4)]
        self.assertEqual([status for _, status in streams], 4 * [200])
        self.assertEqual(self.stream(shown="right")[1], 429)
        self.assertEqual(self.stream(shown="other")[1], 200)
        self.assertEqual(self.janus.count("refused_sub"), 1)
        for slot in (0, 1):
            self.janus.kill_worker(slot)
            self.assertEqual(self.stream(shown="right")[1], 429)
        streams.pop()[0].close()
        wait_until(lambda: self.stream(shown="right")[1] == 200)
        self.assertEqual(self.stream(shown="right")[1], 429)
        self.assertIn('sub="bob"', self.janus.ctl("log", "--once", "--kind", "refuse")[1])

    def test_more_at_once_than_a_second_has(self):
        """Will never be, and so nobody is told to try it again; nor does it use up what comes after it."""
        self.limited("anonymous=all", "publish_rate=3", "subscribe_rate=3", "subscribe_rate_sub=2", "api_key=" + self.key_file())
        s = self.arrive("203.0.113.9")
        array = json.dumps([{"topic": "a", "data": 1}] * 4)
        status, answer = self.ask(s, "POST /pub HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(array), array))
        self.assertEqual(status, 413)
        self.assertIn(b"publish_rate", answer)
        self.assertNotIn(b"Retry-After", answer)
        self.assertEqual(self.ask(s, "POST /pub/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")[0], 200)
        for topics, shown, expected in (("a,b,c,d", None, 413), ("a,b,c", None, 200), ("a,b,c", "right", 413)):
            s = self.arrive("203.0.113.9")
            fields = "".join("%s: %s\r\n" % field for field in bearer(shown))
            status, answer = self.ask(s, "GET /sub/%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (topics, fields))
            self.assertEqual(status, expected, answer)
            self.assertEqual(b"Retry-After" in answer, False)

    def test_rates_of_sub(self):
        self.limited("publish_rate_sub=5", "api_key=" + self.key_file())

        def publish(shown):
            body = "POST /pub/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n%s: %s\r\n\r\nx" % bearer(shown)[0]
            return self.ask(self.arrive(), body)[0]
        began = time.monotonic()
        statuses = [publish("right") for _ in range(20)]
        most = 5 + 5 * (time.monotonic() - began) + 1
        self.assertGreaterEqual(statuses.count(200), 5)
        self.assertLessEqual(statuses.count(200), most)
        self.assertEqual(statuses.count(200) + statuses.count(429), 20)
        self.assertEqual(publish("other"), 200)


class Rates(QuotaTest):
    workers = 1

    def test_of_a_connection(self):
        """Refused, and the connection goes on; of an array all or none."""
        self.limited("publish_rate=4", "subscribe_rate=1")
        s = self.arrive("203.0.113.9")
        publish = "POST /pub/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"
        array = json.dumps([{"topic": "a", "data": 1}] * 4)
        array = "POST /pub HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(array), array)
        self.assertEqual([self.ask(s, array)[0] for _ in range(2)], [200, 429])       # (a second later it would be taken)
        self.assertEqual(self.janus.count("published"), 4)
        wait_until(lambda: self.ask(s, publish)[0] == 200)
        self.assertGreaterEqual(self.janus.count("refused_publishes"), 1)
        self.assertEqual(self.ask(self.arrive("203.0.113.9"), array)[0], 200)
        packets = self.packet()
        for n in range(2):
            packets.op("subscribe", topic="t%d" % n, ref=n)
        codes = {}
        while len(codes) < 2:
            got = packets.message()
            if "ref" in got:
                codes[got["ref"]] = got.get("code", 200)
        self.assertEqual(codes, {0: 200, 1: 429})
        wait_until(lambda: self.janus.count("refused_subscribes") == 1)


if __name__ == "__main__":
    unittest.main()
