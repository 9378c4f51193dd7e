//! Three nodes over a store of which everything can be changed: contents, memory and clock.

use std::time::Duration;

use ratelimiter_api::{CountingMode, Key, Limit, LimitSpec, StoreFailurePolicy};
use ratelimiter_chaos::setup_rate_limit;
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use ratelimiter_store::Link;
use redis::{Value, cmd};

use crate::clock::StoreClock;

/// Admissions in a window, for each key.
pub(crate) const LIMIT: u64 = 20;
pub(crate) const WINDOW: Duration = Duration::from_secs(2);
/// Longest wait of a check for the store.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_millis(200);
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// Nodes of the cluster.
pub(crate) const NODES: usize = 3;
/// The modes with a promise that a store can break, each with a key of its own name.
pub(crate) const MODES: [CountingMode; 2] = [CountingMode::Atomic, CountingMode::Leased];

/// A cluster, and the clock of its store.
pub(crate) struct World {
    pub(crate) cluster: LocalCluster,
    pub(crate) clock: StoreClock,
    pub(crate) link: Link,
}

impl World {
    /// Three nodes and their limits, which deny while the store fails.
    pub(crate) async fn start() -> Self {
        let clock = StoreClock::new();
        let plan = ClusterPlan {
            store_binary: Some(clock.store()),
            store_timeout: STORE_TIMEOUT,
            ..ClusterPlan::nodes(NODES)
        };
        let cluster = plan.start().await.unwrap();
        let clients: Vec<_> = (0..NODES)
            .map(|node| cluster.client(node, DEADLINE).unwrap())
            .collect();
        for mode in MODES {
            let limit = LimitSpec {
                counting: Some(mode),
                on_store_failure: Some(StoreFailurePolicy::Deny),
                ..LimitSpec::new(key_of(mode), limit())
            };
            setup_rate_limit(&clients, &limit).await.unwrap();
        }
        let link = Link::new(cluster.store_url());
        Self {
            cluster,
            clock,
            link,
        }
    }

    /// Runs one command in the store. A store that is full or gone refuses it.
    pub(crate) async fn command(&self, words: &[&str]) -> Option<Value> {
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        self.link.query(&command, DEADLINE).await.ok()
    }
}

/// The limit of every key.
pub(crate) fn limit() -> Limit {
    Limit::new(LIMIT.cast_signed(), WINDOW.as_secs().cast_signed()).unwrap()
}

/// The key that is counted in this mode.
pub(crate) fn key_of(mode: CountingMode) -> Key {
    Key::new(mode.as_str()).unwrap()
}
