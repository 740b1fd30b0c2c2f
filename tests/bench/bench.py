#!/usr/bin/env python3
"""`make bench`: Janus beside the floor, and beside redis and nats-server where the bar names them, in one run.

Every figure comes from several rounds; in each, all servers are started anew one after the other, loaded and stopped, so that whatever
else the machine does falls on all of them. What is compared are medians over the rounds. `--help` has the options.
"""
import argparse
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PER_WORKER = 18000      # connections; below RLIMIT_NOFILE of 20,000, the hard limit in many places


# ---- servers ----

class Server:
    """A server on loopback with a directory of its own; start() and stop(). Everything it started is gone after stop()."""
    name = '?'
    speak = 'flash'
    publish = None          # None: as janusbench chooses

    def __init__(self, build, workers=2):
        self.build, self.workers = build, workers
        self.process = self.addresses = self.dir = None

    def command(self):
        raise NotImplementedError

    def find_addresses(self):
        """As janusbench takes them; none as long as it is not ready."""
        raise NotImplementedError

    def start(self):
        self.dir = tempfile.TemporaryDirectory(prefix='janus-bench-')
        self.log = open(os.path.join(self.dir.name, 'log'), 'w+', encoding='utf-8', errors='replace')
        self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL,
                                        preexec_fn=raise_files)
        deadline = time.monotonic() + 20
        while not (addresses := self.find_addresses()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                text = self.log.read().strip()
                self.stop()
                raise RuntimeError(f'{self.name} did not start: {text[-300:]}')
            time.sleep(0.02)
        self.addresses = addresses
        time.sleep(0.2)
        return self

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()
        self.dir.cleanup()
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Janus(Server):
    """Whatever subscribers speak, publishers speak flash: what is compared is how messages go out."""
    name, publish = 'janus', 'flash'
    schemes = ('flash', 'http', 'packet')
    options = ()

    def command(self):
        command = [os.path.join(self.build, 'janus'), '-c', os.devnull, '-o', f'runtime_dir={self.dir.name}/run',
                   '-o', f'workers={self.workers}', '-o', 'log_level=warning', '-o', 'user=' + ('' if os.geteuid() else 'root')]
        for option in (*(f'listen={scheme}://127.0.0.1:0' for scheme in self.schemes), *self.options):
            command += ['-o', option]
        return command

    def find_addresses(self):
        status = subprocess.run([os.path.join(self.build, 'janusctl'), '-o', f'runtime_dir={self.dir.name}/run', 'status'],
                                capture_output=True, text=True, check=False).stdout
        found = [word for word in status.split() if '://127.' in word]
        return found if len(found) == len(self.schemes) else []


class JanusWs(Janus):
    name, speak = 'janus ws', 'ws'


class JanusWss(JanusWs):
    """The same within TLS."""
    name, schemes = 'janus wss', ('flash', 'https')

    def command(self):
        # (On a busy machine the client has hundreds of handshakes under way for long. nginx' limit is a minute, too.)
        self.options = (f'tls_certificate={" ".join(make_certificate(self.dir.name))}', 'tls_handshake_timeout=60s')
        return super().command()


class JanusSse(Janus):
    name, speak = 'janus sse', 'sse'


class JanusMixed(Janus):
    name, speak = 'janus mixed', 'flash,ws,sse,json-lines,packet'


class Floor(Server):
    name = 'floor'

    def command(self):
        return [os.path.join(self.build, 'floor'), '--workers', str(self.workers)]

    def find_addresses(self):
        return self.process.stdout.readline().decode().split()


class FloorSend(Floor):
    name = 'floor send()'

    def command(self):
        return super().command() + ['--send']


def make_certificate(folder):
    """One of ECDSA P-256, as most have it: the names of its file and of its key's."""
    certificate, key = os.path.join(folder, 'certificate.pem'), os.path.join(folder, 'key.pem')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=localhost', '-days', '2',
                    '-keyout', key, '-out', certificate], check=True, capture_output=True)
    return certificate, key


def raise_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# ---- the client ----

class Load(Exception):
    """A load that failed: the client's words."""


def client_command(server, *options):
    return [os.path.join(server.build, 'janusbench'), '-q', '--json', '--server-pid', str(server.process.pid),
            '--speak', server.speak, *(['--publish', server.publish] if server.publish else []), *map(str, options),
            *server.addresses]


