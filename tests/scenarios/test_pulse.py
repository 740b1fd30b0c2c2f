"""Who is there and who is not: heartbeats in time, pings that are answered and those that are not, peers that vanish without a word."""
import ctypes
import select
import socket
import struct
import time
import unittest

from janus_test import Deadline, SLOWNESS, program, run, wait_until
from web_clients import WebSocket, WebTest

SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27
DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)      # BPF: return 0


def vanish(client):
    """From now on its kernel drops what comes for it, before TCP sees it: no acknowledgement, no reset. As if its cable was cut."""
    code = ctypes.create_string_buffer(DROP_ALL, len(DROP_ALL))
    client.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(code)))


class Heartbeat(WebTest):
    def test_never_silent_for_longer(self):
        """However a connection's last message falls between the server's looks at it."""
        # (A machine that is busy for a moment is late, too; a server that is late is so each time.)
        self.assertTrue(any(self.longest_silence() < 1.35 * SLOWNESS for _ in range(3)))

    def longest_silence(self):
        self.serve("heartbeat=1s")
        opens = (lambda: self.lines("/sub/a"), lambda: self.sse("/sub/a"), lambda: self.websocket("/sub/a"), self.packet, self.flash)
        last, clients = {}, {}
        end = time.monotonic() + 4
        worst = 0
        while time.monotonic() < end:
            if len(clients) < 15:
                client = opens[len(clients) % len(opens)]()
                clients[client.socket] = client
                last[client.socket] = time.monotonic()
            for ready in select.select(list(clients), [], [], 0.07)[0]:
                self.assertTrue(ready.recv(65536))
                worst = max(worst, time.monotonic() - last[ready])
                last[ready] = time.monotonic()
        for then in last.values():
            worst = max(worst, time.monotonic() - then)
        return worst

    def test_default(self):
        """Proxies cut at 30 s, and some sooner."""
        status, out, _ = run(program("janus"), "-t", "-o", "listen=flash://127.0.0.1:0", "-o", "idle_limit=15s")
        self.assertNotEqual(status, 0)
        status, out, _ = run(program("janus"), "-t", "-o", "listen=flash://127.0.0.1:0", "-o", "idle_limit=16s")
        self.assertEqual(status, 0)

    def test_idle_limit_within_heartbeat(self):
        """Nobody could have answered: refused, in words."""
        for idle, heartbeat in (("10s", "10s"), ("5s", "10s")):
            status, out, err = run(program("janus"), "-t", "-o", "listen=flash://127.0.0.1:0", "-o", "idle_limit=" + idle, "-o", "heartbeat=" + heartbeat)
            self.assertNotEqual(status, 0)
            self.assertIn("idle_limit (%s) must be more than heartbeat (%s)" % (idle, heartbeat), out + err)


class Pings(WebTest):
    def test_busy_listener(self):
        """It is sent messages all the time, so it is never silent; it is pinged all the same, answers, and stays."""
        limit = 4 * SLOWNESS
        self.serve("idle_limit=%dms" % (limit * 1000), "heartbeat=2s")
        listens, packets = self.websocket().subscribe("a"), self.packet().subscribe("a")
        end = time.monotonic() + 2 * limit
        while time.monotonic() < end:
            self.published("/pub/a", "x")
            listens.message()
            packets.message()
            if packets.heartbeats:      # answered with anything
                packets.heartbeats = 0
                packets.op("ping")
                packets.expect({"ok": True})
            listens.silent(0.1)
        self.assertGreater(listens.pings, 0)
        self.assertLess(listens.pings, 10)
        self.assertEqual(self.janus.count("closed_idle"), 0)

    def test_unanswered(self):
        """A WebSocket that answers no ping: its kernel does, or a proxy, but nobody is there."""
        self.serve("heartbeat=1s", "peer_timeout=%ds" % (1 + 2 * SLOWNESS))        # (in which this one answers)
        silent = [self.websocket(target) for target in ("/ws", "/sub/a")]
        there, sse = self.websocket("/sub/a"), self.sse("/sub/a")
        deadline = Deadline(20)
        while self.janus.count("closed_gone") < 2 and not deadline.over():
            there.take_message()        # answers what has come
            if not there.silent(0.1):
                there._receive(deadline)
        for client in silent:
            self.assertIn("peer_timeout", client.expect_close_frame(1008))
        there.take_message()
        self.published("/pub/a", "x")
        self.assertEqual(there.message()["data"], "x")
        self.assertEqual(sse.event().data, "x")
        self.assertEqual(self.janus.count("closed_gone"), 2)


class Vanished(WebTest):
    def test_vanished(self):
        """Quiet ones and busy ones are noticed and closed; one that is there, and only does not read, is not."""
        self.serve("heartbeat=1s", "peer_timeout=2s", workers=1)
        stopped = self.connect(WebSocket, "http", rcvbuf=4096).upgrade("/sub/big")
        publisher = self.flash()
        wait_until(lambda: self.janus.subscriptions() == 1)
        while not self.janus.behind():
            publisher.publish("big", data="y" * 60000)
        gone = [self.sse("/sub/quiet"), self.websocket("/ws"), self.packet(), self.sse("/sub/busy")]
        there = self.lines("/sub/busy")
        for client in gone:
            vanish(client)
        publisher.publish("busy", data=0)
        began = time.monotonic()

        def closed():
            publisher.publish("busy", data=1)
            # (After six seconds, the one that has stopped was not heard for three: the kernel asks whether its window is open ever less often.)
            return self.janus.count("closed_gone") == len(gone) and time.monotonic() > began + 6.5
        wait_until(closed, 40, "the end of those who vanished", pause=0.1)
        self.assertEqual(there.message()["data"], 0)
        self.assertEqual(self.janus.connections(), 3)
        self.assertTrue(stopped.message()["data"].startswith("yyy"))
        self.assertEqual(self.janus.count("closed_gone"), len(gone))

    def test_lost_probes(self):
        """One that reads nothing, and the kernel's questions whether its window is open get lost: it stays, and when it reads it has all."""
        self.serve("heartbeat=1s", "peer_timeout=2s", workers=1)
        stopped = self.connect(WebSocket, "http", rcvbuf=4096).upgrade("/sub/big")
        publisher = self.flash()
        wait_until(lambda: self.janus.subscriptions() == 1)
        count = 0
        while not self.janus.behind():
            publisher.publish("big", data="%05d" % count + "y" * 60000)
            count += 1
        vanish(stopped)
        began = time.monotonic()
        # (They come after 0.2, 0.6, 1.4, 3, 6.2 s, and then 6.4 s later.)
        wait_until(lambda: self.janus.count("closed_gone") or time.monotonic() > began + 8.5, 12, "time for five of them", pause=0.1)
        self.assertEqual(self.janus.count("closed_gone"), 0)
        stopped.socket.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        for n in range(count):
            self.assertEqual(stopped.message(30)["data"][:5], "%05d" % n)


if __name__ == "__main__":
    unittest.main()
