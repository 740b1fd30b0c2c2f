"""Who the client behind a proxy is: the PROXY protocol, X-Forwarded-For, and who is believed."""
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import unittest

from crash_test import CRASH_BUILD, CrashTest
from janus_test import SLOWNESS, JanusTest, all_may, free_port, wait_until

CLIENT = ("203.0.113.9", 4711)


def v1(client=CLIENT, family=4):
    return ("PROXY TCP%d %s %s %d 80\r\n" % (family, client[0], "198.51.100.1" if family == 4 else "2001:db8::1", client[1])).encode()


def v2(client=CLIENT, command=0x21):
    addresses = socket.inet_aton(client[0]) + socket.inet_aton("198.51.100.1") + struct.pack("!HH", client[1], 80)
    return b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack("!BBH", command, 0x11, len(addresses) + 3) + addresses + b"\x04\x00\x00"


LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"


class ProxiedTest(JanusTest):
    def serve(self, *options, listen=("http://127.0.0.1:0 proxy", "flash://127.0.0.1:0 proxy"), trusted="127.0.0.1", **more):
        self.janus = self.server("trusted_proxies=" + trusted, "session_linger=0", *all_may(options), *options, listen=listen, **dict({"workers": 1}, **more))
        return self.janus

    def socket(self, place=0, source=None):
        address = self.janus.address(place)
        if isinstance(address, str):
            s = socket.socket(socket.AF_UNIX)
            s.connect(address)
        else:
            s = socket.create_connection(address, source_address=source)
        s.settimeout(20 * SLOWNESS)
        self.addCleanup(s.close)
        return s

    def stream(self, header, place=0, fields=""):
        """A stream of server-sent events on the topic a, behind this header."""
        s = self.socket(place)
        s.sendall(header + ("GET /sub/a HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s\r\n" % fields).encode())
        self.assertTrue(s.recv(65536).startswith(b"HTTP/1.1 200"))
        return s

    def clients(self):
        status, out, err = self.janus.ctl("clients", "--json")
        self.assertEqual((status, err), (0, ""))
        return [client["address"] for client in json.loads(out)["clients"]]

    def publish_and_get(self, streams):
        status, _, err = self.janus.ctl("publish", "a", "hello")
        self.assertEqual((status, err), (0, ""))
        for s in streams:
            got = b""
            while b"hello" not in got:
                data = s.recv(65536)
                self.assertTrue(data)
                got += data

    def closed(self, s):
        try:
            self.assertEqual(s.recv(100), b"")
        except ConnectionResetError:
            pass


