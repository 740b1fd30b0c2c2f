#!/usr/bin/env python3
"""What it costs to be joined with other nodes, and what NATS alone takes for the same: `make bench-nodes`.

    tests/bench/nodes_cost.py [--build build] [--rounds N] [--json FILE] [CASE...]

Two nodes and a nats-server, and a third server that is not joined with anybody. Rounds go by turns, so that what else the machine does falls on all alike;
medians of the rounds are printed.

  fanout      a message to --subscribers WebSockets on one node: server CPU a delivery and when the last has it, beside the server that is not joined
  latency     1,000 messages a second from a publisher on one node to a subscriber on the other, beside the same between two clients of NATS; how often the bridges' threads
              went to sleep a message, and their CPU. (With chrt -f 1 in front, the machine's other load takes no turns from all this, only the caches.)
  rate        as many messages of 100 bytes as can be, out of a node and into it, beside a bare program with libnats in its place (bench-libnats); and from one node to the
              other, beside NATS from one client to another. (All that takes part in it shares the machine's cores.)
  interest    so many topics (--topics) get a first subscriber and lose it: CPU of the bridge, the workers and the nats-server a change, and of the workers of the server that is
              not joined
"""
import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenarios"))
CASES = "fanout", "latency", "rate", "interest"
PROTOCOLS = "flash", "http", "packet"
TOPICS_AT_ONCE = 1000


def cpu_ns(pids):
    """CPU time, of all threads."""
    total = 0
    for pid in pids:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, thread)) as f:
                total += int(f.read().split()[0])
    return total


def sleeps(pids):
    """How often their threads have gone to sleep, and so were woken."""
    total = 0
    for pid in pids:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/status" % (pid, thread)) as f:
                total += next(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))
    return total


