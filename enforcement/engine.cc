#include "enforcement/engine.h"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "enforcement/calendar.h"
#include "enforcement/judge.h"
#include "enforcement/limit_cells.h"
#include "enforcement/names.h"
#include "enforcement/target.h"

namespace sluice {
namespace {

// Checks whose look-ups are under way at once. Four, eight and sixteen are equally fast
// (docs/decisions/2026-11-26-checks-together.md).
constexpr size_t kTogether = 8;

// Judges of checks that came together, in room that nobody writes before them: an array of optional ones would be
// cleared first, 28 kB of it.
class FewJudges {
 public:
  FewJudges() {}
  ~FewJudges() { std::destroy(begin(), end()); }
  FewJudges(const FewJudges&) = delete;
  FewJudges& operator=(const FewJudges&) = delete;

  // REQUIRES: fewer than kTogether so far.
  template <typename... Args>
  Judge* Add(Args&&... args) {
    return ::new (static_cast<void*>(end_++)) Judge(std::forward<Args>(args)...);
  }
  Judge* begin() { return room_; }
  Judge* end() { return end_; }

 private:
  union {
    Judge room_[kTogether];
  };
  Judge* end_ = room_;
};

absl::Status TooLong(absl::string_view field, size_t size, size_t most) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": want at most ", most, " bytes, got ", size));
}

// The names that a usage gives, as a check would give them.
CheckInput NamesOf(const UsageInput& usage) {
  CheckInput input;
  input.operation = usage.operation;
  input.owner = usage.owner;
  input.bucket = usage.bucket;
  input.key = usage.key;
  input.host = usage.host;
  input.client_ip = usage.client_ip;
  return input;
}

}  // namespace

Engine::Engine(const Pack* pack, const PolicyIndex* index, Limiter* limiter, NodeOptions options,
               const FleetShares* shares)
    : index_(index),
      static_shares_(options.fleet_size),
      parts_{pack, limiter, std::move(options), shares != nullptr ? shares : &static_shares_, nullptr} {}

absl::Status Engine::Validate(const CheckInput& input, absl::optional<AddressBlock>* address) {
  absl::string_view field;
  size_t size = 0, most = 0;
  const auto fits = [&](absl::string_view name, absl::string_view value, size_t bytes_max) {
    if (value.size() <= bytes_max) return true;
    field = name;
    size = value.size();
    most = bytes_max;
    return false;
  };
  const ObjectView& source = input.copy_source;
  const bool all_fit =
      fits("request_id", input.request_id, kIdBytesMax) && fits("requester", input.requester, kAccountBytesMax) &&
      fits("owner", input.owner, kAccountBytesMax) && fits("bucket", input.bucket, kBucketBytesMax) &&
      fits("key", input.key, kKeyBytesMax) && fits("version_id", input.version_id, kIdBytesMax) &&
      fits("host", input.host, kHostBytesMax) && fits("path", input.path, kKeyBytesMax) &&
      fits("region", input.region, kIdBytesMax) && fits("copy_source.bucket", source.bucket, kBucketBytesMax) &&
      fits("copy_source.key", source.key, kKeyBytesMax) &&
      fits("copy_source.version_id", source.version_id, kIdBytesMax) && fits("lease_id", input.lease_id, kIdBytesMax);
  if (!all_fit) return TooLong(field, size, most);
  if (input.hashes.size() > kHashesMax) {
    return absl::InvalidArgumentError(absl::StrCat("hashes: want at most ", kHashesMax, ", got ", input.hashes.size()));
  }
  for (const HashView& hash : input.hashes) {
    if (hash.algorithm.size() > 64) return TooLong("hashes.algorithm", hash.algorithm.size(), 64);
    if (hash.digest.size() > kIdBytesMax) return TooLong("hashes.digest", hash.digest.size(), kIdBytesMax);
  }
  absl::optional<AddressBlock> read;
  if (!input.client_ip.empty() && !(read = ParseAddress(input.client_ip))) {
    return absl::InvalidArgumentError(absl::StrCat("client_ip: want an IPv4 or IPv6 literal, got \"",
                                                   absl::CHexEscape(input.client_ip.substr(0, 64)), "\""));
  }
  if (input.bytes < 0) return absl::InvalidArgumentError(absl::StrCat("bytes: want 0 or more, got ", input.bytes));
  if (address != nullptr) *address = read;
  return absl::OkStatus();
}

