"""The small form of soak.py: messages to ids at random, each of which comes once, and memory that is flat."""
import unittest

from janus_test import JanusTest
from soak import GROWTH, Soak

SMALL_RING = 1024, 4 << 20
SLOPE = 128 << 10       # bytes, over 5,000 messages: what leaks 25 bytes a message. Peaks of buffers are no slope, and may be GROWTH


class SmallSoak(JanusTest):
    def test_flat(self):
        found = Soak(self, 300, 2000, 4, every=0.1, ring=SMALL_RING)
        report = found.report()
        self.assertGreater(found.sent, 6000, report)
        self.assertGreater(len(found.samples), 10, report)
        self.assertLess(found.slope(), SLOPE, report)
        self.assertLess(found.rise(), GROWTH, report)


if __name__ == "__main__":
    unittest.main()
