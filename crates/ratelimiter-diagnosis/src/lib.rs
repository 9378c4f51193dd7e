//! A rate limiter cluster as evidence: what its parts are and do, what depends on what, what was
//! measured of each, and what can be done. A diagnosis that knows nothing of rate limiting works
//! from this alone.
//!
//! - **[`Recorder`]**: keeps the last minutes of observations as signals.
//! - **[`Moment`]**: which stretch of them an incident is about.
//!
//! The description is that of a newcomer's manual. It names no fault, and what was injected is
//! never part of it.
#![doc = include_str!("../README.md")]

mod actions;
mod quantity;
mod recorder;
mod topology;
mod violations;

pub use recorder::{Client, Moment, Recorder};
pub use topology::{CLIENTS, STORE, key_entity};
