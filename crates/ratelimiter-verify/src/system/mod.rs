//! A system: a limiter with the processes and the store behind it, described by one file.
//!
//! ```text
//!   limiter.toml --> SystemSource --> RunningSystem: store, proxies, nodes
//!                                       target, for checks; controls and rules, for faults
//! ```

mod command;
mod file;
mod nodes;
mod running;
mod shell;
mod store;

pub(crate) use command::{InitArgs, RunArgs, init, run};
pub(crate) use file::SystemSource;
pub(crate) use nodes::{NodeAct, SystemTarget};
pub(crate) use running::RunningSystem;
pub(crate) use store::SystemStore;
