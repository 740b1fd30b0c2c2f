"""What Prometheus's own checker says of GET /metrics."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from janus_test import ROOT, SLOWNESS
from client_test import ALL
from test_admin import AdminTest


@unittest.skipUnless(ALL, "it needs promtool: make clients")
class Promtool(AdminTest):
    def test_check_metrics(self):
        promtool = shutil.which("promtool")
        self.assertIsNotNone(promtool, "no promtool (packaging/deps-clients.sh)")
        self.lines("/sub/a")
        self.post("/pub/a", b"x")
        text = self.by("admin").ask("GET", "/metrics").body
        for wrong in (False, True):         # (it does look)
            done = subprocess.run([promtool, "check", "metrics"], input=text + b"janus_wrong{\n" * wrong, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=30 * SLOWNESS)
            self.assertEqual(done.returncode != 0, wrong, done.stdout.decode())
            if not wrong:
                self.assertEqual(done.stdout, b"")

    def test_dashboard_is_promql(self):
        """Every expression of packaging/grafana/janus.json, as a rule."""
        with open(os.path.join(ROOT, "packaging", "grafana", "janus.json")) as f:
            board = json.load(f)
        expressions = [t["expr"] for panel in board["panels"] for t in panel.get("targets", ())]
        for wrong in (False, True):
            rules = [{"record": "a:b%d" % n, "expr": e.replace("$__rate_interval", "1m").replace("$job", ".*").replace("$instance", ".*")}
                     for n, e in enumerate(expressions + ["sum(janus_topics"] * wrong)]
            with tempfile.NamedTemporaryFile("w", suffix=".yml") as f:
                json.dump({"groups": [{"name": "board", "rules": rules}]}, f)       # (which is YAML, too)
                f.flush()
                done = subprocess.run(["promtool", "check", "rules", f.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30 * SLOWNESS)
            self.assertEqual(done.returncode != 0, wrong, done.stdout.decode())
