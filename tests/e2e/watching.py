"""What the tests of metrics, alerts and dashboards share: the files of metrics/, and the names and queries in them."""

import json
import re
import subprocess

from stubs import SOURCE

ALERTS = SOURCE / "metrics" / "alerts"
DASHBOARDS = sorted((SOURCE / "metrics" / "grafana").glob("*.json"))
RULES = (ALERTS / "sluice.recording.yml").read_text(encoding="utf-8")
ALERT_RULES = (ALERTS / "sluice.rules.yml").read_text(encoding="utf-8")

# As Grafana would fill them in.
VARIABLES = {"$__rate_interval": "1m", "$job": "sluice", "$instance": ".*"}


def dashboard_queries():
    """Yields (dashboard, panel id, expression with its variables filled in)."""
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                expression = target["expr"]
                for name, value in VARIABLES.items():
                    expression = expression.replace(name, value)
                yield dashboard["uid"], panel["id"], expression


def panels():
    """(dashboard, panel id as text) of every panel."""
    return {(uid, str(panel)) for uid, panel, _ in dashboard_queries()}


def metrics_in(expression):
    """Names of metrics and recorded series in a PromQL expression, those of histograms without their suffix."""
    unquoted = re.sub(r'"[^"]*"', '""', expression)
    names = set(re.findall(r"\b(?:sluice|process)_[a-z0-9_]+|\bsluice:[a-z0-9_:]+", unquoted))
    return {re.sub(r"_seconds_(bucket|count|sum)$", "_seconds", name) for name in names}


def alerts():
    """The alerts, each a dict of its lines: name, severity, runbook, dashboard, panel, expression."""
    found = []
    for block in re.split(r"\n      - alert: ", ALERT_RULES)[1:]:
        def field(name, text=block):
            match = re.search(rf"^ +{name}: \"?([^\"\n]+)\"?$", text, re.MULTILINE)
            return match.group(1) if match else None
        expression = re.search(r"expr: (.*?)\n        for:", block, re.DOTALL).group(1)
        found.append({"name": block.split("\n", 1)[0], "runbook": field("runbook"), "dashboard": field("__dashboardUid__"),
                      "panel": field("__panelId__"), "expression": expression})
    return found


def promtool(*arguments, text=None):
    return subprocess.run(["promtool", *map(str, arguments)], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, encoding="utf-8", check=False, timeout=60)
