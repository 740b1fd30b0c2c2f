"""A client of packets, for the tests, and its msgpack. See web_clients.py."""
import itertools
import re
import struct

from janus_test import Connection
from positions import GREETINGS, Tracks, settled

_fences = itertools.count(1000000)


class Raw(bytes):
    """msgpack that stands as it is."""


def pack(value):
    """A value as msgpack. str and bytes are str and bin; Raw is put in as it stands."""
    if isinstance(value, Raw):
        return bytes(value)
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return pack_int(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        return pack_str(value.encode())
    if isinstance(value, (bytes, bytearray)):
        return sized(len(value), None, b"\xc4\xc5\xc6") + bytes(value)
    if isinstance(value, (list, tuple)):
        return sized(len(value), (0x90, 15), b"\0\xdc\xdd") + b"".join(map(pack, value))
    if isinstance(value, dict):
        return sized(len(value), (0x80, 15), b"\0\xde\xdf") + b"".join(pack(k) + pack(v) for k, v in value.items())
    raise TypeError(type(value))


def pack_str(data):
    """A str of any bytes."""
    return sized(len(data), (0xa0, 31), b"\xd9\xda\xdb") + data


def sized(size, fix, heads):
    """A head with a length: in one byte if it is not above the fix form's; else 8, 16 or 32 bits behind one of the heads (0: not in 8)."""
    if fix and size <= fix[1]:
        return bytes([fix[0] | size])
    if size < 256 and heads[0]:
        return bytes([heads[0], size])
    if size < 65536:
        return bytes([heads[1]]) + struct.pack(">H", size)
    return bytes([heads[2]]) + struct.pack(">I", size)


def pack_int(value):
    if -32 <= value < 128:
        return struct.pack("b", value)
    for head, form, least, most in ((0xcc, ">B", 0, 0xff), (0xcd, ">H", 0, 0xffff), (0xce, ">I", 0, 0xffffffff), (0xcf, ">Q", 0, 2 ** 64 - 1),
                                    (0xd0, ">b", -2 ** 7, 0), (0xd1, ">h", -2 ** 15, 0), (0xd2, ">i", -2 ** 31, 0),
                                    (0xd3, ">q", -2 ** 63, 0)):
        if least <= value <= most:
            return bytes([head]) + struct.pack(form, value)
    raise OverflowError(value)


def unpack(data):
    """The value that the bytes are, all of them."""
    value, at = unpack_at(data, 0)
    if at != len(data):
        raise AssertionError("%d bytes behind the value: %r" % (len(data) - at, data[:200]))
    return value


NUMBERS = {0xca: ">f", 0xcb: ">d", 0xcc: ">B", 0xcd: ">H", 0xce: ">I", 0xcf: ">Q", 0xd0: ">b", 0xd1: ">h", 0xd2: ">i", 0xd3: ">q"}
LENGTHS = {0xc4: ("bin", 1), 0xc5: ("bin", 2), 0xc6: ("bin", 4), 0xd9: ("str", 1), 0xda: ("str", 2), 0xdb: ("str", 4),
           0xdc: ("array", 2), 0xdd: ("array", 4), 0xde: ("map", 2), 0xdf: ("map", 4)}


def unpack_at(data, at):
    head = data[at]
    at += 1
    if head < 0x80:
        return head, at
    if head >= 0xe0:
        return head - 256, at
    if head in (0xc0, 0xc2, 0xc3):
        return {0xc0: None, 0xc2: False, 0xc3: True}[head], at
    if head in NUMBERS:
        size = struct.calcsize(NUMBERS[head])
        return struct.unpack(NUMBERS[head], data[at:at + size])[0], at + size
    if head in LENGTHS:
        kind, width = LENGTHS[head]
        size = int.from_bytes(data[at:at + width], "big")
        at += width
    elif head < 0xc0:
        kind, size = ("map", head & 15) if head < 0x90 else ("array", head & 15) if head < 0xa0 else ("str", head & 31)
    else:
        raise AssertionError("msgpack 0x%02x" % head)
    if kind in ("bin", "str"):
        part = data[at:at + size]
        if len(part) < size:
            raise AssertionError("msgpack that is cut off: %r" % data[:200])
        return (part.decode() if kind == "str" else part), at + size
    values = []
    for _ in range(size * (2 if kind == "map" else 1)):
        value, at = unpack_at(data, at)
        values.append(value)
    if kind == "array":
        return values, at
    if len(set(values[::2])) != size:
        raise AssertionError("a key stands twice: %r" % values[::2])
    return dict(zip(values[::2], values[1::2])), at


def packet(value):
    """A packet of a value, or of msgpack bytes (Raw)."""
    data = pack(value)
    return struct.pack(">I", len(data)) + data


class Packet(Tracks, Connection):
    """A packet client. Heartbeats are counted, and the greeting is passed over; an answer's position is kept, and taken out of it."""

    heartbeats = 0
    greeting = None

    def op(self, op, **keys):
        self.send(packet(dict({"op": op}, **keys)))

    def take_packet(self):
        if len(self.buffer) < 4:
            return None
        size = struct.unpack(">I", self.buffer[:4])[0]
        if len(self.buffer) < 4 + size:
            return None
        data = bytes(self.buffer[4:4 + size])
        del self.buffer[:4 + size]
        value = unpack(data)
        if not isinstance(value, dict):
            raise AssertionError("no map: %r" % data)
        return value

    def take(self):
        while True:
            value = self.take_packet()
            if value is not None and "janus" in value:
                self.greeted(value)
                continue
            if self.is_missed(value):
                continue
            if value is None or "ping" not in value:
                return self.keep_position(settled(value))
            if set(value) != {"ok", "ping"} or value["ok"] is not True or not isinstance(value["ping"], int):
                raise AssertionError("a heartbeat: %r" % value)
            self.heartbeats += 1

    def expect_nothing(self):
        """No more has come than was taken: what is asked now is answered next."""
        mark = next(_fences)
        self.op("ping", ref=mark)
        self.expect({"ok": True, "ref": mark})

    def greeted(self, value):
        if self.greeting is not None or list(value) not in GREETINGS:
            raise AssertionError("a greeting: %r" % value)
        self.greeting = value

    def greet(self):
        """Waits for the greeting, before any bytes are looked at."""
        self.greeted(self.until(self.take_packet))
        return self

    def message(self, seconds=None):
        """The next packet that is no heartbeat, reply or message."""
        return self.until(self.take, seconds)

    def expect(self, wanted):
        got = self.message()
        if got != wanted:
            raise AssertionError("%.300r came, not %r" % (got, wanted))
        return got

    def expect_error(self, pattern="", **keys):
        got = self.message()
        if got.get("ok") is not False or set(got) != {"ok", "error"} | set(keys) or any(got[k] != v for k, v in keys.items()) or \
                not isinstance(got["error"], str) or not re.search(pattern, got["error"]):
            raise AssertionError("%.300r came, not an error like %r with %r" % (got, pattern, keys))
        return got["error"]

    def subscribe(self, *topics):
        for topic in topics:
            self.op("subscribe", topic=topic)
            self.expect({"ok": True})
        return self

    def login(self, *users):
        for user in users:
            self.op("login", user=user)
            self.expect({"ok": True})
        return self
