#include "server/admin/credentials.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace sluice {
namespace {

constexpr absl::string_view kBearer = "bearer ";

absl::string_view View(const grpc::string_ref& text) { return {text.data(), text.size()}; }

// The token of an authorization header. One that is no bearer token, or one of several, is a token that nobody has: a
// caller that shows a wrong credential is not taken for who else it might be.
absl::optional<std::string> TokenOf(const grpc::ServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto [first, last] = metadata.equal_range("authorization");
  if (first == last) return absl::nullopt;
  const absl::string_view value = View(first->second);
  if (std::next(first) != last || !absl::StartsWithIgnoreCase(value, kBearer)) return "";
  return std::string(value.substr(kBearer.size()));
}

absl::optional<Credential::Certificate> CertificateOf(const grpc::ServerContext& context) {
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return absl::nullopt;
  Credential::Certificate certificate;
  for (const grpc::string_ref& name : auth->FindPropertyValues(GRPC_X509_SAN_PROPERTY_NAME)) {
    certificate.names.emplace_back(View(name));
  }
  const std::vector<grpc::string_ref> common = auth->FindPropertyValues(GRPC_X509_CN_PROPERTY_NAME);
  if (!common.empty()) certificate.common_name = std::string(View(common.front()));
  if (certificate.names.empty() && certificate.common_name.empty()) return absl::nullopt;
  return certificate;
}

}  // namespace

Credential CredentialOf(const grpc::ServerContext& context, const absl::optional<Credential::Peer>& peer) {
  Credential credential;
  credential.token = TokenOf(context);
  credential.certificate = CertificateOf(context);
  credential.peer = peer;
  return credential;
}

}  // namespace sluice
