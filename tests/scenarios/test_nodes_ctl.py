"""What a node says of others: janusctl nodes and status, settings that are refused, README's first lines."""
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from janus_test import BUILD, ROOT, SLOWNESS, Beside, free_port, run, wait_until
from nodes_test import NodesTest


class Told(NodesTest):
    def test_nodes(self):
        a, b = self.nodes("a", "b")
        reader = b.lines("/sub/t")
        self.wait_interest("janus.topic.t")
        for n in range(7):
            a.post("/pub/t", n)
        self.assertEqual([reader.message()["data"] for _ in range(7)], list(range(7)))
        wait_until(lambda: a.peer("b")["behind"] == 0, 10, "b to confirm")
        at, there = a.nodes(), b.nodes()
        self.assertEqual((at["node"], at["state"], at["server"].rpartition("//")[2], at["error"]), ("a", "connected", self.nats.url.rpartition("//")[2], ""))
        self.assertEqual((at["out"], at["lost"], at["refused"], at["bridges"]), (7, 0, 0, 1))
        self.assertEqual((there["in"], there["repeated"], there["subscriptions"] >= 1), (7, 0, True))
        self.assertLess(abs(at["since"] / 1e6 - time.time()), 60)
        peer = b.peer("a")
        self.assertEqual((peer["epoch"], peer["state"], peer["in"], peer["lost"]), (at["epoch"], "here", 7, 0))
        self.assertLess(peer["lag"], 10e6)
        text = b.ctl("nodes")
        self.assertRegex(text, r"node +b\n")
        self.assertRegex(text, r"\na +here ")
        self.assertRegex(b.ctl("status"), r"\nnode +b; NATS connected; 1 other node here\n")
        self.assertRegex(json.loads(b.ctl("status", "--json"))["nodes"], "NATS connected")

    def test_master_is_stopped(self):
        a = self.node("a")
        os.kill(a.janus.master, signal.SIGSTOP)
        try:
            self.assertEqual(a.nodes()["node"], "a")
        finally:
            os.kill(a.janus.master, signal.SIGCONT)

    def test_off(self):
        server = self.server()
        self.assertEqual(json.loads(server.ctl("nodes", "--json")[1])["state"], "off")
        self.assertIn("not joined", server.ctl("nodes")[1])
        self.assertNotIn("NATS", server.ctl("status")[1])
        self.assertIsNone(server.called("janus-bridge"))

    def test_host_name(self):
        """Without `node` it is the host's name."""
        a = self.node("a", config="listen = http://127.0.0.1:0\nlisten = flash://127.0.0.1:0\nlisten = packet://127.0.0.1:0\nnats = %s\n" % self.nats.url)
        self.assertEqual(a.nodes()["node"], re.sub(r"[^A-Za-z0-9_.-]", "-", os.uname().nodename)[:63])


class Settings(NodesTest):
    def test_refused(self):
        folder = tempfile.mkdtemp(prefix="janus-nodes-")
        self.addCleanup(os.rmdir, folder)
        nats = "nats=nats://127.0.0.1:1"
        for setting, said in (("nats=http://x:1", "nats"), ("nats=nats://", "nats"), ("nats=nats://x:99999", "nats"), ("node=a b", "node"), ("node=" + "x" * 64, "node"), ("nats_prefix=a..b", "nats_prefix"),
                              ("nats_prefix=a.*", "nats_prefix"), ("nats_token_file=/nowhere/token", "/nowhere/token"), ("nats_password_file=/nowhere/x", "nats_user")):
            with self.subTest(setting):
                status, out, err = run(os.path.join(BUILD, "janus"), "-t", "-c", os.devnull, "-o", nats, "-o", setting, "-o", "runtime_dir=" + folder)
                self.assertNotEqual(status, 0, setting)
                self.assertIn(said, out + err)


class Readme(NodesTest):
    def test_first_lines(self):
        """Three lines, two nodes."""
        with open(os.path.join(ROOT, "README.md")) as f:
            block = re.search(r"## Many nodes\n.*?```sh\n(.*?)```", f.read(), re.DOTALL).group(1)
        folder = tempfile.mkdtemp(prefix="janus-readme-")
        ports = {"4222": free_port(), "8080": free_port(), "9080": free_port()}
        lines = [re.sub(r"4222|9080", lambda m: str(ports[m.group()]), line) for line in block.strip().splitlines()]
        self.assertEqual(len(lines), 3)
        lines[0] = lines[0].replace("-a 127.0.0.1", "-a 127.0.0.1 -p %d" % ports["4222"])
        more = " -c /dev/null" + (" -o user=root" if os.geteuid() == 0 else "")
        lines[1] = lines[1].replace(" &", more + " -o listen=http://127.0.0.1:%d -o runtime_dir=%s/a &" % (ports["8080"], folder))
        lines[2] = lines[2].replace("/tmp/janus-b", folder + "/b").replace(" &", more + " &")
        started = [Beside("sh", "-c", "exec " + line.removesuffix(" &").replace("build/janus", os.path.join(BUILD, "janus"))) for line in lines]
        for program in reversed(started):
            self.addCleanup(self.end, program)
        curl = Beside("curl", "-sSN", "--retry", "50", "--retry-connrefused", "--retry-delay", "1", "http://127.0.0.1:%d/sub/events" % ports["9080"])
        self.addCleanup(curl.kill)
        self.assertIn("position", curl.next(30))
        begun = {"ok": False}

        def heard():
            run("curl", "-sS", "-d", "hello", "http://127.0.0.1:%d/pub/events" % ports["8080"])
            return begun["ok"]

        thread = threading.Thread(target=lambda: begun.update(ok=curl.next(30)["data"] == "hello"), daemon=True)
        thread.start()
        wait_until(heard, 30, "hello on the other node", pause=0.1)
        thread.join()

    @staticmethod
    def end(program):
        if program.process.poll() is None:
            program.process.terminate()
            try:
                program.process.wait(20 * SLOWNESS)
            except subprocess.TimeoutExpired:
                pass
        program.kill()


if __name__ == "__main__":
    unittest.main()
