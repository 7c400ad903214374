#include "enforcement/record_table.h"

#include <atomic>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "enforcement/policy_records.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

struct Numbered {
  uint64_t tag;
  uint64_t low;
  int64_t number;
  int64_t again;  // the same number: a reader that meets half a record sees two

  void Remember(Hash128 key) { low = key.low; }
  bool Remembers(Hash128 key) const { return low == key.low; }
};

Hash128 KeyOf(uint64_t n) { return SubjectHash(SubjectKind::kAccount, std::to_string(n)); }

TEST(RecordTable, SaysWhatAMapSays) {
  for (const uint64_t seed : {1, 2, 3}) {
    RecordTable<Numbered> table(0.875);
    std::map<uint64_t, int64_t> model;
    std::mt19937_64 random(seed);
    if (seed == 3) table.BeginLoading();
    for (int step = 0; step < 60000; ++step) {
      const uint64_t name = random() % 4000;
      Numbered old{};
      const auto it = model.find(name);
      if (random() % 3 > 0) {
        const Numbered record{0, 0, step, step};
        ASSERT_EQ(table.Put(KeyOf(name), record, &old), it != model.end());
        if (it != model.end()) {
          ASSERT_EQ(old.number, it->second);
        }
        model[name] = step;
      } else {
        ASSERT_EQ(table.Erase(KeyOf(name), &old), it != model.end());
        if (it != model.end()) {
          ASSERT_EQ(old.number, it->second);
          model.erase(it);
        }
      }
      if (step % 1000 == 0) table.FreeRetired();
      ASSERT_EQ(table.size(), model.size());
    }
    if (seed == 3) table.EndLoading();
    size_t met = 0;
    table.ForEach([&](const Numbered& record) { met += record.number == record.again; });
    EXPECT_EQ(met, model.size());
    for (uint64_t name = 0; name < 4100; ++name) {
      const Numbered* found = table.Find(KeyOf(name));
      const auto it = model.find(name);
      ASSERT_EQ(found != nullptr, it != model.end());
      if (found != nullptr) {
        ASSERT_EQ(found->number, it->second);
      }
    }
  }
}

TEST(RecordTable, TellsKeysApartWhoseTagsAgree) {
  RecordTable<Numbered> table(0.875);
  Numbered old{};
  const Hash128 a{1, 77}, b{2, 77}, zero{0, 0}, one{0, 1};
  table.Put(a, {0, 0, 1, 1}, &old);
  table.Put(b, {0, 0, 2, 2}, &old);
  EXPECT_EQ(table.Find(zero), nullptr);
  table.Put(zero, {0, 0, 3, 3}, &old);
  EXPECT_EQ(table.Find(a)->number, 1);
  EXPECT_EQ(table.Find(b)->number, 2);
  EXPECT_EQ(table.Find(zero)->number, 3);
  EXPECT_EQ(table.Find(one), nullptr);
}

TEST(RecordTable, StaysNearlyFull) {
  RecordTable<Numbered> table(0.875);
  Numbered old{};
  for (uint64_t i = 0; i < 200000; ++i) {
    table.Put(KeyOf(i), {0, 0, 1, 1}, &old);
    table.FreeRetired();
    if (i > 10000) {
      ASSERT_LT(static_cast<double>(table.bytes()) / static_cast<double>(i), sizeof(Numbered) / 0.75);
    }
  }
}

// One writer adds, grows and removes; readers of keys that are not touched always find them whole.
TEST(RecordTable, ReadersFindWhatStaysWhileOthersComeAndGo) {
  RecordTable<Numbered> table(0.875);
  Numbered old{};
  for (uint64_t i = 0; i < 1000; ++i) {
    table.Put(KeyOf(i), {0, 0, static_cast<int64_t>(i), static_cast<int64_t>(i)}, &old);
  }
  std::atomic<bool> done{false};
  std::atomic<int64_t> wrong{0};
  std::vector<std::thread> readers;
  for (int thread = 0; thread < 2; ++thread) {
    readers.emplace_back([&, thread] {
      for (uint64_t i = static_cast<uint64_t>(thread); !done.load(); i = (i + 7) % 1000) {
        const Numbered* found = table.Find(KeyOf(i));
        if (found == nullptr || found->number != static_cast<int64_t>(i) || found->again != found->number) ++wrong;
      }
    });
  }
  for (uint64_t i = 1000; i < 30000; ++i) {
    table.Put(KeyOf(i), {0, 0, 1, 1}, &old);
    if (i % 2 == 0) table.Erase(KeyOf(i), &old);
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace sluice
