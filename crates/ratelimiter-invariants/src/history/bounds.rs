//! The bounds of each contract, behind one interface.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::axis::{HistoryAxis, Interval, OpSelection};
use super::bucket::{self, bucket_level};
use super::level::{QuotaLevel, peak, peaks_within, window_level};
use super::operations::Operations;
use super::placement::{Placement, place};
use super::shrink::{SearchBudget, shrink};
use super::steps::{self, signed};
use super::{
    Charging, Contract, ContractKind, ContractTime, Proof, aligned, resets, sliding, two_period,
};

/// Instants beside those of changes at which a use is read, since the level of a bucket falls
/// between.
const BETWEEN: u64 = 500;

/// One contract, with the shortest and the longest that its window can be on the clock of the
/// history, nanoseconds.
pub(crate) struct ContractBounds<'a> {
    contract: &'a Contract,
    shortest: u64,
    longest: u64,
    /// The cost above which a window breaks the contract.
    most: u64,
}

impl<'a> ContractBounds<'a> {
    /// Where the cost used is charged after the call, a check is admitted while less than the limit
    /// is settled. So the last admission of a window saw less than that, and beyond it the window
    /// holds the cost not settled at that instant, at most the largest such cost of the history.
    pub(crate) fn new(
        contract: &'a Contract,
        shortest: u64,
        longest: u64,
        operations: &Operations,
    ) -> Self {
        let unsettled = match (&operations.certain, contract.charging()) {
            (Some(used), Charging::After) => peak(
                window_level(used, OpSelection::All, 1),
                used,
                OpSelection::All,
            ),
            _ => 0,
        };
        Self {
            contract,
            shortest: shortest.max(1),
            longest: longest.max(1),
            most: (contract.upper() + unsettled.saturating_sub(1)).max(contract.upper()),
        }
    }

    /// The cost up to which a window keeps the contract.
    pub(crate) fn permitted(&self) -> u64 {
        self.most
    }

    /// The largest certain cost, and, where it breaks the contract, the indices of few operations
    /// that prove it.
    pub(crate) fn certain(&self, of: &Operations) -> (u64, Option<(Proof, Vec<usize>)>) {
        let held = |windows: u64| {
            let level = || window_level(&of.held, OpSelection::All, 0);
            let most = peak(level(), &of.held, OpSelection::All);
            let permitted = self.most.saturating_mul(windows);
            let proof = || (Proof::Held, held_at_once(&of.held, permitted));
            (most.div_ceil(windows), (most > permitted).then(proof))
        };
        let axis = of.certain.as_ref().unwrap_or(&of.admissible);
        match (self.contract.kind(), self.contract.charging()) {
            (ContractKind::InFlight, _) => held(1),
            (kind, Charging::Reserved) => {
                // Calls that began within a window share one sliding window, and two of any other.
                let windows = if kind == ContractKind::Sliding { 1 } else { 2 };
                let ((most, by_held), (peak, proof)) = (held(windows), self.in_windows(axis));
                (peak.max(most), by_held.or(proof))
            }
            _ => self.in_windows(axis),
        }
    }

    fn in_windows(&self, axis: &HistoryAxis) -> (u64, Option<(Proof, Vec<usize>)>) {
        let max = self.most;
        // An admission shares a window with itself, however long it took.
        let costliest = axis.begins(OpSelection::Completed).max_by_key(|op| op.cost);
        let least = costliest.map_or(0, |op| u64::from(op.cost));
        let alone = || {
            costliest
                .filter(|op| u64::from(op.cost) > max)
                .map(|op| (Proof::Span, vec![op.index()]))
        };
        let span = |indices| (Proof::Span, indices);
        let steps = || steps::certain(axis, self.shortest);
        match self.contract.kind() {
            ContractKind::Sliding => {
                let peak = steps::peak(steps()).max(least);
                let proof = || {
                    let (first, last) = sliding::shortest_span(axis, max)?;
                    (last - first < self.shortest).then(|| axis.heaviest(first, last, max))
                };
                let found = || alone().or_else(|| proof().map(span));
                (peak, (peak > max).then(found).flatten())
            }
            ContractKind::Fixed => {
                let (peak, broken) = resets::certain(axis, max, self.shortest);
                let proof = || {
                    let most = broken?;
                    let (first, last) = sliding::shortest_span(axis, most)?;
                    Some(axis.heaviest(first, last, most))
                };
                (peak.max(least), alone().or_else(|| proof().map(span)))
            }
            ContractKind::Aligned => {
                let (peak, _) = aligned::least_peak(steps(), signed(self.shortest));
                let peak = peak.max(least);
                let proof = || {
                    let inside = |start: i64| {
                        let first = u64::try_from(start).unwrap_or(0);
                        let end = start.saturating_add_unsigned(self.shortest) - 1;
                        axis.heaviest(first, u64::try_from(end).unwrap_or(0), max)
                    };
                    let starts = self.refuted_starts(axis)?;
                    let groups: BTreeSet<usize> = starts.into_iter().flat_map(inside).collect();
                    let operations = axis
                        .operations()
                        .iter()
                        .filter(|op| groups.contains(&op.index()));
                    Some((
                        Proof::Alignment,
                        self.fewer_of_fixed(operations.copied().collect()),
                    ))
                };
                (peak, (peak > max).then(|| alone().or_else(proof)).flatten())
            }
            ContractKind::TwoPeriod => {
                // A window meets two periods at most.
                let peak = steps::peak(steps()).div_ceil(2).max(least);
                let proof = || {
                    let proof = two_period::certain(axis, self.shortest, max)?;
                    Some((Proof::Alignment, proof))
                };
                (peak, alone().or_else(proof))
            }
            ContractKind::TokenBucket | ContractKind::Paced => {
                let (size, window) = self.larger_bucket();
                let (peak, shortest) = bucket::certain(axis, size, window);
                let proof = || {
                    let (first, last) = shortest?;
                    let refilled = u128::from(last - first) * u128::from(size) / u128::from(window);
                    let most = max.saturating_add(u64::try_from(refilled).unwrap_or(u64::MAX));
                    Some(axis.heaviest(first, last, most))
                };
                (peak.max(least), alone().or_else(|| proof().map(span)))
            }
            ContractKind::InFlight => unreachable!("calls in flight have no window"),
        }
    }

