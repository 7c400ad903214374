#include "enforcement/engine.h"

#include <atomic>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/enforcement/node.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class EngineTest : public ::testing::Test {
 protected:
  EngineTest() {
    node_.StandardFixture();
    object_.bucket = "b1";
    object_.key = "k1";
    bucket_.bucket = "b1";
    account_.account = "u1";
  }
  void Raise(const char* id, const Subject& subject, Severity severity, const char* category = "3.1.3.5.3",
             Role role = Role::kModeration) {
    RaiseFlag flag;
    flag.flag_id = id;
    flag.subject = subject;
    flag.category = category;
    flag.severity = severity;
    ASSERT_EQ(node_.Send(flag, role).outcome, Outcome::kApplied);
  }
  Decision Check(Operation operation, const char* requester = "", const char* key = "k1") {
    return node_.Check(Ask(operation, requester, "b1", key));
  }
  SetLimit Requests(const char* id, LimitScope scope, double rate, Level level = Level::kWebPage) {
    SetLimit limit;
    limit.limit_id = id;
    limit.level = level;
    limit.scope = scope;
    limit.dimension = Dimension::kRequests;
    limit.rate = rate;
    return limit;
  }

  Node node_;
  Subject object_, bucket_, account_;
};

TEST_F(EngineTest, ReviewClosesAnObjectToAllButItsOwner) {
  Raise("f1", object_, Severity::kReview);
  EXPECT_EQ(Check(Operation::kPublicRead).reason, Reason::kContentUnderReview);
  EXPECT_EQ(Check(Operation::kPublicRead).verdict, Verdict::kDeny);
  EXPECT_EQ(Check(Operation::kDownload, "u2").verdict, Verdict::kDeny);
  EXPECT_EQ(Check(Operation::kDownload, "u1").verdict, Verdict::kAllow);
  EXPECT_THAT(Check(Operation::kDownload, "u1").warnings, ElementsAre(Reason::kContentUnderReview));
  EXPECT_EQ(Check(Operation::kProcess, "u1").verdict, Verdict::kAllow);
  EXPECT_EQ(Check(Operation::kUpload, "u2").verdict, Verdict::kAllow);
}

TEST_F(EngineTest, EvidenceOfABucketLeavesNewKeysOpen) {
  node_.Send(PlaceHold{"h1", bucket_}, Role::kLegal);
  EXPECT_EQ(Check(Operation::kUpload, "u1").reason, Reason::kEvidenceHold);
  CheckInput fresh = Ask(Operation::kUpload, "u1", "b1", "k2");
  fresh.new_key = true;
  EXPECT_EQ(node_.Check(fresh).verdict, Verdict::kAllow);
  EXPECT_EQ(Check(Operation::kDelete, "u1").clause, "3.1.3.10");
  EXPECT_EQ(Check(Operation::kDownload, "u1").verdict, Verdict::kAllow);
}

TEST_F(EngineTest, ABucketWithEvidenceInsideIsNotDeleted) {
  node_.Send(PlaceHold{"h1", object_}, Role::kLegal);
  EXPECT_EQ(node_.Check(Ask(Operation::kDeleteBucket, "u1", "b1", "")).reason, Reason::kEvidenceHold);
  EXPECT_EQ(node_.Check(Ask(Operation::kDeleteBucket, "u1", "b2", "")).verdict, Verdict::kAllow);
  EXPECT_EQ(node_.Check(Ask(Operation::kManageWrite, "u1", "b1", "")).verdict, Verdict::kAllow);
}

TEST_F(EngineTest, ADeletionThatNamesNoKeyIsOneOfAllThatAreThere) {
  EXPECT_EQ(node_.Check(Ask(Operation::kDelete, "u1", "b1", "")).verdict, Verdict::kAllow);
  Subject inside;
  inside.bucket = "b1";
  inside.prefix = "deep/";
  Raise("a", inside, Severity::kCritical, "3.1.3.5.2");
  EXPECT_EQ(node_.Check(Ask(Operation::kDelete, "u1", "b1", "")).rule_id, "a");
  node_.Send(PlaceHold{"z", object_}, Role::kLegal);
  node_.Send(PlaceHold{"y", object_}, Role::kLegal);
  const Decision decision = node_.Check(Ask(Operation::kDelete, "u1", "b1", ""));
  EXPECT_EQ(decision.reason, Reason::kEvidenceHold);
  EXPECT_EQ(decision.rule_id, "y");
  EXPECT_EQ(node_.Check(Ask(Operation::kDelete, "u1", "b2", "")).verdict, Verdict::kAllow);
  EXPECT_EQ(Check(Operation::kDelete, "u1", "k2").verdict, Verdict::kAllow);  // by name it can be
  node_.Send(ReleaseHold{"y"}, Role::kLegal);
  node_.Send(ReleaseHold{"z"}, Role::kLegal);
  EXPECT_EQ(node_.Check(Ask(Operation::kDelete, "u1", "b1", "")).rule_id, "a");
  node_.Send(ClearFlag{"a"}, Role::kModeration);
  EXPECT_EQ(node_.Check(Ask(Operation::kDelete, "u1", "b1", "")).verdict, Verdict::kAllow);
}

