// The default pack against the tables of the rules, written out by hand once more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agreement/loader.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const Pack& DefaultPack() {
  static const Pack* const pack = [] {
    absl::StatusOr<std::unique_ptr<const Pack>> loaded = LoadDefaultPack();
    if (!loaded.ok()) {
      ADD_FAILURE() << loaded.status();
      return new const Pack();
    }
    return const_cast<const Pack*>(loaded->release());
  }();
  return *pack;
}

const ReasonRule& RuleOf(Reason reason) { return DefaultPack().reasons[static_cast<size_t>(reason)]; }

TEST(DefaultPackTest, Loads) {
  const Pack& pack = DefaultPack();
  EXPECT_EQ(pack.name, "default");
  EXPECT_EQ(pack.version, "1");
  EXPECT_EQ(pack.digest.size(), 32u);
  EXPECT_EQ(pack.test_domain_clause, "11.1");
}

TEST(DefaultPackTest, IsTheFileOfTheSourceTree) {
  std::ifstream file(absl::StrCat(SLUICE_SOURCE_DIR, "/agreement/default.yaml"));
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(DefaultPackText(), text.str());
}

// Section 2 of the rules, copied by hand: UP DN PUB DEL LS PROC FETCH MR MW PAY.
struct TableRow {
  StateRow row;
  const char* permissions;
};
class TableTest : public testing::TestWithParam<TableRow> {};

TEST_P(TableTest, PermitsWhatTheTableSays) {
  const PermissionRow& row = DefaultPack().rows[static_cast<size_t>(GetParam().row)];
  std::string got;
  for (int i = static_cast<int>(Operation::kUpload); i <= static_cast<int>(Operation::kPay); ++i) {
    got += "AWD"[static_cast<int>(row[i])];
  }
  EXPECT_EQ(got, GetParam().permissions);
}

TEST_P(TableTest, JudgesTheOtherOperationsAsOneOfTheTable) {
  const PermissionRow& row = DefaultPack().rows[static_cast<size_t>(GetParam().row)];
  const auto permission = [&](Operation operation) { return row[static_cast<size_t>(operation)]; };
  EXPECT_EQ(permission(Operation::kStreamPublish), permission(Operation::kUpload));
  EXPECT_EQ(permission(Operation::kStreamPlay), permission(Operation::kPublicRead));
  EXPECT_EQ(permission(Operation::kCreateBucket), permission(Operation::kManageWrite));
  EXPECT_EQ(permission(Operation::kDeleteBucket), permission(Operation::kManageWrite));
  EXPECT_EQ(permission(Operation::kUnspecified), permission(Operation::kManageWrite));
}

INSTANTIATE_TEST_SUITE_P(Rows, TableTest,
                         testing::Values(TableRow{StateRow::kPending, "DDDDDDDADA"},          //
                                         TableRow{StateRow::kActive, "AAAAAAAAAA"},           //
                                         TableRow{StateRow::kNotice, "WWWWWWWAWA"},           //
                                         TableRow{StateRow::kWithheld, "DWWWWDDADA"},         //
                                         TableRow{StateRow::kFrozen, "DDDDDDDADA"},           //
                                         TableRow{StateRow::kRetentionOpen, "DWDWWDDADA"},    //
                                         TableRow{StateRow::kRetentionClosed, "DDDDDDDADA"},  //
                                         TableRow{StateRow::kReclaimable, "DDDDDDDADA"},      //
                                         TableRow{StateRow::kReclaimed, "DDDDDDDADA"}),
                         [](const auto& info) { return absl::StrCat("Row", static_cast<int>(info.param.row)); });

