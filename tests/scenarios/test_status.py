"""janusctl status: the connections by what they speak."""
import re
import unittest

from janus_test import wait_until
from web_clients import Lines, WebTest

NONE = {"flash": 0, "packet": 0, "http": 0, "websocket": 0, "sse": 0, "json_lines": 0, "page": 0}


class ByTransport(WebTest):

    def line(self):
        """What status says to people; None: nothing."""
        status, out, err = self.janus.ctl("status")
        self.assertEqual(status, 0, err)
        found = re.search(r"(?m)^by transport +(.*)$", out)
        return found.group(1) if found else None

    def counts(self, **wanted):
        wanted = dict(NONE, **wanted)
        wait_until(lambda: self.janus.status()["by_transport"] == wanted, what="%r, not %r" % (wanted, self.janus.status()["by_transport"]))

    def test_all_kinds(self):
        self.counts()
        self.assertIsNone(self.line())
        clients = [self.flash(), self.flash(), self.packet(), self.websocket(), self.websocket("/sub/a"), self.websocket("/inbox/me"),
                   self.sse("/sub/a"), self.sse("/sub/a", version="1.0"), self.lines("/sub/a"), self.lines("/sub/a,b", version="1.0"),
                   self.stream(Lines, "/test/me"), self.stream(Lines, "/test/me", version="1.0")]
        all_of_them = dict(flash=2, packet=1, websocket=3, sse=2, json_lines=2, page=2)
        self.counts(**all_of_them)
        self.assertEqual(self.line(), "flash 2, packet 1, WebSocket 3, SSE 2, JSON lines 2, page 2")
        idle = [self.http() for _ in range(3)]
        self.assertEqual(idle[0].ask("GET", "/nothing").status, 404)
        self.counts(http=3, **all_of_them)
        for slot in range(self.workers):
            self.janus.kill_worker(slot)
        self.counts(http=3, **all_of_them)
        self.assertEqual(self.janus.reload()[0], 0)
        self.counts(http=3, **all_of_them)
        self.assertEqual(sum(self.janus.status()["by_transport"].values()), self.janus.connections())
        for client in clients[2:]:
            client.close()
        for client in idle[1:]:
            client.close()
        self.counts(flash=2, http=1)
        self.assertEqual(self.line(), "flash 2, HTTP 1")

    def test_what_becomes_a_stream_was_http(self):
        client = self.http()
        self.counts(http=1)
        self.assertEqual(client.ask("GET", "/sub/a").status, 200)
        self.counts(json_lines=1)
        refused = self.http()
        self.assertEqual(refused.ask("GET", "/sub/").status, 400)
        self.counts(json_lines=1, http=1)


if __name__ == "__main__":
    unittest.main()
