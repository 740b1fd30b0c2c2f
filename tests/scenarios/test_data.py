"""On disk: history, ids and keys of publishes outlive the server; who resumes is told the truth; a disk that takes nothing more harms nobody."""
import contextlib
import os
import pwd
import resource
import shutil
import signal
import tempfile
import threading
import time
import unittest

import janus_test
from crash_test import CRASH_BUILD, CrashTest
from janus_test import SLOWNESS, Server, is_alive, wait_until
from programs import OTHER_BUILD, Program
from test_history import EVERY, HistoryTest
from web_clients import WEB

JUMP = 1 << 40
JSON = [("Content-Type", "application/json")]


class DataTest(HistoryTest):
    def serve(self, *options, **more):
        if not hasattr(self, "data"):
            folder = tempfile.mkdtemp(prefix="janus-data-")
            self.addCleanup(shutil.rmtree, folder)
            self.data = os.path.join(folder, "data")
        super().serve(*(options or (EVERY,)), "data=" + self.data, **more)

    @property
    def journal(self):
        return os.path.join(self.data, "journal")

    def again(self):
        """Starts the server that has ended. (It listens elsewhere: the kernel chooses.)"""
        self.janus.start()
        self.find_addresses()

    def restart(self):
        self.janus.stop()
        self.again()

    def writer(self):
        """janus-data's process id."""
        return wait_until(lambda: self.janus.called("janus-data"), 10, "janus-data")

    def is_written(self):
        stats = self.janus.stats()
        return stats["journal"]["state"] == "good" and stats["journal"]["written_before"] == stats["ring"]["tail"]

    def written(self):
        wait_until(self.is_written, 10, "all to be written")

    def kill_all(self, but=()):
        """As the kernel would, or an administrator in a hurry. janus-data, if it is not spared, goes behind the master, who would make another one; it is stopped
        first, so that it does not see that all others are gone, however long that takes here."""
        master, writer = self.janus.master, self.writer()
        if writer not in but:
            os.kill(writer, signal.SIGSTOP)
        pids = sorted((pid for pid in self.janus.processes() if pid not in but), key=lambda pid: (pid != master, pid != writer))
        for pid in pids:
            self.janus.killed[pid] = "worker"
        for sig in signal.SIGSTOP, signal.SIGKILL:          # (nobody makes another keeper or worker meanwhile)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sig)
        self.janus.process.wait(10 * SLOWNESS)
        wait_until(lambda: not self.janus.processes(), 15, "the end of all processes")
        self.assertFalse(is_alive(master))

    def told(self, topic, since):
        """What the topic's subscriber is told, and what it gets of numbers up to a fence."""
        client, told = self.resumed("websocket", [topic], since=since)
        self.say("/pub/" + topic, -1)
        got = []
        while True:
            number = self.message_of(client)["data"]
            if number == -1:
                break
            got.append(number)
        client.close()
        return told, got

    def say(self, target, number, key=None):
        return self.ask("POST", target, b"%d" % number, JSON + ([("Idempotency-Key", key)] if key else [])).json()


