//! A store cluster and a primary behind sentinels, from one executable: they start, nodes run on
//! them, and nothing is left.

use std::process::Command;

use crate::common::{PATIENCE, checks, clients, counted, eventually, set, start};
use ratelimiter_api::CountingMode;
use ratelimiter_cluster::{ClusterPlan, StoreTopology};
use tokio::time::Instant;

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
    let cluster = start(ClusterPlan {
        topology,
        deadline: 2 * PATIENCE,
        ..ClusterPlan::default()
    })
    .await;
    println!(
        "{topology:?} with three nodes was ready after {:?}",
        started.elapsed()
    );
    let clients = clients(&cluster);
    for counting in CountingMode::ALL {
        // Many keys, so that every primary has some.
        for n in 0..12 {
            let entry = set(&cluster, &counted(&format!("{counting}-{n}"), 5, counting)).await;
            let allowed = checks(&clients[..1], &entry.key, 8).await;
            assert_eq!(allowed, 5, "{}", entry.key);
        }
    }
    let ids = cluster.process_ids();
    assert_eq!(ids.len(), processes);
    let directory = cluster.directory().to_owned();
    drop(cluster);
    eventually("neither processes nor files are left", async || {
        !ids.iter().any(|id| runs(*id)) && !directory.exists()
    })
    .await;
}

#[tokio::test]
async fn limits_hold_on_three_primaries() {
    limits_hold(StoreTopology::Cluster { replicas: false }, 6).await;
}

#[tokio::test]
async fn limits_hold_behind_sentinels() {
    limits_hold(StoreTopology::SENTINEL, 8).await;
}
