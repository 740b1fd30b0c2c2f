"""SIGTERM: those who are behind and read get what they are owed; who does not read holds it up for a second."""
import concurrent.futures
import json
import os
import re
import contextlib
import signal
import time
import unittest

from janus_test import SLOWNESS, Closed, Deadline, wait_until
from web_clients import WebSocket, WebTest

COUNT = 12000
PATIENT = "stop_limit=60s"        # for readers on a busy machine


class Stop(WebTest):
    workers = 2

    def publish(self, size=1000):
        """COUNT messages that are answered for: whoever subscribes is owed them."""
        publisher = self.http()
        for first in range(0, COUNT, 200):
            answer = publisher.ask("POST", "/pub", json.dumps([{"topic": "a", "event": str(n), "data": "x" * size} for n in range(first, first + 200)]).encode())
            self.assertTrue(all(one["id"] for one in answer.json()))
        publisher.close()

    def read_to_the_end(self, client):
        """Numbers, up to an end that is none in the middle of a frame."""
        got = []
        with self.assertRaises(Closed):
            while True:
                message = client.message()
                if "event" in message:
                    self.assertEqual(len(message["data"]), 1000)
                    got.append(int(message["event"]))
        self.assertEqual(bytes(client.buffer), b"", "a part of a frame")
        return got

    def test_readers_that_are_behind(self):
        self.serve(PATIENT)
        readers = [self.flash(rcvbuf=16384).subscribe("a"), self.lines("/sub/a", rcvbuf=16384),
                   self.connect(WebSocket, "http", rcvbuf=16384).upgrade("/sub/a")]
        self.publish()
        wait_until(lambda: self.janus.behind() == len(readers))
        self.janus.process.send_signal(signal.SIGTERM)
        with concurrent.futures.ThreadPoolExecutor(len(readers)) as pool:       # each worker waits for its own
            for reader, got in zip(readers, pool.map(self.read_to_the_end, readers)):
                self.assertEqual(got, list(range(COUNT)), type(reader).__name__)
        self.janus.wait_exit(0)

    def check_readers_go_on(self, before_the_end):
        self.serve(PATIENT)
        readers = [self.flash(rcvbuf=16384).subscribe("a"), self.lines("/sub/a", rcvbuf=16384)]
        self.publish()
        wait_until(lambda: self.janus.behind() == len(readers))
        before_the_end()
        with concurrent.futures.ThreadPoolExecutor(len(readers)) as pool:
            for reader, got in zip(readers, pool.map(self.read_to_the_end, readers)):
                self.assertEqual(got, list(range(COUNT)), type(reader).__name__)
        self.janus.wait_exit(0)

    def test_in_a_reload(self):
        """The workers are just leaving for their successors."""
        def end():
            self.janus.process.send_signal(signal.SIGHUP)
            self.janus.process.send_signal(signal.SIGTERM)
        self.check_readers_go_on(end)

    def test_worker_told_both_at_once(self):
        """To hand over and to stop, before it has looked at either."""
        self.workers = 1

        def pending(pid):
            with open("/proc/%d/status" % pid) as f:
                mask = int(re.search(r"^ShdPnd:\s*(\w+)$", f.read(), re.M).group(1), 16)
            return {s for s in (signal.SIGHUP, signal.SIGTERM) if mask >> (s - 1) & 1}

        def end():
            worker, = self.janus.workers()
            os.kill(worker, signal.SIGSTOP)
            self.janus.process.send_signal(signal.SIGHUP)
            wait_until(lambda: pending(worker) == {signal.SIGHUP}, 10, "the order to hand over")
            self.janus.process.send_signal(signal.SIGTERM)
            wait_until(lambda: pending(worker) == {signal.SIGHUP, signal.SIGTERM}, 10, "the order to stop")
            os.kill(worker, signal.SIGCONT)
        self.check_readers_go_on(end)

    def test_worker_dies_meanwhile(self):
        def end():
            workers = self.janus.workers()
            self.janus.process.send_signal(signal.SIGTERM)
            for pid in workers:
                with contextlib.suppress(ProcessLookupError):       # the one without readers may have left already
                    self.janus.kill(pid, "worker")
        self.check_readers_go_on(end)

    def test_one_that_never_reads(self):
        self.serve("stop_limit=2m")
        self.flash(rcvbuf=4096).subscribe("a")
        self.publish()
        wait_until(lambda: self.janus.behind() == 1)
        began = time.monotonic()
        self.janus.stop()
        self.assertGreater(time.monotonic() - began, 0.8)

    def test_limit(self):
        """One that takes a little all the time has so long."""
        self.serve("stop_limit=2s")
        reader = self.flash(rcvbuf=4096).subscribe("a")
        self.publish()
        wait_until(lambda: self.janus.behind() == 1)
        began = time.monotonic()
        self.janus.process.send_signal(signal.SIGTERM)
        deadline = Deadline(10)
        while self.janus.running() and not deadline.over():
            reader.socket.recv(30000)
            time.sleep(0.02)
        self.janus.wait_exit(0)
        self.assertGreater(time.monotonic() - began, 1.5)
        self.assertLess(time.monotonic() - began, 8 * SLOWNESS)


if __name__ == "__main__":
    unittest.main()
