#include "server/listen/router.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"

namespace sluice {

void Router::AddGrpc(absl::string_view path, UnaryMethod* method, GrpcRoute::Flow flow) {
  grpc_.insert_or_assign(std::string(path), GrpcRoute{method, flow});
}

void Router::AddHttp(absl::string_view path, HttpHandler* handler) {
  http_.insert_or_assign(std::string(path), handler);
}

void Router::AddHttpPrefix(absl::string_view prefix, HttpHandler* handler) {
  prefixes_.erase(
      std::remove_if(prefixes_.begin(), prefixes_.end(), [prefix](const auto& entry) { return entry.first == prefix; }),
      prefixes_.end());
  prefixes_.emplace_back(std::string(prefix), handler);
  std::stable_sort(prefixes_.begin(), prefixes_.end(),
                   [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
}

const GrpcRoute* Router::FindGrpc(absl::string_view path) const {
  const auto found = grpc_.find(path);
  return found == grpc_.end() ? nullptr : &found->second;
}

HttpHandler* Router::FindHttp(absl::string_view target) const {
  const absl::string_view path = target.substr(0, target.find('?'));
  const auto found = http_.find(path);
  if (found != http_.end()) return found->second;
  for (const auto& [prefix, handler] : prefixes_) {
    if (absl::StartsWith(path, prefix)) return handler;
  }
  return nullptr;
}

std::vector<std::string> Router::GrpcServices() const {
  std::set<std::string> services;
  for (const auto& [path, route] : grpc_) {
    const size_t end = path.rfind('/');
    if (end != std::string::npos && end > 1) services.insert(path.substr(1, end - 1));
  }
  return {services.begin(), services.end()};
}

}  // namespace sluice
