"""What is used, over restarts: traffic of the day, stored amounts, leases and counted reports; and who is heavy."""

import grpc

import harness
from harness import admin_pb2, check_pb2, policy_pb2


def limit(limit_id, scope, subject, dimension, rate, **fields):
    return policy_pb2.PolicyEvent(
        role=check_pb2.ROLE_BILLING,
        set_limit=policy_pb2.SetLimit(limit_id=limit_id, level=policy_pb2.LEVEL_WEB_PAGE, scope=scope, subject=subject,
                                      dimension=dimension, rate=rate, **fields))


class UsageTest(harness.TestCase):

    def setUp(self):
        super().setUp()
        self.server = self.node()
        self.server.start()
        self.server.apply(
            *harness.standard_policy(),
            limit("traffic", policy_pb2.LIMIT_SCOPE_ACCOUNT, policy_pb2.Subject(account="u1"),
                  policy_pb2.DIMENSION_TRAFFIC_PER_DAY, 1000),
            limit("connections", policy_pb2.LIMIT_SCOPE_BUCKET, policy_pb2.Subject(bucket="b1"),
                  policy_pb2.DIMENSION_CONNECTIONS, 1))

    def report(self, report_id, **usage):
        request = check_pb2.ReportRequest(report_id=report_id, usages=[check_pb2.Usage(bucket="b1", **usage)])
        return self.server.enforcement().Report(request, timeout=harness.DEADLINE_SECONDS)

    def verdict(self, **fields):
        response = self.server.check(harness.download(**fields))
        return check_pb2.Verdict.Name(response.verdict), response

    def restart(self, killed):
        self.server.close_channels()
        if killed:
            self.server.kill()
        else:
            self.server.stop()
        self.server.start()

    def test_a_killed_node_has_counted_each_acknowledged_report_once(self):
        self.report("r1", bytes_out=600)
        self.restart(killed=True)
        self.report("r1", bytes_out=600)  # the gateway did not hear, and says it again
        self.assertEqual(self.verdict()[0], "VERDICT_ALLOW")
        self.report("r2", bytes_out=400)
        self.assertEqual(self.verdict()[0], "VERDICT_DENY")
        self.restart(killed=True)
        self.report("r2", bytes_out=400)
        verdict, response = self.verdict()
        self.assertEqual(verdict, "VERDICT_DENY")
        self.assert_decision(response, "DENY", "QUOTA_EXCEEDED", "11.1")

    def test_a_lease_outlives_a_restart_and_its_end_a_kill(self):
        verdict, response = self.verdict(take_lease=True)
        self.assertEqual(verdict, "VERDICT_ALLOW")
        self.restart(killed=False)
        self.assertEqual(self.verdict(take_lease=True)[0], "VERDICT_THROTTLE")
        self.report("end", lease_id=response.lease_id)
        self.restart(killed=True)
        self.assertEqual(self.verdict(take_lease=True)[0], "VERDICT_ALLOW")

    def test_what_was_used_stays_with_its_account_where_the_policy_is_moved_away(self):
        self.report("r1", bytes_out=600)
        self.server.close_channels()
        self.server.stop()
        for name in ("data.mdb", "lock.mdb"):
            (self.server.store / name).unlink(missing_ok=True)
        self.server.start()
        self.server.apply(
            *harness.standard_policy(),
            limit("traffic", policy_pb2.LIMIT_SCOPE_ACCOUNT, policy_pb2.Subject(account="u1"),
                  policy_pb2.DIMENSION_TRAFFIC_PER_DAY, 1000))
        self.assertEqual(self.verdict()[0], "VERDICT_ALLOW")
        self.report("r2", bytes_out=400)
        self.assert_decision(self.verdict()[1], "DENY", "QUOTA_EXCEEDED", "11.1")

    def test_an_amount_that_is_set_under_a_policy_begun_anew_counts(self):
        def told(amount):
            return policy_pb2.PolicyEvent(
                role=check_pb2.ROLE_STORAGE,
                set_usage=policy_pb2.SetUsage(subject=policy_pb2.Subject(account="u1"), amount=amount,
                                              dimension=policy_pb2.DIMENSION_TRAFFIC_PER_DAY))
        self.server.apply(*(told(5000 + i) for i in range(20)))
        self.assertEqual(self.verdict()[0], "VERDICT_DENY")
        self.server.close_channels()
        self.server.stop()
        for name in ("data.mdb", "lock.mdb"):
            (self.server.store / name).unlink(missing_ok=True)
        self.server.start()
        quota = limit("traffic", policy_pb2.LIMIT_SCOPE_ACCOUNT, policy_pb2.Subject(account="u1"),
                      policy_pb2.DIMENSION_TRAFFIC_PER_DAY, 1000)
        self.server.apply(*harness.standard_policy(), quota)
        self.assertEqual(self.verdict()[0], "VERDICT_DENY")
        self.server.apply(told(600))
        self.assertEqual(self.verdict()[0], "VERDICT_ALLOW")
        self.restart(killed=True)
        self.report("r1", bytes_out=300)
        self.assertEqual(self.verdict()[0], "VERDICT_ALLOW")
        self.restart(killed=True)  # what is told again at a start does not take the report back
        self.report("r2", bytes_out=100)
        self.assert_decision(self.verdict()[1], "DENY", "QUOTA_EXCEEDED", "11.1")

    def test_top_names_who_asks_for_most_and_metrics_do_not(self):
        for i in range(20):
            self.verdict(key=f"k{i % 2}", client_ip="203.0.113.7")
        self.report("r1", bytes_out=100)
        request = admin_pb2.TopRequest(kinds=[admin_pb2.TOP_KIND_ACCOUNT, admin_pb2.TOP_KIND_OBJECT,
                                              admin_pb2.TOP_KIND_ADDRESS])
        response = self.server.admin().Top(request, timeout=harness.DEADLINE_SECONDS)
        self.assertEqual([entry.name for entry in response.lists[0].entries], ["u1"])
        self.assertEqual([entry.name for entry in response.lists[1].entries], ["b1/k0", "b1/k1"])
        self.assertEqual([entry.name for entry in response.lists[2].entries], ["203.0.113.7"])
        self.assertAlmostEqual(response.lists[0].per_second * response.seconds, 20)
        request.by = admin_pb2.TOP_BY_BYTES
        response = self.server.admin().Top(request, timeout=harness.DEADLINE_SECONDS)
        self.assertAlmostEqual(response.lists[0].entries[0].per_second * response.seconds, 100)
        self.assert_rpc_error(grpc.StatusCode.INVALID_ARGUMENT,
                              lambda: self.server.admin().Top(admin_pb2.TopRequest(limit=101),
                                                              timeout=harness.DEADLINE_SECONDS), "limit")
        shown = self.server.ctl("top", "--once", "--kind", "address")
        self.assertIn("203.0.113.7", shown.stdout)
        shown = self.server.ctl("top", "--once", "-o", "json", "--by", "bytes")
        self.assertIn('"b1"', shown.stdout)
        self.assertNotIn("203.0.113.7", str(self.server.http_get("/metrics")))


if __name__ == "__main__":
    harness.main()
