// The documents of a YAML text: where everything that is read as YAML begins, instead of with YAML::LoadAll, which
// takes malformed bytes for others, the bytes 0 and 4 for the end, and of some texts finds no end.
#ifndef SLUICE_AGREEMENT_YAML_DOCUMENTS_H_
#define SLUICE_AGREEMENT_YAML_DOCUMENTS_H_

#include <yaml-cpp/yaml.h>

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

// The documents of `text`, none where there is nothing but comments. INVALID_ARGUMENT "FILE:LINE: WHAT: wanted WANTED,
// got GOT" where it is no well-formed YAML in UTF-8 or has a control character. Thread-safe; throws nothing.
absl::StatusOr<std::vector<YAML::Node>> LoadYamlDocuments(absl::string_view text, absl::string_view file);

}  // namespace sluice

#endif  // SLUICE_AGREEMENT_YAML_DOCUMENTS_H_
