// The policy in force, compiled for checks: entities in, lookups out. Plain data behind a LeftRight; readers share it,
// the one writer changes a copy that nobody reads.
#ifndef SLUICE_ENFORCEMENT_POLICY_H_
#define SLUICE_ENFORCEMENT_POLICY_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "enforcement/check.h"
#include "enforcement/event.h"
#include "enforcement/lifecycle.h"
#include "enforcement/limiter.h"
#include "enforcement/names.h"
#include "enforcement/pack.h"
#include "enforcement/parameters.h"

namespace sluice {

// [from, until): begins at once, ends only when `until` has passed by the slowest clock.
struct Span {
  absl::Time from = absl::InfinitePast();
  absl::Time until = absl::InfiniteFuture();
  bool Holds(const Moment& now) const { return from <= now.wall && !now.Passed(until); }
};

// Bits by Operation number.
using OperationSet = uint32_t;
constexpr OperationSet Bit(Operation operation) { return OperationSet{1} << static_cast<int>(operation); }
// What naming `operations` names: each what is judged as it; CREATE_BUCKET, DELETE_BUCKET and STREAM_* that alone.
// Empty names all but MANAGE_READ and PAY.
OperationSet SetOf(const std::vector<Operation>& operations);

// What lets a narrower subject pass under a flag.
struct Exception {
  SubjectKey subject;
  absl::Time from;
  bool ahead = false;  // written down before its time: it opens only when that has passed by the slowest clock
  bool Holds(const Moment& now) const { return ahead ? now.Passed(from) : from <= now.wall; }
};

// A flag, order, hold or restriction, for the stretch of time in which it reads so.
struct Rule {
  EntityKind kind = EntityKind::kFlag;
  std::string id;
  Role set_by = Role::kUnspecified;
  Span span;
  std::vector<SubjectKey> subjects;
  // Flags.
  const Category* category = nullptr;
  Severity severity = Severity::kUnspecified;
  std::vector<Exception> exceptions;
  // Orders.
  OperationSet operations = 0;
  std::vector<std::string> regions;
  // Restrictions.
  RestrictionKind restriction = RestrictionKind::kUnspecified;
  std::string clause;
  bool victim = false;
  TokenBucket bucket;  // of a sandbox
  double rate = 0;
  Hash128 cell;
  bool automatic = false;  // the node's own; then:
  TokenBucket calm_below;  // requests within it are calm
  TokenBucket calm_after;  // one token: how long a request that is not calm keeps the sandbox up
  bool trial = false;      // evaluated, and changes no answer
  // Of what keeps evidence alone: what it keeps, by name.
  Subject evidence;

  bool keeps_evidence() const {
    return kind == EntityKind::kHold || (kind == EntityKind::kFlag && severity == Severity::kCritical && !trial);
  }
  // Whether it keeps anything at `now`: it is in force, and no exception takes its whole subject out of it.
  bool KeepsNow(const Moment& now) const;
};

struct LimitRule {
  std::string id;
  Level level = Level::kAgreement;
  LimitScope scope = LimitScope::kAccount;
  Dimension dimension = Dimension::kRequests;
  OperationSet operations = 0;
  double rate = 0;
  double burst = 0;
  bool shape = false;
  Sharing sharing = Sharing::kNode;
  absl::Time from, to;  // exact
  bool named = false;
  Role set_by = Role::kUnspecified;
  Hash128 cell;          // of a named limit; a default mixes in the subject
  Subject subject;       // of a named limit
  TokenBucket bucket;    // of a rate above 0
  TokenBucket press;     // of REQUESTS whose excess may lead to a sandbox: of what is refused, see AbuseRule
  bool watched = false;  // `press` is set
  bool trial = false;    // evaluated, and changes no answer

