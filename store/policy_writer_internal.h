// What the two halves of PolicyWriter share. Internal to store/.
#ifndef SLUICE_STORE_POLICY_WRITER_INTERNAL_H_
#define SLUICE_STORE_POLICY_WRITER_INTERNAL_H_

#include <memory>
#include <variant>
#include <vector>

#include "store/policy_writer.h"

namespace sluice {

// One call in the queue, on its caller's stack. The call at the front of the queue fills in the others' answers.
struct PolicyWriter::Call {
  std::vector<PolicyEvent> events;
  Moment now;
  const ChunkSource* import = nullptr;  // then neither of the above

  ApplyResult result;
  Imported imported;
  absl::Status status;
  bool done = false;
  absl::CondVar turn;  // signalled when the call is done, or first in the queue
};

// One transaction, and what it did to the working copy of the index, in order.
struct PolicyWriter::Work {
  std::unique_ptr<Store::Transaction> transaction;  // begun with the first event or announcement
  Moment now;
  int64_t revision = 0;  // the highest given out
  bool fed = false;      // whether anything was applied that does not come from this node itself
  std::vector<std::variant<Entity, Announcement>> steps;
  int64_t last_announced = 0;
};

}  // namespace sluice

#endif  // SLUICE_STORE_POLICY_WRITER_INTERNAL_H_
