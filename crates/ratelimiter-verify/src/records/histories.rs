//! Checks in any order become one history a key.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;
use ratelimiter_api::{Key, NodeId, Operation, Outcome};
use ratelimiter_invariants::{History, HistoryError};

use super::field::RowDefect;

/// Histories by key. A key or a node is looked up by its text, and copied once.
#[derive(Debug, Default)]
pub(super) struct KeyedHistories {
    places: HashMap<Box<str>, usize, RandomState>,
    histories: Vec<(Key, History)>,
    node_places: HashMap<Box<str>, usize, RandomState>,
    nodes: Vec<NodeId>,
    /// Whether keys are shown by a number instead of their text.
    hides: bool,
    /// Number of all checks.
    pub(super) checks: u64,
    /// Keys that cannot be shown.
    pub(super) unfit: u64,
}

impl KeyedHistories {
    pub(super) fn new(hides: bool) -> Self {
        Self {
            hides,
            ..Self::default()
        }
    }

    /// Adds a check that has its key, its node and its cost alone.
    pub(super) fn add(
        &mut self,
        key: &str,
        node: &str,
        span: (Duration, Duration),
        outcome: Outcome,
        cost: u32,
    ) -> Result<(), RowDefect> {
        self.add_by(key, node, cost, |history, key, node| {
            history.push_plain(key, node, span, outcome, cost)
        })
    }

    /// Adds a check that may have more.
    pub(super) fn add_operation(&mut self, operation: Operation) -> Result<(), RowDefect> {
        let (key, node) = (operation.key.clone(), operation.node.clone());
        self.add_by(
            key.as_str(),
            node.as_str(),
            operation.cost,
            |history, key, _| {
                let key = key.clone();
                history.push(Operation { key, ..operation })
            },
        )
    }

    fn add_by(
        &mut self,
        key: &str,
        node: &str,
        cost: u32,
        push: impl FnOnce(&mut History, &Key, &NodeId) -> Result<(), HistoryError>,
    ) -> Result<(), RowDefect> {
        if cost == 0 {
            return Err(RowDefect::Cost);
        }
        let place = match self.places.get(key) {
            Some(&place) => place,
            None => self.new_key(key),
        };
        let node = match self.node_places.get(node) {
            Some(&place) => place,
            None => self.new_node(node),
        };
        self.checks += 1;
        let (key, history) = &mut self.histories[place];
        push(history, key, &self.nodes[node]).map_err(|error| match error {
            HistoryError::Backwards { .. } => RowDefect::Backwards,
            error => RowDefect::Line(error.to_string()),
        })
    }

    /// The first request of all.
    pub(super) fn start(&self) -> Option<Duration> {
        self.histories
            .iter()
            .filter_map(|(_, history)| history.start())
            .min()
    }

    /// Counts all times from an instant, no later than the first.
    pub(super) fn count_from(&mut self, origin: Duration) {
        for (_, history) in &mut self.histories {
            history.count_from(origin);
        }
    }

    /// The histories in the order of their keys.
    pub(super) fn sorted(mut self) -> Vec<(Key, History)> {
        self.histories
            .sort_by(|(one, _), (other, _)| one.cmp(other));
        self.histories
    }

    fn new_key(&mut self, text: &str) -> usize {
        let place = self.histories.len();
        let number = || Key::new(format!("key-{}", place + 1));
        let key = if self.hides { number() } else { Key::new(text) };
        let key = key.or_else(|_| {
            self.unfit += 1;
            number()
        });
        let key = key.unwrap_or_else(|_| unreachable!("a number makes a key"));
        self.histories.push((key, History::default()));
        self.places.insert(text.into(), place);
        place
    }

    fn new_node(&mut self, text: &str) -> usize {
        let place = self.nodes.len();
        self.nodes.push(NodeId::new(text));
        self.node_places.insert(text.into(), place);
        place
    }
}
