"""Who starts the next master where there is no service manager, how that ends, and what janusctl says and does while there is none."""
import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import tempfile
import threading
import unittest

from crash_test import CRASH_BUILD
from janus_test import SLOWNESS, is_alive, program, wait_until
from steady import Steady
from test_master_death import MasterTest

NO_MASTER = 4           # janusctl's exit status
KEEPER = "next_master=keeper"


class MastersTest(MasterTest):
    def begin(self, *options, build=None, per_worker=2):
        self._janus = self.server(*options, workers=2, build=build, start=False)
        os.chmod(self.janus.folder, 0o755)      # (also where another user is the next master)
        self.janus.start()
        self.steady = Steady(self, self.janus, per_worker)
        self.addCleanup(self.end_all)

    def end_all(self):
        """A master that the test did not start is ended, too."""
        if self.janus.processes():
            self.janus.ctl("stop")
            wait_until(lambda: not self.janus.processes(), 15, "the end of all processes")

    def kill_master(self, pid=None):
        pid = pid or self.janus.master
        self.janus.kill(pid, "master")
        wait_until(lambda: not is_alive(pid), 5, "the master's end")
        if pid == self.janus.master:
            self.janus.process.wait()
        return pid

    def copy(self):
        """A folder with the programs, that all users may enter."""
        folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        os.chmod(folder, 0o755)
        for name in "janus", "janusctl":
            shutil.copy2(program(name), folder)
        return folder

    def slots(self):
        return [(w["keeper"], w["worker"]) for w in json.loads(self.janus.ctl("status", "--json")[1])["workers"]]

    def next_master(self, old, seconds=10):
        def there():
            status, out, _ = self.janus.ctl("status", "--json")
            return status == 0 and json.loads(out)["pid"] != old and json.loads(out)["pid"]
        return wait_until(there, seconds, "another master")


class ByKeepers(MastersTest):
    def test_started(self):
        """A second later, with the same arguments; it is a master as any, and the next one comes in the same way."""
        self.begin(KEEPER)
        before, master = self.slots(), self.janus.master
        for n in range(2):
            self.kill_master(master)
            master = self.next_master(master)
            self.assertEqual(self.slots(), before)
            gauges = self.janus.stats()["gauges"]
            self.assertEqual([gauges[name] for name in ("master_up", "master_revived", "master_restarts")], [1, 1, n + 1])
            self.assertTrue(self.janus.status()["revived"])
            self.assertIn("process %d (started by a keeper, as the one before had died)" % master, self.janus.ctl("status")[1])
        self.assertEqual(self.janus.reload()[0], 0)
        with open("/proc/%d/cmdline" % master, "rb") as f:
            self.assertIn(b"janus: master", f.read())
        self.assertEqual(os.getsid(master), master)
        self.end()
        self.assertEqual(self.janus.ctl("stop")[:2], (0, "stopped\n"))
        self.assertEqual((self.janus.processes(), os.listdir(self.janus.runtime_dir) if os.path.exists(self.janus.runtime_dir) else []), ([], []))

    def test_makes_way(self):
        """For one that is started by hand; and that one for nobody."""
        self.begin(KEEPER)
        before, master = self.slots(), self.kill_master()
        revived = self.next_master(master)
        self.janus.launch()
        self.janus.wait_log("process %d, which a keeper has started as the master, is told to leave" % revived)
        self.assertEqual(self.next_master(revived), self.janus.master)
        self.assertEqual(self.slots(), before)
        self.assertEqual(self.janus.stats()["gauges"]["master_revived"], 0)
        self.assertFalse(self.janus.status()["revived"])
        wait_until(lambda: not is_alive(revived), 10, "its end")
        arguments = [a for a in self.janus.arguments]
        other = self.server(start=False)
        other.arguments = arguments
        other.launch()
        self.assertEqual(other.process.wait(10 * SLOWNESS), 1)
        self.assertIn("a janus runs in %s already: process %d" % (self.janus.runtime_dir, self.janus.master), other.log())
        self.end()

    def test_nobody(self):
        """next_master says so."""
        self.begin("master_linger=1500ms")
        self.steady.may_close = set(self.steady.next)
        self.kill_master()
        self.janus.wait_log("no master has come for 1500 ms")
        self.assertNotIn("is to be the next master", self.janus.log())
        wait_until(lambda: not self.janus.processes(), 10, "the end of all processes")

    def test_left(self):
        """One that leaves is followed in the same way."""
        self.begin(KEEPER)
        before, master = self.slots(), self.janus.master
        os.kill(master, signal.SIGUSR1)
        self.assertEqual(self.janus.process.wait(10 * SLOWNESS), 0)
        self.next_master(master)
        self.assertEqual(self.slots(), before)
        self.end()

    def test_program_is_gone(self):
        """What stands at its path can't be executed: the keepers' own is."""
        folder = self.copy()
        self.begin(KEEPER, build=folder)
        master = self.janus.master
        os.rename(os.path.join(folder, "janus"), os.path.join(folder, "janus.away"))
        self.kill_master()
        self.next_master(master)
        self.janus.wait_log("the next master is of this keeper's program")
        self.end()

    def test_crash_loop(self):
        """More than restart_limit of them, and no more are started; clients are served all the same, and one that is started by hand takes over."""
        self.begin(KEEPER, "restart_limit=1", build=CRASH_BUILD)
        master = self.janus.master
        for point in "adopt-locked", "adopt-all":
            self.arm(point)
        self.kill_master()
        for point in "adopt-locked", "adopt-all":
            wait_until(lambda: not self.armed(point), 10, "the death of a master at " + point)
        self.janus.wait_log("2 masters have died one behind the other", 15)
        self.steady.progress()
        self.assertEqual(len(re.findall("is to be the next master", self.janus.log())), 2)
        self.assertEqual(self.janus.ctl("status")[0], NO_MASTER)
        self.janus.launch()
        self.assertEqual(self.next_master(master), self.janus.master)
        self.end()


