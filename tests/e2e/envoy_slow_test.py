"""Envoy's own proto files, as npm's @grpc/grpc-js-xds ships them, against the doors for Envoy: what is served here under our
wire-compatible files is spoken to with the real ones, field by field. Skipped where npm cannot be reached.
"""

import atexit
import base64
import functools
import hashlib
import importlib
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

import grpc
import yaml

import harness
from gateways import EXAMPLES, byte_limit, gateway_policy
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, wrappers_pb2

PACKAGE = "@grpc/grpc-js-xds@1.14.1"
INTEGRITY = "sha512-F2mVXwEeMWw1znPUrp+8ykjsIOVnf7Rv+EyIvXOfz73w5tNolCnzokpLkE/d2Ehx30PJmZXqCQdMpx8DcBJohA=="
SERVICES = ("envoy/service/auth/v3/external_auth.proto", "envoy/service/ratelimit/v3/rls.proto")
# What the examples are made of.
CONFIGURATION = (
    "envoy/config/bootstrap/v3/bootstrap.proto",
    "envoy/extensions/access_loggers/stream/v3/stream.proto",
    "envoy/extensions/filters/http/ext_authz/v3/ext_authz.proto",
    "envoy/extensions/filters/http/ratelimit/v3/rate_limit.proto",
    "envoy/extensions/filters/http/router/v3/router.proto",
    "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
    "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
)
# Of route.v3.RateLimit; newer than the package.
NEWER_KEYS = ("apply_on_stream_done", "hits_addend")


def fetch(folder):
    """The proto files of the package, or SkipTest."""
    if shutil.which("npm") is None:
        raise unittest.SkipTest("npm is not installed")
    packed = subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, stdin=subprocess.DEVNULL,
                            capture_output=True, timeout=180, encoding="utf-8", check=False)
    if packed.returncode != 0:
        raise unittest.SkipTest(f"npm cannot fetch {PACKAGE}: {packed.stderr[-300:]}")
    archive = pathlib.Path(folder) / packed.stdout.strip().splitlines()[-1]
    digest = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != INTEGRITY:
        raise AssertionError(f"{PACKAGE} is not what it was: {digest}")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(folder)
    return pathlib.Path(folder) / "package" / "deps"


def generate(deps, folder):
    """Python of the services, of the configuration, and of everything that they import."""
    roots = [deps / name for name in ("envoy-api", "xds", "googleapis", "protoc-gen-validate")]
    # The package's annotations are older than what it annotates with them. Nothing of them is on the wire.
    rules = deps / "protoc-gen-validate" / "validate" / "validate.proto"
    rules.write_text(rules.read_text(encoding="utf-8").replace(
        "message StringRules {", "message StringRules { optional bool ignore_empty = 26;"), encoding="utf-8")
    wanted, found = list(SERVICES + CONFIGURATION), {}
    while wanted:
        name = wanted.pop()
        if name in found or name.startswith("google/protobuf/"):
            continue
        root = next((each for each in roots if (each / name).exists()), None)
        if root is None:
            raise AssertionError(f"{PACKAGE} has no {name}")
        found[name] = root
        for line in (root / name).read_text(encoding="utf-8").splitlines():
            if line.startswith("import "):
                wanted.append(line.split('"')[1])
    out = pathlib.Path(folder) / "python"
    out.mkdir()
    subprocess.run(["protoc", f"--plugin=protoc-gen-grpc_python={shutil.which('grpc_python_plugin')}",
                    *[f"-I{root}" for root in roots], f"--python_out={out}", f"--grpc_python_out={out}", *found],
                   check=True)
    return out


