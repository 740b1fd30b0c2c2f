#!/usr/bin/env python3
"""What is done with the packages of three versions within a container of tests/packages/run: inside.py SCENARIO

The packages are in /janus-check/old, new and other-layout. The last line of the output is `good` if all is as it should be.
"""
import ctypes
import glob
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = "/janus-check"
CONFIG = "/etc/janus/janus.ini"
CLIENTS = 10000
RATE = 20           # messages a second to one topic, so 200,000 deliveries a second
TOPICS = 10         # a message goes to a tenth of them
VERSIONS = {name: re.search(r"janus[-_]([0-9.]+)-", glob.glob("%s/%s/janus[-_][0-9]*" % (HERE, name))[0]).group(1) for name in ("old", "new", "other-layout")}
# What may be left of a package: its user (see janus.postrm), and what package managers and the system write of themselves.
LEFT = re.compile(r"/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|/etc/\.(pwd\.lock|updated)$|/var/lib/(dpkg|rpm|apt|ucf)(/|$)|/var/lib/systemd/(?!deb-)|/var/(log|cache|tmp)(/|$)|"
                  r"/usr/lib/sysimage(/|$)|/root/\.(rpmdb|cache)(/|$)|/janus-check(/|$)|/etc/ld\.so\.cache$|/etc/machine-id$|/etc/(resolv\.conf|mtab)$")


def run(*command, status=0):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
    print("$ %s\n%s" % (" ".join(command), done.stdout), end="", flush=True)
    if status is not None and done.returncode != status:
        raise AssertionError("%s: status %d, not %d" % (command[0], done.returncode, status))
    return done.stdout


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError("%s: not within %d s" % (what, seconds))
        time.sleep(0.05)


