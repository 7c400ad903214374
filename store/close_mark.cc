#include "store/close_mark.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace sluice {
namespace {

constexpr size_t kMarkBytesMax = 256;
// A wall clock is set right by so much while a machine is up, and is still taken for that of the same boot.
constexpr int64_t kClockStepMaxSeconds = 5;

std::string MarkPath(const std::string& folder) { return absl::StrCat(folder, "/closed.sluice"); }

// When the machine was started, in seconds of the epoch. Not the boot id of /proc, which a confined service cannot see.
int64_t BootSeconds() {
  timespec wall = {}, up = {};
  clock_gettime(CLOCK_REALTIME, &wall);
  clock_gettime(CLOCK_BOOTTIME, &up);
  return wall.tv_sec - up.tv_sec;
}

// One line of what data.mdb is; empty where there is none.
std::string FileNow(const std::string& folder) {
  struct stat info;
  if (stat(absl::StrCat(folder, "/data.mdb").c_str(), &info) != 0) return "";
  return absl::StrCat(" device ", info.st_dev, " inode ", info.st_ino, " bytes ", info.st_size, " changed ",
                      info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec, "\n");
}

}  // namespace

bool IsAsItWasClosed(const std::string& folder) {
  const int file = open(MarkPath(folder).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  char bytes[kMarkBytesMax];
  const ssize_t got = read(file, bytes, sizeof(bytes));
  close(file);
  absl::string_view mark(bytes, got > 0 ? static_cast<size_t>(got) : 0);
  if (!absl::ConsumePrefix(&mark, "boot ")) return false;
  int64_t boot = 0;
  const size_t space = mark.find(' ');
  if (space == absl::string_view::npos || !absl::SimpleAtoi(mark.substr(0, space), &boot)) return false;
  if (llabs(boot - BootSeconds()) > kClockStepMaxSeconds) return false;
  return mark.substr(space) == FileNow(folder);
}

void MarkClosed(const std::string& folder) {
  const std::string now = FileNow(folder);
  if (now.empty()) return;
  const std::string mark = absl::StrCat("boot ", BootSeconds(), now);
  const std::string path = MarkPath(folder);
  // Written over: half of it is no mark, and is never mistaken for a whole one.
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return;
  const ssize_t written = write(file, mark.data(), mark.size());
  close(file);
  if (written != static_cast<ssize_t>(mark.size())) unlink(path.c_str());
}

}  // namespace sluice
