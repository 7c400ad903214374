#include "enforcement/ledger.h"

#include <map>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

const absl::CivilDay kDay(2026, 3, 1);

Hash128 Key(int n) { return SubjectHash(SubjectKind::kAccount, absl::StrCat(n)); }

AmountChange Traffic(int key, absl::CivilDay day, int64_t bytes) {
  return {AmountChange::What::kTraffic, false, true, Key(key), day, bytes, 0};
}
AmountChange Stored(int key, int64_t bytes) {
  return {AmountChange::What::kHeld, false, true, Key(key), kDay, bytes, 0};
}
AmountChange SetStored(int key, int64_t bytes, int64_t revision) {
  return {AmountChange::What::kHeld, true, true, Key(key), kDay, bytes, revision};
}
LedgerRecord Report(int report, std::vector<AmountChange> changes) {
  return {report == 0 ? Hash128() : Key(-report), std::move(changes), {}};
}

// Keeps records in memory, or fails.
class MemoryJournal final : public LedgerJournal {
 public:
  absl::Status Append(const LedgerRecord& record) override {
    if (fails) return absl::ResourceExhaustedError("the disk is full");
    records.push_back(record);
    return absl::OkStatus();
  }
  bool fails = false;
  std::vector<LedgerRecord> records;
};

TEST(Ledger, StartsTrafficAnewWithEachDayAndRemembersYesterday) {
  Ledger ledger({});
  ASSERT_TRUE(ledger.Record(Report(0, {Traffic(1, kDay, 5), Traffic(1, kDay, 6)})).value());
  EXPECT_EQ(ledger.Traffic(Key(1), kDay), 11);
  ASSERT_TRUE(ledger.Record(Report(0, {Traffic(1, kDay + 1, 1)})).value());
  EXPECT_EQ(ledger.Traffic(Key(1), kDay + 1), 1);
  EXPECT_EQ(ledger.Traffic(Key(1), kDay), 11);
  EXPECT_EQ(ledger.Traffic(Key(1), kDay + 2), 0);
  ledger.ForgetTrafficBefore(kDay + 2);
  EXPECT_EQ(ledger.Traffic(Key(1), kDay + 1), 1);
  ledger.ForgetTrafficBefore(kDay + 3);
  EXPECT_EQ(ledger.size(), 0u);
}

TEST(Ledger, CountsAReportOnceAndForgetsTheOldestIdOnly) {
  Ledger ledger({.reports_max = 3});
  for (int report = 1; report <= 3; ++report) EXPECT_TRUE(ledger.Record(Report(report, {Stored(1, 10)})).value());
  EXPECT_FALSE(ledger.Record(Report(1, {Stored(1, 10)})).value());
  EXPECT_EQ(ledger.Held(Key(1)), 30);
  EXPECT_TRUE(ledger.Record(Report(4, {Stored(1, 10)})).value());
  EXPECT_FALSE(ledger.Record(Report(2, {Stored(1, 10)})).value());
  EXPECT_TRUE(ledger.Record(Report(1, {Stored(1, 10)})).value());
  // Without an id nothing is repeated.
  EXPECT_TRUE(ledger.Record(Report(0, {Stored(1, 10)})).value());
  EXPECT_TRUE(ledger.Record(Report(0, {Stored(1, 10)})).value());
  EXPECT_EQ(ledger.Held(Key(1)), 70);
}

TEST(Ledger, CountsNothingThatItsJournalCouldNotTake) {
  Ledger ledger({});
  MemoryJournal journal;
  ledger.SetJournal(&journal);
  journal.fails = true;
  EXPECT_EQ(ledger.Record(Report(1, {Stored(1, 10)})).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ledger.Held(Key(1)), 0);
  journal.fails = false;
  EXPECT_TRUE(ledger.Record(Report(1, {Stored(1, 10)})).value());
  EXPECT_EQ(ledger.Held(Key(1)), 10);
  ledger.SetJournal(nullptr);
}

TEST(Ledger, NeverHoldsLessThanNothing) {
  Ledger ledger({});
  ASSERT_TRUE(ledger.Record(Report(0, {Stored(1, 10), Stored(1, -30), Stored(1, 4)})).value());
  EXPECT_EQ(ledger.Held(Key(1)), 4);
  ASSERT_TRUE(ledger.Record(Report(0, {Stored(1, std::numeric_limits<int64_t>::max()), Stored(1, 5)})).value());
  EXPECT_EQ(ledger.Held(Key(1)), std::numeric_limits<int64_t>::max());
}

TEST(Ledger, TakesAnAmountOverOnceAndCountsOnFromThere) {
  Ledger ledger({});
  ASSERT_TRUE(ledger.Record(Report(0, {Stored(1, 10)})).value());
  ASSERT_TRUE(ledger.Record(Report(0, {SetStored(1, 1000, 7)})).value());
  ASSERT_TRUE(ledger.Record(Report(0, {Stored(1, 5)})).value());
  // The same event again, as at every start.
  ASSERT_TRUE(ledger.Record(Report(0, {SetStored(1, 1000, 7)})).value());
  EXPECT_EQ(ledger.Held(Key(1)), 1005);
  ASSERT_TRUE(ledger.Record(Report(0, {SetStored(1, 20, 8)})).value());
  EXPECT_EQ(ledger.Held(Key(1)), 20);
}

