// What a node is asked in the benchmarks of whole servers: 70 % downloads by owners, 20 % reads through CDN hosts, 5 %
// each of flagged objects and of frozen accounts, in random order, about entities drawn at random.
#ifndef SLUICE_BENCH_CHECK_MIX_H_
#define SLUICE_BENCH_CHECK_MIX_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "bench/fixture.h"

namespace sluice::bench {

struct MixedCheck {
  std::string bytes;  // of a CheckRequest
  // What the answer must say.
  Verdict verdict = Verdict::kUnspecified;
  Reason reason = Reason::kUnspecified;
};

// `count` of them, at least 20. The first is an allow.
std::vector<MixedCheck> MakeCheckMix(const Sizes& sizes, size_t count);

// "" where `answer` is a CheckResponse that says so; else what was wanted and what was got.
std::string WhatIsWrong(const MixedCheck& check, absl::string_view answer);
// The same of a CheckBatchResponse to checks [first, first + count) of `mix`, from its start again after the end.
std::string WhatIsWrongOfBatch(const std::vector<MixedCheck>& mix, size_t first, size_t count,
                               absl::string_view answer);

// Whether `answer` is a CheckResponse that denies because the node is overloaded, whatever was asked.
bool IsShed(absl::string_view answer);

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_CHECK_MIX_H_
