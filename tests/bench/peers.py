#!/usr/bin/env python3
"""`make bench-peers`: the same load, the same client and the same checks for Janus, nginx with nchan, redis, nats-server and mosquitto.

Each is started here on loopback, on a free port and in a directory of its own, with the best settings we know, which are written below
and in tests/bench/peer_*.conf. They come from the distribution:
    apt-get install nginx-light libnginx-mod-nchan redis-server nats-server mosquitto
One that is not installed is left out; one that can't hold a number of connections is shown at what it can hold. `--help` has the options.
"""
import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import HERE, Floor, Janus, JanusSse, JanusWs, Load, Server, burst, fan, load, make_certificate, measure, show, topics

KEPT = 1000             # messages of each topic that servers keep for those who come back; nchan: 2000, see peer_nginx.conf


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Peer(Server):
    """A server that is told its port. The janusbench options and figures are the same for all."""
    program, package = '', ''
    more = {}                       # of what is filled in in its configuration
    processes = 'one process'       # how it uses cores, for the table

    def start(self):
        self.port = free_port()
        return super().start()

    def find_addresses(self):
        try:
            socket.create_connection(('127.0.0.1', self.port), 0.5).close()
        except OSError:
            return []
        return [f'127.0.0.1:{self.port}']

    def config(self, template):
        """A configuration file of the server's own from tests/bench/`template`; what is in it as @NAME@ is filled in."""
        with open(os.path.join(HERE, template), encoding='utf-8') as f:
            text = f.read()
        for key, value in {'PORT': self.port, 'DIR': self.dir.name, 'WORKERS': self.workers, **self.more}.items():
            text = text.replace(f'@{key}@', str(value))
        path = os.path.join(self.dir.name, template)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        return path

    @classmethod
    def path(cls):
        return shutil.which(cls.program, path=os.environ.get('PATH', '') + ':/usr/sbin:/usr/local/sbin')

    @classmethod
    def installed(cls):
        return cls.path() is not None


class Redis(Peer):
    name, speak, program, package = 'redis', 'redis', 'redis-server', 'redis-server'

    def command(self):
        # I/O threads write replies in parallel; on 2 cores redis' own advice is against them (it says: from 4 cores on).
        threads = max(1, (os.cpu_count() or 1) - 1) if (os.cpu_count() or 1) >= 4 else 1
        return [self.path(), self.config('peer_redis.conf'), '--io-threads', str(min(threads, 8))]


class Nats(Peer):
    name, speak, program, package = 'nats', 'nats', 'nats-server', 'nats-server'
    processes = 'threads on all cores'

    def command(self):
        return [self.path(), '-c', self.config('peer_nats.conf')]


class JetStream(Nats):
    """A stream in memory for each topic: a consumer then has nothing to pass over."""
    name, speak, publish = 'jetstream', 'jetstream', 'nats'

    def command(self):
        return [self.path(), '-c', self.config('peer_jetstream.conf')]

    def keep(self, topics):
        with socket.create_connection(('127.0.0.1', self.port), 10) as s, s.makefile('rwb') as f:
            f.write(b'CONNECT {"verbose":false,"echo":true}\r\nSUB made 1\r\n')
            for topic in topics:
                wanted = json.dumps({'name': topic, 'subjects': [topic], 'storage': 'memory', 'retention': 'limits', 'discard': 'old',
                                     'max_msgs': KEPT, 'num_replicas': 1})
                f.write(f'PUB $JS.API.STREAM.CREATE.{topic} made {len(wanted)}\r\n{wanted}\r\n'.encode())
            f.flush()
            made = 0
            while made < len(topics):
                line = f.readline()
                if not line or b'"error"' in line:
                    raise RuntimeError(f'{self.name}: no stream: {line!r}')
                made += line.startswith(b'{"type":"io.nats.jetstream.api.v1.stream_create_response"')


class Mosquitto(Peer):
    name, speak, program, package = 'mosquitto', 'mqtt', 'mosquitto', 'mosquitto'

    def command(self):
        return [self.path(), '-c', self.config('peer_mosquitto.conf')]


class Nchan(Peer):
    name, speak, program, package = 'nchan', 'nchan', 'nginx', 'nginx-light libnginx-mod-nchan'
    processes = 'a worker a core'
    module = '/usr/lib/nginx/modules/ngx_nchan_module.so'
    more = {'LISTEN': '', 'TLS': ''}

    def command(self):
        return [self.path(), '-c', self.config('peer_nginx.conf'), '-p', self.dir.name]

    @classmethod
    def installed(cls):
        return super().installed() and os.path.exists(cls.module)


class NchanSse(Nchan):
    name, speak, publish = 'nchan sse', 'nchan-sse', 'nchan'


