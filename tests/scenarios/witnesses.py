"""Witnesses beside a load: connections of every kind that check all they see, for as long as they are left running.

Publishers of all kinds, each of whose messages must be answered once (web_publishers.py), and readers that must get every one of them once, in
its publisher's order, with the id that the publisher was told. None of the connections may end. HTTP connections among them are
idle most of the time, and others are in the middle of a request or frame nearly always. Some readers have small receive buffers. With
`visitors`, there are those that subscribe and unsubscribe all the time, too (visitors.py). With `tls`, every second connection is one of TLS.
"""
import contextlib
import itertools
import json
import select
import ssl
import sys
import threading
import time

from janus_test import SLOWNESS, Client, Closed, wait_until
from web_clients import Http, Lines, Packet, Sse, WebSocket
from web_publishers import DIGITS, Publisher, padding
import visitors as visiting

READERS = ("flash", "ws", "sub-ws", "sse", "sse-1.0", "lines", "lines-1.0", "packet")
SMALL = 4096            # bytes of receive buffer of the second one of each kind, with `visitors`
PUBLISHERS = ("post", "pipeline", "array", "ws", "packet", "idle", "idle", "split-post", "split-chunked", "split-ws", "split-packet", "flash",
              "digits")
TOPICS = ("a", "b", "d")
SWITCH = 0.0003         # seconds that a thread of this process runs, when others want to: with Python's 0.005 the readers are slower than what is published
WITHIN_TLS = {"flash": "flash+tls", "http": "https", "packet": "packet+tls"}


class FlashReader(Client):
    """Takes messages as what their JSON is, without heartbeats."""

    def take(self):
        text = b"PING"
        while text == b"PING":
            text = super().take()
        return json.loads(text) if text and text.startswith(b"{") else text


class Reader:
    """What one connection sees: publisher by publisher, number by number, with ids that rise."""

    def __init__(self, kind, client):
        self.kind, self.client = kind, client
        self.next = {}          # the number that is due, by publisher
        self.last_id = 0

    def take(self, ids):
        """Takes all that has come. `ids`: what others saw, by publisher and number."""
        for message in iter(self.client.take, None):
            if isinstance(self.client, Sse):
                number, data = int(message.id), message.json()
            else:
                number, data = message.get("id"), message["data"]
            if isinstance(data, int):       # as short as a message can be
                due = self.next.get(DIGITS, 0)
                label, n, pad = DIGITS, due if data == due % 10 else data, ""
            else:
                label, n, pad = (data + [""])[:3]
                due = self.next.get(label, 0)
            if n != due:
                raise AssertionError("%s: message %d of %s came where %d was due, with id %s behind %s, at %s" % (
                    self.kind, n, label, due, number, self.last_id, time.strftime("%H:%M:%SZ", time.gmtime())))
            if pad and pad != padding(label, n):
                raise AssertionError("%s: message %d of %s is torn: %r...%r" % (self.kind, n, label, pad[:50], pad[-50:]))
            self.next[label] = n + 1
            if number is None:
                continue
            if number <= self.last_id:
                raise AssertionError("%s: id %d after %d" % (self.kind, number, self.last_id))
            self.last_id = number
            if ids.setdefault((label, n), number) != number:
                raise AssertionError("%s: message %d of %s has id %d here, %d elsewhere" % (self.kind, n, label, number, ids[label, n]))


class Readers(threading.Thread):
    """All readers. `ids` are those they saw."""

    def __init__(self, readers):
        super().__init__(daemon=True)
        self.readers = readers
        self.ids = {}
        self.error = None
        self.over = threading.Event()

    def run(self):
        sys.setswitchinterval(SWITCH)
        poll = select.poll()
        by_socket = {}
        for reader in self.readers:
            by_socket[reader.client.socket.fileno()] = reader
            poll.register(reader.client.socket, select.POLLIN)
        try:
            for reader in self.readers:
                reader.client.socket.setblocking(False)
                reader.take(self.ids)
            while not self.over.is_set():
                for fd, _ in poll.poll(100):
                    self.receive(by_socket[fd])
        except BaseException as e:
            self.error = e

    def receive(self, reader):
        """All that has come. (Within TLS recv() gives one record: a reader of one a turn would be slower than what is published, and be overtaken.)"""
        came = b""
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            while len(came) < 1 << 20:
                data = self.receive_some(reader)
                if not data:
                    raise Closed("the connection of the reader %s was closed" % reader.kind)
                came += data
        reader.client.buffer += came
        reader.take(self.ids)

    @staticmethod
    def receive_some(reader):
        try:
            return reader.client.socket.recv(1 << 20)
        except ConnectionResetError:
            return b""


