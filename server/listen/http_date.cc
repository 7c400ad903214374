#include "server/listen/http_date.h"

#include <stdio.h>
#include <time.h>

namespace sluice {

absl::string_view HttpDateNow() {
  // Not strftime, whose names are those of the locale.
  constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  thread_local time_t written = -1;
  thread_local char text[64];
  thread_local int size = 0;
  timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (now.tv_sec != written) {
    written = now.tv_sec;
    tm parts;
    gmtime_r(&written, &parts);
    size = snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[parts.tm_wday], parts.tm_mday,
                    kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
  }
  return absl::string_view(text, static_cast<size_t>(size));
}

}  // namespace sluice