TEST(DefaultPackTest, EveryCauseHasItsClauseAndItsSide) {
  struct {
    TerminationCause cause;
    const char* clause;
    bool closed;
  } const want[] = {
      {TerminationCause::kMutual, "7.3.1", false},        {TerminationCause::kBreach, "7.3.2", true},
      {TerminationCause::kSecurity, "7.3.3", true},       {TerminationCause::kNotice, "7.3.4", false},
      {TerminationCause::kTermsRejected, "3.1.1", false}, {TerminationCause::kViolation, "3.1.3.10", true},
      {TerminationCause::kArrears, "7.2.2", true},        {TerminationCause::kExpired, "4.3", false},
  };
  for (const auto& row : want) {
    const CauseRule& rule = DefaultPack().causes[static_cast<size_t>(row.cause)];
    EXPECT_EQ(rule.clause, row.clause) << Name(row.cause);
    EXPECT_EQ(rule.closed, row.closed) << Name(row.cause);
  }
}

TEST(DefaultPackTest, EveryReasonIsAnsweredAsTheTableSays) {
  struct {
    Reason reason;
    const char* clause;
    Fault fault;
    int kodo, s3;
    const char* s3_code;
    int generic;
  } const want[] = {
      {Reason::kNotReady, "8.2", Fault::kProvider, 503, 503, "ServiceUnavailable", 503},
      {Reason::kStalePolicy, "8.2", Fault::kProvider, 503, 503, "ServiceUnavailable", 503},
      {Reason::kStoreUnreadable, "8.2", Fault::kProvider, 503, 503, "ServiceUnavailable", 503},
      {Reason::kOverloaded, "8.2", Fault::kProvider, 503, 503, "SlowDown", 503},
      {Reason::kLegalOrder, "9.2.2", Fault::kLaw, 451, 451, "UnavailableForLegalReasons", 451},
      {Reason::kEvidenceHold, "3.1.3.10", Fault::kLaw, 403, 403, "AccessDenied", 423},
      {Reason::kContentProhibited, "", Fault::kCustomer, 403, 403, "AllAccessDisabled", 403},
      {Reason::kContentUnderReview, "", Fault::kCustomer, 403, 403, "AllAccessDisabled", 403},
      {Reason::kSpam, "", Fault::kCustomer, 403, 403, "AllAccessDisabled", 403},
      {Reason::kSecurityThreat, "", Fault::kCustomer, 403, 403, "AllAccessDisabled", 403},
      {Reason::kSecuritySuspended, "", Fault::kCustomer, 403, 403, "AllAccessDisabled", 403},
      {Reason::kReadOnly, "", Fault::kCustomer, 403, 403, "AllAccessDisabled", 403},
      {Reason::kPendingPayment, "7.1", Fault::kCustomer, 403, 403, "AccountProblem", 402},
      {Reason::kServiceWithheld, "2.2", Fault::kCustomer, 403, 403, "AccountProblem", 402},
      {Reason::kAccountFrozen, "7.2.1", Fault::kCustomer, 419, 403, "AccountProblem", 403},
      {Reason::kAgreementEnded, "", Fault::kCustomer, 403, 403, "AccountProblem", 403},
      {Reason::kReclaimed, "", Fault::kCustomer, 403, 403, "AccountProblem", 410},
      {Reason::kPermitInvalid, "3.1.3.1", Fault::kCustomer, 403, 403, "AccessDenied", 403},
      {Reason::kDomainUnknown, "3.1.3.1", Fault::kCustomer, 403, 403, "AccessDenied", 403},
      {Reason::kMaintenance, "9.2.1", Fault::kProvider, 503, 503, "ServiceUnavailable", 503},
      {Reason::kQuotaExceeded, "11.1", Fault::kCustomer, 403, 403, "QuotaExceeded", 403},
      {Reason::kRateLimited, "3.1.3.6", Fault::kCustomer, 429, 503, "SlowDown", 429},
      {Reason::kSandboxed, "", Fault::kCustomer, 429, 503, "SlowDown", 429},
  };
  for (const auto& row : want) {
    const ReasonRule& rule = RuleOf(row.reason);
    EXPECT_EQ(rule.clause, row.clause) << Name(row.reason);
    EXPECT_EQ(rule.fault, row.fault) << Name(row.reason);
    EXPECT_EQ(rule.kodo.status, row.kodo) << Name(row.reason);
    EXPECT_EQ(rule.kodo.code, "") << Name(row.reason);
    EXPECT_EQ(rule.s3.status, row.s3) << Name(row.reason);
    EXPECT_EQ(rule.s3.code, row.s3_code) << Name(row.reason);
    EXPECT_EQ(rule.generic.status, row.generic) << Name(row.reason);
    EXPECT_EQ(rule.generic.code, "") << Name(row.reason);
  }
  EXPECT_EQ(DefaultPack().bucket_quota_kodo.status, 630);
  EXPECT_EQ(DefaultPack().bucket_quota_s3.status, 400);
  EXPECT_EQ(DefaultPack().bucket_quota_s3.code, "TooManyBuckets");
  EXPECT_EQ(DefaultPack().object_rate_kodo.status, 573);
}

