"""What janusctl's commands and options are called: its completion and its manual page know all of them."""
import os
import re
import subprocess
import unittest

from janus_test import ROOT, program

COMPLETION = os.path.join(ROOT, "packaging", "completion", "janusctl.bash")
MANUAL = os.path.join(ROOT, "packaging", "janusctl.8")


def table():
    """{command: [option...]}, and the options that all have, by help."""
    done = subprocess.run([program("janusctl"), "help"], stdout=subprocess.PIPE, check=True, timeout=60)
    commands, common = {}, []
    for line in done.stdout.decode().splitlines():
        if re.match("  [a-z]", line):
            command = line.split()[0]
            commands[command] = []
        elif line.startswith("    --"):
            commands[command].append(line.split()[0])
        elif line.startswith("  -"):
            common.append(line.split()[0])
    return commands, common


def completed(*words):
    """What bash offers for the last of these words."""
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _janusctl; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", COMPLETION, program("janusctl")] + list(words), stdout=subprocess.PIPE,
                          check=True, timeout=60)
    return set(done.stdout.decode().split())


class Words(unittest.TestCase):
    def test_table(self):
        commands, common = table()
        self.assertIn("status", commands)
        self.assertIn("--top", commands["clients"])
        self.assertEqual(common, ["-c", "-o", "--json"])

    def test_bash(self):
        commands, common = table()
        self.assertEqual(completed(""), set(commands) | set(common))
        self.assertEqual(completed("-c", "x", "--json", "kic"), {"kick"})
        for command, options in commands.items():
            self.assertEqual(completed(command, "-"), set(options) | set(common), command)
            for option in options:
                self.assertEqual({w for w in completed(command, option) if w == option}, {option})
        self.assertEqual(completed("clients", "--transport", "web"), {"websocket"})
        self.assertEqual(completed("clients", "--t"), {"--top", "--transport", "--topic"})

    def test_manual(self):
        commands, common = table()
        with open(MANUAL) as f:
            sections = re.split(r"(?m)^\.TP\n\.B[RI]* ", f.read())
        for command, options in commands.items():
            found = [s for s in sections if re.match(r"%s\b" % command, s)]
            self.assertTrue(found, "%s: not in the manual page" % command)
            for option in options:
                self.assertTrue(any(option.replace("-", "\\-") in s for s in found), "%s %s: not in the manual page" % (command, option))


if __name__ == "__main__":
    unittest.main()
