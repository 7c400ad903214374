// The half of PolicyWriter that takes whole policies: loading at the start, and import.
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "store/policy_export.h"
#include "store/policy_writer.h"
#include "store/policy_writer_internal.h"

namespace sluice {
namespace {

// Reads a store into the index. One a load.
class Loader {
 public:
  // `reader` and `flags` read the same state.
  Loader(const StoreReader* reader, const StoreReader* flags, PolicyIndex* index, const Pack* pack)
      : reader_(*reader), flags_(*flags), index_(*index), pack_(*pack) {}

  // What both copies of the policy hold themselves; with `shared`, also what lies in the index once.
  void Load(Policy& policy, bool shared) {
    // Something was applied once, even if nothing of it is left: the policy is ready, not missing.
    Keep(reader_.ForEachLogged(0, [&](const StampedEvent&) {
      policy.Put(Entity());
      return false;
    }));
    // Parameters first: every account is built from them, and built again when they change.
    Put(EntityKind::kParameter, policy);
    for (const EntityKind kind :
         {EntityKind::kPermits, EntityKind::kRegistry, EntityKind::kOrder, EntityKind::kHold, EntityKind::kRestriction,
          EntityKind::kLimit, EntityKind::kMaintenance, EntityKind::kTerms}) {
      Put(kind, policy);
    }
    if (shared) {
      std::thread flags([this] { ReadFlagged(); });
      PutMillions(policy);
      flags.join();
    }
    for (const std::string& id : compiled_flags_) {
      const absl::StatusOr<absl::optional<Entity>> flag = reader_.GetEntity({EntityKind::kFlag, id});
      Keep(flag.status());
      if (flag.ok() && flag->has_value()) policy.Put(**flag);
    }
    if (shared) {
      Keep(reader_.ForEachAnnouncement(0, [&](const Announcement& announcement) {
        policy.Note(announcement);
        return true;
      }));
    }
    policy.SetRevision(reader_.revision());
  }
  absl::Status status() const {
    absl::MutexLock lock(&status_mutex_);
    return status_;
  }

 private:
  void Put(EntityKind kind, Policy& policy) {
    Keep(reader_.ForEachEntityOf(kind, "", [&](const Entity& entity) {
      policy.Put(entity);
      return true;
    }));
  }
  // Read by all cores; only the putting is one at a time.
  void PutMillions(Policy& policy) {
    absl::Mutex mutex;
    Keep(reader_.ForEachEntityAtOnce(EntityKind::kAccount, [&](absl::Span<const Entity> accounts) {
      std::vector<Timeline> standings;
      standings.reserve(accounts.size());
      for (const Entity& account : accounts) standings.push_back(policy.BuildStanding(account));
      absl::MutexLock lock(&mutex);
      for (size_t i = 0; i < accounts.size(); ++i) policy.PutAccount(accounts[i], std::move(standings[i]));
    }));
    for (const EntityKind kind : {EntityKind::kBucket, EntityKind::kDomain}) {
      Keep(reader_.ForEachEntityAtOnce(kind, [&](absl::Span<const Entity> entities) {
        absl::MutexLock lock(&mutex);
        for (const Entity& entity : entities) policy.Put(entity);
      }));
    }
  }
  // The subjects of all flags into the filter; of those that are compiled the ids. Beside PutMillions, so from a
  // snapshot of its own: a transaction is for one thread.
  void ReadFlagged() {
    if (flags_.flagged() == 0) return;
    index_.ReserveFlagged(flags_.flagged());
    std::set<std::string> compiled;
    Keep(flags_.ForEachFlagged([&](Hash128 subject, const FlagPiece& piece) {
      index_.AddFlagged(subject);
      Severity severity = piece.severity;
      if (severity == Severity::kUnspecified) {
        const Category* const category = pack_.FindCategory(piece.category);
        if (category != nullptr) severity = category->default_severity;
      }
      if (piece.whole || (severity == Severity::kCritical && !piece.trial)) compiled.emplace(piece.id);
    }));
    compiled_flags_.assign(compiled.begin(), compiled.end());
  }
  void Keep(const absl::Status& status) {
    absl::MutexLock lock(&status_mutex_);
    if (status_.ok()) status_ = status;
  }

  const StoreReader& reader_;
  const StoreReader& flags_;
  PolicyIndex& index_;
  const Pack& pack_;
  std::vector<std::string> compiled_flags_;
  mutable absl::Mutex status_mutex_;
  absl::Status status_ ABSL_GUARDED_BY(status_mutex_);
};

}  // namespace

absl::Status PolicyWriter::LoadAll() {
  {
    absl::StatusOr<std::unique_ptr<StoreReader>> snapshot = store_->Snapshot();
    if (!snapshot.ok()) return snapshot.status();
    absl::StatusOr<std::unique_ptr<StoreReader>> second = store_->Snapshot();  // there is no other writer
    if (!second.ok()) return second.status();
    Loader loader(snapshot->get(), second->get(), index_, pack_);
    index_->LoadAll([&](Policy& policy, bool shared) { loader.Load(policy, shared); });
    if (absl::Status status = loader.status(); !status.ok()) return status;
  }
  absl::Status status = store_->ForEachEntityOf(EntityKind::kUsage, "", [&](const Entity& entity) {
    TellUsage(entity, /*fresh=*/false);
    return true;
  });
  if (!status.ok()) return status;
  return store_->ForEachAnnouncement(0, [&](const Announcement& announcement) {
    Announced(announcement.revision);
    return true;
  });
}

absl::Status PolicyWriter::CommitImport(const ChunkSource& next, Imported* imported) {
  if (!broken_.ok()) return broken_;
  if (store_->revision() != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("import: want a store to which nothing was ever applied, this one is at revision ",
                     store_->revision(), "; start the node on an empty folder"));
  }
  absl::StatusOr<std::unique_ptr<Store::Transaction>> begun = store_->Begin();
  if (!begun.ok()) return begun.status();
  ExportLoader loader(begun->get(), pack_);
  v1::ExportChunk chunk;
  for (;;) {
    chunk.Clear();
    absl::StatusOr<bool> more = next(&chunk);
    if (!more.ok()) return more.status();
    if (!*more) break;
    if (absl::Status status = loader.Add(chunk); !status.ok()) return status;
  }
  absl::Status status = loader.Finish();
  if (status.ok()) status = (*begun)->Commit();
  if (!status.ok()) return status;
  *imported = {loader.revision(), loader.events()};
  status = LoadAll();
  if (!status.ok()) broken_ = status;
  return status;
}

}  // namespace sluice
