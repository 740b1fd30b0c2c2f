"""packaging/examples that take Node, msgpack or a browser, in `make clients` (JANUS_CLIENTS=1). The others: test_packaged_examples.py."""
import json
import os
import shutil
import unittest

import browser
from client_test import ALL, distribution_python
from example_test import EXAMPLES, ExampleTest, NothingMissed, example
from janus_test import free_port, run, wait_until


@unittest.skipUnless(ALL, "only in `make clients`")
class NodeExamples(NothingMissed):
    publisher = shutil.which("node") or "node", example("publisher.mjs")
    consumer = shutil.which("node") or "node", example("consumer.mjs")

    def taken(self):
        if not os.path.exists(self.target):
            return []
        with open(self.target) as f:
            return [json.loads(line)["data"] for line in f if line.endswith("\n")]

    def test_restart(self):
        self.check_restart()

    def test_deaths(self):
        self.check_deaths()

    def test_answered_and_dead(self):
        self.check_answered_and_dead()

    def test_nothing_keeps_it(self):
        self.check_nothing_keeps_it()

    def test_gap(self):
        self.check_gap()

    def test_line_that_was_cut(self):
        """A consumer that died in the middle of a line."""
        self.prepare()
        publisher, consumer = self.publish(), self.consume()
        self.check_all(publisher, consumer)
        self.kill(consumer)
        os.truncate(self.target, os.path.getsize(self.target) - 20)
        self.write(3)
        self.check_all(self.consume())


@unittest.skipUnless(ALL, "only in `make clients`")
class PacketsInPython(ExampleTest):
    def test_packets(self):
        python, program = distribution_python(), example("packets.py")
        host, port = self.addresses["packet"]
        self.serve("heartbeat=1s")
        host, port = self.addresses["packet"]
        reader = self.beside(python, program, host, str(port), "subscribe", "events", "news")
        wait_until(lambda: self.janus.subscriptions() == 2, what="its subscriptions")
        path = os.path.join(self.folder(), "data")
        with open(path, "wb") as f:
            f.write(os.urandom(100000))
        status, out, err = run(python, program, host, str(port), "publish", "news", path)
        self.assertEqual((status, err, json.loads(out)["subscribers"]), (0, "", 1))
        message = reader.next()
        self.assertEqual((message["topic"], message["data"]), ("news", "100000 bytes"))
        wait_until(lambda: self.janus.count("heartbeats") > 0, 10, "a heartbeat")
        self.post("/pub/events", {"eur": 7.5})
        self.assertEqual(reader.next()["data"], {"eur": 7.5})
        status, _, err = run(python, program, host, str(port), "publish", "a.*", path)
        self.assertEqual(status, 1)
        self.assertIn("reserved", err)


@unittest.skipUnless(ALL, "only in `make clients`")
class Chat(ExampleTest):
    """In Chromium; each person is a tab."""

    def setUp(self):
        super().setUp()
        self.assertTrue(browser.find(), "no Chromium here")
        self.browser = browser.Browser()
        self.addCleanup(self.browser.close)

    def page(self):
        """The file, served by a web server of another origin."""
        return browser.serve_folder(self, EXAMPLES)

    def person(self, name):
        tab = self.browser.new_tab()
        self.browser.open(self.address)
        self.browser.wait("document.readyState === 'complete'")
        self.browser.evaluate("document.getElementById('name').value = %s; document.getElementById('enter').requestSubmit()" % json.dumps(name))
        self.people(tab, name)
        return tab

    def at(self, tab):
        self.browser.session = tab
        return self.browser

    def people(self, tab, *names):
        self.at(tab).wait("document.getElementById('people').textContent.split(', ').filter(p => %s.includes(p)).length === %d" % (
            json.dumps(names), len(names)))

    def room(self, tab, room):
        self.at(tab).evaluate("(room => { room.value = '%s'; room.onchange(); })(document.getElementById('room'))" % room)

    def say(self, tab, text):
        self.at(tab).evaluate("document.getElementById('text').value = %s; document.getElementById('say').requestSubmit()" % json.dumps(text))

    def lines(self, tab):
        return self.at(tab).evaluate("[...document.querySelectorAll('#messages div')].map(d => [...d.querySelectorAll('b, span')].map(e => e.textContent))")

    def hear(self, tab, *lines):
        wanted = [list(line) for line in lines]
        wait_until(lambda: self.lines(tab) == wanted, 20, "%r in the chat" % (wanted,), pause=0.05)

    def serve_chat(self, *options):
        origin = self.page()
        self.port = free_port()
        self.serve("history=chat.*: 50 messages, 1d", "origins=%s null" % origin, *options, listen=("http://127.0.0.1:%d" % self.port,))
        self.server_url = "http://127.0.0.1:%d/" % self.port
        self.address = "%s/chat.html?server=%s" % (origin, self.server_url)

    def test_chat(self):
        self.serve_chat()
        ann, nasty = self.person("Ann"), "<img src=x onerror=\"window.broken=1\"><b>&amp;"
        self.say(ann, "hello")
        self.hear(ann, ("Ann", "hello"))
        bob = self.person(nasty)
        self.hear(bob, ("Ann", "hello"))                    # what was said before
        self.people(ann, nasty, "Ann")
        self.people(bob, nasty, "Ann")
        self.say(bob, nasty)
        for tab in (ann, bob):
            self.hear(tab, ("Ann", "hello"), (nasty, nasty))
            self.assertEqual(self.browser.evaluate("[window.broken ?? 0, document.querySelectorAll('main img').length]"), [0, 0])
        # What is no message of a chat: anybody can publish anything.
        for data in ({"name": 7, "text": {}}, None, [1], {"name": "x"}, "text"):
            self.post("/pub/chat.lobby", json.dumps(data).encode(), "application/json")
        self.post("/pub/chat.lobby", {"name": "Script", "text": "</script>"})
        self.hear(ann, ("Ann", "hello"), (nasty, nasty), ("Script", "</script>"))
        # The other room.
        self.room(bob, "chat.help")
        self.hear(bob)
        self.say(bob, "help")
        self.hear(bob, (nasty, "help"))
        self.at(ann).wait("document.getElementById('people').textContent === 'Ann'")
        self.room(ann, "chat.help")
        self.hear(ann, (nasty, "help"))
        self.people(ann, nasty, "Ann")
        self.browser.close_tab(bob)
        self.at(ann).wait("document.getElementById('people').textContent === 'Ann'")
        self.assertEqual(self.browser.complaints, [])

    def test_restart(self):
        """The server is started anew: all go on where they were."""
        self.serve_chat("data=" + os.path.join(self.folder(), "data"))
        ann = self.person("Ann")
        bob = self.person("Bob")
        self.say(ann, "one")
        self.hear(bob, ("Ann", "one"))
        self.janus.stop()
        self.say(ann, "two")                                # it waits for a connection
        self.janus.start()
        for tab in (ann, bob):
            self.hear(tab, ("Ann", "one"), ("Ann", "two"))
            self.people(tab, "Ann", "Bob")

    def test_as_a_file(self):
        self.serve_chat()
        self.address = "file://%s?server=%s" % (example("chat.html"), self.server_url)
        ann = self.person("Ann")
        self.say(ann, "hello")
        self.hear(ann, ("Ann", "hello"))


if __name__ == "__main__":
    unittest.main()
