// The engine as typed operations: events, checks, reports and time in any order. What must hold after each: a freeze
// that was applied denies until an unfreeze, an order denies whatever else is set, a denial spends nothing, MANAGE_READ
// and PAY pass in every state, and time alone never makes a frozen account readable.
#include <stdlib.h>

#include <array>
#include <string>

#include "tests/enforcement/node.h"
#include "tests/fuzz/choices.h"

namespace sluice {
namespace {

constexpr std::array<const char*, 2> kAccounts = {"u1", "u2"};
constexpr std::array<const char*, 3> kBuckets = {"b1", "b2", "b9"};

class Run {
 public:
  Run(const uint8_t* data, size_t size) : choices_(data, size) { node_.StandardFixture(); }

  void Go() {
    for (int step = 0; step < 200 && choices_.more(); ++step) {
      Step();
      Look();
    }
  }

 private:
  void Step() {
    const std::string account = kAccounts[choices_.Of(2)];
    const std::string bucket = kBuckets[choices_.Of(3)];
    bool& frozen = frozen_[account == "u1" ? 0 : 1];
    switch (choices_.Of(16)) {
      case 0:
        if (Applied(Freeze{account}) && node_.State(account) == AccountState::kFrozen) frozen = true;
        break;
      case 1:
        if (Applied(Unfreeze{account}) && node_.State(account) != AccountState::kFrozen) frozen = false;
        break;
      case 2:
        if (Applied(Reinstate{account})) frozen = false;
        break;
      case 3:
        Applied(SetBalance{account, choices_.Amount(), choices_.Amount()});
        if (node_.State(account) == AccountState::kFrozen) frozen = true;
        break;
      case 4: {
        IssueOrder order;
        order.order_id = "o1";
        Subject subject;
        subject.bucket = bucket;
        order.subjects = {subject};
        if (Applied(order)) ordered_ = bucket;
        break;
      }
      case 5:
        if (Applied(LiftOrder{"o1"})) ordered_.clear();
        break;
      case 6: {
        RaiseFlag flag;
        flag.flag_id = "f1";
        flag.subject.bucket = bucket;
        flag.subject.key = choices_.Of(2) == 0 ? "k1" : "";
        flag.category = "3.1.3.5.4";
        flag.severity = static_cast<Severity>(choices_.Of(4));
        Applied(flag);
        break;
      }
      case 7:
        Applied(ClearFlag{"f1"});
        break;
      case 8: {
        SetLimit limit;
        limit.limit_id = "l1";
        limit.level = static_cast<Level>(1 + choices_.Of(4));
        limit.scope = LimitScope::kAccount;
        limit.subject.account = account;
        limit.dimension = static_cast<Dimension>(1 + choices_.Of(kDimensionCount - 1));
        limit.rate = static_cast<double>(choices_.Byte());
        Applied(limit);
        break;
      }
      case 9:
        Applied(ClearLimit{"l1"});
        break;
      case 10:
        Applied(PlaceHold{"h1", Bucket(bucket)});
        break;
      case 11:
        Applied(ReleaseHold{"h1"});
        break;
      case 12:
        Applied(GiveNotice{account, node_.now().wall + absl::Hours(24 * (30 + choices_.Of(10)))});
        break;
      case 13:
        node_.MoveTo(node_.now().wall + absl::Seconds(choices_.Amount() % (40 * 24 * 3600)));
        node_.Announce();
        break;
      case 14: {
        UsageInput usage;
        usage.bucket = bucket;
        usage.bytes_out = choices_.Amount();
        // A report without an id counts each time; what is refused for want of room changes nothing.
        (void)node_.engine().Report("", {usage}, node_.now());
        break;
      }
      default:
        Applied(Terminate{account, static_cast<TerminationCause>(1 + choices_.Of(8))});
    }
  }

  void Look() {
    for (const char* account : kAccounts) {
      for (const Operation open : {Operation::kManageRead, Operation::kPay}) {
        CheckInput input;
        input.operation = open;
        input.requester = account;
        if (node_.Check(input).verdict != Verdict::kAllow) abort();
      }
    }
    for (size_t i = 0; i < kAccounts.size(); ++i) {
      if (!frozen_[i]) continue;
      CheckInput input = Ask(Operation::kDownload, kAccounts[i], i == 0 ? "b1" : "b9", "k1");
      if (node_.Check(input).verdict != Verdict::kDeny) abort();
    }
    if (!ordered_.empty()) {
      const Decision decision = node_.Check(Ask(Operation::kDownload, "", ordered_, "k1"));
      if (decision.verdict != Verdict::kDeny || decision.reason != Reason::kLegalOrder) abort();
    }
    // Explaining says what checking would, and takes nothing.
    const CheckInput input = Ask(Operation::kDownload, "u1", "b1", "k1");
    std::vector<ExplainStep> steps;
    const Decision told = node_.engine().Explain(input, node_.now(), &steps);
    const Decision done = node_.Check(input);
    if (told.verdict != done.verdict || told.reason != done.reason || steps.empty()) abort();
  }

  static Subject Bucket(const std::string& bucket) {
    Subject subject;
    subject.bucket = bucket;
    return subject;
  }
  bool Applied(Change change) { return node_.Send(std::move(change)).outcome == Outcome::kApplied; }

  Node node_;
  Choices choices_;
  std::array<bool, 2> frozen_{};
  std::string ordered_;
};

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::Run(data, size).Go();
  return 0;
}
