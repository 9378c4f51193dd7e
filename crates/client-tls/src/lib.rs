//! TLS for clients, and the machines that they may connect to.
//!
//! - **[`Trust`]**: the authorities that are trusted, and the handshake.
//! - **[`Stream`]**: a connection, encrypted or not.
//! - **[`Reach`]**: this machine, or any; [`is_loopback`] tells them apart.
//! - **[`TlsError`]**: the failures, each with its remedy where one is known.
#![doc = include_str!("../README.md")]

mod error;
mod reach;
mod stream;
mod trust;

pub use error::TlsError;
pub use reach::{OutOfReach, Reach, is_loopback};
pub use stream::Stream;
pub use trust::Trust;
