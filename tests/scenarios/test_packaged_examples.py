"""packaging/examples: those that take nothing but Python's standard library, and the one in C. The others: test_clients_examples.py."""
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import unittest

from example_test import EXAMPLES, ExampleTest, NothingMissed, example
from janus_test import run, wait_until


class PythonExamples(NothingMissed):
    publisher = sys.executable, example("publisher.py")
    consumer = sys.executable, example("consumer.py")

    def taken(self):
        if not os.path.exists(self.target):
            return []
        database = sqlite3.connect(self.target, timeout=20)
        try:
            return [data for data, in database.execute("SELECT data FROM messages ORDER BY timestamp")]
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []
        finally:
            database.close()

    def test_restart(self):
        self.check_restart()

    def test_deaths(self):
        self.check_deaths()

    def test_answered_and_dead(self):
        self.check_answered_and_dead()

    def test_nothing_keeps_it(self):
        self.check_nothing_keeps_it()

    def test_gap(self):
        self.check_gap()


@unittest.skipUnless(shutil.which(os.environ.get("CC", "cc")), "no C compiler here")
class PacketsInC(ExampleTest):
    def program(self):
        """It is compiled as its first lines say, with all warnings, and sanitizers if there are any."""
        with open(example("packets.c")) as f:
            command = re.search(r"(?m)^ \*\t(cc .*)$", f.read()).group(1)
        built = os.path.join(self.folder(), "packets")
        for sanitizers in ("-fsanitize=address,undefined ", ""):
            said = command.replace("cc -o packets packets.c", "%s -Wall -Wextra -Werror %s-o %s %s" % (
                os.environ.get("CC", "cc"), sanitizers, shlex.quote(built), shlex.quote(example("packets.c"))))
            done = subprocess.run(["sh", "-c", said], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode == 0:
                break
        self.assertEqual((done.returncode, done.stdout), (0, ""), said)
        return built

    def test_packets(self):
        program = self.program()
        host, port = self.addresses["packet"]
        reader = self.beside(program, host, str(port), "subscribe", "events")
        self.assertIn('"ok"=>true', reader.line())
        writer = self.lines("/sub/events")
        status, out, err = run(program, host, str(port), "publish", "events", "hello")
        self.assertEqual((status, err), (0, ""))
        self.assertIn('"subscribers"=>2', out)
        self.assertEqual(writer.message()["data"], "hello")
        self.assertRegex(reader.line(), r'"topic"=>"events", "data"=>"hello"')
        large = "x" * 200000
        self.post("/pub/events", large)
        self.assertIn(large, reader.line())
        status, out, _ = run(program, host, str(port), "publish", "a.>", "hello")
        self.assertEqual(status, 1)
        self.assertIn("reserved", out)
        self.janus.stop()
        status, _ = reader.end()
        self.assertEqual((status, reader.complaint()), (1, "the connection has ended\n"))
        self.assertEqual(run(program, host, str(port), "publish", "events", "hello")[0], 1)
        self.assertEqual(run(program, host, str(port), "publish", "events")[0], 2)

    def test_heartbeats_are_passed_over(self):
        program = self.program()
        self.serve("heartbeat=1s")
        host, port = self.addresses["packet"]
        reader = self.beside(program, host, str(port), "subscribe", "events")
        reader.line()
        wait_until(lambda: self.janus.count("heartbeats"), 10, "a heartbeat")
        self.post("/pub/events", "hello")
        self.assertIn("hello", reader.line())


class Readme(unittest.TestCase):
    def test_all_are_named(self):
        with open(os.path.join(EXAMPLES, "README.md")) as f:
            named = set(re.findall(r"`([\w.]+\.\w+|Caddyfile)`", f.read()))
        self.assertEqual(sorted(set(os.listdir(EXAMPLES)) - {"README.md"} - named), [])


if __name__ == "__main__":
    unittest.main()
