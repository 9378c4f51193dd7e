//! How much is too much, and for how long.

use std::time::Duration;

use crate::Invariant;

/// The sync interval assumed before any node has reported its own.
pub const DEFAULT_SYNC_INTERVAL: Duration = Duration::from_millis(200);

/// The largest 99th percentile of a node's checks.
pub(crate) const MAX_CHECK_P99: Duration = Duration::from_millis(100);

/// The largest tolerated difference between node counts and shared count, in admissions: 2, or
/// 10 % of the limit where that is more.
pub(crate) fn drift_tolerance(limit: u32) -> u64 {
    (u64::from(limit) / 10).max(2)
}

/// The time that a node with this sync interval may go without a confirmed write.
pub(crate) fn write_patience(sync_interval: Duration) -> Duration {
    sync_interval.saturating_mul(3)
}

impl Invariant {
    /// The time for which the condition must be seen before it is a violation, given the sync
    /// interval of the slowest node.
    pub fn grace(self, sync_interval: Duration) -> Duration {
        match self {
            Self::CounterDrift => sync_interval.saturating_mul(3),
            Self::HighLatency => Duration::from_secs(5),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerance_is_two_or_a_tenth() {
        assert_eq!([10, 29, 30, 100].map(drift_tolerance), [2, 2, 3, 10]);
    }
}
