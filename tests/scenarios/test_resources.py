"""What a process needs and can't have: descriptors, processes, memory, room on a disk. Nobody may lose anything by it.

A shortage is brought about for single processes, with prlimit; for a killed worker's successor, that is for its keeper. While it lasts, the
others serve on; once it is over, all is as before.
"""
import contextlib
import os
import pwd
import resource
import subprocess
import time
import unittest

import janus_test
from janus_test import JanusTest, Server, is_alive, wait_until
from programs import OTHER_BUILD, Program
from steady import Steady, client_on

SHORTAGE = 2.5              # seconds that one lasts, in which a server that gives up after some tries has done so
CGROUP = "/sys/fs/cgroup"


class ResourceTest(JanusTest):
    def begin(self, *options, workers=2, user=None, **more):
        """A server whose program can be replaced, and steady clients; their publisher is on slot 1."""
        if user:
            options += ("user=" + user,)
        self.janus = Server(*options, workers=workers, **more)
        self.addCleanup(self._end, self.janus)
        if not user:                    # (whom another user would not get at)
            self.program = Program(janus_test.BUILD, os.path.join(self.janus.folder, "bin"))
            self.janus.build = self.program.folder
        self.prepare()
        self.janus.start()
        self.steady = Steady(self, self.janus, publisher=client_on(self, self.janus, 1))

    def prepare(self):
        """Before the start."""

    def live(self):
        return all(w["state"] == "live" and is_alive(w["worker"]) for w in self.janus.status()["workers"])

    @contextlib.contextmanager
    def limits(self, what, most, *pids):
        """A limit for these processes while it lasts. (The soft one: who is not root could not raise the other again.)"""
        before = []
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                soft, hard = resource.prlimit(pid, what)
                before.append((pid, (soft, hard)))
                resource.prlimit(pid, what, (most, hard))
        try:
            yield
        finally:
            for pid, had in before:
                with contextlib.suppress(ProcessLookupError):
                    resource.prlimit(pid, what, had)

    def others(self, slot):
        """Steady clients that are not on this slot, found by who still gets messages while it has no worker."""
        had = dict(self.steady.next)
        wait_until(lambda: self.steady.check() or sum(self.steady.next[c] > had[c] + 5 for c in had) >= 2, 10, "messages with those of the other slots")
        return [c for c in had if self.steady.next[c] > had[c] + 5]

    def shortage(self, slot=0):
        """The slot's worker is killed, and for a while there can be no other."""
        keeper, begun = self.janus.slot(slot)["keeper"], time.monotonic()
        self.janus.kill_worker(slot, wait=False)
        others = self.others(slot)
        while time.monotonic() - begun < SHORTAGE:
            self.steady.progress(among=others)
            self.assertTrue(is_alive(keeper), "the keeper has ended")
        self.assertNotEqual(self.janus.slot(slot)["state"], "live", "it had what it needed")

    def end(self):
        wait_until(self.live, 20, "all workers live")
        self.steady.end()
        self.assertEqual(self.janus.connections(), self.steady.begun)
        counters = self.janus.stats()["counters"]
        self.assertEqual(counters["closed"], self.steady.closed_before)
        self.assertEqual({name: counters[name] for name in ("closed_slot", "closed_uncertain", "dropped_overtaken")},
                         {"closed_slot": 0, "closed_uncertain": 0, "dropped_overtaken": 0})


