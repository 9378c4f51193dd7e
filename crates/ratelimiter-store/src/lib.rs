//! A connection to the store (Redis or Valkey) that is bounded in time and comes back by itself.
//!
//! - **[`StoreUrl`]**: the store's address: of one store, of a primary behind sentinels, or of a
//!   cluster. Printed without its password; reports whether it is on this machine.
//! - **[`Link`]**: one connection, in a cluster one for each member, opened when first used and
//!   reopened when the store closed it. Every use has a deadline; a connection on which one has
//!   passed is given up, and the next use opens another.
//! - **[`StoreVersion`]**: name and version of the store, and whether it is recent enough.
//! - **[`StoreError`]**: the failures, each with its remedy where one is known.
//!
//! One postponed write blocks everything behind it on its connection. A program that writes and
//! reads therefore holds two links, and one that pauses the store a third.
#![doc = include_str!("../README.md")]

mod cluster;
mod connection;
mod error;
mod failure;
mod link;
mod redirects;
mod sentinel;
mod single;
mod slot;
mod url;
mod version;

pub use connection::StoreHandle;
pub use error::StoreError;
pub use link::{ForKey, Link};
pub use redirects::Redirects;
pub use slot::slot_of;
pub use url::{StoreDialer, StoreKind, StoreUrl};
pub use version::{MIN_VERSION, StoreVersion};
