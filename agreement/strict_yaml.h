// Reads YAML strictly: what is unknown, missing, there twice or of the wrong kind is an error with file and line, never
// quietly taken for something else. Collects errors instead of stopping at the first.
//
// yaml-cpp throws; every call into it that can throw stands in LoadYamlDocuments, or asks for the kind of a node first.
#ifndef SLUICE_AGREEMENT_STRICT_YAML_H_
#define SLUICE_AGREEMENT_STRICT_YAML_H_

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace sluice {

// A value of the file, and what it is called there: "reasons.SPAM.http". The root is called "".
struct YamlValue {
  YAML::Node node;
  std::string what;
  int line = 0;  // where errors about it stand; 0 = where the node begins
};

// A member of a map; errors about the key itself stand at the line of the key.
struct YamlEntry {
  std::string key;
  YAML::Node key_node;
  YamlValue value;
};

class StrictYaml {
 public:
  static constexpr int kErrorsMax = 20;
  static constexpr size_t kBytesMax = size_t{1} << 20;

  explicit StrictYaml(absl::string_view file_name) : file_name_(file_name) {}

  // The one document of `text`; nothing, and an error, where it is no well-formed YAML in UTF-8, over kBytesMax, or not
  // one document.
  absl::optional<YamlValue> Parse(absl::string_view text);

  // The members of a map. An error for each key that is there twice, is not among `names` and `optional`, or is missing
  // of `names`; the others are returned.
  absl::flat_hash_map<std::string, YamlValue> Members(const YamlValue& map, const std::vector<std::string>& names,
                                                      const std::vector<std::string>& optional = {});
  // The members of a map whose keys are the file's own to choose, in the order of the file, each once.
  std::vector<YamlEntry> Entries(const YamlValue& map);
  // The items of a list, "roles.paid[0]" and on.
  absl::optional<std::vector<YamlValue>> Items(const YamlValue& list, absl::string_view wanted);
  // The text of a scalar; `wanted` describes it where the value is another kind of thing.
  absl::optional<std::string> Text(const YamlValue& value, absl::string_view wanted);

  // Notes "FILE:LINE: WHAT: wanted WANTED, got GOT". Beyond kErrorsMax errors are only counted. `got` is taken from the
  // value where it is not given.
  void Refuse(const YamlValue& value, absl::string_view wanted);
  void Refuse(const YamlValue& value, absl::string_view wanted, absl::string_view got);

  bool ok() const { return count_ == 0; }
  // OK, or INVALID_ARGUMENT with one error a line, in the order of the file.
  absl::Status status() const;

 private:
  void RefuseLine(int line, absl::string_view what, absl::string_view wanted, absl::string_view got);

  const std::string file_name_;
  int count_ = 0;
  std::vector<std::pair<int, std::string>> errors_;  // by line
};

}  // namespace sluice

#endif  // SLUICE_AGREEMENT_STRICT_YAML_H_
