"""nats-servers for tests, one or a cluster, and a client of NATS. See nodes_test.py.

The client speaks the protocol as docs.nats.io has it, with a plain socket: what Janus makes of it is looked at with other eyes than its own.
"""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
import urllib.parse
from collections import namedtuple

from flash_clients import Connection
from processes import SLOWNESS, _ends_with_parent, _others, free_port, wait_until

PROGRAM = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")

Message = namedtuple("Message", "subject sid reply headers data")     # headers: [(name, value)...]


def fits(pattern, subject):
    """Whether a subject, or a pattern, has this subject."""
    wanted, parts = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, parts = wanted[:-1], parts[:len(wanted) - 1] if len(parts) >= len(wanted) else []
    return len(wanted) == len(parts) and all(w in ("*", p) for w, p in zip(wanted, parts))


class NatsServer:
    """A nats-server on ports of its own, which stay the same when it is started again. `more`: lines for its configuration. `streams`: with JetStream, whose store stays, too."""

    def __init__(self, name="nats", more="", streams=False):
        if not PROGRAM:
            raise unittest.SkipTest("no nats-server here")
        self.name, self.more, self.streams, self.others = name, more, streams, ()
        self.port, self.monitor, self.routes = free_port(), free_port(), free_port()
        self.folder = tempfile.mkdtemp(prefix="janus-nats-")
        self.process = None

    @property
    def url(self):
        return "nats://127.0.0.1:%d" % self.port

    def configuration(self):
        lines = ["server_name: " + self.name, "listen: 127.0.0.1:%d" % self.port, "http: 127.0.0.1:%d" % self.monitor, self.more]
        if self.streams:
            lines.append('jetstream { store_dir: "%s", max_mem: 64M, max_file: 256M }' % os.path.join(self.folder, "streams"))
        if self.others:
            lines.append("cluster { name: janus-test, listen: 127.0.0.1:%d, no_advertise: true, connect_retries: 1000000\n  routes: [ %s ] }" % (
                self.routes, ", ".join("nats-route://127.0.0.1:%d" % other.routes for other in self.others)))
        return "".join(line + "\n" for line in lines)

    def launch(self):
        """Starts it only."""
        path = os.path.join(self.folder, "nats.conf")
        with open(path, "w") as f:
            f.write(self.configuration())
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen([PROGRAM, "-c", path], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                            preexec_fn=_ends_with_parent())
        _others.add(self.process)

    def start(self):
        """Starts it, and waits until it serves."""
        self.launch()
        wait_until(self.serves, 20, "a nats-server's start")
        return self

    def serves(self):
        if self.process.poll() is not None:
            raise AssertionError("a nats-server has ended with status %d: %s" % (self.process.returncode, self.log()))
        try:
            # (With streams it listens to clients some time after it lets itself be asked.)
            socket.create_connection(("127.0.0.1", self.port), timeout=10 * SLOWNESS).close()
            return self.ask("/varz")["port"] == self.port
        except (OSError, http.client.HTTPException):
            return False

    def kill(self, sig=signal.SIGKILL):
        """Sends it a signal. One that ends it is waited for."""
        self.process.send_signal(sig)
        if sig not in (signal.SIGSTOP, signal.SIGCONT):
            self.process.wait(20 * SLOWNESS)
            _others.discard(self.process)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def destroy(self):
        if self.running():
            self.process.kill()
            self.process.wait()
        _others.discard(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        with open(os.path.join(self.folder, "log"), errors="replace") as f:
            return f.read()

    # what it says of itself

    def ask(self, path):
        """What its monitoring address answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.monitor, timeout=10 * SLOWNESS)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def routed(self):
        """With how many others of its cluster it is connected."""
        return len({route["remote_id"] for route in self.ask("/routez")["routes"] or ()})

    def subscriptions(self, name=None):
        """Subjects that its clients have subscribed, each as often as it is; of clients of this name."""
        return [subject for client in self.ask("/connz?subs=1&limit=10000")["connections"] if name in (None, client.get("name"))
                for subject in client.get("subscriptions_list", ())]

    def interest(self, subject):
        """How many subscriptions of its clients fit a subject."""
        found = self.ask("/subsz?subs=1&test=" + urllib.parse.quote(subject))
        return len(found.get("subscriptions_list") or ())

    def interested(self, subject):
        """How many of the others have told it that somebody there wants this subject."""
        return sum(any(fits(wanted, subject) for wanted in route.get("subscriptions_list") or ()) for route in self.ask("/routez?subs=1")["routes"] or ())


class NatsCluster(list):
    """nats-servers that know each other. `url` has all of them, the first one first."""

    def __init__(self, size=3, more="", streams=False):
        super().__init__(NatsServer("nats-%d" % n, more, streams) for n in range(size))
        for server in self:
            server.others = [other for other in self if other is not server]

    @property
    def url(self):
        return self.url_from(0)

    def url_from(self, first):
        return ",".join(server.url for server in self[first:] + self[:first])

    def start(self):
        for server in self:
            server.launch()
        for server in self:
            wait_until(server.serves, 20, "a nats-server's start")
        self.wait_joined()
        return self

    def wait_joined(self):
        """Until all that run are connected with each other."""
        alive = [server for server in self if server.running()]
        wait_until(lambda: all(server.serves() and server.routed() == len(alive) - 1 for server in alive), 30, "the nats-servers' routes")

    def wait_whole(self):
        """Until each says of itself that its streams are there, and up to date. (Who kills another one before that takes the quorum away.)"""
        wait_until(lambda: all(server.ask("/healthz").get("status") == "ok" for server in self), 60, "the nats-servers' streams", pause=0.05)

    def interest(self, subject):
        """How many subscriptions fit a subject, at all that run; None while one of these does not know of all the others'."""
        alive = [server for server in self if server.running()]
        counts = [server.interest(subject) for server in alive]
        want = sum(count > 0 for count in counts)
        if any(server.interested(subject) != want - (count > 0) for server, count in zip(alive, counts)):
            return None
        return sum(counts)

    def destroy(self):
        for server in self:
            server.destroy()


class Nats(Connection):
    """A client. PINGs are answered; an error of the server's fails."""

    def __init__(self, server, name="test", **options):
        super().__init__(None, address=("127.0.0.1", server.port))
        self.sids = 0
        self.kept = []          # messages that came before a PONG that was waited for
        self.info = json.loads(self.until(self.take_line).partition(" ")[2])
        self.send(b"CONNECT %s\r\n" % json.dumps(dict(
            {"verbose": False, "pedantic": True, "name": name, "lang": "python", "version": "1", "protocol": 1, "headers": True, "no_responders": False},
            **options)).encode())
        self.flush()

    # out

    def subscribe(self, *subjects):
        """When it returns, the server knows. The last one's number."""
        for subject in subjects:
            self.sids += 1
            self.send(b"SUB %s %d\r\n" % (subject.encode(), self.sids))
        self.flush()
        return self.sids

    def publish(self, subject, data=b"", headers=(), reply=""):
        """Headers are a dict, or pairs, or bytes as they stand on the wire."""
        data = data.encode() if isinstance(data, str) else data
        line = ("%s %s" % (subject, reply)).rstrip().encode()
        if headers:
            if not isinstance(headers, bytes):
                headers = b"NATS/1.0\r\n%s\r\n" % b"".join(b"%s: %s\r\n" % (k.encode(), v.encode()) for k, v in (
                    headers.items() if isinstance(headers, dict) else headers))
            self.send(b"HPUB %s %d %d\r\n%s%s\r\n" % (line, len(headers), len(headers) + len(data), headers, data))
        else:
            self.send(b"PUB %s %d\r\n%s\r\n" % (line, len(data), data))

    def flush(self):
        """The server has dealt with all that was sent. Messages that have come meanwhile are taken later."""
        self.send(b"PING\r\n")

        def answered():
            while (found := self.take_one()) is not None:
                if found == "PONG":
                    return True
                self.kept.append(found)
            return None
        self.until(answered)

    # in

    def take_line(self):
        end = self.buffer.find(b"\r\n")
        if end < 0:
            return None
        line = self.buffer[:end].decode()
        del self.buffer[:end + 2]
        return line

    def take_one(self):
        """A message, or "PONG"."""
        while True:
            end = self.buffer.find(b"\r\n")
            if end < 0:
                return None
            words = self.buffer[:end].decode().split()
            word = words[0].upper()
            if word in ("MSG", "HMSG"):
                size = int(words[-1])
                if len(self.buffer) < end + 4 + size:
                    return None
                body = bytes(self.buffer[end + 2:end + 2 + size])
                if self.buffer[end + 2 + size:end + 4 + size] != b"\r\n":
                    raise AssertionError("a message that does not end where it should: %r" % bytes(self.buffer[:300]))
                del self.buffer[:end + 4 + size]
                return self.message_of(words, body)
            self.take_line()
            if word == "PING":
                self.send(b"PONG\r\n")
            elif word == "PONG":
                return "PONG"
            elif word not in ("INFO", "+OK"):
                raise AssertionError("the nats-server says: %s" % " ".join(words))

    @staticmethod
    def message_of(words, body):
        head = int(words[-2]) if words[0].upper() == "HMSG" else 0
        reply = words[3] if len(words) == (5 if not head else 6) else None
        headers = []
        if head:
            first, *lines = body[:head].decode().split("\r\n")
            if first != "NATS/1.0" or lines[-2:] != ["", ""]:
                raise AssertionError("headers: %r" % body[:head])
            for line in lines[:-2]:
                name, colon, value = line.partition(":")
                if not colon or not re.fullmatch(r"[!-9;-~]+", name):
                    raise AssertionError("a header: %r" % line)
                headers.append((name, value.strip()))
        return Message(words[1], int(words[2]), reply, headers, body[head:])

    def take(self):
        """The next message."""
        if self.kept:
            return self.kept.pop(0)
        found = self.take_one()
        if found == "PONG":
            raise AssertionError("a PONG that nobody asked for")
        return found

    def message(self, seconds=None):
        return self.until(self.take, seconds)

    def expect_nothing(self):
        """All that has come was taken."""
        self.flush()
        if self.kept:
            raise AssertionError("%r came" % (self.kept[0],))
