// What is used too much: quotas first (they deny), then rates, budgets, connections and sandboxes (they throttle).
#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "enforcement/calendar.h"
#include "enforcement/judge.h"
#include "enforcement/limit_cells.h"

namespace sluice {
namespace {

bool IsQuota(Dimension dimension) {
  return dimension == Dimension::kStoredBytes || dimension == Dimension::kStoredObjects ||
         dimension == Dimension::kBuckets || dimension == Dimension::kTrafficPerDay;
}

bool IsBytes(Dimension dimension) { return dimension == Dimension::kBytesIn || dimension == Dimension::kBytesOut; }

// How long a customer of a full connection cap is told to wait: a lease ends when its holder says so.
constexpr int64_t kConnectionRetryNs = 1000000000;
// What a rate of 0 tells: nothing will come, but a number has to be said.
constexpr int64_t kForeverRetryMs = 3600000;

}  // namespace

void Judge::CollectLimits() {
  if (input_.principal == Principal::kModeration || operation_ == Operation::kPay) return;
  ForEachLimit(policy_, target_, now_.wall, Bit(operation_),
               [&](const LimitRule& limit, Hash128 cell, Hash128 subject) {
                 const double share = limit.sharing == Sharing::kFleet ? std::max(options_.fleet_size, 1) : 1;
                 const double burst = limit.burst > 0 ? limit.burst : limit.rate;
                 limits_.push_back({&limit, cell, subject, limit.rate / share, std::max(burst / share, 1.0)});
               });
}

void Judge::AddLimit(Reason reason, Effect effect, const LimitRule& limit) {
  Add(reason, effect, {}, limit.id, limit.set_by);
  findings_.back().object_rate = reason == Reason::kRateLimited && limit.scope == LimitScope::kObject;
  findings_.back().bucket_quota = reason == Reason::kQuotaExceeded && limit.dimension == Dimension::kBuckets;
}

void Judge::JudgeQuotas() {
  const absl::CivilDay today = DayOf(now_.wall);
  // Until midnight has passed by the slowest clock, yesterday's traffic still counts.
  const bool day_began = now_.Passed(StartOfDay(today));
  const auto traffic = [&](Hash128 subject) {
    const int64_t used = limiter_->Traffic(subject, today);
    return day_began ? used : std::max(used, limiter_->Traffic(subject, today - 1));
  };
  const bool carries_traffic =
      judged_ == Operation::kDownload || judged_ == Operation::kPublicRead || judged_ == Operation::kProcess;
  for (const Applicable& each : limits_) {
    const LimitRule& limit = *each.limit;
    if (!IsQuota(limit.dimension)) continue;
    metered_ = true;
    bool full = false;
    switch (limit.dimension) {
      case Dimension::kStoredBytes:
      case Dimension::kStoredObjects: {
        if (judged_ != Operation::kUpload) continue;
        const int64_t more = limit.dimension == Dimension::kStoredBytes ? std::max<int64_t>(input_.bytes, 1) : 1;
        const int64_t held = limiter_->Held(HeldKey(each.subject, limit.dimension));
        full = static_cast<double>(held) + static_cast<double>(more) > each.rate;
        break;
      }
      case Dimension::kBuckets:
        if (operation_ != Operation::kCreateBucket) continue;
        full = static_cast<double>(limiter_->Held(HeldKey(each.subject, limit.dimension))) + 1 > each.rate;
        break;
      default:
        if (!carries_traffic) continue;
        full = static_cast<double>(traffic(HeldKey(each.subject, limit.dimension))) >= each.rate;
        break;
    }
    if (full) {
      AddLimit(Reason::kQuotaExceeded, Effect::kDeny, limit);
    } else {
      NoteWithin(Reason::kQuotaExceeded, limit);
    }
  }
  const Domain* domain = target_.domain;
  if (domain != nullptr && domain->test && carries_traffic && input_.principal != Principal::kModeration) {
    metered_ = true;
    const int64_t allowance = policy_.parameters().NumberAt("test_domain.bytes_per_day", domain->account, now_.wall);
    const Hash128 host = SubjectHash(SubjectKind::kHost, target_.host);
    if (traffic(HeldKey(host, Dimension::kTrafficPerDay)) >= allowance) {
      Add(Reason::kQuotaExceeded, Effect::kDeny, pack_.test_domain_clause);
    }
  }
}

void Judge::NoteWithin(Reason reason, const LimitRule& limit) {
  if (steps_ == nullptr) return;
  Note(reason, absl::StrCat("limit ", limit.id), false, pack_.reasons[static_cast<size_t>(reason)].clause,
       absl::StrCat("未超出限额（", Name(limit.dimension), " ", limit.rate, "）。 Within its ", Name(limit.dimension),
                    " of ", limit.rate, "."));
}

absl::Duration Judge::LeaseLasts() const {
  return absl::Seconds(policy_.parameters().NumberAt("lease.seconds", target_.owner, now_.wall));
}

void Judge::JudgeRates(bool spend, Decision* decision) {
  int64_t pace = std::numeric_limits<int64_t>::max();
  const auto throttle = [&](int64_t wait_ns) { retry_after_ns_ = std::max(retry_after_ns_, wait_ns); };
  for (const Applicable& each : limits_) {
    const LimitRule& limit = *each.limit;
    if (IsQuota(limit.dimension)) continue;
    if (limit.dimension == Dimension::kConnections) {
      if (!input_.take_lease) continue;
      metered_ = true;
      const bool renews = !input_.lease_id.empty() && limiter_->HoldsLease(input_.lease_id, now_.mono);
      if (!renews && limiter_->LeasesHeld(each.cell, now_.mono) >= static_cast<int64_t>(each.rate)) {
        AddLimit(Reason::kRateLimited, Effect::kThrottle, limit);
        throttle(kConnectionRetryNs);
      }
      continue;
    }
    metered_ = true;
    if (limit.shape && IsBytes(limit.dimension) && each.rate > 0) {
      // Served at a pace rather than refused, the pace shared by those who hold a lease under it.
      const int64_t sharers = std::max<int64_t>(limiter_->LeasesHeld(each.cell, now_.mono), 1);
      pace = std::min(pace, std::max<int64_t>(static_cast<int64_t>(each.rate / static_cast<double>(sharers)), 1));
      continue;
    }
    if (each.rate <= 0) {
      AddLimit(Reason::kRateLimited, Effect::kThrottle, limit);
      forever_ = true;
      continue;
    }
    const TokenBucket bucket(each.rate, each.burst);
    const int64_t wait = limit.dimension == Dimension::kRequests ? limiter_->Wait(each.cell, bucket, 1, now_.mono)
                                                                 : limiter_->WaitForAny(each.cell, bucket, now_.mono);
    if (wait > 0) {
      AddLimit(Reason::kRateLimited, Effect::kThrottle, limit);
      throttle(wait);
    } else {
      NoteWithin(Reason::kRateLimited, limit);
    }
  }
  for (const Rule* sandbox : sandboxes_) {
    metered_ = true;
    const int64_t wait = sandbox->rate > 0 ? limiter_->Wait(sandbox->cell, sandbox->bucket, 1, now_.mono)
                                           : std::numeric_limits<int64_t>::max();
    forever_ |= sandbox->rate <= 0;
    Add(Reason::kSandboxed, wait > 0 ? Effect::kThrottle : Effect::kWarn, sandbox->clause, sandbox->id,
        sandbox->set_by);
    if (sandbox->victim) findings_.back().fault = Fault::kThirdParty;
    if (wait > 0 && !forever_) throttle(wait);
  }
  // Spend finds one more to throttle where another thread was faster between the look and the taking.
  if (!Throttled() && spend) Spend(decision);
  if (Throttled()) {
    decision->retry_after_ms = forever_ ? kForeverRetryMs : (retry_after_ns_ + 999999) / 1000000;
    return;
  }
  if (pace != std::numeric_limits<int64_t>::max()) decision->shape_bytes_per_second = pace;
}

// Takes one token of every rate and a lease under every cap, or nothing and adds the finding of what refused.
void Judge::Spend(Decision* decision) {
  struct Taken {
    Hash128 cell;
    TokenBucket bucket;
  };
  absl::InlinedVector<Taken, 8> taken;
  const auto give_back = [&] {
    for (const Taken& each : taken) limiter_->GiveBack(each.cell, each.bucket, 1, now_.mono);
  };
  const auto take = [&](Hash128 cell, const TokenBucket& bucket) {
    const int64_t wait = limiter_->Take(cell, bucket, 1, now_.mono);
    if (wait == 0) {
      taken.push_back({cell, bucket});
      return true;
    }
    give_back();
    retry_after_ns_ = std::max(retry_after_ns_, wait);
    return false;
  };
  std::vector<Limiter::Cap> caps;
  absl::InlinedVector<const LimitRule*, 4> capped;
  for (const Applicable& each : limits_) {
    const LimitRule& limit = *each.limit;
    if (limit.dimension == Dimension::kRequests) {
      if (!take(each.cell, TokenBucket(each.rate, each.burst))) {
        AddLimit(Reason::kRateLimited, Effect::kThrottle, limit);
        return;
      }
    } else if (input_.take_lease &&
               (limit.dimension == Dimension::kConnections || (limit.shape && IsBytes(limit.dimension)))) {
      const bool counted_only = limit.dimension != Dimension::kConnections;
      caps.push_back({each.cell, counted_only ? std::numeric_limits<int64_t>::max() : static_cast<int64_t>(each.rate)});
      capped.push_back(&limit);
    }
  }
  for (const Rule* sandbox : sandboxes_) {
    if (!take(sandbox->cell, sandbox->bucket)) {
      Add(Reason::kSandboxed, Effect::kThrottle, sandbox->clause, sandbox->id, sandbox->set_by);
      if (sandbox->victim) findings_.back().fault = Fault::kThirdParty;
      return;
    }
  }
  if (!input_.take_lease) return;
  decision->lease_id = std::string(input_.lease_id);
  size_t refused = 0;
  if (limiter_->TakeLease(caps, LeaseLasts(), now_.mono, &decision->lease_id, &refused)) return;
  give_back();
  decision->lease_id.clear();
  AddLimit(Reason::kRateLimited, Effect::kThrottle, *capped[refused]);
  retry_after_ns_ = std::max(retry_after_ns_, kConnectionRetryNs);
}

}  // namespace sluice
