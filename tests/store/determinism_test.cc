// The same events give the same bytes, whatever the calls that brought them and the restarts in between; and each cause
// is announced once. Random histories, each played in several ways.
#include <algorithm>
#include <map>
#include <random>

#include "enforcement/calendar.h"
#include "tests/store/helpers.h"

namespace sluice {
namespace {

constexpr int kHistories = 30;

// What arrives at one moment.
struct Step {
  absl::Time at;
  std::vector<PolicyEvent> events;
};

class HistoryMaker {
 public:
  explicit HistoryMaker(uint64_t seed) : random_(seed) {}

  std::vector<Step> Make() {
    std::vector<Step> steps;
    absl::Time now = kMorning;
    for (int i = 0; i < 24; ++i) {
      // Often at the very moment at which something falls due by time alone: midnight, or ten minutes later.
      now += absl::Hours(1 + Below(24 * 12));
      if (Below(3) == 0) now = StartOfDay(DayOf(now) + 1) + (Below(2) == 0 ? absl::ZeroDuration() : absl::Minutes(10));
      Step step{now, {}};
      for (int j = Below(20); j >= 0; --j) step.events.push_back(MakeEvent(now));
      steps.push_back(std::move(step));
    }
    return steps;
  }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }
  std::string OneOf(absl::string_view what, int n) { return absl::StrCat(what, Below(n)); }

  PolicyEvent MakeEvent(absl::Time now) {
    PolicyEvent event;
    event.change = MakeChange(now);
    const std::vector<Role>& roles = DefaultPack()->RolesFor(event.change);
    event.role = roles.empty() || Below(12) == 0 ? Role::kCompliance : roles[Below(static_cast<int>(roles.size()))];
    event.source = OneOf("source", 2);
    if (Below(3) == 0) event.event_id = OneOf("event", 40);
    if (Below(3) == 0) event.sequence = 1 + Below(30);
    if (Below(3) == 0) event.effective_at = now - absl::Hours(Below(24 * 40));
    if (Below(6) == 0) event.effective_at = now + absl::Minutes(Below(60 * 30));
    return event;
  }

  Subject MakeSubject() {
    Subject subject;
    switch (Below(5)) {
      case 0:
        subject.account = OneOf("a", 4);
        break;
      case 1:
        subject.bucket = OneOf("b", 4);
        break;
      case 2:
        subject.bucket = OneOf("b", 4);
        subject.key = OneOf("k", 2);
        break;
      case 3:
        subject.host = Below(2) == 0 ? "*.example.cn" : OneOf("h", 3) + ".example.cn";
        break;
      default:
        subject.client_ip = absl::StrCat("203.0.113.", Below(4), Below(2) == 0 ? "" : "/24");
        break;
    }
    return subject;
  }

  Change MakeChange(absl::Time now) {
    const std::string account = OneOf("a", 4);
    switch (Below(30)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return Freeze{account};
      case 4:
      case 5:
        return Unfreeze{account};
      case 6:
        return Terminate{account, static_cast<TerminationCause>(1 + Below(8))};
      case 7:
        return SetServiceEnd{account, now + absl::Hours(24 * (Below(30) - 10))};
      case 8:
        return GiveNotice{account, now + absl::Hours(24 * (28 + Below(10)))};
      case 9:
        return PaymentPending{account, Below(2) == 0};
      case 10:
        return Reinstate{account};
      case 11:
        return ConfirmReclaimed{account};
      case 12:
        return BindBucket{OneOf("b", 4), account, "cn"};
      case 13:
        return BindDomain{OneOf("h", 3) + ".example.cn", account, OneOf("b", 4), Geo::kChina, Below(3) == 0};
      case 14:
        return UnbindDomain{OneOf("h", 3) + ".example.cn"};
      case 15:
      case 16:
        return PlaceHold{OneOf("hold", 3), MakeSubject()};
      case 17:
      case 18:
        return ReleaseHold{OneOf("hold", 3)};
      case 19: {
        RaiseFlag flag{OneOf("flag", 3), MakeSubject(), "3.1.3.5.2", Severity::kCritical, absl::nullopt, ""};
        if (Below(2) == 0) flag.expires_at = now + absl::Hours(Below(24 * 20));
        return flag;
      }
      case 20:
        return ClearFlag{OneOf("flag", 3)};
      case 21:
        return GrantException{OneOf("flag", 3), MakeSubject()};
      case 22:
        return OrderDeletion{MakeSubject()};
      case 23: {
        SetParameter set;
        set.level = static_cast<Level>(1 + Below(4));
        if (Below(2) == 0) set.account = account;
        set.name = Below(2) == 0 ? "grace_days" : "retention_days";
        set.value = absl::StrCat(1 + Below(50));
        return set;
      }
      case 24:
        return OpenAccount{account};
      case 25:
        return Paid{account};
      case 26: {
        SetPermit permit;
        permit.host = OneOf("h", 3) + ".example.cn";
        permit.kind = "icp-filing";
        permit.status = static_cast<PermitStatus>(1 + Below(4));
        return permit;
      }
      case 27: {
        Restrict restrict;
        restrict.restriction_id = OneOf("r", 3);
        restrict.subject = MakeSubject();
        restrict.kind = static_cast<RestrictionKind>(1 + Below(4));
        restrict.clause = "3.1.3.10";
        return restrict;
      }
      case 28:
        return Withhold{account};
      default:
        return SetBalance{account, Below(3), 1};
    }
  }

