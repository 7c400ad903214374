// Whatever bytes come as a CheckRequest: read, or refused, exactly as the library does.
#include <stdlib.h>

#include <string>

#include "proto/check_codec.h"
#include "proto/translate.h"
#include "sluice/v1/check.pb.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  sluice::v1::CheckRequest message;
  const bool library = message.ParseFromArray(data, static_cast<int>(size));
  sluice::CheckInput ours;
  if (sluice::DecodeCheckRequest(bytes, &ours) != library) abort();
  if (!library) return 0;
  sluice::CheckInput theirs;
  sluice::FromProto(message, &theirs);
  sluice::v1::CheckRequest a, b;
  sluice::ToProto(ours, &a);
  sluice::ToProto(theirs, &b);
  if (a.SerializeAsString() != b.SerializeAsString()) abort();
  return 0;
}
