"""Connections move between workers: when a reload takes workers away or adds some, and when one has far more than its share (`balance`). No client notices."""
import contextlib
import json
import os
import signal
import threading
import unittest

import janus_test
from janus_test import SLOWNESS, parse_url, wait_until
from programs import OTHER_BUILD, Configuration, Program
from steady import Steady
from test_presence import WATCH, Watcher
from test_sessions import SessionTest
from tls_test import Certificates
from web_clients import WebTest
from witnesses import WITHIN_TLS, Witnesses

NOT_TO_HAPPEN = ("closed_slot", "closed_uncertain", "closed_blamed", "closed_damaged", "dropped_overtaken", "no_buffer", "bad_input", "parked_evicted")


class MovesTest(WebTest):
    def begin(self, workers, *more, within_tls=(), **other):
        """A server whose configuration, and program, change."""
        self._janus = self.server(config="", start=False, **other)
        self.configuration = Configuration(self.janus, workers, ["runtime_dir = " + self.janus.runtime_dir, *more], within_tls)
        self.program = Program(janus_test.BUILD, os.path.join(self.janus.folder, "bin"))
        self.janus.build = self.program.folder
        self.janus.start()
        self._addresses = {url.partition("://")[0]: parse_url(url) for url in self.configuration.urls()}
        return self.janus

    tolerance = 10      # percent by which shares may differ

    def reload(self, workers, wait=True):
        """Its report. The slots that are too many end, and those that are there have equal shares."""
        self.configuration.workers = workers
        self.configuration.write()
        status, out, err = self.janus.ctl("reload", "--json")
        self.assertEqual((status, err), (0, ""))
        if wait:
            self.wait_settled(workers)
        return json.loads(out)

    def wait_settled(self, workers, seconds=30):        # (those that are in the middle of something at each look take long on a busy machine)
        def settled():
            found = self.janus.status()["workers"]
            has = [w["connections"] for w in found]
            return len(found) == workers and all(w["state"] == "live" for w in found) and max(has) - min(has) <= max(3, sum(has) * self.tolerance / 100 / workers)
        try:
            wait_until(settled, seconds, "%d workers with equal shares" % workers)
        except AssertionError as e:
            raise AssertionError("%s: %s\n%s" % (e, [(w["slot"], w["state"], w["connections"]) for w in self.janus.status()["workers"]], self.janus.ctl("clients")[1])) from e

    def expect_nothing_lost(self):
        counters = self.janus.stats()["counters"]
        self.assertEqual({name: counters[name] for name in NOT_TO_HAPPEN if counters[name]}, {})
        self.assertGreater(counters["moved_out"], 0)


class Reloads(MovesTest):
    def test_fewer_and_more(self):
        janus = self.begin(4)
        steady = Steady(self, janus, 6)
        count = janus.connections()
        report = self.reload(2)
        self.assertEqual(report["workers"], {"renewed": 4, "added": 0, "draining": 2})
        self.assertGreater(report["connections"]["moved"], count / 4)
        self.assertEqual(report["connections"]["lost"], 0)
        moved = janus.count("moved_out")
        self.assertGreaterEqual(moved, report["connections"]["moved"])      # (on a busy machine some go when it is not waited for them any more)
        steady.progress()
        self.reload(4)
        self.assertGreater(janus.count("moved_out"), moved)
        steady.progress()
        self.reload(1)
        steady.progress()
        workers = json.loads(janus.ctl("workers", "--json")[1])["workers"]
        self.assertEqual([(w["connections"], w["moved_out"] > 0, w["moved_in"] > 0) for w in workers], [(count, True, True)])
        moved = janus.count("moved_out")
        self.assertEqual(self.reload(1)["connections"]["moved"], 0)
        self.assertEqual((janus.count("moved_out"), janus.count("moved_in")), (moved, moved))
        steady.end()
        self.assertEqual((steady.closed, janus.connections()), (0, count))
        self.expect_nothing_lost()

    def test_another_layout(self):
        """What is under way is there before its program is another one."""
        janus = self.begin(3)
        steady = Steady(self, janus, 4)
        for workers, build in ((1, OTHER_BUILD), (3, janus_test.BUILD), (2, OTHER_BUILD), (4, janus_test.BUILD)):
            self.program.put(build)
            self.reload(workers)
            steady.progress()
        # And while they move.
        for workers, build in ((1, OTHER_BUILD), (4, janus_test.BUILD)):
            self.reload(workers, wait=False)
            self.program.put(build)
            self.reload(workers, wait=False)
            steady.progress()
        self.wait_settled(4)
        steady.end()
        self.assertEqual(steady.closed, 0)
        self.expect_nothing_lost()

    def test_stop_meanwhile(self):
        janus = self.begin(4)
        clients = [c.subscribe("a") for c in self.on_each_worker(janus, 8)]
        self.configuration.workers = 1
        self.configuration.write()
        janus.process.send_signal(signal.SIGHUP)
        wait_until(lambda: janus.count("moved_out") > 0, 10, "the first that moves")
        janus.stop()
        for client in clients:
            client.expect_close()


