"""tests/bench/nodes_cost.py in short: it measures, and being joined does not cost local subscribers a multiple."""
import os
import sys
import unittest

from janus_test import ROOT, JanusTest
from nats_servers import PROGRAM

sys.path.insert(0, os.path.join(ROOT, "tests", "bench"))
import nodes_cost  # noqa: E402


@unittest.skipUnless(PROGRAM, "no nats-server here")
class NodesCost(JanusTest):
    def test_short(self):
        options = nodes_cost.parse(["--rounds", "1", "--subscribers", "200", "--seconds", "0.5", "--messages", "5000", "--topics", "5000"])
        found = nodes_cost.run(options, say=lambda line: None)
        self.assertEqual(set(found), set(nodes_cost.CASES))
        self.assertLess(found["fanout"]["ratio, us a delivery"], 3, found)      # (on a busy machine; `make bench-nodes` has the figures)
        for case in found.values():
            for what, figure in case.items():
                self.assertGreater(figure, 0, what)


if __name__ == "__main__":
    unittest.main()
