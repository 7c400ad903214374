// The form of each change, by the fields of policy.proto.
#include "enforcement/event_form.h"

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "enforcement/calendar.h"
#include "enforcement/check.h"
#include "enforcement/names.h"
#include "enforcement/parameters.h"

namespace sluice {
namespace {

absl::Status Malformed(absl::string_view message) { return absl::InvalidArgumentError(message); }

absl::Status CheckId(absl::string_view field, absl::string_view id) {
  if (id.empty()) return Malformed(absl::StrCat(field, ": want a name, got none"));
  if (id.size() > kIdBytesMax) {
    return Malformed(absl::StrCat(field, ": want at most ", kIdBytesMax, " bytes, got ", id.size()));
  }
  if (absl::StrContains(id, '\0')) return Malformed(absl::StrCat(field, ": want no NUL byte"));
  return absl::OkStatus();
}

absl::Status CheckAccount(absl::string_view account) { return CheckId("account", account); }

// An enum word that the contract has, other than UNSPECIFIED.
template <typename Enum>
absl::Status CheckWord(absl::string_view field, Enum value) {
  if (static_cast<int>(value) != 0 && Name(value) != "?") return absl::OkStatus();
  return Malformed(absl::StrCat(field, ": want a value that the contract has, got ", static_cast<int>(value)));
}

absl::Status CheckOperations(const std::vector<Operation>& operations) {
  for (const Operation operation : operations) {
    if (absl::Status status = CheckWord("operations", operation); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Canonicalise(Subject* subject) {
  absl::StatusOr<Subject> canonical = CanonicalSubject(*subject);
  if (!canonical.ok()) return canonical.status();
  *subject = *std::move(canonical);
  return absl::OkStatus();
}

// A host of a binding or a permit: "*.x" or a name.
absl::Status CanonicaliseHost(std::string* host) {
  Subject subject;
  subject.host = *host;
  if (host->empty()) return Malformed("host: want a name, got none");
  if (absl::Status status = Canonicalise(&subject); !status.ok()) return status;
  *host = subject.host;
  return absl::OkStatus();
}

#define SLUICE_RETURN_IF_ERROR(expression)                               \
  do {                                                                   \
    if (absl::Status status = (expression); !status.ok()) return status; \
  } while (false)

absl::Status CheckWindow(const OptionalTime& from, const OptionalTime& to) {
  if (from && to && *to <= *from) {
    return Malformed(absl::StrCat("to: want a time after from ", ChinaTimeText(*from), ", got ", ChinaTimeText(*to)));
  }
  return absl::OkStatus();
}

absl::Status CheckAmount(absl::string_view field, double amount) {
  if (std::isfinite(amount) && amount >= 0 && amount <= 1e18) return absl::OkStatus();
  return Malformed(absl::StrCat(field, ": want a number from 0 to 1e18, got ", amount));
}

// Which field of a subject names whom a limit of `scope` is for.
absl::Status CheckLimitSubject(LimitScope scope, const Subject& subject) {
  const SubjectKind kind = KeyOf(subject).kind;
  const auto want = [&](bool fits, absl::string_view what) {
    if (fits) return absl::OkStatus();
    return Malformed(
        absl::StrCat("subject: want ", what, " for a limit of scope ", Name(scope), ", got ", Describe(subject)));
  };
  switch (scope) {
    case LimitScope::kAccount:
      return want(kind == SubjectKind::kAccount, "an account");
    case LimitScope::kBucket:
      return want(kind == SubjectKind::kBucket, "a bucket");
    case LimitScope::kObject:
      return want(kind == SubjectKind::kObject, "a bucket and a key");
    case LimitScope::kDomain:
      return want(kind == SubjectKind::kHost || kind == SubjectKind::kHostsBelow, "a host");
    case LimitScope::kClientIp:
      return want(kind == SubjectKind::kAddressBlock, "an address or a CIDR block");
    default:
      return Malformed("scope: want a value that the contract has");
  }
}

// The form of one change: names into their one form, fields within bounds, values that exist.
class FormCheck {
 public:
  explicit FormCheck(const Pack& pack) : pack_(pack) {}

  absl::Status operator()(std::monostate&) const {
    return Malformed("change: want one, got none (or one that this version does not know)");
  }
  // The changes of the lifecycle that carry an account and no more than their own guard looks at.
  template <typename AccountChange>
  absl::Status operator()(AccountChange& change) const {
    return CheckAccount(change.account);
  }
  absl::Status operator()(Terminate& change) const {
    SLUICE_RETURN_IF_ERROR(CheckAccount(change.account));
    return CheckWord("cause", change.cause);
  }
  absl::Status operator()(BindBucket& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("bucket", change.bucket));
    return CheckAccount(change.account);
  }
  absl::Status operator()(BindDomain& change) const {
    if (!change.account.empty()) SLUICE_RETURN_IF_ERROR(CheckAccount(change.account));
    if (!change.bucket.empty()) SLUICE_RETURN_IF_ERROR(CheckId("bucket", change.bucket));
    return CanonicaliseHost(&change.host);
  }
  absl::Status operator()(UnbindDomain& change) const { return CanonicaliseHost(&change.host); }
  absl::Status operator()(SetPermit& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("kind", change.kind));
    if (change.status == PermitStatus::kUnspecified || change.status > PermitStatus::kNone) {
      return Malformed(
          absl::StrCat("status: want VALID, OUTDATED, REVOKED or NONE, got ", static_cast<int>(change.status)));
    }
    if (!change.valid_through.empty()) {
      const auto day = ParseDay(change.valid_through);
      if (!day.ok()) return Malformed(absl::StrCat("valid_through: ", day.status().message()));
    }
    return CanonicaliseHost(&change.host);
  }
  absl::Status operator()(ClassifyDomain& change) const {
    for (const std::string& kind : change.required_permits) SLUICE_RETURN_IF_ERROR(CheckId("required_permits", kind));
    return CanonicaliseHost(&change.host);
  }
  absl::Status operator()(RegistrySync& change) const { return CheckId("registry", change.registry); }
  absl::Status operator()(RaiseFlag& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("flag_id", change.flag_id));
    if (pack_.FindCategory(change.category) == nullptr) {
      return Malformed(
          absl::StrCat("category: want a clause that the pack has, like 3.1.3.5.3, got \"", change.category, "\""));
    }
    if (change.severity != Severity::kUnspecified) SLUICE_RETURN_IF_ERROR(CheckWord("severity", change.severity));
    return Canonicalise(&change.subject);
  }
  absl::Status operator()(ClearFlag& change) const { return CheckId("flag_id", change.flag_id); }
  absl::Status operator()(GrantException& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("flag_id", change.flag_id));
    return Canonicalise(&change.subject);
  }
  absl::Status operator()(IssueOrder& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("order_id", change.order_id));
    if (change.subjects.empty()) return Malformed("subjects: want at least one (9.2.2), got none");
    for (Subject& subject : change.subjects) SLUICE_RETURN_IF_ERROR(Canonicalise(&subject));
    return CheckOperations(change.operations);
  }
  absl::Status operator()(LiftOrder& change) const { return CheckId("order_id", change.order_id); }
  absl::Status operator()(PlaceHold& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("hold_id", change.hold_id));
    return Canonicalise(&change.subject);
  }
  absl::Status operator()(ReleaseHold& change) const { return CheckId("hold_id", change.hold_id); }
  absl::Status operator()(Restrict& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("restriction_id", change.restriction_id));
    SLUICE_RETURN_IF_ERROR(CheckWord("kind", change.kind));
    SLUICE_RETURN_IF_ERROR(CheckAmount("requests_per_second", change.requests_per_second));
    return Canonicalise(&change.subject);
  }
  absl::Status operator()(Unrestrict& change) const { return CheckId("restriction_id", change.restriction_id); }
  absl::Status operator()(OrderDeletion& change) const { return Canonicalise(&change.subject); }
  absl::Status operator()(SetLimit& change) const {
    SLUICE_RETURN_IF_ERROR(CheckId("limit_id", change.limit_id));
    SLUICE_RETURN_IF_ERROR(CheckWord("level", change.level));
    SLUICE_RETURN_IF_ERROR(CheckWord("scope", change.scope));
    SLUICE_RETURN_IF_ERROR(CheckWord("dimension", change.dimension));
    SLUICE_RETURN_IF_ERROR(CheckAmount("rate", change.rate));
    SLUICE_RETURN_IF_ERROR(CheckAmount("burst", change.burst));
    SLUICE_RETURN_IF_ERROR(CheckOperations(change.operations));
    SLUICE_RETURN_IF_ERROR(CheckWindow(change.from, change.to));
    if (change.subject.empty()) return absl::OkStatus();
    SLUICE_RETURN_IF_ERROR(Canonicalise(&change.subject));
    return CheckLimitSubject(change.scope, change.subject);
  }
  absl::Status operator()(ClearLimit& change) const { return CheckId("limit_id", change.limit_id); }
  absl::Status operator()(SetParameter& change) const {
    SLUICE_RETURN_IF_ERROR(CheckWord("level", change.level));
    if (!change.account.empty()) SLUICE_RETURN_IF_ERROR(CheckAccount(change.account));
    SLUICE_RETURN_IF_ERROR(CheckWindow(change.from, change.to));
    const Parameter* parameter = pack_.FindParameter(change.name);
    if (parameter == nullptr) {
      return Malformed(absl::StrCat("name: want a parameter that the pack has, got \"", change.name, "\""));
    }
    return CheckParameterValue(*parameter, change.value);
  }
  absl::Status operator()(SetMaintenance& change) const {
    SLUICE_RETURN_IF_ERROR(CheckOperations(change.operations));
    return CheckWindow(change.from, change.to);
  }
  absl::Status operator()(SetUsage& change) const {
    SLUICE_RETURN_IF_ERROR(CheckWord("dimension", change.dimension));
    if (change.dimension != Dimension::kStoredBytes && change.dimension != Dimension::kStoredObjects &&
        change.dimension != Dimension::kBuckets && change.dimension != Dimension::kTrafficPerDay) {
      return Malformed(
          absl::StrCat("dimension: want an amount that is held (STORED_BYTES, STORED_OBJECTS, BUCKETS) or "
                       "TRAFFIC_PER_DAY, got ",
                       Name(change.dimension)));
    }
    if (change.amount < 0) return Malformed(absl::StrCat("amount: want 0 or more, got ", change.amount));
    return Canonicalise(&change.subject);
  }
  absl::Status operator()(AnnounceTerms& change) const {
    return change.effective ? absl::OkStatus() : Malformed("effective: want a time, got none");
  }

 private:
  const Pack& pack_;
};

#undef SLUICE_RETURN_IF_ERROR

}  // namespace

absl::Status CheckForm(const Pack& pack, Change* change) { return std::visit(FormCheck(pack), *change); }

}  // namespace sluice
