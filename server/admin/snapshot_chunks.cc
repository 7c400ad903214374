#include "server/admin/snapshot_chunks.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/translate.h"

namespace sluice {
namespace {

// Fills one chunk after another and sends each when it is full.
class ChunkSender {
 public:
  ChunkSender(const PolicyWriter::Snapshot& snapshot, size_t bytes_max,
              const std::function<bool(const v1::ExportChunk&)>& send)
      : snapshot_(snapshot), bytes_max_(bytes_max), send_(send) {
    Begin();
  }

  // Takes one record of the list that `add` appends to.
  template <typename Record, typename Fill>
  bool Add(Record* (v1::ExportChunk::*add)(), const Fill& fill) {
    if (stopped_) return false;
    Record* record = (chunk_.*add)();
    fill(record);
    bytes_ += record->ByteSizeLong() + 8;  // tag and length
    if (bytes_ >= bytes_max_) Flush();
    return !stopped_;
  }

  bool Finish() {
    if (stopped_) return false;
    chunk_.set_last(true);
    Flush();
    return !stopped_;
  }

 private:
  void Begin() {
    chunk_.Clear();
    chunk_.set_revision(snapshot_.revision);
    ToProto(snapshot_.policy_time, chunk_.mutable_policy_time());
    bytes_ = 0;
  }
  void Flush() {
    if (!send_(chunk_)) stopped_ = true;
    Begin();
  }

  const PolicyWriter::Snapshot& snapshot_;
  const size_t bytes_max_;
  const std::function<bool(const v1::ExportChunk&)>& send_;
  v1::ExportChunk chunk_;
  size_t bytes_ = 0;
  bool stopped_ = false;
};

}  // namespace

bool SendChunks(const PolicyWriter::Snapshot& snapshot, size_t bytes_max,
                const std::function<bool(const v1::ExportChunk&)>& send) {
  ChunkSender sender(snapshot, bytes_max, send);
  for (const StampedEvent& event : snapshot.events) {
    if (!sender.Add(&v1::ExportChunk::add_events, [&](v1::PolicyEvent* to) { ToProto(event, to); })) return false;
  }
  for (const Store::SeenEvent& seen : snapshot.seen) {
    if (!sender.Add(&v1::ExportChunk::add_seen, [&](v1::SeenEvent* to) {
          to->set_source(seen.source);
          to->set_event_id(seen.event_id);
          to->set_revision(seen.revision);
        })) {
      return false;
    }
  }
  for (const Store::Sequence& sequence : snapshot.sequences) {
    if (!sender.Add(&v1::ExportChunk::add_sequences, [&](v1::AccountSequence* to) {
          to->set_account(sequence.account);
          to->set_source(sequence.source);
          to->set_sequence(sequence.sequence);
        })) {
      return false;
    }
  }
  for (const Announcement& announcement : snapshot.announcements) {
    if (!sender.Add(&v1::ExportChunk::add_announcements, [&](v1::Announcement* to) { ToProto(announcement, to); })) {
      return false;
    }
  }
  return sender.Finish();
}

absl::Status SnapshotReader::Add(const v1::ExportChunk& chunk) {
  if (any_ && chunk.revision() != snapshot_.revision) {
    return absl::InvalidArgumentError(
        absl::StrCat("revision: wanted ", snapshot_.revision, " as in the chunks before, got ", chunk.revision()));
  }
  if (last_) return absl::InvalidArgumentError("wanted nothing behind the last chunk, got another chunk");
  any_ = true;
  last_ = chunk.last();
  snapshot_.revision = chunk.revision();
  snapshot_.policy_time = FromProto(chunk.policy_time());
  for (const v1::PolicyEvent& event : chunk.events()) snapshot_.events.push_back(StampedFromProto(event));
  for (const v1::SeenEvent& seen : chunk.seen()) {
    snapshot_.seen.push_back({seen.source(), seen.event_id(), seen.revision()});
  }
  for (const v1::AccountSequence& sequence : chunk.sequences()) {
    snapshot_.sequences.push_back({sequence.account(), sequence.source(), sequence.sequence()});
  }
  for (const v1::Announcement& announcement : chunk.announcements()) {
    snapshot_.announcements.push_back(FromProto(announcement));
  }
  return absl::OkStatus();
}

absl::StatusOr<PolicyWriter::Snapshot> SnapshotReader::Finish() && {
  if (!any_) return absl::InvalidArgumentError("wanted an export of at least one chunk, got none");
  if (!last_)
    return absl::InvalidArgumentError("the export is cut short: wanted its last chunk, got the end of the stream");
  return std::move(snapshot_);
}

}  // namespace sluice
