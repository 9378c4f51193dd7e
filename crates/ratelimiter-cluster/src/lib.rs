//! A local rate limiter cluster, one store and N nodes, for the demo, for tests and for benchmarks.
//!
//! Everything listens on free loopback ports, everything is started here, and nothing is left
//! behind: not when the cluster is dropped, not on an error, and not when its owner is killed. A
//! store that was not started here is never talked to.
//!
//! - **[`ClusterPlan`]**: the parts of a cluster, and its start.
//! - **[`LocalCluster`]**: the running cluster; breaks parts of it and shuts it down.
//! - **[`Proxies`]**: fault proxies between nodes and store, whose rules break a link command by
//!   command.
//! - **[`ProgramSite`]**: programs of the user's own, which end with this process likewise.
//! - **[`StoreBinary`]**: finds `valkey-server` or `redis-server`, or fetches one.
//! - **[`node_binary`]**: finds the node's executable, or builds it where cargo runs the tests.
#![doc = include_str!("../README.md")]

mod bounded_command;
mod certificate;
mod cluster;
mod error;
mod guardian;
mod links;
mod node_binary;
mod owner_pipe;
mod plan;
mod ports;
mod process;
mod program;
mod secret;
mod store_binary;
mod stores;
mod topology;
mod wheel;

pub use certificate::make_certificate;
pub use cluster::LocalCluster;
pub use error::ClusterError;
pub use links::Proxies;
pub use node_binary::node_binary;
pub use plan::ClusterPlan;
pub use program::{LocalProgram, ProgramPlan, ProgramSite};
pub use store_binary::{StoreBinary, StoreSearch};
pub use topology::StoreTopology;
