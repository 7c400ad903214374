"""What the linker and the compiler did to make faults harder to use, as the programs themselves say."""

import os
import pathlib
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("SLUICE_BIN", SOURCE / "build" / "debug" / "bin"))


def readelf(program, *flags):
    return subprocess.run(["readelf", "--wide", *flags, str(program)], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, encoding="utf-8").stdout


class HardeningTest(unittest.TestCase):

    def each(self):
        for name in ("sluiced", "sluicectl"):
            with self.subTest(program=name):
                yield BIN / name

    def test_programs_are_position_independent(self):
        for program in self.each():
            self.assertRegex(readelf(program, "--file-header"), r"Type:\s+DYN \(Position-Independent Executable file\)")

    def test_what_the_dynamic_linker_wrote_is_read_only_from_the_start(self):
        for program in self.each():
            self.assertIn("GNU_RELRO", readelf(program, "--program-headers"))
            self.assertRegex(readelf(program, "--dynamic"), r"(BIND_NOW|FLAGS.*NOW)")

    def test_no_stack_can_be_executed_and_nothing_is_both_written_and_executed(self):
        for program in self.each():
            segments = [line.split() for line in readelf(program, "--program-headers").splitlines()]
            stack = [line for line in segments if line[:1] == ["GNU_STACK"]]
            self.assertEqual([line[-2] for line in stack], ["RW"])
            for line in segments:
                if line[:1] == ["LOAD"]:
                    self.assertNotIn("RWE", "".join(line[6:-1]))

    def test_stacks_are_guarded_and_bounds_that_are_known_are_checked(self):
        symbols = {}
        for program in self.each():
            symbols[program.name] = readelf(program, "--dyn-syms")
        if "__asan_init" in symbols["sluiced"] or "__tsan_init" in symbols["sluiced"]:
            self.skipTest("a build with sanitizers has guards of its own")
        for name, text in symbols.items():
            self.assertIn("__stack_chk_fail", text, name)
            self.assertRegex(text, r"__\w+_chk\b", name)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
