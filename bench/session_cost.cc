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

// `together`: calls in one read.
absl::StatusOr<double> NanosecondsPerCall(const Router& router, const std::shared_ptr<const Http2Calls>& questions,
                                          int together, int64_t calls, bool check) {
  const SessionLimits limits;
  http2::Http2Session session(&router, &limits, MonotonicNow());
  Http2Caller caller(questions);
  std::string in, owed;
  std::vector<Answer> answers;
  caller.Greet(&in);
  int64_t spent_ns = 0;
  for (int64_t done = 0; done < calls; done += together) {
    in += owed;
    owed.clear();
    for (int i = 0; i < together && caller.MayCall(); ++i) caller.Call(static_cast<size_t>(done + i), 0, &in);
    const int64_t before = MonotonicNow().ns;
    session.Receive(absl::MakeSpan(in.data(), in.size()), {before});
    spent_ns += MonotonicNow().ns - before;
    in.clear();
    answers.clear();
    caller.Receive(session.out(), &owed, &answers);
    session.out().clear();
    if (!caller.fault().empty()) return absl::InternalError(caller.fault());
    if (answers.size() != static_cast<size_t>(together))
      return absl::InternalError(absl::StrCat("got ", answers.size(), " answers"));
    for (const Answer& answer : answers) {
      if (check && !answer.wrong.empty()) return absl::InternalError(answer.wrong);
    }
  }
  return static_cast<double>(spent_ns) / static_cast<double>(calls);
}

}  // namespace

absl::Status PrintSessionCosts(const Sizes& sizes, const SessionQuestions& questions, int64_t calls,
                               const std::string& only) {
  const TemporaryFolder folder;
  const absl::StatusOr<std::unique_ptr<Node>> node = Node::Create(sizes, folder.path());
  if (!node.ok()) return node.status();
  NullMethod null;
  Router routers[3];
  routers[0].AddGrpc("/sluice.v1.Enforcement/Check", &null);
  const EnforcementMethods bare((*node)->bare_checker(), &routers[1]), watched((*node)->checker(), &routers[2]);
  const struct {
    const char* name;
    const Router& router;
    const std::shared_ptr<const Http2Calls>& questions;
    int64_t checks = 1;  // of one call
  } cases[] = {{"null", routers[0], questions.unary},
               {"bare", routers[1], questions.unary},
               {"deadline", routers[1], questions.with_deadline},
               {"batch", routers[1], questions.batch, questions.batch_size},
               {"watched", routers[2], questions.unary}};
  for (const auto& each : cases) {
    if (!only.empty() && only != each.name) continue;
    const absl::StatusOr<double> ns =
        NanosecondsPerCall(each.router, each.questions, each.checks == 1 ? kTogether : 1, calls / each.checks,
                           /*check=*/&each.router != &routers[0]);
    if (!ns.ok()) return ns.status();
    std::printf("session, %-8s %6.0f ns a check\n", each.name, *ns / static_cast<double>(each.checks));
  }
  return absl::OkStatus();
}

}  // namespace sluice::bench
