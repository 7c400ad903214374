#include "server/doors/check_door.h"

#include <google/protobuf/util/json_util.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "enforcement/trace_context.h"
#include "proto/translate.h"
#include "server/doors/render.h"
#include "sluice/v1/check.pb.h"

namespace sluice {
namespace {

absl::Status ReadJson(absl::string_view body, google::protobuf::Message* message) {
  const auto status =
      google::protobuf::util::JsonStringToMessage(google::protobuf::StringPiece(body.data(), body.size()), message);
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("body: wanted the JSON of a ", message->GetTypeName(), ", got: ",
                                                 absl::string_view(status.message().data(), status.message().size())));
}

void WriteJson(const google::protobuf::Message& message, HttpResponse* response) {
  // Fails only where a message lacks what proto3 cannot lack.
  if (!google::protobuf::util::MessageToJsonString(message, &response->body).ok()) {
    response->status = 500;
    return;
  }
  AddHeader(response, "Content-Type", "application/json");
  AddHeader(response, "Cache-Control", "no-store");
}

}  // namespace

void CheckDoor::Check(const HttpRequest& request, HttpResponse* response) {
  v1::CheckRequest message;
  if (const absl::Status status = ReadJson(request.body, &message); !status.ok()) {
    checker_->OnUnreadable();
    RenderUnmapped(status, request.trace_parent(), response);
    return;
  }
  CheckInput input;
  FromProto(message, &input);
  input.door = Door::kHttp;
  input.trace_parent = request.trace_parent();
  Decision decision;
  if (const absl::Status status = checker_->Check(&input, &decision); !status.ok()) {
    RenderUnmapped(status, request.trace_parent(), response);
    return;
  }
  v1::CheckResponse answer;
  ToProto(decision, input.request_id, &answer, input.detail, TraceIdOf(input.trace_parent));
  WriteJson(answer, response);
}

void CheckDoor::Report(const HttpRequest& request, HttpResponse* response) {
  v1::ReportRequest message;
  v1::ReportResponse answer;
  absl::Status status = ReadJson(request.body, &message);
  if (status.ok()) {
    std::vector<UsageInput> usages;
    for (const v1::Usage& usage : message.usages()) usages.push_back(FromProto(usage));
    status = checker_->Report(message.report_id(), usages);
  }
  if (!status.ok()) {
    RenderUnmapped(status, request.trace_parent(), response);
    return;
  }
  answer.set_accepted(message.usages_size());
  WriteJson(answer, response);
}

}  // namespace sluice
