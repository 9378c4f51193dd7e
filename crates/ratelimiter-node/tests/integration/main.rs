//! The tests that use the crate from outside, in one program: it links once, and tests of all files
//! run beside each other.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

mod absent_store;
mod access;
mod answers;
mod bursts;
mod changed_grants;
mod clock_steps;
mod common;
mod core;
mod deadline;
mod duplicates;
mod exact;
mod failover;
mod foreign_entries;
mod hostile;
mod idempotent;
mod leased;
mod leased_loss;
mod leased_script;
mod limits;
mod links;
mod lost_state;
mod migration;
mod requests;
mod shutdown;
mod store_loss;
mod topologies;
