#include "store/usage_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "enforcement/calendar.h"
#include "enforcement/names.h"
#include "store/lmdb_table.h"
#include "store/store_reader.h"
#include "store/usage_record.h"

namespace sluice {
namespace {

constexpr absl::string_view kJournalPrefix = "journal-";
// After a failure: what is full is seldom empty a second later.
constexpr int64_t kRetryNs = 10'000'000'000;

constexpr const char* kMetaTable = "meta";
constexpr absl::string_view kSecretKey = "secret";

absl::Status OtherSecret(const std::string& path) {
  return absl::FailedPreconditionError(absl::StrCat(
      "store ", path,
      ": its keys were made under another secret than this process has, which has opened another store "
      "before; open it in a process of its own, or move that folder away: what was used then counts anew"));
}

std::string Number(uint64_t number) {
  std::string bytes;
  AppendBigEndian(number, &bytes);
  return bytes;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return StoreError(errno, path, nullptr, "opening the journal");
  std::string bytes;
  char buffer[1 << 16];
  ssize_t got;
  while ((got = read(file, buffer, sizeof(buffer))) > 0) bytes.append(buffer, static_cast<size_t>(got));
  const int error = got < 0 ? errno : 0;
  close(file);
  if (error != 0) return StoreError(error, path, nullptr, "reading the journal");
  return bytes;
}

}  // namespace

struct UsageStore::Environment {
  ~Environment() {
    if (environment != nullptr) mdb_env_close(environment);
  }
  MDB_env* environment = nullptr;
  MDB_dbi held = 0, traffic = 0, reports = 0, leases = 0, meta = 0;
};

class UsageStore::Journal {
 public:
  static absl::StatusOr<std::unique_ptr<Journal>> Create(const std::string& path) {
    const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0) return StoreError(errno, path, nullptr, "making a journal");
    return std::unique_ptr<Journal>(new Journal(path, file));
  }
  ~Journal() { close(file_); }

  absl::Status Append(absl::string_view bytes) {
    if (!broken_.ok()) return broken_;
    const ssize_t wrote = write(file_, bytes.data(), bytes.size());
    if (wrote == static_cast<ssize_t>(bytes.size())) {
      size_ += wrote;
      return absl::OkStatus();
    }
    absl::Status status = StoreError(wrote < 0 ? errno : ENOSPC, path_, nullptr, "writing to the journal");
    // Half a record would hide all that follow.
    if (ftruncate(file_, size_) != 0) broken_ = status;
    return status;
  }

 private:
  Journal(std::string path, int file) : path_(std::move(path)), file_(file) {}
  const std::string path_;
  const int file_;
  off_t size_ = 0;
  absl::Status broken_;
};

UsageStore::UsageStore(Options options, Limiter* limiter) : options_(std::move(options)), limiter_(limiter) {}

UsageStore::~UsageStore() { limiter_->ledger().SetJournal(nullptr); }

absl::Status UsageStore::AdoptKeptSecret(const std::string& path) {
  struct stat info;
  if (stat(absl::StrCat(path, "/data.mdb").c_str(), &info) != 0) return absl::OkStatus();
  MDB_env* environment = nullptr;
  MDB_txn* transaction = nullptr;
  MDB_dbi table = 0;
  absl::string_view secret;
  int error = mdb_env_create(&environment);
  if (error == 0) error = mdb_env_set_maxdbs(environment, 8);
  if (error == 0) error = mdb_env_open(environment, path.c_str(), MDB_RDONLY | MDB_NOTLS, 0600);
  if (error == 0) error = mdb_txn_begin(environment, nullptr, MDB_RDONLY, &transaction);
  if (error == 0) error = mdb_dbi_open(transaction, kMetaTable, 0, &table);
  if (error == 0) error = LmdbTable(transaction, table).Get(kSecretKey, &secret);
  // What is damaged is Open's to report.
  const bool adopted = error != 0 || AdoptHashSecret(secret);
  if (transaction != nullptr) mdb_txn_abort(transaction);
  mdb_env_close(environment);
  return adopted ? absl::OkStatus() : OtherSecret(path);
}

