"""The examples of PROTOCOL.md and README.md, played against a server: what the server sends must be what stands there, byte for byte.

PROTOCOL.md: blocks fenced as ```http, ```flash, ```websocket PATH and ```packet, each with a server of its own. Behind the name may stand
`hex` and settings (broadcast=on). A line begins with who speaks: C the client, S the server, C2 and S2 on a second connection, $ a shell
elsewhere, followed by what it prints; what is indented as deep goes on with it.

    http, flash         bytes. Line breaks mean nothing; \\r \\n \\0 \\1 \\x81 \\\\ are those bytes. A flash block that does not begin with the
                        greeting leaves it out; so do blocks of /ws and of packets.
    websocket           a message a line, after the handshake: a text, <00 ff> for a binary one, (ping TEXT), (pong TEXT), (close CODE TEXT)
    packet              a packet a line, its map as JSON, <00 ff> for a bin; of msgpack's forms of a value it shows none
    hex                 bytes, a line up to its # each
    (close)             alone: the connection ends

README.md: blocks fenced as ```console, in their order with one server: $ and a command, then what it prints. curl -N goes on meanwhile.

All examples happen at one moment, with one token; the server's life began in it as well. What the server says of time and token is looked at, and then made that of the examples
(lengths of chunks too) before it is compared.
"""
import calendar
import json
import os
import re
import socket
import time

from janus_test import ROOT, Connection, Deadline
from web_clients import BINARY, CLOSE, PING, PONG, TEXT, close_payload, frame, packet, unpack

DATE = "Wed, 25 Nov 2015 07:02:05 GMT"
MICROSECONDS = 1448434925395864
EPOCH = b"ihegr977"         # the same in milliseconds, in base 36
TIMESTAMP = b'"timestamp":[1448,434925,395864]'
TOKEN_TEXT = b"7a7d0f8bfaa16e000dec67097cecac88"
TOKEN = b"".join(b",%d" % c for c in TOKEN_TEXT)[1:]
KINDS = ("http", "flash", "websocket", "packet")
ESCAPES = {"\\r": b"\r", "\\n": b"\n", "\\0": b"\0", "\\1": b"\1", "\\x81": b"\x81", "\\\\": b"\\"}


# ---- reading ----

class Step:
    def __init__(self, speaker, text, place):
        self.speaker = speaker[0]
        self.number = int(speaker[1:] or 1)
        self.lines = [text]
        self.place = place

    def __repr__(self):
        return "%s: %s %s" % (self.place, self.speaker, " / ".join(self.lines))


class Block:
    def __init__(self, file, line, heading, info):
        self.place = "%s:%d" % (file, line)
        self.heading = heading
        self.kind, *words = info.split() or [""]
        self.hex = "hex" in words
        self.path = next((word for word in words if word.startswith("/")), None)
        self.settings = [word for word in words if "=" in word]
        self.steps = []

    def add(self, line, number):
        place = "%s:%d" % (self.place.partition(":")[0], number)
        found = re.match(r"([CS]2?|\$) ", line)
        if found:
            self.steps.append(Step(found.group(1), line[found.end():], place))
            return
        indent = (3 if self.steps[-1].number == 2 else 2) if self.steps else 0
        if not indent or line[:indent].strip():
            raise AssertionError("%s: who says this? %r" % (place, line))
        last = self.steps[-1]
        if line[indent:] == "(close)":
            self.steps.append(Step(last.speaker + str(last.number), line[indent:], place))
        else:
            last.lines.append(line[indent:])


def blocks(file):
    """All fenced blocks of a document; of those that are played, the steps too."""
    found, block, heading = [], None, ""
    with open(os.path.join(ROOT, file), encoding="utf-8") as f:
        for number, line in enumerate(f.read().split("\n"), 1):
            if line.startswith("```"):
                if block is None:
                    block = Block(file, number, heading, line[3:])
                    block.text = []
                    found.append(block)
                else:
                    block = None
            elif block is None:
                heading = line.lstrip("# ") if line.startswith("#") else heading
            elif block.kind in KINDS:
                block.add(line, number)
            else:
                block.text.append(line)
    if block is not None:
        raise AssertionError("%s: a block without end" % block.place)
    return found


