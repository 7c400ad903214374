// The index of flags in the store against a policy that has all flags compiled, and what brings an older store up to
// it.
#include "store/flag_index.h"

#include <lmdb.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "enforcement/reducer.h"
#include "tests/store/helpers.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Subject OfHash(std::string digest) {
  Subject subject;
  subject.hash = {"md5", std::move(digest)};
  return subject;
}
Subject OfUrl(std::string path) {
  Subject subject;
  subject.host = "cdn.example.cn";
  subject.path = std::move(path);
  return subject;
}

// A few subjects of every kind that a flag can be on.
Subject AnySubject(std::mt19937* random) {
  const std::string n = std::to_string((*random)() % 4);
  Subject subject;
  switch ((*random)() % 8) {
    case 0:
      return OfHash("d" + n);
    case 1:
      return OfUrl("/" + n);
    case 2:
      subject.bucket = "b1";
      subject.key = "k" + n;
      subject.version_id = "v";
      return subject;
    case 3:
      return OfAccount("u" + n);
    case 4:
      subject.bucket = "b1";
      subject.prefix = "p" + n + "/";
      return subject;
    default:
      return OfObject("b1", "k" + n);
  }
}

struct Seen {
  std::string id, clause;
  Severity severity;
  Role set_by;
  absl::Time from, until;
  friend bool operator==(const Seen& a, const Seen& b) {
    return std::tie(a.id, a.clause, a.severity, a.set_by, a.from, a.until) ==
           std::tie(b.id, b.clause, b.severity, b.set_by, b.from, b.until);
  }
  friend bool operator<(const Seen& a, const Seen& b) { return std::tie(a.id, a.from) < std::tie(b.id, b.from); }
};

std::vector<Seen> RulesOn(const Policy& policy, const Subject& subject) {
  std::vector<Seen> seen;
  ReadRules read;
  const SubjectKey key = KeyOf(subject);
  EXPECT_TRUE(policy.ForEachRule(key.kind, key.hash, &read, [&](const Rule& rule) {
    seen.push_back({rule.id, rule.clause, rule.severity, rule.set_by, rule.span.from, rule.span.until});
  }));
  std::sort(seen.begin(), seen.end());
  return seen;
}

TEST(FlagIndexTest, SaysWhatAPolicySaysThatHasAllFlagsCompiled) {
  const Store::Options options = In(FreshFolder());
  auto node = Node::Open(options);
  std::mt19937 random(11);
  absl::Time now = kMorning;
  for (int step = 0; step < 700; ++step) {
    const std::string id = "f" + std::to_string(random() % 12);
    PolicyEvent event = Event(ClearFlag{id}, Role::kLegal);
    if (random() % 4 > 0) {
      RaiseFlag flag;
      flag.flag_id = id;
      flag.subject = AnySubject(&random);
      flag.category = random() % 2 == 0 ? "3.1.3.5.3" : "3.1.3.5.4";
      flag.severity = static_cast<Severity>(random() % 4);
      if (random() % 4 == 0) flag.expires_at = now + absl::Hours(random() % 100);
      event = Event(flag, Role::kLegal);
    } else if (random() % 2 == 0) {
      event = Event(GrantException{id, AnySubject(&random)}, Role::kLegal);
    }
    if (random() % 3 == 0) event.effective_at = now + absl::Minutes(random() % 600);
    now += absl::Minutes(random() % 60);
    node->Apply(event, now);
    if (step % 100 == 99) node.reset(), node = Node::Open(options);
    if (step % 10 != 0) continue;

    PolicyIndex compiled(DefaultPack());
    ASSERT_TRUE(node->store
                    ->ForEachEntity([&](const Entity& entity) {
                      compiled.working().Put(entity);
                      return true;
                    })
                    .ok());
    for (int copy = 0; copy < 2; ++copy) {
      for (int i = 0; i < 60; ++i) {
        const Subject subject = AnySubject(&random);
        ASSERT_EQ(RulesOn(*node->index->Read(), subject), RulesOn(compiled.working(), subject))
            << Describe(subject) << ", step " << step;
      }
      node->Apply(Event(RegistrySync{"icp"}, Role::kCompliance), now + absl::Seconds(copy));
    }
  }
}

TEST(FlagIndexTest, AWaveOfFlagsIsNotCompiled) {
  auto node = Node::Open(In(FreshFolder()));
  for (int i = 0; i < 50; ++i) node->Apply(Flag(absl::StrCat("f", i)));
  EXPECT_EQ(node->store->flagged(), 50u);
  EXPECT_THAT(FlagsOn(*node->index->Read(), OfObject("b1", "key of f7")), ElementsAre("f7"));
  CheckInput input = Download("u1");
  input.bucket = "b1";
  input.key = "key of f7";
  EXPECT_EQ(node->Ask(input).reason, Reason::kContentProhibited);
  EXPECT_EQ(node->Ask(input).rule_id, "f7");
  node->Apply(Event(ClearFlag{"f7"}, Role::kModeration));
  EXPECT_THAT(FlagsOn(*node->index->Read(), OfObject("b1", "key of f7")), IsEmpty());
  EXPECT_EQ(node->store->flagged(), 49u);
}

