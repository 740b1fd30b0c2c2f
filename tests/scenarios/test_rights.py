"""Who may do what: each action and path, over each transport, by what its client shows."""
import json
import os
import re
import signal
import unittest

from janus_test import Closed, wait_until
from web_clients import CLOSE, TEXT, WebSocket, WebTest, head_of, new_key, upgrade_fields

KEYS = {
    "right": "right-0123456789abcdef",
    "other": "other-0123456789abcdef",
    "bob": "bob-0123456789abcdef",
    "wrong": "wrong-0123456789abcdef",
}
FILE = """# what the tests show
{right}
{other} other.* eve
{bob} news bob   
""".format(**KEYS)
ALLOWED, NO_TOKEN, NO_RIGHT = 200, 401, 403
# What comes of a request for the topic `news`, the user `bob`, or everybody.
BY_SHOWN = {None: NO_TOKEN, "wrong": NO_TOKEN, "other": NO_RIGHT, "right": ALLOWED}


def bearer(shown):
    return [("Authorization", "Bearer " + KEYS[shown])] if shown else []


class RightsTest(WebTest):
    workers = 1

    def key_file(self, text=FILE):
        path = os.path.join(self.janus_folder(), "keys")
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o600)
        return path

    def janus_folder(self):
        import shutil
        import tempfile
        folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def guard(self, *options, text=FILE, **more):
        self.keys = self.key_file(text)
        self.serve("api_key=" + self.keys, *options, **more)

    # what came of it, as a status

    def talk(self, client, action, **members):
        """Over /ws, packets or flash: the code of the answer to an action."""
        ref = {} if client.kind == "flash" else {"ref": 7}
        (client.op if client.kind == "packet" else client.action)(action, **members, **ref)
        while True:
            got = client.message_text() if client.kind == "flash" else client.message()
            if client.kind == "flash":
                if got == b"ACK":
                    return ALLOWED
                got = json.loads(got)
                if "error" in got:
                    return got.get("code", 0)
            elif "ok" in got:
                return ALLOWED if got["ok"] else got.get("code", 0)

    def talker(self, kind, shown=None):
        client = {"flash": self.flash, "packet": self.packet, "ws": self.websocket}[kind]()
        client.kind = kind
        if shown:
            code = self.talk(client, "auth", token=KEYS[shown])
            self.assertEqual(code, NO_TOKEN if shown == "wrong" else ALLOWED)
        return client

    def status(self, method, target, shown, body=None, fields=()):
        return self.ask(method, target, body, bearer(shown) + list(fields)).status


