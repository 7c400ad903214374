#include <arpa/inet.h>

#include <memory>
#include <random>
#include <string>

#include "enforcement/check.h"
#include "enforcement/names.h"
#include "gtest/gtest.h"
#include "tests/enforcement/node.h"

namespace sluice {
namespace {

TEST(Decision, KeepsTheNamesThatNothingElseKeeps) {
  auto made = std::make_unique<Decision>();
  made->owner = made->kept.Keep("u1");
  made->bucket = made->kept.Keep(std::string(300, 'b'));
  made->key = made->kept.Keep(std::string(4000, 'k'));
  made->host = "of static storage";
  const Decision copy = *made;
  made->kept.Clear();
  made.reset();
  EXPECT_EQ(copy.owner, "u1");
  EXPECT_EQ(copy.bucket, std::string(300, 'b'));
  EXPECT_EQ(copy.key, std::string(4000, 'k'));
  EXPECT_EQ(copy.host, "of static storage");
}

TEST(Decision, NamesOutliveThePolicyThatResolvedThem) {
  Node node;
  node.StandardFixture();
  node.Send(BindDomain{"cdn.example.cn", "u1", "b1", Geo::kForeign, false});
  CheckInput input;
  input.operation = Operation::kPublicRead;
  input.host = "CDN.Example.CN:443";
  input.path = "/a%20name%20that%20is%20longer%20than%20a%20short%20string";
  const Decision decision = node.Check(input);
  for (const char* account : {"u3", "u4"}) {
    node.Send(BindBucket{"b1", account, "cn"});
    node.Send(BindDomain{"cdn.example.cn", account, "b7", Geo::kForeign, false});
  }
  EXPECT_EQ(decision.owner, "u1");
  EXPECT_EQ(decision.bucket, "b1");
  EXPECT_EQ(decision.host, "cdn.example.cn");
  EXPECT_EQ(decision.key, "a name that is longer than a short string");
}

// The short way to read an IPv4 address against the one of the C library.
TEST(ParseAddress, TakesOfDottedNumbersWhatInetPtonTakes) {
  std::mt19937 random(1);
  const char alphabet[] = "0123456789..19x ";
  for (int i = 0; i < 200000; ++i) {
    std::string text;
    if (i % 2 == 0) {
      for (int part = 0; part < 4; ++part) text += (part > 0 ? "." : "") + std::to_string(random() % 300);
      if (random() % 4 == 0) text[random() % text.size()] = alphabet[random() % 16];
    } else {
      for (size_t size = random() % 16; size > 0; --size) text += alphabet[random() % 16];
    }
    in_addr wanted{};
    const bool valid = inet_pton(AF_INET, text.c_str(), &wanted) == 1;
    const absl::optional<AddressBlock> got = ParseAddress(text);
    ASSERT_EQ(got.has_value(), valid) << text;
    if (valid) {
      ASSERT_EQ(memcmp(got->bytes.data(), &wanted, 4), 0) << text;
    }
  }
}

}  // namespace
}  // namespace sluice
