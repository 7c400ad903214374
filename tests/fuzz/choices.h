// Turns the bytes of a fuzzer into choices: whatever they are, they are a run of typed operations. Behind their end
// every choice is the first.
#ifndef SLUICE_TESTS_FUZZ_CHOICES_H_
#define SLUICE_TESTS_FUZZ_CHOICES_H_

#include <cstddef>
#include <cstdint>

namespace sluice {

class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  bool more() const { return left_ > 0; }
  // From 0 to below `count`. REQUIRES: 0 < count <= 256.
  int Of(int count) { return static_cast<int>(Byte()) % count; }
  uint8_t Byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  // Small values often, large ones too.
  int64_t Amount() {
    const int shift = Of(48);
    return (int64_t{Byte()} + 1) << shift;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_FUZZ_CHOICES_H_
