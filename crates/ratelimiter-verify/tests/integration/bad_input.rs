//! Bad input gets one clear line on standard error and the documented exit code.

#[path = "../../../ratelimiter-cluster/tests/support/refusals.rs"]
mod refusals;

use crate::support::fixed_answer::fixed_answer_server;
use crate::support::{ends, program, stdout, verdict, verify, words};
use refusals::{FAILURE, USAGE, closed_address, cluster_with_password, login, refuses};

#[track_caller]
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    refuses(&mut program(arguments), code, words);
}

#[test]
fn results_replace_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("verdict.json"), "kept").unwrap();
    std::os::unix::fs::symlink(directory.path(), at("link")).unwrap();
    let address = fixed_answer_server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let url = format!("http://{address}/{{key}}");
    let http = |out: &str, more: &[&str]| {
        let plan = "http --limit 2/1s --phase burst --bursts 1";
        program(&words(
            plan,
            &[&["--url", &url, "--out", out], more].concat(),
        ))
    };
    refuses(
        &mut http(&at(""), &[]),
        FAILURE,
        &["verdict.json exists", "--force"],
    );
    for link in ["link", "link/"] {
        refuses(
            &mut http(&at(link), &["--force"]),
            FAILURE,
            &["symbolic link"],
        );
    }
    let kept = std::fs::read_to_string(at("verdict.json")).unwrap();
    assert_eq!(kept, "kept");
    let replaced = http(&at(""), &["--force"]).output().unwrap();
    ends(&replaced, 3, "a limiter that allows everything");
    assert_eq!(verdict(directory.path())["version"], 2);
}

#[test]
fn history_with_an_endless_line_is_refused() {
    refused(
        &[
            "check",
            "/dev/zero",
            "--limit",
            "2/1s",
            "--format",
            "history",
        ],
        FAILURE,
        &["line 1", "at most 16 MiB"],
    );
    refused(
        &["check", "/dev/zero", "--limit", "2/1s"],
        FAILURE,
        &["no format that is known", "--format"],
    );
}

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
fn wrong_usage_is_one_line_without_secrets() {
    let http = ["http", "--limit", "10/1m"];
    for (more, reason) in [
        (&["--url", "http://10.1.2.3/"][..], "--allow-remote"),
        (
            &["--url", "http://user:hunter2@localhost/"],
            "credentials belong into --header",
        ),
        (
            &["--url", "https://10.1.2.3/", "--allow-remote", "--insecure"],
            "--insecure is for this machine alone",
        ),
        (
            &["--url", "http://localhost/", "--source", "nowhere"],
            "neither an IP address nor {ip}",
        ),
        (
            &["--url", "http://localhost/", "--header", "hunter2"],
            "NAME: VALUE",
        ),
        (
            &["--url", "http://localhost/", "--body", "hunter2\u{1}"],
            "--body",
        ),
        (
            &["--url", "http://localhost/", "--phase", "overlord"],
            "overload",
        ),
        (
            &["--url", "http://localhost/", "--phase", "overload"],
            "no phase is left",
        ),
    ] {
        refused(&[&http[..], more].concat(), USAGE, &[reason]);
    }
    let dry = verify(
        &[
            &http[..],
            &["--url", "http://localhost:1/{key}", "--dry-run"],
        ]
        .concat(),
    );
    assert!(
        dry.status.success() && stdout(&dry).contains("skipped: overload"),
        "{}",
        stdout(&dry)
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
            refused(arguments, USAGE, &["expected redis://"]);
        }
    }
}

#[tokio::test]
async fn unreachable_targets_are_named() {
    let cluster = cluster_with_password().await;
    let (real, wrong) = (cluster.endpoints()[0].to_string(), login(&cluster, "wrong"));
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
    ends(&verify(&check), 4, "an empty history proves nothing");
    std::fs::write(path, line).unwrap();
    ends(&verify(&check), 0, "one check");
}
