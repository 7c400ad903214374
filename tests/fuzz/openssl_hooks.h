// OpenSSL as a fuzzer wants it: without chance, and with what it holds for the node counted apart from what it holds
// for the node's peer.
#ifndef SLUICE_TESTS_FUZZ_OPENSSL_HOOKS_H_
#define SLUICE_TESTS_FUZZ_OPENSSL_HOOKS_H_

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace sluice {

// Of the process, which has one thread.
class OpensslHooks {
 public:
  // REQUIRES: OpenSSL was not used yet.
  static void Install() {
    if (CRYPTO_set_mem_functions(Take, Grow, Give) != 1) abort();
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    static const RAND_METHOD kNoChance = {nullptr, Fill, nullptr, nullptr, Fill, [] { return 1; }};
    if (RAND_set_rand_method(&kNoChance) != 1) abort();
#pragma GCC diagnostic pop
  }
  // From here on the same numbers come as after the last time.
  static void Restart() { state_ = 0; }

  // Memory taken while one of these lives is the node's, until it is given back.
  class OfNode {
   public:
    OfNode() { of_node_ = true; }
    ~OfNode() { of_node_ = false; }
    OfNode(const OfNode&) = delete;
    OfNode& operator=(const OfNode&) = delete;
  };
  static size_t node_bytes() { return node_bytes_; }
  // The most since the last time that this was asked.
  static size_t TakeMost() {
    const size_t most = most_;
    most_ = node_bytes_;
    return most;
  }

 private:
  // Memory goes back to a list of its size, not to the sanitizer: OpenSSL is not instrumented, and asks for memory a
  // thousand times a handshake. What is never given back shows in node_bytes().
  struct alignas(16) Head {
    size_t size;  // asked for; 0 = given back
    uint8_t width;
    bool of_node;
    Head* next;
  };

  static void* Take(size_t size, const char*, int) {
    if (size == 0) return nullptr;
    const auto width = static_cast<uint8_t>(std::max(5, static_cast<int>(std::bit_width(size - 1))));
    Head* head = free_[width];
    if (head != nullptr) {
      free_[width] = head->next;
    } else if ((head = static_cast<Head*>(malloc(sizeof(Head) + (size_t{1} << width)))) == nullptr) {
      return nullptr;
    }
    *head = {size, width, of_node_, nullptr};
    if (of_node_) most_ = std::max(most_, node_bytes_ += size);
    return head + 1;
  }
  static void* Grow(void* old, size_t size, const char* file, int line) {
    void* const grown = Take(size, file, line);
    if (old == nullptr || (size > 0 && grown == nullptr)) return grown;
    if (grown != nullptr) {
      const Head& was = static_cast<Head*>(old)[-1];
      memcpy(grown, old, std::min(size, was.size));
    }
    Give(old, file, line);
    return grown;
  }
  static void Give(void* old, const char*, int) {
    if (old == nullptr) return;
    Head* const head = static_cast<Head*>(old) - 1;
    if (head->size == 0) abort();  // twice
    if (head->of_node) node_bytes_ -= head->size;
    head->size = 0;
    head->next = std::exchange(free_[head->width], head);
  }
  static int Fill(unsigned char* into, int size) {
    for (int i = 0; i < size; ++i) {
      // SplitMix64.
      uint64_t z = state_ += 0x9e3779b97f4a7c15;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      into[i] = static_cast<unsigned char>(z >> 56);
    }
    return 1;
  }

  static inline Head* free_[64] = {};
  static inline bool of_node_ = false;
  static inline size_t node_bytes_ = 0, most_ = 0;
  static inline uint64_t state_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_FUZZ_OPENSSL_HOOKS_H_
