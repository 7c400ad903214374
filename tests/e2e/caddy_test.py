"""Caddy from Debian's packages, with examples/caddy."""

import harness
from gateways import EveryGateway, GatewayTestCase, MayFailOpen, find_program


class CaddyTest(EveryGateway, MayFailOpen, GatewayTestCase):
    program = "caddy"
    open_edits = [('\t\theader Retry-After 1\n\t\theader Cache-Control no-store\n\t\trespond "try again" 503\n', ""),
                  ("#open: ", "")]

    def serve(self, *more):
        config = self.example("caddy/Caddyfile", [
            ("unix//run/sluice/check.sock", "unix/" + self.sluice.check_address[len("unix:"):]),
            ("127.0.0.1:9000", f"127.0.0.1:{self.origin.port}"), (":8080", f":{self.port}"),
            ("/var/log/caddy/sluice.log", self.folder / "access.log"), *more])
        self.run_gateway(["env", f"HOME={self.folder}", f"XDG_DATA_HOME={self.folder}", f"XDG_CONFIG_HOME={self.folder}",
                          find_program("caddy"), "run", "--adapter", "caddyfile", "--config", config])

    def test_usage_comes_back_from_the_log(self):
        self.serve()
        self.assertIn("2 lines", self.check_usage_comes_back(self.folder / "access.log", written='"status":200'))


if __name__ == "__main__":
    harness.main()