  // A burst that is not given is one second's worth.
  double BurstOrDefault() const { return burst > 0 ? burst : rate; }
  bool InForce(absl::Time t) const { return from <= t && t < to; }
};

struct Account {
  std::vector<StampedEvent> facts;
  Timeline timeline;
};

// What reads one way from a moment on, and another from the next: an event dated ahead is applied at once and bites at
// its time. Nearly always one value.
template <typename T>
class Dated {
 public:
  // From `t` on it is `value`, whatever was to come later. `ahead`: that was written down before `t`.
  void SetFrom(absl::Time t, T value, bool ahead = false) {
    while (!values_.empty() && values_.back().from >= t) values_.pop_back();
    values_.push_back({t, std::move(value), ahead});
  }
  // nullptr before the first.
  const T* At(absl::Time t) const {
    for (auto it = values_.rbegin(); it != values_.rend(); ++it) {
      if (it->from <= t) return &it->value;
    }
    return nullptr;
  }
  // Calls `visit` with each value that may hold at `now` by a clock as wrong as this one may be: the one in force, and
  // what stood before it as long as its written time has not passed for certain. nullptr: none.
  template <typename Visit>
  void ForEachPossible(const Moment& now, const Visit& visit) const {
    for (auto it = values_.rbegin(); it != values_.rend(); ++it) {
      if (it->from > now.wall) continue;
      visit(&it->value);
      if (!it->ahead || now.Passed(it->from)) return;
    }
    visit(static_cast<const T*>(nullptr));
  }

 private:
  struct Piece {
    absl::Time from;
    T value;
    bool ahead;
  };
  absl::InlinedVector<Piece, 1> values_;
};

struct Bucket {
  std::string account;
  std::string region;
};

struct Domain {
  bool bound = false;
  std::string account, bucket;
  Geo geo = Geo::kUnspecified;
  bool test = false;
  absl::Time test_since;  // a test domain bound again keeps its first day
};

struct Permit {
  PermitStatus status = PermitStatus::kUnspecified;
  absl::Time end = absl::InfiniteFuture();  // 24:00 of its last day
};
struct HostPermits {
  absl::flat_hash_map<std::string, Dated<Permit>> by_kind;
  Dated<std::vector<std::string>> required;
};

struct Maintenance {
  OperationSet operations = 0;
  Span span;
};

class Policy {
 public:
  // `pack` must outlive the policy.
  explicit Policy(const Pack* pack);
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;
  ~Policy();

  // ---- The writer ---------------------------------------------------------------------------------------------------

  // Makes `entity` what its events say; without events it is gone. Canonical names, as Reduce leaves them.
  void Put(const Entity& entity);
  void SetRevision(int64_t revision) { revision_ = revision; }
  // Put makes a policy ready; a writer that takes back what it put says what it was.
  void SetReady(bool ready) { ready_ = ready; }
  // What a committed announcement means for the bookkeeping of reclaiming. Call for each, in order, also at loading.
  void Note(const Announcement& announcement);

  // The announcements that are due at `now`, in order, without revision: RECLAIMABLE, and RECLAIM_CANCELLED for
  // accounts that came back or are held. Each is due until Note is told of it. Cheap where nothing can be due.
  std::vector<Announcement> DueAnnouncements(const Moment& now);
  // The next moment after `now` at which something falls due by time alone; InfiniteFuture where nothing will.
  absl::Time NextDue(const Moment& now) const;
  // Whether RECLAIMABLE was announced of `account` and not taken back since.
  bool IsAnnounced(absl::string_view account) const { return announced_.find(account) != announced_.end(); }
  // When it was; nothing where it was not, or was taken back.
  OptionalTime AnnouncedAt(absl::string_view account) const {
    const auto it = announced_.find(account);
    return it == announced_.end() ? OptionalTime() : OptionalTime(it->second);
  }

  // ---- Lookups ------------------------------------------------------------------------------------------------------

  int64_t revision() const { return revision_; }
  // Whether anything was ever applied.
  bool ready() const { return ready_; }
  const Parameters& parameters() const { return parameters_; }
  // nullptr where the policy has none.
  const Account* FindAccount(absl::string_view account) const;
  const Bucket* FindBucket(absl::string_view bucket, absl::Time now) const;
  // The exact binding, else that of the longest wildcard above `host`.
  const Domain* FindDomain(absl::string_view host, absl::Time now) const;
  const HostPermits* FindPermits(absl::string_view host) const;
  // When the registry was last read in full; nullptr where it never was.
  const absl::Time* FindRegistry(absl::string_view registry) const;
  const std::vector<Maintenance>* FindMaintenance(absl::string_view region) const;
  // Published terms that are not yet in force.
  bool TermsPending(const Moment& now) const;

