#include "decision_log/hash_chain.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"

namespace sluice {

ChainLink NextLink(const ChainLink& before, std::initializer_list<absl::string_view> written) {
  // Fetched once: looking the algorithm up costs more than hashing a block.
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  ChainLink link;
  unsigned size = 0;
  bool ok = context != nullptr && EVP_DigestInit_ex(context.get(), sha256, nullptr) == 1 &&
            EVP_DigestUpdate(context.get(), before.data(), before.size()) == 1;
  for (const absl::string_view part : written) {
    ok = ok && EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
  }
  // Fails only without memory, or where the library lacks SHA-256: no log could be written, or read, without.
  if (!ok || EVP_DigestFinal_ex(context.get(), link.data(), &size) != 1 || size != link.size()) abort();
  return link;
}

std::string FormatLink(const ChainLink& link) {
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(link.data()), link.size()));
}

absl::optional<ChainLink> ParseLink(absl::string_view text) {
  if (text.size() != 2 * kChainLinkBytes) return absl::nullopt;
  for (const char c : text) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return absl::nullopt;
  }
  const std::string bytes = absl::HexStringToBytes(text);
  ChainLink link;
  std::memcpy(link.data(), bytes.data(), link.size());
  return link;
}

}  // namespace sluice
