"""nginx, HAProxy and Caddy in front, as packaging/examples has them, in `make clients` (JANUS_CLIENTS=1): the distribution's."""
import os
import re
import shutil
import socket
import threading
import time
import unittest

from client_test import ALL
from example_test import ExampleTest, example
from janus_test import SLOWNESS, Deadline, free_port, wait_until
from web_clients import collect

LIMIT = 256 << 10       # max_frame


class Proxies:
    """What each of them must do. A subclass says how it is started."""

    program = None

    def setUp(self):
        super().setUp()
        self.assertTrue(self.find(), "no %s here" % self.program)

    def find(self):
        """(Debian has nginx and haproxy in /usr/sbin, which not everybody's path has.)"""
        return shutil.which(self.program, path=os.environ["PATH"] + ":/usr/sbin")

    def configured(self, name, port, target, *changes):
        """The example's text, with this port and Janus there; it must have what is changed."""
        with open(example(name)) as f:
            text = f.read()
        for old, new in ((":8080", ":%d" % target),) + changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = os.path.join(self.folder(), name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def in_front(self, target):
        """Starts it before a port: where it listens."""
        port = free_port()
        proxy = self.begin(port, target)

        def listens():
            if proxy.process.poll() is not None:
                raise AssertionError("%s has ended: %s" % (self.program, proxy.complaint()))
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return True
            except ConnectionRefusedError:
                return False
        wait_until(listens, 20, self.program + " to listen")
        return "127.0.0.1", port

    def serve(self, *options, **more):
        super().serve(*options, **dict({"listen": ("http://127.0.0.1:0",)}, **more))
        self.direct = self._addresses["http"]
        self._addresses["http"] = self.in_front(self.direct[1])

    def everyone(self, topic):
        """A subscriber of each kind, and how one's next message is had."""
        clients = [self.websocket("/sub/" + topic), self.sse("/sub/" + topic), self.lines("/sub/" + topic), self.websocket().subscribe(topic)]
        wait_until(lambda: self.janus.subscriptions() == len(clients), what="all subscriptions")
        return clients

    @staticmethod
    def data(client):
        message = client.message()
        return message.data if hasattr(message, "data") else message["data"]

    def test_at_once(self):
        clients, publisher = self.everyone("events"), self.http()
        took = []
        for n in range(20):
            began = time.monotonic()
            answer = publisher.ask("POST", "/pub/events", b"message %d" % n)
            self.assertEqual((answer.status, answer.json()["subscribers"]), (200, len(clients)))
            for client in clients:
                self.assertEqual(self.data(client), "message %d" % n)
            took.append(time.monotonic() - began)
        self.assertLess(min(took), 0.1 * SLOWNESS, took)        # (a proxy that keeps messages back does so each time, and a busy machine does not)
        clients[-1].action("publish", topic="events", data="by an action")
        for client in clients:
            self.assertEqual(self.data(client), "by an action")

    def test_poll(self):
        self.serve("history=*: 100 messages")
        found = []
        asker = threading.Thread(target=lambda: found.append(self.ask("GET", "/poll/events?wait=20")))
        asker.start()
        try:
            wait_until(lambda: self.janus.connections() > 0, what="the poll")
            deadline = Deadline(10)
            while not found and not deadline.over():        # (that it waits already is not seen)
                self.post("/pub/events", "news")
                asker.join(0.1)
        finally:
            asker.join()
        self.assertEqual(found[0].json()["messages"][0]["data"], "news")

    def test_bodies(self):
        client = self.websocket("/sub/events")
        self.post("/pub/events", b"x" * LIMIT)
        self.assertEqual(self.data(client), "x" * LIMIT)
        publisher = self.http()
        publisher.send(b"POST /pub/events HTTP/1.1\r\nHost: janus.example\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1) + b"x" * (LIMIT + 1))
        self.assertEqual(publisher.until(publisher.take_head).status, 413)

    def test_names(self):
        """Pages of the server's own are known by the Host that they have asked for."""
        self.serve("hosts=janus.example", "origins=https://app.example")
        for host, origin, status in (("janus.example", "http://janus.example", 200), ("other.example", "http://other.example", 403),
                                     ("other.example", "https://app.example", 200), ("janus.example", "https://elsewhere.example", 403)):
            with self.subTest(host=host, origin=origin):
                answer = self.ask("POST", "/pub/events", b"x", [("Origin", origin)], host=host)
                self.assertEqual(answer.status, status, answer)

    def test_forwarded(self):
        """What Janus is sent: the Host as it was, with its port, and the client's address, which Janus does nothing with."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(20 * SLOWNESS)
            self._janus, self._addresses = True, {"http": self.in_front(listener.getsockname()[1])}
            self.http().send(b"GET /version HTTP/1.1\r\nHost: janus.example:8000\r\n\r\n")
            head = b""
            while b"\r\n\r\n" not in head:          # (a connection that has only tried whether it listens may come first)
                connection = listener.accept()[0]
                connection.settimeout(20 * SLOWNESS)
                with connection:
                    while b"\r\n\r\n" not in head and (data := connection.recv(4096)):
                        head += data
        self.assertRegex(head, rb"(?i)\r\nHost: janus\.example:8000\r\n")
        self.assertRegex(head, rb"(?i)\r\nX-Forwarded-For: 127\.0\.0\.1\r\n")

    def test_reload(self):
        """Of Janus, behind the proxy; and its workers are killed."""
        self.serve("history=*: 1000 messages", workers=2)
        clients = self.everyone("events")
        sent = 0
        for what in (self.janus.reload, lambda: self.janus.kill_worker(0), lambda: self.janus.kill_worker(1), self.janus.reload):
            for _ in range(10):
                self.post("/pub/events", "message %d" % sent)
                sent += 1
            what()
            for _ in range(10):
                self.post("/pub/events", "message %d" % sent)
                sent += 1
        wanted = ["message %d" % n for n in range(sent)]
        got = collect(clients, lambda lists: all(len(one) >= sent for one in lists))
        for one in got:
            self.assertEqual([message.data if hasattr(message, "data") else message["data"] for message in one], wanted)

    def test_silence(self):
        """Its time limits are longer than `heartbeat`: made shorter, both of them, nothing is cut."""
        self.shorter = True
        self.serve("heartbeat=1s")
        clients = self.everyone("events")
        lines = clients[2]
        for _ in range(40 * int(SLOWNESS)):
            if lines.heartbeats + bytes(lines.body).count(b" ") >= 5:
                break
            lines.receive()
            lines.gather()
        self.post("/pub/events", "still there")
        for client in clients:
            self.assertEqual(self.data(client), "still there")

    def test_slow(self):
        """A reader that stops: what it has lost is told, and the rest comes. The proxy has taken its share of it before."""
        self.serve("ring_messages=1024", "ring_bytes=4M", "slow=skip")
        reader = self.lines("/sub/events", rcvbuf=4096)
        other, batch, sent = self.websocket("/sub/events"), [{"topic": "events", "data": "x" * 10000}] * 20, 0

        def publish():
            self.post("/pub", batch)
            for _ in batch:
                self.assertEqual(len(self.data(other)), 10000)
            return len(batch)
        while self.janus.behind() == 0:         # the proxy takes some megabytes
            sent += publish()
        for _ in range(2048 // len(batch)):
            sent += publish()
        reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)      # (with 4 KB it would take half a minute)
        came = 0
        while came + reader.missed_messages() < sent:
            self.assertEqual(len(reader.message()["data"]), 10000)
            came += 1
        self.assertEqual(came + reader.missed_messages(), sent)
        self.assertGreater(reader.missed_messages(), 0)


@unittest.skipUnless(ALL, "only in `make clients`")
class Nginx(Proxies, ExampleTest):
    program = "nginx"
    shorter = False

    def begin(self, port, target):
        folder = self.folder()
        temporary = "".join("\t%s_temp_path %s/%s;\n" % (kind, folder, kind) for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        path = self.configured("nginx.conf", port, target, ("listen 8000", "listen 127.0.0.1:%d" % port), ("http {\n", "http {\n\taccess_log off;\n" + temporary),
                               *[("worker_rlimit_nofile 100000", "worker_rlimit_nofile 4000"), ("worker_connections 50000", "worker_connections 1900")],
                               *[("_timeout 60s", "_timeout 3s")] * self.shorter)
        return self.beside(self.find(), "-p", folder, "-c", path, "-g", "daemon off; master_process off; pid %s/pid; error_log stderr;" % folder)


@unittest.skipUnless(ALL, "only in `make clients`")
class Haproxy(Proxies, ExampleTest):
    program = "haproxy"
    shorter = False

    def begin(self, port, target):
        path = self.configured("haproxy.cfg", port, target, ("bind :8000", "bind 127.0.0.1:%d" % port), ("maxconn 50000", "maxconn 1000"),
                               *[(" 60s", " 3s")] * self.shorter)
        return self.beside(self.find(), "-db", "-q", "-f", path)


@unittest.skipUnless(ALL, "only in `make clients`")
class Caddy(Proxies, ExampleTest):
    program = "caddy"
    shorter = False

    def begin(self, port, target):
        folder = self.folder()
        path = self.configured("Caddyfile", port, target, ("\n:8000 {", "\n{\n\tadmin off\n}\nhttp://:%d {\n\tbind 127.0.0.1" % port))
        return self.beside(self.find(), "run", "--adapter", "caddyfile", "--config", path,
                           env=dict(os.environ, HOME=folder, XDG_DATA_HOME=folder, XDG_CONFIG_HOME=folder))


if __name__ == "__main__":
    unittest.main()
