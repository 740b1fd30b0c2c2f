"""A headless Chromium, driven by its DevTools protocol over two pipes (JSON texts that end in a zero byte)."""
import functools
import http.server
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading

from janus_test import Deadline, _others, wait_until

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions", "--disable-sync",
           "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--mute-audio",
           "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-pipe")


def find():
    """The program, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def serve_folder(test, folder):
    """A web server of another origin, with the files of a folder, until the test ends; its origin."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    test.addCleanup(thread.join)
    test.addCleanup(server.server_close)
    test.addCleanup(server.shutdown)
    return "http://127.0.0.1:%d" % server.server_port


class Browser:
    """A browser of its own, with a folder of its own, and one page at first. `complaints` are errors that its pages have shown in the console."""

    def __init__(self, *options):
        self.folder = tempfile.mkdtemp(prefix="janus-test-browser-")
        self.numbers = 0
        self.buffer = b""
        self.session = None
        self.targets = {}
        self.complaints = []
        orders, self.orders = os.pipe()
        self.answers, answers = os.pipe()
        self.log = open(os.path.join(self.folder, "log"), "w+b")
        # Descriptors 3 and 4 are what --remote-debugging-pipe wants; a session of its own, so that all of its processes can be ended.
        # (bash: a plain sh takes descriptors of one digit only.)
        command = ["bash", "-c", 'exec "$0" "$@" 3<&%d 4>&%d' % (orders, answers), find()] + list(OPTIONS + options) + ["--user-data-dir=" + self.folder, "about:blank"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, pass_fds=(orders, answers),
                                        env=dict(os.environ, HOME=self.folder), start_new_session=True)
        _others.add(self.process)
        os.close(orders)
        os.close(answers)
        page = wait_until(self._page, 30, "the browser's page", pause=0.05)
        self.session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        self._enable()

    def _enable(self):
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")

    def new_tab(self):
        """Opens one more page, which is spoken to from now on. Its session: `browser.session = it` speaks to it again."""
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.targets[self.session] = target
        self._enable()
        return self.session

    def close_tab(self, session):
        """Of new_tab(). Another one must be chosen then."""
        self.session = None
        self.call("Target.closeTarget", targetId=self.targets.pop(session))

    def _page(self):
        pages = [t["targetId"] for t in self.call("Target.getTargets", seconds=30)["targetInfos"] if t["type"] == "page"]
        return pages[0] if pages else None

    def call(self, method, seconds=15, **parameters):
        """A command's result."""
        self.numbers += 1
        order = {"id": self.numbers, "method": method, "params": parameters}
        if self.session:
            order["sessionId"] = self.session
        os.write(self.orders, json.dumps(order).encode() + b"\0")
        deadline = Deadline(seconds)
        while True:
            got = self._next(deadline)
            if got.get("id") == self.numbers:
                if "error" in got:
                    raise AssertionError("%s: %s" % (method, got["error"]))
                return got["result"]
            self._note(got)

    def _next(self, deadline):
        while b"\0" not in self.buffer:
            if not select.select([self.answers], [], [], deadline.left())[0]:
                raise AssertionError("the browser does not answer in time; " + self.said())
            data = os.read(self.answers, 65536)
            if not data:
                raise AssertionError("the browser has ended; " + self.said())
            self.buffer += data
        text, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(text)

    def _note(self, event):
        what = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(what["exceptionDetails"]))
        if event.get("method") == "Log.entryAdded" and what["entry"]["level"] == "error":
            self.complaints.append("%(text)s %(url)s" % dict({"url": ""}, **what["entry"]))

    def said(self):
        self.log.seek(0)
        return self.log.read()[-2000:].decode(errors="replace")

    def open(self, url):
        """Begins to load a page, which may take for ever."""
        result = self.call("Page.navigate", url=url)
        if "errorText" in result:
            raise AssertionError("%s: %s" % (url, result["errorText"]))

    def evaluate(self, expression):
        """The value of an expression in the page; of a promise, what becomes of it."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise AssertionError("%s: %s" % (expression, result["exceptionDetails"]))
        return result["result"].get("value")

    def wait(self, expression, seconds=15):
        """Waits for an expression to be true in the page, and returns its value."""
        return wait_until(lambda: self.evaluate(expression), seconds, expression, pause=0.05)

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        _others.discard(self.process)
        os.close(self.orders)
        os.close(self.answers)
        self.log.close()
        wait_until(lambda: shutil.rmtree(self.folder, ignore_errors=True) or not os.path.exists(self.folder), 10, "the browser's end", pause=0.05)
