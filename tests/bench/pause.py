#!/usr/bin/env python3
"""How long a worker's death, or a reload, is heard by clients: by a client's own clock.

    tests/bench/pause.py [--build build] [--connections N] [--kills N] [--reload [--replace]] [--rate N] [--busy N] [--json FILE]

One slot has N connections, janusbench's, each subscribed and idle. A few more, spread over the time in which those came, are sent a message every few milliseconds by a
publisher that is a connection of the same slot, and note when each message arrives. The worker is killed (SIGKILL), or the server is told to reload, again and again; with --replace, the program is another file each time. Printed is the longest gap
of any of these clients around each, less the longest gap of any of them in as long a time without: median, and the longest. With --busy, so many more subscribers are sent every message,
too, so that the worker is mostly in the midst of a fan-out. All messages must come, once and in order.
"""
import json
import os
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import bench

LISTENERS = 10          # who note when messages arrive
WINDOW = 0.5            # seconds around a kill, and of each stretch without


class Listener:
    def __init__(self, address, topic):
        host, port = address.split("//")[1].rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.rest, self.due = b"", 0
        self.until(b"\1")
        self.socket.sendall(json.dumps({"action": "subscribe", "data": topic}).encode() + b"\0")
        self.until(b"\1")

    def until(self, end):
        while not self.rest.endswith(end):
            self.rest += self.socket.recv(4096)
        self.rest = b""

    def take(self):
        self.rest += self.socket.recv(262144)
        *frames, self.rest = self.rest.split(b"\1")
        for frame in frames:
            n = json.loads(frame)["n"]
            if n != self.due:
                raise RuntimeError("message %d came where %d was due" % (n, self.due))
            self.due += 1


def publish(address, topic, rate, stop, sent):
    """In a thread: a message every 1/rate seconds; those that could not be sent in time follow at once."""
    connection = Listener(address, "nothing")
    started = time.monotonic()
    while not stop.is_set():
        message = {"action": "publish", "topic": topic, "n": sent[0]}
        connection.socket.sendall(json.dumps(message).encode() + b"\0")
        sent[0] += 1
        time.sleep(max(0, started + sent[0] / rate - time.monotonic()))


class Gaps:
    """Who listens, in a process' own time: (from, to) of gaps that are longer than a few of the publisher's."""

    def __init__(self, listeners, rate):
        self.listeners, self.least, self.found = listeners, 1.5 / rate, []
        self.poll = select.epoll()
        self.by_fd = {x.socket.fileno(): x for x in listeners}
        for x in listeners:
            self.poll.register(x.socket, select.EPOLLIN)

    def listen(self, stop):
        heard = {}
        while not stop.is_set():
            for fd, _ in self.poll.poll(0.1):
                now = time.monotonic()
                self.by_fd[fd].take()
                if fd in heard and now - heard[fd] > self.least:
                    self.found.append((heard[fd], now))
                heard[fd] = now

    def longest(self, begin, end):
        """The longest that touches this time, milliseconds."""
        return 1000 * max((b - a for a, b in self.found if a < end and b > begin), default=self.least)


def worker_of(server):
    for pid in bench.processes_of(server.process.pid):
        with open("/proc/%s/comm" % pid, encoding="ascii") as f:
            if f.read().startswith("janus-worker"):
                return int(pid)
    raise RuntimeError("there is no worker")


class Server(bench.Janus):
    schemes = ("flash",)
    options = "heartbeat=1h", "session_linger=0", "max_topics=200000"

    def ctl(self, *words):
        return subprocess.run([os.path.join(self.build, "janusctl"), "-o", "runtime_dir=%s/run" % self.dir.name, *words], check=True, capture_output=True, text=True).stdout

    def memory(self):
        return sum(int(line.split()[1]) for pid in bench.processes_of(self.process.pid) for line in open("/proc/%s/smaps_rollup" % pid) if line.startswith("Pss:"))


