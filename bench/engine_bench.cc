// Engine::Check alone, in process, over a policy of the size that one node holds, beside the bare parts that it is made
// of (engine_parts.cc). Every answer is compared with what it must be: a wrong one is an error, and the exit code 1.
//
//   sluice_engine_bench [--accounts N] [--buckets N] [--flags N] [--benchmark_...]
//   sluice_engine_bench --count N --case NAME    N checks of one case, for callgrind (instructions.sh)
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "bench/allocations.h"
#include "bench/engine_parts.h"
#include "bench/fixture.h"
#include "bench/table_reporter.h"

namespace sluice::bench {
namespace {

constexpr size_t kQuestions = size_t{1} << 16;  // a power of two

struct CheckCase {
  const char* name;
  Case what;
  int limits;
};
constexpr CheckCase kCases[] = {
    {"check/allow_owner", Case::kOwnerAllow, 0},      {"check/allow_cdn", Case::kCdnAllow, 0},
    {"check/allow_cdn_1_limit", Case::kCdnAllow, 1},  {"check/allow_cdn_3_limits", Case::kCdnAllow, 3},
    {"check/allow_cdn_5_limits", Case::kCdnAllow, 5}, {"check/deny_flag", Case::kFlagDeny, 0},
    {"check/deny_freeze", Case::kFreezeDeny, 0},
};

// A Tuesday; time moves only as far as a benchmark moves it.
absl::Time Today() { return absl::FromCivil(absl::CivilSecond(2026, 12, 1, 2, 0, 0), absl::UTCTimeZone()); }

// What the benchmarks share. Built once, before the first of them.
class World {
 public:
  explicit World(const Sizes& sizes) : sizes_(sizes), fixture_(sizes, Today()) {
    for (const Case what : {Case::kOwnerAllow, Case::kCdnAllow, Case::kFlagDeny, Case::kFreezeDeny}) {
      questions_[what] = std::make_unique<QuestionSet>(sizes, what, kQuestions, /*seed=*/1);
    }
  }
  Fixture& fixture() { return fixture_; }
  const QuestionSet& questions(Case what) const { return *questions_.at(what); }
  const Sizes& sizes() const { return sizes_; }

 private:
  const Sizes sizes_;
  Fixture fixture_;
  std::map<Case, std::unique_ptr<QuestionSet>> questions_;
};

// Asks one question after the other, a microsecond apart, so that limits refill. One a thread.
class Asker {
 public:
  Asker(Engine* engine, const QuestionSet& questions, bool random, int64_t start_ns)
      : engine_(engine), questions_(questions), mask_(random ? questions.size() - 1 : 0) {
    now_.wall = Today();
    now_.mono.ns = start_ns;
  }
  void Ask() {
    const Question& question = questions_[next_++ & mask_];
    question.Fill(&input_);
    now_.mono.ns += 1000;
    const Decision decision = engine_->Check(input_, now_);
    wrong_ += !question.IsAnsweredBy(decision.verdict, decision.reason);
  }
  int64_t wrong() const { return wrong_; }
  int64_t now_ns() const { return now_.mono.ns; }

 private:
  Engine* const engine_;
  const QuestionSet& questions_;
  const size_t mask_;
  size_t next_ = 0;
  CheckInput input_;
  Moment now_;
  int64_t wrong_ = 0;
};

// Monotonic time never goes back from one benchmark to the next: limits remember.
int64_t clock_ns = 1'000'000'000;

void Check(benchmark::State& state, World* world, const CheckCase& check, bool random) {
  if (state.thread_index() == 0) world->fixture().SetLimits(check.limits);
  Asker asker(&world->fixture().engine(), world->questions(check.what), random, clock_ns);
  int64_t allocations = 0;
  for (auto _ : state) {
    if (allocations == 0) allocations = -AllocationsOfThisThread();  // after the first, which all threads wait for
    asker.Ask();
  }
  allocations += AllocationsOfThisThread();
  if (asker.wrong() > 0) state.SkipWithError(absl::StrCat(asker.wrong(), " wrong answers").c_str());
  state.counters["allocations"] =
      benchmark::Counter(static_cast<double>(allocations), benchmark::Counter::kAvgIterations);
  if (state.thread_index() == 0) clock_ns = asker.now_ns();
}

void RegisterChecks(World* world) {
  for (const CheckCase& check : kCases) {
    for (const bool random : {false, true}) {
      const auto run = [world, &check, random](benchmark::State& state) { Check(state, world, check, random); };
      const std::string name = absl::StrCat(check.name, random ? "/random" : "/hot");
      benchmark::RegisterBenchmark(name.c_str(), run);
      // Two threads on one key, and on keys of their own.
      if (check.limits == 1) benchmark::RegisterBenchmark(name.c_str(), run)->Threads(2);
    }
  }
}

// Exactly `count` checks. Returns the exit code.
int Count(World* world, const std::string& name, int64_t count) {
  for (const CheckCase& check : kCases) {
    if (check.name != name) continue;
    world->fixture().SetLimits(check.limits);
    Asker asker(&world->fixture().engine(), world->questions(check.what), /*random=*/true, clock_ns);
    for (int64_t i = 0; i < count; ++i) asker.Ask();
    if (asker.wrong() > 0) std::fprintf(stderr, "%s: %ld wrong answers\n", name.c_str(), asker.wrong());
    return asker.wrong() > 0 ? 1 : 0;
  }
  std::fprintf(stderr, "--case: no case '%s'; wanted", name.c_str());
  for (const CheckCase& check : kCases) std::fprintf(stderr, " %s", check.name);
  std::fprintf(stderr, "\n");
  return 2;
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);  // takes its own flags away
  Sizes sizes;
  int64_t count = 0;
  std::string name;
  CLI::App app("Engine::Check alone, in process.");
  app.add_option("--accounts", sizes.accounts, "Accounts of the policy");
  app.add_option("--buckets", sizes.buckets, "Buckets of the policy");
  app.add_option("--flags", sizes.flags, "Flagged objects of the policy");
  app.add_option("--count", count, "Make so many checks of --case and nothing else");
  app.add_option("--case", name, "Which case --count means");
  CLI11_PARSE(app, argc, argv);
  if (const absl::Status status = Validate(sizes); !status.ok()) {
    std::fprintf(stderr, "sluice_engine_bench: %s\n", std::string(status.message()).c_str());
    return 2;
  }
  World world(sizes);
  if (count > 0) return Count(&world, name, count);
  RegisterChecks(&world);
  RegisterParts(&world.fixture(), sizes);
  benchmark::AddCustomContext("accounts", absl::StrCat(sizes.accounts));
  benchmark::AddCustomContext("buckets", absl::StrCat(sizes.buckets));
  benchmark::AddCustomContext("flags", absl::StrCat(sizes.flags));
  TableReporter reporter("part/map_hit");
  benchmark::RunSpecifiedBenchmarks(&reporter);
  return reporter.errors() > 0 ? 1 : 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) { return sluice::bench::Main(argc, argv); }
