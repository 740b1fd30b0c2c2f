"""A worker dies at each named point of TLS, or anywhere, and no client may notice.

Runs against a build with crash points. The clients' side is OpenSSL's: a record that is sealed anew with another text, or under another number, is the end of its
connection.
"""
import json
import os
import random
import re
import signal
import ssl
import subprocess
import threading
import unittest

from crash_test import CrashTest
from janus_test import ROOT, Closed, is_alive, wait_until
from test_crash_points import Subscriber
from test_history import SMALL, HistoryTest
from tls_test import TlsTest
from web_clients import Lines

SLOW_POINTS = "tls-pending", "tls-drained", "tls-taken", "tls-sealed", "tls-sent", "tls-half"    # come by while somebody is behind, too
BIG = "x" * 600000      # more than sockets take (send_buffer)


def points():
    """All that the sources name of what happens without a KeyUpdate and the kernel's TLS; what is done by who takes over has tests of its own."""
    found = set()
    for folder, _, names in os.walk(os.path.join(ROOT, "worker")):
        for name in names:
            if name.endswith((".c", ".h")):
                with open(os.path.join(folder, name)) as f:
                    found.update(re.findall(r'CRASH_POINT\("(tls-(?!kernel-)[^"]+)"\)', f.read()))
    return sorted(found | {"tls-staged", "tls-half", "tls-copied", "tls-wiped"})


