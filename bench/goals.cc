#include "bench/goals.h"

#include "absl/strings/str_format.h"

namespace sluice::bench {

Goals::Goals(const std::string& path) {
  if (!path.empty()) file_ = std::fopen(path.c_str(), "a");
}

Goals::~Goals() {
  if (file_ != nullptr) std::fclose(file_);
}

void Goals::AtMost(absl::string_view what, double measured, double goal, absl::string_view unit,
                   absl::string_view detail) {
  Write(what, measured, "<=", goal, unit, measured <= goal, detail);
}

void Goals::AtLeast(absl::string_view what, double measured, double goal, absl::string_view unit,
                    absl::string_view detail) {
  Write(what, measured, ">=", goal, unit, measured >= goal, detail);
}

void Goals::Write(absl::string_view what, double measured, absl::string_view sign, double goal, absl::string_view unit,
                  bool met, absl::string_view detail) {
  std::printf("%s: %.4g %s, goal %s %.4g: %s (%s)\n", std::string(what).c_str(), measured, std::string(unit).c_str(),
              std::string(sign).c_str(), goal, met ? "met" : "missed", std::string(detail).c_str());
  std::fflush(stdout);
  if (file_ == nullptr) return;
  // The texts are this program's own: nothing in them needs an escape.
  const std::string line = absl::StrFormat(
      R"({"what": "%s", "measured": %.6g, "sign": "%s", "goal": %g, "unit": "%s", "met": %s, "detail": "%s"})"
      "\n",
      what, measured, sign, goal, unit, met ? "true" : "false", detail);
  std::fputs(line.c_str(), file_);
  std::fflush(file_);
}

}  // namespace sluice::bench
