#!/usr/bin/env python3
"""`make bench-tls`: TLS beside none, and beside nginx with nchan, in one run: one message to many WebSockets, what they cost at rest, handshakes, and a storm of them.

As in bench.py, all servers are started anew in each round, one after the other, loaded and stopped; what is compared are medians over the rounds. `--help`
has the options. nginx is left out where there is none (apt-get install nginx-light libnginx-mod-nchan).
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench import FAN, ROW, Figure, Load, await_connections, client_command, client_result, load, measure, pass_by, pick, row_of, workers_for, write_result


def shake(server, count, *options):
    """What so many handshakes cost, with the cipher and group that both servers choose: TLS 1.3, X25519, a certificate of ECDSA P-256."""
    address = next(a for a in server.addresses if is_tls(a)).partition('://')[2]
    command = [os.path.join(server.build, 'bench-handshakes'), '--server-pid', str(server.process.pid), '-m', str(count), *options, address]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Load(f'{server.name}: {done.stderr.strip()[-300:]}')
    return json.loads(done.stdout)


STAY = 100      # WebSockets that are there before a storm


def is_tls(address):
    return address.startswith(('https://', 'nchan+tls://'))


def handshakes(*options):
    def run(make, args):
        with make(args.build, os.cpu_count() or 1) as server:
            found = shake(server, args.handshakes, *options)
        return {**found, 'per_cpu_s': 1e6 / found['cpu']}
    return run


def fan_out(make, args):
    """What libssl makes once in each process is there before, so that memory is that of connections."""
    with make(args.build, workers_for(args.subscribers)) as server:
        if any(map(is_tls, server.addresses)):
            shake(server, 100, '-n', '1')
        pass_by(server)
        # Handshakes are the client's work, too: so it gets all cores, and time.
        result = load(server, '-n', args.subscribers, '-P', os.cpu_count() or 1, '-r', args.inner, '--timeout', 600)
    return {name: pick(result, path) for name, path in FAN.items()}


def storm(*options):
    """WebSockets that all come at one moment, and go at one, again and again; and meanwhile 200 messages a second to 100 that are there."""
    def run(make, args):
        back, steady = [], ('-n', STAY, '--rate', 200, '--timeout', 600, '--topic', 'stay', '--while-running')
        with make(args.build, os.cpu_count() or 1) as server:
            alone = load(server, *steady, min(5, args.seconds))['delivery_ms']
            stay = subprocess.Popen(client_command(server, *steady, args.seconds), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                await_connections(server, stay, STAY)
                while stay.poll() is None:
                    back.append(load(server, '-n', args.storm, '-P', os.cpu_count() or 1, '--at-once', args.storm, '--timeout', 600, *options)['setup_ms'])
            finally:
                delivery = client_result(stay, 'those who stay')['delivery_ms']
        return {'p99': delivery['p99'], 'median': delivery['median'], 'max': delivery['max'], 'alone': alone['p99'], 'back': statistics.median(back)}
    return run


def storm_figures(run, of, wss):
    return [Figure(f'while {of} come at once: p99 of others\' messages', run, 'p99', 'ms', ('<=', 100), who=wss),
            Figure('the same before they come', run, 'alone', 'ms', ('beside', 'nchan tls'), who=wss),
            Figure('the median while they come', run, 'median', 'ms', ('beside', 'nchan tls'), who=wss),
            Figure('until all are there', run, 'back', 'ms', ('beside', 'nchan tls'), who=wss)]


def bench(args):
    whole, resumed = handshakes(), handshakes('--resume')
    crowd, crowd_resumed = storm(), storm('--resume')
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
        'storm': (crowd, [wss, 'nchan tls'], storm_figures(crowd, f'{args.storm:,}', wss)),
        'storm-resumed': (crowd_resumed, [wss, 'nchan tls'], storm_figures(crowd_resumed, f'{args.storm:,} that resume', wss)),
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
    parser.add_argument('--only', action='append', choices=['fan', 'handshakes', 'resumed', 'storm', 'storm-resumed'], help='one load; may be repeated')
    parser.add_argument('--subscribers', type=int, default=18000)
    parser.add_argument('--handshakes', type=int, default=3000, help='in each round (3000)')
    parser.add_argument('--storm', type=int, default=10000, help='who come at once (10000)')
    parser.add_argument('--seconds', type=int, default=30, help='for which they come and go (30)')
    parser.add_argument('--rounds', type=int, default=5, help='rounds over all servers (5)')
    parser.add_argument('--inner', type=int, default=9, help="messages to all in each (9)")
    parser.add_argument('--json', default=None, help='where the results go (BUILD/bench-tls.json)')
    args = parser.parse_args()
    args.quick = False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    result = bench(args)
    return write_result(args.json or os.path.join(args.build, 'bench-tls.json'), result)


if __name__ == '__main__':
    sys.exit(main())
