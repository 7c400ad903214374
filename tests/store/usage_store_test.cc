#include "store/usage_store.h"

#include <lmdb.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "enforcement/calendar.h"
#include "enforcement/limiter.h"
#include "enforcement/names.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "store/lmdb_table.h"
#include "store/usage_record.h"
#include "tests/store/helpers.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

Hash128 Key(const std::string& name) { return SubjectHash(SubjectKind::kAccount, name); }

class UsageStoreTest : public testing::Test {
 protected:
  UsageStoreTest() : folder_(FreshFolder()) {
    fs::create_directories(folder_);
    Start();
  }
  ~UsageStoreTest() override {
    store_.reset();
    fs::remove_all(folder_);
  }

  // A process ends as it may, and another begins.
  void Start() {
    store_.reset();
    limiter_ = std::make_unique<Limiter>(Limiter::Options{.cells = 64});
    auto store =
        UsageStore::Open({.path = path(), .map_bytes = size_t{16} << 20, .reports_max = 100}, limiter_.get(), now_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  bool Report(const std::string& id, int64_t stored, int64_t traffic = 0, std::vector<LeaseKey> ended = {}) {
    LedgerRecord record;
    if (!id.empty()) record.report = SubjectHash(SubjectKind::kNone, "report", id);
    record.changes.push_back({AmountChange::What::kHeld, false, true, Key("u1"), {}, stored, 0});
    if (traffic > 0) {
      record.changes.push_back({AmountChange::What::kTraffic, false, true, Key("u1"), DayOf(now_.wall), traffic, 0});
    }
    record.ended = std::move(ended);
    const auto counted = limiter_->ledger().Record(record);
    EXPECT_TRUE(counted.ok()) << counted.status();
    return counted.ok() && *counted;
  }
  void Flush() {
    const absl::Status status = store_->Flush(now_);
    EXPECT_TRUE(status.ok()) << status;
  }
  std::string TakeLease() {
    std::string id;
    size_t refused = 0;
    EXPECT_TRUE(limiter_->leases().Take({{Key("u1"), 1000}}, absl::Seconds(300), now_.mono, &id, &refused));
    return id;
  }
  int64_t Held() { return limiter_->ledger().Held(Key("u1")); }
  int64_t Traffic() { return limiter_->ledger().Traffic(Key("u1"), DayOf(now_.wall)); }
  void Advance(absl::Duration by) {
    now_.wall += by;
    now_.mono.ns += absl::ToInt64Nanoseconds(by);
  }
  std::string path() const { return folder_ + "/usage"; }
  std::vector<std::string> Journals() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(path())) {
      if (entry.path().filename().string().rfind("journal-", 0) == 0) found.push_back(entry.path());
    }
    return found;
  }