class Headers(ProxiedTest):
    def test_who_it_is(self):
        self.serve()
        streams = [self.stream(v1()), self.stream(v2(("198.51.100.77", 1))), self.stream(v1(("2001:db8::9", 2), 6))]
        self.assertEqual(sorted(self.clients()), ["198.51.100.77:1", "203.0.113.9:4711", "[2001:db8::9]:2"])
        status, out, _ = self.janus.ctl("clients", "--address", "203.0.113.9")
        self.assertIn("203.0.113.9:4711", out)
        self.assertNotIn("198.51.100.77", out)
        status, out, _ = self.janus.ctl("log", "--once", "--json")
        seen = [(e["kind"], e.get("address")) for e in map(json.loads, out.splitlines())]
        self.assertTrue([1 for kind, address in seen if kind == "connect" and address and "203.0.113.9" in address], seen)
        # the proxy's own connections, and those of which it knows nothing, are the proxy's
        for header in (LOCAL, b"PROXY UNKNOWN\r\n"):
            s = self.stream(header)
            self.assertIn("127.0.0.1:%d" % s.getsockname()[1], self.clients())
        del streams

    def test_pieces(self):
        """Nothing is taken of what is behind, whatever comes together."""
        self.serve()
        for header in (v1(), v2()):
            s = self.socket()
            for i in range(len(header)):
                s.sendall(header[i:i + 1])
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertIn(b"200 OK", s.recv(65536))
            s.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertIn(b"200 OK", s.recv(65536))

    def test_no_header(self):
        self.serve()
        for wrong in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"PROXY TCP4 1.2.3.4\r\n", b"\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x00", b"PROXY " + 200 * b"x"):
            with self.subTest(wrong=wrong):
                before = self.janus.count("refused_header")
                s = self.socket()
                s.sendall(wrong)
                self.closed(s)
                self.assertEqual(self.janus.count("refused_header"), before + 1)
        self.assertEqual(self.janus.count("accepted"), 0)

    def test_silent(self):
        self.serve()
        half = self.socket()
        half.sendall(v1()[:20])
        self.closed(self.socket())      # in five seconds
        self.closed(half)
        self.assertEqual(self.janus.count("refused_header"), 2)

    def test_strangers(self):
        self.serve(trusted="127.0.0.2 10.0.0.0/8")
        s = self.socket()
        self.closed(s)
        self.assertEqual(self.janus.count("refused_proxy"), 1)
        s = self.socket(source=("127.0.0.2", 0))
        s.sendall(v1() + b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b"200 OK", s.recv(65536))

    def test_unix(self):
        folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        os.chmod(folder, 0o755)
        self.serve(listen=("http+unix:%s/http proxy" % folder,), trusted="127.0.0.1 unix")
        s = self.stream(v1())
        self.assertEqual(self.clients(), ["203.0.113.9:4711"])
        self.janus.kill_worker()
        self.assertEqual(self.clients(), ["203.0.113.9:4711"])
        self.janus.reload()
        self.publish_and_get([s])

    def test_stays(self):
        """Over a worker's death, a reload, and another layout of shared memory: who it is, and every byte."""
        self.serve()
        streams = [self.stream(v1()), self.stream(v2(("198.51.100.77", 1)))]
        named = ["198.51.100.77:1", "203.0.113.9:4711"]
        self.janus.kill_worker()
        self.publish_and_get(streams)
        self.assertEqual(sorted(self.clients()), named)
        self.assertEqual(self.janus.reload()[0], 0)
        self.publish_and_get(streams)
        self.assertEqual(sorted(self.clients()), named)
        # a descriptor that is used again has nothing of them
        for s in streams:
            s.close()
        wait_until(lambda: self.janus.connections() == 0)
        self.stream(LOCAL)
        self.assertTrue(self.clients()[0].startswith("127.0.0.1:"))

    def test_snapshot(self):
        other = os.environ.get("JANUS_OTHER_BUILD")
        if not other or not os.path.exists(os.path.join(other, "janus")):
            self.skipTest("no build with another layout")
        folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        os.chmod(folder, 0o755)
        from janus_test import ROOT
        build = os.environ.get("JANUS_BUILD", os.path.join(ROOT, "build"))
        for name in ("janus", "janusctl"):
            shutil.copy(os.path.join(build, name), folder)
        self.serve(build=folder)
        streams = [self.stream(v1()), self.stream(v2(("198.51.100.77", 1)))]
        shutil.copy(os.path.join(other, "janus"), folder + "/new")
        os.rename(folder + "/new", folder + "/janus")
        shutil.copy(os.path.join(other, "janusctl"), folder + "/new")
        os.rename(folder + "/new", folder + "/janusctl")
        self.assertEqual(self.janus.reload()[0], 0)
        self.publish_and_get(streams)
        self.assertEqual(sorted(self.clients()), ["198.51.100.77:1", "203.0.113.9:4711"])

    @unittest.skipUnless(shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin"), "no haproxy here")
    def test_haproxy(self):
        self.serve(listen=("http://127.0.0.1:0 proxy",), trusted="127.0.0.0/8")
        front, second = free_port(), free_port()
        folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        with open(folder + "/cfg", "w") as f:
            f.write("defaults\n mode tcp\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n"
                    "listen one\n bind 127.0.0.1:%d\n server janus 127.0.0.1:%d send-proxy\n"
                    "listen two\n bind 127.0.0.1:%d\n server janus 127.0.0.1:%d send-proxy-v2\n" % (front, self.janus.port, second, self.janus.port))
        haproxy = subprocess.Popen([shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin"), "-db", "-f", folder + "/cfg"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(haproxy.wait)
        self.addCleanup(haproxy.terminate)

        def listens():
            try:
                socket.create_connection(("127.0.0.1", second)).close()
                return True
            except ConnectionRefusedError:
                return False
        wait_until(listens, 20)
        streams, sources = [], []
        for port, source in ((front, "127.0.0.5"), (second, "127.0.0.6")):
            s = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
            self.addCleanup(s.close)
            s.settimeout(20 * SLOWNESS)
            s.sendall(b"GET /sub/a HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
            self.assertTrue(s.recv(65536).startswith(b"HTTP/1.1 200"))
            streams.append(s)
            sources.append("%s:%d" % s.getsockname())
        wait_until(lambda: sorted(self.clients()) == sorted(sources))
        self.publish_and_get(streams)


class Deaths(ProxiedTest, CrashTest):
    janus = None        # set by serve()

    def test_header_is_taken(self):
        """Nothing is known of the connection any more: it is closed, and the client tries again. Others stay."""
        self.serve(build=CRASH_BUILD)
        stream = self.stream(v1())
        self.arm("proxy-header")
        s = self.socket()
        s.sendall(v2() + b"GET /sub/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.closed(s)
        wait_until(lambda: not self.armed("proxy-header"), what="the death")
        self.publish_and_get([stream, self.stream(v2())])
        self.janus.forgive_deaths(9)


class Forwarded(ProxiedTest):
    def test_who_is_believed(self):
        self.serve(listen=("http://127.0.0.1:0",), trusted="127.0.0.2, 10.0.0.0/8")
        s = self.stream(b"", fields="X-Forwarded-For: 203.0.113.9\r\n")         # from a stranger
        self.assertEqual(self.clients(), ["127.0.0.1:%d" % s.getsockname()[1]])
        s = self.socket(source=("127.0.0.2", 0))
        s.sendall(b"GET /sub/a HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nX-Forwarded-For: 1.2.3.4, 203.0.113.9, 10.0.0.1\r\n\r\n")
        self.assertTrue(s.recv(65536).startswith(b"HTTP/1.1 200"))
        self.assertIn("203.0.113.9", self.clients())
        self.janus.kill_worker()
        self.assertIn("203.0.113.9", self.clients())

    def test_each_request(self):
        self.serve(listen=("http://127.0.0.1:0",))
        s = self.socket()
        for client, shown in (("203.0.113.9", "203.0.113.9"), ("2001:db8::9", "2001:db8::9"), (None, "127.0.0.1:%d" % s.getsockname()[1])):
            s.sendall(("GET /version HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % ("X-Forwarded-For: %s\r\n" % client if client else "")).encode())
            self.assertIn(b"200 OK", s.recv(65536))
            self.assertEqual(self.clients(), [shown])

    def test_behind_a_header(self):
        """Whom a header names, his word on others is only a proxy's if he is one."""
        self.serve(trusted="127.0.0.1 10.0.0.0/8")
        self.stream(v1(), fields="X-Forwarded-For: 1.2.3.4\r\n")
        self.assertEqual(self.clients(), ["203.0.113.9:4711"])
        self.stream(v1(("10.0.0.5", 5)), fields="X-Forwarded-For: 1.2.3.4\r\n")
        self.assertIn("1.2.3.4", self.clients())


if __name__ == "__main__":
    unittest.main()
