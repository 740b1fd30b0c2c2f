"""Connections with TLS outlive whoever serves them: clients that know nothing of Janus stay connected and get every message once, while workers are killed and the
server is reloaded and replaced, by a program with another layout of shared memory, too."""
import hashlib
import hmac
import json
import os
import re
import ssl
import subprocess
import tempfile
import unittest

import janus_test
from janus_test import _ends_with_parent, wait_until
from programs import OTHER_BUILD, Program
from servers import parse_url
from tls_test import HERE, LISTEN, TlsTest
from witnesses import Witnesses

FIRST_TEXT, TEXTS = 10, 20      # bytes of a message's text, each half as long again as the last one, up to a record's and more; and then from the beginning


class Beside:
    """Another's client, whose output tells the messages it got."""

    def __init__(self, *command):
        self.remarks = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.remarks, bufsize=0, preexec_fn=_ends_with_parent())
        os.set_blocking(self.process.stdout.fileno(), False)
        self.output = b""

    def write(self, data):
        self.process.stdin.write(data)

    def read(self):
        self.output += self.process.stdout.read() or b""
        return self.output

    def remarked(self):
        self.remarks.seek(0)
        return self.remarks.read()

    def numbers(self):
        """Of the messages that came, each of which is whole."""
        found = [(int(n), text) for n, text in re.findall(rb'"n": ?(\d+), ?"text": ?"(x*)"', self.read())]
        for n, text in found:
            if len(text) != length(n):
                raise AssertionError("message %d is torn: %d bytes, not %d" % (n, len(text), length(n)))
        return [n for n, _ in found]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.remarks.close()


def length(n):
    return int(FIRST_TEXT * 1.5 ** (n % TEXTS))


class GoesOn(TlsTest):
    def beside(self, *command):
        client = Beside(*command)
        self.addCleanup(client.close)
        return client

    def server(self, *options, **more):
        """Its program can be replaced."""
        server = super().server(*options, start=False, **more)
        self.program = Program(janus_test.BUILD, os.path.join(server.folder, "bin"))
        server.build = self.program.folder
        return server.start()

    def upgrade(self, build):
        self.program.put(build)
        self.assertEqual(self.janus.reload()[0], 0)

    def test_others_clients(self):
        """curl's stream, s_client's of each version that change keys now and then, and Python's WebSocket."""
        ca = self.certificates.path("ca.pem")
        https, flash = ("%s:%d" % self.addresses[protocol] for protocol in ("https", "flash"))
        curl = self.beside("curl", "-sN", "--cacert", ca, "--connect-to", "::" + https, "-H", "Accept: text/event-stream", "https://localhost/sub/a")
        talkers = [self.beside("openssl", "s_client", "-connect", flash, "-servername", "localhost", "-CAfile", ca, "-verify_return_error", version)
                   for version in ("-tls1_2", "-tls1_3")]
        for client in talkers:
            wait_until(lambda c=client: b"timestamp" in c.read(), 10, "a greeting")
            client.write(b'{"action":"subscribe","data":"a"}\0')
            wait_until(lambda c=client: b"ACK" in c.read(), 10, "an answer")
        websocket = self.websocket().subscribe("a")
        everybody = [curl] + talkers
        wait_until(lambda: self.janus.subscriptions() == len(everybody) + 1, 10, "all subscribers")
        status, shown, _ = self.janus.ctl("clients", "--topic", "a")
        self.assertEqual((status, shown.count("sse+tls"), shown.count("flash+tls"), shown.count("websocket+tls")), (0, 1, 2, 1), shown)
        self.assertEqual([c["tls"] for c in json.loads(self.janus.ctl("clients", "--json", "--topic", "a")[1])["clients"]], [True] * 4)

        count, janus = 0, self.janus
        for trouble in (lambda: janus.kill_worker(0), lambda: janus.kill_worker(1), lambda: self.assertEqual(janus.reload()[0], 0),
                        lambda: self.upgrade(OTHER_BUILD), lambda: janus.kill_worker(0), lambda: janus.kill_worker(1), lambda: self.upgrade(janus_test.BUILD),
                        lambda: janus.kill_worker(0)):
            talkers[1].write(b"K\n")        # s_client's: other keys, and the server's are to be others, too
            for _ in range(8):
                self.published("/pub/a", {"n": count, "text": "x" * length(count)})
                self.assertEqual(websocket.message()["data"], {"n": count, "text": "x" * length(count)})
                count += 1
            trouble()
        for client in everybody:
            wait_until(lambda c=client: len(c.numbers()) >= count, 10, "all messages")
            self.assertEqual(client.numbers(), list(range(count)))
            self.assertIsNone(client.process.poll())
        self.assertGreaterEqual(talkers[1].remarked().count(b"KEYUPDATE"), 8)
        self.assertEqual(sum(janus.count(name) for name in ("bad_input", "closed_uncertain", "closed_blamed", "no_buffer")), 0)

    def test_of_all_kinds(self):
        """Readers and publishers of every kind, every second one with TLS, many of them in the middle of something nearly always."""
        self.serve(workers=3, listen=LISTEN + ("flash://" + HERE, "packet://" + HERE))
        janus = self.janus
        witnesses = Witnesses({url.partition("://")[0]: parse_url(url) for url in janus.status()["listen"]}, 0.5, visitors=True, tls=self.certificates.client())
        self.addCleanup(witnesses.close)
        witnesses.start()
        for slot, build in enumerate((OTHER_BUILD, janus_test.BUILD) * 2):
            answered = witnesses.answered()
            janus.kill_worker(slot % 3)
            self.upgrade(build)
            wait_until(lambda: witnesses.answered() > answered + 10, 20, "answers")
        self.assertEqual(witnesses.stop(), [])
        self.assertEqual(sum(janus.count(name) for name in ("bad_input", "closed_uncertain", "closed_blamed", "no_buffer")), 0)


