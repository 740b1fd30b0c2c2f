"""bench-resume (make bench-peers): a crowd that comes back to Janus in each of its protocols; and that it finds whatever a server may do wrong."""
import json
import os
import socket
import subprocess
import threading
import unittest

from janus_test import SLOWNESS, JanusTest, program
from web_clients import WEB

CLIENTS, MESSAGES = 5, 20


def resume(*arguments):
    """(status, figures or None, what it said)"""
    done = subprocess.run([program("bench-resume"), *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * SLOWNESS,
                          check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


class Fake:
    """A server that speaks as nchan does to subscribers, and as NATS to a publisher. Who comes back gets what `spoil` makes of what he has missed."""

    def __init__(self, spoil):
        self.spoil, self.messages, self.more = spoil, [], threading.Condition()
        self.listeners, self.connections = [], []
        self.addresses = [self.listen("nchan", self.subscriber), self.listen("nats", self.publisher)]

    def listen(self, scheme, serve):
        listener = socket.create_server(("127.0.0.1", 0))
        self.listeners.append(listener)
        threading.Thread(target=self.accept, args=(listener, serve), daemon=True).start()
        return "%s://127.0.0.1:%d" % (scheme, listener.getsockname()[1])

    def accept(self, listener, serve):
        try:
            while True:
                connection = listener.accept()[0]
                self.connections.append(connection)
                threading.Thread(target=self.serve, args=(connection, serve), daemon=True).start()
        except OSError:
            pass            # stop()

    @staticmethod
    def serve(connection, serve):
        try:
            with connection, connection.makefile("rb") as lines:
                serve(connection, lines)
        except OSError:
            pass            # it is gone

    def publisher(self, connection, lines):
        connection.sendall(b"INFO {}\r\n")
        for line in lines:
            if line.startswith(b"PUB "):
                text = lines.read(int(line.split()[2]) + 2)[:-2]
                with self.more:
                    self.messages.append(b"id: 5:%d\ndata: %s\n\n" % (len(self.messages), text))
                    self.more.notify_all()

    def subscriber(self, connection, lines):
        head = b"".join(iter(lines.readline, b"\r\n"))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hi\n\n")
        if b"Last-Event-ID: 5:" in head:
            connection.sendall(b"".join(self.spoil(self.messages[int(head.partition(b"ID: 5:")[2].split()[0]) + 1:])))
            lines.read()    # until it goes
            return
        sent = 0
        while sent <= MESSAGES:
            with self.more:
                self.more.wait_for(lambda: len(self.messages) > sent)
                new = self.messages[sent:]
            connection.sendall(b"".join(new))
            sent += len(new)
        lines.read()

    def stop(self):
        for s in (*self.listeners, *self.connections):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()


class Resume(JanusTest):
    def test_janus(self):
        janus = self.server("history=*: 1000 messages", workers=2, listen=WEB)
        for protocol in ("sse", "ws", "actions", "json-lines", "packet"):
            status, figures, said = resume("--speak", protocol, "--publish", "flash", "--server-pid", janus.process.pid, "-n", 200, "-m", MESSAGES, "-T", 3,
                                           *janus.status()["listen"])
            self.assertEqual((status, said), (0, ""), protocol)
            self.assertGreater(figures["seconds"], 0)
            self.assertGreater(figures["server_cpu_us_per_message"], 0)

    def test_not_all_is_kept(self):
        """Janus says that it does not have it all."""
        janus = self.server("history=*: %d messages" % (MESSAGES // 2), "ring_messages=1024", workers=1, listen=WEB)
        status, _, said = resume("--speak", "sse", "--server-pid", janus.process.pid, "-n", CLIENTS, "-m", 2000, *janus.status()["listen"])
        self.assertEqual(status, 1)
        self.assertIn("was told that some are missing", said)

    def fake(self, spoil, *arguments):
        fake = Fake(spoil)
        self.addCleanup(fake.stop)
        return resume("--speak", "nchan-sse", "--publish", "nats", "--server-pid", os.getpid(), "-n", CLIENTS, "-m", MESSAGES, *arguments, *fake.addresses)

    def test_what_is_well(self):
        status, figures, said = self.fake(lambda messages: messages, "-r", 2)
        self.assertEqual((status, said), (0, ""))
        self.assertGreater(figures["seconds"], 0)

    def test_what_is_wrong(self):
        for name, spoil, words in (("one is missing", lambda m: m[:7] + m[8:], "message 8 of topic 0: instead came: 9"),
                                   ("the first is", lambda m: m[1:], "message 1 of topic 0: instead came: 2"),
                                   ("one comes twice", lambda m: m[:8] + m[7:], "message 9 of topic 0: instead came: 8"),
                                   ("two are swapped", lambda m: m[:5] + [m[6], m[5]] + m[7:], "message 6 of topic 0: instead came: 7"),
                                   ("one more at the end", lambda m: m + m[-1:], "instead came: %d" % MESSAGES),
                                   ("a byte is another one", lambda m: [*m[:-1], m[-1].replace(b'"}', b'A"}')], "came what was not published")):
            status, figures, said = self.fake(spoil)
            self.assertEqual((status, figures), (1, None), name)
            self.assertIn(words, said, name)

    def test_what_never_comes(self):
        status, figures, said = self.fake(lambda m: m[:-1], "--timeout", 1)
        self.assertEqual((status, figures), (1, None))
        self.assertIn("too late: of %d have come %d, were answered %d, have had all 0" % (CLIENTS, CLIENTS, CLIENTS), said)

    def test_who_is_not_there(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))        # nobody listens there
            address = "127.0.0.1:%d" % s.getsockname()[1]
            status, _, said = resume("--speak", "sse", "--server-pid", os.getpid(), address)
        self.assertEqual(status, 1)
        self.assertIn("Connection refused", said)


if __name__ == "__main__":
    unittest.main()