class Restart(DataTest):
    def test_stop(self):
        """A server that ends in order, and is started again: nothing is missing, and it knows that."""
        ids = self.publish("a", *range(5))
        self.say("/pub/b", 7)
        keyed = self.say("/pub/a", 5, key="k")
        self.restart()
        self.assertEqual(self.kept("a"), list(range(6)))
        self.assertEqual([m["id"].text for m in self.history("a")["messages"]], [i.text for i in ids] + [keyed["id"].text])
        self.assertEqual(self.kept("b"), [7])
        # what is repeated with its key is not published again
        self.assertEqual(self.say("/pub/a", 5, key="k"), keyed)
        self.assertEqual(self.ask("POST", "/pub/a", b"6", JSON + [("Idempotency-Key", "k")]).status, 422)
        self.assertEqual(self.kept("a"), list(range(6)))
        for kind in "websocket", "packet", "lines", "sse", "stream":
            with self.subTest(kind=kind):
                client, told = self.resumed(kind, ["a"], since=ids[2].text)
                self.assertIs(told, True)
                self.assertEqual(self.numbers(client, 3), [3, 4, 5])
                client.close()
        client, _ = self.resumed("lines", ["a"], last=2)
        self.assertEqual(self.numbers(client, 2), [4, 5])
        # ids go on
        new = self.publish("a", 6)[0]
        self.assertEqual(new.epoch, ids[0].epoch)
        self.assertEqual(new, keyed["id"] + 1)
        self.assertEqual(self.numbers(client, 1), [6])
        self.restart()
        self.assertEqual(self.told("a", new.text), (True, []))
        self.assertEqual(self.told("a", ids[3].text)[0], True)

    def test_event_source(self):
        """A browser comes back with the last id it had, or the one of the stream's beginning."""
        self.publish("a", 1)
        client = self.sse("/sub/a")
        self.publish("a", 2)
        event = client.event()
        begun = client.head.get("Janus-Position")
        self.publish("a", 3)
        self.restart()
        for since, wanted in ((event.id.text, [3]), (begun, [2, 3])):
            client = self.sse("/sub/a", fields=[("Last-Event-ID", since)])
            self.assertEqual(client.head.get("Janus-Recovered"), "true")
            self.assertEqual([int(client.event().data) for _ in wanted], wanted)
            client.close()

    def test_nothing_published(self):
        """A topic without a message, and one without a rule: the position of before is good for the one, not for the other."""
        self.serve("history=a: 10 messages", "session_linger=0")
        client = self.websocket().subscribe("z")
        position = client.position.text
        client.close()
        self.alone()
        self.assertIsNone(self.say("/pub/z", 1)["id"])
        self.restart()
        self.assertIs(self.history("a", since=position)["recovered"], True)
        self.assertIsNot(self.resumed("websocket", ["z"], since=position)[1], True)

    def test_without_history(self):
        """Ids and keys outlive the server all the same."""
        self.serve("history=")
        client = self.websocket().subscribe("a")
        keyed = self.say("/pub/a", 1, key="k")
        client.close()
        self.restart()
        self.assertEqual(self.say("/pub/a", 1, key="k"), keyed)
        client = self.websocket().subscribe("a")
        self.assertEqual(client.position, keyed["id"])
        self.assertEqual(client.position.epoch, keyed["id"].epoch)
        self.assertEqual(self.say("/pub/a", 2)["id"], keyed["id"] + 1)

    def test_killed_but_for_the_writer(self):
        """The last message is written by janus-data when all others are gone; it knows then that this was all."""
        ids = self.publish("a", *range(200))
        self.kill_all(but=[self.writer()])
        self.again()
        self.assertEqual(self.told("a", ids[100].text), (True, list(range(101, 200))))
        self.assertEqual(self.told("a", ids[-1].text)[0], True)

    def test_all_killed(self):
        """What was written is there. Whether it was all nobody knows: so it is said, and no id is given twice."""
        ids = self.publish("a", 1, 2, 3)
        self.say("/pub/a", 4, key="k")
        self.written()
        self.kill_all()
        self.again()
        self.assertEqual(self.kept("a"), [1, 2, 3, 4])
        self.assertIn("without saying so", self.janus.log())
        answer = self.history("a", since=ids[1].text)
        self.assertEqual((answer["recovered"], answer["missing"], [m["data"] for m in answer["messages"]]), (False, 0, [3, 4]))
        self.assertEqual(self.told("a", ids[1].text)[:1], (0,))
        self.assertIs(self.history("never", since=ids[1].text)["recovered"], False)
        self.say("/pub/a", 4, key="k")
        new = self.publish("a", 5)[0]
        self.assertEqual(new.epoch, ids[0].epoch)
        self.assertGreater(new, JUMP)
        self.assertEqual(self.kept("a"), [1, 2, 3, 4, -1, 5])
        # positions of this life are good, in the next one, too
        self.assertEqual(self.told("a", new.text), (True, []))
        self.restart()
        self.assertEqual(self.told("a", new.text)[0], True)
        self.assertIsNot(self.told("a", ids[-1].text)[0], True)

    def test_seen_and_never_written(self):
        """A subscriber has had messages that nobody wrote down. It is told no, and their ids are not given again."""
        self.publish("a", 1)
        self.written()
        writer = self.writer()
        os.kill(writer, signal.SIGSTOP)
        lost = self.publish("a", 2, 3)
        self.kill_all()
        self.again()
        self.assertEqual(self.kept("a"), [1])
        client, told = self.resumed("websocket", ["a"], since=lost[0].text)
        self.assertEqual(told, 0)
        new = self.publish("a", 4)[0]
        self.assertGreater(new, JUMP)
        self.assertEqual(self.numbers(client, 1), [4])

    def test_rules_of_the_next_life(self):
        """The rules in force say what comes back; what had none before is not vouched for."""
        config = "".join("listen = %s\n" % url for url in WEB) + "workers = 2\n"
        self.serve("data_sync=0", config=config + "history = a: 100 messages; b: 100 messages\n")
        ids = self.publish("a", *range(50)) + self.publish("b", 1)
        self.janus.stop()
        self.janus.arguments = [a for a in self.janus.arguments if a != EVERY]
        self.janus.configure(config + "history = c: 10 messages; a: 100 messages, 1h\n")
        self.again()
        self.assertEqual(self.kept("a"), list(range(50)))
        self.assertEqual(self.kept("b"), [])
        self.assertIs(self.history("a", since=ids[0].text)["recovered"], True)
        self.assertIs(self.history("c", since=ids[0].text)["recovered"], False)

    def test_too_old_by_the_next_life(self):
        """What has become too old meanwhile is not there from the start on."""
        self.serve("history=a: 1s; b: 100 messages")
        first = self.publish("a", 1)[0]
        self.publish("b", 1)
        self.janus.stop()
        stopped = time.monotonic()
        wait_until(lambda: time.monotonic() > stopped + 1.05, 10)
        self.again()
        self.assertEqual((self.kept("a"), self.kept("b")), ([], [1]))
        self.assertIs(self.history("a", since=first.text)["recovered"], True)
        self.assertIs(self.history("a", since=first.text.partition("-")[0] + "-0")["recovered"], False)


