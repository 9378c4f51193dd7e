//! The contract between a rate limiter node, its callers and its observers.
//!
//! - **Wire types** of the node's HTTP API: [`CheckRequest`], [`LimitSpec`], [`NodeCounters`],
//!   [`NodeHealth`], ...
//! - **[`layout`]**: the names of the limits, admissions and heartbeats in the store, for observers
//!   that read them without asking a node.
//! - **[`Observation`]** and **[`Operation`]**: the state of a cluster at one instant, and a
//!   caller's record of one check. Faults and traffic produce them, invariants consume them.
//! - `NodeClient`, with the feature `client`: a typed client over hyper. Without the feature, the
//!   crate compiles no HTTP and no runtime.
//!
//! The crate holds no logic of rate limiting: it decides nothing and counts nothing.
#![cfg_attr(feature = "client", doc = include_str!("../README.md"))]

mod check;
mod choice;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod client_error;
mod counters;
mod endpoint;
mod health;
mod history;
mod ids;
mod key;
pub mod layout;
mod limit;
pub mod millis;
mod nodes;
mod observation;
mod problem;

pub use check::{CheckRequest, CheckResponse, DecidedBy, MAX_COST};
pub use choice::ChoiceError;
#[cfg(feature = "client")]
pub use client::NodeClient;
#[cfg(feature = "client")]
pub use client_error::ClientError;
pub use counters::{ActivePage, KeyCounter, LeaseCounter, MAX_PAGE, NodeCounters};
pub use endpoint::{Endpoint, EndpointError};
pub use health::{NodeHealth, StoreCircuit};
pub use history::{Claims, Operation, Outcome, StatedTime};
pub use ids::{NodeId, NodeIdError};
pub use key::{Key, KeyError, MAX_KEY_BYTES};
pub use limit::{
    ChangedLimit, CountingMode, FormerGrants, Limit, LimitEntry, LimitError, LimitSpec, LimitSpecs,
    MAX_LIMIT, MAX_WINDOW, StoreFailurePolicy,
};
pub use nodes::{NodeEntry, NodeList, NodeState};
pub use observation::{
    KeySample, NodeObservation, NodeSample, Observation, SharedCount, SharedGrants, StoreSample,
};
pub use problem::{PROBLEM_CONTENT_TYPE, Problem};
