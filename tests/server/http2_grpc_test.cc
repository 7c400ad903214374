// gRPC on an Http2Session: statuses, deadlines, streams, watches, draining, and callers that mean no good.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "echo_methods.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "http2_peer.h"
#include "server/listen/grpc_status.h"

namespace sluice::http2 {
namespace {

using ::testing::HasSubstr;

class Http2GrpcTest : public testing::Test {
 protected:
  Http2GrpcTest() { peer_.Greet(); }
  ~Http2GrpcTest() override { EXPECT_TRUE(peer_.whole()); }

  static std::string Headers(uint32_t stream, const std::string& path, Fields more = {}) {
    return FrameBytes(FrameType::kHeaders, kEndHeaders, stream, Block(GrpcFields(path, std::move(more))));
  }
  static std::string Data(uint32_t stream, absl::string_view bytes, bool end = false) {
    return FrameBytes(FrameType::kData, end ? kEndStream : 0, stream, bytes);
  }
  // The frame that ends `stream`, of which grpc-status is this.
  static Frame ExpectStatus(const std::vector<Frame>& frames, uint32_t stream, absl::StatusCode code) {
    for (const Frame& frame : frames) {
      if (frame.header.stream != stream || !frame.ends_stream() || frame.type() != FrameType::kHeaders) continue;
      EXPECT_EQ(frame.field("grpc-status"), absl::StrCat(static_cast<int>(code))) << frame.field("grpc-message");
      return frame;
    }
    ADD_FAILURE() << "stream " << stream << " did not end";
    return {};
  }

