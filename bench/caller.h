// One connection's protocol on the caller's side, without its socket: which bytes ask for a call, and which calls the
// bytes that came back answer. What drives it is wire_load.h.
#ifndef SLUICE_BENCH_CALLER_H_
#define SLUICE_BENCH_CALLER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sluice::bench {

struct Answer {
  uint32_t slot = 0;  // of Caller::Call
  std::string wrong;  // "" = the call was answered, and as it must be; or it was shed
  bool shed = false;  // the server said that it is overloaded, in the way in which it must say so
};

// Looks at the answer to call `call`; "" where it is as it must be, else what is wrong.
using AnswerCheck = std::function<std::string(size_t call, absl::string_view answer)>;
// Whether the answer says that the server is overloaded, and nothing else.
using ShedCheck = std::function<bool(absl::string_view answer)>;

class Caller {
 public:
  virtual ~Caller() = default;

  // Appends what a connection begins with.
  virtual void Greet(std::string* out) {}
  // Whether the peer lets one more call go out now.
  virtual bool MayCall() const = 0;
  // Appends the request of call number `call`; numbers go round over what was prepared. REQUIRES: MayCall().
  virtual void Call(size_t call, uint32_t slot, std::string* out) = 0;
  // Takes what has arrived and returns how much of it is done with; the rest is to come again, at the front. Appends to
  // `*answers` what is answered, and to `*out` what the protocol owes the peer.
  virtual size_t Receive(absl::string_view bytes, std::string* out, std::vector<Answer>* answers) = 0;

  // Not empty: the connection is of no use any more.
  const std::string& fault() const { return fault_; }

 protected:
  void Fail(std::string what) {
    if (fault_.empty()) fault_ = std::move(what);
  }

 private:
  std::string fault_;
};

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_CALLER_H_
