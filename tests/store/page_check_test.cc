#include "store/page_check.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "helpers.h"
#include "store/backup.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

constexpr size_t kPage = 4096;

// A store with trees of several levels, values on pages of their own, and free pages.
class PageCheckTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = FreshFolder();
    auto store = Store::Open(In(folder_, size_t{16} << 20));
    ASSERT_TRUE(store.ok()) << store.status();
    for (int64_t revision = 1; revision <= 60; ++revision) {
      auto transaction = (*store)->Begin();
      ASSERT_TRUE(transaction.ok());
      for (int i = 0; i < 20; ++i) {
        PolicyEvent event = Flag(absl::StrCat("flag-", revision, "-", i));
        event.note = std::string(static_cast<size_t>(i == 0 ? 9000 : 100), 'x');
        event.effective_at = kMorning;
        const StampedEvent stamped{event, revision, kMorning};
        ASSERT_TRUE(
            (*transaction)->Put({{EntityKind::kFlag, absl::StrCat("flag-", revision, "-", i)}, {stamped}}).ok());
        if (i == 0) {
          ASSERT_TRUE((*transaction)->AppendLog(stamped).ok());
        }
        ASSERT_TRUE((*transaction)->MarkSeen({"test", absl::StrCat("e-", revision, "-", i), revision}).ok());
      }
      // Gone again: pages become free.
      if (revision > 30) {
        for (int i = 0; i < 20; ++i) {
          ASSERT_TRUE(
              (*transaction)->Put({{EntityKind::kFlag, absl::StrCat("flag-", revision - 30, "-", i)}, {}}).ok());
        }
      }
      ASSERT_TRUE((*transaction)->SetRevision(revision, kMorning, kMorning).ok());
      ASSERT_TRUE((*transaction)->Commit().ok());
    }
    store->reset();
    std::ifstream stream(Path(), std::ios::binary);
    std::stringstream text;
    text << stream.rdbuf();
    whole_ = text.str();
  }
  std::string Path() const { return folder_ + "/data.mdb"; }
  void Write(const std::string& bytes) const { std::ofstream(Path(), std::ios::binary | std::ios::trunc) << bytes; }
  absl::StatusOr<PageCounts> Check() const {
    const int file = open(Path().c_str(), O_RDONLY | O_CLOEXEC);
    auto counts = CheckPages(file, absl::nullopt);
    close(file);
    return counts;
  }

  std::string folder_;
  std::string whole_;
};

TEST_F(PageCheckTest, ASoundFileIsCountedPageByPage) {
  const auto counts = Check();
  ASSERT_TRUE(counts.ok()) << counts.status();
  EXPECT_EQ(counts->page_bytes, kPage);
  EXPECT_GT(counts->free, 0u);
  EXPECT_GT(counts->used, 100u);
  EXPECT_LE(counts->used + counts->free, counts->pages);
  const auto report = CheckStore(folder_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->revision, 60);
  EXPECT_EQ(report->entities, 600u);
  EXPECT_EQ(report->logged, 60u);
  EXPECT_EQ(report->event_ids, 1200u);
}

TEST_F(PageCheckTest, AFileThatIsCutShortIsFoundOut) {
  Write(whole_.substr(0, whole_.size() / 2));
  EXPECT_EQ(Check().status().code(), absl::StatusCode::kDataLoss);
  Write("");
  EXPECT_EQ(Check().status().code(), absl::StatusCode::kDataLoss);
  Write(std::string(3 * kPage, '\0'));
  EXPECT_THAT(std::string(Check().status().message()), HasSubstr("page 0 of data.mdb: wanted a root page"));
}

TEST_F(PageCheckTest, WhatARootSaysOfItsSizeIsNotBelieved) {
  std::string bytes = whole_;
  for (const size_t root : {size_t{0}, kPage}) {
    const uint64_t map_bytes = uint64_t{1} << 60, last_page = (uint64_t{1} << 48) - 1;
    std::memcpy(&bytes[root + 32], &map_bytes, sizeof(map_bytes));
    std::memcpy(&bytes[root + 136], &last_page, sizeof(last_page));
  }
  Write(bytes);
  EXPECT_THAT(std::string(Check().status().message()), HasSubstr("says that there are 281474976710656 pages, got "));
}

