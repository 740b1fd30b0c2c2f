"""Who may do what: each action and path, over each transport, by what its client shows."""
import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from janus_test import BUILD, ROOT, SLOWNESS, parse_url, wait_until
from programs import OTHER_BUILD, Program
from web_clients import CLOSE, WebTest, head_of, new_key, upgrade_fields

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
SECRET = b"a secret of the tests, of more than 32 bytes"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(secret=SECRET, **claims):
    """A JWT with these claims, by HS256."""
    text = base64url(b'{"alg":"HS256","typ":"JWT"}') + "." + base64url(json.dumps(claims).encode())
    return text + "." + base64url(hmac.new(secret, text.encode(), hashlib.sha256).digest())


def caps(*allow, channels=("news",)):
    return {"caps": [{"channels": list(channels), "allow": list(allow)}]}


def everything(topics, users):
    """Claims."""
    return {"caps": [{"channels": [topics], "allow": ["sub", "pub", "hst", "prs"]}, {"users": [users], "allow": ["sub", "pub", "hst"]}, *([{"broadcast": True, "allow": ["pub"]}] if topics == "*" else [])]}


def field(text):
    return [("Authorization", "Bearer " + text)]


# What is shown: keys, and tokens. What comes of a request for the topic `news`, the user `bob`, or everybody.
SHOWN = dict(KEYS, **{
    "right token": token(sub="carol", **everything("*", "*")),
    "other token": token(sub="eve", **everything("other.*", "eve")),
    "expired token": token(sub="carol", exp=1000000000, **everything("*", "*")),
    "wrong token": token(secret=b"another" * 8, sub="carol", **everything("*", "*")),
})
BY_SHOWN = {None: NO_TOKEN, "wrong": NO_TOKEN, "other": NO_RIGHT, "right": ALLOWED,
            "wrong token": NO_TOKEN, "expired token": NO_TOKEN, "other token": NO_RIGHT, "right token": ALLOWED}


def bearer(shown):
    return field(SHOWN[shown]) if shown else []


def routes():
    """The table of worker/protocol/http_routes.c: {name: (where, whether it becomes a WebSocket, methods)}."""
    with open(os.path.join(ROOT, "worker/protocol/http_routes.c")) as file:
        table = re.search(r"(?s)\} routes\[\] = \{(.*?)\n\};", file.read()).group(1)
    rows = re.findall(r'\{ "([^"]*)", (EVERYWHERE|ADMIN|OPEN), [^,]*, (true|false), .*, (get_\w+|NULL), (post_\w+|NULL), \w+ \},', table)
    assert len(rows) == len(table.strip().splitlines()), rows
    return {name: (where, upgrades == "true", [m for m, f in (("GET", get), ("POST", post)) if f != "NULL"]) for name, where, upgrades, get, post in rows}


class RightsTest(WebTest):
    workers = 1

    def key_file(self, text=FILE):
        path = os.path.join(self.janus_folder(), "keys")
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o600)
        return path

    def janus_folder(self):
        folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def guard(self, *options, text=FILE, **more):
        self.keys = self.key_file(text)
        self.secret = self.key_file(SECRET.decode())
        self.serve("api_key=" + self.keys, "token_keys=" + self.secret, *options, **more)

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
            code = self.talk(client, "auth", token=SHOWN[shown])
            self.assertEqual(code, NO_TOKEN if BY_SHOWN.get(shown) == NO_TOKEN else ALLOWED)
        return client

    def status(self, method, target, shown, body=None, fields=()):
        return self.ask(method, target, body, bearer(shown) + list(fields)).status


