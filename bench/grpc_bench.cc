// Check over gRPC beside an empty echo service, in one run: each server in a process of its own on a Unix socket, one
// client that drives them in turn. The order of the sides turns round from one round to the next, so that a machine
// that grows slower meets both alike. Every answer is compared with what it must be; the exit code is 1 where one was
// wrong.
//
//   sluice_grpc_bench [--rounds N] [--seconds S] [--accounts N] [--buckets N] [--flags N] [--json FILE]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/check_mix.h"
#include "bench/child_process.h"
#include "bench/fixture.h"
#include "bench/grpc_load.h"
#include "bench/grpc_servers.h"
#include "bench/median.h"

namespace sluice::bench {
namespace {

struct Flags {
  Sizes sizes;
  int rounds = 7;
  double seconds = 1.2;
  std::string json;
  // What a server process is told.
  std::string serve, socket, bare_socket, answer;
  bool health = false;
};

constexpr int kInFlight[] = {1, 64};
constexpr size_t kRequests = 4096;

std::vector<Request> MakeRequests(const Sizes& sizes) {
  std::vector<Request> requests;
  for (const MixedCheck& check : MakeCheckMix(sizes, kRequests)) {
    const grpc::Slice slice(check.bytes);
    requests.push_back(
        {grpc::ByteBuffer(&slice, 1), static_cast<v1::Verdict>(check.verdict), static_cast<v1::Reason>(check.reason)});
  }
  return requests;  // the first is an allow, whose answer the echo service repeats
}

struct Round {
  double calls_per_second, p50_us, p99_us, cpu_us;  // cpu_us: of the server, for one call
};

struct Side {
  std::string name;
  const ChildProcess* process;
  std::unique_ptr<Load> load;
  std::vector<Round> rounds[std::size(kInFlight)];
};

double MedianOf(const std::vector<Round>& rounds, double Round::*member) {
  std::vector<double> values;
  values.reserve(rounds.size());
  for (const Round& round : rounds) values.push_back(round.*member);
  return Median(std::move(values));
}

// The median over the rounds of this side's figure divided by the first side's of the same round.
double RatioOf(const std::vector<Round>& rounds, const std::vector<Round>& first, double Round::*member) {
  std::vector<double> values;
  values.reserve(rounds.size());
  for (size_t i = 0; i < rounds.size(); ++i) values.push_back(rounds[i].*member / (first[i].*member));
  return Median(std::move(values));
}

bool WriteJson(const Flags& flags, const std::vector<Side>& sides, int64_t resident_bytes) {
  std::string text = absl::StrFormat(
      "{\"accounts\": %d, \"buckets\": %d, \"flags\": %d, \"rounds\": %d, \"seconds\": %g, "
      "\"check_server_resident_bytes\": %d, \"sides\": [",
      flags.sizes.accounts, flags.sizes.buckets, flags.sizes.flags, flags.rounds, flags.seconds, resident_bytes);
  const char* comma = "\n";
  for (size_t n = 0; n < std::size(kInFlight); ++n) {
    for (const Side& side : sides) {
      absl::StrAppendFormat(&text, "%s  {\"name\": \"%s\", \"in_flight\": %d, \"rounds\": [", comma, side.name,
                            kInFlight[n]);
      const char* inner = "";
      for (const Round& round : side.rounds[n]) {
        absl::StrAppendFormat(
            &text, "%s\n    {\"calls_per_second\": %.1f, \"p50_us\": %.3f, \"p99_us\": %.3f, \"server_cpu_us\": %.4f}",
            inner, round.calls_per_second, round.p50_us, round.p99_us, round.cpu_us);
        inner = ",";
      }
      absl::StrAppend(&text, "]}");
      comma = ",\n";
    }
  }
  absl::StrAppend(&text, "]}\n");
  std::ofstream file(flags.json);
  file << text;
  file.close();
  if (!file) std::fprintf(stderr, "sluice_grpc_bench: cannot write %s\n", flags.json.c_str());
  return static_cast<bool>(file);
}

void PrintTable(const std::vector<Side>& sides) {
  std::printf("%-10s %-28s %9s %8s %8s %9s   %s\n", "in flight", "server", "calls/s", "p50 us", "p99 us", "CPU us",
              "x echo: CPU, p50");
  for (size_t n = 0; n < std::size(kInFlight); ++n) {
    const std::vector<Round>& echo = sides.front().rounds[n];
    for (const Side& side : sides) {
      const std::vector<Round>& rounds = side.rounds[n];
      std::printf("%-10d %-28s %9.0f %8.1f %8.1f %9.2f   %.2f, %.2f\n", kInFlight[n], side.name.c_str(),
                  MedianOf(rounds, &Round::calls_per_second), MedianOf(rounds, &Round::p50_us),
                  MedianOf(rounds, &Round::p99_us), MedianOf(rounds, &Round::cpu_us),
                  RatioOf(rounds, echo, &Round::cpu_us), RatioOf(rounds, echo, &Round::p50_us));
    }
  }
}

// Measures one side once. False where an answer was wrong.
bool MeasureOnce(Side* side, size_t n, absl::Duration lasts, bool keep) {
  const absl::Duration before = side->process->CpuTime();
  const Measured measured = side->load->Run(kInFlight[n], lasts);
  const absl::Duration used = side->process->CpuTime() - before;
  const auto calls = static_cast<double>(measured.calls);
  if (keep) {
    side->rounds[n].push_back({calls / measured.seconds, measured.p50_us, measured.p99_us,
                               absl::ToDoubleMicroseconds(used) / std::max(calls, 1.0)});
  }
  if (measured.wrong == 0) return true;
  std::fprintf(stderr, "%s: %ld of %ld answers were wrong; the first: %s\n", side->name.c_str(), measured.wrong,
               measured.calls, measured.what.c_str());
  return false;
}

absl::StatusOr<bool> Measure(const Flags& flags) {
  const TemporaryFolder folder;
  const std::string echo_socket = folder.path() + "/echo.sock";
  const std::string health_socket = folder.path() + "/health.sock";
  const std::string check_socket = folder.path() + "/check.sock";
  const std::string bare_socket = folder.path() + "/bare.sock";
  // Servers on the first core, the client on the second; on one core they share it.
  const std::vector<int> cores = Cores();
  const bool pinned = cores.size() >= 2 && PinTo(cores[1]);
  const int server_core = pinned ? cores[0] : -1;
  if (!pinned) std::printf("not pinned: wanted two cores, have %zu\n", cores.size());

  const std::vector<Request> requests = MakeRequests(flags.sizes);
  absl::StatusOr<std::unique_ptr<ChildProcess>> checks = ChildProcess::Start(
      {"--serve=check", absl::StrCat("--socket=", check_socket), absl::StrCat("--bare-socket=", bare_socket),
       absl::StrCat("--accounts=", flags.sizes.accounts), absl::StrCat("--buckets=", flags.sizes.buckets),
       absl::StrCat("--flags=", flags.sizes.flags)},
      server_core, absl::Minutes(5));
  if (!checks.ok()) return checks.status();
  const int64_t resident = (*checks)->ResidentBytes();
  auto check_load = std::make_unique<Load>(check_socket, &requests, /*check=*/true);
  const absl::StatusOr<std::string> answer = check_load->CallOnce(requests.front());
  if (!answer.ok()) return answer.status();
  const std::string hex = absl::BytesToHexString(*answer);
  absl::StatusOr<std::unique_ptr<ChildProcess>> echo =
      ChildProcess::Start({"--serve=echo", absl::StrCat("--socket=", echo_socket), absl::StrCat("--answer=", hex)},
                          server_core, absl::Seconds(30));
  if (!echo.ok()) return echo.status();
  absl::StatusOr<std::unique_ptr<ChildProcess>> health_echo = ChildProcess::Start(
      {"--serve=echo", absl::StrCat("--socket=", health_socket), absl::StrCat("--answer=", hex), "--health"},
      server_core, absl::Seconds(30));
  if (!health_echo.ok()) return health_echo.status();

  std::vector<Side> sides;
  sides.push_back({"echo", echo->get(), std::make_unique<Load>(echo_socket, &requests, /*check=*/false), {}});
  sides.push_back({"echo, with health service",
                   health_echo->get(),
                   std::make_unique<Load>(health_socket, &requests, /*check=*/false),
                   {}});
  sides.push_back({"check", checks->get(), std::move(check_load), {}});
  sides.push_back(
      {"check, unwatched", checks->get(), std::make_unique<Load>(bare_socket, &requests, /*check=*/true), {}});
  std::printf("requests of %zu bytes, answers of %zu; %d rounds of %g s a side\n", requests.front().bytes.Length(),
              answer->size(), flags.rounds, flags.seconds);

  bool right = true;
  const absl::Duration lasts = absl::Seconds(flags.seconds);
  for (Side& side : sides) {
    for (size_t n = 0; n < std::size(kInFlight); ++n) {
      right &= MeasureOnce(&side, n, std::min(lasts, absl::Milliseconds(300)), /*keep=*/false);
    }
  }
  for (int round = 0; round < flags.rounds; ++round) {
    for (size_t n = 0; n < std::size(kInFlight); ++n) {
      for (size_t i = 0; i < sides.size(); ++i) {
        right &= MeasureOnce(&sides[round % 2 == 0 ? i : sides.size() - 1 - i], n, lasts, /*keep=*/true);
      }
    }
  }
  PrintTable(sides);
  std::printf("resident memory of the check server: %.0f MB with the policy loaded, %.0f MB at the end\n",
              static_cast<double>(resident) / 1e6, static_cast<double>((*checks)->ResidentBytes()) / 1e6);
  if (!flags.json.empty()) right &= WriteJson(flags, sides, resident);
  return right;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Check over gRPC beside an empty echo service.");
  app.add_option("--accounts", flags.sizes.accounts, "Accounts of the policy");
  app.add_option("--buckets", flags.sizes.buckets, "Buckets of the policy");
  app.add_option("--flags", flags.sizes.flags, "Flagged objects of the policy");
  app.add_option("--rounds", flags.rounds, "How often each side is measured")->check(CLI::Range(1, 1000));
  app.add_option("--seconds", flags.seconds, "How long, each time")->check(CLI::Range(0.01, 600.0));
  app.add_option("--json", flags.json, "Write every round to this file");
  app.add_option("--serve", flags.serve, "Be the server of this name: for this program itself")->group("");
  app.add_option("--socket", flags.socket)->group("");
  app.add_option("--bare-socket", flags.bare_socket)->group("");
  app.add_option("--answer", flags.answer)->group("");
  app.add_flag("--health", flags.health)->group("");
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = Validate(flags.sizes); !status.ok()) {
    std::fprintf(stderr, "sluice_grpc_bench: %s\n", std::string(status.message()).c_str());
    return 2;
  }
  absl::Status status;
  bool right = true;
  if (flags.serve == "echo") {
    status = ServeEcho(flags.socket, absl::HexStringToBytes(flags.answer), flags.health);
  } else if (flags.serve == "check") {
    status = ServeChecks(flags.socket, flags.bare_socket, flags.sizes);
  } else {
    const absl::StatusOr<bool> measured = Measure(flags);
    status = measured.status();
    right = measured.ok() && *measured;
  }
  if (!status.ok()) std::fprintf(stderr, "sluice_grpc_bench: %s\n", std::string(status.message()).c_str());
  return status.ok() && right ? 0 : 1;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) { return sluice::bench::Main(argc, argv); }
