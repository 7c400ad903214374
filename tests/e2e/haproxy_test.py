"""HAProxy from Debian's packages, with examples/haproxy: by SPOE, and by its Lua client."""

import harness
from gateways import EveryGateway, GatewayTestCase, MayFailOpen, byte_limit, find_program

SPOE = (harness.SOURCE / "examples/haproxy/haproxy-spoe.cfg").read_text(encoding="utf-8")


class Haproxy(EveryGateway, MayFailOpen):
    program = "haproxy"

    def addresses(self):
        return [("127.0.0.1:9000", f"127.0.0.1:{self.origin.port}"), ("127.0.0.1:8080", f"127.0.0.1:{self.port}")]

    def start_haproxy(self, config):
        self.run_gateway([find_program("haproxy"), "-db", "-f", config])


class SpoeTest(Haproxy, GatewayTestCase):
    open_edits = [(next(line for line in SPOE.splitlines() if line.endswith("#closed")), "")]
    hung_seconds = 1.5

    def serve(self, *more, profile="cdn"):
        spoe = self.example("haproxy/sluice-spoe.conf", [("str(cdn)", f"str({profile})")])
        config = self.example("haproxy/haproxy-spoe.cfg", [
            *self.addresses(), ("/etc/haproxy/sluice-spoe.conf", spoe),
            ("127.0.0.1:7071", f"127.0.0.1:{self.spoe_port}"), *more])
        self.start_haproxy(config)
        harness.await_condition(lambda: self.ask("/ready").status == 200, "HAProxy finds its agent")

    def test_usage_comes_back_from_the_log(self):
        self.serve()
        self.check_usage_comes_back(self.log_path, flags=["--host-first"])

    def test_usage_is_not_forged(self):
        self.serve()
        self.check_usage_is_not_forged(self.log_path, flags=["--host-first"])

    def test_usage_comes_back_at_the_response(self):
        self.sluice.apply(byte_limit())
        self.serve(("#usage: ", ""))
        self.assert_status(self.ask("/big"), 200)
        # Nobody waits for the report, so the next request may come before it.
        throttled = harness.await_condition(
            lambda: next((each for each in [self.ask("/k")] if each.status != 200), None), "the report is counted")
        self.assert_status(throttled, 429)
        self.assertGreater(int(throttled.headers["Retry-After"]), 60)

    def test_what_has_no_value_is_no_header(self):
        self.serve()
        self.sluice.apply(harness.policy_pb2.PolicyEvent(
            role=harness.check_pb2.ROLE_OPERATIONS, set_maintenance=harness.policy_pb2.SetMaintenance()))
        answer = self.ask("/k")
        self.assert_status(answer, 503)
        self.assertNotIn("RateLimit", answer.headers)
        self.assertNotIn("Link", answer.headers)

    def test_bodies_have_their_type(self):
        self.serve()
        self.assertEqual(self.ask("/flagged.jpg").headers["Content-Type"], "application/problem+json")
        as_text = self.ask("/flagged.jpg", headers={"Accept": "text/html"})
        self.assertEqual(as_text.headers["Content-Type"], "text/plain; charset=utf-8")

    def test_s3_dialect(self):
        self.serve(profile="s3-path")
        self.assert_status(self.ask("/b1/k"), 200)
        refused = self.ask("/b2/k")
        self.assert_status(refused, 403)
        self.assertEqual(refused.headers["Content-Type"], "application/xml")
        self.assertIn(b"<Code>AccountProblem</Code>", refused.body)


class LuaTest(Haproxy, GatewayTestCase):
    open_edits = [("cdn closed", "cdn open")]
    hung_seconds = 5

    def serve(self, *more):
        script = self.example("haproxy/sluice.lua", [("127.0.0.1:7070", f"127.0.0.1:{self.http_port}")])
        config = self.example("haproxy/haproxy-lua.cfg", [*self.addresses(), ("/etc/haproxy/sluice.lua", script), *more])
        self.start_haproxy(config)


if __name__ == "__main__":
    harness.main()
