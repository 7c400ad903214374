#include "store/policy_writer.h"

#include <atomic>
#include <set>
#include <thread>

#include "tests/store/helpers.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(PolicyWriterTest, AnAppliedEventIsSeenByTheNextCheckAndAfterARestart) {
  const std::string folder = FreshFolder();
  std::string exported;
  {
    auto node = Node::Open(In(folder));
    EXPECT_EQ(node->Ask(Download("u1")).reason, Reason::kNotReady);
    FreezeU1(node.get());
    EXPECT_EQ(node->store->revision(), 3);
    const Decision decision = node->Ask(Download("u1"));
    EXPECT_EQ(decision.reason, Reason::kAccountFrozen);
    EXPECT_EQ(decision.revision, 3);
    exported = node->Exported();
  }
  auto node = Node::Open(In(folder));
  EXPECT_EQ(node->Ask(Download("u1")).reason, Reason::kAccountFrozen);
  EXPECT_EQ(node->index->Read()->revision(), 3);
  EXPECT_EQ(node->Exported(), exported);
  std::vector<int64_t> logged;
  ASSERT_TRUE(node->store
                  ->ForEachLogged(2,
                                  [&](const StampedEvent& event) {
                                    logged.push_back(event.revision);
                                    return true;
                                  })
                  .ok());
  EXPECT_THAT(logged, ElementsAre(2, 3));
}

TEST(PolicyWriterTest, BothCopiesOfTheIndexTakeEveryChange) {
  auto node = Node::Open(In(FreshFolder()));
  FreezeU1(node.get());
  for (int i = 0; i < 4; ++i) {  // each call shows the other copy
    node->Apply(Event(RegistrySync{absl::StrCat("r", i)}, Role::kCompliance));
    EXPECT_EQ(node->Ask(Download("u1")).reason, Reason::kAccountFrozen) << i;
  }
}

TEST(PolicyWriterTest, LaterEventsOfACallSeeEarlierOnes) {
  auto node = Node::Open(In(FreshFolder()));
  auto result = node->writer->Apply({Flag("f1"), Event(ClearFlag{"f1"}, Role::kModeration),
                                     Event(ClearFlag{"f1"}, Role::kModeration), Event(Freeze{"u1"})},
                                    At(kMorning));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->results[0].outcome, Outcome::kApplied);
  EXPECT_EQ(result->results[1].outcome, Outcome::kApplied);
  EXPECT_EQ(result->results[2].outcome, Outcome::kRejected);
  EXPECT_THAT(result->results[2].error, HasSubstr("f1"));
  EXPECT_EQ(result->results[3].outcome, Outcome::kApplied);
  EXPECT_EQ(result->revision, 4);
  EXPECT_THAT(node->Announced(), ElementsAre(HasSubstr("EVENT_REJECTED")));
}

TEST(PolicyWriterTest, DuplicateAndStaleEventsChangeNothing) {
  const std::string folder = FreshFolder();
  {
    auto node = Node::Open(In(folder));
    PolicyEvent event = Event(Freeze{"u1"});
    event.event_id = "e1";
    event.sequence = 5;
    EXPECT_EQ(node->Apply(event).revision, 1);
  }
  auto node = Node::Open(In(folder));  // both are remembered
  const std::string before = node->Exported();
  PolicyEvent again = Event(Unfreeze{"u1"});
  again.event_id = "e1";
  const EventResult duplicate = node->Apply(again);
  EXPECT_EQ(duplicate.outcome, Outcome::kDuplicate);
  EXPECT_EQ(duplicate.revision, 1);
  PolicyEvent late = Event(Unfreeze{"u1"});
  late.sequence = 4;
  EXPECT_EQ(node->Apply(late).outcome, Outcome::kStale);
  EXPECT_EQ(node->Exported(), before);
  late.sequence = 5;
  EXPECT_EQ(node->Apply(late).outcome, Outcome::kApplied);
}

