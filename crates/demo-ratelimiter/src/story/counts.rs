use ratelimiter_api::{Key, Observation};
use ratelimiter_invariants::Reading;

use crate::traffic;

/// The two counts of one key in one round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) key: Key,
    /// Admissions in the window, by the nodes' records.
    pub(super) admitted: u64,
    /// Admissions in the window, by the store.
    pub(super) shared: u64,
}

impl Counts {
    /// The counts of a key; `None` when a node or the store did not answer.
    pub(super) fn of(key: &Key, reading: &Reading<'_>) -> Option<Self> {
        let counts = reading
            .key(key)
            .filter(|counts| counts.missing().is_empty())?;
        Some(Self {
            key: key.clone(),
            admitted: counts.admitted(),
            shared: counts.shared()?,
        })
    }

    /// The counts of the workload's keys that are known in this round.
    pub(super) fn of_workload(observation: &Observation) -> impl Iterator<Item = Self> {
        let reading = Reading::new(observation);
        traffic::keys()
            .into_iter()
            .filter_map(move |key| Self::of(&key, &reading))
    }

    /// Difference of the counts, in admissions.
    pub(super) fn drift(&self) -> u64 {
        self.admitted.abs_diff(self.shared)
    }
}
