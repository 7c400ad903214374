#include "bench/contest.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/instruction_counter.h"
#include "bench/median.h"

namespace sluice::bench {
namespace {

constexpr std::pair<const char*, double ContestRound::*> kMembers[] = {
    {"per_second", &ContestRound::per_second},
    {"server_cpu_us", &ContestRound::server_cpu_us},
    {"caller_cpu_us", &ContestRound::caller_cpu_us},
    {"server_instructions", &ContestRound::server_instructions},
    {"caller_instructions", &ContestRound::caller_instructions},
    {"p50_us", &ContestRound::p50_us},
    {"p99_us", &ContestRound::p99_us},
    {"p999_us", &ContestRound::p999_us},
    {"max_us", &ContestRound::max_us},
};

}  // namespace

absl::Status Contest::MeasureOnce(size_t side, WireLoad* load, absl::Duration lasts, bool keep) {
  const ContestSide& of = sides_[side];
  const InstructionCounter server_instructions(of.server->pid()), caller_instructions(0);
  const absl::Duration before = of.server->CpuTime();
  const LoadResult result = of.offered > 0 ? load->Offer(of.offered, lasts, /*spin=*/caller_core_ >= 0)
                                           : load->KeepInFlight(of.in_flight, lasts);
  const absl::Duration used = of.server->CpuTime() - before;
  if (result.wrong > 0 || result.calls == 0) {
    return absl::InternalError(absl::StrFormat("%s, %s: %d of %d answers were wrong; the first: %s", name_, of.name,
                                               result.wrong, result.calls, result.what));
  }
  if (!keep) return absl::OkStatus();
  const auto calls = static_cast<double>(result.calls);
  const double checks = calls * of.checks_per_call;
  ContestRound round;
  round.per_second = checks / result.seconds;
  round.server_cpu_us = absl::ToDoubleMicroseconds(used) / checks;
  round.caller_cpu_us = result.caller_cpu_us / of.checks_per_call;
  round.server_instructions = static_cast<double>(server_instructions.Read()) / checks;
  round.caller_instructions = static_cast<double>(caller_instructions.Read()) / checks;
  round.p50_us = result.p50_us;
  round.p99_us = result.p99_us;
  round.p999_us = result.p999_us;
  round.max_us = result.max_us;
  round.sent_bytes = static_cast<double>(result.sent_bytes) / calls;
  round.received_bytes = static_cast<double>(result.received_bytes) / calls;
  rounds_[side].push_back(round);
  return absl::OkStatus();
}

absl::Status Contest::Run(int rounds, absl::Duration lasts) {
  if (caller_core_ >= 0) PinTo(caller_core_);
  std::vector<std::unique_ptr<WireLoad>> loads;
  for (const ContestSide& side : sides_) {
    absl::StatusOr<std::unique_ptr<WireLoad>> load = WireLoad::Connect(side.socket, side.connections, side.make_caller);
    if (!load.ok()) return load.status();
    loads.push_back(*std::move(load));
  }
  for (int round = -1; round < rounds; ++round) {
    for (size_t i = 0; i < sides_.size(); ++i) {
      const size_t side = round % 2 == 0 ? i : sides_.size() - 1 - i;
      const absl::Duration length = round < 0 ? std::min(lasts, absl::Milliseconds(200)) : lasts;
      if (absl::Status status = MeasureOnce(side, loads[side].get(), length, round >= 0); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

double Contest::MedianOf(size_t side, double ContestRound::*member) const {
  std::vector<double> values;
  for (const ContestRound& round : rounds_[side]) values.push_back(round.*member);
  return Median(std::move(values));
}

double Contest::RatioOf(size_t side, size_t other, double ContestRound::*member) const {
  std::vector<double> values;
  for (size_t i = 0; i < rounds_[side].size(); ++i) {
    values.push_back(rounds_[side][i].*member / (rounds_[other][i].*member));
  }
  return Median(std::move(values));
}

void Contest::PrintHeading() {
  std::printf("%-34s %-30s %10s %10s %10s %9s %9s %9s\n", "", "", "checks/s", "CPU us", "caller us", "p50 us", "p99 us",
              "p99.9 us");
}

void Contest::Print() const {
  for (size_t i = 0; i < sides_.size(); ++i) {
    std::printf("%-34s %-30s %10.0f %10.3f %10.3f %9.1f %9.1f %9.1f", i == 0 ? name_.c_str() : "",
                sides_[i].name.c_str(), MedianOf(i, &ContestRound::per_second),
                MedianOf(i, &ContestRound::server_cpu_us), MedianOf(i, &ContestRound::caller_cpu_us),
                MedianOf(i, &ContestRound::p50_us), MedianOf(i, &ContestRound::p99_us),
                MedianOf(i, &ContestRound::p999_us));
    if (MedianOf(i, &ContestRound::server_instructions) > 0) {
      std::printf("  instructions: server %.0f, caller %.0f", MedianOf(i, &ContestRound::server_instructions),
                  MedianOf(i, &ContestRound::caller_instructions));
    }
    std::printf("\n");
  }
  std::fflush(stdout);
}

std::string Contest::Json() const {
  std::string text = absl::StrFormat("{\"name\": \"%s\", \"sides\": [", name_);
  for (size_t i = 0; i < sides_.size(); ++i) {
    const ContestSide& side = sides_[i];
    absl::StrAppendFormat(&text, "%s\n  {\"name\": \"%s\", \"connections\": %d, \"in_flight\": %d, \"offered\": %.1f, ",
                          i == 0 ? "" : ",", side.name, side.connections, side.in_flight, side.offered);
    absl::StrAppendFormat(&text, "\"checks_per_call\": %d, \"rounds\": [", side.checks_per_call);
    for (size_t n = 0; n < rounds_[i].size(); ++n) {
      absl::StrAppend(&text, n == 0 ? "" : ",", "\n    {");
      const char* comma = "";
      for (const auto& [name, member] : kMembers) {
        absl::StrAppendFormat(&text, "%s\"%s\": %.4f", std::exchange(comma, ", "), name, rounds_[i][n].*member);
      }
      absl::StrAppend(&text, "}");
    }
    absl::StrAppend(&text, "]}");
  }
  return absl::StrCat(text, "]}");
}

}  // namespace sluice::bench
