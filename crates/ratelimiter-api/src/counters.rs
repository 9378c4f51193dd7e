use serde::{Deserialize, Serialize};

use crate::{CountingMode, Key, Limit, NodeId};

/// `GET /counters`, optionally with `?at_us=T`: what this node knows of each key's window.
///
/// With `at_us`, admissions are counted in the span `(T - window, T]` on the store's clock. Observers ask every
/// node and the store about the same span, so that the sums compare although the samples are taken at different
/// instants; nodes keep admissions a little longer than the window to be able to answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Who answers.
    pub node: NodeId,
    /// Which life of the node this is: it changes when the process restarts.
    pub boot: String,
    /// When this life began, microseconds on the store's clock.
    pub started_at_us: u64,
    /// The end of the span counted, microseconds on the store's clock.
    pub at_us: u64,
    /// One entry a limit, by key.
    pub counters: Vec<KeyCounter>,
}

/// One key as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCounter {
    /// What is counted.
    pub key: Key,
    /// How much may be admitted.
    #[serde(flatten)]
    pub limit: Limit,
    /// How it is counted.
    pub counting: CountingMode,
    /// Which counter: a reset begins the next.
    pub epoch: u64,
    /// This node's own admissions in the span.
    pub count: u64,
    /// Those of them that the store has not confirmed.
    pub unsynced: u64,
    /// The shared count at the last refresh, absent before the first.
    pub shared: Option<u64>,
    /// Age of `shared` in milliseconds.
    pub shared_age_ms: Option<u64>,
}
