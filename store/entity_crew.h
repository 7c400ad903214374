// Several threads that read entities out of the map at once. Internal to store/.
#ifndef SLUICE_STORE_ENTITY_CREW_H_
#define SLUICE_STORE_ENTITY_CREW_H_

#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace sluice {

// Records as they lie in the map, which stay where they are for as long as their read transaction: one thread walks
// through the table and hands them over, the crew does the rest.
class EntityCrew {
 public:
  using Record = std::pair<absl::string_view, absl::string_view>;  // name, value
  // Of one thread of the crew, with a few records, kShare at most: the first that cannot be read, or nullptr.
  using Work = std::function<const Record*(absl::Span<const Record>)>;
  static constexpr size_t kShare = 64;

  // `make_work` is called once in each of `threads` threads.
  EntityCrew(int threads, const std::function<Work()>& make_work);
  // REQUIRES: Finish was called.
  ~EntityCrew() = default;

  // Hands a record over; waits while much is waiting. Returns whether to go on: not once a record could not be read.
  bool Add(const Record& record) ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until all is done. Returns the name of a record that could not be read; "" where all could.
  std::string Finish() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Batch = std::vector<Record>;
  static constexpr size_t kBatch = 1024;
  static constexpr size_t kWaitingMax = 16;

  void Push() ABSL_LOCKS_EXCLUDED(mutex_);
  void Run(const Work& work) ABSL_LOCKS_EXCLUDED(mutex_);
  bool HasRoom() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return waiting_.size() < kWaitingMax; }
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !waiting_.empty() || closed_; }

  Batch filling_;
  absl::Mutex mutex_;
  std::deque<Batch> waiting_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool damaged_ ABSL_GUARDED_BY(mutex_) = false;
  std::string name_of_damaged_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace sluice

#endif  // SLUICE_STORE_ENTITY_CREW_H_