  const std::string folder_;
  Moment now_{absl::FromUnixSeconds(1'772'330'400), MonotonicTime{3'600'000'000'000}};
  std::unique_ptr<Limiter> limiter_;
  std::unique_ptr<UsageStore> store_;
};

TEST_F(UsageStoreTest, WhatWasAcknowledgedOutlivesTheProcessWithoutAFlush) {
  EXPECT_TRUE(Report("r1", 100, 7));
  EXPECT_TRUE(Report("r2", 50, 7));
  EXPECT_TRUE(Report("", 1));
  Start();
  EXPECT_EQ(Held(), 151);
  EXPECT_EQ(Traffic(), 14);
  EXPECT_FALSE(Report("r1", 100, 7));
  EXPECT_EQ(Held(), 151);
}

TEST_F(UsageStoreTest, CountsOnceWhateverWasFlushedWhen) {
  EXPECT_TRUE(Report("r1", 100));
  Flush();
  EXPECT_TRUE(Report("r2", 10));
  Start();
  EXPECT_EQ(Held(), 110);
  EXPECT_TRUE(Report("r3", 1));
  Start();  // two journals, neither flushed
  EXPECT_EQ(Held(), 111);
  Flush();
  Start();
  EXPECT_EQ(Held(), 111);
  for (const char* id : {"r1", "r2", "r3"}) EXPECT_FALSE(Report(id, 5)) << id;
  EXPECT_EQ(Held(), 111);
}

TEST_F(UsageStoreTest, DropsJournalsThatAreInTheTablesAndKeepsTheMostRecentIds) {
  for (int i = 0; i < 250; ++i) {
    EXPECT_TRUE(Report(absl::StrCat("r", i), 1));
    if (i % 20 == 0) Flush();
  }
  Flush();
  EXPECT_EQ(Journals().size(), 1u);
  Flush();  // nothing changed
  EXPECT_EQ(Journals().size(), 1u);
  Start();
  EXPECT_EQ(Held(), 250);
  EXPECT_FALSE(Report("r249", 1));
  EXPECT_FALSE(Report("r150", 1));
  EXPECT_TRUE(Report("r149", 1));
}

TEST_F(UsageStoreTest, ARecordCutShortWasNeverAcknowledged) {
  EXPECT_TRUE(Report("r1", 100));
  EXPECT_TRUE(Report("r2", 20));
  store_.reset();
  const std::string journal = Journals().front();
  fs::resize_file(journal, fs::file_size(journal) - 1);
  Start();
  EXPECT_EQ(Held(), 100);
  EXPECT_TRUE(Report("r2", 20));
  Start();
  EXPECT_EQ(Held(), 120);
}

TEST_F(UsageStoreTest, LeasesRunOnOverARestartAndEndWithTheirReport) {
  const std::string a = TakeLease();
  const std::string b = TakeLease();
  Flush();
  Advance(absl::Seconds(100));
  Start();
  EXPECT_EQ(limiter_->leases().Held(Key("u1"), now_.mono), 2);
  const LeaseKey ended = ParseLease(a).value();
  EXPECT_TRUE(Report("end", 0, 0, {ended}));
  limiter_->leases().End(ended, now_.mono);
  Start();  // the end was in the journal alone
  EXPECT_EQ(limiter_->leases().Held(Key("u1"), now_.mono), 1);
  EXPECT_TRUE(limiter_->leases().Holds(b, now_.mono));
  Advance(absl::Seconds(201));
  EXPECT_EQ(limiter_->leases().Held(Key("u1"), now_.mono), 0);
  Flush();
  Start();
  EXPECT_EQ(limiter_->leases().size(), 0);
}

TEST_F(UsageStoreTest, TrafficOfPastDaysIsForgotten) {
  EXPECT_TRUE(Report("r1", 0, 500));
  Flush();
  Advance(absl::Hours(24));
  Flush();
  Start();
  EXPECT_EQ(limiter_->ledger().Traffic(Key("u1"), DayOf(now_.wall) - 1), 500);
  Advance(absl::Hours(48));
  Flush();
  Start();
  EXPECT_EQ(limiter_->ledger().size(), 1u);  // what is stored
}

TEST_F(UsageStoreTest, RefusesATableThatItDidNotWrite) {
  store_.reset();
  std::ofstream(path() + "/data.mdb", std::ios::trunc) << std::string(100'000, 'x');
  Limiter limiter({.cells = 64});
  const auto store = UsageStore::Open({.path = path()}, &limiter, now_);
  EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss) << store.status();
}

TEST_F(UsageStoreTest, TakesOverTheSecretOfWhatIsThereOrSaysWhatToDo) {
  store_.reset();
  EXPECT_TRUE(UsageStore::AdoptKeptSecret(folder_ + "/none").ok());
  // Of this process, so nothing changes.
  EXPECT_TRUE(UsageStore::AdoptKeptSecret(path()).ok());
  MDB_env* environment;
  ASSERT_EQ(mdb_env_create(&environment), 0);
  ASSERT_EQ(mdb_env_set_maxdbs(environment, 8), 0);
  ASSERT_EQ(mdb_env_open(environment, path().c_str(), MDB_NOTLS, 0600), 0);
  MDB_txn* transaction;
  ASSERT_EQ(mdb_txn_begin(environment, nullptr, 0, &transaction), 0);
  MDB_dbi meta;
  ASSERT_EQ(mdb_dbi_open(transaction, "meta", 0, &meta), 0);
  std::string foreign = HashSecret();
  foreign[0] = static_cast<char>(foreign[0] ^ 1);
  ASSERT_EQ(LmdbTable(transaction, meta).Put("secret", foreign), 0);
  ASSERT_EQ(mdb_txn_commit(transaction), 0);
  mdb_env_close(environment);

  const absl::Status status = UsageStore::AdoptKeptSecret(path());
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("move that folder away"));
  EXPECT_EQ(UsageStore::Open({.path = path(), .map_bytes = size_t{16} << 20}, limiter_.get(), now_).status(), status);
}

TEST_F(UsageStoreTest, ThreadsThatReportWhileItFlushesAreCountedOnceEach) {
  constexpr int kThreads = 3, kReports = 300;
  std::atomic<int> running{kThreads};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kReports; ++i) {
        EXPECT_TRUE(Report(absl::StrCat(thread, "-", i), 1));
        TakeLease();
      }
      running.fetch_sub(1);
    });
  }
  while (running.load() > 0) {
    Flush();
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Held(), kThreads * kReports);
  Start();
  EXPECT_EQ(Held(), kThreads * kReports);
}

