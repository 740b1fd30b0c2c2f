"""Programs that follow one another: with another layout of shared memory, or unable to."""
import hashlib
import os
import re
import shutil
import tempfile
import unittest

import janus_test
from janus_test import ROOT, Closed, JanusTest, Server, wait_until
from programs import OTHER_BUILD, Program
from web_clients import CONTINUATION, PING, PONG, TEXT, WEB, Http, Lines, Sse, chunked, frame, head_of, packet
from witnesses import Witnesses

CRASH_BUILD = os.path.join(ROOT, os.environ.get("JANUS_CRASH_BUILD", "build/crash"))
NO_SNAPSHOT_BUILD = os.path.join(ROOT, os.environ.get("JANUS_NO_SNAPSHOT_BUILD", "build/layout99"))


class Upgrade(JanusTest):
    def begin(self, *options, **more):
        """A server whose program can be replaced."""
        server = Server(*options, **more)
        self.addCleanup(self._end, server)
        self.program = Program(janus_test.BUILD, os.path.join(server.folder, "bin"))
        server.build = self.program.folder
        server.start()
        return server

    def reload(self, server, status=0):
        got, _, err = server.reload()
        self.assertEqual(got, status, err)
        return err

    def epoch_of(self, server):
        return {w["slot"]: w["generation"] for w in server.status()["workers"]}

    def test_another_layout(self):
        """Sessions of all kinds are the same afterwards."""
        server = self.begin(workers=3)
        clients = self.on_each_worker(server, 3)
        for i, c in enumerate(clients):
            c.subscribe(*(["a"], ["b", "a"], ["c"])[i % 3])
        slow = self.client(server, rcvbuf=4096).subscribe("big")
        publisher = self.client(server)
        for n in range(200):
            publisher.publish("big", n=n, data="x" * 50000)
        wait_until(server.behind, 10, "one that is behind")
        publisher.send(b'{"action":"publish","topic":"a","n":0,"da')     # half a frame
        wait_until(lambda: server.count("published") == 200, 10, "all published")
        master = server.master
        for build in (OTHER_BUILD, janus_test.BUILD, OTHER_BUILD):
            self.program.put(build)
            self.reload(server)
        self.assertEqual(server.status()["pid"], master)
        publisher.send(b'ta":1}\0')
        publisher.publish("b", n=0)
        publisher.publish("c", n=0)
        for i, c in enumerate(clients):
            got = sorted(c.expect_message(topic, n=0)["topic"] for topic in (["a"], ["a", "b"], ["c"])[i % 3])
            self.assertEqual(got, (["a"], ["a", "b"], ["c"])[i % 3])
        for n in range(200):
            slow.expect_message("big", n=n)
        self.assertEqual(server.count("closed_uncertain") + server.count("dropped_overtaken") + server.count("closed_slot"), 0)
        self.assertEqual(server.connections(), len(clients) + 2)
        clients[0].unsubscribe("a")
        self.client(server).subscribe("a", "new")

    def web(self, server):
        addresses = {protocol: server.address(protocol) for protocol in ("flash", "http", "packet")}
        witnesses = Witnesses(addresses, 1)
        self.addCleanup(witnesses.close)
        return witnesses

    def test_positions_go_on(self):
        """Over a death, a reload and upgrades, where each stream has them as well; a server that is started anew has others."""
        server = self.begin(workers=2, listen=WEB)
        world = self.web(server)
        publisher, lines, events = world.http(), world.stream(Lines, "1.1"), world.stream(Sse, "1.1", [("Accept", "text/event-stream")])
        ids = [lines.begin().position]

        def publish():
            answer = publisher.ask("POST", "/pub/a", b"x").json()
            self.assertEqual((lines.message()["id"], events.event().id), (answer["id"], answer["id"]))
            ids.append(answer["id"])
        publish()
        server.kill_worker(0)
        publish()
        self.reload(server)
        publish()
        for build in (OTHER_BUILD, janus_test.BUILD, OTHER_BUILD):
            self.program.put(build)
            self.reload(server)
            publish()
            late = world.stream(Lines, "1.0").begin()
            self.assertEqual((late.position, late.position.epoch), (ids[-1], ids[-1].epoch))
            late.close()
        self.assertEqual(ids, list(range(len(ids))))
        self.assertEqual(len({one.epoch for one in ids}), 1)
        again = self.web(self.begin(workers=1, listen=WEB))
        first = again.stream(Lines, "1.1").begin().position
        self.assertEqual(first, 0)
        self.assertGreater(first.epoch, ids[0].epoch)

    def test_another_layout_of_all_kinds(self):
        """Streams of all kinds, HTTP connections at rest, and some of each protocol in the middle of something nearly always."""
        server = self.begin(workers=3, listen=WEB)
        witnesses = self.web(server)
        witnesses.start()
        for build in (OTHER_BUILD, janus_test.BUILD) * 4:
            answered = witnesses.answered()
            self.program.put(build)
            self.reload(server)
            wait_until(lambda: witnesses.answered() > answered + 10, 20, "answers")
        self.assertEqual(witnesses.stop(), [])
        self.assertEqual(server.connections(), witnesses.connections)
        self.assertEqual(server.status()["by_transport"], {"flash": 3, "packet": 3, "http": 7, "websocket": 4, "sse": 2, "json_lines": 2, "page": 0})
        self.assertEqual(server.count("closed") + server.count("bad_input") + server.count("closed_uncertain"), 0)

    def test_another_layout_in_the_middle(self):
        """The same bytes, cut anywhere by an upgrade, are dealt with as if there had been none."""
        server = self.begin(workers=2, listen=WEB)
        world = self.web(server)
        action = '{"action":"publish","topic":"c","data":1,"ref":7}'
        whole = {
            "http": head_of("POST", "/pub/c", {"Content-Length": "2"}) + b"{}",
            "chunked": head_of("POST", "/pub/c", {"Transfer-Encoding": "chunked"}) + chunked(b'"chunks"', 3),
            "ws": frame(TEXT, action[:9], fin=False) + frame(PING, b"p") + frame(CONTINUATION, action[9:]),
            "packet": packet({"op": "publish", "topic": "c", "data": 5, "receipt": True}),
        }
        make = {"http": world.http, "chunked": world.http, "ws": world.websocket, "packet": world.packet}
        for build, cuts in zip((OTHER_BUILD, janus_test.BUILD), (slice(1, None, 2), slice(2, None, 2))):
            halves = [(kind, make[kind](), data, cut) for kind, data in whole.items() for cut in range(len(data))[cuts]]
            for _, client, data, cut in halves:
                client.send(data[:cut])
            self.program.put(build)
            self.reload(server)
            for kind, client, data, cut in halves:
                client.send(data[cut:])
                if kind == "packet":
                    answer = client.message()
                    self.assertEqual((answer["ok"], answer.get("id"), answer["subscribers"]), (True, None, 0), (kind, cut))
                elif kind == "ws":
                    while (got := client.next_frame())[1] == PONG:      # (once more, if it was answered before the upgrade)
                        self.assertEqual(got[2], b"p")
                    self.assertEqual(got[2], b'{"ok":true,"ref":7,"id":null,"subscribers":0}', (kind, cut))
                else:
                    self.assertEqual(client.answer().json(), {"id": None, "subscribers": 0}, (kind, cut))
                client.expect_nothing()
                client.close()
        self.assertEqual(server.count("bad_input"), 0)

    def test_another_layout_after_100_continue(self):
        server = self.begin(workers=2, listen=WEB)
        client = self.web(server).http()
        client.send(head_of("POST", "/pub/c", {"Content-Length": "2", "Expect": "100-continue"}))
        self.assertEqual(client.answer().status, 100)
        self.program.put(OTHER_BUILD)
        self.reload(server)
        client.send(b"{")
        self.program.put(janus_test.BUILD)
        self.reload(server)
        client.send(b"}")
        while (answer := client.answer()).status == 100:
            pass
        self.assertEqual(answer.json(), {"id": None, "subscribers": 0})

    def test_another_layout_of_a_page(self):
        """It goes on counting where it was: each from its own first message."""
        server = self.begin(workers=2, listen=WEB)
        world = self.web(server)
        publisher = world.http()
        pages = []
        for version in ("1.1", "1.0", "1.1"):
            pages.append(world.connect(Http, "http"))
            self.assertEqual(pages[-1].ask("GET", "/test/me", version=version).status, 200)
            self.assertEqual(publisher.ask("POST", "/send/me", b"before").json()["subscribers"], len(pages))
        for build in (OTHER_BUILD, janus_test.BUILD):
            self.program.put(build)
            self.reload(server)
            self.assertEqual(publisher.ask("POST", "/send/me", b"after").json()["subscribers"], len(pages))
        for n, page in enumerate(pages):
            text = b""
            while text.count(b"<br>") < 5 - n:
                text += page.chunk()
            self.assertEqual([int(number) for number in re.findall(rb"msg #(\d+): '", text)], list(range(1, 6 - n)))

    def test_another_layout_under_load(self):
        server = self.begin(workers=3)
        bench = self.bench(server, "-n", 1500, "-T", 3, "-p", 4, "--rate", 200, "--while-running", 10)
        wait_until(lambda: server.connections() >= 1500, 30, "all subscribers")
        for build in (OTHER_BUILD, janus_test.BUILD) * 3:
            self.program.put(build)
            self.reload(server)
            server.kill_worker(1)
        bench.finish()

    def test_one_that_cannot_read_it_refuses(self):
        """Before anything is stopped: the workers are the same."""
        server = self.begin()
        client = self.client(server).subscribe("a")
        workers = server.workers()
        self.program.put(NO_SNAPSHOT_BUILD)
        self.assertIn("can't read snapshots of version", self.reload(server, 1))
        self.assertEqual(server.workers(), workers)
        client.publish("a", n=1)
        client.expect_message("a", n=1)
        self.program.put(janus_test.BUILD)
        self.reload(server)

    def crash_files(self):
        """The folder in which a file has the crash build do what it is named for; the servers that are started from now on look there."""
        folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, folder)
        os.environ["JANUS_CRASH_DIR"] = folder
        self.addCleanup(os.environ.pop, "JANUS_CRASH_DIR")
        return folder

    def check_goes_on(self, server, clients, workers=None):
        wait_until(lambda: all(w["state"] == "live" for w in server.status()["workers"]), 10, "all workers live")
        if workers:
            self.assertEqual(server.workers(), workers)
        self.number = getattr(self, "number", 0) + 1
        clients[0].publish("a", n=self.number)
        for client in clients:
            client.expect_message("a", n=self.number)
        for name in ("closed", "closed_slot", "closed_uncertain", "dropped_overtaken"):
            self.assertEqual(server.count(name), 0, name)

    def test_what_is_no_janus(self):
        """Whatever lies at the path, and whatever it answers: refused with a word, and nothing has happened."""
        server = self.begin()
        clients = [c.subscribe("a") for c in self.on_each_worker(server)]
        workers = server.workers()
        for kind in Program.BROKEN:
            self.program.put_broken(kind)
            why = {"empty": "can't be executed: Exec format error", "text": "can't be executed: Exec format error",
                   "removed": "janus: No such file", "/bin/true": "is no janus", "not executable": "can't be executed: Permission denied"}
            script = "can't be executed: it is a script" if "script" in kind else "can't be executed|dies at start"
            self.assertRegex(self.reload(server, 1), why.get(kind, script), kind)
            self.check_goes_on(server, clients, workers)
        self.program.remove()
        os.mkdir(self.program.path)
        self.reload(server, 1)
        os.rmdir(self.program.path)
        self.check_goes_on(server, clients, workers)
        self.program.put(janus_test.BUILD)
        self.reload(server)
        self.check_goes_on(server, clients)

    def test_link_that_is_switched(self):
        """The program is called by a symbolic link, as some packages have it: where it leads to counts."""
        server = Server()
        self.addCleanup(self._end, server)
        first = Program(janus_test.BUILD, os.path.join(server.folder, "1"))
        second = Program(OTHER_BUILD, os.path.join(server.folder, "2"))
        server.build = os.path.join(server.folder, "current")
        os.symlink(first.folder, server.build)
        server.start()
        clients = [c.subscribe("a") for c in self.on_each_worker(server)]
        os.symlink(second.folder, server.build + ".new")
        os.rename(server.build + ".new", server.build)
        self.reload(server)
        self.assertEqual(os.readlink("/proc/%d/exe" % server.master), second.path)
        self.check_goes_on(server, clients)

    def test_keepers_run_what_the_master_runs(self):
        """A program that was unpacked and not yet reloaded is nobody's affair, should a keeper die."""
        server = self.begin(workers=2)
        for n, kind in enumerate(Program.BROKEN + ("another layout",)):
            if kind == "another layout":
                self.program.put(OTHER_BUILD)
            else:
                self.program.put_broken(kind)
            server.kill_keeper(n % 2)
            clients = [c.subscribe("a") for c in self.on_each_worker(server)]
            clients[0].publish("a", n=n)
            for client in clients:
                client.expect_message("a", n=n)
                client.close()
            wait_until(lambda: server.connections() == 0, 10, "the clients' end")

    def test_one_that_crashes_when_asked(self):
        folder = self.crash_files()
        server = self.begin()
        clients = [c.subscribe("a") for c in self.on_each_worker(server)]
        workers = server.workers()
        open(os.path.join(folder, "probe-abort"), "w").close()
        self.program.put_file(os.path.join(OTHER_BUILD, "janus"))
        self.assertIn("dies at start (signal 6)", self.reload(server, 1))
        self.check_goes_on(server, clients, workers)

    def test_refused_when_all_are_quiesced(self):
        """A program that says yes, and then can't read the snapshot: the old one goes on with every connection."""
        folder = self.crash_files()
        server = self.begin()
        clients = [c.subscribe("a") for c in self.on_each_worker(server)]
        open(os.path.join(folder, "probe-snapshot-abort"), "w").close()
        self.program.put_file(os.path.join(OTHER_BUILD, "janus"))
        self.assertIn("dies at start (signal 6)", self.reload(server, 1))
        self.check_goes_on(server, clients)
        os.unlink(os.path.join(folder, "probe-snapshot-abort"))
        self.program.put(OTHER_BUILD)
        self.reload(server)
        self.check_goes_on(server, clients)

    def check_failing_workers(self, build):
        """A release whose workers die at their start is noticed at the first slot, and nobody notices it else."""
        folder = self.crash_files()
        server = self.begin(workers=3)
        clients = [c.subscribe("a") for c in self.on_each_worker(server, 3)]
        open(os.path.join(folder, "start-abort"), "w").close()
        self.program.put_file(os.path.join(build, "janus"))
        error = self.reload(server, 1)
        self.assertIn("die before they get anywhere", error)
        self.assertIn("the old program goes on", error)
        server.forgive_deaths(6)
        self.check_goes_on(server, clients)
        for keeper in server.keepers() + [server.master]:
            self.assertNotEqual(self.digest(os.path.join(build, "janus")), self.digest("/proc/%d/exe" % keeper))
        os.unlink(os.path.join(folder, "start-abort"))
        self.program.put(build)
        self.reload(server)
        self.check_goes_on(server, clients)

    @staticmethod
    def digest(path):
        with open(path, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()

    def test_workers_that_die_at_their_start(self):
        self.check_failing_workers(CRASH_BUILD)

    def test_workers_of_another_layout_that_die_at_their_start(self):
        self.check_failing_workers(OTHER_BUILD)

    def check_heir_that_can_not_start(self, build, point):
        folder = self.crash_files()
        server = self.begin(workers=3)
        clients = [c.subscribe("a") for c in self.on_each_worker(server, 3)]
        for _ in range(2):
            open(os.path.join(folder, point), "w").close()
            self.program.put_file(os.path.join(build, "janus"))
            self.assertIn("can't start", self.reload(server, 1))
            self.check_goes_on(server, clients)
        self.program.put(build)
        self.reload(server)
        self.check_goes_on(server, clients)

    def test_master_that_can_not_start(self):
        """The new program is there already, and the old one has gone: it comes back."""
        self.check_heir_that_can_not_start(CRASH_BUILD, "successor-start")

    def test_master_of_another_layout_that_can_not_start(self):
        self.check_heir_that_can_not_start(OTHER_BUILD, "successor-restore")

    def check_failing_keepers(self, build):
        """The first slot's spare goes on with the old program, and nobody is lost."""
        folder = self.crash_files()
        server = self.begin(workers=3)
        clients = [c.subscribe("a") for c in self.on_each_worker(server, 3)]
        open(os.path.join(folder, "keeper-abort"), "w").close()
        self.program.put_file(os.path.join(build, "janus"))
        error = self.reload(server, 1)
        self.assertIn("can't take over", error)
        server.killed[0] = "keeper"             # as if the test had killed it
        wait_until(lambda: all(w["state"] == "live" for w in server.status()["workers"]), 10, "all workers live")
        clients[0].publish("a", n=1)
        for client in clients:
            client.expect_message("a", n=1)
        os.unlink(os.path.join(folder, "keeper-abort"))
        self.program.put(build)
        self.reload(server)
        clients[0].publish("a", n=2)
        for client in clients:
            client.expect_message("a", n=2)
        self.assertEqual(server.count("closed_slot"), 0)

    def test_keepers_that_die_at_their_start(self):
        self.check_failing_keepers(CRASH_BUILD)

    def test_keepers_of_another_layout_that_die_at_their_start(self):
        self.check_failing_keepers(OTHER_BUILD)

    def test_settings_with_which_workers_die(self):
        """It need not be the program: the way back is to the old settings, too."""
        folder = self.crash_files()
        server = Server(config="workers = 2\nheartbeat = 20s\nlisten = flash://127.0.0.1:0\n", build=CRASH_BUILD)
        self.addCleanup(self._end, server)
        server.start()
        clients = [c.subscribe("a") for c in self.on_each_worker(server)]
        address = server.status()["listen"]
        open(os.path.join(folder, "start-abort-send"), "w").close()
        server.configure("workers = 4\nio = send\nlisten = flash://127.0.0.1:%d\n" % janus_test.free_port())
        self.assertIn("the old program goes on", self.reload(server, 1))
        server.forgive_deaths(6)
        os.unlink(os.path.join(folder, "start-abort-send"))
        self.assertEqual(server.status()["listen"], address)
        self.assertEqual(len(server.workers()), 2)
        self.check_goes_on(server, clients)
        self.reload(server)
        self.assertEqual(len(server.workers()), 4)
        self.check_goes_on(server, clients)


if __name__ == "__main__":
    unittest.main()
