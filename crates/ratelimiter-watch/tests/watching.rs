//! The observer against a real cluster, whole and broken.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use ratelimiter_api::{CheckRequest, Key, Limit, LimitSpec, NodeClient, Observation};
use ratelimiter_chaos::{Reach, RedisPause, setup_rate_limit};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use ratelimiter_watch::Observer;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + 20 * SECOND;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn checked(cluster: &LocalCluster, key: &str, times: usize) -> Vec<NodeClient> {
    let nodes = clients(cluster);
    let key = Key::new(key).unwrap();
    setup_rate_limit(
        &nodes,
        &LimitSpec::new(key.clone(), Limit::new(100, 60).unwrap()),
    )
    .await
    .unwrap();
    check(&nodes, &key, times).await;
    nodes
}

fn clients(cluster: &LocalCluster) -> Vec<NodeClient> {
    cluster
        .endpoints()
        .into_iter()
        .map(|endpoint| NodeClient::new(endpoint, 5 * SECOND))
        .collect()
}

async fn check(nodes: &[NodeClient], key: &Key, times: usize) {
    for i in 0..times {
        assert!(
            nodes[i % nodes.len()]
                .check(&CheckRequest::new(key.clone()))
                .await
                .unwrap()
                .allowed
        );
    }
}

/// The nodes' own counts in sum, and the shared count.
fn counts(observation: &Observation, key: &str) -> (u64, Option<u64>) {
    let own = observation
        .nodes
        .iter()
        .filter_map(|n| n.sample.as_ref()?.keys.get(key));
    let shared = observation
        .store
        .as_ref()
        .and_then(|s| s.keys.get(key))
        .map(|k| k.shared);
    (own.map(|k| k.admissions).sum(), shared)
}

#[tokio::test]
async fn counts_agree_until_a_write_pause() {
    let cluster = ClusterPlan::nodes(3).start().await.unwrap();
    let nodes = checked(&cluster, "k", 12).await;
    let mut observer = Observer::new(&cluster.endpoints(), cluster.store_url());
    until("everything is flushed", async || {
        counts(&observer.observe().await, "k") == (12, Some(12))
    })
    .await;

    let guard = RedisPause::new(cluster.store_url(), Reach::ThisMachine)
        .unwrap()
        .inject()
        .await
        .unwrap();
    check(&nodes, &Key::new("k").unwrap(), 6).await;
    let during = observer.observe().await;
    assert_eq!(
        counts(&during, "k"),
        (18, Some(12)),
        "the observer's reads pass"
    );
    let unsynced: u64 = during
        .nodes
        .iter()
        .filter_map(|n| n.sample.as_ref()?.keys.get("k"))
        .map(|k| k.unsynced)
        .sum();
    assert_eq!(unsynced, 6);
    guard.heal().await.unwrap();
    until("the counts agree again", async || {
        counts(&observer.observe().await, "k") == (18, Some(18))
    })
    .await;
}

#[tokio::test]
async fn silence_is_a_gap_with_a_reason() {
    let mut cluster = ClusterPlan::nodes(2).start().await.unwrap();
    let _nodes = checked(&cluster, "k", 4).await;
    let mut observer = Observer::new(&cluster.endpoints(), cluster.store_url());
    observer.observe().await;
    cluster.kill_node(1).unwrap();
    let observation = observer.observe().await;
    assert_eq!(
        observation.nodes[1].node.as_str(),
        "node-2",
        "its name is remembered"
    );
    assert!(observation.nodes[1].sample.is_none() && observation.nodes[1].error.is_some());
    assert!(observation.nodes[0].sample.is_some());

    cluster.kill_store();
    let observation = observer.observe().await;
    assert!(observation.store.is_none() && observation.store_error.is_some());
    let own = observation.nodes[0].sample.as_ref().unwrap().keys["k"].admissions;
    assert_eq!(own, 2, "a node's own count needs no store");
    let json = serde_json::to_string(&observation).unwrap();
    let parsed: Observation = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&parsed).unwrap(), json);
}

#[tokio::test]
async fn many_keys_are_seen_by_turns() {
    const KEYS: usize = 1_500;
    let cluster = ClusterPlan::nodes(2).start().await.unwrap();
    let nodes = clients(&cluster);
    let key = |number: usize| Key::new(format!("key-{number:04}")).unwrap();
    for part in 0..2 {
        let part = part * KEYS / 2..(part + 1) * KEYS / 2;
        let limits = part.map(|number| LimitSpec::new(key(number), Limit::new(10, 60).unwrap()));
        nodes[0].set_limits(limits.collect()).await.unwrap();
    }
    let mut observer = Observer::new(&cluster.endpoints(), cluster.store_url());
    let idle = observer.observe().await;
    let listed = idle
        .nodes
        .iter()
        .filter_map(|node| Some(node.sample.as_ref()?.keys.len()));
    assert_eq!(
        listed.max(),
        Some(0),
        "keys that nothing happens to cost nothing"
    );

    until("both nodes know all", async || {
        nodes[1].limits().await.unwrap().len() == KEYS
    })
    .await;
    for number in 0..KEYS {
        check(&nodes, &key(number), 2).await;
    }
    // A round is about some of the keys: the nodes are asked about all.
    for node in &nodes {
        until("all is flushed", async || {
            node.counters(None)
                .await
                .unwrap()
                .counters
                .iter()
                .all(|counter| counter.unsynced == 0)
        })
        .await;
    }

    // The last key is in every round, and each round compares what nodes and store say of the same
    // keys.
    observer.follow([key(KEYS - 1)].iter());
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let observation = observer.observe().await;
        let keys: Vec<Key> = observation
            .store
            .as_ref()
            .unwrap()
            .keys
            .keys()
            .cloned()
            .collect();
        for key in &keys {
            assert_eq!(counts(&observation, key.as_str()), (2, Some(2)), "{key}");
        }
        assert!(
            keys.contains(&key(KEYS - 1)) && keys.len() <= 1_002,
            "{} keys",
            keys.len()
        );
        seen.extend(keys);
    }
    assert_eq!(seen.len(), KEYS);
}
