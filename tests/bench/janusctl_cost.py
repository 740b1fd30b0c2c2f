#!/usr/bin/env python3
"""`make bench-janusctl`: how long janusctl takes with a server that has 200,000 connections and 1,000,000 topics, and what that costs deliveries.

    tests/bench/janusctl_cost.py [--build build] [--connections N] [--topics-each N] [--rounds N] [--turns N] [--seconds S] [--load LOAD] [--json FILE]

Connections are janusbench's, from many addresses of 127.0.0.0/8, each with topics of its own; they are idle. Then

  questions    each is asked once a round. Printed are medians, and the longest: time; CPU of janusctl, user and system; CPU of the server's processes
               meanwhile, less what they take when nobody asks. On a busy machine the time is mostly that of waiting for a processor.
  deliveries   janusbench publishes to a thousand more subscribers, at a steady rate, and then as fast as it goes. Windows of a second, at whose beginning `topics --top 20` and
               `clients` are asked, take turns with windows in which nobody asks (asked, not, not, asked, ...). Printed are medians of the ratios of the two
               windows of a pair, and the middle half of them: deliveries a second, and the server's CPU a delivery. Where everything has two processors
               together, and needs both, what janusctl takes is missing elsewhere: its share of them is printed, too.

Fails if `topics --top 20` or `clients` takes a second or more (median).
"""
import argparse
import http.client
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import time

import bench
from history_cost import quartiles

PER_PROCESS = 17500     # connections; below RLIMIT_NOFILE of 20,000, with room for the load's
SUBSCRIBERS = 1000      # of the load
LOADS = {"steady": 50, "flood": 3000}      # messages a second; the flood goes as fast as it can, as publishers wait for workers
LIMIT = 1.0             # seconds
ASKED = ("topics", "--top", "20"), ("clients",)


