// A node for tests of the engine: pack, policy, limiter and engine, without a store. Time is whatever the test says.
#ifndef SLUICE_TESTS_ENFORCEMENT_NODE_H_
#define SLUICE_TESTS_ENFORCEMENT_NODE_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agreement/loader.h"
#include "enforcement/calendar.h"
#include "enforcement/engine.h"
#include "enforcement/reducer.h"

namespace sluice {

inline absl::Time At(absl::string_view text) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime("%Y-%m-%dT%H:%M:%E*S%Ez", std::string(text), &time, &error)) abort();
  return time;
}

class Node : public EntitySource {
 public:
  explicit Node(NodeOptions options = {"cn", Dialect::kGeneric, 1})
      : pack_(DefaultPack()),
        index_(pack_),
        limiter_(Limiter::Options{1 << 12}),
        engine_(pack_, &index_, &limiter_, std::move(options)) {
    index_.SetFacts([this](const EntityKey& key) { return Get(key); });
    index_.SetEach([this](EntityKind kind, const std::function<void(const Entity&)>& visit) {
      for (const auto& [key, entity] : entities_) {
        if (key.kind == kind) visit(entity);
      }
    });
  }

  // ---- EntitySource
  absl::optional<Entity> Get(const EntityKey& key) const override {
    const auto it = entities_.find(key);
    return it == entities_.end() ? absl::optional<Entity>() : it->second;
  }
  bool Seen(absl::string_view source, absl::string_view event_id) const override {
    return seen_.contains({std::string(source), std::string(event_id)});
  }
  int64_t LastSequence(absl::string_view account, absl::string_view source) const override {
    const auto it = sequences_.find({std::string(account), std::string(source)});
    return it == sequences_.end() ? 0 : it->second;
  }

  // Sends one change at `now`, by the role that the pack names first unless one is given.
  Reduction Send(Change change, Role role = Role::kUnspecified, OptionalTime effective_at = absl::nullopt) {
    PolicyEvent event;
    event.role = role;
    if (role == Role::kUnspecified && !pack_->RolesFor(change).empty()) event.role = pack_->RolesFor(change).front();
    event.effective_at = effective_at;
    event.change = std::move(change);
    return SendEvent(event);
  }

  Reduction SendEvent(const PolicyEvent& event) {
    Reduction reduction = Reduce(event, revision_ + 1, now_, index_.working(), *this, *pack_);
    if (reduction.outcome != Outcome::kApplied) return reduction;
    ++revision_;
    for (const Entity& entity : reduction.upserts) {
      if (entity.events.empty()) {
        entities_.erase(entity.key);
      } else {
        entities_[entity.key] = entity;
      }
    }
    const auto put = [&](Policy& policy) {
      for (const Entity& entity : reduction.upserts) policy.Put(entity);
      policy.SetRevision(revision_);
    };
    put(index_.working());
    index_.Publish(put);
    if (!event.event_id.empty()) seen_.insert({event.source, event.event_id});
    if (const absl::string_view account = LifecycleAccount(event.change); event.sequence != 0 && !account.empty()) {
      sequences_[{std::string(account), event.source}] = event.sequence;
    }
    engine_.TakeOver({reduction.event, revision_, now_.wall}, /*fresh=*/true, now_).IgnoreError();
    return reduction;
  }

  // The announcements due now, taken note of.
  std::vector<Announcement> Announce() {
    std::vector<Announcement> due = index_.working().DueAnnouncements(now_);
    const auto note = [&](Policy& policy) {
      for (const Announcement& each : due) policy.Note(each);
    };
    note(index_.working());
    index_.Publish(note);
    return due;
  }

  void MoveTo(absl::Time wall) {
    now_.mono.ns += absl::ToInt64Nanoseconds(wall - now_.wall);
    now_.wall = wall;
  }
  void MoveTo(absl::string_view wall) { MoveTo(At(wall)); }

  Decision Check(const CheckInput& input) { return engine_.Check(input, now_); }
  AccountState State(absl::string_view account) {
    Subject subject;
    subject.account = std::string(account);
    return engine_.Describe(subject, now_).state;
  }

  // Accounts u1 and u2, paid; buckets b1 and b2 of u1, b9 of u2.
  void StandardFixture() {
    for (const char* account : {"u1", "u2"}) {
      Send(OpenAccount{account});
      Send(Paid{account});
    }
    Send(BindBucket{"b1", "u1", "cn"});
    Send(BindBucket{"b2", "u1", "cn"});
    Send(BindBucket{"b9", "u2", "cn"});
  }

  Engine& engine() { return engine_; }
  Limiter& limiter() { return limiter_; }
  const Pack& pack() const { return *pack_; }
  Moment& now() { return now_; }
  PolicyIndex& index() { return index_; }

 private:
  // Read once for all nodes: tests that build thousands of them would do little else.
  static const Pack* DefaultPack() {
    static const Pack* const pack = std::move(LoadDefaultPack()).value().release();
    return pack;
  }

  const Pack* const pack_;
  PolicyIndex index_;
  Limiter limiter_;
  Engine engine_;
  Moment now_{At("2026-01-01T00:00:00+08:00"), MonotonicTime{1}, absl::Seconds(1)};
  int64_t revision_ = 0;
  std::map<EntityKey, Entity> entities_;
  std::set<std::pair<std::string, std::string>> seen_;
  std::map<std::pair<std::string, std::string>, int64_t> sequences_;
};

inline CheckInput Ask(Operation operation, absl::string_view requester, absl::string_view bucket,
                      absl::string_view key) {
  CheckInput input;
  input.operation = operation;
  input.requester = requester;
  input.bucket = bucket;
  input.key = key;
  return input;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_ENFORCEMENT_NODE_H_
