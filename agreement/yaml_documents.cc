#include "agreement/yaml_documents.h"

#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <exception>
#include <sstream>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "enforcement/names.h"

namespace sluice {
namespace {

// yaml-cpp counts from 0.
int LineOf(const YAML::Mark& mark) { return mark.is_null() ? 1 : mark.line + 1; }

// YAML has no control characters but tab and the ends of lines.
bool IsForbidden(char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\t' && c != '\r'; }

// Throws where a document begins at the token at which the one before it began. A token that begins nothing, such as a
// comma outside brackets, is left where it is by yaml-cpp 0.7, which takes it for an empty document and then for the
// next one, without end.
class EveryDocumentGoesOn : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (mark.pos <= position_) throw YAML::ParserException(mark, "something that begins no value");
    position_ = mark.pos;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  int position_ = -1;
};

}  // namespace

absl::StatusOr<std::vector<YAML::Node>> LoadYamlDocuments(absl::string_view text, absl::string_view file) {
  const auto refused = [file](int line, absl::string_view what, absl::string_view wanted, absl::string_view got) {
    return absl::InvalidArgumentError(absl::StrCat(file, ":", line, ": ", what, ": wanted ", wanted, ", got ", got));
  };
  int line = 1;
  for (const absl::string_view piece : absl::StrSplit(text, '\n')) {
    if (!IsUtf8(piece)) return refused(line, "encoding", "UTF-8", "malformed bytes");
    if (std::any_of(piece.begin(), piece.end(), IsForbidden)) {
      return refused(line, "encoding", "text", "a control character");
    }
    ++line;
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    EveryDocumentGoesOn check;
    while (parser.HandleNextDocument(check)) {
    }
    return YAML::LoadAll(std::string(text));
  } catch (const YAML::Exception& error) {
    return refused(LineOf(error.mark), "syntax", "well-formed YAML", error.msg);
  } catch (const std::exception& error) {
    return refused(1, "syntax", "well-formed YAML", error.what());
  }
}

}  // namespace sluice
