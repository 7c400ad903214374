#include "store/policy_writer.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "enforcement/abuse_guard.h"
#include "enforcement/reducer.h"
#include "store/policy_writer_internal.h"

namespace sluice {
namespace {

// Events that one group takes on top of its first call: bounds how long a caller waits for others' events.
constexpr size_t kGroupEventsMax = 4096;

// The index holds what a restart would read back: times to the nanosecond.
absl::Time ToNanos(absl::Time time) { return absl::FromUnixNanos(absl::ToUnixNanos(time)); }

// Whether an entity of this kind has a say in what may be reclaimed.
bool BearsOnReclaiming(EntityKind kind) {
  switch (kind) {
    case EntityKind::kAccount:
    case EntityKind::kBucket:
    case EntityKind::kDomain:
    case EntityKind::kHold:
    case EntityKind::kParameter:
      return true;
    default:
      return false;  // of flags those that keep evidence: see ApplyEvent
  }
}

bool IsCritical(const Entity& entity, const Pack& pack) {
  return std::any_of(entity.events.begin(), entity.events.end(), [&](const StampedEvent& stamped) {
    const auto* flag = std::get_if<RaiseFlag>(&stamped.event.change);
    if (flag == nullptr) return false;
    const Category* category = pack.FindCategory(flag->category);
    return flag->severity == Severity::kCritical || (flag->severity == Severity::kUnspecified && category != nullptr &&
                                                     category->default_severity == Severity::kCritical);
  });
}

}  // namespace

PolicyWriter::PolicyWriter(Store* store, PolicyIndex* index, const Pack* pack, EventObserver* observer, UsageHook usage)
    : store_(store), index_(index), pack_(pack), observer_(observer), usage_(std::move(usage)) {
  index_->SetFacts([this](const EntityKey& key) { return Retained(key); });
  // As last committed: what the group that is being filled adds, the index is told of itself.
  index_->SetEach([this](EntityKind kind, const std::function<void(const Entity&)>& visit) {
    store_
        ->ForEachEntityOf(kind, "",
                          [&](const Entity& entity) {
                            visit(entity);
                            return true;
                          })
        .IgnoreError();
  });
  index_->SetFlags(&store_->flag_reader());
}

PolicyWriter::~PolicyWriter() {
  index_->SetFacts(nullptr);
  index_->SetEach(nullptr);
}

// An error of a read within the group's transaction comes back when that commits; one of a read outside leaves an
// account as it was.
absl::optional<Entity> PolicyWriter::Retained(const EntityKey& key) const {
  if (open_ != nullptr) return open_->Get(key);
  const absl::StatusOr<absl::optional<Entity>> entity = store_->GetEntity(key);
  return entity.ok() ? *entity : absl::nullopt;
}

absl::Status PolicyWriter::Begin(Work* work) {
  if (work->transaction != nullptr) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<Store::Transaction>> transaction = store_->Begin();
  if (!transaction.ok()) return transaction.status();
  work->transaction = *std::move(transaction);
  open_ = work->transaction.get();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<PolicyWriter>> PolicyWriter::Create(Store* store, PolicyIndex* index, const Pack* pack,
                                                                   EventObserver* observer, UsageHook usage) {
  std::unique_ptr<PolicyWriter> writer(new PolicyWriter(store, index, pack, observer, std::move(usage)));
  if (absl::Status status = writer->LoadAll(); !status.ok()) return status;
  return writer;
}

absl::StatusOr<ApplyResult> PolicyWriter::Apply(std::vector<PolicyEvent> events, Moment now) {
  Call call;
  call.events = std::move(events);
  call.now = now;
  if (absl::Status status = Run(&call); !status.ok()) return status;
  return std::move(call.result);
}

absl::Status PolicyWriter::Tick(Moment now) {
  Call call;
  call.now = now;
  return Run(&call);
}

absl::StatusOr<PolicyWriter::Imported> PolicyWriter::Import(const ChunkSource& next) {
  Call call;
  call.import = &next;
  if (absl::Status status = Run(&call); !status.ok()) return status;
  return call.imported;
}

size_t PolicyWriter::waiting() const {
  absl::MutexLock lock(&mutex_);
  return waiting_.size();
}

absl::Status PolicyWriter::Run(Call* call) {
  std::vector<Call*> group;
  {
    absl::MutexLock lock(&mutex_);
    waiting_.push_back(call);
    while (!call->done && waiting_.front() != call) call->turn.Wait(&mutex_);
    if (call->done) return call->status;
    group = TakeGroup();
  }
  // Unlocked: others queue up meanwhile, and none of them can be first before this one leaves.
  const absl::Status status =
      call->import != nullptr ? CommitImport(*call->import, &call->imported) : CommitGroup(group);
  absl::MutexLock lock(&mutex_);
  for (Call* each : group) {
    waiting_.pop_front();
    if (each == call) continue;
    each->status = status;
    each->done = true;
    each->turn.Signal();  // `each` may be gone once the lock is free
  }
  if (!waiting_.empty()) waiting_.front()->turn.Signal();
  return status;
}

std::vector<PolicyWriter::Call*> PolicyWriter::TakeGroup() const {
  std::vector<Call*> group;
  size_t events = 0;
  for (Call* call : waiting_) {
    if (!group.empty() && (call->import != nullptr || group.front()->import != nullptr)) break;
    if (!group.empty() && events + call->events.size() > kGroupEventsMax) break;
    group.push_back(call);
    events += call->events.size();
  }
  return group;
}

absl::Status PolicyWriter::CommitGroup(const std::vector<Call*>& group) {
  if (!broken_.ok()) return broken_;
  const auto started = std::chrono::steady_clock::now();
  Work work;
  work.revision = store_->revision();
  work.now = group.front()->now;
  size_t events = 0;
  for (const Call* call : group) {
    if (call->now.wall > work.now.wall) work.now = call->now;
    events += call->events.size();
  }
  work.now.wall = ToNanos(std::max(work.now.wall, store_->policy_time()));

  absl::Status status = Fill(group, &work);
  const bool wrote = work.revision > store_->revision();
  if (status.ok() && wrote) {
    status = work.transaction->SetRevision(work.revision, work.now.wall, work.fed ? work.now.wall : store_->fed_at());
  }
  if (status.ok() && wrote) status = work.transaction->Commit();
  open_ = nullptr;
  work.transaction.reset();
  if (!status.ok()) {
    Undo(work);
  } else if (wrote) {
    index_->working().SetRevision(work.revision);
    index_->Publish([&](Policy& policy) {
      for (const auto& step : work.steps) {
        if (const auto* entity = std::get_if<Entity>(&step)) policy.Put(*entity);
        if (const auto* announcement = std::get_if<Announcement>(&step)) policy.Note(*announcement);
      }
      policy.SetRevision(work.revision);
    });
    for (const auto& step : work.steps) {
      if (const auto* entity = std::get_if<Entity>(&step)) TellUsage(*entity, /*fresh=*/true);
    }
    if (work.last_announced > 0) Announced(work.last_announced);
  }
  if (observer_ != nullptr) {
    if (status.ok()) {
      for (const Call* call : group) {
        for (size_t i = 0; i < call->events.size(); ++i) {
          observer_->OnEvent(call->result.results[i].outcome, call->events[i]);
        }
      }
    }
    if (wrote || !status.ok()) {
      observer_->OnCommit(events, absl::FromChrono(std::chrono::steady_clock::now() - started), status.ok());
    }
  }
  return status;
}

void PolicyWriter::TellUsage(const Entity& entity, bool fresh) const {
  if (usage_ == nullptr || entity.key.kind != EntityKind::kUsage) return;
  for (const StampedEvent& stamped : entity.events) usage_(stamped, fresh);
}

absl::Status PolicyWriter::Fill(const std::vector<Call*>& group, Work* work) {
  // What time alone has brought about comes before what this group brings, however the events are cut into calls.
  if (absl::Status status = AnnounceDue(work); !status.ok()) return status;
  for (Call* call : group) {
    for (const PolicyEvent& event : call->events) {
      call->result.results.emplace_back();
      if (absl::Status status = ApplyEvent(event, work, &call->result.results.back()); !status.ok()) return status;
    }
    call->result.revision = work->revision;
  }
  return absl::OkStatus();
}

absl::Status PolicyWriter::ApplyEvent(const PolicyEvent& event, Work* work, EventResult* result) {
  if (absl::Status status = Begin(work); !status.ok()) return status;
  Store::Transaction& transaction = *work->transaction;
  Policy& working = index_->working();
  Reduction reduction = Reduce(event, work->revision + 1, work->now, working, transaction, *pack_);
  result->outcome = reduction.outcome;
  result->error = reduction.error;

  bool bears_on_reclaiming = false;
  if (reduction.outcome == Outcome::kApplied || reduction.outcome == Outcome::kRejected) ++work->revision;
  result->revision = work->revision;
  if (reduction.outcome == Outcome::kApplied) {
    for (Entity& entity : reduction.upserts) {
      if (absl::Status status = transaction.Put(entity); !status.ok()) return status;
      const size_t evidence = working.evidence().size();
      working.Put(entity);  // at once: later events of the group see it
      // A flag that was not critical and is not now holds nothing back: in a wave of a million, not one is looked at.
      bears_on_reclaiming |= BearsOnReclaiming(entity.key.kind) || evidence != working.evidence().size() ||
                             (entity.key.kind == EntityKind::kFlag && IsCritical(entity, *pack_));
      work->steps.emplace_back(std::move(entity));
    }
    const PolicyEvent& accepted = reduction.event;
    work->fed |= accepted.source != AbuseGuard::kSource;
    absl::Status status = transaction.AppendLog({accepted, work->revision, work->now.wall});
    if (status.ok() && !accepted.event_id.empty()) {
      status = transaction.MarkSeen({accepted.source, accepted.event_id, work->revision});
    }
    const absl::string_view account = LifecycleAccount(accepted.change);
    if (status.ok() && accepted.sequence != 0 && !account.empty() &&
        accepted.sequence > transaction.LastSequence(account, accepted.source)) {
      status = transaction.SetSequence({std::string(account), accepted.source, accepted.sequence});
    }
    if (!status.ok()) return status;
  }
  for (Announcement& announcement : reduction.announcements) {
    if (absl::Status status = Announce(std::move(announcement), result->revision, work); !status.ok()) return status;
  }
  // Event by event, so that neither an answer nor an announcement depends on how the calls were grouped.
  return bears_on_reclaiming ? AnnounceDue(work) : absl::OkStatus();
}

absl::Status PolicyWriter::AnnounceDue(Work* work) {
  for (Announcement& announcement : index_->working().DueAnnouncements(work->now)) {
    if (absl::Status status = Announce(std::move(announcement), ++work->revision, work); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status PolicyWriter::Announce(Announcement announcement, int64_t revision, Work* work) {
  announcement.revision = revision;
  announcement.at = ToNanos(announcement.at);
  if (absl::Status status = Begin(work); !status.ok()) return status;
  if (absl::Status status = work->transaction->AppendAnnouncement(announcement); !status.ok()) return status;
  index_->working().Note(announcement);
  work->last_announced = revision;
  work->steps.emplace_back(std::move(announcement));
  return absl::OkStatus();
}

// Brings the working copy back to what is committed, after a transaction that was not.
void PolicyWriter::Undo(const Work& work) {
  Policy& working = index_->working();
  // Parameters first: the accounts are built from them.
  const auto parameters_first = [](const EntityKey& a, const EntityKey& b) {
    const bool a_is = a.kind == EntityKind::kParameter, b_is = b.kind == EntityKind::kParameter;
    return a_is != b_is ? a_is : a < b;
  };
  std::set<EntityKey, decltype(parameters_first)> touched(parameters_first);
  for (const auto& step : work.steps) {
    if (const auto* entity = std::get_if<Entity>(&step)) touched.insert(entity->key);
  }
  for (const EntityKey& key : touched) {
    absl::StatusOr<absl::optional<Entity>> entity = store_->GetEntity(key);
    if (!entity.ok()) {
      broken_ = absl::Status(entity.status().code(),
                             absl::StrCat("nothing is applied any more until this is put right and the node started "
                                          "again: ",
                                          entity.status().message()));
      return;
    }
    working.Put(entity->has_value() ? **entity : Entity{key, {}});
  }
  for (auto step = work.steps.rbegin(); step != work.steps.rend(); ++step) {
    const auto* noted = std::get_if<Announcement>(&*step);
    if (noted == nullptr) continue;
    Announcement inverse = *noted;
    if (noted->kind == AnnouncementKind::kReclaimable) inverse.kind = AnnouncementKind::kReclaimCancelled;
    if (noted->kind == AnnouncementKind::kReclaimCancelled) inverse.kind = AnnouncementKind::kReclaimable;
    working.Note(inverse);
  }
  // DueAnnouncements looks again only after a change: nothing under no name will do, and what was due is announced
  // after all.
  working.Put(Entity());
  working.SetReady(index_->Read()->ready());
}

void PolicyWriter::Announced(int64_t revision) {
  absl::MutexLock lock(&announced_mutex_);
  last_announced_ = std::max(last_announced_, revision);
  announced_.SignalAll();
}

bool PolicyWriter::AwaitAnnouncement(int64_t revision, absl::Time deadline) {
  absl::MutexLock lock(&announced_mutex_);
  while (last_announced_ <= revision) {
    if (announced_.WaitWithDeadline(&announced_mutex_, deadline)) return last_announced_ > revision;
  }
  return true;
}

absl::StatusOr<std::vector<Announcement>> PolicyWriter::Announcements(int64_t from_revision, size_t max) const {
  std::vector<Announcement> announcements;
  if (max == 0) return announcements;
  absl::Status status = store_->ForEachAnnouncement(from_revision, [&](const Announcement& announcement) {
    announcements.push_back(announcement);
    return announcements.size() < max;
  });
  if (!status.ok()) return status;
  return announcements;
}

}  // namespace sluice
