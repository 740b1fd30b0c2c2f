"""The examples of PROTOCOL.md and README.md, played against a server: what the server sends must be what stands there, byte for byte. How they
are written down: example_players.py."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from example_players import KINDS, blocks, player, settle_date, settle_retry, settle_timestamps
from janus_test import SLOWNESS, _ends_with_parent, _others, wait_until
from web_clients import WebTest


class ExamplesTest(WebTest):
    def setUp(self):
        if not shutil.which("curl"):
            self.skipTest("no curl")

    def command(self, text):
        """A command of the documents, at this test's server."""
        for protocol, port in (("http", 8080), ("flash", 8081), ("packet", 8082)):
            text = text.replace("127.0.0.1:%d" % port, "%s:%d" % self.addresses[protocol])
        return text

    def shell(self, text, wanted):
        """A command that ends, and what it prints."""
        done = subprocess.run(["sh", "-c", self.command(text)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=20 * SLOWNESS, preexec_fn=_ends_with_parent())
        got = settle_date(settle_timestamps(done.stdout)).decode().replace("\r\n", "\n").rstrip("\n")
        if got != wanted or done.returncode != 0:
            raise AssertionError("%s\nprints (status %d)\n%s\n%s\nnot\n%s" % (text, done.returncode, got, done.stderr.decode(), wanted))

    def play(self, block, seconds=10, silence=0.05 / SLOWNESS):
        self.serve(*block.settings)
        players = {1: player(self, block)}
        if players[1].greets and block.steps[0].speaker != "S":
            players[1].greet(seconds)
        for step in block.steps:
            try:
                if step.speaker == "$":
                    self.shell(step.lines[0], "\n".join(step.lines[1:]))
                    continue
                if step.number not in players:
                    p = players[step.number] = player(self, block)
                    if p.greets and step.speaker == "C":
                        p.greet(seconds)
                if step.speaker == "C":
                    players[step.number].say(step)
                else:
                    players[step.number].hear(step, seconds)
            except AssertionError as e:
                raise AssertionError("%s: %s" % (step.place, e)) from None
        for p in players.values():
            p.quiet(silence)


class Protocol(ExamplesTest):
    """Each example of PROTOCOL.md is a test (below)."""


def example(block):
    return lambda self: self.play(block)


def add_examples():
    counts = {}
    for block in blocks("PROTOCOL.md"):
        if block.kind in KINDS:
            name = "test_%s_%s" % (block.kind, re.sub(r"\W+", "_", block.heading.lower()).strip("_"))
            counts[name] = counts.get(name, 0) + 1
            setattr(Protocol, "%s_%d" % (name, counts[name]), example(block))


add_examples()


class Notation(ExamplesTest):
    """That an example which is not true fails."""

    def test_all_are_played(self):
        found = blocks("PROTOCOL.md")
        self.assertEqual({block.kind for block in found if block.kind in KINDS}, set(KINDS))
        for block in found:
            if block.kind not in KINDS:
                self.assertFalse([line for line in block.text if re.match(r"[CS]2? ", line)], block.place)

    def test_a_changed_byte_fails(self):
        """In each kind of example: of what the server says, the first byte, the last one, one between; and what it says last is not there."""
        tried = set()
        for block in blocks("PROTOCOL.md"):
            said = [step for step in block.steps if step.speaker == "S" and step.lines != ["(close)"]]
            if block.kind not in KINDS or (block.kind, block.hex) in tried or block.settings or not said:
                continue
            tried.add((block.kind, block.hex))
            lines = said[-1].lines
            whole = list(lines)
            for at, where in ((0, 0), (len(lines) // 2, len(lines[len(lines) // 2]) // 2), (-1, len(lines[-1]) - 1)):
                if block.hex:
                    where = 0
                lines[at] = lines[at][:where] + ("3" if lines[at][where] != "3" else "4") + lines[at][where + 1:]
                with self.subTest(block=block.place, line=lines[at]), self.assertRaises(AssertionError):
                    self.play(block, seconds=0.5)
                lines[:] = whole
            # What would follow might have the server not say it: an unsubscribe may overtake the message.
            del block.steps[block.steps.index(said[-1]):]
            if said[-1] is not said[0]:
                with self.subTest(block=block.place, without=said[-1]), self.assertRaises(AssertionError):
                    self.play(block, seconds=0.5, silence=10)      # (it ends with the first byte)
        self.assertGreaterEqual(len(tried), 5)


class Readme(ExamplesTest):
    def start(self, text):
        """A command that goes on: its output, a file."""
        before = self.janus.subscriptions()
        output = tempfile.TemporaryFile()
        process = subprocess.Popen(["sh", "-c", "exec " + self.command(text)], stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.DEVNULL, preexec_fn=_ends_with_parent())
        _others.add(process)
        self.addCleanup(self.finish, process)
        wait_until(lambda: self.janus.subscriptions() > before, 10, text)
        return output

    @staticmethod
    def finish(process):
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        _others.discard(process)

    def test_quick_start(self):
        """The line that both ways to begin end in: what it prints is what stands there."""
        found = [block for block in blocks("README.md") if block.heading == "Quick start"]
        lines = {line for block in found for line in block.text if line.startswith("curl ")}
        wanted = next(block.text for block in found if not block.kind)
        self.assertEqual(len(lines), 1)
        self.serve()
        output = tempfile.TemporaryFile()
        process = subprocess.Popen(["sh", "-c", self.command(lines.pop())], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
        _others.add(process)
        self.addCleanup(self.finish_all, process)

        def printed():
            output.seek(0)
            return sorted(settle_timestamps(output.read()).decode().split("\n")[:-1])
        try:
            wait_until(lambda: printed() == sorted(wanted), 10)
        except AssertionError:
            self.fail("%s is printed, not %s" % (printed(), wanted))

    def finish_all(self, process):
        """With what it has left in the background."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.finish(process)

    def test_console(self):
        commands = []
        for block in blocks("README.md"):
            for line in block.text if block.kind == "console" else ():
                if line.startswith("$ "):
                    commands.append((line[2:], []))
                else:
                    commands[-1][1].append(line)
        self.assertGreater(len(commands), 2)
        self.serve()
        going = []
        for text, lines in commands:
            wanted = "\n".join(lines)
            if re.match(r"curl\b.* -\w*N", text):
                going.append((self.start(text), text, wanted))
            else:
                self.shell(text, wanted)
        for output, text, wanted in going:
            def printed():
                output.seek(0)
                return settle_retry(settle_timestamps(output.read())).decode().rstrip("\n")
            try:
                wait_until(lambda: printed() == wanted, 5)
            except AssertionError:
                self.fail("%s\nprints\n%s\nnot\n%s" % (text, printed(), wanted))


if __name__ == "__main__":
    unittest.main()
