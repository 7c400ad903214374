"""Real gateways with the files of examples/, before a real sluiced and an origin of the test's own.

A gateway runs with its example as it stands, but for addresses and paths: each is replaced by one of the test's, and each
replacement must be found, so that an example cannot drift away from its test.
"""

import contextlib
import http.client
import http.server
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import (DEADLINE_SECONDS, SOURCE, TestCase, _dies_with_us, account_limit, await_condition, bind_bucket,
                     check_pb2, freeze, paid, policy_pb2, raise_flag)

EXAMPLES = SOURCE / "examples"
BIG_BYTES = 600_000
LATE_SECONDS = 0.7  # longer than any gateway is told to wait for Sluice, where it can be told


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find_program(name):
    """Debian puts servers where not every user's PATH looks."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class Origin:
    """The storage behind a gateway: answers every path with its name, /big with BIG_BYTES, /late after LATE_SECONDS; counts
    what reached it."""

    def __init__(self):
        origin = self
        self.paths = []
        self.bodies = []  # how many bytes came with each

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                origin.bodies.append(len(self.rfile.read(length)))
                origin.paths.append(self.path)
                if self.path == "/late":
                    time.sleep(LATE_SECONDS)
                body = b"x" * BIG_BYTES if self.path.endswith("/big") else f"served {self.path}\n".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *arguments: None  # a gateway that ends resets its connections
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@contextlib.contextmanager
def hanging(sluice):
    """A node that takes connections and answers nothing, until the end of the block."""
    pid = sluice.process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        # Each thread stops when it next runs; one that still runs would answer.
        await_condition(lambda: all("\tT" in line for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
                                    for line in (task / "status").read_text().splitlines()
                                    if line.startswith("State:")), "every thread of Sluice has stopped")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Answer:
    def __init__(self, response, body, seconds):
        self.status = response.status
        self.headers = response.headers
        self.body = body
        self.seconds = seconds


def ask(port, path, host="www.example.cn", method="GET", headers=None, body=None, timeout=DEADLINE_SECONDS):
    """One request to a gateway, over a connection of its own."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers={"Host": host, **(headers or {})})
        response = connection.getresponse()
        body = response.read()
        return Answer(response, body, time.monotonic() - started)
    finally:
        connection.close()


def gateway_policy():
    """www.example.cn serves b1 of u1; cold.example.cn b2 of u2, who is frozen; slow.example.cn b3 of u3, who may ask once
    in four seconds; shaped.example.cn b4 of u4, at 200,000 bytes a second. Two objects of b1 are barred."""
    events = [paid(f"u{i}") for i in (1, 2, 3, 4)]
    hosts = {"www.example.cn": 1, "cold.example.cn": 2, "slow.example.cn": 3, "shaped.example.cn": 4}
    for host, number in hosts.items():
        events.append(bind_bucket(f"b{number}", f"u{number}"))
        events.append(policy_pb2.PolicyEvent(
            role=check_pb2.ROLE_OPERATIONS,
            bind_domain=policy_pb2.BindDomain(host=host, account=f"u{number}", bucket=f"b{number}",
                                              geo=policy_pb2.GEO_FOREIGN)))
    events.append(freeze("u2"))
    events.append(raise_flag("f1", "b1", "flagged.jpg", category="3.1.3.5.4"))
    events.append(policy_pb2.PolicyEvent(
        role=check_pb2.ROLE_LEGAL,
        issue_order=policy_pb2.IssueOrder(order_id="o1", authority="court",
                                          subjects=[policy_pb2.Subject(bucket="b1", key="ordered.jpg")])))
    events.append(account_limit("l3", "u3", rate=0.25, burst=1))
    events.append(policy_pb2.PolicyEvent(
        role=check_pb2.ROLE_BILLING,
        set_limit=policy_pb2.SetLimit(
            limit_id="l4", level=policy_pb2.LEVEL_CONTRACT, scope=policy_pb2.LIMIT_SCOPE_ACCOUNT,
            subject=policy_pb2.Subject(account="u4"), dimension=policy_pb2.DIMENSION_BYTES_OUT, rate=200_000,
            shape=True)))
    return events


def byte_limit():
    """1,000 bytes a second of u1: after /big a debt that lasts."""
    return policy_pb2.PolicyEvent(
        role=check_pb2.ROLE_BILLING,
        set_limit=policy_pb2.SetLimit(
            limit_id="bytes", level=policy_pb2.LEVEL_CONTRACT, scope=policy_pb2.LIMIT_SCOPE_ACCOUNT,
            subject=policy_pb2.Subject(account="u1"), dimension=policy_pb2.DIMENSION_BYTES_OUT, rate=1000,
            burst=100_000))


