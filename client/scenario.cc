#include "client/scenario.h"

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agreement/loader.h"
#include "client/scenario_reader.h"
#include "client/scenario_runner.h"
#include "client/yaml_message.h"

namespace sluice {
namespace {

constexpr int kPassed = 0, kFailed = 1, kUnreadable = 2;

bool Meets(const Scenario& scenario, const std::string& lower_filter) {
  return absl::StrContains(absl::AsciiStrToLower(scenario.id), lower_filter) ||
         absl::StrContains(absl::AsciiStrToLower(scenario.title), lower_filter);
}

}  // namespace

absl::StatusOr<std::vector<CaseResult>> RunScenarioText(absl::string_view text, absl::string_view file,
                                                        const Pack& pack, const ScenarioOptions& options) {
  absl::StatusOr<std::vector<Scenario>> scenarios = ReadScenarios(text, file);
  if (!scenarios.ok()) return scenarios.status();
  const std::string lower_filter = absl::AsciiStrToLower(options.filter);
  std::vector<CaseResult> results;
  for (const Scenario& scenario : *scenarios) {
    if (!Meets(scenario, lower_filter)) continue;
    absl::StatusOr<CaseResult> result = ScenarioRunner(&scenario, file, &pack).Run(options.ask);
    if (!result.ok()) {
      return absl::Status(result.status().code(),
                          absl::StrCat(file, ":", scenario.line, ": ", scenario.id, ": ", result.status().message()));
    }
    results.push_back(*std::move(result));
  }
  return results;
}

absl::StatusOr<std::vector<CaseResult>> RunScenarioFile(const std::string& path, const Pack& pack,
                                                        const ScenarioOptions& options) {
  absl::StatusOr<std::string> text = ReadTextFile(path);
  if (!text.ok()) return text.status();
  return RunScenarioText(*text, path, pack, options);
}

int RunTestCommand(const std::vector<std::string>& files, const std::string& pack_path, const std::string& filter,
                   bool verbose, std::ostream& out) {
  absl::StatusOr<std::unique_ptr<const Pack>> pack = pack_path.empty() ? LoadDefaultPack() : LoadPackFile(pack_path);
  if (!pack.ok()) {
    out << "agreement pack: " << pack.status().message() << "\n";
    return kUnreadable;
  }
  ScenarioOptions options;
  options.filter = filter;
  size_t passed = 0, failed = 0;
  bool unreadable = false;
  for (const std::string& file : files) {
    absl::StatusOr<std::vector<CaseResult>> results = RunScenarioFile(file, **pack, options);
    if (!results.ok()) {
      out << "cannot run " << results.status().message() << "\n";
      unreadable = true;
      continue;
    }
    if (verbose) out << file << "\n";
    for (const CaseResult& result : *results) {
      out << (result.passed ? "ok " : "FAILED ") << result.id << (result.title.empty() ? "" : " ") << result.title
          << "\n"
          << result.diff;
      ++(result.passed ? passed : failed);
    }
    out.flush();
  }
  if (passed + failed == 0 && !unreadable) {
    out << (filter.empty() ? "no case in the files\n" : "no case meets the filter \"" + filter + "\"\n");
    unreadable = true;
  }
  out << passed << " passed, " << failed << " failed\n";
  out.flush();
  return unreadable ? kUnreadable : failed > 0 ? kFailed : kPassed;
}

}  // namespace sluice
