"""TLS: handshakes of each kind, tickets, names, clients' certificates, files that are reloaded, and what is no handshake."""
import contextlib
import os
import select
import signal
import socket
import ssl
import statistics
import threading
import time

import janus_test
from flash_clients import Client, Connection
from http_clients import Http
from janus_test import SLOWNESS, free_port, program, raise_nofile, run, wait_until
from servers import USER
from tls_test import TlsTest, client_hello

V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
SUITES = ("ECDHE-{}-AES128-GCM-SHA256", "ECDHE-{}-AES256-GCM-SHA384", "ECDHE-{}-CHACHA20-POLY1305")


class Handshakes(TlsTest):
    def test_everything_is_spoken(self):
        """What is published by one is heard by all, over TLS and without."""
        websocket, flash, packet = self.websocket().subscribe("a"), self.flash().subscribe("a"), self.packet().subscribe("a")
        sse, lines = self.sse("/sub/a"), self.lines("/sub/a")
        stream = self.websocket("/sub/a")
        plain = Http(self.janus, address=self.plain)
        self.addCleanup(plain.close)
        for client in (self.http(), plain):
            self.assertEqual(client.ask("POST", "/pub/a", b"hello").status, 200)
        for _ in range(2):
            for client in (websocket, packet, sse, lines):
                self.assertIn("hello", repr(client.message()))
            self.assertIn(b"hello", flash.frame())
            self.assertIn(b"hello", stream.next_frame()[2])
        self.assertEqual(self.janus.count("tls_handshakes"), 7)
        self.assertEqual(self.janus.count("tls_resumed"), 0)

    def test_versions_and_suites(self):
        self.certificates.make("with-rsa", "localhost", rsa=True)
        self.serve(certificate="%s %s" % (self.certificates.pair("localhost"), self.certificates.pair("with-rsa")), workers=1)
        contexts = [self.context(V1_3)] + [self.context(V1_2, suite.format(kind)) for suite in SUITES for kind in ("ECDSA", "RSA")]
        for context in contexts:
            client = self.http(tls=self.tls(context))
            self.assertEqual(client.ask("GET", "/healthz").status, 200)
            self.assertEqual(client.ask("GET", "/healthz").status, 200)
        for bad in (self.context(V1_2, "AES128-GCM-SHA256"), self.context(V1_2, "ECDHE-ECDSA-AES128-SHA256")):
            with self.assertRaisesRegex(ssl.SSLError, "(?i)handshake[ _]failure"):
                self.http(tls=self.tls(bad))
        self.wait_count(self.janus, "tls_failed_unsupported", 2)
        self.assertEqual(self.janus.count("tls_handshakes"), len(contexts))

    def test_least_version(self):
        self.serve("tls_min_version=1.3")
        self.assertEqual(self.http(tls=self.tls(version=V1_3)).ask("GET", "/healthz").status, 200)
        with self.assertRaisesRegex(ssl.SSLError, "(?i)protocol[ _]version"):
            self.http(tls=self.tls(version=V1_2))

    def test_alpn(self):
        client = self.http(tls=self.tls(alpn=["h2", "http/1.1"]))
        self.assertEqual(client.socket.selected_alpn_protocol(), "http/1.1")
        self.assertEqual(self.http(tls=self.tls(alpn=["http/1.0"])).socket.selected_alpn_protocol(), "http/1.0")
        with self.assertRaises(ssl.SSLError):
            self.http(tls=self.tls(alpn=["h2"]))
        self.assertIsNone(self.flash(tls=self.tls(alpn=["h2"])).socket.selected_alpn_protocol())

    def resume(self, context, session):
        """(was it resumed, the session to go on with)"""
        client = self.http(tls=self.tls(context, session=session))
        self.assertEqual(client.ask("GET", "/healthz").status, 200)
        got = client.socket.session_reused, client.socket.session
        client.close()
        return got

    def test_tickets(self):
        """With all workers, over reloads and kills."""
        for version in (V1_2, V1_3):
            context = self.context(version)
            reused, session = self.resume(context, None)
            self.assertFalse(reused)
            for step in (lambda: None, lambda: self.assertEqual(self.janus.reload()[0], 0), lambda: self.janus.kill_worker(0)):
                step()
                for _ in range(4):
                    reused, session = self.resume(context, session)
                    self.assertTrue(reused)
        self.assertGreaterEqual(self.janus.count("tls_resumed"), 24)

    def test_a_row_of_tickets_ends(self):
        """Each is new, and yet none is good for longer than tls_ticket_lifetime behind the whole handshake."""
        self.serve("tls_ticket_lifetime=2")
        context, began = self.context(V1_3), time.monotonic()
        reused, session = self.resume(context, self.resume(context, None)[1])
        self.assertTrue(reused or time.monotonic() - began > 1.5)
        while reused:
            self.assertLess(time.monotonic() - began, 6 * SLOWNESS)
            time.sleep(0.2)
            reused, session = self.resume(context, session)

    def test_no_tickets(self):
        self.serve("tls_ticket_lifetime=0")
        for version in (V1_2, V1_3):
            context = self.context(version)
            self.assertFalse(self.resume(context, self.resume(context, None)[1])[0])


