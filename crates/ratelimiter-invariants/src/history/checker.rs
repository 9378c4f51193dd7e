use std::collections::BTreeMap;
use std::time::Duration;

use ratelimiter_api::{Key, NodeId, Operation, Outcome};

use super::bounds::{Before, Bounds};
use super::placement::Placement;
use super::sweep::Interval;
use super::{
    Contract, ContractKind, Doubt, Proof, Report, Settled, Tally, UnjustifiedDenial, Verdict, Witness,
};

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

/// Checks histories of one key against a contract.
///
/// A million operations take a fraction of a second on one core (`examples/million.rs`): sorts and sweeps, O(n log n).
///
/// # The meaning of a verdict
/// - **Violated** is proved by its witness alone: nothing that the history lacks can undo it. For a sliding contract and
///   equal costs the verdict is exact: a history is Violated when no placement keeps the contract, within a stated budget of
///   work. For the other contracts and for mixed costs such a history may be Unknown; [`Report::settled`] then is [`Settled::Undecided`].
/// - **Pass** is about the operations recorded: no placement of *these* has too many in a window. An Unknown one is
///   counted wherever it may lie, so it never makes a pass.
/// - **Unjustified denials** suppose that all operations that could have filled the window are in the history.
///   [`HistoryChecker::complete_since`] gives the instant from which on that is so.
#[derive(Clone, Copy, Debug)]
pub struct HistoryChecker {
    contract: Contract,
    complete_since: Option<Duration>,
    uncertainty: Duration,
    clock_ppm: u32,
}

/// The most that two clocks are taken to differ in rate, parts per million: 5 %.
const MAX_CLOCK_PPM: u32 = 50_000;

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
        /// Node that was asked.
        node: NodeId,
        /// Start of the request.
        invoke: Duration,
        /// End of the answer.
        complete: Duration,
    },
}

impl HistoryChecker {
    /// A checker for histories that began with an empty counter.
    pub fn new(contract: impl Into<Contract>) -> Self {
        Self { contract: contract.into(), complete_since: None, uncertainty: Duration::ZERO, clock_ppm: 0 }
    }

    /// The same checker with another contract.
    #[must_use]
    pub fn against(self, contract: impl Into<Contract>) -> Self {
        Self { contract: contract.into(), ..self }
    }

    /// The history holds every admission decided at `since` or later, on its own clock, and earlier ones may be missing. A
    /// denial whose window may reach back before that is not judged. Without this, the counter was empty when the history
    /// began.
    #[must_use]
    pub fn complete_since(mut self, since: Duration) -> Self {
        self.complete_since = Some(since);
        self
    }

    /// Every recorded time may be wrong by this much either way, as when a history was merged from several machines.
    #[must_use]
    pub fn uncertainty(mut self, uncertainty: Duration) -> Self {
        self.uncertainty = uncertainty;
        self
    }

    /// The limiter's clock may run faster or slower than the history's by this share, parts per million, at most 5 %.
    /// 100 ppm are 6 ms in 60 s, which is more than a check takes.
    #[must_use]
    pub fn clock_tolerance(mut self, ppm: u32) -> Self {
        self.clock_ppm = ppm.min(MAX_CLOCK_PPM);
        self
    }

