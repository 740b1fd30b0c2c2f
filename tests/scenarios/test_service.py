"""What a service manager is told (sd_notify): played by the test, with a socket of its own."""
import os
import re
import select
import signal
import socket
import time
import unittest
import uuid

from janus_test import JanusTest, wait_until


class Manager:
    """The service manager's socket, and what came there: [{name: value}...]."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name[0] == "@" else name)
        self.name = name
        self.said = []

    def close(self):
        self.socket.close()

    def hear(self):
        while select.select([self.socket], [], [], 0)[0]:
            text = self.socket.recv(4096).decode()
            self.said.append(dict(line.split("=", 1) for line in text.split("\n")))
        return self.said

    def all(self, key):
        return [said[key] for said in self.hear() if key in said]

    def wait(self, condition, what, seconds=15):
        return wait_until(lambda: condition(self.hear()), seconds, what)


class Service(JanusTest):
    def manager(self, name=None):
        manager = Manager(name or "@janus-test-" + uuid.uuid4().hex)
        self.addCleanup(manager.close)
        return manager

    def start(self, manager, *options, workers=2, watchdog_ms=None, launch=False, **more):
        environment = {"NOTIFY_SOCKET": manager.name}
        if watchdog_ms:
            environment["WATCHDOG_USEC"] = str(1000 * watchdog_ms)
        before = dict(os.environ)
        os.environ.update(environment)
        try:
            janus = self.server(*options, workers=workers, start=False, **more)
            if launch:
                janus.launch()
            else:
                janus.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        return janus

    def ready(self, manager, times=1):
        manager.wait(lambda said: sum("READY" in s for s in said) >= times, "READY=1, %d times" % times)

    def test_ready_when_all_workers_are(self):
        manager = self.manager()
        janus = self.start(manager, workers=3, launch=True)
        self.ready(manager)
        status = janus.status()         # it can be asked by then, and all of them serve
        self.assertEqual([w["state"] for w in status["workers"]], ["live"] * 3)
        self.assertEqual(manager.said[0]["READY"], "1")
        self.assertEqual(manager.said[0]["MAINPID"], str(janus.master))
        self.assertEqual(manager.said[0]["STATUS"], "0 connections, 3 workers")
        clients = self.clients(janus, 5)
        manager.wait(lambda said: said[-1].get("STATUS") == "5 connections, 3 workers", "the status with %d connections" % len(clients))
        self.assertEqual(len(manager.all("READY")), 1)
        for pid in janus.keepers() + janus.workers():
            with open("/proc/%d/environ" % pid, "rb") as f:
                self.assertNotIn(b"NOTIFY_SOCKET", f.read())
        janus.stop()
        self.assertEqual(manager.hear()[-1]["STOPPING"], "1")
        self.assertEqual(manager.all("WATCHDOG"), [])

    def test_a_path(self):
        janus = self.server(start=False)
        manager = self.manager(os.path.join(janus.folder, "notify"))
        self.start(manager)
        self.ready(manager)

    def test_reload(self):
        """RELOADING=1 with a time behind the signal's, then READY=1, whether it goes well or not; over the execution of the program."""
        manager = self.manager()
        janus = self.start(manager, config="workers = 2\nlisten = flash://127.0.0.1:0\n")
        self.ready(manager)
        for n, (text, said) in enumerate((("workers = 2\nlisten = flash://127.0.0.1:0\nretry = 3s\n", "reloaded:"), ("nonsense\n", "reload refused"),
                                          ("workers = 1\nlisten = flash://127.0.0.1:0\n", "reloaded:"))):
            janus.configure(text)
            before, count = time.monotonic_ns() // 1000, janus.log().count(said)
            janus.process.send_signal(signal.SIGHUP)
            self.ready(manager, n + 2)
            heard = [s for s in manager.said if "READY" in s or "RELOADING" in s]
            self.assertEqual([sorted(s.keys() & {"READY", "RELOADING"}) for s in heard[-2:]], [["RELOADING"], ["READY"]])
            self.assertTrue(before <= int(heard[-2]["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000)
            self.assertEqual(heard[-1]["MAINPID"], str(janus.master))
            wait_until(lambda: janus.log().count(said) > count, what=said)
        self.assertEqual(len(manager.all("RELOADING")), 3)

    def test_watchdog(self):
        manager = self.manager()
        janus = self.start(manager, "hang_limit=2s", workers=1, watchdog_ms=1000)
        self.ready(manager)
        manager.wait(lambda said: len(manager.all("WATCHDOG")) >= 5, "signs of life")
        # A worker that hangs is replaced, which is no affair of the service manager's. A master that hangs is.
        janus.kill(janus.slot(0)["worker"], "worker", signal.SIGSTOP)
        count = len(manager.all("WATCHDOG"))
        manager.wait(lambda said: len(manager.all("WATCHDOG")) > count + 2, "signs of life beside a worker that hangs")
        os.kill(janus.master, signal.SIGSTOP)
        self.addCleanup(lambda: janus.running() and os.kill(janus.master, signal.SIGCONT))
        wait_until(lambda: self.stopped(janus.master))
        count = len(manager.all("WATCHDOG"))
        time.sleep(1)
        self.assertEqual(len(manager.all("WATCHDOG")), count)
        os.kill(janus.master, signal.SIGCONT)
        manager.wait(lambda said: len(manager.all("WATCHDOG")) > count + 2, "signs of life again")

    def stopped(self, pid):
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] == "T"

    def test_a_socket_that_nobody_reads(self):
        manager = self.manager()
        manager.socket.setblocking(False)
        other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(other.close)
        other.setblocking(False)
        try:
            while True:
                other.sendto(b"X=1", "\0" + manager.name[1:])
        except BlockingIOError:
            pass
        janus = self.start(manager, watchdog_ms=1000)
        self.client(janus).subscribe("a")
        self.assertEqual(janus.reload()[0], 0)
        self.ready(manager)             # when there is room
        janus.stop()

    def test_a_socket_that_is_gone(self):
        manager = self.manager()
        manager.close()
        janus = self.start(manager, watchdog_ms=1000)
        self.assertEqual(janus.reload()[0], 0)
        self.assertEqual(len(re.findall("NOTIFY_SOCKET: ", janus.log())), 2)     # one line a program, however often it is tried

        def rested():
            """(It looks more often, until all workers that follow are live.)"""
            before = self.turns(janus.master)
            time.sleep(0.5)
            return self.turns(janus.master) - before < 15
        wait_until(rested, 10, "a master that rests")

    def test_who_starts_the_next_master(self):
        """Whoever was told of the first one; a keeper, if that could not be told."""
        manager, nobody = self.manager(), self.manager()
        nobody.close()
        managed, alone = (self.start(m, "next_master=keeper", "master_linger=" + linger) for m, linger in ((manager, "1500ms"), (nobody, "60s")))
        self.addCleanup(lambda: alone.processes() and alone.ctl("stop"))
        self.ready(manager)
        for janus in managed, alone:
            janus.kill(janus.master, "master")
            janus.process.wait()
        alone.wait_log("is to be the next master")
        managed.wait_log("no master has come for 1500 ms")
        wait_until(lambda: not managed.processes(), 10, "the end of all processes")
        self.assertNotIn("is to be the next master", managed.log())
        wait_until(lambda: alone.ctl("status")[0] == 0, 10, "another master")
        self.assertEqual(alone.ctl("stop")[:2], (0, "stopped\n"))

    def turns(self, pid):
        """How often it has waited for something."""
        with open("/proc/%d/status" % pid) as f:
            return int(re.search(r"(?m)^voluntary_ctxt_switches:\s+(\d+)", f.read()).group(1))


if __name__ == "__main__":
    unittest.main()
