//! The end of the process: on request, in every state of the store; and with one clear line when it
//! cannot start.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use crate::common::program::{command, refuses, run};
use crate::common::raw::{Raw, post};
use crate::common::{
    SECOND, Store, WritePause, all_synced, check, checks, clients, count, counted, eventually, key,
    set, spec,
};
use ratelimiter_api::{CheckResponse, CountingMode, DecidedBy, NodeClient};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::{Instant, timeout};

/// Longest end of a node, and room for a busy machine.
const END: Duration = Duration::from_secs(2);
const MARGIN: Duration = Duration::from_secs(1);

/// Long enough for a story to end before the next flush: a cluster is healthy right after one.
const SELDOM: Duration = Duration::from_secs(5);

fn send_signal(signal: &str, process: u32) {
    let sent = Command::new("kill")
        .args([signal, &process.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// Asks the process to stop, as an orchestrator does.
fn ask_to_stop(cluster: &LocalCluster, node: usize) {
    send_signal("-TERM", cluster.process_ids()[1 + node]);
}

/// A node without a store that listens, started by `runner`, and a client of it.
async fn start_alone(runner: &str) -> (Child, NodeClient) {
    let mut child = command(
        runner,
        &["--listen", "127.0.0.1:0", "--store", "redis://127.0.0.1:1"],
    )
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some((_, address)) = line.split_once("address=") {
            break address.to_owned();
        }
    };
    // A log without a reader would end the node.
    tokio::spawn(async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} });
    let endpoint = format!("http://{address}").parse().unwrap();
    (child, NodeClient::new(endpoint, SECOND))
}

async fn exit_code(mut child: Child) -> Option<i32> {
    let ended = timeout(END + MARGIN, child.wait()).await;
    ended.expect("it ends in time").unwrap().code()
}

#[tokio::test]
async fn signals_end_a_node_with_their_codes() {
    for (signal, code) in [("-TERM", 0), ("-INT", 0), ("-HUP", 129)] {
        // The tests themselves may run under nohup, which their children inherit.
        let (child, _) = start_alone("env --default-signal=HUP").await;
        send_signal(signal, child.id().unwrap());
        assert_eq!(exit_code(child).await, Some(code), "{signal}");
    }
}

#[tokio::test]
async fn a_node_under_nohup_ignores_a_hangup() {
    let (child, client) = start_alone("nohup").await;
    for _ in 0..10 {
        send_signal("-HUP", child.id().unwrap());
        client.health().await.unwrap();
    }
    send_signal("-TERM", child.id().unwrap());
    assert_eq!(exit_code(child).await, Some(0));
}

/// Asks a node to stop; it ends by itself, with exit code 0 and in time.
async fn ends_in_time(cluster: &mut LocalCluster, node: usize) {
    let told = Instant::now();
    assert!(
        cluster.terminate_node(node).await.unwrap(),
        "it ended with exit code 0 before it was killed"
    );
    let took = told.elapsed();
    println!("ended after {took:?}");
    assert!(took < END + MARGIN, "ended after {took:?}");
}

#[tokio::test]
async fn a_stopping_node_flushes_pending_admissions() {
    let mut cluster = ClusterPlan {
        sync_interval: SELDOM,
        ..ClusterPlan::nodes(1)
    }
    .start()
    .await
    .unwrap();
    let client = clients(&cluster).remove(0);
    let entry = client.set_limit(&spec("k", 1000)).await.unwrap();
    assert_eq!(
        checks(std::slice::from_ref(&client), &key("k"), 100).await,
        100
    );
    assert_eq!(count(&client, &key("k")).await, (100, 100));
    assert_eq!(Store::of(&cluster).held(&entry).await, 0);
    ends_in_time(&mut cluster, 0).await;
    assert_eq!(Store::of(&cluster).held(&entry).await, 100);
}

#[tokio::test]
async fn a_write_pause_does_not_delay_the_end() {
    let mut cluster = ClusterPlan::default().start().await.unwrap();
    set(&cluster, &spec("k", 1000)).await;
    let pause = WritePause::begin(&cluster).await;
    assert_eq!(checks(&clients(&cluster), &key("k"), 30).await, 30);
    ends_in_time(&mut cluster, 0).await;
    pause.end().await;
    all_synced(&clients(&cluster)[1..], &key("k")).await;
}

