#include "client/connection.h"

#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "sluice/v1/admin.grpc.pb.h"
#include "sluice/v1/check.grpc.pb.h"

namespace sluice {
namespace {

// A snapshot's chunk, or a page of a list, may be larger than gRPC's default of 4 MiB.
constexpr int kMessageBytesMax = 64 << 20;

// Why nothing answers at a Unix socket, as far as the file system can tell.
std::string SocketTrouble(absl::string_view address) {
  if (!absl::ConsumePrefix(&address, "unix:")) return "";
  absl::ConsumePrefix(&address, "//");
  const std::string path(address);
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) {
    return errno == ENOENT ? absl::StrCat("there is no ", path)
                           : absl::StrCat("cannot reach ", path, ": ", std::strerror(errno));
  }
  if (!S_ISSOCK(status.st_mode)) return absl::StrCat(path, " is no socket");
  if (access(path.c_str(), R_OK | W_OK) != 0) return absl::StrCat("no permission to use ", path);
  return absl::StrCat("the socket is there, but nobody listens on it");
}

absl::Status ToStatus(const grpc::Status& status, const Connection::Options& options) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  if (code == absl::StatusCode::kDeadlineExceeded) {
    return absl::DeadlineExceededError(
        absl::StrCat("no answer from ", options.address, " within ", absl::FormatDuration(options.timeout),
                     ". Is sluiced there, and not overloaded? A longer wait is set by --timeout."));
  }
  if (code == absl::StatusCode::kUnavailable) {
    std::string why = SocketTrouble(options.address);
    if (why.empty()) why = status.error_message();
    return absl::UnavailableError(absl::StrCat("no server answers at ", options.address, " (", why,
                                               "). Is sluiced running? Another address is set by ", options.flag, "."));
  }
  if (code == absl::StatusCode::kCancelled) {
    return absl::CancelledError(absl::StrCat(options.address, " broke the call off: it is stopping, or an export or ",
                                             "import went slower than it waits for"));
  }
  return absl::Status(code, absl::StrCat(options.address, ": ", status.error_message()));
}

}  // namespace

struct Connection::Stubs {
  std::unique_ptr<v1::Enforcement::Stub> enforcement;
  std::unique_ptr<v1::PolicyAdmin::Stub> admin;
  std::unique_ptr<v1::DecisionLog::Stub> log;

  // What every call of a connection carries.
  static void Prepare(const Options& options, grpc::ClientContext* context) {
    if (!options.token.empty()) context->AddMetadata("authorization", absl::StrCat("Bearer ", options.token));
  }

  // Runs `call(context)` under the deadline of a single call.
  template <typename Response, typename Call>
  static absl::StatusOr<Response> Unary(const Options& options, const Call& call) {
    grpc::ClientContext context;
    Prepare(options, &context);
    context.set_deadline(absl::ToChronoTime(absl::Now() + options.timeout));
    Response response;
    const grpc::Status status = call(&context, &response);
    if (!status.ok()) return ToStatus(status, options);
    return response;
  }
};

Connection::Connection(Options options) : options_(std::move(options)), stubs_(std::make_unique<Stubs>()) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetMaxSendMessageSize(kMessageBytesMax);
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (!options_.tls_ca.empty()) {
    credentials = grpc::SslCredentials({options_.tls_ca, options_.tls_key, options_.tls_certificate});
    if (!options_.tls_name.empty()) arguments.SetSslTargetNameOverride(options_.tls_name);
  }
  const auto channel = grpc::CreateCustomChannel(options_.address, credentials, arguments);
  stubs_->enforcement = v1::Enforcement::NewStub(channel);
  stubs_->admin = v1::PolicyAdmin::NewStub(channel);
  stubs_->log = v1::DecisionLog::NewStub(channel);
}

Connection::~Connection() = default;

absl::StatusOr<v1::CheckResponse> Connection::Check(const v1::CheckRequest& request) {
  return Stubs::Unary<v1::CheckResponse>(options_, [&](grpc::ClientContext* context, v1::CheckResponse* response) {
    return stubs_->enforcement->Check(context, request, response);
  });
}

