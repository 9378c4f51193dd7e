use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ratelimiter_api::{Claims, Key, NodeId, Operation, Outcome};

/// All checks of one key, or of all keys that share a limit, in any order. A check takes 32 bytes,
/// 80 more with claims of the limiter, and 32 more with a cost used or a time held.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The keys and labels that occur, each once.
    subjects: Vec<(Key, BTreeMap<String, String>)>,
    subject_places: BTreeMap<(Key, BTreeMap<String, String>), u32>,
    nodes: Vec<NodeId>,
    places: HashMap<NodeId, u32>,
    records: Vec<HistoryRecord>,
    /// By place of their record.
    claims: Vec<(u32, Claims)>,
    calls: Vec<(u32, CallRecord)>,
}

/// The part of a check that is known after the call.
#[derive(Clone, Copy, Debug, Default)]
struct CallRecord {
    used: Option<u32>,
    held: Duration,
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
    /// Place in the list of subjects.
    pub(crate) subject: u32,
    pub(crate) outcome: Outcome,
}

/// The largest number of checks in a history. Their changes are counted in 32 bits.
const MOST: usize = i32::MAX as usize;

/// The reason why a check cannot be part of a history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
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
    #[error("history has more than {MOST} checks")]
    TooLong,
}

impl History {
    /// Adds a check.
    ///
    /// # Errors
    /// When it completed before it was invoked, or there are more than two billion.
    pub fn push(&mut self, operation: Operation) -> Result<(), HistoryError> {
        let Operation {
            key,
            labels,
            node,
            invoke,
            complete,
            outcome,
            cost,
            used,
            held,
            claims,
        } = operation;
        self.admit(&node, invoke, complete)?;
        let place = self.records.len() as u32;
        if !claims.is_empty() {
            self.claims.push((place, claims));
        }
        if used.is_some() || !held.is_zero() {
            self.calls.push((place, CallRecord { used, held }));
        }
        let subject = self.subject_of((key, labels));
        self.record(subject, &node, (invoke, complete), outcome, cost);
        Ok(())
    }

    /// As [`push`](Self::push), of a check that has its key, its node and its cost alone. Copies
    /// nothing for a key and a node that the check before has too.
    ///
    /// # Errors
    /// Likewise.
    pub fn push_plain(
        &mut self,
        key: &Key,
        node: &NodeId,
        (invoke, complete): (Duration, Duration),
        outcome: Outcome,
        cost: u32,
    ) -> Result<(), HistoryError> {
        self.admit(node, invoke, complete)?;
        let latest = self.records.last().map(|record| record.subject);
        let is_same = |place: &u32| {
            let (other, labels) = &self.subjects[*place as usize];
            other == key && labels.is_empty()
        };
        let subject = match latest.filter(is_same) {
            Some(latest) => latest,
            None => self.subject_of((key.clone(), BTreeMap::new())),
        };
        self.record(subject, node, (invoke, complete), outcome, cost);
        Ok(())
    }

    /// Whether a check can be added.
    fn admit(
        &self,
        node: &NodeId,
        invoke: Duration,
        complete: Duration,
    ) -> Result<(), HistoryError> {
        if complete < invoke {
            return Err(HistoryError::Backwards {
                node: node.clone(),
                invoke,
                complete,
            });
        }
        if self.records.len() == MOST {
            return Err(HistoryError::TooLong);
        }
        Ok(())
    }

    fn record(
        &mut self,
        subject: u32,
        node: &NodeId,
        (invoke, complete): (Duration, Duration),
        outcome: Outcome,
        cost: u32,
    ) {
        let (invoke, complete, node) = (nanos(invoke), nanos(complete), self.place_of(node));
        self.records.push(HistoryRecord {
            invoke,
            complete,
            cost,
            node,
            subject,
            outcome,
        });
    }

    fn subject_of(&mut self, subject: (Key, BTreeMap<String, String>)) -> u32 {
        let latest = self.records.last().map(|record| record.subject);
        if let Some(latest) = latest.filter(|&place| self.subjects[place as usize] == subject) {
            return latest;
        }
        let next = self.subjects.len() as u32;
        let place = *self.subject_places.entry(subject.clone()).or_insert(next);
        if place == next {
            self.subjects.push(subject);
        }
        place
    }

    fn place_of(&mut self, node: &NodeId) -> u32 {
        // Most checks of a key are on the node of the one before.
        if let Some(last) = self.records.last()
            && self.nodes[last.node as usize] == *node
        {
            return last.node;
        }
        if let Some(&place) = self.places.get(node) {
            return place;
        }
        let place = self.nodes.len() as u32;
        self.nodes.push(node.clone());
        self.places.insert(node.clone(), place);
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
        let record = self.records[place];
        let (key, labels) = self.subjects[record.subject as usize].clone();
        let call = self.call(place as u32);
        Operation {
            key,
            labels,
            node: self.nodes[record.node as usize].clone(),
            invoke: Duration::from_nanos(record.invoke),
            complete: Duration::from_nanos(record.complete),
            outcome: record.outcome,
            cost: record.cost,
            used: call.used,
            held: call.held,
            claims: of_place(&self.claims, place as u32).unwrap_or_default(),
        }
    }

    fn call(&self, place: u32) -> CallRecord {
        of_place(&self.calls, place).unwrap_or_default()
    }

    /// The cost that a check used, where it is known.
    pub(crate) fn used(&self, place: u32) -> Option<u32> {
        self.call(place).used
    }

    /// The time for which a call held its place for certain.
    pub(crate) fn held(&self, place: u32) -> Duration {
        self.call(place).held
    }

    /// The places of the checks that share a counter of a limit by these labels: those of one key
    /// where there are none, and all where the label is `all`. `None` for all checks of the
    /// history. A check without one of the labels is in no part.
    pub(crate) fn parts(&self, by: &[String]) -> Vec<Option<Vec<u32>>> {
        let values = |(key, labels): &(Key, BTreeMap<String, String>)| match by {
            [] => Some(vec![key.as_str().to_owned()]),
            [all] if all == "all" => Some(Vec::new()),
            _ => by.iter().map(|label| labels.get(label).cloned()).collect(),
        };
        let values: Vec<Option<Vec<String>>> = self.subjects.iter().map(values).collect();
        if let [first, others @ ..] = values.as_slice()
            && first.is_some()
            && others.iter().all(|other| other == first)
        {
            return vec![None];
        }
        let mut parts: BTreeMap<&Vec<String>, Vec<u32>> = BTreeMap::new();
        for (place, record) in (0..).zip(&self.records) {
            if let Some(values) = &values[record.subject as usize] {
                parts.entry(values).or_default().push(place);
            }
        }
        parts.into_values().map(Some).collect()
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

/// Sorts checks by key, each with its own history, for limits that count by key.
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

/// The entry of a place in a list by places.
fn of_place<T: Copy>(list: &[(u32, T)], place: u32) -> Option<T> {
    let found = list.binary_search_by_key(&place, |entry| entry.0);
    found.ok().map(|n| list[n].1)
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