// A policy that was restored, or begun anew, counts its revisions from below those that amounts were set at.
TEST(Ledger, TakesAnEventThatIsToldForTheFirstTimeWhateverItsRevision) {
  Ledger ledger({});
  const auto fresh = [](AmountChange change) {
    change.fresh = true;
    return change;
  };
  AmountChange traffic = Traffic(1, kDay, 800);
  traffic.set = true;
  traffic.revision = 8;
  ASSERT_TRUE(ledger.Record(Report(0, {fresh(SetStored(1, 1000, 8)), fresh(traffic)})).value());
  traffic.amount = 30;
  traffic.revision = 3;
  ASSERT_TRUE(ledger.Record(Report(0, {SetStored(1, 20, 3), traffic})).value());
  EXPECT_EQ(ledger.Held(Key(1)), 1000);
  EXPECT_EQ(ledger.Traffic(Key(1), kDay), 800);
  ASSERT_TRUE(ledger.Record(Report(0, {fresh(SetStored(1, 20, 3)), fresh(traffic)})).value());
  EXPECT_EQ(ledger.Held(Key(1)), 20);
  EXPECT_EQ(ledger.Traffic(Key(1), kDay), 30);
  // From there on it is the one that a start tells again.
  ASSERT_TRUE(ledger.Record(Report(0, {Stored(1, 5), Traffic(1, kDay, 5), SetStored(1, 20, 3), traffic})).value());
  EXPECT_EQ(ledger.Held(Key(1)), 25);
  EXPECT_EQ(ledger.Traffic(Key(1), kDay), 35);
}

TEST(Ledger, HasABoundForStrangersAndNoneForWhomThePolicyKnows) {
  Ledger ledger({.strangers_max = 100});
  for (int i = 0; i < 1000; ++i) {
    AmountChange change = Traffic(i, kDay, 1);
    change.known = false;
    ASSERT_TRUE(ledger.Record(Report(0, {change})).value());
  }
  EXPECT_EQ(ledger.size(), 100u);
  EXPECT_EQ(ledger.turned_away(), 900);
  for (int i = 2000; i < 3000; ++i) ASSERT_TRUE(ledger.Record(Report(0, {Traffic(i, kDay, 1)})).value());
  EXPECT_EQ(ledger.size(), 1100u);
  // A new day has room again.
  ledger.ForgetTrafficBefore(kDay + 2);
  EXPECT_EQ(ledger.size(), 0u);
  AmountChange change = Traffic(5, kDay + 2, 1);
  change.known = false;
  ASSERT_TRUE(ledger.Record(Report(0, {change})).value());
  EXPECT_EQ(ledger.turned_away(), 900);
}

// Whatever is cut where, batches and journal together rebuild the same amounts.
TEST(Ledger, IsRebuiltFromItsBatchesAndItsJournal) {
  std::mt19937_64 random(20261126);
  for (int round = 0; round < 30; ++round) {
    Ledger ledger({});
    MemoryJournal journal;
    ledger.SetJournal(&journal);
    Ledger::Batch kept;
    Ledger::Batch failed;
    std::map<int, int64_t> model;
    int64_t revision = 0;
    for (int step = 0; step < 300; ++step) {
      const int key = static_cast<int>(random() % 7);
      const auto amount = static_cast<int64_t>(random() % 1000) - 300;
      switch (random() % 6) {
        case 0:
          ASSERT_TRUE(ledger.Record(Report(0, {SetStored(key, std::abs(amount), ++revision)})).value());
          model[key] = std::abs(amount);
          break;
        case 1: {
          const size_t before = journal.records.size();
          Ledger::Batch batch = ledger.Cut([&] {
            journal.records.erase(journal.records.begin(),
                                  journal.records.begin() + static_cast<std::ptrdiff_t>(before));
          });
          for (const auto& [name, held] : batch.held) kept.held[name] = held;
          for (const auto& [name, traffic] : batch.traffic) kept.traffic[name] = traffic;
          kept.reports.insert(kept.reports.end(), batch.reports.begin(), batch.reports.end());
          break;
        }
        case 2:
          ledger.Uncut(ledger.Cut([] {}));  // could not be kept
          break;
        default:
          ASSERT_TRUE(ledger.Record(Report(1 + step, {Stored(key, amount)})).value());
          model[key] = std::max<int64_t>(model[key] + amount, 0);
          // A repeated one changes nothing.
          ASSERT_FALSE(ledger.Record(Report(1 + step, {Stored(key, amount)})).value());
          break;
      }
    }
    ledger.SetJournal(nullptr);
    Ledger again({});
    again.Restore(kept);
    for (const LedgerRecord& record : journal.records) again.Replay(record);
    for (const auto& [key, amount] : model) {
      ASSERT_EQ(ledger.Held(Key(key)), amount) << "round " << round;
      ASSERT_EQ(again.Held(Key(key)), amount) << "round " << round;
    }
  }
}

}  // namespace
}  // namespace sluice
