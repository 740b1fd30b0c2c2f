"""Keys of tokens: files that are read again, and janus-jwks, which fetches them."""
import base64
import contextlib
import http.server
import json
import os
import socket
import struct
import subprocess
import threading
import time
import unittest

from janus_test import BUILD, SLOWNESS, wait_until
from processes import readable
from test_rights import RightsTest, field, token

SECRET, OTHER = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"


class Keys(http.server.BaseHTTPRequestHandler):
    """What the server of a JWK set says: self.server.answer, a status and bytes."""

    def do_GET(self):
        self.server.asked += 1
        status, body = self.server.answer
        try:
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *arguments):
        pass


class Ed25519:
    """A pair of keys, by openssl's command."""

    def __init__(self, folder, name):
        self.path = os.path.join(folder, name + ".pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.path], check=True, capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        self.jwk = {"kty": "OKP", "crv": "Ed25519", "kid": name, "use": "sig", "x": base64.urlsafe_b64encode(der[-32:]).rstrip(b"=").decode()}


def janus_jwks(pid):
    try:
        with open("/proc/%d/comm" % pid) as f:
            return f.read() == "janus-jwks\n"
    except OSError:
        return False


def some_keys(n):
    """Nobody has their private halves."""
    return [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": str(i), "x": base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()} for i in range(n)]


class TokensTest(RightsTest):
    def setUp(self):
        super().setUp()
        self.folder = self.janus_folder()

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def keys_server(self, *keys):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
        server.asked = 0
        server.answer = (200, json.dumps({"keys": keys}).encode())
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def made(self, *arguments):
        """What janusctl token makes."""
        status, out, err = self.janus.ctl("token", *arguments)
        self.assertEqual(status, 0, err)
        return out.strip()

    def status_of(self, shown):
        return self.ask("POST", "/pub/news", b"x", field(shown)).status

    def jwks(self):
        """The process, if there is one."""
        return next((pid for pid in self.janus.processes() if janus_jwks(pid)), None)

    def wait_gone(self, pid):
        wait_until(lambda: not janus_jwks(pid), 10, "janus-jwks to end")


class Files(TokensTest):
    def test_file_that_changes(self):
        path = self.write("secret", SECRET + "\n")
        self.serve("token_keys=" + path)
        good = self.made("--sub", "bob", "--channels", "news", "--key", path)
        self.assertEqual(self.status_of(good), 200)
        # a broken one is refused, and the old one stays
        self.write("secret", "short\n")
        status, _, err = self.janus.ctl("reload")
        self.assertEqual(status, 1)
        self.assertIn("token_keys: %s: a secret has fewer than 32 bytes" % path, err)
        self.assertEqual(self.status_of(good), 200)
        self.write("secret", OTHER + "\n")
        self.assertEqual(self.janus.ctl("reload")[0], 0)
        self.assertEqual(self.status_of(good), 401)
        self.assertEqual(self.status_of(self.made("--channels", "news", "--key", path)), 200)
        for secret in (SECRET, OTHER, good, good.split(".")[2]):
            self.assertNotIn(secret, self.janus.log())

    def test_public_key_is_no_secret(self):
        pair = Ed25519(self.folder, "pair")
        path = self.write("secret", SECRET)
        self.serve("token_keys=" + path)
        self.assertIn("token_keys: %s: HS256 secret" % path, self.janus.log())
        public = subprocess.run(["openssl", "pkey", "-in", pair.path, "-pubout"], check=True, capture_output=True, text=True).stdout
        for wrong in (public[1:], "\n".join(public.splitlines()[1:]), json.dumps([pair.jwk])):
            self.write("secret", wrong)
            status, _, err = self.janus.ctl("reload")
            self.assertEqual(status, 1)
            self.assertIn("token_keys: %s: it looks like a key" % path, err)
        self.write("secret", public)
        self.assertEqual(self.janus.ctl("reload")[0], 0)
        self.assertIn("token_keys: %s: Ed25519 public key" % path, self.janus.log())

    def test_what_janusctl_makes(self):
        path = self.write("secret", SECRET)
        self.serve("token_keys=" + path, "token_audience=us others", "token_issuer=joe")
        options = ["-o", "token_keys=" + path, "-o", "token_audience=us others", "-o", "token_issuer=joe"]
        made = lambda *arguments: self.made(*arguments, *options)
        self.assertEqual(self.status_of(made("--channels", "news", "--allow", "pub")), 200)
        self.assertEqual(self.status_of(made("--channels", "news", "--allow", "sub")), 403)
        self.assertEqual(self.status_of(made("--channels", "ne*")), 200)
        self.assertEqual(self.ask("POST", "/send/ann", b"x", field(made("--users", "ann"))).status, 200)
        self.assertEqual(self.ask("POST", "/send/ann", b"x", field(made("--sub", "ann"))).status, 403)
        caps = [{"channels": ["news"], "allow": ["pub"]}]
        self.assertEqual(self.status_of(token(SECRET.encode(), aud="us", iss="joe", caps=caps)), 200)
        self.assertEqual(self.status_of(token(SECRET.encode(), iss="joe", caps=caps)), 401)
        for wrong in (("--expire", "1x"), ("--allow", "all", "--channels", "a"), ("--allow", "sub"), ("--key", "/nowhere"), ("--sub", "x" * 256)):
            status, out, err = self.janus.ctl("token", *wrong, *options)
            self.assertNotEqual(status, 0)
            self.assertEqual(out, "")
            self.assertIn("janusctl: ", err)


class Fetched(TokensTest):
    def test_fetched_keys(self):
        first, second = Ed25519(self.folder, "first"), Ed25519(self.folder, "second")
        server = self.keys_server(first.jwk)
        self.serve("token_jwks_url=http://127.0.0.1:%d/keys" % server.server_port, "token_jwks_interval=1s")
        old, new = (self.made("--channels", "news", "--key", k.path) for k in (first, second))
        wait_until(lambda: self.status_of(old) == 200, 10, "the first key")
        self.assertEqual(self.status_of(new), 401)
        worker = self.janus.workers()
        # others, without a reload of anything
        server.answer = (200, json.dumps({"keys": [second.jwk]}).encode())
        wait_until(lambda: self.status_of(new) == 200, 10, "the second key")
        self.assertEqual(self.status_of(old), 401)
        self.assertEqual(self.janus.workers(), worker)
        # all of them withdrawn
        server.answer = (200, b'{"keys":[]}')
        wait_until(lambda: self.status_of(new) == 401, 10, "no key at all")
        self.assertIn("the set has no key for tokens", self.janus.log())
        self.assertEqual(self.janus.count("jwks_failed"), 0)
        server.answer = (200, json.dumps({"keys": [second.jwk]}).encode())
        wait_until(lambda: self.status_of(new) == 200, 10, "the second key again")
        # killed, and reloaded, while there are none to be had
        server.answer = (500, b"")
        pid = self.jwks()
        os.kill(pid, 9)
        wait_until(lambda: self.jwks() not in (None, pid), 10, "another janus-jwks")
        self.assertEqual(self.status_of(new), 200)
        pid = self.jwks()
        self.assertEqual(self.janus.ctl("reload")[0], 0)
        self.wait_gone(pid)
        self.assertEqual(self.status_of(new), 200)
        server.answer = (200, json.dumps({"keys": [first.jwk]}).encode())
        wait_until(lambda: self.status_of(old) == 200, 10, "keys after the reload")
        pid = self.jwks()
        self.janus.stop()
        self.wait_gone(pid)

    def test_master_is_killed(self):
        server = self.keys_server(Ed25519(self.folder, "first").jwk)
        self.serve("token_jwks_url=http://localhost:%d/" % server.server_port)
        wait_until(lambda: server.asked, 10, "to be asked")
        pid = self.jwks()
        self.janus.kill(self.janus.master, "master")
        self.wait_gone(pid)


class Fetching(TokensTest):
    """janus-jwks alone: what it takes for keys, and what not."""

    def test_what_is_no_answer(self):
        key = Ed25519(self.folder, "key").jwk
        server = self.keys_server(key)
        url = "http://127.0.0.1:%d/keys" % server.server_port
        program = os.path.join(BUILD, "janus-jwks")
        secret = b'{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"}]}'
        for answer, said in (((500, b""), "500"), ((302, b"x"), "302, and redirects are not followed"), ((200, b"nonsense"), "no JSON"), ((200, b'{"error":"later"}'), "no key"),
                             ((200, b" " * 300000), "256 KiB"), ((200, secret), "secret"), ((200, json.dumps({"keys": [key]}).encode()), None)):
            with self.subTest(said):
                server.answer = answer
                jwks = subprocess.Popen([program, url, "600000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                try:
                    if said:
                        self.assertIn(said.encode(), jwks.stderr.readline())
                    else:
                        head = jwks.stdout.read(4)
                        self.assertEqual(jwks.stdout.read(int.from_bytes(head, "big"))[:5], b"jwk1\x01")
                    # and it goes when nobody listens
                    jwks.stdout.close()
                    self.assertEqual(jwks.wait(10 * SLOWNESS), 0)
                finally:
                    jwks.kill()
                    jwks.wait()
                    jwks.stderr.close()


class Hostile:
    """A server of nothing good: what one connection after the other is answered with, by a function of its socket and of an event that ends it."""

    def __init__(self, answer):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.over = threading.Event()
        self.asked = 0
        self.answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while not self.over.is_set():
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.asked += 1
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client):
        with client, contextlib.suppress(OSError):
            client.settimeout(20 * SLOWNESS)
            client.recv(65536)
            self.answer(client, self.over)

    def close(self):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def says(*parts):
    def answer(client, over):
        for part in parts:
            client.sendall(part)
    return answer


def for_ever(head, piece, pause=0):
    def answer(client, over):
        client.sendall(head)
        while not over.wait(pause):
            client.sendall(piece)
    return answer


def silence(client, over):
    over.wait(20 * SLOWNESS)


def reset(client, over):
    client.sendall(OK + b"Content-Length: 100\r\n\r\n{")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Evil(TokensTest):
    """Whatever the server of a JWK set does, janus-jwks is bounded in time and memory, and says what is wrong."""

    LATE = "imed out"

    def answers(self, elsewhere, keys):
        """name: (what it does, what janus-jwks says of it)."""
        late, long, head = self.LATE, "more than 256 KiB", "more than 64 KiB"
        return {
            "says nothing": (silence, late),
            "half a head": (for_ever(b"HTTP/1.1 200 OK\r\nX", b"x", 0.05), late),
            "a byte at a time": (for_ever(OK + b"Content-Length: 100000\r\n\r\n", b" ", 0.05), late),
            "chunks without end": (for_ever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 0.02), late),
            "a huge body": (for_ever(OK + b"\r\n", b" " * 65536), long),
            "a huge body that says so": (for_ever(OK + b"Content-Length: 99999999999\r\n\r\n", b" " * 65536), long),
            "huge chunks": (for_ever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n"), long),
            "fields without end": (for_ever(OK, b"X-More: %s\r\n" % (b"x" * 1000)), head),
            "one field without end": (for_ever(OK + b"X-More: ", b"x" * 65536), ""),
            "nothing but interim answers": (for_ever(b"", b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 100), head),
            "trailers without end": (for_ever(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-More: %s\r\n" % (b"x" * 1000)), head),
            "another host": (says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/keys\r\nContent-Length: 0\r\n\r\n" % elsewhere.port), "302, and redirects are not followed"),
            "a file": (says(b"HTTP/1.1 301 Moved\r\nLocation: file://%s\r\nContent-Length: 0\r\n\r\n" % keys.encode()), "301, and redirects are not followed"),
            "reset": (reset, ""),
            "closed": (says(), ""),
            "cut": (says(OK + b"Content-Length: 1000\r\n\r\n{\"keys\":["), ""),
            "no HTTP": (says(b"\x16\x03\x01\x00\x02\x02\x28"), ""),
            "HTML": (says(OK + b"Content-Length: 6\r\n\r\n<html>"), "no JSON"),
            "nesting": (says(OK + b"Content-Length: 200000\r\n\r\n" + b"[" * 200000), "no JSON"),
            "packed": (says(OK + b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + b"\x1f\x8b" + b"\0" * 18), "no JSON"),
            "too many keys": (says(OK + b"\r\n" + json.dumps({"keys": some_keys(65)}).encode()), "more than 64 keys"),
        }

    def test_all_at_once(self):
        path = self.write("keys.json", json.dumps({"keys": some_keys(1)}))
        elsewhere = Hostile(says(OK + b"\r\n" + json.dumps({"keys": some_keys(1)}).encode()))
        self.addCleanup(elsewhere.close)
        running = {}
        for name, (answer, said) in self.answers(elsewhere, path).items():
            server = Hostile(answer)
            self.addCleanup(server.close)
            interval = 1000 if said == self.LATE else 10000     # milliseconds, and the longest that it waits
            jwks = subprocess.Popen([os.path.join(BUILD, "janus-jwks"), "http://127.0.0.1:%d/keys" % server.port, str(interval)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for end in (jwks.stdout.close, jwks.stderr.close, jwks.wait, jwks.kill):    # (in the reverse order)
                self.addCleanup(end)
            running[name] = server, jwks, said
        began = time.monotonic()
        for name, (server, jwks, said) in running.items():
            with self.subTest(name):
                self.assertTrue(readable(jwks.stdout, 10 * SLOWNESS))
                self.assertEqual(jwks.stdout.read(4), bytes(4))     # no keys, and it is said
                line = jwks.stderr.readline().decode()
                self.assertIn(said, line)
                self.assertIn("the keys that there are go on", line)
                if "SANITIZE" not in os.environ and "asan" not in BUILD:
                    with open("/proc/%d/status" % jwks.pid) as status:
                        peak = int(next(s for s in status if s.startswith("VmHWM")).split()[1])
                    self.assertLess(peak, 40000, "KiB")
                # and it goes on, until nobody listens
                wait_until(lambda: server.asked >= 2, 10, "another try")
        self.assertLess(time.monotonic() - began, 8 * SLOWNESS)
        self.assertEqual(elsewhere.asked, 0)

    def test_the_keys_that_there_are_go_on(self):
        good = Ed25519(self.folder, "good")
        server = self.keys_server(good.jwk)
        files = self.write("files", json.dumps({"keys": [{"kty": "oct", "k": base64.urlsafe_b64encode(os.urandom(48)).rstrip(b"=").decode()} for _ in range(64)]}))
        self.serve("token_jwks_url=http://127.0.0.1:%d/keys" % server.server_port, "token_jwks_interval=1s", "token_keys=" + files)
        shown = self.made("--channels", "news", "--key", good.path)
        # as many as there may be of files, and of these, are no trouble to each other
        server.answer = (200, json.dumps({"keys": some_keys(63) + [good.jwk]}).encode())
        wait_until(lambda: self.status_of(shown) == 200, 10, "the keys")
        for keys, said in ((some_keys(65), "there are more than 64 keys"), (some_keys(1) + [{"kty": "oct", "k": "a" * 64}], "a secret (oct) is none any more that can be fetched")):
            failed = self.janus.count("jwks_failed")
            server.answer = (200, json.dumps({"keys": keys}).encode())
            wait_until(lambda: self.janus.count("jwks_failed") > failed, 10, "a refused set")
            self.assertIn("token_jwks_url: http://127.0.0.1:%d/keys: %s; the keys that there are go on" % (server.server_port, said), self.janus.log())
            self.assertEqual(self.status_of(shown), 200)
        # more of files are refused, and named
        self.write("files", json.dumps({"keys": some_keys(65)}))
        status, _, err = self.janus.ctl("reload")
        self.assertEqual(status, 1)
        self.assertIn("token_keys: %s: there are more than 64 keys" % files, err)
        self.assertEqual(self.status_of(shown), 200)


if __name__ == "__main__":
    unittest.main()
