// Whether a log is what was written: every byte against its checksum and the chain, every record counted, nothing
// missing between two segments but what retention took and wrote down.
#ifndef SLUICE_DECISION_LOG_LOG_VERIFY_H_
#define SLUICE_DECISION_LOG_LOG_VERIFY_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "decision_log/hash_chain.h"
#include "decision_log/record.h"

namespace sluice {

struct LogReport {
  std::vector<std::string> faults;   // what was altered, taken away or cannot be read; empty where all is well
  std::vector<std::string> remarks;  // what the log itself says of gaps: records dropped, a torn end, removed segments
  int64_t segments = 0, blocks = 0, records = 0;
  uint64_t bytes = 0;
  int64_t first_number = 0, last_number = 0;       // 0 where there is none
  int64_t from_ns = 0, until_ns = 0;               // times of the records, Unix time
  std::array<int64_t, kLogClassCount> by_class{};  // records kept
  ChainLink last_link{};                           // to be kept elsewhere: see `known`
};

// Reads everything. With `known`, a link that was noted down earlier, it must be one of the chain: a log that was cut
// off, or written anew, does not have it. An error only where the folder cannot be read; faults are in the report.
absl::StatusOr<LogReport> VerifyLog(const std::string& folder, const absl::optional<ChainLink>& known);

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_LOG_VERIFY_H_