TEST(PolicyWriterTest, ARejectedEventIsAnnouncedUnderARevisionOfItsOwnAndNotRemembered) {
  auto node = Node::Open(In(FreshFolder()));
  PolicyEvent event = Event(ClearFlag{"f1"}, Role::kModeration);
  event.event_id = "e1";
  EXPECT_EQ(node->Apply(event).outcome, Outcome::kRejected);
  EXPECT_EQ(node->Ask(Download("u1")).reason, Reason::kNotReady) << "nothing was ever applied";
  EXPECT_EQ(node->Apply(event).outcome, Outcome::kRejected) << "not a duplicate";
  auto announcements = node->writer->Announcements(0, 10);
  ASSERT_EQ(announcements->size(), 2u);
  EXPECT_EQ((*announcements)[0].revision, 1);
  EXPECT_EQ((*announcements)[1].revision, 2);
  EXPECT_EQ(node->writer->Announcements(2, 10)->size(), 1u);
  EXPECT_EQ(node->writer->Announcements(0, 1)->size(), 1u);
  EXPECT_EQ(node->Apply(Flag("f1")).revision, 3);
}

TEST(PolicyWriterTest, APathThatNoMessageCarriesIsRejected) {
  const std::string folder = FreshFolder();
  {
    auto node = Node::Open(In(folder));
    PolicyEvent event = Flag("f1");
    auto& flag = std::get<RaiseFlag>(event.change);
    flag.subject = Subject();
    flag.subject.host = "cdn.example.cn";
    flag.subject.path = "/a%ff";
    const EventResult result = node->Apply(event);
    // Either kept in a form that can be read back, or refused: never a store that cannot be opened again.
    EXPECT_TRUE(result.outcome == Outcome::kRejected || result.outcome == Outcome::kApplied);
  }
  EXPECT_NE(Node::Open(In(folder)), nullptr);
}

TEST(PolicyWriterTest, PolicyTimeNeverGoesBack) {
  auto node = Node::Open(In(FreshFolder()));
  node->Apply(Event(OpenAccount{"u1"}), kMorning);
  node->Apply(Event(OpenAccount{"u2"}), kMorning - absl::Hours(1));
  EXPECT_EQ(node->store->policy_time(), kMorning);
  auto entity = node->store->GetEntity({EntityKind::kAccount, "u2"});
  EXPECT_EQ((**entity).events.at(0).arrived_at, kMorning);
}

// ---- Grouping
// ----------------------------------------------------------------------------------------------------------

TEST(PolicyWriterTest, CallsThatWaitAreCommittedTogether) {
  const std::string folder = FreshFolder();
  constexpr int kCalls = 64;
  std::vector<int64_t> revisions(kCalls);
  {
    CountingObserver observer;
    observer.hold_first_ = true;
    auto node = Node::Open(In(folder), &observer);
    std::vector<std::thread> threads;
    const auto call = [&](int i) { revisions[i] = node->Apply(Event(OpenAccount{absl::StrCat("u", i)})).revision; };
    threads.emplace_back(call, 0);
    observer.first_committed_.WaitForNotification();
    for (int i = 1; i < kCalls; ++i) threads.emplace_back(call, i);
    while (node->writer->waiting() < kCalls) std::this_thread::yield();
    observer.go_on_.Notify();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(observer.commits_, 2) << "one for the first, one for all who came meanwhile";
    EXPECT_EQ(observer.largest_, size_t{kCalls} - 1);
    EXPECT_EQ(observer.applied_, kCalls);
    EXPECT_EQ(node->writer->waiting(), 0u);
  }
  EXPECT_EQ(std::set<int64_t>(revisions.begin(), revisions.end()).size(), size_t{kCalls});
  auto node = Node::Open(In(folder));
  EXPECT_EQ(node->store->revision(), kCalls);
  EXPECT_EQ(node->index->Read()->accounts(), size_t{kCalls});
}

