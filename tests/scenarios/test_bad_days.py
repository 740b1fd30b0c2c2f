"""Processes that are stopped, one of them or all, and masters that are killed with thousands of connections."""
import contextlib
import os
import re
import resource
import signal
import time
import unittest

from janus_test import Bench, JanusTest, free_port, is_alive, raise_nofile, wait_until
from steady import Steady, client_on


class Stopped(JanusTest):
    """SIGSTOP is what a container's pause, a debugger and a machine that is short of memory do."""

    def begin(self, *options, workers=2):
        self.janus = self.server(*options, workers=workers)
        self.addCleanup(self.go_on)
        self.steady = Steady(self, self.janus, publisher=client_on(self, self.janus, workers - 1))

    def go_on(self):
        for pid in self.janus.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def live(self):
        return all(w["state"] == "live" and is_alive(w["worker"]) for w in self.janus.status()["workers"])

    def pause(self, seconds):
        """What is tested is that so much time passes."""
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() - begun >= seconds, seconds + 5, pause=0.05)

    def end(self):
        wait_until(self.live, 15, "all workers live")
        self.steady.end()
        self.assertEqual(self.janus.connections(), self.steady.begun)
        counters = self.janus.stats()["counters"]
        self.assertEqual((counters["closed"] - self.steady.closed_before, counters["closed_uncertain"], counters["dropped_overtaken"]), (0, 0, 0))

    def test_everything(self):
        """For longer than hang_limit, in any order: that is no hang of a worker's."""
        self.begin("hang_limit=2s", workers=4)
        pids = sorted(self.janus.processes())
        for order in (pids, list(reversed(pids))):
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            self.pause(10 if order is pids else 4)        # (the first time longer than 2 * hang_limit + 5 s, which is the longest of all limits)
            for pid in order:
                os.kill(pid, signal.SIGCONT)
            self.steady.progress()
            self.pause(2.5)             # in which those who watch have looked again
            self.assertEqual(sorted(self.janus.processes()), pids)
            self.steady.progress()
        self.assertNotRegex(self.janus.log(), "hang")
        self.end()

    def test_everything_but_the_keepers_first(self):
        """The keepers go on a moment before their workers do, and look at once. Of the time that passes while nobody runs, none counts."""
        # (Keepers run for 1.4 s here, and count up to 1.5 s of each stop: 4 s. If they counted all of it, they would come to 7.4 s at least.)
        self.begin("hang_limit=6s", workers=3)
        workers, others = self.janus.workers(), [self.janus.master] + self.janus.keepers()
        for _ in range(2):
            for pid in workers:
                os.kill(pid, signal.SIGSTOP)
            for moment in (1.1, 0.3):
                for pid in others:
                    os.kill(pid, signal.SIGSTOP)
                self.pause(6.5)
                for pid in others:
                    os.kill(pid, signal.SIGCONT)
                self.pause(moment)
            self.assertEqual(self.janus.workers(), workers)
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
            self.steady.progress()
        self.assertEqual(self.janus.workers(), workers)
        self.end()

    def test_worker(self):
        """One worker alone: it holds all publishers up in the end, and is replaced."""
        self.begin("hang_limit=2s")
        worker = self.janus.slot(0)["worker"]
        self.janus.kill(worker, "worker", signal.SIGSTOP)
        self.janus.wait_worker(0, worker)
        self.end()

    def test_keeper(self):
        """Its worker serves on without it."""
        self.begin("hang_limit=2s")
        keeper = self.janus.slot(0)["keeper"]
        os.kill(keeper, signal.SIGSTOP)
        begun = time.monotonic()
        while time.monotonic() - begun < 6:
            self.steady.progress()
        self.assertTrue(is_alive(keeper))
        os.kill(keeper, signal.SIGCONT)
        self.end()

    def test_keeper_and_its_worker_dies(self):
        """The master has a keeper go on that gives no sign of life, as nobody else would replace its worker."""
        self.begin("hang_limit=2s")
        keeper, worker = self.janus.slot(0)["keeper"], self.janus.slot(0)["worker"]
        os.kill(keeper, signal.SIGSTOP)
        self.janus.kill(worker, "worker")
        self.steady.progress(20)
        self.janus.wait_worker(0, worker)
        self.assertEqual(self.janus.slot(0)["keeper"], keeper)
        self.end()

    def test_keeper_again_and_again(self):
        """Each time it is let go on it is stopped anew, and its worker dies."""
        self.begin("hang_limit=1s")
        keeper = self.janus.slot(0)["keeper"]
        for _ in range(3):
            worker = self.janus.slot(0)["worker"]
            os.kill(keeper, signal.SIGSTOP)
            self.janus.kill(worker, "worker")
            self.steady.progress(20)
            self.janus.wait_worker(0, worker)
        self.end()

    def test_master_and_workers_die(self):
        """Keepers need no master to replace a worker."""
        self.begin(workers=3)
        workers = self.janus.workers()
        os.kill(self.janus.master, signal.SIGSTOP)
        for worker in workers:
            self.janus.kill(worker, "worker")
        self.steady.progress()
        os.kill(self.janus.master, signal.SIGCONT)
        self.assertEqual(self.janus.reload()[0], 0)
        self.end()

    def test_any_in_a_reload(self):
        """For a moment, one after the other, while the slots are replaced."""
        self.begin(workers=3)
        for victim in range(7):
            pids = [self.janus.master] + self.janus.keepers() + self.janus.workers()
            done = self.janus.log().count("reloaded")
            os.kill(self.janus.master, signal.SIGHUP)
            with contextlib.suppress(ProcessLookupError):       # (a worker that was faster has been replaced already)
                os.kill(pids[victim], signal.SIGSTOP)
            self.pause(1)
            if is_alive(pids[victim]):
                os.kill(pids[victim], signal.SIGCONT)
            wait_until(lambda: self.janus.log().count("reloaded") > done, 30, "the reload")
            self.steady.progress()
        self.end()


