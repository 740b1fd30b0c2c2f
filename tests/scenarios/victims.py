"""Which of a server's processes may be killed at any instant, and nothing is lost."""
import contextlib
import threading
import time

WAIT = 10           # seconds for one that may be killed, at most


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(child) for child in f.read().split()]
    except OSError:
        return []


def called(pid):
    """What it is called for tools; None: it has ended."""
    try:
        with open("/proc/%d/comm" % pid) as f:
            return f.read().strip()
    except OSError:
        return None


class Victims:
    """As found in the kernel: janusctl may be behind.

    There is one rule: a slot's keeper and its spare are not killed together, as the slot is lost with both. So one of them is killed only if the other one is there, and has not been killed before:
    a keeper has the spare that it has made, and a spare's parent is the keeper. Workers are killed whatever else is.

    The next program's master, if its layout is another, knows the spares that there were when it was executed, and no later ones. So while that may be under way (layout()) a slot loses its keeper or its spare
    once, and not again.
    """

    def __init__(self, server, over):
        self.server, self.over = server, over
        self.one = threading.Lock()         # held from a look until the kill
        self.known = None                   # the spares that count, if later ones don't

    @contextlib.contextmanager
    def layout(self):
        """While the server may change to a program with another layout."""
        with self.one:
            self.known = {pid for pid, role in self.roles().items() if role == "janus-spare"}
        try:
            yield
        finally:
            self.known = None

    def roles(self):
        """{process id: "janus-worker"...}"""
        return {pid: called(pid) for pid in self.server.processes() if pid not in self.server.killed}

    def workers(self):
        return [[pid] for pid, role in self.roles().items() if role == "janus-worker"]

    def slots(self):
        """[(keeper, spare, workers that it made)...], those whose keeper is making or ending a spare left out."""
        roles = self.roles()
        found = []
        for keeper in (pid for pid, role in roles.items() if role == "janus-keeper"):
            others, workers = [], []
            for child in children(keeper):
                (workers if roles.get(child) == "janus-worker" else others).append(child)
            if len(others) == 1 and roles.get(others[0]) == "janus-spare" and (self.known is None or others[0] in self.known):
                found.append((keeper, others[0], workers))
        return found

    def keepers(self, worker=False):
        """[processes to be killed at one instant...]: a keeper, and with it its worker."""
        return [[keeper] + (workers if worker else []) for keeper, _, workers in self.slots()]

    def spares(self, worker=False):
        return [[spare] + (workers if worker else []) for _, spare, workers in self.slots()]

    def kill(self, rng, find):
        """What workers(), keepers() or spares() finds, one of it at random, as soon as there is one. The number of processes; 0: there was none in all that time."""
        until = time.monotonic() + WAIT
        while not self.over.is_set() and time.monotonic() < until:
            with self.one:
                found = find()
                killed = found and self.kill_all(rng.choice(found))
            if killed:
                return killed
            self.over.wait(0.02)
        return 0

    def kill_all(self, pids):
        killed = 0
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                self.server.kill(pid, (called(pid) or "").removeprefix("janus-"))
                killed += 1
        return killed
