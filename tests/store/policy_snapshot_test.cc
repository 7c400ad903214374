// Export and import of whole policies.
#include <atomic>
#include <set>
#include <thread>

#include "store/entity_of.h"
#include "store/policy_writer.h"
#include "tests/store/helpers.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

// One entity of every kind, with ids and sequences, a rejection, and an event dated ahead.
void FillPolicy(Node* node) {
  const auto apply = [&](Change change, Role role) {
    const EventResult result = node->Apply(Event(std::move(change), role));
    EXPECT_EQ(result.outcome, Outcome::kApplied) << result.error;
  };
  PolicyEvent first = Event(OpenAccount{"u1"});
  first.event_id = "e1";
  first.sequence = 3;
  EXPECT_EQ(node->Apply(first).outcome, Outcome::kApplied);
  apply(Paid{"u1"}, Role::kBilling);
  apply(SetBalance{"u1", 1, 2}, Role::kBilling);
  apply(BindBucket{"b1", "u1", "cn"}, Role::kStorage);
  apply(BindDomain{"CDN.example.cn.", "u1", "b1", Geo::kChina, false}, Role::kOperations);
  apply(SetPermit{"example.cn", "icp-filing", PermitStatus::kValid, "2026-06-30"}, Role::kCompliance);
  apply(ClassifyDomain{"example.cn", {"bbs"}}, Role::kCompliance);
  apply(RegistrySync{"icp"}, Role::kCompliance);
  EXPECT_EQ(node->Apply(Flag("f1", Severity::kCritical)).outcome, Outcome::kApplied);
  apply(GrantException{"f1", OfObject("b1", "k9")}, Role::kModeration);
  PolicyEvent clear = Event(ClearFlag{"f1"}, Role::kModeration);
  clear.effective_at = kMorning + absl::Hours(2);
  EXPECT_EQ(node->Apply(clear).outcome, Outcome::kApplied);
  IssueOrder order;
  order.order_id = "o1";
  order.subjects = {OfAccount("u1"), OfObject("b1", "k1")};
  order.operations = {Operation::kDownload};
  apply(order, Role::kLegal);
  apply(PlaceHold{"h1", OfAccount("u1")}, Role::kLegal);
  Restrict restriction;
  restriction.restriction_id = "r1";
  restriction.subject.client_ip = "192.0.2.7/24";
  restriction.kind = RestrictionKind::kSandbox;
  restriction.clause = "3.1.3.6";
  restriction.requests_per_second = 5;
  apply(restriction, Role::kSecurity);
  SetLimit limit;
  limit.limit_id = "l1";
  limit.level = Level::kContract;
  limit.scope = LimitScope::kAccount;
  limit.dimension = Dimension::kRequests;
  limit.rate = 10;
  apply(limit, Role::kBilling);
  for (const char* account : {"", "u1"}) {
    SetParameter parameter;
    parameter.level = Level::kContract;
    parameter.account = account;
    parameter.name = "grace_days";
    parameter.value = "40";
    apply(parameter, Role::kBilling);
  }
  SetMaintenance maintenance;
  maintenance.region = "cn";
  maintenance.from = kMorning + absl::Hours(5);
  maintenance.to = kMorning + absl::Hours(6);
  apply(maintenance, Role::kOperations);
  maintenance.region = "";
  apply(maintenance, Role::kOperations);
  apply(AnnounceTerms{kMorning + absl::Hours(24 * 60)}, Role::kLegal);
  for (const char* end : {"a", "b", ""}) {  // ids longer than a key of the store
    apply(SetUsage{OfObject("b1", absl::StrCat(std::string(4000, 'k'), end)), Dimension::kStoredBytes, 7},
          Role::kStorage);
  }
  apply(OrderDeletion{OfObject("b2", "k1")}, Role::kModeration);
  EXPECT_EQ(node->Apply(Event(ClearFlag{"nowhere"}, Role::kModeration)).outcome, Outcome::kRejected);
}

TEST(PolicySnapshotTest, EveryRetainedEventNamesItsEntity) {
  auto node = Node::Open(In(FreshFolder()));
  FillPolicy(node.get());
  std::set<EntityKind> kinds;
  ASSERT_TRUE(node->store
                  ->ForEachEntity([&](const Entity& entity) {
                    kinds.insert(entity.key.kind);
                    EXPECT_FALSE(entity.events.empty());
                    for (const StampedEvent& stamped : entity.events) {
                      const absl::optional<EntityKey> key = EntityOf(stamped.event.change);
                      EXPECT_TRUE(key && *key == entity.key) << ChangeName(stamped.event.change.index())
                                                             << " under kind " << static_cast<int>(entity.key.kind);
                    }
                    return true;
                  })
                  .ok());
  EXPECT_EQ(kinds.size(), 14u);
  EXPECT_FALSE(EntityOf(Change()).has_value());
  EXPECT_FALSE(EntityOf(OrderDeletion{}).has_value());
}

