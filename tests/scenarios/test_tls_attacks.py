"""Clients of TLS that mean harm: their handshakes are good, and what follows is theirs, byte by byte."""
import contextlib
import os
import signal
import socket
import ssl
import time

import janus_test
from flash_clients import Connection
from tls_test import Crafted, TlsTest


REQUEST = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Crafting(TlsTest):
    workers = 1

    def crafted(self, protocol, urgent=None, **more):
        plain = Connection(self.janus, address=self.addresses[protocol])
        self.addCleanup(plain.close)
        return Crafted(self.context(**more), plain.socket, urgent=urgent)

    def rests(self, seconds=0.3):
        """The worker has nothing to do: for most of the time it neither runs nor waits for a processor, but where the machine is so busy that it waits long for each turn."""
        def busy():
            return sum(janus_test.scheduled(self.janus.workers()[0]))

        def rested():
            before, began = busy(), time.monotonic()
            time.sleep(seconds)
            return busy() - before < 0.5 * (time.monotonic() - began)
        janus_test.wait_until(rested, 15, "a worker that rests")

    def test_urgent_bytes(self):
        """At each place of a record one is a byte like others, also for whoever takes over."""
        for version in (None, ssl.TLSVersion.TLSv1_2):
            for at in (0, 1, 4, 5, 6, 40):
                client = self.crafted("http", at, version=version)
                client.send(client.record(REQUEST))
                client.until(b'"version"')
            size = len(client.record(REQUEST))
            client = self.crafted("http", version=version)
            for at in range(size):
                client.send(client.record(REQUEST), at)
                client.until(b'"version"')
                if at % 16 == 0:
                    self.janus.kill_worker()
            for at in (0, 5, size - 1):     # what nobody has looked at yet
                os.kill(self.janus.workers()[0], signal.SIGSTOP)
                client.send(client.record(REQUEST), at)
                self.janus.kill_worker()
                client.until(b'"version"')
        self.assertEqual([self.janus.count(name) for name in ("bad_input", "closed_uncertain")], [0, 0])

    def test_urgent_data(self):
        """In the middle of a record: a peek does not look behind it, however much is there."""
        for at in (2, 40):
            client = self.crafted("flash")
            record = client.record(b'{"action":"subscribe","data":"a","more":"%s"}\0' % (b"x" * 200))
            client.socket.sendall(record[:at])
            client.socket.send(b"!", socket.MSG_OOB)
            with contextlib.suppress(OSError, janus_test.Closed):       # (what it does to itself is its own affair)
                client.socket.sendall(record[at:])
                client.until(b"ACK")
            self.rests()

    def test_crumbs(self):
        """A large record comes byte by byte, and is looked at when it is there."""
        client = self.crafted("flash")
        record = client.record(b'{"action":"subscribe","data":"a","more":"%s"}\0' % (b"x" * 1000))
        for i in range(len(record)):
            if i == len(record) // 2:
                self.rests()
            client.socket.sendall(record[i:i + 1])
        client.until(b"ACK")


if __name__ == "__main__":
    janus_test.unittest.main()
