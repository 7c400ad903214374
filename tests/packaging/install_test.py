"""What `cmake --install` lays down: programs, manual pages that say what --help says, completions, units, configuration."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

SOURCE = pathlib.Path(os.environ.get("SLUICE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD", SOURCE / "build" / "debug"))


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=120,
                          stdin=subprocess.DEVNULL, **options)


def plain(page):
    """A manual page's text, without the marks of its language."""
    text = page.read_text(encoding="utf-8")
    return text.replace("\\-", "-").replace("\\e", "\\").replace("\\&", "")


class InstallTest(unittest.TestCase):

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="sluice-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        result = run("cmake", "--install", BUILD, "--prefix", "/usr", env={**os.environ, "DESTDIR": str(cls.root)})
        if result.returncode != 0:
            raise AssertionError(result.stdout + result.stderr)
        cls.usr = cls.root / "usr"
        cls.sluiced = cls.usr / "bin" / "sluiced"
        cls.sluicectl = cls.usr / "bin" / "sluicectl"

    def test_everything_is_in_its_place(self):
        for path in ("usr/bin/sluiced", "usr/bin/sluicectl", "usr/share/man/man8/sluiced.8",
                     "usr/share/man/man1/sluicectl.1", "usr/share/man/man5/sluiced.yaml.5",
                     "usr/share/man/man5/sluice-pack.5", "lib/systemd/system/sluiced.service",
                     "lib/systemd/system/sluiced-check.socket", "lib/systemd/system/sluiced-admin.socket",
                     "etc/sluice/sluiced.yaml", "usr/share/sluice/agreement/default.yaml",
                     "usr/share/sluice/proto/sluice/v1/check.proto",
                     "usr/share/bash-completion/completions/sluicectl", "usr/share/zsh/vendor-completions/_sluicectl",
                     "usr/share/fish/vendor_completions.d/sluicectl.fish", "usr/share/doc/sluice/README.md",
                     "usr/share/doc/sluice/docs/architecture.md"):
            with self.subTest(path):
                self.assertGreater((self.root / path).stat().st_size, 0)
        # Nothing of the build, nothing of the tests.
        self.assertEqual(sorted(os.listdir(self.usr / "bin")), ["sluicectl", "sluiced"])
        self.assertEqual([found for found in self.root.rglob("*") if found.suffix in (".a", ".o", ".h", ".cc")], [])

    def test_another_prefix_has_everything_below_it(self):
        with tempfile.TemporaryDirectory() as folder:
            result = run("cmake", "--install", BUILD, "--prefix", f"{folder}/opt")
            self.assertEqual(result.returncode, 0, result.stderr)
            unit = pathlib.Path(folder, "opt/lib/systemd/system/sluiced.service").read_text(encoding="utf-8")
            self.assertIn(f"ExecStart={folder}/opt/bin/sluiced --config {folder}/opt/etc/sluice/sluiced.yaml\n", unit)
            # A configuration that is there is not overwritten.
            config = pathlib.Path(folder, "opt/etc/sluice/sluiced.yaml")
            config.write_text("threads: 2\n", encoding="utf-8")
            run("cmake", "--install", BUILD, "--prefix", f"{folder}/opt")
            self.assertEqual(config.read_text(encoding="utf-8"), "threads: 2\n")
            self.assertEqual(os.listdir(folder), ["opt"])

    def test_the_configuration_is_accepted(self):
        config = self.root / "etc/sluice/sluiced.yaml"
        result = run(self.sluiced, "--check-config", "--config", config, "--store-path", self.root / "store")
        self.assertEqual(result.returncode, 0, result.stderr)
        # The sockets of the units are those of the configuration.
        listen = yaml.safe_load(config.read_text(encoding="utf-8"))["listen"]
        for name in ("check", "admin"):
            unit = (self.root / f"lib/systemd/system/sluiced-{name}.socket").read_text(encoding="utf-8")
            self.assertIn(f"ListenStream={listen[name].removeprefix('unix:')}\n", unit)
            self.assertIn(f"FileDescriptorName={name}\n", unit)
            mode = re.search(rf"(?m)^  {name}_mode: (\d+)", result.stdout).group(1)
            self.assertIn(f"SocketMode={mode}\n", unit)

    # -- Manual pages

    def commands(self, *path):
        """Every command that does something, by its words."""
        listed = run(self.sluicectl, *path, "--help").stdout.partition("Subcommands:\n")[2]
        names = re.findall(r"(?m)^  ([\w-]+) ", listed)
        if not names:
            return [path]
        return [command for name in names for command in self.commands(*path, name)]

    def test_the_page_of_sluicectl_has_every_command_and_flag(self):
        page = plain(self.usr / "share/man/man1/sluicectl.1")
        commands = self.commands()
        self.assertGreater(len(commands), 15)
        sections = dict(re.findall(r"(?ms)^\.SS sluicectl ([^\n]+)\n(.*?)(?=^\.S[SH])", page))
        self.assertEqual(sorted(sections), sorted(" ".join(command) for command in commands))
        for command in commands:
            shown = run(self.sluicectl, *command, "--help").stdout
            self.assertIn(shown.splitlines()[0], sections[" ".join(command)])
            for flag in re.findall(r"(?m)^  (?:-\w,)?(--[\w-]+)", shown):
                if flag != "--help":
                    self.assertIn(flag, sections[" ".join(command)], command)

    def test_the_page_of_sluiced_has_every_flag(self):
        page = plain(self.usr / "share/man/man8/sluiced.8")
        flags = re.findall(r"(?m)^  (?:-\w,)?(--[\w-]+)", run(self.sluiced, "--help").stdout)
        self.assertGreater(len(flags), 15)
        for flag in flags:
            self.assertTrue(flag == "--help" or flag in page, flag)

    def test_the_page_of_the_configuration_has_every_key_with_its_default(self):
        page = plain(self.usr / "share/man/man5/sluiced.yaml.5")
        shown = run(self.sluiced, "--check-config", "--store-path", self.root / "store").stdout
        keys = []
        section = ""
        for line in shown.splitlines():
            name = line.strip().partition(":")[0]
            if line.endswith(":"):
                section = name + "."
                continue
            keys.append((section if line.startswith(" ") else "") + name)
        found = re.findall(r"(?m)^\.TP\n\.B (\S+) VALUE$|^\.TP\n\.B ([a-z][\w.]*)$", page)
        self.assertEqual([first or second for first, second in found], keys)
        self.assertEqual(page.count("; default: "), len(keys))

    def test_the_page_of_the_pack_has_every_section(self):
        page = plain(self.usr / "share/man/man5/sluice-pack.5")
        for section in yaml.safe_load((SOURCE / "agreement/default.yaml").read_text(encoding="utf-8")):
            self.assertRegex(page, rf"(?m)^\.B(R)? .*\b{section}\b", "packaging/man/sluice-pack.5.in describes it")

    # -- The image of a container

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("chroot"), "enters a root of its own")
    def test_the_root_of_the_image_has_all_that_the_programs_load_and_no_shell(self):
        root = pathlib.Path(tempfile.mkdtemp(dir=self.root)) / "image"
        result = run(SOURCE / "packaging/container/root.sh", self.usr / "bin", root)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(sorted(os.listdir(root / "usr/bin")), ["sluicectl", "sluiced"])
        user = "10001:10001"
        self.assertIn(f"USER {user}\n", (SOURCE / "Containerfile").read_text(encoding="utf-8"))
        for command, piece in ((("sluiced", "--version"), "sluiced "), (("sluicectl", "version"), "agreement pack"),
                               (("sluiced", "--check-config", "--store-path", "/var/lib/sluice/store"), "listen:")):
            # LeakSanitizer, where there is one, looks into /proc, which this root has not.
            result = run("env", "LSAN_OPTIONS=detect_leaks=0", "chroot", f"--userspec={user}", root,
                         f"/usr/bin/{command[0]}", *command[1:])
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(piece, result.stdout)

    # -- Completions and units

    def test_completions_are_scripts_of_their_shells(self):
        for shell, path in (("bash", "usr/share/bash-completion/completions/sluicectl"),
                            ("zsh", "usr/share/zsh/vendor-completions/_sluicectl"),
                            ("fish", "usr/share/fish/vendor_completions.d/sluicectl.fish")):
            with self.subTest(shell):
                script = self.root / path
                self.assertIn("account", script.read_text(encoding="utf-8"))
                if shutil.which(shell):
                    result = run(shell, "-n", script)
                    self.assertEqual(result.returncode, 0, result.stderr)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze here")
    def test_systemd_finds_no_fault_in_the_units_and_little_exposure(self):
        root = pathlib.Path(tempfile.mkdtemp(dir=self.root))
        shutil.copytree(self.root / "lib/systemd/system", root / "units")
        for unit in (root / "units").iterdir():
            text = unit.read_text(encoding="utf-8").replace("/usr/bin/sluiced", str(self.sluiced))
            # A user that every system has.
            unit.write_text(re.sub(r"(User|Group)=sluice", r"\1=daemon", text), encoding="utf-8")
        units = sorted((root / "units").iterdir())
        environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{root / 'units'}:"}
        # Of the manual pages that are named, none is installed here.
        result = run("systemd-analyze", "verify", "--man=no", *units, env=environment)
        said = [line for line in result.stderr.splitlines() if "sluice" in line]
        self.assertEqual((result.returncode, said), (0, []))
        # Of ten points, ten being open to everything. A plain unit has more than nine.
        result = run("systemd-analyze", "security", "--offline=true", "--threshold=12", units[-1], env=environment)
        self.assertEqual(result.returncode, 0, result.stdout[-2000:] + result.stderr)


if __name__ == "__main__":
    unittest.main()
