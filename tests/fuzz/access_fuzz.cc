// An access file: refused with file and line, or one that lets in nobody who shows nothing.
#include <stdlib.h>

#include <string>

#include "absl/strings/match.h"
#include "server/access.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto access = sluice::Access::Parse("access.yaml", text);
  if (!access.ok()) {
    if (!absl::StrContains(access.status().message(), "access.yaml:")) abort();
    return 0;
  }
  sluice::Credential credential;
  if ((*access)->Of(credential)) abort();
  credential.certificate.emplace();
  if ((*access)->Of(credential)) abort();
  credential.token = "";
  (*access)->Of(credential);
  return 0;
}
