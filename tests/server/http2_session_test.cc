// HTTP/2 as RFC 9113 wants it of a server: the cases of h2spec that apply, section by section, and gRPC on top.
#include "server/listen/http2_session.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "echo_methods.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "http2_peer.h"

namespace sluice::http2 {
namespace {

using ::testing::HasSubstr;
using std::string_literals::operator""s;

class Http2SessionTest : public testing::Test {
 protected:
  ~Http2SessionTest() override { EXPECT_TRUE(peer_.whole()); }

  // `bytes` end the connection, with this code.
  void ExpectConnectionError(const std::string& bytes, ErrorCode code) {
    peer_.Greet();
    const std::vector<Frame> frames = peer_.Send(bytes);
    ASSERT_TRUE(Has(frames, FrameType::kGoAway));
    EXPECT_EQ(First(frames, FrameType::kGoAway).code(), code);
    EXPECT_TRUE(peer_.session().finished());
  }
  // `bytes` end a stream, with this code; the connection goes on.
  void ExpectStreamError(const std::string& bytes, ErrorCode code, uint32_t stream = 1) {
    peer_.Greet();
    const std::vector<Frame> frames = peer_.Send(bytes);
    ASSERT_TRUE(Has(frames, FrameType::kRstStream, stream));
    EXPECT_EQ(First(frames, FrameType::kRstStream, stream).code(), code);
    EXPECT_FALSE(peer_.session().finished());
    ExpectAnswers(stream + 2);
  }
  void ExpectAnswers(uint32_t stream) {
    const std::vector<Frame> frames = peer_.Send(peer_.Call(stream, "/t.T/Unary", "ping"));
    EXPECT_EQ(First(frames, FrameType::kData, stream).payload, Message("ping"));
  }

  static std::string Headers(uint32_t stream, uint8_t flags, const Fields& fields) {
    return FrameBytes(FrameType::kHeaders, flags, stream, Block(fields));
  }
  static Fields Get(Fields more = {}) {
    Fields fields = {{":method", "GET"}, {":scheme", "http"}, {":path", "/echo"}, {":authority", "h"}};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  }
  static std::string Post(uint32_t stream) {  // HEADERS of a call whose message is to come
    return Headers(stream, kEndHeaders, GrpcFields("/t.T/Unary"));
  }

