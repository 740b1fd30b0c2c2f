"""The kernel makes the records of connections with TLS (kernel_tls = auto), and they outlive whoever serves them as others do.

For this the kernel must have its module `tls`: elsewhere these tests are skipped, and `make kernel-tls` runs them in a virtual machine. Before Linux 6.14 it serves
TLS 1.2 alone.
"""
import functools
import socket
import ssl
import unittest

import test_sessions
import test_tls_deaths
import test_tls_goes_on
from programs import OTHER_BUILD
from tls_test import LISTEN, TlsTest

TCP_ULP = 31


@functools.cache
def has_module():
    """Whether this kernel has TLS, or can load it."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        try:
            client.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
            return True
        except OSError:
            return False


class KernelTls(TlsTest):
    """Clients speak the version that the kernel serves, of those."""

    version = ssl.TLSVersion.TLSv1_2

    def setUp(self):
        if not has_module():
            self.skipTest("this kernel has no TLS")
        super().setUp()

    def serve(self, *options, **more):
        if more.get("config") is None:
            options = ("kernel_tls=auto", *options)
        super().serve(*options, **more)

    def context(self, version=None, **more):
        return super().context(version or self.version, **more)

    def need_other_keys(self):
        """Leaves the test where TLS 1.3 stays in user space, as the kernel can't change keys."""
        self.version = ssl.TLSVersion.TLSv1_3
        self.http().ask("GET", "/healthz")
        if self.by_kernel() == 0:
            self.skipTest("this kernel can't change keys")

    def by_kernel(self):
        return self.janus.count("tls_by_kernel")

    def check_end(self):
        self.assertGreater(self.by_kernel(), 0)
        super().check_end()


class Deaths(KernelTls, test_tls_deaths.TlsDeaths):
    sending = tuple(p for p in test_tls_deaths.TlsDeaths.sending if p not in ("tls-drained", "tls-sent", "tls-control-sealed")) + (
        "tls-kernel-sent", "tls-kernel-said", "tls-kernel-keyed")
    batched = "tls-sealed", "tls-pending", "tls-taken"
    beginning = "tls-begun", "tls-kernel-begun"
    other_keys = "tls-kernel-said", "tls-kernel-keyed", "tls-keys-staged", "tls-keys-half", "tls-keys-copied"

    def test_keys_are_updated(self):
        self.serve(workers=1)
        self.need_other_keys()
        super().test_keys_are_updated()


class Points(KernelTls, test_sessions.Points):
    pass


class GoesOn(KernelTls, test_tls_goes_on.GoesOn):
    def test_others_clients(self):
        super().test_others_clients()
        self.assertGreater(self.by_kernel(), 0)

    def test_it_is_turned_off(self):
        """What the kernel has, it keeps: also when the next program, with another layout, is to do without. New connections are not given to it."""
        config = "workers = 1\ntls_certificate = %s\n" % self.certificates.pair("localhost") + "".join("listen = %s\n" % url for url in LISTEN)
        self.serve(config=config + "kernel_tls = auto\n")
        reader = self.websocket().subscribe("a")
        self.assertEqual(self.by_kernel(), 1)
        self.janus.configure(config + "kernel_tls = off\n")
        for n, trouble in enumerate((lambda: self.assertEqual(self.janus.reload()[0], 0), lambda: self.upgrade(OTHER_BUILD), lambda: self.janus.kill_worker(0))):
            trouble()
            self.published("/pub/a", {"n": n})
            self.assertEqual(reader.message()["data"], {"n": n})
        self.assertEqual(self.by_kernel(), 1)

    def test_the_end_loses_nothing(self):
        """A reader that is slow has all that it is owed when the server stops."""
        self.serve(workers=1)
        reader = self.lines("/sub/a", rcvbuf=8192)
        text = "x" * 60000
        for n in range(20):
            self.published("/pub/a", {"n": n, "text": text})
        self.janus.process.terminate()
        for n in range(20):
            self.assertEqual(reader.message()["data"], {"n": n, "text": text})
        self.assertEqual(reader.rest(), b"0\r\n\r\n")       # the chunks' end, and the connection's
        self.janus.wait_exit(0)


if __name__ == "__main__":
    unittest.main()
