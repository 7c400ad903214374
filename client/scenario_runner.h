// Runs one case of a scenario file on a simulation of its own.
#ifndef SLUICE_CLIENT_SCENARIO_RUNNER_H_
#define SLUICE_CLIENT_SCENARIO_RUNNER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/scenario.h"
#include "client/scenario_reader.h"
#include "client/simulation.h"

namespace sluice {

class ScenarioRunner {
 public:
  // All must outlive the runner. `file` stands in front of lines.
  ScenarioRunner(const Scenario* scenario, absl::string_view file, const Pack* pack)
      : scenario_(scenario), file_(file), pack_(pack) {}

  // A step that goes wrong is noted and the next ones run; one that cannot run at all ends the case. An error only
  // where no simulation can be made.
  absl::StatusOr<CaseResult> Run(const AskEngine& ask);

 private:
  absl::Status ApplyFixture();
  absl::Status RunStep(const Step& step);
  absl::Status RunApply(const Step& step);
  absl::Status RunCheck(const Step& step);
  absl::Status RunReport(const Step& step);
  absl::Status RunDescribe(const Step& step);
  absl::Status RunAnnounced(const Step& step);
  absl::Status RunAudit(const Step& step);
  absl::Status RunMetrics(const Step& step);
  absl::Status RunReplay(const Step& step);

  // Compares what a dialect's hint says now with what the step wants of it.
  absl::Status CompareHttp(const Step& step, const CheckInput& input, std::vector<Difference>* differences);
  absl::Status CompareExpectation(const Step& step, const google::protobuf::Message& answer,
                                  std::vector<Difference>* differences);
  void Keep(const Step& step, const google::protobuf::Message& answer, std::vector<Difference>* differences);
  void FillDefaultRole(ScenarioEvent* event) const;
  // What stands in the diff under a check: the answer, and the rules that matched.
  std::string Context(const Decision& decision, const CheckInput& input) const;
  // Adds a paragraph to the diff; without differences nothing.
  void Note(const Step& step, const std::vector<Difference>& differences, const std::string& context);

  const Scenario* const scenario_;
  const absl::string_view file_;
  const Pack* const pack_;
  std::unique_ptr<Simulation> simulation_;
  YamlVariables variables_;
  std::string diff_;
};

}  // namespace sluice

#endif  // SLUICE_CLIENT_SCENARIO_RUNNER_H_
