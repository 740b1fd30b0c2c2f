"""The master dies, and another takes over what it finds: nobody may notice. What each death leaves is in ARCHITECTURE.md ("The master's death")."""
import os
import re
import shutil
import signal
import socket
import tempfile
import time
import unittest

from crash_test import CRASH_BUILD, CrashTest
from janus_test import SLOWNESS, is_alive, wait_until
from processes import free_port, is_stopped
from programs import OTHER_BUILD, Program
from steady import Steady


class MasterTest(CrashTest):
    def begin(self, *options, build=None, per_worker=2, **more):
        more.setdefault("listen", ("flash://127.0.0.1:0",)) if "config" not in more else None
        self.serve(*options, build=build, **more)
        self.steady = Steady(self, self.janus, per_worker)

    def kill_master(self):
        self.janus.kill(self.janus.master, "master")
        self.janus.process.wait()

    def again(self):
        """Another start, which says that it has taken over."""
        told = self.taken_over()
        self.janus.launch()
        wait_until(lambda: self.taken_over() > told, 20, "a master that has taken over")
        return self.janus.wait_started()

    def taken_over(self):
        return len(re.findall("master: janus .*: taken over", self.janus.log()))

    def processes_of_slots(self):
        return [(w["keeper"], w["worker"]) for w in self.janus.status()["workers"]]

    def end(self):
        """Nobody was closed, everybody had everything, once and in order."""
        self.steady.progress()
        self.steady.end()
        counters = self.janus.stats()["counters"]
        self.assertEqual([counters[name] for name in ("closed_slot", "closed_uncertain", "closed_blamed", "dropped_overtaken")], [0] * 4)


