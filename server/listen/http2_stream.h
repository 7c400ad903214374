// One stream of an HTTP/2 connection, and the table of those that are open. For http2_session.h.
#ifndef SLUICE_SERVER_LISTEN_HTTP2_STREAM_H_
#define SLUICE_SERVER_LISTEN_HTTP2_STREAM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "server/listen/http2_headers.h"
#include "server/listen/router.h"

namespace sluice::http2 {

inline constexpr int64_t kNoDeadline = std::numeric_limits<int64_t>::max();

struct Stream {
  // What each text of a stream that is over keeps at most: memory of a giant is not kept for the small ones that
  // follow.
  static constexpr size_t kKeptBytesMax = 512;

  uint32_t id = 0;
  // Exactly one is set, or neither, where a plain HTTP path is unknown.
  const GrpcRoute* grpc = nullptr;
  HttpHandler* http = nullptr;

  // Of the caller.
  int64_t receive_window = 0;
  int64_t content_length = -1;  // as announced; -1 = not
  int64_t received = 0;         // bytes of DATA, without padding
  int64_t deadline_ns = kNoDeadline;
  int64_t opened_ns = 0;
  int64_t part_since_ns = 0;  // of a call of many messages: since then the front of `body` is to become one
  bool remote_closed = false;
  std::string body;  // what came and is not dealt with yet
  std::string trace_parent;
  std::unique_ptr<RequestHead> head;  // of a plain HTTP request whose body is awaited

  // Of the answer.
  int64_t send_window = 0;
  bool headers_sent = false;
  std::string unsent;  // DATA that the peer's windows do not let through yet
  size_t unsent_at = 0;
  int64_t taken_ns = 0;      // when the peer last let some of it through, or it began to wait
  bool ending = false;       // once `unsent` is out
  bool ends_bare = false;    // without trailers: plain HTTP
  bool awaits_turn = false;  // what is in `body` is answered in turns, the next of which is to come
  absl::Status end_status;   // for the trailers

  // A watch: what was asked, and what was said last.
  bool watching = false;
  std::string question, last_answer;

  size_t counted_bytes = 0;  // of texts_bytes(), in the count of the session
  size_t texts_bytes() const;

  size_t unsent_bytes() const { return unsent.size() - unsent_at; }
  void Reset();
};

// Streams by number. A caller counts its streams up, so that those that are open lie close together: each has its place
// in a ring by its number, and only one whose place is taken goes into a hash table. Those that are over are kept for
// the next ones, for their memory.
class StreamTable {
 public:
  // Null where it is not open.
  Stream* Find(uint32_t id) {
    Stream* const near = ring_[PlaceOf(id)].get();
    if (near != nullptr && near->id == id) return near;
    return others_.empty() ? nullptr : FindAmongOthers(id);
  }
  // REQUIRES: not there.
  Stream* Add(uint32_t id);
  void Remove(Stream* stream);
  size_t size() const { return size_; }
  // Memory of all streams, without the texts of those that are open.
  size_t bytes() const { return size_ * sizeof(Stream) + spares_.size() * (sizeof(Stream) + kSpareTextsBytesMax); }
  // Those that are over are not kept any longer.
  void DropSpares() { spares_.clear(); }

  // Of all that are open, in no order. `use` must not add or remove any.
  template <typename Use>
  void ForEach(const Use& use) const {
    for (const auto& stream : ring_) {
      if (stream != nullptr) use(stream.get());
    }
    for (const auto& [id, stream] : others_) use(stream.get());
  }
  // Their numbers, ascending: for whoever adds or removes on the way.
  std::vector<uint32_t> Ids() const;

 private:
  static constexpr size_t kRing = 128;  // a kilobyte a connection
  static constexpr size_t kSparesMax = 32;
  static constexpr size_t kSpareTextsBytesMax = 4 * Stream::kKeptBytesMax;
  static size_t PlaceOf(uint32_t id) { return id / 2 % kRing; }
  Stream* FindAmongOthers(uint32_t id);

  std::array<std::unique_ptr<Stream>, kRing> ring_;
  absl::flat_hash_map<uint32_t, std::unique_ptr<Stream>> others_;
  std::vector<std::unique_ptr<Stream>> spares_;
  size_t size_ = 0;
};

}  // namespace sluice::http2

#endif  // SLUICE_SERVER_LISTEN_HTTP2_STREAM_H_
