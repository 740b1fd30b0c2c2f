"""janusctl kick, drain and stop: clients are sent away, each told so in what it speaks; whoever dies in the middle."""
import concurrent.futures
import os
import shutil
import signal
import tempfile
import time
import unittest

import janus_test
from crash_test import CrashTest
from ctl_test import CtlTest
from flash_clients import Closed
from http_clients import Http
from janus_test import SLOWNESS, wait_until
from programs import OTHER_BUILD, Program

REASON = 'enough "now"'


class KickTest(CtlTest):
    def kicked(self, *arguments, status=0):
        return self.ask_ctl("kick", *arguments, status=status)["kicked"]

    def admin(self):
        client = Http(self.janus, address=os.path.join(self.janus.runtime_dir, "admin"))
        self.addCleanup(client.close)
        return client

    def gone(self, *filters):
        wait_until(lambda: not [c for c in self.listed(*filters) if c["state"] != "ending"], what="they go")


class Kick(KickTest):
    def test_each_is_told(self):
        flash, packet, websocket = self.flash().subscribe("a"), self.packet().subscribe("a"), self.websocket().subscribe("a")
        sse, lines, old = self.sse("/sub/a"), self.lines("/sub/a"), self.lines("/sub/a", version="1.0")
        raw = self.websocket("/sub/a")
        other = self.websocket().subscribe("b")
        self.assertEqual(self.kicked("--topic", "a", "--reason", REASON), 7)
        flash.expect_error("enough")
        packet.expect_error("enough")
        for client in (websocket, raw):
            client.expect_close_frame(1008)
        wait_until(lambda: sse.receive() or True)
        rest = bytes(sse.rest())
        self.assertIn(b'event: kicked\ndata: {"kicked":"enough \\"now\\""}\n\n', rest)
        self.assertTrue(rest.endswith(b"0\r\n\r\n"), rest)
        self.assertIn(b'{"kicked":"enough \\"now\\""}\n\r\n0\r\n\r\n', bytes(lines.rest()))
        self.assertIn(b'{"kicked":"enough \\"now\\""}\n', bytes(old.rest()))
        self.assertEqual(self.janus.count("kicked"), 7)
        self.assertEqual(self.kicked("--topic", "a", status=1), 0)
        other.expect_nothing()

    def test_one(self):
        clients = {c: self.packet().subscribe("a") for c in range(4)}
        victim = self.listed("--topic", "a")[0]["id"]
        place, check = victim.rsplit(".", 1)
        self.assertEqual(self.kicked("%s.%08x" % (place, int(check, 16) ^ 1), status=1), 0)      # somebody who was there before
        self.assertEqual(self.kicked(victim), 1)
        self.assertEqual(self.kicked(victim, status=1), 0)
        self.assertNotIn(victim, [c["id"] for c in self.listed() if c["state"] != "ending"])
        left = 0
        for client in clients.values():
            try:
                client.expect_nothing()
                left += 1
            except (Closed, AssertionError, OSError):
                pass
        self.assertEqual(left, 3)

    def test_many_at_a_time(self):
        """Each is told of its own clients, however many orders are given at the same time."""
        clients = [self.lines("/sub/t%d" % i) for i in range(64)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(self.kicked, victim) for victim in self.ids()]
            self.assertEqual([a.result() for a in asked], [1] * len(clients))

    def test_user(self):
        bob = [self.websocket().login("bob"), self.lines("/inbox/bob")]
        alice = self.websocket().login("alice")
        self.packet().subscribe("bob")
        self.assertEqual(self.kicked("--user", "bob"), len(bob))
        alice.expect_nothing()
        self.gone("--user", "bob")
        self.assertEqual(len(self.ids("--topic", "bob")), 1)

    def test_sessions_end(self):
        """A session without a connection as well; and who is kicked leaves none behind."""
        self.serve("session_linger=60")
        parked, there = self.websocket().subscribe("a"), self.websocket().subscribe("a")
        parked.reset()
        wait_until(lambda: [c for c in self.listed("--topic", "a") if c["state"] == "parked"])
        self.assertEqual(self.kicked("--topic", "a"), 2)
        there.expect_close_frame(1008)
        there.close()
        wait_until(lambda: self.ids("--topic", "a") == [])

    def test_wrong_arguments(self):
        for arguments in ((), ("x",), ("0.1.00000000", "--topic", "a"), ("--topic", "a", "--user", "b"), ("--topic", ""), ("--topic", "a" * 256),
                          ("--topic", "a", "--reason", "x" * 200), ("--topic", "a", "--reason", "a\nb"), ("--user", "\x01")):
            self.assertEqual(self.janus.ctl("kick", *arguments)[0], 2, arguments)
        self.assertEqual(self.janus.count("kicked"), 0)

    def test_another_hub_meanwhile(self):
        """What stands in a hub that is not the server's any more is not waited for."""
        self.packet().subscribe("a")
        for worker in self.janus.workers():
            os.kill(worker, signal.SIGSTOP)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(self.janus.ctl, "kick", "--topic", "a")
            self.janus.wait_log("kick of those on topic a")
            begun = time.monotonic()
            for sig in (signal.SIGSTOP, signal.SIGKILL):        # stopped first: none makes another in the place of one that is killed
                for pid in self.janus.processes():
                    os.kill(pid, sig)
            self.janus.process.wait(10 * SLOWNESS)
            wait_until(lambda: not self.janus.processes(), 15, "the end of all processes")
            self.janus.start()
            status, out, err = asked.result()
        self.assertEqual(status, 1, out + err)
        self.assertIn("another hub", err)
        self.assertLess(time.monotonic() - begun, 25 * SLOWNESS)

    def test_by_http(self):
        client, user = self.websocket().subscribe("a"), self.websocket().login("bob")
        admin = self.admin()
        answer = admin.ask("POST", "/kick?topic=a&reason=out", b"")
        self.assertEqual((answer.status, answer.json()), (202, {"ok": True, "workers": 2}))
        client.expect_close_frame(1008)
        self.assertEqual(admin.ask("POST", "/kick?user=bob", b"").status, 202)
        user.expect_close_frame(1008)
        for query in ("", "?topic=a&user=b", "?id=x", "?topic=%01", "?topic=a&reason=%0a"):
            self.assertEqual(admin.ask("POST", "/kick" + query, b"").status, 400, query)
        self.assertEqual(admin.ask("POST", "/kick?id=63.1.00000000", b"").status, 404)
        self.assertEqual(admin.ask("GET", "/kick?topic=a").status, 405)
        self.assertEqual(self.ask("POST", "/kick?topic=a", b"").status, 404)

    def test_without_a_worker(self):
        """The order waits for the next one; who gave it is told when it is done."""
        clients = [self.packet().subscribe("a") for _ in range(8)]
        workers = self.janus.workers()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(self.kicked, "--topic", "a")
            wait_until(lambda: "kick of those" in self.janus.log())
            for pid in workers:
                self.janus.kill(pid, "worker")
            self.assertEqual(asked.result(), len(clients))
        self.assertEqual(self.janus.count("kicked"), len(clients))


