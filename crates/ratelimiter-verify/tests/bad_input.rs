//! Bad input gets one clear line on standard error and the documented exit code.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

mod support;

use ratelimiter_cluster::ClusterPlan;
use support::{closed_address, fixed_answer_server, stderr, verify};

/// Runs, and expects one line that contains all of `words`.
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let output = verify(arguments);
    let line = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {line}");
    assert_eq!(line.lines().count(), 1, "{arguments:?}: {line}");
    assert!(
        words.iter().all(|word| line.contains(word)),
        "{arguments:?}: {line} lacks one of {words:?}"
    );
}

const USAGE: i32 = 64;
const FAILURE: i32 = 1;

#[test]
fn malformed_and_remote_targets_are_refused() {
    let pause = |url| ["inject", "redis-pause", "--store", url];
    refused(
        &[&pause("redis://localhost")[..], &["--for", "0s"]].concat(),
        USAGE,
        &["pause is 0s"],
    );
    refused(&pause("http://localhost"), USAGE, &["expected redis://"]);
    refused(
        &pause("redis://:secret@10.0.0.1"),
        USAGE,
        &["10.0.0.1", "--allow-remote"],
    );
    let node = |url| ["node", "--limit", "10/1m", "--node", url];
    refused(
        &node("localhost:8001"),
        USAGE,
        &["localhost:8001", "http://HOST:PORT"],
    );
    refused(&node("http://a:1/check"), USAGE, &["path"]);
    refused(
        &node("http://10.0.0.1:8001"),
        USAGE,
        &["10.0.0.1", "--allow-remote"],
    );
    refused(
        &[
            "watch",
            "--node",
            "http://10.0.0.1:1",
            "--store",
            "redis://localhost",
        ],
        USAGE,
        &["10.0.0.1", "--allow-remote"],
    );
}

#[test]
fn passwords_in_malformed_urls_are_not_repeated() {
    for url in [
        "redis://:hunter2@localhost:99999",
        "http://user:hunter2@localhost",
    ] {
        for arguments in [
            &["inject", "redis-pause", "--store", url][..],
            &["watch", "--node", "http://localhost:8001", "--store", url],
        ] {
            let output = verify(arguments);
            assert_eq!(output.status.code(), Some(USAGE), "{arguments:?}");
            assert!(
                !stderr(&output).contains("hunter2"),
                "{arguments:?}: {}",
                stderr(&output)
            );
            assert!(
                stderr(&output).contains("expected redis://"),
                "{arguments:?}: {}",
                stderr(&output)
            );
        }
    }
}

#[tokio::test]
async fn unreachable_targets_are_named() {
    let cluster = ClusterPlan {
        password: Some("right".into()),
        ..ClusterPlan::nodes(1)
    }
    .start()
    .await
    .unwrap();
    let store = cluster.store_url();
    let real = cluster.endpoints()[0].to_string();
    let right = format!(
        "redis://:right@{}",
        store.to_string().rsplit_once('@').unwrap().1
    );
    let wrong = right.replace("right", "wrong");
    let (node, away) = (
        format!("http://{}", closed_address()),
        format!("redis://{}", closed_address()),
    );

    refused(
        &["inject", "redis-pause", "--store", &away],
        FAILURE,
        &["cannot be reached"],
    );
    refused(
        &["inject", "redis-pause", "--store", &wrong],
        FAILURE,
        &["password"],
    );
    refused(
        &["node", "--limit", "10/1m", "--node", &node],
        FAILURE,
        &[&node, "refused"],
    );
    refused(
        &["watch", "--node", &real, "--store", &away],
        FAILURE,
        &["cannot be reached"],
    );
    cluster.shutdown().await;
}

#[test]
fn unusable_stores_are_refused_with_a_reason() {
    let old = format!(
        "redis://{}",
        fixed_answer_server("$22\r\nredis_version:5.0.14\r\n\r\n")
    );
    refused(
        &["inject", "redis-pause", "--store", &old],
        FAILURE,
        &["Redis 5.0.14", "6.2"],
    );
    let no_such_command = format!(
        "redis://{}",
        fixed_answer_server("-ERR unknown command\r\n")
    );
    refused(
        &["inject", "redis-pause", "--store", &no_such_command],
        FAILURE,
        &["unknown command"],
    );
}

#[test]
fn unusable_histories_are_refused_by_line() {
    let line = r#"{"key":"k","node":"n","invoke_ms":1.0,"complete_ms":2.5,"outcome":"allowed"}"#;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("history.jsonl");
    let path = path.to_str().unwrap();
    let check = ["check", path, "--limit", "10/1m"];
    for (text, words) in [
        (
            format!("{line}\n{{\"key\":\"k\",\"no"),
            &["line 2", "expected"][..],
        ),
        (format!("{line}\n{line}{line}\n"), &["line 2"]),
        (line.replace("2.5", "0.5"), &["line 1", "monotonic clock"]),
        (line.replace("1.0", "-1.0"), &["line 1"]),
    ] {
        std::fs::write(path, text).unwrap();
        refused(&check, FAILURE, words);
    }
    std::fs::write(path, "").unwrap();
    let empty = verify(&check);
    assert_eq!(
        empty.status.code(),
        Some(4),
        "an empty history proves nothing"
    );
    std::fs::write(path, line).unwrap();
    assert_eq!(verify(&check).status.code(), Some(0));
}
