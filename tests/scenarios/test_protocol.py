"""The flash-socket protocol as PROTOCOL.md has it, byte for byte."""
import fcntl
import json
import re
import struct
import time
import unittest

from flash_test import GREETING, OBJECT, PUBLISHER, SOCKET, SUBSCRIBER, UNSUBSCRIBE, FlashTest
from janus_test import SLOWNESS, Client, JanusTest, timestamp, wait_until


class Protocol(FlashTest):
    # greeting

    def test_greeting(self):
        before = time.time()
        clients = [self.connect() for _ in range(20)]
        after = time.time()
        tokens = set()
        for client in clients:
            found = re.fullmatch(GREETING, client.greeting)
            self.assertTrue(found, client.greeting)
            sent = timestamp(json.loads(client.greeting)) / 1e6
            self.assertTrue(before - 1 < sent < after + 1)
            token = bytes(int(n) for n in found.group(4).split(b","))
            self.assertRegex(token, rb"\A[0-9a-f]{32}\Z")
            tokens.add(token)
        self.assertEqual(len(tokens), len(clients))

    # the captures

    def converse(self, send):
        """The subscriber's capture, sent by send(client, bytes)."""
        client = self.connect()
        send(client, SUBSCRIBER)
        self.assertEqual(client.raw(4), b"ACK\1")
        self.publish_classic()
        self.expect_text(client, OBJECT)
        send(client, UNSUBSCRIBE)
        wait_until(lambda: self.janus.subscriptions() == 0, what="the unsubscribe")
        self.publish_classic()
        client.subscribe("fence")
        client.publish("fence")
        client.expect_message("fence")
        client.close()

    def test_capture_whole(self):
        self.converse(Client.send)

    def test_capture_byte_by_byte(self):
        self.converse(Client.send_pieces)

    def test_capture_every_split(self):
        """The subscriber's stream, cut in two at each place; the server has had the first part when the second is sent."""
        for cut in range(1, len(SUBSCRIBER)):
            with self.subTest(cut=cut):
                client = self.connect()
                had = self.janus.count("bytes_in") if cut % 8 == 0 else None
                client.send(SUBSCRIBER[:cut])
                if had is not None:
                    wait_until(lambda: self.janus.count("bytes_in") >= had + cut, what="the first part's arrival")
                client.send(SUBSCRIBER[cut:])
                self.assertEqual(client.raw(4), b"ACK\1")
                client.publish("events", n=cut)
                client.expect_message("events", n=cut)
                client.close()

    def test_publisher_every_split(self):
        client = self.connect().subscribe("events")
        for cut in range(1, len(PUBLISHER)):
            with self.subTest(cut=cut):
                publisher = self.connect()
                had = self.janus.count("bytes_in") if cut % 8 == 0 else None
                publisher.send(PUBLISHER[:cut])
                if had is not None:
                    wait_until(lambda: self.janus.count("bytes_in") >= had + cut, what="the first part's arrival")
                publisher.send(PUBLISHER[cut:])
                publisher.expect_close()
                publisher.close()
                self.expect_text(client, OBJECT)

    def test_everything_at_once(self):
        """The subscriber's and a publisher's frames in one segment: answers and messages in order."""
        client = self.connect(greeting=False)
        client.send(SUBSCRIBER + b'{"action":"publish","topic":"events","n":1}\0PONG\0\0 \n\0' +
                    b'{"action":"publish","topic":"events","n":2}\0')
        self.assertTrue(re.fullmatch(GREETING, client.frame()))
        client.expect(b"ACK")
        client.expect_message("events", n=1)
        client.expect_message("events", n=2)

    # frames without an answer

    def test_ping_pong_and_nothing_unanswered(self):
        client = self.connect()
        client.send(b"PING\0PONG\0\0\0 \r\n\t\0" + SOCKET * 3 + b"PING\0")
        client.subscribe("a")
        self.assertEqual(self.janus.count("bad_input"), 0)

    # subscribe and unsubscribe

    def test_subscribe_twice_is_one_subscription(self):
        client = self.connect().subscribe("a", "a", "a")
        self.assertEqual(self.janus.subscriptions(), 1)
        self.assertEqual(self.janus.count("subscribed"), 1)
        client.publish("a", n=1)
        client.publish("a", n=2)
        client.expect_message("a", n=1)
        client.expect_message("a", n=2)
        client.unsubscribe("a")
        wait_until(lambda: self.janus.subscriptions() == 0)

    def test_unsubscribed_gets_nothing(self):
        client, publisher = self.connect(), self.connect()
        client.subscribe("a", "b")
        client.unsubscribe("a")
        client.subscribe("c")           # its ACK comes behind the unsubscribe
        for topic in "aabac":
            publisher.publish(topic)
        client.expect_message("b")
        client.expect_message("c")

    def test_unsubscribe_unknown_topic(self):
        client = self.connect()
        client.unsubscribe("never")
        client.subscribe("a")
        client.unsubscribe("never")
        client.publish("a")
        client.expect_message("a")

    def test_resubscribe_gets_no_past(self):
        client, publisher = self.connect(), self.connect()
        publisher.subscribe("a")        # keeps the topic alive
        client.subscribe("a")
        client.unsubscribe("a")
        client.subscribe("other")
        publisher.publish("a", n=1)
        publisher.expect_message("a", n=1)
        client.subscribe("a")
        publisher.publish("a", n=2)
        client.expect_message("a", n=2)

    def test_several_topics_in_one_order(self):
        topics = ["t%d" % i for i in range(10)]
        many = self.connect().subscribe(*topics)
        two = self.connect().subscribe("t3", "t7")
        publishers = [self.connect() for _ in range(4)]
        for n in range(500):
            publishers[n % 4].publish(topics[n * 7 % 10], n=n)
        seen = [many.message() for _ in range(500)]
        self.assertEqual(sorted(m["n"] for m in seen), list(range(500)))
        stamps = [timestamp(m) for m in seen]
        self.assertEqual(stamps, sorted(set(stamps)))
        wanted = [m["n"] for m in seen if m["topic"] in ("t3", "t7")]
        self.assertEqual([two.message()["n"] for _ in wanted], wanted)

    def test_subscriber_of_the_messages_since(self):
        """Everything behind the ACK arrives, also what is published in the same moment by the same connection."""
        client = self.connect()
        client.send(b"".join(b'{"action":"subscribe","data":"t%d"}\0{"action":"publish","topic":"t%d","n":%d}\0' % (i, i, i)
                             for i in range(200)))
        acks = messages = 0
        while messages < 200:
            frame = client.message_text()
            if frame == b"ACK":
                acks += 1
                continue
            self.assertEqual(json.loads(frame)["n"], messages)
            self.assertLess(messages, acks, "a message before its ACK")
            messages += 1
        self.assertEqual(acks, 200)

    # publish

    def test_classic_publish_with_and_without_nul(self):
        client = self.connect().subscribe("events")
        for end in (b"", b"\0"):
            for between in (b"", b" ", b"\n\t ", SOCKET, b" " + SOCKET + b" " + SOCKET):
                with self.subTest(end=end, between=between):
                    self.publish_classic(b"PUBLISH\0" + between + OBJECT + end)
                    self.expect_text(client, OBJECT)
        self.assertEqual(self.janus.count("bad_input"), 0)

    def test_classic_publish_takes_nothing_after(self):
        """The connection is the message's: what follows is not acted upon."""
        client = self.connect().subscribe("events")
        self.publish_classic(PUBLISHER + b"\0" + b'{"action":"publish","topic":"events","data":"more"}\0' + b"rubbish" * 1000)
        self.expect_text(client, OBJECT)
        client.publish("events", data="fence")
        client.expect_message("events", data="fence")

    def test_classic_publish_between_limit(self):
        """Up to 255 bytes before the object, PUBLISH and its NUL among them."""
        client = self.connect().subscribe("events")
        self.publish_classic(b"PUBLISH\0" + b" " * 247 + OBJECT)
        self.expect_text(client, OBJECT)
        bad = self.connect()
        bad.send(b"PUBLISH\0" + b" " * 248 + OBJECT)
        bad.expect_error("PUBLISH")
        bad.expect_close()

    def test_publisher_that_does_not_wait(self):
        """Sends all of it before it has read the greeting, and closes at once: with FIN, half, and with RST."""
        client = self.connect().subscribe("events")
        for end in ("close", "half", "reset"):
            for i in range(20):
                with self.subTest(end=end):
                    publisher = Client(self.janus, address=self.address, greeting=False)
                    publisher.send(PUBLISHER)
                    if end == "half":
                        publisher.half_close()
                        self.assertTrue(re.fullmatch(GREETING, publisher.frame()))
                        publisher.expect_close()
                    if end == "reset":
                        # What has arrived is what a reset leaves: so it must have.
                        wait_until(lambda: sent_out(publisher.socket) == 0)
                        publisher.reset()
                    publisher.close()
                    self.expect_text(client, OBJECT)

    def test_publish_action_keeps_the_connection(self):
        client, publisher = self.connect().subscribe("a"), self.connect()
        for n in range(5):
            publisher.send(b'{"action":"publish","topic":"a","n":%d}\0' % n)
            self.expect_text(client, b'{"topic":"a","n":%d}' % n)
        publisher.subscribe("a")
        publisher.publish("a", n=6)
        client.expect_message("a", n=6)
        publisher.expect_message("a", n=6)

    def test_stream_of_publishes(self):
        client, publisher = self.connect().subscribe("a"), self.connect()
        publisher.send(b"".join(b'{"action":"publish","topic":"a","n":%d}\0' % n for n in range(10000)))
        last = 0
        for n in range(10000):
            message = client.message()
            self.assertEqual(message["n"], n)
            self.assertGreater(timestamp(message), last)
            last = timestamp(message)
        self.assertEqual(self.janus.count("published"), 10000)
        self.assertEqual(self.janus.count("delivered"), 10000)

    def test_unheard_is_counted(self):
        publisher = self.connect()
        for n in range(7):
            publisher.publish("nobody", n=n)
        publisher.subscribe("a")
        publisher.publish("a")
        publisher.expect_message("a")
        self.assertEqual(self.janus.count("published"), 8)
        self.assertEqual(self.janus.count("published_unheard"), 7)
        self.assertEqual(self.janus.count("delivered"), 1)

    # what messages look like

    def test_values_byte_for_byte(self):
        values = [b"1e400", b"-0", b"0.10", b"1E+2", b"123456789012345678901234567890", b"-0.0e-0", b"true", b"false", b"null",
                  b'"\\u0041\\/\\n\\ud83d\\ude00"', "\"žluťoučký 😀 \x7f\u2028\"".encode(), b'""', b"[]", b"{}",
                  b"[1, 2 ,\t3]", b'{"a" : {"b":[{"timestamp":1,"action":2,"topic":3}]},"a":2}', b'"\\u0000"', b"[" * 100 + b"]" * 100]
        client, publisher = self.connect().subscribe("a"), self.connect()
        for value in values:
            with self.subTest(value=value):
                publisher.send(b'{"action":"publish","topic":"a","v":' + value + b"}\0")
                self.expect_text(client, b'{"topic":"a","v":' + value + b"}")
        self.publish_classic(b'PUBLISH\0{"v":[' + b",".join(values) + b'],"topic":"a"}')
        self.expect_text(client, b'{"v":[' + b",".join(values) + b'],"topic":"a"}')

    def test_members_order_and_what_is_left_out(self):
        client, publisher = self.connect().subscribe("a"), self.connect()
        publisher.send(b' { "z" : 1 ,\n"action":"publish", "timestamp":[1,2,3], "topic" : "a" , "a":2, "z":3,"":4 } \0')
        self.expect_text(client, b'{"z":1,"topic":"a","a":2,"z":3,"":4}')
        self.publish_classic(b'PUBLISH\0{"action":"kept","t\\u006fpic":"\\u0061","timestamp":0,"\\u0074imestamp":0}')
        self.expect_text(client, b'{"action":"kept","t\\u006fpic":"\\u0061"}')

    def test_topic_escapes_are_resolved(self):
        client = self.connect()
        client.send('{"action":"subscribe","data":"café"}\0'.encode())
        client.expect(b"ACK")
        for text in ('"caf\\u00e9"', '"café"', '"\\u0063af\\u00E9"'):
            client.send(('{"action":"publish","topic":%s}\0' % text).encode())
            self.expect_text(client, ('{"topic":%s}' % text).encode())
        client.publish("cafe\u0301")        # another topic: bytes count
        client.publish("café", fence=1)
        client.expect_message("café", fence=1)

    def test_large_messages(self):
        """Sizes around those of the server's buffers, up to the largest frame."""
        client, publisher = self.connect().subscribe("a"), self.connect()
        head, tail = b'{"action":"publish","topic":"a","data":"', b'"}'
        most = 256 * 1024
        for size in (400, 450, 512, 3900, 4096, 16384, 64900, 65000, 65536, 70000, 131072, most - 1, most):
            for pieces in (size, 50000):
                with self.subTest(size=size, pieces=pieces):
                    data = bytes(97 + i % 26 for i in range(size - len(head) - len(tail)))
                    publisher.send_pieces(head + data + tail + b"\0", pieces)
                    self.expect_text(client, b'{"topic":"a","data":"' + data + tail)
        data = b"x" * (most - len(b'{"topic":"a","data":""}'))
        self.publish_classic(b'PUBLISH\0{"topic":"a","data":"' + data + b'"}')
        self.expect_text(client, b'{"topic":"a","data":"' + data + b'"}')

    def test_timestamps_increase_strictly(self):
        client = self.connect().subscribe("a", "b")
        publishers = [self.connect() for _ in range(4)]
        for publisher in publishers:
            publisher.send(b'{"action":"publish","topic":"a"}\0{"action":"publish","topic":"b"}\0' * 500)
        last = 0
        for _ in range(4000):
            stamp = timestamp(client.message())
            self.assertGreater(stamp, last)
            last = stamp



