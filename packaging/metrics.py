#!/usr/bin/env python3
"""Writes what shm/counters.def and shm/gauges.def say into packaging/janus.8, between its marks: metrics.py [--check]

As settings.py does it for the settings.
"""
import ast
import os
import re
import subprocess
import sys
import textwrap

from settings import HERE, roff

SHM = os.path.join(HERE, "..", "shm")
PAGE = os.path.join(HERE, "janus.8")
BEGIN = '.\\" ==== by make settings, from shm/counters.def and shm/gauges.def ====\n'
END = '.\\" ==== by hand again ====\n'
MACROS = {"counters.def": ("COUNTER(...)=@@COUNTER, __VA_ARGS__@@", "FAMILY(...)=@@FAMILY, __VA_ARGS__@@"),
          "gauges.def": ("GAUGE(name, of, text, unit, ...)=@@GAUGE, name, of, text@@", "TOTAL(name, of, text, unit, ...)=@@TOTAL, name, of, text@@")}


def lines_of(table):
    """Its lines, each as [macro, arguments...]. The preprocessor reads the table, as it does for the programs."""
    text = subprocess.run([os.environ.get("CC", "cc"), "-E", "-P", "-x", "c", *("-D" + m for m in MACROS[table]), os.path.join(SHM, table)],
                          check=True, capture_output=True, text=True).stdout
    return [[node.id if isinstance(node, ast.Name) else ast.literal_eval(node) for node in ast.parse("(%s)" % line.strip(), mode="eval").body.elts]
            for line in re.findall(r"@@(.*?)@@", text, re.DOTALL)]


def metrics():
    """(metric, name in janusctl stats, what it is), in the order of /metrics."""
    for kind, name, of, text in lines_of("gauges.def"):
        labels = {"SERVER": "", "WORKER": "{worker}", "TRANSPORT": "{worker,transport}"}[of]
        yield "janus_%s%s%s" % (name, "_total" if kind == "TOTAL" else "", labels), name, text
    for kind, *columns in lines_of("counters.def"):
        if kind == "COUNTER":
            _, name, text, family, labels, *_ = columns + [None] * 3
            labels = "{%s}" % labels if labels not in (None, "NULL") else ""
            yield "janus_%s_total%s" % (name if family in (None, "NULL") else family, labels), name, text


def man():
    for metric, name, text in metrics():
        yield ".TP"
        yield ".B %s" % roff(metric).replace('"', '\\(dq')
        yield from (roff(line) for line in textwrap.wrap("(%s) %s" % (name, text), 138, break_on_hyphens=False))


def main():
    with open(PAGE) as f:
        old = f.read()
    before, rest = old.split(BEGIN, 1)
    new = before + BEGIN + "".join(line + "\n" for line in man()) + END + rest.split(END, 1)[1]
    if new == old:
        return 0
    if "--check" in sys.argv:
        print("not what shm/counters.def and shm/gauges.def say (make settings): janus.8")
        return 1
    with open(PAGE, "w") as f:
        f.write(new)
    print("written: janus.8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