@functools.lru_cache(maxsize=1)
def real_protos():
    """Makes the real files' Python importable, once. SkipTest where they cannot be had."""
    folder = tempfile.mkdtemp(prefix="sluice-envoy-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sys.path.insert(0, str(generate(fetch(folder), folder)))


class EnvoyExamplesTest(unittest.TestCase):
    """The examples are of fields, values and types that Envoy has. Whether they do what they say, only Envoy could show."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        real_protos()
        for name in CONFIGURATION:  # so that what an Any holds is known
            importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")

    def without_newer(self, value):
        if isinstance(value, list):
            return [self.without_newer(each) for each in value]
        if isinstance(value, dict):
            return {key: self.without_newer(each) for key, each in value.items() if key not in NEWER_KEYS}
        return value

    def parse(self, name, message):
        text = (EXAMPLES / "envoy" / name).read_text(encoding="utf-8")
        return json_format.ParseDict(self.without_newer(yaml.safe_load(text)), message)

    def test_bootstrap(self):
        from envoy.config.bootstrap.v3 import bootstrap_pb2  # pylint: disable=import-outside-toplevel
        bootstrap = self.parse("envoy.yaml", bootstrap_pb2.Bootstrap())
        self.assertEqual([cluster.name for cluster in bootstrap.static_resources.clusters], ["storage", "sluice"])

    def test_http_mode(self):
        # pylint: disable=import-outside-toplevel
        from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
        self.parse("http-mode.yaml", http_connection_manager_pb2.HttpFilter())


class WireCompatibleTest(unittest.TestCase):
    """proto/envoy against the real files: each message, field and value has the number and the type that it has there."""

    def setUp(self):
        super().setUp()
        real_protos()
        for name in SERVICES:
            importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
        self.real = descriptor_pool.Default()
        self.compared = 0

    def compare_enum(self, scope, enum):
        real = self.real.FindEnumTypeByName(f"{scope}.{enum.name}")
        for value in enum.value:
            # Older than WEEK.
            if (enum.name, value.name) != ("Unit", "WEEK"):
                self.assertEqual(real.values_by_name[value.name].number, value.number, value.name)

    def compare(self, scope, message):
        name = f"{scope}.{message.name}"
        for nested in message.nested_type:
            if not nested.options.map_entry:
                self.compare(name, nested)
        for enum in message.enum_type:
            self.compare_enum(name, enum)
        real = self.real.FindMessageTypeByName(name)
        for field in message.field:
            if (message.name, field.name) == ("RateLimitDescriptor", "hits_addend"):
                continue  # the package is older
            other = real.fields_by_name[field.name]
            kind = (other.message_type or other.enum_type).full_name if other.message_type or other.enum_type else ""
            self.assertEqual((field.number, field.type, field.label, field.type_name.lstrip(".")),
                             (other.number, other.type, other.label, kind), f"{name}.{field.name}")
            self.compared += 1

    def test_every_field(self):
        root = harness.SOURCE / "proto"
        files = sorted(str(path) for path in (root / "envoy").rglob("*.proto"))
        packed = subprocess.run(["protoc", f"-I{root}", "-o/dev/stdout", *files], check=True, capture_output=True).stdout
        for file in descriptor_pb2.FileDescriptorSet.FromString(packed).file:
            for message in file.message_type:
                self.compare(file.package, message)
            for enum in file.enum_type:
                self.compare_enum(file.package, enum)
        self.assertGreater(self.compared, 50)


class EnvoyTest(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        real_protos()
        # pylint: disable=import-outside-toplevel
        from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc
        from envoy.service.ratelimit.v3 import rls_pb2, rls_pb2_grpc
        from envoy.type.v3 import http_status_pb2
        cls.auth, cls.auth_grpc, cls.rls, cls.rls_grpc = (external_auth_pb2, external_auth_pb2_grpc, rls_pb2,
                                                          rls_pb2_grpc)
        cls.status_code = http_status_pb2.StatusCode

    def setUp(self):
        super().setUp()
        self.sluice = self.node("--doors-blocked-by", "https://provider.example.cn/legal").start()
        self.sluice.apply(*gateway_policy())
        channel = self.sluice.channel(self.sluice.check_address)
        self.authorization = self.auth_grpc.AuthorizationStub(channel)
        self.rate_limit = self.rls_grpc.RateLimitServiceStub(channel)

    # -- ext_authz

    def request(self, path, host="www.example.cn", extensions=None, **fields):
        """As Envoy fills it: everything that wire-compatible files do not know too."""
        return json_format.ParseDict({"attributes": {
            "source": {"address": {"socketAddress": {"address": "203.0.113.9", "portValue": 40123}},
                       "service": "edge", "labels": {"a": "b"}, "principal": "spiffe://edge", "certificate": "x"},
            "destination": {"address": {"socketAddress": {"address": "127.0.0.1", "portValue": 8080}}},
            "request": {"time": "2026-01-01T00:00:00Z",
                        "http": {"id": "12", "method": "GET", "path": path, "host": host, "scheme": "https",
                                 "query": "", "fragment": "", "size": "-1", "protocol": "HTTP/2",
                                 "headers": {":path": path, "accept": "*/*"}, "rawBody": "eA==", **fields}},
            "contextExtensions": {"profile": "cdn", "region": "cn", **(extensions or {})},
            "metadataContext": {"filterMetadata": {"x": {"y": 1}}},
            "tlsSession": {"sni": host}}}, self.auth.CheckRequest())

    def check(self, *arguments, **fields):
        return self.ask(self.request(*arguments, **fields))

    def ask(self, request):
        """The answer, in which is all that every answer must have."""
        response = self.authorization.Check(request, timeout=harness.DEADLINE_SECONDS)
        self.assert_known(response)
        self.assertTrue(response.HasField("status"))  # an answer without one lets the request pass
        allowed = response.status.code == 0
        self.assertEqual(response.WhichOneof("http_response"), "ok_response" if allowed else "denied_response")
        options = response.ok_response.response_headers_to_add if allowed else response.denied_response.headers
        for option in options:
            # Unset, old versions of Envoy overwrite and new ones append; false overwrites in all.
            self.assertTrue(option.HasField("append"))
            self.assertFalse(option.append.value)
        self.assertFalse(response.ok_response.headers)  # the storage is told nothing
        return response

    def assert_known(self, message):
        """Every field that was sent has a name in the real files: none has a number or a type of its own."""
        self.assertEqual([field.field_number for field in message.UnknownFields()], [], type(message).__name__)
        for field, value in message.ListFields():
            if field.message_type is None or field.message_type.GetOptions().map_entry:
                continue
            for each in value if field.label == field.LABEL_REPEATED else [value]:
                self.assert_known(each)

    @staticmethod
    def headers_of(options):
        return {option.header.key: option.header.value for option in options}

    def test_allow(self):
        response = self.check("/k?x=1")
        self.assertEqual(response.status.code, 0)
        metadata = dict(response.dynamic_metadata)
        self.assertEqual(metadata["verdict"], "ALLOW")
        self.assertGreater(metadata["revision"], 0)
        self.assertNotIn("reason", metadata)
        shaped = self.check("/k", "shaped.example.cn")
        self.assertEqual(shaped.dynamic_metadata["shape_bytes_per_second"], 200_000)
        limited = self.check("/k", "slow.example.cn")
        headers = self.headers_of(limited.ok_response.response_headers_to_add)
        self.assertEqual(headers["RateLimit-Policy"], '"requests";q=1;w=4')
        self.assertRegex(headers["RateLimit"], '^"requests";r=0;t=[34]$')

    def test_denied(self):
        response = self.check("/k", "cold.example.cn")
        self.assertEqual(response.status.code, grpc.StatusCode.PERMISSION_DENIED.value[0])
        denied = response.denied_response
        self.assertEqual(denied.status.code, 403)
        self.assertIn('"status":403', denied.body)
        headers = self.headers_of(denied.headers)
        self.assertEqual(headers["content-type"], "application/problem+json")
        self.assertEqual(headers["Cache-Control"], "no-store")
        metadata = dict(response.dynamic_metadata)
        self.assertEqual((metadata["verdict"], metadata["reason"], metadata["clause"]), ("DENY", "ACCOUNT_FROZEN", "7.2.1"))
        self.assertGreater(metadata["revision"], 0)

    def test_each_dialect_has_its_body(self):
        s3 = self.check("/b2/k", "s3.example.cn", {"profile": "s3-path"}).denied_response
        self.assertIn("<Code>AccountProblem</Code>", s3.body)
        self.assertIn("<RequestId>12</RequestId>", s3.body)
        self.assertEqual(self.headers_of(s3.headers)["content-type"], "application/xml")
        kodo = self.check("/k", "cold.example.cn", {"profile": "kodo"}).denied_response
        self.assertEqual(kodo.status.code, 419)
        self.assertIn('"error":', kodo.body)

    def test_statuses_that_the_enum_has_no_name_for(self):
        names = self.status_code.DESCRIPTOR.values_by_number
        ordered = self.check("/ordered.jpg").denied_response
        self.assertEqual(ordered.status.code, 451)
        headers = self.headers_of(ordered.headers)
        self.assertEqual(headers["Link"], '<https://provider.example.cn/legal>; rel="blocked-by"')
        self.assertEqual(headers["Cache-Control"], "no-store")
        # A single object asked for too often, in Kodo's words.
        self.sluice.apply(harness.policy_pb2.PolicyEvent(
            role=harness.check_pb2.ROLE_BILLING,
            set_limit=harness.policy_pb2.SetLimit(
                limit_id="hot", level=harness.policy_pb2.LEVEL_CONTRACT, scope=harness.policy_pb2.LIMIT_SCOPE_OBJECT,
                subject=harness.policy_pb2.Subject(bucket="b1", key="hot"),
                dimension=harness.policy_pb2.DIMENSION_REQUESTS, rate=0.25, burst=1)))
        answers = [self.check("/hot", extensions={"profile": "kodo"}) for _ in range(2)]
        self.assertEqual([answer.status.code for answer in answers],
                         [0, grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]])
        self.assertEqual(answers[1].denied_response.status.code, 573)
        self.assertIn("Retry-After", self.headers_of(answers[1].denied_response.headers))
        for number in (419, 451, 573):
            self.assertNotIn(number, names)

    def test_throttled(self):
        self.assertEqual(self.check("/k", "slow.example.cn").status.code, 0)
        response = self.check("/k", "slow.example.cn")
        self.assertEqual(response.status.code, grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
        self.assertEqual(response.denied_response.status.code, 429)
        headers = self.headers_of(response.denied_response.headers)
        self.assertIn(headers["Retry-After"], ("3", "4"))
        self.assertEqual(headers["RateLimit-Policy"], '"requests";q=1;w=4')
        self.assertEqual(dict(response.dynamic_metadata)["verdict"], "THROTTLE")

    def test_context_extensions_go_before_the_request(self):
        def code(**extensions):
            return self.check("/k", extensions=extensions).status.code
        self.assertEqual(code(), 0)
        refused = grpc.StatusCode.PERMISSION_DENIED.value[0]
        self.assertEqual(code(account="u2"), refused)
        self.assertEqual(code(bucket="b2"), refused)
        self.assertEqual(code(host="cold.example.cn"), refused)
        self.assertEqual(code(requester="u2", operation="DOWNLOAD"), refused)
        self.assertEqual(code(bucket="b1", key="flagged.jpg"), refused)
        self.assertEqual(code(bucket="b2", operation="MANAGE_READ"), 0)
        for name in ("profile", "operation"):
            response = self.check("/k", extensions={name: "NONSENSE"})
            self.assertEqual(response.status.code, grpc.StatusCode.INVALID_ARGUMENT.value[0])
            self.assertEqual(response.denied_response.status.code, 400)
            self.assertIn(name, response.denied_response.body)

    def test_what_is_read_of_a_request(self):
        # The address of the client.
        self.sluice.apply(harness.policy_pb2.PolicyEvent(
            role=harness.check_pb2.ROLE_SECURITY,
            raise_flag=harness.policy_pb2.RaiseFlag(
                flag_id="ip", subject=harness.policy_pb2.Subject(client_ip="198.51.100.7"), category="3.1.3.7",
                severity=harness.policy_pb2.SEVERITY_BLOCK)))
        request = self.request("/k")
        self.assertEqual(self.ask(request).status.code, 0)
        request.attributes.source.address.socket_address.address = "198.51.100.7"
        self.assertEqual(dict(self.ask(request).dynamic_metadata)["reason"], "SECURITY_THREAT")
        request.attributes.source.address.pipe.path = "/run/edge.sock"  # a client without an address
        self.assertEqual(self.ask(request).status.code, 0)
        # Method and headers, the latter in both forms: as encode_raw_headers sends them, in bytes of any kind.
        signed = "AWS4-HMAC-SHA256 Credential=AK/20260101/cn/s3/aws4_request, Signature=x"
        s3 = {"profile": "s3-path"}
        request = self.request("/b1/flagged.jpg?versionId=2", "s3.example.cn", s3, method="DELETE")
        self.assertEqual(self.ask(request).status.code, 7)  # no requester, so not the owner's own
        request = self.request("/b1/k", "s3.example.cn", s3, headers={"x-request-id": "r9", "authorization": signed})
        self.assertEqual(self.ask(request).status.code, 0)
        http = request.attributes.request.http
        http.path = "/b2/k"
        self.assertIn("<RequestId>r9</RequestId>", self.ask(request).denied_response.body)
        http.headers.clear()
        http.header_map.headers.add(key="x-request-id", raw_value=b"r10")
        http.header_map.headers.add(key="x-other", raw_value=b"\xff\xfe")
        self.assertIn("<RequestId>r10</RequestId>", self.ask(request).denied_response.body)
        # The declared length.
        self.sluice.apply(harness.policy_pb2.PolicyEvent(
            role=harness.check_pb2.ROLE_BILLING,
            set_limit=harness.policy_pb2.SetLimit(
                limit_id="room", level=harness.policy_pb2.LEVEL_CONTRACT,
                scope=harness.policy_pb2.LIMIT_SCOPE_ACCOUNT, subject=harness.policy_pb2.Subject(account="u1"),
                dimension=harness.policy_pb2.DIMENSION_STORED_BYTES, rate=1000)))
        self.assertEqual(self.check("/up", method="PUT", size="1000").status.code, 0)
        self.assertEqual(dict(self.check("/up", method="PUT", size="1001").dynamic_metadata)["reason"], "QUOTA_EXCEEDED")

    def test_an_empty_request_is_refused_and_garbage_is_an_error(self):
        response = self.ask(self.auth.CheckRequest())
        self.assertEqual(response.status.code, grpc.StatusCode.INVALID_ARGUMENT.value[0])
        self.assertEqual(response.denied_response.status.code, 400)
        raw = self.sluice.channel(self.sluice.check_address).unary_unary("/envoy.service.auth.v3.Authorization/Check")
        self.assert_rpc_error(grpc.StatusCode.INVALID_ARGUMENT, lambda: raw(b"\xff\xff", timeout=30), "CheckRequest")

    # -- The rate limit service

    def limit(self, *descriptors, **fields):
        request = self.rls.RateLimitRequest(domain="sluice", **fields)
        for entries, hits in descriptors:
            descriptor = request.descriptors.add()
            for key, value in entries.items():
                descriptor.entries.add(key=key, value=value)
            if hits is not None:
                # The package's files are older than the field: hits_addend = 3, a UInt64Value. As bytes.
                value = wrappers_pb2.UInt64Value(value=hits).SerializeToString()
                descriptor.MergeFromString(bytes([3 << 3 | 2, len(value)]) + value)
        return self.send_limit(request)

    def send_limit(self, request):
        response = self.rate_limit.ShouldRateLimit(request, timeout=harness.DEADLINE_SECONDS)
        self.assert_known(response)
        self.assertEqual(len(response.statuses), len(request.descriptors))
        self.assertFalse(response.request_headers_to_add)
        over = self.rls.RateLimitResponse.OVER_LIMIT
        self.assertEqual(response.overall_code == over, any(status.code == over for status in response.statuses))
        return response

    def test_rate_limit_service(self):
        code = self.rls.RateLimitResponse
        slow = {"host": "slow.example.cn", "path": "/k", "remote_address": "203.0.113.9"}
        fine = {"host": "www.example.cn", "path": "/k"}
        for _ in range(3):
            looked = self.limit((slow, 0))  # looks, and spends nothing
            self.assertEqual(looked.overall_code, code.OK)
            self.assertEqual(looked.statuses[0].limit_remaining, 1)
        self.assertEqual(self.limit((slow, None), (fine, None)).overall_code, code.OK)
        over = self.limit((fine, None), (slow, None))
        self.assertEqual(over.overall_code, code.OVER_LIMIT)
        self.assertEqual([status.code for status in over.statuses], [code.OK, code.OVER_LIMIT])
        self.assertFalse(over.statuses[0].HasField("current_limit"))  # no limit on requests there
        self.assertGreater(over.statuses[1].duration_until_reset.seconds, 2)
        self.assertEqual(over.statuses[1].current_limit.requests_per_unit, 15)
        self.assertEqual(over.statuses[1].current_limit.unit, code.RateLimit.MINUTE)
        self.assertEqual(over.statuses[1].current_limit.name, "requests")
        self.assertEqual(over.statuses[1].limit_remaining, 0)
        headers = {header.key: header.value for header in over.response_headers_to_add}
        self.assertIn(headers["Retry-After"], ("3", "4"))
        self.assertEqual(headers["content-type"], "application/problem+json")
        self.assertIn(b'"status":429', over.raw_body)
        self.assertEqual(over.dynamic_metadata["reason"], "RATE_LIMITED")
        # One state: what the rate limit filter has spent, ext_authz has not.
        self.assertEqual(self.check("/k", "slow.example.cn").denied_response.status.code, 429)

    def test_units(self):
        rate_limit = self.rls.RateLimitResponse.RateLimit
        for rate, unit, requests in ((7, rate_limit.SECOND, 7), (0.5, rate_limit.MINUTE, 30),
                                     (2 / 3600, rate_limit.HOUR, 2), (3 / 86400, rate_limit.DAY, 3), (2 / 604800, 7, 2)):
            self.sluice.apply(harness.account_limit("l1", "u1", rate=rate, burst=10))
            limit = self.limit(({"host": "www.example.cn"}, 0)).statuses[0].current_limit
            self.assertEqual((limit.unit, limit.requests_per_unit), (unit, requests))

    def test_hits(self):
        code = self.rls.RateLimitResponse
        slow = {"host": "slow.example.cn"}
        # Nought of a request is one; a descriptor's own goes before the request's.
        self.assertEqual(self.limit((slow, 0), hits_addend=1).overall_code, code.OK)
        self.assertEqual(self.limit((slow, None), hits_addend=0).overall_code, code.OK)
        self.assertEqual(self.limit((slow, None), hits_addend=0).overall_code, code.OVER_LIMIT)
        self.assertEqual(self.limit((slow, None), hits_addend=2).overall_code, code.OK)  # bytes

    def test_a_limit_that_the_caller_brings_is_not_heeded(self):
        request = self.rls.RateLimitRequest(domain="sluice")
        descriptor = request.descriptors.add()
        descriptor.entries.add(key="host", value="www.example.cn")
        descriptor.limit.requests_per_unit = 1
        descriptor.limit.unit = 1
        for _ in range(3):
            self.assertEqual(self.send_limit(request).overall_code, self.rls.RateLimitResponse.OK)

    def test_descriptors_that_cannot_be_mapped_are_errors(self):
        for entries in ({}, {"generic_key": "x"}, {"colour": "red", "host": "www.example.cn"}):
            self.assert_rpc_error(grpc.StatusCode.INVALID_ARGUMENT, lambda each=entries: self.limit((each, None)))
        self.assert_rpc_error(grpc.StatusCode.INVALID_ARGUMENT, self.limit, "descriptors")

    def test_bytes_of_an_ended_stream(self):
        code = self.rls.RateLimitResponse
        self.sluice.apply(byte_limit())
        usage = {"usage": "bytes_out", "host": "www.example.cn", "path": "/big"}
        self.assertEqual(self.check("/k").status.code, 0)
        for size in (0, 1, 1_000_000_000):
            self.assertEqual(self.limit((usage, size)).overall_code, code.OK)
        self.assertEqual(self.check("/k").denied_response.status.code, 429)
        # Nobody waits for what is told after the stream: it is never refused.
        self.assertEqual(self.limit((usage, 1_000_000_000)).overall_code, code.OK)
        self.assertEqual(self.limit(({"host": "www.example.cn"}, None), hits_addend=4_000_000_000).overall_code, code.OK)


if __name__ == "__main__":
    harness.main()
