//! Formats that programs write, as data: each is a general format with its words. `docs/history.md`
//! has the same table.

/// A format by name.
#[derive(Debug)]
pub struct FormatPreset {
    /// The name on the command line.
    pub name: &'static str,
    /// The program that writes it, and how.
    pub written_by: &'static str,
    /// The general format.
    pub format: &'static str,
    /// The unit of the last digit of its times.
    pub resolution: &'static str,
    /// Checks that such records leave out; empty where they have all.
    pub lacks: &'static str,
    /// Whether times count from the start of the program that wrote them.
    pub own_clock: bool,
    /// Whether its lines can be told from others'.
    pub is_distinct: bool,
}

const UNANSWERED: &str = "requests without an answer";
const BEFORE_LOG: &str = "connections closed before a request was read";

const fn preset(
    name: &'static str,
    written_by: &'static str,
    format: &'static str,
    resolution: &'static str,
    lacks: &'static str,
) -> FormatPreset {
    FormatPreset {
        name,
        written_by,
        format,
        resolution,
        lacks,
        own_clock: false,
        is_distinct: true,
    }
}

/// All presets, the more particular first: `auto` takes the first that reads.
pub const PRESETS: [FormatPreset; 14] = [
    preset(
        "history",
        "`ratelimiter-verify --out`",
        "history:",
        "1 us",
        "",
    ),
    preset(
        "envoy",
        "Envoy and Istio, JSON",
        "json:begin=start_time,duration=duration,duration-unit=ms,status=response_code,\
         flags=response_flags",
        "1 ms",
        BEFORE_LOG,
    ),
    preset(
        "envoy-text",
        "Envoy, its default line",
        "text:begin=START_TIME,duration=DURATION,duration-unit=ms,status=RESPONSE_CODE,\
         flags=RESPONSE_FLAGS,line=[$START_TIME] \"$REQUEST\" $RESPONSE_CODE $RESPONSE_FLAGS \
         $BYTES_RECEIVED $BYTES_SENT $DURATION $UPSTREAM_TIME \"$X_FORWARDED_FOR\" \
         \"$USER_AGENT\" \"$REQUEST_ID\" \"$AUTHORITY\" ",
        "1 ms",
        BEFORE_LOG,
    ),
    preset(
        "caddy",
        "Caddy's access log, JSON",
        "json:end=ts,duration=duration,unit=s,status=status,header=request.headers.*,\
         only=msg:handled request",
        "1 us",
        BEFORE_LOG,
    ),
    preset(
        "traefik",
        "Traefik's access log, JSON",
        "json:begin=StartUTC,duration=Duration,unit=ns,status=DownstreamStatus,header=request_*",
        "1 ns",
        BEFORE_LOG,
    ),
    preset(
        "haproxy",
        "HAProxy, `option httplog`",
        "text:begin=tr,duration=Ta,duration-unit=ms,status=ST,after=]: ,line=$client [$tr] \
         $frontend $backend $TR/$Tw/$Tc/$Tr/$Ta $ST $B $cookie $set_cookie \
         $termination $connections $queues $captures\"$request\"",
        "1 ms",
        BEFORE_LOG,
    ),
    preset(
        "vegeta",
        "`vegeta encode --to json`",
        "json:begin=timestamp,duration=latency,unit=ns,status=code",
        "1 ns",
        "",
    ),
    FormatPreset {
        is_distinct: false,
        ..preset(
            "vegeta-csv",
            "`vegeta encode --to csv`",
            "csv:begin=1,duration=3,unit=ns,status=2",
            "1 ns",
            "",
        )
    },
    FormatPreset {
        own_clock: true,
        ..preset(
            "hey",
            "`hey -o csv`",
            "csv:begin=offset,duration=response-time,unit=s,status=status-code",
            "0.1 ms",
            UNANSWERED,
        )
    },
    FormatPreset {
        own_clock: true,
        ..preset(
            "oha",
            "`oha --output-format csv`",
            "csv:begin=request-start,duration=request-duration,unit=s,status=status",
            "1 ns",
            UNANSWERED,
        )
    },
    preset(
        "k6-csv",
        "`k6 run --out csv=FILE`",
        "csv:end=timestamp,duration=metric_value,unit=s,duration-unit=ms,status=status,\
         only=metric_name:http_req_duration",
        "1 s",
        "",
    ),
    preset(
        "k6",
        "`k6 run --out json=FILE`",
        "json:end=data.time,duration=data.value,duration-unit=ms,status=data.tags.status,\
         only=metric:http_req_duration;type:Point",
        "1 us",
        "",
    ),
    preset(
        "har",
        "browsers and proxies, HAR",
        "json:whole=yes,each=log.entries[],begin=startedDateTime,duration=time,unit=ms,\
         status=response.status,header=request.headers[*]",
        "1 ms",
        "requests of other clients",
    ),
    preset(
        "otlp",
        "OpenTelemetry's file exporter, spans of servers",
        "json:each=resourceSpans[].scopeSpans[].spans[],begin=startTimeUnixNano,\
         end=endTimeUnixNano,unit=ns,status=attributes[http.response.status_code],only=kind:2,\
         header=attributes[http.request.header.*]",
        "1 ns",
        "spans that were not sampled",
    ),
];

/// Results that hold no single checks: words of their begin, their name, and the option with which
/// the program writes records.
pub(super) const TOTALS: [(&[&str], &str, &str); 9] = [
    (
        &["\"root_group\"", "\"metrics\""],
        "a summary of k6",
        "k6 run --out json=FILE",
    ),
    (
        &["http_req_duration", "p(95)="],
        "a summary of k6",
        "k6 run --out json=FILE",
    ),
    (
        &["Running ", " test @ ", "threads and"],
        "totals of wrk",
        "hey -o csv, or vegeta encode",
    ),
    (
        &["This is ApacheBench"],
        "totals of ab",
        "hey -o csv; ab -g has no status",
    ),
    (
        &["\"successRate\"", "\"summary\""],
        "a summary of oha",
        "oha --output-format csv",
    ),
    (
        &["Success rate:", "Slowest:"],
        "a summary of oha",
        "oha --output-format csv",
    ),
    (
        &["Requests/sec:", "Slowest:"],
        "a summary of hey",
        "hey -o csv",
    ),
    (
        &["Availability:", "Transaction"],
        "totals of siege",
        "hey -o csv, or vegeta encode",
    ),
    (
        &["[total, rate"],
        "a report of vegeta",
        "vegeta encode --to json",
    ),
];