  using Rules = absl::InlinedVector<const Rule*, 2>;
  const Rules* FindRules(Hash128 subject) const;
  using Limits = absl::InlinedVector<const LimitRule*, 2>;
  const Limits* FindLimits(Hash128 subject) const;  // named ones
  const Limits& DefaultLimits(LimitScope scope) const { return default_limits_[static_cast<size_t>(scope)]; }

  bool HasLimits(LimitScope scope) const {
    return named_limits_[static_cast<size_t>(scope)] > 0 || !DefaultLimits(scope).empty();
  }

  // Whether any rule or limit is on a prefix in this bucket, on hosts below another, or on blocks of addresses; and the
  // lengths of those blocks. Spares a check probes that cannot hit.
  bool HasPrefixes(Hash128 bucket) const { return prefix_buckets_.contains(bucket); }
  bool HasHostsBelow() const { return hosts_below_ > 0; }
  const std::vector<uint8_t>& BlockBits(bool v4) const { return v4 ? block_bits_v4_ : block_bits_v6_; }

  // Holds and CRITICAL flags, for what they keep inside a bucket or of an account.
  const absl::flat_hash_set<const Rule*>& evidence() const { return evidence_; }
  // The sandboxes that a node set by itself.
  const absl::flat_hash_set<const Rule*>& automatic() const { return automatic_; }
  // The accounts of which a hold or CRITICAL flag keeps something: the account, its buckets, what is in them, its
  // hosts.
  absl::flat_hash_set<absl::string_view> HeldAccounts(const Moment& now) const;

  size_t accounts() const { return accounts_.size(); }
  const absl::flat_hash_map<std::string, Account>& all_accounts() const { return accounts_; }

 private:
  struct Compiled {
    std::vector<std::unique_ptr<Rule>> rules;
    std::vector<std::unique_ptr<LimitRule>> limits;
    Hash128 limit_subject;
    std::vector<Subject> gated;  // counted in the gates below
  };

  void PutAccount(const Entity& entity);
  void PutBucket(const Entity& entity);
  void PutDomain(const Entity& entity);
  void PutPermits(const Entity& entity);
  void PutRegistry(const Entity& entity);
  void PutRules(const Entity& entity);
  void PutLimit(const Entity& entity);
  void PutParameter(const Entity& entity);
  void PutMaintenance(const Entity& entity);
  void PutTerms(const Entity& entity);
  void Rebuild(absl::string_view name, Account* account);
  void TrackDue(absl::string_view name);
  void Gate(const Subject& subject, int by);
  void DropCompiled(const EntityKey& key);

  const Pack* const pack_;
  int64_t revision_ = 0;
  bool ready_ = false;
  Parameters parameters_;
  absl::flat_hash_map<std::string, Account> accounts_;
  absl::flat_hash_map<std::string, Dated<Bucket>> buckets_;
  absl::flat_hash_map<std::string, Dated<Domain>> domains_;  // wildcards under "*.x"
  absl::flat_hash_map<std::string, HostPermits> permits_;
  absl::flat_hash_map<std::string, absl::Time> registries_;
  absl::flat_hash_map<std::string, std::vector<Maintenance>> maintenance_;
  Dated<absl::Time> terms_;  // when those announced take effect

  absl::flat_hash_map<EntityKey, Compiled> compiled_;  // rules and limits
  absl::flat_hash_map<Hash128, Rules> by_subject_;
  absl::flat_hash_map<Hash128, Limits> limits_by_subject_;
  std::array<Limits, kLimitScopeCount> default_limits_;
  std::array<int, kLimitScopeCount> named_limits_{};
  absl::flat_hash_set<const Rule*> evidence_;
  absl::flat_hash_set<const Rule*> automatic_;

  absl::flat_hash_map<Hash128, int> prefix_buckets_;
  int hosts_below_ = 0;
  std::array<int, 33> v4_counts_{};
  std::array<int, 129> v6_counts_{};
  std::vector<uint8_t> block_bits_v4_, block_bits_v6_;

  std::set<std::pair<absl::Time, std::string>> due_;          // announce_at, account: RECLAIMABLE, not announced
  absl::flat_hash_map<std::string, absl::Time> due_of_;       // where an account stands in due_
  std::map<std::string, absl::Time, std::less<>> announced_;  // RECLAIMABLE, and told so when; in order of id
  bool recheck_announced_ = false;                            // something changed that may cancel one of them
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_POLICY_H_