class Names(TlsTest):
    def subject(self, name):
        with contextlib.closing(Connection(self.janus, address=self.addresses["http"], tls=self.tls(self.anybody, name))) as client:
            return dict(part[0] for part in client.socket.getpeercert()["subject"])["commonName"]

    def test_names_and_reloads(self):
        """Who asks for a name gets its certificate; after a reload others, and connections of before go on."""
        make = self.certificates.make
        make("wild", "*.example.org")
        make("exact", "a.example.org")
        self.anybody = self.context()
        self.anybody.check_hostname = False
        listed = [self.certificates.pair(name) for name in ("localhost", "wild", "exact")]
        self.serve(certificate=" ".join(listed))
        for name, subject in (("localhost", "localhost"), ("b.example.org", "wild"), ("a.example.org", "exact"), ("x.b.example.org", "localhost"),
                              ("elsewhere.example", "localhost"), (None, "localhost")):
            self.assertEqual(self.subject(name), subject)
        websocket = self.websocket().subscribe("a")
        before = websocket.socket.getpeercert()["serialNumber"]

        # another certificate in the same file
        make("localhost")
        self.assertEqual(self.janus.reload()[0], 0)
        after = self.websocket()
        self.assertNotEqual(after.socket.getpeercert()["serialNumber"], before)
        after.action("publish", topic="a", data="still there")
        self.assertEqual(websocket.message()["data"], "still there")

        # files that are not good: the old ones stay
        for name, spoil, why in (("wild", lambda path: open(path, "w").close(), "there is no certificate in it"),
                                 ("exact", lambda path: make("exact", "a.example.org", expired=True), "has expired on"),
                                 ("localhost", os.unlink, "No such file")):
            path = self.certificates.path(name + ".pem")
            with open(path) as f, open(self.certificates.path(name + ".key")) as k:
                good = f.read(), k.read()
            spoil(path)
            status, _, err = self.janus.reload()
            self.assertEqual(status, 1)
            self.assertIn(path, err)
            self.assertIn(why, err)
            self.assertEqual(self.subject("b.example.org"), "wild")
            websocket.action("publish", topic="a", data="still " + name)
            self.assertEqual(websocket.message()["data"], "still " + name)
            for text, at in zip(good, (path, self.certificates.path(name + ".key"))):
                with open(at, "w") as f:
                    f.write(text)
        self.assertEqual(self.janus.reload()[0], 0)

    def test_start_is_refused(self):
        make = self.certificates.make
        make("late", expired=True)
        make("one")
        make("two")
        for pair, why in ((self.certificates.pair("late"), "late.pem: the certificate has expired on"),
                          (self.certificates.pair("one", "two"), "two.key: it is not the key of the certificate in "),
                          ("/nowhere/x.pem /nowhere/x.key", "/nowhere/x.pem: No such file")):
            options = ("-c", os.devnull, "-o", "listen=https://127.0.0.1:0", "-o", "tls_certificate=" + pair, "-o", "user=" + USER,
                       "-o", "runtime_dir=" + self.certificates.path("run"))
            for more in ((), ("-t",)):
                status, _, err = run(program("janus"), *more, *options)
                self.assertEqual(status, 1, err)
                self.assertIn(why, err)

    def test_an_address_becomes_one_with_tls(self):
        """By a reload; connections that came before stay what they are."""
        address = "127.0.0.1", free_port()
        janus = self.server(config="workers = 1\nlisten = http://%s:%d\n" % address)
        before = Http(janus, address=address)
        self.addCleanup(before.close)
        self.assertEqual(before.ask("GET", "/healthz").status, 200)
        janus.configure("workers = 1\nlisten = https://%s:%d\n" % address)
        self.assertIn("takes a certificate", janus.reload()[2])
        janus.configure("workers = 1\nlisten = https://%s:%d\ntls_certificate = %s\n" % (*address, self.certificates.pair("localhost")))
        self.assertEqual(janus.reload()[0], 0)
        for tls, status in ((self.tls(), 200), (None, 400)):
            client = Http(janus, address=address, tls=tls)
            self.assertEqual(client.ask("GET", "/healthz").status, status)
            client.close()
        self.assertEqual(before.ask("GET", "/healthz").status, 200)

    def test_clients_certificates(self):
        self.certificates.make("bob")
        ca = self.certificates.path("ca.pem")
        self.serve("tls_client_ca=" + ca)
        self.assertEqual(self.http(tls=self.tls(certificate="bob")).ask("GET", "/healthz").status, 200)
        for version in (V1_2, V1_3):
            with self.assertRaises((OSError, AssertionError)):     # (in 1.3 the client learns of it behind its own Finished)
                self.http(tls=self.tls(version=version)).ask("GET", "/healthz")
        self.wait_count(self.janus, "tls_failed_certificate", 2)

    def test_a_clients_certificate_expires(self):
        """A ticket does not let in who could not have a whole handshake any more."""
        self.serve("tls_client_ca=" + self.certificates.path("ca.pem"))
        end = self.certificates.make_until("bob", 2 + 2 * SLOWNESS)
        began, session, resumed = time.monotonic(), None, 0
        context = self.context(V1_3)
        context.load_cert_chain(*self.certificates.pair("bob").split())
        with self.assertRaises((OSError, AssertionError)):
            while time.monotonic() - began < 20 * SLOWNESS:
                client = self.http(tls=self.tls(context, session=session))
                self.assertEqual(client.ask("GET", "/healthz").status, 200)
                resumed, session = resumed + client.socket.session_reused, client.socket.session
                time.sleep(0.2)
        self.assertGreater(resumed, 0)
        self.assertGreaterEqual(time.time(), end)
        self.wait_count(self.janus, "tls_failed_certificate", 1)


