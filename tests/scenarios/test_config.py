"""Configuration: what is taken, what is refused, and in which words. janus -t, -V, janusctl's exit statuses."""
import json
import os
import re
import socket
import tempfile
import unittest

from janus_test import JanusTest, USER, free_port, has_ipv6, program, run, wait_until


class Config(JanusTest):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="janus-test-")
        self.addCleanup(self.folder.cleanup)
        self.file = os.path.join(self.folder.name, "janus.ini")

    def check(self, text=None, *options):
        arguments = ["-t", "-o", "user=" + USER]
        if text is not None:
            with open(self.file, "wb") as f:
                f.write(text if isinstance(text, bytes) else text.encode())
            arguments += ["-c", self.file]
        else:
            arguments += ["-c", os.devnull]
        for option in options:
            arguments += ["-o", option]
        return run(program("janus"), *arguments)

    def assert_good(self, text=None, *options):
        """(The addresses by default may be somebody's.)"""
        if not any("listen" in option for option in options + (str(text),)):
            options += ("listen=flash://127.0.0.1:0",)
        status, out, err = self.check(text, *options)
        self.assertEqual((status, err), (0, ""))
        self.assertIn("good", out)
        return out

    def assert_bad(self, where, pattern, text=None, *options):
        status, out, err = self.check(text, *options)
        self.assertEqual((status, out), (1, ""))
        self.assertIn(where, err)
        self.assertRegex(err, pattern or ".")

    def test_good(self):
        self.assert_good()
        self.assert_good("")
        self.assert_good("# comment\n; another\n\n  workers = auto\nlisten=flash://127.0.0.1:0\nlisten = flash://127.0.0.2:0\n"
                         "heartbeat = 1500ms\r\nring_bytes = 64M ; so much\nmax_topics=1k\nslow = disconnect\nrestart_window=2m\n"
                         "runtime_dir = /tmp/somewhere\nlog_level = debug")
        self.assert_good("page = off\nbroadcast = on\norigins = https://example.org:8443, http://[::1]:3000 *\nhttp_timeout = 5s\n"
                         "keep_alive = 2m\nmax_head = 32K\nmax_fields = 50\nflood_messages = 1k\nflood_bytes = 1M\nidle_limit = 10m\n")
        self.assert_good(None, "listen=http://127.0.0.1:0", "listen=packet://*:0", "anonymous=all", "listen=http+unix:%s/a" % self.folder.name, "listen=packet+unix:%s/b" % self.folder.name)
        self.assert_good(None, "workers=63", "listen=flash://*:%d" % free_port(), "listen=flash://localhost:0", "anonymous=none", "io = send", "user=root")

    def test_what_others_can_reach(self):
        """Everything for everybody is for this machine alone, unless it is meant."""
        for address in ("http://*:0", "packet://0.0.0.0:0", "admin://*:0"):
            self.assert_bad("janus: -o listen: %s can be reached" % address, "anonymous = all if that is meant", None, "listen=flash://127.0.0.1:0", "listen=" + address)
        self.assert_bad("janus.ini:2: listen: http://*:0 can be", None, "workers = 1\nlisten = http://*:0")
        status, _, err = self.check(None, "listen=admin://*:0", "anonymous=none")
        self.assertEqual(status, 0)
        self.assertIn("who can reach admin://*:0 may do everything", err)

    def test_what_is_in_force_is_printed(self):
        """As a file that means the same."""
        here = "[::1]" if has_ipv6() else "127.0.0.1"
        hosts = " ".join("host-%d.example.org" % i for i in range(100))
        text = self.assert_good(None, "workers=3", "heartbeat=1500ms", "max_topics=1k", "ring_bytes=64M", "slow=disconnect", "idle_limit=0",
                                "hosts=" + hosts, "listen=http+unix:%s/a" % self.folder.name, "listen=packet://%s:0" % here, "keep_alive=2m")
        for line in ("workers = 3", "heartbeat = 1500ms", "max_topics = 1000", "ring_bytes = 64M", "slow = disconnect", "idle_limit = 0s",
                     "listen = http+unix:%s/a" % self.folder.name, "listen = packet://%s:0" % here, "keep_alive = 120s", "page = on", "user = " + USER):
            self.assertIn("\n" + line + "\n", text)
        self.assertEqual(self.assert_good(text), text)
        self.assertEqual(" ".join(re.findall("^hosts = (.*)$", text, re.M)), hosts)
        slow = ";".join("ticker.%d.*: latest" % i for i in range(30)) + ";" + "x" * 250 + ": disconnect"
        text = self.assert_good(None, "slow=" + slow, "history=" + ";".join("news.%d.*: 3 messages, 5s" % i for i in range(30)))
        self.assertEqual(";".join(re.findall("^slow = (.*)$", text, re.M)), slow)
        text = re.sub("^slow = xxx.*\n", "", text, flags=re.M)
        self.assertEqual(self.assert_good(text), text)

    def test_bad_lines_are_named(self):
        for text, line, pattern in (
                ("workers = 2\nworkers_ = 3\n", 2, "unknown key"),
                ("\n\nheartbeet = 3\n", 3, "unknown key; did you mean heartbeat"),
                ("workers = 0\n", 1, "workers"), ("workers = 65\n", 1, "workers"), ("workers = many\n", 1, "workers"),
                ("workers = 2\n\nworkers = 3\n", 3, "line 1 has it already"),
                ("heartbeat = 30s\nheartbeat = 20s\n", 2, "line 1 has it already"),
                ("heartbeat = 999ms\n", 1, "less than 1s"), ("heartbeat = 25h\n", 1, "more than 24h"), ("heartbeat = -1\n", 1, "heartbeat"),
                ("ring_bytes = 1K\n", 1, "less than"), ("ring_bytes = 99999999999999999999G\n", 1, "more than"),
                ("max_topics = 1.5\n", 1, "whole number"), ("max_topics = 16 K\n", 1, "whole number"), ("max_topics =\n", 1, "whole number"),
                ("slow = wait\n", 1, "`wait` is not of the form"), ("slow = a: latest; b*: wait\n", 1, "slow: `wait` is not one of: skip latest"),
                ("slow = a: skip\nslow = *a: latest\n", 2, "elsewhere than at the end"), ("io = \n", 1, "not one of"),
                ("page = maybe\n", 1, "not one of: on off"), ("max_fields = 3\n", 1, "less than 8"),
                ("origins = https://a http://b/c\n", 1, "origins: `http://b/c` has a path"),
                ("hosts = a.example\nhosts = b.example:80\n", 2, "hosts: `b.example:80` is neither"),
                ("hosts = " + "x" * 199 + "\n", 1, "longer than 198 bytes; the list may go on in another line"),
                ("hosts = %s\n" % ("a" * 150) * 28, 28, "hosts: is longer than 4095 bytes"),
                ("runtime_dir = here\n", 1, "absolute"), ("user = no-such-user-here\n", 1, "no user"),
                ("listen = 127.0.0.1:80\n", 1, "SCHEME://"), ("listen = wss://127.0.0.1:80\n", 1, "flash, http, packet or admin"), ("listen = https://127.0.0.1:80\n", 1, "takes a certificate"),
                ("listen = http+unix:socket\n", 1, "absolute path"), ("listen = http+unix:/" + "x" * 107 + "\n", 1, "108 bytes.*107"),
                ("listen = flash://localhost:1\nlisten = http://127.0.0.1:1\n", 2, "same address"),
                ("listen = flash://127.0.0.1\n", 1, "PORT"), ("listen = flash://127.0.0.1:65536\n", 1, "port"),
                ("listen = flash://127.0.0.1:x\n", 1, "port"), ("listen = flash://example.org:80\n", 1, "numeric"),
                ("listen = flash://[::1:80\n", 1, ""), ("listen = flash://127.0.0.1:1\nlisten = flash://127.0.0.1:1\n", 2, "twice"),
                ("[janus]\n", 1, "sections"), ("workers\n", 1, "key = value"), ("= 3\n", 1, "key"),
                (b"workers = 2\0\n", 1, "NUL"), ("workers = 2\n" + "x" * 100000 + "\n", 2, "")):
            with self.subTest(text=text[:60]):
                self.assert_bad("%s:%d: " % (self.file, line), pattern, text)

    def test_bad_options(self):
        for option, pattern in (("nonsense=1", "unknown key"), ("workers", "key=value"), ("=1", "key=value"), ("workers=x", "workers"),
                                ("heartbeat=1", ""), ("max_frame=1", "less than 1K")):
            with self.subTest(option=option):
                if option == "heartbeat=1":       # a second
                    self.assert_good(None, option)
                else:
                    self.assert_bad("-o ", pattern, None, option)

    def test_all_errors(self):
        """Not only the first one; also those that a start would meet."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            text = "workers = none\nheartbeat = 1m # often\n[janus]\ncolour = red\nring_bytes = 64 MB\nlisten = http://127.0.0.1:%d\n" % port
            status, out, err = self.check(text, "io=none")
            self.assertEqual((status, out), (1, ""))
            for line in ("%s:1: workers: `none`", "%s:2: heartbeat: a comment can't follow a value", "%s:3: [sections]", "%s:4: colour: unknown key",
                         "%s:5: ring_bytes: `64 MB` is not a whole number"):
                self.assertIn("janus: " + line % self.file, err)
            self.assertIn("janus: -o io: `none` is not one of", err)
            self.assertRegex(err, r"listen http://127.0.0.1:%d: bind: Address already in use: process %d \(.*\) has it" % (port, os.getpid()))
            self.assertEqual(len(err.splitlines()), 7)
            status, out, err = self.check("listen = http://127.0.0.1:%d\n" % port)
            self.assertEqual((status, out, len(err.splitlines())), (1, "", 1))
        self.assert_good("listen = http://127.0.0.1:%d\n" % port)
        path = os.path.join(self.folder.name, "socket")
        with socket.socket(socket.AF_UNIX) as taken:
            taken.bind(path)
            taken.listen()
            self.assert_bad("listen http+unix:%s: the socket is in use" % path, "", None, "listen=http+unix:" + path)
        self.assert_good(None, "listen=http+unix:" + path)     # left behind: it would be replaced, and is still there
        self.assertTrue(os.path.exists(path))
        self.assert_bad("listen http+unix:/nowhere/socket: /nowhere/: No such file", "", None, "listen=http+unix:/nowhere/socket")

    def test_the_running_servers_addresses_are_no_trouble(self):
        path = os.path.join(self.folder.name, "socket")
        janus = self.server(listen=("flash://127.0.0.1:0", "http+unix:" + path))
        host, port = janus.address()
        options = "listen=http://%s:%d" % (host, port), "listen=flash+unix:" + path
        self.assert_good(None, "runtime_dir=" + janus.runtime_dir, *options)
        status, _, err = self.check(None, "runtime_dir=" + self.folder.name, *options)
        self.assertEqual((status, len(err.splitlines())), (1, 2))
        self.assertRegex(err, r"process \d+ \(janus\S*\) has it")

    def test_descriptors_that_do_not_fit(self):
        """By how many, and the command; at a start, too."""
        status, out, err = self.check(None, "workers=2", "max_connections=3m", "listen=flash://127.0.0.1:0")
        self.assertEqual(status, 0)
        self.assertRegex(err, r"max_connections = 3000000: there is room for \d+, \d+ too few; 2 workers can't have so many: set workers = 3 or more, and ulimit -n to 1048576")
        janus = self.server("max_connections=100k", workers=2, nofile=(1024, 1024))
        room = 2 * (1024 - (2 * 64 + 2 * 65 + 32))
        janus.wait_log("max_connections = 100000: there is room for %d, %d too few, as each of 2 workers may have 1024 descriptors; it takes `ulimit -n 50290`"
                       % (room, 100000 - room))
        self.assertEqual(janus.status()["connections_max"], room)

    def test_no_such_file(self):
        for file in (self.file + ".none", self.folder.name, "/proc/self/mem"):
            with self.subTest(file=file):
                status, _, err = run(program("janus"), "-t", "-c", file)
                self.assertEqual(status, 1)
                self.assertIn(file, err)

    def test_what_is_good_starts(self):
        """-t says the same as a start: here, limits that depend on each other."""
        options = ("ring_bytes=1M", "max_frame=256K")
        janus = self.server(*options, start=False)
        janus.launch()
        janus.wait_exit(1)
        self.assertRegex(janus.log(), "ring_bytes")
        self.assert_bad("", "ring_bytes", None, *options)

    def test_version_and_usage(self):
        status, out, _ = run(program("janus"), "-V")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"\Ajanus \d+\.\d+\.\d+\n\Z")
        for arguments in (("-x",), ("argument",), ("-c",), ("-t", "more")):
            with self.subTest(arguments=arguments):
                status, out, err = run(program("janus"), *arguments)
                self.assertEqual((status, out), (2, ""))
                self.assertIn("usage:", err)
        self.assertEqual(run(program("janus"), "--help")[0], 0)

    def test_start_is_refused(self):
        """A start that can't be: status 1, a message, nothing left behind."""
        janus = self.server()
        host, port = janus.address()
        for options, pattern in (((), "in use"), (("nonsense=1",), "unknown key")):
            with self.subTest(options=options):
                other = self.server(*options, listen=("flash://%s:%d" % (host, port),), start=False)
                other.launch()
                other.wait_exit(1)
                self.assertRegex(other.log(), pattern)

    def test_runtime_folder_must_be_ones_own(self):
        janus = self.server(start=False)
        os.mkdir(janus.runtime_dir)
        os.chmod(janus.runtime_dir, 0o777)
        janus.launch()
        janus.wait_exit(1)
        self.assertRegex(janus.log(), "written to by others")
        janus = self.server("runtime_dir=/tmp/" + "x" * 120, start=False)
        janus.arguments = janus.arguments[:-2]
        janus.launch()
        janus.wait_exit(1)
        self.assertRegex(janus.log(), "too long")


