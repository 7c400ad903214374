#include "store/store.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include "absl/strings/match.h"
#include "enforcement/names.h"
#include "tests/store/helpers.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

// An entity whose only event carries `text`.
Entity Limit(std::string id, int64_t revision, std::string text = "") {
  StampedEvent stamped;
  stamped.event = Event(ClearLimit{id});
  stamped.event.effective_at = kMorning;
  stamped.event.note = std::move(text);
  stamped.revision = revision;
  stamped.arrived_at = kMorning;
  return {{EntityKind::kLimit, std::move(id)}, {stamped}};
}

absl::Status CommitOne(Store* store, const Entity& entity) {
  auto transaction = store->Begin();
  if (!transaction.ok()) return transaction.status();
  absl::Status status = (*transaction)->Put(entity);
  if (status.ok()) status = (*transaction)->SetRevision(entity.events.front().revision, kMorning, kMorning);
  const absl::Status committed = (*transaction)->Commit();
  EXPECT_TRUE(status.ok() || !committed.ok()) << "a transaction that had failed was committed";
  return committed;
}

std::vector<std::string> Ids(const StoreReader& store) {
  std::vector<std::string> ids;
  EXPECT_TRUE(store
                  .ForEachEntity([&](const Entity& entity) {
                    ids.push_back(entity.key.id);
                    return true;
                  })
                  .ok());
  return ids;
}

