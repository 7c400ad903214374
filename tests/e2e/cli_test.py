"""sluicectl, as an operator and as a program use it, against a live server."""

import json
import os
import re
import shutil
import subprocess
import unittest

import harness

OK, REFUSED, USAGE, UNREACHABLE, THROTTLED = 0, 1, 2, 3, 4

DEMO = harness.DEMO


def documents(text):
    """JSON messages one after another, one a line."""
    return [json.loads(line) for line in text.splitlines()]


class CliTest(harness.CliTestCase):

    # -- apply

    def test_the_demo_policy_applies_whole_and_a_second_time_changes_nothing(self):
        first = self.json("apply", "-f", DEMO)
        self.assertEqual({result["outcome"] for result in first["results"]}, {"OUTCOME_APPLIED"})
        self.assertGreater(len(first["results"]), 10)
        again = self.json("apply", "-f", DEMO)
        self.assertEqual({result["outcome"] for result in again["results"]}, {"OUTCOME_DUPLICATE"})
        self.assertEqual(again["revision"], first["revision"])
        table = self.apply_demo().stdout
        self.assertIn(f"0 applied, {len(first['results'])} duplicate, 0 stale, 0 rejected", table)

    def test_a_policy_comes_from_standard_input_and_from_several_files(self):
        self.ctl("apply", "-f", "-", text="- paid: {account: u1}\n")
        one = self.file("one.yaml", "- bind_bucket: {bucket: b1, account: u1}\n")
        two = self.file("two.json", '[{"freeze": {"account": "u1"}}]')
        self.ctl("apply", "-f", one, "-f", two)
        self.assertEqual(self.json("account", "show", "u1")["state"], "ACCOUNT_STATE_FROZEN")

    def test_a_rejected_event_is_shown_with_its_reason_and_the_others_hold(self):
        policy = self.file("policy.yaml",
                           "- paid: {account: u1}\n- clear_flag: {flag_id: no-such}\n- freeze: {account: u1}\n")
        result = self.ctl("apply", "-f", policy, code=REFUSED)
        self.assertIn("2 applied, 0 duplicate, 0 stale, 1 rejected", result.stdout)
        self.assertIn("no-such", result.stdout)
        self.assertEqual(self.json("account", "show", "u1")["state"], "ACCOUNT_STATE_FROZEN")

    def test_a_malformed_policy_file_is_refused_by_file_and_line_and_nothing_is_applied(self):
        cases = {
            "an unknown change": ("- paid: {account: u1}\n- frieze: {account: u1}\n", 2, "frieze"),
            "an unknown field": ("- paid: {account: u1}\n\n- freeze: {acount: u1}\n", 3, "acount"),
            "a wrong type": ("- paid: {account: u1}\n- set_balance: {account: u1, balance_minor: lots}\n", 2,
                             "balance_minor"),
            "an unknown word": ("- paid: {account: u1}\n- raise_flag:\n    flag_id: f\n    severity: HUGE\n", 4,
                                "HUGE"),
            "a bad time": ("- freeze: {account: u1}\n  effective_at: yesterday\n", 2, "effective_at"),
            "no YAML": ("- paid: {account: u1}\n- freeze: {account: u1\n", 3, ""),
            "no list": ("just text\n", 1, ""),
            "no change": ("- paid: {account: u1}\n- note: hello\n", 2, ""),
        }
        for name, (text, line, piece) in cases.items():
            with self.subTest(name):
                policy = self.file("bad.yaml", text)
                result = self.ctl("apply", "-f", policy, code=USAGE)
                self.assertRegex(result.stderr, re.escape(f"{policy}:{line}") + r"\b")
                self.assertIn(piece, result.stderr)
        (self.folder / "bad.yaml").write_bytes(b"- paid: {account: u1}\n- freeze: {account: \xff}\n")
        result = self.ctl("apply", "-f", self.folder / "bad.yaml", code=USAGE)
        self.assertIn(f"{self.folder / 'bad.yaml'}:2", result.stderr)
        self.assertIn("UTF-8", result.stderr)
        result = self.ctl("apply", "-f", self.folder / "absent.yaml", code=USAGE)
        self.assertIn(str(self.folder / "absent.yaml"), result.stderr)
        self.assertEqual(self.server.export().revision, 0)

    # -- check and explain

    def test_the_exit_code_of_a_check_is_its_verdict(self):
        self.server.apply(*harness.standard_policy(), harness.freeze("u2"),
                          harness.account_limit("l-u3", "u3", rate=0.001, burst=1))
        allowed = self.ctl("check", "--op", "DOWNLOAD", "--bucket", "b1", "--key", "k", "--requester", "u1")
        self.assertIn("ALLOW", allowed.stdout)
        denied = self.ctl("check", "--op", "PUBLIC_READ", "--bucket", "b9", "--key", "k", code=REFUSED)
        for piece in ("DENY", "ACCOUNT_FROZEN", "7.2.1"):
            self.assertIn(piece, denied.stdout)
        self.assertEqual(denied.stderr, "")
        self.ctl("check", "--op", "list", "--owner", "u3", "--requester", "u3")
        throttled = self.ctl("check", "--op", "list", "--owner", "u3", "--requester", "u3", code=THROTTLED)
        self.assertIn("RATE_LIMITED", throttled.stdout)
        self.assertIn("retry after", throttled.stdout)

    def test_a_check_for_programs_is_the_message_of_the_contract(self):
        self.server.apply(*harness.standard_policy(), harness.freeze("u2"))
        result = self.ctl("check", "--op", "DOWNLOAD", "--bucket", "b9", "--requester", "u2", "--dialect", "KODO",
                          "--request-id", "r-7", "-o", "json", code=REFUSED)
        response = json.loads(result.stdout)
        self.assertEqual(response["request_id"], "r-7")
        self.assertEqual((response["verdict"], response["reason"]), ("VERDICT_DENY", "REASON_ACCOUNT_FROZEN"))
        self.assertEqual(response["http"]["status"], 419)
        self.assertEqual(response["all_reasons"], ["REASON_ACCOUNT_FROZEN"])
        request = '{"operation": "DOWNLOAD", "bucket": "b9", "requester": "u2"}'
        for arguments, text in ((["--json", request], None), (["--json", "-"], request)):
            result = self.ctl("check", *arguments, "-o", "json", text=text, code=REFUSED)
            self.assertEqual(json.loads(result.stdout)["reason"], "REASON_ACCOUNT_FROZEN")

    def test_explain_says_why_spends_nothing_and_looks_ahead(self):
        self.server.apply(*harness.standard_policy(), harness.account_limit("l-u1", "u1", rate=0.001, burst=1),
                          harness.raise_flag("f-1", "b1", "bad"))
        arguments = ["--op", "DOWNLOAD", "--bucket", "b1", "--key", "good", "--requester", "u1"]
        for _ in range(3):
            self.ctl("explain", *arguments)
        self.ctl("check", *arguments)
        self.ctl("explain", *arguments, code=THROTTLED)
        bad = ["--op", "DOWNLOAD", "--bucket", "b1", "--key", "bad", "--requester", "u1"]
        denied = self.ctl("explain", *bad, code=REFUSED)
        self.assertIn("f-1", denied.stdout)
        explained = self.json("explain", *bad, code=REFUSED)
        self.assertTrue(any(step.get("matched") and "f-1" in step["rule"] for step in explained["steps"]))
        self.ctl("account", "freeze", "u1")
        later = self.json("explain", *arguments, "--at", "+60d", code=REFUSED)
        self.assertEqual(later["response"]["reason"], "REASON_AGREEMENT_ENDED")
        self.assertEqual(later["response"]["clause"], "7.2.2")

    def test_a_wrong_word_is_an_error_that_lists_the_right_ones(self):
        result = self.ctl("check", "--op", "UPLAOD", code=USAGE)
        for piece in ("--operation", "UPLOAD", "UPLAOD"):
            self.assertIn(piece, result.stderr)
        self.ctl("check", code=USAGE)
        self.ctl("check", "--no-such-flag", code=USAGE)
        self.ctl("no-such-command", code=USAGE)
        self.ctl(code=USAGE)
        overlong = self.ctl("check", "--op", "LIST", "--bucket", "b" * 257, code=USAGE)
        self.assertIn("bucket", overlong.stderr)

    # -- accounts, flags, limits

    def test_an_account_is_shown_frozen_and_unfrozen(self):
        self.server.apply(*harness.standard_policy())
        self.assertIn("ACTIVE", self.ctl("account", "show", "u1").stdout)
        self.assertIn("APPLIED", self.ctl("account", "freeze", "u1", "--note", "balance below consumption").stdout)
        shown = self.ctl("account", "show", "u1").stdout
        for piece in ("FROZEN", "7.2.1", "7.2.2", "deadline"):
            self.assertIn(piece, shown)
        described = self.json("account", "show", "u1")
        self.assertEqual(described["state"], "ACCOUNT_STATE_FROZEN")
        # 30 natural days in China Standard Time end at midnight there.
        self.assertTrue(described["deadline"].endswith("T16:00:00Z"), described)
        self.ctl("check", "--op", "DOWNLOAD", "--bucket", "b1", "--requester", "u1", code=REFUSED)
        self.ctl("account", "unfreeze", "u1")
        self.assertEqual(self.json("account", "show", "u1")["state"], "ACCOUNT_STATE_ACTIVE")
        self.ctl("check", "--op", "DOWNLOAD", "--bucket", "b1", "--requester", "u1")
        rejected = self.ctl("account", "freeze", "u1", "--role", "MODERATION", code=REFUSED)
        self.assertIn("rejected", rejected.stderr)
        self.assertIn("unknown", self.ctl("account", "show", "nobody").stdout)

    def test_a_flag_is_added_listed_and_removed(self):
        self.server.apply(*harness.standard_policy())
        self.assertIn("no flags", self.ctl("flag", "list").stdout)
        self.ctl("flag", "add", "--id", "f-1", "--bucket", "b1", "--key", "bad", "--category", "3.1.3.5.3",
                 "--severity", "BLOCK", "--note", "found by review")
        self.ctl("flag", "add", "--id", "f-2", "--ip", "203.0.113.0/24", "--category", "3.1.3.7")
        self.ctl("flag", "add", "--id", "f-3", "--hash", "sha256:" + "ab" * 32, "--category", "3.1.3.5.2")
        listed = self.ctl("flag", "list").stdout
        for piece in ("f-1", "f-2", "f-3", "b1/bad", "203.0.113.0/24", "3.1.3.5.3", "MODERATION", "SECURITY",
                      "found by review"):
            self.assertIn(piece, listed)
        items = self.json("flag", "list")["items"]
        self.assertEqual([item["raise_flag"]["flag_id"] for item in items], ["f-1", "f-2", "f-3"])
        items = self.json("flag", "list", "--bucket", "b1", "--key", "bad")["items"]
        self.assertEqual([item["raise_flag"]["flag_id"] for item in items], ["f-1"])
        self.ctl("check", "--op", "DOWNLOAD", "--bucket", "b1", "--key", "bad", "--requester", "u1", code=REFUSED)
        # The role that set it, or LEGAL.
        self.ctl("flag", "remove", "f-1", "--role", "SECURITY", code=REFUSED)
        self.ctl("flag", "remove", "f-1", "--role", "MODERATION")
        self.ctl("flag", "remove", "f-2", "--role", "LEGAL")
        self.ctl("check", "--op", "DOWNLOAD", "--bucket", "b1", "--key", "bad", "--requester", "u1")
        self.assertEqual([item["raise_flag"]["flag_id"] for item in self.json("flag", "list")["items"]], ["f-3"])
        self.ctl("flag", "remove", "f-1", code=REFUSED)

    def test_more_flags_than_a_page_are_all_listed(self):
        self.server.apply(*[harness.raise_flag(f"f-{i:04}", "b1", f"k-{i}") for i in range(1234)])
        items = self.json("flag", "list")["items"]
        self.assertEqual([item["raise_flag"]["flag_id"] for item in items], [f"f-{i:04}" for i in range(1234)])

    def test_a_limit_is_set_listed_and_cleared(self):
        self.server.apply(*harness.standard_policy())
        self.ctl("limit", "set", "--id", "l-1", "--account", "u1", "--rate", "0.001", "--burst", "1",
                 "--level", "CONTRACT")
        self.ctl("limit", "set", "--id", "l-2", "--scope", "CLIENT_IP", "--rate", "50", "--operation", "DOWNLOAD,LIST")
        listed = self.ctl("limit", "list").stdout
        for piece in ("l-1", "l-2", "account u1", "every client_ip", "CONTRACT", "REQUESTS 50"):
            self.assertIn(piece, listed)
        self.assertEqual(len(self.json("limit", "list")["items"]), 2)
        arguments = ["check", "--op", "DOWNLOAD", "--bucket", "b1", "--requester", "u1"]
        self.ctl(*arguments)
        self.ctl(*arguments, code=THROTTLED)
        self.ctl("limit", "clear", "l-1")
        self.ctl(*arguments)
        self.ctl("limit", "set", "--rate", "5", code=USAGE)  # on what?
        self.ctl("limit", "set", "--account", "u1", "--rate", "-1", code=USAGE)

    def test_an_order_is_issued_listed_and_lifted(self):
        self.server.apply(*harness.standard_policy())
        self.ctl("order", "issue", "--id", "o-1", "--bucket", "b1", "--document", "2026-17", "--region", "cn")
        self.assertIn("2026-17", self.ctl("order", "list").stdout)
        denied = self.ctl("check", "--op", "DOWNLOAD", "--bucket", "b1", "--requester", "u1", code=REFUSED)
        for piece in ("LEGAL_ORDER", "9.2.2", "451"):
            self.assertIn(piece, denied.stdout)
        self.ctl("order", "lift", "o-1")
        self.ctl("check", "--op", "DOWNLOAD", "--bucket", "b1", "--requester", "u1")

    # -- watch

    def test_watch_tells_of_a_rejected_event(self):
        self.server.apply(*harness.standard_policy())
        command = [str(harness.SLUICECTL), "watch", "--from", "1", "--count", "2", "-o", "json",
                   "--server", self.server.admin_address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as watch:
            try:
                self.ctl("flag", "remove", "f-none", code=REFUSED)
                first = json.loads(watch.stdout.readline())  # told at once, not at the end
                self.ctl("account", "unfreeze", "u1", "--role", "SECURITY", code=REFUSED)
                rest, errors = watch.communicate(timeout=harness.DEADLINE_SECONDS)
            finally:
                watch.kill()
        self.assertEqual((watch.returncode, errors), (OK, ""))
        second, = documents(rest)
        self.assertEqual((first["kind"], second["kind"]), ("ANNOUNCEMENT_KIND_EVENT_REJECTED",) * 2)
        self.assertIn("f-none", first["detail"])
        self.assertEqual(second["subject"], {"account": "u1"})
        self.assertLess(int(first["revision"]), int(second["revision"]))
        # Those who come later are told as well, from where they left off, or all.
        self.assertEqual(documents(self.ctl("watch", "--count", "2", "-o", "json").stdout), [first, second])
        table = self.ctl("watch", "--from", second["revision"], "--count", "1").stdout
        self.assertIn("EVENT_REJECTED", table)
        self.assertIn("account u1", table)

    # -- export and import

    def test_an_export_imported_elsewhere_is_exported_the_same(self):
        self.apply_demo()
        self.ctl("flag", "remove", "no-such", code=REFUSED)  # leaves an announcement
        first, second = self.folder / "first.export", self.folder / "second.export"
        self.assertIn("exported", self.ctl("export", first).stdout)
        other = self.node(name="other").start()
        self.assertIn("imported", self.ctl("import", first, server=other).stdout)
        self.ctl("export", second, server=other)
        self.assertEqual(first.read_bytes(), second.read_bytes())
        self.assertEqual(self.server.export(), other.export())
        # It is durable, decides the same, and remembers what it has seen.
        other.kill()
        other.start()
        self.assertEqual(self.server.export(), other.export())
        check = ["check", "--op", "PUBLIC_READ", "--host", "forum.example.com", "--path", "/"]
        self.assertIn("LEGAL_ORDER", self.ctl(*check, server=other, code=REFUSED).stdout)
        again = self.json("apply", "-f", DEMO, server=other)
        self.assertEqual({result["outcome"] for result in again["results"]}, {"OUTCOME_DUPLICATE"})
        refused = self.ctl("import", first, server=other, code=REFUSED)
        self.assertIn("sluicectl:", refused.stderr)
        self.ctl("export", self.folder / "third.export", server=other)
        self.assertEqual((self.folder / "third.export").read_bytes(), first.read_bytes())

    def test_an_export_that_is_cut_or_damaged_is_refused_and_nothing_is_imported(self):
        self.apply_demo()
        whole = self.folder / "whole.export"
        self.ctl("export", whole)
        data = whole.read_bytes()
        other = self.node(name="other").start()
        damaged = {"cut": data[:-1], "half": data[:len(data) // 2], "head": data[:20], "empty": b"",
                   "other": b"hello\n" * 99, "newer": data.replace(b"SLUICE-EXPORT 1\n", b"SLUICE-EXPORT 9\n", 1)}
        for name, content in damaged.items():
            with self.subTest(name):
                path = self.folder / f"{name}.export"
                path.write_bytes(content)
                result = self.ctl("import", path, server=other, code=USAGE)
                self.assertIn(str(path), result.stderr)
                self.assertEqual(other.export().revision, 0)
        self.ctl("import", whole, server=other)

    def test_an_export_for_reading_is_json(self):
        self.apply_demo()
        chunks = documents(self.ctl("export", "-o", "json").stdout)
        self.assertEqual(sum(len(chunk["events"]) for chunk in chunks), len(self.server.export().events))

    # -- output

    def test_every_output_for_programs_parses(self):
        self.apply_demo()
        for command in (["account", "show", "u-willow"], ["flag", "list"], ["order", "list"], ["limit", "list"],
                        ["version"],
                        ["check", "--op", "MANAGE_READ", "--owner", "u-orchid", "--requester", "u-orchid"],
                        ["explain", "--op", "MANAGE_READ", "--owner", "u-orchid", "--requester", "u-orchid"]):
            with self.subTest(command):
                self.assertIsInstance(self.json(*command), dict)
                self.assertNotEqual(self.ctl(*command, "-o", "yaml").stdout, "")
                table = self.ctl(*command).stdout
                self.assertNotIn("\x1b", table)  # no colours but on a terminal
        self.ctl("flag", "list", "-o", "xml", code=USAGE)

    def test_names_cannot_smuggle_escape_sequences_to_a_terminal(self):
        self.server.apply(*harness.standard_policy(),
                          harness.raise_flag("f-\x1b[2J", "b1", "k\x1b]0;x\x07", note="\x1b[31m"))
        listed = self.ctl("flag", "list").stdout
        self.assertIn("f-", listed)
        self.assertNotIn("\x1b", listed)
        self.assertNotIn("\x07", listed)
        self.assertEqual(self.json("flag", "list")["items"][0]["raise_flag"]["flag_id"], "f-\x1b[2J")

    # -- no server

    def test_an_unreachable_server_is_a_clear_error_of_its_own_code(self):
        self.assertEqual(self.server.stop(), 0)
        for command in (["check", "--op", "LIST"], ["explain", "--op", "LIST"], ["account", "show", "u1"],
                        ["account", "freeze", "u1"], ["apply", "-f", DEMO], ["flag", "list"], ["watch"],
                        ["export", self.folder / "x.export"], ["limit", "list"]):
            with self.subTest(command):
                result = self.ctl(*command, code=UNREACHABLE)
                self.assertEqual(result.stdout, "")
                address = self.server.check_address if command[0] == "check" else self.server.admin_address
                self.assertIn(address, result.stderr)
                self.assertIn("sluiced", result.stderr)
                self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertFalse((self.folder / "x.export").exists())
        nowhere = self.ctl("check", "--op", "LIST", "--check-server", f"unix:{self.folder}/none.sock", code=UNREACHABLE)
        self.assertIn(f"{self.folder}/none.sock", nowhere.stderr)
        self.assertIn("--check-server", nowhere.stderr)

    # -- help and completion

    def test_completion_scripts_parse_and_know_the_commands(self):
        for shell in ("bash", "zsh", "fish"):
            script = self.ctl("completion", shell).stdout
            for piece in ("freeze", "category", "replay"):
                self.assertIn(piece, script, shell)
        script = self.ctl("completion", "bash").stdout
        parsed = subprocess.run(["bash", "-n"], input=script, stderr=subprocess.PIPE, encoding="utf-8", check=False)
        self.assertEqual((parsed.returncode, parsed.stderr), (0, ""))
        complete = script + '\nCOMP_WORDS=(sluicectl account fr); COMP_CWORD=2; _sluicectl; echo "${COMPREPLY[@]}"\n'
        done = subprocess.run(["bash"], input=complete, stdout=subprocess.PIPE, encoding="utf-8", check=True)
        self.assertEqual(done.stdout, "freeze\n")
        for shell in ("zsh", "fish"):
            if shutil.which(shell):
                script = self.ctl("completion", shell).stdout
                subprocess.run([shell, "-n"], input=script, encoding="utf-8", check=True)
        self.ctl("completion", "powershell", code=USAGE)

    def test_every_command_has_help_with_an_example(self):
        for command in (["check"], ["explain"], ["apply"], ["account", "show"], ["account", "freeze"],
                        ["account", "unfreeze"], ["flag", "add"], ["flag", "remove"], ["flag", "list"],
                        ["limit", "set"], ["limit", "list"], ["watch"], ["export"], ["import"], ["test"], ["replay"],
                        ["completion"], ["version"]):
            with self.subTest(command):
                text = self.ctl(*command, "--help").stdout
                self.assertIn("Example:", text)
                self.assertIn(f"sluicectl {' '.join(command)}", text)
        self.assertIn("Exit codes", self.ctl("--help").stdout)

    def test_an_output_that_cannot_be_written_is_an_error(self):
        if not os.path.exists("/dev/full"):
            raise unittest.SkipTest("no /dev/full here")
        with open("/dev/full", "wb") as full:
            result = subprocess.run([str(harness.SLUICECTL), "version"], stdout=full, stderr=subprocess.PIPE,
                                    check=False)
        self.assertNotEqual(result.returncode, 0)


if __name__ == "__main__":
    harness.main()