def ask():
    """What janusctl says of the server, without -c; None if there is none."""
    done = subprocess.run(["janusctl", "status", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def live():
    status = ask()
    return status and all(worker["state"] == "live" for worker in status["workers"])


def processes():
    """All that are the server's, whatever they are called."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/exe"):
        try:
            if re.match(r"/usr/(sbin/janus|libexec/janus/.*?)( \(deleted\))?$", os.readlink(path)):
                pid = int(path.split("/")[2])
                found[pid] = {key: value.strip() for key, value in (line.split(":", 1) for line in open("/proc/%d/status" % pid))}
        except OSError:
            pass
    return found


def start_nats():
    """A nats-server, which ends with the container, and what the server is told of it; where there is none, nothing."""
    program = shutil.which("nats-server", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if not program:
        return {}
    subprocess.Popen([program, "-a", "127.0.0.1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return {"nats": "nats://127.0.0.1:4222"}


def has_io_uring():
    parameters = ctypes.create_string_buffer(256)
    fd = ctypes.CDLL(None).syscall(425, 8, parameters)      # io_uring_setup()
    if fd >= 0:
        os.close(fd)
    return fd >= 0


def files():
    """All that is there where packages may put something. (/run is looked at by itself; elsewhere others may be at work meanwhile.)"""
    found = set()
    for top in ("/etc", "/usr", "/var", "/lib", "/opt", "/srv", "/root", "/home"):
        for folder, folders, names in os.walk(top):
            folders[:] = [d for d in folders if not LEFT.search(os.path.join(folder, d))]
            found.update(os.path.join(folder, name) for name in names + folders)
    return {path for path in found if not LEFT.search(path)}


def contain(command, word):
    """Whether the word is in what the command writes."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as unpacked:
        return subprocess.run(["grep", "-q", "--binary-files=text", word], stdin=unpacked.stdout).returncode == 0


class Deb:
    def hold(self, version, word):
        return contain(["dpkg-deb", "--fsys-tarfile", *glob.glob("%s/%s/janus_*.deb" % (HERE, version))], word)

    def install(self, version, *more):
        run("dpkg", "--force-confold", "-i", *(glob.glob("%s/%s/%s_*.deb" % (HERE, version, name))[0] for name in ("janus", *more)))

    def remove(self):
        run("dpkg", "-r", "janus", "janusbench")
        assert os.path.exists(CONFIG), "the configuration is gone before the purge"

    def purge(self):
        run("dpkg", "-P", "janus", "janusbench")


class Rpm:
    def hold(self, version, word):
        return contain(["rpm2cpio", *glob.glob("%s/%s/janus-[0-9]*.rpm" % (HERE, version))], word)

    # (What it depends on is there, but not in rpm's books.)
    def install(self, version, *more):
        run("rpm", "-U", "--nodeps", *(glob.glob("%s/%s/%s-[0-9]*.rpm" % (HERE, version, name))[0] for name in ("janus", *more)))

    def remove(self):
        run("rpm", "-e", "--nodeps", "janus", "janusbench")

    def purge(self):
        """rpm has none: what was changed or written stays, for who has changed or written it."""
        assert os.path.exists(CONFIG + ".rpmsave"), "the changed configuration is gone"
        os.unlink(CONFIG + ".rpmsave")
        assert os.listdir("/etc/janus") == [], os.listdir("/etc/janus")
        assert set(os.listdir("/var/lib/janus")) <= {"journal", "lock"}, os.listdir("/var/lib/janus")
        run("rm", "-r", "/etc/janus", "/var/lib/janus")
        # (Where rpm is at home, a package has this folder.)
        run("rmdir", "--ignore-fail-on-non-empty", "/usr/share/licenses")


class Systemd:
    settings = {"listen": "flash://127.0.0.1:81", "log_to": "journal"}        # (a port that it needs its capability for)

    def before(self, packages):
        # A server that does not say that it is ready would be waited for.
        if packages.hold("old", "NOTIFY_SOCKET"):
            return
        print("(this version does not speak sd_notify: Type=exec)")
        os.makedirs("/etc/systemd/system/janus.service.d")
        with open("/etc/systemd/system/janus.service.d/exec.conf", "w") as f:
            f.write("[Service]\nType=exec\n")

    def start(self):
        # (A restart would take up the data folder no more than a reload does.)
        run("systemctl", "stop", "janus.service")
        run("systemctl", "start", "janus.service")

    def check(self):
        assert run("systemctl", "is-active", "janus.service") == "active\n"
        assert run("systemctl", "is-enabled", "janus.service") == "enabled\n"
        main = int(run("systemctl", "show", "-P", "MainPID", "janus.service"))
        assert main == ask()["pid"], "systemd takes another process for the server: %d" % main
        for pid, of in processes().items():
            assert of["NoNewPrivs"] == "1" and of["Seccomp"] == "2" and of["CapBnd"] == "0000000000000400", (pid, of)
            if VERSIONS["new"].startswith(VERSIONS["old"]):     # (keepers that an earlier version made keep the capability until they are started anew)
                assert of["CapPrm"] == ("0000000000000400" if pid == main else "0000000000000000"), (pid, of)
        wait_until(lambda: ("master", str(main)) in self.logged(), 10, "the server's lines in the journal")

    def logged(self):
        """(process, pid) of the events in the journal, which came by its own protocol, with fields."""
        lines = [json.loads(line) for line in subprocess.run(["journalctl", "-u", "janus.service", "-o", "json", "--no-pager", "_TRANSPORT=journal",
                                                              "SYSLOG_IDENTIFIER=janus"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()]
        for line in lines:
            assert line["PRIORITY"] in "3467" and line["SYSLOG_FACILITY"] == "3" and line["MESSAGE"], line
        return {(line["JANUS_PROCESS"], line["_PID"]) for line in lines}

    def again(self):
        run("systemctl", "reload", "janus.service")
        wait_until(lambda: "worker 0" in {process for process, _ in self.logged()}, 10, "a worker's line in the journal")

    def masters(self):
        """Whatever becomes of the master, systemd starts the next one, which takes over."""
        follows_master("restarted", lambda pid: run("systemctl", "restart", "janus.service"))
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT):     # (the kernel kills by SIGKILL, too, when memory is short)
            follows_master(number.name, lambda pid: os.kill(pid, number))
            self.check()

    def after(self):
        run("rm", "-rf", "/etc/systemd/system/janus.service.d")
        run("systemctl", "daemon-reload")
        assert "could not be found" in run("systemctl", "status", "janus.service", status=4)


class Plain:
    """No systemd: the unit's command line, as its user."""
    settings = {}

    def before(self, packages):
        pass

    def start(self):
        assert not processes(), "somebody has started it"
        self.launch()

    def launch(self):
        self.process = subprocess.Popen(["setpriv", "--reuid=janus", "--regid=janus", "--init-groups", "/usr/sbin/janus"], stdin=subprocess.DEVNULL,
                                        stdout=sys.stdout, stderr=subprocess.STDOUT, cwd="/")

    def check(self):
        assert self.process.poll() is None and self.process.pid == ask()["pid"]

    def again(self):
        run("janusctl", "reload")

    def masters(self):
        """A keeper starts the next one, which makes way for one that is started as the first was."""
        follows_master("SIGKILL", lambda pid: os.kill(pid, signal.SIGKILL))
        follows_master("started by hand", lambda pid: self.launch())
        self.check()

    def after(self):
        assert self.process.wait(10) == 0, "the server did not end well"


def follows(version, pid):
    """The server is the same process, of the next version, and so are its keepers and workers."""
    def same():
        status = ask()
        return live() and status and status["version"] == VERSIONS[version] and status
    status = wait_until(same, 60, "the server's being " + VERSIONS[version])
    assert status["pid"] == pid, "another process"
    wait_until(lambda: not [p for p in processes() if "(deleted)" in os.readlink("/proc/%d/exe" % p)], 30, "all processes' being the new program")


def follows_master(what, end):
    """The master ends so, and another takes over from it: the same keepers and workers serve on."""
    def slots(status):
        return [(w["slot"], w["keeper"], w["worker"]) for w in status["workers"]]
    before = ask()
    began = time.monotonic()
    end(before["pid"])
    wait_until(lambda: (ask() or before)["pid"] != before["pid"] and live(), 20, "another master")
    after = ask()
    assert slots(after) == slots(before), (what, before, after)
    print("master %s: another after %.2f s" % (what, time.monotonic() - began))


def kill_a_worker():
    """Also in the midst of a reload, which gives it another process."""
    try:
        os.kill(ask()["workers"][0]["worker"], 9)
    except ProcessLookupError:
        return False
    return True


def workers():
    """What janusctl says of each, with its keeper's and its spare's process."""
    return json.loads(run("janusctl", "workers", "--json"))["workers"]


def follows_keepers():
    """Each keeper dies: its spare goes on in its place."""
    before = workers()
    assert all(w["spare"] for w in before)
    for w in before:
        os.kill(w["keeper"], signal.SIGKILL)
    wait_until(lambda: live() and [w["keeper"] for w in ask()["workers"]] == [w["spare"] for w in before], 10, "the spares' being keepers")
    wait_until(lambda: sum(of["Name"] == "janus-spare" for of in processes().values()) == len(before), 10, "another spare for each")


def configure(init):
    """With a process of each kind. (An older version does not know of all of them.)"""
    with open(CONFIG) as f:
        text = f.read()
    for key, value in dict(init.settings, data="/var/lib/janus", anonymous="all", token_jwks_url="http://127.0.0.1:1/", **start_nats()).items():
        text = re.sub("(?m)^%s =.*" % key, "%s = %s" % (key, value), text, count=1)
    with open(CONFIG, "w") as f:
        f.write(text)
    return text


def has_all_kinds(text):
    wanted = {kind for kind, word in (("janus-data", "data = /"), ("janus-jwks", "jwks_url = h"), ("janus-bridge", "nats = n")) if word in text}
    return wanted <= {of["Name"] for of in processes().values()}


def check_clean(before):
    """Behind a purge."""
    left = sorted(files() - before)
    assert not left, "left behind: %s" % left
    assert not os.path.exists("/run/janus"), os.listdir("/run/janus")
    gone = sorted(path for path in before - files())
    assert not gone, "taken away, but not ours: %s" % gone


def go_through(packages, init):
    """Installed, upgraded twice under load, reloaded, its masters killed, removed."""
    before = files()
    init.before(packages)
    began = time.monotonic()
    packages.install("old", "janusbench")
    # Clients stay for two upgrades, on a machine as busy as this one.
    seconds = 50 + 4 * (time.monotonic() - began)
    assert pwd.getpwnam("janus").pw_uid != 0
    text = configure(init)
    init.start()
    wait_until(live, 20, "the server's start")
    wait_until(lambda: has_all_kinds(text), 20, "all kinds of processes")
    status = ask()
    assert status["file"] == CONFIG and status["runtime_dir"] == "/run/janus", status
    init.check()
    for pid, of in processes().items():
        assert of["Uid"].split()[0] == str(pwd.getpwnam("janus").pw_uid), (pid, of)
    assert glob.glob("/var/lib/janus/journal"), "no journal"
    # (Debian's zsh looks in vendor-completions, others' in site-functions.)
    assert run("zsh", "-f", "-c", "fpath+=(/usr/share/zsh/site-functions); autoload -Uz compinit; compinit -D -u; print $_comps[janusctl]") == "_janusctl\n"
    assert run("bash", "-c", ". /usr/share/bash-completion/completions/janusctl; complete -p janusctl") == "complete -F _janusctl janusctl\n"
    workers = [w["worker"] for w in status["workers"]]
    rings = [fd for pid in workers for fd in glob.glob("/proc/%d/fd/*" % pid) if "io_uring" in os.readlink(fd)]
    print("processes %d, rings of io_uring %d" % (len(processes()), len(rings)))
    assert len(rings) == len(workers) or not has_io_uring(), "io_uring is refused to the server"

    url = status["listen"][0]
    bench = subprocess.Popen(["janusbench", "-n", str(CLIENTS), "-T", str(TOPICS), "--while-running", "%.0f" % seconds, "--rate", str(RATE), "--quiet", "--json",
                              "--server-pid", str(status["pid"]), url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_until(lambda: sum(w["connections"] for w in ask()["workers"]) >= CLIENTS, 60, "%d connections" % CLIENTS)
    for version in ("new", "other-layout"):
        packages.install(version)
        follows(version, status["pid"])
        init.check()
        there = sum(w["connections"] for w in ask()["workers"])
        assert bench.poll() is None, "the clients were done before the upgrade"
        assert there >= CLIENTS, ask()
    assert open(CONFIG).read() == text, "the configuration was changed"
    init.again()
    wait_until(kill_a_worker, 10, "a worker's being killed")
    wait_until(live, 10, "workers")
    # (systemctl does not wait for the end of a reload; and if a master dies within one, the next does it anew, which gives workers other processes.)
    wait_until(lambda: subprocess.run(["janusctl", "reload"]).returncode == 0, 20, "the end of a reload")
    follows_keepers()
    init.check()
    init.masters()
    assert bench.poll() is None, "the clients were done before the last master"
    said, _ = bench.communicate(timeout=seconds + 90)
    print(said, end="")
    assert bench.returncode == 0, "messages or connections were lost: status %d" % bench.returncode
    wait_until(live, 10, "workers")
    print("connections broken: none; messages lost: none")

    packages.remove()
    wait_until(lambda: not processes(), 15, "the end of all processes")
    init.after()
    packages.purge()
    check_clean(before)


class Subscribers:
    """A few connections."""

    def __init__(self, count=20):
        self.sockets = [socket.create_connection(("127.0.0.1", 8080)) for _ in range(count)]
        for s in self.sockets:
            s.sendall(b"GET /sub/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            s.settimeout(10)
            while b"position" not in s.recv(4096):
                pass
            s.setblocking(False)

    def ended(self):
        """Closed, or reset: of each."""
        def has_ended(s):
            try:
                while s.recv(4096):
                    pass
                return True
            except BlockingIOError:
                return False
            except ConnectionResetError:
                return True
        return [has_ended(s) for s in self.sockets]


def systemctl(*arguments, status=0):
    return run("systemctl", *arguments, "janus.service", status=status)


def begin():
    """A server with subscribers. (The counter of starts within a while is reset, too.)"""
    systemctl("reset-failed", status=None)
    systemctl("enable", "--now")
    wait_until(live, 20, "the server's start")
    return Subscribers()


def kill_master(number=signal.SIGKILL):
    os.kill(ask()["pid"], number)


def later(seconds):
    """Another moment between the master's death and the next one's start."""
    def stop():
        kill_master()
        time.sleep(seconds)
        systemctl("stop")
    return stop


def at_start():
    systemctl("stop")
    systemctl("start", "--no-block")
    systemctl("stop")


def as_it_hangs():
    """Held by a debugger, as systemd has one go on that is only stopped."""
    libc = ctypes.CDLL(None, use_errno=True)
    master = ask()["pid"]
    for request in (0x4206, 0x4207):        # PTRACE_SEIZE, PTRACE_INTERRUPT
        if libc.ptrace(request, master, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
    stop = subprocess.Popen(["systemctl", "stop", "janus.service"])
    os.waitpid(master, 0x40000000)          # (__WALL: it is held)
    assert os.WIFSIGNALED(os.waitpid(master, 0x40000000)[1])
    assert stop.wait() == 0


def given_up():
    """Another master is killed, if there is one."""
    status = ask()
    if status:
        os.kill(status["pid"], signal.SIGKILL)
    return systemctl("is-active", status=None) == "failed\n"


STOPS = {
    "stop": lambda: systemctl("stop"),
    "disable --now": lambda: systemctl("disable", "--now"),
    "kill": lambda: systemctl("kill"),
    "janusctl stop": lambda: run("janusctl", "stop"),
    "stop within a restart": lambda: (systemctl("restart", "--no-block"), systemctl("stop")),
    "stop within a reload": lambda: (systemctl("reload", "--no-block"), systemctl("stop")),
    "stop within a start": at_start,
    "stop of a master that hangs": as_it_hangs,
    **{"stop %.2f s behind a master's death" % seconds: later(seconds)
       for seconds in (0, 0.02, 0.1, 0.3, 0.45, 0.48, 0.5, 0.51, 0.52, 0.53, 0.54, 0.55, 0.56, 0.57, 0.58, 0.6, 0.65, 0.7, 1)},
}
# What starts it again; the same moments.
AGAIN = {"%s %.2f s behind a master's death" % (command, seconds): (command, seconds) for command in ("restart", "start") for seconds in (0, 0.3, 0.5, 0.55, 0.6)}


def go_stop(packages, init):
    """However it is told to stop, nobody is left; and nobody is stopped who is only to have another master. Removed while it has none."""
    before = files()
    packages.install("new", "janusbench")
    systemctl("stop")
    text = configure(init)
    os.makedirs("/etc/systemd/system/janus.service.d")
    drop_in = "/etc/systemd/system/janus.service.d/check.conf"
    with open(drop_in, "w") as f:
        f.write("[Service]\nTimeoutStopSec=4s\n")
    run("systemctl", "daemon-reload")
    for name, stop in STOPS.items():
        clients = begin()
        wait_until(lambda: has_all_kinds(text), 20, "all kinds of processes")
        began = time.monotonic()
        stop()
        # (What is not systemctl does not wait; and between two of systemd's steps nobody does.)
        if "kill" in name or "behind" in name:
            wait_until(lambda: not processes(), 10, "the end of all processes")
            wait_until(lambda: not os.listdir("/run/janus"), 10, "the end of all files")
        left = [of["Name"] for of in processes().values()] + os.listdir("/run/janus")
        assert not left, "%s: left are %s" % (name, left)
        print("%s: nothing left after %.2f s" % (name, time.monotonic() - began))
        assert all(clients.ended())
    for name, (command, seconds) in AGAIN.items():
        clients = begin()
        follows_master(name, lambda pid: (os.kill(pid, signal.SIGKILL), time.sleep(seconds), systemctl(command)))
        assert not any(clients.ended())
    # systemd gives up, and knows of nothing that it could stop.
    with open(drop_in, "w") as f:
        f.write("[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=2\n")
    run("systemctl", "daemon-reload")
    clients = begin()
    wait_until(given_up, 60, "systemd's giving up")
    time.sleep(3)           # (janus-stop-post looks once more.)
    assert ask() is None and processes() and not any(clients.ended())
    packages.remove()
    assert not processes() and all(clients.ended())
    systemctl("reset-failed", status=None)      # (it remembers that)
    init.after()
    packages.purge()
    check_clean(before)


# With which packages, and beside what.
SCENARIOS = {"deb": (go_through, Deb, Systemd), "deb_without_systemd": (go_through, Deb, Plain), "rpm": (go_through, Rpm, Systemd),
             "deb_stop": (go_stop, Deb, Systemd), "rpm_stop": (go_stop, Rpm, Systemd)}

if __name__ == "__main__":
    try:
        go, *parts = SCENARIOS[sys.argv[1]]
        go(*(part() for part in parts))
    except BaseException as e:
        print("%s: %s" % (type(e).__name__, e))
        if os.path.isdir("/run/systemd/system"):
            subprocess.run(["journalctl", "-u", "janus.service", "--no-pager", "-n", "60"])
        raise
    print("good")
