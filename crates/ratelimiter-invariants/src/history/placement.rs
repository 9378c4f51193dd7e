//! The sliding contract's exact part: whether any placement of the admissions keeps the contract.
//!
//! The certain bound is sound but not complete: with a limit of 1 per 10, one admission somewhere
//! in [0, 12] and one at 5 break the contract wherever they were decided, although no span shorter
//! than 10 wholly holds both:
//!
//! ```text
//!   [0 ------------------------- 12]     decided by 4: less than 10 before the other
//!              5                         decided from 6 on: less than 10 after it
//! ```
//!
//! For a cost of 1 each, the question is the scheduling of jobs of equal length W with release
//! times and deadlines on L machines: a decision starts a job, and a window holds the jobs that run
//! at its end. It is decided in polynomial time by the method of barriers (B. Simons,
//! "Multiprocessor scheduling of unit-time jobs with arbitrary release times and deadlines", SIAM
//! J. Comput. 12, 1983):
//!
//! - Slot i is the (i+1)-th decision. Its instant is the earliest that slot i - 1, slot i - L plus
//!   W, the (i+1)-th smallest invoke and its barriers permit. Of the admissions invoked by then, it
//!   takes the one that completes first. By induction no placement has its (i+1)-th decision
//!   earlier.
//! - When that one completed before the slot, go back to the last slot j whose admission completes
//!   later. The admissions after j up to now all complete early, and all were invoked after slot j.
//!   Were slot j decided before their first invoke, they would fill the slots from j + 1 on, and
//!   the last of them would come too late. So slot j has a barrier: it is not before their first
//!   invoke. Continue at slot j.
//! - Without such a slot, all admissions up to now complete too early for this slot: no placement
//!   exists.
//!
//! A barrier lifts a slot to the invoke of another admission, so there are at most n² of them,
//! each O(n log n) at worst. Histories of limiters need few: O(n log n). Beyond a [`SearchBudget`]
//! of slots the history stays undecided.
//!
//! Costs are counted in grains. For a grain g, an admission of cost q is `q / g` units and a window
//! holds `max / g`, each rounded down: what overflows in grains overflows in cost. Each unit is
//! placed alone, so for equal costs the grain of one cost is exact. For mixed costs (the
//! question then is as hard as packing bins) several grains are tried: when the units of one cannot
//! be placed the contract was broken, else the history stays undecided. A small grain counts small
//! admissions together; a large one sees that two large admissions never share a window:
//!
//! ```text
//!   max 3     [== 2 ==]     [== 2 ==]         grain 1: 4 units on 3 machines may overlap by one
//!                                             grain 2: 2 units on 1 machine may not overlap at all
//! ```
//!
//! A larger grain with the same units is a stronger claim, and the largest with the same units is
//! `q / k` for some cost q and some number k of units. These grains are tried. So a proof by some
//! of the admissions is a proof by all of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::axis::{HistoryAxis, Interval, OpSelection};
use super::shrink::{SearchBudget, shrink};

/// Whether some placement keeps the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// One does.
    Exists,
    /// None does, not even of the admissions with these indices.
    None(Vec<usize>),
    /// The budget is spent, or costs differ.
    Undecided,
}

/// Whether the completed operations can be placed so that no window of this length holds more than
/// `max`.
pub(crate) fn place(axis: &HistoryAxis, max: u64, window: u64) -> Placement {
    let jobs: Vec<Interval> = axis
        .begins(OpSelection::Completed)
        .filter(|op| op.cost > 0)
        .copied()
        .collect();
    let search = PlacementSearch { max, window };
    match search.run(&jobs, &mut SearchBudget::new(jobs.len())) {
        Schedule::Found => Placement::Exists,
        Schedule::Unfinished => Placement::Undecided,
        Schedule::Impossible { invoked } => {
            let proof = search.shrink(&jobs[..invoked]);
            Placement::None(proof.iter().map(Interval::index).collect())
        }
    }
}

/// The end of a search.
enum Schedule {
    Found,
    /// The first `invoked` jobs alone cannot be placed.
    Impossible {
        invoked: usize,
    },
    Unfinished,
}

/// The search for a placement under one contract.
#[derive(Clone, Copy)]
struct PlacementSearch {
    max: u64,
    window: u64,
}

impl PlacementSearch {
    /// Tries one grain after the other. Jobs are in the order of their invokes.
    fn run(self, jobs: &[Interval], budget: &mut SearchBudget) -> Schedule {
        let costs: BTreeSet<u32> = jobs.iter().map(|job| job.cost).collect();
        if costs.len() <= 1 {
            return costs.first().map_or(Schedule::Found, |&grain| {
                self.in_grains(jobs, grain, budget)
            });
        }
        let finest = costs.iter().fold(0, |divisor, &cost| common(divisor, cost));
        if let end @ Schedule::Impossible { .. } = self.in_grains(jobs, finest, budget) {
            return end;
        }
        // Smaller grains have more units: after one that was too much for the budget, all are.
        let mut ends =
            CoarserGrains::than(finest, &costs).map(|grain| self.in_grains(jobs, grain, budget));
        ends.find(|end| !matches!(end, Schedule::Found))
            .unwrap_or(Schedule::Unfinished)
    }

