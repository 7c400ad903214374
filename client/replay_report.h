// What a replay found, for people and for programs.
#ifndef SLUICE_CLIENT_REPLAY_REPORT_H_
#define SLUICE_CLIENT_REPLAY_REPORT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/replay.h"

namespace sluice {

// What the summary itself does not know.
struct ReplayFacts {
  std::string log;
  std::string policy;             // "examples/demo/policy.yaml, revision 41"
  absl::Duration shift;           // the log was replayed so much later than it was written
  size_t events_not_reached = 0;  // events of the policy dated after the end of the log
  std::vector<std::string> rejected;
};

// Tables: the totals, answers by verdict and by rule, the `top` heaviest addresses and paths, what could not be read.
std::string ReplayTables(const ReplaySummary& summary, const ReplayFacts& facts, size_t top, bool colored);

// The same as one JSON object; bytes that are no UTF-8 come as U+FFFD.
std::string ReplayJson(const ReplaySummary& summary, const ReplayFacts& facts, size_t top);

}  // namespace sluice

#endif  // SLUICE_CLIENT_REPLAY_REPORT_H_