class Table(RightsTest):
    def test_paths(self):
        self.guard("broadcast=on", "topics=on", "history=*: 10 messages")
        array = json.dumps([{"topic": "news", "data": 1}]).encode()
        json_body = [("Content-Type", "application/json")]
        paths = [("GET", "/sub/news"), ("GET", "/sub/news", None, [("Accept", "text/event-stream")]), ("GET", "/sub/news?last=1"), ("GET", "/sub/news@presence"),
                 ("GET", "/sub?topic=news.*"), ("GET", "/inbox/bob"), ("GET", "/test/bob"), ("GET", "/history/news"), ("GET", "/poll/news?wait=0"),
                 ("GET", "/poll/news?wait=0&since=a-1"), ("GET", "/topics/news"), ("POST", "/pub/news", b"x"), ("POST", "/pub", array, json_body), ("POST", "/send/bob", b"x"),
                 ("POST", "/broadcast", b"x"), ("HEAD", "/sub/news")]
        keep = self.sse("/sub/news", fields=bearer("right"))    # so that there is such a topic
        for shown, wanted in BY_SHOWN.items():
            for path in paths:
                with self.subTest(path=path[:2], shown=shown):
                    answer = self.ask(path[0], path[1], *path[2:3], fields=bearer(shown) + list(path[3] if len(path) > 3 else []))
                    self.assertEqual(answer.status, wanted, answer)
                    if wanted == NO_TOKEN:
                        self.assertRegex(answer.get("WWW-Authenticate"), "^Bearer")
        for path in ("/", "/janus.js", "/healthz", "/readyz", "/version"):
            for shown in (None, "wrong"):
                with self.subTest(path=path, shown=shown):
                    self.assertEqual(self.status("GET", path, shown), 200)
        listed = [t["topic"] for t in self.ask("GET", "/topics", fields=bearer("right")).json()["topics"]]
        self.assertIn("news", listed)
        self.assertEqual(self.ask("GET", "/topics", fields=bearer("other")).json()["topics"], [])
        self.assertEqual(self.ask("GET", "/topics").json()["topics"], [])
        keep.close()
        for name in ("refused_no_token", "refused_token", "refused_rights"):
            self.assertGreater(self.janus.count(name), 10, name)
        log = self.janus.log()
        for key in KEYS.values():
            self.assertNotIn(key, log)

    def test_actions(self):
        self.guard("history=*: 10 messages")
        flash = {"subscribe": {"data": "news"}, "publish": {"topic": "news", "data": 1}, "login": {"data": "bob"}, "send": {"to": "bob", "data": 1}}
        web = {"subscribe": {"topic": "news"}, "publish": {"topic": "news", "data": 1}, "login": {"user": "bob"}, "send": {"user": "bob", "data": 1}}
        for kind in ("flash", "ws", "packet"):
            for shown, wanted in BY_SHOWN.items():
                for action, members in (flash if kind == "flash" else web).items():
                    with self.subTest(kind=kind, action=action, shown=shown):
                        client = self.talker(kind, shown)
                        if kind == "flash" and wanted == ALLOWED and action in ("publish", "send"):
                            client.action(action, **members)        # which is not answered
                            client.action("unsubscribe", data="x")
                            self.assertEqual(self.talk(client, "subscribe", data="news"), ALLOWED)
                        else:
                            self.assertEqual(self.talk(client, action, **members, **({"receipt": True} if kind == "packet" and action in ("publish", "send") else {})), wanted)
                if kind == "flash":
                    continue
                for members in ({"topic": "news", "last": 1}, {"topic": ["news"]}, {"topic": "news.*"}, {"topic": "news@presence"}):
                    with self.subTest(kind=kind, shown=shown, members=members):
                        self.assertEqual(self.talk(self.talker(kind, shown), "subscribe", **members), wanted)
                # who has no right may always leave, and be asked whether he is there
                client = self.talker(kind, shown)
                for action, members in (("unsubscribe", {"topic": "news"}), ("logout", {"user": "bob"}), ("ping", {})):
                    self.assertEqual(self.talk(client, action, **members), ALLOWED)

    def test_messages_without_an_answer_are_refused_with_one(self):
        self.guard()
        for kind in ("ws", "packet"):
            client = self.talker(kind, "other")
            (client.op if kind == "packet" else client.action)("publish", topic="news", data=1)
            got = client.message()
            self.assertEqual((got["ok"], got["code"]), (False, NO_RIGHT))
        client = self.flash()
        client.send(b'PUBLISH\0{"topic":"news","data":1}\0')
        self.assertEqual(client.message()["code"], NO_TOKEN)
        client.expect_close()

    def test_where_a_token_comes_from(self):
        self.guard("token_query=on", "token_cookie=session", "origins=https://app.example")
        key = KEYS["right"]
        target = "/sub/news"
        self.assertEqual(self.status("GET", target, None, fields=[("Authorization", "bearer   " + key)]), ALLOWED)
        self.assertEqual(self.status("GET", target, None, fields=[("Authorization", "Basic " + key)]), NO_TOKEN)
        self.assertEqual(self.status("GET", target + "?access_token=" + key, None), ALLOWED)
        self.assertEqual(self.status("GET", target + "?access_token=" + KEYS["wrong"], None), NO_TOKEN)
        cookie = [("Cookie", "a=1; session=%s; b=2" % key)]
        self.assertEqual(self.status("GET", target, None, fields=cookie), ALLOWED)
        self.assertEqual(self.status("GET", target, None, fields=cookie + [("Origin", "https://app.example")]), ALLOWED)
        # another site's page comes with the cookie, and may not use it
        self.assertEqual(self.status("GET", target, None, fields=cookie + [("Origin", "https://evil.example")]), NO_TOKEN)
        self.assertEqual(self.status("GET", target, None, fields=[("Cookie", "xsession=" + key)]), NO_TOKEN)
        # what stands in the head comes before what stands in the address
        self.assertEqual(self.status("GET", target + "?access_token=" + key, "wrong"), NO_TOKEN)

    def test_addresses_without_the_setting(self):
        self.guard()
        self.assertEqual(self.status("GET", "/sub/news?access_token=" + KEYS["right"], None), 400)
        self.assertEqual(self.status("GET", "/sub/news", None, fields=[("Cookie", "token=" + KEYS["right"])]), NO_TOKEN)

    def test_subprotocol(self):
        self.guard()
        client = self.websocket("/sub/news", Sec_WebSocket_Protocol="janus, bearer." + KEYS["right"])
        self.post("/pub/news", "hello", fields=bearer("right"))
        self.assertEqual(client.message()["data"], "hello")
        for shown, wanted in BY_SHOWN.items():
            http = self.http()
            offered = "janus" + (", bearer." + KEYS[shown] if shown else "")
            http.send(head_of("GET", "/sub/news", upgrade_fields(new_key(), Sec_WebSocket_Protocol=offered)))
            answer = http.answer()
            self.assertEqual(answer.status, 101 if wanted == ALLOWED else wanted)
            if wanted == ALLOWED:
                self.assertEqual(answer.get("Sec-WebSocket-Protocol"), "janus")

    def test_a_connection_of_http_has_no_rights(self):
        """A proxy sends several people's requests over one."""
        self.guard()
        client = self.http()
        for shown in ("right", None, "other", "right", "wrong", None):
            self.assertEqual(client.ask("POST", "/pub/news", b"x", bearer(shown)).status, BY_SHOWN[shown])

    def test_everybody_has_what_anonymous_gives(self):
        self.guard("anonymous=subscribe:public.* publish:box presence:public.a login:desk", "history=*: 10 messages")
        for shown in (None, "other"):
            denied = BY_SHOWN[shown]
            for method, target, wanted in (("GET", "/sub/public.a", ALLOWED), ("GET", "/sub?topic=public.*", ALLOWED), ("GET", "/sub?topic=public.>", denied), ("GET", "/sub/public.a.b", denied),
                                           ("GET", "/sub/public.a?last=1", denied), ("GET", "/history/public.a", denied), ("POST", "/pub/public.a", denied),
                                           ("POST", "/pub/box", ALLOWED), ("GET", "/sub/box", denied), ("GET", "/sub/public.a@presence", ALLOWED), ("GET", "/sub/public.b@presence", denied),
                                           ("GET", "/inbox/desk", ALLOWED), ("POST", "/send/desk", denied)):
                with self.subTest(shown=shown, target=target):
                    self.assertEqual(self.status(method, target, shown, b"x" if method == "POST" else None), wanted)

    def test_without_the_right_to_the_past(self):
        """Who goes on from a position may, with what comes; that he may have missed something is said."""
        self.guard("anonymous=subscribe:public", "history=*: 10 messages")
        self.post("/pub/public", "old", fields=bearer("right"))
        client = self.websocket()
        client.action("subscribe", topic="public", since="a-1", ref=1)
        got = client.message()
        self.assertEqual((got["ok"], got["recovered"]), (True, False))
        self.post("/pub/public", "new", fields=bearer("right"))
        self.assertEqual(client.message()["data"], "new")

    def test_everything_on_admin_listeners(self):
        self.guard(listen=("flash://127.0.0.1:0", "http://127.0.0.1:0", "packet://127.0.0.1:0", "admin://127.0.0.1:0"))
        url = [u for u in self.janus.status()["listen"] if u.startswith("admin")][0]
        from janus_test import parse_url
        self._addresses["http"] = parse_url(url)
        self.assertEqual(self.post("/pub/news", "x")["subscribers"], 0)
        self.assertEqual(self.ask("GET", "/metrics").status, 200)

    def test_nobody_is_asked_without_a_setting(self):
        self.assertEqual(self.post("/pub/news", "x", fields=bearer("wrong"))["subscribers"], 0)
        client = self.talker("ws")
        self.assertEqual(self.talk(client, "auth", token="anything"), ALLOWED)

    def test_anonymous_alone(self):
        self.serve("anonymous=none")
        self.assertEqual(self.status("GET", "/sub/news", None), NO_TOKEN)
        self.serve("anonymous=all")
        self.assertEqual(self.status("GET", "/sub/news", None), ALLOWED)


