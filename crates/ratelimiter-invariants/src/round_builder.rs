use std::collections::BTreeMap;
use std::time::Duration;

use ratelimiter_api::{
    Key, KeySample, Limit, NodeObservation, NodeSample, NodeState, Observation, SharedCount,
    StoreSample,
};

use crate::DEFAULT_SYNC_INTERVAL;

/// The store's clock when the observer starts, microseconds: long after every node's start.
const CLOCK_US: u64 = 1_000_000_000_000;

/// An observation of a healthy cluster by hand, for tests and for trying a
/// [`Monitor`](crate::Monitor).
///
/// ```
/// use std::time::Duration;
/// use ratelimiter_api::{Key, Limit};
/// use ratelimiter_invariants::{Monitor, RoundBuilder};
///
/// let (key, limit) = (Key::new("api-users")?, Limit::new(10, 60)?);
/// let round = RoundBuilder::at(Duration::from_millis(200))
///     .node("node-1", &key, limit, 7)
///     .node("node-2", &key, limit, 6)
///     .store(&key, limit, 13)
///     .build();
/// let changes = Monitor::default().observe(&round);
/// assert_eq!(
///     changes[1].to_string(),
///     "raised ghost_allowing (key api-users): nodes admitted 13 (node-1 7, node-2 6), \
///      limit 10 per 60 s: 3 too many"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RoundBuilder {
    observation: Observation,
}

impl RoundBuilder {
    /// A round at this time since the observer started. Without [`store`](Self::store), the store
    /// did not answer.
    pub fn at(at: Duration) -> Self {
        let elapsed_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let observation = Observation {
            at,
            span_end_us: CLOCK_US.saturating_add(elapsed_us),
            nodes: Vec::new(),
            store: None,
            store_error: Some("no answer".to_owned()),
        };
        Self { observation }
    }

    /// Adds the admissions of one key on one node, which wrote to the store 100 ms ago and has none
    /// unsynced.
    #[must_use]
    pub fn node(mut self, name: &str, key: &Key, limit: Limit, admissions: u64) -> Self {
        let nodes = &mut self.observation.nodes;
        let place = nodes
            .iter()
            .position(|node| node.node.as_str() == name)
            .unwrap_or_else(|| {
                nodes.push(healthy(name, nodes.len()));
                nodes.len() - 1
            });
        if let Some(sample) = &mut nodes[place].sample {
            let count = KeySample::new(limit, 1, admissions);
            sample.keys.insert(key.clone(), count);
        }
        self
    }

    /// Adds the shared count of one key.
    #[must_use]
    pub fn store(mut self, key: &Key, limit: Limit, shared: u64) -> Self {
        self.observation.store_error = None;
        let empty = || StoreSample {
            latency: Duration::from_millis(1),
            keys: BTreeMap::new(),
        };
        let store = self.observation.store.get_or_insert_with(empty);
        store.keys.insert(
            key.clone(),
            SharedCount {
                limit,
                epoch: 1,
                shared,
                grants: None,
            },
        );
        self
    }

    /// The observation.
    pub fn build(self) -> Observation {
        self.observation
    }
}

fn healthy(name: &str, place: usize) -> NodeObservation {
    NodeObservation {
        node: name.into(),
        address: format!("127.0.0.1:{}", 8001 + place),
        heartbeat: Some(NodeState::Up),
        sample: Some(NodeSample {
            boot: "a".to_owned(),
            started_at_us: 0,
            latency: Duration::from_millis(1),
            store_connected: true,
            last_write_age: Some(Duration::from_millis(100)),
            check_p99: Some(Duration::from_millis(2)),
            sync_interval: DEFAULT_SYNC_INTERVAL,
            keys: BTreeMap::new(),
        }),
        error: None,
    }
}
