// Five times what the listener can do, offered open loop: what is answered, how late, what is shed, what it takes of
// memory, and how soon it is over. The server is a process of its own on the first core, the load generator is this
// process, on the second. Every answer is compared with what it must be, or says that the node is overloaded; the exit
// code is 1 where one was neither. How fast anything was never fails a run.
//
//   sluice_overload_bench [--short] [--connections N] [--seconds S] [--after-ms N ...] [--accounts N] [--buckets N]
//                         [--flags N] [--goals FILE]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/check_mix.h"
#include "bench/child_process.h"
#include "bench/fixture.h"
#include "bench/goals.h"
#include "bench/http2_caller.h"
#include "bench/wire_load.h"
#include "bench/wire_servers.h"
#include "server/listen/buffer_budget.h"

namespace sluice::bench {
namespace {

constexpr size_t kChecks = 16384;  // asked in turn; entities drawn at random
constexpr double kTimes = 5;       // of the capacity
constexpr double kCalm = 0.2;      // of the capacity: what counts as unloaded
constexpr int kInFlight = 4;       // on each connection, for the capacity
// Recovery is looked for in pieces of time as long as this.
constexpr int64_t kWindowNs = 100'000'000;
constexpr int64_t kMs = 1'000'000;

struct Flags {
  Sizes sizes;
  bool brief = false;
  int connections = 256;
  double seconds = 5;
  std::vector<int> after_ms = {1000, 50};
  std::string goals;
  // What a server process is told.
  std::string serve, folder;
};

// What became of the calls that were due in a piece of time.
struct Figures {
  int64_t due = 0, decided = 0, shed = 0, wrong = 0, no_stream = 0, no_socket = 0;
  double decided_p50_ms = 0, decided_p99_ms = 0, decided_max_ms = 0;
  double shed_p50_ms = 0, shed_p99_ms = 0;
  double late_p50_ms = 0, late_p99_ms = 0;  // within the load generator, of all that were made

  int64_t made() const { return due - no_stream - no_socket; }
};

double QuantileMs(std::vector<int64_t>* sample, double q) {
  if (sample->empty()) return 0;
  const auto nth = sample->begin() + static_cast<int64_t>(q * static_cast<double>(sample->size() - 1));
  std::nth_element(sample->begin(), nth, sample->end());
  return static_cast<double>(*nth) / 1e6;
}

Figures FiguresOf(const OfferedLoad& load, int64_t from_ns, int64_t to_ns) {
  Figures figures;
  std::vector<int64_t> decided, shed, late;
  for (const OfferedCall& call : load.calls) {
    if (call.due_ns < from_ns || call.due_ns >= to_ns) continue;
    ++figures.due;
    switch (call.end) {
      case CallEnd::kNoStream:
        ++figures.no_stream;
        continue;
      case CallEnd::kNoSocket:
        ++figures.no_socket;
        continue;
      case CallEnd::kDecided:
        decided.push_back(call.latency_ns);
        break;
      case CallEnd::kShed:
        shed.push_back(call.latency_ns);
        break;
      case CallEnd::kWrong:
      case CallEnd::kUnanswered:
        ++figures.wrong;
        break;
    }
    late.push_back(call.late_ns);
  }
  figures.decided = static_cast<int64_t>(decided.size());
  figures.shed = static_cast<int64_t>(shed.size());
  figures.decided_p50_ms = QuantileMs(&decided, 0.5);
  figures.decided_p99_ms = QuantileMs(&decided, 0.99);
  figures.decided_max_ms = QuantileMs(&decided, 1);
  figures.shed_p50_ms = QuantileMs(&shed, 0.5);
  figures.shed_p99_ms = QuantileMs(&shed, 0.99);
  figures.late_p50_ms = QuantileMs(&late, 0.5);
  figures.late_p99_ms = QuantileMs(&late, 0.99);
  return figures;
}

void Print(const char* what, const Figures& figures, double seconds) {
  const auto rate = [&](int64_t calls) { return static_cast<double>(calls) / seconds; };
  std::printf(
      "  %-10s due %.0f/s, not made %.0f/s for want of a stream and %.0f/s of room in the socket, made %.0f/s\n", what,
      rate(figures.due), rate(figures.no_stream), rate(figures.no_socket), rate(figures.made()));
  std::printf(
      "             decided %.0f/s: p50 %.2f, p99 %.2f, max %.2f ms; OVERLOADED %.0f/s: p50 %.2f, p99 %.2f ms\n",
      rate(figures.decided), figures.decided_p50_ms, figures.decided_p99_ms, figures.decided_max_ms, rate(figures.shed),
      figures.shed_p50_ms, figures.shed_p99_ms);
  std::printf(
      "             wrong or never answered: %d; of each latency within the load generator: p50 %.2f, p99 %.2f ms\n",
      static_cast<int>(figures.wrong), figures.late_p50_ms, figures.late_p99_ms);
}

// Windows of [from_ns, to_ns) that are not as SecondsToRecover wants them.
int WindowsOver(const OfferedLoad& load, int64_t from_ns, int64_t to_ns, double p99_ms) {
  int over = 0;
  for (int64_t at = from_ns; at + kWindowNs <= to_ns; at += kWindowNs) {
    const Figures window = FiguresOf(load, at, at + kWindowNs);
    over += window.decided < window.due || window.decided_p99_ms > p99_ms ? 1 : 0;
  }
  return over;
}

// Seconds until all calls that are due are decided within `p99_ms`, for two windows in a row; all of them where that
// never comes.
double SecondsToRecover(const OfferedLoad& load, int64_t from_ns, int64_t to_ns, double p99_ms) {
  int sound = 0;
  for (int64_t at = from_ns; at + kWindowNs <= to_ns; at += kWindowNs) {
    const Figures window = FiguresOf(load, at, at + kWindowNs);
    sound = window.decided == window.due && window.decided_p99_ms <= p99_ms ? sound + 1 : 0;
    if (sound == 2) return static_cast<double>(at - kWindowNs - from_ns) / 1e9;
  }
  return static_cast<double>(to_ns - from_ns) / 1e9;
}

// One server that sheds after so long, from calm to overload and back.
class Trial {
 public:
  Trial(const Flags& flags, int after_ms, std::shared_ptr<const Http2Calls> calls, Goals* goals)
      : flags_(flags), after_ms_(after_ms), calls_(std::move(calls)), goals_(*goals) {}

