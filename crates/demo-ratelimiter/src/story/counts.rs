use ratelimiter_api::{Key, Observation};
use ratelimiter_invariants::{KeyReading, RoundReading};

use crate::traffic;

/// The workload's keys in a round, without those that a node or the store did not count.
pub(super) fn of_workload(observation: &Observation) -> impl Iterator<Item = KeyReading> {
    let reading = RoundReading::new(observation);
    traffic::keys()
        .into_iter()
        .filter_map(move |key| complete(&reading, &key))
}

/// One key; nothing when a node or the store did not count it.
pub(super) fn complete(reading: &RoundReading<'_>, key: &Key) -> Option<KeyReading> {
    let counts = reading.key(key);
    counts.filter(|counts| counts.drift().is_some()).cloned()
}