absl::StatusOr<std::unique_ptr<UsageStore>> UsageStore::Open(const Options& options, Limiter* limiter, Moment now) {
  std::unique_ptr<UsageStore> store(new UsageStore(options, limiter));
  if (absl::Status status = store->OpenEnvironment(); !status.ok()) return status;
  if (absl::Status status = store->AdoptSecret(); !status.ok()) return status;
  if (absl::Status status = store->Load(now); !status.ok()) return status;
  if (absl::Status status = store->ReplayJournals(now); !status.ok()) return status;
  // On a full disk the node still starts, and answers checks; reports are refused until there is room.
  if (absl::Status status = store->MakeJournal(); !status.ok() && !absl::IsResourceExhausted(status)) return status;
  limiter->ledger().SetJournal(store.get());
  return store;
}

absl::Status UsageStore::OpenEnvironment() {
  if (mkdir(options_.path.c_str(), 0700) != 0 && errno != EEXIST) {
    return StoreError(errno, options_.path, nullptr, "making its folder");
  }
  environment_ = std::make_unique<Environment>();
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  int error = mdb_env_create(&environment_->environment);
  MDB_env* const environment = environment_->environment;
  if (error == 0) error = mdb_env_set_maxdbs(environment, 8);
  if (error == 0) error = mdb_env_set_mapsize(environment, options_.map_bytes / page * page);
  const unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (options_.sync ? 0 : MDB_NOSYNC);
  if (error == 0) error = mdb_env_open(environment, options_.path.c_str(), flags, 0600);
  MDB_txn* transaction = nullptr;
  if (error == 0) error = mdb_txn_begin(environment, nullptr, 0, &transaction);
  const std::pair<const char*, MDB_dbi*> tables[] = {{"held", &environment_->held},
                                                     {"traffic", &environment_->traffic},
                                                     {"reports", &environment_->reports},
                                                     {"leases", &environment_->leases},
                                                     {kMetaTable, &environment_->meta}};
  for (const auto& [name, table] : tables) {
    if (error == 0) error = mdb_dbi_open(transaction, name, MDB_CREATE, table);
  }
  if (error == 0) {
    error = mdb_txn_commit(transaction);
  } else if (transaction != nullptr) {
    mdb_txn_abort(transaction);
  }
  return StoreError(error, options_.path, environment, "opening data.mdb");
}

absl::Status UsageStore::AdoptSecret() {
  MDB_txn* transaction;
  int error = mdb_txn_begin(environment_->environment, nullptr, 0, &transaction);
  if (error != 0) return StoreError(error, options_.path, environment_->environment, "beginning to write");
  LmdbTable meta(transaction, environment_->meta);
  absl::string_view kept;
  error = meta.Get(kSecretKey, &kept);
  if (error == 0) {
    const bool adopted = AdoptHashSecret(kept);
    mdb_txn_abort(transaction);
    return adopted ? absl::OkStatus() : OtherSecret(options_.path);
  }
  if (error == MDB_NOTFOUND) error = meta.Put(kSecretKey, HashSecret());
  if (error == 0) {
    error = mdb_txn_commit(transaction);
  } else {
    mdb_txn_abort(transaction);
  }
  return StoreError(error, options_.path, environment_->environment, "writing its secret");
}

