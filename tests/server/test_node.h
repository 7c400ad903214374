// A node without listeners in the process of a test: real store, real engine, simulated clock.
#ifndef SLUICE_TESTS_SERVER_TEST_NODE_H_
#define SLUICE_TESTS_SERVER_TEST_NODE_H_

#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agreement/loader.h"
#include "decision_log/memory_log.h"
#include "enforcement/clock.h"
#include "enforcement/engine.h"
#include "enforcement/limiter.h"
#include "gtest/gtest.h"
#include "metrics/metrics.h"
#include "server/access_source.h"
#include "server/admin/admin_server.h"
#include "server/listen/address.h"
#include "server/listen/checker.h"
#include "server/readiness.h"
#include "store/policy_writer.h"
#include "store/store.h"

namespace sluice {

// A folder that goes with the test. Short, since the path of a socket is.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = testing::TempDir() + "/sluice.XXXXXX";
    path_ = mkdtemp(pattern.data()) != nullptr ? pattern : "";
    EXPECT_FALSE(path_.empty());
  }
  ~TempFolder() {
    if (!path_.empty()) std::filesystem::remove_all(path_);
  }
  std::string Below(const std::string& name) const { return path_ + "/" + name; }
  ListenAddress Socket(const std::string& name) const {
    ListenAddress address;
    address.path = Below(name);
    return address;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Stands still until it is moved.
class SimulatedClock final : public Clock {
 public:
  Moment Now() const override {
    absl::MutexLock lock(&mutex_);
    Moment moment;
    moment.wall = wall_;
    // As a machine's: since it started. Since 1970 there are more ticks than the limiter counts.
    moment.mono.ns = absl::ToInt64Nanoseconds(wall_ - kStarted);
    return moment;
  }
  void Advance(absl::Duration by) {
    absl::MutexLock lock(&mutex_);
    wall_ += by;
  }

 private:
  static constexpr absl::Time kStarted = absl::FromUnixSeconds(1767193200);

  mutable absl::Mutex mutex_;
  absl::Time wall_ = absl::FromUnixSeconds(1767196800);  // 2026-01-01T00:00:00+08:00
};

class TestNode {
 public:
  TestNode() {
    auto pack = LoadDefaultPack();
    EXPECT_TRUE(pack.ok()) << pack.status();
    pack_ = *std::move(pack);
    index_ = std::make_unique<PolicyIndex>(pack_.get());
    limiter_ = std::make_unique<Limiter>(Limiter::Options{.cells = 4096});
    engine_ = std::make_unique<Engine>(pack_.get(), index_.get(), limiter_.get(), NodeOptions{.region = "cn"});
    auto store = Store::Open({.path = folder_.Below("store"), .map_bytes = size_t{64} << 20, .sync = false});
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    auto writer = PolicyWriter::Create(store_.get(), index_.get(), pack_.get(), &metrics_,
                                       [this](const StampedEvent& event, bool fresh) {
                                         EXPECT_TRUE(engine_->TakeOver(event, fresh, clock_.Now()).ok());
                                       });
    EXPECT_TRUE(writer.ok()) << writer.status();
    writer_ = *std::move(writer);
    auto access = AccessSource::Open("");  // this process's own user
    EXPECT_TRUE(access.ok()) << access.status();
    access_ = *std::move(access);
    checker_ = std::make_unique<Checker>(engine_.get(), &clock_, &readiness_, &metrics_,
                                         std::vector<DecisionObserver*>{&metrics_, &decisions_, &top_});
    engine_->SetUsageObserver(&top_);
  }

  // Applies one change at the clock's time, by the first role that may send it.
  Outcome Apply(Change change) {
    PolicyEvent event;
    event.role = RoleFor(change);
    event.change = std::move(change);
    auto result = writer_->Apply({event}, clock_.Now());
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return Outcome::kUnspecified;
    EXPECT_EQ(result->results[0].error, "");
    return result->results[0].outcome;
  }

  // An active account u1 with the bucket b1.
  void OpenU1() {
    Apply(OpenAccount{"u1"});
    Apply(Paid{"u1"});
    Apply(BindBucket{"b1", "u1", "cn"});
  }

  // Lets u1 ask so often, and then not again while a test lasts.
  void LimitRequestsOfU1(double burst) {
    SetLimit limit;
    limit.limit_id = "l1";
    limit.level = Level::kContract;
    limit.scope = LimitScope::kAccount;
    limit.subject.account = "u1";
    limit.dimension = Dimension::kRequests;
    limit.rate = 0.001;
    limit.burst = burst;
    EXPECT_EQ(Apply(limit), Outcome::kApplied);
  }

  Role RoleFor(const Change& change) const { return pack_->roles[change.index()].front(); }

  AdminServer::Parts AdminParts() {
    AdminServer::Parts parts;
    parts.engine = engine_.get();
    parts.store = store_.get();
    parts.writer = writer_.get();
    parts.decisions = &decisions_;
    parts.clock = &clock_;
    parts.top = &top_;
    parts.access = access_.get();
    parts.counters = &metrics_.trust();
    parts.wire = &metrics_.wire();
    return parts;
  }

  const TempFolder& folder() const { return folder_; }
  SimulatedClock& clock() { return clock_; }
  Readiness& readiness() { return readiness_; }
  Metrics& metrics() { return metrics_; }
  Engine& engine() { return *engine_; }
  PolicyWriter& writer() { return *writer_; }
  Store& store() { return *store_; }
  class Top& top() {
    return top_;
  }
  Checker& checker() { return *checker_; }

 private:
  TempFolder folder_;
  SimulatedClock clock_;
  Readiness readiness_;
  Metrics metrics_{{"test", "default", ""}};
  MemoryLog decisions_{MemoryLog::Options{.capacity = 1024, .node = "n1"}};
  Top top_;
  std::unique_ptr<const Pack> pack_;
  std::unique_ptr<PolicyIndex> index_;
  std::unique_ptr<Limiter> limiter_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<PolicyWriter> writer_;
  std::unique_ptr<AccessSource> access_;
  std::unique_ptr<Checker> checker_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SERVER_TEST_NODE_H_
