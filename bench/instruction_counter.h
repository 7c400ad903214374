// Instructions that another process executes, by the processor's own count: perf_event_open. Many virtual machines have
// no such counter; then why() says so, and bench/instructions.sh counts with callgrind instead.
#ifndef SLUICE_BENCH_INSTRUCTION_COUNTER_H_
#define SLUICE_BENCH_INSTRUCTION_COUNTER_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::bench {

class InstructionCounter {
 public:
  // Of every thread that `pid` has now, in user mode. 0 = the calling thread.
  explicit InstructionCounter(pid_t pid);
  ~InstructionCounter();
  InstructionCounter(const InstructionCounter&) = delete;
  InstructionCounter& operator=(const InstructionCounter&) = delete;

  // Why nothing is counted; "" where it is.
  const std::string& why() const { return why_; }
  // Since this was made; 0 where nothing is counted.
  int64_t Read() const;

 private:
  std::string why_;
  std::vector<int> fds_;
};

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_INSTRUCTION_COUNTER_H_
