//! Faults and traffic for distributed rate limiters. Everything here acts, and nothing judges.
//!
//! - **[`RedisPause`]**: the store takes no writes for a while (`CLIENT PAUSE ms WRITE`). The fault
//!   is a value; injecting it returns a [`PauseGuard`], and its lease runs out once the guard is
//!   dropped or its owner is killed.
//! - **[`Failover`]**: a primary ends while its replicas lack its last writes, and one of them
//!   takes its place.
//! - **[`ProxyHold`]**: the same through proxies between nodes and store, for stores that refuse
//!   `CLIENT PAUSE`.
//! - **[`Burst`]**: `limit x multiplier` checks at one instant, round-robin over the nodes;
//!   [`volley`] does it to any [`Target`](ratelimiter_target::Target).
//! - **[`SteadyLoad`]**: a background workload on any target that keeps its pace, also when nodes
//!   are slow; [`PacedChecks`] sends such checks in the foreground, from a list.
//! - **[`setup_rate_limit`]**, **[`setup_rate_limits`]** and **[`reset_counter`]**: a limit,
//!   several at once, and an empty counter, known to every node.
//! - **[`Reach`]**: other machines are refused unless the caller allows them.
//!
//! The size of a fault is a value within its bounds ([`PauseDuration`], [`Multiplier`]).
//! Constructing anything opens no connection.
#![doc = include_str!("../README.md")]

mod bounds;
mod burst;
mod error;
mod failover;
mod files;
mod guard;
mod pace;
mod pause;
mod probe;
mod proxy_hold;
mod record;
mod samples;
mod setup;
mod steady;
mod tally;
mod volley;
mod writes_held;

pub use bounds::{BoundError, Multiplier, PauseDuration};
pub use burst::{Burst, MAX_REQUESTS};
pub use error::ChaosError;
pub use failover::{Failover, FailoverReport, HeldReplicas};
pub use guard::{PauseGuard, PauseReport};
pub use pace::{DueCheck, PacedChecks};
pub use pause::{RedisPause, redis_pause};
pub use probe::{ForeignPause, foreign_pause, writes_pass};
pub use proxy_hold::ProxyHold;
pub use ratelimiter_target::Reach;
pub use record::CheckRecord;
pub use setup::{DEFAULT_WINDOW, reset_counter, setup_rate_limit, setup_rate_limits};
pub use steady::{LatencySummary, SteadyHandle, SteadyLoad, SteadyReport};
pub use tally::CheckTally;
pub use volley::{Release, VolleyReport, volley};
pub use writes_held::LEASE;
