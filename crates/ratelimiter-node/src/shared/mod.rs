//! The state that the nodes share through the store, and the connections to it.

mod audit;
mod copies;
mod limits;
mod membership;
mod refresh;
mod store;
mod window;

pub(crate) use limits::{LimitChange, LimitCommand, LimitsState};
pub(crate) use refresh::{KeyRefresh, StoreRefresh};
pub(crate) use store::{SharedStore, StoreStatus, next_answer};
pub(crate) use window::{AdmissionBatch, KeyWindow, SharedWindow};
