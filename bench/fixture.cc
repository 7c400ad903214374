#include "bench/fixture.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agreement/loader.h"

namespace sluice::bench {
namespace {

// Names as long as they are in practice: a numeric account, a bucket of three words, a dated key.
std::string AccountName(int64_t i) { return absl::StrFormat("13800%07d", i); }
std::string BucketName(int64_t i) { return absl::StrFormat("media-%08d-cn-east-1", i); }
std::string HostName(int64_t bucket) { return absl::StrFormat("cdn-%08d.example.cn", bucket); }
std::string CleanKey(int64_t i) { return absl::StrFormat("video/2026/11/24/%010d/segment-0001.ts", i); }
std::string FlaggedKey(int64_t i) { return absl::StrFormat("upload/2026/11/23/%010d/original.mp4", i); }
std::string Address(uint64_t i) { return absl::StrFormat("10.%d.%d.%d", i >> 16 & 0xFF, i >> 8 & 0xFF, i & 0xFF); }

bool IsFrozen(int64_t account) { return account % 10 == 9; }
bool HasHost(int64_t bucket) { return bucket % 10 == 0; }
int64_t AccountOf(int64_t bucket, const Sizes& sizes) { return bucket % sizes.accounts; }
int64_t BucketOfFlag(int64_t flag, const Sizes& sizes) { return flag % sizes.buckets; }

// What the benchmark cannot do without, and only a full disk or a bug denies it.
[[noreturn]] void Die(absl::string_view what, const absl::Status& status) {
  std::fprintf(stderr, "bench: %s: %s\n", std::string(what).c_str(), status.ToString().c_str());
  std::exit(1);
}

constexpr size_t kTextBytesMax = 256;  // of one question

StampedEvent Stamp(Change change, Role role, absl::Time at, int64_t revision) {
  StampedEvent stamped;
  stamped.event.role = role;
  stamped.event.effective_at = at;
  stamped.event.change = std::move(change);
  stamped.arrived_at = at;
  stamped.revision = revision;
  return stamped;
}

Entity LimitEntity(int index, bool set, absl::Time at) {
  static constexpr LimitScope kScopes[] = {LimitScope::kAccount, LimitScope::kBucket, LimitScope::kClientIp,
                                           LimitScope::kObject, LimitScope::kDomain};
  SetLimit limit;
  limit.limit_id = absl::StrCat("limit-", index);
  limit.level = Level::kWebPage;
  limit.scope = kScopes[index];
  limit.dimension = Dimension::kRequests;
  // More than any benchmark takes, also where two threads count time apart.
  limit.rate = 1e8;
  limit.burst = 1e12;
  Entity entity;
  entity.key = {EntityKind::kLimit, limit.limit_id};
  if (set) entity.events.push_back(Stamp(std::move(limit), Role::kOperations, at, 1));
  return entity;
}

}  // namespace

absl::Status Validate(const Sizes& sizes) {
  const std::pair<absl::string_view, int64_t> all[] = {
      {"accounts", sizes.accounts}, {"buckets", sizes.buckets}, {"flags", sizes.flags}};
  for (const auto& [name, size] : all) {
    if (size < 10 || size % 10 != 0) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": wanted a positive multiple of 10, got ", size));
    }
  }
  if (sizes.buckets < sizes.accounts) {
    return absl::InvalidArgumentError(
        absl::StrCat("buckets: wanted no fewer than accounts (", sizes.accounts, "), got ", sizes.buckets));
  }
  return absl::OkStatus();
}

