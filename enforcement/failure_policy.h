// What a node answers where it cannot decide: the one place for it, by reason and operation. The default is the
// agreement's silence read strictly: deny, and count it as the provider's fault (8.2).
// Source: docs/failure-modes.md
#ifndef SLUICE_ENFORCEMENT_FAILURE_POLICY_H_
#define SLUICE_ENFORCEMENT_FAILURE_POLICY_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "enforcement/values.h"

namespace sluice {

// For one reason.
struct FailureChoice {
  uint32_t allowed =
      0;                // operations that pass, with the reason as their warning: 1 << Operation. All others are denied
  bool decide = false;  // of STALE_POLICY: answer by the policy that is there, and warn
  bool operator==(const FailureChoice& other) const { return allowed == other.allowed && decide == other.decide; }
};
inline constexpr uint32_t kEveryOperation = (uint32_t{1} << kOperationCount) - 1;

// "deny", "allow", "decide", or the operations that pass: "DOWNLOAD,LIST", in any case of letters. Nothing where it is
// none of these.
absl::optional<FailureChoice> ParseFailureChoice(absl::string_view text);
// As ParseFailureChoice reads it.
std::string FormatFailureChoice(const FailureChoice& choice);

// Plain values; copied.
class FailurePolicy {
 public:
  // The reasons for which a node cannot decide.
  static constexpr std::array<Reason, 4> kReasons = {Reason::kNotReady, Reason::kStalePolicy, Reason::kStoreUnreadable,
                                                     Reason::kOverloaded};

  // REQUIRES: one of kReasons.
  FailureChoice& of(Reason reason) { return choices_[IndexOf(reason)]; }
  const FailureChoice& of(Reason reason) const { return choices_[IndexOf(reason)]; }
  // Whether `operation` passes. Naming an operation names what is judged as it.
  bool Allows(Reason reason, Operation operation) const {
    const uint32_t bits = uint32_t{1} << static_cast<int>(operation) | uint32_t{1}
                                                                           << static_cast<int>(JudgedAs(operation));
    return (of(reason).allowed & bits) != 0;
  }

 private:
  static constexpr size_t IndexOf(Reason reason) {
    for (size_t i = 0; i + 1 < kReasons.size(); ++i) {
      if (kReasons[i] == reason) return i;
    }
    return kReasons.size() - 1;
  }
  std::array<FailureChoice, kReasons.size()> choices_{};
};

// Whether `reason` is one for which a node cannot decide.
constexpr bool IsUndecided(Reason reason) {
  return reason == Reason::kNotReady || reason == Reason::kStalePolicy || reason == Reason::kStoreUnreadable ||
         reason == Reason::kOverloaded;
}

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_FAILURE_POLICY_H_
