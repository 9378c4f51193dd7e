//! Shared parts of the tests: a cluster's clients, limits, a look into the store, and a way to
//! wait.
#![allow(dead_code, reason = "every story uses a part of it")]

pub(crate) mod bursts;
pub(crate) mod program;
pub(crate) mod raw;

use std::time::Duration;

use ratelimiter_api::{
    CheckRequest, CheckResponse, CountingMode, Key, Limit, LimitEntry, LimitSpec, NodeClient,
    StoreFailurePolicy, layout,
};
use ratelimiter_chaos::setup_rate_limit;
use ratelimiter_cluster::{ClusterPlan, LocalCluster, StoreTopology};
use ratelimiter_store::{Link, slot_of};
use redis::cmd;
use tokio::time::{Instant, sleep};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// Far beyond any wait here: the machine may be busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Polls until `holds`, and returns how long that took.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !holds().await {
        assert!(
            started.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        sleep(POLL).await;
    }
    started.elapsed()
}

/// Asserts something again and again for a while.
pub(crate) async fn throughout(time: Duration, mut check: impl AsyncFnMut()) {
    let started = Instant::now();
    while started.elapsed() < time {
        check().await;
        sleep(POLL).await;
    }
}

pub(crate) fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

pub(crate) async fn start(plan: ClusterPlan) -> LocalCluster {
    plan.start().await.unwrap()
}

/// One client a node.
pub(crate) fn clients(cluster: &LocalCluster) -> Vec<NodeClient> {
    (0..cluster.endpoints().len())
        .map(|node| cluster.client(node, PATIENCE).unwrap())
        .collect()
}

/// A limit of so many a minute.
pub(crate) fn spec(name: &str, admissions: i64) -> LimitSpec {
    LimitSpec::new(key(name), Limit::new(admissions, 60).unwrap())
}

pub(crate) fn counted(name: &str, admissions: i64, counting: CountingMode) -> LimitSpec {
    LimitSpec {
        counting: Some(counting),
        ..spec(name, admissions)
    }
}

pub(crate) fn failing(
    name: &str,
    admissions: i64,
    counting: CountingMode,
    policy: StoreFailurePolicy,
) -> LimitSpec {
    LimitSpec {
        on_store_failure: Some(policy),
        ..counted(name, admissions, counting)
    }
}

/// Sets a limit through the first node and waits until all nodes have it.
pub(crate) async fn set(cluster: &LocalCluster, spec: &LimitSpec) -> LimitEntry {
    setup_rate_limit(&clients(cluster), spec).await.unwrap()
}

/// The number of the primary that a key belongs to in a new cluster.
pub(crate) fn primary_of(key: &str, topology: StoreTopology) -> usize {
    usize::from(slot_of(key)) * topology.primaries() / 16_384
}

/// One check of cost 1 that must be answered.
pub(crate) async fn check(client: &NodeClient, key: &Key) -> CheckResponse {
    client.check(&CheckRequest::new(key.clone())).await.unwrap()
}

/// So many checks, round-robin over the nodes; returns how many were allowed.
pub(crate) async fn checks(clients: &[NodeClient], key: &Key, how_many: usize) -> u64 {
    let mut allowed = 0;
    for i in 0..how_many {
        allowed += u64::from(check(&clients[i % clients.len()], key).await.allowed);
    }
    allowed
}

/// The store, past the nodes.
pub(crate) struct Store(pub(crate) Link);

impl Store {
    pub(crate) fn of(cluster: &LocalCluster) -> Self {
        Self(Link::new(cluster.store_url()))
    }

    /// How many admissions the store holds of a counter.
    pub(crate) async fn held(&self, entry: &LimitEntry) -> u64 {
        let set = layout::admissions(&entry.key, entry.epoch);
        let store = self.0.at(&set);
        store.query(cmd("ZCARD").arg(&set), PATIENCE).await.unwrap()
    }

    pub(crate) async fn run(&self, words: &[&str]) {
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        self.0
            .query::<redis::Value>(&command, PATIENCE)
            .await
            .unwrap();
    }
}

/// A store that takes no writes until the end of the pause, or its own.
///
/// Not leased, as a fault in a foreign system has to be: whether a lease is renewed in time is a
/// question to the machine, and this store belongs to the test.
pub(crate) struct WritePause(Store);

impl WritePause {
    pub(crate) async fn begin(cluster: &LocalCluster) -> Self {
        let control = Store::of(cluster);
        control.run(&["CLIENT", "PAUSE", "600000", "WRITE"]).await;
        Self(control)
    }

    pub(crate) async fn end(self) {
        self.0.run(&["CLIENT", "UNPAUSE"]).await;
    }
}

/// A node's own count of a key, and how much of it the store has not confirmed.
pub(crate) async fn count(client: &NodeClient, key: &Key) -> (u64, u64) {
    let counters = client.counters(None).await.unwrap().counters;
    counters
        .iter()
        .find(|c| c.key == *key)
        .map_or((0, 0), |c| (c.count, c.unsynced))
}

/// Waits until every node has flushed all its admissions.
pub(crate) async fn all_synced(clients: &[NodeClient], key: &Key) {
    eventually("every admission is in the store", async || {
        for client in clients {
            if count(client, key).await.1 > 0 {
                return false;
            }
        }
        true
    })
    .await;
}
