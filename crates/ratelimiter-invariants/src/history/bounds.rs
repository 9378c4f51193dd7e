//! The two bounds of each contract, behind one interface.

use std::collections::BTreeSet;

use super::axis::{HistoryAxis, Interval, OpSelection};
use super::bucket::{self, bucket_level};
use super::level::{peak, peaks_within, window_level};
use super::placement::{Placement, place};
use super::shrink::{SearchBudget, shrink};
use super::steps::{self, signed};
use super::{Contract, ContractKind, aligned, resets, sliding};

/// One contract, with the shortest and the longest that its window can be on the clock of the
/// history, nanoseconds.
pub(crate) struct ContractBounds {
    contract: Contract,
    shortest: u64,
    longest: u64,
}

impl ContractBounds {
    pub(crate) fn new(contract: Contract, shortest: u64, longest: u64) -> Self {
        Self {
            contract,
            shortest: shortest.max(1),
            longest: longest.max(1),
        }
    }

    /// The largest certain cost, and, where it breaks the contract, the indices of few operations
    /// that prove it.
    pub(crate) fn certain(&self, axis: &HistoryAxis) -> (u64, Option<Vec<usize>>) {
        let max = u64::from(self.contract.max());
        // An admission shares a window with itself, however long it took.
        let costliest = axis.begins(OpSelection::Completed).max_by_key(|op| op.cost);
        let least = costliest.map_or(0, |op| u64::from(op.cost));
        let alone = || {
            costliest
                .filter(|op| u64::from(op.cost) > max)
                .map(|op| vec![op.index()])
        };
        let steps = || steps::certain(axis, self.shortest);
        match self.contract.kind() {
            ContractKind::Sliding => {
                let peak = steps::peak(steps()).max(least);
                let proof = || {
                    let (first, last) = sliding::shortest_span(axis, max)?;
                    (last - first < self.shortest).then(|| axis.heaviest(first, last, max))
                };
                (peak, (peak > max).then(|| alone().or_else(proof)).flatten())
            }
            ContractKind::Fixed => {
                let (peak, broken) = resets::certain(axis, max, self.shortest);
                let proof = || {
                    let most = broken?;
                    let (first, last) = sliding::shortest_span(axis, most)?;
                    Some(axis.heaviest(first, last, most))
                };
                (peak.max(least), alone().or_else(proof))
            }
            ContractKind::Aligned => {
                let peak = aligned::least_peak(steps(), signed(self.shortest)).max(least);
                let proof = || {
                    let inside = |start: i64| {
                        let first = u64::try_from(start).unwrap_or(0);
                        let end = start.saturating_add_unsigned(self.shortest) - 1;
                        axis.heaviest(first, u64::try_from(end).unwrap_or(0), max)
                    };
                    let starts = aligned::cover(steps(), signed(self.shortest), max)?;
                    let groups: BTreeSet<usize> = starts.into_iter().flat_map(inside).collect();
                    let operations = axis
                        .operations()
                        .iter()
                        .filter(|op| groups.contains(&op.index()));
                    Some(self.fewer_of_fixed(operations.copied().collect()))
                };
                (peak, (peak > max).then(|| alone().or_else(proof)).flatten())
            }
            ContractKind::TokenBucket => {
                let (peak, shortest) = bucket::certain(axis, &self.contract, self.shortest);
                let proof = || {
                    let (first, last) = shortest?;
                    let refilled =
                        u128::from(last - first) * u128::from(max) / u128::from(self.shortest);
                    let most = max.saturating_add(u64::try_from(refilled).unwrap_or(u64::MAX));
                    Some(axis.heaviest(first, last, most))
                };
                (peak.max(least), alone().or_else(proof))
            }
        }
    }

    /// Some of the operations that break fixed windows in every alignment: few, unless the budget
    /// ends first.
    fn fewer_of_fixed(&self, groups: Vec<Interval>) -> Vec<usize> {
        let mut budget = SearchBudget::new(groups.len());
        let max = u64::from(self.contract.max());
        let fewer = shrink(groups, |rest| {
            let broken = || {
                let axis = HistoryAxis::new(rest.to_vec());
                let steps = steps::certain(&axis, self.shortest);
                aligned::cover(steps, signed(self.shortest), max).is_some()
            };
            budget.take(rest.len()) && broken()
        });
        fewer.iter().map(Interval::index).collect()
    }

    /// Whether a placement of the completed operations keeps the contract, as far as a search can
    /// settle it.
    pub(crate) fn search(&self, axis: &HistoryAxis) -> Placement {
        match self.contract.kind() {
            ContractKind::Sliding => place(axis, self.contract.max().into(), self.shortest),
            _ => Placement::Undecided,
        }
    }

    /// The largest cost that a window can have held.
    pub(crate) fn possible(&self, axis: &HistoryAxis, counted: OpSelection) -> u64 {
        match self.contract.kind() {
            ContractKind::Sliding => peak(window_level(axis, counted, self.longest), axis, counted),
            ContractKind::Fixed => {
                let max = u64::from(self.contract.max());
                let peak = peak(window_level(axis, counted, self.longest), axis, counted);
                // The cost of any window of this length is a bound for every sequence of resets.
                if peak > max && resets::exist(axis, counted, max, self.longest) {
                    max
                } else {
                    peak
                }
            }
            ContractKind::Aligned => {
                let steps = steps::possible(axis, counted, self.longest);
                aligned::least_peak(steps, signed(self.longest))
            }
            ContractKind::TokenBucket => peak(
                bucket_level(axis, counted, &self.contract, self.longest),
                axis,
                counted,
            ),
        }
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
        match self.contract.kind() {
            ContractKind::Sliding | ContractKind::Fixed | ContractKind::Aligned => {
                let level = || window_level(charged, OpSelection::All, self.longest);
                peaks_within(level, charged, denied, visit);
            }
            ContractKind::TokenBucket => {
                let level =
                    || bucket_level(charged, OpSelection::All, &self.contract, self.longest);
                peaks_within(level, charged, denied, visit);
            }
        }
    }
}
