"""The small forms of `make chaos-nodes`."""
import unittest

import chaos_nodes
from janus_test import JanusTest
from nats_servers import PROGRAM


@unittest.skipUnless(PROGRAM, "no nats-server here")
class Chaos(JanusTest):
    def test_short(self):
        good, report = chaos_nodes.run(chaos_nodes.parse(["--seconds", "9", "--pause", "0.7"]))
        self.assertTrue(good, report)

    def test_stream(self):
        """One history."""
        good, report = chaos_nodes.run(chaos_nodes.parse(["--stream", "--seconds", "9", "--pause", "0.7"]))
        self.assertTrue(good, report)


if __name__ == "__main__":
    unittest.main()
