"""Presence: who is on a topic, told as a list and as changes to those who subscribe `topic@presence`."""
import json
import os
import random
import shutil
import tempfile
import time
import unittest

from crash_test import CrashTest
import janus_test
from janus_test import SLOWNESS, cpu_seconds, wait_until
from programs import OTHER_BUILD, Program
from test_sessions import SessionTest
from web_clients import TEXT, WebSocket, frame

WATCH = "news@presence"


class Watcher:
    """Keeps who is there, as a client would: a list replaces what was known."""

    def __init__(self, client, topic=WATCH):
        self.client, self.topic = client, topic
        self.users, self.lists = set(), 0
        self.pages = None       # a list that is not whole yet: changes count for it, too
        self.changes = []       # (event, user)...

    def take(self, seconds=20):
        message = self.client.message(seconds)
        message = message.json() if hasattr(message, "json") else message
        if message.get("topic") != self.topic:
            return
        self.put(message)

    def put(self, message):
        data = message["data"]
        if message["event"] == "members":
            assert "id" not in message, message
            self.pages = (self.pages or set()) | set(data["users"])
            if data["more"] == 0:
                self.users, self.pages = self.pages, None
                self.lists += 1
            return
        self.changes.append((message["event"], data["user"]))
        for users in (self.users,) if self.pages is None else (self.users, self.pages):
            (users.add if message["event"] == "subscribed" else users.discard)(data["user"])

    def take_one_of(self, *watchers):
        """A client that watches several topics."""
        message = self.client.message(20)
        for watcher in watchers:
            if message.get("topic") == watcher.topic:
                watcher.put(message)

    def until(self, *users, lists=1):
        """Until these, and nobody else, are known to be there."""
        wanted = set(users)
        while self.users != wanted or self.lists < lists:
            try:
                self.take()
            except AssertionError as e:
                raise AssertionError("%d there, %d wanted; missing %r, too many %r" % (len(self.users), len(wanted), sorted(wanted - self.users)[:9],
                                                                                       sorted(self.users - wanted)[:9])) from e
        return self


class PresenceTest(SessionTest):
    workers = 2
    options = ("session_linger=0",)

    def user(self, name, *topics, kind="websocket"):
        """A client that is logged in and subscribes these."""
        if kind == "flash":
            client = self.flash()
            client.action("login", data=name)
            client.expect(b"ACK")
            return client.subscribe(*topics)
        client = {"websocket": self.websocket, "packet": self.packet}[kind]()
        return client.login(name).subscribe(*topics)

    def watcher(self, kind="websocket", topic=WATCH):
        if kind == "sse":
            return Watcher(self.sse("/sub?topic=%s&envelope=json" % topic), topic)
        if kind == "lines":
            return Watcher(self.lines("/sub?topic=" + topic), topic)
        client = {"websocket": self.websocket, "packet": self.packet, "flash": self.flash}[kind]()
        return Watcher(client.subscribe(topic), topic)


