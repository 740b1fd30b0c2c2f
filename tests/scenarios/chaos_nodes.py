#!/usr/bin/env python3
"""Chaos among nodes: bridges, workers and nats-servers are killed in turn, while messages go from every node to every node.

    tests/scenarios/chaos_nodes.py [--seed N] [--seconds S] [--nodes N] [--subscribers N] [--topics N] [--publishers N] [--rate N] [--pause S] [--stream]
                                [--log FOLDER]

Each node is a server in a folder of its own, and has a nats-server of a cluster that it asks first. A janusbench spreads its subscribers and publishers
over all nodes, and checks every byte that each of them gets: the run is good if none was lost, doubled or torn, if each publisher's messages came in order and
all subscribers of a node saw one order, if no connection broke, and if no node counts a loss. Exit status 0 then.
With --stream topics have one history, in a stream of the cluster: at the end all nodes must have the same of it, ids too.
With --log all that nodes and nats-servers have logged is kept, and what was done.
"""
import argparse
import http.client
import json
import os
import random
import signal
import sys
import threading
import time

import janus_test
from janus_test import Bench, Server, parse_url, wait_until
from nats_servers import NatsCluster

SPEAK = "flash,ws,sse,json-lines,packet"
PROTOCOLS = ("flash", "http", "packet")
LOSSES = ("nodes_lost", "nodes_refused", "nodes_stream_missed", "closed_blamed", "closed_slot", "closed_slow", "closed_uncertain", "dropped_overtaken", "bad_input")


class NodesChaos:
    def __init__(self, options, build=None):
        self.options = options
        self.random = random.Random(options.seed)
        self.over = threading.Event()
        self.cluster = NatsCluster(options.nodes, streams=options.stream)
        more = ("nats_stream=chaos", "history=bench-*: 1000 messages", "history_bytes=64M") if options.stream else ()
        self.servers = [Server("nats=" + self.cluster.url_from(n), "node=node-%d" % n, "keep_alive=24h", *more, workers=options.workers, build=build,
                               listen=["%s://127.0.0.1:0" % protocol for protocol in PROTOCOLS]) for n in range(options.nodes)]
        self.done = dict.fromkeys(("bridge", "worker", "nats"), 0)
        self.deeds = []
        self.failures = []
        self.figures = None

    # what is done

    def note(self, deed):
        now = time.time()
        self.deeds.append("%s.%03dZ %s" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)), now % 1 * 1000, deed))

    def kill_bridge(self):
        server = self.random.choice(self.servers)
        old = wait_until(lambda: server.called("janus-bridge"), 20, "a bridge")
        self.note("bridge of node %d" % self.servers.index(server))
        server.kill(old, "bridge")

    def kill_worker(self):
        server = self.random.choice(self.servers)
        self.note("a worker of node %d" % self.servers.index(server))
        server.kill_worker(self.random.randrange(self.options.workers))

    def kill_nats(self):
        """One of them, for a while, is not there."""
        nats = self.random.choice(self.cluster)
        self.note(nats.name)
        nats.kill()
        self.over.wait(self.options.pause * self.random.random())
        nats.start()
        self.note(nats.name + " is there again")
        self.cluster.wait_joined()
        if self.options.stream:
            self.cluster.wait_whole()

    def trouble(self):
        """All kinds in turn, until the end."""
        try:
            while not self.over.wait(self.options.pause * (0.5 + self.random.random())):
                kind = ("bridge", "worker", "nats")[sum(self.done.values()) % 3]
                getattr(self, "kill_" + kind)()
                self.done[kind] += 1
        except Exception as e:
            self.failures.append("%s: %s" % (type(e).__name__, e))

    # the run

    def watch(self, bench):
        """Says when it is time to end."""
        began = time.monotonic()
        while bench.running() and time.monotonic() - began < self.options.seconds:
            time.sleep(0.05)
        self.over.set()

    def state(self, server):
        status, out, _ = server.ctl("nodes", "--json")
        return json.loads(out) if status == 0 else {"state": None, "peers": []}

    def joined(self):
        return all(sum(peer["state"] == "here" for peer in self.state(server)["peers"]) == self.options.nodes - 1 for server in self.servers)

    def have_stream(self):
        streams = [self.state(server).get("stream") or {} for server in self.servers]
        return all(stream.get("state") == "here" and stream["last"] == streams[0]["last"] for stream in streams)

    def history(self, server, topic):
        host, port = parse_url(next(url for url in server.status()["listen"] if url.startswith("http")))[-2:]
        connection = http.client.HTTPConnection(host, port, timeout=20 * janus_test.SLOWNESS)
        try:
            connection.request("GET", "/history/bench-%d?limit=1000" % topic)
            return [(m["id"], m["data"]) for m in json.loads(connection.getresponse().read())["messages"]]
        finally:
            connection.close()

    def check_history(self):
        """One order, and the same ids, on all nodes."""
        wait_until(self.have_stream, 60, "all nodes to have all of the stream", pause=0.05)
        for topic in range(self.options.topics):
            histories = [self.history(server, topic) for server in self.servers]
            if not histories[0] or any(history != histories[0] for history in histories):
                every = set().union(*histories)
                self.failures.append("topic %d: not one history: %r; not on all: %s" % (
                    topic, [len(history) for history in histories], sorted({m[0] for m in every if any(m not in history for history in histories)})[:20]))

    def run(self):
        o = self.options
        self.cluster.start()
        for server in self.servers:
            server.launch()
        for server in self.servers:
            server.wait_started()
        wait_until(self.joined, 30, "the nodes to see each other", pause=0.05)
        if o.stream:
            wait_until(self.have_stream, 30, "the stream to be on all nodes", pause=0.05)
        addresses = [{protocol: parse_url(url) for protocol, url in zip(PROTOCOLS, server.status()["listen"])} for server in self.servers]
        bench = Bench(addresses, "--speak", SPEAK, "-n", o.subscribers * o.nodes, "-T", o.topics, "-p", o.publishers * o.nodes, "--rate", o.rate,
                      "--while-running", o.seconds, "--timeout", 60 * janus_test.SLOWNESS, hold=True)
        try:
            bench.wait_ready(60)
            for topic in range(0 if o.stream else o.topics):
                wait_until(lambda: self.cluster.interest("janus.topic.bench-%d" % topic) == o.nodes, 30, "all nodes to ask for topic %d" % topic)
            bench.release()
            threading.Thread(target=self.watch, args=(bench,), daemon=True).start()
            self.trouble()      # (not in the other thread: what a thread has started ends with it, and nats-servers are needed still)
            self.figures = bench.finish(90, status=None)
        finally:
            self.over.set()
            bench.kill()
        self.check(bench)

    def check(self, bench):
        if bench.process.returncode != 0:
            self.failures.append("janusbench: status %d: %s" % (bench.process.returncode, bench.said()))
        wait_until(self.joined, 30, "the nodes to see each other at the end", pause=0.05)
        if self.options.stream:
            self.check_history()
        for server in self.servers:
            counters = server.stats()["counters"]
            lost = {name: counters[name] for name in LOSSES if counters.get(name)}
            if lost:
                self.failures.append("node %d counts losses: %s" % (self.servers.index(server), lost))

    def keep(self, folder):
        os.makedirs(folder, exist_ok=True)
        logs = [("node-%d" % n, server.log()) for n, server in enumerate(self.servers)] + [(nats.name, nats.log()) for nats in self.cluster]
        for name, text in logs + [("done", "".join(deed + "\n" for deed in self.deeds))]:
            with open(os.path.join(folder, name + ".log"), "w") as f:
                f.write(text)

    def end(self):
        for server in self.servers:
            try:
                if server.running():
                    server.stop(signal.SIGTERM, 20)
                self.failures += server.complaints()
            except AssertionError as e:
                self.failures.append(str(e))
            finally:
                if self.failures:
                    self.failures.append("log of node %d:\n%s" % (self.servers.index(server), janus_test.shortened(server.log(), 8000)))
                server.destroy()
        for nats in self.cluster if self.failures else ():
            self.failures.append("log of %s:\n%s" % (nats.name, nats.log()[-6000:]))
        self.cluster.destroy()


