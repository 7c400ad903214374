#include "enforcement/failure_policy.h"

#include <string>

#include "agreement/loader.h"
#include "enforcement/engine.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(FailurePolicyTest, AChoiceReadsWhatItWrites) {
  for (const char* text : {"deny", "allow", "decide", "DOWNLOAD,LIST", "PAY"}) {
    const auto choice = ParseFailureChoice(text);
    ASSERT_TRUE(choice.has_value()) << text;
    EXPECT_EQ(FormatFailureChoice(*choice), text);
  }
  EXPECT_EQ(FormatFailureChoice(*ParseFailureChoice("list, download")), "DOWNLOAD,LIST");
  for (const char* text : {"", "open", "DOWNLOAD,", "DOWNLOAD;LIST", "UNSPECIFIED", "deny,allow", "DOWNLOAD,fly"}) {
    EXPECT_FALSE(ParseFailureChoice(text).has_value()) << text;
  }
}

TEST(FailurePolicyTest, NothingPassesUnlessItIsSaid) {
  const FailurePolicy policy;
  for (const Reason reason : FailurePolicy::kReasons) {
    for (int operation = 0; operation < kOperationCount; ++operation) {
      EXPECT_FALSE(policy.Allows(reason, static_cast<Operation>(operation)));
    }
  }
}

TEST(FailurePolicyTest, EachReasonAndOperationIsAChoiceOfItsOwn) {
  FailurePolicy policy;
  policy.of(Reason::kOverloaded) = *ParseFailureChoice("PUBLIC_READ");
  EXPECT_TRUE(policy.Allows(Reason::kOverloaded, Operation::kPublicRead));
  EXPECT_TRUE(policy.Allows(Reason::kOverloaded, Operation::kStreamPlay)) << "judged as PUBLIC_READ";
  EXPECT_FALSE(policy.Allows(Reason::kOverloaded, Operation::kDownload));
  EXPECT_FALSE(policy.Allows(Reason::kNotReady, Operation::kPublicRead));
  // An operation that the contract lacks is judged as MANAGE_WRITE.
  EXPECT_FALSE(policy.Allows(Reason::kOverloaded, static_cast<Operation>(31)));
}

TEST(FailurePolicyTest, WhatCannotBeDecidedIsDeniedByTheProviderOrPassesWithAWarning) {
  const std::unique_ptr<const Pack> pack = *LoadDefaultPack();
  const PolicyIndex index(pack.get());
  Limiter limiter({.cells = 1024});
  NodeOptions options;
  options.failure.of(Reason::kStoreUnreadable) = *ParseFailureChoice("DOWNLOAD");
  const Engine engine(pack.get(), &index, &limiter, options);
  CheckInput input;
  input.operation = Operation::kDownload;
  input.dialect = Dialect::kS3;
  for (const Reason reason : FailurePolicy::kReasons) {
    Decision decision;
    engine.CannotDecide(reason, input, &decision);
    const bool passes = reason == Reason::kStoreUnreadable;
    EXPECT_EQ(decision.verdict, passes ? Verdict::kAllow : Verdict::kDeny) << Name(reason);
    EXPECT_EQ(decision.reason, reason);
    EXPECT_EQ(decision.clause, "8.2");
    EXPECT_EQ(decision.fault, Fault::kProvider);
    EXPECT_EQ(decision.http.status, passes ? 0 : 503);
    if (passes) {
      EXPECT_THAT(decision.warnings, ElementsAre(reason));
    } else {
      EXPECT_THAT(decision.warnings, IsEmpty());
    }
  }
}

}  // namespace
}  // namespace sluice
