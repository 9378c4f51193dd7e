//! The parts that command lines share.
//!
//! A program is one call of [`run`], with [`ExitSignals`] as an arm of its loop: every error is one
//! line, and every end has its [`Exit`] code. Secrets are [`Hidden`] arguments. All output goes
//! through [`print()`], [`remark`], [`LogLines`] and [`ResultFile`], which escape the control
//! characters of text from outside.
#![doc = include_str!("../README.md")]
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod exit;
mod hidden;
mod open_files;
mod output;
mod result_file;
mod signals;
mod usage;

pub use exit::{Exit, exit_help, exits_with};
pub use hidden::Hidden;
pub use open_files::raise_open_files;
pub use output::{LogLines, print, remark};
pub use result_file::{ResultDirectory, ResultFile, append};
pub use signals::ExitSignals;
pub use usage::{WrongUsage, did_you_mean, run};
