// Lines of text as a gateway's description of a request: profile, method, target, host, address, then headers as
// "name: value". Whatever is mapped names only what is within bounds, or is refused; without a policy nothing is
// allowed, and nothing that goes back to a gateway breaks a line of its headers.
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "server/doors/forward_auth_door.h"
#include "server/doors/nginx_door.h"
#include "tests/fuzz/door_node.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using sluice::Require;
  static const sluice::DoorOptions* const options = [] {
    auto* const made = new sluice::DoorOptions();
    made->mapping.domains = {"s3.example.cn", "kodo.example.cn"};
    made->mapping.requester_header = "x-account";
    made->mapping.operation_header = "x-operation";
    made->mapping.host_header = "x-host";
    made->mapping.address_header = "x-address";
    made->mapping.merge_slashes = true;
    return made;
  }();
  const std::vector<std::string> lines =
      absl::StrSplit(absl::string_view(reinterpret_cast<const char*>(data), size), '\n');
  if (lines.size() < 5) return 0;
  const auto profile = static_cast<sluice::Profile>(lines[0].empty() ? 0 : static_cast<uint8_t>(lines[0][0]) % 4);
  std::vector<sluice::HttpHeader> headers = {{"x-original-method", lines[1]},  {"x-original-uri", lines[2]},
                                             {"x-original-host", lines[3]},    {"x-real-ip", lines[4]},
                                             {"x-forwarded-method", lines[1]}, {"x-forwarded-uri", lines[2]},
                                             {"x-forwarded-host", lines[3]},   {"x-forwarded-for", lines[4]}};
  for (size_t i = 5; i < lines.size(); ++i) {
    const size_t colon = lines[i].find(':');
    if (colon == std::string::npos) continue;
    const absl::string_view line = lines[i];
    headers.push_back({line.substr(0, colon), absl::StripAsciiWhitespace(line.substr(colon + 1))});
  }
  sluice::HttpRequest request;
  request.method = lines[1];
  request.target = "/x";
  request.headers = headers;
  const auto check_headers = [](const sluice::HttpResponse& response) {
    for (const auto& [name, value] : response.headers) {
      Require(name.find_first_of("\r\n") == std::string::npos && value.find_first_of("\r\n") == std::string::npos);
    }
  };
  sluice::HttpResponse response;
  sluice::NginxDoor(options, &sluice::FuzzChecker()).Answer(profile, request, &response);
  Require(response.status == 403);
  check_headers(response);
  response.Clear();
  sluice::ForwardAuthDoor(options, &sluice::FuzzChecker()).Answer(profile, request, &response);
  Require(response.status == 400 || response.status == 503);
  check_headers(response);
  response.Clear();
  sluice::ForwardAuthDoor(options, &sluice::FuzzChecker()).AnswerReplayed(profile, lines[2], true, request, &response);
  Require(response.status == 400 || response.status == 403);
  return 0;
}