void Engine::CannotDecide(Reason reason, const CheckInput& input, Decision* decision) const {
  const bool allowed = options().failure.Allows(reason, input.operation);
  decision->Clear();
  decision->clause = pack().reasons[static_cast<size_t>(reason)].clause;
  decision->all_reasons.push_back(reason);
  FillAnswer(pack(), reason, input.dialect == Dialect::kUnspecified ? options().dialect : input.dialect, decision);
  decision->verdict = allowed ? Verdict::kAllow : Verdict::kDeny;
  if (allowed) {
    decision->warnings.push_back(reason);
    decision->http = HttpHint();
  }
}

bool Engine::MayDecide(const CheckInput& input, const Policy& policy, Decision* decision) const {
  if (policy.ready() && policy.revision() >= input.min_revision) return true;
  CannotDecide(policy.ready() ? Reason::kStalePolicy : Reason::kNotReady, input, decision);
  decision->revision = policy.revision();  // 0 of none
  return false;
}

void Engine::Check(const CheckInput& input, Moment now, Decision* decision) {
  const PolicyIndex::Guard policy = index_->Read();
  if (MayDecide(input, *policy, decision)) Decide(input, now, *policy, /*spend=*/true, nullptr, decision);
}

void Engine::CheckTogether(absl::Span<const CheckInput> inputs, Moment now, Decision* decision,
                           absl::FunctionRef<void(size_t)> decided) {
  for (size_t first = 0; first < inputs.size(); first += kTogether) {
    CheckFew(inputs.subspan(first, kTogether), now, decision, [&](size_t i) { decided(first + i); });
  }
}

// Each step asks for what the next one reads, of all checks before the first of them goes on.
void Engine::CheckFew(absl::Span<const CheckInput> inputs, Moment now, Decision* decision,
                      absl::FunctionRef<void(size_t)> decided) {
  const PolicyIndex::Guard policy = index_->Read();
  FewJudges judges;
  for (const CheckInput& input : inputs) judges.Add(input, now, *policy, parts_, nullptr)->NameTarget();
  for (Judge& judge : judges) judge.ReachNames();
  for (Judge& judge : judges) judge.BindTarget();
  for (Judge& judge : judges) judge.OwnTarget();
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (MayDecide(inputs[i], *policy, decision)) {
      Judge& judge = judges.begin()[i];
      decision->Clear();
      judge.Decide(/*spend=*/true, decision);
      if (judge.unreadable()) CannotRead(inputs[i], *policy, decision);
    }
    decided(i);
  }
}

void Engine::Decide(const CheckInput& input, Moment now, const Policy& policy, bool spend,
                    std::vector<ExplainStep>* steps, Decision* decision) const {
  decision->Clear();
  Judge judge(input, now, policy, parts_, steps);
  judge.Run(spend, decision);
  if (judge.unreadable()) CannotRead(input, policy, decision);
}

// What may be flagged and cannot be looked up is not let through.
void Engine::CannotRead(const CheckInput& input, const Policy& policy, Decision* decision) const {
  CannotDecide(Reason::kStoreUnreadable, input, decision);
  decision->revision = policy.revision();
}

Decision Engine::Explain(const CheckInput& input, Moment now, std::vector<ExplainStep>* steps) {
  Decision decision;
  const PolicyIndex::Guard policy = index_->Read();
  if (!MayDecide(input, *policy, &decision)) {
    const ReasonRule& rule = pack().reasons[static_cast<size_t>(decision.reason)];
    if (steps != nullptr) {
      steps->push_back({std::string(Name(decision.reason)), true, rule.clause, absl::StrCat(rule.zh, " ", rule.en)});
    }
    return decision;
  }
  Decide(input, now, *policy, /*spend=*/false, steps, &decision);
  return decision;
}

