// The index of flags in the store against a policy that has all flags compiled, and what brings an older store up to
// it.
#include "store/flag_index.h"

#include <lmdb.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "enforcement/reducer.h"
#include "store/store_reader.h"
#include "tests/store/helpers.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
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

// Does `body` in a transaction of the store in `folder`, which nobody has open, and commits where it returns true.
void InTransaction(const std::string& folder, const std::function<bool(MDB_txn*, const Tables&)>& body) {
  MDB_env* environment;
  MDB_txn* transaction;
  Tables tables;
  ASSERT_EQ(mdb_env_create(&environment), 0);
  ASSERT_EQ(mdb_env_set_maxdbs(environment, 16), 0);
  ASSERT_EQ(mdb_env_set_mapsize(environment, size_t{64} << 20), 0);
  ASSERT_EQ(mdb_env_open(environment, folder.c_str(), 0, 0600), 0);
  ASSERT_EQ(mdb_txn_begin(environment, nullptr, 0, &transaction), 0);
  ASSERT_EQ(OpenPolicyTables(transaction, 0, &tables), 0);
  ASSERT_EQ(mdb_dbi_open(transaction, "meta", 0, &tables.meta), 0);
  ASSERT_EQ(mdb_dbi_open(transaction, "flagged", MDB_CREATE, &tables.flagged), 0);
  if (body(transaction, tables)) {
    ASSERT_EQ(mdb_txn_commit(transaction), 0);
  } else {
    mdb_txn_abort(transaction);
  }
  mdb_env_close(environment);
}

// What a version before the index wrote: the same tables but one, and no secret.
void MakeFormat1(const std::string& folder) {
  InTransaction(folder, [](MDB_txn* transaction, const Tables& tables) {
    LmdbTable meta(transaction, tables.meta);
    EXPECT_EQ(mdb_drop(transaction, tables.flagged, 1), 0);
    EXPECT_EQ(meta.Put(kMetaFormat, BigEndian(1)), 0);
    EXPECT_EQ(meta.Delete(kMetaSubjectSecret), 0);
    return true;
  });
}

// Every piece of every flag: subject, id, category, severity, role, times, as text, sorted.
std::vector<std::string> Pieces(const StoreReader& store) {
  std::vector<std::string> pieces;
  const absl::Status status = store.ForEachFlagged([&](Hash128 subject, const FlagPiece& piece) {
    pieces.push_back(absl::StrCat(subject.high, " ", subject.low, " ", piece.id, " ", piece.category, " ",
                                  static_cast<int>(piece.severity), " ", static_cast<int>(piece.set_by), " ",
                                  piece.whole, piece.trial, " ", absl::FormatTime(piece.from), " ",
                                  absl::FormatTime(piece.until)));
  });
  EXPECT_TRUE(status.ok()) << status;
  std::sort(pieces.begin(), pieces.end());
  return pieces;
}

// Several flags on most subjects of AnySubject, one on each of some others.
void RaiseMany(Node* node) {
  std::mt19937 random(17);
  for (int i = 0; i < 300; ++i) {
    RaiseFlag flag;
    flag.flag_id = absl::StrCat("f", i);
    flag.subject = i % 2 == 0 ? AnySubject(&random) : OfObject("b2", absl::StrCat("key ", i));
    flag.category = "3.1.3.5.3";
    flag.severity = static_cast<Severity>(random() % 4);
    if (random() % 4 == 0) flag.expires_at = kMorning + absl::Hours(random() % 100);
    node->Apply(Event(flag, Role::kLegal));
    if (i % 10 == 0) node->Apply(Event(GrantException{flag.flag_id, AnySubject(&random)}, Role::kLegal));
    if (i % 20 == 0) node->Apply(Event(ClearFlag{flag.flag_id}, Role::kLegal), kMorning + absl::Hours(1));
  }
}

