#include "decision_log/record_ring.h"

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

// A record is whatever begins with its own size.
bool Put(RecordRing* ring, const std::string& text, LogClass log_class = LogClass::kDenial) {
  const auto bytes = static_cast<uint32_t>(sizeof(uint32_t) + text.size());
  while (!ring->Claim()) std::this_thread::yield();
  char* room = ring->Reserve(bytes, log_class);
  if (room != nullptr) {
    std::memcpy(room, &bytes, sizeof(bytes));
    std::memcpy(room + sizeof(bytes), text.data(), text.size());
    ring->Commit();
  }
  ring->Release();
  return room != nullptr;
}

std::vector<std::string> Take(RecordRing* ring) {
  std::vector<std::string> texts;
  ring->Peek([&](absl::string_view record) { texts.emplace_back(record.substr(sizeof(uint32_t))); });
  ring->Pop();
  return texts;
}

constexpr size_t kBytes = 2 * kRecordBytesMax;

TEST(RecordRingTest, GivesRecordsBackInOrderOverManyLaps) {
  RecordRing ring(kBytes);
  int put = 0;
  int taken = 0;
  for (int lap = 0; lap < 200; ++lap) {
    for (int i = 0; i < 7; ++i)
      EXPECT_TRUE(Put(&ring, absl::StrCat(put++, std::string(static_cast<size_t>(lap * 13), 'x'))));
    for (const std::string& text : Take(&ring)) EXPECT_EQ(std::stoi(text), taken++);
  }
  EXPECT_EQ(taken, put);
  EXPECT_THAT(Take(&ring), testing::IsEmpty());
}

TEST(RecordRingTest, LowerClassesFindItFullFirst) {
  RecordRing ring(kBytes);
  const std::string text(1000, 'x');
  int before = 0;
  for (const LogClass log_class :
       {LogClass::kSample, LogClass::kWarning, LogClass::kThrottle, LogClass::kEvidence, LogClass::kDenial}) {
    EXPECT_FALSE(log_class > LogClass::kSample && Put(&ring, text, LogClass::kOverload));
    int count = 0;
    while (Put(&ring, text, log_class)) ++count;
    EXPECT_GT(count, 0) << Name(log_class);
    before += count;
  }
  EXPECT_NEAR(before, static_cast<int>(kBytes / 1008), 2);
  EXPECT_THAT(Take(&ring), testing::SizeIs(before));
  EXPECT_TRUE(Put(&ring, text, LogClass::kSample));
}

TEST(RecordRingTest, RefusesARecordThatNoCheckCanMake) {
  RecordRing ring(kBytes);
  EXPECT_FALSE(Put(&ring, std::string(kRecordBytesMax, 'x')));
}

TEST(RecordRingTest, IsClaimedByOneAtATime) {
  RecordRing ring(kBytes);
  EXPECT_TRUE(ring.Claim());
  EXPECT_FALSE(ring.Claim());
  ring.Release();
  EXPECT_TRUE(ring.Claim());
}

TEST(RecordRingTest, AQuietRingStaysInItsFirstBytes) {
  RecordRing ring(kBytes);
  const char* first = nullptr;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(Put(&ring, "one"));
    EXPECT_TRUE(Put(&ring, "two"));
    const char* at = nullptr;
    ring.Peek([&](absl::string_view record) { at = at == nullptr ? record.data() : at; });
    if (first == nullptr) first = at;
    EXPECT_EQ(at, first);
    const bool late = i % 3 == 0;  // after the look: it stays where it is, and is seen by the next
    if (late) {
      EXPECT_TRUE(Put(&ring, "late"));
    }
    ring.Pop();
    if (late) {
      EXPECT_THAT(Take(&ring), testing::ElementsAre("late"));
    }
  }
}

TEST(RecordRingTest, LosesNothingBetweenTwoThreads) {
  RecordRing ring(kBytes);
  constexpr int kCount = 50000;
  std::thread writer([&ring] {
    for (int i = 0; i < kCount; ++i) {
      while (!Put(&ring, absl::StrCat(i))) std::this_thread::yield();
    }
  });
  for (int taken = 0; taken < kCount;) {
    for (const std::string& text : Take(&ring)) EXPECT_EQ(std::stoi(text), taken++);
  }
  writer.join();
}

}  // namespace
}  // namespace sluice