def client_result(process, what):
    out, err = process.communicate()
    try:
        found = json.loads(out)
    except ValueError:
        raise Load(f'{what}: {err.strip()[-300:]}') from None
    if found['fault_sum'] or found['bad'] or found['late'] or process.returncode:
        raise Load(f'{what}: {err.strip()[-300:]}')
    return found


def load(server, *options):
    """Runs janusbench against the server; its results. Every delivery was checked, or Load is raised."""
    process = subprocess.Popen(client_command(server, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return client_result(process, f'{server.name} with {" ".join(map(str, options))}')


def pick(result, path):
    for key in path.split('.'):
        result = result[key]
    return result


# ---- loads: each a function of (server class, settings) that yields a dictionary of values ----

def workers_for(subscribers):
    return max(os.cpu_count() or 1, -(-subscribers // PER_WORKER))


def one_load(make, args, options, paths, workers=None):
    with make(args.build, workers or os.cpu_count() or 1) as server:
        result = load(server, *options)
    return {name: pick(result, path) for name, path in paths.items()}


FAN = {'last': 'last_ms.median', 'cpu': 'server_cpu_us_per_delivery', 'setup': 'server_cpu_us_per_setup',
       'memory': 'server_bytes_per_connection'}


PASSING = 5000          # connections a worker; its events (EVENTS_KEPT of shm/events.h) take all their memory then


def pass_by(server):
    """Connections that come and go, one after the other: what a server keeps of such things takes its memory, which is the same however many stay."""
    host, port = server.addresses[0].rpartition('://')[2].partition('/')[0].rsplit(':', 1)
    for _ in range(PASSING * server.workers):
        socket.create_connection((host, int(port))).close()


def fan(subscribers, *options):
    def run(make, args):
        with make(args.build, workers_for(subscribers)) as server:
            if subscribers <= PER_WORKER:
                pass_by(server)
            result = load(server, '-n', subscribers, '-P', max(1, -(-subscribers // PER_WORKER)), '-r', args.inner, *options)
        return {name: pick(result, path) for name, path in FAN.items()}
    return run


def mixed(make, args):
    """Time to the last, of all and of each transport's."""
    with make(args.build, workers_for(10000)) as server:
        result = load(server, '-n', 10000, '-r', args.inner)
    return {'last': result['last_ms']['median'],
            **{f'last {name}': of['last_ms']['median'] for name, of in result['transports'].items()}}


def burst(make, args):
    return one_load(make, args, ['-n', 1000, '-m', 500, '-r', args.inner],
                    {'rate': 'deliveries_per_s', 'cpu': 'server_cpu_us_per_delivery', 'last': 'round_ms.median'})


def topics(make, args):
    return one_load(make, args, ['-n', 10000, '-T', 10000, '--topics-per-subscriber', 10, '--random', '-m', 30, '-r',
                                 max(2, args.inner // 2)],
                    {'rate': 'deliveries_per_s', 'cpu': 'server_cpu_us_per_delivery'})


def many_topics(each):
    """200 connections, each with `each` topics of its own, and 20,000 messages a second to any of them."""
    def run(make, args):
        return one_load(make, args, ['-n', 200, '-T', 200, '--topics-per-subscriber', each, '--random', '--rate', 20000,
                                     '--while-running', 2 if args.quick else 5],
                        {'cpu': 'server_cpu_us_per_delivery', 'setup': 'server_cpu_us_per_setup'})
    return run


def latency(make, args):
    return one_load(make, args, ['-n', 1, '--while-running', 2 if args.quick else 5, '--rate', 1000],
                    {'median': 'delivery_ms.median', 'p99': 'delivery_ms.p99'})


def interference(make, args):
    """A message to 40,000 every 200 ms; meanwhile 200 a second to a topic with one subscriber: how late are those?"""
    seconds = 4 if args.quick else 10
    with make(args.build, workers_for(40000)) as server:
        crowd = subprocess.Popen(client_command(server, '-n', 40000, '--rate', 5, '--while-running', seconds + 6, '--topic', 'crowd'),
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            await_connections(server, crowd, 40000)
            one = load(server, '-n', 1, '--rate', 200, '--while-running', seconds, '--topic', 'one')
        finally:
            result = client_result(crowd, 'the crowd')
    return {'p99': one['delivery_ms']['p99'], 'median': one['delivery_ms']['median'], 'max': one['delivery_ms']['max'],
            'crowd': result['last_ms']['median']}


def processes_of(pid):
    """The process and its descendants, those without children only: with Janus, a keeper shares its worker's descriptors."""
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
        children = f.read().split()
    return sum((processes_of(child) for child in children), []) if children else [pid]


def descriptors(server):
    return sum(len(os.listdir(f'/proc/{pid}/fd')) for pid in processes_of(server.process.pid))


def await_connections(server, process, count):
    while descriptors(server) < count and process.poll() is None:
        time.sleep(0.2)
    time.sleep(0.5)


# ---- figures ----

class Figure:
    """`bar`: ('x', f) at most f times the floor; ('<=', v), ('>=', v) in itself; ('peer', other, f): the ratio to another server in the
    same run is at least f if `more`, else at most f; ('beside', other): shown beside it, it is enough that all arrives. It is `who` that is
    judged."""

    def __init__(self, what, run, value, unit, bar, more=False, who='janus'):
        self.what, self.run, self.value, self.unit, self.bar, self.more, self.who = what, run, value, unit, bar, more, who
        self.against = bar[1] if bar[0] in ('peer', 'beside') else 'floor'

    def bar_text(self):
        kind = self.bar[0]
        if kind == 'x':
            return f'<= {self.bar[1]:g} x floor'
        if kind == 'peer':
            return f'{">=" if self.more else "<="} {self.bar[2]:g} x {self.bar[1]}'
        if kind == 'beside':
            return 'all arrives'
        return f'{kind} {self.bar[1]:g} {self.unit}'

    def judge(self, values):
        janus, other, kind = values.get(self.who), values.get(self.against), self.bar[0]
        if janus is None:
            return False        # the load failed
        if kind in ('x', 'peer') and not other:
            return None
        if kind == 'beside':
            return True
        if kind == 'x':
            return janus <= self.bar[1] * other
        if kind == 'peer':
            return janus >= self.bar[2] * other if self.more else janus <= self.bar[2] * other
        return janus <= self.bar[1] if kind == '<=' else janus >= self.bar[1]


TO_FLASH = ('peer', 'janus', 1.1)
FAN18, FAN38, BIG = fan(18000), fan(38000), fan(5000, '-s', 16384)
ONE, MANY = many_topics(1), many_topics(1000)
GROWTH = [1000, 5000, 20000, 50000, 100000, 200000]
GROWN = {n: fan(n) for n in GROWTH}

# name: load, servers beside janus, figures
LOADS = {
    'fan18': (FAN18, ['floor', 'nchan'], [
        Figure('18,000 subscribers: median to the last', FAN18, 'last', 'ms', ('x', 1.1)),
        Figure('18,000 subscribers: the same beside nchan', FAN18, 'last', 'ms', ('peer', 'nchan', 0.55)),
        Figure('18,000 subscribers: server CPU a delivery', FAN18, 'cpu', 'us', ('x', 1.15)),
        Figure('accept and subscribe one: server CPU', FAN18, 'setup', 'us', ('x', 1.3)),
        Figure('idle subscriber: user memory', FAN18, 'memory', 'bytes', ('<=', 200))]),
    'fan38': (FAN38, ['floor', 'nchan'], [
        Figure('38,000 subscribers: median to the last', FAN38, 'last', 'ms', ('x', 1.1)),
        Figure('38,000 subscribers: the same beside nchan', FAN38, 'last', 'ms', ('peer', 'nchan', 0.55)),
        Figure('38,000 subscribers: server CPU a delivery', FAN38, 'cpu', 'us', ('x', 1.15))]),
    'web18': (FAN18, ['janus ws', 'janus sse'], [
        Figure('18,000 over WebSocket: median to the last', FAN18, 'last', 'ms', TO_FLASH, who='janus ws'),
        Figure('18,000 over SSE: median to the last', FAN18, 'last', 'ms', TO_FLASH, who='janus sse'),
        Figure('idle WebSocket subscriber: user memory', FAN18, 'memory', 'bytes', ('<=', 300), who='janus ws'),
        Figure('idle SSE subscriber: user memory', FAN18, 'memory', 'bytes', ('<=', 300), who='janus sse')]),
    'mixed': (mixed, ['janus mixed'], [
        Figure('10,000, five transports: median to the last', mixed, 'last', 'ms', ('beside', 'janus'), who='janus mixed')]),
    'burst': (burst, ['floor', 'redis'], [
        Figure('500 messages to 1,000: deliveries a second', burst, 'rate', '/s', ('>=', 10e6)),
        Figure('500 messages to 1,000: server CPU a delivery', burst, 'cpu', 'us', ('<=', 0.1))]),
    'topics': (topics, ['nats'], [
        Figure('100,000 topics: deliveries a second', topics, 'rate', '/s', ('peer', 'nats', 2), more=True)]),
    'one-topic': (ONE, ['redis'], [
        Figure('1 topic a connection: server CPU a delivery', ONE, 'cpu', 'us', ('peer', 'redis', 1))]),
    'many-topics': (MANY, ['redis'], [
        Figure('1,000 topics a connection: server CPU a delivery', MANY, 'cpu', 'us', ('peer', 'redis', 1)),
        Figure('1,000 topics a connection: CPU to subscribe all', MANY, 'setup', 'us', ('peer', 'redis', 1))]),
    'latency': (latency, ['floor', 'redis'], [
        Figure('1 publisher, 1 subscriber: median', latency, 'median', 'ms', ('peer', 'redis', 1))]),
    'big': (BIG, ['floor'], [
        Figure('16 KiB to 5,000: median to the last', BIG, 'last', 'ms', ('x', 1.1))]),
    'interference': (interference, [], [
        Figure('1 subscriber beside 40,000: p99', interference, 'p99', 'ms', ('<=', 10))]),
    'growth': (None, ['floor'], [
        Figure(f'growth: {n:,} subscribers: median to the last', GROWN[n], 'last', 'ms', ('x', 1.1)) for n in GROWTH]),
}


def server_class(name):
    own = {make.name: make for make in (Janus, JanusWs, JanusWss, JanusSse, JanusMixed, Floor)}
    if name in own:
        return own[name]
    sys.path.insert(0, HERE)
    import peers
    return peers.available().get(name)


def measure(run, names, args):
    """{server: {value: median}} over the rounds, all servers in each round. A server that fails a load is left out."""
    seen, failed = {name: [] for name in names}, {}
    for number in range(args.rounds):
        for name in names if number % 2 == 0 else reversed(names):
            make = server_class(name)
            if make is None or name in failed:
                continue
            try:
                seen[name].append(run(make, args))
            except (Load, RuntimeError) as error:
                failed[name] = str(error)
                print(f'  {name}: {error}', file=sys.stderr)
    middle = {name: {key: statistics.median(r[key] for r in rounds) for key in rounds[0]} for name, rounds in seen.items() if rounds}
    return {name: values for name, values in middle.items() if name not in failed}, seen, failed


def show(value):
    if value is None:
        return '-'
    if value >= 1e5:
        return f'{value / 1e6:.2f} M'
    return f'{value:.0f}' if value >= 1000 else f'{value:.3g}'


ROW = '{:<46} {:>9} {:>9} {:>7}  {:<18} {:<6} {}'


def row_of(figure, middle):
    values = {name: found.get(figure.value) for name, found in middle.items()}
    ok = figure.judge(values)
    value, against = values.get(figure.who), values.get(figure.against)
    ratio = value / against if value is not None and against else None
    others = ', '.join(f'{name} {show(v)}' for name, v in values.items() if name not in ('floor', figure.who))
    print(ROW.format(f'{figure.what}, {figure.unit}', show(values.get('floor')), show(value),
                     f'{ratio:.2f}' if ratio and 0 < ratio < 1e4 else '-', figure.bar_text(),
                     '?' if ok is None else 'ok' if ok else 'NO', others), flush=True)
    return {'figure': figure.what, 'of': figure.who, 'unit': figure.unit, 'bar': figure.bar_text(), 'ok': ok, 'ratio': ratio, **values}


def bench(args):
    rows, raw, failures = [], {}, {}
    print(ROW.format('figure', 'floor', 'janus', 'ratio', 'bar', 'ok?', 'others'))
    for name, (run, beside, figures) in LOADS.items():
        if args.only and name not in args.only:
            continue
        for run_one in [run] if run else [figure.run for figure in figures]:
            middle, seen, failed = measure(run_one, beside + ['janus'], args)
            failures.update({f'{name}: {server}': text for server, text in failed.items()})
            raw.setdefault(name, []).append(seen)
            for figure in figures:
                if figure.run is run_one:
                    rows.append(row_of(figure, middle))
    return {'kind': 'bench', 'rounds': args.rounds, 'inner': args.inner, 'cpus': os.cpu_count(), 'rows': rows, 'raw': raw,
            'failures': failures}


# ---- a million ----

def available_gib():
    with open('/proc/meminfo', encoding='ascii') as f:
        for line in f:
            if line.startswith('MemAvailable:'):
                return int(line.split()[1]) / 2**20
    return 0


def million(args):
    subscribers = args.subscribers
    need = 4 + 12 * subscribers / 1e6
    if available_gib() < need:
        sys.exit(f'bench: {need:.0f} GiB of free memory are needed, {available_gib():.1f} are there')
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    per_worker = min(hard - 500, 1000000) if hard != resource.RLIM_INFINITY else 1000000
    workers = min(64, max(os.cpu_count() or 1, -(-subscribers // min(per_worker, 19000))))
    processes = -(-subscribers // min(per_worker, 18000))
    found = {}
    for make in (Floor, Janus) if args.rounds < 2 else (Floor, Janus) * (args.rounds // 2):
        with make(args.build, workers) as server:
            found.setdefault(make.name, []).append(load(server, '-n', subscribers, '-P', processes, '-r', args.inner,
                                                        '--timeout', 600))
        time.sleep(5)   # the kernel frees a million sockets
    last = {name: statistics.median(r['last_ms']['median'] for r in rounds) for name, rounds in found.items()}
    figure = Figure(f'{subscribers:,} subscribers: median to the last', None, 'last', 'ms', ('x', 1.2))
    print(ROW.format('figure', 'floor', 'janus', 'ratio', 'bar', 'ok?', 'others'))
    row = row_of(figure, {name: {'last': value} for name, value in last.items()})
    return {'kind': 'million', 'workers': workers, 'processes': processes, 'rows': [row], 'raw': found}


def one_figure(doc, measure, say, **options):
    """A program that measures one thing, by measure(args), and says what came of it: its options are these, as add_argument() has them, and --build and --json."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', default='build')
    parser.add_argument('--json', metavar='FILE')
    for name, option in options.items():
        parser.add_argument('--' + name, **option)
    args = parser.parse_args()
    raise_files()
    result = measure(args)
    say(result)
    if args.json:
        write_result(args.json, {'rows': [], 'measured': result})
    return 0


def number(default, what=None):
    return {'type': int, 'default': default, 'help': what}


def write_result(path, result):
    """The exit status: 1 if a bar is missed."""
    with open(path, 'w', encoding='utf-8') as f:
        json.dump({'when': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), **result}, f, indent=1)
    print(f'written to {path}')
    return 1 if any(row['ok'] is False for row in result['rows']) else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', default=os.environ.get('BUILD', 'build'), help='where the programs are (build)')
    parser.add_argument('--only', action='append', choices=list(LOADS), help='one load; may be repeated')
    parser.add_argument('--rounds', type=int, default=0, help='rounds over all servers (5; 3 with --quick)')
    parser.add_argument('--inner', type=int, default=0, help="janusbench's rounds in each (9; 5 with --quick)")
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--million', action='store_true', help='1,000,000 subscribers, and nothing else')
    parser.add_argument('--subscribers', type=int, default=1000000, help='of --million')
    parser.add_argument('--json', default=None, help='where the results go (BUILD/bench.json, BUILD/million.json)')
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args.rounds = args.rounds or (1 if args.million else 3 if args.quick else 5)
    args.inner = args.inner or (5 if args.quick or args.million else 9)
    result = million(args) if args.million else bench(args)
    path = args.json or os.path.join(args.build, 'million.json' if args.million else 'bench.json')
    return write_result(path, result)


if __name__ == '__main__':
    sys.exit(main())