QuestionSet::QuestionSet(const Sizes& sizes, Case what, size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto below = [&](int64_t end) { return static_cast<int64_t>(random() % static_cast<uint64_t>(end)); };
  text_.reserve(count * kTextBytesMax);  // never moves from now on
  questions_.reserve(count);
  while (questions_.size() < count) {
    Question question;
    question.operation = Operation::kDownload;
    question.verdict = Verdict::kDeny;
    if (what == Case::kCdnAllow) {
      const int64_t bucket = 10 * below(sizes.buckets / 10);
      question.operation = Operation::kPublicRead;
      question.verdict = Verdict::kAllow;
      question.host = Keep(HostName(bucket));
      question.path = Keep(absl::StrCat("/", CleanKey(below(1'000'000'000))));
    } else {
      const int64_t flag = below(sizes.flags);
      const int64_t bucket = what == Case::kFlagDeny ? BucketOfFlag(flag, sizes) : below(sizes.buckets);
      const int64_t account = AccountOf(bucket, sizes);
      if (IsFrozen(account) != (what == Case::kFreezeDeny)) continue;
      if (what == Case::kOwnerAllow) question.verdict = Verdict::kAllow;
      if (what == Case::kFlagDeny) question.reason = Reason::kContentProhibited;
      if (what == Case::kFreezeDeny) question.reason = Reason::kAccountFrozen;
      question.requester = Keep(AccountName(account));
      question.bucket = Keep(BucketName(bucket));
      question.key = Keep(what == Case::kFlagDeny ? FlaggedKey(flag) : CleanKey(below(1'000'000'000)));
    }
    question.client_ip = Keep(Address(random()));
    questions_.push_back(question);
  }
}

absl::string_view QuestionSet::Keep(absl::string_view text) {
  const size_t start = text_.size();
  text_.append(text.data(), text.size());
  return absl::string_view(text_).substr(start);
}

size_t MapBytes(const Sizes& sizes) {
  const int64_t entities = sizes.accounts + 2 * sizes.buckets + sizes.lone_hosts + sizes.flags;
  return (size_t{1} << 30) + static_cast<size_t>(entities) * 600;
}

absl::Status FillStore(Store* store, const Sizes& sizes, absl::Time today) {
  const absl::Time opened = today - absl::Hours(24 * 100);
  const absl::Time frozen = today - absl::Hours(24);
  int64_t revision = 0;
  // One, as an import is: it writes the index of flags once, by hash, at its end.
  absl::StatusOr<std::unique_ptr<Store::Transaction>> transaction = store->Begin();
  absl::Status status = transaction.status();
  const auto put = [&](EntityKind kind, std::string id, std::vector<StampedEvent> events) {
    if (status.ok()) status = (*transaction)->PutNew({{kind, std::move(id)}, std::move(events)});
  };
  // In the order of the store.
  for (int64_t i = 0; i < sizes.accounts; ++i) {
    const std::string account = AccountName(i);
    std::vector<StampedEvent> facts = {Stamp(OpenAccount{account}, Role::kBilling, opened, ++revision),
                                       Stamp(Paid{account}, Role::kBilling, opened, ++revision)};
    if (IsFrozen(i)) facts.push_back(Stamp(Freeze{account}, Role::kBilling, frozen, ++revision));
    put(EntityKind::kAccount, account, std::move(facts));
  }
  for (int64_t i = 0; i < sizes.buckets; ++i) {
    const std::string bucket = BucketName(i);
    put(EntityKind::kBucket, bucket,
        {Stamp(BindBucket{bucket, AccountName(AccountOf(i, sizes)), "cn"}, Role::kStorage, opened, ++revision)});
  }
  for (int64_t i = 0; i < sizes.buckets; ++i) {
    if (!sizes.hosts || !HasHost(i)) continue;
    const std::string host = HostName(i);
    put(EntityKind::kDomain, host,
        {Stamp(BindDomain{host, AccountName(AccountOf(i, sizes)), BucketName(i), Geo::kChina, false}, Role::kOperations,
               opened, ++revision)});
  }
  for (int64_t i = 0; i < sizes.lone_hosts; ++i) {
    const std::string host = HostName(i), account = AccountName(i % sizes.accounts);
    put(EntityKind::kDomain, host,
        {Stamp(BindDomain{host, account, BucketName(i), Geo::kChina, false}, Role::kOperations, opened, ++revision)});
  }
  for (int64_t i = 0; i < sizes.buckets; ++i) {
    if (!sizes.hosts || !HasHost(i)) continue;
    const std::string host = HostName(i);
    put(EntityKind::kPermits, host,
        {Stamp(SetPermit{host, "icp-filing", PermitStatus::kValid, "2099-12-31"}, Role::kCompliance, opened,
               ++revision)});
  }
  for (int64_t i = 0; i < sizes.flags; ++i) {
    std::string id = absl::StrFormat("flag-%08d", i);
    put(EntityKind::kFlag, id, {Stamp(FlagOf(i, sizes), Role::kModeration, opened, ++revision)});
  }
  if (status.ok()) status = (*transaction)->SetRevision(revision, opened, opened);
  return status.ok() ? (*transaction)->Commit() : status;
}

RaiseFlag FlagOf(int64_t i, const Sizes& sizes) {
  RaiseFlag flag;
  flag.flag_id = absl::StrFormat("flag-%08d", i);
  flag.subject.bucket = BucketName(BucketOfFlag(i, sizes));
  flag.subject.key = FlaggedKey(i);
  flag.category = "3.1.3.5.3";
  flag.severity = Severity::kBlock;
  return flag;
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "sluice-bench-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) Die("a folder for the store", absl::ErrnoToStatus(errno, name));
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Fixture::Fixture(const Sizes& sizes, absl::Time today) : today_(today) {
  auto store = Store::Open({.path = folder_.path(), .map_bytes = MapBytes(sizes), .sync = false});
  if (!store.ok()) Die("opening the store", store.status());
  store_ = *std::move(store);
  if (const absl::Status status = FillStore(store_.get(), sizes, today); !status.ok()) Die("filling the store", status);
  Load();
}

Fixture::Fixture(std::unique_ptr<Store> store, absl::Time today) : today_(today), store_(std::move(store)) { Load(); }

void Fixture::Load() {
  absl::StatusOr<std::unique_ptr<const Pack>> pack = LoadDefaultPack();
  if (!pack.ok()) Die("the default pack", pack.status());
  pack_ = *std::move(pack);
  index_ = std::make_unique<PolicyIndex>(pack_.get());
  auto writer = PolicyWriter::Create(store_.get(), index_.get(), pack_.get());
  if (!writer.ok()) Die("loading the store", writer.status());
  writer_ = *std::move(writer);
  limiter_ = std::make_unique<Limiter>(Limiter::Options{});
  engine_ = std::make_unique<Engine>(pack_.get(), index_.get(), limiter_.get(), NodeOptions{.region = "cn"});
}

void Fixture::SetLimits(int count) {
  if (count == limits_) return;
  limits_ = count;
  const auto put = [&](Policy& policy) {
    for (int i = 0; i < 5; ++i) policy.Put(LimitEntity(i, i < count, today_ - absl::Hours(1)));
  };
  put(index_->working());
  index_->Publish(put);
}

}  // namespace sluice::bench
