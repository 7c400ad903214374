#include "enforcement/policy_index.h"

#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "tests/enforcement/node.h"

namespace sluice {
namespace {

// Accounts, buckets and domains come, change and go at random times of effect; both copies are asked, against maps.
TEST(PolicyIndex, FindsWhatWasPutInBothCopies) {
  Node node;
  std::mt19937 random(7);
  struct Binding {
    absl::Time from;
    std::string account;
  };
  std::map<std::string, std::vector<Binding>> buckets, domains;
  const auto bind = [&](std::map<std::string, std::vector<Binding>>* map, const std::string& name, std::string account,
                        absl::Duration ahead) {
    auto& bindings = (*map)[name];
    const absl::Time from = node.now().wall + ahead;
    while (!bindings.empty() && bindings.back().from >= from) bindings.pop_back();
    bindings.push_back({from, std::move(account)});
  };
  const auto at = [](const std::map<std::string, std::vector<Binding>>& map, const std::string& name,
                     absl::Time t) -> std::string {
    const auto it = map.find(name);
    if (it == map.end()) return "";
    std::string account;
    for (const Binding& binding : it->second) {
      if (binding.from <= t) account = binding.account;
    }
    return account;
  };
  const auto check = [&] {
    const auto policy = node.index().Read();
    for (int i = 0; i < 12; ++i) {
      const std::string bucket = "b" + std::to_string(i), host = "h" + std::to_string(i) + ".cn";
      for (const absl::Duration later : {absl::ZeroDuration(), absl::Hours(2), absl::Hours(30)}) {
        const absl::Time t = node.now().wall + later;
        const auto found = policy->FindBucket(bucket, t);
        ASSERT_EQ(found ? std::string(found->account) : "", at(buckets, bucket, t));
        const auto domain = policy->FindDomain(host, t);
        ASSERT_EQ(domain ? std::string(domain->account) : "", at(domains, host, t));
        if (domain) {
          ASSERT_EQ(domain->bucket, "bucket of " + std::string(domain->account));
        }
      }
    }
  };
  for (int step = 0; step < 1500; ++step) {
    const std::string account = "account-" + std::to_string(random() % 300);
    const absl::Duration ahead = random() % 3 == 0 ? absl::Hours(1 + random() % 20) : absl::ZeroDuration();
    const OptionalTime effective = node.now().wall + ahead;
    const std::string number = std::to_string(random() % 12);
    switch (random() % 4) {
      case 0:
        node.Send(BindBucket{"b" + number, account, "cn"}, Role::kUnspecified, effective);
        bind(&buckets, "b" + number, account, ahead);
        break;
      case 1:
        node.Send(BindDomain{"h" + number + ".cn", account, "bucket of " + account, Geo::kChina, false},
                  Role::kUnspecified, effective);
        bind(&domains, "h" + number + ".cn", account, ahead);
        break;
      case 2:
        if (node.Send(UnbindDomain{"h" + number + ".cn"}).outcome == Outcome::kApplied)
          domains.erase("h" + number + ".cn");
        break;
      default:
        node.MoveTo(node.now().wall + absl::Minutes(random() % 90));
        break;
    }
    check();
  }
}

// Every event moves two facts at once; no reader ever sees one moved and the other not.
TEST(PolicyIndex, AReaderSeesOneRevision) {
  Node node;
  node.StandardFixture();
  for (int i = 0; i < 200; ++i) node.Send(BindBucket{"other" + std::to_string(i), "u1", "cn"});
  std::atomic<bool> done{false};
  std::atomic<int64_t> wrong{0}, read{0};
  std::vector<std::thread> readers;
  const absl::Time now = node.now().wall;
  for (int thread = 0; thread < 2; ++thread) {
    readers.emplace_back([&] {
      while (!done.load()) {
        const auto policy = node.index().Read();
        const auto first = policy->FindBucket("pair-a", now), second = policy->FindBucket("pair-b", now);
        const std::string a(first ? first->account : ""), b(second ? second->account : "");
        const auto domain = policy->FindDomain("pair.cn", now);
        if (a != b || (domain ? domain->bucket : "") != a) ++wrong;
        if (policy->FindBucket("other7", now)->account != "u1") ++wrong;
        ++read;
      }
    });
  }
  const auto entity = [&](EntityKind kind, const std::string& id, Change change) {
    Entity made;
    made.key = {kind, id};
    PolicyEvent event;
    event.effective_at = now;
    event.change = std::move(change);
    made.events.push_back({std::move(event), 1, now});
    return made;
  };
  for (int i = 0; i < 4000; ++i) {
    const std::string account = "someone with a long name " + std::to_string(i % 97);
    const auto put = [&](Policy& policy) {
      policy.Put(entity(EntityKind::kBucket, "pair-a", BindBucket{"pair-a", account, "cn"}));
      policy.Put(entity(EntityKind::kBucket, "pair-b", BindBucket{"pair-b", account, "cn"}));
      policy.Put(entity(EntityKind::kDomain, "pair.cn", BindDomain{"pair.cn", account, account, Geo::kChina, false}));
      // Grows the table under the readers.
      const std::string more = "more" + std::to_string(i);
      policy.Put(entity(EntityKind::kBucket, more, BindBucket{more, account, "cn"}));
    };
    put(node.index().working());
    node.index().Publish(put);
  }
  while (read.load() < 100) std::this_thread::yield();
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

// An account as its events of freezing and unfreezing make it, each a minute after the one before.
Entity Toggled(int pairs, absl::Time start, absl::Duration ahead) {
  Entity account;
  account.key = {EntityKind::kAccount, "u1"};
  const auto tell = [&](Change change) {
    const absl::Time arrived = start + absl::Minutes(account.events.size());
    PolicyEvent event;
    event.effective_at = arrived + ahead;
    event.change = std::move(change);
    account.events.push_back({std::move(event), static_cast<int64_t>(account.events.size() + 1), arrived});
  };
  tell(OpenAccount{"u1"});
  tell(Paid{"u1"});
  for (int i = 0; i < pairs; ++i) {
    tell(Freeze{"u1"});
    tell(Unfreeze{"u1"});
  }
  tell(Freeze{"u1"});
  return account;
}

void Put(const Entity& entity, Node* node) {
  const auto put = [&](Policy& policy) { policy.Put(entity); };
  put(node->index().working());
  node->index().Publish(put);
}

// Of events that arrive as they happen, and of those that a fast clock of billing dates a little ahead.
TEST(PolicyIndex, AnAccountThatWasFrozenAThousandTimesStandsAsItsLastEventSays) {
  for (const absl::Duration ahead : {absl::ZeroDuration(), absl::Seconds(2)}) {
    Node node;
    Entity account = Toggled(3000, At("2026-05-01T00:00:00+08:00"), ahead);
    const absl::Time last = account.events.back().arrived_at;
    node.MoveTo(last + absl::Seconds(30));
    const size_t before = node.index().bytes().names;
    Put(account, &node);
    EXPECT_EQ(node.State("u1"), AccountState::kFrozen);
    EXPECT_LT(node.index().bytes().names - before, 4096u) << "the past is not kept without bound";

    // Each event replaces the piece before it, which is freed and used again.
    for (int i = 0; i < 100; ++i) {
      const bool freezes = i % 2 != 0;
      StampedEvent next = account.events.back();
      next.arrived_at += absl::Minutes(1);
      next.event.effective_at = next.arrived_at + ahead;
      ++next.revision;
      next.event.change = freezes ? Change(Freeze{"u1"}) : Change(Unfreeze{"u1"});
      account.events.push_back(next);
      node.MoveTo(next.arrived_at + absl::Seconds(30));
      Put(account, &node);
      ASSERT_EQ(node.State("u1"), freezes ? AccountState::kFrozen : AccountState::kActive);
    }
    EXPECT_LT(node.index().bytes().names - before, 65536u);
    // And those ahead: the last freeze, the ends of its windows.
    EXPECT_LE(node.index().Read()->FindAccount("u1")->timeline.segments.size(), kPastSegmentsKept + 4);
  }
}

// Nobody has to have passed any of it yet: what is to come is kept whole, however much it is.
TEST(PolicyIndex, AnAccountStandsByWhatWasWrittenLongAhead) {
  Node node;
  const absl::Time start = At("2026-05-01T00:00:00+08:00");
  Entity account = Toggled(60000, start, absl::ZeroDuration());
  for (StampedEvent& event : account.events) event.arrived_at = start - absl::Hours(1);
  Put(account, &node);
  for (const int minute : {3, 2000, 100003}) {
    node.MoveTo(start + absl::Minutes(minute) + absl::Seconds(30));
    EXPECT_EQ(node.State("u1"), minute % 2 == 0 ? AccountState::kFrozen : AccountState::kActive) << minute;
  }
}

TEST(PolicyIndex, AnAccountABucketAndADomainTakeAtMostSixtyFourBytesEach) {
  Node node;
  constexpr int kEach = 60000;
  const absl::Time now = node.now().wall;
  const auto stamp = [&](Change change) {
    StampedEvent stamped;
    stamped.event.effective_at = stamped.arrived_at = now;
    stamped.event.change = std::move(change);
    return stamped;
  };
  node.index().LoadAll([&](Policy& policy, bool shared) {
    if (!shared) return;
    for (int i = 0; i < kEach; ++i) {
      const std::string account = absl::StrFormat("13800%07d", i), bucket = absl::StrFormat("media-%07d-cn-east-1", i);
      Entity entity;
      entity.key = {EntityKind::kAccount, account};
      entity.events = {stamp(OpenAccount{account}), stamp(Paid{account})};
      if (i % 10 == 9) entity.events.push_back(stamp(Freeze{account}));
      policy.Put(entity);
      entity.key = {EntityKind::kBucket, bucket};
      entity.events = {stamp(BindBucket{bucket, account, "cn"})};
      policy.Put(entity);
      entity.key = {EntityKind::kDomain, bucket + ".cn"};
      entity.events = {stamp(BindDomain{bucket + ".cn", account, bucket, Geo::kChina, false})};
      policy.Put(entity);
    }
  });
  const PolicyIndex::Bytes bytes = node.index().bytes();
  const double names = static_cast<double>(bytes.names) / kEach;  // of accounts and of the buckets that domains name
  EXPECT_LE(static_cast<double>(bytes.accounts) / kEach, 38);
  EXPECT_LE(static_cast<double>(bytes.buckets) / kEach, 64);
  EXPECT_LE(static_cast<double>(bytes.domains) / kEach, 38);
  EXPECT_LE(names, 50);
  EXPECT_EQ(node.index().Read()->accounts(), size_t{kEach});
}

}  // namespace
}  // namespace sluice
