#include "server/doors/doors.h"

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace sluice {
namespace {

void MethodNotAllowed(HttpResponse* response) {
  response->status = 405;
  AddHeader(response, "Allow", "POST");
}

absl::string_view PathOf(absl::string_view target) { return target.substr(0, target.find('?')); }

absl::Status UnknownProfile(absl::string_view door) {
  return absl::InvalidArgumentError(
      absl::StrCat("path: wanted ", door, "/PROFILE, where PROFILE is cdn, s3-path, s3-vhost or kodo"));
}

}  // namespace

// One function as a handler of the listener.
class Doors::Handler final : public HttpHandler {
 public:
  explicit Handler(std::function<void(const HttpRequest&, HttpResponse*)> answer) : answer_(std::move(answer)) {}
  void Answer(const HttpRequest& request, HttpResponse* response) override { answer_(request, response); }

 private:
  const std::function<void(const HttpRequest&, HttpResponse*)> answer_;
};

template <typename Answer>
HttpHandler* Doors::Make(Answer answer) {
  handlers_.push_back(std::make_unique<Handler>(std::move(answer)));
  return handlers_.back().get();
}

Doors::Doors(DoorOptions options, Checker* checker, Router* router)
    : options_(std::move(options)),
      checker_(checker),
      check_(checker),
      nginx_(&options_, checker),
      forward_(&options_, checker),
      rgw_(&options_, checker),
      minio_(&options_, checker),
      rtmp_(&options_, checker),
      srs_(&options_, checker),
      authorization_(&options_, checker),
      rate_limit_(&options_, checker),
      spoe_(&options_, checker) {
  AddHooks(router);
  AddProxies(router);
  router->AddGrpc(EnvoyAuthorization::kPath, &authorization_);
  router->AddGrpc(EnvoyRateLimit::kPath, &rate_limit_);
}

Doors::~Doors() = default;

void Doors::AddHooks(Router* router) {
  const auto post = [this](auto answer) {
    return Make([answer](const HttpRequest& request, HttpResponse* response) {
      if (request.method != "POST") {
        MethodNotAllowed(response);
      } else {
        answer(request, response);
      }
    });
  };
  using Request = HttpRequest;
  using Response = HttpResponse;
  router->AddHttp("/v1/check", post([this](const Request& in, Response* out) { check_.Check(in, out); }));
  router->AddHttp("/v1/report", post([this](const Request& in, Response* out) { check_.Report(in, out); }));
  HttpHandler* const rgw = post([this](const Request& in, Response* out) { rgw_.Answer(in, out); });
  router->AddHttp("/ceph-rgw", rgw);
  router->AddHttp("/v1/data/ceph/authz", rgw);  // where Open Policy Agent has it
  router->AddHttp("/minio", post([this](const Request& in, Response* out) { minio_.Answer(in, out); }));
  router->AddHttp("/nginx-rtmp", post([this](const Request& in, Response* out) { rtmp_.Answer(in, out); }));
  router->AddHttp("/srs", post([this](const Request& in, Response* out) { srs_.Answer(in, out); }));
}

void Doors::AddProxies(Router* router) {
  router->AddHttp("/nginx", Make([this](const HttpRequest& request, HttpResponse* response) {
                    nginx_.Answer(options_.profile, request, response);
                  }));
  router->AddHttpPrefix("/nginx/", Make([this](const HttpRequest& request, HttpResponse* response) {
                          const auto profile = ParseProfile(absl::StripPrefix(PathOf(request.target), "/nginx/"));
                          if (!profile) {
                            checker_->OnUnreadable();
                            NginxDoor::Refuse(UnknownProfile("/nginx"), request.trace_parent(), response);
                            return;
                          }
                          nginx_.Answer(*profile, request, response);
                        }));
  router->AddHttp("/forward", Make([this](const HttpRequest& request, HttpResponse* response) {
                    forward_.Answer(options_.profile, request, response);
                  }));
  router->AddHttpPrefix("/forward/", Make([this](const HttpRequest& request, HttpResponse* response) {
                          const auto profile = ParseProfile(absl::StripPrefix(PathOf(request.target), "/forward/"));
                          if (!profile) {
                            checker_->OnUnreadable();
                            RenderUnmapped(UnknownProfile("/forward"), request.trace_parent(), response);
                            return;
                          }
                          forward_.Answer(*profile, request, response);
                        }));
  router->AddHttpPrefix("/envoy/", Make([this](const HttpRequest& request, HttpResponse* response) {
                          const absl::string_view rest = absl::StripPrefix(request.target, "/envoy/");
                          const size_t slash = rest.find('/');
                          const auto profile = ParseProfile(rest.substr(0, slash));
                          if (!profile || slash == absl::string_view::npos) {
                            checker_->OnUnreadable();
                            RenderUnmapped(UnknownProfile("/envoy"), request.trace_parent(), response);
                            return;
                          }
                          forward_.AnswerReplayed(*profile, rest.substr(slash), /*below_500=*/true, request, response);
                        }));
  if (!options_.fallback) return;
  router->AddHttpPrefix("/", Make([this](const HttpRequest& request, HttpResponse* response) {
                          forward_.AnswerReplayed(*options_.fallback, request.target, /*below_500=*/false, request,
                                                  response);
                        }));
}

}  // namespace sluice