class Start(ResourceTest):
    """What a worker, or a keeper, needs at its start."""

    def test_no_descriptors(self):
        self.begin()
        keeper = self.janus.slot(0)["keeper"]
        with self.limits(resource.RLIMIT_NOFILE, 8, keeper):
            self.shortage()
        self.end()

    def test_few_descriptors(self):
        """Some can be had and then no more, so that it fails in another place each time."""
        self.begin()
        keeper = self.janus.slot(0)["keeper"]
        used = max(janus_test.descriptors(keeper)) + 1
        for most in range(used - 35, used + 1, 5):
            self.steady.progress()
            with self.limits(resource.RLIMIT_NOFILE, most, keeper):
                old = self.janus.kill_worker(0, wait=False)
                others = self.others(0)
                for _ in range(10):
                    self.steady.progress(among=others)
            self.janus.wait_worker(0, old)
        self.end()

    def test_no_memory(self):
        self.begin()
        if "asan" in janus_test.BUILD:
            self.skipTest("a sanitizer's address space is as large as it is")
        keeper = self.janus.slot(0)["keeper"]
        with open("/proc/%d/statm" % keeper) as f:
            pages = int(f.read().split()[0])
        with self.limits(resource.RLIMIT_AS, (pages + 16) * resource.getpagesize(), keeper):
            self.shortage()
        self.end()

    def test_no_processes(self):
        """RLIMIT_NPROC, which is no limit for root."""
        user = "nobody" if os.getuid() == 0 else None
        self.begin(user=user)
        keeper = self.janus.slot(0)["keeper"]
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)             # which it has inherited
        hard = "unlimited" if hard == resource.RLIM_INFINITY else hard

        def limit(soft):
            """As that user: root need not be allowed to, in a container."""
            who = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
            return subprocess.run(["prlimit", "--pid", str(keeper), "--nproc=%s:%s" % (soft, hard)], **who).returncode
        self.assertEqual(limit(1), 0)
        try:
            self.shortage()
        finally:
            limit(hard)
        self.end()

    def cgroup(self, pids):
        """A group of processes that may have no more than these: a folder, whose pids.max can be written to."""
        top = os.path.join(CGROUP, "pids") if os.path.isdir(os.path.join(CGROUP, "pids")) else CGROUP
        folder = os.path.join(top, os.path.basename(self.janus.folder))
        try:
            os.mkdir(folder)
            self.addCleanup(self.remove_cgroup, top, folder)
            for pid in pids:
                with open(os.path.join(folder, "cgroup.procs"), "w") as f:
                    f.write(str(pid))
            with open(os.path.join(folder, "pids.max"), "w") as f:
                f.write(str(len(pids)))
        except OSError as e:
            self.skipTest("no groups of processes can be made here: %s" % e)
        return folder

    @staticmethod
    def remove_cgroup(top, folder):
        with contextlib.suppress(OSError):
            with open(os.path.join(folder, "pids.max"), "w") as f:
                f.write("max")
            with open(os.path.join(folder, "cgroup.procs")) as f:
                pids = f.read().split()
            for pid in pids:
                with open(os.path.join(top, "cgroup.procs"), "w") as f:
                    f.write(pid)
            os.rmdir(folder)

    def test_no_processes_in_a_cgroup(self):
        self.begin()
        keeper = self.janus.slot(0)["keeper"]
        folder = self.cgroup([keeper, self.janus.slot(0)["worker"]])
        with open(os.path.join(folder, "pids.max"), "w") as f:
            f.write("1")
        self.shortage()
        with open(os.path.join(folder, "pids.max"), "w") as f:
            f.write("max")
        self.end()

    def test_no_processes_for_a_keeper(self):
        """A worker whose keeper has died serves on until the next one can make another spare."""
        self.begin()
        slot = self.janus.slot(0)
        folder = self.cgroup([self.janus.spare(0)])
        self.janus.kill(slot["keeper"], "keeper")
        self.janus.wait_log("no process for a spare")
        begun = time.monotonic()
        while time.monotonic() - begun < SHORTAGE:
            self.steady.progress()
        self.assertEqual(self.janus.slot(0)["worker"], slot["worker"])
        with open(os.path.join(folder, "pids.max"), "w") as f:
            f.write("max")
        self.janus.wait_worker(0, slot["worker"])
        self.end()

    def test_no_processes_for_the_master(self):
        """Keeper and worker die, and there can be no other for a while: their slot is lost, no more than that. Nor can a program be asked."""
        self.begin(workers=3)
        folder = self.cgroup([self.janus.master])
        status, _, err = self.janus.reload()
        self.assertEqual(status, 1)
        self.assertRegex(err, r"\w")
        here = self.janus.slot(0)["connections"]
        self.steady.may_close = set(self.steady.next)
        self.janus.lose_slot(0, wait=False)
        wait_until(lambda: self.steady.closed >= here, 10, "the end of the slot's connections")
        begun = time.monotonic()
        while time.monotonic() - begun < SHORTAGE:
            self.steady.progress()
            self.assertTrue(self.janus.running(), "the server has ended")
        with open(os.path.join(folder, "pids.max"), "w") as f:
            f.write("max")
        wait_until(self.live, 20, "all workers live")
        self.assertEqual(self.janus.reload()[0], 0)
        self.steady.end()
        self.assertEqual(self.janus.connections(), self.steady.begun - here)


