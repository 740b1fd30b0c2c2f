"""Start and stop, in order and otherwise: what is left, and whether the next start works."""
import contextlib
import os
import signal
import socket
import threading
import unittest

from crash_test import CRASH_BUILD, CrashTest
from janus_test import SLOWNESS, JanusTest, free_port, is_alive, wait_until
from processes import is_stopped


class Stop(JanusTest):
    def check_stop(self, sig):
        before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
        janus = self.server(workers=4)
        clients = [c.subscribe("a") for c in self.clients(janus, 20)]
        clients[0].publish("a", n=1)
        for client in clients:
            client.expect_message("a", n=1)
        pids = janus.processes()
        self.assertEqual(len(pids), 13)
        janus.stop(sig)                 # exit status, processes, runtime folder
        for pid in pids:
            self.assertFalse(is_alive(pid))
        for client in clients:
            client.expect_close()
        after = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
        self.assertEqual([name for name in after - before if "janus" in name], [])
        self.assertRegex(janus.log(), "stopped")

    def test_sigterm(self):
        self.check_stop(signal.SIGTERM)

    def test_sigint(self):
        self.check_stop(signal.SIGINT)

    def test_what_is_published_is_still_delivered(self):
        """A stop does not lose what was taken in."""
        janus = self.server(workers=4)
        subscribers = [c.subscribe("a") for c in self.clients(janus, 40)]
        publisher = self.client(janus)
        publisher.send(b'{"action":"publish","topic":"a","data":"%s"}\0' % (b"x" * 500) * 500)
        self.wait_count(janus, "published", 500)
        stopping = threading.Thread(target=janus.stop)
        stopping.start()
        for _ in range(500):            # all of them read: who does not for a second is not waited for
            for subscriber in subscribers:
                subscriber.expect_message("a")
        for subscriber in subscribers:
            subscriber.expect_close()
        stopping.join()

    def test_stop_with_one_that_does_not_read(self):
        """It waits for nobody longer than a few seconds."""
        janus = self.server(workers=2)
        slow = self.client(janus, rcvbuf=4096).subscribe("a")
        publisher = self.client(janus)
        publisher.send(b'{"action":"publish","topic":"a","data":"%s"}\0' % (b"x" * 4000) * 3000)
        self.wait_count(janus, "published", 3000)
        wait_until(lambda: janus.behind() == 1)
        janus.stop()
        slow.close()

    def test_stop_while_it_starts(self):
        for _ in range(5):
            janus = self.server(workers=4, start=False)
            janus.launch()
            janus.wait_log("listening on")
            # It may come before the signal is watched for: then it simply ends the process.
            janus.process.terminate()
            status = janus.process.wait(10 * SLOWNESS)
            self.assertIn(status, (0, -signal.SIGTERM))
            wait_until(lambda: not janus.processes(), what="the end of all processes")

    def test_start_and_stop_often(self):
        port = free_port()
        janus = self.server(workers=2, listen=("flash://127.0.0.1:%d" % port,), start=False)
        for n in range(10):
            janus.start()
            client = self.client(janus).subscribe("a")
            client.publish("a", n=n)
            client.expect_message("a", n=n)
            janus.stop()
            client.expect_close()
            client.close()


class Begun(CrashTest):
    def test_stop(self):
        """The master is told to, before it watches for signals: what it has started by then ends with it."""
        for sig in signal.SIGTERM, signal.SIGINT:
            with self.subTest(sig=sig):
                janus = self.server(workers=2, build=CRASH_BUILD, start=False)
                self.arm("master-forked.stop")
                janus.launch()
                wait_until(lambda: is_stopped(janus.master), 10, "the master's first keeper")
                os.kill(janus.master, sig)
                os.kill(janus.master, signal.SIGCONT)
                janus.wait_exit(0)


