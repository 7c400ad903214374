#include "enforcement/top.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kPane = 10 * kSecond;
constexpr int kShiftMax = 40;

}  // namespace

Top::Top(Options options) : options_(options), slots_(new Slot[kSlots]) {}

Top::Slot& Top::MySlot() const {
  static std::atomic<int> next{0};
  thread_local const int slot = next.fetch_add(1, std::memory_order_relaxed) % kSlots;
  return slots_[slot];
}

int64_t Top::Draw(HeavyHitters::Weight by, int64_t weight) {
  const auto index = static_cast<size_t>(by);
  Slot& slot = MySlot();
  // Relaxed: a count orders nothing.
  const int shift = shift_[index].load(std::memory_order_relaxed);
  const uint64_t before = slot.seen[index].fetch_add(static_cast<uint64_t>(weight), std::memory_order_relaxed);
  const uint64_t steps = ((before + static_cast<uint64_t>(weight)) >> shift) - (before >> shift);
  return static_cast<int64_t>(steps << shift);
}

void Top::Adapt(size_t by, MonotonicTime now) {
  const int64_t second = now.ns / kSecond;
  int shift = shift_[by].load(std::memory_order_relaxed);
  if (second != second_[by]) {
    if (taken_[by] < options_.samples_per_second / 4) shift = std::max(shift - 1, 0);
    second_[by] = second;
    taken_[by] = 0;
  }
  if (++taken_[by] > options_.samples_per_second) {
    shift = std::min(shift + 1, kShiftMax);
    taken_[by] = 0;
  }
  shift_[by].store(shift, std::memory_order_relaxed);
}

Top::Pane& Top::PaneAt(MonotonicTime now) {
  const int64_t number = now.ns / kPane;
  Pane& pane = panes_[static_cast<size_t>(number % kPanes)];
  if (pane.number >= number) return pane;  // a thread that read the clock a moment earlier counts with the later ones
  pane.number = number;
  if (pane.sketches.empty()) {
    for (int i = 0; i < kTopKindCount * kWeights; ++i) {
      pane.sketches.emplace_back(options_.names, static_cast<HeavyHitters::Weight>(i % kWeights));
    }
  }
  for (Sketch& sketch : pane.sketches) {
    sketch.heaviest.Clear();
    sketch.total = 0;
  }
  return pane;
}

void Top::Add(HeavyHitters::Weight by, int64_t weight, const Sample& sample, MonotonicTime now) {
  const auto index = static_cast<size_t>(by);
  std::atomic<int64_t>& missed = MySlot().missed[index];
  if (!mutex_.TryLock()) {
    missed.fetch_add(weight, std::memory_order_relaxed);
    return;
  }
  weight += missed.exchange(0, std::memory_order_relaxed);
  Adapt(index, now);
  if (!first_) first_ = now;
  Pane& pane = PaneAt(now);
  const auto add = [&](TopKind kind, absl::string_view name) {
    if (name.empty()) return;
    Sketch& sketch = pane.sketches[static_cast<size_t>(kind) * kWeights + index];
    sketch.total += weight;
    const bool requests = by == HeavyHitters::Weight::kRequests;
    sketch.heaviest.Add(name, requests ? 0 : weight, sample.verdict, requests ? weight : 0);
  };
  add(TopKind::kAccount, sample.owner);
  add(TopKind::kBucket, sample.bucket);
  if (!sample.bucket.empty() && !sample.key.empty()) {
    add(TopKind::kObject, absl::StrCat(sample.bucket, "/", sample.key));
  }
  add(TopKind::kDomain, sample.host);
  add(TopKind::kAddress, sample.address);
  mutex_.Unlock();
}

void Top::OnDecision(const CheckInput& input, const Decision& decision, Moment now) {
  const int64_t weight = Draw(HeavyHitters::Weight::kRequests, 1);
  if (weight == 0) return;
  Add(HeavyHitters::Weight::kRequests, weight,
      {decision.owner, decision.bucket, decision.key, decision.host, input.client_ip, decision.verdict}, now.mono);
}

void Top::OnUsage(const UsageInput& usage, const ObjectView& object, absl::string_view owner, absl::string_view host,
                  Moment now) {
  const int64_t bytes = std::max<int64_t>(usage.bytes_in, 0) + std::max<int64_t>(usage.bytes_out, 0);
  const int64_t weight = bytes == 0 ? 0 : Draw(HeavyHitters::Weight::kBytes, bytes);
  if (weight == 0) return;
  Add(HeavyHitters::Weight::kBytes, weight,
      {owner, object.bucket, object.key, host, usage.client_ip, Verdict::kUnspecified}, now.mono);
}

Top::List Top::Heaviest(TopKind kind, HeavyHitters::Weight by, size_t count, MonotonicTime now) const {
  absl::flat_hash_map<std::string, HeavyHitters::Entry> names;
  List list;
  int64_t total = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (!first_) return list;
    const int64_t newest = now.ns / kPane;
    for (const Pane& pane : panes_) {
      if (pane.number <= newest - kPanes || pane.number < 0) continue;
      const Sketch& sketch = pane.sketches[static_cast<size_t>(kind) * kWeights + static_cast<size_t>(by)];
      total += sketch.total;
      for (HeavyHitters::Entry& entry : sketch.heaviest.Top(options_.names)) {
        HeavyHitters::Entry& sum = names[entry.name];
        sum.requests += entry.requests;
        sum.bytes += entry.bytes;
        sum.throttled += entry.throttled;
        sum.denied += entry.denied;
        sum.doubt += entry.doubt;
      }
    }
    const int64_t from = std::max((newest - kPanes + 1) * kPane, first_->ns);
    // Of a node that has just begun no rate is known; a second is the least to divide by.
    list.seconds = std::max(static_cast<double>(now.ns - from) / 1e9, 1.0);
  }
  list.per_second = static_cast<double>(total) / list.seconds;
  for (const auto& [name, sum] : names) {
    const auto weight = static_cast<double>(by == HeavyHitters::Weight::kRequests ? sum.requests : sum.bytes);
    const double requests = std::max(static_cast<double>(sum.requests), 1.0);
    const auto doubt = static_cast<double>(sum.doubt);
    // As space-saving counts: what it surely asked for, and what may have come before.
    list.entries.push_back({name, (weight + doubt) / list.seconds, static_cast<double>(sum.throttled) / requests,
                            static_cast<double>(sum.denied) / requests, doubt / list.seconds});
  }
  std::sort(list.entries.begin(), list.entries.end(), [](const Entry& a, const Entry& b) {
    return a.per_second != b.per_second ? a.per_second > b.per_second : a.name < b.name;
  });
  if (list.entries.size() > count) list.entries.resize(count);
  return list;
}

}  // namespace sluice
