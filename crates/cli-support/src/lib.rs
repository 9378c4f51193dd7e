//! The parts that command lines share.
//!
//! A program is one call of [`run`], with [`ExitSignals`] as an arm of its loop: every error is one
//! line, and every end has its [`Exit`] code. Secrets are [`Hidden`] arguments.
#![doc = include_str!("../README.md")]

mod exit;
mod hidden;
mod signals;
mod usage;

pub use exit::{Exit, exit_help, exits_with};
pub use hidden::Hidden;
pub use signals::ExitSignals;
pub use usage::{WrongUsage, run};
