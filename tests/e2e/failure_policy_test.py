"""What callers get that a node cannot decide, for each choice of the operator, and the metric that shows it."""

import harness
from harness import admin_pb2, check_pb2

MISCONFIGURED = 2


class FailurePolicyTest(harness.TestCase):

    def outcome(self, node, reason, outcome):
        return node.metric(f'sluice_failure_policy_total{{reason="{reason}",outcome="{outcome}"}}')

    def test_before_the_first_policy_checks_are_denied_by_default(self):
        node = self.node().start()
        response = node.check(harness.download())
        self.assert_decision(response, "DENY", "NOT_READY", "8.2")
        self.assertEqual((response.fault, response.http.status), (check_pb2.FAULT_PROVIDER, 503))
        self.assertEqual(self.outcome(node, "NOT_READY", "DENIED"), 1)
        self.assertEqual(self.outcome(node, "NOT_READY", "ALLOWED"), 0)
        self.assertEqual(node.http_get("/readyz")[0], 503)

    def test_before_the_first_policy_what_the_operator_names_passes_with_a_warning(self):
        node = self.node("--failure-not-ready", "DOWNLOAD,LIST").start()
        response = node.check(harness.download())
        self.assert_decision(response, "ALLOW", "NOT_READY")
        self.assertEqual(list(response.warnings), [check_pb2.REASON_NOT_READY])
        response = node.check(check_pb2.CheckRequest(operation=check_pb2.OPERATION_UPLOAD, bucket="b1", key="k1"))
        self.assert_decision(response, "DENY", "NOT_READY")
        self.assertEqual(self.outcome(node, "NOT_READY", "ALLOWED"), 1)
        self.assertEqual(self.outcome(node, "NOT_READY", "DENIED"), 1)
        self.assertEqual(node.http_get("/readyz")[0], 503)  # whatever passes, the node is not ready

    def stale_node(self, *flags):
        node = self.node("--policy-max-age", "1s", *flags).start()
        node.apply(*harness.standard_policy(), harness.freeze("u2"))
        harness.await_condition(lambda: node.http_get("/readyz")[1].startswith("stale"), "the policy is past its bound")
        return node

    def test_an_old_policy_denies_by_default_allows_or_goes_on_deciding(self):
        of_u2 = harness.download(bucket="b9", requester="u2")
        node = self.stale_node()
        self.assert_decision(node.check(harness.download()), "DENY", "STALE_POLICY", "8.2")
        self.assertEqual(self.outcome(node, "STALE_POLICY", "DENIED"), 1)
        node.stop()
        node = self.stale_node("--failure-stale-policy", "allow")
        self.assert_decision(node.check(of_u2), "ALLOW", "STALE_POLICY")
        self.assertEqual(self.outcome(node, "STALE_POLICY", "ALLOWED"), 1)
        node.stop()
        node = self.stale_node("--failure-stale-policy", "decide")
        response = node.check(harness.download())
        self.assert_decision(response, "ALLOW", "STALE_POLICY")
        self.assertEqual(list(response.warnings), [check_pb2.REASON_STALE_POLICY])
        self.assert_decision(node.check(of_u2), "DENY", "ACCOUNT_FROZEN", "7.2.1")
        self.assertEqual(self.outcome(node, "STALE_POLICY", "DECIDED"), 1)
        # A revision that the caller asks for, and that is not there, is another matter.
        self.assert_decision(node.check(harness.download(min_revision=1000)), "DENY", "STALE_POLICY")

    def test_what_nobody_fed_does_not_make_the_policy_younger(self):
        node = self.node("--policy-max-age", "1s").start()
        node.apply(*harness.standard_policy())
        clear = harness.policy_pb2.PolicyEvent(role=check_pb2.ROLE_MODERATION)
        clear.clear_flag.flag_id = "f-nowhere"
        admin = node.admin()

        def stale_beside_rejections():
            response = admin.Apply(admin_pb2.ApplyRequest(events=[clear]), timeout=harness.DEADLINE_SECONDS)
            self.assertEqual(response.results[0].outcome, admin_pb2.OUTCOME_REJECTED)
            return node.http_get("/readyz")[1].startswith("stale")
        harness.await_condition(stale_beside_rejections, "the policy is past its bound")
        self.assert_decision(node.check(harness.download()), "DENY", "STALE_POLICY", "8.2")
        self.assertGreater(node.metric("sluice_policy_age_seconds"), 1)

        def young():
            node.apply(harness.paid("u1"))
            return node.check(harness.download()).verdict == check_pb2.VERDICT_ALLOW
        harness.await_condition(young, "the policy is young with what is applied")

    def test_an_old_policy_is_old_from_the_first_check_after_a_restart_on(self):
        node = self.stale_node()
        for _ in range(5):
            node.stop()
            node.start()
            self.assert_decision(node.check(harness.download()), "DENY", "STALE_POLICY")

    def test_without_a_bound_an_old_policy_is_in_force_for_ever(self):
        node = self.node().start()
        node.apply(*harness.standard_policy())
        self.assert_decision(node.check(harness.download()), "ALLOW")
        node.stop()
        node.start()
        self.assert_decision(node.check(harness.download()), "ALLOW")

    def test_a_choice_that_there_is_not_is_refused(self):
        for flag, value in (("--failure-not-ready", "open"), ("--failure-not-ready", "decide"),
                            ("--failure-stale-policy", "DOWNLOAD,FLY")):
            code, said = self.node(flag, value, name=value.replace(",", "")).run_to_end()
            self.assertEqual(code, MISCONFIGURED)
            self.assertIn(f"{flag}: wanted deny, allow", said)
            self.assertIn(value, said)


if __name__ == "__main__":
    harness.main()
