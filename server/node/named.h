// Puts the name of a key of the configuration before what went wrong with it.
#ifndef SLUICE_SERVER_NODE_NAMED_H_
#define SLUICE_SERVER_NODE_NAMED_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace sluice {

inline absl::Status Named(absl::string_view key, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(key, ": ", status.message()));
}

}  // namespace sluice

#endif  // SLUICE_SERVER_NODE_NAMED_H_
