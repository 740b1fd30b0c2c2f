"""Nodes while something of them dies: bridges, workers, nats-servers, whole nodes. What was published comes once, in order, or is counted."""
import glob
import itertools
import os
import re
import shutil
import signal
import tempfile
import unittest

from janus_test import ROOT, wait_until
from nodes_test import CrashNodesTest, Node, NodesTest, steadily
from programs import OTHER_BUILD, Program



_flows = itertools.count()


class Flow:
    """Messages with numbers, from a publisher of one node to subscribers on others, who must have each of them once, in order."""

    def __init__(self, test, node, *readers):
        self.test, self.sent = test, 0
        self.topics = ["%s.%d" % (kind, next(_flows)) for kind in ("flow", "other")]
        self.publisher = node.packet()
        self.readers = [reader.packet().subscribe(*self.topics) for reader in readers]
        self.had = [0] * len(readers)

    def publish(self, count):
        for _ in range(count):
            self.publisher.op("publish", topic=self.topics[self.sent % 2], data=self.sent)
            self.sent += 1
        return self

    def answered(self):
        """All that was published is in the ring."""
        self.publisher.expect_nothing()
        return self

    def come(self, seconds=30):
        """Waits for all that was sent: each once, in order."""
        for place, reader in enumerate(self.readers):
            while self.had[place] < self.sent:
                self.test.assertEqual(reader.message(seconds)["data"], self.had[place])
                self.had[place] += 1
        return self

    def flowing(self):
        """A thread that publishes steadily; called again, it ends."""
        stop = steadily(lambda: self.publish(5), 0.002)

        def end():
            stop()
            return self
        return end


class FaultsTest(NodesTest):
    def flow(self, node, *readers):
        flow = Flow(self, node, *readers)
        for topic in flow.topics:
            self.wait_interest("janus.topic." + topic, len(readers))
        return flow

    def nothing_lost(self, *nodes):
        for node in nodes:
            self.assertEqual({name: node.janus.count(name) for name in ("nodes_lost", "nodes_refused")}, {"nodes_lost": 0, "nodes_refused": 0}, node.name)


