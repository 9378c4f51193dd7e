use std::collections::BTreeMap;

use ratelimiter_api::{
    Key, KeySample, Limit, NodeId, NodeObservation, SharedCount, SharedGrants, StoreSample,
};

/// One key in one round: counts of the same counter over the same span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyReading {
    /// The counted key.
    pub key: Key,
    /// The counter's epoch.
    pub epoch: u64,
    /// The limit; the largest while a change travels.
    pub limit: Limit,
    /// Every limit that a node or the store showed: they differ while a change travels.
    pub(crate) limits: Vec<Limit>,
    /// Counts of the nodes that answered.
    pub nodes: BTreeMap<NodeId, KeySample>,
    /// Nodes whose count is not known.
    pub missing: Vec<NodeId>,
    /// Admissions in the window by the store; `None` when it did not answer or does not list the
    /// key.
    pub shared: Option<u64>,
    /// The grants in the store, of a leased key.
    pub grants: Option<SharedGrants>,
    /// Whether every node answered, from a log that goes back to the start of the span.
    pub(crate) is_whole: bool,
}

impl KeyReading {
    pub(crate) fn new(
        key: &Key,
        nodes: &BTreeMap<&NodeId, &NodeObservation>,
        store: Option<&StoreSample>,
        span_end_us: u64,
    ) -> Option<Self> {
        let shared = store.and_then(|store| store.keys.get(key)).copied();
        let mut counters: Vec<(u64, Limit)> =
            shared.map(|s| (s.epoch, s.limit)).into_iter().collect();
        let (mut counts, mut missing, mut is_whole) = (BTreeMap::new(), Vec::new(), true);
        for (&id, node) in nodes {
            let sample = node.sample.as_ref();
            match sample.and_then(|sample| Some((sample, sample.keys.get(key)?))) {
                Some((sample, count)) => {
                    counters.push((count.epoch, count.limit));
                    let span_start_us = span_end_us.saturating_sub(count.limit.window_us());
                    is_whole &= sample.started_at_us <= span_start_us;
                    counts.insert(id.clone(), *count);
                }
                None => missing.push(id.clone()),
            }
        }
        let &(epoch, first) = counters.first()?;
        let same = counters
            .iter()
            .all(|(e, limit)| *e == epoch && limit.window() == first.window());
        let limits: Vec<Limit> = counters.into_iter().map(|(_, limit)| limit).collect();
        let limit = *limits.iter().max_by_key(|limit| limit.admissions())?;
        same.then(|| Self {
            key: key.clone(),
            epoch,
            limit,
            limits,
            nodes: counts,
            is_whole: is_whole && missing.is_empty(),
            missing,
            shared: shared.map(|SharedCount { shared, .. }| shared),
            grants: shared.and_then(|s| s.grants),
        })
    }

    /// Admissions of the nodes that answered: too small where a node is [missing](Self::missing).
    pub fn admitted(&self) -> u64 {
        self.sum(|node| node.admissions)
    }

    /// Node admissions minus shared count; `None` unless the store and every node answered.
    pub fn drift(&self) -> Option<i64> {
        self.missing.is_empty().then_some(())?;
        Some(difference(self.admitted(), self.shared?))
    }

    /// Node admissions beyond the limit; at least this many where a node is missing.
    pub fn over(&self) -> u64 {
        self.admitted()
            .saturating_sub(self.limit.admissions().into())
    }

    /// A number of each node that answered.
    pub fn by_node(&self, number: impl Fn(&KeySample) -> u64) -> BTreeMap<NodeId, u64> {
        self.nodes
            .iter()
            .map(|(node, count)| (node.clone(), number(count)))
            .collect()
    }

    /// Sum of a number over the nodes that answered.
    pub(crate) fn sum(&self, number: impl Fn(&KeySample) -> u64) -> u64 {
        self.nodes.values().map(number).fold(0, u64::saturating_add)
    }
}

/// `a - b`, within the range of the type.
pub(crate) fn difference(a: u64, b: u64) -> i64 {
    i64::try_from(i128::from(a) - i128::from(b)).unwrap_or(if a > b { i64::MAX } else { i64::MIN })
}