TEST_F(EngineTest, WhoeverMayDeleteWhatItDoesNotNameIsStoppedByWhateverItsOwnerKeeps) {
  CheckInput batch = Ask(Operation::kManageWrite, "u1", "", "");
  const CheckInput plain = batch;
  batch.deletes_unnamed = true;
  Subject of_other = object_;
  of_other.bucket = "b9";
  node_.Send(PlaceHold{"a", of_other}, Role::kLegal);
  EXPECT_EQ(node_.Check(batch).verdict, Verdict::kAllow);
  Subject second = object_;
  second.bucket = "b2";
  node_.Send(PlaceHold{"h2", object_}, Role::kLegal);
  node_.Send(PlaceHold{"h1", second}, Role::kLegal);
  EXPECT_EQ(node_.Check(batch).reason, Reason::kEvidenceHold);
  EXPECT_EQ(node_.Check(batch).rule_id, "h1");
  EXPECT_EQ(node_.Check(plain).verdict, Verdict::kAllow);
  node_.Send(ReleaseHold{"h1"}, Role::kLegal);
  node_.Send(ReleaseHold{"h2"}, Role::kLegal);
  EXPECT_EQ(node_.Check(batch).verdict, Verdict::kAllow);
  node_.Send(PlaceHold{"h3", account_}, Role::kLegal);
  EXPECT_EQ(node_.Check(batch).rule_id, "h3");
}

TEST_F(EngineTest, WhatIsMovedIsDeletedWhereItWas) {
  CheckInput copy = Ask(Operation::kUpload, "u1", "b2", "k2");
  copy.copy_source = {"b1", "k1", "", true};
  CheckInput move = copy;
  move.moves_source = true;
  EXPECT_EQ(node_.Check(move).verdict, Verdict::kAllow);
  node_.Send(PlaceHold{"h1", object_}, Role::kLegal);
  EXPECT_EQ(node_.Check(copy).verdict, Verdict::kAllow);
  EXPECT_EQ(node_.Check(move).reason, Reason::kEvidenceHold);
  EXPECT_EQ(node_.Check(move).rule_id, "h1");
  node_.Send(ReleaseHold{"h1"}, Role::kLegal);

  IssueOrder order;
  order.order_id = "o1";
  order.subjects = {object_};
  order.operations = {Operation::kDelete};
  node_.Send(order, Role::kLegal);
  EXPECT_EQ(node_.Check(copy).verdict, Verdict::kAllow);
  EXPECT_EQ(node_.Check(move).reason, Reason::kLegalOrder);
  node_.Send(LiftOrder{"o1"}, Role::kLegal);

  Restrict restriction;
  restriction.restriction_id = "r1";
  restriction.subject = bucket_;
  restriction.kind = RestrictionKind::kReadOnly;
  node_.Send(restriction, Role::kSecurity);
  EXPECT_EQ(node_.Check(copy).verdict, Verdict::kAllow);
  EXPECT_EQ(node_.Check(move).reason, Reason::kReadOnly);
}

TEST_F(EngineTest, TheHoldSpeaksBeforeTheCriticalFlag) {
  Raise("a", object_, Severity::kCritical);
  node_.Send(PlaceHold{"z", object_}, Role::kLegal);
  EXPECT_EQ(Check(Operation::kDelete, "u1").rule_id, "z");
}