class Bridges(FaultsTest):
    def test_killed(self):
        """The sender's and the receivers', under way."""
        a, b, c = self.nodes("a", "b", "c")
        flow = self.flow(a, b, c)
        end = flow.flowing()
        for _ in range(3):
            for node in (a, b):
                node.kill_bridge()
                wait_until(lambda: flow.sent > 0, 5)
        end().come()
        self.nothing_lost(a, b, c)

    def test_settings_change(self):
        """Another prefix, and back: a reload makes another bridge; without the setting there is none."""
        # (a configuration file that changes)
        nats = self.nats
        text = "workers = 2\nlisten = flash://127.0.0.1:0\nlisten = http://127.0.0.1:0\nlisten = packet://127.0.0.1:0\nsession_linger = 0\nnode = a\n"
        a = self.node("a", config=text + "nats = %s\n" % nats.url)
        b = self.node("b")
        self.wait_joined(a, b)
        flow = self.flow(b, a)
        flow.publish(10).come()
        workers, old = a.janus.workers(), a.bridge()
        a.janus.configure(text)
        self.assertEqual(a.janus.reload()[0], 0)
        wait_until(lambda: a.bridge() is None, 10, "the bridge to go")
        self.assertEqual(a.nodes()["state"], "off")
        a.post("/pub/" + flow.topics[0], -1)
        self.assertEqual(flow.readers[0].message()["data"], -1)
        a.janus.configure(text + "nats = %s\n" % nats.url)
        self.assertEqual(a.janus.reload()[0], 0)
        wait_until(lambda: a.bridge() not in (None, old), 10, "a bridge")
        a.wait_connected()
        self.wait_interest("janus.topic." + flow.topics[1])
        flow.publish(10).come()
        self.assertNotEqual(a.janus.workers(), [])

    def test_stopped(self):
        """One that hangs: local service goes on; then it goes on, or another one."""
        a, b = self.nodes("a", "b")
        flow, own = self.flow(a, b), a.lines("/sub/own")
        flow.publish(100)
        os.kill(a.bridge(), signal.SIGSTOP)
        self.addCleanup(self.go_on, a.bridge())
        flow.publish(1000)
        a.post("/pub/own", "here")
        self.assertEqual(own.message()["data"], "here")
        self.go_on(a.bridge())
        flow.come()
        self.nothing_lost(a, b)

    @staticmethod
    def go_on(pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except (ProcessLookupError, TypeError):
            pass


class CrashPoints(FaultsTest, CrashNodesTest):
    """The bridge dies at a point, once, on the sender's or the receiver's side."""

    @staticmethod
    def points():
        """Those that stand in the source; those of a stream have a test beside its others (test_nodes_stream.py)."""
        found = []
        for path in glob.glob(os.path.join(ROOT, "master", "bridge", "*.c")) + [os.path.join(ROOT, "shm", "nodes.c")]:
            with open(path) as f:
                found += re.findall(r'CRASH_POINT\("(bridge-[a-z-]+)"\)', f.read())
        return sorted(name for name in set(found) if not name.startswith("bridge-stream-"))

    def test_each(self):
        points = self.points()
        self.assertTrue(points)
        a, b = self.crash_node("a"), self.crash_node("b")
        self.wait_joined(a, b)
        flow = self.flow(a, b)
        flow.publish(10).come()
        back = self.flow(b, a)
        for point in points:
            with self.subTest(point=point):
                armed = {node.name: self.arm(node.crash_folder, point, 3) for node in (a, b)}
                for _ in range(20):
                    flow.publish(20).answered()
                    back.publish(20).answered()
                    flow.come()
                    back.come()
                    # (some are passed only where interest changes)
                    a.packet().subscribe("x.%s.%d" % (point, flow.sent)).close()
                    b.packet().subscribe("x.%s.%d" % (point, flow.sent)).close()
                    # (and some where somebody asks for counts)
                    a.post("/pub/nobody's?nodes=all", "x")
                    if not any(os.path.exists(path) for path in armed.values()):
                        break
                self.assertFalse(all(os.path.exists(path) for path in armed.values()), "nobody came by")
                for path in armed.values():
                    if os.path.exists(path):
                        os.remove(path)
                flow.publish(20).come()
                back.publish(20).come()
        self.nothing_lost(a, b)

    def test_master_dies_as_it_is_switched_off(self):
        """The next one does it again: the node is alone, and may have peers later."""
        text = "workers = 2\nlisten = flash://127.0.0.1:0\nlisten = http://127.0.0.1:0\nlisten = packet://127.0.0.1:0\nsession_linger = 0\nnode = a\n"
        a, b = self.crash_node("a", config=text + "nats = %s\n" % self.nats.url), self.node("b")
        self.wait_joined(a, b)
        flow = self.flow(b, a)
        flow.publish(10).come()
        point, master = self.arm(a.crash_folder, "nodes-ending"), a.janus.master
        a.janus.configure(text)
        os.kill(master, signal.SIGHUP)
        wait_until(lambda: not os.path.exists(point), 20, "the master at its point")
        a.janus.killed[master] = "master"
        a.janus.process.wait()
        a.janus.launch()
        a.janus.wait_started()
        # (It may have a bridge until its reload is through, as the keepers have the settings of before.)
        wait_until(lambda: a.nodes()["state"] == "off" and a.bridge() is None, 20, "a node without peers")
        a.post("/pub/" + flow.topics[0], -1)
        self.assertEqual(flow.readers[0].message()["data"], -1)
        a.janus.configure(text + "nats = %s\n" % self.nats.url)
        wait_until(lambda: a.janus.reload()[0] == 0, 20, "a reload, when that one is through")
        a.wait_connected()
        self.wait_interest("janus.topic." + flow.topics[1])
        flow.publish(10).come()


class NatsServers(FaultsTest):
    def test_new_node(self):
        """As soon as NATS is asked for it, all comes, whether the nodes have heard of each other before or not."""
        a = self.node("a")
        for n in range(5):
            b = self.node("b-%d" % n)
            self.flow(a, b).publish(20).come()

    def test_away(self):
        """Nobody here notices; what was published meanwhile is there when NATS is back, once, in order."""
        a, b = self.nodes("a", "b")
        flow = self.flow(a, b)
        own = a.packet().subscribe(flow.topics[0])
        flow.publish(50).come()
        self.nats.kill()
        flow.publish(500).answered()
        for n in range(flow.sent)[::2]:
            self.assertEqual(own.message()["data"], n)
        wait_until(lambda: a.nodes()["state"] == "away", 10, "NATS to be away")
        self.assertIn("away", a.ctl("status"))
        flow.publish(50).answered()
        self.nats.start()
        flow.publish(50).come()
        self.nothing_lost(a, b)
        self.assertNotIn("away", a.ctl("status"))

    def test_overtaken(self):
        """What the ring has no more is counted and told once; what is there comes."""
        b = self.node("b")
        a = self.node("a", "ring_messages=1024", "ring_bytes=1M", "max_frame=32K", "workers=1")
        self.wait_joined(a, b)
        flow = self.flow(a, b)
        flow.publish(10).come()
        self.nats.kill()
        wait_until(lambda: a.nodes()["state"] == "away", 10, "NATS to be away")
        memory = self.memory(a.bridge())
        for _ in range(50):
            flow.publish(100).answered()
        self.assertLess(self.memory(a.bridge()), memory + (4 << 20))
        self.nats.start()
        a.wait_connected()
        # what comes is a part without a gap, up to the end
        flow.publish(10).answered()
        got = []
        while not got or got[-1] < flow.sent - 1:
            got.append(flow.readers[0].message(30)["data"])
        self.assertEqual(got, list(range(got[0], flow.sent)))
        lost = got[0] - 10
        self.assertGreater(lost, 3000)
        self.assertEqual(b.peer("a")["lost"], lost)
        # (what NATS had been given and did not pass on any more is known there alone)
        counted = a.janus.count("nodes_lost")
        self.assertTrue(lost - 200 <= counted <= lost, (counted, lost))
        self.assertEqual(a.nodes()["lost"], counted)
        self.assertIn("LOST %d messages" % counted, a.ctl("status"))
        self.assertLess(len([line for line in a.janus.log().splitlines() if re.search("lost|missed", line)]), 5)

    @staticmethod
    def memory(pid):
        with open("/proc/%d/smaps_rollup" % pid) as f:
            return sum(int(line.split()[1]) << 10 for line in f if line.startswith(("Private_Dirty:", "Private_Clean:")))

    def test_one_of_three_dies(self):
        """Those whose server it was go to another one. In flight, both ways."""
        self._nats = cluster = self.cluster()
        a = self.joined("a", cluster.url_from(0))
        b = self.joined("b", cluster.url_from(1))
        c = self.joined("c", cluster.url_from(2))
        self.wait_joined(a, b, c)
        flows = [self.flow(a, b, c), self.flow(b, a, c)]
        for server in (0, 1):
            ends = [flow.flowing() for flow in flows]
            wait_until(lambda: all(flow.sent > 100 for flow in flows), 10)
            cluster[server].kill()
            for node in (a, b, c):
                node.wait_connected()
            for end in ends:
                end()
            for flow in flows:
                flow.come()
            cluster[server].start()
            cluster.wait_joined()
        self.nothing_lost(a, b, c)

    def joined(self, name, url):
        return Node(self, name, url).wait_connected()


class Nodes(FaultsTest):
    def test_workers_die(self):
        a, b = self.nodes("a", "b")
        flow = self.flow(a, b)
        end = flow.flowing()
        for node in (a, b):
            for slot in (0, 1):
                node.janus.kill_worker(slot)
        end().come()
        self.nothing_lost(a, b)

    def test_reload(self):
        """The bridge is made anew with it."""
        a, b = self.nodes("a", "b")
        flow = self.flow(a, b)
        end = flow.flowing()
        for node in (a, b):
            self.assertEqual(node.janus.reload()[0], 0)
            node.wait_connected()
        end().come()
        self.nothing_lost(a, b)

    def test_other_layout(self):
        """An upgrade, to a program with another layout of shared memory, and back."""
        a = self.node("a", start=False, connected=False)
        folder = tempfile.mkdtemp(prefix="janus-program-")
        self.addCleanup(shutil.rmtree, folder)
        program = Program(a.janus.build, os.path.join(folder, "bin"))
        here, a.janus.build = a.janus.build, program.folder
        a.janus.start()
        a.find_addresses()
        b = self.node("b")
        a.wait_connected()
        self.wait_joined(a, b)
        flow = self.flow(a, b)
        end = flow.flowing()
        for build in (OTHER_BUILD, here):
            program.put(build)
            status, out, err = a.janus.reload()
            self.assertEqual(status, 0, err)
            a.wait_connected()
        end().come()
        self.nothing_lost(a, b)

    def test_node_dies(self):
        """The others go on, and say so."""
        a, b, c = self.nodes("a", "b", "c")
        flow = self.flow(a, b)
        for pid in c.janus.processes():
            c.janus.killed[pid] = "worker"
        c.janus.destroy()
        flow.publish(100).come()
        wait_until(lambda: a.here() == {"b"}, 20, "c to be missed", pause=0.05)
        self.assertEqual(a.peer("c")["state"], "away")
        self.nothing_lost(a, b)

    def test_node_comes_back(self):
        """Another life of the same name: what it publishes is new."""
        a, b = self.nodes("a", "b")
        flow = self.flow(a, b)
        flow.publish(30).come()
        a.janus.stop()
        a.janus.start()
        a.find_addresses()
        a.wait_connected()
        again = self.flow(a, b)
        flow.readers[0].close()
        again.publish(30).come()
        self.nothing_lost(a, b)


if __name__ == "__main__":
    unittest.main()
