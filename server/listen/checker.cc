#include "server/listen/checker.h"

#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "proto/translate.h"

namespace sluice {
namespace {

absl::Status At(absl::string_view list, int index, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(list, "[", index, "].", status.message()));
}

// The names in a usage obey the bounds of those in a check; amounts that are used cannot be below zero.
absl::Status Validate(const UsageInput& usage) {
  CheckInput names;
  names.owner = usage.owner;
  names.bucket = usage.bucket;
  names.key = usage.key;
  names.host = usage.host;
  names.client_ip = usage.client_ip;
  names.lease_id = usage.lease_id;
  if (absl::Status status = Engine::Validate(names); !status.ok()) return status;
  const std::pair<absl::string_view, int64_t> amounts[] = {{"bytes_in", usage.bytes_in},
                                                           {"bytes_out", usage.bytes_out},
                                                           {"cpu_microseconds", usage.cpu_microseconds},
                                                           {"memory_byte_seconds", usage.memory_byte_seconds}};
  for (const auto& [name, amount] : amounts) {
    if (amount < 0) return absl::InvalidArgumentError(absl::StrCat(name, ": wanted 0 or more, got ", amount));
  }
  return absl::OkStatus();
}

}  // namespace

void Checker::Decide(const CheckInput& input, Moment now, v1::CheckResponse* response) {
  Decision decision;
  if (readiness_->stale()) {
    decision = engine_->CannotDecide(Reason::kStalePolicy, input.dialect);
    decision.revision = engine_->revision();
  } else {
    decision = engine_->Check(input, now);
  }
  for (DecisionObserver* observer : observers_) observer->OnDecision(input, decision, now);
  ToProto(decision, input.request_id, response, input.detail);
}

absl::Status Checker::Check(const v1::CheckRequest& request, v1::CheckResponse* response) {
  CheckInput input;
  FromProto(request, &input);
  if (absl::Status status = Engine::Validate(input); !status.ok()) {
    metrics_->OnMalformedCheck();
    return status;
  }
  Decide(input, clock_->Now(), response);
  return absl::OkStatus();
}

absl::Status Checker::CheckBatch(const v1::CheckBatchRequest& request, v1::CheckBatchResponse* response) {
  const int size = request.requests_size();
  if (size > static_cast<int>(kBatchMax)) {
    metrics_->OnMalformedCheck();
    return absl::InvalidArgumentError(absl::StrCat("requests: at most 1,024, got ", size));
  }
  CheckInput input;
  // Once to see that all are well formed, before the first spends anything.
  for (int i = 0; i < size; ++i) {
    FromProto(request.requests(i), &input);
    if (const absl::Status status = Engine::Validate(input); !status.ok()) {
      metrics_->OnMalformedCheck();
      return At("requests", i, status);
    }
  }
  const Moment now = clock_->Now();
  response->Clear();  // keeps the cleared elements, and add_responses hands them out again
  for (int i = 0; i < size; ++i) {
    FromProto(request.requests(i), &input);
    Decide(input, now, response->add_responses());
  }
  return absl::OkStatus();
}

absl::Status Checker::Report(const v1::ReportRequest& request, v1::ReportResponse* response) {
  const int size = request.usages_size();
  if (size > static_cast<int>(kBatchMax)) {
    return absl::InvalidArgumentError(absl::StrCat("usages: at most 1,024, got ", size));
  }
  if (request.report_id().size() > kIdBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("report_id: wanted at most ", kIdBytesMax, " bytes, got ", request.report_id().size()));
  }
  absl::InlinedVector<UsageInput, 4> usages;
  for (int i = 0; i < size; ++i) {
    usages.push_back(FromProto(request.usages(i)));
    if (const absl::Status status = Validate(usages.back()); !status.ok()) return At("usages", i, status);
  }
  if (absl::Status status = engine_->Report(request.report_id(), usages, clock_->Now()); !status.ok()) return status;
  response->set_accepted(size);
  return absl::OkStatus();
}

}  // namespace sluice
