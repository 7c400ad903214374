#include "agreement/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The default pack with the one occurrence of `from` made `to`.
std::string Edited(absl::string_view from, absl::string_view to) {
  const std::string text(DefaultPackText());
  const size_t at = text.find(std::string(from));
  EXPECT_NE(at, std::string::npos) << from;
  EXPECT_EQ(text.find(std::string(from), at + 1), std::string::npos) << "stands there twice: " << from;
  return absl::StrReplaceAll(text, {{from, to}});
}

// The line on which `piece` begins, after the first occurrence of `after`.
int LineOf(const std::string& text, absl::string_view piece, absl::string_view after = "") {
  const size_t at = text.find(std::string(piece), text.find(std::string(after)));
  EXPECT_NE(at, std::string::npos) << piece;
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

// Refused for one thing alone, at `line`; nothing is returned.
void ExpectRefused(const std::string& text, int line, absl::string_view error) {
  const absl::StatusOr<std::unique_ptr<const Pack>> loaded = LoadPack(text, "my.yaml");
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(loaded.status().message()), absl::StrCat("my.yaml:", line, ": ", error));
}

// The same where the message is long: it begins and ends so.
void ExpectRefused(const std::string& text, int line, absl::string_view begins, absl::string_view ends) {
  const absl::StatusOr<std::unique_ptr<const Pack>> loaded = LoadPack(text, "my.yaml");
  ASSERT_FALSE(loaded.ok());
  const std::string message(loaded.status().message());
  EXPECT_THAT(message, testing::StartsWith(absl::StrCat("my.yaml:", line, ": ", begins)));
  EXPECT_THAT(message, testing::EndsWith(std::string(ends)));
  EXPECT_THAT(message, HasSubstr(": wanted "));
  EXPECT_THAT(message, Not(HasSubstr("\n")));
}

TEST(LoadPackTest, TakesWhatAnOperatorMayChange) {
  const std::string text = Edited("reclaim_margin: 10m", "reclaim_margin: 1h");
  const absl::StatusOr<std::unique_ptr<const Pack>> loaded = LoadPack(text, "my.yaml");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->reclaim_margin, absl::Hours(1));
  EXPECT_NE((*loaded)->digest, (*LoadDefaultPack())->digest);
}

TEST(LoadPackTest, ColumnsMayStandInAnotherOrder) {
  const std::string text =
      absl::StrReplaceAll(Edited("MANAGE_WRITE, PAY]", "PAY, MANAGE_WRITE]"), {{",   A]", ",   D]"}});
  // The last column is MANAGE_WRITE now, and the one before it PAY: D in most rows.
  EXPECT_FALSE(LoadPack(text, "my.yaml").ok());
  std::string good = Edited("[UPLOAD, DOWNLOAD,", "[DOWNLOAD, UPLOAD,");
  const absl::StatusOr<std::unique_ptr<const Pack>> loaded = LoadPack(good, "my.yaml");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const PermissionRow& row = (*loaded)->rows[static_cast<size_t>(StateRow::kWithheld)];
  EXPECT_EQ(row[static_cast<size_t>(Operation::kDownload)], Permission::kDeny);
  EXPECT_EQ(row[static_cast<size_t>(Operation::kUpload)], Permission::kWarn);
  EXPECT_EQ(row[static_cast<size_t>(Operation::kStreamPublish)], Permission::kWarn);
}

TEST(LoadPackTest, CategoriesComeInOrderOfClause) {
  const std::string text = Edited("  \"3.1.3.4\":\n", R"(  "3.1.3.10":
    {reason: SPAM, severity: REVIEW, raised_by: [LEGAL], zh: 其他, en: more}
  "3.1.3.4":
)");
  const absl::StatusOr<std::unique_ptr<const Pack>> loaded = LoadPack(text, "my.yaml");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->categories.front().clause, "3.1.3.4");
  EXPECT_EQ((*loaded)->categories.back().clause, "3.1.3.10");
  EXPECT_EQ((*loaded)->FindCategory("3.1.3.10")->default_severity, Severity::kReview);
}

