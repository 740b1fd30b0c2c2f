"""janusctl publish, send, subscribe and rtt."""
import json
import os
import signal
import subprocess
import unittest

from ctl_test import CtlTest
from http_clients import Http
from janus_test import SLOWNESS, Beside, program, wait_until


class Messages(CtlTest):
    options = ("history=kept: 100 messages",)

    def command(self, *arguments):
        return [program("janusctl"), "-o", "runtime_dir=" + self.janus.runtime_dir] + list(arguments)

    def subscriber(self, *arguments):
        """One beside the test, which has begun to listen."""
        before = self.janus.subscriptions()
        beside = Beside(*self.command("subscribe", *arguments))
        self.addCleanup(beside.kill)
        wait_until(lambda: self.janus.subscriptions() > before, what="it subscribes")
        return beside

    def feed(self, data, *arguments, status=0):
        """(output) of a command that is given this as its standard input."""
        done = subprocess.run(self.command(*arguments), input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60 * SLOWNESS)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout.decode()

    def test_publish(self):
        heard = self.lines("/sub/a")
        self.assertRegex(self.ctl("publish", "a", "hello"), "^[a-z0-9]+-[0-9]+\n$")
        self.assertEqual(self.ask_ctl("publish", "a", '{"a":1}')["subscribers"], 1)
        self.ctl("publish", "a", "")
        self.feed(b"two\nlines\n", "publish", "a")
        self.feed(b"-", "publish", "a", "-")
        self.assertEqual([heard.message()["data"] for _ in range(5)], ["hello", '{"a":1}', "", "two\nlines\n", "-"])
        self.assertIn("nobody", self.ctl("publish", "nobody", "x"))
        self.feed(b"", "publish", "a", "x", "--lines", status=2)
        self.ctl("publish", "a@b", "x", status=1)
        self.ctl("publish", "", "x", status=2)
        self.ctl("publish", "a" * 256, "x", status=2)
        self.ctl("publish", status=2)

    def test_strange_names(self):
        name = "a b/c?&=%+#\u00fc"
        heard = self.websocket().subscribe(name)
        self.ctl("publish", name, "x")
        self.assertEqual(heard.message()["topic"], name)

    def test_lines(self):
        heard = self.lines("/sub/a")
        self.assertEqual(self.feed(b"1\n\n3", "publish", "a", "--lines"), "3 published\n")
        self.assertEqual([heard.message()["data"] for _ in range(3)], ["1", "", "3"])
        self.assertEqual(self.feed(b"", "publish", "a", "--lines"), "0 published\n")

    def test_send(self):
        heard = self.websocket().login("bob")
        self.ctl("send", "bob", "hi")
        self.assertEqual(heard.message()["data"], "hi")

    def test_subscribe(self):
        """As they come, over deaths and a reload, one a line whatever is in them."""
        plain, several = self.subscriber("a"), self.subscriber("b", "x.*", "--json")
        self.ctl("publish", "a", "first\nline \x1b[1m \u009b \"q\"")
        self.assertEqual(plain.line(), r'first\nline \u001b[1m \u009b "q"')
        self.ctl("publish", "x.1", "y")
        message = json.loads(several.line())
        self.assertEqual((message["topic"], message["data"]), ("x.1", "y"))
        for slot in range(self.workers):
            self.janus.kill_worker(slot)
        self.ctl("publish", "a", "after deaths")
        self.assertEqual(plain.line(), "after deaths")
        self.assertEqual(self.janus.reload()[0], 0)
        self.ctl("publish", "a", "after a reload")
        self.assertEqual(plain.line(), "after a reload")

    def test_topics_are_told_apart(self):
        beside = self.subscriber("a", "b")
        self.ctl("publish", "b", "x")
        self.assertEqual(beside.line(), "b\tx")

    def test_the_past(self):
        ids = [self.ask_ctl("publish", "kept", str(i))["id"] for i in range(5)]
        last = self.subscriber("kept", "--last", "2")
        self.assertEqual([last.line(), last.line()], ["3", "4"])
        since = self.subscriber("kept", "--since", ids[1])
        self.assertEqual([since.line() for _ in range(3)], ["2", "3", "4"])
        for arguments in (("--last", "0"), ("--since", "a b"), ("--since", ids[0], "--last", "1"), ("x" * 256,)):
            self.ctl("subscribe", "a", *arguments, status=2)
        self.ctl("subscribe", "a", "--since", "zz", status=1)

    def test_another_server(self):
        """The server ends, and another one comes."""
        beside = self.subscriber("a")
        self.janus.stop()
        self.janus.start()
        wait_until(lambda: self.janus.subscriptions() > 0)
        self.ctl("publish", "a", "x")
        self.assertEqual(beside.line(), "x")

    def test_nobody_reads(self):
        """A pipe whose reader has gone ends it, whether a message comes or not."""
        for publish in (False, True):
            reader, writer = os.pipe()
            wait_until(lambda: self.janus.subscriptions() == 0, what="the last one's end")
            process = subprocess.Popen(self.command("subscribe", "a"), stdout=writer, stderr=subprocess.DEVNULL)
            self.addCleanup(process.kill)
            os.close(writer)
            wait_until(lambda: self.janus.subscriptions() > 0)
            os.close(reader)
            if publish and process.poll() is None:
                self.ctl("publish", "a", "x")
            self.assertEqual(process.wait(20 * SLOWNESS), 0)

    def test_full_disk(self):
        """What can't be written is an error, not an end."""
        with open("/dev/full", "w") as full:
            log = subprocess.run(self.command("log", "--once", "--since", "1h"), stdout=full, stderr=subprocess.PIPE)
            self.assertEqual((log.returncode, b"No space" in log.stderr), (1, True))
            process = subprocess.Popen(self.command("subscribe", "a"), stdout=full, stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        wait_until(lambda: self.janus.subscriptions() > 0)
        self.ctl("publish", "a", "x")
        self.assertIn(b"No space", process.communicate(timeout=20 * SLOWNESS)[1])
        self.assertEqual(process.returncode, 1)

    def test_json_is_tame(self):
        """Also in a value that is no string a terminal finds nothing to act on; it stays the same value."""
        beside = self.subscriber("a")
        value = {"\x7f": "\u009b31m \u00e9"}
        admin = Http(self.janus, address=os.path.join(self.janus.runtime_dir, "admin"))
        self.addCleanup(admin.close)
        said = json.dumps(value, ensure_ascii=False).encode()
        self.assertEqual(admin.ask("POST", "/pub/a", said, {"Content-Type": "application/json"}).status, 200)
        line = beside.line()
        self.assertNotIn("\u009b", line)
        self.assertEqual(json.loads(line), value)

    def test_kicked(self):
        beside = self.subscriber("a")
        self.ctl("kick", "--topic", "a")
        wait_until(lambda: beside.process.poll() is not None)
        self.assertEqual(beside.process.returncode, 1)

    def test_rtt(self):
        answer = self.ask_ctl("rtt", "--count", "20")
        self.assertEqual((answer["sent"], answer["lost"]), (20, 0))
        self.assertTrue(0 < answer["min_us"] <= answer["median_us"] <= answer["max_us"])
        self.assertIn("10 messages, 0 lost", self.ctl("rtt"))
        wait_until(lambda: self.janus.subscriptions() == 0)
        self.ctl("rtt", "--count", "0", status=2)

    def test_rtt_of_one_that_hangs(self):
        """It gives up, with status 1."""
        self.serve("hang_limit=60")
        self.ctl("rtt")
        for pid in self.janus.workers():
            os.kill(pid, signal.SIGSTOP)
        try:
            self.ctl("rtt", "--count", "3", status=1)
        finally:
            for pid in self.janus.workers():
                os.kill(pid, signal.SIGCONT)

    def test_without_the_own_socket(self):
        """Where its socket is not to be had, a listener of HTTP is asked."""
        os.remove(os.path.join(self.janus.runtime_dir, "admin"))
        self.assertIn("nobody", self.ctl("publish", "a", "x"))
        self.serve(listen=("packet://127.0.0.1:0",))
        os.remove(os.path.join(self.janus.runtime_dir, "admin"))
        self.ctl("publish", "a", "x", status=1)
        self.janus.stop()
        self.ctl("publish", "a", "x", status=3)


if __name__ == "__main__":
    unittest.main()
