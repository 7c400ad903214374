#include "store/store.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "enforcement/names.h"
#include "proto/translate.h"
#include "store/environment.h"
#include "store/flag_index.h"
#include "store/lmdb_table.h"
#include "store/store_reader.h"

namespace sluice {
namespace {

// A read transaction and its reader, together.
class LmdbSnapshot final : public LmdbReader {
 public:
  static absl::StatusOr<std::unique_ptr<LmdbSnapshot>> Begin(MDB_env* environment, const Tables& tables,
                                                             const std::string& path) {
    MDB_txn* transaction;
    if (const int error = mdb_txn_begin(environment, nullptr, MDB_RDONLY, &transaction); error != 0) {
      return StoreError(error, path, environment, "beginning to read");
    }
    std::unique_ptr<LmdbSnapshot> snapshot(new LmdbSnapshot(transaction, tables, path));
    if (absl::Status status = snapshot->ReadState(); !status.ok()) return status;
    return snapshot;
  }
  ~LmdbSnapshot() override { mdb_txn_abort(transaction_); }

 private:
  LmdbSnapshot(MDB_txn* transaction, const Tables& tables, const std::string& path)
      : LmdbReader(transaction, tables, path), transaction_(transaction) {}
  MDB_txn* const transaction_;
};

class LmdbStore final : public Store {
 public:
  explicit LmdbStore(const Options& options) : options_(options) {}
  absl::Status Start();

  absl::StatusOr<std::unique_ptr<Transaction>> Begin() override;
  absl::StatusOr<std::unique_ptr<StoreReader>> Snapshot() const override { return Read(); }

  absl::Status ForEachEntity(const std::function<bool(const Entity&)>& visit) const override {
    return WithSnapshot([&](const StoreReader& reader) { return reader.ForEachEntity(visit); });
  }
  absl::Status ForEachEntityOf(EntityKind kind, absl::string_view after,
                               const std::function<bool(const Entity&)>& visit) const override {
    return WithSnapshot([&](const StoreReader& reader) { return reader.ForEachEntityOf(kind, after, visit); });
  }
  absl::Status ForEachEntityAtOnce(EntityKind kind, const EntitiesVisit& visit) const override {
    return WithSnapshot([&](const StoreReader& reader) { return reader.ForEachEntityAtOnce(kind, visit); });
  }
  absl::StatusOr<absl::optional<Entity>> GetEntity(const EntityKey& key) const override {
    absl::StatusOr<std::unique_ptr<LmdbSnapshot>> snapshot = Read();
    if (!snapshot.ok()) return snapshot.status();
    return (*snapshot)->GetEntity(key);
  }
  absl::Status ForEachSeen(const std::function<bool(const SeenEvent&)>& visit) const override {
    return WithSnapshot([&](const StoreReader& reader) { return reader.ForEachSeen(visit); });
  }
  absl::Status ForEachSequence(const std::function<bool(const Sequence&)>& visit) const override {
    return WithSnapshot([&](const StoreReader& reader) { return reader.ForEachSequence(visit); });
  }
  absl::Status ForEachAnnouncement(int64_t from, const std::function<bool(const Announcement&)>& visit) const override {
    return WithSnapshot([&](const StoreReader& reader) { return reader.ForEachAnnouncement(from, visit); });
  }
  absl::Status ForEachLogged(int64_t from, const std::function<bool(const StampedEvent&)>& visit) const override {
    return WithSnapshot([&](const StoreReader& reader) { return reader.ForEachLogged(from, visit); });
  }