absl::Status Engine::Report(absl::string_view report_id, absl::Span<const UsageInput> usages, Moment now) {
  LedgerRecord record;
  if (!report_id.empty()) record.report = SubjectHash(SubjectKind::kNone, "report", report_id);
  std::vector<Charge> charges;
  for (const UsageInput& usage : usages) AddUsage(usage, now, &record, &charges);
  const absl::StatusOr<bool> counted = parts_.limiter->ledger().Record(record);
  if (!counted.ok()) return counted.status();
  if (!*counted) return absl::OkStatus();
  for (const LeaseKey lease : record.ended) parts_.limiter->leases().End(lease, now.mono);
  for (const Charge& charge : charges) {
    parts_.limiter->Charge(charge.cell, charge.bucket, static_cast<double>(charge.cost), now.mono);
  }
  if (usage_observer_ != nullptr) TellUsage(usages, now);
  return absl::OkStatus();
}

void Engine::AddUsage(const UsageInput& usage, Moment now, LedgerRecord* record, std::vector<Charge>* charges) const {
  if (const absl::optional<LeaseKey> lease = ParseLease(usage.lease_id)) record->ended.push_back(*lease);
  const PolicyIndex::Guard policy = index_->Read();
  const CheckInput input = NamesOf(usage);
  Target target;
  target.Resolve(input, *policy, now.wall);

  const absl::CivilDay today = DayOf(now.wall);
  const auto add = [&](Hash128 subject, bool known, Dimension dimension, int64_t amount) {
    if (amount == 0) return;
    AmountChange change;
    change.what = dimension == Dimension::kTrafficPerDay ? AmountChange::What::kTraffic : AmountChange::What::kHeld;
    change.known = known;
    change.key = HeldKey(subject, dimension);
    change.day = today;
    change.amount = amount;
    record->changes.push_back(change);
  };
  // Amounts of accounts, buckets and domains are counted whether a limit looks at them or not, so that one set later
  // finds them; those of objects, addresses, blocks and wildcards, of which there is no end, only where a limit names
  // them.
  absl::InlinedVector<Hash128, 3> always;
  const auto count = [&](absl::string_view name, Hash128 subject, bool known, bool stores) {
    if (name.empty()) return;
    always.push_back(subject);
    if (stores) {
      add(subject, known, Dimension::kStoredBytes, usage.stored_bytes_delta);
      add(subject, known, Dimension::kStoredObjects, usage.stored_objects_delta);
    }
    add(subject, known, Dimension::kTrafficPerDay, std::max<int64_t>(usage.bytes_out, 0));
  };
  count(target.owner, target.owner_hash, true, true);
  count(target.bucket, target.bucket_hash, target.bucket_known, true);
  count(target.host, target.host_hash, target.domain != nullptr, false);

  const auto operation =
      static_cast<int>(usage.operation) < kOperationCount ? usage.operation : Operation::kUnspecified;
  // A report that names no operation is charged to every limit that its subjects have.
  const OperationSet operations = operation == Operation::kUnspecified ? ~OperationSet{0} : Bit(operation);
  ForEachLimit(*policy, target, now.wall, operations, [&](const LimitRule& limit, Hash128 cell, Hash128 subject) {
    int64_t cost = 0;
    switch (limit.dimension) {
      case Dimension::kBytesIn:
        cost = usage.bytes_in;
        break;
      case Dimension::kBytesOut:
        cost = usage.bytes_out;
        break;
      case Dimension::kCpu:
        cost = usage.cpu_microseconds;
        break;
      case Dimension::kMemory:
        cost = usage.memory_byte_seconds;
        break;
      case Dimension::kTrafficPerDay:
        if (std::find(always.begin(), always.end(), subject) == always.end()) {
          add(subject, limit.named, Dimension::kTrafficPerDay, std::max<int64_t>(usage.bytes_out, 0));
        }
        return;
      default:
        return;
    }
    if (cost <= 0 || limit.rate <= 0) return;
    const bool shared = limit.sharing == Sharing::kFleet;
    charges->push_back({cell, shared ? parts_.shares->PartOf(limit).bucket : limit.bucket, cost});
  });
}

