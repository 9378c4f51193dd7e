use serde::{Deserialize, Serialize};

use crate::{Key, NodeId, choice};

/// The largest cost of one check.
pub const MAX_COST: u32 = 100;

/// `POST /check`: asks for admissions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// The limited key.
    pub key: Key,
    /// Admissions asked for, 1 to [`MAX_COST`].
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub cost: i64,
}

fn one() -> i64 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_one(cost: &i64) -> bool {
    *cost == 1
}

impl CheckRequest {
    /// A check of cost 1.
    pub fn new(key: Key) -> Self {
        Self { key, cost: 1 }
    }
}

choice! {
    /// The origin of a decision.
    DecidedBy, "decider" {
        /// The count in the store, read or scripted for this check.
        Store = "store",
        /// The node's own admissions, and the others' as of the last sync.
        Local = "local",
        /// A grant of the store that the node holds, or a denial of the store that still holds.
        Lease = "lease",
        /// The failure policy alone, since the store did not answer in time.
        Policy = "policy",
    }
}

/// The answer to a check: status 200 when allowed, 429 when denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResponse {
    /// Whether it was admitted.
    pub allowed: bool,
    /// The limit in force.
    pub limit: u32,
    /// Admissions left in the window after this check, by the decider's count.
    pub remaining: u32,
    /// Milliseconds until the oldest admission leaves the window and quota returns.
    pub reset_ms: u64,
    /// The node that answered.
    pub node: NodeId,
    /// The origin of the decision.
    pub decided_by: DecidedBy,
}
