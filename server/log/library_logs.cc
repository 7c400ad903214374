#include <atomic>
#include <cstring>
#include <string>

#include "google/protobuf/stubs/logging.h"
#include "grpc/support/log.h"
#include "server/log/logger.h"

namespace sluice {
namespace {

std::atomic<const Logger*> library_logger{nullptr};

void FromGrpc(gpr_log_func_args* args) {
  const Logger* logger = library_logger.load(std::memory_order_acquire);
  if (logger == nullptr) return;
  // gRPC calls an error what a caller's broken connection does; to the node it is a warning.
  const LogLevel level = args->severity == GPR_LOG_SEVERITY_DEBUG  ? LogLevel::kDebug
                         : args->severity == GPR_LOG_SEVERITY_INFO ? LogLevel::kInfo
                                                                   : LogLevel::kWarning;
  const char* slash = strrchr(args->file, '/');
  logger->Log(level, "grpc", {{"message", args->message}, {"file", slash != nullptr ? slash + 1 : args->file}});
}

void FromProtobuf(google::protobuf::LogLevel level, const char* file, int line, const std::string& message) {
  const Logger* logger = library_logger.load(std::memory_order_acquire);
  if (logger != nullptr) logger->Debug("protobuf", {{"message", message}});
}

}  // namespace

void RouteLibraryLogs(const Logger* logger) {
  library_logger.store(logger, std::memory_order_release);
  gpr_set_log_function(FromGrpc);
  google::protobuf::SetLogHandler(FromProtobuf);
}

}  // namespace sluice
