#!/usr/bin/env python3
"""The picture of the page that README shows: a server, Chromium, some messages.

    tests/scenarios/page_picture.py [FILE]      packaging/page.png
"""
import base64
import os
import sys

import browser
from janus_test import ROOT, wait_until
from web_clients import WebTest

FILE = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "packaging", "page.png")
SIZE = {"width": 1120, "height": 700, "deviceScaleFactor": 1, "mobile": False}
WATCHES = "#subscribe=events&subscribe=prices.>&login=alice"
MESSAGES = (("/pub/events", "hello"), ("/pub/prices.eur?event=price", {"eur": 7.5, "change": -0.02}), ("/pub/events?event=login", "bob is here"),
            ("/send/alice", "hi alice"), ("/pub/prices.gold?event=price", {"usd": 2391.4, "at": ["London", "Zürich"]}))


class Picture(WebTest):
    workers = 1

    def runTest(self):
        page = browser.Browser()
        self.addCleanup(page.close)
        page.call("Emulation.setDeviceMetricsOverride", **SIZE)
        page.call("Emulation.setScrollbarsHidden", hidden=True)
        page.open("http://%s/%s" % (self.origin, WATCHES))
        page.wait("document.readyState === 'complete' && janus.connected")
        wait_until(lambda: self.janus.subscriptions() == 3, what="what the page watches")
        for target, data in MESSAGES:
            self.post(target, data)
        page.wait("$('#rate').textContent === '0/s, %d in all'" % len(MESSAGES))
        with open(FILE, "wb") as f:
            f.write(base64.b64decode(page.call("Page.captureScreenshot", format="png")["data"]))


if __name__ == "__main__":
    result = Picture().run()
    for _, text in result.errors + result.failures:
        print(text, file=sys.stderr)
    sys.exit(not result.wasSuccessful())
