// The agreement pack as plain structs: the rules of the service agreement as data. agreement/loader.h reads it from
// YAML; nothing here knows where it came from. Immutable once built, shared by all threads.
#ifndef SLUICE_ENFORCEMENT_PACK_H_
#define SLUICE_ENFORCEMENT_PACK_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "enforcement/event.h"
#include "enforcement/values.h"

namespace sluice {

// What a state permits: A allow, W allow with a warning, D deny.
enum class Permission : uint8_t { kAllow = 0, kWarn = 1, kDeny = 2 };
// By judged operation, UPLOAD to PAY; index is the Operation's number.
using PermissionRow = std::array<Permission, kOperationCount>;

// The rows of the table of operations by state (domain.md, section 2). RETENTION has two, by cause.
enum class StateRow : uint8_t {
  kPending,
  kActive,
  kNotice,
  kWithheld,
  kFrozen,
  kRetentionOpen,    // the owner may still download, list and delete
  kRetentionClosed,  // nothing but paying and reading the bill
  kReclaimable,
  kReclaimed,
};
inline constexpr int kStateRowCount = 9;

struct Category {
  std::string clause;  // "3.1.3.5.3"
  std::string zh, en;  // what it forbids
  Reason reason = Reason::kContentProhibited;
  Severity default_severity = Severity::kBlock;
};

// How one reason is answered: by clause, fault and HTTP dialect.
struct HttpAnswer {
  int32_t status = 0;
  std::string code;
};
struct ReasonRule {
  std::string clause;  // empty: the rule that matched brings its own
  Fault fault = Fault::kUnspecified;
  HttpAnswer generic, s3, kodo;
  std::string message;  // what a third party is told; names neither account, bucket, key, state nor reason (clause 6)
  std::string zh, en;   // one sentence for Explain
};

struct CauseRule {
  std::string clause;
  bool closed = false;  // RETENTION by this cause is closed to the owner
};

// Parameters are looked up by name; a value at any level outranks the default.
enum class ParameterType : uint8_t { kDays, kSwitch, kDates, kDuration, kBytes, kSeconds };
struct Parameter {
  std::string name;
  ParameterType type = ParameterType::kSwitch;
  std::string default_value;
  std::string floor;  // a switch that is held at this value by law, whatever is set; "" = no floor
};

// When a subject that presses on after being throttled is sandboxed without anybody's doing, and let go again.
struct AbuseRule {
  double factor = 10;                                // so many times its limit,
  absl::Duration window = absl::Seconds(60);         // for so long
  double sandbox_share = 0.1;                        // of the limit's rate: the sandbox's
  absl::Duration release_after = absl::Minutes(10);  // that its requests have stayed within the limit
  std::string clause;
  std::array<bool, 6> scopes{};  // by LimitScope: of whose limits
};

struct Pack {
  std::string name;     // "default"
  std::string version;  // the pack's own
  std::string digest;   // of the text it was read from, hex

  std::array<PermissionRow, kStateRowCount> rows{};
  std::vector<Category> categories;                // in order of clause
  std::array<ReasonRule, kReasonCount> reasons{};  // by Reason
  std::array<CauseRule, 9> causes{};               // by TerminationCause
  // Roles that may send a change, by Change::index(); the first is the default.
  std::array<std::vector<Role>, kChangeCount> roles{};
  // Narrower than `roles`: which causes of terminate, and which categories of raise_flag, a role may name.
  absl::flat_hash_map<TerminationCause, std::vector<Role>> terminate_roles;
  absl::flat_hash_map<std::string, std::vector<Role>> category_roles;  // by clause
  std::vector<Parameter> parameters;
  // HTTP answers that a dimension or a scope changes: a quota of BUCKETS, a rate of an OBJECT.
  HttpAnswer bucket_quota_kodo, bucket_quota_s3;
  HttpAnswer object_rate_kodo;

  absl::Duration reclaim_margin = absl::Minutes(10);       // after the deadline, before RECLAIMABLE is announced
  absl::Duration reclaim_after_arrival = absl::Hours(24);  // after the arrival of the event that started the clock
  absl::Duration effective_ahead_max = absl::Hours(24);
  absl::Duration recheck_after = absl::Seconds(60);
  absl::Duration cache_for = absl::Seconds(1);  // never above 5 s
  std::string test_domain_clause = "11.1";
  // How soon a lease that shares a pace is to be checked again, since others may have come or gone.
  absl::Duration shape_recheck = absl::Seconds(5);
  AbuseRule abuse;

  // nullptr where the pack has no such category or parameter.
  const Category* FindCategory(absl::string_view clause) const;
  const Parameter* FindParameter(absl::string_view name) const;
  // Who may send `change`, with its category or cause taken into account; the first is the default. Empty: nobody.
  const std::vector<Role>& RolesFor(const Change& change) const;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_PACK_H_
