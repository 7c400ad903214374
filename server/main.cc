// sluiced: the sidecar. Reads command line, configuration and pack, and runs a node (server/node/node.h) by them.
//
// Exit codes: 0 stopped as asked, 1 a failure at run time, 2 a wrong configuration or command line.
#include <stdio.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "agreement/loader.h"
#include "server/config.h"
#include "server/confine.h"
#include "server/node/node.h"
#include "server/stop_signals.h"

namespace sluice {
namespace {

constexpr int kStopped = 0;
constexpr int kFailed = 1;
constexpr int kMisconfigured = 2;

void Complain(absl::string_view message) { fprintf(stderr, "sluiced: %s\n", std::string(message).c_str()); }

absl::StatusOr<Surroundings> LookAround() {
  absl::StatusOr<ServiceManager> manager = ServiceManager::FromEnvironment();
  if (!manager.ok()) return manager.status();
  absl::StatusOr<InheritedSockets> sockets = TakeInheritedSockets();
  if (!sockets.ok()) return sockets.status();
  return Surroundings{*std::move(manager), *std::move(sockets)};
}

int Main(int argc, char** argv) {
  const absl::StatusOr<CommandLine> command_line = ParseCommandLine(argc, argv);
  if (!command_line.ok()) {
    Complain(command_line.status().message());
    return kMisconfigured;
  }
  if (!command_line->print.empty()) {
    printf("%s", command_line->print.c_str());
    return kStopped;
  }
  const absl::StatusOr<EffectiveConfig> effective = LoadConfig(*command_line);
  if (!effective.ok()) {
    Complain(effective.status().message());
    return kMisconfigured;
  }
  const Config& config = effective->config;
  absl::StatusOr<std::unique_ptr<const Pack>> pack =
      config.pack_path.empty() ? LoadDefaultPack() : LoadPackFile(config.pack_path);
  if (!pack.ok()) {
    Complain(absl::StrCat("pack: ", pack.status().message()));
    return kMisconfigured;
  }
  if (command_line->check_config) {
    printf("%s", FormatConfig(*effective).c_str());
    return kStopped;
  }

  const absl::StatusOr<Surroundings> surroundings = LookAround();
  if (!surroundings.ok()) {
    Complain(surroundings.status().message());
    return kMisconfigured;
  }
  if (const absl::Status status = CheckInherited(*effective, surroundings->sockets); !status.ok()) {
    Complain(status.message());
    return kMisconfigured;
  }
  const StopSignals signals;
  const absl::Status confined = config.confine ? Confine() : absl::OkStatus();  // before the first thread
  Node node(config, *std::move(pack), &*surroundings);
  if (!confined.ok()) {
    node.logger().Error("cannot start", {{"error", confined.message()}, {"key", "confine"}});
    return kFailed;
  }
  if (const absl::Status status = node.Start(); !status.ok()) {
    node.logger().Error("cannot start", {{"error", status.message()}});
    return kFailed;
  }
  node.Run(signals, *command_line);
  return kStopped;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  // Debian builds Abseil for debugging: each lock, gRPC's too, would be looked up in a graph of all orders of locks
  // seen so far, and a circle in it, which is not yet a deadlock, would end the process. That is for tests, which keep
  // it.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return sluice::Main(argc, argv);
}