TEST(DefaultPackTest, WarningsHaveTheClausesOfTheTable) {
  EXPECT_EQ(RuleOf(Reason::kTerminationNotice).clause, "7.3.4");
  EXPECT_EQ(RuleOf(Reason::kViolationWarning).clause, "");
  EXPECT_EQ(RuleOf(Reason::kPermitOutdated).clause, "3.1.3.1");
  EXPECT_EQ(RuleOf(Reason::kPermitUnverified).clause, "3.1.3.1");
  EXPECT_EQ(RuleOf(Reason::kTermsChanged).clause, "3.1.1");
  EXPECT_EQ(RuleOf(Reason::kUnknownAccount).clause, "");
}

TEST(DefaultPackTest, EveryReasonExplainsItselfInBothLanguages) {
  for (int i = 1; i < kReasonCount; ++i) {
    const ReasonRule& rule = DefaultPack().reasons[i];
    EXPECT_THAT(rule.zh, testing::EndsWith("。")) << Name(static_cast<Reason>(i));
    EXPECT_THAT(rule.en, testing::EndsWith(".")) << Name(static_cast<Reason>(i));
    EXPECT_NE(rule.fault, Fault::kUnspecified) << Name(static_cast<Reason>(i));
  }
}

// Clause 6.
TEST(DefaultPackTest, ThirdPartiesLearnNeitherTheSubjectNorTheReason) {
  const std::vector<std::string> secrets = {
      "account",  "bucket",  "key",     "object",   "owner",    "customer",  "domain", "host",    "froze",   "freez",
      "arrears",  "overdue", "pa",      "balance",  "fee",      "order",     "legal",  "court",   "law",     "authorit",
      "evidence", "held",    "hold",    "prohibit", "violat",   "illegal",   "review", "spam",    "malware", "threat",
      "attack",   "secur",   "suspend", "withh",    "terminat", "agreement", "clause", "reclaim", "permit",  "filing",
      "licen",    "read",    "maint",   "quota",    "limit",    "sandbox",   "stale",  "policy",  "notice",  "flag"};
  for (int i = 1; i < kReasonCount; ++i) {
    const std::string message = absl::AsciiStrToLower(DefaultPack().reasons[i].message);
    EXPECT_FALSE(message.empty());
    for (const std::string& secret : secrets) EXPECT_THAT(message, Not(HasSubstr(secret)));
    for (const absl::string_view word : absl::StrSplit(Name(static_cast<Reason>(i)), '_')) {
      EXPECT_THAT(message, Not(HasSubstr(absl::AsciiStrToLower(word)))) << Name(static_cast<Reason>(i));
    }
  }
}

