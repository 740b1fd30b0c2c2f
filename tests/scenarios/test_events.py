"""janusctl log: what happens to connections and processes, and messages of topics, while readers follow it that the server knows nothing of."""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading

import janus_test
from crash_test import CrashTest
from janus_test import Server, is_alive, wait_until
from programs import OTHER_BUILD, Program
from processes import _ends_with_parent, is_stopped
from servers import parse_url
from web_clients import WEB, WebTest

SMALL = "ring_messages=1024", "ring_bytes=1M", "max_frame=64K"


class Log:
    """A janusctl log beside the test, whose lines are kept as they come."""

    def __init__(self, test, server, *arguments, text=False, since="1h"):
        command = [os.path.join(server.build, "janusctl"), "-o", "runtime_dir=" + server.runtime_dir, "log"]
        command += ([] if text else ["--json"]) + (["--since", since] if since else []) + list(arguments)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_ends_with_parent())
        self.text, self.lines, self.errors = text, [], []
        self.threads = [threading.Thread(target=self._read, args=(self.process.stdout, self.lines), daemon=True),
                        threading.Thread(target=self._read, args=(self.process.stderr, self.errors), daemon=True)]
        for thread in self.threads:
            thread.start()
        test.addCleanup(self.end)

    @staticmethod
    def _read(pipe, lines):
        for line in pipe:
            lines.append(line.decode())

    def end(self, sig=signal.SIGKILL):
        """Its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.wait()

    def wait(self, seconds=20):
        status = self.process.wait(seconds * janus_test.SLOWNESS)
        for thread in self.threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return status

    def events(self, **members):
        """Those that have these members."""
        every = [json.loads(line) for line in list(self.lines)]
        return [e for e in every if all(e.get(name) == value for name, value in members.items())]

    def event(self, seconds=10, **members):
        """The first such one; it comes within this time."""
        return wait_until(lambda: self.events(**members), seconds, "an event %r" % members)[0]

    def said(self):
        return "".join(self.errors)


class EventsTest(WebTest):
    workers = 2

    def log(self, *arguments, **more):
        return Log(self, self.janus, *arguments, **more)

    def once(self, *arguments, status=0):
        got, out, err = self.janus.ctl("log", "--once", "--json", *arguments)
        self.assertEqual(got, status, err)
        return [json.loads(line) for line in out.splitlines()]

    @staticmethod
    def place(client):
        """What the server sees of a client: its own address and port."""
        return dict(zip(("address", "port"), client.socket.getsockname()))


class Events(EventsTest):
    def test_a_connections_life(self):
        """Who came, from where, what became of it, and why it ended."""
        self.serve("session_linger=0")
        log = self.log()
        flash, websocket, lines = self.flash(), self.websocket(), self.lines("/sub/news")
        for client, first, then in (flash, "flash", None), (websocket, "http", "websocket"), (lines, "http", "comet"):
            event = log.event(kind="connect", **self.place(client))
            self.assertEqual(event["transport"], first)
            self.assertRegex(event["client"], r"^%d\.\d+\.[0-9a-f]{8}$" % event["slot"])
            if then:
                self.assertEqual(log.event(kind="stream", client=event["client"])["transport"], then)
        websocket.login("bob")
        websocket.action("logout", user="bob")
        websocket.login("alice")
        who = log.event(kind="connect", **self.place(websocket))["client"]
        log.event(kind="login", user="bob", client=who)
        log.event(kind="logout", user="bob", client=who)
        log.event(kind="login", user="alice", client=who)
        websocket.close()
        self.assertEqual(log.event(kind="disconnect", client=who)["user"], "alice")
        flash.send(b"{]\0")
        refused = log.event(kind="refuse", reason="bad_input")
        self.assertIn("text", refused)
        self.assertEqual(log.event(kind="disconnect", **self.place(flash))["reason"], "bad_input")
        self.assertEqual(refused["client"], log.event(kind="connect", **self.place(flash))["client"])
        lines.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        place = self.place(lines)
        lines.socket.close()
        self.assertEqual(log.event(kind="disconnect", client=log.event(kind="connect", **place)["client"])["reason"], "peer_reset")
        # In order, for those of one slot as for all.
        times = [e["time"] for e in log.events() if e.get("slot") == refused["slot"]]
        self.assertEqual(times, sorted(times))

    def test_reasons(self):
        """What the server ends a connection for."""
        self.serve("flood_messages=5", "max_connections=3", "keep_alive=1s", "session_linger=0")
        log = self.log()
        flood = self.flash()
        for n in range(20):
            flood.publish("a", n=n)
        self.assertEqual(log.event(kind="disconnect", **self.place(flood))["reason"], "closed_flood")
        idle = self.http()
        wait_until(lambda: log.events(kind="connect", **self.place(idle)))
        self.assertEqual(log.event(kind="disconnect", **self.place(idle))["reason"], "done")
        wait_until(lambda: self.janus.connections() == 0)
        kept = [self.flash() for _ in range(3)]
        full = self.flash()
        event = log.event(kind="refuse", reason="refused", **self.place(full))
        self.assertNotIn("client", event)
        place = self.place(kept[0])
        self.janus.stop()
        self.assertTrue(log.event(kind="server", text=re.search(r"\w+", "Terminated").group() + ": stopping"))
        self.assertEqual(log.event(kind="disconnect", **place)["reason"], "goodbye")

    def test_origin(self):
        log = self.log()
        self.assertEqual(self.ask("POST", "/pub/a", b"x", [("Origin", "http://evil.example")]).status, 403)
        self.assertIn("http://evil.example", log.event(kind="refuse")["text"])

    def test_sessions(self):
        """A connection breaks, its session stays, and another connection takes it over."""
        self.serve("session_linger=30s", workers=1)
        log = self.log()
        first = self.websocket()
        token = first.greeting["token"] if hasattr(first, "greeting") else first.token
        first.subscribe("a")
        place = self.place(first)
        was = log.event(kind="connect", **place)["client"]
        first.close()
        self.assertEqual(log.event(kind="park", client=was)["reason"], "peer_closed")
        second = self.websocket()
        before = log.event(kind="connect", **self.place(second))["client"]
        second.action("attach", token=token, ref=1)
        attached = log.event(kind="attach")
        self.assertEqual(attached["text"], "%s took over %s" % (before, was))
        self.assertEqual(attached["client"].split(".")[1:], [before.split(".")[1], was.split(".")[2]])
        self.assertEqual(log.event(kind="end", client=was)["reason"], "taken_over")
        # The one that took it over is known by its address all the same.
        second.close()
        self.assertEqual(log.event(kind="park", client=attached["client"])["port"], attached["port"])
        # By the id of one of both, both are found.
        self.assertEqual([e["kind"] for e in self.once("--client", was)], ["connect", "stream", "park", "attach", "end"])

    def test_slow(self):
        """Falls behind, loses messages, and comes back."""
        self.serve("slow=skip", *SMALL)
        log = self.log()
        slow, publisher = self.flash(rcvbuf=4096).subscribe("a"), self.flash()
        who = log.event(kind="connect", **self.place(slow))["client"]
        publisher.subscribe("a")
        for n in range(4000):
            publisher.publish("a", n=n, data="x" * 4000)
            if n % 100 == 99:
                while publisher.message()["n"] != n:
                    pass
        log.event(kind="behind", client=who)
        while slow.message()["n"] != 3999:
            pass
        log.event(kind="caught-up", client=who)
        wait_until(lambda: sum(e["messages"] for e in log.events(kind="drop", client=who, topic="a")) == self.janus.count("dropped_overtaken") > 0)

    def test_deaths_and_reloads(self):
        """One who follows sees them all, and goes on."""
        self.serve("session_linger=0")
        log, text = self.log(), self.log(text=True)
        client = self.flash().subscribe("a")
        who = log.event(kind="connect", **self.place(client))
        pid = self.janus.kill_worker(who["slot"])
        death = log.event(kind="death", slot=who["slot"])
        self.assertIn("worker %d, of signal 9" % pid, death["text"])
        self.assertGreaterEqual(death["connections"], 1)
        wait_until(lambda: len(log.events(kind="start", slot=who["slot"])) == 2)
        self.assertEqual(self.janus.reload()[0], 0)
        log.event(kind="reload")
        wait_until(lambda: {e["slot"] for e in log.events(kind="handover")} == {0, 1}, what="both workers to hand over")      # (each slot's events are read by themselves)
        client.close()
        self.assertEqual(log.event(kind="disconnect", **self.place_of(who))["client"], who["client"])
        wait_until(lambda: any(re.search(r"Z  disconnect  %s +127\.0\.0\.1:%d +peer_closed" % (re.escape(who["client"]), who["port"]), line) for line in text.lines))
        self.assertEqual(log.end(signal.SIGINT), 0)
        self.assertEqual(text.end(signal.SIGTERM), 0)
        self.assertEqual(log.said() + text.said(), "")
        self.assertEqual(log.events(kind="lost"), [])

    @staticmethod
    def place_of(event):
        return {"address": event["address"], "port": event["port"]}

    def test_keeper(self):
        log = self.log()
        worker = self.janus.slot(0)["worker"]
        self.janus.kill_keeper(0)
        log.event(kind="death", text="the keeper of slot 0, of signal 9")
        log.event(kind="handover", slot=0, text="process %d, as its keeper had died" % worker)
        self.janus.wait_log("slot 0: its spare is the keeper now")      # (which the master tells to go on, were it stopped)
        self.janus.lose_slot(0)
        wait_until(lambda: [e for e in log.events(kind="empty") if "slot 0" in e["text"]])

    def test_master_stopped(self):
        """Nobody is asked: neither to follow, nor, by who may, to begin."""
        log = self.log()
        log.event(kind="start", slot=1)
        self.janus.kill(self.janus.master, "master", signal.SIGSTOP)
        self.addCleanup(os.kill, self.janus.master, signal.SIGCONT)
        client = self.flash_at(self.address_of_flash)
        log.event(kind="connect", **self.place(client))
        status, out, err = self.janus.ctl("log", "--once", "--json", "--kind", "connect")
        self.assertEqual(status, 0, err)
        self.assertIn('"port":%d,' % self.place(client)["port"], out)
        os.kill(self.janus.master, signal.SIGCONT)

    @property
    def address_of_flash(self):
        return self._addresses["flash"]

    def flash_at(self, address):
        client = janus_test.Client(self.janus, address=address)
        self.addCleanup(client.close)
        return client

    def test_restart(self):
        """Another server in the same place: it is said, and goes on."""
        self.serve(listen=("flash://127.0.0.1:0",))
        log = self.log()
        log.event(kind="start", slot=1)
        self.janus.stop()
        wait_until(lambda: "the server has ended" in log.said(), 15)
        self.janus.start()
        log.event(kind="gap", seconds=20)
        client = self.flash_at(self.janus.address())
        log.event(kind="connect", **self.place(client))
        self.assertEqual(len(log.events(kind="server")), 3)     # start, stop, start

    def test_unix_and_ipv6(self):
        listen = ["flash://127.0.0.1:0"]
        if janus_test.has_ipv6():
            listen.append("flash://[::1]:0")
        self.serve(listen=tuple(listen) + ("flash+unix:/tmp/janus-events-%d" % os.getpid(),))
        log = self.log()
        self.flash_at("/tmp/janus-events-%d" % os.getpid()).subscribe("a")
        event = log.event(kind="connect", address="unix")
        self.assertNotIn("port", event)
        self.assertEqual([e["kind"] for e in self.once("--address", "unix")], ["connect"])
        if janus_test.has_ipv6():
            client = self.flash_at(parse_url(self.janus.status()["listen"][1]))
            log.event(kind="connect", address="::1", port=client.socket.getsockname()[1])

    def test_two_readers(self):
        """Both get all of it, and so does who comes later and asks for what was."""
        one, two = self.log("--kind", "connect,disconnect"), self.log("--kind", "connect,disconnect")
        for _ in range(200):
            self.flash().close()
        for log in one, two:
            wait_until(lambda: len(log.events(kind="disconnect")) == 200)
        self.assertEqual(sorted(one.lines), sorted(two.lines))
        self.assertEqual(len(self.once("--kind", "disconnect")), 200)

    def test_reader_that_is_overtaken(self):
        """It is stopped, more happens than is kept, and it goes on: what it has lost it says."""
        self.serve(workers=1)
        log = self.log("--kind", "login,logout")
        client = self.websocket()
        client.login("first")
        log.event(kind="login")
        log.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: is_stopped(log.process.pid))
        for n in range(3000):
            client.action("login", user="u")
            client.action("logout", user="u")
        client.login("last")
        log.process.send_signal(signal.SIGCONT)
        log.event(kind="login", user="last")

        def lost_and_had():
            every = log.events()
            return sum(e["n"] for e in every if e["kind"] == "lost"), sum(e["kind"] in ("login", "logout") for e in every)
        wait_until(lambda: sum(lost_and_had()) == 6002, 10, "all, or that it is lost", pause=0.2)       # (what is lost is said behind what was read)
        self.assertGreater(lost_and_had()[0], 1000)


class Filters(EventsTest):
    def test_what_is_wanted(self):
        bob, other = self.websocket(), self.websocket()
        bob.login("bob")
        other.login("bobby")
        for client in bob, other:
            client.close()
        wait_until(lambda: self.janus.connections() == 0)
        every = self.once()
        mine = [e for e in every if e.get("port") == self.place_port(bob)]
        self.assertEqual([e["kind"] for e in mine][:3], ["connect", "stream", "login"])
        self.assertEqual(self.once("--client", mine[0]["client"]), [e for e in every if e.get("client") == mine[0]["client"]])
        self.assertEqual({e["client"] for e in self.once("--user", "bob")}, {mine[0]["client"]})
        self.assertIn("login", [e["kind"] for e in self.once("--user", "bob")])
        self.assertEqual({e["kind"] for e in self.once("--kind", "login,start")}, {"login", "start"})
        self.assertEqual(self.once("--address", "127.0.0.1:%d" % mine[0]["port"]), mine)
        self.assertEqual(self.once("--address", "127.0.0.0/8"), [e for e in every if "address" in e])
        self.assertEqual(self.once("--address", "127.0.0.2"), [])
        self.assertEqual(self.once("--address", "10.0.0.0/8"), [])
        self.assertEqual(self.once("-n", "2"), every[:2])
        self.assertEqual(self.once("--since", "0s"), [])

    def place_port(self, client):
        self._ports = getattr(self, "_ports", {})
        return self._ports.setdefault(client, client.port_of_its_own)

    def websocket(self, *arguments, **more):
        client = super().websocket(*arguments, **more)
        client.port_of_its_own = client.socket.getsockname()[1]
        return client

    def test_bad_usage(self):
        for arguments, word in ((["--kind", "connect,nonsense"], "nonsense"), (["--client", "1"], "no client's id"), (["--address", "example.org"], "ADDRESS"),
                                (["--address", "127.0.0.1:0"], "ADDRESS"), (["--address", "127.0.0.1/33"], "ADDRESS"), (["--address", "[::1"], "ADDRESS"),
                                (["--since", "10"], "how long ago"), (["--since", "x"], "how long ago"), (["-n", "0"], "--count"), (["a", "b"], "usage")):
            status, out, err = self.janus.ctl("log", *arguments)
            self.assertEqual((status, out), (2, ""), err)
            self.assertIn(word, err)

    def test_ends(self):
        """After so many lines; when nobody reads it any more, also if nothing comes."""
        log = self.log("-n", "1", since=None)
        wait_until(lambda: self.readable_maps(log.process.pid))
        client = self.flash()
        wait_until(lambda: log.process.poll() is not None or not self.flash())     # (it follows a moment after it has mapped)
        self.assertEqual(log.wait(), 0)
        self.assertEqual(len(log.lines), 1)
        client.close()
        log = self.log("--kind", "start")
        log.event(kind="start", slot=1)
        log.process.stdout.close = lambda: None
        read, write = os.pipe()
        quiet = subprocess.Popen([os.path.join(self.janus.build, "janusctl"), "-o", "runtime_dir=" + self.janus.runtime_dir, "log", "--kind", "kick"],
                                 stdout=write, stderr=subprocess.DEVNULL, preexec_fn=_ends_with_parent())
        self.addCleanup(quiet.wait)
        self.addCleanup(quiet.kill)
        os.close(write)
        wait_until(lambda: self.readable_maps(quiet.pid))
        os.close(read)
        self.assertEqual(quiet.wait(10 * janus_test.SLOWNESS), 0)

    @staticmethod
    def readable_maps(pid):
        """Whether it has the hub segment mapped: it follows."""
        with open("/proc/%d/maps" % pid) as f:
            return "memfd:janus-hub" in f.read()


class Topics(EventsTest):
    def test_messages(self):
        """Of a topic, of those that a pattern fits, of a user; and what is not subscribed is not there."""
        self.lines("/sub/news.a,news.b,other")
        self.lines("/sub/wild.*.x")
        self.lines("/inbox/bob")
        one, fits, wild, bob = self.log("--topic", "news.a"), self.log("--topic", "news.>"), self.log("--topic", "wild.1.x"), self.log("--user", "bob", "--kind", "publish")
        for topic in "news.a", "news.b", "other", "nobody", "wild.1.x", "wild.2.x":
            self.post("/pub/" + topic, "to " + topic)
        self.post("/send/bob", "to bob")
        self.post("/pub/news.a", {"a": [1, 2]})
        self.post("/pub/news.a", b"\x00\xff", "application/octet-stream")

        def data(log):
            return [e["message"]["data"] for e in log.events(kind="publish")]
        wait_until(lambda: data(one) == ["to news.a", {"a": [1, 2]}, "AP8="], what="messages of one topic")
        wait_until(lambda: data(fits)[:2] == ["to news.a", "to news.b"] and len(data(fits)) == 4)
        wait_until(lambda: data(wild) == ["to wild.1.x"])
        wait_until(lambda: data(bob) == ["to bob"])
        self.assertEqual(one.events()[0]["message"]["topic"], "news.a")
        self.assertEqual(bob.events()[0]["message"]["user"], "bob")
        for log in one, fits, wild, bob:
            self.assertEqual(len(log.events()), len(log.events(kind="publish")))
        status, out, err = self.janus.ctl("log", "--once", "--topic", "news.b")
        self.assertEqual(status, 0, err)
        self.assertRegex(out, r'^\S+Z  publish     \{"id":".*","timestamp":\d+,"topic":"news.b","data":"to news.b"\}\n$')


class Terminals(EventsTest):
    def test_nothing_that_a_terminal_acts_on(self):
        """What clients write, as people and as programs read it. (Names have no such characters.)"""
        self.lines("/sub/a")
        self.post("/pub/a", "a\x9b31m\x7f\x1bb\u20ac")
        self.assertEqual(self.once("--topic", "a")[0]["message"]["data"], "a\x9b31m\x7f\x1bb\u20ac")
        status, out, err = self.janus.ctl("log", "--once", "--topic", "a")
        self.assertEqual(status, 0, err)
        self.assertTrue(out.endswith(',"data":"a??31m?\\u001bb\u20ac"}\n'), ascii(out))


class Upgraded(EventsTest):
    def test_another_layout(self):
        """One who follows goes on with the new server's events, by the janusctl of before; and one of the other layout reads these."""
        server = Server("session_linger=0", workers=1)
        self.addCleanup(self._end, server)
        program = Program(janus_test.BUILD, os.path.join(server.folder, "bin"))
        server.build = program.folder
        server.start()
        log = Log(self, server)
        client = self.client(server).subscribe("a")
        who = log.event(kind="connect", **self.place(client))["client"]
        program.put(OTHER_BUILD)
        self.assertEqual(server.reload()[0], 0)
        log.event(kind="gap", seconds=20)
        log.event(kind="reload")
        place = self.place(client)
        client.close()
        self.assertEqual(log.event(kind="disconnect", **place)["client"], who)
        status, out, err = server.ctl("log", "--once", "--kind", "disconnect")
        self.assertEqual(status, 0, err)
        self.assertIn(who, out)
        self.assertEqual(log.said(), "")


class Crashes(CrashTest):
    def test_death_within_an_event(self):
        """The worker dies in the middle of one: who follows sees the death, and what comes then is whole."""
        for point in "event-filled", "event-numbered":
            with self.subTest(point):
                self.serve_crash_build("session_linger=0", workers=1)
                log = Log(self, self.janus)
                log.event(kind="start")
                kept = self.flash().subscribe("a")
                log.event(kind="connect", port=kept.socket.getsockname()[1])
                self.arm(point)
                died = self.janus.slot(0)["worker"]
                self.janus.killed[died] = "worker"
                client = self.flash().subscribe("a")        # (it is adopted by the next worker)
                wait_until(lambda: not is_alive(died) and not self.armed(point))
                log.event(kind="death", text="worker %d, of signal 9" % died)
                wait_until(lambda: len(log.events(kind="start")) == 2)
                ports = [c.socket.getsockname()[1] for c in (kept, client)]
                for c in kept, client:
                    c.close()
                for port in ports:
                    self.assertEqual(log.event(kind="disconnect", port=port)["reason"], "peer_closed")
                self.assertEqual(log.events(kind="lost") + log.events(kind="unknown"), [])
