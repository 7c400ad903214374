#include "bench/engine_parts.h"

#include <benchmark/benchmark.h>

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "bench/allocations.h"
#include "enforcement/names.h"
#include "server/system_clock.h"

namespace sluice::bench {
namespace {

constexpr size_t kKeys = size_t{1} << 16;  // a power of two; drawn at random from all that a map holds

// Maps as large as those of the policy, with the keys to look up.
struct Maps {
  explicit Maps(const Sizes& sizes) {
    std::mt19937_64 random(1);
    by_hash.reserve(static_cast<size_t>(sizes.flags));
    std::vector<Hash128> all;
    for (int64_t i = 0; i < sizes.flags; ++i) {
      all.push_back({random(), random()});
      by_hash[all.back()] = static_cast<uint64_t>(i);
    }
    for (int64_t i = 0; i < sizes.accounts; ++i) by_name[NameOf(i)] = static_cast<uint64_t>(i);
    for (size_t i = 0; i < kKeys; ++i) {
      present.push_back(all[random() % all.size()]);
      absent.push_back({random(), random()});
      names.push_back(NameOf(static_cast<int64_t>(random() % static_cast<uint64_t>(sizes.accounts))));
    }
  }
  static std::string NameOf(int64_t i) { return absl::StrCat("13800", 10'000'000 + i); }

  absl::flat_hash_map<Hash128, uint64_t> by_hash;
  absl::flat_hash_map<std::string, uint64_t> by_name;
  std::vector<Hash128> present, absent;
  std::vector<std::string> names;
};

void Lookup(benchmark::State& state, const Maps& maps, bool hit, size_t mask) {
  const std::vector<Hash128>& keys = hit ? maps.present : maps.absent;
  size_t i = 0, found = 0;
  for (auto _ : state) {
    const auto it = maps.by_hash.find(keys[i++ & mask]);
    if (it != maps.by_hash.end()) {
      ++found;
      benchmark::DoNotOptimize(it->second);
    }
  }
  if (found != (hit ? i : 0)) state.SkipWithError("a key was lost, or one found that was never put in");
}

void LookupByName(benchmark::State& state, const Maps& maps, size_t mask) {
  size_t i = 0, found = 0;
  for (auto _ : state) {
    const auto it = maps.by_name.find(maps.names[i++ & mask]);
    found += it != maps.by_name.end();
  }
  if (found != i) state.SkipWithError("a name was lost");
}

void HashAccount(benchmark::State& state) {
  absl::string_view account = "138000012345";
  for (auto _ : state) {
    benchmark::DoNotOptimize(account);
    benchmark::DoNotOptimize(SubjectHash(SubjectKind::kAccount, account));
  }
}

void HashObject(benchmark::State& state) {
  absl::string_view bucket = "media-0012345-cn-east-1", key = "video/2026/11/24/0123456789/segment-0001.ts";
  for (auto _ : state) {
    benchmark::DoNotOptimize(key);
    benchmark::DoNotOptimize(SubjectHash(SubjectKind::kObject, bucket, key));
  }
}

void ReadIndex(benchmark::State& state, const PolicyIndex* index) {
  for (auto _ : state) benchmark::DoNotOptimize(index->Read()->revision());
}

// What another way to hold the policy would cost a reader: an epoch announced in a slot of its own, and ended there.
struct alignas(64) EpochSlot {
  std::atomic<uint64_t> epoch{0};
};
EpochSlot epoch_slot;
std::atomic<uint64_t> current_epoch{1};

void ReadEpoch(benchmark::State& state) {
  for (auto _ : state) {
    // An exchange, not a store: it has to be seen before anything of the epoch is read.
    epoch_slot.epoch.exchange(current_epoch.load(std::memory_order_acquire), std::memory_order_seq_cst);
    benchmark::ClobberMemory();
    epoch_slot.epoch.store(0, std::memory_order_release);
  }
}

// A question's own cost: what the loop of a check does besides the check.
void FillInput(benchmark::State& state, const QuestionSet& questions, size_t mask) {
  CheckInput input;
  size_t i = 0;
  for (auto _ : state) {
    questions[i++ & mask].Fill(&input);
    benchmark::DoNotOptimize(input);
    benchmark::ClobberMemory();
  }
}

void ValidateInput(benchmark::State& state, const QuestionSet& questions, size_t mask) {
  CheckInput input;
  size_t i = 0;
  bool ok = true;
  for (auto _ : state) {
    questions[i++ & mask].Fill(&input);
    ok &= Engine::Validate(input).ok();
  }
  if (!ok) state.SkipWithError("a question is malformed");
}

// What a decision says in text: whom it met, where the names outlive nothing but the decision.
void FillDecision(benchmark::State& state, const Question& question) {
  const int64_t before = AllocationsOfThisThread();
  for (auto _ : state) {
    Decision decision;
    decision.owner = decision.kept.Keep(question.requester);
    decision.bucket = decision.kept.Keep(question.bucket);
    decision.key = question.key;
    benchmark::DoNotOptimize(decision);
  }
  state.counters["allocations"] =
      benchmark::Counter(static_cast<double>(AllocationsOfThisThread() - before), benchmark::Counter::kAvgIterations);
}

void ReadClock(benchmark::State& state) {
  const SystemClock clock(absl::Seconds(1));
  for (auto _ : state) benchmark::DoNotOptimize(clock.Now());
}

std::atomic<int64_t> taken_ns{1};

void Take(benchmark::State& state, Limiter* limiter, const Maps& maps, size_t mask) {
  const TokenBucket bucket(1e8, 1e12);
  MonotonicTime now{taken_ns.load()};
  size_t i = 0;
  int64_t refused = 0;
  for (auto _ : state) {
    now.ns += 1000;
    refused += limiter->Take(maps.absent[i++ & mask], bucket, 1, now) != 0;
  }
  taken_ns.store(now.ns);
  if (refused > 0) state.SkipWithError("a limit refused that has tokens");
}

// The least that a shared counter can cost.
struct alignas(64) Counter {
  alignas(16) std::array<uint64_t, 2> words{};
};
Counter shared_counter;

void CompareExchange8(benchmark::State& state) {
  auto* word = reinterpret_cast<std::atomic<uint64_t>*>(&shared_counter.words[0]);
  for (auto _ : state) {
    uint64_t seen = word->load(std::memory_order_relaxed);
    while (!word->compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed)) {
    }
  }
}

#if defined(__x86_64__)
void CompareExchange16(benchmark::State& state) {
  using Word = unsigned __int128;
  auto* word = reinterpret_cast<Word*>(&shared_counter.words);
  for (auto _ : state) {
    for (;;) {
      const Word low = __atomic_load_n(&shared_counter.words[0], __ATOMIC_RELAXED);
      const Word high = __atomic_load_n(&shared_counter.words[1], __ATOMIC_RELAXED);
      const Word seen = high << 64 | low;
      if (__sync_bool_compare_and_swap(word, seen, seen + 1)) break;
    }
  }
}
#endif

}  // namespace

