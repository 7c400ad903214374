"""sluiced as whoever runs it meets it: starting, stopping, probes, metrics, logs."""

import datetime
import os
import re
import socket
import stat
import threading

import grpc

import harness
from harness import admin_pb2, check_pb2, health_pb2, policy_pb2

STOPPED = 0


class LifeTest(harness.TestCase):

    # -- Before any policy

    def test_a_node_without_policy_decides_nothing_and_says_so_everywhere(self):
        node = self.node().start()
        response = node.check(harness.download(dialect=check_pb2.DIALECT_GENERIC))
        self.assert_decision(response, "DENY", "NOT_READY", "8.2")
        self.assertEqual(response.fault, check_pb2.FAULT_PROVIDER)
        self.assertEqual(response.http.status, 503)
        self.assertEqual(response.revision, 0)
        self.assertFalse(node.serving())
        self.assertFalse(node.serving("sluice.v1.Enforcement"))
        self.assertEqual(node.http_get("/healthz")[0], 200)
        status, text = node.http_get("/readyz")
        self.assertEqual(status, 503)
        self.assertIn("no policy", text)
        self.assertEqual(node.metric("sluice_ready"), 0)

        node.apply(*harness.standard_policy())
        # Acknowledged, so it holds at once.
        self.assert_decision(node.check(harness.download()), "ALLOW")
        self.assertTrue(node.serving())
        self.assertTrue(node.serving("sluice.v1.Enforcement"))
        self.assertEqual(node.http_get("/readyz"), (200, "ready\n"))
        self.assertEqual(node.metric("sluice_ready"), 1)

    def test_a_restarted_node_is_ready_with_the_policy_it_had(self):
        node = self.node().start()
        node.apply(*harness.standard_policy(), harness.freeze("u2"))
        revision = node.export().revision
        self.assertEqual(node.stop(), STOPPED)
        node.start()
        harness.await_condition(node.serving, "health says SERVING")
        self.assertEqual(node.http_get("/readyz")[0], 200)
        response = node.check(harness.download(bucket="b9", requester="u2"))
        self.assert_decision(response, "DENY", "ACCOUNT_FROZEN")
        self.assertEqual(response.revision, revision)
        self.assertEqual(node.metric("sluice_policy_revision"), revision)

    def test_a_policy_older_than_its_bound_is_stale(self):
        node = self.node("--policy-max-age", "10ms").start()
        node.apply(*harness.standard_policy())
        harness.await_condition(lambda: not node.serving(), "health says NOT_SERVING")
        response = node.check(harness.download())
        self.assert_decision(response, "DENY", "STALE_POLICY", "8.2")
        self.assertIn("stale", node.http_get("/readyz")[1])

    def test_a_check_that_asks_for_a_newer_policy_is_refused_as_stale(self):
        node = self.node().start()
        revision = node.apply(*harness.standard_policy()).revision
        self.assert_decision(node.check(harness.download(min_revision=revision)), "ALLOW")
        response = node.check(harness.download(min_revision=revision + 1))
        self.assert_decision(response, "DENY", "STALE_POLICY")

    # -- Acknowledged means in force

    def test_a_freeze_holds_for_the_next_check_after_its_acknowledgement(self):
        node = self.node().start()
        node.apply(*harness.standard_policy())
        admin, stub = node.admin(), node.enforcement()
        for i in range(200):
            change = harness.freeze("u1") if i % 2 == 0 else harness.unfreeze("u1")
            applied = admin.Apply(admin_pb2.ApplyRequest(events=[change]), timeout=harness.DEADLINE_SECONDS)
            response = stub.Check(harness.download(), timeout=harness.DEADLINE_SECONDS)
            self.assert_decision(response, "DENY" if i % 2 == 0 else "ALLOW")
            self.assertGreaterEqual(response.revision, applied.revision)

    def test_acknowledged_freezes_hold_on_every_connection_while_others_apply(self):
        node = self.node().start()
        node.apply(*harness.standard_policy())
        failures = []

        def tenant(number):
            admin, stub = node.admin(), node.enforcement()
            try:
                for i in range(60):
                    account = f"t{number}-{i}"
                    admin.Apply(admin_pb2.ApplyRequest(events=[harness.freeze(account)]),
                                timeout=harness.DEADLINE_SECONDS)
                    response = stub.Check(
                        check_pb2.CheckRequest(operation=check_pb2.OPERATION_LIST, owner=account, requester=account),
                        timeout=harness.DEADLINE_SECONDS)
                    if response.reason != check_pb2.REASON_ACCOUNT_FROZEN:
                        failures.append((account, str(response)))
            except grpc.RpcError as error:
                failures.append((number, str(error)))
        threads = [threading.Thread(target=tenant, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_a_request_over_its_bound_is_refused_whole(self):
        node = self.node().start()
        request = admin_pb2.ApplyRequest(events=[harness.freeze(f"u{i}") for i in range(10_001)])
        self.assert_rpc_error(grpc.StatusCode.INVALID_ARGUMENT,
                              lambda: node.admin().Apply(request, timeout=harness.DEADLINE_SECONDS), "10000", "10001")
        self.assertEqual(node.export().revision, 0)
        del request.events[10_000:]
        response = node.admin().Apply(request, timeout=harness.DEADLINE_SECONDS)
        self.assertEqual(response.revision, 10_000)

    def test_events_out_of_bounds_are_rejected_and_announced(self):
        node = self.node().start()
        bad = [harness.freeze(""), harness.freeze("u" * 257), harness.raise_flag("f", "b", category="9.9"),
               harness.raise_flag("f" * 257, "b"), policy_pb2.PolicyEvent(),
               policy_pb2.PolicyEvent(role=check_pb2.ROLE_SECURITY, freeze=policy_pb2.Freeze(account="u1"))]
        response = node.admin().Apply(admin_pb2.ApplyRequest(events=bad), timeout=harness.DEADLINE_SECONDS)
        for event, result in zip(bad, response.results):
            self.assertEqual(result.outcome, admin_pb2.OUTCOME_REJECTED, event)
            self.assertNotEqual(result.error, "", event)
        watch = node.admin().Watch(admin_pb2.WatchRequest(from_revision=1), timeout=harness.DEADLINE_SECONDS)
        for result in response.results:
            announcement = next(watch)
            self.assertEqual(announcement.kind, policy_pb2.ANNOUNCEMENT_KIND_EVENT_REJECTED)
            self.assertEqual(announcement.revision, result.revision)
        watch.cancel()

    # -- The decision log

    def test_decisions_are_kept_with_whom_they_met(self):
        node = self.node("--node-name", "edge-7", "--decision-log-sample", "1").start()
        node.apply(*harness.standard_policy(), harness.freeze("u2"))
        node.check(harness.download(key="a", client_ip="203.0.113.9", request_id="r-1"))
        node.check(harness.download(bucket="b9", requester="u2", request_id="r-2"))
        query = node.decision_log().Query
        records = list(query(admin_pb2.LogQuery(), timeout=harness.DEADLINE_SECONDS))
        self.assertEqual([record.request.request_id for record in records], ["r-1", "r-2"])
        self.assertEqual({record.node for record in records}, {"edge-7"})
        self.assertEqual(records[0].request.owner, "u1")
        self.assertEqual(records[0].request.client_ip, "203.0.113.9")
        denied = list(query(admin_pb2.LogQuery(verdict=check_pb2.VERDICT_DENY), timeout=harness.DEADLINE_SECONDS))
        self.assertEqual([record.request.request_id for record in denied], ["r-2"])
        self.assertEqual(list(denied[0].response.all_reasons), [check_pb2.REASON_ACCOUNT_FROZEN])
        of_u1 = list(query(admin_pb2.LogQuery(account="u1"), timeout=harness.DEADLINE_SECONDS))
        self.assertEqual([record.request.request_id for record in of_u1], ["r-1"])
        self.assertEqual(len(list(query(admin_pb2.LogQuery(limit=1), timeout=harness.DEADLINE_SECONDS))), 1)

    # -- Stopping

    def test_sigterm_drains(self):
        node = self.node("--drain", "60s").start()
        node.apply(*harness.standard_policy())
        harness.await_condition(node.serving, "health says SERVING")
        turn = threading.Semaphore(1)
        last = threading.Event()

        def requests():
            number = 0
            while turn.acquire(timeout=harness.DEADLINE_SECONDS) and not last.is_set():
                yield harness.download(request_id=str(number))
                number += 1
        stream = node.enforcement().CheckStream(requests(), timeout=harness.DEADLINE_SECONDS)
        self.assertEqual(next(stream).request_id, "0")
        watch = node.health().Watch(health_pb2.HealthCheckRequest(), timeout=harness.DEADLINE_SECONDS)
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVING)

        node.terminate()
        # Whoever watches is told to go elsewhere.
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.NOT_SERVING)
        watch.cancel()
        status, text = node.http_get("/readyz")
        self.assertEqual((status, text), (503, "draining\n"))
        self.assertEqual(node.http_get("/healthz")[0], 200)
        # The stream that was under way goes on as long as its caller wants.
        for number in range(1, 50):
            turn.release()
            response = next(stream)
            self.assertEqual(response.request_id, str(number))
            self.assert_decision(response, "ALLOW")
        self.assertIsNone(node.process.poll())
        last.set()
        turn.release()
        self.assertEqual(list(stream), [])
        # It need not wait for the end of the drain.
        self.assertEqual(node.wait(30), STOPPED)
        self.assertEqual(node.record("stopping")["signal"], "SIGTERM")
        self.assertIsNotNone(node.record("stopped"))
        node.start()
        self.assert_decision(node.check(harness.download()), "ALLOW")

    def test_a_caller_who_does_not_leave_is_cut_off_at_the_end_of_the_drain(self):
        node = self.node("--drain", "100ms").start()
        node.apply(*harness.standard_policy())
        hold = threading.Event()

        def requests():
            yield harness.download(request_id="0")
            hold.wait(harness.DEADLINE_SECONDS)
        try:
            stream = node.enforcement().CheckStream(requests(), timeout=harness.DEADLINE_SECONDS)
            self.assertEqual(next(stream).request_id, "0")
            watch = node.admin().Watch(admin_pb2.WatchRequest(), timeout=harness.DEADLINE_SECONDS)
            watch.initial_metadata()
            node.terminate()
            self.assertEqual(node.wait(30), STOPPED)
            with self.assertRaises(grpc.RpcError):
                next(stream)
            with self.assertRaises(grpc.RpcError) as caught:
                next(watch)
            self.assertIn(caught.exception.code(), (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED))
        finally:
            hold.set()

    def test_sigint_stops_too(self):
        node = self.node().start()
        node.process.send_signal(2)
        self.assertEqual(node.wait(), STOPPED)
        self.assertEqual(node.record("stopping")["signal"], "SIGINT")

    def test_a_stop_during_applies_loses_nothing_acknowledged(self):
        node = self.node("--drain", "5s").start()
        node.apply(*harness.standard_policy())
        acknowledged, enough, lock = [], threading.Event(), threading.Lock()

        def worker(number):
            admin = node.admin()
            try:
                for i in range(100_000):
                    flag = f"f{number}-{i}"
                    admin.Apply(admin_pb2.ApplyRequest(events=[harness.raise_flag(flag, "b1", flag)]),
                                timeout=harness.DEADLINE_SECONDS)
                    with lock:
                        acknowledged.append(flag)
                        if len(acknowledged) == 100:
                            enough.set()
            except grpc.RpcError:
                pass
        threads = [threading.Thread(target=worker, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        self.assertTrue(enough.wait(harness.DEADLINE_SECONDS))
        node.terminate()
        self.assertEqual(node.wait(), STOPPED)
        for thread in threads:
            thread.join(harness.DEADLINE_SECONDS)
        node.start()
        there = {event.raise_flag.flag_id for event in node.export().events if event.HasField("raise_flag")}
        self.assertEqual(set(acknowledged) - there, set())

    # -- What it shows

    def test_metrics_count_what_happened(self):
        node = self.node().start()
        node.apply(*harness.standard_policy(), harness.freeze("u2"))
        node.admin().Apply(admin_pb2.ApplyRequest(events=[policy_pb2.PolicyEvent()]))
        for _ in range(3):
            node.check(harness.download())
        node.check(harness.download(bucket="b9", requester="u2"))
        self.assert_rpc_error(grpc.StatusCode.INVALID_ARGUMENT, lambda: node.check(harness.download(bucket="b" * 257)))

        def checks(verdict, reason):
            fault = "UNSPECIFIED" if verdict == "ALLOW" else "CUSTOMER"
            return node.metric(f'sluice_checks_total{{verdict="{verdict}",reason="{reason}",fault="{fault}",'
                               'operation="DOWNLOAD",door="GRPC"}')
        self.assertEqual(checks("ALLOW", "UNSPECIFIED"), 3)
        self.assertEqual(checks("DENY", "ACCOUNT_FROZEN"), 1)
        self.assertEqual(node.metric("sluice_checks_malformed_total"), 1)
        self.assertEqual(node.metric('sluice_events_total{outcome="APPLIED",role="BILLING"}'), 3)
        self.assertEqual(node.metric('sluice_events_total{outcome="APPLIED",role="STORAGE"}'), 3)
        self.assertEqual(node.metric('sluice_events_total{outcome="REJECTED",role="UNSPECIFIED"}'), 1)
        self.assertGreaterEqual(node.metric("sluice_commit_seconds_count"), 2)
        status, text = node.http_get("/metrics")
        self.assertEqual(status, 200)
        names = set(re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE))
        self.assertEqual(names, set(re.findall(r"^# TYPE (\S+) (?:counter|gauge|histogram)$", text, re.MULTILINE)))
        self.assertTrue(names and all(name.startswith(("sluice_", "process_")) for name in names))
        # Clause 6: nobody is named.
        for name in ("u1", "u2", "b1", "b9", "k1"):
            self.assertNotRegex(text, rf'"{name}"')

    def test_the_http_listener_serves_three_pages_to_readers(self):
        node = self.node().start()
        self.assertEqual(node.http_get("/healthz"), (200, "alive\n"))
        self.assertEqual(node.http_get("/healthz", "HEAD"), (200, ""))
        self.assertEqual(node.http_get("/healthz", "POST")[0], 405)
        for path in ("/", "/metrics/x", "/healthzz", "/../etc/passwd", "/%2e%2e/etc/passwd"):
            with self.subTest(path):
                self.assertNotEqual(node.http_get(path)[0], 200)
        # Somebody who connects and says nothing keeps nobody out.
        with socket.create_connection(("127.0.0.1", node.http_port())) as silent:
            silent.send(b"GET /healthz HT")
            self.assertEqual(node.http_get("/healthz")[0], 200)

    def test_the_log_is_structured_and_names_no_secret(self):
        node = self.node("--log-level", "debug").start()
        node.apply(*harness.standard_policy())
        raw = node.channel(node.check_address).unary_unary("/sluice.v1.Enforcement/Check")
        with self.assertRaises(grpc.RpcError):
            raw(b"\x2a\x02\xff\xfe", timeout=harness.DEADLINE_SECONDS)
        self.assertEqual(node.stop(), STOPPED)
        records = node.log_records()
        for record in records:
            self.assertLessEqual({"time", "level", "event"}, record.keys())
            datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00"))
            self.assertIn(record["level"], ("debug", "info", "warning", "error"))
        events = [record["event"] for record in records]
        for event in ("agreement pack", "policy loaded", "listening", "started", "stopping", "stopped"):
            self.assertIn(event, events)
        addresses = [record["address"] for record in records if record["event"] == "listening"]
        self.assertIn(node.check_address, addresses)
        self.assertIn(node.admin_address, addresses)

    def test_the_log_can_be_text(self):
        node = self.node("--log-format", "text").start()
        self.assertEqual(node.stop(), STOPPED)
        self.assertRegex(node.log_text(), r"(?m)^\d{4}-\d\d-\d\dT\S+Z info listening for=checks address=unix:\S+ inherited=false engine=own$")

    def process_status(self, node):
        with open(f"/proc/{node.process.pid}/status", encoding="utf-8") as status:
            return dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)

    def test_the_process_gives_up_what_it_does_not_need_unless_it_is_told_not_to(self):
        node = self.node().start()
        node.apply(*harness.standard_policy())
        status = self.process_status(node)
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        kept = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 10  # chown, dac_override, fowner, net_bind_service
        self.assertEqual(int(status["CapPrm"], 16) & ~kept, 0, status)
        self.assertEqual(node.stop(), STOPPED)
        node.start("--confine", "false")
        status = self.process_status(node)
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("0", "0"))

    def test_sockets_have_the_configured_permissions(self):
        node = self.node("--listen-check-mode", "0666", "--listen-admin-mode", "0600").start()
        node.await_record("started")
        for address, mode in ((node.check_address, 0o666), (node.admin_address, 0o600)):
            info = os.stat(address[len("unix:"):])
            self.assertTrue(stat.S_ISSOCK(info.st_mode))
            self.assertEqual(stat.S_IMODE(info.st_mode), mode)

    def test_checks_are_answered_over_tcp_too(self):
        node = self.node()
        node.check_address = "127.0.0.1:0"
        node.spawn()
        address = node.await_record("listening", **{"for": "checks"})["address"]
        node.await_record("started")
        self.assertRegex(address, r"^127\.0\.0\.1:[1-9]\d*$")
        node.apply(*harness.standard_policy())
        stub = harness.check_pb2_grpc.EnforcementStub(node.channel(address))
        self.assert_decision(stub.Check(harness.download(), timeout=harness.DEADLINE_SECONDS), "ALLOW")


if __name__ == "__main__":
    harness.main(harness.SLUICED)
