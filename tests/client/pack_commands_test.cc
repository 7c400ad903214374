// sluicectl pack, and scenarios under a pack of one's own.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agreement/loader.h"
#include "client/commands.h"
#include "client/pack_diff.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/run_words.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// The compiled-in pack with one piece of its text in another's place.
std::string Edited(absl::string_view piece, absl::string_view by) {
  std::string text(DefaultPackText());
  EXPECT_EQ(absl::StrReplaceAll({{piece, by}}, &text), 1) << piece;
  return text;
}

std::unique_ptr<const Pack> Load(const std::string& text) {
  absl::StatusOr<std::unique_ptr<const Pack>> pack = LoadPack(text, "edited.yaml");
  EXPECT_TRUE(pack.ok()) << pack.status();
  return *std::move(pack);
}

std::string File(const std::string& text) {
  static int number = 0;
  const std::string path = absl::StrCat(testing::TempDir(), "/pack_", getpid(), "_", ++number, ".yaml");
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

constexpr char kFrozenRow[] = "FROZEN:          [     D,        D,           D,      D,";
constexpr char kFrozenDeletes[] = "FROZEN:          [     D,        D,           D,      W,";

std::vector<AnswerChange> Compared(const std::string& text) {
  const std::unique_ptr<const Pack> before = Load(std::string(DefaultPackText())), after = Load(text);
  absl::StatusOr<std::vector<PackAnswer>> a = ProbePack(*before), b = ProbePack(*after);
  EXPECT_TRUE(a.ok() && b.ok());
  return CompareAnswers(*a, *b);
}

TEST(PackDiffTest, APackIsLikeItself) {
  const std::unique_ptr<const Pack> pack = Load(std::string(DefaultPackText()));
  EXPECT_THAT(CompareRules(*pack, *pack), IsEmpty());
  absl::StatusOr<std::vector<PackAnswer>> answers = ProbePack(*pack);
  ASSERT_TRUE(answers.ok()) << answers.status();
  // 14 states and 12 categories, three who ask, ten operations; each of them has an answer.
  EXPECT_THAT(*answers, SizeIs((14 + 12) * 3 * 10));
  for (const PackAnswer& each : *answers) EXPECT_THAT(each.answer, Not(HasSubstr("cannot be reached"))) << each.about;
  EXPECT_THAT(CompareAnswers(*answers, *answers), IsEmpty());
}

TEST(PackDiffTest, ARowChangesTheAnswersOfItsState) {
  const std::vector<AnswerChange> changes = Compared(Edited(kFrozenRow, kFrozenDeletes));
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_EQ(changes[0].about, "FROZEN");
  EXPECT_EQ(changes[0].who, "everyone");
  EXPECT_THAT(changes[0].operations, ElementsAre(Operation::kDelete));
  EXPECT_EQ(changes[0].before, "deny ACCOUNT_FROZEN 7.2.1 (403)");
  EXPECT_EQ(changes[0].after, "allow, warned ACCOUNT_FROZEN 7.2.1");
}

TEST(PackDiffTest, ADefaultParameterShowsInTheAnswersThatItOpens) {
  const std::string text = Edited("freeze.allow_delete:       {type: switch, default: \"off\"}",
                                  "freeze.allow_delete:       {type: switch, default: \"on\"}");
  const std::vector<AnswerChange> changes = Compared(text);
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_EQ(changes[0].about, "FROZEN");
  EXPECT_THAT(changes[0].operations, ElementsAre(Operation::kDelete));
  const std::vector<RuleChange> rules = CompareRules(*Load(std::string(DefaultPackText())), *Load(text));
  ASSERT_THAT(rules, SizeIs(1));
  EXPECT_EQ(rules[0].rule, "parameter freeze.allow_delete");
  EXPECT_EQ(rules[0].before, "off");
  EXPECT_EQ(rules[0].after, "on");
}

TEST(PackDiffTest, ASeverityTellsTheOwnerFromOthers) {
  std::string text(DefaultPackText());
  const size_t at = text.find("severity: REVIEW", text.find("\"3.1.3.5.7\""));
  text.replace(at, 16, "severity: BLOCK");
  bool owner_downloads = false;
  for (const AnswerChange& change : Compared(text)) {
    EXPECT_EQ(change.about, "flag 3.1.3.5.7");
    if (change.who != "owner" || change.before.find("allow") != 0 || change.after.find("deny") != 0) continue;
    EXPECT_THAT(change.operations,
                ElementsAre(Operation::kDownload, Operation::kProcess, Operation::kFetch, Operation::kManageWrite));
    owner_downloads = true;
  }
  EXPECT_TRUE(owner_downloads);
}

TEST(PackDiffTest, ACategoryThatOneLacksIsComparedWithNothing) {
  std::string text(DefaultPackText());
  const size_t from = text.find("  \"3.1.3.9\":"), to = text.find("\n\n", from);
  text.erase(from, to - from + 1);
  const std::vector<RuleChange> rules = CompareRules(*Load(std::string(DefaultPackText())), *Load(text));
  ASSERT_THAT(rules, SizeIs(5));
  for (const RuleChange& each : rules) {
    EXPECT_THAT(each.rule, HasSubstr("category 3.1.3.9 "));
    EXPECT_EQ(each.after, "-");
  }
  for (const AnswerChange& change : Compared(text)) {
    EXPECT_EQ(change.about, "flag 3.1.3.9");
    EXPECT_EQ(change.after, "-");
  }
}

TEST(PackCommandsTest, CheckReadsPacksAndNamesLineAndReason) {
  const Ran good = RunWords({"pack", "check", "default", File(Edited("version: \"1\"", "version: \"1-ours\""))});
  EXPECT_EQ(good.code, kExitOk) << good.err;
  EXPECT_THAT(good.out,
              AllOf(HasSubstr("ok default: pack default 1, 12 categories"), HasSubstr("pack default 1-ours")));
  const std::string bad = File(Edited("clause: \"7.3.2\",    closed: true", "clause: \"7.3.2\",    closed: perhaps"));
  const Ran refused = RunWords({"pack", "check", "default", bad});
  EXPECT_EQ(refused.code, kExitUsage);
  EXPECT_THAT(refused.out, HasSubstr("ok default"));
  EXPECT_THAT(refused.err, AllOf(HasSubstr(absl::StrCat(bad, ":")), HasSubstr("closed"), HasSubstr("perhaps")));
  EXPECT_EQ(RunWords({"pack", "check", "/nowhere.yaml"}).code, kExitUsage);
}

TEST(PackCommandsTest, DiffSaysWhatChangesAndExitsByIt) {
  const std::string edited = File(Edited(kFrozenRow, kFrozenDeletes));
  const Ran differ = RunWords({"pack", "diff", "default", edited});
  EXPECT_EQ(differ.code, kExitRefused) << differ.err;
  EXPECT_THAT(differ.out, AllOf(HasSubstr("FROZEN         everyone  DELETE      deny ACCOUNT_FROZEN 7.2.1 (403)"),
                                HasSubstr("FROZEN DELETE  deny    allow, warned"),
                                HasSubstr("1 rule reads otherwise, 1 answer changes")));
  const Ran same = RunWords({"pack", "diff", "default", "default"});
  EXPECT_EQ(same.code, kExitOk);
  EXPECT_EQ(same.out, "0 rules read otherwise, 0 answers change\n");
  const Ran json = RunWords({"-o", "json", "pack", "diff", "default", edited});
  EXPECT_THAT(json.out, AllOf(HasSubstr("\"answers\""), HasSubstr("\"about\": \"FROZEN\""), HasSubstr("\"DELETE\"")));
  const Ran yaml = RunWords({"-o", "yaml", "pack", "diff", "default", edited});
  EXPECT_THAT(yaml.out, HasSubstr("rule: FROZEN DELETE"));
}

TEST(PackCommandsTest, PrintGivesWhatCheckReads) {
  const Ran printed = RunWords({"pack", "print"});
  EXPECT_EQ(printed.code, kExitOk);
  EXPECT_EQ(printed.out, DefaultPackText());
}

TEST(PackCommandsTest, ScenariosRunUnderAPackOfOnesOwn) {
  const std::string edited = File(Edited(kFrozenRow, kFrozenDeletes));
  const std::string scenario = File(R"(
- id: X1
  title: our frozen accounts may delete
  clause: "7.2.1"
  steps:
    - at: 2026-03-01T10:00:00+08:00
      apply:
        - freeze: {account: u1}
    - check: {operation: DELETE, requester: u1, bucket: b1, key: k1}
      expect: {verdict: ALLOW, warnings: [ACCOUNT_FROZEN]}
)");
  const Ran own = RunWords({"test", "--pack", edited, scenario});
  EXPECT_EQ(own.code, kExitOk) << own.out;
  EXPECT_THAT(own.out, HasSubstr("1 passed, 0 failed"));
  EXPECT_EQ(RunWords({"test", scenario}).code, kExitRefused);
}

}  // namespace
}  // namespace sluice
