"""What the scenario tests stand on: servers in folders of their own, clients with deadlines, nothing left behind.

Every wait has a deadline, and nothing waits longer than it must. Time limits are multiplied by JANUS_TEST_SLOWNESS (1; sanitizers want
4). The programs are those of JANUS_BUILD (build, in the repository's root).

A test fails too when its server's log has a sanitizer's report, or the death of a process that the test did not kill. Processes belong
to a test by a mark in their environment: only those are looked at, and killed by their ids. Should Python itself be killed, the
kernel kills the servers.
"""
import atexit
import ctypes
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("JANUS_BUILD", "build"))
SLOWNESS = float(os.environ.get("JANUS_TEST_SLOWNESS", "1"))
MARK = "JANUS_TEST_SERVER"
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)
_servers = set()        # alive, for the end of an interrupted run
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


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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


def _marked(mark):
    """Processes with this mark in their environment."""
    found = []
    wanted = ("%s=%s" % (MARK, mark)).encode()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/environ" % name, "rb") as f:
                if wanted in f.read().split(b"\0") and is_alive(int(name)):
                    found.append(int(name))
        except OSError:
            pass
    return found


def free_port():
    """One that the kernel does not give to connections, so that it is still free after a server has had it."""
    while True:
        port = random.randint(12000, 31999)
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


def _clean_up_all():
    for server in list(_servers):
        server.destroy()
    for process in list(_others):
        process.kill()


atexit.register(_clean_up_all)


# ---- the server ----

