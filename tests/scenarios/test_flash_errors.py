"""What the flash-socket protocol refuses, and how."""
import json
import unittest

from flash_test import OBJECT, FlashTest
from janus_test import wait_until


class Errors(FlashTest):
    def refused(self, data, pattern="", client=None):
        """Bad input: an error, then the end, both to be read whatever else was sent."""
        client = client or self.connect()
        try:
            client.send(data)
        except (ConnectionResetError, BrokenPipeError) as e:
            raise AssertionError("reset while %r was sent" % data[:40]) from e
        error = client.expect_error(pattern)
        client.expect_close()
        client.close()
        return error

    def test_bad_json(self):
        bad = [b"{}", b"{", b'{"action"}', b'{"action":}', b'{"action":"subscribe","data":"a",}', b'{"action":"subscribe" "data":"a"}',
               b'{"action":"subscribe","data":"a"}}', b'{"action":"subscribe","data":"a"} x', b'{"action":"subscribe","data":\'a\'}',
               b'{action:"subscribe"}', b'{"action":"publish","topic":"a","v":01}', b'{"action":"publish","topic":"a","v":1.}',
               b'{"action":"publish","topic":"a","v":.5}', b'{"action":"publish","topic":"a","v":+1}',
               b'{"action":"publish","topic":"a","v":NaN}', b'{"action":"publish","topic":"a","v":tru}',
               b'{"action":"publish","topic":"a","v":[1,]}', b'{"action":"publish","topic":"a","v":[1 2]}',
               b'{"action":"publish","topic":"a","v":"\t"}', b'{"action":"publish","topic":"a","v":"\\x"}',
               b'{"action":"publish","topic":"a","v":"\\u12g4"}', b'{"action":"publish","topic":"a","v":"\\ud800"}',
               b'{"action":"publish","topic":"a","v":"\\udc00"}', b'{"action":"publish","topic":"a","v":"\\ud800\\u0041"}',
               b'{"action":"publish","topic":"a" /* no */}', b'{"action":"publish","topic":"a","v":' + b"[" * 129 + b"]" * 129 + b"}",
               b'{"action":"publish","topic":"a","v":"\xff"}', b'{"action":"publish","topic":"a","v":"\xc0\xaf"}',
               b'{"action":"publish","topic":"a","v":"\xed\xa0\x80"}', b'{"action":"publish","topic":"a","v":"\xf4\x90\x80\x80"}',
               b'{"action":"publish","topic":"a","v":"\xe2\x82"}', b'{"action":"publish","topic":"a","\xff":1}']
        witness = self.connect().subscribe("a")
        for i, text in enumerate(bad):
            with self.subTest(text=text[:80]):
                self.refused(text + b"\0")
                witness.publish("a", n=i)
                witness.expect_message("a", n=i)
        self.assertEqual(self.janus.count("bad_input"), len(bad))

    def test_bad_actions(self):
        bad = [(b'{"data":"a"}', "no action"), (b'{"action":1}', "action"), (b'{"action":null,"data":"a"}', "action"),
               (b'{"action":"subscribe"}', "no data"), (b'{"action":"subscribe","topic":"a"}', "no data"),
               (b'{"action":"subscribe","data":1}', "data"), (b'{"action":"unsubscribe"}', "data"),
               (b'{"action":"publish"}', "no topic"), (b'{"action":"publish","data":"a"}', "no topic"),
               (b'{"action":"publish","topic":["a"]}', "topic"),
               (b'{"action":"subscribe","data":"a","action":"subscribe"}', "twice"),
               (b'{"action":"subscribe","data":"a","d\\u0061ta":"a"}', "twice"),
               (b'{"action":"publish","topic":"a","topic":"a"}', "twice")]
        for text, pattern in bad:
            with self.subTest(text=text):
                self.refused(text + b"\0", pattern)
        for text, pattern in ((b'{"topic":1}', "topic"), (b"{}", "no topic"), (b'{"data":"a"}', "no topic"),
                              (b'{"topic":"a","topic":"b"}', "twice"), (b'{"topic":"a",}', "")):
            with self.subTest(publish=text):
                self.refused(b"PUBLISH\0" + text, pattern)

    def test_topic_rules(self):
        client = self.connect()
        good = ["a", "a" * 255, "é" * 127 + "a", "\u00a0", "😀" * 63 + "abc", " ", '"\\', "a\u2028b"]
        for topic in good:
            with self.subTest(good=topic):
                client.subscribe(topic)
                client.send(json.dumps({"action": "publish", "topic": topic}, ensure_ascii=False).encode() + b"\0")
                client.expect_message(topic)
        bad = ["", "a" * 256, "é" * 128, "😀" * 64, "\0", "\n", "a\x1f", "\x7f", "\x80", "a\x9fb", "\x85"]
        for topic in bad:
            for members in ({"action": "subscribe", "data": topic}, {"action": "unsubscribe", "data": topic},
                            {"action": "publish", "topic": topic}):
                with self.subTest(bad=members):
                    self.refused(json.dumps(members).encode() + b"\0", "topic|data")
        self.refused('{"action":"subscribe","data":"\x85"}\0'.encode(), "control")

    def test_unknown_frames(self):
        for data in (b"x\0", b"PIN\0", b"PINGS\0", b"ping\0", b"[]\0", b'"a"\0', b"null\0", b"GET / HTTP/1.1\r\n\r\n", b"\1\0",
                     b"<regular-socket>\0", b"PUBLISH {\0", b"PUBLISH\0[]", b"PUBLISH\0x", b"PUBLISH\0\0" + OBJECT,
                     b"PUBLISH\0PING\0" + OBJECT, b" x\0", b'PUBLISH\0{"topic":"a"\0'):
            with self.subTest(data=data):
                self.refused(data)

    def test_unknown_action_keeps_the_connection(self):
        client = self.connect()
        for action in ("", "Subscribe", "publish ", "x" * 1000, "\u0000"):
            with self.subTest(action=action):
                client.action(action, data="a")
                client.expect_error("unknown action")
        client.subscribe("a")
        client.publish("a")
        client.expect_message("a")
        self.assertEqual(self.janus.count("bad_input"), 0)

    def test_frame_too_long(self):
        most = 256 * 1024
        head = b'{"action":"publish","topic":"a","data":"'
        whole = head + b"x" * (most + 1 - len(head) - 2) + b'"}\0'
        self.assertEqual(len(whole), most + 2)
        self.refused(whole, "too long")
        self.refused(head + b"x" * most, "too long")            # no end in sight
        self.refused(b" " * (most + 1), "too long")
        classic = b'{"topic":"a","data":"'
        self.refused(b"PUBLISH\0" + classic + b"x" * (most + 1 - len(classic) - 2) + b'"}', "too long")

    def test_error_is_readable_after_more_input(self):
        """What was sent behind the bad frame must not turn the error into a reset."""
        for more in (b"PING\0" * 10, b"y" * 100000, b'{"action":"subscribe","data":"b"}\0' * 20000):
            with self.subTest(more=len(more)):
                client = self.connect()
                client.send(b'{"action":"subscribe","data":"a"}\0{"bad"}\0' + more)
                client.expect(b"ACK")
                client.expect_error()
                client.expect_close()
                client.close()
        self.assertEqual(self.janus.count("bad_input"), 3)
        wait_until(lambda: self.janus.connections() == 0, what="all connections' end")

    def test_good_frames_before_a_bad_one_count(self):
        client, bad = self.connect().subscribe("a"), self.connect()
        bad.send(b'{"action":"publish","topic":"a","n":1}\0' * 3 + b"rubbish\0" + b'{"action":"publish","topic":"a","n":2}\0')
        bad.expect_error()
        bad.expect_close()
        for _ in range(3):
            client.expect_message("a", n=1)
        client.publish("a", n=3)
        client.expect_message("a", n=3)

    def test_end_within_a_frame(self):
        for part in (b'{"action":"subs', b"PUBLISH\0", b"PUBLISH\0" + OBJECT[:-1], b"PIN"):
            with self.subTest(part=part):
                client = self.connect()
                client.send(part)
                client.half_close()
                client.expect_error("within a frame")
                client.expect_close()

    def test_others_are_not_disturbed(self):
        """A subscriber gets all of a publisher's messages, in order, while others send rubbish."""
        client, publisher = self.connect().subscribe("a"), self.connect()
        for n in range(100):
            publisher.publish("a", n=n)
            self.refused((b'{"action":"publish","topic":"a"', b"rubbish", b'{"a":', b"\xff")[n % 4] + b"\0" + b"x" * n * 50)
        for n in range(100):
            client.expect_message("a", n=n)
        self.assertEqual(self.janus.count("bad_input"), 100)

    def test_closed_peer_with_much_to_send(self):
        """A client that goes away in the middle of what it is sent harms nobody."""
        publisher = self.connect()
        for end in ("close", "reset", "half_close"):
            gone, stays = self.connect().subscribe("a"), self.connect().subscribe("a")
            for n in range(20):
                publisher.publish("a", n=n, data="x" * 50000)
            gone.frame()
            getattr(gone, end)()
            for n in range(20):
                stays.expect_message("a", n=n)
            stays.close()
            gone.close()
        wait_until(lambda: self.janus.connections() == 1, what="the connections' end")


if __name__ == "__main__":
    unittest.main()
