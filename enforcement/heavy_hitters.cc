#include "enforcement/heavy_hitters.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace sluice {
namespace {

constexpr size_t kNameBytesMax = 512;

}  // namespace

void HeavyHitters::Add(absl::string_view name, int64_t bytes, Verdict verdict, int64_t requests) {
  name = name.substr(0, kNameBytesMax);
  const int64_t weight = weight_ == Weight::kRequests ? requests : bytes;
  size_t index;
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) {
    index = found->second;
  } else if (slots_.size() < capacity_) {
    index = slots_.size();
    slots_.emplace_back().entry.name = std::string(name);
    by_name_.emplace(name, index);
  } else {
    exact_ = false;
    if (weight == 0) return;  // displaces nobody
    if (heap_.empty()) BuildHeap();
    index = heap_[0];
    Slot& slot = slots_[index];
    by_name_.erase(slot.entry.name);
    by_name_.emplace(name, index);
    slot.entry = Entry{.name = std::string(name), .doubt = slot.weight};
  }
  Slot& slot = slots_[index];
  slot.weight += weight;
  slot.entry.requests += requests;
  slot.entry.bytes += bytes;
  if (verdict == Verdict::kThrottle) slot.entry.throttled += requests;
  if (verdict == Verdict::kDeny) slot.entry.denied += requests;
  if (!heap_.empty()) SiftDown(slot.heap_index);
}

void HeavyHitters::Clear() {
  exact_ = true;
  slots_.clear();
  by_name_.clear();
  heap_.clear();
}

std::vector<HeavyHitters::Entry> HeavyHitters::Top(size_t count) const {
  std::vector<const Slot*> order;
  order.reserve(slots_.size());
  for (const Slot& slot : slots_) order.push_back(&slot);
  count = std::min(count, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [](const Slot* a, const Slot* b) {
                      return a->weight != b->weight ? a->weight > b->weight : a->entry.name < b->entry.name;
                    });
  std::vector<Entry> result;
  for (size_t i = 0; i < count; ++i) result.push_back(order[i]->entry);
  return result;
}

void HeavyHitters::BuildHeap() {
  heap_.resize(slots_.size());
  std::iota(heap_.begin(), heap_.end(), size_t{0});
  for (size_t i = 0; i < heap_.size(); ++i) slots_[i].heap_index = i;
  for (size_t i = heap_.size() / 2; i-- > 0;) SiftDown(i);
}

// Weights only grow, so a slot only ever moves down.
void HeavyHitters::SiftDown(size_t index) {
  for (;;) {
    size_t lightest = index;
    for (const size_t child : {2 * index + 1, 2 * index + 2}) {
      if (child < heap_.size() && slots_[heap_[child]].weight < slots_[heap_[lightest]].weight) lightest = child;
    }
    if (lightest == index) return;
    Swap(index, lightest);
    index = lightest;
  }
}

void HeavyHitters::Swap(size_t a, size_t b) {
  std::swap(heap_[a], heap_[b]);
  slots_[heap_[a]].heap_index = a;
  slots_[heap_[b]].heap_index = b;
}

}  // namespace sluice