    /// The bucket of the largest permitted cost and the time in which it fills: a larger bucket
    /// for the costs not settled fills at no lower rate than stated.
    fn larger_bucket(&self) -> (u32, u64) {
        let (upper, size) = (
            self.contract.upper(),
            u32::try_from(self.most).unwrap_or(u32::MAX),
        );
        let window = u128::from(self.shortest) * u128::from(size) / u128::from(upper);
        (size, u64::try_from(window).unwrap_or(u64::MAX).max(1))
    }

    fn refuted_starts(&self, axis: &HistoryAxis) -> Option<Vec<i64>> {
        let (steps, window) = (steps::certain(axis, self.shortest), signed(self.shortest));
        aligned::cover(aligned::heavy_pieces(steps, window, self.most), window)
    }

    /// Some of the operations that break fixed windows in every alignment: few, unless the budget
    /// ends first.
    fn fewer_of_fixed(&self, groups: Vec<Interval>) -> Vec<usize> {
        let mut budget = SearchBudget::new(groups.len());
        let fewer = shrink(groups, |rest| {
            let broken = || {
                self.refuted_starts(&HistoryAxis::new(rest.to_vec()))
                    .is_some()
            };
            budget.take(rest.len()) && broken()
        });
        fewer.iter().map(Interval::index).collect()
    }

    /// Whether a placement of the completed operations keeps the contract, as far as a search can
    /// settle it.
    pub(crate) fn search(&self, of: &Operations) -> Placement {
        match (self.contract.kind(), &of.certain) {
            (ContractKind::Sliding, None) => place(&of.admissible, self.most, self.shortest),
            _ => Placement::Undecided,
        }
    }

    /// The largest cost that a window can have held, and whether the contract is kept for certain.
    pub(crate) fn possible(&self, of: &Operations, counted: OpSelection) -> (u64, bool) {
        let axis = &of.admissible;
        let in_window = || peak(window_level(axis, counted, self.longest), axis, counted);
        let within = |peak| (peak, peak <= self.most);
        if self.contract.charging() == Charging::After {
            return (in_window(), self.saw_less(of, counted));
        }
        match self.contract.kind() {
            ContractKind::Sliding => within(in_window()),
            ContractKind::Fixed => {
                let peak = in_window();
                // The cost of any window of this length is a bound for every sequence of resets.
                if peak > self.most && resets::exist(axis, counted, self.most, self.longest) {
                    within(self.most)
                } else {
                    within(peak)
                }
            }
            ContractKind::Aligned => {
                let steps = steps::possible(axis, counted, self.longest);
                within(aligned::least_peak(steps, signed(self.longest)).0)
            }
            ContractKind::TwoPeriod => {
                let both = window_level(axis, counted, self.longest.saturating_mul(2));
                let peak = peak(both, axis, counted);
                if peak > self.most && two_period::kept(axis, counted, self.longest, self.most) {
                    within(self.most)
                } else {
                    within(peak)
                }
            }
            ContractKind::TokenBucket | ContractKind::Paced => {
                let size = u32::try_from(self.most).unwrap_or(u32::MAX);
                within(peak(
                    bucket_level(axis, counted, size, self.longest),
                    axis,
                    counted,
                ))
            }
            ContractKind::InFlight => within(peak(window_level(axis, counted, 0), axis, counted)),
        }
    }

    /// Whether every admission saw less than the limit, by the costs that were settled before it
    /// for certain: the limiter may settle each as late as stated.
    fn saw_less(&self, of: &Operations, counted: OpSelection) -> bool {
        if counted == OpSelection::All && of.unknown > 0 {
            return false;
        }
        let settled = of.admissible.ends().iter().map(|end| {
            let at = end.complete.saturating_add(1);
            of.admissible.of(end).spanning(at, at)
        });
        let settled = HistoryAxis::new(settled.collect());
        let mut deciding = of.deciding.clone();
        deciding.retain(|op| counted == OpSelection::All || op.complete().is_some());
        deciding.sort_unstable_by_key(|op| op.invoke);
        let (mut largest, upper) = (0, self.contract.upper());
        self.levels(&settled, upper, &deciding, |_, seen| {
            largest = largest.max(seen);
        });
        largest < upper
    }

