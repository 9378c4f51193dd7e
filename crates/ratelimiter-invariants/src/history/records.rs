use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ratelimiter_api::{Claims, Key, NodeId, Operation, Outcome};

/// All checks of one key, in any order. A check takes 32 bytes, and 80 more with claims of the
/// limiter.
#[derive(Clone, Debug, Default)]
pub struct History {
    key: Option<Key>,
    nodes: Vec<NodeId>,
    places: HashMap<NodeId, u32>,
    records: Vec<HistoryRecord>,
    /// By place of their record.
    claims: Vec<(u32, Claims)>,
}

/// A check on the axis of its history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HistoryRecord {
    /// Nanoseconds.
    pub(crate) invoke: u64,
    /// Nanoseconds.
    pub(crate) complete: u64,
    pub(crate) cost: u32,
    /// Place in the list of nodes.
    node: u32,
    pub(crate) outcome: Outcome,
}

/// The largest number of checks in a history. Their changes are counted in 32 bits.
const MOST: usize = i32::MAX as usize;

/// The reason why a check cannot be part of a history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// A contract is about one key; [`by_key`] sorts a history.
    #[error("history mixes the keys {:?} and {:?}: check one key at a \
        time", .first.as_str(), .other.as_str())]
    MixedKeys {
        /// The first operation's key.
        first: Key,
        /// The key of another operation.
        other: Key,
    },
    /// The times are not from one monotonic clock.
    #[error("check on {node} completed at {complete:?}, before it was invoked at {invoke:?}")]
    Backwards {
        /// Node that was asked.
        node: NodeId,
        /// Start of the request.
        invoke: Duration,
        /// End of the answer.
        complete: Duration,
    },
    /// More checks than can be counted.
    #[error("history of {:?} has more than {MOST} checks", .key.as_str())]
    TooLong {
        /// The key.
        key: Key,
    },
}

impl History {
    /// Adds a check.
    ///
    /// # Errors
    /// When it is on another key, completed before it was invoked, or there are more than two
    /// billion.
    pub fn push(&mut self, operation: Operation) -> Result<(), HistoryError> {
        let Operation {
            key,
            node,
            invoke,
            complete,
            outcome,
            cost,
            claims,
        } = operation;
        let first = self.key.get_or_insert_with(|| key.clone());
        if *first != key {
            return Err(HistoryError::MixedKeys {
                first: first.clone(),
                other: key,
            });
        }
        if complete < invoke {
            return Err(HistoryError::Backwards {
                node,
                invoke,
                complete,
            });
        }
        if self.records.len() == MOST {
            return Err(HistoryError::TooLong { key });
        }
        if !claims.is_empty() {
            self.claims.push((self.records.len() as u32, claims));
        }
        let (invoke, complete, node) = (nanos(invoke), nanos(complete), self.place_of(node));
        self.records.push(HistoryRecord {
            invoke,
            complete,
            cost,
            node,
            outcome,
        });
        Ok(())
    }

    fn place_of(&mut self, node: NodeId) -> u32 {
        // Most checks of a key are on the node of the one before.
        if let Some(last) = self.records.last()
            && self.nodes[last.node as usize] == node
        {
            return last.node;
        }
        if let Some(&place) = self.places.get(&node) {
            return place;
        }
        let place = self.nodes.len() as u32;
        self.nodes.push(node.clone());
        self.places.insert(node, place);
        place
    }

    /// Number of its checks.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it has no check.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The first invoke.
    pub fn start(&self) -> Option<Duration> {
        let first = self.records.iter().map(|record| record.invoke).min()?;
        Some(Duration::from_nanos(first))
    }

    /// Counts all times from an instant, no later than the first of them.
    pub fn count_from(&mut self, origin: Duration) {
        let origin = nanos(origin);
        for record in &mut self.records {
            record.invoke = record.invoke.saturating_sub(origin);
            record.complete = record.complete.saturating_sub(origin);
        }
    }

    /// Whether the limiter stated something in any of its answers.
    pub fn has_claims(&self) -> bool {
        !self.claims.is_empty()
    }

    /// The check at a place. Times below a nanosecond, and above 584 years, are lost.
    ///
    /// # Panics
    /// When there is none at that place.
    pub fn get(&self, place: usize) -> Operation {
        let HistoryRecord {
            invoke,
            complete,
            cost,
            node,
            outcome,
        } = self.records[place];
        let key = self.key.clone().expect("a history with a check has a key");
        let node = self.nodes[node as usize].clone();
        let claimed = self
            .claims
            .binary_search_by_key(&place, |&(place, _)| place as usize);
        let claims = claimed.map_or_else(|_| Claims::default(), |n| self.claims[n].1);
        let (invoke, complete) = (Duration::from_nanos(invoke), Duration::from_nanos(complete));
        Operation {
            key,
            node,
            invoke,
            complete,
            outcome,
            cost,
            claims,
        }
    }

    /// All checks, in the order in which they were added.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Operation> {
        (0..self.records.len()).map(|place| self.get(place))
    }

    /// Invoke, completion and outcome of each check, in the order in which they were added.
    pub fn spans(&self) -> impl Iterator<Item = (Duration, Duration, Outcome)> {
        self.records.iter().map(|record| {
            let [invoke, complete] = [record.invoke, record.complete].map(Duration::from_nanos);
            (invoke, complete, record.outcome)
        })
    }

    /// Time from invoke to completion of each check.
    pub fn latencies(&self) -> impl Iterator<Item = Duration> {
        self.records
            .iter()
            .map(|record| Duration::from_nanos(record.complete - record.invoke))
    }

    pub(crate) fn records(&self) -> &[HistoryRecord] {
        &self.records
    }
}

impl TryFrom<&[Operation]> for History {
    type Error = HistoryError;

    fn try_from(operations: &[Operation]) -> Result<Self, HistoryError> {
        let mut history = Self::default();
        operations
            .iter()
            .try_for_each(|operation| history.push(operation.clone()))?;
        Ok(history)
    }
}

/// Sorts checks by key: a contract is about one key, and each has its own history.
///
/// # Errors
/// When one completed before it was invoked, or a key has more than two billion.
pub fn by_key(
    operations: impl IntoIterator<Item = Operation>,
) -> Result<BTreeMap<Key, History>, HistoryError> {
    let mut keys: BTreeMap<Key, History> = BTreeMap::new();
    for operation in operations {
        keys.entry(operation.key.clone())
            .or_default()
            .push(operation)?;
    }
    Ok(keys)
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
