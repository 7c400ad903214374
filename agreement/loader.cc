#include "agreement/loader.h"

#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <iterator>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "agreement/pack_fields.h"
#include "agreement/strict_yaml.h"
#include "enforcement/parameters.h"

namespace sluice {
namespace {

constexpr char kDefaultPack[] =
#include "agreement/default_pack.inc"
    ;

constexpr absl::string_view kRowNames[] = {"PENDING",        "ACTIVE",           "NOTICE",      "WITHHELD", "FROZEN",
                                           "RETENTION_OPEN", "RETENTION_CLOSED", "RECLAIMABLE", "RECLAIMED"};
static_assert(std::size(kRowNames) == kStateRowCount);

// By ParameterType.
constexpr absl::string_view kTypeNames[] = {"days", "switch", "dates", "duration", "bytes", "seconds"};
constexpr absl::string_view kTypeValues[] = {"a whole number of days",
                                             "on or off",
                                             "dates like 2026-10-01/2026-10-07, 2027-01-01",
                                             "a duration like 48h",
                                             "a whole number of bytes",
                                             "a whole number of seconds from 1 to 86400"};

// What enforcement/ asks for by name: a pack that lacks one, or has it as another type, could not be decided by.
struct KnownParameter {
  absl::string_view name;
  ParameterType type;
};
constexpr KnownParameter kParameters[] = {
    {"grace_days", ParameterType::kDays},
    {"retention_days", ParameterType::kDays},
    {"freeze.allow_delete", ParameterType::kSwitch},
    {"freeze.exempt", ParameterType::kSwitch},
    {"holiday_extension", ParameterType::kSwitch},
    {"holidays", ParameterType::kDates},
    {"retention.cumulative", ParameterType::kSwitch},
    {"permit.check", ParameterType::kSwitch},
    {"registry.silence", ParameterType::kDuration},
    {"test_domain.days", ParameterType::kDays},
    {"test_domain.bytes_per_day", ParameterType::kBytes},
    {"takedown.exempt", ParameterType::kSwitch},
    {"lease.seconds", ParameterType::kSeconds},
};

constexpr absl::Duration kCacheForMax = absl::Seconds(5);

// The reasons in the order of their precedence.
std::vector<Reason> InOrder() {
  std::vector<Reason> order;
  for (int i = 1; i < kReasonCount; ++i) order.push_back(static_cast<Reason>(i));
  std::sort(order.begin(), order.end(), [](Reason a, Reason b) { return Precedence(a) < Precedence(b); });
  return order;
}

// 3.1.3.10 after 3.1.3.9. REQUIRES: IsClause of both.
bool ClauseLess(const Category& a, const Category& b) {
  const auto numbers = [](absl::string_view clause) {
    std::vector<int> parts;
    for (const absl::string_view part : absl::StrSplit(clause, '.')) {
      int number = 0;
      (void)absl::SimpleAtoi(part, &number);
      parts.push_back(number);
    }
    return parts;
  };
  return numbers(a.clause) < numbers(b.clause);
}

// One pass over the file: each function reads one section into `pack_` and notes what is wrong with it.
class PackReader {
 public:
  explicit PackReader(absl::string_view file_name) : yaml_(file_name), pack_(std::make_unique<Pack>()) {}

  absl::StatusOr<std::unique_ptr<const Pack>> Read(absl::string_view text);

 private:
  void ReadRows(const YamlValue& value);
  void ReadRow(const YamlValue& value, const std::vector<Operation>& columns, PermissionRow* row);
  void ReadReasons(const YamlValue& value);
  void ReadAnswers(const YamlValue& value);
  void ReadPrecedence(const YamlValue& value);
  void ReadRoles(const YamlValue& value);
  void ReadCauses(const YamlValue& value);
  void ReadCategories(const YamlValue& value);
  void ReadParameters(const YamlValue& value);
  void ReadTiming(const YamlValue& value);
  void ReadAbuse(const YamlValue& value);
  void ReadDuration(const YamlValue& value, absl::Duration least, absl::Duration most, absl::Duration* target);
  void ReadNumber(const YamlValue& value, double least, double most, double* target);