class Without(MastersTest):
    """janusctl while there is no master."""

    def test_looks(self):
        self.begin()
        before = self.janus.status()
        self.kill_master()
        status, out, err = self.janus.ctl("status", "--json")
        self.assertEqual((status, err), (NO_MASTER, ""))
        now = json.loads(out)
        self.assertIsNone(now["pid"])
        self.assertEqual(now["workers"], before["workers"])
        self.assertTrue(0 <= now["no_master_since"] - before["started"] < 60)
        self.assertAlmostEqual(now["ends"] - now["no_master_since"], 60, delta=1)
        status, out, _ = self.janus.ctl("status")
        self.assertEqual(status, NO_MASTER)
        self.assertRegex(out, r"\Ajanus, WITHOUT A MASTER since \d+ s, up ")
        self.assertRegex(out, r"It ends in \d+ s unless a master comes")
        for command, check in (("stats --json", lambda out: self.assertEqual(json.loads(out)["gauges"]["master_up"], 0)),
                               ("topics --json", lambda out: self.assertEqual([t["topic"] for t in json.loads(out)["topics"]], [Steady.TOPIC])),
                               ("workers --json", lambda out: self.assertEqual([w["pid"] for w in json.loads(out)["workers"]], [w["worker"] for w in before["workers"]])),
                               ("clients --json", lambda out: self.assertEqual(len(json.loads(out)["clients"]), sum(w["connections"] for w in before["workers"]))),
                               ("top --once", lambda out: self.assertRegex(out, r"(?m)^connections \d+\b")),
                               ("log --once --kind death --since 1h", lambda out: self.assertIn("the master, process %d" % before["pid"], out)),
                               ("version", lambda out: self.assertRegex(out, r"\Ajanusctl \S+\n\Z"))):
            with self.subTest(command=command):
                status, out, err = self.janus.ctl(*command.split())
                self.assertEqual((status, err), (0, ""))
                check(out)
        self.again()

    def again(self):
        old = self.janus.master
        self.janus.launch()
        self.assertEqual(self.next_master(old), self.janus.master)
        self.end()

    def test_acts(self):
        """What acts says that nobody is there to do it; what may be asked again is, for five seconds."""
        self.begin()
        self.kill_master()
        for command in ("kick", "--user", "b"), ("kick", "--topic", "a"), ("drain",):
            with self.subTest(command=command):
                status, out, err = self.janus.ctl(*command)
                self.assertEqual((status, out), (NO_MASTER, ""))
                self.assertRegex(err, r"\Ajanusctl: the server has no master since \d+ s, and ends in \d+ s if none comes: it serves on")
        status, out, err = self.janus.ctl("config", "workers")
        self.assertEqual((status, out), (NO_MASTER, ""))
        self.assertIn("the server has no master since", err)
        self.again()

    def test_reload_waits(self):
        """For a master that is just being replaced."""
        self.begin(KEEPER)
        self.kill_master()
        status, out, err = self.janus.ctl("reload")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("reloaded", out)
        self.end()

    def test_stop(self):
        """Ends the keepers, waits for them, and for janus-data, which writes the journal's end; and no file is left."""
        data = tempfile.TemporaryDirectory(prefix="janus-test-")
        self.addCleanup(data.cleanup)
        self.begin("data=" + data.name)
        self.steady.may_close = set(self.steady.next)
        keepers, writer, said = [keeper for keeper, _ in self.slots()], self.janus.called("janus-data"), []
        self.kill_master()
        os.kill(writer, signal.SIGSTOP)
        stop = threading.Thread(target=lambda: said.append(self.janus.ctl("stop")))
        stop.start()
        wait_until(lambda: not any(map(is_alive, keepers)), 10, "the keepers' end")
        stop.join(0.2)
        self.assertTrue(stop.is_alive())
        os.kill(writer, signal.SIGCONT)
        stop.join()
        self.assertEqual(said[0][:2], (0, "stopped\n"))
        self.assertEqual((self.janus.processes(), os.listdir(self.janus.runtime_dir)), ([], []))
        self.assertEqual(self.janus.ctl("status")[0], 3)
        self.janus.start()
        self.janus.stop()


