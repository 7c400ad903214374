"""The Debian package, as cpack makes it: lintian reads it, and a clean Debian installs it, starts it under systemd with all
its sandboxing, asks it, restarts it under load, upgrades and removes it.

$SLUICE_BUILD is the build that is packed. A bare root is kept beside it for the next run.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import debian_root
from debian_root import checked, run

SOURCE = pathlib.Path(os.environ.get("SLUICE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD", SOURCE / "build" / "debug"))

# What lintian finds and we leave: a package outside of Debian's archive closes no bug there.
LEFT = ("initial-upload-closes-no-bugs",)

EVENTS = """
- paid: {account: u1}
- bind_bucket: {bucket: b1, account: u1, region: cn}
"""


class DebTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("makes a root of its own: only root can")
        for tool in ("debootstrap", "lintian", "cpack", "dpkg-shlibdeps", "unshare", "nsenter"):
            if not shutil.which(tool):
                raise AssertionError(f"{tool} is not installed: ./dev test --all does it")
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-deb-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        checked("cpack", "-G", "DEB", "-B", cls.folder / "packed", cwd=BUILD)
        [cls.deb] = (cls.folder / "packed").glob("*.deb")

    def test_lintian_finds_nothing(self):
        result = run("lintian", "--tag-display-limit=0", "--fail-on=error,warning", "--suppress-tags=" + ",".join(LEFT),
                     self.deb)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_the_manual_pages_are_well_formed(self):
        root = self.folder / "pages"
        checked("dpkg-deb", "-x", self.deb, root)
        pages = sorted((root / "usr/share/man").rglob("*.gz"))
        self.assertEqual(len(pages), 4)
        for page in pages:
            text = subprocess.run(["gzip", "-dc", str(page)], capture_output=True, check=True).stdout
            result = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=text, capture_output=True,
                                    check=False)
            # The date is left out, so that a page does not change by the day.
            said = [line for line in result.stdout.decode().splitlines() if "missing date" not in line]
            self.assertEqual(said, [], page.name)

    def test_a_clean_debian_installs_starts_asks_restarts_and_removes_it(self):
        root = self.folder / "root"
        debian_root.make(root, BUILD / "debian-root.tar")
        shutil.copy(self.deb, root / "sluice.deb")
        apt = ("chroot", root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y")
        checked(*apt, "update")
        checked(*apt, "install", "--no-install-recommends", "/sluice.deb")
        self.assertEqual(checked("chroot", root, "stat", "-c", "%U %a", "/var/lib/sluice").stdout, "sluice 750\n")
        self.assertIn("/etc/sluice/sluiced.yaml", checked("chroot", root, "dpkg-query", "-W", "-f", "${Conffiles}",
                                                          "sluice").stdout)
        (root / "events.yaml").write_text(EVENTS, encoding="utf-8")
        with debian_root.Booted(root) as system:
            self.it_runs_under_systemd(system)
            self.it_restarts_without_refusing(system)
            self.it_reloads_and_refuses(system)
            self.the_watchdog_ends_what_hangs(system)
            self.it_upgrades_and_goes(system)

    def ask(self, system, *, code=0):
        result = system.run("sluicectl", "check", "--op", "DOWNLOAD", "--bucket", "b1", "--key", "k", "--requester",
                            "u1", "--timeout", "30s")
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout

    def it_runs_under_systemd(self, system):
        # Enabled by its installation, started at boot, ready when it said so.
        system.await_output(["systemctl", "is-active", "sluiced.service"], "active")
        self.assertEqual(system.property("sluiced.service", "NRestarts"), "0")
        self.assertIn("no policy yet", system.property("sluiced.service", "StatusText"))
        self.assertIn("NOT_READY", self.ask(system, code=1))
        said = system.checked("sluicectl", "apply", "-f", "/events.yaml")
        self.assertIn("APPLIED", said)
        self.assertIn("ALLOW", self.ask(system))
        system.await_output(["systemctl", "show", "--value", "-p", "StatusText", "sluiced.service"], "ready")
        process = system.property("sluiced.service", "MainPID")
        # It is nobody's root, and can become none.
        status = system.checked("cat", f"/proc/{process}/status")
        self.assertRegex(status, r"(?m)^CapBnd:\s0+$")
        self.assertRegex(status, r"(?m)^NoNewPrivs:\s1$")
        self.assertRegex(status, r"(?m)^Seccomp:\s2$")
        user = system.checked("id", "-u", "sluice").strip()
        self.assertRegex(status, rf"(?m)^Uid:\s{user}\s{user}\s{user}\s{user}$")
        self.assertEqual(system.checked("stat", "-c", "%U %a", "/run/sluice/check.sock", "/run/sluice/admin.sock"),
                         "sluice 660\nsluice 600\n")

    def it_restarts_without_refusing(self, system):
        before = system.property("sluiced.service", "MainPID")
        # Asks in a row, each a process and a connection of its own, while the service restarts twice.
        asking = "for i in $(seq 60); do sluicectl check --op DOWNLOAD --bucket b1 --key k --requester u1 --timeout 30s " \
                 ">/dev/null || echo $i: $?; done"
        process = subprocess.Popen(["nsenter", "-a", "-r", "-w", "-t", system.process_1(), "sh", "-c", asking], text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        system.checked("systemctl", "restart", "sluiced.service")
        system.checked("systemctl", "restart", "sluiced.service")
        said, _ = process.communicate(timeout=120)
        self.assertEqual(said, "")
        self.assertNotEqual(system.property("sluiced.service", "MainPID"), before)

    def it_reloads_and_refuses(self, system):
        process = system.property("sluiced.service", "MainPID")
        system.checked("systemctl", "reload", "sluiced.service")
        self.assertEqual(system.property("sluiced.service", "MainPID"), process)
        # What is wrong stays wrong: no loop of restarts.
        config = system.root / "etc/sluice/sluiced.yaml"
        good = config.read_text(encoding="utf-8")
        config.write_text(good.replace("check.sock", "other.sock"), encoding="utf-8")
        self.assertNotEqual(system.run("systemctl", "restart", "sluiced.service").returncode, 0)
        self.assertEqual(system.property("sluiced.service", "ExecMainStatus"), "2")
        self.assertEqual(system.property("sluiced.service", "ActiveState"), "failed")
        config.write_text(good, encoding="utf-8")
        system.checked("systemctl", "reset-failed", "sluiced.service")
        system.checked("systemctl", "start", "sluiced.service")
        self.assertIn("ALLOW", self.ask(system))

    def the_watchdog_ends_what_hangs(self, system):
        drop_in = system.root / "etc/systemd/system/sluiced.service.d/watchdog.conf"
        drop_in.parent.mkdir(parents=True)
        drop_in.write_text("[Service]\nWatchdogSec=1\n", encoding="utf-8")
        system.checked("systemctl", "daemon-reload")
        system.checked("systemctl", "restart", "sluiced.service")
        system.checked("sh", "-c", f"kill -STOP {system.property('sluiced.service', 'MainPID')}")
        system.await_output(["systemctl", "show", "--value", "-p", "NRestarts", "sluiced.service"], "1")
        system.await_output(["systemctl", "is-active", "sluiced.service"], "active")
        self.assertIn("ALLOW", self.ask(system))
        shutil.rmtree(drop_in.parent)
        system.checked("systemctl", "daemon-reload")

    def it_upgrades_and_goes(self, system):
        before = system.property("sluiced.service", "MainPID")
        config = system.root / "etc/sluice/sluiced.yaml"
        config.write_text(config.read_text(encoding="utf-8") + "threads: 1\n", encoding="utf-8")
        system.checked("dpkg", "--force-confold", "-i", "/sluice.deb")
        system.await_output(["systemctl", "is-active", "sluiced.service"], "active")
        self.assertNotEqual(system.property("sluiced.service", "MainPID"), before)
        self.assertIn("ALLOW", self.ask(system))
        self.assertIn("threads: 1", config.read_text(encoding="utf-8"))
        system.checked("dpkg", "--remove", "sluice")
        self.assertNotEqual(system.run("systemctl", "is-active", "sluiced.service").stdout, "active\n")
        system.checked("dpkg", "--purge", "sluice")
        self.assertFalse(config.exists())
        # The policy is the operator's; nothing but the operator removes it.
        self.assertTrue((system.root / "var/lib/sluice/data.mdb").exists())


if __name__ == "__main__":
    unittest.main()
