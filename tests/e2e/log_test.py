"""The decision log of a real node: asked over the wire and from its files, verified, killed and tampered with."""

import json
import subprocess

import harness
from stubs import admin_pb2


class LogTest(harness.TestCase):
    """A node with a frozen account u2 and a flagged object b1/bad."""

    def setUp(self):
        super().setUp()
        self.server = self.node("--node-name", "edge-7").start()
        self.server.apply(*harness.standard_policy(), harness.freeze("u2"), harness.raise_flag("f1", "b1", "bad"))

    @property
    def decisions(self):
        return self.server.store / "decisions"

    def deny(self, request_id, **fields):
        response = self.server.check(harness.download(bucket="b9", requester="u2", request_id=request_id, **fields))
        self.assert_decision(response, "DENY", "ACCOUNT_FROZEN")

    def ctl(self, *arguments, code=harness.EXIT_OK):
        result = self.server.ctl(*arguments)
        self.assert_exit(result, code)
        return result.stdout

    def ids(self, *arguments):
        lines = self.ctl("log", "query", *arguments, "-o", "json").splitlines()
        return [json.loads(line)["request"].get("request_id", "") for line in lines]

    def test_a_query_over_the_wire_and_one_of_the_files_agree(self):
        self.deny("r-1", client_ip="203.0.113.9")
        self.server.check(harness.download(key="bad", request_id="r-2", client_ip="2001:db8::1"))
        self.server.check(harness.download(key="good", request_id="r-3"))  # a plain allow: none of a hundred
        queries = {(): ["r-1", "r-2"], ("--account", "u1"): ["r-2"], ("--bucket", "b9"): ["r-1"],
                   ("--key", "bad"): ["r-2"], ("--ip", "203.0.113.0/24"): ["r-1"], ("--rule", "f1"): ["r-2"],
                   ("--ip", "2001:DB8::0:1"): ["r-2"], ("--verdict", "deny", "--limit", "1"): ["r-1"],
                   ("--reason", "account-frozen"): ["r-1"], ("--from", "-1h", "--to", "+1h"): ["r-1", "r-2"],
                   ("--to", "-1h"): [], ("--request-id", "r-2"): ["r-2"], ("--account", "nobody"): []}
        for flags, wanted in queries.items():
            self.assertEqual(self.ids(*flags), wanted, flags)
            self.assertEqual(self.ids("--folder", self.decisions, *flags), wanted, flags)
        record = json.loads(self.ctl("log", "query", "--rule", "f1", "-o", "json"))
        self.assertEqual((record["node"], record["door"], record["number"]), ("edge-7", "GRPC", "2"))
        self.assertEqual(record["request"]["owner"], "u1")
        self.assertEqual(record["response"]["clause"], "3.1.3.5.3")
        line = self.ctl("log", "query", "--rule", "f1")
        for piece in ("DENY", "CONTENT_PROHIBITED", "3.1.3.5.3", "owner u1", "key bad", "rule f1"):
            self.assertIn(piece, line)

    def test_wrong_queries_are_refused(self):
        for flags, piece in ((("--verdict", "maybe"), "--verdict: wanted one of"),
                             (("--ip", "here"), "client_ip: wanted an address"), (("--from", "then"), "--from: wanted"),
                             (("--trace", "12"), "trace_id: wanted 32 hex digits")):
            result = self.server.ctl("log", "query", *flags)
            self.assert_exit(result, 2)
            self.assertIn(piece, result.stderr)

    def test_follow_tells_what_comes(self):
        self.deny("before")
        for place in ((), ("--folder", self.decisions)):
            list(self.server.decision_log().Query(admin_pb2.LogQuery()))  # flushed
            follower = subprocess.Popen(
                [str(harness.SLUICECTL), "--server", self.server.admin_address, "log", "query", "--follow", "--limit", "3",
                 "-o", "json", *map(str, place)], stdout=subprocess.PIPE, encoding="utf-8")
            self.addCleanup(follower.stdout.close)
            self.addCleanup(follower.wait)
            self.addCleanup(follower.kill)
            first = json.loads(follower.stdout.readline())
            self.assertEqual(first["request"]["request_id"], "before")
            if not place:
                self.deny("now")
                self.deny("later")
            seen = [json.loads(line)["request"]["request_id"] for line in follower.stdout]
            self.assertEqual(seen, ["now", "later"])
            self.assertEqual(follower.wait(harness.DEADLINE_SECONDS), 0)

    def test_a_killed_node_loses_a_second_at_most_and_its_log_stays_whole(self):
        self.deny("kept")
        list(self.server.decision_log().Query(admin_pb2.LogQuery()))
        self.server.kill()
        newest = max(self.decisions.glob("*.slog"))
        with open(newest, "ab") as segment:
            segment.write(b"SBLK torn")
        self.server.start()
        self.server.await_record("decision log", text=f"{newest}: its torn end of 9 bytes, behind record 1, is cut off")
        self.deny("after")
        self.assertEqual(self.ids(), ["kept", "after"])
        out = self.ctl("log", "verify", self.decisions)
        self.assertIn("whole: nothing was altered or taken away", out)
        self.assertIn("torn segment=1 bytes=9 behind=1", out)

    def test_verify_shows_what_was_altered_cut_or_taken_away(self):
        for number in range(3):
            self.deny(f"r-{number}")
            self.server.stop()
            self.server.start()
        self.server.stop()
        out = self.ctl("log", "verify", self.decisions)
        self.assertIn("records   3, numbers 1 to 3", out)
        link = next(line.split()[1] for line in out.splitlines() if line.startswith("link"))
        self.ctl("log", "verify", self.decisions, "--link", link)
        self.ctl("log", "verify", self.decisions, "--link", "0" * 64, code=1)
        segments = sorted(self.decisions.glob("*.slog"))
        kept = segments[1].read_bytes()
        segments[1].write_bytes(kept[:300] + bytes([kept[300] ^ 1]) + kept[301:])
        self.assertIn(f"FAULT     {segments[1]} at byte", self.ctl("log", "verify", self.decisions, code=1))
        segments[1].unlink()
        self.assertIn("segment 2 is missing", self.ctl("log", "verify", self.decisions, code=1))
        segments[1].write_bytes(kept)
        segments[-1].unlink()
        self.ctl("log", "verify", self.decisions)
        self.assertIn("cut off, or written anew", self.ctl("log", "verify", self.decisions, "--link", link, code=1))


if __name__ == "__main__":
    harness.main()
