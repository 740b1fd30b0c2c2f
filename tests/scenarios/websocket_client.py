"""A WebSocket client, for the tests. See web_clients.py."""
import base64
import hashlib
import itertools
import json
import os
import re
import struct

from http_clients import Http, head_of
from janus_test import Closed
from positions import GREETINGS, Tracks, loads, start_of

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_fences = itertools.count(1)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def new_key():
    return base64.b64encode(os.urandom(16)).decode()


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def upgrade_fields(key, **more):
    """The handshake's fields, by their names with _ for -; a value None leaves one out."""
    fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    fields.update({name.replace("_", "-"): value for name, value in more.items()})
    return {name: value for name, value in fields.items() if value is not None}


def frame(opcode, payload=b"", fin=True, mask=b"\x37\xfa\x21\x3d", reserved=0, length=None):
    """A client's frame. mask None: without one. `length`: how many bytes say the length, 0, 2 or 8, if not as few as will do."""
    if isinstance(payload, str):
        payload = payload.encode()
    if length is None:
        length = 0 if len(payload) < 126 else 2 if len(payload) < 65536 else 8
    masked = 0x80 if mask is not None else 0
    data = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    if length == 0:
        data += bytes([masked | len(payload)])
    elif length == 2:
        data += struct.pack(">BH", masked | 126, len(payload))
    else:
        data += struct.pack(">BQ", masked | 127, len(payload))
    return data + (mask + masked_with(payload, mask) if masked else payload)


def masked_with(payload, mask):
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def close_payload(code, reason=b""):
    return struct.pack(">H", code) + (reason.encode() if isinstance(reason, str) else reason)


