"""Sessions that have moved to another slot: they are found by their tokens, wherever they are; and a worker dies at each step of a move."""
import concurrent.futures
import contextlib
import json
import os
import signal
import unittest

import janus_test
from crash_test import CRASH_BUILD, CrashTest
from janus_test import free_port, wait_until
from programs import OTHER_BUILD, Program
from steady import Steady, client_on
from processes import is_stopped
from test_sessions import SessionTest
from web_clients import TEXT, WebSocket, frame

LEAVING = "leave-noted", "leave-announced", "leave-sent", "leave-freed", "departed-left"
ARRIVING = "move-received", "arrive-filled", "arrive-opened", "move-taken", "arrived-settled"
NOT_TO_HAPPEN = "closed", "closed_slot", "closed_uncertain", "closed_blamed", "closed_damaged", "dropped_overtaken", "no_buffer"


def settled(janus, workers):
    found = janus.status()["workers"]
    has = [w["connections"] for w in found]
    return len(found) == workers and all(w["state"] == "live" for w in found) and max(has) - min(has) <= 3


class Tokens(SessionTest):
    workers = 3

    def setUp(self):
        super().setUp()
        self.urls = ["%s://127.0.0.1:%d" % (protocol, free_port()) for protocol in ("flash", "http", "packet")]

    def text(self, workers):
        return "workers = %d\nsession_linger = 60s\nhistory = a: 100 messages\n%s" % (workers, "".join("listen = %s\n" % url for url in self.urls))

    def begin(self):
        self._janus = self.server(config=self.text(3))
        self.find_addresses()

    def reload(self, workers):
        self.janus.configure(self.text(workers))
        self.assertEqual(self.janus.ctl("reload")[0], 0)
        wait_until(lambda: settled(self.janus, workers), 20, "%d workers" % workers)

    def test_found(self):
        """With a connection or without, one that is taken away or one that breaks; the slot that the token names has ended, or is there again."""
        self.begin()
        number = 0
        sessions = [self.subscriber(kind, "a") for kind in ("websocket", "packet", "flash") * 4]
        self.assertGreater(len({self.home_of(token) for _, token in sessions}), 1)
        for n in range(0, len(sessions), 2):
            self.cut(sessions[n][0])
        for workers in (1, 3, 2):
            self.reload(workers)
            self.publish("a", number)
            for n, (client, token) in enumerate(sessions):
                if n % 4 == 1:
                    self.assertEqual(self.numbers(client, 1), [number])
                    self.cut(client)
                elif n % 4 == 3:
                    self.assertEqual(self.numbers(client, 1), [number])
                new, _ = self.attached("websocket" if n % 4 != 2 else "packet", token)
                if n % 2 == 0:
                    self.assertEqual(self.numbers(new, 1), [number])
                sessions[n] = new, token
            self.publish("a", number + 1)
            for n, (client, _) in enumerate(sessions):
                self.assertEqual(self.numbers(client, 1), [number + 1])
                if n % 2 == 0:
                    self.cut(client)
            number += 2
        self.assertGreater(self.janus.count("moved_in"), len(sessions))


class Points(CrashTest):
    def test_deaths(self):
        """Whoever dies in the middle of a move, on either side: the session is in one of both, has every message once, and in order."""
        port = free_port()
        text = "workers = %%d\nrestart_limit = 1000\nsession_linger = 60s\nlisten = flash://127.0.0.1:%d\n" % port
        janus = self._janus = self.server(config=text % 2, build=CRASH_BUILD)
        steady = Steady(self, janus, 6)
        workers = 2
        for point in LEAVING + ARRIVING:
            for passing in (1, 5):
                with self.subTest(point=point, passing=passing):
                    self.arm(point, passing)
                    workers = 3 - workers
                    janus.configure(text % workers)
                    self.assertEqual(janus.ctl("reload")[0], 0)
                    wait_until(lambda: settled(janus, workers), 20, "%d workers" % workers)
                    if passing == 1:
                        self.assertFalse(self.armed(point))
                    self.disarm(point)
                    steady.progress()
                    janus.forgive_deaths()
        steady.end()
        counters = janus.stats()["counters"]
        self.assertEqual({name: counters[name] for name in NOT_TO_HAPPEN if counters[name]}, {})

    def test_kick_meanwhile(self):
        """The slot that a session comes to has done an order before, and the one that it leaves would have done it later."""
        port = free_port()
        text = "workers = %%d\nsession_linger = 0\nhang_limit = 60s\nlisten = flash://127.0.0.1:%d\n" % port
        janus = self._janus = self.server(config=text % 2, build=CRASH_BUILD)
        here = client_on(self, janus, 0).subscribe("kicked")
        there = [client_on(self, janus, 1).subscribe("kicked") for _ in range(3)]
        stays = client_on(self, janus, 1).subscribe("stays")
        self.arm("leave-noted.stop")
        janus.configure(text % 1)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            reload = pool.submit(janus.ctl, "reload")
            wait_until(lambda: not self.armed("leave-noted.stop"), 20, "a session that leaves")
            worker = janus.slot(1)["worker"]
            wait_until(lambda: is_stopped(worker), 10, "the worker's stop")
            kick = pool.submit(janus.ctl, "kick", "--topic", "kicked")
            here.expect_error("operator")
            os.kill(worker, signal.SIGCONT)
            for client in there:
                client.expect_error("operator")
            self.assertEqual((reload.result()[0], kick.result()[0]), (0, 0))
        wait_until(lambda: settled(janus, 1), 20, "one worker")
        self.client(janus).publish("stays", n=1)
        stays.expect_message("stays", n=1)
        self.assertEqual(janus.count("kicked"), 4)

    def test_kick_before(self):
        """Who has come after an order is not sent away by it when he moves, also if the worker that has done it in the slot that he leaves has died since."""
        janus = self._janus = self.server("balance=20", "session_linger=0", workers=2, listen=("flash://127.0.0.1:0",))
        first = [client_on(self, janus, slot).subscribe("kicked") for slot in (0, 1)]
        self.assertEqual(janus.ctl("kick", "--topic", "kicked")[0], 0)
        for client in first:
            client.expect_error("operator")
        janus.kill_worker(1)
        later = [client_on(self, janus, 1).subscribe("kicked") for _ in range(4)]
        wait_until(lambda: janus.count("moved_in") > 0, 20, "a session that moves")
        self.client(janus).publish("kicked", n=1)
        for client in later:
            client.expect_message("kicked", n=1)