class Killed(MasterTest):
    def test_again_and_again(self):
        """The same processes go on, and take new clients meanwhile."""
        self.begin()
        address = self.janus.address()
        before = self.processes_of_slots()
        for _ in range(3):
            self.kill_master()
            self.steady.progress()
            client = self.client(self.janus, address=address)
            client.subscribe("a")
            client.publish("a")
            client.expect_message("a")
            client.close()
            self.again()
            self.assertEqual(self.processes_of_slots(), before)
            self.assertEqual(self.janus.address(), address)
        self.assertNotRegex(self.janus.log(), "a reload follows")
        self.end()

    def test_then_reload(self):
        self.begin()
        self.kill_master()
        self.again()
        before = self.processes_of_slots()
        self.assertEqual(self.janus.reload()[0], 0)
        for (keeper, worker), (k, w) in zip(self.processes_of_slots(), before):
            self.assertEqual(keeper, k)
            self.assertNotEqual(worker, w)
        self.kill_master()
        self.again()
        self.end()

    def test_workers_and_keepers_die_meanwhile(self):
        """And are made again; of those that die later, the next master hears, though they are not its children."""
        self.begin("session_linger=0")
        for _ in range(2):
            (keeper, _), (_, worker) = self.processes_of_slots()
            self.kill_master()
            self.janus.kill(keeper, "keeper")
            self.janus.kill(worker, "worker")
            self.steady.progress()
            self.again()
            self.janus.kill_keeper(1)
            self.janus.kill_worker(0)
        self.end()

    def test_slot_lost_meanwhile(self):
        """Keeper, spare and worker are dead, too: the slot starts empty, and that is said and counted."""
        self.begin("session_linger=0")
        slot, spare = self.janus.slot(1), self.janus.spare(1)
        self.steady.publisher, publisher = None, self.steady.publisher
        self.steady.may_close = set(self.steady.next)
        self.kill_master()
        self.janus.kill(slot["keeper"], "keeper", signal.SIGSTOP)
        self.janus.kill(spare, "spare")
        self.janus.kill(slot["worker"], "worker")
        self.janus.kill(slot["keeper"], "keeper")
        wait_until(lambda: self.steady.closed == slot["connections"] or self.steady.closed == slot["connections"] - 1, 10, "the end of the slot's connections")
        self.again()
        self.janus.wait_log("slot 1 had neither keeper nor worker any more|slot 1 has neither keeper nor worker")
        self.assertEqual(self.janus.count("closed_slot"), slot["connections"])

    def test_slot_lost_and_none_comes(self):
        """Publishers do not wait for a slot that has nobody, when the ring has gone round."""
        self.begin("session_linger=0", "ring_messages=1024", workers=3)
        slot, spare = self.janus.slot(0), self.janus.spare(0)
        self.steady.publisher, publisher = None, self.steady.publisher
        self.steady.may_close = set(self.steady.next)
        self.kill_master()
        self.janus.kill(slot["keeper"], "keeper", signal.SIGSTOP)
        self.janus.kill(spare, "spare")
        self.janus.kill(slot["worker"], "worker")
        self.janus.kill(slot["keeper"], "keeper")
        self.janus.wait_log("slot 0 has neither keeper nor worker")
        self.steady.publisher = next(iter(self.steady.next)) if publisher in self.steady.next else publisher
        self.again()
        self.assertEqual(self.janus.count("closed_slot"), slot["connections"])
        self.assertEqual(len(self.janus.status()["workers"]), 3)

    def test_configuration_changed(self):
        """What is on disk is rolled out, as by a reload."""
        ports = [free_port() for _ in range(2)]
        text = "workers = %d\nlisten = flash://127.0.0.1:%d\n"
        self.begin(config=text % (2, ports[0]))
        self.kill_master()
        self.janus.configure(text % (3, ports[0]) + "listen = flash://127.0.0.1:%d\nmax_frame = 200k\n" % ports[1])
        self.again()
        self.janus.wait_log("a reload follows")
        wait_until(lambda: len(self.janus.status()["workers"]) == 3, 15, "a third worker")
        self.janus.wait_log("reloaded")
        self.client(self.janus, address=("127.0.0.1", ports[1]))
        self.end()

    def test_one_thing_changed(self):
        """An address, a secret, or the program, and nothing else: that is seen, too."""
        program, ports = Program(CRASH_BUILD, os.path.join(self.folder, "program")), [free_port() for _ in range(2)]
        secrets = os.path.join(self.folder, "secrets")
        text = "workers = 2\nanonymous = all\ntoken_keys = %s\nlisten = flash://127.0.0.1:%d\n" % (secrets, ports[0])

        def put_secret(letter):
            with open(secrets, "w") as f:
                f.write(letter * 32)
            os.chmod(secrets, 0o600)
        put_secret("a")
        self.begin(build=program.folder, config=text)
        for what, change in (("addresses", lambda: self.janus.configure(text.replace(str(ports[0]), str(ports[1])))),
                             ("files of secrets", lambda: put_secret("b")),
                             ("the program", lambda: program.put(CRASH_BUILD))):
            self.kill_master()
            change()
            self.again()
            self.janus.wait_log("a reload follows: %s\n(?s:.*)reloaded: 2 workers renewed" % what)
        self.client(self.janus, address=("127.0.0.1", ports[1]))
        self.end()

    def test_configuration_broken(self):
        """The reload is refused, and the server goes on with what it had."""
        text = "workers = 2\nlisten = flash://127.0.0.1:%d\nruntime_dir = %s\n" % (free_port(), "%s")
        self.begin(config=text % "/nowhere")
        self.kill_master()
        self.janus.configure((text % "/nowhere").replace("workers", "max_subscriptions = many\nworkers"))
        self.again()
        self.janus.wait_log("reload refused")
        self.end()

    def test_two_starts(self):
        self.begin()
        self.kill_master()
        self.janus.launch()
        first = self.janus.process
        self.janus.launch()
        second = self.janus.process
        self.janus.process = first if wait_until(lambda: first.poll() or second.poll(), 10, "one that is refused") and second.poll() else second
        self.janus.wait_started()
        self.janus.wait_log("a janus runs in .* already")
        self.end()

    def test_stop(self):
        """Adopted or not, all end."""
        self.begin()
        self.kill_master()
        self.again()
        self.steady.over.set()
        self.janus.stop()

    def test_stop_twice(self):
        """The second signal kills everything, at once, what writes the journal among it."""
        folder = tempfile.mkdtemp(prefix="janus-data-")
        self.addCleanup(shutil.rmtree, folder)
        self.begin("stop_limit=60s", "data=" + os.path.join(folder, "data"), "history=kept: 10 messages")
        self.kill_master()
        self.again()
        keeper = self.janus.keepers()[0]
        os.kill(keeper, signal.SIGSTOP)
        self.steady.over.set()
        self.janus.process.send_signal(signal.SIGTERM)
        self.janus.wait_log("stopping")
        self.janus.process.send_signal(signal.SIGTERM)
        self.janus.wait_exit(0, 20)         # (of 60)

    def test_leave(self):
        self.begin()
        before = self.processes_of_slots()
        self.janus.process.send_signal(signal.SIGUSR1)
        self.assertEqual(self.janus.process.wait(10 * SLOWNESS), 0)
        self.steady.progress()
        self.again()
        self.assertEqual(self.processes_of_slots(), before)
        self.end()