class Limits(TlsTest):
    workers = 1

    def plain_connection(self, protocol="http"):
        client = Connection(self.janus, address=self.addresses[protocol])
        self.addCleanup(client.close)
        return client

    def under_way(self, n):
        wait_until(lambda: self.janus.stats()["gauges"]["tls_handshakes_under_way"] == n, what="%d handshakes under way" % n)

    @contextlib.contextmanager
    def paused(self, worker):
        self.janus.kill(worker, "worker", signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(worker, signal.SIGCONT)

    def test_time(self):
        """Who says nothing, and who stops in the middle, has so long and no longer."""
        self.serve("tls_handshake_timeout=1")
        silent, slow = self.plain_connection(), self.plain_connection()
        slow.send(b"\x16\x03\x01\0\x40\x01")
        for client in (silent, slow):
            with contextlib.suppress(janus_test.Closed, ConnectionResetError):
                client.expect_close()
        self.wait_count(self.janus, "tls_failed_late", 2)
        self.under_way(0)

    def begun(self):
        """It was answered, and says no more."""
        client = self.plain_connection()
        client.send(client_hello())
        client.until(lambda: True if client.buffer else None)
        return client

    def test_number(self):
        """Who comes when enough are under way waits, until one of them has ended, or has been silent for a second; others don't wait."""
        self.serve("tls_handshakes=2", "tls_handshake_timeout=60")
        began = time.monotonic()
        first, second = self.begun(), self.begun()
        got = []
        waiter = threading.Thread(target=lambda: got.append(self.http().ask("GET", "/healthz").status))
        waiter.start()
        plain = Http(self.janus, address=self.plain)
        self.addCleanup(plain.close)
        self.assertEqual(plain.ask("GET", "/healthz").status, 200)
        waiter.join(10 * SLOWNESS)
        self.assertEqual(got, [200])
        self.assertGreater(time.monotonic() - began, 0.9)
        with contextlib.suppress(ConnectionResetError):
            first.rest()
        self.under_way(1)
        second.close()
        self.under_way(0)
        self.assertEqual([self.janus.count("tls_failed_" + why) for why in ("dropped", "closed", "late")], [1, 1, 0])

    def test_a_crowd_that_says_nothing(self):
        """Thousands who are silent, or have said a part of their first record, keep nobody waiting; those who say the rest are served."""
        raise_nofile(5000)
        self.serve("tls_handshakes=4", "tls_handshake_timeout=60")
        hello, crowd = client_hello(), []
        for n in range(2000):
            client = socket.create_connection(self.addresses["http"])
            self.addCleanup(client.close)
            client.send(hello[:n % len(hello)])
            crowd.append(client)
        began = time.monotonic()
        for n in range(10):
            self.assertEqual(self.http().ask("GET", "/healthz").status, 200)
            for client in crowd[n * 20:n * 20 + 20]:
                client.send(b"\0")
        self.assertLess(time.monotonic() - began, 5 * SLOWNESS)     # (each of them has 60 s)
        self.assertEqual(self.tls()(crowd[-(2000 % len(hello))]).version(), "TLSv1.3")
        self.assertEqual(self.janus.count("tls_failed_dropped"), 0)

    def test_the_oldest_who_say_nothing_make_room(self):
        """Where there are no descriptors for all, for whoever comes."""
        self.serve(nofile=(1024, 1024))
        room = self.janus.status()["connections_max"]
        crowd = []
        for _ in range(room + 50):
            crowd.append(socket.create_connection(self.addresses["http"]))
            self.addCleanup(crowd[-1].close)
        self.wait_count(self.janus, "tls_failed_dropped", 50)
        plain = Http(self.janus, address=self.plain)
        self.addCleanup(plain.close)
        self.assertEqual(plain.ask("GET", "/healthz").status, 200)
        self.assertEqual(self.http().ask("GET", "/healthz").status, 200)
        self.assertEqual(self.tls()(crowd[-1]).version(), "TLSv1.3")
        self.wait_count(self.janus, "tls_failed_dropped", 52)
        for client in crowd[:52]:
            client.settimeout(20 * SLOWNESS)
            self.assertEqual(client.recv(1), b"")
        self.assertEqual(self.janus.count("refused"), 0)

    def crowd(self, count):
        """Connections, each with a hello that is to be sent."""
        janus_test.raise_nofile(count + 200)
        clients, poll = [], select.poll()
        for _ in range(count):
            clients.append(self.enterContext(socket.create_connection(self.addresses["https"], 30 * SLOWNESS)))
            poll.register(clients[-1], select.POLLIN)
        return clients, poll, client_hello()

    def test_turn(self):
        """Whose turn has not come is not late."""
        self.serve("tls_handshake_timeout=1")
        worker = self.janus.workers()[0]
        with self.paused(worker):
            crowd, poll, hello = self.crowd(60)
            for client in crowd:
                client.sendall(hello)
        poll.poll(10000 * SLOWNESS)
        with self.paused(worker):       # in the middle of them
            time.sleep(1.2)
        self.assertEqual([client.recv(1) for client in crowd], [b"\x16"] * len(crowd))

    def test_storm(self):
        """Hundreds at one moment: live messages go out in between, and wait for few of them."""
        reader, publisher = self.websocket().subscribe("live"), self.http()
        # (Without a limit one message waits for nearly all of them, each time. With it, more than a few were answered where this test itself has had to wait.)
        self.assertTrue(any(self.longest_wait(reader, publisher) < 100 for _ in range(3)))

    def longest_wait(self, reader, publisher):
        """How many of 400 who come at one moment were answered while one live message was under way."""
        crowd, poll, hello = self.crowd(400)
        with self.paused(self.janus.workers()[0]):
            for client in crowd:
                client.sendall(hello)
        answered, shares = 0, []
        while answered < len(crowd):
            self.assertEqual(publisher.ask("POST", "/pub/live", b"now").status, 200)
            self.assertEqual(reader.message()["data"], "now")
            now = len(poll.poll(0))
            answered, shares = now, shares + [now - answered]
        for client in crowd:
            client.close()
        return max(shares)

    def test_stop_and_death(self):
        """Handshakes end with their worker; one that has not begun is begun by the next."""
        fresh, begun, part = self.plain_connection(), self.begun(), self.plain_connection()
        hello = client_hello()
        part.send(hello[:100])
        self.under_way(1)
        self.janus.kill_worker()
        with contextlib.suppress(janus_test.Closed, ConnectionResetError):
            begun.rest()
        self.under_way(0)
        part.send(hello[100:])
        part.until(lambda: True if part.buffer else None)
        fresh.socket = self.tls()(fresh.socket)
        fresh.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        fresh.until(lambda: True if b'{"ok":true}' in fresh.buffer else None)
        last = self.plain_connection()
        self.janus.stop()
        with contextlib.suppress(ConnectionResetError):
            last.expect_close()

    def test_full(self):
        """A server without room says so within TLS."""
        self.serve("max_connections=1")
        self.websocket()
        answer = self.http().answer()
        self.assertEqual(answer.status, 503)
        self.assertIn("full", answer.json()["error"])
        self.wait_count(self.janus, "refused", 1)


class Strangers(TlsTest):
    workers = 1

    def test_no_tls(self):
        """What speaks no TLS is told so in its own words."""
        http = Http(self.janus, address=self.addresses["http"])
        answer = http.ask("GET", "/")
        self.assertEqual(answer.status, 400)
        self.assertIn("https://", answer.json()["error"])
        flash = Client(self.janus, address=self.addresses["flash"], greeting=False)
        flash.send(b'<register data="a" />\0')
        self.assertIn(b"speaks TLS", flash.frame())
        for client in (http, flash):
            client.expect_close()
            client.close()
        noise = Connection(self.janus, address=self.addresses["packet"])
        noise.send(bytes(range(200, 255)))
        noise.expect_close()
        noise.close()
        self.wait_count(self.janus, "tls_failed_stranger", 3)

    def test_tls_where_none_is(self):
        client = Connection(self.janus, address=self.plain)
        self.addCleanup(client.close)
        with self.assertRaises(ssl.SSLError):
            self.tls()(client.socket)
        self.wait_count(self.janus, "bad_http", 1)


class Storm(TlsTest):
    def test_live_delivery_goes_on(self):
        """Clients come by the dozen while messages go out: each message is there in time."""
        subscribers = [self.websocket().subscribe("a") for _ in range(4)]
        publisher = self.websocket()
        ended, made = threading.Event(), []

        def deliver():
            times = []
            for i in range(60):
                began = time.monotonic()
                publisher.action("publish", topic="a", data=str(i))
                for client in subscribers:
                    self.assertEqual(client.message()["data"], str(i))
                times.append(time.monotonic() - began)
            return times
        quiet = statistics.median(deliver())

        def come():
            context = self.context()
            while not ended.is_set():
                with contextlib.suppress(OSError, AssertionError, janus_test.Closed):
                    client = Connection(self.janus, address=self.addresses["http"], tls=self.tls(context))
                    made.append(1)
                    client.close()

        threads = [threading.Thread(target=come) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            times = deliver()
        finally:
            ended.set()
            for thread in threads:
                thread.join(20 * SLOWNESS)
        self.assertGreater(len(made), 20)
        self.assertLess(statistics.median(times), max(0.1, 10 * quiet) * SLOWNESS, sorted(times)[-5:])      # (on a machine that is busy with other things it takes long without them)


if __name__ == "__main__":
    janus_test.unittest.main()
