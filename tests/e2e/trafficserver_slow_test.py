"""Apache Traffic Server from Debian's packages, with examples/trafficserver."""

import harness
from gateways import EveryGateway, GatewayTestCase, find_program

# Where a process that is root, and has no /etc/trafficserver of its own, finds the rest.
RECORDS = """
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.log.max_secs_per_buffer INT 1
CONFIG proxy.config.crash_log_helper STRING NULL
CONFIG proxy.config.body_factory.template_sets_dir STRING /etc/trafficserver/body_factory
"""
LAYOUT = """prefix: {root}
exec_prefix: {root}
bindir: /usr/bin
sbindir: /usr/bin
sysconfdir: {root}/config
datadir: {root}/config
libexecdir: /usr/lib/trafficserver/modules
localstatedir: {root}/run
runtimedir: {root}/run
logdir: {root}/log
cachedir: {root}/cache
"""


class TrafficServerTest(EveryGateway, GatewayTestCase):
    program = "traffic_server"
    node_flags = ("--doors-fallback", "cdn", "--doors-host-header", "x-sluice-host",
                  "--doors-address-header", "x-sluice-address")
    away_status = 502
    hung_status = 504

    def serve(self, *more):
        root = self.folder / "ats"
        config = root / "config"
        for name in ("config", "run", "log", "cache"):
            (root / name).mkdir(parents=True)
        headers = self.example("trafficserver/sluice-headers.config", [])
        records = self.example("trafficserver/records.config", [("STRING 8080:", f"STRING {self.port}:")])
        (config / "records.config").write_text(records.read_text() + RECORDS)
        remap = (self.example("trafficserver/remap.config", [
            ("127.0.0.1:9000", f"127.0.0.1:{self.origin.port}"), ("127.0.0.1:7070", f"127.0.0.1:{self.http_port}"),
            ("/etc/trafficserver/sluice-headers.config", headers), *more])).read_text()
        rule = next(line for line in remap.splitlines() if line.startswith("map http://edge.example.cn/"))
        hosts = ("www", "cold", "slow")  # a rule each, for there are no wildcards
        (config / "remap.config").write_text(
            remap + "".join(rule.replace("//edge.", f"//{host}.") + "\n" for host in hosts))
        self.example("trafficserver/logging.yaml", []).rename(config / "logging.yaml")
        for name in ("plugin.config", "storage.config"):
            (config / name).touch()
        (config / "ip_allow.yaml").write_text("ip_allow: [{apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL}]\n")
        layout = root / "runroot.yaml"
        layout.write_text(LAYOUT.format(root=root))
        self.run_gateway([find_program("traffic_server"), f"--run-root={layout}"])

    def test_nobody_reaches_sluice_through_it(self):
        self.serve()
        for host in ("sluice.invalid:7070", f"127.0.0.1:{self.http_port}"):
            self.assertIn(self.ask("/v1/check", host=host, method="POST", body=b"{}").status, (403, 404))

    def test_clients_cannot_say_who_they_are(self):
        self.serve()
        spoofed = {"X-Sluice-Host": "www.example.cn", "X-Sluice-Address": "203.0.113.9"}
        self.assert_status(self.ask("/k", host="cold.example.cn", headers=spoofed), 403)

    def test_usage_comes_back_from_the_log(self):
        self.serve()
        log = self.folder / "ats" / "log" / "sluice.log"
        self.check_usage_comes_back(log, host="www.example.cn")  # its rules have no port
        self.assertNotIn("sluice.invalid", log.read_text(encoding="utf-8"))

    def test_usage_is_not_forged(self):
        self.serve()
        self.check_usage_is_not_forged(self.folder / "ats" / "log" / "sluice.log")


if __name__ == "__main__":
    harness.main()
