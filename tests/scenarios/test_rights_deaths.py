"""Rights, and deaths of a worker as they are given and taken."""
import unittest

from crash_test import CRASH_BUILD, CrashTest
from janus_test import wait_until
from test_rights import ALLOWED, KEYS, NO_RIGHT, NO_TOKEN, RightsTest


class Deaths(CrashTest, RightsTest):
    """A worker dies as rights are given and taken."""

    def serve(self, *options, **more):
        super().serve(*options, **dict(more, build=CRASH_BUILD))

    def check(self, client):
        self.assertEqual(self.talk(client, "publish", topic="news", data=1), ALLOWED)
        self.assertEqual(self.talk(client, "publish", topic="other", data=1), NO_RIGHT)

    def test_shown(self):
        self.guard()
        for point in ("rights-written", "rights-put"):
            for passing in (1, 2):          # the first rights that it has, and others in their place
                with self.subTest(point=point, passing=passing):
                    client = self.talker("ws")
                    self.arm(point, passing)
                    for _ in range(passing):
                        self.assertEqual(self.talk(client, "auth", token=KEYS["bob"]), ALLOWED)
                    wait_until(lambda: not self.armed(point))
                    self.check(client)
                    self.janus.forgive_deaths()
                    client.close()

    def test_begun(self):
        """A request that becomes a WebSocket is dealt with again."""
        self.guard()
        for point in ("rights-written", "rights-put", "stream-subscribed", "stream-started"):
            with self.subTest(point=point):
                self.arm(point)
                client = self.websocket(Sec_WebSocket_Protocol="janus, bearer." + KEYS["bob"])
                client.kind = "ws"
                wait_until(lambda: not self.armed(point))
                self.check(client)
                self.janus.forgive_deaths()
                client.close()

    def test_number_used_again(self):
        """Who comes next under the same number has nothing of it."""
        self.guard()
        for point in ("close-freed", "close-left", "rights-written", "rights-put"):
            with self.subTest(point=point):
                client = self.talker("packet", "right")
                self.arm(point)
                client.close()
                wait_until(lambda: not self.armed(point))
                self.janus.forgive_deaths()
                wait_until(lambda: self.janus.connections() == 0)
                others = [self.talker("packet") for _ in range(3)]
                for other in others:
                    self.assertEqual(self.talk(other, "publish", topic="news", data=1), NO_TOKEN)
                self.janus.forgive_deaths()
                for other in others:
                    other.close()
                wait_until(lambda: self.janus.connections() == 0)

    def test_parked(self):
        self.guard()
        for point in ("park-committed", "rights-put", "park-closed"):
            with self.subTest(point=point):
                client = self.talker("ws", "bob")
                token = client.greeting["token"]
                self.assertEqual(self.talk(client, "subscribe", topic="news"), ALLOWED)
                self.arm(point)
                client.reset()
                wait_until(lambda: not self.armed(point))
                self.janus.forgive_deaths()
                again = self.talker("ws", "bob")
                self.assertEqual(self.talk(again, "attach", token=token), ALLOWED)
                self.check(again)
                self.janus.forgive_deaths()
                again.close()


if __name__ == "__main__":
    unittest.main()
