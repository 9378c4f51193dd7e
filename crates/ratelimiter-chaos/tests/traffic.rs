//! Bursts and workloads against real nodes.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use ratelimiter_api::{CountingMode, Key, Limit, LimitSpec, NodeClient, Outcome};
use ratelimiter_chaos::{Burst, Multiplier, Reach, SteadyLoad, setup_rate_limit};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use tokio::time::{Instant, sleep};

async fn limit(cluster: &LocalCluster, key: &str, counting: CountingMode, admissions: i64) -> Key {
    let key = Key::new(key).unwrap();
    let spec = LimitSpec {
        counting: Some(counting),
        ..LimitSpec::new(key.clone(), Limit::new(admissions, 60).unwrap())
    };
    let nodes: Vec<_> = cluster
        .endpoints()
        .into_iter()
        .map(|e| NodeClient::new(e, Duration::from_secs(2)))
        .collect();
    setup_rate_limit(&nodes, &spec).await.unwrap();
    key
}

#[tokio::test]
async fn burst_is_shared_and_recorded_completely() {
    let cluster = ClusterPlan::default().start().await.unwrap();
    let key = limit(&cluster, "k", CountingMode::Cached, 10).await;
    let burst = Burst::new(
        cluster.endpoints(),
        key,
        Limit::new(10, 60).unwrap(),
        Multiplier::new(3).unwrap(),
        Reach::ThisMachine,
    )
    .unwrap();
    let report = burst.fire().await.unwrap();
    assert_eq!(report.operations.len(), 30);
    assert_eq!(report.tally.sent(), 30);
    assert_eq!(report.tally.unknown, 0);
    for node in ["node-1", "node-2", "node-3"] {
        assert_eq!(
            report
                .operations
                .iter()
                .filter(|op| op.node.as_str() == node)
                .count(),
            10,
            "{node}"
        );
    }
    assert!(report.operations.iter().all(|op| op.invoke <= op.complete));
    // Each node decided from its own count, ten requests each: all thirty pass a limit of ten.
    assert_eq!(report.tally.allowed, 30);
}

#[tokio::test]
async fn checks_of_a_dead_node_fail() {
    let mut cluster = ClusterPlan::nodes(2).start().await.unwrap();
    let key = limit(&cluster, "k", CountingMode::Atomic, 1000).await;
    let handle = SteadyLoad::new(&cluster.endpoints(), vec![key], 200.0, Reach::ThisMachine)
        .unwrap()
        .start();
    let until = Instant::now() + Duration::from_secs(20);
    while handle.tally().allowed < 20 {
        assert!(Instant::now() < until);
        sleep(Duration::from_millis(5)).await;
    }
    cluster.kill_node(1).unwrap();
    while handle.tally().failed < 5 {
        assert!(Instant::now() < until);
        sleep(Duration::from_millis(5)).await;
    }
    let report = handle.stop().await;
    assert_eq!(report.tally.denied, 0);
    assert!(
        report
            .operations
            .iter()
            .any(|op| op.outcome == Outcome::Failed)
    );
}

#[tokio::test]
async fn workload_visits_every_key_and_node() {
    let cluster = ClusterPlan::nodes(3).start().await.unwrap();
    let mut keys = Vec::new();
    for key in ["a", "b", "c"] {
        keys.push(limit(&cluster, key, CountingMode::Cached, 10_000).await);
    }
    let rate = 50.0;
    let handle = SteadyLoad::new(&cluster.endpoints(), keys, rate, Reach::ThisMachine)
        .unwrap()
        .start();
    let until = Instant::now() + Duration::from_secs(20);
    while handle.tally().sent() < 90 {
        assert!(Instant::now() < until);
        sleep(Duration::from_millis(5)).await;
    }
    let report = handle.stop().await;
    let last = report.operations.iter().map(|op| op.invoke).max().unwrap();
    let due = (last.as_secs_f64() * rate * 3.0).round() as u64 + 1;
    assert!(
        report.tally.sent() + report.tally.skipped <= due + 1,
        "{} sent, {due} due",
        report.tally.sent()
    );
    let visited: BTreeSet<_> = report
        .operations
        .iter()
        .map(|op| (op.key.as_str(), op.node.as_str()))
        .collect();
    assert_eq!(visited.len(), 9, "{visited:?}");
    assert!(report.latency.p50 <= report.latency.p99 && report.latency.p99 <= report.latency.max);
}
