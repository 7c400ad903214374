"""What is said about metrics, alerts and dashboards holds against a live scrape of a node under load."""

import queue
import re
import socket
import unittest

import harness
import watching
from stubs import SOURCE, admin_pb2

PAGE = (SOURCE / "docs" / "metrics.md").read_text(encoding="utf-8")


def family_names(text):
    return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))


class MetricsTest(harness.TestCase):
    """One node, asked a little of everything."""

    def setUp(self):
        super().setUp()
        self.server = self.node("--decision-log-sample", "1").start()
        self.server.apply(*harness.standard_policy(), harness.freeze("u2"), harness.raise_flag("f1", "b1", "bad"),
                          harness.account_limit("l1", "u1", rate=0.001, burst=3))
        for key in ("k1", "bad", "k2", "k3", "k4", "k5"):
            self.server.check(harness.download(key=key))
        self.server.check(harness.download(bucket="b9", requester="u2"))
        list(self.server.decision_log().Query(admin_pb2.LogQuery(), timeout=harness.DEADLINE_SECONDS))
        harness.await_condition(lambda: self.server.metric('sluice_accounts{state="FROZEN"}') == 1, "a census")
        self.text = self.server.http_get("/metrics")[1]

    def value(self, sample):
        return self.server.metric(sample)

    def test_the_page_lists_each_metric_and_no_other(self):
        listed = set(re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE))
        self.assertEqual(listed, family_names(self.text))

    def test_the_page_names_the_labels_that_there_are(self):
        for name, labels in re.findall(r"^\| `([a-z_]+)` \|[^|]*\|([^|]*)\|", PAGE, re.MULTILINE):
            listed = set(re.findall(r"`([a-z_]+)`", labels))
            samples = re.findall(rf"^{name}(?:_bucket)?\{{([^}}]*)\}}", self.text, re.MULTILINE)
            got = {label for sample in samples for label in re.findall(r'([a-z_]+)="', sample)} - {"le"}
            self.assertEqual(listed, got, name)

    def test_links_of_the_page_lead_somewhere(self):
        docs = SOURCE / "docs"
        for path in (docs / "metrics.md", docs / "decision-log.md", *(docs / "runbooks").glob("*.md")):
            for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
                self.assertTrue((path.parent / link).exists(), f"{path.name}: {link}")

    def test_prometheus_finds_nothing_wrong_with_them(self):
        result = watching.promtool("check", "metrics", text=self.text)
        self.assertEqual((result.returncode, result.stdout), (0, ""))

    def test_they_count_what_happened(self):
        self.assertEqual(self.value('sluice_throttled_total{dimension="REQUESTS"}'), 2)
        self.assertGreater(self.value('sluice_limiter_live_cells{table="known"}'), 0)
        self.assertEqual(self.value('sluice_rules{kind="flag"}'), 1)
        self.assertEqual(self.value('sluice_rules{kind="limit"}'), 1)
        self.assertEqual(self.value('sluice_accounts{state="ACTIVE"}'), 1)
        self.assertEqual(self.value('sluice_decision_log_written_total{class="denial"}'), 2)
        self.assertEqual(self.value('sluice_decision_log_written_total{class="throttle"}'), 2)
        self.assertEqual(self.value('sluice_decision_log_written_total{class="sample"}'), 3)
        self.assertEqual(self.value('sluice_check_seconds_count{door="GRPC"}'), 7)
        self.assertGreater(self.value("process_resident_memory_bytes"), 1 << 20)
        self.assertGreater(self.value('sluice_event_last_timestamp_seconds{role="BILLING"}'), 1.7e9)

    def test_they_count_the_wire(self):
        def say(data):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(harness.DEADLINE_SECONDS)
                peer.connect(self.server.check_address.removeprefix("unix:"))
                peer.sendall(data)
                while peer.recv(4096):
                    pass

        say(b"what is this\r\n\r\n")
        say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\x01\0\0\0\0\0\x01x")  # DATA before SETTINGS
        self.assertEqual(self.value('sluice_protocol_errors_total{protocol="http1",error="preface"}'), 1)
        self.assertEqual(self.value('sluice_protocol_errors_total{protocol="http2",error="frame"}'), 1)
        self.assertEqual(self.value('sluice_connections_total{protocol="http1"}'), 1)
        asked = queue.Queue()
        asked.put(harness.download())
        answers = self.server.enforcement().CheckStream(iter(asked.get, None), timeout=harness.DEADLINE_SECONDS)
        next(answers)
        self.assertEqual(self.value("sluice_streams"), 1)
        self.assertGreaterEqual(self.value('sluice_connections{protocol="http2"}'), 1)
        answers.cancel()
        asked.put(None)
        reset = 'sluice_protocol_errors_total{protocol="http2",error="reset"}'
        harness.await_condition(lambda: self.value(reset) == 1, "the stream was given up")
        self.assertEqual(self.value("sluice_streams"), 0)
        self.server.close_channels()
        harness.await_condition(lambda: self.value('sluice_connections{protocol="http2"}') == 0, "no connection is left")

    def test_what_alerts_and_panels_name_is_there(self):
        there = family_names(self.text) | set(re.findall(r"record: (\S+)", watching.RULES))
        for alert in watching.alerts():
            self.assertLessEqual(watching.metrics_in(alert["expression"]), there, alert["name"])
        for uid, panel, expression in watching.dashboard_queries():
            names = watching.metrics_in(expression)
            self.assertTrue(names, expression)
            self.assertLessEqual(names, there, f"{uid} panel {panel}: {expression}")
        self.assertLessEqual(watching.metrics_in(watching.RULES.replace("record: sluice:", "")), there)

    def test_every_metric_is_in_a_panel_or_an_alert(self):
        shown = {name for _, _, expression in watching.dashboard_queries() for name in watching.metrics_in(expression)}
        shown |= {name for alert in watching.alerts() for name in watching.metrics_in(alert["expression"])}
        unshown = family_names(self.text) - shown
        self.assertLessEqual(unshown, {"sluice_build_info", "sluice_config_info", "process_virtual_memory_bytes",
                                       "sluice_decision_log_segments"})


