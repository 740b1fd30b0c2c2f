"""Clients that nobody here wrote, over TLS: openssl s_client; and, in `make clients` (JANUS_CLIENTS=1), what the clients of test_clients.py and Chromium do
there, and testssl.sh, which looks for what is weak. What is missing then is a failure."""
import base64
import hashlib
import json
import os
import ssl
import unittest

import browser
from client_test import ALL, ClientTest
from janus_test import run, wait_until
from test_clients import Curl, NodeEventSource, NodeWs, PythonWebsockets
from test_clients_chromium import BrowserTest
from tls_test import LISTEN, TlsTest

# What says to libraries whom to trust: curl's, OpenSSL's (Python), node's.
TRUST = ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
WITHIN = {"http": "https", "ws": "wss", "flash": "flash+tls", "packet": "packet+tls"}


class OverTls(TlsTest):
    """Before a ClientTest: its addresses are those with TLS, and its clients trust who has signed the server's certificate."""

    def setUp(self):
        super().setUp()
        for name in TRUST:
            self.addCleanup(lambda name=name, value=os.environ.get(name): os.environ.pop(name) if value is None else os.environ.update({name: value}))
            os.environ[name] = self.certificates.path("ca.pem")

    def serve(self, *options, listen=None, **more):
        within = ["%s://%s" % (WITHIN[scheme], rest) for scheme, rest in (address.split("://") for address in listen or ())]
        super().serve(*options, listen=tuple(within) or LISTEN, **more)

    def url(self, path, scheme="http"):
        return "%s://localhost:%d%s" % (WITHIN[scheme], self.addresses["http"][1], path)


class CurlTls(OverTls, Curl):
    pass


class NodeWsTls(OverTls, NodeWs):
    pass


class NodeEventSourceTls(OverTls, NodeEventSource):
    pass


class PythonWebsocketsTls(OverTls, PythonWebsockets):
    pass


