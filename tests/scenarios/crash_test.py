"""What tests with the crash build stand on: points at which a worker dies, or something fails, once (shm/crash.h)."""
import contextlib
import os
import shutil
import ssl
import tempfile

from janus_test import ROOT, wait_until
from web_clients import WebTest

CRASH_BUILD = os.path.join(ROOT, os.environ.get("JANUS_CRASH_BUILD", "build/crash"))


class CrashTest(WebTest):
    def setUp(self):
        super().setUp()
        if not os.path.exists(os.path.join(CRASH_BUILD, "janus")):
            self.fail("no build with crash points: make CRASH=1 server")
        self.folder = tempfile.mkdtemp(prefix="janus-crash-")
        os.environ["JANUS_CRASH_DIR"] = self.folder
        self.addCleanup(shutil.rmtree, self.folder)
        self.addCleanup(os.environ.pop, "JANUS_CRASH_DIR")

    def serve_crash_build(self, *options, **more):
        self.serve(*options, build=CRASH_BUILD, **more)

    def arm(self, point, passing=1):
        """Whoever comes by for that time dies there, or fails there."""
        # Whole when it is there: somebody may come by at this moment.
        path = os.path.join(self.folder, point)
        with open(path + ".new", "w") as f:
            f.write("%d\n" % passing)
        os.rename(path + ".new", path)

    def armed(self, point):
        return os.path.exists(os.path.join(self.folder, point))

    def disarm(self, point):
        """Whether it has happened."""
        try:
            os.remove(os.path.join(self.folder, point))
            return False
        except FileNotFoundError:
            return True

    def die_among_heartbeats(self, clients, *points):
        """Of flash clients, who are sent nothing else."""
        heard = [b""] * len(clients)

        def hear():
            for i, client in enumerate(clients):
                client.socket.setblocking(False)
                with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
                    while data := client.socket.recv(4096):
                        heard[i] += data
            return b"".join(heard).count(b"PING\1")

        for point in points:
            self.arm(point)
            wait_until(lambda: not self.armed(point), 10, point)
        wait_until(lambda: self.janus.log().count("died of signal 9") == len(points), 10, "the deaths")
        self.janus.forgive_deaths(9)
        wait_until(lambda: hear() == self.janus.count("heartbeats"), 10, "as many as were sent")
        for text in heard:
            self.assertEqual(text, b"PING\1" * (len(text) // 5))
