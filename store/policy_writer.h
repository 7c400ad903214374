// The control path: takes policy events, makes them durable, then shows them to every check.
//
// Concurrent calls are grouped: the first caller in commits for all who wait (as leveldb's writers do), so that one
// fsync serves many. An acknowledged event is on disk and seen by every later check.
#ifndef SLUICE_STORE_POLICY_WRITER_H_
#define SLUICE_STORE_POLICY_WRITER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "enforcement/engine.h"
#include "enforcement/event.h"
#include "enforcement/pack.h"
#include "sluice/v1/admin.pb.h"
#include "store/store.h"

namespace sluice {

struct EventResult {
  Outcome outcome = Outcome::kUnspecified;
  int64_t revision = 0;  // of APPLIED: its own; else the policy's
  std::string error;
};
struct ApplyResult {
  std::vector<EventResult> results;
  int64_t revision = 0;
};

class PolicyWriter {
 public:
  // Told of each accepted SetUsage once it is durable, before it is acknowledged (`fresh`), and of each that Create and
  // Import load. Bind it to Engine::TakeOver, which keeps the amounts.
  using UsageHook = std::function<void(const StampedEvent& event, bool fresh)>;

  // Loads `store` into `index`. All must outlive the writer; `observer` and `usage` may be null. `index` and `store`
  // have no other writer. Errors are the store's.
  static absl::StatusOr<std::unique_ptr<PolicyWriter>> Create(Store* store, PolicyIndex* index, const Pack* pack,
                                                              EventObserver* observer = nullptr,
                                                              UsageHook usage = nullptr);
  ~PolicyWriter();

  // Applies `events` in order at policy time `now` (of a group, the latest; never before the store's), all in one
  // transaction. Blocks until they are durable and shown. An error means that none of them happened
  // (RESOURCE_EXHAUSTED: disk or map full). A rejected event is no error; it is announced, under a revision of its own.
  // What falls due because of an event, or by now, is announced with it, under revisions of their own. Thread-safe.
  absl::StatusOr<ApplyResult> Apply(std::vector<PolicyEvent> events, Moment now) ABSL_LOCKS_EXCLUDED(mutex_);

  // The next chunk of an export into `*chunk`; false behind the last one. An error ends the import.
  using ChunkSource = std::function<absl::StatusOr<bool>(v1::ExportChunk* chunk)>;
  struct Imported {
    int64_t revision = 0;
    int64_t events = 0;
  };
  // Loads an export (store/policy_export.h) into an empty store: entities, seen ids, sequences and announcements as
  // they were, all or nothing. The event log is not part of it and begins anew. Other calls wait until `next` has given
  // all. FAILED_PRECONDITION where the store is not empty, INVALID_ARGUMENT where it is no export: the message says
  // which event and what it wants.
  absl::StatusOr<Imported> Import(const ChunkSource& next) ABSL_LOCKS_EXCLUDED(mutex_);

  // Makes the announcements that are due at `now`. Cheap where nothing is. Thread-safe.
  absl::Status Tick(Moment now) ABSL_LOCKS_EXCLUDED(mutex_);

  // Announcements with revision >= `from_revision`, at most `max`, in order.
  absl::StatusOr<std::vector<Announcement>> Announcements(int64_t from_revision, size_t max) const;
  // Blocks until an announcement newer than `revision` was made, or `deadline` passes; true if one was.
  bool AwaitAnnouncement(int64_t revision, absl::Time deadline) ABSL_LOCKS_EXCLUDED(announced_mutex_);

  // Calls that wait for their turn, those now committed among them.
  size_t waiting() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Call;
  struct Work;
  PolicyWriter(Store* store, PolicyIndex* index, const Pack* pack, EventObserver* observer, UsageHook usage);

  // Queues `call` and returns what became of it, having committed for others where it was first.
  absl::Status Run(Call* call) ABSL_LOCKS_EXCLUDED(mutex_);
  // The calls at the front of the queue that one transaction takes.
  std::vector<Call*> TakeGroup() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // Below: only the call at the front of the queue.
  absl::Status CommitGroup(const std::vector<Call*>& group);
  absl::Status Fill(const std::vector<Call*>& group, Work* work);
  absl::Status ApplyEvent(const PolicyEvent& event, Work* work, EventResult* result);
  absl::Status AnnounceDue(Work* work);
  absl::Status Announce(Announcement announcement, int64_t revision, Work* work);
  void Undo(const Work& work);
  absl::Status CommitImport(const ChunkSource& next, Imported* imported);
  absl::Status Begin(Work* work);
  absl::optional<Entity> Retained(const EntityKey& key) const;
  absl::Status LoadAll();
  void TellUsage(const Entity& entity, bool fresh) const;

  void Announced(int64_t revision) ABSL_LOCKS_EXCLUDED(announced_mutex_);

  Store* const store_;
  PolicyIndex* const index_;
  const Pack* const pack_;
  EventObserver* const observer_;
  const UsageHook usage_;
  // The transaction of the group that is being filled; else nullptr.
  const Store::Transaction* open_ = nullptr;
  // Why nothing can be applied any more: the working copy and the store could not be brought together again.
  absl::Status broken_;

  mutable absl::Mutex mutex_;
  std::deque<Call*> waiting_ ABSL_GUARDED_BY(mutex_);

  absl::Mutex announced_mutex_;
  absl::CondVar announced_;
  int64_t last_announced_ ABSL_GUARDED_BY(announced_mutex_) = 0;
};

}  // namespace sluice

#endif  // SLUICE_STORE_POLICY_WRITER_H_
