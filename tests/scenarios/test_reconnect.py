"""The small form of `make reconnect`; and that it can fail."""
import os
import unittest

import reconnect
from janus_test import ROOT, Bench, JanusTest

BROKEN_BUILD = os.path.join(ROOT, os.environ.get("JANUS_BROKEN_BUILD", "build/broken"))


class Reconnect(JanusTest):
    def go(self, *arguments, build=None):
        return reconnect.run(reconnect.parse(arguments), build)

    def test_all_is_kept(self):
        good, report, figures = self.go()
        self.assertTrue(good, report)
        self.assertGreater(figures["recovered"], 500, report)
        self.assertGreater(min(figures["fin"], figures["rst"], figures["silent"]), 100, report)
        self.assertGreater(figures["attached"], 200, report)
        self.assertGreater(figures["standing"], 50, report)

    def test_what_is_missing_is_told(self):
        good, report, figures = self.go("--may-miss", "--history", "*: 10 messages", "--away", "4", "--seconds", "6")
        self.assertTrue(good, report)
        self.assertGreater(figures["told"], 20, report)
        self.assertGreater(figures["not_recovered"], 5, report)
        self.assertGreater(figures["recovered"], 100, report)

    def test_it_can_fail(self):
        """A build that does not count what the kernel took before the kill: with luck a run gets away with it, not three."""
        for _ in range(3):
            good, report, _ = self.go("--seconds", "4", "--kills", "80", "--bursts", "0", "--reloads", "0", "--resizes", "0", "--upgrades", "0",
                                      "--rate", "1500", "--every", "3", "--timeout", "8", build=BROKEN_BUILD)
            if not good:
                self.assertRegex(report, "FAULT (lost|doubled|torn|connections_lost): [1-9]")
                return
        self.fail("it finds nothing wrong with a recovery that is broken:\n" + report)

    def test_refused(self):
        """What can't be: protocols that know no positions, and what goes only with connections that stay."""
        for arguments, said in ((("--speak", "flash"), "nobody can go on"), (("--speak", "ws", "--slow", "1"), "without --slow"),
                                (("--speak", "ws", "--topics-per-subscriber", "33"), "up to 64 --publishers and 32")):
            bench = Bench(("127.0.0.1", 9), "-n", 10, "--reconnect", 1, *arguments)
            with self.assertRaises(AssertionError) as found:
                bench.finish(10)
            self.assertIn("status 2", str(found.exception))
            self.assertIn(said, str(found.exception))


if __name__ == "__main__":
    unittest.main()
