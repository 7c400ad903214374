// The kinds of values that an agreement pack is made of. Where one is wrong, it is noted in the StrictYaml and the
// target is left as it was.
#ifndef SLUICE_AGREEMENT_PACK_FIELDS_H_
#define SLUICE_AGREEMENT_PACK_FIELDS_H_

#include <algorithm>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "agreement/strict_yaml.h"
#include "enforcement/pack.h"

namespace sluice {

// The words of an enum from 1 to `last`: UNSPECIFIED is no answer in a pack.
template <typename Enum>
std::vector<std::string> Words(Enum last) {
  std::vector<std::string> words;
  for (int i = 1; i <= static_cast<int>(last); ++i) words.emplace_back(Name(static_cast<Enum>(i)));
  return words;
}

using YamlMembers = absl::flat_hash_map<std::string, YamlValue>;

// Calls `read` with the member `name`, if it is there; where it is not, Members has noted so.
template <typename Read>
void With(const YamlMembers& members, absl::string_view name, const Read& read) {
  const auto it = members.find(name);
  if (it != members.end()) read(it->second);
}

class PackFields {
 public:
  // `yaml` must outlive this.
  explicit PackFields(StrictYaml* yaml) : yaml_(*yaml) {}

  // A word of an enum, up to `last`.
  template <typename Enum>
  absl::optional<Enum> Word(const YamlValue& value, Enum last) {
    const std::vector<std::string> words = Words(last);
    const std::string wanted = absl::StrCat("one of ", absl::StrJoin(words, ", "));
    const absl::optional<std::string> text = yaml_.Text(value, wanted);
    if (!text) return absl::nullopt;
    const auto it = std::find(words.begin(), words.end(), *text);
    if (it != words.end()) return static_cast<Enum>(it - words.begin() + 1);
    yaml_.Refuse(value, wanted);
    return absl::nullopt;
  }

  // A text without line breaks, not empty.
  void ReadLine(const YamlValue& value, std::string* line);
  // "7.2.1".
  void ReadClause(const YamlValue& value, bool may_be_empty, std::string* clause);
  // true or false.
  void ReadFlag(const YamlValue& value, bool* flag);
  // "403", in S3 "403 AccessDenied".
  void ReadAnswer(const YamlValue& value, Dialect dialect, HttpAnswer* answer);
  // Each role once. With `among`, the roles that may send `change`, of those alone, unless it is empty because it was
  // refused itself.
  std::vector<Role> ReadRoles(const YamlValue& value, bool may_be_empty, const std::vector<Role>* among = nullptr,
                              absl::string_view change = {});

 private:
  StrictYaml& yaml_;
};

}  // namespace sluice

#endif  // SLUICE_AGREEMENT_PACK_FIELDS_H_
