"""nginx from Debian's packages, with examples/nginx."""

import harness
from gateways import GatewayTestCase, find_program


class NginxTest(GatewayTestCase):
    program = "nginx"

    def serve(self, *more):
        config = self.example("nginx/nginx.conf", [
            ("/run/nginx-sluice.pid", self.folder / "nginx.pid"),
            ("unix:/run/sluice/check.sock", self.sluice.check_address),
            ("127.0.0.1:9000", f"127.0.0.1:{self.origin.port}"),
            ("127.0.0.1:8080", f"127.0.0.1:{self.port}"),
            ("/var/log/nginx/sluice.log", self.folder / "access.log"), *more])
        self.run_gateway([find_program("nginx"), "-p", self.folder, "-c", config, "-g",
                          "daemon off; user root; master_process off;"])

    def test_allowed_and_refused(self):
        self.serve()
        self.check_allowed_and_refused()

    def test_throttled(self):
        self.serve()
        self.check_throttled()

    def test_shaped(self):
        self.serve()
        self.check_shaped()

    def test_s3_dialect(self):
        self.serve(("sluice/nginx/cdn", "sluice/nginx/s3-path"))
        self.assert_status(self.ask("/b1/k"), 200)
        self.assert_status(self.ask("/b2/k"), 403)
        self.assert_status(self.ask("/b3/k"), 200)
        throttled = self.ask("/b3/k")
        self.assert_status(throttled, 503)
        self.assertEqual(throttled.headers["Retry-After"], "4")
        # Clients cannot say what they asked for.
        spoofed = self.ask("/b2/k", headers={"X-Original-URI": "/b1/k", "X-Original-Method": "OPTIONS"})
        self.assert_status(spoofed, 403)

    def test_sluice_stopped_closed(self):
        self.serve()
        self.check_stopped_closed()

    def test_sluice_stopped_open(self):
        self.serve(("#open: ", ""))
        self.check_stopped_open()

    def test_sluice_slow(self):
        self.serve()
        self.check_slow()

    def test_usage_comes_back_from_the_log(self):
        self.sluice.apply(harness.policy_pb2.PolicyEvent(
            role=harness.check_pb2.ROLE_BILLING,
            set_limit=harness.policy_pb2.SetLimit(
                limit_id="bytes", level=harness.policy_pb2.LEVEL_CONTRACT,
                scope=harness.policy_pb2.LIMIT_SCOPE_ACCOUNT, subject=harness.policy_pb2.Subject(account="u1"),
                dimension=harness.policy_pb2.DIMENSION_BYTES_OUT, rate=1000, burst=100_000)))
        self.serve()
        self.assert_status(self.ask("/big"), 200)
        self.assert_status(self.ask("/k"), 200)  # nothing was reported yet

        def logged():
            log = self.folder / "access.log"
            return log.exists() and log.read_text(encoding="utf-8").count("\n") >= 2
        harness.await_condition(logged, "nginx writes its log")
        tail = ["tail-usage", self.folder / "access.log", "--host-first", "--from-start", "--once"]
        first = self.sluice.ctl(*tail)
        self.assert_exit(first, 0)
        self.assertIn("2 lines", first.stdout)
        again = self.sluice.ctl(*tail)
        self.assertIn("0 lines", again.stdout)
        throttled = self.ask("/k")
        self.assert_status(throttled, 429)
        self.assertGreater(int(throttled.headers["Retry-After"]), 60)  # a debt of two bursts at 1,000 a second


if __name__ == "__main__":
    harness.main()
