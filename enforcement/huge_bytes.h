// Large zeroed memory: in huge pages where the system gives them, since a table of hundreds of megabytes that is read
// at random costs a walk of the page tables on nearly every look-up otherwise. Small pieces come from the heap. Source:
// docs/decisions/2026-11-26-index.md
#ifndef SLUICE_ENFORCEMENT_HUGE_BYTES_H_
#define SLUICE_ENFORCEMENT_HUGE_BYTES_H_

#include <cstddef>
#include <utility>

namespace sluice {

// Owns `size` bytes, all 0 at first, aligned to a cache line. Ends the process where there is no memory, as new does.
class HugeBytes {
 public:
  HugeBytes() = default;
  explicit HugeBytes(size_t size);
  HugeBytes(HugeBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  HugeBytes& operator=(HugeBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~HugeBytes();

  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_HUGE_BYTES_H_