def unescape(lines):
    """The bytes that the lines stand for."""
    def one(found):
        text = found.group().decode()
        if text not in ESCAPES:
            raise AssertionError("%r in %r" % (text, lines))
        return ESCAPES[text]
    return re.sub(rb"\\(x81|.)?", one, "".join(lines).encode())


def unhex(lines):
    return bytes.fromhex("".join(line.partition("#")[0] for line in lines))


# ---- time and token ----

def is_now(microseconds):
    return abs(time.time() - microseconds / 1e6) < 300


def settle_timestamps(data):
    def plain(found):
        return found.group(1) + b"%d" % (MICROSECONDS if is_now(int(found.group(2))) else int(found.group(2)))

    def one(found):
        mega, seconds, micro = map(int, found.groups())
        plain = b'"timestamp":[%d,%d,%d]' % (mega, seconds, micro)
        return TIMESTAMP if found.group() == plain and is_now((mega * 10**6 + seconds) * 10**6 + micro) else found.group()
    data = settle_positions(re.sub(rb'("timestamp":)(\d+)', plain, data))
    return re.sub(rb'"timestamp":\[(\d+),(\d+),(\d+)\]', one, data)


def settle_positions(data):
    """Of a server that was started just now. And tokens."""
    def one(found):
        return EPOCH + found.group(2) if is_now(int(found.group(1), 36) * 1000) else found.group()
    data = re.sub(rb'("token":"|\nJanus-Token: |event: token\ndata: )[0-9a-f]{32}', lambda found: found.group(1) + TOKEN_TEXT, data)
    return re.sub(rb"\b([0-9a-z]{8})(-\d+)\b", one, data)


def settle_retry(data):
    return re.sub(rb"\Aretry: (\d+)(?=\n)", lambda found: b"retry: 2000" if 1000 <= int(found.group(1)) <= 3000 else found.group(), data)


def settle_date(data):
    def one(found):
        try:
            then = calendar.timegm(time.strptime(found.group(2).decode(), "%a, %d %b %Y %H:%M:%S GMT"))
        except ValueError:
            return found.group()
        return found.group(1) + DATE.encode() if is_now(then * 1e6) else found.group()
    return re.sub(rb"(?m)^(Date: )(.*?)(?=\r$)", one, data)


def settle_flash(data):
    def token(found):
        codes = [int(n) for n in found.group(1).split(b",")]
        return b'"token":[' + (TOKEN if len(codes) == 32 and all(c in b"0123456789abcdef" for c in codes) else found.group(1)) + b"]"
    return re.sub(rb'"token":\[([0-9,]+)\]', token, settle_timestamps(data))


def settle_http(data, methods):
    """Answers, in the order of the methods; chunks get the length that the settled content has."""
    done, methods = b"", list(methods)
    while b"\r\n\r\n" in data:
        head, _, data = data.partition(b"\r\n\r\n")
        done += settle_positions(settle_date(head + b"\r\n\r\n"))
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        if not head.startswith(b"HTTP/1.1 100"):
            method = methods.pop(0) if methods else ""
            if method == "HEAD":
                continue
        if length:
            done, data = done + settle_timestamps(data[:int(length.group(1))]), data[int(length.group(1)):]
        elif b"\r\nTransfer-Encoding: chunked" in head:
            chunks, data = settle_chunks(data)
            done += chunks
        elif b" 200 " in head.partition(b"\r\n")[0]:
            return done + settle_retry(settle_timestamps(data))
    return done + settle_positions(data)


def settle_chunks(data):
    """Whole chunks, settled, and what is left."""
    done = b""
    while True:
        found = re.match(rb"([0-9a-f]+)\r\n", data)
        size = int(found.group(1), 16) if found else 0
        end = found.end() + size + 2 if found else 0
        if not found or len(data) < end or data[end - 2:end] != b"\r\n":
            return done, data
        content = settle_retry(settle_timestamps(data[found.end():end - 2]))
        done += (b"%x\r\n" % len(content) if len(content) != size else found.group()) + content + b"\r\n"
        data = data[end:]
        if size == 0:
            return done, data


