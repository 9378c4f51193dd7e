use serde::{Deserialize, Serialize};

use crate::{CountingMode, NodeId};

/// State of the circuit breaker between a node's checks and its store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreCircuit {
    /// Checks ask the store.
    #[default]
    Closed,
    /// One check asks the store; the others are decided without it.
    HalfOpen,
    /// Checks are decided without the store.
    Open,
}

/// `GET /health`: the node's own view of itself and its store. Always status 200 while the node can
/// answer: a lost store is reported, and is no reason to restart the node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeHealth {
    /// The node that answers.
    pub node: NodeId,
    /// Whether the store answered the last read.
    pub redis_connected: bool,
    /// Duration of that read, milliseconds.
    pub store_latency_ms: Option<f64>,
    /// Milliseconds since the store last confirmed a write of this node. A store can answer reads
    /// and take no writes.
    pub last_write_age_ms: Option<u64>,
    /// Admissions that the store had confirmed and lost, since the node's start. The node sent each
    /// of them again.
    #[serde(default)]
    pub store_lost: u64,
    /// State of the circuit breaker in front of the store; the worst where the parts of a store
    /// cluster have one each.
    #[serde(default)]
    pub store_circuit: StoreCircuit,
    /// What the store may drop when its memory is full, for people; absent when it drops nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_eviction: Option<String>,
    /// Entries of the store that had a wrong type, by name: another program wrote them. The node
    /// put them aside, under their name and `:quarantined`, and treats their contents as lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub store_quarantined: Vec<String>,
    /// 99th percentile of the time to answer a check, in milliseconds, over the last five seconds;
    /// absent without checks.
    pub check_p99_ms: Option<f64>,
    /// The counting mode of keys without one of their own.
    pub counting: CountingMode,
    /// Milliseconds between two syncs with the store, also between two heartbeats.
    pub sync_interval_ms: u64,
    /// Milliseconds since the node's start.
    pub uptime_ms: u64,
}
