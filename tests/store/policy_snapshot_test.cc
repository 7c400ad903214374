// Export and import of whole policies.
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "absl/strings/str_format.h"
#include "store/entity_of.h"
#include "store/policy_export.h"
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
  const v1::ExportChunk whole = node->ExportedChunk();

  const std::string other = absl::StrCat(folder, "-other");
  std::filesystem::remove_all(other);
  {
    auto copy = Node::Open(In(other));
    ASSERT_TRUE(copy->Import({whole}).ok());
    EXPECT_EQ(copy->Exported(), exported);
    EXPECT_EQ(copy->index->Read()->revision(), whole.revision());
    EXPECT_EQ(copy->Ask(Download("u1")).reason, node->Ask(Download("u1")).reason);
    // It goes on where the other stood.
    PolicyEvent duplicate = Event(Freeze{"u1"});
    duplicate.event_id = "e1";
    EXPECT_EQ(copy->Apply(duplicate).outcome, Outcome::kDuplicate);
    PolicyEvent stale = Event(Freeze{"u1"});
    stale.sequence = 2;
    EXPECT_EQ(copy->Apply(stale).outcome, Outcome::kStale);
    const absl::Status twice = copy->Import({whole});
    EXPECT_EQ(twice.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(copy->Exported(), exported);
  }
  EXPECT_EQ(Node::Open(In(other))->Exported(), exported) << "after a restart";
}

TEST(PolicySnapshotTest, ChunksAreThePolicyInItsOrderAndKeepTheBound) {
  const std::string folder = FreshFolder();
  auto node = Node::Open(In(folder));
  FillPolicy(node.get());
  std::vector<v1::ExportChunk> chunks;
  v1::ExportChunk merged;
  ASSERT_TRUE(SendExport(*node->store, 500, [&](const v1::ExportChunk& chunk) {
                EXPECT_LE(chunk.ByteSizeLong(), 9000u) << "500, and a record of 4 kB with its name twice";
                EXPECT_FALSE(merged.last());
                merged.MergeFrom(chunk);
                chunks.push_back(chunk);
                return true;
              }).ok());
  EXPECT_GT(chunks.size(), 5u);
  EXPECT_TRUE(merged.last());
  EXPECT_EQ(merged.SerializeAsString(), node->Exported());

  const std::string other = absl::StrCat(folder, "-other");
  std::filesystem::remove_all(other);
  auto copy = Node::Open(In(other));
  ASSERT_TRUE(copy->Import(chunks).ok());
  EXPECT_EQ(copy->Exported(), node->Exported());
}

TEST(PolicySnapshotTest, AnEmptyPolicyIsOneChunk) {
  auto node = Node::Open(In(FreshFolder()));
  int chunks = 0;
  EXPECT_TRUE(SendExport(*node->store, 500, [&](const v1::ExportChunk& chunk) {
                EXPECT_TRUE(chunk.last());
                return ++chunks > 0;
              }).ok());
  EXPECT_EQ(chunks, 1);
}

TEST(PolicySnapshotTest, AnExportEndsWhereNoMoreIsWanted) {
  auto node = Node::Open(In(FreshFolder()));
  FillPolicy(node.get());
  int chunks = 0;
  const absl::Status status = SendExport(*node->store, 1, [&](const v1::ExportChunk&) { return ++chunks < 3; });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(chunks, 3);
}

