#include "bench/wire_servers.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "bench/child_process.h"
#include "bench/grpc_servers.h"
#include "bench/node.h"
#include "server/doors/doors.h"
#include "server/listen/enforcement_methods.h"
#include "server/listen/health.h"
#include "server/listen/listener.h"

namespace sluice::bench {
namespace {

// Router and listener as sluiced makes them, around one checker.
class OwnListener {
 public:
  explicit OwnListener(Checker* checker, absl::Duration shed_after = absl::InfiniteDuration())
      : shed_after_(shed_after), health_(&router_), methods_(checker, &router_), doors_({}, checker, &router_) {
    health_.SetServing(true);
  }
  const Router* router() const { return &router_; }
  absl::Status Start(const std::string& socket) {
    Listener::Options options;
    options.address.path = socket;
    options.rights.mode = 0600;
    options.threads = 1;
    options.limits.wait_max = shed_after_;
    options.buffers = &buffers_;
    absl::StatusOr<std::unique_ptr<Listener>> listener = Listener::Start(options, &router_);
    if (listener.ok()) listener_ = *std::move(listener);
    return listener.status();
  }

 private:
  const absl::Duration shed_after_;
  Router router_;
  Health health_;
  EnforcementMethods methods_;
  Doors doors_;
  BufferBudget buffers_{kBufferedBytesMax};
  std::unique_ptr<Listener> listener_;  // last: it uses the others
};

bool ReadAll(int fd, char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t got = recv(fd, bytes, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

bool WriteAll(int fd, const char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t took = send(fd, bytes, size, MSG_NOSIGNAL);
    if (took < 0 && errno == EINTR) continue;
    if (took <= 0) return false;
    bytes += took;
    size -= static_cast<size_t>(took);
  }
  return true;
}

}  // namespace

absl::Status ServeNode(const std::string& folder, const Sizes& sizes) {
  const absl::StatusOr<std::unique_ptr<Node>> node = Node::Create(sizes, folder + "/decisions");
  if (!node.ok()) return node.status();
  OwnListener own((*node)->checker(), absl::Seconds(1)), bare((*node)->bare_checker());
  if (absl::Status status = own.Start(folder + "/own.sock"); !status.ok()) return status;
  if (absl::Status status = bare.Start(folder + "/bare.sock"); !status.ok()) return status;
  const absl::StatusOr<std::unique_ptr<CheckServer>> by_grpc =
      ListenByGrpc(folder + "/grpc.sock", (*node)->checker(), own.router());
  if (!by_grpc.ok()) return by_grpc.status();
  ChildProcess::ServeUntilToldToStop();
  (*by_grpc)->Shutdown(absl::ZeroDuration());
  return absl::OkStatus();
}

absl::Status ServeOwn(const std::string& folder, const Sizes& sizes, absl::Duration shed_after) {
  const absl::StatusOr<std::unique_ptr<Node>> node = Node::Create(sizes, folder + "/decisions", shed_after);
  if (!node.ok()) return node.status();
  OwnListener own((*node)->checker(), shed_after);
  if (absl::Status status = own.Start(folder + "/own.sock"); !status.ok()) return status;
  ChildProcess::ServeUntilToldToStop();
  return absl::OkStatus();
}

absl::Status ServePingPong(const std::string& socket_path, size_t request_bytes, size_t answer_bytes) {
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  memcpy(name.sun_path, socket_path.data(), std::min(socket_path.size(), sizeof name.sun_path - 1));
  const int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listening < 0 || bind(listening, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 ||
      listen(listening, 1) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("listening on ", socket_path));
  }
  std::atomic<int> connection{-1};
  std::thread thread([&] {
    std::vector<char> request(request_bytes);
    const std::vector<char> answer(answer_bytes, 'a');
    while (true) {
      const int fd = accept(listening, nullptr, nullptr);
      if (fd < 0) return;  // shut down
      connection.store(fd);
      while (ReadAll(fd, request.data(), request.size()) && WriteAll(fd, answer.data(), answer.size())) {
      }
      connection.store(-1);
      close(fd);
    }
  });
  ChildProcess::ServeUntilToldToStop();
  shutdown(listening, SHUT_RDWR);
  if (const int fd = connection.load(); fd >= 0) shutdown(fd, SHUT_RDWR);
  thread.join();
  close(listening);
  return absl::OkStatus();
}

std::vector<std::string> NginxCommand(const std::string& folder, const std::string& socket) {
  const std::string file = folder + "/nginx.conf";
  std::ofstream conf(file);
  conf << "daemon off;\nmaster_process off;\nworker_processes 1;\npid " << folder << "/nginx.pid;\n"
       << "error_log " << folder << "/nginx.log crit;\n"
       << "events { worker_connections 1024; }\n"
       << "http {\n  access_log off;\n  keepalive_requests 1000000000;\n  keepalive_timeout 600s;\n";
  for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
    conf << "  " << kind << "_temp_path " << folder << "/" << kind << ";\n";
  }
  conf << "  server { listen unix:" << socket << "; location / { return 200; } }\n}\n";
  return {"nginx", "-p", folder, "-e", folder + "/nginx.log", "-c", file};
}

}  // namespace sluice::bench
