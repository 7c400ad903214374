"""nginx from Debian's packages, with examples/nginx."""

import harness
from gateways import EveryGateway, GatewayTestCase, MayFailOpen, find_program


class NginxTest(EveryGateway, MayFailOpen, GatewayTestCase):
    program = "nginx"
    open_edits = [("#open: ", "")]

    def serve(self, *more):
        config = self.example("nginx/nginx.conf", [
            ("/run/nginx-sluice.pid", self.folder / "nginx.pid"),
            ("unix:/run/sluice/check.sock", self.sluice.check_address),
            ("127.0.0.1:9000", f"127.0.0.1:{self.origin.port}"),
            ("127.0.0.1:8080", f"127.0.0.1:{self.port}"),
            ("/var/log/nginx/sluice.log", self.folder / "access.log"), *more])
        self.run_gateway([find_program("nginx"), "-p", self.folder, "-c", config, "-g",
                          "daemon off; user root; master_process off;"])

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

    def test_usage_comes_back_from_the_log(self):
        self.serve()
        self.assertIn("2 lines", self.check_usage_comes_back(self.folder / "access.log", flags=["--host-first"]))


if __name__ == "__main__":
    harness.main()
