"""A connection whose every wait has a deadline, and a flash-socket client."""
import itertools
import json
import re
import socket
import ssl
import struct

from processes import SLOWNESS, Closed, Deadline, readable


class Connection:
    """A connection to the server whose every wait has a deadline. `place` is a listener's, as in Server.address(). `tls`: what wraps its socket (tls_test.py)."""

    def __init__(self, server, rcvbuf=None, place=0, seconds=10, address=None, tls=None):
        address = address or server.address(place)
        self.seconds = seconds
        self.buffer = bytearray()       # received, and not taken yet
        unix = isinstance(address, str)
        self.socket = socket.socket(socket.AF_UNIX if unix else socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if rcvbuf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.socket.settimeout(seconds * SLOWNESS)
        self.socket.connect(address)
        if not unix:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            try:
                self.socket = tls(self.socket)
            except BaseException:
                self.socket.close()
                raise

    # out

    def send(self, data):
        self.socket.sendall(data)

    def send_pieces(self, data, size=1):
        for i in range(0, len(data), size):
            self.socket.sendall(data[i:i + size])

    # in

    def _receive(self, deadline):
        if not self.has_text() and not readable(self.socket, deadline.left()):
            raise AssertionError("nothing received in time; so far %r" % bytes(self.buffer[:200]))
        data = self.socket.recv(1 << 20)
        self.buffer += data
        return len(data)

    def has_text(self):
        """Whether a TLS socket has some that it has read already."""
        return isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0

    def receive(self, deadline=None):
        """What there is, at least a byte, into the buffer; Closed if the server has closed instead."""
        try:
            closed = self._receive(deadline or Deadline(self.seconds)) == 0
        except ConnectionResetError:
            raise Closed("the connection was reset, with %r" % bytes(self.buffer[:200])) from None
        if closed:
            raise Closed("the connection was closed, with %r" % bytes(self.buffer[:200]))

    def until(self, take, seconds=None):
        """What take() makes of the buffer, once that is not None; Closed if the server has closed instead."""
        deadline = Deadline(seconds or self.seconds)
        while True:
            found = take()
            if found is not None:
                return found
            self.receive(deadline)

    def raw(self, size, seconds=None):
        """So many bytes as they come."""
        def take():
            if len(self.buffer) >= size:
                data = bytes(self.buffer[:size])
                del self.buffer[:size]
                return data
            return None
        return self.until(take, seconds)

    def rest(self, seconds=None):
        """All that still comes, up to the end, which must be one in order."""
        deadline = Deadline(seconds or self.seconds)
        while self._receive(deadline) > 0:
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def expect_close(self, seconds=None):
        """Nothing more comes, and the server closes in order."""
        left = self.rest(seconds)
        if left:
            raise AssertionError("%r came, not the end" % left[:300])

    def silent(self, seconds):
        """Whether nothing comes for so long."""
        return not self.buffer and not readable(self.socket, seconds)

    # the end

    def close(self):
        self.socket.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """An end with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Client(Connection):
    """A flash-socket client."""

    def __init__(self, server, greeting=True, **more):
        super().__init__(server, **more)
        self.looked = 0
        self.greeting = self.frame() if greeting else None

    # out

    def action(self, action, **members):
        self.send(json.dumps(dict({"action": action}, **members)).encode() + b"\0")

    def subscribe(self, *topics):
        for topic in topics:
            self.action("subscribe", data=topic)
            self.expect(b"ACK")
        return self

    def unsubscribe(self, topic):
        self.action("unsubscribe", data=topic)

    def publish(self, topic, **members):
        self.action("publish", topic=topic, **members)

    # in

    def take(self):
        """A frame without its end, or None."""
        end = self.buffer.find(b"\1", self.looked)
        if end < 0:
            self.looked = len(self.buffer)
            return None
        frame = bytes(self.buffer[:end])
        del self.buffer[:end + 1]
        self.looked = 0
        return frame

    def frame(self, seconds=None):
        """The next frame, without its end; Closed if the server has closed instead."""
        return self.until(self.take, seconds)

    def raw(self, size, seconds=None):
        self.looked = 0
        return super().raw(size, seconds)

    def message_text(self, seconds=None):
        """The next frame that is no heartbeat."""
        while True:
            frame = self.frame(seconds)
            if frame != b"PING":
                return frame

    def message(self, seconds=None):
        frame = self.message_text(seconds)
        try:
            return json.loads(frame)
        except ValueError:
            raise AssertionError("no JSON: %r" % frame[:200]) from None

    def expect(self, frame):
        got = self.message_text()
        if got != frame:
            raise AssertionError("%r came, not %r" % (got[:300], frame))

    def expect_message(self, topic, **members):
        """The next message is of that topic, with at least these members. Returns it."""
        got = self.message()
        if got.get("topic") != topic or any(got.get(k) != v for k, v in members.items()):
            raise AssertionError("%.300r came, not %r of topic %r" % (got, members, topic))
        return got

    def expect_error(self, pattern=""):
        got = self.message()
        if list(got) != ["timestamp", "error"] or not re.search(pattern, got["error"]):
            raise AssertionError("%.300r came, not an error like %r" % (got, pattern))
        return got["error"]

    def rest(self, seconds=None):
        """Without heartbeats."""
        self.looked = 0
        return super().rest(seconds).replace(b"PING\1", b"")


_fences = itertools.count(1)


def fence(publisher, topic, *clients):
    """Nothing has come to the clients, who hold the topic, but what was taken: what is published now comes next."""
    mark = "fence %d" % next(_fences)
    publisher.publish(topic, data=mark)
    for client in clients:
        got = client.message()
        if (got.data if hasattr(got, "data") else got.get("data")) != mark:
            raise AssertionError("%.300r came, not what was published last" % (got,))


def timestamp(message):
    """As one number, microseconds."""
    if isinstance(message["timestamp"], int):
        return message["timestamp"]
    mega, seconds, micro = message["timestamp"]
    return (mega * 1000000 + seconds) * 1000000 + micro
