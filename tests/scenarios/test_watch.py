"""The sessions' epoll set outlives workers, with what is registered in it (worker/session/watch.h): looked at in /proc/PID/fdinfo."""
import ctypes
import os
import re
import signal
import time

import janus_test
from crash_test import CRASH_BUILD, CrashTest
from janus_test import wait_until
from processes import cpu_seconds, descriptors
from test_sessions import SessionTest

PIDFD_GETFD = 438
libc = ctypes.CDLL(None, use_errno=True)


class Sets:
    """Of the only worker."""

    def sets(self):
        """Of each epoll set of the slot: its number, and the descriptors that are registered."""
        found = {}
        pid = self.janus.slot(0)["worker"]
        for number, what in descriptors(pid).items():
            if what != "anon_inode:[eventpoll]":
                continue
            with open("/proc/%d/fdinfo/%d" % (pid, number)) as f:
                found[number] = sorted(int(fd) for fd in re.findall(r"^tfd: *(\d+)", f.read(), re.MULTILINE))
        return found

    def the_set(self, sessions):
        """The only one there is has these many; its number and what is in it."""
        wait_until(lambda: [len(fds) for fds in self.sets().values()] == [sessions], what="one set with %d" % sessions)
        return next(iter(self.sets().items()))


class Watch(Sets, CrashTest):
    workers = 1

    def heard(self, clients, n):
        clients[0].publish("t", n=n)
        for client in clients:
            self.assertEqual(client.message()["n"], n)

    def test_outlives_workers(self):
        self.serve_crash_build("session_linger=0", listen=("flash://127.0.0.1:0",))
        clients = [client.subscribe("t") for client in self.clients(self.janus, 20)]
        before = self.the_set(20)
        for n in range(3):
            self.janus.kill_worker()
            self.heard(clients, n)
            self.assertEqual(self.the_set(20), before)
        self.janus.reload()
        self.heard(clients, 3)
        self.assertEqual(self.the_set(20), before)
        # What comes and goes while there is no worker.
        pid = self.janus.slot(0)["worker"]
        os.kill(pid, signal.SIGSTOP)
        clients[1].publish("t", n=4)
        clients.pop().close()
        clients.pop().reset()
        self.janus.kill_worker()
        for client in clients:
            self.assertEqual(client.message()["n"], 4)
        self.the_set(18)
        for client in clients:
            client.close()
        self.the_set(0)
        self.heard([client.subscribe("t") for client in self.clients(self.janus, 3)], 5)

    def test_first_worker_dies(self):
        """While it makes the set; and another program has one of its own."""
        for point in "watch-made", "watch-noted":
            with self.subTest(point=point):
                self.arm(point)
                server = self.server("session_linger=0", workers=1, build=CRASH_BUILD, start=False)
                self._janus = server
                server.start()
                server.forgive_deaths(signal.SIGKILL)
                self.assertTrue(self.disarm(point))
                self.heard([client.subscribe("t") for client in self.clients(server, 3)], 0)
                self.the_set(3)
                server.stop()

    def test_borrowed(self):
        """Somebody has a client's file open for a moment, as janusctl does, when its connection ends; its number is another's then."""
        self.serve_crash_build("session_linger=0", "heartbeat=1h", listen=("flash://127.0.0.1:0",))
        clients = [client.subscribe("t") for client in self.clients(self.janus, 5)]
        number, registered = self.the_set(5)
        pid = self.janus.slot(0)["worker"]
        pidfd = os.pidfd_open(pid)
        borrowed = [libc.syscall(PIDFD_GETFD, pidfd, fd, 0) for fd in registered]
        os.close(pidfd)
        if -1 in borrowed:
            self.skipTest("descriptors can't be borrowed here")
        for client in clients:
            client.close()
        self.assertEqual(self.the_set(0), (number, []))
        clients = [client.subscribe("t") for client in self.clients(self.janus, 5)]
        self.heard(clients, 0)
        self.assertEqual(self.the_set(5), (number, registered))
        used = cpu_seconds(pid)
        time.sleep(0.3)     # in which a worker that was told again and again of who is gone would be busy
        self.assertLess(cpu_seconds(pid) - used, 0.15)
        for fd in borrowed:
            os.close(fd)


class Attach(Sets, SessionTest):
    workers = 1

    def test_in_one_turn(self):
        """A connection is taken from its session by another one in the same turn in which it has said something: that is no reason for another set."""
        sets = list(self.sets())
        for n in range(4):
            old = self.packet()
            token = self.token_of(old)
            old.subscribe("a")
            new = self.packet()
            new.greet()
            pid = self.janus.slot(0)["worker"]
            os.kill(pid, signal.SIGSTOP)
            new.op("attach", token=token)
            old.op("publish", topic="a", data=n)
            os.kill(pid, signal.SIGCONT)
            new.message()
            self.assertEqual(list(self.sets()), sets)
        self.assertNotIn("made anew", self.janus.log())


if __name__ == "__main__":
    janus_test.unittest.main()
