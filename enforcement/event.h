// Policy events as plain values: what billing, moderation, legal, security, compliance, operations and storage tell.
// They mirror proto/sluice/v1/policy.proto field by field; proto/translate.h is the one translation between the two.
#ifndef SLUICE_ENFORCEMENT_EVENT_H_
#define SLUICE_ENFORCEMENT_EVENT_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "enforcement/values.h"

namespace sluice {

struct ContentHash {
  std::string algorithm;
  std::string digest;
  bool empty() const { return algorithm.empty() && digest.empty(); }
};

// One thing that an event is about. Exactly the fields that the scope needs are set.
struct Subject {
  std::string account;
  std::string bucket;
  std::string key;
  std::string prefix;
  std::string version_id;
  ContentHash hash;
  std::string host;
  std::string path;
  std::string client_ip;

  bool empty() const {
    return account.empty() && bucket.empty() && key.empty() && prefix.empty() && version_id.empty() && hash.empty() &&
           host.empty() && path.empty() && client_ip.empty();
  }
};

// An unset time is nullopt; the comment of the contract's field says what that means.
using OptionalTime = absl::optional<absl::Time>;

struct OpenAccount {
  std::string account;
};
struct Paid {
  std::string account;
};
struct Withhold {
  std::string account;
};
struct ClearWithhold {
  std::string account;
};
struct SetBalance {
  std::string account;
  int64_t balance_minor = 0;
  int64_t consumption_minor = 0;
};
struct Freeze {
  std::string account;
};
struct PaymentPending {
  std::string account;
  bool pending = false;
};
struct Unfreeze {
  std::string account;
};
struct SetServiceEnd {
  std::string account;
  OptionalTime end;
};
struct GiveNotice {
  std::string account;
  OptionalTime termination;
};
struct WithdrawNotice {
  std::string account;
};
struct Terminate {
  std::string account;
  TerminationCause cause = TerminationCause::kUnspecified;
};
struct GrantBackup {
  std::string account;
};
struct Reinstate {
  std::string account;
};
struct ConfirmReclaimed {
  std::string account;
};

struct BindBucket {
  std::string bucket, account, region;
};
struct BindDomain {
  std::string host, account, bucket;
  Geo geo = Geo::kUnspecified;
  bool provider_test_domain = false;
};
struct UnbindDomain {
  std::string host;
};
struct SetPermit {
  std::string host, kind;
  PermitStatus status = PermitStatus::kUnspecified;
  std::string valid_through;
};
struct ClassifyDomain {
  std::string host;
  std::vector<std::string> required_permits;
};
struct RegistrySync {
  std::string registry;
};

struct RaiseFlag {
  std::string flag_id;
  Subject subject;
  std::string category;
  Severity severity = Severity::kUnspecified;
  OptionalTime expires_at;
  std::string authority;
  bool trial = false;
};
struct ClearFlag {
  std::string flag_id;
};
struct GrantException {
  std::string flag_id;
  Subject subject;
};
struct IssueOrder {
  std::string order_id;
  std::vector<Subject> subjects;
  std::vector<Operation> operations;
  std::vector<std::string> regions;
  OptionalTime expires_at;
  std::string authority;
  std::string document;
};
struct LiftOrder {
  std::string order_id;
};
struct PlaceHold {
  std::string hold_id;
  Subject subject;
};
struct ReleaseHold {
  std::string hold_id;
};
struct Restrict {
  std::string restriction_id;
  Subject subject;
  RestrictionKind kind = RestrictionKind::kUnspecified;
  std::string clause;
  double requests_per_second = 0;
  OptionalTime review_by;
  OptionalTime expires_at;
  bool victim = false;
  bool trial = false;
  bool automatic = false;
};
struct Unrestrict {
  std::string restriction_id;
};
struct OrderDeletion {
  Subject subject;
};

struct SetLimit {
  std::string limit_id;
  Level level = Level::kUnspecified;
  LimitScope scope = LimitScope::kUnspecified;
  Subject subject;
  Dimension dimension = Dimension::kUnspecified;
  std::vector<Operation> operations;
  double rate = 0;
  double burst = 0;
  bool shape = false;
  Sharing sharing = Sharing::kUnspecified;
  OptionalTime from;
  OptionalTime to;
  bool trial = false;
};
struct ClearLimit {
  std::string limit_id;
};
struct SetParameter {
  Level level = Level::kUnspecified;
  std::string account, name, value;
  OptionalTime from;
  OptionalTime to;
};
struct SetMaintenance {
  std::string region;
  std::vector<Operation> operations;
  OptionalTime from;
  OptionalTime to;
};
struct SetUsage {
  Subject subject;
  Dimension dimension = Dimension::kUnspecified;
  int64_t amount = 0;
};
struct AnnounceTerms {
  OptionalTime effective;
};

// The order of the alternatives is that of the oneof in policy.proto.
using Change = std::variant<std::monostate, OpenAccount, Paid, Withhold, ClearWithhold, SetBalance, Freeze,
                            PaymentPending, Unfreeze, SetServiceEnd, GiveNotice, WithdrawNotice, Terminate, GrantBackup,
                            Reinstate, ConfirmReclaimed, BindBucket, BindDomain, UnbindDomain, SetPermit,
                            ClassifyDomain, RegistrySync, RaiseFlag, ClearFlag, GrantException, IssueOrder, LiftOrder,
                            PlaceHold, ReleaseHold, Restrict, Unrestrict, OrderDeletion, SetLimit, ClearLimit,
                            SetParameter, SetMaintenance, SetUsage, AnnounceTerms>;
inline constexpr size_t kChangeCount = std::variant_size_v<Change>;

struct PolicyEvent {
  std::string event_id;
  std::string source;
  Role role = Role::kUnspecified;
  OptionalTime effective_at;
  int64_t sequence = 0;
  std::string note;
  Change change;
  // Why its sender may not send it; empty = it may. Set by the node that took the event, after it asked who sends; it
  // is no part of the message. The event is then rejected, and that is announced as any rejection.
  std::string refusal;
};

// The name of the oneof's field, "raise_flag"; "" where no change is set. `index` is Change::index().
absl::string_view ChangeName(size_t index);
// The index of a name; nothing where there is none of that name.
absl::optional<size_t> ParseChangeName(absl::string_view name);

// The account whose standing `change` sets: of the changes of the account lifecycle alone, "" otherwise.
absl::string_view LifecycleAccount(const Change& change);

// An event as it was accepted: effective_at is always set.
struct StampedEvent {
  PolicyEvent event;
  int64_t revision = 0;
  absl::Time arrived_at;
};

// What is retained of the policy, entity by entity: the shortest list of accepted events that rebuilds the entity.
// A flag is its last raise_flag and its exceptions; an account the facts of its lifecycle that still matter.
enum class EntityKind : uint8_t {
  kAccount = 1,
  kBucket = 2,
  kDomain = 3,
  kPermits = 4,  // of one host: its permits by kind, and what ClassifyDomain requires
  kRegistry = 5,
  kFlag = 6,
  kOrder = 7,
  kHold = 8,
  kRestriction = 9,
  kLimit = 10,
  kParameter = 11,    // id: name, NUL, account
  kMaintenance = 12,  // id: region
  kTerms = 13,
  kUsage = 14,  // id: scope, NUL, name, NUL, dimension: the last SetUsage
};
struct EntityKey {
  EntityKind kind = EntityKind::kAccount;
  std::string id;

  friend bool operator==(const EntityKey& a, const EntityKey& b) { return a.kind == b.kind && a.id == b.id; }
  friend bool operator<(const EntityKey& a, const EntityKey& b) {
    return a.kind != b.kind ? a.kind < b.kind : a.id < b.id;
  }
  template <typename H>
  friend H AbslHashValue(H h, const EntityKey& key) {
    return H::combine(std::move(h), key.kind, key.id);
  }
};
struct Entity {
  EntityKey key;
  std::vector<StampedEvent> events;  // empty = the entity is gone
};

// Told to watchers, at least once, in order of revision. The sidecar never deletes anything itself.
struct Announcement {
  int64_t revision = 0;
  AnnouncementKind kind = AnnouncementKind::kUnspecified;
  Subject subject;
  absl::Time at;
  std::string clause;
  std::string detail;
};

// Told of what the control path did. Called on the writer's thread; must not block. Implemented by metrics/, which
// knows neither store nor server.
class EventObserver {
 public:
  virtual ~EventObserver() = default;
  virtual void OnEvent(Outcome outcome, const PolicyEvent& event) = 0;
  virtual void OnCommit(size_t events, absl::Duration took, bool ok) = 0;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_EVENT_H_