class Writer(DataTest):
    def test_killed_again_and_again(self):
        """While publishes pour in; nobody notices, nothing is missing."""
        self.serve(EVERY, "data_sync=50ms")
        publisher, stop, count = self.http(), threading.Event(), [0]

        def pour():
            while not stop.is_set():
                publisher.ask("POST", "/pub/a%d" % (count[0] % 3), b"%d" % count[0], JSON)
                count[0] += 1
        thread = threading.Thread(target=pour)
        thread.start()
        try:
            for _ in range(12):
                before, pid = count[0], self.writer()
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda: not is_alive(pid) and count[0] > before + 20, 10, "more publishes")
        finally:
            stop.set()
            thread.join()
        self.written()
        self.kill_all()
        self.again()
        for topic in range(3):
            self.assertEqual(self.kept("a%d" % topic, limit=1000), list(range(topic, count[0], 3))[-1000:])

    def test_file_removed(self):
        self.publish("a", 1, 2)
        self.written()
        os.unlink(self.journal)
        wait_until(lambda: os.path.exists(self.journal), 10, "another file")
        self.janus.wait_log("somebody has removed")
        self.publish("a", 3)
        self.restart()
        self.assertEqual(self.kept("a"), [1, 2, 3])

    def test_folder_removed(self):
        self.serve()
        self.publish("a", 1)
        self.written()
        shutil.rmtree(self.data)
        os.rename(os.path.dirname(self.data), os.path.dirname(self.data) + ".away")
        try:
            wait_until(lambda: self.janus.stats()["journal"]["state"] == "failing", 10, "the failure")
            self.publish("a", 2)
            wait_until(lambda: "cannot make" in self.janus.log(), 10)
            self.assertEqual(self.janus.status()["data_error"], "No such file or directory")
        finally:
            os.rename(os.path.dirname(self.data) + ".away", os.path.dirname(self.data))
        self.written()
        self.restart()
        self.assertEqual(self.kept("a"), [1, 2])

    def test_reload_and_upgrades(self):
        """janus-data is replaced with the program; ids, positions and what is kept go on, also with another layout and back."""
        self.serve()
        self.janus.stop()
        self.program = Program(janus_test.BUILD, os.path.join(self.janus.folder, "bin"))
        self.janus.build = self.program.folder
        self.again()
        ids = []
        for n, build in enumerate((None, OTHER_BUILD, None, janus_test.BUILD)):
            ids += self.publish("a", 2 * n)
            before = self.writer()
            if build:
                self.program.put(build)
            self.assertEqual(self.janus.reload()[0], 0, self.janus.log())
            wait_until(lambda: not is_alive(before) and self.writer() != before, 10, "another janus-data")
            ids += self.publish("a", 2 * n + 1)
        self.assertEqual(sorted(ids), ids)
        self.restart()
        self.assertEqual(self.kept("a"), list(range(8)))
        self.assertEqual(self.told("a", ids[0].text), (True, list(range(1, 8))))

    def test_unknown_outlives_an_upgrade(self):
        self.serve()
        self.janus.stop()
        self.program = Program(janus_test.BUILD, os.path.join(self.janus.folder, "bin"))
        self.janus.build = self.program.folder
        self.again()
        first = self.publish("a", 1)[0]
        self.written()
        self.kill_all()
        self.again()
        self.program.put(OTHER_BUILD)
        self.assertEqual(self.janus.reload()[0], 0, self.janus.log())
        self.assertIs(self.history("a", since=first.text)["recovered"], False)

    def test_grows_and_shrinks(self):
        """The file is written anew when it has more than is kept."""
        self.serve("history=*: 4 messages", "data_sync=0")
        client, body, sizes = self.http(), b'"' + b"x" * 200000 + b'"', [0]

        def is_smaller():
            for _ in range(10):
                client.ask("POST", "/pub/a", body, JSON)
            sizes.append(os.stat(self.journal).st_size)
            return sizes[-1] < max(sizes) / 2
        wait_until(is_smaller, 20, "a smaller file")
        self.assertLess(max(sizes), 16 << 20)
        self.assertGreaterEqual(self.janus.count("journal_begun"), 2)
        self.say("/pub/a", 1)
        self.restart()
        self.assertEqual(self.kept("a", limit=1), [1])

    def test_sync(self):
        """data_sync says when what is written is forced to the disk; an idle server forces nothing."""
        self.serve(EVERY, "data_sync=0")
        self.publish("a", 1)
        wait_until(lambda: self.janus.stats()["journal"]["synced_before"] == 2, 10)
        synced = self.janus.count("journal_synced")
        self.assertEqual(synced, 1)
        self.publish("a", 2)
        wait_until(lambda: self.janus.count("journal_synced") == 2, 10)


