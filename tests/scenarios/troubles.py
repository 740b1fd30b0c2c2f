"""What chaos does to a server: kills, stops, reloads, other programs and configurations, good ones and broken ones."""
import contextlib
import datetime
import json
import os
import random
import re
import signal
import threading
import time

import janus_test
from janus_test import Deadline, wait_until
from programs import OTHER_BUILD, Configuration, Program
from victims import Victims, children

STOP_MOST = 3               # seconds that a process is stopped at most
NO_MASTER_MOST = 0.5        # seconds until a dead master is followed by another, at most: as a service manager has it
BOTH = 0.25                 # of the kills of keepers and spares, with their worker at the same instant
LATER = r"under way|being replaced|again later"         # why janusctl's reload is refused just now, and not for good


class Troubles:
    """Each kind of trouble is a method; `failures` is what the server did wrong, a line each, `done` how often what was done."""

    def __init__(self, server, program, configuration, seed, over):
        self.server, self.program, self.configuration, self.seed, self.over = server, program, configuration, seed, over
        self.failures = []
        self.history = []           # what was done when, a line each
        self.done = dict.fromkeys(("kills", "keepers", "spares", "masters", "stops", "reloads", "pairs", "upgrades", "broken"), 0)
        self.refused_later = 0
        self.disturbed = 0          # until when a kill or a stop may be why a reload is refused
        self.stopped = None
        self.took = {}              # seconds that each action took, by its name
        self.victims = Victims(server, over)
        self.mastering = threading.RLock()      # held while there is no master that could take a signal
        self.ended = threading.Event()          # the thread that starts masters may end: the kernel ends them with it

    def random(self, what):
        """Each thread has its own, so that a seed means the same whatever the others do."""
        return random.Random("%s-%s" % (self.seed, what))

    def fail(self, text):
        self.failures.append("%.1f s: %s" % (time.monotonic() - self.start, text))

    def note(self, text):
        """With the time of the log's."""
        self.history.append("%s %s" % (datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z", text))

    def spread(self, rng, actions, seconds):
        """Each at a random moment; those that take long are caught up with."""
        moments = sorted(rng.random() * seconds for _ in actions)
        for moment, action in zip(moments, actions):
            left = self.start + moment - time.monotonic()
            if self.over.wait(max(0, left)) or time.monotonic() - self.start > seconds:
                return
            began = time.monotonic()
            try:
                action(rng)
            except Exception as e:
                self.fail("%s: %s: %s" % (action.__name__, type(e).__name__, e))
            self.took.setdefault(action.__name__, []).append(time.monotonic() - began)

    # processes

    def killed(self, what, count=1, disturbs=0.5):
        """`disturbs`: seconds in which it may be why a reload is refused."""
        self.disturbed = max(self.disturbed, time.monotonic() + disturbs)
        self.done[what] += count

    def kill(self, rng):
        self.killed("kills", self.victims.kill(rng, self.victims.workers))

    def kill_keeper(self, rng):
        """Whatever it and its worker are at; and sometimes its worker at the same instant."""
        self.kill_of_slot(rng, "keepers", self.victims.keepers)

    def kill_spare(self, rng):
        self.kill_of_slot(rng, "spares", self.victims.spares)

    def kill_of_slot(self, rng, what, find):
        worker = rng.random() < BOTH
        count = self.victims.kill(rng, lambda: find(worker))
        if count:
            self.note("one of the %s is killed%s" % (what, ", and its worker" if count > 1 else ""))
            self.killed(what, 1, 5)
            self.killed("kills", count - 1)

    def kill_master(self, rng):
        """And another is started a moment later, as a service manager does; again and again, while there is no program that can be one. Kills of others go on."""
        with self.mastering:
            self.note("the master, %d, is killed" % self.server.master)
            self.server.kill(self.server.master, "master")
            self.server.process.wait()
            self.killed("masters", 1, 5)
            self.over.wait(NO_MASTER_MOST * rng.random() ** 2)
            self.start_master()
            self.disturbed = max(self.disturbed, time.monotonic() + 5)

    def start_master(self):
        deadline = Deadline(60)
        while not deadline.over():
            with contextlib.suppress(OSError):
                self.server.launch()
                while self.server.running() and not deadline.over():
                    status, out, _ = self.server.ctl("status", "--json")
                    if status == 0 and json.loads(out).get("pid") == self.server.master:
                        return
                    time.sleep(0.02)
            self.note("the next master has not started: %s" % (self.server.process.returncode,))
            time.sleep(0.1)
        self.fail("no master for a minute")

    def masters(self, rng, actions, seconds):
        """In a thread that lives as long as the server."""
        self.spread(rng, actions, seconds)
        self.masters_done.set()
        self.ended.wait()

    def burst(self, rng, count=10, pause=0.1):
        """The workers of one slot, one behind the other; each as soon as it is live."""
        slots = self.victims.slots()
        if not slots:
            return
        keeper = rng.choice(slots)[0]
        for _ in range(count):
            last = time.monotonic()
            self.killed("kills", self.victims.kill_all([worker for worker in children(keeper) if self.took_over(worker)]))
            self.over.wait(max(0, pause - (time.monotonic() - last)))

    def took_over(self, worker):
        """Whether it has said that it is live."""
        return re.search(r"janus\w*\[%d\].*took over" % worker, self.log_end()) is not None

    def log_end(self, most=200000):
        with open(self.server.log_file, "rb") as f:
            f.seek(0, os.SEEK_END)
            f.seek(max(0, f.tell() - most))
            return f.read().decode(errors="replace")

    def stop(self, rng):
        """SIGSTOP for any of the server's processes, and SIGCONT a while later."""
        pid = rng.choice(self.server.processes() or [self.server.master])
        seconds = rng.choice((0.05, 0.5, 1, STOP_MOST)) * rng.random()
        self.disturbed = time.monotonic() + seconds + 2
        with contextlib.suppress(ProcessLookupError):
            self.stopped = pid
            self.note("stop %d for %.2f s" % (pid, seconds))
            os.kill(pid, signal.SIGSTOP)
            self.done["stops"] += 1
            try:
                self.over.wait(seconds)
            finally:
                os.kill(pid, signal.SIGCONT)
        self.stopped = None

    # reloads, each with what must become of it

    def reload(self, rng=None):
        """janusctl reload. What it refuses for the moment is asked again; also an upgrade in which a worker was killed that had to leave."""
        self.done["reloads"] += 1
        deadline = Deadline(90)
        while True:
            began = time.monotonic()
            status, _, err = self.server.reload()
            self.note("janusctl reload: %d %s" % (status, err.strip()))
            if status == 0:
                return
            if not re.search(LATER, err) and self.disturbed < began:
                self.fail("reload: status %d: %s" % (status, err.strip()))
                return
            if deadline.over():
                self.fail("reload: refused for a long time: " + err.strip())
                return
            self.refused_later += 1
            self.over.wait(0.2)

    def expect_refusal(self, what):
        """janusctl reload must say no, for good."""
        deadline = Deadline(90)
        while True:
            status, _, err = self.server.reload()
            self.note("janusctl reload, with %s: %d %s" % (what, status, err.strip()))
            if status == 0:
                self.fail("reload: %s was taken" % what)
            elif re.search(LATER, err) and not deadline.over():
                self.over.wait(0.2)
                continue
            return

    def reload_ports(self, rng):
        self.configuration.change_ports(rng)
        self.configuration.write()
        self.reload()
        self.expect_listeners()

    def reload_workers(self, rng):
        """Slots drain, or drain no more, or are made. (Those with connections that stay are not gone as long as these live.)"""
        self.configuration.change_workers(rng)
        self.configuration.write()
        self.reload()

    def upgrade(self, rng):
        other = OTHER_BUILD if os.path.exists(os.path.join(OTHER_BUILD, "janus")) else janus_test.BUILD
        with self.victims.layout():
            self.program.put(other if self.program.source != other else janus_test.BUILD)
            self.done["upgrades"] += 1
            self.note("the program of " + self.program.source)
            if rng.random() < 0.3:
                self.pair(rng)
            self.reload()

    def pair(self, rng):
        """Two SIGHUPs, with another configuration for the second one, and sometimes janusctl's in between: the last one counts."""
        self.done["pairs"] += 1
        log = os.path.getsize(self.server.log_file)
        for _ in range(2):
            self.configuration.change_ports(rng)
            if rng.random() < 0.5:
                self.configuration.change_workers(rng)
            self.configuration.write()
            self.note("SIGHUP for %d workers, %s" % (self.configuration.workers, " ".join(self.configuration.urls())))
            with self.mastering:        # (one that just starts would be ended by it)
                os.kill(self.server.master, signal.SIGHUP)
            self.over.wait(rng.uniform(0.010, 0.030))
        if rng.random() < 0.5:
            self.note("janusctl reload after a pair: %s" % self.server.reload()[0])         # whatever it says
        self.expect_listeners(log)

    def refused_since(self, log):
        with open(self.server.log_file, errors="replace") as f:
            f.seek(log)
            return "reload refused" in f.read()

    def listeners(self):
        status, out, _ = self.server.ctl("status", "--json")
        return sorted(re.findall(r'"((?:flash|https?|packet)(?:\+tls)?://[^"]*)"', out)) if status == 0 else None

    def expect_listeners(self, log=None):
        """Those of the configuration, without further orders; unless the log says behind this place that it could not be."""
        wanted = sorted(self.configuration.urls())
        try:
            wait_until(lambda: self.listeners() == wanted or (log is not None and self.refused_since(log)), 30, "", pause=0.05)
            if log is not None and self.refused_since(log):
                if self.disturbed < time.monotonic() - 30:
                    self.fail("a reload was refused")
                self.reload()
                wait_until(lambda: self.listeners() == wanted, 30, "", pause=0.05)
        except AssertionError:
            self.fail("the server listens on %s, the configuration says %s" % (self.listeners(), wanted))
            self.reload()

    def broken_configuration(self, rng):
        self.done["broken"] += 1
        self.configuration.write(self.configuration.text() + rng.choice(Configuration.BROKEN))
        try:
            self.expect_refusal("a broken configuration")
        finally:
            self.configuration.write()

    def broken_program(self, rng):
        self.done["broken"] += 1
        kind = rng.choice(Program.BROKEN)
        with self.mastering:            # (while there is no program, there would be no other master that answers)
            self.program.put_broken(kind)
            try:
                if rng.random() < 0.5:
                    self.kill(rng)      # a worker of what runs, while its program is not there
                self.expect_refusal("a program that is none (%s)" % kind)
            finally:
                self.program.put(self.program.source)

    # the end

    def settle(self):
        """All is well again, and stays so."""
        if self.stopped:
            os.kill(self.stopped, signal.SIGCONT)
        self.disturbed = 0
        self.reload()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: all(w["state"] in ("live", "draining") for w in self.server.status()["workers"]), 20)
            return
        self.fail("not all workers are live: %s" % self.server.status()["workers"])

    def run(self, seconds, replacements, kills=0, keepers=0, spares=0, masters=0, bursts=0, stops=0):
        """The threads that bring it all about, side by side, started: to be waited for with wait(). What is in one thread comes one behind the other."""
        self.start = time.monotonic()
        self.masters_done = threading.Event()
        threads = [("kill", [self.kill] * kills), ("burst", [self.burst] * bursts), ("keeper", [self.kill_keeper] * keepers + [self.kill_spare] * spares),
                   ("stop", [self.stop] * stops), ("replace", replacements), ("master", [self.kill_master] * masters)]
        self.started = []
        for name, actions in threads:
            rng = self.random(name)
            rng.shuffle(actions)
            thread = threading.Thread(target=self.masters if name == "master" else self.spread, args=(rng, actions, seconds), daemon=True)
            thread.start()
            if name != "master":
                self.started.append(thread)

    def wait(self):
        for thread in self.started:
            thread.join(120 * janus_test.SLOWNESS)
        self.masters_done.wait(120 * janus_test.SLOWNESS)
