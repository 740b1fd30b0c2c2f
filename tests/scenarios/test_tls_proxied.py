"""TLS behind proxies: the PROXY protocol's header comes first, in the clear, and not a byte behind it is lost, however both are cut; and what an address may have counts before any cryptography."""
import contextlib
import socket
import ssl
import unittest

from janus_test import wait_until
from test_proxied import LOCAL, ProxiedTest, v1, v2
from tls_test import Certificates, Crafted, client_hello, whole

LISTEN = ("https://127.0.0.1:0 proxy", "flash+tls://127.0.0.1:0 proxy")
DIRECT = 2         # the place of an address without a proxy, and who comes there is none
REQUEST = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
ACCESS_DENIED = "(?i)access[ _]denied"
ALERT, SERVER_HELLO = b"\x15", b"\x16"       # what they begin with


class TlsProxied(ProxiedTest):
    def setUp(self):
        super().setUp()
        self.certificates = Certificates()
        self.addCleanup(self.certificates.remove)
        self.certificate = self.certificates.make("localhost")
        self.context = self.certificates.context()

    def serve(self, *options, listen=LISTEN, **more):
        return super().serve("tls_certificate=" + self.certificate, *options, listen=listen, **more)

    def client(self, header=b"", pieces=whole, place=0, source=None):
        return Crafted(self.context, self.socket(place, source or (place == DIRECT and ("127.0.0.9", 0)) or None), header, pieces)

    @staticmethod
    def ask(client):
        client.socket.sendall(client.record(REQUEST))
        return client.until(b'"version"')

    def stream(self, header, place=0, fields=""):
        client = self.client(header, place=place)
        client.socket.sendall(client.record(b"GET /sub/a HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"))
        client.until(b"HTTP/1.1 200")
        return client

    def publish_and_get(self, streams):
        self.assertEqual(self.janus.ctl("publish", "a", "hello")[0], 0)
        for client in streams:
            client.until(b"hello")

    def first_byte(self, *pieces):
        """Of the answer to these pieces."""
        with contextlib.closing(self.socket()) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                s.sendall(piece)
            return s.recv(1)

    @staticmethod
    def ended(s):
        try:
            while s.recv(100):
                pass
        except ConnectionResetError:
            pass

    def counts(self, *names):
        return [self.janus.count(name) for name in names]


class Headers(TlsProxied):
    def test_who_it_is(self):
        self.serve()
        streams = [self.stream(v1()), self.stream(v2(("198.51.100.77", 1))), self.stream(v1(("2001:db8::9", 2), 6))]
        named = ["198.51.100.77:1", "203.0.113.9:4711", "[2001:db8::9]:2"]
        self.assertEqual(sorted(self.clients()), named)
        for trouble in (self.janus.kill_worker, self.janus.reload, self.janus.kill_worker):
            trouble()
            self.publish_and_get(streams)
            self.assertEqual(sorted(self.clients()), named)
        for header in (LOCAL, b"PROXY UNKNOWN\r\n"):
            client = self.stream(header)
            self.assertIn("127.0.0.1:%d" % client.socket.getsockname()[1], self.clients())
        self.assertEqual(self.counts("tls_handshakes", "refused_header", "refused_proxy", "bad_input"), [5, 0, 0, 0])

    def test_cut_at_each_byte(self):
        """Header and ClientHello, in two segments or in one, and byte by byte."""
        self.serve()
        hello = client_hello()
        for header in (v1(), v2()):
            for pieces in whole, lambda data: [data[i:i + 1] for i in range(len(data))]:
                self.assertIn(b"200 OK", self.ask(self.client(header, pieces)))
            for at in range(1, len(header) + 7):
                self.assertEqual(self.first_byte((header + hello)[:at], (header + hello)[at:]), SERVER_HELLO)
        self.assertEqual(self.counts("tls_handshakes", "refused_header", "tls_failed_stranger", "tls_failed_bad"), [4, 0, 0, 0])

    def test_what_comes_together_behind_it(self):
        """Records in one segment: data and its end; and more than is looked at at a time."""
        self.serve()
        for header in (v1(), v2()):
            client = self.client(header)
            client.socket.sendall(client.record(REQUEST) + client.end())
            client.until(b'"version"')
            self.assertEqual(client.read(), b"")
            client = self.client(header)
            client.socket.sendall(b"".join(client.record(30 * REQUEST) for _ in range(60)))
            client.until(b'"version"', 30 * 60)
            self.assertIn(b"200 OK", self.ask(client))
        self.assertEqual(self.janus.count("bad_input"), 0)

    def test_wrong(self):
        """What is no header, a ClientHello among that, is closed before any handshake."""
        self.serve()
        hello = client_hello()
        wrong = hello, b"PROXY TCP4 1.2.3.4\r\n" + hello, b"\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x00" + hello, b"PROXY " + 200 * b"x", v1()[:-2] + hello, v1() + v1() + hello
        for data in wrong:
            with self.subTest(data=data[:40]):
                s = self.socket()
                s.sendall(data)
                self.ended(s)
        # (The last has a header, and behind it what is no TLS.)
        self.assertEqual(self.counts("refused_header", "tls_failed_stranger", "tls_handshakes"), [len(wrong) - 1, 1, 0])

    def test_strangers(self):
        """Whom nobody trusts is closed, whatever he says; and a header where none is awaited is no TLS."""
        self.serve(trusted="127.0.0.2", listen=LISTEN + ("https://127.0.0.3:0",))
        for header in (v1(), v2(), b""):
            with self.assertRaises((OSError, ssl.SSLError)):
                self.client(header)
        self.assertEqual(self.counts("refused_proxy", "tls_handshakes"), [3, 0])
        self.assertIn(b"200 OK", self.ask(self.client(v1(), source=("127.0.0.2", 0))))
        for header in (v1(), v2()):
            with self.assertRaises((OSError, ssl.SSLError)):
                self.client(header, place=DIRECT)
        wait_until(lambda: self.janus.count("tls_failed_stranger") == 2)