class Linger(MasterTest):
    def test_none(self):
        """master_linger=0: all end with the master, and the next start is an empty one."""
        self.begin("master_linger=0")
        self.steady.over.set()
        left = self.janus.processes()
        self.kill_master()
        wait_until(lambda: not any(map(is_alive, left)), 10, "the end of keepers and workers")
        self.janus.start()
        self.assertEqual(self.janus.connections(), 0)

    def test_over(self):
        self.begin("master_linger=300ms")
        left = [pid for pid in self.janus.processes() if pid != self.janus.master]
        self.kill_master()
        self.janus.wait_log(r"the master is gone; going on without one for (300|29\d|2[0-8]\d) ms")
        self.steady.over.set()
        wait_until(lambda: not any(map(is_alive, left)), 10, "the end of keepers and workers")
        self.assertRegex(self.janus.log(), "no master has come for")
        self.janus.start()


class Door(MasterTest):
    def test_stranger(self):
        """Who is not the master gets nothing, whether there is one or not."""
        self.begin()
        for there in (True, False):
            if not there:
                self.kill_master()
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.settimeout(10 * SLOWNESS)
                s.connect(os.path.join(self.janus.runtime_dir, "slot.0"))
                try:
                    s.send(b"A")
                    self.assertEqual(s.recvmsg(1000, 1000)[:2], (b"", []))
                except (BrokenPipeError, ConnectionResetError):
                    pass
            self.steady.progress()
        self.janus.wait_log("knocked at .* door, and is not the master")
        self.again()
        self.end()


    def test_removed(self):
        """A file that somebody removes is made again; if there is no time for that, the slot alone is lost."""
        self.begin("session_linger=0")
        door = os.path.join(self.janus.runtime_dir, "slot.0")
        os.unlink(door)
        wait_until(lambda: os.path.exists(door), 10, "another door")
        before = self.processes_of_slots()
        self.kill_master()
        self.again()
        self.assertEqual(self.processes_of_slots(), before)
        self.end()
        slot = self.janus.slot(0)
        self.janus.kill(slot["worker"], "worker", 0)
        self.kill_master()
        os.unlink(door)
        self.steady.may_close = set(self.steady.next)
        self.again()
        self.janus.wait_log("slot 0 had neither keeper nor worker any more: it starts empty")
        self.assertEqual(self.janus.count("closed_slot"), slot["connections"])
        self.janus.stop()