class Table(RightsTest):
    # Of each path what is asked for: method, the rest of the target, body, fields, and what comes of it where no right is missing.
    JSON = [("Content-Type", "application/json")]
    PATHS = {
        "sub": [("GET", "/news"), ("HEAD", "/news"), ("GET", "/news", None, [("Accept", "text/event-stream")]), ("GET", "/news?last=1"), ("GET", "/news@presence"), ("GET", "?topic=news.*")],
        "inbox": [("GET", "/bob"), ("GET", "?user=bob", None, [("Accept", "text/event-stream")])],
        "test": [("GET", "/bob")],
        "history": [("GET", "/news")],
        "poll": [("GET", "/news?wait=0"), ("GET", "/news?wait=0&since=a-1")],
        "topics": [("GET", "/news")],
        "session": [("GET", "/{session}/messages")],
        "pub": [("POST", "/news", b"x"), ("POST", "", b'[{"topic":"news","data":1}]', JSON), ("POST", "?topic=news", b"x")],
        "send": [("POST", "/bob", b"x"), ("POST", "?user=bob", b"x")],
        "broadcast": [("POST", "", b"x")],
    }
    # What takes no right, but a token that is shown must be good: a WebSocket without anything yet, and whether there is a session, for who knows its token.
    FREE = {"ws": ("GET", "", 426), "session": ("GET", "/{session}", 200)}

    def test_each_path_is_in_the_table(self):
        tested = {name: {row[0] for row in rows} - {"HEAD"} for name, rows in self.PATHS.items()}
        for name, row in self.FREE.items():
            tested.setdefault(name, set()).add(row[0])
        self.assertEqual(tested, {name: set(methods) for name, (where, _, methods) in routes().items() if where == "EVERYWHERE"})

    def upgrade(self, target, shown):
        """The status of an answer to a WebSocket."""
        http = self.http()
        try:
            http.send(head_of("GET", target, upgrade_fields(new_key(), **{k: v for k, v in bearer(shown)})))
            return http.answer().status
        finally:
            http.close()

    def parked_session(self):
        """The token of one that has `news`."""
        lost = self.talker("ws", "right")
        self.assertEqual(self.talk(lost, "subscribe", topic="news"), ALLOWED)
        before = self.janus.count("parked")
        lost.reset()
        wait_until(lambda: self.janus.count("parked") > before)
        return lost.greeting["token"]

    def test_paths(self):
        self.guard("broadcast=on", "topics=on", "history=*: 10 messages")
        keep = self.sse("/sub/news", fields=bearer("right"))    # so that there is such a topic
        session = self.parked_session()
        table = routes()
        for shown, wanted in BY_SHOWN.items():
            for name, rows in self.PATHS.items():
                for method, rest, *more in rows:
                    target = "/" + name + rest.format(session=session)
                    with self.subTest(method=method, target=target, shown=shown):
                        answer = self.ask(method, target, *more[:1], fields=bearer(shown) + (more[1] if len(more) > 1 else []))
                        self.assertEqual(answer.status, wanted, answer)
                        if wanted == NO_TOKEN:
                            self.assertRegex(answer.get("WWW-Authenticate"), "^Bearer")
                        if table[name][1] and method == "GET":
                            self.assertEqual(self.upgrade(target, shown), 101 if wanted == ALLOWED else wanted)
            for name, (method, rest, status) in self.FREE.items():
                free = NO_TOKEN if shown and wanted == NO_TOKEN else status
                with self.subTest(name=name, shown=shown):
                    self.assertEqual(self.ask(method, "/" + name + rest.format(session=session), fields=bearer(shown)).status, free)
                    if table[name][1]:
                        self.assertEqual(self.upgrade("/" + name, shown), 101 if free != NO_TOKEN else free)
            for name, (where, _, methods) in table.items():
                for method in methods if where != "EVERYWHERE" else ():
                    with self.subTest(method=method, path="/" + name, shown=shown):
                        self.assertEqual(self.status(method, "/" + name, shown, b"" if method == "POST" else None), 200 if where == "OPEN" else 404)
        listed = [t["topic"] for t in self.ask("GET", "/topics", fields=bearer("right")).json()["topics"]]
        self.assertIn("news", listed)
        self.assertEqual(self.ask("GET", "/topics", fields=bearer("other")).json()["topics"], [])
        self.assertEqual(self.ask("GET", "/topics").json()["topics"], [])
        keep.close()
        for name in ("refused_no_token", "refused_token", "refused_expired", "refused_rights"):
            self.assertGreater(self.janus.count(name), 10, name)
        log = self.janus.log()
        self.assertRegex(log, r"refused, from 127\.0\.0\.1: ")
        for text in SHOWN.values():
            self.assertNotIn(text, log)

    # Of each action what is asked for, as the web has it.
    ACTIONS = {"subscribe": {"topic": "news"}, "publish": {"topic": "news", "data": 1}, "login": {"user": "bob"}, "send": {"user": "bob", "data": 1}, "attach": {}}
    FREE_ACTIONS = {"unsubscribe": {"topic": "news"}, "logout": {"user": "bob"}, "ping": {}}     # who has no right may always leave, and be asked whether he is there

    def members(self, kind, action, members):
        """The same, as the flash socket has it."""
        if kind != "flash" or action == "publish":
            return members
        return {"to" if name == "user" else name: value for name, value in members.items()} if action == "send" else {"data": value for value in members.values()}

    def known(self, kind):
        """The actions that there are, as the server says them."""
        client = self.talker(kind)
        (client.op if kind == "packet" else client.action)("?")
        return set(re.search(r": (.*) are known", client.message()["error"]).group(1).replace(" and ", ", ").split(", "))

    def test_actions(self):
        self.guard("history=*: 10 messages")
        session = self.parked_session()
        for kind in ("flash", "ws", "packet"):
            self.assertEqual(self.known(kind), {*self.ACTIONS, *self.FREE_ACTIONS, "auth"} - ({"ping"} if kind == "flash" else set()))
            for shown, wanted in BY_SHOWN.items():
                for action, members in self.ACTIONS.items():
                    with self.subTest(kind=kind, action=action, shown=shown):
                        client = self.talker(kind, shown)
                        members = self.members(kind, action, {"data" if kind == "flash" else "token": session} if action == "attach" else members)
                        if kind == "flash" and wanted == ALLOWED and action in ("publish", "send"):
                            client.action(action, **members)        # which is not answered
                            client.action("unsubscribe", data="x")
                            self.assertEqual(self.talk(client, "subscribe", data="news"), ALLOWED)
                        else:
                            self.assertEqual(self.talk(client, action, **members, **({"receipt": True} if kind == "packet" and action in ("publish", "send") else {})), wanted)
                        if action == "attach" and wanted == ALLOWED:
                            session = self.parked_session()
                        client.close()
                if kind == "flash":
                    continue
                for members in ({"topic": "news", "last": 1}, {"topic": ["news"]}, {"topic": "news.*"}, {"topic": "news@presence"}):
                    with self.subTest(kind=kind, shown=shown, members=members):
                        self.assertEqual(self.talk(self.talker(kind, shown), "subscribe", **members), wanted)
                client = self.talker(kind, shown)
                for action, members in self.FREE_ACTIONS.items():
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
        self.assertIn("origins", self.ask("GET", target, fields=cookie + [("Origin", "https://evil.example")]).json()["error"])
        self.assertNotIn("origins", self.ask("GET", target).json()["error"])
        self.assertEqual(self.status("GET", target, None, fields=[("Cookie", "xsession=" + key)]), NO_TOKEN)
        # what stands in the head comes before what stands in the address
        self.assertEqual(self.status("GET", target + "?access_token=" + key, "wrong"), NO_TOKEN)

    def test_addresses_without_the_setting(self):
        self.guard()
        for query in ("access_token=" + KEYS["right"], "token=" + SHOWN["right token"]):
            answer = self.ask("GET", "/sub/news?" + query)
            self.assertEqual(answer.status, 400)
            self.assertIn("token_query", answer.json()["error"])
        self.assertIn("no API key that is known", self.ask("GET", "/sub/news", fields=bearer("wrong")).json()["error"])
        self.assertEqual(self.status("GET", "/sub/news", None, fields=[("Cookie", "token=" + KEYS["right"])]), NO_TOKEN)

    def test_subprotocol(self):
        self.guard()
        client = self.websocket("/sub/news", Sec_WebSocket_Protocol="janus, bearer." + KEYS["right"])
        self.post("/pub/news", "hello", fields=bearer("right"))
        self.assertEqual(client.message()["data"], "hello")
        for shown, wanted in BY_SHOWN.items():
            http = self.http()
            offered = "janus" + (", bearer." + SHOWN[shown] if shown else "")
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
        self._addresses["http"] = parse_url(url)
        self.assertEqual(self.post("/pub/news", "x")["subscribers"], 0)
        self.assertEqual(self.ask("GET", "/metrics").status, 200)

    def test_nobody_is_asked_without_a_setting(self):
        self.assertEqual(self.post("/pub/news", "x", fields=bearer("wrong"))["subscribers"], 0)
        client = self.talker("ws")
        self.assertEqual(self.talk(client, "auth", token="anything"), ALLOWED)

    def test_refusals_are_logged_by_the_clients_address(self):
        """Behind a proxy it is not the proxy's."""
        self.guard("trusted_proxies=127.0.0.1")
        self.assertEqual(self.status("GET", "/sub/news", None, fields=[("X-Forwarded-For", "198.51.100.7")]), NO_TOKEN)
        self.assertIn("refused, from 198.51.100.7: ", self.janus.log())

    def test_anonymous_alone(self):
        self.serve("anonymous=none")
        self.assertEqual(self.status("GET", "/sub/news", None), NO_TOKEN)
        self.serve("anonymous=all")
        self.assertEqual(self.status("GET", "/sub/news", None), ALLOWED)


