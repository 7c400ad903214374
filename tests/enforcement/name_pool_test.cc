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

TEST(NamePool, KeepsPiecesOfAnySize) {
  NamePool pool;
  std::map<NamePool::Place, std::string> model;
  const auto add = [&](size_t size, char fill) {
    const std::string bytes(size, fill);
    ASSERT_TRUE(model.emplace(pool.Add(bytes), bytes).second) << "a place is given twice";
  };
  constexpr size_t kBlock = size_t{2} << 20;
  char fill = 'a';
  for (const size_t size : {size_t{65535}, size_t{65536}, size_t{70000}, size_t{1} << 20, kBlock - 5, kBlock - 4,
                            kBlock, 3 * kBlock + 17}) {
    add(size, fill++);
    add(3, fill);  // what comes behind it does not lie in it
  }
  for (const auto& [place, bytes] : model) ASSERT_TRUE(pool.At(place) == bytes) << "of " << bytes.size() << " bytes";
  const size_t before = pool.bytes();
  for (const auto& [place, bytes] : model) pool.Free(place);
  std::map<NamePool::Place, std::string> again;
  for (const auto& [place, bytes] : model) again.emplace(pool.Add(bytes), bytes);
  for (const auto& [place, bytes] : again) ASSERT_TRUE(pool.At(place) == bytes) << "of " << bytes.size() << " bytes";
  EXPECT_EQ(again.size(), model.size());
  EXPECT_EQ(pool.bytes(), before) << "what is freed is used again";
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