TEST_F(UsageStoreTest, AFailedFlushLosesNothing) {
  EXPECT_TRUE(Report("r1", 100));
  // No new journal can be made: its name is taken by a folder.
  const std::string taken = absl::StrCat(path(), "/journal-", "00000000000000000002");
  ASSERT_EQ(mkdir(taken.c_str(), 0700), 0);
  EXPECT_FALSE(store_->Flush(now_).ok());
  EXPECT_TRUE(Report("r2", 1));
  ASSERT_TRUE(fs::remove(taken));
  EXPECT_TRUE(store_->Flush(now_).ok());  // too soon to try again
  Advance(absl::Seconds(11));
  Flush();
  EXPECT_EQ(Journals().size(), 1u);
  Start();
  EXPECT_EQ(Held(), 101);
}

TEST(UsageRecord, ReadsBackWhatItWroteAndStopsAtDamage) {
  LedgerRecord record;
  record.report = Key("report");
  record.changes.push_back({AmountChange::What::kTraffic, true, true, Key("a"), absl::CivilDay(2026, 3, 1), -5, 9});
  record.changes.push_back({AmountChange::What::kHeld, false, false, Key("b"), absl::CivilDay(1970, 1, 1), 7, 0});
  record.changes.back().fresh = true;
  record.ended.push_back({1, 2});
  const std::string bytes = EncodeRecord(record) + EncodeRecord({});
  absl::string_view rest = bytes;
  const auto read = NextRecord(&rest);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(EncodeRecord(*read), EncodeRecord(record));
  EXPECT_EQ(read->changes[0].day, absl::CivilDay(2026, 3, 1));
  EXPECT_FALSE(read->changes[0].fresh);
  EXPECT_TRUE(read->changes[1].fresh);
  ASSERT_TRUE(NextRecord(&rest).has_value());
  EXPECT_FALSE(NextRecord(&rest).has_value());
  EXPECT_TRUE(rest.empty());
  for (size_t i = 0; i < EncodeRecord(record).size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    absl::string_view view = damaged;
    EXPECT_FALSE(NextRecord(&view).has_value()) << i;
    view = absl::string_view(bytes).substr(0, i);
    EXPECT_FALSE(NextRecord(&view).has_value()) << i;
  }
}

}  // namespace
}  // namespace sluice
