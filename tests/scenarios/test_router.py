"""Sending to ids: logging in by flash, /ws, /inbox, /test and packets, sending by each; and broadcasts."""
import html
import json
import re
import unittest

from janus_test import wait_until
from web_clients import Http, WebTest


class Page(Http):
    """The page /test/ID, as it grows."""

    page = b""

    def take(self):
        """(number, text) of a message, or None."""
        self.gather()
        self.page += bytes(self.body)
        self.body.clear()
        found = re.search(rb"Recvd msg #(\d+): '(.*?)'<br>\r\n", self.page, re.DOTALL)
        if not found:
            return None
        self.page = self.page[found.end():]
        return int(found.group(1)), html.unescape(found.group(2).decode())

    def message(self):
        return self.until(self.take)


class RouterTest(WebTest):
    """Kinds of recipients and senders by name, so that each can meet each."""

    IN = ("flash", "ws", "inbox", "inbox-sse", "inbox-ws", "packet", "test")
    OUT = ("flash", "ws", "post", "packet")

    def log_in(self, kind, id):
        """A client that is logged in."""
        if kind == "flash":
            client = self.flash()
            client.action("login", data=id)
            client.expect(b"ACK")
            return client
        if kind == "test":
            client = self.stream(Page, "/test/" + id)
            self.assertEqual(client.head.type, "text/html")
            return client
        return {"ws": lambda: self.websocket().login(id), "inbox": lambda: self.lines("/inbox/" + id), "inbox-sse": lambda: self.sse("/inbox/" + id),
                "inbox-ws": lambda: self.websocket("/inbox/" + id), "packet": lambda: self.packet().login(id)}[kind]()

    def data_of(self, kind, client, **wanted):
        """The data of its next message, which has the members that it must."""
        message = client.message()
        if kind == "test":
            return message[1]
        if kind == "inbox-sse":
            return message.data
        self.assertNotIn("topic", message)
        for name, value in wanted.items():
            self.assertEqual(message["to" if kind == "flash" and name == "user" else name], value)
        return message["data"]

    def sender(self, kind):
        """send(id, data)"""
        if kind == "post":
            return lambda id, data: self.post("/send/" + id, data)
        if kind == "packet":
            client = self.packet()
            return lambda id, data: client.op("send", user=id, data=data)
        if kind == "ws":
            client = self.websocket()
            return lambda id, data: client.action("send", user=id, data=data)
        client = self.flash()
        return lambda id, data: client.action("send", to=id, data=data)

    def subscribers(self, id):
        """How many are logged in under this id."""
        return self.post("/send/" + id, "x")["subscribers"]


