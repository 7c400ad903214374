#include "bench/instruction_counter.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace sluice::bench {

InstructionCounter::InstructionCounter(pid_t pid) {
  std::vector<pid_t> threads;
  std::error_code error;
  if (pid == 0) threads.push_back(0);
  for (const auto& entry : std::filesystem::directory_iterator(absl::StrCat("/proc/", pid, "/task"), error)) {
    pid_t thread;
    if (absl::SimpleAtoi(entry.path().filename().string(), &thread)) threads.push_back(thread);
  }
  perf_event_attr counter = {};
  counter.size = sizeof counter;
  counter.type = PERF_TYPE_HARDWARE;
  counter.config = PERF_COUNT_HW_INSTRUCTIONS;
  counter.exclude_kernel = 1;
  for (const pid_t thread : threads) {
    const auto fd = static_cast<int>(syscall(SYS_perf_event_open, &counter, thread, -1, -1, PERF_FLAG_FD_CLOEXEC));
    if (fd >= 0) {
      fds_.push_back(fd);
    } else if (errno != ESRCH) {  // ended since
      why_ = absl::StrCat("perf_event_open: ", strerror(errno));
    }
  }
}

InstructionCounter::~InstructionCounter() {
  for (const int fd : fds_) close(fd);
}

int64_t InstructionCounter::Read() const {
  int64_t sum = 0;
  for (const int fd : fds_) {
    int64_t count = 0;
    if (read(fd, &count, sizeof count) == sizeof count) sum += count;
  }
  return sum;
}

}  // namespace sluice::bench