class AllKinds(MovesTest):
    tolerance = 1000    # who is in the middle of a frame does not go, and many are nearly always

    def begin_with_witnesses(self, workers):
        certificates = Certificates()
        self.addCleanup(certificates.remove)
        janus = self.begin(workers, "tls_certificate = " + certificates.make("localhost"), "restart_limit = 1000", within_tls=WITHIN_TLS.values())
        self.witnesses = Witnesses(self._addresses, 0.2, visitors=True, tls=certificates.client())
        self.witnesses.moves = True
        self.addCleanup(self.witnesses.close)
        self.witnesses.start()
        return janus

    def answered(self):
        answered = self.witnesses.answered()
        wait_until(lambda: self.witnesses.answered() > answered + 10, 20, "answers")

    def test_reloads(self):
        """Readers and publishers of every kind, every second one with TLS, many in the middle of something nearly always."""
        self.begin_with_witnesses(4)
        for workers in (2, 4, 1, 3):
            self.reload(workers, wait=False)
            self.wait_settled(workers, 100)
            self.answered()
        self.assertEqual(self.witnesses.stop(), [])
        self.expect_nothing_lost()

    def test_kills(self):
        """Workers that give and workers that take die meanwhile."""
        janus = self.begin_with_witnesses(4)
        rng = self.random()
        for workers in (2, 4, 1, 4):
            thread = threading.Thread(target=lambda n=workers: self.reload(n, wait=False))
            thread.start()
            while thread.is_alive():
                found = [w for w in janus.status()["workers"] if w["worker"] and w["state"] in ("live", "draining")]
                if found:
                    with contextlib.suppress(ProcessLookupError):       # (it has just ended)
                        janus.kill(rng.choice(found)["worker"], "worker")
                thread.join(rng.uniform(0.02, 0.3) * SLOWNESS)
            self.wait_settled(workers, 100)
            self.answered()
        self.assertEqual(self.witnesses.stop(), [])
        counters = janus.stats()["counters"]
        self.assertEqual([counters[name] for name in ("closed_slot", "closed_blamed", "closed_damaged", "bad_input")], [0] * 4)


class Presence(MovesTest):
    def test_nobody_leaves(self):
        """Who watches hears nothing of it."""
        janus = self.begin(3, "session_linger = 0")
        users = [self.websocket().login("user%d" % n).subscribe("news") for n in range(12)]
        names = ["user%d" % n for n in range(12)]
        watcher = Watcher(self.websocket().subscribe(WATCH)).until(*names)
        told = len(watcher.changes)
        for n, workers in enumerate((1, 3, 2)):
            self.reload(workers)
            late = self.websocket().login("late%d" % n).subscribe("news")
            watcher.until(*names, "late%d" % n)
            late.close()
            watcher.until(*names)
        self.assertEqual(watcher.changes[told:], [(event, "late%d" % n) for n in range(3) for event in ("subscribed", "unsubscribed")])
        self.assertGreater(janus.count("moved_out"), 12)
        for user in users:
            user.close()


class Parked(MovesTest, SessionTest):
    def test_stay(self):
        """Sessions without a connection move as well. A worker may have more than its part of max_parked, as long as there are no more than that."""
        janus = self.begin(3, "max_parked = 6")
        for _ in range(6):
            self.cut(self.subscriber("websocket", "a")[0])
        for workers in (1, 3, 3):
            self.reload(workers)
            self.assertEqual(self.parked(), 6)
        self.assertEqual(janus.slot(0)["connections"], 0)
        self.expect_nothing_lost()


class Balance(MovesTest):
    def test_setting(self):
        """One worker has all of them: they stay there, until the setting says otherwise."""
        janus = self.begin(2)
        clients = [c.subscribe("a") for c in self.on_each_worker(janus, 16)]
        shown = json.loads(janus.ctl("clients", "--json")[1])["clients"]
        ports = {int(c["address"].rpartition(":")[2]) for c in shown if c["id"].startswith("0.")}
        for client in [c for c in clients if c.socket.getsockname()[1] in ports]:
            clients.remove(client)
            client.close()
        wait_until(lambda: [w["connections"] for w in janus.status()["workers"]] == [0, len(clients)], 10, "an empty slot")
        self.assertEqual(self.reload(2, wait=False)["connections"]["moved"], 0)
        self.assertEqual([w["connections"] for w in janus.status()["workers"]], [0, len(clients)])
        self.configuration.more.append("balance = 20")
        self.reload(2)
        clients[0].publish("a", n=1)
        for client in clients:
            client.expect_message("a", n=1)
        self.expect_nothing_lost()


if __name__ == "__main__":
    unittest.main()
