// The flags on objects, versions, hashes and URLs, of which there may be a hundred million: too many to compile into
// memory, so the filter is asked first and what may be flagged is looked up here. store/flag_index.h implements it.
#ifndef SLUICE_ENFORCEMENT_FLAG_READER_H_
#define SLUICE_ENFORCEMENT_FLAG_READER_H_

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "enforcement/names.h"
#include "enforcement/values.h"

namespace sluice {

// A flag for the stretch of time in which it reads so. Views memory of the reader, for the length of a visit.
struct FlagPiece {
  absl::string_view id;
  absl::string_view category;                  // a clause
  Severity severity = Severity::kUnspecified;  // as it was raised: unspecified = that of the category
  Role set_by = Role::kUnspecified;
  absl::Time from, until;
  // More than this is to be known of the flag: exceptions, or subjects of other kinds. It is compiled whole.
  bool whole = false;
  bool trial = false;  // evaluated, and changes no answer
};

// Whether flags on subjects of `kind` are looked up here.
constexpr bool IsFiltered(SubjectKind kind) {
  return kind == SubjectKind::kObject || kind == SubjectKind::kObjectVersion || kind == SubjectKind::kHash ||
         kind == SubjectKind::kUrl;
}

class FlagReader {
 public:
  virtual ~FlagReader() = default;
  // Calls `visit` with each piece of each flag on `subject`, as last committed. False where they cannot be read: then
  // nothing is known of the subject. Thread-safe; takes no lock that can wait; may wait for a page of the disk.
  virtual bool Find(Hash128 subject, absl::FunctionRef<void(const FlagPiece&)> visit) const = 0;
};

}  // namespace sluice

#endif  // SLUICE_ENFORCEMENT_FLAG_READER_H_