TEST(DefaultPackTest, CategoriesHaveReasonSeverityAndRoles) {
  struct {
    const char* clause;
    Reason reason;
    Severity severity;
    std::vector<Role> roles;
  } const want[] = {
      {"3.1.3.4", Reason::kSpam, Severity::kBlock, {Role::kModeration, Role::kSecurity, Role::kLegal}},
      {"3.1.3.5.1", Reason::kContentProhibited, Severity::kBlock, {Role::kModeration, Role::kLegal}},
      {"3.1.3.5.2", Reason::kContentProhibited, Severity::kCritical, {Role::kModeration, Role::kLegal}},
      {"3.1.3.5.3", Reason::kContentProhibited, Severity::kBlock, {Role::kModeration, Role::kLegal}},
      {"3.1.3.5.4", Reason::kContentProhibited, Severity::kBlock, {Role::kModeration, Role::kLegal}},
      {"3.1.3.5.5", Reason::kContentProhibited, Severity::kBlock, {Role::kModeration, Role::kLegal}},
      {"3.1.3.5.6", Reason::kContentProhibited, Severity::kBlock, {Role::kModeration, Role::kLegal}},
      {"3.1.3.5.7", Reason::kContentProhibited, Severity::kReview, {Role::kModeration, Role::kLegal}},
      {"3.1.3.5.8", Reason::kContentProhibited, Severity::kReview, {Role::kModeration, Role::kLegal}},
      {"3.1.3.7", Reason::kSecurityThreat, Severity::kBlock, {Role::kSecurity, Role::kLegal}},
      {"3.1.3.8", Reason::kSecurityThreat, Severity::kBlock, {Role::kSecurity, Role::kLegal}},
      {"3.1.3.9", Reason::kContentProhibited, Severity::kBlock, {Role::kSecurity, Role::kLegal}},
  };
  const Pack& pack = DefaultPack();
  ASSERT_EQ(pack.categories.size(), std::size(want));
  for (size_t i = 0; i < std::size(want); ++i) {
    const Category* category = pack.FindCategory(want[i].clause);
    ASSERT_EQ(category, &pack.categories[i]) << want[i].clause;
    EXPECT_EQ(category->reason, want[i].reason) << want[i].clause;
    EXPECT_EQ(category->default_severity, want[i].severity) << want[i].clause;
    EXPECT_EQ(pack.category_roles.at(want[i].clause), want[i].roles) << want[i].clause;
    EXPECT_FALSE(category->zh.empty());
    EXPECT_FALSE(category->en.empty());
  }
  EXPECT_EQ(pack.FindCategory("3.1.3.5"), nullptr);
  EXPECT_EQ(pack.FindCategory(""), nullptr);
}

TEST(DefaultPackTest, RolesAreThoseOfTheTableTheDefaultFirst) {
  const std::vector<std::pair<std::vector<Role>, std::string>> want = {
      {{Role::kBilling},
       "open_account paid withhold clear_withhold set_balance freeze payment_pending unfreeze set_service_end "
       "reinstate"},
      {{Role::kBilling, Role::kLegal}, "set_parameter announce_terms"},
      {{Role::kBilling, Role::kLegal, Role::kOperations, Role::kSecurity}, "set_limit clear_limit"},
      {{Role::kLegal}, "give_notice withdraw_notice grant_backup issue_order lift_order"},
      {{Role::kLegal, Role::kBilling, Role::kSecurity, Role::kModeration}, "terminate"},
      {{Role::kModeration, Role::kSecurity, Role::kLegal}, "raise_flag clear_flag grant_exception order_deletion"},
      {{Role::kLegal, Role::kModeration, Role::kSecurity}, "place_hold release_hold"},
      {{Role::kSecurity, Role::kModeration, Role::kLegal}, "restrict unrestrict"},
      {{Role::kCompliance}, "set_permit classify_domain registry_sync"},
      {{Role::kOperations}, "bind_domain unbind_domain set_maintenance"},
      {{Role::kStorage, Role::kOperations}, "bind_bucket"},
      {{Role::kStorage}, "set_usage confirm_reclaimed"},
  };
  size_t changes = 0;
  for (const auto& [roles, names] : want) {
    for (const absl::string_view name : absl::StrSplit(names, ' ')) {
      const absl::optional<size_t> index = ParseChangeName(name);
      ASSERT_TRUE(index.has_value()) << name;
      EXPECT_EQ(DefaultPack().roles[*index], roles) << name;
      ++changes;
    }
  }
  EXPECT_EQ(changes, kChangeCount - 1);
}

