// A server in a process of its own, on a core of its own: this program again, with other arguments; or another one.
#ifndef SLUICE_BENCH_CHILD_PROCESS_H_
#define SLUICE_BENCH_CHILD_PROCESS_H_

#include <sys/types.h>
#include <time.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace sluice::bench {

// The cores that this process may run on, in order.
std::vector<int> Cores();
// Keeps the calling thread, and every thread that it starts from now on, on `core`. Best effort: false where it may
// not.
bool PinTo(int core);

class ChildProcess {
 public:
  // Runs this program with `arguments`, on `core` (-1 = anywhere), and waits until it has said that it is ready. The
  // child lives no longer than this object, or this process.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const std::vector<std::string>& arguments, int core,
                                                             absl::Duration patience);
  // Runs another program, found by PATH, and waits until a socket at `socket` is answered. It is told to stop by
  // SIGTERM.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> StartOther(const std::vector<std::string>& command, int core,
                                                                  const std::string& socket, absl::Duration patience);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // CPU time that all its threads have used, user and system, by the kernel's count in nanoseconds.
  absl::Duration CpuTime() const;
  pid_t pid() const { return pid_; }
  // Its resident memory now, in bytes.
  int64_t ResidentBytes() const;
  // The most that it was since ForgetPeak(), which is a best effort; before that, since the start.
  int64_t PeakResidentBytes() const;
  void ForgetPeak() const;

  // In the child: says that it is ready, and blocks until the parent is done with it.
  static void ServeUntilToldToStop();

 private:
  ChildProcess(pid_t pid, int to_child, int from_child, bool other)
      : pid_(pid), to_child_(to_child), from_child_(from_child), other_(other) {}
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Spawn(std::vector<std::string> words, int core, bool other);

  const pid_t pid_;
  const int to_child_;  // closed = stop
  const int from_child_;
  const bool other_;  // another program
};

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_CHILD_PROCESS_H_
