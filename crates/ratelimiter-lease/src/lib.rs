//! Leased counting: a store grants nodes the right to admit, and nodes spend it without asking
//! again.
//!
//! At most `L` admissions fall in any sliding window `W`, under any delay, loss, repetition and
//! reordering of messages, death and restart of nodes, and any difference between clocks whose
//! *rates* differ by at most `rho`. [`GrantLedger`] is the store's side, [`GrantHolder`] a node's.
//! Neither has a clock, a task or a socket: times are arguments.
//!
//! ```
//! use std::time::Duration;
//! use ratelimiter_lease::{
//!     GrantAnswer, GrantHolder, GrantLedger, LedgerRequest, LeaseTerms, NodeTime, SpendResult,
//!     StoreTime, WaitingChecks,
//! };
//!
//! let terms = LeaseTerms::new(10, Duration::from_secs(60), Duration::from_secs(1), 10)?;
//! let mut ledger = GrantLedger::new(Duration::ZERO);
//! let mut node = GrantHolder::new(terms);
//!
//! // Three checks wait: one message asks for all of them.
//! let ask = node.ask(NodeTime::from_micros(0), 1, Some(WaitingChecks::alike(1, 3)));
//! let now = ledger.advance(StoreTime::from_micros(7_000_000), &terms);
//! let request = LedgerRequest {
//!     id: ask.number,
//!     waiting: ask.waiting,
//!     ahead: ask.ahead,
//!     nodes: 3,
//!     outside: 0,
//! };
//! let answer = ledger.grant(now, &terms, request);
//! assert!(matches!(answer, GrantAnswer::Granted { charge: 3, room: 7, .. }));
//!
//! node.answered(NodeTime::from_micros(400), 1, answer);
//! for _ in 0..3 {
//!     assert!(matches!(node.spend(NodeTime::from_micros(500), 1), SpendResult::Admitted { .. }));
//! }
//! assert_eq!(node.spend(NodeTime::from_micros(500), 1), SpendResult::Ask);
//! # Ok::<(), ratelimiter_lease::LeaseTermsError>(())
//! ```
//!
//! # Protocol
//!
//! With a lease `D`, and in the store a set of grants, each with a charge and an end:
//!
//! 1. **Grant.** The store drops the grants with `end <= now - W`. If the charges and the new one
//!    sum to at most `L`, it notes the new one with `end = now + D`. A name that is there already
//!    gets its stored answer.
//! 2. **Spend.** The node counts its admissions against the grant until its own clock has advanced
//!    by `D (1 - rho)` since it *sent* the request. The store's clock cannot have reached the
//!    grant's end by then.
//! 3. **Settle.** The node reports the part that it spent, and that it spends no more. The store
//!    shrinks the charge to it, and the end to the store's now. Neither ever grows.
//!
//! # Proof
//!
//! Every admission lies in the interval `[given, end]` of its grant (2). Take any window
//! `(s - W, s]` and, of the grants whose interval touches it, the one given last, G, at `g* <= s`.
//! Any other was given at `g <= g*` and has a final end `> s - W >= g* - W`. Ends only shrink (3),
//! so it was not dropped at `g*`, and its charge then was at least all that it ever admits. When G
//! was given, these charges summed to at most `L` (1). So do the admissions in the window.
//!
//! The model in `src/model` checks the same statement on this very code, over every order of events
//! within its bounds.
//!
//! # Costs
//!
//! - A node dies: its unspent charge is missing until `D + W` after its last grant.
//! - A false denial needs unspent charge of other nodes: at most `(N - 1) c`, and none once they
//!   have settled.
//! - The store stops: nodes admit what they hold, at most `c` each, and then nothing.
//! - The store loses the ledger, or a part of it: it grants nothing until lease and window are over
//!   ([`GrantLedger::after_loss`]).
//! - The store loses its last changes alone, as in a failover: nodes recall their grants. Before
//!   all have done so, forgotten charge may be granted again.
//!
//! The charge `c` is the cost of the checks that wait, plus those expected in the next 50 ms, up to
//! an equal share of half of the room that is left. Near the limit it is the cost of whole checks
//! that wait, so that nothing of it stays unspent: limits below 8 `N` deny nothing without cause,
//! whatever the checks cost, unless a node dies or a check is given up.
//!
//! The idea is old: O'Neil, *The escrow transactional method* (1986); Barbará and Garcia-Molina,
//! *The demarcation protocol* (1994); Gray and Cheriton, *Leases* (1989); Balegas et al., *Bounded
//! counters* (2015).

mod demand;
mod holder;
mod ledger;
#[cfg(test)]
mod model;
mod terms;
mod time;

pub use holder::{GrantHolder, GrantRecall, HolderMessage, SpendResult};
pub use ledger::{Grant, GrantAnswer, GrantLedger, LedgerRequest, RECHECK, WaitingChecks};
pub use terms::{LeaseTerms, LeaseTermsError};
pub use time::{NodeTime, StoreTime};
