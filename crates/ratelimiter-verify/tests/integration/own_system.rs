//! `inject` and `watch`, against a cluster that stands for one's own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::support::{ends, events, verify};
use ratelimiter_cluster::{ClusterPlan, LocalCluster, StoreTopology};

fn targets(cluster: &LocalCluster) -> Vec<String> {
    cluster
        .endpoints()
        .iter()
        .flat_map(|e| ["--node".to_owned(), e.to_string()])
        .collect()
}

fn arguments<'a>(first: &[&'a str], targets: &'a [String], last: &[&'a str]) -> Vec<&'a str> {
    first
        .iter()
        .copied()
        .chain(targets.iter().map(String::as_str))
        .chain(last.iter().copied())
        .collect()
}

/// One burst on nodes that count alone: they admit too many.
const BURST: &[&str] = &[
    "node", "--limit", "10/1m", "--phase", "burst", "--bursts", "1",
];

#[tokio::test]
async fn one_burst_is_judged_by_its_history() {
    let cluster = ClusterPlan::default().start().await.unwrap();
    let targets = targets(&cluster);
    let violated = verify(&arguments(BURST, &targets, &["--multiplier", "3"]));
    ends(&violated, 3, "");
    let text = String::from_utf8_lossy(&violated.stdout);
    assert!(
        text.contains("30 of 10") && text.contains("VIOLATED"),
        "{text}"
    );

    let atomic = verify(&arguments(BURST, &targets, &["--counting", "atomic"]));
    ends(&atomic, 0, "");
    assert!(String::from_utf8_lossy(&atomic.stdout).contains("10 of 10"));
}

#[tokio::test]
async fn watching_prints_observations_and_violations_as_json_lines() {
    let cluster = ClusterPlan::default().start().await.unwrap();
    let targets = targets(&cluster);
    let store = cluster.store_url().to_string();
    let violated = verify(&arguments(BURST, &targets, &[]));
    ends(&violated, 3, "");

    let watch = arguments(
        &["watch"],
        &targets,
        &["--store", &store, "--for", "1s", "--fail-on-violation"],
    );
    let output = verify(&watch);
    ends(&output, 3, "");
    let lines = events(&output);
    let observations: Vec<_> = lines
        .iter()
        .filter(|l| l["kind"] == "observation")
        .collect();
    assert!(observations.len() >= 2, "{}", lines.len());
    assert_eq!(observations[0]["nodes"].as_array().unwrap().len(), 3);
    let names: Vec<_> = lines
        .iter()
        .filter_map(|l| l["invariant"].as_str())
        .collect();
    assert!(
        names.contains(&"ghost_allowing") && names.contains(&"over_limit"),
        "{names:?}"
    );

    let other = arguments(
        &["watch"],
        &targets,
        &[
            "--store",
            &store,
            "--for",
            "1s",
            "--key",
            "other",
            "--fail-on-violation",
        ],
    );
    assert_eq!(
        verify(&other).status.code(),
        Some(0),
        "that key is not observed"
    );
}

#[tokio::test]
async fn pauses_print_their_start_and_end() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let store = cluster.store_url().to_string();
    let output = verify(&["inject", "redis-pause", "--store", &store, "--for", "500ms"]);
    ends(&output, 0, "");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("takes no writes for 500ms") && text.contains("writes pass again after"),
        "{text}"
    );
}

#[tokio::test]
async fn a_failover_predicts_its_loss() {
    let cluster = ClusterPlan {
        topology: StoreTopology::SENTINEL,
        ..ClusterPlan::nodes(1)
    }
    .start()
    .await
    .unwrap();
    let store = cluster.store_url().to_string();
    let output = verify(&["inject", "failover", "--store", &store, "--for", "300ms"]);
    ends(&output, 0, "");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("WAIT 1 200 answers 0") && text.contains("is the primary"),
        "{text}"
    );

    let single = cluster.member_url(0).unwrap().to_string();
    let refused = verify(&["inject", "failover", "--store", &single]);
    ends(&refused, 64, "");
    assert!(
        crate::support::stderr(&refused).contains("redis+sentinel://"),
        "{}",
        crate::support::stderr(&refused)
    );
}

#[test]
fn help_lists_exit_codes() {
    for arguments in [
        &["--help"][..],
        &["http", "--help"],
        &["inject", "resp", "--help"],
        &["watch", "--help"],
    ] {
        let output = verify(arguments);
        ends(&output, 0, "");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("Exit codes:"),
            "{arguments:?}"
        );
    }
}

#[tokio::test]
async fn a_proxy_breaks_commands_until_a_signal() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let store = cluster.store_url().to_string();
    let rule = "command=INCR do=error text=\"ERR injected\"";
    let mut child = Command::new(env!("CARGO_BIN_EXE_ratelimiter-verify"))
        .args([
            "inject",
            "resp",
            "--listen",
            "127.0.0.1:0",
            "--store",
            &store,
            "--rule",
            rule,
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    printed.read_line(&mut line).unwrap();
    let mut application = TcpStream::connect(line.split(' ').next().unwrap()).unwrap();
    application.write_all(b"INCR k\r\nGET k\r\n").unwrap();
    let mut answer = [0; 20];
    application.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"-ERR injected\r\n$-1\r\n");
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let mut rest = String::new();
    printed.read_to_string(&mut rest).unwrap();
    assert!(
        rest.contains("1 effects on 1 commands") && rest.contains("ended"),
        "{rest}"
    );
}