TEST(PolicySnapshotTest, AnImportedExportIsExportedByteForByte) {
  const std::string folder = FreshFolder();
  auto node = Node::Open(In(folder));
  FillPolicy(node.get());
  const std::string exported = node->Exported();
  auto snapshot = node->writer->Export();
  ASSERT_TRUE(snapshot.ok());

  const std::string other = absl::StrCat(folder, "-other");
  std::filesystem::remove_all(other);
  {
    auto copy = Node::Open(In(other));
    ASSERT_TRUE(copy->writer->Import(*snapshot).ok());
    EXPECT_EQ(copy->Exported(), exported);
    EXPECT_EQ(copy->index->Read()->revision(), snapshot->revision);
    EXPECT_EQ(copy->Ask(Download("u1")).reason, node->Ask(Download("u1")).reason);
    // It goes on where the other stood.
    PolicyEvent duplicate = Event(Freeze{"u1"});
    duplicate.event_id = "e1";
    EXPECT_EQ(copy->Apply(duplicate).outcome, Outcome::kDuplicate);
    PolicyEvent stale = Event(Freeze{"u1"});
    stale.sequence = 2;
    EXPECT_EQ(copy->Apply(stale).outcome, Outcome::kStale);
    const absl::Status twice = copy->writer->Import(*snapshot);
    EXPECT_EQ(twice.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(copy->Exported(), exported);
  }
  EXPECT_EQ(Node::Open(In(other))->Exported(), exported) << "after a restart";
}

TEST(PolicySnapshotTest, WhatIsNoExportIsRefusedWhole) {
  auto node = Node::Open(In(FreshFolder()));
  StampedEvent good;
  good.event = Event(OpenAccount{"u1"});
  good.event.effective_at = kMorning;
  good.revision = 1;
  good.arrived_at = kMorning;
  const auto refused = [&](const std::function<void(PolicyWriter::Snapshot*)>& spoil) {
    PolicyWriter::Snapshot snapshot;
    snapshot.revision = 2;
    snapshot.policy_time = kMorning;
    snapshot.events = {good};
    spoil(&snapshot);
    const absl::Status status = node->writer->Import(snapshot);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(node->store->revision(), 0);
    EXPECT_EQ(node->index->Read()->accounts(), 0u);
    return std::string(status.message());
  };
  EXPECT_THAT(refused([](auto* s) { s->events[0].event.change = Change(); }), HasSubstr("event 1"));
  EXPECT_THAT(refused([](auto* s) { s->events[0].event.change = OrderDeletion{}; }), HasSubstr("order_deletion"));
  EXPECT_THAT(refused([](auto* s) { s->events[0].revision = 3; }), HasSubstr("want 1 to 2"));
  EXPECT_THAT(refused([](auto* s) { s->events[0].event.effective_at.reset(); }), HasSubstr("effective_at"));
  EXPECT_THAT(refused([](auto* s) { s->events[0].event.change = PlaceHold{"h1", {}}; }), HasSubstr("subject"));
  EXPECT_THAT(
      refused([](auto* s) { s->events[0].event.change = SetParameter{Level::kContract, "", "no.such", "1", {}, {}}; }),
      HasSubstr("no.such"));
  EXPECT_THAT(refused([](auto* s) {
                s->events.push_back(s->events[0]);
                s->events[1].event.change = OpenAccount{"u2"};
                s->events.push_back(s->events[0]);
              }),
              HasSubstr("together"));
  EXPECT_THAT(refused([](auto* s) {
                Announcement announcement;
                announcement.revision = 9;
                s->announcements.push_back(announcement);
              }),
              HasSubstr("announcement"));
  EXPECT_EQ(node->Apply(Event(OpenAccount{"u1"})).revision, 1) << "the store is still usable";
}

TEST(PolicySnapshotTest, AnExportIsOfOneMomentWhileEventsGoOn) {
  auto node = Node::Open(In(FreshFolder()));
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    // Each call opens two accounts: no export may hold one of a pair.
    for (int i = 0; i < 200; ++i) {
      auto result = node->writer->Apply(
          {Event(OpenAccount{absl::StrCat("a", i)}), Event(OpenAccount{absl::StrCat("b", i)})}, At(kMorning));
      EXPECT_TRUE(result.ok());
    }
    stop = true;
  });
  while (!stop) {
    auto snapshot = node->writer->Export();
    ASSERT_TRUE(snapshot.ok());
    EXPECT_EQ(snapshot->events.size(), static_cast<size_t>(snapshot->revision));
    EXPECT_EQ(snapshot->revision % 2, 0);
  }
  writer.join();
}

}  // namespace
}  // namespace sluice
