// Two copies of a value, so that readers never wait for the writer and take no lock.
//
// Readers use the active copy. The writer changes the other, makes it the active one, waits until no reader is left in
// the old one, and repeats the change there. Costs twice the memory, and a reader two uncontended atomic adds (10 ns).
// Source: Ramalhete, Correia, "Left-Right: A Concurrency Control Technique with Wait-Free Population Oblivious Reads"
// (2015).
#ifndef SLUICE_ENFORCEMENT_LEFT_RIGHT_H_
#define SLUICE_ENFORCEMENT_LEFT_RIGHT_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>

namespace sluice {

template <typename T>
class LeftRight {
 public:
  // One reader's hold on the active copy. Lives on the reader's stack, on one thread. Holding it delays the writer,
  // never another reader.
  class Guard {
   public:
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    // Release: whatever was read is read before the writer sees the count fall.
    ~Guard() { count_->fetch_sub(1, std::memory_order_release); }
    const T& operator*() const { return *value_; }
    const T* operator->() const { return value_; }

   private:
    friend class LeftRight;
    Guard(std::atomic<int64_t>* count, const T* value) : count_(count), value_(value) {}
    std::atomic<int64_t>* count_;
    const T* value_;
  };

  template <typename... Args>
  explicit LeftRight(const Args&... args) : copies_{T(args...), T(args...)} {}

  // Thread-safe; wait-free.
  Guard Read() const {
    const int epoch = epoch_.load(std::memory_order_seq_cst);
    std::atomic<int64_t>* count = &counts_[epoch][Slot()].value;
    // seq_cst: the count must be seen before the choice of the copy is made, or the writer could miss this reader.
    count->fetch_add(1, std::memory_order_seq_cst);
    return Guard(count, &copies_[active_.load(std::memory_order_seq_cst)]);
  }

  // The copy that no reader sees. For the one writer; what it changes there shows at Publish.
  T& working() { return copies_[1 - active_.load(std::memory_order_relaxed)]; }

  // Shows the working copy to readers, waits for those in the old copy, and calls `repeat(T&)` to bring it to the same
  // state. One writer at a time.
  template <typename Repeat>
  void Publish(Repeat&& repeat) {
    const int old_active = active_.load(std::memory_order_relaxed);
    active_.store(1 - old_active, std::memory_order_seq_cst);
    const int old_epoch = epoch_.load(std::memory_order_relaxed);
    WaitForNoReader(1 - old_epoch);
    epoch_.store(1 - old_epoch, std::memory_order_seq_cst);
    WaitForNoReader(old_epoch);
    std::forward<Repeat>(repeat)(copies_[old_active]);
  }

 private:
  static constexpr int kSlots = 64;
  struct alignas(64) Count {
    std::atomic<int64_t> value{0};
  };

  static int Slot() {
    static std::atomic<int> next{0};
    thread_local const int slot = next.fetch_add(1, std::memory_order_relaxed) % kSlots;
    return slot;
  }

  void WaitForNoReader(int epoch) {
    for (Count& count : counts_[epoch]) {
      while (count.value.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
    }
  }

  std::array<T, 2> copies_;
  std::atomic<int> active_{0};
  std::atomic<int> epoch_{0};
  mutable std::array<std::array<Count, kSlots>, 2> counts_;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_LEFT_RIGHT_H_