@unittest.skipUnless(os.geteuid() == 0, "takes root")
class Roots(MastersTest):
    def test_unprivileged(self):
        """The first was root's; the next has the workers' user: it adopts all the same, and says what it may be unable to do. Root's takes over from it."""
        secrets = tempfile.NamedTemporaryFile(prefix="janus-test-")
        self.addCleanup(secrets.close)
        secrets.write(b"k" * 32 + b"\n")
        secrets.flush()
        self.begin(KEEPER, "user=nobody", "anonymous=all", "token_keys=" + secrets.name, build=self.copy())
        nobody = pwd.getpwnam("nobody").pw_uid
        before, master = self.slots(), self.janus.master
        self.kill_master()
        revived = self.next_master(master)
        self.assertEqual(os.stat("/proc/%d" % revived).st_uid, nobody)
        self.janus.wait_log("this master was started by a keeper, as user %d, and the first one by user 0" % nobody)
        self.assertEqual(self.slots(), before)
        status, _, err = self.janus.ctl("reload")
        self.assertEqual(status, 1)
        self.assertIn("Permission denied", err)
        self.kill_master(revived)
        again = self.next_master(revived)
        self.assertEqual(self.slots(), before)
        self.janus.launch()
        self.assertEqual(self.next_master(again), self.janus.master)
        self.assertEqual(self.slots(), before)
        self.assertEqual(self.janus.reload()[0], 0)
        self.end()


    def test_not_to_be_trusted(self):
        """Root executes no program that keepers hand over and that is another user's, or that others can write to: the workers' user may have put it there. Nor one of its own that was never the master's."""
        folder, roots = self.copy(), self.copy()
        program = os.path.join(folder, "janus")
        self.begin("user=nobody", "anonymous=all", build=folder)
        before, master = self.slots(), self.kill_master()
        self.janus.build = roots
        programs, nobody = os.path.join(self.janus.runtime_dir, "programs"), pwd.getpwnam("nobody").pw_uid
        spoils = (lambda: os.chown(program, nobody, -1), lambda: os.chmod(program, 0o777), lambda: os.rename(programs, programs + ".away"), lambda: os.chown(programs, nobody, -1))
        for spoil in spoils:
            spoil()
            self.janus.launch()
            self.assertEqual(self.janus.process.wait(20 * SLOWNESS), 1)
            with contextlib.suppress(FileNotFoundError):
                os.rename(programs + ".away", programs)
            os.chown(programs, 0, -1)
            os.chown(program, 0, -1)
            os.chmod(program, 0o755)
        self.assertEqual(len(re.findall("are not to be trusted", self.janus.log())), len(spoils))
        self.steady.progress()
        self.janus.launch()
        self.assertEqual(self.next_master(master), self.janus.master)
        self.assertEqual([keeper for keeper, _ in self.slots()], [keeper for keeper, _ in before])
        self.end()


if __name__ == "__main__":
    unittest.main()
