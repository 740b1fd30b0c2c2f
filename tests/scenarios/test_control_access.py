"""Who may use janusctl, and how it finds the server: as another user, with the package's configuration, and with one that has errors."""
import json
import os
import stat
import unittest

from access_test import ROOT, AccessTest
from janus_test import program, run


def mode(path):
    st = os.stat(path)
    return stat.S_IMODE(st.st_mode), st.st_gid


class Access(AccessTest):
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


if __name__ == "__main__":
    unittest.main()
