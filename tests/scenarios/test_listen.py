"""Listen addresses of all kinds: Unix sockets and their files, over start and stop, reload and upgrade; what goes with a listen socket."""
import contextlib
import os
import re
import shutil
import signal
import socket
import stat
import tempfile
import unittest

import janus_test
from troubles import OTHER_BUILD, Program
from janus_test import ROOT, SLOWNESS, JanusTest, descriptors, free_port, wait_until

CRASH_BUILD = os.path.join(ROOT, os.environ.get("JANUS_CRASH_BUILD", "build/crash"))


class Local(JanusTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="janus-test-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, "flash")
        self.url = "flash+unix:" + self.path

    def inode(self, path=None):
        return os.lstat(path or self.path).st_ino

    def connect(self, server, path=None):
        return self.client(server, address=path or self.path)

    def all_get(self, clients, n):
        clients[0].publish("a", n=n)
        for client in clients:
            client.expect_message("a", n=n)

    def start(self, *more, linger=60, **options):
        return self.server("master_linger=%d" % linger, workers=2, listen=(self.url,) + more, **options)

    def reload(self, server, *urls):
        server.configure("workers = 2\n" + "".join("listen = %s\n" % url for url in urls))
        status, _, err = server.reload()
        self.assertEqual((status, err), (0, ""))

    def refused(self, server, pattern):
        """The start is, and leaves nothing."""
        server.launch()
        server.wait_exit(1)
        self.assertRegex(server.log(), pattern)

    def test_serves(self):
        """Beside TCP, and the same to a client; the file is there as long as the server."""
        server = self.start("flash://127.0.0.1:0")
        self.assertEqual(server.status()["listen"][0], self.url)
        self.assertEqual(os.lstat(self.path).st_mode, stat.S_IFSOCK | 0o666)
        clients = [self.connect(server).subscribe("a") for _ in range(20)]
        clients += [self.client(server, place=1).subscribe("a") for _ in range(5)]
        self.all_get(clients, 1)
        self.all_get(clients[::-1], 2)
        big = "x" * 200000
        clients[0].publish("a", data=big)
        for client in clients:
            client.expect_message("a", data=big)
        clients[0].send(b"rubbish\0")
        clients[0].expect_error()
        for client in clients:
            client.close()
        wait_until(lambda: server.connections() == 0, what="no connection")
        server.stop()
        self.assertFalse(os.path.lexists(self.path))

    def test_a_slow_subscriber(self):
        """What does not fit into its socket comes later, from the ring."""
        server = self.start()
        slow = self.connect(server).subscribe("a")
        publisher = self.connect(server)
        for n in range(1000):
            publisher.publish("a", n=n, data="x" * 4000)
        wait_until(server.behind, 10, "one that is behind")
        for n in range(1000):
            slow.expect_message("a", n=n)

    def test_other_schemes(self):
        """Each its own listener; the path is where a client finds it."""
        paths = [os.path.join(self.folder, name) for name in ("http", "packet")]
        urls = ["http+unix:" + paths[0], "packet+unix:" + paths[1], "http://127.0.0.1:0", "packet://localhost:0"]
        server = self.start(*urls)
        self.assertEqual(server.status()["listen"][:3], [self.url] + urls[:2])
        self.assertRegex(server.status()["listen"][3], r"http://127\.0\.0\.1:\d+\Z")
        self.assertRegex(server.status()["listen"][4], r"packet://127\.0\.0\.1:\d+\Z")
        for path in paths:
            self.assertTrue(stat.S_ISSOCK(os.lstat(path).st_mode))
        server.stop()
        self.assertEqual(os.listdir(self.folder), [])

    def test_left_behind(self):
        """A server that was killed leaves its file, and the next one takes its place."""
        server = self.start(linger=0)
        server.kill(server.master, "master")
        server.process.wait()
        wait_until(lambda: not server.processes(), 15, "the keepers' end")
        self.assertTrue(os.path.lexists(self.path))
        server.start()
        self.assertIn("left behind by a server", server.log())
        self.all_get([self.connect(server).subscribe("a")], 1)
        server.stop()
        self.assertEqual(os.listdir(self.folder), [])

    def test_in_use(self):
        """One that is alive is left alone."""
        server = self.start()
        client = self.connect(server).subscribe("a")
        inode = self.inode()
        self.refused(self.start(start=False), re.escape(self.url) + ": .*in use")
        self.assertEqual(self.inode(), inode)
        self.all_get([client, self.connect(server).subscribe("a")], 1)

    def test_in_the_way(self):
        """So is what is no socket; and what was made before the failure goes again."""
        with open(self.path, "w") as f:
            f.write("precious")
        first = os.path.join(self.folder, "first")
        self.refused(self.server(listen=("http+unix:" + first, self.url), start=False), re.escape(self.url) + ": .*no socket")
        with open(self.path) as f:
            self.assertEqual(f.read(), "precious")
        self.assertEqual(os.listdir(self.folder), ["flash"])
        os.unlink(self.path)
        os.symlink(first, self.path)
        self.refused(self.start(start=False), "no socket")
        self.assertEqual(os.readlink(self.path), first)
        os.unlink(self.path)
        os.rmdir(self.folder)
        self.refused(self.start(start=False), "No such file or directory")
        os.mkdir(self.folder)

    def test_servers_race(self):
        """Of servers that start at the same time one gets the path, and keeps it."""
        for n in range(3):
            if n:
                with socket.socket(socket.AF_UNIX) as s:
                    s.bind(self.path)           # left behind
            servers = [self.start(start=False) for _ in range(5)]
            for server in servers:
                server.launch()
            wait_until(lambda: sum(server.running() for server in servers) == 1, 20, "one server")
            for server in servers:
                if server.running():
                    wait_until(server._serves, 10, "the winner")
                    self.all_get([self.connect(server).subscribe("a")], n)
                    server.stop()
                else:
                    server.wait_exit(1)
                    self.assertIn("in use", server.log())
            self.assertEqual(os.listdir(self.folder), [])

    def test_one_after_the_other(self):
        """The next server needs not wait until the last one has gone; and that one does not take the next one's file along."""
        first = self.start()
        self.connect(first)
        for pid in first.keepers():
            os.kill(pid, signal.SIGSTOP)
        keepers = first.keepers()
        try:
            first.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not os.path.lexists(self.path), what="the file's end")
            second = self.start()
            inode = self.inode()
        finally:
            for pid in keepers:
                os.kill(pid, signal.SIGCONT)
        first.wait_exit(0)
        self.assertEqual(self.inode(), inode)
        self.all_get([self.connect(second).subscribe("a")], 1)

    def test_file_of_another(self):
        """A file that was put in the place of ours is not removed."""
        server = self.start()
        os.unlink(self.path)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(self.path)
            inode = self.inode()
            server.stop()
            self.assertEqual(self.inode(), inode)

    # ---- reload and upgrade ----

    def test_reload_keeps(self):
        """The same file, and nobody notices: neither who is connected nor who connects meanwhile."""
        server = self.server(config="workers = 2\nlisten = %s\n" % self.url)
        inode = self.inode()
        clients = [self.connect(server).subscribe("a") for _ in range(10)]
        for n in range(5):
            self.reload(server, self.url)
            self.assertEqual(self.inode(), inode)
            self.all_get(clients, n)
            clients.append(self.connect(server).subscribe("a"))
        self.assertEqual(server.connections(), len(clients))
        self.assertEqual(server.count("closed"), 0)

    def test_reload_drops_and_adds(self):
        server = self.server(config="workers = 2\nlisten = %s\n" % self.url)
        other = os.path.join(self.folder, "other")
        clients = [self.connect(server).subscribe("a")]
        self.reload(server, self.url, "flash+unix:" + other)
        inode = self.inode(other)
        clients.append(self.connect(server, other).subscribe("a"))
        self.reload(server, "flash+unix:" + other)
        self.assertEqual((os.listdir(self.folder), self.inode(other)), (["other"], inode))
        self.assertEqual(server.status()["listen"], ["flash+unix:" + other])
        clients.append(self.connect(server, other).subscribe("a"))
        self.all_get(clients, 1)                # also who came by the one that is gone
        for pid in [server.master] + server.keepers():
            self.assertEqual(sorted(self.listen_sockets(pid)), sorted([other, os.path.join(server.runtime_dir, "admin")]))
        self.reload(server, "flash+unix:" + other, self.url)
        clients.append(self.connect(server).subscribe("a"))
        self.all_get(clients, 2)
        self.reload(server, "flash://127.0.0.1:%d" % free_port())
        self.assertEqual(os.listdir(self.folder), [])
        self.all_get(clients, 3)

    def listen_sockets(self, pid):
        """Paths of those that the process has open."""
        inodes = {text[8:-1] for text in descriptors(pid).values() if text.startswith("socket:[")}
        with open("/proc/%d/net/unix" % pid) as f:
            rows = [line.split() for line in f]
        return [row[7] for row in rows[1:] if len(row) > 7 and row[6] in inodes and row[3] == "00010000" and row[4] == "0001"]

    def test_reload_changes_the_protocol(self):
        """The socket is the same; who is connected goes on."""
        port = free_port()
        server = self.server(config="workers = 2\nlisten = %s\nlisten = flash://127.0.0.1:%d\n" % (self.url, port))
        inode = self.inode()
        clients = [self.connect(server).subscribe("a"), self.client(server, place=1).subscribe("a")]
        urls = ["packet+unix:" + self.path, "packet://127.0.0.1:%d" % port]
        self.reload(server, *urls)
        self.assertEqual(self.inode(), inode)
        self.assertEqual(server.status()["listen"], urls)
        self.all_get(clients, 1)
        urls = [self.url, "flash://localhost:%d" % port]
        self.reload(server, *urls)
        self.assertEqual(server.status()["listen"], [self.url, "flash://127.0.0.1:%d" % port])
        self.all_get(clients + [self.connect(server).subscribe("a"), self.client(server, place=1).subscribe("a")], 2)

    def test_reload_brings_the_file_back(self):
        """Should somebody have removed it."""
        server = self.server(config="workers = 2\nlisten = %s\n" % self.url)
        client = self.connect(server).subscribe("a")
        os.unlink(self.path)
        self.reload(server, self.url)
        self.all_get([client, self.connect(server).subscribe("a")], 1)
        server.stop()
        self.assertEqual(os.listdir(self.folder), [])

    def test_refused_reload(self):
        """What it has made goes again, what was there stays."""
        server = self.server(config="workers = 2\nlisten = %s\n" % self.url)
        client = self.connect(server).subscribe("a")
        inode = self.inode()
        file = os.path.join(self.folder, "file")
        open(file, "w").close()
        server.configure("workers = 2\nlisten = http+unix:%s/new\nlisten = http+unix:%s\n" % (self.folder, file))
        status, _, err = server.reload()
        self.assertEqual(status, 1)
        self.assertIn("no socket", err)
        self.assertEqual(sorted(os.listdir(self.folder)), ["file", "flash"])
        self.assertEqual(self.inode(), inode)
        self.all_get([client, self.connect(server).subscribe("a")], 1)
        self.reload(server, self.url)

    def test_upgrade_keeps(self):
        """Also to a program with another layout, and if that does not come to pass."""
        other = os.path.join(self.folder, "other")
        server = self.start("flash+unix:" + other, start=False)
        program = Program(janus_test.BUILD, os.path.join(server.folder, "bin"))
        server.build = program.folder
        server.start()
        inodes = self.inode(), self.inode(other)
        clients = [self.connect(server).subscribe("a") for _ in range(10)]
        for n, build in enumerate((OTHER_BUILD, OTHER_BUILD, janus_test.BUILD)):
            program.put(build)
            self.assertEqual(server.reload()[0], 0)
            self.assertEqual((self.inode(), self.inode(other)), inodes)
            clients.append(self.connect(server, other).subscribe("a"))
            self.all_get(clients, n)
        self.assertEqual(server.connections(), len(clients))
        os.unlink(os.path.join(program.folder, "janus"))
        self.assertEqual(server.reload()[0], 1)
        self.assertEqual((self.inode(), self.inode(other)), inodes)
        self.all_get(clients, 10)
        server.stop()
        self.assertEqual(os.listdir(self.folder), [])

    def test_upgrade_drops(self):
        other = os.path.join(self.folder, "other")
        server = self.server(config="workers = 2\nlisten = %s\nlisten = flash+unix:%s\n" % (self.url, other), start=False)
        program = Program(janus_test.BUILD, os.path.join(server.folder, "bin"))
        server.build = program.folder
        server.start()
        clients = [self.connect(server).subscribe("a")]
        program.put(OTHER_BUILD)
        self.reload(server, "flash+unix:" + other)
        self.assertEqual(os.listdir(self.folder), ["other"])
        self.all_get(clients + [self.connect(server, other).subscribe("a")], 1)

    def test_stop_in_a_reload(self):
        """Files that the reload has made are not left behind."""
        for n in range(12):
            server = self.server(config="workers = 3\nlisten = %s\n" % self.url)
            server.configure("workers = 3\nlisten = %s\nlisten = http+unix:%s/new\n" % (self.url, self.folder))
            server.process.send_signal(signal.SIGHUP)
            if n % 2:
                wait_until(lambda: os.path.lexists(self.folder + "/new"), what="the new socket", pause=0)
            server.stop()
            self.assertEqual(os.listdir(self.folder), [])

    # ---- what the kernel does not know ----

    def test_worker_killed(self):
        """Connections at rest go on, and those of which half a frame was received."""
        server = self.start()
        clients = [self.connect(server).subscribe("a") for _ in range(20)]
        for n in range(4):
            server.kill_worker(n % 2)
            self.all_get(clients, n)
        self.assertEqual(server.count("closed"), 0)
        half = [self.connect(server) for _ in range(10)]
        so_far = server.count("bytes_in")
        for client in half:
            client.send(b'{"action":"pub')
        wait_until(lambda: server.count("bytes_in") == so_far + 140, what="half frames received")
        for slot in range(2):
            server.kill_worker(slot)
        self.all_get(clients, 10)
        for client in half:
            client.send(b'lish","topic":"b"}\0')
        wait_until(lambda: server.count("published_unheard") == 10, what="the other halves taken with them")
        self.assertEqual((server.connections(), server.count("closed"), server.count("bad_input")), (30, 0, 0))
        self.all_get(clients, 11)

    def test_worker_killed_in_the_middle(self):
        """At each point where one of them is between two states. The one that is sent to is lost, and no other."""
        folder = tempfile.mkdtemp(prefix="janus-crash-")
        self.addCleanup(shutil.rmtree, folder)
        os.environ["JANUS_CRASH_DIR"] = folder
        self.addCleanup(os.environ.pop, "JANUS_CRASH_DIR")
        server = self.server(workers=1, listen=(self.url, "flash://127.0.0.1:0"), build=CRASH_BUILD)
        clients = [self.client(server, place=1).subscribe("a") for _ in range(5)]

        def die_at(point, act):
            old = server.slot(0)["worker"]
            server.killed[old] = "worker"
            open(os.path.join(folder, point), "w").close()      # (it may die of it at once, at the end of an earlier send)
            act()
            wait_until(lambda: not os.path.exists(os.path.join(folder, point)), what=point)
            server.wait_worker(0, old)

        def subscribe(one):
            with contextlib.suppress(BrokenPipeError):      # (the worker may die of the rest of the greeting's send already)
                one.send(b'{"action":"subscribe","data":"b"}\0')
        points = ("accept-accepted", "accept-opened", "input-peeked", "input-receiving", "input-received", "input-counted", "send-listed", "send-sent")
        for n, point in enumerate(points):
            with self.subTest(point=point):
                one = socket.socket(socket.AF_UNIX)
                self.addCleanup(one.close)
                one.settimeout(10 * SLOWNESS)
                if point.startswith("accept"):
                    die_at(point, lambda: one.connect(self.path))
                else:
                    one.connect(self.path)
                    self.assertTrue(one.recv(1000))
                    die_at(point, lambda: subscribe(one))
                one.settimeout(10 * SLOWNESS)
                if point.startswith("accept"):
                    self.assertIn(b"token", one.recv(1000))
                elif point.startswith("input"):
                    self.assertEqual(one.recv(1000), b"ACK\1")
                else:
                    with contextlib.suppress(ConnectionResetError):
                        while one.recv(1000):
                            pass
                self.all_get(clients, n)
                one.close()
        wait_until(lambda: server.connections() == len(clients), what="no more connections than those")
        self.assertEqual((server.count("adopted"), server.count("closed_uncertain")), (1, 2))


if __name__ == "__main__":
    unittest.main()
