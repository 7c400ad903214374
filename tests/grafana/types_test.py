"""The dashboards of metrics/grafana against the types of Grafana's own @grafana/schema, as tsc reads them.

$SLUICE_NPM is the folder that `./dev` filled from package-lock.json; without it this is skipped. A dashboard becomes a
constant of type Dashboard, and each panel one of type Panel, whose union with rows would hide what is wrong in it.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("SLUICE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
NPM = pathlib.Path(os.environ.get("SLUICE_NPM", SOURCE / "build" / "npm")) / "grafana"
DASHBOARDS = sorted((SOURCE / "metrics" / "grafana").glob("*.json"))
SKIPPED = 77  # to ctest


def complaints(dashboards):
    """What tsc has to say of dashboards by name; "" where they fit."""
    lines = ["import type { Dashboard, Panel } from '@grafana/schema';"]
    for number, (name, dashboard) in enumerate(dashboards.items()):
        rest = {key: value for key, value in dashboard.items() if key != "panels"}
        lines.append(f"// {name}\nexport const dashboard{number}: Dashboard = {json.dumps(rest)};")
        for panel in dashboard["panels"]:
            lines.append(f"export const panel{number}_{panel['id']}: Panel = {json.dumps(panel)};")
    # Beside node_modules, where tsc looks for types; a folder of its own, since two test runs may share that one.
    with tempfile.TemporaryDirectory(dir=NPM) as folder:
        (pathlib.Path(folder) / "dashboards.ts").write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [str(NPM / "node_modules" / ".bin" / "tsc"), "--noEmit", "--strict", "--skipLibCheck", "--module", "esnext",
                   "--moduleResolution", "bundler", "--target", "esnext", "dashboards.ts"]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=240).stdout


class TypesTest(unittest.TestCase):
    def test_dashboards_are_what_grafana_takes(self):
        self.assertGreaterEqual(len(DASHBOARDS), 3)
        dashboards = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARDS}
        # One that is wrong goes along: were nothing found in it, nothing would be found in the others.
        wrong = {"title": "wrong", "schemaVersion": "one", "panels": [{"id": 1, "type": "timeseries", "gridPos": {"x": "left"}}]}
        said = complaints({**dashboards, "wrong": wrong})
        lines = [line for line in said.splitlines() if line.startswith("dashboards.ts")]
        self.assertEqual(len(lines), 2, said)
        for line in lines:
            self.assertIn("Type 'string' is not assignable to type 'number'", line)


if __name__ == "__main__":
    if not (NPM / "node_modules").is_dir():
        print(f"{NPM} is not filled from npm: ./dev test does it, and says why where it cannot")
        sys.exit(SKIPPED)
    unittest.main()
