"""tests/layers finds what it is there for, in trees of a few files."""
import os
import subprocess
import tempfile
import unittest

from janus_test import ROOT

LAYERS = os.path.join(ROOT, "tests", "layers")


class Layers(unittest.TestCase):
    def check(self, files, *found):
        """What is said of a tree with these sources, by their paths: a text for each thing that is not allowed, in any order."""
        with tempfile.TemporaryDirectory(prefix="janus-layers-") as root:
            for path, text in files.items():
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(root, path), "w") as f:
                    f.write(text)
            for path in files:
                if path.endswith(".c"):
                    subprocess.run(["cc", "-I", root, "-c", "-o", os.path.join(root, path[:-2] + ".o"), os.path.join(root, path)], check=True)
            done = subprocess.run([LAYERS, root, root], capture_output=True, text=True)
        self.assertEqual(done.stdout.splitlines(), ["not allowed: " + line for line in sorted(found)])
        self.assertEqual(done.returncode, 1 if found else 0, done.stderr)

    def test_what_stands_left_may_be_used(self):
        self.check({
            "proto/text.c": "int text(void) { return 1; }",
            "shm/ring.h": "int ring(void);",
            "shm/ring.c": '#include "shm/ring.h"\nint text(void); int ring(void) { return text(); }',
            "worker/io/send.c": "int ring(void); int send_it(void) { return ring(); }",
            "worker/loop/turn.c": '#include "shm/ring.h"\nint send_it(void); int turn(void) { return send_it() + ring(); }'})

    def test_upward_call(self):
        self.check({"shm/ring.c": "int turn(void); int ring(void) { return turn(); }", "worker/loop/turn.c": "int turn(void) { return 1; }"},
                   "shm/ring.c uses turn of worker/loop/turn.c")

    def test_upward_call_within_the_worker(self):
        self.check({"worker/io/send.c": "extern int turns; int send_it(void) { return turns; }", "worker/loop/turn.c": "int turns = 1;"},
                   "worker/io/send.c uses turns of worker/loop/turn.c")

    def test_upward_include(self):
        """In a header, too, of which there is no object."""
        self.check({"proto/text.h": '  # include "shm/ring.h"\n', "shm/ring.h": "int ring(void);",
                    "worker/session/session.c": '#include "worker/io/send.h"\n', "worker/io/send.h": ""},
                   "proto/text.h includes shm/ring.h", "worker/session/session.c includes worker/io/send.h")

    def test_circles(self):
        def circle(size):
            return {"shm/f%d.c" % n: "int f%d(void); int f%d(void) { return f%d(); }" % ((n + 1) % size, n, (n + 1) % size) for n in range(size)}
        self.check(circle(3))
        self.check(circle(4), "a circle of 4 files: shm/f0.c shm/f1.c shm/f2.c shm/f3.c")

    def test_names_of_libraries(self):
        with tempfile.TemporaryDirectory(prefix="janus-layers-") as root:
            source = os.path.join(root, "main.c")
            with open(source, "w") as f:
                f.write("#include <jansson.h>\nint json_object_clear(json_t *j) { return j != 0; } int other(void); int other(void) { return 1; }\n"
                        "int main(void) { return json_loads(\"\", 0, 0) != 0; }\n")
            subprocess.run(["cc", "-o", os.path.join(root, "janus"), source, "-ljansson"], check=True)
            done = subprocess.run([LAYERS, root, root], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (1, "not allowed: janus: json_object_clear is also a library's\n"), done.stderr)


if __name__ == "__main__":
    unittest.main()