  int64_t revision() const override { return revision_.load(std::memory_order_acquire); }
  absl::Time policy_time() const override {
    return absl::FromUnixNanos(policy_time_ns_.load(std::memory_order_acquire));
  }
  absl::Time fed_at() const override { return absl::FromUnixNanos(fed_at_ns_.load(std::memory_order_acquire)); }
  absl::Status ForEachFlagged(const std::function<void(Hash128, const FlagPiece&)>& visit) const override {
    return WithSnapshot([&](const StoreReader& reader) { return reader.ForEachFlagged(visit); });
  }
  size_t flagged() const override {
    const absl::StatusOr<std::unique_ptr<LmdbSnapshot>> snapshot = Read();
    return snapshot.ok() ? (*snapshot)->flagged() : 0;
  }
  const FlagReader& flag_reader() const override { return *flag_reader_; }
  size_t used_bytes() const override;
  size_t map_bytes() const override {
    MDB_envinfo info{};
    mdb_env_info(environment_->get(), &info);
    return info.me_mapsize;
  }

 private:
  friend class LmdbTransaction;

  absl::StatusOr<std::unique_ptr<LmdbSnapshot>> Read() const {
    return LmdbSnapshot::Begin(environment_->get(), tables(), options_.path);
  }
  template <typename Visit>
  absl::Status WithSnapshot(const Visit& visit) const {
    absl::StatusOr<std::unique_ptr<LmdbSnapshot>> snapshot = Read();
    if (!snapshot.ok()) return snapshot.status();
    return visit(**snapshot);
  }
  absl::Status Error(int error, absl::string_view doing) const { return environment_->Error(error, doing); }
  const Tables& tables() const { return environment_->tables(); }

  const Options options_;
  std::unique_ptr<StoreEnvironment> environment_;
  std::unique_ptr<LmdbFlagReader> flag_reader_;  // reads the environment
  std::atomic<bool> writing_{false};
  // Set after each commit; whoever sees a revision may read what it holds.
  std::atomic<int64_t> revision_{0};
  std::atomic<int64_t> policy_time_ns_{0};
  std::atomic<int64_t> fed_at_ns_{0};
};

class LmdbTransaction final : public Store::Transaction {
 public:
  LmdbTransaction(LmdbStore* store, MDB_txn* transaction)
      : store_(store),
        transaction_(transaction),
        reader_(transaction, store->tables(), store->options_.path),
        new_flags_(store->options_.path) {}
  ~LmdbTransaction() override {
    if (transaction_ != nullptr) mdb_txn_abort(transaction_);
    store_->writing_.store(false, std::memory_order_release);
  }

  absl::optional<Entity> Get(const EntityKey& key) const override {
    absl::StatusOr<absl::optional<Entity>> entity = reader_.GetEntity(key);
    if (entity.ok()) return *std::move(entity);
    KeepOfRead(entity.status());
    return absl::nullopt;
  }
  bool Seen(absl::string_view source, absl::string_view event_id) const override {
    absl::string_view value;
    const int error = Table(store_->tables().seen).Get(NameOf(source, event_id), &value);
    if (error != 0 && error != MDB_NOTFOUND) KeepOfRead(store_->Error(error, "looking for an event id"));
    return error == 0;
  }
  int64_t LastSequence(absl::string_view account, absl::string_view source) const override {
    absl::string_view value;
    int error = Table(store_->tables().sequences).Get(NameOf(account, source), &value);
    if (error == MDB_NOTFOUND) return 0;
    if (error == 0 && value.size() != 8) error = MDB_CORRUPTED;
    if (error == 0) return static_cast<int64_t>(ReadBigEndian(value));
    KeepOfRead(store_->Error(error, "looking for a sequence"));
    return 0;
  }

