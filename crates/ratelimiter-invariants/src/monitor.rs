use ratelimiter_api::{Key, Observation};

use crate::invariant::judge;
use crate::judgement::RoundContext;
use crate::monitor_memory::MonitorMemory;
use crate::tracker::ViolationTracker;
use crate::{Invariant, RoundReading, Violation, ViolationChange};

/// Observations in, violations out.
///
/// A violation is raised when its condition was seen in consecutive rounds for as long as its
/// grace, and cleared by the first round that shows that the condition does not hold, or that its
/// subject does not exist any more. A sample that is missing shows neither: time that passes unseen
/// counts towards no grace, and the time between two rounds counts for half a grace at most.
///
/// # Duties of the observer
/// - Rounds come in order of `at`. One round is about one cluster, and lists *every* node of it:
///   the store counts the admissions of nodes that were not asked, and they would look like drift.
/// - Samples are taken after the end of the span, the nodes' before the store's. A store that was
///   read first lacks what a node wrote in between.
/// - A key that is left out of a round whose store answered is taken for one that was deleted:
///   [`suspects`](Self::suspects) are to be in every round.
/// - Every limit is seen in at least one complete round. A limit that was raised and lowered again
///   between two rounds, or lowered less than a window before the first, is unknown to the monitor,
///   and its admissions are reported.
///
/// Memory is bounded by the nodes, keys and limits that the observations list.
#[derive(Debug, Default)]
pub struct Monitor {
    memory: MonitorMemory,
    tracker: ViolationTracker,
}

impl Monitor {
    /// Judges one round and returns its changes, in the order of [`Invariant::ALL`].
    pub fn observe(&mut self, observation: &Observation) -> Vec<ViolationChange> {
        let round = RoundReading::new(observation);
        self.memory.update(&round);
        let context = RoundContext {
            round: &round,
            memory: &self.memory,
        };
        self.tracker.begin_round();
        let mut changes = self.tracker.forget(|subject| round.lists(subject));
        for invariant in Invariant::ALL {
            let grace = invariant.grace(self.memory.slowest_sync());
            for judgement in judge(invariant, &context) {
                changes.extend(
                    self.tracker
                        .apply(invariant, judgement, observation.at, grace),
                );
            }
        }
        changes
    }

    /// The violations that have been raised and not cleared, as of the latest round that showed
    /// them.
    pub fn active(&self) -> impl Iterator<Item = &Violation> {
        self.tracker.active()
    }

    /// The keys whose condition the latest round showed or did not refute: those with a violation
    /// first, then those within their grace. An observer that looks at keys by turns has to look at
    /// these in every round.
    pub fn suspects(&self) -> impl Iterator<Item = &Key> {
        self.tracker.suspects()
    }
}