class NchanTls(Nchan):
    """Also who publishes is within TLS: it is one message a round."""
    name = 'nchan tls'

    def command(self):
        certificate, key = make_certificate(self.dir.name)
        self.more = {'LISTEN': 'ssl ', 'TLS': f'ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3; ssl_buffer_size 4k;'}
        return super().command()

    def find_addresses(self):
        return [f'nchan+tls://{address}' for address in super().find_addresses()]


PEERS = [Nchan, Redis, Nats, Mosquitto]
RESUMED = [NchanSse, JetStream]         # those who have messages kept, and let clients go on behind one


def available():
    """The installed peers, by name."""
    return {peer.name: peer for peer in (*PEERS, *RESUMED, NchanTls) if peer.installed()}


def version(server):
    argument = {'nchan': '-v', 'mosquitto': '-h'}.get(server.name, '--version')
    if not issubclass(server, Peer):
        return ''
    text = subprocess.run([server.path(), argument], capture_output=True, text=True, check=False)
    return (text.stdout + text.stderr).strip().splitlines()[0]


def capacity(make, args, subscribers):
    """What of `subscribers` the server can hold: all, or halfway down to what it could; found by trying."""
    low, high = 0, subscribers
    while high - low > max(500, subscribers // 40):
        middle = high if low == 0 and high == subscribers else (low + high) // 2
        try:
            fan(middle)(make, argparse.Namespace(build=args.build, inner=1, quick=True))
        except (Load, RuntimeError):
            high = middle if middle < high else high - 1
            continue
        if middle == subscribers:
            return subscribers
        low = middle
    return low


def fan_rows(makes, args, subscribers):
    """Time to the last, CPU, memory. Those that can't hold all are measured at what they can."""
    rows, whole = [], []
    for make in makes:
        held = subscribers if issubclass(make, (Janus, Floor)) else capacity(make, args, subscribers)
        whole.append((make, held))
    together = measure(fan(subscribers), [make.name for make, held in whole if held == subscribers], args)[0]
    for make, held in whole:
        values = together.get(make.name)
        if held and held != subscribers:
            values = measure(fan(held), [make.name], args)[0].get(make.name)
        rows.append({'server': make.name, 'speak': make.speak, 'subscribers': held, 'wanted': subscribers, **(values or {})})
    return rows


PEER_ROW = '{:<14} {:>11} {:>13} {:>13} {:>15} {:>17}'


def print_fan(rows):
    print(PEER_ROW.format('server', 'subscribers', 'ms to last', 'CPU us/dlv', 'bytes/conn', 'CPU us/subscribe'))
    for row in rows:
        print(PEER_ROW.format(row['server'], row['subscribers'] or 'none', show(row.get('last')), show(row.get('cpu')),
                              show(row.get('memory')), show(row.get('setup'))))


def run_rate(what, run, names, args):
    middle = measure(run, names, args)[0]
    print(f'\n{what}: deliveries a second (server CPU us a delivery)')
    for name in names:
        if name in middle:
            print(f'  {name:<14} {show(middle[name]["rate"]):>9}  ({show(middle[name]["cpu"])})')
    return middle


# ---- who was away comes back ----

def resume(clients, messages, kept_topics):
    """All of `clients` come at one moment, each to one of the topics, and each gets the `messages` that it has missed (tests/bench/resume.c)."""
    def run(make, args):
        server = make(args.build, os.cpu_count() or 1)
        server.options = (f'history=*: {KEPT} messages',)       # (Janus')
        with server:
            if hasattr(server, 'keep'):
                server.keep([f'bench-{i}' for i in range(kept_topics)])
            command = [os.path.join(args.build, 'bench-resume'), '--speak', server.speak, '--publish', server.publish, '--server-pid', server.process.pid,
                       '-n', clients, '-m', messages, '-T', kept_topics, *server.addresses]
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Load(f'{server.name}: {done.stderr.strip()[-300:]}')
        return json.loads(done.stdout)
    return run


RESUME_ROW = '{:<14} {:>19} {:>21} {:>21}'


def run_resume(args, clients=10000, messages=100):
    names = [make.name for make in (JanusSse, JanusWs, *RESUMED) if make.name in (*available(), 'janus sse', 'janus ws')]
    if args.only:
        names = [name for name in names if name in args.only]
    result = {}
    for kept_topics in args.kept_topics:
        print(f'\n{clients:,} clients come back at one moment, to {kept_topics} topic{"s"[:kept_topics > 1]}; each has missed {messages} messages of 100 bytes')
        middle = result[kept_topics] = measure(resume(clients, messages, kept_topics), names, args)[0]
        print(RESUME_ROW.format('server', 's to the last', 'server CPU us/message', 'client CPU us/message'))
        for name, row in middle.items():
            print(RESUME_ROW.format(name, f'{row["seconds"]:.2f}', *(f'{row[f"{who}_cpu_us_per_message"]:.2f}' for who in ('server', 'client'))))
    return result


# ---- patterns ----

PATTERNS = 100000       # in all


def one_of_many(connections, *options):
    """As many topics as PATTERNS, each subscribed once, and random messages to them: each is delivered once."""
    def run(make, args):
        server = make(args.build, os.cpu_count() or 1)
        server.options = tuple(f'{name}={2 * PATTERNS}' for name in ('max_patterns', 'max_subscriptions', 'max_topics'))    # (Janus')
        with server:
            result = load(server, '-n', connections, '-T', connections, '--topics-per-subscriber', PATTERNS // connections, '--random',
                          '-m', PATTERNS // connections, '-r', args.inner, *options)
        return {'rate': result['deliveries_per_s'], 'cpu': result['server_cpu_us_per_delivery']}
    return run


def run_patterns(args):
    """A message that fits one of many patterns, beside one to one of as many topics; the servers and both by turns."""
    names = [name for name in ('janus', 'nats') if name in (*available(), 'janus') and name in (args.only or ('janus', 'nats'))]
    result = {}
    for connections in (10, 200):
        print(f'\n{PATTERNS:,} topics or patterns on {connections} connections, each message to one: us of time, server CPU us a message')
        rows = {}
        topics_by, patterns_by = one_of_many(connections), one_of_many(connections, '--patterns')

        def both(make, args):
            plain, pattern = topics_by(make, args), patterns_by(make, args)
            return {'time': 1e6 / plain['rate'], 'cpu': plain['cpu'], 'pattern_time': 1e6 / pattern['rate'], 'pattern_cpu': pattern['cpu'],
                    'times': plain['rate'] / pattern['rate'], 'times_cpu': pattern['cpu'] / plain['cpu']}
        rows = result[connections] = measure(both, names, args)[0]
        print('{:<14} {:>16} {:>16} {:>22}'.format('server', 'a topic', 'a pattern', 'times: time, CPU'))
        for name, row in rows.items():
            print('{:<14} {:>16} {:>16} {:>22}'.format(name, f'{row["time"]:.2f}, {row["cpu"]:.2f}', f'{row["pattern_time"]:.2f}, {row["pattern_cpu"]:.2f}',
                                                       f'{row["times"]:.2f}, {row["times_cpu"]:.2f}'))
    return result


# ---- all of it ----

def fans(args, makes):
    result = []
    for subscribers in args.subscribers:
        print(f'\none message of 100 bytes to {subscribers:,} subscribers')
        rows = fan_rows(makes, args, subscribers)
        print_fan(rows)
        result.append(rows)
    return result


def peers(args):
    found = available()
    for peer in PEERS:
        if peer.name not in found:
            print(f'{peer.name}: not installed (apt-get install {peer.package}): left out')
    makes = [Floor, Janus, *(peer for peer in PEERS if peer.name in found)]
    if args.only:
        makes = [make for make in makes if make.name in args.only]
    names = [make.name for make in makes]
    many = [make.name for make in makes if make.speak in ('flash', 'redis', 'nats', 'mqtt') and make is not Floor]
    loads = {
        'fan': lambda: fans(args, makes),
        'burst': lambda: run_rate('500 messages at once to 1,000 subscribers', burst, names, args),
        'topics': lambda: run_rate('100,000 topics, 10 a connection', topics, many, args),
        'resume': lambda: run_resume(args),
        'patterns': lambda: run_patterns(args),
    }
    result = {'kind': 'peers', 'versions': {make.name: version(make) for make in makes}, 'fan': []}
    for name in args.load or loads:
        result[name] = loads[name]()
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', default=os.environ.get('BUILD', 'build'))
    parser.add_argument('--only', action='append', help='a server by name; may be repeated')
    parser.add_argument('--load', action='append', choices=['fan', 'burst', 'topics', 'resume', 'patterns'], help='one load; may be repeated (all)')
    parser.add_argument('--subscribers', action='append', type=int, help='may be repeated (18000 and 38000)')
    parser.add_argument('--kept-topics', action='append', type=int, help='topics of those who come back; may be repeated (10)')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--inner', type=int, default=5)
    parser.add_argument('--quick', action='store_true', help='one round')
    parser.add_argument('--json', default=None, help='where the results go (BUILD/peers.json)')
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args.subscribers = args.subscribers or [18000, 38000]
    args.kept_topics = args.kept_topics or [10]
    if args.quick:
        args.rounds = 1
    result = peers(args)
    path = args.json or os.path.join(args.build, 'peers.json')
    with open(path, 'w', encoding='utf-8') as f:
        json.dump({'when': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), **result}, f, indent=1)
    print(f'\nwritten to {path}')


if __name__ == '__main__':
    main()
