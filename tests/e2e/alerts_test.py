"""Alerts on real faults, through a real Prometheus and Alertmanager: they fire, they arrive, and they are resolved.

The rules are those of metrics/alerts; only their windows are shortened, so that hours pass in seconds.
"""

import http.server
import itertools
import json
import re
import resource
import socket
import subprocess
import threading
import urllib.parse
import urllib.request

import harness
import watching

# What a window of the rules, and what "for", become.
WINDOWS = {"5m": "4s", "10m": "4s", "15m": "5s", "30m": "5s", "1h": "7s", "6h": "8s", "3d": "9s"}


def hurried(rules):
    rules = re.sub(r"\[(\w+)\]", lambda window: f"[{WINDOWS[window.group(1)]}]", rules)
    return re.sub(r"for: \w+", "for: 0s", rules)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Receiver:
    """A webhook that remembers what Alertmanager sent."""

    def __init__(self):
        self.states = {}  # alert -> every state that was told, in order
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body["alerts"]:
                    receiver.states.setdefault(alert["labels"]["alertname"], []).append(alert["status"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def last(self, alert):
        return self.states.get(alert, [None])[-1]


class AlertsTest(harness.TestCase):
    """One node, one Prometheus, one Alertmanager."""

    def setUp(self):
        super().setUp()
        self.server = self.node("--policy-max-age", "6s").start()
        self.server.apply(*harness.standard_policy(), harness.freeze("u2"))
        self.receiver = Receiver()
        self.addCleanup(self.receiver.server.shutdown)
        self.alertmanager = free_port()
        self.prometheus = free_port()
        self.run_alertmanager()
        self.run_prometheus()

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def run_beside(self, name, command):
        log = open(self.folder / f"{name}.log", "wb")
        self.addCleanup(log.close)
        process = subprocess.Popen(harness._dies_with_us() + command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def run_alertmanager(self):
        hook = f"http://127.0.0.1:{self.receiver.server.server_port}/"
        config = self.file("alertmanager.yml", f"""
route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
- name: hook
  webhook_configs: [{{url: '{hook}', send_resolved: true}}]
""")
        self.run_beside("alertmanager", [
            "prometheus-alertmanager", f"--config.file={config}", f"--storage.path={self.folder}/alertmanager",
            f"--web.listen-address=127.0.0.1:{self.alertmanager}", "--cluster.listen-address="])
        self.await_ready("Alertmanager", self.alertmanager)

    def run_prometheus(self):
        self.file("recording.yml", hurried(watching.RULES))
        self.file("rules.yml", hurried(watching.ALERT_RULES))
        config = self.file("prometheus.yml", f"""
global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}
rule_files: [recording.yml, rules.yml]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{self.alertmanager}']}}]}}]
scrape_configs:
- job_name: sluice
  static_configs: [{{targets: ['127.0.0.1:{self.server.http_port()}']}}]
""")
        self.run_beside("prometheus", [
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.folder}/prometheus",
            f"--web.listen-address=127.0.0.1:{self.prometheus}", "--rules.alert.resend-delay=1s"])
        self.await_ready("Prometheus", self.prometheus)

    def get(self, port, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return response.read().decode("utf-8")

    def await_ready(self, name, port):
        def ready():
            try:
                return bool(self.get(port, "/-/ready"))
            except OSError:
                return False
        harness.await_condition(ready, f"{name} is ready")

    def await_state(self, alert, state, ask=None):
        def reached():
            if ask:
                ask()
            return self.receiver.last(alert) == state
        harness.await_condition(reached, f"Alertmanager is told that {alert} is {state}; so far {self.receiver.states}")

    def deny(self):
        self.server.check(harness.download(bucket="b9", requester="u2"))

    def set_disk(self, most):
        """The largest file that the node may write: a file that must not grow is what a full disk is."""
        _, hard = resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (most, hard))

    def test_provoked_faults_arrive_and_are_resolved(self):
        # The disk of the log is full.
        self.set_disk(64)
        self.await_state("SluiceDecisionLogFailing", "firing", self.deny)
        self.set_disk(resource.RLIM_INFINITY)
        # The policy is too old: checks are denied, and that is the provider's fault.
        self.await_state("SluicePolicyTooOld", "firing", self.deny)
        self.await_state("SluiceAvailabilityBurnFast", "firing", self.deny)
        self.await_state("SluiceDecisionLogFailing", "resolved", self.deny)
        # A heartbeat, again and again; and checks that are answered.
        numbers = itertools.count()

        def beat():
            self.server.apply(harness.raise_flag(f"beat-{next(numbers)}", "b1", "other"))
            self.server.check(harness.download())
        self.await_state("SluicePolicyTooOld", "resolved", beat)
        self.await_state("SluiceAvailabilityBurnFast", "resolved", beat)
        # A real Prometheus answers every query of the dashboards, and no panel is without data.
        for uid, panel, expression in watching.dashboard_queries():
            query = urllib.parse.urlencode({"query": expression})
            answer = json.loads(self.get(self.prometheus, f"/api/v1/query?{query}"))
            self.assertEqual(answer["status"], "success", f"{uid} panel {panel}: {expression}")
            self.assertTrue(answer["data"]["result"], f"{uid} panel {panel}: {expression}")
        log = self.server.ctl("log", "verify", self.server.store / "decisions")
        self.assertIn("whole: nothing was altered", log.stdout, log.stderr)


if __name__ == "__main__":
    harness.main()