  absl::Status Put(const Entity& entity) override {
    if (entity.key.kind == EntityKind::kFlag) {
      const Entity before = Get(entity.key).value_or(Entity{entity.key, {}});
      const int error = UpdateFlagged(Table(store_->tables().flagged), before, entity);
      if (error != 0) return Keep(store_->Error(error, absl::StrCat("writing the index of flag ", entity.key.id)));
    }
    LmdbTable entities = Table(store_->tables().entities);
    const std::string name = NameOf(entity.key);
    return Keep(store_->Error(
        entity.events.empty() ? entities.Delete(name) : entities.Put(name, SerializeEvents(entity, &scratch_)),
        "writing an entity"));
  }
  absl::Status PutNew(const Entity& entity) override {
    LmdbTable entities = Table(store_->tables().entities);
    const std::string name = NameOf(entity.key);
    const std::string value = SerializeEvents(entity, &scratch_);
    // A long name has no key of its own.
    int error = name.size() < kKeyBytes ? entities.Append(name, value) : MDB_KEYEXIST;
    if (error == MDB_KEYEXIST) {  // not the last one; it may still be new
      absl::string_view there;
      error = entities.Get(name, &there);
      if (error == 0) return absl::AlreadyExistsError(absl::StrCat("entity ", entity.key.id, " is there already"));
      if (error == MDB_NOTFOUND) error = entities.Put(name, value);
    }
    if (error == 0 && entity.key.kind == EntityKind::kFlag) error = new_flags_.Add(entity);
    return Keep(store_->Error(error, "writing an entity"));
  }
  absl::Status AppendLog(const StampedEvent& event) override {
    v1::PolicyEvent message;
    ToProto(event, &message);
    return Keep(store_->Error(
        Table(store_->tables().log).Append(BigEndian(static_cast<uint64_t>(event.revision)), Serialize(message)),
        absl::StrCat("writing event ", event.revision)));
  }
  absl::Status AppendAnnouncement(const Announcement& announcement) override {
    LmdbTable table = Table(store_->tables().announcements);
    uint64_t ordinal = 0;
    absl::string_view last;
    int error = table.Last(&last);
    if (error == 0 && last.size() != 16) error = MDB_CORRUPTED;
    if (error == 0 && ReadBigEndian(last) == static_cast<uint64_t>(announcement.revision)) {
      ordinal = ReadBigEndian(last.substr(8)) + 1;
    }
    if (error == 0 || error == MDB_NOTFOUND) {
      v1::Announcement message;
      ToProto(announcement, &message);
      error = table.Append(BigEndian(static_cast<uint64_t>(announcement.revision)) + BigEndian(ordinal),
                           Serialize(message));
    }
    return Keep(store_->Error(error, absl::StrCat("writing announcement ", announcement.revision)));
  }
  absl::Status MarkSeen(const Store::SeenEvent& seen) override {
    return PutNumber(store_->tables().seen, NameOf(seen.source, seen.event_id), seen.revision, "writing an event id");
  }
  absl::Status SetSequence(const Store::Sequence& sequence) override {
    return PutNumber(store_->tables().sequences, NameOf(sequence.account, sequence.source), sequence.sequence,
                     "writing a sequence");
  }
  absl::Status SetRevision(int64_t revision, absl::Time policy_time, absl::Time fed_at) override {
    revision_ = revision;
    policy_time_ns_ = absl::ToUnixNanos(policy_time);
    fed_at_ns_ = absl::ToUnixNanos(fed_at);
    state_set_ = true;
    absl::Status status = PutNumber(store_->tables().meta, kMetaRevision, revision, "writing the revision");
    if (!status.ok()) return status;
    status = PutNumber(store_->tables().meta, kMetaPolicyTime, policy_time_ns_, "writing the policy time");
    if (!status.ok()) return status;
    return PutNumber(store_->tables().meta, kMetaFedAt, fed_at_ns_, "writing the time of the last feed");
  }

