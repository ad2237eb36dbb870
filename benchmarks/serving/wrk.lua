-- Send whole HTTP requests that lie ready in files, in turn, and print what wrk has measured as one line of JSON.
-- Arguments after "--": the files.

local requests, place = {}, 0

function init(args)
    for _, path in ipairs(args) do
        local file = assert(io.open(path, "rb"))
        requests[#requests + 1] = file:read("*a")
        file:close()
    end
end

function request()
    place = place % #requests + 1
    return requests[place]
end

function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "microseconds": %d, "p50": %.1f, "p99": %.1f, "max": %.1f, ',
        summary.requests, summary.duration, latency:percentile(50.0), latency:percentile(99.0), latency.max
    ))
    io.write(string.format(
        '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
        errors.connect, errors.read, errors.write, errors.status, errors.timeout
    ))
end
