//! Observes a rate limiter cluster and judges every round.
//!
//! - **[`Detector`]**: joins the observer and the monitor; stops when dropped.
//! - **[`Round`]**: one observation and the changes of violations that it caused, for every
//!   subscriber.
//! - **[`Log`]**: all violations so far, which [`Detector::wait`] waits on.
//!
//! Deliberately absent: faults, a terminal, any output.
#![doc = include_str!("../README.md")]

mod detector;
mod log;

pub use detector::{Clock, Detector};
pub use log::{Found, Log, Round};
