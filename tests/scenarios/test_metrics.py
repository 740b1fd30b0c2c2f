"""GET /metrics, /healthz and /readyz: what there is to count agrees with what was done, whatever becomes of workers meanwhile."""
import json
import os
import re

from janus_test import ROOT, Deadline, wait_until
from steady import stopped_reader_on
from test_admin import BROWSER, AdminTest

SAMPLE = re.compile(r'(janus_[a-z0-9_]+)(?:\{((?:[a-z_]+="[^"\\\n]*",?)+)\})? (\d+(?:\.\d+)?)')
CHOICES = {"histogram": ("_bucket", "_sum", "_count")}


def parse(text):
    """{name: {labels: value}} of text format 0.0.4, of which every line must be, and {name: type}."""
    found, types = {}, {}
    if not text.endswith("\n"):
        raise AssertionError("the last line does not end: %r" % text[-100:])
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, type = line.split(" ")
            if name in types:
                raise AssertionError("%s comes twice" % name)
            types[name] = type
            continue
        match = SAMPLE.fullmatch(line)
        if not match:
            raise AssertionError("no sample: %r" % line)
        name, labels, value = match.groups()
        family = next((name[:-len(s)] for s in CHOICES["histogram"] if types.get(name[:-len(s)]) == "histogram" and name.endswith(s)), name)
        if family not in types:
            raise AssertionError("a sample before its type: %r" % line)
        samples = found.setdefault(name, {})
        if (labels or "") in samples:
            raise AssertionError("a sample twice: %r" % line)
        samples[labels or ""] = float(value)
    return found, types


class MetricsTest(AdminTest):
    def metrics(self):
        answer = self.by().ask("GET", "/metrics")
        self.assertEqual((answer.status, answer.get("Content-Type")), (200, "text/plain; version=0.0.4; charset=utf-8"))
        return parse(answer.body.decode())[0]

    def metric(self, name, labels=""):
        """A counter or gauge; with labels=None, the sum of its samples."""
        samples = self.metrics()[name]
        return sum(samples.values()) if labels is None else samples[labels]

    def wait_metric(self, name, value, labels=""):
        wait_until(lambda: self.metric(name, labels) == value, 10, "%s of %r, not %r" % (name, value, self.metric(name, labels)))


