#include "decision_log/memory_log.h"

#include <algorithm>
#include <vector>

#include "decision_log/log_filter.h"
#include "decision_log/record.h"
#include "decision_log/record_text.h"

namespace sluice {

void MemoryLog::OnDecision(const CheckInput& input, const Decision& decision, Moment now) {
  const LogClass log_class = ClassOf(input, decision);
  const auto count = [log_class](Counts* counts) {
    (*counts)[static_cast<size_t>(log_class)].fetch_add(1, std::memory_order_relaxed);
  };
  if (options_.capacity == 0) {
    count(&dropped_);
    return;
  }
  const RecordWriter writer(input, decision);
  auto record = std::make_shared<std::string>(writer.bytes(), '\0');
  writer.Write(now.wall, log_class, record->data());

  Record pushed_out;  // freed after unlocking
  absl::MutexLock lock(&mutex_);
  if (records_.size() >= options_.capacity) {
    if (options_.keep_oldest) {
      count(&dropped_);
      return;
    }
    pushed_out = std::move(records_.front());
    records_.pop_front();
    ++pushed_out_;
  }
  records_.push_back(std::move(record));
  count(&taken_);
}

absl::Status MemoryLog::Query(const v1::LogQuery& query, LogCursor* cursor,
                              const std::function<bool(const v1::DecisionRecord&)>& visit) const {
  const absl::StatusOr<LogFilter> filter = LogFilter::Create(query);
  if (!filter.ok()) return filter.status();
  int64_t left = filter->limit();
  constexpr int64_t kAtOnce = 256;  // pointers copied under the lock, so that no check waits long
  auto next = static_cast<int64_t>(cursor->offset);
  int64_t end = INT64_MAX;  // what is logged after the query began is not for it, or it might never end
  RecordView view;
  v1::DecisionRecord message;
  while (next < end) {
    std::vector<Record> some;
    int64_t number;
    {
      absl::MutexLock lock(&mutex_);
      end = std::min<int64_t>(end, pushed_out_ + static_cast<int64_t>(records_.size()));
      next = std::max(next, pushed_out_);
      number = next;
      for (const int64_t stop = std::min(end, next + kAtOnce); next < stop; ++next) {
        some.push_back(records_[static_cast<size_t>(next - pushed_out_)]);
      }
    }
    for (const Record& record : some) {
      ++number;  // counts from 1
      if (!ReadRecord(*record, &view) || !filter->Meets(view)) continue;
      ToProto(view, options_.node, number, &message);
      if (!visit(message) || --left == 0) return absl::OkStatus();
    }
  }
  cursor->offset = static_cast<uint64_t>(end);
  return absl::OkStatus();
}

}  // namespace sluice