    /// Places jobs that are counted in grains of one size.
    fn in_grains(self, jobs: &[Interval], grain: u32, budget: &mut SearchBudget) -> Schedule {
        let units = |job: &Interval| (job.cost / grain) as usize;
        let total = jobs.iter().map(units).fold(0, usize::saturating_add);
        if u32::try_from(total).is_err() || !budget.take(total.max(jobs.len())) {
            return Schedule::Unfinished;
        }
        let machines = usize::try_from(self.max / u64::from(grain)).unwrap_or(usize::MAX);
        if machines == 0 {
            return if total == 0 {
                Schedule::Found
            } else {
                Schedule::Impossible {
                    invoked: jobs.len(),
                }
            };
        }
        let unit = |(job, interval): (u32, &Interval)| {
            let complete = interval.complete().unwrap_or(u64::MAX);
            std::iter::repeat_n(
                CostUnit {
                    invoke: interval.invoke,
                    complete,
                    job,
                },
                units(interval),
            )
        };
        let mut placed = Vec::with_capacity(total);
        placed.extend((0..).zip(jobs).flat_map(unit));
        match SlotTable::new(&placed, machines, self.window).fill(budget) {
            Some(Ok(())) => Schedule::Found,
            Some(Err(invoked)) => Schedule::Impossible {
                invoked: placed[invoked - 1].job as usize + 1,
            },
            None => Schedule::Unfinished,
        }
    }

    /// Few of the jobs that cannot be placed either: without any one of them a search proves
    /// nothing, unless the budget ends first.
    fn shrink(self, jobs: &[Interval]) -> Vec<Interval> {
        let mut budget = SearchBudget::new(jobs.len());
        let mut impossible =
            |jobs: &[Interval]| matches!(self.run(jobs, &mut budget), Schedule::Impossible { .. });
        // The conflict came up at the end: the shortest tail of its kind, by doubling.
        let mut length = 2;
        while length < jobs.len() && !impossible(&jobs[jobs.len() - length..]) {
            length = length.saturating_mul(2);
        }
        shrink(
            jobs[jobs.len() - length.min(jobs.len())..].to_vec(),
            impossible,
        )
    }
}

fn common(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common(b, a % b) }
}

/// Grains above the finest, the largest first: some cost divided by some number of units, rounded
/// down.
struct CoarserGrains<'a> {
    finest: u32,
    last: u32,
    costs: &'a BTreeSet<u32>,
}

impl<'a> CoarserGrains<'a> {
    fn than(finest: u32, costs: &'a BTreeSet<u32>) -> Self {
        Self {
            finest,
            last: u32::MAX,
            costs,
        }
    }
}

impl Iterator for CoarserGrains<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        // The largest q / k below the last: k is one more than q / last has whole parts.
        let below = self.costs.iter().map(|&cost| cost / (cost / self.last + 1));
        self.last = below.max().filter(|&grain| grain > self.finest)?;
        Some(self.last)
    }
}

/// One grain of the cost of a job.
#[derive(Clone, Copy, Debug)]
struct CostUnit {
    invoke: u64,
    complete: u64,
    /// Place of its job.
    job: u32,
}

/// A unit that was given an instant.
#[derive(Clone, Copy, Debug)]
struct FilledSlot {
    instant: u64,
    unit: u32,
    /// How many units were invoked before the slot.
    invoked: u32,
}

/// The slots of one search.
struct SlotTable<'a> {
    /// By invoke.
    units: &'a [CostUnit],
    machines: usize,
    window: u64,
    filled: Vec<FilledSlot>,
    /// The barriers of slots that have one.
    barriers: BTreeMap<usize, u64>,
    /// Completion and place of the units that were invoked and not yet placed, the earliest
    /// completion first.
    waiting: BinaryHeap<Reverse<(u64, u32)>>,
    invoked: u32,
}

impl<'a> SlotTable<'a> {
    fn new(units: &'a [CostUnit], machines: usize, window: u64) -> Self {
        Self {
            units,
            machines,
            window,
            filled: Vec::with_capacity(units.len()),
            barriers: BTreeMap::new(),
            waiting: BinaryHeap::new(),
            invoked: 0,
        }
    }

    /// Fills every slot, or gives the number of units that alone cannot be placed. Nothing when the
    /// budget is spent.
    fn fill(&mut self, budget: &mut SearchBudget) -> Option<Result<(), usize>> {
        let mut furthest = 0;
        while self.filled.len() < self.units.len() {
            let before = self.invoked;
            let instant = self.earliest();
            while let Some(unit) = self
                .units
                .get(self.invoked as usize)
                .filter(|unit| unit.invoke <= instant)
            {
                self.waiting.push(Reverse((unit.complete, self.invoked)));
                self.invoked += 1;
            }
            furthest = furthest.max(self.invoked);
            // Slot i is not before the (i+1)-th invoke, so a unit waits.
            let Reverse((complete, unit)) = self.waiting.pop()?;
            self.filled.push(FilledSlot {
                instant,
                unit,
                invoked: before,
            });
            if instant > complete {
                let late = self.filled.len() - 1;
                let Some(slot) = self.last_completing_after(complete, late) else {
                    return Some(Err(furthest as usize));
                };
                let invokes = self.filled[slot + 1..]
                    .iter()
                    .map(|filled| self.unit(filled).invoke);
                self.barriers.insert(slot, invokes.min()?);
                if !budget.take(2 * (late - slot + 1)) {
                    return None;
                }
                self.back_to(slot);
            }
        }
        Some(Ok(()))
    }

