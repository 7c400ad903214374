# Varnish asking Sluice about every request, hits of its cache included: the request first goes to Sluice, and starts
# over when it was allowed. No vmod beyond those that come with Varnish. docs/gateways/varnish.md explains it.
vcl 4.1;

import std;

backend storage {
    .host = "127.0.0.1";
    .port = "9000";
}

backend sluice {
    .path = "/run/sluice/check.sock";
    .connect_timeout = 100ms;
    # How long a client may wait for a Sluice that hangs.
    .first_byte_timeout = 300ms;
    .between_bytes_timeout = 300ms;
}

sub vcl_recv {
    if (req.restarts == 0) {
        # A body must wait in memory until Sluice has answered, so there is a bound: larger uploads go another way.
        if (req.http.Transfer-Encoding || std.integer(req.http.Content-Length, 0) > 1000000) {
            return (synth(413));
        }
        if (req.http.Content-Length) {
            std.cache_req_body(1000KB);
        }
        # What a client says of these is not believed.
        unset req.http.X-Sluice-Passed;
        set req.http.X-Sluice-Url = req.url;
        set req.http.X-Sluice-Method = req.method;
        set req.backend_hint = sluice;
        return (pass);
    }
    if (req.http.X-Sluice-Passed != "yes") {
        return (synth(503));
    }
    unset req.http.X-Sluice-Passed;
    set req.url = req.http.X-Sluice-Url;
    set req.method = req.http.X-Sluice-Method;
    unset req.http.X-Sluice-Url;
    unset req.http.X-Sluice-Method;
    set req.backend_hint = storage;
}

sub vcl_backend_fetch {
    if (bereq.backend == sluice) {
        # cdn, s3-path, s3-vhost or kodo. A body goes along, kept as it is for the restart; Sluice does not look at it.
        set bereq.method = "GET";
        set bereq.url = "/forward/cdn";
        set bereq.http.X-Forwarded-Method = bereq.http.X-Sluice-Method;
        set bereq.http.X-Forwarded-Uri = bereq.http.X-Sluice-Url;
        set bereq.http.X-Forwarded-Host = bereq.http.Host;
    }
}

sub vcl_backend_response {
    if (bereq.backend == sluice) {
        set beresp.uncacheable = true;
    }
}

# While Sluice is away. Closed, as it stands here: the client gets 503. To fail open, for what may better be served wrongly
# than not at all, let the question answer itself:
sub vcl_backend_error {
    if (bereq.backend == sluice) {
        set beresp.status = 503;
        set beresp.http.Retry-After = "1";
        set beresp.http.Cache-Control = "no-store";
        #open: set beresp.status = 200; set beresp.http.X-Sluice-Verdict = "ALLOW";
        return (deliver);
    }
}

sub vcl_deliver {
    if (req.restarts == 0) {
        if (resp.status == 200 && resp.http.X-Sluice-Verdict == "ALLOW") {
            set req.http.X-Sluice-Passed = "yes";
            return (restart);
        }
        # A refusal goes out as Sluice wrote it: status, Retry-After, Link, body.
    }
}
