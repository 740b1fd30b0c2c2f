"""Who a client is by its certificate (tls_client_rights): over each transport, beside tokens, and over what a connection lives through."""
import json
import os
import ssl
import time
import unittest

from janus_test import BUILD, SLOWNESS, wait_until
from programs import OTHER_BUILD, Program
from test_rights import ALLOWED, NO_RIGHT, NO_TOKEN, SECRET, RightsTest, caps, field, token
from tls_test import TlsTest
from web_clients import WebSocket

KINDS = "ws", "packet", "flash"
OWN = dict(sub="bob", **caps("sub", "pub", channels=["other"]))


class CertifiedTest(TlsTest, RightsTest):
    workers = 1

    def setUp(self):
        super().setUp()
        for name in ("bob", "ann"):
            self.certificates.make(name)
        with open(self.certificates.path("secret"), "wb") as file:
            file.write(SECRET)

    def guard(self, *options, rights="subscribe:news publish:news", **more):
        self.serve("tls_client_ca=%s optional" % self.certificates.path("ca.pem"), "tls_client_rights=" + rights, *options, **more)

    def guard_tokens(self, *options, **more):
        self.guard("token_keys=" + self.certificates.path("secret"), *options, **more)

    def of(self, name, kind):
        """A client with this certificate, None: without."""
        tls = self.tls(certificate=name)
        client = self.connect(WebSocket, "http", tls=tls).upgrade("/ws") if kind == "ws" else getattr(self, kind)(tls=tls)
        client.kind = kind
        return client

    def may(self, client, topic="news"):
        return self.talk(client, "subscribe", **{"data" if client.kind == "flash" else "topic": topic})

    def login(self, client, user):
        return self.talk(client, "login", **{"data" if client.kind == "flash" else "user": user})

    def auth(self, client, **claims):
        return self.talk(client, "auth", token=token(**claims))

    def assert_bob(self, client):
        self.assertEqual([self.login(client, user) for user in ("bob", "ann")], [ALLOWED, NO_RIGHT])


