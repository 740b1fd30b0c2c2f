"""The small form of soak.py: messages to ids at random, each of which comes once, and memory that is flat."""
import unittest

from janus_test import BUILD, JanusTest
from soak import GROWTH, Soak

SMALL_RING = 1024, 4 << 20
SLOPE = 64 << 10        # bytes, over 3,200 messages: what leaks 20 bytes a message. Peaks of buffers are no slope, and may be GROWTH


class SmallSoak(JanusTest):
    def test_flat(self):
        found = Soak(self, 300, 1000, rounds=(24, 200), ring=SMALL_RING)
        report = found.report()
        if "asan" in BUILD:
            return          # what was freed is kept for a while there
        self.assertLess(found.slope(), SLOPE, report)
        self.assertLess(found.rise(), GROWTH, report)


if __name__ == "__main__":
    unittest.main()
