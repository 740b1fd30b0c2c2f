"""What the tests of clients from elsewhere have in common."""
import functools
import os
import subprocess
import sys

from janus_test import ROOT, Beside, wait_until
from web_clients import WebTest

ALL = os.environ.get("JANUS_CLIENTS") == "1"
SCRIPTS = os.path.join(ROOT, "tests", "clients")
MODULES = os.path.join(ROOT, "build", "clients", "node_modules")


@functools.lru_cache(None)
def distribution_python():
    """A Python that has websockets and msgpack: this one, or the distribution's."""
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python) and subprocess.run([python, "-c", "import websockets, msgpack"], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    raise AssertionError("no Python has websockets and msgpack")


class ClientTest(WebTest):
    def url(self, path, scheme="http"):
        return "%s://%s%s" % (scheme, self.origin, path)

    def beside(self, *command, **more):
        client = Beside(*command, **more)
        self.addCleanup(client.kill)
        return client

    def subscribers(self, topic, count):
        """Waits until so many subscribe a topic. Each of them is sent "ready" some times."""
        wait_until(lambda: self.post("/pub/" + topic, "ready")["subscribers"] == count, what="%d subscribers" % count)
