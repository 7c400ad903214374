#include "proto/check_codec.h"

#include <cstdint>

#include "enforcement/names.h"
#include "proto/translate_enum.h"
#include "proto/wire.h"

namespace sluice {
namespace {

using Type = WireReader::Type;

// The enum number that the library keeps of a varint: its low 32 bits.
template <typename Value>
Value EnumOf(uint64_t varint) {
  return FromNumber<Value>(static_cast<int>(static_cast<uint32_t>(varint)));
}

// The place of a text field of CheckRequest; null for other fields.
absl::string_view* TextOf(uint32_t number, CheckInput* input) {
  switch (number) {
    case 1:
      return &input->request_id;
    case 3:
      return &input->requester;
    case 4:
      return &input->owner;
    case 5:
      return &input->bucket;
    case 6:
      return &input->key;
    case 7:
      return &input->version_id;
    case 9:
      return &input->host;
    case 10:
      return &input->path;
    case 11:
      return &input->client_ip;
    case 12:
      return &input->region;
    case 20:
      return &input->lease_id;
    default:
      return nullptr;
  }
}

bool DecodeHash(WireReader fields, HashView* hash) {
  while (fields.Next()) {
    if (fields.type() != Type::kBytes || fields.number() > 2) continue;
    if (!IsUtf8(fields.bytes())) return false;
    (fields.number() == 1 ? hash->algorithm : hash->digest) = fields.bytes();
  }
  return fields.ok();
}

bool DecodeObject(WireReader fields, ObjectView* object) {
  object->set = true;
  while (fields.Next()) {
    if (fields.type() != Type::kBytes || fields.number() > 3) continue;
    if (!IsUtf8(fields.bytes())) return false;
    (fields.number() == 1 ? object->bucket : fields.number() == 2 ? object->key : object->version_id) = fields.bytes();
  }
  return fields.ok();
}

bool DecodeBytes(const WireReader& fields, CheckInput* input) {
  if (absl::string_view* const text = TextOf(fields.number(), input); text != nullptr) {
    if (!IsUtf8(fields.bytes())) return false;
    *text = fields.bytes();
    return true;
  }
  if (fields.number() == 8) {
    input->hashes.emplace_back();
    return DecodeHash(fields.Inside(), &input->hashes.back());
  }
  return fields.number() != 15 || DecodeObject(fields.Inside(), &input->copy_source);
}

void DecodeNumber(uint32_t number, uint64_t value, CheckInput* input) {
  switch (number) {
    case 2:
      input->operation = EnumOf<Operation>(value);
      break;
    case 13:
      input->bytes = static_cast<int64_t>(value);
      break;
    case 14:
      input->principal = EnumOf<Principal>(value);
      break;
    case 16:
      input->min_revision = static_cast<int64_t>(value);
      break;
    case 17:
      input->dialect = EnumOf<Dialect>(value);
      break;
    case 18:
      input->take_lease = value != 0;
      break;
    case 19:
      input->detail = value != 0;
      break;
    case 21:
      input->new_key = value != 0;
      break;
    default:
      break;
  }
}

uint64_t NumberOf(int64_t value) { return static_cast<uint64_t>(value); }  // a negative one takes ten bytes

template <typename Value>
void AppendEnumField(uint32_t number, Value value, std::string* out) {
  AppendNumberField(number, static_cast<uint64_t>(value), out);
}

// Packed. No reason takes more than two bytes, so neither does the size of so few.
template <typename Reasons>
void AppendReasons(uint32_t number, const Reasons& reasons, std::string* out) {
  if (reasons.empty()) return;
  std::string packed;
  for (const Reason reason : reasons) AppendVarint(static_cast<uint64_t>(reason), &packed);
  AppendBytesField(number, packed, out);
}

}  // namespace

bool DecodeCheckRequest(absl::string_view bytes, CheckInput* input) {
  static const auto* const kEmpty = new CheckInput();
  const Door door = input->door;
  const absl::string_view trace_parent = input->trace_parent;
  *input = *kEmpty;
  input->door = door;
  input->trace_parent = trace_parent;
  WireReader fields(bytes);
  while (fields.Next()) {
    if (fields.type() == Type::kBytes) {
      if (!DecodeBytes(fields, input)) return false;
    } else if (fields.type() == Type::kVarint) {
      DecodeNumber(fields.number(), fields.varint(), input);
    }
  }
  return fields.ok();
}

void EncodeCheckResponse(const Decision& decision, absl::string_view request_id, absl::string_view trace_id,
                         bool detail, std::string* out) {
  AppendTextField(1, request_id, out);
  AppendEnumField(2, decision.verdict, out);
  AppendEnumField(3, decision.reason, out);
  AppendTextField(4, decision.clause, out);
  AppendEnumField(5, decision.fault, out);
  AppendReasons(6, decision.warnings, out);
  if (detail) AppendReasons(7, decision.all_reasons, out);
  AppendNumberField(8, NumberOf(decision.retry_after_ms), out);
  AppendNumberField(9, NumberOf(decision.shape_bytes_per_second), out);
  AppendNumberField(10, NumberOf(decision.cache_for_ms), out);
  AppendNumberField(11, NumberOf(decision.revision), out);
  AppendTextField(12, decision.rule_id, out);
  AppendTextField(13, decision.lease_id, out);
  if (decision.verdict != Verdict::kAllow) {
    std::string http;
    AppendNumberField(1, NumberOf(decision.http.status), &http);
    AppendTextField(2, decision.http.code, &http);
    AppendTextField(3, decision.http.message, &http);
    AppendBytesField(14, http, out);
  }
  if (detail) AppendEnumField(15, decision.set_by, out);
  AppendNumberField(16, NumberOf(decision.recheck_after_ms), out);
  if (decision.verdict != Verdict::kAllow) AppendTextField(17, trace_id, out);
}

}  // namespace sluice
