// An agreement pack: read whole or refused whole, with file and line, and never an exception.
#include <stdlib.h>

#include "absl/strings/match.h"
#include "agreement/loader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto pack = sluice::LoadPack(text, "pack.yaml");
  if (!pack.ok()) {
    if (!absl::StrContains(pack.status().message(), "pack.yaml:")) abort();
    return 0;
  }
  // What no pack may say: 7.4.
  for (const auto& reason : (*pack)->reasons) {
    if (reason.generic.status != 0 && reason.generic.status < 300) abort();
  }
  return 0;
}
