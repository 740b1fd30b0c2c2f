"""The small form of never_read.py: who never reads costs a bounded amount of memory, others go on, and what was dropped adds up."""
import unittest

from janus_test import JanusTest, raise_nofile, wait_until
from never_read import GROWTH, LISTEN, RCVBUF, RULES, SMALL_RING, Found, Lines, spent


class NeverRead(JanusTest):
    def test_flood(self):
        found = Found(self, 300, 6, turn=0.5, workers=2, ring=SMALL_RING, skipping=2)
        report = found.report()
        self.assertGreater(found.told, 300 * 1000, report)
        self.assertEqual(found.told, found.counted, report)
        self.assertLess(found.growth(), 2 * GROWTH, report) # (it is not all touched before)
        self.assertLess(found.slower()[1], 1.5, report)     # CPU; on a busy machine

    def test_passes(self):
        """However many are behind, a message is one turn of the worker's: with slices of one subscriber there would be one more for each that is looked at."""
        raise_nofile(1200)
        janus = self.server(*RULES, "send_buffer=16K", "fanout_slice=1", *SMALL_RING, listen=LISTEN, workers=1)
        other, reader = self.client(janus), Lines(janus.address("http"), "skip").begun()

        def publish(messages, size):
            for due in range(reader.came + 1, reader.came + messages + 1):
                other.publish("skip", data="x" * size)
                while reader.came < due:
                    reader.receive()

        def cost():
            before = spent(janus)
            publish(100, 10)
            return spent(janus) - before
        alone = cost()
        crowd = [Lines(janus.address("http"), "skip", RCVBUF).begun() for _ in range(800)]
        while janus.behind() < len(crowd):
            publish(5, 2000)
        self.assertEqual(janus.subscriptions(), len(crowd) + 1)
        self.assertLess(cost(), 5 * alone)
        for it in crowd:
            it.socket.close()
        wait_until(lambda: janus.subscriptions() == 1, 20, "the end of the crowd")
        publish(1, 10)


if __name__ == "__main__":
    unittest.main()