  StrictYaml yaml_;
  PackFields fields_{&yaml_};
  std::unique_ptr<Pack> pack_;
};

void PackReader::ReadRows(const YamlValue& value) {
  const YamlMembers members = yaml_.Members(value, {"columns", "rows"});
  std::vector<Operation> columns;
  With(members, "columns", [&](const YamlValue& list) {
    const auto items = yaml_.Items(list, "a list of operations");
    if (!items) return;
    for (const YamlValue& item : *items) {
      const Operation operation = fields_.Word(item, Operation::kPay).value_or(Operation::kUnspecified);
      if (operation != Operation::kUnspecified &&
          std::find(columns.begin(), columns.end(), operation) != columns.end()) {
        yaml_.Refuse(item, "each operation once");
      }
      columns.push_back(operation);
    }
    for (int i = 1; i <= static_cast<int>(Operation::kPay); ++i) {
      const auto operation = static_cast<Operation>(i);
      if (std::find(columns.begin(), columns.end(), operation) != columns.end()) continue;
      yaml_.Refuse({list.node, absl::StrCat(list.what, ".", Name(operation))}, "a column", "nothing");
    }
  });
  With(members, "rows", [&](const YamlValue& rows) {
    const YamlMembers by_name = yaml_.Members(rows, {std::begin(kRowNames), std::end(kRowNames)});
    if (columns.empty()) return;  // refused above; each row would only say it again
    for (int i = 0; i < kStateRowCount; ++i) {
      With(by_name, kRowNames[i], [&](const YamlValue& row) { ReadRow(row, columns, &pack_->rows[i]); });
    }
  });
}

void PackReader::ReadRow(const YamlValue& value, const std::vector<Operation>& columns, PermissionRow* row) {
  const std::string wanted = absl::StrCat("a list of ", columns.size(), " permissions, one a column");
  const auto items = yaml_.Items(value, wanted);
  if (!items) return;
  if (items->size() != columns.size()) return yaml_.Refuse(value, wanted, absl::StrCat("a list of ", items->size()));
  // Whatever goes wrong below, nothing is permitted by default.
  row->fill(Permission::kDeny);
  for (size_t i = 0; i < items->size(); ++i) {
    const Operation operation = columns[i];
    const YamlValue cell = {(*items)[i].node, absl::StrCat(value.what, ".", Name(operation)), (*items)[i].line};
    const absl::optional<std::string> text = yaml_.Text(cell, "one of A, W, D");
    if (!text) continue;
    if (*text != "A" && *text != "W" && *text != "D") {
      yaml_.Refuse(cell, "one of A, W, D");
    } else if (*text == "D" && (operation == Operation::kPay || operation == Operation::kManageRead)) {
      yaml_.Refuse(cell, "A or W, as paying and reading the bill stay open in every state (7.4)");
    } else {
      (*row)[static_cast<size_t>(operation)] = *text == "A"   ? Permission::kAllow
                                               : *text == "W" ? Permission::kWarn
                                                              : Permission::kDeny;
    }
  }
  for (int i = 0; i < kOperationCount; ++i) {
    (*row)[i] = (*row)[static_cast<size_t>(JudgedAs(static_cast<Operation>(i)))];
  }
}

void PackReader::ReadReasons(const YamlValue& value) {
  const YamlMembers by_name = yaml_.Members(value, Words(static_cast<Reason>(kReasonCount - 1)));
  for (int i = 1; i < kReasonCount; ++i) {
    With(by_name, Name(static_cast<Reason>(i)), [&](const YamlValue& reason) {
      ReasonRule& rule = pack_->reasons[i];
      const YamlMembers members = yaml_.Members(reason, {"clause", "fault", "http", "message", "zh", "en"});
      With(members, "clause", [&](const YamlValue& v) { fields_.ReadClause(v, true, &rule.clause); });
      With(members, "fault",
           [&](const YamlValue& v) { rule.fault = fields_.Word(v, Fault::kProvider).value_or(rule.fault); });
      With(members, "message", [&](const YamlValue& v) { fields_.ReadLine(v, &rule.message); });
      With(members, "zh", [&](const YamlValue& v) { fields_.ReadLine(v, &rule.zh); });
      With(members, "en", [&](const YamlValue& v) { fields_.ReadLine(v, &rule.en); });
      With(members, "http", [&](const YamlValue& http) {
        const YamlMembers answers = yaml_.Members(http, {"generic", "s3", "kodo"});
        With(answers, "generic", [&](const YamlValue& v) { fields_.ReadAnswer(v, Dialect::kGeneric, &rule.generic); });
        With(answers, "s3", [&](const YamlValue& v) { fields_.ReadAnswer(v, Dialect::kS3, &rule.s3); });
        With(answers, "kodo", [&](const YamlValue& v) { fields_.ReadAnswer(v, Dialect::kKodo, &rule.kodo); });
      });
    });
  }
}

void PackReader::ReadAnswers(const YamlValue& value) {
  const YamlMembers members = yaml_.Members(value, {"bucket_quota", "object_rate"});
  With(members, "bucket_quota", [&](const YamlValue& quota) {
    const YamlMembers answers = yaml_.Members(quota, {"s3", "kodo"});
    With(answers, "s3", [&](const YamlValue& v) { fields_.ReadAnswer(v, Dialect::kS3, &pack_->bucket_quota_s3); });
    With(answers, "kodo",
         [&](const YamlValue& v) { fields_.ReadAnswer(v, Dialect::kKodo, &pack_->bucket_quota_kodo); });
  });
  With(members, "object_rate", [&](const YamlValue& rate) {
    const YamlMembers answers = yaml_.Members(rate, {"kodo"});
    With(answers, "kodo", [&](const YamlValue& v) { fields_.ReadAnswer(v, Dialect::kKodo, &pack_->object_rate_kodo); });
  });
}

// The engine decides in the order of the numbers; the file says the same for its reader, or is refused.
void PackReader::ReadPrecedence(const YamlValue& value) {
  const auto items = yaml_.Items(value, "a list of reasons");
  if (!items) return;
  const std::vector<Reason> order = InOrder();
  for (size_t i = 0; i < std::min(items->size(), order.size()); ++i) {
    const absl::optional<std::string> text = yaml_.Text((*items)[i], Name(order[i]));
    if (!text) return;
    // One that is out of place moves all behind it: the first says enough.
    if (*text != Name(order[i])) return yaml_.Refuse((*items)[i], Name(order[i]));
  }
  if (items->size() != order.size()) {
    yaml_.Refuse(value, absl::StrCat(order.size(), " reasons"), absl::StrCat(items->size()));
  }
}

void PackReader::ReadRoles(const YamlValue& value) {
  std::vector<std::string> changes;
  for (size_t i = 1; i < kChangeCount; ++i) changes.emplace_back(ChangeName(i));
  const YamlMembers members = yaml_.Members(value, changes);
  for (size_t i = 1; i < kChangeCount; ++i) {
    With(members, ChangeName(i), [&](const YamlValue& list) { pack_->roles[i] = fields_.ReadRoles(list, false); });
  }
}

void PackReader::ReadCauses(const YamlValue& value) {
  const std::vector<Role>& senders = pack_->roles[*ParseChangeName("terminate")];
  const YamlMembers by_name = yaml_.Members(value, Words(TerminationCause::kExpired));
  for (size_t i = 1; i < pack_->causes.size(); ++i) {
    const auto cause = static_cast<TerminationCause>(i);
    With(by_name, Name(cause), [&](const YamlValue& entry) {
      CauseRule& rule = pack_->causes[i];
      const YamlMembers members = yaml_.Members(entry, {"clause", "closed", "sent_by"});
      With(members, "clause", [&](const YamlValue& v) { fields_.ReadClause(v, false, &rule.clause); });
      With(members, "closed", [&](const YamlValue& v) { fields_.ReadFlag(v, &rule.closed); });
      With(members, "sent_by", [&](const YamlValue& v) {
        pack_->terminate_roles[cause] = fields_.ReadRoles(v, true, &senders, "terminate");
      });
    });
  }
}

void PackReader::ReadCategories(const YamlValue& value) {
  const std::vector<Role>& raisers = pack_->roles[*ParseChangeName("raise_flag")];
  // CONTENT_UNDER_REVIEW is what CONTENT_PROHIBITED becomes at severity REVIEW.
  constexpr Reason kReasons[] = {Reason::kContentProhibited, Reason::kSpam, Reason::kSecurityThreat};
  for (const YamlEntry& entry : yaml_.Entries(value)) {
    Category category;
    // The clause is a key: an error about it stands where the key does.
    fields_.ReadClause({entry.key_node, value.what}, false, &category.clause);
    const YamlMembers members = yaml_.Members(entry.value, {"reason", "severity", "raised_by", "zh", "en"});
    With(members, "reason", [&](const YamlValue& v) {
      const absl::optional<std::string> text = yaml_.Text(v, "a reason");
      if (!text) return;
      const absl::optional<Reason> reason = ParseReason(*text);
      if (!reason || std::find(std::begin(kReasons), std::end(kReasons), *reason) == std::end(kReasons)) {
        return yaml_.Refuse(v, "one of CONTENT_PROHIBITED, SPAM, SECURITY_THREAT");
      }
      category.reason = *reason;
    });
    With(members, "severity", [&](const YamlValue& v) {
      category.default_severity = fields_.Word(v, Severity::kCritical).value_or(category.default_severity);
    });
    With(members, "raised_by", [&](const YamlValue& v) {
      pack_->category_roles[category.clause] = fields_.ReadRoles(v, false, &raisers, "raise_flag");
    });
    With(members, "zh", [&](const YamlValue& v) { fields_.ReadLine(v, &category.zh); });
    With(members, "en", [&](const YamlValue& v) { fields_.ReadLine(v, &category.en); });
    pack_->categories.push_back(std::move(category));
  }
  if (yaml_.ok()) std::sort(pack_->categories.begin(), pack_->categories.end(), ClauseLess);
}

void PackReader::ReadParameters(const YamlValue& value) {
  std::vector<std::string> names;
  for (const KnownParameter& known : kParameters) names.emplace_back(known.name);
  const YamlMembers by_name = yaml_.Members(value, names);
  for (const KnownParameter& known : kParameters) {
    With(by_name, known.name, [&](const YamlValue& entry) {
      Parameter parameter{std::string(known.name), known.type, "", ""};
      const absl::string_view type = kTypeNames[static_cast<size_t>(known.type)];
      const absl::string_view wanted = kTypeValues[static_cast<size_t>(known.type)];
      const YamlMembers members = yaml_.Members(entry, {"type", "default"}, {"floor"});
      With(members, "type", [&](const YamlValue& v) {
        const absl::optional<std::string> text = yaml_.Text(v, type);
        if (text && *text != type) yaml_.Refuse(v, type);
      });
      With(members, "floor", [&](const YamlValue& v) {
        const absl::optional<std::string> text = yaml_.Text(v, "on or off");
        if (!text) return;
        if (known.type != ParameterType::kSwitch) return yaml_.Refuse(v, "no floor, as it is no switch");
        if (*text != "on" && *text != "off") return yaml_.Refuse(v, "on or off");
        parameter.floor = *text;
      });
      With(members, "default", [&](const YamlValue& v) {
        const absl::optional<std::string> text = yaml_.Text(v, wanted);
        if (!text) return;
        if (!CheckParameterValue(parameter, *text).ok()) return yaml_.Refuse(v, wanted);
        if (!parameter.floor.empty() && *text != parameter.floor) {
          return yaml_.Refuse(v, absl::StrCat("the floor, ", parameter.floor));
        }
        parameter.default_value = *text;
      });
      pack_->parameters.push_back(std::move(parameter));
    });
  }
}

void PackReader::ReadTiming(const YamlValue& value) {
  struct Span {
    const char* name;
    absl::Duration least, most;
    absl::Duration* target;
  };
  // A hundred years stand for "no bound": whatever is added to a date must stay a date.
  constexpr absl::Duration kNoBound = absl::Hours(24 * 36500);
  const Span spans[] = {
      {"reclaim_margin", absl::ZeroDuration(), kNoBound, &pack_->reclaim_margin},
      {"reclaim_after_arrival", absl::ZeroDuration(), kNoBound, &pack_->reclaim_after_arrival},
      {"effective_ahead_max", absl::ZeroDuration(), kNoBound, &pack_->effective_ahead_max},
      {"recheck_after", absl::Milliseconds(1), kNoBound, &pack_->recheck_after},  // 0 would read as unset
      {"cache_for", absl::ZeroDuration(), kCacheForMax, &pack_->cache_for},
      {"shape_recheck", absl::Milliseconds(1), kNoBound, &pack_->shape_recheck},
  };
  std::vector<std::string> names;
  for (const Span& span : spans) names.emplace_back(span.name);
  const YamlMembers members = yaml_.Members(value, names);
  for (const Span& span : spans) {
    With(members, span.name, [&](const YamlValue& v) { ReadDuration(v, span.least, span.most, span.target); });
  }
}

void PackReader::ReadDuration(const YamlValue& value, absl::Duration least, absl::Duration most,
                              absl::Duration* target) {
  const std::string wanted =
      absl::StrCat("a duration like 10m, from ", absl::FormatDuration(least), " to ", absl::FormatDuration(most));
  const absl::optional<std::string> text = yaml_.Text(value, wanted);
  if (!text) return;
  absl::Duration duration;
  if (!absl::ParseDuration(*text, &duration) || duration < least || duration > most) return yaml_.Refuse(value, wanted);
  *target = duration;
}

void PackReader::ReadNumber(const YamlValue& value, double least, double most, double* target) {
  const std::string wanted = absl::StrCat("a number from ", least, " to ", most);
  const absl::optional<std::string> text = yaml_.Text(value, wanted);
  if (!text) return;
  double number;
  if (!absl::SimpleAtod(*text, &number) || !(number >= least && number <= most)) return yaml_.Refuse(value, wanted);
  *target = number;
}

void PackReader::ReadAbuse(const YamlValue& value) {
  AbuseRule& abuse = pack_->abuse;
  const YamlMembers members =
      yaml_.Members(value, {"clause", "factor", "window", "sandbox_share", "release_after", "scopes"});
  With(members, "clause", [&](const YamlValue& v) { fields_.ReadClause(v, false, &abuse.clause); });
  // Below twice its limit nobody can be told from a customer who is a little over it.
  With(members, "factor", [&](const YamlValue& v) { ReadNumber(v, 2, 1e6, &abuse.factor); });
  With(members, "window",
       [&](const YamlValue& v) { ReadDuration(v, absl::Seconds(1), absl::Hours(1), &abuse.window); });
  With(members, "sandbox_share", [&](const YamlValue& v) { ReadNumber(v, 0.001, 1, &abuse.sandbox_share); });
  With(members, "release_after",
       [&](const YamlValue& v) { ReadDuration(v, absl::Seconds(1), absl::Hours(24), &abuse.release_after); });
  With(members, "scopes", [&](const YamlValue& v) {
    const auto items = yaml_.Items(v, "a list of scopes of limits; empty: nobody is sandboxed");
    if (!items) return;
    for (const YamlValue& item : *items) {
      if (const auto scope = fields_.Word(item, LimitScope::kClientIp))
        abuse.scopes[static_cast<size_t>(*scope)] = true;
    }
  });
}

absl::StatusOr<std::unique_ptr<const Pack>> PackReader::Read(absl::string_view text) {
  const absl::optional<YamlValue> root = yaml_.Parse(text);
  if (!root) return yaml_.status();
  const YamlMembers members =
      yaml_.Members(*root, {"name", "version", "operations", "causes", "categories", "reasons", "answers",
                            "test_domain_clause", "precedence", "roles", "parameters", "timing", "abuse"});
  With(members, "name", [&](const YamlValue& v) { fields_.ReadLine(v, &pack_->name); });
  With(members, "version", [&](const YamlValue& v) { fields_.ReadLine(v, &pack_->version); });
  With(members, "test_domain_clause",
       [&](const YamlValue& v) { fields_.ReadClause(v, false, &pack_->test_domain_clause); });
  const std::pair<const char*, void (PackReader::*)(const YamlValue&)> sections[] = {
      {"operations", &PackReader::ReadRows},       {"reasons", &PackReader::ReadReasons},
      {"answers", &PackReader::ReadAnswers},       {"precedence", &PackReader::ReadPrecedence},
      {"roles", &PackReader::ReadRoles},  // before those that narrow it
      {"causes", &PackReader::ReadCauses},         {"categories", &PackReader::ReadCategories},
      {"parameters", &PackReader::ReadParameters}, {"timing", &PackReader::ReadTiming},
      {"abuse", &PackReader::ReadAbuse},
  };
  for (const auto& [name, read] : sections) {
    With(members, name, [this, read = read](const YamlValue& v) { (this->*read)(v); });
  }
  if (!yaml_.ok()) return yaml_.status();

  XXH128_canonical_t digest;
  XXH128_canonicalFromHash(&digest, XXH3_128bits(text.data(), text.size()));
  pack_->digest =
      absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest.digest), sizeof(digest.digest)));
  return std::unique_ptr<const Pack>(std::move(pack_));
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Pack>> LoadPack(absl::string_view text, absl::string_view file_name) {
  try {
    return PackReader(file_name).Read(text);
  } catch (const std::exception& error) {
    // yaml-cpp is asked for nothing that throws beyond Parse; whatever else it may think of does not leave this folder.
    return absl::InvalidArgumentError(
        absl::StrCat(file_name, ":1: file: wanted a readable agreement pack, got ", error.what()));
  }
}

absl::StatusOr<std::unique_ptr<const Pack>> LoadPackFile(const std::string& path) {
  const auto failed = [&](int error) {
    return absl::Status(
        absl::ErrnoToStatusCode(error),
        absl::StrCat(path, ": file: wanted a readable agreement pack, got ", std::generic_category().message(error)));
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (file == nullptr) return failed(errno);
  // One byte more than Parse takes, so that a file that is too large is told from one that just fits.
  std::string text(StrictYaml::kBytesMax + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return failed(errno);
  return LoadPack(text, path);
}

absl::StatusOr<std::unique_ptr<const Pack>> LoadDefaultPack() { return LoadPack(DefaultPackText(), "default.yaml"); }

absl::string_view DefaultPackText() { return absl::string_view(kDefaultPack, sizeof(kDefaultPack) - 1); }

}  // namespace sluice
