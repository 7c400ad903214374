// A configuration: refused with file and line, or one that is the same again once it was printed and read.
#include <stdlib.h>

#include <string>

#include "absl/strings/match.h"
#include "server/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto config = sluice::ReadConfig("s.yaml", text, sluice::CommandLine());
  if (!config.ok()) {
    if (!absl::StrContains(config.status().message(), "s.yaml:")) abort();
    return 0;
  }
  const auto again = sluice::ReadConfig("s.yaml", sluice::FormatConfig(*config), sluice::CommandLine());
  if (!again.ok()) abort();
  for (const sluice::ConfigKey& key : sluice::ConfigKeys()) {
    if (key.get(config->config) != key.get(again->config)) abort();
  }
  return 0;
}
