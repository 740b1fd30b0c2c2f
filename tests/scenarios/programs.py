"""What a server is started from, and what it is told: its program and its configuration, which tests replace under way."""
import os
import shutil

from janus_test import ROOT, free_port

OTHER_BUILD = os.path.join(ROOT, os.environ.get("JANUS_OTHER_BUILD", "build/layout98"))
WORKERS = range(1, 7)       # what change_workers() chooses from


class Program:
    """A folder of its own with the program, which can be replaced as a package manager does it: by a rename."""

    def __init__(self, build, folder):
        self.folder = folder
        os.mkdir(folder)
        self.put(build)

    @property
    def path(self):
        return os.path.join(self.folder, "janus")

    def put(self, build):
        for name in ("janus-bridge", "janusctl", "janus"):
            self.put_file(os.path.join(build, name), name)
        self.source = build

    def put_file(self, source, name="janus"):
        """Another file in the program's place."""
        new = os.path.join(self.folder, name + ".new")
        shutil.copy(source, new)
        os.rename(new, os.path.join(self.folder, name))

    def put_text(self, text, mode=0o755):
        new = self.path + ".new"
        with open(new, "w" if isinstance(text, str) else "wb") as f:
            f.write(text)
        os.chmod(new, mode)
        os.rename(new, self.path)

    def put_script(self, text):
        self.put_text("#!/bin/sh\n" + text + "\n")

    # what no server can go on as

    def put_truncated(self, part=0.1):
        """(What is at the end is for debuggers: without it the program would still run.)"""
        with open(os.path.join(self.source, "janus"), "rb") as f:
            data = f.read()
        self.put_text(data[:int(len(data) * part)])

    def put_true(self):
        self.put_file(shutil.which("true"))

    def remove(self):
        os.unlink(self.path)

    def put_broken(self, kind):
        {
            "truncated": self.put_truncated,
            "a few bytes": lambda: self.put_truncated(0.001),
            "empty": lambda: self.put_text(""),
            "removed": self.remove,
            "/bin/true": self.put_true,
            "a script that says yes": lambda: self.put_script("exit 0"),
            "a script that wants a snapshot": lambda: self.put_script("exit 10"),
            "a script that fails": lambda: self.put_script("exit 1"),
            "text": lambda: self.put_text("not a program\n"),
            "not executable": lambda: self.put_text("not a program\n", 0o644),
        }[kind]()

    BROKEN = ("truncated", "a few bytes", "empty", "removed", "/bin/true", "a script that says yes", "a script that wants a snapshot",
              "a script that fails", "text", "not executable")


class Configuration:
    """The server's, which changes: its file is replaced as a whole, as a reload may read it at any moment."""

    BROKEN = ("workers = none\n", "no such key = 1\n", "[section]\n", "listen = nowhere\n", "ring_bytes\n", "workers = 100000\n")

    def __init__(self, server, workers, more, within_tls=()):
        """`more`: lines that are always there. `within_tls`: protocols with TLS, whose addresses always are."""
        self.server = server
        self.workers = workers
        self.more = more
        self.ports = {protocol: free_port() for protocol in ("flash", "http", "packet", *within_tls)}
        self.without = set()            # protocols that nobody listens for just now; never flash, which newcomers use
        self.extra = []                 # further addresses
        self.write()

    def urls(self):
        return ["%s://127.0.0.1:%d" % item for item in self.ports.items() if item[0] not in self.without] + self.extra

    def text(self):
        return "".join(line + "\n" for line in ["workers = %d" % self.workers] + self.more + ["listen = " + url for url in self.urls()])

    def write(self, text=None):
        new = self.server.config_file + ".new"
        with open(new, "w") as f:
            f.write(text or self.text())
        os.rename(new, self.server.config_file)

    def change_ports(self, rng):
        """Others in addition, and some of the first no more; who is connected there is not concerned."""
        protocols = ("flash", "http", "packet")
        self.extra = ["%s://127.0.0.1:%d" % (rng.choice(protocols), free_port()) for _ in range(rng.randrange(3))]
        self.without = {protocol for protocol in ("http", "packet") if rng.random() < 0.3}

    def change_workers(self, rng):
        self.workers = rng.choice([n for n in WORKERS if n != self.workers])
