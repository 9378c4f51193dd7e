use std::collections::VecDeque;

use super::Admission;

/// Admissions out of order are put in their place when at most this many follow it, and begin a run
/// of their own otherwise.
const NEAR: usize = 64;
/// Runs before two are merged. More than two need admissions that overlap in time three deep.
const MAX_RUNS: usize = 8;

/// Admissions in order of time, as a few sorted runs.
///
/// Admissions arrive nearly in order, and long stretches out of order only after the store lost its
/// state: the lost admissions are confirmed again while newer ones are confirmed for the first
/// time. A stretch begins a new run instead of moving what follows it, as in patience sorting, so
/// that adding costs a constant and every question one binary search a run.
#[derive(Debug, Default)]
pub(super) struct AdmissionRuns {
    runs: Vec<VecDeque<Admission>>,
}

impl AdmissionRuns {
    pub(super) fn len(&self) -> usize {
        self.runs.iter().map(VecDeque::len).sum()
    }

    pub(super) fn add(&mut self, admission: Admission) {
        let last = |run: &VecDeque<Admission>| run.back().copied();
        // The run that ends closest before it keeps the other runs open for older ones.
        let ends_before = self
            .runs
            .iter_mut()
            .filter(|run| last(run) <= Some(admission));
        if let Some(run) = ends_before.max_by_key(|run| last(run)) {
            run.push_back(admission);
            return;
        }
        for run in &mut self.runs {
            let near = run.len().saturating_sub(NEAR);
            if run
                .get(near)
                .is_some_and(|first| near == 0 || *first <= admission)
            {
                let place = run.partition_point(|a| *a <= admission);
                run.insert(place, admission);
                return;
            }
        }
        self.add_run(VecDeque::from([admission]));
    }

    /// Adds all of `other`. Moves runs, not admissions.
    pub(super) fn absorb(&mut self, other: Self) {
        other.runs.into_iter().for_each(|run| self.add_run(run));
    }

    fn add_run(&mut self, run: VecDeque<Admission>) {
        self.runs.push(run);
        if self.runs.len() > MAX_RUNS {
            self.runs
                .sort_unstable_by_key(|run| std::cmp::Reverse(run.len()));
            let shortest: Vec<_> = self.runs.drain(MAX_RUNS - 1..).collect();
            let most = shortest.iter().map(VecDeque::len).sum();
            self.runs.push(Self { runs: shortest }.first(most).into());
        }
    }

    /// The oldest `most` admissions, in order.
    pub(super) fn first(&self, most: usize) -> Vec<Admission> {
        let mut heads: Vec<_> = self.runs.iter().map(|run| run.iter().peekable()).collect();
        let mut first = Vec::new();
        while first.len() < most {
            let oldest = |head: &mut std::iter::Peekable<_>| head.peek().map(|a: &&Admission| **a);
            let Some(next) = heads.iter_mut().filter_map(oldest).min() else {
                break;
            };
            for head in &mut heads {
                let _ = head.next_if(|a| **a == next);
            }
            first.push(next);
        }
        first
    }

    /// Removes these admissions, given in order, and returns those that were there.
    pub(super) fn take(&mut self, admissions: &[Admission]) -> Vec<Admission> {
        let Some(last) = admissions.last() else {
            return Vec::new();
        };
        let mut taken = Vec::new();
        for run in &mut self.runs {
            let mut asked = admissions.iter().peekable();
            let mut stay = Vec::new();
            let until = run.partition_point(|a| a <= last);
            for admission in run.drain(..until) {
                while asked.next_if(|a| **a < admission).is_some() {}
                if asked.next_if(|a| **a == admission).is_some() {
                    taken.push(admission);
                } else {
                    stay.push(admission);
                }
            }
            stay.into_iter()
                .rev()
                .for_each(|admission| run.push_front(admission));
        }
        self.tidy();
        taken.sort_unstable();
        taken
    }

    /// Drops what is at or before `until_us`.
    pub(super) fn expire(&mut self, until_us: u64) {
        for run in &mut self.runs {
            let gone = at_or_before(run, until_us);
            run.drain(..gone);
        }
        self.tidy();
    }

    /// Moves every admission by so much, which changes no order.
    pub(super) fn shift(&mut self, by_us: i64) {
        let moved = |admission: &mut Admission| {
            admission.at_us = admission.at_us.saturating_add_signed(by_us);
        };
        self.runs.iter_mut().flatten().for_each(moved);
    }

    /// Releases runs without admissions, and memory that a busier time needed.
    fn tidy(&mut self) {
        self.runs.retain(|run| !run.is_empty());
        for run in &mut self.runs {
            if run.capacity() > 1024 && run.len() < run.capacity() / 8 {
                run.shrink_to(run.len() * 2);
            }
        }
    }

    /// Admissions after `from_us`, up to and with `last`.
    pub(super) fn count(&self, from_us: u64, last: Admission) -> u64 {
        let to_last = |run: &VecDeque<Admission>| run.partition_point(|a| *a <= last);
        self.runs
            .iter()
            .map(|run| to_last(run).saturating_sub(at_or_before(run, from_us)) as u64)
            .sum()
    }

    /// The newest admission after `from_us`, up to and with `last`.
    pub(super) fn newest(&self, from_us: u64, last: Admission) -> Option<Admission> {
        let newest = |run: &VecDeque<Admission>| {
            let end = run.partition_point(|a| *a <= last);
            end.checked_sub(1).map(|i| run[i])
        };
        self.runs
            .iter()
            .filter_map(newest)
            .filter(|a| a.at_us > from_us)
            .max()
    }

    /// The oldest admission after `from_us`.
    pub(super) fn oldest(&self, from_us: u64) -> Option<Admission> {
        self.runs
            .iter()
            .filter_map(|run| run.get(at_or_before(run, from_us)))
            .copied()
            .min()
    }
}

fn at_or_before(run: &VecDeque<Admission>, us: u64) -> usize {
    run.partition_point(|a| a.at_us <= us)
}
