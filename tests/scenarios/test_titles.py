"""What ps shows of a server's processes: what each is, and how many connections a worker has."""
import ctypes
import os
import shutil
import tempfile
import unittest

import janus_test
from janus_test import JanusTest, Server, wait_until
from processes import _libc
from programs import OTHER_BUILD, Program

PR_SET_MM, PR_SET_MM_MAP_SIZE = 35, 15
POSSIBLE = _libc.prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, ctypes.byref(ctypes.c_uint()), 0, 0) == 0     # (a kernel with CONFIG_CHECKPOINT_RESTORE)


def read(pid, name):
    with open("/proc/%d/%s" % (pid, name), "rb") as f:
        return f.read()


def title(pid):
    return read(pid, "cmdline").decode().removesuffix("\0")


@unittest.skipUnless(POSSIBLE, "this kernel lets no process have another title")
class Titles(JanusTest):
    def begin(self, config):
        self.janus = Server(config=config)
        self.addCleanup(self._end, self.janus)
        self.program = Program(janus_test.BUILD, os.path.join(self.janus.folder, "bin"))
        self.janus.build = self.program.folder
        self.janus.start()

    def folder(self):
        folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def wanted(self, *connections, data=True):
        titles = ["janus: master " + self.janus.config_file]
        for slot, n in enumerate(connections):
            titles += ["janus: keeper %d" % slot, "janus: spare %d" % slot, "janus: worker %d (%d connection%s)" % (slot, n, "" if n == 1 else "s")]
        return sorted(titles + ["janus: data"] * data)

    def check(self, *connections, data=True):
        def seen():
            return sorted(title(pid) for pid in self.janus.processes())
        wait_until(lambda: seen() == self.wanted(*connections, data=data), 10, "these titles: %r" % (self.wanted(*connections, data=data),))
        self.assertEqual(title(self.janus.master), "janus: master " + self.janus.config_file)
        for w in self.janus.status()["workers"]:
            self.assertEqual(title(w["keeper"]), "janus: keeper %d" % w["slot"])
            self.assertEqual(title(w["worker"]), "janus: worker %d (%d connection%s)" % (w["slot"], w["connections"], "" if w["connections"] == 1 else "s"))
            self.assertEqual((read(w["keeper"], "comm"), read(w["worker"], "comm")), (b"janus-keeper\n", b"janus-worker\n"))
        self.assertEqual(read(self.janus.master, "comm"), b"janus\n")

    def test_all_there_is(self):
        config = "workers = 2\nlisten = flash://127.0.0.1:0\ndata = %s\nhistory = news: 10 messages\n" % self.folder()
        self.begin(config)
        self.check(0, 0)
        clients = [self.client(self.janus) for _ in range(4)]
        self.check(*self.counts(4))
        clients.pop().close()
        self.check(*self.counts(3))
        # Deaths, a reload with another number of workers, an upgrade to another layout: what was executed anew has its own.
        self.janus.kill_worker(0)
        self.check(*self.counts(3))
        self.janus.kill_keeper(1)
        self.check(*self.counts(3))
        self.janus.configure(config.replace("workers = 2", "workers = 3"))
        self.reload()
        self.check(*self.counts(3))
        self.program.put(OTHER_BUILD)
        self.reload()
        self.check(*self.counts(3))
        self.reload()
        self.check(*self.counts(3))

    def counts(self, connections):
        """What each worker has, as soon as all together have so many."""
        def found():
            each = [w["connections"] for w in self.janus.status()["workers"]]
            return each if sum(each) == connections else None
        return wait_until(found, 10, "%d connections" % connections)

    def reload(self):
        status, _, err = self.janus.reload()
        self.assertEqual(status, 0, err)

    def test_arguments_and_environment_stay(self):
        """The next program is given the same, whatever ps shows of this one."""
        janus = self.server("history=news: 5 messages", workers=1)
        master = janus.master
        self.assertEqual(title(master), "janus: master /dev/null")
        environment = read(master, "environ")
        self.assertIn(janus.mark.encode(), environment)
        for pid in janus.keepers() + janus.workers():
            self.assertIn(janus.mark.encode(), read(pid, "environ"))
        for _ in range(3):
            self.assertEqual(janus.reload()[0], 0)
            self.assertEqual(read(master, "environ"), environment)
            self.assertEqual(title(master), "janus: master /dev/null")
        status, out, err = janus.ctl("config", "history")
        self.assertEqual((status, out), (0, "history = news: 5 messages\t# -o\n"), err)


if __name__ == "__main__":
    unittest.main()