class Ctl(JanusTest):
    def test_exit_statuses(self):
        janus = self.server()
        for command, status in ((("status",), 0), (("stats",), 0), (("version",), 0), (("help",), 0), (("--help",), 0),
                                (("status", "--json"), 0), (("stats", "--json"), 0),
                                (("-o", "nonsense=1", "status"), 1), (("-c", "/no/such/file", "status"), 1),
                                ((), 2), (("nonsense",), 2), (("status", "stats"), 2), (("--nonsense", "status"), 2)):
            with self.subTest(command=command):
                got, out, err = janus.ctl(*command)
                self.assertEqual(got, status, err)
                self.assertTrue(out if status == 0 else err)
        janus.stop()
        for command in ("status", "stats", "reload"):
            with self.subTest(stopped=command):
                status, out, err = janus.ctl(command)
                self.assertEqual((status, out), (3, ""))
                self.assertIn(janus.runtime_dir, err)
        self.assertEqual(janus.ctl("version")[0], 0)

    def test_reload_statuses(self):
        janus = self.server(config="workers = 1\nlisten = flash://127.0.0.1:0\n")
        self.assertEqual(janus.reload()[0], 0)
        self.assertEqual(json.loads(janus.ctl("reload", "--json")[1])["ok"], True)
        janus.configure("workers = none\n")
        status, out, err = janus.reload()
        self.assertEqual((status, out), (1, ""))
        self.assertIn("%s:1: workers" % janus.config_file, err)

    def test_file_with_errors(self):
        """It need not be right to find the server that runs: what one asks first, when a reload was refused."""
        janus = self.server(config="workers = 1\nlisten = flash://127.0.0.1:0\n")
        for text in ("workers = none\n", "[janus]\n", "colour = red\nno key\n", "x" * 5000 + "\n", "heartbeat = 1m\nidle_limit = 1s\n", "a\0b\n"):
            with self.subTest(text=text[:50]):
                janus.configure(text + "runtime_dir = %s\n" % janus.runtime_dir)
                for command in ("status", "stats", "version"):
                    status, out, err = run(program("janusctl"), "-c", janus.config_file, command)
                    self.assertEqual(status, 0)
                    if command != "status":
                        self.assertEqual(err, "")
                    else:
                        self.assertRegex(err, r"\Ajanusctl: warning: .*janus -t says all\)\n\Z")
                status, _, err = run(program("janusctl"), "-c", janus.config_file, "reload")
                self.assertEqual(status, 1)
                self.assertIn(janus.config_file, err) if "idle" not in text else self.assertIn("idle_limit", err)
        janus.configure("runtime_dir = elsewhere\n")
        status, _, err = run(program("janusctl"), "-c", janus.config_file, "status")
        self.assertEqual(status, 1)
        self.assertIn("runtime_dir", err)

    def test_status(self):
        janus = self.server(workers=3)
        self.client(janus)
        status = janus.status()
        self.assertEqual(status["pid"], janus.master)
        self.assertEqual(status["runtime_dir"], janus.runtime_dir)
        self.assertEqual([w["slot"] for w in status["workers"]], [0, 1, 2])
        self.assertEqual([w["restarts"] for w in status["workers"]], [0, 0, 0])
        self.assertEqual(sum(w["connections"] for w in status["workers"]), 1)
        self.assertEqual(sorted([janus.master] + janus.keepers() + janus.workers() + janus.all_called("janus-spare")), sorted(janus.processes()))
        text = janus.ctl("status")[1]
        for pid in [janus.master] + janus.keepers() + janus.workers():
            self.assertIn(str(pid), text)
        self.assertIn(status["listen"][0], text)

    def test_stats_need_nobody(self):
        """The counters are read from shared memory: they agree with what was done."""
        janus = self.server(workers=2)
        client = self.client(janus).subscribe("a")
        for n in range(10):
            client.publish("a", n=n)
            client.expect_message("a", n=n)
        stats = janus.stats()
        self.assertEqual(stats["counters"]["published"], 10)
        self.assertEqual(stats["counters"]["delivered"], 10)
        self.assertEqual(stats["ring"], {"oldest": 1, "tail": 11})
        self.assertEqual(sum(s["counters"]["published"] for s in stats["slots"]), 10)
        self.assertIn("published", janus.ctl("stats")[1])
        json.loads(janus.ctl("--json", "stats")[1])

    def connected(self, s, path):
        try:
            s.connect(path)
            return True
        except BlockingIOError:
            return False

    def test_many_callers(self):
        """Callers that say nothing keep nobody else out for long."""
        janus = self.server()
        silent = []
        for _ in range(40):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.setblocking(False)
            self.addCleanup(s.close)
            wait_until(lambda: self.connected(s, os.path.join(janus.runtime_dir, "control")), what="room in the backlog")
            silent.append(s)
        wait_until(lambda: janus.ctl("status")[0] == 0, 10, "an answer beside silent callers")
        for s, rubbish in zip(silent, (b"", b"x", b"\x81\xa1v\x01", b"\xff" * 60000)):
            try:
                s.send(rubbish)
            except OSError:
                pass
        wait_until(lambda: janus.ctl("status")[0] == 0, 10, "an answer after rubbish")


if __name__ == "__main__":
    unittest.main()