class Heartbeat(JanusTest):
    def test_heartbeat_after_silence(self):
        janus = self.server("heartbeat=1s", workers=2)
        client = self.client(janus)
        began = time.monotonic()
        self.assertEqual(client.frame(), b"PING")
        first = time.monotonic() - began
        self.assertEqual(client.frame(), b"PING")
        second = time.monotonic() - began
        client.send(b"PONG\0")
        self.assertEqual(client.frame(), b"PING")
        # Looked at once a second, against a clock of whole seconds.
        self.assertGreater(second, 1)
        self.assertLess(second - first, 5 * SLOWNESS)
        self.assertLess(first, 5 * SLOWNESS)
        wait_until(lambda: janus.count("heartbeats") >= 3)
        client.subscribe("a")
        client.publish("a")
        client.expect_message("a")

    def test_no_heartbeat_while_messages_flow(self):
        janus = self.server("heartbeat=2s", workers=1)
        client, publisher = self.client(janus).subscribe("a"), self.client(janus)
        last = time.monotonic()
        end = last + 5
        n = 0
        while time.monotonic() < end:
            before, last = last, time.monotonic()
            publisher.publish("a", n=n)
            frame = client.frame()
            if frame == b"PING":
                self.assertGreater(time.monotonic() - before, 1)        # (on a machine so busy that messages did not flow)
                frame = client.frame()
            self.assertEqual(json.loads(frame)["n"], n)
            n += 1
            try:
                self.assertEqual(publisher.frame(seconds=0.2 / SLOWNESS), b"PING")      # it is sent nothing else
            except AssertionError as e:
                self.assertIn("in time", str(e))
        self.assertGreater(n, 5)


def sent_out(sock):
    """Bytes that the other side has not acknowledged."""
    return struct.unpack("i", fcntl.ioctl(sock, 0x5411, b"\0\0\0\0"))[0]     # SIOCOUTQ


if __name__ == "__main__":
    unittest.main()
