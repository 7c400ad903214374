// Who asks for most: accounts, buckets, objects, domains and addresses, by requests and by bytes, over the last minute.
//
// For people who look, never for metrics, whose labels are not to name customers. Memory is bounded: seven panes of ten
// seconds, in each the heaviest `names` of a kind (heavy_hitters.h); a name with more than one in `names` of the
// traffic of a pane is not missed. Work is bounded too: up to `samples_per_second` everything is counted, above that
// every 2nd, 4th, 8th... request or byte, with as much weight; a count of n is then off by about sqrt(n * that).
#ifndef SLUICE_ENFORCEMENT_TOP_H_
#define SLUICE_ENFORCEMENT_TOP_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/optional.h"
#include "enforcement/engine.h"
#include "enforcement/heavy_hitters.h"

namespace sluice {

enum class TopKind : uint8_t { kAccount, kBucket, kObject, kDomain, kAddress };
inline constexpr int kTopKindCount = 5;

class Top final : public DecisionObserver, public UsageObserver {
 public:
  struct Options {
    size_t names = 512;  // of one kind, in one pane
    int64_t samples_per_second = 2000;
  };
  Top() : Top(Options()) {}
  explicit Top(Options options);

  // Thread-safe; never wait: what finds the lock taken is added to the next sample of its thread.
  void OnDecision(const CheckInput& input, const Decision& decision, Moment now) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnUsage(const UsageInput& usage, const ObjectView& object, absl::string_view owner, absl::string_view host,
               Moment now) override ABSL_LOCKS_EXCLUDED(mutex_);

  struct Entry {
    std::string name;  // an object's is "bucket/key"
    double per_second = 0;
    double throttled = 0, denied = 0;  // of its requests, from 0 to 1
    double doubt = 0;                  // by how much per_second may be too high
  };
  struct List {
    std::vector<Entry> entries;  // heaviest first
    double per_second = 0;       // of all names together
    double seconds = 0;          // what the rates are taken over: 60 to 70, less where the node is younger
  };
  // The `count` heaviest of a kind. Thread-safe; holds up samples for as long as it takes to copy some thousand names.
  List Heaviest(TopKind kind, HeavyHitters::Weight by, size_t count, MonotonicTime now) const
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static constexpr int kWeights = 2;
  static constexpr int kPanes = 7;
  static constexpr int kSlots = 32;

  // What the threads of a slot have seen, of one weight; alone on its cache lines.
  struct alignas(128) Slot {
    std::array<std::atomic<uint64_t>, kWeights> seen{};
    std::array<std::atomic<int64_t>, kWeights> missed{};
  };
  struct Sketch {
    explicit Sketch(size_t names, HeavyHitters::Weight weight) : heaviest(names, weight) {}
    HeavyHitters heaviest;
    int64_t total = 0;
  };
  struct Pane {
    int64_t number = -1;           // ten seconds since the epoch of the monotonic clock
    std::vector<Sketch> sketches;  // by kind, then weight
  };
  struct Sample {
    absl::string_view owner, bucket, key, host, address;
    Verdict verdict = Verdict::kUnspecified;
  };

  // The weight that a sample stands for; 0: no sample.
  int64_t Draw(HeavyHitters::Weight by, int64_t weight);
  void Add(HeavyHitters::Weight by, int64_t weight, const Sample& sample, MonotonicTime now);
  void Adapt(size_t by, MonotonicTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Pane& PaneAt(MonotonicTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Slot& MySlot() const;

  const Options options_;
  const std::unique_ptr<Slot[]> slots_;
  std::array<std::atomic<int>, kWeights> shift_{};  // every 2^shift-th is a sample

  mutable absl::Mutex mutex_;
  std::array<Pane, kPanes> panes_ ABSL_GUARDED_BY(mutex_);
  absl::optional<MonotonicTime> first_ ABSL_GUARDED_BY(mutex_);
  std::array<int64_t, kWeights> second_ ABSL_GUARDED_BY(mutex_){};  // in which `taken_` were taken
  std::array<int64_t, kWeights> taken_ ABSL_GUARDED_BY(mutex_){};
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_TOP_H_
