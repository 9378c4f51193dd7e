//! The contract between a rate limiter node and everyone who talks to it or about it.
//!
//! - **Wire types** of the node's HTTP API: [`CheckRequest`], [`LimitSpec`], [`Counters`],
//!   [`NodeHealth`], ...
//! - **[`layout`]**: where the nodes keep limits, admissions and heartbeats in the store, so that
//!   an observer can read the nodes' writes without asking them.
//! - **[`Observation`]** and **[`Operation`]**: the state of a cluster at one instant, and the
//!   record of a caller saw of one check. Faults and traffic produce them, invariants consume them.
//! - **[`NodeClient`]** and **[`NodeConnection`]**: one typed client, pooled or bound to a single
//!   connection.
//!
//! The crate holds no logic of rate limiting: it decides nothing and counts nothing.
#![doc = include_str!("../README.md")]

mod check;
mod client;
mod connection;
mod counters;
mod endpoint;
mod health;
mod history;
mod ids;
mod key;
pub mod layout;
mod limit;
mod millis;
mod nodes;
mod observation;
mod problem;

pub use check::{CheckRequest, CheckResponse, DecidedBy, MAX_COST};
pub use client::{ClientError, NodeClient};
pub use connection::NodeConnection;
pub use counters::{ActivePage, Counters, KeyCounter, LeaseCounter, MAX_PAGE};
pub use endpoint::{Endpoint, EndpointError};
pub use health::{NodeHealth, StoreCircuit};
pub use history::{Claims, Operation, Outcome};
pub use ids::NodeId;
pub use key::{Key, KeyError, MAX_KEY_BYTES};
pub use limit::{
    CountingMode, Limit, LimitEntry, LimitError, LimitSpec, LimitSpecs, MAX_LIMIT, MAX_WINDOW,
    StoreFailurePolicy,
};
pub use nodes::{NodeEntry, NodeState, Nodes};
pub use observation::{
    KeySample, NodeObservation, NodeSample, Observation, SharedCount, SharedGrants, StoreSample,
};
pub use problem::{PROBLEM_CONTENT_TYPE, Problem};
