#!/usr/bin/env python3
"""
A client of the packet port: 4 bytes of length, big-endian, then a msgpack map. Takes python3-msgpack (or `pip install msgpack`).

    packets.py HOST PORT subscribe TOPIC...         prints what comes, a line of JSON each; binary data as its size
    packets.py HOST PORT publish TOPIC FILE         publishes a file's bytes as they are, and prints the answer

The server: janus -o listen=packet://127.0.0.1:8082
"""
import json
import socket
import struct
import sys

import msgpack


class Packets:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port))
        self.stream = self.socket.makefile("rb")
        self.greeting = self.receive()          # {"janus": version, "features": [...], "token": ...}
        if "janus" not in self.greeting:
            raise ConnectionError(self.greeting.get("error", "this is no packet port"))

    def send(self, op, **members):
        data = msgpack.packb(dict(members, op=op))
        self.socket.sendall(struct.pack(">I", len(data)) + data)

    def receive(self):
        """The next packet: a reply has "ok", a message has not. A heartbeat, {"ok": True, "ping": ...}, is passed over."""
        while True:
            length, = struct.unpack(">I", self.exactly(4))
            packet = msgpack.unpackb(self.exactly(length), strict_map_key=True)
            if "ping" not in packet:
                return packet

    def exactly(self, size):
        data = self.stream.read(size)
        if len(data) < size:
            raise ConnectionError("the connection has ended")
        return data

    def ask(self, op, **members):
        """A reply. (On a connection that subscribes, messages may come before it: there, tell replies by a `ref` of your own.)"""
        self.send(op, **members)
        reply = self.receive()
        if not reply["ok"]:
            raise ValueError(reply["error"])
        return reply


def main(host, port, what, topic, *more):
    client = Packets(host, int(port))
    if what == "publish":
        with open(more[0], "rb") as f:
            # bin in msgpack is binary data to all others, too; a str would be text. `receipt`: it is answered also if all is well.
            print(json.dumps(client.ask("publish", topic=topic, data=f.read(), receipt=True)))
        return
    client.ask("subscribe", topic=[topic, *more])
    while True:
        print(json.dumps(client.receive(), default=lambda data: "%d bytes" % len(data)), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[3] not in ("subscribe", "publish") or (sys.argv[3] == "publish" and len(sys.argv) != 6):
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        pass
    except (OSError, ValueError) as error:
        sys.exit("packets.py: %s" % error)
