#include "enforcement/judge.h"

#include <algorithm>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

bool IsManageReadOrPay(Operation operation) {
  return operation == Operation::kManageRead || operation == Operation::kPay;
}

bool Reads(Operation judged) {
  return judged == Operation::kDownload || judged == Operation::kPublicRead || judged == Operation::kList;
}

Reason ReasonOf(AccountState state) {
  switch (state) {
    case AccountState::kPending:
      return Reason::kPendingPayment;
    case AccountState::kNotice:
      return Reason::kTerminationNotice;
    case AccountState::kWithheld:
      return Reason::kServiceWithheld;
    case AccountState::kFrozen:
      return Reason::kAccountFrozen;
    case AccountState::kReclaimed:
      return Reason::kReclaimed;
    default:
      return Reason::kAgreementEnded;
  }
}

// Of two findings, the one that gives the reason.
bool SpeaksBefore(const Finding& a, const Finding& b) {
  if (a.reason != b.reason) return Precedence(a.reason) < Precedence(b.reason);
  if (a.severity != b.severity) return a.severity > b.severity;
  return a.rule_id < b.rule_id;
}

// Whether `part` is a piece of the memory of `whole`.
bool IsWithin(absl::string_view part, absl::string_view whole) {
  const std::less_equal<> upto;  // of pointers into different arrays too
  return upto(whole.data(), part.data()) && upto(part.data() + part.size(), whole.data() + whole.size());
}

std::string RuleLabel(const Rule& rule) {
  switch (rule.kind) {
    case EntityKind::kFlag:
      return absl::StrCat("flag ", rule.id);
    case EntityKind::kOrder:
      return absl::StrCat("order ", rule.id);
    case EntityKind::kHold:
      return absl::StrCat("hold ", rule.id);
    default:
      return absl::StrCat("restriction ", rule.id);
  }
}

}  // namespace

Judge::Judge(const CheckInput& input, Moment now, const Policy& policy, const Engine::Parts& parts,
             std::vector<ExplainStep>* steps)
    : input_(input),
      now_(now),
      policy_(policy),
      pack_(*parts.pack),
      options_(parts.options),
      shares_(*parts.shares),
      abuse_(parts.abuse),
      limiter_(parts.limiter),
      steps_(steps),
      // A number that the contract lacks is nobody's operation: judged as MANAGE_WRITE, and named by no rule but that.
      operation_(static_cast<int>(input.operation) < kOperationCount ? input.operation : Operation::kUnspecified),
      judged_(JudgedAs(operation_)),
      region_(input.region.empty() ? absl::string_view(options_.region) : input.region) {}

void Judge::Run(bool spend, Decision* decision) {
  NameTarget();
  BindTarget();
  OwnTarget();
  Decide(spend, decision);
}

void Judge::OwnTarget() {
  target_.Own(input_, policy_, now_.wall);
  CollectLimits();  // first, so that the cells that are looked at last are on their way meanwhile
}

void Judge::Decide(bool spend, Decision* decision) {
  JudgeRules(target_, judged_, /*source=*/false);
  // Keys that nobody named are all that there are.
  if (operation_ == Operation::kDeleteBucket || (judged_ == Operation::kDelete && target_.key.empty())) {
    JudgeEvidenceInside();
  }
  if (input_.deletes_unnamed) JudgeEvidenceOfOwner();
  JudgeStanding(target_.owner, target_.owner_hash, judged_, "owner");
  if (!target_.requester.empty() && target_.requester != target_.owner) {
    JudgeStanding(target_.requester, target_.requester_hash, judged_, "requester");
  }
  if (input_.copy_source.set) {
    Target source;
    source.ResolveCopySource(input_, policy_, now_.wall);
    JudgeRules(source, Operation::kDownload, /*source=*/true);
    if (input_.moves_source) JudgeRules(source, Operation::kDelete, /*source=*/true);
    if (!source.owner.empty())
      JudgeStanding(source.owner, source.owner_hash, Operation::kDownload, "owner of the copy's source");
  }
  JudgePermits();
  JudgeTestDomain();
  JudgeMaintenance();
  JudgeTerms();
  JudgeQuotas();

  decision->revision = policy_.revision();
  if (!denied_ && !unreadable_) JudgeRates(spend, decision);
  Conclude(decision);
  if (steps_ != nullptr) FinishSteps();
}

