// CheckRequest from bytes and CheckResponse to bytes without a message object in between: text is viewed where it lies.
// The same as FromProto(message the library parsed) and the library's bytes of ToProto(decision), which the tests hold
// against each other over mutated messages.
#ifndef SLUICE_PROTO_CHECK_CODEC_H_
#define SLUICE_PROTO_CHECK_CODEC_H_

#include <string>

#include "absl/strings/string_view.h"
#include "enforcement/check.h"

namespace sluice {

// Fills `*input`, which is as one that was just made; door and trace_parent stay as they were set. Views into `bytes`.
// False where the library would refuse them: the message is cut, or a text field is not UTF-8; then `*input` is of no
// use. Unknown fields are skipped; of a field that comes twice the last counts, and messages are merged. No allocation
// below three hashes.
bool DecodeCheckRequest(absl::string_view bytes, CheckInput* input);

// Appends to `*out` what the library would write, byte for byte. Without `detail` (what the check asked for)
// all_reasons and set_by stay out. `trace_id` goes into refusals alone; empty = none.
void EncodeCheckResponse(const Decision& decision, absl::string_view request_id, absl::string_view trace_id,
                         bool detail, std::string* out);

}  // namespace sluice

#endif  // SLUICE_PROTO_CHECK_CODEC_H_
