"""Envoy's own proto files, as npm's @grpc/grpc-js-xds ships them, against the doors for Envoy: what is served here under our
wire-compatible files is spoken to with the real ones, field by field. Skipped where npm cannot be reached.
"""

import base64
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

import grpc

import harness
from gateways import gateway_policy
from google.protobuf import json_format, wrappers_pb2

PACKAGE = "@grpc/grpc-js-xds@1.14.1"
INTEGRITY = "sha512-F2mVXwEeMWw1znPUrp+8ykjsIOVnf7Rv+EyIvXOfz73w5tNolCnzokpLkE/d2Ehx30PJmZXqCQdMpx8DcBJohA=="
PROTOS = ("envoy/service/auth/v3/external_auth.proto", "envoy/service/ratelimit/v3/rls.proto")


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
    """Python of the two services and of everything that they import."""
    roots = [deps / name for name in ("envoy-api", "xds", "googleapis", "protoc-gen-validate")]
    wanted, found = list(PROTOS), {}
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


class EnvoyTest(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.protos = tempfile.mkdtemp(prefix="sluice-envoy-")
        cls.addClassCleanup(shutil.rmtree, cls.protos, ignore_errors=True)
        sys.path.insert(0, str(generate(fetch(cls.protos), cls.protos)))
        # pylint: disable=import-outside-toplevel
        from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc
        from envoy.service.ratelimit.v3 import rls_pb2, rls_pb2_grpc
        cls.auth, cls.auth_grpc, cls.rls, cls.rls_grpc = (external_auth_pb2, external_auth_pb2_grpc, rls_pb2,
                                                          rls_pb2_grpc)

    def setUp(self):
        super().setUp()
        self.sluice = self.node("--doors-blocked-by", "https://provider.example.cn/legal").start()
        self.sluice.apply(*gateway_policy())
        channel = self.sluice.channel(self.sluice.check_address)
        self.authorization = self.auth_grpc.AuthorizationStub(channel)
        self.rate_limit = self.rls_grpc.RateLimitServiceStub(channel)

    def request(self, path, host="www.example.cn", **fields):
        """As Envoy fills it: everything that wire-compatible files do not know too."""
        return json_format.ParseDict({"attributes": {
            "source": {"address": {"socketAddress": {"address": "203.0.113.9", "portValue": 40123}},
                       "principal": "spiffe://edge", "certificate": "x"},
            "destination": {"address": {"socketAddress": {"address": "127.0.0.1", "portValue": 8080}}},
            "request": {"time": "2026-01-01T00:00:00Z",
                        "http": {"id": "12", "method": "GET", "path": path, "host": host, "scheme": "https",
                                 "size": "-1", "protocol": "HTTP/2", "headers": {":path": path, "accept": "*/*"},
                                 "rawBody": "eA==", **fields}},
            "contextExtensions": {"profile": "cdn", "region": "cn"},
            "metadataContext": {"filterMetadata": {"x": {"y": 1}}},
            "tlsSession": {"sni": host}}}, self.auth.CheckRequest())

    def check(self, *arguments, **fields):
        response = self.authorization.Check(self.request(*arguments, **fields), timeout=harness.DEADLINE_SECONDS)
        # Nothing that the real messages do not know: every field that was sent has a name in them.
        self.assertTrue(response.HasField("status"))
        return response

    def test_allow(self):
        response = self.check("/k?x=1")
        self.assertEqual(response.status.code, 0)
        self.assertEqual(response.WhichOneof("http_response"), "ok_response")
        self.assertEqual(response.dynamic_metadata["verdict"], "ALLOW")
        self.assertGreater(response.dynamic_metadata["revision"], 0)

    def test_denied_field_by_field(self):
        response = self.check("/k", "cold.example.cn")
        self.assertEqual(response.status.code, grpc.StatusCode.PERMISSION_DENIED.value[0])
        denied = response.denied_response
        self.assertEqual(denied.status.code, 403)
        self.assertIn('"status":403', denied.body)
        headers = {}
        for option in denied.headers:
            self.assertTrue(option.HasField("append"))
            self.assertFalse(option.append.value)
            headers[option.header.key] = option.header.value
        self.assertEqual(headers["content-type"], "application/problem+json")
        self.assertEqual(headers["Cache-Control"], "no-store")
        self.assertEqual(dict(response.dynamic_metadata)["reason"], "ACCOUNT_FROZEN")
        self.assertEqual(dict(response.dynamic_metadata)["clause"], "7.2.1")

    def test_legal_order_is_451_though_the_enum_has_no_such_name(self):
        response = self.check("/ordered.jpg")
        self.assertEqual(response.denied_response.status.code, 451)
        links = [option.header.value for option in response.denied_response.headers if option.header.key == "Link"]
        self.assertEqual(links, ['<https://provider.example.cn/legal>; rel="blocked-by"'])

    def test_throttled(self):
        self.assertEqual(self.check("/k", "slow.example.cn").status.code, 0)
        response = self.check("/k", "slow.example.cn")
        self.assertEqual(response.status.code, grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
        self.assertEqual(response.denied_response.status.code, 429)
        retry = [option.header.value for option in response.denied_response.headers
                 if option.header.key == "Retry-After"]
        self.assertIn(retry, (["3"], ["4"]))

    def test_an_empty_request_is_refused_and_garbage_is_an_error(self):
        response = self.authorization.Check(self.auth.CheckRequest(), timeout=harness.DEADLINE_SECONDS)
        self.assertNotEqual(response.status.code, 0)
        self.assertEqual(response.denied_response.status.code, 400)

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
        response = self.rate_limit.ShouldRateLimit(request, timeout=harness.DEADLINE_SECONDS)
        self.assertEqual(len(response.statuses), len(descriptors))
        return response

    def test_rate_limit_service(self):
        code = self.rls.RateLimitResponse
        slow = {"host": "slow.example.cn", "path": "/k", "remote_address": "203.0.113.9"}
        fine = {"host": "www.example.cn", "path": "/k"}
        for _ in range(3):
            self.assertEqual(self.limit((slow, 0)).overall_code, code.OK)  # looks, and spends nothing
        self.assertEqual(self.limit((slow, None), (fine, None)).overall_code, code.OK)
        over = self.limit((fine, None), (slow, None))
        self.assertEqual(over.overall_code, code.OVER_LIMIT)
        self.assertEqual([status.code for status in over.statuses], [code.OK, code.OVER_LIMIT])
        self.assertGreater(over.statuses[1].duration_until_reset.seconds, 2)
        self.assertEqual(over.statuses[1].current_limit.requests_per_unit, 15)
        self.assertEqual(over.statuses[1].current_limit.unit, code.RateLimit.MINUTE)
        self.assertEqual(over.statuses[1].limit_remaining, 0)
        self.assertIn("Retry-After", [header.key for header in over.response_headers_to_add])
        self.assertTrue(over.raw_body)
        # One state: what the rate limit filter has spent, ext_authz has not.
        self.assertEqual(self.check("/k", "slow.example.cn").denied_response.status.code, 429)

    def test_bytes_of_an_ended_stream(self):
        code = self.rls.RateLimitResponse
        self.sluice.apply(harness.policy_pb2.PolicyEvent(
            role=harness.check_pb2.ROLE_BILLING,
            set_limit=harness.policy_pb2.SetLimit(
                limit_id="bytes", level=harness.policy_pb2.LEVEL_CONTRACT,
                scope=harness.policy_pb2.LIMIT_SCOPE_ACCOUNT, subject=harness.policy_pb2.Subject(account="u1"),
                dimension=harness.policy_pb2.DIMENSION_BYTES_OUT, rate=1000, burst=100_000)))
        usage = {"usage": "bytes_out", "host": "www.example.cn", "path": "/big"}
        self.assertEqual(self.check("/k").status.code, 0)
        for size in (1, 1_000_000_000):
            self.assertEqual(self.limit((usage, size)).overall_code, code.OK)
        self.assertEqual(self.check("/k").denied_response.status.code, 429)


if __name__ == "__main__":
    harness.main()
