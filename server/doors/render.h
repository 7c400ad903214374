// Decisions as HTTP: what the client of a gateway gets to see, in the dialect of its service, and the headers that tell
// a gateway what to do.
//
// What a third party is told names neither account, bucket, key, state nor reason (clause 6): reason and clause go into
// headers for gateways that keep them to themselves, never into bodies.
#ifndef SLUICE_SERVER_DOORS_RENDER_H_
#define SLUICE_SERVER_DOORS_RENDER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "enforcement/check.h"
#include "server/listen/http_message.h"

namespace sluice {

struct RenderOptions {
  // Of RFC 7725: who blocks. "https://provider.example.cn/legal"; empty = no Link field, since there is nothing to
  // name.
  std::string blocked_by;
};

// Seconds of Retry-After: rounded up, at least 1, at most a day; 0 where the answer calls for none.
int64_t RetryAfterSeconds(const Decision& decision);

// What a refusal repeats of the request that it answers. All of it is the client's own: request and trace are what it
// can name to support staff, who find them in the decision log, and S3's clients print as request id and host id.
struct ClientRequest {
  absl::string_view request_id;
  absl::string_view trace_parent;  // as ParseTraceParent gives it
  absl::string_view resource;      // the path as the client sent it
  absl::string_view accept;        // the Accept header
};
// Of the request that a door mapped `input` from.
ClientRequest ClientRequestOf(const CheckInput& input, absl::string_view target, absl::string_view accept);

// The answer to a client: status, Retry-After, RateLimit fields, Cache-Control, Link, and a body of the dialect. An
// allow is 200 without a body.
void RenderForClient(const RenderOptions& options, const Decision& decision, Dialect dialect,
                     const ClientRequest& request, HttpResponse* response);

// The body and its Content-Type alone, for callers that send status and headers on their own.
std::string RenderBody(const Decision& decision, Dialect dialect, const ClientRequest& request,
                       absl::string_view* content_type);

// The headers that a client gets beside the body: RateLimit and RateLimit-Policy where a limit on requests was looked
// at, of an allow too; of a refusal Retry-After, Cache-Control and Link.
void AddClientHeaders(const RenderOptions& options, const Decision& decision, ResponseFields* headers);

// X-Sluice-Verdict, -Reason, -Clause, -Status, -Code, -Message, -Rate (bytes a second, empty = unshaped), -Warning,
// -Recheck-After (seconds), -Lease, -Revision. Every one is always there, an empty value where there is nothing to say:
// Caddy writes its own placeholder where a header that it is told to copy is missing.
void AddGatewayHeaders(const Decision& decision, HttpResponse* response);

// What could not be mapped: a status of its own, with a body that says why, and the trace where one was named.
void RenderUnmapped(const absl::Status& status, absl::string_view trace_parent, HttpResponse* response);

void AddHeader(HttpResponse* response, absl::string_view name, absl::string_view value);

}  // namespace sluice

#endif  // SLUICE_SERVER_DOORS_RENDER_H_
