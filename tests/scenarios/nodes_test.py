"""What tests of many nodes stand on: servers that are joined by NATS. See nats_servers.py."""
import json
import os
import shutil
import signal
import tempfile
import threading

from crash_test import CRASH_BUILD
from janus_test import JanusTest, wait_until
from nats_servers import Nats, NatsCluster, NatsServer
from web_clients import WEB, WebClients


def steadily(what, pause):
    """A thread that does it again and again; what is returned ends it."""
    over = threading.Event()

    def run():
        while not over.wait(pause):
            what()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def end():
        over.set()
        thread.join()
    return end


class Node(WebClients):
    """A server that is joined with others, and its clients. `url`: of NATS; None: the options say all there is."""

    def __init__(self, test, name, url, *options, start=True, **more):
        self.test, self.name = test, name
        own = ["nats=" + url, "node=" + name, "session_linger=0"] if url else []
        self.janus = test.server(*own, *options, start=start, **dict({"workers": 2, "listen": WEB}, **more))
        if start:
            self.find_addresses()

    def __getattr__(self, name):
        """What clients need of the test: that it checks, and ends them."""
        if name.startswith("assert") or name == "addCleanup":
            return getattr(self.test, name)
        raise AttributeError(name)

    # what it says of the others

    def nodes(self):
        return json.loads(self.ctl("nodes", "--json"))

    def ctl(self, *arguments):
        status, out, err = self.janus.ctl(*arguments)
        self.assertEqual(status, 0, err)
        return out

    def wait_connected(self, seconds=15):
        wait_until(lambda: self.nodes()["state"] == "connected", seconds, "%s to be connected to NATS" % self.name)
        return self

    def peer(self, name):
        return next((p for p in self.nodes()["peers"] if p["node"] == name), None)

    def here(self):
        """The nodes that it sees."""
        return {p["node"] for p in self.nodes()["peers"] if p["state"] == "here"}

    def bridge(self):
        return self.janus.called("janus-bridge")

    def kill_bridge(self, sig=signal.SIGKILL, wait=True):
        old = wait_until(self.bridge, 10, "a janus-bridge")
        self.janus.kill(old, "bridge", sig)
        if wait:
            wait_until(lambda: self.bridge() not in (None, old), 15, "another janus-bridge")
        return old


class NodesTest(JanusTest):
    """A test with nats-servers, and servers that they join."""

    def nats_server(self, *arguments, start=True, **more):
        nats = NatsServer(*arguments, **more)
        self.addCleanup(self.end_nats, nats)
        return nats.start() if start else nats

    def cluster(self, *arguments, **more):
        cluster = NatsCluster(*arguments, **more)
        self.addCleanup(self.end_nats, cluster)
        return cluster.start()

    def end_nats(self, nats):
        for server in nats if isinstance(nats, NatsCluster) else [nats]:
            self._logs.append("\n---- log of the nats-server %s\n%s" % (server.name, server.log()[-5000:]))
        nats.destroy()

    @property
    def nats(self):
        """The nats-server that is there when it is first asked for."""
        if not hasattr(self, "_nats"):
            self._nats = self.nats_server()
        return self._nats

    def nats_client(self, server=None, **more):
        client = Nats(server or self.nats, **more)
        self.addCleanup(client.close)
        return client

    def node(self, name, *options, nats=None, connected=True, **more):
        node = Node(self, name, None if "config" in more else (nats or self.nats).url, *options, **more)
        return node.wait_connected() if connected else node

    def nodes(self, *names, options=(), **more):
        """So many, that see each other."""
        nodes = [self.node(name, *options, connected=False, **more) for name in names]
        self.wait_joined(*nodes)
        return nodes

    def wait_joined(self, *nodes):
        """Until these see each other, and no others."""
        for node in nodes:
            wait_until(lambda: node.here() == {n.name for n in nodes} - {node.name}, 15, "%s to see the others" % node.name)

    def wait_interest(self, subject, count=1, nats=None):
        """Until so many subscriptions fit this subject, on each of the nats-servers."""
        nats = nats or self.nats
        wait_until(lambda: nats.interest(subject) == count, 10, "%d subscriptions that fit %s" % (count, subject), pause=0.002)


class CrashNodesTest(NodesTest):
    """A test with nodes of the build with crash points."""

    def setUp(self):
        super().setUp()
        if not os.path.exists(os.path.join(CRASH_BUILD, "janus-bridge")):
            self.fail("no build with crash points: make CRASH=1 server")

    def arm(self, folder, point, passing=1):
        path = os.path.join(folder, point)
        with open(path + ".new", "w") as f:
            f.write("%d\n" % passing)
        os.rename(path + ".new", path)
        return path

    def crash_node(self, name, *options, **more):
        """One which has a folder of its own for its points."""
        folder = tempfile.mkdtemp(prefix="janus-crash-")
        self.addCleanup(shutil.rmtree, folder)
        os.environ["JANUS_CRASH_DIR"] = folder
        try:
            node = self.node(name, *options, build=CRASH_BUILD, **more)
        finally:
            del os.environ["JANUS_CRASH_DIR"]
        node.crash_folder = folder
        return node
