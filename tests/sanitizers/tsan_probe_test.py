"""Holds what ThreadSanitizer can be trusted with in this tree: it reports the races of the probes, and nothing else."""

import os
import pathlib
import subprocess
import sys
import unittest

BIN = pathlib.Path(os.environ["SLUICE_BIN"])


class TsanProbeTest(unittest.TestCase):

    def reported(self, probe, case):
        result = subprocess.run([str(BIN / probe), case], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                encoding="utf-8", check=False, timeout=120)
        reported = "WARNING: ThreadSanitizer: data race" in result.stdout
        # 66 is ThreadSanitizer's own; whatever else is not 0 is a probe that broke.
        self.assertEqual(result.returncode, 66 if reported else 0, result.stdout)
        return reported

    def assert_reported(self, probe, *cases):
        # Whether two threads meet so that it is seen is chance: on a busy machine one run in forty saw nothing.
        for case in cases:
            self.assertTrue(any(self.reported(probe, case) for _ in range(5)), case)

    def assert_silent(self, probe, *cases):
        for case in cases:
            self.assertFalse(self.reported(probe, case), case)

    def test_races_are_reported(self):
        self.assert_reported("tsan_probe", "relaxed", "beside_a_mutex")

    def test_what_is_handed_over_properly_is_not(self):
        self.assert_silent("tsan_probe", "release", "std_mutex", "absl_mutex", "absl_await", "absl_condvar",
                           "absl_notification", "absl_notification_late", "absl_has_been_notified", "folder")

    def test_races_of_what_grpc_calls_are_reported(self):
        self.assert_reported("tsan_grpc_probe", "between_handlers", "beside_a_call")

    def test_grpc_itself_is_not(self):
        self.assert_silent("tsan_grpc_probe", "calls", "through_a_call", "map")


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
