"""janusctl workers, clients and client: read from shared memory, whoever may answer."""
import os
import signal
import time
import unittest

from ctl_test import CtlTest
from janus_test import SLOWNESS, wait_until


class Clients(CtlTest):
    def test_all_kinds(self):
        self.serve("session_linger=0")
        self.flash().subscribe("a")
        self.packet().subscribe("a", "b")
        self.websocket().subscribe("w")
        self.sse("/sub/s")
        self.lines("/inbox/bob")
        wait_until(lambda: self.janus.connections() == 5)
        found = {c["transport"]: c for c in self.listed()}
        self.assertEqual(set(found), {"flash", "packet", "websocket", "sse", "json_lines"})
        self.assertEqual(sorted(found["packet"]["topics"]), ["a", "b"])
        self.assertEqual((found["json_lines"]["users"], found["json_lines"]["topics"]), (["bob"], []))
        for c in found.values():
            self.assertEqual((c["state"], c["lag"]), ("open", 0))
            self.assertGreater(c["bytes_out"], 0)
            self.assertAlmostEqual(c["since"], time.time(), delta=30 * SLOWNESS)
            one = self.ask_ctl("client", c["id"])
            self.assertEqual((one["id"], one["topics"]), (c["id"], c["topics"]))
            self.assertIn(c["id"], self.ctl("client", c["id"]))
            self.assertIn(c["id"], self.ctl("clients"))
        self.assertEqual(len(self.listed("--top", "2")), 2)
        self.assertEqual(self.ask_ctl("clients", "--top", "2")["of"], 5)

    def test_filters(self):
        self.serve("session_linger=0")
        first, second = self.websocket().subscribe("a", "b"), self.packet().subscribe("a")
        self.lines("/inbox/bob")
        a = self.ids("--topic", "a")
        self.assertEqual(len(a), 2)
        self.assertEqual(len(self.ids("--topic", "b")), 1)
        self.assertEqual(self.ids("--topic", "bob"), [])
        self.assertEqual(len(self.ids("--user", "bob")), 1)
        self.assertEqual(self.ids("--topic", "a", "--transport", "packet"), [i for i in a if i not in self.ids("--transport", "websocket")])
        self.assertEqual(sorted(self.ids("--slot", "0") + self.ids("--slot", "1")), sorted(self.ids()))
        self.assertEqual(self.ids("--behind"), [])
        self.assertEqual(self.ids("--idle-more-than", "1000"), [])
        host, port = first.socket.getsockname()[:2]
        self.assertEqual([c["address"] for c in self.listed("--address", "%s:%d" % (host, port))], ["%s:%d" % (host, port)])
        self.assertEqual(len(self.ids("--address", host)), 3)
        self.assertEqual(self.ids("--address", "10.0.0.1"), [])
        self.assertEqual(len(self.ids("--address", "::ffff:" + host)), 3)        # the same one, written otherwise
        self.assertEqual(len(self.ids("--address", "[::ffff:%s]:%d" % (host, port))), 1)
        for wrong in ("10.0.0", "10.0.0.0/8", "localhost", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:1x", "[::1]", "::1]:1", "[10.0.0.1]:1", "1" * 99):
            self.ctl("clients", "--address", wrong, status=2)
        second.close()
        wait_until(lambda: len(self.ids("--topic", "a")) == 1)

    def test_wrong_arguments(self):
        for arguments in (("--transport", "x"), ("--slot", "64"), ("--slot", "x"), ("--idle-more-than", "-1"), ("--top", "0"), ("--user", ""), ("x",)):
            self.ctl("clients", *arguments, status=2)
        self.ctl("client", "x", status=2)
        self.ctl("client", "0.5.00000000", status=1)
        self.ctl("client", "63.67108863.00000000", status=1)
        self.ctl("client", status=2)

    def test_an_id_stays(self):
        """Over its worker's death and a reload; and nothing of a token is shown."""
        client = self.websocket()
        client.subscribe("a")
        before = self.ids()
        self.assertEqual(len(before), 1)
        self.janus.kill_worker(int(before[0].split(".")[0]))
        self.assertEqual(self.ids(), before)
        self.assertEqual(self.janus.reload()[0], 0)
        self.assertEqual(self.ids(), before)
        client.close()
        wait_until(lambda: not [c for c in self.listed() if c["state"] != "parked"])
        self.ctl("kick", *before)
        self.ctl("client", *before, status=1)

    def test_nobody_answers(self):
        """Master and workers are stopped: what there is can be looked at all the same."""
        self.websocket().subscribe("a")
        before = self.ids()
        stopped = [self.janus.master] + self.janus.workers()
        try:
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            if os.getuid() == 0:
                self.assertEqual(self.ids(), before)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        self.assertEqual(self.ids(), before)

    def test_workers(self):
        self.websocket()
        workers = self.ask_ctl("workers")["workers"]
        self.assertEqual([w["slot"] for w in workers], [0, 1])
        self.assertEqual([w["pid"] for w in workers], self.janus.workers())
        self.assertEqual(sum(w["connections"] for w in workers), 1)
        self.assertEqual([w["state"] for w in workers], ["live"] * 2)
        self.janus.kill_worker(1)
        self.assertEqual([w["restarts"] for w in self.ask_ctl("workers")["workers"]], [0, 1])
        self.assertIn(str(self.janus.workers()[1]), self.ctl("workers"))

    def test_behind(self):
        self.serve("ring_messages=1024")
        self.lines("/sub/a", rcvbuf=4096)
        body = b"x" * 30000
        wait_until(lambda: self.post("/pub/a", body) and self.ids("--behind"))
        self.post("/pub/a", body)
        behind = self.listed("--behind")
        self.assertEqual(behind[0]["state"], "behind")
        self.assertGreater(behind[0]["lag"], 0)


if __name__ == "__main__":
    unittest.main()