class Certified(CertifiedTest):
    def test_each_transport(self):
        self.guard("publish_from=on")
        reader = self.of("ann", "ws")
        self.assertEqual(self.may(reader), ALLOWED)
        for kind in KINDS:
            for name, wanted in ((None, NO_TOKEN), ("bob", ALLOWED)):
                with self.subTest(kind=kind, name=name):
                    client = self.of(name, kind)
                    self.assertEqual(self.may(client), wanted)
                    self.assertEqual(self.may(client, "other"), wanted if wanted == NO_TOKEN else NO_RIGHT)
                    self.assertEqual(self.login(client, "bob"), wanted)
                    self.assertEqual(self.login(client, "ann"), wanted if wanted == NO_TOKEN else NO_RIGHT)
                    if name:
                        (client.op if kind == "packet" else client.action)("publish", topic="news", data=kind)
                        got = reader.message()
                        self.assertEqual((got["from"], got["data"]), ("bob", kind))
        client = self.http(tls=self.tls(certificate="bob"))
        for method, path, wanted in (("GET", "/inbox/ann", 403), ("POST", "/pub/other", 403), ("GET", "/sub/other", 403), ("POST", "/pub/news", 200), ("POST", "/send/bob", 403)):
            self.assertEqual(client.ask(method, path, b"http" if method == "POST" else None).status, wanted, path)
        self.assertEqual(reader.message()["from"], "bob")
        for path in ("/inbox/bob", "/sub/news"):
            for name, status in (("bob", 200), (None, 401)):
                self.assertEqual(self.http(tls=self.tls(certificate=name)).ask("GET", path).status, status, path)
        listed = json.loads(self.janus.ctl("clients", "--user", "bob", "--json")[1])["clients"]
        self.assertEqual(len(listed), 4)        # (three who are logged in, and a stream)

    def test_resumed(self):
        """A TLS session that is gone on with has the certificate of its beginning."""
        self.guard()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context(version=version, certificate="bob")
            first = self.http(tls=self.tls(context))
            self.assertEqual(first.ask("POST", "/pub/news", b"x").status, 200)
            again = self.http(tls=self.tls(context, session=first.socket.session))
            self.assertTrue(again.socket.session_reused)
            self.assertEqual([again.ask("POST", "/pub/" + topic, b"x").status for topic in ("news", "other")], [200, 403])

    def test_a_page_of_another_site(self):
        """It has a browser use the certificate as it has it send cookies."""
        self.guard("origins=https://app.example")
        client = self.http(tls=self.tls(certificate="bob"))
        for origin, status in ((None, 200), ("https://app.example", 200), ("https://evil.example", 401)):
            self.assertEqual(client.ask("GET", "/poll/news?wait=0", fields=[("Origin", origin)] if origin else []).status, status, origin)

    def test_without_the_setting(self):
        self.serve("tls_client_ca=%s optional" % self.certificates.path("ca.pem"), "anonymous=subscribe:public")
        client = self.of("bob", "ws")
        self.assertEqual((self.login(client, "bob"), self.may(client)), (NO_TOKEN, NO_TOKEN))

    def test_admin(self):
        """There everything may be done, as ever."""
        self.guard(listen=("flash+tls://127.0.0.1:0", "https://127.0.0.1:0", "packet+tls://127.0.0.1:0", "admin+tls://127.0.0.1:0"))
        self._addresses["http"] = self._addresses["admin"]
        self.assertEqual(self.http(tls=self.tls(certificate="bob")).ask("POST", "/pub/other", b"x").status, 200)

    def test_limit(self):
        self.guard("max_connections_sub=2", workers=2)
        kept = [self.of("bob", "packet"), self.of("bob", "ws")]
        refused = self.flash(tls=self.tls(certificate="bob"), greeting=False)
        refused.expect_error("max_connections_sub")
        self.assertEqual(self.http(tls=self.tls(certificate="bob")).ask("GET", "/healthz").status, 429)
        for slot in (0, 1):
            self.janus.kill_worker(slot)
        self.flash(tls=self.tls(certificate="bob"), greeting=False).expect_error("max_connections_sub")
        self.of("ann", "flash")
        kept.pop().close()
        wait_until(lambda: self.http(tls=self.tls(certificate="bob")).ask("GET", "/healthz").status == 200)
        self.assertGreaterEqual(self.janus.count("refused_sub"), 3)


class Tokens(CertifiedTest):
    """What is shown besides: only what is of the same user, and then the certificate's rights are his still."""

    def test_beside_it(self):
        self.guard_tokens()
        for kind in KINDS:
            with self.subTest(kind=kind):
                client = self.of("bob", kind)
                for claims in (dict(OWN, sub="ann"), dict(caps("sub", channels=["other"]))):
                    self.assertEqual(self.auth(client, **claims), NO_TOKEN)
                    self.assertEqual((self.may(client, "other"), self.may(client)), (NO_RIGHT, ALLOWED))
                self.assertEqual(self.auth(client, **OWN), ALLOWED)
                self.assertEqual((self.may(client, "other"), self.may(client)), (ALLOWED, ALLOWED))
                # it is still bound to that user
                self.assertEqual(self.auth(client, **dict(OWN, sub="ann")), NO_TOKEN)
                self.assert_bob(client)
                self.janus.kill_worker()
                self.assertEqual(self.auth(client, **dict(OWN, sub="ann")), NO_TOKEN)
                self.assertEqual((self.may(client, "other"), self.may(client)), (ALLOWED, ALLOWED))
        client = self.http(tls=self.tls(certificate="bob"))
        for claims, wanted in ((OWN, [200, 200]), (dict(OWN, sub="ann"), [401, 401]), (None, [403, 200])):
            self.assertEqual([client.ask("POST", "/pub/" + topic, b"x", field(token(**claims)) if claims else []).status for topic in ("other", "news")], wanted)

    def test_api_keys(self):
        path = self.key_file("a-key-of-bob-0123456789 * bob\na-key-of-nobody-0123456789\n")
        self.guard("api_key=" + path)
        client = self.http(tls=self.tls(certificate="bob"))
        self.assertEqual([client.ask("POST", "/pub/other", b"x", field(key)).status for key in ("a-key-of-bob-0123456789", "a-key-of-nobody-0123456789")], [200, 401])

    def test_a_token_that_runs_out(self):
        """Ends its connection, also one with a certificate; without that, the certificate goes on."""
        self.guard_tokens("heartbeat=1s")
        client = self.of("bob", "packet")
        self.assertEqual(self.auth(client, **dict(OWN, exp=int(time.time()) - 60 + round(1 + 2 * SLOWNESS))), ALLOWED)
        while client.message(15).get("code") != NO_TOKEN:
            pass
        client.expect_close()


