"""Programs that follow one another: with another layout of shared memory, or unable to."""
import os
import re
import unittest

import janus_test
from janus_test import ROOT, JanusTest, Server, wait_until
from troubles import OTHER_BUILD, Program
from web_clients import CONTINUATION, PING, PONG, TEXT, WEB, Http, chunked, frame, head_of, packet
from witnesses import Witnesses

DEAF_BUILD = os.path.join(ROOT, os.environ.get("JANUS_DEAF_BUILD", "build/layout99"))


class Upgrade(JanusTest):
    limit = 120

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
        self.assertEqual(server.status()["by_transport"], {"flash": 3, "packet": 3, "http": 7, "websocket": 4, "sse": 2, "chunked": 2, "page": 0})
        self.assertEqual(server.count("closed") + server.count("bad_input") + server.count("closed_uncertain"), 0)

    def test_another_layout_in_the_middle(self):
        """The same bytes, cut anywhere by an upgrade, are dealt with as if there had been none."""
        server = self.begin(workers=2, listen=WEB)
        world = self.web(server)
        action = '{"action":"publish","topic":"c","n":1,"id":7}'
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
                    self.assertEqual(got[2], b'{"ok":true,"id":7,"message":null,"subscribers":0}', (kind, cut))
                else:
                    self.assertEqual(client.answer().json(), {"id": None, "subscribers": 0}, (kind, cut))
                self.assertTrue(client.quiet(), (kind, cut))
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
        server = self.begin("restart_limit=1000", workers=3)
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
        self.program.put(DEAF_BUILD)
        self.assertIn("can't take over", self.reload(server, 1))
        server.wait_log("can't read snapshots of version")
        self.assertEqual(server.workers(), workers)
        client.publish("a", n=1)
        client.expect_message("a", n=1)
        self.program.put(janus_test.BUILD)
        self.reload(server)

    def test_one_that_crashes_at_start(self):
        server = self.begin()
        client = self.client(server).subscribe("a")
        workers = server.workers()
        for script, why in (("kill -SEGV $$", "signal 11"), ("exit 1", "status 1"), ("exec /nonexistent", "status 127")):
            self.program.put_script(script)
            self.assertIn(why, self.reload(server, 1))
        os.unlink(os.path.join(self.program.folder, "janus"))
        self.reload(server, 1)
        self.assertEqual(server.workers(), workers)
        client.publish("a", n=1)
        client.expect_message("a", n=1)
        self.program.put(janus_test.BUILD)
        self.reload(server)

    def test_refused_when_all_are_frozen(self):
        """A program that says yes, and then can't read the snapshot: the old one goes on with every connection."""
        server = self.begin()
        client = self.client(server).subscribe("a")
        # It answers as a program with another layout does, and refuses the second question.
        self.program.put_script('test -e %(f)s/asked && exit 1; touch %(f)s/asked; exit 10' % {"f": server.folder})
        self.assertIn("can't take over", self.reload(server, 1))
        wait_until(lambda: all(w["state"] == "live" for w in server.status()["workers"]), 10, "all workers live")
        client.publish("a", n=1)
        client.expect_message("a", n=1)
        self.program.put(OTHER_BUILD)
        self.reload(server)
        client.publish("a", n=2)
        client.expect_message("a", n=2)


if __name__ == "__main__":
    unittest.main()
