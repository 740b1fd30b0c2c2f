"""The bridge, as the master has it: whom it runs as, what it is given, and that it sends what there is when the server stops."""
import os
import pwd
import signal
import unittest

from janus_test import wait_until
from nodes_test import NodesTest
from programs import Program
from test_privileges import status_of


class Master(NodesTest):
    def test_stop_sends_what_there_is(self):
        """All that was answered before a server stops is on the other nodes, also of a bridge that was not run meanwhile."""
        a, b = self.nodes("a", "b")
        reader = b.packet().subscribe("t")
        self.wait_interest("janus.topic.t")
        publisher, bridge = a.packet(), a.bridge()
        os.kill(bridge, signal.SIGSTOP)
        for n in range(500):
            publisher.op("publish", topic="t", data=n)
        publisher.expect_nothing()
        a.janus.process.send_signal(signal.SIGTERM)
        wait_until(lambda: a.janus.called("janus-keeper") is None, 10, "the keepers to go")
        os.kill(bridge, signal.SIGCONT)
        for n in range(500):
            self.assertEqual(reader.message()["data"], n)
        a.janus.wait_exit(0)

    def test_stop_does_not_wait_for_nats(self):
        a = self.node("a")
        self.nats.kill(signal.SIGSTOP)
        self.addCleanup(self.nats.kill, signal.SIGCONT)
        a.post("/pub/t", "x")
        a.janus.stop()

    @unittest.skipIf(os.geteuid() != 0, "only root can become another user")
    def test_whom_it_runs_as(self):
        """The workers' user, with no capability, and no secret but those of NATS."""
        user = pwd.getpwnam("nobody")
        folder = self.folder_for_secrets()
        a = self.node("a", "user=nobody", "nats_token_file=" + os.path.join(folder, "token"), "api_key=" + os.path.join(folder, "keys"))
        status = status_of(a.bridge())
        self.assertEqual(set(status["Uid"].split()), {str(user.pw_uid)})
        self.assertEqual(set(status["Gid"].split()), {str(user.pw_gid)})
        for name in "CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd":
            self.assertEqual(int(status[name], 16), 0, name)
        self.assertEqual(status["NoNewPrivs"], "1")
        secrets = [self.read_memfd(a.bridge(), fd) for fd in self.memfds(a.bridge(), "janus-secrets")]
        self.assertEqual(len(secrets), 1)
        self.assertIn(b"of-nats", secrets[0])
        self.assertNotIn(b"api_keys", secrets[0])

    def folder_for_secrets(self):
        folder = os.path.join(self.nats.folder, "secrets")
        os.mkdir(folder, 0o700)
        for name, text in ("token", "of-nats\n"), ("keys", "of-the-server-itself\n"):
            with open(os.path.join(folder, name), "w") as f:
                f.write(text)
        return folder

    @staticmethod
    def memfds(pid, name):
        folder = "/proc/%d/fd" % pid
        return [fd for fd in os.listdir(folder) if os.readlink(os.path.join(folder, fd)).startswith("/memfd:" + name)]

    @staticmethod
    def read_memfd(pid, fd):
        with open("/proc/%d/fd/%s" % (pid, fd), "rb") as f:
            return f.read()

    def test_it_is_not_installed(self):
        """A server that is to have one, and can't, does not start; one that runs refuses the reload."""
        config = "workers = 1\nlisten = flash://127.0.0.1:0\n"
        a = self.node("a", config=config, connected=False, start=False)
        program = Program(a.janus.build, os.path.join(a.janus.folder, "bin"))
        os.unlink(os.path.join(program.folder, "janus-bridge"))
        a.janus.build = program.folder
        a.janus.start()
        a.janus.configure(config + "nats = %s\n" % self.nats.url)
        status, _, err = a.janus.reload()
        self.assertEqual(status, 1)
        self.assertIn("janus-bridge", err)
        self.assertEqual(a.nodes()["state"], "off")
        a.janus.stop()
        a.janus.launch()
        a.janus.wait_exit(1)
        self.assertIn("janus-bridge", a.janus.log())


if __name__ == "__main__":
    unittest.main()
