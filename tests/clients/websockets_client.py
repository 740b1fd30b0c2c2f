"""A WebSocket of Python's `websockets`: websockets_client.py URL [HEADERS]. Speaks with the test as ws.js does."""
import asyncio
import base64
import json
import sys

import websockets


def say(**what):
    print(json.dumps(what), flush=True)


async def obey(socket):
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = json.loads(line)
        if "send" in order:
            await socket.send(order["send"])
        if "binary" in order:
            await socket.send(base64.b64decode(order["binary"]))
        if "parts" in order:
            await socket.send(order["parts"])
        if "ping" in order:
            await (await socket.ping(order["ping"]))
            say(pong=order["ping"])
        if "close" in order:
            await socket.close(*order["close"])


async def main():
    headers = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    try:
        socket = await websockets.connect(sys.argv[1], extra_headers=headers, ping_interval=None, max_size=1 << 24)
    except websockets.InvalidStatusCode as e:
        say(refused=e.status_code)
        return
    say(open="", extensions=",".join(e.name for e in socket.extensions))
    orders = asyncio.ensure_future(obey(socket))
    try:
        async for message in socket:
            if isinstance(message, str):
                say(text=message)
            else:
                say(binary=base64.b64encode(message).decode())
    except websockets.ConnectionClosedError:
        pass
    say(close=socket.close_code, reason=socket.close_reason)
    orders.cancel()


asyncio.run(main())
