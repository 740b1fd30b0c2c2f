#!/usr/bin/env python3
"""What heartbeats of idle WebSockets cost a worker: its CPU, by the scheduler's clock (/proc/PID/schedstat).

    tests/bench/heartbeat_cost.py [--build build] [--connections N] [--heartbeat S] [--seconds S] [--json FILE]

One slot has N WebSockets, janusbench's, which have subscribed a topic and hear nothing but pings, which they answer. Printed are microseconds of CPU a second for each, of that worker. On
loopback, what the kernel does to deliver a ping to the client's socket is done by who sends it, and so is in it. Choose seconds of which the heartbeat is a part, or nearly: all are pinged within a few seconds.
"""
import sys
import time

import bench
import pause


class Server(pause.Server):
    schemes, speak = ("flash", "http"), "ws"

    def __init__(self, build, heartbeat):
        super().__init__(build, 1)
        self.options = "heartbeat=%ds" % heartbeat, "session_linger=0"


def used(pid):
    """Seconds of CPU."""
    with open("/proc/%d/schedstat" % pid, encoding="ascii") as f:
        return int(f.read().split()[0]) / 1e9


def measure(args):
    with Server(args.build, args.heartbeat) as server:
        pause.expect_room(server, args.connections)
        idle = pause.Idle(server, args.connections, "idle")
        worker = pause.worker_of(server)
        time.sleep(2)
        before, began = used(worker), time.monotonic()
        time.sleep(args.seconds)
        cpu, seconds = used(worker) - before, time.monotonic() - began
        idle.stop()
    return {"connections": args.connections, "heartbeat": args.heartbeat, "seconds": seconds, "cpu_seconds": cpu, "us_per_second_each": 1e6 * cpu / seconds / args.connections}


def say(result):
    print("%(connections)d WebSockets, heartbeat %(heartbeat)d s: %(us_per_second_each).2f us of CPU a second each (%(cpu_seconds).2f s in %(seconds).0f s)" % result)


if __name__ == "__main__":
    sys.exit(bench.one_figure(__doc__, measure, say, connections=bench.number(19000), heartbeat=bench.number(30, "seconds"), seconds=bench.number(60)))
