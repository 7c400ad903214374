// The policy in force, compiled for checks: entities in, lookups out. One of the two copies of a PolicyIndex: readers
// share the one in force, the writer changes the other. What is rare (rules, limits, parameters, permits) each copy
// holds itself; accounts, buckets, domains and flagged objects lie in PolicyRecords, once.
#ifndef SLUICE_ENFORCEMENT_POLICY_H_
#define SLUICE_ENFORCEMENT_POLICY_H_

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "enforcement/check.h"
#include "enforcement/event.h"
#include "enforcement/flag_reader.h"
#include "enforcement/lifecycle.h"
#include "enforcement/names.h"
#include "enforcement/pack.h"
#include "enforcement/parameters.h"
#include "enforcement/policy_records.h"
#include "enforcement/rule_compiler.h"

namespace sluice {

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
  void Clear() { values_.clear(); }
  bool empty() const { return values_.empty(); }
  struct Piece {
    absl::Time from;
    T value;
    bool ahead;
  };
  // The one value there is, and from when; nullptr where there are more, or none.
  const Piece* Only() const { return values_.size() == 1 ? &values_.front() : nullptr; }
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
  absl::InlinedVector<Piece, 1> values_;
};

// Views of what the policy holds, for as long as the policy is held.
struct Account {
  absl::string_view name;
  Timeline timeline;
};
struct Bucket {
  absl::string_view account;
};
struct Domain {
  bool bound = false;
  absl::string_view account, bucket;
  Geo geo = Geo::kUnspecified;
  bool test = false;
  absl::Time test_since;  // a test domain bound again keeps its first day
};

struct Permit {
  PermitStatus status = PermitStatus::kUnspecified;
  absl::Time end = absl::InfiniteFuture();  // 24:00 of its last day
};
struct HostPermits {
  // nullptr where none of this kind is on record.
  const Dated<Permit>* Find(absl::string_view kind) const {
    for (const auto& [name, permit] : by_kind) {
      if (name == kind) return &permit;
    }
    return nullptr;
  }

  absl::InlinedVector<std::pair<std::string, Dated<Permit>>, 1> by_kind;
  Dated<std::vector<std::string>> required;
};

struct Maintenance {
  OperationSet operations = 0;
  Span span;
};

// What of the rules on a subject had to be read, for as long as findings view it.
using ReadRules = absl::InlinedVector<std::unique_ptr<const Rule>, 1>;

class Policy {
 public:
  // Both must outlive the policy.
  Policy(const Pack* pack, PolicyRecords* records);
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;
  ~Policy();

  // ---- The writer ---------------------------------------------------------------------------------------------------

  // Makes `entity` what its events say; without events it is gone. Canonical names, as Reduce leaves them.
  void Put(const Entity& entity);
  // The standing of an account from its events, under the parameters put so far: the part of Put that takes time, for
  // loaders with several threads. Changes nothing; may be called while PutAccount is.
  Timeline BuildStanding(const Entity& account) const;
  // As Put, with what BuildStanding said of it.
  void PutAccount(const Entity& account, Timeline standing);
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
  bool IsAnnounced(absl::string_view account) const;
  // When it was; nothing where it was not, or was taken back.
  OptionalTime AnnouncedAt(absl::string_view account) const;

  // ---- Lookups ------------------------------------------------------------------------------------------------------

  int64_t revision() const { return revision_; }
  // Whether anything was ever applied.
  bool ready() const { return ready_; }
  const Parameters& parameters() const { return parameters_; }

  // Nothing where the policy has none. By name, or by the SubjectHash of the name.
  absl::optional<Account> FindAccount(absl::string_view account) const;
  absl::optional<Account> FindAccount(Hash128 account) const;
  // Whether the account is known and its standing permits `judged` without a remark, as a glance at its record tells.
  // False says nothing.
  bool PlainlyPermits(Hash128 account, Operation judged, const Moment& now) const;
  // The name of an account that a bucket or a domain is bound to; "" of one that the policy has never met.
  absl::string_view AccountName(Hash128 account) const;

  absl::optional<Bucket> FindBucket(absl::string_view bucket, absl::Time now) const;
  // The SubjectHash of the account that a bucket is bound to.
  absl::optional<Hash128> FindBucketOwner(Hash128 bucket, absl::Time now) const;
  // The exact binding, else that of the longest wildcard above `host`.
  absl::optional<Domain> FindDomain(absl::string_view host, absl::Time now) const;
  // The same. REQUIRES: host_hash is SubjectHash(kHost, host).
  bool FindDomain(absl::string_view host, Hash128 host_hash, absl::Time now, Domain* domain) const;
  // By SubjectHash of the host (kHost), or of the name below a wildcard (kHostsBelow).
  const HostPermits* FindPermits(Hash128 host) const;
  // Whether any permit is on record of a host with so many dots, or of a wildcard with so many. Spares a check look-ups
  // that cannot hit.
  bool HasPermits(size_t dots, bool wildcard) const { return permit_counts_[wildcard][dots % kDotsMax] > 0; }
  // When the registry was last read in full; nullptr where it never was.
  const absl::Time* FindRegistry(absl::string_view registry) const;
  // nullptr where none was ever set there.
  const std::vector<Maintenance>* FindMaintenance(absl::string_view region) const;
  bool HasMaintenance() const { return !maintenance_.empty(); }
  // Published terms that are not yet in force.
  bool TermsPending(const Moment& now) const;

