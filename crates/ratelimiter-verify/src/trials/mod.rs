//! Tortures a system: plays every fault, and fills the scorecard.

mod command;
mod faults;
mod play;
mod results;
mod stop;

pub(crate) use command::{TortureArgs, torture};
