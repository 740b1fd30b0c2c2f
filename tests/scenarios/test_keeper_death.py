"""A keeper dies, whatever it is at: its spare is the keeper, and nobody may notice. What each death leaves is in ARCHITECTURE.md ("The keeper's death")."""
import os
import re
import signal
import threading
import unittest

from crash_test import CRASH_BUILD, CrashTest
from janus_test import SLOWNESS, is_alive, wait_until
from processes import is_stopped
from programs import OTHER_BUILD, Program
from servers import parent
from steady import Steady, client_on
from tls_test import LISTEN, TlsTest


class KeeperTest(CrashTest):
    listen = "flash://127.0.0.1:0",

    def how(self):
        """How its clients connect."""
        return {}

    def client(self, server, **more):
        return super().client(server, **self.how(), **more)

    def begin(self, *options, build=CRASH_BUILD, per_worker=3, publisher=1, **more):
        """(Whoever publishes is not in slot 0, as that may be lost.)"""
        self.serve("session_linger=0", *options, build=build, listen=self.listen, **more)
        self.steady = Steady(self, self.janus, per_worker, publisher=client_on(self, self.janus, publisher, **self.how()))

    def begin_program(self):
        self.program = Program(CRASH_BUILD, os.path.join(self.folder, "bin"))
        self.begin(build=self.program.folder, workers=2)

    def die_in_reload(self, point, slot):
        """A keeper dies there: of the slot that comes there first (1), or second (2). The reload is done all the same."""
        self.arm(point, slot)
        self.assertEqual(self.janus.reload()[0::2], (0, ""))
        self.assertFalse(self.armed(point))
        self.janus.killed[-slot, point] = "keeper"
        wait_until(self.in_order, 15, "a keeper and a worker")
        self.steady.progress()

    def follow(self, builds, points=("keeper-executes", "keeper-executed", "spare-made", "keeper-restored"), slots=(1, 2)):
        """One program follows the other, and at each of these points the keeper of the first slot that comes there dies, or of the second."""
        for slot in slots:
            for point in points:
                with self.subTest(point=point, slot=slot):
                    builds.append(builds.pop(0))
                    self.program.put(builds[0])
                    self.die_in_reload(point, slot)

    def end(self):
        """Nobody was closed, everybody had everything, once and in order; and the processes are what they always are."""
        wait_until(self.in_order, 15, "a keeper that is the master's child, and a worker and a spare of its own, for each slot")
        self.steady.progress()
        self.steady.end()
        counters = self.janus.stats()["counters"]
        self.assertEqual([counters[name] for name in ("closed_slot", "closed_uncertain", "closed_blamed", "dropped_overtaken")], [0] * 4)

    def in_order(self):
        workers = self.janus.status()["workers"]
        return (all(w["state"] == "live" and parent(w["keeper"]) == self.janus.master and parent(w["worker"]) == w["keeper"] for w in workers) and
                sorted(map(parent, self.janus.all_called("janus-spare"))) == sorted(w["keeper"] for w in workers))

    def expect_lost(self, here):
        """A slot with so many of the clients is lost, and no other; and that is said."""
        wait_until(lambda: self.steady.closed == here, 10, "the end of the slot's connections")
        self.janus.wait_log(r"slot 0 lost its keeper and its spare: it starts empty")
        wait_until(self.in_order, 15, "a keeper and a worker")
        self.steady.progress()
        self.assertEqual(self.steady.closed, here)

    def may_lose(self, slot=0):
        """Whom that slot has may be closed: how many."""
        self.steady.may_close = set(self.steady.next)
        return self.janus.slot(slot)["connections"]

    def wait_done(self, point):
        wait_until(lambda: not self.armed(point), 10, "somebody at " + point)


