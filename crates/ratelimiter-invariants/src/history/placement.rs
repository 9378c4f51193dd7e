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
//! at worst. Histories of limiters need few: O(n log n). The work is counted in slots, not in time, so that a verdict is the same on
//! every machine; beyond [`Budget`] the history stays undecided.
//!
//! Equal costs are unit costs of a smaller limit. Mixed costs are split into unit costs, each placed alone: when not even
//! those can be placed the contract was broken, else the history stays undecided.

use std::collections::BTreeSet;

use super::sweep::Interval;

/// The slots that a decision may fill: a million, and four per admission; as many again to shrink the proof.
#[derive(Clone, Copy, Debug)]
struct Budget(u64);

impl Budget {
    fn new(admissions: usize) -> Self {
        Self(1_000_000 + 4 * admissions as u64)
    }

    /// Takes some work off; false once the budget is spent.
    fn take(&mut self, work: usize) -> bool {
        let left = self.0.checked_sub(work as u64);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }
}

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
    units: u32,
    index: usize,
}

/// Whether the completed operations can be placed so that no window of this length holds more than `max`.
pub(crate) fn place(operations: &[Interval], max: u64, window: u64) -> Placement {
    let divisor = operations.iter().fold(0, |divisor, op| common(divisor, op.cost));
    if divisor == 0 {
        return Placement::Exists;
    }
    let job = |op: &Interval| {
        let units = op.cost / divisor;
        Some(Job { invoke: op.invoke, complete: op.complete?, units, index: op.index })
    };
    let mut jobs: Vec<Job> = operations.iter().filter(|op| op.cost > 0).filter_map(job).collect();
    jobs.sort_unstable();
    let machines = usize::try_from(max / u64::from(divisor)).unwrap_or(usize::MAX);
    let mut budget = Budget::new(jobs.len());
    match schedule(&jobs, machines, window, &mut budget) {
        Schedule::Found if jobs.iter().all(|job| job.units == 1) => Placement::Exists,
        Schedule::Found | Schedule::Unfinished => Placement::Undecided,
        Schedule::Impossible { invoked } => {
            let mut budget = Budget::new(jobs.len());
            let proof = shrink(&jobs[..invoked], machines, window, &mut budget);
            Placement::None(proof.iter().map(|job| job.index).collect())
        }
    }
}

fn common(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common(b, a % b) }
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

/// Places jobs in the order of their invokes, on so many machines.
fn schedule(jobs: &[Job], machines: usize, window: u64, budget: &mut Budget) -> Schedule {
    let total = jobs.iter().map(|job| job.units as usize).fold(0, usize::saturating_add);
    if !budget.take(total) {
        return Schedule::Unfinished;
    }
    if machines == 0 {
        return if total == 0 { Schedule::Found } else { Schedule::Impossible { invoked: jobs.len() } };
    }
    let owners: Vec<usize> =
        jobs.iter().enumerate().flat_map(|(n, job)| std::iter::repeat_n(n, job.units as usize)).collect();
    let units: Vec<(u64, u64)> = owners.iter().map(|&n| (jobs[n].invoke, jobs[n].complete)).collect();
    match Slots::new(&units, machines, window).fill(budget) {
        Some(Ok(())) => Schedule::Found,
        Some(Err(invoked)) => Schedule::Impossible { invoked: owners[invoked - 1] + 1 },
        None => Schedule::Unfinished,
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

/// Few of the jobs that cannot be placed either: none of them can be left out, unless the budget ends first.
fn shrink(jobs: &[Job], machines: usize, window: u64, budget: &mut Budget) -> Vec<Job> {
    let mut impossible =
        |jobs: &[Job]| matches!(schedule(jobs, machines, window, budget), Schedule::Impossible { .. });
    // The conflict came up at the end: the shortest tail of its kind, by doubling.
    let mut length = machines.saturating_add(1);
    while length < jobs.len() && !impossible(&jobs[jobs.len() - length..]) {
        length = length.saturating_mul(2);
    }
    let mut proof = jobs[jobs.len() - length.min(jobs.len())..].to_vec();
    let mut part = proof.len().div_ceil(2);
    while part > 0 {
        let mut from = 0;
        while from < proof.len() {
            let to = (from + part).min(proof.len());
            let without = [&proof[..from], &proof[to..]].concat();
            if impossible(&without) {
                proof = without;
            } else {
                from = to;
            }
        }
        part /= 2;
    }
    proof
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
    fn spent_budget_leaves_the_history_undecided() {
        let jobs = [Job { invoke: 0, complete: 1, units: 9, index: 0 }];
        assert!(matches!(schedule(&jobs, 1, 10, &mut Budget(8)), Schedule::Unfinished));
        assert!(matches!(schedule(&jobs, 1, 10, &mut Budget(90)), Schedule::Impossible { .. }));
    }
}
