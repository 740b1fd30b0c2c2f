"""What Prometheus's own checker says of GET /metrics."""
import shutil
import subprocess

from janus_test import SLOWNESS
from test_admin import AdminTest


class Promtool(AdminTest):
    def test_check_metrics(self):
        promtool = shutil.which("promtool")
        self.assertIsNotNone(promtool, "no promtool (packaging/deps-clients.sh)")
        self.lines("/sub/a")
        self.post("/pub/a", b"x")
        text = self.client().ask("GET", "/metrics").body
        for wrong in (False, True):         # (it does look)
            done = subprocess.run([promtool, "check", "metrics"], input=text + b"janus_wrong{\n" * wrong, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=30 * SLOWNESS)
            self.assertEqual(done.returncode != 0, wrong, done.stdout.decode())
            if not wrong:
                self.assertEqual(done.stdout, b"")
