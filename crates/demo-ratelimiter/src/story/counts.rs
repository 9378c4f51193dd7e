use ratelimiter_api::{Key, Observation};

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
    pub(super) fn of(key: &Key, observation: &Observation) -> Option<Self> {
        let shared = observation.store.as_ref()?.keys.get(key)?.shared;
        let admitted = observation
            .nodes
            .iter()
            .map(|n| Some(n.sample.as_ref()?.keys.get(key)?.admissions))
            .sum::<Option<_>>()?;
        Some(Self { key: key.clone(), admitted, shared })
    }

    /// The counts of the workload's keys that are known in this round.
    pub(super) fn of_workload(observation: &Observation) -> impl Iterator<Item = Self> {
        traffic::keys().into_iter().filter_map(|key| Self::of(&key, observation))
    }

    /// Difference of the counts, in admissions.
    pub(super) fn drift(&self) -> u64 {
        self.admitted.abs_diff(self.shared)
    }
}
