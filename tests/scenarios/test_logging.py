"""Where the log goes to on a bad day: nobody waits for it, and nobody dies of it."""
import fcntl
import json
import os
import re
import resource
import select
import socket
import unittest

import janus_test
from janus_test import wait_until

LIMIT = 1 << 36         # of a file's size: more than any segment has, with so few descriptors


def fill(fd):
    """A pipe or a socket, until nothing more fits. It stays one that blocks."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    for size in 4096, 1:
        try:
            while True:
                os.write(fd, b"x" * size)
        except BlockingIOError:
            pass
    fcntl.fcntl(fd, fcntl.F_SETFL, flags)


def drain(fd):
    text = b""
    while select.select([fd], [], [], 0)[0]:
        data = os.read(fd, 65536)
        if not data:
            break
        text += data
    return text.decode(errors="replace").lstrip("x")


class Stderr(janus_test.JanusTest):
    def deaths(self, server, count=3):
        """Workers are killed, and their connections go on at once."""
        subscribers = self.on_each_worker(server)
        for client in subscribers:
            client.subscribe("t")
        publisher = self.client(server)
        number = 0
        for _ in range(count):
            for slot in 0, 1:
                server.kill_worker(slot)
                number += 1
                publisher.publish("t", n=number)
                for client in subscribers:
                    client.expect_message("t", n=number)

    def keeper_too(self, server):
        """One that dies is the master's to log."""
        server.kill_keeper(0)
        self.client(server).subscribe("t")

    def whole(self, server):
        self.deaths(server)
        status, out, err = server.reload()
        self.assertEqual((status, out.splitlines()[0], err), (0, "reloaded", ""))
        self.deaths(server, 1)
        self.keeper_too(server)
        wait_until(lambda: server.count("log_lost") >= 4, 10, "lost lines counted")

    def pipe(self):
        read, write = os.pipe()
        self.addCleanup(os.close, write)
        return read, write

    def test_pipe_that_nobody_reads(self):
        read, write = self.pipe()
        self.addCleanup(os.close, read)
        server = self.server(stderr=write)
        fill(write)
        self.whole(server)
        drain(read)
        server.kill_worker(1)
        wait_until(lambda: select.select([read], [], [], 0)[0], 10, "lines again")
        self.assertRegex(drain(read), r"\d+ lines? could not be logged\n.*(died of signal 9|took over)")

    def test_pipe_that_is_full_from_the_start(self):
        read, write = self.pipe()
        self.addCleanup(os.close, read)
        fill(write)
        self.whole(self.server(stderr=write))

    def test_pipe_whose_reader_has_gone(self):
        read, write = self.pipe()
        server = self.server(stderr=write)
        os.close(read)
        self.whole(server)

    def test_pipe_without_a_reader_from_the_start(self):
        read, write = self.pipe()
        os.close(read)
        self.whole(self.server(stderr=write))

    def test_socket_that_nobody_reads(self):
        reader, writer = socket.socketpair()
        self.addCleanup(reader.close)
        self.addCleanup(writer.close)
        server = self.server(stderr=writer.fileno())
        fill(writer.fileno())
        self.whole(server)

    def test_socket_whose_reader_has_gone(self):
        reader, writer = socket.socketpair()
        self.addCleanup(writer.close)
        server = self.server(stderr=writer.fileno())
        reader.close()
        self.whole(server)

    def test_terminal_that_is_gone(self):
        reader, terminal = os.openpty()
        self.addCleanup(os.close, terminal)
        server = self.server(stderr=terminal)
        os.close(reader)
        self.whole(server)

    def test_disk_full(self):
        full = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, full)
        self.whole(self.server(stderr=full))

    def test_file_that_may_not_grow(self):
        server = self.server(start=False, fsize=LIMIT, nofile=(1024, 1024))
        path = os.path.join(server.folder, "limited")
        with open(path, "ab") as log:
            try:
                log.truncate(LIMIT - 100)
            except OSError as e:
                raise unittest.SkipTest("no file of this size here: %s" % e) from None
            server.stderr = log.fileno()
            server.start()
        self.whole(server)


class Formats(janus_test.JanusTest):
    def test_json(self):
        """Each line of all processes, from the start to the end, over a reload and a death."""
        server = self.server("log_format=json")
        server.kill_worker(0)
        self.assertEqual(server.reload()[0], 0)
        server.stop()
        lines = [json.loads(line) for line in server.log().splitlines()]
        self.assertEqual({tuple(sorted(line)) for line in lines}, {("level", "message", "pid", "process", "time")})
        self.assertLessEqual({"master", "keeper 0", "worker 0"}, {line["process"] for line in lines})
        self.assertEqual({line["level"] for line in lines if "died of signal 9" in line["message"]}, {"warning"})

    def test_logfmt_by_a_reload(self):
        server = self.server(config="workers = 1\nlisten = flash://127.0.0.1:0\n")
        server.configure("workers = 1\nlisten = flash://127.0.0.1:0\nlog_format = logfmt\n")
        self.assertEqual(server.reload()[0], 0)
        server.wait_log(r'(?m)^time=\S+Z level=info pid=%d process=master message="reloaded: ' % server.master)

    def daemon(self, folder):
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(log.close)
        path = os.path.join(folder, "devlog")
        log.bind(path)
        return log, path

    def test_syslog_that_nobody_reads(self):
        """Nobody waits for it."""
        server = self.server("log_to=syslog", start=False)
        log, path = self.daemon(server.folder)
        os.environ["JANUS_LOG_SOCKET"] = path
        try:
            server.start()
        finally:
            del os.environ["JANUS_LOG_SOCKET"]
        self.assertRegex(log.recv(4096).decode(), r"\A<30>janus\[%d\]: master: listening on " % server.master)
        other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(other.close)
        other.setblocking(False)
        try:
            while True:
                other.sendto(b"x", path)
        except BlockingIOError:
            pass
        subscriber = self.client(server).subscribe("t")
        for slot in 0, 1:
            server.kill_worker(slot)
        self.client(server).publish("t", n=1)
        subscriber.expect_message("t", n=1)
        self.assertEqual(server.reload()[0], 0)
        wait_until(lambda: server.count("log_lost") >= 2, 10, "lost lines counted")
        self.assertEqual(server.log(), "")


class Flood(janus_test.JanusTest):
    def test_missing_descriptors(self):
        """What waits for a descriptor is tried a hundred times a second, and told once a minute."""
        server = self.server(workers=1)
        worker = server.slot(0)["worker"]
        limits = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        here = self.client(server)
        free = min(set(range(1000)) - set(janus_test.descriptors(worker)))       # (poll(2) takes no more than this, and wants some)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (free, limits[1]))
        waiting = socket.create_connection(server.address())
        self.addCleanup(waiting.close)
        server.wait_log("accept: ")
        self.assertTrue(here.silent(1))
        resource.prlimit(worker, resource.RLIMIT_NOFILE, limits)
        self.client(server).subscribe("t")
        self.assertEqual(len(re.findall("accept: ", server.log())), 1)
