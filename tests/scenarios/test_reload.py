"""Reload: a new configuration and a new program under way, without a connection's noticing."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
from unittest import mock

import janus_test
from janus_test import Closed, JanusTest, ROOT, SLOWNESS, free_port, is_alive, program, wait_until
from programs import Program
from steady import stopped_reader_on

BASE = "session_linger = 1\nworkers = %d\nlisten = flash://127.0.0.1:%d\n"


class Reload(JanusTest):
    def setUp(self):
        self.port = free_port()

    def start(self, workers=2, more=""):
        self.janus = self.server(config=BASE % (workers, self.port) + more)
        return self.janus

    def reload(self, workers=2, more=""):
        self.janus.configure(BASE % (workers, self.port) + more)
        status, _, err = self.janus.reload()
        self.assertEqual((status, err), (0, ""))

    def all_get(self, clients, n):
        clients[0].publish("a", n=n)
        for client in clients:
            client.expect_message("a", n=n)

    def test_connections_are_kept(self):
        janus = self.start(3)
        clients = [c.subscribe("a") for c in self.on_each_worker(janus, 2)]
        keepers, workers = janus.keepers(), janus.workers()
        for n in range(5):
            self.reload(3)
            self.assertEqual(janus.connections(), len(clients))
            self.all_get(clients, n)
        self.assertEqual(janus.keepers(), keepers)
        self.assertFalse(set(janus.workers()) & set(workers))
        self.assertEqual(janus.status()["pid"], janus.process.pid)
        counters = janus.stats()["counters"]
        self.assertEqual(counters["closed"], 0)
        self.assertEqual(counters["accepted"], len(clients))

    def test_sighup(self):
        janus = self.start()
        client = self.client(janus).subscribe("a")
        for n in range(3):
            done = janus.log().count("reloaded")
            janus.process.send_signal(signal.SIGHUP)
            wait_until(lambda: janus.log().count("reloaded") > done, what="the reload")
            self.all_get([client], n)

    def test_listen_addresses(self):
        """One more, and one less; connections that came by the one that goes are kept."""
        janus = self.start()
        other = free_port()
        old = self.client(janus).subscribe("a")
        self.reload(more="listen = flash://127.0.0.1:%d\n" % other)
        self.assertEqual(len(janus.status()["listen"]), 2)
        new = self.client(janus, address=("127.0.0.1", other)).subscribe("a")
        self.all_get([old, new], 1)
        janus.configure("workers = 2\nlisten = flash://127.0.0.1:%d\n" % other)
        self.assertEqual(janus.reload()[0], 0)
        self.assertEqual(janus.status()["listen"], ["flash://127.0.0.1:%d" % other])
        with self.assertRaises(ConnectionRefusedError):
            self.client(janus, address=("127.0.0.1", self.port))
        third = self.client(janus).subscribe("a")
        self.all_get([old, new, third], 2)
        self.reload()                   # and back: the port is free again
        self.all_get([old, new, third, self.client(janus).subscribe("a")], 3)

    def test_listen_wider_and_nearer(self):
        """A port moves from loopback to all addresses, and back: nobody else reaches it then, and connections of both are kept."""
        janus = self.start()
        clients = [self.client(janus).subscribe("a")]
        elsewhere = ("127.0.0.2", self.port)
        for n, host in enumerate(("*", "127.0.0.1", "*", "localhost")):
            janus.configure("session_linger = 1\nworkers = 1\nanonymous = all\nlisten = flash://%s:%d\n" % (host, self.port))
            status, _, err = janus.reload()
            self.assertEqual((status, err), (0, ""))
            if host == "*":
                clients.append(self.client(janus, address=elsewhere).subscribe("a"))
            else:
                with self.assertRaises(ConnectionRefusedError):
                    self.client(janus, address=elsewhere)
            clients.append(self.client(janus, address=("127.0.0.1", self.port)).subscribe("a"))
            self.all_get(clients, n)

    def test_listen_address_in_use(self):
        janus = self.start()
        client = self.client(janus).subscribe("a")
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        workers = janus.workers()
        janus.configure(BASE % (2, self.port) + "listen = flash://127.0.0.1:%d\n" % taken.getsockname()[1])
        status, _, err = janus.reload()
        self.assertEqual(status, 1)
        self.assertIn("in use", err)
        self.assertEqual(janus.workers(), workers)
        self.all_get([client], 1)
        self.reload()
        self.all_get([client], 2)

    def test_heartbeat(self):
        janus = self.start(more="heartbeat = 1h\n")
        client = self.client(janus).subscribe("a")
        self.reload(more="heartbeat = 1s\n")
        self.assertEqual(client.frame(seconds=5), b"PING")
        self.reload(more="heartbeat = 1h\n")
        self.all_get([client], 1)
        self.assertRegex(janus.log(), "reloaded")

    def test_workers(self):
        """2 to 4 to 1: slots come and go; nobody is closed."""
        janus = self.start(2)
        clients = [c.subscribe("a") for c in self.on_each_worker(janus, 2)]
        self.reload(4)
        self.assertEqual([w["slot"] for w in janus.status()["workers"]], [0, 1, 2, 3])
        # More workers than before: new connections go to those that have few.
        clients += [c.subscribe("a") for c in self.on_each_worker(janus, 2)]
        self.all_get(clients, 1)
        total = len(clients)
        wait_until(lambda: janus.connections() == total, 10, "%d connections" % total)      # (one that is on its way to another worker is both's for a moment)

        self.reload(1)
        wait_until(lambda: [w["slot"] for w in janus.status()["workers"]] == [0], 10, "the draining slots' end")
        wait_until(lambda: len(janus.processes()) == 4)
        self.assertEqual(janus.connections(), total)
        self.all_get(clients, 2)
        more = [c.subscribe("a") for c in self.clients(janus, 20)]
        self.all_get(more + clients, 3)
        for client in clients:
            client.unsubscribe("a")
            client.subscribe("b")       # they can still do everything
            client.close()
        self.all_get(more, 4)
        wait_until(lambda: janus.connections() == 20, 10, "the end of the others")

        self.reload(3)
        self.assertEqual([w["state"] for w in janus.status()["workers"]], 3 * ["live"])
        self.all_get([c.subscribe("a") for c in self.on_each_worker(janus, 2)] + more, 5)

    def test_draining_slot_comes_back(self):
        """More workers again before the slot has drained."""
        janus = self.start(3)
        clients = [c.subscribe("a") for c in self.on_each_worker(janus, 2)]
        for n in range(3):
            self.reload(1)
            self.all_get(clients, 2 * n)
            self.reload(3)
            self.assertEqual([w["state"] for w in janus.status()["workers"]], 3 * ["live"])
            self.all_get(clients, 2 * n + 1)
        wait_until(lambda: janus.connections() == len(clients), 10, "as many connections as there were")
        more = [c.subscribe("a") for c in self.on_each_worker(janus, 4)]
        self.all_get(clients + more, 10)

    def test_draining_worker_killed(self):
        janus = self.start(2)
        clients = [c.subscribe("a") for c in self.on_each_worker(janus, 2)]
        slow = stopped_reader_on(self, janus, 1)
        self.reload(1)
        wait_until(lambda: janus.slot(1)["connections"] == 1, 10, "the others to be elsewhere")
        janus.kill(janus.slot(1)["worker"], "worker")
        self.all_get(clients, 1)
        slow.close()
        wait_until(lambda: [w["slot"] for w in janus.status()["workers"]] == [0], 10, "the draining slot's end")

    def test_stop_while_draining(self):
        janus = self.start(4)
        self.on_each_worker(janus)
        stopped_reader_on(self, janus, 3)
        self.reload(1)
        janus.stop()

    def test_bad_configuration_is_refused(self):
        """File and line in the answer, status 1, and the old one goes on."""
        janus = self.start()
        clients = [c.subscribe("a") for c in self.on_each_worker(janus)]
        workers = janus.workers()
        for text, line, pattern in (("workers = 2\nnonsense = 1\n", 2, "unknown key"), ("workers = 2\n\nheartbeat = 0\n", 3, "heartbeat")):
            with self.subTest(text=text):
                janus.configure(text)
                status, out, err = janus.reload()
                self.assertEqual((status, out), (1, ""))
                self.assertIn("%s:%d: " % (janus.config_file, line), err)
                self.assertRegex(err, pattern)
                self.assertEqual(janus.workers(), workers)
                self.all_get(clients, line)
                refused = janus.log().count("reload refused")
                janus.process.send_signal(signal.SIGHUP)
                wait_until(lambda: janus.log().count("reload refused") > refused)
                self.assertEqual(janus.workers(), workers)
        os.unlink(janus.config_file)
        self.assertEqual(janus.reload()[0], 1)
        self.all_get(clients, 10)
        self.reload()
        self.all_get(clients, 11)

    def test_address_that_others_can_reach(self):
        """It takes a setting of who may do what; else the old server goes on, with its addresses, and says why."""
        janus = self.start()
        client = self.client(janus).subscribe("a")
        reached = "listen = http://*:0\n"
        janus.configure(BASE % (1, self.port) + reached)
        status, out, err = janus.reload()
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"janus.conf:\d+: listen: http://\*:0 can be reached by others, .*anonymous = all")
        self.assertIn("reload refused", janus.log())
        self.assertEqual(len(janus.status()["listen"]), 1)
        self.all_get([client], 1)
        self.reload(more=reached + "anonymous = all\n")
        self.assertEqual(len(janus.status()["listen"]), 2)
        self.all_get([client], 2)

    def test_what_takes_a_restart_is_left(self):
        janus = self.start(more="ring_bytes = 4M\nmax_topics = 100\n")
        client = self.client(janus).subscribe("a")
        self.reload(more="ring_bytes = 8M\nmax_topics = 200\nmax_frame = 128K\nretry = 3s\n")
        said = [line.split(": ", 1)[1].split(" ")[0] for line in janus.log().splitlines() if "that takes a restart" in line]
        self.assertEqual(said, ["ring_bytes", "max_topics", "max_frame"])
        self.all_get([client], 1)

    def test_new_program(self):
        """A reload takes the program that stands at the path by then; one that can't run is refused before anything is stopped."""
        self.janus = self.server(config=BASE % (2, self.port), start=False)
        janus = self.janus
        janus.build = os.path.join(janus.folder, "bin")
        os.mkdir(janus.build)
        for name in ("janus", "janusctl"):
            shutil.copy2(program(name), janus.build)
        path = os.path.join(janus.build, "janus")
        janus.start()
        clients = [c.subscribe("a") for c in self.on_each_worker(janus)]

        def replace(write):
            write(path + ".new")
            os.chmod(path + ".new", 0o755)
            os.rename(path + ".new", path)

        def rubbish(text):
            def write(file):
                with open(file, "w") as f:
                    f.write(text)
            return write
        pids = janus.processes()
        for text in ("", "#!/bin/sh\nexit 3\n", "#!/bin/sh\nkill -SEGV $$\n"):
            with self.subTest(program=text):
                replace(rubbish(text))
                status, _, err = janus.reload()
                self.assertEqual(status, 1)
                self.assertIn("the old program goes on", err)
                self.assertEqual(sorted(janus.processes()), sorted(pids))
                self.all_get(clients, 1)
        replace(lambda file: shutil.copy2(program("janus"), file))
        self.reload()
        for pid in [janus.master] + janus.keepers() + janus.workers():
            self.assertEqual(os.readlink("/proc/%d/exe" % pid), path)
        self.all_get(clients, 2)

    def test_keepers_execute_what_is_new(self):
        """Another program, or a library that was replaced; nothing else, as it takes longer than all else that connections wait for."""
        libraries = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, libraries)
        name, _, source = next(line.split()[:3] for line in subprocess.check_output(["ldd", program("janus")], text=True).splitlines() if "libinih" in line)

        def put_library():
            shutil.copy(source, os.path.join(libraries, "new"))
            os.rename(os.path.join(libraries, "new"), os.path.join(libraries, name))
        put_library()
        janus = self.server(config=BASE % (2, self.port), start=False)
        self.janus = janus
        replaced = Program(janus_test.BUILD, os.path.join(janus.folder, "bin"))
        janus.build = replaced.folder
        with mock.patch.dict(os.environ, LD_LIBRARY_PATH=libraries):
            janus.start()
        clients = [c.subscribe("a") for c in self.on_each_worker(janus)]

        def executed():
            """What the kernel told the keepers when they were executed: addresses by chance among it."""
            return [open("/proc/%d/auxv" % pid, "rb").read() for pid in sorted(janus.keepers())]
        before = executed()
        for n, (replace, again) in enumerate(((None, False), (put_library, True), (None, False), (lambda: replaced.put(janus_test.BUILD), True), (None, False))):
            if replace:
                replace()
            self.reload(more="max_subscriptions = %d\n" % (n + 2))
            now = executed()
            self.assertEqual([a != b for a, b in zip(before, now)], [again] * 2)
            before = now
            for client in clients:
                client.subscribe("t%d" % n)
                client.action("subscribe", data="one too many")
                client.expect_error("max_subscriptions")
            self.all_get(clients, n)

    def test_worker_killed_in_a_reload(self):
        janus = self.start(3)
        clients = [c.subscribe("a") for c in self.on_each_worker(janus, 2)]
        for n in range(8):
            slot = n % 3
            done = janus.log().count("reloaded")
            pid = janus.slot(slot)["worker"]
            janus.killed[pid] = "worker"
            janus.process.send_signal(signal.SIGHUP)
            with contextlib.suppress(ProcessLookupError):       # (it was faster, and has left already)
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: janus.log().count("reloaded") > done, what="the reload")
            self.all_get(clients, n)
            self.assertEqual(janus.connections(), len(clients))

    def test_twenty_reloads_under_load(self):
        """janusbench sees nothing of them."""
        janus = self.start(4)
        bench = self.bench(janus, "--while-running", 10 * SLOWNESS, "--rate", 400, "-n", 300, "-p", 4, "-T", 3)
        wait_until(lambda: janus.count("delivered") > 0, 30)
        under_load = 0
        for n in range(20):
            self.reload((4, 2, 4, 3)[n % 4])
            under_load += bench.running()
        figures = bench.finish(90)
        self.assertEqual(figures["fault_sum"], 0)
        self.assertGreaterEqual(under_load, 3)          # (all of them, but on a busy machine)
        self.assertEqual(janus.count("closed_uncertain"), 0)
        self.assertEqual(janus.count("dropped_overtaken"), 0)

    def test_hundred_reloads_leave_nothing(self):
        """Under load: memory, shared memory counted, and descriptors are where they were."""
        with mock.patch.dict(os.environ, ASAN_OPTIONS="quarantine_size_mb=0:thread_local_quarantine_size_kb=0"):     # (keepers stay the same over reloads, and what they free is to be free)
            janus = self.server("session_linger=0", workers=3)     # (the load may end before the reloads do: nothing of it stays)
        bench = self.bench(janus, "-n", 600, "-T", 4, "-p", 4, "--rate", 100, "--while-running", 20 * janus_test.SLOWNESS)
        wait_until(lambda: janus.connections() >= 600, 30, "all subscribers")

        def kilobytes():
            memory = 0
            for pid in janus.processes():
                with contextlib.suppress(OSError), open("/proc/%d/smaps_rollup" % pid) as f:      # (one that has just left is there no more)
                    memory += next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
            return memory

        def others():
            """Descriptors that are no connections. (At times one more: who has asked the master was not closed yet, or a connection has ended between both looks.)"""
            return sum(len(janus_test.descriptors(pid)) for pid in janus.keepers() + [janus.master]) - janus.connections()
        for _ in range(5):
            self.assertEqual(janus.reload()[0], 0)
        before, least = kilobytes(), min(others() for _ in range(5))
        for _ in range(100):
            self.assertEqual(janus.reload()[0], 0)
        wait_until(lambda: others() <= least, 10, "as few descriptors as before")
        self.assertLess(kilobytes() - before, 1024 * janus_test.SLOWNESS, "KiB; the messages in the ring are among them")
        bench.finish(120)

    def test_reloads_with_a_slow_subscriber(self):
        """One that is behind is taken over as such."""
        janus = self.start(1)
        slow = self.client(janus, rcvbuf=4096).subscribe("a")
        publisher = self.client(janus)
        for n in range(3000):
            publisher.publish("a", n=n, data="x" * 4000)
            if n % 1000 == 999:
                self.reload(1)
        for n in range(3000):
            slow.expect_message("a", n=n)
        self.assertEqual(janus.count("dropped_overtaken"), 0)

    def test_many_addresses_and_a_full_slot(self):
        """An order brings all listen sockets a second time: there is room for them, however many connections there are."""
        ports = set()
        while len(ports) < 64:
            ports.add(free_port())
        lines = ["workers = 1"] + ["listen = flash://127.0.0.1:%d" % port for port in ports]
        janus = self.server(config="\n".join(lines) + "\n", nofile=(512, 512))
        room = int(re.search(r"room for (\d+) connections", janus.log()).group(1))
        clients = [c.subscribe("a") for c in self.clients(janus, room)]
        for n in range(3):
            generation = janus.slot(0)["generation"]
            status, _, err = janus.reload()
            self.assertEqual(status, 0, err)
            self.assertGreater(janus.slot(0)["generation"], generation)
            janus.kill_worker(0)
            clients[0].publish("a", n=n)
            for client in clients:
                client.expect_message("a", n=n)
        self.assertEqual(janus.count("closed"), 0)

    def test_two_at_once(self):
        """The second is refused, or comes after: both end, and the server serves."""
        janus = self.start(4)
        client = self.client(janus).subscribe("a")
        for n in range(3):
            done = janus.log().count("reloaded")
            janus.process.send_signal(signal.SIGHUP)
            status, _, err = janus.reload()
            if status:
                self.assertIn("a reload is under way", err)
            wait_until(lambda: janus.log().count("reloaded") > done)
            self.all_get([client], n)


if __name__ == "__main__":
    unittest.main()
