//! One node of a distributed rate limiter: HTTP in front, Redis or Valkey behind.
//!
//! ```text
//!      caller                                operator
//!        | POST /check                         | POST /limit, reset, DELETE; GET lists
//! http   | server, slots   routes   query, access   message
//!        v                                     v
//! limiter::check                         limiter::changes, report
//!        | one `match` over the mode           | first in the store, then here
//!        +-- cached            decides here    v
//!        +-- atomic            asks the store  limits: a counter a key; the newest version holds
//!        +-- leased            spends grants   |
//!        +-- read_then_write   asks twice      |
//!        | (policy, where nothing decides)     |
//!        v                                     v
//! counter: own admissions (admissions), the others' count as of the last sync
//!        ^                                     ^
//! sync --+-- once an interval -----------------+-- roster: heartbeats and peers
//!        v
//! shared: one file a subject (window, refresh, audit, limits, copies, membership, eviction,
//!        |  quarantine), with `breaker` before checks, and `clock` for their dates
//!        v
//!      the store
//! ```
//!
//! - **A check** (`limiter::Limiter::check`) asks its mode. The outcome is a decision, no decision
//!   with the reason (then the failure policy decides), or another counter (then it asks again).
//! - **A sync** (`sync`) flushes unsynced admissions, reads clock, heartbeats, changed limits and
//!   the shared counts of keys in use, and asks for doubted admissions by name.
//! - **A change of a limit** (`limiter::changes`) is made by a script in the store, copied beside
//!   the key's admissions in a store cluster, and then holds here; others read it at their sync.
//! - **A loss of the store's state** shows in a version that went back, another life, a part of the
//! limits or of a ledger that is missing beside the others, or a missing admission. The node gives
//! the store the limits it remembers (`limiter::changes`), doubts what was confirmed
//! (`admissions`), asks for each by name (`shared::audit`), and sends the lost.
//!
//! | word | meaning |
//! |---|---|
//! | epoch | number of a key's counter; a reset begins another |
//! | version | number of a change of limits, of all keys together |
//! | life | random name of the store's state; another one after a loss |
//! | common clock | the store's clock and an offset that takes its steps out |
//! | floor | version before which the store has dropped deletions: older nodes read all limits |
//! | boot | random id of a node's process |
//! | synced, unsynced | confirmed by the store, or not yet |
//! | doubted | confirmed before a loss, and not asked for since |
//! | warm, cold, idle | checked in the last two seconds; longer ago; not within a window |
//! | pass | leave of a circuit to ask the store once |
//! | grant | right to admit so many; its charge counts in the store for a window after its end |
//! | settle | give a grant back with the part that was spent |
//! | recall | give the store the grants that it lost |
//! | stranded | unspent, and not settled yet |
//!
//! # Counting modes
//!
//! `L` is the limit, `N` the nodes, `r` the offered rate, `T` the age of the last sync (at most the
//! sync interval plus the store's latency), `C` the checks in flight.
//!
//! - `atomic`: one script in the store drops the old, counts and adds. Admits at most `L` in any
//!   window; while the store loses counts, at most `L` for each process of a node that lived within
//!   the window.
//! - `cached`: the node counts its own admissions, and the others' as of the last sync. At most
//!   `min(N x L, L + r x T)`. It goes on while the store takes no writes; own admissions wait.
//! - `leased`: the node spends grants of the store, and asks for the next while checks wait or one
//! runs low. At most `L`, whatever the store loses but the last changes before a failover. Without
//! the store it spends its grants.
//! - `read-then-write`: reads the count, then adds, in two commands. At most `L + C`.
//!
//! Every admission is a member of a sorted set in the store, or one of the charge of a grant there;
//! the modes differ in *when* they write it. Where the store does not decide within the store
//! timeout, the failure policy does: a node admits everything (`allow`), nothing (`deny`), or as
//! `cached` would (`local`; at most `N x L`, and while the store comes and goes the checks in
//! flight besides).
//!
//! An admission without the store takes up room at the node's next check, before the store has it.
//! The store is asked with every check and every flush for an admission that it has confirmed: one
//! that has lost its state (emptied, restarted, evicted) is found out before its count is believed,
//! and is given the lost admissions again. A node that has none in the window cannot find that out.
//! But none admits more than `L` by its own record: until all nodes have sent theirs again, at most
//! `L` are admitted for each process that lived within the window, so `N x L` and another `L` for
//! each restart.
//!
//! `leased` admits at most `L` whatever happens to messages, nodes and clocks whose rates differ by
//! at most 1 %: the proof is in `ratelimiter-lease`. It holds with `deny`, its default failure
//! policy, and not with `allow` and `local`. A node asks for at most its checks of 50 ms and gives
//! back unspent grants after 75 ms; one that dies keeps them from the others for a second and a
//! window. A key of which the store loses anything, by a restart, an eviction or a hand, is granted
//! nothing for as long: exact, at the price of its availability. So is every key of a store that
//! comes up empty, since a first start and a loss look alike; `--new-store` tells them apart. One
//! that silently loses its last writes, as in a failover, may grant these again before the nodes
//! have recalled them.
//!
//! A change that makes a `leased` limit stricter, ends its counter or its mode is answered once no
//! grant given before can be spent: usually after 75 ms, and after 1.02 s at the latest. The answer
//! says which in `former_grants`.
//!
//! # Clocks
//!
//! Windows follow the common clock, which advances as the nodes' own clocks do (`clock`). A step of
//! the store's clock shortens and lengthens no window. It costs at most two sync intervals and 250
//! ms in which `atomic` checks follow their failure policy; then the step is in the offset. Three
//! bounds: a step of less than 20 ms and the shortest round trip is taken for drift; a step forward
//! of more than an hour lets the store drop its admissions, which is a loss as above; and a step of
//! less than a second while no node runs is not noticed.
//!
//! # Absent
//!
//! No node talks to another, nothing is kept on disk, and no check waits longer than the store
//! timeout.
#![doc = include_str!("../README.md")]
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod admissions;
mod breaker;
mod cli;
mod clock;
mod config;
mod http;
mod limiter;
mod metrics;
mod node;
mod roster;
mod shared;
mod sync;
#[cfg(test)]
mod tests;

pub use cli::main;
pub use config::{Config, ConfigError, NodeSettings, read_limits};
pub use node::{NodeError, NodeServer};
