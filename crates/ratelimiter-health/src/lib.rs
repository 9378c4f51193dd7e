//! Watches a rate limiter cluster, and judges nothing.
//!
//! - **[`RateLimiterHealthPoller`]**: which nodes are up and whether the store is connected, every
//!   two seconds, for people to see. Implements [`HealthPoller`](demo_core::HealthPoller).
//! - **[`Observer`]**: every node's own count and the shared count read straight from the store,
//!   every 200 ms, for detectors to judge. It only reads, so that it goes on while the store takes
//!   no writes.
//!
//! Constructing either opens no connection. A node or a store that does not answer is part of the
//! observation; nothing here fails because of it.
#![doc = include_str!("../README.md")]

mod observer;
mod poller;
mod store_side;
mod turn;

pub use observer::{OBSERVE_INTERVAL, Observer};
pub use poller::{PollerConfig, RateLimiterHealth, RateLimiterHealthPoller};