TEST(FlagIndexTest, WhatCannotBeLookedUpIsNotLetThrough) {
  class Unreadable final : public FlagReader {
   public:
    bool Find(Hash128, absl::FunctionRef<void(const FlagPiece&)>) const override { return false; }
  };
  auto node = Node::Open(In(FreshFolder()));
  node->Apply(Flag("f1"));
  const Unreadable unreadable;
  node->index->SetFlags(&unreadable);
  CheckInput input = Download("u1");
  input.bucket = "b1";
  input.key = "key of f1";
  EXPECT_EQ(node->Ask(input).verdict, Verdict::kDeny);
  EXPECT_EQ(node->Ask(input).reason, Reason::kStoreUnreadable);
  input.key = "another";
  EXPECT_EQ(node->Ask(input).verdict, Verdict::kAllow);
}

// What a version before the index wrote: the same tables but one, and no secret.
void MakeFormat1(const std::string& folder) {
  MDB_env* environment;
  MDB_txn* transaction;
  MDB_dbi meta, flagged;
  ASSERT_EQ(mdb_env_create(&environment), 0);
  ASSERT_EQ(mdb_env_set_maxdbs(environment, 16), 0);
  ASSERT_EQ(mdb_env_open(environment, folder.c_str(), 0, 0600), 0);
  ASSERT_EQ(mdb_txn_begin(environment, nullptr, 0, &transaction), 0);
  ASSERT_EQ(mdb_dbi_open(transaction, "meta", 0, &meta), 0);
  ASSERT_EQ(mdb_dbi_open(transaction, "flagged", 0, &flagged), 0);
  ASSERT_EQ(mdb_drop(transaction, flagged, 1), 0);
  std::string one;
  AppendBigEndian(1, &one);
  ASSERT_EQ(LmdbTable(transaction, meta).Put("format", one), 0);
  ASSERT_EQ(LmdbTable(transaction, meta).Delete("subject_secret"), 0);
  ASSERT_EQ(mdb_txn_commit(transaction), 0);
  mdb_env_close(environment);
}

TEST(FlagIndexTest, AStoreOfFormat1IsBroughtUp) {
  const Store::Options options = In(FreshFolder());
  std::string before;
  {
    auto node = Node::Open(options);
    for (int i = 0; i < 20; ++i) node->Apply(Flag(absl::StrCat("f", i)));
    before = node->Exported();
  }
  MakeFormat1(options.path);
  for (int opening = 0; opening < 2; ++opening) {
    auto node = Node::Open(options);
    EXPECT_EQ(node->store->flagged(), 20u);
    EXPECT_THAT(FlagsOn(*node->index->Read(), OfObject("b1", "key of f7")), ElementsAre("f7"));
    EXPECT_EQ(node->Exported(), before);
  }
}

TEST(FlagIndexTest, AStoreOfAnotherProcessIsFoundBothByOneThatHasASecretAndByOneThatHasNone) {
  const Store::Options options = In(FreshFolder());
  // Draws a secret of its own, or adopts one: this process has one already and keeps it.
  const std::string own(HashSecret());
  const int made = InChild([&] { Node::Open(options)->Apply(Flag("f1")); });
  ASSERT_EQ(made, 0);
  {
    // As though another process had made it: the secret in its meta is not ours.
    MDB_env* environment;
    MDB_txn* transaction;
    MDB_dbi meta;
    ASSERT_EQ(mdb_env_create(&environment), 0);
    ASSERT_EQ(mdb_env_set_maxdbs(environment, 16), 0);
    ASSERT_EQ(mdb_env_open(environment, options.path.c_str(), 0, 0600), 0);
    ASSERT_EQ(mdb_txn_begin(environment, nullptr, 0, &transaction), 0);
    ASSERT_EQ(mdb_dbi_open(transaction, "meta", 0, &meta), 0);
    std::string foreign = own;
    foreign[0] = static_cast<char>(foreign[0] + 1);
    ASSERT_EQ(LmdbTable(transaction, meta).Put("subject_secret", foreign), 0);
    ASSERT_EQ(mdb_txn_commit(transaction), 0);
    mdb_env_close(environment);
  }
  auto node = Node::Open(options);
  EXPECT_EQ(HashSecret(), own);
  EXPECT_THAT(FlagsOn(*node->index->Read(), OfObject("b1", "key of f1")), ElementsAre("f1"));
}

TEST(FlagIndexTest, ReadersSeeFlagsWhileTheWriterSetsThem) {
  auto node = Node::Open(In(FreshFolder()));
  node->Apply(Flag("f0"));
  std::atomic<bool> done{false};
  std::atomic<int64_t> wrong{0}, asked{0};
  std::vector<std::thread> readers;
  for (int thread = 0; thread < 3; ++thread) {
    readers.emplace_back([&] {
      CheckInput input = Download("u1");
      input.bucket = "b1";
      while (!done.load()) {
        input.key = "key of f0";
        wrong += node->Ask(input).reason != Reason::kContentProhibited;
        input.key = "clean";
        wrong += node->Ask(input).verdict != Verdict::kAllow;
        ++asked;
      }
    });
  }
  for (int i = 1; i < 150; ++i) {
    node->Apply(Flag(absl::StrCat("f", i)));
    if (i % 3 == 0) node->Apply(Event(ClearFlag{absl::StrCat("f", i)}, Role::kModeration));
    CheckInput input = Download("u1");
    const std::string key = absl::StrCat("key of f", i);
    input.bucket = "b1";
    input.key = key;
    // Acknowledged is seen.
    EXPECT_EQ(node->Ask(input).verdict, i % 3 == 0 ? Verdict::kAllow : Verdict::kDeny);
  }
  while (asked.load() < 50) std::this_thread::yield();
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace sluice
