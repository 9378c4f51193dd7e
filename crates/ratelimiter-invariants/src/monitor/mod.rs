use std::time::Duration;

use ratelimiter_api::Observation;

use crate::{Change, Invariant, Thresholds, Violation};

mod memory;
mod round;
mod tracker;

#[cfg(test)]
pub(crate) mod story;

use memory::Memory;
use round::Round;
use tracker::Tracker;

pub(crate) use round::{KeyRound, NodeCount, write_age};

/// Observations in, violations out.
///
/// A violation is raised when its condition was seen in consecutive rounds for as long as its grace, and cleared by the
/// first round that shows that the condition does not hold, or that its subject does not exist any more. A sample that
/// is missing shows neither: time that passes unseen counts towards no grace, and the time between two rounds counts for
/// half a grace at most.
///
/// # What the observer must keep to
/// - Rounds come in order of `at`. One round is about one cluster, and lists *every* node of it: the store counts the
///   admissions of nodes that nobody asked, and they would look like drift.
/// - Samples are taken after the end of the span, the nodes' before the store's. A store that was read first lacks what
///   a node wrote in between.
/// - Every limit is seen in at least one complete round. A limit that was raised and lowered again between two rounds,
///   or lowered less than a window before the first, is unknown to the monitor: what it let pass is reported.
///
/// Memory is bounded by the nodes, keys and limits that the observations list.
#[derive(Debug, Default)]
pub struct Monitor {
    thresholds: Thresholds,
    memory: Memory,
    tracker: Tracker,
}

/// All that a round is judged by.
pub(crate) struct Scene<'a> {
    pub(crate) round: &'a Round<'a>,
    pub(crate) memory: &'a Memory,
    pub(crate) thresholds: &'a Thresholds,
}

/// The part of the time between two rounds that counts towards a patience: at most half of it. A machine that stalls
/// between two rounds stalls nodes and observer alike, and shows nothing about either; an observer that is slow on purpose
/// needs three rounds.
fn seen_of(gap: Duration, patience: Duration) -> Duration {
    gap.min(patience / 2)
}

impl Monitor {
    /// A monitor that has seen nothing yet.
    pub fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, ..Self::default() }
    }

    /// Judges one round and returns what it changed, in the order of [`Invariant::ALL`].
    pub fn observe(&mut self, observation: &Observation) -> Vec<Change> {
        let round = Round::new(observation);
        let lag = self.thresholds.grace(Invariant::CounterDrift);
        self.memory.update(&round, lag, self.thresholds.write_overdue());
        let scene = Scene { round: &round, memory: &self.memory, thresholds: &self.thresholds };
        self.tracker.begin_round();
        let mut changes = self.tracker.forget(|subject| round.knows(subject));
        for &invariant in Invariant::ALL {
            let grace = self.thresholds.grace(invariant).resolve(self.memory.slowest_sync());
            for finding in invariant.judge(&scene) {
                changes.extend(self.tracker.apply(invariant, finding, round.at, grace));
            }
        }
        changes
    }

    /// The violations that have been raised and not cleared, as of the latest round that showed them.
    pub fn active(&self) -> impl Iterator<Item = &Violation> {
        self.tracker.active()
    }
}
