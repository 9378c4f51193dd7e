//! The invariants of a distributed rate limiter, and whether they held.
//!
//! - **[`Monitor`]**: [`Observation`](ratelimiter_api::Observation)s in, [`Violation`]s out, while
//!   the cluster runs. Nine [`Invariant`]s, one file each; `thresholds.rs` has how much is too much
//!   and for how long. [`RoundReading`] is the one reading of an observation that invariants,
//!   charts and notes share.
//! - **[`check_history`]**: all checks in, a [`Report`] with its [`Verdict`] out, when the run is
//!   over. A [`Promise`] is a list of limits, such as "at most L admissions in any window W", and
//!   the verdict follows from the recorded times alone.
//!
//! Pure: no I/O, no clock, no randomness. Time comes with the observations and the operations.
//!
//! Both are built to raise no false alarm: a doubt is a gap for the monitor and
//! [`Verdict::Unknown`] for the checker, never a violation and never an all-clear. Each invariant's
//! file argues why.
#![doc = include_str!("../README.md")]

mod history;
mod invariant;
mod judgement;
mod key_reading;
mod monitor;
mod monitor_memory;
mod numbers;
mod round_builder;
mod round_reading;
mod subject;
mod text;
mod thresholds;
mod tracker;
mod violation;

#[cfg(test)]
mod tests;

pub use history::{
    Charging, Contract, ContractChange, ContractError, ContractKind, ContractTime, Doubt, History,
    HistoryChecker, HistoryError, LimitRoom, LimitUse, LongWaits, OutcomeCounts, Promise, Proof,
    Report, Timeline, UnjustifiedDenial, UseOverTime, Verdict, VerdictBasis, Witness, by_key,
    check_history,
};
pub use invariant::{
    CounterDrift, GhostAllowing, HighLatency, Invariant, InvariantSeverity, NodeDown, OverLimit,
    Overspent, RedisDisconnected, StoreForgot, StoreNotWritable,
};
pub use key_reading::KeyReading;
pub use monitor::Monitor;
pub use numbers::ViolationNumbers;
pub use round_builder::RoundBuilder;
pub use round_reading::RoundReading;
pub use subject::Subject;
pub use thresholds::DEFAULT_SYNC_INTERVAL;
pub use violation::{Violation, ViolationChange};
