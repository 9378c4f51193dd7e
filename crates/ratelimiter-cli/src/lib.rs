//! The parts that the project's command lines share.
//!
//! A program calls [`parse`], runs with [`Signals`] as an arm of its loop, and returns [`end`]:
//! every error is one line, and every end has its [`Exit`] code.
#![doc = include_str!("../README.md")]

mod exit;
mod faults;
mod signals;
mod store;
mod usage;

pub use exit::{Exit, help_of};
pub use faults::{BurstSize, REQUEST, Reach};
pub use signals::Signals;
pub use store::{StoreCa, StoreText};
pub use usage::{Usage, end, parse};
