#!/usr/bin/env python3
"""
Clients that all come back at one moment and replay what they missed, and a bystander who must not notice: one who publishes and reads small
messages of another topic meanwhile. Prints what the bystander's messages took, in milliseconds, and how long it took until the last client had
all that it asked for.

    tests/scenarios/replay_storm.py --clients 10000 --messages 100
"""
import argparse
import multiprocessing
import os
import select
import socket
import sys
import time
import unittest

from janus_test import JanusTest, cpu_seconds, raise_nofile, wait_until
from web_clients import WEB, request

PACE = 0.005        # seconds between two messages of the bystander
ATONCE = 512        # connections that are being made at one time, by one process


def storm(address, count, messages, go, results):
    """So many clients, each of which replays so many messages; when the last one had them."""
    raise_nofile(count + 200)
    ask = request("GET", "/sub/past?last=%d" % messages)
    poll, clients, todo = select.epoll(), {}, count
    go.wait()
    got = 0
    while got < count:
        while todo and len(clients) - got < ATONCE:
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(address)
            clients[s.fileno()] = [s, 0]
            poll.register(s.fileno(), select.EPOLLOUT)
            todo -= 1
        for fd, event in poll.poll(1):
            client = clients[fd]
            if event & select.EPOLLOUT:
                client[0].send(ask)
                poll.modify(fd, select.EPOLLIN)
                continue
            data = client[0].recv(1 << 18)
            if not data:
                results.put("a connection ended after %d messages" % client[1])
                return
            client[1] += data.count(b'"data":')
            if client[1] == messages:
                got += 1
                poll.unregister(fd)
    results.put(time.monotonic())


def run(test, clients, messages, processes=2):
    """(milliseconds of the bystander's messages before, the same during the storm, seconds of the storm, of which CPU of workers)"""
    janus = test.server("history=*: %d messages" % (2 * messages), workers=2, listen=WEB)
    address = next(("127.0.0.1", int(url.rsplit(":", 1)[1])) for url in janus.status()["listen"] if url.startswith("http"))
    publisher = test.client(janus)
    for n in range(messages * 2):
        publisher.publish("past", data="message %d of those that were missed, of a usual size ......" % n)
    for n in range(2000):
        publisher.publish("else", data="x")
    wait_until(lambda: janus.count("history_kept") == messages * 2 + 2000)
    bystander, other = test.client(janus).subscribe("small"), test.client(janus)
    go, results = multiprocessing.Event(), multiprocessing.Queue()
    crowd = [multiprocessing.Process(target=storm, args=(address, clients // processes, messages, go, results), daemon=True) for _ in range(processes)]
    for process in crowd:
        process.start()
    time.sleep(0.5)
    took, due, ends = {False: [], True: []}, [], []
    began = at = time.monotonic()
    storm_began = None
    bystander.socket.setblocking(False)
    while len(ends) < processes:
        now = time.monotonic()
        if storm_began is None and now - began > 1.0:
            storm_began, cpu = now, sum(map(cpu_seconds, janus.workers()))
            go.set()
        while at <= now:
            other.publish("small", n=len(due))
            due.append(at)
            at += PACE
        try:
            bystander.buffer += bystander.socket.recv(1 << 16)
        except BlockingIOError:
            select.select([bystander.socket], [], [], max(0, at - now))
        while b"\1" in bystander.buffer:
            frame, _, rest = bytes(bystander.buffer).partition(b"\1")
            bystander.buffer[:] = rest
            number = int(frame.rpartition(b'"n":')[2].partition(b"}")[0])
            took[storm_began is not None].append(1000 * (time.monotonic() - due[number]))
        while not results.empty():
            ends.append(results.get())
            if isinstance(ends[-1], str):
                raise AssertionError(ends[-1])
    for process in crowd:
        process.kill()
    return sorted(took[False]), sorted(took[True]), max(ends) - storm_began, sum(map(cpu_seconds, janus.workers())) - cpu


def percent(values, p):
    return values[min(len(values) - 1, int(len(values) * p / 100))] if values else float("nan")


class Storm(JanusTest):
    def test_storm(self):
        quiet, stormy, seconds, cpu = run(self, self.options.clients, self.options.messages)
        count = self.options.clients * self.options.messages
        print("clients %d, messages each %d: all had them after %.2f s; a message %.2f us of time, %.2f of the workers' CPU" %
              (self.options.clients, self.options.messages, seconds, 1e6 * seconds / count, 1e6 * cpu / count))
        for name, values in (("before", quiet), ("meanwhile", stormy)):
            print("bystander %-9s  %5d messages, ms: median %.1f  p99 %.1f  most %.1f" %
                  (name, len(values), percent(values, 50), percent(values, 99), values[-1] if values else 0))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10000)
    parser.add_argument("--messages", type=int, default=100)
    Storm.options = parser.parse_args()
    result = unittest.TextTestRunner(verbosity=0).run(Storm("test_storm"))
    sys.exit(not result.wasSuccessful())
