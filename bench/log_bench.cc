// The decision log by itself, in process: how many denials a second it takes without losing one, and how soon it
// answers over many records. What it says is checked by the log's own verification; the exit code is 1 where that finds
// a fault, or a record is missing that was neither kept nor counted as dropped.
//
//   sluice_log_bench write [--rate N] [--seconds S] [--threads N] [--folder F] [--goals FILE]
//   sluice_log_bench query [--records N] [--hours H] [--accounts N] [--queries N] [--folder F] [--goals FILE]
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/goals.h"
#include "decision_log/decision_log.h"
#include "decision_log/log_folder.h"
#include "decision_log/log_reader.h"
#include "decision_log/log_verify.h"
#include "proto/translate.h"

namespace sluice::bench {
namespace {

struct Flags {
  std::string folder, goals;
  int64_t rate = 200000;
  double seconds = 10;
  int threads = 2;
  int64_t records = 10'000'000;
  int64_t hours = 24;
  int64_t accounts = 10000;
  int queries = 20;
};

// Moves when it is told to: a day's records in half a minute.
class DayClock final : public Clock {
 public:
  Moment Now() const override {
    Moment moment;
    moment.wall = absl::FromUnixNanos(wall_ns_.load(std::memory_order_relaxed));
    return moment;
  }
  void Set(absl::Time wall) { wall_ns_.store(absl::ToUnixNanos(wall), std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> wall_ns_{1772330400000000000};
};

class MachineClock final : public Clock {
 public:
  Moment Now() const override {
    Moment moment;
    moment.wall = absl::Now();
    moment.mono.ns = MonotonicNs();
    return moment;
  }
  static int64_t MonotonicNs() {
    timespec mono;
    clock_gettime(CLOCK_MONOTONIC, &mono);
    return mono.tv_sec * int64_t{1'000'000'000} + mono.tv_nsec;
  }
};

// A denial as the engine makes it: names of usual length, all different objects.
class Denial {
 public:
  explicit Denial(int64_t accounts) : accounts_(static_cast<uint64_t>(accounts)) {
    decision_.verdict = Verdict::kDeny;
    decision_.fault = Fault::kCustomer;
    decision_.reason = Reason::kAccountFrozen;
    decision_.all_reasons = {Reason::kAccountFrozen};
    decision_.clause = "7.2.1";
    decision_.revision = 123456;
    decision_.http = {403, "AllAccessDisabled", "This resource is not available."};
    input_.operation = Operation::kDownload;
    input_.door = Door::kGrpc;
    input_.region = "cn";
  }
  void Fill(uint64_t number) {
    // Every account is met as often as any other, in no order.
    const uint64_t mixed = (number + 1) * 0x9E3779B97F4A7C15u;
    const uint64_t account = (mixed >> 33) % accounts_;
    request_id_ = absl::StrFormat("%016x", mixed);
    // Ids of traces are random: what makes a record hard to compress.
    trace_parent_ = TraceParent(number);
    input_.trace_parent = trace_parent_;
    owner_ = absl::StrFormat("account-%07d", account);
    bucket_ = absl::StrFormat("bucket-%07d-%d", account, mixed % 3);
    key_ = absl::StrFormat("photos/2026/%08x/img-%06d.jpg", mixed >> 20 & 0xffffffff, number % 1000000);
    client_ip_ = absl::StrFormat("203.%d.%d.%d", mixed >> 8 & 255, mixed >> 16 & 255, mixed >> 24 & 255);
    input_.request_id = request_id_;
    input_.requester = owner_;
    input_.owner = owner_;
    input_.bucket = bucket_;
    input_.key = key_;
    input_.client_ip = client_ip_;
    decision_.owner = owner_;
    decision_.bucket = bucket_;
    decision_.key = key_;
  }
  static std::string TraceId(uint64_t number) {
    return absl::StrFormat("%016x%016x", Scrambled(2 * number), Scrambled(2 * number + 1));
  }
  const CheckInput& input() const { return input_; }
  const Decision& decision() const { return decision_; }

 private:
  static uint64_t Scrambled(uint64_t number) {
    number = (number + 1) * 0xBF58476D1CE4E5B9u;
    return (number ^ number >> 31) * 0x94D049BB133111EBu;
  }
  static std::string TraceParent(uint64_t number) {
    return absl::StrFormat("00-%s-%016x-01", TraceId(number), Scrambled(3 * number + 1));
  }

  const uint64_t accounts_;
  std::string request_id_, trace_parent_, owner_, bucket_, key_, client_ip_;
  CheckInput input_;
  Decision decision_;
};

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Complains and returns false unless the log is whole and has `made` records, but for those dropped.
bool IsComplete(const std::string& folder, int64_t made, int64_t dropped) {
  const absl::StatusOr<LogReport> report = VerifyLog(folder, absl::nullopt);
  if (!report.ok()) {
    std::fprintf(stderr, "sluice_log_bench: %s\n", std::string(report.status().message()).c_str());
    return false;
  }
  for (const std::string& fault : report->faults) std::fprintf(stderr, "sluice_log_bench: %s\n", fault.c_str());
  std::printf("verified: %d records in %d segments, %.1f bytes each on disk, numbers %d to %d, %d faults\n",
              static_cast<int>(report->records), static_cast<int>(report->segments),
              static_cast<double>(report->bytes) / static_cast<double>(std::max<int64_t>(report->records, 1)),
              static_cast<int>(report->first_number), static_cast<int>(report->last_number),
              static_cast<int>(report->faults.size()));
  if (report->records + dropped == made && report->faults.empty()) return true;
  std::fprintf(stderr, "sluice_log_bench: wanted %d records, got %d and %d dropped\n", static_cast<int>(made),
               static_cast<int>(report->records), static_cast<int>(dropped));
  return false;
}

int Write(const Flags& flags) {
  const MachineClock clock;
  DecisionLog::Options options;
  options.folder = flags.folder;
  options.node = "bench";
  options.clock = &clock;
  auto log = DecisionLog::Open(std::move(options));
  if (!log.ok()) {
    std::fprintf(stderr, "sluice_log_bench: %s\n", std::string(log.status().message()).c_str());
    return 1;
  }
  const auto each = static_cast<int64_t>(static_cast<double>(flags.rate) * flags.seconds / flags.threads);
  const absl::Time start = absl::Now();
  const double cpu_before = CpuSeconds();
  std::vector<std::thread> threads;
  std::atomic<int64_t> observing_ns{0};
  for (int t = 0; t < flags.threads; ++t) {
    threads.emplace_back([&, t] {
      Denial denial(flags.accounts);
      const double per_second = static_cast<double>(flags.rate) / flags.threads;
      int64_t spent = 0;
      for (int64_t i = 0; i < each; ++i) {
        denial.Fill(static_cast<uint64_t>(t) << 40 | static_cast<uint64_t>(i));
        const Moment now = clock.Now();
        (*log)->OnDecision(denial.input(), denial.decision(), now);
        if (i % 64 == 0) {
          spent += MachineClock::MonotonicNs() - now.mono.ns;
          const absl::Time due = start + absl::Seconds(static_cast<double>(i) / per_second);
          if (due > absl::Now()) absl::SleepFor(due - absl::Now());
        }
      }
      observing_ns += spent;
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double took = absl::ToDoubleSeconds(absl::Now() - start);
  (*log)->Flush().IgnoreError();
  const double cpu = CpuSeconds() - cpu_before;
  const int64_t made = each * flags.threads;
  const int64_t dropped = (*log)->dropped();
  log->reset();
  std::printf(
      "write: %d denials in %.2f s, %.0f a second; %d dropped; %.2f us of CPU each, making them included; "
      "%.0f ns on the check's thread\n",
      static_cast<int>(made), took, static_cast<double>(made) / took, static_cast<int>(dropped),
      cpu * 1e6 / static_cast<double>(made), static_cast<double>(observing_ns.load()) * 64 / static_cast<double>(made));
  Goals goals(flags.goals);
  goals.AtMost("denials that the log lost", static_cast<double>(dropped), 0, "records",
               absl::StrFormat("of %d, at %.0f a second for %.0f s", made, static_cast<double>(made) / took, took));
  return IsComplete(flags.folder, made, dropped) ? 0 : 1;
}

// `records` spread evenly over `hours`, each made at its own time.
bool Fill(const Flags& flags, absl::Time begin) {
  DayClock clock;
  DecisionLog::Options options;
  options.folder = flags.folder;
  options.node = "bench";
  options.clock = &clock;
  options.segment_lasts = absl::Hours(24 * 365);
  auto log = DecisionLog::Open(std::move(options));
  if (!log.ok()) return false;
  Denial denial(flags.accounts);
  const absl::Duration step = absl::Hours(flags.hours) / flags.records;
  int64_t dropped = 0;
  const absl::Time started = absl::Now();
  for (int64_t i = 0; i < flags.records; ++i) {
    denial.Fill(static_cast<uint64_t>(i));
    clock.Set(begin + i * step);
    do {  // as fast as the log takes them
      dropped = (*log)->dropped();
      (*log)->OnDecision(denial.input(), denial.decision(), clock.Now());
      if ((*log)->dropped() != dropped) (*log)->Flush().IgnoreError();
    } while ((*log)->dropped() != dropped);
  }
  log->reset();
  std::printf("filled: %d records in %.1f s\n", static_cast<int>(flags.records),
              absl::ToDoubleSeconds(absl::Now() - started));
  return true;
}

// Has the kernel forget what it keeps of the files, as it has of those of months ago.
void ForgetPages(const std::string& folder) {
  const auto segments = ListSegments(folder);
  for (const SegmentFile& segment : *segments) {
    const int fd = open(segment.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);  // of what is on disk: Fill synced it
    close(fd);
  }
}

// One kind of query, asked again and again. False where one failed, or found nothing at all.
bool Ask(const Flags& flags, absl::string_view what, bool cold, const std::function<void(int, v1::LogQuery*)>& fill,
         Goals* goals) {
  const LogReader reader(flags.folder);
  std::vector<double> times;
  int64_t found = 0;
  LogQueryCost cost;
  for (int i = 0; i < flags.queries; ++i) {
    v1::LogQuery query;
    fill(i, &query);
    if (cold) ForgetPages(flags.folder);
    LogCursor cursor;
    const absl::Time started = absl::Now();
    const absl::Status status = reader.Query(
        query, &cursor, [&found](const v1::DecisionRecord&) { return ++found > 0; }, &cost);
    times.push_back(absl::ToDoubleSeconds(absl::Now() - started));
    if (!status.ok()) {
      std::fprintf(stderr, "sluice_log_bench: %s\n", std::string(status.message()).c_str());
      return false;
    }
  }
  std::sort(times.begin(), times.end());
  const double asked = flags.queries;
  goals->AtMost(
      absl::StrCat("query: ", what, cold ? ", nothing of it in memory" : ""), times.back(), 1, "s",
      absl::StrFormat("slowest of %d, median %.1f ms; %d records; a query found %.1f, read %.1f blocks, skipped "
                      "%.0f of the segments it read",
                      flags.queries, times[times.size() / 2] * 1e3, flags.records, static_cast<double>(found) / asked,
                      static_cast<double>(cost.blocks_read) / asked, static_cast<double>(cost.blocks_skipped) / asked));
  return found > 0;
}

int Query(const Flags& flags) {
  const absl::Time begin = absl::FromUnixSeconds(1772330400);
  std::error_code error;
  if (!std::filesystem::exists(flags.folder + "/0000000001.slog", error) && !Fill(flags, begin)) return 1;
  Goals goals(flags.goals);
  const auto account_and_hour = [&](int i, v1::LogQuery* query) {
    query->set_account(absl::StrFormat("account-%07d", i * 37 % flags.accounts));
    const absl::Time from = begin + absl::Hours(i % flags.hours);
    ToProto(from, query->mutable_from());
    ToProto(from + absl::Hours(1), query->mutable_to());
  };
  const auto trace = [&](int i, v1::LogQuery* query) {
    query->set_trace_id(Denial::TraceId(static_cast<uint64_t>(i * 7919 % flags.records)));
  };
  bool right = true;
  for (const bool cold : {true, false}) {
    right &= Ask(flags, "one account and one hour", cold, account_and_hour, &goals);
    right &= Ask(flags, "one trace, of any time", cold, trace, &goals);
  }
  return right ? 0 : 1;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("The decision log: denials a second, and queries over many of them.", "sluice_log_bench");
  app.require_subcommand(1);
  app.add_option("--folder", flags.folder, "where; default: a new one, removed at the end");
  app.add_option("--goals", flags.goals, "append rows of the table of goals to this file");
  app.fallthrough();
  CLI::App* write = app.add_subcommand("write", "Denials at a steady rate; then the log is verified.");
  write->add_option("--rate", flags.rate);
  write->add_option("--seconds", flags.seconds);
  write->add_option("--threads", flags.threads)->check(CLI::PositiveNumber);
  CLI::App* query = app.add_subcommand("query", "Fills a log, unless --folder has one, and queries it.");
  query->add_option("--records", flags.records)->check(CLI::PositiveNumber);
  query->add_option("--hours", flags.hours)->check(CLI::PositiveNumber);
  query->add_option("--accounts", flags.accounts)->check(CLI::PositiveNumber);
  query->add_option("--queries", flags.queries)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  std::string made;
  if (flags.folder.empty()) {
    std::error_code error;
    made = (std::filesystem::temp_directory_path(error) / "sluice-log-bench.XXXXXX").string();
    if (error || mkdtemp(made.data()) == nullptr) return 1;
    flags.folder = made + "/decisions";
  }
  const int code = write->parsed() ? Write(flags) : Query(flags);
  std::error_code error;
  if (!made.empty()) std::filesystem::remove_all(made, error);
  return code;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) { return sluice::bench::Main(argc, argv); }
