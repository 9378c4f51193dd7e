//! The sliding contract's exact part: whether any placement of the admissions keeps the contract.
//!
//! The certain bound is sound but not complete: with a limit of 1 per 10, one admission somewhere in [0, 12] and one at
//! 5 break the contract wherever they were decided, although no span shorter than 10 wholly holds both:
//!
//! ```text
//!   [0 ------------------------- 12]     decided by 4: less than 10 before the other
//!              5                         decided from 6 on: less than 10 after it
//! ```
//!
//! For a cost of 1 each, the question is the scheduling of jobs of equal length W with release times and deadlines on
//! L machines: a decision starts a job, and a window holds the jobs that run at its end. It is decided in polynomial time
//! by the method of barriers (B. Simons, "Multiprocessor scheduling of unit-time jobs with arbitrary release times
//! and deadlines", SIAM J. Comput. 12, 1983):
//!
//! - Slot i is the (i+1)-th decision. Its instant is the earliest that slot i - 1, slot i - L plus W, the
//!   (i+1)-th smallest invoke and its barriers permit. Of the admissions invoked by then, it takes the one that
//!   completes first. By induction no placement has its (i+1)-th decision earlier.
//! - When that one completed before the slot, go back to the last slot j whose admission completes later. The
//!   admissions after j up to now all complete early, and all were invoked after slot j. Were slot j decided before
//!   their first invoke, they would fill the slots from j + 1 on, and the last of them would come too late. So slot j has a
//!   barrier: it is not before their first invoke. Continue at slot j.
//! - Without such a slot, all admissions up to now complete too early for this slot: no placement exists.
//!
//! A barrier lifts a slot to the invoke of another admission, so that there are at most n² of them, each O(n log n)
//! at worst. Histories of limiters need few: O(n log n). Beyond a [`Budget`] of slots the history stays undecided.
//!
//! Costs are counted in grains. For a grain g, an admission of cost q is `q / g` units and a window holds `max / g`, each
//! rounded down: what overflows in grains overflows in cost. Each unit is placed alone, so that for equal costs the grain of one
//! cost is exact. For mixed costs (the question then is as hard as packing bins) several grains are tried: when the units of
//! one cannot be placed the contract was broken, else the history stays undecided. A small grain counts small admissions
//! together; a large one sees that two large admissions never share a window:
//!
//! ```text
//!   max 3     [== 2 ==]     [== 2 ==]         grain 1: 4 units on 3 machines may overlap by one
//!                                             grain 2: 2 units on 1 machine may not overlap at all
//! ```
//!
//! A larger grain with the same units is a stronger claim, and the largest with the same units is `q / k` for some cost q and some
//! number k of units. These grains are tried. So a proof by some of the admissions is a proof by all of them.

use std::collections::BTreeSet;

use super::shrink::{Budget, shrink};
use super::sweep::Interval;

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

/// An admission on the axis of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Job {
    invoke: u64,
    complete: u64,
    cost: u32,
    index: usize,
}

