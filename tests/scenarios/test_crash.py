"""Deaths of processes: a worker's costs nothing, both its keeper's and its own the slot, too many end it all. (A keeper's alone: test_keeper_death.py.)"""
import collections
import contextlib
import functools
import json
import operator
import os
import re
import select
import shutil
import signal
import tempfile
import threading
import unittest

from janus_test import ROOT, Client, Closed, JanusTest, SLOWNESS, descriptors, fence, free_port, is_alive, timestamp, wait_until

CRASH_BUILD = os.path.join(ROOT, os.environ.get("JANUS_CRASH_BUILD", "build/crash"))


class Worker(JanusTest):
    def check_survival(self, sig, workers=2):
        janus = self.server(workers=workers)
        clients = [c.subscribe("a") for c in self.on_each_worker(janus, 3)]
        publisher = self.client(janus)
        total = janus.connections()
        stamp = n = 0
        for round in range(4):
            for slot in range(workers):
                janus.kill_worker(slot, sig)
                self.assertEqual(janus.connections(), total)
                for _ in range(3):
                    publisher.publish("a", n=n)
                    for client in clients:
                        message = client.expect_message("a", n=n)
                    self.assertGreater(timestamp(message), stamp)
                    stamp = timestamp(message)
                    n += 1
        self.assertEqual(janus.status()["workers"][0]["restarts"], 4)
        self.assertEqual(janus.count("delivered"), n * len(clients))
        for name in ("closed", "closed_uncertain", "closed_blamed", "dropped_overtaken"):
            self.assertEqual(janus.count(name), 0, name)
        # They can go, too, and be forgotten.
        for client in clients:
            client.unsubscribe("a")
        publisher.publish("a")
        wait_until(lambda: janus.subscriptions() == 0)

    def test_sigkill(self):
        self.check_survival(signal.SIGKILL)

    def test_sigsegv(self):
        self.check_survival(signal.SIGSEGV)

    def test_sigabrt_of_four(self):
        self.check_survival(signal.SIGABRT, 4)

    def test_published_meanwhile(self):
        """Published while the subscriber's worker is dead or not yet back."""
        janus = self.server(workers=2)
        clients = [c.subscribe("a") for c in self.on_each_worker(janus, 2)]
        publishers = self.clients(janus, 4)
        n = 0
        for i in range(20):
            old = janus.kill_worker(i % 2, wait=False)
            for publisher in publishers:
                publisher.publish("a", n=n)
                for client in clients:
                    client.expect_message("a", n=n)
                n += 1
            janus.wait_worker(i % 2, old)

    def test_partial_input_survives(self):
        """A frame of which the dead worker had read a part."""
        janus = self.server(workers=1)
        client, publisher = self.clients(janus, 2)
        client.subscribe("a")
        for size in (10, 5000, 70000, 200000):
            text = b'{"action":"publish","topic":"a","data":"%s"}\0' % (b"x" * size)
            had = janus.count("bytes_in")
            publisher.send(text[:size // 2])
            wait_until(lambda: janus.count("bytes_in") >= had + size // 2, what="the first part's arrival")
            janus.kill_worker(0)
            publisher.send(text[size // 2:])
            client.expect_message("a", data="x" * size)

    def test_stream_is_kept(self):
        """Exactly the bytes that would have come without the crash, also to one that is in the middle of a frame."""
        janus = self.server(workers=1)
        slow, reader, publisher = self.client(janus, rcvbuf=4096).subscribe("a"), self.client(janus).subscribe("a"), self.client(janus)
        frames = []
        for n in range(30):
            publisher.publish("a", n=n, data=("%d" % n) * 60000)
            frames.append(reader.message_text())
            if n % 10 == 5:
                wait_until(lambda: janus.behind() == 1, what="one that does not read")
                janus.kill_worker(0)
        self.assertEqual([json.loads(frame)["n"] for frame in frames], list(range(30)))
        for frame in frames:
            slow.expect(frame)
        fence(publisher, "a", slow, reader)

    def test_connect_while_dead(self):
        """Who connects while the only worker is stopped or dead is served by the next one."""
        janus = self.server(workers=1)
        for _ in range(10):
            pid = janus.workers()[0]
            os.kill(pid, signal.SIGSTOP)
            clients = self.clients(janus, 20, greeting=False)
            janus.kill(pid, "worker")
            for client in clients:
                client.frame()
                client.subscribe("a")
            clients[0].publish("a", n=1)
            for client in clients:
                client.expect_message("a", n=1)
            for client in clients:
                client.close()
        wait_until(lambda: janus.connections() == 0)

    def load(self, sig, *arguments, kills=100, workers=4):
        janus = self.server(workers=workers)
        bench = self.bench(janus, "--while-running", 5 * max(1, SLOWNESS / 2), *arguments)
        wait_until(lambda: janus.count("delivered") > 0, 30, "the first delivery", pause=0.02)
        rng = self.random()
        n = 0
        while n < kills and bench.running():
            janus.kill_worker(rng.randrange(workers), sig)
            # Not in step with anything.
            select.select([], [], [], rng.random() * 0.06)
            n += 1
        self.assertGreater(n, 3)
        figures = bench.finish(90)
        self.assertEqual(figures["fault_sum"], 0)
        self.assertEqual(figures["good"], figures["subscribers"])
        self.assertEqual(janus.count("closed_uncertain"), 0)
        wait_until(lambda: janus.connections() == 0 and janus.subscriptions() == 0, what="the connections' end")
        counters = janus.stats()["counters"]
        self.assertEqual(counters["dropped_overtaken"], 0)
        return figures

    def test_kills_under_load(self):
        self.load(signal.SIGKILL, "--rate", 300, "-n", 300, "-p", 4)

    def test_kills_under_heavy_load(self):
        self.load(signal.SIGKILL, "--rate", 4000 // SLOWNESS, "-n", 100, "-p", 8, "-s", 300, "-T", 10)

    def test_kills_with_large_messages(self):
        self.load(signal.SIGKILL, "--rate", 60, "-n", 40, "-p", 4, "-s", 100000)

    def test_kills_with_classic_publishers(self):
        self.load(signal.SIGKILL, "--rate", 300, "-n", 50, "-p", 4, "--classic", workers=2)

    @staticmethod
    def turns(janus, slot):
        return next(s["counters"]["loops"] for s in janus.stats()["slots"] if s["slot"] == slot)

    def test_segv_under_load(self):
        """A worker that dies of its own fault takes the one it was working on with it, and no other: here a publisher or a reader."""
        janus = self.server(workers=2)
        clients = [c.subscribe("a") for c in self.on_each_worker(janus, 3)]
        readers = [c.subscribe("load") for c in self.clients(janus, 20)]
        lost = []
        over = threading.Event()

        def read():
            """All that comes; a reader that is being served when its worker dies may be the one that goes."""
            while not over.is_set():
                for reader in select.select([r.socket for r in readers if r not in lost], [], [], 0.1)[0]:
                    with contextlib.suppress(ConnectionError):
                        if reader.recv(1 << 20):
                            continue
                    lost.append(next(r for r in readers if r.socket is reader))

        def publish():
            while not over.is_set():
                with contextlib.suppress(OSError, Closed), contextlib.closing(Client(janus)) as publisher:
                    while not over.is_set():
                        publisher.publish("load", data="x")
        threads = [threading.Thread(target=publish), threading.Thread(target=read)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: janus.count("delivered") > 1000, 30, "the load")
            for n in range(20):
                # What gets done in between makes it no crash loop.
                turns = self.turns(janus, n % 2)
                janus.kill_worker(n % 2, signal.SIGSEGV)
                wait_until(lambda: self.turns(janus, n % 2) > turns + 15, 10, "some turns of the loop")
            self.assertGreater(janus.count("delivered"), 5000)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertLessEqual(len(lost), janus.count("closed_blamed"))
        clients[0].publish("a", n=1)
        for client in clients:
            client.expect_message("a", n=1)
        self.assertLessEqual(janus.count("closed_blamed"), 20)
        self.assertEqual(janus.count("closed_slot"), 0)

    def test_hung_worker(self):
        """One that is stopped does not stop the others' deliveries; continued, it catches up."""
        janus = self.server(workers=2)
        clients = [c.subscribe("a") for c in self.on_each_worker(janus, 2)]
        first = janus.slot(0)
        os.kill(first["worker"], signal.SIGSTOP)
        try:
            # Whose worker is it? Those that answer are the other's.
            awake = []
            for client in clients:
                client.action("nonsense")
            wait_until(lambda: sum(not c.silent(0) for c in clients) >= len(clients) - first["connections"])
            awake = [c for c in clients if not c.silent(0)]
            for client in awake:
                client.expect_error("unknown")
            for n in range(100):
                awake[0].publish("a", n=n)
                for client in awake:
                    client.expect_message("a", n=n)
        finally:
            os.kill(first["worker"], signal.SIGCONT)
        for client in clients:
            if client in awake:
                continue
            frames = [client.message() for _ in range(101)]
            self.assertEqual([m["n"] for m in frames if "n" in m], list(range(100)))

    def test_hung_worker_is_replaced(self):
        """After hang_limit, with its connections kept."""
        janus = self.server("hang_limit=1s", workers=1)
        client = self.client(janus).subscribe("a")
        client.publish("a", n=1)
        client.expect_message("a", n=1)
        pid = janus.workers()[0]
        janus.kill(pid, "worker", signal.SIGSTOP)
        client.publish("a", n=2)
        janus.wait_worker(0, pid)
        janus.wait_log("hangs since")
        client.expect_message("a", n=2)


class Keeper(JanusTest):
    def test_slot_lost(self):
        """Keeper and worker killed at one instant: the slot's connections are lost, counted, and replaced; the others' don't notice."""
        janus = self.server(workers=3)
        clients = [c.subscribe("a") for c in self.on_each_worker(janus, 4)]
        for slot in range(3):
            there = janus.slot(slot)["connections"]
            lost_before = janus.count("closed_slot")
            worker = janus.slot(slot)["worker"]
            janus.lose_slot(slot)
            self.assertFalse(is_alive(worker))
            self.assertEqual(janus.count("closed_slot") - lost_before, there)
            left = []
            for client in clients:
                try:
                    client.subscribe("b")
                    left.append(client)
                except (Closed, OSError):
                    client.close()
            self.assertEqual(len(clients) - len(left), there)
            clients = left + [c.subscribe("a", "b") for c in self.on_each_worker(janus, 4)]
            clients[0].publish("a", slot=slot)
            for client in clients:
                client.expect_message("a", slot=slot)
            self.assertEqual(janus.connections(), len(clients))
            self.assertEqual(janus.subscriptions(), 2 * len(clients))
        counters = janus.stats()["counters"]
        self.assertEqual(counters["accepted"], counters["closed"] + len(clients))

    def test_keeper_and_worker_killed(self):
        janus = self.server(workers=2)
        self.on_each_worker(janus)
        for n in range(3):
            slot = janus.slot(n % 2)
            pids = [slot["worker"], slot["keeper"]]
            for pid in pids if n % 2 else reversed(pids):
                with contextlib.suppress(ProcessLookupError):       # the worker may have handed over to another keeper already
                    janus.kill(pid, "keeper")
            janus.wait_worker(n % 2, slot["worker"])
            client = self.client(janus).subscribe("a")
            client.publish("a", n=n)
            client.expect_message("a", n=n)

    def test_publishing_goes_on(self):
        """A slot that goes while others publish at full speed holds nobody up."""
        janus = self.server("ring_bytes=1M", "max_frame=64K", "ring_messages=1024", workers=2)
        self.on_each_worker(janus)
        for n in range(3):
            victim = janus.slot(n % 2)
            bench = self.bench(janus, "-n", 20, "-m", 20000 // SLOWNESS, "-p", 4, "-q", "--timeout", 30 * SLOWNESS)
            wait_until(lambda: janus.count("delivered") > 1000 * (n + 1))
            janus.lose_slot(n % 2)
            # Subscribers of that slot are lost with it, so there are faults; that it comes to an end is what counts.
            bench.process.wait(60 * SLOWNESS)
            bench.kill()
            client = self.client(janus).subscribe("x")
            client.publish("x", n=n)
            client.expect_message("x", n=n)


class Limits(JanusTest):
    """What is a crash loop, and what is not: all with the default restart_limit but where it says so."""

    def crash_build(self, *options, **more):
        folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, folder)
        os.environ["JANUS_CRASH_DIR"] = folder
        self.addCleanup(os.environ.pop, "JANUS_CRASH_DIR")
        janus = self.server(*options, build=CRASH_BUILD, **more)
        self.addCleanup(janus.forgive_deaths, 6)
        return janus, os.path.join(folder, "start-abort")

    def test_kills_from_outside(self):
        """Any number of them, as fast as workers come: no connection is lost."""
        janus = self.server(workers=2)
        clients = [c.subscribe("a") for c in self.on_each_worker(janus, 2)]
        for n in range(100):
            janus.kill_worker(n % 2)
        clients[0].publish("a", n=1)
        for client in clients:
            client.expect_message("a", n=1)
        self.assertEqual(janus.count("closed"), 0)

    def test_kills_of_keepers(self):
        """With their workers: each costs its slot; the server goes on."""
        janus = self.server(workers=2)
        for n in range(10):
            janus.lose_slot(n % 2)
        client = self.client(janus).subscribe("a")
        client.publish("a", n=1)
        client.expect_message("a", n=1)

    def test_crash_loop(self):
        """Workers that all die at their start: the slot is emptied after the limit, the server stops when that does not help, and says so."""
        janus, abort = self.crash_build(workers=2)
        clients = self.on_each_worker(janus, 2)
        there = janus.slot(0)["connections"]
        open(abort, "w").close()
        janus.exit_status = 1
        janus.kill_worker(0, wait=False)
        janus.wait_exit(1, 15)
        self.assertRegex(janus.log(), r"crash loop: more than 5 workers died .* the slot starts empty, %d connections closed" % there)
        self.assertRegex(janus.log(), "crash loop, also with an empty slot: giving up")
        self.assertEqual(len(re.findall("died of signal 6", janus.log())), 12)
        for client in clients:
            client.expect_close()

    def test_crash_loop_that_emptying_ends(self):
        janus, abort = self.crash_build("restart_limit=300", workers=1)
        clients = self.clients(janus, 5)
        open(abort, "w").close()
        janus.kill_worker(0, wait=False)
        janus.wait_log("the slot starts empty, 5 connections closed", 20)
        os.unlink(abort)
        for client in clients:
            client.expect_close()
        client = self.client(janus).subscribe("a")
        client.publish("a", n=1)
        client.expect_message("a", n=1)
        self.assertEqual(janus.count("closed_slot"), 5)

    def test_limit_of_nothing(self):
        """restart_limit=0: the first death that counts empties."""
        janus, abort = self.crash_build("restart_limit=0", workers=1)
        client = self.client(janus)
        janus.kill_worker(0)
        self.assertEqual(janus.connections(), 1)
        open(abort, "w").close()
        janus.exit_status = 1
        janus.kill_worker(0, wait=False)
        client.expect_close()
        janus.wait_exit(1, 15)


class Leaks(JanusTest):
    def kinds(self, pid):
        """A process's descriptors, each by what it is; numbers and inodes left out."""
        return collections.Counter(name.split(":[")[0] for name in descriptors(pid).values())

    def at_rest(self, pids):
        """Those of each: the least of some looks, as the master may have answered a caller, and not closed him yet."""
        looks = [[self.kinds(pid) for pid in pids] for _ in range(5)]
        return [functools.reduce(operator.and_, of_one) for of_one in zip(*looks)]

    def wait_kinds(self, pids, wanted):
        try:
            wait_until(lambda: [self.kinds(pid) for pid in pids] == wanted, 10)
        except AssertionError:
            self.assertEqual([self.kinds(pid) for pid in pids], wanted)

    def test_descriptors(self):
        """After connections, kills and reloads each process has the descriptors it had, and as many sockets as connections."""
        janus = self.server("session_linger=0", workers=2)
        self.assertEqual(janus.reload()[0], 0)
        before = self.at_rest([janus.master] + janus.workers())
        stays = [c.subscribe("a") for c in self.clients(janus, 10)]
        for n in range(6):
            going = [c.subscribe("a", "b") for c in self.clients(janus, 60)]
            going[0].publish("a", n=n)
            going[0].publish("b", data="x" * 100000)
            for i, client in enumerate(going):
                if i % 3 == 0:
                    client.expect_message("a", n=n)
                (client.close, client.reset, client.half_close)[i % 3]()
            if n % 2:
                janus.kill_worker(0)
                janus.kill_worker(1)
            else:
                self.assertEqual(janus.reload()[0], 0)
            for client in stays:
                client.expect_message("a", n=n)
            for client in going:
                client.close()
        # Once more, with no next worker to close what this one forgets.
        for client in [c.subscribe("a", "b") for c in self.clients(janus, 60)]:
            client.close()
        wait_until(lambda: janus.connections() == len(stays), what="the connections' end")
        self.assertEqual(janus.subscriptions(), len(stays))
        status = janus.status()
        for w in status["workers"]:
            wait_until(lambda: descriptors(w["keeper"]) == descriptors(w["worker"]), what="one table")
        for was, w in zip(before[1:], status["workers"]):
            was["socket"] += w["connections"]
        self.wait_kinds([janus.master] + janus.workers(), before)

    def test_descriptors_of_many_addresses(self):
        """Not a session, and so many listen sockets that what a worker opens has high numbers: it all goes with its worker."""
        ports = set()
        while len(ports) < 64:
            ports.add(free_port())
        janus = self.server(workers=1, listen=["flash://127.0.0.1:%d" % port for port in ports])
        keepers = janus.keepers()
        before = self.at_rest(keepers)
        for turn in range(3):
            for _ in range(3):
                janus.kill_worker(0)
            self.wait_kinds(keepers, before)
            self.assertEqual(janus.reload()[0], 0)
        self.wait_kinds(keepers, before)

    def test_descriptors_of_many_reloads(self):
        janus = self.server(workers=2)
        self.assertEqual(janus.reload()[0], 0)
        pids = [janus.master] + janus.keepers()
        before = self.at_rest(pids)
        for _ in range(10):
            self.assertEqual(janus.reload()[0], 0)
        self.assertEqual([janus.master] + janus.keepers(), pids)
        self.wait_kinds(pids, before)

    def test_memory(self):
        """Sessions, subscriptions, topics and buffers that are given back are used again: shared memory does not grow."""
        janus = self.server(workers=1)

        def shared():
            with open("/proc/%d/smaps_rollup" % janus.workers()[0]) as f:
                return next(int(line.split()[1]) for line in f if line.startswith("Pss_Shmem"))

        def go_round(n):
            clients = self.clients(janus, 50)
            for i, client in enumerate(clients):
                client.subscribe(*("t%d-%d-%d" % (n, i, j) for j in range(5)))
                client.send(b'{"action":"publish","topic":"t%d-%d-1","data":"%s' % (n, i, b"x" * 20000))
            for client in clients:
                client.close()
            wait_until(lambda: janus.connections() == 0, what="the connections' end")
        for n in range(3):
            go_round(n)
        before = shared()
        for n in range(10):
            go_round(n)
        self.assertLess(shared() - before, 2000)        # KiB; messages go into the ring, which grows to its size


if __name__ == "__main__":
    unittest.main()
