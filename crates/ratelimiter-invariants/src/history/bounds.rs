//! The two bounds of each contract, behind one interface.

use std::collections::BTreeSet;

use super::bucket;
use super::fixed::Folded;
use super::placement::{Placement, place};
use super::profile::Profile;
use super::shrink::{Budget, shrink};
use super::sweep::{Interval, Sweep};
use super::{Contract, ContractKind};

/// One contract, with the shortest and the longest that its window can be on the clock of the history, nanoseconds.
pub(crate) struct Bounds {
    contract: Contract,
    shortest: u64,
    longest: u64,
}

/// The possible cost of windows.
pub(crate) enum Possible {
    Sliding(Profile),
    Fixed(Folded),
    TokenBucket(bucket::Possible),
}

impl Possible {
    /// The largest cost that a window can have held.
    pub(crate) fn peak(&self) -> u64 {
        match self {
            Self::Sliding(profile) => profile.peak(),
            Self::Fixed(folded) => folded.least_peak(),
            Self::TokenBucket(possible) => possible.peak(),
        }
    }
}

/// The possible cost before a decision.
pub(crate) enum Before {
    Window(Profile),
    TokenBucket(bucket::Possible),
}

impl Before {
    /// The largest possible cost before a decision at any instant from `first` to `last`.
    pub(crate) fn peak_between(&self, first: u64, last: u64) -> u64 {
        match self {
            Self::Window(profile) => profile.peak_between(first, last),
            Self::TokenBucket(possible) => possible.peak_between(first, last),
        }
    }
}

impl Bounds {
    pub(crate) fn new(contract: Contract, shortest: u64, longest: u64) -> Self {
        Self { contract, shortest: shortest.max(1), longest }
    }

    /// The largest certain cost, and, where it breaks the contract, the indices of few operations that prove it.
    pub(crate) fn certain(&self, allowed: &[Interval]) -> (u64, Option<Vec<usize>>) {
        let max = u64::from(self.contract.max());
        // An admission shares a window with itself, however long it took.
        let costliest = allowed.iter().max_by_key(|op| op.cost);
        let least = costliest.map_or(0, |op| u64::from(op.cost));
        let alone = || costliest.filter(|op| u64::from(op.cost) > max).map(|op| vec![op.index]);
        match self.contract.kind() {
            ContractKind::Sliding => {
                let sweep = Sweep::new(allowed);
                let peak = sweep.peak_within(self.shortest).max(least);
                let proof = || {
                    let (first, last) = sweep.shortest_span(max)?;
                    (last - first < self.shortest).then(|| heaviest(allowed, first, last, max))
                };
                (peak, (peak > max).then(|| alone().or_else(proof)).flatten())
            }
            ContractKind::Fixed => {
                let folded = Folded::certain(allowed, self.shortest);
                let peak = folded.least_peak().max(least);
                let proof = || {
                    let inside = |start: i64| {
                        let first = u64::try_from(start).unwrap_or(0);
                        let end = start.saturating_add_unsigned(self.shortest) - 1;
                        heaviest(allowed, first, u64::try_from(end).unwrap_or(0), max)
                    };
                    let groups: BTreeSet<usize> = folded.cover(max)?.into_iter().flat_map(inside).collect();
                    Some(self.fewer_of_fixed(allowed.iter().filter(|op| groups.contains(&op.index))))
                };
                (peak, (peak > max).then(|| alone().or_else(proof)).flatten())
            }
            ContractKind::TokenBucket => {
                let (peak, shortest) = bucket::certain(allowed, &self.contract, self.shortest);
                let proof = || {
                    let (first, last) = shortest?;
                    let refilled = u128::from(last - first) * u128::from(max) / u128::from(self.shortest);
                    let most = max.saturating_add(u64::try_from(refilled).unwrap_or(u64::MAX));
                    Some(heaviest(allowed, first, last, most))
                };
                (peak.max(least), alone().or_else(proof))
            }
        }
    }

    /// Some of the operations that break fixed windows in every alignment: few, unless the budget ends first.
    fn fewer_of_fixed<'o>(&self, groups: impl Iterator<Item = &'o Interval>) -> Vec<usize> {
        let groups: Vec<Interval> = groups.copied().collect();
        let mut budget = Budget::new(groups.len());
        let max = u64::from(self.contract.max());
        let fewer = shrink(groups, |rest| {
            budget.take(rest.len()) && Folded::certain(rest, self.shortest).cover(max).is_some()
        });
        fewer.iter().map(|op| op.index).collect()
    }

    /// Whether a placement of these admissions keeps the contract, as far as a search can settle it.
    pub(crate) fn search(&self, allowed: &[Interval]) -> Placement {
        match self.contract.kind() {
            ContractKind::Sliding => place(allowed, self.contract.max().into(), self.shortest),
            ContractKind::Fixed | ContractKind::TokenBucket => Placement::Undecided,
        }
    }

    /// The possible cost of these operations.
    pub(crate) fn possible(&self, operations: &[Interval]) -> Possible {
        match self.contract.kind() {
            ContractKind::Sliding => Possible::Sliding(Profile::new(operations, self.longest)),
            ContractKind::Fixed => {
                let horizon = operations.iter().map(|op| op.complete.unwrap_or(op.invoke)).max().unwrap_or(0);
                Possible::Fixed(Folded::possible(operations, self.longest, horizon))
            }
            ContractKind::TokenBucket => {
                Possible::TokenBucket(bucket::Possible::new(operations, &self.contract, self.longest))
            }
        }
    }

    /// The possible cost before each instant of the admissible operations, whose possible cost is known, and of the failed
    /// ones. For fixed windows of unknown alignment it is that of a sliding one, since an aligned window can begin
    /// anywhere.
    pub(crate) fn before(&self, possible: Possible, admissible: &[Interval], failed: &[Interval]) -> Before {
        let charged = || [admissible, failed].concat();
        match possible {
            Possible::Sliding(profile) if failed.is_empty() => Before::Window(profile),
            Possible::TokenBucket(possible) if failed.is_empty() => Before::TokenBucket(possible),
            Possible::Sliding(_) | Possible::Fixed(_) => {
                Before::Window(Profile::new(&charged(), self.longest))
            }
            Possible::TokenBucket(_) => {
                Before::TokenBucket(bucket::Possible::new(&charged(), &self.contract, self.longest))
            }
        }
    }
}

/// The fewest operations wholly inside a span whose cost is above `max`.
fn heaviest(operations: &[Interval], first: u64, last: u64, max: u64) -> Vec<usize> {
    let inside = |op: &&Interval| op.invoke >= first && op.complete.is_some_and(|complete| complete <= last);
    let mut chosen: Vec<&Interval> = operations.iter().filter(inside).collect();
    // Stable: of equal costs those that come first in the history.
    chosen.sort_by_key(|op| std::cmp::Reverse(op.cost));
    let mut cost = 0;
    let needed = chosen.iter().take_while(|op| {
        let more = cost <= max;
        cost += u64::from(op.cost);
        more
    });
    needed.map(|op| op.index).collect()
}
