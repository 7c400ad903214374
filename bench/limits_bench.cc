// What a limit costs beside the bare compare-and-swap it stands on, as ratios of medians in one run; and, with --curve,
// how much a limit lets through of how much is offered, on the machine's own clock.
//
//   sluice_limits_bench [--keys N] [--rounds N] [--short]
//   sluice_limits_bench --curve [--seconds S]     CSV, for bench/limit_curve.py
//
// Exit code 1 where an answer was not the one it must be.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bench/fixture.h"
#include "bench/median.h"
#include "enforcement/limiter.h"

namespace sluice::bench {
namespace {

using Word = unsigned __int128;

struct Options {
  int64_t keys = 10'000'000;
  int rounds = 9;
  int64_t calls = 2'000'000;
  bool brief = false;
  bool curve = false;
  double seconds = 1;
};

// The least that a limit can cost: read a cell, add to it, put it back in one compare-and-swap of 16 bytes.
struct alignas(16) BareCell {
  uint64_t key = 0;
  int64_t time = 0;
};

void Bump(BareCell* cell) {
  for (;;) {
    const uint64_t key = __atomic_load_n(&cell->key, __ATOMIC_ACQUIRE);
    const int64_t time = __atomic_load_n(&cell->time, __ATOMIC_ACQUIRE);
    const Word seen = static_cast<Word>(static_cast<uint64_t>(time)) << 64 | key;
    const Word wanted = static_cast<Word>(static_cast<uint64_t>(time + 1)) << 64 | key;
    if (__sync_bool_compare_and_swap(reinterpret_cast<Word*>(cell), seen, wanted)) return;
  }
}

double NsPerCall(int64_t calls, int threads, const std::function<void(int64_t calls, int thread)>& run) {
  std::atomic<int> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> pool;
  for (int i = 0; i < threads; ++i) {
    pool.emplace_back([&, i] {
      ready.fetch_add(1);
      while (!go.load()) std::this_thread::yield();
      run(calls, i);
    });
  }
  while (ready.load() < threads) std::this_thread::yield();
  const int64_t from = absl::GetCurrentTimeNanos();
  go.store(true);
  for (std::thread& thread : pool) thread.join();
  return static_cast<double>(absl::GetCurrentTimeNanos() - from) / static_cast<double>(calls);
}

struct Row {
  std::string name;
  int threads = 1;
  std::function<void(int64_t, int)> run;
  std::string beside;  // the row that it is a ratio to; "" = none
  std::vector<double> ns;
};

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {}

  void Add(std::string name, std::string beside, int threads, std::function<void(int64_t, int)> run) {
    rows_.push_back({std::move(name), threads, std::move(run), std::move(beside), {}});
  }

  // Rounds in turn, so that a machine that grows slower meets all rows alike.
  void Run() {
    for (int round = 0; round < options_.rounds; ++round) {
      for (Row& row : rows_) row.ns.push_back(NsPerCall(options_.calls, row.threads, row.run));
    }
    printf("%-44s %10s  %s\n", "", "ns a call", "beside");
    for (const Row& row : rows_) {
      const double ns = Median(row.ns);
      printf("%-44s %10.1f", row.name.c_str(), ns);
      for (const Row& other : rows_) {
        if (other.name == row.beside) printf("  %.2f x %s", ns / Median(other.ns), other.name.c_str());
      }
      printf("\n");
    }
  }