  absl::Status Commit() override {
    if (transaction_ == nullptr) return absl::FailedPreconditionError("the transaction has ended");
    if (first_error_.ok()) {
      first_error_ = store_->Error(new_flags_.Write(Table(store_->tables().flagged)), "writing the index of flags");
    }
    MDB_txn* const transaction = std::exchange(transaction_, nullptr);
    if (!first_error_.ok()) {
      mdb_txn_abort(transaction);
      return first_error_;
    }
    store_->flag_reader_->HoldCommitted();
    // Frees the transaction whatever it returns. What it had written of one that failed is on pages that no root leads
    // to.
    if (const int error = mdb_txn_commit(transaction); error != 0) return store_->Error(error, "committing");
    store_->flag_reader_->ReleaseCommitted();
    if (state_set_) {
      store_->policy_time_ns_.store(policy_time_ns_, std::memory_order_release);
      store_->fed_at_ns_.store(fed_at_ns_, std::memory_order_release);
      store_->revision_.store(revision_, std::memory_order_release);
    }
    return absl::OkStatus();
  }

 private:
  LmdbTable Table(MDB_dbi table) const { return LmdbTable(transaction_, table); }
  absl::Status PutNumber(MDB_dbi table, absl::string_view name, int64_t number, absl::string_view doing) {
    return Keep(store_->Error(Table(table).Put(name, BigEndian(static_cast<uint64_t>(number))), doing));
  }
  absl::Status Keep(absl::Status status) {
    if (first_error_.ok()) first_error_ = status;
    return status;
  }
  void KeepOfRead(const absl::Status& status) const {
    if (first_error_.ok()) first_error_ = status;
  }

  LmdbStore* const store_;
  MDB_txn* transaction_;
  const LmdbReader reader_;
  int64_t revision_ = 0;
  int64_t policy_time_ns_ = 0;
  int64_t fed_at_ns_ = 0;
  bool state_set_ = false;
  NewFlags new_flags_;
  v1::ExportChunk scratch_;  // keeps its memory from one entity to the next
  mutable absl::Status first_error_;
};

absl::Status LmdbStore::Start() {
  absl::StatusOr<std::unique_ptr<StoreEnvironment>> environment = StoreEnvironment::Open(options_);
  if (!environment.ok()) return environment.status();
  environment_ = *std::move(environment);
  flag_reader_ = std::make_unique<LmdbFlagReader>(environment_->get(), tables().flagged);
  absl::StatusOr<std::unique_ptr<LmdbSnapshot>> snapshot = Read();
  if (!snapshot.ok()) return snapshot.status();
  revision_ = (*snapshot)->revision();
  policy_time_ns_ = absl::ToUnixNanos((*snapshot)->policy_time());
  fed_at_ns_ = absl::ToUnixNanos((*snapshot)->fed_at());
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Store::Transaction>> LmdbStore::Begin() {
  // LMDB would wait for the other transaction for ever, were it of this thread.
  if (writing_.exchange(true, std::memory_order_acquire)) {
    return absl::FailedPreconditionError(absl::StrCat("store ", options_.path, ": a transaction is open"));
  }
  // A `store check` or `backup` that was killed leaves its place in the table of readers, and with it the pages of the
  // state that it read: each commit would take new ones until the map is full. Without other processes a look at some
  // places, with them one fcntl(2) each; an error leaves it to the next commit.
  mdb_reader_check(environment_->get(), nullptr);
  MDB_txn* transaction;
  if (const int error = mdb_txn_begin(environment_->get(), nullptr, 0, &transaction); error != 0) {
    writing_.store(false, std::memory_order_release);
    return Error(error, "beginning to write");
  }
  return std::make_unique<LmdbTransaction>(this, transaction);
}

size_t LmdbStore::used_bytes() const {
  MDB_txn* transaction;
  if (mdb_txn_begin(environment_->get(), nullptr, MDB_RDONLY, &transaction) != 0) return 0;
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(environment_->get(), &info);
  mdb_env_stat(environment_->get(), &stat);
  const size_t free_pages = FreePages(transaction);
  mdb_txn_abort(transaction);
  const size_t pages = info.me_last_pgno + 1;
  return (pages - std::min(pages, free_pages)) * stat.ms_psize;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const Options& options) {
  auto store = std::make_unique<LmdbStore>(options);
  if (absl::Status status = store->Start(); !status.ok()) return status;
  return store;
}

}  // namespace sluice