class FoundMeanwhile(CrashTest, SessionTest):
    """A token finds its session at each moment: who asks while nobody has it, or while who has it does not answer, waits."""

    def begin(self, workers, build):
        self.urls = ["%s://127.0.0.1:%d" % (protocol, free_port()) for protocol in ("flash", "http", "packet")]
        self._janus = self.server(config=self.text(workers), build=build)
        self.find_addresses()
        return self.janus

    def text(self, workers):
        return "workers = %d\nsession_linger = 60s\nhang_limit = 60s\nhistory = a: 100 messages\n%s" % (workers, "".join("listen = %s\n" % url for url in self.urls))

    def reload(self, workers):
        self.janus.configure(self.text(workers))
        self.assertEqual(self.janus.ctl("reload")[0], 0)
        wait_until(lambda: len(self.janus.status()["workers"]) == workers, 20, "%d workers" % workers)

    def session_on(self, slot):
        """Without a connection. Its token."""
        client = self.on_worker(slot, WebSocket).upgrade()
        token = self.token_of(client)
        client.subscribe("a")
        self.cut(client)
        return token

    def on_both_workers(self):
        """A client each, by slot. (Behind a reload with more workers these even out their connections: where a client is, is known when they have done so.)"""
        clients = {"%s:%d" % client.socket.getsockname()[:2]: client for client in (self.websocket(), self.websocket())}

        def of_slot(slot):
            listed = json.loads(self.janus.ctl("clients", "--slot", str(slot), "--json")[1])["clients"]
            return [clients[c["address"]] for c in listed if c["address"] in clients]
        return wait_until(lambda: [len(of_slot(slot)) for slot in (0, 1)] == [1, 1] and [of_slot(slot)[0] for slot in (0, 1)], 10, "a client on each worker")

    def parked_in(self, slot):
        return next(s["parked"] for s in self.janus.stats()["slots"] if s["slot"] == slot)

    @contextlib.contextmanager
    def stopped(self, point, slot, passing=1):
        """The slot's worker stops at the point during a reload; and goes on behind this."""
        self.arm(point + ".stop", passing)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            reload = pool.submit(self.janus.ctl, "reload")
            wait_until(lambda: not self.armed(point + ".stop"), 20, "a worker at " + point)
            worker = self.janus.slot(slot)["worker"]
            try:
                wait_until(lambda: is_stopped(worker), 10, "the worker's stop")
                yield
            finally:
                os.kill(worker, signal.SIGCONT)
            self.assertEqual(reload.result()[0], 0)

    def asks(self, token, client=None):
        """One whose request for the session has been looked at."""
        client = client or self.websocket()
        client.send(b"".join(frame(TEXT, json.dumps(a)) for a in ({"action": "publish", "topic": "b", "data": 0, "ref": 1}, {"action": "attach", "token": token})))
        self.assertTrue(client.message()["ok"])
        return client

    def expect_found(self, clients, number):
        for client, token in clients:
            self.assertEqual(client.message().get("token"), token)
        self.publish("a", number)
        for client, _ in clients:
            self.assertEqual(self.numbers(client, 1), [number])

    def test_before_it_is_sent(self):
        """The token leads to where the session is about to go."""
        janus = self.begin(2, CRASH_BUILD)
        token = self.session_on(1)
        janus.configure(self.text(1))
        with self.stopped("leave-noted", 1):
            client = self.asks(token)
        self.expect_found([(client, token)], 1)

    def test_while_it_is_taken_over(self):
        """Its worker has ended the one of both connections and goes on with the other: who asks the slot that the token names is sent to it all the same."""
        janus = self.begin(2, CRASH_BUILD)
        token = self.session_on(1)
        self.reload(1)
        self.reload(2)
        first, client = self.on_both_workers()
        self.arm("attach-unparked.stop")
        first.action("attach", token=token)
        worker = janus.slot(0)["worker"]
        try:
            wait_until(lambda: is_stopped(worker), 10, "the worker's stop")
            self.asks(token, client)
        finally:
            os.kill(worker, signal.SIGCONT)
        self.expect_found([(client, token)], 1)

    def test_upgrade(self):
        """The first slot of a program with another layout serves, and the one that has the session, which has come from a third, does not yet."""
        program = Program(janus_test.BUILD, os.path.join(self.folder, "bin"))
        janus = self.begin(3, program.folder)
        tokens = [self.session_on(2) for _ in range(4)]
        self.reload(2)
        self.assertGreater(self.parked_in(1), 0)
        program.put(OTHER_BUILD)
        with self.stopped("recover-published", 1, 2):
            wait_until(lambda: janus.slot(0)["state"] == "live", 10, "the first slot")
            clients = [(self.asks(token), token) for token in tokens]
        self.expect_found(clients, 1)


if __name__ == "__main__":
    unittest.main()