TEST_F(EngineTest, OfFlagsOfOneReasonTheSeverestThenTheSmallestIdSpeaks) {
  Raise("f2", object_, Severity::kBlock);
  Raise("f1", object_, Severity::kBlock, "3.1.3.5.4");
  EXPECT_EQ(Check(Operation::kPublicRead).rule_id, "f1");
  Raise("f9", object_, Severity::kCritical, "3.1.3.5.1");
  const Decision decision = Check(Operation::kPublicRead);
  EXPECT_EQ(decision.rule_id, "f9");
  EXPECT_EQ(decision.clause, "3.1.3.5.1");
  EXPECT_THAT(decision.all_reasons, ElementsAre(Reason::kContentProhibited));
}

TEST_F(EngineTest, AnExceptionLetsItsSubjectPassUnderThatFlagAlone) {
  Raise("f1", bucket_, Severity::kBlock);
  node_.Send(GrantException{"f1", object_}, Role::kModeration);
  EXPECT_EQ(Check(Operation::kPublicRead).verdict, Verdict::kAllow);
  EXPECT_EQ(Check(Operation::kPublicRead, "", "k2").verdict, Verdict::kDeny);
  Raise("f2", bucket_, Severity::kBlock);
  EXPECT_EQ(Check(Operation::kPublicRead).rule_id, "f2");
}

TEST_F(EngineTest, AnAddressBlockAndAWildcardHostMeetWhatTheyCover) {
  Subject block, hosts;
  block.client_ip = "203.0.113.0/24";
  hosts.host = "*.example.org";
  Raise("f1", block, Severity::kBlock, "3.1.3.7", Role::kSecurity);
  Raise("f2", hosts, Severity::kBlock);
  CheckInput input = Ask(Operation::kPublicRead, "", "b1", "k1");
  input.client_ip = "203.0.113.200";
  EXPECT_EQ(node_.Check(input).rule_id, "f1");
  input.client_ip = "::ffff:203.0.113.200";
  EXPECT_EQ(node_.Check(input).rule_id, "f1");
  input.client_ip = "203.0.114.1";
  EXPECT_EQ(node_.Check(input).verdict, Verdict::kAllow);
  input.host = "a.b.example.org:80";
  input.region = "sg";
  EXPECT_EQ(node_.Check(input).rule_id, "f2");
  input.host = "example.org";
  EXPECT_EQ(node_.Check(input).verdict, Verdict::kAllow);
}

TEST_F(EngineTest, CopyingIsJudgedAsAReadOfItsSource) {
  node_.Send(Freeze{"u2"});
  CheckInput copy = Ask(Operation::kUpload, "u1", "b1", "k2");
  copy.copy_source = {"b9", "k9", "", true};
  EXPECT_EQ(node_.Check(copy).reason, Reason::kAccountFrozen);
  copy.copy_source = {"b1", "k1", "", true};
  EXPECT_EQ(node_.Check(copy).verdict, Verdict::kAllow);
  Raise("f1", object_, Severity::kBlock);
  EXPECT_EQ(node_.Check(copy).reason, Reason::kContentProhibited);
}

TEST_F(EngineTest, AnUnknownOperationIsJudgedAsTheStrictest) {
  node_.Send(Withhold{"u1"});
  EXPECT_EQ(Check(Operation::kUnspecified, "u1").verdict, Verdict::kDeny);
  EXPECT_EQ(Check(static_cast<Operation>(200), "u1").verdict, Verdict::kDeny);
  EXPECT_EQ(Check(Operation::kDownload, "u1").verdict, Verdict::kAllow);
}

TEST_F(EngineTest, PolicyOlderThanAskedForIsStale) {
  CheckInput input = Ask(Operation::kPublicRead, "", "b1", "k1");
  input.min_revision = node_.engine().revision() + 1;
  const Decision decision = node_.Check(input);
  EXPECT_EQ(decision.reason, Reason::kStalePolicy);
  EXPECT_EQ(decision.fault, Fault::kProvider);
  EXPECT_EQ(decision.http.status, 503);
}

TEST_F(EngineTest, ADeniedRequestSpendsNothingAndAThrottledOneNeither) {
  node_.Send(Requests("l1", LimitScope::kAccount, 10));
  SetLimit named = Requests("l2", LimitScope::kBucket, 2);
  named.subject = bucket_;
  node_.Send(named);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Check(Operation::kPublicRead).verdict, Verdict::kAllow);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(Check(Operation::kPublicRead).verdict, Verdict::kThrottle);
  // Eight of ten are left for the other bucket.
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(node_.Check(Ask(Operation::kPublicRead, "", "b2", "k")).verdict, Verdict::kAllow) << i;
  }
  EXPECT_EQ(node_.Check(Ask(Operation::kPublicRead, "", "b2", "k")).rule_id, "l1");
}

