"""History, resumed subscribers and long polls where something else is the matter: full sockets, deaths, a ring that goes round."""
import json
import os
import re
import select
import signal
import socket
import threading
import unittest

from crash_test import CrashTest
from janus_test import SLOWNESS, wait_until
from test_history import SMALL, HistoryTest
from web_clients import TEXT, WebSocket, frame, request

JSON = [("Content-Type", "application/json")]


class Polls(HistoryTest):
    options = ("history=t: 100 messages",)

    def data(self, answer):
        self.assertEqual(answer.status, 200, answer)
        return [m["data"] for m in answer.json()["messages"]]

    def test_of_a_session_behind(self):
        """
        A poll's message comes while earlier answers wait for room, and then input is put off, as another worker has stopped: until the poll is dealt
        with again, its session catches up, and is sent nothing of the topic but in the poll's answer.
        """
        self.serve("history=t: 100 messages; fill: 10 messages", "send_buffer=16K", "hang_limit=0", *SMALL)
        client, publisher, witness = self.on_worker(0, rcvbuf=4096), self.on_worker(0), self.on_worker(0, WebSocket)
        count = 0
        while self.janus.behind() == 0:
            self.assertLess(count, 20000)
            client.send(request("GET", "/version") * 4)
            count += 4
        client.send(request("GET", "/poll/t"))
        wait_until(lambda: self.janus.subscriptions() == 1)
        witness.upgrade().subscribe("t")
        fill, other = [{"topic": "fill", "data": n} for n in range(100)], self.janus.workers()[1]
        os.kill(other, signal.SIGSTOP)
        try:
            # Half of the ring is as much as one may be behind (LAG_MAX), lists come while it is a quarter; what is beyond is put off.
            for length in (100, 100, 50, 100):
                self.assertEqual(publisher.ask("POST", "/pub", json.dumps(fill[:length]).encode()).status, 200)
            for _ in range(155):
                self.assertEqual(publisher.ask("POST", "/pub/fill", b"0", JSON).status, 200)
            publisher.send(request("POST", "/pub/t", b"1", JSON) + 10 * request("POST", "/pub/fill", b"0", JSON))
            self.assertEqual(witness.message()["data"], 1)
            for _ in range(count):
                self.assertEqual(client.answer().json()["name"], "janus")
            wait_until(lambda: self.janus.behind() == 0)
        finally:
            os.kill(other, signal.SIGCONT)
        self.assertEqual(self.data(client.answer()), [1])

    def test_over_a_death(self):
        """A poll waits from when it was made, also if what it waits for comes while its slot has no worker."""
        client, publisher = self.on_worker(0), self.on_worker(1)
        client.send(request("GET", "/poll/t"))
        wait_until(lambda: self.janus.subscriptions() == 1)
        keeper = self.janus.keepers()[0]
        os.kill(keeper, signal.SIGSTOP)
        try:
            self.janus.kill_worker(0, wait=False)
            self.assertEqual(publisher.ask("POST", "/pub/t", b"1", JSON).status, 200)
        finally:
            os.kill(keeper, signal.SIGCONT)
        self.janus.forgive_deaths()
        self.assertEqual(self.data(client.answer()), [1])

    def test_next_one_over_a_death(self):
        """What a poll waits from is not what the one before it on the connection waited from."""
        client, publisher = self.on_worker(0), self.on_worker(1)
        for n in range(3):
            client.send(request("GET", "/poll/t"))
            wait_until(lambda: self.janus.subscriptions() == 1)
            self.janus.kill_worker(0)
            wait_until(lambda: self.janus.subscriptions() == 1)
            self.assertEqual(publisher.ask("POST", "/pub/t", b"%d" % n, JSON).status, 200)
            self.assertEqual(self.data(client.answer()), [n])
            wait_until(lambda: self.janus.subscriptions() == 0)


class PollDeaths(CrashTest, HistoryTest):
    def test_begun(self):
        """A worker dies when it has noted from where and for how long a poll waits."""
        self.serve_crash_build("history=t: 100 messages", workers=1)
        self.addCleanup(self.janus.forgive_deaths)
        client = self.http()
        self.arm("poll-begun")
        client.send(request("GET", "/poll/t"))
        wait_until(lambda: not self.armed("poll-begun"), what="a death at poll-begun")
        self.publish("t", 1)
        self.assertEqual([m["data"] for m in client.answer().json()["messages"]], [1])


