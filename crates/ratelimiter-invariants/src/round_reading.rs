use std::collections::BTreeMap;
use std::time::Duration;

use ratelimiter_api::{Key, NodeId, NodeObservation, NodeSample, Observation};

use crate::thresholds::write_patience;
use crate::{KeyReading, Subject};

/// An observation, turned from "by node" to "by key", independent of the order of its nodes.
///
/// Every part of a program that compares the nodes' counts with the shared count reads them from
/// here, so a chart, a note and a violation never disagree about the same round.
#[derive(Clone, Debug)]
pub struct RoundReading<'a> {
    pub(crate) observation: &'a Observation,
    nodes: BTreeMap<&'a NodeId, &'a NodeObservation>,
    /// Every listed key; `None` where the counts are not about the same counter and window.
    keys: BTreeMap<&'a Key, Option<KeyReading>>,
}

impl<'a> RoundReading<'a> {
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
        let reading = |key| {
            let counts = KeyReading::new(key, &nodes, store, observation.span_end_us);
            (key, counts)
        };
        let keys = in_nodes.chain(in_store).map(reading).collect();
        Self {
            observation,
            nodes,
            keys,
        }
    }

    /// Every node by name, whether it answered or not.
    pub fn nodes(&self) -> &BTreeMap<&'a NodeId, &'a NodeObservation> {
        &self.nodes
    }

    /// The nodes that answered.
    pub fn samples(&self) -> impl Iterator<Item = (&'a NodeId, &'a NodeSample)> {
        self.nodes
            .iter()
            .filter_map(|(id, node)| Some((*id, node.sample.as_ref()?)))
    }

    /// The keys whose counts compare.
    pub fn keys(&self) -> impl Iterator<Item = (&'a Key, &KeyReading)> {
        self.keys
            .iter()
            .filter_map(|(key, reading)| Some((*key, reading.as_ref()?)))
    }

    /// One key; `None` when it is not listed or its counts do not compare.
    pub fn key(&self, key: &Key) -> Option<&KeyReading> {
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
    pub fn takes_writes(&self) -> Option<bool> {
        self.samples()
            .map(|(_, sample)| self.write_age(sample) <= write_patience(sample.sync_interval))
            .reduce(|any, takes| any || takes)
    }

    /// Time since the store confirmed a write of a node; since its start where it never did.
    pub(crate) fn write_age(&self, sample: &NodeSample) -> Duration {
        let running_us = self
            .observation
            .span_end_us
            .saturating_sub(sample.started_at_us);
        sample
            .last_write_age
            .unwrap_or(Duration::from_micros(running_us))
    }

    /// Whether a subject exists, by what this round shows. The store has every limit: a key that it
    /// does not list was deleted.
    pub(crate) fn lists(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Store => true,
            Subject::Node(node) => self.nodes.contains_key(node),
            Subject::Key(key) => self.lists_key(key),
        }
    }

    pub(crate) fn lists_key(&self, key: &Key) -> bool {
        self.keys.contains_key(key) || self.observation.store.is_none()
    }
}