# ---- speaking ----

class Player:
    """One connection of an example whose kind is bytes: flash, HTTP, hex."""

    def __init__(self, test, block):
        self.test = test
        self.block = block
        self.connection = self.connect(test, block)
        self.methods = []
        self.taken = 0          # bytes of what the server has said, settled, that have been compared
        self.heard = b""
        self.ended = False

    @staticmethod
    def connect(test, block):
        if block.kind == "websocket":
            return test.websocket(block.path, greet=False)
        return test.connect(Connection, block.kind)

    @property
    def greets(self):
        """Whether the server speaks first."""
        return self.block.kind in ("flash", "packet") or self.block.path == "/ws"

    def settled(self):
        self.heard += bytes(self.connection.buffer)
        self.connection.buffer.clear()
        if self.block.hex:
            return settle_positions(self.heard)
        return settle_flash(self.heard) if self.block.kind == "flash" else settle_http(self.heard, self.methods)

    def bytes_of(self, step):
        return unhex(step.lines) if self.block.hex else unescape(step.lines)

    def real(self, data):
        """What a client says, with the server's epoch in its positions."""
        epoch = EPOCH if isinstance(data, bytes) else EPOCH.decode()
        if epoch not in data:
            return data
        real = self.test.ask("HEAD", "/sub/x").get("Janus-Position").partition("-")[0]
        return data.replace(epoch, real.encode() if isinstance(data, bytes) else real)

    def say(self, step):
        if step.lines == ["(close)"]:
            self.connection.half_close()
            return
        data = self.real(self.bytes_of(step))
        if self.block.kind == "http":
            self.methods += re.findall(r"(?m)^([A-Z]+) \S+ HTTP/1\.[01]\r$", data.decode("latin-1"))
        self.connection.send(data)

    def receive(self, deadline):
        """False: nothing more comes."""
        if deadline.over() or self.ended:
            return False
        self.connection.socket.settimeout(max(0.01, deadline.left()))
        try:
            data = self.connection.socket.recv(1 << 16)
        except socket.timeout:
            return False
        self.connection.buffer += data
        self.ended = not data
        return bool(data)

    def greet(self, seconds):
        """Passes over a greeting."""
        if self.block.kind == "packet":
            self.connection.until(lambda: len(self.connection.buffer) > 4 and len(self.connection.buffer) >= 4 + self.connection.buffer[3] or None, seconds)
            del self.connection.buffer[:4 + self.connection.buffer[3]]
            return
        self.hear_bytes(b'{' + TIMESTAMP + b',"token":[' + TOKEN + b"]}\1", seconds)

    def hear(self, step, seconds):
        if step.lines == ["(close)"]:
            self.hear_end(seconds)
        else:
            self.hear_bytes(self.bytes_of(step), seconds)

    def hear_bytes(self, wanted, seconds):
        deadline = Deadline(seconds)
        while True:
            got = self.settled()[self.taken:]
            if got[:len(wanted)] == wanted:
                self.taken += len(wanted)
                return
            if not self.receive(deadline):
                raise AssertionError("the server says\n%s\nnot\n%s" % (visible(got), visible(wanted)))

    def hear_end(self, seconds):
        deadline = Deadline(seconds)
        while self.receive(deadline):
            pass
        self.quiet(0)
        if not self.ended:
            raise AssertionError("the server does not close")

    def quiet(self, seconds):
        """Nothing has come that is not in the example, and nothing comes for so long."""
        self.receive(Deadline(seconds))
        left = self.settled()[self.taken:]
        if left:
            raise AssertionError("the server says besides\n%s" % visible(left))


def visible(data):
    return repr(data)[2:-1].replace("\\n", "\\n\n") if isinstance(data, bytes) else str(data)


