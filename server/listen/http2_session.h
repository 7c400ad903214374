// A connection that speaks HTTP/2 (RFC 9113), and gRPC on it: the frame loop, the streams, flow control both ways.
//
// Frames are read where they lie and answers written behind one another, so that whatever came in one read is answered
// in one write. A unary call whose message came in one DATA frame is answered without a copy of it. Priorities are
// ignored; nothing is pushed; compression is refused.
#ifndef SLUICE_SERVER_LISTEN_HTTP2_SESSION_H_
#define SLUICE_SERVER_LISTEN_HTTP2_SESSION_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/listen/hpack_writer.h"
#include "server/listen/http2_frame.h"
#include "server/listen/http2_headers.h"
#include "server/listen/http2_stream.h"
#include "server/listen/router.h"
#include "server/listen/session.h"
#include "server/listen/unary_method.h"

namespace sluice::http2 {

class Http2Session final : public Session, private Asker {
 public:
  // Both must outlive the session.
  Http2Session(const Router* router, const SessionLimits* limits, MonotonicTime now);
  ~Http2Session() override;

  WireProtocol protocol() const override { return WireProtocol::kHttp2; }
  void OnWaited(absl::Duration waited, MonotonicTime now) override;
  size_t Receive(absl::Span<char> bytes, MonotonicTime now) override;
  void Tick(MonotonicTime now) override;
  void OnWatchedChanged() override;
  bool has_more() const override { return !turns_.empty() && !finished_; }
  void GoOn(MonotonicTime now) override;
  void Drain(MonotonicTime now) override;
  bool awaits_answers() const override { return !asked_.empty(); }
  bool has_deadlines() const override { return deadlines_ > 0; }
  size_t held_bytes() const override;
  void Rest() override;

 private:
  static constexpr uint32_t kStreamWindow = 1 << 20;
  static constexpr int64_t kConnectionWindow = 8 << 20;
  // A request that did not come in one piece awaits its turn above this: a few bytes may make a thousand of them whole.
  // Those below come to a megabyte.
  static constexpr size_t kAtOnceMax = 1024;

  enum class DrainStep : uint8_t { kNone, kAnnounced, kLast };

  // ---- Frames in: http2_session.cc. A fault of the connection ends it: Fail().
  void OnFrame(const FrameHeader& frame, absl::string_view payload);
  void OnData(const FrameHeader& frame, absl::string_view payload);
  void OnHeaders(const FrameHeader& frame, absl::string_view payload);
  void OnContinuation(const FrameHeader& frame, absl::string_view payload);
  void OnPriority(const FrameHeader& frame, absl::string_view payload);
  void OnRstStream(const FrameHeader& frame, absl::string_view payload);
  void OnSettings(const FrameHeader& frame, absl::string_view payload);
  bool OnSetting(uint16_t id, uint32_t value);
  void OnPing(const FrameHeader& frame, absl::string_view payload);
  void OnWindowUpdate(const FrameHeader& frame, absl::string_view payload);
  void OnGoAway(const FrameHeader& frame, absl::string_view payload);
  void OnHeaderBlock(uint32_t id, bool end_stream, absl::string_view block);
  // Takes the padding off. False where there is more of it than payload, which ended the connection.
  bool Unpad(const FrameHeader& frame, absl::string_view* payload);

  // GOAWAY, and the end.
  void End(ErrorCode code, absl::string_view what);
  // The same, counted as what the code stands for, or as `error`.
  void Fail(ErrorCode code, absl::string_view what);
  void Fail(ErrorCode code, absl::string_view what, WireError error);
  // Looks at every stream: ends those whose time is over.
  void TickStreams(MonotonicTime now);
  // Whether the peer lets a stream wait for longer than it may, at `now`.
  bool IsOverdue(const Stream& stream, MonotonicTime now) const;
  // RST_STREAM, counted likewise; `stream` may be null where it is not open.
  void ResetStream(uint32_t id, Stream* stream, ErrorCode code);
  void ResetStream(uint32_t id, Stream* stream, ErrorCode code, WireError error);
  // The second GOAWAY: what has come in by now is served, nothing else.
  void EndDrain();
  // Frames that cost their sender nothing and bring nobody forward: too many of them end the connection.
  void OnNuisance(int weight);

  // ---- Requests: http2_calls.cc. Each may end the stream, which is gone then.
  void OnRequest(uint32_t id, bool end_stream, const RequestHead& head);
  void OnGrpcRequest(Stream* stream, bool end_stream, const RequestHead& head);
  void OnHttpRequest(Stream* stream, bool end_stream, const RequestHead& head);
  void OnHttpBody(Stream* stream, absl::string_view data, bool end_stream);
  void OnBody(Stream* stream, absl::string_view data, bool end_stream);
  void OnUnaryBody(Stream* stream, absl::string_view data, bool end_stream);
  // Answers whatever messages of a stream are whole, while the peer takes the answers, and not too many at once.
  void PumpStream(Stream* stream, absl::string_view data);
  // What `stream` has in its body is answered in a turn of GoOn.
  void AwaitTurn(Stream* stream);
  void OnWatchBody(Stream* stream);
  // Keeps a unary call until AnswerAsked, or until it is answered with those of others; its message lies in what
  // Receive was given or in the stream's body.
  void Ask(Stream* stream, absl::string_view message);
  // Answers the calls that were kept, whose streams are gone then. Called before anything else is sent or looks at
  // them, so that what goes out is the same however it came in.
  void AnswerAsked() {
    if (!asked_.empty()) AnswerThoseAsked();
  }
  void AnswerThoseAsked();
  absl::Span<const AskedCall> BeginAnswering() override;
  void EndAnswering() override;
  std::string* BeginAnswer(size_t call) override;
  bool EndAnswer(size_t call, absl::Status status) override;
  // An answer of `size` bytes that was written to `out_` behind room for its frames.
  void EndInPlace(Stream* stream, size_t size);
  void AnswerHttp(Stream* stream, const RequestHead& head, absl::string_view body);
  void RefuseHttp(Stream* stream, int status);
  void SendHttpResponse(Stream* stream, bool with_body);
  // Keeps `data` for later. False where the connection, or all together, hold too much already: then the call is over,
  // and the stream may be gone.
  bool Buffer(Stream* stream, absl::string_view data);
  // Refuses a call for whose request there is no room. The stream may be gone when this returns.
  void RefuseForRoom(Stream* stream);
  void DropBody(Stream* stream);
  // The texts of `stream` have changed.
  void Recount(Stream* stream);
  void TellWatcher(Stream* stream);
  // The message at the front of `bytes`, and how much of `bytes` it takes; 0 = it is not whole. Not OK: refuse the
  // call.
  absl::Status TakeMessage(absl::string_view bytes, absl::string_view* message, size_t* taken);

