"""The decision log of a real node: asked over the wire and from its files, verified, killed and tampered with."""

import http.client
import json
import subprocess

import grpc

import harness
from gateways import free_port
from stubs import admin_pb2, check_pb2, policy_pb2


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

    def test_a_trace_leads_from_the_text_of_a_refusal_to_its_decision(self):
        port = free_port()
        server = self.node("--doors-listen", f"127.0.0.1:{port}", name="traced").start()
        server.apply(*harness.standard_policy(), harness.freeze("u2"), harness.raise_flag("f1", "b1", "bad"))
        ids = {word: f"4bf92f3577b34da6a3ce929d0e0e47{number}" for number, word in enumerate(("grpc", "door", "error"), 10)}
        parents = {word: f"00-{trace}-00f067aa0ba902b7-01" for word, trace in ids.items()}

        request = harness.download(bucket="b9", requester="u2", request_id="over-grpc")
        response = server.enforcement().Check(request, metadata=[("traceparent", parents["grpc"])],
                                              timeout=harness.DEADLINE_SECONDS)
        self.assert_decision(response, "DENY", "ACCOUNT_FROZEN")
        self.assertEqual(response.trace_id, ids["grpc"])

        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=harness.DEADLINE_SECONDS)
        self.addCleanup(connection.close)
        connection.request("GET", "/forward/s3-path", headers={
            "X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/b1/bad", "X-Forwarded-Host": "s3.example.cn",
            "X-Request-Id": "over-a-door", "traceparent": parents["door"]})
        refusal = connection.getresponse()
        self.assertEqual(refusal.headers["x-amz-id-2"], ids["door"])
        self.assertIn(f"<HostId>{ids['door']}</HostId>", refusal.read().decode())

        with self.assertRaises(grpc.RpcError) as raised:
            server.enforcement().Check(harness.download(client_ip="nowhere"), metadata=[("traceparent", parents["error"])],
                                       timeout=harness.DEADLINE_SECONDS)
        self.assertTrue(raised.exception.details().endswith(f" (trace {ids['error']})"), raised.exception.details())

        for word, request_id in (("grpc", "over-grpc"), ("door", "over-a-door")):
            for place in ((), ("--folder", server.store / "decisions")):
                result = server.ctl("log", "query", "--trace", ids[word], "-o", "json", *map(str, place))
                self.assert_exit(result, harness.EXIT_OK)
                record = json.loads(result.stdout)
                self.assertEqual((record["request"]["request_id"], record["trace_parent"]), (request_id, parents[word]))
            self.assertIn(f"trace {ids[word]}", server.ctl("log", "query", "--trace", ids[word]).stdout)
        self.assertEqual(server.ctl("log", "query", "--trace", ids["error"]).stdout, "")  # nothing was decided

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

    def test_what_is_under_a_legal_hold_outlives_its_time(self):
        def restart(*flags):
            self.server.stop()
            self.server.start(*flags)

        def await_removal():
            restart("--decision-log-keep-for", "0s")
            removed = 'sluice_decision_log_removed_segments_total{why="age"}'
            harness.await_condition(lambda: self.server.metric(removed) > 0, "old segments are removed")

        self.deny("evidence")
        restart()
        self.server.check(harness.download(key="bad", request_id="other"))
        hold = policy_pb2.PlaceHold(hold_id="h1", subject=policy_pb2.Subject(account="u2"))
        self.server.apply(policy_pb2.PolicyEvent(role=check_pb2.ROLE_LEGAL, place_hold=hold))
        await_removal()
        self.assertEqual(self.server.metric("sluice_decision_log_held_segments"), 1)
        self.assertEqual(self.ids(), ["evidence"])
        release = policy_pb2.ReleaseHold(hold_id="h1")
        self.server.apply(policy_pb2.PolicyEvent(role=check_pb2.ROLE_LEGAL, release_hold=release))
        await_removal()
        self.assertEqual(self.ids(), [])
        # What went is on record, and the chain runs over it.
        out = self.ctl("log", "verify", self.decisions)
        self.assertIn("removed segment=1 records=1-1", out)
        self.assertIn("whole: nothing was altered or taken away", out)

    def test_evidence_outlives_a_start_without_a_policy(self):
        self.deny("evidence")
        hold = policy_pb2.PlaceHold(hold_id="h1", subject=policy_pb2.Subject(account="u2"))
        self.server.apply(policy_pb2.PolicyEvent(role=check_pb2.ROLE_LEGAL, place_hold=hold))
        self.server.stop()
        (self.server.store / "data.mdb").unlink()
        self.server.start("--decision-log-keep-for", "0s")
        self.server.await_record("decision log", text="nothing is removed from the decision log while there is no policy "
                                                      "to say what is held")
        self.assertEqual(self.ids(), ["evidence"])
        self.server.apply(policy_pb2.PolicyEvent(role=check_pb2.ROLE_LEGAL, place_hold=hold))
        self.server.stop()
        self.server.start("--decision-log-keep-for", "0s")
        removed = 'sluice_decision_log_removed_segments_total{why="age"}'
        harness.await_condition(lambda: self.server.metric(removed) > 0, "what is not held is removed")
        self.assertEqual(self.server.metric("sluice_decision_log_held_segments"), 1)
        self.assertEqual(self.ids(), ["evidence"])

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
