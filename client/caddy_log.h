// Caddy's own access log: a JSON object a line.
#ifndef SLUICE_CLIENT_CADDY_LOG_H_
#define SLUICE_CLIENT_CADDY_LOG_H_

#include <string>

#include "absl/strings/string_view.h"
#include "client/access_log.h"

namespace sluice {

// Writes what `json` says as a line of the common format, its target in absolute form so that it names the host, over
// `*line`. What Caddy leaves out, or no line of that format can hold (a host or user with blanks), is left out.
// An error where the object lacks what a line must have; kNoClient where it is none of Caddy's objects.
// Source: Caddy 2.6, "handled request"; `client_ip` came with 2.7.
AccessLineError CommonOfCaddy(absl::string_view json, std::string* line);

}  // namespace sluice

#endif  // SLUICE_CLIENT_CADDY_LOG_H_
