"""tests/bench/janusctl_cost.py in short: everything that it asks is answered, and it measures deliveries while somebody asks."""
import os
import sys
import unittest

from janus_test import BUILD, ROOT, JanusTest

sys.path.insert(0, os.path.join(ROOT, "tests", "bench"))
import janusctl_cost  # noqa: E402


class JanusctlCost(JanusTest):
    def test_short(self):
        lines = []
        found = janusctl_cost.run(janusctl_cost.parse(["--build", BUILD, "--connections", "50", "--topics-each", "2", "--rounds", "1", "--turns", "1", "--seconds", "0.1",
                                                       "--load", "steady", "--subscribers", "20"]), lines.append)
        self.assertEqual(found["topics"], 100)
        self.assertIn("50 connections and 100 topics", lines[0])
        for words in janusctl_cost.ASKED:
            self.assertGreater(found["questions"][" ".join(words)]["cpu"], 0, lines)
        self.assertGreater(found["cost"]["steady"]["server CPU a delivery, us"]["ratio"], 0, lines)


if __name__ == "__main__":
    unittest.main()
