// SPOP 2.0, the wire of HAProxy's stream processing offload engine: frames, and the values in them. No sockets.
// Source: HAProxy's doc/SPOE.txt, section 3.
#ifndef SLUICE_SERVER_DOORS_SPOP_H_
#define SLUICE_SERVER_DOORS_SPOP_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace sluice {

enum class SpopType : uint8_t {
  kHaproxyHello = 1,
  kHaproxyDisconnect = 2,
  kNotify = 3,
  kAgentHello = 101,
  kAgentDisconnect = 102,
  kAck = 103,
};

// Of AGENT-DISCONNECT.
enum class SpopError : uint8_t {
  kNone = 0,
  kTooBig = 3,
  kInvalid = 4,
  kNoVersion = 5,
  kNoFrameSize = 6,
  kNoCapabilities = 7,
  kBadVersion = 8,
  kBadFrameSize = 9,
  kFragmented = 10,
};

// The variables that an agent sets live as long as what they are named after.
enum class SpopScope : uint8_t { kProcess = 0, kSession = 1, kTransaction = 2, kRequest = 3, kResponse = 4 };

inline constexpr size_t kSpopLengthBytes = 4;      // before each frame, big-endian
inline constexpr size_t kSpopFrameBytesMin = 256;  // what both sides must be able to take

struct SpopFrame {
  SpopType type = SpopType::kNotify;
  bool whole = false;  // not the fragment of a larger one
  uint64_t stream_id = 0;
  uint64_t frame_id = 0;
  absl::string_view payload;
};
// Of the bytes behind the length; nothing where they are no frame.
absl::optional<SpopFrame> ReadSpopFrame(absl::string_view bytes);

// One typed value. Addresses stay packed, 4 or 16 bytes.
struct SpopValue {
  enum class Kind : uint8_t { kNull, kBool, kNumber, kAddress, kText };
  Kind kind = Kind::kNull;
  bool flag = false;
  int64_t number = 0;  // an unsigned one above the greatest signed one is that
  absl::string_view text;
};

// Takes values off the front of a payload. Each returns false, and takes nothing, where the bytes are not that.
class SpopReader {
 public:
  explicit SpopReader(absl::string_view bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }
  absl::string_view rest() const { return rest_; }
  bool Byte(uint8_t* value);
  bool Varint(uint64_t* value);
  bool Text(absl::string_view* value);  // its length first
  bool Value(SpopValue* value);

 private:
  absl::string_view rest_;
};

void AppendSpopVarint(uint64_t value, std::string* out);
void AppendSpopText(absl::string_view text, std::string* out);
// Keys of a list, with their values.
void AppendSpopEntry(absl::string_view name, absl::string_view text, std::string* out);
void AppendSpopEntry(absl::string_view name, uint32_t number, std::string* out);
// Actions of an ACK: set a variable.
void AppendSpopSet(SpopScope scope, absl::string_view name, absl::string_view text, std::string* out);
void AppendSpopSet(SpopScope scope, absl::string_view name, int64_t number, std::string* out);
void AppendSpopSet(SpopScope scope, absl::string_view name, bool flag, std::string* out);
// A whole frame, with its length.
void AppendSpopFrame(SpopType type, uint64_t stream_id, uint64_t frame_id, absl::string_view payload, std::string* out);

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_SPOP_H_
