#include "store/decision_log.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "enforcement/names.h"
#include "proto/translate.h"

namespace sluice {
namespace {

// Replaces each byte that is part of no UTF-8 character by its percent-escape.
void MakeUtf8(std::string* text) {
  if (IsUtf8(*text)) return;
  std::string made;
  for (size_t i = 0; i < text->size();) {
    size_t size = 1;
    while (size <= 4 && i + size <= text->size() && !IsUtf8(absl::string_view(*text).substr(i, size))) ++size;
    if (size <= 4 && i + size <= text->size()) {
      made.append(*text, i, size);
      i += size;
    } else {
      absl::StrAppendFormat(&made, "%%%02X", static_cast<uint8_t>((*text)[i++]));
    }
  }
  *text = std::move(made);
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

std::string OneFormOfAddress(const std::string& address) {
  const absl::optional<AddressBlock> block = ParseAddressBlock(address);
  return block ? FormatAddressBlock(*block) : address;
}

// A query with its names in their one form.
class Filter {
 public:
  explicit Filter(const v1::LogQuery& query) : query_(query), client_ip_(OneFormOfAddress(query.client_ip())) {
    if (query.has_from()) from_ = FromProto(query.from());
    if (query.has_to()) to_ = FromProto(query.to());
    std::string buffer;
    const absl::StatusOr<absl::string_view> host = CanonicalHost(query.host(), &buffer);
    host_ = query.host().empty() || !host.ok() ? query.host() : std::string(*host);
  }

  bool Meets(const v1::DecisionRecord& record) const {
    const absl::Time at = FromProto(record.at());
    if (at < from_ || at >= to_) return false;
    const v1::CheckRequest& request = record.request();
    const auto differs = [](const std::string& wanted, const std::string& got) {
      return !wanted.empty() && wanted != got;
    };
    if (differs(query_.account(), request.owner()) && differs(query_.account(), request.requester())) return false;
    if (differs(query_.bucket(), request.bucket()) || differs(query_.key(), request.key()) ||
        differs(host_, request.host())) {
      return false;
    }
    if (!client_ip_.empty() && client_ip_ != OneFormOfAddress(request.client_ip())) return false;
    if (query_.verdict() != v1::VERDICT_UNSPECIFIED && query_.verdict() != record.response().verdict()) return false;
    return query_.reason() == v1::REASON_UNSPECIFIED || query_.reason() == record.response().reason();
  }

 private:
  const v1::LogQuery& query_;
  const std::string client_ip_;
  std::string host_;
  absl::Time from_ = absl::InfinitePast();
  absl::Time to_ = absl::InfiniteFuture();
};

}  // namespace

void DecisionLog::OnDecision(const CheckInput& input, const Decision& decision, Moment now) {
  const bool plain = decision.verdict == Verdict::kAllow && decision.warnings.empty() &&
                     input.principal != Principal::kModeration && input.principal != Principal::kEvidenceReader;
  if (plain && !options_.log_allowed) return;
  if (options_.capacity == 0) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  auto record = std::make_shared<v1::DecisionRecord>();
  ToProto(now.wall, record->mutable_at());
  record->set_node(options_.node);
  v1::CheckRequest* request = record->mutable_request();
  ToProto(input, request);
  if (!decision.owner.empty()) request->set_owner(decision.owner);
  if (!decision.bucket.empty()) request->set_bucket(decision.bucket);
  if (!decision.key.empty()) request->set_key(decision.key);
  if (!decision.host.empty()) request->set_host(decision.host);
  MakeUtf8(request);
  ToProto(decision, request->request_id(), record->mutable_response(), /*detail=*/true);

  Record pushed_out;  // freed after unlocking
  absl::MutexLock lock(&mutex_);
  if (records_.size() >= options_.capacity) {
    if (options_.keep_oldest) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    pushed_out = std::move(records_.front());
    records_.pop_front();
    ++pushed_out_;
  }
  records_.push_back(std::move(record));
}

void DecisionLog::Query(const v1::LogQuery& query, const std::function<bool(const v1::DecisionRecord&)>& visit) const {
  const Filter filter(query);
  int64_t left = query.limit() > 0 ? query.limit() : INT64_MAX;
  constexpr int64_t kAtOnce = 256;  // pointers copied under the lock, so that no check waits long
  int64_t next = 0;
  int64_t end = INT64_MAX;  // what is logged after the query began is not for it, or it might never end
  while (next < end) {
    std::vector<Record> some;
    {
      absl::MutexLock lock(&mutex_);
      end = std::min<int64_t>(end, pushed_out_ + static_cast<int64_t>(records_.size()));
      next = std::max(next, pushed_out_);
      for (const int64_t stop = std::min(end, next + kAtOnce); next < stop; ++next) {
        some.push_back(records_[static_cast<size_t>(next - pushed_out_)]);
      }
    }
    for (const Record& record : some) {
      if (!filter.Meets(*record)) continue;
      if (!visit(*record) || --left == 0) return;
    }
  }
}

}  // namespace sluice