class SecondHup(JanusTest):
    """A second SIGHUP that comes while the first one is dealt with is not forgotten."""

    def test_pairs(self):
        ports = [free_port() for _ in range(2)]
        config = "workers = %%d\nlisten = flash://127.0.0.1:%d\n" % free_port()
        self.janus = janus = self.server(config=config % 3)
        steady = Steady(self, janus)
        for n, pause in enumerate((0.010, 0.015, 0.020, 0.025, 0.030) * 2):
            for port in ports if n % 2 else reversed(ports):
                janus.configure(config % 3 + "listen = flash://127.0.0.1:%d\n" % port)
                os.kill(janus.master, signal.SIGHUP)
                time.sleep(pause)       # (so far apart)
            wait_until(lambda: janus.status()["listen"][-1].endswith(":%d" % port), 20, "the second configuration")
            wait_until(lambda: janus.reload()[0] == 0, 20, "a reload that is not refused", pause=0.05)
            steady.progress()
        steady.end()

    def test_many(self):
        """Any number of them ends, with the last configuration."""
        config = "workers = %%d\nlisten = flash://127.0.0.1:%d\n" % free_port()
        self.janus = janus = self.server(config=config % 2)
        steady = Steady(self, janus)
        for workers in (3, 4, 3, 4, 3, 2, 4, 3, 5):
            janus.configure(config % workers)
            os.kill(janus.master, signal.SIGHUP)
            time.sleep(0.015)           # (so far apart)

        def rolled():
            states = [w["state"] for w in janus.status()["workers"]]
            return states.count("live") == 5 and len(states) == 5
        wait_until(rolled, 30, "five workers")
        steady.progress()
        steady.end()

    def test_janusctl_during_a_reload(self):
        """It says with a status what did not happen, and what it says is true."""
        config = "workers = 4\nlisten = flash://127.0.0.1:%d\n" % free_port()
        self.janus = janus = self.server(config=config)
        steady = Steady(self, janus)
        for _ in range(5):
            before = janus.status()["workers"]
            os.kill(janus.master, signal.SIGHUP)
            status, _, err = janus.reload()
            if status == 0:
                now = janus.status()["workers"]
                self.assertTrue(all(w["state"] == "live" for w in now), now)
                self.assertTrue(all(a["generation"] > b["generation"] for a, b in zip(now, before)), (before, now))
            else:
                self.assertRegex(err, r"\w")
            wait_until(lambda: janus.reload()[0] == 0, 20, "a reload that is not refused", pause=0.05)
            steady.progress()
        steady.end()


class MasterKilled(JanusTest):
    @staticmethod
    def held_up(log):
        """Seconds between a master's first line and its listening, by its own clock: a busy machine may take long to start it."""
        times = re.findall(r"^\S+T(\d+):(\d+):([\d.]+)Z (?=.*(?:listening|removed|wait))", log, re.M)
        first, last = (int(h) * 3600 + int(m) * 60 + float(s) for h, m, s in (times[0], times[-1]))
        return (last - first) % 86400

    def again(self, connections):
        """The next start works at once; or it waits for what is still there, and says so."""
        raise_nofile(1024)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < connections / 2 + 500:
            self.skipTest("RLIMIT_NOFILE is %d" % hard)
        self.janus = janus = self.server("master_linger=0", workers=4, listen=("flash://127.0.0.1:%d" % free_port(),))
        for _ in range(2):
            bench = Bench(janus.address(), "-n", connections, "-T", 10, "-P", 2, "--while-running", 600, "--rate", 10, "--timeout", 90)
            self.addCleanup(bench.kill)
            wait_until(lambda: janus.connections() >= connections, 90, "%d connections" % connections, pause=0.1)
            said = len(janus.log())
            janus.kill(janus.master, "master")
            janus.process.wait()
            janus.start()
            if self.held_up(janus.log()[said:]) > 1.5:
                self.assertRegex(janus.log()[said:], re.compile("wait", re.I))
            client = self.client(janus).subscribe("a")
            client.publish("a", n=1)
            client.expect_message("a", n=1)
            bench.kill()
            client.close()

    def test_with_6000_connections(self):
        self.again(6000)

    def test_with_12000_connections(self):
        self.again(12000)


if __name__ == "__main__":
    unittest.main()