class Router(RouterTest):
    def test_each_to_each(self):
        clients = {kind: self.log_in(kind, "bob") for kind in self.IN}
        strangers = {kind: self.log_in(kind, "eve") for kind in self.IN}
        for out in self.OUT:
            with self.subTest(sender=out):
                send = self.sender(out)
                send("bob", "hi by " + out)
                for kind, client in clients.items():
                    self.assertEqual(self.data_of(kind, client, user="bob"), "hi by " + out)
        for kind, client in strangers.items():
            self.post("/send/eve", "fence")
            self.assertEqual(self.data_of(kind, client, user="eve"), "fence")
            for other, its in strangers.items():
                if other != kind:
                    self.data_of(other, its, user="eve")

    def test_message(self):
        """`user` in place of `topic`, in each form; to flash, `to`."""
        lines, flash, packets, sse = (self.log_in(kind, "bob") for kind in ("inbox", "flash", "packet", "inbox-sse"))
        number = self.published("/send/bob?event=e", "hi")
        self.assertRegex(lines.chunk(), rb'\A\{"id":"%s","timestamp":\d{16},"user":"bob","event":"e","data":"hi"\}\n\Z' % number.text.encode())
        self.assertRegex(flash.message_text(), rb'\A\{"timestamp":\[\d+,\d+,\d+\],"to":"bob","event":"e","data":"hi"\}\Z')
        message = packets.message()
        self.assertIsInstance(message.pop("timestamp"), int)
        self.assertEqual(message, {"id": number, "user": "bob", "event": "e", "data": "hi"})
        event = sse.event()
        self.assertEqual((event.id, event.type, event.data), (number, "e", "hi"))
        number = self.published("/send/bob", "hi")
        self.assertRegex(lines.chunk(), rb'\A\{"id":"%s","timestamp":\d{16},"user":"bob","data":"hi"\}\n\Z' % number.text.encode())

    def test_members(self):
        """/ws passes on what it is sent, as publish does; not `action` and `ref`."""
        lines, client = self.log_in("inbox", "bob"), self.websocket()
        client.text('{"ref":3,"action":"send","event":1,"user":"bob","data":{"a": 1},"message_id":[2]}')
        message = lines.message()
        self.assertEqual({k: v for k, v in message.items() if k not in ("id", "timestamp")}, {"user": "bob", "event": 1, "data": {"a": 1}, "message_id": [2]})
        self.assertEqual(client.message(), {"ok": True, "ref": 3, "id": message["id"], "subscribers": 1})
        client.action("send", user="nobody", data=0, ref=4)
        client.expect({"ok": True, "ref": 4, "id": None, "subscribers": 0})

    def test_json_and_binary(self):
        lines, packets, socket = (self.log_in(kind, "bob") for kind in ("inbox", "packet", "ws"))
        self.published("/send/bob", '{"a":[1]}', "application/json")
        for client in (lines, packets, socket):
            self.assertEqual(client.message()["data"], {"a": [1]})
        self.published("/send/bob", b"\xff\x00")
        for client in (lines, socket):
            message = client.message()
            self.assertEqual((message["user"], message["data"], message["encoding"]), ("bob", "/wA=", "base64"))
        self.assertEqual(packets.message()["data"], b"\xff\x00")
        self.assertEqual(self.ask("POST", "/send/bob", b"{", {"Content-Type": "application/json"}).status, 400)

    def test_several_logins(self):
        """Of one id, on all workers: each gets the message, and is counted."""
        clients = []
        for n in range(21):
            kind = self.IN[n % len(self.IN)]
            clients.append((kind, self.log_in(kind, "bob")))
            self.assertEqual(self.subscribers("bob"), n + 1)
        self.post("/send/bob", "to all")
        for n, (kind, client) in enumerate(clients):
            for _ in range(21 - n):
                self.data_of(kind, client, user="bob")
            self.assertEqual(self.data_of(kind, client, user="bob"), "to all")

    def test_login_twice_is_one(self):
        for kind in ("flash", "ws", "packet"):
            with self.subTest(kind=kind):
                client = self.log_in(kind, kind)
                if kind == "flash":
                    client.action("login", data=kind)
                    client.expect(b"ACK")
                else:
                    client.login(kind)
                self.assertEqual(self.subscribers(kind), 1)
        lines = self.lines("/inbox/x,x,%78")
        self.assertEqual(self.subscribers("x"), 1)
        self.assertEqual(lines.message()["user"], "x")

    def test_several_ids(self):
        lines, socket = self.lines("/inbox/a,b%2Cc"), self.websocket().login("a", "b,c", "d")
        for id in ("a", "b%2Cc", "d"):
            self.post("/send/" + id, id)
        self.assertEqual([lines.message()["user"] for _ in range(2)], ["a", "b,c"])
        self.assertEqual([socket.message()["user"] for _ in range(3)], ["a", "b,c", "d"])

    def test_logout(self):
        flash, socket, packets = (self.log_in(kind, "bob") for kind in ("flash", "ws", "packet"))
        self.assertEqual(self.subscribers("bob"), 3)
        flash.action("logout", data="bob")
        wait_until(lambda: self.subscribers("bob") == 2, what="flash's logout")
        socket.action("logout", user="bob")
        self.assertEqual(self.reply(socket), {"ok": True})
        self.assertEqual(self.subscribers("bob"), 1)
        packets.op("logout", user="bob", ref=3)
        self.assertEqual(self.reply(packets), {"ok": True, "ref": 3})
        self.assertEqual(self.post("/send/bob", "x"), {"id": None, "subscribers": 0})
        # A second time, or never logged in: as unsubscribe.
        socket.action("logout", user="bob")
        packets.op("logout", user="never")
        self.assertEqual((self.reply(socket), self.reply(packets)), ({"ok": True}, {"ok": True}))
        socket.login("bob")
        self.assertEqual(self.subscribers("bob"), 1)

    def reply(self, client):
        """The next answer, behind messages that were sent before."""
        while True:
            got = client.message()
            if "ok" in got:
                return got
            self.assertEqual(got["user"], "bob")

    def test_leaving_logs_out(self):
        for end in ("close", "reset", "half_close"):
            for kind in self.IN:
                with self.subTest(kind=kind, end=end):
                    client = self.log_in(kind, "bob")
                    self.assertEqual(self.subscribers("bob"), 1)
                    getattr(client, end)()
                    wait_until(lambda: self.subscribers("bob") == 0, what="the logout")
        wait_until(lambda: self.janus.subscriptions() == 0 and self.janus.connections() == 0, what="the connections' end")

    def test_ids_are_no_topics(self):
        inbox, sub = self.lines("/inbox/same"), self.lines("/sub/same")
        both = self.websocket().login("same").subscribe("same")
        self.assertEqual(self.post("/send/same", "sent")["subscribers"], 2)
        self.assertEqual(self.post("/pub/same", "published")["subscribers"], 2)
        self.assertEqual(inbox.message()["data"], "sent")
        self.assertEqual(sub.message()["data"], "published")
        self.assertEqual([both.message()["data"] for _ in range(2)], ["sent", "published"])
        both.action("unsubscribe", topic="same")
        both.expect({"ok": True})
        self.assertEqual(self.post("/pub/same", "x")["subscribers"], 1)
        self.assertEqual(self.post("/send/same", "x")["subscribers"], 2)

    def test_id_rules(self):
        """As topics, but a byte less: 254 of UTF-8."""
        for id in ("b" * 254, "é" * 127, "a b", "😀", "x/y", "\u00a0"):
            with self.subTest(id=id):
                socket = self.websocket().login(id)
                flash = self.flash()
                flash.action("send", to=id, data="hi")
                self.assertEqual(socket.message()["user"], id)
                socket.close()
        for id in ("", "b" * 255, "\n", "\x7f", "\x85"):
            for action in ({"action": "login", "data": id}, {"action": "logout", "data": id}, {"action": "send", "to": id}):
                with self.subTest(bad=action):
                    socket, flash = self.websocket(), self.flash()
                    socket.text(json.dumps(dict({"user" if k == "to" else k: v for k, v in action.items()}, **({"data": 1} if "to" in action else {}))))
                    socket.expect_error()
                    flash.send(json.dumps(action).encode() + b"\0")
                    flash.expect_error()
                    flash.expect_close()        # bad input, as with a bad topic
                    socket.close()

    def test_flash(self):
        """A connection that does all: subscribes, publishes, logs in, sends to itself."""
        client = self.flash().subscribe("a")
        client.action("login", data="me")
        client.expect(b"ACK")
        for n in range(100):
            client.action("send", to="me", n=n)
            client.publish("a", n=n)
        for n in range(100):
            self.assertEqual((client.message().get("to"), client.message().get("topic")), ("me", "a"))
        client.action("send", to="nobody", data="x")
        client.action("logout", data="me")
        client.publish("a", fence=1)
        client.expect_message("a", fence=1)
        self.assertEqual(self.janus.count("bad_input"), 0)

    def test_order(self):
        """What is sent and what is published have one order, for all who get both."""
        clients = [self.websocket().login("me").subscribe("a") for _ in range(6)]
        senders = [self.flash() for _ in range(4)]
        for n in range(100):
            for sender in senders:
                if n % 2:
                    sender.action("send", to="me", n=n)
                else:
                    sender.publish("a", n=n)
        got = [[client.message() for _ in range(400)] for client in clients]
        ids = [[m["id"] for m in messages] for messages in got]
        self.assertEqual(ids[0], sorted(set(ids[0])))
        for other in ids:
            self.assertEqual(other, ids[0])

    def test_worker_killed(self):
        """Logins outlive the worker."""
        self.serve()
        clients = [(kind, self.log_in(kind, "bob")) for kind in self.IN for _ in range(2)]
        for n in range(4):
            self.janus.kill_worker(n % 2)
            self.assertEqual(self.subscribers("bob"), 2 * len(self.IN))
            self.post("/send/bob", "after %d" % n)
            for kind, client in clients:
                self.data_of(kind, client, user="bob")
                self.assertEqual(self.data_of(kind, client, user="bob"), "after %d" % n)