class Witnesses:
    moves = False           # connections go from worker to worker: who is under way may be counted twice

    def __init__(self, addresses, pause=0.25, visitors=False, tls=None):
        """`addresses` by protocol: flash, http, packet. With `visitors`, messages are of many sizes, too. `tls`, which takes further addresses
        (WITHIN_TLS), makes TLS of a connected socket."""
        self.addresses = addresses
        self.tls = tls
        self.made = itertools.count()
        self.begun = False      # newcomers speak no TLS: a handshake ends with its worker
        self.clients = []
        self.visitors = visiting.KINDS if visitors else ()
        readers = [Reader(kind, self.reader(kind)) for kind in READERS]
        if visitors:
            readers += [Reader(kind + ", small", self.reader(kind, SMALL)) for kind in READERS]
        self.subscribers = len(readers)
        self.readers = Readers(readers)
        self.publishers = [Publisher(self, kind, "%s-%d" % (kind, n) if kind != DIGITS else DIGITS, pause) for n, kind in enumerate(PUBLISHERS)]
        self.visitors = [visiting.Visitor(self, kind, "visitor-%s-%d" % (kind, n), pause) for n, kind in enumerate(self.visitors)]
        self.connections = len(self.clients)

    # connections

    def connect(self, kind, protocol, **more):
        place = next(self.made)
        if self.tls and not self.begun and (place + place // len(READERS)) % 2:     # of two readers of a kind, one
            protocol, more["tls"] = WITHIN_TLS[protocol], self.tls
        client = kind(None, address=self.addresses[protocol], seconds=60, **more)
        self.clients.append(client)
        return client

    def forget(self, client):
        self.clients.remove(client)
        client.close()

    def flash(self):
        return self.connect(Client, "flash")

    def http(self):
        return self.connect(Http, "http")

    def flash_reader(self, **more):
        return self.connect(FlashReader, "flash", **more)

    def packet(self, **more):
        return self.connect(Packet, "packet", **more)

    def websocket(self, target="/ws", **more):
        return self.connect(WebSocket, "http", **more).upgrade(target)

    def stream(self, kind, version, fields=(), **more):
        client = self.connect(kind, "http", **more)
        answer = client.ask("GET", "/sub/" + ",".join(TOPICS), fields=fields, version=version)
        if answer.status != 200 or answer.body is not None:
            raise AssertionError("no stream: %r" % answer)
        return client

    def reader(self, kind, rcvbuf=None):
        version = "1.0" if kind.endswith("1.0") else "1.1"
        if kind == "flash":
            return self.flash_reader(rcvbuf=rcvbuf).subscribe(*TOPICS)
        if kind == "packet":
            return self.packet(rcvbuf=rcvbuf).subscribe(*TOPICS)
        if kind == "ws":
            return self.websocket(rcvbuf=rcvbuf).subscribe(*TOPICS)
        if kind == "sub-ws":
            return self.websocket("/sub/" + ",".join(TOPICS), rcvbuf=rcvbuf)
        return self.stream(*((Sse, version, [("Accept", "text/event-stream")]) if kind.startswith("sse") else (Lines, version)), rcvbuf=rcvbuf)

    clock = staticmethod(time.monotonic)

    # the run

    def start(self):
        self.begun = True
        for thread in [self.readers] + self.publishers + self.visitors:
            thread.start()

    def authors(self):
        return self.publishers + self.visitors

    def arrived(self):
        return self.readers.error or all(r.next.get(p.label, 0) >= p.count for r in self.readers.readers for p in self.authors())

    def wait_arrived(self, patience):
        """(Who has a small receive buffer gets on by some kilobytes a turn: on a busy machine that takes its time, and is not the end.)"""
        while not self.arrived():
            seen = self.seen()
            wait_until(lambda: self.arrived() or self.seen() > seen, patience, "more of what was published with the witnesses' readers")

    def stop(self, patience=60):
        """Has them come to an end, and waits for what is missing, so many seconds for each further message. What was wrong, a line each."""
        wrong = []
        for publisher in self.authors():
            publisher.over.set()
        for publisher in self.authors():
            try:
                publisher.stop()
            except Exception as e:
                wrong.append(str(e))
        try:
            self.wait_arrived(patience)
        except AssertionError as e:
            wrong.append("%s: %s" % (e, self.missing()))
        self.readers.over.set()
        self.readers.join(10 * SLOWNESS)
        if self.readers.error:
            wrong.append(str(self.readers.error))
        for publisher in self.publishers:
            ids = [(n, number, self.readers.ids.get((publisher.label, n))) for n, number in publisher.ids.items()]
            wrong += ["%s: message %d was answered with id %r and has %r" % (publisher.label, *one) for one in ids if one[1] != one[2]][:3]
        if not wrong:
            order = self.order()
            for visitor in self.visitors:
                wrong += visitor.check(order)
        return wrong

    def order(self):
        """The visited topic's messages in the ring's order, and the place of each."""
        found = [(number, known) for known, number in self.readers.ids.items() if self.is_visited(*known)]
        order = [known for _, known in sorted(found)]
        return order, {known: place for place, known in enumerate(order)}

    def is_visited(self, label, n):
        return label != DIGITS and (label.startswith("visitor-") or Publisher.topic(n + 1) == visiting.TOPIC)

    def missing(self):
        return ", ".join("%s has %d of %d of %s" % (r.kind, r.next.get(p.label, 0), p.count, p.label)
                         for r in self.readers.readers for p in self.authors() if r.next.get(p.label, 0) != p.count)

    def seen(self):
        return sum(sum(list(r.next.values())) for r in self.readers.readers)

    def behind(self):
        """How many messages the slowest reader has not seen yet."""
        return self.published() - min(sum(list(r.next.values())) for r in self.readers.readers)

    def published(self):
        return sum(p.count for p in self.authors())

    def visits(self):
        return sum(len(v.visits) for v in self.visitors)

    def answered(self):
        return sum(len(p.ids) for p in self.publishers)

    def close(self):
        for publisher in self.authors():
            publisher.over.set()
        self.readers.over.set()
        for client in list(self.clients):
            client.close()
