#!/usr/bin/env python3
"""
Publishes what is appended to a file, a message a line, and misses nothing: neither over a restart of the server nor over its own.

    publisher.py FILE TOPIC [http://127.0.0.1:8080]

The server: janus -o data=/var/lib/janus -o 'history=TOPIC: 100000 messages'

The file is the outbox: how far it was published stands in FILE.state. A line goes on being sent until it is answered, each time with the same
Idempotency-Key, so the server publishes it once, whatever broke in between. FILE.state is written behind the answer: who dies between the two sends that line
again, and the server knows its key.

What that comes to: every line is published once, if the repeat comes within `once_time` (10 minutes) and 65,536 keys (`once_keys`); later it is published a
second time, but never not at all. An answer says that the server has the message, not that its disk has: if all of its processes are killed at once, or the
machine stops, answered messages of the last moment (`data_sync`) may be gone. A reader of the topic is told then: `recovered` is false.
"""
import http.client
import json
import os
import random
import sys
import time
import urllib.parse
import uuid

TIMEOUT = 10            # seconds that an answer may take, before the line is sent again
DELAY = 0.1, 5          # seconds before it is, at first and at most


class State:
    """Up to which byte the file is published, and a name for this file that no other one has."""

    def __init__(self, path):
        self.path = path
        try:
            with open(path) as f:
                self.values = json.load(f)
        except FileNotFoundError:
            self.values = {"name": str(uuid.uuid4()), "published": 0}
            self.save()         # before anything is sent: keys begin with the name

    def save(self):
        """All of it or nothing is written, wherever this is interrupted."""
        with open(self.path + ".new", "w") as f:
            json.dump(self.values, f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(self.path + ".new", self.path)


class Publisher:
    def __init__(self, server, topic):
        self.address = urllib.parse.urlsplit(server).netloc
        self.target = "/pub?topic=" + urllib.parse.quote(topic, safe="")
        self.connection = None

    def publish(self, key, body):
        """Returns when the message is published."""
        delay = DELAY[0]
        while True:
            try:
                status, wait, answer = self.post(key, body)
            except (OSError, http.client.HTTPException) as error:
                status, wait, answer = None, None, error        # it may be published, or not: so the same once more
                self.connection = None
            if status == 200:
                if answer["id"] is None:
                    raise SystemExit("nobody subscribes this topic, and the server's `history` does not keep it: the message is lost")
                return answer["id"]
            if status is not None and status < 500 and status not in (408, 429):
                raise SystemExit("refused with %d: %s" % (status, answer))      # it would be again
            print("not now: %s" % answer, file=sys.stderr)
            time.sleep(float(wait) if wait else delay * random.uniform(0.5, 1.5))
            delay = min(2 * delay, DELAY[1])

    def post(self, key, body):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT)
        self.connection.request("POST", self.target, body, {"Idempotency-Key": key, "Content-Type": "text/plain"})
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, answer.getheader("Retry-After"), json.loads(text) if answer.status == 200 else text.decode(errors="replace").strip()


def follow(path, position):
    """The file's lines behind a position, and where each ends; for ever."""
    with open(path, "rb") as f:
        f.seek(position)
        line = b""
        while True:
            line += f.readline()
            if line.endswith(b"\n"):
                yield line[:-1], f.tell()
                line = b""
            else:
                time.sleep(0.1)         # no whole line yet


def main(path, topic, server="http://127.0.0.1:8080"):
    state, publisher = State(path + ".state"), Publisher(server, topic)
    for line, end in follow(path, state.values["published"]):
        if line:                        # an empty line is no message
            publisher.publish("%s-%d" % (state.values["name"], end), line)
        state.values["published"] = end
        state.save()


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        pass
