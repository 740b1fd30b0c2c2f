"""packaging/examples/ publisher and consumer, of whatever language: nothing is missed, whoever dies. See test_packaged_examples.py."""
import json
import os
import shutil
import signal
import tempfile

from janus_test import ROOT, Beside, free_port, wait_until
from web_clients import WebTest

EXAMPLES = os.path.join(ROOT, "packaging", "examples")


def example(name):
    return os.path.join(EXAMPLES, name)


class ExampleTest(WebTest):
    def folder(self):
        folder = tempfile.mkdtemp(prefix="janus-example-")
        self.addCleanup(shutil.rmtree, folder)
        return folder

    def beside(self, *command, **more):
        client = Beside(*command, **more)
        self.addCleanup(client.kill)
        return client


class NothingMissed(ExampleTest):
    """What each pair of publisher and consumer must do. A subclass says `publisher`, `consumer` (commands) and taken()."""

    topic = "orders.new"

    def prepare(self):
        self.files = self.folder()
        self.outbox, self.target = os.path.join(self.files, "outbox"), os.path.join(self.files, "taken")
        self.port = free_port()
        self.serve("history=orders.*: 100000 messages", "data=" + os.path.join(self.files, "data"), listen=("http://127.0.0.1:%d" % self.port,))
        self.url = "http://127.0.0.1:%d" % self.port
        self.written = []
        self.write(10)

    def write(self, lines):
        new = ["order %d \u017elu\u0165ou\u010dk\u00fd %s" % (len(self.written) + n, "x" * (n % 50)) for n in range(lines)]
        with open(self.outbox, "a") as f:
            f.write("".join(line + "\n" for line in new))
        self.written += new

    def publish(self):
        return self.beside(*self.publisher, self.outbox, self.topic, self.url)

    def consume(self):
        return self.beside(*self.consumer, self.target, self.topic, self.url)

    def published(self):
        """Bytes of the outbox."""
        try:
            with open(self.outbox + ".state") as f:
                return json.load(f)["published"]
        except FileNotFoundError:
            return 0

    def arrive(self, count, *beside):
        def arrived():
            for program in beside:
                if program.process.poll() is not None:
                    raise AssertionError("%s has ended: %s" % (program.process.args, program.complaint()))
            return len(self.taken()) >= count
        wait_until(arrived, 30, "%d messages with the consumer" % count, pause=0.02)

    def kill(self, program):
        """Like the kernel would: it can clean up nothing."""
        program.process.send_signal(signal.SIGKILL)
        program.process.wait()

    def check_all(self, *beside):
        self.arrive(len(self.written), *beside)
        self.assertEqual(self.taken(), self.written)

    def check_restart(self):
        """The server ends and comes back while both are at it; more is written meanwhile."""
        self.prepare()
        publisher, consumer = self.publish(), self.consume()
        for n in range(2):
            self.write(150)
            self.arrive(len(self.written) - 140, publisher, consumer)
            self.janus.stop()
            self.write(20)
            self.janus.start()
        self.write(10)
        self.check_all(publisher, consumer)
        self.assertEqual(consumer.complaint().count("missing"), 0)
        wait_until(lambda: self.published() == os.path.getsize(self.outbox), what="the last answer is noted")

    def check_deaths(self):
        """Both are killed again and again, wherever they are."""
        self.prepare()
        publisher, consumer = self.publish(), self.consume()
        for n in range(4):
            self.write(30)
            self.arrive(len(self.written) - 25 + 7 * n, publisher, consumer)
            if n % 2:
                self.kill(publisher)
                publisher = self.publish()
            else:
                self.kill(consumer)
                consumer = self.consume()
        self.check_all(publisher, consumer)

    def check_answered_and_dead(self):
        """A publisher that dies behind an answer, before it has noted it, sends the same lines again: they are published once."""
        self.prepare()
        publisher, consumer = self.publish(), self.consume()
        self.check_all(publisher, consumer)
        self.kill(publisher)
        with open(self.outbox + ".state") as f:
            state = json.load(f)
        state["published"] = sum(len(line.encode()) + 1 for line in self.written[:-3])
        with open(self.outbox + ".state", "w") as f:
            json.dump(state, f)
        self.write(5)
        publisher = self.publish()
        self.check_all(publisher, consumer)

    def check_nothing_keeps_it(self):
        """A topic without history and subscribers: a publisher that went on would lose what it says it has published."""
        self.prepare()
        program = self.beside(*self.publisher, self.outbox, "elsewhere", self.url)
        status, _ = program.end()
        self.assertEqual(status, 1)
        self.assertIn("`history` does not keep it", program.complaint())
        self.assertEqual(self.published(), 0)

    def check_gap(self):
        """What history has given up while the consumer was away is told."""
        self.prepare()
        consumer = self.consume()
        publisher = self.publish()
        self.check_all(publisher, consumer)
        self.kill(consumer)
        self.janus.stop()
        self.serve("history=orders.*: 5 messages", "ring_messages=1024", listen=("http://127.0.0.1:%d" % self.port,))
        self.write(20)
        wait_until(lambda: self.published() == os.path.getsize(self.outbox), 20, "all to be published")
        consumer = self.consume()
        wait_until(lambda: "missing" in consumer.complaint(), 20, "the consumer to say it")