class WebSocket(Tracks, Http):
    """A WebSocket's client. Its messages are whole; pings are answered (unless `pongs` is False) and counted."""

    def __init__(self, *arguments, pongs=True, **more):
        super().__init__(*arguments, **more)
        self.pongs = pongs
        self.pings = 0
        self.parts = None       # of a message that is not whole: opcode and payloads
        self.greeting = None    # of /ws
        self.start = None       # of a stream: its first message

    def upgrade(self, target="/ws", more=b"", greet=True, **fields):
        """The handshake, with `more` behind it at once; and the greeting, or a stream's first message, if that is to come."""
        key = new_key()
        self.send(head_of("GET", target, upgrade_fields(key, **fields)) + more)
        answer = self.answer()
        if answer.status != 101:
            raise AssertionError("no upgrade: %r" % answer)
        wanted = {"upgrade": ["websocket"], "connection": ["upgrade"], "sec-websocket-accept": [accept_of(key).lower()]}
        for name, value in wanted.items():
            if answer.tokens(name) != value:
                raise AssertionError("%s: %r" % (name, answer))
        if answer.get("Sec-WebSocket-Extensions") is not None:
            raise AssertionError("an extension: %r" % answer)
        if greet and target.partition("?")[0] == "/ws":
            fin, opcode, payload = self.next_frame()
            self.greeting = json.loads(payload)
            if not fin or opcode != TEXT or list(self.greeting) not in GREETINGS:
                raise AssertionError("a greeting: %r" % payload)
        elif greet:
            fin, opcode, payload = self.next_frame()
            self.start = payload.decode()
            self.position = start_of(loads(payload))
            if not fin or opcode != TEXT or self.position is None:
                raise AssertionError("a first message: %r" % payload)
        return self

    # out

    def frame(self, *arguments, **more):
        self.send(frame(*arguments, **more))

    def text(self, text):
        self.frame(TEXT, text)

    def action(self, action, **members):
        self.text(json.dumps(dict({"action": action}, **members), ensure_ascii=False))

    # in

    def take_frame(self):
        """(fin, opcode, payload) of the server's next frame, as it stands on the wire."""
        b = self.buffer
        if len(b) < 2:
            return None
        if b[0] & 0x70 or b[1] & 0x80:
            raise AssertionError("a frame with reserved bits or a mask: %r" % bytes(b[:20]))
        opcode, size, at = b[0] & 15, b[1], 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(b) < 2 + width:
                return None
            size, at = int.from_bytes(b[2:2 + width], "big"), 2 + width
            if size < (126 if width == 2 else 65536):
                raise AssertionError("a length not in its shortest form: %r" % bytes(b[:20]))
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise AssertionError("opcode %d" % opcode)
        if opcode >= 8 and (size > 125 or not b[0] & 0x80):
            raise AssertionError("a control frame that is long or fragmented: %r" % bytes(b[:20]))
        if len(b) < at + size:
            return None
        payload = bytes(b[at:at + size])
        fin = bool(b[0] & 0x80)
        del b[:at + size]
        return fin, opcode, payload

    def next_frame(self, seconds=None):
        return self.until(self.take_frame, seconds)

    def expect_nothing(self):
        """Nothing has come but what was taken, and pongs, of which there may be two to a ping: the pong to this ping comes next."""
        mark = b"fence %d" % next(_fences)
        self.frame(PING, mark)
        while (got := self.next_frame())[1:] != (PONG, mark):
            if got[1] not in (PING, PONG):
                raise AssertionError("something came besides: %.300r" % (got,))

    def take_message(self):
        """A whole text (str) or binary (bytes) message."""
        while True:
            found = self.take_frame()
            if found is None:
                return None
            fin, opcode, payload = found
            if opcode == CLOSE:
                raise Closed("a close frame, %r" % payload)
            if opcode == PING:
                self.pings += 1
                if self.pongs:
                    self.frame(PONG, payload)
                continue
            if opcode == PONG:
                continue
            if (opcode == CONTINUATION) != (self.parts is not None):
                raise AssertionError("a fragment where none may stand")
            self.parts = self.parts or [opcode]
            self.parts.append(payload)
            if fin:
                opcode, *parts = self.parts
                self.parts = None
                data = b"".join(parts)
                return data.decode() if opcode == TEXT else data

    def raw_message(self, seconds=None):
        return self.until(self.take_message, seconds)

    def take(self):
        """What is next. An answer's position is kept, and taken out of it."""
        while True:
            message = self.take_message()
            if not isinstance(message, str):
                return message
            value = loads(message)
            if not self.is_missed(value):
                return self.keep_position(value)

    def message(self, seconds=None):
        """The next message: what its JSON is, or bytes of a binary one."""
        return self.until(self.take, seconds)

    def expect(self, wanted, seconds=None):
        got = self.message(seconds)
        if got != wanted:
            raise AssertionError("%.300r came, not %r" % (got, wanted))
        return got

    def expect_error(self, pattern="", **members):
        got = self.message()
        if got.get("ok") is not False or any(got.get(k) != v for k, v in members.items()) or "topic" in got or \
                not isinstance(got.get("error"), str) or not re.search(pattern, got["error"]):
            raise AssertionError("%.300r came, not an error like %r" % (got, pattern))
        return got

    def subscribe(self, *topics):
        for topic in topics:
            self.action("subscribe", topic=topic)
            self.expect({"ok": True})
        return self

    def login(self, *users):
        for user in users:
            self.action("login", user=user)
            self.expect({"ok": True})
        return self

    def expect_close_frame(self, code, seconds=None):
        """A close frame with this code (None: without one, "any": any) is next but for pings and pongs, then the end. Its reason."""
        while True:
            _, opcode, payload = self.next_frame(seconds)
            if opcode not in (PING, PONG):
                break
        if opcode != CLOSE:
            raise AssertionError("%d %.300r came, not a close frame" % (opcode, payload))
        if len(payload) == 1:
            raise AssertionError("a close frame of one byte")
        got = struct.unpack(">H", payload[:2])[0] if payload else None
        if code != "any" and got != code:
            raise AssertionError("closed with %r (%r), not %r" % (got, payload[2:], code))
        reason = payload[2:].decode()
        self.expect_close(seconds)
        return reason
