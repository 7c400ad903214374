"""Checks the dashboards against the types of @grafana/schema: python3 check.py FOLDER_WITH_NODE_MODULES DASHBOARD...

Each dashboard becomes a constant of type Dashboard, and each panel one of type Panel, whose union with rows would hide
what is wrong in it; then tsc reads them. Exit code 1, and tsc's complaints, where something does not fit.
"""

import json
import pathlib
import subprocess
import sys


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    lines = ["import type { Dashboard, Panel } from '@grafana/schema';"]
    for number, path in enumerate(sys.argv[2:]):
        dashboard = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        panels = dashboard.pop("panels")
        lines.append(f"// {path}\nexport const dashboard{number}: Dashboard = {json.dumps(dashboard)};")
        for panel in panels:
            lines.append(f"export const panel{number}_{panel['id']}: Panel = {json.dumps(panel)};")
    (folder / "dashboards.ts").write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [str(folder / "node_modules" / ".bin" / "tsc"), "--noEmit", "--strict", "--skipLibCheck", "--module",
               "esnext", "--moduleResolution", "bundler", "--target", "esnext", "dashboards.ts"]
    return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