class Sessions(RightsTest):
    def test_own_inbox(self):
        self.guard()
        client = self.talker("ws", "bob")
        self.assertEqual(self.talk(client, "login", user="bob"), ALLOWED)
        self.assertEqual(self.talk(client, "login", user="alice"), NO_RIGHT)
        self.assertEqual(self.talk(client, "send", user="bob", data=1), NO_RIGHT)

    def test_another_token(self):
        """What is subscribed stays within what is shown: a token that gives less is refused, and the old one counts."""
        self.guard()
        for kind in ("flash", "ws", "packet"):
            with self.subTest(kind=kind):
                client = self.talker(kind, "right")
                name = {"data": "news"} if kind == "flash" else {"topic": "news"}
                self.assertEqual(self.talk(client, "subscribe", **name), ALLOWED)
                self.assertEqual(self.talk(client, "auth", token=KEYS["other"]), NO_RIGHT)
                self.assertEqual(self.talk(client, "subscribe", **name), ALLOWED)
                self.assertEqual(self.talk(client, "auth", token=KEYS["wrong"]), NO_TOKEN)
                client.action("unsubscribe", data="news") if kind == "flash" else self.talk(client, "unsubscribe", **name)
                self.assertEqual(self.talk(client, "auth", token=KEYS["other"]), ALLOWED)
                self.assertEqual(self.talk(client, "subscribe", **name), NO_RIGHT)

    def survive(self, client):
        self.assertEqual(self.talk(client, "publish", topic="news", data=1), ALLOWED)
        self.assertEqual(self.talk(client, "publish", topic="other", data=1), NO_RIGHT)

    def test_rights_survive(self):
        """Deaths, a reload, and an upgrade to another layout."""
        self.guard()
        clients = [self.talker("ws", "bob"), self.talker("ws", "bob"), self.talker("ws")]
        http = self.websocket(Sec_WebSocket_Protocol="janus, bearer." + KEYS["bob"])
        http.kind = "ws"
        clients[1].action("subscribe", topic="news")
        self.assertTrue(clients[1].message()["ok"])
        for step in (self.janus.kill_worker, self.janus.reload):
            step()
            for client in (clients[0], http):
                self.survive(client)
            self.assertEqual(self.talk(clients[2], "publish", topic="news", data=1), NO_TOKEN)

    def test_attach_takes_rights(self):
        """A session's token alone does not give what the session has."""
        self.guard()
        lost = self.talker("ws", "bob")
        token = lost.greeting["token"]
        self.assertEqual(self.talk(lost, "subscribe", topic="news"), ALLOWED)
        lost.reset()
        wait_until(lambda: self.janus.count("parked") == 1)
        for shown, wanted in ((None, NO_TOKEN), ("other", NO_RIGHT)):
            self.assertEqual(self.talk(self.talker("ws", shown), "attach", token=token), wanted)
            self.assertEqual(self.status("GET", "/session/%s/messages" % token, shown), wanted)
            self.assertEqual(self.status("GET", "/sub?token=" + token, shown), wanted)
        self.assertEqual(self.status("GET", "/session/%s/messages" % token, "bob"), ALLOWED)
        again = self.talker("ws", "bob")
        self.assertEqual(self.talk(again, "attach", token=token), ALLOWED)
        self.post("/pub/news", "hello", fields=bearer("right"))
        self.assertEqual(again.message()["data"], "hello")

    def test_rights_move(self):
        """To the worker that has the session."""
        self.guard(workers=2)
        for _ in range(8):
            lost, again = self.talker("ws", "bob"), self.talker("packet", "bob")
            self.assertEqual(self.talk(lost, "subscribe", topic="news"), ALLOWED)
            token = lost.greeting["token"]
            lost.close()
            self.assertEqual(self.talk(again, "attach", token=token), ALLOWED)
            self.assertEqual(self.talk(again, "publish", topic="other", data=1), NO_RIGHT)
            self.assertEqual(self.talk(again, "publish", topic="news", data=1, receipt=True), ALLOWED)

    def test_keys_are_read_anew(self):
        self.guard()
        with open(self.keys, "w") as file:
            file.write("short\n")
        status, out, err = self.janus.ctl("reload")
        self.assertNotEqual(status, 0)
        self.assertRegex(out + err, r"api_key: .*keys:1: a key has 16 to 255 characters")
        self.assertNotIn("short", out + err)
        self.janus.forgive_deaths()
        self.assertEqual(self.status("POST", "/pub/news", "right", b"x"), ALLOWED)
        with open(self.keys, "w") as file:
            file.write(KEYS["wrong"] + "\n")
        self.janus.reload()
        self.assertEqual(self.status("POST", "/pub/news", "wrong", b"x"), ALLOWED)
        self.assertEqual(self.status("POST", "/pub/news", "right", b"x"), NO_TOKEN)


if __name__ == "__main__":
    unittest.main()
