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

const std::vector<Role>& Pack::RolesFor(const Change& change) const {
  if (const auto* terminate = std::get_if<Terminate>(&change)) {
    const auto it = terminate_roles.find(terminate->cause);
    if (it != terminate_roles.end()) return it->second;
  } else if (const auto* flag = std::get_if<RaiseFlag>(&change)) {
    const auto it = category_roles.find(flag->category);
    if (it != category_roles.end()) return it->second;
  }
  return roles[change.index()];
}

}  // namespace sluice
