//! What must hold of a distributed rate limiter, and whether it did.
//!
//! - **[`Monitor`]**: [`Observation`](ratelimiter_api::Observation)s in, [`Violation`]s out, while the cluster runs.
//!   Seven [`Invariant`]s, one file each; [`Thresholds`] says how much is too much and for how long.
//! - **[`check_history`]**: every check one caller made in, a [`Verdict`] out, when the run is over. The contract is "at
//!   most L admissions in any window W", and the verdict says only what the recorded times prove.
//!
//! Pure: no I/O, no clock, no randomness. Time comes with the observations and the operations.
//!
//! Both are built to raise no false alarm: what cannot be told from what was seen is a gap for the monitor and
//! [`Verdict::Unknown`] for the checker, never a violation and never an all-clear. Each invariant's file argues why.
#![doc = include_str!("../README.md")]

mod evidence;
mod history;
mod invariant;
mod monitor;
mod text;
mod thresholds;
mod violation;

pub use evidence::Evidence;
pub use history::{
    Contract, ContractError, ContractKind, Doubt, HistoryChecker, HistoryError, Proof, Report, Settled,
    Tally, Timeline, UnjustifiedDenial, Verdict, Witness, by_key, check_history,
};
pub use invariant::{
    CounterDrift, GhostAllowing, HighLatency, Invariant, NodeDown, OverLimit, Overspent, RedisDisconnected,
    Severity, StoreNotWritable,
};
pub use monitor::Monitor;
pub use thresholds::{DEFAULT_SYNC_INTERVAL, DriftTolerance, Grace, ThresholdError, Thresholds};
pub use violation::{Change, Subject, Violation};
