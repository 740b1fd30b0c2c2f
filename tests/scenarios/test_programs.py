"""What stands at the program's path need not be the program that runs: it may be gone, cut, another one, or none of ours.

Nothing that runs depends on it, until a reload has asked it. A killed worker costs nothing, nor does a killed keeper; both at one instant cost their slot, as ever.
"""
import contextlib
import os
import random
import re
import shutil
import signal
import tempfile
import threading
import time
import unittest

import janus_test
from janus_test import ROOT, SLOWNESS, JanusTest, Server, is_alive, wait_until
from programs import OTHER_BUILD, Program
from steady import Steady, client_on, stopped_reader_on
from test_upgrade import NO_SNAPSHOT_BUILD
from victims import children

CRASH_BUILD = os.path.join(ROOT, os.environ.get("JANUS_CRASH_BUILD", "build/crash"))


def is_probe(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return b"--probe" in f.read()
    except (FileNotFoundError, ProcessLookupError):
        return False


def state_of(pid):
    """T: stopped; Z: ended, and nobody has asked for it yet; empty: gone."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Programs(JanusTest):
    def begin(self, workers=3, symlink=False, per_worker=3, **more):
        """A server whose program can be replaced, and steady clients; their publisher is on slot 1."""
        self.janus = Server(workers=workers, **more)
        self.addCleanup(self._end, self.janus)
        self.program = Program(janus_test.BUILD, os.path.join(self.janus.folder, "bin"))
        self.janus.build = self.program.folder
        if symlink:
            self.switch("first")
        self.janus.start()
        self.steady = Steady(self, self.janus, per_worker, publisher=client_on(self, self.janus, 1) if workers > 1 else None)

    def switch(self, version):
        """bin/janus is a symbolic link to VERSION/janus."""
        folder = os.path.join(self.janus.folder, version)
        if not os.path.exists(folder):
            os.mkdir(folder)
            shutil.copy(os.path.join(self.program.source, "janus"), folder)
        link = os.path.join(self.program.folder, "link")
        os.symlink(os.path.join(folder, "janus"), link)
        os.rename(link, self.program.path)
        return os.path.join(folder, "janus")

    def live(self):
        return all(w["state"] == "live" and is_alive(w["worker"]) for w in self.janus.status()["workers"])

    def kinds(self):
        """(name, what puts it there) of all that can stand at the path."""
        found = [(kind, lambda kind=kind: self.program.put_broken(kind)) for kind in Program.BROKEN]
        found.append(("another layout", lambda: self.put_other(OTHER_BUILD)))
        found.append(("one that reads no snapshots", lambda: self.put_other(NO_SNAPSHOT_BUILD)))
        return found

    def put_other(self, build):
        """The server's program alone: janusctl stays one that understands what runs."""
        self.program.put_file(os.path.join(build, "janus"))

    def put_back(self):
        self.program.put(self.program.source)

    def reload(self, status=0):
        got, _, err = self.janus.reload()
        self.assertEqual(got, status, err)
        return err

    def reload_in_the_end(self):
        """As soon as no other is under way."""
        def reloaded():
            self.assertTrue(self.janus.running(), "the server has ended")
            return self.janus.reload()[0] == 0
        wait_until(reloaded, 40, "a reload", pause=0.1)
        wait_until(self.live, 15, "all workers live")

    def end(self, closed=0):
        self.steady.end()
        wait_until(self.live, 15, "all workers live")
        self.assertEqual(self.janus.connections(), self.steady.begun - closed)
        counters = self.janus.stats()["counters"]
        self.assertEqual((counters["closed_uncertain"], counters["closed_blamed"], counters["dropped_overtaken"]), (0, 0, 0))

    # deaths meanwhile

    def test_worker_killed(self):
        self.begin()
        for kind, put in self.kinds():
            put()
            for slot in range(2):
                self.janus.kill_worker(slot)
            self.steady.progress(what="a message after %s and a kill" % kind)
            self.put_back()
        self.reload()
        self.end()

    def lose_slot(self, slot=0):
        """It costs the slot's connections, and they alone."""
        here = self.janus.slot(slot)["connections"]
        self.steady.may_close = set(self.steady.next)
        before = self.steady.closed
        self.janus.lose_slot(slot)
        wait_until(lambda: self.steady.closed >= before + here, 10, "the end of the slot's connections")
        self.steady.progress()
        self.assertEqual(self.steady.closed, before + here)
        return here

    def check_keeper_killed(self, kind, put):
        self.begin()
        put()
        self.janus.kill_keeper(1)
        self.steady.progress()
        lost = self.lose_slot()
        client = client_on(self, self.janus, 0)
        client.subscribe("a")
        client.publish("a", n=1)
        client.expect_message("a", n=1)
        self.put_back()
        self.reload()
        self.end(lost - 1)

    def test_program_after_a_death(self):
        """What is started after a death is what ran, not what stands at the path."""
        self.begin()
        inode = os.stat("/proc/%d/exe" % self.janus.slot(0)["keeper"]).st_ino
        self.put_other(OTHER_BUILD)
        lost = self.lose_slot()
        for pid in (self.janus.slot(0)["keeper"], self.janus.slot(0)["worker"]):
            self.assertEqual(os.stat("/proc/%d/exe" % pid).st_ino, inode)
        self.program.put(OTHER_BUILD)
        self.reload()
        self.end(lost)

    # reloads

    def test_reload_refused(self):
        """Whatever can be no successor is refused, before anything is stopped."""
        self.begin()
        workers = self.janus.workers()
        for kind in Program.BROKEN:
            self.program.put_broken(kind)
            status, _, err = self.janus.reload()
            self.assertEqual(status, 1, "%s: %s" % (kind, err))
            self.assertRegex(err, r"\w", kind)
            self.steady.progress(what="a message after a reload to %s" % kind)
        self.assertEqual(self.janus.workers(), workers)
        self.put_back()
        self.reload()
        self.end()

    def test_what_only_claims_to_be_one(self):
        """A program that answers each question with any status that there is."""
        self.begin()
        for status in (0, 1, 2, 10, 11, 42, 126, 127, 255):
            self.program.put_script("echo janus; exit %d" % status)
            self.reload(1)
            self.steady.progress()
        self.put_back()
        self.reload()
        self.end()

    def test_replaced_while_it_rolls(self):
        """A package is unpacked while a SIGHUP rolls slot by slot."""
        self.begin(workers=4)
        rng = random.Random(7)
        for kind, put in self.kinds():
            os.kill(self.janus.master, signal.SIGHUP)
            time.sleep(rng.random() * 0.02)         # (the moment, not a wait for something)
            put()
            self.steady.progress(what="a message after %s" % kind)
            self.put_back()
            self.reload_in_the_end()
        self.end()

    def test_replaced_and_a_worker_killed_while_it_rolls(self):
        self.begin(workers=4)
        rng = random.Random(8)
        for kind, put in self.kinds():
            worker = self.janus.slot(rng.randrange(4))["worker"]
            os.kill(self.janus.master, signal.SIGHUP)
            time.sleep(rng.random() * 0.02)
            put()
            with contextlib.suppress(ProcessLookupError):
                self.janus.kill(worker, "worker")
            self.steady.progress(what="a message after %s and a kill" % kind)
            self.put_back()
            self.reload_in_the_end()
        self.end()

    def test_symlink_is_followed(self):
        """One that is switched: the reload takes what it points to by then, a death does not."""
        self.begin(symlink=True)
        second = self.switch("second")
        self.janus.kill_worker(0)
        self.reload()
        for pid in [self.janus.master] + self.janus.keepers() + self.janus.workers():
            self.assertTrue(os.path.samefile("/proc/%d/exe" % pid, second))
        os.unlink(self.program.path)
        os.symlink("/nonexistent", self.program.path)
        self.reload(1)
        self.switch("second")
        self.reload()
        self.end()

    # upgrades

    def in_the_background(self, function):
        """What it returned, in a list, once the thread has ended."""
        found = []
        thread = threading.Thread(target=lambda: found.append(function()), daemon=True)
        thread.start()
        return thread, found

    def test_keeper_killed_while_quiescing(self):
        """Its slot's connections are lost if it had no worker by then, and no other's ever; whether the upgrade was done is told."""
        self.begin(workers=3, per_worker=4)
        rng = random.Random(9)
        closed = 0
        for n in range(6):
            victim = self.janus.slot(2)
            here = victim["connections"]
            self.steady.may_close = set(self.steady.next)
            before = self.steady.closed
            self.program.put(OTHER_BUILD if self.program.source != OTHER_BUILD else janus_test.BUILD)
            running = self.program.source
            if n % 2:               # the master learns of the death and of the reload at the same moment
                os.kill(self.janus.master, signal.SIGSTOP)
            thread, found = self.in_the_background(self.janus.reload)
            time.sleep(rng.random() * 0.06)         # (the moment)
            self.janus.kill(victim["keeper"], "keeper")
            if n % 2:
                wait_until(lambda: not is_alive(victim["worker"]), 10, "the worker's end")
                os.kill(self.janus.master, signal.SIGCONT)
            thread.join(20 * SLOWNESS)
            self.assertTrue(found, "janusctl reload does not end")
            self.assertTrue(found[0][0] == 0 or re.search(r"\w", found[0][2]))
            self.reload_in_the_end()
            self.steady.progress()
            here = self.steady.closed - before and here
            self.assertEqual(self.steady.closed, before + here)
            self.assertTrue(os.path.samefile("/proc/%d/exe" % self.janus.master, os.path.join(self.program.folder, "janus")), running)
            closed += here
        self.end(closed)

    def stop_probe(self, reload):
        """The process that asks the next program whether it can follow, once it is there; stopped. None: it had ended already."""
        def find():
            probes = [pid for pid in children(self.janus.master) if is_probe(pid)]
            if probes:
                os.kill(probes[0], signal.SIGSTOP)
            return probes or (None if reload.is_alive() else [None])
        probe = wait_until(find, 60, "the process that asks", pause=0)[0]
        if not probe:
            return None
        return wait_until(lambda: {"T": (probe,), "Z": (None,), "": (None,)}.get(state_of(probe)), 10, "its being stopped")[0]

    def test_upgrade_while_a_slot_drains_and_goes(self):
        """A slot that ends while the next program is asked leaves descriptor numbers to others."""
        config = "workers = %d\nlisten = flash://127.0.0.1:0\n"
        self.begin(workers=2, config=config % 2, per_worker=4)
        caught = 0
        while caught < 3:
            self.janus.configure(config % 3)
            self.reload_in_the_end()
            leaving = stopped_reader_on(self, self.janus, 2)
            self.janus.configure(config % 2)
            self.reload()
            self.program.put(OTHER_BUILD if self.program.source != OTHER_BUILD else janus_test.BUILD)
            keeper = self.janus.slot(2)["keeper"]
            thread, found = self.in_the_background(self.janus.reload)
            probe = self.stop_probe(thread)
            if probe and not set(children(keeper)) & set(self.janus.all_called("janus-worker")):     # it was asked a second time, when the workers had left their snapshots
                os.kill(probe, signal.SIGCONT)
                probe = None
            leaving.close()
            wait_until(lambda: not is_alive(keeper), 5, "the end of the slot that drains")
            if probe:
                os.kill(probe, signal.SIGCONT)
                caught += 1
            thread.join(60 * SLOWNESS)
            self.assertEqual(found[0][0], 0, found[0][2])
            self.steady.progress()
        self.janus.configure(config % 2)
        self.reload_in_the_end()
        self.steady.end()
        self.assertEqual(self.janus.count("closed_slot") + self.janus.count("closed_uncertain"), 0)

    def test_workers_that_abort_at_start(self):
        """The program answers well, and its workers die: back to the old one, with an error, and nobody has lost anything."""
        folder = tempfile.mkdtemp(prefix="janus-crash-")
        self.addCleanup(shutil.rmtree, folder)
        mark = os.path.join(folder, "start-abort")
        os.environ["JANUS_CRASH_DIR"] = folder
        try:
            self.begin()
        finally:
            del os.environ["JANUS_CRASH_DIR"]
        inode = os.stat("/proc/%d/exe" % self.janus.master).st_ino
        open(mark, "w").close()
        for _ in range(3):
            self.program.put(CRASH_BUILD)
            status, _, err = self.janus.reload()
            self.janus.forgive_deaths(6)
            self.assertEqual(status, 1)
            self.assertRegex(err, r"\w")
            wait_until(self.live, 20, "all workers live")
            self.steady.progress()
            for pid in [self.janus.master] + self.janus.keepers() + self.janus.workers():
                self.assertEqual(os.stat("/proc/%d/exe" % pid).st_ino, inode)
        os.unlink(mark)
        self.reload()
        self.end()


def _one(kind, put):
    def test(self):
        self.check_keeper_killed(kind, lambda: put(self))
    test.__doc__ = "At the path stands: %s." % kind
    return test


for _kind in Program.BROKEN:
    setattr(Programs, "test_keeper_killed_" + re.sub(r"\W+", "_", _kind).strip("_"), _one(_kind, lambda self, kind=_kind: self.program.put_broken(kind)))
for _kind, _build in (("another layout", OTHER_BUILD), ("one that reads no snapshots", NO_SNAPSHOT_BUILD)):
    setattr(Programs, "test_keeper_killed_" + re.sub(r"\W+", "_", _kind), _one(_kind, lambda self, build=_build: self.put_other(build)))


if __name__ == "__main__":
    unittest.main()
