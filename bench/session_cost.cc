#include "bench/session_cost.h"

#include <time.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/node.h"
#include "server/listen/enforcement_methods.h"
#include "server/listen/event_loop.h"
#include "server/listen/http2_session.h"
#include "server/listen/waiting.h"

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

int64_t CpuNs(clockid_t clock) {
  timespec used = {};
  clock_gettime(clock, &used);
  return used.tv_sec * int64_t{1'000'000'000} + used.tv_nsec;
}
int64_t CpuOfOthersNs() { return CpuNs(CLOCK_PROCESS_CPUTIME_ID) - CpuNs(CLOCK_THREAD_CPUTIME_ID); }

// What the answers are held to.
enum class Wanted { kNone, kRight, kShed };

// `together`: calls in one read.
absl::StatusOr<double> NanosecondsPerCall(const Router& router, const std::shared_ptr<const Http2Calls>& questions,
                                          int together, int64_t calls, Wanted wanted) {
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
      if (wanted != Wanted::kNone && !answer.wrong.empty()) return absl::InternalError(answer.wrong);
      if (answer.shed != (wanted == Wanted::kShed))
        return absl::InternalError("shed, or not, and it had to be otherwise");
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
    Wanted wanted = Wanted::kRight;
  } cases[] = {{"null", routers[0], questions.unary, 1, Wanted::kNone},
               {"bare", routers[1], questions.unary},
               {"deadline", routers[1], questions.with_deadline},
               {"batch", routers[1], questions.batch, questions.batch_size},
               {"watched", routers[2], questions.unary},
               {"shed", routers[2], questions.shed, 1, Wanted::kShed}};
  for (const auto& each : cases) {
    if (!only.empty() && only != each.name) continue;
    // A checker sheds what has waited for a second, unless it is told otherwise.
    SetArrivedSince({each.wanted == Wanted::kShed ? MonotonicNow().ns - int64_t{3'600'000'000'000} : 0});
    const int64_t others_before = CpuOfOthersNs();
    const absl::StatusOr<double> ns = NanosecondsPerCall(each.router, each.questions, each.checks == 1 ? kTogether : 1,
                                                         calls / each.checks, each.wanted);
    if (!ns.ok()) return ns.status();
    const double others_ns = static_cast<double>(CpuOfOthersNs() - others_before) / static_cast<double>(calls);
    std::printf("session, %-8s %6.0f ns a check, %6.0f ns of CPU on other threads\n", each.name,
                *ns / static_cast<double>(each.checks), others_ns);
  }
  return absl::OkStatus();
}

}  // namespace sluice::bench