TEST(PolicySnapshotTest, WhatIsNoExportIsRefusedWhole) {
  auto node = Node::Open(In(FreshFolder()));
  StampedEvent good;
  good.event = Event(OpenAccount{"u1"});
  good.event.effective_at = kMorning;
  good.revision = 1;
  good.arrived_at = kMorning;
  const auto chunk_of = [](const std::vector<StampedEvent>& events) {
    v1::ExportChunk chunk;
    chunk.set_revision(2);
    chunk.set_last(true);
    ToProto(kMorning, chunk.mutable_policy_time());
    for (const StampedEvent& event : events) ToProto(event, chunk.add_events());
    return chunk;
  };
  const auto refused = [&](const std::vector<v1::ExportChunk>& chunks) {
    const absl::Status status = node->Import(chunks);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(node->store->revision(), 0);
    EXPECT_EQ(node->index->Read()->accounts(), 0u);
    return std::string(status.message());
  };
  const auto changed = [&](const Change& change) {
    StampedEvent event = good;
    event.event.change = change;
    return refused({chunk_of({event})});
  };
  EXPECT_THAT(changed(Change()), HasSubstr("event 1"));
  EXPECT_THAT(changed(OrderDeletion{}), HasSubstr("order_deletion"));
  EXPECT_THAT(changed(PlaceHold{"h1", {}}), HasSubstr("subject"));
  EXPECT_THAT(changed(SetParameter{Level::kContract, "", "no.such", "1", {}, {}}), HasSubstr("no.such"));
  StampedEvent late = good;
  late.revision = 3;
  EXPECT_THAT(refused({chunk_of({late})}), HasSubstr("want 1 to 2"));
  StampedEvent undated = good;
  undated.event.effective_at.reset();
  EXPECT_THAT(refused({chunk_of({undated})}), HasSubstr("effective_at"));
  StampedEvent other = good;
  other.event.change = OpenAccount{"u2"};
  EXPECT_THAT(refused({chunk_of({good, other, good})}), HasSubstr("together"));
  v1::ExportChunk announced = chunk_of({good});
  announced.add_announcements()->set_revision(9);
  EXPECT_THAT(refused({announced}), HasSubstr("announcement"));

  EXPECT_THAT(refused({}), HasSubstr("at least one chunk"));
  v1::ExportChunk first = chunk_of({good});
  first.set_last(false);
  EXPECT_THAT(refused({first}), HasSubstr("cut short"));
  EXPECT_THAT(refused({chunk_of({good}), chunk_of({other})}), HasSubstr("nothing behind the last chunk"));
  v1::ExportChunk of_another = chunk_of({other});
  of_another.set_revision(3);
  EXPECT_THAT(refused({first, of_another}), HasSubstr("want 2 as in the chunks before, got 3"));
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
    const v1::ExportChunk whole = node->ExportedChunk();
    EXPECT_EQ(whole.events_size(), whole.revision());
    EXPECT_EQ(whole.revision() % 2, 0);
  }
  writer.join();
}

// A policy of `flags` flags, each with a note of 200 bytes.
std::unique_ptr<Node> WithFlags(const std::string& folder, int flags) {
  auto node = Node::Open(In(folder));
  int made = 0;
  const auto imported = node->writer->Import([&](v1::ExportChunk* chunk) {
    if (made == flags) return false;
    chunk->set_revision(flags);
    for (int i = 0; i < 1000; ++i) {
      StampedEvent stamped;
      stamped.event = Flag(absl::StrFormat("f%08d", made), Severity::kBlock);
      stamped.event.note = std::string(200, 'n');
      stamped.event.effective_at = stamped.arrived_at = kMorning;
      stamped.revision = ++made;
      ToProto(stamped, chunk->add_events());
    }
    ToProto(kMorning, chunk->mutable_policy_time());
    chunk->set_last(made == flags);
    return true;
  });
  EXPECT_TRUE(imported.ok()) << imported.status();
  return node;
}

TEST(PolicySnapshotTest, AnExportHoldsAChunkInMemoryWhileEventsGoOn) {
  const std::string folder = FreshFolder();
  constexpr size_t kChunk = 1'000'000;
  const auto growth_of = [&](int flags) {
    std::filesystem::remove_all(folder);
    auto node = WithFlags(folder, flags);
    auto snapshot = node->store->Snapshot();
    const auto used = [] {
      const struct mallinfo2 info = mallinfo2();
      return static_cast<int64_t>(info.uordblks + info.hblkhd);
    };
    const int64_t at_start = used();
    int64_t most = 0;
    size_t bytes = 0;
    int events = 0;
    EXPECT_TRUE(SendExport(**snapshot, kChunk, [&](const v1::ExportChunk& chunk) {
                  most = std::max(most, used() - at_start);
                  bytes += chunk.ByteSizeLong();
                  events += chunk.events_size();
                  // One into each end of the order: neither seen by the export, nor held up by it.
                  for (const char* id : {"a", "z"}) {
                    EXPECT_EQ(node->Apply(Flag(absl::StrCat(id, bytes))).outcome, Outcome::kApplied);
                  }
                  return true;
                }).ok());
    EXPECT_EQ(events, flags);
    return most;
  };
  const int64_t of_some = growth_of(10'000);
  const int64_t of_many = growth_of(60'000);
  EXPECT_LE(of_many, of_some + static_cast<int64_t>(kChunk)) << "does not grow with the policy";
  EXPECT_LE(of_many, 24 * static_cast<int64_t>(kChunk));
}

}  // namespace
}  // namespace sluice
