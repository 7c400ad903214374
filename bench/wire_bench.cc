// The data-path listener, by the load generator of wire_load.h: against an empty gRPC C++ service, a ping-pong of bytes
// and nginx, in one run. Each server is a process of its own on Unix sockets, on the first core; the load generator is
// this process, on the second. Every answer is compared with what it must be; the exit code is 1 where one was wrong.
// How fast anything was never fails a run.
//
//   sluice_wire_bench [--rounds N] [--seconds S] [--accounts N] [--buckets N] [--flags N] [--json FILE] [--goals FILE]
//                    [--only saturated|connections|outstanding|batches|http1]
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "bench/check_mix.h"
#include "bench/child_process.h"
#include "bench/contest.h"
#include "bench/fixture.h"
#include "bench/goals.h"
#include "bench/grpc_servers.h"
#include "bench/http2_caller.h"
#include "bench/instruction_counter.h"
#include "bench/plain_callers.h"
#include "bench/session_cost.h"
#include "bench/wire_load.h"
#include "bench/wire_servers.h"
#include "proto/wire.h"

namespace sluice::bench {
namespace {

constexpr size_t kChecks = 16384;  // asked in turn; entities drawn at random
constexpr size_t kBatch = 64;

struct Flags {
  Sizes sizes;
  int rounds = 5;
  double seconds = 1;
  std::string json, goals, only;
  // What a server process is told.
  std::string serve, folder, socket, answer;
  size_t request_bytes = 0, answer_bytes = 0;
  int64_t session_calls = 0;
  std::string session_case;
};

// Everything that is asked, ready to be sent.
struct Questions {
  std::shared_ptr<const Http2Calls> unary, with_deadline, shed, batch, echo;
  std::shared_ptr<const std::vector<std::string>> nginx_door;
};

Questions Prepare(const Sizes& sizes) {
  const auto mix = std::make_shared<const std::vector<MixedCheck>>(MakeCheckMix(sizes, kChecks));
  std::vector<std::string> messages, batches;
  for (const MixedCheck& check : *mix) messages.push_back(check.bytes);
  for (size_t first = 0; first < mix->size(); first += kBatch) {
    std::string batch;
    for (size_t i = 0; i < kBatch; ++i) AppendBytesField(1, (*mix)[(first + i) % mix->size()].bytes, &batch);
    batches.push_back(std::move(batch));
  }
  const AnswerCheck right = [mix](size_t call, absl::string_view answer) { return WhatIsWrong((*mix)[call], answer); };
  // The echo gives every call the answer of the first.
  const AnswerCheck as_first = [mix](size_t, absl::string_view answer) { return WhatIsWrong(mix->front(), answer); };
  const AnswerCheck all_right = [mix](size_t call, absl::string_view answer) {
    return WhatIsWrongOfBatch(*mix, call * kBatch, kBatch, answer);
  };
  constexpr absl::string_view kCheck = "/sluice.v1.Enforcement/Check";
  Questions questions;
  questions.unary = std::make_shared<const Http2Calls>(kCheck, "", messages, right);
  questions.shed = std::make_shared<const Http2Calls>(kCheck, "", messages, right, IsShed);
  questions.with_deadline = std::make_shared<const Http2Calls>(kCheck, "1S", messages, right);
  questions.echo = std::make_shared<const Http2Calls>(kCheck, "", messages, as_first);
  questions.batch = std::make_shared<const Http2Calls>("/sluice.v1.Enforcement/CheckBatch", "", batches, all_right);
  // As nginx's auth_request asks about a public read.
  const QuestionSet reads(sizes, Case::kCdnAllow, kChecks, /*seed=*/5);
  auto requests = std::make_shared<std::vector<std::string>>();
  for (size_t i = 0; i < reads.size(); ++i) {
    requests->push_back(
        absl::StrCat("GET /nginx HTTP/1.1\r\nHost: sluice\r\nX-Original-Method: GET\r\nX-Original-URI: ", reads[i].path,
                     "\r\nX-Original-Host: ", reads[i].host, "\r\nX-Real-IP: ", reads[i].client_ip,
                     "\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n\r\n"));
  }
  questions.nginx_door = std::move(requests);
  return questions;
}

// The processes of a run, and who talks to them how.
class Arena {
 public:
  explicit Arena(const Flags& flags) : flags_(flags), questions_(Prepare(flags.sizes)), goals_(flags.goals) {}

