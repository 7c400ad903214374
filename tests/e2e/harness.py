"""What the end-to-end tests share: the built programs, each on a folder and sockets of its own, always ended.

Nothing here waits by the clock alone: every wait has a condition that it polls, and a deadline that fails the test.
"""

import atexit
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from stubs import (SOURCE, admin_pb2, admin_pb2_grpc, check_pb2, check_pb2_grpc, health_pb2, health_pb2_grpc,
                   policy_pb2, reflection_pb2, reflection_pb2_grpc)
import grpc  # behind stubs, which says how it is to poll

__all__ = ["reflection_pb2", "reflection_pb2_grpc"]  # and all that is defined here; these are for the tests alone

BIN = pathlib.Path(os.environ.get("SLUICE_BIN", SOURCE / "build" / "debug" / "bin"))
SLUICED = BIN / "sluiced"
SLUICECTL = BIN / "sluicectl"

# Long enough for a loaded machine and a build with sanitizers; a test that works never waits so long.
DEADLINE_SECONDS = 60

SANITIZER_REPORT = re.compile(r"(ERROR|WARNING): \w+Sanitizer\b.*", re.DOTALL)

CHANNEL_OPTIONS = [
    # Each channel has its own connection: one that met a dead server must not make the next wait for its back-off.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    # This one is how long an attempt may take, whatever its name: a loaded machine may not answer within 50 ms.
    ("grpc.min_reconnect_backoff_ms", 1000 * DEADLINE_SECONDS),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.enable_http_proxy", 0),
]


def await_condition(condition, what, seconds=DEADLINE_SECONDS):
    """Polls until `condition()` is truthy, and returns it. AssertionError with `what` at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for this: {what}")
        time.sleep(0.01)  # between two looks, not instead of one


# ---- Events ---------------------------------------------------------------------------------------------------------


def freeze(account, **fields):
    return policy_pb2.PolicyEvent(role=check_pb2.ROLE_BILLING, freeze=policy_pb2.Freeze(account=account), **fields)


def unfreeze(account, **fields):
    return policy_pb2.PolicyEvent(role=check_pb2.ROLE_BILLING, unfreeze=policy_pb2.Unfreeze(account=account), **fields)


def paid(account, **fields):
    return policy_pb2.PolicyEvent(role=check_pb2.ROLE_BILLING, paid=policy_pb2.Paid(account=account), **fields)


def bind_bucket(bucket, account, **fields):
    return policy_pb2.PolicyEvent(
        role=check_pb2.ROLE_STORAGE, bind_bucket=policy_pb2.BindBucket(bucket=bucket, account=account, region="cn"),
        **fields)


def raise_flag(flag_id, bucket, key="", category="3.1.3.5.3", severity=policy_pb2.SEVERITY_BLOCK, **fields):
    return policy_pb2.PolicyEvent(
        role=check_pb2.ROLE_MODERATION,
        raise_flag=policy_pb2.RaiseFlag(
            flag_id=flag_id, subject=policy_pb2.Subject(bucket=bucket, key=key), category=category, severity=severity),
        **fields)


def account_limit(limit_id, account, rate, burst=0.0, **fields):
    return policy_pb2.PolicyEvent(
        role=check_pb2.ROLE_BILLING,
        set_limit=policy_pb2.SetLimit(
            limit_id=limit_id, level=policy_pb2.LEVEL_CONTRACT, scope=policy_pb2.LIMIT_SCOPE_ACCOUNT,
            subject=policy_pb2.Subject(account=account), dimension=policy_pb2.DIMENSION_REQUESTS, rate=rate,
            burst=burst),
        **fields)


def standard_policy():
    """Two paid accounts: u1 with buckets b1 and b2, u2 with b9."""
    return [paid("u1"), paid("u2"), bind_bucket("b1", "u1"), bind_bucket("b2", "u1"), bind_bucket("b9", "u2")]


def tagged(number, text):
    """A protobuf field of wire type 2 by hand, so that its bytes can be what no library would send."""
    return bytes([number << 3 | 2, len(text)]) + text


def download(bucket="b1", key="k1", requester="u1", **fields):
    return check_pb2.CheckRequest(
        operation=check_pb2.OPERATION_DOWNLOAD, bucket=bucket, key=key, requester=requester, **fields)


# ---- The programs ---------------------------------------------------------------------------------------------------

_nodes = []


def _kill_all():
    for node in _nodes:
        node.kill()


atexit.register(_kill_all)
# So that a test run that is ended ends what it started.
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def _dies_with_us():
    """A prefix that has the kernel end a program when the test is killed outright, as ctest does at its time limit."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