  std::mt19937_64 random_;
};

struct Played {
  std::string bytes;
  std::vector<std::string> announced;
  std::vector<std::string> outcomes;
};

// Plays `steps` in calls of at most `batch` events; with `restarts`, closes and opens the store after every call.
Played Play(const std::vector<Step>& steps, size_t batch, bool restarts) {
  const std::string folder = FreshFolder();
  auto node = Node::Open(In(folder));
  Played played;
  for (const Step& step : steps) {
    for (size_t first = 0; first < step.events.size(); first += batch) {
      const auto begin = step.events.begin() + static_cast<ptrdiff_t>(first);
      const auto end = step.events.begin() + static_cast<ptrdiff_t>(std::min(first + batch, step.events.size()));
      auto result = node->writer->Apply({begin, end}, At(step.at));
      EXPECT_TRUE(result.ok()) << result.status();
      if (!result.ok()) return played;
      for (const EventResult& each : result->results) {
        played.outcomes.push_back(absl::StrCat(Name(each.outcome), " ", each.revision, " ", each.error));
      }
      if (restarts) {
        node.reset();
        node = Node::Open(In(folder));
      }
    }
  }
  played.bytes = node->Exported();
  auto announcements = node->writer->Announcements(0, 100000);
  EXPECT_TRUE(announcements.ok()) << announcements.status();
  for (const Announcement& each : *announcements) {
    played.announced.push_back(absl::StrCat(each.revision, " ", Name(each.kind), " ", Describe(each.subject), " ",
                                            absl::FormatTime(each.at), " ", each.detail));
  }
  return played;
}

// "" where there is none.
std::string FirstDifference(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const std::string left = i < a.size() ? a[i] : "nothing", right = i < b.size() ? b[i] : "nothing";
    if (left != right) return absl::StrCat(i, ": ", left, " against ", right);
  }
  return "";
}

TEST(DeterminismTest, TheSameEventsGiveTheSameBytesWhateverTheBatchesAndRestarts) {
  size_t announced = 0;
  for (int seed = 1; seed <= kHistories; ++seed) {
    const std::vector<Step> steps = HistoryMaker(seed).Make();
    const Played whole = Play(steps, 1000, /*restarts=*/false);
    announced += whole.announced.size();
    // Opening a store takes longer than all else: a few histories are enough for that.
    const bool restarts = seed % 10 == 0;
    for (const size_t batch : {1, 3, 7}) {
      const Played cut = Play(steps, batch, restarts && batch > 1);
      const std::string where = absl::StrCat("seed ", seed, ", batches of ", batch, ", ");
      ASSERT_EQ(FirstDifference(cut.outcomes, whole.outcomes), "") << where << "outcomes";
      ASSERT_EQ(FirstDifference(cut.announced, whole.announced), "") << where << "announcements";
      ASSERT_TRUE(cut.bytes == whole.bytes) << where << "the exports differ";
    }
  }
  EXPECT_GT(announced, static_cast<size_t>(kHistories));  // else the histories show nothing
}

TEST(DeterminismTest, NothingIsAnnouncedTwiceWithoutBeingTakenBack) {
  size_t reclaimable = 0, cancelled = 0;
  for (int seed = 1000; seed < 1000 + kHistories; ++seed) {
    const std::vector<Step> steps = HistoryMaker(seed).Make();
    auto node = Node::Open(In(FreshFolder()));
    for (const Step& step : steps) ASSERT_TRUE(node->writer->Apply(step.events, At(step.at)).ok());
    auto announcements = node->writer->Announcements(0, 100000);
    ASSERT_TRUE(announcements.ok());
    std::map<std::string, bool> standing;  // whether RECLAIMABLE stands, by account
    int64_t last = 0;
    for (const Announcement& each : *announcements) {
      EXPECT_GT(each.revision, last) << "seed " << seed;
      last = each.revision;
      bool& announced = standing[each.subject.account];
      if (each.kind == AnnouncementKind::kReclaimable) {
        EXPECT_FALSE(announced) << "seed " << seed << ": " << each.subject.account;
        announced = true;
        ++reclaimable;
      } else if (each.kind == AnnouncementKind::kReclaimCancelled) {
        EXPECT_TRUE(announced) << "seed " << seed << ": " << each.subject.account;
        announced = false;
        ++cancelled;
      }
    }
  }
  EXPECT_GT(reclaimable, 20u);
  EXPECT_GT(cancelled, 5u);
}

}  // namespace
}  // namespace sluice
