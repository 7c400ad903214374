"""./dev, on a copy of it, with stand-ins for apt-get, cmake and ctest: what it installs, what it says, how it ends."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("SLUICE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
NOBODY = 65534

SUMMARY = "100%% tests passed, 0 tests failed out of 12\\n"  # for printf


class DevTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sluice-dev-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.root.chmod(0o777)  # for whoever is nobody
        (self.root / "cmake").mkdir()
        (self.root / "tools").mkdir()
        (self.root / "build" / "debug").mkdir(parents=True)
        shutil.copy(SOURCE / "dev", self.root / "dev")
        shutil.copy(SOURCE / "cmake" / "packages.txt", self.root / "cmake" / "packages.txt")
        self.calls = self.root / "calls"
        self.calls.touch()
        self.calls.chmod(0o666)
        self.tool("cmake", "exit 0")
        self.tool("ctest", f"printf '{SUMMARY}'")
        self.tool("apt-cache", "exit 0")
        self.tool("apt-get", "exit 0")
        self.installed(*self.packages())

    def packages(self):
        lines = (self.root / "cmake" / "packages.txt").read_text(encoding="utf-8").splitlines()
        return [line.split()[1] for line in lines if not line.startswith("#")]

    def tool(self, name, script):
        path = self.root / "tools" / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>{self.calls}\n{script}\n', encoding="utf-8")
        path.chmod(0o755)

    def installed(self, *packages):
        lines = "\\n".join(f"installed {package}" for package in packages)
        # It fails where any of those asked for is unknown, as the real one does.
        self.tool("dpkg-query", f"printf '{lines}\\nnot-installed known\\n'; exit 1")

    def called(self, name):
        return [line for line in self.calls.read_text(encoding="utf-8").splitlines() if line.startswith(f"{name} ")]

    def dev(self, *arguments, user=None, sudo=False):
        path = f"{self.root}/tools:/usr/bin:/bin"
        if not sudo:
            # What a copy of ./dev calls by itself, and no sudo, wherever the machine has it.
            plain = self.root / "plain"
            plain.mkdir(exist_ok=True)
            for tool in ("bash", "cat", "dirname", "env", "find", "grep", "mktemp", "nproc", "rm", "tail", "tee"):
                if not (plain / tool).exists():
                    (plain / tool).symlink_to(shutil.which(tool))
            path = f"{self.root}/tools:{plain}"
        return subprocess.run([str(self.root / "dev"), *arguments], env={"PATH": path, "HOME": str(self.root)},
                              text=True, capture_output=True, check=False, user=user)

    def as_nobody(self):
        return NOBODY if os.geteuid() == 0 else None

    def test_where_nothing_is_missing_nothing_is_installed(self):
        result = self.dev("test")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.called("apt-get"), [])

    @unittest.skipUnless(os.geteuid() == 0, "installs as root")
    def test_installs_what_is_missing_alone_and_says_so(self):
        self.installed(*(set(self.packages()) - {"mold", "libgtest-dev"}))
        result = self.dev("test")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("dev: installing, because missing: mold libgtest-dev\n", result.stdout)
        self.assertEqual(len(self.called("apt-get")), 1)
        self.assertRegex(self.called("apt-get")[0], r" -y .*install --no-install-recommends mold libgtest-dev$")

    @unittest.skipUnless(os.geteuid() == 0, "installs as root")
    def test_each_command_installs_no_more_than_it_needs(self):
        self.installed()
        self.dev("check", "format")
        self.assertRegex(self.called("apt-get")[0], r"--no-install-recommends clang-format-14$")
        self.calls.write_text("", encoding="utf-8")
        self.dev("build")
        self.assertIn(" libgrpc++-dev ", self.called("apt-get")[0])
        self.assertNotIn("clang", self.called("apt-get")[0])
        self.assertNotIn("python3", self.called("apt-get")[0])

    @unittest.skipUnless(os.geteuid() == 0, "installs as root")
    def test_fetches_the_lists_where_they_are_absent(self):
        self.installed(*(set(self.packages()) - {"mold"}))
        self.tool("apt-cache", "exit 100")
        self.assertEqual(self.dev("build").returncode, 0)
        self.assertEqual([line.split()[-1] for line in self.called("apt-get")], ["update", "mold"])

    @unittest.skipUnless(os.geteuid() == 0, "installs as root")
    def test_fetches_the_lists_where_they_name_what_is_gone(self):
        self.installed(*(set(self.packages()) - {"mold"}))
        # The first install fails, the one after the update does not.
        self.tool("apt-get", f"[[ $* != *install* ]] || grep -q 'apt-get .*update' {self.calls}")
        self.assertEqual(self.dev("build").returncode, 0)
        self.assertEqual([line.split()[-1] for line in self.called("apt-get")], ["mold", "update", "mold"])

    def test_uses_sudo_where_it_is_not_root(self):
        self.installed(*(set(self.packages()) - {"mold"}))
        self.tool("sudo", 'exec "$@"')
        result = self.dev("build", user=self.as_nobody(), sudo=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(self.called("sudo")[-1], "DEBIAN_FRONTEND=noninteractive apt-get .* mold$")

    def test_without_root_and_sudo_it_says_what_to_install(self):
        self.installed(*(set(self.packages()) - {"mold"}))
        result = self.dev("build", user=self.as_nobody())
        self.assertEqual(result.returncode, 1)
        self.assertIn("as root, run: apt-get install mold", result.stderr)
        self.assertEqual(self.called("cmake"), [])

    def locked(self, text):
        """What tests/chart takes from npm."""
        folder = self.root / "tests" / "chart"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package-lock.json", "package.json", ".npmrc"):
            (folder / name).write_text(text, encoding="utf-8")

    def test_what_tests_take_from_npm_is_fetched_once_a_lock(self):
        self.tool("npm", "exit 0")
        for text in ("one", "two"):
            self.locked(text)
            self.calls.write_text("", encoding="utf-8")
            self.assertIn("dev: filling build/npm/chart from npm\n", self.dev("test", sudo=True).stdout)
            self.dev("test", sudo=True)
            self.assertEqual(len(self.called("npm")), 1)
            self.assertEqual((self.root / "build/npm/chart/package.json").read_text(encoding="utf-8"), text)
        self.assertEqual(self.called("apt-get"), [])

    def test_where_npm_fails_the_other_tests_run(self):
        self.tool("npm", "exit 1")
        self.locked("one")
        result = self.dev("test", sudo=True)
        self.assertIn("npm could not fill build/npm/chart", result.stderr)
        self.assertEqual((self.last_line(result), result.returncode), ("12 passed, 0 failed", 0))
        # And it tries again.
        self.dev("test", sudo=True)
        self.assertEqual(len(self.called("npm")), 2)

    def last_line(self, result):
        return result.stdout.splitlines()[-1]

    def test_the_last_line_counts_what_passed_and_failed(self):
        result = self.dev("test")
        self.assertEqual((self.last_line(result), result.returncode), ("12 passed, 0 failed", 0))
        self.tool("ctest", "printf ' 3/12 Test  #3: a.b ....***Skipped   0.01 sec\\n"
                           "83%% tests passed, 2 tests failed out of 12\\n'; exit 8")
        result = self.dev("test")
        self.assertEqual((self.last_line(result), result.returncode), ("9 passed, 2 failed", 8))
        self.assertIn("dev: 1 skipped\n", result.stdout)

    def test_where_ctest_finds_no_test_something_failed(self):
        self.tool("ctest", "echo 'No tests were found!!!'; exit 8")
        result = self.dev("test", "-R", "nothing")
        self.assertEqual((self.last_line(result), result.returncode), ("0 passed, 1 failed", 8))

    def test_a_build_that_fails_is_a_failure_and_tests_nothing(self):
        self.tool("cmake", "[[ $1 != --build ]]")
        result = self.dev("test")
        self.assertEqual((self.last_line(result), result.returncode), ("0 passed, 1 failed", 1))
        self.assertEqual(self.called("ctest"), [])

    def test_ctest_gets_what_is_meant_for_it(self):
        self.dev("test", "-R", "store")
        self.assertRegex(self.called("ctest")[0], r"--output-on-failure .*-R store -LE \^slow\$$")
        self.dev("test", "--all")
        self.assertNotIn("slow", self.called("ctest")[1])

    def test_a_preset_is_one_that_there_is(self):
        result = self.dev("build", "--preset", "fast")
        self.assertEqual(result.returncode, 2)
        self.assertIn("preset 'fast': wanted debug, release, asan-ubsan or tsan", result.stderr)
        (self.root / "build" / "tsan").mkdir()
        self.dev("test", "--preset", "tsan")
        self.assertIn("cmake --preset tsan -DSLUICE_BUILD_TESTS=ON", self.called("cmake"))

    def test_an_unknown_word_is_an_error_that_names_it(self):
        for arguments in (["frob"], ["check", "frob"], ["run", "--frob"], ["clean", "frob"], ["build", "--frob"]):
            result = self.dev(*arguments)
            self.assertEqual(result.returncode, 2, arguments)
            self.assertIn("frob", result.stderr)
        self.assertEqual(self.dev().returncode, 0)
        self.assertIn("Usage: ./dev COMMAND", self.dev("help").stdout)


class CiTest(unittest.TestCase):
    """.ci/run, on a copy of it, with a stand-in for ./dev."""

    def run_ci(self, dev):
        with tempfile.TemporaryDirectory(prefix="sluice-ci-") as folder:
            root = pathlib.Path(folder)
            (root / ".ci").mkdir()
            shutil.copy(SOURCE / ".ci" / "run", root / ".ci" / "run")
            (root / "dev").write_text(f"#!/bin/bash\n{dev}\n", encoding="utf-8")
            (root / "dev").chmod(0o755)
            result = subprocess.run([str(root / ".ci" / "run")], cwd="/", stdin=subprocess.DEVNULL, text=True,
                                    capture_output=True, check=False)
        return result.stdout.splitlines()[-1], result.returncode

    def test_the_last_line_counts_checks_and_every_row_of_tests(self):
        self.assertEqual(self.run_ci("case $1 in test) echo '40 passed, 0 failed' ;;\n"
                                     "sanitize) echo '7 passed, 0 failed'; echo '5 passed, 0 failed' ;; esac"),
                         ("56 passed, 0 failed", 0))

    def test_a_failed_check_is_counted_and_the_tests_run_all_the_same(self):
        self.assertEqual(self.run_ci("[[ $1 == check ]] && exit $([[ $2 == arrows ]]; echo $((1 - $?)))\n"
                                     "[[ $1 != test ]] || echo '40 passed, 0 failed'"), ("43 passed, 1 failed", 1))

    def test_failed_tests_fail_it(self):
        self.assertEqual(self.run_ci("[[ $1 != test ]] || { echo '38 passed, 2 failed'; exit 8; }"),
                         ("42 passed, 2 failed", 1))

    def test_what_fails_under_a_sanitizer_fails_it(self):
        self.assertEqual(self.run_ci("[[ $1 != sanitize ]] || { echo '6 passed, 1 failed'; echo '5 passed, 0 failed'; exit 8; }"),
                         ("15 passed, 1 failed", 1))

    def test_what_dies_without_a_count_counts_once(self):
        self.assertEqual(self.run_ci("[[ $1 == check ]] || { echo 'no network' >&2; exit 1; }"),
                         ("4 passed, 2 failed", 1))


if __name__ == "__main__":
    unittest.main()