  // Calls `visit(const Rule&)` for each rule on `subject`, whether it holds now or not. What had to be read is added to
  // `*read`, whose rules the visits may keep. False where something could not be read.
  template <typename Visit>
  bool ForEachRule(SubjectKind kind, Hash128 subject, ReadRules* read, const Visit& visit) const {
    if (rules_of_kind_[static_cast<size_t>(kind)] > 0) {
      const auto it = by_subject_.find(subject);
      if (it != by_subject_.end()) {
        for (const Rule* rule : it->second) visit(*rule);
      }
    }
    if (!IsFiltered(kind) || !MayBeFlagged(subject)) return true;
    const size_t before = read->size();
    if (!ReadFlags(subject, read)) return false;
    for (size_t i = before; i < read->size(); ++i) visit(*(*read)[i]);
    return true;
  }
  // False: ForEachRule has nothing to visit.
  ABSL_ATTRIBUTE_ALWAYS_INLINE bool MayHaveRules(SubjectKind kind, Hash128 subject) const {
    return (rules_of_kind_[static_cast<size_t>(kind)] > 0 && by_subject_.contains(subject)) ||
           (IsFiltered(kind) && MayBeFlagged(subject));
  }
  // False: nothing is flagged under this hash; REQUIRES: of a kind that is filtered.
  bool MayBeFlagged(Hash128 subject) const { return records_->flag_filter.MayHave(subject); }
  using Limits = absl::InlinedVector<const LimitRule*, 2>;
  const Limits* FindLimits(Hash128 subject) const;  // named ones
  const Limits& DefaultLimits(LimitScope scope) const { return default_limits_[static_cast<size_t>(scope)]; }

  bool HasLimits(LimitScope scope) const {
    return named_limits_[static_cast<size_t>(scope)] > 0 || !DefaultLimits(scope).empty();
  }
  // The default of the scope where it is the only limit there is in it, which nothing could beat; else nullptr.
  const LimitRule* OnlyLimit(LimitScope scope) const { return only_limits_[static_cast<size_t>(scope)]; }
  // Brings the lines that a look-up will want into the cache. Does not wait for them.
  void PrefetchAccount(Hash128 account) const { accounts_.Prefetch(account); }
  void PrefetchBucket(Hash128 bucket) const { buckets_.Prefetch(bucket); }
  void PrefetchDomain(Hash128 host) const { domains_.Prefetch(host); }
  // Of what an exact binding of the host names. Looks for the binding, and so waits for its line.
  void PrefetchDomainNames(Hash128 host) const;
  void PrefetchPermits(Hash128 host) const { permits_.prefetch(host); }
  void PrefetchFlags(Hash128 subject) const { records_->flag_filter.Prefetch(subject); }

  // Whether any rule or limit is on a prefix in this bucket, on hosts below another, or on blocks of addresses; and the
  // lengths of those blocks. Spares a check probes that cannot hit.
  bool HasPrefixes(Hash128 bucket) const { return !prefix_buckets_.empty() && prefix_buckets_.contains(bucket); }
  bool HasHostsBelow() const { return hosts_below_ > 0; }
  const std::vector<uint8_t>& BlockBits(bool v4) const { return v4 ? block_bits_v4_ : block_bits_v6_; }

  // Holds and CRITICAL flags, for what they keep inside a bucket or of an account.
  const absl::flat_hash_set<const Rule*>& evidence() const { return evidence_; }
  // The same that are on a bucket, or on something in it, by the hash of the bucket; of each bucket in the order in
  // which they speak: holds first, then by id.
  struct SpeaksFirst {
    bool operator()(const Rule* a, const Rule* b) const;
  };
  using EvidenceRules = std::set<const Rule*, SpeaksFirst>;
  const absl::flat_hash_map<Hash128, EvidenceRules>& evidence_in() const { return evidence_in_; }
  // The sandboxes that a node set by itself.
  const absl::flat_hash_set<const Rule*>& automatic() const { return automatic_; }
  // The accounts of which a hold or CRITICAL flag keeps something: the account, its buckets, what is in them, its
  // hosts; but not those that have no more than a host below a wildcard, which takes a walk (PolicyIndex::ForEachHost).
  absl::flat_hash_set<absl::string_view> HeldAccounts(const Moment& now) const;

