use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::{
    CounterDrift, GhostAllowing, HighLatency, NodeDown, OverLimit, Overspent, RedisDisconnected,
    StoreForgot, StoreNotWritable,
};

/// The numbers that broke an invariant, as one round measured them. `Display` is one line that
/// holds them all.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant has the numbers of its invariant")]
pub enum ViolationNumbers {
    NodeDown(NodeDown),
    RedisDisconnected(RedisDisconnected),
    StoreNotWritable(StoreNotWritable),
    StoreForgot(StoreForgot),
    HighLatency(HighLatency),
    CounterDrift(CounterDrift),
    OverLimit(OverLimit),
    GhostAllowing(GhostAllowing),
    Overspent(Overspent),
}

/// The numbers of one invariant.
pub(crate) trait Numbers: fmt::Display {
    /// How far from holding, to find the worst round: a count or microseconds, comparable within
    /// one invariant.
    fn extent(&self) -> u64;

    /// The counter's epoch and the direction of the difference. A counter that was reset, or a
    /// drift that turned round, is another condition, with a grace of its own.
    fn condition(&self) -> Option<(u64, i64)> {
        None
    }
}

impl ViolationNumbers {
    fn of_invariant(&self) -> &dyn Numbers {
        match self {
            Self::NodeDown(numbers) => numbers,
            Self::RedisDisconnected(numbers) => numbers,
            Self::StoreNotWritable(numbers) => numbers,
            Self::StoreForgot(numbers) => numbers,
            Self::HighLatency(numbers) => numbers,
            Self::CounterDrift(numbers) => numbers,
            Self::OverLimit(numbers) => numbers,
            Self::GhostAllowing(numbers) => numbers,
            Self::Overspent(numbers) => numbers,
        }
    }

    pub(crate) fn extent(&self) -> u64 {
        self.of_invariant().extent()
    }

    /// Whether `next` shows the same condition going on.
    pub(crate) fn continues_as(&self, next: &Self) -> bool {
        self.of_invariant().condition() == next.of_invariant().condition()
    }
}

impl fmt::Display for ViolationNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of_invariant().fmt(f)
    }
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
