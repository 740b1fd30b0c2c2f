"""What janusctl reload says that it did, and janusctl config: what is in force, from where, and what waits for a restart."""
import json
import os
import signal
import unittest

from janus_test import JanusTest, free_port, wait_until

BASE = "workers = %d\nlisten = flash://127.0.0.1:%d\n"


class Report(JanusTest):
    def setUp(self):
        self.port = free_port()

    def start(self, workers=2, more=""):
        self.janus = self.server(config=BASE % (workers, self.port) + more)
        return self.janus

    def reload(self, workers=2, more="", status=0):
        self.janus.configure(BASE % (workers, self.port) + more)
        got, out, err = self.janus.ctl("reload", "--json")
        self.assertEqual(got, status, err)
        return json.loads(out)

    def config(self, *names):
        status, out, err = self.janus.ctl("config", "--json", *names)
        self.assertEqual((status, err), (0, ""))
        return {s["name"]: s for s in json.loads(out)}

    def waiting(self):
        return {name: s["waiting"]["value"] for name, s in self.config().items() if "waiting" in s}

    def test_what_was_done(self):
        janus = self.start(2, "ring_bytes = 4M\nheartbeat = 1h\n")
        clients = self.on_each_worker(janus, 3)
        report = self.reload(3, "ring_bytes = 8M\nmax_topics = 1000\nheartbeat = 2h\nhistory = a: 3 messages\nlisten = flash://127.0.0.1:0\n")
        self.assertEqual(report["ok"], True)
        self.assertEqual({c["name"]: (c["old"], c["new"]) for c in report["changed"]},
                         {"heartbeat": ("1h", "2h"), "history": ("", "a: 3 messages"), "workers": ("2", "3")})
        self.assertEqual(report["waiting"], [{"name": "ring_bytes", "in_force": "4M", "wanted": "8M"},
                                             {"name": "max_topics", "in_force": "256K", "wanted": "1000"}])
        self.assertEqual((len(report["opened"]), report["closed"]), (1, []))
        self.assertEqual(report["opened"], janus.status()["listen"][1:])
        self.assertEqual(report["workers"], {"renewed": 2, "added": 1, "draining": 0})
        self.assertEqual((report["connections"]["kept"], report["connections"]["lost"]), (len(clients), 0))
        self.assertGreater(report["connections"]["moved"], 0)
        self.assertEqual([s["slot"] for s in report["slots"]], [0, 1])
        self.assertEqual(sum(s["connections"] for s in report["slots"]), len(clients))
        self.assertTrue(all(0 < s["paused_ms"] < 20000 for s in report["slots"]), report)
        # And back: all that can follow does, and what waits is what still differs.
        report = self.reload(1, "ring_bytes = 4M\nheartbeat = 2h\nmax_topics = 1000\n")
        self.assertEqual([c["name"] for c in report["changed"]], ["history", "workers"])
        self.assertEqual([c["name"] for c in report["waiting"]], ["max_topics"])
        self.assertEqual((report["opened"], len(report["closed"])), ([], 1))
        self.assertEqual((report["workers"]["draining"], report["connections"]["kept"], report["connections"]["lost"]), (2, len(clients), 0))

    def test_for_people(self):
        janus = self.start(1, "ring_bytes = 4M\n")
        janus.configure(BASE % (1, self.port) + "ring_bytes = 8M\nretry = 3s\nlisten = flash://127.0.0.1:0 slow=latest\nhosts = %s\n" % " ".join(["a.example"] * 18))
        status, out, err = janus.reload()
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(out.splitlines()[0], "reloaded")
        self.assertRegex(out, r"(?m)^taken up +retry = 3s \(was 2s\)$")
        self.assertRegex(out, r"(?m)^taken up +hosts = (a.example )+.*\.\.\. \(was \)$")       # (what is long is cut)
        self.assertRegex(out, r"(?m)^waits for a restart +ring_bytes = 8M \(in force: 4M\)$")
        self.assertRegex(out, r"(?m)^listening +flash://127.0.0.1:\d+$")
        self.assertRegex(out, r"(?m)^connections +0 kept, 0 lost$")
        self.assertRegex(out, r"(?m)^slot 0 +paused \d+\.\d ms, 0 connections$")
        self.assertRegex(janus.log(), r"reloaded: 1 workers renewed, 0 connections kept, .*; listening on flash://.*; retry = 3s \(was 2s\); .*ring_bytes = 8M waits")

    def test_sighup_logs_it(self):
        janus = self.start(1)
        janus.configure(BASE % (1, self.port) + "retry = 4s\nmax_frame = 128K\n")
        janus.process.send_signal(signal.SIGHUP)
        janus.wait_log(r"reloaded: .*retry = 4s \(was 2s\); max_frame = 128K waits for a restart")

    def test_refused(self):
        janus = self.start(1, "ring_bytes = 4M\n")
        before = self.config()
        self.reload(1, "ring_bytes = 8M\n")
        report = self.reload(1, "ring_bytes = 16M\nretry = 3s\nnonsense = 1\n", status=1)
        self.assertEqual(report["ok"], False)
        self.assertIn("unknown key", report["error"])
        self.assertEqual((report["changed"], report["workers"]["renewed"]), ([], 0))
        self.assertEqual(report["waiting"], [{"name": "ring_bytes", "in_force": "4M", "wanted": "8M"}])        # as it was taken up
        self.assertEqual(self.config("retry"), {"retry": before["retry"]})
        status, out, err = janus.reload()
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"in force is what %s said at \d{4}-" % janus.config_file)
        self.assertRegex(err, r"waits for a restart +ring_bytes = 8M \(in force: 4M\)")

    def test_config(self):
        janus = self.start(1, "ring_bytes = 4M\n\norigins = https://a.example\norigins = https://b.example\n")
        file = janus.config_file
        config = self.config()
        self.assertEqual({n: config[n]["from"] for n in ("workers", "listen", "ring_bytes", "origins", "retry", "runtime_dir")},
                         {"workers": file + ":1", "listen": file + ":2", "ring_bytes": file + ":3", "origins": file + ":5", "retry": "default", "runtime_dir": "-o"})
        self.assertEqual(config["origins"]["value"], "https://a.example https://b.example")
        self.assertEqual((config["ring_bytes"]["restart"], config["retry"]["restart"]), (True, False))
        self.assertEqual(self.waiting(), {})
        self.reload(1, "\nretry = 3s\nring_bytes = 8M\n")
        self.assertEqual(self.waiting(), {"ring_bytes": "8M"})
        config = self.config()
        self.assertEqual((config["ring_bytes"]["value"], config["ring_bytes"]["from"], config["ring_bytes"]["waiting"]),
                         ("4M", file + ":3", {"value": "8M", "from": file + ":5"}))
        self.assertEqual((config["retry"]["value"], config["retry"]["from"]), ("3s", file + ":4"))
        # Later reloads do not forget it, whatever they take up, and whether they can be or not.
        self.reload(1, "max_topics = 1000\nretry = 5s\nring_bytes = 8M\n")
        self.assertEqual(self.waiting(), {"ring_bytes": "8M", "max_topics": "1000"})
        self.reload(1, "nonsense = 1\n", status=1)
        self.assertEqual(self.waiting(), {"ring_bytes": "8M", "max_topics": "1000"})
        self.assertEqual(self.config()["ring_bytes"]["from"], file + ":3")
        status, out, _ = janus.ctl("config", "ring_bytes")
        self.assertEqual((status, out), (0, "ring_bytes = 4M\t# %s:3\n\t# waits for a restart: ring_bytes = 8M, %s:5\n" % (file, file)))
        status, _, err = janus.ctl("config", "colour")
        self.assertEqual(status, 1)
        self.assertIn("no setting `colour`", err)
        # What waited is in force behind a restart.
        janus.stop()
        janus.configure(BASE % (1, self.port) + "max_topics = 1000\nring_bytes = 8M\n")
        janus.start()
        self.assertEqual(self.waiting(), {})
        self.assertEqual(self.config("ring_bytes")["ring_bytes"]["value"], "8M")

    def test_log_level(self):
        """Of all processes at once; until the next reload, or until it is said otherwise."""
        janus = self.start(2)
        clients = [c.subscribe("a") for c in self.on_each_worker(janus)]
        self.assertEqual(janus.ctl("log", "error"), (0, "", ""))
        self.assertEqual((self.config("log_level")["log_level"]["value"], self.config("log_level")["log_level"]["from"]), ("error", "janusctl log"))
        self.assertEqual(len(clients), janus.connections())
        lines = len(janus.log().splitlines())
        janus.kill_worker(0)            # told by its keeper, a warning, and by its successor
        self.assertEqual(len(janus.log().splitlines()), lines)
        self.assertEqual(janus.ctl("log", "debug")[0], 0)
        janus.kill_worker(1)
        janus.wait_log(r"worker 1: sends with ")
        janus.wait_log(r"keeper 1: worker \d+ died")
        self.assertEqual(janus.ctl("log", "default")[0], 0)
        self.assertEqual(self.config("log_level")["log_level"]["from"], "default")
        self.assertEqual(janus.ctl("log", "debug", "--json")[:2], (0, '{"ok":true}\n'))
        self.assertEqual(janus.reload()[0], 0)
        self.assertEqual(self.config("log_level")["log_level"]["value"], "info")
        said = janus.log().count("sends with")
        janus.kill_worker(0)
        self.assertEqual(janus.log().count("sends with"), said)
        status, _, err = janus.ctl("log", "loud")
        self.assertEqual(status, 1)
        self.assertIn("error warning info debug", err)


if __name__ == "__main__":
    unittest.main()