class GatewayTestCase(TestCase):
    """A gateway before a node with gateway_policy, and an origin behind it."""

    program = None       # whose absence skips the test
    node_flags = ()

    def setUp(self):
        super().setUp()
        if self.program and find_program(self.program) is None:
            raise unittest.SkipTest(f"{self.program} is not installed")
        self.http_port = free_port()
        self.spoe_port = free_port()
        self.sluice = self.node("--doors-listen", f"127.0.0.1:{self.http_port}",
                                "--doors-spoe", f"127.0.0.1:{self.spoe_port}",
                                "--doors-blocked-by", "https://provider.example.cn/legal", *self.node_flags).start()
        self.sluice.apply(*gateway_policy())
        self.origin = Origin()
        self.addCleanup(self.origin.close)
        self.port = free_port()
        self.log_path = self.folder / "gateway.log"

    def example(self, path, replacements):
        """Writes an example into the test's folder, with each of `replacements` made."""
        text = (EXAMPLES / path).read_text(encoding="utf-8")
        for old, new in replacements:
            self.assertIn(old, text, f"examples/{path} no longer says this")
            text = text.replace(old, str(new))
        target = self.folder / os.path.basename(path)
        target.write_text(text, encoding="utf-8")
        return target

    def run_gateway(self, command, port=None):
        """Starts the gateway and waits until it takes connections."""
        with open(self.log_path, "ab") as log:
            process = subprocess.Popen(_dies_with_us() + [str(each) for each in command], stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, cwd=self.folder, start_new_session=True)

        def end():
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.addCleanup(end)

        def listens():
            if process.poll() is not None:
                raise AssertionError(f"the gateway ended with {process.returncode}:\n{self.gateway_log()}")
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port or self.port)) == 0
        await_condition(listens, "the gateway takes connections")
        return process

    def gateway_log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def ask(self, path, **options):
        return ask(self.port, path, **options)

    def assert_status(self, answer, status):
        self.assertEqual(answer.status, status, f"{answer.headers}\n{answer.body[:500]}\n{self.gateway_log()[-3000:]}")

    # -- What every gateway shows

    def check_allowed_and_refused(self):
        # The storage gets the path as the client wrote it, and decodes it once, as Sluice does.
        for path in ("/a%20b/k.jpg?x=1", "/%2566lagged.jpg"):
            self.assert_status(self.ask(path), 200)
            self.assertEqual(self.origin.paths[-1], path)
        # Whoever does not wait long for Sluice still waits for the storage.
        self.assert_status(self.ask("/late"), 200)
        reached = len(self.origin.paths)
        self.assert_status(self.ask("/k", host="cold.example.cn"), 403)
        flagged = self.ask("/flagged.jpg")
        self.assert_status(flagged, 403)
        self.assert_status(self.ask("/%66lagged.jpg"), 403)
        ordered = self.ask("/ordered.jpg")
        self.assert_status(ordered, 451)
        self.assertEqual(ordered.headers["Link"], '<https://provider.example.cn/legal>; rel="blocked-by"')
        self.assertEqual(ordered.headers["Cache-Control"], "no-store")
        self.assert_status(self.ask("/a/../flagged.jpg"), 400)
        self.assertEqual(len(self.origin.paths), reached, "a refused request reached the storage")
        for answer in (flagged, ordered):
            for word in (b"u1", b"b1", b"3.1.3.5", b"PROHIBITED"):  # clause 6: nothing of it for third parties
                self.assertNotIn(word, answer.body)
            self.assertNotIn("X-Sluice-Reason", answer.headers)

    def check_uploaded(self, size):
        """The question takes nothing from the request's body; a refused one does not reach the storage."""
        self.assert_status(self.ask("/up", method="PUT", body=b"x" * size), 200)
        self.assertEqual((self.origin.paths[-1], self.origin.bodies[-1]), ("/up", size))
        reached = len(self.origin.paths)
        self.assert_status(self.ask("/up", host="cold.example.cn", method="PUT", body=b"x"), 403)
        self.assertEqual(len(self.origin.paths), reached)
        # A quota sees the length that the client declares.
        self.sluice.apply(policy_pb2.PolicyEvent(
            role=check_pb2.ROLE_BILLING,
            set_limit=policy_pb2.SetLimit(
                limit_id="room", level=policy_pb2.LEVEL_CONTRACT, scope=policy_pb2.LIMIT_SCOPE_ACCOUNT,
                subject=policy_pb2.Subject(account="u1"), dimension=policy_pb2.DIMENSION_STORED_BYTES, rate=1000)))
        self.assert_status(self.ask("/up", method="PUT", body=b"x" * 1000), 200)
        self.assert_status(self.ask("/up", method="PUT", body=b"x" * 1001), 403)

    def check_throttled(self):
        self.assert_status(self.ask("/k", host="slow.example.cn"), 200)
        throttled = self.ask("/k", host="slow.example.cn")
        self.assert_status(throttled, 429)
        self.assertIn(int(throttled.headers["Retry-After"]), (3, 4))
        self.assertEqual(throttled.headers["RateLimit-Policy"], '"requests";q=1;w=4')
        self.assertRegex(throttled.headers["RateLimit"], '^"requests";r=0;t=[34]$')

    def check_shaped(self):
        """600 kB at 200 kB a second take 2 to 3 seconds, where they take none elsewhere."""
        unshaped = self.ask("/big")
        self.assertEqual(len(unshaped.body), BIG_BYTES)
        shaped = self.ask("/big", host="shaped.example.cn")
        self.assert_status(shaped, 200)
        self.assertEqual(len(shaped.body), BIG_BYTES)
        self.assertGreater(BIG_BYTES / unshaped.seconds, 1_000_000)
        rate = BIG_BYTES / shaped.seconds
        print(f"shaped to 200,000 bytes a second: {rate:,.0f}")
        self.assertGreater(rate, 120_000)
        self.assertLess(rate, 320_000)  # its first second's worth may come at once

    def check_usage_comes_back(self, log, host="www.example.cn:8080", written=" 200 ", flags=()):
        """Limits on bytes count what `sluicectl tail-usage` reads of an access log. `written`: what tells a line of a
        request that was served."""
        self.sluice.apply(byte_limit())
        self.assert_status(self.ask("/big", host=host), 200)
        self.assert_status(self.ask("/k"), 200)  # nothing was reported yet
        await_condition(lambda: log.exists() and log.read_text(encoding="utf-8").count(written) >= 2,
                        "the gateway writes its log")
        tail = ["tail-usage", log, *flags, "--from-start", "--once"]
        first = self.sluice.ctl(*tail)
        self.assert_exit(first, 0)
        again = self.sluice.ctl(*tail)
        self.assertIn("0 lines", again.stdout)
        throttled = self.ask("/k")
        self.assert_status(throttled, 429)
        self.assertGreater(int(throttled.headers["Retry-After"]), 60)  # a debt of two bursts at 1,000 a second
        return first.stdout

    def check_usage_is_not_forged(self, log, flags=()):
        """A Host that reads as a line of the log counts for no more, and for nobody else, than its request got."""
        host = b'www.example.cn 6.6.6.6 - - [27/Nov/2026:21:00:00 +0000] "GET /k HTTP/1.1" 200 999999999999999999 '
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE_SECONDS) as client:
            client.sendall(b"GET /forged HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
            while client.recv(65536):
                pass

        def lines():
            return [line for line in log.read_text().splitlines() if "forged" in line] if log.exists() else []
        for line in await_condition(lines, "the gateway writes its log"):
            self.assertRegex(line, r"^(\S+ )?127\.0\.0\.1 ")
        told = self.sluice.ctl("tail-usage", log, *flags, "--from-start", "--once")
        self.assert_exit(told, 0)
        self.assertRegex(told.stdout, r" lines, [0-9.]+ (B|KiB), in 1 reports")

    def check_stopped_closed(self, status=503):
        self.sluice.stop()
        answer = self.ask("/k")
        self.assert_status(answer, status)
        self.assertLess(answer.seconds, 10)

    def check_stopped_open(self):
        self.sluice.stop()
        answer = self.ask("/k")
        self.assert_status(answer, 200)
        self.assertLess(answer.seconds, 10)

    def check_slow(self, status=503, seconds=3):
        """A Sluice that hangs holds a client up for a bounded time."""
        self.assert_status(self.ask("/k"), 200)
        with hanging(self.sluice):
            answer = self.ask("/k")
        self.assert_status(answer, status)
        self.assertLess(answer.seconds, seconds)
        print(f"a hung Sluice held a client up for {answer.seconds:.2f} s")
        await_condition(lambda: self.ask("/k").status == 200, "the gateway comes back to a Sluice that is there again")


class EveryGateway:
    """What each gateway shows with its example. Mixed into a GatewayTestCase that says how its program is served."""

    away_status = 503   # of a request while Sluice is stopped, where the gateway fails closed
    hung_status = 503   # of one while it hangs
    hung_seconds = 3    # how long that may take
    upload_bytes = 3_000_000  # more than Sluice would take with a question

    def serve(self, *more):
        """Starts the program with its example, in which `more` is replaced too."""
        raise NotImplementedError

    def test_allowed_and_refused(self):
        self.serve()
        self.check_allowed_and_refused()
        self.check_uploaded(self.upload_bytes)

    def test_throttled(self):
        self.serve()
        self.check_throttled()

    def test_sluice_stopped_closed(self):
        self.serve()
        self.check_stopped_closed(self.away_status)

    def test_sluice_slow(self):
        self.serve()
        self.check_slow(self.hung_status, self.hung_seconds)


class MayFailOpen:
    """Of those whose example has a line for it."""

    open_edits = ()  # replacements in the example that make it fail open

    def test_sluice_stopped_open(self):
        self.serve(*self.open_edits)
        self.check_stopped_open()
