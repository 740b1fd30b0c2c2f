"""Deaths and stops at chosen moments (CRASH_POINT() in the sources), each with the one thing that must come out right after it.

Runs against a build with crash points (JANUS_CRASH_BUILD), as test_crash_points.py does, which goes through all points with a crowd. Here are
moments that take a world of their own. Each of these tests is the one that notices if some line of the recovery is left out: see
tests/mutants.
"""
import contextlib
import os
import re
import signal
import threading
import unittest

import janus_test
from crash_test import CRASH_BUILD, CrashTest
from janus_test import Closed, fence, is_alive, wait_until
from processes import is_stopped
from test_slow import SMALL

BIG = "x" * 60000


class Recovery(CrashTest):
    def serve(self, *options, workers=1, listen=("flash://127.0.0.1:0",), **more):
        super().serve(*options, workers=workers, listen=listen, build=CRASH_BUILD, **more)

    # deaths and stops

    def deaths(self):
        return re.findall(r"worker (\d+) died of signal", self.janus.log())

    def wait_deaths(self, count):
        """So many workers have died, as was wanted, and have successors."""
        wait_until(lambda: len(self.deaths()) >= count, 15, "%d deaths" % count)
        wait_until(lambda: all(w["state"] == "live" and is_alive(w["worker"]) for w in self.janus.status()["workers"]), 15, "all live")
        self.assertEqual(len(self.deaths()), count)
        self.janus.forgive_deaths()

    def wait_stopped(self):
        """The slot whose worker has stopped at a point."""
        def stopped():
            return [w for w in self.janus.status()["workers"] if w["worker"] and is_stopped(w["worker"])]
        return wait_until(stopped, 15, "a worker that has stopped")[0]

    def go_on(self, pid):
        os.kill(pid, signal.SIGCONT)

    def fall_behind(self, publisher, data=BIG, more=0):
        """Publishes until a slow one, which does not read, is behind, and some more. The messages' count."""
        n = 0

        def publish(count):
            nonlocal n
            for _ in range(count):
                publisher.publish("a", n=n, data=data)
                n += 1
            wait_until(lambda: self.janus.count("published") >= n, 10, "what was published")
        while not self.janus.behind():
            publish(max(4, 200000 // len(data)))
        publish(more)
        return n

    def read(self, client, numbers, data=BIG):
        for n in numbers:
            message = client.message()
            self.assertEqual((message["n"], message["data"] == data), (n, True))

    # commits

    def test_half_a_commit(self):
        """What was sent is recorded in part: the redo record has all of it."""
        self.serve()
        subscriber, publisher = self.client(self.janus).subscribe("a"), self.client(self.janus)
        self.arm("batch-sent.stop")
        publisher.publish("a", n=1)
        pid = self.wait_stopped()["worker"]
        self.arm("commit-half")
        self.go_on(pid)
        self.wait_deaths(1)
        self.assertFalse(self.armed("commit-half"))
        publisher.publish("a", n=2)
        for n in 1, 2:
            subscriber.expect_message("a", n=n)
        fence(publisher, "a", subscriber)

    # subscriptions

    def test_subscribe_behind_own_publish(self):
        """Subscribed, and not yet written down since when: what was published before is not owed."""
        self.serve()
        other, client = self.client(self.janus).subscribe("a"), self.client(self.janus)
        self.arm("subscribe-linked")
        client.send(b'{"action":"publish","topic":"a","n":1}\0{"action":"subscribe","data":"a"}\0')
        self.wait_deaths(1)
        client.expect(b"ACK")
        other.publish("a", n=2)
        client.expect_message("a", n=2)
        for n in 1, 2:
            other.expect_message("a", n=n)

    def test_subscribe_behind_own_publish_and_leave_another(self):
        """The one topic that is left is owed from its subscribe on, too."""
        self.serve()
        other, client = self.client(self.janus).subscribe("b"), self.client(self.janus).subscribe("a")
        client.send(b'{"action":"publish","topic":"b","n":1}\0{"action":"subscribe","data":"b"}\0{"action":"unsubscribe","data":"a"}\0')
        client.expect(b"ACK")
        other.expect_message("b", n=1)
        other.publish("b", n=2)
        client.expect_message("b", n=2)

    def test_topic_half_left(self):
        """The last subscription is gone, and the topic not left: the successor leaves it, so nobody hears it."""
        self.serve()
        client = self.client(self.janus).subscribe("a", "b")
        self.arm("unsubscribe-unlinked")
        client.unsubscribe("a")
        self.wait_deaths(1)
        client.publish("a", n=1)
        client.publish("b", n=2)
        client.expect_message("b", n=2)
        self.assertEqual((self.janus.count("published"), self.janus.count("published_unheard")), (2, 1))

    def test_second_topic_is_owed_from_its_subscribe(self):
        """Whatever the session's place in the ring, which stays where its last message was."""
        self.serve()
        other, client = self.client(self.janus).subscribe("a", "b"), self.client(self.janus).subscribe("a")
        for n in range(3):
            other.publish("b", n=n)
            other.expect_message("b", n=n)
        client.subscribe("b")
        self.janus.kill_worker(0)
        other.publish("b", n=3)
        client.expect_message("b", n=3)
        # and with one topic again
        client.unsubscribe("b")
        other.publish("b", n=4)
        other.publish("a", n=5)
        client.expect_message("a", n=5)
        client.subscribe("b")
        client.unsubscribe("a")
        other.publish("b", n=6)
        client.expect_message("b", n=6)

    # input

    def test_end_behind_input(self):
        """The peer has sent the rest of a message and its end, of which the worker knows nothing yet."""
        self.serve()
        subscriber, publisher = self.client(self.janus).subscribe("a"), self.client(self.janus)
        text = b'{"action":"publish","topic":"a","n":1}\0'
        had = self.janus.count("bytes_in")
        publisher.send(text[:20])
        wait_until(lambda: self.janus.count("bytes_in") == had + 20, 10, "the first part")
        worker = self.janus.workers()[0]
        os.kill(worker, signal.SIGSTOP)
        publisher.send(text[20:])
        publisher.half_close()
        self.janus.kill(worker, "worker")
        subscriber.expect_message("a", n=1)
        publisher.expect_close()
        self.assertEqual(self.janus.count("bad_input"), 0)

    def test_received_and_not_looked_at(self):
        """Nothing more need come for it to be dealt with."""
        self.serve()
        client = self.client(self.janus).subscribe("a")
        self.arm("input-received")
        client.publish("a", n=1)
        self.wait_deaths(1)
        client.expect_message("a", n=1)

    def test_own_fault_at_resume(self):
        """What kills a worker is in a buffer when it starts: it is blamed as if it had just come."""
        self.serve()
        bystander, culprit = self.client(self.janus).subscribe("a"), self.client(self.janus)
        self.arm("input-received")
        culprit.send(b'{"action":"crash"}\0')
        with self.assertRaises(Closed):
            culprit.frame()
        self.wait_deaths(2)
        bystander.publish("a", n=1)
        bystander.expect_message("a", n=1)
        self.assertEqual((self.janus.count("closed_blamed"), self.janus.count("closed_slot")), (1, 0))

    def test_nobody_is_blamed_for_the_recovery(self):
        """Three workers in a row die between two steps of it, with no session at hand."""
        self.serve()
        clients = self.clients(self.janus, 5)
        for client in clients:
            client.subscribe("a")
        for n in range(3):
            self.arm("recover-landed")
            if n == 0:
                self.janus.kill_worker(0, wait=False)
            # (The next worker may have come by before this was armed: then there are two rows of them.)
            try:
                wait_until(lambda: not self.armed("recover-landed"), 1)
            except AssertionError:
                self.janus.kill_worker(0, wait=False)
                wait_until(lambda: not self.armed("recover-landed"), 15, "a death")
        wait_until(lambda: self.janus.slot(0)["state"] == "live", 15, "a worker")
        self.janus.forgive_deaths()
        self.assertEqual((self.janus.count("closed_blamed"), self.janus.connections()), (0, 5))
        clients[0].publish("a", n=1)
        for client in clients:
            client.expect_message("a", n=1)

    def test_own_fault_at_landing(self):
        """Whose send can't be landed is blamed, and nobody else."""
        self.serve("heartbeat=60s")     # nothing else is to be sent
        culprit = self.client(self.janus)
        clients = self.clients(self.janus, 20)
        for client in clients:
            client.subscribe("a")
        culprit.subscribe("c")          # the last send that may still be at that point is its own, too
        self.arm("land-abort")
        self.arm("send-sent")
        culprit.action("subscribe", data="b")
        self.wait_deaths(2)
        self.disarm("land-abort")
        self.assertEqual((self.janus.count("closed_blamed"), self.janus.connections()), (1, 20))
        clients[0].publish("a", n=1)
        for client in clients:
            client.expect_message("a", n=1)

    def test_deliveries_of_half_a_batch_are_counted(self):
        self.serve()
        clients = self.clients(self.janus, 20)
        for client in clients:
            client.subscribe("a")
        self.arm("batch-half-recorded")
        clients[0].publish("a", n=1)
        self.wait_deaths(1)
        for client in clients:
            client.expect_message("a", n=1)
        wait_until(lambda: self.janus.count("delivered") == 20)

    def test_connection_half_closed(self):
        """A descriptor without a session, on which something was received: it is not taken for a new connection."""
        self.serve()
        bystander, client = self.client(self.janus), self.client(self.janus).subscribe("a")
        client.unsubscribe("a")
        client.subscribe("b")
        client.unsubscribe("b")     # so its session does not stay, though something was received
        self.arm("close-left")
        client.close()
        self.wait_deaths(1)
        bystander.subscribe("a")
        self.assertEqual((self.janus.count("adopted"), self.janus.connections()), (0, 1))

    # output

    def test_shut_is_shut_again(self):
        """Marked as shut and not shut: the peer is told the end, rather than when the patience with it is over."""
        self.serve()
        self.client(self.janus)
        for attempt in 1, 2, 3:         # (on a machine so busy that it is over already)
            client = self.client(self.janus)
            self.arm("shut-marked")
            client.send(b"rubbish\0")
            client.expect_error()
            self.wait_deaths(attempt)
            client.expect_close()
            if self.janus.connections() == 2:
                return
            client.close()
            wait_until(lambda: self.janus.connections() == 1, 10, "its end")
        self.fail("it was closed, not shut")

    def test_death_with_sessions_due(self):
        """More for sessions with several topics than one turn makes: those that it did not come to get it from the successor."""
        self.serve()
        clients = [c.subscribe("a", "b") for c in self.clients(self.janus, 90)]
        self.arm("fanout-left")
        clients[0].publish("a", n=1, data=BIG)
        self.wait_deaths(1)
        self.assertFalse(self.armed("fanout-left"))
        for client in clients:
            self.read(client, [1])
        fence(clients[0], "a", *clients)

    def test_death_within_a_pass(self):
        """More subscribers than one turn serves."""
        self.serve("fanout_slice=64")
        clients = [c.subscribe("a") for c in self.clients(self.janus, 600)]
        self.arm("fanout-left")
        clients[0].publish("a", n=1)
        self.wait_deaths(1)
        self.assertFalse(self.armed("fanout-left"))
        for client in clients:
            client.expect_message("a", n=1)
        fence(clients[0], "a", *clients)

    # those behind

    def test_losses_after_a_death_are_told(self):
        """A part was sent to one that is behind, and not written down: what is lost later is told exactly."""
        self.serve("slow=skip", "ring_bytes=64M", "max_frame=4M")
        slow = self.client(self.janus, rcvbuf=4096).subscribe("a")
        other, publisher = self.client(self.janus).subscribe("b"), self.client(self.janus)
        data, large = "x" * 60000, "x" * 3000000        # many frames a send, of which a socket that is writable again takes a part
        count = self.fall_behind(publisher, data, 60)
        got = []
        self.arm("catchup-cut")
        while self.armed("catchup-cut"):
            if len(got) == count:           # it had room for whole frames each time: once more
                for count in range(count, count + 60):
                    publisher.publish("a", n=count, data=data)
                count += 1
            got.append(slow.message()["n"])
        self.wait_deaths(1)
        for count in range(count, count + 60):
            publisher.publish("a", n=count, data=data)
        count += 1
        for n in range(30):
            publisher.publish("b", n=n, data=large)
            other.expect_message("b", n=n)
        publisher.publish("a", n=count, data=data)
        while got[-1] != count:
            got.append(slow.message()["n"])
        self.assertEqual(got, sorted(set(got)))
        self.assertGreater(count + 1 - len(got), 0)
        self.assertEqual(self.janus.count("dropped_overtaken"), count + 1 - len(got))

    def test_cut_frame_is_kept_after_a_death(self):
        """A frame was cut in two; the ring overtakes its record when another worker is there: its rest comes all the same."""
        self.serve("slow=skip", *SMALL)
        slow = self.client(self.janus, rcvbuf=4096).subscribe("a")
        other, publisher = self.client(self.janus).subscribe("b"), self.client(self.janus)
        count = self.fall_behind(publisher)
        self.janus.kill_worker(0)
        self.assertEqual(self.janus.behind(), 1)
        for n in range(40):
            publisher.publish("b", n=n, data=BIG)
            other.expect_message("b", n=n)
        publisher.publish("a", n=count, data=BIG)
        got = []
        while not got or got[-1] != count:
            message = slow.message()
            self.assertEqual(message["data"], BIG)
            got.append(message["n"])
        self.assertEqual(got, sorted(set(got)))
        self.assertEqual(self.janus.count("closed_slow"), 0)

    def test_deaths_while_the_rest_is_sent(self):
        """Of a frame that was cut in two, again and again."""
        self.serve()
        slow = self.client(self.janus, rcvbuf=4096).subscribe("a")
        publisher = self.client(self.janus)
        data = "x" * 200000
        count = self.fall_behind(publisher, data, 30)
        for deaths in range(1, 5):
            self.arm("send-sent.stop")
            while self.armed("send-sent.stop"):
                slow.receive()
            self.janus.kill(self.wait_stopped()["worker"], "worker")        # nobody reads: what was sent is not acknowledged
            self.wait_deaths(deaths)
        self.read(slow, range(count), data)
        self.assertEqual(self.janus.count("closed_slow") + self.janus.count("closed_uncertain"), 0)

    def test_buffers_of_two(self):
        """Answers that wait for one that does not read: their buffer is nobody else's after a death."""
        self.serve()
        slow = self.client(self.janus, rcvbuf=4096).subscribe("a")
        publisher = self.client(self.janus)
        count = self.fall_behind(publisher)
        slow.action("nonsense")
        slow.action("subscribe", data="b")
        wait_until(lambda: self.janus.subscriptions() == 2, 10, "the answer")
        self.janus.kill_worker(0)
        others = self.clients(self.janus, 30)
        had = self.janus.count("bytes_in")
        for client in others:
            client.send(b"y" * 250)         # a part of a message, kept in a buffer of that size
        wait_until(lambda: self.janus.count("bytes_in") == had + 30 * 250, 10, "their input")
        answers, at = [], 0
        while at < count or len(answers) < 2:
            text = slow.message_text()
            if text == b"ACK" or b'"error"' in text[:60]:
                answers.append(text[:3])
            else:
                self.assertEqual(re.search(rb'"n":(\d+)', text).group(1), b"%d" % at)
                at += 1
        self.assertEqual(answers, [b'{"t', b"ACK"])

    # keepers

    def test_keeper_dies_while_its_worker_publishes(self):
        """And the spare, and the worker, with the hub lock held: the master lets it go in its stead."""
        for point in "publish-written", "publish-committed":
            with self.subTest(point=point):
                self.serve(workers=2)
                subscribers = [c.subscribe("a") for c in self.on_each_worker(self.janus)]
                publisher = self.client(self.janus)
                self.arm(point + ".stop")
                publisher.publish("a", n=1)
                slot = self.wait_stopped()
                spare = self.janus.spare(slot["slot"])
                self.janus.kill(slot["keeper"], "keeper", signal.SIGSTOP)
                self.janus.kill(spare, "spare")
                self.janus.kill(slot["keeper"], "keeper")
                self.janus.kill(slot["worker"], "worker")
                self.janus.wait_worker(slot["slot"], slot["worker"])
                left = []
                for client in subscribers:
                    with contextlib.suppress(Closed, OSError):
                        client.action("nonsense")
                        while b'"error"' not in client.message_text()[:60]:
                            pass
                        left.append(client)
                self.assertGreater(len(left), 0)
                self.assertLess(len(left), len(subscribers))
                left[0].publish("a", n=2)
                for client in left:
                    client.expect_message("a", n=2)

    def test_order_while_a_worker_starts(self):
        """The descriptors of an order are not those that a starting worker finds without an owner, and closes."""
        self.serve(config="listen = flash://127.0.0.1:0\nworkers = 1\n")
        client = self.client(self.janus).subscribe("a")
        keeper = self.janus.keepers()[0]
        self.arm("recover-begun.stop")
        self.janus.kill(self.janus.workers()[0], "worker")
        slot = self.wait_stopped()
        before = len(janus_test.descriptors(keeper))
        self.janus.configure("listen = flash://127.0.0.1:0\nlisten = flash://localhost:0\nworkers = 1\n")
        answer = []
        reload = threading.Thread(target=lambda: answer.append(self.janus.reload()))
        reload.start()
        try:
            with contextlib.suppress(AssertionError):       # if all is well, nothing happens
                wait_until(lambda: len(janus_test.descriptors(keeper)) != before, 2)
            self.assertEqual(len(janus_test.descriptors(keeper)), before, "the order was taken")
        finally:
            self.go_on(slot["worker"])
            reload.join()
        self.assertEqual(answer[0][0], 0, answer)
        wait_until(lambda: self.janus.slot(0)["state"] == "live", 10, "a live worker")
        client.publish("a", n=1)
        client.expect_message("a", n=1)


if __name__ == "__main__":
    unittest.main()
