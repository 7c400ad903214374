// grpc.reflection.v1alpha.ServerReflection: lets grpcurl and its like call what is served without its .proto files.
#ifndef SLUICE_SERVER_LISTEN_REFLECTION_H_
#define SLUICE_SERVER_LISTEN_REFLECTION_H_

#include <string>

#include "absl/strings/string_view.h"
#include "server/listen/router.h"
#include "server/listen/unary_method.h"

namespace sluice {

// Answers from the descriptors that this program was linked with. Thread-safe.
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
