#include "metrics/process_metrics.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

constexpr int kNotPermitted = 77;

// Shortly after the process began; Unix time.
const double began = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());

// Of a gauge without labels; -1 where there is none of that name.
double Value(const char* name) {
  for (const prometheus::MetricFamily& family : ProcessMetrics()) {
    if (family.name == name && family.metric.size() == 1) return family.metric[0].gauge.value;
  }
  return -1;
}

// Two scrapes say the same, and it is when this process began: it may have taken a while to load, and ticks are 10 ms.
bool KnowsItsStart() {
  const double first = Value("process_start_time_seconds");
  const double second = Value("process_start_time_seconds");
  return first == second && first > began - 60 && first < began + 1;
}

TEST(ProcessMetricsTest, SayWhenTheProcessBeganAndSayTheSameAgain) {
  EXPECT_TRUE(KnowsItsStart()) << Value("process_start_time_seconds") << ", began " << began;
}

// Of /proc the packaged unit sees processes alone (ProcSubset=pid). Needs the right to mount in a namespace of its own.
TEST(ProcessMetricsTest, ReadNothingThatThePackagedUnitHides) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) _exit(kNotPermitted);
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(kNotPermitted);
    if (mount("proc", "/proc", "proc", 0, "subset=pid") != 0) _exit(kNotPermitted);
    if (access("/proc/stat", F_OK) == 0) _exit(kNotPermitted);  // a kernel before 5.8
    if (!KnowsItsStart()) _exit(1);
    for (const char* name : {"process_threads", "process_virtual_memory_bytes", "process_resident_memory_bytes",
                             "process_open_fds", "process_max_fds"}) {
      if (Value(name) <= 0) _exit(2);
    }
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNotPermitted) GTEST_SKIP() << "this user may not mount a /proc of its own";
  EXPECT_EQ(WEXITSTATUS(status), 0) << "1 = the start, 2 = another metric";
}

}  // namespace
}  // namespace sluice
