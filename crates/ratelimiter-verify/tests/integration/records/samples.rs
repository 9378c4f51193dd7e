//! One run in the words of every preset.

use std::time::Duration;

/// Seconds from the first check of a run of 10 allowed checks and 3 denied ones.
pub(crate) const RUN: [(f64, u16); 13] = [
    (0.0, 200),
    (0.1, 200),
    (0.2, 200),
    (0.3, 200),
    (0.4, 200),
    (0.5, 200),
    (0.6, 200),
    (0.7, 200),
    (0.8, 200),
    (0.9, 200),
    (1.0, 429),
    (1.1, 429),
    (1.2, 429),
];

/// Length of a check, seconds.
const TOOK: f64 = 0.004;

/// 2026-11-30T21:50:48Z.
pub(crate) const EPOCH: f64 = 1_796_075_448.0;

fn date(at: f64) -> String {
    let at = Duration::from_millis((at * 1e3).round() as u64);
    humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + at).to_string()
}

/// A preset's line of one check: seconds since 1970 and status.
pub(crate) fn line(preset: &str, at: f64, status: u16) -> String {
    let (end, ms, ns) = (at + TOOK, TOOK * 1e3, TOOK * 1e9);
    let flags = if status == 429 { "RL" } else { "-" };
    let text = match preset {
        "history" => format!(
            r#"{{"key":"u","node":"n","invoke_ms":{},"complete_ms":{},"outcome":"{}"}}"#,
            (at - EPOCH) * 1e3,
            (end - EPOCH) * 1e3,
            if status == 429 { "denied" } else { "allowed" }
        ),
        "envoy" => format!(
            r#"{{"start_time":"{}","duration":{ms},"response_code":{status},
                "response_flags":"{flags}","user":"u"}}"#,
            date(at)
        ),
        "envoy-text" => format!(
            r#"[{}] "GET / HTTP/1.1" {status} {flags} 0 2 {ms} 3 "u" "curl" "id" 
                "host" "1.2.3.4:80""#,
            date(at)
        ),
        "caddy" => format!(
            r#"{{"level":"info","ts":{end:.7},"msg":"handled request",
                "request":{{"headers":{{"X-User":["u"]}}}},"duration":{TOOK},
                "status":{status}}}"#
        ),
        "traefik" => format!(
            r#"{{"StartUTC":"{}","Duration":{ns},"DownstreamStatus":{status},
                "request_X-User":"u"}}"#,
            date(at)
        ),
        "haproxy" => format!(
            "<134>Nov 30 21:50:48 host haproxy[7]: 10.0.0.7:{} [30/Nov/2026:21:50:{:06.3}] all \
             all/<NOSRV> 0/-1/-1/-1/{ms} {status} 58 - - LR-- 1/1/0/0/0 0/0 \"GET /u HTTP/1.1\"",
            1_000 + status,
            48.0 + at - EPOCH
        ),
        "vegeta" => format!(
            r#"{{"attack":"","seq":0,"code":{status},"timestamp":"{}",
                "latency":{ns},"error":"","url":"http://u/"}}"#,
            date(at)
        ),
        "vegeta-csv" => format!(
            "{:.0},{status},{ns},0,2,,,,0,GET,http://u/,",
            (at * 1e3).round() * 1e6
        ),
        "hey" => format!(
            "{TOOK:.4},0.0000,0.0000,0.0000,0.0038,0.0000,{status},{:.4}",
            at - EPOCH
        ),
        "oha" => format!("{:.9},0,0,{TOOK:.9},{TOOK:.9},2,{status}", at - EPOCH),
        "k6-csv" => format!(
            "http_reqs,{0:.0},1,{status}\nhttp_req_duration,{0:.0},{ms:.6},{status}",
            end.floor()
        ),
        "k6" => format!(
            r#"{{"metric":"http_req_duration","type":"Point","data":{{
                "time":"{}","value":{ms},"tags":{{"status":"{status}"}}}}}}"#,
            date(end)
        ),
        "har" => format!(
            r#"{{"startedDateTime":"{}","time":{ms},"request":{{"headers":[{{
                "name":"x-user","value":"u"}}]}},"response":{{
                "status":{status}}}}}"#,
            date(at)
        ),
        "otlp" => format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"kind":2,
                "startTimeUnixNano":"{0:.0}","endTimeUnixNano":"{1:.0}",
                "attributes":[{{"key":"http.response.status_code","value":{{
                "intValue":"{status}"}}}}]}},{{"kind":3,
                "startTimeUnixNano":"{0:.0}","endTimeUnixNano":"{1:.0}",
                "attributes":[]}}]}}]}}]}}"#,
            (at * 1e3).round() * 1e6,
            (end * 1e3).round() * 1e6
        ),
        other => panic!("no sample of {other}"),
    };
    match preset {
        "k6-csv" => text,
        _ => text.lines().map(str::trim_start).collect(),
    }
}

pub(crate) fn sample(preset: &str) -> String {
    let lines = RUN.map(|(at, status)| line(preset, EPOCH + at, status));
    match preset {
        "har" => format!(
            r#"{{"log":{{"version":"1.2","entries":[{}]}}}}"#,
            lines.join(",\n")
        ),
        "hey" => format!(
            "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,\
             offset\n{}",
            lines.join("\n")
        ),
        "oha" => format!(
            "request-start,DNS,DNS+dialup,Response-delay,request-duration,bytes,status\n{}",
            lines.join("\n")
        ),
        "k6-csv" => format!(
            "metric_name,timestamp,metric_value,status\n{}",
            lines.join("\n")
        ),
        "k6" => format!(
            "{}\n{}",
            r#"{"type":"Metric","metric":"http_req_duration","data":{"type":"trend"}}"#,
            lines.join("\n")
        ),
        _ => lines.join("\n"),
    }
}
