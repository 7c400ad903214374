"""sluicectl replay on a real access log: every line has an answer, and the sums are right."""

import harness

DEMO = harness.DEMO
USAGE = 2
ACCESS_LOG = harness.SOURCE / "examples" / "data" / "combined.log"
ACCESS_LOG_LINES = 10_000


class ReplayTest(harness.CliTestCase):

    def test_replay_answers_every_line_of_a_real_log(self):
        with open(ACCESS_LOG, "rb") as log:
            self.assertEqual(sum(1 for _ in log), ACCESS_LOG_LINES)
        arguments = ["replay", ACCESS_LOG, "--policy", DEMO, "--host", "www.example.cn"]
        report = self.json(*arguments)
        lines = report["lines"]
        self.assertEqual(lines["read"], ACCESS_LOG_LINES)
        self.assertEqual(lines["asked"] + lines["unreadable"] + lines["without_request"] + lines["not_askable"],
                         ACCESS_LOG_LINES)
        self.assertEqual(sum(verdict["requests"] for verdict in report["verdicts"].values()), lines["asked"])
        self.assertEqual(sum(answer["requests"] for answer in report["answers"]), lines["asked"])
        for verdict in ("ALLOW", "THROTTLE", "DENY"):
            self.assertGreater(report["verdicts"][verdict]["requests"], 0, verdict)
        for answer in report["answers"]:
            if answer["verdict"] != "ALLOW":
                self.assertNotEqual((answer["reason"], answer["clause"]), ("UNSPECIFIED", ""), answer)
        table = self.ctl(*arguments).stdout
        for piece in ("10,000 read", "By verdict", "THROTTLE", "DENY", "Heaviest addresses", "Heaviest paths",
                      "3.1.3.6"):
            self.assertIn(piece, table)
        # The same question has the same answer.
        again = self.json(*arguments)
        self.assertEqual(again["answers"], report["answers"])

    def test_replay_takes_the_policy_of_the_server_or_of_an_export(self):
        self.apply_demo()
        export = self.folder / "demo.export"
        self.ctl("export", export)
        live = self.json("replay", ACCESS_LOG, "--live", "--host", "www.example.cn")
        exported = self.json("replay", ACCESS_LOG, "--export", export, "--host", "www.example.cn")
        self.assertEqual(live["answers"], exported["answers"])
        self.assertEqual(live["lines"]["read"], ACCESS_LOG_LINES)
        revision = self.server.export().revision
        self.ctl("replay", ACCESS_LOG, "--live", "--host", "www.example.cn")
        self.assertEqual(self.server.export().revision, revision)  # a replay changes nothing

    def test_replay_counts_and_shows_what_it_cannot_read(self):
        with open(ACCESS_LOG, encoding="utf-8") as log:
            good = [next(log) for _ in range(10)]
        path = self.folder / "mixed.log"
        path.write_bytes("".join(good[:5]).encode() + b"no access log\n\n\x00\xff\xfe\n" + "".join(good[5:]).encode())
        result = self.ctl("replay", path, "--policy", DEMO, "--host", "www.example.cn")
        self.assertIn("no access log", result.stdout)
        report = self.json("replay", path, "--policy", DEMO, "--host", "www.example.cn")
        lines = report["lines"]
        self.assertEqual((lines["read"], lines["asked"], lines["unreadable"]), (13, 10, 3))
        self.assertEqual([example["line"] for example in lines["first_unreadable"]], [6, 7, 8])
        self.ctl("replay", self.file("none.log", "nothing\nhere\n"), "--policy", DEMO, code=USAGE)
        self.ctl("replay", self.file("empty.log", ""), "--policy", DEMO, code=USAGE)
        absent = self.ctl("replay", self.folder / "absent.log", "--policy", DEMO, code=USAGE)
        self.assertIn("absent.log", absent.stderr)
        self.ctl("replay", ACCESS_LOG, code=USAGE)  # of which policy?


if __name__ == "__main__":
    harness.main()
