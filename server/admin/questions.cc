#include "server/admin/questions.h"

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "enforcement/names.h"
#include "enforcement/rule_compiler.h"
#include "proto/translate.h"

namespace sluice {
namespace {

// Entities that one page looks at, at most, so that no question keeps a reader in the store for long.
constexpr int kScanMax = 100'000;

struct Kind {
  absl::string_view name;
  EntityKind kind;
};
constexpr Kind kKinds[] = {
    {"flags", EntityKind::kFlag},
    {"orders", EntityKind::kOrder},
    {"holds", EntityKind::kHold},
    {"restrictions", EntityKind::kRestriction},
    {"limits", EntityKind::kLimit},
    {"accounts", EntityKind::kAccount},
    {"buckets", EntityKind::kBucket},
    {"domains", EntityKind::kDomain},
    {"permits", EntityKind::kPermits},
    {"parameters", EntityKind::kParameter},
    {"maintenance", EntityKind::kMaintenance},
};

// The moment that a question is about: now, or `at` on a clock that has passed nothing for certain but what `at`
// implies.
absl::StatusOr<Moment> MomentOf(bool has_at, const google::protobuf::Timestamp& at, const Clock& clock) {
  Moment moment = clock.Now();
  if (!has_at) return moment;
  // 0001-01-01 to 9999-12-31, as google/protobuf/timestamp.proto has it.
  if (at.seconds() < -62'135'596'800 || at.seconds() > 253'402'300'799 || at.nanos() < 0 || at.nanos() > 999'999'999) {
    return absl::InvalidArgumentError(
        absl::StrCat("at: wanted a time of the years 1 to 9999, got ", at.seconds(), " s ", at.nanos(), " ns"));
  }
  moment.wall = FromProto(at);
  moment.passed_mark = absl::InfinitePast();
  return moment;
}

bool Same(const Subject& a, const Subject& b) {
  return a.account == b.account && a.bucket == b.bucket && a.key == b.key && a.prefix == b.prefix &&
         a.version_id == b.version_id && a.hash.algorithm == b.hash.algorithm && a.hash.digest == b.hash.digest &&
         a.host == b.host && a.path == b.path && a.client_ip == b.client_ip;
}

// What a change says of whom it is about, where that is one name.
template <typename T, typename = void>
struct HasSubject : std::false_type {};
template <typename T>
struct HasSubject<T, std::void_t<decltype(T::subject)>> : std::true_type {};
template <typename T, typename = void>
struct HasAccount : std::false_type {};
template <typename T>
struct HasAccount<T, std::void_t<decltype(T::account)>> : std::true_type {};
template <typename T, typename = void>
struct HasBucket : std::false_type {};
template <typename T>
struct HasBucket<T, std::void_t<decltype(T::bucket)>> : std::true_type {};
template <typename T, typename = void>
struct HasHost : std::false_type {};
template <typename T>
struct HasHost<T, std::void_t<decltype(T::host)>> : std::true_type {};

// Whether `change` names `subject`: as its subject, or as the account, bucket or host that it binds or sets.
bool Names(const Change& change, const Subject& subject) {
  Subject account, bucket, host;
  account.account = subject.account;
  bucket.bucket = subject.bucket;
  host.host = subject.host;
  return std::visit(
      [&](const auto& c) {
        using T = std::decay_t<decltype(c)>;
        if constexpr (HasSubject<T>::value) {
          if (Same(c.subject, subject)) return true;
        }
        if constexpr (std::is_same_v<T, IssueOrder>) {
          for (const Subject& one : c.subjects) {
            if (Same(one, subject)) return true;
          }
        }
        if constexpr (HasAccount<T>::value) {
          if (!c.account.empty() && c.account == subject.account && Same(account, subject)) return true;
        }
        if constexpr (HasBucket<T>::value) {
          if (!c.bucket.empty() && c.bucket == subject.bucket && Same(bucket, subject)) return true;
        }
        if constexpr (HasHost<T>::value) {
          if (!c.host.empty() && c.host == subject.host && Same(host, subject)) return true;
        }
        return false;
      },
      change);
}

// A token is the last id of a page and its kind, so that it cannot be taken to another listing.
std::string TokenOf(EntityKind kind, absl::string_view id) {
  return absl::WebSafeBase64Escape(absl::StrCat(std::string(1, static_cast<char>(kind)), id));
}

absl::StatusOr<std::string> IdOf(EntityKind kind, absl::string_view token) {
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(token, &bytes) || bytes.size() < 2 || bytes[0] != static_cast<char>(kind)) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_token: wanted the next_page_token of a page of this kind, got '", token, "'"));
  }
  return bytes.substr(1);
}

}  // namespace

absl::Status Questions::Describe(const v1::DescribeRequest& request, v1::DescribeResponse* response) const {
  const absl::StatusOr<Subject> subject = CanonicalSubject(FromProto(request.subject()));
  if (!subject.ok()) return subject.status();
  const absl::StatusOr<Moment> moment = MomentOf(request.has_at(), request.at(), *clock_);
  if (!moment.ok()) return moment.status();
  const Description description = engine_->Describe(*subject, *moment);
  ToProto(description, response);
  for (const EntityKey& key : description.in_force) {
    const absl::StatusOr<absl::optional<Entity>> entity = store_->GetEntity(key);
    if (!entity.ok()) return entity.status();
    if (!entity->has_value()) continue;  // cleared since the engine looked
    for (const StampedEvent* event : EventsTold(**entity, *moment)) ToProto(*event, response->add_in_force());
  }
  if (subject->account.empty()) return absl::OkStatus();
  const absl::StatusOr<absl::optional<Entity>> account = store_->GetEntity({EntityKind::kAccount, subject->account});
  if (!account.ok()) return account.status();
  if (!account->has_value()) return absl::OkStatus();
  for (const StampedEvent& event : (*account)->events) ToProto(event, response->add_history());
  return absl::OkStatus();
}

