//! Answers to requests in due form: their fields, and keys of every kind.

use std::time::Duration;

use crate::common::raw::{Raw, exchange, post, request};
use crate::common::{SECOND, check, clients, counted, eventually, key, set, spec};
use ratelimiter_api::{CheckRequest, CheckResponse, CountingMode, LimitSpec};
use ratelimiter_cluster::ClusterPlan;
use tokio::time::Instant;

#[tokio::test]
async fn every_allowed_key_survives_a_path() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let client = &clients(&cluster)[0];
    let longest = "x".repeat(256);
    for name in [
        "api/users v1",
        "é",
        "日本語",
        "a%2Fb",
        "a?b=c#d",
        "..",
        ".",
        "a+b&c",
        "\"quoted\\\"",
        "/",
        " ",
        &longest,
    ] {
        let key = key(name);
        client.set_limit(&spec(name, 5)).await.unwrap();
        assert_eq!(check(client, &key).await.remaining, 4, "{name}");
        assert!(
            client.limits().await.unwrap().iter().any(|l| l.key == key),
            "{name}"
        );
        client.reset_counter(&key).await.unwrap();
        assert_eq!(check(client, &key).await.remaining, 4, "{name}");
        client.delete_limit(&key).await.unwrap();
        let gone = client
            .check(&CheckRequest::new(key))
            .await
            .unwrap_err()
            .to_string();
        assert!(gone.contains("404"), "{name}: {gone}");
    }
}

#[tokio::test]
async fn head_is_answered_like_get_without_body() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let endpoint = cluster.endpoints().remove(0);
    for path in ["/health", "/limits", "/counters", "/nodes", "/metrics"] {
        let mut raw = Raw::open(&endpoint).await;
        raw.send(&request("HEAD", path, "connection: close\r\n", b""))
            .await;
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut raw.0, &mut answer)
            .await
            .unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains("content-length: "),
            "{path}: {head}"
        );
        assert_eq!(body, "", "{path}");
    }
}

#[tokio::test]
async fn a_denied_check_passes_after_retry_after() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let endpoint = cluster.endpoints().remove(0);
    for counting in CountingMode::ALL {
        let name = format!("k-{counting}");
        let limit = LimitSpec {
            window_sec: 2,
            ..counted(&name, 2, counting)
        };
        set(&cluster, &limit).await;
        let once = post("/check", format!(r#"{{"key":"{name}"}}"#));
        let mut answers = Vec::new();
        let mut asked_last = Instant::now();
        for expected in [200, 200, 429] {
            asked_last = Instant::now();
            let reply = exchange(&endpoint, &once).await;
            let answer: CheckResponse = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(reply.status, expected, "{answer:?}");
            assert_eq!(reply.header("content-type"), Some("application/json"));
            assert_eq!(
                reply.header("ratelimit-policy"),
                Some(r#""default";q=2;w=2"#)
            );
            let seconds = answer.reset_ms.div_ceil(1000);
            let field = format!(r#""default";r={};t={seconds}"#, answer.remaining);
            assert_eq!(reply.header("ratelimit"), Some(field.as_str()));
            let retry_after: Option<u64> = reply.header("retry-after").map(|s| s.parse().unwrap());
            assert_eq!(
                retry_after,
                (expected == 429).then_some(seconds),
                "for denied checks only"
            );
            answers.push(answer);
        }
        assert_eq!(
            answers.iter().map(|a| a.remaining).collect::<Vec<_>>(),
            [1, 0, 0]
        );
        assert!(
            answers.iter().all(|a| (1..=2000).contains(&a.reset_ms)),
            "{answers:?}"
        );
        // Denied until then, and allowed after. The denial was decided after its request, and an
        // admission before its answer: that is all that is known of their instants.
        let promised = Duration::from_millis(answers[2].reset_ms);
        eventually("the quota returns", async || {
            let asked = asked_last.elapsed();
            let allowed = exchange(&endpoint, &once).await.status == 200;
            assert!(
                !allowed || asked_last.elapsed() >= promised,
                "early: {asked:?} instead of {promised:?}"
            );
            assert!(
                allowed || asked < promised + SECOND,
                "late: {asked:?} instead of {promised:?}"
            );
            allowed
        })
        .await;
    }
}
