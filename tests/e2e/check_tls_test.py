"""Checks of other machines: by mutual TLS, with real clients of two makes, and never without."""

import collections
import pathlib
import re
import select
import socket
import ssl
import struct
import subprocess

import grpc

import harness
from certificates import Authority, end_of, put
from harness import check_pb2, check_pb2_grpc, health_pb2, health_pb2_grpc

METHODS = [method.name for method in check_pb2.DESCRIPTOR.services_by_name["Enforcement"].methods]
MISCONFIGURED = 2
UNREACHABLE = 3
MIB = 1 << 20
ENDS = 'sluice_tls_expiry_timestamp_seconds{listener="check_tls"}'


class UnfinishedMessages:
    """A connection whose calls each send a message that never ends, as fast as flow control lets them."""
    DATA, HEADERS, RESET, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
    FRAME_BYTES = 16384

    def __init__(self, connection, streams, message_bytes):
        self.connection = connection
        self.sent = 0
        self.unread = b""
        self.window = self.initial = 65535
        self.windows = {2 * i + 1: self.initial for i in range(streams)}  # of the streams that are open
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.send(self.SETTINGS, 0, 0)
        names = {b":method": b"POST", b":scheme": b"https", b":path": b"/sluice.v1.Enforcement/CheckBatch",
                 b":authority": b"node", b"content-type": b"application/grpc", b"te": b"trailers"}
        headers = b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
                           for name, value in names.items())
        for stream in self.windows:
            self.send(self.HEADERS, 4, stream, headers)
            self.send_data(stream, b"\0" + struct.pack(">I", message_bytes))

    def send(self, kind, flags, stream, payload=b""):
        self.connection.sendall(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) +
                                struct.pack(">I", stream) + payload)

    def send_data(self, stream, payload):
        self.send(self.DATA, 0, stream, payload)
        self.window -= len(payload)
        self.windows[stream] -= len(payload)
        self.sent += len(payload)

    def receive(self, seconds):
        """Takes what has come, after waiting so long for it. False where nothing has, or the connection is over."""
        self.connection.setblocking(False)
        try:
            if not self.connection.pending() and not select.select([self.connection], [], [], seconds)[0]:
                return False
            received = self.connection.recv(1 << 16)
        except ssl.SSLWantReadError:
            return True
        finally:
            self.connection.settimeout(harness.DEADLINE_SECONDS)
        self.unread += received
        while len(self.unread) >= 9 and len(self.unread) >= 9 + int.from_bytes(self.unread[:3], "big"):
            size, kind, flags = int.from_bytes(self.unread[:3], "big"), self.unread[3], self.unread[4]
            stream = int.from_bytes(self.unread[5:9], "big")
            self.take(kind, flags, stream, self.unread[9:9 + size])
            self.unread = self.unread[9 + size:]
        return bool(received)

    def take(self, kind, flags, stream, payload):
        if kind == self.WINDOW_UPDATE and stream == 0:
            self.window += int.from_bytes(payload, "big")
        elif kind == self.WINDOW_UPDATE and stream in self.windows:
            self.windows[stream] += int.from_bytes(payload, "big")
        elif kind == self.SETTINGS and not flags & 1:
            for i in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[i:i + 6])
                if name == 4:  # the window that a stream begins with, also of those that are open
                    self.windows = {each: window + value - self.initial for each, window in self.windows.items()}
                    self.initial = value
            self.send(self.SETTINGS, 1, 0)
        elif kind == self.PING and not flags & 1:
            self.send(self.PING, 1, 0, payload)
        elif kind == self.RESET or (kind == self.HEADERS and flags & 1):
            self.windows.pop(stream, None)

    def send_all_that_is_taken(self):
        """Until the other end has given no room for a second, or is gone."""
        try:
            while True:
                ready = [stream for stream, window in self.windows.items() if window > 0 and self.window > 0]
                for stream in ready:
                    self.send_data(stream, bytes(max(0, min(self.FRAME_BYTES, self.window, self.windows[stream]))))
                if not self.receive(0 if ready else 1) and not ready:
                    return
        except (OSError, ssl.SSLError):
            return


