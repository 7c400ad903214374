"""The arrows' own tests, each over a small tree in a temporary folder."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

import arrows

HERE = pathlib.Path(__file__).resolve().parent


class ArrowsTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sluice-arrows-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("enforcement/engine.h", "#include <string>\n")

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def includes(self, path, *headers):
        self.write(path, "".join(f"#include {header}\n" for header in headers))

    def violations(self):
        return list(arrows.violations(self.root))

    def assert_refused(self, path, header):
        self.includes(path, header)
        found = self.violations()
        self.assertEqual(len(found), 1, f"{path} includes {header}: {found}")
        self.assertTrue(found[0].startswith(f"{path}:1: "), found[0])
        self.assertIn(f"may not include {header.strip('<>').strip(chr(34))}: ", found[0])
        (self.root / path).unlink()

    def assert_allowed(self, path, *headers):
        self.includes(path, *headers)
        self.assertEqual(self.violations(), [])
        (self.root / path).unlink()

    def test_enforcement_knows_nobody(self):
        for header in ('"store/store.h"', '"proto/translate.h"', '"sluice/v1/check.pb.h"', '"metrics/metrics.h"',
                       "<lmdb.h>", "<grpcpp/grpcpp.h>", "<google/protobuf/message.h>", "<prometheus/registry.h>",
                       "<unistd.h>", "<sys/socket.h>", "<yaml-cpp/yaml.h>"):
            self.assert_refused("enforcement/policy.cc", header)
        self.assert_allowed("enforcement/policy.cc", '"enforcement/engine.h"', "<vector>", '"absl/strings/str_cat.h"',
                            "<xxhash.h>", "<idn2.h>", "<arpa/inet.h>")

    def test_enforcement_reads_neither_clock_nor_file(self):
        for header in ("<chrono>", "<ctime>", '"absl/time/clock.h"', "<fstream>", "<filesystem>", "<cstdio>"):
            self.assert_refused("enforcement/policy.cc", header)
        self.assert_allowed("enforcement/policy.cc", '"absl/time/time.h"')
        self.assert_allowed("server/system_clock.cc", '"absl/time/clock.h"')

    def test_each_library_stays_in_its_folder(self):
        self.assert_allowed("store/store.cc", "<lmdb.h>", "<fcntl.h>", '"proto/translate.h"', '"sluice/v1/policy.pb.h"')
        self.assert_refused("client/main.cc", "<lmdb.h>")
        self.assert_refused("server/main.cc", "<lmdb.h>")
        self.assert_allowed("agreement/loader.cc", "<yaml-cpp/yaml.h>", "<xxhash.h>")
        self.assert_refused("agreement/loader.cc", "<google/protobuf/message.h>")
        self.assert_allowed("metrics/metrics.cc", "<prometheus/counter.h>")
        self.assert_refused("metrics/metrics.cc", "<google/protobuf/message.h>")
        self.assert_refused("metrics/metrics.cc", '"store/store.h"')
        self.assert_refused("server/http_server.cc", "<prometheus/registry.h>")

    def test_grpc_is_for_server_and_client(self):
        for path in ("proto/translate.cc", "store/store.cc"):
            self.assert_refused(path, "<grpcpp/grpcpp.h>")
            self.assert_refused(path, '"sluice/v1/check.grpc.pb.h"')
        for path in ("server/listen/check_server.cc", "client/connection.cc"):
            self.assert_allowed(path, "<grpcpp/grpcpp.h>", '"sluice/v1/check.grpc.pb.h"')

    def test_nobody_includes_what_stands_on_top(self):
        self.assert_refused("store/store.cc", '"server/config.h"')
        self.assert_refused("client/main.cc", '"server/config.h"')
        self.assert_refused("server/main.cc", '"client/table.h"')
        self.assert_refused("server/config.cc", '"tests/server/node.h"')
        self.assert_allowed("client/simulation.cc", '"agreement/loader.h"', '"store/store.h"', '"metrics/metrics.h"')

    def test_only_main_and_the_node_know_every_part_of_the_server(self):
        self.assert_allowed("server/main.cc", '"server/admin/admin_server.h"', '"server/listen/check_server.h"',
                            '"agreement/loader.h"', '"store/store.h"', '"metrics/metrics.h"')
        self.assert_allowed("server/node/node.cc", '"server/admin/admin_server.h"', '"server/listen/check_server.h"',
                            '"agreement/loader.h"', '"store/store.h"', '"metrics/metrics.h"')
        self.assert_refused("server/node/node.cc", '"client/table.h"')
        self.assert_refused("server/node/node.cc", "<lmdb.h>")
        self.assert_refused("server/listen/checker.cc", '"server/node/node.h"')
        self.assert_refused("server/config.cc", '"server/admin/admin_server.h"')
        self.assert_refused("server/config.cc", '"agreement/loader.h"')
        self.assert_allowed("server/config.cc", '"agreement/yaml_documents.h"')
        self.assert_refused("server/listen/checker.cc", '"agreement/yaml_documents.h"')
        self.assert_refused("server/listen/checker.cc", '"store/store.h"')
        self.assert_refused("server/listen/checker.cc", '"server/admin/admin_server.h"')
        self.assert_refused("server/admin/admin_server.cc", '"agreement/loader.h"')
        self.assert_refused("server/log/logger.cc", '"server/listen/address.h"')
        self.assert_refused("server/doors/envoy.cc", '"store/store.h"')
        self.assert_allowed("server/admin/admin_server.cc", '"store/store.h"', '"server/listen/grpc_listener.h"')
        # What stands directly in server/ is no part of its own.
        self.assert_allowed("server/listen/checker.h", '"server/readiness.h"', '"metrics/metrics.h"')

    def test_tests_and_benchmarks_may_include_everything(self):
        for folder in ("tests/store", "bench"):
            self.assert_allowed(f"{folder}/a.cc", "<lmdb.h>", "<sched.h>", "<benchmark/benchmark.h>",
                                '"client/replay.h"', '"server/config.h"')

    def test_a_path_from_beside_hides_nothing(self):
        self.write("store/store.h", "")
        self.assert_refused("enforcement/policy.cc", '"../store/store.h"')
        self.write("tests/server/node.h", "")
        self.assert_allowed("tests/server/config_test.cc", '"node.h"')

    def test_comments_do_not_count_and_keep_their_lines(self):
        self.write("enforcement/policy.cc",
                   '/* #include "store/a.h"\n*/\n// #include "store/b.h"\n#include "store/c.h"\n')
        self.assertEqual([line.split(": ")[0] for line in self.violations()], ["enforcement/policy.cc:4"])

    def test_a_folder_that_no_table_has_is_named(self):
        self.write("fleet/feed.cc", "")
        self.assertIn("fleet/feed.cc:1: no table says what fleet may include", self.violations()[0])

    def test_what_is_built_is_not_looked_at(self):
        self.assert_allowed("build/debug/generated/x.cc", '"anything.h"')

    def test_the_exit_code_says_what_was_found(self):
        def run(root):
            return subprocess.run([sys.executable, str(HERE / "arrows.py"), str(root)], capture_output=True, text=True,
                                  check=False)

        self.assertEqual(run(self.root).returncode, 0)
        self.includes("enforcement/policy.cc", "<string>", '"store/store.h"')
        refused = run(self.root)
        self.assertEqual(refused.returncode, 1)
        self.assertRegex(refused.stdout, "^enforcement/policy.cc:2: enforcement/ may not include store/store.h: ")
        self.assertEqual(run(self.root / "enforcement").returncode, 2)


if __name__ == "__main__":
    unittest.main()
