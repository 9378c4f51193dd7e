//! Control over HTTP, so that tests in any language can set and end faults.
//!
//! The words are those of Toxiproxy's API, version 2: its clients work for all that both can do. A
//! toxic is a rule; the type `resp` takes any rule in its text form.
//!
//! - **[`ProxySet`]**: the proxies of one process, by name, each with its toxics.
//! - **[`ControlServer`]**: the HTTP server in front of it.

mod access;
mod error;
mod managed;
mod routes;
mod server;
mod set;
mod shadow;
mod toxic;
mod wire;

pub use error::ControlError;
pub use managed::ToxicReport;
pub use server::ControlServer;
#[cfg(feature = "program")]
pub(crate) use set::resolve;
pub use set::{ProxySet, ProxyStart};