TEST(LoadPackTest, RefusesMalformedYaml) {
  const std::string text = Edited("name: default", "name: [default");
  const absl::Status status = LoadPack(text, "my.yaml").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              testing::MatchesRegex("my.yaml:[0-9]+: syntax: wanted well-formed YAML, got .+"));
  ExpectRefused("name: default\n\tversion: x\n", 2, "syntax: wanted well-formed YAML, got ", "");
}

TEST(LoadPackTest, RefusesWhatIsNotOneDocument) {
  ExpectRefused("", 1, "file: wanted one YAML document, got nothing");
  const std::string text = absl::StrCat(DefaultPackText(), "---\nname: another\n");
  ExpectRefused(text, LineOf(text, "name: another"), "file: wanted one YAML document, got 2");
  ExpectRefused("---\n# nothing begins so\n,\n", 3,
                "syntax: wanted well-formed YAML, got something that begins no value");
  ExpectRefused("just words\n", 1, "file: wanted a map of name, version, ", "got \"just words\"");
}

TEST(LoadPackTest, RefusesMalformedUtf8AndHugeFiles) {
  const std::string text = Edited("name: default", "name: d\xff");
  ExpectRefused(text, LineOf(text, "name: d"), "encoding: wanted UTF-8, got malformed bytes");
  const std::string cut = absl::StrCat(DefaultPackText(), absl::string_view("\0name: x", 8));
  ExpectRefused(cut, LineOf(cut, "name: x"), "encoding: wanted text, got a control character");
  ExpectRefused("name: \x04\n", 1, "encoding: wanted text, got a control character");
  ExpectRefused(std::string((1 << 20) + 1, '#'), 1, "size: wanted at most 1048576 bytes, got 1048577");
}

TEST(LoadPackTest, RefusesUnknownKeysAtEveryDepth) {
  std::string text = Edited("name: default", "nmae: x\nname: default");
  ExpectRefused(text, LineOf(text, "nmae"), "file: wanted one of name, version, ", "got \"nmae\"");
  text = Edited("  reclaim_margin:", "  margin: 1h\n  reclaim_margin:");
  ExpectRefused(text, LineOf(text, "margin: 1h"), "timing: wanted one of reclaim_margin, ", "got \"margin\"");
  text = Edited("floor: \"on\"}", "floor: \"on\", flor: x}");
  ExpectRefused(text, LineOf(text, "flor"),
                "parameters.permit.check: wanted one of type, default, floor, got \"flor\"");
  text = Edited("{generic: 451, s3:", "{generic: 451, gcs: 451, s3:");
  ExpectRefused(text, LineOf(text, "gcs"), "reasons.LEGAL_ORDER.http: wanted one of generic, s3, kodo, got \"gcs\"");
  text = Edited("  MUTUAL: ", "  FIRE: {clause: \"1.1\"}\n  MUTUAL: ");
  ExpectRefused(text, LineOf(text, "FIRE"), "causes: wanted one of MUTUAL, BREACH, ", "got \"FIRE\"");
  text = Edited("  freeze.exempt: ", "  freeze.excempt: ");
  const std::string message(LoadPack(text, "my.yaml").status().message());
  EXPECT_THAT(message, HasSubstr("got \"freeze.excempt\""));
  EXPECT_THAT(message, HasSubstr("parameters.freeze.exempt: wanted a value, got nothing"));
}

