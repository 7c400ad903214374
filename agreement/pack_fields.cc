#include "agreement/pack_fields.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace sluice {
namespace {

bool IsClause(absl::string_view text) {
  for (const absl::string_view part : absl::StrSplit(text, '.')) {
    if (part.empty() || part.size() > 3 || !std::all_of(part.begin(), part.end(), absl::ascii_isdigit)) return false;
  }
  return true;
}

bool Contains(const std::vector<Role>& roles, Role role) {
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

}  // namespace

// Texts go into headers and onto terminals: a line break in one would be a hole.
void PackFields::ReadLine(const YamlValue& value, std::string* line) {
  constexpr absl::string_view kWanted = "one line of text";
  const absl::optional<std::string> text = yaml_.Text(value, kWanted);
  if (!text) return;
  if (text->empty() || std::any_of(text->begin(), text->end(), absl::ascii_iscntrl))
    return yaml_.Refuse(value, kWanted);
  *line = *text;
}

void PackFields::ReadClause(const YamlValue& value, bool may_be_empty, std::string* clause) {
  const absl::string_view wanted = may_be_empty ? "a clause like \"7.2.1\", or \"\"" : "a clause like \"7.2.1\"";
  const absl::optional<std::string> text = yaml_.Text(value, wanted);
  if (!text) return;
  if (text->empty() ? !may_be_empty : !IsClause(*text)) return yaml_.Refuse(value, wanted);
  *clause = *text;
}

void PackFields::ReadFlag(const YamlValue& value, bool* flag) {
  const absl::optional<std::string> text = yaml_.Text(value, "true or false");
  if (!text) return;
  if (*text != "true" && *text != "false") return yaml_.Refuse(value, "true or false");
  *flag = *text == "true";
}

// "403 AccessDenied". A status below 400 is refused: gateways take 2xx for permission. Kodo's own go up to 699 (630).
void PackFields::ReadAnswer(const YamlValue& value, Dialect dialect, HttpAnswer* answer) {
  const bool named = dialect == Dialect::kS3;
  const int most = dialect == Dialect::kKodo ? 699 : 599;
  const std::string wanted = absl::StrCat("a status from 400 to ", most,
                                          named ? " and an error name, like 403 AccessDenied" : ", and no error name");
  const absl::optional<std::string> text = yaml_.Text(value, wanted);
  if (!text) return;
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(*text, absl::MaxSplits(' ', 1));
  int32_t status = 0;
  const bool digits =
      parts.first.size() == 3 && std::all_of(parts.first.begin(), parts.first.end(), absl::ascii_isdigit);
  if (!digits || !absl::SimpleAtoi(parts.first, &status) || status < 400 || status > most ||
      named == parts.second.empty() || !std::all_of(parts.second.begin(), parts.second.end(), absl::ascii_isalnum)) {
    return yaml_.Refuse(value, wanted);
  }
  *answer = {status, std::string(parts.second)};
}

std::vector<Role> PackFields::ReadRoles(const YamlValue& value, bool may_be_empty, const std::vector<Role>* among,
                                        absl::string_view change) {
  std::vector<Role> roles;
  const auto items = yaml_.Items(value, "a list of roles");
  if (!items) return roles;
  if (items->empty() && !may_be_empty) yaml_.Refuse(value, "at least one role", "an empty list");
  for (const YamlValue& item : *items) {
    const absl::optional<Role> role = Word(item, Role::kStorage);
    if (!role) continue;
    if (Contains(roles, *role)) {
      yaml_.Refuse(item, "each role once");
    } else if (among != nullptr && !among->empty() && !Contains(*among, *role)) {
      yaml_.Refuse(item, absl::StrCat("a role that may send ", change));
    } else {
      roles.push_back(*role);
    }
  }
  return roles;
}

}  // namespace sluice
