"""HTTP clients, for the tests: requests and answers, lines and event streams. See web_clients.py."""
import email.utils
import json
import re

from janus_test import Closed, Connection
from positions import Loses, Position, loads, settled, start_of


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
        return loads(self.body.decode())


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

    def expect_nothing(self):
        """No more answers have come than were taken: what is asked now is answered next."""
        answer = self.ask("OPTIONS", "/")
        if answer.status != 204:
            raise AssertionError("answered more than was asked: %r" % answer)

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


class Lines(Loses, Http):
    """A stream of JSON objects, one a line. Heartbeats are counted. The first line says where it starts."""

    heartbeats = 0
    position = None
    start = None        # the first line

    def begin(self):
        """Waits for the first line."""
        self.until(self.take_start)
        return self

    def take_start(self):
        line = self.take_line()
        if line is None:
            return None
        self.start = json.loads(line.decode())
        self.position = start_of(settled(dict(self.start)))
        if self.position is None:
            raise AssertionError("a first line: %r" % line)
        return self.start

    def take(self):
        while True:
            if self.start is None and self.take_start() is None:
                return None
            line = self.take_line()
            if line is None:
                return None
            self.heartbeats += len(line) - len(line.lstrip(b" "))
            message = loads(line.decode())
            if not isinstance(message, dict) or "ok" in message:
                raise AssertionError("no object: %r" % line)
            if self.is_missed(message):
                continue
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
    def __init__(self, id, type, data, own_id=True):
        self.id, self.type, self.data = id, type, data
        self.own_id = own_id        # not that of an event before

    def __repr__(self):
        return "<event %s %r %.300r>" % (self.id, self.type, self.data)

    def json(self):
        return loads(self.data)


class EventStream:
    """WHATWG HTML, 9.2.6: lines end in CR LF, LF or CR; an empty line dispatches. Feed it text, take events."""

    def __init__(self):
        self.text = bytearray()     # (of which the start is taken away without the rest being copied)
        self.begun = False
        self.id = ""            # as lines say it
        self.last_id = ""       # what a browser that connects again would send: an id counts from the empty line on
        self.own_id = False
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
                del self.text[:3]
        while True:
            end = re.search(rb"\r\n|\n|\r(?=.)", self.text, re.DOTALL)      # a CR at the very end: a LF may follow
            if not end:
                return None
            line = self.text[:end.start()].decode("utf-8")      # strict, unlike a browser
            del self.text[:end.end()]
            if line == "":
                data, kind, self.last_id = self.data, self.type, self.id
                self.data = self.type = ""
                own_id, self.own_id = self.own_id, False
                if data != "":
                    return Event(self.last_id, kind or "message", data[:-1], own_id)
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
            self.id = value
            self.own_id = True
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            self.retry = int(value)
        else:
            raise AssertionError("a line that a browser ignores: %r" % line)


class Sse(Loses, Http):
    """A stream of server-sent events."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.stream = EventStream()

    def take_event(self):
        """The next one that is a message, or a list of members."""
        event = self.stream.take()
        while event and not event.own_id and event.type != "members":
            if event.type != "token" and (event.type != "missed" or not self.is_missed(event.json())):
                raise AssertionError("no id: %r" % event)
            event = self.stream.take()
        return event

    def take(self):
        event = self.take_event()
        if event:
            return self.with_position(event)
        self.gather()
        self.stream.feed(bytes(self.body))
        self.body.clear()
        event = self.take_event()
        if event is None and self.ended:
            raise Closed("the stream has ended")
        return event and self.with_position(event)

    @staticmethod
    def with_position(event):
        event.id = Position(event.id)
        return event

    def event(self, seconds=None):
        return self.until(self.take, seconds)

    message = event



def error_text(answer):
    return answer.json()["error"]