TEST(LoadPackTest, RefusesMissingKeys) {
  std::string text = Edited("version: \"1\"\n", "");
  ExpectRefused(text, LineOf(text, "name: default"), "version: wanted a value, got nothing");
  text = Edited("  cache_for: 1s\n", "");
  ExpectRefused(text, LineOf(text, "reclaim_margin:"), "timing.cache_for: wanted a value, got nothing");
  text = Edited("  grant_backup: [LEGAL]\n", "");
  ExpectRefused(text, LineOf(text, "open_account:"), "roles.grant_backup: wanted a value, got nothing");
  text = Edited(", kodo: 419}", "}");
  ExpectRefused(text, LineOf(text, "http:", "ACCOUNT_FROZEN:"),
                "reasons.ACCOUNT_FROZEN.http.kodo: wanted a value, got nothing");
  text = Edited("  SPAM:\n    clause: \"\"\n    fault: CUSTOMER\n", "  SPAM:\n    fault: CUSTOMER\n");
  ExpectRefused(text, LineOf(text, "fault:", "  SPAM:\n"), "reasons.SPAM.clause: wanted a value, got nothing");
  text = Edited("version: \"1\"", "version:");
  ExpectRefused(text, LineOf(text, "version:"), "version: wanted one line of text, got nothing");
}

TEST(LoadPackTest, RefusesAMissingStateReasonCauseOrOperation) {
  std::string text = Edited("    FROZEN:  ", "    # FROZEN:  ");
  ExpectRefused(text, LineOf(text, "PENDING: "), "operations.rows.FROZEN: wanted a value, got nothing");
  text = Edited(
      "  SPAM:\n    clause: \"\"\n    fault: CUSTOMER\n    http: {generic: 403, s3: 403 AllAccessDisabled, kodo: 403}\n"
      "    message: This resource is not available.\n    zh: 该资源被用于垃圾邮件或垃圾信息。\n"
      "    en: This serves spam.\n",
      "");
  ExpectRefused(text, LineOf(text, "  LEGAL_ORDER:\n"), "reasons.SPAM: wanted a value, got nothing");
  text = Edited("  EXPIRED: ", "  # EXPIRED: ");
  ExpectRefused(text, LineOf(text, "  MUTUAL: "), "causes.EXPIRED: wanted a value, got nothing");
  text = absl::StrReplaceAll(Edited(" MANAGE_WRITE, PAY]", " MANAGE_WRITE]"), {{",   A]", "]"}});
  ExpectRefused(text, LineOf(text, "columns:"), "operations.columns.PAY: wanted a column, got nothing");
}

TEST(LoadPackTest, RefusesRowsOfAnotherLength) {
  const std::string text = Edited("PENDING:         [     D, ", "PENDING:         [");
  ExpectRefused(text, LineOf(text, "PENDING: "),
                "operations.rows.PENDING: wanted a list of 10 permissions, one a column, got a list of 9");
}

TEST(LoadPackTest, RefusesWrongTypes) {
  std::string text = Edited("name: default", "name: [default]");
  ExpectRefused(text, LineOf(text, "name: ["), "name: wanted one line of text, got a list");
  text = Edited("  paid: [BILLING]", "  paid: BILLING");
  ExpectRefused(text, LineOf(text, "  paid:"), "roles.paid: wanted a list of roles, got \"BILLING\"");
  text = Edited("{type: days, default: \"30\"}\n  # 4.3", "30\n  # 4.3");
  ExpectRefused(text, LineOf(text, "grace_days:"), "parameters.grace_days: wanted a map of type, default, got \"30\"");
  text = Edited("{clause: \"7.3.1\",    closed: false,", "{clause: \"7.3.1\",    closed: no,");
  ExpectRefused(text, LineOf(text, "  MUTUAL:"), "causes.MUTUAL.closed: wanted true or false, got \"no\"");
  text = Edited("name: default", "? [a]\n: b\nname: default");
  ExpectRefused(text, LineOf(text, "? [a]"), "file: wanted a word as a key, got a list");
  text = Edited("en: This serves spam.", "en: \"This\\nserves spam.\"");
  ExpectRefused(text, LineOf(text, "serves spam."),
                "reasons.SPAM.en: wanted one line of text, got \"This\\nserves spam.\"");
}

