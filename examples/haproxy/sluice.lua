-- Asks Sluice about a request, and answers the client with Sluice's own answer where it refuses.
-- http-request lua.sluice PROFILE closed|open

local SLUICE = "http://127.0.0.1:7070/forward/"
local TIMEOUT_MS = 300

-- Headers that the question carries along: what tells an owner's signed read from a public one. Never all of them.
local FORWARDED = { "authorization", "x-amz-copy-source", "x-amz-decoded-content-length", "content-length",
                    "x-request-id", "accept", "traceparent" }

core.register_action("sluice", { "http-req" }, function(txn, profile, away)
    local asked = {
        ["x-forwarded-method"] = { txn.sf:method() },
        ["x-forwarded-uri"] = { txn.sf:pathq() },
        ["x-forwarded-host"] = { txn.sf:req_fhdr("host") },
        ["x-forwarded-for"] = { txn.sf:src() },
    }
    for _, name in ipairs(FORWARDED) do
        local value = txn.sf:req_fhdr(name)
        if value ~= "" then asked[name] = { value } end
    end
    -- The length is that of the client's body; this question has none.
    asked["x-original-content-length"], asked["content-length"] = asked["content-length"], nil

    local client = core.httpclient()
    local answer = client:get{ url = SLUICE .. profile, headers = asked, timeout = TIMEOUT_MS }

    if answer and answer.status == 200 and answer.headers["x-sluice-verdict"] then
        local rate = answer.headers["x-sluice-rate"]
        if rate and rate[0] ~= "" then txn:set_var("txn.sluice_rate", tonumber(rate[0])) end
        return
    end
    -- A refusal always says no-store; an answer without that is HAProxy's own, about a Sluice that is away.
    local caching = answer and answer.headers and answer.headers["cache-control"]
    local refused = caching and caching[0] == "no-store"
    if not refused and away == "open" then return end

    local reply = txn:reply()
    if refused then
        reply:set_status(answer.status)
        for _, name in ipairs({ "content-type", "retry-after", "link", "cache-control", "ratelimit", "ratelimit-policy",
                                "x-amz-request-id", "x-reqid", "x-request-id" }) do
            local values = answer.headers[name]
            if values then reply:add_header(name, values[0]) end
        end
        reply:set_body(answer.body)
    else
        reply:set_status(503)
        reply:add_header("retry-after", "1")
        reply:add_header("cache-control", "no-store")
        reply:set_body("try again\n")
    end
    txn:done(reply)
end, 2)
