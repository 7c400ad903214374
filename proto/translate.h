// The one translation between the messages of sluice.v1 and the plain values of enforcement/.
//
// Nothing is judged here: every field goes over as it is. Enum numbers that this version does not know go over too; one
// outside 0..255, which a plain value cannot hold, becomes 255, which has no name. Times keep their nanoseconds, and
// are held within what a Timestamp may say (years 1 to 9999).
#ifndef SLUICE_PROTO_TRANSLATE_H_
#define SLUICE_PROTO_TRANSLATE_H_

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "enforcement/check.h"
#include "enforcement/engine.h"
#include "enforcement/event.h"
#include "sluice/v1/admin.pb.h"
#include "sluice/v1/check.pb.h"
#include "sluice/v1/policy.pb.h"

namespace sluice {

// Views into `message`, which must outlive the result. `*input` is overwritten whole.
void FromProto(const v1::CheckRequest& message, CheckInput* input);
UsageInput FromProto(const v1::Usage& message);
// `*message` is overwritten whole. Reuses its memory. The HTTP hint is set only where the verdict is not ALLOW. Without
// `detail` (what the check asked for, so CheckInput::detail at a door) all_reasons and set_by stay unset: the engine
// fills all_reasons for the decision log whatever was asked. `trace_id` goes into refusals alone; empty = none.
void ToProto(const Decision& decision, absl::string_view request_id, v1::CheckResponse* message, bool detail = true,
             absl::string_view trace_id = {});
void ToProto(const CheckInput& input, v1::CheckRequest* message);

PolicyEvent FromProto(const v1::PolicyEvent& message);
void ToProto(const PolicyEvent& event, v1::PolicyEvent* message);
// With revision and arrived_at, as kept and exported.
StampedEvent StampedFromProto(const v1::PolicyEvent& message);
void ToProto(const StampedEvent& event, v1::PolicyEvent* message);

Subject FromProto(const v1::Subject& message);
void ToProto(const Subject& subject, v1::Subject* message);
Announcement FromProto(const v1::Announcement& message);
void ToProto(const Announcement& announcement, v1::Announcement* message);
void ToProto(const Description& description, v1::DescribeResponse* message);  // all but in_force
void ToProto(const ExplainStep& step, v1::ExplainStep* message);

absl::Time FromProto(const google::protobuf::Timestamp& message);
void ToProto(absl::Time time, google::protobuf::Timestamp* message);

}  // namespace sluice

#endif  // SLUICE_PROTO_TRANSLATE_H_
