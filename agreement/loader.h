// Reads an agreement pack from YAML (default.yaml shows the form) into the plain structs of enforcement/pack.h. A pack
// is read whole or refused whole.
//
// Beyond the form it refuses what no pack may say: PAY or MANAGE_READ denied (7.4), another order of precedence, a
// refusal whose HTTP status reads as success, an answer that is cached for more than 5 s, a cause or a category given
// to a role that may not send the change at all.
#ifndef SLUICE_AGREEMENT_LOADER_H_
#define SLUICE_AGREEMENT_LOADER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "enforcement/pack.h"

namespace sluice {

// The pack in `text`; `file_name` stands in errors alone. INVALID_ARGUMENT lists every error found, up to 20, a line
// each: "FILE:LINE: what: wanted X, got Y". Thread-safe; never throws.
absl::StatusOr<std::unique_ptr<const Pack>> LoadPack(absl::string_view text, absl::string_view file_name);

// The same from a file; blocks on reading it. Where that fails: the code and text of the
// system's error, NOT_FOUND, PERMISSION_DENIED and so on.
absl::StatusOr<std::unique_ptr<const Pack>> LoadPackFile(const std::string& path);

// The pack that is compiled in: agreement/default.yaml.
absl::StatusOr<std::unique_ptr<const Pack>> LoadDefaultPack();
// Its text, of static storage: what an operator starts from.
absl::string_view DefaultPackText();

}  // namespace sluice

#endif  // SLUICE_AGREEMENT_LOADER_H_
