"""h2o from Debian's packages, with examples/h2o."""

import harness
from gateways import EveryGateway, GatewayTestCase, MayFailOpen, find_program


class H2oTest(EveryGateway, MayFailOpen, GatewayTestCase):
    program = "h2o"
    open_edits = [("#open: ", "")]

    def serve(self, *more):
        config = self.example("h2o/h2o.conf", [
            ("http://127.0.0.1:7070/", f"http://127.0.0.1:{self.http_port}/"),
            ("/var/log/h2o/sluice.log", self.folder / "access.log"),
            ("http://127.0.0.1:9000/", f"http://127.0.0.1:{self.origin.port}/"), ("port: 8080", f"port: {self.port}"),
            *more])
        self.run_gateway([find_program("h2o"), "-m", "worker", "-c", config])

    def test_usage_comes_back_from_the_log(self):
        self.serve()
        self.assertIn("2 lines", self.check_usage_comes_back(self.folder / "access.log"))

    def test_usage_is_not_forged(self):
        self.serve()
        self.check_usage_is_not_forged(self.folder / "access.log")


if __name__ == "__main__":
    harness.main()
