// A unary gRPC method as bytes in, bytes out: what the data-path listener calls, whatever the service.
#ifndef SLUICE_SERVER_LISTEN_UNARY_METHOD_H_
#define SLUICE_SERVER_LISTEN_UNARY_METHOD_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace sluice {

// What a method may know of its call. Views are good until the method returns.
struct CallContext {
  absl::string_view trace_parent;  // as ParseTraceParent gives it; empty where there was none
};

// One of several calls that came together. Views are good until it was answered.
struct AskedCall {
  absl::string_view request;
  CallContext context;
};

// Where their answers go: each call, by its place among them, has one BeginAnswer, one EndAnswer behind it, and no
// other's between.
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  // Where the serialized answer is appended to.
  virtual std::string* BeginAnswer(size_t call) = 0;
  // False where no answer behind this one is wanted: what was asked there is then not done. Never after OK.
  virtual bool EndAnswer(size_t call, absl::Status status) = 0;
};

// Called on the threads of the listener, several at once; must not block.
class UnaryMethod {
 public:
  virtual ~UnaryMethod() = default;
  // Appends the serialized answer to `*response`, or returns the status of the call. A denial is an answer, never a
  // status.
  virtual absl::Status Call(absl::string_view request, const CallContext& context, std::string* response) = 0;
  // Answers calls that came together as Call would one after the other. For methods that are faster so.
  virtual void CallTogether(absl::Span<const AskedCall> calls, AnswerSink* answers) {
    for (size_t i = 0; i < calls.size(); ++i) {
      std::string* const response = answers->BeginAnswer(i);
      if (!answers->EndAnswer(i, Call(calls[i].request, calls[i].context, response))) return;
    }
  }
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_UNARY_METHOD_H_