  // ---- Answers: http2_answers.cc.
  void SendGrpcHeaders(Stream* stream);
  // DATA now, as far as the windows let it through, the rest later. False where the stream is gone when this returns.
  bool SendData(Stream* stream, absl::string_view data);
  // Ends a call, once its DATA is out. The stream may be gone when this returns.
  void FinishGrpc(Stream* stream, absl::Status status);
  void Flush(Stream* stream);
  void FlushAll();
  // Flush, and then whatever waited for it. The stream may be gone when this returns.
  void Resume(Stream* stream);
  void SendTrailers(Stream* stream);
  // A header block between BeginBlock and EndBlock is written straight into `out_`, behind room for its frame's header.
  size_t BeginBlock();
  void EndBlock(size_t began, uint32_t id, bool end_stream);
  void AppendDataFrame(uint32_t id, absl::string_view data, bool end_stream);
  // The answer is complete: lets the stream go, cutting off what the caller may still want to send.
  void CloseAnswered(Stream* stream);
  void Close(Stream* stream);
  void ReplenishConnection();
  void ReplenishStream(Stream* stream);

  const Router* const router_;
  const SessionLimits* const limits_;
  HeaderReader header_reader_;
  HpackWriter hpack_;
  StreamTable streams_;
  int64_t now_ns_ = 0;

  bool preface_seen_ = false;
  bool settings_seen_ = false;
  uint32_t last_stream_ = 0;                 // the highest that the caller has opened
  uint32_t promised_stream_ = kStreamIdMax;  // the last GOAWAY: nothing above it is served
  // Streams that ended here before the caller had ended them: what is still on its way is no fault.
  std::array<uint32_t, 64> cut_{};
  size_t cut_next_ = 0;

  // A header block that goes on in CONTINUATION frames.
  uint32_t block_stream_ = 0;  // 0 = none
  bool block_ends_stream_ = false;
  bool block_depends_on_itself_ = false;
  int block_frames_ = 0;
  std::string block_;

  // SETTINGS_MAX_CONCURRENT_STREAMS as last told, and when. More are served all the same, up to the limit: what a peer
  // had sent before it knew is no fault.
  uint32_t streams_told_;
  int64_t told_ns_ = 0;

  int64_t receive_window_ = 0;  // of the connection
  int64_t send_window_ = kDefaultWindow;
  int64_t peer_initial_window_ = kDefaultWindow;
  uint32_t peer_frame_bytes_max_ = kFrameBytesMax;
  size_t buffered_ = 0;     // bodies and unsent answers of all streams
  size_t texts_bytes_ = 0;  // memory of the texts of all streams

  // The route of the last gRPC request, good for header blocks of that generation.
  uint64_t route_generation_ = 0;
  const GrpcRoute* route_ = nullptr;

  int nuisance_ = 0;
  int64_t nuisance_since_ns_ = 0;
  int deadlines_ = 0;    // streams that have one
  int64_t look_ns_ = 0;  // when Tick is to look at the streams again
  int watchers_ = 0;
  int long_calls_ = 0;           // that are counted as streams: they go on for longer than one question
  int blocked_ = 0;              // streams with unsent DATA
  std::vector<uint32_t> turns_;  // streams that await theirs, first come first
  int64_t last_received_ns_;
  int64_t last_request_ns_;
  int64_t partial_since_ns_ = 0;  // a frame or a header block is not whole since then; 0 = none is
  int64_t ping_sent_ns_ = 0;      // 0 = none is out
  int64_t drain_since_ns_ = 0;
  DrainStep drain_ = DrainStep::kNone;

  // Unary calls of one method that are whole and wait for more of what came in the same read, or in those of other
  // sessions; and those that are being
  // answered.
  static constexpr size_t kAskedMax = 16;
  std::vector<AskedCall> asked_, answering_;
  std::vector<Stream*> asked_streams_, answering_streams_;
  // The answer that is being made: where it began in `out_`, or else it is in `answers_`.
  size_t answer_began_ = 0;
  bool answer_in_place_ = false;

  // Scratch memory.
  std::string answers_;
  HttpResponse response_;
  std::vector<HttpHeader> headers_;
};

}  // namespace sluice::http2

#endif  // SLUICE_SERVER_LISTEN_HTTP2_SESSION_H_
