//! A small cluster for the invariants' tests: three healthy nodes, one key `k`, a round every 200
//! ms.

use std::collections::BTreeMap;
use std::time::Duration;

use ratelimiter_api::{
    Key, KeySample, Limit, NodeObservation, NodeSample, Observation, SharedCount, SharedGrants,
    StoreSample,
};

use crate::{Monitor, RoundBuilder, ViolationChange};

const ROUND: Duration = Duration::from_millis(200);

pub(crate) struct TrialCluster {
    pub(crate) monitor: Monitor,
    pub(crate) nodes: Vec<NodeObservation>,
    store: StoreSample,
    /// The store's clock when the observer starts.
    span_start_us: u64,
    store_lost: bool,
    lost: BTreeMap<usize, NodeSample>,
    rounds: u32,
}

fn key() -> Key {
    Key::new("k").unwrap()
}

impl TrialCluster {
    pub(crate) fn new() -> Self {
        let limit = Limit::new(10, 60).unwrap();
        let round = (1..=3)
            .fold(RoundBuilder::at(Duration::ZERO), |round, n| {
                round.node(&format!("node-{n}"), &key(), limit, 0)
            })
            .store(&key(), limit, 0)
            .build();
        Self {
            monitor: Monitor::default(),
            nodes: round.nodes,
            store: round.store.unwrap(),
            span_start_us: round.span_end_us,
            store_lost: false,
            lost: BTreeMap::new(),
            rounds: 0,
        }
    }

    /// When the latest round was.
    pub(crate) fn at(&self) -> Duration {
        ROUND * self.rounds
    }

    /// The end of the latest round's span.
    pub(crate) fn now_us(&self) -> u64 {
        self.span_start_us + u64::try_from(self.at().as_micros()).unwrap()
    }

    pub(crate) fn next_changes(&mut self) -> Vec<ViolationChange> {
        self.rounds += 1;
        let observation = Observation {
            at: self.at(),
            span_end_us: self.now_us(),
            nodes: self.nodes.clone(),
            store: (!self.store_lost).then(|| self.store.clone()),
            store_error: self.store_lost.then(|| "read timed out".to_owned()),
        };
        self.monitor.observe(&observation)
    }

    /// Lets time pass in which no round is taken.
    pub(crate) fn stall(&mut self, rounds: u32) {
        self.rounds += rounds;
    }

    /// The next round's changes as text.
    pub(crate) fn next(&mut self) -> Vec<String> {
        self.next_changes()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// The next round's changes in two words each.
    pub(crate) fn next_names(&mut self) -> Vec<String> {
        let words = |change: &ViolationChange| match change {
            ViolationChange::Raised(violation) => format!("raised {}", violation.invariant),
            ViolationChange::Cleared(violation) => format!("cleared {}", violation.invariant),
        };
        self.next_changes().iter().map(words).collect()
    }

    pub(crate) fn active(&self) -> Vec<&'static str> {
        self.monitor
            .active()
            .map(|violation| violation.invariant.as_str())
            .collect()
    }

    pub(crate) fn sample(&mut self, node: usize) -> &mut NodeSample {
        self.nodes[node].sample.as_mut().unwrap()
    }

    fn counter(&mut self, node: usize) -> &mut KeySample {
        let lost = self.lost.get_mut(&node);
        let sample = lost.or(self.nodes[node].sample.as_mut()).unwrap();
        sample.keys.get_mut(&key()).unwrap()
    }

    fn shared_count(&mut self) -> &mut SharedCount {
        self.store.keys.get_mut(&key()).unwrap()
    }

    pub(crate) fn admitted(&mut self, counts: [u64; 3]) -> &mut Self {
        for (node, count) in counts.into_iter().enumerate() {
            self.counter(node).admissions = count;
        }
        self
    }

    pub(crate) fn unsynced(&mut self, counts: [u64; 3]) -> &mut Self {
        for (node, count) in counts.into_iter().enumerate() {
            self.counter(node).unsynced = count;
        }
        self
    }

    /// Admissions that the store had confirmed and lost.
    pub(crate) fn lost(&mut self, counts: [u64; 3]) -> &mut Self {
        for (node, count) in counts.into_iter().enumerate() {
            self.counter(node).lost = count;
        }
        self
    }

    /// Admissions of the nodes that grants cover.
    pub(crate) fn leased(&mut self, counts: [u64; 3]) -> &mut Self {
        for (node, count) in counts.into_iter().enumerate() {
            self.counter(node).leased = count;
        }
        self.admitted(counts)
    }

    pub(crate) fn granted(&mut self, charged: u64, open: u64) -> &mut Self {
        self.shared_count().grants = Some(SharedGrants { charged, open });
        self.shared(charged)
    }

    pub(crate) fn shared(&mut self, count: u64) -> &mut Self {
        self.shared_count().shared = count;
        self
    }

    pub(crate) fn limit(&mut self, admissions: i64, window_sec: i64) -> &mut Self {
        self.shared_count().limit = Limit::new(admissions, window_sec).unwrap();
        for node in 0..3 {
            self.node_limit(node, admissions, window_sec);
        }
        self
    }

    pub(crate) fn node_limit(
        &mut self,
        node: usize,
        admissions: i64,
        window_sec: i64,
    ) -> &mut Self {
        self.counter(node).limit = Limit::new(admissions, window_sec).unwrap();
        self
    }

    pub(crate) fn shared_epoch(&mut self, epoch: u64) -> &mut Self {
        self.shared_count().epoch = epoch;
        self
    }

    pub(crate) fn epoch(&mut self, epoch: u64) -> &mut Self {
        self.shared_epoch(epoch);
        for node in 0..3 {
            self.node_epoch(node, epoch);
        }
        self
    }

    pub(crate) fn node_epoch(&mut self, node: usize, epoch: u64) -> &mut Self {
        self.counter(node).epoch = epoch;
        self
    }

    pub(crate) fn delete_key(&mut self) {
        self.store.keys.clear();
        for node in 0..3 {
            self.sample(node).keys.clear();
        }
    }

    /// The next round, without the key.
    pub(crate) fn leave_out_key(&mut self) {
        let kept = (self.nodes.clone(), self.store.clone());
        self.delete_key();
        assert_eq!(self.next(), [""; 0]);
        (self.nodes, self.store) = kept;
    }

    pub(crate) fn lose_node(&mut self, node: usize) {
        self.lost
            .insert(node, self.nodes[node].sample.take().unwrap());
        self.nodes[node].error = Some("connection refused".to_owned());
    }

    pub(crate) fn return_node(&mut self, node: usize) {
        self.nodes[node].sample = self.lost.remove(&node);
        self.nodes[node].error = None;
    }

    pub(crate) fn lose_store(&mut self) {
        self.store_lost = true;
    }

    pub(crate) fn return_store(&mut self) {
        self.store_lost = false;
    }
}