void Judge::JudgeRules(const Target& target, Operation judged, bool source) {
  const auto may_have = [&](const Probe& probe) { return policy_.MayHaveRules(probe.kind, probe.hash); };
  auto it = std::find_if(target.probes.begin(), target.probes.end(), may_have);
  if (it == target.probes.end()) return;  // nearly always
  absl::InlinedVector<const Rule*, 8> seen;
  for (; it != target.probes.end(); ++it) {
    const Probe& probe = *it;
    const bool known = policy_.ForEachRule(probe.kind, probe.hash, &read_, [&](const Rule& rule) {
      if (!rule.span.Holds(now_) || std::find(seen.begin(), seen.end(), &rule) != seen.end()) return;
      seen.push_back(&rule);
      trying_ = rule.trial;
      JudgeRule(rule, probe.via, target, judged, source);
    });
    if (!known) unreadable_ = true;
  }
}

void Judge::JudgeRule(const Rule& rule, Via via, const Target& target, Operation judged, bool source) {
  // A source that is moved is deleted too; its sandboxes are its readers' affair.
  const bool changes = !source || judged == Operation::kDelete;
  switch (rule.kind) {
    case EntityKind::kOrder:
      JudgeOrder(rule, source ? judged : operation_);
      break;
    case EntityKind::kFlag:
      if (IsManageReadOrPay(judged)) break;
      if (IsExcepted(rule, target)) {
        Note(rule.category->reason, RuleLabel(rule), false, rule.clause,
             "此对象已获例外，不受该标记限制。 An exception lets this subject pass under the flag.");
        break;
      }
      JudgeFlag(rule, via, target, judged);
      if (changes && rule.severity == Severity::kCritical) JudgeEvidence(rule, via, judged);
      break;
    case EntityKind::kHold:
      if (changes) JudgeEvidence(rule, via, judged);
      break;
    default:
      if (!changes || IsManageReadOrPay(judged)) break;
      if (!source || rule.restriction != RestrictionKind::kSandbox) JudgeRestriction(rule, judged);
      break;
  }
  trying_ = false;
}

bool Judge::IsExcepted(const Rule& rule, const Target& target) const {
  for (const Exception& exception : rule.exceptions) {
    if (!exception.Holds(now_)) continue;
    for (const Probe& probe : target.probes) {
      if (probe.hash == exception.subject.hash) return true;
    }
  }
  return false;
}

void Judge::JudgeFlag(const Rule& rule, Via via, const Target& target, Operation judged) {
  const bool review = rule.severity == Severity::kReview;
  Reason reason = rule.category->reason;
  // Content that is looked at is not yet found to be prohibited; spam and threats have no such name of their own.
  if (review && absl::StartsWith(rule.clause, "3.1.3.5.")) reason = Reason::kContentUnderReview;
  bool deny = true;
  if (review) {
    deny = judged == Operation::kPublicRead ||
           (!target.by_owner &&
            (judged == Operation::kDownload || judged == Operation::kList || judged == Operation::kProcess));
  } else if (judged == Operation::kList || judged == Operation::kDelete) {
    deny = !target.by_owner || via == Via::kAddress;
  } else if (judged == Operation::kUpload) {
    // What comes under a flagged name may be clean; what comes with a flagged hash, or from a flagged sender, is not.
    deny = via == Via::kHash || via == Via::kOwner || via == Via::kRequester || via == Via::kAddress;
  }
  if (Reads(judged) && (input_.principal == Principal::kModeration || input_.principal == Principal::kEvidenceReader)) {
    deny = false;
  }
  Add(reason, deny ? Effect::kDeny : Effect::kWarn, rule.clause, rule.id, rule.set_by,
      static_cast<uint8_t>(rule.severity));
}

