// Methods and handlers that tests of the listener call. A listener of several loops calls them from each.
#ifndef SLUICE_TESTS_SERVER_ECHO_METHODS_H_
#define SLUICE_TESTS_SERVER_ECHO_METHODS_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/listen/router.h"

namespace sluice {

// Answers with what it was asked; "fail:TEXT" with INVALID_ARGUMENT and TEXT; "size:N" with N bytes, a megabyte at
// most; "trace" with the trace parent.
class EchoMethod final : public UnaryMethod {
 public:
  static constexpr size_t kAnswerBytesMax = size_t{1} << 20;

  absl::Status Call(absl::string_view request, const CallContext& context, std::string* response) override {
    ++calls;
    if (absl::StartsWith(request, "fail:")) return absl::InvalidArgumentError(request.substr(5));
    if (absl::StartsWith(request, "size:")) {
      uint32_t size = 0;
      if (!absl::SimpleAtoi(request.substr(5), &size)) return absl::InvalidArgumentError("size");
      response->append(std::min<size_t>(size, kAnswerBytesMax), 'x');
    } else if (request == "trace") {
      absl::StrAppend(response, context.trace_parent);
    } else {
      absl::StrAppend(response, request);
    }
    return absl::OkStatus();
  }
  void CallTogether(absl::Span<const AskedCall> asked, AnswerSink* answers) override {
    size_t most = most_together;
    while (most < asked.size() && !most_together.compare_exchange_weak(most, asked.size())) {
    }
    UnaryMethod::CallTogether(asked, answers);
  }
  std::atomic<int> calls{0};
  std::atomic<size_t> most_together{0};
};

// Says what it was asked, in the body and in headers.
class EchoHandler final : public HttpHandler {
 public:
  void Answer(const HttpRequest& request, HttpResponse* response) override {
    ++calls;
    response->status = status;
    response->headers.emplace_back("x-echo", std::string(request.Header("x-ask")));
    response->body = absl::StrCat(request.method, " ", request.target, " ", request.host, " ", request.body);
  }
  std::atomic<int> calls{0};
  int status = 200;
};

// Both wait until they are let go.
class HeldHandler final : public HttpHandler {
 public:
  void Answer(const HttpRequest& request, HttpResponse* response) override {
    entered.Notify();
    let_go.WaitForNotification();
  }
  absl::Notification entered, let_go;
};
class HeldMethod final : public UnaryMethod {
 public:
  absl::Status Call(absl::string_view request, const CallContext& context, std::string* response) override {
    let_go.WaitForNotification();
    absl::StrAppend(response, request);
    return absl::OkStatus();
  }
  absl::Notification let_go;
};

struct EchoRoutes {
  EchoRoutes() {
    router.AddGrpc("/t.T/Unary", &method);
    router.AddGrpc("/t.T/Other", &other);
    router.AddGrpc("/t.T/Stream", &method, GrpcRoute::Flow::kStream);
    router.AddGrpc("/t.T/Watch", &method, GrpcRoute::Flow::kWatch);
    router.AddHttp("/echo", &handler);
    router.AddHttpPrefix("/deep/", &handler);
  }
  EchoMethod method, other;
  EchoHandler handler;
  Router router;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SERVER_ECHO_METHODS_H_
