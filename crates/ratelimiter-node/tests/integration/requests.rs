//! Every wrong request is answered with its reason, and the node goes on serving.

use crate::common::raw::{JSON, Raw, exchange, post, refused, request};
use crate::common::{check, clients, key, set, spec};
use ratelimiter_api::Endpoint;
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

async fn node() -> (LocalCluster, Endpoint) {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    set(&cluster, &spec("known", 1000)).await;
    let endpoint = cluster.endpoints().remove(0);
    (cluster, endpoint)
}

/// The same process still decides checks, and nothing in it has panicked.
async fn still_serves(cluster: &LocalCluster) {
    assert!(check(&clients(cluster)[0], &key("known")).await.allowed);
    let log = std::fs::read_to_string(cluster.directory().join("node-1.log")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(log.matches("listening").count(), 1, "{log}");
}

#[tokio::test]
async fn checks_that_make_no_sense_are_refused() {
    let (cluster, endpoint) = node().await;
    let long = format!(r#"{{"key":"{}"}}"#, "x".repeat(300));
    let deep = "[".repeat(8000);
    let cost = |cost: &str| post("/check", format!(r#"{{"key":"known","cost":{cost}}}"#));
    refused(
        &endpoint,
        400,
        &[
            (post("/check", ""), "EOF"),
            (post("/check", "{"), "EOF"),
            (post("/check", "null"), "JSON object"),
            (post("/check", r#"["known",1]"#), "JSON object"),
            (post("/check", "{}"), "key"),
            (post("/check", r#"{"key":"known"} {}"#), "trailing"),
            (post("/check", r#"{"key":"known","kost":1}"#), "kost"),
            (
                post("/check", r#"{"key":"known","key":"known"}"#),
                "duplicate",
            ),
            (post("/check", r#"{"key":5}"#), "expected a string"),
            (post("/check", r#"{"key":""}"#), "key is empty"),
            (post("/check", long), "300 bytes"),
            (post("/check", r#"{"key":"a\u0000b"}"#), "\\0"),
            (post("/check", "{\"key\":\"a\nb\"}"), "control character"),
            (post("/check", r#"{"key":"a\u0085b"}"#), "85"),
            (post("/check", r#"{"key":"{known}"}"#), "braces"),
            (post("/check", b"{\"key\":\"\xff\"}"), "unicode"),
            (post("/check", deep), "JSON object"),
            (cost("0"), "cost is 0"),
            (cost("-1"), "cost is -1"),
            (cost("101"), "between 1 and 100"),
            (cost("9223372036854775807"), "cost is 9223372036854775807"),
            (cost("9223372036854775808"), "i64"),
            (cost("1.5"), "floating point"),
            (cost("1e400"), "out of range"),
            (cost(r#""1""#), "string"),
        ],
    )
    .await;
    refused(
        &endpoint,
        404,
        &[(post("/check", r#"{"key":"without-limit"}"#), "no limit")],
    )
    .await;
    still_serves(&cluster).await;
}

#[tokio::test]
async fn limits_that_make_no_sense_are_refused() {
    let (cluster, endpoint) = node().await;
    let limit = |limit: &str, window: &str| {
        post(
            "/limit",
            format!(r#"{{"key":"new","limit":{limit},"window_sec":{window}}}"#),
        )
    };
    let also = |field: &str| {
        post(
            "/limit",
            format!(r#"{{"key":"new","limit":1,"window_sec":1,{field}}}"#),
        )
    };
    refused(
        &endpoint,
        400,
        &[
            (limit("0", "60"), "limit is 0"),
            (limit("-5", "60"), "limit is -5"),
            (limit("1000001", "60"), "between 1 and 1000000"),
            (
                limit("9223372036854775807", "60"),
                "limit is 9223372036854775807",
            ),
            (limit("18446744073709551616", "60"), "i64"),
            (limit("10.0", "60"), "floating point"),
            (limit(r#""10""#, "60"), "string"),
            (limit("null", "60"), "null"),
            (limit("10", "0"), "window_sec is 0"),
            (limit("10", "-60"), "window_sec is -60"),
            (limit("10", "86401"), "between 1 and 86400"),
            (
                limit("10", "9223372036854775807"),
                "window_sec is 9223372036854775807",
            ),
            (also(r#""counting":"fast""#), "fast"),
            (also(r#""on_store_failure":"panic""#), "panic"),
            (also(r#""epoch":7"#), "epoch"),
            (post("/limit", r#"{"key":"new","limit":10}"#), "window_sec"),
            (post("/limit", r#"{"limit":10,"window_sec":60}"#), "key"),
        ],
    )
    .await;
    let limits = clients(&cluster)[0].limits().await.unwrap();
    assert_eq!(limits.len(), 1, "none of them was set: {limits:?}");
    still_serves(&cluster).await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let (cluster, endpoint) = node().await;
    let get = |path: &str| request("GET", path, "", b"");
    for path in [
        "/",
        "/nope",
        "/check/",
        "//check",
        "/limits/",
        "/limits/a/b",
        "/counters//reset/x",
        "/%63heck",
    ] {
        let reply = exchange(&endpoint, &get(path)).await;
        // An empty segment is a key that is empty, and is refused as such or not found.
        assert!(matches!(reply.status, 400 | 404 | 405), "{path}: {reply:?}");
        reply.problem();
    }
    for (method, path, allow) in [
        ("GET", "/check", "POST"),
        ("DELETE", "/limit", "POST"),
        ("PUT", "/limits", "GET, HEAD, POST"),
        ("GET", "/limits/known", "DELETE"),
        ("GET", "/counters/known/reset", "POST"),
        ("PUT", "/counters", "GET, HEAD"),
        ("PATCH", "/nodes", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
        ("BREW", "/metrics", "GET, HEAD"),
    ] {
        let reply = exchange(&endpoint, &request(method, path, "", b"{}")).await;
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, Some(allow)),
            "{method} {path}"
        );
        reply.problem();
    }
    let delete = |path: &str| request("DELETE", path, "", b"");
    let too_long = format!("/limits/{}", "x".repeat(257));
    refused(
        &endpoint,
        400,
        &[
            (get("/counters?at_us=soon"), "at_us"),
            (get("/counters?at_us=-1"), "at_us"),
            (get("/counters?at_us=18446744073709551616"), "at_us"),
            (get("/counters?since=1"), "since"),
            (delete("/limits/%FF"), "not UTF-8"),
            (delete("/limits/a%00b"), "\\0"),
            (delete("/limits/%7Bknown%7D"), "braces"),
            (delete(&too_long), "257 bytes"),
            (request("POST", "/counters/%0a/reset", JSON, b""), "control"),
        ],
    )
    .await;
    refused(
        &endpoint,
        404,
        &[
            (delete("/limits/absent"), "absent"),
            (
                request("POST", "/counters/absent/reset", JSON, b""),
                "absent",
            ),
        ],
    )
    .await;
    still_serves(&cluster).await;
}

#[tokio::test]
async fn bodies_and_heads_are_bounded() {
    let (cluster, endpoint) = node().await;
    let padded = |length: usize| {
        let body = r#"{"key":"known"}"#;
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    assert_eq!(
        exchange(&endpoint, &post("/check", padded(16 * 1024)))
            .await
            .status,
        200
    );
    for length in [16 * 1024 + 1, 100_000, 800_000] {
        refused(
            &endpoint,
            413,
            &[(post("/check", padded(length)), "16384 bytes")],
        )
        .await;
    }
    // One that is announced to be huge is not read at all, so that its client may find the
    // connection closed instead.
    let mut raw = Raw::open(&endpoint).await;
    raw.send(&post("/check", padded(5_000_000))).await;
    assert!(raw.reply().await.is_none_or(|reply| reply.status == 413));
    // Chunks announce no length.
    let mut chunked =
        b"POST /check HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..40 {
        chunked.extend_from_slice(format!("400\r\n{}\r\n", " ".repeat(1024)).as_bytes());
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    refused(&endpoint, 413, &[(chunked, "16384 bytes")]).await;
    // A body that is not used costs neither the answer nor the connection.
    let mut raw = Raw::open(&endpoint).await;
    for _ in 0..2 {
        raw.send(&request("PUT", "/health", "", padded(300_000).as_bytes()))
            .await;
        assert_eq!(raw.reply().await.unwrap().status, 405);
    }

    let flood: String = (0..200).map(|i| format!("x-{i}: y\r\n")).collect();
    let endless = format!("x-long: {}\r\n", "y".repeat(64 * 1024));
    for fields in [flood, endless] {
        let reply = exchange(&endpoint, &request("GET", "/health", &fields, b"")).await;
        assert_eq!(reply.status, 431);
    }
    let path = format!("/{}", "p".repeat(64 * 1024));
    let reply = exchange(&endpoint, &request("GET", &path, "", b"")).await;
    assert!(matches!(reply.status, 414 | 431), "{reply:?}");
    still_serves(&cluster).await;
}

#[tokio::test]
async fn other_protocols_are_turned_away() {
    let (cluster, endpoint) = node().await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello"[..],
        b"*1\r\n$4\r\nPING\r\n",
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: node\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: node\r\nbad header\r\n\r\n",
        b"POST /check HTTP/1.1\r\nhost: node\r\ncontent-length: -1\r\n\r\n",
        b"POST /check HTTP/1.1\r\nhost: node\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /check HTTP/1.1\r\nhost: node\r\ntransfer-encoding: chunked\r\n\r\nzzz\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
    ] {
        let mut raw = Raw::open(&endpoint).await;
        raw.send(garbage).await;
        // Where no HTTP is spoken, a closed connection is an answer too.
        if let Some(reply) = raw.reply().await {
            assert!((400..500).contains(&reply.status), "{garbage:?}: {reply:?}");
        }
    }
    // Half a request and then nothing, a hundred times: the others are served all the same.
    let mut half = Vec::new();
    for _ in 0..100 {
        let mut raw = Raw::open(&endpoint).await;
        raw.send(b"POST /check HTTP/1.1\r\nhost: no").await;
        half.push(raw);
    }
    still_serves(&cluster).await;
}

#[tokio::test]
async fn a_body_that_does_not_arrive_times_out() {
    let (cluster, endpoint) = node().await;
    let whole = post("/check", r#"{"key":"known"}"#);
    let mut raw = Raw::open(&endpoint).await;
    let started = Instant::now();
    raw.send(&whole[..whole.len() - 3]).await;
    let reply = raw.reply().await.unwrap();
    assert_eq!(reply.status, 408, "after {:?}", started.elapsed());
    reply.problem();
    still_serves(&cluster).await;
}

#[tokio::test]
async fn ambiguous_requests_are_refused() {
    let (cluster, endpoint) = node().await;
    let with = |version: &str, fields: &str| {
        format!("GET /health HTTP/{version}\r\n{fields}\r\n").into_bytes()
    };
    let body = "content-length: 2\r\n\r\n{}";
    let two_types = format!("POST /check HTTP/1.1\r\nhost: a\r\n{JSON}{JSON}{body}").into_bytes();
    refused(
        &endpoint,
        400,
        &[
            (with("1.1", ""), "needs a host"),
            (with("1.1", "host: a\r\nhost: a\r\n"), "more than one host"),
            (with("1.0", "host: a\r\nhost: b\r\n"), "more than one host"),
            (with("1.1", "host: a b\r\n"), "no host"),
            (two_types, "more than one content-type"),
        ],
    )
    .await;
    for (version, fields) in [
        ("1.0", ""),
        ("1.1", "host:\r\n"),
        ("1.1", "host: [::1]:8001\r\n"),
    ] {
        assert_eq!(
            exchange(&endpoint, &with(version, fields)).await.status,
            200,
            "{fields}"
        );
    }
    still_serves(&cluster).await;
}

#[tokio::test]
async fn refusals_have_no_control_characters() {
    let (_cluster, endpoint) = node().await;
    let odd = "\u{9b}2J\u{202e}\u{7f}";
    let body = format!(r#"{{"key":"known","{odd}":1}}"#);
    let reply = exchange(&endpoint, &post("/check", body)).await;
    let text = String::from_utf8(reply.body.clone()).unwrap();
    assert!(
        !text.contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{text}"
    );
    assert!(
        reply.problem().detail.contains(odd),
        "the escapes mean the same"
    );
}

#[tokio::test]
async fn half_closed_client_gets_its_answer() {
    let (cluster, endpoint) = node().await;
    for _ in 0..20 {
        let mut raw = Raw::open(&endpoint).await;
        raw.send(&post("/check", r#"{"key":"known"}"#)).await;
        raw.0.shutdown().await.unwrap();
        assert_eq!(raw.reply().await.expect("an answer").status, 200);
    }
    still_serves(&cluster).await;
}
