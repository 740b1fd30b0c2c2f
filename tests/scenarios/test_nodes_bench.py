"""janusbench with several nodes: it spreads over them, waits until it is told that they know of each other, and finds out what does not arrive."""
import unittest

from janus_test import SLOWNESS, Bench, JanusTest, free_port
from web_clients import WEB

PROTOCOLS = ("flash", "http", "packet")


class Spread(JanusTest):
    def addresses(self, server, first=0):
        return {protocol: server.address(first + n) for n, protocol in enumerate(PROTOCOLS)}

    def held(self, addresses, *arguments):
        bench = Bench(addresses, "-n", 60, "-T", 2, "-m", 20, "-p", 4, "--speak", "ws,flash,packet", *arguments, hold=True)
        self.addCleanup(bench.kill)
        return bench.wait_ready()

    def test_two_addresses(self):
        """Of one server: each has half of the subscribers, and of the publishers."""
        server = self.server(listen=["%s://127.0.0.1:%d" % (protocol, free_port()) for protocol in PROTOCOLS * 2])
        bench = self.held([self.addresses(server), self.addresses(server, 3)])
        self.assertEqual(server.count("published"), 0)
        bench.release()
        figures = bench.finish()
        self.assertEqual({name: t["subscribers"] for name, t in figures["transports"].items()},
                         {"%s@%d" % (name, node): 10 for name in ("ws", "flash", "packet") for node in range(2)})
        self.assertEqual((figures["deliveries"], figures["fault_sum"]), (1200, 0))

    def test_not_joined(self):
        """What is published on one server does not come on the other."""
        addresses = [self.addresses(self.server(listen=WEB)) for _ in range(2)]
        bench = self.held(addresses, "--timeout", 0.5 * SLOWNESS)
        bench.release()
        figures = bench.finish(status=1)
        self.assertEqual((figures["deliveries"], figures["faults"]["lost"]), (600, 600))

    def test_not_all_there(self):
        """Where one of them could not subscribe, it is never ready, and ends."""
        server = self.server("max_connections_address=40", listen=WEB)
        with self.assertRaisesRegex(AssertionError, "janusbench has ended with status 1: "):
            self.held(self.addresses(server))


if __name__ == "__main__":
    unittest.main()
