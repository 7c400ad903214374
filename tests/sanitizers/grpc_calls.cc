// Tells ThreadSanitizer what a call of gRPC orders: whatever a thread did before it sent something, in a call of either
// side, comes before what a thread does that receives something later. ThreadSanitizer itself says so of all sockets,
// whoever reads what anybody wrote; but tsan_suppressions.cc shuts its ears to what gRPC's library calls, and between
// its sockets and its callers gRPC has threads and queues that order by atomics. Linked into every program of the
// preset tsan, where it stands before both libraries.
#include <grpc/grpc.h>
#include <sanitizer/tsan_interface.h>
#include <sys/socket.h>

#include "real_function.h"

extern "C" {  // of the run-time library; no header of GCC's declares them
// NOLINTBEGIN(bugprone-reserved-identifier)
int __interceptor_socket(int domain, int type, int protocol);
int __interceptor_accept4(int fd, sockaddr* address, socklen_t* size, int flags);
ssize_t __interceptor_sendmsg(int fd, const msghdr* message, int flags);
ssize_t __interceptor_recvmsg(int fd, msghdr* message, int flags);
// NOLINTEND(bugprone-reserved-identifier)
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}

namespace {

char passed_on = 0;  // its address is what gRPC's callers and its sockets release and acquire

// What order a socket makes is looked at here; the memory it reads and fills is gRPC's, and is not.
class IgnoreMemory {
 public:
  IgnoreMemory() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~IgnoreMemory() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
  IgnoreMemory(const IgnoreMemory&) = delete;
  IgnoreMemory& operator=(const IgnoreMemory&) = delete;
};

}  // namespace

extern "C" {

grpc_call_error grpc_call_start_batch(grpc_call* call, const grpc_op* ops, size_t count, void* tag, void* reserved) {
  static auto* const real = sluice::RealFunction<decltype(grpc_call_start_batch)>("grpc_call_start_batch");
  __tsan_release(&passed_on);
  return real(call, ops, count, tag, reserved);
}

grpc_event grpc_completion_queue_next(grpc_completion_queue* queue, gpr_timespec deadline, void* reserved) {
  static auto* const real = sluice::RealFunction<decltype(grpc_completion_queue_next)>("grpc_completion_queue_next");
  const grpc_event event = real(queue, deadline, reserved);
  __tsan_acquire(&passed_on);
  return event;
}

grpc_event grpc_completion_queue_pluck(grpc_completion_queue* queue, void* tag, gpr_timespec deadline, void* reserved) {
  static auto* const real = sluice::RealFunction<decltype(grpc_completion_queue_pluck)>("grpc_completion_queue_pluck");
  const grpc_event event = real(queue, tag, deadline, reserved);
  __tsan_acquire(&passed_on);
  return event;
}

// A socket orders nothing before ThreadSanitizer knows that it is one.
int socket(int domain, int type, int protocol) noexcept { return __interceptor_socket(domain, type, protocol); }

int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  return __interceptor_accept4(fd, address, size, flags);
}

// Nothing in this tree calls these two but gRPC.
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  const IgnoreMemory ignored;
  __tsan_acquire(&passed_on);
  return __interceptor_sendmsg(fd, message, flags);
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
  const IgnoreMemory ignored;
  const ssize_t received = __interceptor_recvmsg(fd, message, flags);
  __tsan_release(&passed_on);
  return received;
}

}  // extern "C"
