#include "enforcement/parameters.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "enforcement/calendar.h"

namespace sluice {
namespace {

// Decimal and whole; nothing but digits, as domain.md, section 7 has it.
absl::optional<int64_t> ParseWhole(absl::string_view text) {
  int64_t number = 0;
  if (text.empty() || text.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(text, &number)) {
    return absl::nullopt;
  }
  return number;
}

// Longer than any window that can be meant, short enough for every date to exist.
constexpr int64_t kDaysMax = 36500;

// Of the values that `holds`, the one that counts: the highest level, and the last one set.
template <typename Holds>
const ParameterValue* Best(const std::vector<ParameterValue>* values, const Holds& holds) {
  const ParameterValue* best = nullptr;
  if (values == nullptr) return nullptr;
  for (const ParameterValue& value : *values) {
    if (!holds(value)) continue;
    if (best == nullptr || value.level > best->level ||
        (value.level == best->level && value.revision > best->revision)) {
      best = &value;
    }
  }
  return best;
}

template <typename Holds>
absl::string_view ValueWhere(const Parameter& parameter, const std::vector<ParameterValue>* named,
                             const std::vector<ParameterValue>* everyone, const Holds& holds) {
  if (!parameter.floor.empty()) return parameter.floor;
  const ParameterValue* own = Best(named, holds);
  const ParameterValue* common = Best(everyone, holds);
  if (own != nullptr && (common == nullptr || own->level >= common->level)) return own->value;
  return common != nullptr ? absl::string_view(common->value) : absl::string_view(parameter.default_value);
}

}  // namespace

absl::Status CheckParameterValue(const Parameter& parameter, absl::string_view value) {
  const auto want = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(parameter.name, ": want ", what, ", got \"", value, "\""));
  };
  absl::Duration duration;
  switch (parameter.type) {
    case ParameterType::kDays:
      if (const auto days = ParseWhole(value); !days || *days > kDaysMax) {
        return want(absl::StrCat("a whole number of days, at most ", kDaysMax));
      }
      return absl::OkStatus();
    case ParameterType::kSwitch:
      return value == "on" || value == "off" ? absl::OkStatus() : want("\"on\" or \"off\"");
    case ParameterType::kDates: {
      const absl::StatusOr<Holidays> holidays = ParseHolidays(value);
      return holidays.ok() ? absl::OkStatus() : want(holidays.status().message());
    }
    case ParameterType::kDuration:
      return absl::ParseDuration(std::string(value), &duration) && duration >= absl::ZeroDuration()
                 ? absl::OkStatus()
                 : want("a duration like 48h");
    case ParameterType::kBytes:
      return ParseWhole(value) ? absl::OkStatus() : want("a whole number of bytes");
    case ParameterType::kSeconds:
      if (const auto seconds = ParseWhole(value); !seconds || *seconds == 0 || *seconds > 86400) {
        return want("a whole number of seconds from 1 to 86400");
      }
      return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat(parameter.name, ": a type that is unknown"));
}

void Parameters::Put(absl::string_view name, absl::string_view account, std::vector<ParameterValue> values) {
  if (!values.empty()) {
    values_[name][account] = std::move(values);
    return;
  }
  const auto it = values_.find(name);
  if (it != values_.end()) it->second.erase(account);
}

const std::vector<ParameterValue>* Parameters::Find(absl::string_view name, absl::string_view account) const {
  if (values_.empty()) return nullptr;
  const auto by_account = values_.find(name);
  if (by_account == values_.end()) return nullptr;
  const auto values = by_account->second.find(account);
  return values == by_account->second.end() ? nullptr : &values->second;
}

absl::string_view Parameters::ValueAt(absl::string_view name, absl::string_view account, absl::Time t,
                                      absl::Time known_by) const {
  return ValueWhere(
      *pack_->FindParameter(name), account.empty() ? nullptr : Find(name, account), Find(name, ""),
      [&](const ParameterValue& value) { return value.from <= t && t < value.to && value.arrived_at <= known_by; });
}

bool Parameters::IsOn(absl::string_view name, absl::string_view account, const Moment& now) const {
  const auto holds = [&](const ParameterValue& value) {
    // "on" opens: it begins when its written time has passed for certain, and ends at once. "off" the other way round.
    const bool opens = value.value == "on";
    const bool written_ahead = value.from > value.arrived_at;
    // A moment of the past may be asked for, before what has passed for certain by now.
    const bool begun = value.from <= now.wall && (!opens || !written_ahead || now.Passed(value.from));
    const bool ended = value.to <= now.wall && (opens || now.Passed(value.to));
    return begun && !ended;
  };
  return ValueWhere(*pack_->FindParameter(name), account.empty() ? nullptr : Find(name, account), Find(name, ""),
                    holds) == "on";
}

int64_t Parameters::NumberAt(absl::string_view name, absl::string_view account, absl::Time t,
                             absl::Time known_by) const {
  return ParseWhole(ValueAt(name, account, t, known_by)).value_or(0);
}

template <typename Visit>
void Parameters::ForEachChange(absl::string_view name, absl::string_view account, const Visit& visit) const {
  for (const absl::string_view read : {name, absl::string_view("holidays"), absl::string_view("holiday_extension")}) {
    for (const absl::string_view whose : {account, absl::string_view()}) {
      const std::vector<ParameterValue>* values = Find(read, whose);
      if (values == nullptr) continue;
      for (const ParameterValue& value : *values) {
        visit(value.from);
        visit(value.to);
      }
    }
  }
}

absl::Time Parameters::NextMove(absl::string_view name, absl::string_view account, absl::Time after) const {
  absl::Time next = absl::InfiniteFuture();
  ForEachChange(name, account, [&](absl::Time change) {
    if (change > after) next = std::min(next, change);
  });
  return next;
}

absl::Time Parameters::Deadline(absl::string_view name, absl::string_view account, absl::Time start,
                                absl::Time arrived_at, absl::Time as_of) const {
  const auto end_as_read = [&](absl::Time at, absl::Time known_by) {
    Holidays holidays;
    if (ValueAt("holiday_extension", account, at, known_by) == "on") {
      // Checked when it was set.
      holidays = ParseHolidays(ValueAt("holidays", account, at, known_by)).value_or(Holidays());
    }
    return WindowEnd(start, NumberAt(name, account, at, known_by), holidays);
  };
  absl::Time deadline = end_as_read(start, std::max(arrived_at, start));
  deadline = std::max(deadline, end_as_read(start, absl::InfiniteFuture()));

  std::vector<absl::Time> changes;
  ForEachChange(name, account, [&](absl::Time change) {
    if (change > start && change <= as_of) changes.push_back(change);
  });
  std::sort(changes.begin(), changes.end());
  for (const absl::Time change : changes) {
    if (change >= deadline) break;  // the clock has run out by then
    deadline = std::max(deadline, end_as_read(change, absl::InfiniteFuture()));
  }
  return deadline;
}

}  // namespace sluice