TEST(PolicyWriterTest, ManyThreadsLoseNothing) {
  const std::string folder = FreshFolder();
  constexpr int kThreads = 8, kEach = 25;
  CountingObserver observer;
  std::set<int64_t> revisions;
  {
    auto node = Node::Open(In(folder), &observer);
    std::atomic<bool> stop{false};
    std::thread reader([&] {  // what a revision shows, it holds
      while (!stop) {
        const auto policy = node->index->Read();
        EXPECT_LE(policy->accounts(), static_cast<size_t>(policy->revision()));
      }
    });
    absl::Mutex mutex;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          const EventResult result = node->Apply(Event(OpenAccount{absl::StrCat("u", t, "-", i)}));
          absl::MutexLock lock(&mutex);
          revisions.insert(result.revision);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    stop = true;
    reader.join();
  }
  EXPECT_EQ(revisions.size(), size_t{kThreads * kEach});
  EXPECT_LE(observer.commits_, kThreads * kEach);
  auto node = Node::Open(In(folder));
  EXPECT_EQ(node->index->Read()->accounts(), size_t{kThreads * kEach});
  EXPECT_EQ(node->store->revision(), kThreads * kEach);
}

// ---- Announcements
// -----------------------------------------------------------------------------------------------------

TEST(PolicyWriterTest, ReclaimableIsAnnouncedOnceTakenBackAndMadeAgain) {
  const std::string folder = FreshFolder();
  absl::Time now = kReclaimable;
  {
    auto node = Node::Open(In(folder));
    FreezeU1(node.get());
    ASSERT_TRUE(node->writer->Tick(At(kMorning + absl::Hours(24))).ok());
    EXPECT_THAT(node->Announced(), IsEmpty());
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(node->writer->Tick(At(now)).ok());
    EXPECT_THAT(node->Announced(), ElementsAre("RECLAIMABLE account u1"));
    EXPECT_EQ(node->store->revision(), 4) << "a revision of its own";
  }
  auto node = Node::Open(In(folder));
  ASSERT_TRUE(node->writer->Tick(At(now)).ok());
  EXPECT_THAT(node->Announced(), ElementsAre("RECLAIMABLE account u1")) << "not again after a restart";

  now += absl::Hours(1);
  EXPECT_EQ(node->Apply(Event(PlaceHold{"h1", OfAccount("u1")}, Role::kLegal), now).outcome, Outcome::kApplied);
  EXPECT_THAT(node->Announced(5), ElementsAre("RECLAIM_CANCELLED account u1")) << "at once, without a tick";
  // In one call: what is held may not be confirmed, even where the hold came a moment ago.
  now += absl::Hours(1);
  auto result = node->writer->Apply(
      {Event(ReleaseHold{"h1"}, Role::kLegal), Event(PlaceHold{"h2", OfAccount("u1")}, Role::kLegal),
       Event(ConfirmReclaimed{"u1"}, Role::kStorage)},
      At(now));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->results[2].outcome, Outcome::kRejected);
}

TEST(PolicyWriterTest, WaitingForAnAnnouncementEndsWithOneOrAtTheDeadline) {
  auto node = Node::Open(In(FreshFolder()));
  EXPECT_FALSE(node->writer->AwaitAnnouncement(0, absl::InfinitePast()));
  std::thread waiter([&] { EXPECT_TRUE(node->writer->AwaitAnnouncement(0, absl::InfiniteFuture())); });
  node->Apply(Event(ClearFlag{"f1"}, Role::kModeration));
  waiter.join();
  EXPECT_TRUE(node->writer->AwaitAnnouncement(0, absl::InfinitePast()));
  EXPECT_FALSE(node->writer->AwaitAnnouncement(1, absl::InfinitePast()));
}

TEST(PolicyWriterTest, AnnouncementsSurviveARestart) {
  const std::string folder = FreshFolder();
  {
    auto node = Node::Open(In(folder));
    node->Apply(Event(OrderDeletion{OfObject("b1", "k1")}, Role::kModeration));
    node->Apply(Event(ClearFlag{"f1"}, Role::kModeration));
  }
  auto node = Node::Open(In(folder));
  EXPECT_THAT(node->Announced(), ElementsAre("DELETE_REQUESTED object b1/k1", HasSubstr("EVENT_REJECTED")));
  EXPECT_TRUE(node->writer->AwaitAnnouncement(1, absl::InfinitePast()));
  EXPECT_NE(node->Ask(Download("u1")).reason, Reason::kNotReady)
      << "something was applied, though nothing is kept of it";
}

}  // namespace
}  // namespace sluice
