// The limiter as typed operations: over any stretch of time no more is granted than burst and rate say, a wait that was
// given is enough, what was given back is there again, and leases are never more than their cap.
#include <stdlib.h>

#include <cmath>
#include <string>
#include <vector>

#include "enforcement/leases.h"
#include "enforcement/limiter.h"
#include "tests/fuzz/choices.h"

namespace sluice {
namespace {

constexpr int kKeys = 4;

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;  // NOLINT: of one function
  Choices choices(data, size);
  Limiter limiter({.cells = 1024});
  Leases held({});
  const double rate = 1 + choices.Byte(), burst = 1 + choices.Byte();
  const TokenBucket bucket(rate, burst);
  MonotonicTime now{1'000'000'000};
  const int64_t began = now.ns;
  double granted[kKeys] = {};
  std::vector<std::string> leases;
  const int64_t cap = 1 + choices.Of(4);
  for (int step = 0; step < 300 && choices.more(); ++step) {
    const int index = choices.Of(kKeys);
    const Hash128 key = SubjectHash(SubjectKind::kAccount, std::string(1, static_cast<char>('a' + index)));
    const double cost = 1 + choices.Of(8);
    switch (choices.Of(7)) {
      case 0:
        now.ns += choices.Amount() % 10'000'000'000;
        break;
      case 1:
      case 2: {
        const int64_t wait = limiter.Take(key, bucket, cost, now);
        if (wait == 0) {
          granted[index] += cost;
          const double most = burst + rate * static_cast<double>(now.ns - began) / 1e9;
          if (granted[index] > most * (1 + 1e-9) + 1e-6) abort();
        } else if (cost > burst) {
          if (wait != INT64_MAX) abort();
        } else {
          // Enough, and no more than a full bucket takes.
          if (limiter.Wait(key, bucket, cost, MonotonicTime{now.ns + wait}) != 0) abort();
        }
        break;
      }
      case 3:
        if (limiter.Take(key, bucket, cost, now) == 0) {
          limiter.GiveBack(key, bucket, cost, now);
          if (limiter.Wait(key, bucket, cost, now) != 0) abort();
        }
        break;
      case 4:
        limiter.Charge(key, bucket, static_cast<double>(choices.Amount()), now);
        // A debt of two bursts at most: then it is paid back in the time that three take.
        if (limiter.WaitForAny(key, bucket, MonotonicTime{now.ns + static_cast<int64_t>(3e9 * burst / rate) + 1000}) !=
            0) {
          abort();
        }
        break;
      case 5: {
        std::string lease;
        size_t refused = 0;
        const Leases::Cap caps[] = {{key, cap}};
        if (held.Take(caps, absl::Seconds(1 + choices.Of(100)), now, &lease, &refused)) leases.push_back(lease);
        if (held.Held(key, now) > cap) abort();
        break;
      }
      default:
        if (!leases.empty()) {
          held.End(*ParseLease(leases.back()), now);
          if (held.Holds(leases.back(), now)) abort();
          leases.pop_back();
        }
    }
  }
  now.ns += 1'000'000'000'000;
  for (int index = 0; index < kKeys; ++index) {
    const Hash128 key = SubjectHash(SubjectKind::kAccount, std::string(1, static_cast<char>('a' + index)));
    if (held.Held(key, now) != 0) abort();
  }
  return 0;
}