TEST(LoadPackTest, RefusesUnknownWords) {
  std::string text = Edited("  paid: [BILLING]", "  paid: [BILING]");
  ExpectRefused(
      text, LineOf(text, "  paid:"),
      "roles.paid[0]: wanted one of BILLING, MODERATION, SECURITY, LEGAL, COMPLIANCE, OPERATIONS, STORAGE, got "
      "\"BILING\"");
  text = Edited("  paid: [BILLING]", "  paid: [UNSPECIFIED]");
  ExpectRefused(text, LineOf(text, "  paid:"), "roles.paid[0]: wanted one of BILLING, ", "got \"UNSPECIFIED\"");
  text = Edited("severity: CRITICAL", "severity: critical");
  ExpectRefused(text, LineOf(text, "severity: critical"),
                "categories.3.1.3.5.2.severity: wanted one of REVIEW, BLOCK, CRITICAL, got \"critical\"");
  text = Edited("reason: SPAM", "reason: NOT_READY");
  ExpectRefused(
      text, LineOf(text, "reason: NOT_READY"),
      "categories.3.1.3.4.reason: wanted one of CONTENT_PROHIBITED, SPAM, SECURITY_THREAT, got \"NOT_READY\"");
  text = Edited("  LEGAL_ORDER:\n    clause: \"9.2.2\"\n    fault: LAW",
                "  LEGAL_ORDER:\n    clause: \"9.2.2\"\n    fault: US");
  ExpectRefused(text, LineOf(text, "fault: US"),
                "reasons.LEGAL_ORDER.fault: wanted one of CUSTOMER, LAW, THIRD_PARTY, PROVIDER, got \"US\"");
  text = Edited("PENDING:         [     D, ", "PENDING:         [  DENY, ");
  ExpectRefused(text, LineOf(text, "PENDING: "), "operations.rows.PENDING.UPLOAD: wanted one of A, W, D, got \"DENY\"");
  text = Edited("[UPLOAD, DOWNLOAD,", "[UPLOAD, DOWNLOAD, DOWNLOAD,");
  EXPECT_THAT(std::string(LoadPack(text, "my.yaml").status().message()),
              HasSubstr("operations.columns[2]: wanted each operation once, got \"DOWNLOAD\""));
}

TEST(LoadPackTest, RefusesDuplicateKeys) {
  std::string text = Edited("version: \"1\"", "version: \"1\"\nversion: \"2\"");
  ExpectRefused(
      text, LineOf(text, "version: \"2\""),
      absl::StrCat("file: wanted each key once, got \"version\" again, after line ", LineOf(text, "version: \"1\"")));
  text = Edited("  paid: [BILLING]", "  paid: [BILLING]\n  paid: [LEGAL]");
  ExpectRefused(text, LineOf(text, "  paid: [LEGAL]"), "roles: wanted each key once, got \"paid\" again, ", "");
  text = Edited("{generic: 451, s3:", "{generic: 451, generic: 451, s3:");
  ExpectRefused(text, LineOf(text, "generic: 451, generic"),
                "reasons.LEGAL_ORDER.http: wanted each key once, got \"generic\" again, ", "");
  text = Edited("  paid: [BILLING]", "  paid: [BILLING, LEGAL, BILLING]");
  ExpectRefused(text, LineOf(text, "  paid:"), "roles.paid[2]: wanted each role once, got \"BILLING\"");
}

TEST(LoadPackTest, RefusesDuplicateCategories) {
  const std::string text = Edited("  \"3.1.3.8\":\n", "  3.1.3.7:\n");
  ExpectRefused(text, LineOf(text, "  3.1.3.7:\n"), "categories: wanted each key once, got \"3.1.3.7\" again, ", "");
}

TEST(LoadPackTest, RefusesMalformedClauses) {
  std::string text = Edited("  \"3.1.3.8\":\n", "  \"3.1.3.\":\n");
  ExpectRefused(text, LineOf(text, "\"3.1.3.\""), "categories: wanted a clause like \"7.2.1\", got \"3.1.3.\"");
  text = Edited("test_domain_clause: \"11.1\"", "test_domain_clause: \"\"");
  ExpectRefused(text, LineOf(text, "test_domain_clause: \"\""),
                "test_domain_clause: wanted a clause like \"7.2.1\", got \"\"");
  text = Edited("clause: \"7.2.1\"", "clause: seven");
  ExpectRefused(text, LineOf(text, "clause: seven"),
                "reasons.ACCOUNT_FROZEN.clause: wanted a clause like \"7.2.1\", or \"\", got \"seven\"");
}

