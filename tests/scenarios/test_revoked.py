"""Who has shown a token, a key or a certificate is found by what that says of him, and sent away."""
import json
import time
import unittest

from ctl_test import CtlTest
from http_clients import Http
from janus_test import wait_until
from test_certified import CertifiedTest
from test_rights import ALLOWED, KEYS, NO_TOKEN, RightsTest, caps, field, token


class Revoked(CtlTest, RightsTest):
    def shown(self, kind, text, **members):
        client = {"flash": self.flash, "packet": self.packet, "ws": self.websocket}[kind]()
        client.kind = kind
        self.assertEqual(self.talk(client, "auth", token=text), ALLOWED)
        return client

    def test_found(self):
        self.guard()
        exp = int(time.time()) + 1000
        for kind in ("ws", "packet", "flash"):
            self.shown(kind, token(sub="carol", exp=exp, **caps("sub")))
        stream = self.sse("/sub/news", fields=field(token(sub="carol", **caps("sub"))))
        self.shown("packet", token(**caps("sub")))
        self.talker("packet", "bob")
        self.packet()
        everybody = self.listed()
        self.assertEqual(len(everybody), 7)
        found = self.listed("--sub", "carol")
        self.assertEqual(sorted((c["transport"], c["sub"], c["expires"]) for c in found),
                         sorted([(t, "carol", exp + 60) for t in ("websocket", "packet", "flash")] + [("sse", "carol", None)]))
        self.assertEqual([c["expires"] for c in self.listed("--sub", "bob")], [None])
        self.assertEqual(sorted((c["shown"], c["sub"]) for c in everybody if not c["sub"]), [(False, None), (True, None)])
        text = self.ctl("client", next(c["id"] for c in found if c["transport"] == "packet"))
        self.assertRegex(text, r'(?m)^sub +"carol"$')
        self.assertRegex(text, r"(?m)^expires +in 10[56]\d s$")
        self.assertRegex(self.ctl("clients", "--sub", "carol"), r' "carol" ')
        stream.close()

    def test_kicked(self):
        self.guard(workers=2)
        lost = [self.shown(kind, token(sub="bob", **caps("sub"))) for kind in ("ws", "packet", "ws", "packet")] + [self.talker("ws", "bob")]
        self.assertEqual(self.talk(lost[0], "subscribe", topic="news"), ALLOWED)
        others = [self.shown("ws", token(sub="bo", **caps("sub"))), self.shown("packet", token(sub="bobby", **caps("sub"))), self.packet()]
        self.assertEqual(self.ask_ctl("kick", "--sub", "bob")["kicked"], 5)
        for client in lost:
            client.expect_close_frame(1008) if client.kind == "ws" else client.expect_error("operator")
        wait_until(lambda: len([c for c in self.listed() if c["state"] != "ending"]) == len(others))
        self.assertEqual(self.ask_ctl("kick", "--sub", "bob", status=1)["kicked"], 0)
        self.ctl("kick", "--sub", "bob", "--user", "bob", status=2)
        admin = Http(self.janus, address=self.janus.runtime_dir + "/admin")
        self.addCleanup(admin.close)
        self.assertEqual(admin.ask("POST", "/kick?sub=bobby", b"").status, 202)
        others[1].expect_error("operator")
        self.assertEqual(admin.ask("POST", "/kick?sub=bo&user=bo", b"").status, 400)

    def test_key_that_is_revoked(self):
        """Its connections stay, are found by its name, and can't come again."""
        self.guard()
        client = self.talker("ws", "bob")
        with open(self.keys, "w") as file:
            file.write(KEYS["right"] + "\n")
        self.janus.reload()
        self.assertEqual(self.talk(client, "publish", topic="news", data=1), ALLOWED)
        self.assertEqual(self.ask_ctl("kick", "--sub", "bob")["kicked"], 1)
        client.expect_close_frame(1008)
        self.assertEqual(self.status("GET", "/sub/news", "bob"), NO_TOKEN)


class Log(CtlTest, RightsTest):
    def lines(self, *filters):
        return [json.loads(line) for line in self.ctl("--json", "log", "--once", "--since", "1h", *filters).splitlines()]

    def test_who_was_refused_what(self):
        self.guard("max_connections_sub=1", "publish_from=on")
        expired = token(sub="bob", exp=1000000000)
        self.assertEqual(self.ask("GET", "/sub/news", fields=field(expired)).status, NO_TOKEN)
        self.assertEqual(self.ask("GET", "/sub/secret", fields=field(token(sub="bob", **caps("sub")))).status, 403)
        self.assertEqual(self.ask("POST", "/send/ann", b"x", fields=field(token(sub="bob", **caps("sub")))).status, 403)
        forged = "/sub/" + "foo%20(sub%20root)%22%20%20sub=%22root"
        self.assertEqual(self.ask("GET", forged, fields=field(token(sub="eve", **caps("sub")))).status, 403)
        self.assertEqual(self.ask("GET", "/sub/news", fields=field(token(secret=b"another" * 8, sub="root"))).status, NO_TOKEN)
        first = self.talker("ws", "bob")
        second = self.websocket()
        second.kind = "ws"
        self.assertEqual(self.talk(second, "auth", token=KEYS["bob"]), 429)
        self.assertEqual(self.talk(first, "publish", topic="other", data=1), 403)
        bob = [(e["code"], e["text"], e.get("path") or e.get("topic") or e.get("to_user")) for e in self.lines("--kind", "refuse", "--sub", "bob")]
        self.assertEqual(bob, [(401, "the token has expired", "/sub/news"), (403, "no right to subscribe this topic", "secret"), (403, "no right to send to this user", "ann"),
                               (429, "too many connections of this user (max_connections_sub)", None), (403, "no right to publish to this topic", "other")])
        self.assertEqual(self.lines("--sub", "root"), [])       # (nobody has shown that)
        self.assertEqual(self.lines("--kind", "refuse", "--sub", "eve")[0]["topic"], 'foo (sub root)"  sub="root')
        self.assertEqual([e["topic"] for e in self.lines("--kind", "refuse", "--topic", "secret")], ["secret"])
        self.assertEqual([e["sub"] for e in self.lines("--kind", "auth")], ["bob"])
        text = self.ctl("log", "--once", "--since", "1h", "--kind", "refuse", "--sub", "eve")
        self.assertIn('topic="foo (sub root)\\"  sub=\\"root"  sub="eve"', text)
        self.assertIn('the token has expired: "/sub/news", sub "bob"', self.janus.log())


class Certified(CtlTest, CertifiedTest):
    def test_kicked(self):
        self.guard()
        clients = {kind: self.of("bob", kind) for kind in ("ws", "packet")}
        other = self.of("ann", "packet")
        self.assertEqual(len(self.listed("--sub", "bob")), 2)
        self.assertEqual(self.ask_ctl("kick", "--sub", "bob")["kicked"], 2)
        clients["ws"].expect_close_frame(1008)
        clients["packet"].expect_error("operator")
        wait_until(lambda: [c["sub"] for c in self.listed() if c["state"] != "ending"] == ["ann"])
        other.close()


if __name__ == "__main__":
    unittest.main()
