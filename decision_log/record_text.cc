#include "decision_log/record_text.h"

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "proto/translate.h"

namespace sluice {
namespace {

void MakeUtf8(std::string* text) {
  if (!IsUtf8(*text)) *text = AsUtf8(*text);
}

void MakeUtf8(v1::CheckRequest* request) {
  for (std::string* text : {request->mutable_request_id(), request->mutable_requester(), request->mutable_owner(),
                            request->mutable_bucket(), request->mutable_key(), request->mutable_version_id(),
                            request->mutable_host(), request->mutable_path(), request->mutable_client_ip(),
                            request->mutable_region(), request->mutable_lease_id()}) {
    MakeUtf8(text);
  }
  for (v1::ContentHash& hash : *request->mutable_hashes()) {
    MakeUtf8(hash.mutable_algorithm());
    MakeUtf8(hash.mutable_digest());
  }
  if (request->has_copy_source()) {
    MakeUtf8(request->mutable_copy_source()->mutable_bucket());
    MakeUtf8(request->mutable_copy_source()->mutable_key());
    MakeUtf8(request->mutable_copy_source()->mutable_version_id());
  }
}

void MakeUtf8(v1::CheckResponse* response) {
  for (std::string* text : {response->mutable_clause(), response->mutable_rule_id(), response->mutable_lease_id()}) {
    MakeUtf8(text);
  }
  if (!response->has_http()) return;
  MakeUtf8(response->mutable_http()->mutable_code());
  MakeUtf8(response->mutable_http()->mutable_message());
}

CheckInput InputOf(const RecordView& record) {
  const RecordNumbers& numbers = record.numbers;
  CheckInput input;
  input.request_id = record.name(LogName::kRequestId);
  input.operation = static_cast<Operation>(numbers.operation);
  input.requester = record.name(LogName::kRequester);
  input.owner = record.name(LogName::kOwner);
  input.bucket = record.name(LogName::kBucket);
  input.key = record.name(LogName::kKey);
  input.version_id = record.name(LogName::kVersionId);
  for (const HashView& hash : record.hashes) input.hashes.push_back(hash);
  input.host = record.name(LogName::kHost);
  input.path = record.name(LogName::kPath);
  input.client_ip = record.name(LogName::kClientIp);
  input.region = record.name(LogName::kRegion);
  input.bytes = numbers.bytes;
  input.principal = static_cast<Principal>(numbers.principal);
  input.copy_source = {record.name(LogName::kCopyBucket), record.name(LogName::kCopyKey),
                       record.name(LogName::kCopyVersionId), (numbers.flags & kRecordCopies) != 0};
  input.min_revision = numbers.min_revision;
  input.dialect = static_cast<Dialect>(numbers.dialect);
  input.take_lease = (numbers.flags & kRecordTookLease) != 0;
  input.detail = (numbers.flags & kRecordDetail) != 0;
  input.lease_id = record.name(LogName::kLeaseAsked);
  input.new_key = (numbers.flags & kRecordNewKey) != 0;
  return input;
}

Decision DecisionOf(const RecordView& record) {
  const RecordNumbers& numbers = record.numbers;
  const auto text = [&record](LogName name) { return std::string(record.name(name)); };
  Decision decision;
  decision.verdict = static_cast<Verdict>(numbers.verdict);
  decision.reason = static_cast<Reason>(numbers.reason);
  decision.fault = static_cast<Fault>(numbers.fault);
  decision.set_by = static_cast<Role>(numbers.set_by);
  decision.clause = text(LogName::kClause);
  decision.rule_id = text(LogName::kRuleId);
  decision.lease_id = text(LogName::kLeaseId);
  for (const uint8_t reason : record.warnings) decision.warnings.push_back(static_cast<Reason>(reason));
  for (const uint8_t reason : record.all_reasons) decision.all_reasons.push_back(static_cast<Reason>(reason));
  decision.retry_after_ms = numbers.retry_after_ms;
  decision.shape_bytes_per_second = numbers.shape_bytes_per_second;
  decision.cache_for_ms = numbers.cache_for_ms;
  decision.recheck_after_ms = numbers.recheck_after_ms;
  decision.revision = numbers.revision;
  decision.http = {numbers.http_status, record.name(LogName::kHttpCode), record.name(LogName::kHttpMessage)};
  return decision;
}

}  // namespace

std::string AsUtf8(absl::string_view text) {
  std::string made;
  for (size_t i = 0; i < text.size();) {
    size_t size = 1;
    while (size <= 4 && i + size <= text.size() && !IsUtf8(text.substr(i, size))) ++size;
    if (size <= 4 && i + size <= text.size()) {
      made.append(text.data() + i, size);
      i += size;
    } else {
      absl::StrAppendFormat(&made, "%%%02X", static_cast<uint8_t>(text[i++]));
    }
  }
  return made;
}

void ToProto(const RecordView& record, absl::string_view node, int64_t number, v1::DecisionRecord* message) {
  message->Clear();
  ToProto(absl::FromUnixNanos(record.numbers.at_ns), message->mutable_at());
  message->set_node(std::string(node));
  v1::CheckRequest* request = message->mutable_request();
  ToProto(InputOf(record), request);
  MakeUtf8(request);
  ToProto(DecisionOf(record), request->request_id(), message->mutable_response(), /*detail=*/true);
  MakeUtf8(message->mutable_response());
  message->set_door(std::string(Name(static_cast<Door>(record.numbers.door))));
  message->set_trace_parent(AsUtf8(record.name(LogName::kTraceParent)));
  message->set_number(number);
  message->set_trial_verdict(static_cast<v1::Verdict>(record.numbers.trial_verdict));
  message->set_trial_reason(static_cast<v1::Reason>(record.numbers.trial_reason));
  message->set_trial_rule_id(AsUtf8(record.name(LogName::kTrialRuleId)));
}

uint64_t TermHash(const AddressBlock& address) {
  return TermHash(LogTerm::kAddress,
                  absl::string_view(reinterpret_cast<const char*>(address.bytes.data()), address.v4 ? 4 : 16));
}

}  // namespace sluice