class GoesOn(CertifiedTest):
    def check(self, clients):
        for client in clients:
            if client.kind == "http":
                self.assertEqual([client.ask("POST", "/pub/" + topic, b"x").status for topic in ("news", "other")], [200, 403])
            else:
                self.assertEqual([self.may(client, topic) for topic in ("news", "other")], [ALLOWED, NO_RIGHT])
                self.assert_bob(client)

    def some(self):
        http = self.http(tls=self.tls(certificate="bob"))
        http.kind = "http"
        return [self.of("bob", kind) for kind in KINDS] + [http]

    def test_deaths_and_reloads(self):
        self.guard()
        clients = self.some()
        for step in (lambda: None, self.janus.kill_worker, self.janus.reload, self.janus.kill_worker):
            step()
            self.check(clients)

    def test_another_layout(self):
        program = Program(BUILD, os.path.join(self.janus_folder(), "bin"))
        self.guard(build=program.folder)
        clients = self.some()
        for build in (OTHER_BUILD, BUILD):
            program.put(build)
            self.janus.reload()
            self.check(clients)

    def test_move(self):
        """To the worker that has the session."""
        self.guard(workers=2)
        for _ in range(6):
            lost, again = self.of("bob", "ws"), self.of("bob", "packet")
            self.assertEqual(self.may(lost), ALLOWED)
            lost.reset()
            self.assertEqual(self.talk(again, "attach", token=lost.greeting["token"]), ALLOWED)
            self.check([again])
            again.close()

    def test_resumed_without(self):
        """Who could be without a certificate, and has gone on with a TLS session of that time, can't be any more when all must have one."""
        base = "workers = 1\nlisten = https://127.0.0.1:0\ntls_certificate = %s\ntls_client_ca = %s" % (self.certificates.pair("localhost"), self.certificates.path("ca.pem"))
        self._janus = self.server(config=base + " optional\n")
        self._addresses = {"http": self._janus.address(0)}
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self._janus.configure(base + " optional\n")
            self._janus.reload()
            context = self.context(version=version)
            first = self.http(tls=self.tls(context))
            self.assertEqual(first.ask("GET", "/healthz").status, 200)
            again = self.http(tls=self.tls(context, session=first.socket.session))
            self.assertEqual((again.ask("GET", "/healthz").status, again.socket.session_reused), (200, True))
            self._janus.configure(base + "\n")
            self._janus.reload()
            with self.assertRaises((OSError, AssertionError)):
                self.http(tls=self.tls(context, session=first.socket.session)).ask("GET", "/healthz")

    def test_the_setting_changes(self):
        """What is gone of it is gone for those who are there, too, but for their own inbox."""
        base = "workers = 1\nlisten = packet+tls://127.0.0.1:0\ntls_certificate = %s\ntls_client_ca = %s\n" % (self.certificates.pair("localhost"), self.certificates.path("ca.pem"))
        self._janus = self.server(config=base + "tls_client_rights = subscribe:news\n")
        self._addresses = {"packet": self._janus.address(0)}
        client = self.of("bob", "packet")
        self.assertEqual([self.may(client, topic) for topic in ("news", "other")], [ALLOWED, NO_RIGHT])
        self.talk(client, "unsubscribe", topic="news")
        self._janus.configure(base + "tls_client_rights = subscribe:other\n")
        self._janus.reload()
        self.assertEqual([self.may(client, topic) for topic in ("news", "other")], [NO_RIGHT, ALLOWED])
        self.assert_bob(client)


if __name__ == "__main__":
    unittest.main()
