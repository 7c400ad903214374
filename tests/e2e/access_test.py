"""Who may tell: users by the kernel's word, tokens, certificates over TLS, and each of them changed without a restart."""

import os
import resource
import socket
import subprocess
import sys

import grpc

import harness
from certificates import Authority, end_of, put
from harness import admin_pb2, admin_pb2_grpc

REFUSED, USAGE, UNREACHABLE = 1, 2, 3
DENIED, UNKNOWN = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
NOBODY = 65534
PLACES, NEWCOMERS = 1024, 256  # for connections of administration, and for those of strangers


class AccessTest(harness.TestCase):

    def write_access(self, *callers):
        path = self.folder / "access.yaml"
        part = self.folder / "access.part"
        part.write_text("callers:\n" + "".join(f"- {{{caller}}}\n" for caller in callers), encoding="utf-8")
        part.chmod(0o644)
        part.rename(path)
        return path

    def token(self):
        """A token as sluicectl makes it: its file and its digest."""
        result = harness.run_ctl("token")
        self.assert_exit(result, 0)
        path = self.folder / f"token-{len(list(self.folder.glob('token-*')))}"
        path.write_text(result.stdout, encoding="utf-8")
        return path, result.stderr.split()[-1]

    def tcp_node(self, *flags):
        node = self.node(*flags)
        node.admin_address = "127.0.0.1:0"
        node.spawn()
        node.await_record("started")
        node.admin_address = node.await_record("listening", **{"for": "administration"})["address"]
        return node

    def test_a_user_is_known_by_the_kernel_and_each_attempt_is_logged_and_counted(self):
        me = os.geteuid()
        access = self.write_access(f"name: me, uid: {me}, roles: [BILLING], reads: [policy]")
        node = self.node("--admin-access", str(access)).start()
        result = node.ctl("account", "freeze", "u1")
        self.assert_exit(result, 0)
        result = node.ctl("flag", "add", "--bucket", "b1", "--category", "3.1.3.7")
        self.assert_exit(result, REFUSED)
        self.assertIn("raise_flag: wanted role SECURITY or LEGAL; me may send as BILLING", result.stderr)
        self.assert_rpc_error(DENIED, lambda: list(node.decision_log().Query(admin_pb2.LogQuery())), "reads: log", "me")
        record = node.record("admin call", method="Apply", outcome="DONE", applied=1)
        self.assertEqual((record["caller"], record["credential"], record["revision"]), ("me", f"uid {me}", 1))
        refused = node.record("event refused")
        self.assertEqual((refused["caller"], refused["change"], refused["level"]), ("me", "raise_flag", "warning"))
        self.assertEqual(node.record("admin call", method="Query")["outcome"], "DENIED")
        self.assertEqual(node.metric('sluice_admin_calls_total{method="Query",outcome="DENIED"}'), 1)
        self.assertEqual(node.metric("sluice_events_refused_total"), 1)

    def test_another_user_of_the_machine_is_a_stranger_even_where_the_socket_lets_it_connect(self):
        if os.geteuid() != 0:
            self.skipTest("only root can act as another user")
        self.folder.chmod(0o755)
        node = self.node("--listen-admin-mode", "0666")
        node.folder.chmod(0o755)
        node.start()
        try:
            result = subprocess.run([str(harness.SLUICECTL), "flag", "list"], user=NOBODY, group=NOBODY, extra_groups=[],
                                    env={**os.environ, "SLUICE_ADMIN": node.admin_address}, cwd="/",
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    encoding="utf-8", check=False)
        except PermissionError:
            self.skipTest("another user may not read the programs here")
        self.assert_exit(result, REFUSED)
        self.assertEqual(node.await_record("stranger at the admin socket")["uid"], NOBODY)
        self.assertIn("wanted a credential that the access file of this node knows", result.stderr)

    def test_the_access_file_is_taken_while_the_node_runs_and_a_faulty_one_is_not(self):
        me = os.geteuid()
        access = self.write_access(f"name: me, uid: {me}, reads: policy")
        node = self.node("--admin-access", str(access)).start()
        self.assert_exit(node.ctl("flag", "list"), 0)
        self.write_access(f"name: me, uid: {me}, reads: log")
        node.await_record("access file", in_force="as it is now")
        self.assert_exit(node.ctl("flag", "list"), REFUSED)
        self.write_access(f"name: me, uid: {me}, reads: everything")
        self.assertIn(":2: callers[0].reads: wanted policy or log", node.await_record("access file", level="error")["error"])
        self.assertEqual(node.metric("sluice_access_in_step"), 0)
        self.assertEqual(node.metric("sluice_access_refused_total"), 1)
        self.assert_exit(node.ctl("flag", "list"), REFUSED)

    def test_a_token_is_made_shown_and_changed_without_a_restart(self):
        old, old_digest = self.token()
        new, new_digest = self.token()
        self.assertEqual(len(old.read_text(encoding="utf-8").strip()), 43)  # 32 bytes in base64
        access = self.write_access(f"name: helper, token_sha256: {old_digest}, reads: [policy, log]")
        node = self.tcp_node("--admin-access", str(access))
        self.assert_exit(node.ctl("flag", "list", "--token-file", old), 0)
        self.assert_exit(node.ctl("log", "query", "--token-file", old), 0)
        self.assert_exit(node.ctl("flag", "list", "--token-file", new), REFUSED)
        self.assert_exit(node.ctl("flag", "list"), REFUSED)
        self.write_access(f"name: helper, token_sha256: {new_digest}, reads: policy")
        node.await_record("access file", in_force="as it is now")
        self.assert_exit(node.ctl("flag", "list", "--token-file", new), 0)
        self.assert_exit(node.ctl("flag", "list", "--token-file", old), REFUSED)
        self.assertNotIn(old.read_text(encoding="utf-8").strip(), node.log_text())
        self.assertNotIn(old_digest, node.log_text())

    def test_a_token_never_leaves_the_machine_in_the_clear(self):
        path, _ = self.token()
        result = harness.run_ctl("flag", "list", "--server", "192.0.2.1:7311", "--token-file", path)
        self.assert_exit(result, USAGE)
        self.assertIn("in the clear", result.stderr)

    def test_mutual_tls_tells_callers_apart_and_takes_new_certificates(self):
        trusted, other = Authority(self.folder, "trusted"), Authority(self.folder, "other")
        server_key, server_certificate = trusted.sign("server", "DNS:node.example.cn,IP:127.0.0.1")
        billing = trusted.sign("billing", "URI:spiffe://example.cn/billing")
        intruder = other.sign("intruder", "URI:spiffe://example.cn/billing")
        unknown = trusted.sign("unknown", "DNS:unknown.example.cn")
        live_key, live_certificate = self.folder / "live.key", self.folder / "live.pem"
        put(server_key, live_key)
        put(server_certificate, live_certificate)
        access = self.write_access(
            'name: billing, certificate: "spiffe://example.cn/billing", roles: [BILLING], reads: policy')
        node = self.tcp_node("--admin-access", str(access), "--admin-tls-certificate", str(live_certificate),
                             "--admin-tls-key", str(live_key), "--admin-tls-client-ca", str(trusted.certificate))

        def ctl(*command, ca=trusted, who=None):
            shown = ("--tls-cert", who[1], "--tls-key", who[0]) if who else ()
            return node.ctl(*command, "--tls-ca", ca.certificate, "--timeout", "20s", *shown)

        self.assert_exit(ctl("account", "freeze", "u1", who=billing), 0)
        self.assertEqual(node.record("admin call", method="Apply")["credential"], "certificate spiffe://example.cn/billing")
        self.assertEqual(node.metric('sluice_tls_expiry_timestamp_seconds{listener="admin"}'), end_of(live_certificate))
        result = ctl("flag", "add", "--bucket", "b1", "--category", "3.1.3.7", who=billing)
        self.assert_exit(result, REFUSED)
        self.assertIn("billing may send as BILLING", result.stderr)
        result = ctl("flag", "list", who=unknown)
        self.assert_exit(result, REFUSED)
        self.assertIn("no caller for certificate unknown.example.cn", result.stderr)
        # No certificate, one of another authority, a server of another authority, no TLS at all: none gets as far as a call.
        for command in (lambda: ctl("flag", "list"), lambda: ctl("flag", "list", who=intruder),
                        lambda: ctl("flag", "list", ca=other, who=billing), lambda: node.ctl("flag", "list")):
            self.assert_exit(command(), UNREACHABLE)
        # TLS 1.1 is not spoken; 1.2 is.
        host = node.admin_address
        for version, works in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
            tried = subprocess.run(["openssl", "s_client", "-connect", host, version, "-CAfile", str(trusted.certificate),
                                    "-cert", str(billing[1]), "-key", str(billing[0]), "-alpn", "h2", "-cipher",
                                    "DEFAULT@SECLEVEL=0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False,
                                   timeout=harness.DEADLINE_SECONDS)
            self.assertEqual("Cipher is (NONE)" not in tried.stdout, works, (version, tried.stdout))
        # A new certificate, of another authority, is shown without a restart.
        new_key, new_certificate = other.sign("server2", "IP:127.0.0.1")
        put(new_key, live_key)
        put(new_certificate, live_certificate)
        harness.await_condition(lambda: ctl("flag", "list", ca=other, who=billing).returncode == 0,
                                "the new certificate is shown")
        self.assert_exit(ctl("flag", "list", who=billing), UNREACHABLE)

    def test_connections_without_number_take_up_no_more_than_their_places(self):
        authority = Authority(self.folder, "trusted")
        key, certificate = authority.sign("server", "IP:127.0.0.1")
        operator = authority.sign("operator", "DNS:operator.example.cn")
        access = self.write_access('name: operator, certificate: "operator.example.cn", roles: [BILLING], reads: policy')
        node = self.tcp_node("--admin-access", str(access), "--admin-tls-certificate", str(certificate),
                             "--admin-tls-key", str(key), "--admin-tls-client-ca", str(authority.certificate))

        def ctl():
            return node.ctl("flag", "list", "--tls-ca", authority.certificate, "--tls-key", operator[0], "--tls-cert",
                            operator[1])

        def flood(count):
            host, _, port = node.admin_address.rpartition(":")
            sockets = [socket.create_connection((host, int(port)), timeout=harness.DEADLINE_SECONDS) for _ in range(count)]
            for each in sockets:
                self.addCleanup(each.close)
            return sockets

        self.assert_exit(ctl(), 0)
        enforcement = node.enforcement()
        enforcement.Check(harness.download(), timeout=harness.DEADLINE_SECONDS)
        before = node.metric("process_open_fds")
        silent = flood(600)
        self.assert_exit(ctl(), 0)
        # Of those that were cut gRPC may not have closed all.
        self.assertLess(node.metric("process_open_fds") - before, 2 * NEWCOMERS + 20)
        self.assertEqual(silent[0].recv(1), b"", "the oldest was cut")
        enforcement.Check(harness.download(), timeout=harness.DEADLINE_SECONDS)
        node.check(harness.download())  # over a new connection
        cut = 'sluice_protocol_errors_total{protocol="http2",error="too_many"}'
        self.assertGreaterEqual(node.metric(cut), 600 - NEWCOMERS)
        record = node.record("too many connections of administration", outcome="cut")
        self.assertRegex(record["origin"], r"^127\.0\.0\.1:\d+$")
        # What was closed counts no more.
        for each in silent:
            each.close()
        harness.await_condition(lambda: node.metric("process_open_fds") < before + 20, "the connections are closed")
        counted = node.metric(cut)
        flood(NEWCOMERS - 20)
        self.assert_exit(ctl(), 0)
        self.assertEqual(node.metric(cut), counted)

    def test_a_user_who_is_known_and_takes_all_places_gets_no_more_until_it_closes_some(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2 * PLACES
        if hard != resource.RLIM_INFINITY and hard < wanted:
            self.skipTest(f"wants {wanted} descriptors, may have {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        node = self.node().start()
        silent = []
        for _ in range(PLACES + 1):
            silent.append(socket.socket(socket.AF_UNIX))
            self.addCleanup(silent[-1].close)
            silent[-1].settimeout(harness.DEADLINE_SECONDS)
            silent[-1].connect(node.admin_address[len("unix:"):])
        self.assertEqual(silent[-1].recv(1), b"", "the last was refused")
        self.assertEqual(node.record("too many connections of administration")["outcome"], "refused")
        self.assertGreater(node.metric('sluice_protocol_errors_total{protocol="http2",error="too_many"}'), 0)
        for each in silent:
            each.close()
        harness.await_condition(lambda: node.ctl("flag", "list").returncode == 0, "there is a place again")

    def test_sockets_have_the_configured_owner_and_group(self):
        if os.geteuid() != 0:
            self.skipTest("only root can give a socket away")
        node = self.node("--listen-check-owner", "daemon", "--listen-check-group", "nogroup", "--listen-admin-group",
                         "nogroup", "--listen-admin-mode", "0660").start()
        node.await_record("started")
        info = os.stat(node.check_address[len("unix:"):])
        self.assertEqual((info.st_uid, info.st_gid), (1, NOBODY))
        info = os.stat(node.admin_address[len("unix:"):])
        self.assertEqual((info.st_uid, info.st_gid, info.st_mode & 0o777), (os.geteuid(), NOBODY, 0o660))
        node.stop()
        code, said = self.node("--listen-check-group", "no-such-group", name="other").run_to_end()
        self.assertEqual(code, 1)
        self.assertIn("there is no group no-such-group", said)


if __name__ == "__main__":
    sys.exit(harness.main())
