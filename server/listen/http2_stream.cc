#include "server/listen/http2_stream.h"

#include <algorithm>

namespace sluice::http2 {
namespace {

void Empty(std::string* text) {
  if (text->capacity() > Stream::kKeptBytesMax) {
    std::string().swap(*text);
  } else {
    text->clear();
  }
}

}  // namespace

size_t Stream::texts_bytes() const {
  return body.capacity() + unsent.capacity() + question.capacity() + last_answer.capacity() +
         (head != nullptr ? head->bytes() : 0);
}

void Stream::Reset() {
  grpc = nullptr;
  http = nullptr;
  content_length = -1;
  received = 0;
  deadline_ns = kNoDeadline;
  remote_closed = headers_sent = ending = ends_bare = awaits_turn = watching = false;
  Empty(&body);
  Empty(&unsent);
  Empty(&question);
  Empty(&last_answer);
  trace_parent.clear();
  head.reset();
  unsent_at = 0;
  counted_bytes = 0;
  end_status = absl::OkStatus();
}

Stream* StreamTable::Add(uint32_t id) {
  std::unique_ptr<Stream> stream;
  if (spares_.empty()) {
    stream = std::make_unique<Stream>();
  } else {
    stream = std::move(spares_.back());
    spares_.pop_back();
  }
  stream->id = id;
  ++size_;
  std::unique_ptr<Stream>& place = ring_[PlaceOf(id)];
  if (place != nullptr) return (others_[id] = std::move(stream)).get();
  place = std::move(stream);
  return place.get();
}

Stream* StreamTable::FindAmongOthers(uint32_t id) {
  const auto found = others_.find(id);
  return found == others_.end() ? nullptr : found->second.get();
}

void StreamTable::Remove(Stream* stream) {
  --size_;
  std::unique_ptr<Stream> removed = std::move(ring_[PlaceOf(stream->id)]);
  if (removed.get() != stream) {
    ring_[PlaceOf(stream->id)] = std::move(removed);
    const auto found = others_.find(stream->id);
    removed = std::move(found->second);
    others_.erase(found);
  }
  if (spares_.size() >= kSparesMax) return;
  removed->Reset();
  spares_.push_back(std::move(removed));
}

std::vector<uint32_t> StreamTable::Ids() const {
  std::vector<uint32_t> ids;
  ids.reserve(size_);
  ForEach([&](const Stream* stream) { ids.push_back(stream->id); });
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace sluice::http2
