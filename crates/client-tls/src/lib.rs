//! TLS for clients, and the machines that they may connect to.
//!
//! - **[`Authorities`]**: the authorities that are trusted, and the handshake.
//! - **[`Stream`]**: a connection, encrypted or not.
//! - **[`Reach`]**: this machine, or any; [`is_loopback`] tells them apart.
//! - **[`TlsError`]**: the failures, each with its remedy where one is known.
#![doc = include_str!("../README.md")]

mod error;
mod reach;
mod trust;
#[cfg(feature = "tls")]
mod verifier;

pub use error::TlsError;
pub use reach::{OutOfReach, Reach, is_loopback};
pub use trust::{Authorities, TlsStream, below_tls, has_chosen};

/// A connection, encrypted or not.
pub type Stream<S> = tokio_util::either::Either<S, TlsStream<S>>;
