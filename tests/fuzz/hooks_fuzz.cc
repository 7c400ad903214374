// The bodies of hooks: JSON of Ceph RGW, MinIO and SRS, nginx-rtmp's form, and the contract's JSON of /v1/check and
// /v1/report. The first byte chooses. Without a policy nothing may be allowed, and RGW gets a literal boolean whatever
// it sent.
#include <string>

#include "server/doors/ceph_rgw_door.h"
#include "server/doors/check_door.h"
#include "server/doors/live_doors.h"
#include "server/doors/minio_door.h"
#include "tests/fuzz/door_node.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using sluice::Require;
  if (size == 0) return 0;
  static const sluice::DoorOptions* const options = new sluice::DoorOptions();
  sluice::Checker& checker = sluice::FuzzChecker();
  sluice::HttpRequest request;
  request.method = "POST";
  request.body = absl::string_view(reinterpret_cast<const char*>(data) + 1, size - 1);
  sluice::HttpResponse response;
  switch (data[0] % 5) {
    case 0:
      sluice::CephRgwDoor(options, &checker).Answer(request, &response);
      Require(response.status == 200 && response.body == "{\"result\":false}");
      break;
    case 1:
      sluice::MinioDoor(options, &checker).Answer(request, &response);
      Require(response.status == 200 && response.body == "{\"result\":false}");
      break;
    case 2:
      sluice::SrsDoor(options, &checker).Answer(request, &response);
      break;
    case 3:
      sluice::NginxRtmpDoor(options, &checker).Answer(request, &response);
      break;
    default:
      sluice::CheckDoor(&checker).Check(request, &response);
      Require(response.status == 400 || response.body.find("VERDICT_DENY") != std::string::npos);
      response.Clear();
      sluice::CheckDoor(&checker).Report(request, &response);
      Require(response.status == 200 || response.status == 400);
      break;
  }
  return 0;
}