class Killed(KeeperTest):
    def test_each(self):
        self.begin(build=None, workers=3)
        for slot in range(3):
            before = self.janus.slot(slot)
            self.janus.kill_keeper(slot)
            wait_until(self.in_order, 15, "another keeper")
            after = self.janus.slot(slot)
            self.assertNotIn(after["keeper"], (0, before["keeper"], before["worker"]))
            self.assertEqual(after["connections"], before["connections"])
            self.assertFalse(is_alive(before["worker"]))
            self.steady.progress()
        wait_until(lambda: len(self.janus.processes()) == 10, 10, "the master, and a keeper, a spare and a worker for each slot")
        self.end()

    def test_again_and_again(self):
        """As soon as there is another. (From the sixth within a second on, it does nothing for a moment.)"""
        self.begin(build=None, workers=2)
        for n in range(20):
            self.janus.kill_keeper(n % 2)
        self.steady.progress()
        self.end()
        self.assertEqual([self.programs_of(keeper) for keeper in self.janus.keepers()], [1, 1])

    @staticmethod
    def programs_of(pid):
        """How many of its descriptors are of the program that it runs."""
        found, folder = os.readlink("/proc/%d/exe" % pid), "/proc/%d/fd" % pid
        return [os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder)].count(found)

    def test_and_then_its_worker(self):
        """By the keeper that was the spare, the next worker is made as ever; and so it goes on."""
        self.begin(build=None, workers=2)
        for _ in range(3):
            self.janus.kill_keeper(0)
            self.janus.kill_worker(0)
            self.janus.kill_worker(1)
        self.assertEqual(self.janus.reload()[0], 0)
        self.end()

    def test_with_its_worker(self):
        """At one instant."""
        self.begin(build=None, workers=2)
        for _ in range(3):
            slot = self.janus.slot(0)
            self.janus.kill(slot["keeper"], "keeper", signal.SIGSTOP)
            self.janus.kill(slot["worker"], "worker")
            self.janus.kill(slot["keeper"], "keeper")
            self.janus.wait_worker(0, slot["worker"])
            self.steady.progress()
        self.end()

    def test_with_its_spare(self):
        """At one instant: nobody can make another keeper, and the worker ends."""
        self.begin(build=None, workers=2)
        here = self.may_lose()
        slot, spare = self.janus.slot(0), self.janus.spare(0)
        self.janus.kill(slot["keeper"], "keeper", signal.SIGSTOP)
        self.janus.kill(spare, "spare")
        self.janus.kill(slot["keeper"], "keeper")
        self.expect_lost(here)
        self.assertEqual(self.janus.count("closed_slot"), here)

    def test_spare(self):
        """It is made again; also when its worker dies at the same instant, and then its keeper."""
        self.begin(build=None, workers=2)
        for n in range(6):
            slot, spare = self.janus.slot(0), self.janus.spare(0)
            self.janus.kill(spare, "spare")
            if n % 2:
                self.janus.kill(slot["worker"], "worker")
            wait_until(lambda: self.janus.spare(0) != spare, 10, "another spare")
            self.janus.wait_worker(0, slot["worker"] if n % 2 else 0)
            self.steady.progress()
        self.janus.kill_keeper(0)
        self.end()

    def test_spare_that_is_told_to_end(self):
        """By somebody: it stays what it is, also when it becomes the keeper."""
        self.begin(build=None, workers=2)
        os.kill(self.janus.spare(0), signal.SIGTERM)
        self.janus.kill_keeper(0)
        self.end()

    def test_spare_that_is_stopped(self):
        """By somebody: the master tells it to go on as soon as it is the keeper."""
        self.begin(build=None, workers=2)
        self.janus.kill(self.janus.spare(0), "spare", signal.SIGSTOP)
        self.janus.kill_keeper(0)
        self.end()
        self.assertNotIn("gives no sign of life", self.janus.log())

    def test_worker_that_is_stopped(self):
        """The next keeper kills it after hang_limit, as the last one would have done."""
        self.begin("hang_limit=1s", build=None, workers=2)
        slot = self.janus.slot(0)
        self.janus.kill(slot["worker"], "worker", signal.SIGSTOP)
        self.janus.kill(slot["keeper"], "keeper")
        self.janus.wait_log("worker %d hangs since" % slot["worker"])
        self.janus.wait_worker(0, slot["worker"])
        self.end()

    def test_master_stopped(self):
        """Nobody waits for the master: the slot has worker and keeper again before it goes on."""
        self.begin(build=None, workers=2)
        slot = self.janus.slot(0)
        os.kill(self.janus.master, signal.SIGSTOP)
        try:
            self.janus.kill(slot["keeper"], "keeper")
            self.janus.wait_log(r"(?s)the keeper has died; process \d+ is the next.*worker 0: took over")
            self.steady.progress()
        finally:
            os.kill(self.janus.master, signal.SIGCONT)
        self.end()

    def test_master_too_within_a_pause(self):
        """A keeper that waits before it does anything is one all the same; and the next master finds it."""
        self.begin(build=None, workers=2)
        janus = self.janus
        for _ in range(30):
            before = janus.slot(0)["worker"]
            janus.kill_keeper(0, wait=False)
            if re.search(r"begins in (?:\d{3,}) ms", janus.log()):
                break
            janus.wait_worker(0, before)
        janus.kill(janus.master, "master")
        janus.process.wait()
        janus.start()
        self.assertRegex(janus.log(), "taken over, with 2 workers")
        self.steady.progress()
        self.steady.end()

    def test_stop(self):
        """The server stops in order, whoever is there by then."""
        for _ in range(3):
            janus = self.server(workers=2)
            for keeper in janus.keepers():
                janus.kill(keeper, "keeper")
            janus.stop()


