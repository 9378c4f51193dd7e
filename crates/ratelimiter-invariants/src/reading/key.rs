use std::collections::BTreeMap;
use std::time::Duration;

use ratelimiter_api::{
    Key, KeySample, Limit, NodeId, NodeObservation, NodeSample, SharedGrants, StoreSample,
};

/// One key in one round: counts of the same counter over the same span.
#[derive(Clone, Debug)]
pub struct KeyReading<'a> {
    pub(crate) epoch: u64,
    /// The largest of `limits`.
    pub(crate) limit: Limit,
    /// Every limit that a node or the store showed: they differ while a change travels.
    pub(crate) limits: Vec<Limit>,
    pub(crate) nodes: BTreeMap<&'a NodeId, NodeCount>,
    pub(crate) missing: Vec<&'a NodeId>,
    pub(crate) shared: Option<u64>,
    pub(crate) grants: Option<SharedGrants>,
}

/// One node's part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeCount {
    /// Admissions in the window.
    pub admissions: u64,
    /// Those of them that the store has not confirmed.
    pub unsynced: u64,
    /// Those of them that a grant covers.
    pub leased: u64,
    /// Those of them that the store had confirmed and lost.
    pub lost: u64,
    /// Time since the store confirmed a write of the node.
    pub(crate) write_age: Duration,
    /// Whether the node's log goes back to the start of the span.
    pub(crate) whole_span: bool,
}

impl<'a> KeyReading<'a> {
    pub(super) fn new(
        key: &Key,
        nodes: &BTreeMap<&'a NodeId, &'a NodeObservation>,
        store: Option<&'a StoreSample>,
        span_end_us: u64,
    ) -> Option<Self> {
        let shared = store.and_then(|store| store.keys.get(key));
        let mut counters: Vec<(u64, Limit)> =
            shared.map(|s| (s.epoch, s.limit)).into_iter().collect();
        let mut counts = BTreeMap::new();
        let mut missing = Vec::new();
        for (&id, node) in nodes {
            match node
                .sample
                .as_ref()
                .and_then(|sample| Some((sample, sample.keys.get(key)?)))
            {
                Some((sample, count)) => {
                    counters.push((count.epoch, count.limit));
                    counts.insert(id, NodeCount::new(sample, count, span_end_us));
                }
                None => missing.push(id),
            }
        }
        let &(epoch, first) = counters.first()?;
        let same = counters
            .iter()
            .all(|(e, limit)| *e == epoch && limit.window() == first.window());
        let limits: Vec<Limit> = counters.into_iter().map(|(_, limit)| limit).collect();
        let limit = *limits.iter().max_by_key(|limit| limit.admissions())?;
        let grants = shared.and_then(|s| s.grants);
        let shared = shared.map(|s| s.shared);
        same.then_some(Self {
            epoch,
            limit,
            limits,
            nodes: counts,
            missing,
            shared,
            grants,
        })
    }

    /// Admissions of the nodes that answered: too small where [`missing`](Self::missing) is not
    /// empty.
    pub fn admitted(&self) -> u64 {
        self.nodes
            .values()
            .fold(0, |sum, node| sum.saturating_add(node.admissions))
    }

    /// Admissions in the window by the store; `None` when it did not answer or does not list the
    /// key.
    pub fn shared(&self) -> Option<u64> {
        self.shared
    }

    /// The limit; the largest while a change travels.
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// Counts of the nodes that answered.
    pub fn nodes(&self) -> &BTreeMap<&'a NodeId, NodeCount> {
        &self.nodes
    }

    /// Nodes whose count is not known.
    pub fn missing(&self) -> &[&'a NodeId] {
        &self.missing
    }

    /// The grants in the store, of a leased key.
    pub fn grants(&self) -> Option<SharedGrants> {
        self.grants
    }

    /// Node admissions minus shared count; `None` unless the store and every node answered.
    pub fn drift(&self) -> Option<i64> {
        self.missing.is_empty().then_some(())?;
        Some(difference(self.admitted(), self.shared?))
    }

    /// Whether every node answered, from a log that goes back to the start of the span.
    pub(crate) fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.nodes.values().all(|node| node.whole_span)
    }

    /// The nodes' admissions.
    pub(crate) fn by_node(&self) -> BTreeMap<NodeId, u64> {
        self.nodes
            .iter()
            .map(|(&node, count)| (node.clone(), count.admissions))
            .collect()
    }
}

/// `a - b`, as far as the type reaches.
pub(crate) fn difference(a: u64, b: u64) -> i64 {
    i64::try_from(i128::from(a) - i128::from(b)).unwrap_or(if a > b { i64::MAX } else { i64::MIN })
}

impl NodeCount {
    fn new(sample: &NodeSample, count: &KeySample, span_end_us: u64) -> Self {
        Self {
            admissions: count.admissions,
            unsynced: count.unsynced,
            leased: count.leased,
            lost: count.lost,
            write_age: super::write_age(sample, span_end_us),
            whole_span: sample.started_at_us <= span_end_us.saturating_sub(count.limit.window_us()),
        }
    }
}
