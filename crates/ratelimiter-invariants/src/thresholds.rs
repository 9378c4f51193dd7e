use std::time::Duration;

use serde::Serialize;

use crate::Invariant;
use crate::text::{Human, millis};

/// The sync interval assumed before any node has reported its own.
pub const DEFAULT_SYNC_INTERVAL: Duration = Duration::from_millis(200);

const MAX_GRACE: Duration = Duration::from_secs(60 * 60);
const MAX_INTERVALS: u32 = 1_000;

/// How long a condition must be seen before it is a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grace {
    /// A fixed duration.
    #[serde(rename = "time_ms", serialize_with = "millis")]
    Time(Duration),
    /// A number of sync intervals of the slowest node.
    SyncIntervals(u32),
}

impl Grace {
    /// The condition is a violation as soon as it is seen.
    pub const NONE: Self = Self::Time(Duration::ZERO);

    pub(crate) fn resolve(self, sync_interval: Duration) -> Duration {
        match self {
            Self::Time(time) => time,
            Self::SyncIntervals(intervals) => sync_interval.saturating_mul(intervals),
        }
    }
}

/// How far node counts and shared count may be apart: the larger of a number and a share of the
/// limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DriftTolerance {
    admissions: u64,
    percent: u32,
}

impl DriftTolerance {
    /// So many admissions, or so many hundredths of the limit where that is more.
    ///
    /// # Errors
    /// When `percent` is above 100.
    pub fn new(admissions: u64, percent: u32) -> Result<Self, ThresholdError> {
        if percent > 100 {
            return Err(ThresholdError::Percent(percent));
        }
        Ok(Self {
            admissions,
            percent,
        })
    }

    /// The tolerance for a limit, in admissions: a drift above it is too much.
    pub fn of(self, limit: u32) -> u64 {
        self.admissions
            .max(u64::from(limit) * u64::from(self.percent) / 100)
    }
}

/// How much is too much, and for how long, for each invariant. The default is the documented one.
///
/// ```
/// use std::time::Duration;
/// use ratelimiter_invariants::{Grace, Invariant, Thresholds};
///
/// let thresholds = Thresholds::default()
///     .with_latency(Duration::from_millis(20))?
///     .with_grace(Invariant::HighLatency, Grace::Time(Duration::from_secs(1)))?;
/// assert_eq!(thresholds.grace(Invariant::CounterDrift), Grace::SyncIntervals(3));
/// # Ok::<(), ratelimiter_invariants::ThresholdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    drift: DriftTolerance,
    latency: Duration,
    write_overdue: u32,
    graces: [Grace; Invariant::ALL.len()],
}

/// Why a threshold cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// More than the whole limit.
    #[error("drift tolerance is {0} percent of the limit: it must be at most 100")]
    Percent(u32),
    /// Every check would be too slow.
    #[error("latency threshold is zero: it must be positive")]
    Latency,
    /// No write could ever be in time, or none ever late.
    #[error(
        "writes are overdue after {0} sync intervals: it must be between 1 and {MAX_INTERVALS}"
    )]
    WriteOverdue(u32),
    /// Nothing would ever be reported.
    #[error("grace of {invariant} is {}: it must be at most {}", Human(*.grace), Human(MAX_GRACE))]
    Time {
        /// The invariant.
        invariant: Invariant,
        /// The grace that was given.
        grace: Duration,
    },
    /// Nothing would ever be reported.
    #[error(
        "grace of {invariant} is {intervals} sync intervals: it must be at most {MAX_INTERVALS}"
    )]
    Intervals {
        /// The invariant.
        invariant: Invariant,
        /// The number that was given.
        intervals: u32,
    },
    /// Every admission would be drift until it is synced.
    #[error("grace of counter_drift is zero: an admission needs time to reach the store")]
    NoDriftGrace,
}

impl Default for Thresholds {
    fn default() -> Self {
        let mut graces = [Grace::NONE; Invariant::ALL.len()];
        graces[Invariant::HighLatency as usize] = Grace::Time(Duration::from_secs(5));
        graces[Invariant::CounterDrift as usize] = Grace::SyncIntervals(3);
        Self {
            drift: DriftTolerance {
                admissions: 2,
                percent: 10,
            },
            latency: Duration::from_millis(100),
            write_overdue: 3,
            graces,
        }
    }
}

impl Thresholds {
    /// Replaces how far node counts and shared count may be apart: by default 2 admissions or 10 %
    /// of the limit.
    pub fn with_drift_tolerance(mut self, tolerance: DriftTolerance) -> Self {
        self.drift = tolerance;
        self
    }

