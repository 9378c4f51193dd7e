//! The state that the nodes share through the store, and the connections to it.

mod audit;
mod copies;
mod counting;
mod leased;
mod limits;
mod members;
mod membership;
mod refresh;
mod scripts;
mod span;
mod store;

pub(crate) use audit::Doubts;
pub(crate) use counting::{CheckGroup, Counted, GroupAnswer, GroupedCheck, Question, Verdict};
pub(crate) use leased::{Exchange, Exchanged, Wanted};
pub(crate) use limits::{Change, Changed, KnownLimits};
pub(crate) use members::Members;
pub(crate) use refresh::{KeyRefresh, Refresh};
pub(crate) use span::{SharedWindow, Span};
pub(crate) use store::{SharedStore, StoreStatus};