TEST_F(EngineTest, ALimitReplacedUnderItsIdKeepsWhatIsSpentAndOneSetAnewStartsFull) {
  node_.Send(Requests("l1", LimitScope::kBucket, 5));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Check(Operation::kPublicRead).verdict, Verdict::kAllow);
  node_.Send(Requests("l1", LimitScope::kBucket, 5));
  EXPECT_EQ(Check(Operation::kPublicRead).verdict, Verdict::kThrottle);
  node_.Send(ClearLimit{"l1"});
  EXPECT_EQ(Check(Operation::kPublicRead).verdict, Verdict::kAllow);
  node_.Send(Requests("l1", LimitScope::kBucket, 5));
  EXPECT_EQ(Check(Operation::kPublicRead).verdict, Verdict::kAllow);
}

TEST_F(EngineTest, NamedLimitsBeatDefaultsOfTheirLevelAndLoseToHigherOnes) {
  node_.Send(Requests("page", LimitScope::kBucket, 1));
  SetLimit named = Requests("named", LimitScope::kBucket, 3);
  named.subject = bucket_;
  node_.Send(named);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Check(Operation::kPublicRead).verdict, Verdict::kAllow);
  EXPECT_EQ(Check(Operation::kPublicRead).rule_id, "named");
  node_.Send(Requests("contract", LimitScope::kBucket, 2, Level::kContract));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Check(Operation::kPublicRead).verdict, Verdict::kAllow);
  EXPECT_EQ(Check(Operation::kPublicRead).rule_id, "contract");
}

// What decides many keeps one decision: nothing of one answer is to be found in the next.
TEST_F(EngineTest, ADecisionThatWasUsedBeforeIsAsANewOne) {
  SetLimit few = Requests("l1", LimitScope::kBucket, 1);
  few.subject = bucket_;
  node_.Send(few);
  Raise("f1", object_, Severity::kBlock);
  node_.Send(Freeze{"u2"});
  std::vector<CheckInput> asked = {Ask(Operation::kPublicRead, "", "b1", "a"),
                                   Ask(Operation::kPublicRead, "", "b1", "a"),
                                   Ask(Operation::kPublicRead, "", "b1", "k1"),
                                   Ask(Operation::kPublicRead, "", "b9", "k"), Ask(Operation::kPay, "u2", "", "")};
  asked.push_back(asked.front());
  asked.back().min_revision = node_.engine().revision() + 1;
  std::vector<Verdict> verdicts;
  Decision used;
  for (const CheckInput& input : asked) {
    node_.engine().Check(input, node_.now(), &used);
    verdicts.push_back(used.verdict);
  }
  EXPECT_THAT(verdicts, ElementsAre(Verdict::kAllow, Verdict::kThrottle, Verdict::kDeny, Verdict::kDeny,
                                    Verdict::kAllow, Verdict::kDeny));
  for (const CheckInput& input : asked) {
    const Decision fresh = node_.Check(input);
    node_.engine().Check(input, node_.now(), &used);
    EXPECT_EQ(used.reason, fresh.reason);
    EXPECT_EQ(used.fault, fresh.fault);
    EXPECT_EQ(used.clause, fresh.clause);
    EXPECT_EQ(used.rule_id, fresh.rule_id);
    EXPECT_EQ(used.set_by, fresh.set_by);
    EXPECT_EQ(used.dimension, fresh.dimension);
    EXPECT_EQ(used.revision, fresh.revision);
    EXPECT_EQ(used.cache_for_ms, fresh.cache_for_ms);
    EXPECT_EQ(used.recheck_after_ms, fresh.recheck_after_ms);
    EXPECT_EQ(used.http.status, fresh.http.status);
    EXPECT_EQ(used.owner, fresh.owner);
    EXPECT_EQ(used.key, fresh.key);
    EXPECT_EQ(used.warnings, fresh.warnings);
    EXPECT_EQ(used.all_reasons, fresh.all_reasons);
  }
}

TEST_F(EngineTest, PayingIsMetByNoLimitFlagOrFreeze) {
  node_.Send(Requests("l1", LimitScope::kAccount, 0));
  node_.Send(Freeze{"u1"});
  Raise("f1", account_, Severity::kCritical);
  EXPECT_EQ(node_.Check(Ask(Operation::kPay, "u1", "", "")).verdict, Verdict::kAllow);
  EXPECT_EQ(node_.Check(Ask(Operation::kManageRead, "u1", "", "")).verdict, Verdict::kAllow);
}