class Sessions(RightsTest):
    def test_one_of_several(self):
        """It is named."""
        self.guard()
        self.assertEqual(self.ask("GET", "/sub/news,elsewhere", fields=bearer("bob")).json()["error"], 'no right to subscribe this topic "elsewhere"')

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

    def test_next_one(self):
        """Who gets the descriptor of somebody who has gone has nothing of his rights."""
        self.guard()
        for _ in range(3):
            self.talker("packet", "right").close()
            wait_until(lambda: self.janus.connections() == 0)
            client = self.talker("packet")
            self.assertEqual(self.talk(client, "publish", topic="news", data=1), NO_TOKEN)
            client.close()
            wait_until(lambda: self.janus.connections() == 0)

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

    def test_attach_without_rights_takes_nobodys_connection(self):
        self.guard()
        bob = self.talker("ws", "bob")
        token = bob.greeting["token"]
        self.assertEqual(self.talk(bob, "subscribe", topic="news"), ALLOWED)
        for shown, wanted in ((None, NO_TOKEN), ("other", NO_RIGHT)):
            self.assertEqual(self.talk(self.talker("ws", shown), "attach", token=token), wanted)
            self.assertEqual(self.status("GET", "/sub?token=" + token, shown), wanted)
            self.assertEqual(self.talk(bob, "publish", topic="news", data=1), ALLOWED)
            self.assertEqual(bob.message()["data"], 1)
        again = self.talker("ws", "bob")
        self.assertEqual(self.talk(again, "attach", token=token), ALLOWED)
        self.assertEqual(bob.next_frame()[1], CLOSE)

    def test_attach_with_what_goes_to_everybody(self):
        """It is everybody's, and takes no right."""
        self.guard("broadcast=on", "history=*: 10 messages")
        for kind in ("ws", "packet", "flash", "sub", "messages"):
            with self.subTest(kind=kind):
                lost = self.talker("ws", "bob")
                session = lost.greeting["token"]
                self.assertEqual(self.talk(lost, "subscribe", topic="news"), ALLOWED)
                before = self.janus.count("parked")
                lost.reset()
                wait_until(lambda: self.janus.count("parked") == before + 1)
                if kind in ("sub", "messages"):
                    target = "/sub?token=" + session if kind == "sub" else "/session/%s/messages" % session
                    self.assertEqual(self.status("GET", target, "bob"), ALLOWED)
                    continue
                again = self.talker(kind, "bob")
                self.assertEqual(self.talk(again, "attach", **{"data" if kind == "flash" else "token": session}), ALLOWED)
                self.post("/broadcast", "hello", fields=bearer("right"))
                if kind != "flash":
                    self.assertEqual(again.message()["data"], "hello")
                again.close()

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

    def test_files_that_everybody_reads(self):
        """It is warned of those that have secrets, not of public keys."""
        private, public = (os.path.join(self.janus_folder(), name) for name in ("private", "public"))
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
        os.chmod(public, 0o644)
        secret = self.key_file(SECRET.decode())
        keys = self.key_file()
        self.serve("api_key=" + keys, "token_keys=%s %s" % (secret, public))
        self.assertNotIn("may be read", self.janus.log())
        for path in (keys, secret):
            os.chmod(path, 0o644)
        self.assertEqual(self.janus.reload()[0], 0)
        for setting, path in (("api_key", keys), ("token_keys", secret)):
            self.assertIn("%s: %s may be read by every user of this machine (mode 0644)" % (setting, path), self.janus.log())
        self.assertNotIn(public + " may be read", self.janus.log())

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
        self.assertNotIn("other contents", self.janus.log())
        self.janus.reload()
        self.assertIn("files have other contents than before: api_key\n", self.janus.log())
        self.assertEqual(self.status("POST", "/pub/news", "wrong", b"x"), ALLOWED)
        self.assertEqual(self.status("POST", "/pub/news", "right", b"x"), NO_TOKEN)