absl::StatusOr<v1::ReportResponse> Connection::Report(const v1::ReportRequest& request) {
  return Stubs::Unary<v1::ReportResponse>(options_, [&](grpc::ClientContext* context, v1::ReportResponse* response) {
    return stubs_->enforcement->Report(context, request, response);
  });
}

absl::StatusOr<v1::ExplainResponse> Connection::Explain(const v1::ExplainRequest& request) {
  return Stubs::Unary<v1::ExplainResponse>(options_, [&](grpc::ClientContext* context, v1::ExplainResponse* response) {
    return stubs_->admin->Explain(context, request, response);
  });
}

absl::StatusOr<v1::ApplyResponse> Connection::Apply(const v1::ApplyRequest& request) {
  return Stubs::Unary<v1::ApplyResponse>(options_, [&](grpc::ClientContext* context, v1::ApplyResponse* response) {
    return stubs_->admin->Apply(context, request, response);
  });
}

absl::StatusOr<v1::DescribeResponse> Connection::Describe(const v1::DescribeRequest& request) {
  return Stubs::Unary<v1::DescribeResponse>(options_,
                                            [&](grpc::ClientContext* context, v1::DescribeResponse* response) {
                                              return stubs_->admin->Describe(context, request, response);
                                            });
}

absl::StatusOr<v1::ListResponse> Connection::List(const v1::ListRequest& request) {
  return Stubs::Unary<v1::ListResponse>(options_, [&](grpc::ClientContext* context, v1::ListResponse* response) {
    return stubs_->admin->List(context, request, response);
  });
}

absl::StatusOr<v1::TopResponse> Connection::Top(const v1::TopRequest& request) {
  return Stubs::Unary<v1::TopResponse>(options_, [&](grpc::ClientContext* context, v1::TopResponse* response) {
    return stubs_->admin->Top(context, request, response);
  });
}

absl::Status Connection::Watch(const v1::WatchRequest& request,
                               const std::function<bool(const v1::Announcement&)>& seen) {
  grpc::ClientContext context;
  Stubs::Prepare(options_, &context);
  const auto stream = stubs_->admin->Watch(&context, request);
  v1::Announcement announcement;
  while (stream->Read(&announcement)) {
    if (!seen(announcement)) {
      context.TryCancel();
      stream->Finish();
      return absl::OkStatus();
    }
  }
  return ToStatus(stream->Finish(), options_);
}

absl::Status Connection::QueryLog(const v1::LogQuery& query,
                                  const std::function<bool(const v1::DecisionRecord&)>& seen) {
  grpc::ClientContext context;
  Stubs::Prepare(options_, &context);
  const auto stream = stubs_->log->Query(&context, query);
  v1::DecisionRecord record;
  while (stream->Read(&record)) {
    if (!seen(record)) {
      context.TryCancel();
      stream->Finish();
      return absl::OkStatus();
    }
  }
  return ToStatus(stream->Finish(), options_);
}

absl::Status Connection::Export(const std::function<absl::Status(const v1::ExportChunk&)>& chunk) {
  grpc::ClientContext context;
  Stubs::Prepare(options_, &context);
  const auto stream = stubs_->admin->Export(&context, v1::ExportRequest());
  v1::ExportChunk message;
  while (stream->Read(&message)) {
    if (absl::Status status = chunk(message); !status.ok()) {
      context.TryCancel();
      stream->Finish();
      return status;
    }
  }
  return ToStatus(stream->Finish(), options_);
}

absl::StatusOr<v1::ImportResponse> Connection::Import(
    const std::function<absl::StatusOr<bool>(v1::ExportChunk*)>& next) {
  grpc::ClientContext context;
  Stubs::Prepare(options_, &context);
  v1::ImportResponse response;
  const auto stream = stubs_->admin->Import(&context, &response);
  v1::ExportChunk message;
  for (;;) {
    message.Clear();
    absl::StatusOr<bool> more = next(&message);
    if (!more.ok()) {
      context.TryCancel();
      stream->Finish();
      return more.status();
    }
    if (!*more || !stream->Write(message)) break;
  }
  stream->WritesDone();
  if (absl::Status status = ToStatus(stream->Finish(), options_); !status.ok()) return status;
  return response;
}

}  // namespace sluice
