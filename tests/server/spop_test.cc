// SPOP 2.0: the wire, an agent's connection, and what it answers to HAProxy's messages.
#include "server/doors/spop.h"

#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/doors/spop_agent.h"
#include "tests/server/door_node.h"

namespace sluice {
namespace {

TEST(Spop, NumbersOfEverySize) {
  for (const uint64_t value : {uint64_t{0}, uint64_t{239}, uint64_t{240}, uint64_t{2287}, uint64_t{2288},
                               uint64_t{264431}, uint64_t{264432}, uint64_t{1} << 40, ~uint64_t{0}}) {
    std::string bytes;
    AppendSpopVarint(value, &bytes);
    uint64_t read = 1;
    SpopReader reader(bytes);
    EXPECT_TRUE(reader.Varint(&read));
    EXPECT_EQ(read, value);
    EXPECT_TRUE(reader.done());
    for (size_t i = 0; i < bytes.size(); ++i) {
      SpopReader cut(absl::string_view(bytes).substr(0, i));
      EXPECT_FALSE(cut.Varint(&read));
    }
  }
  std::string bytes;  // 240 | 0, then (2288 - 240) >> 4 = 128 in two bytes
  AppendSpopVarint(2288, &bytes);
  EXPECT_EQ(bytes, std::string("\xF0\x80\x00", 3));
  SpopReader endless("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01");
  uint64_t read = 0;
  EXPECT_FALSE(endless.Varint(&read));
}

// What an ACK sets, as text.
using Variables = std::map<std::string, std::string>;
Variables VariablesOf(absl::string_view payload) {
  Variables variables;
  SpopReader reader(payload);
  while (!reader.done()) {
    uint8_t type = 0, count = 0, scope = 0;
    absl::string_view name;
    SpopValue value;
    EXPECT_TRUE(reader.Byte(&type) && reader.Byte(&count) && reader.Byte(&scope) && reader.Text(&name) &&
                reader.Value(&value));
    EXPECT_EQ(type, 1);
    EXPECT_EQ(count, 3);
    EXPECT_EQ(scope, 2);
    variables[std::string(name)] = value.kind == SpopValue::Kind::kBool     ? (value.flag ? "true" : "false")
                                   : value.kind == SpopValue::Kind::kNumber ? std::to_string(value.number)
                                                                            : std::string(value.text);
  }
  return variables;
}

std::string Hello(const std::string& versions = "1.0, 2.0", uint32_t size = 16380, bool health = false) {
  std::string payload, frame;
  AppendSpopEntry("supported-versions", versions, &payload);
  AppendSpopEntry("max-frame-size", size, &payload);
  AppendSpopEntry("capabilities", "pipelining,async", &payload);
  if (health) {
    AppendSpopText("healthcheck", &payload);
    payload.push_back('\x11');
  }
  AppendSpopFrame(SpopType::kHaproxyHello, 0, 0, payload, &frame);
  return frame;
}

std::string Notify(uint64_t stream, const std::string& message,
                   const std::vector<std::pair<std::string, std::string>>& arguments) {
  std::string payload, frame;
  AppendSpopText(message, &payload);
  payload.push_back(static_cast<char>(arguments.size()));
  for (const auto& [name, value] : arguments) AppendSpopEntry(name, value, &payload);
  AppendSpopFrame(SpopType::kNotify, stream, 1, payload, &frame);
  return frame;
}

class SpopAgentTest : public DoorTest {
 protected:
  // Frames that the agent answers `bytes` with.
  std::vector<SpopFrame> Send(const std::string& bytes) {
    out_.clear();
    EXPECT_EQ(agent_.Receive(bytes, &out_), bytes.size());
    std::vector<SpopFrame> frames;
    for (absl::string_view rest = out_; rest.size() >= 4;) {
      size_t length = 0;
      for (size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<uint8_t>(rest[i]);
      const absl::optional<SpopFrame> frame = ReadSpopFrame(rest.substr(4, length));
      EXPECT_TRUE(frame);
      if (frame) frames.push_back(*frame);
      rest.remove_prefix(4 + length);
    }
    return frames;
  }
  Variables Check(const std::string& path, const std::string& method = "GET") {
    const auto frames = Send(Notify(
        7, "check",
        {{"method", method}, {"path", path}, {"host", "s3.example.cn"}, {"src", "203.0.113.9"}, {"request_id", "r1"}}));
    EXPECT_EQ(frames.size(), 1u);
    if (frames.empty()) return {};
    EXPECT_EQ(frames[0].type, SpopType::kAck);
    EXPECT_EQ(frames[0].stream_id, 7u);
    return VariablesOf(frames[0].payload);
  }

  SpoeDoor door_{&options_, &node_.checker()};
  SpopAgent agent_{&door_};
  std::string out_;
};

TEST_F(SpopAgentTest, GreetsAndAnswers) {
  const auto hello = Send(Hello());
  ASSERT_EQ(hello.size(), 1u);
  EXPECT_EQ(hello[0].type, SpopType::kAgentHello);
  EXPECT_EQ(Check("/b1/k")["allowed"], "true");
  Variables frozen = Check("/b2/k");
  EXPECT_EQ(frozen["allowed"], "false");
  EXPECT_EQ(frozen["status"], "403");
  EXPECT_EQ(frozen["reason"], "ACCOUNT_FROZEN");
  EXPECT_THAT(frozen["body"], testing::HasSubstr("<Code>AccountProblem</Code>"));
  Variables ordered = Check("/b1/ordered");
  EXPECT_EQ(ordered["status"], "451");
  EXPECT_THAT(ordered["link"], testing::HasSubstr("blocked-by"));
  EXPECT_EQ(Check("/b3/k")["allowed"], "true");
  Variables throttled = Check("/b3/k");
  EXPECT_EQ(throttled["retry_after"], "4");
  EXPECT_EQ(throttled["ratelimit_policy"], "\"requests\";q=1;w=4");
  EXPECT_EQ(throttled["ratelimit"], "\"requests\";r=0;t=4");
  EXPECT_EQ(Check("/b4/k")["rate"], "1000");
  Variables unmapped = Check("/b1/k", "BREW");
  EXPECT_EQ(unmapped["allowed"], "false");
  EXPECT_EQ(unmapped["status"], "400");
}

TEST_F(SpopAgentTest, PipelinedAndInPieces) {
  Send(Hello());
  std::string bytes;
  for (uint64_t i = 1; i <= 50; ++i) {
    bytes += Notify(i, "check", {{"method", "GET"}, {"path", i % 2 == 0 ? "/b1/k" : "/b2/k"}, {"host", "h.cn"}});
  }
  EXPECT_EQ(Send(bytes).size(), 50u);
  // Byte by byte, as a socket may bring it.
  std::string out, pending;
  for (const char c : bytes) {
    pending.push_back(c);
    pending.erase(0, agent_.Receive(pending, &out));
  }
  EXPECT_TRUE(pending.empty());
  EXPECT_EQ(out, out_);
}

TEST_F(SpopAgentTest, HealthCheckIsOneGreeting) {
  EXPECT_EQ(Send(Hello("2.0", 16380, true))[0].type, SpopType::kAgentHello);
  EXPECT_TRUE(agent_.finished());
}

TEST_F(SpopAgentTest, ReportsCharge) {
  SetLimit limit;
  limit.limit_id = "l9";
  limit.level = Level::kContract;
  limit.scope = LimitScope::kAccount;
  limit.subject.account = "u1";
  limit.dimension = Dimension::kBytesOut;
  limit.rate = 1000;
  node_.Apply(limit);
  Send(Hello());
  EXPECT_EQ(Check("/b1/k")["allowed"], "true");
  std::string payload, frame;
  AppendSpopText("report", &payload);
  payload.push_back(2);
  AppendSpopEntry("bucket", "b1", &payload);
  AppendSpopEntry("bytes_out", uint32_t{5000}, &payload);
  AppendSpopFrame(SpopType::kNotify, 1, 1, payload, &frame);
  EXPECT_EQ(Send(frame)[0].payload, "");
  EXPECT_EQ(Check("/b1/k")["allowed"], "false");
}

TEST_F(SpopAgentTest, ReportsNameAnObjectByThePathOfItsHost) {
  node_.Apply(LimitOfOneObject("b1", "a b"));
  Send(Hello());
  EXPECT_EQ(Check("/b1/a%20b")["allowed"], "true");
  std::string payload, frame;
  AppendSpopText("report", &payload);
  payload.push_back(3);
  AppendSpopEntry("host", "www.example.cn", &payload);
  AppendSpopEntry("path", "/a%20b?x=1", &payload);
  AppendSpopEntry("bytes_out", uint32_t{5000}, &payload);
  AppendSpopFrame(SpopType::kNotify, 1, 1, payload, &frame);
  EXPECT_EQ(Send(frame)[0].payload, "");
  EXPECT_EQ(Check("/b1/a%20b")["allowed"], "false");
  EXPECT_EQ(Check("/b1/k")["allowed"], "true");
}

TEST_F(SpopAgentTest, RefusesWhatIsNotTheProtocol) {
  const auto refused = [](const std::string& bytes) {
    DoorOptions options;
    TestNode node;
    SpoeDoor door(&options, &node.checker());
    SpopAgent agent(&door);
    std::string out;
    agent.Receive(bytes, &out);
    return agent.finished();
  };
  EXPECT_TRUE(refused(Hello("1.0")));
  EXPECT_TRUE(refused(Hello("2.0", 100)));
  EXPECT_TRUE(refused(Notify(1, "check", {})));              // before the greeting
  EXPECT_TRUE(refused(std::string("\xFF\xFF\xFF\xFF", 4)));  // too big
  EXPECT_TRUE(refused(std::string("\0\0\0\1\1", 5)));
  EXPECT_TRUE(refused("GET / HTTP/1.1\r\n\r\n"));
  std::string fragment = Hello();
  fragment[8] = 0;  // FIN
  EXPECT_TRUE(refused(fragment));
  EXPECT_TRUE(refused(Hello() + Hello()));
  EXPECT_FALSE(refused(Hello()));
}

}  // namespace
}  // namespace sluice