TEST(DefaultPackTest, RolesForTakesCategoryAndCauseIntoAccount) {
  const Pack& pack = DefaultPack();
  EXPECT_THAT(pack.RolesFor(Freeze{"u1"}), ElementsAre(Role::kBilling));
  EXPECT_EQ(pack.RolesFor(BindBucket{}).front(), Role::kStorage);
  RaiseFlag flag;
  flag.category = "3.1.3.7";
  EXPECT_EQ(pack.RolesFor(flag).front(), Role::kSecurity);
  flag.category = "3.1.3.5.3";
  EXPECT_EQ(pack.RolesFor(flag).front(), Role::kModeration);
  EXPECT_THAT(pack.RolesFor(Terminate{"u1", TerminationCause::kArrears}), IsEmpty());
  EXPECT_EQ(pack.RolesFor(Terminate{"u1", TerminationCause::kMutual}).front(), Role::kLegal);
}

TEST(DefaultPackTest, CausesOfTerminateAreNarrowedByRole) {
  const auto& roles = DefaultPack().terminate_roles;
  EXPECT_THAT(roles.at(TerminationCause::kMutual), ElementsAre(Role::kLegal));
  EXPECT_THAT(roles.at(TerminationCause::kBreach), ElementsAre(Role::kLegal));
  EXPECT_THAT(roles.at(TerminationCause::kNotice), ElementsAre(Role::kLegal));
  EXPECT_THAT(roles.at(TerminationCause::kTermsRejected), ElementsAre(Role::kLegal, Role::kBilling));
  EXPECT_THAT(roles.at(TerminationCause::kSecurity), ElementsAre(Role::kLegal, Role::kSecurity));
  EXPECT_THAT(roles.at(TerminationCause::kViolation), ElementsAre(Role::kLegal, Role::kSecurity, Role::kModeration));
  EXPECT_THAT(roles.at(TerminationCause::kArrears), IsEmpty());
  EXPECT_THAT(roles.at(TerminationCause::kExpired), IsEmpty());
}

TEST(DefaultPackTest, ParametersHaveTheirDefaultsAndFloors) {
  struct {
    const char* name;
    ParameterType type;
    const char* value;
    const char* floor;
  } const want[] = {
      {"grace_days", ParameterType::kDays, "30", ""},
      {"retention_days", ParameterType::kDays, "30", ""},
      {"freeze.allow_delete", ParameterType::kSwitch, "off", ""},
      {"freeze.exempt", ParameterType::kSwitch, "off", ""},
      {"holiday_extension", ParameterType::kSwitch, "off", ""},
      {"holidays", ParameterType::kDates, "", ""},
      {"retention.cumulative", ParameterType::kSwitch, "off", ""},
      {"permit.check", ParameterType::kSwitch, "on", "on"},
      {"registry.silence", ParameterType::kDuration, "48h", ""},
      {"test_domain.days", ParameterType::kDays, "30", ""},
      {"test_domain.bytes_per_day", ParameterType::kBytes, "10000000000", ""},
      {"takedown.exempt", ParameterType::kSwitch, "off", "off"},
      {"lease.seconds", ParameterType::kSeconds, "300", ""},
  };
  EXPECT_EQ(DefaultPack().parameters.size(), std::size(want));
  for (const auto& row : want) {
    const Parameter* parameter = DefaultPack().FindParameter(row.name);
    ASSERT_NE(parameter, nullptr) << row.name;
    EXPECT_EQ(parameter->type, row.type) << row.name;
    EXPECT_EQ(parameter->default_value, row.value) << row.name;
    EXPECT_EQ(parameter->floor, row.floor) << row.name;
  }
  EXPECT_EQ(DefaultPack().FindParameter("grace"), nullptr);
}

TEST(DefaultPackTest, MarginsAreThoseOfTheRules) {
  const Pack& pack = DefaultPack();
  EXPECT_EQ(pack.reclaim_margin, absl::Minutes(10));
  EXPECT_EQ(pack.reclaim_after_arrival, absl::Hours(24));
  EXPECT_EQ(pack.effective_ahead_max, absl::Hours(24));
  EXPECT_EQ(pack.recheck_after, absl::Seconds(60));
  EXPECT_EQ(pack.cache_for, absl::Seconds(1));
}

}  // namespace
}  // namespace sluice
