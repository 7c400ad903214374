#include "decision_log/log_filter.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "decision_log/record_text.h"
#include "enforcement/trace_context.h"
#include "proto/translate.h"

namespace sluice {
namespace {

// Names of records are kept byte for byte; a query names them as a message can carry them.
bool IsSame(absl::string_view wanted, absl::string_view got) {
  return wanted == got || (!IsUtf8(got) && wanted == AsUtf8(got));
}

bool Differs(absl::string_view wanted, absl::string_view got) { return !wanted.empty() && !IsSame(wanted, got); }

}  // namespace

absl::StatusOr<LogFilter> LogFilter::Create(const v1::LogQuery& query) {
  LogFilter filter(query);
  if (query.limit() < 0) {
    return absl::InvalidArgumentError(absl::StrCat("limit: wanted 0 or more, got ", query.limit()));
  }
  if (!query.trace_id().empty() && query.trace_id().size() != 32) {
    return absl::InvalidArgumentError(
        absl::StrCat("trace_id: wanted 32 hex digits, got ", query.trace_id().size(), " bytes"));
  }
  if (query.has_from()) filter.from_ns_ = absl::ToUnixNanos(FromProto(query.from()));
  if (query.has_to()) filter.to_ns_ = absl::ToUnixNanos(FromProto(query.to()));
  std::string buffer;
  const absl::StatusOr<absl::string_view> host = CanonicalHost(query.host(), &buffer);
  filter.host_ = query.host().empty() || !host.ok() ? query.host() : std::string(*host);

  const auto want = [&filter](LogTerm term, absl::string_view name) {
    if (!name.empty()) filter.terms_.push_back(TermHash(term, name));
  };
  want(LogTerm::kAccount, query.account());
  want(LogTerm::kBucket, query.bucket());
  want(LogTerm::kHost, filter.host_);
  if (!query.client_ip().empty()) {
    filter.address_ = ParseAddressBlock(query.client_ip());
    if (!filter.address_) {
      return absl::InvalidArgumentError(absl::StrCat("client_ip: wanted an address or a block of them, got \"",
                                                     absl::CHexEscape(query.client_ip()), "\""));
    }
    if (filter.address_->single()) filter.terms_.push_back(TermHash(*filter.address_));
  }
  filter.segment_terms_ = filter.terms_.size();
  want(LogTerm::kKey, query.key());
  filter.first_terms_ = filter.terms_.size();
  want(LogTerm::kRequestId, query.request_id());
  want(LogTerm::kTrace, absl::AsciiStrToLower(query.trace_id()));
  return filter;
}

bool LogFilter::MayMeet(const BlockHeader& header) const {
  if (header.kind != BlockKind::kRecords) return false;
  if (header.until_ns < from_ns_ || header.from_ns >= to_ns_) return false;
  const auto verdict = static_cast<unsigned>(query_.verdict());
  if (verdict != 0 && (verdict > 15 || (header.verdicts >> verdict & 1) == 0)) return false;
  const auto reason = static_cast<unsigned>(query_.reason());
  return reason == 0 || (reason < 64 && (header.reasons >> reason & 1) != 0);
}

bool LogFilter::Meets(const RecordView& record) const {
  const RecordNumbers& numbers = record.numbers;
  if (numbers.at_ns < from_ns_ || numbers.at_ns >= to_ns_) return false;
  if (query_.verdict() != v1::VERDICT_UNSPECIFIED && query_.verdict() != numbers.verdict) return false;
  if (query_.reason() != v1::REASON_UNSPECIFIED && query_.reason() != numbers.reason) return false;
  if (Differs(query_.account(), record.name(LogName::kOwner)) &&
      Differs(query_.account(), record.name(LogName::kRequester))) {
    return false;
  }
  if (Differs(query_.bucket(), record.name(LogName::kBucket)) || Differs(query_.key(), record.name(LogName::kKey)) ||
      Differs(host_, record.name(LogName::kHost)) || Differs(query_.request_id(), record.name(LogName::kRequestId)) ||
      Differs(query_.rule_id(), record.name(LogName::kRuleId))) {
    return false;
  }
  if (!query_.trace_id().empty() &&
      !absl::EqualsIgnoreCase(query_.trace_id(), TraceIdOf(ParseTraceParent(record.name(LogName::kTraceParent))))) {
    return false;
  }
  if (!address_) return true;
  const absl::optional<AddressBlock> got = ParseAddress(record.name(LogName::kClientIp));
  return got && got->v4 == address_->v4 && got->Widened(address_->bits).bytes == address_->bytes;
}

}  // namespace sluice
