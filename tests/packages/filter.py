#!/usr/bin/env python3
"""Whether the unit's SystemCallFilter has all that the server calls: filter.py BUILD

The server runs under strace: clients, messages, the journal, NATS (where there is a nats-server), a reload, the death of a worker, of a keeper and of the master, a stop. A call that the filter refuses would
fail with EPERM under the unit, perhaps without anybody's noticing.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNIT = os.path.join(ROOT, "packaging", "systemd", "janus.service")
SECONDS = 60


def expand(name):
    """The calls of a group, as systemd knows it; a call is itself."""
    if not name.startswith("@"):
        return {name}
    lines = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, capture_output=True, text=True).stdout.splitlines()[1:]
    return set().union(*(expand(line.strip()) for line in lines if line.strip() and "#" not in line))


def allowed():
    """As systemd does it: what is always allowed, and line by line what is added or, behind a ~, taken away."""
    found = expand("@default")
    with open(UNIT) as f:
        for value in re.findall("(?m)^SystemCallFilter=(.*)$", f.read()):
            calls = set().union(*(expand(name) for name in value.lstrip("~").split()))
            found = found - calls if value.startswith("~") else found | calls
    return found


def start_nats():
    """(its process, what the server is told of it); None and nothing: there is none."""
    program = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not program:
        print("(there is no nats-server: what janus-bridge calls is not looked at)")
        return None, []
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    return subprocess.Popen([program, "-a", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), ["-o", "nats=nats://127.0.0.1:%d" % port]


def used(build):
    nats, joined = start_nats()
    try:
        return used_beside(build, joined)
    finally:
        if nats:
            nats.kill()
            nats.wait()


def used_beside(build, joined):
    with tempfile.TemporaryDirectory(prefix="janus-filter-") as folder:
        options = ["-c", os.devnull, "-o", "runtime_dir=%s/run" % folder, "-o", "user=" + ("" if os.geteuid() else "root")]
        trace = os.path.join(folder, "trace")
        strace = subprocess.Popen(["strace", "-f", "-qq", "-s", "0", "-o", trace, os.path.join(build, "janus"), *options, "-o", "workers=2", "-o", "data=%s/data" % folder,
                                   "-o", "history=*: 10 messages", *joined, "-o", "listen=flash://127.0.0.1:0", "-o", "listen=http+unix:%s/http" % folder],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def ctl(command):
            return subprocess.run([os.path.join(build, "janusctl"), *options, command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

        def wait(command, good):
            """What it says, as soon as that is so."""
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                done = ctl(command)
                if done.returncode == 0 and good(found := json.loads(done.stdout)):
                    return found
                time.sleep(0.1)
            raise SystemExit("the server is not there")

        def status():
            return wait("status", lambda found: all(worker["state"] == "live" for worker in found["workers"]))
        try:
            first = status()
            if joined:
                wait("nodes", lambda found: found["state"] == "connected")
            subprocess.run([os.path.join(build, "janusbench"), "-n", "200", "-r", "5", "--quiet", first["listen"][0]], check=True, stdout=subprocess.DEVNULL)
            if ctl("reload").returncode != 0:
                raise SystemExit("the reload is refused")
            for kill in (lambda found: found["workers"][0]["worker"], lambda found: found["workers"][0]["keeper"], lambda found: found["pid"]):
                killed = kill(status())
                os.kill(killed, signal.SIGKILL)
                wait("status", lambda found: kill(found) not in (0, killed))
            os.kill(status()["pid"], signal.SIGTERM)
            strace.wait(SECONDS)
        finally:
            if strace.poll() is None:
                strace.kill()
                strace.wait()
        with open(trace, errors="replace") as f:
            return set(re.findall(r"(?m)^\d+ +([a-z_0-9]+)\(", f.read()))


def main():
    calls = used(sys.argv[1])
    refused = sorted(calls - allowed())
    print("%d system calls used, refused by the filter: %s" % (len(calls), ", ".join(refused) or "none"))
    return 1 if refused or len(calls) < 40 else 0


if __name__ == "__main__":
    sys.exit(main())
