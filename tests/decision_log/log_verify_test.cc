#include "decision_log/log_verify.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "decision_log/segment_reader.h"
#include "gmock/gmock.h"
#include "tests/decision_log/log_fixture.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class LogVerifyTest : public DiskLogTest {
 protected:
  // Three closed segments with a few blocks each.
  LogVerifyTest() {
    for (int segment = 0; segment < 3; ++segment) {
      Open();
      for (int block = 0; block < 3; ++block) {
        for (int i = 0; i < 10; ++i) Log(Asked(absl::StrCat(segment, block, i)), Denied());
        EXPECT_TRUE(log_->Flush().ok());
      }
    }
    Close();
  }
};

TEST_F(LogVerifyTest, CountsWhatIsThere) {
  const LogReport report = Verify();
  EXPECT_THAT(report.faults, IsEmpty());
  EXPECT_EQ(report.segments, 3);
  EXPECT_EQ(report.records, 90);
  EXPECT_EQ(report.first_number, 1);
  EXPECT_EQ(report.last_number, 90);
  EXPECT_THAT(Verify(report.last_link).faults, IsEmpty());
}

TEST_F(LogVerifyTest, FindsEveryAlteredByte) {
  const std::string path = Segments()[1].path;
  const std::string bytes = ReadFile(path);
  // A prime apart, so that every part of headers, filters, payloads, index and trailer is met.
  for (size_t at = 0; at < bytes.size(); at += 7) {
    std::string altered = bytes;
    altered[at] = static_cast<char>(altered[at] ^ 0x20);
    WriteFile(path, altered);
    EXPECT_THAT(Verify().faults, Not(IsEmpty())) << "byte " << at << " of " << bytes.size();
  }
  WriteFile(path, bytes);
  EXPECT_THAT(Verify().faults, IsEmpty());
}

TEST_F(LogVerifyTest, FindsARemovedSegmentAndACutOne) {
  const std::string path = Segments()[1].path;
  const std::string bytes = ReadFile(path);
  std::filesystem::remove(path);
  EXPECT_THAT(Verify().faults, Contains("segment 2 is missing, and no note says that it was removed"));
  WriteFile(path, bytes.substr(0, bytes.size() - 500));
  EXPECT_THAT(Verify().faults, Not(IsEmpty()));
  WriteFile(path, bytes);
  std::filesystem::remove(Segments()[0].path);
  EXPECT_THAT(Verify().faults, Contains("segment 1 is missing, and no note says that it was removed"));
}

TEST_F(LogVerifyTest, FindsACutEndByALinkThatWasNotedDown) {
  const ChainLink known = Verify().last_link;
  std::filesystem::remove(Segments()[2].path);
  EXPECT_THAT(Verify().faults, IsEmpty());  // nothing in the log itself can show that there was more
  EXPECT_THAT(Verify(known).faults, Contains(HasSubstr("the log was cut off, or written anew")));
}

TEST_F(LogVerifyTest, FindsASegmentThatWasWrittenAnew) {
  const std::string kept = ReadFile(Segments()[2].path);
  const std::string path = Segments()[1].path;
  std::filesystem::remove(path);
  std::filesystem::remove(Segments()[1].path);
  Open();  // a second segment with whole checksums and links of its own
  Log(Asked("forged"), Allowed());
  Close();
  WriteFile(SegmentPath(options_.folder, 3), kept);
  EXPECT_THAT(Verify().faults, Contains("the chain breaks between segments 2 and 3"));
}

