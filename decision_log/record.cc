#include "decision_log/record.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "decision_log/record_text.h"
#include "enforcement/names.h"
#include "enforcement/trace_context.h"

namespace sluice {
namespace {

using Names = std::array<absl::string_view, kLogNameCount>;

// What the engine resolved, else what the caller said.
absl::string_view Either(absl::string_view resolved, absl::string_view said) {
  return resolved.empty() ? said : resolved;
}

Names NamesOf(const CheckInput& input, const Decision& decision) {
  return {input.request_id,
          input.requester,
          Either(decision.owner, input.owner),
          Either(decision.bucket, input.bucket),
          Either(decision.key, input.key),
          input.version_id,
          Either(decision.host, input.host),
          input.path,
          input.client_ip,
          input.region,
          input.lease_id,
          input.copy_source.bucket,
          input.copy_source.key,
          input.copy_source.version_id,
          decision.clause,
          decision.rule_id,
          decision.lease_id,
          decision.http.code,
          decision.http.message,
          input.trace_parent,
          decision.trial_rule_id};
}

constexpr size_t VarintBytes(size_t value) { return value < 0x80 ? 1 : value < 0x4000 ? 2 : 3; }

char* WriteVarint(size_t value, char* out) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

char* WriteText(absl::string_view text, char* out) {
  out = WriteVarint(text.size(), out);
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

size_t TextBytes(absl::string_view text) { return VarintBytes(text.size()) + text.size(); }

bool TakeText(absl::string_view* bytes, absl::string_view* text) {
  size_t size = 0;
  for (int shift = 0;; shift += 7) {
    if (bytes->empty() || shift > 14) return false;
    const auto byte = static_cast<uint8_t>(bytes->front());
    bytes->remove_prefix(1);
    size |= size_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) break;
  }
  if (size > bytes->size()) return false;
  *text = bytes->substr(0, size);
  bytes->remove_prefix(size);
  return true;
}

uint32_t Clamp32(int64_t value) {
  return static_cast<uint32_t>(std::clamp<int64_t>(value, 0, std::numeric_limits<uint32_t>::max()));
}

template <typename List>
uint8_t CountOf(const List& list) {
  return static_cast<uint8_t>(std::min<size_t>(list.size(), 255));
}

}  // namespace

absl::string_view Name(LogClass value) {
  constexpr absl::string_view kNames[] = {"sample", "warning", "throttle", "evidence", "denial", "overload"};
  const auto index = static_cast<size_t>(value);
  return index < std::size(kNames) ? kNames[index] : "?";
}

LogClass ClassOf(const CheckInput& input, const Decision& decision) {
  if (decision.reason == Reason::kOverloaded) return LogClass::kOverload;
  switch (decision.verdict) {
    case Verdict::kAllow:
      if (input.principal == Principal::kEvidenceReader || input.principal == Principal::kModeration) {
        return LogClass::kEvidence;
      }
      return decision.warnings.empty() && decision.trial_verdict == Verdict::kUnspecified ? LogClass::kSample
                                                                                          : LogClass::kWarning;
    case Verdict::kThrottle:
      return LogClass::kThrottle;
    default:
      return LogClass::kDenial;
  }
}

RecordWriter::RecordWriter(const CheckInput& input, const Decision& decision)
    : input_(input), decision_(decision), names_(NamesOf(input, decision)) {
  bytes_ = sizeof(RecordNumbers) + CountOf(decision.warnings) + CountOf(decision.all_reasons);
  for (const absl::string_view name : names_) bytes_ += TextBytes(name);
  for (const HashView& hash : input.hashes) bytes_ += TextBytes(hash.algorithm) + TextBytes(hash.digest);
}

void RecordWriter::Write(absl::Time at, LogClass log_class, char* out) const {
  const CheckInput& input = input_;
  const Decision& decision = decision_;
  RecordNumbers numbers;
  numbers.size = static_cast<uint32_t>(bytes_);
  numbers.at_ns = absl::ToUnixNanos(at);
  numbers.revision = decision.revision;
  numbers.min_revision = input.min_revision;
  numbers.bytes = input.bytes;
  numbers.shape_bytes_per_second = decision.shape_bytes_per_second;
  numbers.retry_after_ms = Clamp32(decision.retry_after_ms);
  numbers.cache_for_ms = Clamp32(decision.cache_for_ms);
  numbers.recheck_after_ms = Clamp32(decision.recheck_after_ms);
  numbers.http_status = static_cast<uint16_t>(decision.http.status);
  numbers.operation = static_cast<uint8_t>(input.operation);
  numbers.principal = static_cast<uint8_t>(input.principal);
  numbers.dialect = static_cast<uint8_t>(input.dialect);
  numbers.door = static_cast<uint8_t>(input.door);
  numbers.verdict = static_cast<uint8_t>(decision.verdict);
  numbers.reason = static_cast<uint8_t>(decision.reason);
  numbers.fault = static_cast<uint8_t>(decision.fault);
  numbers.set_by = static_cast<uint8_t>(decision.set_by);
  numbers.log_class = static_cast<uint8_t>(log_class);
  numbers.flags =
      static_cast<uint8_t>((input.take_lease ? kRecordTookLease : 0) | (input.detail ? kRecordDetail : 0) |
                           (input.new_key ? kRecordNewKey : 0) | (input.copy_source.set ? kRecordCopies : 0));
  numbers.warnings = CountOf(decision.warnings);
  numbers.all_reasons = CountOf(decision.all_reasons);
  numbers.hashes = CountOf(input.hashes);
  numbers.trial_verdict = static_cast<uint8_t>(decision.trial_verdict);
  numbers.trial_reason = static_cast<uint8_t>(decision.trial_reason);
  std::memcpy(out, &numbers, sizeof(numbers));
  out += sizeof(numbers);
  for (size_t i = 0; i < numbers.warnings; ++i) *out++ = static_cast<char>(decision.warnings[i]);
  for (size_t i = 0; i < numbers.all_reasons; ++i) *out++ = static_cast<char>(decision.all_reasons[i]);
  for (const absl::string_view name : names_) out = WriteText(name, out);
  for (const HashView& hash : input.hashes) out = WriteText(hash.digest, WriteText(hash.algorithm, out));
}

bool ReadRecord(absl::string_view bytes, RecordView* view) {
  RecordNumbers& numbers = view->numbers;
  if (bytes.size() < sizeof(numbers)) return false;
  std::memcpy(&numbers, bytes.data(), sizeof(numbers));
  const size_t lists = sizeof(numbers) + numbers.warnings + numbers.all_reasons;
  if (numbers.size < lists || numbers.size > bytes.size() || numbers.log_class >= kLogClassCount) return false;
  const char* const reasons = bytes.data() + sizeof(numbers);
  view->warnings.assign(reasons, reasons + numbers.warnings);
  view->all_reasons.assign(reasons + numbers.warnings, reasons + numbers.warnings + numbers.all_reasons);
  absl::string_view rest = bytes.substr(lists, numbers.size - lists);
  for (absl::string_view& name : view->names) {
    if (!TakeText(&rest, &name)) return false;
  }
  view->hashes.resize(numbers.hashes);
  for (HashView& hash : view->hashes) {
    if (!TakeText(&rest, &hash.algorithm) || !TakeText(&rest, &hash.digest)) return false;
  }
  return rest.empty();
}

uint64_t TermHash(LogTerm term, absl::string_view name) {
  return XXH3_64bits_withSeed(name.data(), name.size(), static_cast<XXH64_hash_t>(term));
}

size_t TermsOf(const RecordView& record, TermHashes* terms) {
  terms->clear();
  std::string escaped;
  const auto add = [&](LogTerm term, LogName which) {
    absl::string_view name = record.name(which);
    if (name.empty()) return;
    if (!IsUtf8(name)) {  // a query is a message, and can only name what a message can carry
      escaped = AsUtf8(name);
      name = escaped;
    }
    terms->push_back(TermHash(term, name));
  };
  add(LogTerm::kAccount, LogName::kOwner);
  if (record.name(LogName::kRequester) != record.name(LogName::kOwner)) add(LogTerm::kAccount, LogName::kRequester);
  add(LogTerm::kBucket, LogName::kBucket);
  add(LogTerm::kHost, LogName::kHost);
  if (const absl::string_view address = record.name(LogName::kClientIp); !address.empty()) {
    const absl::optional<AddressBlock> block = ParseAddress(address);
    terms->push_back(block ? TermHash(*block) : TermHash(LogTerm::kAddress, address));
  }
  const size_t of_segments = terms->size();
  add(LogTerm::kKey, LogName::kKey);
  add(LogTerm::kRequestId, LogName::kRequestId);
  const absl::string_view trace = TraceIdOf(ParseTraceParent(record.name(LogName::kTraceParent)));
  if (!trace.empty()) terms->push_back(TermHash(LogTerm::kTrace, trace));
  return of_segments;
}

}  // namespace sluice