class Metrics(MetricsTest):
    def test_where(self):
        """On admin listeners alone."""
        self.assertEqual(self.by("http").ask("GET", "/metrics").status, 404)
        self.assertEqual(self.by().ask("HEAD", "/metrics").status, 200)
        self.assertEqual(self.by().ask("POST", "/metrics", b"").status, 405)
        self.assertEqual(self.by().ask("GET", "/metrics?x=1").status, 400)
        self.assertEqual(self.unix(self.own()).ask("GET", "/metrics").status, 200)

    def test_agrees(self):
        """With what was done, and with janusctl."""
        clients = [self.lines("/sub/a") for _ in range(3)] + [self.sse("/sub/a"), self.websocket("/sub/a")]
        for n in range(4):
            self.post("/pub/a", b"x")
        self.wait_metric("janus_messages_delivered_total", 4 * len(clients))
        got = self.metrics()
        self.assertEqual(got["janus_messages_published_total"][""], 4)
        by = {}
        for labels, n in got["janus_connections"].items():
            transport = re.search('transport="([a-z_]+)"', labels).group(1)
            by[transport] = by.get(transport, 0) + n
        self.assertEqual({t: n for t, n in by.items() if n and t != "http"}, {"json_lines": 3, "sse": 1, "websocket": 1})
        self.assertEqual(sum(got["janus_subscriptions"].values()), 5)
        self.assertEqual(got["janus_topics"][""], 1)
        stats = self.janus.stats()
        self.assertEqual(stats["counters"]["published"], 4)
        self.assertEqual((stats["gauges"]["topics"], stats["gauges"]["subscriptions"]), (1, 5))
        self.assertEqual(sum(s["gauges"]["subscriptions"] for s in stats["slots"]), 5)
        self.assertRegex(self.janus.ctl("stats")[1], r"(?m)^subscriptions +5  ")
        wait_until(lambda: self.metric("janus_hub_used_bytes") > 0 and min(self.metrics()["janus_slot_used_bytes"].values()) > 0, 10, "a look at the memory")

    def test_fanouts(self):
        """Each worker's sends of a message are one observation, by how many subscribers it has; also of those with several topics."""
        self.serve(workers=1)
        name = "janus_fanout_duration_seconds_count"
        one, crowd = self.lines("/sub/one"), [self.lines("/sub/crowd") for _ in range(11)]
        for n in range(3):
            self.post("/pub/one", b"x")
            self.wait_metric(name, n + 1, 'subscribers="1"')
        self.post("/pub/crowd", b"x")
        self.wait_metric(name, 1, 'subscribers="100"')
        several = [self.lines("/sub/c,d") for _ in range(5)]
        self.post("/pub/d", b"x")
        self.wait_metric(name, 1, 'subscribers="10"')
        got = self.metrics()
        self.assertEqual(sum(got[name].values()), 5)
        for labels, count in got[name].items():
            buckets = [n for l, n in got["janus_fanout_duration_seconds_bucket"].items() if l.startswith(labels + ",")]
            self.assertEqual((sorted(buckets), buckets[-1]), (buckets, count))
            self.assertLess(got["janus_fanout_duration_seconds_sum"][labels], 60)
        self.assertGreater(sum(got["janus_fanout_duration_seconds_sum"].values()), 0)
        del crowd, several

    def test_slices(self):
        """A fan-out that is served in many slices is one, when the last of its subscribers has it."""
        self.serve("fanout_slice=2", workers=1)
        crowd = [self.lines("/sub/a") for _ in range(9)]
        for n in range(2):
            self.post("/pub/a", b"x")
            self.wait_metric("janus_messages_delivered_total", (n + 1) * len(crowd))
            self.wait_metric("janus_fanout_duration_seconds_count", n + 1, 'subscribers="10"')
        self.assertEqual(self.metric("janus_fanout_duration_seconds_count", None), 2)

    def test_refused(self):
        """By reason; what nobody saw."""
        self.serve("max_subscriptions=1", "max_patterns=0")
        before = self.metrics()["janus_refused_total"]
        self.assertEqual(set(before.values()), {0})
        self.by("http").ask("POST", "/pub/a", b"x", [("Origin", "http://evil.example")])
        self.by("http").ask("GET", "/version", fields=BROWSER, host="evil.example")
        self.by("http").ask("GET", "/sub/a,b")
        self.by("http").ask("GET", "/sub/a.*")
        self.by("http").ask("GET", "/ws", fields=[("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
                                                      ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Origin", "http://evil.example")])
        self.assertEqual({l: n for l, n in self.metrics()["janus_refused_total"].items() if n},
                         {'reason="origin"': 2, 'reason="host"': 1, 'reason="subscriptions"': 1, 'reason="patterns"': 1})

    def test_answers_and_bad_input(self):
        """HTTP by the class of status, and what can't be understood by protocol."""
        before = self.metrics()["janus_http_requests_total"]
        self.assertEqual(self.ask("GET", "/version").status, 200)
        self.assertEqual(self.ask("GET", "/none").status, 404)
        tag = self.ask("GET", "/janus.js").get("ETag")
        self.assertEqual(self.ask("GET", "/janus.js", fields=[("If-None-Match", tag)]).status, 304)
        self.websocket()
        bad = self.http()
        bad.send(b"nonsense\r\n\r\n")
        self.assertEqual(bad.answer().status, 400)
        after = self.metrics()
        self.assertEqual({l: n - before[l] for l, n in after["janus_http_requests_total"].items()},
                         {'code="1xx"': 1, 'code="2xx"': 3, 'code="3xx"': 1, 'code="4xx"': 2, 'code="5xx"': 0})     # (a scrape is one, too)
        flash = self.flash()
        flash.send(b"nonsense\0")
        websocket = self.websocket()
        websocket.send(b"\xff\xff\xff\xff")
        packet = self.packet()
        packet.send(b"\xff\xff\xff\xff")
        wanted = {'protocol="%s"' % p: 1 for p in ("flash", "http", "websocket", "packet")}
        wait_until(lambda: self.metrics()["janus_bad_input_total"] == wanted, 10, "all to be counted")
        self.assertEqual(self.metric("janus_connections_closed_by_server_total", 'reason="bad_input"'), 4)

    def test_reloads_and_pauses(self):
        janus = self.server(config="workers = 2\nlisten = flash://127.0.0.1:0\nlisten = admin://127.0.0.1:0\n")
        self._janus, self._addresses = janus, {"admin": janus.address("admin")}
        self.assertEqual(self.metric("janus_worker_pauses_total"), 0)
        self.assertEqual(janus.reload()[0], 0)
        janus.configure("nonsense = 1\nruntime_dir = %s\n" % janus.runtime_dir)
        self.assertNotEqual(janus.reload()[0], 0)
        janus.kill_worker(1)
        got = self.metrics()
        self.assertEqual(got["janus_reloads_total"], {'result="done"': 1, 'result="failed"': 1})
        self.assertEqual(got["janus_worker_restarts_total"], {'worker="0"': 0, 'worker="1"': 1})
        self.assertEqual(got["janus_worker_pauses_total"][""], 3)
        self.assertGreater(got["janus_worker_pause_seconds_total"][""], 0)

    def test_while_workers_die(self):
        """Any worker answers for all, and every answer is whole."""
        self.serve("restart_limit=100", workers=2)
        deadline, scrapes, published = Deadline(15), 0, 0
        for kill in range(6):
            victim = self.janus.kill_worker(kill % 2, wait=False)
            for _ in range(5):
                self.post("/pub/a", b"x")
                published += 1
                self.assertEqual(self.metric("janus_messages_published_total"), published)
                scrapes += 1
            self.janus.wait_worker(kill % 2, victim)
            self.assertFalse(deadline.over())
        self.assertEqual(scrapes, 30)
        self.assertEqual(self.metric("janus_worker_restarts_total", None), 6)


class Health(MetricsTest):
    def test_well(self):
        for where in ("http", "admin"):
            self.assertEqual(self.by(where).ask("GET", "/healthz").json(), {"ok": True})
            self.assertEqual(self.by(where).ask("GET", "/readyz").json(), {"ready": True})

    def test_draining(self):
        """A worker that has yet to go is said."""
        text = "workers = %d\nlisten = flash://127.0.0.1:0\nlisten = http://127.0.0.1:0\n"
        janus = self.server(config=text % 2)
        self._janus, self._addresses = janus, {"http": janus.address("http"), "flash": janus.address("flash")}
        slow = stopped_reader_on(self, janus, 1)
        janus.configure(text % 1 + "runtime_dir = %s\n" % janus.runtime_dir)
        self.assertEqual(janus.reload()[0], 0)
        answer = self.ask("GET", "/readyz")
        self.assertEqual((answer.status, answer.json()), (503, {"error": "worker 1 is draining"}))
        self.assertEqual(self.ask("GET", "/healthz").status, 200)
        slow.close()
        wait_until(lambda: self.ask("GET", "/readyz").status == 200, 10, "the worker to go")

    def test_many_draining(self):
        """However many there are, the answer says which."""
        self.serve(workers=20)
        client = self.by()
        self.assertEqual(self.janus.ctl("drain")[0], 0)
        said = ", ".join("worker %d is draining" % slot for slot in range(16))
        self.assertEqual(client.ask("GET", "/readyz").json(), {"error": said + ", and 4 more"})

    def test_dead(self):
        """While a slot has no worker, the others say so."""
        self.serve("restart_limit=100", workers=2)
        said = set()

        def seen():
            client = self.by()
            victim = self.janus.kill_worker(1, wait=False)
            said.add((client.ask("GET", "/readyz").body or b"").strip())
            self.janus.wait_worker(1, victim)
            return b'{"error":"worker 1 is starting"}' in said
        wait_until(seen, 20, "an answer in the middle of a restart, not %r" % said)
        self.assertLessEqual(said, {b'{"ready":true}', b'{"error":"worker 1 is starting"}'})


class Dashboard(MetricsTest):
    """packaging/grafana/janus.json, which Grafana is given."""

    def test_metrics_exist(self):
        """And have the labels by which they are summed and shown; and what is taken for a counter is one."""
        with open(os.path.join(ROOT, "packaging", "grafana", "janus.json")) as f:
            board = json.load(f)
        there = {name: {label for labels in samples for label in re.findall(r'([a-z_]+)="', labels)} for name, samples in self.metrics().items()}
        targets = [(target["expr"], target.get("legendFormat", "")) for panel in board["panels"] for target in panel.get("targets", ())]
        targets += [(v["query"] if isinstance(v["query"], str) else v["query"]["query"], "") for v in board["templating"]["list"] if v["type"] == "query"]
        used = set()
        for expression, legend in targets:
            with self.subTest(expression=expression):
                names = re.findall(r"\bjanus_[a-z0-9_]+", expression)
                used.update(names)
                self.assertLessEqual(set(names), set(there))
                by = {label for labels in re.findall(r"\bby \(([a-z_, ]+)\)", expression) for label in labels.split(", ")}
                shown = set(re.findall(r"\{\{([a-z_]+)\}\}", legend))
                self.assertLessEqual(shown, by if "(" in expression else there[names[0]])
                for name in names:
                    self.assertLessEqual(by, there[name])
                for name in re.findall(r"\b(?:rate|increase)\((janus_[a-z0-9_]+)", expression):
                    self.assertRegex(name, "_(total|bucket|sum|count)$")
        self.assertGreater(len(used), 20)

    def test_is_a_dashboard(self):
        with open(os.path.join(ROOT, "packaging", "grafana", "janus.json")) as f:
            board = json.load(f)
        self.assertGreaterEqual(board["schemaVersion"], 36)
        for key, kind in (("title", str), ("uid", str), ("panels", list), ("time", dict), ("templating", dict), ("refresh", str), ("tags", list)):
            self.assertIsInstance(board[key], kind)
        ids = [panel["id"] for panel in board["panels"]]
        self.assertEqual(len(set(ids)), len(ids))
        taken = set()
        for panel in board["panels"]:
            with self.subTest(panel=panel["title"]):
                self.assertIn(panel["type"], ("row", "timeseries", "stat", "heatmap", "bargauge", "table", "state-timeline"))
                at = panel["gridPos"]
                self.assertTrue(0 <= at["x"] and at["x"] + at["w"] <= 24 and at["h"] > 0)
                cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
                self.assertFalse(cells & taken, "it lies on another one")
                taken |= cells
                if panel["type"] == "row":
                    continue
                self.assertTrue(panel["description"])
                self.assertTrue(panel["targets"])
                self.assertEqual(len({t["refId"] for t in panel["targets"]}), len(panel["targets"]))
                for target in panel["targets"]:
                    self.assertTrue(target["expr"])
                    self.assertEqual(target["expr"].count("("), target["expr"].count(")"))
                self.assertEqual(panel["datasource"], {"type": "prometheus", "uid": "${datasource}"})
