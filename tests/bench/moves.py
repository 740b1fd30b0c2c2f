#!/usr/bin/env python3
"""How long it takes until connections have moved, and how much of it others hear, by a client's own clock.

    tests/bench/moves.py [--build build] [--connections N] [--workers N...] [--rate N] [--json FILE]

N connections, janusbench's, each subscribed and idle, are with the first number of workers; each further number is what a reload makes of it. A few more listen to a publisher, as with pause.py, and
note when each message arrives. Printed is, of each reload, how long `janusctl reload` took, how many connections moved, how long until every worker had its share, and the longest gap of those who listen, from the last
worker's being live on, beside the longest of as long a time before. All messages must come, once and in order.
"""
import json
import os
import sys
import threading
import time

import bench
import pause

LISTENERS = 4


class Server(pause.Server):
    """Its workers are what a file says."""

    def configure(self, workers):
        with open(os.path.join(self.dir.name, "conf"), "w", encoding="ascii") as f:
            f.write("workers = %d\n" % workers)

    def command(self):
        self.configure(self.workers)
        command = super().command()
        at = command.index("workers=%d" % self.workers)
        del command[at - 1:at + 1]
        command[command.index("-c") + 1] = os.path.join(self.dir.name, "conf")
        return command

    def shares(self):
        return [w["connections"] for w in json.loads(self.ctl("workers", "--json"))["workers"]]


def wait_even(server, workers, seconds=60):
    end = time.monotonic() + seconds
    while True:
        has = server.shares()
        if len(has) == workers and max(has) - min(has) <= max(2, sum(has) / workers / 10):
            return
        if time.monotonic() > end:
            raise RuntimeError("the shares are %s" % has)
        time.sleep(0.02)


def reload(server, workers):
    """(when it began, when the last worker was live, when connections had moved, its report)"""
    server.configure(workers)
    began = time.monotonic()
    report = json.loads(server.ctl("reload", "--json"))
    told = time.monotonic()
    wait_even(server, workers)
    started = max(w["started"] for w in json.loads(server.ctl("workers", "--json"))["workers"]) / 1e6
    live = started - time.time() + time.monotonic() + max((s["paused_ms"] for s in report["slots"]), default=0) / 1000
    return began, live, told, time.monotonic(), report


def measure(args):
    with Server(args.build, args.workers[0]) as server:
        idle = pause.Idle(server, args.connections, "idle")
        listeners, sent, stop, found = [pause.Listener(server.addresses[0], "heard") for _ in range(LISTENERS)], [0], threading.Event(), []
        gaps = pause.Gaps(listeners, args.rate)

        def disturb():
            try:
                for workers in args.workers[1:]:
                    time.sleep(2)
                    found.append(reload(server, workers))
                time.sleep(1)
            finally:
                stop.set()

        threads = [threading.Thread(target=disturb), threading.Thread(target=pause.publish, args=(server.addresses[0], "heard", args.rate, stop, sent))]
        for t in threads:
            t.start()
        gaps.listen(stop)
        for t in threads:
            t.join()
        idle.stop()
    for x in listeners:
        if sent[0] - x.due > args.rate:
            raise RuntimeError("%d messages of %d have come" % (x.due, sent[0]))
    return [{"workers": args.workers[n:n + 2], "moved": report["connections"]["moved"], "lost": report["connections"]["lost"], "reload_ms": 1000 * (told - began), "even_ms": 1000 * (even - live),
             "longest_ms": gaps.longest(live, even), "quiet_ms": gaps.longest(began - max(0.5, even - live), began - 0.05)}
            for n, (began, live, told, even, report) in enumerate(found)]


def say(result):
    for r in result:
        print("%d to %d workers: %d moved, %d lost; told after %.0f ms; even %.0f ms after the last worker was live; longest gap meanwhile %.1f ms, before it %.1f ms" %
              (*r["workers"], r["moved"], r["lost"], r["reload_ms"], r["even_ms"], r["longest_ms"], r["quiet_ms"]))


if __name__ == "__main__":
    sys.exit(bench.one_figure(__doc__, measure, say, connections=bench.number(10000), workers={"type": int, "nargs": "+", "default": [1, 2, 1]}, rate=bench.number(300, "messages a second")))
