// What is asked on a stream: gRPC calls and plain HTTP requests.
#include <algorithm>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "server/listen/grpc_status.h"
#include "server/listen/http2_session.h"

namespace sluice::http2 {
namespace {

constexpr size_t kMessagePrefixBytes = 5;  // a byte that says whether it is compressed, four of length
// Answers of a stream that its caller does not take: above this nothing more of it is read.
constexpr size_t kUnsentMax = size_t{64} << 10;
// What is to be sent on a connection: above this nothing more of its streams is read, until it is sent.
constexpr size_t kSaidMax = size_t{256} << 10;
// Questions of a stream that are answered in one go: above this the rest waits for another turn. About a thousand
// checks.
constexpr size_t kTurnBytes = size_t{64} << 10;
// A watch keeps what it was asked for as long as its connection lives, and nothing cuts it. A service has a name of
// some twenty bytes.
constexpr size_t kWatchQuestionMax = 1024;
// An answer that is written in place: a frame of header fields, then one of DATA.
constexpr size_t kInPlaceHeadBytes = kFrameHeaderBytes + HpackWriter::kSettledHead.size();
constexpr size_t kInPlaceDataAt = kInPlaceHeadBytes + kFrameHeaderBytes;

// A text or vector and its memory, which an assignment would keep.
template <typename T>
void GiveBack(T* each) {
  T().swap(*each);
}

// The prefix of the message that was appended to `*out` behind room for it.
void WritePrefix(size_t began, std::string* out) {
  WriteUint32(static_cast<uint32_t>(out->size() - began - kMessagePrefixBytes), &(*out)[began + 1]);
}

// Answers to messages of one stream, one behind the other until one fails, which ends the stream.
class StreamAnswers final : public AnswerSink {
 public:
  explicit StreamAnswers(std::string* out) : out_(*out) {}
  std::string* BeginAnswer(size_t) override {
    began_ = out_.size();
    out_.append(kMessagePrefixBytes, '\0');
    return &out_;
  }
  bool EndAnswer(size_t, absl::Status status) override {
    if (status.ok()) {
      WritePrefix(began_, &out_);
      return true;
    }
    out_.resize(began_);
    status_ = std::move(status);
    return false;
  }
  const absl::Status& status() const { return status_; }

