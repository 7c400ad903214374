#include "server/admin/credentials.h"

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace sluice {
namespace {

constexpr absl::string_view kBearer = "bearer ";
// How soon a certificate that changed on disk is used.
constexpr unsigned kRefreshSeconds = 1;

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

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> TlsCredentials(const TlsFiles& files) {
  // gRPC itself would say nothing until the first handshake fails.
  for (const std::string& file : {files.certificate, files.key, files.client_ca}) {
    if (!file.empty() && access(file.c_str(), R_OK) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", file));
    }
  }
  auto provider = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      files.key, files.certificate, files.client_ca, kRefreshSeconds);
  grpc::experimental::TlsServerCredentialsOptions options(provider);
  options.watch_identity_key_cert_pairs();
  if (!files.client_ca.empty()) {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

}  // namespace sluice
