"""What one meets before Janus runs: make demo with few descriptors, make where no package lists are, make install."""
import os
import shutil
import subprocess
import tempfile
import unittest

import janus_test
from janus_test import ROOT, SLOWNESS

STUB = "#!/bin/sh\necho \"${0##*/} $*\" >> \"$STUBS/called\"\nexit %d\n"


class Make(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def stub(self, name, status):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(STUB % status)
        os.chmod(path, 0o755)

    def called(self):
        try:
            with open(os.path.join(self.folder, "called")) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def run_in(self, *command, **env):
        """(status, output) of a command that finds the stubs first."""
        env = dict(os.environ, PATH=self.folder + ":" + os.environ["PATH"], STUBS=self.folder, **env)
        done = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60 * SLOWNESS)
        return done.returncode, done.stdout

    def test_demo_with_few_descriptors(self):
        status, said = self.run_in("sh", "-c", "ulimit -n 1024; exec sh tests/demo.sh", SUBSCRIBERS="40000", BUILD=janus_test.BUILD)
        self.assertEqual(status, 1)
        self.assertIn("DEMO_SUBSCRIBERS=", said)
        self.assertIn("ulimit -n", said)
        self.assertNotIn("workers", said)

    def deps(self, user, lists):
        self.stub("apt-get", 100)
        self.stub("apt-cache", 0 if lists else 100)
        with open(os.path.join(self.folder, "id"), "w") as f:
            f.write("#!/bin/sh\necho %d\n" % user)
        os.chmod(os.path.join(self.folder, "id"), 0o755)
        return self.run_in("sh", "packaging/deps.sh", CC="no-such-compiler")

    def test_no_package_lists(self):
        status, said = self.deps(1000, False)
        self.assertEqual(status, 1)
        self.assertIn("sudo apt-get update", said)
        self.assertNotIn("apt-get", self.called())
        status, said = self.deps(0, False)
        self.assertEqual(status, 1)
        self.assertIn("no package lists", said)
        self.assertNotIn("install", self.called())

    def test_package_lists(self):
        status, said = self.deps(1000, True)
        self.assertEqual(status, 1)
        self.assertIn("sudo apt-get install -y gcc", said)

    def test_settings_are_the_tables(self):
        """packaging/janus.ini and the manual page say what shm/settings.def says; and counters.def and gauges.def, of metrics."""
        self.assertEqual(self.run_in("python3", "packaging/settings.py", "--check"), (0, ""))
        self.assertEqual(self.run_in("python3", "packaging/metrics.py", "--check"), (0, ""))

    def test_install(self):
        """No package manager is asked; a configuration that is there is not touched."""
        self.stub("apt-get", 100)
        self.stub("dnf", 100)
        target = os.path.join(self.folder, "root")
        ini = os.path.join(target, "etc/janus/janus.ini")
        # (Even where something is missing.)
        _, said = self.run_in("make", "-n", "install", "DESTDIR=" + target, CC="no-such-compiler")
        self.assertNotIn("deps.sh", said)
        with open(os.path.join(ROOT, "packaging/janus.ini")) as f:
            default = f.read()

        def install():
            status, said = self.run_in("sh", "-ec", """
                recipe=$(make -s -n -o programs install BUILD=%s DESTDIR=%s); eval "$recipe" """ % (janus_test.BUILD, target))
            self.assertEqual(status, 0, said)
            return said
        install()
        with open(ini) as f:
            self.assertEqual(f.read(), default)
        self.assertTrue(os.path.exists(os.path.join(target, "usr/share/man/man8/janus.8")))
        with open(ini, "w") as f:
            f.write("workers = 3\n")
        self.assertIn("janus.ini.new", install())
        with open(ini) as f:
            self.assertEqual(f.read(), "workers = 3\n")
        with open(ini + ".new") as f:
            self.assertEqual(f.read(), default)
        self.assertEqual(self.called(), "")


if __name__ == "__main__":
    unittest.main()
