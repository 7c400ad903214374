"""./dev run, against the programs that are built: it shows what it promises, and leaves nothing behind."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import unittest

SOURCE = pathlib.Path(os.environ.get("SLUICE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ.get("SLUICE_BIN", SOURCE / "build" / "debug" / "bin"))
DEADLINE_SECONDS = 120


class DemoTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sluice-")
        self.addCleanup(folder.cleanup)
        self.temporary = pathlib.Path(folder.name)
        self.environment = {**os.environ, "TMPDIR": folder.name}

    def start(self, *arguments):
        demo = subprocess.Popen([str(SOURCE / "dev"), "run", "--programs", str(BIN), *arguments], env=self.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                start_new_session=True)
        # Ends a demo that hangs; every read below then sees the end of its output.
        guard = threading.Timer(DEADLINE_SECONDS, os.killpg, (demo.pid, signal.SIGKILL))
        guard.start()
        self.addCleanup(guard.cancel)
        self.addCleanup(demo.stdout.close)
        return demo

    def test_once_shows_each_kind_of_decision_and_a_replay(self):
        demo = self.start("--once")
        output = demo.stdout.read()
        self.assertEqual(demo.wait(), 0, output)
        for title, *wanted in (("Allow", "ALLOW"), ("Throttle", "RATE_LIMITED", "3.1.3.6", "429"),
                               ("Deny: the account", "ACCOUNT_FROZEN", "7.2.1", "419"),
                               ("Deny: this object", "CONTENT_PROHIBITED", "3.1.3.5.4", "403"),
                               ("Deny: a legal order", "LEGAL_ORDER", "9.2.2", "451")):
            block = next(block for block in output.split("\n\n") if block.lstrip().startswith(title))
            for word in wanted:
                self.assertIn(word, block)
        self.assertRegex(output, r"metrics +http://127\.0\.0\.1:[1-9][0-9]*/metrics")
        self.assertRegex(output, r"10,000 read, 10,000 asked, 0 unreadable")
        for verdict in ("ALLOW", "THROTTLE", "DENY"):
            self.assertTrue(re.search(rf"^{verdict} +[1-9]", output, re.MULTILINE), verdict)
        self.assertEqual(list(self.temporary.iterdir()), [])

    def test_it_stays_up_until_it_is_asked_to_stop(self):
        for asked in (signal.SIGINT, signal.SIGTERM):
            demo = self.start()
            seen = ""
            for line in demo.stdout:
                seen += line
                if "sluicectl watch" in line:  # the last line before it waits
                    break
            self.assertIn("Up until Ctrl-C", seen)
            folder = next(self.temporary.iterdir())
            self.assertTrue((folder / "admin.sock").is_socket())
            if asked == signal.SIGINT:
                os.killpg(demo.pid, asked)  # as a terminal does
            else:
                demo.terminate()
            rest = demo.stdout.read()
            self.assertEqual(demo.wait(), 0, rest)
            self.assertEqual(list(self.temporary.iterdir()), [])

    def test_without_programs_it_says_so(self):
        demo = subprocess.run([str(SOURCE / "dev"), "run", "--once", "--programs", str(self.temporary)],
                              env=self.environment, capture_output=True, text=True, check=False)
        self.assertEqual(demo.returncode, 1)
        self.assertIn("did not start", demo.stderr)


if __name__ == "__main__":
    unittest.main()