  size_t accounts() const { return account_count_; }
  // Calls `visit` with each account that has a standing, in no order. Takes some 50 ns each, which the writer waits
  // for. REQUIRES: this is a copy that was shown to readers, and the caller holds it.
  void ForEachAccount(absl::FunctionRef<void(const Account&)> visit) const;

 private:
  friend class PolicyIndex;  // which says when what is shared changes

  struct Compiled {
    std::vector<std::unique_ptr<Rule>> rules;
    std::vector<std::unique_ptr<LimitRule>> limits;
    Hash128 limit_subject;
    std::vector<Subject> gated;  // counted in the gates below
  };
  // Bindings that change at a later date, which no record holds.
  struct DatedDomain {
    bool bound = false;
    std::string account, bucket;
    Geo geo = Geo::kUnspecified;
    bool test = false;
    absl::Time test_since;
  };

  void PutBucket(const Entity& entity);
  void PutDomain(const Entity& entity);
  void PutPermits(const Entity& entity);
  void PutRegistry(const Entity& entity);
  void PutRules(const Entity& entity);
  void PutLimit(const Entity& entity);
  void PutParameter(const Entity& entity);
  void PutMaintenance(const Entity& entity);
  void PutTerms(const Entity& entity);
  // Of one account, or of all that a parameter may move.
  void RebuildTimelines(absl::string_view account);
  AccountRecord RecordOf(NamePool::Place name, const Timeline& timeline);
  Timeline TimelineOf(const AccountRecord& record) const;
  Segment PlainSegment(AccountState state, int64_t from_ns) const;
  bool IsPlain(const Segment& segment) const;
  // The record of an account, made where there is none.
  AccountRecord Meet(absl::string_view account, Hash128 hash);
  // For the writer.
  const std::set<std::string>& HostsBelow(const std::string& wildcard) const;
  void AddHeldBelow(const Moment& now, absl::flat_hash_set<absl::string_view>* held) const;
  void TrackDue(const AccountRecord& record, const Timeline& was, const Timeline& is);
  void Gate(const Subject& subject, int by);
  void DropCompiled(const EntityKey& key);
  void DropEvidenceIn(const Rule& rule);
  void CountLimit(const LimitRule& limit, int by);
  bool StaysInStore(const CompiledRules& compiled) const;
  bool ReadFlags(Hash128 subject, ReadRules* read) const;
  bool BoundAt(Hash128 key, absl::Time now, Domain* domain) const;

  // For PolicyIndex.
  void BeginLoading();
  void EndLoading();
  void Settle();
  void BeginRepeat();
  void EndRepeat(const Policy& other);
  void CopyDated(const Policy& other);

  const Pack* const pack_;
  PolicyRecords* const records_;
  // Told of what the other copy was told of before: what both share is done.
  bool repeating_ = false;
  bool loading_ = false;
  int64_t revision_ = 0;
  bool ready_ = false;
  Parameters parameters_;

  TableView<AccountRecord> accounts_;
  TableView<BucketRecord> buckets_;
  TableView<DomainRecord> domains_;
  size_t account_count_ = 0;  // with a standing
  int64_t wildcard_domains_ = 0;
  absl::flat_hash_map<Hash128, Dated<Hash128>> dated_buckets_;  // to whose account
  absl::flat_hash_map<Hash128, Dated<DatedDomain>> dated_domains_;

  absl::flat_hash_map<Hash128, HostPermits> permits_;
  static constexpr size_t kDotsMax = 128;                         // more than a host can have
  std::array<std::array<int64_t, kDotsMax>, 2> permit_counts_{};  // by whether a wildcard, and dots
  absl::flat_hash_map<std::string, absl::Time> registries_;
  absl::flat_hash_map<std::string, std::vector<Maintenance>> maintenance_;
  Dated<absl::Time> terms_;  // when those announced take effect

  absl::flat_hash_map<EntityKey, Compiled> compiled_;  // rules and limits
  using Rules = absl::InlinedVector<const Rule*, 2>;
  absl::flat_hash_map<Hash128, Rules> by_subject_;
  std::array<int64_t, kSubjectKindCount> rules_of_kind_{};
  int64_t compiled_flags_ = 0;
  absl::flat_hash_map<Hash128, Limits> limits_by_subject_;
  std::array<Limits, kLimitScopeCount> default_limits_;
  std::array<int, kLimitScopeCount> named_limits_{};
  std::array<const LimitRule*, kLimitScopeCount> only_limits_{};  // follows from the two above
  absl::flat_hash_set<const Rule*> evidence_;
  absl::flat_hash_map<Hash128, EvidenceRules> evidence_in_;
  absl::flat_hash_set<const Rule*> automatic_;

  absl::flat_hash_map<Hash128, int> prefix_buckets_;
  int hosts_below_ = 0;
  std::array<int, 33> v4_counts_{};
  std::array<int, 129> v6_counts_{};
  std::vector<uint8_t> block_bits_v4_, block_bits_v6_;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_POLICY_H_
