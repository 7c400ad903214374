// An ApplyRequest as it comes off the wire: whatever it holds, each event is applied or refused, the same way twice,
// and checks and announcements go on being answered.
#include <stdlib.h>

#include "proto/translate.h"
#include "sluice/v1/admin.pb.h"
#include "tests/enforcement/node.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::v1::ApplyRequest request;
  if (!request.ParseFromArray(data, static_cast<int>(size))) return 0;
  if (request.events_size() > 64) return 0;
  sluice::Node one, two;
  for (const auto& message : request.events()) {
    const sluice::PolicyEvent event = sluice::FromProto(message);
    const sluice::Reduction first = one.SendEvent(event);
    const sluice::Reduction second = two.SendEvent(event);
    if (first.outcome != second.outcome || first.error != second.error) abort();
    if (first.outcome == sluice::Outcome::kRejected && (first.error.empty() || !first.upserts.empty())) abort();
    // An event that was applied can be kept: it survives the wire.
    if (first.outcome == sluice::Outcome::kApplied) {
      sluice::v1::PolicyEvent kept;
      sluice::ToProto(first.event, &kept);
      sluice::v1::PolicyEvent again;
      sluice::ToProto(sluice::FromProto(kept), &again);
      if (kept.SerializeAsString() != again.SerializeAsString()) abort();
    }
    one.MoveTo(one.now().wall + absl::Hours(25));
    two.MoveTo(two.now().wall + absl::Hours(25));
    if (one.Announce().size() != two.Announce().size()) abort();
    const sluice::CheckInput input = sluice::Ask(sluice::Operation::kDownload, "u1", "b1", "k1");
    if (one.Check(input).verdict != two.Check(input).verdict) abort();
  }
  return 0;
}
