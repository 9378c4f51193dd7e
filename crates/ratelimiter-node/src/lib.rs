//! One node of a distributed rate limiter: HTTP in front, Redis or Valkey behind.
//!
//! Every admission is a member of a sorted set in the store, whatever the counting mode; the modes differ only in *when*
//! they write it. Start reading at [`Limiter`], which decides; [`Node`] is everything around it.
//!
//! | counting | decision | admits at most, in any window | while the store takes no writes |
//! |---|---|---|---|
//! | `atomic` | one script in the store drops the old, counts and adds | `L` | by the failure policy, after the store timeout |
//! | `cached` | own admissions, and the others' as of the last sync | `min(N x L, L + r x T)` | goes on deciding; own admissions wait |
//! | `read-then-write` | reads the count, then adds, in two commands | `L + C` | by the failure policy, after the store timeout |
//!
//! `L` limit, `N` nodes, `r` offered rate, `T` age of the last sync (at most the sync interval plus the store's
//! latency), `C` checks in flight. Under the failure policies a node that cannot reach the store admits everything
//! (`allow`), nothing (`deny`), or as `cached` would (`local`, so at most `N x L`, and while the store comes and goes the
//! checks in flight besides).
//!
//! What a node admitted without the store takes up room at its next check, before the store has heard of it. The store is
//! asked with every check and every flush for an admission that it has confirmed: one that has lost its state (emptied,
//! restarted, evicted) is found out before its count is believed, and told again. Until all nodes have done so, at most
//! `N x L` are admitted.
//!
//! What is deliberately absent: no node talks to another, nothing is kept on disk, and no check waits longer than
//! the store timeout.
#![doc = include_str!("../README.md")]

mod admissions;
mod cli;
mod clock;
mod config;
mod counter;
mod counting;
mod http;
mod latency;
mod limiter;
mod limits;
mod metrics;
mod node;
mod roster;
mod shared;
mod sync;

pub use cli::{ExitCode, main};
pub use clock::StoreClock;
pub use config::{Config, ConfigError};
pub use limiter::{CheckError, Limiter};
pub use node::{Node, NodeError};
