// What an answer leaves for Envoy's access log and for its later filters: dynamic metadata. None of it reaches clients.
#ifndef SLUICE_SERVER_DOORS_ENVOY_METADATA_H_
#define SLUICE_SERVER_DOORS_ENVOY_METADATA_H_

#include <google/protobuf/struct.pb.h>

#include "enforcement/check.h"

namespace sluice {

// verdict, reason, clause, rule_id and warning as text; revision and shape_bytes_per_second as numbers. What has
// nothing to say is absent.
void FillMetadata(const Decision& decision, google::protobuf::Struct* metadata);

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_ENVOY_METADATA_H_
