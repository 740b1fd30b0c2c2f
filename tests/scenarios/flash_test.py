"""What the tests of the flash-socket protocol have in common."""
import re

from janus_test import JanusTest

SOCKET = b"<regular-socket/>\0"
TIMESTAMP = rb'\{"timestamp":\[(\d+),(\d{1,6}),(\d{1,6})\],'
GREETING = TIMESTAMP + rb'"token":\[((?:\d+,){31}\d+)\]\}'
SUBSCRIBER = SOCKET + b"PING\0" + SOCKET + b'{"action":"subscribe","data":"events"}\0'
UNSUBSCRIBE = SOCKET + b'{"action":"unsubscribe","data":"events"}\0'
OBJECT = b'{"topic":"events","event":"test_event","message_id":"","data":"test"}'
PUBLISHER = SOCKET + b"PUBLISH\0" + OBJECT


class FlashTest(JanusTest):
    def setUp(self):
        self.janus = self.server(workers=2)
        self.address = self.janus.address()

    def connect(self, **more):
        return self.client(self.janus, address=self.address, **more)

    def publish_classic(self, data=PUBLISHER):
        publisher = self.connect()
        publisher.send(data)
        publisher.expect_close()
        publisher.close()

    def expect_text(self, client, text):
        """The next frame is this text with a timestamp in front."""
        frame = client.message_text()
        found = re.match(TIMESTAMP, frame)
        self.assertTrue(found, frame[:200])
        self.assertEqual(b"{" + frame[found.end():], text)
