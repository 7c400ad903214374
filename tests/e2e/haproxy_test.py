"""HAProxy from Debian's packages, with examples/haproxy: by SPOE, and by its Lua client."""

import harness
from gateways import GatewayTestCase, find_program


class HaproxyTestCase(GatewayTestCase):
    program = "haproxy"

    def addresses(self):
        return [("127.0.0.1:9000", f"127.0.0.1:{self.origin.port}"), ("127.0.0.1:8080", f"127.0.0.1:{self.port}")]

    def start_haproxy(self, config):
        self.run_gateway([find_program("haproxy"), "-db", "-f", config])


class SpoeTest(HaproxyTestCase):
    def serve(self, *more):
        spoe = self.example("haproxy/sluice-spoe.conf", [])
        config = self.example("haproxy/haproxy-spoe.cfg", [
            *self.addresses(), ("/etc/haproxy/sluice-spoe.conf", spoe),
            ("127.0.0.1:7071", f"127.0.0.1:{self.spoe_port}"), *more])
        self.start_haproxy(config)
        harness.await_condition(lambda: self.ask("/ready").status == 200, "HAProxy finds its agent")

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
        # Its one line, that says closed.
        line = next(each for each in (harness.SOURCE / "examples/haproxy/haproxy-spoe.cfg").read_text().splitlines()
                    if each.endswith("#closed"))
        self.serve((line, ""))
        self.check_stopped_open()

    def test_sluice_slow(self):
        self.serve()
        self.check_slow(seconds=1.5)


class LuaTest(HaproxyTestCase):
    def serve(self, *more):
        script = self.example("haproxy/sluice.lua", [("127.0.0.1:7070", f"127.0.0.1:{self.http_port}")])
        config = self.example("haproxy/haproxy-lua.cfg", [*self.addresses(), ("/etc/haproxy/sluice.lua", script), *more])
        self.start_haproxy(config)

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
        self.serve(("cdn closed", "cdn open"))
        self.check_stopped_open()

    def test_sluice_slow(self):
        self.serve()
        self.check_slow(seconds=5)


if __name__ == "__main__":
    harness.main()
