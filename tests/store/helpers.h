// What the tests of store/ share.
#ifndef SLUICE_TESTS_STORE_HELPERS_H_
#define SLUICE_TESTS_STORE_HELPERS_H_

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "agreement/loader.h"
#include "enforcement/engine.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/translate.h"
#include "store/policy_export.h"
#include "store/policy_writer.h"
#include "store/store.h"

namespace sluice {

// A folder of its own for each test, empty at its start.
inline std::string FreshFolder() {
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  const std::string folder =
      absl::StrCat(testing::TempDir(), "/sluice-", getpid(), "-", test->test_suite_name(), "-", test->name());
  std::filesystem::remove_all(folder);
  return folder;
}

inline const Pack* DefaultPack() {
  static const Pack* const pack = [] {
    auto loaded = LoadDefaultPack();
    if (!loaded.ok()) ADD_FAILURE() << loaded.status();
    return loaded.ok() ? loaded->release() : nullptr;
  }();
  return pack;
}

inline Moment At(absl::Time wall) {
  Moment moment;
  moment.wall = wall;
  return moment;
}

// 2026-03-01T10:00:00+08:00.
inline const absl::Time kMorning = absl::FromUnixSeconds(1772330400);

inline PolicyEvent Event(Change change, Role role = Role::kBilling) {
  PolicyEvent event;
  event.source = "test";
  event.role = role;
  event.change = std::move(change);
  return event;
}

inline Subject OfAccount(std::string account) {
  Subject subject;
  subject.account = std::move(account);
  return subject;
}
inline Subject OfObject(std::string bucket, std::string key) {
  Subject subject;
  subject.bucket = std::move(bucket);
  subject.key = std::move(key);
  return subject;
}

inline PolicyEvent Flag(std::string id, Severity severity = Severity::kBlock, std::string authority = "") {
  RaiseFlag flag;
  flag.flag_id = id;
  flag.subject = OfObject("b1", absl::StrCat("key of ", id));
  flag.category = "3.1.3.5.4";
  flag.severity = severity;
  flag.authority = std::move(authority);
  return Event(std::move(flag), Role::kModeration);
}

// A store with its index and writer, as a node has them.
struct Node {
  static std::unique_ptr<Node> Open(Store::Options options, EventObserver* observer = nullptr) {
    auto store = Store::Open(options);
    if (!store.ok()) {
      ADD_FAILURE() << store.status();
      return nullptr;
    }
    return On(*std::move(store), observer);
  }
  static std::unique_ptr<Node> On(std::unique_ptr<Store> store, EventObserver* observer = nullptr) {
    auto node = std::make_unique<Node>();
    node->store = std::move(store);
    node->index = std::make_unique<PolicyIndex>(DefaultPack());
    auto writer = PolicyWriter::Create(node->store.get(), node->index.get(), DefaultPack(), observer);
    if (!writer.ok()) {
      ADD_FAILURE() << writer.status();
      return nullptr;
    }
    node->writer = *std::move(writer);
    return node;
  }

  // The result of one event, which must not fail.
  EventResult Apply(PolicyEvent event, absl::Time now = kMorning) {
    std::vector<PolicyEvent> events;
    events.push_back(std::move(event));
    auto result = writer->Apply(std::move(events), At(now));
    if (!result.ok()) {
      ADD_FAILURE() << result.status();
      return {};
    }
    return result->results.at(0);
  }

  // The whole policy in one chunk.
  v1::ExportChunk ExportedChunk() const {
    v1::ExportChunk whole;
    auto snapshot = store->Snapshot();
    const absl::Status status = snapshot.ok() ? SendExport(**snapshot, std::numeric_limits<size_t>::max(),
                                                           [&whole](const v1::ExportChunk& chunk) {
                                                             whole = chunk;
                                                             return true;
                                                           })
                                              : snapshot.status();
    EXPECT_TRUE(status.ok()) << status;
    return whole;
  }

  absl::Status Import(const std::vector<v1::ExportChunk>& chunks) {
    size_t next = 0;
    return writer
        ->Import([&](v1::ExportChunk* chunk) {
          if (next == chunks.size()) return false;
          *chunk = chunks[next++];
          return true;
        })
        .status();
  }

  // The whole policy as bytes.
  std::string Exported() const { return ExportedChunk().SerializeAsString(); }

  // "KIND subject", in order.
  std::vector<std::string> Announced(int64_t from = 0) const {
    std::vector<std::string> words;
    auto announcements = writer->Announcements(from, 1000);
    EXPECT_TRUE(announcements.ok()) << announcements.status();
    if (!announcements.ok()) return words;
    for (const Announcement& each : *announcements) {
      words.push_back(absl::StrCat(Name(each.kind), " ", Describe(each.subject)));
    }
    return words;
  }

  Decision Ask(const CheckInput& input, absl::Time now = kMorning) {
    Limiter limiter{Limiter::Options{1024}};
    return Engine(DefaultPack(), index.get(), &limiter, {}).Check(input, At(now));
  }

  std::unique_ptr<Store> store;
  std::unique_ptr<PolicyIndex> index;
  std::unique_ptr<PolicyWriter> writer;
};

// The ids of the rules on a subject, as a check finds them.
inline std::vector<std::string> FlagsOn(const Policy& policy, const Subject& subject) {
  std::vector<std::string> ids;
  ReadRules read;
  const SubjectKey key = KeyOf(subject);
  EXPECT_TRUE(policy.ForEachRule(key.kind, key.hash, &read, [&](const Rule& rule) { ids.push_back(rule.id); }));
  return ids;
}

inline Store::Options In(std::string path, size_t map_bytes = size_t{64} << 20) {
  Store::Options options;
  options.path = std::move(path);
  options.map_bytes = map_bytes;
  return options;
}

inline CheckInput Download(absl::string_view owner) {
  CheckInput input;
  input.operation = Operation::kDownload;
  input.owner = owner;
  input.requester = owner;
  return input;
}

// Opened, paid, frozen at `kMorning`.
inline void FreezeU1(Node* node) {
  ASSERT_EQ(node->Apply(Event(OpenAccount{"u1"})).outcome, Outcome::kApplied);
  ASSERT_EQ(node->Apply(Event(Paid{"u1"})).outcome, Outcome::kApplied);
  ASSERT_EQ(node->Apply(Event(Freeze{"u1"})).outcome, Outcome::kApplied);
}
inline const absl::Time kReclaimable = kMorning + absl::Hours(24 * 32);

// Counts what the writer tells. With hold_first_, keeps the first commit from ending until go_on_.
class CountingObserver final : public EventObserver {
 public:
  void OnEvent(Outcome outcome, const PolicyEvent&) override { applied_ += outcome == Outcome::kApplied; }
  void OnCommit(size_t events, absl::Duration, bool ok) override {
    ++(ok ? commits_ : failures_);
    largest_ = std::max(largest_, events);
    if (hold_first_ && commits_ == 1) {
      first_committed_.Notify();
      go_on_.WaitForNotification();
    }
  }

  bool hold_first_ = false;
  absl::Notification first_committed_, go_on_;
  std::atomic<int> applied_{0}, commits_{0}, failures_{0};
  size_t largest_ = 0;
};

inline constexpr int kNotPermitted = 77;

// Runs `body` in a process of its own, for what would change this one. Its failures are printed and fail the test.
// Returns its exit status: kNotPermitted where it ended itself with that.
inline int InChild(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    fflush(stdout);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  const int exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  EXPECT_TRUE(exit_status == 0 || exit_status == kNotPermitted) << "the child's status is " << status;
  return exit_status;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_STORE_HELPERS_H_
