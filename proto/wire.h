// The wire format of Protobuf, read and written by hand where a message object in between would cost more than the
// work. Reads exactly what the library reads, and refuses what it refuses (tests/proto/wire_test.cc holds them side by
// side).
#ifndef SLUICE_PROTO_WIRE_H_
#define SLUICE_PROTO_WIRE_H_

#include <cstdint>
#include <cstring>
#include <string>

#include "absl/numeric/bits.h"
#include "absl/strings/string_view.h"

namespace sluice {

// Reads the fields of one message, in the order in which they lie.
//
//   for (WireReader fields(bytes); fields.Next();) { switch (fields.number()) ... }
//   if (!fields.ok()) ...
//
// A field that the caller does not take is skipped. Views go into the bytes that are read. Not thread-safe.
class WireReader {
 public:
  enum class Type : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kStartGroup = 3, kEndGroup = 4, kFixed32 = 5 };

  // `depth`: how many messages and groups may lie in one another, as the library bounds them.
  explicit WireReader(absl::string_view bytes, int depth = 100)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()), depth_(depth) {}

  // Goes to the next field. False at the end, and where the bytes are no message: then ok() is false too.
  bool Next() {
    // Nearly every field of a check: a tag of one byte, and a size or a number of one. The rest is read byte by byte.
    if (end_ - at_ >= 2 && ok_) {
      const auto tag = static_cast<uint8_t>(at_[0]), value = static_cast<uint8_t>(at_[1]);
      if (tag < 0x80 && value < 0x80 && tag >= 8) {
        if ((tag & 7) == static_cast<uint8_t>(Type::kBytes) && value <= end_ - at_ - 2) {
          tag_ = tag;
          bytes_ = absl::string_view(at_ + 2, value);
          at_ += 2 + value;
          return true;
        }
        if ((tag & 7) == static_cast<uint8_t>(Type::kVarint)) {
          tag_ = tag;
          varint_ = value;
          at_ += 2;
          return true;
        }
      }
    }
    return NextOfAny();
  }
  bool ok() const { return ok_; }

  uint32_t number() const { return tag_ >> 3; }
  Type type() const { return static_cast<Type>(tag_ & 7); }
  uint64_t varint() const { return varint_; }                           // of kVarint
  absl::string_view bytes() const { return bytes_; }                    // of kBytes
  WireReader Inside() const { return WireReader(bytes_, depth_ - 1); }  // of kBytes that is a message
  // As a message of a known field: whether one may still lie in this one.
  bool may_go_deeper() const { return depth_ > 0; }

 private:
  bool NextOfAny();
  bool ReadTag();
  bool ReadVarint(uint64_t* value);
  bool ReadSize(size_t* size);
  bool SkipGroup(uint32_t number, int depth);
  bool Fail();

  const char* at_;
  const char* const end_;
  const int depth_;
  uint32_t tag_ = 0;
  uint64_t varint_ = 0;
  absl::string_view bytes_;
  bool ok_ = true;
};

// Writes fields to memory that has room for them, which is the caller's to see to. As the library writes: a zero, and
// an empty text, is not written.
class WireWriter {
 public:
  // The most that a field takes beside its text: a tag of two bytes (numbers up to 2047), and a number or a size.
  static constexpr size_t kFieldMax = 12;

  explicit WireWriter(char* at) : at_(at) {}
  char* at() const { return at_; }

  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) *at_++ = static_cast<char>(value | 0x80);
    *at_++ = static_cast<char>(value);
  }
  void Number(uint32_t number, uint64_t value) {
    if (value == 0) return;
    Varint(uint64_t{number} << 3);
    Varint(value);
  }
  void Text(uint32_t number, absl::string_view text) {
    if (text.empty()) return;
    Begin(number, text.size());
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  // Of a message or of packed numbers, whose bytes come next.
  void Begin(uint32_t number, size_t bytes) {
    Varint(uint64_t{number} << 3 | 2);
    Varint(bytes);
  }

 private:
  char* at_;
};
// Bytes that WireWriter::Varint writes.
inline size_t VarintBytes(uint64_t value) { return (absl::bit_width(value | 1) + 6) / 7; }

// Appends to `*out`. As the library writes: a zero, and an empty text, is not written.
void AppendVarint(uint64_t value, std::string* out);
void AppendNumberField(uint32_t number, uint64_t value, std::string* out);
void AppendTextField(uint32_t number, absl::string_view text, std::string* out);
// Written also where it is empty: of a repeated field, or of a message that is set.
void AppendBytesField(uint32_t number, absl::string_view bytes, std::string* out);

}  // namespace sluice

#endif  // SLUICE_PROTO_WIRE_H_