class Cost:
    def __init__(self, options):
        from janus_test import Server
        from nats_servers import NatsServer
        self.options, self.turns = options, 0
        self.nats = NatsServer(more="max_connections: 1000\nwrite_deadline: \"60s\"")
        more = ("keep_alive=24h", "max_subscriptions=%d" % options.topics, "max_subscriptions_total=%d" % (4 * options.topics), "max_topics=%d" % max(262144, 2 * options.topics),
                "heartbeat=24h")
        listen = ["%s://127.0.0.1:0" % protocol for protocol in PROTOCOLS]
        self.alone = Server(*more, listen=listen, workers=options.workers)
        self.nodes = [Server("nats=" + self.nats.url, "node=" + name, *more, listen=listen, workers=options.workers) for name in "ab"]

    def __enter__(self):
        from janus_test import wait_until
        self.nats.start()
        for server in [self.alone] + self.nodes:
            server.start()
        wait_until(lambda: all(sum(p["state"] == "here" for p in self.state(node)["peers"]) == 1 for node in self.nodes), 20, "the nodes to see each other")
        return self

    def __exit__(self, *_):
        for server in [self.alone] + self.nodes:
            server.destroy()
        self.nats.destroy()

    @staticmethod
    def state(node):
        return json.loads(node.ctl("nodes", "--json")[1])

    @staticmethod
    def addresses(server, *protocols):
        return {protocol: server.address(PROTOCOLS.index(protocol)) for protocol in protocols}

    def bench(self, addresses, *arguments, subject=None, pid=None):
        """A janusbench's figures; it begins when NATS has been asked for the subject."""
        from janus_test import Bench, wait_until
        bench = Bench(addresses, *arguments, pid=pid, hold=True)
        try:
            bench.wait_ready()
            if subject:
                wait_until(lambda: self.nats.interest(subject), 10, "%s to be asked for" % subject)
            bench.release()
            return bench.finish(120)
        finally:
            bench.kill()

    # the cases: each makes a round, {what: figure}

    def fanout(self):
        found = {}
        self.turns += 1
        for name, server in (("alone", self.alone), ("joined", self.nodes[0]))[::1 if self.turns % 2 else -1]:
            figures = self.bench(self.addresses(server, "http", "packet"), "--speak", "ws", "--publish", "packet", "-n", self.options.subscribers, "-m", 20, "--rate", 20,
                                 pid=server.master)
            found[name + " us a delivery"] = figures["server_cpu_us_per_delivery"]
            found[name + " ms to the last"] = figures["last_ms"]["median"]
        for what in ("us a delivery", "ms to the last"):
            found["ratio, " + what] = found["joined " + what] / found["alone " + what]
        return found

    def latency(self):
        a, b = self.nodes
        arguments = ("-n", 1, "--rate", 1000, "--while-running", self.options.seconds)
        bridges = {"sending": [a.called("janus-bridge")], "receiving": [b.called("janus-bridge")]}
        before = {name: (sleeps(pids), cpu_ns(pids)) for name, pids in bridges.items()}
        joined = self.bench(dict(self.addresses(a, "packet"), **self.addresses(b, "http")), "--speak", "ws", "--publish", "packet", *arguments, subject="janus.topic.bench-0")
        cost = {}
        for name, pids in bridges.items():
            cost["wake-ups of the %s bridge a message" % name] = (sleeps(pids) - before[name][0]) / joined["deliveries"]
            cost["us of the %s bridge a message" % name] = (cpu_ns(pids) - before[name][1]) / 1000 / joined["deliveries"]
        nats = self.bench({"nats": ("127.0.0.1", self.nats.port)}, "--speak", "nats", *arguments)
        found = {"nodes, median ms": joined["delivery_ms"]["median"], "nodes, p99 ms": joined["delivery_ms"]["p99"], "NATS, median ms": nats["delivery_ms"]["median"],
                 "NATS, p99 ms": nats["delivery_ms"]["p99"]}
        return dict(found, ratio=found["nodes, median ms"] / found["NATS, median ms"], **cost)

    def rate(self):
        a, b = self.nodes
        n = self.options.messages
        found = {"out of a node": self.out(a, n), "libnats, out": self.bare_out(n), "into a node": self.into(b, n), "libnats, in": self.bare_in(n)}
        found.update(self.bridge_cost)
        found.update({"out of a node, ratio": found["out of a node"] / found["libnats, out"], "into a node, ratio": found["into a node"] / found["libnats, in"]})
        arguments = ("-n", 1, "-m", n, "-s", 100, "--timeout", 100)
        for name, figures in (("node to node", self.bench(dict(self.addresses(a, "packet"), **self.addresses(b, "http")), "--speak", "ws", "--publish", "packet", *arguments,
                                                          subject="janus.topic.bench-0")),
                              ("NATS alone", self.bench({"nats": ("127.0.0.1", self.nats.port)}, "--speak", "nats", *arguments))):
            found[name] = figures["deliveries_per_s"]
        return dict(found, **{"node to node, ratio": found["node to node"] / found["NATS alone"]})

    def out(self, node, count):
        """Messages a second from a client of a node to a client of NATS."""
        from nats_servers import Nats
        from packet_client import packet
        frames = packet({"op": "publish", "topic": "out", "data": "x" * 100}) * 1000
        before = cpu_ns([node.called("janus-bridge")])
        nats = Nats(self.nats)
        nats.subscribe("janus.topic.out")
        with socket.create_connection(node.address(PROTOCOLS.index("packet"))) as s:
            rate = self.stream(s, frames, count, lambda end: self.drained(nats.socket, b"MSG janus.topic.out ", count, end))
        nats.close()
        self.bridge_cost = {"out, us of the bridge a message": (cpu_ns([node.called("janus-bridge")]) - before) / 1000 / count}
        return rate

    def into(self, node, count):
        """Messages a second from a client of NATS to a client of a node."""
        from nats_servers import Nats
        from websocket_client import WebSocket
        nats = Nats(self.nats)
        reader = WebSocket(None, address=node.address(PROTOCOLS.index("http"))).upgrade("/ws").subscribe("in")
        from janus_test import wait_until
        wait_until(lambda: self.nats.interest("janus.topic.in"), 10)
        frames = (b"PUB janus.topic.in 100\r\n" + b"x" * 100 + b"\r\n") * 1000
        before = cpu_ns([node.called("janus-bridge")])
        rate = self.stream(nats.socket, frames, count, lambda end: self.drained(reader.socket, b'"topic":"in"', count, end))
        reader.close()
        nats.close()
        self.bridge_cost["in, us of the bridge a message"] = (cpu_ns([node.called("janus-bridge")]) - before) / 1000 / count
        return rate

    def bare(self, what, count):
        """A bench-libnats that is ready."""
        from janus_test import program
        bare = subprocess.Popen([program("bench-libnats"), self.nats.url, what, "bare", str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if bare.stdout.readline() != "ready\n":
            raise SystemExit("bench-libnats has ended")
        return bare

    def bare_out(self, count):
        from nats_servers import Nats
        nats = Nats(self.nats)
        nats.subscribe("bare")
        with self.bare("out", count) as bare:
            rate = self.timed(lambda: bare.communicate("\n"), count, lambda end: self.drained(nats.socket, b"MSG bare ", count, end))
        nats.close()
        return rate

    def bare_in(self, count):
        from nats_servers import Nats
        nats = Nats(self.nats)
        frames = (b"PUB bare 100\r\n" + b"x" * 100 + b"\r\n") * 1000
        with self.bare("in", count) as bare:
            rate = self.stream(nats.socket, frames, count, lambda _: bare.wait(100))
        nats.close()
        return rate

    @staticmethod
    def timed(send, count, drain):
        """Has `send` send the messages, while `drain` reads; then how many came in a second."""
        thread = threading.Thread(target=send, daemon=True)
        began = time.monotonic()
        thread.start()
        drain(began + 100)
        thread.join()
        return count / (time.monotonic() - began)

    def stream(self, s, frames, count, drain):
        """Frames of 1,000 messages, again and again."""
        return self.timed(lambda: [s.sendall(frames) for _ in range(count // 1000)], count, drain)

    @staticmethod
    def drained(s, mark, count, end):
        """Until a mark has come so often."""
        rest = b""
        while count > 0:
            if time.monotonic() > end:
                raise SystemExit("%d messages have not come" % count)
            data = rest + s.recv(1 << 20)
            found = data.count(mark)
            count -= found
            rest = data[-len(mark) + 1:] if not data.endswith(mark) else b""

    def interest(self):
        """Changes of interest, to and fro."""
        found = {}
        for name, server in (("alone", self.alone), ("joined", self.nodes[0])):
            found.update(self.changes(name, server, name == "joined"))
        return found

    def changes(self, name, server, joined):
        from janus_test import wait_until
        from websocket_client import WebSocket
        client = WebSocket(None, address=server.address(PROTOCOLS.index("http")), seconds=60).upgrade("/ws")
        total = self.options.topics
        groups = {"workers": server.workers()}
        if joined:
            groups.update({"bridge": [server.called("janus-bridge")], "nats-server": [self.nats.process.pid]})
        before = {group: cpu_ns(pids) for group, pids in groups.items()}
        began = time.monotonic()
        for action in ("subscribe", "unsubscribe"):
            for n in range(0, total, TOPICS_AT_ONCE):
                client.action(action, topic=["interest.%d" % i for i in range(n, min(total, n + TOPICS_AT_ONCE))])
                client.expect({"ok": True})
            if joined:
                wait_until(lambda: self.state(server)["subscriptions"] >= total if action == "subscribe" else self.state(server)["subscriptions"] < total / 100, 120, "NATS to be asked",
                           pause=0.05)
        if joined:
            wait_until(lambda: self.nats.ask("/subsz")["num_subscriptions"] < 10000, 120, "NATS to be through with it", pause=0.05)
        seconds = time.monotonic() - began
        client.close()
        found = {"%s, us of %s a change" % (name, group): (cpu_ns(pids) - before[group]) / 1000 / (2 * total) for group, pids in groups.items()}
        return dict(found, **{"%s, changes a second" % name: 2 * total / seconds})


def parse(arguments=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default="build")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--workers", type=int, default=2, help="of each server")
    p.add_argument("--subscribers", type=int, default=4000)
    p.add_argument("--seconds", type=float, default=4, help="of a round of latency")
    p.add_argument("--messages", type=int, default=300000, help="of a round of rate")
    p.add_argument("--topics", type=int, default=1000000, help="of a round of interest")
    p.add_argument("--json")
    p.add_argument("case", nargs="*", metavar="CASE", help=", ".join(CASES))
    return p.parse_args(arguments)


def run(options, say=print):
    """{case: {what: median}}"""
    found = {}
    with Cost(options) as cost:
        for case in options.case or CASES:
            rounds = [getattr(cost, case)() for _ in range(options.rounds)]
            found[case] = {what: statistics.median(r[what] for r in rounds) for what in rounds[0]}
            say("%s (%d rounds)" % (case, options.rounds))
            for what, middle in found[case].items():
                values = sorted(r[what] for r in rounds)
                say("  %-40s %12.4g   (%.4g to %.4g)" % (what, middle, values[0], values[-1]))
    return found


def main():
    options = parse()
    os.environ["JANUS_BUILD"] = options.build
    found = run(options)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(found, f)
    return 0


if __name__ == "__main__":
    sys.exit(main())
