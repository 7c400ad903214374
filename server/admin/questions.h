// The questions of PolicyAdmin that change nothing: Describe, Explain, List. Messages in, messages out, without the
// wire.
#ifndef SLUICE_SERVER_ADMIN_QUESTIONS_H_
#define SLUICE_SERVER_ADMIN_QUESTIONS_H_

#include "absl/status/status.h"
#include "enforcement/clock.h"
#include "enforcement/engine.h"
#include "enforcement/top.h"
#include "sluice/v1/admin.pb.h"
#include "store/store.h"

namespace sluice {

// Thread-safe; reads the store, so it may block on the disk.
class Questions {
 public:
  // All must outlive this.
  Questions(Engine* engine, const Store* store, const Clock* clock, const class Top* top)
      : engine_(engine), store_(store), clock_(clock), top_(top) {}

  // INVALID_ARGUMENT where the subject names no scope, or more than one.
  absl::Status Describe(const v1::DescribeRequest& request, v1::DescribeResponse* response) const;
  absl::Status Explain(const v1::ExplainRequest& request, v1::ExplainResponse* response) const;
  // Whole entities but for what was replaced or has ended (EventsTold), in order of their ids: a page may hold a few
  // items more than page_size, and fewer, even none, where a subject is asked for and many had to be passed over; it is
  // the last one where next_page_token is empty.
  absl::Status List(const v1::ListRequest& request, v1::ListResponse* response) const;
  // INVALID_ARGUMENT for a kind or an order that the contract lacks, a kind that is named twice, or a limit out of
  // bounds.
  absl::Status Top(const v1::TopRequest& request, v1::TopResponse* response) const;

 private:
  Engine* const engine_;
  const Store* const store_;
  const Clock* const clock_;
  const class Top* const top_;
};

inline constexpr int kPageDefault = 100;
inline constexpr int kPageMax = 1000;
inline constexpr int kTopDefault = 10;
inline constexpr int kTopMax = 100;

}  // namespace sluice

#endif  // SLUICE_SERVER_ADMIN_QUESTIONS_H_
