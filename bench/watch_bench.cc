// What watching costs a check, in process and without a wire: the same requests, bytes in and bytes out as a listener
// hands them over, with no observer, with metrics, and with metrics and decision log as sluiced has them. The sides
// take turns round by round. Two times are given: of the check's own thread, and of the whole process, which adds the
// threads of the log. The exit code is 1 where an answer was wrong.
//
//   sluice_watch_bench [--accounts N] [--buckets N] [--flags N] [--rounds N] [--checks N]
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/fixture.h"
#include "bench/median.h"
#include "decision_log/decision_log.h"
#include "enforcement/clock.h"
#include "metrics/metrics.h"
#include "server/listen/checker.h"
#include "server/readiness.h"
#include "server/system_clock.h"
#include "sluice/v1/check.pb.h"

namespace sluice::bench {
namespace {

struct Flags {
  Sizes sizes;
  int rounds = 9;
  int64_t checks = 200000;  // a round
};

constexpr size_t kRequests = size_t{1} << 14;  // a power of two

struct Request {
  std::string bytes;
  Verdict verdict;
};

struct Share {
  Case what;
  int percent;
};

std::vector<Request> MakeRequests(const Sizes& sizes, const std::vector<Share>& shares) {
  std::vector<Request> requests;
  for (const auto& [what, percent] : shares) {
    const size_t count = percent == 100 ? kRequests : kRequests * static_cast<size_t>(percent) / 100 + 1;
    const QuestionSet questions(sizes, what, count, /*seed=*/5);
    for (size_t i = 0; i < count; ++i) {
      const Question& question = questions[i];
      const auto text = [](absl::string_view view) { return std::string(view); };
      v1::CheckRequest message;
      message.set_request_id(absl::StrFormat("%016x", requests.size()));
      message.set_operation(static_cast<v1::Operation>(question.operation));
      message.set_requester(text(question.requester));
      message.set_bucket(text(question.bucket));
      message.set_key(text(question.key));
      message.set_host(text(question.host));
      message.set_path(text(question.path));
      message.set_client_ip(text(question.client_ip));
      requests.push_back({message.SerializeAsString(), question.verdict});
    }
  }
  std::shuffle(requests.begin(), requests.end(), std::mt19937_64(4));
  requests.resize(kRequests);
  return requests;
}

double SecondsOf(int who) {
  rusage usage = {};
  getrusage(who, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Side {
  const char* name;
  Checker* checker;
  std::vector<double> thread_ns, process_ns;  // a check, by round
};

// False where an answer was wrong.
bool Measure(const Flags& flags, const std::vector<Request>& requests, DecisionLog* log, Side* side) {
  std::string response;
  // By its first bytes an answer of this bench tells its verdict: request_id of 16 bytes, then field 2.
  constexpr size_t kVerdictAt = 2 + 16 + 1;
  int64_t wrong = 0;
  log->Flush().IgnoreError();
  const double thread = SecondsOf(RUSAGE_THREAD), process = SecondsOf(RUSAGE_SELF);
  for (int64_t i = 0; i < flags.checks; ++i) {
    const Request& request = requests[static_cast<size_t>(i) & (kRequests - 1)];
    response.clear();
    const absl::Status status = side->checker->CheckBytes(request.bytes, {}, &response);
    wrong += !status.ok() || response[kVerdictAt] != static_cast<char>(request.verdict);
  }
  const double thread_took = SecondsOf(RUSAGE_THREAD) - thread;
  log->Flush().IgnoreError();  // what the log has yet to write belongs to these checks
  const double process_took = SecondsOf(RUSAGE_SELF) - process;
  const auto checks = static_cast<double>(flags.checks);
  side->thread_ns.push_back(thread_took * 1e9 / checks);
  side->process_ns.push_back(process_took * 1e9 / checks);
  if (wrong > 0) std::fprintf(stderr, "sluice_watch_bench: %s: %ld wrong answers\n", side->name, wrong);
  return wrong == 0;
}

int Run(const Flags& flags) {
  Fixture fixture(flags.sizes, absl::Now());
  fixture.SetLimits(3);
  const SystemClock system_clock(absl::Seconds(1));
  const PolicyClock clock(&system_clock);
  Readiness readiness;
  readiness.SetHasPolicy(true);
  Metrics metrics({"bench", "default", ""}, &SystemClock::MonotonicNs);
  const TemporaryFolder folder;
  DecisionLog::Options options;
  options.folder = folder.path() + "/decisions";
  options.node = "bench";
  options.clock = &clock;
  const absl::StatusOr<std::unique_ptr<DecisionLog>> log = DecisionLog::Open(std::move(options));
  if (!log.ok()) {
    std::fprintf(stderr, "sluice_watch_bench: %s\n", std::string(log.status().message()).c_str());
    return 1;
  }
  Checker bare(&fixture.engine(), &clock, &readiness, &metrics, {});
  Checker counted(&fixture.engine(), &clock, &readiness, &metrics, {&metrics});
  Checker watched(&fixture.engine(), &clock, &readiness, &metrics, {&metrics, log->get()});

  const std::pair<const char*, std::vector<Share>> mixes[] = {
      {"allowed downloads", {{Case::kOwnerAllow, 100}}},
      {"denied downloads", {{Case::kFreezeDeny, 100}}},
      {"70 % downloads, 20 % CDN, 10 % denied",
       {{Case::kOwnerAllow, 70}, {Case::kCdnAllow, 20}, {Case::kFlagDeny, 5}, {Case::kFreezeDeny, 5}}}};
  bool right = true;
  std::printf("%-40s %-28s %12s %14s\n", "checks", "watched by", "thread ns", "process ns");
  for (const auto& [name, shares] : mixes) {
    const std::vector<Request> requests = MakeRequests(flags.sizes, shares);
    Side sides[] = {{"nothing", &bare, {}, {}}, {"metrics", &counted, {}, {}}, {"metrics and log", &watched, {}, {}}};
    for (int round = 0; round <= flags.rounds; ++round) {
      for (size_t i = 0; i < std::size(sides); ++i) {
        Side* const side = &sides[round % 2 == 0 ? i : std::size(sides) - 1 - i];
        right &= Measure(flags, requests, log->get(), side);
        if (round > 0) continue;  // the first warms up
        side->thread_ns.clear();
        side->process_ns.clear();
      }
    }
    for (const Side& side : sides) {
      const double thread = Median(side.thread_ns), process = Median(side.process_ns);
      std::printf("%-40s %-28s %6.0f %+5.0f %7.0f %+6.0f\n", name, side.name, thread,
                  thread - Median(sides[0].thread_ns), process, process - Median(sides[0].process_ns));
    }
  }
  std::printf("%ld records dropped\n", (*log)->dropped());
  return right ? 0 : 1;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("What metrics and decision log cost a check, in process.");
  app.add_option("--accounts", flags.sizes.accounts, "Accounts of the policy");
  app.add_option("--buckets", flags.sizes.buckets, "Buckets of the policy");
  app.add_option("--flags", flags.sizes.flags, "Flagged objects of the policy");
  app.add_option("--rounds", flags.rounds, "How often each side is measured")->check(CLI::Range(1, 1000));
  app.add_option("--checks", flags.checks, "Checks a round")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = Validate(flags.sizes); !status.ok()) {
    std::fprintf(stderr, "sluice_watch_bench: %s\n", std::string(status.message()).c_str());
    return 2;
  }
  return Run(flags);
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) { return sluice::bench::Main(argc, argv); }
