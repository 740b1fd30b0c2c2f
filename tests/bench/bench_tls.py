#!/usr/bin/env python3
"""`make bench-tls`: TLS beside none, and beside nginx with nchan, in one run: one message to many WebSockets, what they cost at rest, and handshakes.

As in bench.py, all servers are started anew in each round, one after the other, loaded and stopped; what is compared are medians over the rounds. `--help`
has the options. nginx is left out where there is none (apt-get install nginx-light libnginx-mod-nchan).
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import ROW, Figure, Load, fan, measure, row_of


def handshakes(*options):
    """With the cipher and group that both choose: TLS 1.3, X25519, a certificate of ECDSA P-256 (tests/bench/handshakes.c)."""
    def run(make, args):
        with make(args.build, os.cpu_count() or 1) as server:
            address = next(a for a in server.addresses if a.startswith(('https://', 'nchan+tls://'))).partition('://')[2]
            command = [os.path.join(args.build, 'bench-handshakes'), '--server-pid', str(server.process.pid), '-m', str(args.handshakes), *options, address]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Load(f'{server.name}: {done.stderr.strip()[-300:]}')
        found = json.loads(done.stdout)
        return {**found, 'per_cpu_s': 1e6 / found['cpu']}
    return run


def bench(args):
    # Handshakes are the client's work, too: so they get both cores, and time.
    fan_out = fan(args.subscribers, '-P', 2, '--timeout', 600)
    whole, resumed = handshakes(), handshakes('--resume')
    of, wss = f'{args.subscribers:,} WebSockets', 'janus wss'
    loads = {
        'fan': (fan_out, ['janus ws', wss, 'nchan', 'nchan tls'], [
            Figure(f'{of}: median to the last', fan_out, 'last', 'ms', ('peer', 'janus ws', 1.5), who=wss),
            Figure(f'{of}: server CPU a delivery', fan_out, 'cpu', 'us', ('peer', 'janus ws', 1.5), who=wss),
            Figure(f'{of}: median to the last', fan_out, 'last', 'ms', ('peer', 'nchan tls', 0.6), who=wss),
            Figure(f'{of}: server CPU a delivery', fan_out, 'cpu', 'us', ('peer', 'nchan tls', 0.6), who=wss),
            Figure('accept and subscribe one: server CPU', fan_out, 'setup', 'us', ('beside', 'nchan tls'), who=wss),
            Figure('idle WebSocket: user memory', fan_out, 'memory', 'bytes', ('<=', 700), who=wss)]),
        'handshakes': (whole, [wss, 'nchan tls'], [
            Figure('handshakes a second', whole, 'rate', '/s', ('peer', 'nchan tls', 0.9), more=True, who=wss),
            Figure('handshakes a second of server CPU', whole, 'per_cpu_s', '', ('peer', 'nchan tls', 0.9), more=True, who=wss)]),
        'resumed': (resumed, [wss, 'nchan tls'], [
            Figure('resumed handshakes a second', resumed, 'rate', '/s', ('peer', 'nchan tls', 0.9), more=True, who=wss),
            Figure('the same, of server CPU', resumed, 'per_cpu_s', '', ('peer', 'nchan tls', 0.9), more=True, who=wss)]),
    }
    rows, raw, failures = [], {}, {}
    print(ROW.format('figure', '', 'TLS', 'ratio', 'bar', 'ok?', 'others'))
    for name, (run, servers, figures) in loads.items():
        if args.only and name not in args.only:
            continue
        middle, raw[name], failed = measure(run, servers, args)
        failures.update({f'{name}: {server}': text for server, text in failed.items()})
        rows += [row_of(figure, middle) for figure in figures]
    return {'kind': 'bench-tls', 'rounds': args.rounds, 'inner': args.inner, 'cpus': os.cpu_count(), 'rows': rows, 'raw': raw, 'failures': failures}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', default=os.environ.get('BUILD', 'build'), help='where the programs are (build)')
    parser.add_argument('--only', action='append', choices=['fan', 'handshakes', 'resumed'], help='one load; may be repeated')
    parser.add_argument('--subscribers', type=int, default=18000)
    parser.add_argument('--handshakes', type=int, default=3000, help='in each round (3000)')
    parser.add_argument('--rounds', type=int, default=5, help='rounds over all servers (5)')
    parser.add_argument('--inner', type=int, default=9, help="messages to all in each (9)")
    parser.add_argument('--json', default=None, help='where the results go (BUILD/bench-tls.json)')
    args = parser.parse_args()
    args.quick = False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    result = bench(args)
    path = args.json or os.path.join(args.build, 'bench-tls.json')
    with open(path, 'w', encoding='utf-8') as f:
        json.dump({'when': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), **result}, f, indent=1)
    print(f'written to {path}')
    return 1 if any(row['ok'] is False for row in result['rows']) else 0


if __name__ == '__main__':
    sys.exit(main())
