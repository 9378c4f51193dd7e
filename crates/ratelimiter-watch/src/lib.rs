//! Watches a rate limiter cluster: samples nodes and store, and judges every round.
//!
//! - **[`Observer`]**: every node's own count and the shared count read straight from the store,
//!   every 200 ms. It only reads, so it works while the store takes no writes.
//! - **[`Detector`]**: joins the observer and the monitor; stops when dropped.
//! - **[`Round`]**: one observation and the changes of violations that it caused, for every
//!   subscriber.
//! - **[`ViolationLog`]**: all violations so far, which [`Detector::wait`] waits on.
//!
//! A node or a store that does not answer is part of the observation, not an error.
//!
//! Deliberately absent: faults, a terminal, any output.
#![doc = include_str!("../README.md")]

mod detector;
mod observer;
mod store_side;
mod turn;
mod violation_log;

pub use detector::{Detector, DetectorClock};
pub use observer::Observer;
pub use violation_log::{LoggedViolation, Round, ViolationLog};
