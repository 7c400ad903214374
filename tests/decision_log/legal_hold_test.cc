#include "decision_log/legal_hold.h"

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "decision_log/record.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/enforcement/node.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

bool GoOn() { return true; }

void HoldWhatIsBelowHeldCn(Node* node) {
  PlaceHold hold;
  hold.hold_id = "h1";
  hold.subject.host = "*.held.cn";
  node->Send(hold);
}

TEST(LegalHoldTest, KnowsNothingWithoutAPolicy) {
  Node node;
  EXPECT_EQ(HeldTerms(node.index(), node.now(), GoOn), absl::nullopt);
  node.StandardFixture();
  EXPECT_NE(HeldTerms(node.index(), node.now(), GoOn), absl::nullopt);
}

TEST(LegalHoldTest, NamesWhatHoldsAndCriticalFlagsKeepAndWhoOwnsIt) {
  Node node;
  node.StandardFixture();
  const auto held = [&] { return HeldTerms(node.index(), node.now(), GoOn).value(); };
  EXPECT_THAT(held(), IsEmpty());

  PlaceHold hold;
  hold.hold_id = "h1";
  hold.subject.bucket = "b1";
  hold.subject.key = "k1";
  node.Send(hold);
  EXPECT_THAT(held(), Contains(TermHash(LogTerm::kBucket, "b1")));
  EXPECT_THAT(held(), Contains(TermHash(LogTerm::kAccount, "u1")));
  EXPECT_THAT(held(), Not(Contains(TermHash(LogTerm::kAccount, "u2"))));

  RaiseFlag flag;
  flag.flag_id = "f1";
  flag.subject.bucket = "b9";
  flag.subject.key = "k9";
  flag.category = "3.1.3.5.4";
  flag.severity = Severity::kCritical;
  EXPECT_EQ(node.Send(flag, Role::kModeration).outcome, Outcome::kApplied);
  EXPECT_THAT(held(), Contains(TermHash(LogTerm::kAccount, "u2")));

  node.Send(ReleaseHold{"h1"});
  EXPECT_THAT(held(), Not(Contains(TermHash(LogTerm::kBucket, "b1"))));
}

TEST(LegalHoldTest, NamesTheHostsBelowAWildcardAndWhoOwnsThem) {
  Node node;
  node.StandardFixture();
  BindDomain bind;
  bind.host = "a.held.cn";
  bind.account = "u1";
  node.Send(bind);
  bind.host = "b.unheld.cn";
  bind.account = "u2";
  node.Send(bind);
  HoldWhatIsBelowHeldCn(&node);
  const std::vector<uint64_t> terms = HeldTerms(node.index(), node.now(), GoOn).value();
  EXPECT_THAT(terms, Contains(TermHash(LogTerm::kHost, "a.held.cn")));
  EXPECT_THAT(terms, Contains(TermHash(LogTerm::kAccount, "u1")));
  EXPECT_THAT(terms, Not(Contains(TermHash(LogTerm::kHost, "b.unheld.cn"))));
  EXPECT_THAT(terms, Not(Contains(TermHash(LogTerm::kAccount, "u2"))));
}

TEST(LegalHoldTest, DoesOtherWorkWhileItWalksAndGivesUpWhenTold) {
  Node node;
  node.StandardFixture();
  HoldWhatIsBelowHeldCn(&node);
  for (int i = 0; i < 1000; ++i) node.Send(BindDomain{.host = absl::StrCat("h", i, ".held.cn"), .account = "u1"});
  int calls = 0;
  const auto thrice = [&] { return ++calls <= 3; };
  EXPECT_NE(HeldTerms(node.index(), node.now(), thrice), absl::nullopt);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(HeldTerms(node.index(), node.now(), thrice), absl::nullopt);
  EXPECT_EQ(calls, 4);
}

// ThreadSanitizer says whether what a reader looks at is the writer's.
TEST(LegalHoldTest, IsAskedWhileHostsAreBound) {
  Node node;
  node.StandardFixture();
  HoldWhatIsBelowHeldCn(&node);
  std::vector<Entity> hosts(1000);
  for (size_t i = 0; i < hosts.size(); ++i) hosts[i].key = {EntityKind::kDomain, absl::StrCat("h", i, ".held.cn")};
  // As a store does that was told of them all: the fixture's is not for two threads.
  node.index().SetEach([&](EntityKind, const std::function<void(const Entity&)>& visit) {
    for (const Entity& host : hosts) visit(host);
  });
  std::atomic<bool> done = false;
  const Moment now = node.now();
  std::thread asking([&] {
    while (!done)
      EXPECT_THAT(HeldTerms(node.index(), now, GoOn).value(), Contains(TermHash(LogTerm::kHost, "h1.held.cn")));
  });
  for (const Entity& host : hosts) {
    BindDomain bind;
    bind.host = host.key.id;
    bind.account = "u1";
    node.Send(bind);
  }
  done = true;
  asking.join();
  EXPECT_THAT(HeldTerms(node.index(), now, GoOn).value(), Contains(TermHash(LogTerm::kAccount, "u1")));
}

}  // namespace
}  // namespace sluice
