"""Listeners for who runs the server: admin://, admin+unix: and the one that is always there, for janusctl."""
import os
import shutil
import stat
import tempfile

import janus_test
from crash_test import CrashTest
from http_clients import Http
from janus_test import free_port, wait_until
from programs import OTHER_BUILD, Program
from web_clients import WEB, WebTest

BROWSER = [("Sec-Fetch-Site", "same-origin"), ("Accept-Language", "en")]


class AdminTest(WebTest):
    def serve(self, *options, **more):
        super().serve(*options, **dict({"listen": WEB + ("admin://127.0.0.1:0",)}, **more))

    def by(self, where="admin"):
        return self.connect(Http, where)

    def own(self):
        """Where the server's own one is."""
        return self.janus.status()["admin"].partition(":")[2]

    def unix(self, path):
        client = Http(self.janus, address=path)
        self.addCleanup(client.close)
        return client


class Listeners(AdminTest):
    def test_ordinary_paths(self):
        """What clients ask for is there, too."""
        client = self.by()
        self.assertEqual(client.ask("POST", "/pub/a", b"x").status, 200)
        self.assertEqual(client.ask("GET", "/version").status, 200)

    def test_topics(self):
        """A list of all topics, whatever the setting says of other listeners."""
        self.assertEqual(self.by().ask("GET", "/topics").status, 200)
        self.assertEqual(self.by("http").ask("GET", "/topics").status, 403)

    def test_room(self):
        """When the server is full, who runs it gets in nevertheless; so many and no more."""
        self.serve("max_connections=3", workers=2)
        clients = [self.by("http") for _ in range(3)]
        self.assertEqual([c.ask("GET", "/version").status for c in clients], [200] * 3)
        self.assertEqual(self.by("http").ask("GET", "/version").status, 503)
        admins = [self.by("admin") for _ in range(16)]
        self.assertEqual([c.ask("GET", "/topics").status for c in admins], [200] * 16)
        self.assertEqual(self.by("admin").ask("GET", "/topics").status, 503)
        self.assertEqual(self.by("http").ask("GET", "/version").status, 503)

    def test_own(self):
        """In the runtime folder, for whoever the control socket is for, and not among what clients connect to."""
        path = self.own()
        self.assertEqual(path, os.path.join(self.janus.runtime_dir, "admin"))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertNotIn("admin+unix:" + path, self.janus.status()["listen"])
        self.assertIn("admin+unix:" + path, self.janus.ctl("status")[1])
        self.assertEqual(self.unix(path).ask("GET", "/topics").status, 200)
        self.janus.stop()
        self.assertFalse(os.path.exists(path))

    def test_own_after_a_kill(self):
        """One that a killed server left behind is replaced."""
        self.serve("master_linger=0")
        path = self.own()
        self.janus.kill(self.janus.master, "master")
        self.janus.process.wait()
        wait_until(lambda: not self.janus.processes(), 10, "the end of all processes")
        self.janus.start()
        self.assertEqual(self.unix(path).ask("GET", "/topics").status, 200)

    def test_unix(self):
        """admin+unix: is for owner and group from its first moment on; http+unix: at the same path would be for all, so it is another one."""
        folder = os.path.join(self.janus.folder, "sockets")
        os.mkdir(folder)
        path = os.path.join(folder, "a")
        text = "listen = flash://127.0.0.1:0\nlisten = %s+unix:" + path + "\n"
        janus = self.server(config=text % "admin")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o660)
        self.assertEqual(self.unix(path).ask("GET", "/topics").status, 200)
        janus.configure(text % "http" + "runtime_dir = %s\n" % janus.runtime_dir)
        status, _, error = janus.reload()
        self.assertEqual((status, "in use" in error), (1, True), error)
        self.assertEqual(self.unix(path).ask("GET", "/topics").status, 200)

    def test_own_is_taken(self):
        """The configuration can't have it."""
        janus = self.server(config="listen = flash://127.0.0.1:0\n")
        janus.configure("listen = http+unix:%s/admin\nruntime_dir = %s\n" % (janus.runtime_dir, janus.runtime_dir))
        status, _, error = janus.reload()
        self.assertNotEqual(status, 0)
        self.assertIn("the server's own", error)

    def test_becomes_admin(self):
        """A reload changes what an address is: connections that came before it stay what they were."""
        port = free_port()
        text = "workers = 2\nlisten = %%s://127.0.0.1:%d\n" % port
        janus = self.server(config=text % "http")
        text += "runtime_dir = %s\n" % janus.runtime_dir

        def connect():
            client = Http(janus, address=("127.0.0.1", port))
            self.addCleanup(client.close)
            return client
        http = connect()
        self.assertEqual(http.ask("GET", "/topics").status, 403)
        janus.configure(text % "admin")
        self.assertEqual(janus.reload()[0], 0)
        admin = connect()
        self.assertEqual((http.ask("GET", "/topics").status, admin.ask("GET", "/topics").status), (403, 200))
        janus.configure(text % "http")
        self.assertEqual(janus.reload()[0], 0)
        self.assertEqual((http.ask("GET", "/topics").status, admin.ask("GET", "/topics").status, connect().ask("GET", "/topics").status), (403, 200, 403))


