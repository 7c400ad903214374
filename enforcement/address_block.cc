#include "enforcement/address_block.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace sluice {

AddressBlock AddressBlock::Widened(uint8_t n) const {
  AddressBlock wide = *this;
  wide.bits = n;
  for (int byte = 0; byte < 16; ++byte) {
    const int keep = std::clamp(n - 8 * byte, 0, 8);
    wide.bytes[byte] &= static_cast<uint8_t>(0xFF00 >> keep);
  }
  return wide;
}

namespace {

// Four decimal numbers without leading zeros, as inet_pton takes them; false for all else. Most addresses of checks.
bool ParseDotted(absl::string_view text, uint8_t* bytes) {
  const char* p = text.data();
  const char* const end = p + text.size();
  for (int i = 0; i < 4; ++i) {
    if (i > 0 && (p == end || *p++ != '.')) return false;
    unsigned digit;
    if (p == end || (digit = static_cast<unsigned>(*p - '0')) > 9) return false;
    ++p;
    unsigned number = digit;
    // Past 25 another digit is one too many, and behind a leading zero any is.
    while (number != 0 && number <= 25 && p != end && (digit = static_cast<unsigned>(*p - '0')) <= 9) {
      number = number * 10 + digit;
      ++p;
    }
    if (number > 255) return false;
    bytes[i] = static_cast<uint8_t>(number);
  }
  return p == end;
}

}  // namespace

absl::optional<AddressBlock> ParseAddress(absl::string_view text) {
  AddressBlock dotted;
  if (ParseDotted(text, dotted.bytes.data())) {
    dotted.v4 = true;
    dotted.bits = 32;
    return dotted;
  }
  char literal[INET6_ADDRSTRLEN];
  // inet_pton would stop at a NUL and take what stands before it.
  if (text.empty() || text.size() >= sizeof(literal) || absl::StrContains(text, '\0')) return absl::nullopt;
  std::memcpy(literal, text.data(), text.size());
  literal[text.size()] = '\0';
  AddressBlock address;
  if (inet_pton(AF_INET, literal, address.bytes.data()) == 1) {
    address.v4 = true;
    address.bits = 32;
    return address;
  }
  if (inet_pton(AF_INET6, literal, address.bytes.data()) != 1) return absl::nullopt;
  static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  if (std::memcmp(address.bytes.data(), kMapped, sizeof(kMapped)) == 0) {
    AddressBlock v4;
    std::copy(address.bytes.begin() + 12, address.bytes.end(), v4.bytes.begin());
    v4.v4 = true;
    v4.bits = 32;
    return v4;
  }
  address.bits = 128;
  return address;
}

absl::optional<AddressBlock> ParseAddressBlock(absl::string_view text) {
  const size_t slash = text.find('/');
  if (slash == absl::string_view::npos) return ParseAddress(text);
  const absl::optional<AddressBlock> address = ParseAddress(text.substr(0, slash));
  uint32_t bits = 0;
  if (!address || text.size() - slash > 4 || !absl::SimpleAtoi(text.substr(slash + 1), &bits)) return absl::nullopt;
  // "::ffff:1.2.3.0/120" is 1.2.3.0/24.
  if (address->v4 && absl::StrContains(text.substr(0, slash), ':')) {
    if (bits < 96) return absl::nullopt;
    bits -= 96;
  }
  if (bits > address->bits) return absl::nullopt;
  return address->Widened(static_cast<uint8_t>(bits));
}

std::string FormatAddressBlock(const AddressBlock& block) {
  char literal[INET6_ADDRSTRLEN];
  inet_ntop(block.v4 ? AF_INET : AF_INET6, block.bytes.data(), literal, sizeof(literal));
  return block.single() ? std::string(literal) : absl::StrCat(literal, "/", block.bits);
}

}  // namespace sluice
