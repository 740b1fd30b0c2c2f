"""Clients of the web and of packets, for the tests: HTTP, event streams, WebSocket and msgpack, written from their standards.

They are strict: what a server may not send is an AssertionError here. All have take(), which makes the next unit of what has been
received, or None; so a test can wait for one of them, or for a hundred at once (collect()).
"""
import json
import re
import select

# Tests import all of these from here.
from http_clients import Answer, Event, EventStream, Http, Lines, Sse, check_answer, chunked, error_text, head_of, request
from janus_test import Client, Closed, Deadline, JanusTest, parse_url
from packet_client import LENGTHS, NUMBERS, Packet, Raw, pack, pack_int, pack_str, packet, sized, unpack, unpack_at
from websocket_client import (BINARY, CLOSE, CONTINUATION, GUID, PING, PONG, TEXT, WebSocket, accept_of, close_payload, frame, masked_with,
                              new_key, upgrade_fields)

WEB = ("flash://127.0.0.1:0", "http://127.0.0.1:0", "packet://127.0.0.1:0")


# ---- many at once ----

def collect(clients, enough, seconds=30):
    """Receives on all of these until enough(lists) is true: what each one's take() made, a list a client."""
    got = [[] for _ in clients]
    deadline = Deadline(seconds)
    poll = select.poll()
    places = {}
    for i, client in enumerate(clients):
        places[client.socket.fileno()] = i
        poll.register(client.socket, select.POLLIN)
    ready = list(range(len(clients)))       # what they have already
    while True:
        for i in ready:
            for found in iter(clients[i].take, None):
                got[i].append(found)
        if enough(got):
            return got
        if deadline.over():
            raise AssertionError("not enough in time; they have %r" % [len(g) for g in got])
        ready = []
        for fd, _ in poll.poll(min(deadline.left(), 0.2) * 1000):
            i = places[fd]
            data = clients[i].socket.recv(1 << 20)
            if not data:
                raise Closed("a connection was closed (%s, %d messages)" % (type(clients[i]).__name__, len(got[i])))
            clients[i].buffer += data
            ready.append(i)


# ---- the tests' class ----

class WebClients:
    """Clients of one server, `janus`, whose `addresses` are known by protocol; for a class that has unittest's checks and addCleanup(), too."""

    def find_addresses(self):
        """Where the server's first listener of each protocol is."""
        self._addresses = {re.match("[a-z]+", url).group(): parse_url(url) for url in self.janus.status()["listen"]}

    @property
    def addresses(self):
        return self.janus and self._addresses

    @property
    def origin(self):
        """host:port of HTTP."""
        return "%s:%d" % self.addresses["http"]

    def connect(self, kind, protocol, **more):
        client = kind(self.janus, address=self.addresses[protocol], **more)
        self.addCleanup(client.close)
        return client

    def flash(self, **more):
        return self.connect(Client, "flash", **more)

    def http(self, **more):
        return self.connect(Http, "http", **more)

    def packet(self, **more):
        return self.connect(Packet, "packet", **more)

    def websocket(self, target="/ws", **fields):
        return self.connect(WebSocket, "http").upgrade(target, **fields)

    def ask(self, method, target, body=None, fields=(), **more):
        """A request on a connection of its own, and the answer."""
        client = self.http()
        try:
            return client.ask(method, target, body, fields, **more)
        finally:
            client.close()

    def stream(self, kind, target, fields=(), version="1.1", **more):
        """A stream whose head has come: all that is published from now on arrives."""
        client = self.connect(kind, "http", **more)
        answer = client.ask("GET", target, fields=fields, version=version)
        self.assertEqual(answer.status, 200, answer)
        self.assertIsNone(answer.body, answer)
        client.head = answer
        return client

    def sse(self, target, version="1.1", fields=(), **more):
        client = self.stream(Sse, target, [("Accept", "text/event-stream")] + list(fields), version, **more)
        self.assertEqual(client.head.type, "text/event-stream")
        return client

    def lines(self, target, version="1.1", fields=(), **more):
        client = self.stream(Lines, target, fields, version, **more)
        self.assertEqual(client.head.type, "application/x-ndjson")
        return client.begin()

    def post(self, target, body=b"", type=None, fields=(), status=200):
        """A POST with its answer's JSON."""
        if not isinstance(body, bytes):
            body, type = (body.encode(), type) if isinstance(body, str) else (json.dumps(body).encode(), type or "application/json")
        answer = self.ask("POST", target, body, list(fields) + ([("Content-Type", type)] if type else []))
        self.assertEqual(answer.status, status, answer)
        return answer.json()

    def published(self, target, *arguments, **more):
        """A POST that somebody heard: the message's id."""
        answer = self.post(target, *arguments, **more)
        self.assertEqual(sorted(answer), ["id", "subscribers"])
        self.assertIsInstance(answer["id"], int)
        self.assertGreater(answer["subscribers"], 0)
        return answer["id"]


class WebTest(WebClients, JanusTest):
    """A test with a server that listens for flash, HTTP and packets. It is started when it is first asked for, or by serve()."""

    options = ()
    workers = 2
    _janus = None

    def serve(self, *options, **more):
        """Starts a server with these options; from now on it is the test's."""
        more = dict({"workers": self.workers, "listen": WEB}, **more)
        self._janus = self.server(*options, **more)
        self.find_addresses()

    @property
    def janus(self):
        if self._janus is None:
            self.serve(*self.options)
        return self._janus
