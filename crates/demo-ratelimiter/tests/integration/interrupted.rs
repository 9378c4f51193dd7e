//! A run that is ended in the middle of the pause heals the store and leaves nothing behind,
//! however it is ended.

use std::time::Duration;

use crate::support::{Running, Scratch, demo};
use ratelimiter_chaos::writes_pass;
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use ratelimiter_store::Link;
use redis::cmd;
use rustix::process::Signal;
use tokio::time::Instant;

const IN_THE_PAUSE: &str = "store takes no writes: begin";

fn on_its_own_cluster(scratch: &Scratch) -> Running {
    let mut child = demo(&["run", "--headless", "--for", "60s"]);
    child.env("TMPDIR", scratch.path());
    let mut running = Running::spawn(child);
    running.until(IN_THE_PAUSE);
    running
}

#[test]
fn signals_heal_and_have_exit_codes() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let scratch = Scratch::new();
        let mut running = on_its_own_cluster(&scratch);
        running.signal(signal);
        assert_eq!(running.end(), Some(code));
        scratch.is_clean();
    }
}

#[test]
fn killing_the_run_ends_its_cluster() {
    let scratch = Scratch::new();
    let mut running = on_its_own_cluster(&scratch);
    running.signal(Signal::KILL);
    assert_eq!(running.end(), None);
    scratch.is_clean();
}

/// A cluster that the demo did not start, and must leave as it was.
async fn on_a_foreign_cluster() -> (LocalCluster, Running) {
    let cluster = ClusterPlan::default().start().await.unwrap();
    let mut arguments = vec![
        "run".to_owned(),
        "--headless".into(),
        "--for".into(),
        "60s".into(),
    ];
    for endpoint in cluster.endpoints() {
        arguments.extend(["--node".into(), endpoint.to_string()]);
    }
    arguments.extend(["--store".into(), cluster.store_url().to_string()]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut running = Running::start(&arguments);
    running.until(IN_THE_PAUSE);
    (cluster, running)
}

#[tokio::test]
async fn killing_the_run_frees_a_foreign_store() {
    let (cluster, mut running) = on_a_foreign_cluster().await;
    assert!(!writes_pass(&cluster.store_url()).await.unwrap());
    let writer = Link::new(cluster.store_url());
    writer
        .query::<()>(&cmd("PING"), Duration::from_secs(5))
        .await
        .unwrap();
    running.signal(Signal::KILL);
    let killed = Instant::now();
    writer
        .query::<()>(cmd("SET").arg("x").arg(1), Duration::from_secs(30))
        .await
        .unwrap();
    let held = killed.elapsed();
    assert!(
        held < Duration::from_millis(500),
        "writes were held back for another {held:?}"
    );
    assert_eq!(running.end(), None);
}

#[tokio::test]
async fn interrupting_heals_a_foreign_cluster_that_stays_up() {
    let (cluster, mut running) = on_a_foreign_cluster().await;
    running.signal(Signal::INT);
    assert_eq!(running.end(), Some(130));
    assert!(writes_pass(&cluster.store_url()).await.unwrap());
    for node in 0..3 {
        assert!(
            cluster
                .client(node, Duration::from_secs(5))
                .unwrap()
                .health()
                .await
                .unwrap()
                .redis_connected
        );
    }
}
