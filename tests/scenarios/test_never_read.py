"""The small form of never_read.py: who never reads costs a bounded amount of memory, others go on, and what was dropped adds up."""
import unittest

from janus_test import JanusTest
from never_read import Found


class NeverRead(JanusTest):
    limit = 120

    def test_flood(self):
        found = Found(self, 300, 3, turn=0.5)
        report = found.report()
        self.assertGreater(found.told, 300 * 1000, report)
        self.assertEqual(found.told, found.counted, report)
        self.assertLess(found.growth(), 0.25, report)      # (of 14 MB; never_read.py has the figures)
        rate, _ = found.slower()
        self.assertGreater(rate, 0.5, report)               # (on a busy machine)


if __name__ == "__main__":
    unittest.main()
