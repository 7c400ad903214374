// The calls that sluicectl makes, without gRPC's headers: they are slow to compile and stay in connection.cc.
#ifndef SLUICE_CLIENT_CONNECTION_H_
#define SLUICE_CLIENT_CONNECTION_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "sluice/v1/admin.pb.h"
#include "sluice/v1/check.pb.h"

namespace sluice {

// One server's address. Connects at the first call. Every call blocks; one thread at a time.
//
// Errors have the code that the server gave. Where nothing answers the code is UNAVAILABLE, or DEADLINE_EXCEEDED, and
// the message says which address, why as far as it can be told, and what to try.
class Connection {
 public:
  struct Options {
    std::string address;  // "unix:/run/sluice/admin.sock", "127.0.0.1:7311", "[::1]:7311"
    std::string flag;     // the flag and variable that set it, for messages: "--server or SLUICE_ADMIN"
    absl::Duration timeout = absl::Seconds(10);  // of one answer; streams have none
    // Of a server on TCP with TLS, as PEM: whom to believe ("" = no TLS), and what to show where it asks.
    std::string tls_ca, tls_certificate, tls_key;
    std::string tls_name;  // the name that its certificate is to have; "" = that of the address
    std::string token;     // sent with every call, never in the clear beyond this machine; "" = none
  };

  explicit Connection(Options options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  absl::StatusOr<v1::CheckResponse> Check(const v1::CheckRequest& request);
  absl::StatusOr<v1::ReportResponse> Report(const v1::ReportRequest& request);
  absl::StatusOr<v1::ExplainResponse> Explain(const v1::ExplainRequest& request);
  // An error may mean that its events were applied all the same: the answer did not come.
  absl::StatusOr<v1::ApplyResponse> Apply(const v1::ApplyRequest& request);
  absl::StatusOr<v1::DescribeResponse> Describe(const v1::DescribeRequest& request);
  absl::StatusOr<v1::ListResponse> List(const v1::ListRequest& request);
  absl::StatusOr<v1::TopResponse> Top(const v1::TopRequest& request);

  // Until `seen` returns false or the server ends.
  absl::Status Watch(const v1::WatchRequest& request, const std::function<bool(const v1::Announcement&)>& seen);
  // Until `seen` returns false or the server ends.
  absl::Status QueryLog(const v1::LogQuery& query, const std::function<bool(const v1::DecisionRecord&)>& seen);
  absl::Status Export(const std::function<absl::Status(const v1::ExportChunk&)>& chunk);
  // Sends what `next` fills until it returns false. An error of `next` cancels the whole import.
  absl::StatusOr<v1::ImportResponse> Import(const std::function<absl::StatusOr<bool>(v1::ExportChunk*)>& next);

 private:
  struct Stubs;
  const Options options_;
  const std::unique_ptr<Stubs> stubs_;
};

// Whether `status` says that no server answered.
inline bool IsUnreachable(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

}  // namespace sluice

#endif  // SLUICE_CLIENT_CONNECTION_H_