/// Whether the completed operations can be placed so that no window of this length holds more than `max`.
pub(crate) fn place(operations: &[Interval], max: u64, window: u64) -> Placement {
    let job = |op: &Interval| {
        Some(Job { invoke: op.invoke, complete: op.complete?, cost: op.cost, index: op.index })
    };
    let mut jobs: Vec<Job> = operations.iter().filter(|op| op.cost > 0).filter_map(job).collect();
    jobs.sort_unstable();
    let search = Search { max, window };
    match search.run(&jobs, &mut Budget::new(jobs.len())) {
        Schedule::Found => Placement::Exists,
        Schedule::Unfinished => Placement::Undecided,
        Schedule::Impossible { invoked } => {
            let proof = search.shrink(&jobs[..invoked]);
            Placement::None(proof.iter().map(|job| job.index).collect())
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
struct Search {
    max: u64,
    window: u64,
}

impl Search {
    /// Tries one grain after the other. Jobs are in the order of their invokes.
    fn run(self, jobs: &[Job], budget: &mut Budget) -> Schedule {
        let costs: BTreeSet<u32> = jobs.iter().map(|job| job.cost).collect();
        if costs.len() <= 1 {
            return costs.first().map_or(Schedule::Found, |&grain| self.in_grains(jobs, grain, budget));
        }
        let finest = costs.iter().fold(0, |divisor, &cost| common(divisor, cost));
        if let end @ Schedule::Impossible { .. } = self.in_grains(jobs, finest, budget) {
            return end;
        }
        // Smaller grains have more units: after one that was too much for the budget, all are.
        let mut ends = Coarser::than(finest, &costs).map(|grain| self.in_grains(jobs, grain, budget));
        ends.find(|end| !matches!(end, Schedule::Found)).unwrap_or(Schedule::Unfinished)
    }

    /// Places jobs that are counted in grains of one size.
    fn in_grains(self, jobs: &[Job], grain: u32, budget: &mut Budget) -> Schedule {
        let units = |job: &Job| (job.cost / grain) as usize;
        let total = jobs.iter().map(units).fold(0, usize::saturating_add);
        if !budget.take(total.max(jobs.len())) {
            return Schedule::Unfinished;
        }
        let machines = usize::try_from(self.max / u64::from(grain)).unwrap_or(usize::MAX);
        if machines == 0 {
            return if total == 0 { Schedule::Found } else { Schedule::Impossible { invoked: jobs.len() } };
        }
        let repeated = |(n, job)| std::iter::repeat_n(n, units(job));
        let owners: Vec<usize> = jobs.iter().enumerate().flat_map(repeated).collect();
        let units: Vec<(u64, u64)> = owners.iter().map(|&n| (jobs[n].invoke, jobs[n].complete)).collect();
        match Slots::new(&units, machines, self.window).fill(budget) {
            Some(Ok(())) => Schedule::Found,
            Some(Err(invoked)) => Schedule::Impossible { invoked: owners[invoked - 1] + 1 },
            None => Schedule::Unfinished,
        }
    }

    /// Few of the jobs that cannot be placed either: without any one of them a search proves nothing, unless the budget
    /// ends first.
    fn shrink(self, jobs: &[Job]) -> Vec<Job> {
        let mut budget = Budget::new(jobs.len());
        let mut impossible =
            |jobs: &[Job]| matches!(self.run(jobs, &mut budget), Schedule::Impossible { .. });
        // The conflict came up at the end: the shortest tail of its kind, by doubling.
        let mut length = 2;
        while length < jobs.len() && !impossible(&jobs[jobs.len() - length..]) {
            length = length.saturating_mul(2);
        }
        shrink(jobs[jobs.len() - length.min(jobs.len())..].to_vec(), impossible)
    }
}

fn common(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common(b, a % b) }
}

/// Grains above the finest, the largest first: some cost divided by some number of units, rounded down.
struct Coarser<'a> {
    finest: u32,
    last: u32,
    costs: &'a BTreeSet<u32>,
}

impl<'a> Coarser<'a> {
    fn than(finest: u32, costs: &'a BTreeSet<u32>) -> Self {
        Self { finest, last: u32::MAX, costs }
    }
}

impl Iterator for Coarser<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        // The largest q / k below the last: k is one more than q / last has whole parts.
        let below = self.costs.iter().map(|&cost| cost / (cost / self.last + 1));
        self.last = below.max().filter(|&grain| grain > self.finest)?;
        Some(self.last)
    }
}

/// The slots of one search: invoke and completion of each unit, by invoke.
struct Slots<'a> {
    units: &'a [(u64, u64)],
    machines: usize,
    window: u64,
    /// Instant, unit, and how many units were invoked before it, for each slot filled.
    filled: Vec<(u64, usize, usize)>,
    /// The barrier of each slot.
    barriers: Vec<u64>,
    /// Units invoked and not yet placed, by completion.
    waiting: BTreeSet<(u64, usize)>,
    invoked: usize,
}

impl<'a> Slots<'a> {
    fn new(units: &'a [(u64, u64)], machines: usize, window: u64) -> Self {
        Self {
            units,
            machines,
            window,
            filled: Vec::with_capacity(units.len()),
            barriers: vec![0; units.len()],
            waiting: BTreeSet::new(),
            invoked: 0,
        }
    }

