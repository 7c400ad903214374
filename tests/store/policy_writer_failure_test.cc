// What becomes of store and index when a commit fails.
#include <memory>
#include <string>

#include "store/policy_writer.h"
#include "tests/store/helpers.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A store whose next commits fail when it is told so.
class FailingStore final : public Store {
 public:
  explicit FailingStore(std::unique_ptr<Store> store) : store_(std::move(store)) {}

  class FailingTransaction final : public Transaction {
   public:
    FailingTransaction(std::unique_ptr<Transaction> real, int* failures)
        : real_(std::move(real)), failures_(failures) {}
    absl::optional<Entity> Get(const EntityKey& key) const override { return real_->Get(key); }
    bool Seen(absl::string_view source, absl::string_view id) const override { return real_->Seen(source, id); }
    int64_t LastSequence(absl::string_view account, absl::string_view source) const override {
      return real_->LastSequence(account, source);
    }
    absl::Status Put(const Entity& entity) override { return real_->Put(entity); }
    absl::Status PutNew(const Entity& entity) override { return real_->PutNew(entity); }
    absl::Status AppendLog(const StampedEvent& event) override { return real_->AppendLog(event); }
    absl::Status AppendAnnouncement(const Announcement& each) override { return real_->AppendAnnouncement(each); }
    absl::Status MarkSeen(const SeenEvent& seen) override { return real_->MarkSeen(seen); }
    absl::Status SetSequence(const Sequence& sequence) override { return real_->SetSequence(sequence); }
    absl::Status SetRevision(int64_t revision, absl::Time time, absl::Time fed_at) override {
      return real_->SetRevision(revision, time, fed_at);
    }
    absl::Status Commit() override {
      if (*failures_ == 0) return real_->Commit();
      --*failures_;
      return absl::ResourceExhaustedError("the disk is full");
    }

   private:
    std::unique_ptr<Transaction> real_;
    int* const failures_;
  };

  absl::StatusOr<std::unique_ptr<Transaction>> Begin() override {
    auto real = store_->Begin();
    if (!real.ok()) return real.status();
    return std::make_unique<FailingTransaction>(*std::move(real), &failures_);
  }
  absl::StatusOr<std::unique_ptr<StoreReader>> Snapshot() const override { return store_->Snapshot(); }
  absl::Status ForEachEntity(const std::function<bool(const Entity&)>& visit) const override {
    return store_->ForEachEntity(visit);
  }
  absl::Status ForEachEntityOf(EntityKind kind, absl::string_view after,
                               const std::function<bool(const Entity&)>& visit) const override {
    return store_->ForEachEntityOf(kind, after, visit);
  }
  absl::Status ForEachEntityAtOnce(EntityKind kind, const EntitiesVisit& visit) const override {
    return store_->ForEachEntityAtOnce(kind, visit);
  }
  absl::StatusOr<absl::optional<Entity>> GetEntity(const EntityKey& key) const override {
    return store_->GetEntity(key);
  }
  absl::Status ForEachSeen(const std::function<bool(const SeenEvent&)>& visit) const override {
    return store_->ForEachSeen(visit);
  }
  absl::Status ForEachSequence(const std::function<bool(const Sequence&)>& visit) const override {
    return store_->ForEachSequence(visit);
  }
  absl::Status ForEachAnnouncement(int64_t from, const std::function<bool(const Announcement&)>& visit) const override {
    return store_->ForEachAnnouncement(from, visit);
  }
  absl::Status ForEachLogged(int64_t from, const std::function<bool(const StampedEvent&)>& visit) const override {
    return store_->ForEachLogged(from, visit);
  }
  absl::Status ForEachFlagged(const std::function<void(Hash128, const FlagPiece&)>& visit) const override {
    return store_->ForEachFlagged(visit);
  }
  size_t flagged() const override { return store_->flagged(); }
  const FlagReader& flag_reader() const override { return store_->flag_reader(); }
  int64_t revision() const override { return store_->revision(); }
  absl::Time policy_time() const override { return store_->policy_time(); }
  absl::Time fed_at() const override { return store_->fed_at(); }
  size_t used_bytes() const override { return store_->used_bytes(); }
  size_t map_bytes() const override { return store_->map_bytes(); }

  int failures_ = 0;  // commits still to fail

 private:
  std::unique_ptr<Store> store_;
};

class PolicyWriterFailureTest : public testing::Test {
 protected:
  PolicyWriterFailureTest() {
    auto store = Store::Open(In(FreshFolder()));
    EXPECT_TRUE(store.ok()) << store.status();
    auto failing = std::make_unique<FailingStore>(*std::move(store));
    store_ = failing.get();
    node_ = Node::On(std::move(failing), &observer_);
  }

  CountingObserver observer_;
  FailingStore* store_;
  std::unique_ptr<Node> node_;
};