class Node:
    """One sluiced: a folder with its store and sockets. Not thread-safe; start it from the main thread."""

    def __init__(self, folder, *flags, store=None):
        self.folder = pathlib.Path(folder)
        self.store = pathlib.Path(store) if store else self.folder / "store"
        self.flags = list(flags)
        self.pass_fds = ()  # descriptors that it inherits, besides the usual three
        self.check_address = f"unix:{self.folder}/check.sock"
        self.admin_address = f"unix:{self.folder}/admin.sock"
        self.log_path = self.folder / "stderr.log"
        self.process = None
        self._channels = []
        self._log_offset = 0
        _nodes.append(self)

    def command(self, *more):
        return [str(SLUICED), "--listen-check", self.check_address, "--listen-admin", self.admin_address,
                "--listen-http", "127.0.0.1:0", "--store-path", str(self.store), *self.flags, *more]

    def spawn(self, *more):
        """Starts the program, without waiting for anything."""
        if self.process is not None and self.process.poll() is None:
            raise AssertionError("this node runs already")
        self.close_channels()
        with open(self.log_path, "ab") as log:
            self._log_offset = log.tell()
            self.process = subprocess.Popen(_dies_with_us() + self.command(*more), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, pass_fds=self.pass_fds)
        return self

    def start(self, *more):
        """Starts the program and waits until both sockets take connections."""
        self.spawn(*more)
        for address in (self.check_address, self.admin_address):
            await_condition(lambda address=address: self._answers(address), f"sluiced listens on {address}")
        return self

    def _answers(self, address):
        if self.process.poll() is not None:
            raise AssertionError(f"sluiced ended with {self.process.returncode}:\n{self.log_text()}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            return probe.connect_ex(address[len("unix:"):]) == 0

    def run_to_end(self, *more):
        """Starts the program where it is expected to refuse. Returns its exit code and what it said."""
        self.spawn(*more)
        return self.wait(), self.log_text()

    def wait(self, seconds=DEADLINE_SECONDS):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"sluiced did not end within {seconds} s:\n{self.log_text()}") from None

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def stop(self):
        """SIGTERM; returns the exit code."""
        self.close_channels()
        self.terminate()
        return self.wait()

    def kill(self):
        """SIGKILL, and waits for the end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def close(self):
        self.close_channels()
        self.kill()
        # Of a build with sanitizers: what one said, though the test had all the answers it wanted.
        log = self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""
        report = SANITIZER_REPORT.search(log)
        if report:
            raise AssertionError(f"a sanitizer has a report of sluiced:\n{report.group()}")

    # -- What it says

    def log_text(self):
        """Everything on stdout and stderr since the last start."""
        with open(self.log_path, "rb") as log:
            log.seek(self._log_offset)
            return log.read().decode("utf-8", "replace")

    def log_records(self):
        """The whole lines of the log since the last start, parsed."""
        def parsed(line):
            try:
                return json.loads(line)
            except ValueError:
                raise AssertionError(f"a line of the log is no JSON: {line!r}") from None
        text = self.log_text()
        return [parsed(line) for line in text[:text.rfind("\n") + 1].split("\n")[:-1]]

    def record(self, event, **fields):
        """The first log record of that event with those fields; None where there is none yet."""
        for record in self.log_records():
            if record["event"] == event and all(record.get(name) == value for name, value in fields.items()):
                return record
        return None

    def await_record(self, event, **fields):
        def find():
            ended = self.process.poll() is not None  # looked at first: what it said at its end is still found
            record = self.record(event, **fields)
            if record is None and ended:
                raise AssertionError(f"sluiced ended with {self.process.returncode}:\n{self.log_text()}")
            return record
        return await_condition(find, f"sluiced logs {event} {fields}")

    def http_port(self):
        """The port of /metrics and the probes, from the line with which sluiced says where it listens."""
        address = self.await_record("listening", **{"for": "metrics and health"})["address"]
        return int(address.rpartition(":")[2])

    def http_get(self, path, method="GET"):
        """Status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port(), timeout=DEADLINE_SECONDS)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8")
        finally:
            connection.close()

    def metric(self, sample):
        """The value of one sample, "name" or 'name{label="value",...}'; None where there is none."""
        status, text = self.http_get("/metrics")
        if status != 200:
            raise AssertionError(f"/metrics answered {status}: {text}")
        for line in text.splitlines():
            name, _, value = line.rpartition(" ")
            if name == sample:
                return float(value)
        return None

    # -- Stubs

    def channel(self, address):
        channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._channels.append(channel)
        return channel

    def close_channels(self):
        for channel in self._channels:
            channel.close()
        self._channels = []

    def enforcement(self):
        return check_pb2_grpc.EnforcementStub(self.channel(self.check_address))

    def admin(self):
        return admin_pb2_grpc.PolicyAdminStub(self.channel(self.admin_address))

    def decision_log(self):
        return admin_pb2_grpc.DecisionLogStub(self.channel(self.admin_address))

    def health(self, address=None):
        return health_pb2_grpc.HealthStub(self.channel(address or self.check_address))

    def serving(self, service="", address=None):
        request = health_pb2.HealthCheckRequest(service=service)
        response = self.health(address).Check(request, timeout=DEADLINE_SECONDS)
        return response.status == health_pb2.HealthCheckResponse.SERVING

    def apply(self, *events):
        """Applies events in one request; fails the test unless each is APPLIED. Returns the response."""
        request = admin_pb2.ApplyRequest(events=events)
        # Closed again: a test may apply more often than administration has places for connections.
        with grpc.insecure_channel(self.admin_address, options=CHANNEL_OPTIONS) as channel:
            response = admin_pb2_grpc.PolicyAdminStub(channel).Apply(request, timeout=DEADLINE_SECONDS)
        for event, result in zip(events, response.results):
            if result.outcome != admin_pb2.OUTCOME_APPLIED:
                raise AssertionError(f"{admin_pb2.Outcome.Name(result.outcome)} {result.error}: {event}")
        return response

    def check(self, request):
        return self.enforcement().Check(request, timeout=DEADLINE_SECONDS)

    def export(self):
        """The whole policy, as one ExportChunk."""
        whole = admin_pb2.ExportChunk()
        for chunk in self.admin().Export(admin_pb2.ExportRequest(), timeout=DEADLINE_SECONDS):
            whole.MergeFrom(chunk)
        return whole

    def ctl(self, *arguments, **options):
        """Runs sluicectl against this node."""
        environment = {"SLUICE_ADMIN": self.admin_address, "SLUICE_CHECK": self.check_address}
        return run_ctl(*arguments, environment=environment, **options)


