#!/usr/bin/env python3
"""Writes what shm/settings.def says of the settings into packaging/janus.ini and packaging/janus.conf.5: settings.py [--check]

Each file's text outside of its two marks is written by hand. --check changes nothing, and exits with 1 if a file is not what the table says.
"""
import ast
import os
import re
import subprocess
import sys
import textwrap

HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = os.path.join(HERE, "..", "shm", "settings.def")
KINDS = ("SECTION", "OTHER", "SETTING")


class Setting:
    def __init__(self, name, defaults, change, text, limits=""):
        self.name, self.defaults, self.text, self.limits = name, defaults, text, limits
        self.restart = {"RELOAD": False, "RESTART": True}[change]

    def whole_text(self):
        more = "; ".join(filter(None, (self.limits, "takes a restart" if self.restart else "")))
        return "%s (%s)" % (self.text, more) if more else self.text


def number(n):
    """As one would write it: 64M."""
    for unit, by in (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10), ("m", 1000000)):
        if n > 1024 and n >= by and n % by == 0:
            return "%d%s" % (n // by, unit)
    return str(n)


def seconds(ms):
    for unit, by in (("h", 3600000), ("s", 1000)):
        if ms and ms % by == 0:
            return "%d%s" % (ms // by, unit)
    return "%dms" % ms if ms else "0"


def setting(kind, name, default, least, most, change, text):
    if kind in ("NUMBER", "SECONDS"):
        write = number if kind == "NUMBER" else seconds
        return Setting(name, [write(default)], change, text, "%s to %s" % (write(least), write(most)))
    if kind == "CHOICE":
        words = default.split("|")
        return Setting(name, words[:1], change, text, " or ".join((", ".join(words[:-1]), words[-1])))
    return Setting(name, [default], change, text)


def table():
    """Sections, as (heading, settings). The preprocessor reads the table, as it does for the programs."""
    macros = ["-D%s(...)=@@%s, __VA_ARGS__@@" % (kind, kind) for kind in KINDS]
    text = subprocess.run([os.environ.get("CC", "cc"), "-E", "-P", "-x", "c", *macros, TABLE], check=True, capture_output=True, text=True).stdout
    sections = []
    for line in re.findall(r"@@(.*?)@@", text, re.DOTALL):
        kind, *arguments = [node.id if isinstance(node, ast.Name) else ast.literal_eval(node)
                            for node in ast.parse("(%s)" % line.strip(), mode="eval").body.elts]
        if kind == "SECTION":
            sections.append((arguments[0], []))
        elif kind == "OTHER":
            name, defaults, change, what = arguments
            sections[-1][1].append(Setting(name, defaults.split("|"), change, what))
        else:
            sections[-1][1].append(setting(*arguments))
    return sections


def ini(sections):
    lines = []
    for heading, settings in sections:
        lines += ["", "# ---- %s ----" % heading]
        for s in settings:
            lines += [""] + textwrap.wrap(s.whole_text(), 138, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
            lines += [("%s = %s" % (s.name, default)).rstrip() for default in s.defaults]
    return lines + [""]


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def man(sections):
    lines = []
    for heading, settings in sections:
        lines.append(".SS %s" % heading)
        for s in settings:
            lines.append(".TP")
            lines.append(".BR %s \" = %s\"" % (roff(s.name), roff(", ".join(s.defaults)) if s.defaults != [""] else "(empty)"))
            lines += [roff(line) for line in textwrap.wrap(s.whole_text(), 138, break_on_hyphens=False)]
    return lines


FILES = (("janus.ini", ini, "# ==== by make settings, from shm/settings.def ====", None),
         ("janus.conf.5", man, '.\\" ==== by make settings, from shm/settings.def ====', '.\\" ==== by hand again ===='))


def main():
    sections, wrong = table(), []
    for name, write, begin, end in FILES:
        path = os.path.join(HERE, name)
        with open(path) as f:
            old = f.read()
        before, rest = old.split(begin + "\n", 1)
        after = end + "\n" + rest.split(end + "\n", 1)[1] if end else ""
        new = before + begin + "\n" + "\n".join(write(sections)).rstrip("\n") + "\n" + after
        if new == old:
            continue
        wrong.append(name)
        if "--check" not in sys.argv:
            with open(path, "w") as f:
                f.write(new)
    if wrong:
        print("%s: %s" % ("not what shm/settings.def says (make settings)" if "--check" in sys.argv else "written", ", ".join(wrong)))
    return 1 if wrong and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
