#include "proto/wire.h"

namespace sluice {

bool WireReader::Fail() {
  ok_ = false;
  return false;
}

bool WireReader::ReadVarint(uint64_t* value) {
  uint64_t result = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (at_ == end_) return Fail();
    const auto byte = static_cast<uint8_t>(*at_++);
    result |= uint64_t{byte & 0x7fu} << shift;  // bits past the 64th fall away
    if (byte < 0x80) {
      *value = result;
      return true;
    }
  }
  return Fail();
}

// At most five bytes; bits past the 32nd fall away.
bool WireReader::ReadTag() {
  uint32_t result = 0;
  for (int shift = 0; shift < 35; shift += 7) {
    if (at_ == end_) return Fail();
    const auto byte = static_cast<uint8_t>(*at_++);
    result |= uint32_t{byte & 0x7fu} << shift;
    if (byte < 0x80) {
      tag_ = result;
      return true;
    }
  }
  return Fail();
}

bool WireReader::ReadSize(size_t* size) {
  uint64_t result = 0;
  for (int shift = 0; shift < 35; shift += 7) {
    if (at_ == end_) return Fail();
    const auto byte = static_cast<uint8_t>(*at_++);
    result |= uint64_t{byte & 0x7fu} << shift;
    if (byte >= 0x80) continue;
    if (result > static_cast<uint64_t>(end_ - at_)) return Fail();
    *size = static_cast<size_t>(result);
    return true;
  }
  return Fail();
}

bool WireReader::NextOfAny() {
  if (!ok_ || at_ == end_) return false;
  if (!ReadTag()) return false;
  if (number() == 0) return Fail();
  switch (type()) {
    case Type::kVarint:
      return ReadVarint(&varint_);
    case Type::kFixed64:
      if (end_ - at_ < 8) return Fail();
      at_ += 8;
      return true;
    case Type::kBytes: {
      size_t size;
      if (!ReadSize(&size)) return false;
      bytes_ = absl::string_view(at_, size);
      at_ += size;
      return true;
    }
    case Type::kStartGroup: {
      // No message here has groups: the whole of one is an unknown field.
      const uint32_t tag = tag_;
      if (!SkipGroup(number(), depth_ - 1)) return Fail();
      tag_ = tag;
      return true;
    }
    case Type::kFixed32:
      if (end_ - at_ < 4) return Fail();
      at_ += 4;
      return true;
    default:
      return Fail();  // the end of a group that did not begin, or a type that there is not
  }
}

bool WireReader::SkipGroup(uint32_t group, int depth) {
  if (depth < 0) return false;
  while (at_ != end_ && ReadTag()) {
    if (type() == Type::kEndGroup) return number() == group;
    if (number() == 0) return false;
    uint64_t value;
    size_t size;
    switch (type()) {
      case Type::kVarint:
        if (!ReadVarint(&value)) return false;
        break;
      case Type::kFixed64:
        if (end_ - at_ < 8) return false;
        at_ += 8;
        break;
      case Type::kBytes:
        if (!ReadSize(&size)) return false;
        at_ += size;
        break;
      case Type::kStartGroup:
        if (!SkipGroup(number(), depth - 1)) return false;
        break;
      case Type::kFixed32:
        if (end_ - at_ < 4) return false;
        at_ += 4;
        break;
      default:
        return false;
    }
  }
  return false;
}

namespace {

// What `write` writes with a WireWriter: a tag and a number at most, of a field of any number.
template <typename Write>
void AppendWritten(std::string* out, const Write& write) {
  constexpr size_t kTagMax = 5, kVarintMax = 10;
  char room[kTagMax + kVarintMax];
  WireWriter writer(room);
  write(&writer);
  out->append(room, static_cast<size_t>(writer.at() - room));
}

}  // namespace

void AppendVarint(uint64_t value, std::string* out) {
  AppendWritten(out, [&](WireWriter* writer) { writer->Varint(value); });
}

void AppendNumberField(uint32_t number, uint64_t value, std::string* out) {
  AppendWritten(out, [&](WireWriter* writer) { writer->Number(number, value); });
}

void AppendTextField(uint32_t number, absl::string_view text, std::string* out) {
  if (!text.empty()) AppendBytesField(number, text, out);
}

void AppendBytesField(uint32_t number, absl::string_view bytes, std::string* out) {
  AppendWritten(out, [&](WireWriter* writer) { writer->Begin(number, bytes.size()); });
  out->append(bytes.data(), bytes.size());
}

}  // namespace sluice