MAPPED_MOST = 1 << 24       # bytes of a mapping that is looked through: the heap and what else is private, and the keys' segment


def expand(secret, label, size):
    """HKDF-Expand-Label of RFC 8446, with an empty context."""
    info = size.to_bytes(2, "big") + bytes([6 + len(label)]) + b"tls13 " + label + b"\0\1"
    return hmac.new(secret, info, hashlib.sha256 if len(secret) == 32 else hashlib.sha384).digest()[:size]


class Wiped(TlsTest):
    options = ("session_linger=0",)
    workers = 1

    def found_in(self, pid, secrets):
        """The names of those that a process has somewhere."""
        found = set()
        with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", buffering=0) as memory:
            for line in maps:
                begin, end = (int(number, 16) for number in line.split()[0].split("-"))
                if end - begin <= MAPPED_MOST and line.split()[1].startswith("rw"):
                    memory.seek(begin)
                    data = memory.read(end - begin)
                    found |= {name for name, secret in secrets.items() if secret in data}
        return found

    def test_of_a_connection_that_has_ended(self):
        """A worker has its keys as long as it lives; afterwards neither these nor what they were made of, wherever that may have been."""
        worker = self.janus.workers()[0]
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context(version)
            context.keylog_filename = self.certificates.path("%s.log" % version.name)
            client = self.http(tls=self.tls(context))
            self.assertEqual(client.ask("GET", "/healthz").status, 200)
            with open(context.keylog_filename) as f:
                secrets = {label: bytes.fromhex(secret) for label, _, secret in (line.split() for line in f if line[0] != "#")}
            for label in [label for label in secrets if "TRAFFIC" in label]:
                secrets[label + ", the key"] = expand(secrets[label], b"key", 16 if len(secrets[label]) == 32 and "128" in client.socket.cipher()[0] else 32)
            try:
                found = self.found_in(worker, secrets)
            except PermissionError:
                self.skipTest("another process's memory can't be read here")
            if version == ssl.TLSVersion.TLSv1_3:
                self.assertLessEqual({"SERVER_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0, the key", "CLIENT_TRAFFIC_SECRET_0"}, found)
            client.close()
            wait_until(lambda: self.janus.connections() == 0, 10, "the connection's end")
            self.assertEqual(self.found_in(worker, secrets), set())


if __name__ == "__main__":
    unittest.main()
