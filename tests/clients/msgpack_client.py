"""A packet client with Python's `msgpack`: msgpack_client.py HOST PORT. Sends a packet for each JSON line on its input, and writes a JSON line
for each that comes; {"base64": TEXT} stands for bin."""
import base64
import json
import socket
import struct
import sys
import threading

import msgpack


def from_json(value):
    return base64.b64decode(value["base64"]) if set(value) == {"base64"} else value


def to_json(value):
    return {"base64": base64.b64encode(value).decode()}


connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))


def listen():
    with connection.makefile("rb") as stream:
        while head := stream.read(4):
            data = stream.read(struct.unpack(">I", head)[0])
            print(json.dumps(msgpack.unpackb(data, strict_map_key=True), default=to_json), flush=True)
    print(json.dumps({"end": True}), flush=True)


threading.Thread(target=listen, daemon=True).start()
for line in sys.stdin:
    data = msgpack.packb(json.loads(line, object_hook=from_json))
    connection.sendall(struct.pack(">I", len(data)) + data)