absl::Status UsageStore::Load(Moment now) {
  MDB_txn* transaction;
  int error = mdb_txn_begin(environment_->environment, nullptr, MDB_RDONLY, &transaction);
  if (error != 0) return StoreError(error, options_.path, environment_->environment, "beginning to read");
  Ledger::Batch batch;
  std::vector<Leases::Kept> leases;
  bool readable = true;
  // Reads one table; `decode` is false for an entry that nobody here wrote.
  const auto each = [&](MDB_dbi table, const auto& decode) {
    if (error != 0 || !readable) return;
    error = LmdbTable(transaction, table).ForEach("", [&](absl::string_view key, absl::string_view value) {
      return readable = decode(key, value);
    });
  };
  each(environment_->held, [&](absl::string_view key, absl::string_view value) {
    const auto name = DecodeKey(key);
    const auto held = DecodeHeld(value);
    if (name && held) batch.held[*name] = *held;
    return name && held;
  });
  each(environment_->traffic, [&](absl::string_view key, absl::string_view value) {
    const auto name = DecodeKey(key);
    const auto traffic = DecodeTraffic(value);
    if (name && traffic) batch.traffic[*name] = *traffic;
    return name && traffic;
  });
  each(environment_->reports, [&](absl::string_view key, absl::string_view value) {
    const auto report = DecodeKey(value);
    if (!report || key.size() != 8) return false;
    batch.reports.push_back(*report);
    next_report_ = ReadBigEndian(key) + 1;
    return true;
  });
  each(environment_->leases, [&](absl::string_view key, absl::string_view value) {
    auto kept = DecodeLease(key, value);
    if (kept) leases.push_back(*std::move(kept));
    return kept.has_value();
  });
  absl::string_view applied;
  if (error == 0) error = LmdbTable(transaction, environment_->meta).Get("applied", &applied);
  if (error == 0 && applied.size() == 8) applied_ = ReadBigEndian(applied);
  if (error == MDB_NOTFOUND) error = 0;  // nothing was ever flushed
  mdb_txn_abort(transaction);
  if (error == 0 && !readable) error = MDB_CORRUPTED;
  if (error != 0) return StoreError(error, options_.path, environment_->environment, "reading what was used");
  limiter_->ledger().Restore(batch);
  limiter_->leases().TrackChanges();
  for (const Leases::Kept& kept : leases) limiter_->leases().Restore(kept, now);
  return absl::OkStatus();
}

std::string UsageStore::JournalPath(uint64_t number) const {
  return absl::StrFormat("%s/%s%020d", options_.path, kJournalPrefix, number);
}