TEST(LoadPackTest, RefusesAFloorThatIsNoSwitchValue) {
  std::string text = Edited("floor: \"on\"", "floor: \"1\"");
  ExpectRefused(text, LineOf(text, "floor: \"1\""), "parameters.permit.check.floor: wanted on or off, got \"1\"");
  text = Edited("default: 48h}", "default: 48h, floor: 1h}");
  ExpectRefused(text, LineOf(text, "48h, floor"),
                "parameters.registry.silence.floor: wanted no floor, as it is no switch, got \"1h\"");
  text = Edited("default: \"on\", floor: \"on\"", "default: \"off\", floor: \"on\"");
  ExpectRefused(text, LineOf(text, "floor: \"on\""),
                "parameters.permit.check.default: wanted the floor, on, got \"off\"");
}

TEST(LoadPackTest, RefusesDefaultsOfTheWrongType) {
  const struct {
    const char *from, *to, *error;
  } cases[] = {
      {"grace_days:                {type: days, default: \"30\"}", "grace_days: {type: days, default: a month}",
       "parameters.grace_days.default: wanted a whole number of days, got \"a month\""},
      {"retention_days:            {type: days, default: \"30\"}", "retention_days: {type: days, default: -30}",
       "parameters.retention_days.default: wanted a whole number of days, got \"-30\""},
      {"freeze.exempt:             {type: switch, default: \"off\"}", "freeze.exempt: {type: switch, default: false}",
       "parameters.freeze.exempt.default: wanted on or off, got \"false\""},
      {"{type: dates, default: \"\"}", "{type: dates, default: 2026-02-30}",
       "parameters.holidays.default: wanted dates like 2026-10-01/2026-10-07, 2027-01-01, got \"2026-02-30\""},
      {"default: 48h", "default: two days",
       "parameters.registry.silence.default: wanted a duration like 48h, got \"two days\""},
      {"default: \"10000000000\"", "default: 10 GB",
       "parameters.test_domain.bytes_per_day.default: wanted a whole number of bytes, got \"10 GB\""},
      {"default: \"300\"", "default: 0",
       "parameters.lease.seconds.default: wanted a whole number of seconds from 1 to 86400, got \"0\""},
      {"lease.seconds:             {type: seconds,", "lease.seconds: {type: days,",
       "parameters.lease.seconds.type: wanted seconds, got \"days\""},
  };
  for (const auto& one : cases) {
    const std::string text = Edited(one.from, one.to);
    ExpectRefused(text, LineOf(text, one.to), one.error);
  }
}

TEST(LoadPackTest, RefusesToDenyPayingOrReadingTheBill) {
  std::string text = Edited(
      "RECLAIMED:       [     D,        D,           D,      D,    D,       D,     D,           A,            D,   A]",
      "RECLAIMED:       [     D,        D,           D,      D,    D,       D,     D,           A,            D,   D]");
  ExpectRefused(text, LineOf(text, "RECLAIMED:  "),
                "operations.rows.RECLAIMED.PAY: wanted A or W, as paying and reading the bill stay open in every state "
                "(7.4), got \"D\"");
  text = Edited(
      "FROZEN:          [     D,        D,           D,      D,    D,       D,     D,           A,            D,   A]",
      "FROZEN:          [     D,        D,           D,      D,    D,       D,     D,           D,            D,   A]");
  ExpectRefused(text, LineOf(text, "FROZEN:  "), "operations.rows.FROZEN.MANAGE_READ: wanted A or W, ", "got \"D\"");
}

