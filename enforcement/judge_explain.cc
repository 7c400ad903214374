// What explaining a check writes down: each rule that was looked at, in the order of precedence, in two languages.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "enforcement/calendar.h"
#include "enforcement/failure_policy.h"
#include "enforcement/judge.h"

namespace sluice {
namespace {

// The account's state in the owner's language.
absl::string_view ChineseName(AccountState state) {
  switch (state) {
    case AccountState::kPending:
      return "待付款";
    case AccountState::kActive:
      return "正常";
    case AccountState::kNotice:
      return "已通知终止";
    case AccountState::kWithheld:
      return "服务受限";
    case AccountState::kFrozen:
      return "已冻结";
    case AccountState::kRetention:
      return "数据保留期";
    case AccountState::kReclaimable:
      return "待回收";
    case AccountState::kReclaimed:
      return "已回收";
    default:
      return "未知";
  }
}

std::string Readable(absl::Time time) { return absl::FormatTime("%E4Y-%m-%d %H:%M:%S", time, ChinaStandardTime()); }

absl::string_view EffectText(Effect effect) {
  switch (effect) {
    case Effect::kDeny:
      return "拒绝 denied";
    case Effect::kThrottle:
      return "限速 throttled";
    default:
      return "提示 warned";
  }
}

}  // namespace

void Judge::Note(Reason reason, std::string rule, bool matched, absl::string_view clause, std::string text,
                 bool answers) {
  if (steps_ == nullptr) return;
  noted_.push_back({Precedence(reason), answers, {std::move(rule), matched, std::string(clause), std::move(text)}});
}

void Judge::NoteStanding(absl::string_view name, const Segment& segment, Reason reason, Permission permission,
                         absl::string_view whose) {
  const ReasonRule& rule = pack_.reasons[static_cast<size_t>(reason)];
  const bool remarked = permission != Permission::kAllow;
  const bool active = segment.state == AccountState::kActive;
  std::string zh = absl::StrCat("账户 ", name, " 自 ", Readable(segment.since), " 起为", ChineseName(segment.state));
  std::string en = absl::StrCat("Account ", name, " is ", Name(segment.state), " since ", Readable(segment.since));
  if (segment.deadline && !active) {
    absl::StrAppend(&zh, "，期限至 ", Readable(*segment.deadline));
    absl::StrAppend(&en, "; its time runs until ", Readable(*segment.deadline));
  }
  absl::StrAppend(&zh, "。", remarked ? absl::string_view(rule.zh) : absl::string_view());
  absl::StrAppend(&en, ".", remarked ? absl::StrCat(" ", rule.en) : "");
  const Effect effect = permission == Permission::kDeny ? Effect::kDeny : Effect::kWarn;
  const absl::string_view clause =
      segment.cause == TerminationCause::kUnspecified
          ? absl::string_view(active ? absl::string_view() : absl::string_view(rule.clause))
          : absl::string_view(pack_.causes[static_cast<size_t>(segment.cause)].clause);
  // An account in good standing stands where the first reason against one would.
  Note(active ? Reason::kPendingPayment : reason, absl::StrCat("standing of the ", whose), remarked, clause,
       absl::StrCat(zh, " ", en, remarked ? absl::StrCat(" (", EffectText(effect), ")") : ""),
       /*answers=*/!active);
}

void Judge::FinishSteps() {
  const auto label = [](const Finding& finding) {
    absl::string_view kind = "rule";
    switch (finding.reason) {
      case Reason::kLegalOrder:
        kind = "order";
        break;
      case Reason::kEvidenceHold:
        kind = finding.severity == 255 ? "hold" : "flag";
        break;
      case Reason::kSecuritySuspended:
      case Reason::kReadOnly:
      case Reason::kViolationWarning:
      case Reason::kSandboxed:
        kind = "restriction";
        break;
      case Reason::kQuotaExceeded:
      case Reason::kRateLimited:
        kind = "limit";
        break;
      default:
        if (finding.severity > 0) kind = "flag";
        break;
    }
    return absl::StrCat(kind, " ", finding.rule_id);
  };
  const auto note = [&](const Finding& finding, bool trial) {
    const ReasonRule& rule = pack_.reasons[static_cast<size_t>(finding.reason)];
    std::string zh = rule.zh, en = rule.en;
    if (const Category* category = pack_.FindCategory(finding.clause);
        category != nullptr && !finding.rule_id.empty()) {
      absl::StrAppend(&zh, "类别：", category->zh, "。");
      absl::StrAppend(&en, " Category: ", category->en, ".");
    }
    Note(finding.reason,
         absl::StrCat(trial ? "trial " : "",
                      finding.rule_id.empty() ? std::string(Name(finding.reason)) : label(finding)),
         true, finding.clause,
         absl::StrCat(zh, " ", en, " (", EffectText(finding.effect),
                      trial ? "; 试行，不影响结果 on trial, it changes nothing)" : ")"));
  };
  for (const Finding& finding : findings_) {
    // The standing of an account has been written down with its dates.
    const bool standing =
        finding.rule_id.empty() && finding.reason >= Reason::kPendingPayment && finding.reason <= Reason::kReclaimed;
    if (!standing && finding.reason != Reason::kTerminationNotice) note(finding, /*trial=*/false);
  }
  for (const Finding& finding : trial_findings_) note(finding, /*trial=*/true);
  // What was looked for and not found, so that the list shows every rule of the precedence.
  for (int i = 1; i < kReasonCount; ++i) {
    const auto reason = static_cast<Reason>(i);
    if (IsUndecided(reason)) continue;
    const bool noted = std::any_of(noted_.begin(), noted_.end(),
                                   [&](const Noted& each) { return each.answers && each.order == Precedence(reason); });
    if (noted) continue;
    const bool skipped = denied_ && (reason == Reason::kRateLimited || reason == Reason::kSandboxed);
    Note(reason, std::string(Name(reason)), false, pack_.reasons[i].clause,
         skipped ? "已有拒绝，不再查看。 Not looked at: something denies already."
                 : "未命中。 Nothing of this kind matches.");
  }
  std::stable_sort(noted_.begin(), noted_.end(), [](const Noted& a, const Noted& b) { return a.order < b.order; });
  for (Noted& noted : noted_) steps_->push_back(std::move(noted.step));
}

}  // namespace sluice
