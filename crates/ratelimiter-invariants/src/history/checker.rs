use std::collections::BTreeMap;
use std::time::Duration;

use ratelimiter_api::{Key, NodeId, Operation, Outcome};

use super::profile::Profile;
use super::sweep::{Interval, Sweep};
use super::{Contract, Doubt, Report, Tally, UnjustifiedDenial, Verdict, Witness};

/// Checks a history of one key that began with an empty counter and holds every check made on the key.
///
/// The same as [`HistoryChecker::new`] and [`HistoryChecker::check`].
///
/// # Errors
/// When the operations are not all on one key, or one completes before it was invoked.
pub fn check_history(
    operations: &[Operation],
    contract: impl Into<Contract>,
) -> Result<Report, HistoryError> {
    HistoryChecker::new(contract).check(operations)
}

/// Sorts operations by key: a contract is about one key, and each has its own.
pub fn by_key(operations: impl IntoIterator<Item = Operation>) -> BTreeMap<Key, Vec<Operation>> {
    let mut keys: BTreeMap<Key, Vec<Operation>> = BTreeMap::new();
    for operation in operations {
        keys.entry(operation.key.clone()).or_default().push(operation);
    }
    keys
}

/// Checks histories of one key against a contract. Every operation is of cost 1.
///
/// A million operations take a fraction of a second on one core (`examples/million.rs`): everything is one sort and one
/// sweep, O(n log n).
///
/// # What a verdict rests on
/// - **Violated** is proved by its witness alone: nothing that the history lacks can undo it. It is the shortest proof of
///   its kind, not the only kind there is. Many long, overlapping operations can leave no placement that keeps the
///   contract although no few of them prove it; such a history is Unknown.
/// - **Pass** is about the operations recorded: no placement of *these* has too many in a window. An Unknown one is
///   counted wherever it may lie, so it never makes a pass.
/// - **Unjustified denials** suppose that all that could have filled the window is in the history.
///   [`HistoryChecker::complete_since`] says from when on that is so.
#[derive(Clone, Copy, Debug)]
pub struct HistoryChecker {
    contract: Contract,
    complete_since: Option<Duration>,
}

/// Why a history cannot be checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// A contract is about one key; [`by_key`] sorts a history.
    #[error("history mixes the keys {:?} and {:?}: check one key at a time", .first.as_str(), .other.as_str())]
    MixedKeys {
        /// The first operation's key.
        first: Key,
        /// Another one's.
        other: Key,
    },
    /// Not taken from one monotonic clock.
    #[error("check on {node} completed at {complete:?}, before it was invoked at {invoke:?}")]
    Backwards {
        /// Whom the caller asked.
        node: NodeId,
        /// When.
        invoke: Duration,
        /// When it was answered.
        complete: Duration,
    },
}

impl HistoryChecker {
    /// A checker for histories that began with an empty counter.
    pub fn new(contract: impl Into<Contract>) -> Self {
        Self { contract: contract.into(), complete_since: None }
    }

    /// Says that the history holds every admission decided at `since` or later, on its own clock, and that earlier ones
    /// may be missing. A denial whose window may reach back before that is not judged. Without this, the counter was
    /// empty when the history began.
    pub fn complete_since(mut self, since: Duration) -> Self {
        self.complete_since = Some(since);
        self
    }

    /// Checks a history of one key, in any order.
    ///
    /// # Errors
    /// When the operations are not all on one key, or one completes before it was invoked.
    pub fn check(&self, operations: &[Operation]) -> Result<Report, HistoryError> {
        validate(operations)?;
        let history = Intervals::new(operations);
        let window = nanos(self.contract.window());
        let max = u64::from(self.contract.max());

        let sweep = Sweep::new(&history.allowed);
        let profile = Profile::new(&history.admissible(), window);
        // an admission that took longer than a window shares one with itself
        let definite_peak = (sweep.peak_within(window) as u64).max(history.allowed.len().min(1) as u64);
        let possible_peak = u64::from(profile.peak());

        let verdict = if possible_peak <= max {
            Verdict::Pass
        } else if let Some(witness) =
            (definite_peak > max).then(|| self.witness(operations, &history, &sweep))
        {
            Verdict::Violated(witness)
        } else {
            let by_timing = u64::from(Profile::new(&history.allowed, window).peak()) > max;
            let why = if by_timing { Doubt::Timing } else { Doubt::Outcomes };
            Verdict::Unknown { definite: definite_peak, possible: possible_peak, why }
        };

        let mut report = Report {
            contract: self.contract,
            operations: history.tally(),
            verdict,
            definite_peak,
            possible_peak,
            unjustified_denials: Vec::new(),
            unjudged_denials: 0,
        };
        self.judge_denials(operations, &history, &profile, &mut report);
        Ok(report)
    }

