"""What tests of janusctl stand on."""
import json

from web_clients import WebTest


class CtlTest(WebTest):
    def ctl(self, *arguments, status=0):
        got, out, err = self.janus.ctl(*arguments)
        self.assertEqual(got, status, out + err)
        return out

    def ask_ctl(self, *arguments, status=0):
        return json.loads(self.ctl("--json", *arguments, status=status))

    def listed(self, *filters):
        return self.ask_ctl("clients", *filters)["clients"]

    def ids(self, *filters):
        return [c["id"] for c in self.listed(*filters)]
