#include "enforcement/event.h"

#include <array>
#include <type_traits>

namespace sluice {
namespace {

// The fields of the oneof in policy.proto, by Change::index(). proto/translate.cc holds the two together.
constexpr std::array<absl::string_view, kChangeCount> kChangeNames = {
    "",
    "open_account",
    "paid",
    "withhold",
    "clear_withhold",
    "set_balance",
    "freeze",
    "payment_pending",
    "unfreeze",
    "set_service_end",
    "give_notice",
    "withdraw_notice",
    "terminate",
    "grant_backup",
    "reinstate",
    "confirm_reclaimed",
    "bind_bucket",
    "bind_domain",
    "unbind_domain",
    "set_permit",
    "classify_domain",
    "registry_sync",
    "raise_flag",
    "clear_flag",
    "grant_exception",
    "issue_order",
    "lift_order",
    "place_hold",
    "release_hold",
    "restrict",
    "unrestrict",
    "order_deletion",
    "set_limit",
    "clear_limit",
    "set_parameter",
    "set_maintenance",
    "set_usage",
    "announce_terms",
};
// An initializer too short would leave empty names at the end; one too long does not compile.
static_assert(!kChangeNames.back().empty());

template <typename Alternative, typename... Those>
constexpr bool kIsOneOf = (std::is_same_v<Alternative, Those> || ...);

// The first fifteen of policy.proto. Bindings and parameters name an account too, but do not set its standing.
template <typename Alternative>
constexpr bool kIsLifecycle =
    kIsOneOf<Alternative, OpenAccount, Paid, Withhold, ClearWithhold, SetBalance, Freeze, PaymentPending, Unfreeze,
             SetServiceEnd, GiveNotice, WithdrawNotice, Terminate, GrantBackup, Reinstate, ConfirmReclaimed>;

}  // namespace

absl::string_view ChangeName(size_t index) {
  return index < kChangeNames.size() ? kChangeNames[index] : absl::string_view();
}

absl::optional<size_t> ParseChangeName(absl::string_view name) {
  for (size_t index = 1; index < kChangeNames.size(); ++index) {
    if (kChangeNames[index] == name) return index;
  }
  return absl::nullopt;
}

absl::string_view LifecycleAccount(const Change& change) {
  return std::visit(
      [](const auto& alternative) -> absl::string_view {
        if constexpr (kIsLifecycle<std::decay_t<decltype(alternative)>>) {
          return alternative.account;
        } else {
          return {};
        }
      },
      change);
}

}  // namespace sluice
