"""A steady stream of messages beside a test in which something bad happens to the server."""
import json
import select
import threading
import time

from janus_test import SLOWNESS, Client, Closed, wait_until


class Steady(threading.Thread):
    """Clients on every worker, each of which must get every message of a publisher once and in order, whatever happens meanwhile.

    `may_close`: clients that may be closed; they are forgotten then, and counted as `closed`.
    """

    TOPIC = "steady"

    def __init__(self, test, server, per_worker=3, pause=0.02, publisher=None):
        super().__init__(daemon=True)
        self.test, self.server, self.pause = test, server, pause
        self.readers = test.on_each_worker(server, per_worker)
        self.publisher = publisher or test.client(server)
        for client in self.readers:
            client.subscribe(self.TOPIC)
        self.next = {client: 0 for client in self.readers}
        self.may_close = set()
        self.closed = 0
        self.count = 0
        self.error = None
        self.over = threading.Event()
        self.begun = server.connections()
        self.closed_before = server.count("closed")
        test.addCleanup(self.over.set)
        self.start()
        self.progress()

    def run(self):
        poll = select.poll()
        by_socket = {client.socket.fileno(): client for client in self.readers}
        for fd in by_socket:
            poll.register(fd, select.POLLIN)
        due = time.monotonic()
        try:
            while not self.over.is_set():
                if time.monotonic() >= due:
                    self.publish()
                    due = time.monotonic() + self.pause
                for fd, _ in poll.poll(max(0, due - time.monotonic()) * 1000):
                    if not self.receive(by_socket[fd]):
                        poll.unregister(fd)
        except BaseException as e:
            self.error = e

    def publish(self):
        publisher = self.publisher          # (end() takes it away)
        if publisher and select.select([], [publisher.socket], [], 0)[1]:
            publisher.publish(self.TOPIC, n=self.count)
            self.count += 1

    def receive(self, client):
        try:
            data = client.socket.recv(1 << 20)
            while data and client.has_text():
                data += client.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            if client not in self.may_close:
                raise Closed("a connection was closed that was to stay")
            self.next.pop(client)
            self.closed += 1
            return False
        client.buffer += data
        for text in iter(client.take, None):
            if text == b"PING":
                continue
            n = self.number(text)
            if n != self.next[client]:
                raise AssertionError("message %d came where %d was due" % (n, self.next[client]))
            self.next[client] = n + 1
        return True

    @staticmethod
    def number(text):
        found = text.rpartition(b'"n":')[2]
        if not found[:-1].isdigit():
            raise AssertionError("%.300r is no message of this topic" % text)
        return int(found[:-1])

    # for the test

    def check(self):
        if self.error:
            raise AssertionError("beside the test: %s: %s" % (type(self.error).__name__, self.error)) from self.error

    def progress(self, seconds=15, among=None, what="a message that was published now, with everybody"):
        """What is published from now on arrives: with all, or with these."""
        self.check()
        wanted = self.count + 1

        def arrived():
            self.check()
            return all(self.next.get(c, wanted) >= wanted for c in list(among or self.next))       # (one that is closed is forgotten meanwhile)
        wait_until(arrived, seconds, what)

    def end(self, seconds=20):
        """Everything that was published has arrived, and all are there."""
        self.progress(seconds)
        publisher, self.publisher = self.publisher, None
        time.sleep(self.pause)

        def arrived():
            self.check()
            return all(n == self.count for n in list(self.next.values()))
        wait_until(arrived, seconds, "all %d messages with everybody" % self.count)
        self.over.set()
        self.join(5 * SLOWNESS)
        self.check()
        self.publisher = publisher


def client_on(test, server, slot, **more):
    """A flash client whose connection this slot has."""
    def count():
        return server.slot(slot)["connections"]
    for _ in range(200):
        before = count()
        client = Client(server, **more)
        if count() > before:
            test.addCleanup(client.close)
            return client
        total = server.connections()
        client.close()
        wait_until(lambda: server.connections() < total, 10, "the connection's end")
    raise AssertionError("no connection comes to slot %d" % slot)


def stopped_reader_on(test, server, slot):
    """A client in the middle of a frame, of which it reads nothing: it can't move, so it keeps a slot that is to end."""
    def behind():
        return {w["slot"]: w["behind"] for w in json.loads(server.ctl("workers", "--json")[1])["workers"]}
    publisher = test.client(server)
    for _ in range(10):
        before = behind()
        reader = client_on(test, server, slot, rcvbuf=4096).subscribe("much")
        for _ in range(200):
            now = behind()
            if now[slot] > before[slot]:
                return reader
            if sum(now.values()) > sum(before.values()):
                break           # it is elsewhere: it was moved before it stopped, or another one was, when it was taken for this one
            for _ in range(20):
                publisher.publish("much", text="x" * 50000)
        reader.close()
    raise AssertionError("it is not behind")