  absl::Status Run(int server_core) {
    absl::StatusOr<std::unique_ptr<ChildProcess>> server = ChildProcess::Start(
        {"--serve=own", absl::StrCat("--folder=", folder_.path()), absl::StrCat("--after-ms=", after_ms_),
         absl::StrCat("--accounts=", flags_.sizes.accounts), absl::StrCat("--buckets=", flags_.sizes.buckets),
         absl::StrCat("--flags=", flags_.sizes.flags)},
        server_core, absl::Minutes(15));
    if (!server.ok()) return server.status();
    absl::StatusOr<std::unique_ptr<WireLoad>> load =
        WireLoad::Connect(absl::StrCat(folder_.path(), "/own.sock"), flags_.connections,
                          [this] { return std::make_unique<Http2Caller>(calls_); });
    if (!load.ok()) return load.status();
    std::printf("\noverload.after %d ms, %d connections\n", after_ms_, flags_.connections);

    const absl::Duration lasts = absl::Seconds(flags_.seconds);
    (*load)->KeepInFlight(kInFlight, lasts / 5);  // warms up
    const LoadResult most = (*load)->KeepInFlight(kInFlight, lasts);
    if (most.wrong > 0) return absl::InternalError(absl::StrCat("closed loop: ", most.what));
    const double capacity = static_cast<double>(most.calls - most.shed) / most.seconds;
    std::printf("  capacity   %.0f/s, closed loop, %d in flight: p50 %.2f, p99 %.2f ms; OVERLOADED %d\n", capacity,
                kInFlight * flags_.connections, most.p50_us / 1e3, most.p99_us / 1e3, static_cast<int>(most.shed));

    const int64_t lasts_ns = absl::ToInt64Nanoseconds(lasts);
    const OfferedLoad calm = (*load)->OfferWhatFits({{capacity * kCalm, lasts}}, /*spin=*/server_core >= 0);
    const Figures unloaded = FiguresOf(calm, 0, lasts_ns);
    Print("unloaded", unloaded, flags_.seconds);
    if (unloaded.wrong > 0) return absl::InternalError(absl::StrCat("unloaded: ", calm.what));

    (*server)->ForgetPeak();
    const int64_t resident = (*server)->ResidentBytes();
    const absl::Duration cpu = (*server)->CpuTime();
    const OfferedLoad storm =
        (*load)->OfferWhatFits({{capacity * kTimes, lasts}, {capacity * kCalm, lasts}}, /*spin=*/server_core >= 0);
    const int64_t grown = (*server)->PeakResidentBytes() - resident;
    const Figures overload = FiguresOf(storm, 0, lasts_ns), after = FiguresOf(storm, lasts_ns, 2 * lasts_ns);
    Print("overload", overload, flags_.seconds);
    Print("afterwards", after, flags_.seconds);
    std::printf("  server CPU %.2f us a call made, both\n", absl::ToDoubleMicroseconds((*server)->CpuTime() - cpu) /
                                                                static_cast<double>(overload.made() + after.made()));
    if (overload.wrong + after.wrong > 0) return absl::InternalError(absl::StrCat("overload: ", storm.what));
    const double p99_ms = 2 * unloaded.decided_p99_ms;
    std::printf("  windows of %d ms that are over twice the unloaded p99, or shed: %d unloaded, %d afterwards, of %d\n",
                static_cast<int>(kWindowNs / kMs), WindowsOver(calm, 0, lasts_ns, p99_ms),
                WindowsOver(storm, lasts_ns, 2 * lasts_ns, p99_ms), static_cast<int>(lasts_ns / kWindowNs));
    WriteGoals(capacity, unloaded, overload, grown, resident, SecondsToRecover(storm, lasts_ns, 2 * lasts_ns, p99_ms));
    return absl::OkStatus();
  }

