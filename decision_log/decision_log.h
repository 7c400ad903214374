// The decision log of a node: what 3.1.7 and 6 want kept of who asked for what, when, and what was answered and why.
//
// A check's thread writes a record into a bounded ring and goes on: no lock, no system call, no allocation. A thread of
// the log empties the rings some fifty times a second, puts the records in order of time into blocks, and the blocks
// into segments on disk (segment_format.h). Where rings are full, or the disk is, records are dropped and counted by
// class, denials last; the chain keeps a note of how many. No decision ever waits for the log.
//
// After a crash of the process what was in the rings and in the open block is lost: at most `flush_every` and a few
// milliseconds; after one of the machine a second more. A torn end of the newest segment is cut off at the next start,
// and said. A damaged one is left as it is, and the log goes on behind it.
#ifndef SLUICE_DECISION_LOG_DECISION_LOG_H_
#define SLUICE_DECISION_LOG_DECISION_LOG_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "decision_log/decision_source.h"
#include "decision_log/file_syncer.h"
#include "decision_log/log_folder.h"
#include "decision_log/record_ring.h"
#include "decision_log/retention.h"
#include "decision_log/segment_writer.h"
#include "enforcement/clock.h"
#include "enforcement/engine.h"

namespace sluice {

class DecisionLog final : public DecisionObserver, public DecisionSource {
 public:
  struct Options {
    std::string folder;  // made where it is missing
    std::string node;    // whose decisions these are
    const Clock* clock = nullptr;
    int64_t sample = 100;                 // of plain allows one in so many is kept; 1 = all, 0 = none
    int rings = 0;                        // 0 = one a core and one more
    size_t ring_bytes = size_t{4} << 20;  // of each; a power of two
    uint64_t segment_bytes = uint64_t{64} << 20;
    absl::Duration segment_lasts = absl::Hours(24);
    absl::Duration flush_every = absl::Seconds(1);  // how old a record is at most before it is written
    RetentionRule retention;
    absl::Duration retention_every = absl::Minutes(10);
    // Terms of what is under a legal hold (legal_hold.h); nullopt while that is not known, and then nothing is removed.
    // Called on the log's thread, which has to empty the rings: what takes longer than some milliseconds calls `go_on`
    // meanwhile, and gives up, with nullopt, where that is false. May be empty: nothing is held.
    std::function<absl::optional<std::vector<uint64_t>>(RetentionLook::GoOn go_on)> held;
    // Told of what an operator should know: that the disk refuses, that it takes again, what a start found torn or
    // damaged. `grave` where records are being lost. On the log's thread, or inside Open. May be empty.
    std::function<void(bool grave, const std::string& text)> tell;
  };

  // Finds where the log ended, cuts off what a crash left torn, and starts the thread. FAILED_PRECONDITION where
  // another process writes this log, UNAVAILABLE where the folder cannot be used. A full disk is no error here.
  static absl::StatusOr<std::unique_ptr<DecisionLog>> Open(Options options);
  // Writes out what there is, as far as the disk takes it, and closes the segment.
  ~DecisionLog() override;

  // Thread-safe; never blocks, never allocates. Of what a thread answers OVERLOADED a hundred are kept each second.
  void OnDecision(const CheckInput& input, const Decision& decision, Moment now) override;

  // Flushes first, so that it answers of every decision made before the call.
  absl::Status Query(const v1::LogQuery& query, LogCursor* cursor,
                     const std::function<bool(const v1::DecisionRecord&)>& visit) const override;

  // Blocks until what was decided before the call is in the file, or the disk has refused it: then that error.
  absl::Status Flush() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Since the start, but for what is said to be of the folder.
  struct Figures {
    std::array<int64_t, kLogClassCount> written{}, dropped{};
    int64_t bytes_written = 0;
    int64_t write_failures = 0;  // syncs among them
    bool failing = false;        // the disk refused the last write, or the last sync
    uint64_t folder_bytes = 0;   // of all segments, as of the last look at them
    int64_t segments = 0;
    int64_t held_segments = 0;  // due for removal, and kept for a legal hold
    int64_t removed_segments = 0;
    int64_t removed_for_size = 0;  // of those; the others for their age
    int64_t retention_looks = 0;   // at what may be removed, to their end
    int64_t oldest_ns = 0;         // when the oldest segment was begun; Unix time, 0 = none
  };
  Figures figures() const ABSL_LOCKS_EXCLUDED(figures_mutex_);
  int64_t dropped() const;  // of all classes

 private:
  explicit DecisionLog(Options options);
  absl::Status Start() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<LogPosition> Recover();
  RecordRing* ClaimRing();
  void Drop(LogClass log_class);

  // The log's thread. Members without a guard are its own.
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits up to `wait` for something to do, and does it: empties the rings, writes, answers Flush. False once the log
  // is to stop. Whatever else the thread does calls it every few milliseconds.
  bool Round(absl::Duration wait) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Turn(bool flush);
  void Drain();
  void NoteDrops();
  void Retain() ABSL_LOCKS_EXCLUDED(figures_mutex_);
  void LookAtSyncs(absl::Time machine) ABSL_LOCKS_EXCLUDED(figures_mutex_);
  void Report(const absl::Status& status) ABSL_LOCKS_EXCLUDED(figures_mutex_);
  void Tell(bool grave, const std::string& text) const;

  const Options options_;
  std::vector<std::unique_ptr<RecordRing>> rings_;
  std::array<std::atomic<int64_t>, kLogClassCount> dropped_{};

  std::unique_ptr<LogFolderLock> lock_;
  std::string found_note_;  // what the start found at the end of the log; "" = nothing
  std::unique_ptr<FileSyncer> syncer_;
  std::unique_ptr<SegmentWriter> writer_;
  std::shared_ptr<LogFile> last_file_;
  int64_t synced_bytes_ = 0;
  std::vector<absl::string_view> batch_;
  std::array<int64_t, kLogClassCount> dropped_noted_{};
  // Of the machine's clock: how often things are done, not what is written.
  absl::Time flush_due_, retention_due_, retry_due_, leave_due_;
  bool failing_ = false;
  bool syncs_fail_ = false;
  bool held_unknown_ = false;  // what is due stays for want of a policy, and that was told

  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  mutable int64_t flush_wanted_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t flush_done_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status flush_status_ ABSL_GUARDED_BY(mutex_);

  mutable absl::Mutex figures_mutex_;
  Figures figures_ ABSL_GUARDED_BY(figures_mutex_);

  std::thread thread_;  // last: it uses the others
};

}  // namespace sluice

#endif  // SLUICE_DECISION_LOG_DECISION_LOG_H_
