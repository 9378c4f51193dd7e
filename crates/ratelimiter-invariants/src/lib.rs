//! The invariants of a distributed rate limiter, and whether they held.
//!
//! - **[`Monitor`]**: [`Observation`](ratelimiter_api::Observation)s in, [`Violation`]s out, while
//!   the cluster runs. Nine [`Invariant`]s, one file each; [`Thresholds`] has how much is too much
//!   and for how long. [`Reading`] is the one reading of an observation that invariants, charts and
//!   notes share.
//! - **[`check_history`]**: all checks of one key in, a [`Verdict`] out, when the run is over. The
//!   contract is "at most L admissions in any window W", and the verdict follows from the recorded
//!   times alone.
//!
//! Pure: no I/O, no clock, no randomness. Time comes with the observations and the operations.
//!
//! Both are built to raise no false alarm: a doubt is a gap for the monitor and
//! [`Verdict::Unknown`] for the checker, never a violation and never an all-clear. Each invariant's
//! file argues why.
#![doc = include_str!("../README.md")]

mod basis;
mod evidence;
mod history;
mod invariant;
mod memory;
mod monitor;
mod reading;
mod round_builder;
mod subject;
mod text;
mod thresholds;
mod tracker;
mod violation;

#[cfg(test)]
mod trial;

pub use evidence::Evidence;
pub use history::{
    Contract, ContractError, ContractKind, Doubt, History, HistoryChecker, HistoryError, Proof,
    Report, Settled, Tally, Timeline, UnjustifiedDenial, Verdict, Witness, by_key, check_history,
};
pub use invariant::{
    CounterDrift, GhostAllowing, HighLatency, Invariant, NodeDown, OverLimit, Overspent,
    RedisDisconnected, Severity, StoreForgot, StoreNotWritable,
};
pub use monitor::Monitor;
pub use reading::{KeyReading, NodeCount, Reading};
pub use round_builder::RoundBuilder;
pub use subject::Subject;
pub use thresholds::{DEFAULT_SYNC_INTERVAL, DriftTolerance, Grace, ThresholdError, Thresholds};
pub use violation::{Change, Violation};
