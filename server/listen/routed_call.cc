#include <utility>

#include "absl/strings/str_cat.h"
#include "server/listen/check_calls.h"
#include "server/listen/grpc_status.h"

namespace sluice::internal {

RoutedCall::RoutedCall(Lane* lane, Owner* owner) : lane_(lane), owner_(owner) {
  context_.AsyncNotifyWhenDone(&caller_left_);
  lane_->others->RequestCall(&context_, &stream_, lane_->queue.get(), lane_->queue.get(), &accepted_);
}

void RoutedCall::OnAccepted(bool ok) {
  if (!ok) {  // the server shuts down; then nobody leaves
    owner_->OnOver(this);
    return;
  }
  owner_->OnAccepted();
  route_ = lane_->router->FindGrpc(context_.method());
  if (route_ == nullptr) {
    End(absl::UnimplementedError(absl::StrCat("no method ", context_.method(), " is served here")));
  }
  Pump();
}

void RoutedCall::OnRead(bool ok) {
  reading_ = false;
  if (ok) {
    if (!read_all_) AnswerMessage();
  } else if (!asked_ && route_->flow != GrpcRoute::Flow::kStream) {
    End(absl::InternalError("wanted one message"));
  } else {
    read_all_ = true;
  }
  Pump();
}

void RoutedCall::AnswerMessage() {
  asked_ = true;
  grpc::Slice slice;
  const absl::StatusOr<absl::string_view> bytes = InOnePiece(request_bytes_, &slice);
  request_bytes_.Clear();
  if (!bytes.ok()) return End(bytes.status());
  if (route_->flow == GrpcRoute::Flow::kWatch) {
    question_ = std::string(*bytes);
    watching_ = true;
    return TellWatcher();
  }
  absl::Status status = route_->method->Call(*bytes, ContextOf(context_), &scratch_);
  if (status.ok()) {
    const grpc::Slice answer(scratch_);
    answers_.emplace_back(&answer, 1);
  }
  Empty(&scratch_);
  if (!status.ok()) return End(std::move(status));  // the answers before this one still go out
  if (route_->flow == GrpcRoute::Flow::kUnary) read_all_ = true;
}

void RoutedCall::OnWatchedChanged() {
  if (!watching_) return;
  TellWatcher();
  Pump();
}

void RoutedCall::TellWatcher() {
  if (lane_->draining) return End(absl::UnavailableError("draining"));
  if (answers_.size() >= kAnswersWaitingMax) return;
  std::string text;
  absl::Status status = route_->method->Call(question_, ContextOf(context_), &text);
  if (!status.ok()) return End(std::move(status));
  if (last_answer_ == text) return;
  const grpc::Slice answer(text);
  answers_.emplace_back(&answer, 1);
  last_answer_ = std::move(text);
}

void RoutedCall::End(absl::Status status) {
  status_ = WithTrace(std::move(status), ContextOf(context_).trace_parent);
  read_all_ = true;
  watching_ = false;
}

void RoutedCall::OnWritten(bool ok) {
  writing_ = false;
  answers_.pop_front();
  if (!ok) {  // the caller is gone
    answers_.clear();
    read_all_ = true;
    watching_ = false;
  }
  Pump();
}

void RoutedCall::OnFinished(bool ok) {
  over_ = true;
  Pump();
}

void RoutedCall::OnCallerLeft(bool ok) {
  caller_done_ = true;
  if (context_.IsCancelled()) {
    while (answers_.size() > (writing_ ? 1 : 0)) answers_.pop_back();
    read_all_ = true;
    watching_ = false;
  }
  Pump();
}

void RoutedCall::Pump() {
  if (finishing_) {
    // Else once more, with the last of the events that are on their way.
    if (over_ && caller_done_ && !reading_) owner_->OnOver(this);
    return;
  }
  if (!writing_ && !answers_.empty()) {
    writing_ = true;
    grpc::WriteOptions options;
    if (answers_.size() > 1) options.set_buffer_hint();
    stream_.Write(answers_.front(), options, &written_);
  }
  if (!reading_ && !read_all_ && !watching_ && answers_.size() < kAnswersWaitingMax) {
    reading_ = true;
    stream_.Read(&request_bytes_, &read_);
  }
  if (read_all_ && !watching_ && !writing_ && answers_.empty()) {
    finishing_ = true;
    stream_.Finish(ToGrpc(status_), &finished_);
  }
}

}  // namespace sluice::internal
