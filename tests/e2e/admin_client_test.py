"""What the control path answers to messages that are none: an error that says so, and nothing done by half."""

import threading

import grpc

import harness
from harness import admin_pb2

INVALID = grpc.StatusCode.INVALID_ARGUMENT


class AdminClientTest(harness.TestCase):

    # Of a PolicyEvent whose freeze names an account that is not UTF-8.
    BAD_EVENT = harness.tagged(15, harness.tagged(1, b"u\xff"))

    def setUp(self):
        super().setUp()
        self.server = self.node().start()

    def call(self, kind, method, *arguments):
        """Calls with bytes on both sides; returns the answers as bytes."""
        channel = self.server.channel(self.server.admin_address)
        answer = getattr(channel, kind)(f"/sluice.v1.{method}")(*arguments, timeout=harness.DEADLINE_SECONDS)
        return list(answer) if kind.endswith("stream") else [answer]

    def test_unreadable_messages_are_refused_in_clear_words(self):
        bad = harness.tagged(1, b"\xff")
        cases = [("unary_unary", "PolicyAdmin/Apply", harness.tagged(1, self.BAD_EVENT)),
                 ("unary_unary", "PolicyAdmin/Describe", harness.tagged(1, bad)),
                 ("unary_unary", "PolicyAdmin/Explain", harness.tagged(1, bad)),
                 ("unary_unary", "PolicyAdmin/List", bad),
                 ("unary_stream", "PolicyAdmin/Watch", b"\x08"),
                 ("unary_stream", "PolicyAdmin/Export", b"\x0a\x05"),
                 ("unary_stream", "DecisionLog/Query", harness.tagged(3, b"\xff")),
                 ("stream_stream", "PolicyAdmin/ApplyStream", iter([harness.tagged(1, self.BAD_EVENT)])),
                 ("stream_unary", "PolicyAdmin/Import", iter([harness.tagged(1, self.BAD_EVENT)]))]
        for kind, method, message in cases:
            with self.subTest(method):
                self.assert_rpc_error(INVALID, lambda: self.call(kind, method, message), "wanted a sluice.v1.", "UTF-8")
        self.assertEqual(self.server.export().revision, 0)
        self.server.apply(*harness.standard_policy())

    def test_a_stream_of_events_with_one_unreadable_is_not_ended_as_if_it_were_whole(self):
        good = admin_pb2.ApplyRequest(events=[harness.freeze("u1")]).SerializeToString()
        self.assert_rpc_error(INVALID, lambda: self.call("stream_stream", "PolicyAdmin/ApplyStream",
                                                         iter([good, harness.tagged(1, self.BAD_EVENT), good])))
        # What was read before it was answered, and holds.
        self.assertEqual(self.server.export().revision, 1)

    def test_an_import_with_an_unreadable_chunk_loads_nothing(self):
        self.server.apply(*harness.standard_policy())
        whole = self.server.export()
        half = admin_pb2.ExportChunk(events=whole.events[:3], revision=whole.revision,
                                             policy_time=whole.policy_time)
        other = self.node(name="other").start()
        self.server = other
        chunks = {"not UTF-8": harness.tagged(1, self.BAD_EVENT), "cut": whole.SerializeToString()[:-1],
                  "over the bound": harness.tagged(1, b"") + bytes(33 << 20)}
        for name, chunk in chunks.items():
            with self.subTest(name), self.assertRaises(grpc.RpcError):
                self.call("stream_unary", "PolicyAdmin/Import", iter([half.SerializeToString(), chunk]))
            self.assertEqual(other.export().revision, 0, name)
        mixed = admin_pb2.ExportChunk(events=whole.events[3:], revision=whole.revision + 1)
        self.assert_rpc_error(
            INVALID, lambda: other.admin().Import(iter([half, mixed]), timeout=harness.DEADLINE_SECONDS), "revision")
        self.assertEqual(other.export().revision, 0)
        other.admin().Import(iter([whole]), timeout=harness.DEADLINE_SECONDS)
        self.assertEqual(other.export(), whole)

    def test_an_import_that_its_caller_breaks_off_loads_nothing(self):
        self.server.apply(*harness.standard_policy())
        whole = self.server.export()
        half = admin_pb2.ExportChunk(events=whole.events[:3], revision=whole.revision,
                                             policy_time=whole.policy_time)
        other = self.node(name="other").start()
        for _ in range(20):
            sent = threading.Event()
            hold = threading.Event()

            def chunks(sent=sent, hold=hold):
                yield half
                sent.set()
                hold.wait(harness.DEADLINE_SECONDS)
            call = other.admin().Import.future(chunks(), timeout=harness.DEADLINE_SECONDS)
            self.assertTrue(sent.wait(harness.DEADLINE_SECONDS))
            call.cancel()
            hold.set()
        other.terminate()
        self.assertEqual(other.wait(), 0)
        other.start()
        self.assertEqual(other.export().revision, 0)


if __name__ == "__main__":
    harness.main()