void Judge::JudgeEvidence(const Rule& rule, Via via, Operation judged) {
  // By owner alone: not what the holder of a flagged account touches elsewhere, nor what a flagged address sends.
  if (via == Via::kRequester || via == Via::kAddress) return;
  const bool wide = via == Via::kBucket || via == Via::kPrefix || via == Via::kOwner;
  const bool stops = judged == Operation::kDelete || input_.deletes_unnamed ||
                     (judged == Operation::kUpload && via != Via::kHash && !(wide && input_.new_key)) ||
                     (operation_ == Operation::kDeleteBucket && wide);
  if (stops) AddEvidence(rule);
}

void Judge::AddEvidence(const Rule& rule) {
  const bool hold = rule.kind == EntityKind::kHold;
  Add(Reason::kEvidenceHold, Effect::kDeny, hold ? absl::string_view() : absl::string_view(rule.clause), rule.id,
      rule.set_by, hold ? 255 : static_cast<uint8_t>(rule.severity));
}

void Judge::JudgeEvidenceInside() {
  if (target_.bucket.empty()) return;
  const auto it = policy_.evidence_in().find(target_.bucket_hash);
  if (it == policy_.evidence_in().end()) return;
  for (const Rule* rule : it->second) {
    const Subject& kept = rule->evidence;
    if ((kept.key.empty() && kept.prefix.empty()) || !rule->KeepsNow(now_)) continue;
    AddEvidence(*rule);
    return;
  }
}

// Walks through all buckets that hold evidence: some 100 ns each.
void Judge::JudgeEvidenceOfOwner() {
  if (target_.owner.empty()) return;
  const Rule* first = nullptr;
  for (const auto& [bucket, rules] : policy_.evidence_in()) {
    const absl::optional<Hash128> owner = policy_.FindBucketOwner(bucket, now_.wall);
    if (!owner || *owner != target_.owner_hash) continue;
    const auto it = std::find_if(rules.begin(), rules.end(), [&](const Rule* rule) { return rule->KeepsNow(now_); });
    if (it != rules.end() && (first == nullptr || Policy::SpeaksFirst()(*it, first))) first = *it;
  }
  if (first != nullptr) AddEvidence(*first);
}

void Judge::JudgeOrder(const Rule& rule, Operation operation) {
  if (!rule.regions.empty() && std::find(rule.regions.begin(), rule.regions.end(), region_) == rule.regions.end()) {
    Note(Reason::kLegalOrder, RuleLabel(rule), false, "9.2.2",
         absl::StrCat("该命令不及于本地区。 The order does not reach region \"", region_, "\"."));
    return;
  }
  if ((rule.operations & Bit(operation)) != 0) {
    Add(Reason::kLegalOrder, Effect::kDeny, {}, rule.id, rule.set_by);
  } else if (!IsManageReadOrPay(operation)) {
    Add(Reason::kLegalOrder, Effect::kWarn, {}, rule.id, rule.set_by);
  }
}

void Judge::JudgeRestriction(const Rule& rule, Operation judged) {
  Reason reason = Reason::kViolationWarning;
  Effect effect = Effect::kWarn;
  switch (rule.restriction) {
    case RestrictionKind::kSuspend:
      reason = Reason::kSecuritySuspended;
      effect = Effect::kDeny;
      break;
    case RestrictionKind::kReadOnly:
      if (judged != Operation::kUpload && judged != Operation::kDelete && judged != Operation::kManageWrite) return;
      reason = Reason::kReadOnly;
      effect = Effect::kDeny;
      break;
    case RestrictionKind::kSandbox:
      if (input_.principal == Principal::kModeration) return;
      sandboxes_.push_back({&rule, {}});
      has_trials_ |= rule.trial;
      return;
    default:
      break;
  }
  Finding& finding = Add(reason, effect, rule.clause, rule.id, rule.set_by);
  if (rule.victim) finding.fault = Fault::kThirdParty;
}

