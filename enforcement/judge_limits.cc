// What is used too much: quotas first (they deny), then rates, budgets, connections and sandboxes (they throttle).
#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "enforcement/calendar.h"
#include "enforcement/judge.h"
#include "enforcement/limit_cells.h"

namespace sluice {
namespace {

bool IsQuota(Dimension dimension) {
  return dimension == Dimension::kStoredBytes || dimension == Dimension::kStoredObjects ||
         dimension == Dimension::kBuckets || dimension == Dimension::kTrafficPerDay;
}

// Whether a limit sets a pace rather than refusing. One of 0 forbids.
bool IsPaced(const LimitRule& limit) {
  return limit.shape && limit.rate > 0 &&
         (limit.dimension == Dimension::kBytesIn || limit.dimension == Dimension::kBytesOut);
}

// Whether a request takes a token of it.
bool SpendsOf(const LimitRule& limit) { return limit.dimension == Dimension::kRequests && !limit.trial; }

// Of a limit: when it was last told of.
Hash128 ToldCell(Hash128 cell) { return CellBeside(cell, 2); }
// Of a sandbox: requests, against the limit that it stands in for.
Hash128 CalmCell(Hash128 cell) { return CellBeside(cell, 3); }

// Whom a limit met: the subject that it names, else that of the request.
Subject SubjectOf(const LimitRule& limit, const Target& target) {
  if (limit.named) return limit.subject;
  Subject subject;
  switch (limit.scope) {
    case LimitScope::kAccount:
      subject.account = std::string(target.owner);
      break;
    case LimitScope::kObject:
      subject.key = std::string(target.key);
      [[fallthrough]];
    case LimitScope::kBucket:
      subject.bucket = std::string(target.bucket);
      break;
    case LimitScope::kDomain:
      subject.host = std::string(target.host);
      break;
    default:
      subject.client_ip = FormatAddressBlock(*target.address);
      break;
  }
  return subject;
}

// How long a customer of a full connection cap is told to wait: a lease ends when its holder says so.
constexpr int64_t kConnectionRetryNs = 1000000000;
// What a rate of 0 tells: nothing will come, but a number has to be said.
constexpr int64_t kForeverRetryMs = 3600000;

}  // namespace

void Judge::CollectLimits() {
  if (input_.principal == Principal::kModeration || operation_ == Operation::kPay) return;
  ForEachLimit(policy_, target_, now_.wall, Bit(operation_),
               [&](const LimitRule& limit, Hash128 cell, Hash128 subject) {
                 limiter_->Prefetch(cell);
                 has_quotas_ |= IsQuota(limit.dimension);
                 has_paces_ |= IsPaced(limit);
                 has_trials_ |= limit.trial;
                 if (limit.sharing == Sharing::kFleet) {
                   const LimitPart part = shares_.PartOf(limit);
                   limits_.push_back({&limit, cell, subject, part.rate, part.bucket, {}});
                 } else {
                   limits_.push_back({&limit, cell, subject, limit.rate, limit.bucket, {}});
                 }
               });
}

void Judge::AddLimit(Reason reason, Effect effect, const LimitRule& limit) {
  Finding& finding = Add(reason, effect, {}, limit.id, limit.set_by);
  finding.dimension = limit.dimension;
  finding.object_rate = reason == Reason::kRateLimited && limit.scope == LimitScope::kObject;
  finding.bucket_quota = reason == Reason::kQuotaExceeded && limit.dimension == Dimension::kBuckets;
}

void Judge::JudgeQuotas() {
  const Domain* domain = target_.domain;
  const bool tests = domain != nullptr && domain->test;
  if (!has_quotas_ && !tests) return;  // nothing asks for the day
  const absl::CivilDay today = DayOf(now_.wall);
  // Until midnight has passed by the slowest clock, yesterday's traffic still counts.
  const bool day_began = now_.Passed(StartOfDay(today));
  const auto traffic = [&](Hash128 subject) {
    const int64_t used = limiter_->ledger().Traffic(subject, today);
    return day_began ? used : std::max(used, limiter_->ledger().Traffic(subject, today - 1));
  };
  const bool carries_traffic =
      judged_ == Operation::kDownload || judged_ == Operation::kPublicRead || judged_ == Operation::kProcess;
  for (const Applicable& each : limits_) {
    const LimitRule& limit = *each.limit;
    if (!IsQuota(limit.dimension)) continue;
    trying_ = limit.trial;
    metered_ |= !trying_;
    bool full = false;
    switch (limit.dimension) {
      case Dimension::kStoredBytes:
      case Dimension::kStoredObjects: {
        if (judged_ != Operation::kUpload) continue;
        const int64_t more = limit.dimension == Dimension::kStoredBytes ? std::max<int64_t>(input_.bytes, 1) : 1;
        const int64_t held = limiter_->ledger().Held(HeldKey(each.subject, limit.dimension));
        full = static_cast<double>(held) + static_cast<double>(more) > each.rate;
        break;
      }
      case Dimension::kBuckets:
        if (operation_ != Operation::kCreateBucket) continue;
        full = static_cast<double>(limiter_->ledger().Held(HeldKey(each.subject, limit.dimension))) + 1 > each.rate;
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
  trying_ = false;
  if (tests && carries_traffic && input_.principal != Principal::kModeration) {
    metered_ = true;
    const int64_t allowance = policy_.parameters().NumberAt("test_domain.bytes_per_day", domain->account, now_.wall);
    const Hash128 host = target_.host_hash;
    if (traffic(HeldKey(host, Dimension::kTrafficPerDay)) >= allowance) {
      Add(Reason::kQuotaExceeded, Effect::kDeny, pack_.test_domain_clause);
    }
  }
}

void Judge::WriteWithin(Reason reason, const LimitRule& limit) {
  Note(reason, absl::StrCat(limit.trial ? "trial limit " : "limit ", limit.id), false,
       pack_.reasons[static_cast<size_t>(reason)].clause,
       absl::StrCat("未超出限额（", Name(limit.dimension), " ", limit.rate, "）。 Within its ", Name(limit.dimension),
                    " of ", limit.rate, "."));
}

absl::Duration Judge::LeaseLasts() const {
  return absl::Seconds(policy_.parameters().NumberAt("lease.seconds", target_.owner, now_.wall));
}

void Judge::JudgeRates(bool spend, Decision* decision) {
  for (Applicable& each : limits_) {
    if (IsQuota(each.limit->dimension)) continue;
    trying_ = each.limit->trial;
    if (each.limit->dimension == Dimension::kConnections) {
      if (input_.take_lease) JudgeConnections(each);
    } else {
      JudgeRate(&each, spend);
    }
  }
  for (Sandbox& sandbox : sandboxes_) {
    trying_ = sandbox.rule->trial;
    JudgeSandbox(&sandbox, spend);
  }
  trying_ = false;
  // Spend finds one more to throttle where another thread was faster between the look and the taking.
  if (!throttled_ && spend) Spend(decision);
  if (input_.tell_rate) TellRate(decision);
  if (throttled_) {
    decision->retry_after_ms = forever_ ? kForeverRetryMs : (retry_after_ns_ + 999999) / 1000000;
    return;
  }
  Pace(decision);
}

// How far each bucket is from full says what is left in it.
void Judge::TellRate(Decision* decision) const {
  for (const Applicable& each : limits_) {
    if (each.limit->dimension != Dimension::kRequests || each.limit->trial || each.rate <= 0) continue;
    RateLeft left;
    left.requests_per_second = each.rate;
    left.burst = each.bucket.capacity_ticks() / std::max<int64_t>(each.bucket.TicksOf(1), 1);
    const int64_t wait_ns = limiter_->Wait(each.cell, each.bucket, static_cast<double>(left.burst), now_.mono);
    const double spent = std::ceil(static_cast<double>(wait_ns) / 1e9 * each.rate - 1e-6);
    left.remaining = std::max<int64_t>(left.burst - static_cast<int64_t>(spent), 0);
    left.full_after_ms = (wait_ns + 999999) / 1000000;
    if (!decision->rate || left.remaining < decision->rate->remaining) decision->rate = left;
  }
}

void Judge::Throttle(int64_t wait_ns) {
  if (!trying_) retry_after_ns_ = std::max(retry_after_ns_, wait_ns);
}

void Judge::JudgeRate(Applicable* each, bool spend) {
  const LimitRule& limit = *each->limit;
  metered_ |= !trying_;
  if (IsPaced(limit)) return;  // served slowly rather than refused
  if (each->rate <= 0) {
    AddLimit(Reason::kRateLimited, Effect::kThrottle, limit);
    forever_ |= !trying_;
    return;
  }
  const int64_t wait = limit.dimension == Dimension::kRequests
                           ? limiter_->Wait(each->cell, each->bucket, 1, now_.mono, &each->spot)
                           : limiter_->WaitForAny(each->cell, each->bucket, now_.mono);
  if (wait == 0) return NoteWithin(Reason::kRateLimited, limit);
  AddLimit(Reason::kRateLimited, Effect::kThrottle, limit);
  Throttle(wait);
  if (spend && limit.watched) Press(*each);
}

void Judge::JudgeConnections(const Applicable& each) {
  metered_ |= !trying_;
  const bool renews = !input_.lease_id.empty() && limiter_->leases().Holds(input_.lease_id, now_.mono);
  if (renews || limiter_->leases().Held(each.cell, now_.mono) < static_cast<int64_t>(each.rate)) return;
  AddLimit(Reason::kRateLimited, Effect::kThrottle, *each.limit);
  Throttle(kConnectionRetryNs);
}

void Judge::AddSandbox(const Rule& rule, Effect effect) {
  Finding& finding = Add(Reason::kSandboxed, effect, rule.clause, rule.id, rule.set_by);
  if (rule.victim) finding.fault = Fault::kThirdParty;
}

void Judge::JudgeSandbox(Sandbox* sandbox, bool spend) {
  const Rule& rule = *sandbox->rule;
  metered_ |= !trying_;
  if (rule.rate <= 0) {
    AddSandbox(rule, Effect::kThrottle);
    forever_ |= !trying_;
    return;
  }
  const int64_t wait = limiter_->Wait(rule.cell, rule.bucket, 1, now_.mono, &sandbox->spot);
  AddSandbox(rule, wait > 0 ? Effect::kThrottle : Effect::kWarn);
  if (wait > 0) Throttle(wait);
  // Whoever still asks for more than the limit that it had keeps its sandbox up.
  if (spend && rule.automatic && limiter_->Take(CalmCell(rule.cell), rule.calm_below, 1, now_.mono) > 0) {
    limiter_->Drain(PressingCell(rule.cell), rule.calm_after, now_.mono);
  }
}

// Counts a request that a limit refused; where there are too many, somebody is told, once a second.
void Judge::Press(const Applicable& each) {
  static const TokenBucket kOnceASecond(1, 1);
  if (abuse_ == nullptr || limiter_->Take(PressingCell(each.cell), each.limit->press, 1, now_.mono) == 0 ||
      limiter_->Take(ToldCell(each.cell), kOnceASecond, 1, now_.mono) > 0) {
    return;
  }
  abuse_->OnPressing(*each.limit, SubjectOf(*each.limit, target_), now_);
}

// Takes one token of every rate and a lease under every cap, or nothing and adds the finding of what refused.
void Judge::Spend(Decision* decision) {
  for (size_t i = 0; i < limits_.size(); ++i) {
    const Applicable& each = limits_[i];
    if (!SpendsOf(*each.limit)) continue;
    const int64_t wait = limiter_->Take(each.cell, each.bucket, 1, now_.mono, each.spot);
    if (wait == 0) continue;
    GiveBack(i, 0);
    Throttle(wait);
    return AddLimit(Reason::kRateLimited, Effect::kThrottle, *each.limit);
  }
  for (size_t i = 0; i < sandboxes_.size(); ++i) {
    const Rule& rule = *sandboxes_[i].rule;
    if (rule.trial) continue;
    const int64_t wait = limiter_->Take(rule.cell, rule.bucket, 1, now_.mono, sandboxes_[i].spot);
    if (wait == 0) continue;
    GiveBack(limits_.size(), i);
    Throttle(wait);
    return AddSandbox(rule, Effect::kThrottle);
  }
  if (input_.take_lease && !TakeLease(decision)) return GiveBack(limits_.size(), sandboxes_.size());
  SpendOnTrial();
}

// The tokens that Spend took of the first so many.
void Judge::GiveBack(size_t limits, size_t sandboxes) {
  for (const Applicable& each : absl::MakeConstSpan(limits_).first(limits)) {
    if (SpendsOf(*each.limit)) limiter_->GiveBack(each.cell, each.bucket, 1, now_.mono);
  }
  for (const Sandbox& each : absl::MakeConstSpan(sandboxes_).first(sandboxes)) {
    if (!each.rule->trial) limiter_->GiveBack(each.rule->cell, each.rule->bucket, 1, now_.mono);
  }
}

// What is on trial takes its tokens of what it would have let through, so that it refuses what it would have refused.
void Judge::SpendOnTrial() {
  if (!has_trials_ || TrialRefuses()) return;
  trying_ = true;
  for (const Applicable& each : limits_) {
    if (!each.limit->trial || each.limit->dimension != Dimension::kRequests) continue;
    if (limiter_->Take(each.cell, each.bucket, 1, now_.mono, each.spot) > 0) {
      AddLimit(Reason::kRateLimited, Effect::kThrottle, *each.limit);
    }
  }
  for (const Sandbox& sandbox : sandboxes_) {
    if (!sandbox.rule->trial) continue;
    if (limiter_->Take(sandbox.rule->cell, sandbox.rule->bucket, 1, now_.mono, sandbox.spot) > 0) {
      AddSandbox(*sandbox.rule, Effect::kThrottle);
    }
  }
  trying_ = false;
}

bool Judge::TakeLease(Decision* decision) {
  absl::InlinedVector<Leases::Cap, 4> caps;
  absl::InlinedVector<const LimitRule*, 4> capped;
  for (const Applicable& each : limits_) {
    const LimitRule& limit = *each.limit;
    if (limit.dimension != Dimension::kConnections && !IsPaced(limit)) continue;
    const bool counted_only = limit.trial || limit.dimension != Dimension::kConnections;
    caps.push_back({each.cell, counted_only ? std::numeric_limits<int64_t>::max() : static_cast<int64_t>(each.rate)});
    capped.push_back(&limit);
  }
  decision->lease_id = std::string(input_.lease_id);
  size_t refused = 0;
  if (limiter_->leases().Take(caps, LeaseLasts(), now_.mono, &decision->lease_id, &refused)) return true;
  decision->lease_id.clear();
  AddLimit(Reason::kRateLimited, Effect::kThrottle, *capped[refused]);
  Throttle(kConnectionRetryNs);
  return false;
}

// Of each limit that is shaped the same part for everyone who holds a lease under it; this request is one of them, or
// comes on top. Who shares is asked again soon: the parts add up once all have been told.
void Judge::Pace(Decision* decision) {
  if (!has_paces_) return;
  int64_t pace = std::numeric_limits<int64_t>::max();
  for (const Applicable& each : limits_) {
    if (each.limit->trial || !IsPaced(*each.limit) || each.rate <= 0) continue;
    const int64_t held = limiter_->leases().Held(each.cell, now_.mono);
    const bool among_them = !decision->lease_id.empty() ||
                            (!input_.lease_id.empty() && limiter_->leases().Holds(input_.lease_id, now_.mono));
    const int64_t sharers = std::max<int64_t>(held + (among_them ? 0 : 1), 1);
    pace = std::min(pace, std::max<int64_t>(static_cast<int64_t>(each.rate / static_cast<double>(sharers)), 1));
  }
  if (pace == std::numeric_limits<int64_t>::max()) return;
  decision->shape_bytes_per_second = pace;
  shares_pace_ = input_.take_lease;
}

}  // namespace sluice