    /// The `max + 1` admissions in the shortest span.
    fn witness(&self, operations: &[Operation], history: &Intervals, sweep: &Sweep) -> Witness {
        let count = self.contract.max() as usize + 1;
        let (first, last) = sweep.shortest_span(count).unwrap_or_default();
        let inside =
            |op: &&Interval| op.invoke >= first && op.complete.is_some_and(|complete| complete <= last);
        let mut chosen: Vec<&Interval> = history.allowed.iter().filter(inside).collect();
        // more lie inside only where several end last; any of them will do, for no others span less
        chosen.truncate(count);
        chosen.sort_by_key(|op| (op.invoke, op.complete));
        let chosen: Vec<Operation> = chosen.into_iter().map(|op| operations[op.index].clone()).collect();
        let start = chosen.iter().map(|op| op.invoke).min().unwrap_or_default();
        let end = chosen.iter().map(|op| op.complete).max().unwrap_or_default();
        Witness { contract: self.contract, operations: chosen, start, span: end.saturating_sub(start) }
    }

    /// A denial is justified if at some instant at which it may have been decided, `max` admissions may have been in the
    /// window.
    fn judge_denials(
        &self,
        operations: &[Operation],
        history: &Intervals,
        profile: &Profile,
        report: &mut Report,
    ) {
        let max = self.contract.max();
        let judged_from =
            self.complete_since.map(|since| nanos(since.saturating_add(self.contract.window())));
        for op in &history.denied {
            let possible = profile.peak_between(op.invoke, op.complete.unwrap_or(u64::MAX));
            if possible >= max {
                continue;
            }
            if judged_from.is_some_and(|from| op.invoke < from) {
                report.unjudged_denials += 1;
                continue;
            }
            report.unjustified_denials.push(UnjustifiedDenial {
                operation: operations[op.index].clone(),
                possible: possible.into(),
                max,
            });
        }
    }
}

fn validate(operations: &[Operation]) -> Result<(), HistoryError> {
    let Some(first) = operations.first() else { return Ok(()) };
    for operation in operations {
        if operation.key != first.key {
            return Err(HistoryError::MixedKeys { first: first.key.clone(), other: operation.key.clone() });
        }
        if operation.complete < operation.invoke {
            let Operation { node, invoke, complete, .. } = operation.clone();
            return Err(HistoryError::Backwards { node, invoke, complete });
        }
    }
    Ok(())
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A history by outcome, each in the order of the history.
struct Intervals {
    allowed: Vec<Interval>,
    denied: Vec<Interval>,
    unknown: Vec<Interval>,
}

impl Intervals {
    fn new(operations: &[Operation]) -> Self {
        let mut history = Self { allowed: Vec::new(), denied: Vec::new(), unknown: Vec::new() };
        for (index, operation) in operations.iter().enumerate() {
            let invoke = nanos(operation.invoke);
            let complete = Some(nanos(operation.complete));
            match operation.outcome {
                Outcome::Allowed => history.allowed.push(Interval { invoke, complete, index }),
                Outcome::Denied => history.denied.push(Interval { invoke, complete, index }),
                Outcome::Unknown => history.unknown.push(Interval { invoke, complete: None, index }),
            }
        }
        history
    }

    /// What may have been admitted.
    fn admissible(&self) -> Vec<Interval> {
        self.allowed.iter().chain(&self.unknown).copied().collect()
    }

    fn tally(&self) -> Tally {
        let count = |ops: &[Interval]| ops.len() as u64;
        Tally { allowed: count(&self.allowed), denied: count(&self.denied), unknown: count(&self.unknown) }
    }
}