class Test(RouterTest):
    """The page /test/ID."""

    def test_page(self):
        page = self.log_in("test", "1")
        for n in range(1, 6):
            self.published("/send/1", "text %d" % n)
            self.assertEqual(page.message(), (n, "text %d" % n))
        self.assertEqual(page.head.get("Transfer-Encoding"), "chunked")

    def test_line(self):
        """One chunk a message, byte for byte."""
        page = self.log_in("test", "1")
        self.published("/send/1", "text")
        chunk = page.chunk()
        while b"Recvd" not in chunk:        # what the page begins with
            chunk = page.chunk()
        self.assertTrue(chunk.endswith(b"Recvd msg #1: 'text'<br>\r\n"), chunk)
        self.published("/send/1", "<b>&\"'</b>")
        chunk = page.chunk()
        self.assertTrue(chunk.startswith(b"Recvd msg #2: '") and chunk.endswith(b"'<br>\r\n"), chunk)
        self.assertNotIn(b"<b>", chunk)
        self.assertEqual(html.unescape(chunk.decode()), "Recvd msg #2: '<b>&\"'</b>'<br>\r\n")

    def test_counted_for_each_page(self):
        """From 1, whenever the page was opened."""
        first = self.log_in("test", "b")
        self.published("/send/b", "x")
        second = self.log_in("test", "b")
        self.published("/send/b", "y")
        self.published("/send/b", "z")
        self.assertEqual([first.message() for _ in range(3)], [(1, "x"), (2, "y"), (3, "z")])
        self.assertEqual([second.message() for _ in range(2)], [(1, "y"), (2, "z")])
        self.assertEqual(self.ask("GET", "/test/a,b").status, 400)
        comma = self.log_in("test", "a%2Cb")
        self.published("/send/a%2Cb", "one id")
        self.assertEqual(comma.message(), (1, "one id"))

    def test_data(self):
        """What SSE shows as data."""
        page = self.log_in("test", "1")
        for n, (body, type, wanted) in enumerate((("žluť 😀", None, "žluť 😀"), ('{"a": [1]}', "application/json", {"a": [1]}), ('"text"', "application/json", "text"),
                                                  (b"\xff", None, "/w=="), ('""', "application/json", "")), 1):
            self.published("/send/1", body, type)
            number, text = page.message()
            self.assertEqual((number, json.loads(text) if isinstance(wanted, dict) else text), (n, wanted))

    def test_http_1_0(self):
        page = self.stream(Page, "/test/1", version="1.0")
        self.published("/send/1", "x")
        self.assertEqual(page.message(), (1, "x"))

    def test_count_survives_the_worker(self):
        self.serve(workers=1)
        page = self.log_in("test", "1")
        for n in range(1, 7):
            self.published("/send/1", "x")
            if n % 2:
                self.janus.kill_worker(0)
            self.assertEqual(page.message(), (n, "x"))


