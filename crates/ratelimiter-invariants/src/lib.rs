//! What must hold of a distributed rate limiter, and whether it did.
//!
//! - **[`Monitor`]**: [`Observation`](ratelimiter_api::Observation)s in, [`Violation`]s out, while the cluster runs.
//!   Seven [`Invariant`]s, one file each; [`Thresholds`] says how much is too much and for how long.
//!
//! Pure: no I/O, no clock, no randomness. Time comes with the observations.
//!
//! It is built to raise no false alarm: what cannot be told from what was seen is a gap, never a violation and never an
//! all-clear. Each invariant's file argues why.

mod evidence;
mod invariant;
mod monitor;
mod text;
mod thresholds;
mod violation;

pub use evidence::Evidence;
pub use invariant::{
    CounterDrift, GhostAllowing, HighLatency, Invariant, NodeDown, OverLimit, RedisDisconnected, Severity,
    StoreNotWritable,
};
pub use monitor::Monitor;
pub use thresholds::{DEFAULT_SYNC_INTERVAL, DriftTolerance, Grace, ThresholdError, Thresholds};
pub use violation::{Change, Subject, Violation};