    /// Checks a history of one key, in any order.
    ///
    /// # Errors
    /// When the operations are not all on one key, or one completes before it was invoked.
    pub fn check(&self, operations: &[Operation]) -> Result<Report, HistoryError> {
        validate(operations)?;
        let history = Intervals::new(operations, nanos(self.uncertainty));
        let max = u64::from(self.contract.max());
        // A limiter whose clock runs fast ends its windows early by ours, and one whose clock runs slow late.
        let window = nanos(self.contract.window());
        let skew = window / 1_000_000 * u64::from(self.clock_ppm)
            + window % 1_000_000 * u64::from(self.clock_ppm) / 1_000_000;
        let bounds = Bounds::new(self.contract, window - skew, window.saturating_add(skew));

        let (definite_peak, proof) = bounds.certain(&history.allowed);
        let admissible = history.admissible();
        let possible = bounds.possible(&admissible);
        let possible_peak = possible.peak();

        let witness = |proof, indices: Vec<usize>| {
            let chosen = indices.into_iter().map(|index| operations[index].clone()).collect();
            Verdict::Violated(Witness::new(self.contract, proof, chosen))
        };
        let unknown = |why| Verdict::Unknown { definite: definite_peak, possible: possible_peak, why };
        let (verdict, settled) = if let Some(indices) = proof {
            let aligned = self.contract.kind() == ContractKind::Fixed && indices.len() > 1;
            (witness(if aligned { Proof::Alignment } else { Proof::Span }, indices), Settled::ByBounds)
        } else if possible_peak <= max {
            (Verdict::Pass, Settled::ByBounds)
        } else if !history.unknown.is_empty() && bounds.possible(&history.allowed).peak() <= max {
            (unknown(Doubt::Outcomes), Settled::ByBounds)
        } else {
            match bounds.search(&history.allowed) {
                Placement::Exists => (unknown(Doubt::Timing), Settled::BySearch),
                Placement::None(indices) => (witness(Proof::Placement, indices), Settled::BySearch),
                Placement::Undecided => (unknown(Doubt::Timing), Settled::Undecided),
            }
        };
        let definite_peak = match &verdict {
            Verdict::Violated(_) => definite_peak.max(max + 1),
            _ => definite_peak,
        };

        let mut report = Report {
            contract: self.contract,
            operations: history.tally(),
            verdict,
            settled,
            definite_peak,
            possible_peak,
            unjustified_denials: Vec::new(),
            unjudged_denials: 0,
        };
        if !history.denied.is_empty() {
            let before = bounds.before(possible, &admissible, &history.failed);
            self.judge_denials(operations, &history.denied, &before, &mut report);
        }
        Ok(report)
    }

    /// A denial of cost q is justified if at some instant at which it may have been decided, the window may have held more
    /// than `max - q`. A failed check may have been charged, and counts there.
    fn judge_denials(
        &self,
        operations: &[Operation],
        denied: &[Interval],
        before: &Before,
        report: &mut Report,
    ) {
        let max = u64::from(self.contract.max());
        let judged_from = self
            .complete_since
            .map(|since| nanos(since.saturating_add(self.contract.window() + self.uncertainty)));
        for op in denied {
            let possible = before.peak_between(op.invoke, op.complete.unwrap_or(u64::MAX));
            if possible + u64::from(op.cost) > max {
                continue;
            }
            if judged_from.is_some_and(|from| op.invoke < from) {
                report.unjudged_denials += 1;
                continue;
            }
            report.unjustified_denials.push(UnjustifiedDenial {
                operation: operations[op.index].clone(),
                possible,
                max: self.contract.max(),
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
#[derive(Default)]
struct Intervals {
    allowed: Vec<Interval>,
    denied: Vec<Interval>,
    failed: Vec<Interval>,
    unknown: Vec<Interval>,
}

impl Intervals {
    fn new(operations: &[Operation], uncertainty: u64) -> Self {
        let mut history = Self::default();
        for (index, operation) in operations.iter().enumerate() {
            // Earlier and later by the uncertainty, on an axis that begins that much earlier: no time is below zero.
            let invoke = nanos(operation.invoke);
            let complete = nanos(operation.complete).saturating_add(2 * uncertainty);
            let cost = operation.cost;
            let (list, complete) = match operation.outcome {
                Outcome::Allowed => (&mut history.allowed, Some(complete)),
                Outcome::Denied => (&mut history.denied, Some(complete)),
                Outcome::Failed => (&mut history.failed, Some(complete)),
                Outcome::Unknown => (&mut history.unknown, None),
            };
            list.push(Interval { invoke, complete, cost, index });
        }
        history
    }

    /// The operations that may have been admitted.
    fn admissible(&self) -> Vec<Interval> {
        self.allowed.iter().chain(&self.unknown).copied().collect()
    }

    fn tally(&self) -> Tally {
        let count = |ops: &[Interval]| ops.len() as u64;
        Tally {
            allowed: count(&self.allowed),
            denied: count(&self.denied),
            failed: count(&self.failed),
            unknown: count(&self.unknown),
        }
    }
}
