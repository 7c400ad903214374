// The load generator: connections to one Unix socket, one thread, epoll. Three ways to drive them:
//
// - closed: so many calls are kept under way on each connection. For rows that are ratios at saturation.
// - open: calls are due at random times of a given rate, whether or not earlier ones were answered, and each latency
//   counts from the time at which its call was due. A server that stalls is charged for every call that the stall kept
//   waiting, not only for those that happened to be out: no coordinated omission.
// - open, what fits: the same, each call at the next connection, and one whose connection has no room for it is not
//   made, but counted: a caller that gives up. For loads beyond what the server can do, where whatever waited here
//   would wait without end and say nothing of the server.
#ifndef SLUICE_BENCH_WIRE_LOAD_H_
#define SLUICE_BENCH_WIRE_LOAD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/caller.h"

namespace sluice::bench {

struct LoadResult {
  int64_t calls = 0;
  int64_t shed = 0;    // of them: answered that the server is overloaded
  int64_t wrong = 0;   // calls that failed, or were answered other than they must be
  std::string what;    // the first of them
  double seconds = 0;  // from the first call to the last answer
  double p50_us = 0, p99_us = 0, p999_us = 0, max_us = 0;
  double caller_cpu_us = 0;  // of this thread, a call
  int64_t sent_bytes = 0, received_bytes = 0;
};

// A part of an open load.
struct Stretch {
  double calls_per_second = 0;
  absl::Duration lasts;
};

enum class CallEnd : uint8_t {
  kUnanswered,
  kDecided,   // as it must be
  kShed,      // the server said that it is overloaded
  kWrong,     // any other answer
  kNoStream,  // not made: the peer lets no further call go out on its connection
  kNoSocket,  // not made: the socket of its connection takes no more
};

// What became of a call that was due.
struct OfferedCall {
  int64_t due_ns = 0;      // since the load began
  int64_t late_ns = 0;     // from then until it was made: the load generator's own
  int64_t latency_ns = 0;  // from when it was due to its answer
  CallEnd end = CallEnd::kUnanswered;
};

struct OfferedLoad {
  std::vector<OfferedCall> calls;  // as they were due
  std::string what;                // the first that went wrong
};

// Not thread-safe.
class WireLoad {
 public:
  using MakeCaller = std::function<std::unique_ptr<Caller>()>;
  // `make` is called once a connection.
  static absl::StatusOr<std::unique_ptr<WireLoad>> Connect(const std::string& socket, int connections,
                                                           const MakeCaller& make);
  ~WireLoad();
  WireLoad(const WireLoad&) = delete;
  WireLoad& operator=(const WireLoad&) = delete;

  // For so long, then waits for the last answers.
  LoadResult KeepInFlight(int per_connection, absl::Duration lasts);
  // `spin`: looks at the sockets without a pause while the next call is near, for this thread has a core of its own.
  LoadResult Offer(double calls_per_second, absl::Duration lasts, bool spin);
  // One stretch after the other, without a pause between them; then waits for the last answers.
  OfferedLoad OfferWhatFits(const std::vector<Stretch>& stretches, bool spin);

 private:
  struct Connection;
  struct Slot {
    int64_t since_ns = 0;  // sent; or due
    Connection* connection = nullptr;
    size_t offered = 0;  // its place in `offered_`
  };

  explicit WireLoad(int epoll);
  void Begin();
  LoadResult End(int64_t begin_ns);
  // Starts a call whose latency counts from `since_ns`.
  void Start(Connection* connection, int64_t since_ns, size_t offered = 0);
  // Makes a call of `offered_` at `connection`, or says there why not.
  void StartIfItFits(size_t offered, Connection* connection);
  // False where the connection is broken, which is then in `result_`.
  bool Read(Connection* connection);
  bool Write(Connection* connection);
  bool Break(const Connection& connection, absl::string_view what);
  // Takes what is ready after at most `patience_ns`; calls `answered` for each connection that had answers.
  template <typename Answered>
  bool Turn(int64_t patience_ns, const Answered& answered);

  const int epoll_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<Answer> answers_;
  std::vector<char> scratch_;
  std::vector<uint32_t> latencies_ns_;
  std::vector<OfferedCall>* offered_ = nullptr;  // takes the place of `latencies_ns_`
  std::mt19937_64 random_;
  size_t next_call_ = 0;
  int64_t under_way_ = 0;
  int64_t begin_ns_ = 0;
  int64_t now_ns_ = 0;
  int64_t cpu_began_ns_ = 0;
  LoadResult result_;
};

}  // namespace sluice::bench

#endif  // SLUICE_BENCH_WIRE_LOAD_H_