std::vector<uint64_t> UsageStore::JournalNumbers() const {
  std::vector<uint64_t> numbers;
  DIR* folder = opendir(options_.path.c_str());
  if (folder == nullptr) return numbers;
  while (const dirent* entry = readdir(folder)) {
    absl::string_view name = entry->d_name;
    uint64_t number;
    if (absl::ConsumePrefix(&name, kJournalPrefix) && absl::SimpleAtoi(name, &number)) numbers.push_back(number);
  }
  closedir(folder);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

absl::Status UsageStore::ReplayJournals(Moment now) {
  number_ = applied_ + 1;
  for (const uint64_t number : JournalNumbers()) {
    if (number <= applied_) {
      unlink(JournalPath(number).c_str());
      continue;
    }
    number_ = number + 1;
    const absl::StatusOr<std::string> bytes = ReadFile(JournalPath(number));
    if (!bytes.ok()) return bytes.status();
    absl::string_view rest = *bytes;
    while (const absl::optional<LedgerRecord> record = NextRecord(&rest)) {
      limiter_->ledger().Replay(*record);
      for (const LeaseKey lease : record->ended) limiter_->leases().End(lease, now.mono);
    }
  }
  return absl::OkStatus();
}

absl::Status UsageStore::MakeJournal() {
  absl::StatusOr<std::unique_ptr<Journal>> journal = Journal::Create(JournalPath(number_));
  if (journal.ok()) journal_ = *std::move(journal);
  return journal.status();
}

absl::Status UsageStore::Append(const LedgerRecord& record) {
  if (journal_ == nullptr) {
    if (absl::Status status = MakeJournal(); !status.ok()) return status;
  }
  return journal_->Append(EncodeRecord(record));
}

absl::Status UsageStore::Flush(Moment now) {
  if (now.mono < retry_at_) return absl::OkStatus();
  Ledger& ledger = limiter_->ledger();
  const absl::CivilDay today = DayOf(now.wall);
  if (swept_ != today) ledger.ForgetTrafficBefore(today);
  const bool changed = ledger.changed();
  std::vector<Leases::Kept> leases = limiter_->leases().TakeChanges(now);
  if (!changed && leases.empty() && swept_ == today) return absl::OkStatus();

  absl::StatusOr<std::unique_ptr<Journal>> next = Journal::Create(JournalPath(number_ + 1));
  absl::Status status = next.status();
  if (status.ok()) {
    // Records from here on go to the next journal: this one holds what the batch says, and no more.
    Ledger::Batch batch = ledger.Cut([&] {
      journal_.swap(*next);
      ++number_;
    });
    status = Commit(batch, leases, today);
    if (!status.ok()) ledger.Uncut(std::move(batch));
  }
  if (!status.ok()) {
    limiter_->leases().MarkChanged(leases);
    retry_at_.ns = now.mono.ns + kRetryNs;
    return status;
  }
  swept_ = today;
  for (const uint64_t number : JournalNumbers()) {
    if (number <= applied_) unlink(JournalPath(number).c_str());
  }
  return absl::OkStatus();
}

absl::Status UsageStore::Commit(const Ledger::Batch& batch, const std::vector<Leases::Kept>& leases,
                                absl::CivilDay today) {
  MDB_txn* transaction;
  int error = mdb_txn_begin(environment_->environment, nullptr, 0, &transaction);
  if (error != 0) return StoreError(error, options_.path, environment_->environment, "beginning to write");
  const auto table = [&](MDB_dbi handle) { return LmdbTable(transaction, handle); };
  const auto run = [&](const auto& write) {
    if (error == 0) error = write();
  };
  // By pair: clang before 16 lets no lambda name a structured binding.
  for (const auto& each : batch.held) {
    run([&] { return table(environment_->held).Put(EncodeKey(each.first), EncodeHeld(each.second)); });
  }
  for (const auto& each : batch.traffic) {
    run([&] { return table(environment_->traffic).Put(EncodeKey(each.first), EncodeTraffic(each.second)); });
  }
  uint64_t next_report = next_report_;
  for (const Hash128 report : batch.reports) {
    run([&] { return table(environment_->reports).Append(Number(next_report), EncodeKey(report)); });
    ++next_report;
  }
  std::vector<std::string> gone;
  if (next_report > options_.reports_max) {
    run([&] {
      return table(environment_->reports).ForEach("", [&](absl::string_view key, absl::string_view) {
        if (ReadBigEndian(key) + options_.reports_max >= next_report) return false;
        gone.emplace_back(key);
        return true;
      });
    });
    for (const std::string& key : gone) run([&] { return table(environment_->reports).Delete(key); });
  }
  for (const Leases::Kept& kept : leases) {
    run([&] {
      LmdbTable to = table(environment_->leases);
      const std::string key = EncodeLeaseKey(kept.lease);
      return kept.keys.empty() ? to.Delete(key) : to.Put(key, EncodeLease(kept));
    });
  }
  if (swept_ != today) {
    gone.clear();
    run([&] {
      return table(environment_->traffic).ForEach("", [&](absl::string_view key, absl::string_view value) {
        const auto traffic = DecodeTraffic(value);
        if (traffic && traffic->day + 1 < today) gone.emplace_back(key);
        return true;
      });
    });
    for (const std::string& key : gone) run([&] { return table(environment_->traffic).Delete(key); });
  }
  const uint64_t applied = number_ - 1;
  run([&] { return table(environment_->meta).Put("applied", Number(applied)); });
  if (error == 0) {
    error = mdb_txn_commit(transaction);
  } else {
    mdb_txn_abort(transaction);
  }
  if (error != 0) return StoreError(error, options_.path, environment_->environment, "keeping what was used");
  applied_ = applied;
  next_report_ = next_report;
  return absl::OkStatus();
}

}  // namespace sluice
