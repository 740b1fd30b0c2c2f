"""The small form of never_read.py: who never reads costs a bounded amount of memory, others go on, and what was dropped adds up."""
import unittest

from janus_test import JanusTest
from never_read import GROWTH, SMALL_RING, Found


class NeverRead(JanusTest):
    limit = 120

    def test_flood(self):
        found = Found(self, 300, 6, turn=0.5, workers=2, ring=SMALL_RING, skipping=2)
        report = found.report()
        self.assertGreater(found.told, 300 * 1000, report)
        self.assertEqual(found.told, found.counted, report)
        self.assertLess(found.growth(), 2 * GROWTH, report) # (it is not all touched before)
        self.assertLess(found.slower()[1], 1.5, report)     # CPU; on a busy machine


if __name__ == "__main__":
    unittest.main()
