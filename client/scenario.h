// Policy scenarios: YAML files that say what the policy should answer, run in process on a simulated clock and an empty
// store. tests/scenarios/FORMAT.md describes the files.
#ifndef SLUICE_CLIENT_SCENARIO_H_
#define SLUICE_CLIENT_SCENARIO_H_

#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/simulation.h"
#include "enforcement/pack.h"

namespace sluice {

struct CaseResult {
  std::string id;
  std::string title;
  bool passed = false;
  // Of a case that failed, for people: each step that went wrong with its line, field, wanted, got, and the rules that
  // decided. Indented, ends in a line break.
  std::string diff;
};

struct ScenarioOptions {
  // Runs only the cases whose id or title contains it, in any case of letters. "" runs all.
  std::string filter;
  AskEngine ask;
};

// Runs the cases of a file, each on a simulation of its own. A file that is malformed anywhere is an error, with file
// and line, and none of its cases runs: INVALID_ARGUMENT, or what reading it gave. Other errors are those of temporary
// files.
absl::StatusOr<std::vector<CaseResult>> RunScenarioFile(const std::string& path, const Pack& pack,
                                                        const ScenarioOptions& options = {});
// The same of a text; `file` is for messages.
absl::StatusOr<std::vector<CaseResult>> RunScenarioText(absl::string_view text, absl::string_view file,
                                                        const Pack& pack, const ScenarioOptions& options = {});

// `sluicectl test`: one line a case, the diff of each that fails, and "N passed, N failed" last. `pack_path` is an
// agreement pack, "" the one that is compiled in. With `verbose` each file's name stands before its cases. Returns the
// exit code: 0, 1 where a case failed, 2 where the pack or a file cannot be read or no case meets the filter.
int RunTestCommand(const std::vector<std::string>& files, const std::string& pack_path, const std::string& filter,
                   bool verbose, std::ostream& out);

}  // namespace sluice

#endif  // SLUICE_CLIENT_SCENARIO_H_