class Trouble(DataTest):
    def fill_up(self, left):
        """From now on janus-data can write so many bytes more. (The log stays below what the journal has, so it can be written.)"""
        self.ask("POST", "/pub/large", b"x" * 200000)
        self.written()
        writer = self.writer()
        soft, hard = resource.prlimit(writer, resource.RLIMIT_FSIZE)
        resource.prlimit(writer, resource.RLIMIT_FSIZE, (os.stat(self.journal).st_size + left, hard))
        return writer, soft, hard

    def test_full(self):
        """Nothing more can be written: it is said, the service goes on, and what was missing is written when there is room."""
        self.serve(EVERY, "data_sync=0")
        self.publish("a", 1, 2)
        writer, soft, hard = self.fill_up(50)
        self.publish("a", 3, 4)
        wait_until(lambda: self.janus.stats()["journal"]["state"] == "failing", 10, "the failure")
        self.assertEqual(self.janus.stats()["journal"]["error"], "File too large")
        self.assertEqual((self.janus.status()["data"], self.janus.status()["data_error"]), (self.data, "File too large"))
        self.assertIn("CAN'T BE WRITTEN", self.janus.ctl("stats")[1])
        self.assertIn("CAN'T BE WRITTEN", self.janus.ctl("status")[1])
        self.janus.wait_log("journal can't be written: File too large")
        self.assertGreaterEqual(self.janus.count("journal_failed"), 1)
        self.publish("a", 5)
        self.assertEqual(self.kept("a"), [1, 2, 3, 4, 5])
        resource.prlimit(writer, resource.RLIMIT_FSIZE, (soft, hard))
        self.written()
        self.janus.wait_log("is written again")
        self.assertEqual(self.janus.status()["data_error"], "")
        self.kill_all()
        self.again()
        self.assertEqual(self.kept("a"), [1, 2, 3, 4, 5])

    def test_hangs(self):
        """A disk that does not answer holds up janus-data, and nobody else; it is said. (Here it is stopped, which the master ends.)"""
        self.serve(EVERY, "hang_limit=1s")
        os.kill(self.writer(), signal.SIGSTOP)
        ids = self.publish("a", 1, 2, 3)
        self.janus.wait_log(r"gives no sign of life since \d+ ms: its disk may hang")
        self.janus.wait_log("is written again")
        self.written()
        self.assertEqual(self.told("a", ids[0].text), (True, [2, 3]))

    def test_ends_while_full(self):
        """It can't be said that all is there: then the next server does not believe so."""
        self.serve(EVERY, "data_sync=0")
        ids = self.publish("a", 1, 2)
        self.fill_up(0)
        self.publish("a", 3)
        self.janus.stop()
        self.assertIn("has no end: File too large", self.janus.log())
        self.again()
        self.assertEqual(self.kept("a"), [1, 2])
        self.assertIs(self.history("a", since=ids[0].text)["recovered"], False)

    def test_torn(self):
        """What is not whole at the end is cut off, said, and kept aside."""
        self.publish("a", 1, 2, 3)
        self.written()
        self.kill_all()
        size = os.stat(self.journal).st_size
        os.truncate(self.journal, size - 3)
        self.again()
        self.assertEqual(self.kept("a"), [1, 2])
        self.janus.wait_log("bytes are not used: they are not whole, or damaged. All of it is kept as journal.damaged")
        self.assertEqual(os.stat(os.path.join(self.data, "journal.damaged")).st_size, size - 3)
        self.publish("a", 4)
        self.restart()
        self.assertEqual(self.kept("a"), [1, 2, 4])

    def test_no_journal(self):
        """Something else stands in its place: it is set aside, and the server starts without."""
        self.serve()
        first = self.publish("a", 1)[0]
        self.janus.stop()
        with open(self.journal, "wb") as f:
            f.write(b"\0" * 5000)
        self.again()
        self.assertEqual(self.kept("a"), [])
        self.assertNotEqual(self.publish("a", 2)[0].epoch, first.epoch)
        self.assertIs(self.history("a", since=first.text)["recovered"], False)

    def refused(self, *options, **more):
        """Starts another server, which must not. Its log."""
        other = Server(EVERY, *options, workers=1, listen=WEB, **more)
        self.addCleanup(other.destroy)
        other.launch()
        self.assertEqual(other.process.wait(20 * SLOWNESS), 1)
        wait_until(lambda: not other.processes(), 10, "the end of its processes")
        return other.log()

    def test_second_server(self):
        self.serve()
        self.publish("a", 1)
        self.assertIn("is another server's, which runs", self.refused("data=" + self.data))
        self.publish("a", 2)
        self.restart()
        self.assertEqual(self.kept("a"), [1, 2])

    def test_later_version(self):
        self.serve()
        self.publish("a", 1)
        self.janus.stop()
        with open(self.journal, "r+b") as f:
            f.seek(16 + 8)
            f.write(b"\x7f")
        with open(self.journal, "rb") as f:
            before = f.read()
        self.assertRegex(self.refused("data=" + self.data), "was written by a later version: start that one, or move the file away")
        with open(self.journal, "rb") as f:
            self.assertEqual(f.read(), before)

    def test_folder(self):
        folder = tempfile.mkdtemp(prefix="janus-data-")
        self.addCleanup(shutil.rmtree, folder)
        self.assertRegex(self.refused("data=%s/none/data" % folder), "cannot make .*No such file or directory")
        open_to_all = os.path.join(folder, "open")
        os.mkdir(open_to_all)
        os.chmod(open_to_all, 0o777)
        self.assertRegex(self.refused("data=" + open_to_all), "nobody else may write to it")
        file = os.path.join(folder, "file")
        with open(file, "w"):
            pass
        self.assertRegex(self.refused("data=" + file), "Not a directory")
        self.assertRegex(self.refused("data=relative"), "is not an absolute path")

    def test_address_in_use(self):
        """A server that can't start for another reason leaves its journal as one that ended in order."""
        self.serve()
        ids = self.publish("a", 1, 2)
        self.janus.stop()
        other = self.server(workers=1, listen=WEB)
        wanted = "listen=http://%s:%d" % other.address("http")
        self.assertIn("in use", self.refused("data=" + self.data, wanted))
        self.again()
        self.assertEqual(self.told("a", ids[0].text), (True, [2]))

    def test_files(self):
        """Only the user's that Janus runs as."""
        self.serve()
        self.publish("a", 1)
        for name, mode in (("", 0o700), ("journal", 0o600), ("lock", 0o600)):
            st = os.stat(os.path.join(self.data, name))
            self.assertEqual((st.st_uid, st.st_mode & 0o777), (os.geteuid(), mode), name)

    @unittest.skipIf(os.geteuid() != 0, "for root")
    def test_files_of_another_user(self):
        self.serve()            # (for the folder)
        self.janus.stop()
        os.chmod(os.path.dirname(self.data), 0o711)
        shutil.rmtree(self.data)
        self.serve(EVERY, "user=nobody")
        self.publish("a", 1)
        self.restart()
        self.assertEqual(self.kept("a"), [1])
        for name in ("", "journal", "lock"):
            self.assertEqual(os.stat(os.path.join(self.data, name)).st_uid, pwd.getpwnam("nobody").pw_uid, name)


