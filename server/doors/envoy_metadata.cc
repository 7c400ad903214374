#include "server/doors/envoy_metadata.h"

#include <string>

#include "absl/strings/string_view.h"

namespace sluice {

void FillMetadata(const Decision& decision, google::protobuf::Struct* metadata) {
  auto& fields = *metadata->mutable_fields();
  const auto text = [&](const char* name, absl::string_view value) {
    if (!value.empty()) fields[name].set_string_value(std::string(value));
  };
  text("verdict", Name(decision.verdict));
  text("reason", decision.reason == Reason::kUnspecified ? absl::string_view() : Name(decision.reason));
  text("clause", decision.clause);
  text("rule_id", decision.rule_id);
  text("warning", decision.warnings.empty() ? absl::string_view() : Name(decision.warnings.front()));
  fields["revision"].set_number_value(static_cast<double>(decision.revision));
  if (decision.shape_bytes_per_second > 0) {
    fields["shape_bytes_per_second"].set_number_value(static_cast<double>(decision.shape_bytes_per_second));
  }
}

}  // namespace sluice
