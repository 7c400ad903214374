// Values of the configuration from text and back: what the table of keys (config_keys.cc) is made of. A text that is no
// such value is INVALID_ARGUMENT, "wanted ..., got '...'", and changes nothing.
#ifndef SLUICE_SERVER_CONFIG_VALUES_H_
#define SLUICE_SERVER_CONFIG_VALUES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/listen/address.h"

namespace sluice {

// What is wanted, for messages and for the help.
inline constexpr char kAddress[] = "unix:/PATH, HOST:PORT or [IPV6]:PORT";
inline constexpr char kMode[] = "an octal mode such as 0660";
inline constexpr char kBytes[] = "a number of bytes, also as 512MiB or 16GiB, from 1MiB to 64TiB";
inline constexpr char kPath[] = "an absolute path, or nothing";
inline constexpr char kName[] = "a name of at most 256 bytes";
inline constexpr char kOptionalAddress[] = "unix:/PATH, HOST:PORT, [IPV6]:PORT or off";
inline constexpr char kHeader[] = "the name of a header, or nothing";
inline constexpr char kDomains[] = "names of hosts, with commas between them, or nothing";
inline constexpr char kTcpAddress[] = "HOST:PORT, [IPV6]:PORT or off";

absl::Status Wanted(absl::string_view wanted, absl::string_view got);

absl::Status SetAddress(absl::string_view text, ListenAddress* address);
// "off" is none.
absl::Status SetOptionalAddress(absl::string_view text, absl::optional<ListenAddress>* address);
// The same without Unix sockets.
absl::Status SetTcpAddress(absl::string_view text, absl::optional<ListenAddress>* address);
std::string FormatOptionalAddress(const absl::optional<ListenAddress>& address);

absl::Status SetMode(absl::string_view text, uint32_t* mode);
// 1 MiB to 64 TiB; "KiB", "MiB", "GiB" and "TiB" multiply.
absl::Status SetBytes(absl::string_view text, uint64_t* bytes);
std::string FormatBytes(uint64_t bytes);
// From zero to `most`.
absl::Status SetDuration(absl::string_view text, absl::string_view wanted, absl::Duration most,
                         absl::Duration* duration);
absl::Status SetBool(absl::string_view text, bool* value);
absl::Status SetName(absl::string_view text, std::string* name);
// Absolute, or empty.
absl::Status SetPath(absl::string_view text, std::string* path);

// How requests are read that come through a door: server/doors/mapping.h.
absl::Status SetProfile(absl::string_view text, absl::string_view wanted, std::string* profile);
// The name of a header, in lower case.
absl::Status SetHeader(absl::string_view text, std::string* header);
// Hosts with commas between them, each in its one form.
absl::Status SetDomains(absl::string_view text, std::vector<std::string>* domains);

template <typename Number>
absl::Status SetNumber(absl::string_view text, absl::string_view wanted, Number least, Number most, Number* number) {
  Number value;
  if (!absl::SimpleAtoi(text, &value) || value < least || value > most) return Wanted(wanted, text);
  *number = value;
  return absl::OkStatus();
}

}  // namespace sluice

#endif  // SLUICE_SERVER_CONFIG_VALUES_H_