class RulesTest(unittest.TestCase):
    """Without a node."""

    def test_rules_are_sound_and_do_what_their_tests_say(self):
        result = watching.promtool("check", "rules", *sorted(watching.ALERTS.glob("*.yml")))
        self.assertEqual(result.returncode, 0, result.stdout)
        tests = sorted((watching.ALERTS / "tests").glob("*.yml"))
        result = watching.promtool("test", "rules", *tests)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertEqual(result.stdout.count("SUCCESS"), len(tests))

    def test_each_alert_has_a_runbook_a_panel_and_a_test(self):
        tested = "".join(path.read_text(encoding="utf-8") for path in (watching.ALERTS / "tests").glob("*.yml"))
        names = set()
        for alert in watching.alerts():
            name = alert["name"]
            names.add(name)
            self.assertEqual(alert["runbook"], f"docs/runbooks/{name}.md")
            self.assertIn(f"# {name}\n", (SOURCE / alert["runbook"]).read_text(encoding="utf-8"))
            self.assertIn((alert["dashboard"], alert["panel"]), watching.panels(), name)
            self.assertIn(f"alertname: {name}\n", tested.replace(", ", "\n").replace("}", "\n"), name)
        pages = {path.stem for path in (SOURCE / "docs" / "runbooks").glob("Sluice*.md")}
        self.assertEqual(pages, names)

    def test_prometheus_reads_every_query_of_the_dashboards(self):
        rules = ["groups:", "- name: panels", "  rules:"]
        for number, (_, _, expression) in enumerate(watching.dashboard_queries()):
            quoted = expression.replace("'", "''")
            rules += [f"  - record: panel:query{number}", f"    expr: '{quoted}'"]
        result = watching.promtool("check", "rules", "/dev/stdin", text="\n".join(rules) + "\n")
        self.assertEqual(result.returncode, 0, result.stdout)


if __name__ == "__main__":
    harness.main()
