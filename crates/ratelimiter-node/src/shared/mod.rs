//! The state that the nodes share through the store, and the connections to it.

mod audit;
mod copies;
mod eviction;
mod limits;
mod membership;
mod quarantine;
mod refresh;
mod store;
mod window;

pub(crate) use limits::{ChangedLimits, LimitChange, LimitCommand, LimitsState};
pub(crate) use refresh::{KeyRefresh, StoreRefresh};
pub(crate) use store::{BACKGROUND_DEADLINE, SharedStore, StoreStatus, next_answer};
pub(crate) use window::{AdmissionBatch, KeyWindow, SharedWindow};
