"""A janus of a test, in a folder of its own, and asking it. See janus_test.py."""
import atexit
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import uuid

from processes import BUILD, MARK, SLOWNESS, USER, Deadline, _ends_with_parent, _marked, _others, is_alive, run, wait_until

_servers = set()        # alive, for the end of an interrupted run


def _clean_up_all():
    for server in list(_servers):
        server.destroy()
    for process in list(_others):
        process.kill()


atexit.register(_clean_up_all)


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
        self.listens = None             # where, as it has said; with a configuration file, it is asked each time
        self.configured = config is not None
        if config is None:
            self.arguments += ["-c", os.devnull, "-o", "workers=%d" % workers]      # (not the file of a Janus that this machine has)
            for url in listen:
                self.arguments += ["-o", "listen=" + url]
        else:
            self.configure(config)
            self.arguments += ["-c", self.config_file]
        self.arguments += ["-o", "user=" + USER]
        if not any(option.startswith("next_master=") for option in options):
            self.arguments += ["-o", "next_master=nobody"]      # (if the test itself is killed, nothing is left)
        if SLOWNESS > 1 and not any("hang_limit" in text for text in (config or "", *options)):
            self.arguments += ["-o", "hang_limit=%ds" % (10 * SLOWNESS)]    # (or a worker that a test has stopped is killed on a slow machine)
        for option in options:
            self.arguments += ["-o", option]
        self.arguments += ["-o", "runtime_dir=" + self.runtime_dir]
        _servers.add(self)

    # start and end

    def start(self):
        """Starts it, and waits until it serves."""
        self.launch()
        return self.wait_started()

    def wait_started(self):
        wait_until(self._serves, 20, "the server's start")
        return self

    def launch(self):
        """Starts it only."""
        self.listens = None
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
            if re.search(r"slot \d+ lost its keeper|slot \d+: its spare is the keeper now", line):
                keepers_lost += 1
                if keepers_lost > sum(role in ("keeper", "spare") for role in self.killed.values()):
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
        urls = self.listens or self.status()["listen"]
        if not self.configured:
            self.listens = urls
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
        return _marked(self.marks)

    def called(self, name):
        """One of its processes that is called so for tools (`comm`); None: there is none."""
        return next(iter(self.all_called(name)), None)

    def all_called(self, name):
        return _marked(self.marks, name)

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
        """Its spare is the next one, and has the worker hand over: waits for the next worker."""
        before = self.slot(slot)
        self.kill(before["keeper"], "keeper")
        if wait:
            self.wait_worker(slot, before["worker"])
        return before["keeper"]

    def lose_slot(self, slot=0, wait=True):
        """Kills keeper, spare and worker as if it were at one instant: none makes the others again, and the slot's connections are lost."""
        before, spare = self.slot(slot), self.spare(slot)
        self.kill(before["keeper"], "keeper", signal.SIGSTOP)
        self.kill(spare, "spare")
        self.kill(before["worker"], "worker")
        self.kill(before["keeper"], "keeper")
        if wait:
            self.wait_worker(slot, before["worker"])

    def spare(self, slot=0):
        """The slot's, as soon as there is one."""
        def found():
            keeper = self.slot(slot)["keeper"]
            return [pid for pid in self.all_called("janus-spare") if parent(pid) == keeper]
        return wait_until(found, 10, "a spare of slot %d" % slot)[-1]

    def slot(self, number):
        return next(w for w in self.status()["workers"] if w["slot"] == number)

    def wait_worker(self, slot, old):
        def replaced():
            w = self.slot(slot)
            return w["state"] == "live" and w["worker"] not in (0, old) and is_alive(w["worker"])
        wait_until(replaced, 15, "a new worker in slot %d" % slot)


def parent(pid):
    """Its parent's number; 0: there is no such process."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return int(f.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def parse_url(url):
    """(host, port) of a flash://HOST:PORT; the path of a flash+unix:PATH."""
    if "+unix:" in url:
        return url.partition(":")[2]
    host, _, port = url.partition("://")[2].rpartition(":")
    return host.strip("[]").replace("*", "127.0.0.1"), int(port)
