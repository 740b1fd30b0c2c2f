"""From publishers to subscribers over several workers: once, whole, in one order. Mostly by janusbench, which checks every byte."""
import json
import unittest

from janus_test import JanusTest, SLOWNESS, has_ipv6, timestamp, wait_until

SCALE = 1 if SLOWNESS <= 1 else 5       # fewer messages where everything is slow


class Fanout(JanusTest):
    def check(self, server, deliveries, *arguments, seconds=60, place=0):
        figures = self.bench(server, "--timeout", 60 * SLOWNESS, *arguments, place=place).finish(seconds)
        self.assertEqual(figures["fault_sum"], 0)
        self.assertEqual(figures["deliveries"], deliveries)
        self.assertEqual(figures["good"], figures["subscribers"])
        return figures

    def counted(self, server, deliveries):
        """The server's own figures agree, nothing was lost, and everybody is gone at the end."""
        counters = server.stats()["counters"]
        self.assertEqual(counters["delivered"], deliveries)
        for name in ("dropped_overtaken", "closed_uncertain", "closed_slow", "no_buffer", "bad_input", "refused"):
            self.assertEqual(counters[name], 0, name)
        wait_until(lambda: server.connections() == 0 and server.subscriptions() == 0, what="the connections' end")

    def test_million_deliveries(self):
        janus = self.server(workers=4)
        messages = 1000 // SCALE
        self.check(janus, 1000 * messages, "-n", 1000, "-m", messages, "-p", 8)
        self.counted(janus, 1000 * messages)
        for slot in janus.stats()["slots"]:
            self.assertGreater(slot["counters"]["delivered"], 0, "slot %d took part" % slot["slot"])

    def test_small_ring(self):
        """Much more than the ring holds: publishers wait for the workers, nothing is lost."""
        # (With less in its socket, who reads more slowly than eight publishers write is behind, and nobody waits for it.)
        janus = self.server("ring_bytes=1M", "ring_messages=1024", "max_frame=32K", "send_buffer=0", workers=4)
        messages = 5000 // SCALE
        self.check(janus, 100 * messages, "-n", 100, "-m", messages, "-p", 8, "-s", 500)
        self.counted(janus, 100 * messages)

    def test_send_instead_of_io_uring(self):
        janus = self.server("io=send", workers=2)
        self.check(janus, 200 * 500 // SCALE, "-n", 200, "-m", 500 // SCALE, "-p", 4)
        self.counted(janus, 200 * 500 // SCALE)

    def test_slices_of_one(self):
        janus = self.server("fanout_slice=1", workers=2)
        self.check(janus, 50 * 400 // SCALE, "-n", 50, "-m", 400 // SCALE, "-p", 4, "-T", 5)

    def test_many_topics(self):
        janus = self.server(workers=4)
        self.check(janus, 2000 * 20, "-n", 2000, "-T", 1000, "-m", 20, "-p", 8)
        self.counted(janus, 2000 * 20)
        self.check(janus, 300 * 3 * 100 // SCALE, "-n", 300, "-T", 7, "-m", 100 // SCALE, "-r", 3, "-p", 8, "-s", 5000)

    def test_classic_publishers(self):
        janus = self.server(workers=4)
        self.check(janus, 100 * 500, "-n", 100, "-m", 500, "-p", 8, "--classic")
        self.counted(janus, 100 * 500)

    def test_churn(self):
        janus = self.server(workers=4)
        figures = self.check(janus, 200 * 300, "-n", 200, "-m", 100, "-r", 3, "-p", 4, "--rate", 150, "--churn", 300, "-T", 1)
        self.assertGreater(figures["churned"], 100)
        self.counted_churn(janus)

    def counted_churn(self, janus):
        wait_until(lambda: janus.connections() == 0 and janus.subscriptions() == 0, what="the connections' end")
        counters = janus.stats()["counters"]
        self.assertEqual(counters["accepted"], counters["closed"])
        self.assertEqual(counters["closed_uncertain"], 0)

    def test_large_messages(self):
        janus = self.server(workers=2)
        self.check(janus, 20 * 50, "-n", 20, "-m", 50, "-s", 200000, "-p", 4)
        self.counted(janus, 20 * 50)

    def test_ipv6(self):
        if not has_ipv6():
            self.skipTest("no IPv6 here")
        janus = self.server(workers=2, listen=("flash://[::1]:0",))
        self.check(janus, 50 * 100, "-n", 50, "-m", 100, "-p", 4)
        self.check(janus, 50 * 100, "-n", 50, "-m", 100, "-p", 4, "--classic")

    def test_all_addresses(self):
        """`*` takes both families; messages go between listeners and families."""
        janus = self.server("anonymous=all", workers=2, listen=("flash://*:0", "flash://localhost:0"))
        port = janus.address(0)[1]
        clients = [self.client(janus, address=("127.0.0.1", port)), self.client(janus, place=1)]
        if has_ipv6():
            clients.append(self.client(janus, address=("::1", port)))
        for client in clients:
            client.subscribe("a")
        for n, publisher in enumerate(clients):
            publisher.publish("a", n=n)
            for client in clients:
                client.expect_message("a", n=n)

    def test_one_order_on_all_workers(self):
        """All subscribers of a topic see one order, and one with several topics the same order of all of them."""
        janus = self.server(workers=4)
        subscribers = [c.subscribe("a") if i % 2 else c.subscribe("a", "b")
                       for i, c in enumerate(self.on_each_worker(janus, 2))]
        publishers = self.clients(janus, 8)
        for n in range(50):
            for i, publisher in enumerate(publishers):
                publisher.send(b'{"action":"publish","topic":"%c","p":%d,"n":%d}\0' % (b"ab"[n % 2], i, n))
        orders = {}
        for i, subscriber in enumerate(subscribers):
            got = [json.loads(subscriber.message_text()) for _ in range(200 if i % 2 else 400)]
            stamps = [timestamp(m) for m in got]
            self.assertEqual(stamps, sorted(set(stamps)))
            for p in range(8):
                self.assertEqual([m["n"] for m in got if m["p"] == p], [
                    n for n in range(50) if n % 2 == 0 or not i % 2])
            orders.setdefault("a", []).append([(m["p"], m["n"]) for m in got if m["topic"] == "a"])
        for order in orders["a"]:
            self.assertEqual(order, orders["a"][0])


if __name__ == "__main__":
    unittest.main()
