"""Each metric moves when it should: what happens to a node shows in its scrape, and in the series that it belongs to.

Faults of disks, the policy's age and the access file are provoked by other tests (alerts, faults, access), which look at
their metrics too.
"""

import time

import grpc

import harness
from harness import check_pb2, policy_pb2

ACCOUNT = policy_pb2.LIMIT_SCOPE_ACCOUNT


def event(role, effective_seconds_ago=None, event_id="", **change):
    made = policy_pb2.PolicyEvent(role=getattr(check_pb2, f"ROLE_{role}"), event_id=event_id, source="test", **change)
    if effective_seconds_ago is not None:
        made.effective_at.FromSeconds(int(time.time() - effective_seconds_ago))
    return made


def limit(limit_id, scope, dimension, rate, subject=None, **fields):
    return event("BILLING", set_limit=policy_pb2.SetLimit(
        limit_id=limit_id, level=policy_pb2.LEVEL_CONTRACT, scope=scope, subject=subject, dimension=dimension, rate=rate,
        **fields))


class MovesTest(harness.TestCase):
    """One node with a small limiter."""

    def setUp(self):
        super().setUp()
        self.server = self.node("--limits-cells", "1024", "--decision-log-sample", "1").start()

    def value(self, sample):
        return self.server.metric(sample)

    def ask(self, count=1, **fields):
        for _ in range(count):
            response = self.server.check(harness.download(**fields))
        return response

    def report(self, **usage):
        request = check_pb2.ReportRequest(usages=[check_pb2.Usage(bucket="b1", operation=check_pb2.OPERATION_DOWNLOAD, **usage)])
        self.server.enforcement().Report(request, timeout=harness.DEADLINE_SECONDS)

    def test_what_cannot_be_decided_or_read(self):
        self.ask()
        self.assertEqual(self.value('sluice_failure_policy_total{reason="NOT_READY",outcome="DENIED"}'), 1)
        self.assertEqual(self.value("sluice_ready"), 0)
        self.server.apply(*harness.standard_policy())
        self.assertEqual(self.value("sluice_ready"), 1)
        with self.assertRaises(grpc.RpcError):
            self.ask(client_ip="nowhere")
        self.assertEqual(self.value("sluice_checks_malformed_total"), 1)

    def test_limits(self):
        u1 = policy_pb2.Subject(account="u1")
        self.server.apply(
            *harness.standard_policy(),
            limit("requests", ACCOUNT, policy_pb2.DIMENSION_REQUESTS, 0.001, policy_pb2.Subject(account="u2"), burst=1),
            limit("out", ACCOUNT, policy_pb2.DIMENSION_BYTES_OUT, 1, u1, burst=1),
            limit("trial", ACCOUNT, policy_pb2.DIMENSION_REQUESTS, 0.001, u1, burst=1, trial=True),
            limit("traffic", ACCOUNT, policy_pb2.DIMENSION_TRAFFIC_PER_DAY, 10 ** 12, u1),
            limit("held", policy_pb2.LIMIT_SCOPE_BUCKET, policy_pb2.DIMENSION_CONNECTIONS, 1, policy_pb2.Subject(bucket="b1")))
        self.assertEqual(self.value("sluice_ledger_amounts"), 0)
        self.assertEqual(self.value('sluice_limiter_live_cells{table="known"}'), 0)
        self.ask(2, bucket="b9", requester="u2")
        self.assertEqual(self.value('sluice_throttled_total{dimension="REQUESTS"}'), 1)
        self.assertGreater(self.value('sluice_limiter_live_cells{table="known"}'), 0)
        # The second would have been one too many for the limit on trial.
        lease = self.ask(take_lease=True).lease_id
        self.ask(take_lease=True)
        self.assertEqual(self.value('sluice_throttled_total{dimension="CONNECTIONS"}'), 1)
        self.ask()
        self.assertGreater(self.value('sluice_trial_checks_total{verdict="THROTTLE",reason="RATE_LIMITED"}'), 0)
        self.assertEqual(self.value("sluice_limiter_leases"), 1)
        self.report(bytes_out=100, lease_id=lease)
        self.assertEqual(self.value("sluice_limiter_leases"), 0)
        self.assertGreater(self.value("sluice_ledger_amounts"), 0)
        self.ask()
        self.assertEqual(self.value('sluice_throttled_total{dimension="BYTES_OUT"}'), 1)

    def test_a_limiter_that_is_too_small(self):
        self.server.apply(*harness.standard_policy(), limit("each", policy_pb2.LIMIT_SCOPE_CLIENT_IP,
                                                            policy_pb2.DIMENSION_REQUESTS, 0.001, burst=1))
        checks = [harness.download(client_ip=f"203.0.{i // 256}.{i % 256}") for i in range(1024)]
        self.server.enforcement().CheckBatch(check_pb2.CheckBatchRequest(requests=checks), timeout=harness.DEADLINE_SECONDS)
        self.assertEqual(self.value("sluice_limiter_cells"), 1024)
        # Strangers have half of them.
        self.assertGreater(self.value('sluice_limiter_live_cells{table="others"}'), 400)
        self.assertGreater(self.value("sluice_limiter_evicted_live_total"), 400)
        self.assertGreater(self.value("sluice_limiter_evicted_spent_total"), 400)

    def test_events_and_the_census(self):
        before = self.value("sluice_policy_revision")
        self.server.apply(*harness.standard_policy(), harness.paid("u3"), harness.paid("u4"))
        self.server.apply(event("BILLING", 3, "freeze-1", freeze=policy_pb2.Freeze(account="u2")))
        self.assertGreater(self.value("sluice_policy_revision"), before)
        self.assertGreater(self.value('sluice_event_lag_seconds{role="BILLING"}'), 2)
        self.assertGreater(self.value('sluice_event_last_timestamp_seconds{role="STORAGE"}'), 1.7e9)
        self.assertGreater(self.value("sluice_commit_seconds_count"), 1)
        self.assertGreater(self.value("sluice_store_bytes"), 0)
        for each in (event("BILLING", 3, "freeze-1", freeze=policy_pb2.Freeze(account="u2")),
                     event("STORAGE", None, "freeze-2", freeze=policy_pb2.Freeze(account="u2"))):
            self.server.admin().Apply(harness.admin_pb2.ApplyRequest(events=[each]), timeout=harness.DEADLINE_SECONDS)
        self.assertEqual(self.value('sluice_events_total{outcome="DUPLICATE",role="BILLING"}'), 1)
        self.assertEqual(self.value('sluice_events_total{outcome="REJECTED",role="STORAGE"}'), 1)
        self.assertGreater(self.value('sluice_admin_calls_total{method="Apply",outcome="DONE"}'), 2)

        overdue = policy_pb2.Restrict(restriction_id="r1", subject=policy_pb2.Subject(account="u1"), clause="3.1.3.10",
                                      kind=policy_pb2.RESTRICTION_KIND_WARN)
        overdue.review_by.FromSeconds(int(time.time()) - 60)
        day = 86400
        self.server.apply(event("SECURITY", restrict=overdue),
                          event("BILLING", 400 * day, freeze=policy_pb2.Freeze(account="u3")),
                          event("LEGAL", place_hold=policy_pb2.PlaceHold(hold_id="h1", subject=policy_pb2.Subject(account="u4"))),
                          event("LEGAL", issue_order=policy_pb2.IssueOrder(
                              order_id="o1", authority="court", subjects=[policy_pb2.Subject(bucket="b2", key="k")])),
                          harness.raise_flag("f1", "b1", "bad"),
                          limit("l1", ACCOUNT, policy_pb2.DIMENSION_REQUESTS, 5, policy_pb2.Subject(account="u1")))
        harness.await_condition(lambda: self.value('sluice_rules{kind="limit"}') == 1, "a census")
        for kind in ("flag", "order", "hold", "restriction"):
            self.assertEqual(self.value(f'sluice_rules{{kind="{kind}"}}'), 1, kind)
        self.assertEqual(self.value("sluice_reviews_overdue"), 1)
        self.assertEqual(self.value('sluice_accounts{state="FROZEN"}'), 1)
        self.assertEqual(self.value('sluice_accounts{state="RECLAIMABLE"}'), 1)
        self.assertGreater(self.value("sluice_census_timestamp_seconds"), 1.7e9)

    def test_each_class_of_the_decision_log(self):
        self.server.apply(*harness.standard_policy(), harness.raise_flag("f1", "b1", "bad"), limit(
            "l1", ACCOUNT, policy_pb2.DIMENSION_REQUESTS, 0.001, policy_pb2.Subject(account="u2"), burst=1))
        bytes_before = self.value("sluice_decision_log_bytes_total")
        self.ask(key="bad")
        self.ask(key="bad", principal=check_pb2.PRINCIPAL_EVIDENCE_READER)
        self.ask(2, bucket="b9", requester="u2")
        self.server.ctl("log", "query")  # written by now
        for log_class, wanted in {"denial": 1, "evidence": 1, "throttle": 1, "sample": 1}.items():
            self.assertEqual(self.value(f'sluice_decision_log_written_total{{class="{log_class}"}}'), wanted, log_class)
        self.assertGreater(self.value("sluice_decision_log_bytes_total"), bytes_before)
        harness.await_condition(lambda: self.value("sluice_decision_log_segments") == 1, "a look at the folder")
        self.assertGreater(self.value("sluice_decision_log_folder_bytes"), 0)
        self.assertGreater(self.value("sluice_decision_log_oldest_timestamp_seconds"), 1.7e9)


if __name__ == "__main__":
    harness.main()
