// Memory for what connections hold of requests that are not whole and answers that are not taken: bounded for all of
// them together, and some of it each one's own, so that those who hold much leave those who hold little alone.
#ifndef SLUICE_SERVER_LISTEN_BUFFER_BUDGET_H_
#define SLUICE_SERVER_LISTEN_BUFFER_BUDGET_H_

#include <atomic>
#include <cstddef>

namespace sluice {

// What all connections may hold together beyond BufferShare::kOwnBytes each. Thread-safe; never blocks.
class BufferBudget {
 public:
  explicit BufferBudget(size_t bytes_max) : bytes_max_(bytes_max) {}
  BufferBudget(const BufferBudget&) = delete;
  BufferBudget& operator=(const BufferBudget&) = delete;

  // False, and then nothing is taken, where that would be over the bound.
  bool Take(size_t bytes);
  // Of memory that is in use already.
  void TakeAnyway(size_t bytes) { taken_.fetch_add(bytes, std::memory_order_relaxed); }
  void GiveBack(size_t bytes) { taken_.fetch_sub(bytes, std::memory_order_relaxed); }

  size_t taken() const { return taken_.load(std::memory_order_relaxed); }
  // Not a single piece is left.
  bool exhausted() const { return taken() + kPieceBytes > bytes_max_; }

  // What connections draw at once.
  static constexpr size_t kPieceBytes = size_t{64} << 10;

 private:
  const size_t bytes_max_;
  // Relaxed: a sum that orders nothing.
  std::atomic<size_t> taken_{0};
};

// One connection's part of a budget. It draws on the budget in pieces: what comes and goes within one costs nothing.
// Of the connection's thread.
class BufferShare {
 public:
  // `budget` must outlive this; null = no bound.
  explicit BufferShare(BufferBudget* budget) : budget_(budget) {}
  ~BufferShare();
  BufferShare(const BufferShare&) = delete;
  BufferShare& operator=(const BufferShare&) = delete;

  // Whether the connection may hold `bytes` in all. Where it may, they are its own until Hold says otherwise.
  bool Cover(size_t bytes) { return bytes <= covered_ || Draw(bytes); }
  // It holds `bytes` in all, whether it may or not.
  void Hold(size_t bytes) {
    if (bytes > covered_ || covered_ - bytes > 2 * kPieceBytes) Adjust(bytes);
  }
  // It draws on nothing that is for all.
  bool holds_own_only() const { return covered_ == kOwnBytes; }
  // Whether all connections together hold as much as they may.
  bool exhausted() const { return budget_ != nullptr && budget_->exhausted(); }

  // What each connection may hold whatever the others do: what one read can leave and be answered with, twice.
  static constexpr size_t kOwnBytes = size_t{128} << 10;

 private:
  static constexpr size_t kPieceBytes = BufferBudget::kPieceBytes;
  static size_t PiecesFor(size_t bytes) {
    return bytes <= kOwnBytes ? 0 : (bytes - kOwnBytes + kPieceBytes - 1) / kPieceBytes;
  }
  bool Draw(size_t bytes);
  void Adjust(size_t bytes);

  BufferBudget* const budget_;
  size_t covered_ = kOwnBytes;  // its own, and whole pieces of the budget
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_BUFFER_BUDGET_H_
