"""Clients of the web and of packets, for the tests: HTTP, event streams, WebSocket and msgpack, written from their standards.

They are strict: what a server may not send is an AssertionError here. All have take(), which makes the next unit of what has been
received, or None; so a test can wait for one of them, or for a hundred at once (collect()).
"""
import base64
import email.utils
import hashlib
import json
import os
import re
import select
import struct

from janus_test import Client, Closed, Connection, Deadline, JanusTest, parse_url

WEB = ("flash://127.0.0.1:0", "http://127.0.0.1:0", "packet://127.0.0.1:0")


# ---- HTTP ----

class Answer:
    """Status line, fields and body of an answer; the body is None where the answer goes on (a stream, a WebSocket)."""

    def __init__(self, head):
        first, *lines = head.decode("latin-1").split("\r\n")
        found = re.fullmatch(r"HTTP/(1\.[01]) (\d{3}) ([\x20-\x7e]*)", first)
        if not found:
            raise AssertionError("no status line: %r" % first)
        self.version, self.status, self.reason = found.group(1), int(found.group(2)), found.group(3)
        self.fields = []
        for line in lines:
            found = re.fullmatch(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([\t\x20-\x7e\x80-\xff]*)", line)
            if not found:
                raise AssertionError("no header field: %r" % line)
            self.fields.append((found.group(1).lower(), found.group(2).strip(" \t")))
        names = [name for name, _ in self.fields]
        for name in ("date", "content-length", "transfer-encoding", "content-type", "access-control-allow-origin"):
            if names.count(name) > 1:
                raise AssertionError("%s stands twice: %r" % (name, head))
        self.body = None

    def __repr__(self):
        return "<%d %s %r %.300r>" % (self.status, self.reason, self.fields, self.body)

    def get(self, name):
        """A field's value; those that stand several times are joined. None: there is none."""
        values = [value for n, value in self.fields if n == name.lower()]
        return ", ".join(values) if values else None

    def tokens(self, name):
        return [token.strip().lower() for token in (self.get(name) or "").split(",")]

    @property
    def type(self):
        """Content-Type without parameters."""
        return (self.get("Content-Type") or "").partition(";")[0].strip().lower()

    @property
    def closes(self):
        return "close" in self.tokens("Connection") or (self.version == "1.0" and "keep-alive" not in self.tokens("Connection"))

    def json(self):
        if self.type != "application/json":
            raise AssertionError("no JSON: %r" % self)
        return json.loads(self.body.decode())


def check_answer(answer):
    """What every answer has: a date, and an error as JSON if it is one."""
    if answer.status == 100:
        return
    if answer.status != 101:
        if not email.utils.parsedate_to_datetime(answer.get("Date") or "").tzinfo or not answer.get("Date").endswith(" GMT"):
            raise AssertionError("no Date: %r" % answer)
    if answer.status >= 400 and answer.body:
        error = answer.json()
        if list(error) != ["error"] or not isinstance(error["error"], str) or not error["error"]:
            raise AssertionError("an error without its text: %r" % answer)


def head_of(method, target, fields=(), version="1.1", host="janus.example"):
    """A request's head."""
    lines = ["%s %s HTTP/%s" % (method, target, version)]
    if host is not None:
        lines.append("Host: " + host)
    lines += ["%s: %s" % field for field in (fields.items() if isinstance(fields, dict) else fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def request(method, target, body=None, fields=(), version="1.1", host="janus.example"):
    """A request's bytes."""
    fields = list(fields.items() if isinstance(fields, dict) else fields)
    if body is not None and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in fields):
        fields.append(("Content-Length", str(len(body))))
    return head_of(method, target, fields, version, host) + (body or b"")


def chunked(body, size):
    """A body in chunks of this size."""
    parts = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


class Http(Connection):
    """A connection for HTTP. A stream that it has become is read with chunk() or, by a subclass, in the stream's own units."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.body = bytearray()     # of a stream: decoded, and not taken yet
        self.chunked = False
        self.ended = False          # the stream has come to its end, in order

    def ask(self, method, target, body=None, fields=(), version="1.1", host="janus.example"):
        """A request and its answer."""
        self.send(request(method, target, body, fields, version, host))
        return self.answer(method)

    def take_head(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self.buffer[:end])
        del self.buffer[:end + 4]
        if re.search(rb"[^\r]\n|\r[^\n]", head):
            raise AssertionError("a line that does not end in CR LF: %r" % head)
        return Answer(head)

    def answer(self, method="GET", seconds=None):
        """The next answer, whole."""
        answer = self.until(self.take_head, seconds)
        length, coding = answer.get("Content-Length"), answer.get("Transfer-Encoding")
        if answer.status in (100, 101, 204, 304):
            if length is not None or coding is not None:
                raise AssertionError("a %d with content: %r" % (answer.status, answer))
            answer.body = b""
        elif method == "HEAD":
            answer.body = b""
        elif length is not None:
            if coding is not None:
                raise AssertionError("both Content-Length and Transfer-Encoding: %r" % answer)
            answer.body = self.raw(int(length), seconds)
        else:
            self.chunked = coding is not None
            if self.chunked and (coding != "chunked" or answer.version == "1.0"):
                raise AssertionError("Transfer-Encoding: %r" % answer)
            if not self.chunked and not answer.closes:
                raise AssertionError("the end of the body is nowhere: %r" % answer)
        check_answer(answer)
        return answer

    def take_chunk(self):
        """A chunk's content; of HTTP/1.0, what has come. At the end b""."""
        if not self.chunked:
            data = bytes(self.buffer)
            self.buffer.clear()
            return data or None
        found = re.match(rb"([0-9A-Fa-f]{1,8})\r\n", self.buffer[:10])
        if not found:
            if len(self.buffer) >= 10 or re.search(rb"[^0-9A-Fa-f\r\n]", self.buffer[:10]):
                raise AssertionError("no chunk: %r" % bytes(self.buffer[:100]))
            return None
        size = int(found.group(1), 16)
        begin = found.end()
        if len(self.buffer) < begin + size + 2:
            return None
        if self.buffer[begin + size:begin + size + 2] != b"\r\n":
            raise AssertionError("a chunk that is too long: %r" % bytes(self.buffer[begin:begin + size + 10]))
        data = bytes(self.buffer[begin:begin + size])
        del self.buffer[:begin + size + 2]
        if size == 0:
            self.ended = True
        return data

    def chunk(self, seconds=None):
        return self.until(self.take_chunk, seconds)

    def gather(self):
        """Moves all whole chunks to the stream's body."""
        while not self.ended:
            data = self.take_chunk()
            if data is None:
                break
            self.body += data


class Lines(Http):
    """A stream of JSON objects, one a line. Heartbeats are counted."""

    heartbeats = 0

    def take(self):
        while True:
            line = self.take_line()
            if line is None:
                return None
            self.heartbeats += len(line) - len(line.lstrip(b" "))
            message = json.loads(line.decode())
            if not isinstance(message, dict):
                raise AssertionError("no object: %r" % line)
            return message

    def take_line(self):
        self.gather()
        end = self.body.find(b"\n")
        if end < 0:
            if self.ended:
                raise Closed("the stream has ended, with %r" % bytes(self.body[:200]))
            return None
        line = bytes(self.body[:end])
        del self.body[:end + 1]
        return line

    def message(self, seconds=None):
        return self.until(self.take, seconds)


class Event:
    def __init__(self, id, type, data):
        self.id, self.type, self.data = id, type, data

    def __repr__(self):
        return "<event %s %r %.300r>" % (self.id, self.type, self.data)

    def json(self):
        return json.loads(self.data)


class EventStream:
    """WHATWG HTML, 9.2.6: lines end in CR LF, LF or CR; an empty line dispatches. Feed it text, take events."""

    def __init__(self):
        self.text = b""
        self.begun = False
        self.last_id = ""
        self.type = ""
        self.data = ""
        self.retry = None
        self.comments = 0

    def feed(self, data):
        self.text += data

    def take(self):
        """An Event, or None."""
        if not self.begun and len(self.text) >= 3:
            self.begun = True
            if self.text.startswith(b"\xef\xbb\xbf"):
                self.text = self.text[3:]
        while True:
            end = re.search(rb"\r\n|\n|\r(?=.)", self.text, re.DOTALL)      # a CR at the very end: a LF may follow
            if not end:
                return None
            line = self.text[:end.start()].decode("utf-8")      # strict, unlike a browser
            self.text = self.text[end.end():]
            if line == "":
                data, kind = self.data, self.type
                self.data = self.type = ""
                if data != "":
                    return Event(self.last_id, kind or "message", data[:-1])
                continue
            self.line(line)

    def line(self, line):
        name, colon, value = line.partition(":")
        if value.startswith(" "):
            value = value[1:]
        if name == "" and colon:
            self.comments += 1
        elif name == "event":
            self.type = value
        elif name == "data":
            self.data += value + "\n"
        elif name == "id" and "\0" not in value:
            self.last_id = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            self.retry = int(value)
        else:
            raise AssertionError("a line that a browser ignores: %r" % line)


class Sse(Http):
    """A stream of server-sent events."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.stream = EventStream()

    def take(self):
        event = self.stream.take()
        if event:
            return event
        self.gather()
        self.stream.feed(bytes(self.body))
        self.body.clear()
        event = self.stream.take()
        if event is None and self.ended:
            raise Closed("the stream has ended")
        return event

    def event(self, seconds=None):
        return self.until(self.take, seconds)

    message = event


# ---- WebSocket ----

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
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


class WebSocket(Http):
    """A WebSocket's client. Its messages are whole; pings are answered (unless `pongs` is False) and counted."""

    def __init__(self, *arguments, pongs=True, **more):
        super().__init__(*arguments, **more)
        self.pongs = pongs
        self.pings = 0
        self.parts = None       # of a message that is not whole: opcode and payloads

    def upgrade(self, target="/ws", more=b"", **fields):
        """The handshake, with `more` behind it at once."""
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
        message = self.take_message()
        return json.loads(message) if isinstance(message, str) else message

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
            self.action("subscribe", data=topic)
            self.expect({"ok": True})
        return self

    def login(self, *ids):
        for id in ids:
            self.action("login", data=id)
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


# ---- packets ----

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


class Packet(Connection):
    """A packet client. Heartbeats are counted."""

    heartbeats = 0

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
            if value is None or "ping" not in value:
                return value
            if set(value) != {"ok", "ping"} or value["ok"] is not True or not isinstance(value["ping"], int):
                raise AssertionError("a heartbeat: %r" % value)
            self.heartbeats += 1

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

    def login(self, *ids):
        for id in ids:
            self.op("login", id=id)
            self.expect({"ok": True})
        return self


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

class WebTest(JanusTest):
    """A test with a server that listens for flash, HTTP and packets. It is started when it is first asked for, or by serve()."""

    options = ()
    workers = 2
    _janus = None

    def serve(self, *options, **more):
        """Starts a server with these options; from now on it is the test's."""
        more = dict({"workers": self.workers, "listen": WEB}, **more)
        self._janus = self.server(*options, **more)
        self._addresses = {re.match("[a-z]+", url).group(): parse_url(url) for url in self._janus.status()["listen"]}

    @property
    def janus(self):
        if self._janus is None:
            self.serve(*self.options)
        return self._janus

    @property
    def addresses(self):
        """Where its first listener of each protocol is."""
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
        return client

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
