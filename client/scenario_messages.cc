// The lists of messages that steps of a scenario hold.
#include <utility>

#include "client/scenario_reader.h"

namespace sluice {
namespace {

absl::optional<int> WordOf(const YAML::Node& node, const google::protobuf::EnumDescriptor* type) {
  return node.IsScalar() ? ParseEnumName(type, node.Scalar()) : absl::nullopt;
}

}  // namespace

absl::StatusOr<std::vector<ScenarioEvent>> ReadScenarioEvents(const YAML::Node& list, absl::string_view file,
                                                              const YamlVariables& variables) {
  if (!list.IsSequence()) return YamlError(list, file, "apply", "a list of events");
  std::vector<ScenarioEvent> events;
  for (const YAML::Node& item : list) {
    if (!item.IsMap()) return YamlError(item, file, "apply", "an event such as `freeze: {account: u1}`");
    ScenarioEvent event;
    if (absl::Status status = MergeYaml(item, file, &event.event, &variables, "outcome"); !status.ok()) return status;
    bool has_outcome = false;
    for (const auto& entry : item) {
      event.role_given |= entry.first.Scalar() == "role";
      if (entry.first.Scalar() != "outcome") continue;
      if (std::exchange(has_outcome, true)) return YamlProblem(entry.first, file, "outcome", "is there twice");
      const absl::optional<int> word = WordOf(entry.second, v1::Outcome_descriptor());
      if (!word || !v1::Outcome_IsValid(*word) || *word == v1::OUTCOME_UNSPECIFIED) {
        return YamlError(entry.second, file, "outcome", "APPLIED, DUPLICATE, STALE or REJECTED");
      }
      event.outcome = static_cast<v1::Outcome>(*word);
    }
    events.push_back(std::move(event));
  }
  return events;
}

absl::StatusOr<std::vector<ScenarioAnnouncement>> ReadScenarioAnnouncements(const YAML::Node& list,
                                                                            absl::string_view file,
                                                                            const YamlVariables& variables) {
  if (!list.IsSequence()) return YamlError(list, file, "announced", "a list");
  std::vector<ScenarioAnnouncement> announcements;
  for (const YAML::Node& item : list) {
    if (!item.IsMap()) return YamlError(item, file, "announced", "a mapping such as {kind: RECLAIMABLE, account: u1}");
    ScenarioAnnouncement announcement;
    announcement.listed.reset(item);
    absl::Status status = MergeYaml(item, file, &announcement.subject, &variables, "kind");
    if (!status.ok()) return status;
    bool has_kind = false;
    for (const auto& entry : item) {
      if (entry.first.Scalar() != "kind") continue;
      if (std::exchange(has_kind, true)) return YamlProblem(entry.first, file, "kind", "is there twice");
      const absl::optional<int> word = WordOf(entry.second, v1::AnnouncementKind_descriptor());
      if (!word) return YamlError(entry.second, file, "kind", "a word such as RECLAIMABLE");
      announcement.kind = static_cast<v1::AnnouncementKind>(*word);
    }
    if (!has_kind) return YamlProblem(item, file, "announced", "wanted a kind such as RECLAIMABLE");
    announcements.push_back(announcement);
  }
  return announcements;
}

absl::StatusOr<std::vector<v1::Usage>> ReadScenarioUsages(const YAML::Node& node, absl::string_view file,
                                                          const YamlVariables& variables) {
  std::vector<v1::Usage> usages;
  if (!node.IsSequence()) {
    absl::Status status = MergeYaml(node, file, &usages.emplace_back(), &variables);
    if (!status.ok()) return status;
    return usages;
  }
  for (const YAML::Node& item : node) {
    if (absl::Status status = MergeYaml(item, file, &usages.emplace_back(), &variables); !status.ok()) return status;
  }
  return usages;
}

}  // namespace sluice
