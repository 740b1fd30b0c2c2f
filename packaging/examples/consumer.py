#!/usr/bin/env python3
"""
Takes every message of a topic into a database (SQLite), and misses none: neither over a restart of the server nor over its own.

    consumer.py DATABASE TOPIC [http://127.0.0.1:8080]

The server: janus -o data=/var/lib/janus -o 'history=TOPIC: 100000 messages'

It asks by long polls for what came behind the last position that it had. Messages and position are written in one transaction, so each message is in the
database exactly once. What else handle() did for a message (a mail, a request to others) would be done at least once: it is done again if this program dies
before the transaction ends.

Nothing is missed as long as the server still has it: `history` must keep more than comes while this program is away. If something is gone the server says so
(`recovered` is false), and so does this program.
"""
import http.client
import json
import random
import sqlite3
import sys
import time
import urllib.parse

WAIT = 30               # seconds that the server waits for a message before it answers that there is none
DELAY = 0.1, 5          # seconds before it is asked again after a failure, at first and at most


class Database:
    def __init__(self, path):
        self.db = sqlite3.connect(path)
        self.db.execute("CREATE TABLE IF NOT EXISTS messages (id TEXT PRIMARY KEY, timestamp INTEGER, data TEXT)")
        self.db.execute("CREATE TABLE IF NOT EXISTS positions (topic TEXT PRIMARY KEY, position TEXT)")

    def position(self, topic):
        row = self.db.execute("SELECT position FROM positions WHERE topic = ?", (topic,)).fetchone()
        return row[0] if row else None

    def take(self, topic, messages, position):
        with self.db:                   # one transaction
            for message in messages:
                self.handle(message)
            self.db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", (topic, position))

    def handle(self, message):
        data = message.get("data")
        self.db.execute("INSERT INTO messages VALUES (?, ?, ?)", (message["id"], message["timestamp"], data if isinstance(data, str) else json.dumps(data)))


class Consumer:
    def __init__(self, server, topic):
        self.address = urllib.parse.urlsplit(server).netloc
        self.topic = urllib.parse.quote(topic, safe="")
        self.connection = None

    def next(self, position):
        """What came behind a position, or after WAIT seconds nothing; at the very first (None) the newest that are kept."""
        target = "/poll?topic=%s&since=%s&wait=%d" % (self.topic, position, WAIT) if position else "/history?topic=%s&limit=1000" % self.topic
        delay = DELAY[0]
        while True:
            try:
                status, answer = self.get(target)
            except (OSError, http.client.HTTPException) as error:
                status, answer = None, error
                self.connection = None
            if status == 200:
                return json.loads(answer)
            if status is not None and status < 500 and status not in (408, 429):
                raise SystemExit("refused with %d: %s" % (status, answer))      # it would be again
            print("not now: %s" % answer, file=sys.stderr)
            time.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(2 * delay, DELAY[1])

    def get(self, target):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address, timeout=WAIT + 10)
        self.connection.request("GET", target)
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()


def main(path, topic, server="http://127.0.0.1:8080"):
    database, consumer = Database(path), Consumer(server, topic)
    while True:
        position = database.position(topic)
        answer = consumer.next(position)
        if position and not answer["recovered"]:
            print("messages are missing here: at least %d" % answer.get("missing", 0), file=sys.stderr)
        database.take(topic, answer["messages"], answer["position"])


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        pass