class OtherLayout(RightsTest):
    def test_there_and_back(self):
        program = Program(BUILD, os.path.join(self.janus_folder(), "bin"))
        self.guard(build=program.folder)
        clients = [self.talker(kind, "bob") for kind in ("ws", "packet")]
        nobody = self.talker("ws")
        for build in (OTHER_BUILD, BUILD):
            program.put(build)
            self.janus.reload()
            for client in clients:
                self.assertEqual(self.talk(client, "publish", topic="news", data=1, **({"receipt": True} if client.kind == "packet" else {})), ALLOWED)
                self.assertEqual(self.talk(client, "publish", topic="other", data=1), NO_RIGHT)
            self.assertEqual(self.talk(nobody, "publish", topic="news", data=1), NO_TOKEN)


class TokensTest(RightsTest):
    def guard(self, *options, **more):
        self.folder = self.janus_folder()
        with open(os.path.join(self.folder, "secret"), "wb") as file:
            file.write(SECRET + b"\n")
        self.serve("token_keys=" + os.path.join(self.folder, "secret"), *options, **more)

    def websocket_of(self, **claims):
        client = self.websocket(Sec_WebSocket_Protocol="janus, bearer." + token(**claims))
        client.kind = "ws"
        return client

    def talker_of(self, kind, text):
        client = self.talker(kind)
        self.assertEqual(self.talk(client, "auth", token=text), ALLOWED)
        return client

    def subscribe(self, client, topic):
        """The code of the answer."""
        return self.talk(client, "subscribe", **{"data" if client.kind == "flash" else "topic": topic})

    def unsubscribe(self, client, topic):
        client.action("unsubscribe", data=topic) if client.kind == "flash" else self.talk(client, "unsubscribe", topic=topic)

    def text(self, client):
        """What the next message says."""
        return client.message()["text" if client.kind == "flash" else "data"]


