"""Keys of tokens: files that are read again, and janus-jwks, which fetches them."""
import base64
import http.server
import json
import os
import subprocess
import threading
import unittest

from janus_test import BUILD, wait_until
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
        for wrong in (("--expire", "1x"), ("--allow", "all", "--channels", "a"), ("--key", "/nowhere"), ("--sub", "x" * 256)):
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
        for answer, said in (((500, b""), "500"), ((302, b"x"), "302, and redirects are not followed"), ((200, b"nonsense"), "no JSON"), ((200, b'{"keys":[]}'), "no key"),
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
                    self.assertEqual(jwks.wait(10), 0)
                finally:
                    jwks.kill()
                    jwks.wait()
                    jwks.stderr.close()


if __name__ == "__main__":
    unittest.main()
