#!/usr/bin/env python3
"""Go's gRPC client, as Debian packages it, against sluiced. Skipped (exit code 77) where Go or the package is missing."""

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
LIBRARIES = pathlib.Path("/usr/share/gocode")


def main():
    if shutil.which("go") is None or not (LIBRARIES / "src/google.golang.org/grpc").is_dir():
        print("skipped: no golang-go or no golang-google-grpc-dev here")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "GOPATH": str(LIBRARIES), "GO111MODULE": "off", "GOFLAGS": "", "GOPROXY": "off",
                       "GOCACHE": os.environ.get("GOCACHE", f"{folder}/cache")}
        program = f"{folder}/check"
        subprocess.run(["go", "build", "-o", program, str(HERE / "check.go")], env=environment, timeout=240, check=True)
        for engine in ("own", "grpc"):
            node_folder = pathlib.Path(folder) / engine
            node_folder.mkdir()
            node = harness.Node(node_folder, "--listen-check-engine", engine)
            try:
                node.start()
                node.apply(*harness.standard_policy())
                print(f"listen.check_engine: {engine}", flush=True)
                subprocess.run([program, node.check_address], timeout=120, check=True)
            finally:
                node.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
