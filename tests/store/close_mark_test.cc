#include "store/close_mark.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "helpers.h"

namespace sluice {
namespace {

constexpr size_t kPage = 4096;
constexpr uint16_t kOverflow = 0x04;

class CloseMarkTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = FreshFolder();
    Commit(1);
  }
  // Opens the store, writes a value that has pages of its own, and closes it.
  void Commit(int64_t revision) const {
    auto store = Store::Open(In(folder_, size_t{16} << 20));
    ASSERT_TRUE(store.ok()) << store.status();
    auto transaction = (*store)->Begin();
    ASSERT_TRUE(transaction.ok());
    PolicyEvent event = Flag("flag");
    event.note = std::string(9000, 'x');
    event.effective_at = kMorning;
    ASSERT_TRUE((*transaction)->Put({{EntityKind::kFlag, "flag"}, {{event, revision, kMorning}}}).ok());
    ASSERT_TRUE((*transaction)->SetRevision(revision, kMorning, kMorning).ok());
    ASSERT_TRUE((*transaction)->Commit().ok());
  }
  absl::Status Open(Store::PageCheck check) const {
    Store::Options options = In(folder_, size_t{16} << 20);
    options.page_check = check;
    return Store::Open(options).status();
  }
  std::string Data() const { return folder_ + "/data.mdb"; }
  void SetChanged(const timespec& when) const {
    const timespec times[2] = {when, when};
    ASSERT_EQ(utimensat(AT_FDCWD, Data().c_str(), times, 0), 0);
  }

  std::string folder_;
};

TEST_F(CloseMarkTest, AStoreThatWasClosedInGoodOrderIsAsItWasClosed) {
  EXPECT_TRUE(IsAsItWasClosed(folder_));
  Commit(2);
  EXPECT_TRUE(IsAsItWasClosed(folder_));
}

TEST_F(CloseMarkTest, OneWhoseProcessWasKilledAfterItWroteIsNot) {
  SetChanged({1772330400, 0});  // so that a write within one tick of the clock is told apart
  ASSERT_TRUE(Open(Store::PageCheck::kAlways).ok());
  ASSERT_TRUE(IsAsItWasClosed(folder_));
  const pid_t child = fork();
  if (child == 0) {
    auto store = Store::Open(In(folder_, size_t{16} << 20));
    auto transaction = (*store)->Begin();
    if ((*transaction)->SetRevision(2, kMorning, kMorning).ok() && (*transaction)->Commit().ok()) _exit(0);
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_FALSE(IsAsItWasClosed(folder_));
}

TEST_F(CloseMarkTest, OneThatWasTouchedCopiedOrHasNoWholeMarkIsNot) {
  struct stat info;
  ASSERT_EQ(stat(Data().c_str(), &info), 0);
  SetChanged({info.st_mtim.tv_sec + 1, 0});
  EXPECT_FALSE(IsAsItWasClosed(folder_));
  SetChanged(info.st_mtim);
  EXPECT_TRUE(IsAsItWasClosed(folder_));
  const std::string copy = folder_ + "-copy";
  std::filesystem::remove_all(copy);
  std::filesystem::copy(folder_, copy);
  EXPECT_FALSE(IsAsItWasClosed(copy));
  const std::string mark = folder_ + "/closed.sluice";
  std::filesystem::resize_file(mark, std::filesystem::file_size(mark) - 1);
  EXPECT_FALSE(IsAsItWasClosed(folder_));
  std::filesystem::remove(mark);
  EXPECT_FALSE(IsAsItWasClosed(folder_));
}

// What a disk had not written by then may be lost, whatever it said.
TEST_F(CloseMarkTest, OneOfAnotherBootOfTheMachineIsNot) {
  const std::string path = folder_ + "/closed.sluice";
  std::ifstream stream(path);
  const std::string mark((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  ASSERT_EQ(mark.compare(0, 5, "boot "), 0) << mark;
  const int64_t boot = std::stoll(mark.substr(5));
  const std::string rest = mark.substr(mark.find(' ', 5));
  for (const auto& [seconds, same] :
       {std::pair(boot + 3, true), std::pair(boot - 60, false), std::pair(boot + 60, false)}) {
    std::ofstream(path, std::ios::trunc) << "boot " << seconds << rest;
    EXPECT_EQ(IsAsItWasClosed(folder_), same) << seconds - boot;
  }
}

// What kUnlessClosed saves, and what it gives up: a page that went bad by itself is found where it is read, not before.
TEST_F(CloseMarkTest, PagesAreLookedAtUnlessTheStoreIsAsItWasClosed) {
  struct stat info;
  ASSERT_EQ(stat(Data().c_str(), &info), 0);
  int damaged = 0;
  std::fstream file(Data(), std::ios::in | std::ios::out | std::ios::binary);
  for (off_t page = 2; page < info.st_size / static_cast<off_t>(kPage); ++page) {
    const auto at = static_cast<std::streamoff>(page * static_cast<off_t>(kPage) + 10);
    uint16_t flags = 0;
    file.seekg(at);
    file.read(reinterpret_cast<char*>(&flags), sizeof(flags));
    if (flags != kOverflow) continue;
    file.seekp(at);
    file.write("\0\0", 2);
    ++damaged;
  }
  file.close();
  ASSERT_GT(damaged, 0);
  SetChanged(info.st_mtim);
  EXPECT_TRUE(Open(Store::PageCheck::kUnlessClosed).ok());
  EXPECT_TRUE(Open(Store::PageCheck::kNever).ok());
  EXPECT_EQ(Open(Store::PageCheck::kAlways).code(), absl::StatusCode::kDataLoss);
  std::filesystem::remove(folder_ + "/closed.sluice");
  EXPECT_EQ(Open(Store::PageCheck::kUnlessClosed).code(), absl::StatusCode::kDataLoss);
}

// Else `never` once would be `never` for good.
TEST_F(CloseMarkTest, AStoreOfWhichNoPageWasLookedAtIsNotMarked) {
  std::filesystem::remove(folder_ + "/closed.sluice");
  ASSERT_TRUE(Open(Store::PageCheck::kNever).ok());
  EXPECT_FALSE(IsAsItWasClosed(folder_));
  ASSERT_TRUE(Open(Store::PageCheck::kUnlessClosed).ok());
  EXPECT_TRUE(IsAsItWasClosed(folder_));
  ASSERT_TRUE(Open(Store::PageCheck::kNever).ok());
  EXPECT_TRUE(IsAsItWasClosed(folder_)) << "what was looked at stays so";
}

}  // namespace
}  // namespace sluice
