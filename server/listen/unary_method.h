// A unary gRPC method as bytes in, bytes out: what the data-path listener calls, whatever the service.
#ifndef SLUICE_SERVER_LISTEN_UNARY_METHOD_H_
#define SLUICE_SERVER_LISTEN_UNARY_METHOD_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

// What a method may know of its call. Views are good until the method returns.
struct CallContext {
  absl::string_view trace_parent;  // as ParseTraceParent gives it; empty where there was none
};

// Called on the threads of the listener, several at once; must not block.
class UnaryMethod {
 public:
  virtual ~UnaryMethod() = default;
  // Appends the serialized answer to `*response`, or returns the status of the call. A denial is an answer, never a
  // status.
  virtual absl::Status Call(absl::string_view request, const CallContext& context, std::string* response) = 0;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_UNARY_METHOD_H_
