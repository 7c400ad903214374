"""A client that this project did not write, Debian's python3-grpcio, calls the whole data path on the Unix socket."""

import threading

import grpc

import harness
from harness import check_pb2, health_pb2, policy_pb2, reflection_pb2

INVALID = grpc.StatusCode.INVALID_ARGUMENT


class GrpcClientTest(harness.TestCase):
    FLAGS = ()

    def setUp(self):
        super().setUp()
        self.server = self.node(*self.FLAGS).start()
        self.server.apply(
            *harness.standard_policy(),
            harness.freeze("u2"),
            harness.raise_flag("f-banned", "b1", "banned"),
            harness.account_limit("l-u3", "u3", rate=0.001, burst=1))
        self.stub = self.server.enforcement()

    def check(self, **fields):
        return self.stub.Check(check_pb2.CheckRequest(**fields), timeout=harness.DEADLINE_SECONDS)

    # -- Check

    def test_allow_deny_and_throttle_are_answers_and_not_errors(self):
        allowed = self.stub.Check(harness.download(request_id="r-1"), timeout=harness.DEADLINE_SECONDS)
        self.assert_decision(allowed, "ALLOW", "UNSPECIFIED", "")
        self.assertEqual(allowed.request_id, "r-1")
        self.assertFalse(allowed.HasField("http"))
        self.assertGreater(allowed.revision, 0)
        self.assertLessEqual(allowed.cache_for_ms, 5000)

        denied = self.stub.Check(harness.download(key="banned", dialect=check_pb2.DIALECT_S3))
        self.assert_decision(denied, "DENY", "CONTENT_PROHIBITED", "3.1.3.5.3")
        self.assertEqual(denied.rule_id, "f-banned")
        self.assertEqual(denied.fault, check_pb2.FAULT_CUSTOMER)
        self.assertEqual((denied.http.status, denied.http.code), (403, "AllAccessDisabled"))

        frozen = self.stub.Check(harness.download(bucket="b9", requester="u2", dialect=check_pb2.DIALECT_KODO))
        self.assert_decision(frozen, "DENY", "ACCOUNT_FROZEN", "7.2.1")
        self.assertEqual(frozen.http.status, 419)

        request = check_pb2.CheckRequest(operation=check_pb2.OPERATION_LIST, owner="u3", requester="u3")
        self.assert_decision(self.stub.Check(request), "ALLOW")
        throttled = self.stub.Check(request)
        self.assert_decision(throttled, "THROTTLE", "RATE_LIMITED", "3.1.3.6")
        self.assertEqual(throttled.rule_id, "l-u3")
        # One token in 1,000 s.
        self.assertGreater(throttled.retry_after_ms, 900_000)
        self.assertLessEqual(throttled.retry_after_ms, 1_000_000)

    def test_the_thousandth_answer_is_as_good_as_the_first(self):
        # The server uses its calls again; the longer answers of a denial take another way than short ones.
        denied = harness.download(key="banned", detail=True, request_id="r" * 200)
        for i in range(1000):
            response = self.stub.Check(denied, timeout=harness.DEADLINE_SECONDS)
            self.assert_decision(response, "DENY", "CONTENT_PROHIBITED")
            if i % 20 == 0:
                batch = check_pb2.CheckBatchRequest(requests=[denied] * 10)
                self.assertEqual(len(self.stub.CheckBatch(batch, timeout=harness.DEADLINE_SECONDS).responses), 10)
                self.stub.Report(check_pb2.ReportRequest(usages=[check_pb2.Usage(owner="u1")] * 5),
                                 timeout=harness.DEADLINE_SECONDS)

    def test_detail_gives_every_reason_and_who_set_the_rule(self):
        self.server.apply(harness.freeze("u1"))
        plain = self.stub.Check(harness.download(key="banned"))
        self.assertEqual(list(plain.all_reasons), [])
        detailed = self.stub.Check(harness.download(key="banned", detail=True))
        self.assertEqual(list(detailed.all_reasons),
                         [check_pb2.REASON_CONTENT_PROHIBITED, check_pb2.REASON_ACCOUNT_FROZEN])
        self.assertEqual(detailed.set_by, check_pb2.ROLE_MODERATION)

    def test_an_unknown_operation_is_judged_as_the_strictest(self):
        self.server.apply(policy_pb2.PolicyEvent(
            role=check_pb2.ROLE_OPERATIONS,
            set_maintenance=policy_pb2.SetMaintenance(region="cn", operations=[check_pb2.OPERATION_MANAGE_WRITE])))
        for operation in (check_pb2.OPERATION_MANAGE_WRITE, check_pb2.OPERATION_UNSPECIFIED, 99, 2**31 - 1, -1):
            with self.subTest(operation=operation):
                response = self.check(operation=operation, bucket="b1", requester="u1")
                self.assert_decision(response, "DENY", "MAINTENANCE")
        self.assert_decision(self.check(operation=check_pb2.OPERATION_DOWNLOAD, bucket="b1", requester="u1"), "ALLOW")

    def test_other_unknown_enum_values_are_no_error(self):
        response = self.check(operation=check_pb2.OPERATION_DOWNLOAD, bucket="b1", requester="u1", dialect=99,
                              principal=99)
        self.assert_decision(response, "ALLOW")

    def test_an_empty_request_gets_a_decision(self):
        response = self.check()
        self.assertIn(response.verdict, (check_pb2.VERDICT_ALLOW, check_pb2.VERDICT_DENY))
        self.assertNotEqual(response.verdict, check_pb2.VERDICT_UNSPECIFIED)
        self.assertEqual(response.request_id, "")

    def test_names_up_to_their_bounds_pass_and_longer_ones_are_refused_by_name(self):
        bounds = {"request_id": 256, "requester": 256, "owner": 256, "bucket": 256, "key": 4096, "version_id": 256,
                  "host": 261, "path": 4096, "region": 256, "lease_id": 256}
        for field, most in bounds.items():
            with self.subTest(field=field):
                response = self.check(operation=check_pb2.OPERATION_DOWNLOAD, **{field: "a" * most})
                self.assertNotEqual(response.verdict, check_pb2.VERDICT_UNSPECIFIED)
                self.assert_rpc_error(INVALID, lambda field=field, most=most: self.check(**{field: "a" * (most + 1)}),
                                      field, str(most), str(most + 1))
        source = check_pb2.ObjectRef(bucket="b", key="k" * 4097)
        self.assert_rpc_error(INVALID, lambda: self.check(copy_source=source), "copy_source.key")
        # Bytes count, not characters.
        self.assert_rpc_error(INVALID, lambda: self.check(bucket="桶" * 86), "bucket", "256", "258")
        self.assert_rpc_error(INVALID, lambda: self.check(client_ip="300.1.1.1"), "client_ip", "300.1.1.1")
        self.assert_rpc_error(INVALID, lambda: self.check(bytes=-1), "bytes", "-1")
        nine = [check_pb2.ContentHash(algorithm="md5", digest=str(i)) for i in range(9)]
        self.assert_rpc_error(INVALID, lambda: self.check(hashes=nine), "hashes", "8", "9")
        self.assert_decision(self.stub.Check(harness.download()), "ALLOW")

    def test_names_may_hold_any_character(self):
        for key in ("a\x00b", "\n", "键/\U0001F512", "%00", "../../etc/passwd", "\u202e", "'; drop", "{}"):
            with self.subTest(key=key):
                self.assert_decision(self.stub.Check(harness.download(key=key)), "ALLOW")

    def test_invalid_utf8_is_refused_in_clear_words_and_the_connection_lives_on(self):
        channel = self.server.channel(self.server.check_address)
        raw = channel.unary_unary("/sluice.v1.Enforcement/Check",
                                  request_serializer=lambda data: data,
                                  response_deserializer=check_pb2.CheckResponse.FromString)
        bad = {"invalid byte": harness.tagged(5, b"b\xff1"), "overlong form": harness.tagged(6, b"\xc0\xaf"),
               "surrogate": harness.tagged(5, b"\xed\xa0\x80"), "cut character": harness.tagged(6, b"\xe4\xb8")}
        for name, request in bad.items():
            with self.subTest(name):
                self.assert_rpc_error(INVALID, lambda request=request: raw(request, timeout=harness.DEADLINE_SECONDS),
                                      "UTF-8", "sluice.v1.CheckRequest")
        for name, request in {"cut message": b"\x2a\x05ab", "no message": b"\xff" * 40}.items():
            with self.subTest(name):
                self.assert_rpc_error(INVALID, lambda request=request: raw(request, timeout=harness.DEADLINE_SECONDS),
                                      "sluice.v1.CheckRequest")
        good = harness.download().SerializeToString()
        self.assert_decision(raw(good, timeout=harness.DEADLINE_SECONDS), "ALLOW")
        # Fields that this version does not know are passed over.
        self.assert_decision(raw(good + b"\xfa\x3e\x02hi", timeout=harness.DEADLINE_SECONDS), "ALLOW")
        self.assertEqual(self.server.metric("sluice_checks_malformed_total"), len(bad) + 2)

    def test_invalid_utf8_is_refused_in_batch_report_and_stream(self):
        channel = self.server.channel(self.server.check_address)
        bad = harness.tagged(2, harness.tagged(1, b"\xff"))
        for method in ("CheckBatch", "Report"):
            with self.subTest(method):
                raw = channel.unary_unary(f"/sluice.v1.Enforcement/{method}")
                request = harness.tagged(1, harness.tagged(5, b"\xff")) if method == "CheckBatch" else bad
                self.assert_rpc_error(INVALID, lambda raw=raw, request=request: raw(request, timeout=20), "UTF-8")
        stream = channel.stream_stream("/sluice.v1.Enforcement/CheckStream",
                                       response_deserializer=check_pb2.CheckResponse.FromString)
        good = harness.download(request_id="before").SerializeToString()
        answers = stream(iter([good, harness.tagged(5, b"\xff"), good]), timeout=harness.DEADLINE_SECONDS)
        self.assertEqual(next(answers).request_id, "before")
        self.assert_rpc_error(INVALID, lambda: next(answers), "UTF-8")

    # -- Batch

    def test_a_batch_is_answered_in_order_up_to_its_bound(self):
        def request(i):
            return harness.download(key="banned" if i % 3 == 0 else f"k{i}", request_id=f"r{i}")
        for size in (0, 1, 1024):
            batch = check_pb2.CheckBatchRequest(requests=[request(i) for i in range(size)])
            responses = self.stub.CheckBatch(batch, timeout=harness.DEADLINE_SECONDS).responses
            self.assertEqual([response.request_id for response in responses], [f"r{i}" for i in range(size)])
            for i, response in enumerate(responses):
                self.assert_decision(response, "DENY" if i % 3 == 0 else "ALLOW")
        batch = check_pb2.CheckBatchRequest(requests=[request(i) for i in range(1025)])
        self.assert_rpc_error(INVALID, lambda: self.stub.CheckBatch(batch, timeout=harness.DEADLINE_SECONDS),
                              "1,024", "1025")

    def test_a_batch_with_one_malformed_request_is_refused_whole_and_spends_nothing(self):
        spend = check_pb2.CheckRequest(operation=check_pb2.OPERATION_LIST, owner="u3", requester="u3")
        batch = check_pb2.CheckBatchRequest(requests=[spend, check_pb2.CheckRequest(bucket="b" * 257)])
        self.assert_rpc_error(INVALID, lambda: self.stub.CheckBatch(batch), "requests[1]", "bucket")
        self.assert_decision(self.stub.Check(spend), "ALLOW")

    def test_the_largest_batch_of_the_longest_names_fits(self):
        request = harness.download(key="k" * 4096, path="/" * 4096, host="h" * 261, version_id="v" * 256)
        batch = check_pb2.CheckBatchRequest(requests=[request] * 1024)
        self.assertEqual(len(self.stub.CheckBatch(batch, timeout=harness.DEADLINE_SECONDS).responses), 1024)

    # -- Stream

    def test_a_stream_answers_in_order_however_many_are_under_way(self):
        count = 5000
        requests = (harness.download(key="banned" if i % 7 == 0 else "k", request_id=str(i)) for i in range(count))
        seen = 0
        for response in self.stub.CheckStream(requests, timeout=harness.DEADLINE_SECONDS):
            self.assertEqual(response.request_id, str(seen))
            self.assert_decision(response, "DENY" if seen % 7 == 0 else "ALLOW")
            seen += 1
        self.assertEqual(seen, count)

    def test_a_stream_answers_each_request_without_waiting_for_the_next(self):
        turn = threading.Semaphore(1)
        done = threading.Event()

        def one_by_one():
            number = 0
            while turn.acquire(timeout=harness.DEADLINE_SECONDS) and not done.is_set():
                yield harness.download(request_id=str(number))
                number += 1
        answers = self.stub.CheckStream(one_by_one(), timeout=harness.DEADLINE_SECONDS)
        for i in range(100):
            self.assertEqual(next(answers).request_id, str(i))
            turn.release()
        done.set()
        turn.release()

    def test_a_malformed_request_ends_a_stream_behind_the_answers_before_it(self):
        requests = [harness.download(request_id=str(i)) for i in range(10)] + [check_pb2.CheckRequest(bucket="b" * 257)]
        answers = self.stub.CheckStream(iter(requests), timeout=harness.DEADLINE_SECONDS)
        for i in range(10):
            self.assertEqual(next(answers).request_id, str(i))
        self.assert_rpc_error(INVALID, lambda: next(answers), "bucket")

    def test_streams_that_callers_abandon_do_no_harm(self):
        for _ in range(200):
            answers = self.stub.CheckStream(iter([harness.download(), harness.download()]))
            next(answers)
            answers.cancel()
        self.assert_decision(self.stub.Check(harness.download()), "ALLOW")

    # -- Report

    def test_a_report_is_counted_once(self):
        self.server.apply(policy_pb2.PolicyEvent(
            role=check_pb2.ROLE_BILLING,
            set_limit=policy_pb2.SetLimit(
                limit_id="l-bytes", level=policy_pb2.LEVEL_CONTRACT, scope=policy_pb2.LIMIT_SCOPE_ACCOUNT,
                subject=policy_pb2.Subject(account="u1"), dimension=policy_pb2.DIMENSION_STORED_BYTES, rate=1000)))

        def upload(size):
            return self.check(operation=check_pb2.OPERATION_UPLOAD, requester="u1", bucket="b1", key="k", bytes=size)
        report = check_pb2.ReportRequest(report_id="once", usages=[
            check_pb2.Usage(owner="u1", bucket="b1", operation=check_pb2.OPERATION_UPLOAD, stored_bytes_delta=600)])
        self.assert_decision(upload(1000), "ALLOW")
        self.assertEqual(self.stub.Report(report, timeout=harness.DEADLINE_SECONDS).accepted, 1)
        self.assertEqual(self.stub.Report(report, timeout=harness.DEADLINE_SECONDS).accepted, 1)
        self.assert_decision(upload(400), "ALLOW")
        self.assert_decision(upload(401), "DENY", "QUOTA_EXCEEDED")
        self.assertEqual(self.stub.Report(check_pb2.ReportRequest()).accepted, 0)
        negative = check_pb2.ReportRequest(usages=[check_pb2.Usage(owner="u1", bytes_out=-1)])
        self.assert_rpc_error(INVALID, lambda: self.stub.Report(negative), "usages[0]", "bytes_out")

    def test_a_lease_is_held_until_a_report_ends_it(self):
        self.server.apply(policy_pb2.PolicyEvent(
            role=check_pb2.ROLE_BILLING,
            set_limit=policy_pb2.SetLimit(
                limit_id="l-connections", level=policy_pb2.LEVEL_CONTRACT, scope=policy_pb2.LIMIT_SCOPE_ACCOUNT,
                subject=policy_pb2.Subject(account="u1"), dimension=policy_pb2.DIMENSION_CONNECTIONS, rate=1)))
        first = self.stub.Check(harness.download(take_lease=True))
        self.assert_decision(first, "ALLOW")
        self.assertNotEqual(first.lease_id, "")
        self.assert_decision(self.stub.Check(harness.download(take_lease=True)), "THROTTLE", "RATE_LIMITED")
        self.stub.Report(check_pb2.ReportRequest(usages=[check_pb2.Usage(owner="u1", lease_id=first.lease_id)]))
        self.assert_decision(self.stub.Check(harness.download(take_lease=True)), "ALLOW")

    # -- What every gRPC server owes its callers

    def test_health_is_checked_and_watched(self):
        health = self.server.health()
        for service in ("", "sluice.v1.Enforcement"):
            response = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=harness.DEADLINE_SECONDS)
            self.assertEqual(response.status, health_pb2.HealthCheckResponse.SERVING)
            watch = health.Watch(health_pb2.HealthCheckRequest(service=service), timeout=harness.DEADLINE_SECONDS)
            self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVING)
            watch.cancel()
        self.assert_rpc_error(grpc.StatusCode.NOT_FOUND,
                              lambda: health.Check(health_pb2.HealthCheckRequest(service="no.such"), timeout=20))

    def reflect(self, address, request):
        stub = harness.reflection_pb2_grpc.ServerReflectionStub(self.server.channel(address))
        return next(stub.ServerReflectionInfo(iter([request]), timeout=harness.DEADLINE_SECONDS))

    def test_reflection_lists_the_services_of_each_listener(self):
        request = reflection_pb2.ServerReflectionRequest(list_services="*")

        def services(address):
            return {service.name for service in self.reflect(address, request).list_services_response.service}
        check = services(self.server.check_address)
        self.assertLessEqual({"sluice.v1.Enforcement", "grpc.health.v1.Health"}, check)
        self.assertNotIn("sluice.v1.PolicyAdmin", check)
        admin = services(self.server.admin_address)
        self.assertLessEqual({"sluice.v1.PolicyAdmin", "sluice.v1.DecisionLog"}, admin)
        symbol = reflection_pb2.ServerReflectionRequest(file_containing_symbol="sluice.v1.Enforcement")
        files = self.reflect(self.server.check_address, symbol).file_descriptor_response.file_descriptor_proto
        self.assertTrue(any(b"CheckRequest" in file for file in files))

    def test_the_check_listener_does_not_take_policy(self):
        admin = harness.admin_pb2_grpc.PolicyAdminStub(self.server.channel(self.server.check_address))
        request = harness.admin_pb2.ApplyRequest(events=[harness.freeze("u1")])
        self.assert_rpc_error(grpc.StatusCode.UNIMPLEMENTED, lambda: admin.Apply(request, timeout=20))
        self.assert_decision(self.stub.Check(harness.download()), "ALLOW")

    def test_an_unknown_method_is_unimplemented(self):
        raw = self.server.channel(self.server.check_address).unary_unary("/sluice.v1.Enforcement/NoSuch")
        self.assert_rpc_error(grpc.StatusCode.UNIMPLEMENTED, lambda: raw(b"", timeout=20))

    def test_deadlines_hold_and_what_missed_one_leaves_the_server_well(self):
        # One that has passed already: no answer can be in time.
        self.assert_rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED,
                              lambda: self.stub.Check(harness.download(), timeout=-1))
        # The server waits for the client's next message; the client's deadline ends the call.
        hold = threading.Event()

        def silent():
            hold.wait(harness.DEADLINE_SECONDS)
            return
            yield
        try:
            self.assert_rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED,
                                  lambda: next(self.stub.CheckStream(silent(), timeout=0.2)))
        finally:
            hold.set()
        self.assert_decision(self.stub.Check(harness.download(), timeout=harness.DEADLINE_SECONDS), "ALLOW")

    def test_many_callers_at_once_each_get_their_own_answer(self):
        failures = []

        def caller(name):
            try:
                stub = self.server.enforcement()
                calls = [stub.Check.future(harness.download(request_id=f"{name}-{i}"), timeout=harness.DEADLINE_SECONDS)
                         for i in range(300)]
                for i, call in enumerate(calls):
                    if call.result().request_id != f"{name}-{i}":
                        failures.append((name, i, call.result()))
            except grpc.RpcError as error:
                failures.append((name, error))
        threads = [threading.Thread(target=caller, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_a_message_over_the_bound_is_refused_and_the_next_call_works(self):
        giant = check_pb2.CheckRequest(key="k" * (17 << 20))
        self.assert_rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: self.stub.Check(giant, timeout=20))
        self.assert_decision(self.stub.Check(harness.download(), timeout=harness.DEADLINE_SECONDS), "ALLOW")


class GrpcEngineClientTest(GrpcClientTest):
    """The same where gRPC's own server answers checks."""
    FLAGS = ("--listen-check-engine", "grpc")


if __name__ == "__main__":
    harness.main()