class Limits(TlsProxied):
    """What an address may have is known before the handshake: who is refused costs none."""

    def refused(self, header=b"", place=0):
        with self.assertRaisesRegex(ssl.SSLError, ACCESS_DENIED):
            self.client(header, place=place)

    def test_connections(self):
        self.serve("max_connections_address=2", listen=LISTEN + ("https://127.0.0.3:0",))
        for header, place in ((v1(), 0), (v2(("203.0.113.10", 1)), 0), (b"", DIRECT)):
            before = self.janus.count("refused_address")
            clients = [self.client(header, place=place) for _ in range(2)]
            for client in clients:
                self.assertIn(b"200 OK", self.ask(client))
            done = self.counts("tls_handshakes")
            for _ in range(3):
                self.refused(header, place)
            self.assertEqual(self.counts("tls_handshakes", "refused_address"), done + [before + 3])
            if place == 0:
                self.janus.kill_worker()        # who is there counts on
                self.refused(header, place)
            clients.pop().socket.close()

            def another(header=header, place=place):
                try:
                    return self.ask(self.client(header, place=place))
                except ssl.SSLError:
                    return None
            wait_until(lambda: another(), what="the place of one who has gone")
        self.assertEqual(sum(self.counts("tls_failed_bad", "tls_failed_stranger", "tls_failed_closed", "tls_failed_late", "tls_failed_alert")), 0)

    def test_a_handshake_that_fails_gives_its_place_back(self):
        self.serve("max_connections_address=1", listen=LISTEN + ("https://127.0.0.3:0",))
        quiet = self.socket(DIRECT, ("127.0.0.9", 0))
        wait_until(lambda: self.is_full(), what="a connection that counts")
        quiet.close()
        wait_until(lambda: not self.is_full(), what="its place")
        noise = self.socket(DIRECT, ("127.0.0.9", 0))
        noise.sendall(b"\x16\x03\x01\0\x05abcde")
        self.ended(noise)
        wait_until(lambda: not self.is_full(), what="its place")

    def is_full(self):
        try:
            client = self.client(place=DIRECT)
        except ssl.SSLError:
            return True
        client.socket.close()
        return False

    def test_new_ones(self):
        self.serve("connect_rate_address=1")
        hello = client_hello()
        heard = [self.first_byte(v1() + hello) for _ in range(12)]
        taken, refused = heard.count(SERVER_HELLO), heard.count(ALERT)
        self.assertGreater(taken, 0)
        self.assertGreater(refused, 0)
        self.assertEqual(taken + refused, 12)
        self.assertEqual(self.counts("refused_connects"), [refused])
        self.assertIn(b"200 OK", self.ask(self.client(v1(("203.0.113.10", 1)))))


if __name__ == "__main__":
    unittest.main()