class Pages(AdminTest):
    """No page of a browser gets what is for who runs the server, but its own."""

    def test_names(self):
        """DNS rebinding: by a name that is not the server's own, whatever `hosts` says of all names."""
        self.serve("hosts=*")
        self.assertEqual(self.by("http").ask("GET", "/version", fields=BROWSER, host="evil.example").status, 200)
        self.assertEqual(self.by().ask("GET", "/topics", fields=BROWSER, host="evil.example").status, 403)
        self.assertEqual(self.by().ask("GET", "/topics", fields=BROWSER, host="localhost").status, 200)

    def test_origins(self):
        """Who is in origins is let in elsewhere; here only its own pages are."""
        self.serve("origins=http://good.example *", "topics=on")
        own = "http://localhost:%d" % self.addresses["admin"][1]
        for origin, granted in (("http://evil.example", None), ("http://good.example", None), (own, own)):
            answer = self.by().ask("GET", "/topics", fields=[("Origin", origin)], host=own[7:])
            self.assertEqual(answer.get("Access-Control-Allow-Origin"), granted)
            self.assertEqual(self.by().ask("POST", "/pub/a", b"x", [("Origin", origin)], host=own[7:]).status, 200 if granted else 403)
            self.assertEqual(self.by("http").ask("POST", "/pub/a", b"x", [("Origin", origin)]).status, 200)


class Figures(AdminTest):
    """The page, which has the server's figures here, and knows of none elsewhere."""

    def page(self, where, **more):
        return self.by(where).ask("GET", "/", **more)

    def test_page(self):
        ordinary, admin, own = self.page("http"), self.page("admin"), self.unix(self.own()).ask("GET", "/")
        for answer in ordinary, admin:
            self.assertEqual((answer.status, answer.get("Content-Type")), (200, "text/html; charset=utf-8"))
        self.assertEqual(admin.body, own.body)
        self.assertTrue(admin.body.startswith(ordinary.body))
        self.assertIn(b"metrics", admin.body[len(ordinary.body):])
        self.assertNotIn(b"metrics", ordinary.body)

    def test_tags(self):
        """What a browser has from an address is not taken for what it gets there when a reload has made that an admin listener."""
        ordinary, admin = self.page("http").get("ETag"), self.page("admin").get("ETag")
        for where, had, status in (("http", ordinary, 304), ("http", admin, 200), ("admin", admin, 304), ("admin", ordinary, 200)):
            with self.subTest(where=where, had=had):
                self.assertEqual(self.page(where, fields=[("If-None-Match", had)]).status, status)

    def test_off(self):
        self.serve("page=off")
        self.assertEqual([self.page(where).status for where in ("http", "admin")], [404, 404])


class Survives(AdminTest):
    """What came by an admin listener is known over all that can become of its worker."""

    def check(self, *clients):
        self.assertEqual([c.ask("GET", "/topics").status for c in clients], [403] + [200] * (len(clients) - 1))

    def test_deaths_and_reloads(self):
        self.serve(workers=2)
        clients = [self.by("http")] + [self.by() for _ in range(6)] + [self.unix(self.own()) for _ in range(6)]
        self.check(*clients)
        for slot in range(2):
            self.janus.kill_worker(slot)
            self.check(*clients)
        self.janus.kill_keeper(0)
        self.check(*clients)
        self.janus.wait_log("slot 0: its spare is the keeper now")      # (which the master tells to go on, were it stopped)
        self.janus.lose_slot(0)
        fresh = [self.by("http"), self.by(), self.unix(self.own())]
        self.check(*fresh)
        self.assertEqual(self.janus.reload()[0], 0)
        self.check(*fresh)
        self.check(self.by("http"), self.by(), self.unix(self.own()))

    def test_upgrades(self):
        """To a program with another layout, and back."""
        folder = tempfile.mkdtemp(prefix="janus-test-")
        self.addCleanup(shutil.rmtree, folder, True)
        program = Program(janus_test.BUILD, os.path.join(folder, "bin"))
        self.serve(workers=2, build=program.folder)
        clients = [self.by("http"), self.by(), self.unix(self.own())]
        for build in (OTHER_BUILD, janus_test.BUILD):
            program.put(build)
            self.assertEqual(self.janus.reload()[0], 0)
            self.check(*clients)
        self.check(self.by("http"), self.by(), self.unix(self.own()))

    def test_moves(self):
        """A request about a session is served where the session is: its connection moves there."""
        self.serve(workers=2)
        tokens = {}
        while len(tokens) < 2:
            client = self.websocket()
            token = client.greeting["token"]
            client.subscribe("a")
            tokens[int(token[24:], 16) >> 26] = token
        clients = [self.by("http"), self.by(), self.unix(self.own())]
        for _ in range(2):
            for token in tokens.values():
                self.assertEqual([c.ask("GET", "/session/" + token).status for c in clients], [200] * len(clients))
                self.check(*clients)


class Accepted(CrashTest, AdminTest):
    def test_not_written_down(self):
        """The worker dies with a connection just accepted: its own address tells the next worker which listener it came by."""
        self.serve_crash_build(workers=1)
        for point in ("accept-accepted", "accept-opened"):
            for where, status in (("admin", 200), ("http", 403), (None, 200)):
                with self.subTest(point=point, where=where):
                    pid = self.janus.slot(0)["worker"]
                    self.janus.killed[pid] = "worker"
                    self.arm(point)
                    client = self.by(where) if where else self.unix(self.own())
                    self.assertEqual(client.ask("GET", "/topics").status, status)
                    self.assertFalse(self.armed(point))
                    self.janus.wait_worker(0, pid)
