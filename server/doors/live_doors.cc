#include "server/doors/live_doors.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "enforcement/names.h"
#include "server/doors/json_fields.h"
#include "server/doors/url.h"
#include "server/listen/grpc_status.h"

namespace sluice {
namespace {

constexpr int kRefused = 403;

// One stream, as its server tells of it. Views.
struct Stream {
  Operation operation = Operation::kUnspecified;
  absl::string_view app, name, url, client_ip;
};

// The host of "rtmp://host:port/app"; empty for an address, which no domain is bound to.
absl::string_view HostOf(absl::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == absl::string_view::npos) return {};
  url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find_first_of("/?"));
  const absl::string_view address = ForwardedAddress(url, 1);
  return ParseAddress(address) || url == "localhost" || absl::StartsWith(url, "localhost:") ? absl::string_view() : url;
}

absl::Status Judge(const DoorOptions& options, const Stream& stream, Door door, absl::string_view trace_parent,
                   Checker* checker, Decision* decision) {
  if (stream.app.empty() || stream.name.empty()) {
    checker->OnUnreadable();
    return absl::InvalidArgumentError("stream: wanted an application and a name, got none");
  }
  CheckInput input;
  input.operation = stream.operation;
  input.bucket = stream.app;
  input.key = stream.name;
  input.host = stream.operation == Operation::kStreamPlay ? HostOf(stream.url) : absl::string_view();
  input.client_ip = stream.client_ip;
  input.region = options.region;
  input.door = door;
  input.trace_parent = trace_parent;
  return checker->Check(&input, decision);
}

void Refuse(const DoorOptions& options, const Decision& decision, HttpResponse* response) {
  response->status = kRefused;
  AddGatewayHeaders(decision, response);
  AddClientHeaders(options.render, decision, &response->headers);
}

}  // namespace

void NginxRtmpDoor::Answer(const HttpRequest& request, HttpResponse* response) {
  enum Field : size_t { kCall, kApp, kName, kAddress, kUrl };
  static constexpr absl::string_view kNames[] = {"call", "app", "name", "addr", "tcurl"};
  absl::optional<std::string> fields[std::size(kNames)];
  std::string scratch;
  absl::string_view form = request.body, each, value;
  while (NextParameter(&form, &each, &value)) {
    const size_t index = static_cast<size_t>(std::find(std::begin(kNames), std::end(kNames), each) - kNames);
    // The server's own fields come first; arguments of the client's URL follow and cannot take their places.
    if (index < std::size(kNames) && !fields[index]) fields[index] = std::string(FormDecode(value, &scratch));
  }
  for (absl::optional<std::string>& field : fields) {
    if (!field) field.emplace();
  }
  const absl::string_view call = *fields[kCall];
  Stream stream;
  if (call == "publish" || call == "update_publish") {
    stream.operation = Operation::kStreamPublish;
  } else if (call == "play" || call == "update_play") {
    stream.operation = Operation::kStreamPlay;
  } else if (absl::EndsWith(call, "done") || call == "disconnect" || call == "connect") {
    return;  // tells, and asks nothing
  } else {
    checker_->OnUnreadable();
    RenderUnmapped(absl::InvalidArgumentError("call: wanted publish, play, update_publish, update_play or one that "
                                              "tells of an end"),
                   request.trace_parent(), response);
    return;
  }
  stream.app = *fields[kApp];
  stream.name = *fields[kName];
  stream.url = *fields[kUrl];
  // A client on a Unix socket has no address.
  if (!absl::StartsWith(*fields[kAddress], "unix:")) stream.client_ip = *fields[kAddress];
  Decision decision;
  const absl::Status status = Judge(*options_, stream, Door::kNginxRtmp, request.trace_parent(), checker_, &decision);
  if (!status.ok()) {
    RenderUnmapped(status, request.trace_parent(), response);
  } else if (decision.verdict != Verdict::kAllow) {
    Refuse(*options_, decision, response);
  }
}

void SrsDoor::Answer(const HttpRequest& request, HttpResponse* response) {
  enum Field : size_t { kAction, kIp, kVhost, kApp, kStream, kUrl };
  JsonFields fields({"action", "ip", "vhost", "app", "stream", "tcUrl"});
  AddHeader(response, "Content-Type", "application/json");
  const auto refuse = [&](const absl::Status& status) {
    response->status = 400;
    response->body =
        absl::StrCat("{\"code\":400,\"msg\":", JsonText(WithTrace(status, request.trace_parent()).message()), "}");
  };
  if (const absl::Status status = fields.Read(request.body); !status.ok()) {
    checker_->OnUnreadable();
    refuse(status);
    return;
  }
  static constexpr absl::string_view kTelling[] = {"on_connect", "on_close", "on_unpublish", "on_stop",
                                                   "on_dvr",     "on_hls",   "on_hls_notify"};
  const absl::string_view action = fields[kAction];
  if (std::find(std::begin(kTelling), std::end(kTelling), action) != std::end(kTelling)) {
    response->body = "{\"code\":0}";
    return;
  }
  if (action != "on_publish" && action != "on_play") {
    checker_->OnUnreadable();
    refuse(absl::InvalidArgumentError("action: wanted one of SRS's HTTP hooks, such as on_publish"));
    return;
  }
  Stream stream;
  stream.operation = action == "on_publish" ? Operation::kStreamPublish : Operation::kStreamPlay;
  stream.app = fields[kApp];
  stream.name = fields[kStream];
  stream.client_ip = fields[kIp];
  // A virtual host of SRS's own is a domain; the default one has no name, and the client's URL has.
  std::string url;
  if (!fields[kVhost].empty() && fields[kVhost] != "__defaultVhost__") {
    url = absl::StrCat("rtmp://", fields[kVhost], "/");
  } else {
    url = std::string(fields[kUrl]);
  }
  stream.url = url;
  Decision decision;
  const absl::Status status = Judge(*options_, stream, Door::kSrs, request.trace_parent(), checker_, &decision);
  if (!status.ok()) {
    refuse(status);
  } else if (decision.verdict == Verdict::kAllow) {
    response->body = "{\"code\":0}";
  } else {
    Refuse(*options_, decision, response);
    response->body = absl::StrCat("{\"code\":", decision.http.status, "}");
  }
}

}  // namespace sluice
