//! Entries of the store that another program wrote, or may drop: named in `/health`, and of no
//! effect on other keys.

use crate::common::{SECOND, Store, check, checks, clients, counted, eventually, key, set, start};
use ratelimiter_api::{CountingMode, Key, NodeState, layout};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};

const MODES: [CountingMode; 3] = [
    CountingMode::Atomic,
    CountingMode::Cached,
    CountingMode::Leased,
];

/// A cluster on a machine that may be busy with something else.
async fn patient() -> LocalCluster {
    start(ClusterPlan {
        store_timeout: 5 * SECOND,
        ..ClusterPlan::default()
    })
    .await
}

/// Checks the key until a node names the entry: a check finds what the sync does not read.
async fn is_named(cluster: &LocalCluster, used: &Key, name: &str) {
    eventually("the entry is named in /health", async || {
        let mut named = false;
        for client in clients(cluster) {
            check(&client, used).await;
            let health = client.health().await.unwrap();
            named |= health.store_quarantined.iter().any(|entry| entry == name);
        }
        named
    })
    .await;
}

/// All nodes see each other, and a new limit holds everywhere.
async fn all_goes_on(cluster: &LocalCluster, limit: &str) {
    let clients = clients(cluster);
    for client in &clients {
        eventually("all nodes are up", async || {
            let nodes = client.nodes().await.unwrap().nodes;
            nodes.len() == clients.len() && nodes.iter().all(|n| n.state == NodeState::Up)
        })
        .await;
        assert!(client.health().await.unwrap().redis_connected);
    }
    set(cluster, &counted(limit, 3, CountingMode::Atomic)).await;
    assert_eq!(checks(&clients, &key(limit), 9).await, 3);
}

#[tokio::test]
async fn wrong_type_of_one_key_stops_no_other() {
    let cluster = patient().await;
    for mode in MODES {
        let entry = set(&cluster, &counted(mode.as_str(), 100_000, mode)).await;
        assert_eq!(checks(&clients(&cluster), &entry.key, 3).await, 3);
        let [admissions, grants, ends, _] = layout::counter(&entry.key, entry.epoch);
        let broken = if mode == CountingMode::Leased {
            vec![grants, ends]
        } else {
            vec![admissions]
        };
        for (i, name) in broken.iter().enumerate() {
            Store::of(&cluster).run(&["SET", name, "7"]).await;
            is_named(&cluster, &entry.key, name).await;
            all_goes_on(&cluster, &format!("new-{mode}-{i}")).await;
        }
    }
}

#[tokio::test]
async fn wrong_type_of_a_shared_entry_is_put_aside() {
    let cluster = patient().await;
    let entry = set(&cluster, &counted("k", 100_000, CountingMode::Atomic)).await;
    for (i, name) in [
        layout::LIMITS,
        layout::LIMITS_VERSION,
        layout::LIMITS_CHANGED,
        layout::LIMITS_DELETED,
        layout::LIMITS_STATE,
        layout::NODES,
        layout::CLOCK,
    ]
    .into_iter()
    .enumerate()
    {
        Store::of(&cluster).run(&["SET", name, "foreign"]).await;
        is_named(&cluster, &entry.key, name).await;
        all_goes_on(&cluster, &format!("new-{i}")).await;
        assert!(check(&clients(&cluster)[1], &entry.key).await.allowed);
    }
}

#[tokio::test]
async fn eviction_policy_is_a_named_risk() {
    let mut cluster = start(ClusterPlan::nodes(1)).await;
    assert_eq!(
        clients(&cluster)[0].health().await.unwrap().store_eviction,
        None
    );
    Store::of(&cluster)
        .run(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"])
        .await;
    cluster.kill_node(0).unwrap();
    cluster.restart_node(0).await.unwrap();
    eventually("the policy is named", async || {
        let risk = clients(&cluster)[0].health().await.unwrap().store_eviction;
        risk.is_some_and(|risk| risk.contains("allkeys-lru") && risk.contains("grants"))
    })
    .await;
}
