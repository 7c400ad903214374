#include "server/listen/checker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "enforcement/trace_context.h"
#include "proto/check_codec.h"
#include "proto/translate.h"
#include "proto/wire.h"
#include "server/listen/waiting.h"
#include "sluice/v1/check.pb.h"

namespace sluice {
namespace {

absl::Status Unreadable(absl::string_view message, absl::string_view bytes) {
  return absl::InvalidArgumentError(
      absl::StrCat("wanted a sluice.v1.", message, ", got ", bytes.size(),
                   " bytes that are none: a text field is not valid UTF-8, or the message is cut"));
}

absl::Status At(absl::string_view list, size_t index, const absl::Status& status) {
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

absl::Status Checker::Malformed(absl::Status status) {
  metrics_->OnMalformedCheck();
  return status;
}

bool Checker::Sheds(Operation operation) const {
  if (shed_after_ == absl::InfiniteDuration()) return false;
  const Operation judged = JudgedAs(operation);
  const bool low = judged == Operation::kList || judged == Operation::kProcess || judged == Operation::kFetch;
  return WaitedAtMost() > (low ? shed_after_ / 2 : shed_after_);
}

// By the policy where there is one, else by the failure policy.
void Checker::Judge(const CheckInput& input, Moment now, Decision* decision) {
  const bool stale = readiness_->stale();
  if (Sheds(input.operation)) {
    engine_->CannotDecide(Reason::kOverloaded, input, decision);
  } else if (stale && !engine_->options().failure.of(Reason::kStalePolicy).decide) {
    engine_->CannotDecide(Reason::kStalePolicy, input, decision);
    decision->revision = engine_->revision();
  } else {
    engine_->Check(input, now, decision);
  }
  Conclude(input, stale, now, decision);
  TellDecided(input.door, 1, now);
}

void Checker::JudgeTogether(absl::Span<const CheckInput> inputs, Moment now, Decision* decision,
                            absl::FunctionRef<void(size_t)> decided) {
  // Where any of them could be shed, each is looked at for itself.
  if (readiness_->stale() || Sheds(Operation::kList)) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      Judge(inputs[i], now, decision);
      decided(i);
    }
    return;
  }
  engine_->CheckTogether(inputs, now, decision, [&](size_t i) {
    Conclude(inputs[i], /*stale=*/false, now, decision);
    decided(i);
  });
  if (!inputs.empty()) TellDecided(inputs.front().door, inputs.size(), now);
}

void Checker::Conclude(const CheckInput& input, bool stale, Moment now, Decision* decision) {
  if (IsUndecided(decision->reason)) {
    const bool allowed = decision->verdict == Verdict::kAllow;
    metrics_->trust().OnFailurePolicy(decision->reason, allowed ? FailureOutcome::kAllowed : FailureOutcome::kDenied);
  } else if (stale && decision->verdict == Verdict::kAllow) {
    // By the last policy that is known: what it denies it still denies, what it allows is allowed with a warning.
    decision->reason = Reason::kStalePolicy;
    decision->warnings.insert(decision->warnings.begin(), Reason::kStalePolicy);
    decision->all_reasons.insert(decision->all_reasons.begin(), Reason::kStalePolicy);
    decision->cache_for_ms = 0;
    metrics_->trust().OnFailurePolicy(Reason::kStalePolicy, FailureOutcome::kDecided);
  }
  for (DecisionObserver* observer : observers_) observer->OnDecision(input, *decision, now);
}

void Checker::TellDecided(Door door, size_t checks, Moment now) {
  for (DecisionObserver* observer : observers_) observer->OnDecided(door, checks, now);
}

absl::Status Checker::ValidateCheck(CheckInput* input) {
  absl::Status status = Engine::Validate(*input, &input->address);
  return status.ok() ? status : Malformed(std::move(status));
}

absl::Status Checker::Check(CheckInput* input, Decision* decision) {
  if (absl::Status status = ValidateCheck(input); !status.ok()) return status;
  Judge(*input, clock_->Now(), decision);
  return absl::OkStatus();
}

absl::Status Checker::Peek(CheckInput* input, Decision* decision) {
  if (absl::Status status = ValidateCheck(input); !status.ok()) return status;
  const bool undecided = readiness_->stale() && !engine_->options().failure.of(Reason::kStalePolicy).decide;
  if (undecided) {
    engine_->CannotDecide(Reason::kStalePolicy, *input, decision);
  } else {
    *decision = engine_->Explain(*input, clock_->Now(), nullptr);
  }
  return absl::OkStatus();
}

absl::Status Checker::Read(absl::string_view request, const CallContext& context, CheckInput* input) {
  input->trace_parent = context.trace_parent;
  if (!DecodeCheckRequest(request, input)) return Malformed(Unreadable("CheckRequest", request));
  return ValidateCheck(input);
}

absl::Status Checker::CheckBytes(absl::string_view request, const CallContext& context, std::string* response) {
  CheckInput input;
  if (absl::Status status = Read(request, context, &input); !status.ok()) return status;
  Decision decision;
  Judge(input, clock_->Now(), &decision);
  EncodeCheckResponse(decision, input.request_id, TraceIdOf(input.trace_parent), input.detail, response);
  return absl::OkStatus();
}

void Checker::CheckBytesTogether(absl::Span<const AskedCall> calls, AnswerSink* answers) {
  thread_local std::vector<CheckInput> inputs;
  inputs.clear();
  Decision decision;
  size_t answered = 0;
  const auto judge_those_read = [&] {
    if (inputs.empty()) return;
    JudgeTogether(inputs, clock_->Now(), &decision, [&](size_t i) {
      const CheckInput& input = inputs[i];
      EncodeCheckResponse(decision, input.request_id, TraceIdOf(input.trace_parent), input.detail,
                          answers->BeginAnswer(answered + i));
      answers->EndAnswer(answered + i, absl::OkStatus());
    });
    answered += inputs.size();
    inputs.clear();
  };
  for (const AskedCall& call : calls) {
    CheckInput& input = inputs.emplace_back();
    absl::Status status = Read(call.request, call.context, &input);
    if (status.ok()) continue;
    inputs.pop_back();
    judge_those_read();
    answers->BeginAnswer(answered);
    if (!answers->EndAnswer(answered++, std::move(status))) return;
  }
  judge_those_read();
}

absl::Status Checker::CheckBatchBytes(absl::string_view request, const CallContext& context, std::string* response) {
  // All are read before the first spends anything. Of the thread, for its memory: a full batch takes half a megabyte.
  thread_local std::vector<CheckInput> inputs;
  thread_local std::string answer;
  inputs.clear();
  size_t size = 0;
  WireReader fields(request);
  while (fields.Next()) {
    if (fields.number() != 1 || fields.type() != WireReader::Type::kBytes) continue;
    // What is too much is read too: whether the message is one comes before how much it asks.
    if (size++ >= kBatchMax) inputs.pop_back();
    CheckInput& input = inputs.emplace_back();
    input.trace_parent = context.trace_parent;
    if (!DecodeCheckRequest(fields.bytes(), &input)) return Malformed(Unreadable("CheckBatchRequest", request));
  }
  if (!fields.ok()) return Malformed(Unreadable("CheckBatchRequest", request));
  if (size > kBatchMax) {
    return Malformed(absl::InvalidArgumentError(absl::StrCat("requests: at most 1,024, got ", size)));
  }
  for (size_t i = 0; i < size; ++i) {
    if (const absl::Status status = Engine::Validate(inputs[i], &inputs[i].address); !status.ok()) {
      return Malformed(At("requests", i, status));
    }
  }
  const Moment now = clock_->Now();
  Decision decision;
  JudgeTogether(inputs, now, &decision, [&](size_t i) {
    answer.clear();
    EncodeCheckResponse(decision, inputs[i].request_id, TraceIdOf(inputs[i].trace_parent), inputs[i].detail, &answer);
    AppendBytesField(1, answer, response);
  });
  return absl::OkStatus();
}

absl::Status Checker::ReportBytes(absl::string_view request, const CallContext& context, std::string* response) {
  v1::ReportRequest message;
  if (!message.ParseFromArray(request.data(), static_cast<int>(request.size()))) {
    return Malformed(Unreadable("ReportRequest", request));
  }
  std::vector<UsageInput> usages;
  usages.reserve(static_cast<size_t>(message.usages_size()));
  for (const v1::Usage& usage : message.usages()) usages.push_back(FromProto(usage));
  if (absl::Status status = Report(message.report_id(), usages); !status.ok()) return status;
  AppendNumberField(1, usages.size(), response);
  return absl::OkStatus();
}

absl::Status Checker::Report(absl::string_view report_id, absl::Span<const UsageInput> usages) {
  if (usages.size() > kBatchMax) {
    return absl::InvalidArgumentError(absl::StrCat("usages: at most 1,024, got ", usages.size()));
  }
  if (report_id.size() > kIdBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("report_id: wanted at most ", kIdBytesMax, " bytes, got ", report_id.size()));
  }
  for (size_t i = 0; i < usages.size(); ++i) {
    if (const absl::Status status = Validate(usages[i]); !status.ok()) return At("usages", i, status);
  }
  return engine_->Report(report_id, usages, clock_->Now());
}

}  // namespace sluice
