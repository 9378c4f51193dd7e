use std::time::Duration;

use ratelimiter_api::{Operation, Outcome};

use super::axis::{HistoryAxis, Interval, OpSelection};
use super::bounds::ContractBounds;
use super::placement::Placement;
use super::records::nanos;
use super::{
    Contract, Doubt, History, HistoryError, OutcomeCounts, Proof, Report, UnjustifiedDenial,
    Verdict, VerdictBasis, Witness,
};

/// Checks a history of one key that began with an empty counter and holds every check made on the
/// key.
///
/// The same as [`HistoryChecker::new`] and [`HistoryChecker::check`].
///
/// # Errors
/// When the operations are not all on one key, or one completes before it was invoked.
pub fn check_history(
    operations: &[Operation],
    contract: impl Into<Contract>,
) -> Result<Report, HistoryError> {
    Ok(HistoryChecker::new(contract).check(&operations.try_into()?))
}

/// Checks histories of one key against a contract.
///
/// A million operations take a fraction of a second on one core (`examples/million.rs`): sorts and
/// sweeps, O(n log n).
///
/// # The meaning of a verdict
/// - **Violated** is proved by its witness alone: nothing that the history lacks can undo it. For a
///   sliding contract and equal costs the verdict is exact: a history is Violated when no placement
///   keeps the contract, within a stated budget of work. For the other contracts and for mixed
///   costs such a history may be Unknown; [`Report::settled`] then is [`VerdictBasis::Undecided`].
/// - **Pass** is about the operations recorded: no placement of *these* has too many in a window.
///   An Unknown one is counted wherever it may lie, so it never makes a pass.
/// - **Unjustified denials** suppose that all operations that could have filled the window are in
///   the history. [`HistoryChecker::complete_since`] gives the instant from which on that is so.
#[derive(Clone, Copy, Debug)]
pub struct HistoryChecker {
    contract: Contract,
    complete_since: Option<Duration>,
    uncertainty: Duration,
    clock_ppm: u32,
}

/// The most that two clocks are taken to differ in rate, parts per million: 5 %.
const MAX_CLOCK_PPM: u32 = 50_000;

impl HistoryChecker {
    /// A checker for histories that began with an empty counter.
    pub fn new(contract: impl Into<Contract>) -> Self {
        Self {
            contract: contract.into(),
            complete_since: None,
            uncertainty: Duration::ZERO,
            clock_ppm: 0,
        }
    }

    /// The history holds every admission decided at `since` or later, on its own clock, and earlier
    /// ones may be missing. A denial whose window may reach back before that is not judged. Without
    /// this, the counter was empty when the history began.
    #[must_use]
    pub fn complete_since(mut self, since: Duration) -> Self {
        self.complete_since = Some(since);
        self
    }

    /// Every recorded time may be wrong by this much either way, as when a history was merged from
    /// several machines.
    #[must_use]
    pub fn uncertainty(mut self, uncertainty: Duration) -> Self {
        self.uncertainty = uncertainty;
        self
    }

    /// The limiter's clock may run faster or slower than the history's by this share, parts per
    /// million, at most 5 %. 100 ppm are 6 ms in 60 s, which is more than a check takes.
    #[must_use]
    pub fn clock_tolerance(mut self, ppm: u32) -> Self {
        self.clock_ppm = ppm.min(MAX_CLOCK_PPM);
        self
    }

    /// Checks a history.
    pub fn check(&self, history: &History) -> Report {
        let operations = Operations::new(history, nanos(self.uncertainty));
        let max = u64::from(self.contract.max());
        let bounds = self.bounds(self.contract.window());

        let admissible = &operations.admissible;
        let (definite_peak, proof) = bounds.certain(admissible);
        let possible_peak = bounds.possible(admissible, OpSelection::All);

        let witness = |proof, indices: Vec<usize>| {
            let chosen = indices
                .into_iter()
                .map(|index| history.get(index))
                .collect();
            Verdict::Violated(Witness::new(self.contract, proof, chosen))
        };
        let unknown = |why| Verdict::Unknown {
            definite: definite_peak,
            possible: possible_peak,
            why,
        };
        let only_with_unknown = || {
            operations.tally.unknown > 0
                && bounds.possible(admissible, OpSelection::Completed) <= max
        };
        let (verdict, settled) = if let Some(indices) = proof {
            let aligned = bounds.aligned() && indices.len() > 1;
            (
                witness(
                    if aligned {
                        Proof::Alignment
                    } else {
                        Proof::Span
                    },
                    indices,
                ),
                VerdictBasis::ByBounds,
            )
        } else if possible_peak <= max {
            (Verdict::Pass, VerdictBasis::ByBounds)
        } else if only_with_unknown() {
            (unknown(Doubt::Outcomes), VerdictBasis::ByBounds)
        } else {
            match bounds.search(admissible) {
                Placement::Exists => (unknown(Doubt::Timing), VerdictBasis::BySearch),
                Placement::None(indices) => {
                    (witness(Proof::Placement, indices), VerdictBasis::BySearch)
                }
                Placement::Undecided => (unknown(Doubt::Timing), VerdictBasis::Undecided),
            }
        };
        let definite_peak = match &verdict {
            Verdict::Violated(_) => definite_peak.max(max + 1),
            _ => definite_peak,
        };

        let mut report = Report {
            contract: self.contract,
            operations: operations.tally,
            verdict,
            settled,
            definite_peak,
            possible_peak,
            unjustified_denials: Vec::new(),
            unjudged_denials: 0,
        };
        self.judge_denials(history, operations, &bounds, &mut report);
        report
    }

