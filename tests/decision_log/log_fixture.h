// What the tests of the log on disk share: a folder, a clock that stands still, and short ways to say a decision.
#ifndef SLUICE_TESTS_DECISION_LOG_LOG_FIXTURE_H_
#define SLUICE_TESTS_DECISION_LOG_LOG_FIXTURE_H_

#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "decision_log/decision_log.h"
#include "decision_log/log_folder.h"
#include "decision_log/log_reader.h"
#include "decision_log/log_verify.h"
#include "enforcement/check.h"
#include "gtest/gtest.h"

namespace sluice {

class SetClock final : public Clock {
 public:
  Moment Now() const override {
    Moment moment;
    moment.wall = absl::FromUnixNanos(wall_ns_.load());
    return moment;
  }
  void Set(absl::Time wall) { wall_ns_.store(absl::ToUnixNanos(wall)); }
  void Advance(absl::Duration by) { wall_ns_.fetch_add(absl::ToInt64Nanoseconds(by)); }

 private:
  std::atomic<int64_t> wall_ns_{1772330400000000000};  // 2026-03-01T10:00:00+08:00
};

inline CheckInput Asked(absl::string_view id, absl::string_view owner = "u1", absl::string_view bucket = "b1",
                        absl::string_view key = "k1") {
  CheckInput input;
  input.request_id = id;
  input.operation = Operation::kDownload;
  input.owner = owner;
  input.bucket = bucket;
  input.key = key;
  return input;
}

inline Decision Answered(Verdict verdict, Reason reason = Reason::kUnspecified) {
  Decision decision;
  decision.verdict = verdict;
  decision.reason = reason;
  return decision;
}
inline Decision Denied(Reason reason = Reason::kAccountFrozen) { return Answered(Verdict::kDeny, reason); }
inline Decision Allowed() { return Answered(Verdict::kAllow); }

class DiskLogTest : public testing::Test {
 protected:
  DiskLogTest() {
    std::string pattern = testing::TempDir() + "/sluice.XXXXXX";
    root_ = mkdtemp(pattern.data()) != nullptr ? pattern : "";
    EXPECT_FALSE(root_.empty());
    options_.folder = root_ + "/decisions";
    options_.node = "n1";
    options_.clock = &clock_;
    options_.sample = 1;
    options_.rings = 2;
    options_.ring_bytes = size_t{1} << 20;
    options_.retention_every = absl::ZeroDuration();
    options_.tell = [this](bool grave, const std::string& text) { told_.push_back(text); };
  }
  ~DiskLogTest() override {
    log_.reset();
    std::filesystem::remove_all(root_);
  }

  DecisionLog& Open() {
    log_.reset();
    auto log = DecisionLog::Open(options_);
    EXPECT_TRUE(log.ok()) << log.status();
    if (!log.ok()) abort();
    log_ = *std::move(log);
    return *log_;
  }
  void Close() { log_.reset(); }
  void Log(const CheckInput& input, const Decision& decision) { log_->OnDecision(input, decision, clock_.Now()); }

  // Until a look at what may be removed has been made that began after the call.
  void AwaitRetention() {
    const int64_t looks = log_->figures().retention_looks;
    while (log_->figures().retention_looks < looks + 2) EXPECT_TRUE(log_->Flush().ok());
  }

  // Ids of the requests that a query of the files finds.
  std::vector<std::string> Find(const std::function<void(v1::LogQuery*)>& fill, LogQueryCost* cost = nullptr) {
    v1::LogQuery query;
    fill(&query);
    std::vector<std::string> ids;
    LogCursor cursor;
    const absl::Status status = LogReader(options_.folder)
                                    .Query(
                                        query, &cursor,
                                        [&](const v1::DecisionRecord& record) {
                                          ids.push_back(record.request().request_id());
                                          return true;
                                        },
                                        cost);
    EXPECT_TRUE(status.ok()) << status;
    return ids;
  }
  std::vector<std::string> FindAll() {
    return Find([](v1::LogQuery*) {});
  }

  LogReport Verify(const absl::optional<ChainLink>& known = absl::nullopt) {
    auto report = VerifyLog(options_.folder, known);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *std::move(report) : LogReport();
  }

  std::vector<SegmentFile> Segments() {
    auto segments = ListSegments(options_.folder);
    EXPECT_TRUE(segments.ok()) << segments.status();
    return segments.ok() ? *std::move(segments) : std::vector<SegmentFile>();
  }

  static std::string ReadFile(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  static void WriteFile(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  std::string root_;
  SetClock clock_;
  DecisionLog::Options options_;
  std::unique_ptr<DecisionLog> log_;
  std::vector<std::string> told_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_DECISION_LOG_LOG_FIXTURE_H_
