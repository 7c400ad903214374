#include "bench/session_cost.h"

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/node.h"
#include "server/listen/enforcement_methods.h"
#include "server/listen/event_loop.h"
#include "server/listen/http2_session.h"

namespace sluice::bench {
namespace {

constexpr int kTogether = 64;

// Says the same to everybody: what is left is the session itself.
class NullMethod final : public UnaryMethod {
 public:
  absl::Status Call(absl::string_view request, const CallContext& context, std::string* response) override {
    response->append(40, '\0');
    return absl::OkStatus();
  }
};

absl::StatusOr<double> NanosecondsPerCall(const Router& router, const std::shared_ptr<const Http2Calls>& questions,
                                          int64_t calls, bool check) {
  const SessionLimits limits;
  http2::Http2Session session(&router, &limits, MonotonicNow());
  Http2Caller caller(questions);
  std::string in, owed;
  std::vector<Answer> answers;
  caller.Greet(&in);
  int64_t spent_ns = 0;
  for (int64_t done = 0; done < calls; done += kTogether) {
    in += owed;
    owed.clear();
    for (int i = 0; i < kTogether && caller.MayCall(); ++i) caller.Call(static_cast<size_t>(done + i), 0, &in);
    const int64_t before = MonotonicNow().ns;
    session.Receive(absl::MakeSpan(in.data(), in.size()), {before});
    spent_ns += MonotonicNow().ns - before;
    in.clear();
    answers.clear();
    caller.Receive(session.out(), &owed, &answers);
    session.out().clear();
    if (!caller.fault().empty()) return absl::InternalError(caller.fault());
    if (answers.size() != kTogether) return absl::InternalError(absl::StrCat("got ", answers.size(), " answers"));
    for (const Answer& answer : answers) {
      if (check && !answer.wrong.empty()) return absl::InternalError(answer.wrong);
    }
  }
  return static_cast<double>(spent_ns) / static_cast<double>(calls);
}

}  // namespace

absl::Status PrintSessionCosts(const Sizes& sizes, const std::shared_ptr<const Http2Calls>& questions, int64_t calls,
                               const std::string& only) {
  const TemporaryFolder folder;
  const absl::StatusOr<std::unique_ptr<Node>> node = Node::Create(sizes, folder.path());
  if (!node.ok()) return node.status();
  NullMethod null;
  Router routers[3];
  routers[0].AddGrpc("/sluice.v1.Enforcement/Check", &null);
  const EnforcementMethods bare((*node)->bare_checker(), &routers[1]), watched((*node)->checker(), &routers[2]);
  constexpr const char* kNames[] = {"null", "bare", "watched"};
  for (int i = 0; i < 3; ++i) {
    if (!only.empty() && only != kNames[i]) continue;
    const absl::StatusOr<double> ns = NanosecondsPerCall(routers[i], questions, calls, /*check=*/i > 0);
    if (!ns.ok()) return ns.status();
    std::printf("session, %-8s %6.0f ns a call\n", kNames[i], *ns);
  }
  return absl::OkStatus();
}

}  // namespace sluice::bench