void Engine::TellUsage(absl::Span<const UsageInput> usages, Moment now) const {
  for (const UsageInput& usage : usages) {
    const PolicyIndex::Guard policy = index_->Read();
    const CheckInput input = NamesOf(usage);
    Target target;
    target.Resolve(input, *policy, now.wall);
    usage_observer_->OnUsage(usage, {target.bucket, target.key, {}, true}, target.owner, target.host, now);
  }
}

absl::Status Engine::TakeOver(const StampedEvent& stamped, bool fresh, Moment now) {
  const auto* usage = std::get_if<SetUsage>(&stamped.event.change);
  if (usage == nullptr) return absl::OkStatus();
  AmountChange change;
  change.set = change.known = true;
  change.key = HeldKey(KeyOf(usage->subject).hash, usage->dimension);
  change.amount = usage->amount;
  change.revision = stamped.revision;
  change.fresh = fresh;
  if (usage->dimension == Dimension::kTrafficPerDay) {
    change.what = AmountChange::What::kTraffic;
    change.day = DayOf(stamped.event.effective_at.value_or(now.wall));
    if (change.day != DayOf(now.wall)) return absl::OkStatus();
  }
  LedgerRecord record;
  record.changes.push_back(change);
  return parts_.limiter->ledger().Record(record).status();
}

Description Engine::Describe(const Subject& subject, Moment now) const {
  const PolicyIndex::Guard policy = index_->Read();
  CheckInput input;
  input.owner = subject.account;
  input.bucket = subject.bucket;
  input.key = subject.prefix.empty() ? subject.key : subject.prefix;
  input.version_id = subject.version_id;
  input.host = subject.host;
  input.path = subject.path;
  input.client_ip = subject.client_ip;
  if (!subject.hash.empty()) input.hashes.push_back({subject.hash.algorithm, subject.hash.digest});
  Target target;
  target.Resolve(input, *policy, now.wall);

  Description description;
  description.subject = subject;
  description.revision = policy->revision();
  description.owner = std::string(target.owner);
  const auto add = [&](EntityKind kind, std::string id) { description.in_force.push_back({kind, std::move(id)}); };
  ReadRules read;
  for (const Probe& probe : target.probes) {
    policy->ForEachRule(probe.kind, probe.hash, &read, [&](const Rule& rule) {
      if (rule.span.Holds(now)) add(rule.kind, rule.id);
    });
  }
  ForEachLimit(*policy, target, now.wall, ~OperationSet{0},
               [&](const LimitRule& limit, Hash128, Hash128) { add(EntityKind::kLimit, limit.id); });
  for (absl::string_view host = target.host; !host.empty();) {
    Subject named;
    named.host = std::string(host);
    if (policy->FindPermits(KeyOf(named).hash) != nullptr) {
      add(EntityKind::kPermits, std::string(host));
    }
    const size_t dot = host.find('.');
    host = dot == absl::string_view::npos ? absl::string_view() : host.substr(dot + 1);
  }
  std::sort(description.in_force.begin(), description.in_force.end());
  description.in_force.erase(std::unique(description.in_force.begin(), description.in_force.end()),
                             description.in_force.end());
  if (subject.account.empty()) return description;

  const absl::optional<Account> account = policy->FindAccount(subject.account);
  const Segment* segment = account ? account->timeline.At(now.wall) : nullptr;
  if (segment == nullptr) return description;
  description.state = segment->state;
  description.cause = segment->cause;
  description.state_since = segment->since;
  const bool has_deadline = segment->state == AccountState::kFrozen || segment->state == AccountState::kRetention ||
                            segment->state == AccountState::kReclaimable || segment->state == AccountState::kReclaimed;
  if (has_deadline) description.deadline = segment->deadline;
  return description;
}

}  // namespace sluice
