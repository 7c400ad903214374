#include "server/listen/buffer_budget.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr size_t kOwn = BufferShare::kOwnBytes;
constexpr size_t kPiece = BufferBudget::kPieceBytes;

TEST(BufferBudgetTest, WhatIsAConnectionsOwnDrawsOnNothing) {
  BufferBudget budget(0);
  BufferShare share(&budget);
  EXPECT_TRUE(share.Cover(kOwn));
  share.Hold(kOwn);
  EXPECT_TRUE(share.holds_own_only());
  EXPECT_EQ(budget.taken(), 0u);
  EXPECT_FALSE(share.Cover(kOwn + 1));
}

TEST(BufferBudgetTest, GivesNoMoreThanThereIsToAllTogether) {
  BufferBudget budget(3 * kPiece);
  BufferShare first(&budget), second(&budget);
  EXPECT_TRUE(first.Cover(kOwn + kPiece + 1));
  EXPECT_EQ(budget.taken(), 2 * kPiece);
  EXPECT_FALSE(second.Cover(kOwn + kPiece + 1));
  EXPECT_EQ(budget.taken(), 2 * kPiece) << "what is refused takes nothing";
  EXPECT_FALSE(second.exhausted());
  EXPECT_TRUE(second.Cover(kOwn + kPiece));
  EXPECT_TRUE(second.exhausted());
  EXPECT_TRUE(first.Cover(kOwn + 2 * kPiece)) << "what is covered is";
  EXPECT_FALSE(first.Cover(kOwn + 2 * kPiece + 1));
}

TEST(BufferBudgetTest, TakesBackWhatIsNotHeldAnyMoreAndAllOfAConnectionThatGoes) {
  BufferBudget budget(100 * kPiece);
  auto share = std::make_unique<BufferShare>(&budget);
  EXPECT_TRUE(share->Cover(kOwn + 10 * kPiece));
  share->Hold(kOwn + 3 * kPiece);
  EXPECT_EQ(budget.taken(), 3 * kPiece);
  share->Hold(kOwn + 2 * kPiece);  // a little less is not worth it
  EXPECT_EQ(budget.taken(), 3 * kPiece);
  share->Hold(0);
  EXPECT_EQ(budget.taken(), 0u);
  EXPECT_TRUE(share->holds_own_only());
  EXPECT_TRUE(share->Cover(kOwn + kPiece));
  share.reset();
  EXPECT_EQ(budget.taken(), 0u);
}

TEST(BufferBudgetTest, CountsWhatIsHeldWithoutLeave) {
  BufferBudget budget(kPiece);
  BufferShare share(&budget);
  share.Hold(kOwn + 5 * kPiece);
  EXPECT_EQ(budget.taken(), 5 * kPiece);
  EXPECT_TRUE(share.exhausted());
  BufferShare other(&budget);
  EXPECT_FALSE(other.Cover(kOwn + 1));
  share.Hold(0);
  EXPECT_TRUE(other.Cover(kOwn + 1));
}

TEST(BufferBudgetTest, WithoutABudgetThereIsNoBound) {
  BufferShare share(nullptr);
  EXPECT_TRUE(share.Cover(size_t{1} << 40));
  EXPECT_FALSE(share.exhausted());
}

TEST(BufferBudgetTest, HoldsItsBoundAgainstManyThreads) {
  constexpr int kThreads = 4;
  BufferBudget budget(10 * kPiece);
  std::vector<std::thread> threads;
  std::atomic<bool> over{false};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      BufferShare share(&budget);
      for (int i = 0; i < 20'000; ++i) {
        share.Cover(kOwn + static_cast<size_t>(i % 7) * kPiece);
        if (budget.taken() > 10 * kPiece) over = true;
        share.Hold(0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(over);
  EXPECT_EQ(budget.taken(), 0u);
}

}  // namespace
}  // namespace sluice