std::unique_ptr<Store> MustOpen(const Store::Options& options) {
  auto store = Store::Open(options);
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

TEST(StoreTest, WhatIsCommittedIsThereAfterReopening) {
  const Store::Options options = In(FreshFolder());
  {
    auto store = MustOpen(options);
    EXPECT_EQ(store->revision(), 0);
    EXPECT_EQ(store->policy_time(), absl::UnixEpoch());
    ASSERT_TRUE(CommitOne(store.get(), Limit("l1", 7, "kept")).ok());
  }
  auto store = MustOpen(options);
  EXPECT_EQ(store->revision(), 7);
  EXPECT_EQ(store->policy_time(), kMorning);
  auto entity = store->GetEntity({EntityKind::kLimit, "l1"});
  ASSERT_TRUE(entity.ok() && entity->has_value());
  EXPECT_EQ((*entity)->events.at(0).event.note, "kept");
  EXPECT_EQ((*entity)->events.at(0).arrived_at, kMorning);
  EXPECT_FALSE((*store->GetEntity({EntityKind::kFlag, "l1"})).has_value());
}

TEST(StoreTest, ATransactionThatIsDroppedLeavesNothing) {
  auto store = MustOpen(In(FreshFolder()));
  {
    auto transaction = store->Begin();
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE((*transaction)->Put(Limit("l1", 1)).ok());
    EXPECT_TRUE((*transaction)->Get({EntityKind::kLimit, "l1"}).has_value()) << "it sees its own changes";
    EXPECT_EQ(store->Begin().status().code(), absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_TRUE(Ids(*store).empty());
  EXPECT_TRUE(CommitOne(store.get(), Limit("l2", 1)).ok());
}

TEST(StoreTest, SeenIdsAndSequencesAreKeptBySource) {
  const Store::Options options = In(FreshFolder());
  const std::string long_id(4000, 'x');
  {
    auto store = MustOpen(options);
    auto transaction = store->Begin();
    // Pairs that would run into each other if they were only joined.
    ASSERT_TRUE((*transaction)->MarkSeen({"a", "bc", 1}).ok());
    ASSERT_TRUE((*transaction)->MarkSeen({"a", long_id, 2}).ok());
    ASSERT_TRUE((*transaction)->SetSequence({"u1", "a", 5}).ok());
    ASSERT_TRUE((*transaction)->Commit().ok());
  }
  auto store = MustOpen(options);
  auto transaction = store->Begin();
  EXPECT_TRUE((*transaction)->Seen("a", "bc"));
  EXPECT_TRUE((*transaction)->Seen("a", long_id));
  EXPECT_FALSE((*transaction)->Seen("ab", "c"));
  EXPECT_FALSE((*transaction)->Seen("a", long_id + "x"));
  EXPECT_EQ((*transaction)->LastSequence("u1", "a"), 5);
  EXPECT_EQ((*transaction)->LastSequence("u", "1a"), 0);
  std::vector<std::string> seen;
  ASSERT_TRUE(store
                  ->ForEachSeen([&](const Store::SeenEvent& each) {
                    seen.push_back(absl::StrCat(each.source, "/", each.event_id.substr(0, 3), "/", each.revision));
                    return true;
                  })
                  .ok());
  EXPECT_THAT(seen, testing::UnorderedElementsAre("a/bc/1", "a/xxx/2"));
}

TEST(StoreTest, IdsOfAnyLengthAreKeptApartAndListedOnceInPages) {
  auto store = MustOpen(In(FreshFolder()));
  std::vector<std::string> wanted;
  for (const size_t size : {0, 1, 255, 256, 509, 510, 511, 512, 600, 4400}) {
    for (const char* end : {"", "a", "b"}) wanted.push_back(std::string(size, 'p') + end);
  }
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  int64_t revision = 0;
  for (const std::string& id : wanted) ASSERT_TRUE(CommitOne(store.get(), Limit(id, ++revision, id)).ok());
  Entity other = Limit("p", ++revision);
  other.key.kind = EntityKind::kParameter;  // the next kind but one is not listed among limits
  ASSERT_TRUE(CommitOne(store.get(), other).ok());

  for (const std::string& id : wanted) {
    auto entity = store->GetEntity({EntityKind::kLimit, id});
    ASSERT_TRUE(entity.ok() && entity->has_value()) << id.size();
    EXPECT_EQ((*entity)->events.at(0).event.note, id);
  }
  std::vector<std::string> paged;
  std::string after;
  for (bool more = true; more;) {
    more = false;
    int left = 3;
    const std::string from = after;
    ASSERT_TRUE(store
                    ->ForEachEntityOf(EntityKind::kLimit, from,
                                      [&](const Entity& entity) {
                                        paged.push_back(entity.key.id);
                                        after = entity.key.id;
                                        more = --left == 0;
                                        return left > 0;
                                      })
                    .ok());
  }
  std::vector<std::string> all = Ids(*store);
  all.pop_back();  // the parameter
  EXPECT_EQ(paged, all);
  std::sort(paged.begin(), paged.end());
  EXPECT_EQ(paged, wanted);

  // Removing one leaves its neighbours.
  const std::string removed = wanted.back();
  auto transaction = store->Begin();
  ASSERT_TRUE((*transaction)->Put({{EntityKind::kLimit, removed}, {}}).ok());
  ASSERT_TRUE((*transaction)->Put({{EntityKind::kLimit, "never there"}, {}}).ok());
  ASSERT_TRUE((*transaction)->Commit().ok());
  EXPECT_FALSE((*store->GetEntity({EntityKind::kLimit, removed})).has_value());
  EXPECT_EQ(Ids(*store).size(), wanted.size());
  // A page token whose entity went meanwhile still works.
  std::vector<std::string> rest;
  ASSERT_TRUE(store
                  ->ForEachEntityOf(EntityKind::kLimit, wanted[1] + "\1",
                                    [&](const Entity& entity) {
                                      rest.push_back(entity.key.id);
                                      return true;
                                    })
                  .ok());
  EXPECT_EQ(rest.size(), wanted.size() - 3);
}

TEST(StoreTest, ASnapshotDoesNotMove) {
  auto store = MustOpen(In(FreshFolder()));
  ASSERT_TRUE(CommitOne(store.get(), Limit("l1", 1)).ok());
  auto snapshot = store->Snapshot();
  ASSERT_TRUE(snapshot.ok());
  ASSERT_TRUE(CommitOne(store.get(), Limit("l2", 2)).ok());
  EXPECT_EQ((*snapshot)->revision(), 1);
  EXPECT_THAT(Ids(**snapshot), testing::ElementsAre("l1"));
  EXPECT_THAT(Ids(*store), testing::ElementsAre("l1", "l2"));
}

TEST(StoreTest, AnnouncementsOfOneRevisionKeepTheirOrder) {
  auto store = MustOpen(In(FreshFolder()));
  const auto announce = [&](int64_t revision, std::string detail) {
    auto transaction = store->Begin();
    Announcement announcement;
    announcement.revision = revision;
    announcement.at = kMorning;
    announcement.detail = std::move(detail);
    ASSERT_TRUE((*transaction)->AppendAnnouncement(announcement).ok());
    announcement.detail += "'";
    ASSERT_TRUE((*transaction)->AppendAnnouncement(announcement).ok());
    ASSERT_TRUE((*transaction)->Commit().ok());
  };
  announce(1, "a");
  announce(3, "b");
  announce(3, "c");
  std::vector<std::string> details;
  ASSERT_TRUE(store
                  ->ForEachAnnouncement(2,
                                        [&](const Announcement& announcement) {
                                          details.push_back(announcement.detail);
                                          return true;
                                        })
                  .ok());
  EXPECT_THAT(details, testing::ElementsAre("b", "b'", "c", "c'"));
}

TEST(StoreTest, ASecondHolderIsRefusedWithTheFirstOnesProcess) {
  const Store::Options options = In(FreshFolder());
  auto store = MustOpen(options);
  const absl::Status status = Store::Open(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr(options.path));
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("process ", getpid())));
  store.reset();
  EXPECT_TRUE(Store::Open(options).ok());
}

TEST(StoreTest, ANewerFormatIsRefusedAndLeftAlone) {
  const Store::Options options = In(FreshFolder());
  MustOpen(options);
  MDB_env* environment;
  ASSERT_EQ(mdb_env_create(&environment), 0);
  ASSERT_EQ(mdb_env_set_maxdbs(environment, 16), 0);
  ASSERT_EQ(mdb_env_open(environment, options.path.c_str(), 0, 0600), 0);
  MDB_txn* transaction;
  MDB_dbi meta;
  ASSERT_EQ(mdb_txn_begin(environment, nullptr, 0, &transaction), 0);
  ASSERT_EQ(mdb_dbi_open(transaction, "meta", 0, &meta), 0);
  char name[] = "format", number[] = {0, 0, 0, 0, 0, 0, 0, 3};
  MDB_val key{6, name}, value{8, number};
  ASSERT_EQ(mdb_put(transaction, meta, &key, &value, 0), 0);
  ASSERT_EQ(mdb_txn_commit(transaction), 0);
  mdb_env_close(environment);

  const absl::Status status = Store::Open(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("newer version (format 3, this program knows 2)"));
  EXPECT_EQ(Store::Open(options).status(), status) << "the refusal holds no lock";
}

TEST(StoreTest, WhatIsNoStoreIsDataLoss) {
  const std::string folder = FreshFolder();
  std::filesystem::create_directories(folder);
  std::ofstream(absl::StrCat(folder, "/data.mdb")) << std::string(100000, 'x');
  EXPECT_EQ(Store::Open(In(folder)).status().code(), absl::StatusCode::kDataLoss);

  // Somebody else's LMDB.
  const std::string other = absl::StrCat(folder, "/other");
  std::filesystem::create_directories(other);
  MDB_env* environment;
  MDB_txn* transaction;
  MDB_dbi table;
  ASSERT_EQ(mdb_env_create(&environment), 0);
  ASSERT_EQ(mdb_env_set_maxdbs(environment, 16), 0);
  ASSERT_EQ(mdb_env_open(environment, other.c_str(), 0, 0600), 0);
  ASSERT_EQ(mdb_txn_begin(environment, nullptr, 0, &transaction), 0);
  ASSERT_EQ(mdb_dbi_open(transaction, "theirs", MDB_CREATE, &table), 0);
  ASSERT_EQ(mdb_txn_commit(transaction), 0);
  mdb_env_close(environment);
  const absl::Status status = Store::Open(In(other)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no store of this program"));
}

TEST(StoreTest, AFileCutShortIsDataLoss) {
  const Store::Options options = In(FreshFolder());
  {
    auto store = MustOpen(options);
    for (int i = 1; i <= 50; ++i) {
      ASSERT_TRUE(CommitOne(store.get(), Limit(absl::StrCat(i), i, std::string(20000, 'x'))).ok());
    }
  }
  const std::string file = absl::StrCat(options.path, "/data.mdb");
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  const absl::Status status = Store::Open(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("cut short"));
}

TEST(StoreTest, ARecordThatCannotBeReadIsDataLossAndNamed) {
  const Store::Options options = In(FreshFolder());
  auto store = MustOpen(options);
  ASSERT_TRUE(CommitOne(store.get(), Limit("good", 1)).ok());
  Entity bad = Limit("spoilt", 2);
  bad.events[0].event.note = "\xff";  // what a message cannot carry
  ASSERT_TRUE(CommitOne(store.get(), bad).ok());
  const absl::Status status = store->ForEachEntity([](const Entity&) { return true; });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("spoilt"));
  EXPECT_EQ(store->GetEntity({EntityKind::kLimit, "spoilt"}).status().code(), absl::StatusCode::kDataLoss);
  auto transaction = store->Begin();
  EXPECT_FALSE((*transaction)->Get({EntityKind::kLimit, "spoilt"}).has_value());
  EXPECT_EQ((*transaction)->Commit().code(), absl::StatusCode::kDataLoss) << "a failed read must not be committed on";
}

TEST(StoreTest, PathsThatCannotBeAreRefusedByName) {
  const std::string folder = FreshFolder();
  EXPECT_EQ(Store::Open(In("")).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Store::Open(In(folder, 4096)).status().code(), absl::StatusCode::kInvalidArgument);
  const absl::Status no_parent = Store::Open(In(absl::StrCat(folder, "/a/b"))).status();
  EXPECT_EQ(no_parent.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(no_parent.message()), HasSubstr(folder));
  std::ofstream(folder) << "a file";
  EXPECT_EQ(Store::Open(In(folder)).status().code(), absl::StatusCode::kInvalidArgument);
  std::filesystem::remove(folder);
  ASSERT_TRUE(Store::Open(In(folder)).ok());
  struct stat info;
  ASSERT_EQ(stat(folder.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  ASSERT_EQ(stat(absl::StrCat(folder, "/data.mdb").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(StoreTest, AFolderThatMayNotBeWrittenIsRefused) {
  const std::string folder = FreshFolder();
  ASSERT_TRUE(Store::Open(In(folder)).ok());
  InChild([&] {
    if (geteuid() == 0) {  // who may do everything
      ASSERT_EQ(chmod(folder.c_str(), 0700), 0);
      ASSERT_EQ(setuid(65534), 0);
    } else {
      ASSERT_EQ(chmod(folder.c_str(), 0500), 0);
      ASSERT_EQ(chmod(absl::StrCat(folder, "/lock.sluice").c_str(), 0400), 0);
    }
    const absl::Status status = Store::Open(In(folder)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(folder));
  });
  chmod(folder.c_str(), 0700);
}

// Commits until one fails; returns that error. Checks that all before it is there, and nothing of it.
absl::Status CommitUntilFull(Store* store, int64_t* revision) {
  for (int i = 0; i < 10000; ++i) {
    const int64_t next = *revision + 1;
    const absl::Status status = CommitOne(store, Limit(absl::StrCat("l", next), next, std::string(30000, 'x')));
    if (!status.ok()) {
      EXPECT_EQ(store->revision(), *revision);
      EXPECT_EQ(Ids(*store).size(), static_cast<size_t>(*revision));
      return status;
    }
    *revision = next;
  }
  return absl::OkStatus();
}

TEST(StoreTest, AFullMapSaysWhatToDoAndLosesNothing) {
  const std::string folder = FreshFolder();
  int64_t revision = 0;
  {
    auto store = MustOpen(In(folder, size_t{1} << 20));
    const absl::Status status = CommitUntilFull(store.get(), &revision);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("store ", folder, " is full: ")));
    EXPECT_THAT(std::string(status.message()), HasSubstr("of 1048576 bytes"));
    EXPECT_THAT(std::string(status.message()), HasSubstr("raise store.map_bytes (--store-map-bytes)"));
    EXPECT_GT(store->used_bytes(), size_t{1} << 19);
    EXPECT_EQ(store->map_bytes(), size_t{1} << 20);
  }
  EXPECT_GT(revision, 5);
  auto store = MustOpen(In(folder, size_t{4} << 20));
  EXPECT_EQ(store->revision(), revision);
  EXPECT_TRUE(CommitOne(store.get(), Limit("more", revision + 1, std::string(30000, 'x'))).ok());
  EXPECT_EQ(Ids(*store).size(), static_cast<size_t>(revision) + 1);
}

TEST(StoreTest, AReaderThatWasKilledKeepsNoPages) {
  Store::Options options = In(FreshFolder());
  options.map_bytes = size_t{1} << 20;
  options.sync = false;
  auto store = MustOpen(options);
  ASSERT_TRUE(CommitOne(store.get(), Limit("l1", 1)).ok());
  // A `store check` that ends while it reads.
  const pid_t reader = fork();
  ASSERT_GE(reader, 0);
  if (reader == 0) {
    MDB_env* environment = nullptr;
    MDB_txn* transaction = nullptr;
    int error = mdb_env_create(&environment);
    if (error == 0) error = mdb_env_open(environment, options.path.c_str(), MDB_RDONLY | MDB_NOTLS, 0600);
    if (error == 0) error = mdb_txn_begin(environment, nullptr, MDB_RDONLY, &transaction);
    _exit(error == 0 ? 0 : 1);
  }
  int ended = 0;
  ASSERT_EQ(waitpid(reader, &ended, 0), reader);
  ASSERT_EQ(ended, 0);
  for (int64_t revision = 2; revision <= 1000; ++revision) {
    const absl::Status status = CommitOne(store.get(), Limit("l1", revision));
    ASSERT_TRUE(status.ok()) << revision << ": " << status;
  }
}

TEST(StoreTest, AFileThatMayNotGrowIsAClearErrorAndTheStoreGoesOn) {
  const std::string folder = FreshFolder();
  InChild([&] {
    signal(SIGXFSZ, SIG_IGN);
    int64_t revision = 0;
    {
      auto store = MustOpen(In(folder));
      struct rlimit limit;
      ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
      const rlim_t before = limit.rlim_cur;
      limit.rlim_cur = 500000;  // within a page, so that a write is taken in part
      ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
      for (int again = 0; again < 3; ++again) {
        const absl::Status status = CommitUntilFull(store.get(), &revision);
        EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
        EXPECT_THAT(std::string(status.message()), HasSubstr(folder));
      }
      EXPECT_GT(revision, 3);
      limit.rlim_cur = before;
      ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
      ++revision;
      EXPECT_TRUE(CommitOne(store.get(), Limit("after", revision, std::string(30000, 'x'))).ok());
    }
    auto store = MustOpen(In(folder));
    EXPECT_EQ(store->revision(), revision);
    EXPECT_EQ(Ids(*store).size(), static_cast<size_t>(revision));
  });
}

// On a file system that really is full. Needs the right to mount in a namespace of its own; where that is refused, the
// test above alone shows what becomes of a write that fails.
TEST(StoreTest, AFullDiskIsAClearErrorAndTheStoreGoesOn) {
  const std::string folder = FreshFolder();
  std::filesystem::create_directories(folder);
  const int exit_status = InChild([&] {
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) _exit(kNotPermitted);
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(kNotPermitted);
    if (mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=1m") != 0) _exit(kNotPermitted);
    const std::string ballast = absl::StrCat(folder, "/ballast");
    std::ofstream(ballast) << std::string(200000, 'x');
    int64_t revision = 0;
    const std::string path = absl::StrCat(folder, "/store");
    {
      auto store = MustOpen(In(path));
      const absl::Status status = CommitUntilFull(store.get(), &revision);
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("disk is full"));
      EXPECT_GT(revision, 3);
    }
    {
      auto store = MustOpen(In(path));  // opens on a full disk
      EXPECT_EQ(store->revision(), revision);
      std::filesystem::remove(ballast);
      ++revision;
      EXPECT_TRUE(CommitOne(store.get(), Limit("after", revision, std::string(30000, 'x'))).ok());
    }
    EXPECT_EQ(Ids(*MustOpen(In(path))).size(), static_cast<size_t>(revision));
    umount(folder.c_str());
  });
  if (exit_status == kNotPermitted) GTEST_SKIP() << "this user may not mount a small file system";
}

}  // namespace
}  // namespace sluice