absl::Status Questions::Explain(const v1::ExplainRequest& request, v1::ExplainResponse* response) const {
  const absl::StatusOr<Moment> moment = MomentOf(request.has_at(), request.at(), *clock_);
  if (!moment.ok()) return moment.status();
  CheckInput input;
  FromProto(request.request(), &input);
  if (absl::Status status = Engine::Validate(input); !status.ok()) return status;
  input.detail = true;
  std::vector<ExplainStep> steps;
  const Decision decision = engine_->Explain(input, *moment, &steps);
  ToProto(decision, input.request_id, response->mutable_response());
  for (const ExplainStep& step : steps) ToProto(step, response->add_steps());
  return absl::OkStatus();
}

absl::Status Questions::List(const v1::ListRequest& request, v1::ListResponse* response) const {
  const Kind* kind = nullptr;
  for (const Kind& known : kKinds) {
    if (known.name == request.kind()) kind = &known;
  }
  if (kind == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "kind: wanted one of ",
        absl::StrJoin(kKinds, ", ", [](std::string* out, const Kind& known) { absl::StrAppend(out, known.name); }),
        "; got '", request.kind(), "'"));
  }
  if (request.page_size() < 0 || request.page_size() > kPageMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_size: wanted 1 to ", kPageMax, ", or 0 for ", kPageDefault, "; got ", request.page_size()));
  }
  const int page_size = request.page_size() == 0 ? kPageDefault : request.page_size();
  std::string after;
  if (!request.page_token().empty()) {
    absl::StatusOr<std::string> id = IdOf(kind->kind, request.page_token());
    if (!id.ok()) return id.status();
    after = *std::move(id);
  }
  absl::optional<Subject> subject;
  if (request.has_subject() && !FromProto(request.subject()).empty()) {
    absl::StatusOr<Subject> canonical = CanonicalSubject(FromProto(request.subject()));
    if (!canonical.ok()) return canonical.status();
    subject = *std::move(canonical);
  }

  const Moment now = clock_->Now();
  int scanned = 0;
  std::string last;
  // One entity more than the page takes, to know whether there is a next page.
  return store_->ForEachEntityOf(kind->kind, after, [&](const Entity& entity) {
    if (response->items_size() >= page_size || scanned >= kScanMax) {
      response->set_next_page_token(TokenOf(kind->kind, last));
      return false;
    }
    ++scanned;
    last = entity.key.id;
    const std::vector<const StampedEvent*> told = EventsTold(entity, now);
    if (!subject || std::any_of(told.begin(), told.end(),
                                [&](const StampedEvent* event) { return Names(event->event.change, *subject); })) {
      for (const StampedEvent* event : told) ToProto(*event, response->add_items());
    }
    return true;
  });
}

absl::Status Questions::Top(const v1::TopRequest& request, v1::TopResponse* response) const {
  if (request.limit() < 0 || request.limit() > kTopMax) {
    return absl::InvalidArgumentError(absl::StrCat("limit: wanted 0 to ", kTopMax, ", got ", request.limit()));
  }
  if (!v1::TopBy_IsValid(request.by())) {
    return absl::InvalidArgumentError(absl::StrCat("by: wanted a value that the contract has, got ", request.by()));
  }
  if (request.kinds_size() > kTopKindCount) {
    return absl::InvalidArgumentError(
        absl::StrCat("kinds: wanted at most ", kTopKindCount, ", each once, got ", request.kinds_size()));
  }
  std::vector<int> kinds(request.kinds().begin(), request.kinds().end());
  if (kinds.empty()) {
    for (int kind = 1; kind <= kTopKindCount; ++kind) kinds.push_back(kind);
  }
  const auto by = request.by() == v1::TOP_BY_BYTES ? HeavyHitters::Weight::kBytes : HeavyHitters::Weight::kRequests;
  const auto count = static_cast<size_t>(request.limit() == 0 ? kTopDefault : request.limit());
  for (const int kind : kinds) {
    if (kind < 1 || kind > kTopKindCount) {
      return absl::InvalidArgumentError(absl::StrCat("kinds: wanted values that the contract has, got ", kind));
    }
    if (std::count(kinds.begin(), kinds.end(), kind) > 1) {
      return absl::InvalidArgumentError(absl::StrCat("kinds: wanted each once, got ", kind, " again"));
    }
    const auto list = top_->Heaviest(static_cast<TopKind>(kind - 1), by, count, clock_->Now().mono);
    v1::TopList* to = response->add_lists();
    to->set_kind(static_cast<v1::TopKind>(kind));
    to->set_per_second(list.per_second);
    response->set_seconds(list.seconds);
    for (const auto& entry : list.entries) {
      v1::TopEntry* one = to->add_entries();
      one->set_name(entry.name);
      one->set_per_second(entry.per_second);
      one->set_throttled(entry.throttled);
      one->set_denied(entry.denied);
      one->set_doubt(entry.doubt);
    }
  }
  return absl::OkStatus();
}

}  // namespace sluice