    /// Replaces the 99th percentile above which checks are slow: by default 100 ms.
    ///
    /// # Errors
    /// When it is zero.
    pub fn with_latency(mut self, p99: Duration) -> Result<Self, ThresholdError> {
        if p99.is_zero() {
            return Err(ThresholdError::Latency);
        }
        self.latency = p99;
        Ok(self)
    }

    /// Replaces after how many of a node's sync intervals its writes are overdue: by default 3.
    ///
    /// # Errors
    /// When it is zero or above 1000.
    pub fn with_write_overdue(mut self, intervals: u32) -> Result<Self, ThresholdError> {
        if !(1..=MAX_INTERVALS).contains(&intervals) {
            return Err(ThresholdError::WriteOverdue(intervals));
        }
        self.write_overdue = intervals;
        Ok(self)
    }

    /// Replaces how long one invariant's condition must be seen: by default 3 sync intervals for
    /// counter drift, 5 s for high latency and no time for the others.
    ///
    /// # Errors
    /// When it is above an hour or 1000 sync intervals, or zero for [`Invariant::CounterDrift`].
    pub fn with_grace(
        mut self,
        invariant: Invariant,
        grace: Grace,
    ) -> Result<Self, ThresholdError> {
        match grace {
            Grace::Time(grace) if grace > MAX_GRACE => {
                Err(ThresholdError::Time { invariant, grace })
            }
            Grace::SyncIntervals(intervals) if intervals > MAX_INTERVALS => {
                Err(ThresholdError::Intervals {
                    invariant,
                    intervals,
                })
            }
            Grace::Time(Duration::ZERO) | Grace::SyncIntervals(0)
                if invariant == Invariant::CounterDrift =>
            {
                Err(ThresholdError::NoDriftGrace)
            }
            grace => {
                self.graces[invariant as usize] = grace;
                Ok(self)
            }
        }
    }

    /// How far node counts and shared count may be apart.
    pub fn drift_tolerance(&self) -> DriftTolerance {
        self.drift
    }

    /// The 99th percentile above which checks are slow.
    pub fn latency(&self) -> Duration {
        self.latency
    }

    /// After how many of a node's sync intervals its writes are overdue.
    pub fn write_overdue(&self) -> u32 {
        self.write_overdue
    }

    /// How long a node with this sync interval may go without a confirmed write.
    pub fn write_patience(&self, sync_interval: Duration) -> Duration {
        sync_interval.saturating_mul(self.write_overdue)
    }

    /// How long an invariant's condition must be seen.
    pub fn grace(&self, invariant: Invariant) -> Grace {
        self.graces[invariant as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let thresholds = Thresholds::default();
        assert_eq!(thresholds.drift_tolerance().of(10), 2);
        assert_eq!(thresholds.drift_tolerance().of(29), 2);
        assert_eq!(thresholds.drift_tolerance().of(100), 10);
        assert_eq!(thresholds.latency(), Duration::from_millis(100));
        assert_eq!(thresholds.write_overdue(), 3);
        for &invariant in Invariant::ALL {
            let expected = match invariant {
                Invariant::CounterDrift => Grace::SyncIntervals(3),
                Invariant::HighLatency => Grace::Time(Duration::from_secs(5)),
                _ => Grace::NONE,
            };
            assert_eq!(thresholds.grace(invariant), expected, "{invariant}");
        }
    }

    #[test]
    fn invalid_thresholds_are_refused_by_name() {
        let refused = |result: Result<Thresholds, ThresholdError>| result.unwrap_err().to_string();
        let ours = Thresholds::default;
        assert_eq!(
            refused(ours().with_latency(Duration::ZERO)),
            "latency threshold is zero: it must be positive"
        );
        assert_eq!(
            refused(ours().with_write_overdue(0)),
            "writes are overdue after 0 sync intervals: it must be between 1 and 1000"
        );
        assert_eq!(
            refused(
                ours().with_grace(Invariant::NodeDown, Grace::Time(Duration::from_secs(7_200)))
            ),
            "grace of node_down is 7200 s: it must be at most 3600 s"
        );
        assert_eq!(
            refused(ours().with_grace(Invariant::OverLimit, Grace::SyncIntervals(1_001))),
            "grace of over_limit is 1001 sync intervals: it must be at most 1000"
        );
        for none in [Grace::NONE, Grace::SyncIntervals(0)] {
            assert_eq!(
                refused(ours().with_grace(Invariant::CounterDrift, none)),
                "grace of counter_drift is zero: an admission needs time to reach the store"
            );
        }
        assert_eq!(
            DriftTolerance::new(0, 101).unwrap_err().to_string(),
            "drift tolerance is 101 percent of the limit: it must be at most 100"
        );
    }
}
