//! A store cluster and a primary behind sentinels, from one executable: they start, nodes run on
//! them, and nothing is left.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

use std::process::Command;
use std::time::Duration;

use ratelimiter_api::{CheckRequest, CountingMode, Key, Limit, LimitSpec};
use ratelimiter_chaos::setup_rate_limit;
use ratelimiter_cluster::{ClusterPlan, StoreTopology};
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_secs(20);

fn runs(id: u32) -> bool {
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", &id.to_string()])
        .output()
        .unwrap();
    let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

/// Every mode admits exactly its limit, over all nodes, and nothing is left behind.
async fn limits_hold(topology: StoreTopology, processes: usize) {
    let started = Instant::now();
    let cluster = ClusterPlan {
        topology,
        deadline: 2 * PATIENCE,
        ..ClusterPlan::default()
    }
    .start()
    .await
    .unwrap();
    println!(
        "{topology:?} with three nodes was ready after {:?}",
        started.elapsed()
    );
    let clients: Vec<_> = (0..3)
        .map(|node| cluster.client(node, PATIENCE).unwrap())
        .collect();
    for counting in CountingMode::ALL {
        // Many keys, so that every primary has some.
        for n in 0..12 {
            let key = Key::new(format!("{counting}-{n}")).unwrap();
            let spec = LimitSpec {
                counting: Some(counting),
                ..LimitSpec::new(key.clone(), Limit::new(5, 60).unwrap())
            };
            setup_rate_limit(&clients, &spec).await.unwrap();
            let mut allowed = 0;
            for _ in 0..8 {
                let answer = clients[0]
                    .check(&CheckRequest::new(key.clone()))
                    .await
                    .unwrap();
                allowed += u32::from(answer.allowed);
            }
            assert_eq!(allowed, 5, "{key}");
        }
    }
    let ids = cluster.process_ids();
    assert_eq!(ids.len(), processes);
    let directory = cluster.directory().to_owned();
    drop(cluster);
    let until = Instant::now() + PATIENCE;
    while ids.iter().any(|id| runs(*id)) || directory.exists() {
        assert!(Instant::now() < until, "processes or files are left");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn limits_hold_on_three_primaries() {
    limits_hold(StoreTopology::Cluster { replicas: false }, 6).await;
}

#[tokio::test]
async fn limits_hold_behind_sentinels() {
    limits_hold(StoreTopology::SENTINEL, 8).await;
}