 private:
  std::string& out_;
  size_t began_ = 0;
  absl::Status status_;
};

}  // namespace

void Http2Session::OnRequest(uint32_t id, bool end_stream, const RequestHead& head) {
  Stream* const stream = streams_.Add(id);
  stream->receive_window = kStreamWindow;
  stream->send_window = peer_initial_window_;
  stream->opened_ns = now_ns_;
  stream->remote_closed = end_stream;
  stream->content_length = head.content_length;
  if (!head.trace_parent.empty()) stream->trace_parent = head.trace_parent;
  if (head.too_large) {
    Count(WireError::kHeaders);
    AnswerAsked();
    if (!head.is_grpc) return RefuseHttp(stream, 431);
    return FinishGrpc(stream,
                      absl::ResourceExhaustedError(absl::StrCat("header fields: at most ", limits_->header_bytes_max,
                                                                " bytes and ", limits_->header_fields_max, " fields")));
  }
  if (!head.IsRequest() || (end_stream && head.content_length > 0)) {
    return ResetStream(id, stream, ErrorCode::kProtocolError, WireError::kHeaders);
  }
  if (head.is_grpc) {
    OnGrpcRequest(stream, end_stream, head);
  } else {
    AnswerAsked();
    OnHttpRequest(stream, end_stream, head);
  }
}

void Http2Session::OnGrpcRequest(Stream* stream, bool end_stream, const RequestHead& head) {
  if (route_generation_ != header_reader_.generation()) {
    route_generation_ = header_reader_.generation();
    route_ = router_->FindGrpc(head.path);
  }
  if (head.method != "POST") return FinishGrpc(stream, absl::InternalError("gRPC wants the method POST"));
  if (route_ == nullptr) {
    return FinishGrpc(stream, absl::UnimplementedError(absl::StrCat("no method ", head.path, " is served here")));
  }
  if (head.is_compressed) {
    return FinishGrpc(stream, absl::UnimplementedError("grpc-encoding: wanted identity, messages as they are"));
  }
  stream->grpc = route_;
  if (route_->flow != GrpcRoute::Flow::kUnary) {
    ++long_calls_;
    if (counts_ != nullptr) counts_->OnStreamOpened();
  }
  if (!head.grpc_timeout.empty()) {
    const absl::optional<absl::Duration> timeout = ParseGrpcTimeout(head.grpc_timeout);
    if (!timeout) {
      return FinishGrpc(stream, absl::InternalError(absl::StrCat(
                                    "grpc-timeout: wanted up to 8 digits and one of H, M, S, m, u, n; got '",
                                    head.grpc_timeout, "'")));
    }
    // Days from now is never for a call.
    stream->deadline_ns = now_ns_ + absl::ToInt64Nanoseconds(std::min(*timeout, absl::Hours(24 * 365)));
    look_ns_ = std::min(look_ns_, stream->deadline_ns);
    ++deadlines_;
  }
  if (end_stream) OnBody(stream, {}, /*end_stream=*/true);
}

void Http2Session::OnBody(Stream* stream, absl::string_view data, bool end_stream) {
  const bool asks = stream->grpc != nullptr && stream->grpc->flow == GrpcRoute::Flow::kUnary && end_stream;
  if (!asks) AnswerAsked();
  if (stream->grpc == nullptr) return OnHttpBody(stream, data, end_stream);
  if (stream->ending) return;
  switch (stream->grpc->flow) {
    case GrpcRoute::Flow::kUnary:
      return OnUnaryBody(stream, data, end_stream);
    case GrpcRoute::Flow::kStream:
      return PumpStream(stream, data);
    case GrpcRoute::Flow::kWatch:
      if (stream->watching) return;
      if (Buffer(stream, data)) OnWatchBody(stream);
      return;
  }
}

bool Http2Session::Buffer(Stream* stream, absl::string_view data) {
  if (buffered_ + data.size() > limits_->buffered_bytes_max) {
    ResetStream(stream->id, stream, ErrorCode::kEnhanceYourCalm, WireError::kTooLarge);
    return false;
  }
  if (!MayGrow(stream->body, data.size())) {
    RefuseForRoom(stream);
    return false;
  }
  buffered_ += data.size();
  stream->body.append(data.data(), data.size());
  Recount(stream);
  return true;
}

size_t Http2Session::held_bytes() const {
  constexpr size_t kAskedBytes = sizeof(AskedCall) + sizeof(void*);  // with the pointer to its stream
  return texts_bytes_ + streams_.bytes() + header_reader_.held_bytes() + out_.capacity() + block_.capacity() +
         answers_.capacity() + response_.body.capacity() + turns_.capacity() * sizeof(uint32_t) +
         headers_.capacity() * sizeof(HttpHeader) + (asked_.capacity() + answering_.capacity()) * kAskedBytes;
}

void Http2Session::Rest() {
  streams_.DropSpares();
  header_reader_.Rest();
  if (block_stream_ == 0) GiveBack(&block_);
  GiveBack(&answers_);
  GiveBack(&response_.body);
  GiveBack(&headers_);
  if (turns_.empty()) GiveBack(&turns_);
  GiveBack(&asked_);
  GiveBack(&answering_);
  GiveBack(&asked_streams_);
  GiveBack(&answering_streams_);
}

void Http2Session::Recount(Stream* stream) {
  texts_bytes_ -= stream->counted_bytes;
  stream->counted_bytes = stream->texts_bytes();
  texts_bytes_ += stream->counted_bytes;
}

void Http2Session::RefuseForRoom(Stream* stream) {
  AnswerAsked();
  Count(WireError::kNoRoom);
  DropBody(stream);
  if (stream->grpc == nullptr) return RefuseHttp(stream, 503);
  FinishGrpc(stream, absl::ResourceExhaustedError(
                         "no room for this message: the node holds as much of unfinished requests as it may"));
}

void Http2Session::DropBody(Stream* stream) {
  buffered_ -= stream->body.size();
  std::string().swap(stream->body);
  Recount(stream);
}

absl::Status Http2Session::TakeMessage(absl::string_view bytes, absl::string_view* message, size_t* taken) {
  *taken = 0;
  if (bytes.size() < kMessagePrefixBytes) return absl::OkStatus();
  if (bytes[0] != 0) return absl::InternalError("a compressed message in a call without grpc-encoding");
  const size_t size = ReadUint32(bytes.data() + 1);
  if (size > limits_->message_bytes_max) {
    Count(WireError::kTooLarge);
    return absl::ResourceExhaustedError(
        absl::StrCat("message: at most ", limits_->message_bytes_max, " bytes, got ", size));
  }
  if (bytes.size() - kMessagePrefixBytes < size) return absl::OkStatus();
  *message = bytes.substr(kMessagePrefixBytes, size);
  *taken = kMessagePrefixBytes + size;
  return absl::OkStatus();
}

void Http2Session::OnUnaryBody(Stream* stream, absl::string_view data, bool end_stream) {
  const bool in_one_piece = end_stream && stream->body.empty();
  if (!in_one_piece) {
    if (!Buffer(stream, data)) return;
    data = stream->body;
  }
  absl::string_view message;
  size_t taken = 0;
  if (absl::Status status = TakeMessage(data, &message, &taken); !status.ok()) {
    return FinishGrpc(stream, std::move(status));
  }
  if (taken > 0 && data.size() > taken) {
    return FinishGrpc(stream, absl::InternalError("wanted one message, got more behind it"));
  }
  if (!end_stream) return ReplenishStream(stream);
  if (taken == 0) {
    return FinishGrpc(
        stream, absl::InternalError(absl::StrCat("wanted one message, got ", data.size(), " bytes that are none")));
  }
  if (!in_one_piece && data.size() > kAtOnceMax) return AwaitTurn(stream);
  Ask(stream, message);
}

void Http2Session::Ask(Stream* stream, absl::string_view message) {
  if (stream->deadline_ns <= now_ns_) {
    return FinishGrpc(stream, absl::DeadlineExceededError("the caller's deadline has passed"));
  }
  if (!asked_.empty() && asked_streams_.front()->grpc->method != stream->grpc->method) AnswerAsked();
  asked_.push_back({message, {stream->trace_parent}});
  asked_streams_.push_back(stream);
  if (asked_.size() == kAskedMax) AnswerAsked();
}

void Http2Session::AnswerThoseAsked() {
  UnaryMethod* const method = asked_streams_.front()->grpc->method;
  method->CallTogether(BeginAnswering(), this);
  EndAnswering();
}

absl::Span<const AskedCall> Http2Session::BeginAnswering() {
  // Empty from here on: what ends a stream on the way may end the connection, which looks here first.
  answering_.swap(asked_);
  answering_streams_.swap(asked_streams_);
  return answering_;
}

void Http2Session::EndAnswering() {
  answering_.clear();
  answering_streams_.clear();
}

std::string* Http2Session::BeginAnswer(size_t call) {
  answer_in_place_ = hpack_.settled() && !finished_;
  if (!answer_in_place_) {
    answers_.assign(kMessagePrefixBytes, '\0');
    return &answers_;
  }
  answer_began_ = out_.size();
  out_.append(kInPlaceDataAt + kMessagePrefixBytes, '\0');
  return &out_;
}

bool Http2Session::EndAnswer(size_t call, absl::Status status) {
  if (finished_) return true;  // by a fault of one before
  Stream* const stream = answering_streams_[call];
  if (answer_in_place_) {
    const size_t size = out_.size() - answer_began_ - kInPlaceDataAt;
    const int64_t room = std::min({send_window_, stream->send_window, int64_t{peer_frame_bytes_max_}});
    const bool slow = out_.size() + buffered_ > limits_->buffered_bytes_max;
    if (status.ok() && !slow && static_cast<int64_t>(size) <= room) {
      EndInPlace(stream, size);
      return true;
    }
    // Nothing of this was sent, and the peer's table is as it was.
    answers_.assign(out_, answer_began_ + kInPlaceDataAt);
    out_.resize(answer_began_);
  }
  if (status.ok()) {
    WritePrefix(0, &answers_);
    SendGrpcHeaders(stream);
    if (!SendData(stream, answers_)) return true;
  }
  FinishGrpc(stream, std::move(status));
  return true;
}

void Http2Session::EndInPlace(Stream* stream, size_t size) {
  send_window_ -= static_cast<int64_t>(size);
  char* const head = &out_[answer_began_];
  WriteFrameHeader(
      {HpackWriter::kSettledHead.size(), static_cast<uint8_t>(FrameType::kHeaders), kEndHeaders, stream->id}, head);
  HpackWriter::kSettledHead.copy(head + kFrameHeaderBytes, HpackWriter::kSettledHead.size());
  WriteFrameHeader({static_cast<uint32_t>(size), static_cast<uint8_t>(FrameType::kData), 0, stream->id},
                   head + kInPlaceHeadBytes);
  WritePrefix(answer_began_ + kInPlaceDataAt, &out_);
  AppendFrameHeader(HpackWriter::kSettledTail.size(), FrameType::kHeaders, kEndHeaders | kEndStream, stream->id, &out_);
  out_.append(HpackWriter::kSettledTail.data(), HpackWriter::kSettledTail.size());
  CloseAnswered(stream);
}

void Http2Session::PumpStream(Stream* stream, absl::string_view data) {
  const bool from_body = !stream->body.empty();
  if (from_body || stream->awaits_turn) {
    if (!Buffer(stream, data) || stream->awaits_turn) return;
    data = stream->body;
  }
  absl::Status status;
  answers_.clear();
  size_t at = 0;
  // Whether messages may be left that only the peer's slowness, or their number, keeps from being answered.
  bool paused = false;
  absl::InlinedVector<AskedCall, kAskedMax> asked;
  while (status.ok()) {
    paused = stream->unsent_bytes() + answers_.size() > kUnsentMax || out_.size() + answers_.size() > kSaidMax ||
             at >= kTurnBytes;
    asked.clear();
    while (!paused && asked.size() < kAskedMax) {
      absl::string_view message;
      size_t taken = 0;
      status = TakeMessage(data.substr(at), &message, &taken);
      if (taken == 0) break;
      at += taken;
      asked.push_back({message, {stream->trace_parent}});
    }
    if (asked.empty()) break;
    StreamAnswers answers(&answers_);
    stream->grpc->method->CallTogether(asked, &answers);
    if (!answers.status().ok()) status = answers.status();  // of a message before the one that is none
  }
  const bool all_read = at == data.size();
  if (at > 0 || !from_body) stream->part_since_ns = now_ns_;
  if (from_body) {
    buffered_ -= at;
    stream->body.erase(0, at);
  } else if (!all_read && !Buffer(stream, data.substr(at))) {
    return;
  }
  if (!answers_.empty()) {
    SendGrpcHeaders(stream);
    if (!SendData(stream, answers_)) return;
  }
  if (!status.ok()) return FinishGrpc(stream, std::move(status));
  if (paused) {
    // Else Resume goes on, when the peer has taken what is waiting.
    if (stream->unsent_bytes() == 0) AwaitTurn(stream);
    return;
  }
  if (!stream->remote_closed) return ReplenishStream(stream);
  FinishGrpc(stream, all_read ? absl::OkStatus() : absl::InternalError("the last message is not whole"));
}

void Http2Session::AwaitTurn(Stream* stream) {
  if (!std::exchange(stream->awaits_turn, true)) turns_.push_back(stream->id);
}

void Http2Session::GoOn(MonotonicTime now) {
  now_ns_ = now.ns;
  Stream* const stream = streams_.Find(turns_.front());
  turns_.erase(turns_.begin());
  stream->awaits_turn = false;
  if (stream->grpc == nullptr) return AnswerHttp(stream, *stream->head, stream->body);
  if (stream->grpc->flow == GrpcRoute::Flow::kUnary) {
    Ask(stream, absl::string_view(stream->body).substr(kMessagePrefixBytes));
    return AnswerAsked();
  }
  stream->part_since_ns = now_ns_;  // it could not send the rest of a message while those before it waited
  PumpStream(stream, {});
}

void Http2Session::OnWatchBody(Stream* stream) {
  absl::string_view message;
  size_t taken = 0;
  absl::Status status = TakeMessage(stream->body, &message, &taken);
  if (!status.ok()) return FinishGrpc(stream, std::move(status));
  if (taken == 0) {
    if (stream->remote_closed) FinishGrpc(stream, absl::InternalError("wanted one message"));
    return;
  }
  if (message.size() > kWatchQuestionMax) {
    Count(WireError::kTooLarge);
    return FinishGrpc(stream, absl::ResourceExhaustedError(absl::StrCat("message: at most ", kWatchQuestionMax,
                                                                        " bytes of a watch, got ", message.size())));
  }
  stream->question.assign(message.data(), message.size());
  DropBody(stream);
  stream->watching = true;
  ++watchers_;
  SendGrpcHeaders(stream);
  TellWatcher(stream);
}

void Http2Session::TellWatcher(Stream* stream) {
  if (stream->ending || stream->unsent_bytes() > kUnsentMax) return;
  answers_.assign(kMessagePrefixBytes, '\0');
  absl::Status status = stream->grpc->method->Call(stream->question, {stream->trace_parent}, &answers_);
  if (!status.ok()) return FinishGrpc(stream, std::move(status));
  WritePrefix(0, &answers_);
  if (answers_ == stream->last_answer) return;
  stream->last_answer = answers_;
  Recount(stream);
  SendData(stream, answers_);
}

}  // namespace sluice::http2