class Restart(JanusTest):
    """Deaths of whole servers."""

    def fixed(self, workers=2, linger=0):
        return self.server("master_linger=%d" % linger, workers=workers, listen=("flash://127.0.0.1:%d" % free_port(),))

    def serves(self, janus):
        client = self.client(janus).subscribe("a")
        client.publish("a")
        client.expect_message("a")

    def test_second_start_is_refused(self):
        janus = self.server()
        other = self.server("runtime_dir=" + janus.runtime_dir, start=False)
        other.arguments = [a for i, a in enumerate(other.arguments)
                           if other.runtime_dir not in a and other.runtime_dir not in "".join(other.arguments[i + 1:i + 2])]
        other.launch()
        other.wait_exit(1)
        self.assertIn("process %d" % janus.master, other.log())
        self.serves(janus)

    def test_master_killed(self):
        """The rest goes by itself; the next start works at once, on the same port."""
        for clean in (False, True):
            with self.subTest(clean=clean):
                janus = self.fixed(4)
                clients = [c.subscribe("a") for c in self.clients(janus, 20)]
                left = [pid for pid in janus.processes() if pid != janus.master]
                janus.kill(janus.master, "master")
                janus.process.wait()
                if clean:
                    wait_until(lambda: not any(map(is_alive, left)), 10, "the end of keepers and workers")
                janus.start()
                self.assertFalse(any(map(is_alive, left)))
                for client in clients:
                    client.expect_close()
                self.serves(janus)
                janus.stop()

    def test_master_killed_and_a_keeper_that_stays(self):
        """The next start waits for it, as it has the ports, and says so."""
        janus = self.fixed()
        keeper = janus.keepers()[0]
        os.kill(keeper, signal.SIGSTOP)
        try:
            janus.kill(janus.master, "master")
            janus.process.wait()
            janus.launch()
            janus.wait_log("waiting for what an earlier janus left behind: .*%d" % keeper)
            self.assertTrue(janus.running())
        finally:
            os.kill(keeper, signal.SIGCONT)
        wait_until(janus._serves, 20, "the server's start")
        self.serves(janus)

    def test_all_killed(self):
        """Leftovers in the runtime folder are recognised as such."""
        janus = self.fixed()
        clients = self.clients(janus, 10)
        pids = janus.processes()
        for sig in signal.SIGSTOP, signal.SIGKILL:      # (stopped first, or a keeper that sees its master's death before its own would stop in order)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):       # some go with others
                    janus.kill(pid, "master", sig)
        janus.process.wait()
        wait_until(lambda: not janus.processes(), what="the end of all processes")
        self.assertEqual(sorted(os.listdir(janus.runtime_dir)), ["admin", "control", "lock"] + ["programs"] * (os.geteuid() == 0) + ["slot.0", "slot.1"])
        self.assertEqual(janus.ctl("status")[0], 3)
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(os.path.join(janus.runtime_dir, "slot.9"))
        janus.start()
        self.assertRegex(janus.log(), "left behind")
        self.assertNotIn("slot.9", os.listdir(janus.runtime_dir))
        self.serves(janus)
        for client in clients:
            client.close()

    def test_master_and_keepers_killed(self):
        """What workers make of that when nobody is to wait for another master: another keeper, which has them stop."""
        janus = self.fixed()
        self.clients(janus, 10)
        workers = janus.workers()
        for pid in [janus.master] + janus.keepers():
            with contextlib.suppress(ProcessLookupError):
                janus.kill(pid, "keeper")
        janus.process.wait()
        wait_until(lambda: not any(map(is_alive, workers)), 10, "the workers' end")
        janus.start()
        self.serves(janus)

    def test_master_killed_in_a_reload(self):
        janus = self.fixed(4, linger=60)
        clients = [c.subscribe("b") for c in self.clients(janus, 10)]
        for _ in range(3):
            janus.process.send_signal(signal.SIGHUP)
            janus.wait_log("reload|.")
            janus.kill(janus.master, "master")
            janus.process.wait()
            janus.start()
            self.serves(janus)
        clients[0].publish("b")
        for client in clients:
            client.expect_message("b")


if __name__ == "__main__":
    unittest.main()
