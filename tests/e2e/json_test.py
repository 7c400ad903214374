"""docs/gateways/json.md: what it tells to send, sent to the socket that it names."""

import http.client
import json
import re
import socket

import harness

PAGE = harness.SOURCE / "docs" / "gateways" / "json.md"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("sluice", timeout=harness.DEADLINE_SECONDS)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class JsonTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.sluice = self.node().start()
        self.sluice.apply(*harness.standard_policy(), harness.policy_pb2.PolicyEvent(
            role=harness.check_pb2.ROLE_OPERATIONS,
            bind_domain=harness.policy_pb2.BindDomain(host="www.example.cn", account="u1", bucket="b1",
                                                      geo=harness.policy_pb2.GEO_FOREIGN)))

    def post(self, path, body):
        connection = UnixConnection(self.sluice.check_address[len("unix:"):])
        try:
            connection.request("POST", path, body=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def test_the_commands_of_the_page(self):
        commands = re.findall(r"\$ curl --unix-socket /run/sluice/check\.sock http://sluice(\S+) \\\n +-d '(.*)'",
                              PAGE.read_text(encoding="utf-8"))
        self.assertEqual([path for path, _ in commands], ["/v1/check", "/v1/report"])
        check, report = (body for _, body in commands)
        status, answer = self.post("/v1/check", check)
        self.assertEqual((status, answer["verdict"]), (200, "VERDICT_ALLOW"))
        for _ in range(2):  # told again: counted once
            self.assertEqual(self.post("/v1/report", report), (200, {"accepted": "1"}))
        self.sluice.apply(harness.freeze("u1"))
        status, answer = self.post("/v1/check", check)
        self.assertEqual((status, answer["verdict"], answer["reason"]), (200, "VERDICT_DENY", "REASON_ACCOUNT_FROZEN"))
        status, answer = self.post("/v1/check", "{")
        self.assertEqual(status, 400)
        self.assertIn("CheckRequest", answer["detail"])


if __name__ == "__main__":
    harness.main()
