"""What tests of who may use janusctl stand on: a server that other users can reach, and janusctl as one of them."""
import grp
import os
import pwd
import shutil
import subprocess
import tempfile

from janus_test import JanusTest, SLOWNESS, program

ROOT = os.geteuid() == 0


class AccessTest(JanusTest):
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
