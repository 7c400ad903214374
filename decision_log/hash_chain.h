// The chain that runs through every byte of the log: each link is the SHA-256 of the link before and of what was
// written since. Whoever knows one link knows whether anything before it was altered or taken away.
#ifndef SLUICE_DECISION_LOG_HASH_CHAIN_H_
#define SLUICE_DECISION_LOG_HASH_CHAIN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace sluice {

inline constexpr size_t kChainLinkBytes = 32;
using ChainLink = std::array<uint8_t, kChainLinkBytes>;  // all zero before the first

ChainLink NextLink(const ChainLink& before, std::initializer_list<absl::string_view> written);

// 64 hex digits, lower case.
std::string FormatLink(const ChainLink& link);
absl::optional<ChainLink> ParseLink(absl::string_view text);

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_HASH_CHAIN_H_