TEST_F(EngineTest, ExplainSpendsNothingAndListsEveryRuleInOrder) {
  node_.Send(Requests("l1", LimitScope::kBucket, 1));
  node_.Send(Freeze{"u1"});
  Raise("f1", object_, Severity::kBlock);
  std::vector<ExplainStep> steps;
  for (int i = 0; i < 10; ++i) {
    steps.clear();
    const Decision decision = node_.engine().Explain(Ask(Operation::kPublicRead, "", "b1", "k1"), node_.now(), &steps);
    EXPECT_EQ(decision.verdict, Verdict::kDeny);
    EXPECT_THAT(decision.all_reasons, ElementsAre(Reason::kContentProhibited, Reason::kAccountFrozen));
  }
  std::vector<std::string> matched;
  for (const ExplainStep& step : steps) {
    if (step.matched) matched.push_back(step.rule);
  }
  EXPECT_THAT(matched, ElementsAre("flag f1", "standing of the owner"));
  EXPECT_GT(steps.size(), 15u);
  node_.Send(Unfreeze{"u1"});
  node_.Send(ClearFlag{"f1"}, Role::kModeration);
  EXPECT_EQ(Check(Operation::kPublicRead).verdict, Verdict::kAllow);
}

TEST_F(EngineTest, ThirdPartiesAreToldNothing) {
  node_.Send(Freeze{"u1"});
  const Decision decision = Check(Operation::kPublicRead);
  for (const char* word : {"u1", "b1", "k1", "frozen", "arrears", "FROZEN"}) {
    EXPECT_THAT(std::string(decision.http.message), ::testing::Not(HasSubstr(word)));
  }
  EXPECT_FALSE(decision.http.message.empty());
}

TEST_F(EngineTest, AnswersThatCountAreNotForKeeping) {
  EXPECT_GT(Check(Operation::kPublicRead).cache_for_ms, 0);
  EXPECT_LE(Check(Operation::kPublicRead).cache_for_ms, 5000);
  node_.Send(Requests("l1", LimitScope::kBucket, 100));
  EXPECT_EQ(Check(Operation::kPublicRead).cache_for_ms, 0);
}

TEST_F(EngineTest, ValidateNamesTheFieldThatIsWrong) {
  CheckInput input;
  input.key = std::string(kKeyBytesMax + 1, 'k');
  const std::string long_key(kKeyBytesMax + 1, 'k');
  input.key = long_key;
  EXPECT_THAT(std::string(Engine::Validate(input).message()), HasSubstr("key: want at most 4096 bytes, got 4097"));
  input.key = "";
  input.client_ip = "10.0.0.1:80";
  EXPECT_THAT(std::string(Engine::Validate(input).message()), HasSubstr("client_ip"));
  EXPECT_TRUE(Engine::Validate(CheckInput()).ok());
}

TEST_F(EngineTest, DescribesWhatBearsOnAnObject) {
  Raise("f1", object_, Severity::kBlock);
  Raise("f2", account_, Severity::kReview);
  node_.Send(Requests("l1", LimitScope::kBucket, 100));
  const Description description = node_.engine().Describe(object_, node_.now());
  EXPECT_EQ(description.owner, "u1");
  ASSERT_EQ(description.in_force.size(), 3u);
  EXPECT_EQ(description.in_force[0].id, "f1");
  EXPECT_EQ(description.in_force[1].id, "f2");
  EXPECT_EQ(description.in_force[2].id, "l1");
}

TEST(Engine, AnEmptyPolicyIsNotReady) {
  Node node;
  const Decision decision = node.Check(Ask(Operation::kPublicRead, "", "b1", "k1"));
  EXPECT_EQ(decision.reason, Reason::kNotReady);
  EXPECT_EQ(decision.fault, Fault::kProvider);
  EXPECT_THAT(decision.warnings, IsEmpty());
}