class PouringTest(DataTest):
    """Publishes pour in while things happen. Each message has a number of its own: what a topic has is what was answered, in that order."""
    topics = 5

    def begin(self, *options):
        self.serve(*options)
        self.janus.stop()
        self.program = Program(janus_test.BUILD, os.path.join(self.janus.folder, "bin"))
        self.janus.build = self.program.folder
        self.again()
        self.said = {}          # id: number, of all lives
        self.count = 0
        self.chance = self.random()

    def pour(self):
        """Publishes until told to stop, or until there is no server any more."""
        self.stop_pouring = threading.Event()

        def run():
            try:
                client = self.http()
                while not self.stop_pouring.is_set():
                    number = self.count
                    self.count += 1
                    answer = client.ask("POST", "/pub/t%d" % (number % self.topics), b"%d" % number, JSON).json()
                    self.note(answer["id"].text, number)
            except (AssertionError, OSError, AttributeError, TypeError):
                pass            # (it was killed, in the midst of anything)
        self.thread = threading.Thread(target=run)
        self.thread.start()

    def note(self, position, number):
        self.assertEqual(self.said.setdefault(position, number), number, "an id was given twice")

    def wait_more(self, count=30):
        before = len(self.said)
        wait_until(lambda: len(self.said) > before + count, 20, "more publishes")

    def end_pouring(self):
        self.stop_pouring.set()
        self.thread.join()

    def check_kept(self):
        for topic in range(self.topics):
            kept = self.history("t%d" % topic, limit=1000)["messages"]
            for message in kept:
                self.note(message["id"].text, message["data"])
            wanted = [number for number in self.said.values() if number % self.topics == topic]
            self.assertEqual([m["data"] for m in kept], sorted(wanted)[-1000:])