TEST(FlagIndexTest, MadeAnewInAnyMemoryItSaysWhatItSaidBefore) {
  const Store::Options options = In(FreshFolder());
  std::vector<std::string> before;
  {
    auto node = Node::Open(options);
    RaiseMany(node.get());
    before = Pieces(*node->store);
    ASSERT_GT(before.size(), 200u);
    ASSERT_LT(node->store->flagged(), before.size());
  }
  using Table = std::vector<std::pair<std::string, std::string>>;
  std::vector<Table> made;
  for (const size_t memory_bytes : {size_t{1000}, NewFlags::kMemoryBytes}) {
    InTransaction(options.path, [&](MDB_txn* transaction, const Tables& tables) {
      const absl::Status status = RebuildFlagged(transaction, tables, options.path, memory_bytes);
      EXPECT_TRUE(status.ok()) << status;
      made.emplace_back();
      EXPECT_EQ(LmdbTable(transaction, tables.flagged)
                    .ForEach("",
                             [&](absl::string_view name, absl::string_view value) {
                               made.back().emplace_back(name, value);
                               return true;
                             }),
                0);
      return true;
    });
    EXPECT_EQ(Pieces(*Node::Open(options)->store), before) << memory_bytes;
  }
  EXPECT_EQ(made[0], made[1]);
  // With little memory it needs the folder, and says so where that is not there.
  InTransaction(options.path, [&](MDB_txn* transaction, const Tables& tables) {
    const absl::Status status = RebuildFlagged(transaction, tables, "/nowhere", 1000);
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("/nowhere: writing the index of flags"));
    return false;
  });
  EXPECT_EQ(Pieces(*Node::Open(options)->store), before);
}

TEST(FlagIndexTest, NewFlagsJoinThoseThatAreThere) {
  const Store::Options options = In(FreshFolder());
  std::vector<std::string> before;
  std::vector<Entity> flags;
  {
    auto node = Node::Open(options);
    RaiseMany(node.get());
    before = Pieces(*node->store);
    EXPECT_TRUE(node->store
                    ->ForEachEntityOf(EntityKind::kFlag, "",
                                      [&](const Entity& flag) {
                                        flags.push_back(flag);
                                        return true;
                                      })
                    .ok());
  }
  for (const size_t memory_bytes : {size_t{1000}, NewFlags::kMemoryBytes}) {
    InTransaction(options.path, [&](MDB_txn* transaction, const Tables& tables) {
      EXPECT_EQ(mdb_drop(transaction, tables.flagged, 0), 0);
      for (size_t part = 0; part < 3; ++part) {
        NewFlags some(options.path, memory_bytes);
        for (size_t i = part; i < flags.size(); i += 3) EXPECT_EQ(some.Add(flags[i]), 0);
        EXPECT_EQ(some.Write(LmdbTable(transaction, tables.flagged)), 0);
      }
      return true;
    });
    EXPECT_EQ(Pieces(*Node::Open(options)->store), before) << memory_bytes;
  }
}

// A write that begins behind a bound ends the process that makes it anew, one that is taken in part fails; the bound
// moves through the whole file.
TEST(FlagIndexTest, ACrashWhileItIsMadeAnewLeavesTheStoreAsItWas) {
  constexpr int kOpened = 0, kFailed = 1, kFull = 2;
  const Store::Options options = In(FreshFolder());
  std::vector<std::string> before;
  {
    auto node = Node::Open(options);
    RaiseMany(node.get());
    before = Pieces(*node->store);
  }
  MakeFormat1(options.path);
  const auto file_bytes = std::filesystem::file_size(options.path + "/data.mdb");
  int crashes = 0;
  bool opened = false;
  for (rlim_t bound = 8192; !opened && bound < 2 * file_bytes; bound += 8192) {
    const pid_t child = fork();
    if (child == 0) {
      const struct rlimit limits = {bound, RLIM_INFINITY}, no_core = {0, 0};
      if (setrlimit(RLIMIT_CORE, &no_core) != 0 || setrlimit(RLIMIT_FSIZE, &limits) != 0) _exit(kFailed);
      const absl::Status status = Store::Open(options).status();
      _exit(status.ok() ? kOpened : absl::IsResourceExhausted(status) ? kFull : kFailed);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    const bool crashed = WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ;
    const int exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : kFailed;
    crashes += crashed;
    opened = exit_status == kOpened;
    ASSERT_TRUE(crashed || opened || exit_status == kFull) << bound << ": status " << status;
    if (opened) break;
    InTransaction(options.path, [&](MDB_txn* transaction, const Tables& tables) {
      uint64_t format = 0;
      EXPECT_EQ(ReadMeta(LmdbTable(transaction, tables.meta), kMetaFormat, &format), 0);
      EXPECT_EQ(format, 1u) << bound;
      return false;
    });
  }
  EXPECT_TRUE(opened);
  EXPECT_GT(crashes, 0);
  EXPECT_EQ(Pieces(*Node::Open(options)->store), before);
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
  // As though another process had made it: the secret in its meta is not ours.
  InTransaction(options.path, [&](MDB_txn* transaction, const Tables& tables) {
    std::string foreign = own;
    foreign[0] = static_cast<char>(foreign[0] + 1);
    EXPECT_EQ(LmdbTable(transaction, tables.meta).Put(kMetaSubjectSecret, foreign), 0);
    return true;
  });
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