void Judge::JudgeStanding(absl::string_view name, Hash128 hash, Operation judged, absl::string_view whose) {
  if (steps_ == nullptr && !name.empty() && policy_.PlainlyPermits(hash, judged, now_)) return;
  const absl::optional<Account> account = name.empty() ? absl::nullopt : policy_.FindAccount(hash);
  const Segment* segment = nullptr;
  const bool delete_opened =
      judged == Operation::kDelete && account && policy_.parameters().IsOn("freeze.allow_delete", name, now_);
  const Permission permission =
      account ? account->timeline.Permits(judged, now_, delete_opened, &segment) : Permission::kAllow;
  if (segment == nullptr) {
    Add(Reason::kUnknownAccount, Effect::kWarn);
    return;
  }
  if (steps_ != nullptr) NoteStanding(name, *segment, ReasonOf(segment->state), permission, whose);
  if (permission == Permission::kAllow) return;
  const bool ended = segment->cause != TerminationCause::kUnspecified;
  Add(ReasonOf(segment->state), permission == Permission::kDeny ? Effect::kDeny : Effect::kWarn,
      ended ? absl::string_view(pack_.causes[static_cast<size_t>(segment->cause)].clause) : absl::string_view());
}

void Judge::JudgeTerms() {
  const PermissionRow& notice = pack_.rows[static_cast<size_t>(StateRow::kNotice)];
  if (notice[static_cast<size_t>(judged_)] == Permission::kWarn && policy_.TermsPending(now_)) {
    Add(Reason::kTermsChanged, Effect::kWarn);
  }
}

void Judge::JudgeMaintenance() {
  if (!policy_.HasMaintenance()) return;
  for (const absl::string_view region : {absl::string_view(), region_}) {
    const std::vector<Maintenance>* windows = policy_.FindMaintenance(region);
    if (windows != nullptr) {
      for (const Maintenance& window : *windows) {
        if ((window.operations & Bit(operation_)) != 0 && window.span.Holds(now_)) {
          Add(Reason::kMaintenance, Effect::kDeny);
          return;
        }
      }
    }
    if (region_.empty()) return;
  }
}

// ---- Putting it together
// ---------------------------------------------------------------------------------------------

Finding& Judge::Add(Reason reason, Effect effect, absl::string_view clause, absl::string_view rule_id, Role set_by,
                    uint8_t severity) {
  const ReasonRule& rule = pack_.reasons[static_cast<size_t>(reason)];
  Finding finding;
  finding.reason = reason;
  finding.effect = effect;
  finding.fault = rule.fault;
  finding.set_by = set_by;
  finding.severity = severity;
  finding.clause = clause.empty() ? absl::string_view(rule.clause) : clause;
  finding.rule_id = rule_id;
  if (trying_) return trial_findings_.emplace_back(finding);
  denied_ |= effect == Effect::kDeny;
  throttled_ |= effect == Effect::kThrottle;
  return findings_.emplace_back(finding);
}

bool Judge::TrialRefuses() const {
  return std::any_of(trial_findings_.begin(), trial_findings_.end(),
                     [](const Finding& finding) { return finding.effect != Effect::kWarn; });
}

