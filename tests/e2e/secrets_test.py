"""Secrets that gateways send along are nowhere behind the doors: not in answers, logs, metrics, traces or the decisions kept."""

import http.client
import json

import harness
from gateways import free_port
from harness import admin_pb2, tagged

SECRETS = ("PLANTED-SECRET-KEY", "PLANTED-AUTHORIZATION", "PLANTED-TOKEN", "PLANTED-SIGNATURE")


class SecretsTest(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.server = self.node("--doors-listen", f"127.0.0.1:{self.port}", "--log-level", "debug").start()
        self.server.apply(*harness.standard_policy(), harness.freeze("u2"))
        self.answers = []

    def post(self, path, body, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.DEADLINE_SECONDS)
        try:
            connection.request("POST", path, body=body, headers=headers)
            response = connection.getresponse()
            self.answers.append(f"{response.status} {response.headers} {response.read().decode()}")
        finally:
            connection.close()

    def ask_as_envoy(self):
        """envoy.service.auth.v3.CheckRequest, written by hand: the package for it is not in every run."""
        def header(name, value):
            return tagged(3, tagged(1, name) + tagged(2, value))
        http = (tagged(2, b"GET") + header(b"authorization", b"AWS AK:PLANTED-AUTHORIZATION") +
                tagged(4, b"/b9/k?X-Amz-Signature=PLANTED-SIGNATURE") + tagged(5, b"h.cn"))
        for profile in (b"s3-path", b"nonsense"):
            request = tagged(4, tagged(2, http)) + tagged(10, tagged(1, b"profile") + tagged(2, profile))
            # Longer than 127 bytes: the length has two.
            message = bytes([1 << 3 | 2, len(request) & 0x7F | 0x80, len(request) >> 7]) + request
            call = self.server.channel(self.server.check_address).unary_unary("/envoy.service.auth.v3.Authorization/Check")
            self.answers.append(call(message, timeout=harness.DEADLINE_SECONDS).decode("latin-1"))

    def test_nothing_of_them_comes_out_again(self):
        rgw = json.dumps({"input": {
            "method": "GET", "relative_uri": "/b9/k", "params": "X-Amz-Signature=PLANTED-SIGNATURE", "object_name": "k",
            "user_info": {"user_id": "u2", "keys": [{"user": "u2", "secret_key": "PLANTED-SECRET-KEY"}]},
            "bucket_info": {"bucket": {"name": "b9"}, "owner": "u2"}}})
        minio = json.dumps({"input": {
            "account": "u2", "action": "s3:GetObject", "bucket": "b9", "object": "k",
            "conditions": {"Authorization": ["PLANTED-AUTHORIZATION"]}}})
        trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
        for body in (rgw, rgw[:-5], rgw.replace('"input"', '"output"'), "PLANTED-SECRET-KEY"):
            self.post("/ceph-rgw", body, **{"X-Auth-Token": "PLANTED-TOKEN"}, **trace)
        for body in (minio, minio[:-5], minio.replace("GetObject", "PLANTED-AUTHORIZATION")):
            self.post("/minio", body, Authorization="PLANTED-TOKEN", **trace)
        self.post("/nginx-rtmp", "app=b9&call=publish&name=s&token=PLANTED-TOKEN")
        self.post("/srs", json.dumps({"action": "on_play", "app": "b9", "stream": "s", "param": "?t=PLANTED-TOKEN"}))
        for uri in ("/b9/k?X-Amz-Signature=PLANTED-SIGNATURE", "b9/k?X-Amz-Signature=PLANTED-SIGNATURE"):
            forwarded = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": uri, "X-Forwarded-Host": "h.cn",
                         "Authorization": "AWS4-HMAC-SHA256 Credential=AK/x, Signature=PLANTED-SIGNATURE"}
            self.post("/forward/s3-path", "", **forwarded)
            self.post("/nginx/s3-path", "", **{name.replace("Forwarded", "Original"): value
                                              for name, value in forwarded.items()})
        self.ask_as_envoy()
        self.assertIn("AccountProblem", self.answers[-2])
        self.assertIn("context_extensions.profile", self.answers[-1])
        self.post("/v1/check", '{"operation":"PLANTED-TOKEN"', Authorization="PLANTED-AUTHORIZATION")

        decisions = list(self.server.decision_log().Query(admin_pb2.LogQuery(), timeout=harness.DEADLINE_SECONDS))
        self.assertGreaterEqual(len(decisions), 6)
        _, metrics = self.server.http_get("/metrics")
        self.server.stop()
        seen = {"answers": "\n".join(self.answers), "decisions": "\n".join(map(str, decisions)), "metrics": metrics,
                "log": self.server.log_text()}
        self.assertIn("k", seen["decisions"])
        for where, text in seen.items():
            for secret in SECRETS:
                if (where, secret) == ("answers", "PLANTED-TOKEN"):
                    continue  # what /v1/check cannot read is its caller's own text, and goes back to its caller alone
                self.assertNotIn(secret, text, where)


if __name__ == "__main__":
    harness.main()
