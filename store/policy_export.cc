#include "store/policy_export.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "enforcement/names.h"
#include "enforcement/parameters.h"
#include "proto/translate.h"
#include "store/entity_of.h"

namespace sluice {
namespace {

// Fills one chunk after another and sends each when it is full.
class ChunkSender {
 public:
  ChunkSender(const StoreReader& state, size_t bytes_max, const std::function<bool(const v1::ExportChunk&)>& send)
      : state_(state), bytes_max_(bytes_max), send_(send) {
    Begin();
  }

  // Takes one record of the list that `add` appends to. False where no more is wanted.
  template <typename Record, typename Fill>
  bool Add(Record* (v1::ExportChunk::*add)(), const Fill& fill) {
    Record* record = (chunk_.*add)();
    fill(record);
    bytes_ += record->ByteSizeLong() + 8;  // tag and length
    if (bytes_ >= bytes_max_) Flush();
    return !stopped_;
  }
  void Finish() {
    chunk_.set_last(true);
    Flush();
  }
  bool stopped() const { return stopped_; }

 private:
  void Begin() {
    chunk_.Clear();
    chunk_.set_revision(state_.revision());
    ToProto(state_.policy_time(), chunk_.mutable_policy_time());
    ToProto(state_.fed_at(), chunk_.mutable_fed_at());
    bytes_ = 0;
  }
  void Flush() {
    if (!send_(chunk_)) stopped_ = true;
    Begin();
  }