    /// Fills every slot, or gives the number of units that alone cannot be placed. Nothing when the budget is spent.
    fn fill(&mut self, budget: &mut Budget) -> Option<Result<(), usize>> {
        let mut furthest = 0;
        while self.filled.len() < self.units.len() {
            let before = self.invoked;
            let instant = self.earliest();
            while let Some(&(_, complete)) = self.units.get(self.invoked).filter(|unit| unit.0 <= instant) {
                self.waiting.insert((complete, self.invoked));
                self.invoked += 1;
            }
            furthest = furthest.max(self.invoked);
            // Slot i is not before the (i+1)-th invoke, so that a unit waits.
            let (complete, unit) = self.waiting.pop_first()?;
            self.filled.push((instant, unit, before));
            if instant > complete {
                let late = self.filled.len() - 1;
                let Some(slot) = self.last_completing_after(complete, late) else {
                    return Some(Err(furthest));
                };
                let invokes = self.filled[slot + 1..].iter().map(|&(_, unit, _)| self.units[unit].0);
                self.barriers[slot] = invokes.min()?;
                if !budget.take(2 * (late - slot + 1)) {
                    return None;
                }
                self.back_to(slot);
            }
        }
        Some(Ok(()))
    }

    /// The earliest instant of the next slot.
    fn earliest(&self) -> u64 {
        let slot = self.filled.len();
        let previous = self.filled.last().map_or(0, |last| last.0);
        let machine = slot
            .checked_sub(self.machines)
            .map_or(0, |freed| self.filled[freed].0.saturating_add(self.window));
        previous.max(machine).max(self.units[slot].0).max(self.barriers[slot])
    }

    fn last_completing_after(&self, complete: u64, late: usize) -> Option<usize> {
        self.filled[..late].iter().rposition(|&(_, unit, _)| self.units[unit].1 > complete)
    }

    /// Empties this slot and all later ones.
    fn back_to(&mut self, slot: usize) {
        let invoked = self.filled[slot].2;
        for unit in invoked..self.invoked {
            self.waiting.remove(&(self.units[unit].1, unit));
        }
        for (_, unit, _) in self.filled.drain(slot..) {
            if unit < invoked {
                self.waiting.insert((self.units[unit].1, unit));
            }
        }
        self.invoked = invoked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(index: usize, invoke: u64, complete: u64) -> Interval {
        Interval { invoke, complete: Some(complete), cost: 1, index }
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
        // The first may be decided at 0 only if the urgent one at 5 can wait until 10; it can not, so the first waits.
        let urgent = [unit(0, 0, 40), unit(1, 5, 6)];
        assert_eq!(place(&urgent, 1, 10), Placement::Exists);
    }

    #[test]
    fn equal_costs_are_units_of_a_smaller_limit() {
        let costly = [unit(0, 0, 12), unit(1, 5, 5)].map(|op| Interval { cost: 3, ..op });
        assert_eq!(place(&costly, 5, 10), Placement::None(vec![0, 1]));
        assert_eq!(place(&costly, 6, 10), Placement::Exists);
    }

    #[test]
    fn mixed_costs_are_never_called_possible() {
        let mixed = [unit(0, 0, 40), Interval { cost: 2, ..unit(1, 5, 6) }];
        assert_eq!(place(&mixed, 2, 10), Placement::Undecided);
    }

    #[test]
    fn mixed_costs_are_refuted_in_a_coarser_grain() {
        // The two of cost 2 never share a window; the one of cost 1 changes nothing about that.
        let mixed = [unit(0, 0, 12), unit(1, 5, 5)].map(|op| Interval { cost: 2, ..op });
        let mixed = [mixed[0], unit(2, 3, 3), mixed[1]];
        assert_eq!(place(&mixed, 3, 10), Placement::None(vec![0, 1]));
    }

    #[test]
    fn grains_are_all_quotients_of_costs() {
        let grains = |costs: &[u32], finest| {
            let costs = costs.iter().copied().collect();
            Coarser::than(finest, &costs).collect::<Vec<_>>()
        };
        assert_eq!(grains(&[7], 1), [7, 3, 2]);
        assert_eq!(grains(&[4, 6], 2), [6, 4, 3]);
        assert_eq!(grains(&[2, 3], 1), [3, 2]);
    }

    #[test]
    fn spent_budget_leaves_the_history_undecided() {
        let jobs = [Job { invoke: 0, complete: 1, cost: 9, index: 0 }];
        let run = |steps| Search { max: 1, window: 10 }.in_grains(&jobs, 1, &mut Budget::of(steps));
        assert!(matches!(run(8), Schedule::Unfinished));
        assert!(matches!(run(90), Schedule::Impossible { .. }));
    }
}