def expect_room(server, connections):
    """janusbench would wait for those that are refused."""
    room = json.loads(server.ctl("status", "--json"))["connections_max"]
    if connections > room:
        raise SystemExit("%d connections are more than the %d that there is room for in the slot, as descriptors are limited" % (connections, room))


class Idle:
    """janusbench's connections, which only wait."""

    def __init__(self, server, count, topic, *more):
        self.process = subprocess.Popen(bench.client_command(server, "-n", count, "--topic", topic, "--hold", *more), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "ready" in line:
                return
        raise RuntimeError("connections are not there")

    def stop(self):
        self.process.kill()
        self.process.communicate()


def programs_of(build, folder):
    """Copies, of which one can be replaced."""
    for name in os.listdir(build):
        path = os.path.join(build, name)
        if name.startswith("janus") and os.path.isfile(path):
            shutil.copy(path, folder)
    return folder


def measure(args):
    with tempfile.TemporaryDirectory() as folder:
        return measure_with(args, programs_of(args.build, folder) if args.replace else args.build)


def measure_with(args, build):
    if args.verbose:
        Server.options += "log_level=info",
    with Server(build, 1) as server:
        address, idle, listeners, sent, stop = server.addresses[0], [], [], [0], threading.Event()
        expect_room(server, args.connections + args.busy + LISTENERS + 1)
        for i in range(LISTENERS):
            if args.connections > 0:
                idle.append(Idle(server, args.connections // LISTENERS, "idle%d" % i))
            listeners.append(Listener(address, "heard"))
        if args.busy:
            idle.append(Idle(server, args.busy, "heard"))
        gaps = Gaps(listeners, args.rate)
        kills = []

        def disturb():
            time.sleep(2)
            for _ in range(args.kills):
                # (Connections' number of a turn varies with where in it the worker is hit.)
                time.sleep(WINDOW + 0.4 + 0.017 * (len(kills) % 7))
                kills.append(time.monotonic())
                if args.reload:
                    if args.replace:
                        shutil.copy(os.path.join(args.build, "janus"), server.build + "/next")
                        os.rename(server.build + "/next", server.build + "/janus")
                    server.ctl("reload")
                else:
                    os.kill(worker_of(server), signal.SIGKILL)
            time.sleep(1)
            stop.set()

        threads = [threading.Thread(target=disturb), threading.Thread(target=publish, args=(address, "heard", args.rate, stop, sent))]
        for t in threads:
            t.start()
        gaps.listen(stop)
        for t in threads:
            t.join()
        log = open(os.path.join(server.dir.name, "log"), encoding="utf-8").read() if args.verbose else ""
        for x in idle:
            x.stop()
    for x in listeners:
        if sent[0] - x.due > args.rate:
            raise RuntimeError("%d messages of %d have come" % (x.due, sent[0]))
    quiet = [gaps.longest(at - WINDOW - 0.2, at - 0.2) for at in kills]
    killed = [gaps.longest(at, at + WINDOW) for at in kills]
    base = statistics.median(quiet)
    if args.verbose:
        print(log, ["%.1f" % k for k in killed])
    return {"connections": args.connections, "kills": len(kills), "reload": args.reload, "busy": args.busy, "quiet_ms": base, "median_ms": statistics.median(killed) - base,
            "longest_ms": max(killed) - base}


def say(result):
    print("%(connections)d connections, %(kills)d times: %(median_ms).1f ms (median), %(longest_ms).1f ms (longest), beyond %(quiet_ms).1f ms without" % result)


if __name__ == "__main__":
    sys.exit(bench.one_figure(
        __doc__, measure, say, connections=bench.number(19000), kills=bench.number(20), reload={"action": "store_true", "help": "instead of killing"},
        replace={"action": "store_true", "help": "the program, before each reload"},
        rate=bench.number(500, "messages a second"), busy=bench.number(0), verbose={"action": "store_true", "help": "show each, and what the server has logged"}))