class Pouring(PouringTest):
    def test_everything(self):
        """The writer and workers killed, reloads, other layouts: then a stop, and all is there."""
        self.begin(EVERY, "data_sync=20ms")
        self.pour()
        for _ in range(12):
            self.wait_more()
            what = self.chance.randrange(4)
            if what == 0:
                os.kill(self.writer(), signal.SIGKILL)
            elif what == 1:
                self.janus.kill_worker(self.chance.randrange(2))
            else:
                if what == 2:
                    build = OTHER_BUILD if self.program.source == janus_test.BUILD else janus_test.BUILD
                    self.program.put(build)
                self.assertEqual(self.janus.reload()[0], 0, self.janus.log())
        self.end_pouring()
        self.restart()
        self.check_kept()

    def test_lives(self):
        """All is killed, with the writer or without it, and started again; a subscriber goes on where it was. It is told the truth, and no id means two
        messages."""
        self.begin("history=*: 100000 messages", "data_sync=0")
        had = []
        client = self.websocket().subscribe("t0")
        position = client.position.text
        for life in range(6):
            self.pour()
            self.wait_more()
            spared = self.chance.random() < 0.5
            for _ in range(self.chance.randrange(20)):
                message = client.message()
                self.note(message["id"].text, message["data"])
                had.append(message["data"])
                position = message["id"].text
            self.kill_all(but=[self.writer()] if spared else [])
            self.end_pouring()
            self.again()
            client, told = self.resumed("websocket", ["t0"], since=position)
            self.assertEqual(told is True, spared, "life %d" % life)
            fence = self.count + self.topics - self.count % self.topics
            self.count = fence + 1
            self.note(self.say("/pub/t0", fence)["id"].text, fence)
            new = []
            while not new or new[-1] != fence:
                message = client.message()
                self.note(message["id"].text, message["data"])
                new.append(message["data"])
                position = message["id"].text
            self.assertEqual(new, sorted(set(new)))
            if told is True:
                wanted = {n for n in self.said.values() if n % self.topics == 0 and n > (had[-1] if had else -1)}
                self.assertEqual(set(new), wanted)
            had += new
        self.restart()
        client.close()


