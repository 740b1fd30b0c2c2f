"""The small form of `make chaos`; and that it can fail."""
import os
import unittest

import chaos
from janus_test import ROOT, SLOWNESS, JanusTest

BROKEN_BUILD = os.path.join(ROOT, os.environ.get("JANUS_BROKEN_BUILD", "build/broken"))
KILLS_ALONE = "--bursts 0 --stops 0 --reloads 0 --pairs 0 --upgrades 0 --broken 0".split()


class Chaos(JanusTest):
    limit = 400

    def go(self, *arguments, build=None):
        return chaos.run(chaos.parse(arguments), build)

    def test_io_uring(self):
        good, report = self.go("--io", "auto")
        self.assertTrue(good, report)

    def test_send(self):
        good, report = self.go("--io", "send", "--seconds", "12", "--upgrades", "2", "--broken", "2")
        self.assertTrue(good, report)

    def test_it_can_fail(self):
        """A build that does not count what the kernel took before the kill: with luck a run gets away with it, not three."""
        for _ in range(3):
            good, report = self.go(*KILLS_ALONE, "--masters", "0", "--seconds", "6", "--timeout", str(int(10 * SLOWNESS)), build=BROKEN_BUILD)
            if not good:
                self.assertRegex(report, '"(lost|doubled|torn|connections_lost)": [1-9]')
                return
        self.fail("the kill loop finds nothing wrong with a recovery that is broken:\n" + report)

    def test_masters_can_fail(self):
        """The same build, whose master ends the keepers that it takes over."""
        good, report = self.go(*KILLS_ALONE, "--kills", "0", "--keepers", "0", "--spares", "0", "--masters", "3", "--subscribers", "200", "--large", "0", "--seconds", "4", "--timeout", str(int(6 * SLOWNESS)), "--patience", "2",
                               build=BROKEN_BUILD)
        self.assertFalse(good, "chaos finds nothing wrong with masters that end what they take over:\n" + report)
        self.assertRegex(report, '"connections_lost": [1-9]|closed_slot')      # (on a slow machine the benches have ended before)


if __name__ == "__main__":
    unittest.main()
