// What gRPC puts into header fields: statuses, messages, timeouts (PROTOCOL-HTTP2.md of gRPC).
#ifndef SLUICE_SERVER_LISTEN_GRPC_STATUS_H_
#define SLUICE_SERVER_LISTEN_GRPC_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"

namespace sluice {

// At most this many bytes of a message travel: it goes into a header.
inline constexpr size_t kStatusMessageBytesMax = 1000;

// The front of `message` that fits, not cut in the middle of a character.
absl::string_view CutStatusMessage(absl::string_view message);

// `status` with " (trace ID)" behind its message, which is cut so that both fit: whoever was refused can name the
// trace, and it is found in the decision log of what was asked around it. Unchanged where it is OK or there is no
// trace.
absl::Status WithTrace(absl::Status status, absl::string_view trace_parent);

// grpc-message: percent-encoded, cut at kStatusMessageBytesMax.
std::string EncodeStatusMessage(absl::string_view message);

// grpc-timeout: one to eight digits and a unit, "100m", "5S". Nothing for any other text.
absl::optional<absl::Duration> ParseGrpcTimeout(absl::string_view text);

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_GRPC_STATUS_H_