TEST(LoadPackTest, RefusesDurationsOutOfBounds) {
  std::string text = Edited("reclaim_margin: 10m", "reclaim_margin: -10m");
  ExpectRefused(text, LineOf(text, "-10m"),
                "timing.reclaim_margin: wanted a duration like 10m, from 0 to 876000h, got \"-10m\"");
  text = Edited("reclaim_margin: 10m", "reclaim_margin: inf");
  ExpectRefused(text, LineOf(text, "margin: inf"), "timing.reclaim_margin: wanted a duration like 10m, ",
                "got \"inf\"");
  text = Edited("effective_ahead_max: 24h", "effective_ahead_max: 24");
  ExpectRefused(text, LineOf(text, "ahead_max: 24\n"), "timing.effective_ahead_max: wanted a duration like 10m, ",
                "got \"24\"");
  text = Edited("recheck_after: 60s", "recheck_after: 0s");
  ExpectRefused(text, LineOf(text, "recheck_after: 0s"),
                "timing.recheck_after: wanted a duration like 10m, from 1ms to 876000h, got \"0s\"");
  text = Edited("cache_for: 1s", "cache_for: 5001ms");
  ExpectRefused(text, LineOf(text, "cache_for: 5001ms"),
                "timing.cache_for: wanted a duration like 10m, from 0 to 5s, got \"5001ms\"");
  EXPECT_TRUE(LoadPack(Edited("cache_for: 1s", "cache_for: 5s"), "my.yaml").ok());
}

TEST(LoadPackTest, RefusesAnswersThatAreNoRefusal) {
  const auto refused = [](absl::string_view status) {
    const std::string text = Edited("{generic: 451, s3:", absl::StrCat("{generic: ", status, ", s3:"));
    ExpectRefused(
        text, LineOf(text, absl::StrCat("{generic: ", status, ", s3:")),
        absl::StrCat("reasons.LEGAL_ORDER.http.generic: wanted a status from 400 to 599, and no error name, got "
                     "\"",
                     status, "\""));
  };
  refused("99");
  refused("600");
  refused("-451");
  refused("4510");
  refused("four");
  refused("200");  // a gateway would take it for permission
  refused("302");
  refused("451 Gone");
  std::string text = Edited("451 UnavailableForLegalReasons", "451");
  ExpectRefused(
      text, LineOf(text, "s3: 451,"),
      "reasons.LEGAL_ORDER.http.s3: wanted a status from 400 to 599 and an error name, like 403 AccessDenied, got "
      "\"451\"");
  text = Edited("451 UnavailableForLegalReasons", "\"451 <b>\"");
  ExpectRefused(text, LineOf(text, "451 <b>"), "reasons.LEGAL_ORDER.http.s3: wanted a status ", "got \"451 <b>\"");
  text = Edited("kodo: 630", "kodo: 700");
  ExpectRefused(text, LineOf(text, "kodo: 700"),
                "answers.bucket_quota.kodo: wanted a status from 400 to 699, and no error name, got \"700\"");
}

TEST(LoadPackTest, RefusesAnotherOrderOfPrecedence) {
  std::string text = Edited("  - SPAM\n  - SECURITY_THREAT\n", "  - SECURITY_THREAT\n  - SPAM\n");
  ExpectRefused(text, LineOf(text, "  - SECURITY_THREAT\n"), "precedence[8]: wanted SPAM, got \"SECURITY_THREAT\"");
  text = Edited("  - NOT_READY\n  - STALE_POLICY\n", "");
  ExpectRefused(text, LineOf(text, "  - STORE_UNREADABLE\n"),
                "precedence[1]: wanted NOT_READY, got \"STORE_UNREADABLE\"");
  text = Edited("  - TERMS_CHANGED\n", "");
  ExpectRefused(text, LineOf(text, "  - OVERLOADED\n"), "precedence: wanted 29 reasons, got 28");
}

