"""The contract for Python, generated at the first import into a temporary folder by the protoc and grpc_python_plugin
that build the project: the tests speak it with a client that this project did not write.
"""

import atexit
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(os.environ.get("SLUICE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))


def _generate_stubs():
    folder = tempfile.mkdtemp(prefix="sluice-stubs-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    plugin = shutil.which("grpc_python_plugin")
    protoc = shutil.which("protoc")
    if plugin is None or protoc is None:
        raise RuntimeError("wanted protoc and grpc_python_plugin (Debian: protobuf-compiler, protobuf-compiler-grpc)")
    own = pathlib.Path(__file__).resolve().parent / "protos"
    contract = SOURCE / "proto"
    files = sorted(str(path) for path in (contract / "sluice" / "v1").glob("*.proto"))
    files += sorted(str(path) for path in own.glob("*.proto"))
    subprocess.run(
        [protoc, f"--plugin=protoc-gen-grpc_python={plugin}", f"-I{contract}", f"-I{own}", f"--python_out={folder}",
         f"--grpc_python_out={folder}", *files],
        check=True)
    sys.path.insert(0, folder)


_generate_stubs()

# A channel that nobody waits on looks at its connection only so often; a server that drains waits for it to hang up.
# gRPC reads this when it is imported.
os.environ.setdefault("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "100")

# pylint: disable=wrong-import-position,unused-import
from sluice.v1 import admin_pb2, admin_pb2_grpc, check_pb2, check_pb2_grpc, policy_pb2  # noqa: E402,F401
import grpc_health_pb2 as health_pb2  # noqa: E402,F401
import grpc_health_pb2_grpc as health_pb2_grpc  # noqa: E402,F401
import grpc_reflection_pb2 as reflection_pb2  # noqa: E402,F401
import grpc_reflection_pb2_grpc as reflection_pb2_grpc  # noqa: E402,F401