class Tokens(TokensTest):
    def test_each_right_is_one_of_its_own(self):
        self.guard("history=*: 10 messages", "topics=on")
        paths = {"sub": ("GET", "/sub/news"), "pub": ("POST", "/pub/news"), "hst": ("GET", "/history/news"), "prs": ("GET", "/topics/news")}
        keep = self.sse("/sub/news", fields=field(token(**caps("sub"))))
        for right in paths:
            text = token(sub="bob", **caps(right))
            for other, (method, path) in paths.items():
                with self.subTest(right=right, other=other):
                    answer = self.ask(method, path, b"x" if method == "POST" else None, field(text))
                    self.assertEqual(answer.status, ALLOWED if right == other else NO_RIGHT, answer)
        keep.close()

    def test_refused(self):
        self.guard()
        now = int(time.time())
        good = token(sub="bob", exp=now + 60, **caps("sub"))
        self.assertEqual(self.ask("GET", "/sub/news", fields=field(good)).status, ALLOWED)
        for text in (token(secret=b"another" * 8, **caps("sub")), token(exp=now - 61, **caps("sub")), token(nbf=now + 120, **caps("sub")), good[:-2], good + "A", "a.b.c", "", good + "." + good):
            with self.subTest(text=text):
                answer = self.ask("GET", "/sub/news", fields=field(text))
                self.assertEqual(answer.status, NO_TOKEN, answer)
        self.assertEqual(self.janus.count("refused_expired"), 1)
        log = self.janus.log()
        self.assertNotIn(good[:20], log)

    def test_query(self):
        self.guard("token_query=on")
        text = token(**caps("sub"))
        for target in ("/sub/news?token=", "/sub?topic=news&access_token="):
            self.assertEqual(self.ask("GET", target + text).status, ALLOWED)
        lost = self.websocket("/sub/news?token=&access_token=" + text)      # `token` is a session's, still
        self.assertRegex(json.loads(lost.start)["token"], "^[0-9a-f]{32}$")

    def test_at_once(self):
        """What `channels` names is subscribed when a stream or WebSocket begins, and when a token is shown."""
        self.guard()
        text = token(sub="bob", channels=["news", "chat:1"])
        publisher = field(token(**caps("pub", channels=["*"])))
        clients = [self.websocket_of(sub="bob", channels=["news", "chat:1"]), self.sse("/sub", fields=field(text)), self.talker("ws"), self.talker("flash"), self.talker("packet")]
        for client in clients[2:]:
            self.assertEqual(self.talk(client, "auth", token=text), ALLOWED)
        for topic in ("news", "chat:1"):
            self.assertEqual(self.post("/pub/" + topic, "x", fields=publisher)["subscribers"], 5)
        self.assertEqual([clients[0].message()["topic"] for _ in range(2)], ["news", "chat:1"])
        self.assertEqual(self.talk(clients[0], "subscribe", topic="chat:2"), NO_RIGHT)
        self.assertEqual(self.ask("GET", "/sub", fields=field(token(**caps("sub")))).status, 400)

    def test_last_takes_the_right_to_the_past(self):
        self.guard("history=*: 10 messages")
        answer = self.ask("GET", "/sub/news?last=1", fields=field(token(**caps("sub"))))
        self.assertEqual((answer.status, answer.json()["error"]), (NO_RIGHT, 'no right to what is kept of this topic "news"'))
        # but not for what the token has subscribed at once, which was not asked for
        publisher = field(token(**caps("pub", channels=["*"])))
        for topic in ("news", "chat"):
            self.post("/pub/" + topic, "old", fields=publisher)
        shown = token(channels=["chat"], **caps("sub", "hst"))
        client = self.websocket("/sub/news?last=1", Sec_WebSocket_Protocol="janus, bearer." + shown)
        self.post("/pub/chat", "new", fields=publisher)
        self.assertEqual([(m["topic"], m["data"]) for m in (client.message(), client.message())], [("news", "old"), ("chat", "new")])

    def test_what_a_session_is_owed_takes_no_right_to_the_past(self):
        claims = dict(sub="bob", **caps("sub"))
        publisher = field(token(**caps("pub", channels=["*"])))
        for stream in (False, True):
            with self.subTest(stream=stream):
                self.guard("history=*: 10 messages")
                lost = self.websocket_of(**claims)
                self.assertEqual(self.talk(lost, "subscribe", topic="news"), ALLOWED)
                lost.reset()
                wait_until(lambda: self.janus.count("parked") == 1)
                self.post("/pub/news", "missed", fields=publisher)
                if stream:
                    shown = token(channels=["chat:1"], **claims)
                    again = self.websocket("/sub?token=" + lost.greeting["token"], Sec_WebSocket_Protocol="janus, bearer." + shown)
                    self.assertNotIn("recovered", json.loads(again.start))     # nothing is missing
                else:
                    again = self.websocket_of(**claims)
                    again.action("attach", token=lost.greeting["token"])
                    self.assertNotIn("recovered", again.message())
                self.assertEqual(again.message()["data"], "missed")
                again.close()

    def expired(self, kind, client):
        """The warning, and the end, as each says them."""
        if kind == "ws":
            self.assertLess(client.message()["expires"]["in"], 10 * SLOWNESS)
            while True:
                fin, opcode, payload = client.next_frame(15)
                if opcode == CLOSE:
                    return self.assertEqual((int.from_bytes(payload[:2], "big"), payload[2:]), (4401, b"the token has run out"))
        elif kind == "sse":
            self.assertEqual(client.event().type, "expires")
            self.assertEqual(client.event().type, "expired")
        else:
            self.assertIn("in", client.message(15)["expires"])
            self.assertEqual(client.message(15)["code"], NO_TOKEN)
            client.expect_close()

    def test_expiry(self):
        """60 s of skew count for a token; so this one has a few seconds left, in which all come."""
        self.guard("heartbeat=1s")
        left = 1 + round(4 * SLOWNESS)
        claims = dict(sub="bob", exp=int(time.time()) - 60 + left, **caps("sub", "pub"))
        text = token(**claims)
        again = token(sub="bob", exp=int(time.time()) + 3600, **caps("sub", "pub"))
        clients = {"ws": self.websocket_of(**claims), "flash": self.talker("flash"), "packet": self.talker("packet")}
        renewed = self.websocket_of(**claims)
        sse = self.connect_stream(text)
        for kind in ("flash", "packet"):
            self.assertEqual(self.talk(clients[kind], "auth", token=text), ALLOWED)
        while "expires" not in renewed.message():
            pass
        self.assertEqual(self.talk(renewed, "auth", token=again), ALLOWED)
        for kind, client in clients.items():
            with self.subTest(kind=kind):
                self.expired(kind, client)
        tail = sse.until(lambda: bytes(sse.buffer) if b"0\r\n\r\n" in sse.buffer else None, 15)
        self.assertRegex(tail.decode(), r'(?s)event: expires\ndata: \{"expires":\{"in":\d+\}\}\n\n.*event: expired\ndata: \{"expired":"the token has run out"\}\n\n')
        self.assertEqual(self.janus.count("closed_expired"), 4)
        self.assertEqual(self.talk(renewed, "publish", topic="news", data=1), ALLOWED)
        self.janus.kill_worker()
        self.assertEqual(self.talk(renewed, "publish", topic="news", data=1), ALLOWED)

    def connect_stream(self, text):
        client = self.http()
        client.send(head_of("GET", "/sub/news", dict(field(text) + [("Accept", "text/event-stream")])))
        self.assertEqual(client.answer().status, 200)
        return client

    def test_from(self):
        """Who it was says the server, whatever is in the message."""
        self.guard("publish_from=on")
        rights = caps("sub", "pub", channels=["*"])
        reader = self.websocket_of(**rights)
        self.assertEqual(self.talk(reader, "subscribe", topic="news"), ALLOWED)
        bob = token(sub='b"ob', **rights)
        talkers = {kind: self.talker(kind) for kind in ("ws", "packet", "flash")}
        for kind, client in talkers.items():
            self.assertEqual(self.talk(client, "auth", token=bob), ALLOWED)
            members = {"from": "alice"} if kind == "flash" else {}
            (client.op if kind == "packet" else client.action)("publish", topic="news", data=kind, **members)
            got = reader.message()
            self.assertEqual((got["from"], got["data"], list(got).count("from")), ('b"ob', kind, 1))
        self.post("/pub/news", b"\xff\xfe", "application/octet-stream", field(bob))
        got = reader.message()
        self.assertEqual((got["from"], got["data"], got["encoding"]), ('b"ob', "//4=", "base64"))
        self.post("/pub", [{"topic": "news", "data": 1}], fields=field(bob))
        self.assertEqual(reader.message()["from"], 'b"ob')
        self.post("/pub/news", "x", fields=field(token(**rights)))
        self.assertNotIn("from", reader.message())
        packets = self.talker("packet")
        self.assertEqual(self.talk(packets, "auth", token=bob), ALLOWED)
        self.assertEqual(self.talk(packets, "subscribe", topic="news"), ALLOWED)
        self.post("/pub/news", b"\xff\xfe", "application/octet-stream", field(bob))
        got = packets.message()
        self.assertEqual((got["from"], got["data"]), ('b"ob', b"\xff\xfe"))