class Points(MasterTest):
    """Somebody dies on the way."""

    def one(self, point, role):
        self.begin(build=CRASH_BUILD, per_worker=1)
        self.arm(point)
        self.kill_master()
        self.janus.killed[0] = role
        self.janus.launch()
        wait_until(lambda: not self.armed(point), 10, "somebody at " + point)
        if role == "master":
            self.janus.process.wait()
            self.again()
        else:
            wait_until(self.taken_over, 20, "a master that has taken over")
            self.janus.wait_started()
        self.end()
        self.janus.reload()
        self.janus.stop()

    def test_adopt_locked(self):
        self.one("adopt-locked", "master")

    def test_adopt_connected(self):
        self.one("adopt-connected", "master")

    def test_adopt_one(self):
        self.one("adopt-one", "master")

    def test_adopt_all(self):
        self.one("adopt-all", "master")

    def test_adopt_settled(self):
        self.one("adopt-settled", "master")

    def test_keeper_accepted(self):
        self.one("keeper-accepted", "keeper")

    def test_keeper_adopted(self):
        self.one("keeper-adopted", "keeper")

    def test_keeper_half(self):
        self.one("keeper-half", "keeper")

    def test_keeper_told(self):
        self.one("keeper-told", "keeper")


class Reload(MasterTest):
    """The master dies within a reload: it is done anew by the next one."""

    def one(self, point):
        self.begin(build=CRASH_BUILD, per_worker=1)
        self.arm(point)
        self.janus.killed[self.janus.master] = "master"
        os.kill(self.janus.master, signal.SIGHUP)
        self.janus.process.wait()
        self.steady.progress()
        self.again()
        self.janus.wait_log("a reload follows: a reload that had not come to all workers.*\n(.*\n)*.*reloaded: 2 workers renewed")
        self.end()

    def test_canary(self):
        self.one("master-canary")

    def test_passed(self):
        self.one("master-passed")

    def test_random(self):
        """At any time."""
        self.begin()
        rng = self.random()
        for _ in range(5):
            os.kill(self.janus.master, signal.SIGHUP)
            time.sleep(rng.uniform(0, 0.06))
            self.kill_master()
            self.again()
        self.steady.progress()
        self.end()


class Makes(MasterTest):
    """The master dies while it makes a slot's keeper: the next one has all slots."""

    CONFIG = "workers = %d\nlisten = flash://127.0.0.1:0\n"

    def one(self, point, keepers):
        self.begin(config=self.CONFIG % 2, build=CRASH_BUILD, per_worker=1)
        self.arm(point)
        self.janus.configure(self.CONFIG % 3)
        self.janus.killed[self.janus.master] = "master"
        os.kill(self.janus.master, signal.SIGHUP)
        wait_until(lambda: not self.armed(point), 20, "the master at " + point)
        self.janus.process.wait()
        self.steady.progress()
        wait_until(lambda: len(self.janus.all_called("janus-keeper")) == keepers, 10, "so many keepers")
        self.again()
        wait_until(lambda: [w["state"] for w in self.janus.status()["workers"]] == ["live"] * 3, 20, "three workers")
        self.end()

    def test_door(self):
        """There is a door, and nobody behind it."""
        self.one("master-door", 2)

    def test_forked(self):
        """There is a keeper, of which the master knew no more than that."""
        self.one("master-forked", 3)

    def test_stopped_while_it_starts(self):
        """It is told to end when it has made one keeper of two: that one does not go on without it."""
        self.arm("master-forked.stop")
        janus = self.server(build=CRASH_BUILD, workers=2, start=False)
        janus.launch()
        wait_until(lambda: is_stopped(janus.process.pid), 20, "a master that has made a keeper")
        janus.process.terminate()
        os.kill(janus.process.pid, signal.SIGCONT)
        self.assertEqual(janus.process.wait(20 * SLOWNESS), 0)
        wait_until(lambda: not janus.processes(), 10, "the end of all processes")