  const StoreReader& state_;
  const size_t bytes_max_;
  const std::function<bool(const v1::ExportChunk&)>& send_;
  v1::ExportChunk chunk_;
  size_t bytes_ = 0;
  bool stopped_ = false;
};

absl::Status NoExport(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("this is no export: ", what));
}

// Whether the subjects of `change` are ones that Reduce could have left.
absl::Status CheckSubjects(const Change& change) {
  return std::visit(
      [](const auto& each) -> absl::Status {
        if constexpr (requires { each.subject; }) {
          if constexpr (std::is_same_v<std::decay_t<decltype(each)>, SetLimit>) {
            if (each.subject.empty()) return absl::OkStatus();  // the default of its scope
          }
          return CanonicalSubject(each.subject).status();
        } else if constexpr (requires { each.subjects; }) {
          for (const Subject& subject : each.subjects) {
            if (absl::Status status = CanonicalSubject(subject).status(); !status.ok()) return status;
          }
        }
        return absl::OkStatus();
      },
      change);
}

// What the index relies on. The rest of the form was checked by the node that accepted the event.
absl::Status CheckRetained(const StampedEvent& stamped, int64_t revision, const Pack& pack) {
  const Change& change = stamped.event.change;
  const auto refuse = [&](const auto&... what) {
    return NoExport(absl::StrCat("event ", stamped.revision, " (", ChangeName(change.index()), "): ", what...));
  };
  if (!EntityOf(change)) return refuse("want a change that an export keeps");
  if (stamped.revision < 1 || stamped.revision > revision) {
    return refuse("revision: want 1 to ", revision, ", that of the snapshot, got ", stamped.revision);
  }
  if (!stamped.event.effective_at) return refuse("effective_at: want a time, got none");
  if (absl::Status status = CheckSubjects(change); !status.ok()) return refuse(status.message());
  if (const auto* set = std::get_if<SetParameter>(&change)) {
    const Parameter* parameter = pack.FindParameter(set->name);
    if (parameter == nullptr) return refuse("name: want a parameter that the pack has, got \"", set->name, "\"");
    if (absl::Status status = CheckParameterValue(*parameter, set->value); !status.ok())
      return refuse(status.message());
  } else if (const auto* terms = std::get_if<AnnounceTerms>(&change)) {
    if (!terms->effective) return refuse("effective: want a time, got none");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SendExport(const StoreReader& state, size_t bytes_max,
                        const std::function<bool(const v1::ExportChunk&)>& send) {
  ChunkSender sender(state, bytes_max, send);
  const auto add_event = [&sender](const StampedEvent& event) {
    return sender.Add(&v1::ExportChunk::add_events, [&](v1::PolicyEvent* to) { ToProto(event, to); });
  };
  absl::Status status = state.ForEachEntity(
      [&](const Entity& entity) { return std::all_of(entity.events.begin(), entity.events.end(), add_event); });
  if (status.ok() && !sender.stopped()) {
    status = state.ForEachSeen([&](const StoreReader::SeenEvent& seen) {
      return sender.Add(&v1::ExportChunk::add_seen, [&](v1::SeenEvent* to) {
        to->set_source(seen.source);
        to->set_event_id(seen.event_id);
        to->set_revision(seen.revision);
      });
    });
  }
  if (status.ok() && !sender.stopped()) {
    status = state.ForEachSequence([&](const StoreReader::Sequence& sequence) {
      return sender.Add(&v1::ExportChunk::add_sequences, [&](v1::AccountSequence* to) {
        to->set_account(sequence.account);
        to->set_source(sequence.source);
        to->set_sequence(sequence.sequence);
      });
    });
  }
  if (status.ok() && !sender.stopped()) {
    status = state.ForEachAnnouncement(0, [&](const Announcement& announcement) {
      return sender.Add(&v1::ExportChunk::add_announcements, [&](v1::Announcement* to) { ToProto(announcement, to); });
    });
  }
  if (status.ok() && !sender.stopped()) sender.Finish();
  if (status.ok() && sender.stopped()) return absl::CancelledError("the export was broken off");
  return status;
}

absl::Status ExportLoader::Add(const v1::ExportChunk& chunk) {
  if (last_) return NoExport("want nothing behind the last chunk, got another chunk");
  if (any_ && chunk.revision() != revision_) {
    return NoExport(absl::StrCat("revision: want ", revision_, " as in the chunks before, got ", chunk.revision()));
  }
  if (chunk.revision() < 0) return NoExport(absl::StrCat("revision: want 0 or more, got ", chunk.revision()));
  any_ = true;
  last_ = chunk.last();
  revision_ = chunk.revision();
  policy_time_ = FromProto(chunk.policy_time());
  fed_at_ = chunk.has_fed_at() ? FromProto(chunk.fed_at()) : policy_time_;
  if (fed_at_ > policy_time_) return NoExport("fed_at: want a time no later than policy_time, got a later one");
  for (const v1::PolicyEvent& event : chunk.events()) {
    if (absl::Status status = AddEvent(StampedFromProto(event)); !status.ok()) return status;
  }
  for (const v1::SeenEvent& seen : chunk.seen()) {
    absl::Status status = transaction_.MarkSeen({seen.source(), seen.event_id(), seen.revision()});
    if (!status.ok()) return status;
  }
  for (const v1::AccountSequence& sequence : chunk.sequences()) {
    absl::Status status = transaction_.SetSequence({sequence.account(), sequence.source(), sequence.sequence()});
    if (!status.ok()) return status;
  }
  for (const v1::Announcement& announcement : chunk.announcements()) {
    if (absl::Status status = AddAnnouncement(FromProto(announcement)); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ExportLoader::Finish() {
  if (!any_) return NoExport("want at least one chunk, got none");
  if (!last_) return NoExport("it is cut short: want its last chunk, got the end of the stream");
  if (absl::Status status = PutEntity(); !status.ok()) return status;
  return transaction_.SetRevision(revision_, policy_time_, fed_at_);
}

absl::Status ExportLoader::AddEvent(const StampedEvent& stamped) {
  if (absl::Status status = CheckRetained(stamped, revision_, pack_); !status.ok()) return status;
  EntityKey key = *EntityOf(stamped.event.change);
  if (!(key == entity_.key)) {
    if (absl::Status status = PutEntity(); !status.ok()) return status;
    entity_.key = std::move(key);
  }
  entity_.events.push_back(stamped);
  ++events_;
  return absl::OkStatus();
}

absl::Status ExportLoader::AddAnnouncement(const Announcement& announcement) {
  const int64_t least = std::max<int64_t>(announced_, 1);
  if (announcement.revision < least || announcement.revision > revision_) {
    return NoExport(
        absl::StrCat("announcement: revision: want ", least, " to ", revision_, ", got ", announcement.revision));
  }
  announced_ = announcement.revision;
  return transaction_.AppendAnnouncement(announcement);
}

absl::Status ExportLoader::PutEntity() {
  if (entity_.events.empty()) return absl::OkStatus();
  absl::Status status = transaction_.PutNew(entity_);
  if (absl::IsAlreadyExists(status)) {
    return NoExport(absl::StrCat(
        "event ", entity_.events.front().revision, " (", ChangeName(entity_.events.front().event.change.index()),
        "): want the events of one entity together, got some apart, or the same export twice"));
  }
  entity_.events.clear();
  return status;
}

}  // namespace sluice
