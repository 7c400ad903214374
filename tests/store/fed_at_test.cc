// What the age of the policy counts from: what came from outside and was applied, and that alone.
#include <lmdb.h>

#include <algorithm>

#include "enforcement/abuse_guard.h"
#include "store/backup.h"
#include "tests/store/helpers.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

PolicyEvent OwnSandbox() {
  Restrict restriction;
  restriction.restriction_id = "auto-1";
  restriction.subject.client_ip = "192.0.2.7";
  restriction.kind = RestrictionKind::kSandbox;
  restriction.clause = "3.1.3.6";
  restriction.requests_per_second = 5;
  restriction.automatic = true;
  PolicyEvent event = Event(std::move(restriction), Role::kSecurity);
  event.source = std::string(AbuseGuard::kSource);
  return event;
}

// Makes a store what a version that did not keep the time left.
void ForgetFedAt(const std::string& folder) {
  MDB_env* environment;
  MDB_txn* transaction;
  MDB_dbi meta;
  ASSERT_EQ(mdb_env_create(&environment), 0);
  ASSERT_EQ(mdb_env_set_maxdbs(environment, 16), 0);
  ASSERT_EQ(mdb_env_set_mapsize(environment, size_t{64} << 20), 0);
  ASSERT_EQ(mdb_env_open(environment, folder.c_str(), 0, 0600), 0);
  ASSERT_EQ(mdb_txn_begin(environment, nullptr, 0, &transaction), 0);
  ASSERT_EQ(mdb_dbi_open(transaction, "meta", 0, &meta), 0);
  MDB_val key = {6, const_cast<char*>("fed_at")};
  ASSERT_EQ(mdb_del(transaction, meta, &key, nullptr), 0);
  ASSERT_EQ(mdb_txn_commit(transaction), 0);
  mdb_env_close(environment);
}

TEST(FedAtTest, AnAppliedEventFromOutsideMovesIt) {
  auto node = Node::Open(In(FreshFolder()));
  EXPECT_EQ(node->store->fed_at(), absl::UnixEpoch());
  FreezeU1(node.get());
  EXPECT_EQ(node->store->fed_at(), kMorning);
  // Also one that changes nothing: its source lives.
  EXPECT_EQ(node->Apply(Event(RegistrySync{"icp"}, Role::kCompliance), kMorning + absl::Hours(1)).outcome,
            Outcome::kApplied);
  EXPECT_EQ(node->store->fed_at(), kMorning + absl::Hours(1));
}

TEST(FedAtTest, WhatIsRejectedFallsDueByTimeOrIsTheNodesOwnDoesNotMoveIt) {
  const std::string folder = FreshFolder();
  absl::Time now = kMorning;
  {
    auto node = Node::Open(In(folder));
    FreezeU1(node.get());
    now += absl::Hours(1);
    EXPECT_EQ(node->Apply(Event(ClearFlag{"nowhere"}, Role::kModeration), now).outcome, Outcome::kRejected);
    EXPECT_EQ(node->store->policy_time(), now);
    EXPECT_EQ(node->store->fed_at(), kMorning);

    now += absl::Hours(1);
    const EventResult sandbox = node->Apply(OwnSandbox(), now);
    EXPECT_EQ(sandbox.outcome, Outcome::kApplied) << sandbox.error;
    EXPECT_EQ(node->store->policy_time(), now);
    EXPECT_EQ(node->store->fed_at(), kMorning);

    now = kReclaimable;
    ASSERT_TRUE(node->writer->Tick(At(now)).ok());
    EXPECT_THAT(node->Announced(),
                ElementsAre(HasSubstr("EVENT_REJECTED"), HasSubstr("AUTO_SANDBOXED"), "RECLAIMABLE account u1"));
    EXPECT_EQ(node->store->policy_time(), now);
    EXPECT_EQ(node->store->fed_at(), kMorning);
  }
  auto node = Node::Open(In(folder));
  EXPECT_EQ(node->store->policy_time(), now);
  EXPECT_EQ(node->store->fed_at(), kMorning) << "after a restart";
  // One of a call is enough.
  now += absl::Hours(1);
  ASSERT_TRUE(
      node->writer
          ->Apply({Event(ClearFlag{"nowhere"}, Role::kModeration), Event(OpenAccount{"u2"}), OwnSandbox()}, At(now))
          .ok());
  EXPECT_EQ(node->store->fed_at(), now);
}

TEST(FedAtTest, AStoreThatWasNeverFedStaysSoOverARestart) {
  const std::string folder = FreshFolder();
  Node::Open(In(folder))->Apply(Event(ClearFlag{"nowhere"}, Role::kModeration));
  auto node = Node::Open(In(folder));
  EXPECT_EQ(node->store->policy_time(), kMorning);
  EXPECT_EQ(node->store->fed_at(), absl::UnixEpoch());
}

TEST(FedAtTest, AStoreOfAnOlderVersionCountsFromItsPolicyTimeAndNoLaterThingMovesThat) {
  const std::string folder = FreshFolder();
  FreezeU1(Node::Open(In(folder)).get());
  ForgetFedAt(folder);
  {
    auto node = Node::Open(In(folder));
    EXPECT_EQ(node->store->fed_at(), kMorning);
    node->Apply(Event(ClearFlag{"nowhere"}, Role::kModeration), kMorning + absl::Hours(1));
    EXPECT_EQ(node->store->fed_at(), kMorning);
  }
  EXPECT_EQ(Node::Open(In(folder))->store->fed_at(), kMorning);
}

// A copy is as old as what it was made from, however it is brought back: else a policy of last week were fresh.
TEST(FedAtTest, AnExportAndABackupCarryIt) {
  const std::string folder = FreshFolder();
  v1::ExportChunk exported;
  {
    auto node = Node::Open(In(folder));
    FreezeU1(node.get());
    node->Apply(Event(ClearFlag{"nowhere"}, Role::kModeration), kMorning + absl::Hours(1));
    exported = node->ExportedChunk();
  }
  for (const char* name : {"-import", "-older", "-backup", "-restored"}) {
    std::filesystem::remove_all(absl::StrCat(folder, name));
  }
  ASSERT_TRUE(BackUpStore(folder, absl::StrCat(folder, "-backup")).ok());
  ASSERT_TRUE(RestoreStore(absl::StrCat(folder, "-backup"), absl::StrCat(folder, "-restored"), false).ok());
  EXPECT_EQ(Node::Open(In(absl::StrCat(folder, "-restored")))->store->fed_at(), kMorning);
  {
    auto imported = Node::Open(In(absl::StrCat(folder, "-import")));
    v1::ExportChunk later = exported;
    later.mutable_fed_at()->set_seconds(exported.policy_time().seconds() + 1);
    EXPECT_THAT(std::string(imported->Import({later}).message()), HasSubstr("fed_at: want a time no later"));
    ASSERT_TRUE(imported->Import({exported}).ok());
    EXPECT_EQ(imported->store->fed_at(), kMorning);
  }
  EXPECT_EQ(Node::Open(In(absl::StrCat(folder, "-import")))->store->fed_at(), kMorning);
  // Of an older version, which says nothing of it.
  exported.clear_fed_at();
  auto imported = Node::Open(In(absl::StrCat(folder, "-older")));
  ASSERT_TRUE(imported->Import({exported}).ok());
  EXPECT_EQ(imported->store->fed_at(), kMorning + absl::Hours(1));
}

}  // namespace
}  // namespace sluice
