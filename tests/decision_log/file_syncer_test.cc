#include "decision_log/file_syncer.h"

#include <filesystem>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The kernel syncs no device of characters: it refuses, as a disk that fails does.
std::shared_ptr<LogFile> Unsyncable() { return LogFile::OpenToRead("/dev/null").value(); }

TEST(FileSyncerTest, TellsOfAFileThatCouldNotBeSynced) {
  const std::shared_ptr<LogFile> file = Unsyncable();
  FileSyncer syncer(testing::TempDir(), absl::InfiniteDuration());
  EXPECT_TRUE(syncer.Take().status.ok());
  syncer.Add(file);
  syncer.Stop();
  const FileSyncer::Result result = syncer.Take();
  EXPECT_EQ(result.failures, 1);
  EXPECT_THAT(result.lost, ElementsAre(file));
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("cannot sync /dev/null"));
  const FileSyncer::Result again = syncer.Take();
  EXPECT_EQ(again.failures, 0);
  EXPECT_THAT(again.lost, IsEmpty());
  EXPECT_FALSE(again.status.ok());  // nothing was synced since
}

TEST(FileSyncerTest, AFileOfWhichASyncFailedIsLostForGood) {
  const std::shared_ptr<LogFile> file = Unsyncable();
  EXPECT_FALSE(file->lost());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_TRUE(file->lost());
  EXPECT_THAT(std::string(file->Sync().message()), HasSubstr("failed before"));
}

TEST(FileSyncerTest, ALostFileSaysNothingOfTheOthers) {
  const std::string folder = testing::TempDir();
  const std::shared_ptr<LogFile> lost = Unsyncable();
  EXPECT_FALSE(lost->Sync().ok());
  const std::string path = folder + "/sluice_file_syncer_test";
  std::filesystem::remove(path);
  FileSyncer syncer(folder, absl::InfiniteDuration());
  syncer.Add(lost);
  syncer.Add(LogFile::CreateToWrite(path).value());
  syncer.Stop();
  const FileSyncer::Result result = syncer.Take();
  EXPECT_EQ(result.failures, 0);
  EXPECT_TRUE(result.status.ok()) << result.status;
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace sluice
