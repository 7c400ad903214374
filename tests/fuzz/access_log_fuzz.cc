// Lines of an access log: each is read or has an error of a closed set; what is read lies within the line or its
// buffer.
#include <stdlib.h>

#include "client/access_log.h"

namespace {

bool Within(absl::string_view part, absl::string_view whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view text(reinterpret_cast<const char*>(data), size);
  sluice::AccessLine line;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const absl::string_view one = text.substr(0, end);
    text = end == absl::string_view::npos ? absl::string_view() : text.substr(end + 1);
    if (sluice::ParseAccessLine(one, &line) != sluice::AccessLineError::kNone) continue;
    for (const absl::string_view part :
         {line.client, line.user, line.request, line.method, line.host, line.path, line.protocol, line.referer}) {
      if (part != "/" && !Within(part, one) && !Within(part, line.unescaped) && !Within(part, line.rewritten)) {
        abort();
      }
    }
    if (line.status < 100 || line.status > 999 || line.bytes < 0) abort();
  }
  return 0;
}