  EchoRoutes routes_;
  Http2Peer peer_{&routes_.router};
};

// ---- 3.4 Preface

TEST_F(Http2SessionTest, GreetsWithSettingsAndAcknowledgesThose) {
  const std::vector<Frame> frames = peer_.Greet();
  ASSERT_GE(frames.size(), 3u);
  EXPECT_EQ(frames[0].type(), FrameType::kSettings);
  EXPECT_EQ(frames[1].type(), FrameType::kWindowUpdate);
  EXPECT_EQ(frames[2].type(), FrameType::kSettings);
  EXPECT_EQ(frames[2].header.flags, kAck);
}

TEST_F(Http2SessionTest, RefusesAnotherPreface) {
  const std::vector<Frame> frames = peer_.Send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
  EXPECT_EQ(First(frames, FrameType::kGoAway).code(), ErrorCode::kProtocolError);
}

TEST_F(Http2SessionTest, WantsSettingsFirst) {
  peer_.Send(kPreface);
  const std::vector<Frame> frames = peer_.Send(FrameBytes(FrameType::kPing, 0, 0, "12345678"));
  EXPECT_EQ(First(frames, FrameType::kGoAway).code(), ErrorCode::kProtocolError);
}

// ---- 4 Frames

TEST_F(Http2SessionTest, IgnoresFramesOfUnknownTypesAndUnknownFlags) {
  peer_.Greet();
  EXPECT_TRUE(peer_.Send(FrameBytes(static_cast<FrameType>(0x16), 0xff, 0, "12345678")).empty());
  const std::vector<Frame> frames = peer_.Send(FrameBytes(FrameType::kPing, 0x16, 0, "12345678"));
  EXPECT_EQ(First(frames, FrameType::kPing).payload, "12345678");
}

TEST_F(Http2SessionTest, RefusesAFrameOverItsBound) {
  ExpectConnectionError(Post(1) + FrameBytes(FrameType::kData, 0, 1, std::string(16385, 'x')),
                        ErrorCode::kFrameSizeError);
}

TEST_F(Http2SessionTest, TakesAFrameOfTheGreatestSize) {
  peer_.Greet();
  const std::vector<Frame> frames =
      peer_.Send(Post(1) + FrameBytes(FrameType::kData, kEndStream, 1, Message(std::string(16379, 'x'))));
  EXPECT_EQ(First(frames, FrameType::kData).payload.size(), 16384u);
}

TEST_F(Http2SessionTest, AnswersTheSameHoweverBytesArrive) {
  const std::vector<Frame> frames =
      peer_.Drip(absl::StrCat(kPreface, FrameBytes(FrameType::kSettings, 0, 0, ""), peer_.Call(1, "/t.T/Unary", "a"),
                              peer_.Call(3, "/t.T/Unary", "b")));
  EXPECT_EQ(First(frames, FrameType::kData, 1).payload, Message("a"));
  EXPECT_EQ(First(frames, FrameType::kData, 3).payload, Message("b"));
}

// What a caller may do on a connection, drawn at random: calls of each kind, whole and in pieces, beside frames that
// end, reset or nudge what is open.
std::string AnyConversation(std::mt19937* random) {
  const auto any = [&](int n) { return static_cast<int>((*random)() % static_cast<unsigned>(n)); };
  const auto headers = [](uint32_t stream, const std::string& path, const Fields& more) {
    return FrameBytes(FrameType::kHeaders, kEndHeaders, stream, Block(GrpcFields(path, more)));
  };
  const std::vector<std::string> messages = {"ping", "fail:why", "size:900", "size:40000", "", "trace"};
  std::string bytes =
      absl::StrCat(kPreface, FrameBytes(FrameType::kSettings, 0, 0, any(2) ? "" : Setting(4, any(2) ? 0 : 400)));
  uint32_t next = 1;
  std::vector<uint32_t> open;
  for (int i = 0; i < 40; ++i) {
    const std::string message = Message(messages[static_cast<size_t>(any(4) ? any(3) : any(6))]);
    const uint32_t before = next > 1 ? 1 + 2 * static_cast<uint32_t>(any(static_cast<int>(next) / 2)) : 1;
    switch (any(20)) {
      case 0:
        bytes += FrameBytes(FrameType::kPing, 0, 0, "12345678");
        break;
      case 1:
        bytes += headers(next, "/t.T/Unary", {{"grpc-timeout", any(2) ? "1S" : "soon"}});
        open.push_back(next);
        next += 2;
        break;
      case 2:
        bytes += headers(next, any(2) ? "/t.T/Stream" : "/t.T/Watch", {}) +
                 FrameBytes(FrameType::kData, any(2) ? kEndStream : 0, next, message);
        next += 2;
        break;
      case 3:
        bytes += FrameBytes(
            FrameType::kHeaders, kEndHeaders | kEndStream, next,
            Block({{":method", "GET"}, {":scheme", "http"}, {":path", any(2) ? "/echo" : "/no"}, {":authority", "h"}}));
        next += 2;
        break;
      case 4:
        bytes += FrameBytes(FrameType::kRstStream, 0, before, Number(8));
        break;
      case 5:
        bytes += FrameBytes(FrameType::kWindowUpdate, 0, any(2) ? 0 : before, Number(1000));
        break;
      case 6:
        if (any(4) == 0) bytes += FrameBytes(FrameType::kData, kEndStream, before, message);
        break;
      case 7:
        bytes += headers(next, "/t.T/None", {}) + FrameBytes(FrameType::kData, kEndStream, next, message);
        next += 2;
        break;
      case 8:
        bytes += FrameBytes(FrameType::kSettings, 0, 0, Setting(4, any(2) ? 100 : 65535));
        break;
      case 9:
      case 10:
        if (open.empty()) break;
        bytes += FrameBytes(FrameType::kData, kEndStream, open.back(), message);
        open.pop_back();
        break;
      case 11:
        bytes += headers(next, "/t.T/Unary", {}) + FrameBytes(FrameType::kData, 0, next, message.substr(0, 3)) +
                 FrameBytes(FrameType::kData, kEndStream, next, message.substr(3));
        next += 2;
        break;
      default:
        bytes += headers(next, any(3) ? "/t.T/Unary" : "/t.T/Other", {}) +
                 FrameBytes(FrameType::kData, kEndStream, next, message);
        next += 2;
        break;
    }
  }
  return bytes;
}

// The date of an answer to plain HTTP is the machine's, and moves on between two runs.
std::string WithoutDates(std::string out) {
  constexpr absl::string_view kDate = "Thu, 26 Nov 2026 22:37:04 GMT";
  for (size_t at = 0; (at = out.find(" GMT", at)) != std::string::npos; ++at) {
    const size_t begin = at + 4 - kDate.size();
    out.replace(begin, kDate.size(), kDate.data(), kDate.size());
  }
  return out;
}

// Calls that come in one read are answered together, and nobody can tell.
TEST(Http2TogetherTest, AnswersTheSameInTheSameOrderHoweverBytesArrive) {
  for (unsigned seed = 1; seed <= 2000; ++seed) {
    std::mt19937 random(seed);
    const std::string bytes = AnyConversation(&random);
    EchoRoutes routes[3];
    std::string out[3];
    for (int way = 0; way < 3; ++way) {  // in one piece, a byte at a time, cut anywhere
      SessionLimits limits;
      limits.streams_max = 20;
      Http2Session session(&routes[way].router, &limits, MonotonicTime{1'000'000'000'000});
      std::string unread;
      for (size_t at = 0; at < bytes.size();) {
        const size_t piece = way == 0 ? bytes.size() : way == 1 ? 1 : 1 + random() % 2000;
        unread += bytes.substr(at, piece);
        at += piece;
        unread.erase(0, session.Receive(absl::MakeSpan(unread), MonotonicTime{1'000'000'000'000}));
        out[way] += session.out();
        session.out().clear();
      }
      out[way] = WithoutDates(std::move(out[way]));
    }
    ASSERT_EQ(out[0], out[1]) << seed;
    ASSERT_EQ(out[0], out[2]) << seed;
    ASSERT_EQ(routes[0].method.calls, routes[1].method.calls) << seed;
  }
}

// Nor whether they are answered together with those of other connections.
TEST(Http2TogetherTest, AnswersTheSameInTheCompanyOfOtherConnections) {
  constexpr MonotonicTime kNow{1'000'000'000'000};
  constexpr size_t kConnections = 4;
  int more_together = 0;
  for (unsigned seed = 1; seed <= 500; ++seed) {
    std::mt19937 random(seed);
    std::string conversations[kConnections];
    for (std::string& conversation : conversations) conversation = AnyConversation(&random);
    EchoRoutes alone, in_company;
    SessionLimits limits;
    limits.streams_max = 20;
    std::string wanted[kConnections], got[kConnections];
    for (size_t i = 0; i < kConnections; ++i) {
      Http2Session session(&alone.router, &limits, kNow);
      std::string bytes = conversations[i];
      session.Receive(absl::MakeSpan(bytes), kNow);
      wanted[i] = WithoutDates(session.out());
    }
    std::unique_ptr<Http2Session> sessions[kConnections];
    std::string unread[kConnections];
    size_t at[kConnections] = {};
    for (auto& session : sessions) session = std::make_unique<Http2Session>(&in_company.router, &limits, kNow);
    const auto all_said = [&] {
      for (size_t i = 0; i < kConnections; ++i) {
        if (at[i] < conversations[i].size()) return false;
      }
      return true;
    };
    while (!all_said()) {
      CallGathering gathering;
      size_t taken[kConnections];
      for (size_t i = 0; i < kConnections; ++i) {
        const size_t piece = random() % 2000;
        unread[i] += conversations[i].substr(at[i], piece);
        at[i] = std::min(at[i] + piece, conversations[i].size());
        sessions[i]->GatherIn(random() % 8 == 0 ? nullptr : &gathering);
        taken[i] = sessions[i]->Receive(absl::MakeSpan(unread[i]), kNow);
      }
      gathering.Answer();
      for (size_t i = 0; i < kConnections; ++i) {
        ASSERT_FALSE(sessions[i]->awaits_answers());
        unread[i].erase(0, taken[i]);
        got[i] += std::exchange(sessions[i]->out(), {});
      }
    }
    for (size_t i = 0; i < kConnections; ++i) ASSERT_EQ(WithoutDates(got[i]), wanted[i]) << seed << " " << i;
    ASSERT_EQ(in_company.method.calls, alone.method.calls) << seed;
    ASSERT_EQ(in_company.other.calls, alone.other.calls) << seed;
    more_together += in_company.method.most_together > alone.method.most_together;
  }
  EXPECT_GT(more_together, 0);
}

TEST_F(Http2SessionTest, HandsCallsOfOneReadToTheirMethodTogether) {
  peer_.Greet();
  std::string bytes;
  for (uint32_t stream = 1; stream < 20; stream += 2) bytes += peer_.Call(stream, "/t.T/Unary", "ping");
  peer_.Send(bytes);
  EXPECT_EQ(routes_.method.calls, 10);
  EXPECT_EQ(routes_.method.most_together, 10u);
}

TEST_F(Http2SessionTest, RefusesABlockThatIsNoHpack) {
  ExpectConnectionError(FrameBytes(FrameType::kHeaders, kEndHeaders | kEndStream, 1, "\xff\xff\xff\xff\xff"s),
                        ErrorCode::kCompressionError);
}

TEST_F(Http2SessionTest, WantsNothingBetweenTheFramesOfABlock) {
  const std::string begin = FrameBytes(FrameType::kHeaders, 0, 1, Block(GrpcFields("/t.T/Unary")));
  ExpectConnectionError(begin + FrameBytes(FrameType::kPing, 0, 0, "12345678"), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, WantsNoContinuationOfAnotherStream) {
  const std::string begin = FrameBytes(FrameType::kHeaders, 0, 1, Block(GrpcFields("/t.T/Unary")));
  ExpectConnectionError(begin + FrameBytes(FrameType::kContinuation, kEndHeaders, 3, ""), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, WantsNoUnknownFrameWithinABlock) {
  const std::string begin = FrameBytes(FrameType::kHeaders, 0, 1, Block(GrpcFields("/t.T/Unary")));
  ExpectConnectionError(begin + FrameBytes(static_cast<FrameType>(0x16), 0, 0, ""), ErrorCode::kProtocolError);
}

// ---- 5.1 Streams

TEST_F(Http2SessionTest, RefusesDataOnAnIdleStream) {
  ExpectConnectionError(FrameBytes(FrameType::kData, kEndStream, 1, "x"), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesRstStreamOnAnIdleStream) {
  ExpectConnectionError(FrameBytes(FrameType::kRstStream, 0, 1, Number(8)), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesWindowUpdateOnAnIdleStream) {
  ExpectConnectionError(FrameBytes(FrameType::kWindowUpdate, 0, 1, Number(100)), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesContinuationOfNothing) {
  ExpectConnectionError(FrameBytes(FrameType::kContinuation, kEndHeaders, 1, Block(Get())), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesDataOnAStreamThatIsOver) {
  ExpectStreamError(peer_.Call(1, "/t.T/Unary", "x") + FrameBytes(FrameType::kData, 0, 1, "x"),
                    ErrorCode::kStreamClosed);
}
TEST_F(Http2SessionTest, RefusesHeadersOnAStreamThatIsOver) {
  ExpectConnectionError(peer_.Call(1, "/t.T/Unary", "x") + Post(1), ErrorCode::kStreamClosed);
}
TEST_F(Http2SessionTest, RefusesContinuationOfAStreamThatIsOver) {
  ExpectConnectionError(
      peer_.Call(1, "/t.T/Unary", "x") + FrameBytes(FrameType::kContinuation, kEndHeaders, 1, Block(Get())),
      ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, TakesWhatMayStillBeOnItsWayToAStreamThatIsOver) {
  peer_.Greet();
  EXPECT_FALSE(Has(peer_.Send(peer_.Call(1, "/t.T/Unary", "x") + FrameBytes(FrameType::kWindowUpdate, 0, 1, Number(1)) +
                              FrameBytes(FrameType::kRstStream, 0, 1, Number(8)) +
                              FrameBytes(FrameType::kPriority, 0, 1, "\0\0\0\0\0"s)),
                   FrameType::kGoAway));
  ExpectAnswers(3);
}
TEST_F(Http2SessionTest, RefusesDataAfterTheEndOfARequest) {
  // Half closed: the answer waits for the window.
  peer_.Greet(Setting(4, 0));
  const std::vector<Frame> frames =
      peer_.Send(peer_.Call(1, "/t.T/Unary", "x") + FrameBytes(FrameType::kData, kEndStream, 1, "y"));
  EXPECT_EQ(First(frames, FrameType::kRstStream).code(), ErrorCode::kStreamClosed);
}
TEST_F(Http2SessionTest, RefusesHeadersAfterTheEndOfARequest) {
  peer_.Greet(Setting(4, 0));
  const std::vector<Frame> frames = peer_.Send(peer_.Call(1, "/t.T/Unary", "x") + Post(1));
  EXPECT_EQ(First(frames, FrameType::kRstStream).code(), ErrorCode::kStreamClosed);
}
TEST_F(Http2SessionTest, RefusesStreamsThatAreNotTheClients) {
  ExpectConnectionError(Post(2), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesAStreamBelowTheLast) {
  ExpectConnectionError(peer_.Call(5, "/t.T/Unary", "x") + Post(3), ErrorCode::kStreamClosed);
}
TEST_F(Http2SessionTest, RefusesAStreamThatDependsOnItself) {
  ExpectStreamError(FrameBytes(FrameType::kHeaders, kEndHeaders | kEndStream | kHasPriority, 1,
                               absl::StrCat(Number(1), "\x10", Block(Get()))),
                    ErrorCode::kProtocolError);
}

TEST(Http2LimitsTest, RefusesStreamsOverTheBound) {
  EchoRoutes routes;
  SessionLimits limits;
  limits.streams_max = 2;
  Http2Peer peer(&routes.router, limits);
  peer.Greet();
  const Fields call = GrpcFields("/t.T/Unary");
  std::string bytes;
  for (const uint32_t stream : {1, 3, 5}) bytes += FrameBytes(FrameType::kHeaders, kEndHeaders, stream, Block(call));
  const std::vector<Frame> frames = peer.Send(bytes);
  EXPECT_EQ(First(frames, FrameType::kRstStream, 5).code(), ErrorCode::kRefusedStream);
  EXPECT_FALSE(Has(frames, FrameType::kRstStream, 3));
  // One is over: there is room again. What is still sent to the one refused is no fault.
  EXPECT_TRUE(Has(peer.Send(FrameBytes(FrameType::kData, kEndStream, 1, Message(""))), FrameType::kHeaders, 1));
  EXPECT_TRUE(Has(peer.Send(FrameBytes(FrameType::kData, kEndStream, 5, Message("")) + peer.Call(7, "/t.T/Unary", "x")),
                  FrameType::kData, 7));
}

// ---- 6.1 DATA, 6.2 HEADERS: padding and priority

TEST_F(Http2SessionTest, TakesPaddingOff) {
  peer_.Greet();
  const std::string block = Block(GrpcFields("/t.T/Unary"));
  const std::string headers = FrameBytes(FrameType::kHeaders, kEndHeaders | kPadded | kHasPriority, 1,
                                         absl::StrCat("\x03"s, Number(0), "\x10", block, "\0\0\0"s));
  const std::string data =
      FrameBytes(FrameType::kData, kEndStream | kPadded, 1, absl::StrCat("\x05"s, Message("padded"), "\0\0\0\0\0"s));
  EXPECT_EQ(First(peer_.Send(headers + data), FrameType::kData).payload, Message("padded"));
}
TEST_F(Http2SessionTest, RefusesMorePaddingThanPayload) {
  ExpectConnectionError(Post(1) + FrameBytes(FrameType::kData, kPadded, 1,
                                             "\x06"
                                             "12345"),
                        ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesHeadersWithMorePaddingThanPayload) {
  ExpectConnectionError(FrameBytes(FrameType::kHeaders, kEndHeaders | kPadded, 1,
                                   "\x09"
                                   "12345"),
                        ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesDataOnStreamZero) {
  ExpectConnectionError(FrameBytes(FrameType::kData, 0, 0, "x"), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesHeadersOnStreamZero) { ExpectConnectionError(Post(0), ErrorCode::kProtocolError); }

// ---- 6.3 PRIORITY, 6.4 RST_STREAM

TEST_F(Http2SessionTest, IgnoresPriorities) {
  peer_.Greet();
  EXPECT_TRUE(peer_.Send(FrameBytes(FrameType::kPriority, 0, 1, "\0\0\0\x03\x10"s)).empty());
  ExpectAnswers(1);
}
TEST_F(Http2SessionTest, RefusesPriorityOnStreamZero) {
  ExpectConnectionError(FrameBytes(FrameType::kPriority, 0, 0, "\0\0\0\x03\x10"s), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesPriorityOfAnotherSize) {
  ExpectStreamError(FrameBytes(FrameType::kPriority, 0, 1, "\0\0\0\x03"s), ErrorCode::kFrameSizeError);
}
TEST_F(Http2SessionTest, RefusesRstStreamOfAnotherSize) {
  ExpectConnectionError(Post(1) + FrameBytes(FrameType::kRstStream, 0, 1, "\0\0\0"s), ErrorCode::kFrameSizeError);
}
TEST_F(Http2SessionTest, RefusesRstStreamOnStreamZero) {
  ExpectConnectionError(FrameBytes(FrameType::kRstStream, 0, 0, Number(8)), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, ForgetsACallThatItsCallerCancels) {
  peer_.Greet();
  EXPECT_TRUE(peer_.Send(Post(1) + FrameBytes(FrameType::kRstStream, 0, 1, Number(8))).empty());
  EXPECT_EQ(routes_.method.calls, 0);
  ExpectAnswers(3);
}

// ---- 6.5 SETTINGS

TEST_F(Http2SessionTest, RefusesSettingsThatAreNone) {
  const std::pair<std::string, ErrorCode> cases[] = {
      {FrameBytes(FrameType::kSettings, kAck, 0, Setting(1, 1)), ErrorCode::kFrameSizeError},
      {FrameBytes(FrameType::kSettings, 0, 1, Setting(3, 1)), ErrorCode::kProtocolError},
      {FrameBytes(FrameType::kSettings, 0, 0, "123"), ErrorCode::kFrameSizeError},
      {FrameBytes(FrameType::kSettings, 0, 0, Setting(2, 2)), ErrorCode::kProtocolError},
      {FrameBytes(FrameType::kSettings, 0, 0, Setting(4, 0x80000000)), ErrorCode::kFlowControlError},
      {FrameBytes(FrameType::kSettings, 0, 0, Setting(5, 16383)), ErrorCode::kProtocolError},
      {FrameBytes(FrameType::kSettings, 0, 0, Setting(5, 1 << 24)), ErrorCode::kProtocolError},
  };
  for (const auto& [bytes, code] : cases) {
    Http2Peer peer(&routes_.router);
    peer.Greet();
    EXPECT_EQ(First(peer.Send(bytes), FrameType::kGoAway).code(), code);
  }
}
TEST_F(Http2SessionTest, IgnoresUnknownSettings) {
  peer_.Greet(Setting(0xff, 1));
  ExpectAnswers(1);
}
TEST_F(Http2SessionTest, WritesHeadersForATableOfAnySize) {
  uint32_t stream = 1;
  peer_.Greet();
  for (const uint32_t size : {4096u, 200u, 104u, 103u, 0u, 4096u}) {
    ExpectAnswers(stream);
    peer_.Send(FrameBytes(FrameType::kSettings, 0, 0, Setting(1, size)));
    const std::vector<Frame> frames = peer_.Send(peer_.Call(stream + 2, "/t.T/Unary", "x"));
    EXPECT_EQ(First(frames, FrameType::kHeaders).field("content-type"), "application/grpc") << size;
    stream += 4;
  }
}

// ---- 6.7 PING, 6.8 GOAWAY

TEST_F(Http2SessionTest, AnswersPingAndTakesItsAnswer) {
  peer_.Greet();
  const Frame pong = First(peer_.Send(FrameBytes(FrameType::kPing, 0, 0, "payload!")), FrameType::kPing);
  EXPECT_EQ(pong.header.flags, kAck);
  EXPECT_EQ(pong.payload, "payload!");
  EXPECT_TRUE(peer_.Send(FrameBytes(FrameType::kPing, kAck, 0, "payload!")).empty());
}
TEST_F(Http2SessionTest, RefusesPingOnAStream) {
  ExpectConnectionError(FrameBytes(FrameType::kPing, 0, 1, "payload!"), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesPingOfAnotherSize) {
  ExpectConnectionError(FrameBytes(FrameType::kPing, 0, 0, "short"), ErrorCode::kFrameSizeError);
}
TEST_F(Http2SessionTest, RefusesGoAwayOnAStream) {
  ExpectConnectionError(FrameBytes(FrameType::kGoAway, 0, 1, Number(0) + Number(0)), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesPushPromise) {
  ExpectConnectionError(FrameBytes(FrameType::kPushPromise, kEndHeaders, 1, Number(2)), ErrorCode::kProtocolError);
}

// ---- 6.9 Flow control

TEST_F(Http2SessionTest, SendsNoMoreThanTheWindowOfTheStream) {
  peer_.Greet(Setting(4, 3));
  std::vector<Frame> frames = peer_.Send(peer_.Call(1, "/t.T/Unary", "0123456789"));
  EXPECT_EQ(First(frames, FrameType::kData).payload, Message("0123456789").substr(0, 3));
  EXPECT_FALSE(First(frames, FrameType::kData).ends_stream());
  frames = peer_.Send(FrameBytes(FrameType::kWindowUpdate, 0, 1, Number(4)));
  EXPECT_EQ(First(frames, FrameType::kData).payload, Message("0123456789").substr(3, 4));
  // Raised by SETTINGS for what is open too.
  frames = peer_.Send(FrameBytes(FrameType::kSettings, 0, 0, Setting(4, 1000)));
  EXPECT_EQ(First(frames, FrameType::kData).payload, Message("0123456789").substr(7));
  EXPECT_EQ(First(frames, FrameType::kHeaders).field("grpc-status"), "0");
}
TEST_F(Http2SessionTest, TakesAWindowBelowZero) {
  peer_.Greet(Setting(4, 3));
  peer_.Send(peer_.Call(1, "/t.T/Unary", "0123456789"));
  peer_.Send(FrameBytes(FrameType::kSettings, 0, 0, Setting(4, 2)));  // -1 now
  EXPECT_FALSE(Has(peer_.Send(FrameBytes(FrameType::kWindowUpdate, 0, 1, Number(1))), FrameType::kData));
  EXPECT_EQ(First(peer_.Send(FrameBytes(FrameType::kWindowUpdate, 0, 1, Number(1))), FrameType::kData).payload.size(),
            1u);
}
TEST_F(Http2SessionTest, SendsNoMoreThanTheWindowOfTheConnection) {
  peer_.Greet(Setting(4, 0x7fffffff));
  std::vector<Frame> frames = peer_.Send(peer_.Call(1, "/t.T/Unary", "size:100000"));
  size_t sent = 0;
  for (const Frame& frame : frames) sent += frame.type() == FrameType::kData ? frame.payload.size() : 0;
  EXPECT_EQ(sent, 65535u);
  frames = peer_.Send(FrameBytes(FrameType::kWindowUpdate, 0, 0, Number(100000)));
  for (const Frame& frame : frames) sent += frame.type() == FrameType::kData ? frame.payload.size() : 0;
  EXPECT_EQ(sent, 100005u);
  EXPECT_TRUE(First(frames, FrameType::kHeaders).ends_stream());
}
TEST_F(Http2SessionTest, RefusesAWindowUpdateByNothing) {
  ExpectConnectionError(FrameBytes(FrameType::kWindowUpdate, 0, 0, Number(0)), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesAWindowUpdateByNothingOnAStream) {
  ExpectStreamError(Post(1) + FrameBytes(FrameType::kWindowUpdate, 0, 1, Number(0)), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesAWindowUpdateOfAnotherSize) {
  ExpectConnectionError(FrameBytes(FrameType::kWindowUpdate, 0, 0, "\0\0\1"s), ErrorCode::kFrameSizeError);
}
TEST_F(Http2SessionTest, RefusesAWindowOverItsBound) {
  ExpectConnectionError(FrameBytes(FrameType::kWindowUpdate, 0, 0, Number(0x7fffffff)) +
                            FrameBytes(FrameType::kWindowUpdate, 0, 0, Number(0x7fffffff)),
                        ErrorCode::kFlowControlError);
}
TEST_F(Http2SessionTest, RefusesAStreamsWindowOverItsBound) {
  ExpectStreamError(Post(1) + FrameBytes(FrameType::kWindowUpdate, 0, 1, Number(0x7fffffff)),
                    ErrorCode::kFlowControlError);
}
TEST_F(Http2SessionTest, GivesItsCallersWindowBack) {
  peer_.Greet();
  peer_.Send(Post(1) + FrameBytes(FrameType::kData, 0, 1, std::string(1, '\0') + Number(4'000'000)));
  int64_t stream = 1 << 20, connection = 8 << 20, sent = 0;
  stream -= 5;
  connection -= 5;
  while (sent < 4'000'000) {
    const int64_t size = std::min<int64_t>({16384, 4'000'000 - sent, stream, connection});
    ASSERT_GT(size, 0) << "stuck at " << sent;
    sent += size;
    const std::vector<Frame> frames = peer_.Send(FrameBytes(FrameType::kData, sent == 4'000'000 ? kEndStream : 0, 1,
                                                            std::string(static_cast<size_t>(size), 'x')));
    stream -= size;
    connection -= size;
    for (const Frame& frame : frames) {
      if (frame.type() != FrameType::kWindowUpdate) continue;
      (frame.header.stream == 0 ? connection : stream) += ReadUint32(frame.payload.data());
    }
  }
  EXPECT_EQ(routes_.method.calls, 1);
}
TEST_F(Http2SessionTest, RefusesDataBeyondTheWindowOfAStream) {
  std::string bytes = Headers(1, kEndHeaders, GrpcFields("/t.T/Watch"));
  bytes += FrameBytes(FrameType::kData, 0, 1, Message("w"));  // read no further, so its window is not given back
  for (int i = 0; i < 65; ++i) bytes += FrameBytes(FrameType::kData, 0, 1, std::string(16384, 'x'));
  ExpectStreamError(bytes, ErrorCode::kFlowControlError);
}

// ---- Peers that do not finish, and those that only never stop

// Each read ends within a frame, as it does for a peer that always has more to say.
TEST_F(Http2SessionTest, APeerThatIsAlwaysInTheMiddleOfTheNextFrameIsNotSlow) {
  peer_.Greet();
  std::string bytes;
  for (uint32_t stream = 1; stream < 200; stream += 2) bytes += peer_.Call(stream, "/t.T/Unary", "ping");
  const size_t call = bytes.size() / 100;
  peer_.Send(absl::string_view(bytes).substr(0, call / 2));
  for (size_t i = 0; i < 99; ++i) {
    peer_.Advance(absl::Seconds(5));
    peer_.Send(absl::string_view(bytes).substr(call / 2 + i * call, call));
  }
  peer_.Advance(absl::Seconds(5));
  EXPECT_FALSE(peer_.session().finished());
  EXPECT_EQ(routes_.method.calls, 99);
}

TEST_F(Http2SessionTest, AFrameAndAHeaderBlockHaveToComeToTheirEnd) {
  for (const bool in_block : {false, true}) {
    Http2Peer peer(&routes_.router);
    peer.Greet();
    const std::string block = Block(GrpcFields("/t.T/Unary"));
    const std::string call = FrameBytes(FrameType::kHeaders, 0, 1, block.substr(0, 7));
    peer.Send(in_block ? call : call.substr(0, call.size() - 1));
    int seconds = 0;
    for (; seconds < 600 && !peer.session().finished(); ++seconds) {
      peer.Advance(absl::Seconds(1));
      // A byte of the block a second: whole frames, none of which is its last.
      if (in_block && seconds < 15) peer.Send(FrameBytes(FrameType::kContinuation, 0, 1, block.substr(7 + seconds, 1)));
    }
    EXPECT_LE(seconds, absl::ToInt64Seconds(SessionLimits().request_max) + 2) << in_block;
  }
}

// ---- 6.10 CONTINUATION

TEST_F(Http2SessionTest, ReadsABlockInManyFrames) {
  peer_.Greet();
  const std::string block = Block(GrpcFields("/t.T/Unary"));
  std::string bytes = FrameBytes(FrameType::kHeaders, 0, 1, block.substr(0, 7));
  bytes += FrameBytes(FrameType::kContinuation, 0, 1, "");
  bytes += FrameBytes(FrameType::kContinuation, 0, 1, block.substr(7, 20));
  bytes += FrameBytes(FrameType::kContinuation, kEndHeaders, 1, block.substr(27));
  bytes += FrameBytes(FrameType::kData, kEndStream, 1, Message("x"));
  EXPECT_EQ(First(peer_.Send(bytes), FrameType::kData).payload, Message("x"));
}
TEST_F(Http2SessionTest, EndsAtABlockWithoutEnd) {
  std::string bytes = FrameBytes(FrameType::kHeaders, 0, 1, "");
  for (int i = 0; i < 20; ++i) bytes += FrameBytes(FrameType::kContinuation, 0, 1, "");
  ExpectConnectionError(bytes, ErrorCode::kEnhanceYourCalm);
}

// ---- 8.1 to 8.3 Requests

TEST_F(Http2SessionTest, RefusesMalformedRequests) {
  const Fields cases[] = {
      Get({{"X-Upper", "1"}}),
      Get({{":status", "200"}}),
      Get({{"x", "1"}, {":path", "/"}}),
      Get({{":path", "/again"}}),
      Get({{"connection", "keep-alive"}}),
      Get({{"transfer-encoding", "chunked"}}),
      Get({{"te", "trailers, deflate"}}),
      Get({{"x", "a\nb"}}),
      Get({{"x", " a"}}),
      Get({{"", "a"}}),
      Get({{"content-length", "1"}}),
      {{":scheme", "http"}, {":path", "/echo"}},
      {{":method", "GET"}, {":path", "/echo"}},
      {{":method", "GET"}, {":scheme", "http"}},
      {{":method", "GET"}, {":scheme", "http"}, {":path", ""}},
      {{":method", "GET"}, {":scheme", "http"}, {":path", "no slash"}},
  };
  for (const Fields& fields : cases) {
    Http2Peer peer(&routes_.router);
    peer.Greet();
    const std::vector<Frame> frames = peer.Send(Headers(1, kEndHeaders | kEndStream, fields));
    EXPECT_EQ(First(frames, FrameType::kRstStream).code(), ErrorCode::kProtocolError) << fields.back().first;
    EXPECT_EQ(First(peer.Send(peer.Call(3, "/t.T/Unary", "x")), FrameType::kData).payload, Message("x"));
  }
  EXPECT_EQ(routes_.handler.calls, 0);
}
TEST_F(Http2SessionTest, RefusesABodyOfAnotherLengthThanSaid) {
  const Fields fields = {{":method", "POST"}, {":scheme", "http"}, {":path", "/echo"}, {"content-length", "3"}};
  ExpectStreamError(Headers(1, kEndHeaders, fields) + FrameBytes(FrameType::kData, kEndStream, 1, "four"),
                    ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesABodyShorterThanSaid) {
  const Fields fields = {{":method", "POST"}, {":scheme", "http"}, {":path", "/echo"}, {"content-length", "3"}};
  ExpectStreamError(Headers(1, kEndHeaders, fields) + FrameBytes(FrameType::kData, kEndStream, 1, "a"),
                    ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesTrailersThatDoNotEndTheRequest) {
  ExpectStreamError(Post(1) + Headers(1, kEndHeaders, {{"x", "y"}}), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, RefusesTrailersWithPseudoFields) {
  ExpectStreamError(Post(1) + Headers(1, kEndHeaders | kEndStream, {{":method", "GET"}}), ErrorCode::kProtocolError);
}
TEST_F(Http2SessionTest, TakesTrailers) {
  peer_.Greet();
  const Fields fields = {{":method", "POST"}, {":scheme", "http"}, {":path", "/echo"}, {":authority", "h"}};
  const std::vector<Frame> frames =
      peer_.Send(Headers(1, kEndHeaders, fields) + FrameBytes(FrameType::kData, 0, 1, "body") +
                 Headers(1, kEndHeaders | kEndStream, {{"x-trailer", "1"}}));
  EXPECT_EQ(First(frames, FrameType::kData).payload, "POST /echo h body");
}

// ---- Plain HTTP

TEST_F(Http2SessionTest, AnswersPlainHttp) {
  peer_.Greet();
  std::vector<Frame> frames = peer_.Send(Headers(1, kEndHeaders | kEndStream, Get({{"x-ask", "a"}})));
  EXPECT_EQ(First(frames, FrameType::kHeaders).field(":status"), "200");
  EXPECT_EQ(First(frames, FrameType::kHeaders).field("x-echo"), "a");
  EXPECT_EQ(First(frames, FrameType::kHeaders).field("content-length"), "12");
  EXPECT_EQ(First(frames, FrameType::kData).payload, "GET /echo h ");
  EXPECT_TRUE(First(frames, FrameType::kData).ends_stream());
  routes_.handler.status = 451;
  frames = peer_.Send(
      Headers(3, kEndHeaders | kEndStream, {{":method", "HEAD"}, {":scheme", "http"}, {":path", "/deep/er?q"}}));
  EXPECT_EQ(First(frames, FrameType::kHeaders).field(":status"), "451");
  EXPECT_TRUE(First(frames, FrameType::kHeaders).ends_stream());
  frames =
      peer_.Send(Headers(5, kEndHeaders | kEndStream, {{":method", "GET"}, {":scheme", "http"}, {":path", "/no"}}));
  EXPECT_EQ(First(frames, FrameType::kHeaders).field(":status"), "404");
  frames = peer_.Send(
      Headers(7, kEndHeaders | kEndStream, {{":method", "POST"}, {":scheme", "http"}, {":path", "/t.T/Unary"}}));
  EXPECT_EQ(First(frames, FrameType::kHeaders).field(":status"), "415");
}
TEST_F(Http2SessionTest, RefusesABodyOverItsBound) {
  peer_.Greet();
  const std::vector<Frame> frames = peer_.Send(Headers(
      1, kEndHeaders, {{":method", "POST"}, {":scheme", "http"}, {":path", "/echo"}, {"content-length", "2000000"}}));
  EXPECT_EQ(First(frames, FrameType::kHeaders).field(":status"), "413");
  EXPECT_EQ(First(frames, FrameType::kRstStream).code(), ErrorCode::kNoError);
}

}  // namespace
}  // namespace sluice::http2