// Writes the index of the segment at `path` anew, as someone would who knows the format: with a checksum and a link
// that are right.
void WriteIndexAnew(const std::string& path, const std::function<void(std::vector<IndexEntry>*)>& change,
                    uint32_t raw_bytes = 0) {
  const auto segment = SegmentReader::Open(path);
  ASSERT_TRUE(segment.ok() && (*segment)->closed());
  ChainLink link{};
  uint64_t end = 0;
  const auto followed = (*segment)->FollowChain([&](const SegmentReader::Linked& block) {
    if (block.header->kind == BlockKind::kIndex) {
      end = block.offset;
    } else {
      link = block.header->link;
    }
  });
  ASSERT_TRUE(followed.ok());
  std::vector<IndexEntry> entries = (*segment)->blocks();
  change(&entries);
  const std::string raw = FormatIndex(entries);
  BlockHeader header;
  header.kind = BlockKind::kIndex;
  header.first_number = 1;
  header.raw_bytes = std::max(static_cast<uint32_t>(raw.size()), raw_bytes);
  std::string bytes;
  {
    std::ifstream file(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  bytes.resize(end);
  bytes += FormatBlock(link, "", Compress(raw), &header) + FormatTrailer(end);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

TEST_F(LogVerifyTest, FindsAnIndexThatHidesABlock) {
  WriteIndexAnew(Segments()[2].path, [](std::vector<IndexEntry>* entries) { entries->erase(entries->begin() + 2); });
  EXPECT_THAT(FindAll(), SizeIs(80));
  EXPECT_THAT(Verify().faults, Contains(HasSubstr("the index does not say what the blocks are")));
}

TEST_F(LogVerifyTest, BelievesNoSizeThatTheFileCannotHave) {
  const auto promise = [](std::vector<IndexEntry>* entries) {
    entries->back().header.payload_bytes = 0xFFFFFFFF;
    entries->back().header.filter_bytes = 0xFFFFFFFF;
  };
  const std::string path = Segments()[2].path;
  WriteIndexAnew(path, promise);
  LogCursor cursor;
  const absl::Status status =
      LogReader(options_.folder).Query({}, &cursor, [](const v1::DecisionRecord&) { return true; });
  EXPECT_THAT(std::string(status.message()), HasSubstr("is cut short"));
  EXPECT_THAT(Verify().faults, Not(IsEmpty()));
}

TEST_F(LogVerifyTest, AnIndexThatIsLargerThanItsSegmentIsNone) {
  WriteIndexAnew(
      Segments()[2].path, [](std::vector<IndexEntry>*) {}, kIndexBytesMax);
  EXPECT_THAT(FindAll(), SizeIs(90));  // the blocks can be read without it
}

TEST_F(LogVerifyTest, AQueryGivesWhatItCanReadAndSaysWhatItCannot) {
  const std::string path = Segments()[1].path;
  std::string bytes = ReadFile(path);
  bytes[bytes.size() / 4] = static_cast<char>(bytes[bytes.size() / 4] ^ 1);
  WriteFile(path, bytes);
  int found = 0;
  LogCursor cursor;
  const absl::Status status =
      LogReader(options_.folder).Query({}, &cursor, [&](const v1::DecisionRecord&) { return ++found > 0; });
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  EXPECT_EQ(found, 80);
}

// Where the blocks of a segment begin, the index among them.
std::vector<uint64_t> BlocksOf(const std::string& path) {
  std::vector<uint64_t> offsets;
  const auto segment = SegmentReader::Open(path);
  EXPECT_TRUE(segment.ok()) << segment.status();
  EXPECT_TRUE(
      (*segment)->FollowChain([&](const SegmentReader::Linked& block) { offsets.push_back(block.offset); }).ok());
  return offsets;
}

TEST_F(LogVerifyTest, AStartLeavesADamagedSegmentAsItIsAndGoesOnBehindItsNumbers) {
  const std::string path = Segments()[2].path;
  const std::string closed = ReadFile(path);
  const std::vector<uint64_t> blocks = BlocksOf(path);  // a note, three of records, the index
  ASSERT_THAT(blocks, SizeIs(5));
  const std::string open = closed.substr(0, blocks[4]);  // as a crash leaves it
  const auto start_with = [&](const std::string& bytes) {
    WriteFile(path, bytes);
    std::filesystem::remove(SegmentPath(options_.folder, 4));
    told_.clear();
    Open();
    Log(Asked("after"), Denied());
    Close();
    EXPECT_THAT(told_, SizeIs(1));
    const auto next = SegmentReader::Open(SegmentPath(options_.folder, 4));
    EXPECT_TRUE(next.ok()) << next.status();
    return next.ok() ? (*next)->header().first_number : 0;
  };
  const auto expect_left = [&](std::string bytes, uint64_t at) {
    SCOPED_TRACE(absl::StrCat("byte ", at, " of ", bytes.size()));
    bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
    WriteFile(path, bytes);
    EXPECT_THAT(Verify().faults, Not(IsEmpty()));
    EXPECT_EQ(start_with(bytes), 91);
    EXPECT_THAT(told_[0], HasSubstr("left as it is, and the log goes on with record 91"));
    EXPECT_EQ(ReadFile(path), bytes);
    const LogReport report = Verify();
    EXPECT_THAT(report.faults, Not(IsEmpty()));
    EXPECT_THAT(report.remarks, Contains(HasSubstr("damaged segment=3 at=")));
  };
  for (const uint64_t block : blocks) {
    for (const uint64_t at : {block + 20, block + kBlockHeaderBytes + 5}) {
      expect_left(closed, at);
      if (at < blocks[3]) expect_left(open, at);
    }
  }
  expect_left(closed, closed.size() - kTrailerBytes + 10);
  // The last write of a segment that was not closed can be a torn one.
  for (const uint64_t at : {blocks[3] + 20, blocks[3] + kBlockHeaderBytes + 5}) {
    std::string bytes = open;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
    EXPECT_EQ(start_with(bytes), 81);
    EXPECT_THAT(told_[0], HasSubstr("behind record 80, is cut off"));
    EXPECT_EQ(ReadFile(path), open.substr(0, blocks[3]));
    EXPECT_THAT(Verify().faults, IsEmpty());
  }
  // So can the one that was to close it.
  EXPECT_EQ(start_with(closed.substr(0, closed.size() - 1)), 91);
  EXPECT_EQ(ReadFile(path), open);
  EXPECT_THAT(Verify().faults, IsEmpty());
}

TEST_F(LogVerifyTest, NumbersGoOnBehindAllThatAnUnreadableEndHasRoomFor) {
  const std::string path = Segments()[2].path;
  std::string bytes = ReadFile(path).substr(0, BlocksOf(path)[4]);
  bytes += std::string(kUnfinishedBytesMax + 1, 'x');
  WriteFile(path, bytes);
  Open();
  EXPECT_THAT(told_, Contains(HasSubstr("behind record 90; left as it is")));
  Close();
  EXPECT_EQ(ReadFile(path), bytes);
  const auto next = SegmentReader::Open(Segments()[3].path);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_GT((*next)->header().first_number, 91 + static_cast<int64_t>(kUnfinishedBytesMax));
}

TEST_F(LogVerifyTest, ASmallSegmentWithABlockIsNotForgottenForItsHeader) {
  Open();
  Close();
  const std::string path = Segments()[3].path;
  std::string bytes = ReadFile(path);
  bytes.resize(BlocksOf(path)[1]);  // a note and nothing else
  ASSERT_LE(bytes.size(), kSegmentHeaderBytesMax);
  bytes[20] = static_cast<char>(bytes[20] ^ 0x20);
  WriteFile(path, bytes);
  const auto log = DecisionLog::Open(options_);
  EXPECT_EQ(log.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReadFile(path), bytes);
}

TEST_F(LogVerifyTest, RetentionByAgeLeavesANoteThatTheChainGoesOnFrom) {
  clock_.Advance(absl::Hours(24 * 181));
  Open();
  Log(Asked("young"), Denied());
  AwaitRetention();
  EXPECT_EQ(log_->figures().removed_segments, 3);
  EXPECT_EQ(log_->figures().removed_for_size, 0);
  EXPECT_EQ(log_->figures().segments, 1);
  Close();
  EXPECT_THAT(Segments(), SizeIs(1));
  const LogReport report = Verify();
  EXPECT_THAT(report.faults, IsEmpty());
  EXPECT_THAT(report.remarks, Contains(HasSubstr("removed segment=3 records=61-90")));
  EXPECT_EQ(report.first_number, 91);
  EXPECT_THAT(FindAll(), testing::ElementsAre("young"));
}

TEST_F(LogVerifyTest, NothingYoungerThanTheRuleGoes) {
  clock_.Advance(absl::Hours(24 * 179));
  Open();
  AwaitRetention();
  EXPECT_EQ(log_->figures().removed_segments, 0);
}

TEST_F(LogVerifyTest, RetentionBySizeTakesTheOldestFirst) {
  options_.retention.keep_bytes = Segments()[1].bytes + Segments()[2].bytes + 500;
  Open();
  AwaitRetention();
  EXPECT_GT(log_->figures().removed_for_size, 0);
  EXPECT_EQ(log_->figures().removed_for_size, log_->figures().removed_segments);
  Close();
  EXPECT_GT(Segments().front().segment, 1);
  EXPECT_LT(Segments().front().segment, 4);
  EXPECT_THAT(Verify().faults, IsEmpty());
}

TEST_F(LogVerifyTest, NothingGoesWhileNobodyKnowsWhatIsHeld) {
  std::atomic<bool> known = false;
  options_.held = [&known](RetentionLook::GoOn) {
    return known ? absl::optional<std::vector<uint64_t>>(std::vector<uint64_t>()) : absl::nullopt;
  };
  clock_.Advance(absl::Hours(24 * 365));
  Open();
  AwaitRetention();
  EXPECT_EQ(log_->figures().removed_segments, 0);
  EXPECT_EQ(log_->figures().segments, 4);
  known = true;
  AwaitRetention();
  EXPECT_EQ(log_->figures().removed_segments, 3);
  Close();
  EXPECT_THAT(told_, testing::ElementsAre(HasSubstr("nothing is removed"), HasSubstr("there is a policy")));
}

TEST_F(LogVerifyTest, WhatIsUnderALegalHoldStays) {
  // The middle segment gets a record of the one whose evidence is held.
  std::filesystem::remove(Segments()[2].path);
  Open();
  Log(Asked("evidence", "u-held"), Denied());
  Open();
  Log(Asked("other"), Denied());
  Close();
  options_.held = [](RetentionLook::GoOn) { return std::vector<uint64_t>{TermHash(LogTerm::kAccount, "u-held")}; };
  clock_.Advance(absl::Hours(24 * 365));
  Open();
  AwaitRetention();
  EXPECT_EQ(log_->figures().held_segments, 1);
  Close();
  EXPECT_THAT(FindAll(), testing::ElementsAre("evidence"));
  EXPECT_THAT(Verify().faults, IsEmpty());
  // The hold is released.
  options_.held = nullptr;
  Open();
  AwaitRetention();
  Close();
  EXPECT_THAT(FindAll(), IsEmpty());
  EXPECT_THAT(Verify().faults, IsEmpty());
}

TEST_F(LogVerifyTest, RetentionHoldsUpNeitherDecisionsNorQueries) {
  options_.rings = 1;
  options_.ring_bytes = size_t{64} << 10;
  for (int segment = 3; segment < 30; ++segment) Open();
  Close();
  clock_.Advance(absl::Hours(24 * 365));
  int looked_at = 0;
  options_.held = [&](RetentionLook::GoOn go_on) {
    // Amid a look, on the log's thread: in all more than the ring has room for.
    for (int i = 0; i < 60; ++i) Log(Asked("meanwhile"), Denied());
    if (++looked_at == 10) {
      std::atomic<bool> flushed = false;
      std::thread query([&] {
        EXPECT_TRUE(log_->Flush().ok());
        flushed = true;
      });
      while (!flushed) go_on();
      query.join();
    }
    return std::vector<uint64_t>();
  };
  Open();
  AwaitRetention();
  EXPECT_EQ(log_->figures().removed_segments, 30);
  EXPECT_GE(looked_at, 30);
  EXPECT_EQ(log_->dropped(), 0);
  Close();
  EXPECT_THAT(FindAll(), SizeIs(60 * looked_at));
  EXPECT_THAT(Verify().faults, IsEmpty());
}

TEST_F(LogVerifyTest, NoSegmentGoesThatCannotBeReadToItsEnd) {
  const std::string path = Segments()[1].path;
  std::string bytes = ReadFile(path);
  const std::vector<uint64_t> blocks = BlocksOf(path);
  const size_t header = blocks[2];
  bytes.resize(blocks[4]);  // never closed
  bytes[header + 20] = static_cast<char>(bytes[header + 20] ^ 0x20);
  WriteFile(path, bytes);
  clock_.Advance(absl::Hours(24 * 365));
  Open();
  AwaitRetention();
  EXPECT_EQ(log_->figures().removed_segments, 2);
  EXPECT_EQ(ReadFile(path), bytes);
}

// A hold that comes while a look lasts keeps what is still there.
TEST_F(LogVerifyTest, EachSegmentIsAskedForAnew) {
  int asked = 0;
  options_.held = [&](RetentionLook::GoOn) {
    const std::vector<uint64_t> none, all = {TermHash(LogTerm::kAccount, "u1")};
    return ++asked == 1 ? none : all;
  };
  clock_.Advance(absl::Hours(24 * 365));
  Open();
  AwaitRetention();
  EXPECT_EQ(log_->figures().removed_segments, 1);
  EXPECT_EQ(log_->figures().held_segments, 2);
  Close();  // the log's thread asks as long as it runs
}

}  // namespace
}  // namespace sluice
