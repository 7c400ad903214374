// Hosts, keys, addresses: the one form of a name is the form of that form too, and within its bounds.
#include <stdlib.h>

#include <string>

#include "enforcement/names.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  std::string first, second;
  if (const auto host = sluice::CanonicalHost(text, &first); host.ok()) {
    const auto again = sluice::CanonicalHost(*host, &second);
    if (host->size() > 253) abort();
    if (!again.ok() || *again != *host) abort();
  }
  std::string buffer;
  const absl::string_view decoded = sluice::PercentDecode(text, &buffer);
  if (decoded.size() > text.size()) abort();
  std::string key_buffer;
  if (sluice::KeyOfPath(text, &key_buffer).size() > text.size()) abort();
  if (const auto block = sluice::ParseAddressBlock(text)) {
    const std::string shown = sluice::FormatAddressBlock(*block);
    const auto again = sluice::ParseAddressBlock(shown);
    if (!again || again->bytes != block->bytes || again->bits != block->bits || again->v4 != block->v4) abort();
  }
  if (sluice::ParseAddress(text) && !sluice::ParseAddressBlock(text)) abort();
  std::string digest_buffer, again_buffer;
  const absl::string_view digest = sluice::CanonicalDigest("sha256", text, &digest_buffer);
  if (sluice::CanonicalDigest("sha256", digest, &again_buffer) != digest) abort();
  sluice::Subject subject;
  subject.host = std::string(text.substr(0, text.find('\0')));
  if (text.find('\0') != absl::string_view::npos) subject.path = std::string(text.substr(text.find('\0') + 1));
  if (const auto canonical = sluice::CanonicalSubject(subject); canonical.ok()) {
    sluice::KeyOf(*canonical);
    sluice::Describe(*canonical);
  }
  return 0;
}