class InputBehind(HistoryTest):
    """Input behind a request that waits is left in the connection when there is much of it. Nobody is closed for it, and all of it is dealt with."""
    workers = 1
    options = ("history=old: 100 messages; busy: 10 messages; sink: 1 message", "send_buffer=16K", "max_frame=64K", "ring_bytes=16M")

    def fill(self, client, unit):
        """Sends this again and again until the server takes no more. A thread sends the rest of the last one. How many there are."""
        client.socket.setblocking(False)
        rest, count = b"", 0
        while rest or select.select([], [client.socket], [], 0.3 * SLOWNESS)[1]:
            if not rest:
                self.assertLess(count, 2000, "all is taken")
                rest, count = unit, count + 1
            if not select.select([], [client.socket], [], 0.3 * SLOWNESS)[1]:
                break
            rest = rest[client.socket.send(rest):]
        client.socket.settimeout(60 * SLOWNESS)
        thread = threading.Thread(target=self.send_rest, args=(client, rest))
        thread.start()
        self.addCleanup(self.join, client, thread)
        return count

    @staticmethod
    def send_rest(client, rest):
        try:
            client.socket.sendall(rest)
        except OSError:
            pass        # (whoever waits for what it says finds that it is missing)

    @staticmethod
    def join(client, thread):
        try:
            client.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        thread.join()

    def test_resume_that_waits_for_a_cut_frame(self):
        ids = self.publish("old", *range(5))
        client = self.connect(WebSocket, "http", rcvbuf=4096).upgrade().subscribe("busy")
        for n in range(30):
            self.published("/pub/busy", {"n": n, "fill": "x" * 60000})
        before = self.janus.count("published")
        client.action("subscribe", topic="old", since=ids[1].text)
        count = self.fill(client, frame(TEXT, json.dumps({"action": "publish", "topic": "sink", "data": "y" * 50000})))
        self.assertEqual(self.janus.count("published"), before)
        got = [client.message(20) for _ in range(34)]
        self.assertEqual([m["data"]["n"] for m in got if m.get("topic") == "busy"], list(range(30)))
        self.assertEqual([m["data"] for m in got if m.get("topic") == "old"], [2, 3, 4])
        wait_until(lambda: self.janus.count("published") == before + count, 20, "all published")

    def test_poll(self):
        client = self.http()
        client.send(request("GET", "/poll/old"))
        wait_until(lambda: self.janus.subscriptions() == 1)
        count = self.fill(client, request("POST", "/pub/sink", b"y" * 50000))
        self.publish("old", 1)
        self.assertEqual([m["data"] for m in client.answer().json()["messages"]], [1])
        for _ in range(count):
            self.assertEqual(client.answer("POST").status, 200)


class Query(HistoryTest):
    def test_ring_goes_round(self):
        """Messages that the ring loses under a query are in history by then: the answer has no gap."""
        self.serve("history=a: 1000000 messages", "history_bytes=128M", "ring_messages=1024", "ring_bytes=1M", "max_frame=64K")
        reader, writer = self.on_worker(0), self.on_worker(1)
        fill = "x" * 900
        bodies = [json.dumps([{"topic": "a", "data": {"n": n, "fill": fill}} for n in range(i, i + 50)]).encode() for i in range(0, 25000, 50)]
        first = writer.ask("POST", "/pub", bodies[0]).json()[0]["id"]
        epoch = first.text.partition("-")[0]
        stop, failed = threading.Event(), []

        def write():
            for body in bodies[1:]:
                if stop.is_set() or failed:
                    break
                answer = writer.ask("POST", "/pub", body)
                if answer.status != 200:
                    failed.append(answer)
            stop.set()
        thread = threading.Thread(target=write)
        thread.start()
        try:
            while not stop.is_set():
                last = int(reader.ask("GET", "/history/a?limit=1").json()["position"])
                for behind in (950, 900, 850, 800, 750) if last > 1500 else ():     # (the ring's bytes are for about a thousand)
                    since = last - behind
                    answer = reader.ask("GET", "/history/a?limit=1000&since=%s-%d" % (epoch, since))
                    got = [int(n) for n in re.findall(rb'"n": ?(\d+)', answer.body)]
                    begin = since + 1 - int(first)
                    self.assertIn(b'"recovered":true', answer.body[:200])
                    self.assertEqual(got, list(range(begin, begin + len(got))))
                    self.assertGreater(len(got), 0)
        finally:
            stop.set()
            thread.join()
        self.assertEqual(failed, [])


if __name__ == "__main__":
    unittest.main()
