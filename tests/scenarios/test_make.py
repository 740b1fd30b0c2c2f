"""What one meets before Janus runs: make demo with few descriptors, make where no package lists are, make install, uninstall and dist."""
import hashlib
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

    def be(self, user):
        """For those who ask id."""
        path = os.path.join(self.folder, "id")
        with open(path, "w") as f:
            f.write("#!/bin/sh\necho %d\n" % user)
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
        self.be(user)
        return self.run_in("sh", "packaging/deps.sh", CC="no-such-compiler")

    def test_no_package_lists(self):
        status, said = self.deps(1000, False)
        self.assertEqual(status, 1)
        self.assertIn("sudo apt-get update", said)
        self.assertIn("sudo sh packaging/deps.sh", said)
        self.assertNotIn("apt-get", self.called())
        status, said = self.deps(0, False)
        self.assertEqual(status, 1)
        self.assertIn("no package lists", said)
        self.assertNotIn("install", self.called())

    def test_package_lists(self):
        status, said = self.deps(1000, True)
        self.assertEqual(status, 1)
        self.assertIn("sudo apt-get update && sudo apt-get install -y gcc", said)

    def test_nothing_is_there(self):
        """Each script names its packages, of the package manager that there is."""
        tools = os.path.join(self.folder, "tools")
        os.mkdir(tools)
        os.symlink(shutil.which("sh"), os.path.join(tools, "sh"))
        self.stub("apt-cache", 0)
        with open(os.path.join(tools, "id"), "w") as f:
            f.write("#!/bin/sh\necho 1000\n")
        os.chmod(os.path.join(tools, "id"), 0o755)
        os.rename(os.path.join(self.folder, "apt-cache"), os.path.join(tools, "apt-cache"))
        wanted = {"deps": ("gcc", "python3"), "deps-clients": ("nodejs", {"apt-get": "prometheus", "dnf": "golang-github-prometheus"}),
                  "deps-packages": ({"apt-get": "rpm", "dnf": "rpm-build"}, {"apt-get": "build-dep", "dnf": "debhelper"}, "git")}
        for manager in "", "apt-get", "dnf":
            if manager:
                self.stub(manager, 100)
                os.rename(os.path.join(self.folder, manager), os.path.join(tools, manager))
            for name, packages in wanted.items():
                with self.subTest(name=name, manager=manager):
                    done = subprocess.run([shutil.which("sh"), name + ".sh"], cwd=os.path.join(ROOT, "packaging"), env={"PATH": tools, "STUBS": self.folder, "CC": "none"},
                                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60 * SLOWNESS)
                    self.assertEqual(done.returncode, 1, done.stdout)
                    self.assertTrue(done.stdout.startswith(name + ": missing: "), done.stdout)
                    if not manager:
                        self.assertIn("Neither apt-get nor dnf", done.stdout)
                        continue
                    said, _, command = done.stdout.splitlines()[-1].partition("install with: ")
                    update = "sudo apt-get update && " if manager == "apt-get" else ""
                    self.assertEqual((said, command.startswith("%ssudo %s install -y " % (update, manager))), (name + ": ", True), done.stdout)
                    for package in packages:
                        self.assertIn(package[manager] if isinstance(package, dict) else package, command.split())
            if manager:
                os.remove(os.path.join(tools, manager))

    def test_server_alone(self):
        """Takes neither Python nor curl; tests do."""
        tools = os.path.join(self.folder, "tools")
        os.mkdir(tools)
        for name in ("sh", "cc", "printf", "id"):
            os.symlink(shutil.which(name), os.path.join(tools, name))
        for what, status in (("server", 0), ("", 1)):
            done = subprocess.run([shutil.which("sh"), "packaging/deps.sh", what], cwd=ROOT, env={"PATH": tools}, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=60 * SLOWNESS)
            self.assertEqual(done.returncode, status, done.stdout)
            self.assertEqual("python3 curl" in done.stdout, status != 0, done.stdout)

    def test_packages_alone(self):
        """Who is not root is told what `make deb` takes, and what `make rpm` does."""
        self.stub("apt-get", 100)
        self.stub("apt-cache", 0)
        self.be(1000)
        for what, command in (("deb", "sudo apt-get build-dep -y -qq --no-install-recommends ./packaging\n"), ("rpm", "sudo apt-get install -y rpm\n")):
            done = subprocess.run([shutil.which("sh"), "packaging/deps-packages.sh", what], cwd=ROOT, env={"PATH": self.folder, "STUBS": self.folder},
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60 * SLOWNESS)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertTrue(done.stdout.endswith("install with: sudo apt-get update && " + command), done.stdout)
        self.assertNotIn("apt-get", self.called())

    def test_settings_are_the_tables(self):
        """packaging/janus.ini and the manual page say what shm/settings.def says; and counters.def and gauges.def, of metrics."""
        self.assertEqual(self.run_in("python3", "packaging/settings.py", "--check"), (0, ""))
        self.assertEqual(self.run_in("python3", "packaging/metrics.py", "--check"), (0, ""))

    def made(self, target, *variables):
        """Runs what `make TARGET` would, of what is built."""
        status, said = self.run_in("sh", "-ec", 'recipe=$(make -s -n -o programs "$@"); eval "$recipe"', "sh", target, "BUILD=" + janus_test.BUILD,
                                   "DESTDIR=" + self.target, *variables)
        self.assertEqual(status, 0, said)
        return said

    def files(self):
        return sorted(os.path.relpath(os.path.join(folder, name), self.target) for folder, _, names in os.walk(self.target) for name in names)

    def test_install(self):
        """No package manager is asked; a configuration that is there is not touched. What was installed can be removed."""
        self.stub("apt-get", 100)
        self.stub("dnf", 100)
        self.target = os.path.join(self.folder, "root")
        ini = os.path.join(self.target, "etc/janus/janus.ini")
        # (Even where something is missing.)
        _, said = self.run_in("make", "-n", "install", "DESTDIR=" + self.target, CC="no-such-compiler")
        self.assertNotIn("deps.sh", said)
        with open(os.path.join(ROOT, "packaging/janus.ini")) as f:
            default = f.read().replace("runtime_dir =\n", "runtime_dir = /run/janus\n")
        self.made("install")
        with open(ini) as f:
            self.assertEqual(f.read(), default)
        for path in ("usr/sbin/janus", "usr/bin/janusctl", "usr/bin/janusbench", "usr/share/man/man8/janus.8", "usr/share/man/man5/janus.conf.5",
                     "usr/share/man/man1/janusbench.1", "usr/lib/systemd/system/janus.service", "usr/lib/sysusers.d/janus.conf",
                     "usr/lib/tmpfiles.d/janus.conf"):
            self.assertIn(path, self.files())
        with open(ini, "w") as f:
            f.write("workers = 3\n")
        self.assertIn("janus.ini.new", self.made("install"))
        with open(ini) as f:
            self.assertEqual(f.read(), "workers = 3\n")
        with open(ini + ".new") as f:
            self.assertEqual(f.read(), default)
        self.assertIn("it stays", self.made("uninstall"))
        self.assertEqual(self.files(), ["etc/janus/janus.ini"])
        # A link stays one, whether there is something at its end or not; and so do the owner's rights.
        os.unlink(ini)
        elsewhere = os.path.join(self.folder, "kept.ini")
        os.symlink(elsewhere, ini)
        self.made("install")
        self.assertFalse(os.path.exists(elsewhere))
        os.rename(ini + ".new", elsewhere)
        os.chmod(elsewhere, 0o640)
        self.made("install")
        self.assertEqual((os.readlink(ini), os.stat(ini).st_mode & 0o777, os.path.exists(ini + ".new")), (elsewhere, 0o640, False))
        self.made("uninstall")
        self.assertEqual(self.files(), [])
        self.assertEqual(self.called(), "")

    def test_install_elsewhere(self):
        """What is installed names the folders that it is in."""
        self.target = os.path.join(self.folder, "root")
        places = "PREFIX=/opt/janus", "sysconfdir=/opt/etc", "rundir=/var/run"
        before = os.umask(0o077)
        try:
            self.made("install", *places)
        finally:
            os.umask(before)
        self.assertEqual({os.stat(folder).st_mode & 0o005 for folder, *_ in os.walk(os.path.join(self.target, "opt"))}, {0o005})    # the server's user reads it
        self.assertTrue(all(path.startswith("opt/") for path in self.files()), self.files())
        unit, stopped, ini, page = [open(os.path.join(self.target, "opt", path)).read()
                                    for path in ("janus/lib/systemd/system/janus.service", "janus/libexec/janus/janus-stop-post", "etc/janus/janus.ini",
                                                 "janus/share/man/man8/janus.8")]
        self.assertIn("ExecStart=/opt/janus/sbin/janus\n", unit)
        self.assertIn("ExecStopPost=+/opt/janus/libexec/janus/janus-stop-post %n\n", unit)
        self.assertIn("/opt/janus/bin/janusctl ", stopped)
        self.assertIn("\nruntime_dir = /var/run/janus\n", ini)
        self.assertIn("/opt/etc/janus/janus.ini", page)
        self.made("uninstall", *places)
        self.assertEqual(self.files(), [])

    def test_dist(self):
        """An archive of what was unpacked from an archive has the same bytes."""
        tree = ROOT
        made = []
        for n, umask in enumerate((0o022, 0o077)):
            out = os.path.join(self.folder, "out%d" % n)
            done = subprocess.run(["sh", "packaging/dist.sh"], cwd=tree, env=dict(os.environ, VERSION="7.8.9", OUT=out), umask=umask, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60 * SLOWNESS)
            self.assertEqual(done.returncode, 0, done.stdout)
            archive = os.path.join(out, "janus-7.8.9.tar.gz")
            with open(archive, "rb") as f:
                made.append(hashlib.sha256(f.read()).hexdigest())
            subprocess.run(["tar", "-xzf", archive, "-C", out], check=True)
            tree = os.path.join(out, "janus-7.8.9")
        self.assertEqual(made[0], made[1])
        self.assertTrue(os.access(os.path.join(tree, "packaging/debian/rules"), os.X_OK))
        self.assertFalse(os.path.exists(os.path.join(tree, "build")))


if __name__ == "__main__":
    unittest.main()
