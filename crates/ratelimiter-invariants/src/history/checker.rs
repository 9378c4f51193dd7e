use std::time::Duration;

use ratelimiter_api::Operation;

use super::axis::{HistoryAxis, Interval, OpSelection};
use super::bounds::ContractBounds;
use super::operations::Operations;
use super::placement::Placement;
use super::records::nanos;
use super::{
    Contract, ContractKind, Doubt, History, HistoryError, Proof, Report, UnjustifiedDenial,
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
    pub(super) contract: Contract,
    pub(super) complete_since: Option<Duration>,
    pub(super) uncertainty: Duration,
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
    /// ones may be missing: the quota may have been used up then, a window full and a bucket empty.
    /// Without this, nothing was used when the history began.
    #[must_use]
    pub fn complete_since(mut self, since: Duration) -> Self {
        self.complete_since = Some(since);
        self
    }

    /// The history may lack admissions at any time. So no denial is judged; an excess is proved by
    /// the operations that are there.
    #[must_use]
    pub fn incomplete(self) -> Self {
        self.complete_since(Duration::MAX)
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

    /// The most by which two recorded times a window apart may differ from the limiter's.
    pub fn slack(&self) -> Duration {
        let skew = self
            .contract
            .window()
            .mul_f64(f64::from(self.clock_ppm) / 1e6);
        self.uncertainty * 2 + skew
    }

    /// Checks a history.
    pub fn check(&self, history: &History) -> Report {
        let operations = Operations::new(&[history], self);
        let bounds = self.bounds(self.contract.window());
        let mut report = self.judge_admissions(&[history], &operations, &bounds);
        self.judge_denials(history, operations, &bounds, &mut report);
        report
    }

    /// Checks the admissions of several keys by one grid of windows, the same for all, as
    /// [`ContractKind::Aligned`] promises. Keys that keep the contract one by one may break it
    /// together: each leaves other alignments. Denials are not judged.
    pub fn check_together(&self, histories: &[&History]) -> Report {
        let aligned = Self {
            contract: self.contract.of_kind(ContractKind::Aligned),
            ..*self
        };
        let operations = Operations::new(histories, &aligned);
        let bounds = aligned.bounds(self.contract.window());
        aligned.judge_admissions(histories, &operations, &bounds)
    }

    /// Contracts that all of these histories fit, of those that may have been meant: the same
    /// numbers in another form; another limit; a window in another unit; a rate that was inverted,
    /// one in n seconds for n a second. A history fits if no denial is without cause, and if
    /// admissions keep the contract for certain in a window shorter by 5 %, since recorded times
    /// resolve no more.
    pub fn fits_otherwise(&self, histories: &[&History]) -> Vec<Contract> {
        let Contract { kind, max, window } = self.contract;
        let of = |max: u64, window: Duration| {
            let contract = Contract::new(u32::try_from(max).ok()?, window);
            Some(contract.ok()?.of_kind(kind))
        };
        let forms = ContractKind::ALL.map(|kind| Some(self.contract.of_kind(kind)));
        let reports = Vec::from_iter(histories.iter().map(|history| self.check(history)));
        let denials = reports.iter().flat_map(|r| &r.unjustified_denials);
        let stricter = denials
            .map(|denial| (denial.possible + u64::from(denial.operation.cost)).saturating_sub(1));
        let largest = reports.iter().map(|report| report.possible_peak).max();
        let limits = [largest, stricter.min()].map(|limit| of(limit?, window));
        let windows = [60, 1_000].map(|unit| [window.checked_mul(unit), Some(window / unit)]);
        let inverted = f64::from(max).powi(2) / window.as_secs_f64();
        let inverted = Duration::try_from_secs_f64(inverted).ok();
        let windows = windows.into_iter().flatten().chain([inverted]);
        let windows = windows.map(|window| of(max.into(), window?));
        let candidates = forms.into_iter().chain(limits).chain(windows).flatten();
        let mut fitting: Vec<Contract> = Vec::new();
        for contract in candidates {
            let checker = Self { contract, ..*self };
            let new = contract != self.contract && !fitting.contains(&contract);
            let shorter = [contract.window().mul_f64(0.95)];
            let fits = |history: &&History| {
                checker.check(history).unjustified_denials.is_empty()
                    && checker.first_kept(history, shorter).is_some()
            };
            if new && histories.iter().all(fits) {
                fitting.push(contract);
            }
        }
        fitting
    }

    fn judge_admissions(
        &self,
        histories: &[&History],
        operations: &Operations,
        bounds: &ContractBounds,
    ) -> Report {
        let max = u64::from(self.contract.max());

        let admissible = &operations.admissible;
        let (definite_peak, proof) = bounds.certain(admissible);
        let possible_peak = bounds.possible(admissible, OpSelection::All);

        let witness = |proof, indices: Vec<usize>| {
            let chosen = indices
                .into_iter()
                .map(|index| operation(histories, index))
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
            let aligned = self.contract.kind() == ContractKind::Aligned && indices.len() > 1;
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

        Report {
            contract: self.contract,
            operations: operations.tally,
            verdict,
            settled,
            definite_peak,
            possible_peak,
            unjustified_denials: Vec::new(),
            unjudged_denials: 0,
        }
    }

    /// The place of the first of these windows for which the contract is kept for certain, instead
    /// of its own window. For a limiter that admits at the very instant at which quota returns, the
    /// recorded times prove no more than a shorter one.
    pub fn first_kept(
        &self,
        history: &History,
        windows: impl IntoIterator<Item = Duration>,
    ) -> Option<usize> {
        let Operations { admissible, .. } = Operations::new(&[history], self);
        let max = u64::from(self.contract.max());
        let kept = |window| self.bounds(window).possible(&admissible, OpSelection::All) <= max;
        windows.into_iter().position(kept)
    }

    /// A limiter whose clock runs fast ends its windows early by ours, and one whose clock runs
    /// slow late. The operations of an aligned contract are on the limiter's own clock.
    fn bounds(&self, window: Duration) -> ContractBounds {
        let window = nanos(window);
        let skew = match self.contract.kind() {
            ContractKind::Aligned => 0,
            _ => self.drift(window),
        };
        ContractBounds::new(self.contract, window - skew, window.saturating_add(skew))
    }

    /// Difference of the two clocks after a time.
    pub(super) fn drift(&self, time: u64) -> u64 {
        time / 1_000_000 * u64::from(self.clock_ppm)
            + time % 1_000_000 * u64::from(self.clock_ppm) / 1_000_000
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
        let Operations {
            admissible,
            failed,
            mut denied,
            before,
            ..
        } = operations;
        if denied.is_empty() {
            return;
        }
        let charged = |before: &[Interval]| {
            HistoryAxis::new([admissible.operations(), &failed, before].concat())
        };
        denied.sort_unstable_by_key(|op| op.invoke);
        let without_cause = |charged: &HistoryAxis| {
            let mut unjustified = Vec::new();
            bounds.before(charged, &denied, |op, possible| {
                if possible + u64::from(op.cost) <= max {
                    unjustified.push((op.index(), possible));
                }
            });
            unjustified
        };
        let mut unjustified = match before {
            None if failed.is_empty() => without_cause(&admissible),
            None => without_cause(&charged(&[])),
            Some(before) => {
                let unjustified = without_cause(&charged(&[before]));
                let all = without_cause(&charged(&[]));
                report.unjudged_denials = (all.len() - unjustified.len()) as u64;
                unjustified
            }
        };
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

/// The operation at a place of several histories, one after the other.
fn operation(histories: &[&History], mut place: usize) -> Operation {
    for history in histories {
        if place < history.len() {
            return history.get(place);
        }
        place -= history.len();
    }
    unreachable!("an operation has its place in a history")
}
