// The Date of HTTP responses.
#ifndef SLUICE_SERVER_LISTEN_HTTP_DATE_H_
#define SLUICE_SERVER_LISTEN_HTTP_DATE_H_

#include "absl/strings/string_view.h"

namespace sluice {

// "Thu, 26 Nov 2026 07:50:53 GMT", by the machine's clock; good until the next call on the same thread. Written anew
// once a second and thread; else as cheap as reading the coarse clock. Nothing is decided by it.
absl::string_view HttpDateNow();

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_HTTP_DATE_H_
