#include "store/entity_crew.h"

namespace sluice {

EntityCrew::EntityCrew(int threads, const std::function<Work()>& make_work) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this, make_work] { Run(make_work()); });
}

bool EntityCrew::Add(const Record& record) {
  filling_.push_back(record);
  if (filling_.size() < kBatch) return true;
  Push();
  absl::MutexLock lock(&mutex_);
  return !damaged_;
}

void EntityCrew::Push() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &EntityCrew::HasRoom));
  waiting_.push_back(std::exchange(filling_, Batch()));
}

std::string EntityCrew::Finish() {
  Push();
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
  absl::MutexLock lock(&mutex_);
  return name_of_damaged_;
}

void EntityCrew::Run(const Work& work) {
  for (;;) {
    Batch batch;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &EntityCrew::HasWork));
      if (waiting_.empty()) return;
      batch = std::move(waiting_.front());
      waiting_.pop_front();
    }
    for (size_t first = 0; first < batch.size(); first += kShare) {
      const Record* const damaged = work(absl::MakeConstSpan(batch).subspan(first, kShare));
      if (damaged == nullptr) continue;
      absl::MutexLock lock(&mutex_);
      damaged_ = true;
      name_of_damaged_ = std::string(damaged->first);
      break;
    }
  }
}

}  // namespace sluice
