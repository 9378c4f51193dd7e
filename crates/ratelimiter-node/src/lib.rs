//! One node of a distributed rate limiter: HTTP in front, Redis or Valkey behind.
//!
//! Every admission is a member of a sorted set in the store, or one of the charge of a grant there
//! (`leased`); the modes differ in *when* they write it. Start reading at `limiter`, which
//! decides; [`Node`] is everything around it.
//!
//! | counting | decision | admits at most, in any window | while the store takes no writes |
//! |---|---|---|---|
//! | `atomic` | one script in the store drops the old, counts and adds | `L` | by the failure policy, after the store timeout |
//! | `cached` | own admissions, and the others' as of the last sync | `min(N x L, L + r x T)` | goes on deciding; own admissions wait |
//! | `leased` | spends grants of the store, asks for the next while checks wait or one runs low | `L` | spends its grants, then by the failure policy |
//! | `read-then-write` | reads the count, then adds, in two commands | `L + C` | by the failure policy, after the store timeout |
//!
//! `L` limit, `N` nodes, `r` offered rate, `T` age of the last sync (at most the sync interval plus
//! the store's latency), `C` checks in flight. Under the failure policies a node that cannot reach
//! the store admits everything (`allow`), nothing (`deny`), or as `cached` would (`local`, so at
//! most `N x L`, and while the store comes and goes the checks in flight besides).
//!
//! What a node admitted without the store takes up room at its next check, before the store has
//! heard of it. The store is asked with every check and every flush for an admission that it has
//! confirmed: one that has lost its state (emptied, restarted, evicted) is found out before its
//! count is believed, and told again. Until all nodes have done so, at most `N x L` are admitted.
//!
//! `leased` admits at most `L` whatever happens to messages, nodes and clocks whose rates differ by
//! at most 1 %: the proof is in `ratelimiter-lease`. It holds with `deny`, its own failure policy;
//! with `allow` and `local` it can be broken like any. A node asks for at most its checks of 50 ms
//! and gives back unspent grants after 75 ms; one that dies keeps them from the others for a second
//! and a window. A store that restarts empty grants nothing for as long, to the keys it had: exact,
//! at the price of their availability. One that silently loses its last writes may grant these
//! again before the nodes have recalled them. A limit that is lowered holds for grants given
//! afterwards.
//!
//! What is deliberately absent: no node talks to another, nothing is kept on disk, and no check
//! waits longer than the store timeout.
#![doc = include_str!("../README.md")]

mod admissions;
mod breaker;
mod cli;
mod clock;
mod config;
mod http;
mod latency;
mod limiter;
mod limits_file;
mod metrics;
mod node;
mod roster;
mod shared;
mod sync;

pub use cli::main;
pub use config::{Config, ConfigError};
pub use limits_file::read_limits;
pub use node::{Node, NodeError};
