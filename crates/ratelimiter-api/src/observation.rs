use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Key, Limit, NodeId, NodeState, millis};

/// The samples of a whole cluster in one round: every node and the store, about the same span.
///
/// A sample that could not be taken is `None`, with the reason beside it. It is a gap, never a
/// zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Start of the round, since the observer started, on a monotonic clock.
    #[serde(rename = "at_ms", with = "millis")]
    pub at: Duration,
    /// The end of the span that all counts of this round are for, microseconds on the store's
    /// clock. Each key's span is its own window before this instant.
    pub span_end_us: u64,
    /// The nodes, one entry an endpoint.
    pub nodes: Vec<NodeObservation>,
    /// The store's answer to reads.
    pub store: Option<StoreSample>,
    /// The reason of an absent `store`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_error: Option<String>,
}

/// One endpoint in one round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeObservation {
    /// The node's name; the address where it never answered.
    pub node: NodeId,
    /// The address that was asked, `host:port`.
    pub address: String,
    /// The state of its heartbeat in the store; absent when not known.
    pub heartbeat: Option<NodeState>,
    /// Its answer.
    pub sample: Option<NodeSample>,
    /// The reason of an absent `sample`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The answer of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeSample {
    /// Random id of the node's process; changes on restart.
    pub boot: String,
    /// Start of that process, microseconds on the store's clock.
    pub started_at_us: u64,
    /// Time until both answers were complete.
    #[serde(rename = "latency_ms", with = "millis")]
    pub latency: Duration,
    /// Whether the node's own reads of the store succeed.
    pub store_connected: bool,
    /// Time since the store last confirmed a write of this node; `None` when it never did.
    #[serde(rename = "last_write_age_ms", with = "millis::option")]
    pub last_write_age: Option<Duration>,
    /// 99th percentile of the node's time to answer a check; `None` without checks.
    #[serde(rename = "check_p99_ms", with = "millis::option")]
    pub check_p99: Option<Duration>,
    /// Time between two syncs of the node with the store.
    #[serde(rename = "sync_interval_ms", with = "millis")]
    pub sync_interval: Duration,
    /// The node's own admissions, by key.
    pub keys: BTreeMap<Key, KeySample>,
}

/// One key on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySample {
    /// The node's limit.
    #[serde(flatten)]
    pub limit: Limit,
    /// Number of the node's counter.
    pub epoch: u64,
    /// The node's own admissions in the span.
    pub admissions: u64,
    /// Those of them that the store has not confirmed.
    pub unsynced: u64,
    /// Those of them that a grant covers; of a leased key only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub leased: u64,
    /// Those of them that the store had confirmed and lost. They stay listed after they were sent
    /// again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
}

impl KeySample {
    /// Admissions that the store has confirmed.
    pub fn new(limit: Limit, epoch: u64, admissions: u64) -> Self {
        Self {
            limit,
            epoch,
            admissions,
            unsynced: 0,
            leased: 0,
            lost: 0,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The answer of the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoreSample {
    /// Duration of the reads.
    #[serde(rename = "latency_ms", with = "millis")]
    pub latency: Duration,
    /// The shared counts, by key.
    pub keys: BTreeMap<Key, SharedCount>,
}

/// One key in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedCount {
    /// The store's limit.
    #[serde(flatten)]
    pub limit: Limit,
    /// Number of the current counter.
    pub epoch: u64,
    /// Admissions in the span; of a leased key with all that its grants may have admitted in it.
    pub shared: u64,
    /// The grants; of a leased key only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<SharedGrants>,
}

/// The grants of one key in the store that can hold an admission of the span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedGrants {
    /// Sum of their charges.
    pub charged: u64,
    /// The part of it that is not settled: some of it may be unspent.
    pub open: u64,
}