class Server:
    """A janus. Options are "key=value"; with `config`, text of a configuration file, `workers` and `listen` are that file's affair.

    `stderr`, a descriptor: it logs there, not to log_file.
    """

    def __init__(self, *options, workers=2, listen=("flash://127.0.0.1:0",), config=None, nofile=None, fsize=None, stderr=None, build=None):
        self.build = build or BUILD
        self.folder = tempfile.mkdtemp(prefix="janus-test-")
        self.runtime_dir = os.path.join(self.folder, "run")
        self.log_file = os.path.join(self.folder, "log")
        self.config_file = os.path.join(self.folder, "janus.conf")
        self.nofile = nofile
        self.fsize = fsize
        self.stderr = stderr
        self.process = None
        self.mark = None
        self.marks = []                 # of all starts
        self.killed = {}                # pid: "worker", "keeper" or "master", of those that the test killed
        self.exit_status = 0            # what stop() wants
        self.arguments = []
        if config is None:
            self.arguments += ["-o", "workers=%d" % workers]
            for url in listen:
                self.arguments += ["-o", "listen=" + url]
        else:
            self.configure(config)
            self.arguments += ["-c", self.config_file]
        for option in options:
            self.arguments += ["-o", option]
        self.arguments += ["-o", "runtime_dir=" + self.runtime_dir]
        _servers.add(self)

    # start and end

    def start(self):
        """Starts it, and waits until it serves."""
        self.launch()
        wait_until(self._serves, 20, "the server's start")
        return self

    def launch(self):
        """Starts it only."""
        self.mark = uuid.uuid4().hex
        self.marks.append(self.mark)
        env = dict(os.environ, **{MARK: self.mark})
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen([os.path.join(self.build, "janus")] + self.arguments, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log if self.stderr is None else self.stderr, env=env, cwd="/",
                                            preexec_fn=_ends_with_parent(self.nofile, self.fsize))

    def _serves(self):
        if self.process.poll() is not None:
            raise AssertionError("the server ended with status %d at its start" % self.process.returncode)
        status, out, _ = self.ctl("status", "--json")
        if status != 0:
            return False
        workers = json.loads(out)["workers"]
        return workers and all(w["state"] == "live" for w in workers)

    def stop(self, sig=signal.SIGTERM, seconds=10):
        """Has it stop, and checks that it does so in order: in time, with its exit status, nothing left."""
        self.process.send_signal(sig)
        self.wait_exit(self.exit_status, seconds)

    def wait_exit(self, status, seconds=10):
        try:
            got = self.process.wait(seconds * SLOWNESS)
        except subprocess.TimeoutExpired:
            raise AssertionError("the server does not end within %g s" % (seconds * SLOWNESS)) from None
        if got != status:
            raise AssertionError("the server ended with status %d, not %d" % (got, status))
        left = self.processes()
        if left:
            raise AssertionError("processes left behind: %s" % left)
        files = os.listdir(self.runtime_dir) if os.path.exists(self.runtime_dir) else []
        if files:
            raise AssertionError("files left in the runtime folder: %s" % files)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def destroy(self):
        """However it is: it and all that it started are killed, its folder goes."""
        _servers.discard(self)
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        deadline = Deadline(10)
        while self.marks and not deadline.over():
            left = self.processes()
            if not left:
                break
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        try:
            with open(self.log_file, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_log(self, pattern, seconds=10):
        """A match of the pattern in the log."""
        return wait_until(lambda: re.search(pattern, self.log()), seconds, "%r in the log" % pattern)

    def complaints(self):
        """What in the log must not be there: sanitizers' reports, deaths that nobody brought about."""
        found = []
        keepers_lost = 0
        for line in self.log().splitlines():
            report = re.search(r"(?:==(\d+)==)?ERROR: \w*Sanitizer|runtime error:|Assertion .* failed", line)
            # A signal that the test sent is reported like a fault of the worker's own.
            if report and int(report.group(1) or 0) not in self.killed:
                found.append(line)
            death = re.search(r"worker (\d+) (died of signal|ended with status)", line)
            if death and int(death.group(1)) not in self.killed:
                found.append(line)
            if re.search(r"slot \d+ lost its keeper", line):
                keepers_lost += 1
                if keepers_lost > sum(role == "keeper" for role in self.killed.values()):
                    found.append(line)
            if re.search(r"(does not|do not) leave: killing", line):
                found.append(line)
        return found

    # configuration

    def configure(self, text):
        with open(self.config_file, "w") as f:
            f.write(text)

    # asking

    def ctl(self, *arguments, seconds=40):
        return run(os.path.join(self.build, "janusctl"), "-o", "runtime_dir=" + self.runtime_dir, *arguments, seconds=seconds)

    def _ask(self, command):
        status, out, err = self.ctl(command, "--json")
        if status != 0:
            raise AssertionError("janusctl %s: status %d: %s" % (command, status, err))
        return json.loads(out)

    def status(self):
        return self._ask("status")

    def stats(self):
        return self._ask("stats")

    def count(self, name):
        """A counter, over all slots."""
        return self.stats()["counters"][name]

    def subscriptions(self):
        return sum(slot["subscriptions"] for slot in self.stats()["slots"])

    def behind(self):
        return sum(slot["behind"] for slot in self.stats()["slots"])

    def connections(self):
        return sum(worker["connections"] for worker in self.status()["workers"])

    def reload(self):
        """(exit status, standard output, standard error) of janusctl reload."""
        return self.ctl("reload")

    def address(self, place=0):
        """Where a listener is: one by its place in the configuration, or the first of a protocol ("http")."""
        urls = self.status()["listen"]
        if isinstance(place, str):
            place = [re.match("[a-z]+", url).group() for url in urls].index(place)
        return parse_url(urls[place])

    @property
    def port(self):
        return self.address()[1]

    # its processes

    @property
    def master(self):
        return self.process.pid

    def keepers(self):
        return [w["keeper"] for w in self.status()["workers"]]

    def workers(self):
        return [w["worker"] for w in self.status()["workers"]]

    def processes(self):
        """All that are alive, whether the server knows of them or not."""
        return [pid for mark in self.marks for pid in _marked(mark)]

    def kill(self, pid, role, sig=signal.SIGKILL):
        self.killed[pid] = role
        os.kill(pid, sig)

    def forgive_deaths(self, sig=None):
        """Workers that died of this signal, or of any, count as killed by the test."""
        for pid in re.findall(r"worker (\d+) died of signal %s\b" % (r"\d+" if sig is None else "%d" % sig), self.log()):
            self.killed[int(pid)] = "worker"

    def kill_worker(self, slot=0, sig=signal.SIGKILL, wait=True):
        """Kills a slot's worker, and waits for the next one to be live."""
        pid = self.slot(slot)["worker"]
        self.kill(pid, "worker", sig)
        if wait:
            self.wait_worker(slot, pid)
        return pid

    def kill_keeper(self, slot=0, wait=True):
        before = self.slot(slot)
        self.kill(before["keeper"], "keeper")
        if wait:
            self.wait_worker(slot, before["worker"])
        return before["keeper"]

    def slot(self, number):
        return next(w for w in self.status()["workers"] if w["slot"] == number)

    def wait_worker(self, slot, old):
        def replaced():
            w = self.slot(slot)
            return w["state"] == "live" and w["worker"] not in (0, old) and is_alive(w["worker"])
        wait_until(replaced, 15, "a new worker in slot %d" % slot)


def parse_url(url):
    """(host, port) of a flash://HOST:PORT; the path of a flash+unix:PATH."""
    if "+unix:" in url:
        return url.partition(":")[2]
    host, _, port = url.partition("://")[2].rpartition(":")
    return host.strip("[]").replace("*", "127.0.0.1"), int(port)


# ---- clients ----

class Closed(AssertionError):
    """The connection ended where a frame was expected."""


def readable(fd, seconds):
    """Also of a descriptor that select() has no bit for."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(1000 * seconds))


class Connection:
    """A connection to the server whose every wait has a deadline. `place` is a listener's, as in Server.address()."""

    def __init__(self, server, rcvbuf=None, place=0, seconds=10, address=None):
        address = address or server.address(place)
        self.seconds = seconds
        self.buffer = bytearray()       # received, and not taken yet
        unix = isinstance(address, str)
        self.socket = socket.socket(socket.AF_UNIX if unix else socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if rcvbuf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.socket.settimeout(seconds * SLOWNESS)
        self.socket.connect(address)
        if not unix:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # out

    def send(self, data):
        self.socket.sendall(data)

    def send_pieces(self, data, size=1):
        for i in range(0, len(data), size):
            self.socket.sendall(data[i:i + size])

    # in

    def _receive(self, deadline):
        if not readable(self.socket, deadline.left()):
            raise AssertionError("nothing received in time; so far %r" % bytes(self.buffer[:200]))
        data = self.socket.recv(1 << 20)
        self.buffer += data
        return len(data)

    def until(self, take, seconds=None):
        """What take() makes of the buffer, once that is not None; Closed if the server has closed instead."""
        deadline = Deadline(seconds or self.seconds)
        while True:
            found = take()
            if found is not None:
                return found
            try:
                closed = self._receive(deadline) == 0
            except ConnectionResetError:
                raise Closed("the connection was reset, with %r" % bytes(self.buffer[:200])) from None
            if closed:
                raise Closed("the connection was closed, with %r" % bytes(self.buffer[:200]))

    def raw(self, size, seconds=None):
        """So many bytes as they come."""
        def take():
            if len(self.buffer) >= size:
                data = bytes(self.buffer[:size])
                del self.buffer[:size]
                return data
            return None
        return self.until(take, seconds)

    def rest(self, seconds=None):
        """All that still comes, up to the end, which must be one in order."""
        deadline = Deadline(seconds or self.seconds)
        while self._receive(deadline) > 0:
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def expect_close(self, seconds=None):
        """Nothing more comes, and the server closes in order."""
        left = self.rest(seconds)
        if left:
            raise AssertionError("%r came, not the end" % left[:300])

    def quiet(self):
        """Whether nothing has come so far."""
        return self.silent(0)

    def silent(self, seconds):
        """Whether nothing comes for so long."""
        return not self.buffer and not readable(self.socket, seconds)

    # the end

    def close(self):
        self.socket.close()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """An end with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Client(Connection):
    """A flash-socket client."""

    def __init__(self, server, greeting=True, **more):
        super().__init__(server, **more)
        self.looked = 0
        self.greeting = self.frame() if greeting else None

    # out

    def action(self, action, **members):
        self.send(json.dumps(dict({"action": action}, **members)).encode() + b"\0")

    def subscribe(self, *topics):
        for topic in topics:
            self.action("subscribe", data=topic)
            self.expect(b"ACK")
        return self

    def unsubscribe(self, topic):
        self.action("unsubscribe", data=topic)

    def publish(self, topic, **members):
        self.action("publish", topic=topic, **members)

    # in

    def take(self):
        """A frame without its end, or None."""
        end = self.buffer.find(b"\1", self.looked)
        if end < 0:
            self.looked = len(self.buffer)
            return None
        frame = bytes(self.buffer[:end])
        del self.buffer[:end + 1]
        self.looked = 0
        return frame

    def frame(self, seconds=None):
        """The next frame, without its end; Closed if the server has closed instead."""
        return self.until(self.take, seconds)

    def raw(self, size, seconds=None):
        self.looked = 0
        return super().raw(size, seconds)

    def message_text(self, seconds=None):
        """The next frame that is no heartbeat."""
        while True:
            frame = self.frame(seconds)
            if frame != b"PING":
                return frame

    def message(self, seconds=None):
        frame = self.message_text(seconds)
        try:
            return json.loads(frame)
        except ValueError:
            raise AssertionError("no JSON: %r" % frame[:200]) from None

    def expect(self, frame):
        got = self.message_text()
        if got != frame:
            raise AssertionError("%r came, not %r" % (got[:300], frame))

    def expect_message(self, topic, **members):
        """The next message is of that topic, with at least these members. Returns it."""
        got = self.message()
        if got.get("topic") != topic or any(got.get(k) != v for k, v in members.items()):
            raise AssertionError("%.300r came, not %r of topic %r" % (got, members, topic))
        return got

    def expect_error(self, pattern=""):
        got = self.message()
        if list(got) != ["timestamp", "error"] or not re.search(pattern, got["error"]):
            raise AssertionError("%.300r came, not an error like %r" % (got, pattern))
        return got["error"]

    def rest(self, seconds=None):
        """Without heartbeats."""
        self.looked = 0
        return super().rest(seconds).replace(b"PING\1", b"")


def timestamp(message):
    """As one number, microseconds."""
    mega, seconds, micro = message["timestamp"]
    return (mega * 1000000 + seconds) * 1000000 + micro


# ---- the load client ----

class Bench:
    """A janusbench beside the test. `address` is (host, port); or {protocol: (host, port)}, for what --speak names."""

    def __init__(self, address, *arguments, pid=None):
        def target(host, port):
            return "[%s]:%d" % (host, port) if ":" in host else "%s:%d" % (host, port)
        targets = ["%s://%s" % (p, target(*a)) for p, a in address.items()] if isinstance(address, dict) else [target(*address)]
        command = [program("janusbench"), "--json", "-q"]
        if pid:
            command += ["--server-pid", str(pid)]
        self.output = tempfile.TemporaryFile()
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command + [str(a) for a in arguments] + targets, stdin=subprocess.DEVNULL,
                                        stdout=self.output, stderr=self.errors, preexec_fn=_ends_with_parent())
        _others.add(self.process)

    def running(self):
        return self.process.poll() is None

    def finish(self, seconds=60, status=0):
        """Its figures; it must have ended with this status."""
        try:
            got = self.process.wait(seconds * SLOWNESS)
        except subprocess.TimeoutExpired:
            raise AssertionError("janusbench does not end within %g s" % (seconds * SLOWNESS)) from None
        finally:
            self.kill()
        self.output.seek(0)
        self.errors.seek(0)
        out, err = self.output.read().decode(), self.errors.read().decode()
        if got != status:
            raise AssertionError("janusbench: status %d\n%s%s" % (got, out, err))
        return json.loads(out) if out.strip() else None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        _others.discard(self.process)


# ---- the tests' class ----

class Overdue(AssertionError):
    pass


def _overdue(signum, frame):
    raise Overdue("the test takes too long")


class JanusTest(unittest.TestCase):
    limit = 90          # seconds for one test, whatever it waits for
    maxDiff = 2000
    longMessage = True

    def run(self, result=None):
        result = self.defaultTestResult() if result is None else result
        before = len(result.failures), len(result.errors)
        self._logs = []
        old = signal.signal(signal.SIGALRM, _overdue)
        # Again and again: a subtest that is ended so must not be followed by others that wait as long.
        signal.setitimer(signal.ITIMER_REAL, self.limit * SLOWNESS, 0.5)
        try:
            super().run(result)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        for found, had in zip((result.failures, result.errors), before):
            for i in range(had, len(found)):
                found[i] = (found[i][0], found[i][1] + "".join(self._logs))
                self._logs = []
        return result

    def server(self, *options, start=True, **more):
        """A server that ends with the test, which checks that it ends well."""
        server = Server(*options, **more)
        self.addCleanup(self._end, server)
        if start:
            server.start()
        return server

    def _end(self, server):
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            if server.running():
                server.stop()
            complaints = server.complaints()
            if complaints:
                raise AssertionError("in the server's log:\n" + "\n".join(complaints))
        finally:
            self._logs.append("\n---- log of %s %s\n%s" % (os.path.join(server.build, "janus"), " ".join(server.arguments),
                                                          shortened(server.log())))
            server.destroy()

    def client(self, server, *arguments, **more):
        client = Client(server, *arguments, **more)
        self.addCleanup(client.close)
        return client

    def clients(self, server, count, **more):
        address = server.address()
        return [self.client(server, address=address, **more) for _ in range(count)]

    def on_each_worker(self, server, per_worker=1, spread=400):
        """Clients, at least so many on each worker: made until the server says that all have as many. [client...]"""
        found = []
        address = server.address()
        while min(w["connections"] for w in server.status()["workers"]) < per_worker:
            self.assertLess(len(found), spread, "connections do not spread over the workers")
            found += [self.client(server, address=address) for _ in range(8)]
        return found

    def bench(self, server, *arguments, place=0):
        bench = Bench(server.address(place), *arguments, pid=server.master)
        self.addCleanup(bench.kill)
        return bench

    def wait_count(self, server, name, value, seconds=10):
        """Waits for a counter to have this value."""
        wait_until(lambda: server.count(name) >= value, seconds, "counter %s at %d" % (name, value))
        self.assertEqual(server.count(name), value, "counter " + name)


def shortened(log, most=20000):
    if len(log) <= most:
        return log
    return log[:most // 2] + "\n[...]\n" + log[-most // 2:]