def parse(arguments=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1000000))
    p.add_argument("--seconds", type=int, default=12)
    p.add_argument("--nodes", type=int, default=3)
    p.add_argument("--workers", type=int, default=2, help="of each node")
    p.add_argument("--subscribers", type=int, default=200, help="of each node")
    p.add_argument("--topics", type=int, default=5)
    p.add_argument("--publishers", type=int, default=2, help="of each node")
    p.add_argument("--rate", type=int, default=100, help="messages a second, of all publishers")
    p.add_argument("--pause", type=float, default=1, help="seconds between two deaths")
    p.add_argument("--stream", action="store_true", help="one history, in a stream")
    p.add_argument("--log", help="a folder for all logs, and what was done")
    return p.parse_args(arguments)


def run(options, build=None):
    """(good, report)"""
    chaos = NodesChaos(options, build)
    try:
        chaos.run()
    except Exception as e:
        chaos.failures.append("%s: %s" % (type(e).__name__, e))
    finally:
        if options.log:
            chaos.keep(options.log)
        chaos.end()
    lines = ["seed %d: " % options.seed + ", ".join("%d %ss killed" % (n, name) for name, n in chaos.done.items())]
    if chaos.figures:
        lines.append("janusbench: " + json.dumps({k: chaos.figures[k] for k in ("published", "deliveries", "delivery_ms", "faults")}))
    return not chaos.failures, "\n".join(lines + chaos.failures)


def main():
    options = parse()
    print("chaos among nodes: seed %d" % options.seed, flush=True)
    good, said = run(options)
    print(said)
    print("chaos among nodes: " + ("nothing was lost" if good else "FAILED"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