def exchange(connections, questions):
    """Sends `questions` on each connection at once, and returns the heads of all answers once each connection has ended."""
    to_send = {connection: memoryview(questions) for connection in connections}
    received = {connection: bytearray() for connection in connections}
    for connection in connections:
        connection.setblocking(False)
    under_way = set(connections)
    while under_way:
        readable, writable, _ = select.select(under_way, [each for each in under_way if to_send[each]], [],
                                              harness.DEADLINE_SECONDS)
        if not readable and not writable:
            raise AssertionError("not every call was answered")
        for connection in writable:
            try:
                to_send[connection] = to_send[connection][connection.send(to_send[connection][:1 << 16]):]
            except ssl.SSLWantWriteError:
                pass
        for connection in readable:
            try:
                piece = connection.recv(1 << 18)
            except ssl.SSLWantReadError:
                continue
            received[connection] += piece
            if not piece:
                under_way.remove(connection)
    return [head for bytes_ in received.values() for head in bytes(bytes_).split(b"\r\n\r\n")[:-1]]


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

    def connect(self, node, protocol):
        """A socket with TLS, on which nothing was said."""
        context = ssl.create_default_context(cafile=self.trusted.certificate)
        context.set_alpn_protocols([protocol])
        context.load_cert_chain(self.gateway[1], self.gateway[0])
        host, _, port = node.tls_address.rpartition(":")
        connection = context.wrap_socket(socket.create_connection((host, int(port)), timeout=harness.DEADLINE_SECONDS),
                                         server_hostname=host)
        self.addCleanup(connection.close)
        return connection

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

    def test_gateways_that_speak_http_ask_too(self):
        node = self.tls_node()
        connection = self.connect(node, "http/1.1")
        body = b'{"operation": "OPERATION_DOWNLOAD", "bucket": "b9", "requester": "u2"}'
        connection.sendall(b"POST /v1/check HTTP/1.1\r\nHost: node\r\nConnection: close\r\n"
                           b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        self.assertIn(b"ACCOUNT_FROZEN", answer)

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
        self.assertGreater(node.metric('sluice_protocol_errors_total{protocol="http2",error="tls"}'), 0)

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

    def test_metrics_say_when_certificates_end_and_that_new_ones_are_not_in_force(self):
        node = self.tls_node()
        self.assertEqual(node.metric("sluice_check_tls_in_step"), 1)
        self.assertEqual(node.metric(ENDS), end_of(self.certificate))
        sound = self.certificate.read_bytes()
        self.certificate.write_text("no certificate\n", encoding="utf-8")
        self.assertIn("live.pem: wanted a certificate chain (PEM)",
                      node.await_record("check_tls", level="error")["error"])
        self.assertEqual(node.metric("sluice_check_tls_in_step"), 0)
        self.assert_decision(self.ask(node, who=self.gateway), "ALLOW")  # by the last good ones
        self.certificate.write_bytes(sound)
        node.await_record("check_tls", in_force="as it is now")
        self.assertEqual(node.metric("sluice_check_tls_in_step"), 1)

    def test_the_chain_ends_with_the_first_of_its_certificates(self):
        brief = Authority(self.folder, "brief", days=1).certificate
        self.assertLess(end_of(brief), end_of(self.certificate))
        self.certificate.write_bytes(self.certificate.read_bytes() + brief.read_bytes())
        self.assertEqual(self.tls_node().metric(ENDS), end_of(brief))

    def test_a_node_without_tls_has_nothing_that_ends(self):
        node = self.node().start()
        self.assertEqual(node.metric("sluice_check_tls_in_step"), 1)
        self.assertEqual(node.metric(ENDS), 0)
        self.assertEqual(node.metric('sluice_tls_expiry_timestamp_seconds{listener="admin"}'), 0)

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

    def test_messages_that_never_end_do_not_take_all_memory(self):
        node = self.tls_node("--listen-buffered-bytes-max", "32MiB")

        def memory():
            status = pathlib.Path(f"/proc/{node.process.pid}/status").read_text(encoding="utf-8")
            return 1024 * int(dict(line.split(":", 1) for line in status.splitlines())["RssAnon"].split()[0])
        before = memory()
        sent = 0
        for _ in range(3):
            flood = UnfinishedMessages(self.connect(node, "h2"), streams=32, message_bytes=15 * MIB)
            flood.send_all_that_is_taken()
            sent += flood.sent
            self.assertEqual(self.ask(node, who=self.gateway).verdict, check_pb2.VERDICT_ALLOW)
        # Else nothing was tried: as much came as may be kept, and more was refused.
        self.assertGreater(sent, 32 * MIB)
        self.assertGreater(node.metric('sluice_protocol_errors_total{protocol="http2",error="no_room"}'), 0)
        # Without a bound it would be all 1,440 MiB; sanitizers keep what was freed for a while.
        self.assertLess(memory() - before, 128 * MIB)

    def test_what_has_waited_too_long_is_shed_here_too(self):
        node = self.tls_node("--threads", "1", "--overload-after", "10ms")
        asked, calls = 8, 4000  # some 100 ms of work, or more, asked for at once
        request = (b"GET /nginx/cdn HTTP/1.1\r\nHost: node\r\nX-Original-Method: GET\r\nX-Original-URI: /k1\r\n"
                   b"X-Original-Host: cdn.example.cn\r\nX-Real-IP: 192.0.2.1\r\n")
        questions = (request + b"\r\n") * (calls - 1) + request + b"Connection: close\r\n\r\n"
        answers = exchange([self.connect(node, "http/1.1") for _ in range(asked)], questions)
        self.assertEqual(len(answers), asked * calls)
        reasons = collections.Counter(re.search(rb"(?im)^X-Sluice-Reason: *(\S*)", each)[1] for each in answers)
        # Some it decided, as ever, and some it refused as its own fault.
        self.assertEqual(set(reasons), {b"DOMAIN_UNKNOWN", b"OVERLOADED"}, reasons)
        shed = node.metric('sluice_failure_policy_total{reason="OVERLOADED",outcome="DENIED"}')
        self.assertEqual(shed, reasons[b"OVERLOADED"])
        self.assert_decision(self.ask(node, who=self.gateway), "ALLOW")

    def test_strangers_who_show_nothing_keep_nobody_out(self):
        node = self.tls_node("--threads", "1")
        known = check_pb2_grpc.EnforcementStub(self.channel(node, self.trusted, self.gateway))
        self.assert_decision(known.Check(harness.download(), timeout=harness.DEADLINE_SECONDS), "ALLOW")
        host, _, port = node.tls_address.rpartition(":")
        silent = []
        for _ in range(600):  # more than may be at their handshake
            silent.append(socket.create_connection((host, int(port)), timeout=harness.DEADLINE_SECONDS))
            self.addCleanup(silent[-1].close)
        self.assert_decision(known.Check(harness.download(), timeout=harness.DEADLINE_SECONDS), "ALLOW")
        self.assert_decision(self.ask(node, who=self.gateway), "ALLOW")
        self.assertEqual(silent[0].recv(1), b"", "the oldest was cut")
        cut = node.metric('sluice_protocol_errors_total{protocol="http2",error="too_many"}')
        self.assertGreaterEqual(cut, 600 - 256)

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
