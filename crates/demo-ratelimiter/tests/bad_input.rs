//! Bad input gets one clear line on standard error, the documented exit code, and leaves nothing
//! running.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

mod support;

use ratelimiter_cluster::ClusterPlan;
use support::{Scratch, closed_address, demo, fixed_answer_server, stderr};

/// Runs, and expects one line that contains all of `words`.
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let scratch = Scratch::new();
    let output = demo(arguments)
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap();
    let line = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {line}");
    assert_eq!(line.lines().count(), 1, "{arguments:?}: {line}");
    assert!(
        words.iter().all(|word| line.contains(word)),
        "{arguments:?}: {line} lacks one of {words:?}"
    );
    scratch.is_clean();
}

const USAGE: i32 = 64;
const FAILURE: i32 = 1;

#[test]
fn values_out_of_bounds_are_refused_first() {
    refused(&["run", "--limit", "0"], USAGE, &["limit is 0", "1000000"]);
    refused(&["run", "--limit=-5"], USAGE, &["limit is -5"]);
    refused(&["run", "--for", "0s"], USAGE, &["pause is 0s"]);
    refused(&["run", "--for", "61s"], USAGE, &["pause is 1m 1s"]);
    refused(&["run", "--multiplier", "0"], USAGE, &["multiplier is 0"]);
    refused(
        &["run", "--multiplier", "101"],
        USAGE,
        &["multiplier is 101"],
    );
    refused(&["run", "--window", "1500ms"], USAGE, &["whole seconds"]);
    refused(&["run", "--for", "soon"], USAGE, &["soon", "--for"]);
    refused(&["run", "--key", ""], USAGE, &["--key", "empty"]);
    refused(
        &["run", "--counting", "fast"],
        USAGE,
        &["fast", "atomic, cached, leased, read-then-write"],
    );
    refused(&["run", "--from", "12"], USAGE, &["--from", "12", "1..=11"]);
    refused(&["run", "--from", "0"], USAGE, &["--from"]);
    refused(&["run", "--frobnicate"], USAGE, &["--frobnicate", "--help"]);
}

#[test]
fn logs_that_hold_no_story_are_refused() {
    refused(
        &["replay", "/nowhere/story.jsonl"],
        FAILURE,
        &["/nowhere/story.jsonl", "No such file"],
    );
    refused(&["replay", "/dev/null"], FAILURE, &["/dev/null", "--json"]);
    refused(
        &["replay", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")],
        FAILURE,
        &["Cargo.toml", "line 1"],
    );
    refused(
        &["pictures", "/nowhere/story.jsonl", "--size", "9x9"],
        USAGE,
        &["--size", "10 to 300"],
    );
}

#[test]
fn malformed_and_remote_targets_are_refused() {
    let run = |node, store| ["run", "--node", node, "--store", store];
    refused(
        &run("localhost:8001", "redis://localhost"),
        USAGE,
        &["localhost:8001", "http://HOST:PORT"],
    );
    refused(
        &run("http://10.0.0.1:8001", "redis://localhost"),
        USAGE,
        &["10.0.0.1", "--allow-remote"],
    );
    refused(
        &run("http://localhost:8001", "redis://:secret@10.0.0.1"),
        USAGE,
        &["10.0.0.1", "--allow-remote"],
    );
    refused(
        &["run", "--node", "http://localhost:8001"],
        USAGE,
        &["--store"],
    );
}

#[test]
fn passwords_in_malformed_urls_are_not_repeated() {
    for url in [
        "redis://:hunter2@localhost:99999",
        "http://user:hunter2@localhost",
    ] {
        let output = demo(&["run", "--node", "http://localhost:8001", "--store", url])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(USAGE), "{url}");
        assert!(!stderr(&output).contains("hunter2"), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("expected redis://"),
            "{}",
            stderr(&output)
        );
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
        &["run", "--node", &node, "--store", &right],
        FAILURE,
        &[&node, "refused"],
    );
    refused(
        &["run", "--node", &real, "--store", &away],
        FAILURE,
        &["cannot be reached"],
    );
    refused(
        &["run", "--node", &real, "--store", &wrong],
        FAILURE,
        &["password", "***"],
    );
}

#[test]
fn unusable_stores_are_refused_with_a_reason() {
    let run = |store: String| {
        let node = format!("http://{}", closed_address());
        demo(&["run", "--node", &node, "--store", &store])
            .output()
            .unwrap()
    };
    let old = run(format!(
        "redis://{}",
        fixed_answer_server("$22\r\nredis_version:5.0.14\r\n\r\n")
    ));
    assert_eq!(old.status.code(), Some(FAILURE));
    assert!(stderr(&old).contains("Redis 5.0.14"), "{}", stderr(&old));
}
