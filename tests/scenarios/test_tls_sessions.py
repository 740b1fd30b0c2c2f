"""What sessions are without TLS they are with it: those that stay, are attached to and are moved between workers; over kills, reloads and upgrades."""
import os
import unittest

import janus_test
import test_sessions
from janus_test import wait_until
from programs import OTHER_BUILD, Program
from tls_test import TlsTest


class Attach(TlsTest, test_sessions.Attach):
    test_of_one_that_is_over = None     # (its worker is stopped while clients come)


class Ends(TlsTest, test_sessions.Ends):
    pass


class Survive(TlsTest, test_sessions.Survive):
    pass


class Points(TlsTest, test_sessions.Points):
    pass


if __name__ == "__main__":
    unittest.main()