class Presence(PresenceTest):
    def test_list_and_changes(self):
        alice, bob = self.user("alice", "news"), self.user("bob", "news", "other", kind="packet")
        self.user("mallory", "other")
        self.websocket().subscribe("news")          # is not logged in
        watcher = self.watcher().until("alice", "bob")
        carol = self.user('c"ar\\ol', "news", kind="flash")
        watcher.until("alice", "bob", 'c"ar\\ol')
        alice.close()
        watcher.until("bob", 'c"ar\\ol')
        carol.unsubscribe("news")
        bob.op("logout", user="bob")
        watcher.until()
        self.assertEqual(watcher.lists, 1)
        self.assertEqual(watcher.changes[:2], [("subscribed", 'c"ar\\ol'), ("unsubscribed", "alice")])
        self.assertEqual(sorted(watcher.changes[2:]), [("unsubscribed", "bob"), ("unsubscribed", 'c"ar\\ol')])
        self.assertEqual(self.janus.count("presence_changes"), 4)

    def test_all_transports(self):
        """The list has no id, and does not become the place from which an EventSource resumes."""
        self.user("alice", "news")
        watchers = [self.watcher(kind).until("alice") for kind in ("websocket", "packet", "flash", "sse", "lines")]
        bob = self.user("bob", "news")
        for watcher in watchers:
            watcher.until("alice", "bob")
        bob.close()
        for watcher in watchers:
            watcher.until("alice")
            self.assertEqual((watcher.lists, watcher.changes), (1, [("subscribed", "bob"), ("unsubscribed", "bob")]))

    def test_raw_events(self):
        """What an EventSource sees."""
        self.user("alice", "news")
        stream = self.sse("/sub/" + WATCH)
        event = stream.event()
        self.assertEqual((event.type, json.loads(event.data)), ("members", {"users": ["alice"], "more": 0}))
        bob = self.user("bob", "news")
        event = stream.event()
        self.assertEqual((event.type, json.loads(event.data)), ("subscribed", {"user": "bob"}))
        bob.close()
        self.assertEqual(stream.event().type, "unsubscribed")

    def test_a_user_is_there_once(self):
        """Several connections, on several workers, are one member; so are several subscriptions of one connection in one turn."""
        watcher = self.watcher().until()
        clients = [self.user("alice", "news") for _ in range(6)]
        watcher.until("alice")
        for client in clients[1:]:
            client.close()
        wait_until(lambda: self.janus.connections() == 2)
        self.user("bob", "news")
        watcher.until("alice", "bob")
        clients[0].close()
        watcher.until("bob")
        self.assertEqual(watcher.changes, [("subscribed", "alice"), ("subscribed", "bob"), ("unsubscribed", "alice")])

    def test_flaps_within_a_turn(self):
        """Only what is left at the end of a turn is told."""
        watcher = self.watcher().until()
        client = self.websocket().login("alice")
        client.send(b"".join(self.frame_of(a) for a in ("subscribe", "unsubscribe") * 20))
        for _ in range(40):
            self.assertTrue(client.message()["ok"])
        self.user("bob", "news")
        watcher.until("bob")
        self.assertLess(len(watcher.changes), 10)

    def frame_of(self, action):
        return frame(TEXT, json.dumps({"action": action, "topic": "news"}).encode())

    def test_several_users_of_a_connection(self):
        watcher = self.watcher().until()
        client = self.websocket().login("alice", "bob").subscribe("news")
        watcher.until("alice", "bob")
        client.action("logout", user="alice")
        watcher.until("bob")

    def test_long_lists(self):
        """They come in several messages."""
        users = ["user %04d %s" % (n, "\N{SNOWMAN}" * 20) for n in range(2000)]
        for at in range(0, len(users), 200):
            self.websocket().login(*users[at:at + 200]).subscribe("news")
        for kind in ("websocket", "packet", "sse"):
            watcher = self.watcher(kind).until(*users)
            self.assertEqual((watcher.lists, watcher.changes), (1, []))

    def test_several_topics_at_once(self):
        """One that is watched already, and others that are not: each list comes, whichever is whole first."""
        self.watcher(topic="old@presence").until()
        self.user("alice", "old", "new0", "new5")
        for n in range(20):
            for topics in (["new%d" % n, "old"], ["old", "newer%d" % n]):
                client = self.websocket()
                client.action("subscribe", topic=[t + "@presence" for t in topics])
                watchers = [Watcher(client, t + "@presence") for t in topics]
                while any(w.lists == 0 for w in watchers):
                    watchers[0].take_one_of(*watchers)
                self.assertEqual(watchers[topics.index("old")].users, {"alice"})
                client.close()

    def test_as_far_as_it_goes(self):
        """Of several names, those before one that is refused stay subscribed at /ws: their lists come."""
        self.serve("max_subscriptions=2", "session_linger=0")
        self.user("alice", "news")
        client = self.websocket()
        client.action("subscribe", topic=[WATCH, "b", "c", "d"])
        client.expect_error("max_subscriptions")
        Watcher(client).until("alice")

    def test_once_watched_is_not_for_ever(self):
        """Topics that nobody watches any more make room."""
        self.serve("max_presence=40", "session_linger=0")
        client = self.websocket()
        for n in range(100):
            topic = "t%d@presence" % n
            def subscribed():
                client.action("subscribe", topic=topic)
                while True:
                    answer = client.message()
                    if "ok" in answer:
                        return answer["ok"]
            wait_until(subscribed, what=topic)
            client.action("unsubscribe", topic=topic)
            while "ok" not in client.message():
                pass

    def test_room_again(self):
        """Users for whom there was no room are noted when there is."""
        self.serve("max_presence=12", "session_linger=0")
        watcher = self.watcher().until()
        users = {"user%d" % n: self.user("user%d" % n, "news") for n in range(15)}
        while len(watcher.users) < 11:
            watcher.take()
        for name in sorted(watcher.users)[:6]:
            users.pop(name).close()
        watcher.until(*users)

    def test_thousands_of_lists(self):
        """A turn is short, and others are served, while long lists are sent."""
        users = ["user %05d" % n for n in range(8000)]
        for at in range(0, len(users), 250):
            self.websocket().login(*users[at:at + 250]).subscribe("news")
        self.watcher().until(*users)
        watchers = [self.websocket() for _ in range(60)]
        other, slowest, workers = self.websocket().subscribe("other"), 0, self.janus.workers()
        for watcher in watchers:
            watcher.action("subscribe", topic=WATCH)
        for n in range(20):
            before = [cpu_seconds(pid) for pid in workers]      # (time goes by on a busy machine, whatever they do)
            other.action("publish", topic="other", data=n)
            other.message()
            slowest = max([slowest] + [cpu_seconds(pid) - had for pid, had in zip(workers, before)])
        self.assertLess(slowest, 1 * SLOWNESS)
        for client in watchers[:3]:
            self.assertTrue(client.message()["ok"])
            self.assertEqual(Watcher(client).until(*users).lists, 1)

    def test_reserved(self):
        """Nobody but the server says who is there; patterns get nothing of it."""
        watcher, everything = self.watcher().until(), self.websocket().subscribe(">")
        self.assertEqual(self.ask("POST", "/pub/" + WATCH, b"forged").status, 400)
        flash = self.flash()
        flash.action("publish", topic=WATCH, data="forged")
        flash.expect_error("reserved")
        flash = self.flash()
        flash.action("subscribe", data="a@b@presence")
        flash.expect_error("presence")
        for name in ("news.*@presence", "@presence", "a@presence@presence"):
            client = self.websocket()
            client.action("subscribe", topic=name)
            client.expect_error("reserved")
        self.user("alice", "news")
        watcher.until("alice")
        self.publish("last", 1)
        self.assertEqual(everything.message()["topic"], "last")

    def test_no_room(self):
        """A table that is full is said to be, and counted; who is in it is told of."""
        self.serve("max_presence=12", "session_linger=0")
        watcher = self.watcher()
        clients = [self.user("user%d" % n, "news") for n in range(12)]
        wait_until(lambda: self.janus.count("presence_full") > 0)
        while len(watcher.users) < 10:
            watcher.take()
        for topic in ("second", "third"):
            client = self.websocket()
            client.action("subscribe", topic=topic + "@presence")
            client.message()
        client = self.websocket()
        client.action("subscribe", topic="fourth@presence")
        client.expect_error("max_presence")
        for client in clients:
            client.close()
        watcher.until()

    def test_off(self):
        self.serve("max_presence=0")
        client = self.websocket()
        client.action("subscribe", topic=WATCH)
        client.expect_error("max_presence")

    def test_nobody_watches_any_more(self):
        """Who comes and goes then is not told, and not kept; who watches again gets a list."""
        alice = self.user("alice", "news")
        watcher = self.watcher().until("alice")
        watcher.client.close()
        wait_until(lambda: self.janus.connections() == 1)
        alice.close()
        self.user("bob", "news")
        self.watcher().until("bob")


