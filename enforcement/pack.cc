#include "enforcement/pack.h"

#include <algorithm>

namespace sluice {

// A pack has a dozen of each: a walk is as fast as any map, and keeps the order of the file.
const Category* Pack::FindCategory(absl::string_view clause) const {
  const auto it = std::find_if(categories.begin(), categories.end(),
                               [&](const Category& category) { return category.clause == clause; });
  return it == categories.end() ? nullptr : &*it;
}

const Parameter* Pack::FindParameter(absl::string_view name) const {
  const auto it = std::find_if(parameters.begin(), parameters.end(),
                               [&](const Parameter& parameter) { return parameter.name == name; });
  return it == parameters.end() ? nullptr : &*it;
}

bool Pack::MaySend(size_t change_index, Role role) const {
  if (change_index >= roles.size()) return false;
  const std::vector<Role>& may = roles[change_index];
  return std::find(may.begin(), may.end(), role) != may.end();
}

}  // namespace sluice
