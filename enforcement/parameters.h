// Parameters of the agreement by document: contract > attachment > web page > agreement > the pack's default, each
// looked up by itself (1.2, 11.1). Within a level the named account beats everyone.
#ifndef SLUICE_ENFORCEMENT_PARAMETERS_H_
#define SLUICE_ENFORCEMENT_PARAMETERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "enforcement/check.h"
#include "enforcement/event.h"
#include "enforcement/pack.h"

namespace sluice {

struct ParameterValue {
  Level level = Level::kAgreement;
  std::string value;
  absl::Time from, to;  // [from, to)
  absl::Time arrived_at;
  int64_t revision = 0;
};

class Parameters {
 public:
  explicit Parameters(const Pack* pack) : pack_(pack) {}

  // Replaces all values of one name and account ("" = everyone).
  void Put(absl::string_view name, absl::string_view account, std::vector<ParameterValue> values);

  // The value in force at `t`. With `known_by`, only of what had arrived by then. A floor of the law is not lowered.
  // Views this object or the pack. REQUIRES: the pack has `name`.
  absl::string_view ValueAt(absl::string_view name, absl::string_view account, absl::Time t,
                            absl::Time known_by = absl::InfiniteFuture()) const;

  // A switch at a check: what opens waits until its written time has passed by the slowest clock.
  bool IsOn(absl::string_view name, absl::string_view account, const Moment& now) const;

  // The end of a window of `name` ("grace_days", "retention_days") that starts at `start` by an event that arrived at
  // `arrived_at`, as it stands at `as_of`: as read when the clock starts, and moved later, never sooner, by values that
  // have come into force meanwhile.
  absl::Time Deadline(absl::string_view name, absl::string_view account, absl::Time start, absl::Time arrived_at,
                      absl::Time as_of) const;
  // The next moment after `after` at which Deadline may move; InfiniteFuture where it will not.
  absl::Time NextMove(absl::string_view name, absl::string_view account, absl::Time after) const;

  int64_t NumberAt(absl::string_view name, absl::string_view account, absl::Time t,
                   absl::Time known_by = absl::InfiniteFuture()) const;

 private:
  // Calls `visit` with each moment at which a value that a window of `name` reads comes into force or ends.
  template <typename Visit>
  void ForEachChange(absl::string_view name, absl::string_view account, const Visit& visit) const;
  const std::vector<ParameterValue>* Find(absl::string_view name, absl::string_view account) const;

  const Pack* pack_;
  // By name, then by account.
  absl::flat_hash_map<std::string, absl::flat_hash_map<std::string, std::vector<ParameterValue>>> values_;
};

// OK where `value` is one that `parameter` can have; INVALID_ARGUMENT says what it wants.
absl::Status CheckParameterValue(const Parameter& parameter, absl::string_view value);

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_PARAMETERS_H_
