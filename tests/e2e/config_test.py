"""Configurations of sluiced, good and bad: what is wrong is refused whole, by name and line."""

import re
import subprocess

import harness

STOPPED, MISCONFIGURED = 0, 2


class ConfigTest(harness.TestCase):

    def run_sluiced(self, *arguments):
        return subprocess.run([str(harness.SLUICED), *map(str, arguments)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                              timeout=harness.DEADLINE_SECONDS, check=False)

    def good(self, **changes):
        keys = {"check": f"unix:{self.folder}/c.sock", "admin": f"unix:{self.folder}/a.sock", "more": "", **changes}
        return (f"listen:\n  check: {keys['check']}\n  admin: {keys['admin']}\n  http: 127.0.0.1:0\n"
                f"store:\n  path: {self.folder}/store\n{keys['more']}")

    def check(self, text, *flags):
        path = self.folder / "sluiced.yaml"
        path.write_text(text, encoding="utf-8")
        return path, self.run_sluiced("--config", path, "--check-config", *flags)

    def test_a_good_configuration_is_shown_with_the_origin_of_each_key_and_starts_nothing(self):
        path, result = self.check(self.good(more="node:\n  region: us\n"), "--node-dialect", "kodo")
        self.assert_exit(result, STOPPED)
        self.assertEqual(result.stderr, "")
        self.assertRegex(result.stdout, rf"region: us  # {re.escape(str(path))}:8")
        self.assertRegex(result.stdout, r"dialect: kodo  # --node-dialect")
        self.assertRegex(result.stdout, r"drain: 10s  # default")
        self.assertEqual(sorted(file.name for file in self.folder.iterdir()), ["sluiced.yaml"])
        # What it prints is a configuration again.
        again = self.folder / "again.yaml"
        again.write_text(result.stdout, encoding="utf-8")
        repeated = self.run_sluiced("--config", again, "--check-config")
        self.assert_exit(repeated, STOPPED)

        def values(text):
            return [line.partition("  # ")[0] for line in text.splitlines()]
        self.assertEqual(values(repeated.stdout), values(result.stdout))

    def test_a_bad_configuration_is_refused_with_every_fault_by_name_and_line(self):
        path, result = self.check(self.good(more="node:\n  regoin: cn\n  fleet_size: many\nlog:\n  level: loud\n"
                                                 "drain: soon\nlimits: 7\nextra: 1\n"))
        self.assert_exit(result, MISCONFIGURED)
        self.assertEqual(result.stdout, "")
        for line, pieces in {8: ["regoin", "node.region"], 9: ["node.fleet_size", "many"], 11: ["log.level", "loud"],
                             12: ["drain", "soon"], 13: ["limits"], 14: ["extra"]}.items():
            found = [text for text in result.stderr.splitlines() if f"{path}:{line}:" in text]
            self.assertEqual(len(found), 1, (line, result.stderr))
            for piece in pieces:
                self.assertIn(piece, found[0])

    def test_each_bad_value_is_refused(self):
        cases = {
            "no YAML": "listen: [\n",
            "a list": "- listen\n",
            "twice": self.good(more="drain: 1s\ndrain: 2s\n"),
            "a relative store": self.good().replace(f"path: {self.folder}/store", "path: store"),
            "an unusable store": self.good().replace(f"{self.folder}/store", f"{self.folder}/no/such/store"),
            "an unusable socket": self.good(check=f"unix:{self.folder}/no/such/c.sock"),
            "one socket for both": self.good(admin=f"unix:{self.folder}/c.sock"),
            "a socket with too long a path": self.good(check=f"unix:{self.folder}/{'x' * 100}"),
            "no address": self.good(check="somewhere"),
            "a port out of range": self.good(check="127.0.0.1:65536"),
            "an admin listener open to others": self.good(admin="0.0.0.0:9700"),
            "no pack": self.good(more=f"pack: {self.folder}/no-pack.yaml\n"),
            "a bad mode": self.good(more="listen.check_mode: rw\n"),
        }
        for name, text in cases.items():
            with self.subTest(name):
                path, result = self.check(text)
                self.assert_exit(result, MISCONFIGURED)
                self.assertTrue(result.stderr.startswith("sluiced: "), result.stderr)
                self.assertIn(str(path), result.stderr)
                # It does not start with it either.
                started = self.run_sluiced("--config", path)
                self.assert_exit(started, MISCONFIGURED)

    def test_a_bad_flag_is_refused_by_name(self):
        path = self.folder / "sluiced.yaml"
        path.write_text(self.good(), encoding="utf-8")
        for flag, value in (("--node-fleet-size", "0"), ("--store-map-bytes", "12"), ("--drain", "11m"),
                            ("--threads", "x"), ("--log-format", "xml"), ("--listen-http", "unix:/x"),
                            ("--no-such-flag", "1")):
            with self.subTest(flag):
                result = self.run_sluiced("--config", path, "--check-config", flag, value)
                self.assert_exit(result, MISCONFIGURED)
                self.assertIn(flag, result.stderr)
        result = self.run_sluiced("--config", self.folder / "absent.yaml", "--check-config")
        self.assert_exit(result, MISCONFIGURED)
        self.assertIn("absent.yaml", result.stderr)

    def test_a_bad_pack_is_refused_by_file_and_line(self):
        pack = self.folder / "pack.yaml"
        default = harness.SOURCE / "agreement" / "default.yaml"
        text = default.read_text(encoding="utf-8")
        pack.write_text(text, encoding="utf-8")
        _, result = self.check(self.good(more=f"pack: {pack}\n"))
        self.assert_exit(result, STOPPED)
        lines = text.count("\n")
        pack.write_text(text + "no_such_section: 1\n", encoding="utf-8")
        _, result = self.check(self.good(more=f"pack: {pack}\n"))
        self.assert_exit(result, MISCONFIGURED)
        self.assertIn(f"{pack}:{lines + 1}", result.stderr)
        self.assertIn("no_such_section", result.stderr)

    def test_help_lists_every_key_and_version_is_one_line(self):
        result = self.run_sluiced("--help")
        self.assert_exit(result, STOPPED)
        for flag in ("--listen-check", "--listen-admin", "--listen-http", "--store-path", "--drain", "--check-config"):
            self.assertIn(flag, result.stdout)
        result = self.run_sluiced("--version")
        self.assert_exit(result, STOPPED)
        self.assertRegex(result.stdout, r"^sluiced \d+\.\d+\.\d+\n$")

    def test_a_configured_node_runs_from_its_file_alone(self):
        path = self.folder / "sluiced.yaml"
        path.write_text(self.good(more="node:\n  dialect: s3\n"), encoding="utf-8")
        node = self.node()
        node.check_address, node.admin_address = f"unix:{self.folder}/c.sock", f"unix:{self.folder}/a.sock"
        node.command = lambda *more: [str(harness.SLUICED), "--config", str(path), *more]
        node.start()
        node.apply(*harness.standard_policy(), harness.freeze("u1"))
        self.assertEqual(node.check(harness.download()).http.code, "AccountProblem")
        self.assertEqual(node.stop(), STOPPED)


if __name__ == "__main__":
    harness.main()