class Lingering(PresenceTest):
    options = ("session_linger=%d" % (2 + SLOWNESS),)

    def test_lingering(self):
        """Whose connection broke is there until the session ends; who comes back was never gone."""
        watcher = self.watcher().until()
        alice, bob = self.user("alice", "news"), self.user("bob", "news")
        token = self.token_of(bob)
        watcher.until("alice", "bob")
        self.cut(alice)
        self.cut(bob)
        self.attached("websocket", token)
        watcher.until("bob")
        self.assertEqual(watcher.changes[-1:], [("unsubscribed", "alice")])
        self.assertEqual(len(watcher.changes), 3)

    def test_away_while_nobody_watched(self):
        """What was told before is not said again behind the list, which is right."""
        self.serve("session_linger=0", "history=*: 100 messages")
        alice, first = self.user("alice", "other"), self.watcher().until()
        lines = self.lines("/sub/any")
        position = lines.start["position"]
        lines.close()
        alice.subscribe("news")
        first.until("alice")
        first.client.close()
        wait_until(lambda: self.janus.connections() == 1)
        time.sleep(3)               # until it is watched no longer, which nobody tells
        alice.close()
        for query in ({"last": 5}, {"since": position}):
            client, _ = self.resumed("websocket", [WATCH], **query)
            watcher = Watcher(client)
            while watcher.lists == 0:
                watcher.take()
            bob = self.user("bob", "news")
            watcher.until("bob")
            bob.close()
            watcher.until()
            client.close()

    def test_watcher_comes_back(self):
        """It gets a list, and what it had not had."""
        client = self.websocket()
        token = self.token_of(client)
        Watcher(client.subscribe(WATCH)).until()
        self.cut(client)
        self.user("alice", "news")
        for kind in ("websocket", "sse"):
            client, _ = self.attached(kind, token)
            watcher = Watcher(client).until("alice")
            self.cut(client)


