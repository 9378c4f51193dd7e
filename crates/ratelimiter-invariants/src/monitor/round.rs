use std::collections::BTreeMap;
use std::time::Duration;

use ratelimiter_api::{
    Key, KeySample, Limit, NodeId, NodeObservation, NodeSample, Observation, SharedGrants, StoreSample,
};

use crate::Subject;

/// An observation, turned from "by node" to "by key", independent of the order of its nodes.
pub(crate) struct Round<'a> {
    pub(crate) at: Duration,
    pub(crate) span_end_us: u64,
    /// Two endpoints of one node count as one.
    pub(crate) nodes: BTreeMap<&'a NodeId, &'a NodeObservation>,
    pub(crate) store: Option<&'a StoreSample>,
    pub(crate) store_error: Option<&'a str>,
    /// Every key that anybody listed; `None` where the counts are not about the same counter and window.
    keys: BTreeMap<&'a Key, Option<KeyRound<'a>>>,
}

/// One key in one round: counts of the same counter over the same span.
pub(crate) struct KeyRound<'a> {
    pub(crate) epoch: u64,
    /// The largest limit that anybody showed.
    pub(crate) limit: Limit,
    /// Every limit that anybody showed: they differ while a change travels.
    pub(crate) limits: Vec<Limit>,
    pub(crate) nodes: BTreeMap<&'a NodeId, NodeCount>,
    /// Nodes whose count is not known.
    pub(crate) missing: Vec<&'a NodeId>,
    pub(crate) shared: Option<u64>,
    /// The grants in the store, of a leased key.
    pub(crate) grants: Option<SharedGrants>,
}

/// One node's part of a key.
pub(crate) struct NodeCount {
    pub(crate) admissions: u64,
    pub(crate) unsynced: u64,
    /// Admissions that a grant covers.
    pub(crate) leased: u64,
    pub(crate) write_age: Duration,
    /// Whether the node's log goes back to the start of the span.
    pub(crate) whole_span: bool,
}

impl<'a> Round<'a> {
    pub(crate) fn new(observation: &'a Observation) -> Self {
        let mut nodes = BTreeMap::new();
        for node in &observation.nodes {
            let better = |other: &&NodeObservation| {
                (node.sample.is_some(), &node.address) > (other.sample.is_some(), &other.address)
            };
            if nodes.get(&node.node).is_none_or(better) {
                nodes.insert(&node.node, node);
            }
        }
        let store = observation.store.as_ref();
        let in_nodes =
            nodes.values().filter_map(|node| node.sample.as_ref()).flat_map(|sample| sample.keys.keys());
        let in_store = store.iter().flat_map(|store| store.keys.keys());
        let mut keys: BTreeMap<_, _> = in_nodes.chain(in_store).map(|key| (key, None)).collect();
        for (key, round) in &mut keys {
            *round = KeyRound::new(key, &nodes, store, observation.span_end_us);
        }
        Self {
            at: observation.at,
            span_end_us: observation.span_end_us,
            nodes,
            store,
            store_error: observation.store_error.as_deref(),
            keys,
        }
    }

    /// The nodes that answered.
    pub(crate) fn samples(&self) -> impl Iterator<Item = (&'a NodeId, &'a NodeSample)> {
        self.nodes.iter().filter_map(|(id, node)| Some((*id, node.sample.as_ref()?)))
    }

    /// The keys whose counts compare.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&'a Key, &KeyRound<'a>)> {
        self.keys.iter().filter_map(|(key, round)| Some((*key, round.as_ref()?)))
    }

    /// Whether a subject exists, as far as this round can tell. The store knows every limit: a key it does not list is
    /// one that was deleted.
    pub(crate) fn knows(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Store => true,
            Subject::Node(node) => self.nodes.contains_key(node),
            Subject::Key(key) => self.knows_key(key),
        }
    }

    pub(crate) fn knows_key(&self, key: &Key) -> bool {
        self.keys.contains_key(key) || self.store.is_none()
    }
}

impl<'a> KeyRound<'a> {
    fn new(
        key: &Key,
        nodes: &BTreeMap<&'a NodeId, &'a NodeObservation>,
        store: Option<&'a StoreSample>,
        span_end_us: u64,
    ) -> Option<Self> {
        let shared = store.and_then(|store| store.keys.get(key));
        let mut counters: Vec<(u64, Limit)> = shared.map(|s| (s.epoch, s.limit)).into_iter().collect();
        let mut counts = BTreeMap::new();
        let mut missing = Vec::new();
        for (&id, node) in nodes {
            match node.sample.as_ref().and_then(|sample| Some((sample, sample.keys.get(key)?))) {
                Some((sample, count)) => {
                    counters.push((count.epoch, count.limit));
                    counts.insert(id, NodeCount::new(sample, count, span_end_us));
                }
                None => missing.push(id),
            }
        }
        let &(epoch, first) = counters.first()?;
        let same = counters.iter().all(|(e, limit)| *e == epoch && limit.window() == first.window());
        let limits: Vec<Limit> = counters.into_iter().map(|(_, limit)| limit).collect();
        let limit = *limits.iter().max_by_key(|limit| limit.admissions())?;
        let grants = shared.and_then(|s| s.grants);
        let shared = shared.map(|s| s.shared);
        same.then_some(Self { epoch, limit, limits, nodes: counts, missing, shared, grants })
    }

    /// What the nodes that answered admitted: too small where some did not.
    pub(crate) fn admitted(&self) -> u64 {
        self.nodes.values().fold(0, |sum, node| sum.saturating_add(node.admissions))
    }

    /// Whether every node answered, from a log that goes back to the start of the span.
    pub(crate) fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.nodes.values().all(|node| node.whole_span)
    }

    /// The nodes' admissions.
    pub(crate) fn by_node(&self) -> BTreeMap<NodeId, u64> {
        self.nodes.iter().map(|(&node, count)| (node.clone(), count.admissions)).collect()
    }
}

impl NodeCount {
    fn new(sample: &NodeSample, count: &KeySample, span_end_us: u64) -> Self {
        Self {
            admissions: count.admissions,
            unsynced: count.unsynced,
            leased: count.leased,
            write_age: write_age(sample, span_end_us),
            whole_span: sample.started_at_us <= span_end_us.saturating_sub(count.limit.window_us()),
        }
    }
}

/// How long ago the store confirmed a write of this node; since its start where it never did.
pub(crate) fn write_age(sample: &NodeSample, span_end_us: u64) -> Duration {
    sample
        .last_write_age
        .unwrap_or_else(|| Duration::from_micros(span_end_us.saturating_sub(sample.started_at_us)))
}