class Files(ResourceTest):
    """They can't be written."""

    def processes_of(self, role):
        w = self.janus.slot(0)
        return {"master": [self.janus.master], "keeper": [w["keeper"]], "worker": [w["worker"]], "keeper and worker": [w["keeper"], w["worker"]],
                "all": self.janus.processes()}[role]

    def no_files(self, role, reload):
        """Nothing that these processes write to a file comes further than what the log has already."""
        self.begin()
        master = self.janus.master
        with self.limits(resource.RLIMIT_FSIZE, 1, *self.processes_of(role)):
            status, _, err = reload()
            self.steady.progress()
            self.assertTrue(self.janus.running(), "the server has ended")
            if status:
                self.assertRegex(err, r"\w")
        wait_until(self.live, 20, "all workers live")
        self.steady.progress()
        self.janus.kill_worker(0)
        self.janus.kill_worker(1)
        self.assertEqual(self.janus.master, master)
        self.assertEqual(self.janus.reload()[0], 0)
        self.end()
        return status

    def upgrade(self):
        self.program.put(OTHER_BUILD)
        found = self.janus.reload()
        if found[0]:
            self.program.put(janus_test.BUILD)
        return found

    def test_no_files_for_a_keeper_in_a_reload(self):
        """Its handover state can't be written: the slot goes on as it was, and the reload says so."""
        self.assertNotEqual(self.no_files("keeper", lambda: self.janus.reload()), 0)

    def test_no_files_for_the_master_in_a_reload(self):
        self.assertNotEqual(self.no_files("master", lambda: self.janus.reload()), 0)

    def test_no_files_for_a_worker_in_an_upgrade(self):
        """Its snapshot can't be written: that ends the upgrade, or its successor, which has no such limit, writes one."""
        self.no_files("worker", self.upgrade)

    def test_no_files_for_keeper_and_worker_in_an_upgrade(self):
        """One refusal ends the upgrade."""
        self.assertNotEqual(self.no_files("keeper and worker", self.upgrade), 0)

    def test_no_files_for_the_master_in_an_upgrade(self):
        """The hub's snapshot can't be."""
        self.assertNotEqual(self.no_files("master", self.upgrade), 0)

    def test_no_files_for_anybody(self):
        """The log is among them: workers die, and who writes of it must not die of that."""
        self.begin()
        with self.limits(resource.RLIMIT_FSIZE, 1, *self.janus.processes()):
            for _ in range(3):
                for slot in range(2):
                    self.janus.kill_worker(slot)
                    self.steady.progress()
            self.janus.reload()
            self.steady.progress()
        wait_until(self.live, 20, "all workers live")
        # Those that were made meanwhile have the limit from their parents.
        pids = self.janus.processes()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]))
        self.assertEqual(self.janus.reload()[0], 0)
        self.end()


class FullDisk(ResourceTest):
    """The log's."""

    def prepare(self):
        self.disk = os.path.join(self.janus.folder, "disk")
        os.mkdir(self.disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "janus-test", self.disk], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("nothing can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", self.disk])
        self.janus.log_file = os.path.join(self.disk, "log")

    def fill(self):
        with open(os.path.join(self.disk, "more"), "wb", buffering=0) as f:
            with contextlib.suppress(OSError):
                while True:
                    f.write(b"x" * 512)

    def test_full_disk(self):
        self.begin()
        self.fill()
        size = os.path.getsize(self.janus.log_file)
        for slot in (0, 1, 0, 1):
            self.janus.kill_worker(slot)
            self.steady.progress()
        while self.janus.reload()[0] == 0 and os.path.getsize(self.janus.log_file) > size:
            size = os.path.getsize(self.janus.log_file)         # (up to the page's end there was room)
        self.assertEqual(self.janus.reload()[0], 0)
        self.steady.progress()
        os.unlink(os.path.join(self.disk, "more"))
        self.janus.kill_worker(0)
        self.janus.wait_log(r"took over \d+ connections")
        self.assertEqual(self.janus.reload()[0], 0)
        wait_until(lambda: "reloaded" in self.janus.log(), 10, "the log")
        self.end()


if __name__ == "__main__":
    unittest.main()
