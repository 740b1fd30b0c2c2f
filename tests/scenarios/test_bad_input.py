"""Inputs and messages on which whoever looks at them dies or hangs: what they cost, and whom.

Runs against a build with crash points (JANUS_CRASH_BUILD), in which words of a client's do that (shm/crash.h).
"""
import json
import os
import re
import unittest

from janus_test import ROOT, Closed, is_alive, wait_until
from steady import Steady
from web_clients import WebTest

CRASH_BUILD = os.path.join(ROOT, os.environ.get("JANUS_CRASH_BUILD", "build/crash"))


class BadInput(WebTest):
    def begin(self, *options, workers=2):
        """Steady clients on every worker; with the default restart_limit."""
        self.serve(*options, workers=workers, build=CRASH_BUILD)
        self.addCleanup(self.janus.forgive_deaths)
        self.steady = Steady(self, self.janus)

    def deaths(self, signal):
        return len(re.findall(r"died of signal %d\b" % signal, self.janus.log()))

    def culprit(self, word, topic="nobody's"):
        """A client that has said it, in a frame behind one that is all right."""
        client = self.client(self.janus)
        client.subscribe("before")
        client.publish(topic, data=word)
        return client

    def expect_closed(self, client, seconds=15):
        with self.assertRaises(Closed):
            client.frame(seconds)

    def live(self):
        return all(w["state"] == "live" and is_alive(w["worker"]) for w in self.janus.status()["workers"])

    def end(self, blamed):
        """So many connections were closed for what they sent, and no other; no message is missing."""
        wait_until(self.live, 15, "all workers live")
        self.steady.end()
        wait_until(lambda: self.janus.connections() == self.steady.begun, 10, "%d connections" % self.steady.begun)
        counters = self.janus.stats()["counters"]
        self.assertEqual({name: counters[name] for name in ("closed_blamed", "closed_slot", "closed_uncertain", "dropped_overtaken")},
                         {"closed_blamed": blamed, "closed_slot": 0, "closed_uncertain": 0, "dropped_overtaken": 0})

    # crashes

    def test_crash(self):
        self.begin()
        self.expect_closed(self.culprit("@crash"))
        self.end(1)

    def test_crash_by_http_and_packet(self):
        self.begin()
        http, packet = self.http(), self.packet()
        http.send(b"POST /pub/x HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n\"@crash\"")
        with self.assertRaises(Closed):
            http.answer(seconds=15)
        packet.op("publish", topic="x", data="@crash")
        with self.assertRaises(Closed):
            packet.message(15)
        self.end(2)

    def test_crash_again_and_again(self):
        """More often than restart_limit allows a worker to be restarted: a crash that is somebody's is no crash loop."""
        self.begin()
        for _ in range(20):
            self.expect_closed(self.culprit("@crash"))
            wait_until(self.live, 15, "all workers live")
            self.steady.progress()
        self.end(20)

    def test_crash_of_several_at_once(self):
        self.begin()
        for client in [self.culprit("@crash") for _ in range(8)]:
            self.expect_closed(client)
        self.end(8)

    # hangs

    def test_hang(self):
        """It is killed after hang_limit, and whose input it was is closed; its successor does not hang as well."""
        self.begin("hang_limit=1s")
        client = self.culprit("@hang")
        self.janus.wait_log("hangs since", 15)
        self.expect_closed(client, 20)
        self.steady.progress(20)
        self.end(1)

    def test_hang_again_and_again(self):
        self.begin("hang_limit=1s")
        for _ in range(7):
            self.expect_closed(self.culprit("@hang"), 20)
            self.steady.progress(20)
        self.end(7)

    def test_reload_during_a_hang(self):
        """"reloaded" means that all workers have been replaced and are live; else it says what did not happen."""
        self.begin("hang_limit=3s")
        before = {w["slot"]: w["generation"] for w in self.janus.status()["workers"]}
        client = self.culprit("@hang")
        status, out, err = self.janus.reload()
        workers = self.janus.status()["workers"]
        if status == 0:
            self.assertTrue(all(w["state"] == "live" for w in workers), "reloaded, it says: %r" % workers)
            self.assertTrue(all(w["generation"] > before[w["slot"]] for w in workers), "reloaded, it says: %r" % workers)
        else:
            self.assertRegex(err, r"\w")
        self.expect_closed(client, 20)
        self.steady.progress(20)
        wait_until(self.live, 15, "all workers live")
        self.assertEqual(self.janus.reload()[0], 0)
        self.steady.progress()
        self.end(1)

    # by somebody else's hand

    def test_kill(self):
        """As the OOM killer strikes, on the same input again and again: no fault of the worker's, but three times are enough."""
        self.begin()
        self.expect_closed(self.culprit("@kill"), 20)
        wait_until(self.live, 15, "all workers live")
        self.assertLessEqual(self.deaths(9), 3)
        self.end(1)

    def test_kill_again_and_again(self):
        self.begin()
        for n in range(1, 7):
            self.expect_closed(self.culprit("@kill"), 20)
            wait_until(self.live, 15, "all workers live")
            self.assertLessEqual(self.deaths(9), 3 * n)
            self.steady.progress()
        self.end(6)

    # on the way out

    def transports(self, topic):
        """Subscribers of it of other transports: [(what to call it, what returns its next message)...]."""
        ws, packet, lines, sse = self.websocket(), self.packet(), self.lines("/sub/" + topic), self.sse("/sub/" + topic)
        ws.subscribe(topic)
        packet.subscribe(topic)
        return [("ws", ws.message), ("packet", packet.message), ("lines", lines.message),
                ("sse", lambda seconds: {"data": sse.event(seconds).data})]

    def check_encode_crash(self, others, topic):
        publisher = self.client(self.janus)
        publisher.publish(topic, data="before")
        publisher.publish(topic, data="@encode-crash")
        publisher.publish(topic, data="behind")
        for name, message in others:
            self.assertEqual([message(30)["data"] for _ in range(2)], ["before", "behind"], name)
        publisher.close()

    def test_encode_crash(self):
        """A message that can't be encoded is left out, after two deaths, for those who subscribed it; nobody is closed."""
        self.begin(workers=3)
        flash = [client.subscribe("odd") for client in self.clients(self.janus, 12)]
        self.steady.begun += len(flash)
        self.check_encode_crash([("flash", client.message) for client in flash], "odd")
        self.steady.progress()
        self.assertGreaterEqual(self.deaths(6), 2)
        self.assertLessEqual(self.deaths(6), 2 * 3)
        self.assertEqual(self.janus.count("dropped_unencodable"), len(flash))
        self.end(0)

    def test_encode_crash_of_all_transports(self):
        self.begin(workers=1)
        others = self.transports("odd")
        self.steady.begun = self.janus.connections()
        self.check_encode_crash(others, "odd")
        self.steady.progress()
        self.assertEqual(self.janus.count("dropped_unencodable"), len(others))
        self.end(0)

    def test_encode_crash_again_and_again(self):
        self.begin(workers=2)
        flash = [client.subscribe("odd") for client in self.clients(self.janus, 8)]
        self.steady.begun += len(flash)
        for _ in range(8):
            self.check_encode_crash([("flash", client.message) for client in flash], "odd")
            self.steady.progress()
        self.assertEqual(self.janus.count("dropped_unencodable"), 8 * len(flash))
        self.end(0)

    def test_no_such_words_in_production(self):
        janus = self.server()
        client = self.client(janus).subscribe("a")
        for word in ("@hang", "@crash", "@kill", "@encode-crash"):
            client.publish("a", data=word)
            client.expect_message("a", data=word)
        self.assertEqual(json.dumps([w["restarts"] for w in janus.status()["workers"]]), "[0, 0]")


if __name__ == "__main__":
    unittest.main()
