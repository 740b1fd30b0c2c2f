"""What a node asks NATS for: topics only while somebody here subscribes them, however bridges and workers die meanwhile."""
import unittest

from janus_test import wait_until
from nodes_test import NodesTest

ALWAYS = {"janus.broadcast"}        # beside what begins with janus.node.


class Interest(NodesTest):
    def asked(self):
        """What NATS is asked for, sorted, without what every node always asks for."""
        return sorted(s for s in self.nats.subscriptions() if s not in ALWAYS and not s.startswith(("janus.node.", "_INBOX")))

    def wait_asked(self, *subjects):
        wanted = sorted(subjects)
        try:
            wait_until(lambda: self.asked() == wanted, 10, "")
        except AssertionError:
            self.assertEqual(self.asked(), wanted)

    def test_comes_and_goes(self):
        a = self.node("a")
        self.wait_asked()
        clients = [a.websocket() for _ in range(6)]        # on both workers
        for client in clients:
            client.subscribe("t", "a.b")
        self.wait_asked("janus.topic.t", "janus.topic.a.b")
        clients[0].action("unsubscribe", topic=["t", "a.b"])
        clients[0].expect({"ok": True})
        clients[0].login("bob").subscribe("n.*", "n.>", ">")
        self.wait_asked("janus.topic.t", "janus.topic.a.b", "janus.inbox.bob", "janus.topic.n.*", "janus.topic.n.>", "janus.topic.>")
        for client in clients[1:]:
            client.close()
        self.wait_asked("janus.inbox.bob", "janus.topic.n.*", "janus.topic.n.>", "janus.topic.>")
        clients[0].close()
        self.wait_asked()
        for _ in range(50):
            client = a.websocket().subscribe("flicker")
            client.action("unsubscribe", topic="flicker")
            client.expect({"ok": True})
            client.close()
        a.websocket().subscribe("end")
        self.wait_asked("janus.topic.end")

    def test_many(self):
        """Thousands, by arrays; and a bridge that dies finds out what is asked for."""
        a = self.node("a", "max_subscriptions=10000")
        client, other = a.websocket(), a.websocket()
        topics = ["many.%d" % n for n in range(3000)]
        for n in range(0, 3000, 1000):
            client.action("subscribe", topic=topics[n:n + 1000])
            client.expect({"ok": True})
        self.wait_asked(*("janus.topic." + t for t in topics))
        a.kill_bridge(wait=False)
        other.subscribe("meanwhile")
        client.action("unsubscribe", topic=topics[:1000])
        client.expect({"ok": True})
        a.wait_connected()
        self.wait_asked("janus.topic.meanwhile", *("janus.topic." + t for t in topics[1000:]))
        client.close()
        self.wait_asked("janus.topic.meanwhile")

    def test_worker_dies(self):
        """Its clients stay, and so does what they want."""
        a = self.node("a")
        clients = [a.websocket().subscribe("t", "u.%d" % n) for n in range(8)]
        wanted = ["janus.topic.t"] + ["janus.topic.u.%d" % n for n in range(8)]
        self.wait_asked(*wanted)
        for slot in (0, 1):
            a.janus.kill_worker(slot)
        self.assertEqual(self.asked(), sorted(wanted))
        a.janus.lose_slot(0)            # whose clients are lost
        left = [c for c in clients if self.lives(c)]
        self.wait_asked(*([] if not left else ["janus.topic.t"]), *("janus.topic.u.%d" % clients.index(c) for c in left))

    @staticmethod
    def lives(client):
        try:
            client.action("ping")
            client.expect({"ok": True})
            return True
        except (AssertionError, OSError):
            return False

    def test_rules_of_history(self):
        """What is kept is asked for all the time."""
        self.node("a", "history=news.*: 10 messages; exact: 10 messages")
        self.wait_asked("janus.topic.news.>", "janus.topic.exact")


if __name__ == "__main__":
    unittest.main()
