#include "decision_log/decision_log.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "decision_log/log_reader.h"
#include "decision_log/segment_end.h"
#include "decision_log/segment_reader.h"

namespace sluice {
namespace {

// How often the rings are looked at. A ring of 4 MiB takes 200,000 records a second for three times as long.
constexpr absl::Duration kLook = absl::Milliseconds(20);
constexpr absl::Duration kRetry = absl::Seconds(1);
constexpr absl::Duration kSync = absl::Seconds(1);
// While no sync succeeds a segment is left for a new one so often at most, not with each.
constexpr absl::Duration kLeave = absl::Minutes(1);
constexpr int kRingsMax = 128;

int64_t TimeOf(absl::string_view record) {
  int64_t at_ns;
  std::memcpy(&at_ns, record.data() + offsetof(RecordNumbers, at_ns), sizeof(at_ns));
  return at_ns;
}

// Which ring a thread tries first, and how far it is from the plain allow that it keeps.
std::atomic<uint32_t> next_thread{0};
thread_local const uint32_t this_thread = next_thread.fetch_add(1, std::memory_order_relaxed);
thread_local int64_t plain_allows = 0;

// A record costs more than to shed does. Of what a thread sheds in a second so many are written, and the others
// counted.
constexpr int kOverloadsASecond = 100;
thread_local int64_t overload_second = 0;
thread_local int overloads = 0;

// Whether a block is in a file of a few hundred bytes; true too where that cannot be read.
bool HoldsBlock(const std::string& path) {
  const absl::StatusOr<std::shared_ptr<LogFile>> file = LogFile::OpenToRead(path);
  std::string bytes;
  if (!file.ok() || !(*file)->Read(0, kSegmentHeaderBytesMax, &bytes).ok()) return true;
  return FindBlockHeader(bytes, 0) != absl::string_view::npos;
}

bool KeepsOverload(Moment now) {
  const int64_t second = absl::ToUnixSeconds(now.wall);
  if (std::exchange(overload_second, second) != second) overloads = 0;
  return ++overloads <= kOverloadsASecond;
}

}  // namespace

DecisionLog::DecisionLog(Options options) : options_(std::move(options)) {
  int rings = options_.rings;
  if (rings <= 0) rings = static_cast<int>(std::thread::hardware_concurrency()) + 1;
  rings = std::clamp(rings, 1, kRingsMax);
  for (int i = 0; i < rings; ++i) rings_.push_back(std::make_unique<RecordRing>(options_.ring_bytes));
}

absl::StatusOr<std::unique_ptr<DecisionLog>> DecisionLog::Open(Options options) {
  std::unique_ptr<DecisionLog> log(new DecisionLog(std::move(options)));
  if (absl::Status status = log->Start(); !status.ok()) return status;
  return log;
}

absl::Status DecisionLog::Start() {
  if (absl::Status status = MakeLogFolder(options_.folder); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<LogFolderLock>> lock = LogFolderLock::Take(options_.folder);
  if (!lock.ok()) return lock.status();
  lock_ = *std::move(lock);
  const absl::StatusOr<LogPosition> position = Recover();
  if (!position.ok()) return position.status();
  writer_ = std::make_unique<SegmentWriter>(SegmentWriter::Options{.folder = options_.folder,
                                                                   .node = options_.node,
                                                                   .segment_bytes = options_.segment_bytes,
                                                                   .segment_lasts = options_.segment_lasts},
                                            *position);
  syncer_ = std::make_unique<FileSyncer>(options_.folder, kSync);
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

absl::StatusOr<LogPosition> DecisionLog::Recover() {
  const absl::StatusOr<std::vector<SegmentFile>> segments = ListSegments(options_.folder);
  if (!segments.ok()) return segments.status();
  for (size_t left = segments->size(); left > 0; --left) {
    const SegmentFile& file = (*segments)[left - 1];
    const absl::StatusOr<std::unique_ptr<SegmentReader>> segment = SegmentReader::Open(file.path);
    if (!segment.ok()) {
      if (!absl::IsDataLoss(segment.status())) return segment.status();
      // It died as it began: nothing was in it. Anything larger is not ours to throw away, nor what has a block.
      if (file.bytes > kSegmentHeaderBytesMax || HoldsBlock(file.path)) {
        return absl::DataLossError(
            absl::StrCat(segment.status().message(), "; move the file away to start without it"));
      }
      Tell(false, absl::StrCat(file.path, ": a segment without a whole header, of ", file.bytes, " bytes, is removed"));
      unlink(file.path.c_str());
      continue;
    }
    const SegmentEnd end = FindEnd(**segment);
    const LogPosition position{file.segment + 1, end.next_number, end.link};
    const uint64_t rest = (*segment)->file_bytes() - end.whole;
    switch (end.kind) {
      case SegmentEnd::Kind::kWhole:
        break;
      case SegmentEnd::Kind::kTorn:
        if (absl::Status status = CutFile(file.path, end.whole); !status.ok()) return status;
        Tell(false, absl::StrCat(file.path, ": its torn end of ", rest, " bytes, behind record ", end.last_number,
                                 ", is cut off"));
        found_note_ = absl::StrCat("torn segment=", file.segment, " bytes=", rest, " behind=", end.last_number);
        break;
      case SegmentEnd::Kind::kDamaged:
        Tell(true, absl::StrCat(file.path, ": damaged at byte ", end.whole, ", behind record ", end.last_number,
                                "; left as it is, and the log goes on with record ", end.next_number));
        found_note_ = absl::StrCat("damaged segment=", file.segment, " at=", end.whole, " behind=", end.last_number,
                                   " next=", end.next_number);
        break;
    }
    return position;
  }
  return LogPosition();
}

DecisionLog::~DecisionLog() {
  if (!thread_.joinable()) return;  // it never started
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

RecordRing* DecisionLog::ClaimRing() {
  const size_t count = rings_.size();
  for (size_t i = 0; i < count; ++i) {
    RecordRing* ring = rings_[(this_thread + i) % count].get();
    if (ring->Claim()) return ring;
  }
  return nullptr;
}

void DecisionLog::OnDecision(const CheckInput& input, const Decision& decision, Moment now) {
  const LogClass log_class = ClassOf(input, decision);
  if (log_class == LogClass::kSample) {
    if (options_.sample == 0 || ++plain_allows < options_.sample) return;
    plain_allows = 0;
  }
  if (log_class == LogClass::kOverload && !KeepsOverload(now)) return Drop(log_class);
  const RecordWriter writer(input, decision);
  RecordRing* const ring = ClaimRing();
  char* const room = ring == nullptr ? nullptr : ring->Reserve(writer.bytes(), log_class);
  if (room != nullptr) {
    writer.Write(now.wall, log_class, room);
    ring->Commit();
  }
  if (ring != nullptr) ring->Release();
  if (room == nullptr) Drop(log_class);
}

void DecisionLog::Drop(LogClass log_class) {
  // Relaxed: a count orders nothing.
  dropped_[static_cast<size_t>(log_class)].fetch_add(1, std::memory_order_relaxed);
}

absl::Status DecisionLog::Query(const v1::LogQuery& query, LogCursor* cursor,
                                const std::function<bool(const v1::DecisionRecord&)>& visit) const {
  Flush().IgnoreError();  // a disk that takes nothing more can still be read
  return LogReader(options_.folder).Query(query, cursor, visit);
}

absl::Status DecisionLog::Flush() const {
  absl::MutexLock lock(&mutex_);
  const int64_t wanted = ++flush_wanted_;
  const auto done = [this, wanted]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return flush_done_ >= wanted; };
  mutex_.Await(absl::Condition(&done));
  return flush_status_;
}

void DecisionLog::Run() {
  writer_->AddNote(absl::StrCat("started node=", options_.node));
  if (!found_note_.empty()) writer_->AddNote(found_note_);
  flush_due_ = retry_due_ = leave_due_ = absl::Now();
  retention_due_ = absl::Now() + std::min(options_.retention_every, absl::Seconds(1));
  while (Round(kLook)) {
    if (failing_ || absl::Now() < retention_due_) continue;
    Retain();
    retention_due_ = absl::Now() + options_.retention_every;
  }
  Report(writer_->Close(options_.clock->Now().wall));
  syncer_->Stop();
  LookAtSyncs(absl::Now());
}

bool DecisionLog::Round(absl::Duration wait) {
  bool stopping;
  int64_t wanted;
  bool flush;
  {
    absl::MutexLock lock(&mutex_);
    const auto asked = [this]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_ || flush_wanted_ > flush_done_; };
    const bool hurry =
        std::any_of(rings_.begin(), rings_.end(), [](const auto& ring) { return ring->Fills(); }) && !failing_;
    mutex_.AwaitWithTimeout(absl::Condition(&asked), hurry ? absl::ZeroDuration() : wait);
    stopping = stopping_;
    wanted = flush_wanted_;
    flush = stopping || wanted > flush_done_;
  }
  const absl::Status status = Turn(flush);
  if (flush) {
    absl::MutexLock lock(&mutex_);
    flush_done_ = wanted;
    flush_status_ = status;
  }
  return !stopping;
}

// One look at the rings, and what follows from it. What the disk refuses waits in the writer, and the rings fill.
absl::Status DecisionLog::Turn(bool flush) {
  const absl::Time machine = absl::Now();
  const absl::Time now = options_.clock->Now().wall;
  absl::Status status;
  LookAtSyncs(machine);
  if (failing_) {
    if (!flush && machine < retry_due_) return absl::OkStatus();
    retry_due_ = machine + kRetry;
    status = writer_->WriteOut(now);
    if (!status.ok()) {
      Report(status);
      return status;
    }
  }
  Drain();
  if (flush || machine >= flush_due_) {
    NoteDrops();
    writer_->CloseBlock();
    flush_due_ = machine + options_.flush_every;
  }
  status = writer_->WriteOut(now);
  Report(status);
  return status;
}

void DecisionLog::Drain() {
  const auto earlier = [](absl::string_view a, absl::string_view b) { return TimeOf(a) < TimeOf(b); };
  batch_.clear();
  for (const auto& ring : rings_) {
    const auto before = static_cast<std::ptrdiff_t>(batch_.size());
    ring->Peek([this](absl::string_view record) { batch_.push_back(record); });
    // Each ring is in order already, or nearly where threads share it.
    const auto from = batch_.begin() + before;
    if (!std::is_sorted(from, batch_.end(), earlier)) std::stable_sort(from, batch_.end(), earlier);
    std::inplace_merge(batch_.begin(), from, batch_.end(), earlier);
  }
  for (const absl::string_view record : batch_) writer_->Add(record);
  for (const auto& ring : rings_) ring->Pop();
}

void DecisionLog::NoteDrops() {
  std::string note;
  for (int i = kLogClassCount - 1; i >= 0; --i) {
    const int64_t dropped = dropped_[i].load(std::memory_order_relaxed);
    if (dropped == dropped_noted_[i]) continue;
    absl::StrAppend(&note, " ", Name(static_cast<LogClass>(i)), "=", dropped - dropped_noted_[i]);
    dropped_noted_[i] = dropped;
  }
  if (!note.empty()) writer_->AddNote(absl::StrCat("dropped", note));
}

void DecisionLog::Retain() {
  absl::StatusOr<RetentionLook> look =
      RetentionLook::Begin(options_.folder, options_.retention, options_.clock->Now().wall, writer_->open_segment());
  if (!look.ok()) {
    Report(look.status());
    return;
  }
  const auto held = [this](RetentionLook::GoOn go_on) {
    return options_.held ? options_.held(go_on) : std::vector<uint64_t>();
  };
  const auto go_on = [this] { return Round(absl::ZeroDuration()) && !failing_; };
  while (const absl::optional<Removal> removal = look->Next(held, go_on)) {
    // The note first: a segment that is gone without one would look stolen.
    writer_->AddNote(FormatRemoval(*removal));
    const absl::Status written = writer_->WriteOut(options_.clock->Now().wall);
    Report(written);
    if (!written.ok()) break;
    unlink(removal->path.c_str());
    absl::MutexLock lock(&figures_mutex_);
    ++figures_.removed_segments;
    figures_.removed_for_size += removal->why == "size";
  }
  if (std::exchange(held_unknown_, look->held_unknown()) != held_unknown_) {
    Tell(false, held_unknown_ ? "nothing is removed from the decision log while there is no policy to say what is held"
                              : "there is a policy: what it does not hold may go from the decision log in its time");
  }
  const absl::StatusOr<std::vector<SegmentFile>> segments = ListSegments(options_.folder);
  absl::MutexLock lock(&figures_mutex_);
  ++figures_.retention_looks;
  if (!held_unknown_) figures_.held_segments = look->held_segments();
  if (!segments.ok()) return;
  figures_.segments = static_cast<int64_t>(segments->size());
  figures_.folder_bytes = 0;
  for (const SegmentFile& segment : *segments) figures_.folder_bytes += segment.bytes;
  figures_.oldest_ns = 0;
  if (segments->empty()) return;
  const auto oldest = SegmentReader::Open(segments->front().path);
  if (oldest.ok()) figures_.oldest_ns = (*oldest)->header().created_ns;
}

// What a sync did not make last may be gone from the kernel's memory too: nothing is lost that anybody knows of, and
// nothing more is trusted to that file.
void DecisionLog::LookAtSyncs(absl::Time machine) {
  const FileSyncer::Result synced = syncer_->Take();
  const std::shared_ptr<LogFile> file = writer_->file();
  const auto note = [this](const LogFile& lost) {
    writer_->AddNote(absl::StrCat("unsynced segment=", std::filesystem::path(lost.path()).stem().string()));
  };
  for (const std::shared_ptr<LogFile>& lost : synced.lost) {
    if (lost != file) note(*lost);
  }
  if (file != nullptr && file->lost() && machine >= leave_due_) {
    leave_due_ = machine + kLeave;
    writer_->LeaveSegment();
    note(*file);
  }
  if (synced.status.ok() == syncs_fail_) {
    syncs_fail_ = !synced.status.ok();
    Tell(syncs_fail_, syncs_fail_
                          ? absl::StrCat("the decision log may not outlast a loss of power: ", synced.status.message())
                          : "the decision log is synced again");
  }
  absl::MutexLock lock(&figures_mutex_);
  figures_.failing = failing_ || syncs_fail_;
  figures_.write_failures += synced.failures;
}

void DecisionLog::Report(const absl::Status& status) {
  if (const int64_t bytes = writer_->bytes_written(); bytes != synced_bytes_) {
    synced_bytes_ = bytes;
    // The one before has had its last bytes since.
    std::shared_ptr<LogFile> file = writer_->file();
    if (last_file_ != nullptr) syncer_->Add(last_file_);
    if (file != nullptr && file != last_file_) syncer_->Add(file);
    last_file_ = std::move(file);
  }
  if (status.ok() == failing_) {
    failing_ = !status.ok();
    Tell(failing_, failing_ ? absl::StrCat("the decision log cannot be written: ", status.message())
                            : "the decision log is written again");
  }
  absl::MutexLock lock(&figures_mutex_);
  figures_.failing = failing_ || syncs_fail_;
  figures_.write_failures += status.ok() ? 0 : 1;
  figures_.written = writer_->records_written();
  figures_.bytes_written = writer_->bytes_written();
}

void DecisionLog::Tell(bool grave, const std::string& text) const {
  if (options_.tell) options_.tell(grave, text);
}

DecisionLog::Figures DecisionLog::figures() const {
  Figures figures;
  {
    absl::MutexLock lock(&figures_mutex_);
    figures = figures_;
  }
  for (int i = 0; i < kLogClassCount; ++i) figures.dropped[i] = dropped_[i].load(std::memory_order_relaxed);
  return figures;
}

int64_t DecisionLog::dropped() const {
  int64_t dropped = 0;
  for (const std::atomic<int64_t>& each : dropped_) dropped += each.load(std::memory_order_relaxed);
  return dropped;
}

}  // namespace sluice