def run_ctl(*arguments, environment=None, text=None, cwd=None):
    """Runs sluicectl to its end. `text` goes to its standard input."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    variables.update(environment or {})
    return subprocess.run([str(SLUICECTL), *map(str, arguments)], input=text if text is not None else "",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables, cwd=cwd,
                          timeout=2 * DEADLINE_SECONDS, encoding="utf-8", check=False)


class TestCase(unittest.TestCase):
    """A test with a temporary folder, whose nodes end with it."""

    maxDiff = None

    def setUp(self):
        super().setUp()
        # Short: the path of a Unix socket has at most 107 bytes.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def node(self, *flags, name="node", store=None):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        node = Node(folder, *flags, store=store)
        self.addCleanup(node.close)
        return node

    def assert_rpc_error(self, code, call, *pieces):
        """Calls `call`; it must fail with `code` and a message that has each of `pieces`."""
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        for piece in pieces:
            self.assertIn(piece, caught.exception.details())
        return caught.exception

    def assert_decision(self, response, verdict, reason=None, clause=None):
        self.assertEqual(check_pb2.Verdict.Name(response.verdict), f"VERDICT_{verdict}", response)
        if reason is not None:
            self.assertEqual(check_pb2.Reason.Name(response.reason), f"REASON_{reason}", response)
        if clause is not None:
            self.assertEqual(response.clause, clause, response)

    def assert_exit(self, result, code):
        self.assertEqual(result.returncode, code, f"stdout:\n{result.stdout}\nstderr:\n{result.stderr}")


EXIT_OK = 0  # of sluicectl
DEMO = SOURCE / "examples" / "demo" / "policy.yaml"


class CliTestCase(TestCase):
    """A test of sluicectl, with a server that has no policy yet."""

    def setUp(self):
        super().setUp()
        self.server = self.node().start()

    def ctl(self, *arguments, code=EXIT_OK, server=None, **options):
        """Runs sluicectl, which must end with `code`."""
        result = (server or self.server).ctl(*arguments, **options)
        self.assert_exit(result, code)
        if code == EXIT_OK:
            self.assertEqual(result.stderr, "")
        return result

    def json(self, *arguments, **options):
        """The same, with its output as a program reads it."""
        return json.loads(self.ctl(*arguments, "-o", "json", **options).stdout)

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def apply_demo(self):
        return self.ctl("apply", "-f", DEMO)


def main(*programs):
    """Runs the tests of the script, which need `programs`; both, if it names none."""
    for program in programs or (SLUICED, SLUICECTL):
        if not program.is_file():
            sys.exit(f"wanted the built {program.name} in SLUICE_BIN, got nothing at {program}")
    unittest.main(module="__main__", verbosity=2)
