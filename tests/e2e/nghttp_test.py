"""nghttp and h2load, which this project did not write either, speak plain HTTP/2 to the data path over TCP."""

import pathlib
import re
import shutil
import struct
import subprocess
import unittest

import harness

METHOD = "/sluice.v1.Enforcement/Check"


@unittest.skipUnless(shutil.which("h2load") and shutil.which("nghttp"), "nghttp2-client is not installed")
class NghttpTest(harness.TestCase):

    def setUp(self):
        super().setUp()
        self.server = self.node()
        self.server.check_address = "127.0.0.1:0"
        # Where it listens is known only when it does, so what waits for the socket's path would wait for ever.
        self.server.spawn()
        address = self.server.await_record("listening", **{"for": "checks"})["address"]
        self.server.await_record("listening", **{"for": "administration"})
        self.server.apply(*harness.standard_policy())
        self.url = f"http://{address}"
        message = harness.download().SerializeToString()
        self.body = pathlib.Path(self.server.folder) / "message"
        self.body.write_bytes(struct.pack(">BI", 0, len(message)) + message)

    def run_tool(self, *command):
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                                errors="replace")
        self.assertEqual(result.returncode, 0, result.stdout)
        return result.stdout

    def test_h2load_gets_an_answer_to_every_one_of_many_calls(self):
        out = self.run_tool("h2load", "-n", "20000", "-c", "8", "-m", "32", "-t", "1", "-d", str(self.body),
                            "-H", "content-type: application/grpc", "-H", "te: trailers", self.url + METHOD)
        self.assertRegex(out, r"20000 succeeded, 0 failed, 0 errored, 0 timeout")
        self.assertRegex(out, r"status codes: 20000 2xx")

    def test_nghttp_sees_headers_data_and_trailers(self):
        out = self.run_tool("nghttp", "-v", "-d", str(self.body), "-H", "content-type: application/grpc",
                            "-H", "te: trailers", "-H", ":method: POST", self.url + METHOD)
        self.assertRegex(re.sub(r"\x1b\[[0-9;]*m", "", out), r"(?s):status: 200.*content-type: application/grpc.*"
                                                              r"recv DATA frame.*grpc-status: 0")

    def test_nghttp_is_told_that_nothing_is_served_at_a_path(self):
        out = self.run_tool("nghttp", "-v", self.url + "/nothing")
        self.assertRegex(re.sub(r"\x1b\[[0-9;]*m", "", out), r":status: 404")


if __name__ == "__main__":
    harness.main()
