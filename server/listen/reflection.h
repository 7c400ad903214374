// grpc.reflection.v1alpha.ServerReflection: lets grpcurl and its like call what is served without its .proto files.
// Answers come from the descriptors that this program was linked with.
#ifndef SLUICE_SERVER_LISTEN_REFLECTION_H_
#define SLUICE_SERVER_LISTEN_REFLECTION_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/listen/router.h"
#include "server/listen/unary_method.h"

namespace sluice {

inline constexpr char kReflectionMethod[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

// Appends the ServerReflectionResponse to `request`, a ServerReflectionRequest, to `*response`. `services` is what it
// lists. INVALID_ARGUMENT where `request` is none. Thread-safe.
absl::Status AnswerReflection(absl::string_view request, const std::vector<std::string>& services,
                              std::string* response);

// As the router's listeners serve it. Thread-safe.
class Reflection final : public UnaryMethod {
 public:
  // Adds itself to `*router`, which must live as long, and whose services it lists.
  explicit Reflection(Router* router);
  absl::Status Call(absl::string_view request, const CallContext& context, std::string* response) override;

 private:
  const Router* const router_;
};

}  // namespace sluice

#endif  // SLUICE_SERVER_LISTEN_REFLECTION_H_
