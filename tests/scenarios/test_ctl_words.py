"""What janusctl's commands and options are called: its completion and its manual page know all of them. (In shells as they are installed:
`make packages-check`.)"""
import os
import re
import shutil
import subprocess
import unittest

from ctl_test import CtlTest
from janus_test import ROOT, program

COMPLETION = os.path.join(ROOT, "packaging", "completion")
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


# Each shell's function is called as the shell does it, and what it offers is written a line each. zsh leaves it to compadd to take those that fit.
SHELLS = {
    "bash": (["bash", "--norc", "-c"], '''source "$0/janusctl.bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _janusctl; printf "%s\\n" "${COMPREPLY[@]}"'''),
    "zsh": (["zsh", "-f", "-c"], '''compadd() { [[ $1 != -- ]] || shift; print -rl -- ${(M)@:#${words[CURRENT]}*} }; _files() { print -r -- FILES }
                                    words=("$@"); CURRENT=$#; source "$0/_janusctl"'''),
}


class Words(CtlTest):
    def test_table(self):
        commands, common = table()
        self.assertIn("status", commands)
        self.assertIn("--top", commands["clients"])
        self.assertEqual(common, ["-c", "-o", "--json"])

    def completed(self, *words):
        """What the shell offers for the last of these words."""
        command, script = SHELLS[self.shell]
        done = subprocess.run([*command, script, COMPLETION, program("janusctl"), *words], stdout=subprocess.PIPE, check=True, timeout=60)
        return set(done.stdout.decode().split())

    def check_shell(self, name):
        self.shell = name
        commands, common = table()
        self.assertEqual(self.completed(""), set(commands) | set(common))
        self.assertEqual(self.completed("-c", "x", "--json", "kic"), {"kick"})
        for command, options in commands.items():
            self.assertEqual(self.completed(command, "-"), set(options) | set(common), command)
        self.assertEqual(self.completed("clients", "--transport", "web"), {"websocket"})
        self.assertEqual(self.completed("clients", "--t"), {"--top", "--transport", "--topic"})
        self.assertEqual(self.completed("status", ""), set())
        self.serve(workers=1)
        self.websocket().subscribe("a")
        self.assertEqual(self.completed("-o", "runtime_dir=" + self.janus.runtime_dir, "kick", ""), set(self.ids()))

    def test_bash(self):
        self.check_shell("bash")
        self.assertEqual(self.completed("-c", os.path.join(COMPLETION, "_j")), {os.path.join(COMPLETION, "_janusctl")})

    @unittest.skipUnless(shutil.which("zsh"), "there is no zsh")
    def test_zsh(self):
        self.check_shell("zsh")
        self.assertEqual(self.completed("-c", "/"), {"FILES"})

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
