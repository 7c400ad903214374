"""Caddy from Debian's packages, with examples/caddy."""

import harness
from gateways import GatewayTestCase, find_program


class CaddyTest(GatewayTestCase):
    program = "caddy"

    def serve(self, *more):
        config = self.example("caddy/Caddyfile", [
            ("unix//run/sluice/check.sock", "unix/" + self.sluice.check_address[len("unix:"):]),
            ("127.0.0.1:9000", f"127.0.0.1:{self.origin.port}"), (":8080", f":{self.port}"), *more])
        self.run_gateway(["env", f"HOME={self.folder}", f"XDG_DATA_HOME={self.folder}", f"XDG_CONFIG_HOME={self.folder}",
                          find_program("caddy"), "run", "--adapter", "caddyfile", "--config", config])

    def test_allowed_and_refused(self):
        self.serve()
        self.check_allowed_and_refused()

    def test_throttled(self):
        self.serve()
        self.check_throttled()

    def test_sluice_stopped_closed(self):
        self.serve()
        self.check_stopped_closed()

    def test_sluice_stopped_open(self):
        self.serve(('\t\theader Retry-After 1\n\t\theader Cache-Control no-store\n\t\trespond "try again" 503\n', ""),
                   ("#open: ", ""))
        self.check_stopped_open()

    def test_sluice_slow(self):
        self.serve()
        self.check_slow()


if __name__ == "__main__":
    harness.main()