TEST_F(PageCheckTest, APageOfAnotherPlaceIsFoundOut) {
  // As a write that went astray leaves it.
  std::string bytes = whole_;
  const size_t pages = bytes.size() / kPage;
  size_t moved = 0;
  for (size_t page = 2; page + 1 < pages; ++page) {
    bytes = whole_;
    bytes.replace(page * kPage, kPage, whole_.substr((page + 1) * kPage, kPage));
    Write(bytes);
    if (!Check().ok()) ++moved;
  }
  const auto counts = [&] {
    Write(whole_);
    return *Check();
  }();
  EXPECT_GE(moved, counts.used - 2 - 200) << "every used page but the inner ones of large values";
}

// Whatever a byte of a page becomes: either the page check finds it, or LMDB reads the file to its end without harm.
TEST_F(PageCheckTest, WhatPassesCannotEndTheProcess) {
  std::mt19937 random(20260301);
  int found = 0, passed = 0;
  const size_t pages = whole_.size() / kPage;
  for (int i = 0; i < 200; ++i) {
    std::string bytes = whole_;
    const size_t page = random() % pages;
    // Half of them where pages keep their structure.
    const size_t at = i % 2 == 0 ? random() % 16 : random() % kPage;
    bytes[page * kPage + at] = static_cast<char>(random());
    Write(bytes);
    if (!Check().ok()) {
      ++found;
      continue;
    }
    ++passed;
    unlink((folder_ + "/lock.mdb").c_str());
    const pid_t child = fork();
    if (child == 0) {
      const auto report = CheckStore(folder_);  // OK, or an error: both are an answer
      auto store = Store::Open(In(folder_, size_t{16} << 20));
      if (store.ok()) {
        const auto ignored = (*store)->ForEachEntity([](const Entity&) { return true; });
        auto transaction = (*store)->Begin();
        if (transaction.ok() && (*transaction)->SetRevision(61, kMorning, kMorning).ok())
          (void)(*transaction)->Commit();
      }
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << "byte " << at << " of page " << page << ", status " << status;
  }
  EXPECT_GT(found, 20);
  EXPECT_GT(passed, 20);
}

TEST_F(PageCheckTest, ADamagedStoreIsRefusedWithWhatToDo) {
  std::string bytes = whole_;
  for (size_t page = 2; page < bytes.size() / kPage; ++page) bytes[page * kPage + 10] = 0x7F;
  Write(bytes);
  Store::Options options = In(folder_, size_t{16} << 20);
  options.page_check = Store::PageCheck::kAlways;
  const auto store = Store::Open(options);
  EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(store.status().message()),
              testing::AllOf(HasSubstr(folder_), HasSubstr("page "), HasSubstr("sluicectl store restore")));
  EXPECT_EQ(CheckStore(folder_).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(BackUpStore(folder_, folder_ + "-copy").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(access((folder_ + "-copy").c_str(), F_OK), 0) << "no folder is left behind";
}

TEST_F(PageCheckTest, ABackupIsAStoreWithTheSameContent) {
  const std::string copy = folder_ + "-copy";
  std::filesystem::remove_all(copy);
  const auto report = BackUpStore(folder_, copy);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->revision, 60);
  EXPECT_EQ(report->entities, 600u);
  EXPECT_EQ(report->bytes_free, 0u);
  EXPECT_EQ(BackUpStore(folder_, copy).status().code(), absl::StatusCode::kAlreadyExists);
  const std::string back = folder_ + "-back";
  std::filesystem::remove_all(back);
  ASSERT_TRUE(RestoreStore(copy, back, false).ok());
  EXPECT_EQ(RestoreStore(copy, back, false).status().code(), absl::StatusCode::kAlreadyExists);
  const auto again = CheckStore(back);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->entities, 600u);
}

}  // namespace
}  // namespace sluice
