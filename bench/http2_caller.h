// Unary gRPC calls as bare HTTP/2 frames. The frames of each call are made beforehand; sending one is a copy and two
// stream numbers. The first header block of a connection puts every field into the peer's table, later ones are
// references, as a gRPC library sends them.
#ifndef SLUICE_BENCH_HTTP2_CALLER_H_
#define SLUICE_BENCH_HTTP2_CALLER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/caller.h"
#include "server/listen/http2_frame.h"

struct nghttp2_hd_inflater;

namespace sluice::bench {

// Calls to one method, ready to be sent. Shared by the connections that send them.
class Http2Calls {
 public:
  // `timeout`: of grpc-timeout, "" = none. It is a literal in each block, as it is where a library sends it. `shed`: is
  // asked of each answer first; empty = none may be.
  Http2Calls(absl::string_view path, absl::string_view timeout, const std::vector<std::string>& messages,
             AnswerCheck check, ShedCheck shed = nullptr);

  size_t size() const { return calls_.size(); }
  // Appends call `call`, from the start again after the last one, as stream `id`. `first`: of its connection.
  void Append(size_t call, uint32_t id, bool first, std::string* out) const;
  size_t message_bytes(size_t call) const { return calls_[call % calls_.size()].data_bytes; }
  bool IsShed(absl::string_view answer) const { return shed_ != nullptr && shed_(answer); }
  std::string WhatIsWrong(size_t call, absl::string_view answer) const { return check_(call % calls_.size(), answer); }

 private:
  struct Prepared {
    std::string frames;                // HEADERS, DATA
    std::vector<uint32_t> streams_at;  // where in `frames` a stream's number goes
    size_t data_bytes = 0;
  };
  std::string first_headers_;  // a frame
  size_t headers_bytes_ = 0;   // of the HEADERS frame in `frames`
  std::vector<Prepared> calls_;
  const AnswerCheck check_;
  const ShedCheck shed_;
};

// What a header block of an answer says.
class AnswerHeaders {
 public:
  AnswerHeaders();
  ~AnswerHeaders();
  AnswerHeaders(const AnswerHeaders&) = delete;
  AnswerHeaders& operator=(const AnswerHeaders&) = delete;

  struct Said {
    std::string http_status, grpc_status, grpc_message;  // "" = nothing
  };
  // Null where the block is no HPACK. A block of references alone says the same until the table changes, so it is not
  // read again.
  const Said* Read(absl::string_view block);

 private:
  struct Known {
    std::string block;
    Said said;
  };
  nghttp2_hd_inflater* inflater_ = nullptr;
  std::vector<Known> known_;
  Said said_;
};

class Http2Caller final : public Caller {
 public:
  explicit Http2Caller(std::shared_ptr<const Http2Calls> calls) : calls_(std::move(calls)), open_(kOpenMax) {}

  void Greet(std::string* out) override;
  bool MayCall() const override;
  void Call(size_t call, uint32_t slot, std::string* out) override;
  size_t Receive(absl::string_view bytes, std::string* out, std::vector<Answer>* answers) override;

 private:
  static constexpr size_t kOpenMax = 2048;

  struct Stream {
    bool open = false;
    uint32_t id = 0, slot = 0;
    size_t call = 0;
    bool answered = false;  // its one message came
    bool shed = false;      // and said that the server is overloaded
    std::string partial;    // of a message that did not come in one frame
    std::string wrong;
  };
  Stream& At(uint32_t id) { return open_[id / 2 % kOpenMax]; }
  // Null where that stream is not open.
  Stream* Find(uint32_t id);

  void OnFrame(const http2::FrameHeader& frame, absl::string_view payload, std::string* out,
               std::vector<Answer>* answers);
  void OnData(Stream* stream, absl::string_view payload);
  void OnHeaders(Stream* stream, absl::string_view block);
  void OnSettings(const http2::FrameHeader& frame, absl::string_view payload, std::string* out);
  void Close(Stream* stream, std::vector<Answer>* answers);

  const std::shared_ptr<const Http2Calls> calls_;
  std::vector<Stream> open_;
  AnswerHeaders headers_;
  std::string block_;  // of HEADERS that CONTINUATION goes on with
  uint32_t next_id_ = 1;
  size_t under_way_ = 0;
  size_t streams_max_ = kOpenMax / 2;
  int64_t send_window_ = http2::kDefaultWindow;
  int64_t stream_window_ = http2::kDefaultWindow;
  int64_t receive_window_ = 0;
};

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_HTTP2_CALLER_H_