  EchoRoutes routes_;
  Http2Peer peer_{&routes_.router};
};

TEST_F(Http2GrpcTest, AnswersACallWithHeadersDataAndTrailers) {
  for (uint32_t stream = 1; stream < 9; stream += 2) {  // the table of the connection is used from the second on
    const std::vector<Frame> frames = peer_.Send(peer_.Call(stream, "/t.T/Unary", "hello"));
    ASSERT_EQ(frames.size(), 3u);
    EXPECT_EQ(frames[0].field(":status"), "200");
    EXPECT_EQ(frames[0].field("content-type"), "application/grpc");
    EXPECT_EQ(frames[1].payload, Message("hello"));
    EXPECT_EQ(frames[2].field("grpc-status"), "0");
    EXPECT_TRUE(frames[2].ends_stream());
    if (stream > 1) {
      EXPECT_EQ(frames[0].payload.size() + frames[2].payload.size(), 3u);
    }
  }
}

TEST_F(Http2GrpcTest, ReadsARepeatedBlockOfReferencesOnce) {
  // The second time all fields are in the peer's table; :path is index 62 of it.
  std::string block;
  for (const auto& [name, value] : GrpcFields("/t.T/Unary")) {
    block += absl::StrCat("\x40", std::string(1, static_cast<char>(name.size())), name,
                          std::string(1, static_cast<char>(value.size())), value);
  }
  const std::string repeated = "\xc3\xc2\xc1\xc0\xbf\xbe";
  uint32_t stream = 1;
  for (const std::string& each : {block, repeated, repeated, repeated}) {
    const std::vector<Frame> frames =
        peer_.Send(FrameBytes(FrameType::kHeaders, kEndHeaders, stream, each) + Data(stream, Message("x"), true));
    EXPECT_EQ(First(frames, FrameType::kData, stream).payload, Message("x"));
    stream += 2;
    if (stream == 7) peer_.session().Rest();  // what is repeated then is read once more
  }
  // Another field in the table moves the rest: the same bytes mean something else now.
  const std::string moved = "\x40\x05:path\x0b/t.T/Absent";
  peer_.Send(FrameBytes(FrameType::kHeaders, kEndHeaders, stream, moved + repeated) + Data(stream, Message("x"), true));
  const std::vector<Frame> frames = peer_.Send(FrameBytes(FrameType::kHeaders, kEndHeaders, stream + 2, repeated));
  EXPECT_EQ(First(frames, FrameType::kRstStream).code(), ErrorCode::kProtocolError);
}

TEST_F(Http2GrpcTest, AnswersAnErrorWithTrailersOnly) {
  const std::vector<Frame> frames = peer_.Send(peer_.Call(1, "/t.T/Unary", "fail:50% of\nwhat"));
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].field(":status"), "200");
  const Frame end = ExpectStatus(frames, 1, absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(end.field("grpc-message"), "50%25 of%0Awhat");
}

TEST_F(Http2GrpcTest, AnswersAnErrorWithTrailersOnlyAlsoOnceItsHeadersAreKnown) {
  ExpectStatus(peer_.Send(peer_.Call(1, "/t.T/Unary", "a")), 1, absl::StatusCode::kOk);
  const std::vector<Frame> frames =
      peer_.Send(peer_.Call(3, "/t.T/Unary", "fail:x") + peer_.Call(5, "/t.T/Unary", "b"));
  ASSERT_EQ(frames.size(), 4u);
  EXPECT_EQ(frames[0].field(":status"), "200");
  EXPECT_EQ(ExpectStatus(frames, 3, absl::StatusCode::kInvalidArgument).field("grpc-message"), "x");
  EXPECT_EQ(First(frames, FrameType::kData, 5).payload, Message("b"));
  ExpectStatus(frames, 5, absl::StatusCode::kOk);
}

TEST_F(Http2GrpcTest, HoldsAnAnswerOverTheWindowAlsoOnceItsHeadersAreKnown) {
  ExpectStatus(peer_.Send(peer_.Call(1, "/t.T/Unary", "a")), 1, absl::StatusCode::kOk);
  peer_.Send(FrameBytes(FrameType::kSettings, 0, 0, Setting(4, 10)));  // SETTINGS_INITIAL_WINDOW_SIZE
  std::vector<Frame> frames = peer_.Send(peer_.Call(3, "/t.T/Unary", "longer than ten"));
  EXPECT_EQ(First(frames, FrameType::kHeaders, 3).field("content-type"), "application/grpc");
  std::string data = First(frames, FrameType::kData, 3).payload;
  EXPECT_EQ(data.size(), 10u);
  frames = peer_.Send(FrameBytes(FrameType::kWindowUpdate, 0, 3, Number(100)));
  data += First(frames, FrameType::kData, 3).payload;
  EXPECT_EQ(data, Message("longer than ten"));
  ExpectStatus(frames, 3, absl::StatusCode::kOk);
}

TEST_F(Http2GrpcTest, KeepsStreamsApartHoweverFarTheyAre) {
  std::string bytes;
  std::vector<uint32_t> streams;
  for (uint32_t i = 0; i < 8; ++i) streams.push_back(1 + 256 * i);  // one place of the table of streams
  for (const uint32_t stream : streams) bytes += Headers(stream, "/t.T/Unary");
  EXPECT_TRUE(peer_.Send(bytes).empty());
  for (const uint32_t stream : {streams[3], streams[0], streams[7], streams[1]}) {
    const std::string message = Message(absl::StrCat("of ", stream));
    EXPECT_EQ(First(peer_.Send(Data(stream, message, true)), FrameType::kData, stream).payload, message);
  }
  peer_.Send(Headers(1 + 256 * 8, "/t.T/Unary"));  // in the place of the first
  for (const uint32_t stream : {streams[2], 1 + 256 * 8u, streams[6]}) {
    const std::string message = Message(absl::StrCat("of ", stream));
    EXPECT_EQ(First(peer_.Send(Data(stream, message, true)), FrameType::kData, stream).payload, message);
  }
  EXPECT_EQ(First(peer_.Send(Data(streams[2], Message("again"), true)), FrameType::kRstStream).code(),
            ErrorCode::kStreamClosed);
}

TEST_F(Http2GrpcTest, CountsWhatGoesWrong) {
  WireCounts counts;
  peer_.session().CountIn(&counts);
  const auto errors = [&](WireError error) { return counts.errors(WireProtocol::kHttp2, error); };
  peer_.Send(Headers(1, "/t.T/Stream"));
  EXPECT_EQ(counts.streams_opened() - counts.streams_closed(), 1);
  peer_.Send(FrameBytes(FrameType::kRstStream, 0, 1, Number(8)));
  EXPECT_EQ(counts.streams_opened() - counts.streams_closed(), 0);
  EXPECT_EQ(errors(WireError::kReset), 1);
  peer_.Send(Headers(3, "/t.T/Unary") + Data(3, std::string(1, '\0') + Number(17 << 20)));
  EXPECT_EQ(errors(WireError::kTooLarge), 1);
  peer_.Send(Headers(5, "/t.T/Unary", {{"Upper", "x"}}));
  EXPECT_EQ(errors(WireError::kHeaders), 1);
  peer_.Send(Headers(7, "/t.T/Unary"));
  peer_.Advance(absl::Minutes(1));
  EXPECT_EQ(errors(WireError::kSlow), 1);
  EXPECT_EQ(errors(WireError::kFrame), 0);
  peer_.Send(Data(0, "x"));
  EXPECT_EQ(errors(WireError::kFrame), 1);
}

TEST_F(Http2GrpcTest, RefusesWhatItDoesNotServeBeforeTheMessageComes) {
  std::vector<Frame> frames = peer_.Send(Headers(1, "/t.T/None"));
  ExpectStatus(frames, 1, absl::StatusCode::kUnimplemented);
  EXPECT_EQ(First(frames, FrameType::kRstStream).code(), ErrorCode::kNoError);
  frames = peer_.Send(Headers(3, "/t.T/Unary", {{"grpc-encoding", "gzip"}}));
  EXPECT_EQ(ExpectStatus(frames, 3, absl::StatusCode::kUnimplemented).field("grpc-accept-encoding"), "identity");
  frames = peer_.Send(Headers(5, "/t.T/Unary", {{"grpc-timeout", "soon"}}));
  ExpectStatus(frames, 5, absl::StatusCode::kInternal);
  // What is still on its way to them is no fault.
  EXPECT_TRUE(peer_.Send(Data(1, Message("x")) + Data(3, Message("x"), true)).empty());
  EXPECT_EQ(routes_.method.calls, 0);
}

TEST_F(Http2GrpcTest, TakesIdentityAndSubtypesOfGrpc) {
  const std::vector<Frame> frames =
      peer_.Send(Headers(1, "/t.T/Unary", {{"grpc-encoding", "identity"}}) + Data(1, Message("x"), true));
  ExpectStatus(frames, 1, absl::StatusCode::kOk);
  Fields fields = GrpcFields("/t.T/Unary");
  fields.back().second = "application/grpc+proto";
  ExpectStatus(peer_.Send(FrameBytes(FrameType::kHeaders, kEndHeaders, 3, Block(fields)) + Data(3, Message(""), true)),
               3, absl::StatusCode::kOk);
}

TEST_F(Http2GrpcTest, WantsExactlyOneMessageOfAUnaryCall) {
  ExpectStatus(peer_.Send(Headers(1, "/t.T/Unary") + Data(1, "", true)), 1, absl::StatusCode::kInternal);
  ExpectStatus(peer_.Send(Headers(3, "/t.T/Unary") + Data(3, Message("a") + Message("b"), true)), 3,
               absl::StatusCode::kInternal);
  ExpectStatus(peer_.Send(Headers(5, "/t.T/Unary") + Data(5, Message("abc").substr(0, 6), true)), 5,
               absl::StatusCode::kInternal);
  std::string compressed = Message("a");
  compressed[0] = 1;
  ExpectStatus(peer_.Send(Headers(7, "/t.T/Unary") + Data(7, compressed, true)), 7, absl::StatusCode::kInternal);
  EXPECT_EQ(routes_.method.calls, 0);
}

TEST_F(Http2GrpcTest, ReadsAMessageInPieces) {
  const std::string message = Message("in pieces");
  std::string bytes = Headers(1, "/t.T/Unary");
  for (const char c : message) bytes += Data(1, absl::string_view(&c, 1));
  const std::vector<Frame> frames = peer_.Send(bytes + Data(1, "", true));
  EXPECT_EQ(First(frames, FrameType::kData).payload, message);
}

TEST_F(Http2GrpcTest, RefusesAMessageOverItsBoundByItsPrefix) {
  const std::vector<Frame> frames =
      peer_.Send(Headers(1, "/t.T/Unary") + Data(1, std::string(1, '\0') + Number(17 << 20)));
  EXPECT_THAT(ExpectStatus(frames, 1, absl::StatusCode::kResourceExhausted).field("grpc-message"),
              HasSubstr("at most 16777216 bytes, got 17825792"));
}

TEST_F(Http2GrpcTest, RefusesHeadersOverTheirBound) {
  Fields many;
  for (int i = 0; i < 150; ++i) many.emplace_back("x-" + std::to_string(i), "v");
  ExpectStatus(peer_.Send(Headers(1, "/t.T/Unary", many)), 1, absl::StatusCode::kResourceExhausted);
  // One of 17,000 bytes goes into two frames.
  const std::string block = Block(GrpcFields("/t.T/Unary", {{"x", std::string(17000, 'v')}}));
  ExpectStatus(peer_.Send(FrameBytes(FrameType::kHeaders, 0, 3, block.substr(0, 16000)) +
                          FrameBytes(FrameType::kContinuation, kEndHeaders, 3, block.substr(16000))),
               3, absl::StatusCode::kResourceExhausted);
}

TEST_F(Http2GrpcTest, AnErrorNamesTheTraceOfItsCaller) {
  const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  uint32_t next = 1;
  const auto message = [&](const std::string& path, const std::string& text, const std::string& trace_parent) {
    const uint32_t stream = std::exchange(next, next + 2);
    return First(peer_.Send(peer_.Call(stream, path, text, {{"traceparent", trace_parent}})), FrameType::kHeaders,
                 stream)
        .field("grpc-message");
  };
  EXPECT_EQ(message("/t.T/Unary", "fail:no", trace), "no (trace 4bf92f3577b34da6a3ce929d0e0e4736)");
  EXPECT_EQ(message("/t.T/Nothing", "", trace),
            "no method /t.T/Nothing is served here (trace 4bf92f3577b34da6a3ce929d0e0e4736)");
  EXPECT_EQ(message("/t.T/Unary", "fail:no", "x" + trace.substr(1)), "no");
  // A long message gives way.
  const std::string cut = message("/t.T/Unary", "fail:" + std::string(2000, 'x'), trace);
  EXPECT_EQ(cut.size(), 1000u);
  EXPECT_EQ(cut.substr(951), "xxxxxxxx (trace 4bf92f3577b34da6a3ce929d0e0e4736)");
}

TEST_F(Http2GrpcTest, HandsOnTheTraceParent) {
  const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  EXPECT_EQ(First(peer_.Send(peer_.Call(1, "/t.T/Unary", "trace", {{"traceparent", trace}})), FrameType::kData).payload,
            Message(trace));
  EXPECT_EQ(First(peer_.Send(peer_.Call(3, "/t.T/Unary", "trace")), FrameType::kData).payload, Message(""));
}

TEST_F(Http2GrpcTest, KeepsDeadlines) {
  // Passed when the message comes.
  peer_.Send(Headers(1, "/t.T/Unary", {{"grpc-timeout", "50m"}}));
  EXPECT_TRUE(peer_.session().has_deadlines());
  ExpectStatus(peer_.Advance(absl::Milliseconds(60)), 1, absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(peer_.session().has_deadlines());
  // In time.
  peer_.Send(Headers(3, "/t.T/Unary", {{"grpc-timeout", "1S"}}));
  EXPECT_TRUE(peer_.Advance(absl::Milliseconds(900)).empty());
  ExpectStatus(peer_.Send(Data(3, Message("x"), true)), 3, absl::StatusCode::kOk);
  // Of none at all.
  ExpectStatus(peer_.Send(peer_.Call(5, "/t.T/Unary", "x", {{"grpc-timeout", "0n"}})), 5,
               absl::StatusCode::kDeadlineExceeded);
  // A stream ends with its own.
  peer_.Send(Headers(7, "/t.T/Stream", {{"grpc-timeout", "2S"}}) + Data(7, Message("x")));
  ExpectStatus(peer_.Advance(absl::Seconds(3)), 7, absl::StatusCode::kDeadlineExceeded);
}

TEST_F(Http2GrpcTest, AnswersAStreamMessageByMessage) {
  std::vector<Frame> frames =
      peer_.Send(Headers(1, "/t.T/Stream") + Data(1, Message("a") + Message("b") + std::string(3, '\0')));
  EXPECT_EQ(First(frames, FrameType::kData).payload, Message("a") + Message("b"));
  frames = peer_.Send(Data(1, Message("c").substr(3)));  // behind the three bytes of its prefix that came before
  EXPECT_EQ(First(frames, FrameType::kData).payload, Message("c"));
  frames = peer_.Send(Headers(3, "/t.T/Stream") + Data(3, Message("a")) + Data(3, Message("fail:x") + Message("b")));
  EXPECT_EQ(First(frames, FrameType::kData, 3).payload, Message("a"));
  ExpectStatus(frames, 3, absl::StatusCode::kInvalidArgument);
  frames = peer_.Send(Headers(5, "/t.T/Stream") + Data(5, Message("a"), true));
  EXPECT_EQ(First(frames, FrameType::kData, 5).payload, Message("a"));
  ExpectStatus(frames, 5, absl::StatusCode::kOk);
  ExpectStatus(peer_.Send(Headers(7, "/t.T/Stream") + Data(7, "\1\2", true)), 7, absl::StatusCode::kInternal);
}

TEST_F(Http2GrpcTest, AnswersMessagesOfAStreamThatComeTogetherTogetherUntilOneFails) {
  std::string questions, answers;
  for (int i = 0; i < 20; ++i) {
    questions += Message(absl::StrCat(i));
    answers += Message(absl::StrCat(i));
  }
  std::vector<Frame> frames = peer_.Send(Headers(1, "/t.T/Stream") + Data(1, questions));
  EXPECT_EQ(First(frames, FrameType::kData).payload, answers);
  EXPECT_EQ(routes_.method.most_together, 16u);
  EXPECT_EQ(routes_.method.calls, 20);
  frames = peer_.Send(Data(1, Message("a") + Message("fail:x") + Message("b") + Message("c")));
  EXPECT_EQ(First(frames, FrameType::kData).payload, Message("a"));
  ExpectStatus(frames, 1, absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(routes_.method.calls, 22) << "nothing is done of what nobody gets an answer to";
  // What is no message ends the stream behind the answers to those before it.
  frames = peer_.Send(Headers(3, "/t.T/Stream") + Data(3, Message("a") + std::string("\1\0\0\0\1x", 6)));
  EXPECT_EQ(First(frames, FrameType::kData, 3).payload, Message("a"));
  ExpectStatus(frames, 3, absl::StatusCode::kInternal);
}

TEST_F(Http2GrpcTest, ReadsNoFurtherWhileAnswersAreNotTaken) {
  peer_.Send(Headers(1, "/t.T/Stream"));
  std::string questions;
  for (int i = 0; i < 200; ++i) questions += Message("size:10000");
  peer_.Send(Data(1, questions));
  const int calls = routes_.method.calls;
  EXPECT_LT(calls, 30);  // 65,535 bytes of window, and 65,536 kept
  peer_.Send(FrameBytes(FrameType::kWindowUpdate, 0, 0, Number(10'000'000)));
  std::vector<Frame> frames =
      peer_.Send(FrameBytes(FrameType::kWindowUpdate, 0, 1, Number(10'000'000)) + Data(1, "", true));
  EXPECT_EQ(routes_.method.calls, 200);
  ExpectStatus(frames, 1, absl::StatusCode::kOk);
}

TEST_F(Http2GrpcTest, EndsAStreamThatGoesOnWhenNoMoreOfThoseThatAreOverAreKept) {
  std::string open, end, questions;
  for (uint32_t stream = 3; stream < 83; stream += 2) {
    open += Headers(stream, "/t.T/Unary");
    end += Data(stream, Message("x"), true);
  }
  for (int i = 0; i < 200; ++i) questions += Message("size:10000");
  peer_.Send(Headers(1, "/t.T/Stream") + Data(1, questions, true) + open);
  peer_.Send(end);
  peer_.Send(FrameBytes(FrameType::kWindowUpdate, 0, 0, Number(10'000'000)));
  const std::vector<Frame> frames = peer_.Send(FrameBytes(FrameType::kWindowUpdate, 0, 1, Number(10'000'000)));
  ExpectStatus(frames, 1, absl::StatusCode::kOk);
  EXPECT_EQ(routes_.method.calls, 240);
}

TEST_F(Http2GrpcTest, TellsWatchersOnlyWhatHasChanged) {
  std::vector<Frame> frames = peer_.Send(Headers(1, "/t.T/Watch") + Data(1, Message("same"), true));
  EXPECT_EQ(First(frames, FrameType::kData).payload, Message("same"));
  EXPECT_FALSE(First(frames, FrameType::kData).ends_stream());
  peer_.session().OnWatchedChanged();
  EXPECT_TRUE(peer_.Take().empty());
  EXPECT_EQ(routes_.method.calls, 2);
}

TEST_F(Http2GrpcTest, RefusesAWatchThatWouldKeepALargeMessage) {
  EXPECT_TRUE(
      Has(peer_.Send(Headers(1, "/t.T/Watch") + Data(1, Message(std::string(1024, 'n')))), FrameType::kData, 1));
  const std::vector<Frame> frames = peer_.Send(Headers(3, "/t.T/Watch") + Data(3, Message(std::string(1025, 'n'))));
  EXPECT_EQ(ExpectStatus(frames, 3, absl::StatusCode::kResourceExhausted).field("grpc-message"),
            "message: at most 1024 bytes of a watch, got 1025");
  EXPECT_EQ(routes_.method.calls, 1);
}

TEST_F(Http2GrpcTest, DrainsInTwoSteps) {
  peer_.Send(Headers(1, "/t.T/Unary"));
  peer_.session().Drain(peer_.now());
  std::vector<Frame> frames = peer_.Take();
  EXPECT_EQ(ReadUint32(First(frames, FrameType::kGoAway).payload.data()), kStreamIdMax);
  const Frame ping = First(frames, FrameType::kPing);
  // On its way before the peer knew: still answered.
  EXPECT_TRUE(Has(peer_.Send(peer_.Call(3, "/t.T/Unary", "x")), FrameType::kData, 3));
  frames = peer_.Send(FrameBytes(FrameType::kPing, kAck, 0, ping.payload));
  EXPECT_EQ(ReadUint32(First(frames, FrameType::kGoAway).payload.data()), 3u);
  EXPECT_FALSE(peer_.session().finished());
  EXPECT_TRUE(peer_.Send(peer_.Call(5, "/t.T/Unary", "x")).empty());
  EXPECT_TRUE(Has(peer_.Send(Data(1, Message("x"), true)), FrameType::kData, 1));
  EXPECT_TRUE(peer_.session().finished());
}

TEST_F(Http2GrpcTest, DrainsAPeerThatDoesNotAnswerPing) {
  peer_.session().Drain(peer_.now());
  peer_.Advance(absl::Seconds(2));
  EXPECT_TRUE(peer_.session().finished());
}

TEST_F(Http2GrpcTest, EndsAConnectionOnWhichNobodyIs) {
  EXPECT_TRUE(Has(peer_.Advance(absl::Seconds(61)), FrameType::kPing));
  peer_.Send(FrameBytes(FrameType::kPing, kAck, 0, std::string("alive?\0\0", 8)));
  EXPECT_TRUE(Has(peer_.Advance(absl::Seconds(61)), FrameType::kPing));
  EXPECT_TRUE(Has(peer_.Advance(absl::Seconds(21)), FrameType::kGoAway));
  EXPECT_TRUE(peer_.session().finished());
}

TEST_F(Http2GrpcTest, EndsAnIdleConnection) {
  for (int i = 0; i < 11; ++i) {
    EXPECT_FALSE(peer_.session().finished());
    peer_.Advance(absl::Minutes(1));
    peer_.Send(FrameBytes(FrameType::kPing, kAck, 0, std::string("alive?\0\0", 8)));
  }
  EXPECT_TRUE(peer_.session().finished());
}

TEST_F(Http2GrpcTest, CutsHalfARequestAndHalfAFrame) {
  peer_.Send(Headers(1, "/t.T/Unary") + Data(1, std::string(1, '\0')));
  EXPECT_EQ(First(peer_.Advance(absl::Seconds(31)), FrameType::kRstStream).code(), ErrorCode::kCancel);
  peer_.Send(Data(3, Message("x")).substr(0, 10));
  peer_.Advance(absl::Seconds(31));
  EXPECT_TRUE(peer_.session().finished());
}

TEST_F(Http2GrpcTest, CutsHalfAMessageOfAStreamHoweverItTrickles) {
  peer_.Send(Headers(1, "/t.T/Stream") + Data(1, Message("whole") + Message("half").substr(0, 2)));
  peer_.Send(Headers(3, "/t.T/Stream") + Data(3, Message("whole")));
  EXPECT_FALSE(Has(peer_.Advance(absl::Seconds(29)), FrameType::kRstStream));
  peer_.Send(Data(1, std::string(1, '\0')));
  const std::vector<Frame> frames = peer_.Advance(absl::Seconds(2));
  EXPECT_EQ(First(frames, FrameType::kRstStream, 1).code(), ErrorCode::kCancel);
  EXPECT_FALSE(Has(frames, FrameType::kRstStream, 3)) << "it owes nothing";
  EXPECT_EQ(First(peer_.Send(Data(3, Message("more"))), FrameType::kData, 3).payload, Message("more"));
}

TEST_F(Http2GrpcTest, CutsAWatchThatDoesNotSayWhatFor) {
  peer_.Send(Headers(1, "/t.T/Watch") + Headers(3, "/t.T/Watch") + Data(3, Message("this"), true));
  const std::vector<Frame> frames = peer_.Advance(absl::Seconds(31));
  EXPECT_EQ(First(frames, FrameType::kRstStream, 1).code(), ErrorCode::kCancel);
  EXPECT_FALSE(Has(frames, FrameType::kRstStream, 3));
}

TEST(Http2SlowTest, CutsAStreamOfWhichNoAnswerIsTaken) {
  EchoRoutes routes;
  Http2Peer peer(&routes.router);
  peer.Greet(Setting(4, 3));  // a window of three bytes
  const std::string stream = Block(GrpcFields("/t.T/Stream"));
  for (const uint32_t id : {1, 3}) {
    peer.Send(FrameBytes(FrameType::kHeaders, kEndHeaders, id, stream) +
              FrameBytes(FrameType::kData, 0, id, Message("size:70000")));
    // The next message cannot come to its end while the answers before it wait.
    peer.Send(FrameBytes(FrameType::kData, 0, id, Message("next").substr(0, 6)));
  }
  EXPECT_FALSE(Has(peer.Advance(absl::Seconds(20)), FrameType::kRstStream));
  peer.Send(FrameBytes(FrameType::kWindowUpdate, 0, 3, Number(5)));
  std::vector<Frame> frames = peer.Advance(absl::Seconds(11));
  EXPECT_EQ(First(frames, FrameType::kRstStream, 1).code(), ErrorCode::kCancel);
  EXPECT_FALSE(Has(frames, FrameType::kRstStream, 3)) << "it took some";
  EXPECT_FALSE(Has(peer.Advance(absl::Seconds(15)), FrameType::kRstStream));
  peer.Send(FrameBytes(FrameType::kWindowUpdate, 0, 0, Number(100'000)));
  peer.Send(FrameBytes(FrameType::kWindowUpdate, 0, 3, Number(100'000)));
  EXPECT_FALSE(Has(peer.Advance(absl::Seconds(20)), FrameType::kRstStream)) << "its time begins when it can send again";
  frames = peer.Send(FrameBytes(FrameType::kData, 0, 3, Message("next").substr(6)));
  EXPECT_EQ(First(frames, FrameType::kData, 3).payload, Message("next"));
}

TEST(Http2SlowTest, ServesAStreamThatIsAlwaysALittleBehind) {
  EchoRoutes routes;
  SessionLimits limits;
  limits.buffered_bytes_max = 100'000;
  Http2Peer peer(&routes.router, limits);
  peer.Greet(Setting(4, 0));
  peer.Send(FrameBytes(FrameType::kHeaders, kEndHeaders, 1, Block(GrpcFields("/t.T/Stream"))) +
            FrameBytes(FrameType::kWindowUpdate, 0, 0, Number(1 << 30)));
  size_t received = 0;
  for (int i = 0; i < 1000; ++i) {
    const uint32_t room = i == 0 ? 1000 : 1005;  // five bytes wait from the first answer on
    for (const Frame& frame : peer.Send(FrameBytes(FrameType::kData, 0, 1, Message("size:1000")) +
                                        FrameBytes(FrameType::kWindowUpdate, 0, 1, Number(room)))) {
      ASSERT_NE(frame.type(), FrameType::kRstStream) << i;
      if (frame.type() == FrameType::kData) received += frame.payload.size();
    }
  }
  EXPECT_EQ(received, 1000u * 1005 - 5);
}

TEST_F(Http2GrpcTest, EndsAFloodOfSettingsByHowManyTheyAre) {
  // What one of them costs grows with the streams that are open.
  std::string many;
  for (int i = 0; i < 2700; ++i) many += Setting(4, 65'535);
  int frames = 0;
  while (!peer_.session().finished() && frames < 1000) {
    peer_.Send(FrameBytes(FrameType::kSettings, 0, 0, many));
    ++frames;
  }
  EXPECT_LE(frames, 4);
}

TEST_F(Http2GrpcTest, EndsAFloodOfTinyStepsOfTheWindow) {
  for (uint32_t stream = 1; stream < 21; stream += 2) peer_.Send(peer_.Call(stream, "/t.T/Unary", "size:60000"));
  // Nine wait. Steps that let something through are no flood.
  for (int i = 0; i < 100; ++i) {
    peer_.Send(FrameBytes(FrameType::kWindowUpdate, 0, 0, Number(2048)));
    EXPECT_FALSE(peer_.session().finished());
  }
  std::vector<Frame> frames;
  int steps = 0;
  for (; steps < 20'000 && !peer_.session().finished(); ++steps) {
    frames = peer_.Send(FrameBytes(FrameType::kWindowUpdate, 0, 0, Number(1)));
  }
  EXPECT_EQ(First(frames, FrameType::kGoAway).code(), ErrorCode::kEnhanceYourCalm);
  EXPECT_LT(steps, 2000);
}

TEST_F(Http2GrpcTest, EndsFloodsThatAskForNothing) {
  const std::pair<const char*, std::string> floods[] = {
      {"PING", FrameBytes(FrameType::kPing, 0, 0, "12345678")},
      {"SETTINGS", FrameBytes(FrameType::kSettings, 0, 0, "")},
      {"PRIORITY", FrameBytes(FrameType::kPriority, 0, 1, std::string("\0\0\0\x03\x10", 5))},
      {"unknown", FrameBytes(static_cast<FrameType>(99), 0, 0, "")},
  };
  for (const auto& [name, frame] : floods) {
    Http2Peer peer(&routes_.router);
    peer.Greet();
    std::vector<Frame> frames;
    for (int i = 0; i < 20'000 && !peer.session().finished(); ++i) frames = peer.Send(frame);
    EXPECT_EQ(First(frames, FrameType::kGoAway).code(), ErrorCode::kEnhanceYourCalm) << name;
  }
}

TEST_F(Http2GrpcTest, EndsRapidResets) {
  std::vector<Frame> frames;
  for (uint32_t stream = 1; stream < 20'000 && !peer_.session().finished(); stream += 2) {
    frames = peer_.Send(Headers(stream, "/t.T/Unary") + FrameBytes(FrameType::kRstStream, 0, stream, Number(8)));
  }
  EXPECT_EQ(First(frames, FrameType::kGoAway).code(), ErrorCode::kEnhanceYourCalm);
}

TEST_F(Http2GrpcTest, LetsAPeerPingThatAlsoAsks) {
  for (uint32_t stream = 1; stream < 10'001; stream += 2) {
    peer_.Send(peer_.Call(stream, "/t.T/Unary", "x") + FrameBytes(FrameType::kPing, 0, 0, "12345678"));
  }
  EXPECT_FALSE(peer_.session().finished());
}

TEST(Http2BufferTest, BoundsWhatAConnectionHolds) {
  EchoRoutes routes;
  SessionLimits limits;
  limits.buffered_bytes_max = 100'000;
  Http2Peer peer(&routes.router, limits);
  peer.Greet(Setting(4, 0));  // takes no answer
  std::vector<Frame> frames;
  for (uint32_t stream = 1; stream < 41; stream += 2) frames = peer.Send(peer.Call(stream, "/t.T/Unary", "size:10000"));
  EXPECT_EQ(First(frames, FrameType::kRstStream).code(), ErrorCode::kEnhanceYourCalm);
}

// Questions of streams whose answers wait for windows, until one step lets all of them go.
class Http2TurnsTest : public testing::Test {
 protected:
  // A peer that has no window yet, and takes frames of any size.
  Http2Peer& Begin(SessionLimits limits = {}) {
    peer_ = std::make_unique<Http2Peer>(&routes_.router, limits);
    peer_->Greet(Setting(4, 0) + Setting(5, 0xffffff));
    peer_->Send(FrameBytes(FrameType::kWindowUpdate, 0, 0, Number(1 << 30)));
    return *peer_;
  }
  ~Http2TurnsTest() override { EXPECT_TRUE(peer_->whole()); }
  // `questions` in frames that may be sent, the last of which ends the stream.
  static std::string Stream(uint32_t id, const std::string& questions, bool end = true) {
    std::string bytes = FrameBytes(FrameType::kHeaders, kEndHeaders, id, Block(GrpcFields("/t.T/Stream")));
    for (size_t at = 0; at < questions.size(); at += 16'000) {
      const bool last = at + 16'000 >= questions.size();
      bytes += FrameBytes(FrameType::kData, last && end ? kEndStream : 0, id, questions.substr(at, 16'000));
    }
    return bytes;
  }
  static std::string Repeated(const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  }
  static std::string OpenWindows() { return FrameBytes(FrameType::kSettings, 0, 0, Setting(4, 0x7fffffff)); }
  static size_t DataBytes(const std::vector<Frame>& frames, uint32_t stream) {
    size_t bytes = 0;
    for (const Frame& frame : frames) {
      if (frame.type() == FrameType::kData && frame.header.stream == stream) bytes += frame.payload.size();
    }
    return bytes;
  }

  EchoRoutes routes_;
  std::unique_ptr<Http2Peer> peer_;
};

TEST_F(Http2TurnsTest, AStepOfAWindowMakesNoConnectionHoldMoreThanItMay) {
  SessionLimits limits;
  limits.buffered_bytes_max = 1'000'000;
  Http2Peer& peer = Begin(limits);
  peer.Send(Stream(1, Repeated(Message("size:10000"), 3000)));
  const std::vector<Frame> frames = peer.Send(FrameBytes(FrameType::kWindowUpdate, 0, 1, Number(1 << 30)));
  EXPECT_LT(peer.most_said(), 1'000'000u);
  EXPECT_EQ(DataBytes(frames, 1), 3000u * 10'005);
  EXPECT_EQ(First(frames, FrameType::kRstStream).header.type, 0xff);
  EXPECT_EQ(frames.back().field("grpc-status"), "0");
  EXPECT_EQ(routes_.method.calls, 3000);
}

TEST_F(Http2TurnsTest, AStepOfAWindowAnswersNothingBeforeWhatWasSaidIsTaken) {
  Http2Peer& peer = Begin();
  std::string all;
  for (uint32_t id = 1; id < 9; id += 2) all += Stream(id, Repeated(Message("size:10000"), 3000));
  peer.Send(all);
  const int before = routes_.method.calls;
  peer.SendOnly(OpenWindows());
  EXPECT_EQ(routes_.method.calls, before);
  EXPECT_TRUE(peer.session().has_more());
  peer.GoOn();
  EXPECT_LE(routes_.method.calls, before + 32);
  EXPECT_LT(peer.most_said(), size_t{1} << 20);
}

TEST_F(Http2TurnsTest, EachTurnAnswersSomeOfTheStreamThatHasWaitedLongest) {
  Http2Peer& peer = Begin();
  const std::string question = Message(std::string(60, 'q'));
  constexpr int kEach = 8000;  // half a megabyte
  std::string all;
  for (uint32_t id = 1; id < 21; id += 2) all += Stream(id, Repeated(question, kEach));
  peer.Send(all);
  std::vector<Frame> frames = peer.SendOnly(OpenWindows());
  for (int turn = 0; peer.session().has_more(); ++turn) {
    const int before = routes_.method.calls;
    const std::vector<Frame> more = peer.GoOn();
    ASSERT_LE(routes_.method.calls, before + 1100) << "no more than of a read";
    if (turn < 10) {
      EXPECT_GT(DataBytes(more, static_cast<uint32_t>(2 * turn + 1)), 0u) << turn;
    }
    frames.insert(frames.end(), more.begin(), more.end());
  }
  for (uint32_t id = 1; id < 21; id += 2) {
    EXPECT_EQ(DataBytes(frames, id), kEach * question.size());
    const auto ends = [&](const Frame& frame) { return frame.header.stream == id && frame.ends_stream(); };
    const auto end = std::find_if(frames.begin(), frames.end(), ends);
    ASSERT_NE(end, frames.end()) << id;
    EXPECT_EQ(end->field("grpc-status"), "0");
  }
  EXPECT_EQ(routes_.method.calls, 10 * kEach);
}

TEST_F(Http2TurnsTest, WhatComesMeanwhileIsAnsweredBehindIt) {
  Http2Peer& peer = Begin();
  std::string questions, answers;
  for (int i = 0; i < 20'000; ++i) {
    questions += Message(absl::StrCat("question ", i));
    answers += Message(absl::StrCat("question ", i));
  }
  peer.Send(Stream(1, questions, /*end=*/false));
  std::vector<Frame> frames = peer.SendOnly(OpenWindows());
  for (Frame& frame : peer.SendOnly(FrameBytes(FrameType::kData, 0, 1, Message("be")))) frames.push_back(frame);
  for (Frame& frame : peer.Send(FrameBytes(FrameType::kData, kEndStream, 1, Message("hind")))) frames.push_back(frame);
  std::string received;
  for (const Frame& frame : frames) {
    if (frame.type() == FrameType::kData) received += frame.payload;
  }
  EXPECT_TRUE(received == answers + Message("be") + Message("hind")) << received.size();
  EXPECT_EQ(frames.back().field("grpc-status"), "0");
}

TEST_F(Http2TurnsTest, ASlowReaderIsNotCutWhileItsTurnsCome) {
  Http2Peer& peer = Begin();
  // A message more, and a frame, are not whole: neither is read on meanwhile.
  peer.Send(Stream(1, Repeated(Message("size:10000"), 100) + Message("x").substr(0, 3), /*end=*/false));
  peer.SendOnly(OpenWindows() + FrameBytes(FrameType::kData, 0, 1, Message("x").substr(3)).substr(0, 10));
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(peer.session().has_more());
    EXPECT_TRUE(peer.Advance(absl::Seconds(50)).empty());
    peer.GoOn();
  }
  std::vector<Frame> frames = peer.Send(FrameBytes(FrameType::kData, 0, 1, Message("x").substr(3)).substr(10));
  EXPECT_TRUE(absl::EndsWith(frames.back().payload, Message("x")));
}

TEST_F(Http2TurnsTest, LargeRequestsThatAFewBytesMakeWholeHaveATurnEach) {
  Http2Peer& peer = Begin();
  peer.Send(OpenWindows());
  const std::string message = Message(std::string(30'000, 'm'));
  std::string ends;
  for (uint32_t id = 1; id < 1001; id += 2) {
    peer.Send(FrameBytes(FrameType::kHeaders, kEndHeaders, id, Block(GrpcFields("/t.T/Unary"))) +
              FrameBytes(FrameType::kData, 0, id, message.substr(0, 15'000)) +
              FrameBytes(FrameType::kData, 0, id, message.substr(15'000)));
    ends += FrameBytes(FrameType::kData, kEndStream, id, "");
  }
  const Fields post = {{":method", "POST"}, {":scheme", "http"}, {":path", "/echo"}, {":authority", "h"}};
  peer.Send(FrameBytes(FrameType::kHeaders, kEndHeaders, 1001, Block(post)) +
            FrameBytes(FrameType::kData, 0, 1001, std::string(10'000, 'b')));
  ends += FrameBytes(FrameType::kData, kEndStream, 1001, "");
  EXPECT_EQ(peer.SendOnly(ends).size(), 0u);
  EXPECT_TRUE(peer.Advance(absl::Seconds(31)).empty()) << "they are whole";
  for (int turn = 0; turn < 500; ++turn) {
    const uint32_t id = static_cast<uint32_t>(2 * turn + 1);
    const std::vector<Frame> frames = peer.GoOn();
    ASSERT_EQ(routes_.method.calls, turn + 1);
    EXPECT_EQ(DataBytes(frames, id), message.size());
    EXPECT_EQ(frames.back().field("grpc-status"), "0");
  }
  EXPECT_TRUE(peer.session().has_more());
  EXPECT_EQ(First(peer.GoOn(), FrameType::kHeaders, 1001).field(":status"), "200");
  EXPECT_FALSE(peer.session().has_more());
}

TEST_F(Http2TurnsTest, SmallRequestsInTwoPiecesHaveNone) {
  Http2Peer& peer = Begin();
  peer.Send(OpenWindows());
  const std::string head = FrameBytes(FrameType::kHeaders, kEndHeaders, 1, Block(GrpcFields("/t.T/Unary")));
  const std::string message = Message(std::string(1000, 'm'));
  const std::vector<Frame> frames = peer.SendOnly(head + FrameBytes(FrameType::kData, 0, 1, message) +
                                                  FrameBytes(FrameType::kData, kEndStream, 1, ""));
  EXPECT_EQ(DataBytes(frames, 1), message.size());
}

TEST_F(Http2TurnsTest, AStreamThatEndsHasNoTurn) {
  Http2Peer& peer = Begin();
  peer.Send(Stream(1, Repeated(Message("size:10000"), 100)) + Stream(3, Repeated(Message("size:10000"), 100)));
  peer.SendOnly(OpenWindows());
  peer.SendOnly(FrameBytes(FrameType::kRstStream, 0, 1, Number(8)));
  EXPECT_EQ(DataBytes(peer.Send(""), 3), 100 * 10'005 - 160'080u);
  peer.SendOnly(Stream(5, Repeated(Message("size:10000"), 100)));
  EXPECT_TRUE(peer.session().has_more());
  peer.SendOnly(FrameBytes(FrameType::kRstStream, 0, 5, Number(8)));
  EXPECT_FALSE(peer.session().has_more());
}

TEST_F(Http2TurnsTest, UnaryAnswersThatAreNotTakenHaveTheSameBound) {
  SessionLimits limits;
  limits.buffered_bytes_max = 1'000'000;
  Http2Peer& peer = Begin(limits);
  peer.Send(OpenWindows());
  peer.Send(peer.Call(1, "/t.T/Unary", "x"));  // from here on answers are written in place
  std::string calls;
  for (uint32_t id = 3; id < 403; id += 2) calls += peer.Call(id, "/t.T/Unary", "size:10000");
  const std::vector<Frame> frames = peer.Send(calls);
  EXPECT_LT(peer.most_said(), 1'010'000u);
  EXPECT_GT(peer.most_said(), 980'000u);
  EXPECT_EQ(First(frames, FrameType::kRstStream).code(), ErrorCode::kEnhanceYourCalm);
  EXPECT_FALSE(peer.session().finished());
}

// The number of streams that frames say a peer may have; 0 = none does.
uint32_t StreamsTold(const std::vector<Frame>& frames) {
  const Frame frame = First(frames, FrameType::kSettings, 0);
  if (frame.header.length != 6 || ReadUint16(frame.payload.data()) != 3) return 0;
  return ReadUint32(frame.payload.data() + 2);
}

class Http2WaitTest : public testing::Test {
 protected:
  Http2WaitTest() {
    limits_.wait_max = absl::Seconds(1);
    peer_ = std::make_unique<Http2Peer>(&routes_.router, limits_);
    peer_->Greet();
  }
  // What the peer is told when it asks, and that has waited.
  uint32_t Ask(absl::Duration waited, absl::Duration after = absl::Seconds(10)) {
    peer_->Advance(after);
    peer_->session().OnWaited(waited, peer_->now());
    const std::vector<Frame> frames = peer_->Send(peer_->Call(stream_, "/t.T/Unary", "x"));
    EXPECT_TRUE(Has(frames, FrameType::kData, stream_));
    stream_ += 2;
    return StreamsTold(frames);
  }

  EchoRoutes routes_;
  SessionLimits limits_;
  std::unique_ptr<Http2Peer> peer_;
  uint32_t stream_ = 1;
};

TEST_F(Http2WaitTest, TellsAPeerToHaveLessUnderWayTheLongerItWaits) {
  EXPECT_EQ(Ask(absl::ZeroDuration()), 0u);
  EXPECT_EQ(Ask(absl::Milliseconds(240)), 0u);
  EXPECT_EQ(Ask(absl::Milliseconds(500)), 256u);
  EXPECT_EQ(Ask(absl::Milliseconds(500), absl::Milliseconds(900)), 0u) << "what was told may not show yet";
  EXPECT_EQ(Ask(absl::Milliseconds(260)), 123u);
  EXPECT_EQ(Ask(absl::Seconds(5), absl::Seconds(11)), 16u) << "an eighth, and never below";
  EXPECT_EQ(Ask(absl::Seconds(5), absl::Seconds(11)), 0u);
}

TEST_F(Http2WaitTest, TellsItToHaveMoreAgainWhenNothingWaits) {
  EXPECT_EQ(Ask(absl::Seconds(1)), 128u);
  EXPECT_EQ(Ask(absl::Milliseconds(100)), 0u) << "neither much nor little";
  EXPECT_EQ(Ask(absl::Milliseconds(10), absl::Milliseconds(200)), 256u);
  EXPECT_EQ(Ask(absl::Milliseconds(10), absl::Milliseconds(50)), 0u);
  EXPECT_EQ(Ask(absl::Milliseconds(10), absl::Milliseconds(100)), 512u);
  EXPECT_EQ(Ask(absl::Milliseconds(10)), 1024u);
  EXPECT_EQ(Ask(absl::Milliseconds(10)), 0u);
}

TEST_F(Http2WaitTest, ServesWhatWasSentBeforeThePeerKnew) {
  EXPECT_EQ(Ask(absl::Seconds(5)), 128u);
  EXPECT_EQ(Ask(absl::Seconds(5), absl::Seconds(11)), 16u);
  std::string open, end;
  for (uint32_t stream = 101; stream < 301; stream += 2) {
    open += FrameBytes(FrameType::kHeaders, kEndHeaders, stream, Block(GrpcFields("/t.T/Unary")));
    end += FrameBytes(FrameType::kData, kEndStream, stream, Message("x"));
  }
  EXPECT_FALSE(Has(peer_->Send(open), FrameType::kRstStream));
  EXPECT_TRUE(Has(peer_->Send(end), FrameType::kData, 299));
}

TEST(Http2NoWaitTest, WithoutABoundOnWaitingAPeerIsToldNothing) {
  EchoRoutes routes;
  Http2Peer peer(&routes.router);
  peer.Greet();
  peer.Advance(absl::Seconds(10));
  peer.session().OnWaited(absl::Seconds(10), peer.now());
  EXPECT_FALSE(Has(peer.Take(), FrameType::kSettings));
}

// Two connections that draw on one budget of a megabyte.
class Http2BudgetTest : public testing::Test {
 protected:
  Http2BudgetTest() {
    hoarder_->session().DrawOn(hoarder_share_.get());
    other_.session().DrawOn(&other_share_);
    hoarder_->Greet();
    other_.Greet(Setting(4, 1 << 30));  // takes any answer
    other_.Send(FrameBytes(FrameType::kWindowUpdate, 0, 0, Number(1 << 30)));
  }
  // The first half of calls without end; returns what came back.
  std::vector<Frame> Hoard(int calls, size_t bytes_each) {
    std::vector<Frame> all;
    for (int i = 0; i < calls; ++i, stream_ += 2) {
      std::string bytes = FrameBytes(FrameType::kHeaders, kEndHeaders, stream_, Block(GrpcFields("/t.T/Unary")));
      std::string data = absl::StrCat(std::string(1, '\0'), Number(1 << 20), std::string(bytes_each, 'h'));
      for (size_t at = 0; at < data.size(); at += 16'000) {
        absl::StrAppend(&bytes, FrameBytes(FrameType::kData, 0, stream_, data.substr(at, 16'000)));
      }
      for (Frame& frame : hoarder_->Send(bytes)) all.push_back(std::move(frame));
    }
    return all;
  }
  // A call whose message comes in two frames.
  static std::string InTwo(uint32_t stream, size_t size) {
    const std::string message = Message(std::string(size, 'm'));
    std::string bytes = FrameBytes(FrameType::kHeaders, kEndHeaders, stream, Block(GrpcFields("/t.T/Unary")));
    for (size_t at = 0; at < message.size(); at += 16'000) {
      absl::StrAppend(&bytes, FrameBytes(FrameType::kData, at + 16'000 < message.size() ? 0 : kEndStream, stream,
                                         message.substr(at, 16'000)));
    }
    return bytes;
  }

  EchoRoutes routes_;
  BufferBudget budget_{size_t{1} << 20};
  std::unique_ptr<BufferShare> hoarder_share_ = std::make_unique<BufferShare>(&budget_);
  BufferShare other_share_{&budget_};
  std::unique_ptr<Http2Peer> hoarder_ = std::make_unique<Http2Peer>(&routes_.router);
  Http2Peer other_{&routes_.router};
  uint32_t stream_ = 1;
};

TEST_F(Http2BudgetTest, RefusesWhatThereIsNoRoomForAndAnswersOthers) {
  WireCounts counts;
  hoarder_->session().CountIn(&counts);
  const std::vector<Frame> frames = Hoard(30, 100'000);
  const Frame refused = First(frames, FrameType::kHeaders);
  EXPECT_EQ(refused.field("grpc-status"), "8");  // RESOURCE_EXHAUSTED
  EXPECT_THAT(refused.field("grpc-message"), testing::HasSubstr("no room"));
  EXPECT_TRUE(refused.ends_stream());
  EXPECT_FALSE(hoarder_->session().finished()) << "the calls are refused, not the connection";
  EXPECT_GE(counts.errors(WireProtocol::kHttp2, WireError::kNoRoom), 10);
  EXPECT_LE(budget_.taken(), size_t{1} << 20);
  EXPECT_LE(hoarder_->session().held_bytes(), (size_t{1} << 20) + BufferShare::kOwnBytes);
  // Others ask on, whether a message comes in one piece or in two, as far as what is their own reaches.
  EXPECT_EQ(First(other_.Send(other_.Call(1, "/t.T/Unary", "hello")), FrameType::kData).payload, Message("hello"));
  EXPECT_TRUE(Has(other_.Send(InTwo(3, 20'000)), FrameType::kData, 3));
  EXPECT_EQ(First(other_.Send(InTwo(5, 150'000)), FrameType::kHeaders, 5).field("grpc-status"), "8");
  // The hoarder goes, and there is room again.
  hoarder_.reset();
  hoarder_share_.reset();
  EXPECT_TRUE(Has(other_.Send(InTwo(7, 150'000)), FrameType::kData, 7));
}

TEST_F(Http2BudgetTest, RefusesStreamsOverTheFirstFewAndPlainRequestsInTheirOwnWay) {
  const size_t rest = size_t{1} << 20;
  budget_.TakeAnyway(rest);
  const Fields post = {{":method", "POST"}, {":scheme", "http"}, {":path", "/echo"}, {":authority", "h"}};
  std::string body = FrameBytes(FrameType::kHeaders, kEndHeaders, 1, Block(post));
  for (int i = 0; i < 20; ++i) absl::StrAppend(&body, FrameBytes(FrameType::kData, 0, 1, std::string(16'000, 'b')));
  EXPECT_EQ(First(other_.Send(body), FrameType::kHeaders, 1).field(":status"), "503");
  std::vector<Frame> frames;
  for (uint32_t stream = 3; stream < 2003; stream += 2) {
    const std::string open = FrameBytes(FrameType::kHeaders, kEndHeaders, stream, Block(GrpcFields("/t.T/Unary")));
    for (Frame& frame : other_.Send(open)) frames.push_back(std::move(frame));
  }
  EXPECT_FALSE(Has(frames, FrameType::kRstStream, 3));
  EXPECT_EQ(First(frames, FrameType::kRstStream, 2001).code(), ErrorCode::kRefusedStream);
  EXPECT_LE(other_.session().held_bytes(), BufferShare::kOwnBytes);
  budget_.GiveBack(rest);
  EXPECT_TRUE(Has(other_.Send(other_.Call(2003, "/t.T/Unary", "x")), FrameType::kData, 2003));
}

TEST_F(Http2BudgetTest, CutsAnswersThatNobodyTakes) {
  budget_.TakeAnyway(size_t{1} << 20);
  Http2Peer peer(&routes_.router);
  BufferShare share(&budget_);
  peer.session().DrawOn(&share);
  peer.Greet(Setting(4, 0));  // takes no answer
  std::vector<Frame> frames;
  for (uint32_t stream = 1; stream < 41; stream += 2) {
    for (Frame& frame : peer.Send(peer.Call(stream, "/t.T/Unary", "size:10000"))) frames.push_back(std::move(frame));
  }
  EXPECT_EQ(First(frames, FrameType::kRstStream).code(), ErrorCode::kEnhanceYourCalm);
  EXPECT_LE(peer.session().held_bytes(), BufferShare::kOwnBytes);
}

TEST_F(Http2BudgetTest, HoldsNothingForThoseThatAreOver) {
  for (uint32_t stream = 1; stream < 1001; stream += 2) other_.Send(InTwo(stream, 100'000));
  EXPECT_LE(other_.session().held_bytes(), BufferShare::kOwnBytes + 300'000);
  other_.session().Rest();
  EXPECT_LE(other_.session().held_bytes(), 1000u);
}

TEST_F(Http2BudgetTest, CountsTheMemoryOfHeadersAndGivesItBack) {
  const size_t before = other_.session().held_bytes();
  const std::string giant(15'000, 'g');
  uint32_t stream = 1;
  const auto ask = [&](const Fields& fields) {
    const std::string block = Block(fields);
    ASSERT_LT(block.size(), 16'384u);
    other_.Send(FrameBytes(FrameType::kHeaders, kEndHeaders, stream, block) +
                FrameBytes(FrameType::kData, kEndStream, stream, Message("x")));
    stream += 2;
  };
  // Each text of a head in its turn.
  for (const char* name : {":method", ":path", ":authority", "grpc-timeout", "x-other"}) {
    Fields fields = {{":scheme", "http"}, {name, absl::StrCat("/", giant)}};
    ask(fields);
  }
  EXPECT_GE(other_.session().held_bytes(), before + 5 * giant.size());
  EXPECT_LE(other_.session().held_bytes(), BufferShare::kOwnBytes);
  // A block of nothing but references is kept whole, in case it comes again.
  other_.Send(FrameBytes(FrameType::kHeaders, kEndHeaders, stream, std::string(16'000, '\x82')));
  EXPECT_GE(other_.session().held_bytes(), before + 5 * giant.size() + 16'000);
  other_.session().Rest();
  EXPECT_LE(other_.session().held_bytes(), 1000u);
}

TEST_F(Http2BudgetTest, KeepsNoMemoryForWhatComesTogetherWhileNothingComes) {
  std::string calls;
  for (uint32_t stream = 1; stream < 33; stream += 2) calls += other_.Call(stream, "/t.T/Unary", "x");
  Fields get = {{":method", "GET"}, {":scheme", "http"}, {":path", "/echo"}, {":authority", "h"}};
  for (int i = 0; i < 100; ++i) get.emplace_back(absl::StrCat("x-", i), "v");
  other_.Send(calls + FrameBytes(FrameType::kHeaders, kEndHeaders | kEndStream, 33, Block(get)));
  other_.session().Rest();
  EXPECT_LE(other_.session().held_bytes(), 200u);
}

TEST(GrpcStatusTest, ReadsTimeouts) {
  EXPECT_EQ(ParseGrpcTimeout("100m"), absl::Milliseconds(100));
  EXPECT_EQ(ParseGrpcTimeout("99999999H"), absl::Hours(99999999));
  EXPECT_EQ(ParseGrpcTimeout("5u"), absl::Microseconds(5));
  for (const char* wrong : {"", "S", "5", "5s", "-5S", "999999999S", "5 S", "0x5S"}) {
    EXPECT_FALSE(ParseGrpcTimeout(wrong)) << wrong;
  }
}

TEST(GrpcStatusTest, CutsAMessageBetweenCharacters) {
  EXPECT_EQ(CutStatusMessage(std::string(999, 'x') + "\xe4\xb8\xad"), std::string(999, 'x'));
  EXPECT_EQ(EncodeStatusMessage("\xe4\xb8\xad"), "%E4%B8%AD");
}

}  // namespace
}  // namespace sluice::http2
