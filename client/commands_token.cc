// token: a new bearer token for the access file of a node; and the credentials that sluicectl itself shows.
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <ostream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands.h"

namespace sluice {
namespace {

constexpr size_t kTokenBytes = 32;
constexpr size_t kFileBytesMax = size_t{1} << 20;

absl::StatusOr<std::string> ReadFile(absl::string_view flag, const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat(flag, ": cannot read ", path));
  if (static_cast<size_t>(info.st_size) > kFileBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": ", path, ": wanted at most ", kFileBytesMax, " bytes, got ", info.st_size));
  }
  std::ifstream stream(path, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  if (!stream) return absl::ErrnoToStatus(errno, absl::StrCat(flag, ": cannot read ", path));
  return text.str();
}

// Whether what is sent to `address` stays on this machine.
bool IsLocal(absl::string_view address) {
  return absl::StartsWith(address, "unix:") || absl::StartsWith(address, "127.") ||
         absl::StartsWith(address, "[::1]:") || absl::StartsWith(address, "localhost:");
}

int RunToken(const Session& session) {
  unsigned char random[kTokenBytes];
  if (RAND_bytes(random, sizeof(random)) != 1) return session.Fail(absl::InternalError("no randomness to be had"));
  const std::string token =
      absl::WebSafeBase64Escape(absl::string_view(reinterpret_cast<const char*>(random), sizeof(random)));
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest);
  const std::string hex =
      absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
  // The token alone on standard output, so that it can go straight into its file.
  *session.out << token << "\n";
  *session.err << "for the caller's entry in the access file of the node (admin.access):\n  token_sha256: " << hex
               << "\n";
  return kExitOk;
}

}  // namespace

absl::Status ReadCredentials(Session* session) {
  struct File {
    absl::string_view flag;
    const std::string* path;
    std::string* text;
  };
  for (const File& file : {File{"--tls-ca", &session->tls_ca_path, &session->tls_ca},
                           File{"--tls-cert", &session->tls_certificate_path, &session->tls_certificate},
                           File{"--tls-key", &session->tls_key_path, &session->tls_key},
                           File{"--token-file", &session->token_path, &session->token}}) {
    if (file.path->empty()) continue;
    absl::StatusOr<std::string> text = ReadFile(file.flag, *file.path);
    if (!text.ok()) return text.status();
    *file.text = *std::move(text);
  }
  session->token = std::string(absl::StripAsciiWhitespace(session->token));
  if (!session->token_path.empty() && session->token.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("--token-file: ", session->token_path, " holds no token"));
  }
  if (session->tls_certificate.empty() != session->tls_key.empty()) {
    return absl::InvalidArgumentError("wanted both or neither of --tls-cert and --tls-key");
  }
  if (session->tls_ca.empty() && !session->tls_certificate.empty()) {
    return absl::InvalidArgumentError(
        "--tls-cert: wanted --tls-ca with it, so that it is shown to the right server alone");
  }
  if (session->check_tls && session->tls_ca.empty()) {
    return absl::InvalidArgumentError("--check-tls: wanted --tls-ca with it, for the certificate of the server");
  }
  if (!session->token.empty() && session->tls_ca.empty() && !IsLocal(session->admin_address)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--token-file: wanted --tls-ca with it, since the token would go to ", session->admin_address,
                     " in the clear"));
  }
  return absl::OkStatus();
}

void AddTokenCommand(CLI::App* app, Session* session) {
  AddCommand(app, session, "token",
             "Make a bearer token: 256 random bits on standard output, and what its node needs to know it by.",
             "sluicectl token > billing.token", [=] { return RunToken(*session); });
}

}  // namespace sluice