class Server(bench.Janus):
    """Idle connections stay idle: there are no heartbeats, and nobody who has left is waited for."""
    schemes = "flash", "http", "packet", "admin"

    def __init__(self, build, connections, topics):
        super().__init__(build, max(2, -(-connections // PER_PROCESS)))
        self.options = "max_topics=%d" % (topics * 2 + 1000), "session_linger=0", "heartbeat=1h", "keep_alive=1h"

    def start(self):
        super().start()
        self.admin = next(a for a in self.addresses if a.startswith("admin:")).split("//")[1]
        self.addresses = [a for a in self.addresses if not a.startswith("admin:")]
        return self

    def janusctl(self, *words):
        """Its output, as it ended well; what it wrote to stderr is an error."""
        command = [os.path.join(self.build, "janusctl"), "-o", "runtime_dir=%s/run" % self.dir.name, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or done.stderr:
            raise RuntimeError("janusctl %s: %s" % (" ".join(words), done.stderr.strip()[-300:]))
        return done.stdout

    def metrics(self):
        connection = http.client.HTTPConnection(self.admin, timeout=60)
        connection.request("GET", "/metrics")
        answer = connection.getresponse().read()
        connection.close()
        return answer

    def stats(self, kind, name):
        """(From shared memory: also while workers have no time to answer.)"""
        return json.loads(self.janusctl("--json", "stats"))[kind][name]

    def delivered(self):
        return self.stats("counters", "delivered")

    def cpu(self):
        """Seconds that all its processes have taken."""
        total = 0
        for pid in [self.process.pid, *bench.processes_of(self.process.pid)]:
            with open("/proc/%s/schedstat" % pid, encoding="ascii") as f:
                total += int(f.read().split()[0])
        return total / 1e9


class Crowd:
    """The idle connections, and those who hold them."""

    def __init__(self, server, connections, topics_each):
        self.server, self.count, self.topics = server, connections, connections * topics_each
        command = bench.client_command(server, "-n", connections, "-T", connections, "--topics-per-subscriber", topics_each, "--random", "--rate", 1,
                                       "--while-running", 86400, "--topic", "idle", "--timeout", 900)
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()

    def wait(self, seconds=900):
        deadline = time.monotonic() + seconds
        while self.server.stats("gauges", "topics") < self.topics:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.terminate()
                raise RuntimeError("connections are not there: " + self.process.communicate()[1][-300:])
            time.sleep(0.1)


# ---- questions ----

def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def questions(server):
    """By name: a function that asks."""
    topic = json.loads(server.janusctl("--json", "topics", "--top", "1"))["topics"][0]["topic"]
    client = json.loads(server.janusctl("--json", "clients", "--topic", topic))["clients"][0]
    asked = [*ASKED, ("topics", topic[:-2]), ("clients", "--topic", topic), ("clients", "--user", "nobody"), ("clients", "--transport", "flash", "--idle-more-than", "1"),
             ("clients", "--address", client["address"].rsplit(":", 1)[0]), ("client", client["id"]), ("status",), ("workers",), ("stats",)]
    return {**{" ".join(words): lambda words=words: server.janusctl(*words) for words in asked}, "GET /metrics": server.metrics}


def ask_all(server, rounds, say):
    asked = questions(server)
    seen = {name: [] for name in asked}
    for number in range(rounds):
        started, before = time.monotonic(), server.cpu()
        time.sleep(0.2)
        idle = (server.cpu() - before) / (time.monotonic() - started)
        for name in asked if number % 2 == 0 else reversed(asked):
            started, before, own = time.monotonic(), server.cpu(), children_cpu()
            asked[name]()
            took = time.monotonic() - started
            seen[name].append({"s": took, "cpu": children_cpu() - own, "server_cpu": max(0, server.cpu() - before - idle * took)})
    say("%-50s %9s %9s %12s %12s" % ("question, ms", "median", "longest", "its CPU", "server CPU"))
    found = {}
    for name, all_of in seen.items():
        middle = {key: statistics.median(one[key] for one in all_of) for key in all_of[0]}
        found[name] = {**middle, "longest": max(one["s"] for one in all_of)}
        say("%-50s %9.1f %9.1f %12.1f %12.2f" % (name, *(1000 * found[name][key] for key in ("s", "longest", "cpu", "server_cpu"))))
    return found


# ---- deliveries ----

class Load:
    """A publisher and its subscribers, until it is left."""

    def __init__(self, server, options, name):
        self.server, self.subscribers = server, options.subscribers
        seconds = 3 * options.turns * 2 * options.seconds + 60
        command = bench.client_command(server, "-n", options.subscribers, "--topic", "load", "--while-running", seconds, "--rate", LOADS[name])
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        begin, deadline = self.server.delivered(), time.monotonic() + 60
        while self.server.delivered() < begin + 2 * self.subscribers:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError("the load does not begin")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()


def window(server, seconds, asks):
    """What happens in a window of time, at whose beginning somebody asks, or nobody does."""
    started, cpu, count = time.monotonic(), server.cpu(), server.delivered()
    for words in ASKED if asks else ():
        server.janusctl(*words)
    time.sleep(max(0, started + seconds - time.monotonic()))
    count, cpu, took = server.delivered() - count, server.cpu() - cpu, time.monotonic() - started
    return {"deliveries a second": count / took, "server CPU a delivery, us": 1e6 * cpu / count}


def cost(server, name, options, say):
    turns = {True: [], False: []}
    with Load(server, options, name):
        for number in range(options.turns):
            for asks in (True, False) if number % 2 == 0 else (False, True):
                turns[asks].append(window(server, options.seconds, asks))
    say("%s: asked every %g s / not asked" % (name, options.seconds))
    found = {}
    for figure in turns[False][0]:
        ratios = [asked[figure] / plain[figure] for asked, plain in zip(turns[True], turns[False])]
        low, middle, high = quartiles(ratios) if len(ratios) > 1 else ratios * 3
        found[figure] = {"ratio": middle, "low": low, "high": high, "not_asked": statistics.median(one[figure] for one in turns[False])}
        say("  %-30s %.3f (middle half %.3f to %.3f); not asked: %.4g" % (figure, middle, low, high, found[figure]["not_asked"]))
    return found


# ---- all of it ----

def parse(arguments=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build")
    p.add_argument("--connections", type=int, default=200000)
    p.add_argument("--topics-each", type=int, default=5, help="topics of each")
    p.add_argument("--rounds", type=int, default=15, help="times that each question is asked")
    p.add_argument("--turns", type=int, default=40, help="pairs of windows of each load")
    p.add_argument("--seconds", type=float, default=1, help="of a window")
    p.add_argument("--load", action="append", choices=list(LOADS), help="one of the loads alone")
    p.add_argument("--subscribers", type=int, default=SUBSCRIBERS, help="of the load")
    p.add_argument("--json", help="what was found, as JSON")
    options = p.parse_args(arguments)
    options.load = options.load or list(LOADS)
    return options


def run(options, say=print):
    """What was found; `say`: a line of it."""
    topics = options.connections * options.topics_each
    need = 2 + 20 * options.connections / 1e6
    if bench.available_gib() < need:
        sys.exit("%.0f GiB of free memory are needed, %.1f are there" % (need, bench.available_gib()))
    with Server(options.build, options.connections, topics) as server, Crowd(server, options.connections, options.topics_each) as crowd:
        started = time.monotonic()
        crowd.wait()
        say("%d connections and %d topics are there after %.0f s; %d workers, %d processors, load average %.1f" % (
            options.connections, topics, time.monotonic() - started, server.workers, os.cpu_count(), os.getloadavg()[0]))
        asked = ask_all(server, options.rounds, say)
        share = sum(asked[" ".join(words)]["cpu"] for words in ASKED) / os.cpu_count()
        extra = sum(asked[" ".join(words)]["server_cpu"] for words in ASKED) / os.cpu_count()
        say("both of %s once a second: %.1f %% of the machine's CPU for janusctl, %.2f %% for the server" % (
            " and ".join("`%s`" % " ".join(words) for words in ASKED), 100 * share, 100 * extra))
        return {"connections": options.connections, "topics": topics, "cpus": os.cpu_count(), "questions": asked, "janusctl_share": share, "server_share": extra,
                "cost": {load: cost(server, load, options, say) for load in options.load}}


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    found = run(options, lambda line: print(line, flush=True))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as f:
            json.dump(found, f, indent=1)
    late = [" ".join(words) for words in ASKED if found["questions"][" ".join(words)]["s"] >= LIMIT]
    for name in late:
        print("%s takes %g s or more" % (name, LIMIT))
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
