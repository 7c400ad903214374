// A progress bar for long work, on a terminal only.
#ifndef SLUICE_CLIENT_PROGRESS_H_
#define SLUICE_CLIENT_PROGRESS_H_

#include <cstdint>
#include <cstdio>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace sluice {

// One line that is drawn over, at most ten times a second, and gone when the work ends. Not thread-safe.
class Progress {
 public:
  enum class Unit : uint8_t { kCount, kBytes };

  // Draws on `file` where that is a terminal, else does nothing. `total` 0 = unknown: shows what is done and how fast.
  // `file` must outlive this.
  Progress(std::FILE* file, std::string label, int64_t total, Unit unit);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { Finish(); }

  // `done` so far. Reads the clock; call it once a batch, not once a line.
  void Update(int64_t done);
  // Removes the bar. Harmless when repeated.
  void Finish();

  // What the bar looks like, for tests: `done` of `total` after `elapsed`.
  static std::string Draw(absl::string_view label, int64_t done, int64_t total, Unit unit, absl::Duration elapsed);

 private:
  std::FILE* const file_;
  const std::string label_;
  const int64_t total_;
  const Unit unit_;
  const bool shown_;
  const absl::Time started_;
  absl::Time drawn_ = absl::InfinitePast();
};

}  // namespace sluice

#endif  // SLUICE_CLIENT_PROGRESS_H_