TEST(LoadPackTest, RefusesRolesThatMaySendNothing) {
  std::string text = Edited("  paid: [BILLING]", "  paid: []");
  ExpectRefused(text, LineOf(text, "  paid:"), "roles.paid: wanted at least one role, got an empty list");
  text = Edited("sent_by: [LEGAL, BILLING]", "sent_by: [LEGAL, STORAGE]");
  ExpectRefused(text, LineOf(text, "  TERMS_REJECTED:"),
                "causes.TERMS_REJECTED.sent_by[1]: wanted a role that may send terminate, got \"STORAGE\"");
  text = Edited("reason: SPAM\n    severity: BLOCK\n    raised_by: [MODERATION,",
                "reason: SPAM\n    severity: BLOCK\n    raised_by: [BILLING,");
  ExpectRefused(text, LineOf(text, "raised_by: [BILLING,"),
                "categories.3.1.3.4.raised_by[0]: wanted a role that may send raise_flag, got \"BILLING\"");
}

TEST(LoadPackTest, ReportsEveryErrorInTheOrderOfTheFile) {
  std::string text = Edited("cache_for: 1s", "cache_for: 1h");
  text = absl::StrReplaceAll(text, {{"severity: CRITICAL", "severity: BAD"}, {"name: default", "name: \"\""}});
  const std::string message(LoadPack(text, "my.yaml").status().message());
  const std::vector<std::string> lines = absl::StrSplit(message, '\n');
  ASSERT_EQ(lines.size(), 3u) << message;
  EXPECT_THAT(lines[0], HasSubstr(": name: wanted one line of text, got \"\""));
  EXPECT_THAT(lines[1], HasSubstr(": categories.3.1.3.5.2.severity: wanted one of "));
  EXPECT_THAT(lines[2], HasSubstr(": timing.cache_for: wanted a duration "));
}

TEST(LoadPackTest, ReportsTwentyErrorsAndCountsTheRest) {
  const std::string text = absl::StrReplaceAll(DefaultPackText(), {{"    fault: CUSTOMER", "    fault: NOBODY"}});
  const int errors = static_cast<int>(std::vector<std::string>(absl::StrSplit(text, "fault: NOBODY")).size()) - 1;
  ASSERT_EQ(errors, 19);
  const std::string worse = absl::StrReplaceAll(text, {{"    fault: PROVIDER", "    fault: NOBODY"}});
  const std::vector<std::string> lines =
      absl::StrSplit(std::string(LoadPack(worse, "my.yaml").status().message()), '\n');
  ASSERT_EQ(lines.size(), 21u);
  for (int i = 0; i < 20; ++i) EXPECT_THAT(lines[i], testing::StartsWith("my.yaml:"));
  EXPECT_EQ(lines[20], "and 7 more");
}

// ---- Files
// -----------------------------------------------------------------------------------------------------------

TEST(LoadPackFileTest, ReadsTheFileThatItIsGiven) {
  const std::string path =
      absl::StrCat(testing::TempDir(), "/sluice_pack_", testing::UnitTest::GetInstance()->random_seed(), "_",
                   reinterpret_cast<uintptr_t>(&path), ".yaml");
  std::ofstream(path) << DefaultPackText();
  const absl::StatusOr<std::unique_ptr<const Pack>> loaded = LoadPackFile(path);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  if (loaded.ok()) {
    EXPECT_EQ((*loaded)->digest, (*LoadDefaultPack())->digest);
  }

  std::ofstream(path) << Edited("name: default", "name: []");
  EXPECT_THAT(std::string(LoadPackFile(path).status().message()), testing::StartsWith(absl::StrCat(path, ":")));
  std::remove(path.c_str());
}

TEST(LoadPackFileTest, SaysWhichFileCannotBeRead) {
  const std::string path = absl::StrCat(testing::TempDir(), "/no such folder/pack.yaml");
  const absl::Status missing = LoadPackFile(path).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(missing.message(),
            absl::StrCat(path, ": file: wanted a readable agreement pack, got No such file or directory"));
  const absl::Status folder = LoadPackFile(testing::TempDir()).status();
  EXPECT_FALSE(folder.ok());
  EXPECT_THAT(std::string(folder.message()), HasSubstr("got Is a directory"));
}

}  // namespace
}  // namespace sluice
