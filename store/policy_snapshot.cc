// The half of PolicyWriter that moves whole policies: loading at the start, export and import.
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "enforcement/names.h"
#include "enforcement/parameters.h"
#include "store/entity_of.h"
#include "store/policy_writer.h"
#include "store/policy_writer_internal.h"

namespace sluice {
namespace {

absl::Status NoExport(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("this is no export: ", what));
}

// Whether the subjects of `change` are ones that Reduce could have left.
absl::Status CheckSubjects(const Change& change) {
  return std::visit(
      [](const auto& each) -> absl::Status {
        if constexpr (requires { each.subject; }) {
          if constexpr (std::is_same_v<std::decay_t<decltype(each)>, SetLimit>) {
            if (each.subject.empty()) return absl::OkStatus();  // the default of its scope
          }
          return CanonicalSubject(each.subject).status();
        } else if constexpr (requires { each.subjects; }) {
          for (const Subject& subject : each.subjects) {
            if (absl::Status status = CanonicalSubject(subject).status(); !status.ok()) return status;
          }
        }
        return absl::OkStatus();
      },
      change);
}

// What the index relies on. The rest of the form was checked by the node that accepted the event.
absl::Status CheckRetained(const StampedEvent& stamped, int64_t revision, const Pack& pack) {
  const Change& change = stamped.event.change;
  const auto refuse = [&](const auto&... what) {
    return NoExport(absl::StrCat("event ", stamped.revision, " (", ChangeName(change.index()), "): ", what...));
  };
  if (!EntityOf(change)) return refuse("want a change that an export keeps");
  if (stamped.revision < 1 || stamped.revision > revision) {
    return refuse("revision: want 1 to ", revision, ", that of the snapshot, got ", stamped.revision);
  }
  if (!stamped.event.effective_at) return refuse("effective_at: want a time, got none");
  if (absl::Status status = CheckSubjects(change); !status.ok()) return refuse(status.message());
  if (const auto* set = std::get_if<SetParameter>(&change)) {
    const Parameter* parameter = pack.FindParameter(set->name);
    if (parameter == nullptr) return refuse("name: want a parameter that the pack has, got \"", set->name, "\"");
    if (absl::Status status = CheckParameterValue(*parameter, set->value); !status.ok())
      return refuse(status.message());
  } else if (const auto* terms = std::get_if<AnnounceTerms>(&change)) {
    if (!terms->effective) return refuse("effective: want a time, got none");
  }
  return absl::OkStatus();
}

}  // namespace

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
    Keep(reader_.ForEachEntityAtOnce(EntityKind::kAccount, [&](const Entity& account) {
      const Timeline standing = policy.BuildStanding(account);
      absl::MutexLock lock(&mutex);
      policy.PutAccount(account, standing);
    }));
    for (const EntityKind kind : {EntityKind::kBucket, EntityKind::kDomain}) {
      Keep(reader_.ForEachEntityAtOnce(kind, [&](const Entity& entity) {
        absl::MutexLock lock(&mutex);
        policy.Put(entity);
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
    TellUsage(entity);
    return true;
  });
  if (!status.ok()) return status;
  return store_->ForEachAnnouncement(0, [&](const Announcement& announcement) {
    Announced(announcement.revision);
    return true;
  });
}

absl::StatusOr<PolicyWriter::Snapshot> PolicyWriter::Export() const {
  absl::StatusOr<std::unique_ptr<StoreReader>> opened = store_->Snapshot();
  if (!opened.ok()) return opened.status();
  const StoreReader& reader = **opened;
  Snapshot snapshot;
  snapshot.revision = reader.revision();
  snapshot.policy_time = reader.policy_time();
  absl::Status status = reader.ForEachEntity([&](const Entity& entity) {
    snapshot.events.insert(snapshot.events.end(), entity.events.begin(), entity.events.end());
    return true;
  });
  const auto keep_in = [](auto* list) {
    return [list](const auto& item) {
      list->push_back(item);
      return true;
    };
  };
  if (status.ok()) status = reader.ForEachSeen(keep_in(&snapshot.seen));
  if (status.ok()) status = reader.ForEachSequence(keep_in(&snapshot.sequences));
  if (status.ok()) status = reader.ForEachAnnouncement(0, keep_in(&snapshot.announcements));
  if (!status.ok()) return status;
  return snapshot;
}

absl::Status PolicyWriter::CommitImport(const Snapshot& snapshot) {
  if (!broken_.ok()) return broken_;
  if (store_->revision() != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("import: want a store to which nothing was ever applied, this one is at revision ",
                     store_->revision(), "; start the node on an empty folder"));
  }
  if (snapshot.revision < 0) return NoExport(absl::StrCat("revision: want 0 or more, got ", snapshot.revision));
  absl::StatusOr<std::unique_ptr<Store::Transaction>> begun = store_->Begin();
  if (!begun.ok()) return begun.status();
  Store::Transaction& transaction = **begun;
  Entity entity;
  const auto put_entity = [&]() -> absl::Status {
    if (entity.events.empty()) return absl::OkStatus();
    absl::Status status = transaction.PutNew(entity);
    if (absl::IsAlreadyExists(status)) {
      return NoExport(absl::StrCat(
          "event ", entity.events.front().revision, " (", ChangeName(entity.events.front().event.change.index()),
          "): want the events of one entity together, got some apart, or the same export twice"));
    }
    entity.events.clear();
    return status;
  };
  for (const StampedEvent& stamped : snapshot.events) {
    if (absl::Status status = CheckRetained(stamped, snapshot.revision, *pack_); !status.ok()) return status;
    EntityKey key = *EntityOf(stamped.event.change);
    if (!(key == entity.key)) {
      if (absl::Status status = put_entity(); !status.ok()) return status;
      entity.key = std::move(key);
    }
    entity.events.push_back(stamped);
  }
  absl::Status status = put_entity();
  for (const Store::SeenEvent& seen : snapshot.seen) {
    if (status.ok()) status = transaction.MarkSeen(seen);
  }
  for (const Store::Sequence& sequence : snapshot.sequences) {
    if (status.ok()) status = transaction.SetSequence(sequence);
  }
  int64_t announced = 0;
  for (const Announcement& announcement : snapshot.announcements) {
    if (!status.ok()) break;
    if (announcement.revision < std::max<int64_t>(announced, 1) || announcement.revision > snapshot.revision) {
      return NoExport(absl::StrCat("announcement: revision: want ", std::max<int64_t>(announced, 1), " to ",
                                   snapshot.revision, ", got ", announcement.revision));
    }
    announced = announcement.revision;
    status = transaction.AppendAnnouncement(announcement);
  }
  if (status.ok()) status = transaction.SetRevision(snapshot.revision, snapshot.policy_time);
  if (status.ok()) status = transaction.Commit();
  if (!status.ok()) return status;
  status = LoadAll();
  if (!status.ok()) broken_ = status;
  return status;
}

}  // namespace sluice