class Broadcast(RouterTest):
    def test_off(self):
        client = self.lines("/sub/a")
        self.assertEqual(self.ask("POST", "/broadcast", b"x").status, 403)
        self.published("/pub/a", "fence")
        self.assertEqual(client.message()["data"], "fence")

    def test_on(self):
        """All streams and all flash, WebSocket and packet connections, whether they subscribe anything or not."""
        self.serve("broadcast=on")
        quiet = {"flash": self.flash(), "ws": self.websocket(), "packet": self.packet()}
        listening = [("flash", self.flash().subscribe("a")), ("ws", self.websocket().subscribe("a", "b")), ("packet", self.packet().subscribe("a")),
                     ("inbox", self.lines("/sub/a")), ("inbox-sse", self.sse("/sub/a,b")), ("inbox-ws", self.websocket("/sub/a"))]
        listening += [(kind, self.log_in(kind, "bob")) for kind in self.IN if kind != "test"]
        page = self.log_in("test", "bob")       # counts what is sent to its id, and gets nothing else
        everyone = list(quiet.items()) + listening
        bystander = self.http()
        self.assertEqual(bystander.ask("OPTIONS", "/").status, 204)
        answer = self.post("/broadcast?event=e", "to all")
        self.assertEqual(answer["subscribers"], len(everyone))
        for kind, client in everyone:
            self.assertEqual(self.data_of(kind, client, broadcast=True), "to all")
        bystander.expect_nothing()
        answer = self.post("/broadcast", '[1, 2]', "application/json")
        self.assertEqual(listening[3][1].message()["id"], answer["id"])
        # They are what they were.
        self.assertEqual(self.post("/pub/a", "x")["subscribers"], 6)
        self.assertEqual(self.post("/send/bob", "x")["subscribers"], len(self.IN))
        self.assertEqual(page.message(), (1, "x"))

    def test_message(self):
        self.serve("broadcast=on")
        lines, flash, packets, sse = self.lines("/sub/a"), self.flash(), self.packet(), self.sse("/inbox/b")
        number = self.published("/broadcast", "hi")
        self.assertRegex(lines.chunk(), rb'\A\{"id":"%s","timestamp":\d{16},"broadcast":true,"data":"hi"\}\n\Z' % number.text.encode())
        self.assertRegex(flash.message_text(), rb'\A\{"timestamp":\[\d+,\d+,\d+\],"broadcast":true,"data":"hi"\}\Z')
        message = packets.message()
        self.assertIsInstance(message.pop("timestamp"), int)
        self.assertEqual(message, {"id": number, "broadcast": True, "data": "hi"})
        event = sse.event()
        self.assertEqual((event.id, event.type, event.data), (number, "message", "hi"))

    def test_pages_get_none(self):
        """They count the messages to their id."""
        self.serve("broadcast=on")
        page, lines = self.log_in("test", "bob"), self.lines("/sub/other")
        for n in (1, 2):
            self.assertEqual(self.post("/broadcast", "all")["subscribers"], 1)
            self.assertEqual(lines.message()["data"], "all")
            self.published("/send/bob", "x")
            self.assertEqual(page.message(), (n, "x"))

    def test_nobody(self):
        self.serve("broadcast=on")
        self.assertEqual(self.post("/broadcast", "x"), {"id": None, "subscribers": 0})

    def test_order(self):
        """Broadcasts stand in the one order of all messages."""
        self.serve("broadcast=on")
        clients = [self.lines("/sub/a") for _ in range(6)]
        publisher = self.flash()
        ids = []
        for n in range(60):
            publisher.publish("a", data="p%d" % n)
            if n % 3 == 0:
                ids.append(self.published("/broadcast", "b%d" % n))
        got = [[client.message() for _ in range(80)] for client in clients]
        for messages in got:
            self.assertEqual([(m["id"], m["data"]) for m in messages], [(m["id"], m["data"]) for m in got[0]])
            self.assertEqual([m["id"] for m in messages if m.get("broadcast")], ids)
            self.assertEqual([m["id"] for m in messages], sorted({m["id"] for m in messages}))


if __name__ == "__main__":
    unittest.main()