class Faults(PresenceTest, CrashTest):
    def test_kills(self):
        """Nothing is told twice, nothing is missed, whichever workers die."""
        watchers = [self.watcher().until() for _ in range(4)]
        users = {"user%d" % n: self.user("user%d" % n, "news") for n in range(20)}
        for watcher in watchers:
            watcher.until(*users)
        for slot in (0, 1, 0, 1):
            self.janus.kill_worker(slot)
            name = next(iter(users))
            users.pop(name).close()
            users["new%d" % len(self.janus.killed)] = self.user("new%d" % len(self.janus.killed), "news")
            for watcher in watchers:
                watcher.until(*users)
        for watcher in watchers:
            self.assertEqual((watcher.lists, len(watcher.changes)), (1, 28))

    def test_gone_with_the_worker(self):
        """A user whose connection broke while the worker was dead."""
        watcher, users = self.watcher().until(), [self.user("user%d" % n, "news") for n in range(10)]
        watcher.until(*("user%d" % n for n in range(10)))
        self.janus.reload()
        for pid in self.janus.workers():
            self.janus.kill(pid, "worker")
        for client in users[:5]:
            client.close()
        watcher.until(*("user%d" % n for n in range(5, 10)))
        self.assertEqual(len(watcher.changes), 15)

    def test_gone_within_a_death(self):
        """A worker that died after a session had left the topic, and before anybody was told."""
        self.serve_crash_build("session_linger=0")
        watcher, client = self.watcher().until(), self.user("alice", "news")
        watcher.until("alice")
        self.arm("unsubscribe-left")
        client.action("unsubscribe", topic="news")
        watcher.until()
        self.assertTrue(self.disarm("unsubscribe-left"), "nobody came by")
        self.janus.forgive_deaths(9)
        self.assertEqual(watcher.changes, [("subscribed", "alice"), ("unsubscribed", "alice")])

    def test_keeper_killed(self):
        """A slot that starts empty: its users are gone, and those who watch elsewhere are told."""
        watcher = Watcher(self.on_worker(0, WebSocket).upgrade().subscribe(WATCH)).until()
        for slot in (0, 1):
            client = self.on_worker(slot, WebSocket).upgrade()
            client.login("slot%d" % slot).subscribe("news")
        watcher.until("slot0", "slot1")
        self.janus.lose_slot(1)
        watcher.until("slot0")
        self.user("alice", "news")
        watcher.until("slot0", "alice")

    def test_upgrade(self):
        """To a program with another layout: the list comes again."""
        program = Program(janus_test.BUILD, os.path.join(tempfile.mkdtemp(prefix="janus-presence-"), "bin"))
        self.addCleanup(shutil.rmtree, os.path.dirname(program.folder))
        self.serve(*self.options, build=program.folder, workers=3)
        watchers = [Watcher(self.on_worker(slot, WebSocket).upgrade().subscribe(WATCH)).until() for slot in (0, 1, 2)]
        users = {n: self.user(n, "news") for n in ("alice", "bob")}
        for watcher in watchers:
            watcher.until("alice", "bob")
        program.put(OTHER_BUILD)
        status, _, err = self.janus.reload()
        self.assertEqual(status, 0, err)
        users.pop("alice").close()
        for watcher in watchers:
            watcher.until("bob", lists=2)
        self.user("carol", "news")
        for watcher in watchers:
            watcher.until("bob", "carol", lists=2)

    def test_crash_points(self):
        """A death at each step of a change and of a list."""
        for point in ("change-staged", "publish-committed", "change-committed", "presence-set", "presence-counted", "presence-listed"):
            with self.subTest(point=point):
                self.serve_crash_build("session_linger=0")
                self.arm(point)
                watchers = [self.watcher().until() for _ in range(2)]
                users = {}
                for n in range(12):
                    users["user%d" % n] = self.user("user%d" % n, "news")
                    if n % 3 == 2:
                        for watcher in watchers:
                            watcher.until(*users)       # (who goes before he was told of is told of later, or never)
                        users.pop("user%d" % (n - 1)).close()
                for watcher in watchers + [self.watcher()]:
                    watcher.until(*users)
                self.assertEqual([len(w.changes) for w in watchers], [16, 16])
                self.assertTrue(self.disarm(point), "nobody came by")
                self.janus.forgive_deaths(9)


class Crowd(PresenceTest):
    def test_many_come_and_go(self):
        """Users and watchers come and go on both workers, and workers die; in the end all know who is there."""
        rng = random.Random(7)
        watchers, users = [self.watcher(kind).until() for kind in ("websocket", "packet", "flash", "lines")], {}
        for step in range(150):
            if len(users) < 10 or rng.random() < 0.55:
                users["user%d" % step] = self.user("user%d" % step, "news", kind=rng.choice(("websocket", "packet", "flash")))
            else:
                users.pop(rng.choice(list(users))).close()
            if step % 30 == 29:
                self.janus.kill_worker(rng.randrange(2), wait=False)
            if step % 50 == 25:
                watchers.append(self.watcher())
        status, _, err = self.janus.reload()
        self.assertEqual(status, 0, err)
        for watcher in watchers:
            watcher.until(*users)
            for user in {user for _, user in watcher.changes}:
                events = [event for event, of in watcher.changes if of == user]
                self.assertLessEqual(len(events), 2, (user, events))


if __name__ == "__main__":
    unittest.main()