class UnitPlayer(Player):
    """One whose examples have a unit a line: WebSocket's messages, packets."""

    def __init__(self, test, block):
        super().__init__(test, block)
        self.units = []

    @staticmethod
    def connect(test, block):
        return test.websocket(block.path, greet=False) if block.kind == "websocket" else test.packet()

    def greet(self, seconds):
        deadline = Deadline(seconds)
        while not self.units:
            self.take_units()
            if not self.units and not self.receive(deadline):
                raise AssertionError("no greeting")
        self.units.pop(0)

    def say(self, step):
        for line in step.lines:
            if line == "(close)":
                self.connection.half_close()
            else:
                self.connection.send(self.encode(self.real(line)))

    def hear(self, step, seconds):
        for line in step.lines:
            if line == "(close)":
                self.hear_end(seconds)
            else:
                self.hear_unit(self.encode_expected(line), seconds)

    def hear_unit(self, wanted, seconds):
        deadline = Deadline(seconds)
        while True:
            self.take_units()
            if self.units:
                break
            if not self.receive(deadline):
                raise AssertionError("the server says nothing, not\n%s" % visible(wanted))
        got = self.units.pop(0)
        if got != wanted:
            raise AssertionError("the server says\n%s\nnot\n%s" % (visible(got), visible(wanted)))

    def quiet(self, seconds):
        self.receive(Deadline(seconds))
        self.take_units()
        if self.units or self.connection.buffer:
            raise AssertionError("the server says besides %r %r" % (self.units, bytes(self.connection.buffer)))


class WebSocketPlayer(UnitPlayer):
    CONTROLS = {"ping": PING, "pong": PONG, "close": CLOSE}

    @classmethod
    def unit(cls, line):
        """(opcode, payload)"""
        control = re.fullmatch(r"\((ping|pong|close)(?: (.*))?\)", line)
        if control:
            opcode, text = cls.CONTROLS[control.group(1)], control.group(2) or ""
            if opcode != CLOSE:
                return opcode, text.encode()
            code, _, reason = text.partition(" ")
            return opcode, close_payload(int(code), reason)
        if re.fullmatch(r"<[0-9a-f ]*>", line):
            return BINARY, bytes.fromhex(line[1:-1])
        return TEXT, line.encode()

    def encode(self, line):
        return frame(*self.unit(line))

    def encode_expected(self, line):
        return self.unit(line)

    def take_units(self):
        for fin, opcode, payload in iter(self.connection.take_frame, None):
            if not fin:
                raise AssertionError("a fragment: %r" % payload)
            self.units.append((opcode, settle_timestamps(payload)))

    def hear(self, step, seconds):
        super().hear(step, seconds)
        if step.lines[-1].startswith("(close "):
            self.hear_end(seconds)


class PacketPlayer(UnitPlayer):
    def encode(self, line):
        def bins(value):
            if isinstance(value, dict):
                return {k: bins(v) for k, v in value.items()}
            found = re.fullmatch(r"<([0-9a-f ]*)>", value) if isinstance(value, str) else None
            return bytes.fromhex(found.group(1)) if found else value
        try:
            return packet(bins(json.loads(re.sub(r"(<[0-9a-f ]*>)", r'"\1"', line))))
        except ValueError as e:
            raise AssertionError("no packet: %s: %s" % (line, e)) from None

    encode_expected = encode

    def take_units(self):
        """As bytes, with the examples' time, each value in its shortest form."""
        buffer = self.connection.buffer
        while len(buffer) >= 4 and len(buffer) >= 4 + int.from_bytes(buffer[:4], "big"):
            data = bytes(buffer[4:4 + int.from_bytes(buffer[:4], "big")])
            del buffer[:4 + len(data)]
            value = unpack(data)
            for key in ("timestamp", "ping"):
                if isinstance(value.get(key), int) and is_now(value[key]):
                    value[key] = MICROSECONDS
            for key in ("id", "position"):
                if isinstance(value.get(key), str):
                    value[key] = settle_positions(value[key].encode()).decode()
            self.units.append(packet(value))


def player(test, block):
    if block.hex or block.kind in ("http", "flash"):
        return Player(test, block)
    return (WebSocketPlayer if block.kind == "websocket" else PacketPlayer)(test, block)
