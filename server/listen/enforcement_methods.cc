#include "server/listen/enforcement_methods.h"

namespace sluice {

EnforcementMethods::EnforcementMethods(Checker* checker, Router* router)
    : check_(checker), batch_(checker, &Checker::CheckBatchBytes), report_(checker, &Checker::ReportBytes) {
  router->AddGrpc("/sluice.v1.Enforcement/Check", &check_);
  router->AddGrpc("/sluice.v1.Enforcement/CheckBatch", &batch_);
  router->AddGrpc("/sluice.v1.Enforcement/CheckStream", &check_, GrpcRoute::Flow::kStream);
  router->AddGrpc("/sluice.v1.Enforcement/Report", &report_);
}

}  // namespace sluice
