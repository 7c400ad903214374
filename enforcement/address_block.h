// Addresses and blocks of them.
#ifndef SLUICE_ENFORCEMENT_ADDRESS_BLOCK_H_
#define SLUICE_ENFORCEMENT_ADDRESS_BLOCK_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace sluice {

// An address, or a block of them. IPv4-mapped IPv6 is the IPv4 address.
struct AddressBlock {
  std::array<uint8_t, 16> bytes{};  // IPv4 in the first four; bits beyond `bits` are 0
  bool v4 = false;
  uint8_t bits = 0;  // prefix length; 32 or 128 for one address

  bool single() const { return bits == (v4 ? 32 : 128); }
  // The block of the first `n` bits. REQUIRES: n <= bits.
  AddressBlock Widened(uint8_t n) const;
};
// An IPv4 or IPv6 literal, without a port or zone; nothing for other text.
absl::optional<AddressBlock> ParseAddress(absl::string_view text);
// An address or a CIDR block; bits beyond the prefix are dropped.
absl::optional<AddressBlock> ParseAddressBlock(absl::string_view text);
std::string FormatAddressBlock(const AddressBlock& block);

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_ADDRESS_BLOCK_H_
