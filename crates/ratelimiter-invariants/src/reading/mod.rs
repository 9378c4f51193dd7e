//! The one reading of an observation: by key instead of by node, and what follows for the store.

mod key;

use std::collections::BTreeMap;
use std::time::Duration;

use ratelimiter_api::{Key, NodeId, NodeObservation, NodeSample, Observation, StoreSample};

pub(crate) use key::difference;
pub use key::{KeyReading, NodeCount};

use crate::{Subject, Thresholds};

/// An observation, turned from "by node" to "by key", independent of the order of its nodes.
///
/// Every part of a program that compares the nodes' counts with the shared count reads them from
/// here, so that a chart, a note and a violation never disagree about the same round.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    at: Duration,
    span_end_us: u64,
    nodes: BTreeMap<&'a NodeId, &'a NodeObservation>,
    store: Option<&'a StoreSample>,
    store_error: Option<&'a str>,
    /// Every listed key; `None` where the counts are not about the same counter and window.
    keys: BTreeMap<&'a Key, Option<KeyReading<'a>>>,
}

impl<'a> Reading<'a> {
    /// Reads an observation. Two endpoints of one node count as one.
    pub fn new(observation: &'a Observation) -> Self {
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
        let in_nodes = nodes
            .values()
            .filter_map(|node| node.sample.as_ref())
            .flat_map(|sample| sample.keys.keys());
        let in_store = store.iter().flat_map(|store| store.keys.keys());
        let keys: BTreeMap<_, _> = in_nodes
            .chain(in_store)
            .map(|key| {
                (
                    key,
                    KeyReading::new(key, &nodes, store, observation.span_end_us),
                )
            })
            .collect();
        Self {
            at: observation.at,
            span_end_us: observation.span_end_us,
            nodes,
            store,
            store_error: observation.store_error.as_deref(),
            keys,
        }
    }

    /// Time of the round, since the observer started.
    pub fn at(&self) -> Duration {
        self.at
    }

    /// End of the span of all counts, microseconds on the store's clock.
    pub fn span_end_us(&self) -> u64 {
        self.span_end_us
    }

    /// Every node by name, whether it answered or not.
    pub fn nodes(&self) -> &BTreeMap<&'a NodeId, &'a NodeObservation> {
        &self.nodes
    }

    /// The store's answer to reads; `None` when the read failed.
    pub fn store(&self) -> Option<&'a StoreSample> {
        self.store
    }

    /// Reason of a failed read of the store.
    pub fn store_error(&self) -> Option<&'a str> {
        self.store_error
    }

    /// The nodes that answered.
    pub fn samples(&self) -> impl Iterator<Item = (&'a NodeId, &'a NodeSample)> {
        self.nodes
            .iter()
            .filter_map(|(id, node)| Some((*id, node.sample.as_ref()?)))
    }

    /// The keys whose counts compare.
    pub fn keys(&self) -> impl Iterator<Item = (&'a Key, &KeyReading<'a>)> {
        self.keys
            .iter()
            .filter_map(|(key, reading)| Some((*key, reading.as_ref()?)))
    }

    /// One key; `None` when it is not listed or its counts do not compare.
    pub fn key(&self, key: &Key) -> Option<&KeyReading<'a>> {
        self.keys.get(key)?.as_ref()
    }

    /// Time since the store last confirmed a write of any node; `None` when no node that answered
    /// ever had one confirmed.
    pub fn accepted_age(&self) -> Option<Duration> {
        self.samples()
            .filter_map(|(_, sample)| sample.last_write_age)
            .min()
    }

    /// Whether the store takes writes: some node had a write confirmed within its patience. `None`
    /// when no node answered.
    ///
    /// One recent write of any node proves it. The contrary is no proof, since a node that has just
    /// started has not written yet; [`StoreNotWritable`](crate::StoreNotWritable) has the argument.
    pub fn takes_writes(&self, thresholds: &Thresholds) -> Option<bool> {
        self.samples()
            .map(|(_, sample)| {
                write_age(sample, self.span_end_us)
                    <= thresholds.write_patience(sample.sync_interval)
            })
            .reduce(|any, takes| any || takes)
    }

    /// Whether a subject exists, as far as this round shows. The store has every limit: a key that
    /// it does not list was deleted.
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

/// Time since the store confirmed a write of this node; since its start where it never did.
pub(crate) fn write_age(sample: &NodeSample, span_end_us: u64) -> Duration {
    sample
        .last_write_age
        .unwrap_or_else(|| Duration::from_micros(span_end_us.saturating_sub(sample.started_at_us)))
}
