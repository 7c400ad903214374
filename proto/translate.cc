#include "proto/translate.h"

#include <algorithm>

#include "proto/translate_enum.h"

namespace sluice {
namespace {

// What google/protobuf/timestamp.proto allows: 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
constexpr int64_t kSecondsMin = -62135596800;
constexpr int64_t kSecondsMax = 253402300799;

void Assign(absl::string_view text, std::string* field) { field->assign(text.data(), text.size()); }

}  // namespace

absl::Time FromProto(const google::protobuf::Timestamp& message) {
  // Bounded first, so that what is kept in memory is what a restart reads back.
  const int64_t seconds = std::clamp(message.seconds(), kSecondsMin, kSecondsMax);
  return absl::FromUnixSeconds(seconds) + absl::Nanoseconds(std::clamp(message.nanos(), 0, 999999999));
}

void ToProto(absl::Time time, google::protobuf::Timestamp* message) {
  const int64_t seconds = absl::ToUnixSeconds(time);  // rounds down, before 1970 too
  if (seconds < kSecondsMin || seconds > kSecondsMax) {
    message->set_seconds(seconds < kSecondsMin ? kSecondsMin : kSecondsMax);
    message->set_nanos(seconds < kSecondsMin ? 0 : 999999999);
    return;
  }
  message->set_seconds(seconds);
  message->set_nanos(static_cast<int32_t>((time - absl::FromUnixSeconds(seconds)) / absl::Nanoseconds(1)));
}

// ---- Checks
// ----------------------------------------------------------------------------------------------------------

void FromProto(const v1::CheckRequest& message, CheckInput* input) {
  input->request_id = message.request_id();
  input->operation = FromNumber<Operation>(message.operation());
  input->requester = message.requester();
  input->owner = message.owner();
  input->bucket = message.bucket();
  input->key = message.key();
  input->version_id = message.version_id();
  input->hashes.clear();
  for (const v1::ContentHash& hash : message.hashes()) input->hashes.push_back({hash.algorithm(), hash.digest()});
  input->host = message.host();
  input->path = message.path();
  input->client_ip = message.client_ip();
  input->region = message.region();
  input->bytes = message.bytes();
  input->principal = FromNumber<Principal>(message.principal());
  input->copy_source = ObjectView();
  if (message.has_copy_source()) {
    const v1::ObjectRef& source = message.copy_source();
    input->copy_source = {source.bucket(), source.key(), source.version_id(), true};
  }
  input->min_revision = message.min_revision();
  input->dialect = FromNumber<Dialect>(message.dialect());
  input->take_lease = message.take_lease();
  input->detail = message.detail();
  input->lease_id = message.lease_id();
  input->new_key = message.new_key();
}

void ToProto(const CheckInput& input, v1::CheckRequest* message) {
  message->Clear();
  Assign(input.request_id, message->mutable_request_id());
  message->set_operation(ToNumber<v1::Operation>(input.operation));
  Assign(input.requester, message->mutable_requester());
  Assign(input.owner, message->mutable_owner());
  Assign(input.bucket, message->mutable_bucket());
  Assign(input.key, message->mutable_key());
  Assign(input.version_id, message->mutable_version_id());
  for (const HashView& hash : input.hashes) {
    v1::ContentHash* added = message->add_hashes();
    Assign(hash.algorithm, added->mutable_algorithm());
    Assign(hash.digest, added->mutable_digest());
  }
  Assign(input.host, message->mutable_host());
  Assign(input.path, message->mutable_path());
  Assign(input.client_ip, message->mutable_client_ip());
  Assign(input.region, message->mutable_region());
  message->set_bytes(input.bytes);
  message->set_principal(ToNumber<v1::Principal>(input.principal));
  if (input.copy_source.set) {
    v1::ObjectRef* source = message->mutable_copy_source();
    Assign(input.copy_source.bucket, source->mutable_bucket());
    Assign(input.copy_source.key, source->mutable_key());
    Assign(input.copy_source.version_id, source->mutable_version_id());
  }
  message->set_min_revision(input.min_revision);
  message->set_dialect(ToNumber<v1::Dialect>(input.dialect));
  message->set_take_lease(input.take_lease);
  message->set_detail(input.detail);
  Assign(input.lease_id, message->mutable_lease_id());
  message->set_new_key(input.new_key);
}

UsageInput FromProto(const v1::Usage& message) {
  UsageInput usage;
  usage.owner = message.owner();
  usage.bucket = message.bucket();
  usage.key = message.key();
  usage.host = message.host();
  usage.client_ip = message.client_ip();
  usage.operation = FromNumber<Operation>(message.operation());
  usage.bytes_in = message.bytes_in();
  usage.bytes_out = message.bytes_out();
  usage.cpu_microseconds = message.cpu_microseconds();
  usage.memory_byte_seconds = message.memory_byte_seconds();
  usage.stored_bytes_delta = message.stored_bytes_delta();
  usage.stored_objects_delta = message.stored_objects_delta();
  usage.lease_id = message.lease_id();
  return usage;
}

void ToProto(const Decision& decision, absl::string_view request_id, v1::CheckResponse* message, bool detail,
             absl::string_view trace_id) {
  message->Clear();
  Assign(request_id, message->mutable_request_id());
  message->set_verdict(ToNumber<v1::Verdict>(decision.verdict));
  message->set_reason(ToNumber<v1::Reason>(decision.reason));
  message->set_clause(decision.clause);
  message->set_fault(ToNumber<v1::Fault>(decision.fault));
  for (const Reason warning : decision.warnings) message->add_warnings(ToNumber<v1::Reason>(warning));
  message->set_retry_after_ms(decision.retry_after_ms);
  message->set_shape_bytes_per_second(decision.shape_bytes_per_second);
  message->set_cache_for_ms(decision.cache_for_ms);
  message->set_revision(decision.revision);
  message->set_rule_id(decision.rule_id);
  message->set_lease_id(decision.lease_id);
  message->set_recheck_after_ms(decision.recheck_after_ms);
  if (decision.verdict != Verdict::kAllow) {
    v1::HttpHint* http = message->mutable_http();
    http->set_status(decision.http.status);
    Assign(decision.http.code, http->mutable_code());
    Assign(decision.http.message, http->mutable_message());
    Assign(trace_id, message->mutable_trace_id());
  }
  if (!detail) return;
  for (const Reason reason : decision.all_reasons) message->add_all_reasons(ToNumber<v1::Reason>(reason));
  message->set_set_by(ToNumber<v1::Role>(decision.set_by));
}

// ---- What follows from the policy
// --------------------------------------------------------------------------------------

Subject FromProto(const v1::Subject& message) {
  Subject subject;
  subject.account = message.account();
  subject.bucket = message.bucket();
  subject.key = message.key();
  subject.prefix = message.prefix();
  subject.version_id = message.version_id();
  subject.hash.algorithm = message.hash().algorithm();
  subject.hash.digest = message.hash().digest();
  subject.host = message.host();
  subject.path = message.path();
  subject.client_ip = message.client_ip();
  return subject;
}

void ToProto(const Subject& subject, v1::Subject* message) {
  message->Clear();
  message->set_account(subject.account);
  message->set_bucket(subject.bucket);
  message->set_key(subject.key);
  message->set_prefix(subject.prefix);
  message->set_version_id(subject.version_id);
  if (!subject.hash.empty()) {
    message->mutable_hash()->set_algorithm(subject.hash.algorithm);
    message->mutable_hash()->set_digest(subject.hash.digest);
  }
  message->set_host(subject.host);
  message->set_path(subject.path);
  message->set_client_ip(subject.client_ip);
}

Announcement FromProto(const v1::Announcement& message) {
  Announcement announcement;
  announcement.revision = message.revision();
  announcement.kind = FromNumber<AnnouncementKind>(message.kind());
  announcement.subject = FromProto(message.subject());
  announcement.at = FromProto(message.at());
  announcement.clause = message.clause();
  announcement.detail = message.detail();
  return announcement;
}

void ToProto(const Announcement& announcement, v1::Announcement* message) {
  message->Clear();
  message->set_revision(announcement.revision);
  message->set_kind(ToNumber<v1::AnnouncementKind>(announcement.kind));
  if (!announcement.subject.empty()) ToProto(announcement.subject, message->mutable_subject());
  ToProto(announcement.at, message->mutable_at());
  message->set_clause(announcement.clause);
  message->set_detail(announcement.detail);
}

void ToProto(const Description& description, v1::DescribeResponse* message) {
  message->Clear();
  if (!description.subject.empty()) ToProto(description.subject, message->mutable_subject());
  message->set_state(ToNumber<v1::AccountState>(description.state));
  message->set_cause(ToNumber<v1::TerminationCause>(description.cause));
  if (description.state_since) ToProto(*description.state_since, message->mutable_state_since());
  if (description.deadline) ToProto(*description.deadline, message->mutable_deadline());
  message->set_owner(description.owner);
  message->set_revision(description.revision);
}

void ToProto(const ExplainStep& step, v1::ExplainStep* message) {
  message->Clear();
  message->set_rule(step.rule);
  message->set_matched(step.matched);
  message->set_clause(step.clause);
  message->set_text(step.text);
}

}  // namespace sluice
