"""Holds what ThreadSanitizer can be trusted with in this tree: it reports the races of the probe, and nothing else."""

import os
import pathlib
import subprocess
import sys
import unittest

PROBE = pathlib.Path(os.environ["SLUICE_BIN"]) / "tsan_probe"


class TsanProbeTest(unittest.TestCase):

    def reported(self, case):
        result = subprocess.run([str(PROBE), case], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
                                check=False, timeout=60)
        self.assertNotEqual(result.returncode, 2, result.stdout)
        return "data race" in result.stdout

    def test_races_are_reported(self):
        for case in ("relaxed", "beside_a_mutex"):
            self.assertTrue(self.reported(case), case)

    def test_what_is_handed_over_properly_is_not(self):
        for case in ("release", "std_mutex", "absl_mutex", "absl_await", "absl_condvar", "absl_notification"):
            self.assertFalse(self.reported(case), case)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
