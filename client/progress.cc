#include "client/progress.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/table.h"

namespace sluice {
namespace {

constexpr int kBarColumns = 24;
constexpr absl::Duration kRedrawEvery = absl::Milliseconds(100);
// Work that is over before this needs no bar.
constexpr absl::Duration kFirstDraw = absl::Milliseconds(300);

std::string Amount(int64_t value, Progress::Unit unit) {
  return unit == Progress::Unit::kBytes ? HumanBytes(value) : WithCommas(value);
}

}  // namespace

Progress::Progress(std::FILE* file, std::string label, int64_t total, Unit unit)
    : file_(file),
      label_(std::move(label)),
      total_(total),
      unit_(unit),
      shown_(file != nullptr && isatty(fileno(file)) == 1),
      started_(absl::Now()) {}

std::string Progress::Draw(absl::string_view label, int64_t done, int64_t total, Unit unit, absl::Duration elapsed) {
  const double seconds = std::max(absl::ToDoubleSeconds(elapsed), 1e-3);
  const std::string rate = absl::StrCat(Amount(static_cast<int64_t>(static_cast<double>(done) / seconds), unit), "/s");
  if (total <= 0) return absl::StrFormat("%s  %s  %s", label, Amount(done, unit), rate);
  const double share = std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
  const int filled = static_cast<int>(share * kBarColumns);
  std::string bar;
  for (int i = 0; i < kBarColumns; ++i) absl::StrAppend(&bar, i < filled ? "━" : "┄");
  std::string left;
  if (done > 0 && done < total) {
    const auto remaining = absl::Seconds(seconds * static_cast<double>(total - done) / static_cast<double>(done));
    left = absl::StrCat("  ", absl::FormatDuration(absl::Ceil(remaining, absl::Seconds(1))), " left");
  }
  return absl::StrFormat("%s  %s %3.0f%%  %s of %s  %s%s", label, bar, share * 100, Amount(done, unit),
                         Amount(total, unit), rate, left);
}

void Progress::Update(int64_t done) {
  if (!shown_) return;
  const absl::Time now = absl::Now();
  if (now - started_ < kFirstDraw || now - drawn_ < kRedrawEvery) return;
  drawn_ = now;
  absl::FPrintF(file_, "\r%s\x1b[K", Draw(label_, done, total_, unit_, now - started_));
  std::fflush(file_);
}

void Progress::Finish() {
  if (drawn_ == absl::InfinitePast()) return;
  drawn_ = absl::InfinitePast();
  absl::FPrintF(file_, "\r\x1b[K");
  std::fflush(file_);
}

}  // namespace sluice