class TlsDeaths(CrashTest, TlsTest):
    sending = tuple(p for p in points() if not p.startswith("tls-keys") and p != "tls-begun")
    batched = "tls-sealed", "tls-sent", "tls-pending", "tls-taken"
    beginning = "tls-begun", "accept-opened"    # the first before the client is answered
    other_keys = "tls-owed", "tls-keys-staged", "tls-keys-half", "tls-keys-copied", "tls-control-sealed", "tls-input-committed"

    def begin(self, *options, **more):
        self.numbers = {"a": 0, "b": 0, "asked": 0, "big": 0}      # (a topic has one publisher: only then its numbers are in order)
        self.serve_crash_build("max_frame=1M", "heartbeat=1h", "session_linger=0", *options, workers=1, **more)
        flash, sse, lines, socket_, stream, packets = (
            self.flash(), self.sse("/sub/asked"), self.lines("/sub/a"), self.websocket(), self.websocket("/sub/b,a"), self.packet())
        self.subscribers = [
            Subscriber(flash, ("a", "b"), self.numbers),
            Subscriber(sse, ("asked",), self.numbers, lambda seconds: {"topic": "asked", **sse.event(seconds).json()}),
            Subscriber(lines, ("a",), self.numbers, lines.message),
            Subscriber(stream, ("a", "b"), self.numbers, stream.message),
        ]
        socket_.subscribe("b", "asked")
        packets.subscribe("a", "b")
        self.subscribers += [Subscriber(socket_, ("b", "asked"), self.numbers, socket_.message), Subscriber(packets, ("a", "b"), self.numbers, packets.message)]
        self.slow = [Subscriber(self.flash(rcvbuf=16384), ("big", "a"), self.numbers)]
        self.publisher, self.asking = self.flash(), self.http()

    def publish(self, topic, **members):
        self.numbers[topic] += 1
        self.publisher.publish(topic, n=self.numbers[topic], **members)

    def ask(self):
        self.numbers["asked"] += 1
        body = json.dumps({"n": self.numbers["asked"]}).encode()
        self.assertEqual(self.asking.ask("POST", "/pub/asked", body, [("Content-Type", "application/json")]).status, 200)

    def visit(self):
        """A connection that ends in order, with all that it was to get."""
        client = self.http()
        answer = client.ask("GET", "/healthz", fields=[("Connection", "close")])
        self.assertEqual(answer.status, 200)
        client.expect_close()
        client.close()

    def visit_again(self):
        """A handshake dies with its worker, and its client tries again. (In 1.3 the client may think that it is done.)"""
        for _ in range(3):
            try:
                return self.visit()
            except (OSError, Closed):       # an SSLError is an OSError
                pass
        self.visit()

    def one_round(self, slow=False, visit=None):
        for topic in "ab":
            self.publish(topic)
            self.ask()
        if slow:
            self.publish("big", data=BIG)
            wait_until(lambda: self.janus.behind() >= len(self.slow), 30, "one that is behind")
        (visit or self.visit)()
        for subscriber in self.subscribers + self.slow:
            subscriber.catch_up(self.numbers)

    def deaths(self):
        return self.janus.log().count("died of signal 9")

    def live(self):
        return all(w["state"] == "live" and is_alive(w["worker"]) for w in self.janus.status()["workers"])

    def survive(self, deaths):
        wait_until(lambda: self.deaths() > deaths, 10, "the death in the log")
        wait_until(self.live, 10, "a live worker")
        self.one_round()

    def die_at(self, point):
        deaths = self.deaths()
        self.arm(point)
        for _ in range(5):
            self.one_round(point in SLOW_POINTS)
            if not self.armed(point):
                break
        else:
            self.fail("no worker came by %s" % point)
        self.survive(deaths)

    def check_end(self):
        self.janus.forgive_deaths(9)
        lost = {name: n for name, n in self.janus.stats()["counters"].items()
                if name in ("closed_uncertain", "closed_damaged", "closed_slot", "closed_slow", "dropped_overtaken", "no_buffer", "bad_input")}
        self.assertEqual(set(lost.values()), {0}, lost)

    def go_through(self, wanted, *options):
        self.begin(*options)
        self.one_round(slow=True)
        for point in wanted:
            with self.subTest(point=point):
                self.die_at(point)
        self.check_end()

    def test_send(self):
        self.go_through(self.sending, "io=send")

    def test_io_uring(self):
        self.go_through(self.batched, "io=auto")

    def test_handshake_dies_with_its_worker(self):
        """Its client tries again; nobody else notices."""
        self.begin()
        for point in self.beginning:
            # (a client's handshake is done before the server has seen the end of it)
            wait_until(lambda: self.janus.stats()["gauges"]["tls_handshakes_under_way"] == 0, what="those who are there to be there")
            deaths = self.deaths()
            self.arm(point)
            if point != "accept-opened":
                with self.assertRaises(Exception):
                    self.http().ask("GET", "/healthz")
            else:
                self.assertEqual(self.http().ask("GET", "/healthz").status, 200)
            self.survive(deaths)
        self.check_end()

    def test_who_takes_over_dies_too(self):
        self.begin()
        self.one_round(slow=True)
        for first in ("tls-sealed", "tls-pending"):
            for second in ("land-tls-sealed", "tls-copied"):
                deaths = self.deaths()
                self.arm(first)
                self.arm(second, 1 if second != "tls-copied" else 40)
                self.one_round(slow=True)
                self.assertFalse(self.armed(first))
                self.survive(deaths)
                self.disarm(second)
        self.check_end()

    def test_keys_are_updated(self):
        """A client that asks for other keys, by openssl(1), and dies at each step of that."""
        self.begin()
        host, port = self.addresses["http"]
        for point in self.other_keys:
            client = subprocess.Popen(["openssl", "s_client", "-connect", "%s:%d" % (host, port), "-servername", "localhost", "-CAfile",
                                       self.certificates.path("ca.pem")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.addCleanup(client.kill)
            said = bytearray()
            reader = threading.Thread(target=lambda: [said.extend(piece) for piece in iter(lambda: client.stdout.read1(65536), b"")], daemon=True)
            reader.start()
            wait_until(lambda: b"Verify return code" in said, 10, "a handshake")
            deaths = self.deaths()
            if point != "tls-owed":
                self.arm(point)
            for i in range(3):
                client.stdin.write(b"K\n")
                client.stdin.flush()
                wait_until(lambda: said.count(b"KEYUPDATE") > i, 10, "an update")
                client.stdin.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                client.stdin.flush()
                wait_until(lambda: said.count(b"HTTP/1.1 200") > i, 10, "an answer with other keys: %r" % bytes(said[-500:]))
            if point != "tls-owed":
                self.assertFalse(self.armed(point), "the worker did not come by " + point)
                self.survive(deaths)
            client.kill()
            client.wait()
        self.check_end()

    def test_killed_again_and_again(self):
        """Anywhere, while messages go out and come in."""
        self.begin()
        for _ in range(15):
            deaths = self.deaths()
            pid = self.janus.workers()[0]
            killer = threading.Timer(random.random() * 0.03, os.kill, (pid, signal.SIGKILL))
            self.janus.killed[pid] = "worker"
            killer.start()
            for _ in range(3):
                self.one_round(visit=self.visit_again)
            killer.join()
            self.survive(deaths)
        self.check_end()


class WhatHistoryHas(CrashTest, TlsTest, HistoryTest):
    """Who comes back is sent by TLS what history alone has, and reads slowly: whoever dies of it, each message comes once."""
    POINTS = (("tls-listed", 1), ("tls-sealed", 7), ("tls-sent", 3), ("tls-pending", 1), ("tls-taken", 5), ("tls-drained", 2), ("tls-half", 9), ("tls-copied", 12), ("catchup-sent", 4),
              ("catchup-cut", 1))

    def setUp(self):
        super().setUp()
        self.serve_crash_build("history=h: 5000 messages; k: 5000 messages; fill: 1 message", *SMALL, "send_buffer=16K", "session_linger=0", "heartbeat=1h", workers=1)
        self.texts, self.count = {}, 0
        client = self.http()
        for _ in range(15):
            messages = [self.message() for _ in range(10)]
            self.assertEqual(client.ask("POST", "/pub", json.dumps(messages).encode()).status, 200)
        fill = json.dumps([{"topic": "fill", "data": 0}] * 100).encode()
        for _ in range(11):     # the ring has none of them any more
            self.assertEqual(client.ask("POST", "/pub", fill).status, 200)

    def message(self):
        self.count += 1
        self.texts[self.count] = "x" * (1000 * (self.count % 9))
        return {"topic": "hk"[self.count % 2], "data": [self.count, self.texts[self.count]]}

    def come_back(self, kind, version, point=None, passing=1, second=None):
        """Has all, from the first message on."""
        client = self.connect(kind, "http", rcvbuf=4096, tls=self.tls(version=version))
        self.assertEqual(client.ask("GET", "/version").status, 200)
        if point:
            self.arm(point, passing)
        if second:
            self.arm(second)
        answer = client.ask("GET", "/sub/h,k?last=1000", fields=[("Accept", "application/x-ndjson")])
        self.assertEqual(answer.status, 200)
        client.begin()
        for n in range(1, self.count + 1):
            self.assertEqual(client.message(30)["data"], [n, self.texts[n]])
        client.close()

    def test_deaths(self):
        for n, (point, passing) in enumerate(self.POINTS):
            with self.subTest(point=point):
                self.come_back(Lines, (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2)[n % 2], point, passing)
                self.assertFalse(self.armed(point), "nobody came by " + point)
        for point in ("tls-sealed", "tls-pending"):
            self.come_back(Lines, ssl.TLSVersion.TLSv1_3, point, 3, "land-tls-sealed")
            self.assertFalse(self.armed(point) or self.armed("land-tls-sealed"))
        self.janus.forgive_deaths(9)
        self.assertEqual([self.janus.count(name) for name in ("closed_uncertain", "closed_damaged", "no_buffer", "bad_input", "dropped_overtaken", "closed_slow")], [0] * 6)


class Heartbeats(CrashTest, TlsTest):
    def test_deaths_among_heartbeats_that_are_sent_together(self):
        self.serve_crash_build("heartbeat=1s", "session_linger=0", workers=1)
        self.die_among_heartbeats([self.flash() for _ in range(8)], "tls-sealed", "batch-half-recorded")


if __name__ == "__main__":
    unittest.main()