// Readers see one whole policy or the next, never half of each.
TEST(Engine, ReadersSeeWholeRevisionsWhileTheWriterPublishes) {
  Node node;
  node.StandardFixture();
  Subject b1, b2;
  b1.bucket = "b1";
  b2.bucket = "b2";
  std::atomic<bool> stop{false};
  std::atomic<int64_t> checks{0};
  const Moment now = node.now();
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      int64_t last = 0;
      while (!stop.load()) {
        const Decision decision = node.engine().Check(Ask(Operation::kPublicRead, "", "b1", "k1"), now);
        ASSERT_GE(decision.revision, last);
        ASSERT_EQ(decision.verdict == Verdict::kDeny, decision.rule_id == "o1");
        last = decision.revision;
        ++checks;
      }
    });
  }
  for (int i = 0; i < 200 || checks.load() < 1000; ++i) {
    IssueOrder order;
    order.order_id = "o1";
    order.subjects = {b1, b2};
    ASSERT_EQ(node.Send(order).outcome, Outcome::kApplied);
    ASSERT_EQ(node.Send(LiftOrder{"o1"}).outcome, Outcome::kApplied);
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

std::string Text(const Decision& decision) {
  std::string text = absl::StrCat(Name(decision.verdict), " ", Name(decision.reason), " ", decision.clause, " ",
                                  decision.rule_id, " ", decision.retry_after_ms, " ", decision.cache_for_ms, " ",
                                  decision.revision, " ", decision.owner, " ", decision.bucket, "/", decision.key, " ",
                                  decision.host, " ", decision.http.status, " ", decision.http.code);
  for (const Reason reason : decision.warnings) absl::StrAppend(&text, " ", Name(reason));
  for (const Reason reason : decision.all_reasons) absl::StrAppend(&text, " ", Name(reason));
  return text;
}

// Two nodes with one policy, asked the same: one check at a time, and in groups of every size.
TEST(EngineTogetherTest, DecidesAsOneByOne) {
  Node one, together;
  for (Node* node : {&one, &together}) {
    node->StandardFixture();
    node->Send(BindDomain{.host = "a.example.cn", .account = "u1", .bucket = "b1"});
    RaiseFlag flag;
    flag.flag_id = "f1";
    flag.subject.bucket = "b1";
    flag.subject.key = "k3";
    flag.category = "3.1.3.5.3";
    node->Send(flag);
    node->Send(Withhold{.account = "u2"});
    for (const auto& [id, scope] : {std::pair("account", LimitScope::kAccount),
                                    {"bucket", LimitScope::kBucket},
                                    {"address", LimitScope::kClientIp}}) {
      SetLimit limit;
      limit.limit_id = id;
      limit.level = Level::kWebPage;
      limit.scope = scope;
      limit.dimension = Dimension::kRequests;
      limit.rate = 5;
      limit.burst = 20;
      node->Send(limit);
    }
  }
  std::mt19937 random(7);
  const auto any = [&](auto... names) {
    const absl::string_view all[] = {names...};
    return all[random() % sizeof...(names)];
  };
  std::set<std::string> met;
  for (int round = 0; round < 3000; ++round) {
    std::vector<CheckInput> inputs(random() % 20);
    for (CheckInput& input : inputs) {
      input.operation = static_cast<Operation>(random() % kOperationCount);
      input.requester = any("", "u1", "u2", "nobody");
      input.bucket = any("", "b1", "b2", "b9", "none");
      input.key = any("", "k1", "k2", "k3", "deep/er/k");
      input.host = any("", "", "A.example.cn", "b.example.cn", "..");
      input.path = any("", "/k1", "/k3", "/k%33");
      input.client_ip = any("", "203.0.113.7", "203.0.113.8", "2001:db8::1");
      input.min_revision = random() % 50 == 0 ? 1000 : 0;
      if (random() % 10 == 0) {
        input.copy_source.set = true;
        input.copy_source.bucket = any("b1", "b9");
        input.copy_source.key = any("k1", "k3");
        input.moves_source = random() % 2 == 0;
      }
    }
    Decision decision;
    std::vector<std::string> decided;
    together.engine().CheckTogether(inputs, together.now(), &decision, [&](size_t i) {
      ASSERT_EQ(i, decided.size());
      decided.push_back(Text(decision));
    });
    ASSERT_EQ(decided.size(), inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Decision alone = one.Check(inputs[i]);
      ASSERT_EQ(decided[i], Text(alone)) << round << " " << i;
      met.insert(std::string(Name(alone.reason)));
    }
    for (Node* node : {&one, &together}) node->now().mono.ns += 100'000'000;
  }
  EXPECT_GE(met.size(), 6u);  // or little was compared
}

}  // namespace
}  // namespace sluice
