//! TLS for clients.
//!
//! - **[`Trust`]**: the authorities that are trusted, and the handshake.
//! - **[`Stream`]**: a connection, encrypted or not.
//! - **[`TlsError`]**: the failures, each with its remedy where one is known.
#![doc = include_str!("../README.md")]

mod error;
mod stream;
mod trust;

pub use error::TlsError;
pub use stream::Stream;
pub use trust::Trust;