    /// The cost up to which a denial has no cause; none where every denial has one.
    pub(crate) fn lower(&self) -> Option<u64> {
        let lower = self.contract.lower();
        if self.contract.kind() != ContractKind::Paced {
            return Some(lower);
        }
        // The queue holds as many as are released within the longest wait.
        let wait = self.contract.time(ContractTime::Wait)?.as_nanos();
        let queue = u128::from(lower) * wait / u128::from(self.longest);
        Some(lower.saturating_add(u64::try_from(queue).unwrap_or(u64::MAX)))
    }

    /// Calls `visit` with each denial and the largest possible cost before it, wherever it was
    /// decided. For fixed windows of unknown alignment that is the cost of a sliding one, since an
    /// aligned window can begin anywhere.
    pub(crate) fn before<'s>(
        &self,
        charged: &HistoryAxis,
        denied: &'s [Interval],
        visit: impl FnMut(&'s Interval, u64),
    ) {
        if self.contract.kind() == ContractKind::TwoPeriod {
            two_period::before(charged, self.longest, denied, visit);
        } else {
            self.levels(charged, self.contract.lower(), denied, visit);
        }
    }

    /// The certain and the possible use at each instant at which one of them changes, and at some
    /// between, within a span.
    pub(crate) fn use_over_time(
        &self,
        of: &Operations,
        span: RangeInclusive<u64>,
    ) -> Vec<(u64, [u64; 2])> {
        let most = &of.admissible;
        let in_flight = self.contract.kind() == ContractKind::InFlight;
        let least = match &of.certain {
            _ if in_flight => &of.held,
            Some(certain) => certain,
            None => most,
        };
        let begins = [most, least].into_iter().flat_map(HistoryAxis::operations);
        let ends = [most, least].into_iter().flat_map(HistoryAxis::ends);
        let times = begins.map(|op| (op.invoke, self.shortest));
        let times = times.chain(ends.map(|end| (end.complete, self.longest)));
        let changes = times.flat_map(|(at, window)| [at, at.saturating_add(window)]);
        let step = (span.end() - span.start()) / BETWEEN;
        let between = (0..=BETWEEN).map(|n| span.start() + step * n);
        let mut instants = Vec::from_iter(changes.chain(between));
        instants.retain(|at| span.contains(at));
        instants.sort_unstable();
        instants.dedup();
        let in_window = |window| window_level(most, OpSelection::All, window);
        let (mut certain, mut possible): (Box<dyn QuotaLevel>, Box<dyn QuotaLevel>) =
            match self.contract.kind() {
                ContractKind::TokenBucket | ContractKind::Paced => {
                    let (size, window) = self.larger_bucket();
                    let possible = bucket_level(most, OpSelection::All, size, self.longest);
                    let certain = bucket::certain_level(least, size, window);
                    (Box::new(certain), Box::new(possible))
                }
                ContractKind::InFlight => {
                    let certain = window_level(least, OpSelection::All, 0);
                    (Box::new(certain), Box::new(in_window(0)))
                }
                _ => {
                    let certain = steps::certain_level(least, self.shortest);
                    (Box::new(certain), Box::new(in_window(self.longest)))
                }
            };
        let at = |instant| (instant, [certain.at(instant), possible.at(instant)]);
        instants.into_iter().map(at).collect()
    }

    /// Calls `visit` with each span and the largest possible cost within it, of a bucket of this
    /// size or of a window; of two windows where an estimate looks back that far.
    fn levels<'s>(
        &self,
        axis: &HistoryAxis,
        size: u64,
        spans: &'s [Interval],
        visit: impl FnMut(&'s Interval, u64),
    ) {
        let window = match self.contract.kind() {
            ContractKind::TokenBucket | ContractKind::Paced => {
                let size = u32::try_from(size).unwrap_or(u32::MAX);
                let level = || bucket_level(axis, OpSelection::All, size, self.longest);
                return peaks_within(level, axis, spans, visit);
            }
            ContractKind::InFlight => 0,
            ContractKind::TwoPeriod => self.longest.saturating_mul(2),
            ContractKind::Sliding | ContractKind::Fixed | ContractKind::Aligned => self.longest,
        };
        peaks_within(
            || window_level(axis, OpSelection::All, window),
            axis,
            spans,
            visit,
        );
    }
}

/// Few of the operations that hold more than `max` at one instant.
fn held_at_once(held: &HistoryAxis, max: u64) -> Vec<usize> {
    let mut level = window_level(held, OpSelection::All, 0);
    let levels = held
        .operations()
        .iter()
        .map(|op| (level.at(op.invoke), op.invoke));
    let at = levels
        .max_by_key(|level| level.0)
        .map_or(0, |level| level.1);
    let holds = |op: &&Interval| op.invoke <= at && op.complete().is_none_or(|end| at < end);
    HistoryAxis::fewest(held.operations().iter().filter(holds).collect(), max)
}
