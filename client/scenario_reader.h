// Reads scenario files into steps. Everything that can be wrong with a file is found here, before any case runs; what
// may hold `$variables` is kept as YAML and read again when its step runs.
#ifndef SLUICE_CLIENT_SCENARIO_READER_H_
#define SLUICE_CLIENT_SCENARIO_READER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "client/scenario_compare.h"
#include "client/simulation.h"
#include "client/yaml_message.h"
#include "sluice/v1/admin.pb.h"
#include "yaml-cpp/yaml.h"

namespace sluice {

enum class Action : uint8_t {
  kApply,
  kCheck,
  kExplain,
  kReport,
  kDescribe,
  kAnnounced,
  kAudit,
  kMetrics,
  kRestart,
  kReplay,
  kWallStep,
  kClockError,
};

// What one dialect's hint should be: "403 AccountProblem". Without a name none is compared.
struct HttpWanted {
  Dialect dialect = Dialect::kGeneric;
  std::string word;  // "s3"
  int32_t status = 0;
  absl::optional<std::string> code;
};

struct Step {
  Action action = Action::kCheck;
  std::string word;  // "check"
  int line = 0;
  absl::optional<absl::Time> at;
  YAML::Node argument;

  // check, explain, describe, audit. With `repeated`, `expectation.expect` is what the last answer should be.
  Expectation expectation;
  // check, explain.
  bool repeated = false;
  int64_t repeat = 1;
  absl::Duration every;
  std::vector<std::pair<int, int64_t>> counts;  // number of the verdict, how many
  absl::optional<YAML::Node> first;
  std::vector<HttpWanted> http;
  // audit.
  absl::optional<int64_t> records;
  // metrics.
  std::vector<std::string> has, lacks;

  absl::Duration wall_step;
  absl::optional<absl::Duration> clock_error;
};

struct Scenario {
  std::string id, title, clause;
  bool choice = false;
  bool standard_fixture = true;
  int line = 0;
  // All but `start`.
  Simulation::Options node;
  std::vector<Step> steps;
};

absl::StatusOr<std::vector<Scenario>> ReadScenarios(absl::string_view text, absl::string_view file);

// What an `apply` lists. `role_given` is false where the default is to be filled in.
struct ScenarioEvent {
  v1::PolicyEvent event;
  bool role_given = false;
  v1::Outcome outcome = v1::OUTCOME_APPLIED;
};
absl::StatusOr<std::vector<ScenarioEvent>> ReadScenarioEvents(const YAML::Node& list, absl::string_view file,
                                                              const YamlVariables& variables);

// One entry of `announced`: `listed` has the kind, and fields of the subject.
struct ScenarioAnnouncement {
  v1::AnnouncementKind kind = v1::ANNOUNCEMENT_KIND_UNSPECIFIED;
  v1::Subject subject;
  YAML::Node listed;
};
absl::StatusOr<std::vector<ScenarioAnnouncement>> ReadScenarioAnnouncements(const YAML::Node& list,
                                                                            absl::string_view file,
                                                                            const YamlVariables& variables);

// A `Usage`, or a list of them.
absl::StatusOr<std::vector<v1::Usage>> ReadScenarioUsages(const YAML::Node& node, absl::string_view file,
                                                          const YamlVariables& variables);

}  // namespace sluice

#endif  // SLUICE_CLIENT_SCENARIO_READER_H_
