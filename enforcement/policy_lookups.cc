// The half of Policy that keeps what buckets and domains are bound to, and finds things; and how two copies move
// together.
#include <algorithm>

#include "absl/strings/match.h"
#include "enforcement/policy.h"

namespace sluice {
namespace {

// What a flag of a category that the pack does not have says: it was one that a pack had when the flag was raised.
const Category& CategoryOfNoPack() {
  static const Category* const category = new Category;
  return *category;
}

}  // namespace

// ---- Buckets and domains
// ---------------------------------------------------------------------------------------------

void Policy::PutBucket(const Entity& entity) {
  const Hash128 key = SubjectHash(SubjectKind::kBucket, entity.key.id);
  Dated<Hash128> owners;
  for (const StampedEvent& stamped : entity.events) {
    const auto* bind = std::get_if<BindBucket>(&stamped.event.change);
    if (bind == nullptr) continue;
    const Hash128 account = SubjectHash(SubjectKind::kAccount, bind->account);
    if (!repeating_) Meet(bind->account, account);
    owners.SetFrom(BitesAt(stamped), account);
  }
  const auto* only = owners.Only();
  if (only != nullptr && !FitsNanos(only->from)) only = nullptr;
  if (owners.empty() || only != nullptr) {
    dated_buckets_.erase(key);
  } else {
    dated_buckets_[key] = owners;
  }
  if (repeating_) return;
  if (owners.empty()) return buckets_.Erase(key);
  BucketRecord record{};
  record.from_ns = kDatedNs;
  if (only != nullptr) {
    record.from_ns = absl::ToUnixNanos(only->from);
    record.account = only->value;
  }
  buckets_.Put(key, record);
}

void Policy::PutDomain(const Entity& entity) {
  Subject subject;
  subject.host = entity.key.id;
  const Hash128 key = KeyOf(subject).hash;
  Dated<DatedDomain> domains;
  DatedDomain last;
  for (const StampedEvent& stamped : entity.events) {
    DatedDomain domain;
    if (const auto* bind = std::get_if<BindDomain>(&stamped.event.change)) {
      domain = {true, bind->account, bind->bucket, bind->geo, bind->provider_test_domain, *stamped.event.effective_at};
      if (domain.test && last.test) domain.test_since = last.test_since;
    }
    domains.SetFrom(BitesAt(stamped), domain);
    last = domain;
  }
  const auto* only = domains.Only();
  if (only != nullptr && (!only->value.bound || only->value.test || !FitsNanos(only->from))) only = nullptr;
  if (domains.empty() || only != nullptr) {
    dated_domains_.erase(key);
  } else {
    dated_domains_[key] = domains;
  }
  if (repeating_) return;
  if (!loading_) records_->hosts_put.push_back(entity.key.id);
  for (auto& [below, hosts] : records_->hosts_below) {
    if (absl::EndsWith(entity.key.id, below.substr(1))) hosts.insert(entity.key.id);
  }
  const int wildcard = absl::StartsWith(entity.key.id, "*.");
  if (domains_.Find(key) != nullptr) wildcard_domains_ -= wildcard;
  if (const DomainRecord* pending = domains_.Pending(key)) records_->names.Free(pending->bucket);
  if (domains.empty()) return domains_.Erase(key);
  wildcard_domains_ += wildcard;
  DomainRecord record{};
  record.from_ns = kDatedNs;
  if (only != nullptr) {
    const DatedDomain& domain = only->value;
    record.from_ns = absl::ToUnixNanos(only->from);
    record.geo = static_cast<uint8_t>(domain.geo);
    if (!domain.account.empty()) {
      record.account = Meet(domain.account, SubjectHash(SubjectKind::kAccount, domain.account)).name;
    }
    record.bucket = records_->names.Add(domain.bucket);
  }
  domains_.Put(key, record);
}

absl::optional<Hash128> Policy::FindBucketOwner(Hash128 bucket, absl::Time now) const {
  const BucketRecord* record = buckets_.Find(bucket);
  if (record == nullptr) return absl::nullopt;
  if (record->from_ns != kDatedNs) {
    return absl::FromUnixNanos(record->from_ns) <= now ? absl::optional<Hash128>(record->account) : absl::nullopt;
  }
  const auto it = dated_buckets_.find(bucket);
  const Hash128* owner = it == dated_buckets_.end() ? nullptr : it->second.At(now);
  return owner == nullptr ? absl::nullopt : absl::optional<Hash128>(*owner);
}

absl::optional<Bucket> Policy::FindBucket(absl::string_view bucket, absl::Time now) const {
  const absl::optional<Hash128> owner = FindBucketOwner(SubjectHash(SubjectKind::kBucket, bucket), now);
  if (!owner) return absl::nullopt;
  return Bucket{AccountName(*owner)};
}

bool Policy::BoundAt(Hash128 key, absl::Time now, Domain* domain) const {
  const DomainRecord* record = domains_.Find(key);
  if (record == nullptr) return false;
  if (record->from_ns != kDatedNs) {
    if (now < absl::FromUnixNanos(record->from_ns)) return false;
    *domain = {true, records_->names.At(record->account), records_->names.At(record->bucket),
               static_cast<Geo>(record->geo)};
    return true;
  }
  const auto it = dated_domains_.find(key);
  const DatedDomain* dated = it == dated_domains_.end() ? nullptr : it->second.At(now);
  if (dated == nullptr || !dated->bound) return false;
  *domain = {true, dated->account, dated->bucket, dated->geo, dated->test, dated->test_since};
  return true;
}

void Policy::PrefetchDomainNames(Hash128 host) const {
  const DomainRecord* const record = domains_.Find(host);
  if (record == nullptr || record->from_ns == kDatedNs) return;
  records_->names.Prefetch(record->account);
  records_->names.Prefetch(record->bucket);
}

bool Policy::FindDomain(absl::string_view host, Hash128 host_hash, absl::Time now, Domain* domain) const {
  if (BoundAt(host_hash, now, domain)) return true;
  if (wildcard_domains_ == 0) return false;
  for (size_t dot = host.find('.'); dot != absl::string_view::npos; dot = host.find('.', dot + 1)) {
    if (BoundAt(SubjectHash(SubjectKind::kHostsBelow, host.substr(dot + 1)), now, domain)) return true;
  }
  return false;
}

absl::optional<Domain> Policy::FindDomain(absl::string_view host, absl::Time now) const {
  Domain domain;
  if (!FindDomain(host, SubjectHash(SubjectKind::kHost, host), now, &domain)) return absl::nullopt;
  return domain;
}

// ---- The rest
// --------------------------------------------------------------------------------------------------------

bool Policy::ReadFlags(Hash128 subject, ReadRules* read) const {
  if (records_->flags == nullptr) return true;
  return records_->flags->Find(subject, [&](const FlagPiece& piece) {
    if (compiled_flags_ > 0 && compiled_.contains(EntityKey{EntityKind::kFlag, std::string(piece.id)})) return;
    auto rule = std::make_unique<Rule>();
    rule->kind = EntityKind::kFlag;
    rule->id = std::string(piece.id);
    rule->set_by = piece.set_by;
    rule->span = {piece.from, piece.until};
    rule->clause = std::string(piece.category);
    rule->trial = piece.trial;
    const Category* const category = pack_->FindCategory(piece.category);
    rule->category = category != nullptr ? category : &CategoryOfNoPack();
    rule->severity = piece.severity == Severity::kUnspecified ? rule->category->default_severity : piece.severity;
    read->push_back(std::move(rule));
  });
}

const HostPermits* Policy::FindPermits(Hash128 host) const {
  const auto it = permits_.find(host);
  return it == permits_.end() ? nullptr : &it->second;
}

const absl::Time* Policy::FindRegistry(absl::string_view registry) const {
  if (registries_.empty()) return nullptr;
  const auto it = registries_.find(registry);
  return it == registries_.end() ? nullptr : &it->second;
}

const std::vector<Maintenance>* Policy::FindMaintenance(absl::string_view region) const {
  const auto it = maintenance_.find(region);
  return it == maintenance_.end() ? nullptr : &it->second;
}

bool Policy::TermsPending(const Moment& now) const {
  const absl::Time* effective = terms_.At(now.wall);
  return effective != nullptr && !now.Passed(*effective);
}

const Policy::Limits* Policy::FindLimits(Hash128 subject) const {
  if (limits_by_subject_.empty()) return nullptr;
  const auto it = limits_by_subject_.find(subject);
  return it == limits_by_subject_.end() ? nullptr : &it->second;
}

// ---- For PolicyIndex
// -------------------------------------------------------------------------------------------------

void Policy::BeginLoading() {
  loading_ = true;
  accounts_.BeginLoading();
  buckets_.BeginLoading();
  domains_.BeginLoading();
}

void Policy::EndLoading() {
  loading_ = false;
  accounts_.EndLoading();
  buckets_.EndLoading();
  domains_.EndLoading();
}

void Policy::Settle() {
  records_->hosts_put.clear();
  records_->accounts.FreeRetired();
  records_->buckets.FreeRetired();
  records_->domains.FreeRetired();
  accounts_.Settle([&](const AccountRecord& old) { records_->names.Free(old.code()); });
  buckets_.Settle([](const BucketRecord&) {});
  domains_.Settle([&](const DomainRecord& old) { records_->names.Free(old.bucket); });
}

void Policy::CopyDated(const Policy& other) {
  dated_buckets_ = other.dated_buckets_;
  dated_domains_ = other.dated_domains_;
}

void Policy::BeginRepeat() {
  accounts_.Forget();
  buckets_.Forget();
  domains_.Forget();
  repeating_ = true;
}

void Policy::EndRepeat(const Policy& other) {
  account_count_ = other.account_count_;
  wildcard_domains_ = other.wildcard_domains_;
  repeating_ = false;
}

}  // namespace sluice