class Deaths(CrashTest, KickTest):
    def test_in_the_middle(self):
        """Everybody goes, and the count is right but for the one in whose instant the worker dies."""
        self.serve_crash_build()
        for point, passing in (("order-begun", 1), ("kick-told", 2), ("kick-counted", 2), ("order-done", 1)):
            clients = [self.packet().subscribe("a") for _ in range(12)]
            self.arm(point, passing)
            count = self.kicked("--topic", "a")
            self.assertFalse(self.armed(point), point)
            self.assertIn(count, (12, 11) if point == "kick-told" else (12,), point)
            for client in clients:
                client.expect_error("operator")
            self.janus.forgive_deaths(signal.SIGKILL)
        other = self.packet().subscribe("a")
        other.expect_nothing()


class Drain(KickTest):
    def drained(self, slot):
        return next(w for w in self.ask_ctl("workers")["workers"] if w["slot"] == slot)

    def test_a_worker(self):
        """Its clients go at a pace, others come to the other one; over its death; then it takes its share again."""
        clients = self.on_each_worker(self.janus, per_worker=6)
        count = self.drained(0)["connections"]
        self.ctl("drain", "0", "--rate", "1")
        self.assertEqual(self.drained(0)["state"], "draining")
        before = self.janus.kill_worker(0, wait=False)
        wait_until(lambda: self.janus.slot(0)["worker"] not in (0, before))
        wait_until(lambda: self.drained(0)["state"] == "draining", what="the next worker to drain")      # (it is starting, at first)
        self.assertEqual(next(w for w in self.janus.status()["workers"] if w["slot"] == 0)["state"], "draining")
        newer = [self.packet().subscribe("new") for _ in range(40)]
        self.assertEqual({c["slot"] for c in self.listed("--topic", "new")}, {1})
        for client in newer:
            client.expect_nothing()
        self.ctl("drain", "0", "--rate", "1000")
        wait_until(lambda: self.drained(0)["state"] == "live", 30)
        self.assertEqual(self.drained(0)["connections"], 0)
        self.wait_count(self.janus, "drained", count)
        self.on_each_worker(self.janus, per_worker=1)
        del clients

    def test_all(self):
        websocket, sse, packet = self.websocket().subscribe("a"), self.sse("/sub/a"), self.packet().subscribe("a")
        admin = self.admin()
        self.assertEqual(admin.ask("GET", "/topics").status, 200)
        self.ctl("drain", "--rate", "1000")
        websocket.expect_close_frame(1012)
        packet.expect_error("connect again")
        rest = bytes(sse.rest())
        self.assertRegex(rest, rb"retry: [0-9]+\n\n\r\n0\r\n\r\n$")
        wait_until(lambda: self.ask("GET", "/version").status == 503)
        self.assertEqual(admin.ask("GET", "/topics").status, 200)
        self.assertEqual(self.admin().ask("GET", "/topics").status, 200)
        self.assertEqual([w["state"] for w in self.ask_ctl("workers")["workers"]], ["draining"] * 2)
        self.ctl("drain", "--stop")
        wait_until(lambda: self.ask("GET", "/version").status == 200)

    def test_another_layout(self):
        """A drain goes on over an upgrade, and clients are called what they were."""
        folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, folder, True)
        program = Program(janus_test.BUILD, os.path.join(folder, "bin"))
        self.serve(build=program.folder)
        self.packet().subscribe("a")
        before = self.ids()
        program.put(OTHER_BUILD)
        self.assertEqual(self.janus.reload()[0], 0)
        self.assertEqual(self.ids(), before)
        self.ctl("drain", "--rate", "1000")
        program.put(janus_test.BUILD)
        self.assertEqual(self.janus.reload()[0], 0)
        self.assertEqual([w["state"] for w in self.ask_ctl("workers")["workers"]], ["draining"] * 2)

    def test_wrong_arguments(self):
        for arguments in (("64",), ("x",), ("--rate", "0"), ("--rate", "9999999"), ("--rate", "1", "--stop")):
            self.ctl("drain", *arguments, status=2)
        self.ctl("drain", "7", status=1)


class Stop(KickTest):
    def test_stop(self):
        client = self.packet().subscribe("a")
        self.assertEqual(self.ctl("stop"), "stopped\n")
        self.assertFalse(self.janus.processes())
        self.assertEqual(bytes(client.rest()), b"")
        self.janus.wait_exit(0)
        self.ctl("stop", status=3)


if __name__ == "__main__":
    unittest.main()
