//! The proxy in front of a real store: its faults, the clients that pass through it, and its
//! program.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

mod clients;
mod dialogues;
mod faults;
mod places;
mod program;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/store.rs"]
mod store;
mod support;