  absl::Status Run() {
    const std::vector<int> cores = Cores();
    if (cores.size() >= 2) {
      server_core_ = cores[0];
      caller_core_ = cores[1];
      PinTo(caller_core_);
    } else {
      std::printf("not pinned: wanted two cores, have %zu\n", cores.size());
    }
    if (absl::Status status = StartServers(); !status.ok()) return status;
    if (const std::string why = InstructionCounter(0).why(); !why.empty()) {
      std::printf("instructions are not counted here (%s); bench/instructions.sh counts them with callgrind\n",
                  why.c_str());
    }
    Contest::PrintHeading();
    const std::pair<absl::string_view, absl::Status (Arena::*)()> contests[] = {
        {"saturated", &Arena::Saturated},
        {"connections", &Arena::ManyConnections},
        {"outstanding", &Arena::OneOutstanding},
        {"batches", &Arena::Batches},
        {"http1", &Arena::Http1},
        {"open", &Arena::OpenLoop}};
    for (const auto& [name, contest] : contests) {
      if (!flags_.only.empty() && flags_.only != name) continue;
      if (absl::Status status = (this->*contest)(); !status.ok()) return status;
    }
    return flags_.json.empty() ? absl::OkStatus() : WriteJson();
  }

 private:
  using Maker = WireLoad::MakeCaller;
  static Maker Calls(std::shared_ptr<const Http2Calls> calls) {
    return [calls] { return std::make_unique<Http2Caller>(calls); };
  }

