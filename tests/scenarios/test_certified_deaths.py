"""A worker dies as a connection whose client has a certificate begins, or becomes a stream by a token."""
import contextlib
import unittest

from crash_test import CRASH_BUILD, CrashTest
from janus_test import wait_until
from test_certified import OWN, CertifiedTest
from test_rights import NO_TOKEN, field, token
from web_clients import head_of


class Deaths(CrashTest, CertifiedTest):
    def serve(self, *options, **more):
        super().serve(*options, **dict(more, build=CRASH_BUILD))

    def test_begun(self):
        """A death while it begins: the client tries again, and nobody else has anything of it."""
        self.guard()
        for point in ("rights-written", "rights-put", "accept-opened"):
            with self.subTest(point=point):
                worker = self.janus.slot(0)["worker"]
                self.arm(point)
                with contextlib.ExitStack() as client:          # (which stays until then)
                    with contextlib.suppress(OSError, AssertionError):
                        client.callback(self.of("bob", "packet").close)
                    wait_until(lambda: not self.armed(point))
                    self.janus.wait_worker(0, worker)           # (the death is in the log by then)
                self.janus.forgive_deaths()
                wait_until(lambda: self.janus.connections() == 0)
                others = [self.of(None, "packet") for _ in range(3)]
                self.assertEqual([self.login(other, "bob") for other in others], 3 * [NO_TOKEN])
                for other in others:
                    other.close()
                wait_until(lambda: self.janus.connections() == 0)

    def test_a_stream_that_a_token_was_to_begin(self):
        """The token's rights are in shared memory already, and it is no stream yet. The request is dealt with again; before, it has nothing but the certificate's."""
        self.guard_tokens()
        for point in ("rights-written", "rights-put", "stream-subscribed"):
            with self.subTest(point=point):
                client = self.http(tls=self.tls(certificate="bob"))
                self.assertEqual(client.ask("POST", "/pub/news", b"x").status, 200)
                self.arm(point)
                client.send(head_of("GET", "/sub/other", dict(field(token(**OWN)) + [("Accept", "text/event-stream")])))
                self.assertEqual(client.answer().status, 200)
                wait_until(lambda: not self.armed(point))
                self.janus.forgive_deaths()
                client.close()


if __name__ == "__main__":
    unittest.main()
