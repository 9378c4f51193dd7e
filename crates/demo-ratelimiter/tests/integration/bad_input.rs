//! Bad input gets one clear line on standard error, the documented exit code, and leaves nothing
//! running.

#[path = "../../../ratelimiter-cluster/tests/support/fixed_answer.rs"]
mod fixed_answer;
#[path = "../../../ratelimiter-cluster/tests/support/refusals.rs"]
mod refusals;

use crate::support::{Scratch, demo};
use fixed_answer::fixed_answer_server;
use refusals::{FAILURE, USAGE, closed_address, cluster_with_password, login, refuses};

/// Runs, and expects one line that contains all of `words`, and nothing left behind.
#[track_caller]
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let scratch = Scratch::new();
    let mut command = demo(arguments);
    refuses(command.env("TMPDIR", scratch.path()), code, words);
    scratch.is_clean();
}

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
fn too_few_open_files_are_refused_first() {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" run"]);
    command.arg(env!("CARGO_BIN_EXE_demo-ratelimiter"));
    refuses(&mut command, FAILURE, &["64 files", "ulimit -n 192"]);
}

#[test]
fn recordings_and_pictures_replace_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("log"), "kept").unwrap();
    std::os::unix::fs::symlink(at("log"), at("link")).unwrap();
    let nodes = [
        "--node",
        "http://localhost:1",
        "--store",
        "redis://localhost:1",
    ];
    let record = |more: &[&str], word| {
        let arguments = [&["run", "--record"][..], more, &nodes].concat();
        refused(&arguments, FAILURE, &[word]);
    };
    record(&[&at("log")], "--force");
    record(&[&at("link")], "symbolic link");
    record(&[&at("link"), "--force"], "symbolic link");
    // Nothing was recorded, and so there is no log.
    record(&[&at("new")], "refused");
    assert!(!directory.path().join("new").exists());
    assert_eq!(std::fs::read_to_string(at("log")).unwrap(), "kept");

    let story = [
        r#"{"at_ms":0.0,"event":"started","subject":"s","chapters":[],"charts":[]}"#,
        r#"{"at_ms":1.0,"event":"said","tone":"good","text":"ok"}"#,
        r#"{"at_ms":2.0,"event":"fin"#,
    ];
    std::fs::write(at("cut"), story.join("\n")).unwrap();
    let replay = crate::support::run(&["replay", &at("cut")]);
    crate::support::ends(&replay, FAILURE, "");
    assert!(crate::support::stdout(&replay).contains("ok ok"));
    assert!(crate::support::stderr(&replay).contains("the end of its story is missing"));
    let pictures = ["pictures", &at("cut"), "--out", &at("")];
    crate::support::ends(&crate::support::run(&pictures), FAILURE, "");
    refused(&pictures, FAILURE, &["--force"]);
    let forced = crate::support::run(&[&pictures[..], &["--force"]].concat());
    assert!(crate::support::stderr(&forced).contains("the end of its story is missing"));
}

#[test]
fn log_with_an_endless_line_is_refused() {
    refused(
        &["replay", "/dev/zero"],
        FAILURE,
        &["line 1", "at most 16 MiB"],
    );
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
        refused(
            &["run", "--node", "http://localhost:8001", "--store", url],
            USAGE,
            &["expected redis://"],
        );
    }
}

#[test]
fn passwords_of_nodes_are_not_repeated() {
    let node = "http://user:hunter2@localhost:8001";
    refused(
        &["run", "--node", node, "--store", "redis://localhost"],
        USAGE,
        &["http://***@localhost:8001", "user information"],
    );
}

#[tokio::test]
async fn unreachable_targets_are_named() {
    let cluster = cluster_with_password().await;
    let real = cluster.endpoints()[0].to_string();
    let (right, wrong) = (login(&cluster, "right"), login(&cluster, "wrong"));
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
    let node = format!("http://{}", closed_address());
    let old = fixed_answer_server("$22\r\nredis_version:5.0.14\r\n\r\n");
    refused(
        &["run", "--node", &node, "--store", &format!("redis://{old}")],
        FAILURE,
        &["Redis 5.0.14"],
    );
}
