#include "enforcement/failure_policy.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace sluice {

absl::optional<FailureChoice> ParseFailureChoice(absl::string_view text) {
  FailureChoice choice;
  if (text == "deny") return choice;
  if (text == "allow") {
    choice.allowed = kEveryOperation;
    return choice;
  }
  if (text == "decide") {
    choice.decide = true;
    return choice;
  }
  for (const absl::string_view word : absl::StrSplit(text, ',')) {
    const std::string name = absl::AsciiStrToUpper(absl::StripAsciiWhitespace(word));
    int operation = 1;
    while (operation < kOperationCount && Name(static_cast<Operation>(operation)) != name) ++operation;
    if (operation == kOperationCount) return absl::nullopt;
    choice.allowed |= uint32_t{1} << operation;
  }
  return choice;
}

std::string FormatFailureChoice(const FailureChoice& choice) {
  if (choice.decide) return "decide";
  if (choice.allowed == 0) return "deny";
  if (choice.allowed == kEveryOperation) return "allow";
  std::string text;
  for (int operation = 1; operation < kOperationCount; ++operation) {
    if ((choice.allowed >> operation & 1) == 0) continue;
    absl::StrAppend(&text, text.empty() ? "" : ",", Name(static_cast<Operation>(operation)));
  }
  return text;
}

}  // namespace sluice