class Points(CrashTest, DataTest):
    def test_deaths(self):
        """janus-data dies at each of its steps, once while it goes on, once while it begins a file."""
        self.serve_crash_build(EVERY, "data_sync=0")
        n = 0
        for point in ("journal-written", "journal-noted", "journal-new-written", "journal-renamed"):
            wait_until(lambda: os.path.exists(self.journal), 10, "the journal")
            before = self.writer()
            self.arm(point)
            self.say("/pub/a", n)
            if "new" in point or "renamed" in point:
                os.unlink(self.journal)
            wait_until(lambda: not self.armed(point) and not is_alive(before), 10, point)
            self.say("/pub/a", n + 1)
            n += 2
        self.written()
        self.kill_all()
        self.again()
        self.assertEqual(self.kept("a"), list(range(n)))
        self.assertFalse(os.path.exists(os.path.join(self.data, "journal.damaged")))

    def test_dies_with_the_lock(self):
        """It looks at a topic's history under the hub lock. Publishers go on when the master has reaped it."""
        self.serve_crash_build(EVERY)
        self.publish("a", 1)
        self.written()
        before = self.writer()
        self.arm("history-looked-at")
        os.unlink(self.journal)
        wait_until(lambda: not self.armed("history-looked-at") and not is_alive(before), 10)
        self.publish("a", 2)
        self.written()
        self.restart()
        self.assertEqual(self.kept("a"), [1, 2])

    def test_dies_at_the_start(self):
        """It is killed before the server serves: the server does not start, and the next one finds what this one found, or what it left."""
        self.serve_crash_build(EVERY)
        ids = self.publish("a", 1, 2)
        for point, known in ("journal-new-written", True), ("journal-renamed", 0):
            with self.subTest(point=point):
                self.janus.stop()
                self.arm(point)
                self.janus.launch()
                self.janus.wait_exit(1)
                self.janus.wait_log(r"reading .*/journal ended with signal 9 \(Killed\). If it does so again")
                self.again()
                self.assertEqual(self.told("a", ids[0].text)[0], known)
                self.assertEqual(self.kept("a")[:2], [1, 2])

    def test_way_back(self):
        """A program that can't follow; the old one, its janus-data and its journal go on."""
        self.serve()
        self.janus.stop()
        program = Program(janus_test.BUILD, os.path.join(self.janus.folder, "bin"))
        self.janus.build = program.folder
        self.again()
        ids = self.publish("a", 0)
        for n, (build, point) in enumerate(((CRASH_BUILD, "successor-start"), (OTHER_BUILD, "successor-restore"), (OTHER_BUILD, "start-abort"))):
            with self.subTest(point=point):
                before = self.writer()
                program.put_file(os.path.join(build, "janus"))
                self.arm(point)
                self.assertNotEqual(self.janus.reload()[0], 0)
                self.disarm(point)
                wait_until(lambda: not is_alive(before) and self.writer() != before, 10, "another janus-data")
                ids += self.publish("a", n + 1)
                self.written()
        self.janus.forgive_deaths(signal.SIGABRT)
        self.restart()
        self.assertEqual(self.kept("a"), [0, 1, 2, 3])
        self.assertEqual(sorted(ids), ids)
        self.assertEqual(self.told("a", ids[0].text), (True, [1, 2, 3]))

    def test_sync_fails(self):
        """What the file has then is not known: it is written anew."""
        self.serve_crash_build(EVERY, "data_sync=0")
        self.publish("a", 1)
        self.written()
        begun = self.janus.count("journal_begun")
        self.arm("journal-sync")
        self.publish("a", 2)
        self.janus.wait_log("can't be written: Input/output error")
        wait_until(lambda: self.janus.count("journal_begun") == begun + 1, 10)
        self.written()
        self.assertEqual(self.janus.count("journal_failed"), 1)

    def test_full_at_the_start(self):
        """Not even a file can be begun: the server starts, with other ids; what it has in memory is written when there is room, and the life that
        nobody wrote down is not passed over in silence."""
        self.serve_crash_build(EVERY)
        ids = self.publish("a", 1, 2)
        self.janus.stop()
        self.arm("journal-begin")
        self.again()
        self.assertIn("can't be written: No space left on device", self.janus.log())
        self.assertEqual(self.kept("a"), [1, 2])
        new = self.publish("a", 3)[0]
        self.assertNotEqual(new.epoch, ids[0].epoch)
        self.assertIs(self.history("a", since=ids[0].text)["recovered"], False)
        self.written()
        self.restart()
        self.assertEqual(self.kept("a"), [1, 2, 3])
        self.assertEqual(self.told("a", new.text), (True, []))

    def test_full_at_the_start_and_killed(self):
        self.serve_crash_build(EVERY)
        ids = self.publish("a", 1, 2)
        self.janus.stop()
        self.arm("journal-begin")
        self.again()
        self.publish("a", 3)
        self.kill_all()
        self.disarm("journal-begin")
        self.again()
        self.assertEqual(self.kept("a")[:2], [1, 2])
        self.assertIs(self.history("a", since=ids[0].text)["recovered"], False)


if __name__ == "__main__":
    unittest.main()