    fn unit(&self, filled: &FilledSlot) -> &CostUnit {
        &self.units[filled.unit as usize]
    }

    /// The earliest instant of the next slot.
    fn earliest(&self) -> u64 {
        let slot = self.filled.len();
        let previous = self.filled.last().map_or(0, |last| last.instant);
        let machine = slot.checked_sub(self.machines).map_or(0, |freed| {
            self.filled[freed].instant.saturating_add(self.window)
        });
        let barrier = self.barriers.get(&slot).copied().unwrap_or(0);
        previous
            .max(machine)
            .max(self.units[slot].invoke)
            .max(barrier)
    }

    fn last_completing_after(&self, complete: u64, late: usize) -> Option<usize> {
        self.filled[..late]
            .iter()
            .rposition(|filled| self.unit(filled).complete > complete)
    }

    /// Empties this slot and all later ones.
    fn back_to(&mut self, slot: usize) {
        let invoked = self.filled[slot].invoked;
        self.waiting.retain(|Reverse((_, unit))| *unit < invoked);
        for FilledSlot { unit, .. } in self.filled.drain(slot..) {
            if unit < invoked {
                self.waiting
                    .push(Reverse((self.units[unit as usize].complete, unit)));
            }
        }
        self.invoked = invoked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(index: u32, invoke: u64, complete: u64) -> Interval {
        Interval::new(invoke, Some(complete), 1, index)
    }

    fn costing(cost: u32, mut op: Interval) -> Interval {
        op.cost = cost;
        op
    }

    fn place(operations: &[Interval], max: u64, window: u64) -> Placement {
        super::place(&HistoryAxis::new(operations.to_vec()), max, window)
    }

    #[test]
    fn long_operation_cannot_avoid_one_at_its_middle() {
        let pair = [unit(0, 0, 12), unit(1, 5, 5)];
        assert_eq!(place(&pair, 1, 10), Placement::None(vec![0, 1]));
        assert_eq!(place(&pair, 1, 7), Placement::Exists);
        assert_eq!(place(&pair, 2, 10), Placement::Exists);
    }

    #[test]
    fn barrier_keeps_slot_free_for_urgent_job() {
        // The first may be decided at 0 only if the urgent one at 5 can wait until 10; it can not,
        // so the first waits.
        let urgent = [unit(0, 0, 40), unit(1, 5, 6)];
        assert_eq!(place(&urgent, 1, 10), Placement::Exists);
    }

    #[test]
    fn equal_costs_are_units_of_a_smaller_limit() {
        let costly = [unit(0, 0, 12), unit(1, 5, 5)].map(|op| costing(3, op));
        assert_eq!(place(&costly, 5, 10), Placement::None(vec![0, 1]));
        assert_eq!(place(&costly, 6, 10), Placement::Exists);
    }

    #[test]
    fn mixed_costs_are_never_called_possible() {
        let mixed = [unit(0, 0, 40), costing(2, unit(1, 5, 6))];
        assert_eq!(place(&mixed, 2, 10), Placement::Undecided);
    }

    #[test]
    fn mixed_costs_are_refuted_in_a_coarser_grain() {
        // The two of cost 2 never share a window; the one of cost 1 changes nothing about that.
        let mixed = [unit(0, 0, 12), unit(1, 5, 5)].map(|op| costing(2, op));
        let mixed = [mixed[0], unit(2, 3, 3), mixed[1]];
        assert_eq!(place(&mixed, 3, 10), Placement::None(vec![0, 1]));
    }

    #[test]
    fn grains_are_all_quotients_of_costs() {
        let grains = |costs: &[u32], finest| {
            let costs = costs.iter().copied().collect();
            CoarserGrains::than(finest, &costs).collect::<Vec<_>>()
        };
        assert_eq!(grains(&[7], 1), [7, 3, 2]);
        assert_eq!(grains(&[4, 6], 2), [6, 4, 3]);
        assert_eq!(grains(&[2, 3], 1), [3, 2]);
    }

    #[test]
    fn spent_budget_leaves_the_history_undecided() {
        let jobs = [costing(9, unit(0, 0, 1))];
        let run = |steps| {
            PlacementSearch { max: 1, window: 10 }.in_grains(&jobs, 1, &mut SearchBudget::of(steps))
        };
        assert!(matches!(run(8), Schedule::Unfinished));
        assert!(matches!(run(90), Schedule::Impossible { .. }));
    }
}