class Upgrade(MasterTest):
    """The master dies while a program with another layout takes over."""

    def die(self, point):
        folder = tempfile.mkdtemp(prefix="janus-program-")
        self.addCleanup(shutil.rmtree, folder)
        self.program = program = Program(CRASH_BUILD, os.path.join(folder, "program"))
        os.link(program.path, program.path + ".before")
        self.begin(build=program.folder, per_worker=1)
        self.slots = self.processes_of_slots()
        program.put(OTHER_BUILD)
        self.arm(point)
        self.janus.killed[self.janus.master] = "master"
        os.kill(self.janus.master, signal.SIGHUP)
        self.janus.process.wait(20 * SLOWNESS)
        self.assertFalse(self.armed(point))

    def follow(self):
        self.steady.progress(30)
        self.janus.wait_log(r"taken over(?s:.*)reloaded", 30)
        self.end()
        self.janus.stop()

    def one(self, point, progress=True):
        self.die(point)
        if progress:
            self.steady.progress()
        self.again()
        self.follow()

    def test_asked(self):
        """Workers are leaving their snapshots: they go on without a master."""
        self.one("master-asked")

    def test_moving(self):
        """All have left: they wait for the next one, as the next program may have taken over."""
        self.one("master-moving", False)

    def test_taken_back(self):
        """All have left, and their own program stands at its path again: nothing follows, and they go on."""
        self.die("master-moving")
        os.rename(self.program.path + ".before", self.program.path)
        self.program.put_file(os.path.join(CRASH_BUILD, "janusctl"), "janusctl")
        self.again()
        self.janus.wait_log("taken over.*nothing has changed")
        self.steady.progress()
        self.assertEqual([keeper for keeper, _ in self.processes_of_slots()], [keeper for keeper, _ in self.slots])
        self.end()

    def asked(self, point=None):
        """All have left, and the next master waits for what a keeper has, which dies: its spare says it."""
        self.die("master-moving")
        keeper = self.slots[0][0]
        self.janus.kill(keeper, "keeper", signal.SIGSTOP)
        told = self.taken_over()
        self.janus.launch()
        self.janus.wait_log(r"keeper 1: process %d is the master now" % self.janus.master, 20)
        if point:
            self.arm(point)
            os.kill(keeper, signal.SIGCONT)
        else:
            self.janus.kill(keeper, "keeper")
        wait_until(lambda: self.taken_over() > told, 20, "a master that has taken over")
        self.janus.wait_started()
        self.follow()

    def test_keeper_dies_before_it_opens(self):
        self.asked()

    def test_keeper_dies_when_it_has_opened(self):
        self.asked("keeper-adopted")

    def test_told_and_stopped(self):
        """All have left; one tells the next master what it has, and is stopped before it can go on. That it has left is no answer to the reload that follows."""
        self.die("master-moving")
        told = self.taken_over()
        self.arm("keeper-told.stop")
        self.janus.launch()
        wait_until(lambda: self.taken_over() > told, 20, "a master that has taken over")
        stopped = next(i for i, (keeper, _) in enumerate(self.slots) if is_stopped(keeper))
        program = self.program_of_master()
        worker = int(self.janus.wait_log(r"janus\[(\d+)\] worker %d: took over" % (1 - stopped), 20).group(1))
        wait_until(lambda: not is_alive(worker), 20, "the other slot's snapshot")
        with self.assertRaises(AssertionError, msg="the next program has the hub, and the slot that is stopped goes on"):
            wait_until(lambda: self.program_of_master() != program, 0.5)
        os.kill(self.slots[stopped][0], signal.SIGCONT)
        self.follow()

    def program_of_master(self):
        return os.stat("/proc/%d/exe" % self.janus.master).st_ino

    def test_canary(self):
        """One slot is the next program's, the others wait."""
        self.one("master-canary", False)
        self.assertRegex(self.janus.log(), "the slots that wait with snapshots follow")

    def test_passed(self):
        """It lives."""
        self.one("master-passed", False)


if __name__ == "__main__":
    unittest.main()
