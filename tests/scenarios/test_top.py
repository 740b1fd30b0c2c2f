"""janusctl top: in a terminal, and once."""
import json
import os
import re
import signal
import unittest

from janus_test import SLOWNESS, wait_until
from terminal import Terminal
from web_clients import WebTest


class Top(WebTest):
    options = ("session_linger=0",)

    def terminal(self, rows=24, columns=80):
        command = [os.path.join(self.janus.build, "janusctl"), "-o", "runtime_dir=" + self.janus.runtime_dir, "top"]
        terminal = Terminal(command, rows, columns)
        self.addCleanup(terminal.close)
        return terminal

    def once(self):
        status, out, err = self.janus.ctl("top", "--json")
        self.assertEqual(status, 0, err)
        return json.loads(out)

    def publish(self, topic, count):
        for n in range(count):
            self.post("/pub/" + topic, "x")

    def test_once(self):
        """As text where stdout is no terminal, and as JSON: what there is, and what has happened within a second."""
        websockets = [self.websocket().subscribe("news", "other") for _ in range(3)]
        self.sse("/sub/news")
        self.publish("news", 20)
        self.publish("other", 5)
        wait_until(lambda: self.janus.count("delivered") == 95)
        status, out, err = self.janus.ctl("top")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"(?m)^connections 4  WebSocket 3  SSE 1$")
        self.assertRegex(out, r"workers 2 of 2 live  restarts 0")
        self.assertRegex(out, r"(?m)^ +\S+ +4 +20  news\n +\S+ +3 +5  other$")
        for line in out.splitlines():
            self.assertLessEqual(len(line), 80)
        top = self.once()
        self.assertEqual(top["connections"], 4)
        self.assertEqual(top["transports"], {"websocket": 3, "sse": 1})
        self.assertEqual(top["totals"]["published"], 25)
        self.assertEqual(top["totals"]["delivered"], 95)
        self.assertEqual([t["topic"] for t in top["topics"]], ["news", "other"])
        self.assertEqual([w["pid"] for w in top["workers"]], self.janus.workers())
        self.assertEqual(sum(w["connections"] for w in top["workers"]), 4)
        del websockets

    def test_rates(self):
        """Of what goes on while it looks."""
        bench = self.bench(self.janus, "-n", 40, "-T", 4, "--rate", 200, "--while-running", 6 * SLOWNESS)
        wait_until(lambda: self.janus.count("delivered") > 100, 20)
        top = self.once()
        # (On a busy machine the load comes in heaps.)
        self.assertTrue(40 < top["rates"]["published"] < 600, top["rates"])
        self.assertTrue(400 < top["rates"]["delivered"] < 6000, top["rates"])
        self.assertGreater(top["rates"]["bytes_out"], top["rates"]["bytes_in"])
        self.assertAlmostEqual(sum(t["rate"] for t in top["topics"]), top["rates"]["published"], delta=200)
        self.assertAlmostEqual(sum(w["rates"]["delivered"] for w in top["workers"]), top["rates"]["delivered"], delta=1)
        bench.finish()

    def test_many_topics(self):
        """Those with the most messages are found among many that have none."""
        for n in range(60):
            self.websocket().subscribe(*["quiet-%d-%d" % (n, i) for i in range(20)])
        self.lines("/sub/busy")
        self.publish("busy", 10)
        self.assertEqual(self.once()["topics"][0]["topic"], "busy")

    def test_terminal(self):
        """A picture of 80 columns and 24 rows that changes; keys."""
        self.lines("/sub/news,caf%C3%A9")
        terminal = self.terminal()
        rows = terminal.wait_for(lambda rows: "connections 1  JSON lines 1" in rows and "q quit" in rows[23])
        self.assertTrue(rows[0].startswith("janus  up "), rows)
        self.assertIn("every 1 s", rows[0])
        self.publish("news", 3)
        self.publish("caf%C3%A9", 1)
        rows = terminal.wait_for(lambda rows: any(re.match(r" +\S+ +1 +3  news$", row) for row in rows) and any(row.endswith("1  café") for row in rows))
        self.assertTrue(any(re.match(r" +0 live +\d+ ", row) for row in rows), rows)
        terminal.wait_for(lambda rows: any(re.match(r"all .* 4 +4 +0 ", row) for row in rows))
        terminal.press(" ")
        terminal.wait_for_text("PAUSED")
        client = self.websocket()
        terminal.press("++")
        terminal.wait_for_text("PAUSED  0.25 s")
        self.assertEqual(self.once()["connections"], 2)     # which takes a second: there would be four more pictures
        terminal.press("---")
        rows = terminal.wait_for_text("PAUSED  2 s")
        self.assertIn("connections 1  JSON lines 1", rows)
        terminal.press(" +")
        terminal.wait_for_text("WebSocket 1")
        for key, word in zip("culds", ("conns", "CPU", "lag", "sent", "slot")):
            terminal.press(key)
            terminal.wait_for(lambda rows: rows[23].endswith("(%s)" % word), what=word)
        pid = self.janus.kill_worker(0)
        terminal.wait_for(lambda rows: "restarts 1" in rows[0] and not any(" %d " % pid in row for row in rows))
        terminal.press("q")
        self.assertEqual(terminal.ended(), 0)
        client.close()

    def test_sizes(self):
        """It is drawn anew for another size, however small."""
        terminal = self.terminal()
        terminal.wait_for_text("workers 2 of 2 live")
        terminal.resize(40, 120)
        terminal.wait_for(lambda rows: "q quit" in rows[39] and rows[39].endswith("(slot)"))
        terminal.resize(8, 30)
        rows = terminal.wait_for(lambda rows: rows[7].startswith("q quit"))
        self.assertTrue(rows[0].startswith("janus  up "), rows)
        terminal.resize(1, 1)
        terminal.resize(24, 80)
        terminal.wait_for(lambda rows: "q quit" in rows[23])
        os.kill(terminal.pid, signal.SIGINT)
        self.assertEqual(terminal.ended(), 0)

    def test_server_goes_and_comes(self):
        terminal = self.terminal()
        terminal.wait_for_text("workers 2 of 2 live")
        self.janus.stop()
        terminal.wait_for_text("THE SERVER HAS ENDED", seconds=20)
        self.janus.start()
        terminal.wait_for(lambda rows: "ENDED" not in rows[0] and "workers 2 of 2 live" in rows[0], seconds=20)
        terminal.press("q")
        self.assertEqual(terminal.ended(), 0)

    def test_master_stopped(self):
        self.lines("/sub/news")
        self.janus.kill(self.janus.master, "master", signal.SIGSTOP)
        self.addCleanup(os.kill, self.janus.master, signal.SIGCONT)
        terminal = self.terminal()
        terminal.wait_for_text("JSON lines 1")
        terminal.press("q")
        self.assertEqual(terminal.ended(), 0)
        os.kill(self.janus.master, signal.SIGCONT)


if __name__ == "__main__":
    unittest.main()