class Points(KeeperTest):
    """Somebody dies on the way to another keeper."""

    def die_at(self, point):
        self.arm(point)
        self.janus.kill_keeper(0)
        self.wait_done(point)
        self.janus.killed[0] = "keeper"

    def next_stopped(self):
        """Slot 0 as it was, and its next keeper: stopped when it has made its spare. (The master tells each new keeper to go on, which may be behind that: then once more.)"""
        for _ in range(10):
            slot = self.janus.slot(0)
            self.arm("spare-again.stop")
            self.janus.kill(slot["keeper"], "keeper")
            self.wait_done("spare-again.stop")
            keeper = wait_until(lambda: {self.janus.slot(0)["keeper"]} - {0, slot["keeper"]}, 10, "another keeper").pop()
            self.janus.wait_log("slot 0: its spare is the keeper now, process %d" % keeper)
            wait_until(lambda: is_stopped(keeper) or self.janus.slot(0)["worker"] != slot["worker"], 10, "a keeper that stops, or goes on")
            if is_stopped(keeper):
                return slot, keeper
            wait_until(self.in_order, 15, "a keeper and a worker")
        raise AssertionError("no keeper stays stopped")

    def test_keeper_again(self):
        """Three in a row, two of them before they ask the worker to leave."""
        self.begin(workers=2)
        slot, keeper = self.next_stopped()
        self.arm("spare-again")
        self.janus.kill(keeper, "keeper")
        self.wait_done("spare-again")
        self.janus.killed[0] = "keeper"
        self.janus.wait_worker(0, slot["worker"])
        self.end()

    def test_keeper_that_has_asked(self):
        """The worker has been told to leave, and its keeper dies before it does."""
        self.begin(workers=2)
        slot, keeper = self.next_stopped()
        os.kill(slot["worker"], signal.SIGSTOP)         # (so that it has not left before that one dies)
        self.arm("keeper-asked")
        os.kill(keeper, signal.SIGCONT)
        wait_until(lambda: not is_alive(keeper), 10, "the next keeper's death")
        os.kill(slot["worker"], signal.SIGCONT)
        self.janus.killed[keeper] = "keeper"
        self.janus.wait_worker(0, slot["worker"])
        self.end()

    def test_worker_that_publishes(self):
        """It dies with the hub lock held: the new keeper lets it go, though it is not its parent."""
        self.begin(workers=2, publisher=0)
        slot, keeper = self.next_stopped()
        self.arm("publish-committed")
        self.wait_done("publish-committed")
        os.kill(keeper, signal.SIGCONT)
        self.janus.wait_worker(0, slot["worker"])
        self.end()

    def test_next_one(self):
        """When it has made another spare: that one is the keeper."""
        for point in "spare-again", "keeper-asked", "keeper-alone":
            with self.subTest(point=point):
                self.begin(workers=2)
                self.die_at(point)
                self.end()

    def test_next_one_too_soon(self):
        """Before it has: the slot is lost."""
        for point in "spare-missed", "spare-keeper":
            with self.subTest(point=point):
                self.begin(workers=2)
                here = self.may_lose()
                self.die_at(point)
                self.expect_lost(here)

    def test_spare_that_begins(self):
        self.begin(workers=2)
        self.arm("spare-begun")
        self.janus.kill(self.janus.spare(0), "spare")
        self.wait_done("spare-begun")
        self.end()

    def test_keeper_that_makes_one(self):
        """Another, as the first has died: whichever there is goes on."""
        self.begin(workers=2)
        self.arm("spare-made")
        self.janus.kill(self.janus.spare(0), "spare")
        self.wait_done("spare-made")
        self.janus.killed[0] = "keeper"
        self.end()

    def test_while_the_worker_starts(self):
        self.begin(workers=2)
        self.arm("recover-begun.stop")
        self.janus.kill_worker(0, wait=False)
        self.wait_done("recover-begun.stop")
        worker = wait_until(lambda: self.janus.slot(0)["worker"], 10, "the next worker")
        self.janus.kill(self.janus.slot(0)["keeper"], "keeper")
        wait_until(lambda: parent(worker) == self.janus.master, 10, "the worker to be the master's child")
        os.kill(worker, signal.SIGCONT)
        self.janus.wait_worker(0, worker)
        self.end()

    def test_worker_that_does_not_leave(self):
        """The next keeper kills it after hang_limit, as ever."""
        self.begin("hang_limit=1s", workers=2)
        slot, keeper = self.next_stopped()
        self.janus.kill(slot["worker"], "worker", signal.SIGSTOP)
        os.kill(keeper, signal.SIGCONT)
        self.janus.wait_log("worker %d hangs since" % slot["worker"])
        self.janus.wait_worker(0, slot["worker"])
        self.end()

    def test_order(self):
        """A keeper that has taken an order: the next one is given it again, and the reload is done."""
        for point in "order-taken", "order-followed":
            for slot in (0, 1):             # the canary, another
                with self.subTest(point=point, slot=slot):
                    self.begin(workers=2)
                    self.arm(point, slot + 1)
                    keeper, worker = self.janus.slot(slot)["keeper"], self.janus.slot(slot)["worker"]
                    os.kill(worker, signal.SIGSTOP)         # (so that it has not left before its keeper dies)
                    answer = []
                    reload = threading.Thread(target=lambda: answer.append(self.janus.reload()))
                    reload.start()
                    try:
                        wait_until(lambda: not is_alive(keeper), 10, "the keeper's death")
                    finally:
                        os.kill(worker, signal.SIGCONT)
                        reload.join()
                    self.assertEqual((answer[0][0], answer[0][2]), (0, ""))
                    self.janus.killed[0] = "keeper"
                    self.end()

    def test_without_a_worker(self):
        """It has just ended, as it was told to for a reload, or was killed."""
        self.begin(workers=2)
        self.arm("keeper-reaped")
        self.janus.kill_worker(0, wait=False)
        self.wait_done("keeper-reaped")
        self.janus.killed[0] = "keeper"
        wait_until(self.in_order, 15, "a keeper and a worker")
        for slot in (1, 2):
            for point in "keeper-reaped", "keeper-followed", "spare-made":
                with self.subTest(point=point, slot=slot):
                    self.die_in_reload(point, slot)
        self.end()

    def test_keeper_that_stops(self):
        """The server ends all the same, whether its master has told the keeper to stop, or has died."""
        for lives in True, False:
            with self.subTest(lives=lives):
                self.serve_crash_build("master_linger=0", workers=1)
                self.arm("keeper-stops")
                self.janus.killed[0] = "keeper"
                self.janus.kill(self.janus.master, "master", signal.SIGTERM if lives else signal.SIGKILL)
                self.janus.process.wait(20 * SLOWNESS)
                wait_until(lambda: not self.janus.processes(), 15, "the end of all processes")
                self.assertFalse(self.armed("keeper-stops"))

    def test_program_that_follows(self):
        """Before and behind execve()."""
        self.begin_program()
        self.follow([CRASH_BUILD, CRASH_BUILD])
        self.end()

    def test_layout_that_follows(self):
        """The same of a program with another layout, which begins with snapshots."""
        self.begin_program()
        self.follow([CRASH_BUILD, OTHER_BUILD])
        self.end()

    def test_snapshot_that_is_read_again(self):
        """By the spare, and what the slot had not delivered when its worker left it is delivered: another slot's worker published it after that."""
        self.begin_program()
        wait_until(self.in_order, 15, "what is there from the start")
        self.program.put(OTHER_BUILD)
        leaves, stays, answer = self.janus.slot(0)["worker"], self.janus.slot(1)["worker"], []
        reload = threading.Thread(target=lambda: answer.append(self.janus.reload()))
        os.kill(stays, signal.SIGSTOP)
        try:
            self.arm("spare-made")
            reload.start()
            wait_until(lambda: not is_alive(leaves), 10, "the end of the first worker")
            count = self.steady.count
            wait_until(lambda: self.steady.count > count + 5, 10, "some messages")
        finally:
            os.kill(stays, signal.SIGCONT)
            reload.join()
        self.assertEqual(answer[0][0::2], (0, ""))
        self.assertFalse(self.armed("spare-made"))
        self.janus.killed[0] = "keeper"
        self.end()

    def test_quiesced(self):
        """A keeper whose worker has left a snapshot: the upgrade is refused, all go on, and again it can be done; or it is done, if the master was faster."""
        self.begin_program()
        self.program.put(OTHER_BUILD)
        for slot in (1, 2):
            self.arm("keeper-quiesced", slot)
            refused = self.janus.reload()[0]
            self.assertIn(refused, (0, 1))
            self.assertFalse(self.armed("keeper-quiesced"))
            self.janus.killed[-slot] = "keeper"
            wait_until(self.in_order, 15, "a keeper and a worker")
            self.steady.progress()
            if not refused:
                break
        self.assertEqual(self.janus.reload()[0], 0)
        self.end()

    def test_slot_that_starts_empty(self):
        """Its workers died one behind the other, and its keeper while it takes away what the slot had: that is done to its end, and all goes on."""
        for point in "slot-emptying", "slot-emptied":
            with self.subTest(point=point):
                self.serve_crash_build("restart_limit=0", workers=1)
                self.addCleanup(self.janus.forgive_deaths, signal.SIGABRT)
                clients, keeper = self.clients(self.janus, 3), self.janus.slot(0)["keeper"]
                self.arm(point + ".stop")
                self.arm("start-abort")
                self.janus.kill_worker(0, wait=False)
                self.wait_done(point + ".stop")
                self.disarm("start-abort")
                self.janus.kill(keeper, "keeper")
                for client in clients:
                    client.expect_close()
                wait_until(self.in_order, 15, "a keeper and a worker")
                self.assertEqual(self.janus.connections(), 0)
                client = self.client(self.janus).subscribe("a")
                client.publish("a", n=1)
                client.expect_message("a", n=1)

    def test_snapshot(self):
        """A keeper that has asked for a snapshot: the upgrade is refused, and all go on; and again it can be done."""
        folder = os.path.join(self.folder, "bin")
        program = Program(CRASH_BUILD, folder)
        self.begin(build=program.folder, workers=2)
        self.arm("snapshot-asked")
        program.put(OTHER_BUILD)
        keepers, workers = self.janus.keepers(), self.janus.workers()
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)         # (so that none has left before its keeper dies)
        answer = []
        reload = threading.Thread(target=lambda: answer.append(self.janus.reload()))
        reload.start()
        try:
            wait_until(lambda: not all(map(is_alive, keepers)), 10, "a keeper's death")
        finally:
            for worker in workers:
                os.kill(worker, signal.SIGCONT)
            reload.join()
        self.assertEqual(answer[0][0], 1)
        self.assertIn("keeper died", answer[0][2])
        self.janus.killed[0] = "keeper"
        wait_until(self.in_order, 15, "another keeper")
        self.steady.progress()
        self.assertEqual(self.janus.reload()[0], 0)
        self.end()


class WithinTls(KeeperTest, TlsTest):
    """What is kept of a TLS connection goes from segment to segment, and as a snapshot, with the rest."""

    listen = LISTEN

    def how(self):
        return {"tls": self.tls()}

    def test_programs_that_follow(self):
        self.begin_program()
        self.follow([CRASH_BUILD, CRASH_BUILD, OTHER_BUILD], points=("keeper-executes", "spare-made", "keeper-restored"), slots=(1,))
        self.end()


if __name__ == "__main__":
    unittest.main()