    /// The place of the first of these windows for which the contract is kept for certain, instead
    /// of its own window. For a limiter that admits at the very instant at which quota returns, the
    /// recorded times prove no more than a shorter one.
    pub fn first_kept(
        &self,
        history: &History,
        windows: impl IntoIterator<Item = Duration>,
    ) -> Option<usize> {
        let Operations { admissible, .. } = Operations::new(history, nanos(self.uncertainty));
        let max = u64::from(self.contract.max());
        let kept = |window| self.bounds(window).possible(&admissible, OpSelection::All) <= max;
        windows.into_iter().position(kept)
    }

    /// A limiter whose clock runs fast ends its windows early by ours, and one whose clock runs
    /// slow late.
    fn bounds(&self, window: Duration) -> ContractBounds {
        let window = nanos(window);
        let skew = window / 1_000_000 * u64::from(self.clock_ppm)
            + window % 1_000_000 * u64::from(self.clock_ppm) / 1_000_000;
        ContractBounds::new(self.contract, window - skew, window.saturating_add(skew))
    }

    /// A denial of cost q is justified if at some instant at which it may have been decided, the
    /// window may have held more than `max - q`. A failed check may have been charged, and counts
    /// there.
    fn judge_denials(
        &self,
        history: &History,
        operations: Operations,
        bounds: &ContractBounds,
        report: &mut Report,
    ) {
        let max = u64::from(self.contract.max());
        let judged_from = self
            .complete_since
            .map(|since| nanos(since.saturating_add(self.contract.window() + self.uncertainty)));
        let Operations {
            admissible,
            failed,
            mut denied,
            ..
        } = operations;
        if denied.is_empty() {
            return;
        }
        let charged = if failed.is_empty() {
            admissible
        } else {
            HistoryAxis::new([admissible.operations(), &failed].concat())
        };
        denied.sort_unstable_by_key(|op| op.invoke);
        let mut unjustified = Vec::new();
        bounds.before(&charged, &denied, |op, possible| {
            if possible + u64::from(op.cost) > max {
                return;
            }
            if judged_from.is_some_and(|from| op.invoke < from) {
                report.unjudged_denials += 1;
            } else {
                unjustified.push((op.index(), possible));
            }
        });
        unjustified.sort_unstable();
        let found = unjustified
            .into_iter()
            .map(|(index, possible)| UnjustifiedDenial {
                operation: history.get(index),
                possible,
                max: self.contract.max(),
            });
        report.unjustified_denials = found.collect();
    }
}

/// The operations of a history by outcome.
struct Operations {
    /// The admitted ones, and those without an outcome.
    admissible: HistoryAxis,
    denied: Vec<Interval>,
    failed: Vec<Interval>,
    tally: OutcomeCounts,
}

impl Operations {
    fn new(history: &History, uncertainty: u64) -> Self {
        let (mut admissible, mut denied, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        let mut tally = OutcomeCounts::default();
        for (index, record) in (0..).zip(history.records()) {
            let (list, count) = match record.outcome {
                Outcome::Allowed => (&mut admissible, &mut tally.allowed),
                Outcome::Denied => (&mut denied, &mut tally.denied),
                Outcome::Failed => (&mut failed, &mut tally.failed),
                Outcome::Unknown => (&mut admissible, &mut tally.unknown),
            };
            // Earlier and later by the uncertainty, on an axis that begins that much earlier: no
            // time is below zero.
            let complete = record
                .complete
                .saturating_add(uncertainty.saturating_mul(2));
            let complete = (record.outcome != Outcome::Unknown).then_some(complete);
            *count += 1;
            list.push(Interval::new(record.invoke, complete, record.cost, index));
        }
        Self {
            admissible: HistoryAxis::new(admissible),
            denied,
            failed,
            tally,
        }
    }
}
