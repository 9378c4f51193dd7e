//! A connection to the store (Redis or Valkey) that is bounded in time and comes back by itself.
//!
//! - **[`StoreUrl`]**: where the store is. Prints without its password, and knows whether it leaves this machine.
//! - **[`Link`]**: one connection, opened when first used. Every use has a deadline; a connection on which one has passed
//!   is given up, and the next use opens another.
//! - **[`StoreVersion`]**: which store answers, and whether it is recent enough.
//! - **[`StoreError`]**: what can go wrong, in words that say what to do.
//!
//! One postponed write blocks everything behind it on its connection. Whoever writes and reads therefore holds two
//! links, and whoever pauses the store a third.
#![doc = include_str!("../README.md")]

mod error;
mod link;
mod url;
mod version;

pub use error::StoreError;
pub use link::Link;
pub use url::StoreUrl;
pub use version::{MIN_VERSION, StoreVersion};
