//! The program against limiters that are right and limiters that are wrong, ours and others'.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "../../ratelimiter-cluster/tests/support/fixed_answer.rs"]
mod fixed_answer;
mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use fixed_answer::fixed_answer_server;
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use support::{Started, ends, stdout, verdict, verify, words};

async fn cluster() -> LocalCluster {
    ClusterPlan::default().start().await.unwrap()
}

#[tokio::test]
async fn our_modes_are_told_apart() {
    let cluster = cluster().await;
    let results = tempfile::tempdir().unwrap();
    for (mode, code, word) in [
        ("atomic", 0, "Passed"),
        ("leased", 0, "Passed"),
        ("cached", 3, "Violated"),
    ] {
        let directory = results.path().join(mode);
        let endpoints: Vec<String> = cluster
            .endpoints()
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut arguments = words("node --limit 10/1m --counting", &[mode]);
        endpoints
            .iter()
            .for_each(|endpoint| arguments.extend(["--node", endpoint]));
        arguments.extend(["--out", directory.to_str().unwrap()]);
        let output = verify(&arguments);
        ends(&output, code, mode);
        assert!(
            stdout(&output).contains(word),
            "{mode}: {}",
            stdout(&output)
        );

        let json = verdict(&directory);
        assert_eq!(json["version"], 2);
        assert_eq!(
            json["skipped"].as_array().unwrap().len(),
            5,
            "phases that wait for a window of 60 s"
        );
        let junit = std::fs::read_to_string(directory.join("junit.xml")).unwrap();
        assert_eq!(junit.contains("<failure"), code == 3, "{junit}");
        // The recorded history gives the same verdict.
        let history = directory.join("history.jsonl");
        let history = [history.to_str().unwrap()];
        let again = verify(&words("check --limit 10/1m", &history));
        ends(&again, code, mode);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_library_is_judged_through_its_adapter() {
    // The pause between GET and INCR makes the race certain on any machine.
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let url = cluster.store_url().to_string();
    let (host, port) = url.trim_start_matches("redis://").rsplit_once(':').unwrap();
    let adapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/adapter.py");
    for (mode, code) in [("correct", 0), ("racy", 3)] {
        let command = format!(
            "python3 {} {host} {port} {mode} 10 60000 100",
            adapter.display()
        );
        let plan = "exec --limit 10/1m --multiplier 6 --phase burst --bursts 8 \
            --processes 6 --command";
        ends(&verify(&words(plan, &[&command])), code, mode);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_script_is_judged_over_resp() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let url = cluster.store_url().to_string();
    let count = "local n = redis.call('INCR', KEYS[1]); redis.call('EXPIRE', KEYS[1], 60); return \
        n <= LIMIT and 1 or 0";
    for (limit, code) in [("10", 0), ("11", 3)] {
        let command = format!("EVAL \"{}\" 1 {{key}}", count.replace("LIMIT", limit));
        let plan = "resp --allowed-reply =1 --limit 10/1m";
        let output = verify(&words(plan, &["--url", &url, "--command", &command]));
        ends(&output, code, limit);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn get_then_incr_is_told_from_incr() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let url = cluster.store_url().to_string();
    let (host, port) = url.trim_start_matches("redis://").rsplit_once(':').unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/get_then_incr.py");
    for (mode, code) in [("correct", 0), ("racy", 3)] {
        let mut limiter = Started(
            Command::new("python3")
                .args([script.to_str().unwrap(), host, port, mode, "10", "200"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut listening = String::new();
        BufReader::new(limiter.0.stdout.take().unwrap())
            .read_line(&mut listening)
            .unwrap();
        let target = format!("redis://127.0.0.1:{}", listening.trim());
        // The counters of both modes are in one store.
        let plan = "resp --allowed-reply =1 --limit 10/1m --phase burst --multiplier 6";
        let target = [
            "--url",
            &target,
            "--command",
            "CHECK {key}",
            "--key-part",
            mode,
        ];
        ends(&verify(&words(plan, &target)), code, mode);
    }
    cluster.shutdown().await;
}

#[test]
fn an_endpoint_that_decides_nothing_never_passes() {
    let address = fixed_answer_server("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    let url = format!("http://{address}/{{key}}");
    let output = verify(&["http", "--url", &url, "--limit", "10/1m"]);
    ends(&output, 4, "");
    assert!(
        stdout(&output).contains("status 500"),
        "{}",
        stdout(&output)
    );
}

#[tokio::test]
async fn a_burst_fits_into_the_limit_of_open_files() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let node = cluster.endpoints()[0].to_string();
    let run = "node --counting atomic --limit 150/60s --phase burst --bursts 1 --node";
    for (files, code, word) in [("100", 0, "150 of 150"), ("20", 1, "ulimit -n")] {
        let limited = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &limited, env!("CARGO_BIN_EXE_ratelimiter-verify")])
            .args(words(run, &[&node]))
            .output()
            .unwrap();
        ends(&output, code, files);
        let text = stdout(&output) + &stderr(&output);
        assert!(text.contains(word), "{files}: {text}");
    }
    cluster.shutdown().await;
}

#[test]
fn costs_are_played_where_a_program_reads_them() {
    let plan = "exec --command true --limit 10/2s --phase costs --phase fields --dry-run";
    let skipped = stdout(&verify(&words(plan, &[])));
    assert!(
        skipped.contains("skipped: costs: requests have no {cost}; exec needs --has-cost"),
        "{skipped}"
    );
    let played = stdout(&verify(&words(plan, &["--has-cost"])));
    assert!(!played.contains("skipped"), "{played}");
}

#[test]
fn missing_limiter_is_doubted_before_it_is_accused() {
    let server = fixed_answer_server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let url = format!("http://{server}/{{key}}");
    let output = verify(&[
        "http", "--url", &url, "--limit", "10/1m", "--phase", "burst",
    ]);
    ends(&output, 3, "");
    let text = stdout(&output);
    assert!(
        text.contains("Nothing was ever denied") && text.contains("Answers: 200"),
        "{text}"
    );
    assert!(!text.contains("[==="), "a proof is drawn: {text}");
    let told = ["--fail-on", "denials,claims"];
    let url = ["--url", &url];
    let told = verify(&words(
        "http --limit 10/1m --phase burst",
        &[&url[..], &told].concat(),
    ));
    ends(&told, 4, "nothing was denied");
    assert!(stdout(&told).contains("Not failed on, as told: more than 10/1m sliding"));
}
