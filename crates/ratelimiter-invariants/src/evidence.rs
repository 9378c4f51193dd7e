use std::fmt;

use serde::Serialize;

use crate::{
    CounterDrift, GhostAllowing, HighLatency, NodeDown, OverLimit, Overspent, RedisDisconnected,
    StoreForgot, StoreNotWritable,
};

/// The numbers that broke an invariant, as one round measured them. `Display` is one line that
/// holds them all.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// Of [`Invariant::NodeDown`](crate::Invariant::NodeDown).
    NodeDown(NodeDown),
    /// Of [`Invariant::RedisDisconnected`](crate::Invariant::RedisDisconnected).
    RedisDisconnected(RedisDisconnected),
    /// Of [`Invariant::StoreNotWritable`](crate::Invariant::StoreNotWritable).
    StoreNotWritable(StoreNotWritable),
    /// Of [`Invariant::StoreForgot`](crate::Invariant::StoreForgot).
    StoreForgot(StoreForgot),
    /// Of [`Invariant::HighLatency`](crate::Invariant::HighLatency).
    HighLatency(HighLatency),
    /// Of [`Invariant::CounterDrift`](crate::Invariant::CounterDrift).
    CounterDrift(CounterDrift),
    /// Of [`Invariant::OverLimit`](crate::Invariant::OverLimit).
    OverLimit(OverLimit),
    /// Of [`Invariant::GhostAllowing`](crate::Invariant::GhostAllowing).
    GhostAllowing(GhostAllowing),
    /// Of [`Invariant::Overspent`](crate::Invariant::Overspent).
    Overspent(Overspent),
}

impl Evidence {
    /// How far from holding, to find the worst round: a count or microseconds, comparable within
    /// one invariant.
    pub(crate) fn extent(&self) -> u64 {
        let micros = |d: std::time::Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        match self {
            Self::NodeDown(_) | Self::RedisDisconnected(_) => 0,
            Self::StoreNotWritable(e) => micros(e.age),
            Self::StoreForgot(e) => e.lost,
            Self::HighLatency(e) => micros(e.check_p99),
            Self::CounterDrift(e) => e.drift.unsigned_abs(),
            Self::OverLimit(e) => e.excess(),
            Self::GhostAllowing(e) => e.excess(),
            Self::Overspent(e) => e.excess(),
        }
    }

    /// Whether `next` shows the same condition going on. A counter that was reset, or a drift that
    /// turned round, is another one, with a grace of its own.
    pub(crate) fn continues_as(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::CounterDrift(a), Self::CounterDrift(b)) => {
                a.epoch == b.epoch && a.drift.signum() == b.drift.signum()
            }
            (Self::OverLimit(a), Self::OverLimit(b)) => a.epoch == b.epoch,
            (Self::GhostAllowing(a), Self::GhostAllowing(b)) => a.epoch == b.epoch,
            (Self::StoreForgot(a), Self::StoreForgot(b)) => a.epoch == b.epoch,
            (Self::Overspent(a), Self::Overspent(b)) => a.epoch == b.epoch,
            _ => true,
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeDown(e) => e.fmt(f),
            Self::RedisDisconnected(e) => e.fmt(f),
            Self::StoreNotWritable(e) => e.fmt(f),
            Self::StoreForgot(e) => e.fmt(f),
            Self::HighLatency(e) => e.fmt(f),
            Self::CounterDrift(e) => e.fmt(f),
            Self::OverLimit(e) => e.fmt(f),
            Self::GhostAllowing(e) => e.fmt(f),
            Self::Overspent(e) => e.fmt(f),
        }
    }
}