class SClient(OverTls, ClientTest):
    """openssl s_client, which can be told to renew keys."""

    def begin(self, version, *more):
        host, port = self.addresses["http"]
        client = self.beside("openssl", "s_client", "-connect", "%s:%d" % (host, port), "-servername", "localhost", "-verify_return_error", version, *more)
        client.process.stdin.write(b"GET /sub/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.process.stdin.flush()
        self.line_with(client, '"ok":true')
        return client

    def line_with(self, client, text):
        line = client.line()
        while text not in line:
            line = client.line()
        return line

    def hears(self, client, data):
        self.published("/pub/a", data)
        self.line_with(client, '"data":"%s"' % data)

    def test_versions(self):
        for version in ("-tls1_2", "-tls1_3"):
            with self.subTest(version):
                client = self.begin(version, "-quiet")
                self.hears(client, "to" + version)
                self.janus.kill_worker(0)
                self.janus.kill_worker(1)
                self.hears(client, "later to" + version)
                client.kill()
        self.janus.stop()

    def test_keys_are_renewed(self):
        """Its own, and with a request that ours are."""
        client = self.begin("-tls1_3")
        for round, order in enumerate((b"k\n", b"K\n", b"K\n", b"k\n")):
            client.process.stdin.write(order)
            client.process.stdin.flush()
            wait_until(lambda: client.complaint().count("KEYUPDATE") > round, what="s_client's word that it is under way")
            self.hears(client, "message %d" % round)
            self.janus.kill_worker(round % 2)
            self.hears(client, "behind a kill %d" % round)

    def test_end(self):
        """A server that stops says so: what was read is all there is."""
        client = self.begin("-tls1_3", "-quiet")
        self.janus.stop()
        self.assertEqual(client.end()[0], 0, client.complaint())
        self.assertNotIn("unexpected eof", client.complaint())


class ChromiumTls(OverTls, BrowserTest):
    """A browser that knows the certificate by its key."""

    def setUp(self):
        super().setUp()
        self.browser.close()
        self.browser = browser.Browser("--ignore-certificate-errors-spki-list=" + self.key_hash())

    def key_hash(self):
        _, text, _ = run("openssl", "x509", "-in", self.certificates.path("localhost.pem"), "-noout", "-pubkey")
        return base64.b64encode(hashlib.sha256(ssl.PEM_cert_to_DER_cert(text.replace("PUBLIC KEY", "CERTIFICATE"))).digest()).decode()

    def url(self, path, scheme="http"):
        return "%s://%s%s" % (WITHIN[scheme], self.origin, path)        # (no other name is resolved by this browser)

    def test_page(self):
        """/ loads, watches a topic by wss, and nothing in it fails."""
        b = self.browser
        b.open(self.url("/"))
        b.wait("document.readyState === 'complete' && janus.connected")
        self.assertEqual(b.evaluate("location.protocol + isSecureContext"), "https:true")
        wait_until(lambda: self.post("/pub/events", "ready")["subscribers"] == 1, what="the page's subscription")
        for worker in range(self.workers):
            self.janus.kill_worker(worker)
            self.published("/pub/events", "behind kill %d" % worker)
            b.wait("document.body.innerText.includes('behind kill %d')" % worker)
        self.assertEqual([c for c in b.complaints if "favicon" not in c], [])

    def test_event_source_and_websocket(self):
        b = self.browser
        b.open(self.url("/"))
        b.wait("document.readyState === 'complete'")
        b.evaluate(self.script())
        b.evaluate("listen(%s, ['e'])" % json.dumps(self.url("/sub/a")))
        b.wait("seen.events.length === 1 && seen.events[0].open")
        b.evaluate("connect(%s)" % json.dumps(self.url("/sub/a", "ws")))
        b.wait("seen.sockets.length === 2 && seen.sockets[0].open")
        answer = b.evaluate("post(%s, 'application/json', '{\"x\":[1]}')" % json.dumps(self.url("/pub/a?event=e")))
        self.assertEqual((answer["status"], answer["body"]["subscribers"]), (200, 2))
        self.assertEqual(b.wait("seen.events[1]")["id"], answer["body"]["id"])
        self.assertEqual(json.loads(b.wait("seen.sockets[2]")["text"])["data"], {"x": [1]})
        self.published("/pub/a", "y" * 200000)
        self.assertEqual(len(b.wait("seen.events[2]")["data"]), 200000)
        self.assertEqual(len(json.loads(b.wait("seen.sockets[3]")["text"])["data"]), 200000)


class Testssl(OverTls, ClientTest):
    """testssl.sh's look at protocols, ciphers, forward secrecy, the certificate and known weaknesses."""

    limit = 900
    # of the certificate of a test, which is made by an authority without a list of what it has revoked, for days; and of what testssl.sh lacks itself: it hangs up behind its Finished, and
    # now and then has got no ticket by then, which it takes for trouble with the connection (test_tls and SClient resume sessions)
    NOT_OURS = ("engine_problem", "sessionresumption_ticket", "cert_chain_of_trust", "cert_revocation", "cert_expirationStatus", "cert_notAfter", "cert_crlDistributionPoints", "OCSP_stapling",
                "DNS_CAArecord", "cert_trust")

    def test_findings(self):
        found = os.path.join(self.certificates.folder, "findings.json")
        host, port = self.addresses["http"]
        status, out, err = run("testssl", "--quiet", "--color", "0", "--warnings", "batch", "--add-ca", self.certificates.path("ca.pem"), "--openssl", "/usr/bin/openssl",
                               "--nodns", "none", "--ip", host, "-p", "-s", "-f", "-S", "-U", "--jsonfile", found, "localhost:%d" % port,
                               seconds=self.limit - 60)
        with open(found) as f:
            findings = {one["id"]: one for one in json.load(f)}
        self.assertTrue({"TLS1_3", "cert_chain_of_trust", "heartbleed"} <= set(findings), (status, out, err))
        self.assertEqual([one for one in findings.values() if one["severity"] not in ("LOW", "INFO", "OK") and
                          not one["id"].startswith(self.NOT_OURS)], [])


def load_tests(loader, tests, pattern):
    cases = (SClient, CurlTls, NodeWsTls, NodeEventSourceTls, PythonWebsocketsTls, ChromiumTls, Testssl) if ALL else (SClient,)
    return unittest.TestSuite(map(loader.loadTestsFromTestCase, cases))


if __name__ == "__main__":
    unittest.main()
