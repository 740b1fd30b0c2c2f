"""io_uring fails: what it has sent without saying so is found out from the kernel, and send() takes its place."""
import os
import tempfile
import unittest

from crash_test import CrashTest
from janus_test import wait_until
from tls_test import TlsTest


class UringFails(CrashTest):
    workers = 1

    def check(self, point):
        """More subscribers than are sent to one by one, and one with several topics."""
        self.serve_crash_build("io=auto", "log_level=debug")
        if "sends with io_uring" not in self.janus.log():
            self.skipTest("no io_uring here")
        readers = [self.flash().subscribe("a") for _ in range(40)] + [self.flash().subscribe("a", "b")]
        publisher = self.flash()
        pid = self.janus.workers()[0]
        for n in range(30):
            if n == 10:
                self.arm(point)
            publisher.publish("a", n=n)
            for reader in readers:
                reader.expect_message("a", n=n)
        self.assertTrue(self.disarm(point), "nobody came by")
        self.assertEqual(self.janus.workers()[0], pid, "the worker has died of it")
        self.assertEqual(self.janus.log().count("with send() from now on"), 1)
        counters = self.janus.stats()["counters"]
        for name in ("closed", "closed_uncertain"):
            self.assertEqual(counters[name], 0, name)

    def test_sent_and_not_reported(self):
        self.check("uring-submit")

    def test_not_submitted(self):
        self.check("uring-unsubmitted")

    def test_unix_sockets(self):
        """They do not tell what they took: they are closed and counted, the others go on."""
        folder = tempfile.mkdtemp(prefix="janus-uring-", dir="/tmp")
        self.addCleanup(os.rmdir, folder)
        self.serve_crash_build("io=auto", "log_level=debug", listen=("flash://127.0.0.1:0", "flash+unix:" + folder + "/socket"))
        if "sends with io_uring" not in self.janus.log():
            self.skipTest("no io_uring here")
        readers = [self.client(self.janus, place=0).subscribe("a") for _ in range(10)]
        lost = [self.client(self.janus, place=1).subscribe("a") for _ in range(5)]
        self.arm("uring-submit")
        publisher = self.client(self.janus, place=0)
        publisher.publish("a", n=1)
        publisher.publish("a", n=2)
        for n in (1, 2):
            for reader in readers:
                reader.expect_message("a", n=n)
        wait_until(lambda: self.janus.count("closed_uncertain") == len(lost), 10)
        wait_until(lambda: self.janus.connections() == len(readers) + 1, 10)


class UringFailsTls(CrashTest, TlsTest):
    """What TLS has sealed is sent as it is, or kept: no number seals another text."""

    workers = 1
    check, test_sent_and_not_reported, test_not_submitted = UringFails.check, UringFails.test_sent_and_not_reported, UringFails.test_not_submitted


if __name__ == "__main__":
    unittest.main()
