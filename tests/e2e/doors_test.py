"""The paths of the doors, as gateways find them on the data path's socket; and what docs/gateways/json.md tells to send."""

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


class DoorsTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.sluice = self.node().start()
        self.sluice.apply(*harness.standard_policy(), harness.policy_pb2.PolicyEvent(
            role=harness.check_pb2.ROLE_OPERATIONS,
            bind_domain=harness.policy_pb2.BindDomain(host="www.example.cn", account="u1", bucket="b1",
                                                      geo=harness.policy_pb2.GEO_FOREIGN)))

    def ask(self, method, path, body=None, **headers):
        """Status, headers and body."""
        connection = UnixConnection(self.sluice.check_address[len("unix:"):])
        try:
            connection.request(method, path, body=body, headers={name.replace("_", "-"): value
                                                                 for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def post(self, path, body):
        status, _, answer = self.ask("POST", path, body, Content_Type="application/x-www-form-urlencoded")
        return status, json.loads(answer)

    def test_envoys_http_mode(self):
        # The client's own request, its path behind the prefix; 200 exactly lets it pass.
        for method, status in (("GET", 200), ("PUT", 200), ("BREW", 400)):
            self.assertEqual(self.ask(method, "/envoy/cdn/k?x=1", Host="www.example.cn", Content_Length="0")[0], status)
        self.sluice.apply(harness.freeze("u1"))
        status, headers, body = self.ask("GET", "/envoy/cdn/k", Host="www.example.cn")
        self.assertEqual((status, headers["Cache-Control"]), (403, "no-store"))
        self.assertIn(b'"status":403', body)
        self.assertEqual(self.ask("GET", "/envoy/s3-path/b9/k", Host="s3.example.cn")[0], 200)

    def test_a_profile_that_is_none_is_said_and_counted(self):
        for path in ("/nginx/nonsense", "/forward/nonsense", "/envoy/nonsense/k", "/envoy/cdn"):
            status, headers, body = self.ask("GET", path, Host="www.example.cn")
            if path.startswith("/nginx"):  # which takes 403 for a refusal, and anything else for an accident
                self.assertEqual((status, headers["X-Sluice-Status"]), (403, "400"))
                self.assertIn("PROFILE is cdn, s3-path", headers["X-Sluice-Message"])
            else:
                self.assertEqual(status, 400)
                self.assertIn(b"PROFILE is cdn, s3-path", body)
        self.assertEqual(self.sluice.metric("sluice_checks_malformed_total"), 4)

    def test_what_is_no_door(self):
        status, headers, _ = self.ask("GET", "/v1/check")
        self.assertEqual((status, headers["Allow"]), (405, "POST"))
        self.assertEqual(self.ask("GET", "/b1/k", Host="www.example.cn")[0], 404)  # no doors.fallback

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