class FailedAuth(TokensTest):
    """An auth that fails has changed nothing: not what may be done, nor what is subscribed, nor for whom the connection counts."""

    FAILS = {
        "signature": (NO_TOKEN, dict(secret=b"another" * 8, sub="carol", **caps("sub", channels=["*"]))),
        "expired": (NO_TOKEN, dict(sub="carol", exp=1, **caps("sub", channels=["*"]))),
        "claims": (NO_TOKEN, dict(sub="carol", caps=1)),
        "too little": (NO_RIGHT, dict(sub="carol", channels=["fresh"], **caps("sub", channels=["other"]))),
        "another's place": (429, dict(sub="ann", channels=["fresh"], **caps("sub", channels=["news", "other"]))),
        "no room for what it names": (0, dict(sub="carol", channels=["fresh", "b", "c", "d"], **caps("sub", channels=["news", "other"]))),
        "no topic": (0, dict(sub="carol", channels=["fresh", "a@b"], **caps("sub", channels=["news", "other"]))),
    }

    def check_as_it_was(self, client):
        self.assertEqual(self.subscribe(client, "other"), NO_RIGHT)
        self.assertEqual(self.subscribe(client, "chat"), ALLOWED)
        self.unsubscribe(client, "chat")
        self.assertEqual(self.subscribe(client, "news"), ALLOWED)       # (as it is already)
        self.assertEqual(self.janus.subscriptions(), 1)

    def place_of(self, sub):
        """Whether there is room for a connection of this user."""
        http = self.http()
        http.send(head_of("GET", "/ws", upgrade_fields(new_key(), Sec_WebSocket_Protocol="janus, bearer." + token(sub=sub))))
        status = http.answer().status
        http.close()
        self.assertIn(status, (101, 429))
        return status == 101

    def test_nothing_has_changed(self):
        self.guard("max_connections_sub=1", "max_subscriptions=4", "session_linger=0")
        old = token(sub="bob", **caps("sub", channels=["news", "chat"]))
        ann = self.websocket_of(sub="ann")
        for kind in ("ws", "packet", "flash"):
            client = self.talker_of(kind, old)
            self.assertEqual(self.subscribe(client, "news"), ALLOWED)
            for why, (code, claims) in self.FAILS.items():
                if kind != "ws" and why not in ("another's place", "no room for what it names"):     # (by whatever it came, it is the same from there on)
                    continue
                with self.subTest(kind=kind, why=why):
                    self.assertEqual(self.talk(client, "auth", token=token(**claims)), code)
                    self.check_as_it_was(client)
                    self.assertEqual([self.place_of(sub) for sub in ("bob", "ann", "carol")], [False, False, True])
                    wait_until(lambda: self.janus.connections() == 2)
            # and one that does not fail: carol's place is taken, and bob's free
            self.assertEqual(self.talk(client, "auth", token=token(sub="carol", channels=["fresh"], **caps("sub", channels=["news", "other"]))), ALLOWED)
            self.assertEqual(self.janus.subscriptions(), 2)
            self.assertEqual([self.place_of(sub) for sub in ("bob", "carol")], [True, False])
            client.close()
            wait_until(lambda: self.janus.connections() == 1)
        ann.close()

    def test_what_comes_meanwhile(self):
        """Messages of what stays subscribed come, each once."""
        self.guard("max_subscriptions=3")
        publisher = field(token(**caps("pub", channels=["*"])))
        for kind in ("ws", "packet"):
            client = self.talker_of(kind, token(sub="bob", **caps("sub")))
            self.assertEqual(self.subscribe(client, "news"), ALLOWED)
            for n in range(5):
                self.post("/pub/news", "a%d" % n, fields=publisher)
                (client.op if kind == "packet" else client.action)("auth", token=token(**self.FAILS["no room for what it names"][1]), ref=n)
                self.post("/pub/news", "b%d" % n, fields=publisher)
            got = [client.message() for _ in range(15)]
            self.assertEqual([m["data"] for m in got if "data" in m], ["%s%d" % (c, n) for n in range(5) for c in "ab"])
            self.assertEqual([m["ok"] for m in got if "ok" in m], 5 * [False])
            client.close()


