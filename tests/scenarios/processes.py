"""Programs that run beside a test, and what Linux says of them; waits with deadlines. Time limits are multiplied by JANUS_TEST_SLOWNESS."""
import ctypes
import json
import os
import random
import resource
import select
import signal
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("JANUS_BUILD", "build"))
SLOWNESS = float(os.environ.get("JANUS_TEST_SLOWNESS", "1"))
MARK = "JANUS_TEST_SERVER"
# As whom keepers and workers run: as who runs the tests, as another one might not be able to enter where it is built and has its files. (Root's have no capability all the same.)
USER = "root" if os.geteuid() == 0 else ""
PR_SET_PDEATHSIG = 1
PORTS_HELD = 128        # (more than any test takes before its server has them)

_libc = ctypes.CDLL(None, use_errno=True)
_others = set()         # further processes that run beside a test


def program(name):
    return os.path.join(BUILD, name)


# ---- time ----

class Deadline:
    """So many seconds from now, by SLOWNESS."""

    def __init__(self, seconds):
        self.end = time.monotonic() + seconds * SLOWNESS

    def left(self):
        return max(0.0, self.end - time.monotonic())

    def over(self):
        return time.monotonic() >= self.end


def wait_until(condition, seconds=10, what=None, pause=0.005):
    """Waits for condition() to be true, and returns what it returned."""
    deadline = Deadline(seconds)
    while True:
        last = deadline.over()
        result = condition()
        if result:
            return result
        if last:
            raise AssertionError("%s: not within %g s" % (what or "a condition", seconds * SLOWNESS))
        time.sleep(pause)


# ---- processes ----

def _ends_with_parent(nofile=None, fsize=None):
    parent = os.getpid()

    def prepare():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        if nofile:
            resource.setrlimit(resource.RLIMIT_NOFILE, nofile)
        if fsize:
            resource.setrlimit(resource.RLIMIT_FSIZE, (fsize, fsize))
    return prepare


def raise_nofile(least):
    """Descriptors for the test itself; skips it where there can't be so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < least:
        raise unittest.SkipTest("RLIMIT_NOFILE is %d, %d are needed" % (hard, least))
    if soft != resource.RLIM_INFINITY and soft < least:
        resource.setrlimit(resource.RLIMIT_NOFILE, (least, hard))


def run(*command, seconds=30, env=None):
    """Runs a program to its end: (exit status, standard output, standard error)."""
    # (Without anything between fork and exec, Python takes vfork(), which is many times faster: tests ask janusctl all the time.)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    try:
        out, err = process.communicate(timeout=seconds * SLOWNESS)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")


class Beside:
    """A client program that runs beside a test, and says what happens to it: a line of standard output each."""

    def __init__(self, *command, **more):
        self.errors = tempfile.TemporaryFile()
        self.buffer = b""
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, preexec_fn=_ends_with_parent(),
                                        **more)
        _others.add(self.process)

    def tell(self, **what):
        """A line of JSON for its input."""
        self.process.stdin.write(json.dumps(what).encode() + b"\n")
        self.process.stdin.flush()

    def bytes(self, size, seconds=15):
        """The next so many bytes of its output."""
        deadline = Deadline(seconds)
        while len(self.buffer) < size:
            self._read(deadline)
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def line(self, seconds=15):
        """The next line, without its end."""
        deadline = Deadline(seconds)
        while b"\n" not in self.buffer:
            self._read(deadline)
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode()

    def next(self, seconds=15):
        """What the next line says, which is JSON."""
        return json.loads(self.line(seconds))

    def _read(self, deadline):
        if not select.select([self.process.stdout], [], [], deadline.left())[0]:
            raise AssertionError("%s says nothing in time; %r %s" % (self.process.args, self.buffer[:300], self.complaint()))
        data = os.read(self.process.stdout.fileno(), 65536)
        if not data:
            raise Closed("%s has ended; %r %s" % (self.process.args, self.buffer[:300], self.complaint()))
        self.buffer += data

    def complaint(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def end(self, seconds=15):
        """Waits for its end: (exit status, what is left of its output)."""
        self.process.stdin.close()
        deadline = Deadline(seconds)
        try:
            while True:
                self._read(deadline)
        except Closed:
            pass
        return self.process.wait(deadline.left() + 1), self.buffer

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        _others.discard(self.process)


def is_alive(pid):
    """It runs; a zombie does not."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_stopped(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return False


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def scheduled(pid):
    """Seconds for which it ran, and for which it waited for a processor."""
    with open("/proc/%d/schedstat" % pid) as f:
        ran, waited, _ = f.read().split()
    return int(ran) / 1e9, int(waited) / 1e9


def descriptors(pid):
    """{number: what it is} of a process."""
    found = {}
    folder = "/proc/%d/fd" % pid
    for name in os.listdir(folder):
        try:
            found[int(name)] = os.readlink(os.path.join(folder, name))
        except FileNotFoundError:
            pass
    return found


def _marked(marks, called=None):
    """Processes with one of these marks in their environment; of those, the ones that are called so for tools (`comm`)."""
    found = []
    wanted = {("%s=%s" % (MARK, mark)).encode() for mark in marks}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if called is not None:
                with open("/proc/%s/comm" % name) as f:
                    if f.read() != called + "\n":
                        continue
            with open("/proc/%s/environ" % name, "rb") as f:
                if not wanted.isdisjoint(f.read().split(b"\0")) and is_alive(int(name)):
                    found.append(int(name))
        except OSError:
            pass
    return found


_held = []              # sockets whose names say which ports were given last


def _is_taken(port):
    """Whether another process of tests was given it, which may not have begun to use it; else it is this one's."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind("\0janus-test-port-%d" % port)       # (in no file system, and gone with its process)
    except OSError:
        name.close()
        return True
    _held.append(name)
    if len(_held) > PORTS_HELD:
        _held.pop(0).close()
    return False


def free_port():
    """One that the kernel does not give to connections, so that it is still free after a server has had it."""
    while True:
        port = random.randint(12000, 31999)
        if _is_taken(port):
            continue
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


class Closed(AssertionError):
    """The connection ended where a frame was expected."""


def readable(fd, seconds):
    """Also of a descriptor that select() has no bit for."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(1000 * seconds))
