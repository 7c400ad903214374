#include "server/listen/buffer_budget.h"

namespace sluice {

bool BufferBudget::Take(size_t bytes) {
  size_t taken = taken_.load(std::memory_order_relaxed);
  do {
    if (taken > bytes_max_ || bytes > bytes_max_ - taken) return false;
  } while (!taken_.compare_exchange_weak(taken, taken + bytes, std::memory_order_relaxed));
  return true;
}

BufferShare::~BufferShare() { Adjust(0); }

bool BufferShare::Draw(size_t bytes) {
  const size_t covered = kOwnBytes + PiecesFor(bytes) * kPieceBytes;
  if (budget_ != nullptr && !budget_->Take(covered - covered_)) return false;
  covered_ = covered;
  return true;
}

void BufferShare::Adjust(size_t bytes) {
  const size_t covered = kOwnBytes + PiecesFor(bytes) * kPieceBytes;
  if (budget_ != nullptr) {
    if (covered > covered_) budget_->TakeAnyway(covered - covered_);
    if (covered < covered_) budget_->GiveBack(covered_ - covered);
  }
  covered_ = covered;
}

}  // namespace sluice