class ChannelsAndSessions(TokensTest):
    """Who has been subscribed by his token comes back to his session all the same."""

    CLAIMS = dict(sub="bob", channels=["news", "chat"], **caps("sub", channels=["more", "else"]))

    def lost(self, kind="ws", *topics):
        client = self.talker_of(kind, token(**self.CLAIMS))
        for topic in topics:
            self.assertEqual(self.subscribe(client, topic), ALLOWED)
        session = bytes(client.greeting["token"]).decode() if kind == "flash" else client.greeting["token"]
        before = self.janus.count("parked")
        client.reset() if kind == "ws" else client.close()
        wait_until(lambda: self.janus.count("parked") == before + 1)
        return session

    def attach(self, client, session):
        return self.talk(client, "attach", **{"data" if client.kind == "flash" else "token": session})

    def publish(self, *topics):
        for topic in topics:
            self.post("/pub/" + topic, json.dumps({"text": topic}).encode() if topic else b"", "application/json", field(token(**caps("pub", channels=["*"]))))

    def heard(self, client, n):
        found = []
        while len(found) < n:
            got = client.message()
            if "topic" in got:
                found.append(got["topic"])
        return found

    def check(self, kind):
        session = self.lost("ws", "more")
        self.publish("news", "more", "chat")
        again = self.talker_of(kind, token(**self.CLAIMS))
        self.assertEqual(self.attach(again, session), ALLOWED)
        self.assertEqual(self.heard(again, 3), ["news", "more", "chat"])
        self.publish("chat", "news", "more")
        self.assertEqual(self.heard(again, 3), ["chat", "news", "more"])
        return again

    def test_goes_on(self):
        self.guard("history=*: 10 messages")
        for kind in ("ws", "packet", "flash"):
            with self.subTest(kind=kind):
                again = self.check(kind)
                self.assertEqual(self.janus.subscriptions(), 3)
                again.close()
                wait_until(lambda: self.janus.connections() == 0)

    def test_on_another_worker(self):
        """It moves there, with what its token has subscribed, and misses nothing on the way."""
        self.guard("history=*: 10 messages", workers=2)
        for n in range(8):
            with self.subTest(n=n):
                self.check(("ws", "packet", "flash")[n % 3]).close()

    def test_begun_with_its_token(self):
        self.guard()
        session = self.lost("ws")
        again = self.websocket_of(**self.CLAIMS)
        self.assertEqual(self.attach(again, session), ALLOWED)
        self.publish("news", "chat")
        self.assertEqual(self.heard(again, 2), ["news", "chat"])

    def test_with_another_token(self):
        """What the session did not have stays subscribed, from where it was."""
        self.guard()
        session = self.lost("ws")
        again = self.talker_of("ws", token(sub="bob", channels=["news", "else"], **caps("sub", channels=["chat"])))
        self.publish("else")
        self.assertEqual(self.attach(again, session), ALLOWED)
        self.publish("chat", "else", "news")
        self.assertEqual(self.heard(again, 3), ["chat", "else", "news"])
        self.assertEqual(self.janus.subscriptions(), 3)

    def test_that_session_is_not_there(self):
        for workers in (1, 2):
            self.guard(workers=workers)
            for n in range(1 if workers == 1 else 4):
                session = self.lost("ws")
                first = self.websocket_of(**self.CLAIMS)
                self.assertEqual(self.attach(first, session), ALLOWED)
                first.action("unsubscribe", topic=["news", "chat"], ref=1)
                first.close()               # (which is its end)
                wait_until(lambda: self.janus.connections() == 0)
                again = self.websocket_of(**self.CLAIMS)
                self.assertEqual(self.attach(again, session), 0)
                self.publish("news", "chat")
                self.assertEqual(self.heard(again, 2), ["news", "chat"])
                again.close()

    def test_no_room_for_all_of_it(self):
        """Then it has nothing of that session, and what it had itself."""
        self.guard("max_subscriptions=3")
        session = self.lost("ws", "more")
        again = self.talker_of("ws", token(sub="bob", channels=["else"], **caps("sub", channels=["news", "chat", "more"])))
        self.assertEqual(self.attach(again, session), 0)
        self.assertEqual(self.janus.subscriptions(), 1)
        self.publish("news", "chat", "more", "else")
        self.assertEqual(self.heard(again, 1), ["else"])

    def test_not_behind_what_was_asked_for(self):
        self.guard()
        session = self.lost("ws")
        again = self.talker_of("ws", token(**self.CLAIMS))
        self.assertEqual(self.subscribe(again, "more"), ALLOWED)
        again.action("attach", token=session, ref=1)
        self.assertIn("attach comes before", again.message()["error"])


if __name__ == "__main__":
    unittest.main()
