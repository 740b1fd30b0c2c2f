"""tests/bench/history_cost.py in short: it measures, and history does not cost a multiple."""
import os
import sys
import unittest

from janus_test import ROOT, JanusTest

sys.path.insert(0, os.path.join(ROOT, "tests", "bench"))
import history_cost  # noqa: E402


class HistoryCost(JanusTest):
    def test_short(self):
        options = history_cost.parse(["--rounds", "15", "--messages", "1280", "burst", "none", "post"])
        for found in history_cost.run(options, say=lambda line: None):
            self.assertGreater(found["plain_ns"], 100, found)
            self.assertLess(found["plain"]["ratio"], 2, found)      # (on a busy machine; `make bench-history` has the figures)


if __name__ == "__main__":
    unittest.main()
