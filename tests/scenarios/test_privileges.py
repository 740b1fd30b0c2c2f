"""Whom keepers, workers and janus-data run as, that they have no capability, and that a server of root's has somebody for them to be."""
import os
import pwd
import stat
import unittest

from access_test import ROOT, AccessTest
from janus_test import SLOWNESS, USER, program, run, wait_until


def status_of(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def has_janus():
    try:
        return bool(pwd.getpwnam("janus"))
    except KeyError:
        return False


class Privileges(AccessTest):
    def assert_harmless(self, janus, uid):
        """All but the master, as soon as they are what they are to be: one that it has just made bears its name."""
        wait_until(lambda: janus.all_called("janus") == [janus.master], 10, "names of all processes")
        pids = [pid for pid in janus.processes() if pid != janus.master]
        self.assertGreaterEqual(len(pids), 3)
        for pid in pids:
            of = status_of(pid)
            for name in "CapPrm", "CapEff", "CapInh", "CapAmb":
                self.assertEqual(int(of[name], 16), 0, (of["Name"], name))
            self.assertEqual((of["NoNewPrivs"], of["Uid"].split()), ("1", [str(uid)] * 4), of["Name"])
            if ROOT:
                self.assertEqual(int(of["CapBnd"], 16), 0, of["Name"])
        return pids

    def all_its_life(self, user, uid):
        janus = self.start("user=" + user, "data=" + os.path.join(self.folder, "data"), "history=*: 10 messages", workers=1)
        before = self.assert_harmless(janus, uid)
        control = os.stat(os.path.join(janus.runtime_dir, "control"))
        self.assertEqual((stat.S_IMODE(control.st_mode), control.st_uid), (0o600, uid))
        janus.kill_worker()
        self.assertEqual(janus.reload()[0], 0)
        after = self.assert_harmless(janus, uid)
        self.assertNotEqual(before, after)
        return janus

    @unittest.skipUnless(ROOT, "takes root")
    def test_user(self):
        nobody = pwd.getpwnam("nobody")
        janus = self.all_its_life("nobody", nobody.pw_uid)
        self.assertEqual(self.as_other([], "-o", "runtime_dir=" + janus.runtime_dir, "status")[0], 0)
        self.assertEqual(os.stat(os.path.join(self.folder, "data")).st_uid, nobody.pw_uid)

    def test_own(self):
        """Root's are root without capabilities, if it says so; another user's are that user's."""
        self.all_its_life(USER, os.geteuid())

    @unittest.skipUnless(ROOT and not has_janus(), "takes root, and no user janus")
    def test_nobody_to_be(self):
        janus = self.server("user=", start=False)
        janus.launch()
        self.assertEqual(janus.process.wait(20 * SLOWNESS), 1)
        self.assertRegex(janus.log(), "started as root, its workers need a user to run as: `useradd --system janus`")
        status, out, err = run(program("janus"), "-t", "-o", "listen=flash://127.0.0.1:0")
        self.assertEqual(status, 0)         # who asks may be another one than who starts it
        self.assertIn("need a user", err)

    @unittest.skipUnless(ROOT and not has_janus(), "takes root, and no user janus")
    def test_nobody_to_be_is_not_what_is_wrong(self):
        """Of a configuration that is wrong, that is said, and nothing else."""
        for more in ((), ("-t",)):
            status, _, err = run(program("janus"), *more, "-c", os.devnull, "-o", "listen=flash://127.0.0.1:0", "-o", "nonsense=1", "-o", "runtime_dir=" + os.path.join(self.folder, "run"))
            self.assertEqual(status, 1)
            self.assertRegex(err, r"\A[^\n]*nonsense: unknown key[^\n]*\n\Z")


if __name__ == "__main__":
    unittest.main()
