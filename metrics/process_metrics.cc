#include "metrics/process_metrics.h"

#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "metrics/families.h"

namespace sluice {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

std::string Read(const char* path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The number behind "NAME " in a file of lines, such as "Max open files" in /proc/self/limits; 0 where there is none.
double NumberAfter(absl::string_view text, absl::string_view name) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.substr(0, name.size()) != name) continue;
    const std::vector<absl::string_view> words = absl::StrSplit(line.substr(name.size()), ' ', absl::SkipWhitespace());
    double number = 0;
    if (!words.empty() && absl::SimpleAtod(words[0], &number)) return number;
  }
  return 0;
}

double Seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// When the machine was booted; Unix time. Not btime of /proc/stat: ProcSubset=pid, as in the packaged unit, hides it.
// Settled once: else each scrape would differ a little from the one before, and each step of the wall clock look as if
// the process had begun anew (SluiceRestartLoop counts such changes).
double BootTime() {
  static const double booted = Seconds(CLOCK_REALTIME) - Seconds(CLOCK_BOOTTIME);
  return booted;
}

double CountOpenFiles() {
  std::error_code error;
  double count = 0;
  for (std::filesystem::directory_iterator files("/proc/self/fd", error), end; !error && files != end;
       files.increment(error)) {
    ++count;
  }
  return count;
}

}  // namespace

std::vector<MetricFamily> ProcessMetrics() {
  std::vector<MetricFamily> families;
  const std::string stat = Read("/proc/self/stat");
  const size_t name_ends = stat.rfind(") ");  // the name of the program may have anything in it
  if (name_ends == std::string::npos) return families;
  // From the state on; man 5 proc counts it as field 3.
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(name_ends + 2), ' ');
  const auto field = [&fields](size_t number) {
    double value = 0;
    return fields.size() > number - 3 && absl::SimpleAtod(fields[number - 3], &value) ? value : 0;
  };
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  families.push_back(Single("process_cpu_seconds_total", "CPU time used, of user and system.", MetricType::Counter,
                            (field(14) + field(15)) / ticks));
  families.push_back(Single("process_threads", "Threads.", MetricType::Gauge, field(20)));
  families.push_back(Single("process_virtual_memory_bytes", "Address space, the bound of the store included.",
                            MetricType::Gauge, field(23)));
  families.push_back(Single("process_resident_memory_bytes", "Memory in use.", MetricType::Gauge, field(24) * page));
  families.push_back(Single("process_start_time_seconds", "When the process began; Unix time.", MetricType::Gauge,
                            BootTime() + field(22) / ticks));
  families.push_back(Single("process_open_fds", "Open files and sockets.", MetricType::Gauge, CountOpenFiles()));
  families.push_back(Single("process_max_fds", "The most files and sockets that may be open.", MetricType::Gauge,
                            NumberAfter(Read("/proc/self/limits"), "Max open files")));
  return families;
}

}  // namespace sluice