 private:
  void WriteGoals(double capacity, const Figures& unloaded, const Figures& overload, int64_t grown, int64_t resident,
                  double recovery) {
    const auto name = [this](absl::string_view what) {
      return absl::StrFormat("overload, shed after %d ms: %s", after_ms_, what);
    };
    const auto rate = [&](int64_t calls) { return static_cast<double>(calls) / flags_.seconds; };
    goals_.AtLeast(name("offered, times the capacity"), rate(overload.due) / capacity, kTimes * 0.99, "x",
                   absl::StrFormat("%.0f/s, of which %.0f/s were made", rate(overload.due), rate(overload.made())));
    goals_.AtMost(name("answered wrongly, or never"), static_cast<double>(overload.wrong), 0, "",
                  absl::StrFormat("%.0f/s decided, %.0f/s OVERLOADED; capacity %.0f/s", rate(overload.decided),
                                  rate(overload.shed), capacity));
    goals_.AtMost(name("p99 of what is decided"), overload.decided_p99_ms, 2 * unloaded.decided_p99_ms + after_ms_,
                  "ms",
                  absl::StrFormat("unloaded %.2f ms; p50 %.2f ms; up to %.2f ms of p99 within the load generator",
                                  unloaded.decided_p99_ms, overload.decided_p50_ms, overload.late_p99_ms));
    const auto bound =
        static_cast<double>(kBufferedBytesMax + BufferShare::kOwnBytes * static_cast<size_t>(flags_.connections));
    goals_.AtMost(name("memory, more than unloaded"), static_cast<double>(grown) / 1e6, bound / 1e6, "MB",
                  absl::StrFormat("resident, peak; unloaded %.0f MB", static_cast<double>(resident) / 1e6));
    goals_.AtMost(name("until p99 is within twice the unloaded, and nothing shed"), recovery, 1, "s",
                  absl::StrFormat("in windows of %d ms", static_cast<int>(kWindowNs / kMs)));
  }

  const Flags& flags_;
  const int after_ms_;
  const std::shared_ptr<const Http2Calls> calls_;
  Goals& goals_;
  const TemporaryFolder folder_;
};

absl::Status RunAll(const Flags& flags) {
  int server_core = -1;
  if (const std::vector<int> cores = Cores(); cores.size() >= 2) {
    server_core = cores[0];
    PinTo(cores[1]);
  } else {
    std::printf("not pinned: wanted two cores, have %zu\n", cores.size());
  }
  const auto mix = std::make_shared<const std::vector<MixedCheck>>(MakeCheckMix(flags.sizes, kChecks));
  std::vector<std::string> messages;
  for (const MixedCheck& check : *mix) messages.push_back(check.bytes);
  const auto calls = std::make_shared<const Http2Calls>(
      "/sluice.v1.Enforcement/Check", "", messages,
      [mix](size_t call, absl::string_view answer) { return WhatIsWrong((*mix)[call], answer); }, IsShed);
  Goals goals(flags.goals);
  for (const int after_ms : flags.after_ms) {
    if (absl::Status status = Trial(flags, after_ms, calls, &goals).Run(server_core); !status.ok()) return status;
  }
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("The data-path listener under five times what it can do.");
  app.add_flag("--short", flags.brief, "A small policy and a moment each: the figures say nothing");
  app.add_option("--accounts", flags.sizes.accounts, "Accounts of the policy");
  app.add_option("--buckets", flags.sizes.buckets, "Buckets of the policy");
  app.add_option("--flags", flags.sizes.flags, "Flagged objects of the policy");
  app.add_option("--connections", flags.connections, "Connections of the load generator")->check(CLI::Range(1, 16000));
  app.add_option("--seconds", flags.seconds, "How long each part lasts")->check(CLI::Range(0.01, 600.0));
  app.add_option("--after-ms", flags.after_ms, "overload.after of the server, each in turn")
      ->check(CLI::Range(1, 600'000));
  app.add_option("--goals", flags.goals, "Append the rows of the table of goals to this file");
  app.add_option("--serve", flags.serve, "Be the server of this name: for this program itself")->group("");
  app.add_option("--folder", flags.folder)->group("");
  CLI11_PARSE(app, argc, argv);
  if (flags.brief) {
    flags.sizes.accounts = 1000;
    flags.sizes.buckets = 2000;
    flags.sizes.flags = 10'000;
    flags.connections = 32;
    flags.seconds = 0.3;
  }
  absl::Status status = Validate(flags.sizes);
  if (status.ok()) {
    status = flags.serve == "own" ? ServeOwn(flags.folder, flags.sizes, absl::Milliseconds(flags.after_ms.front()))
                                  : RunAll(flags);
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "sluice_overload_bench: %s\n", std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) { return sluice::bench::Main(argc, argv); }
