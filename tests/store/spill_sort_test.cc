// Against a map, with so little memory that all of it goes through the file.
#include "store/spill_sort.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "store/lmdb_table.h"
#include "tests/store/helpers.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;

using Records = std::vector<std::pair<std::string, std::string>>;

std::string NameOf(uint64_t first, uint64_t second) { return BigEndian(first) + BigEndian(second); }

std::string MadeFolder() {
  const std::string folder = FreshFolder();
  std::filesystem::create_directories(folder);
  return folder;
}

// All that `sort` visits.
Records Sorted(SpillSort* sort) {
  Records records;
  EXPECT_EQ(sort->ForEach([&](absl::string_view name, absl::string_view value) {
    records.emplace_back(name, value);
    return 0;
  }),
            0);
  return records;
}

TEST(SpillSortTest, SortsByNameAndKeepsTheOrderOfOneNameWithAnyMemory) {
  const std::string folder = MadeFolder();
  for (const size_t memory_bytes : {size_t{0}, size_t{1000}, size_t{20000}, size_t{1} << 30}) {
    SpillSort sort(folder, memory_bytes);
    std::map<std::string, std::string> model;
    std::mt19937_64 random(3);
    for (int i = 0; i < 5000; ++i) {
      // Names that differ in their first half, in their second, or not at all; bytes that are negative as chars.
      const std::string name = NameOf(random() % 64 << 58, random() % 8 << 61);
      const std::string value = i % 50 == 0 ? "" : absl::StrCat(i, std::string(random() % 40, 'v'), ";");
      ASSERT_EQ(sort.Add(name, value), 0);
      model[name] += value;
    }
    EXPECT_EQ(Sorted(&sort), Records(model.begin(), model.end())) << memory_bytes;
    EXPECT_EQ(sort.file_bytes() > 0, memory_bytes <= 20000) << memory_bytes;
  }
}

TEST(SpillSortTest, HoldsNoMoreThanItMay) {
  constexpr size_t kMemoryBytes = size_t{256} << 10;
  SpillSort sort(MadeFolder(), kMemoryBytes);
  EXPECT_EQ(sort.memory_bytes(), 0u);
  std::mt19937_64 random(5);
  size_t most = 0, records = 0;
  for (int i = 0; i < 200'000; ++i) {
    ASSERT_EQ(sort.Add(NameOf(random(), random()), std::string(50, 'v')), 0);
    most = std::max(most, sort.memory_bytes());
  }
  EXPECT_LE(most, kMemoryBytes);
  EXPECT_GT(most, kMemoryBytes / 2);
  EXPECT_GT(sort.file_bytes(), 50 * kMemoryBytes);
  most = 0;
  ASSERT_EQ(sort.ForEach([&](absl::string_view, absl::string_view value) {
    most = std::max(most, sort.memory_bytes());
    ++records;
    return value == std::string(50, 'v') ? 0 : EINVAL;
  }),
            0);
  EXPECT_EQ(records, 200'000u);
  EXPECT_LE(most, kMemoryBytes);
  EXPECT_GT(most, kMemoryBytes / 2);
}

TEST(SpillSortTest, ARecordMayBeLargerThanTheMemory) {
  SpillSort sort(MadeFolder(), 1000);
  const std::string large(100'000, 'l');
  for (const uint64_t name : {2, 1, 3, 2}) ASSERT_EQ(sort.Add(NameOf(name, 0), large), 0);
  EXPECT_THAT(Sorted(&sort), ElementsAre(std::pair(NameOf(1, 0), large), std::pair(NameOf(2, 0), large + large),
                                         std::pair(NameOf(3, 0), large)));
}

TEST(SpillSortTest, ItsFileHasNoNameAndOneThatADeadProcessLeftIsNotInTheWay) {
  const std::string folder = MadeFolder();
  std::ofstream(folder + "/sort.tmp") << "left behind";
  SpillSort sort(folder, 1000);
  for (uint64_t i = 100; i > 0; --i) ASSERT_EQ(sort.Add(NameOf(i, 0), "v"), 0);
  ASSERT_GT(sort.file_bytes(), 0u);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  EXPECT_EQ(Sorted(&sort).size(), 100u);
}

TEST(SpillSortTest, AVisitThatFailsEndsItAndNothingIsNothing) {
  for (const size_t memory_bytes : {size_t{1000}, size_t{1} << 20}) {
    SpillSort sort(MadeFolder(), memory_bytes);
    for (uint64_t i = 0; i < 100; ++i) ASSERT_EQ(sort.Add(NameOf(i, 0), "v"), 0);
    int visits = 0;
    EXPECT_EQ(sort.ForEach([&](absl::string_view, absl::string_view) { return ++visits == 3 ? -7 : 0; }), -7);
    EXPECT_EQ(visits, 3);
  }
  SpillSort empty("/nowhere", 1000);
  EXPECT_TRUE(Sorted(&empty).empty());
}

TEST(SpillSortTest, WhatTheDiskRefusesIsAnError) {
  SpillSort nowhere(MadeFolder() + "/nowhere", 1000);
  int error = 0;
  for (uint64_t i = 0; i < 100 && error == 0; ++i) error = nowhere.Add(NameOf(i, 0), "v");
  EXPECT_EQ(error, ENOENT);
  const std::string folder = MadeFolder();
  InChild([&] {
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 5000;  // within a record, so that a write is taken in part
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    SpillSort sort(folder, 1000);
    int refused = 0;
    for (uint64_t i = 0; i < 1000 && refused == 0; ++i) refused = sort.Add(NameOf(i, 0), "v");
    EXPECT_EQ(refused, EFBIG);
    EXPECT_EQ(sort.file_bytes(), 5000u);
  });
}

}  // namespace
}  // namespace sluice
