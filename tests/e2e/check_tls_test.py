"""Checks of other machines: by mutual TLS, with real clients of two makes, and never without."""

import subprocess

import grpc

import harness
from certificates import Authority, put
from harness import check_pb2, check_pb2_grpc, health_pb2, health_pb2_grpc

METHODS = [method.name for method in check_pb2.DESCRIPTOR.services_by_name["Enforcement"].methods]
MISCONFIGURED = 2
UNREACHABLE = 3


class CheckTlsTest(harness.TestCase):

    def setUp(self):
        super().setUp()
        self.trusted, self.other = Authority(self.folder, "trusted"), Authority(self.folder, "other")
        self.key, self.certificate = self.folder / "live.key", self.folder / "live.pem"
        self.authorities = self.folder / "authorities.pem"
        for source, target in zip(self.trusted.sign("node", "IP:127.0.0.1"), (self.key, self.certificate)):
            put(source, target)
        put(self.trusted.certificate, self.authorities)
        self.gateway = self.trusted.sign("gateway", "DNS:gateway.example.cn")

    def tls_node(self, *flags):
        node = self.node("--listen-check-tls", "127.0.0.1:0", "--check-tls-certificate", str(self.certificate),
                         "--check-tls-key", str(self.key), "--check-tls-client-ca", str(self.authorities), *flags)
        node.start()
        node.tls_address = node.await_record("listening", **{"for": "checks by mutual TLS"})["address"]
        node.apply(*harness.standard_policy(), harness.freeze("u2"))
        return node

    def channel(self, node, authority, who):
        """A secure channel that believes `authority` and shows the key and certificate `who`, or none."""
        key, certificate = (path.read_bytes() for path in who) if who else (None, None)
        credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes(), key, certificate)
        channel = grpc.secure_channel(node.tls_address, credentials, harness.CHANNEL_OPTIONS)
        self.addCleanup(channel.close)
        return channel

    def ask(self, node, authority=None, who=None, request=None):
        stub = check_pb2_grpc.EnforcementStub(self.channel(node, authority or self.trusted, who))
        return stub.Check(request or harness.download(), timeout=harness.DEADLINE_SECONDS)

    def may(self, node, authority=None, who=None):
        """The methods that may be called so: every one there is, or none."""
        stub = check_pb2_grpc.EnforcementStub(self.channel(node, authority or self.trusted, who))
        ask = harness.download()
        calls = {"Check": lambda: stub.Check(ask, timeout=harness.DEADLINE_SECONDS),
                 "CheckBatch": lambda: stub.CheckBatch(check_pb2.CheckBatchRequest(requests=[ask]),
                                                       timeout=harness.DEADLINE_SECONDS),
                 "CheckStream": lambda: list(stub.CheckStream(iter([ask]), timeout=harness.DEADLINE_SECONDS)),
                 "Report": lambda: stub.Report(check_pb2.ReportRequest(), timeout=harness.DEADLINE_SECONDS)}
        self.assertEqual(set(calls), set(METHODS))
        let = []
        for name, call in calls.items():
            try:
                call()
                let.append(name)
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE, error.details())
        return let

    def refused(self, node, authority=None, who=None):
        let = self.may(node, authority, who)
        self.assertIn(let, ([], METHODS))
        return not let

    def test_whoever_shows_a_certificate_of_the_authority_asks_like_anyone(self):
        node = self.tls_node()
        self.assert_decision(self.ask(node, who=self.gateway), "ALLOW")
        frozen = harness.download(bucket="b9", requester="u2")
        self.assert_decision(self.ask(node, who=self.gateway, request=frozen), "DENY", "ACCOUNT_FROZEN", "7.2.1")
        self.assert_decision(node.check(frozen), "DENY", "ACCOUNT_FROZEN", "7.2.1")  # as over the Unix socket
        stub = check_pb2_grpc.EnforcementStub(self.channel(node, self.trusted, self.gateway))
        verdicts = [answer.verdict for answer in stub.CheckStream(iter([harness.download(), frozen]))]
        self.assertEqual(verdicts, [node.check(harness.download()).verdict, node.check(frozen).verdict])
        health = health_pb2_grpc.HealthStub(self.channel(node, self.trusted, self.gateway))
        self.assertEqual(health.Check(health_pb2.HealthCheckRequest()).status, health_pb2.HealthCheckResponse.SERVING)
        self.assertEqual(node.stop(), 0)

    def test_another_client_asks_the_same_way(self):
        node = self.tls_node()
        check = ("check", "--op", "DOWNLOAD", "--bucket", "b1", "--key", "k1", "--requester", "u1")
        shown = ("--tls-ca", self.trusted.certificate, "--tls-key", self.gateway[0], "--tls-cert", self.gateway[1])
        result = node.ctl(*check, "--check-server", node.tls_address, "--check-tls", *shown)
        self.assert_exit(result, 0)
        self.assertIn("ALLOW", result.stdout)
        self.assert_exit(node.ctl(*check, "--check-server", node.tls_address, "--check-tls", *shown[:2]), UNREACHABLE)
        self.assert_exit(node.ctl(*check, "--check-server", node.tls_address), UNREACHABLE)
        self.assert_exit(node.ctl(*check, "--check-tls"), 2)

    def test_nobody_else_gets_as_far_as_a_call(self):
        node = self.tls_node()
        stranger = self.other.sign("stranger", "DNS:gateway.example.cn")  # the right name, by the wrong authority
        self.assertTrue(self.refused(node))
        self.assertTrue(self.refused(node, who=stranger))
        self.assertTrue(self.refused(node, authority=self.other, who=self.gateway))  # nor is the node taken for another
        with grpc.insecure_channel(node.tls_address, options=harness.CHANNEL_OPTIONS) as plain:
            stub = check_pb2_grpc.EnforcementStub(plain)
            self.assert_rpc_error(grpc.StatusCode.UNAVAILABLE, lambda: stub.Check(harness.download()))
        for version, works in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
            tried = subprocess.run(["openssl", "s_client", "-connect", node.tls_address, version, "-CAfile",
                                    str(self.trusted.certificate), "-cert", str(self.gateway[1]), "-key",
                                    str(self.gateway[0]), "-alpn", "h2", "-cipher", "DEFAULT@SECLEVEL=0"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   encoding="utf-8", errors="replace", check=False, timeout=harness.DEADLINE_SECONDS)
            self.assertEqual("Cipher is (NONE)" not in tried.stdout, works, (version, tried.stdout))
        self.assert_decision(self.ask(node, who=self.gateway), "ALLOW")

    def test_certificates_and_authorities_are_changed_without_a_restart(self):
        node = self.tls_node()
        open_stub = check_pb2_grpc.EnforcementStub(self.channel(node, self.trusted, self.gateway))
        self.assert_decision(open_stub.Check(harness.download(), timeout=harness.DEADLINE_SECONDS), "ALLOW")
        moved = self.other.sign("moved", "DNS:gateway.example.cn")
        for source, target in zip(self.other.sign("node2", "IP:127.0.0.1"), (self.key, self.certificate)):
            put(source, target)
        put(self.other.certificate, self.authorities)
        harness.await_condition(lambda: not self.refused(node, authority=self.other, who=moved),
                                "the new pair is in use")
        # Who was right before is a stranger now; who is connected stays so.
        self.assertTrue(self.refused(node, authority=self.other, who=self.gateway))
        self.assertTrue(self.refused(node, who=self.gateway))
        self.assert_decision(open_stub.Check(harness.download(), timeout=harness.DEADLINE_SECONDS), "ALLOW")

    def test_a_plain_listener_beyond_this_machine_has_to_be_asked_for(self):
        others = {"--listen-check": f"unix:{self.folder}/c.sock", "--listen-admin": f"unix:{self.folder}/a.sock",
                  "--store-path": f"{self.folder}/store"}
        for flag in ("--listen-check", "--doors-listen", "--doors-spoe"):
            flags = {**others, flag: "0.0.0.0:0"}
            words = [word for pair in flags.items() for word in pair]
            result = subprocess.run([str(harness.SLUICED), "--check-config", *words], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, encoding="utf-8", check=False)
            self.assert_exit(result, MISCONFIGURED)
            self.assertIn(f"{flag}: wanted a Unix socket or an address of this machine", result.stderr)
            self.assertIn("listen.plain_beyond_host", result.stderr)
        node = self.node("--doors-listen", "0.0.0.0:0", "--listen-plain-beyond-host", "true").start()
        self.assertIsNotNone(node.await_record("listening", **{"for": "gateways"}))

    def test_tls_without_all_of_its_files_is_refused(self):
        flags = {"--listen-check-tls": "127.0.0.1:0", "--check-tls-certificate": str(self.certificate),
                 "--check-tls-key": str(self.key), "--check-tls-client-ca": str(self.authorities)}
        for left_out in flags:
            rest = [word for flag, value in flags.items() if flag != left_out for word in (flag, value)]
            code, said = self.node(*rest, name=f"without{left_out}").run_to_end()
            self.assertEqual(code, MISCONFIGURED, said)
            self.assertIn("listen.check_tls", said)
        code, said = self.node("--listen-check-tls", f"unix:{self.folder}/t.sock", name="unix").run_to_end()
        self.assertEqual(code, MISCONFIGURED, said)
        self.assertIn("wanted HOST:PORT, [IPV6]:PORT or off", said)


if __name__ == "__main__":
    harness.main()
