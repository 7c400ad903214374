// A policy file: refused with file and line, or events that are the same again once they were written and read.
#include <stdlib.h>

#include "absl/strings/match.h"
#include "client/yaml_message.h"
#include "proto/translate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto events = sluice::ReadPolicyText(text, "p.yaml");
  if (!events.ok()) {
    if (!absl::StrContains(events.status().message(), "p.yaml")) abort();
    return 0;
  }
  const auto again = sluice::ReadPolicyText(sluice::PolicyToYaml(*events), "q.yaml");
  if (!events->empty() && !again.ok()) abort();
  for (size_t i = 0; i < events->size(); ++i) {
    if ((*events)[i].SerializeAsString() != (*again)[i].SerializeAsString()) abort();
    sluice::FromProto((*events)[i]);
  }
  return 0;
}