  absl::Status StartServers() {
    absl::StatusOr<std::unique_ptr<ChildProcess>> node = ChildProcess::Start(
        {"--serve=node", absl::StrCat("--folder=", folder_.path()), absl::StrCat("--accounts=", flags_.sizes.accounts),
         absl::StrCat("--buckets=", flags_.sizes.buckets), absl::StrCat("--flags=", flags_.sizes.flags)},
        server_core_, absl::Minutes(15));
    if (!node.ok()) return node.status();
    node_ = *std::move(node);
    // What the real server says to the first question, every time; and as many bytes as it sends for it.
    absl::StatusOr<std::string> answer = AnswerToTheFirst();
    if (!answer.ok()) return answer.status();
    absl::StatusOr<std::unique_ptr<ChildProcess>> echo =
        ChildProcess::Start({"--serve=echo", absl::StrCat("--socket=", Socket("echo")),
                             absl::StrCat("--answer=", absl::BytesToHexString(*answer))},
                            server_core_, absl::Seconds(30));
    if (!echo.ok()) return echo.status();
    echo_ = *std::move(echo);
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> AnswerToTheFirst() {
    std::string bytes;
    const auto keep = std::make_shared<const Http2Calls>(
        "/sluice.v1.Enforcement/Check", "", std::vector<std::string>{MakeCheckMix(flags_.sizes, kChecks).front().bytes},
        [&bytes](size_t, absl::string_view answer) {
          bytes = std::string(answer);
          return std::string();
        });
    absl::StatusOr<std::unique_ptr<WireLoad>> load = WireLoad::Connect(Socket("own"), 1, Calls(keep));
    if (!load.ok()) return load.status();
    const LoadResult result = (*load)->KeepInFlight(1, absl::ZeroDuration());
    if (result.wrong > 0) return absl::InternalError(absl::StrCat("the first check: ", result.what));
    return bytes;
  }

  std::string Socket(absl::string_view name) const { return absl::StrCat(folder_.path(), "/", name, ".sock"); }
  ContestSide Own(std::shared_ptr<const Http2Calls> calls, int connections, int in_flight) const {
    return {"own listener", node_.get(), Socket("own"), Calls(std::move(calls)), connections, in_flight};
  }
  ContestSide Echo(int connections, int in_flight) const {
    return {"gRPC C++ null echo", echo_.get(), Socket("echo"), Calls(questions_.echo), connections, in_flight};
  }

  // Runs it, prints it, keeps it for the file.
  absl::StatusOr<const Contest*> Hold(std::string name, std::vector<ContestSide> sides, int caller_core) {
    contests_.push_back(std::make_unique<Contest>(std::move(name), std::move(sides), caller_core));
    const absl::Status status = contests_.back()->Run(flags_.rounds, absl::Seconds(flags_.seconds));
    if (!status.ok()) return status;
    contests_.back()->Print();
    return contests_.back().get();
  }

  absl::Status Saturated() {
    ContestSide bare = Own(questions_.unary, 1, 64);
    bare.name = "own listener, unwatched";
    bare.socket = Socket("bare");
    ContestSide deadline = Own(questions_.with_deadline, 1, 64);
    deadline.name = "own listener, with deadlines";
    ContestSide grpc = Own(questions_.unary, 1, 64);
    grpc.name = "check over gRPC C++";
    grpc.socket = Socket("grpc");
    const auto held = Hold("unary, 64 in flight, 1 connection",
                           {Own(questions_.unary, 1, 64), Echo(1, 64), bare, deadline, grpc}, caller_core_);
    if (!held.ok()) return held.status();
    saturated_ = *held;
    const std::string rates = absl::StrFormat("%.0f against %.0f calls a second", Rate(0), Rate(1));
    goals_.AtLeast("unary Check, 64 in flight, against null echo: calls",
                   saturated_->RatioOf(0, 1, &ContestRound::per_second), 5, "x", rates);
    goals_.AtMost("unary Check, 64 in flight, against null echo: CPU",
                  saturated_->RatioOf(0, 1, &ContestRound::server_cpu_us), 1 / 6.0, "x", Cpu(*saturated_));
    goals_.AtLeast("Check over gRPC C++ against its null echo: calls",
                   saturated_->RatioOf(4, 1, &ContestRound::per_second), 0.9, "x",
                   absl::StrFormat("%.0f against %.0f calls a second", Rate(4), Rate(1)));
    return absl::OkStatus();
  }

  absl::Status ManyConnections() {
    const auto held = Hold("unary, 64 connections of one", {Own(questions_.unary, 64, 1), Echo(64, 1)}, caller_core_);
    if (!held.ok()) return held.status();
    goals_.AtMost("unary Check, 64 connections of one, against null echo: CPU",
                  (*held)->RatioOf(0, 1, &ContestRound::server_cpu_us), 1 / 2.5, "x", Cpu(**held));
    return absl::OkStatus();
  }

  absl::Status OneOutstanding() {
    // As many bytes each way as a check takes once its connection is warm.
    const auto sized =
        Hold("unary, one outstanding, two cores", {Own(questions_.unary, 1, 1), Echo(1, 1)}, caller_core_);
    if (!sized.ok()) return sized.status();
    const auto request = static_cast<size_t>((*sized)->MedianOf(0, &ContestRound::sent_bytes));
    const auto answer = static_cast<size_t>((*sized)->MedianOf(0, &ContestRound::received_bytes));
    absl::StatusOr<std::unique_ptr<ChildProcess>> ping =
        ChildProcess::Start({"--serve=ping", absl::StrCat("--socket=", Socket("ping")),
                             absl::StrCat("--request-bytes=", request), absl::StrCat("--answer-bytes=", answer)},
                            server_core_, absl::Seconds(30));
    if (!ping.ok()) return ping.status();
    const ContestSide bare_pong = {"socket ping-pong", ping->get(), Socket("ping"),
                                   [request, answer] { return std::make_unique<PingPongCaller>(request, answer); }};
    const auto held =
        Hold("unary, one outstanding, one core", {Own(questions_.unary, 1, 1), Echo(1, 1), bare_pong}, server_core_);
    if (caller_core_ >= 0) PinTo(caller_core_);
    if (!held.ok()) return held.status();
    const auto p50 = [&](size_t side) { return (*held)->MedianOf(side, &ContestRound::p50_us); };
    goals_.AtMost("one outstanding, same core, against null echo: round trip",
                  (*held)->RatioOf(0, 1, &ContestRound::p50_us), 0.5, "x",
                  absl::StrFormat("%.1f against %.1f us, p50", p50(0), p50(1)));
    goals_.AtMost(
        "one outstanding, same core, against socket ping-pong: round trip",
        (*held)->RatioOf(0, 2, &ContestRound::p50_us), 1.3, "x",
        absl::StrFormat("%.1f against %.1f us, p50; %d bytes there, %d back", p50(0), p50(2), request, answer));
    return absl::OkStatus();
  }

  absl::Status Batches() {
    ContestSide batch = Own(questions_.batch, 1, 4);
    batch.name = "batches of 64, 4 in flight";
    batch.checks_per_call = kBatch;
    const auto held = Hold("batches", {batch, Own(questions_.unary, 1, 64)}, caller_core_);
    if (!held.ok()) return held.status();
    const double batch_us = (*held)->MedianOf(0, &ContestRound::server_cpu_us);
    goals_.AtLeast("batch of 64 against unary: checks a second a core",
                   1 / (*held)->RatioOf(0, 1, &ContestRound::server_cpu_us), 4, "x", Cpu(**held));
    goals_.AtLeast("batch of 64: checks a second a core", 1 / batch_us, 2, "million/s",
                   absl::StrFormat("%.3f us of server CPU a check", batch_us));
    return absl::OkStatus();
  }

  absl::Status Http1() {
    absl::StatusOr<std::unique_ptr<ChildProcess>> nginx = ChildProcess::StartOther(
        NginxCommand(folder_.path(), Socket("nginx")), server_core_, Socket("nginx"), absl::Seconds(10));
    if (!nginx.ok()) {
      std::printf("HTTP/1.1 is not compared: %s; is nginx installed?\n", nginx.status().ToString().c_str());
      return absl::OkStatus();
    }
    const Maker make = [requests = questions_.nginx_door] { return std::make_unique<Http1Caller>(requests); };
    const auto held = Hold("HTTP/1.1, 64 connections of one",
                           {{"own listener, nginx's door", node_.get(), Socket("own"), make, 64, 1},
                            {"nginx, return 200", nginx->get(), Socket("nginx"), make, 64, 1}},
                           caller_core_);
    if (!held.ok()) return held.status();
    goals_.AtLeast("HTTP/1.1 check against nginx return 200: requests a second a core",
                   1 / (*held)->RatioOf(0, 1, &ContestRound::server_cpu_us), 1, "x", Cpu(**held));
    return absl::OkStatus();
  }

  // Latencies at a rate that callers set, not the server: half and four fifths of what each side can do at most.
  // REQUIRES: Saturated was run.
  absl::Status OpenLoop() {
    std::vector<ContestSide> sides;
    const auto offer = [&](ContestSide side, double rate, absl::string_view what) {
      side.name = absl::StrFormat("%s, %.0f/s: %s", side.name, rate, what);
      side.offered = rate;
      sides.push_back(std::move(side));
    };
    const double own = Rate(0), echo = Rate(1);
    offer(Own(questions_.unary, 1, 0), echo / 2, "half the echo's");
    offer(Echo(1, 0), echo / 2, "half");
    offer(Own(questions_.unary, 1, 0), echo * 0.8, "4/5 of the echo's");
    offer(Echo(1, 0), echo * 0.8, "4/5");
    offer(Own(questions_.unary, 1, 0), own / 2, "half");
    offer(Own(questions_.unary, 1, 0), own * 0.8, "4/5");
    return Hold("open loop, 1 connection", std::move(sides), caller_core_).status();
  }

  double Rate(size_t side) const { return saturated_->MedianOf(side, &ContestRound::per_second); }
  static std::string Cpu(const Contest& contest) {
    return absl::StrFormat("%.3f against %.3f us", contest.MedianOf(0, &ContestRound::server_cpu_us),
                           contest.MedianOf(1, &ContestRound::server_cpu_us));
  }

  absl::Status WriteJson() const {
    std::ofstream file(flags_.json);
    file << absl::StrFormat("{\"accounts\": %d, \"buckets\": %d, \"flags\": %d, \"seconds\": %g, \"contests\": [",
                            flags_.sizes.accounts, flags_.sizes.buckets, flags_.sizes.flags, flags_.seconds);
    const char* comma = "\n";
    for (const auto& contest : contests_) {
      file << comma << contest->Json();
      comma = ",\n";
    }
    file << "]}\n";
    file.close();
    return file ? absl::OkStatus() : absl::InternalError(absl::StrCat("cannot write ", flags_.json));
  }

  const Flags& flags_;
  const Questions questions_;
  Goals goals_;
  const TemporaryFolder folder_;
  int server_core_ = -1, caller_core_ = -1;
  std::unique_ptr<ChildProcess> node_, echo_;
  std::vector<std::unique_ptr<Contest>> contests_;
  const Contest* saturated_ = nullptr;
};

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("The data-path listener against gRPC C++, a ping-pong of bytes and nginx.");
  app.add_option("--accounts", flags.sizes.accounts, "Accounts of the policy");
  app.add_option("--buckets", flags.sizes.buckets, "Buckets of the policy");
  app.add_option("--flags", flags.sizes.flags, "Flagged objects of the policy");
  app.add_option("--rounds", flags.rounds, "How often each side is measured")->check(CLI::Range(1, 1000));
  app.add_option("--seconds", flags.seconds, "How long, each time")->check(CLI::Range(0.01, 600.0));
  app.add_option("--json", flags.json, "Write every round to this file");
  app.add_option("--goals", flags.goals, "Append the rows of the table of goals to this file");
  app.add_option("--only", flags.only, "Only this contest")
      ->check(CLI::IsMember({"saturated", "connections", "outstanding", "batches", "http1"}));
  app.add_option("--session-calls", flags.session_calls, "Only so many checks by the HTTP/2 session, without sockets");
  app.add_option("--session-case", flags.session_case, "Of those, only null, bare, deadline, batch, watched or shed");
  app.add_option("--serve", flags.serve, "Be the server of this name: for this program itself")->group("");
  app.add_option("--folder", flags.folder)->group("");
  app.add_option("--socket", flags.socket)->group("");
  app.add_option("--answer", flags.answer)->group("");
  app.add_option("--request-bytes", flags.request_bytes)->group("");
  app.add_option("--answer-bytes", flags.answer_bytes)->group("");
  CLI11_PARSE(app, argc, argv);
  absl::Status status = Validate(flags.sizes);
  if (!status.ok()) {
  } else if (flags.serve == "node") {
    status = ServeNode(flags.folder, flags.sizes);
  } else if (flags.serve == "echo") {
    status = ServeEcho(flags.socket, absl::HexStringToBytes(flags.answer), /*health=*/false);
  } else if (flags.serve == "ping") {
    status = ServePingPong(flags.socket, flags.request_bytes, flags.answer_bytes);
  } else if (flags.session_calls > 0) {
    const Questions questions = Prepare(flags.sizes);
    status = PrintSessionCosts(flags.sizes,
                               {questions.unary, questions.with_deadline, questions.shed, questions.batch, kBatch},
                               flags.session_calls, flags.session_case);
  } else {
    status = Arena(flags).Run();
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "sluice_wire_bench: %s\n", std::string(status.message()).c_str());
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  // All sides alike: as sluiced does.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return sluice::bench::Main(argc, argv);
}
