#include "enforcement/name_pool.h"

#include <map>
#include <random>
#include <string>

#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(NamePool, KeepsWhatAMapKeepsInBoundedRoom) {
  NamePool pool;
  std::map<NamePool::Place, std::string> model;
  std::mt19937 random(1);
  const size_t sizes[] = {1, 2, 12, 13, 254, 255, 256, 4000, 65534};
  size_t after_first_rounds = 0;
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 400; ++i) {
      const std::string bytes(sizes[random() % (i % 50 == 0 ? 9 : 7)], static_cast<char>('a' + random() % 26));
      const NamePool::Place place = pool.Add(bytes);
      ASSERT_TRUE(model.emplace(place, bytes).second) << "a place is given twice";
    }
    for (const auto& [place, bytes] : model) ASSERT_EQ(pool.At(place), bytes);
    while (model.size() > 200) {
      auto it = model.begin();
      std::advance(it, random() % model.size());
      pool.Free(it->first);
      model.erase(it);
    }
    if (round == 10) after_first_rounds = pool.bytes();
  }
  EXPECT_LT(pool.bytes(), after_first_rounds * 3 / 2) << "what is freed is used again";
}

TEST(NamePool, TheEmptyNameTakesNoRoom) {
  NamePool pool;
  EXPECT_EQ(pool.Add(""), 0u);
  EXPECT_EQ(pool.At(0), "");
  pool.Free(0);
  EXPECT_EQ(pool.bytes(), 0u);
}

}  // namespace
}  // namespace sluice
