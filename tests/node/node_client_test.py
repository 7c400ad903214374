#!/usr/bin/env python3
"""Node's gRPC client against sluiced. Needs node, npm and a registry that npm reaches: skipped (exit code 77) without."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402

SKIPPED = 77


def main():
    if shutil.which("node") is None or shutil.which("npm") is None:
        print("skipped: no node or npm here")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json", "check.mjs"):
            shutil.copy(HERE / name, folder)
        # By the lock file alone, and without running what the packages bring.
        install = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, timeout=120,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if install.returncode != 0:
            print("skipped: npm could not install what package-lock.json names")
            print(install.stdout[-2000:])
            return SKIPPED
        for engine in ("own", "grpc"):
            node_folder = pathlib.Path(folder) / engine
            node_folder.mkdir()
            node = harness.Node(node_folder, "--listen-check-engine", engine)
            try:
                node.start()
                node.apply(*harness.standard_policy())
                print(f"listen.check_engine: {engine}", flush=True)
                protos = pathlib.Path(os.environ["SLUICE_SOURCE"]) / "proto"
                subprocess.run(["node", "check.mjs", node.check_address, str(protos)], cwd=folder, timeout=120, check=True)
            finally:
                node.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
