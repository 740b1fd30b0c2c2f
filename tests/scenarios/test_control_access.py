"""Who may use janusctl, and how it finds the server: as another user, with the package's configuration, with one that has errors, and a server that is stopped."""
import grp
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import unittest

from janus_test import JanusTest, SLOWNESS, program, run, wait_until

ROOT = os.geteuid() == 0


def mode(path):
    st = os.stat(path)
    return stat.S_IMODE(st.st_mode), st.st_gid


class Access(JanusTest):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        os.chmod(self.folder, 0o755)

    def start(self, *options, **more):
        janus = self.server(*options, start=False, **more)
        # (A test's own folder is closed to other users.)
        janus.arguments[-1] = "runtime_dir=" + os.path.join(self.folder, "run")
        janus.runtime_dir = os.path.join(self.folder, "run")
        return janus.start()

    def group(self):
        """One that this test may give, as root one that is not root's: (name, number)."""
        numbers = [g.gr_gid for g in grp.getgrall() if g.gr_gid and g.gr_name != "nogroup"] if ROOT else os.getgroups() + [os.getegid()]
        for number in numbers:
            try:
                return grp.getgrgid(number).gr_name, number
            except KeyError:
                pass
        raise AssertionError("no group here that has a name")

    def as_other(self, groups, *arguments):
        """janusctl as a user who is not the server's: (status, out, err)."""
        nobody = pwd.getpwnam("nobody")
        copy = os.path.join(self.folder, "janusctl")
        if not os.path.exists(copy):
            shutil.copy2(program("janusctl"), copy)     # (where it was built may be closed to others)
            os.chmod(copy, 0o755)
        process = subprocess.run([copy, *arguments], user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=groups, capture_output=True, text=True, cwd="/",
                                 env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"), timeout=30 * SLOWNESS)
        return process.returncode, process.stdout, process.stderr

    def test_control_group(self):
        name, number = self.group()
        config = "workers = 1\nlisten = flash://127.0.0.1:0\n"
        janus = self.start(config=config)
        control = os.path.join(janus.runtime_dir, "control")
        where = "-o", "runtime_dir=" + janus.runtime_dir
        self.assertEqual(mode(control)[0], 0o600)
        self.assertEqual(mode(os.path.join(janus.runtime_dir, "admin"))[0], 0o600)
        if ROOT:
            status, _, err = self.as_other([number], *where, "status")
            self.assertEqual(status, 1)
            self.assertIn("another user's", err)
        janus.configure(config + "control_group = %s\n" % name)
        self.assertEqual(janus.reload()[0], 0)
        self.assertEqual(mode(control), (0o660, number))
        self.assertEqual(mode(os.path.join(janus.runtime_dir, "admin")), (0o660, number))
        if ROOT:
            self.assertEqual(self.as_other([number], *where, "status")[0], 0)
            self.assertEqual(self.as_other([number], *where, "stats")[0], 0)
            self.assertEqual(self.as_other([number], *where, "reload")[0], 0)
            self.assertEqual(self.as_other([number], *where, "rtt")[0], 0)
            self.assertEqual(self.as_other([], *where, "status")[0], 1)
        janus.stop()
        # At the start; and a folder that is closed to others can be entered by the group.
        os.chmod(janus.runtime_dir, 0o700)
        janus.start()
        self.assertEqual(mode(control), (0o660, number))
        self.assertEqual(mode(janus.runtime_dir), (0o710, number))
        if ROOT:
            self.assertEqual(self.as_other([number], *where, "status")[0], 0)
        janus.configure(config)
        self.assertEqual(janus.reload()[0], 0)
        self.assertEqual(mode(control)[0], 0o600)
        if ROOT:
            self.assertEqual(self.as_other([number], *where, "status")[0], 1)
        janus.stop()
        os.rmdir(janus.runtime_dir)

    def test_no_such_group(self):
        status, _, err = run(program("janus"), "-t", "-o", "control_group=no-such-group-here", "-o", "listen=flash://127.0.0.1:0")
        self.assertEqual(status, 1)
        self.assertIn("there is no group `no-such-group-here`", err)

    def test_the_packages_configuration(self):
        """Without -c: what it says of runtime_dir; and whatever else it says, that does no harm."""
        janus = self.start(workers=1)
        file = os.path.join(self.folder, "janus.ini")
        env = dict(os.environ, JANUS_CONFIG=file, XDG_RUNTIME_DIR=self.folder)

        def status(*arguments):
            return run(program("janusctl"), *arguments, "status", "--json", env=env)
        with open(file, "w") as f:
            f.write("runtime_dir = %s\n" % janus.runtime_dir)
        code, out, err = status()
        self.assertEqual((code, err, json.loads(out)["pid"]), (0, "", janus.master))
        with open(file, "a") as f:
            f.write("[section]\ncolour = red\n")
        code, out, err = status()
        self.assertEqual((code, json.loads(out)["pid"]), (0, janus.master))
        self.assertRegex(err, r"\Ajanusctl: warning: %s:2: \[sections\].*\n\Z" % file)
        # What is said on the command line goes before it.
        other = self.server(workers=1)
        self.assertEqual(json.loads(status("-o", "runtime_dir=" + other.runtime_dir)[1])["pid"], other.master)
        other.configure("runtime_dir = %s\n" % other.runtime_dir)
        self.assertEqual(json.loads(status("-c", other.config_file)[1])["pid"], other.master)
        if ROOT:
            # One who may not read it looks elsewhere, and is not stopped by that.
            os.chmod(file, 0o600)
            name, number = self.group()
            self.assertIn(self.as_other([number], "version")[0], (0, 1))
        if not ROOT:
            # Without any, in the user's own folder.
            janus.stop()
            os.unlink(file)
            own = self.server(workers=1, start=False)
            own.arguments[-1] = "runtime_dir=" + os.path.join(self.folder, "janus")
            own.runtime_dir = os.path.join(self.folder, "janus")
            own.start()
            self.assertEqual(json.loads(status()[1])["pid"], own.master)

    def test_a_master_that_is_stopped(self):
        """It hangs on nothing: what can't be answered says so in time."""
        janus = self.start(workers=1)
        os.kill(janus.master, signal.SIGSTOP)
        try:
            began = time.monotonic()
            status, out, err = janus.ctl("status")
            self.assertEqual((status, out), (1, ""))
            self.assertIn("the server (process %d) does not answer: is it stopped?" % janus.master, err)
            self.assertLess(time.monotonic() - began, 15 * SLOWNESS)
            self.assertEqual(janus.ctl("stats")[0], 0)
        finally:
            os.kill(janus.master, signal.SIGCONT)
        wait_until(lambda: janus.ctl("status")[0] == 0, what="an answer")


if __name__ == "__main__":
    unittest.main()
