"""What else hangs on the master, while there is none: the hub lock that it had, the journal, other nodes, fetched keys. See ARCHITECTURE.md ("Without a master")."""
import json
import os
import threading
import time
import unittest

from crash_test import CRASH_BUILD, CrashTest
from janus_test import SLOWNESS, is_alive, wait_until
from test_data import EVERY, DataTest, PouringTest
from test_jwks import Ed25519, TokensTest
from test_master_death import MasterTest
from test_nodes_faults import FaultsTest


def end_master(server):
    server.kill(server.master, "master")
    server.process.wait()


class Lock(MasterTest):
    """It dies with the hub lock: nobody waits for the next one."""

    CONFIG = "workers = %d\nlisten = flash://127.0.0.1:0\nsession_linger = 0\n"

    def die_at(self, point, workers):
        self.begin(config=self.CONFIG % 2, build=CRASH_BUILD)
        self.arm(point)
        self.janus.configure(self.CONFIG % workers)
        threading.Thread(target=self.janus.ctl, args=("reload",), daemon=True).start()
        wait_until(lambda: not self.armed(point) and not is_alive(self.janus.master), 15, "the master at " + point)
        self.janus.killed[self.janus.master] = "master"
        self.janus.process.wait()

    def test_while_it_makes_a_slot(self):
        for point in "slot-clearing", "slot-left":
            with self.subTest(point=point):
                self.die_at(point, 3)
                begun = time.monotonic()
                self.steady.progress(5)
                self.assertLess(time.monotonic() - begun, 5 * SLOWNESS)
                self.assertRegex(self.janus.log(), r"the hub lock was held by a process that has died \(number 65\)")
                self.again()
                wait_until(lambda: len([w for w in self.janus.status()["workers"] if w["state"] == "live"]) == 3, 20, "three workers")
                self.end()
                self.janus.stop()

    def test_heir_dies(self):
        """Who took it over dies before it has put anything right: its keeper does."""
        self.arm("lock-inherited")
        self.die_at("slot-clearing", 3)
        self.steady.progress(10)
        self.assertFalse(self.armed("lock-inherited"))
        self.janus.forgive_deaths(9)
        self.again()
        self.end()


class Journal(PouringTest):
    def test_masters_are_killed(self):
        """janus-data writes on; each master replaces it; what was answered is there in the next life."""
        self.begin(EVERY, "data_sync=20ms")
        self.pour()
        for n in range(4):
            self.wait_more()
            writer = self.writer()
            end_master(self.janus)
            self.wait_more()
            self.assertTrue(is_alive(writer))
            if n == 2:
                os.kill(writer, 9)
                self.wait_more()
            self.janus.launch()
            self.janus.wait_started()
            wait_until(lambda: self.writer() != writer and not is_alive(writer), 10, "the next master's janus-data")
            self.written_soon()
        self.end_pouring()
        self.restart()
        self.check_kept()
        self.assertNotIn("without saying so", self.janus.log())

    def written_soon(self):
        at = self.janus.stats()["ring"]["tail"]
        wait_until(lambda: self.janus.stats()["journal"]["written_before"] >= at, 10, "what was published to be written")

    def test_end(self):
        """No other master comes: keepers stop, janus-data writes the end."""
        self.serve(EVERY, "master_linger=1s")
        ids = self.publish("a", 1, 2, 3)
        end_master(self.janus)
        ids += self.publish("a", 4)
        wait_until(lambda: not self.janus.processes(), 15, "the end of all processes")
        self.again()
        self.assertEqual(self.told("a", ids[0].text), (True, [2, 3, 4]))


class Begins(CrashTest, DataTest):
    def test_janus_data_that_nobody_knows(self):
        """It is stopped before it has said its number: it ends when it goes on, as its master is dead by then."""
        self.serve_crash_build(EVERY)
        ids = self.publish("a", 1)
        self.arm("data-begun.stop")
        first = self.writer()
        os.kill(first, 9)
        wait_until(lambda: not self.armed("data-begun.stop"), 10, "the next one at its begin")
        second = wait_until(lambda: next((pid for pid in self.janus.all_called("janus-data") if pid != first), None), 10, "it")
        end_master(self.janus)
        self.janus.launch()
        self.janus.wait_started()
        wait_until(lambda: not is_alive(second), 10, "its end")
        self.publish("a", 2)
        self.written()
        self.restart()
        self.assertEqual(self.told("a", ids[0].text), (True, [2]))


class Bridge(FaultsTest):
    def test_masters_are_killed(self):
        """What nodes say to each other goes on, there is never another bridge beside it, and the next master's goes on from where it was."""
        a, b = self.nodes("a", "b")
        there, back = self.flow(a, b), self.flow(b, a)
        there.publish(20).come()
        for _ in range(3):
            bridge = a.bridge()
            end_there, end_back = there.flowing(), back.flowing()
            end_master(a.janus)
            sent = there.sent, back.sent
            wait_until(lambda: there.sent > sent[0] + 50 and back.sent > sent[1] + 50, 20, "messages without a master")
            self.assertTrue(is_alive(bridge))
            a.janus.launch()
            a.janus.wait_started()
            wait_until(lambda: not is_alive(bridge) and a.bridge() is not None, 10, "the next master's bridge")
            self.assertEqual(len(a.janus.all_called("janus-bridge")), 1)
            end_there().come()
            end_back().come()
        self.nothing_lost(a, b)

    def test_nobody_comes(self):
        """It ends when there is no keeper any more."""
        a = self.node("a", "master_linger=0")
        bridge = a.bridge()
        end_master(a.janus)
        wait_until(lambda: not is_alive(bridge), 10, "the bridge's end")


class Keys(TokensTest):
    def test_fetched(self):
        """They stay, while nobody fetches; and the next master fetches again."""
        first, second = Ed25519(self.folder, "first"), Ed25519(self.folder, "second")
        server = self.keys_server(first.jwk)
        self.serve("token_jwks_url=http://127.0.0.1:%d/keys" % server.server_port, "token_jwks_interval=1s")
        old, new = (self.made("--channels", "news", "--key", k.path) for k in (first, second))
        wait_until(lambda: self.status_of(old) == 200, 10, "the key")
        jwks = self.jwks()
        end_master(self.janus)
        self.wait_gone(jwks)
        self.assertEqual(self.status_of(old), 200)
        server.answer = (500, b"")
        self.janus.launch()
        self.janus.wait_started()
        wait_until(self.jwks, 10, "another janus-jwks")
        self.assertEqual(self.status_of(old), 200)
        server.answer = (200, json.dumps({"keys": [second.jwk]}).encode())
        wait_until(lambda: self.status_of(new) == 200, 10, "the second key")


if __name__ == "__main__":
    unittest.main()
