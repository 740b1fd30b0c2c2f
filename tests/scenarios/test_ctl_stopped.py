"""janusctl while the master is stopped, as a debugger does it: what only looks answers, what needs the master says in time that it does not answer."""
import json
import os
import re
import signal
import socket
import threading
import time
import unittest

from access_test import ROOT, AccessTest
from ctl_test import CtlTest
from janus_test import SLOWNESS, wait_until

ASKED = "is it stopped?"
UNKNOWN = "version", "file", "runtime_dir", "data", "listen", "admin", "connections_max"


class Stopped(CtlTest):
    workers = 2

    def setUp(self):
        super().setUp()
        self.websocket().subscribe("news")
        self.sse("/sub/news,b")
        wait_until(lambda: self.janus.connections() == 2, what="two connections")
        self.first = self.ids()[0]

    def while_stopped(self, *commands, first=None):
        """{command: (status, out, err)} of commands that all run at a time while the master is stopped; before them, first()."""
        answers = {}

        def ask(command):
            answers[command] = self.janus.ctl(*command.split(), seconds=60)
        threads = [threading.Thread(target=ask, args=(c,)) for c in commands]
        os.kill(self.janus.master, signal.SIGSTOP)
        try:
            if first:
                first()
            began = time.monotonic()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertLess(time.monotonic() - began, 15 * SLOWNESS)
        finally:
            os.kill(self.janus.master, signal.SIGCONT)
        wait_until(lambda: self.janus.ctl("status")[2] == "", what="an answer")
        return answers

    def test_status_and_version(self):
        """It says what is now, and not what the master saw last: a worker has died."""
        before = self.janus.status()

        def kill():
            self.janus.kill(before["workers"][0]["worker"], "worker")
            self.janus.wait_log("took over %d connections" % before["workers"][0]["connections"])
        answers = self.while_stopped("status", "status --json", "version", "version --json", first=kill)
        asked = "the master (process %d) does not answer: %s" % (self.janus.master, ASKED)
        for command, (status, _, err) in answers.items():
            self.assertEqual(status, 0, (command, err))
            self.assertIn(asked, err)
        status = json.loads(answers["status --json"][1])
        self.assertLess(abs(status.pop("started") - before.pop("started")), 3)
        now = status["workers"][0]
        self.assertNotEqual(now["worker"], before["workers"][0]["worker"])
        before["workers"][0].update(worker=now["worker"], restarts=1, generation=2)
        # All else that there is, and nothing that the master alone knows.
        self.assertEqual(status, dict(before, **dict.fromkeys(UNKNOWN)))
        _, out, err = answers["status"]
        self.assertRegex(out, r"\Ajanus, process %d \(which does not answer\), up " % self.janus.master)
        self.assertRegex(out, r"(?m)^connections +2$")
        self.assertRegex(out, r"(?m)^by transport +WebSocket 1, SSE 1$")
        for w in before["workers"]:
            self.assertRegex(out, r"(?m)^ +%d +live +%d +%d +%d +" % (w["slot"], w["keeper"], w["worker"], w["connections"]))
        self.assertNotRegex(out, "configuration|folder|listening|janusctl ")
        self.assertIn("left out: version, configuration, addresses", err)
        self.assertRegex(answers["version"][1], r"\Ajanusctl \S+\njanus, process %d, does not say\n\Z" % self.janus.master)
        self.assertIsNone(json.loads(answers["version --json"][1])["janus"])
        # And when it goes on, all is there again.
        self.assertIsNotNone(self.janus.status()["version"])

    def test_what_looks_and_what_does_not(self):
        looks = {
            "stats --json": lambda out: self.assertEqual(json.loads(out)["slots"][0]["state"], "live"),
            "topics --json": lambda out: self.assertEqual([t["topic"] for t in json.loads(out)["topics"]], ["news", "b"]),
            "workers --json": lambda out: self.assertEqual([w["pid"] for w in json.loads(out)["workers"]], self.janus.workers()),
            "clients --json": lambda out: self.assertEqual(len(json.loads(out)["clients"]), 2),
            "client --json " + self.first: lambda out: self.assertEqual(json.loads(out)["id"], self.first),
            "top --once": lambda out: self.assertRegex(out, r"(?m)^connections 2\b"),
            "log --once --kind start --since 1h": lambda out: self.assertEqual(len(re.findall(r"(?m)\bworker 1 of its slot$", out)), 2),
            "rtt --count 2": lambda out: self.assertIn("2 messages, 0 lost", out),
        }
        refused = "config", "config workers", "log debug"
        answers = self.while_stopped(*looks, *refused)
        for command, check in looks.items():
            status, out, err = answers[command]
            self.assertEqual((status, err), (0, ""), command)
            check(out)
        for command in refused:
            status, out, err = answers[command]
            self.assertEqual((status, out), (1, ""), command)
            self.assertEqual(err, "janusctl: %s: the master (process %d) does not answer: %s\n" % (command.split()[0], self.janus.master, ASKED))

    def test_many_who_ask(self):
        """Who asked and left stays in the master's queue: that has room for more than a few."""
        os.kill(self.janus.master, signal.SIGSTOP)
        try:
            for _ in range(100):
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                    s.setblocking(False)
                    s.connect(os.path.join(self.janus.runtime_dir, "control"))      # (BlockingIOError: there is no room)
        finally:
            os.kill(self.janus.master, signal.SIGCONT)
        wait_until(lambda: self.janus.ctl("status")[2] == "", what="an answer")


@unittest.skipUnless(ROOT, "only root can be another user")
class AnotherUser(AccessTest):
    def test_who_may_not_look(self):
        """A member of control_group can ask the master, and not read its memory by himself."""
        name, number = self.group()
        janus = self.start(config="workers = 1\nlisten = flash://127.0.0.1:0\ncontrol_group = %s\n" % name)
        where = "-o", "runtime_dir=" + janus.runtime_dir
        answers = {}

        def ask(command):
            answers[command] = self.as_other([number], *where, command)
        self.assertEqual(self.as_other([number], *where, "status")[0], 0)
        os.kill(janus.master, signal.SIGSTOP)
        try:
            threads = [threading.Thread(target=ask, args=(c,)) for c in ("status", "stats", "version")]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            os.kill(janus.master, signal.SIGCONT)
        for command, (status, out, err) in answers.items():
            self.assertEqual(status, 0 if command == "version" else 1, command)
            self.assertIn("the master (process %d) does not answer: %s" % (janus.master, ASKED), err)
            self.assertIn("only root and the server's user can look", err)
        self.assertTrue(answers["version"][1].startswith("janusctl "))
        wait_until(lambda: self.as_other([number], *where, "status")[0] == 0, what="an answer")


if __name__ == "__main__":
    unittest.main()