TEST_F(PolicyWriterFailureTest, AFailedCommitLeavesStoreAndIndexAsTheyWere) {
  FreezeU1(node_.get());
  node_->Apply(Flag("f1"));
  const std::string before = node_->Exported();
  store_->failures_ = 1;
  SetParameter days;
  days.level = Level::kContract;
  days.name = "grace_days";
  days.value = "60";
  const absl::Status status =
      node_->writer
          ->Apply({Event(Unfreeze{"u1"}), Event(OpenAccount{"u2"}), Event(ClearFlag{"f1"}, Role::kModeration),
                   Flag("f2"), Event(days), Event(ClearFlag{"nowhere"}, Role::kModeration)},
                  At(kMorning))
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(observer_.failures_, 1);
  EXPECT_EQ(node_->Exported(), before);
  EXPECT_EQ(node_->Ask(Download("u1")).reason, Reason::kAccountFrozen);

  // The copy that had taken the changes shows next, then the other: both must be as if nothing had been.
  for (int copy = 0; copy < 2; ++copy) {
    EXPECT_EQ(node_->Apply(Event(RegistrySync{"icp"}, Role::kCompliance), kMorning + absl::Hours(copy)).revision,
              5 + copy);
    const auto policy = node_->index->Read();
    EXPECT_EQ(policy->revision(), 5 + copy);
    EXPECT_EQ(policy->accounts(), 1u);
    const Segment last = policy->FindAccount("u1")->timeline.segments.back();
    EXPECT_EQ(last.state, AccountState::kReclaimable) << "frozen, and never unfrozen";
    EXPECT_EQ(last.from, absl::FromUnixSeconds(1774972800)) << "30 days: 2026-04-01T00:00+08:00";
    EXPECT_THAT(FlagsOn(*policy, OfObject("b1", "key of f1")), ElementsAre("f1"));
    EXPECT_THAT(FlagsOn(*policy, OfObject("b1", "key of f2")), IsEmpty());
  }
}

TEST_F(PolicyWriterFailureTest, WhatFailedSucceedsWhenItIsSentAgain) {
  store_->failures_ = 2;
  PolicyEvent event = Event(Freeze{"u1"});
  event.event_id = "e1";
  event.sequence = 1;
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(node_->writer->Apply({event}, At(kMorning)).ok());
  EXPECT_EQ(node_->Ask(Download("u1")).reason, Reason::kNotReady);
  const EventResult result = node_->Apply(event);
  EXPECT_EQ(result.outcome, Outcome::kApplied);
  EXPECT_EQ(result.revision, 1);
}

TEST_F(PolicyWriterFailureTest, ANodeThatNothingWasAppliedToStaysNotReady) {
  store_->failures_ = 1;
  EXPECT_FALSE(node_->writer->Apply({Event(Freeze{"u1"})}, At(kMorning)).ok());
  // The copy that had taken the freeze shows next, then the other; a rejection makes neither of them ready.
  for (int copy = 0; copy < 2; ++copy) {
    EXPECT_EQ(node_->Apply(Event(ClearFlag{"nowhere"}, Role::kModeration)).outcome, Outcome::kRejected);
    EXPECT_EQ(node_->Ask(Download("u1")).reason, Reason::kNotReady);
  }
}

TEST_F(PolicyWriterFailureTest, AnAnnouncementThatCouldNotBeKeptIsMadeLater) {
  FreezeU1(node_.get());
  store_->failures_ = 1;
  EXPECT_FALSE(node_->writer->Tick(At(kReclaimable)).ok());
  EXPECT_THAT(node_->Announced(), IsEmpty());
  EXPECT_FALSE(node_->index->Read()->IsAnnounced("u1"));
  ASSERT_TRUE(node_->writer->Tick(At(kReclaimable)).ok());
  EXPECT_THAT(node_->Announced(), ElementsAre("RECLAIMABLE account u1"));
  store_->failures_ = 1;
  EXPECT_FALSE(node_->writer->Apply({Event(Reinstate{"u1"})}, At(kReclaimable)).ok());
  EXPECT_TRUE(node_->index->Read()->IsAnnounced("u1"));
  EXPECT_EQ(node_->Apply(Event(Reinstate{"u1"}), kReclaimable).outcome, Outcome::kApplied);
  EXPECT_THAT(node_->Announced(), ElementsAre("RECLAIMABLE account u1", "RECLAIM_CANCELLED account u1"));
}

TEST(PolicyWriterFullTest, AFullStoreIsAClearErrorAndARaisedBoundGoesOn) {
  Store::Options options = In(FreshFolder());
  options.map_bytes = size_t{1} << 20;
  std::string exported;
  int64_t revision = 0;
  {
    auto node = Node::Open(options);
    FreezeU1(node.get());
    absl::Status status;
    for (int i = 0; i < 1000 && status.ok(); ++i) {
      exported = node->Exported();
      revision = node->store->revision();
      status = node->writer
                   ->Apply({Flag(absl::StrCat("f", i), Severity::kBlock, std::string(3000, 'x')),
                            Flag(absl::StrCat("g", i), Severity::kBlock, std::string(3000, 'x'))},
                           At(kMorning))
                   .status();
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(status.message()), HasSubstr("raise store.map_bytes (--store-map-bytes)"));
    EXPECT_GT(revision, 20);
    EXPECT_EQ(node->Exported(), exported);
    EXPECT_EQ(node->index->Read()->revision(), revision);
    EXPECT_EQ(node->Ask(Download("u1")).reason, Reason::kAccountFrozen) << "checks go on";
  }
  options.map_bytes = size_t{8} << 20;
  auto node = Node::Open(options);
  EXPECT_EQ(node->Exported(), exported);
  EXPECT_EQ(node->Apply(Flag("after")).revision, revision + 1);
}

}  // namespace
}  // namespace sluice