void Judge::Conclude(Decision* decision) {
  decision->verdict = denied_ ? Verdict::kDeny : throttled_ ? Verdict::kThrottle : Verdict::kAllow;
  const Effect speaking = decision->verdict == Verdict::kDeny       ? Effect::kDeny
                          : decision->verdict == Verdict::kThrottle ? Effect::kThrottle
                                                                    : Effect::kWarn;
  // Stable: of owner and requester, of filing and test domain, the first one found speaks. By insertion: there are few,
  // and std::stable_sort allocates.
  for (auto it = findings_.begin(); it != findings_.end(); ++it) {
    std::rotate(std::upper_bound(findings_.begin(), it, *it, SpeaksBefore), it, it + 1);
  }
  const Finding* first = nullptr;
  for (const Finding& finding : findings_) {
    if (finding.effect != speaking) continue;
    if (first == nullptr) first = &finding;
    auto& reasons = speaking == Effect::kWarn ? decision->warnings : decision->all_reasons;
    if (reasons.empty() || reasons.back() != finding.reason) reasons.push_back(finding.reason);
  }
  const auto name = [&](absl::string_view met, absl::string_view given, absl::string_view or_given) {
    return IsWithin(met, given) || IsWithin(met, or_given) ? met : decision->kept.Keep(met);
  };
  decision->owner = name(target_.owner, input_.owner, input_.requester);
  decision->bucket = name(target_.bucket, input_.bucket, {});
  decision->key = name(target_.key, input_.key, input_.path);
  decision->host = name(target_.host, input_.host, {});
  if (decision->verdict == Verdict::kAllow) decision->recheck_after_ms = absl::ToInt64Milliseconds(pack_.recheck_after);
  // Good for this once where tokens were counted, and where somebody has to be able to prove each single reading.
  if (!metered_ && !input_.take_lease && input_.principal == Principal::kUnspecified) {
    decision->cache_for_ms = absl::ToInt64Milliseconds(pack_.cache_for);
  }
  if (shares_pace_) {
    decision->recheck_after_ms = std::min(decision->recheck_after_ms, absl::ToInt64Milliseconds(pack_.shape_recheck));
  }
  if (first != nullptr) Answer(*first, decision);
  if (!trial_findings_.empty()) ConcludeTrial(first, decision);
}

// What the answer would have been, had the rules on trial been in force: `first` is what spoke without them.
void Judge::ConcludeTrial(const Finding* first, Decision* decision) const {
  for (const Finding& finding : trial_findings_) {
    if (finding.effect == Effect::kWarn) continue;
    const Verdict verdict = finding.effect == Effect::kDeny ? Verdict::kDeny : Verdict::kThrottle;
    const Verdict best = std::max(decision->verdict, decision->trial_verdict);
    if (verdict < best) continue;
    if (verdict == decision->verdict && first != nullptr && !SpeaksBefore(finding, *first)) continue;
    if (verdict == decision->trial_verdict && Precedence(decision->trial_reason) <= Precedence(finding.reason))
      continue;
    decision->trial_verdict = verdict;
    decision->trial_reason = finding.reason;
    decision->trial_rule_id.assign(finding.rule_id.data(), finding.rule_id.size());
  }
}

void Judge::Answer(const Finding& finding, Decision* decision) const {
  decision->reason = finding.reason;
  decision->clause.assign(finding.clause.data(), finding.clause.size());
  if (decision->verdict == Verdict::kAllow) return;
  decision->rule_id.assign(finding.rule_id.data(), finding.rule_id.size());
  decision->set_by = finding.set_by;
  decision->dimension = finding.dimension;
  const Dialect dialect = input_.dialect == Dialect::kUnspecified ? options_.dialect : input_.dialect;
  FillAnswer(pack_, finding.reason, dialect, decision);
  decision->fault = finding.fault;
  const HttpAnswer* own = nullptr;
  if (finding.bucket_quota && dialect == Dialect::kKodo) own = &pack_.bucket_quota_kodo;
  if (finding.bucket_quota && dialect == Dialect::kS3) own = &pack_.bucket_quota_s3;
  if (finding.object_rate && dialect == Dialect::kKodo) own = &pack_.object_rate_kodo;
  if (own != nullptr) {
    decision->http.status = own->status;
    decision->http.code = own->code;
  }
}

void FillAnswer(const Pack& pack, Reason reason, Dialect dialect, Decision* decision) {
  const ReasonRule& rule = pack.reasons[static_cast<size_t>(reason)];
  const HttpAnswer& answer = dialect == Dialect::kS3 ? rule.s3 : dialect == Dialect::kKodo ? rule.kodo : rule.generic;
  decision->reason = reason;
  decision->fault = rule.fault;
  decision->http.status = answer.status;
  decision->http.code = answer.code;
  decision->http.message = rule.message;
}

}  // namespace sluice