 private:
  const Options options_;
  std::vector<Row> rows_;
};

std::atomic<int64_t> wrong_answers{0};

// Monotonic time moves by a nanosecond a call, which refills next to nothing.
std::atomic<int64_t> bench_clock{1'000'000'000};

void TakeFrom(Limiter* limiter, const TokenBucket& bucket, const std::vector<Hash128>& keys, int64_t calls) {
  MonotonicTime now{bench_clock.load()};
  int64_t refused = 0;
  size_t next = 0;
  for (int64_t i = 0; i < calls; ++i) {
    ++now.ns;
    refused += limiter->Take(keys[next], bucket, 1, now) != 0;
    if (++next == keys.size()) next = 0;
  }
  bench_clock.store(now.ns);
  wrong_answers.fetch_add(refused);
}

int RunRatios(const Options& options) {
  // Tokens last a second and a burst is never used up: all cells stay live.
  const TokenBucket bucket(1, 1e9);
  std::mt19937_64 random(1);
  std::vector<Hash128> all;
  all.reserve(static_cast<size_t>(options.keys));
  for (int64_t i = 0; i < options.keys; ++i) all.push_back({random(), random()});
  size_t cells = 1;
  while (cells < static_cast<size_t>(options.keys)) cells *= 2;
  Limiter limiter({.cells = cells});
  for (const Hash128 key : all) limiter.Take(key, bucket, 1, MonotonicTime{1});
  std::vector<Hash128> picked;
  for (size_t i = 0; i < (size_t{1} << 20) && i < all.size(); ++i) picked.push_back(all[random() % all.size()]);
  const std::vector<Hash128> one = {all[0]};
  const int64_t forgotten = limiter.evicted_live();
  std::vector<BareCell> bare(cells);
  for (size_t i = 0; i < cells; ++i) bare[i].key = i;  // so that the pages are there

  Bench bench(options);
  const auto bump = [&](const std::vector<Hash128>& keys, int64_t calls) {
    size_t next = 0;
    for (int64_t i = 0; i < calls; ++i) {
      Bump(&bare[keys[next].low & (cells - 1)]);
      if (++next == keys.size()) next = 0;
    }
  };
  bench.Add("bare, one key", "", 1, [&](int64_t calls, int) { bump(one, calls); });
  bench.Add("limit, one key", "bare, one key", 1, [&](int64_t calls, int) { TakeFrom(&limiter, bucket, one, calls); });
  const std::string many = absl::StrCat("random of ", options.keys, " keys");
  bench.Add(absl::StrCat("bare, ", many), "", 1, [&](int64_t calls, int) { bump(picked, calls); });
  bench.Add(absl::StrCat("limit, ", many), absl::StrCat("bare, ", many), 1,
            [&](int64_t calls, int) { TakeFrom(&limiter, bucket, picked, calls); });
  bench.Add("bare, one key, two threads", "", 2, [&](int64_t calls, int) { bump(one, calls); });
  bench.Add("limit, one key, two threads", "bare, one key, two threads", 2,
            [&](int64_t calls, int) { TakeFrom(&limiter, bucket, one, calls); });
  bench.Run();
  printf("cells %zu, live ones forgotten while filling %lld\n\n", limiter.cells(), static_cast<long long>(forgotten));
  return 0;
}

// Asks the same question over and over; counts answers other than `wanted`.
void AskFor(Engine* engine, const Question& question, Verdict wanted, int64_t step_ns, int64_t calls) {
  CheckInput input;
  question.Fill(&input);
  Moment now{absl::FromUnixSeconds(1'796'090'400), MonotonicTime{bench_clock.load()}};
  int64_t wrong = 0;
  for (int64_t i = 0; i < calls; ++i) {
    now.mono.ns += step_ns;
    wrong += engine->Check(input, now).verdict != wanted;
  }
  bench_clock.store(now.mono.ns);
  wrong_answers.fetch_add(wrong);
}

int RunChecks(Options options) {
  options.calls /= 10;
  const Sizes sizes{.accounts = 1000, .buckets = 2000, .flags = 10000};
  Fixture none(sizes, absl::FromUnixSeconds(1'796'090'400)), five(sizes, absl::FromUnixSeconds(1'796'090'400));
  five.SetLimits(5);
  const QuestionSet cdn(sizes, Case::kCdnAllow, 1, /*seed=*/1);
  const QuestionSet flagged(sizes, Case::kFlagDeny, 1, /*seed=*/1);
  Bench bench(options);
  bench.Add("check, no limit", "", 1,
            [&](int64_t calls, int) { AskFor(&none.engine(), cdn[0], Verdict::kAllow, 1000, calls); });
  bench.Add("check, five limits", "check, no limit", 1,
            [&](int64_t calls, int) { AskFor(&five.engine(), cdn[0], Verdict::kAllow, 1000, calls); });
  bench.Add("check, denied by a flag", "check, no limit", 1,
            [&](int64_t calls, int) { AskFor(&five.engine(), flagged[0], Verdict::kDeny, 1000, calls); });
  bench.Run();
  return 0;
}

MonotonicTime MonotonicNow() {
  return {std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count()};
}

// One limit of 1,000 requests a second, or of as many bytes, offered from a tenth to ten times of that by two threads.
int RunCurve(const Options& options) {
  constexpr double kLimit = 1000;
  constexpr int kThreads = 2;
  printf("what,offered_per_second,admitted_per_second\n");
  for (const bool bytes : {false, true}) {
    for (const double times : {0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0}) {
      Limiter limiter({.cells = 64});
      const TokenBucket bucket(bytes ? kLimit * 1000 : kLimit, bytes ? 100'000 : 100);
      const Hash128 key = Limiter::Known({1, 2});
      std::atomic<int64_t> offered{0}, admitted{0};
      const int64_t from = MonotonicNow().ns;
      const auto until = from + static_cast<int64_t>(options.seconds * 1e9);
      const auto pause = static_cast<int64_t>(1e9 * kThreads / (kLimit * times));
      std::vector<std::thread> threads;
      for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
          for (int64_t at = from + thread * pause / kThreads; at < until; at += pause) {
            MonotonicTime now = MonotonicNow();
            while (now.ns < at) now = MonotonicNow();
            offered.fetch_add(1);
            if (!bytes) {
              if (limiter.Take(key, bucket, 1, now) == 0) admitted.fetch_add(1);
            } else if (limiter.WaitForAny(key, bucket, now) == 0) {
              admitted.fetch_add(1);
              limiter.Charge(key, bucket, 1000, now);  // a thousand bytes, told when it was served
            }
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      const double took = static_cast<double>(MonotonicNow().ns - from) / 1e9;
      printf("%s,%.3f,%.3f\n", bytes ? "bytes" : "requests", static_cast<double>(offered) / took / kLimit,
             static_cast<double>(admitted) / took / kLimit);
      if (static_cast<double>(admitted) > kLimit * took * 1.1 + 110) wrong_answers.fetch_add(1);
    }
  }
  return 0;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("What a limit costs, and what it lets through.");
  app.add_option("--keys", options.keys, "different keys of the random rows")->check(CLI::Range(1000, 100'000'000));
  app.add_option("--rounds", options.rounds, "of which the median counts")->check(CLI::Range(1, 100));
  app.add_flag("--short", options.brief, "a moment each: the figures say nothing");
  app.add_flag("--curve", options.curve, "print admitted against offered load");
  app.add_option("--seconds", options.seconds, "of each point of the curve")->check(CLI::Range(0.01, 60.0));
  CLI11_PARSE(app, argc, argv);
  if (options.brief) {
    options.keys = 1000;
    options.rounds = 1;
    options.calls = 1000;
    options.seconds = 0.02;
  }
  if (options.curve) {
    RunCurve(options);
  } else {
    RunRatios(options);
    RunChecks(options);
  }
  if (wrong_answers.load() == 0) return 0;
  fprintf(stderr, "sluice_limits_bench: %lld wrong answers\n", static_cast<long long>(wrong_answers.load()));
  return 1;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) { return sluice::bench::Main(argc, argv); }
