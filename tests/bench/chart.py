#!/usr/bin/env python3
"""Draws what bench.py and peers.py have measured as an SVG bar chart for the README.

    chart.py [--out FILE] PEERS.json [BENCH.json]

One panel a figure, one bar a server; the shorter the better. It is readable on light and on dark ground: the SVG says which it is shown on.
"""
import argparse
import json
from xml.sax.saxutils import escape

WIDTH, LABEL, VALUE = 760, 110, 90      # of all, of the names, of the numbers behind the bars
BAR, GAP, TITLE, PANEL = 16, 5, 26, 16
STYLE = '''
 text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
 .title { font-weight: 600 }
 .note { font-size: 11px; fill: #59636e }
 .bar { fill: #8c959f } .janus { fill: #0969da } .floor { fill: #c9d1d9 }
 @media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 }
  .bar { fill: #6e7681 } .janus { fill: #4493f8 } .floor { fill: #3d444d }
 }'''


def number(value, unit):
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f'{value:,.{digits}f} {unit}'


def panel(title, unit, values, top):
    """Returns SVG and height. `values`: (name, value, note)."""
    most = max((value for _, value, _ in values), default=0) or 1
    out, y = [f'<text class="title" x="0" y="{top + 14}">{escape(title)}</text>'], top + TITLE
    for name, value, note in values:
        length = max(1.5, (WIDTH - LABEL - VALUE - 140) * max(value, 0) / most)
        kind = {'janus': 'bar janus', 'floor': 'bar floor'}.get(name, 'bar')
        out.append(f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
                   f'<rect class="{kind}" x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>'
                   f'<text x="{LABEL + length + 6:.1f}" y="{y + 13}">{number(value, unit)}'
                   f'<tspan class="note"> {escape(note)}</tspan></text>')
        y += BAR + GAP
    return '\n'.join(out), y - top + PANEL


def panels_of_peers(peers):
    for rows in peers['fan']:
        wanted = f"{rows[0]['wanted']:,} subscribers"
        for key, what, unit in (('last', 'until the last one has it, median', 'ms'), ('cpu', "server's CPU a delivery", 'µs'),
                                ('memory', "server's user memory a connection", 'bytes')):
            values = [(row['server'], row[key], '' if row['subscribers'] == row['wanted'] else f"holds {row['subscribers']:,}")
                      for row in rows if row.get(key) is not None]
            if values and (key == 'last' or rows is peers['fan'][0]):
                yield f'One message to {wanted}: {what}', unit, values


def panels_of_bench(bench):
    for row in bench['rows']:
        if row['figure'].startswith('500 messages') and row['unit'] == 'us':
            names = [name for name in ('floor', 'janus', 'redis') if row.get(name) is not None]
            yield "500 messages at once to 1,000 subscribers: server's CPU a delivery", 'µs', [(n, row[n], '') for n in names]


def draw(files):
    parts, top = [], 4
    for data in files:
        for title, unit, values in {'peers': panels_of_peers, 'bench': panels_of_bench}[data['kind']](data):
            text, height = panel(title, unit, values, top)
            parts.append(text)
            top += height
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" role="img">\n'
            f'<title>Janus beside the floor and other servers</title>\n<style>{STYLE}\n</style>\n' + '\n'.join(parts) + '\n</svg>\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('files', nargs='+')
    parser.add_argument('--out', default='build/bench.svg')
    args = parser.parse_args()
    files = []
    for path in args.files:
        with open(path, encoding='utf-8') as f:
            files.append(json.load(f))
    with open(args.out, 'w', encoding='utf-8') as f:
        f.write(draw(files))
    print(f'written to {args.out}')


if __name__ == '__main__':
    main()