void RegisterParts(Fixture* fixture, const Sizes& sizes) {
  using benchmark::RegisterBenchmark;
  const auto maps = std::make_shared<const Maps>(sizes);
  const auto questions = std::make_shared<const QuestionSet>(sizes, Case::kOwnerAllow, kKeys, /*seed=*/2);
  const PolicyIndex* index = &fixture->index();
  Limiter* limiter = &fixture->limiter();
  const auto both = [](const char* name, const auto& body) {
    RegisterBenchmark(absl::StrCat(name, "/hot").c_str(), [body](benchmark::State& state) { body(state, 0); });
    RegisterBenchmark(absl::StrCat(name, "/random").c_str(),
                      [body](benchmark::State& state) { body(state, kKeys - 1); });
  };
  both("part/map_hit", [maps](benchmark::State& state, size_t mask) { Lookup(state, *maps, true, mask); });
  both("part/map_miss", [maps](benchmark::State& state, size_t mask) { Lookup(state, *maps, false, mask); });
  both("part/name_map_hit", [maps](benchmark::State& state, size_t mask) { LookupByName(state, *maps, mask); });
  RegisterBenchmark("part/subject_hash_account", HashAccount);
  RegisterBenchmark("part/subject_hash_object", HashObject);
  RegisterBenchmark("part/left_right_read", [index](benchmark::State& state) { ReadIndex(state, index); });
  RegisterBenchmark("part/left_right_read", [index](benchmark::State& state) { ReadIndex(state, index); })->Threads(2);
  RegisterBenchmark("part/epoch_read", ReadEpoch);
  both("part/fill_input", [questions](benchmark::State& state, size_t mask) { FillInput(state, *questions, mask); });
  both("part/validate", [questions](benchmark::State& state, size_t mask) { ValidateInput(state, *questions, mask); });
  RegisterBenchmark("part/fill_decision",
                    [questions](benchmark::State& state) { FillDecision(state, (*questions)[0]); });
  RegisterBenchmark("part/system_clock", ReadClock);
  both("part/limiter_take", [=](benchmark::State& state, size_t mask) { Take(state, limiter, *maps, mask); });
  RegisterBenchmark("part/limiter_take/hot", [=](benchmark::State& state) {
    Take(state, limiter, *maps, 0);
  })->Threads(2);
  RegisterBenchmark("part/compare_exchange_8", CompareExchange8)->Threads(1)->Threads(2);
#if defined(__x86_64__)
  RegisterBenchmark("part/compare_exchange_16", CompareExchange16)->Threads(1)->Threads(2);
#endif
}

}  // namespace sluice::bench