#[tokio::test]
async fn a_frozen_store_does_not_delay_the_end() {
    let mut cluster = ClusterPlan::default().start().await.unwrap();
    set(&cluster, &spec("k", 1000)).await;
    cluster.freeze_store().unwrap();
    assert_eq!(checks(&clients(&cluster), &key("k"), 30).await, 30);
    for node in 0..3 {
        ends_in_time(&mut cluster, node).await;
    }
    cluster.thaw_store().unwrap();
}

#[tokio::test]
async fn a_dead_store_does_not_delay_the_end() {
    let mut cluster = ClusterPlan::nodes(1).start().await.unwrap();
    set(&cluster, &spec("k", 1000)).await;
    cluster.kill_store();
    assert_eq!(checks(&clients(&cluster), &key("k"), 30).await, 30);
    ends_in_time(&mut cluster, 0).await;
}

#[tokio::test]
async fn requests_in_flight_are_answered_before_the_end() {
    let mut cluster = ClusterPlan {
        store_timeout: SECOND / 2,
        ..ClusterPlan::nodes(1)
    }
    .start()
    .await
    .unwrap();
    set(&cluster, &counted("k", 1000, CountingMode::Atomic)).await;
    let endpoint = cluster.endpoints().remove(0);
    let body = br#"{"key":"k"}"#;
    // Being asked to go on is the proof that the node is at work on this request.
    let mut raw = Raw::open(&endpoint).await;
    let head = format!(
        "POST /check HTTP/1.1\r\nhost: node\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    raw.send(head.as_bytes()).await;
    assert_eq!(raw.reply().await.unwrap().status, 100);
    // An idle connection is not waited for, nor one with half a request.
    let (mut idle, mut half) = (Raw::open(&endpoint).await, Raw::open(&endpoint).await);
    half.send(b"POST /check HTTP/1.1\r\nho").await;

    cluster.freeze_store().unwrap();
    ask_to_stop(&cluster, 0);
    eventually("nobody is let in any more", async || {
        TcpStream::connect(endpoint.authority()).await.is_err()
    })
    .await;
    raw.send(body).await;
    let reply = raw.reply().await.unwrap();
    assert_eq!(
        (reply.status, reply.header("connection")),
        (200, Some("close"))
    );
    let answer: CheckResponse = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(
        answer.decided_by,
        DecidedBy::Local,
        "after it waited for the store as long as it always does"
    );
    assert!(idle.reply().await.is_none() && half.reply().await.is_none());
    ends_in_time(&mut cluster, 0).await;
}

#[tokio::test]
async fn an_endless_request_does_not_delay_the_end() {
    let mut cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let endpoint = cluster.endpoints().remove(0);
    let mut raw = Raw::open(&endpoint).await;
    let whole = post("/check", r#"{"key":"k"}"#);
    raw.send(&whole[..whole.len() - 1]).await;
    ends_in_time(&mut cluster, 0).await;
}

#[tokio::test]
async fn a_wrong_command_line_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let wrong_limits = directory.path().join("limits.json");
    std::fs::write(&wrong_limits, r#"[{"key":"k","limit":0,"window_sec":1}]"#).unwrap();
    let tls = ["--store", "rediss://u:hunter2@127.0.0.1"];
    for (arguments, says) in [
        (
            &["--sync-interval", "0ms"][..],
            "sync interval is 0ns: it must be between 10ms and 60s",
        ),
        (&["--sync-interval", "2m"], "sync interval is 120s"),
        (&["--sync-interval", "soon"], "soon"),
        (&["--store-timeout", "0ms"], "store timeout is 0ns"),
        (&["--store-timeout", "11s"], "between 1ms and 10s"),
        (&["--store", "127.0.0.1:6379"], "expected redis://"),
        (&["--store", "http://127.0.0.1:6379"], "expected redis://"),
        (
            &["--store", "redis://u:hunter2@127.0.0.1:port"],
            "expected redis://",
        ),
        (
            &["--store", "rediss://u:hunter2@127.0.0.1#insecure"],
            "always verified",
        ),
        (
            &["--store-ca", "/nowhere/ca.pem"],
            "they go with rediss:// alone",
        ),
        (
            &[tls[0], tls[1], "--store-ca", "/nowhere/ca.pem"],
            "/nowhere/ca.pem: No such file",
        ),
        (
            &[tls[0], tls[1], "--store-ca", wrong_limits.to_str().unwrap()],
            "holds no certificate",
        ),
        (&["--store", ""], "expected redis://"),
        (&["--listen", "here"], "here"),
        (&["--listen", "127.0.0.1:99999"], "99999"),
        (
            &["--limits", "/nowhere/limits.json"],
            "/nowhere/limits.json: No such file",
        ),
        (
            &["--limits", wrong_limits.to_str().unwrap()],
            "key \"k\": limit is 0",
        ),
        (&["--listen", "0.0.0.0:0"], "--without-token"),
        (&["--listen", "[::]:0"], "--without-token"),
        (&["--listen", "192.0.2.1:1"], "RATELIMITER_ADMIN_TOKEN"),
        (&["--admin-token", ""], "the admin token is empty"),
        (
            &["--admin-token", "a b"],
            "the admin token is not printable",
        ),
        (&["--max-connections", "0"], "at least 1"),
        (&["--id", ""], "id is \"\""),
        (&["--id", "node 1"], "id is \"node 1\""),
        (
            &["--counting", "fast"],
            "use one of atomic, cached, leased, read-then-write",
        ),
        (
            &["--on-store-failure", "panic"],
            "use one of allow, deny, local",
        ),
        (&["--log", "loud"], "loud"),
        (&["--nope"], "--nope"),
        (&["serve"], "serve"),
        (&["healthcheck", "--node", "127.0.0.1"], "http://"),
    ] {
        refuses(arguments, 64, says).await;
    }
    let help = run(&["--help"]).await;
    assert_eq!(help.status.code(), Some(0));
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(
        help.contains("64  wrong usage") && help.contains("RATELIMITER_SYNC_INTERVAL"),
        "{help}"
    );
}

#[tokio::test]
async fn a_failed_start_names_its_reason() {
    let cluster = ClusterPlan {
        password: Some("right".into()),
        ..ClusterPlan::nodes(1)
    }
    .start()
    .await
    .unwrap();
    let store = cluster.store_url();
    let SocketAddr::V4(taken) = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
    else {
        panic!("asked for IPv4")
    };
    let _holder = TcpListener::bind(taken).unwrap();
    let port = store.to_string().rsplit(':').next().unwrap().to_owned();
    let wrong = format!("redis://:hunter2@127.0.0.1:{port}");
    let nothing = format!("redis://127.0.0.1:{port}");
    refuses(
        &["--listen", &taken.to_string(), "--store", &wrong],
        1,
        "in use",
    )
    .await;
    refuses(
        &["--listen", "127.0.0.1:0", "--store", &wrong],
        1,
        "refused the login",
    )
    .await;
    refuses(
        &["--listen", "127.0.0.1:0", "--store", &nothing],
        1,
        "refused the login",
    )
    .await;
    refuses(
        &[
            "--listen",
            "192.0.2.1:1",
            "--without-token",
            "--store",
            &wrong,
        ],
        1,
        "cannot listen on 192.0.2.1:1",
    )
    .await;
    refuses(
        &["healthcheck", "--node", &format!("http://{taken}")],
        1,
        "no answer within",
    )
    .await;
}

/// A store that answers everything with this version.
async fn fake_store(version: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                while stream.read(&mut request).await.is_ok_and(|n| n > 0) {
                    let info = format!("# Server\r\nredis_version:{version}\r\n");
                    let answer = format!("${}\r\n{info}\r\n", info.len());
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    format!("redis://{address}")
}

#[tokio::test]
async fn a_store_that_is_too_old_is_refused() {
    for version in ["5.0.14", "6.0.16"] {
        let store = fake_store(version).await;
        let says = format!("is Redis {version}: at least version 6.2 is needed");
        refuses(&["--listen", "127.0.0.1:0", "--store", &store], 1, &says).await;
    }
}

#[tokio::test]
async fn the_health_check_follows_the_store() {
    let mut cluster = ClusterPlan::nodes(1).start().await.unwrap();
    set(&cluster, &spec("k", 5)).await;
    let endpoint = cluster.endpoints().remove(0).to_string();
    let healthy = run(&["healthcheck", "--node", &endpoint]).await;
    assert_eq!(healthy.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(healthy.stdout).unwrap(),
        "node-1: healthy\n"
    );
    cluster.kill_store();
    let client = clients(&cluster).remove(0);
    eventually("the loss is noticed", async || {
        !client.health().await.unwrap().redis_connected
    })
    .await;
    refuses(
        &["healthcheck", "--node", &endpoint],
        1,
        "node-1: the store is not connected",
    )
    .await;
    assert!(check(&client, &key("k")).await.allowed, "and yet it serves");
}
