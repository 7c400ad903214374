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

constexpr size_t kReasonBytesMax = 5;  // of a number of 32 bits

// Packed.
template <typename Reasons>
void WriteReasons(uint32_t number, const Reasons& reasons, WireWriter* out) {
  if (reasons.empty()) return;
  size_t bytes = 0;
  for (const Reason reason : reasons) bytes += VarintBytes(static_cast<uint64_t>(reason));
  out->Begin(number, bytes);
  for (const Reason reason : reasons) out->Varint(static_cast<uint64_t>(reason));
}

size_t TextBytes(absl::string_view text) {
  return text.empty() ? 0 : 1 + VarintBytes(text.size()) + text.size();  // of a field below 16
}

void WriteHttp(uint32_t number, const HttpHint& http, WireWriter* out) {
  const size_t status = http.status == 0 ? 0 : 1 + VarintBytes(NumberOf(http.status));
  out->Begin(number, status + TextBytes(http.code) + TextBytes(http.message));
  out->Number(1, NumberOf(http.status));
  out->Text(2, http.code);
  out->Text(3, http.message);
}

}  // namespace

bool DecodeCheckRequest(absl::string_view bytes, CheckInput* input) {
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
  constexpr size_t kFields = 21;  // of the message and of the one inside
  const size_t bytes_max = kFields * WireWriter::kFieldMax + request_id.size() + decision.clause.size() +
                           decision.rule_id.size() + decision.lease_id.size() + decision.http.code.size() +
                           decision.http.message.size() + trace_id.size() +
                           kReasonBytesMax * (decision.warnings.size() + decision.all_reasons.size());
  // Written in one piece and appended once: a field at a time took five times the instructions.
  char stack[1024];
  std::string heap;
  char* const start = bytes_max <= sizeof(stack) ? stack : (heap.resize(bytes_max), heap.data());
  WireWriter fields(start);
  const auto write_enum = [&](uint32_t number, auto value) { fields.Number(number, static_cast<uint64_t>(value)); };
  fields.Text(1, request_id);
  write_enum(2, decision.verdict);
  write_enum(3, decision.reason);
  fields.Text(4, decision.clause);
  write_enum(5, decision.fault);
  WriteReasons(6, decision.warnings, &fields);
  if (detail) WriteReasons(7, decision.all_reasons, &fields);
  fields.Number(8, NumberOf(decision.retry_after_ms));
  fields.Number(9, NumberOf(decision.shape_bytes_per_second));
  fields.Number(10, NumberOf(decision.cache_for_ms));
  fields.Number(11, NumberOf(decision.revision));
  fields.Text(12, decision.rule_id);
  fields.Text(13, decision.lease_id);
  if (decision.verdict != Verdict::kAllow) WriteHttp(14, decision.http, &fields);
  if (detail) write_enum(15, decision.set_by);
  fields.Number(16, NumberOf(decision.recheck_after_ms));
  if (decision.verdict != Verdict::kAllow) fields.Text(17, trace_id);
  out->append(start, static_cast<size_t>(fields.at() - start));
}

}  // namespace sluice
